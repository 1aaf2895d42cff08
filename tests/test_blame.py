"""Who is to blame for a wait that ran out: pure over histories made in code."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.expectations import absent, admitted, gated
from conformance.expectations.subjects import OfGroup
from conformance.names import HOLD_NOT_READY, HOLD_TERMINATING
from conformance.trace.records import Object, Stopped
from conformance.world.blame import RUN_WITHIN, harness_fault
from objects import condition, having, leader_worker_set
from worlds import STORY, World, place

LWS_0 = OfGroup("lws", 0)


def fault(world: World, *expectations: Any, since: int, after: float = 60.0) -> str | None:
    """What is found of a wait that ran out `after` this many seconds."""
    world.now += after
    world.records.append(Stopped(world.now, STORY, "failed", "not in time", "running", "ADM-01", []))
    return harness_fault(world.history(), LWS_0, expectations, since)


def bound(*, phase: str = "Pending", ready: bool = True, **metadata: Any) -> World:
    """A group whose leader is bound to a host, in this phase."""
    world = World()
    hosts = world.racks(r1="h1 h2")
    for host in hosts.values():
        world.write(having(host, status__conditions=[condition("Ready", ready)]))
    group = world.group(world.write(leader_worker_set()))
    place(world, group, "h1", "h2", "h2")
    world.release(group)
    world.bind(group, "h1")
    more: Object = {f"metadata__{key}": value for key, value in metadata.items()}
    group.pods[0] = world.write(having(group.pods[0], status__phase=phase, **more))
    return world


def test_what_came_true_unseen_is_the_harness_s() -> None:
    """A wait whose expectations held in the recorded history, though it had not been told, blames the watch."""
    world = World()
    group = world.group(world.write(leader_worker_set()))
    since = world.revision
    world.reserve(group)
    found = fault(world, admitted, since=since)
    assert found is not None
    assert "group 0 of lws was admitted, but the watch did not tell it" in found


def test_what_never_came_true_is_not() -> None:
    """A wait whose expectations never held in the recorded history is the implementation's."""
    world = World()
    world.group(world.write(leader_worker_set()))
    assert fault(world, admitted, since=0) is None


def test_what_was_true_before_the_wait_is_not() -> None:
    """States that the wait had seen when it began do not count: it waits for what comes."""
    world = World()
    group = world.group(world.write(leader_worker_set()))
    world.reserve(group)
    world.release(group)
    assert fault(world, gated, since=world.revision) is None


def test_all_of_a_wait_must_have_come_true_at_once() -> None:
    """Expectations that held one after the other, and never together, do not make a moment."""
    world = World()
    group = world.group(world.write(leader_worker_set()))
    since = world.revision
    world.reserve(group, admitted=False)
    world.release(group)
    world.decide(group, conditions=[condition("QuotaReserved"), condition("Admitted")])
    assert fault(world, admitted, gated, since=since) is None


@pytest.mark.parametrize("deleted", [False, True])
def test_a_pod_that_no_kubelet_runs_is_the_harness_s(deleted: bool) -> None:
    """A pod that was bound and not run, or deleted and not ended, for long blames the stand-in of the kubelet."""
    world = bound(deletionTimestamp="now") if deleted else bound()
    found = fault(world, absent, since=world.revision)
    assert found is not None
    assert "Pod" in found
    assert ("deleted" if deleted else "bound to a node") in found


@pytest.mark.parametrize(
    "world",
    [
        bound(phase="Running"),
        bound(ready=False),
        bound(annotations={HOLD_NOT_READY: "true"}),
        bound(deletionTimestamp="now", finalizers=["example.com/held"]),
        bound(deletionTimestamp="now", annotations={HOLD_TERMINATING: "true"}),
    ],
    ids=["it-runs", "its-node-is-lost", "the-story-keeps-it-from-ready", "another-holds-it", "the-story-holds-it"],
)
def test_other_pods_are_not(world: World) -> None:
    """A pod that runs, whose node is lost, or that somebody else keeps from ending says nothing of the kubelet."""
    assert fault(world, absent, since=world.revision) is None


def test_a_pod_bound_just_now_is_not() -> None:
    """A kubelet has a few seconds for each step."""
    world = bound()
    assert fault(world, absent, since=world.revision, after=RUN_WITHIN / 2) is None
