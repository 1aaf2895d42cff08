"""What the claims and promised waits of the stories of updates, restarts and holds reject."""

from __future__ import annotations

from conformance.expectations import has_workers
from doctoring import (
    admit,
    charge,
    duplicate,
    hold,
    keep_identity,
    lose,
    miscount,
    never_admit,
    readmit,
    recount_podsets,
    replace_uid,
    reserve,
    unadmit,
    unavailable,
    unready_replica,
)
from doctoring_pods import extra_pod, gate_again, ungate, unready
from doctoring_preemption import unevict
from doctoring_updates import change_image, last_worker, never_ready, recount, update_again
from editing import Edit, WhichGroup, after, at, group, leader, once, the, worker, workload

Rejected = list[tuple[Edit, str]]
"""Edits, each with the expectation that must fail on it; its arguments are left out."""

LWS, LWS_1, LWS_2, FIRST, SECOND = group("lws"), group("lws", 1), group("lws", 2), group("first"), group("second")
QUEUE, LOCAL_QUEUE = the("ClusterQueue"), the("LocalQueue", "user-queue")
CANARY_RAN = at("canary-ran")


def another_admission(of: WhichGroup, since: str) -> Rejected:
    """The group's Workload is another, or has been admitted anew."""
    return [
        (replace_uid(workload(of), after(since)), "keeps workload_uid"),
        (readmit(workload(of), after(since)), "keeps admission_time"),
    ]


def other_amounts(since: str, cpu: str) -> Rejected:
    """The queue is charged and reserves another amount."""
    return [
        (charge(QUEUE, after(since), "cpu", cpu), "usage"),
        (hold(QUEUE, after(since), "cpu", cpu), "reserved"),
    ]


UPDATES: dict[str, Rejected] = {
    "test_an_update_needs_no_new_admission": [
        *another_admission(LWS, "running"),
        *another_admission(LWS_1, "counted"),
        (duplicate(workload(LWS), at("rolled-out")), "one_workload_per_group"),
    ],
    "test_groups_are_replaced_one_after_another": [
        (keep_identity(worker(LWS), at("running"), at("rolled-out")), "renews pod_uids"),
        (keep_identity(leader(LWS_1), at("running"), at("rolled-out")), "renews pod_uids"),
        (change_image(leader(LWS), at("rolled-out")), "of_image"),
        (never_ready(worker(LWS), at("running")), "at_least_complete"),
    ],
    "test_an_update_without_surge_changes_no_usage": other_amounts("counted", "300m"),
    "test_an_update_changes_no_usage_of_the_local_queue": [
        (charge(LOCAL_QUEUE, after("counted-locally"), "cpu", "300m"), "usage"),
        (miscount(QUEUE, after("counted"), admitted=1), "counts"),
        (miscount(QUEUE, after("counted"), pending=1), "counts"),
    ],
    "test_a_surge_group_is_admitted_as_any_other": [
        (ungate(leader(LWS_2), once(LWS_2, has_workers)), "gated_until_admitted"),
        (never_admit(workload(LWS_2), at("surging")), "gated_until_admitted"),
        (change_image(leader(LWS_2), at("surging")), "of_image"),
    ],
    "test_groups_with_surge_keep_their_workloads": [
        *another_admission(LWS, "running"),
        *another_admission(LWS_1, "surging"),
    ],
    "test_an_update_holds_quota_for_no_more_than_its_surge": [
        (duplicate(workload(LWS_2), at("surging")), "at_most_admitted"),
    ],
    "test_a_surge_group_without_quota_stays_gated": [
        (ungate(leader(LWS_2), CANARY_RAN), "gated"),
        (reserve(workload(LWS_2), CANARY_RAN), "no_quota_reserved"),
    ],
    "test_a_surge_group_takes_no_quota_from_others": [
        *another_admission(LWS, "running"),
        *another_admission(LWS_1, "canary-ran"),
    ],
}

RESTARTS: dict[str, Rejected] = {
    "test_a_restart_needs_no_new_admission": another_admission(LWS_1, "running"),
    "test_other_groups_are_not_restarted": [
        (replace_uid(worker(LWS), after("running")), "keeps pod_uids"),
        *another_admission(LWS, "running"),
        (unready(worker(LWS), at("recreated")), "complete"),
    ],
    "test_the_group_of_a_deleted_pod_stays_admitted": [
        (unadmit(workload(LWS_1), after("counted")), "admitted"),
        (gate_again(worker(LWS_1), at("running-again")), "ungated"),
    ],
    "test_a_restart_changes_no_usage": [
        *other_amounts("counted", "500m"),
        (miscount(QUEUE, after("counted"), admitted=1), "counts"),
    ],
    "test_the_other_pods_stay": [
        (replace_uid(leader(LWS), after("running")), "keeps uids_below"),
        (replace_uid(worker(LWS), after("running")), "keeps uids_below"),
    ],
    "test_a_replacement_needs_no_new_admission": another_admission(LWS, "running"),
    "test_the_group_of_a_replaced_worker_stays_admitted": [
        (unadmit(workload(LWS), after("counted")), "admitted"),
        (gate_again(last_worker(LWS), at("running-again")), "ungated"),
    ],
    "test_a_replacement_changes_no_usage": other_amounts("counted", "300m"),
    "test_a_waiting_group_has_its_leader_alone": [
        (ungate(leader(LWS), CANARY_RAN), "gated"),
        (extra_pod(leader(LWS), CANARY_RAN, worker=1), "never has_workers"),
        (lose(leader(LWS), CANARY_RAN), "leaders_only"),
    ],
    "test_the_workload_counts_workers_that_do_not_exist": [
        (recount_podsets(workload(LWS), CANARY_RAN, 1), "has_podsets")
    ],
    "test_workers_come_after_the_leader_is_ready": [
        (never_ready(leader(LWS), at("running")), "leader_ready before has_workers"),
        (never_admit(workload(LWS), at("running")), "admitted before leader_ready"),
    ],
    "test_workers_of_a_ready_leader_need_no_new_admission": [
        (replace_uid(workload(LWS), after("canary-ran")), "keeps workload_uid"),
        (readmit(workload(LWS), once(LWS, has_workers)), "keeps admission_time"),
        (gate_again(worker(LWS), at("running")), "ungated"),
    ],
}

HOLDS: dict[str, Rejected] = {
    "test_the_other_group_runs_on": [
        (replace_uid(worker(LWS), after("running")), "keeps pod_uids"),
        *another_admission(LWS, "running"),
        (unready(worker(LWS), at("stopped")), "complete"),
    ],
    "test_a_deactivated_group_comes_back_gated": [
        (keep_identity(leader(LWS_1), at("running"), at("stopped")), "renews pod_uids"),
        (ungate(worker(LWS_1), CANARY_RAN), "gated"),
    ],
    "test_a_deactivated_group_keeps_its_workload": [
        (replace_uid(workload(LWS_1), after("running")), "keeps workload_uid"),
        (unevict(workload(LWS_1), at("stopped")), "evicted"),
        (reserve(workload(LWS_1), CANARY_RAN), "no_quota_reserved"),
    ],
    "test_an_active_group_is_admitted_under_its_old_workload": [
        (replace_uid(workload(LWS_1), after("canary-ran")), "keeps workload_uid"),
        (never_admit(workload(LWS_1), at("back")), "admitted before partly_ungated"),
    ],
    "test_a_group_that_awaits_its_check_never_starts_on_hold": [
        (ungate(worker(SECOND), at("second-waits")), "gated"),
        (admit(workload(SECOND), at("held")), "not_admitted"),
    ],
    "test_the_workload_stays_without_its_reservation": [
        (replace_uid(workload(SECOND), at("held")), "keeps workload_uid")
    ],
    "test_an_admitted_group_runs_on_while_its_queue_is_held": [
        (replace_uid(leader(FIRST), after("first-runs")), "keeps uids_below"),
        *another_admission(FIRST, "first-runs"),
        (charge(QUEUE, after("both-hold-quota"), "cpu", "0"), "usage"),
    ],
}

REJECTED: dict[str, Rejected] = UPDATES | RESTARTS | HOLDS


def not_running(moment: str, name: str = "lws") -> Rejected:
    of, lws, when = group(name), the("LeaderWorkerSet", name), at(moment)
    edits = never_admit(workload(of), when), unready(worker(of), when), lose(worker(of), when)
    return [(edit, "running") for edit in (*edits, unready_replica(lws, when), unavailable(lws, when))]


def not_ready(of: WhichGroup, moment: str) -> Rejected:
    when = at(moment)
    return [(never_admit(workload(of), when), "ready"), (unadmit(workload(of), when), "ready")]


def not_rolled_out(moment: str) -> Rejected:
    lws, when = the("LeaderWorkerSet", "lws"), at(moment)
    edits = update_again(lws, when), recount(lws, when, "updatedReplicas", 1), change_image(worker(LWS), when)
    return [(edit, "rolled_out") for edit in edits]


def not_alone(moment: str) -> Rejected:
    """A Workload or a pod too many is left of an update with surge."""
    return [
        (duplicate(workload(LWS), at(moment)), "workloads_of"),
        (extra_pod(worker(LWS), at(moment), group=2), "no_pods_beyond"),
    ]


def not_counted(moment: str, cpu: str, **counts: int) -> Rejected:
    when = at(moment)
    return [(charge(QUEUE, when, "cpu", cpu), "usage"), (miscount(QUEUE, when, **counts), "counts")]


PROMISED: dict[tuple[str, str], Rejected] = {
    ("image_update", "rolled-out"): [*not_running("rolled-out"), *not_rolled_out("rolled-out")],
    ("surge_update", "surging"): [*not_ready(LWS_2, "surging"), (unready(worker(LWS_2), at("surging")), "ready")],
    ("surge_update", "rolled-out"): [
        *not_running("rolled-out"),
        *not_rolled_out("rolled-out"),
        *not_alone("rolled-out"),
    ],
    ("surge_update", "counted"): not_counted("counted", "900m", admitted=3),
    ("surge_update_without_quota", "rolled-out"): [
        *not_running("rolled-out"),
        *not_rolled_out("rolled-out"),
        *not_alone("rolled-out"),
    ],
    ("one_pod_restarts_its_group", "recreated"): [
        *not_ready(LWS_1, "recreated"),
        (keep_identity(worker(LWS_1), at("running"), at("recreated")), "replaced"),
        (keep_identity(leader(LWS_1), at("running"), at("recreated")), "replaced"),
    ],
    ("one_worker_is_replaced", "replaced"): [
        *not_ready(LWS, "replaced"),
        (keep_identity(last_worker(LWS), at("running"), at("replaced")), "replaced"),
    ],
    ("leader_ready_without_quota", "running"): not_running("running"),
    ("group_is_deactivated", "stopped"): [
        (lose(worker(LWS_1), at("stopped")), "tried"),
        (ungate(worker(LWS_1), at("stopped")), "gated"),
        (reserve(workload(LWS_1), at("stopped")), "no_quota_reserved"),
    ],
    ("group_is_deactivated", "released"): not_counted("released", "600m", admitted=2),
    ("group_is_deactivated", "back"): not_running("back"),
    ("group_is_deactivated", "counted"): not_counted("counted", "310m", admitted=2),
    ("hold_takes_a_reservation", "both-hold-quota"): [
        (hold(QUEUE, at("both-hold-quota"), "cpu", "300m"), "reserved"),
        (charge(QUEUE, at("both-hold-quota"), "cpu", "600m"), "usage"),
    ],
    ("hold_takes_a_reservation", "held"): [(reserve(workload(SECOND), at("held")), "no_quota_reserved")],
    ("hold_takes_a_reservation", "released"): [
        (hold(QUEUE, at("released"), "cpu", "600m"), "reserved"),
        (miscount(QUEUE, at("released"), reserving=2), "counts"),
    ],
    ("hold_takes_a_reservation", "replaced"): [
        *not_ready(FIRST, "replaced"),
        (keep_identity(last_worker(FIRST), at("first-runs"), at("replaced")), "replaced"),
    ],
}
