"""Faults of what queues show of a group once something happened to it after its admission."""

from __future__ import annotations

from conformance.faults.counts import Tallies, add, recounted
from conformance.faults.model import fault, replace
from conformance.reference import admission, queue_status
from conformance.reference.draft import Draft
from conformance.reference.model import Workload
from conformance.reference.queue_status import Tally


@fault("A queue shows a group's usage once more when the leader is ready.", caught={"QUO-02": "usage"})
def usage_once_more_for_ready_leaders() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        pods = draft.pods_of(workload.group_key) if workload.group_key is not None else ()
        if workload.admission is not None and any(pod.is_leader and pod.ready for pod in pods):
            add(tally.used, workload.admission.usage())

    recounted(count)


@fault(
    "A group that lost a pod is left out of what its queue shows.",
    caught={"QUO-06": ("usage", "reserved", "counts")},
)
def groups_with_a_lost_pod_not_counted() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        ready = workload.conditions.get("PodsReady")
        if ready is None or ready.reason not in ("WaitForRecovery", "Recovered"):
            tally.count(workload)

    recounted(count)


@fault("A queue goes on showing the usage of groups that were there for a moment alone.", caught={"UP-07": "usage"})
def usage_kept_of_short_lived_groups() -> None:
    admit, tallies = admission.admit, queue_status.tallies
    seen: dict[str, Workload] = {}

    # Between two statuses a group may come and go; every pass comes by here.
    def noted(draft: Draft) -> None:
        admit(draft)
        seen.update((it.uid, it) for it in draft.all_workloads() if it.group and it.admission is not None)

    def counted(draft: Draft) -> Tallies:
        by_queue, by_local = tallies(draft)
        present = {workload.uid for workload in draft.all_workloads()}
        for uid, workload in seen.items():
            set_ = draft.snapshot.sets.get((workload.namespace, workload.set_name))
            if uid not in present and set_ is not None and set_.replicas and workload.admission is not None:
                tally = by_queue.setdefault(workload.admission.cluster_queue, Tally())
                add(tally.used, workload.admission.usage())
        return by_queue, by_local

    replace(admission, "admit", noted)
    replace(queue_status, "tallies", counted)
