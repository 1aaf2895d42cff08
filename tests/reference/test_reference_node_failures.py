"""Node failures: which nodes are lost to a group, and what becomes of the group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from small_worlds import NOW, admitted, after, gated, placed, pod, reserving, world

from conformance import names
from conformance.reference import eviction, lifecycle, node_failures
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Container,
    Flavor,
    Node,
    Pod,
    PodSet,
    Taint,
    Template,
    Toleration,
    Topology,
    TopologyRequest,
    Workload,
)

RACK = "rack"
TAINT = Taint("broken", "", "NoSchedule")


def node(name: str, rack: str = "r1", **fields: Any) -> Node:
    labels = {names.HOSTNAME: name, RACK: rack, "pool": "tas"}
    return Node(name, labels, {"cpu": 2000, "pods": 10_000}, **fields)


def group(*hosts: str, **fields: Any) -> Workload:
    """An admitted group of two pods of two cores each, on these hosts, that must be in one rack."""
    template = Template((Container({"cpu": 2000}),), tolerations=fields.pop("tolerations", ()))
    podset = PodSet("main", 2, template, TopologyRequest("required", RACK))
    return placed(admitted(podsets=(podset,), **fields), *hosts)


def cluster(
    workload: Workload, nodes: Iterable[Node], pods: Iterable[Pod] = (), tolerations: tuple[Toleration, ...] = ()
) -> Draft:
    return world(
        [workload],
        pods,
        nodes={one.name: one for one in nodes},
        flavors={"default": Flavor("default", {"pool": "tas"}, (), tolerations, "topology")},
        topologies={"topology": Topology("topology", (RACK, names.HOSTNAME))},
    )


def passed(draft: Draft) -> Workload:
    node_failures.keep(draft)
    found = draft.workload(("ns", "w-0"))
    assert found is not None
    return found


def hosts(workload: Workload) -> dict[str, int]:
    assert workload.admission is not None
    (given,) = workload.admission.podsets
    assert given.topology is not None
    return {values[-1]: count for values, count in given.topology.domains}


def on(host: str, index: int, **fields: Any) -> Pod:
    return pod(index=index, node=host, selector={names.HOSTNAME: host}, **fields)


def test_healthy_nodes() -> None:
    """A group on healthy nodes is left alone."""
    it = group("h1", "h2")
    assert passed(cluster(it, [node("h1"), node("h2")], [on("h1", 0), on("h2", 1)])) is it


def test_deleted_node_is_listed_then_replaced() -> None:
    """A deleted node is listed; then its pod moves within the rack, the other stays, and the list is empty (TAS-22)."""
    draft = cluster(group("h1", "h2"), [node("h1"), node("h3"), node("h4", "r2")], [on("h1", 0)])
    listed = passed(draft)
    assert listed.unhealthy == ("h2",)
    assert hosts(listed) == {"h1": 1, "h2": 1}
    moved = passed(after(draft))
    assert hosts(moved) == {"h1": 1, "h3": 1}
    assert moved.unhealthy == ()
    assert moved.admitted


def test_no_replacement_in_the_rack() -> None:
    """Where the rack has no other node, the whole group is evicted (TAS-23)."""
    draft = cluster(group("h1", "h2"), [node("h1"), node("h4", "r2"), node("h5", "r2")], [on("h1", 0)])
    passed(draft)
    it = passed(after(draft))
    assert it.conditions["Evicted"].reason == "NodeFailures"
    assert it.unhealthy == ()
    assert it.reserves


@pytest.mark.parametrize("known", [(), ("h2",)])
def test_second_node_evicts(known: tuple[str, ...]) -> None:
    """Two lost nodes at once, or a second one before the first is replaced, evict the group (TAS-24)."""
    it = passed(cluster(group("h1", "h2", unhealthy=known), [node("h3"), node("h4")]))
    assert it.conditions["Evicted"].reason == "NodeFailures"
    assert "h1" in it.conditions["Evicted"].message
    assert "h2" in it.conditions["Evicted"].message


def test_not_ready_node_with_running_pods() -> None:
    """A NotReady node is left alone as long as a pod of the group runs there; no longer when it terminates."""
    nodes = [node("h1"), node("h2", ready=False), node("h3")]
    it = group("h1", "h2")
    assert passed(cluster(it, nodes, [on("h1", 0), on("h2", 1)])) is it
    assert passed(cluster(it, nodes, [on("h1", 0), on("h2", 1, deleted=True)])).unhealthy == ("h2",)
    assert passed(cluster(it, nodes, [on("h1", 0), on("h2", 1, finished=True)])).unhealthy == ("h2",)
    assert passed(cluster(it, nodes, [on("h1", 0), gated(index=1)])).unhealthy == ("h2",)


def test_node_that_comes_back() -> None:
    """A node that is healthy again before it was replaced is not listed any more."""
    it = passed(cluster(group("h1", "h2", unhealthy=("h2",)), [node("h1"), node("h2"), node("h3")]))
    assert it.unhealthy == ()
    assert hosts(it) == {"h1": 1, "h2": 1}


TOLERATED: Mapping[str, tuple[Toleration, ...]] = {
    "": (),
    "template": (Toleration("broken", "Exists"),),
    "flavor": (Toleration("broken", "Exists"),),
}


@pytest.mark.parametrize("by", ["", "template", "flavor"])
def test_tainted_node(by: str) -> None:
    """A tainted node without running pods is lost, unless the template or the flavor tolerates the taint (TAS-26)."""
    it = group("h1", "h2", tolerations=TOLERATED[by] if by == "template" else ())
    nodes = [node("h1"), node("h2", taints=(TAINT,)), node("h3")]
    flavor = TOLERATED[by] if by == "flavor" else ()
    assert passed(cluster(it, nodes, [on("h1", 0)], flavor)).unhealthy == (() if by else ("h2",))
    assert passed(cluster(it, nodes, [on("h1", 0), on("h2", 1)], flavor)) is it


def test_soft_taint() -> None:
    """A PreferNoSchedule taint takes no node away."""
    it = group("h1", "h2")
    soft = replace(TAINT, effect="PreferNoSchedule")
    assert passed(cluster(it, [node("h1"), node("h2", taints=(soft,))])) is it


def test_only_admitted_groups() -> None:
    """A group that is not admitted, or on its way out, is not given another node."""
    assert not node_failures.on_nodes(placed(reserving(), "h1"))
    gone = group("h1", "h2")
    evicted = replace(gone, conditions={**gone.conditions, "Evicted": gone.conditions["Admitted"]})
    assert passed(cluster(evicted, [])) is evicted


def test_coarser_levels() -> None:
    """Where the lowest level is no single node, a lost node is nobody's concern."""
    it = group("h1", "h2")
    assert it.admission is not None
    (given,) = it.admission.podsets
    assert given.topology is not None
    topology = replace(given.topology, levels=(RACK,), domains=((("r1",), 2),))
    it = replace(it, admission=replace(it.admission, podsets=(replace(given, topology=topology),)))
    assert passed(cluster(it, [])) is it


def test_two_groups_do_not_take_the_same_node() -> None:
    """Two groups that each lost a node in one pass do not both get the last spare one."""
    first, second = group("h1", "h2", unhealthy=("h2",)), group("h3", "h4", unhealthy=("h4",))
    second = replace(second, name="w-1", uid="uid-1", group=1)
    draft = cluster(first, [node("h1"), node("h3"), node("spare")])
    draft = Draft(replace(draft.snapshot, workloads={w.key: w for w in (first, second)}), NOW)
    node_failures.keep(draft)
    found = [draft.workload(("ns", name)) for name in ("w-0", "w-1")]
    assert sorted(w.evicted for w in found if w) == [False, True]


def test_what_is_given_up_now_is_not_free_yet() -> None:
    """A place that another group gives up in this very pass is no replacement: that is not stored yet."""
    first, second = group("h1", "h2", unhealthy=("h2",)), group("spare", "h3")
    second = replace(second, name="w-1", uid="uid-1", group=1)
    second = eviction.evicted(second, "Preempted", "", NOW)
    draft = cluster(first, [node("h1"), node("h3"), node("spare")])
    draft = Draft(replace(draft.snapshot, workloads={w.key: w for w in (first, second)}), NOW)
    lifecycle.keep(draft)
    moved, gone = (draft.workload(("ns", name)) for name in ("w-0", "w-1"))
    assert gone is not None
    assert moved is not None
    assert not gone.reserves
    assert moved.evicted
