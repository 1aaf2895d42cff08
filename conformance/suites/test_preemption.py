"""Preemption: who has to go for whom, how many of them, and that they come back."""

from __future__ import annotations

from conformance.expectations import (
    admitted,
    all_pods_exist,
    at_most_evicted,
    complete,
    created,
    evicted,
    gated,
    has_priority,
    no_quota_reserved,
    not_evicted,
    pod_uids,
    pods_run_on_reserved_quota,
    pods_within_quota,
    preempted,
    ready,
    ready_groups,
    running,
    workload_uid,
    workload_uids,
)
from conformance.expectations.judging import Told
from conformance.world.builders import leader_worker_set
from conformance.world.requests import Requests, canary_room, groups
from conformance.world.rules import QueueRules
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant

HALF_OF_ALMOST_ALL = Requests(cpu=450)
"""Two workers of this and a leader ask for exactly two usual groups."""


@story(moments={"high-runs": "PRE-01", "victim-waits": "PRE-01", "back": "PRE-06"})
def higher_priority_comes_and_goes(tenant: Tenant) -> None:
    """Three groups of low priority fill the queue; a group of high priority is created, and deleted when it runs."""
    lower, higher = tenant.priority_classes(10, 20)
    low = tenant.create(
        leader_worker_set("low", replicas=3, priority_class=lower),
        quota=groups(3),
        rules=QueueRules(within="LowerPriority"),
    )
    low.reached(running, moment="low-runs")
    high = tenant.create(leader_worker_set("high", priority_class=higher))
    high.eventually(running, moment="high-runs")
    low.eventually(ready_groups(2), all_pods_exist, moment="victim-waits")
    high.delete()
    low.eventually(running, moment="back")


@claim("PRI-01", of=higher_priority_comes_and_goes)
def test_workloads_have_the_priority_of_the_class(told: Told) -> None:
    """Each Workload has the priority of the class that its set's label names, and refers to that class."""
    tenant = told.history.tenant
    told.group(0, of="high").always(has_priority(20, f"{tenant}-20"), since=created, until="victim-waits")
    for index in range(3):
        told.group(index, of="low").always(has_priority(10, f"{tenant}-10"), since=created)


@claim("PRE-01", of=higher_priority_comes_and_goes)
def test_pods_of_the_victim_come_back_gated(told: Told) -> None:
    """The pods of a preempted group are stopped and replaced by new ones, which stay gated while it is not admitted."""
    for victim in told.groups_that(evicted, of="low", at="victim-waits"):
        victim.at("victim-waits", preempted)
        victim.renews(pod_uids, since="low-runs", at="victim-waits")
        victim.always(gated, since="victim-waits", until=admitted)


@claim("PRE-02", of=higher_priority_comes_and_goes)
def test_one_group_goes_for_one(told: Told) -> None:
    """For a preemptor that needs the room of one group no more than one is evicted."""
    told.set("low").always(at_most_evicted(1), since="low-runs")


@claim("PRE-02", of=higher_priority_comes_and_goes)
def test_other_groups_keep_running(told: Told) -> None:
    """The groups that are not preempted keep their Workloads and their pods, and all of these stay ready."""
    for other in told.groups_that(complete, of="low", at="victim-waits"):
        other.keeps(pod_uids, workload_uid, since="low-runs")
        other.always(complete, since="low-runs")


@claim("PRE-07", of=higher_priority_comes_and_goes)
def test_quota_of_a_victim_is_held_until_its_pods_are_stopped(told: Told) -> None:
    """A preempted group holds its reservation for as long as a pod of it runs."""
    told.set("low").always(pods_run_on_reserved_quota, since="low-runs")


@claim("PRE-07", of=higher_priority_comes_and_goes)
def test_preemptor_starts_on_what_its_victim_gave_back(told: Told) -> None:
    """A preemptor's pods start only when its victims' are stopped: what runs is at no moment more than the quota."""
    told.queue().always(pods_within_quota, since="low-runs")


@claim("PRE-06", of=higher_priority_comes_and_goes)
def test_victim_keeps_its_workload(told: Told) -> None:
    """A preempted group keeps its Workload, and when it is admitted again that is no longer Evicted or Preempted."""
    told.set("low").keeps(workload_uids, since="low-runs")
    for victim in told.groups_that(evicted, of="low", at="victim-waits"):
        victim.at("back", not_evicted)


@story(moments={"room": "PRE-01"})
def no_victim_helps(tenant: Tenant) -> None:
    """A group of high priority needs the room of one lower and one equal group; then the equal one is deleted."""
    lower, higher = tenant.priority_classes(10, 20)
    low = tenant.create(
        leader_worker_set("low", priority_class=lower),
        quota=groups(2) + canary_room,
        rules=QueueRules(within="LowerPriority"),
    )
    equal = tenant.create(leader_worker_set("equal", priority_class=higher))
    low.reached(running, moment="low-runs")
    equal.reached(running, moment="both-run")
    big = tenant.create(leader_worker_set("big", worker=HALF_OF_ALMOST_ALL, priority_class=higher))
    # It cannot be a victim itself: even with its room and that of the lower group the big one does not fit.
    tenant.canary(after=(big.group(0),)).reached(ready, moment="canary-ran")
    equal.delete()
    big.eventually(running, moment="room")


@claim("PRE-10", of=no_victim_helps)
def test_group_of_equal_priority_is_no_victim(told: Told) -> None:
    """With `withinClusterQueue: LowerPriority` a group of equal priority is not evicted and keeps its pods."""
    told.group(0, of="equal").never(evicted, since="both-run", through="canary-ran")
    told.group(0, of="equal").keeps(pod_uids, since="both-run", until="canary-ran")


@claim("PRE-11", of=no_victim_helps)
def test_lower_group_stays_if_its_room_is_not_enough(told: Told) -> None:
    """A group of lower priority is not evicted for a preemptor that would not fit in its place, and keeps its pods."""
    told.group(0, of="low").never(evicted, since="both-run", until="canary-ran")
    told.group(0, of="low").keeps(pod_uids, since="both-run", until="canary-ran")


@claim("PRE-11", of=no_victim_helps)
def test_preemptor_that_does_not_fit_waits(told: Told) -> None:
    """A group of high priority for which no room can be made holds no quota, and its pods stay gated."""
    told.group(0, of="big").always(no_quota_reserved, since=created, until="canary-ran")
    told.group(0, of="big").always(gated, since=created, until=admitted, through="canary-ran")


@claim("PRE-02", of=no_victim_helps)
def test_lowest_group_of_all_stays_if_it_is_not_needed(told: Told) -> None:
    """A group of the lowest priority is not evicted if the preemptor fits without its room."""
    told.group(0, of="canary-1").never(evicted, since="canary-ran")
    told.group(0, of="canary-1").keeps(pod_uids, since="canary-ran")


@story(moments={"older-runs": "PRE-12", "newer-back": "PRE-06"})
def older_group_of_equal_priority(tenant: Tenant) -> None:
    """A big group waits and a newer one of equal priority runs, until there is room for the big one; then it goes."""
    tenant.open(quota=groups(1), group=leader_worker_set().group, rules=QueueRules(within="LowerOrNewerEqualPriority"))
    older = tenant.create(leader_worker_set("older", worker=HALF_OF_ALMOST_ALL))
    older.group(0).reached(created)
    tenant.next_second(2)
    newer = tenant.create(leader_worker_set("newer"))
    newer.reached(running, moment="newer-runs")
    tenant.set_quota(groups(2) + canary_room)
    older.eventually(running, moment="older-runs")
    tenant.canary(after=(newer.group(0),)).reached(ready, moment="canary-ran")
    older.delete()
    newer.eventually(running, moment="newer-back")


@claim("PRE-12", of=older_group_of_equal_priority)
def test_newer_group_gives_way(told: Told) -> None:
    """A group of equal priority is preempted by one that waits longer, and its new pods stay gated."""
    told.group(0, of="newer").at("older-runs", preempted)
    told.group(0, of="newer").always(gated, since="older-runs", until=admitted, through="canary-ran")


@claim("PRE-12", of=older_group_of_equal_priority)
def test_older_group_does_not_give_way(told: Told) -> None:
    """A group is not preempted by a newer one of equal priority."""
    told.group(0, of="older").never(evicted, since="older-runs", until="canary-ran")
    told.group(0, of="older").keeps(pod_uids, since="older-runs", until="canary-ran")


@claim("PRE-10", of=older_group_of_equal_priority)
def test_newer_group_waits_for_the_older(told: Told) -> None:
    """A group that may not preempt the one that took its place waits without quota."""
    told.group(0, of="newer").always(no_quota_reserved, since="older-runs", until="canary-ran")


@claim("PRE-06", of=older_group_of_equal_priority)
def test_newer_group_comes_back_as_it_was(told: Told) -> None:
    """A group that gave way is admitted again under the same Workload, which then is no longer Evicted or Preempted."""
    told.group(0, of="newer").keeps(workload_uid, since="newer-runs")
    told.group(0, of="newer").at("newer-back", not_evicted)


@story(moments={"first-runs": "PRE-13"})
def preempting_while_borrowing(tenant: Tenant) -> None:
    """A queue that has to borrow may preempt up to priority 10; others borrow for one group of 10 and one of 20."""
    cheap_class, dear_class, higher = tenant.priority_classes(10, 20, 30)
    tenant.open(
        quota={"borrower": groups(0), "poor": canary_room, "lender": groups(2)},
        group=leader_worker_set().group,
        cohort=True,
        rules={"poor": QueueRules(within="LowerPriority", reclaim="LowerPriority", borrow_up_to=10)},
    )
    dear = tenant.create(leader_worker_set("dear", queue="borrower", priority_class=dear_class))
    cheap = tenant.create(leader_worker_set("cheap", queue="borrower", priority_class=cheap_class))
    dear.reached(running)
    cheap.reached(running, moment="both-run")
    first = tenant.create(leader_worker_set("first", queue="poor", priority_class=higher))
    first.eventually(running, moment="first-runs")
    second = tenant.create(leader_worker_set("second", queue="poor", priority_class=higher))
    tenant.canary(after=(second.group(0),), queue="poor").reached(ready, moment="canary-ran")


@claim("PRE-13", of=preempting_while_borrowing)
def test_group_up_to_the_threshold_gives_way_to_a_borrower(told: Told) -> None:
    """A queue that borrows preempts a group of lower priority that does not exceed the threshold."""
    told.group(0, of="cheap").at("first-runs", preempted)
    told.group(0, of="cheap").always(gated, since="first-runs", through="canary-ran")


@claim("PRE-13", of=preempting_while_borrowing)
def test_group_above_the_threshold_does_not_give_way(told: Told) -> None:
    """A queue that borrows does not preempt a group above the threshold, though that one's priority is lower."""
    told.group(0, of="dear").never(evicted, since="both-run", through="canary-ran")
    told.group(0, of="dear").keeps(pod_uids, since="both-run", through="canary-ran")


@claim("PRE-10", of=preempting_while_borrowing)
def test_borrower_without_a_victim_waits(told: Told) -> None:
    """A group that would have to borrow, and finds nobody whom its queue may preempt for that, waits without quota."""
    told.group(0, of="second").always(no_quota_reserved, since=created, through="canary-ran")
    told.group(0, of="first").never(evicted, since="first-runs", through="canary-ran")
