"""The invariant about time (I9): histories that it must accept, and near ones that it must reject."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.trace.records import Object
from objects import assignment, condition, having
from worlds import Group, World, holds, judged, moved, place, violation, waiting


def altered(world: World, group: Group, *workers: str, **kw: Any) -> None:
    """The workers' places change while the group stays admitted; in one write with other parts of the status."""
    admission = having(group.workload["status"]["admission"], podSetAssignments=moved(group, *workers))
    world.decide(group, admission=admission, **kw)


def running(**kw: Any) -> tuple[World, dict[str, Object], Group]:
    """A group admitted with its leader on h1 and one worker on each of h1 and h2."""
    world = World(**kw)
    hosts = world.racks(r1="h1 h2 h3")
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h2")
    return world, hosts, group


def test_an_assignment_stays() -> None:
    """I9 accepts an admitted Workload whose other status changes, and rejects another host without a reason."""
    world, _, group = running()
    world.decide(group, requeueState={"count": 1})
    assert holds(world, "I9")
    altered(world, group, "h1", "h3")
    found = violation(world, "I9")
    assert found.field == "status.admission.podSetAssignments[worker].topologyAssignment"
    assert (found.expected, found.observed) == ("h1: 1, h2: 1", "h1: 1, h3: 1")


def test_after_an_eviction_another_assignment_is_another_admission() -> None:
    """I9 accepts another assignment once the Workload was not Admitted in between."""
    world, _, group = running()
    world.evict(group)
    place(world, group, "h3", "h3", "h3")
    assert holds(world, "I9")


@pytest.mark.parametrize(("unhealthy", "accepted"), [("h2", True), ("h1", False)])
def test_only_pods_on_unhealthy_nodes_may_move(unhealthy: str, accepted: bool) -> None:
    """I9 accepts pods that leave an unhealthy node, in the write that clears it, and rejects pods that leave others."""
    world, _, group = running()
    world.decide(group, unhealthyNodes=[{"name": unhealthy}])
    altered(world, group, "h1", "h3", unhealthyNodes=None)
    assert (judged(world, "I9").violations == []) is accepted


def test_an_unhealthy_node_does_not_explain_that_the_rest_moves_too() -> None:
    """I9 rejects a change in which pods leave an unhealthy node and a healthy one."""
    world, _, group = running()
    world.decide(group, unhealthyNodes=[{"name": "h2"}])
    altered(world, group, "h3", "h3")
    assert violation(world, "I9").observed == "h3: 2"


def test_unhealthy_nodes_of_the_past_explain_nothing() -> None:
    """I9 rejects a change that comes after unhealthyNodes was cleared."""
    world, _, group = running()
    world.decide(group, unhealthyNodes=[{"name": "h2"}])
    world.decide(group, unhealthyNodes=None)
    altered(world, group, "h1", "h3")
    assert violation(world, "I9").object == group_title(group)


def test_an_interval_ends_with_admitted_itself() -> None:
    """I9 accepts another assignment in the write that makes the Workload Admitted again, its quota kept all along."""
    world, _, group = running()
    world.decide(group, conditions=[condition("QuotaReserved"), condition("Admitted", False)])
    altered(world, group, "h1", "h3", conditions=[condition("QuotaReserved"), condition("Admitted")])
    assert holds(world, "I9")


def group_title(group: Group) -> str:
    return f"Workload tenant/{group.workload['metadata']['name']}"


@pytest.mark.parametrize(("delayed", "accepted"), [("Pending", True), (None, False)])
def test_only_a_delayed_request_is_answered_later(delayed: str | None, accepted: bool) -> None:
    """I9 accepts an assignment that comes after admission where it was delayed, and rejects it elsewhere."""
    world = World()
    (group,) = waiting(world)
    world.reserve(group)
    parts = group.workload["status"]["admission"]["podSetAssignments"]
    late = [part | ({"delayedTopologyRequest": delayed} if delayed else {}) for part in parts]
    world.records.pop()
    world.decide(group, admission={"clusterQueue": "queue", "podSetAssignments": late})
    ready = [part | {"topologyAssignment": assignment({"h1": part["count"]})} for part in late]
    world.decide(group, admission={"clusterQueue": "queue", "podSetAssignments": ready})
    assert (judged(world, "I9").violations == []) is accepted


def test_the_storys_own_write_explains_itself() -> None:
    """I9 accepts a change of the assignment that the story made itself, and none that comes after it."""
    world, _, group = running()
    altered(world, group, "h1", "h3", by_story=True)
    assert holds(world, "I9")
    altered(world, group, "h3", "h3")
    assert violation(world, "I9").expected == "h1: 1, h3: 1"


@pytest.mark.parametrize(("host", "accepted"), [("h2", True), ("h1", False)])
def test_a_node_that_the_story_removes_explains_that_its_pods_move(host: str, accepted: bool) -> None:
    """I9 accepts pods that leave a node which the story deleted, and rejects those that leave another."""
    world, hosts, group = running()
    world.delete(hosts[host], by_story=True)
    altered(world, group, "h1", "h3")
    assert (judged(world, "I9").violations == []) is accepted


def test_an_edit_from_before_the_admission_explains_nothing() -> None:
    """I9 rejects pods that leave a node which the story edited before the group was admitted."""
    world = World()
    hosts = world.racks(r1="h1 h2 h3")
    world.write(having(hosts["h2"], metadata__annotations={"seen": "yes"}), by_story=True)
    (group,) = waiting(world)
    place(world, group, "h1", "h1", "h2")
    altered(world, group, "h1", "h3")
    assert violation(world, "I9").object == group_title(group)


def test_flavors_and_queue_stay_too() -> None:
    """I9 rejects another flavor and another ClusterQueue within one admission."""
    for path, expected in ((("podSetAssignments", 0, "flavors"), "flavors"), (("clusterQueue",), "clusterQueue")):
        world, _, group = running()
        admission = having(group.workload["status"]["admission"])
        *parents, last = path
        part: Any = admission
        for step in parents:
            part = part[step]
        part[last] = {"cpu": "other"} if last == "flavors" else "other"
        world.decide(group, admission=admission)
        assert violation(world, "I9").field.endswith(expected)


@pytest.mark.parametrize(("kind", "undecided"), [("Workload", 1), ("Pod", 0)])
def test_a_gap_that_may_hide_an_eviction_leaves_it_undecided(kind: str, undecided: int) -> None:
    """I9 decides nothing about another assignment if the Workload's watch was interrupted before it."""
    world, _, group = running()
    world.gap(kind)
    world.revision -= 1
    altered(world, group, "h1", "h3")
    found = judged(world, "I9")
    assert (found.undecided, len(found.violations)) == (undecided, 1 - undecided)
