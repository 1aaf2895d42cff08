"""Nodes as places for pods: which nodes a domain of an assignment stands for, what they offer, what is promised there.

Capacity has a present and a recent past: an implementation cannot know of a change in the instant in which it is made,
so until it has shown that it knows, the places that were there before count as well. What may be promised is judged
elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from conformance.names import HOSTNAME, KUEUE
from conformance.trace.assignments import Domain
from conformance.trace.groups import Groups, is_bound
from conformance.trace.history import annotations_of, is_over, labels
from conformance.trace.lives import Life
from conformance.trace.quota import ZERO, Amounts, add, amounts, pod_requests, reserves_quota
from conformance.trace.records import Object

ONE_POD: Amounts = {"pods": Fraction(1)}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A lowest domain, as an assignment names it: node label keys and their values."""

    levels: tuple[str, ...]
    values: Domain

    def __str__(self) -> str:
        return "/".join(self.values)

    def has(self, node: Object) -> bool:
        """Whether a node lies in it."""
        found = labels(node)
        return all(found.get(key) == value for key, value in zip(self.levels, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class Shortage:
    """More of a resource is promised in a leaf than it has."""

    resource: str
    promised: Fraction
    capacity: Fraction


class Places:
    """The tenant's nodes at every position of a history."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._nodes = groups.lives.of("Node")
        self._foreign = list(self._find_foreign())
        self._changes = sorted({position for life in (*self._nodes, *self._foreign) for position in _changes_of(life)})

    @property
    def known(self) -> bool:
        """Whether any node was recorded; places that nobody recorded cannot be judged."""
        return bool(self._nodes)

    def _find_foreign(self) -> Iterator[Life]:
        """The pods that no assignment places: they take capacity away from all assignments.

        A pod that asks for a topology is none of them, nor is one whose group ever had an assignment: once that has
        ended they are on their way out, and counted nowhere.
        """
        placed = {
            pod.life.uid
            for group in self._groups.by_key.values()
            if any(self._has_assignment(state) for life in group.workloads for state in life.states)
            for pod in group.pods
        }
        for life in self._groups.lives.of("Pod"):
            asks = any(key.startswith(f"{KUEUE}/podset-") for state in life.states for key in annotations_of(state))
            if life.uid not in placed and not asks:
                yield life

    def _has_assignment(self, workload: Object) -> bool:
        return any(placement.pods is not None for placement in self._groups.placed(workload).values())

    def in_force(self, position: int) -> list[int]:
        """The positions whose places count at this one, latest first: the present, and what the implementation may
        still have taken for the present."""
        done = bisect_right(self._changes, position)
        unseen = self._changes[bisect_right(self._changes, self._groups.seen_until(position)) : done]
        return [position, *reversed(unseen), unseen[0] - 1] if unseen else [position]

    def nodes_of(self, leaf: Leaf, position: int) -> list[Object]:
        """The nodes of a leaf that exist at a position."""
        present = (life.at(position) for life in self._nodes)
        return [node for node in present if node is not None and leaf.has(node)]

    def names_of(self, leaf: Leaf) -> set[str]:
        """The names of the nodes that were ever part of a leaf."""
        return {life.name for life in self._nodes if any(leaf.has(state) for state in life.states)}

    # What is promised, and what there is

    def shortage(self, workload: Life, podsets: Iterable[str], leaf: Leaf, position: int) -> Shortage | None:
        """What the leaf lacks at a position of what these podsets of the Workload were promised there."""
        state = workload.at(position)
        if state is None or not reserves_quota(state):
            return None
        wanted: Amounts = {}
        for podset, placement in self._groups.placed(state).items():
            if podset in podsets and placement.levels == leaf.levels and leaf.values in placement.domains:
                add(wanted, requests_of(state, podset))
        promised = self._promised(leaf, position)
        offers = [self._free(leaf, at) for at in self.in_force(position)]
        for resource in sorted(name for name, amount in wanted.items() if amount > 0):
            capacity = max(offer.get(resource, ZERO) for offer in offers)
            if promised[resource] > capacity:
                return Shortage(resource, promised[resource], capacity)
        return None

    def _promised(self, leaf: Leaf, position: int) -> Amounts:
        """What all assignments of Workloads that reserve quota promise within a leaf."""
        total: Amounts = {}
        for workload in self._groups.lives.present("Workload", position):
            if not reserves_quota(workload):
                continue
            for podset, placement in self._groups.placed(workload).items():
                for values, count in placement.pods or ():
                    if self._lies_in(Leaf(placement.levels, values), leaf, position):
                        add(total, requests_of(workload, podset), count)
        return total

    def _lies_in(self, inner: Leaf, outer: Leaf, position: int) -> bool:
        """Whether all nodes of a leaf belong to the other; leaves of different flavors may overlap."""
        if inner.levels == outer.levels:
            return inner.values == outer.values
        nodes = self.nodes_of(inner, position)
        return bool(nodes) and all(outer.has(node) for node in nodes)

    def _free(self, leaf: Leaf, position: int) -> Amounts:
        """What a leaf's nodes offer to assignments at a position."""
        nodes = self.nodes_of(leaf, position)
        names = {node["metadata"]["name"] for node in nodes}
        offer: Amounts = {}
        for node in nodes:
            add(offer, amounts((node.get("status") or {}).get("allocatable")))
        for life in self._foreign:
            pod = life.at(position)
            if pod is not None and not is_over(pod) and pod["spec"].get("nodeName") in names:
                add(offer, pod_requests(pod["spec"]), -1)
                add(offer, ONE_POD, -1)
        return offer

    # Where it is

    def path(self, flavors: set[str], level: str, position: int) -> tuple[str, ...]:
        """The node labels that make up a domain of this level, from the top of the flavors' topology down.

        All of them, since a rack's name need not be unique across blocks; the level alone where no topology tells.
        """
        for flavor in sorted(flavors):
            name = ((self._groups.lives.named("ResourceFlavor", flavor, position) or {}).get("spec") or {}).get(
                "topologyName"
            )
            topology = self._groups.lives.named("Topology", name, position) if name else None
            keys = [entry["nodeLabel"] for entry in (topology or {}).get("spec", {}).get("levels") or ()]
            if level in keys:
                return tuple(keys[: keys.index(level) + 1])
        return (level,)

    def domains(self, leaf: Leaf, path: tuple[str, ...], position: int) -> set[Domain]:
        """The domains (one value per label of the path) that a leaf lies in, now or until the implementation knew
        better; none if its nodes were never recorded."""
        if path[-1] in leaf.levels:
            return {leaf.values[: leaf.levels.index(path[-1]) + 1]}
        lives = [life for life in self._nodes if any(leaf.has(state) for state in life.states)]
        found = [state for at in self.in_force(position) for life in lives if (state := life.at(at)) is not None]
        return {domain_of(node, path) for node in found or (life.known_at(position) for life in lives)}

    def node_domains(self, name: str, path: tuple[str, ...], position: int) -> set[Domain]:
        """The domains that the node of that name lies in; none if it was never recorded."""
        node = self._groups.lives.named("Node", name, position)
        return {domain_of(node, path)} if node is not None else set()

    def holds_pod_of(self, leaf: Leaf, node_name: str, since: int, until: int) -> bool | None:
        """Whether the node lay in the leaf at some position between the two; None if that was not recorded."""
        states = [state for life in self._nodes if life.name == node_name for state in life.between(since, until)]
        if states:
            return any(leaf.has(state) for state in states)
        return leaf.values[-1] == node_name if leaf.levels[-1] == HOSTNAME else None


def domain_of(node: Object, path: tuple[str, ...]) -> Domain:
    """The values of these labels on a node."""
    return tuple(labels(node).get(key, "") for key in path)


def requests_of(workload: Object, podset: str) -> Amounts:
    """What one pod of a podset asks for: its template's requests, and one pod slot."""
    spec: Any = next((p["template"]["spec"] for p in workload["spec"]["podSets"] if p["name"] == podset), {})
    return pod_requests(spec) | ONE_POD


def _changes_of(life: Life) -> Iterator[int]:
    """Where a node or a pod that no assignment places begins or ceases to offer or take something, or differently."""
    shown: Any = None
    for position, _, state in life.steps():
        offer = _offer(state) if life.kind == "Node" else is_bound(state) and not is_over(state)
        if offer != shown and (shown is not None or offer):
            yield position
        shown = offer
    if life.gone is not None:
        yield life.gone


def _offer(node: Object) -> Any:
    return dict(labels(node)), (node.get("status") or {}).get("allocatable")
