"""Faults about nodes: which of them count, in which rack they are, which pods they take, and when that is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed

from conformance import names
from conformance.faults.model import fault, replace
from conformance.reference import matching
from conformance.reference.model import Amounts, Flavor, Node, Template, Topology, Values
from conformance.reference.topology import counting, leaves
from conformance.reference.topology.counting import Free, Mask
from conformance.reference.topology.leaves import Leaves


def without_taint(key: str) -> None:
    """A taint of this key keeps no pod away: Kubernetes adds it to a node that is spoilt otherwise, too."""
    accepts = leaves.accepts

    def anyway(node: Node, template: Template, flavor: Flavor) -> bool:
        return accepts(
            changed(node, taints=tuple(taint for taint in node.taints if taint.key != key)), template, flavor
        )

    replace(leaves, "accepts", anyway)


@fault(
    "A cordoned node counts.",
    caught={"V12": "assigned_as", "TAS-27": "in_rack"},
)
def cordoned_node_used() -> None:
    counts = leaves.counts

    def anyway(node: Node, flavor: Flavor, levels: Sequence[str]) -> bool:
        return counts(changed(node, unschedulable=False), flavor, levels)

    replace(leaves, "counts", anyway)
    without_taint("node.kubernetes.io/unschedulable")


@fault(
    "A node that is NotReady counts.",
    caught={"V12": "assigned_as", "TAS-27": "in_rack"},
)
def unready_node_used() -> None:
    counts = leaves.counts

    def anyway(node: Node, flavor: Flavor, levels: Sequence[str]) -> bool:
        return counts(changed(node, ready=True), flavor, levels)

    replace(leaves, "counts", anyway)
    without_taint("node.kubernetes.io/not-ready")


@fault(
    "The taints of a node keep no pod away.",
    caught={"V12": ("assigned_as", "running"), "V13": "assigned_as"},
)
def tainted_node_used() -> None:
    def accepts(node: Node, template: Template, flavor: Flavor) -> bool:
        return all(node.labels.get(key) == value for key, value in template.selector.items()) and (
            matching.affinity_holds(template.affinity, node.labels)
        )

    replace(leaves, "accepts", accepts)


@fault(
    "A node without a rack label counts as one of the rack of the node after it.",
    caught={"V12": "assigned_as"},
)
def unlabelled_node_used() -> None:
    build = leaves.build

    def labelled(
        flavor: Flavor, topology: Topology, nodes: Mapping[str, Node], foreign: Mapping[str, Amounts]
    ) -> Leaves:
        own = [node for node in nodes.values() if flavor.node_labels.items() <= node.labels.items()]
        filled: dict[str, Node] = {}
        after: dict[str, str] = {}
        for node in sorted(own, key=lambda node: node.name, reverse=True):
            after = {level: node.labels.get(level, after.get(level, "")) for level in topology.levels}
            filled[node.name] = changed(node, labels={**after, **node.labels})
        return build(flavor, topology, {**nodes, **filled}, foreign)

    replace(leaves, "build", labelled)


@fault(
    "Racks of the same name in two blocks are one rack.",
    caught={"V6": "assigned_as", "V6r": "gated", "V10": "gated", "I3": "I3"},
)
def racks_of_one_name_merged() -> None:
    path = leaves.path

    def without_block(node: Node, levels: Sequence[str]) -> Values:
        return tuple(
            "" if level == names.BLOCK else name for level, name in zip(levels, path(node, levels), strict=True)
        )

    replace(leaves, "path", without_block)


@fault(
    "Pods are assigned to racks, in which the room of all hosts is summed, and not to hosts.",
    caught={
        "TAS-01": "whole_group_in_one_rack",
        "TAS-22": "in_rack",
        "V4": "assigned_as",
        "V5": "assigned_as",
        "V12": "assigned_as",
    },
)
def hosts_summed_over_rack() -> None:
    build = leaves.build

    def coarse(flavor: Flavor, topology: Topology, nodes: Mapping[str, Node], foreign: Mapping[str, Amounts]) -> Leaves:
        levels = tuple(level for level in topology.levels if level != names.HOSTNAME)
        return build(flavor, changed(topology, levels=levels), nodes, foreign)

    replace(leaves, "build", coarse)


# Which pods they take


@fault(
    "Node selector, affinity and tolerations of the leader are ignored.",
    caught={"V13": "assigned_as"},
    upstream="https://github.com/kubernetes-sigs/kueue/issues/15373",
)
def leader_filters_ignored() -> None:
    takes = counting.takes_leader

    def anywhere(free: Free, leader: Amounts, number: int, mask: Mask) -> list[bool]:
        return takes(free, leader, number, None)

    replace(counting, "takes_leader", anywhere)


@fault(
    "Node selector, affinity and tolerations of the workers are ignored.",
    caught={"V12": ("assigned_as", "running")},
)
def worker_filters_ignored() -> None:
    fitting = counting.fitting

    def anywhere(free: Free, requests: Amounts, number: int, mask: Mask) -> list[int]:
        return fitting(free, requests, number, None)

    replace(counting, "fitting", anywhere)


@fault(
    "The node selector of pods is ignored.",
    caught={"V13": "assigned_as"},
)
def node_selector_ignored() -> None:
    accepts = leaves.accepts

    def anyway(node: Node, template: Template, flavor: Flavor) -> bool:
        return accepts(node, changed(template, selector={}), flavor)

    replace(leaves, "accepts", anyway)


# When that is looked at


@fault(
    "The nodes of a flavor are looked at once: whatever comes or changes later is not seen.",
    caught={
        "TAS-03": "running",
        "V4": "running",
        "V4b": "running",
        "V5": "running",
        "V6": "running",
        "V7": "running",
        "V8": "running",
        "V11": "running",
        "V12": "running",
        "V14": "one_runs",
        "V15": "running",
        "V16": "running",
        "V17": "running",
        "V18": "running",
    },
)
def nodes_seen_once() -> None:
    build = leaves.build
    seen: dict[str, Leaves] = {}

    def once(flavor: Flavor, topology: Topology, nodes: Mapping[str, Node], foreign: Mapping[str, Amounts]) -> Leaves:
        if flavor.name not in seen:
            seen[flavor.name] = build(flavor, topology, nodes, foreign)
        return seen[flavor.name]

    replace(leaves, "build", once)


@fault(
    "A node that could not be used is not used when it is mended.",
    caught={"V12": "running"},
)
def mended_node_unused() -> None:
    counts = leaves.counts
    spoilt: set[str] = set()

    def still(node: Node, flavor: Flavor, levels: Sequence[str]) -> bool:
        fine = counts(node, flavor, levels)
        if not fine and flavor.node_labels.items() <= node.labels.items():
            spoilt.add(node.name)
        return fine and node.name not in spoilt

    replace(leaves, "counts", still)
