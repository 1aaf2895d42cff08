"""What the podsets of a Workload ask a queue for, in the units in which they get flavors.

Rule (Kueue docs, "Workload", resource requests; spec §1.4, §1.5): a podset asks for what one of its pods asks for times
their number, without excluded resources, and for one of `pods` each where the queue covers that. What is asked for and
covered by no resource group is never admitted. Podsets that share a podset group are one unit: their requests are
summed (KEP-2724). A podset that asks for a topology gets a place; in a queue whose flavors all have one every podset
does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conformance.reference import amounts, requests
from conformance.reference.draft import Draft
from conformance.reference.model import Admission, Amounts, ClusterQueue, PodSet, ResourceGroup, Workload

PODS: Final = "pods"


@dataclass(frozen=True, slots=True)
class Unit:
    """Podsets that get the same flavors: one, or those of a podset group."""

    podsets: tuple[PodSet, ...]
    wanted: Mapping[str, Amounts]
    """What all pods of each podset ask for of what the queue covers."""
    placed: bool
    """Whether its flavors must have a topology."""

    @property
    def name(self) -> str:
        return ",".join(podset.name for podset in self.podsets)

    def total(self, resources: Collection[str]) -> dict[str, int]:
        """What it asks for of these resources, summed over its podsets."""
        return amounts.total({r: a for r, a in part.items() if r in resources} for part in self.wanted.values())


@dataclass(frozen=True, slots=True)
class Slot:
    """A unit and one resource group that it takes something of: what one flavor is chosen for."""

    unit: Unit
    group: ResourceGroup
    amounts: Amounts


def asked(draft: Draft, workload: Workload) -> tuple[list[Amounts], str]:
    """What one pod of each podset asks for, and why no such pod could run."""
    known: dict[tuple[str, str], tuple[list[Amounts], str]] = draft.memory.setdefault("flavors", {})
    if workload.key not in known:
        found = [requests.of_podset(draft.snapshot, workload.namespace, podset) for podset in workload.podsets]
        problem = next((problem for _, problem in found if problem), "")
        known[workload.key] = [per_pod for per_pod, _ in found], problem
    return known[workload.key]


def counted(draft: Draft, queue: ClusterQueue, podset: PodSet, per_pod: Amounts) -> dict[str, int]:
    """What all its pods count for: without excluded resources, and with one of `pods` each where that has quota.

    A resource of which nothing is asked for needs no quota, so it may be one that the queue does not cover.
    """
    covered = {resource for group in queue.groups for resource in group.resources}
    excluded = draft.rules.excluded_prefixes
    total = {
        resource: amount * podset.count
        for resource, amount in per_pod.items()
        if (amount * podset.count or resource in covered) and not (excluded and resource.startswith(excluded))
    }
    if PODS in covered:
        total[PODS] = podset.count * amounts.UNIT
    return total


def in_units(draft: Draft, workload: Workload, queue: ClusterQueue) -> tuple[list[Unit], str]:
    """Its podsets as they get flavors, in their order; or why none of them ever will."""
    per_pod, problem = asked(draft, workload)
    if problem:
        return [], problem
    wanted: dict[str, Amounts] = {}
    covered = {resource for group in queue.groups for resource in group.resources}
    for podset, each in zip(workload.podsets, per_pod, strict=True):
        wanted[podset.name] = counted(draft, queue, podset, each)
        for resource in wanted[podset.name]:
            if resource not in covered:
                return [], refused(podset.name, [f"resource {resource} unavailable in ClusterQueue"])
    together: dict[str, list[PodSet]] = {}
    for podset in workload.podsets:
        group = podset.topology.group if podset.topology else ""
        together.setdefault(f"group {group}" if group else f"podset {podset.name}", []).append(podset)
    everywhere = only_topologies(draft, queue)
    units: list[Unit] = []
    for podsets in together.values():
        placed = everywhere or any(asks_for_topology(podset) for podset in podsets)
        units.append(Unit(tuple(podsets), {podset.name: wanted[podset.name] for podset in podsets}, placed))
        if placed and not any(has_topology(draft, group) for group in queue.groups):
            return [], refused(units[-1].name, ["no flavor of the ClusterQueue supports TopologyAwareScheduling"])
    return units, ""


def asks_for_topology(podset: PodSet) -> bool:
    """Whether the podset asks for a topology itself."""
    return podset.topology is not None and bool(podset.topology.mode or podset.topology.slices)


def to_place(draft: Draft, workload: Workload, admission: Admission) -> tuple[dict[str, str], frozenset[str]]:
    """The topology flavor of each podset that is placed, and which of them are although they do not ask for it."""
    flavors: dict[str, str] = {}
    for given in admission.podsets:
        for name in given.flavors.values():
            found = draft.snapshot.flavors.get(name)
            if found is not None and found.topology:
                flavors[given.podset] = name
    asking = {podset.name for podset in workload.podsets if asks_for_topology(podset)}
    return flavors, frozenset(flavors) - asking


def only_topologies(draft: Draft, queue: ClusterQueue) -> bool:
    """Whether all flavors of the queue have a topology, so that every pod in it is placed."""
    known = [draft.snapshot.flavors.get(name) for group in queue.groups for name in group.flavors]
    return bool(known) and all(flavor is not None and flavor.topology for flavor in known)


def slots_of(draft: Draft, queue: ClusterQueue, units: Iterable[Unit]) -> Iterator[Slot]:
    """What flavors are to be chosen for, unit by unit, in the order of the resource groups."""
    for unit in units:
        resources = {resource for part in unit.wanted.values() for resource in part}
        touched = [group for group in queue.groups if not resources.isdisjoint(group.resources)]
        if unit.placed and not any(has_topology(draft, group) for group in touched):
            # Pods that ask for nothing still need a place, so they need a flavor with a topology: its quota is free.
            touched += [group for group in queue.groups if has_topology(draft, group)][:1]
        for group in touched:
            yield Slot(unit, group, unit.total(group.resources))


def has_topology(draft: Draft, group: ResourceGroup) -> bool:
    """Whether a flavor of the resource group has a topology."""
    return any((found := draft.snapshot.flavors.get(name)) and found.topology for name in group.flavors)


def refused(podset: str, reasons: Iterable[str]) -> str:
    return f"couldn't assign flavors to pod set {podset}: {', '.join(reasons)}"
