"""The invariant about quota (I6): histories that it must accept, and near ones that it must reject."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.trace.records import Object
from objects import cluster_queue, cohort, condition, having, leader_worker_set, made
from worlds import Group, World, holds, judged, violation


def begun(world: World, groups: int = 2, **queues: Any) -> list[Group]:
    """ClusterQueues by their cpu quota (one called `queue` of 3 cores, if none), and groups of 3 cores that wait."""
    for name, cpu in (queues or {"queue": "3"}).items():
        world.write(cluster_queue(name, cohort="cohort" if len(queues) > 1 else None, cpu=cpu))
    lws = world.write(leader_worker_set())
    return [Group(lws, index, world.workload(lws, index)) for index in range(groups)]


def edited(world: World, queue: Object, cpu: str, *, generation: int = 2) -> Object:
    """The story gives a queue another quota."""
    changed = having(queue, spec__resourceGroups=cluster_queue(cpu=cpu)["spec"]["resourceGroups"])
    return world.write(having(changed, metadata__generation=generation), by_story=True)


def written(world: World, queue: Object, *, observed: int | None = None, **status: Any) -> Object:
    """The implementation writes the queue's status, with a condition about a generation."""
    conditions = [condition("Active") | ({} if observed is None else {"observedGeneration": observed})]
    return world.write(queue | {"status": {"conditions": conditions, **status}})


def test_groups_may_fill_the_quota() -> None:
    """I6 accepts admissions that together take exactly the nominal quota."""
    world = World()
    for group in begun(world, queue="6"):
        world.reserve(group)
    assert holds(world, "I6")


def test_more_than_the_quota_is_rejected() -> None:
    """I6 rejects the admission that takes more than what was left, and names what was left."""
    world = World()
    first, second = begun(world, queue="5")
    world.reserve(first)
    world.reserve(second)
    found = violation(world, "I6")
    assert found.object == "Workload tenant/leaderworkerset-lws-1-abcde"
    assert found.expected.startswith("at most 2 cpu of flavor flavor")
    assert found.observed == "3"


def test_a_reservation_counts_before_it_is_admitted() -> None:
    """I6 rejects a second reservation while the first holds the quota, though neither is Admitted."""
    world = World()
    first, second = begun(world)
    world.reserve(first, admitted=False)
    world.reserve(second, admitted=False)
    assert violation(world, "I6").object.endswith("lws-1-abcde")


def test_a_reservation_is_judged_once() -> None:
    """I6 judges the change to QuotaReserved=True, not what happens to the Workload afterwards."""
    world = World()
    (group,) = begun(world, groups=1)
    world.reserve(group, admitted=False)
    world.decide(group, conditions=[condition("QuotaReserved"), condition("Admitted")])
    assert (judged(world, "I6").judged, judged(world, "I6").violations) == (1, [])


@pytest.mark.parametrize("how", ["evicted", "deleted", "finished"])
def test_released_quota_may_be_given_away(how: str) -> None:
    """I6 accepts a second group once the first one's Workload has released its reservation; an instant before, not."""
    for released_first in (True, False):
        world = World()
        first, second = begun(world)
        world.reserve(first)
        if not released_first:
            world.reserve(second)
        if how == "evicted":
            world.evict(first)
        elif how == "deleted":
            world.delete(first.workload)
        else:
            world.decide(first, conditions=[condition("QuotaReserved"), condition("Finished")])
        if released_first:
            world.reserve(second)
        assert len(judged(world, "I6").violations) == (0 if released_first else 1)


def test_a_workload_that_is_only_going_to_be_deleted_still_counts() -> None:
    """I6 rejects a second group while the first one's Workload is terminating but still there."""
    world = World()
    first, second = begun(world)
    world.reserve(first)
    first.workload = world.write(having(first.workload, metadata__deletionTimestamp="now"))
    world.reserve(second)
    assert violation(world, "I6").object.endswith("lws-1-abcde")


def test_a_workload_that_is_no_groups_counts_but_is_not_judged() -> None:
    """I6 counts what other Workloads of the queue reserve, and judges groups only."""
    world = World()
    (group,) = begun(world, groups=1)
    other = Group(group.lws, 0, made("Workload", "other", spec={"podSets": []}))
    world.reserve(other)
    assert judged(world, "I6").judged == 0
    world.reserve(group)
    assert violation(world, "I6").object.endswith("lws-0-abcde")


def test_a_cohort_lends_what_it_has() -> None:
    """I6 accepts a group that borrows what the other queue of the cohort does not use, and rejects one more."""
    world = World()
    first, second, third = begun(world, groups=3, queue="3", other="3")
    world.reserve(first)
    world.reserve(second)
    assert holds(world, "I6")
    world.reserve(third, queue="other")
    assert "ClusterQueue other" in violation(world, "I6").expected


def test_borrowing_limits_and_lending_limits_bind() -> None:
    """I6 rejects a group that borrows beyond the queue's borrowing limit, or what the other queue does not lend."""
    borrowing: dict[str, Any] = {"queue": ("3", "2", None), "other": "3"}
    lending: dict[str, Any] = {"queue": "3", "other": ("3", None, "2")}
    for queues in (borrowing, lending):
        world = World()
        first, second = begun(world, 2, **queues)
        world.reserve(first)
        world.reserve(second)
        assert violation(world, "I6").expected.startswith("at most 2 cpu")


def test_cohorts_bring_quota_of_their_own() -> None:
    """I6 accepts a group on quota that only a Cohort above the queue brings."""
    for cpu in ("3", "2"):
        world = World()
        first, second = begun(world, queue="3", other="0")
        world.write(cohort("cohort", parent="top"))
        world.write(cohort("top", cpu=cpu))
        world.reserve(first)
        world.reserve(second)
        assert len(judged(world, "I6").violations) == (0 if cpu == "3" else 1)


def test_a_resource_that_the_queue_does_not_list_is_rejected() -> None:
    """I6 rejects an admission that takes a resource for which its queue has no quota."""
    world = World()
    world.write(cluster_queue(memory="1Gi"))
    lws = world.write(leader_worker_set())
    world.reserve(Group(lws, 0, world.workload(lws, 0)))
    assert violation(world, "I6").field.endswith("resourceUsage[cpu]")


def test_a_queue_that_was_not_recorded_is_not_judged() -> None:
    """I6 says nothing about quota that nobody recorded."""
    world = World()
    lws = world.write(leader_worker_set())
    world.reserve(Group(lws, 0, world.workload(lws, 0)))
    assert judged(world, "I6").judged == 0


def test_what_is_admitted_may_stay_when_quota_is_lowered() -> None:
    """I6 accepts a queue that is over its quota only because the story lowered it afterwards."""
    world = World()
    (group,) = begun(world, groups=1, queue="3")
    world.reserve(group)
    edited(world, cluster_queue(cpu="3"), "1")
    world.decide(group, requeueState={"count": 1})
    assert holds(world, "I6")


def test_until_it_is_seen_a_lowered_quota_does_not_bind() -> None:
    """I6 accepts an admission by the larger quota right after the story's edit, by which it may have been decided."""
    world = World()
    first, second = begun(world, queue="6")
    world.reserve(first)
    edited(world, cluster_queue(cpu="6"), "3")
    world.reserve(second)
    assert holds(world, "I6")


def test_all_edits_that_are_not_seen_yet_are_excused_together() -> None:
    """I6 accepts an admission by the largest quota since before the first of several edits in a row; not by more."""
    for before in ("6", "5"):
        world = World()
        first, second = begun(world, queue=before)
        world.reserve(first)
        queue = edited(world, cluster_queue(cpu=before), "3")
        edited(world, queue, "4", generation=3)
        world.reserve(second)
        assert len(judged(world, "I6").violations) == (0 if before == "6" else 1)


@pytest.mark.parametrize(
    ("observed", "accepted"), [(2, False), (1, True), (None, False)], ids=["this-generation", "an-older-one", "untold"]
)
def test_a_status_that_shows_the_edit_was_seen_makes_it_bind(observed: int | None, accepted: bool) -> None:
    """I6 rejects an admission by the larger quota once the queue's status was written with knowledge of the edit."""
    world = World()
    first, second = begun(world, queue="6")
    world.reserve(first)
    written(world, edited(world, cluster_queue(cpu="6"), "3"), observed=observed)
    world.reserve(second)
    assert holds(world, "I6") if accepted else violation(world, "I6")


def test_another_queues_status_shows_nothing() -> None:
    """I6 accepts an admission by the larger quota when only another queue's status was written since."""
    world = World()
    first, second = begun(world, queue="6", other="0")
    world.reserve(first)
    edited(world, cluster_queue("queue", cohort="cohort", cpu="6"), "3")
    written(world, cluster_queue("other", cohort="cohort", cpu="0"), observed=2)
    world.reserve(second)
    assert holds(world, "I6")


@pytest.mark.parametrize(("later", "accepted"), [(True, False), (False, True)], ids=["created-later", "created-before"])
def test_an_admission_of_something_newer_makes_an_edit_bind(later: bool, accepted: bool) -> None:
    """I6 rejects an admission by the larger quota once a Workload was admitted that is younger than the edit; that of
    an older one may have been decided before."""
    world = World()
    first, second = begun(world, queue="6", other="3")
    small = None if later else Group(first.lws, 2, world.workload(first.lws, 2))
    world.reserve(first)
    edited(world, cluster_queue("queue", cpu="6"), "3")
    small = small or Group(first.lws, 2, world.workload(first.lws, 2))
    world.reserve(small, queue="other")
    world.reserve(second)
    assert holds(world, "I6") if accepted else violation(world, "I6")


def test_a_raised_quota_binds_at_once() -> None:
    """I6 accepts an admission by a quota that was raised just before."""
    world = World()
    first, second = begun(world, queue="3")
    world.reserve(first)
    edited(world, cluster_queue(cpu="3"), "6")
    world.reserve(second)
    assert holds(world, "I6")


def test_a_queue_may_leave_its_cohort() -> None:
    """I6 accepts an admission by borrowed quota right after the lender left; and rejects it when that was seen."""
    for seen in (False, True):
        world = World()
        first, second = begun(world, queue="3", other="3")
        world.reserve(first)
        alone = having(cluster_queue("other", cpu="3"), metadata__generation=2)
        alone = world.write(alone, by_story=True)
        if seen:
            written(world, alone, observed=2)
        world.reserve(second)
        assert len(judged(world, "I6").violations) == (1 if seen else 0)


def test_a_queue_that_goes_takes_its_quota_along() -> None:
    """I6 accepts an admission by borrowed quota right after the lender was deleted; rejects it once that was seen."""
    for seen in (False, True):
        world = World()
        first, second, older = begun(world, 3, queue="3", other="3", third="3")
        world.reserve(first)
        world.delete(cluster_queue("third", cohort="cohort", cpu="3"), by_story=True)
        newer = Group(first.lws, 5, world.workload(first.lws, 5))
        world.reserve(newer if seen else older, queue="other")
        world.reserve(second)
        assert len(judged(world, "I6").violations) == (1 if seen else 0)


@pytest.mark.parametrize(("seconds", "accepted"), [(0.1, True), (0.9, False)])
def test_without_order_an_excess_within_the_lag_is_no_violation(seconds: float, accepted: bool) -> None:
    """I6 accepts, where kinds have no order, an excess that lasts no longer than the watch lag."""
    world = World(ordered=False, lag=0.5)
    first, second = begun(world, queue="3")
    world.reserve(first)
    world.reserve(second)
    world.pace = seconds
    world.evict(first)
    assert judged(world, "I6").violations == [] if accepted else violation(world, "I6")


@pytest.mark.parametrize(("pace", "accepted"), [(0.1, True), (0.9, False)])
def test_without_order_a_quota_binds_only_when_it_has_surely_been_seen(pace: float, accepted: bool) -> None:
    """I6 accepts, where kinds have no order, an admission received within the lag after a lowered quota was seen."""
    world = World(ordered=False, lag=0.5)
    first, second = begun(world, queue="6")
    world.reserve(first)
    queue = edited(world, cluster_queue(cpu="6"), "3")
    world.pace = pace
    written(world, queue, observed=2)
    world.reserve(second)
    assert judged(world, "I6").violations == [] if accepted else violation(world, "I6")


@pytest.mark.parametrize(("kind", "undecided"), [("Workload", 1), ("ClusterQueue", 1), ("Pod", 0)])
def test_a_gap_that_may_hide_a_release_leaves_it_undecided(kind: str, undecided: int) -> None:
    """I6 decides nothing about an excess if a watch that could explain it was interrupted just then."""
    world = World()
    first, second = begun(world, queue="3")
    world.reserve(first)
    world.gap(kind)
    world.revision -= 1  # The admission is one of the changes that the list brought.
    world.reserve(second)
    found = judged(world, "I6")
    assert (found.undecided, len(found.violations)) == (undecided, 1 - undecided)
