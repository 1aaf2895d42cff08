"""What the console command returns, and the sentence that says why. Pure; under plain pytest its own codes apply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.outcomes import JUDGED, ExitCode, Level, Outcome
from conformance.report import model
from conformance.report.building import stale

_UNDECIDED: Final = (Outcome.ERROR, Outcome.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Decision:
    """An exit code and why it is that one."""

    code: int
    why: str


def decide(
    result: model.Result | None,
    *,
    fail_on: Level = Level.MUST,
    require_all: bool = False,
    interrupted: bool = False,
    not_begun: str | None = None,
) -> Decision:
    """The first that holds: 130 interrupted, 2 not begun, 1 failed, 3 undecided, 4 nothing judged, else 0.

    `not_begun` is the sentence of a usage error or of a set-up that failed; it counts while nothing was judged.
    `fail_on` is the lowest level whose failures fail the run. Without a result nothing was judged.
    """
    outcomes = _outcomes(result)
    judged = [outcome for outcome in outcomes if outcome in JUDGED]
    if interrupted or (result is not None and result.run.finished is None and not_begun is None):
        return Decision(ExitCode.INTERRUPTED, "the run was interrupted; the results so far are kept")
    if not_begun is not None and not judged:
        return Decision(ExitCode.USAGE, not_begun)
    if result is None:
        return Decision(ExitCode.NOTHING, "nothing was judged")
    failures = _failures(result, fail_on, require_all)
    if failures:
        return Decision(ExitCode.FAILED, "; ".join(failures))
    undecided = [outcome for outcome in outcomes if outcome in _UNDECIDED]
    if undecided:
        return Decision(ExitCode.UNDECIDED, f"{_undecided(undecided)}, so the run does not tell")
    if not judged:
        return Decision(ExitCode.NOTHING, "nothing was judged")
    return Decision(ExitCode.OK, _fine(result))


def binding(level: Level, fail_on: Level) -> bool:
    """Whether a failure at this level fails the run."""
    order = list(Level)
    return order.index(level) <= order.index(fail_on)


def stale_deviations(result: model.Result) -> dict[str, str]:
    """Requirement to why its listed deviation must be looked at again, as of the day of the run."""
    today = result.run.started.date()
    found = {r.id: stale(r.outcome, r.deviation, today) for r in result.requirements}
    return {id_: why for id_, why in found.items() if why}


def broken_invariants(result: model.Result) -> list[str]:
    """The names of the invariants that failed somewhere."""
    return [i.name for i in result.invariants if any(v.outcome == Outcome.FAILED for v in i.violations)]


def _outcomes(result: model.Result | None) -> list[Outcome]:
    """The outcome of everything that could be judged: claims, and invariants where something is to be said."""
    if result is None:
        return []
    outcomes = [claim.outcome for requirement in result.requirements for claim in requirement.claims]
    for invariant in result.invariants:
        outcomes += [violation.outcome for violation in invariant.violations]
        outcomes += [Outcome.PASSED] if invariant.judged and not invariant.violations else []
    return outcomes


def _failures(result: model.Result, fail_on: Level, require_all: bool) -> list[str]:
    failures: list[str] = []
    for level in Level:
        failed = [r.id for r in result.requirements if r.level == level and r.outcome == Outcome.FAILED]
        if failed and binding(level, fail_on):
            failures.append(f"{_count(failed, f'{level} requirement')} failed ({_some(failed)})")
    broken = broken_invariants(result)
    if broken:
        failures.append(f"{_count(broken, 'invariant')} failed ({_some(broken)})")
    old = stale_deviations(result)
    if old:
        failures.append(f"{_count(old, 'listed deviation')} must be looked at again ({_some(old)})")
    if require_all:
        untestable = [r.id for r in result.requirements if _has(r, Outcome.NOT_TESTABLE)]
        if untestable:
            verb = "is" if len(untestable) == 1 else "are"
            failures.append(f"{_count(untestable, 'requirement')} {verb} not testable here ({_some(untestable)})")
    return failures


def _has(requirement: model.Requirement, outcome: Outcome) -> bool:
    return requirement.outcome == outcome or any(claim.outcome == outcome for claim in requirement.claims)


def _undecided(outcomes: Sequence[Outcome]) -> str:
    parts = [(outcomes.count(Outcome.ERROR), "in error"), (outcomes.count(Outcome.INCONCLUSIVE), "inconclusive")]
    return " and ".join(f"{number} verdict{'s' if number != 1 else ''} {word}" for number, word in parts if number)


def _fine(result: model.Result) -> str:
    others = [r.id for r in result.requirements if r.outcome == Outcome.FAILED]
    return f"nothing that must hold failed; below that level: {_some(others)}" if others else "nothing failed"


def _count(things: Iterable[str], noun: str) -> str:
    number = len(list(things))
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _some(ids: Iterable[str], limit: int = 5) -> str:
    named = list(ids)
    return ", ".join(named[:limit]) + (f" and {len(named) - limit} more" if len(named) > limit else "")
