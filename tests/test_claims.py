"""Every judged claim of the suite passes on what was recorded of real Kueue, and every expectation in it can fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from conformance.expectations import admitted, created, has_workers
from conformance.expectations.judging import ClaimFailed, Told
from conformance.implementations import deviations
from conformance.suites.vectors import VECTORS
from conformance.trace.history import History
from conformance.world.story import claim_of
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
    keep_identity,
    leave_behind,
    lose,
    mark_template,
    never_admit,
    never_reserve,
    queue_elsewhere,
    readmit,
    recharge_podset,
    recount_podsets,
    replace_uid,
    reserve,
    unadmit,
)
from doctoring_pods import (
    bind,
    change_revision,
    extra_pod,
    gate_again,
    mark_with_kueue,
    move_to_other_rack,
    move_within_rack,
    ungate,
    unready,
)
from editing import (
    Edit,
    WhichGroup,
    after,
    at,
    doctored,
    group,
    last_time,
    leader,
    once,
    pod_on,
    running,
    the,
    waiting,
    worker,
    workload,
)
from recording import claims, history_of, recorded, stories
from replaying import replayed
from tables import merged

Rejected = list[tuple[Edit, str]]
"""Edits, each with the expectation that must fail on it; its arguments are left out."""

CANARY, CANARY_RAN = group("canary-1"), at("canary-ran")
LWS = group("lws")
PAGE, PAGE_1 = group("nginx-leaderworkerset"), group("nginx-leaderworkerset", 1)
QUEUE = the("ClusterQueue")
LOCAL_QUEUE = the("LocalQueue", "user-queue")

ADMISSION: dict[str, Rejected] = {
    "test_exactly_as_many_groups_as_fit_are_admitted": [
        (reserve(workload(waiting("lws")), CANARY_RAN), "at_most_admitted"),
        (unadmit(workload(running("lws")), CANARY_RAN), "admitted_groups"),
    ],
    "test_each_group_is_gated_or_admitted_as_a_whole": [
        (ungate(leader(waiting("lws")), CANARY_RAN), "atomic"),
        (never_admit(workload(running("lws")), CANARY_RAN), "atomic"),
    ],
    "test_no_pod_runs_while_the_whole_group_does_not_fit": [
        (ungate(leader(LWS), CANARY_RAN), "gated"),
        (bind(leader(LWS), CANARY_RAN), "gated"),
    ],
    "test_a_group_that_fits_in_part_reserves_nothing": [
        (reserve(workload(LWS), CANARY_RAN), "no_quota_reserved"),
        (assign(workload(LWS), CANARY_RAN), "no_quota_reserved"),
        (admit(workload(LWS), CANARY_RAN), "no_quota_reserved"),
    ],
    "test_pods_of_a_waiting_group_are_pending_and_unbound": [(bind(leader(LWS), CANARY_RAN), "pods_pending_on_gates")],
    "test_second_set_waits_while_the_first_holds_the_quota": [
        (ungate(worker(group("second")), CANARY_RAN), "gated"),
        (unready(worker(group("second")), at("second-runs")), "ready"),
    ],
    "test_a_waiting_group_changes_nothing_for_a_running_one": [
        (replace_uid(worker(group("first")), after("first-runs")), "keeps pod_uids"),
        (replace_uid(workload(group("first")), after("first-runs")), "keeps workload_uid"),
        (readmit(workload(group("first")), after("first-runs")), "keeps admission_time"),
    ],
    "test_gpus_must_be_covered_by_the_queue": [
        (ungate(worker(LWS), CANARY_RAN), "gated"),
        (reserve(workload(LWS), CANARY_RAN), "no_quota_reserved"),
    ],
    "test_the_whole_group_is_charged_before_its_workers_exist": [
        (extra_pod(leader(LWS), at("charged"), worker=1), "leaders_only"),
        (unadmit(workload(LWS), at("charged")), "admitted"),
    ],
    "test_late_pods_need_no_new_admission": [
        (never_admit(workload(LWS), at("admitted")), "admitted before has_workers"),
        (replace_uid(workload(LWS), after("admitted")), "keeps workload_uid"),
        (readmit(workload(LWS), after("charged")), "keeps admission_time"),
    ],
    "test_late_pods_change_no_usage": [(charge(QUEUE, after("charged"), "cpu", "900m"), "usage")],
    "test_waiting_groups_never_held_quota": [(admit(workload(group("lws", 1)), CANARY_RAN), "never admitted")],
    "test_pods_are_gated_while_the_group_is_not_admitted": [
        (ungate(worker(group("lws", 1)), CANARY_RAN), "gated_until_admitted")
    ],
    "test_queue_is_charged_for_the_canary_alone": [
        (charge(QUEUE, after("gone"), "cpu", "510m"), "usage"),
        (hold(QUEUE, after("gone"), "cpu", "510m"), "reserved"),
    ],
}

QUEUE_SELECTION: dict[str, Rejected] = {
    "test_every_group_is_queued_where_the_label_says": [
        (queue_elsewhere(workload(PAGE_1), at("running")), "queued_in"),
    ],
    "test_each_group_has_one_workload": [
        (lose(workload(PAGE_1), at("running")), "one_workload_per_group"),
        (duplicate(workload(PAGE), at("running")), "one_workload_per_group"),
    ],
    "test_podsets_are_one_leader_and_the_workers": [
        (recount_podsets(workload(PAGE), at("running"), 3), "has_podsets"),
        (recount_podsets(workload(PAGE_1), at("running"), 1, 1), "has_podsets"),
    ],
    "test_each_group_is_charged_leader_and_workers": [
        (recharge_podset(workload(PAGE_1), at("running"), "200m"), "charged_cpu")
    ],
    "test_admission_ungates_every_pod": [
        (never_admit(workload(PAGE), at("running")), "admitted before partly_ungated"),
        (gate_again(worker(PAGE_1), at("running")), "ungated"),
    ],
    "test_a_set_without_queue_has_no_workload": [
        (adopt(workload(CANARY), at("canary-admitted"), "lws", 0), "no_workloads"),
        (mark_template(the("LeaderWorkerSet", "lws"), at("canary-admitted")), "templates_without_kueue_keys"),
        (mark_with_kueue(worker(group("lws", 1)), at("canary-admitted")), "untouched_by_kueue"),
    ],
    "test_a_set_without_queue_uses_no_quota": [(charge(QUEUE, at("running"), "cpu", "500m"), "usage")],
    "test_each_set_is_charged_to_its_own_queue": [
        (charge_elsewhere(workload(group("in-a")), at("both-run")), "charged_to"),
        (charge_elsewhere(workload(group("in-b", 1)), at("both-run")), "charged_to"),
    ],
    "test_unset_replicas_mean_one_group": [
        (adopt(workload(CANARY), at("canary-admitted"), "lws", 1), "one_workload_per_group"),
        (extra_pod(leader(LWS), at("canary-admitted"), group=1), "never created"),
    ],
    "test_without_leader_template_there_is_one_podset": [
        (recount_podsets(workload(LWS), at("running"), 1, 2), "has_podsets")
    ],
}

SCALING: dict[str, Rejected] = {
    "test_running_group_is_not_touched": [
        (replace_uid(worker(LWS), after("running")), "keeps pod_uids"),
        (replace_uid(workload(LWS), after("running")), "keeps workload_uid"),
        (readmit(workload(LWS), after("running")), "keeps admission_time"),
        (lose(workload(group("lws", 1)), CANARY_RAN), "one_workload_per_group"),
    ],
    "test_new_group_waits_for_its_workload": [(ungate(worker(group("lws", 1)), CANARY_RAN), "gated")],
    "test_running_group_stays_ready_beside_a_waiting_one": [
        (unready(worker(LWS), CANARY_RAN), "complete"),
        (lose(worker(LWS), CANARY_RAN), "complete"),
    ],
    "test_only_as_many_new_groups_run_as_fit": [
        (reserve(workload(waiting("lws")), CANARY_RAN), "at_most_admitted"),
        (duplicate(workload(LWS), at("all-run")), "one_workload_per_group"),
    ],
    "test_first_group_is_not_touched_by_quick_scaling": [
        (replace_uid(worker(LWS), after("running")), "keeps pod_uids"),
        (replace_uid(workload(LWS), after("running")), "keeps workload_uid"),
        (readmit(workload(LWS), after("running")), "keeps admission_time"),
        (leave_behind(workload(group("lws", 3)), once(group("lws", 3), created)), "workloads_of"),
        (extra_pod(worker(LWS), at("counted"), group=1), "no_pods_beyond"),
    ],
    "test_remaining_group_keeps_workload_and_pods": [
        (replace_uid(leader(LWS), after("running")), "keeps pod_uids"),
        (replace_uid(workload(LWS), after("running")), "keeps workload_uid"),
        (adopt(workload(CANARY), after("removed"), "lws", 1), "no_workload"),
        (extra_pod(worker(LWS), at("counted"), group=1), "absent"),
    ],
    "test_waiting_group_is_admitted_only_after_the_scale_down": [(ungate(leader(group("other")), CANARY_RAN), "gated")],
    "test_scaling_changes_no_template_and_restarts_nothing": [
        (change_template(the("LeaderWorkerSet", "lws"), after("running")), "keeps templates"),
        (change_revision(leader(LWS), after("running")), "keeps pod_revisions"),
        (readmit(workload(LWS), after("running")), "keeps admission_time"),
        (unready(worker(LWS), at("removed")), "complete"),
    ],
    "test_waiting_group_goes_without_having_run": [
        (ungate(leader(group("lws", 1)), CANARY_RAN), "gated"),
        (admit(workload(group("lws", 1)), CANARY_RAN), "never admitted"),
        (replace_uid(leader(LWS), after("running")), "keeps pod_uids"),
        (replace_uid(workload(LWS), after("running")), "keeps workload_uid"),
    ],
    "test_a_set_of_zero_keeps_nothing": [
        (leave_behind(worker(LWS), last_time(LWS, has_workers, before="empty")), "exists_with_no_groups")
    ],
    "test_groups_that_come_back_wait_for_a_new_admission": [
        (never_admit(workload(LWS), at("back")), "admitted before partly_ungated"),
    ],
}

TOPOLOGY: dict[str, Rejected] = {
    "test_quota_is_held_by_groups_whose_workers_cannot_be_created": [
        (extra_pod(leader(PAGE_1), at("workers-refused"), worker=1), "leaders_only"),
        (unadmit(workload(PAGE), at("workers-refused")), "admitted"),
        (charge(QUEUE, at("workers-refused"), "nvidia.com/gpu", "2"), "usage"),
    ],
    "test_leader_and_workers_share_a_rack": [
        (move_to_other_rack(worker(PAGE), at("running")), "whole_group_in_one_rack"),
        (assign_second_rack(workload(PAGE_1), once(PAGE_1, admitted)), "whole_group_in_one_rack"),
        (move_within_rack(worker(PAGE), at("running")), "bound_as_assigned"),
    ],
    "test_pods_wait_for_the_admission_of_their_topology": [
        (never_admit(workload(PAGE_1), at("running")), "admitted before partly_ungated")
    ],
    "test_replicas_may_have_different_racks": [
        (move_to_other_rack(worker(PAGE), at("running")), "groups_in_different_racks")
    ],
    "test_v1_the_group_fills_one_of_the_two_racks": [
        (move_within_rack(worker(LWS), at("running")), "placed_as"),
        (assign_second_rack(workload(LWS), once(LWS, admitted)), "whole_group_in_one_rack"),
    ],
    "test_group_waits_while_no_rack_fits_it": [(reserve(workload(LWS), CANARY_RAN), "no_quota_reserved")],
    "test_waiting_topology_pods_keep_a_gate": [(ungate(worker(LWS), CANARY_RAN), "kueue_gated")],
    "test_v2_only_the_rack_that_grew_is_used": [
        (ungate(worker(LWS), CANARY_RAN), "gated"),
        (assign_second_rack(workload(LWS), once(LWS, admitted)), "in_rack"),
        (move_within_rack(worker(LWS), at("room")), "placed_as"),
    ],
    "test_v19_quota_without_a_place_does_not_admit": [
        (ungate(worker(LWS), CANARY_RAN), "gated"),
        (assign(workload(LWS), CANARY_RAN), "no_assignment"),
    ],
    "test_v19_a_place_without_quota_does_not_admit": [
        (reserve(workload(LWS), CANARY_RAN), "no_quota_reserved"),
        (ungate(worker(LWS), CANARY_RAN), "gated"),
    ],
    "test_v3_two_groups_run_one_in_each_rack": [
        (reserve(workload(waiting("lws")), CANARY_RAN), "at_most_admitted"),
        (move_to_other_rack(worker(running("lws")), CANARY_RAN), "groups_in_different_racks"),
    ],
    "test_v3_no_group_runs_in_part": [(ungate(leader(waiting("lws")), CANARY_RAN), "atomic")],
    "test_v10_racks_of_the_same_name_are_not_one_rack": [
        (ungate(leader(LWS), CANARY_RAN), "gated"),
        (assign(workload(LWS), CANARY_RAN), "no_quota_reserved"),
    ],
}


def misplaced(of: WhichGroup, moment: str) -> Rejected:
    """Where no group may be: of its assignment, and of a pod of it."""
    return [
        (assign_to_the_canarys_host(workload(of), once(of, admitted)), "assigned_as"),
        (bind(worker(of), at(moment), host="canary"), "placed_as"),
    ]


WAITING: Rejected = [
    (ungate(leader(LWS), CANARY_RAN), "gated"),
    (bind(leader(LWS), CANARY_RAN), "gated"),
    (reserve(workload(LWS), CANARY_RAN), "no_quota_reserved"),
]
OF_THE_TABLE = {vector.name: misplaced(LWS, "running") if vector.legal else WAITING for vector in VECTORS}
VECTORS_TOLD: dict[str, Rejected] = {
    **{name: OF_THE_TABLE[told[0].name] for name, (_, told) in claims().items() if told[0].name in OF_THE_TABLE},
    "test_v12_a_host_that_cannot_be_used_is_not": [
        *misplaced(LWS, "both-run"),
        *misplaced(group("lws", 1), "both-run"),
    ],
    "test_v13_the_leader_is_assigned_a_host_that_it_can_use": [
        (assign_to_the_canarys_host(workload(LWS), at("admitted")), "assigned_as")
    ],
    "test_v14_one_host_is_given_to_one_group": [
        (reserve(workload(group("large")), at("one-runs")), "at_most_one_holds")
    ],
    "test_v20_the_worker_of_a_lost_host_moves_alone": [
        (replace_uid(leader(LWS), after("running")), "keeps uids_on"),
        (replace_uid(workload(LWS), after("running")), "keeps workload_uid"),
        (assign_to_the_canarys_host(workload(LWS), once(LWS, admitted)), "assigned_as"),
        (bind(pod_on("h3", LWS), at("moved"), host="canary"), "bound_as_assigned"),
    ],
    "test_v20_a_group_without_a_spare_moves_whole": [
        (keep_identity(leader(LWS), at("running"), at("moved")), "renews pod_uids"),
        (bind(worker(LWS), at("moved"), host="canary"), "whole_group_in_one_rack"),
        (move_within_rack(worker(LWS), at("moved")), "bound_as_assigned"),
    ],
    "test_v21_every_slice_is_on_one_host": [
        (move_within_rack(worker(LWS), at("running")), "in_slices"),
        (assign_to_the_canarys_host(workload(LWS), at("running")), "bound_as_assigned"),
    ],
}

DOCTORED: dict[str, Rejected] = ADMISSION | QUEUE_SELECTION | SCALING | TOPOLOGY | VECTORS_TOLD | merged("REJECTED")

MENDED: dict[str, Edit] = {
    "test_v13_the_leader_is_assigned_a_host_that_it_can_use": assign_as(
        workload(LWS), at("admitted"), leader="h4", worker="h3 h4"
    ),
    "test_v14_one_host_is_given_to_one_group": never_reserve(workload(group("large")), at("one-runs")),
    **merged("MENDED"),
}
"""What makes right what was recorded of Kueue, for the claims that it is known to fail."""

CLAIMS = [(name, story.name) for name, (_, stories) in claims().items() for story in stories]


def right(name: str, story: str) -> History:
    """The history of a story on which a claim passes: as it was recorded, or mended for this claim."""
    return doctored(recorded(story), MENDED[name]) if name in MENDED else history_of(story)


def judged(name: str, story: str) -> list[tuple[str, str, str]]:
    """Subject, expectation and window of everything that a claim looks at."""
    told = Told(right(name, story))
    claims()[name][0](told)
    return [(one.subject, one.expectation, one.window) for one in told.judged]


def bare(expectation: str) -> str:
    """The name of an expectation without its arguments."""
    return expectation.partition("(")[0]


@pytest.mark.parametrize(("name", "story"), CLAIMS)
def test_passes_on_what_was_recorded_of_real_kueue(name: str, story: str) -> None:
    """A claim passes on the recorded history of each of its stories, and has something to judge in it.

    Where Kueue is known to deviate, it passes once the recorded history is mended.
    """
    assert judged(name, story)


@pytest.mark.parametrize(("name", "story"), [(name, story) for name, story in CLAIMS if name in MENDED])
def test_a_known_deviation_fails_as_it_was_recorded(name: str, story: str) -> None:
    """A claim whose requirement Kueue is known not to meet fails on the recorded history, and is listed as that."""
    claimed = claim_of(claims()[name][0])
    assert claimed is not None
    assert claimed.requirement in {entry.requirement for entry in deviations.load()}
    with pytest.raises(ClaimFailed):
        claims()[name][0](Told(history_of(story)))


@pytest.mark.parametrize(
    ("name", "story", "edit", "expectation"),
    [(name, story, edit, expected) for name, story in CLAIMS for edit, expected in DOCTORED.get(name, ())],
    ids=str,
)
def test_fails_on_a_doctored_history(name: str, story: str, edit: Edit, expectation: str) -> None:
    """A claim fails when one thing in the recorded history is made wrong, by the expectation that is about it."""
    mending = [MENDED[name]] if name in MENDED else []
    told = Told(doctored(recorded(story), *mending, edit))
    with pytest.raises(ClaimFailed) as failed:
        claims()[name][0](told)
    assert bare(failed.value.failure.expectation) == expectation


@pytest.mark.parametrize(("name", "story"), CLAIMS)
def test_no_expectation_in_a_claim_is_dead(name: str, story: str) -> None:
    """For each expectation that a claim looks at there is a doctored history on which that one fails."""
    assert {bare(expectation) for _, expectation, _ in judged(name, story)} == {
        named for _, named in DOCTORED.get(name, ())
    }


def test_only_claims_of_the_suite_are_tested() -> None:
    """The table of doctored histories names no claim that the suite does not have."""
    assert not DOCTORED.keys() - claims().keys()


def looked_at(story: str) -> Iterator[tuple[str, str, str]]:
    """Subject, expectation and window of every claim of a story, promised moments included."""
    for name, claimed in CLAIMS:
        if claimed == story:
            yield from set(judged(name, story))
    for wait in replayed(story).waited:
        if wait.promised:
            yield from ((wait.subject.title, one.name, f"at {wait.moment}") for one in wait.expectations)


@pytest.mark.parametrize("story", sorted(stories()))
def test_no_two_claims_look_at_the_same(story: str) -> None:
    """No two claims of a story, promised ones included, share subject, expectation and window."""
    shared = [what for what, times in Counter(looked_at(story)).items() if times > 1]
    assert not shared
