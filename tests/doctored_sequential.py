"""What the claims and waits of the sequential part reject: of a restart, and of sets without a queue name."""

from __future__ import annotations

from doctoring import (
    admit,
    charge,
    duplicate,
    lose,
    miscount,
    never_admit,
    readmit,
    replace_uid,
    unavailable,
    unready_replica,
)
from doctoring_owners import disown, own_by
from doctoring_pods import bind, ungate, unready
from editing import Edit, after, at, group, leader, the, worker, workload

CANARY, LWS, LWS_1, UNLABELLED, WAITING = (
    group("canary-1"),
    group("lws"),
    group("lws", 1),
    group("unlabelled"),
    group("waiting"),
)
CANARY_RAN, QUEUE = at("canary-ran"), the("ClusterQueue")

Rejected = list[tuple[Edit, str]]


def not_running(moment: str, name: str) -> Rejected:
    of, lws, when = group(name), the("LeaderWorkerSet", name), at(moment)
    ready = never_admit(workload(of), when), unready(worker(of), when), lose(worker(of), when)
    return [(edit, "running") for edit in (*ready, unready_replica(lws, when), unavailable(lws, when))]


REJECTED: dict[str, Rejected] = {
    "test_a_restart_touches_no_running_group": [
        (replace_uid(worker(LWS), CANARY_RAN), "keeps pod_uids"),
        (replace_uid(workload(LWS_1), CANARY_RAN), "keeps workload_uid"),
        (readmit(workload(LWS), CANARY_RAN), "keeps admission_time"),
    ],
    "test_a_restart_keeps_the_workload_of_a_waiting_group": [
        (replace_uid(workload(WAITING), CANARY_RAN), "keeps workload_uid")
    ],
    "test_a_waiting_group_stays_gated_over_a_restart": [
        (ungate(leader(WAITING), CANARY_RAN), "gated"),
        (bind(worker(WAITING), after("counted")), "gated"),
        (admit(workload(WAITING), CANARY_RAN), "not_admitted"),
    ],
    "test_only_groups_have_workloads": [
        (duplicate(workload(LWS), at("labelled")), "one_workload_per_group"),
        (disown(workload(LWS), at("canary-ran")), "workloads_of_sets_alone"),
        (own_by(workload(CANARY), at("labelled"), "StatefulSet"), "workloads_of_sets_alone"),
    ],
    "test_a_set_without_queue_waits": [
        (ungate(leader(UNLABELLED), CANARY_RAN), "gated"),
        (bind(worker(UNLABELLED), CANARY_RAN), "gated"),
        (admit(workload(UNLABELLED), CANARY_RAN), "not_admitted"),
    ],
}

PROMISED: dict[tuple[str, str], Rejected] = {
    ("implementation_restarts", "counted-again"): [
        (charge(QUEUE, at("counted-again"), "cpu", "10m"), "usage"),
        (miscount(QUEUE, at("counted-again"), pending=0), "counts"),
    ],
    ("implementation_restarts", "room"): not_running("room", "waiting"),
    ("queue_name_comes_later", "running"): not_running("running", "lws"),
    ("queue_name_comes_later", "labelled"): not_running("labelled", "unlabelled"),
}
