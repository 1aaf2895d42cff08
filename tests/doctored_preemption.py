"""What the claims and waits of `test_preemption` reject, and states for its expectations."""

from __future__ import annotations

from typing import Any

from conformance import expectations
from conformance.expectations import complete, evicted
from conformance.expectations.subjects import OfGroup, OfSet
from doctoring import (
    admit,
    assign,
    keep_identity,
    lose,
    never_admit,
    replace_uid,
    reserve,
    unavailable,
    unready_replica,
)
from doctoring_pods import bind, ungate, unready
from doctoring_preemption import (
    evict,
    give_back,
    preempt,
    refer_elsewhere,
    reprioritize,
    the_one,
    unevict,
    unpreempt,
)
from doctoring_requests import shrink
from editing import Edit, after, at, group, the, worker, workload
from states import Case, In, but, nothing

Rejected = list[tuple[Edit, str]]

COMES_AND_GOES = "higher_priority_comes_and_goes"
VICTIM = the_one(COMES_AND_GOES, "low", evicted, "victim-waits")
OTHER = the_one(COMES_AND_GOES, "low", complete, "victim-waits")
HIGH, LOW_0 = group("high"), group("low")
BIG, LOW, EQUAL, CANARY = group("big"), group("low"), group("equal"), group("canary-1")
OLDER, NEWER = group("older"), group("newer")
CHEAP, DEAR, FIRST, SECOND = group("cheap"), group("dear"), group("first"), group("second")
CANARY_RAN = at("canary-ran")


def running(moment: str, name: str) -> Rejected:
    """What a wait for a set that runs rejects."""
    of, lws, when = group(name), the("LeaderWorkerSet", name), at(moment)
    edits = never_admit(workload(of), when), unready(worker(of), when), lose(worker(of), when)
    return [(edit, "running") for edit in (*edits, unready_replica(lws, when), unavailable(lws, when))]


def no_quota(which: Any, when: Any) -> Rejected:
    return [(make(workload(which), when), "no_quota_reserved") for make in (reserve, assign, admit)]


REJECTED: dict[str, Rejected] = {
    "test_workloads_have_the_priority_of_the_class": [
        (reprioritize(workload(HIGH), at("high-runs")), "has_priority"),
        (refer_elsewhere(workload(LOW_0), at("low-runs")), "has_priority"),
    ],
    "test_pods_of_the_victim_come_back_gated": [
        (unpreempt(workload(VICTIM), at("victim-waits")), "preempted"),
        (keep_identity(worker(VICTIM), at("low-runs"), at("victim-waits")), "renews pod_uids"),
        (ungate(worker(VICTIM), after("victim-waits")), "gated"),
    ],
    "test_one_group_goes_for_one": [(evict(workload(OTHER), at("victim-waits")), "at_most_evicted")],
    "test_other_groups_keep_running": [
        (replace_uid(worker(OTHER), after("victim-waits")), "keeps pod_uids"),
        (replace_uid(workload(OTHER), after("victim-waits")), "keeps workload_uid"),
        (unready(worker(OTHER), after("victim-waits")), "complete"),
    ],
    "test_quota_of_a_victim_is_held_until_its_pods_are_stopped": [
        (give_back(workload(VICTIM), at("low-runs")), "pods_run_on_reserved_quota"),
        (lose(workload(VICTIM), at("low-runs")), "pods_run_on_reserved_quota"),
    ],
    "test_preemptor_starts_on_what_its_victim_gave_back": [
        (ungate(worker(VICTIM), at("victim-waits")), "pods_within_quota"),
        (shrink(the("ClusterQueue"), at("high-runs"), "1400m"), "pods_within_quota"),
    ],
    "test_victim_keeps_its_workload": [
        (replace_uid(workload(VICTIM), at("victim-waits")), "keeps workload_uids"),
        (evict(workload(VICTIM), at("back")), "not_evicted"),
        (preempt(workload(VICTIM), at("back")), "not_evicted"),
    ],
    "test_group_of_equal_priority_is_no_victim": [
        (evict(workload(EQUAL), CANARY_RAN), "never evicted"),
        (replace_uid(worker(EQUAL), after("both-run")), "keeps pod_uids"),
    ],
    "test_lower_group_stays_if_its_room_is_not_enough": [
        (evict(workload(LOW), CANARY_RAN), "never evicted"),
        (replace_uid(worker(LOW), after("both-run")), "keeps pod_uids"),
    ],
    "test_preemptor_that_does_not_fit_waits": [
        *no_quota(BIG, CANARY_RAN),
        (ungate(worker(BIG), CANARY_RAN), "gated"),
        (bind(worker(BIG), CANARY_RAN), "gated"),
    ],
    "test_lowest_group_of_all_stays_if_it_is_not_needed": [
        (evict(workload(CANARY), at("room")), "never evicted"),
        (replace_uid(lambda view: CANARY(view).bind(view).pods[0], after("canary-ran")), "keeps pod_uids"),
    ],
    "test_newer_group_gives_way": [
        (unevict(workload(NEWER), at("older-runs")), "preempted"),
        (unpreempt(workload(NEWER), at("older-runs")), "preempted"),
        (ungate(worker(NEWER), CANARY_RAN), "gated"),
    ],
    "test_older_group_does_not_give_way": [
        (evict(workload(OLDER), CANARY_RAN), "never evicted"),
        (replace_uid(worker(OLDER), CANARY_RAN), "keeps pod_uids"),
    ],
    "test_newer_group_waits_for_the_older": no_quota(NEWER, CANARY_RAN),
    "test_newer_group_comes_back_as_it_was": [
        (replace_uid(workload(NEWER), CANARY_RAN), "keeps workload_uid"),
        (evict(workload(NEWER), at("newer-back")), "not_evicted"),
        (preempt(workload(NEWER), at("newer-back")), "not_evicted"),
    ],
    "test_group_up_to_the_threshold_gives_way_to_a_borrower": [
        (unevict(workload(CHEAP), at("first-runs")), "preempted"),
        (unpreempt(workload(CHEAP), at("first-runs")), "preempted"),
        (ungate(worker(CHEAP), CANARY_RAN), "gated"),
    ],
    "test_group_above_the_threshold_does_not_give_way": [
        (evict(workload(DEAR), CANARY_RAN), "never evicted"),
        (replace_uid(worker(DEAR), after("first-runs")), "keeps pod_uids"),
    ],
    "test_borrower_without_a_victim_waits": [
        *no_quota(SECOND, CANARY_RAN),
        (evict(workload(FIRST), CANARY_RAN), "never evicted"),
    ],
}

PROMISED: dict[tuple[str, str], Rejected] = {
    (COMES_AND_GOES, "high-runs"): running("high-runs", "high"),
    (COMES_AND_GOES, "victim-waits"): [
        (unready_replica(the("LeaderWorkerSet", "low"), at("victim-waits")), "ready_groups"),
        (lose(worker(VICTIM), at("victim-waits")), "all_pods_exist"),
    ],
    (COMES_AND_GOES, "back"): running("back", "low"),
    ("no_victim_helps", "room"): running("room", "big"),
    ("older_group_of_equal_priority", "older-runs"): running("older-runs", "older"),
    ("older_group_of_equal_priority", "newer-back"): running("newer-back", "newer"),
    ("preempting_while_borrowing", "first-runs"): running("first-runs", "first"),
}

GAVE_WAY, STAYED = In("older_group_of_equal_priority", "older-runs"), In("older_group_of_equal_priority", "newer-runs")
VICTIM_WAITS, HIGH_RUNS = In(COMES_AND_GOES, "victim-waits"), In(COMES_AND_GOES, "high-runs")
LOW_RUNS = In(COMES_AND_GOES, "low-runs")
TENANT = VICTIM_WAITS.view().tenant

CASES: dict[str, list[Case]] = {
    "preemption": [
        Case(expectations.evicted, OfGroup("newer", 0), [GAVE_WAY], [STAYED, but(GAVE_WAY, unevict, workload(NEWER))]),
        Case(
            expectations.preempted,
            OfGroup("newer", 0),
            [GAVE_WAY],
            [STAYED, *(but(GAVE_WAY, make, workload(NEWER)) for make in (unevict, unpreempt))],
        ),
        Case(
            expectations.not_evicted,
            OfGroup("newer", 0),
            [STAYED],
            [GAVE_WAY, nothing(STAYED), *(but(STAYED, make, workload(NEWER)) for make in (evict, preempt))],
        ),
        Case(
            expectations.at_most_evicted(1),
            OfSet("low"),
            [VICTIM_WAITS, LOW_RUNS],
            [but(VICTIM_WAITS, evict, workload(OTHER)), nothing(LOW_RUNS)],
        ),
        Case(
            expectations.pods_run_on_reserved_quota,
            OfSet("low"),
            [LOW_RUNS, VICTIM_WAITS],
            [nothing(LOW_RUNS), *(but(LOW_RUNS, make, workload(LOW_0)) for make in (give_back, lose))],
        ),
        Case(
            expectations.all_pods_exist,
            OfSet("low"),
            [LOW_RUNS, VICTIM_WAITS],
            [but(LOW_RUNS, lose, worker(LOW_0)), nothing(LOW_RUNS)],
        ),
        Case(
            expectations.has_priority(20, f"{TENANT}-20"),
            OfGroup("high", 0),
            [HIGH_RUNS],
            [
                nothing(HIGH_RUNS),
                *(but(HIGH_RUNS, make, workload(HIGH)) for make in (reprioritize, refer_elsewhere)),
            ],
        ),
    ]
}
