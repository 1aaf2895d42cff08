"""PodsReady: when it is written, and what becomes of groups that are not ready in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from small_worlds import NOW, admitted, condition, gated, pod, world

from conformance.reference import podsready
from conformance.reference.model import Pod, PodSet, PodsReadyRules, Rules, Workload

READY = [pod(index=0), pod(index=1)]


def seen(workload: Workload, pods: Sequence[Pod], rules: PodsReadyRules | None = None) -> Workload:
    return podsready.observed(world([workload], pods, rules=Rules(rules or PodsReadyRules())), workload)


def test_all_pods_ready() -> None:
    """PodsReady is True, reason Started, once all pods of the group are there and ready."""
    it = seen(admitted(), READY)
    assert it.conditions["PodsReady"].reason == "Started"
    assert it.true("PodsReady")
    assert seen(it, READY) is it


@pytest.mark.parametrize(
    "second",
    [
        None,
        pod(index=1, ready=False),
        pod(index=1, deleted=True),
        pod(index=1, finished=True),
        gated(index=1),
    ],
)
def test_nothing_is_written_while_a_group_starts(second: Pod | None) -> None:
    """As long as one pod is missing or not ready there is no condition: it would be a write without news."""
    it = admitted()
    assert seen(it, [READY[0], *([second] if second else [])]) is it


def test_every_podset_counts() -> None:
    """A group is as large as all its podsets together."""
    it = replace(admitted(), podsets=(PodSet("leader", 1), PodSet("worker", 2)))
    assert not seen(it, READY).true("PodsReady")
    assert seen(it, [*READY, pod(index=2)]).true("PodsReady")


def test_lost_and_recovered() -> None:
    """A pod that is lost after the start is WaitForRecovery, and its return Recovered."""
    lost = seen(seen(admitted(), READY), READY[:1])
    assert (lost.true("PodsReady"), lost.conditions["PodsReady"].reason) == (False, "WaitForRecovery")
    assert seen(lost, READY[:1]) is lost
    back = seen(lost, READY)
    assert (back.true("PodsReady"), back.conditions["PodsReady"].reason) == (True, "Recovered")


def test_no_recovery_timeout_no_write() -> None:
    """Without a recovery timeout a lost pod needs no clock and is not written."""
    rules = PodsReadyRules(recovery_timeout=None)
    it = seen(admitted(), READY)
    assert seen(it, READY[:1], rules) is it


def test_switched_off() -> None:
    """Where waiting for ready pods is switched off, nothing is written and nothing times out."""
    rules = PodsReadyRules(enabled=False)
    it = admitted()
    assert seen(it, READY, rules) is it
    assert podsready.deadline(it, rules) is None


def test_deadlines() -> None:
    """The time to start counts from the admission, the time to recover from the loss; a ready group has none."""
    rules = PodsReadyRules(timeout=100, recovery_timeout=30)
    it = admitted(since=NOW)
    assert podsready.deadline(it, rules) == NOW + 100
    waits = replace(it, conditions={**it.conditions, "PodsReady": condition(False, "WaitForStart", NOW - 500)})
    assert podsready.deadline(waits, rules) == NOW + 100
    lost = replace(it, conditions={**it.conditions, "PodsReady": condition(False, "WaitForRecovery", NOW + 7)})
    assert podsready.deadline(lost, rules) == NOW + 37
    assert podsready.deadline(lost, replace(rules, recovery_timeout=None)) is None
    assert podsready.deadline(seen(it, READY), rules) is None


def test_backoff_doubles_up_to_the_limit() -> None:
    """The n-th eviction keeps a group out for 60 * 2^(n-1) seconds, an hour at most, however often it was evicted."""
    rules = PodsReadyRules()
    assert [podsready.backoff(n, rules) for n in (1, 2, 3, 6, 7, 8, 5000)] == [60, 120, 240, 1920, 3600, 3600, 3600]


def test_too_late() -> None:
    """A group that is not ready in time is evicted, counted, and told when it may come back."""
    it = podsready.too_late(admitted(requeues=1), PodsReadyRules(), NOW)
    assert it.conditions["Evicted"].reason == "PodsReadyTimeout"
    assert (it.requeues, it.requeue_at) == (2, NOW + 120)


def test_too_late_too_often() -> None:
    """The eviction after the last that the limit allows deactivates the group instead."""
    rules = PodsReadyRules(backoff_limit=2)
    assert podsready.too_late(admitted(requeues=1), rules, NOW).conditions["Evicted"].reason == "PodsReadyTimeout"
    it = podsready.too_late(admitted(requeues=2), rules, NOW)
    assert it.conditions["Evicted"].reason == "DeactivatedDueToRequeuingLimitExceeded"
    assert it.conditions["DeactivationTarget"].reason == "RequeuingLimitExceeded"
    assert (it.requeues, it.requeue_at) == (0, None)
