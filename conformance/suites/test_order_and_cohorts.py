"""Who is next: the order in one queue, between the queues of a cohort, and between the flavors of a queue."""

from __future__ import annotations

from conformance.expectations import (
    admitted,
    admitted_groups,
    at_least_ready,
    at_most_admitted,
    borrowed,
    counts,
    created,
    evicted,
    gated,
    has_priority,
    in_flavor,
    no_quota_reserved,
    not_admitted,
    pod_uids,
    ready,
    running,
    selects_rack,
    templates_select_nothing,
    tried,
)
from conformance.expectations.judging import START, Told
from conformance.world.builders import leader_worker_set
from conformance.world.requests import Requests, canary_room, groups
from conformance.world.rules import QueueRules
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant

TWO_FLAVORS = "r1: h1 8000; r2: h2 8000"


@story()
def one_place_and_three_who_wait(tenant: Tenant) -> None:
    """A group fills the queue and an older, a newer and an urgent one wait; then the first and the urgent one go."""
    (urgent_class,) = tenant.priority_classes(20)
    first = tenant.create(leader_worker_set("first"), quota=groups(1) + canary_room)
    first.reached(running)
    older = tenant.create(leader_worker_set("older"))
    older.group(0).reached(created)
    tenant.next_second(2)
    newer = tenant.create(leader_worker_set("newer"))
    urgent = tenant.create(leader_worker_set("urgent", priority_class=urgent_class))
    waiting = (older.group(0), newer.group(0), urgent.group(0))
    tenant.canary(after=waiting).reached(ready, moment="canary-ran")
    # Only how many are admitted is waited for: who they are is for the claims to say. A queue may count a group before
    # its Workload says that it is admitted.
    first.delete()
    tenant.reached_by_one(waiting, admitted)
    tenant.queue().reached(counts(admitted=2, pending=2), moment="next-admitted")
    urgent.delete()
    tenant.reached_by_one(waiting[:2], admitted)
    tenant.queue().reached(counts(admitted=2, pending=1), moment="last-but-one-admitted")


@claim("PRI-10", of=one_place_and_three_who_wait)
def test_higher_priority_is_admitted_first(told: Told) -> None:
    """A group of higher priority is admitted before those that wait longer."""
    told.group(0, of="older").always(no_quota_reserved, since=created, until="next-admitted")
    told.group(0, of="newer").always(no_quota_reserved, since=created, until="next-admitted")
    told.group(0, of="urgent").at("next-admitted", admitted)


@claim("PRI-11", of=one_place_and_three_who_wait)
def test_longer_waiting_is_admitted_first(told: Told) -> None:
    """Of two groups of equal priority the one that waits longer by two seconds is admitted first."""
    told.group(0, of="newer").always(no_quota_reserved, since=created, until="last-but-one-admitted")
    told.group(0, of="older").at("last-but-one-admitted", admitted)


@claim("PRI-01", of=one_place_and_three_who_wait)
def test_waiting_workload_has_the_priority_of_the_class(told: Told) -> None:
    """The Workload of a group that waits has the priority of its class from the beginning."""
    told.group(0, of="urgent").always(
        has_priority(20, f"{told.history.tenant}-20"), since=created, until="next-admitted"
    )


BIG = Requests(cpu=450)
"""Two workers of this and a leader ask for exactly two usual groups."""


@story(moments={"younger-passes": "ADM-08", "head-runs": "ADM-08", "younger-runs": "ADM-08"})
def strict_and_best_effort(tenant: Tenant) -> None:
    """In a StrictFIFO and a BestEffortFIFO queue a group runs, a big one waits, and a younger one would fit."""
    rules = {"strict": QueueRules(strategy="StrictFIFO"), "best": QueueRules(strategy="BestEffortFIFO")}
    tenant.open(quota={"strict": groups(2), "best": groups(2)}, group=leader_worker_set().group, rules=rules)
    first = tenant.create(leader_worker_set("first", queue="strict"))
    tenant.create(leader_worker_set("also-first", queue="best")).reached(running)
    first.reached(running, moment="first-run")
    heads = [tenant.create(leader_worker_set(f"head-{queue}", queue=queue, worker=BIG)) for queue in rules]
    for head in heads:
        head.group(0).reached(created)
    tenant.next_second(2)
    strict, best = (tenant.create(leader_worker_set(f"younger-{queue}", queue=queue)) for queue in rules)
    best.eventually(running, moment="younger-passes")
    strict.group(0).reached(tried, moment="younger-waits")
    # Only how many are admitted is waited for: who it is is for the claims to say.
    first.delete()
    tenant.reached_by_one((heads[0].group(0), strict.group(0)), admitted)
    tenant.queue("strict").reached(counts(admitted=1, pending=1), moment="next-admitted")
    heads[0].eventually(running, moment="head-runs")
    heads[0].delete()
    strict.eventually(running, moment="younger-runs")


@claim("ADM-08", of=strict_and_best_effort)
def test_head_of_a_strict_queue_holds_up_the_younger(told: Told) -> None:
    """In a StrictFIFO queue a group that fits gets no quota before the older one that did not fit is admitted."""
    told.group(0, of="younger-strict").always(no_quota_reserved, since=created, until="next-admitted")
    told.group(0, of="head-strict").at("next-admitted", admitted)


@claim("ADM-08", of=strict_and_best_effort)
def test_group_that_is_held_up_stays_gated(told: Told) -> None:
    """The pods of a group that is held up by the head of its StrictFIFO queue stay gated."""
    told.group(0, of="younger-strict").always(gated, since=created, until="next-admitted")


@claim("ADM-08", of=strict_and_best_effort)
def test_head_of_a_best_effort_queue_gets_nothing_in_part(told: Told) -> None:
    """In a BestEffortFIFO queue the older group that does not fit holds no quota while a younger one is admitted."""
    told.group(0, of="head-best").always(no_quota_reserved, since=created)


@story(moments={"left-runs": "COH-05", "left-borrows": "COH-01", "right-runs": "COH-05", "room": "COH-05"})
def tree_of_cohorts(tenant: Tenant) -> None:
    """Two cohorts may borrow of a third, the left one up to its own limit, the right one up to the lender's."""
    nominal = groups(1) + canary_room
    tenant.open(
        quota={"left": nominal, "right": nominal},
        group=leader_worker_set().group,
        rules={"left": QueueRules(cohort="left"), "right": QueueRules(cohort="right")},
    )
    tenant.add_cohort("org")
    tenant.add_cohort("lender", parent="org", quota=groups(4), lending_limit=groups(2))
    tenant.add_cohort("left", parent="org", borrowing_limit=groups(1))
    tenant.add_cohort("right", parent="org")
    left = tenant.create(leader_worker_set("left", replicas=3, queue="left"))
    left.eventually(at_least_ready(2), moment="left-runs")
    left_groups = tuple(left.group(index) for index in range(3))
    tenant.canary(after=left_groups, queue="left").reached(ready, moment="left-canary-ran")
    tenant.queue("left").eventually(borrowed(cpu="500m"), counts(pending=1, admitted=3), moment="left-borrows")
    right = tenant.create(leader_worker_set("right", replicas=3, queue="right"))
    right.eventually(at_least_ready(2), moment="right-runs")
    right_groups = tuple(right.group(index) for index in range(3))
    tenant.canary(after=right_groups, queue="right").reached(ready, moment="right-canary-ran")
    left.delete()
    right.eventually(running, moment="room")


@claim("COH-05", of=tree_of_cohorts)
def test_cohort_borrows_up_to_its_limit(told: Told) -> None:
    """A cohort's queues admit no more groups than its borrowing limit allows, though another cohort could lend more."""
    told.set("left").always(at_most_admitted(2), since=START, until="left-canary-ran")
    told.set("left").at("left-canary-ran", admitted_groups(2))


@claim("COH-05", of=tree_of_cohorts)
def test_cohort_lends_up_to_its_limit(told: Told) -> None:
    """A cohort lends no more than its lending limit to all others together, though it has more that is unused."""
    told.set("right").always(at_most_admitted(2), since=START, until="right-canary-ran")
    told.set("right").at("right-canary-ran", admitted_groups(2))


@claim("COH-05", of=tree_of_cohorts)
def test_waiting_groups_of_a_cohort_stay_gated(told: Told) -> None:
    """The pods of a group that its cohort leaves no quota stay gated until there is some."""
    for waiting in told.groups_that(not_admitted, of="left", at="left-canary-ran"):
        waiting.always(gated, since=created, until="left-canary-ran")
    for waiting in told.groups_that(not_admitted, of="right", at="right-canary-ran"):
        waiting.always(gated, since=created, until="right-canary-ran")


@story(moments={"own-runs": "COH-06"})
def own_quota_or_borrowed(tenant: Tenant) -> None:
    """One place is no use to a queue that may not borrow; another borrows it, and the queue that owns it is next."""
    lower, higher = tenant.priority_classes(10, 20)
    tenant.open(
        quota={"owner": groups(1) + canary_room, "borrower": canary_room, "closed": canary_room},
        group=leader_worker_set().group,
        cohort=True,
        rules={"closed": QueueRules(borrowing_limit=groups(0))},
    )
    closed = tenant.create(leader_worker_set("closed", queue="closed", priority_class=higher))
    tenant.canary(after=(closed.group(0),), queue="closed").reached(ready, moment="closed-tried")
    first = tenant.create(leader_worker_set("first", queue="borrower", priority_class=lower))
    first.reached(running, moment="borrowed")
    borrowing = tenant.create(leader_worker_set("borrowing", queue="borrower", priority_class=higher))
    tenant.canary(after=(borrowing.group(0),), queue="borrower").reached(ready, moment="borrower-tried")
    own = tenant.create(leader_worker_set("own", queue="owner", priority_class=lower))
    tenant.canary(after=(own.group(0),), queue="owner").reached(ready, moment="owner-tried")
    first.delete()
    own.eventually(running, moment="own-runs")


@claim("COH-02", of=own_quota_or_borrowed)
def test_queue_that_may_not_borrow_waits_beside_free_quota(told: Told) -> None:
    """With a borrowing limit of 0 a group beyond its queue's nominal quota gets none, though there is some to lend."""
    told.group(0, of="closed").always(no_quota_reserved, since=created, through="borrowed")
    told.group(0, of="closed").always(gated, since=created, through="borrowed")


@claim("COH-06", of=own_quota_or_borrowed)
def test_nominal_quota_comes_before_borrowing(told: Told) -> None:
    """A group that has to borrow gets no quota before one within its queue's nominal quota, whatever its priority."""
    told.group(0, of="borrowing").always(no_quota_reserved, since=created)
    told.group(0, of="borrowing").always(gated, since=created)


@claim("COH-05", of=own_quota_or_borrowed)
def test_nothing_is_given_that_is_lent(told: Told) -> None:
    """A group waits while another queue of the cohort has borrowed its own queue's quota and may not be preempted."""
    told.group(0, of="own").always(no_quota_reserved, since=created, until="owner-tried")
    told.group(0, of="first").never(evicted, since="borrowed", until="owner-tried")


@story(moments={"low-runs": "FLV-01", "high-runs": "FLV-10"})
def full_flavor_and_a_free_one(tenant: Tenant) -> None:
    """A group of low priority fills the first of two flavors; then one of high priority comes."""
    lower, higher = tenant.priority_classes(10, 20)
    low = tenant.create(
        leader_worker_set("low", priority_class=lower),
        quota=groups(1),
        layout=TWO_FLAVORS,
        flavors=("r1", "r2"),
        rules=QueueRules(within="LowerPriority"),
    )
    low.eventually(running, moment="low-runs")
    high = tenant.create(leader_worker_set("high", priority_class=higher))
    high.eventually(running, moment="high-runs")


@claim("FLV-10", of=full_flavor_and_a_free_one)
def test_flavor_that_fits_comes_before_preemption(told: Told) -> None:
    """A group takes a later flavor in which it fits rather than to preempt another in the first one."""
    tenant = told.history.tenant
    told.group(0, of="high").always(in_flavor(f"{tenant}-r2"), since=admitted)
    told.group(0, of="low").never(evicted, since="low-runs")
    told.group(0, of="low").keeps(pod_uids, since="low-runs")


@claim("FLV-01", of=full_flavor_and_a_free_one)
def test_pods_select_the_nodes_of_their_flavor(told: Told) -> None:
    """Every pod of an admitted group selects the node labels of its flavor and is bound to such a node."""
    for name, rack in (("low", "r1"), ("high", "r2")):
        told.group(0, of=name).always(selects_rack(rack), since=created, until="high-runs")


@claim("FLV-01", of=full_flavor_and_a_free_one)
def test_templates_stay_without_the_flavor(told: Told) -> None:
    """What a flavor adds to the pods of a set is not written into its templates."""
    for name in ("low", "high"):
        told.set(name).always(templates_select_nothing, since=START)


@claim("FLV-11", of=full_flavor_and_a_free_one)
def test_first_flavor_that_fits_is_taken(told: Told) -> None:
    """Of two flavors in which a group fits it takes the one that its queue lists first."""
    told.group(0, of="low").always(in_flavor(f"{told.history.tenant}-r1"), since=admitted)
