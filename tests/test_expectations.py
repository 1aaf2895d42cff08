"""Every expectation accepts and rejects states of recorded and doctored histories, for each field that it looks at."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import expectations
from conformance.expectations import Expectation
from conformance.expectations.subjects import OfGroup, OfQueue, OfRequest, OfSet
from doctoring import (
    admit,
    adopt,
    assign,
    assign_as,
    assign_second_rack,
    assign_to_the_canarys_host,
    change_template,
    charge,
    charge_elsewhere,
    duplicate,
    hold,
    keep_replicas,
    leave_behind,
    lose,
    mark_template,
    miscount,
    queue_elsewhere,
    readmit,
    recharge_podset,
    recount_podsets,
    replace_uid,
    reserve,
    still_count_replicas,
    unadmit,
    unavailable,
    unobserved,
    unready_replica,
    want_replicas,
)
from doctoring_owners import disown, own_by
from doctoring_pods import (
    bind,
    change_revision,
    extra_pod,
    gate_again,
    mark_with_kueue,
    move_to_other_rack,
    move_within_rack,
    report_running,
    report_scheduled,
    unbind,
    ungate,
    unready,
)
from doctoring_requests import name_another_queue, overcharge, request_less, resize, shrink, stray_workload
from editing import at, group, leader, running, the, waiting, worker, workload
from recording import history_of
from states import Case, In, Pair, but, left, nothing

MACHINERY = {"Expectation", "Observation", "Value", "expectation", "parametrized", "value"}
"""What the package exports and is no expectation."""


LWS, LWS_1 = group("lws"), group("lws", 1)
PAGE, PAGE_1 = group("nginx-leaderworkerset"), group("nginx-leaderworkerset", 1)
OF_LWS, OF_LWS_1, OF_PAGE = OfGroup("lws", 0), OfGroup("lws", 1), OfGroup("nginx-leaderworkerset", 0)
THE_SET, THE_PAGE_SET = OfSet("lws"), OfSet("nginx-leaderworkerset")
LWS_OBJECT, QUEUE, LOCAL = the("LeaderWorkerSet", "lws"), the("ClusterQueue"), the("LocalQueue", "user-queue")
LEADERS = the("StatefulSet", "lws")
OF_LOCAL = OfQueue("LocalQueue", "user-queue")

WAITS = In("leader_fits_but_workers_do_not", "canary-ran")
"""Group 0 of `lws` waits, complete and gated."""
RUNS = In("leader_fits_but_workers_do_not", "room")
"""Group 0 of `lws` runs."""
NO_RACK, RACK = In("no_rack_fits", "canary-ran"), In("no_rack_fits", "room")
PAGE_RUNS, PAGE_GONE = In("page_sample", "running"), In("page_sample", "gone")
PAGE_RELEASED = In("page_sample", "released")
TOPOLOGY_RUNS = In("page_topology_sample", "running")
TWO_OF_THREE = In("room_for_two_of_three", "canary-ran")
SCALED_DOWN = In("scale_down_makes_room", "removed")
EARLY, LATE = In("leader_ready", "admitted"), In("leader_ready", "running")
ONE_WAITS, REMOVED = In("scale_down_a_waiting_group", "one-waits"), In("scale_down_a_waiting_group", "removed")
TWO, EMPTY, BACK = In("to_zero_and_back", "running"), In("to_zero_and_back", "empty"), In("to_zero_and_back", "back")
UNLABELLED = In("unlabelled_set", "canary-admitted")
KEPT = leave_behind(workload(PAGE), at("running"))
"""The Workload of the page's first group is never deleted."""
ONE_OF_TWO = In("one_host_for_two_waiting_groups", "one-runs")
"""`small` runs and `large` does not."""
SLICED = In("slices_of_two_by_host", "running")
BEFORE, AFTER = In("lost_host_has_a_spare", "running"), In("lost_host_has_a_spare", "moved")
"""Group 0 of `lws` before and after one of its workers was moved away from h2."""
REFUSED = In("page_topology_sample_as_printed", "workers-refused")


GROUPS = [
    Case(expectations.created, OF_LWS, [WAITS, but(WAITS, lose, workload(LWS))], [nothing(WAITS)]),
    Case(expectations.tried, OF_LWS, [WAITS], [but(WAITS, lose, workload(LWS)), but(WAITS, lose, worker(LWS))]),
    Case(expectations.tried, OF_LWS, [EARLY], [but(EARLY, lose, leader(LWS)), but(EARLY, lose, workload(LWS))]),
    Case(expectations.gated, OF_LWS, [WAITS], [RUNS, but(WAITS, ungate, leader(LWS)), but(WAITS, bind, leader(LWS))]),
    Case(expectations.gated_until_admitted, OF_LWS, [WAITS], [RUNS, but(WAITS, ungate, leader(LWS))]),
    Case(expectations.partly_ungated, OF_LWS, [RUNS, but(WAITS, ungate, worker(LWS))], [WAITS]),
    Case(
        expectations.pods_pending_on_gates,
        OF_LWS,
        [WAITS],
        [RUNS, *(but(WAITS, make, leader(LWS)) for make in (bind, report_scheduled, report_running))],
    ),
    Case(expectations.admitted, OF_LWS, [RUNS], [WAITS, but(RUNS, unadmit, workload(LWS))]),
    Case(expectations.not_admitted, OF_LWS, [WAITS], [RUNS, nothing(WAITS)]),
    Case(
        expectations.no_quota_reserved,
        OF_LWS,
        [WAITS],
        [RUNS, *(but(WAITS, make, workload(LWS)) for make in (reserve, admit, assign))],
    ),
    Case(
        expectations.ungated,
        OF_LWS,
        [RUNS],
        [WAITS, but(RUNS, gate_again, leader(LWS)), but(RUNS, lose, worker(LWS))],
    ),
    Case(expectations.bound, OF_LWS, [RUNS], [WAITS, but(RUNS, unbind, worker(LWS)), but(RUNS, lose, worker(LWS))]),
    Case(expectations.complete, OF_LWS, [RUNS], [but(RUNS, unready, leader(LWS)), but(RUNS, lose, worker(LWS))]),
    Case(
        expectations.ready,
        OF_LWS,
        [RUNS],
        [WAITS, but(RUNS, unadmit, workload(LWS)), but(RUNS, unready, worker(LWS)), but(RUNS, lose, worker(LWS))],
    ),
    Case(
        expectations.atomic,
        OF_LWS,
        [WAITS, RUNS],
        [but(WAITS, ungate, leader(LWS)), but(RUNS, unadmit, workload(LWS)), but(RUNS, lose, workload(LWS))],
    ),
    Case(expectations.leaders_only, OF_LWS, [EARLY], [LATE, but(EARLY, lose, leader(LWS))]),
    Case(expectations.has_workers, OF_LWS, [LATE], [EARLY]),
    Case(expectations.absent, OF_LWS_1, [REMOVED], [ONE_WAITS, left(REMOVED, LWS_1)]),
    Case(expectations.no_workload, OF_LWS_1, [REMOVED], [ONE_WAITS]),
    Case(
        expectations.untouched_by_kueue,
        OF_LWS,
        [UNLABELLED],
        [but(UNLABELLED, mark_with_kueue, worker(LWS)), but(UNLABELLED, gate_again, leader(LWS))],
    ),
    Case(expectations.untouched_by_kueue, OF_PAGE, [], [PAGE_RUNS]),
    Case(
        expectations.has_podsets(1, 2),
        OF_PAGE,
        [PAGE_RUNS],
        [but(PAGE_RUNS, recount_podsets, workload(PAGE), 3), but(PAGE_RUNS, recount_podsets, workload(PAGE), 1, 1)],
    ),
    Case(expectations.has_podsets(3), OF_LWS, [In("replicas_unset", "running")], [WAITS]),
    Case(
        expectations.charged_cpu("400m", "100m"),
        OF_PAGE,
        [PAGE_RUNS],
        [WAITS, but(PAGE_RUNS, recharge_podset, workload(PAGE), "200m")],
    ),
    Case(expectations.queued_in("user-queue"), OF_LWS, [WAITS], [but(WAITS, queue_elsewhere, workload(LWS))]),
    Case(
        expectations.charged_to(history_of(RUNS.story).tenant),
        OF_LWS,
        [RUNS],
        [WAITS, but(RUNS, charge_elsewhere, workload(LWS))],
    ),
]

SETS = [
    Case(
        expectations.available,
        THE_SET,
        [RUNS, UNLABELLED],
        [WAITS, but(RUNS, unready_replica, LWS_OBJECT), but(RUNS, unavailable, LWS_OBJECT)],
    ),
    Case(
        expectations.running,
        THE_SET,
        [RUNS],
        [
            *(but(RUNS, make, LWS_OBJECT) for make in (unready_replica, unavailable)),
            *(but(RUNS, make, worker(LWS)) for make in (unready, lose)),
            but(RUNS, unadmit, workload(LWS)),
        ],
    ),
    Case(expectations.ready_groups(2), THE_SET, [TWO], [RUNS, but(TWO, unready_replica, LWS_OBJECT)]),
    Case(
        expectations.scaled_to(1),
        THE_SET,
        [SCALED_DOWN],
        [
            TWO,
            but(SCALED_DOWN, want_replicas, LEADERS, 2),
            but(SCALED_DOWN, keep_replicas, LEADERS, 2),
            but(SCALED_DOWN, unobserved, LEADERS),
        ],
    ),
    Case(
        expectations.admitted_groups(2),
        THE_SET,
        [TWO_OF_THREE],
        [RUNS, but(TWO_OF_THREE, unadmit, workload(running("lws")))],
    ),
    Case(
        expectations.at_most_admitted(2),
        THE_SET,
        [TWO_OF_THREE, RUNS],
        [but(TWO_OF_THREE, reserve, workload(waiting("lws")))],
    ),
    Case(
        expectations.one_workload_per_group,
        THE_SET,
        [TWO, TWO_OF_THREE],
        [but(TWO, lose, workload(LWS)), but(TWO, duplicate, workload(LWS))],
    ),
    Case(expectations.workloads_of(0, 1), THE_SET, [TWO], [TWO_OF_THREE, EMPTY, but(TWO, duplicate, workload(LWS))]),
    Case(expectations.workloads_of(0), THE_SET, [REMOVED], [ONE_WAITS]),
    Case(
        expectations.workloads_of_sets_alone,
        THE_SET,
        [TWO],
        [but(TWO, disown, workload(LWS)), but(TWO, own_by, workload(LWS), "StatefulSet"), EMPTY],
    ),
    Case(
        expectations.no_workloads,
        THE_SET,
        [EMPTY, UNLABELLED],
        [TWO, but(UNLABELLED, adopt, workload(group("canary-1")), "lws", 0)],
    ),
    Case(
        expectations.gone,
        THE_PAGE_SET,
        [PAGE_GONE],
        [PAGE_RUNS, left(PAGE_GONE, PAGE), In("page_sample", "gone", KEPT)],
    ),
    Case(
        expectations.exists_with_no_groups,
        THE_SET,
        [EMPTY],
        [TWO, PAGE_GONE, left(EMPTY, LWS), but(EMPTY, still_count_replicas, LWS_OBJECT), but(EMPTY, lose, LWS_OBJECT)],
    ),
    Case(
        expectations.no_pods_beyond(1),
        THE_SET,
        [RUNS, REMOVED],
        [TWO, left(REMOVED, LWS_1), but(RUNS, extra_pod, worker(LWS), group=1)],
    ),
    Case(
        expectations.templates_without_kueue_keys,
        THE_SET,
        [UNLABELLED],
        [RUNS, but(UNLABELLED, mark_template, LWS_OBJECT)],
    ),
    Case(
        expectations.uncreatable_workers,
        THE_PAGE_SET,
        [REFUSED],
        [PAGE_RUNS, but(REFUSED, lose, leader(PAGE)), but(REFUSED, extra_pod, leader(PAGE), worker=1)],
    ),
    Case(
        expectations.one_runs("large"),
        OfSet("small"),
        [ONE_OF_TWO],
        [
            nothing(ONE_OF_TWO),
            In(ONE_OF_TWO.story, "canary-ran"),
            but(ONE_OF_TWO, unready_replica, the("LeaderWorkerSet", "small")),
        ],
    ),
    Case(
        expectations.at_most_one_holds("canary-1"),
        THE_SET,
        [WAITS],
        [nothing(WAITS), but(WAITS, reserve, workload(LWS))],
    ),
    Case(
        expectations.groups_in_different_racks,
        THE_PAGE_SET,
        [TOPOLOGY_RUNS],
        [but(TOPOLOGY_RUNS, move_to_other_rack, worker(which)) for which in (PAGE, PAGE_1)],
    ),
]

QUEUES = [
    Case(
        expectations.usage(cpu="1"),
        OF_LOCAL,
        [PAGE_RUNS],
        [nothing(PAGE_RUNS), but(PAGE_RUNS, charge, LOCAL, "cpu", "500m")],
    ),
    Case(
        expectations.usage(cpu="1", gpu="4"),
        OfQueue("LocalQueue", "tas-user-queue"),
        [TOPOLOGY_RUNS],
        [
            but(TOPOLOGY_RUNS, charge, the("LocalQueue", "tas-user-queue"), "cpu", "1001m"),
            but(TOPOLOGY_RUNS, charge, the("LocalQueue", "tas-user-queue"), "nvidia.com/gpu", "3"),
        ],
    ),
    Case(expectations.reserved(cpu="1"), OF_LOCAL, [PAGE_RUNS], [but(PAGE_RUNS, hold, LOCAL, "cpu", "500m")]),
    Case(
        expectations.counts(pending=0, reserving=2, admitted=2),
        OF_LOCAL,
        [PAGE_RUNS],
        [but(PAGE_RUNS, miscount, LOCAL, **{name: 1}) for name in ("pending", "reserving", "admitted")],
    ),
    Case(
        expectations.released,
        OfQueue("ClusterQueue", history_of("page_sample").tenant),
        [PAGE_RELEASED],
        [PAGE_RUNS, but(PAGE_RELEASED, miscount, QUEUE, pending=1)],
    ),
]

TOPOLOGY = [
    Case(
        expectations.whole_group_in_one_rack,
        OF_LWS,
        [RACK],
        [NO_RACK, but(RACK, move_to_other_rack, leader(LWS)), but(RACK, assign_second_rack, workload(LWS))],
    ),
    Case(
        expectations.in_rack("r2"),
        OF_LWS,
        [RACK],
        [but(RACK, move_to_other_rack, worker(LWS)), but(RACK, assign_second_rack, workload(LWS))],
    ),
    Case(expectations.in_rack("r1"), OF_LWS, [], [RACK]),
    Case(expectations.no_assignment, OF_LWS, [NO_RACK], [RACK, but(NO_RACK, assign, workload(LWS))]),
    Case(
        expectations.kueue_gated,
        OF_LWS,
        [NO_RACK],
        [
            RACK,
            but(NO_RACK, ungate, leader(LWS)),
            but(NO_RACK, bind, leader(LWS)),
        ],
    ),
    Case(
        expectations.bound_as_assigned,
        OF_LWS,
        [RACK],
        [but(RACK, move_within_rack, worker(LWS)), but(RACK, unbind, worker(LWS))],
    ),
    Case(
        expectations.placed_as("leader h2; workers h2 h4", "leader h4; workers h4 h2"),
        OF_LWS,
        [RACK, but(RACK, move_within_rack, leader(LWS))],
        [NO_RACK, but(RACK, move_within_rack, worker(LWS)), but(RACK, unbind, worker(LWS))],
    ),
]

TOPOLOGY += [
    Case(
        expectations.assigned_as("leader h2; workers h2 h4", "leader h4; workers h4 h2"),
        OF_LWS,
        [RACK],
        [NO_RACK, but(RACK, assign_to_the_canarys_host, workload(LWS)), but(RACK, assign_second_rack, workload(LWS))],
    ),
    Case(
        expectations.in_slices(2),
        OF_LWS,
        [SLICED],
        [RACK, but(SLICED, move_within_rack, worker(LWS)), but(SLICED, unbind, worker(LWS))],
    ),
]

COMPETING = In("three_sets_for_two_racks", "counted")
REFUSALS, REFUSED_CHANGES = history_of("refused_changes").answers, In("refused_changes", "one-waits")
OF_REFUSED, OF_ACCEPTED = OfRequest(REFUSALS["ready-queue"]), OfRequest(REFUSALS["waiting-queue"])

LIMITS = [
    Case(expectations.refused, OF_REFUSED, [REFUSED_CHANGES]),
    Case(expectations.refused, OF_ACCEPTED, [], [REFUSED_CHANGES]),
    Case(expectations.accepted, OF_ACCEPTED, [REFUSED_CHANGES]),
    Case(expectations.accepted, OF_REFUSED, [], [REFUSED_CHANGES]),
    Case(
        expectations.pods_within_quota,
        OfQueue("ClusterQueue", history_of("leader_ready").tenant),
        [LATE],
        [but(LATE, shrink, QUEUE, "400m"), nothing(LATE)],
    ),
    Case(
        expectations.ungated_only_if_admitted,
        THE_SET,
        [RUNS],
        [WAITS, but(WAITS, ungate, leader(LWS)), but(RUNS, unadmit, workload(LWS))],
    ),
    Case(
        expectations.hosts_within_capacity,
        OfSet("one"),
        [COMPETING],
        [
            nothing(COMPETING),
            but(COMPETING, assign_as, workload(group("one")), leader="h1", worker="h1 h1"),
            but(COMPETING, overcharge, workload(group("one"))),
        ],
    ),
    Case(
        expectations.workloads_of_sets_alone,
        THE_PAGE_SET,
        [PAGE_RUNS],
        [In("page_sample", "running", stray_workload(kind)) for kind in ("Pod", "StatefulSet")],
    ),
]

CASES = GROUPS + SETS + LIMITS + QUEUES + TOPOLOGY

VALUES = [
    Pair(expectations.pod_uids, OF_LWS, (WAITS, RUNS), (RUNS, but(RUNS, replace_uid, worker(LWS)))),
    Pair(expectations.pod_uids, OF_LWS, (WAITS, RUNS), (RUNS, but(RUNS, lose, worker(LWS)))),
    Pair(expectations.workload_uid, OF_LWS, (WAITS, RUNS), (TWO, BACK)),
    Pair(expectations.workload_name, OF_LWS, (WAITS, RUNS), (TWO, EMPTY)),
    Pair(expectations.admission_time, OF_LWS, (RUNS, RUNS), (WAITS, RUNS)),
    Pair(expectations.admission_time, OF_LWS, (EARLY, LATE), (RUNS, but(RUNS, readmit, workload(LWS)))),
    Pair(expectations.pod_revisions, OF_LWS, (WAITS, RUNS), (RUNS, but(RUNS, change_revision, worker(LWS)))),
    Pair(expectations.templates, THE_SET, (TWO, BACK), (RUNS, but(RUNS, change_template, LWS_OBJECT))),
    Pair(expectations.workload_uids, THE_SET, (WAITS, RUNS), (TWO, BACK)),
    *(
        Pair(value, THE_SET, (REFUSED_CHANGES, REFUSED_CHANGES), (REFUSED_CHANGES, but(REFUSED_CHANGES, *edit)))
        for value, edit in (
            (expectations.named_queue, (name_another_queue, LWS_OBJECT)),
            (expectations.group_size, (resize, LWS_OBJECT, 4)),
            (expectations.template_requests, (request_less, LWS_OBJECT, "leader")),
        )
    ),
    Pair(expectations.uids_on("h1"), OF_LWS, (BEFORE, AFTER), (BEFORE, but(BEFORE, replace_uid, leader(LWS)))),
]


def bare(expectation: Expectation[Any]) -> str:
    return expectation.name.partition("(")[0]


def fields_of(case: Case, state: In, *, failed: bool) -> set[str]:
    """The fields that the expectation looks at in a state; only those that do not hold, if `failed`."""
    observed = case.expectation.observe(case.subject, state.view())
    return {seen.field for seen in observed if not (failed and seen.holds)}


@pytest.mark.parametrize(("case", "state"), [(case, state) for case in CASES for state in case.accepts], ids=str)
def test_accepts(case: Case, state: In) -> None:
    """An expectation holds in a state in which its sentence is true."""
    assert case.expectation.holds(case.subject, state.view())


@pytest.mark.parametrize(("case", "state"), [(case, state) for case in CASES for state in case.rejects], ids=str)
def test_rejects(case: Case, state: In) -> None:
    """An expectation does not hold in a state in which its sentence is false, or in which there is nothing to judge."""
    assert not case.expectation.holds(case.subject, state.view())


@pytest.mark.parametrize("case", [case for case in CASES if case.accepts], ids=str)
def test_each_field_that_an_expectation_looks_at_can_fail(case: Case) -> None:
    """For each field that an expectation judges there is a state that it rejects for that field.

    One that only says that something exists has nothing to judge where it does not.
    """
    judged = set().union(*(fields_of(case, state, failed=False) for state in case.accepts))
    failed = set().union(*(fields_of(case, state, failed=True) for state in case.rejects))
    silent = not any(fields_of(case, state, failed=False) for state in case.rejects)
    assert judged <= failed or silent


@pytest.mark.parametrize("pair", VALUES, ids=lambda pair: pair.value.name)
def test_a_value_tells_change_from_no_change(pair: Pair) -> None:
    """A value reads the same where nothing of it changed, and something else where it did."""
    one, same = (pair.value.read(pair.subject.bind(state.view())) for state in pair.same)
    before, after = (pair.value.read(pair.subject.bind(state.view())) for state in pair.differs)
    assert one
    assert one == same
    assert before != after


def test_no_expectation_is_left_out() -> None:
    """Each expectation that the package exports is accepted and rejected here, and each value is told apart."""
    accepted = {bare(case.expectation) for case in CASES if case.accepts}
    rejected = {bare(case.expectation) for case in CASES if case.rejects}
    exported = set(expectations.__all__) - MACHINERY
    assert (accepted & rejected) | {pair.value.name.partition("(")[0] for pair in VALUES} == exported
