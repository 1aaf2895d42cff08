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
from conformance.invariant_items import invariant_lines
from conformance.outcomes import JUDGED
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
    names: list[str] = []
    for line in told:
        match line:
            case log.ClaimLine() if line.outcome in JUDGED:
                names.append(line.story)
            case log.InvariantsLine() | log.StoryLine():
                names += [line.story if isinstance(line, log.InvariantsLine) else line.name]
            case log.LatencyLine():
                pass  # measured anew below
            case _:
                yield line
    yield from _verdicts(
        folder, list(dict.fromkeys(names)), {line.id for line in told if isinstance(line, log.ClaimLine)}, told
    )


def _verdicts(folder: Path, stories: list[str], selected: set[str], told: list[log.Line]) -> Iterator[log.Line]:
    traces = [Trace(path) for path in sorted(folder.glob("trace*.ndjson*"))]
    if not traces:
        raise UsageError(f"there is no trace in {folder}; name the results folder of a run")
    of_story = {name: trace for trace in traces for name in trace.stories}
    implementation = next(line.implementation for line in told if isinstance(line, log.ImplementationLine))
    suite = whole_suite()

    def deviation(name: str) -> model.Deviation | None:
        return listed(implementation.name, implementation.version, name)

    for name in stories:
        if name not in of_story:
            continue
        records = of_story[name].story(name)
        history = History(records)
        for claim in suite.of_story(name):
            if claim.id in selected:
                yield _judge(claim, history, deviation(claim.requirement))
        yield from invariant_lines(name, History(records, until="cleaned"), deviation)


def _judge(claim: ClaimOfStory, history: History, deviation: model.Deviation | None) -> log.ClaimLine:
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
