"""What the claims of refusals, and of what is never exceeded, reject."""

from __future__ import annotations

from conformance.suites.test_refusals import FEWEST, MOST, QUEUES, SIZES
from doctoring import assign_as, miscount, never_admit, replace_uid, unadmit, unready_replica
from doctoring_pods import bind, move_to_other_rack, ungate, unready
from doctoring_requests import (
    accept,
    miss,
    name_another_queue,
    refuse,
    request_less,
    resize,
    shrink,
    stray_workload,
)
from editing import Edit, after, at, group, leader, pod_on, running, the, worker, workload

LWS, WAITING = group("lws"), the("LeaderWorkerSet", "waiting")
READY = the("LeaderWorkerSet", "lws")
CANARY_RAN = at("canary-ran")
QUEUE = the("ClusterQueue")
PAGE, PAGE_1 = group("nginx-leaderworkerset"), group("nginx-leaderworkerset", 1)
ROLES = ("leader", "worker")

REJECTED: dict[str, list[tuple[Edit, str]]] = {
    "test_a_ready_set_stays_in_its_queue": [
        (accept("ready-queue"), "refused"),
        (miss("ready-queue"), "refused"),
        (refuse("waiting-queue"), "accepted"),
        (unready(worker(LWS), at("one-waits")), "ready"),
        (name_another_queue(READY, after("one-waits")), "keeps named_queue"),
    ],
    "test_a_managed_set_keeps_its_size": [
        *[(accept(f"{who}-{called}"), "refused") for called in SIZES for who in ("ready", "waiting")],
        *[(refuse(f"plain-{called}"), "accepted") for called in SIZES],
        (resize(READY, after("one-waits"), 4), "keeps group_size"),
        (resize(WAITING, after("one-waits"), 2), "keeps group_size"),
    ],
    "test_a_managed_set_keeps_its_requests": [
        *[(accept(f"{who}-{role}-requests"), "refused") for role in ROLES for who in ("ready", "waiting")],
        *[(refuse(f"{who}-{role}-image"), "accepted") for role in ROLES for who in ("ready", "waiting", "plain")],
        *[(refuse(f"plain-{role}-requests"), "accepted") for role in ROLES],
        *[
            (request_less(lws, after("one-waits"), role), "keeps template_requests")
            for role in ROLES
            for lws in (READY, WAITING)
        ],
    ],
    "test_replicas_are_bounded": [
        *[(accept(f"{called}-{replicas}"), "refused") for called in QUEUES for replicas in (FEWEST - 1, MOST + 1)],
        *[(refuse(f"{called}-{replicas}"), "accepted") for called in QUEUES for replicas in (FEWEST, MOST)],
    ],
    "test_a_set_waits_for_its_queue_to_exist": [
        (ungate(leader(LWS), CANARY_RAN), "gated"),
        (bind(worker(group("lws", 1)), CANARY_RAN), "gated"),
    ],
    "test_no_workload_belongs_to_a_part_of_a_set": [
        (stray_workload("StatefulSet"), "no_workloads_of_parts"),
        (stray_workload("Pod"), "no_workloads_of_parts"),
    ],
    "test_an_update_gives_no_workload_to_a_part_of_a_set": [
        (stray_workload("StatefulSet"), "no_workloads_of_parts"),
        (stray_workload("Pod"), "no_workloads_of_parts"),
    ],
    "test_a_restart_gives_no_workload_to_a_part_of_a_set": [
        (stray_workload("StatefulSet"), "no_workloads_of_parts"),
        (stray_workload("Pod"), "no_workloads_of_parts"),
    ],
    "test_no_pod_is_ungated_before_its_group_is_admitted": [
        (unadmit(workload(running("lws")), CANARY_RAN), "ungated_only_if_admitted"),
        (never_admit(workload(running("lws")), CANARY_RAN), "ungated_only_if_admitted"),
    ],
    "test_what_may_run_is_within_quota": [(shrink(QUEUE, CANARY_RAN, "20m"), "pods_within_quota")],
    "test_competing_sets_share_no_host": [
        (assign_as(workload(group("one")), at("counted"), leader="h1", worker="h1 h1"), "hosts_within_capacity"),
    ],
    "test_of_competing_sets_each_is_admitted_whole_or_not": [
        (ungate(leader(group("three")), CANARY_RAN), "atomic"),
        (never_admit(workload(group("one")), CANARY_RAN), "atomic"),
    ],
    "test_a_leader_without_gpu_is_placed_with_its_workers": [
        (bind(leader(PAGE), at("running"), host="canary"), "placed_as"),
        (bind(leader(PAGE_1), at("running"), host="canary"), "placed_as"),
    ],
    "test_a_host_that_is_cordoned_or_not_ready_is_no_room": [
        (move_to_other_rack(worker(LWS), at("first-runs")), "in_rack")
    ],
    "test_room_that_others_take_is_not_given_away": [
        (move_to_other_rack(worker(LWS), at("first-runs")), "in_rack"),
        (move_to_other_rack(worker(group("lws", 1)), at("both-run")), "in_rack"),
    ],
    "test_the_pod_of_a_lost_host_stays_in_its_rack": [(move_to_other_rack(pod_on("h3", LWS), at("moved")), "in_rack")],
    "test_scaling_up_takes_the_rack_that_is_left": [
        (replace_uid(worker(LWS), after("one-left")), "keeps pod_uids"),
        (replace_uid(workload(LWS), after("one-left")), "keeps workload_uid"),
        (move_to_other_rack(worker(running("lws")), at("two-again")), "groups_in_different_racks"),
    ],
}

LATE_QUEUE = the("LocalQueue", "late-queue")

PROMISED: dict[tuple[str, str], list[tuple[Edit, str]]] = {
    ("queue_created_later", "one-runs"): [(unready_replica(READY, at("one-runs")), "ready_groups")],
    ("queue_created_later", "counted-locally"): [
        (miscount(LATE_QUEUE, at("counted-locally"), pending=2), "counts"),
        (miscount(LATE_QUEUE, at("counted-locally"), reserving=3), "counts"),
        (miscount(LATE_QUEUE, at("counted-locally"), admitted=3), "counts"),
    ],
    ("queue_created_later", "counted"): [
        (miscount(QUEUE, at("counted"), pending=2), "counts"),
        (miscount(QUEUE, at("counted"), reserving=4), "counts"),
        (miscount(QUEUE, at("counted"), admitted=4), "counts"),
    ],
}
