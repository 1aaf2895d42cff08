"""What the claims about defects of former releases reject, and the states of their expectations."""

from __future__ import annotations

from conformance import expectations
from conformance.expectations.subjects import OfGroup, OfSet
from conformance.suites.test_regressions import LONG_NAME
from doctoring import charge_elsewhere, duplicate, lose, never_admit, queue_elsewhere, unavailable, unready_replica
from doctoring_identity import finalize, name_no_set, unmark
from doctoring_pods import bind, unbind, ungate, unready
from doctoring_requests import miss, refuse
from editing import Edit, at, group, leader, running, the, waiting, worker, workload
from states import Case, In, but, nothing

Rejected = list[tuple[Edit, str]]

LWS, LONG = group("lws"), group(LONG_NAME)
CANARY_RAN, MOVED, RUNNING = at("canary-ran"), at("moved"), at("running")
MARKS = [(podset, field) for podset in (0, 1) for field in ("labels", "annotations")]

REJECTED: dict[str, Rejected] = {
    "test_workloads_name_their_set": [(name_no_set(workload(waiting("lws")), CANARY_RAN), "labelled_with_its_set")],
    "test_pods_have_no_finalizer": [
        (finalize(worker(waiting("lws")), CANARY_RAN), "pods_without_finalizers"),
        (finalize(leader(running("lws")), CANARY_RAN), "pods_without_finalizers"),
    ],
    "test_a_waiting_set_is_given_to_another_queue": [
        (refuse("another-queue"), "accepted"),
        (miss("another-queue"), "accepted"),
        (charge_elsewhere(workload(LWS), MOVED), "charged_to"),
        (queue_elsewhere(workload(LWS), MOVED), "queued_in"),
    ],
    "test_a_set_waits_in_its_first_queue": [
        (ungate(leader(LWS), CANARY_RAN), "gated"),
        (bind(worker(LWS), CANARY_RAN), "gated"),
    ],
    "test_podsets_have_the_marks_of_templates": [
        (unmark(workload(LWS), CANARY_RAN, podset, field), "podsets_marked_as_templates") for podset, field in MARKS
    ],
    "test_a_long_name_is_queued_as_any_other": [(duplicate(workload(LONG), RUNNING), "one_workload_per_group")],
    "test_workers_beside_a_leader_keep_their_order": [
        (bind(worker(LWS), RUNNING, host="h2"), "workers_fill_hosts_in_order"),
        (unbind(worker(LWS), RUNNING), "workers_fill_hosts_in_order"),
    ],
}


def not_running(moment: str, name: str) -> Rejected:
    of, lws, when = group(name), the("LeaderWorkerSet", name), at(moment)
    edits = never_admit(workload(of), when), unready(worker(of), when), lose(worker(of), when)
    return [(edit, "running") for edit in (*edits, unready_replica(lws, when), unavailable(lws, when))]


PROMISED: dict[tuple[str, str], Rejected] = {
    ("waiting_set_changes_its_queue", "moved"): not_running("moved", "lws"),
    ("long_name", "running"): not_running("running", LONG_NAME),
}

TWO_RUN = In("room_for_two_of_three", "canary-ran")
HAS_MOVED, ON_THREE_HOSTS = In("waiting_set_changes_its_queue", "moved"), In("workers_of_three_hosts", "running")
OF_LWS, THE_SET = OfGroup("lws", 0), OfSet("lws")

CASES = {
    "identity": [
        Case(
            expectations.labelled_with_its_set,
            THE_SET,
            [TWO_RUN],
            [nothing(TWO_RUN), but(TWO_RUN, name_no_set, workload(LWS))],
        ),
        Case(
            expectations.pods_without_finalizers,
            THE_SET,
            [TWO_RUN],
            [nothing(TWO_RUN), but(TWO_RUN, finalize, worker(LWS))],
        ),
        Case(
            expectations.podsets_marked_as_templates,
            OF_LWS,
            [HAS_MOVED],
            [nothing(HAS_MOVED), *(but(HAS_MOVED, unmark, workload(LWS), podset, field) for podset, field in MARKS)],
        ),
        Case(
            expectations.workers_fill_hosts_in_order,
            OF_LWS,
            [ON_THREE_HOSTS],
            [nothing(ON_THREE_HOSTS), but(ON_THREE_HOSTS, unbind, worker(LWS))],
        ),
    ]
}
