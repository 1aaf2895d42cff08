"""What is free on the leaves of every topology flavor, while a pass takes and gives back.

Free is what the nodes have, without foreign pods (spec §2.1), without bound pods of managed groups that hold no
topology assignment (they sit on nodes that a topology flavor may count too), and without the topology assignments of
all Workloads that hold a reservation: from admission to release, whatever their pods do. What a host gives to one
flavor is gone for every flavor that counts the host; of two flavors with coarser leaves, those are shared that have
nodes in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from conformance import names
from conformance.reference import requests
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Amounts,
    Assignment,
    GroupKey,
    Key,
    LimitRange,
    Node,
    Pod,
    PodSet,
    Snapshot,
    TopologyAssignment,
    Values,
    Workload,
)
from conformance.reference.topology.counting import Stock
from conformance.reference.topology.leaves import Leaves, forest, host_of

ONE_POD: Final = 1000
"""A pod takes one of `pods`, in thousandths."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one podset takes of one domain: of a host, known by its name alone, or of a bucket of one of the flavors."""

    flavors: tuple[str, ...]
    values: Values
    host: bool
    amounts: tuple[tuple[str, int], ...]


_completed: dict[Key, tuple[tuple[PodSet, ...], object, tuple[PodSet, ...]]] = {}
_kept: dict[Key, tuple[tuple[PodSet, ...], Admission, tuple[Taken, ...]]] = {}


def per_pod(podset: PodSet) -> dict[str, int]:
    """What one pod of a completed podset takes of its node: all that it asks for, excluded or not, and a pod slot."""
    return {**requests.raw(podset.template), "pods": ONE_POD}


def taken(workload: Workload, admission: Admission) -> tuple[Taken, ...]:
    """What a completed Workload's admission takes of the topology; kept from pass to pass while neither changes."""
    kept = _kept.get(workload.key)
    if kept is not None and kept[0] is workload.podsets and kept[1] is admission:
        return kept[2]
    podsets = {podset.name: podset for podset in workload.podsets}
    everything: list[Taken] = []
    for given in admission.podsets:
        if given.topology is None or given.podset not in podsets:
            continue
        request = per_pod(podsets[given.podset])
        everything.extend(taken_of(request, flavors_of(admission, given), given.topology))
    _kept[workload.key] = (workload.podsets, admission, tuple(everything))
    return tuple(everything)


def taken_of(request: Amounts, flavors: tuple[str, ...], given: TopologyAssignment) -> list[Taken]:
    """What pods with a request take in an assignment."""
    host = given.levels[-1:] == (names.HOSTNAME,)
    return [
        Taken(
            flavors,
            values[-1:] if host else values,
            host,
            tuple((resource, amount * pods) for resource, amount in request.items() if amount),
        )
        for values, pods in given.domains
    ]


def flavors_of(admission: Admission, given: Assignment) -> tuple[str, ...]:
    """The flavors that may have given the places: a podset without requests of its own inherits its group's."""
    others = (flavor for podset in admission.podsets for flavor in podset.flavors.values())
    return tuple(dict.fromkeys((*given.flavors.values(), *others)))


class Capacity:
    """Free amounts by flavor, resource and leaf. Only flavors that are asked for are worked out."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._nodes = snapshot.nodes
        self._forest = forest(snapshot)
        self._stocks: dict[str, Stock] = {}
        self._hosts: dict[str, dict[str, int]] = {}
        self._buckets: dict[tuple[str, Values], dict[str, int]] = {}
        self._overheads = snapshot.overheads
        self._ranges: dict[str, tuple[LimitRange, ...]] = {}
        for limits in snapshot.limit_ranges.values():
            self._ranges[limits.namespace] = (*self._ranges.get(limits.namespace, ()), limits)
        self.released = 0
        """How often something was given back: until then, what did not fit does not fit."""

    @classmethod
    def of(cls, draft: Draft) -> Capacity:
        """As it is after what a pass has decided so far."""
        snapshot = draft.snapshot
        made = cls(snapshot)
        if not any(flavor.topology for flavor in snapshot.flavors.values()):
            return made
        if len(_kept) > 2 * len(snapshot.workloads) + 1024:
            _kept.clear()
            _completed.clear()
        placed: dict[GroupKey, Workload] = {}
        for workload, admission in holders(draft):
            if any(given.topology is not None for given in admission.podsets):
                made.take(workload, admission)
                if workload.group_key is not None:
                    placed[workload.group_key] = workload
        for group, pods in snapshot.pods.items():
            for pod in unplaced(pods.values(), placed.get(group)):
                made._take_host(made.host(pod.node), tuple(pod.requests.items()), 1)
        return made

    def tree(self, flavor: str) -> Leaves | None:
        """The leaves of a flavor; None where it has none."""
        return self._forest.tree(flavor)

    def stock(self, flavor: str) -> Stock:
        """What is free on the leaves of a flavor that has leaves; negative where more is taken than there is."""
        found = self._stocks.get(flavor)
        return self._worked_out(flavor) if found is None else found

    def node(self, host: str) -> Node | None:
        """The node of a host name, whether it counts or not; None once it is deleted."""
        likely = self._nodes.get(host)
        if likely is not None and host_of(likely) == host:
            return likely
        return next((node for node in self._nodes.values() if host_of(node) == host), None)

    def host(self, name: str) -> str:
        """The host name of a node, which is the node's own name once it is deleted."""
        node = self._nodes.get(name)
        return name if node is None else host_of(node)

    def completed(self, workload: Workload) -> Workload:
        """The Workload with its templates as the pods will be, since that is what the nodes must hold.

        LimitRanges and RuntimeClasses add to a pod when it is created. The Workload itself where they add nothing.
        """
        ranges = self._ranges.get(workload.namespace, ())
        classes = [podset.template.runtime_class for podset in workload.podsets]
        if not ranges and not any(classes):
            return workload
        added = (ranges, [self._overheads.get(name) for name in classes])
        kept = _completed.get(workload.key)
        if kept is not None and kept[0] is workload.podsets and kept[1] == added:
            return replace(workload, podsets=kept[2])
        podsets = tuple(
            replace(podset, template=requests.completed(podset.template, ranges, self._overheads))
            for podset in workload.podsets
        )
        _completed[workload.key] = (workload.podsets, added, podsets)
        return replace(workload, podsets=podsets)

    def take(self, workload: Workload, admission: Admission) -> None:
        self.change(taken(self.completed(workload), admission), 1)

    def release(self, workload: Workload, admission: Admission) -> None:
        self.released += 1
        self.change(taken(self.completed(workload), admission), -1)

    def change(self, everything: Sequence[Taken], sign: int) -> None:
        """Take (1) or give back (-1)."""
        for one in everything:
            if one.host:
                self._take_host(one.values[0], one.amounts, sign)
                continue
            for flavor in one.flavors:
                if self.tree(flavor) is not None:
                    self._take_bucket(flavor, one.values, one.amounts, sign)
                    break

    def _take_host(self, host: str, amounts: tuple[tuple[str, int], ...], sign: int) -> None:
        _add(self._hosts.setdefault(host, {}), amounts, sign)
        for flavor, stock in self._stocks.items():
            tree = self._forest.tree(flavor)
            if tree is not None and host in tree.hosts:
                stock.subtract(tree.hosts[host], amounts, sign)

    def _take_bucket(self, flavor: str, values: Values, amounts: tuple[tuple[str, int], ...], sign: int) -> None:
        _add(self._buckets.setdefault((flavor, values), {}), amounts, sign)
        for other, stock in self._stocks.items():
            leaf = self._shared(flavor, other, values)
            if leaf is not None:
                stock.subtract(leaf, amounts, sign)

    def _shared(self, flavor: str, other: str, values: Values) -> int | None:
        """The leaf of the other flavor that loses what is taken of a bucket of the first."""
        mine, theirs = self._forest.tree(flavor), self._forest.tree(other)
        if mine is None or theirs is None or mine.shown != theirs.shown or theirs.by_host:
            return None
        leaf = theirs.index.get(values)
        if leaf is None or flavor == other:
            return leaf
        here = mine.index.get(values)
        # Buckets of one name need not hold the same nodes: two flavors may divide a rack between them.
        common = here is not None and not {node.name for node in mine.nodes[here]}.isdisjoint(
            node.name for node in theirs.nodes[leaf]
        )
        return leaf if common else None

    def _worked_out(self, flavor: str) -> Stock:
        tree = self._forest.tree(flavor)
        if tree is None:
            return Stock({}, 0)
        stock = Stock({resource: list(amounts) for resource, amounts in tree.free.items()}, len(tree.values))
        for host, used in self._hosts.items():
            if host in tree.hosts:
                stock.subtract(tree.hosts[host], tuple(used.items()))
        for (other, values), used in self._buckets.items():
            leaf = self._shared(other, flavor, values)
            if leaf is not None:
                stock.subtract(leaf, tuple(used.items()))
        self._stocks[flavor] = stock
        return stock


def holders(draft: Draft) -> Iterator[tuple[Workload, Admission]]:
    """The Workloads whose places are taken, from reservation to release whatever their pods do, and these places."""
    for workload in draft.all_workloads():
        if workload.reserves and workload.admission is not None:
            yield workload, workload.admission


def _add(used: dict[str, int], amounts: tuple[tuple[str, int], ...], sign: int) -> None:
    for resource, amount in amounts:
        used[resource] = used.get(resource, 0) + sign * amount


def unplaced(pods: Iterable[Pod], workload: Workload | None) -> Iterator[Pod]:
    """The bound, unfinished pods that no topology assignment stands for; `workload` has one, or is None."""
    places: set[str] = set()
    if workload is not None and workload.admission is not None:
        places = {given.podset for given in workload.admission.podsets if given.topology is not None}
        if len(places) == len(workload.admission.podsets):
            return
    for pod in pods:
        if pod.node and not pod.finished and (workload is None or podset_of(workload, pod) not in places):
            yield pod


def podset_of(workload: Workload, pod: Pod) -> str:
    """The podset that a pod belongs to: by its label once it is started, else by its role in the group."""
    podsets = [podset.name for podset in workload.podsets]
    label = pod.labels.get(names.PODSET, "")
    if label in podsets:
        return label
    return podsets[0] if len(podsets) == 1 else "leader" if pod.is_leader else "worker"
