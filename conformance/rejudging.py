"""Judging a recorded run again, without a cluster: the same claims and invariants over the trace in its results folder.

What the cluster was and what was asked for is taken from the run's log; verdicts are made anew. A promised claim stands
as its wait ended, which the trace records.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conformance.collecting import Claimed
from conformance.errors import UsageError
from conformance.expectations.judging import Told
from conformance.implementations.deviations import listed
from conformance.invariant_items import Listed, invariant_lines
from conformance.outcomes import JUDGED, Outcome
from conformance.report import building, log, model
from conformance.requirements import load
from conformance.suite import ClaimOfStory, whole_suite
from conformance.trace.history import History
from conformance.trace.reading import Trace
from conformance.verdicts import judge_moment, line_of


def judge_again(folder: Path) -> model.Result:
    """The result that today's claims and invariants give over a results folder.

    Raises UsageError if there is no log or no trace in it.
    """
    return building.build(lines(folder), load())


def lines(folder: Path) -> Iterator[log.Line]:
    """The log of a run with its verdicts made anew."""
    told = list(log.read(folder))
    judged: dict[str, dict[str, log.ClaimLine]] = {}
    broke: set[str] = set()
    """Stories whose clean-up broke: what their trace shows as left over is then nobody's fault."""
    for line in told:
        match line:
            case log.ClaimLine() if line.outcome in JUDGED:
                judged.setdefault(line.story, {})[line.id] = line
            case log.InvariantsLine() if _broke(line):
                broke.add(line.story)
                yield line
            case log.InvariantsLine() | log.StoryLine() | log.LatencyLine():
                pass  # made anew below
            case _:
                yield line
    yield from _verdicts(folder, judged, broke, told)


def _broke(line: log.InvariantsLine) -> bool:
    return any(one.outcome is Outcome.ERROR for verdict in line.invariants.values() for one in verdict.violations)


def _verdicts(
    folder: Path, judged: dict[str, dict[str, log.ClaimLine]], broke: set[str], told: list[log.Line]
) -> Iterator[log.Line]:
    traces = [Trace(path) for path in sorted(folder.glob("trace*.ndjson*"))]
    if not traces:
        raise UsageError(f"there is no trace in {folder}; name the results folder of a run")
    of_story = {name: trace for trace in traces for name in trace.stories}
    implementation = next((line.implementation for line in told if isinstance(line, log.ImplementationLine)), None)
    if implementation is None:
        return  # the run ended before anything was told, and `build` says so
    name, version = implementation.name, implementation.version

    def deviation(of: str) -> model.Deviation | None:
        return listed(name, version, of)

    for story, claims in judged.items():
        records = of_story[story].story(story) if story in of_story else []
        yield from _claims(story, History(records), claims, deviation)
        cleaned = History(records, until="cleaned")
        if "cleaned" in cleaned.fences and story not in broke:
            yield from invariant_lines(story, cleaned, deviation)


def _claims(story: str, history: History, claims: dict[str, log.ClaimLine], deviation: Listed) -> Iterator[log.Line]:
    """The verdicts on a story as far as its trace goes: what broke stays an error, and half a trace decides nothing."""
    for claim in whole_suite().of_story(story):
        if claim.id not in claims:
            continue
        if "told" in history.fences:
            yield judge_claim(claim, history, deviation(claim.requirement))
        elif claims[claim.id].outcome in (Outcome.ERROR, Outcome.INCONCLUSIVE):
            yield claims[claim.id]
        else:
            yield log.ClaimLine(
                id=claim.id,
                requirements=[claim.requirement],
                story=story,
                outcome=Outcome.INCONCLUSIVE,
                reason="the run was killed before all of this story's trace was written",
            )


def judge_claim(claim: ClaimOfStory, history: History, deviation: model.Deviation | None = None) -> log.ClaimLine:
    """The line that says what a claim makes of a story that was told as far as its first fence."""
    claimed = Claimed(claim.story, load()[claim.requirement], claim.sentence, claim.moment)
    told = Told(history)
    error: BaseException | None = None
    try:
        if claim.function is not None:
            claim.function(told)
        else:
            judge_moment(claimed, history)
    except Exception as raised:
        error = raised
    return line_of(claim.id, claimed, error, told, deviation)
