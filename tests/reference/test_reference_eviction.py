"""Eviction: what a Workload looks like while it goes, when it is gone, and when it may come back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_worlds import NOW, admitted, condition, gated, pod, reserving, waiting, world

from conformance import names
from conformance.reference import eviction
from conformance.reference.model import CheckState, Node


def test_the_reservation_outlives_the_beginning() -> None:
    """A group that is told to go is not admitted any more and still holds its quota."""
    it = eviction.evicted(admitted(), "Preempted", "for another", NOW)
    assert it.evicted
    assert it.reserves
    assert not it.admitted
    assert it.conditions["Evicted"] == condition(True, "Preempted", NOW, "for another")


def test_time_that_it_ran_is_added_up() -> None:
    """The seconds since its admission are added to those of former admissions, once."""
    it = eviction.evicted(admitted(since=NOW - 30, executed_seconds=12), "Preempted", "", NOW)
    assert it.executed_seconds == 42
    assert eviction.evicted(it, "Deactivated", "", NOW + 50).executed_seconds == 42


def test_checks_begin_anew() -> None:
    """An eviction sets every check back to Pending, counts a retry, and forgets what the check added to the pods."""
    ready = CheckState("a", "Ready", NOW - 9, raw={"podSetUpdates": [{"name": "main"}]})
    retry = CheckState("b", "Retry", NOW - 9, requeue_after=5, raw={"retryCount": 2})
    pending = CheckState("c", "Pending", NOW - 9)
    it = eviction.evicted(reserving(checks=(ready, retry, pending)), "AdmissionCheck", "", NOW)
    assert [check.state for check in it.checks] == ["Pending"] * 3
    assert [dict(check.raw) for check in it.checks] == [{}, {"requeueAfterSeconds": 5, "retryCount": 3}, {}]
    assert it.checks[2] is pending


def test_pods_ready_is_taken_back_with_the_admission() -> None:
    """PodsReady of an evicted group is False, and one that never was is not made."""
    ran = admitted(conditions={"PodsReady": condition(True, "Started")})
    assert not eviction.evicted(ran, "Preempted", "", NOW).true("PodsReady")
    assert "PodsReady" not in eviction.evicted(admitted(), "Preempted", "", NOW).conditions


@pytest.mark.parametrize("reason", ["Preempted", "NodeFailures", "PodsReadyTimeout", "AdmissionCheck", "Deactivated"])
def test_requeued_at_once_only_after_preemption_and_node_failure(reason: str) -> None:
    """When an eviction ends, Requeued is True only where nothing but room is missing."""
    it = eviction.gone(eviction.evicted(admitted(), reason, "why", NOW), NOW + 1)
    assert not it.reserves
    assert it.admission is None
    assert it.conditions["QuotaReserved"].reason == "Pending"
    assert it.conditions["Requeued"].reason == reason
    assert it.true("Requeued") == (reason in ("Preempted", "NodeFailures"))


def test_same_condition_is_the_same_value() -> None:
    """A condition that is there already changes nothing, not even the time."""
    it = eviction.marked(waiting(), "Evicted", True, "Preempted", "m", NOW)
    assert eviction.marked(it, "Evicted", True, "Preempted", "m", NOW + 5) is it
    changed = eviction.marked(it, "Evicted", True, "Deactivated", "m", NOW + 5)
    assert changed.conditions["Evicted"].since == NOW
    turned = eviction.marked(it, "Evicted", False, "Preempted", "m", NOW + 5.7)
    assert turned.conditions["Evicted"].since == NOW + 5


def test_long_messages_are_cut() -> None:
    """A condition's message has at most 1024 characters."""
    it = eviction.marked(waiting(), "Evicted", True, "AdmissionCheck", "x" * 5000, NOW)
    assert len(it.conditions["Evicted"].message) == 1024


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (pod(), True),
        (pod(deleted=True), True),
        (pod(gates=("example.com/other",)), True),
        (pod(finished=True), False),
        (gated(), False),
        (pod(gates=(names.TOPOLOGY_GATE,)), False),
        (pod(annotations={names.WORKLOAD: "w-of-a-namesake"}), False),
        (pod(annotations={}), True),
    ],
)
def test_started_pods(one: object, counts: bool) -> None:
    """A pod counts from losing Kueue's gates until it has finished or is gone, if it is this Workload's."""
    assert isinstance(one, type(pod()))
    assert bool(eviction.started_pods(world([admitted()], [one]), admitted())) == counts


def test_no_end_before_the_beginning_is_stored() -> None:
    """A reservation is kept until the API server has the group as not admitted, though no pod of it is seen."""
    told = eviction.evicted(admitted(), "Preempted", "", NOW)
    assert not eviction.ended(world([admitted()]), told)
    assert eviction.ended(world([told]), told)
    assert not eviction.ended(world([told], [pod(deleted=True)]), told)


def test_who_waits() -> None:
    """A group is not tried while it is inactive, holds quota, is not requeued, or its backoff lasts."""

    def waits(**fields: object) -> bool:
        it = replace(waiting(), **fields)  # type: ignore[arg-type]
        return eviction.waits(world([it]), it)

    assert not waits()
    assert waits(active=False)
    assert waits(requeue_at=NOW + 1)
    assert not waits(requeue_at=NOW)
    assert waits(conditions={"Requeued": condition(False, "PodsReadyTimeout")})
    assert not waits(conditions={"Requeued": condition(True, "Preempted")})
    assert waits(conditions={eviction.DEACTIVATION_TARGET: condition(True, "AdmissionCheck")})
    assert eviction.waits(world([reserving()]), reserving())


def test_who_gives_its_quota_up_now_waits() -> None:
    """A group whose reservation ends in this pass is not given another one in it: the end is stored first."""
    gone = eviction.gone(eviction.evicted(reserving(), "Preempted", "", NOW), NOW)
    assert eviction.releases(world([reserving()]), gone)
    assert eviction.waits(world([reserving()]), gone)
    assert not eviction.waits(world([gone]), gone)


@pytest.mark.parametrize("nodes", [{}, {"n": Node("n", ready=False)}])
def test_a_pod_that_its_lost_node_holds_back_counts_no_more_when_its_time_is_over(nodes: dict[str, Node]) -> None:
    """A terminating pod on a node that is gone or not ready counts until its grace period ends; a pass is due then."""
    held = pod(deleted=True, gone_by=NOW, node="n")
    early = world([admitted()], [held], nodes=nodes, now=NOW)
    assert eviction.started_pods(early, admitted()) == [held]
    assert early.wake_at == NOW + 1
    late = world([admitted()], [held], nodes=nodes, now=NOW + 1)
    assert eviction.started_pods(late, admitted()) == []


def test_a_terminating_pod_counts_while_its_node_can_tell() -> None:
    """On a node that is ready a pod may still run after its grace period; one that is not terminating always may."""
    ready = {"n": Node("n")}
    held = pod(deleted=True, gone_by=NOW - 100, node="n")
    assert eviction.started_pods(world([admitted()], [held], nodes=ready), admitted()) == [held]
    stays = pod(node="n")
    assert eviction.started_pods(world([admitted()], [stays]), admitted()) == [stays]


def test_an_unknown_condition_that_becomes_false_changes() -> None:
    """Unknown is not False: to make it so is a transition."""
    it = waiting(conditions={"Evicted": replace(condition(False, "r", NOW - 50), unknown=True)})
    marked = eviction.marked(it, "Evicted", False, "r", "", NOW)
    assert marked.conditions["Evicted"] == condition(False, "r", NOW)
