"""Faults of the quota that groups take: what is charged, to whom, and when it is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace as but
from fractions import Fraction

from conformance.faults.model import fault, replace
from conformance.names import GPU
from conformance.reference import admission, amounts, flavors, lifecycle, quota, units
from conformance.reference.draft import Draft
from conformance.reference.flavors import Attempt, Combination
from conformance.reference.model import (
    Admission,
    Amounts,
    ClusterQueue,
    Flavor,
    FlavorResource,
    PodSet,
    Quota,
    Set,
    Usage,
    Workload,
)
from conformance.reference.queue_status import Tally
from conformance.reference.quota import Ledger
from conformance.reference.room import Room
from conformance.reference.units import Unit

PLENTY = 10**15
"""More than anybody asks for, in thousandths."""


def scaled(usage: Usage, part: Fraction) -> dict[FlavorResource, int]:
    return {key: int(amount * part) for key, amount in usage.items()}


def shares(usage: Mapping[FlavorResource, int], parts: int) -> dict[FlavorResource, int]:
    return {key: amount * parts for key, amount in usage.items()}


def unlimited(draft: Draft) -> Ledger:
    """A ledger in which every queue has plenty of whatever it has quota for."""
    queues = {
        name: but(queue, cohort="", quotas={key: Quota(PLENTY) for key in queue.quotas})
        for name, queue in draft.snapshot.cluster_queues.items()
    }
    return Ledger(quota.trees(but(draft.snapshot, cluster_queues=queues))[0])


# What is charged


@fault(
    "A group takes quota only for those of its pods that are seen, so more groups are admitted than fit.",
    caught={"ADM-03": "ready_groups", "QUO-04": "pods_within_quota", "I6": "I6"},
)
def quota_taken_per_pod_seen() -> None:
    def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
        for workload in draft.all_workloads():
            if workload.reserves and workload.admission is not None and workload.group_key is not None:
                size = sum(podset.count for podset in workload.podsets)
                seen = Fraction(min(len(draft.pods_of(workload.group_key)), size), size)
                yield workload.admission.cluster_queue, scaled(workload.admission.usage(), seen)

    replace(quota, "reservations", reservations)


@fault(
    "Only the leader of an admitted group takes quota, so its workers run on quota that others are given too.",
    caught={"ADM-03": "ready_groups", "QUO-04": "pods_within_quota", "I6": "I6"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/4936",
)
def quota_taken_by_leaders_only() -> None:
    def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
        for workload in draft.all_workloads():
            given = workload.admission
            if workload.reserves and given is not None:
                yield given.cluster_queue, but(given, podsets=given.podsets[:1]).usage()

    replace(quota, "reservations", reservations)


@fault(
    "What all pods of a group ask for is charged to its leader, and nothing to its workers.",
    caught={"QUO-01": "charged_cpu"},
)
def workers_charged_to_the_leader() -> None:
    original = flavors.admission_of

    def admission_of(workload: Workload, queue: ClusterQueue, parts: list[Unit], combination: Combination) -> Admission:
        given = original(workload, queue, parts, combination)
        if len(given.podsets) < 2:
            return given
        leader, *workers = given.podsets
        total = amounts.total(podset.usage for podset in given.podsets)
        rest = [but(podset, usage=dict.fromkeys(podset.usage, 0)) for podset in workers]
        return but(given, podsets=(but(leader, usage=total, flavors={**workers[0].flavors, **leader.flavors}), *rest))

    replace(flavors, "admission_of", admission_of)


@fault(
    "A group needs room for itself twice over before it is admitted.",
    caught={"ADM-01": "running", "QUO-09": "running"},
)
def twice_the_room_is_needed() -> None:
    original = flavors.Search.quota

    def fits(self: flavors.Search, slot: units.Slot, flavor: Flavor, before: Usage) -> tuple[bool | None, str]:
        doubled = {resource: 2 * amount for resource, amount in slot.amounts.items()}
        return original(self, but(slot, amounts=doubled), flavor, {key: 2 * amount for key, amount in before.items()})

    replace(flavors.Search, "quota", fits)


@fault(
    "The very last of a queue's quota is never given away.",
    caught={"ADM-01": "running"},
)
def last_quota_never_used() -> None:
    def fits(self: Ledger, queue: str, key: FlavorResource) -> int:
        return original(self, queue, key) - 1

    original = Ledger.available
    replace(Ledger, "available", fits)


@fault(
    "Once nothing is left of a queue's quota, more groups are admitted without any.",
    caught={
        "ADM-03": ("at_most_admitted", "admitted_groups"),
        "ADM-08": "no_quota_reserved",
        "QUO-02": "usage",
        "QUO-04": "pods_within_quota",
        "I6": "I6",
    },
)
def nothing_left_means_no_limit() -> None:
    original = Ledger.available

    def available(self: Ledger, queue: str, key: FlavorResource) -> int:
        left = original(self, queue, key)
        return PLENTY if left == 0 and self.nominal(queue, key) else left

    replace(Ledger, "available", available)


@fault(
    "A resource that the queue does not cover is given away freely.",
    caught={"QUO-09": ("gated", "no_quota_reserved")},
)
def uncovered_resource_is_free() -> None:
    original = units.counted

    def counted(draft: Draft, queue: ClusterQueue, podset: PodSet, per_pod: Amounts) -> dict[str, int]:
        covered = {resource for group in queue.groups for resource in group.resources}
        found = original(draft, queue, podset, per_pod)
        return {resource: amount for resource, amount in found.items() if resource in covered}

    replace(units, "counted", counted)


@fault("GPUs are not charged.", caught={"QUO-09": "usage", "QUO-02": "usage"})
def gpus_not_charged() -> None:
    original = units.counted

    def counted(draft: Draft, queue: ClusterQueue, podset: PodSet, per_pod: Amounts) -> dict[str, int]:
        covered = {resource for group in queue.groups for resource in group.resources}
        found = original(draft, queue, podset, per_pod)
        # Where the queue does not cover them the group still waits: that is another claim.
        return {r: 0 if r == GPU and r in covered else amount for r, amount in found.items()}

    replace(units, "counted", counted)


# To whom


@fault(
    "All groups of a set but its first are charged to the ClusterQueue of the first LocalQueue of their namespace.",
    caught={"QSEL-11": "charged_to", "QUO-02": ("usage", "counts")},
)
def later_groups_charged_to_the_first_queue() -> None:
    original = admission.attempted

    def attempted(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload) -> Attempt:
        found = original(draft, room, queue, workload)
        if not workload.group or found.admission is None:
            return found
        of_namespace = sorted(key for key in draft.snapshot.local_queues if key[0] == workload.namespace)
        first = draft.snapshot.local_queues[of_namespace[0]].cluster_queue
        return but(found, admission=but(found.admission, cluster_queue=first))

    replace(admission, "attempted", attempted)


# When it is given back


def kept_after(stays: Callable[[Draft, Workload], bool]) -> None:
    """Have quota stay taken of those Workloads that are gone."""
    admit, original = admission.admit, quota.reservations
    known: dict[str, Workload] = {}

    def remember(draft: Draft) -> None:
        known.update({workload.uid: workload for workload in draft.all_workloads() if workload.reserves})
        admit(draft)

    def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
        yield from original(draft)
        present = {workload.uid for workload in draft.all_workloads()}
        for uid, workload in known.items():
            given = workload.admission
            if uid in present or given is None or given.cluster_queue not in draft.snapshot.cluster_queues:
                continue
            if stays(draft, workload):
                yield given.cluster_queue, given.usage()

    replace(admission, "admit", remember)
    replace(quota, "reservations", reservations)


def set_of(draft: Draft, workload: Workload) -> Set | None:
    """The set that the Workload stood for a group of, unless it is deleted."""
    found = draft.snapshot.sets.get((workload.namespace, workload.set_name))
    return found if found is not None and found.uid == workload.owner and not found.deleted else None


@fault(
    "The quota of a deleted set's groups is never free for others.",
    caught={"ADM-06": "running", "COH-05": "running"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/5015",
)
def quota_kept_after_deletion() -> None:
    kept_after(lambda draft, workload: set_of(draft, workload) is None)


@fault(
    "The quota of a group that is scaled away is never free for others.",
    caught={"DOWN-02": "running"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8671",
)
def quota_kept_after_scale_down() -> None:
    def stays(draft: Draft, workload: Workload) -> bool:
        found = set_of(draft, workload)
        return found is not None and found.replicas > 0

    kept_after(stays)


@fault(
    "A group that comes back, after it was scaled away, is charged beside what it had before.",
    caught={"ZERO-02": "running"},
)
def quota_kept_at_zero() -> None:
    def stays(draft: Draft, workload: Workload) -> bool:
        return set_of(draft, workload) is not None and workload.key in draft.snapshot.workloads

    kept_after(stays)


@fault(
    "A Workload that held quota keeps its finalizer for ever once it is deleted.",
    caught={"DEL-01": "gone", "DOWN-01": "absent", "ZERO-01": "exists_with_no_groups", "I8": "I8"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/5015",
)
def workload_never_let_go() -> None:
    original = lifecycle.finalized

    def finalized(draft: Draft, workload: Workload) -> Workload:
        return workload if workload.reserves else original(draft, workload)

    replace(lifecycle, "finalized", finalized)


@fault(
    "The Workload of a group that never ran keeps its finalizer for ever once it is deleted.",
    caught={"DEL-04": "gone", "DOWN-05": "absent", "I8": "I8"},
)
def waiting_workload_never_let_go() -> None:
    original = lifecycle.finalized

    def finalized(draft: Draft, workload: Workload) -> Workload:
        return original(draft, workload) if "Admitted" in workload.conditions else workload

    replace(lifecycle, "finalized", finalized)


@fault(
    "A group that is admitted again after an eviction takes its quota twice.",
    caught={"DEACT-02": "usage"},
)
def charged_twice_on_readmission() -> None:
    original, count = quota.reservations, Tally.count

    def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
        yield from original(draft)
        for workload in draft.all_workloads():
            if workload.admitted and "Evicted" in workload.conditions and workload.admission is not None:
                yield workload.admission.cluster_queue, workload.admission.usage()

    def counted(tally: Tally, workload: Workload) -> None:
        count(tally, workload)
        if workload.admitted and "Evicted" in workload.conditions and workload.admission is not None:
            for key, amount in workload.admission.usage().items():
                tally.used[key] += amount

    replace(quota, "reservations", reservations)
    replace(Tally, "count", counted)
