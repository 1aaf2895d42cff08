"""One pass: from what the cluster is like to what is to be written. Everything is decided anew each time.

The order of the steps is the order in which one consequence leads to the next: what sets exist says which Workloads
there are; what happened to Workloads says which of them wait and what quota is free; then the queues are served; then
pods follow their Workloads. A step sees what the steps before it decided, with one exception: quota and places that
this pass frees count as used until that is stored, so whoever waits for them is admitted by a later pass. Nothing is
remembered between passes but what the API server stores: that is why a restart loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.reference import admission, groups, lifecycle, pods, queue_status, writes
from conformance.reference.draft import Draft
from conformance.reference.model import Rules, Snapshot
from conformance.reference.writes import Request


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a pass came to."""

    requests: list[Request]
    wake_at: float | None
    """When the next pass is due although nothing changes; None when nothing is."""
    statuses: bool
    """Whether the status of any queue is among the requests."""


def decide(snapshot: Snapshot, now: float, rules: Rules, *, statuses_from: float = 0.0) -> Decisions:
    """Decide everything that this state asks for.

    The status of queues is told only from `statuses_from` on, and a pass is asked for then: in a burst it changes with
    every pass, and what is in between is of no use to anybody.
    """
    draft = Draft(snapshot, now, rules)
    groups.keep(draft)
    lifecycle.keep(draft)
    admission.admit(draft)
    pods.keep(draft)
    requests = writes.requests(draft)
    if now < statuses_from:
        draft.wake(statuses_from)
        return Decisions(requests, draft.wake_at, statuses=False)
    statuses = queue_status.keep(draft)
    return Decisions(requests + statuses, draft.wake_at, statuses=bool(statuses))
