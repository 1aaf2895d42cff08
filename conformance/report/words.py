"""The sentences that several views share: the verdict, the counts, how to repeat a claim. Text only; no layout."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from conformance.outcomes import JUDGED, ExitCode, Outcome
from conformance.report import model
from conformance.report.building import Described
from conformance.report.exitcode import Decision, broken_invariants

COMMAND: Final = "kueue-lws-conformance run"

OUTCOME: Final[dict[Outcome, str]] = {
    Outcome.FAILED: "failed",
    Outcome.ERROR: "error",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.KNOWN_DEVIATION: "known deviation",
    Outcome.PASSED: "passed",
    Outcome.NOT_TESTABLE: "not testable",
    Outcome.UNSUPPORTED: "unsupported",
    Outcome.NOT_SELECTED: "not selected",
}


def counted(number: int, noun: str, many: str | None = None) -> str:
    """`1 story`, `2 stories`."""
    return f"{number} {noun if number == 1 else many or noun + 's'}"


def tally(outcomes: Iterable[Outcome]) -> str:
    """`1 failed, 4 passed`, the worst first."""
    found = Counter(outcomes)
    return ", ".join(f"{found[outcome]} {OUTCOME[outcome]}" for outcome in Outcome if found[outcome]) or "no claims"


def selected(result: model.Result) -> list[model.Requirement]:
    """The requirements that this run was to judge."""
    return [requirement for requirement in result.requirements if requirement.outcome != Outcome.NOT_SELECTED]


def by_area(result: model.Result, catalogue: Iterable[Described]) -> dict[str, list[model.Requirement]]:
    """The selected requirements of each area, in the catalogue's order."""
    found = {requirement.id: requirement for requirement in selected(result)}
    areas: dict[str, list[model.Requirement]] = {}
    for record in catalogue:
        if record.id in found:
            areas.setdefault(record.area, []).append(found[record.id])
    return areas


def subject(result: model.Result) -> str:
    """`kueue 0.19.2`, with where it came from if not from a release."""
    implementation = result.implementation
    source = f" (from {implementation.source})" if implementation.source else ""
    return f"{implementation.name} {implementation.version or 'of unknown version'}{source}"


def verdict(result: model.Result, decision: Decision) -> str:
    """One sentence that answers whether this implementation queues LeaderWorkerSets as documented."""
    chosen = selected(result)
    passed = sum(requirement.outcome == Outcome.PASSED for requirement in chosen)
    name, profile = subject(result), result.run.profile
    share = f"{passed} of {counted(len(chosen), 'requirement')} of profile {profile} passed"
    rest = [r.outcome for r in chosen if r.outcome != Outcome.PASSED]
    and_rest = f", {tally(rest)}" if rest else ""
    if decision.code == ExitCode.INTERRUPTED:
        return f"Interrupted before the verdict on {name}: so far {share}{and_rest}."
    if decision.code == ExitCode.USAGE:
        return f"The run did not begin: {decision.why}"
    if decision.code == ExitCode.NOTHING:
        return f"Nothing was judged, so this run says nothing about {name}."
    if decision.code == ExitCode.FAILED and (Outcome.FAILED in rest or broken_invariants(result)):
        return f"{name} does not queue LeaderWorkerSets as documented: {share}{and_rest}{_broken(result)}."
    if decision.code == ExitCode.FAILED:
        return f"{name}: {share}{and_rest}, but {decision.why}."
    if decision.code == ExitCode.UNDECIDED:
        question = f"whether {name} queues LeaderWorkerSets as documented"
        return f"This run does not tell {question}: {share}{and_rest}{_open(result)}."
    return f"{name} queues LeaderWorkerSets {_how(rest)}: {share}{and_rest}."


def last_line(result: model.Result, decision: Decision) -> str:
    """The counts of a run, its length and its exit code."""
    claims = {claim.id: claim for requirement in result.requirements for claim in requirement.claims}
    judged = {claim.story for claim in claims.values() if claim.outcome in JUDGED}
    stories = {story.name for story in result.stories} | judged  # an ended run has told more than it has looked back at
    parts = [
        f"{counted(len(selected(result)), 'requirement')}: {tally(r.outcome for r in result.requirements)}",
        f"{counted(len(claims), 'claim')} of {counted(len(stories), 'story', 'stories')}",
    ]
    if result.run.finished is not None:
        parts.append(duration((result.run.finished - result.run.started).total_seconds()))
    return " · ".join(parts) + f" · exit code {decision.code}: {decision.why}"


def repeat(claim: model.Claim, command: str = COMMAND) -> str:
    """The command that tells this claim's story and judges it alone; `command` carries the run's other options."""
    name = claim.id.rpartition("::")[2]
    return f"{command} --story {shlex.quote(claim.story)} -k {shlex.quote(name)}"


def object_and_field(claim: model.Claim) -> tuple[str | None, str | None]:
    """The claim's object, `Kind namespace/name`, and the path of the field that decided, if one did."""
    if claim.object is None:
        return None, None
    words = claim.object.split(" ", 2)
    return " ".join(words[:2]), words[2] if len(words) > 2 else None


def duration(seconds: float) -> str:
    """`41 s`, `2 min 05 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"


def _how(rest: Sequence[Outcome]) -> str:
    if Outcome.FAILED in rest:
        return "as documented in all that must hold"
    if any(outcome not in JUDGED for outcome in rest):
        return "as documented, as far as it could be tested"
    return "as documented but for known deviations" if rest else "as documented"


def _broken(result: model.Result) -> str:
    broken = broken_invariants(result)
    return f"; {counted(len(broken), 'invariant')} broken ({', '.join(broken)})" if broken else ""


def _open(result: model.Result) -> str:
    undecided = [
        invariant.name
        for invariant in result.invariants
        if any(v.outcome in (Outcome.ERROR, Outcome.INCONCLUSIVE) for v in invariant.violations)
    ]
    return f"; {counted(len(undecided), 'invariant')} not decided ({', '.join(undecided)})" if undecided else ""
