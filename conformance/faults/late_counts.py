"""Faults of what queues show of a group once something happened to it after its admission."""

from __future__ import annotations

from conformance.faults.counts import add, recounted
from conformance.faults.model import fault
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
