"""What the claims and waits of `test_order_and_cohorts` reject, and states for its expectations."""

from __future__ import annotations

from conformance import expectations
from conformance.expectations import not_admitted
from conformance.expectations.subjects import OfGroup, OfQueue, OfSet
from doctored_preemption import Rejected, no_quota, running
from doctoring import miscount, replace_uid, reserve, unadmit, unready_replica
from doctoring_pods import bind, ungate
from doctoring_preemption import (
    evict,
    give_flavor,
    lend,
    refer_elsewhere,
    reprioritize,
    select_rack,
    the_one,
    write_selector,
)
from editing import after, at, group, the, worker, workload
from editing import running as admitted
from editing import waiting as not_yet
from states import Case, In, but, nothing

OLDER, NEWER, URGENT = group("older"), group("newer"), group("urgent")
OWN, BORROWING = group("own"), group("borrowing")
LOW, HIGH = group("low"), group("high")
LEFT_QUEUE = the("ClusterQueue")
YOUNGER = group("younger-strict")
STRICT = "strict_and_best_effort"
TREE = "tree_of_cohorts"
THIRD_LEFT = the_one(TREE, "left", not_admitted, "left-canary-ran")
THIRD_RIGHT = the_one(TREE, "right", not_admitted, "right-canary-ran")

REJECTED: dict[str, Rejected] = {
    "test_higher_priority_is_admitted_first": [
        *no_quota(OLDER, at("canary-ran")),
        (unadmit(workload(URGENT), at("next-admitted")), "admitted"),
    ],
    "test_longer_waiting_is_admitted_first": [
        *no_quota(NEWER, at("next-admitted")),
        (unadmit(workload(OLDER), at("last-but-one-admitted")), "admitted"),
    ],
    "test_waiting_workload_has_the_priority_of_the_class": [
        (reprioritize(workload(URGENT), at("canary-ran")), "has_priority"),
        (refer_elsewhere(workload(URGENT), at("canary-ran")), "has_priority"),
    ],
    "test_head_of_a_strict_queue_holds_up_the_younger": [
        *no_quota(YOUNGER, at("younger-waits")),
        (unadmit(workload(group("head-strict")), at("next-admitted")), "admitted"),
    ],
    "test_group_that_is_held_up_stays_gated": [
        (ungate(worker(YOUNGER), at("younger-waits")), "gated"),
        (bind(worker(YOUNGER), at("younger-waits")), "gated"),
    ],
    "test_head_of_a_best_effort_queue_gets_nothing_in_part": no_quota(group("head-best"), at("younger-passes")),
    "test_cohort_borrows_up_to_its_limit": [
        (reserve(workload(not_yet("left")), at("left-canary-ran")), "at_most_admitted"),
        (unadmit(workload(admitted("left")), at("left-canary-ran")), "admitted_groups"),
    ],
    "test_cohort_lends_up_to_its_limit": [
        (reserve(workload(not_yet("right")), at("right-canary-ran")), "at_most_admitted"),
        (unadmit(workload(admitted("right")), at("right-canary-ran")), "admitted_groups"),
    ],
    "test_waiting_groups_of_a_cohort_stay_gated": [
        (ungate(worker(THIRD_LEFT), at("left-canary-ran")), "gated"),
        (bind(worker(THIRD_RIGHT), at("right-canary-ran")), "gated"),
    ],
    "test_queue_that_may_not_borrow_waits_beside_free_quota": [
        *no_quota(group("closed"), at("closed-tried")),
        (ungate(worker(group("closed")), at("borrowed")), "gated"),
    ],
    "test_nominal_quota_comes_before_borrowing": [
        *no_quota(BORROWING, at("owner-tried")),
        (ungate(worker(BORROWING), at("own-runs")), "gated"),
    ],
    "test_nothing_is_given_that_is_lent": [
        *no_quota(OWN, at("owner-tried")),
        (evict(workload(group("first")), at("owner-tried")), "never evicted"),
    ],
    "test_flavor_that_fits_comes_before_preemption": [
        (give_flavor(workload(HIGH), at("high-runs"), "r1"), "in_flavor"),
        (evict(workload(LOW), at("high-runs")), "never evicted"),
        (replace_uid(worker(LOW), after("low-runs")), "keeps pod_uids"),
    ],
    "test_pods_select_the_nodes_of_their_flavor": [
        (select_rack(worker(LOW), at("low-runs"), None), "selects_rack"),
        (bind(worker(HIGH), at("high-runs"), host="h1"), "selects_rack"),
    ],
    "test_templates_stay_without_the_flavor": [
        (write_selector(the("LeaderWorkerSet", name), at("high-runs"), template), "templates_select_nothing")
        for name, template in (("low", "workerTemplate"), ("high", "leaderTemplate"))
    ],
    "test_first_flavor_that_fits_is_taken": [(give_flavor(workload(LOW), at("low-runs"), "r2"), "in_flavor")],
}

FLAVORS = "full_flavor_and_a_free_one"

PROMISED: dict[tuple[str, str], Rejected] = {
    (TREE, "left-runs"): [(unready_replica(the("LeaderWorkerSet", "left"), at("left-runs")), "at_least_ready")],
    (TREE, "left-borrows"): [
        (lend(LEFT_QUEUE, at("left-borrows"), "0"), "borrowed"),
        (miscount(LEFT_QUEUE, at("left-borrows"), admitted=4), "counts"),
    ],
    (STRICT, "younger-passes"): running("younger-passes", "younger-best"),
    (STRICT, "head-runs"): running("head-runs", "head-strict"),
    (STRICT, "younger-runs"): running("younger-runs", "younger-strict"),
    (TREE, "right-runs"): [(unready_replica(the("LeaderWorkerSet", "right"), at("right-runs")), "at_least_ready")],
    (TREE, "room"): running("room", "right"),
    ("own_quota_or_borrowed", "own-runs"): running("own-runs", "own"),
    (FLAVORS, "low-runs"): running("low-runs", "low"),
    (FLAVORS, "high-runs"): running("high-runs", "high"),
}

IN_FIRST, IN_SECOND = In(FLAVORS, "low-runs"), In(FLAVORS, "high-runs")
TENANT = IN_FIRST.view().tenant

LEFT_RUNS, LEFT_BORROWS = In(TREE, "left-runs"), In(TREE, "left-borrows")

CASES: dict[str, list[Case]] = {
    "cohorts": [
        Case(
            expectations.at_least_ready(2),
            OfSet("left"),
            [LEFT_RUNS],
            [nothing(LEFT_RUNS), but(LEFT_RUNS, unready_replica, the("LeaderWorkerSet", "left"))],
        ),
        Case(expectations.at_least_ready(1), OfSet("left"), [LEFT_RUNS], [nothing(LEFT_RUNS)]),
    ],
    "queues that borrow": [
        Case(
            expectations.borrowed(cpu="500m"),
            OfQueue("ClusterQueue", LEFT_BORROWS.view().tenant),
            [LEFT_BORROWS],
            [nothing(LEFT_BORROWS), LEFT_RUNS, but(LEFT_BORROWS, lend, LEFT_QUEUE, "0")],
        ),
    ],
    "flavors": [
        Case(
            expectations.in_flavor(f"{TENANT}-r2"),
            OfGroup("high", 0),
            [IN_SECOND],
            [
                nothing(IN_SECOND),
                but(IN_SECOND, give_flavor, workload(HIGH), "r1"),
            ],
        ),
        Case(
            expectations.selects_rack("r2"),
            OfGroup("high", 0),
            [IN_SECOND],
            [
                nothing(IN_SECOND),
                but(IN_SECOND, select_rack, worker(HIGH), None),
                but(IN_SECOND, bind, worker(HIGH), host="h1"),
            ],
        ),
        Case(
            expectations.templates_select_nothing,
            OfSet("low"),
            [IN_FIRST],
            [
                nothing(IN_FIRST),
                *(
                    but(IN_FIRST, write_selector, the("LeaderWorkerSet", "low"), template)
                    for template in ("leaderTemplate", "workerTemplate")
                ),
            ],
        ),
    ],
}
