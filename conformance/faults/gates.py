"""Faults of the gates: pods that become schedulable when they must not, or that do not when they must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time

from conformance.faults.model import fault, replace
from conformance.reference import pods
from conformance.reference.model import Assignment, Pod, Snapshot, Workload

Starts = Callable[[Workload, Sequence[Pod], Snapshot], list[Pod]]
LONG: float = 2.0
"""Seconds between two events of which neither is the other's immediate consequence. The API has whole seconds."""


def turned_down(workload: Workload) -> bool:
    """Whether it was tried and did not fit. One that fits is started as it should be, so that stories go on."""
    reserved = workload.conditions.get("QuotaReserved")
    return reserved is not None and not reserved.status and reserved.reason in ("Pending", "Inadmissible")


def waited(workload: Workload) -> float:
    """How many seconds passed between its creation and its reservation."""
    reserved = workload.conditions.get("QuotaReserved")
    return reserved.since - workload.created if reserved is not None and reserved.status else 0.0


def started_unless(held_back: Callable[[Workload, Pod, Sequence[Pod], Snapshot], bool]) -> Starts:
    """The decision which pods start, without those that are held back."""
    right = pods.starts

    def starts(workload: Workload, members: Sequence[Pod], snapshot: Snapshot) -> list[Pod]:
        return [pod for pod in right(workload, members, snapshot) if not held_back(workload, pod, members, snapshot)]

    return starts


def let_go_when_turned_down(assigned: Callable[[Workload, str], Assignment | None]) -> None:
    """A group that was turned down may run; `assigned` says with what, since its Workload says nothing."""
    right, may_run = pods.assigned, pods.may_run
    replace(pods, "may_run", lambda workload: may_run(workload) or (turned_down(workload) and not workload.deleted))
    replace(pods, "assigned", lambda workload, podset: right(workload, podset) or assigned(workload, podset))


@fault(
    "The pods of a group that was found not to fit become schedulable.",
    caught={
        "ADM-02": "gated",
        "ADM-03": "atomic",
        "UP-02": "gated",
        "QUO-08": "gated",
        "QUO-09": "gated",
        "DOWN-02": "gated",
        "DOWN-05": "gated",
        "POD-01": "gated_until_admitted",
        "I1": "I1",
    },
)
def ungated_before_admission() -> None:
    def assigned(workload: Workload, podset: str) -> Assignment | None:
        count = next((each.count for each in workload.podsets if each.name == podset), 0)
        return Assignment(podset, count) if workload.admission is None else None

    let_go_when_turned_down(assigned)


@fault(
    "The leader of a group that was found not to fit becomes schedulable, and its workers wait.",
    caught={"ADM-02": "gated", "ADM-03": "atomic", "UP-02": "gated", "I1": "I1"},
)
def leader_ungated_before_admission() -> None:
    def assigned(workload: Workload, podset: str) -> Assignment | None:
        first = workload.podsets[0].name if workload.podsets else ""
        return Assignment(podset, 1) if workload.admission is None and podset == first else None

    let_go_when_turned_down(assigned)


@fault(
    "Pods become schedulable as soon as they are born, if their group's Workload holds a reservation.",
    caught={"ADM-10": ("gated", "gated_until_admitted", "atomic"), "POD-01": "gated_until_admitted"},
)
def ungated_with_a_reservation() -> None:
    replace(pods, "may_run", lambda workload: workload.reserves and not workload.evicted and not workload.deleted)


@fault(
    "Of an admitted group only the leader becomes schedulable.",
    caught={
        "ADM-01": "running",
        "ADM-03": "ready_groups",
        "ADM-06": "running",
        "QUO-09": "running",
        "UP-08": "running",
    },
)
def only_the_leader_starts() -> None:
    replace(pods, "starts", started_unless(lambda workload, pod, members, snapshot: not pod.is_leader))


@fault(
    "Of each group but a set's first the last worker stays gated after the admission.",
    caught={"ADM-01": "running", "ADM-03": "ready_groups", "UP-02": "running", "UP-05": "running"},
)
def last_worker_stays_gated() -> None:
    def held_back(workload: Workload, pod: Pod, members: Sequence[Pod], snapshot: Snapshot) -> bool:
        last = sum(podset.count for podset in workload.podsets) - 1
        return bool(workload.group) and pod.worker == last > 0

    replace(pods, "starts", started_unless(held_back))


@fault(
    "The pods of a group that had to wait for its admission stay gated after it.",
    caught={
        "ADM-06": "running",
        "DOWN-02": "running",
        "QUO-09": "running",
        "UP-02": "running",
        "UP-05": "running",
    },
)
def gated_for_ever_after_a_wait() -> None:
    replace(pods, "starts", started_unless(lambda workload, pod, members, snapshot: waited(workload) >= LONG))


@fault(
    "The pods of groups that were added to a set later stay gated after their admission.",
    caught={"ADM-03": "ready_groups", "UP-02": "running", "ZERO-02": "running"},
)
def added_groups_stay_gated() -> None:
    def held_back(workload: Workload, pod: Pod, members: Sequence[Pod], snapshot: Snapshot) -> bool:
        set_ = snapshot.sets.get((workload.namespace, workload.set_name))
        return set_ is not None and workload.created - set_.created >= LONG

    replace(pods, "starts", started_unless(held_back))


@fault(
    "Workers that are created after their group's admission stay gated.",
    caught={"POD-13": "running", "START-03": ("running", "ready")},
)
def late_workers_stay_gated() -> None:
    def held_back(workload: Workload, pod: Pod, members: Sequence[Pod], snapshot: Snapshot) -> bool:
        born = pod.created or time()  # one that is being born has no time yet
        return not pod.is_leader and born - workload.conditions["Admitted"].since >= LONG

    replace(pods, "starts", started_unless(held_back))


@fault(
    "A pod that replaces another one of a group that was ready stays gated until the group is admitted again.",
    caught={"DEL-06": "running", "ROLL-01": "running", "RST-01": "running", "RST-03": "running"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/9631",
)
def replaced_pods_stay_gated() -> None:
    replace(pods, "starts", started_unless(lambda workload, pod, members, snapshot: "PodsReady" in workload.conditions))
