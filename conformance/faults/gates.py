"""Faults of the gates: pods that become schedulable when they must not, or that do not when they must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace as changed

from conformance.faults.model import fault, replace
from conformance.reference import admission, pods, writes
from conformance.reference.draft import Draft
from conformance.reference.model import Assignment, ClusterQueue, Pod, Snapshot, Workload
from conformance.reference.pods import Injection
from conformance.reference.writes import Request

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


def let_go(which: Callable[[Workload], bool]) -> None:
    """Groups that are not admitted may run: where the first flavor of their queue is."""
    may_run, assigned, injection = pods.may_run, pods.assigned, pods.injection

    def given_to(workload: Workload, podset: str) -> Assignment | None:
        count = next((each.count for each in workload.podsets if each.name == podset), 0)
        freely = workload.admission is None and which(workload)
        return Assignment(podset, count) if freely else assigned(workload, podset)

    def injected(workload: Workload, given: Assignment, snapshot: Snapshot) -> Injection | None:
        local = snapshot.local_queues.get((workload.namespace, workload.queue))
        queue = snapshot.cluster_queues.get(local.cluster_queue) if local is not None else None
        if queue is not None and not given.flavors:
            given = changed(given, flavors={"cpu": queue.groups[0].flavors[0]})
        return injection(workload, given, snapshot)

    replace(pods, "may_run", lambda workload: may_run(workload) or (which(workload) and not workload.deleted))
    replace(pods, "assigned", given_to)
    replace(pods, "injection", injected)


@fault(
    "The pods of a group that was found not to fit become schedulable.",
    caught={
        "ADM-02": "gated",
        "ADM-13": "ungated_only_if_admitted",
        "UP-02": "gated",
        "QSEL-08": "gated",
        "QUO-04": "pods_within_quota",
        "QUO-08": "gated",
        "QUO-09": "gated",
        "DOWN-02": "gated",
        "DOWN-05": "gated",
        "POD-01": "gated_until_admitted",
        "QCH-01": "gated",
        "ROLL-04": "gated",
        "COH-05": "gated",
        "PRE-11": "gated",
        "I1": "I1",
    },
)
def ungated_before_admission() -> None:
    let_go(turned_down)


@fault(
    "The leader of a group that was found not to fit becomes schedulable, and its workers wait.",
    caught={
        "ADM-02": "gated",
        "ADM-03": "atomic",
        "ADM-13": "ungated_only_if_admitted",
        "QUO-04": "pods_within_quota",
        "START-02": "gated",
        "START-03": "admitted before leader_ready",
        "UP-02": "gated",
        "I1": "I1",
    },
)
def leader_ungated_before_admission() -> None:
    let_go(turned_down)
    right = pods.starts

    def starts(workload: Workload, members: Sequence[Pod], snapshot: Snapshot) -> list[Pod]:
        found = right(workload, members, snapshot)
        return found if workload.admitted else [pod for pod in found if pod.is_leader]

    replace(pods, "starts", starts)


@fault(
    "A group is looked at only when its pods are schedulable, so they become that first.",
    caught={
        "ADM-03": "atomic",
        "ADM-13": "ungated_only_if_admitted",
        "POD-09": "admitted before partly_ungated",
        "ZERO-02": "admitted before partly_ungated",
        "ROLL-03": "gated_until_admitted",
        "I1": "I1",
    },
)
def pods_come_before_their_admission() -> None:
    right = admission.considered

    def untried(workload: Workload) -> bool:
        return "QuotaReserved" not in workload.conditions

    def considered(draft: Draft, workload: Workload) -> ClusterQueue | None:
        group = workload.group_key
        members = draft.snapshot.pods.get(group, {}).values() if group is not None else ()
        return None if untried(workload) and all(map(pods.gated, members)) else right(draft, workload)

    replace(admission, "considered", considered)
    let_go(untried)


@fault(
    "Pods become schedulable as soon as they are born, if their group's Workload holds a reservation.",
    caught={"STOP-04": "gated", "I1": "I1"},
)
def ungated_with_a_reservation() -> None:
    replace(pods, "may_run", lambda workload: workload.reserves and not workload.evicted and not workload.deleted)


@fault(
    "Of an admitted group only the leader becomes schedulable.",
    caught={
        "ADM-01": "running",
        "ADM-03": "ready_groups",
        "ADM-06": "running",
        "NS-01": "running",
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
        "QSEL-08": "ready_groups",
        "QUO-09": "running",
        "UP-02": "running",
        "UP-05": "running",
        "RES-02": "running",
        "START-03": "running",
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
    "Workers that are created when their leader is ready stay gated, though their group is admitted.",
    caught={"POD-13": "running", "START-03": "running"},
)
def late_workers_stay_gated() -> None:
    def held_back(workload: Workload, pod: Pod, members: Sequence[Pod], snapshot: Snapshot) -> bool:
        return not pod.is_leader and any(member.is_leader and member.ready for member in members)

    replace(pods, "starts", started_unless(held_back))


@fault(
    "A pod that replaces another one of a group that was ready stays gated until the group is admitted again.",
    caught={"ROLL-01": "running", "RST-01": "ready", "RST-03": "ready", "STOP-02": "ready"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/9631",
)
def replaced_pods_stay_gated() -> None:
    replace(pods, "starts", started_unless(lambda workload, pod, members, snapshot: "PodsReady" in workload.conditions))


@fault(
    "The pods of a group that was found not to fit are reported as unschedulable, not as held by their gates.",
    caught={"POD-02": "pods_pending_on_gates"},
)
def gated_pods_called_unschedulable() -> None:
    right = writes.requests
    told: set[str] = set()

    def unschedulable(pod: Pod) -> Request:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        return Request("patch", "Pod", pod.namespace, pod.name, body, "status", pod.uid, why="call unschedulable")

    def requests(draft: Draft) -> list[Request]:
        found = right(draft)
        for workload in draft.all_workloads():
            members = draft.snapshot.pods.get(workload.group_key, {}) if workload.group_key is not None else {}
            for pod in members.values() if turned_down(workload) else ():
                if pods.gated(pod) and not pod.deleted and pod.uid not in told:
                    told.add(pod.uid)
                    found.append(unschedulable(pod))
        return found

    replace(writes, "requests", requests)
