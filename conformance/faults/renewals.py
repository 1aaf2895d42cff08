"""Faults by which groups that run are disturbed: by a neighbour that waits, or when a single pod of theirs is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from conformance.faults.gates import turned_down
from conformance.faults.groups import delete_once
from conformance.faults.model import fault, replace
from conformance.reference import eviction, pods, podsready
from conformance.reference.draft import Draft
from conformance.reference.model import Pod, Set, Snapshot, Workload


def also_stopped(which: Callable[[Pod, Workload, Snapshot], bool]) -> None:
    """Started pods of an admitted group are deleted, though nothing asks for that."""
    right = pods.astray

    def astray(members: Iterable[Pod], workload: Workload, snapshot: Snapshot) -> list[Pod]:
        members = list(members)
        stopped = [pod for pod in members if not pods.gated(pod) and which(pod, workload, snapshot)]
        return [*right(members, workload, snapshot), *stopped]

    replace(pods, "astray", astray)


def once_lost(becomes: Callable[[Draft, Workload], Workload]) -> None:
    """What becomes of the Workload of a group that was ready and has lost a pod."""
    right = podsready.observed

    def observed(draft: Draft, workload: Workload) -> Workload:
        was = workload.conditions.get("PodsReady")
        now = right(draft, workload)
        lost = was is not None and was.status and not now.true("PodsReady")
        return becomes(draft, now) if lost else now

    replace(podsready, "observed", observed)


@fault(
    "The pods of running groups are deleted when another group of their queue has to wait.",
    caught={
        "ADM-09": ("complete", "keeps pod_uids"),
        "UP-01": "keeps pod_uids",
        "DOWN-01": "keeps pod_uids",
        "DOWN-05": "keeps pod_uids",
        "DOWN-07": "keeps pod_revisions",
    },
)
def waiting_group_renews_running_pods() -> None:
    def which(pod: Pod, workload: Workload, snapshot: Snapshot) -> bool:
        return any(
            (it.namespace, it.queue) == (workload.namespace, workload.queue)
            and turned_down(it)
            and pod.created < it.created
            for it in snapshot.workloads.values()
        )

    also_stopped(which)


@fault(
    "A group that loses a pod is evicted, and must be admitted again.",
    caught={
        "DEL-06": "admitted",
        "QUO-06": ("usage", "reserved", "counts"),
        "ROLL-01": "keeps admission_time",
        "ROLL-02": ("usage", "reserved"),
        "ROLL-03": "keeps admission_time",
        "RST-01": "keeps admission_time",
        "RST-03": ("keeps admission_time", "keeps uids_below"),
    },
)
def lost_pod_evicts_the_group() -> None:
    def becomes(draft: Draft, workload: Workload) -> Workload:
        return eviction.evicted(workload, eviction.NODE_FAILURES, "A pod of the group was lost", draft.now)

    once_lost(becomes)


@fault(
    "A group that loses a pod loses its Workload, and gets another one.",
    caught={
        "DEL-06": "admitted",
        "QUO-06": ("usage", "reserved", "counts"),
        "RST-01": "keeps workload_uid",
        "RST-03": ("keeps workload_uid", "keeps uids_below"),
    },
)
def lost_pod_renews_the_workload() -> None:
    def which(draft: Draft, set_: Set, workloads: dict[int, Workload]) -> Iterator[Workload]:
        for workload in workloads.values():
            ready = workload.conditions.get("PodsReady")
            if ready is not None and ready.reason in ("WaitForRecovery", "Recovered"):
                yield workload

    delete_once(which)


@fault(
    "A group that loses a pod starts all its other pods anew, whatever the set's restart policy.",
    caught={"RST-03": "keeps uids_below"},
)
def lost_pod_renews_all_others() -> None:
    def which(pod: Pod, workload: Workload, snapshot: Snapshot) -> bool:
        ready = workload.conditions.get("PodsReady")
        return ready is not None and ready.reason in ("WaitForRecovery", "Recovered") and pod.created < ready.since

    also_stopped(which)


@fault(
    "When a group loses a pod, the groups before it start anew, too.",
    caught={"RST-01": "keeps pod_uids"},
)
def lost_pod_renews_other_groups() -> None:
    def which(pod: Pod, workload: Workload, snapshot: Snapshot) -> bool:
        mine = workload.group or 0
        others = [it for it in snapshot.workloads.values() if it.owner == workload.owner and (it.group or 0) > mine]
        found = [it.conditions["PodsReady"] for it in others if "PodsReady" in it.conditions]
        return any(it.reason in ("WaitForRecovery", "Recovered") and pod.created < it.since for it in found)

    also_stopped(which)
