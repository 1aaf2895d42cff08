"""Faults about what is free on hosts: what counts as taken there, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from conformance.faults.model import fault, replace
from conformance.reference import requests, topology
from conformance.reference.draft import Draft
from conformance.reference.model import Admission, Amounts, Node, PodSet, Workload
from conformance.reference.topology import capacity, leaves


@fault(
    "The slots that a host has for pods are not counted.",
    caught={"V8": ("assigned_as", "running"), "I2": "I2"},
)
def pod_slots_not_counted() -> None:
    def per_pod(podset: PodSet) -> dict[str, int]:
        return requests.raw(podset.template)

    replace(capacity, "per_pod", per_pod)


@fault(
    "What pods that Kueue does not manage use of a host counts as free.",
    caught={"V6c": ("assigned_as", "running"), "V12": ("assigned_as", "running")},
)
def foreign_pods_not_counted() -> None:
    free = leaves._free

    def all_of_it(members: Sequence[Sequence[Node]], foreign: Mapping[str, Amounts]) -> dict[str, list[int]]:
        return free(members, {})

    replace(leaves, "_free", all_of_it)


@fault(
    "What a pod that Kueue does not manage used of a host stays taken when that pod is gone.",
    caught={"V12": "running", "V20": ("ready", "placed_as")},
)
def foreign_pods_counted_for_ever() -> None:
    free = leaves._free
    most: dict[str, dict[str, int]] = {}

    def as_once(members: Sequence[Sequence[Node]], foreign: Mapping[str, Amounts]) -> dict[str, list[int]]:
        for name, used in foreign.items():
            known = most.setdefault(name, {})
            known.update({resource: max(amount, known.get(resource, 0)) for resource, amount in used.items()})
        return free(members, most)

    replace(leaves, "_free", as_once)


@fault(
    "The places of admitted groups are not taken from what is free.",
    caught={"TAS-01": "running", "V3": "ready_groups", "I2": "I2"},
)
def places_not_taken() -> None:
    replace(capacity, "holders", lambda draft: iter(()))
    replace(topology.Places, "take", lambda self, workload, admission: None)


@fault(
    "The places of a group count as taken until its pods run.",
    caught={"V3": ("at_most_admitted", "groups_in_different_racks"), "I2": "I2"},
)
def places_of_running_groups_free() -> None:
    holders = capacity.holders

    def starting(draft: Draft) -> Iterator[tuple[Workload, Admission]]:
        for workload, admission in holders(draft):
            group = workload.group_key
            pods = () if group is None else draft.snapshot.pods.get(group, {}).values()
            if sum(pod.ready for pod in pods) < sum(podset.count for podset in workload.podsets):
                yield workload, admission

    replace(capacity, "holders", starting)
    replace(capacity, "unplaced", lambda pods, workload: iter(()))


@fault(
    "Two groups that are admitted at once do not see the places that the other takes.",
    caught={"V14": "at_most_one_holds", "I2": "I2"},
    upstream="https://github.com/kubernetes-sigs/kueue/issues/14437",
)
def places_taken_twice_at_once() -> None:
    replace(topology.Places, "take", lambda self, workload, admission: None)


@fault(
    "The places of a group stay taken when the group is gone.",
    caught={"V3": ("running", "ready_groups")},
)
def places_never_given_back() -> None:
    holders = capacity.holders
    known: dict[str, tuple[Workload, Admission]] = {}

    def everybody(draft: Draft) -> Iterator[tuple[Workload, Admission]]:
        known.update((workload.uid, (workload, admission)) for workload, admission in holders(draft))
        yield from known.values()

    replace(capacity, "holders", everybody)
