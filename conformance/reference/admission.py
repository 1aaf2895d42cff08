"""Admission: the Workloads that wait get quota and places, as many in one pass as fit.

Rule (Kueue docs, "Cluster Queue", "Admission", "Workload"; spec §1.1, §1.2, §1.6): in each ClusterQueue the head is
tried first (`ordering`). With StrictFIFO a head that does not fit keeps everything behind it waiting; with
BestEffortFIFO the next one is tried. The heads of all queues of one cohort compete: who stays within its queue's
nominal quota before who borrows, who borrows of a smaller part of the tree before who borrows of a larger one, then by
priority, then who is queued longer. Each is decided on quota and places as they are after the one before it, so two
that fit only alone are never both admitted (upstream issue 14437).

Who waits for room that is its own (a preemptor until its victims' pods are gone, a strict head whose nominal quota is
lent) has a claim: borrowers must leave it that room, else they could keep it waiting for ever. A preemptor also keeps
the place at the head of its queue.

What is freed in this very pass counts as used until that is stored: for everybody who reads the Workloads, quota must
hold at any moment, and of two writes the second may be the first to arrive. Who fits once it is stored has a claim.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from conformance.reference import eviction, flavors, lifecycle, ordering, preemption, queues, units
from conformance.reference.draft import Draft
from conformance.reference.flavors import Attempt
from conformance.reference.model import Admission, ClusterQueue, Workload
from conformance.reference.quota import Ledger
from conformance.reference.room import Room

NOT_READY: Final = "waiting for all admitted workloads to be in PodsReady condition"
WAITS_FOR_VICTIMS: Final = "Waiting for the preemption of other workloads"


def admit(draft: Draft) -> None:
    """Admit whatever fits, have others preempted where that is allowed and helps, and say of the rest why it waits."""
    lines = waiting(draft)
    if not lines:
        return
    room = Room.of(draft)
    for tree in trees(room.ledger, lines):
        serve(draft, room, tree)


# Who waits


@dataclass
class Line:
    """The Workloads that wait in one ClusterQueue, the next one first, and what came of trying that one."""

    queue: ClusterQueue
    waiting: deque[Workload]
    attempt: Attempt | None = None
    """Of the first; None once nothing more can be admitted from this line in this pass."""
    tried_at: int = -1
    """The state of the room when that was."""


def waiting(draft: Draft) -> dict[str, Line]:
    """The Workloads that could be admitted if there were room, by ClusterQueue, each queue in its order."""
    found: dict[str, list[Workload]] = {}
    for workload in draft.all_workloads():
        queue = considered(draft, workload)
        if queue is not None:
            found.setdefault(queue.name, []).append(workload)
    return {
        name: Line(
            draft.snapshot.cluster_queues[name],
            deque(in_order(draft, draft.snapshot.cluster_queues[name], them)),
        )
        for name, them in sorted(found.items())
    }


def in_order(draft: Draft, queue: ClusterQueue, them: list[Workload]) -> list[Workload]:
    """The order in which a queue's Workloads are tried.

    With BestEffortFIFO one that has preempted is first until it is admitted: what its victims left would else go to one
    before it, perhaps by borrowing, and be preempted again, for ever.
    """
    return sorted(
        them,
        key=lambda it: (queue.strict or not ordering.has_preempted(it), ordering.place_in_queue(draft, it)),
    )


def considered(draft: Draft, workload: Workload) -> ClusterQueue | None:
    """The queue in which it waits; None if it does not, which is noted where its user must do something about it."""
    if workload.deleted or workload.key in draft.deleted_workloads or workload.true("Finished"):
        return None
    if eviction.waits(draft, workload):
        if workload.active and workload.requeue_at is not None and workload.requeue_at > draft.now:
            draft.wake(workload.requeue_at)
        return None
    if workload.gated_by:
        refuse(draft, workload, "AdmissionGated", f"Admission is gated by: {','.join(workload.gated_by)}")
        return None
    if workload.problem:
        refuse(draft, workload, "Inadmissible", workload.problem)
        return None
    queue, why_not = queues.usable(draft, workload)
    if queue is None:
        refuse(draft, workload, "Pending" if why_not == queues.NAMESPACE_MISMATCH else "Inadmissible", why_not)
    return queue


def trees(ledger: Ledger, lines: dict[str, Line]) -> Iterator[list[Line]]:
    """The lines whose queues share quota, together."""
    left = dict(lines)
    while left:
        first = next(iter(left))
        yield [left.pop(name) for name in ledger.members(first) if name in left]


# Who gets it


def serve(draft: Draft, room: Room, lines: list[Line]) -> None:
    """Admit from the queues of one cohort whatever fits, the best of their heads first."""
    for line in lines:
        advance(draft, room, line)
    while contenders := [line for line in lines if line.attempt is not None]:
        line = min(contenders, key=lambda contender: rank(draft, contender))
        if line.tried_at != room.changes:
            advance(draft, room, line)
        else:
            decide(draft, room, line)


def rank(draft: Draft, line: Line) -> tuple[int, int, float, str]:
    """What the heads of a cohort are compared by."""
    level = line.attempt.borrowing_level if line.attempt is not None else 0
    return ordering.place_in_cohort(level, ordering.place_in_queue(draft, line.waiting[0]))


def advance(draft: Draft, room: Room, line: Line) -> None:
    """Try the line's Workloads in their order until one can be admitted or can preempt, or none is left."""
    line.attempt = None
    while line.waiting:
        head = line.waiting[0]
        shape = (line.queue.name, *shape_of(draft, head))
        if shape in room.refused:
            attempt = None
        else:
            attempt = attempted(draft, room, line.queue, head)
            if attempt.mode != "nofit":
                line.attempt, line.tried_at = attempt, room.changes
                return
            room.refused.add(shape)
        turn_down(draft, room, line.queue, head, attempt)
        if blocks(line.queue):
            line.waiting.clear()
        else:
            line.waiting.popleft()


def attempted(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload) -> Attempt:
    """What comes of trying to admit it now."""
    if queue.name not in room.settling:
        return flavors.assign(draft, room.ledger, room.places, workload, queue, room.claims)
    now = flavors.assign(draft, room.ledger, room.places, workload, queue, room.claims, may_preempt=False)
    if now.mode == "fit":
        return now
    room.count_freed(used=False)
    soon = flavors.assign(draft, room.ledger, room.places, workload, queue, room.claims)
    room.count_freed(used=True)
    # It has only to wait, like a preemptor whose victims are on their way out.
    return replace(soon, mode="preempt") if soon.mode == "fit" else soon


def blocks(queue: ClusterQueue) -> bool:
    """Whether a head that cannot be admitted keeps those behind it waiting."""
    return queue.strict


def turn_down(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload, attempt: Attempt | None) -> None:
    """Leave it waiting, and say why; with StrictFIFO keep for it what is its own.

    Without an attempt it is one of many of the same shape: that is not worth a write for each of them, as long as none
    says that it waits for something else.
    """
    if attempt is None:
        known = workload.conditions.get("QuotaReserved")
        if known is not None and known.reason != "Pending":
            refuse(draft, workload, "Pending", "Waiting behind a workload of the same shape")
        return
    refuse(draft, workload, "Pending", attempt.refusal)
    if queue.strict and attempt.within_nominal:
        room.claim(queue.name, attempt.within_nominal)


def decide(draft: Draft, room: Room, line: Line) -> None:
    """Admit the head of a line, or let it preempt; the attempt is of this very moment."""
    attempt, head = line.attempt, line.waiting[0]
    assert attempt is not None
    assert attempt.admission is not None
    if attempt.mode == "preempt":
        room.claim(line.queue.name, attempt.admission.usage(), attempt.victims)
        if attempt.victims:
            preemption.preempt(draft, attempt.victims, head, line.queue)
        if line.queue.name not in room.settling:
            refuse(draft, head, ordering.PREEMPTING, WAITS_FOR_VICTIMS)
        # It keeps the head of its queue, else a group behind it would take what its victims leave.
        close(line)
    elif room.unready:
        refuse(draft, head, "Waiting", NOT_READY)
        close(line)
    else:
        reserved = reserve(draft, head, line.queue, attempt.admission)
        draft.put(reserved)
        room.take(reserved, attempt.admission)
        room.unready = room.unready or blocked_by(draft, reserved)
        line.waiting.popleft()
        advance(draft, room, line)


def close(line: Line) -> None:
    """Admit nothing more from a line in this pass."""
    line.attempt = None
    line.waiting.clear()


def blocked_by(draft: Draft, workload: Workload) -> bool:
    """Whether everybody else must wait until the pods of this one are ready."""
    rules = draft.rules.pods_ready
    return rules.enabled and rules.block_admission and workload.admitted


def shape_of(draft: Draft, workload: Workload) -> tuple[object, ...]:
    """Everything by which a group fits or does not: equal for groups that are equal to their queue."""
    per_pod, problem = units.asked(draft, workload)
    podsets = tuple(
        (
            podset.name,
            podset.count,
            podset.topology,
            tuple(sorted(each.items())),
            tuple(sorted(podset.template.selector.items())),
            podset.template.affinity,
            podset.template.tolerations,
        )
        for podset, each in zip(workload.podsets, per_pod, strict=True)
    )
    return workload.priority, workload.namespace, problem, podsets


# What it becomes


def reserve(draft: Draft, workload: Workload, queue: ClusterQueue, admission: Admission) -> Workload:
    """The Workload with a reservation; admitted at once if its queue has no checks for these flavors."""
    now = draft.now
    it = replace(workload, admission=admission, unhealthy=())
    message = f"Quota reserved in ClusterQueue {queue.name}"
    it = eviction.marked(it, "QuotaReserved", True, "QuotaReserved", message, now)
    for kind in ("Evicted", "Preempted"):
        was = it.conditions.get(kind)
        if was is not None and was.status:
            it = eviction.marked(it, kind, False, "QuotaReserved", f"Previously: {was.message}", now)
    it = lifecycle.with_checks(draft, it, queue)
    it = replace(it, checks=tuple(eviction.pending_again(check, now) for check in it.checks))
    if not it.checks:
        return eviction.marked(it, "Admitted", True, "Admitted", "The workload is admitted", now)
    if "Admitted" in it.conditions:
        it = eviction.marked(it, "Admitted", False, "UnsatisfiedChecks", "The workload has not all checks ready", now)
    return it


def refuse(draft: Draft, workload: Workload, reason: str, message: str) -> None:
    """Say why it waits; nothing is written if it says so already."""
    refused = eviction.marked(workload, "QuotaReserved", False, reason, message, draft.now)
    if refused is not workload:
        draft.put(refused)
