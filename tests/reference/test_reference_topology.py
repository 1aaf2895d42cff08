"""Where the pods of a group go: the vectors of the specification, an exhaustive oracle, replacement and ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from topology_oracle import Host, Outcome, legal, sliced

from conformance import names
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Assignment,
    Condition,
    Container,
    Flavor,
    LimitRange,
    Match,
    Node,
    Pod,
    PodSet,
    Snapshot,
    Taint,
    Template,
    Toleration,
    Topology,
    TopologyAssignment,
    TopologyRequest,
    Values,
    Workload,
)
from conformance.reference.topology import Placement, Places, ranks

LEVELS = (names.BLOCK, names.RACK, names.HOSTNAME)
DEPTHS = {"block": 1, "rack": 2, "hostname": 3}
LABEL = {"block": names.BLOCK, "rack": names.RACK, "hostname": names.HOSTNAME}


def amounts(cpu: int = 0, gpu: int = 0, **more: int) -> dict[str, int]:
    """Millicores, whole devices, and others as they are; nothing where zero is given."""
    asked = {"cpu": cpu, names.GPU: gpu * 1000, **more}
    return {resource: amount for resource, amount in asked.items() if amount}


def node(name: str, block: str = "b1", rack: str = "r1", cpu: int = 4000, gpu: int = 1, slots: int = 110) -> Node:
    labels = {"pool": "tas", names.BLOCK: block, names.RACK: rack, names.HOSTNAME: name}
    return Node(name, labels, {"cpu": cpu, names.GPU: gpu * 1000, "pods": slots * 1000})


def world(nodes: Sequence[Node], levels: Sequence[str] = LEVELS, **more: Any) -> Snapshot:
    """A cluster with one topology flavor."""
    return Snapshot(
        nodes={one.name: one for one in nodes},
        flavors=more.pop("flavors", {"tas": Flavor("tas", {"pool": "tas"}, topology="levels")}),
        topologies={"levels": Topology("levels", tuple(levels))},
        **more,
    )


def template(requests: Mapping[str, int], **more: Any) -> Template:
    return Template((Container(requests),), **more)


def workload(name: str, *podsets: PodSet, **more: Any) -> Workload:
    return Workload("ns", name, podsets=podsets, set_name=name, group=0, **more)


def group(
    leader: Mapping[str, int],
    worker: Mapping[str, int],
    workers: int,
    level: str = "rack",
    mode: Any = "required",
    name: str = "one",
    partner: str = "together",
    leader_template: Template | None = None,
) -> Workload:
    """A LeaderWorkerSet's group with both podsets in one podset group."""
    request = TopologyRequest(mode, LABEL[level], partner)
    return workload(
        name,
        PodSet("leader", 1, leader_template or template(leader), request),
        PodSet("worker", workers, template(worker), request),
    )


def every(one: Workload) -> dict[str, str]:
    return {podset.name: "tas" for podset in one.podsets}


def place(snapshot: Snapshot, one: Workload, **more: Any) -> Placement:
    return Places.of(Draft(snapshot, 0.0)).place(one, every(one), **more)


def hosts(assignment: TopologyAssignment) -> dict[str, int]:
    return {values[-1]: pods for values, pods in assignment.domains}


def admission(placement: Placement) -> Admission:
    given = placement.assignments.items()
    pods = {name: sum(number for _, number in one.domains) for name, one in given}
    return Admission("queue", tuple(Assignment(name, pods[name], {"cpu": "tas"}, topology=one) for name, one in given))


def admitted(one: Workload, placement: Placement) -> Workload:
    assert not placement.refusal
    conditions = {"QuotaReserved": Condition(True), "Admitted": Condition(True)}
    return replace(one, admission=admission(placement), conditions=conditions)


def shown(placement: Placement) -> tuple[dict[str, int], dict[str, int]] | None:
    """Hosts of leader and of workers; None where it was refused."""
    if placement.refusal:
        assert not placement.assignments
        return None
    return hosts(placement.assignments["leader"]), hosts(placement.assignments["worker"])


def outcome(snapshot: Snapshot, placement: Placement) -> Outcome | None:
    """As the oracle writes it."""
    both = shown(placement)
    if both is None:
        return None
    order = sorted(snapshot.nodes)
    (leader,) = both[0]
    assert set(both[0].values()) == {1}
    return order.index(leader), tuple(both[1].get(name, 0) for name in order)


def hosts_of(snapshot: Snapshot, leader: Template | None = None) -> list[Host]:
    return [
        Host(
            tuple(one.labels[level] for level in LEVELS),
            one.allocatable,
            for_leader=leader is None or all(one.labels.get(key) == value for key, value in leader.selector.items()),
        )
        for _, one in sorted(snapshot.nodes.items())
    ]


def pod_of(requests: Mapping[str, int]) -> dict[str, int]:
    return {**requests, "pods": 1000}


# The vectors of the specification (§2.9)


@dataclass(frozen=True)
class Vector:
    nodes: Sequence[Node]
    group: Workload
    outcomes: int
    """How many there are, by the specification."""
    kueue: tuple[str, dict[str, int]] | None = None
    """Leader's host and workers' hosts where the specification names the only or the usual one."""
    foreign: Mapping[str, Mapping[str, int]] | None = None


SMALL = amounts(cpu=100)
ONE_GPU = amounts(gpu=1)
TWO_RACKS = [node("h1"), node("h2"), node("h3", rack="r2"), node("h4", rack="r2")]
THREE_RACKS = [node("h1"), node("h2", rack="r2"), node("h3", rack="r3")]
B1 = [f"b1{rack}{host}" for rack in ("r1", "r2") for host in "xy"]
B2 = [f"b2{rack}{host}" for rack in ("r1", "r2") for host in "xy"]
BLOCKS = [node(f"{b}{r}{h}", b, r) for b in ("b1", "b2") for r in ("r1", "r2") for h in "xy"]
LEADER_ON_H4 = [*TWO_RACKS[:3], replace(TWO_RACKS[3], labels={**TWO_RACKS[3].labels, "leaders": "yes"})]

VECTORS = {
    "V1": Vector(TWO_RACKS, group(SMALL, ONE_GPU, 2), 4, ("h1", {"h1": 1, "h2": 1})),
    "V2 no rack fits": Vector(THREE_RACKS, group(SMALL, ONE_GPU, 2), 0),
    "V2 a node comes": Vector(
        [*THREE_RACKS, node("h4", rack="r2")], group(SMALL, ONE_GPU, 2), 2, ("h2", {"h2": 1, "h4": 1})
    ),
    "V4": Vector(
        [node("h1", cpu=2000, gpu=0), node("h2", rack="r2", cpu=3000, gpu=0)],
        group(amounts(cpu=1000), amounts(cpu=1000), 2), 1, ("h2", {"h2": 2}),
    ),
    "V4b": Vector(
        [node("h1", cpu=1000), node("h2", cpu=1000), node("h3", rack="r2", cpu=1000), node("h4", rack="r2")],
        group(amounts(cpu=2000), amounts(cpu=1000, gpu=1), 2), 1, ("h4", {"h3": 1, "h4": 1}),
    ),
    "V5": Vector(
        [node("h1", cpu=2000), node("h2", cpu=4000), node("h3", cpu=3000)],
        group(amounts(cpu=1000), amounts(cpu=2000), 4), 1, ("h3", {"h1": 1, "h2": 2, "h3": 1}),
    ),
    "V6": Vector(BLOCKS, group(SMALL, ONE_GPU, 4, "block"), 8, ("b1r1x", dict.fromkeys(B1, 1))),
    "V6r": Vector(BLOCKS, group(SMALL, ONE_GPU, 4, "rack"), 0),
    "V6c": Vector(
        BLOCKS, group(SMALL, ONE_GPU, 4, "block"), 4, ("b2r1x", dict.fromkeys(B2, 1)),
        foreign={"b1r2y": pod_of(ONE_GPU)},
    ),
    "V7": Vector(
        [node("h1", cpu=8000), node("h2", cpu=3000)],
        group(amounts(cpu=1000), amounts(cpu=2000), 5, "hostname", "preferred"), 1, ("h2", {"h1": 4, "h2": 1}),
    ),
    "V8": Vector(
        [node("h1", cpu=8000, gpu=8, slots=4), node("h2", rack="r2", cpu=8000, gpu=8, slots=5)],
        group(SMALL, ONE_GPU, 4), 1, ("h2", {"h2": 4}),
    ),
    "V9": Vector([node(f"h{i}", cpu=3000) for i in (1, 2, 3)], group(SMALL, amounts(cpu=2000), 4), 0),
    "V10": Vector([node("h1", "b1"), node("h2", "b2")], group(SMALL, ONE_GPU, 2), 0),
    "V13": Vector(
        LEADER_ON_H4,
        group(SMALL, ONE_GPU, 2, leader_template=template(SMALL, selector={"leaders": "yes"})),
        1, ("h4", {"h3": 1, "h4": 1}),
    ),
    "V15": Vector(
        [node("h1", cpu=3000), node("h2", rack="r2", gpu=0), node("h3", rack="r2", cpu=500)],
        group(amounts(cpu=4000), amounts(cpu=500, gpu=1), 1), 1, ("h2", {"h3": 1}),
    ),
    "V16": Vector(
        [node("h1", gpu=2), node("h2", gpu=3), node("h3", rack="r2", cpu=50, gpu=3)],
        group(SMALL, ONE_GPU, 3, "hostname"), 1, ("h2", {"h2": 3}),
    ),
    "V17": Vector(
        [node("h1", cpu=100, gpu=0), node("h2", cpu=2000, gpu=2), node("h3", rack="r2", cpu=1900, gpu=2)],
        group(SMALL, amounts(cpu=1000, gpu=1), 2), 1, ("h1", {"h2": 2}),
    ),
    "V18": Vector(
        [node("h1", "b1", cpu=11000, gpu=8), node("h2", "b2", cpu=4000, gpu=4)],
        group(amounts(cpu=1000), amounts(cpu=1000, gpu=1), 4, "block"), 1, ("h1", {"h1": 4}),
    ),
    "V18 none": Vector(
        [node("h1", "b1", cpu=1000, gpu=0), node("h2", "b2", cpu=4000, gpu=4)],
        group(amounts(cpu=1000), amounts(cpu=1000, gpu=1), 4, "block"), 0,
    ),
    "V19 topology alone": Vector(THREE_RACKS, group(SMALL, ONE_GPU, 2), 0),
    "V22": Vector(TWO_RACKS, group({}, ONE_GPU, 2), 4, ("h1", {"h1": 1, "h2": 1})),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name: str) -> None:
    """A group in one podset group is placed if and only if a legal outcome exists, and then in one of them."""
    vector = VECTORS[name]
    snapshot = world(vector.nodes, foreign=vector.foreign or {})
    leader, worker = vector.group.podsets
    request = leader.topology
    assert request is not None
    # V7 prefers: it may be spread, since no single host takes it.
    depth = LEVELS.index(request.level) + 1 if request.mode == "required" else 0
    there = [
        replace(host, free={r: a - (vector.foreign or {}).get(name, {}).get(r, 0) for r, a in host.free.items()})
        for name, host in zip(sorted(snapshot.nodes), hosts_of(snapshot, leader.template), strict=True)
    ]
    ask, each = leader.template.containers[0].requests, worker.template.containers[0].requests
    outcomes = legal(there, pod_of(ask), pod_of(each), worker.count, depth)
    assert len(outcomes) == vector.outcomes
    placement = place(snapshot, vector.group)
    assert (outcome(snapshot, placement) in outcomes) is bool(outcomes)
    if vector.kueue is None:
        assert placement.refusal
    else:
        at, workers = vector.kueue
        assert shown(placement) == ({at: 1}, workers)


def test_v3_replicas() -> None:
    """V3: two racks take two groups, each whole in its own rack; the third waits until one is given back."""
    places = Places.of(Draft(world(TWO_RACKS), 0.0))
    groups = [group(SMALL, ONE_GPU, 2, name=f"g{index}") for index in range(3)]
    first, second = (places_for(places, one) for one in groups[:2])
    assert shown(first) == ({"h1": 1}, {"h1": 1, "h2": 1})
    assert shown(second) == ({"h3": 1}, {"h3": 1, "h4": 1})
    assert places.place(groups[2], every(groups[2])).refusal
    places.release(groups[0], admission(first))
    assert shown(places.place(groups[2], every(groups[2]))) == ({"h1": 1}, {"h1": 1, "h2": 1})


def places_for(places: Places, one: Workload) -> Placement:
    """Place it and take the places."""
    placement = places.place(one, every(one))
    assert not placement.refusal
    places.take(one, admission(placement))
    return placement


def test_v11_without_a_group_name() -> None:
    """V11: podsets without a group name may be apart; with one they must not."""
    nodes = [node("h1", cpu=100), node("h2", cpu=100), node("h3", rack="r2", gpu=0)]
    required = TopologyRequest("required", names.RACK)
    apart = workload(
        "one",
        PodSet("leader", 1, template(amounts(cpu=2000))),
        PodSet("worker", 2, template(amounts(gpu=1)), required),
    )
    placement = place(world(nodes), apart, implied=frozenset({"leader"}))
    assert shown(placement) == ({"h3": 1}, {"h1": 1, "h2": 1})
    assert place(world(nodes), group(amounts(cpu=2000), ONE_GPU, 2)).refusal


TAKERS: dict[str, tuple[Node, Mapping[str, Mapping[str, int]]]] = {
    "cordoned": (replace(TWO_RACKS[2], unschedulable=True), {}),
    "not ready": (replace(TWO_RACKS[2], ready=False), {}),
    "without rack": (
        replace(TWO_RACKS[2], labels={k: v for k, v in TWO_RACKS[2].labels.items() if k != names.RACK}), {},
    ),
    "tainted": (replace(TWO_RACKS[2], taints=(Taint("broken"),)), {}),
    "taken": (TWO_RACKS[2], {"h3": pod_of(ONE_GPU)}),
    "of another pool": (replace(TWO_RACKS[2], labels={**TWO_RACKS[2].labels, "pool": "other"}), {}),
}  # fmt: skip


@pytest.mark.parametrize("cause", TAKERS)
def test_v12_capacity_takers(cause: str) -> None:
    """V12: a host that does not count, or is taken, closes its rack for the group, and nothing else."""
    host, foreign = TAKERS[cause]
    snapshot = world([*TWO_RACKS[:2], host, TWO_RACKS[3]], foreign=foreign)
    places = Places.of(Draft(snapshot, 0.0))
    first, second = (group(SMALL, ONE_GPU, 2, name=name) for name in ("first", "second"))
    assert shown(places_for(places, first)) == ({"h1": 1}, {"h1": 1, "h2": 1})
    assert places.place(second, every(second)).refusal


def test_taints_are_tolerated_by_pods_and_by_flavors() -> None:
    """A taint that the pods or their flavor tolerate closes nothing, and for each podset by its own tolerations."""
    nodes = [replace(one, taints=(Taint("broken"),)) for one in TWO_RACKS]
    stands = (Toleration("broken", "Exists"),)
    flavor = Flavor("tas", {"pool": "tas"}, tolerations=stands, topology="levels")
    one = group(SMALL, ONE_GPU, 2)
    assert place(world(nodes), one).refusal
    assert not place(world(nodes, flavors={"tas": flavor}), one).refusal
    leader_only = replace(
        one, podsets=(replace(one.podsets[0], template=template(SMALL, tolerations=stands)), one.podsets[1])
    )
    assert place(world(nodes), leader_only).refusal
    # The leader alone stands the taint of h2; the workers have h1.
    mixed = world([node("h1", cpu=50, gpu=2), replace(node("h2"), taints=(Taint("broken"),))])
    assert shown(place(mixed, leader_only)) == ({"h2": 1}, {"h1": 2})


def test_v14_two_groups_in_one_pass() -> None:
    """V14: what the first group of a pass takes is gone for the second."""
    snapshot = world([node("h1", gpu=0)])
    places = Places.of(Draft(snapshot, 0.0))
    small = group(amounts(cpu=1000), amounts(cpu=1000), 1, name="a")
    large = group(amounts(cpu=2000), amounts(cpu=2000), 1, name="b")
    places_for(places, small)
    assert places.place(large, every(large)).refusal
    places = Places.of(Draft(snapshot, 0.0))
    places_for(places, large)
    assert places.place(small, every(small)).refusal


def slices(pods: int, size: int, level: str = "hostname", mode: Any = "preferred", at: str = "rack") -> Workload:
    request = TopologyRequest(mode, LABEL[at], slices=((LABEL[level], size),))
    return workload("one", PodSet("main", pods, template(ONE_GPU), request))


def test_v21_slices() -> None:
    """V21: with slices of two by host every host gets an even number, on as few hosts as possible."""
    snapshot = world([node(f"h{index}", gpu=gpus) for index, gpus in enumerate((6, 5, 4, 3, 2))])
    given = place(snapshot, slices(12, 2)).assignments["main"]
    assert given.domains == ((("h0",), 6), (("h1",), 4), (("h3",), 2))
    assert place(snapshot, slices(18, 2)).assignments["main"].domains == (
        (("h0",), 6), (("h1",), 4), (("h2",), 4), (("h3",), 2), (("h4",), 2),
    )  # fmt: skip
    assert place(snapshot, slices(20, 2)).refusal


def test_a_partial_slice_is_placed_and_comes_last() -> None:
    """Slices that do not divide the pods leave a partial one (#15277): all pods are placed, and no slice straddles."""
    snapshot = world([node("h1", gpu=1), node("h2", gpu=2), node("h3", gpu=2)])
    given = place(snapshot, slices(5, 2)).assignments["main"]
    assert given.domains == ((("h2",), 2), (("h3",), 2), (("h1",), 1))
    assert place(world([node("h1", gpu=1), node("h2", gpu=1), node("h3", gpu=3)]), slices(5, 2)).refusal


# Beyond the vectors


def test_lowest_level_above_the_host_is_one_bucket() -> None:
    """With racks as leaves capacities are summed and filters unseen, and assignments name all levels."""
    nodes = [replace(node(f"h{i}", cpu=3000), taints=(Taint("broken"),)) for i in (1, 2, 3)]
    placement = place(world(nodes, LEVELS[:2]), group(SMALL, amounts(cpu=2000), 4))
    given = placement.assignments["worker"]
    assert given == TopologyAssignment(LEVELS[:2], ((("b1", "r1"), 4),))
    assert place(world(nodes, LEVELS[:2]), group(SMALL, amounts(cpu=2000), 5)).refusal


def test_leader_first_on_hosts_that_fit_exactly() -> None:
    """TAS-08: on hosts of one pod each, the leader has the first host and the workers the following ones in order."""
    snapshot = world([node(f"h{index}") for index in range(1, 6)])
    placement = place(snapshot, group(ONE_GPU, ONE_GPU, 3))
    assert placement.assignments["leader"] == TopologyAssignment((names.HOSTNAME,), ((("h1",), 1),))
    assert placement.assignments["worker"].domains == ((("h2",), 1), (("h3",), 1), (("h4",), 1))


def test_leader_where_it_costs_no_worker() -> None:
    """Among equally few hosts the leader goes where it takes no worker's place."""
    nodes = [node("h1", cpu=2000, gpu=2), node("h2", cpu=4000, gpu=2)]
    placement = place(world(nodes), group(amounts(cpu=500), amounts(cpu=1000, gpu=1), 3))
    assert shown(placement) == ({"h2": 1}, {"h1": 1, "h2": 2})


def test_smallest_sufficient_domain() -> None:
    """TAS-28: of the racks that take the group the one with the least room is used, so that large ones stay whole."""
    nodes = [node("a", rack="r1", gpu=8), node("b", rack="r2", gpu=3), node("c", rack="r3", gpu=2)]
    assert shown(place(world(nodes), group(SMALL, ONE_GPU, 3))) == ({"b": 1}, {"b": 3})


def test_preferred_goes_up_level_by_level() -> None:
    """TAS-12: a level that fits is used before the one above; at last the group is spread; then it waits."""
    sizes = [(names.HOSTNAME, 1), (names.RACK, 2), (names.BLOCK, 4), ("", 8)]
    for level, workers in sizes:
        both = shown(place(world(BLOCKS), group(SMALL, ONE_GPU, workers, "hostname", "preferred")))
        assert both is not None
        used = [world(BLOCKS).nodes[name].labels for name in (*both[0], *both[1])]
        assert sum(both[1].values()) == workers
        assert level == "" or len({labels[level] for labels in used}) == 1
    assert place(world(BLOCKS), group(SMALL, ONE_GPU, 9, "hostname", "preferred")).refusal


def test_preferred_level_before_the_smallest_room_above() -> None:
    """A rack that takes all is used, although another block, of which no rack does, has less room."""
    nodes = [node("h1", "b1", "r1", gpu=2), node("h2", "b1", "r2"), node("h3", "b2", "r1", gpu=5)]
    assert shown(place(world(nodes), group(SMALL, ONE_GPU, 3, mode="preferred"))) == ({"h3": 1}, {"h3": 3})


def test_node_affinity_closes_hosts() -> None:
    """Required node affinity counts as a node selector does, for each podset by its own."""
    away = template(SMALL, affinity=((Match(names.HOSTNAME, "NotIn", ("h1", "h2")),),))
    assert shown(place(world(TWO_RACKS), group(SMALL, ONE_GPU, 2, leader_template=away))) == (
        {"h3": 1},
        {"h3": 1, "h4": 1},
    )


def test_a_group_without_a_level_has_its_leader_too() -> None:
    """A Workload made by hand may have a podset group that asks for no level: both podsets have their places."""
    assert shown(place(world(THREE_RACKS), group(SMALL, ONE_GPU, 3, mode="unconstrained"))) == (
        {"h1": 1},
        {"h1": 1, "h2": 1, "h3": 1},
    )


def test_two_nodes_with_one_host_name() -> None:
    """An assignment could not tell them apart, so only the first counts."""
    twin = Node("twin", node("h1").labels, node("h1").allocatable)
    assert place(world([node("h1"), twin]), group(SMALL, ONE_GPU, 2)).refusal


def test_racks_of_one_name_in_two_blocks() -> None:
    """Racks are known by their block too: b1/r1 and b2/r1 do not make one rack."""
    nodes = [node("h1", "b1", gpu=1), node("h2", "b2", gpu=2)]
    assert shown(place(world(nodes), group(SMALL, ONE_GPU, 2))) == ({"h2": 1}, {"h2": 2})
    assert place(world(nodes), group(SMALL, ONE_GPU, 3)).refusal


def test_unconstrained_fits_node_by_node() -> None:
    """TAS-13: without a level the sum does not matter, each pod needs its own room on one node; full nodes first."""
    one = workload("one", PodSet("main", 2, template(amounts(cpu=3000)), TopologyRequest("unconstrained")))
    assert place(world([node(f"h{i}", cpu=2000) for i in range(4)]), one).refusal
    placement = place(world([node("h1", cpu=12000), node("h2", cpu=7000), node("h3", cpu=3000)]), one)
    assert hosts(placement.assignments["main"]) == {"h2": 2}
    spread = replace(one, podsets=(replace(one.podsets[0], count=3),))
    placement = place(world([node("h1", cpu=6000), node("h2", cpu=3000), node("h3", cpu=3000)]), spread)
    assert hosts(placement.assignments["main"]) == {"h1": 1, "h2": 1, "h3": 1}


def test_podsets_that_ask_for_nothing_are_placed_only_if_implied() -> None:
    """A podset without a topology request has places in a queue of topology flavors alone; one of no pods never."""
    one = workload("one", PodSet("leader", 1, template(SMALL)), PodSet("worker", 0, template(ONE_GPU)))
    assert place(world(TWO_RACKS), one) == Placement()
    placement = place(world(TWO_RACKS), one, implied=frozenset({"leader", "worker"}))
    assert list(placement.assignments) == ["leader"]


def test_group_of_size_one() -> None:
    """TAS-33: a podset group whose workers are none is its leader alone."""
    placement = place(world(TWO_RACKS), group(ONE_GPU, ONE_GPU, 0))
    assert {name: hosts(given) for name, given in placement.assignments.items()} == {"leader": {"h1": 1}}


def test_podsets_without_a_group_see_what_the_other_takes() -> None:
    """TAS-11: placed one after another, and in the other order if the first leaves nothing for the second."""
    required = TopologyRequest("required", names.RACK)
    one = workload(
        "one",
        PodSet("leader", 1, template(amounts(cpu=1000)), required),
        PodSet("worker", 2, template(amounts(cpu=2000)), required),
    )
    # The leader alone would take r1, the smaller rack, which is the only one that takes both workers.
    nodes = [node("h1", cpu=2000), node("h2", cpu=2000), node("h3", rack="r2", cpu=1999), *many("h4", 3)]
    both = shown(place(world(nodes), one))
    assert both is not None
    assert "h1" not in both[0]
    assert both[1] == {"h1": 1, "h2": 1}
    places = Places.of(Draft(world(nodes), 0.0))
    assert places.place(one, every(one)) == places.place(one, every(one))


def many(name: str, number: int) -> list[Node]:
    return [node(f"{name}{index}", rack="r2", cpu=1999) for index in range(number)]


@pytest.mark.parametrize(
    "request_",
    [
        TopologyRequest("required", "nowhere"),
        TopologyRequest("required", names.HOSTNAME, slices=((names.RACK, 2),)),
        TopologyRequest("required", names.RACK, slices=(("nowhere", 2),)),
        TopologyRequest("required", names.BLOCK, slices=((names.RACK, 4), (names.HOSTNAME, 3))),
        TopologyRequest("required", names.BLOCK, slices=((names.RACK, 4), (names.RACK, 2))),
        TopologyRequest("required", names.RACK, slices=((names.HOSTNAME, 0),)),
    ],
)
def test_what_a_topology_cannot_answer(request_: TopologyRequest) -> None:
    """TAS-18: unknown levels, and slices that do not nest, are refused with a sentence whatever is free."""
    one = workload("one", PodSet("main", 2, template(SMALL), request_))
    assert place(world(TWO_RACKS), one).refusal


def test_flavor_without_topology() -> None:
    """TAS-17: a flavor that has no topology, or whose Topology is not there, gives no places."""
    one = group(SMALL, ONE_GPU, 2)
    plain = {"tas": Flavor("tas", {"pool": "tas"}), "lost": Flavor("lost", {}, topology="gone")}
    places = Places.of(Draft(world(TWO_RACKS, flavors=plain), 0.0))
    for flavor in ("tas", "lost", "missing"):
        assert places.place(one, {"leader": flavor, "worker": flavor}).refusal


# What is free


def test_reservations_take_places_until_they_are_released() -> None:
    """TAS-14: assignments of every Workload with a reservation count, its pods do not; none of others count."""
    one = group(SMALL, ONE_GPU, 2, name="first")
    snapshot = world(TWO_RACKS[:2])
    holder = admitted(one, place(snapshot, one))
    second = group(SMALL, ONE_GPU, 2, name="second")
    assert place(world(TWO_RACKS[:2], workloads={holder.key: holder}), second).refusal
    gone = replace(holder, conditions={"QuotaReserved": Condition(False)})
    assert not place(world(TWO_RACKS[:2], workloads={gone.key: gone}), second).refusal
    evicted = replace(
        holder, conditions={**holder.conditions, "Evicted": Condition(True), "Admitted": Condition(False)}
    )
    assert place(world(TWO_RACKS[:2], workloads={evicted.key: evicted}), second).refusal


def test_what_the_pass_decided_counts() -> None:
    """Places are as the pass has left them, not as the snapshot had them."""
    one = group(SMALL, ONE_GPU, 2, name="first")
    snapshot = world(TWO_RACKS[:2], workloads={one.key: one})
    draft = Draft(snapshot, 0.0)
    draft.put(admitted(one, place(snapshot, one)))
    second = group(SMALL, ONE_GPU, 2, name="second")
    assert Places.of(draft).place(second, every(second)).refusal


def test_bound_pods_without_assignment_count() -> None:
    """Managed pods whose Workload holds no topology assignment take their node until they finish."""
    plain = workload("plain", PodSet("main", 1, template(ONE_GPU)), conditions={"QuotaReserved": Condition(True)})
    plain = replace(plain, admission=Admission("q", (Assignment("main", 1, {"cpu": "other"}),)))
    pod = Pod("ns", "p", node="h1", requests=pod_of(ONE_GPU), set_name="plain", group=0, suspended=True)
    for one, fits in ((pod, False), (replace(pod, finished=True), True), (replace(pod, node=""), True)):
        snapshot = world(
            TWO_RACKS[:2], workloads={plain.key: plain}, pods={("ns", "plain", 0): {one.key: one}},
        )  # fmt: skip
        assert bool(place(snapshot, group(SMALL, ONE_GPU, 2)).refusal) is not fits


def test_flavors_share_their_hosts() -> None:
    """What one flavor takes of a host is gone for another flavor that counts the host."""
    flavors = {name: Flavor(name, {"pool": "tas"}, topology="levels") for name in ("tas", "other")}
    snapshot = world(TWO_RACKS[:2], flavors=flavors)
    first, second = (group(SMALL, ONE_GPU, 2, name=name) for name in ("first", "second"))
    other = {"leader": "other", "worker": "other"}
    for early in (True, False):
        places = Places.of(Draft(snapshot, 0.0))
        if early:
            assert not places.place(second, other).refusal
        places_for(places, first)
        assert places.place(second, other).refusal


def test_flavors_share_buckets_only_with_common_nodes() -> None:
    """Two flavors that divide a rack between them have each their own part of it."""
    halves = [node("h1"), node("h2"), *(replace(one, labels={**one.labels, "half": "b"}) for one in many("k", 2))]
    halves = [replace(one, labels={**one.labels, names.RACK: "r1"}) for one in halves]
    halves = [replace(one, labels={"half": "a", **one.labels}) for one in halves]
    both = {name: Flavor(name, {"half": name}, topology="levels") for name in ("a", "b")}
    everything = {**both, "all": Flavor("all", {"pool": "tas"}, topology="levels")}
    places = Places.of(Draft(world(halves, LEVELS[:2], flavors=everything), 0.0))
    one = group(SMALL, ONE_GPU, 2)

    def refused(flavor: str, workers: int = 2) -> bool:
        asked = replace(one, podsets=(one.podsets[0], replace(one.podsets[1], count=workers)))
        return bool(places.place(asked, {"leader": flavor, "worker": flavor}).refusal)

    assert not refused("b")
    assert not refused("all", 4)
    placement = places.place(one, {"leader": "a", "worker": "a"})
    taken = admission(placement)
    taken = replace(taken, podsets=tuple(replace(given, flavors={"cpu": "a"}) for given in taken.podsets))
    places.take(one, taken)
    asked = [("a", 1), ("b", 2), ("all", 3), ("all", 2)]
    assert [refused(*one) for one in asked] == [True, False, True, False]


def test_trees_follow_the_nodes() -> None:
    """A snapshot with other nodes is another topology, even if its version is the same."""
    one = group(SMALL, ONE_GPU, 2)
    assert place(world(TWO_RACKS[:1]), one).refusal
    assert not place(world(TWO_RACKS[:2]), one).refusal
    assert place(world([TWO_RACKS[0], replace(TWO_RACKS[1], ready=False)]), one).refusal


# Exactness, by an exhaustive oracle

SMALL_NUMBERS = st.integers(0, 3)


@st.composite
def clusters(draw: st.DrawFn, largest: int = 4) -> list[Node]:
    number = draw(st.integers(1, largest))
    return [
        Node(
            f"h{index}",
            {
                "pool": "tas",
                "kind": draw(st.sampled_from(["x", "y"])),
                names.BLOCK: draw(st.sampled_from(["b1", "b2"])),
                names.RACK: draw(st.sampled_from(["r1", "r2"])),
                names.HOSTNAME: f"h{index}",
            },
            {"cpu": draw(st.integers(0, 5)), "gpu": draw(SMALL_NUMBERS), "pods": draw(st.integers(1, 5)) * 1000},
        )
        for index in range(number)
    ]


REQUESTS = st.fixed_dictionaries({}, optional={"cpu": SMALL_NUMBERS, "gpu": st.integers(0, 2)})
SELECTORS = st.sampled_from([{}, {}, {"kind": "x"}])
TREES = st.sampled_from([LEVELS, LEVELS[1:], LEVELS[2:]])


def oracle_hosts(nodes: Sequence[Node], levels: Sequence[str], leader: Template | None, worker: Template) -> list[Host]:
    def open_to(one: Node, template_: Template | None) -> bool:
        return template_ is None or all(one.labels[key] == value for key, value in template_.selector.items())

    return [
        Host(tuple(one.labels[level] for level in levels), one.allocatable, open_to(one, leader), open_to(one, worker))
        for one in nodes
    ]


@settings(max_examples=300, deadline=None)
@given(clusters(), TREES, REQUESTS, SELECTORS, REQUESTS, SELECTORS, st.integers(1, 4), st.data())
def test_grouped_placement_is_exact(
    nodes: list[Node],
    levels: tuple[str, ...],
    leader: dict[str, int],
    leader_selector: dict[str, str],
    worker: dict[str, int],
    worker_selector: dict[str, str],
    workers: int,
    data: st.DataObject,
) -> None:
    """A group is placed if and only if some placement exists, legally, and `preferred` at the lowest level possible."""
    depth = data.draw(st.integers(1, len(levels)))
    mode: Any = data.draw(st.sampled_from(["required", "preferred"]))
    request = TopologyRequest(mode, levels[depth - 1], "together")
    leads, works = template(leader, selector=leader_selector), template(worker, selector=worker_selector)
    podsets = (PodSet("leader", 1, leads, request), PodSet("worker", workers, works, request))
    snapshot = world(nodes, levels)
    found = outcome(snapshot, place(snapshot, workload("one", *podsets)))
    there = oracle_hosts(nodes, levels, leads, works)
    depths = [depth] if mode == "required" else range(depth, -1, -1)
    outcomes = next(
        (all_ for at in depths if (all_ := legal(there, pod_of(leader), pod_of(worker), workers, at))), set()
    )
    assert (found in outcomes) if outcomes else found is None


@settings(max_examples=200, deadline=None)
@given(clusters(), TREES, REQUESTS, SELECTORS, st.integers(1, 5), st.data())
def test_single_placement_is_exact(
    nodes: list[Node],
    levels: tuple[str, ...],
    requests: dict[str, int],
    selector: dict[str, str],
    pods: int,
    data: st.DataObject,
) -> None:
    """A podset alone is placed if and only if it can be, in every mode; `preferred` at the lowest level possible."""
    depth = data.draw(st.integers(1, len(levels)))
    mode: Any = data.draw(st.sampled_from(["required", "preferred", "unconstrained"]))
    request = TopologyRequest(mode, levels[depth - 1])
    works = template(requests, selector=selector)
    placement = place(world(nodes, levels), workload("one", PodSet("main", pods, works, request)))
    there = oracle_hosts(nodes, levels, None, works)
    depths = {"required": [depth], "preferred": range(depth, -1, -1), "unconstrained": [0]}[mode]
    outcomes = next((all_ for at in depths if (all_ := legal(there, None, pod_of(requests), pods, at))), set())
    if not outcomes:
        assert placement.refusal
        return
    used = hosts(placement.assignments["main"])
    assert (None, tuple(used.get(one.name, 0) for one in nodes)) in outcomes
    order = [tuple(one.labels[level] for level in levels) for name in used for one in nodes if one.name == name]
    assert order == sorted(order)


LAYERS = st.sampled_from(
    [((3, 2),), ((3, 3),), ((2, 2),), ((2, 3),), ((1, 2),), ((2, 4), (3, 2)), ((1, 4), (2, 2)), ((1, 4), (3, 2))]
)


@settings(max_examples=300, deadline=None)
@given(clusters(), LAYERS, st.integers(1, 7), st.integers(0, 1), st.sampled_from(["required", "preferred"]))
def test_slices_are_exact(
    nodes: list[Node], layers: tuple[tuple[int, int], ...], pods: int, depth: int, mode: Any
) -> None:
    """Slices are placed if and only if they can be, remainder included, and ranks never straddle a slice's domain."""
    where = TopologyRequest(mode if depth else "", LEVELS[depth - 1] if depth else "")
    request = replace(where, slices=tuple((LEVELS[layer - 1], size) for layer, size in layers))
    placement = place(world(nodes), workload("one", PodSet("main", pods, template({"gpu": 1}), request)))
    there = oracle_hosts(nodes, LEVELS, None, Template())
    depths = [depth] if mode == "required" else range(depth, -1, -1)
    possible = next((at for at in depths if sliced(there, pod_of({"gpu": 1}), pods, at, layers)), None)
    if possible is None:
        assert placement.refusal
        return
    given_ = placement.assignments["main"]
    assert sum(number for _, number in given_.domains) == pods
    values = {one.name: tuple(one.labels[level] for level in LEVELS) for one in nodes}
    by_rank = [values[domain[-1]] for domain, number in given_.domains for _ in range(number)]
    assert len({one[:possible] for one in by_rank}) == 1
    for layer, size in layers:
        for start in range(0, pods, size):
            assert len({one[:layer] for one in by_rank[start : start + size]}) == 1
    for one in nodes:
        used = by_rank.count(values[one.name])
        assert used <= one.allocatable["gpu"]
        assert used * 1000 <= one.allocatable["pods"]


@settings(max_examples=150, deadline=None)
@given(clusters(), st.lists(st.tuples(REQUESTS, REQUESTS, st.integers(1, 3), st.booleans()), max_size=6))
def test_hosts_are_never_overcommitted(
    nodes: list[Node], wanted: list[tuple[dict[str, int], dict[str, int], int, bool]]
) -> None:
    """Whatever is taken and given back, what is placed together never exceeds a host, and releasing restores it all."""
    places = Places.of(Draft(world(nodes), 0.0))
    held: list[tuple[Workload, Admission]] = []
    for index, (leader, worker, workers, together) in enumerate(wanted):
        one = group(leader, worker, workers, "rack", name=f"g{index}", partner="together" if together else "")
        placement = places.place(one, every(one))
        if not placement.refusal:
            held.append((one, admission(placement)))
            places.take(*held[-1])
    used: dict[str, Counter[str]] = {one.name: Counter() for one in nodes}
    for one, taken in held:
        for podset, given_ in zip(one.podsets, taken.podsets, strict=True):
            assert given_.podset == podset.name
            assert given_.topology is not None
            for name, pods in hosts(given_.topology).items():
                for resource, amount in pod_of(podset.template.containers[0].requests).items():
                    used[name][resource] += amount * pods
    for node_ in nodes:
        assert all(amount <= node_.allocatable.get(name, 0) for name, amount in used[node_.name].items())
    for holder in held:
        places.release(*holder)
    fresh = Places.of(Draft(world(nodes), 0.0))
    assert places.capacity.stock("tas").free == fresh.capacity.stock("tas").free


SHAPES = [(SMALL, ONE_GPU, 2), (ONE_GPU, ONE_GPU, 1), (amounts(cpu=900), amounts(cpu=900), 3)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=12),
)
def test_places_follow_what_is_taken_and_given_back(gpus: list[int], steps: list[tuple[int, bool]]) -> None:
    """Places that are used on and on say the same as places that are worked out anew from the same reservations."""
    nodes = [node(f"h{index}", rack=f"r{index % 2}", gpu=gpu, cpu=2000, slots=5) for index, gpu in enumerate(gpus)]
    snapshot = world(nodes)
    asked = [group(*shape, name=f"shape{index}") for index, shape in enumerate(SHAPES)]
    places = Places.of(Draft(snapshot, 0.0))
    held: list[Workload] = []
    for index, (shape, takes) in enumerate(steps):
        if takes:
            one = group(*SHAPES[shape], name=f"g{index}")
            placement = places.place(one, every(one))
            if not placement.refusal:
                held.append(admitted(one, placement))
                places.take(held[-1], admission(placement))
        elif held:
            gone = held.pop(shape % len(held))
            assert gone.admission is not None
            places.release(gone, gone.admission)
        fresh = Places.of(Draft(replace(snapshot, workloads={one.key: one for one in held}), 0.0))
        for one in asked:
            assert places.place(one, every(one)) == fresh.place(one, every(one))


# Replacement of nodes


def replaced(snapshot: Snapshot, one: Workload, unhealthy: str, gone: bool = True) -> Placement:
    nodes = {name: node_ for name, node_ in snapshot.nodes.items() if not gone or name != unhealthy}
    after = replace(snapshot, nodes=nodes, workloads={one.key: one, **snapshot.workloads})
    return Places.of(Draft(after, 0.0)).replace(one, (unhealthy,))


V20_NODES = [
    node("h1"), node("h2", cpu=1000), node("h3", cpu=1000), node("h4", rack="r2"), node("h5", rack="r2", cpu=1000),
]  # fmt: skip


def test_v20_replacement_stays_in_the_rack() -> None:
    """V20: the worker of a lost node moves to the spare host of its rack, and nobody else moves."""
    snapshot = world(V20_NODES)
    one = group(amounts(cpu=2000), ONE_GPU, 2)
    holder = admitted(one, place(world(V20_NODES[:3]), one))
    assert shown(Placement({given.podset: given.topology for given in holder.admission.podsets})) == (  # type: ignore[union-attr, misc]
        {"h1": 1},
        {"h1": 1, "h2": 1},
    )
    for gone in (True, False):
        assert shown(replaced(snapshot, holder, "h2", gone)) == ({"h1": 1}, {"h1": 1, "h3": 1})


def test_v20_without_a_spare() -> None:
    """V20: where no host of the rack can take over there is no replacement, whatever other racks have."""
    holder = group(amounts(cpu=2000), ONE_GPU, 2)
    snapshot = world([one for one in V20_NODES if one.name != "h3"])
    holder = admitted(holder, place(world(V20_NODES[:2]), holder))
    assert replaced(snapshot, holder, "h2").refusal
    assert replaced(snapshot, holder, "h1").refusal


def test_lost_leader_stays_with_its_workers() -> None:
    """TAS-25: the leader of a lost node goes to the rack that its workers hold, although all its own pods are gone."""
    nodes = [node("h1", gpu=0), node("h2", cpu=50), node("h3", cpu=50), node("h4", rack="r0")]
    one = group(SMALL, ONE_GPU, 2)
    holder = admitted(one, place(world(nodes), one))
    assert replaced(world(nodes), holder, "h1").refusal
    spare = world([*nodes, node("h9", gpu=0)])
    assert shown(replaced(spare, holder, "h1")) == ({"h9": 1}, {"h2": 1, "h3": 1})


def test_a_cordoned_host_still_says_where_the_group_is() -> None:
    """The domain of the rest is known by its node's labels, also where that node takes no new pods."""
    nodes = [replace(one, unschedulable=one.name in ("h1",)) for one in V20_NODES]
    one = group(amounts(cpu=2000), ONE_GPU, 2)
    holder = admitted(one, place(world(V20_NODES[:3]), one))
    assert shown(replaced(world(nodes), holder, "h2")) == ({"h1": 1}, {"h1": 1, "h3": 1})


def test_all_pods_of_the_group_lost() -> None:
    """A group that was on the lost node alone is placed anew, in one domain."""
    nodes = [node("h1", gpu=2), node("h2", rack="r2"), node("h3", rack="r3"), node("h4", rack="r3")]
    one = group(SMALL, ONE_GPU, 2)
    holder = admitted(one, place(world(nodes[:1]), one))
    assert shown(replaced(world(nodes), holder, "h1")) == ({"h3": 1}, {"h3": 1, "h4": 1})
    assert replaced(world(nodes[:3]), holder, "h1").refusal


def test_preferred_is_near_if_it_can_be() -> None:
    """What was only preferred is looked for in the same rack first, then anywhere."""
    one = group(SMALL, ONE_GPU, 2, mode="preferred")
    holder = admitted(one, place(world(V20_NODES[:2]), one))
    assert shown(replaced(world(V20_NODES), holder, "h2")) == ({"h1": 1}, {"h1": 1, "h3": 1})
    far = world([V20_NODES[0], V20_NODES[1], V20_NODES[4]])
    assert shown(replaced(far, holder, "h2")) == ({"h1": 1}, {"h1": 1, "h5": 1})


def test_new_places_are_sorted_by_level_values() -> None:
    """Ranks go by the levels from the top, not by the names of the hosts."""
    nodes = [node("z", "b1"), node("m", "b1"), node("a", "b2")]
    one = group(SMALL, ONE_GPU, 2, mode="preferred")
    holder = admitted(one, place(world(nodes[:2]), one))
    moved = replaced(world(nodes), holder, "m").assignments["worker"]
    assert moved.domains == ((("z",), 1), (("a",), 1))


@pytest.mark.parametrize("gone", [True, False])
def test_pods_of_a_slice_stay_with_their_slice(gone: bool) -> None:
    """A slice that lost a pod is made whole in its own rack, though another rack has more room."""
    nodes = [node("h1"), node("h2"), node("h3", rack="r2"), node("h4", rack="r2")]
    one = slices(4, 2, "rack", "preferred", "block")
    holder = admitted(one, place(world(nodes), one))
    assert holder.admission is not None
    more = [*nodes, node("h0", rack="r0"), node("h9", rack="r1")]
    moved = replaced(world(more), holder, "h2", gone).assignments["main"]
    assert hosts(moved) == {"h1": 1, "h9": 1, "h3": 1, "h4": 1}
    assert replaced(world(more[:5]), holder, "h2", gone).refusal


def test_whole_slices_may_move() -> None:
    """Slices by host are lost whole, and go wherever the required level allows."""
    nodes = [node("h1", gpu=2), node("h2", gpu=2)]
    one = slices(4, 2, "hostname", "required", "rack")
    holder = admitted(one, place(world(nodes), one))
    more = [*nodes, node("h3"), node("h4"), node("h5", gpu=2)]
    assert hosts(replaced(world(more), holder, "h2").assignments["main"]) == {"h1": 2, "h5": 2}
    assert replaced(world(more[:4]), holder, "h2").refusal


@settings(max_examples=200, deadline=None)
@given(clusters(5), REQUESTS, REQUESTS, st.integers(1, 4), st.booleans(), st.data())
def test_replacement_is_exact_and_moves_nobody_else(
    nodes: list[Node], leader: dict[str, int], worker: dict[str, int], workers: int, gone: bool, data: st.DataObject
) -> None:
    """Lost pods are placed if and only if their rack takes them, all other pods stay, and no host is overcommitted."""
    one = group(leader, worker, workers)
    snapshot = world(nodes)
    before = shown(place(snapshot, one))
    if before is None:
        return
    holder = admitted(one, place(snapshot, one))
    bad = data.draw(st.sampled_from(sorted({*before[0], *before[1]})))
    kept = {name for name in (*before[0], *before[1]) if name != bad}
    rest = [one_ for one_ in nodes if one_.name != bad]
    free = []
    for one_ in rest:
        used = Counter(one_.allocatable)
        for requests, pods in ((leader, before[0].get(one_.name, 0)), (worker, before[1].get(one_.name, 0))):
            used.subtract({resource: amount * pods for resource, amount in pod_of(requests).items()})
        rack = tuple(one_.labels[level] for level in LEVELS)
        homes = {tuple(node_.labels[level] for level in LEVELS[:2]) for node_ in nodes if node_.name in kept}
        here = not homes or rack[:2] in homes
        free.append(Host(rack, used, here, here))
    lost = before[1].get(bad, 0)
    outcomes = legal(free, pod_of(leader) if bad in before[0] else None, pod_of(worker), lost, 2)
    after = shown(replaced(snapshot, holder, bad, gone))
    if not outcomes:
        assert after is None
        return
    assert after is not None
    moved = tuple(after[1].get(one_.name, 0) - before[1].get(one_.name, 0) for one_ in rest)
    (at,) = after[0]
    names_ = [one_.name for one_ in rest]
    assert ((names_.index(at) if bad in before[0] else None), moved) in outcomes
    assert bad in before[0] or after[0] == before[0]


# Ranks


def worker_pods(indexes: Sequence[int | None], **more: Any) -> list[Pod]:
    gates = (names.ADMISSION_GATE, names.TOPOLOGY_GATE)
    return [Pod("ns", f"p{place}", gates=gates, worker=index, **more) for place, index in enumerate(indexes)]


def assigned(*domains: tuple[str, int], grouped: bool = True, index_offset: int = 0) -> Workload:
    """A group whose worker podset has these hosts."""
    one = group(SMALL, ONE_GPU, sum(number for _, number in domains), partner="together" if grouped else "")
    leader = TopologyAssignment((names.HOSTNAME,), ((("h1",), 1),))
    worker = TopologyAssignment((names.HOSTNAME,), tuple(((name,), number) for name, number in domains))
    given_ = (Assignment("leader", 1, topology=leader), Assignment("worker", 3, topology=worker))
    podsets = (one.podsets[0], replace(one.podsets[1], index_offset=index_offset))
    return replace(one, podsets=podsets, admission=Admission("queue", given_))


def started(pod: Pod, host: str) -> Pod:
    return replace(pod, gates=(), selector={names.HOSTNAME: host})


def seats(one: Workload, pods: Sequence[Pod], podset: str = "worker") -> list[str | None]:
    domains = ranks.domains_for(one, podset, pods)
    return [domains[pod.key][-1] if pod.key in domains else None for pod in pods]


def test_ranks_fill_domains_in_order() -> None:
    """TAS-08: worker w of a grouped set has rank w - 1, and ranks fill the hosts in the assignment's order."""
    one = assigned(("h1", 1), ("h2", 2))
    assert seats(one, worker_pods([3, 1, 2])) == ["h2", "h1", "h2"]
    assert seats(one, worker_pods([0]), "leader") == ["h1"]


def test_a_late_worker_has_its_own_place() -> None:
    """A rank does not depend on which other pods are there already."""
    one = assigned(("h1", 1), ("h2", 1), ("h3", 1))
    assert [seats(one, worker_pods([index])) for index in (3, 2, 1)] == [["h3"], ["h2"], ["h1"]]


def test_offset_of_podsets_that_are_placed_alone() -> None:
    """TAS-10: without a podset group the offset is what the template's annotation says, else none."""
    assert seats(assigned(("h1", 1), ("h2", 2), grouped=False, index_offset=1), worker_pods([1, 2, 3])) == [
        "h1",
        "h2",
        "h2",
    ]
    alone = assigned(("h1", 1), ("h2", 2), grouped=False)
    assert seats(alone, worker_pods([0, 1, 2])) == ["h1", "h2", "h2"]


def test_group_of_size_two() -> None:
    """Of two podsets of one pod each the first leads, so the worker's index 1 is rank 0."""
    assert seats(assigned(("h2", 1)), worker_pods([1])) == ["h2"]


@pytest.mark.parametrize("indexes", [[None, 1, 2], [1, 1, 2], [1, 2, 9], [0, 1, 2]])
def test_without_usable_ranks_free_places_are_filled(indexes: list[int | None]) -> None:
    """Indexes that are missing, given twice or out of range are not used: the places are filled one by one."""
    assert sorted(str(seat) for seat in seats(assigned(("h1", 1), ("h2", 2)), worker_pods(indexes))) == [
        "h1",
        "h2",
        "h2",
    ]


def test_started_pods_keep_their_places() -> None:
    """A pod that runs elsewhere than its rank says keeps its place, and the others take what is free."""
    pods = worker_pods([1, 2, 3])
    pods[2] = started(pods[2], "h1")
    assert seats(assigned(("h1", 1), ("h2", 2)), pods) == ["h2", "h2", "h1"]
    pods[2] = replace(pods[2], selector={}, node="h1")
    assert seats(assigned(("h1", 1), ("h2", 2)), pods) == ["h2", "h2", "h1"]


def test_recreated_pod_takes_the_free_place() -> None:
    """TAS-30: a pod in place of a terminating or finished one takes that one's place; no pod is one too many."""
    old = started(worker_pods([2])[0], "h2")
    one = assigned(("h1", 1), ("h2", 1))
    others = [started(replace(worker_pods([1])[0], name="first"), "h1"), replace(worker_pods([2])[0], name="new")]
    for gone in (replace(old, deleted=True), replace(old, finished=True)):
        assert seats(one, [gone, *others]) == ["h2", "h1", "h2"]
    assert seats(one, [old, *others]) == ["h2", "h1", None]


def test_a_gated_pods_own_node_selector_is_no_seat() -> None:
    """Only a started pod sits somewhere: a template may name a host itself."""
    pods = [replace(pod, selector={names.HOSTNAME: "h2"}) for pod in worker_pods([1])]
    assert seats(assigned(("h1", 1)), pods) == ["h1"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.lists(st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 4), st.booleans()), max_size=7),
)
def test_never_more_pods_than_places(counts: list[int], drawn: list[tuple[int | None, int | None, bool]]) -> None:
    """However pods are numbered and seated, no host is given more new pods than its places leave free."""
    one = assigned(*((f"h{place}", number) for place, number in enumerate(counts)))
    pods = worker_pods([index for index, _, _ in drawn])
    pods = [
        replace(pod if seat is None else started(pod, f"h{seat}"), deleted=deleted)
        for pod, (_, seat, deleted) in zip(pods, drawn, strict=True)
    ]
    domains = ranks.domains_for(one, "worker", pods)
    live = [pod for pod in pods if not pod.deleted]
    sitting = Counter(pod.selector[names.HOSTNAME] for pod in live if not pod.gates)
    given_ = Counter(domains[pod.key][-1] for pod in live if pod.gates and pod.key in domains)
    for place, number in enumerate(counts):
        assert given_[f"h{place}"] <= max(0, number - sitting[f"h{place}"])
    for pod in live:
        assert pod.gates or domains[pod.key] == (pod.selector[names.HOSTNAME],)
    room = sum(max(0, number - sitting[f"h{place}"]) for place, number in enumerate(counts))
    assert sum(given_.values()) == min(room, sum(1 for pod in live if pod.gates))


def test_node_selector() -> None:
    """TAS-07: a pod is sent to its domain by every level that its assignment names."""
    values: Values = ("b1", "r1")
    assert ranks.node_selector(TopologyAssignment(LEVELS[:2], ((values, 1),)), values) == {
        names.BLOCK: "b1",
        names.RACK: "r1",
    }


@pytest.mark.parametrize(
    ("more", "given"),
    [
        ({}, {"limit_ranges": {("ns", "l"): LimitRange("ns", "l", default_requests={"cpu": 1500})}}),
        ({"runtime_class": "kata"}, {"overheads": {"kata": {"cpu": 1500}}}),
    ],
)
def test_what_is_added_to_pods_takes_room(more: dict[str, Any], given: dict[str, Any]) -> None:
    """Defaults of a LimitRange and the overhead of a RuntimeClass count on the nodes, for those placed before, too."""
    plain = workload("one", PodSet("main", 2, template({}, **more), TopologyRequest("unconstrained")))
    snapshot = world([node("n1"), node("n2")], **given)
    found = place(snapshot, plain)
    assert hosts(found.assignments["main"]) == {"n1": 2}
    first = admitted(plain, found)
    second = replace(plain, name="two", set_name="two")
    there = replace(snapshot, workloads={first.key: first})
    assert hosts(place(there, second).assignments["main"]) == {"n2": 2}
    elsewhere = replace(there, limit_ranges={}, overheads={})
    three = workload("three", PodSet("main", 5, template({"cpu": 1500}), TopologyRequest("unconstrained")))
    assert not place(there, replace(three, podsets=(replace(three.podsets[0], count=2),))).refusal
    assert place(there, three).refusal
    assert not place(elsewhere, replace(three, podsets=(replace(three.podsets[0], count=4),))).refusal
