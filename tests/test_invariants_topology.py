"""The invariants about topology (I3, I4, I5): histories that each must accept, and near ones that it must reject."""

from __future__ import annotations

import pytest

from conformance.names import BLOCK, HOSTNAME, RACK
from objects import assignment, flavor, having, node, topology
from worlds import World, holds, judged, moved, one_rack, place, shown, violation, waiting

# I3


def test_a_grouped_and_required_group_lies_in_one_rack() -> None:
    """I3 accepts leader and workers on different hosts of one rack, and rejects the leader in another rack."""
    for leader, accepted in (("h1", True), ("h3", False)):
        world = World()
        world.racks(r1="h1 h2", r2="h3")
        (group,) = waiting(world, required=RACK)
        place(world, group, leader, "h1", "h2")
        assert (judged(world, "I3").violations == []) is accepted
        assert judged(world, "I3").judged == 1


def test_ungrouped_podsets_are_judged_each_for_itself() -> None:
    """I3 accepts an ungrouped leader in another rack than its workers, and rejects workers in two racks."""
    for workers, accepted in (("h1", "h2"), True), (("h1", "h3"), False):
        world = World()
        world.racks(r1="h1 h2", r2="h3")
        (group,) = waiting(world, required=RACK, grouped=False)
        place(world, group, "h3", *workers)
        assert (judged(world, "I3").violations == []) is accepted


def test_where_nothing_is_required_groups_may_spread() -> None:
    """I3 does not judge groups that require no level."""
    world = World()
    world.racks(r1="h1", r2="h3")
    (group,) = waiting(world)
    place(world, group, "h3", "h1", "h1")
    assert judged(world, "I3").judged == 0


def test_racks_of_one_name_in_two_blocks_are_two() -> None:
    """I3 rejects a group on racks that share their name but not their block."""
    world = World()
    world.racks(r1="h1")
    world.write(node("h2", "r1", block="b2"))
    (group,) = waiting(world, required=RACK)
    place(world, group, "h1", "h1", "h2")
    assert violation(world, "I3").observed == "b1/r1, b2/r1"


def test_an_assignment_by_racks_tells_its_domains_itself() -> None:
    """I3 reads the domain from the assignment where its levels name it, nodes or no nodes."""
    world = World()
    world.write(topology(BLOCK, RACK))
    world.write(flavor())
    (group,) = waiting(world, required=RACK)
    parts = [{"name": "leader", "flavors": {"cpu": "flavor"}}, {"name": "worker", "flavors": {"cpu": "flavor"}}]
    for part, domain in zip(parts, (["b1", "r1"], ["b2", "r1"]), strict=True):
        part["topologyAssignment"] = {"levels": [BLOCK, RACK], "domains": [{"values": domain, "count": 1}]}
    world.decide(group, admission={"clusterQueue": "queue", "podSetAssignments": parts})
    assert violation(world, "I3").observed == "b1/r1, b2/r1"


def test_a_node_that_changed_racks_unseen_may_be_taken_for_either() -> None:
    """I3 accepts a group by a node's former rack right after the story moved it; and rejects it once that was seen."""
    for seen in (False, True):
        world = World()
        hosts = world.racks(r1="h1 h2")
        (group,) = waiting(world, required=RACK)
        world.write(having(hosts["h1"], metadata__labels={HOSTNAME: "h1", BLOCK: "b1", RACK: "r2"}), by_story=True)
        if seen:
            shown(world, group.lws)
        place(world, group, "h1", "h2", "h2")
        assert len(judged(world, "I3").violations) == (1 if seen else 0)


def test_without_an_assignment_the_nodes_of_the_pods_are_judged() -> None:
    """I3 rejects an admitted group without assignments when its pods are bound in two racks, and accepts one rack."""
    for last, accepted in (("h2", True), ("h3", False)):
        world = World()
        world.racks(r1="h1 h2", r2="h3")
        (group,) = waiting(world, required=RACK)
        world.reserve(group)
        world.release(group)
        world.bind(group, "h1", "h2", last)
        assert (judged(world, "I3").violations == []) is accepted
        assert judged(world, "I3").judged == 3


def test_a_group_that_is_admitted_anew_may_lie_elsewhere() -> None:
    """I3 compares the nodes of pods that were bound under one admission, not with those of an earlier one."""
    world = World()
    world.racks(r1="h1 h2", r2="h3")
    (group,) = waiting(world, required=RACK)
    world.reserve(group)
    world.release(group)
    world.bind(group, "h1", "h2")
    world.evict(group)
    world.reserve(group)
    world.add_pods(group, made_again="-again")
    world.bind(group, "h3")
    assert holds(world, "I3")
    world.bind(group, "h3", "h1")
    assert violation(world, "I3").object == "Pod tenant/lws-0-1"


# I4


def test_an_assignment_has_as_many_pods_as_its_podset() -> None:
    """I4 accepts assignments that sum to their podsets' counts, and rejects one pod too few or too many."""
    for count, accepted in ((2, True), (1, False), (3, False)):
        world = World()
        (group,) = waiting(world)
        world.reserve(group, ({"h1": 1}, {"h1": count}))
        assert (judged(world, "I4").violations == []) is accepted
        assert judged(world, "I4").judged == 2


def test_an_assignment_that_cannot_be_read_is_rejected_by_field() -> None:
    """I4 rejects a malformed assignment with the field that is wrong, once; the other invariants leave it alone."""
    world, _ = one_rack()
    (group,) = waiting(world, required=RACK)
    world.reserve(group, ({"h1": 1}, {"h1": 2}))
    world.records.pop()
    broken = having(group.workload["status"]["admission"])
    broken["podSetAssignments"][1]["topologyAssignment"]["slices"][0]["podCounts"] = {}
    world.decide(group, admission=broken)
    world.decide(group, requeueState={"count": 1})
    found = violation(world, "I4")
    assert found.field == "status.admission.podSetAssignments[1].topologyAssignment.slices[0].podCounts"
    assert judged(world, "I2").judged == judged(world, "I3").judged == 0


def test_an_assignment_belongs_to_a_podset_of_the_workload() -> None:
    """I4 rejects an assignment for a podset that the Workload does not have."""
    world = World()
    (group,) = waiting(world)
    part = {"name": "driver", "topologyAssignment": assignment({"h1": 1})}
    world.decide(group, admission={"clusterQueue": "queue", "podSetAssignments": [part]})
    assert violation(world, "I4").expected == "the name of one of its podsets"


def test_podsets_without_an_assignment_are_not_counted() -> None:
    """I4 does not judge a podset that has no assignment, be it delayed or not asked for."""
    world = World()
    (group,) = waiting(world)
    world.reserve(group)
    assert judged(world, "I4").judged == 0


# I5


def test_pods_are_bound_where_they_were_assigned() -> None:
    """I5 accepts pods on hosts of their podset's assignment, and rejects one on another host."""
    for last, accepted in (("h2", True), ("h3", False)):
        world = World()
        world.racks(r1="h1 h2 h3")
        (group,) = waiting(world)
        place(world, group, "h1", "h1", "h2")
        world.release(group)
        world.bind(group, "h1", "h1", last)
        assert (judged(world, "I5").violations == []) is accepted
        assert judged(world, "I5").judged == 3


def test_each_podset_has_its_own_places() -> None:
    """I5 rejects a leader on a host that only the workers were assigned."""
    world, _ = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h2", "h2")
    world.release(group)
    world.bind(group, "h2")
    found = violation(world, "I5")
    assert (found.object, found.expected, found.observed) == ("Pod tenant/lws-0", "a node in h1, as assigned", "h2")


def test_pods_of_a_group_without_assignment_may_be_anywhere() -> None:
    """I5 does not judge pods whose podset has no assignment."""
    world, _ = one_rack()
    (group,) = waiting(world)
    world.reserve(group)
    world.release(group)
    world.bind(group, "h2", "h1")
    assert judged(world, "I5").judged == 0


def test_while_nodes_are_unhealthy_bindings_are_not_judged() -> None:
    """I5 accepts a binding elsewhere while unhealthyNodes is set, and rejects it when it is cleared again."""
    for cleared in (False, True):
        world, _ = one_rack()
        (group,) = waiting(world)
        place(world, group, "h1", "h1", "h1")
        world.decide(group, unhealthyNodes=[{"name": "h1"}])
        if cleared:
            world.decide(group, unhealthyNodes=[])
        world.release(group)
        world.bind(group, "h2")
        assert len(judged(world, "I5").violations) == judged(world, "I5").judged == (1 if cleared else 0)


def test_what_was_assigned_when_a_pod_was_released_counts() -> None:
    """I5 accepts a pod bound by the assignment that it was released with, though that was altered meanwhile."""
    world, _ = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h1")
    world.release(group, 1)
    world.decide(
        group, admission=having(group.workload["status"]["admission"], podSetAssignments=moved(group, "h2", "h2"))
    )
    group.pods[1] = world.write(having(group.pods[1], spec__nodeName="h1"))
    assert holds(world, "I5")


def test_what_was_assigned_before_a_pod_was_released_does_not_count() -> None:
    """I5 rejects a pod bound by the assignment of an admission that had ended before the pod was released."""
    world, _ = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h1")
    world.evict(group)
    place(world, group, "h2", "h2", "h2")
    world.release(group, 1)
    group.pods[1] = world.write(having(group.pods[1], spec__nodeName="h1"))
    assert violation(world, "I5").object == "Pod tenant/lws-0-1"


@pytest.mark.parametrize("ended", [{"metadata__deletionTimestamp": "now"}, {"status__phase": "Failed"}])
def test_bindings_of_pods_that_are_over_are_not_judged(ended: dict[str, str]) -> None:
    """I5 does not judge a pod that is terminating or has finished when it is first seen bound."""
    world, _ = one_rack()
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h1")
    world.release(group)
    group.pods[0] = having(group.pods[0], **ended)
    world.bind(group, "h2")
    assert judged(world, "I5").judged == 0


def test_a_node_that_was_not_recorded_is_known_by_its_name() -> None:
    """I5 compares names where hosts are the lowest level and no node was recorded."""
    world = World()
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h1")
    world.release(group)
    world.bind(group, "h1", "h2")
    assert violation(world, "I5").object == "Pod tenant/lws-0-1"
