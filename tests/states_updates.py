"""States that the expectations about updates, restarts and holds must accept and reject; see `test_expectations`."""

from __future__ import annotations

from conformance import expectations
from conformance.expectations.subjects import OfGroup, OfSet
from conformance.world.builders import NEW_IMAGE
from doctoring import admit, lose, replace_uid, want_replicas
from doctoring_pods import unready
from doctoring_preemption import give_back, unevict
from doctoring_updates import (
    change_image,
    judge_check,
    last_worker,
    recount,
    update_again,
)
from editing import group, leader, the, worker, workload
from states import Case, In, Pair, but, nothing

LWS, LWS_1, SECOND = group("lws"), group("lws", 1), group("second")
OF_LWS, OF_LWS_1, OF_SECOND, THE_SET = OfGroup("lws", 0), OfGroup("lws", 1), OfGroup("second", 0), OfSet("lws")
SET, LEADERS = the("LeaderWorkerSet", "lws"), the("StatefulSet", "lws")

OLD, ROLLED = In("image_update", "running"), In("image_update", "rolled-out")
SURGING = In("surge_update", "surging")
WHOLE, REPLACED = In("one_worker_is_replaced", "running"), In("one_worker_is_replaced", "replaced")
LEADER_WAITS = In("leader_ready_without_quota", "canary-ran")
LEADER_RUNS = In("leader_ready_without_quota", "running")
ACTIVE, STOPPED = In("group_is_deactivated", "running"), In("group_is_deactivated", "stopped")
CHECKED, HELD = In("hold_takes_a_reservation", "second-waits"), In("hold_takes_a_reservation", "held")

LAST = last_worker(LWS)(WHOLE.view())
"""The pod that is then deleted."""

CASES = [
    Case(
        expectations.replaced(LAST),
        OF_LWS,
        [REPLACED],
        [WHOLE, but(REPLACED, lose, last_worker(LWS)), but(REPLACED, unready, last_worker(LWS))],
    ),
    Case(
        expectations.of_image(NEW_IMAGE),
        OF_LWS,
        [ROLLED],
        [OLD, but(ROLLED, change_image, leader(LWS)), but(ROLLED, lose, worker(LWS))],
    ),
    Case(
        expectations.leader_ready,
        OF_LWS,
        [LEADER_RUNS, but(LEADER_RUNS, unready, worker(LWS))],
        [LEADER_WAITS, nothing(LEADER_WAITS), but(LEADER_RUNS, unready, leader(LWS))],
    ),
    Case(
        expectations.awaits_check,
        OF_SECOND,
        [CHECKED],
        [
            nothing(CHECKED),
            HELD,
            but(CHECKED, admit, workload(SECOND)),
            but(CHECKED, give_back, workload(SECOND)),
            but(CHECKED, judge_check, workload(SECOND), "Ready"),
        ],
    ),
    Case(expectations.evicted, OF_LWS_1, [STOPPED], [ACTIVE, but(STOPPED, unevict, workload(LWS_1))]),
    Case(
        expectations.rolled_out(NEW_IMAGE),
        THE_SET,
        [ROLLED],
        [
            OLD,
            SURGING,
            but(ROLLED, update_again, SET),
            but(ROLLED, recount, SET, "updatedReplicas", 1),
            but(ROLLED, recount, SET, "replicas", 3),
            but(ROLLED, want_replicas, LEADERS, 3),
            but(ROLLED, change_image, worker(LWS)),
        ],
    ),
    Case(
        expectations.at_least_complete(2),
        THE_SET,
        [OLD, ROLLED],
        [but(OLD, unready, worker(LWS)), but(ROLLED, lose, worker(LWS_1))],
    ),
    Case(expectations.at_least_complete(1), THE_SET, [but(OLD, unready, worker(LWS))], [nothing(OLD)]),
]

VALUES = [
    Pair(expectations.uids_below(2), OF_LWS, (WHOLE, REPLACED), (WHOLE, but(WHOLE, replace_uid, leader(LWS)))),
    Pair(expectations.uids_below(3), OF_LWS, (WHOLE, WHOLE), (WHOLE, REPLACED)),
]
