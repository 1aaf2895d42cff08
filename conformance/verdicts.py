"""From what judging an item raised to its line in the run's log: outcome, expectation, expected, observed, evidence.

Pure but for the timeline that it asks of the history.
"""

from __future__ import annotations

from typing import Any

from conformance.collecting import Claimed
from conformance.errors import Cancelled, HarnessError
from conformance.expectations.judging import ClaimFailed, Inconclusive, Told
from conformance.expectations.model import Subject
from conformance.expectations.subjects import OfGroup, OfSet
from conformance.outcomes import Outcome
from conformance.report import log, model
from conformance.trace.history import History
from conformance.trace.timeline import keys_of_set, timeline


class PromiseBroken(AssertionError):
    """A promised wait did not come true; the story's stop record says what was missing."""


class StoryBroke(Exception):
    """The harness or the cluster broke while the story was told, so nothing of it can be judged."""


def judge_moment(claimed: Claimed, history: History) -> None:
    """Raise what stands against a promised claim; return if its moment was reached."""
    assert claimed.moment is not None
    stopped = history.stopped
    if claimed.moment in history.moments and (stopped is None or stopped.moment != claimed.moment):
        return
    if stopped is None:
        raise HarnessError(
            f"story {claimed.story.name} ended without reaching {claimed.moment!r}; its body must wait for it"
        )
    if stopped.moment == claimed.moment and stopped.outcome == "failed":
        raise PromiseBroken(stopped.reason)
    raise Inconclusive(
        f"not reached, because the story stopped: {stopped.reason}", stopped.requirement or stopped.moment
    )


def outcome_of(error: BaseException | None, history: History | None) -> Outcome:
    """What an item's ending means. A story that broke makes `error` of what it did not reach."""
    if error is None:
        return Outcome.PASSED
    if isinstance(error, ClaimFailed | PromiseBroken):
        return Outcome.FAILED
    if isinstance(error, Inconclusive):
        broke = history is not None and history.stopped is not None and history.stopped.outcome == "error"
        return Outcome.ERROR if broke else Outcome.INCONCLUSIVE
    if isinstance(error, Cancelled):
        return Outcome.INCONCLUSIVE
    return Outcome.ERROR


def line_of(
    item_id: str, claimed: Claimed, error: BaseException | None, told: Told | None, deviation: model.Deviation | None
) -> log.ClaimLine:
    """The line that says what became of a claim."""
    assert claimed.record is not None
    history = told.history if told is not None else None
    facts: dict[str, Any] = {}
    if isinstance(error, ClaimFailed):
        facts = _failed(error, history)
    elif isinstance(error, PromiseBroken) and history is not None:
        facts = _broken(history)
    elif error is not None:
        facts = {"reason": str(error) or type(error).__name__}
        if isinstance(error, Inconclusive) and error.cause:
            facts["caused_by"] = _cause(claimed, error.cause, history)
    elif told is not None:
        facts = _passed(claimed, told)
    return log.ClaimLine(
        id=item_id,
        requirements=[claimed.record.id],
        story=claimed.story.name,
        outcome=outcome_of(error, history),
        deviation=deviation,
        **facts,
    )


def _passed(claimed: Claimed, told: Told) -> dict[str, Any]:
    if claimed.moment is not None:
        mark = told.history.moments[claimed.moment]
        return {"expectation": mark.expectation, "object": mark.subject, "moment": claimed.moment}
    shown = [f"{one.subject}: {one.expectation} {one.window}" for one in told.judged]
    expectations = list(dict.fromkeys(one.expectation for one in told.judged))
    return {"expectation": "; ".join(expectations), "evidence": shown}


def _failed(error: ClaimFailed, history: History | None) -> dict[str, Any]:
    failure, seen = error.failure, error.failure.observation
    lines = _timeline(history, failure.subject, failure.window.since, failure.position) if history is not None else []
    return {
        "expectation": f"{failure.expectation}: {failure.sentence}",
        "object": seen.object,
        "field": seen.field,
        "expected": seen.expected,
        "observed": seen.observed,
        "window": failure.window.text,
        "evidence": lines,
    }


def _broken(history: History) -> dict[str, Any]:
    stopped = history.stopped
    assert stopped is not None
    facts: dict[str, Any] = {"reason": stopped.reason, "moment": stopped.moment}
    if stopped.mismatches:
        first = stopped.mismatches[0]
        facts |= {key: first[key] for key in ("expectation", "object", "field", "expected", "observed")}
    others = [
        f"{m['object']} {m['field']}: expected {m['expected']}, observed {m['observed']}" for m in stopped.mismatches
    ]
    facts["evidence"] = others + _timeline(history, "", 0, len(history))
    return facts


def _timeline(history: History, subject: Subject[Any] | str, since: int, until: int) -> list[str]:
    """What happened to a subject and everything that belongs to it; to all sets of the story for a queue."""
    if isinstance(subject, OfGroup):
        keys = keys_of_set(history, subject.set_name, subject.index)
    elif isinstance(subject, OfSet):
        keys = keys_of_set(history, subject.name)
    else:
        kinds = ("ClusterQueue", "LocalQueue", "LeaderWorkerSet", "Workload")
        keys = sorted({change.key for change in history.changes if change.kind in kinds})
    return timeline(history, keys, since, until)


def _cause(claimed: Claimed, cause: str, history: History | None) -> str:
    stopped = history.stopped if history is not None else None
    if stopped is not None and stopped.moment is not None and stopped.requirement is not None:
        module = claimed.story.module.rpartition(".")[2]
        return f"{module}::{claimed.story.name}::{stopped.moment}[{stopped.requirement}]"
    return f"{claimed.story.name}::{cause}"
