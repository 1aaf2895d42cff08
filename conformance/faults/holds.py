"""Faults of deactivated Workloads and stopped queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace as but
from typing import Any

from conformance.faults.groups import delete_once
from conformance.faults.model import fault, replace
from conformance.reference import eviction, lifecycle, pods, queue_status, queues
from conformance.reference.draft import Draft
from conformance.reference.model import ClusterQueue, LocalQueue, Pod, Set, Snapshot, StopPolicy, Workload
from conformance.reference.queue_status import Tally

# Deactivation


def was_deactivated(workload: Workload) -> bool:
    """Whether the last eviction of a Workload was for its deactivation."""
    told = workload.conditions.get("Evicted")
    return told is not None and told.reason.startswith(eviction.DEACTIVATED)


@fault(
    "A deactivated Workload is deleted, so its group gets a new, active one.",
    caught={"DEACT-01": ("keeps workload_uid", "gated", "no_quota_reserved", "usage", "counts")},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/5015",
)
def deactivated_workload_deleted() -> None:
    original = lifecycle.next_stage

    def next_stage(draft: Draft, workload: Workload) -> Workload:
        if not workload.active and not workload.deleted and not workload.reserves:
            draft.delete_workload(workload)
            return workload
        return original(draft, workload)

    replace(lifecycle, "next_stage", next_stage)


@fault(
    "A deactivated group is evicted and at once admitted again.",
    caught={"DEACT-01": ("gated", "no_quota_reserved")},
)
def deactivated_group_admitted_again() -> None:
    inactive, waits = lifecycle.inactive, eviction.waits

    def once(draft: Draft, workload: Workload) -> Workload:
        told = workload.conditions.get("Evicted")
        again = told is not None and not told.status and was_deactivated(workload)
        return workload if again else inactive(draft, workload)

    def waits_as_active(draft: Draft, workload: Workload) -> bool:
        if not workload.active and was_deactivated(workload):
            conditions = {kind: it for kind, it in workload.conditions.items() if kind != "Requeued"}
            workload = but(workload, active=True, conditions=conditions)
        return waits(draft, workload)

    replace(lifecycle, "inactive", once)
    replace(eviction, "waits", waits_as_active)


@fault(
    "The deactivation of one group evicts all groups of its set.",
    caught={"DEACT-01": ("keeps pod_uids", "complete")},
)
def deactivation_evicts_the_set() -> None:
    original = lifecycle.inactive

    def inactive(draft: Draft, workload: Workload) -> Workload:
        found = original(draft, workload)
        if found.evicted and not workload.evicted:
            for other in list(draft.all_workloads()):
                if other.owner == workload.owner and other.admitted and other.uid != workload.uid:
                    draft.put(eviction.evicted(other, eviction.PREEMPTED, "Evicted with its set", draft.now))
        return found

    replace(lifecycle, "inactive", inactive)


@fault(
    "A deactivated group keeps its reservation, although its pods are stopped.",
    caught={"DEACT-01": "no_quota_reserved"},
)
def deactivated_group_keeps_quota() -> None:
    original = eviction.ended

    def ended(draft: Draft, workload: Workload) -> bool:
        return workload.active and original(draft, workload)

    replace(eviction, "ended", ended)


@fault(
    "A Workload that is deactivated is not evicted.",
    caught={"DEACT-01": ("gated", "no_quota_reserved")},
)
def deactivation_ignored() -> None:
    original = lifecycle.inactive

    def inactive(draft: Draft, workload: Workload) -> Workload:
        return workload if workload.admitted else original(draft, workload)

    replace(lifecycle, "inactive", inactive)


@fault(
    "The leader of a deactivated group is let go as soon as a group of lower priority is created.",
    caught={"DEACT-01": "gated", "I1": "I1"},
)
def deactivated_leader_let_go() -> None:
    may_run, starts = pods.may_run, pods.starts

    def inactive(workload: Workload) -> bool:
        return not workload.active and workload.admission is None and not workload.deleted

    def leaders_too(workload: Workload, them: Sequence[Pod], snapshot: Snapshot) -> list[Pod]:
        if not inactive(workload):
            return starts(workload, them, snapshot)
        theirs = (it for it in snapshot.workloads.values() if it.namespace == workload.namespace)
        passed = any(it.priority < workload.priority for it in theirs)
        return [but(pod, gates=()) for pod in them if passed and pod.is_leader and pods.gated(pod)]

    replace(pods, "may_run", lambda workload: may_run(workload) or inactive(workload))
    replace(pods, "starts", leaders_too)


@fault(
    "A group whose Workload is activated again is not tried again.",
    caught={"DEACT-02": "running"},
)
def reactivation_ignored() -> None:
    original = lifecycle.requeued

    def requeued(draft: Draft, workload: Workload) -> Workload:
        return workload if was_deactivated(workload) else original(draft, workload)

    replace(lifecycle, "requeued", requeued)


@fault(
    "A group whose Workload is activated again gets a new Workload.",
    caught={"DEACT-02": "keeps workload_uid"},
)
def reactivated_under_a_new_workload() -> None:
    original = lifecycle.requeued

    def requeued(draft: Draft, workload: Workload) -> Workload:
        found = original(draft, workload)
        if found is not workload and found.active and was_deactivated(workload):
            draft.delete_workload(workload)
            return workload
        return found

    replace(lifecycle, "requeued", requeued)


@fault(
    "A group whose Workload is activated again within a minute stays evicted for ever.",
    caught={"DEACT-02": "running"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8530",
)
def quick_reactivation_gets_stuck() -> None:
    original = lifecycle.requeued
    stuck: set[str] = set()

    def requeued(draft: Draft, workload: Workload) -> Workload:
        told = workload.conditions.get("Evicted")
        if told is not None and workload.active and was_deactivated(workload) and draft.now - told.since < 60:
            stuck.add(workload.uid)
        return workload if workload.uid in stuck else original(draft, workload)

    replace(lifecycle, "requeued", requeued)


# Stopped queues


def running_as(draft: Draft, was: StopPolicy, becomes: StopPolicy) -> Draft:
    """The same pass, if every queue with the one stop policy had the other."""
    snapshot = draft.snapshot
    local = {key: but(queue, stop=becomes) for key, queue in snapshot.local_queues.items() if queue.stop == was}
    cluster = {name: but(queue, stop=becomes) for name, queue in snapshot.cluster_queues.items() if queue.stop == was}
    changed = but(
        snapshot,
        local_queues={**snapshot.local_queues, **local},
        cluster_queues={**snapshot.cluster_queues, **cluster},
    )
    return Draft(changed, draft.now, draft.rules)


@fault(
    "A queue that is set to Hold goes on as if it were not.",
    caught={"STOP-04": "no_quota_reserved"},
)
def hold_ignored() -> None:
    original = queues.usable

    def usable(draft: Draft, workload: Workload) -> tuple[ClusterQueue | None, str]:
        return original(running_as(draft, "Hold", "None"), workload)

    replace(queues, "usable", usable)
    # Reservations, too, must survive: one that is lost and given again passes through what is right.
    reservation_survives_hold()


@fault(
    "A queue that is held goes on showing the reservations that groups lost to that.",
    caught={"STOP-04": "reserved"},
)
def lost_reservations_shown_on_hold() -> None:
    original = queue_status.cluster_queue_status

    def cluster_queue_status(draft: Draft, queue: ClusterQueue, tally: Tally) -> dict[str, Any]:
        found, shown = original(draft, queue, tally), queue.status.get("flavorsReservation")
        return {**found, "flavorsReservation": shown} if queue.stop == "Hold" and shown else found

    replace(queue_status, "cluster_queue_status", cluster_queue_status)


@fault(
    "A group that holds a reservation and is not admitted yet keeps it when its queue is set to Hold.",
    caught={"STOP-04": "no_quota_reserved"},
)
def reservation_survives_hold() -> None:
    original = lifecycle.why_stopped

    def why_stopped(workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None) -> str:
        going = but(local, stop="None") if local is not None and local.stop == "Hold" else local
        return original(workload, going, but(queue, stop="None") if queue and queue.stop == "Hold" else queue)

    replace(lifecycle, "why_stopped", why_stopped)


@fault(
    "A group that holds a reservation when its queue is set to Hold loses its Workload with it, and gets another one.",
    caught={"STOP-04": "keeps workload_uid"},
)
def hold_renews_waiting_workloads() -> None:
    def which(draft: Draft, set_: Set, workloads: dict[int, Workload]) -> Iterator[Workload]:
        for workload in workloads.values():
            queue = lifecycle.queues_of(draft, workload)[1]
            if workload.reserves and not workload.admitted and queue is not None and queue.stop == "Hold":
                yield workload

    delete_once(which)


@fault(
    "A queue that is set to Hold evicts the groups that run in it.",
    caught={"STOP-02": ("keeps uids_below", "keeps admission_time", "usage"), "STOP-04": ("reserved", "counts")},
)
def hold_drains() -> None:
    original = lifecycle.running

    def running(draft: Draft, workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None) -> Workload:
        drained = but(local, stop="HoldAndDrain") if local is not None and local.stop == "Hold" else local
        emptied = but(queue, stop="HoldAndDrain") if queue is not None and queue.stop == "Hold" else queue
        return original(draft, workload, drained, emptied)

    replace(lifecycle, "running", running)
