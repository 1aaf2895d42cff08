"""Every wait of every story accepts the state in which it came true on real Kueue, and can be disappointed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.expectations import has_workers
from conformance.suites.from_vectors import LATE
from conformance.suites.vectors import SPOILT, VECTORS
from doctoring import adopt, charge, hold, leave_behind, lose, miscount, never_admit, unavailable, unready_replica
from doctoring_pods import bind, extra_pod, unready
from editing import Edit, at, doctored, group, last_time, the, worker, workload
from recording import history_of, recorded, stories
from replaying import Waited, replayed
from tables import merged

Rejected = list[tuple[Edit, str]]
"""Edits, each with the expectation of the wait that no longer holds at its moment; its arguments are left out."""

CANARY, LWS, LWS_1, PAGE = group("canary-1"), group("lws"), group("lws", 1), group("nginx-leaderworkerset")
QUEUE, QUEUE_B = the("ClusterQueue"), the("ClusterQueue", "{tenant}-b")
LOCAL_QUEUE = the("LocalQueue", "user-queue")
GPU = "nvidia.com/gpu"


def not_available(moment: str, name: str = "lws") -> Rejected:
    lws, when = the("LeaderWorkerSet", name), at(moment)
    return [(unready_replica(lws, when), "available"), (unavailable(lws, when), "available")]


def not_running(moment: str, name: str = "lws") -> Rejected:
    """Of a queued set, whose groups must be admitted too."""
    of, when = group(name), at(moment)
    edits = never_admit(workload(of), when), unready(worker(of), when), lose(worker(of), when)
    return [(edit, "running") for edit in (*edits, *(edit for edit, _ in not_available(moment, name)))]


def not_as_many_ready(moment: str) -> Rejected:
    return [(unready_replica(the("LeaderWorkerSet", "lws"), at(moment)), "ready_groups")]


def not_released(moment: str, **counts: int) -> Rejected:
    when = at(moment)
    edits = charge(QUEUE, when, "cpu", "10m"), hold(QUEUE, when, "cpu", "10m"), miscount(QUEUE, when, **counts)
    return [(edit, "released") for edit in edits]


def not_ready_there(moment: str) -> Rejected:
    when = at(moment)
    ready = never_admit(workload(LWS), when), unready(worker(LWS), when)
    return [(bind(worker(LWS), when, host="canary"), "placed_as"), *((edit, "ready") for edit in ready)]


FROM_THE_TABLE = [
    name for name, told in stories().items() if told.moments and name.removesuffix(LATE) in {v.name for v in VECTORS}
]
"""The stories of the table of vectors in which a group comes to run."""

PROMISED: dict[tuple[str, str], Rejected] = {
    ("room_for_two_of_three", "two-run"): not_as_many_ready("two-run"),
    ("room_for_two_of_three", "counted"): [
        (charge(QUEUE, at("counted"), "cpu", "1510m"), "usage"),
        (miscount(QUEUE, at("counted"), pending=0), "counts"),
        (miscount(QUEUE, at("counted"), admitted=4), "counts"),
    ],
    ("leader_fits_but_workers_do_not", "room"): not_running("room"),
    ("two_sets_share_a_queue", "first-runs"): not_running("first-runs", "first"),
    ("two_sets_share_a_queue", "second-runs"): not_running("second-runs", "second"),
    ("accelerators", "covered"): not_running("covered"),
    ("accelerators", "counted"): [(charge(QUEUE, at("counted"), GPU, "1"), "usage")],
    ("leader_ready", "charged"): [(charge(QUEUE, at("charged"), "cpu", "100m"), "usage")],
    ("leader_ready", "running"): not_running("running"),
    ("delete_while_waiting", "gone"): [
        (leave_behind(worker(LWS_1), last_time(LWS_1, has_workers, before="gone")), "gone")
    ],
    ("delete_while_waiting", "released"): [
        (miscount(QUEUE, at("released"), pending=1), "counts"),
        (charge(QUEUE, at("released"), "cpu", "510m"), "usage"),
    ],
    ("page_sample", "running"): not_running("running", "nginx-leaderworkerset"),
    ("page_sample", "counted"): [
        (charge(QUEUE, at("counted"), "cpu", "500m"), "usage"),
        (miscount(QUEUE, at("counted"), reserving=3), "counts"),
    ],
    ("page_sample", "counted-locally"): [
        (charge(LOCAL_QUEUE, at("counted-locally"), "cpu", "500m"), "usage"),
        (miscount(LOCAL_QUEUE, at("counted-locally"), admitted=1), "counts"),
    ],
    ("page_sample", "gone"): [
        (leave_behind(worker(PAGE), last_time(PAGE, has_workers, before="gone")), "gone"),
        (leave_behind(workload(PAGE), at("running")), "gone"),
    ],
    ("page_sample", "released"): not_released("released", admitted=1),
    ("unlabelled_set", "first-group-runs"): not_available("first-group-runs"),
    ("unlabelled_set", "running"): not_available("running"),
    ("two_queues", "both-run"): not_running("both-run", "in-b"),
    ("two_queues", "counted-a"): [
        (charge(QUEUE, at("counted-a"), "cpu", "1500m"), "usage"),
        (miscount(QUEUE, at("counted-a"), admitted=3), "counts"),
    ],
    ("two_queues", "counted-b"): [
        (charge(QUEUE_B, at("counted-b"), "cpu", "1500m"), "usage"),
        (miscount(QUEUE_B, at("counted-b"), admitted=3), "counts"),
    ],
    ("replicas_unset", "running"): not_running("running"),
    ("replicas_unset", "counted"): [
        (charge(QUEUE, at("counted"), "cpu", "610m"), "usage"),
        (miscount(QUEUE, at("counted"), admitted=3), "counts"),
    ],
    ("scale_up_without_quota", "running"): not_running("running"),
    ("scale_up_without_quota", "room"): not_running("room"),
    ("scale_up_in_steps", "three-run"): not_as_many_ready("three-run"),
    ("scale_up_in_steps", "counted"): [
        (charge(QUEUE, at("counted"), "cpu", "1510m"), "usage"),
        (miscount(QUEUE, at("counted"), pending=0), "counts"),
    ],
    ("scale_up_in_steps", "all-run"): not_running("all-run"),
    ("quickly_up_and_down", "settled"): [
        *not_running("settled"),
        (adopt(workload(CANARY), at("settled"), "lws", 1), "workloads_of"),
        (extra_pod(worker(LWS), at("settled"), group=1), "no_pods_beyond"),
    ],
    ("quickly_up_and_down", "counted"): [
        (charge(QUEUE, at("counted"), "cpu", "610m"), "usage"),
        (miscount(QUEUE, at("counted"), pending=1), "counts"),
    ],
    ("scale_down_makes_room", "removed"): [
        (leave_behind(worker(LWS_1), last_time(LWS_1, has_workers, before="removed")), "absent")
    ],
    ("scale_down_makes_room", "waiting-runs"): not_running("waiting-runs", "other"),
    ("scale_down_makes_room", "counted"): [
        (charge(QUEUE, at("counted"), "cpu", "1510m"), "usage"),
        (miscount(QUEUE, at("counted"), admitted=2), "counts"),
    ],
    ("scale_down_a_waiting_group", "removed"): [
        (leave_behind(worker(LWS_1), last_time(LWS_1, has_workers, before="removed")), "absent")
    ],
    ("scale_down_a_waiting_group", "counted"): [(miscount(QUEUE, at("counted"), pending=1), "counts")],
    ("to_zero_and_back", "empty"): [
        (leave_behind(worker(LWS_1), last_time(LWS_1, has_workers, before="empty")), "exists_with_no_groups")
    ],
    ("to_zero_and_back", "released"): not_released("released", pending=1),
    ("to_zero_and_back", "back"): not_running("back"),
    ("page_topology_sample_as_printed", "charged"): [
        (charge(QUEUE, at("charged"), GPU, "0"), "usage"),
        (miscount(QUEUE, at("charged"), admitted=0), "counts"),
    ],
    ("page_topology_sample", "running"): not_running("running", "nginx-leaderworkerset"),
    ("page_topology_sample", "counted"): [
        (charge(QUEUE, at("counted"), "cpu", "500m"), "usage"),
        (charge(QUEUE, at("counted"), GPU, "2"), "usage"),
    ],
    ("one_group_on_two_racks", "running"): not_running("running"),
    ("no_rack_fits", "room"): not_running("room"),
    ("three_replicas_on_two_racks", "two-run"): not_as_many_ready("two-run"),
    ("three_replicas_on_two_racks", "one-left"): [
        *not_running("one-left"),
        (extra_pod(worker(LWS), at("one-left"), group=1), "no_pods_beyond"),
    ],
    ("three_replicas_on_two_racks", "two-again"): not_as_many_ready("two-again"),
    **{(name, "running"): not_running("running") for name in FROM_THE_TABLE},
    **{(spoilt.name, moment): not_running(moment) for spoilt in SPOILT for moment in ("first-runs", "both-run")},
    ("one_host_for_two_waiting_groups", "one-runs"): [
        (unready_replica(the("LeaderWorkerSet", "small"), at("one-runs")), "one_runs")
    ],
    ("leader_without_requests", "running"): not_ready_there("running"),
    ("lost_host_has_a_spare", "running"): not_running("running"),
    ("lost_host_has_a_spare", "moved"): not_ready_there("moved"),
    ("lost_host_has_no_spare", "running"): not_running("running"),
    ("lost_host_has_no_spare", "moved"): not_ready_there("moved"),
    ("slices_of_two_by_host", "running"): not_running("running"),
    **merged("PROMISED"),
}

PROMISES = [(name, moment) for name, story in stories().items() for moment in story.moments]


def waits(story: str) -> Iterator[Waited]:
    yield from replayed(story).waited


def the_wait(story: str, moment: str) -> Waited:
    return next(wait for wait in waits(story) if wait.moment == moment)


def bare(expectation: str) -> str:
    """The name of an expectation without its arguments."""
    return expectation.partition("(")[0]


@pytest.mark.parametrize("story", sorted(stories()))
def test_a_story_writes_what_was_recorded_of_it(story: str) -> None:
    """The recorded history is that of the story as it is now: the same writes in the same order, and no more."""
    assert not replayed(story).left_out()


@pytest.mark.parametrize("story", sorted(stories()))
def test_a_story_reaches_its_declared_moments_in_order(story: str) -> None:
    """The moments that a story declares are those of its promised waits, in the order in which it comes to them."""
    assert [wait.moment for wait in waits(story) if wait.promised] == list(stories()[story].moments)


@pytest.mark.parametrize("story", sorted(stories()))
def test_waits_accept_what_was_recorded(story: str) -> None:
    """Each wait holds in the recorded state in which it came true, marked or not."""
    history = history_of(story)
    assert [wait for wait in waits(story) if not wait.met(history.at(wait.until))] == []


@pytest.mark.parametrize("story", sorted(stories()))
def test_waits_reject_what_was_before(story: str) -> None:
    """Each wait does not hold in some state since the story created its first set, and before it came true."""
    history = history_of(story)
    begun = next(history.position_of(edit) for edit in history.edits if edit.kind == "LeaderWorkerSet")
    for wait in waits(story):
        earlier = history.views(begun, wait.until - 1)
        assert not all(wait.met(view) for view in earlier), f"{wait.subject.title} waits for nothing ({wait.moment})"


@pytest.mark.parametrize(
    ("story", "moment", "edit", "expectation"),
    [(*promise, edit, expected) for promise in PROMISES for edit, expected in PROMISED.get(promise, ())],
    ids=str,
)
def test_promised_waits_reject_a_doctored_history(story: str, moment: str, edit: Edit, expectation: str) -> None:
    """A promised wait does not hold where one thing is made wrong, for the sake of the expectation that is about it."""
    wait, history = the_wait(story, moment), doctored(recorded(story), edit)
    view = history.at(history.position_of(history.moments[moment]))
    assert [bare(one.name) for one in wait.expectations if not one.holds(wait.subject, view)] == [expectation]


@pytest.mark.parametrize(("story", "moment"), PROMISES)
def test_no_expectation_in_a_promised_wait_is_dead(story: str, moment: str) -> None:
    """For each expectation of a promised wait there is a doctored history on which that one does not hold."""
    wanted = {bare(expectation.name) for expectation in the_wait(story, moment).expectations}
    assert wanted == {expectation for _, expectation in PROMISED.get((story, moment), ())}


def test_only_promises_of_the_suite_are_tested() -> None:
    """The table of doctored histories names no moment that no story promises."""
    assert not PROMISED.keys() - set(PROMISES)
