"""Faults of deactivated Workloads and stopped queues."""

from __future__ import annotations

from dataclasses import replace as but

from conformance.faults.model import fault, replace
from conformance.reference import eviction, lifecycle, queues
from conformance.reference.draft import Draft
from conformance.reference.model import ClusterQueue, LocalQueue, StopPolicy, Workload

# Deactivation


def was_deactivated(workload: Workload) -> bool:
    """Whether the last eviction of a Workload was for its deactivation."""
    told = workload.conditions.get("Evicted")
    return told is not None and told.reason.startswith(eviction.DEACTIVATED)


@fault(
    "A deactivated Workload is deleted, so its group gets a new, active one.",
    caught={"DEACT-01": "keeps workload_uid"},
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
    caught={"DEACT-01": ("gated", "no_quota_reserved", "not_admitted")},
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
    caught={"DEACT-01": ("keeps pod_uids", "complete"), "ADM-09": ("keeps pod_uids", "complete")},
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
    caught={"DEACT-01": ("no_quota_reserved", "usage", "reserved", "counts", "running")},
)
def deactivated_group_keeps_quota() -> None:
    original = eviction.ended

    def ended(draft: Draft, workload: Workload) -> bool:
        return workload.active and original(draft, workload)

    replace(eviction, "ended", ended)


@fault(
    "A Workload that is deactivated is not evicted.",
    caught={"DEACT-01": ("gated", "not_admitted", "no_quota_reserved")},
)
def deactivation_ignored() -> None:
    original = lifecycle.inactive

    def inactive(draft: Draft, workload: Workload) -> Workload:
        return workload if workload.admitted else original(draft, workload)

    replace(lifecycle, "inactive", inactive)


@fault(
    "A group whose Workload is activated again is not tried again.",
    caught={"DEACT-02": ("running", "ready")},
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
    "A group whose Workload is activated again while its pods are still stopping stays evicted for ever.",
    caught={"DEACT-02": ("running", "ready")},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8530",
)
def quick_reactivation_gets_stuck() -> None:
    original = eviction.ended

    def ended(draft: Draft, workload: Workload) -> bool:
        return original(draft, workload) and not (workload.active and was_deactivated(workload))

    replace(eviction, "ended", ended)


@fault(
    "A pending group that is deactivated is admitted when there is room.",
    caught={"DEACT-03": ("gated", "never admitted", "no_quota_reserved")},
)
def deactivated_pending_group_admitted() -> None:
    original = eviction.waits
    ran: set[str] = set()

    def waits(draft: Draft, workload: Workload) -> bool:
        if "Admitted" not in workload.conditions:
            conditions = {kind: it for kind, it in workload.conditions.items() if kind != "Requeued"}
            return original(draft, but(workload, active=True, conditions=conditions))
        ran.add(workload.uid)
        return original(draft, workload)

    inactive = lifecycle.inactive

    def unless_it_never_ran(draft: Draft, workload: Workload) -> Workload:
        return inactive(draft, workload) if workload.uid in ran else workload

    replace(eviction, "waits", waits)
    replace(lifecycle, "inactive", unless_it_never_ran)


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
    "A queue that is set to Hold goes on admitting groups.",
    caught={"STOP-02": ("gated", "no_quota_reserved"), "STOP-03": ("gated", "no_quota_reserved")},
)
def hold_ignored() -> None:
    original = queues.usable

    def usable(draft: Draft, workload: Workload) -> tuple[ClusterQueue | None, str]:
        return original(running_as(draft, "Hold", "None"), workload)

    replace(queues, "usable", usable)


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
    "A queue that is set to Hold evicts the groups that run in it.",
    caught={"STOP-02": ("keeps pod_uids", "complete"), "STOP-03": ("keeps pod_uids", "complete")},
)
def hold_drains() -> None:
    original = lifecycle.running

    def running(draft: Draft, workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None) -> Workload:
        drained = but(local, stop="HoldAndDrain") if local is not None and local.stop == "Hold" else local
        emptied = but(queue, stop="HoldAndDrain") if queue is not None and queue.stop == "Hold" else queue
        return original(draft, workload, drained, emptied)

    replace(lifecycle, "running", running)


@fault(
    "A queue that is set to HoldAndDrain lets the groups that run in it run on.",
    caught={"STOP-01": ("gated", "not_admitted"), "STOP-03": ("gated", "not_admitted")},
)
def drain_ignored() -> None:
    original = lifecycle.running

    def running(draft: Draft, workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None) -> Workload:
        return original(
            draft,
            workload,
            but(local, stop="None") if local is not None else None,
            but(queue, stop="None") if queue is not None else None,
        )

    replace(lifecycle, "running", running)


@fault(
    "Groups that were evicted from a stopped queue are not tried again when it goes on.",
    caught={"STOP-01": ("running", "ready"), "STOP-03": ("running", "ready")},
)
def restarted_queue_stays_empty() -> None:
    original = lifecycle.requeued

    def requeued(draft: Draft, workload: Workload) -> Workload:
        kept_out = workload.conditions.get("Requeued")
        stopped = (eviction.CLUSTER_QUEUE_STOPPED, eviction.LOCAL_QUEUE_STOPPED)
        if kept_out is not None and kept_out.reason in stopped:
            return workload
        return original(draft, workload)

    replace(lifecycle, "requeued", requeued)


@fault(
    "A stopped LocalQueue stops the other LocalQueues of its ClusterQueue too.",
    caught={"STOP-03": ("running", "ready")},
)
def stopped_local_queue_stops_all() -> None:
    original = queues.usable

    def usable(draft: Draft, workload: Workload) -> tuple[ClusterQueue | None, str]:
        queue, why_not = original(draft, workload)
        others = draft.snapshot.local_queues.values()
        if queue is not None and any(it.stop != "None" and it.cluster_queue == queue.name for it in others):
            return None, f"ClusterQueue {queue.name} is stopped"
        return queue, why_not

    replace(queues, "usable", usable)
