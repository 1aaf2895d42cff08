"""Faults of the order: which of the groups that wait is next, and what its priority is."""

from __future__ import annotations

from conformance.faults.model import fault, replace
from conformance.reference import admission, ordering, podsets
from conformance.reference.draft import Draft
from conformance.reference.flavors import Attempt
from conformance.reference.model import ClusterQueue, Set, Snapshot, Workload
from conformance.reference.room import Room


@fault(
    "The groups of a queue are tried by their age alone, whatever their priority.",
    caught={"PRI-10": "no_quota_reserved"},
)
def priority_ignored() -> None:
    def place_in_queue(draft: Draft, workload: Workload) -> tuple[int, float, str]:
        return 0, ordering.queued_since(draft, workload), workload.uid

    replace(ordering, "place_in_queue", place_in_queue)


@fault(
    "Of groups of equal priority the newest is tried first.",
    caught={"PRI-11": "no_quota_reserved"},
)
def newest_first() -> None:
    def place_in_queue(draft: Draft, workload: Workload) -> tuple[int, float, str]:
        return -workload.priority, -ordering.queued_since(draft, workload), workload.uid

    replace(ordering, "place_in_queue", place_in_queue)


@fault(
    "Groups of equal priority are tried in the order of their sets' names, not by age.",
    caught={"PRI-11": ("admitted", "no_quota_reserved")},
)
def ordered_by_name() -> None:
    def place_in_queue(draft: Draft, workload: Workload) -> tuple[int, float, str]:
        # Numbers that sort as the beginnings of the names do.
        beginning = workload.set_name.ljust(6)[:6]
        number = sum(ord(letter) << (8 * place) for place, letter in enumerate(reversed(beginning)))
        return -workload.priority, float(number), workload.uid

    replace(ordering, "place_in_queue", place_in_queue)


@fault(
    "The WorkloadPriorityClass that a set names is noted, and its value is not: its Workloads have priority 0.",
    caught={"PRI-01": "has_priority", "PRE-01": "running", "PRI-10": "no_quota_reserved"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/4725",
)
def priority_class_without_its_value() -> None:
    original = podsets.priority

    def priority(set_: Set, snapshot: Snapshot) -> tuple[tuple[str, str], int] | None:
        found = original(set_, snapshot)
        return None if found is None else (found[0], 0)

    replace(podsets, "priority", priority)


@fault(
    "A Workload has the value of the WorkloadPriorityClass that its set names, and does not refer to the class.",
    caught={"PRI-01": "has_priority"},
)
def priority_without_its_class() -> None:
    original = podsets.priority

    def priority(set_: Set, snapshot: Snapshot) -> tuple[tuple[str, str], int] | None:
        found = original(set_, snapshot)
        return None if found is None else (("", ""), found[1])

    replace(podsets, "priority", priority)


@fault(
    "The WorkloadPriorityClass that a set names is not looked at.",
    caught={"PRI-01": "has_priority", "PRE-01": "running", "PRI-10": "no_quota_reserved"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/4725",
)
def priority_class_not_used() -> None:
    replace(podsets, "priority", lambda set_, snapshot: (("", ""), 0))


@fault(
    "StrictFIFO and BestEffortFIFO are swapped.",
    caught={"ADM-08": "running"},
)
def strategies_swapped() -> None:
    replace(admission, "blocks", lambda queue: not queue.strict)


@fault(
    "In a StrictFIFO queue a group that fits is admitted past older ones that do not.",
    caught={"ADM-08": ("no_quota_reserved", "gated", "running")},
)
def strict_as_best_effort() -> None:
    replace(admission, "blocks", lambda queue: False)


@fault(
    "A group that the head of a StrictFIFO queue has held up is not tried again once the head is gone.",
    caught={"ADM-08": "running"},
)
def held_up_groups_are_forgotten() -> None:
    turn_down, attempted = admission.turn_down, admission.attempted
    behind: dict[str, str] = {}

    def noted(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload, attempt: Attempt | None) -> None:
        if queue.strict:
            for other in draft.all_workloads():
                if other.queue == workload.queue and other.namespace == workload.namespace and not other.reserves:
                    behind.setdefault(other.uid, workload.uid)
        turn_down(draft, room, queue, workload, attempt)

    def never_again(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload) -> Attempt:
        if behind.get(workload.uid, workload.uid) != workload.uid:
            return Attempt("nofit", refusal="it has been held up")
        return attempted(draft, room, queue, workload)

    replace(admission, "turn_down", noted)
    replace(admission, "attempted", never_again)
