"""The invariants of one story as an item: judge them, and hand over the lines for the run's log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from conformance.collecting import CLAIMED
from conformance.outcomes import Outcome
from conformance.report import building, latencies, log, model
from conformance.reporting import INVARIANT_LINES
from conformance.trace.history import History
from conformance.trace.invariants import judge_invariants
from conformance.trace.verdicts import Violation


class InvariantViolated(AssertionError):
    """At least one invariant did not hold in at least one state."""


LEAVES_NOTHING = "I8"
"""The invariant about a story's clean-up."""

Listed = Callable[[str], model.Deviation | None]
"""The known deviation of an invariant, if one is listed."""


def judge(item: pytest.Item, history: History, deviation: Listed) -> None:
    """Judge all invariants of a story; InvariantViolated names the violations that no listed deviation explains."""
    lines = invariant_lines(item.stash[CLAIMED].story.name, history, deviation)
    item.stash[INVARIANT_LINES] = lines
    unexplained = [
        f"{name}: {one.object} {one.observed}"
        for line in lines
        if isinstance(line, log.InvariantsLine)
        for name, verdict in line.invariants.items()
        for one in verdict.violations
        if one.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE)
    ]
    if unexplained:
        raise InvariantViolated("\n".join(unexplained))


def not_cleaned(item: pytest.Item, reason: str) -> None:
    """Record of a story whose clean-up broke that nobody knows whether it left anything."""
    story = item.stash[CLAIMED].story.name
    unknown = model.Violation(story=story, outcome=Outcome.ERROR, observed=reason)
    verdict = log.InvariantVerdict(judged=0, violations=[unknown])
    lines: list[log.Line] = [log.InvariantsLine(story=story, invariants={LEAVES_NOTHING: verdict})]
    item.stash[INVARIANT_LINES] = lines


def invariant_lines(story: str, history: History, deviation: Listed) -> list[log.Line]:
    """The lines that a told story leaves in the run's log: its invariants, moments, findings and latencies."""
    verdicts: dict[str, log.InvariantVerdict] = {}
    for judgement in judge_invariants(history):
        known = deviation(f"{judgement.name} in {story}") or deviation(judgement.name)
        outcome = building.apply_deviation(Outcome.FAILED, known, date.today())
        shown = [_violation(story, one, outcome, known) for one in judgement.violations]
        if judgement.undecided:
            hidden = f"{judgement.undecided} apparent violations that an interrupted watch may explain"
            shown.append(model.Violation(story=story, outcome=Outcome.INCONCLUSIVE, observed=hidden))
        verdicts[judgement.name] = log.InvariantVerdict(judged=judgement.judged, violations=shown, deviation=known)
    return [log.InvariantsLine(story=story, invariants=verdicts), *_story_lines(story, history)]


def _violation(story: str, one: Violation, outcome: Outcome, known: model.Deviation | None) -> model.Violation:
    return model.Violation(
        story=story,
        outcome=outcome,
        object=one.object,
        observed=f"{one.field}: expected {one.expected}, observed {one.observed}",
        moment=one.moment,
        deviation=known,
    )


def _story_lines(story: str, history: History) -> list[log.Line]:
    stopped = history.stopped
    moments = [model.ReachedMoment(name=m.name, waited=round(m.waited, 3)) for m in history.moments.values()]
    last = max((fence.received for fence in history.fences.values()), default=0.0)
    first = history.changes[0].received if history.changes else last
    lines: list[log.Line] = [
        log.StoryLine(
            name=story,
            tenant=history.tenant,
            seconds=round(last - first, 3),
            moments=moments,
            stopped_at=stopped.moment if stopped else None,
        )
    ]
    lines += [log.FindingLine(kind=f.kind, text=f.text, source=f.source) for f in history.findings]
    for name, seconds in latencies.measured(history).items():
        lines.append(log.LatencyLine(name=name, story=story, seconds=seconds))
    return lines
