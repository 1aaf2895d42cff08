"""The invariant about capacity (I2): histories that it must accept, and near ones that it must reject.

Hosts have 4 cores and 110 pod slots; every pod of a group asks for one core.
"""

from __future__ import annotations

import pytest

from conformance.names import HOSTNAME, RACK, REQUIRED_TOPOLOGY
from conformance.trace.records import Object
from objects import assignment, bound_pod, condition, having, leader_worker_set, node
from worlds import Group, World, holds, judged, moved, one_rack, place, shown, violation, waiting


def test_hosts_may_be_filled() -> None:
    """I2 accepts assignments that together take all that a host has."""
    world, _ = one_rack()
    first, second = waiting(world, 2)
    place(world, first, "h1", "h1", "h1")
    place(world, second, "h1", "h2", "h2")
    assert holds(world, "I2")


def test_a_host_must_not_be_promised_twice() -> None:
    """I2 rejects the assignment that takes more of a host than is left, and names host and resource."""
    world, _ = one_rack()
    first, second = waiting(world, 2)
    place(world, first, "h1", "h1", "h1")
    place(world, second, "h2", "h1", "h1")
    found = violation(world, "I2")
    assert found.object == "Workload tenant/leaderworkerset-lws-1-abcde"
    assert (found.expected, found.observed) == ("at most 4 cpu assigned in h1", "5 assigned there in all")


def test_pod_slots_count() -> None:
    """I2 rejects more pods than a host has slots for."""
    world = World()
    world.write(node("h1", pods="2"))
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h1")
    assert violation(world, "I2").expected == "at most 2 pods assigned in h1"


def test_a_resource_that_a_host_does_not_name_is_none() -> None:
    """I2 counts a resource missing from allocatable as zero."""
    world = World()
    world.write(having(node("h1"), status__allocatable={"pods": "110"}))
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h1")
    assert violation(world, "I2").expected == "at most 0 cpu assigned in h1"


@pytest.mark.parametrize("how", ["evicted", "deleted", "finished"])
def test_places_that_were_given_back_may_be_given_away(how: str) -> None:
    """I2 accepts a second group on a host whose first group's reservation has ended, its pods still being there."""
    world, _ = one_rack()
    first, second = waiting(world, 2)
    world.run(first, "h1", "h1", "h1")
    if how == "evicted":
        world.evict(first)
    elif how == "deleted":
        world.delete(first.workload)
    else:
        world.decide(first, conditions=[condition("QuotaReserved"), condition("Finished")])
    shown(world, first.lws)
    place(world, second, "h1", "h1", "h1")
    assert holds(world, "I2")


def test_bound_pods_that_no_assignment_places_take_capacity() -> None:
    """I2 rejects an assignment on a host that another pod fills, once the implementation has shown to know of it."""
    for seen in (False, True):
        world, _ = one_rack()
        (group,) = waiting(world)
        world.write(bound_pod("filler", "h1", cpu="2"))
        if seen:
            shown(world, group.lws)
        place(world, group, "h1", "h1", "h1")
        assert len(judged(world, "I2").violations) == (1 if seen else 0)


@pytest.mark.parametrize("ended", [{"metadata__deletionTimestamp": "now"}, {"status__phase": "Succeeded"}])
def test_pods_that_are_over_take_nothing(ended: dict[str, str]) -> None:
    """I2 accepts an assignment on a host whose other pod is terminating or has finished."""
    world, _ = one_rack()
    (group,) = waiting(world)
    world.write(having(world.write(bound_pod("filler", "h1", cpu="2")), **ended))
    shown(world, group.lws)
    place(world, group, "h1", "h1", "h1")
    assert holds(world, "I2")


def test_bound_pods_take_slots() -> None:
    """I2 rejects an assignment on a host whose last pod slots another pod takes."""
    world = World()
    world.write(node("h1", pods="3"))
    world.write(node("h2"))
    (group,) = waiting(world)
    world.write(bound_pod("filler", "h1"))
    shown(world, group.lws)
    place(world, group, "h1", "h1", "h1")
    assert violation(world, "I2").expected == "at most 2 pods assigned in h1"


def test_pods_that_ask_for_a_topology_are_counted_nowhere() -> None:
    """I2 accepts an assignment on a host with a pod that asks for a topology itself but belongs to no Workload."""
    world, _ = one_rack()
    (group,) = waiting(world)
    world.write(having(bound_pod("filler", "h1", cpu="2"), metadata__annotations={REQUIRED_TOPOLOGY: RACK}))
    shown(world, group.lws)
    place(world, group, "h1", "h1", "h1")
    assert holds(world, "I2")


def test_pods_of_a_set_that_is_not_managed_take_capacity() -> None:
    """I2 counts the pods of an unmanaged set like any others that no assignment places."""
    world, _ = one_rack()
    unmanaged = Group(world.write(leader_worker_set("filler", queue=None)), 0, {})
    world.add_pods(unmanaged, gates=())
    world.bind(unmanaged, "h1", "h1", "h1")
    (group,) = waiting(world)
    shown(world, group.lws)
    place(world, group, "h1", "h1", "h2")
    assert violation(world, "I2").expected == "at most 1 cpu assigned in h1"


def shrunk(world: World, host: Object, cpu: str) -> Object:
    """The story lowers what a node offers."""
    return world.write(having(host, status__allocatable={"cpu": cpu, "pods": "110"}), by_story=True)


def test_until_it_is_seen_a_lowered_capacity_does_not_bind() -> None:
    """I2 accepts an assignment by the larger capacity right after the story's edit, and rejects it once it was seen."""
    for seen in (False, True):
        world, hosts = one_rack()
        (group,) = waiting(world)
        shrunk(world, hosts["h1"], "2")
        if seen:
            shown(world, group.lws)
        place(world, group, "h1", "h1", "h1")
        assert len(judged(world, "I2").violations) == (1 if seen else 0)


def test_the_admission_of_something_older_shows_nothing() -> None:
    """I2 accepts an assignment by the larger capacity when since the edit only an older Workload was admitted."""
    world, hosts = one_rack()
    first, second = waiting(world, 2)
    shrunk(world, hosts["h1"], "2")
    place(world, first, "h2", "h2", "h2")
    place(world, second, "h1", "h1", "h1")
    assert holds(world, "I2")


def test_the_largest_capacity_since_the_first_unseen_edit_counts() -> None:
    """I2 accepts an assignment by the capacity before two edits that were not seen, and rejects one beyond them all."""
    for cores, accepted in (("3", True), ("2", False)):
        world, hosts = one_rack()
        (group,) = waiting(world)
        hosts["h1"] = shrunk(world, hosts["h1"], cores)
        shown(world, group.lws)
        (late,) = (Group(group.lws, 5, world.workload(group.lws, 5)),)
        hosts["h1"] = shrunk(world, hosts["h1"], "1")
        shrunk(world, hosts["h1"], "2")
        place(world, late, "h1", "h1", "h1")
        assert len(judged(world, "I2").violations) == (0 if accepted else 1)


def test_a_host_that_goes_later_is_no_violation() -> None:
    """I2 accepts a host that shrinks or goes after its places were assigned, and an alteration on other hosts then."""
    world, hosts = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h1")
    shrunk(world, hosts["h1"], "1")
    shown(world, group.lws)
    world.decide(
        group, admission=having(group.workload["status"]["admission"], podSetAssignments=moved(group, "h1", "h2"))
    )
    world.delete(hosts["h1"])
    assert holds(world, "I2")


def test_an_unknown_host_has_nothing() -> None:
    """I2 rejects places on a host that does not exist if the story has nodes at all; else nothing can be judged."""
    world, _ = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h9", "h9")
    assert violation(world, "I2").expected == "at most 0 cpu assigned in h9"
    without_nodes = World()
    (group,) = waiting(without_nodes)
    place(without_nodes, group, "h1", "h9", "h9")
    assert judged(without_nodes, "I2").judged == 0


def test_a_coarse_leaf_has_what_its_nodes_have_together() -> None:
    """I2 accepts, where racks are the lowest level, as much as the rack's hosts have together, and rejects more."""
    for cores, accepted in (("2", True), ("1", False)):
        world = World()
        for host in ("h1", "h2"):
            world.write(node(host, cpu=cores))
        (group,) = waiting(world)
        places = ({"r1": 1}, {"r1": 2})
        world.reserve(group, places)
        parts = [
            part | {"topologyAssignment": assignment(hosts, RACK)}
            for part, hosts in zip(group.workload["status"]["admission"]["podSetAssignments"], places, strict=True)
        ]
        world.records.pop()
        world.decide(group, admission=having(group.workload["status"]["admission"], podSetAssignments=parts))
        assert (judged(world, "I2").violations == []) is accepted


def test_overlapping_leaves_are_added_up() -> None:
    """I2 rejects places in a rack whose hosts another topology's assignment has filled."""
    world = World()
    world.write(node("h1"))
    first, second = waiting(world, 2)
    place(world, first, "h1", "h1", "h1")
    parts = [
        {"name": name, "topologyAssignment": assignment({"r1": count}, RACK)}
        for name, count in (("leader", 1), ("worker", 2))
    ]
    conditions = [condition("QuotaReserved"), condition("Admitted")]
    world.decide(second, admission={"clusterQueue": "queue", "podSetAssignments": parts}, conditions=conditions)
    found = violation(world, "I2")
    assert (found.expected, found.observed) == ("at most 4 cpu assigned in r1", "6 assigned there in all")


def test_what_is_not_about_places_is_no_change_of_the_assignment() -> None:
    """Invariants about assignments are not judged again when only a delayed request changes its state beside them."""
    world, _ = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h2")
    before = judged(world, "I4").judged
    parts = group.workload["status"]["admission"]["podSetAssignments"]
    ready = [part | {"delayedTopologyRequest": "Ready"} for part in parts]
    world.decide(group, admission={"clusterQueue": "queue", "podSetAssignments": ready})
    assert judged(world, "I4").judged == before


def test_writing_the_same_assignment_otherwise_is_no_change() -> None:
    """Invariants about assignments take a re-encoded one for the same one."""
    world, _ = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h2")
    before = judged(world, "I4").judged
    leader, worker = group.workload["status"]["admission"]["podSetAssignments"]
    domains = [{"values": [host], "count": 1} for host in ("h2", "h1")]
    again = [leader, worker | {"topologyAssignment": {"levels": [HOSTNAME], "domains": domains}}]
    world.decide(group, admission={"clusterQueue": "queue", "podSetAssignments": again})
    assert judged(world, "I4").judged == before
    assert holds(world, "I9")


@pytest.mark.parametrize(("pace", "accepted"), [(0.1, True), (0.9, False)])
def test_without_order_capacity_within_the_lag_counts(pace: float, accepted: bool) -> None:
    """I2 accepts, where kinds have no order, places on a node that is received within the lag after the assignment."""
    world = World(ordered=False, lag=0.5)
    world.write(node("h2"))
    (group,) = waiting(world)
    place(world, group, "h2", "h1", "h1")
    world.pace = pace
    world.write(node("h1"))
    assert len(judged(world, "I2").violations) == (0 if accepted else 1)


@pytest.mark.parametrize(("kind", "undecided"), [("Node", 1), ("Workload", 1), ("StatefulSet", 0)])
def test_a_gap_that_may_hide_capacity_leaves_it_undecided(kind: str, undecided: int) -> None:
    """I2 decides nothing about a host promised twice if a watch that could explain it was interrupted just then."""
    world, _ = one_rack()
    first, second = waiting(world, 2)
    place(world, first, "h1", "h1", "h1")
    world.gap(kind)
    world.revision -= 1
    place(world, second, "h2", "h1", "h1")
    found = judged(world, "I2")
    assert (found.undecided, len(found.violations)) == (undecided, 1 - undecided)
