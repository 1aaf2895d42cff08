"""The nodes of a flavor as a tree of topology domains; its leaves are the domains of the Topology's lowest level.

A node counts if it carries all `nodeLabels` of the flavor and a value for every level of the flavor's Topology, is
Ready and is not cordoned (Kueue docs, Topology Aware Scheduling, "Limitations" and KEP-2724). A domain is known by its
values from the highest level down: racks of the same name in two blocks are two domains. Where the lowest level is the
host, taints, node selectors and required node affinity of the pods say which leaves they may use; a coarser leaf is a
bucket: the capacities of its nodes are summed and nothing is known of the nodes inside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance import names
from conformance.reference import matching
from conformance.reference.model import NOTHING, Amounts, Flavor, Node, Snapshot, Template, Topology, Values

Span = tuple[int, int]
"""First domain, and the one after the last."""
_MASKS_KEPT: Final = 256
_STATES_KEPT: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """What does not change while nodes, foreign pods, flavors and topologies stay. Leaves are sorted by their values.

    Depth 0 is everything, depth d the domains of level d - 1, `depth` the leaves.
    """

    flavor: Flavor
    topology: Topology
    values: tuple[Values, ...]
    """Of each leaf, all levels."""
    nodes: tuple[tuple[Node, ...], ...]
    free: Mapping[str, list[int]]
    """By resource, of each leaf: allocatable without what foreign pods take."""
    spans: tuple[tuple[Span, ...], ...]
    """By depth, of each domain: its children, one deeper."""
    index: Mapping[Values, int]
    """Leaf by the values that an assignment shows."""
    hosts: Mapping[str, int]
    """Leaf by host name."""
    masks: dict[object, list[bool]] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        return len(self.topology.levels)

    @property
    def by_host(self) -> bool:
        return self.topology.levels[-1] == names.HOSTNAME

    @property
    def shown(self) -> tuple[str, ...]:
        """The levels that an assignment names: the host alone says everything (spec §2.3)."""
        return (names.HOSTNAME,) if self.by_host else self.topology.levels

    def show(self, leaf: int) -> Values:
        """The values by which an assignment names a leaf."""
        return self.values[leaf][-1:] if self.by_host else self.values[leaf]


def host_of(node: Node) -> str:
    """The host name by which assignments and usage know a node."""
    return node.labels.get(names.HOSTNAME, node.name)


def counts(node: Node, flavor: Flavor, levels: Sequence[str]) -> bool:
    """Whether a node gives capacity to a flavor."""
    labels = node.labels
    return (
        node.ready
        and not node.unschedulable
        and all(labels.get(key) == value for key, value in flavor.node_labels.items())
        and all(level in labels for level in levels)
    )


def path(node: Node, levels: Sequence[str]) -> Values:
    """The domains in which a node that counts lies, from the highest level down."""
    return tuple(node.labels[level] for level in levels)


def accepts(node: Node, template: Template, flavor: Flavor) -> bool:
    """Whether pods of a template, started for a flavor, may run on a node."""
    return (
        all(node.labels.get(key) == value for key, value in template.selector.items())
        and matching.affinity_holds(template.affinity, node.labels)
        and matching.tolerates_all((*template.tolerations, *flavor.tolerations), node.taints)
    )


def allowed(leaves: Leaves, template: Template) -> list[bool] | None:
    """The leaves that pods of a template may use; None for all. A bucket is never refused (documented shortcoming)."""
    if not leaves.by_host:
        return None
    key = (tuple(sorted(template.selector.items())), template.affinity, template.tolerations)
    mask = leaves.masks.get(key)
    if mask is None:
        if len(leaves.masks) >= _MASKS_KEPT:
            leaves.masks.clear()
        mask = [all(accepts(node, template, leaves.flavor) for node in inside) for inside in leaves.nodes]
        leaves.masks[key] = mask
    return mask


def build(flavor: Flavor, topology: Topology, nodes: Mapping[str, Node], foreign: Mapping[str, Amounts]) -> Leaves:
    """The tree of one flavor."""
    inside: dict[Values, list[Node]] = {}
    hosts_seen: set[str] = set()
    for node in sorted(nodes.values(), key=lambda node: node.name):
        host = host_of(node)
        # Two nodes with one host name cannot be told apart in an assignment: the first alone counts.
        if counts(node, flavor, topology.levels) and host not in hosts_seen:
            hosts_seen.add(host)
            inside.setdefault(path(node, topology.levels), []).append(node)
    values = tuple(sorted(inside))
    members = tuple(tuple(inside[leaf]) for leaf in values)
    shown = -1 if topology.levels[-1] == names.HOSTNAME else 0
    return Leaves(
        flavor=flavor,
        topology=topology,
        values=values,
        nodes=members,
        free=_free(members, foreign),
        spans=_spans(values, len(topology.levels)),
        index={leaf[shown:]: place for place, leaf in enumerate(values)},
        hosts={host_of(node): place for place, leaf in enumerate(members) for node in leaf},
    )


def _free(members: Sequence[Sequence[Node]], foreign: Mapping[str, Amounts]) -> dict[str, list[int]]:
    free: dict[str, list[int]] = {}
    for place, leaf in enumerate(members):
        for node in leaf:
            for resource, amount in node.allocatable.items():
                free.setdefault(resource, [0] * len(members))[place] += amount
    for place, leaf in enumerate(members):
        for node in leaf:
            for resource, amount in foreign.get(node.name, NOTHING).items():
                if resource in free:
                    free[resource][place] -= amount
    return free


def _spans(values: Sequence[Values], depth: int) -> tuple[tuple[Span, ...], ...]:
    spans: list[tuple[Span, ...]] = []
    below: list[Values] = list(values)
    for level in range(depth - 1, -1, -1):
        here: list[Values] = []
        starts: list[int] = []
        for place, domain in enumerate(below):
            if not here or here[-1] != domain[:level]:
                here.append(domain[:level])
                starts.append(place)
        spans.append(tuple(zip(starts, [*starts[1:], len(below)], strict=True)) if starts else ())
        below = here
    return tuple(reversed(spans)) if values else (((0, 0),), *((),) * (depth - 1))


class Forest:
    """The trees of one state of the nodes, each built when it is first asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._version = snapshot.places_version
        self._made_of = (snapshot.nodes, snapshot.foreign, snapshot.flavors, snapshot.topologies)
        self._trees: dict[str, Leaves | None] = {}

    def is_of(self, snapshot: Snapshot) -> bool:
        """Whether the trees hold for a snapshot. The version alone would do for one store, not for several."""
        now = (snapshot.nodes, snapshot.foreign, snapshot.flavors, snapshot.topologies)
        return self._version == snapshot.places_version and self._made_of == now

    def tree(self, flavor: str) -> Leaves | None:
        """The tree of a flavor; None where the flavor or its Topology is not there, or it has none."""
        if flavor not in self._trees:
            self._trees[flavor] = self._grow(flavor)
        return self._trees[flavor]

    def _grow(self, name: str) -> Leaves | None:
        nodes, foreign, flavors, topologies = self._made_of
        flavor = flavors.get(name)
        topology = topologies.get(flavor.topology) if flavor is not None else None
        if flavor is None or topology is None or not topology.levels:
            return None
        return build(flavor, topology, nodes, foreign)


_kept: deque[Forest] = deque(maxlen=_STATES_KEPT)


def forest(snapshot: Snapshot) -> Forest:
    """The trees of a snapshot; those of the last few states of the nodes are kept between passes."""
    for kept in _kept:
        if kept.is_of(snapshot):
            return kept
    made = Forest(snapshot)
    _kept.appendleft(made)
    return made
