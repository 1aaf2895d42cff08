"""The invariant about gates (I1): histories that it must accept, and near ones that it must reject."""

from __future__ import annotations

import pytest

from conformance.names import ADMISSION_GATE, QUEUE_NAME, TOPOLOGY_GATE
from conformance.trace.records import Object
from objects import having, leader_worker_set, made, owner
from worlds import Group, World, holds, judged, pending, violation


def test_pods_may_be_released_and_bound_after_admission() -> None:
    """I1 accepts pods that lose their gates and are bound once their Workload is Admitted."""
    world = World()
    group = pending(world)
    world.reserve(group)
    world.release(group)
    world.bind(group, "h1", "h1", "h1")
    assert holds(world, "I1")


def test_a_pod_must_not_be_released_before_admission() -> None:
    """I1 rejects one pod without gates while the Workload waits; the rest of the group is judged all the same."""
    world = World()
    group = pending(world)
    world.moment("waiting")
    world.release(group, 1)
    world.reserve(group)
    found = violation(world, "I1")
    assert (found.object, found.field) == ("Pod tenant/lws-0-1", "spec.schedulingGates")
    assert (found.moment, judged(world, "I1").judged) == ("waiting", 3)


def test_quota_alone_does_not_release_pods() -> None:
    """I1 rejects pods released when their Workload holds quota but is not yet Admitted."""
    world = World()
    group = pending(world)
    world.reserve(group, admitted=False)
    world.release(group, 0)
    assert violation(world, "I1").object == "Pod tenant/lws-0"


def test_a_pod_must_not_be_bound_before_admission() -> None:
    """I1 rejects a bound pod of a waiting group whatever its gates say."""
    world = World()
    world.bind(pending(world), "h1")
    found = violation(world, "I1")
    assert (found.field, found.observed) == ("spec.nodeName", "bound to h1")


@pytest.mark.parametrize("gate", [ADMISSION_GATE, TOPOLOGY_GATE])
def test_one_of_kueues_gates_is_enough(gate: str) -> None:
    """I1 accepts a waiting pod with either gate of Kueue's: it cannot be scheduled."""
    world = World()
    lws = world.write(leader_worker_set())
    world.group(lws, gates=[gate])
    assert holds(world, "I1")


def test_a_foreign_gate_is_none_of_kueues() -> None:
    """I1 rejects a waiting pod that only somebody else's gate holds back."""
    world = World()
    group = world.group(world.write(leader_worker_set()))
    gates = [{"name": "example.com/other"}]
    group.pods[0] = world.write(having(group.pods[0], spec__schedulingGates=gates))
    assert violation(world, "I1").object == "Pod tenant/lws-0"


def test_late_pods_of_an_admitted_group_may_be_born_without_gates() -> None:
    """I1 accepts pods that are created without gates after their Workload was Admitted, and rejects them before."""
    for admitted in (True, False):
        world = World()
        lws = world.write(leader_worker_set())
        group = Group(lws, 0, world.workload(lws, 0))
        if admitted:
            world.reserve(group)
        world.add_pods(group, gates=())
        assert len(judged(world, "I1").violations) == (0 if admitted else 3)


def test_an_admission_that_ended_still_counts_for_pods_that_saw_it() -> None:
    """I1 accepts a pod released after its Workload's admission has ended again."""
    world = World()
    group = pending(world)
    world.reserve(group)
    world.evict(group)
    world.release(group)
    assert holds(world, "I1")


def test_an_admission_from_before_a_pods_birth_does_not_count() -> None:
    """I1 rejects a pod that was created after its Workload's admission had ended."""
    world = World()
    group = pending(world)
    world.reserve(group)
    world.evict(group)
    world.delete(*group.pods)
    world.add_pods(group, made_again="-again")
    world.release(group, 2)
    assert violation(world, "I1").object == "Pod tenant/lws-0-2"


def test_another_groups_admission_does_not_count() -> None:
    """I1 rejects a group's pods when only another group of the set is Admitted."""
    world = World()
    lws = world.write(leader_worker_set())
    first, second = world.group(lws, 0), world.group(lws, 1)
    world.reserve(first)
    world.release(second, 0)
    assert violation(world, "I1").object == "Pod tenant/lws-1"


def test_a_namesakes_admission_does_not_count() -> None:
    """I1 rejects the pods of a set made again under the same name before its own Workload is Admitted."""
    world = World()
    lws = world.write(leader_worker_set())
    old = world.group(lws)
    world.reserve(old)
    world.delete(lws, *old.pods, old.workload)
    again = world.write(leader_worker_set(uid="uid-again"))
    new = world.group(again, uid="uid-workload-again")
    world.release(new, 0)
    assert violation(world, "I1").object == "Pod tenant/lws-0"


@pytest.mark.parametrize(
    ("status", "accepted"),
    [
        ({"currentRevision": "revision-1", "updateRevision": "revision-2"}, True),
        ({"currentRevision": "revision-0", "updateRevision": "revision-1"}, False),
        ({"currentRevision": "revision-1", "updateRevision": "revision-1"}, False),
        ({"currentRevision": "revision-2", "updateRevision": "revision-2"}, False),
        ({}, False),
    ],
    ids=["old-revision", "new-revision", "no-update", "update-over", "unknown"],
)
def test_only_pods_of_an_old_revision_are_exempt(status: Object, accepted: bool) -> None:
    """I1 accepts an unadmitted pod being released only while its StatefulSet moves away from the pod's revision."""
    world = World()
    group = pending(world)
    leaders = made("StatefulSet", "lws", uid="sts-uid-LeaderWorkerSet-lws") | {"status": status}
    world.write(having(leaders, metadata__ownerReferences=[owner(group.lws)]))
    world.release(group, 0)
    assert judged(world, "I1").violations == [] if accepted else violation(world, "I1")


def test_another_statefulsets_update_exempts_nobody() -> None:
    """I1 rejects workers that are released while only the leaders' StatefulSet is updated."""
    world = World()
    group = pending(world)
    status = {"currentRevision": "revision-1", "updateRevision": "revision-2"}
    leaders = made("StatefulSet", "lws", uid="sts-uid-LeaderWorkerSet-lws") | {"status": status}
    world.write(having(leaders, metadata__ownerReferences=[owner(group.lws)]))
    world.release(group, 1)
    assert violation(world, "I1").object == "Pod tenant/lws-0-1"


def test_unmanaged_sets_are_not_judged() -> None:
    """I1 leaves the pods of a set without a queue and without Workloads alone."""
    world = World()
    lws = world.write(leader_worker_set(queue=None))
    group = Group(lws, 0, {})
    world.add_pods(group, gates=())
    world.bind(group, "h1", "h1", "h1")
    assert judged(world, "I1").judged == 0


def test_a_queue_of_a_framework_that_is_switched_off_manages_nothing() -> None:
    """I1 leaves a set with a queue alone that has no Workload and no gated pod; one gated pod makes it managed."""
    for gates in ((), (ADMISSION_GATE,)):
        world = World()
        lws = world.write(leader_worker_set())
        group = Group(lws, 0, {})
        world.add_pods(group, gates=gates)
        world.release(group)
        assert len(judged(world, "I1").violations) == (3 if gates else 0)


def test_pods_that_queue_for_themselves_are_not_the_sets() -> None:
    """I1 leaves pods alone that queue one by one, of a set that has no queue itself."""
    world = World()
    lws = world.write(leader_worker_set(queue=None))
    group = Group(lws, 0, {})
    world.add_pods(group, gates=(ADMISSION_GATE,))
    world.write(made("Workload", "of-the-pod", ownerReferences=[owner(group.pods[0])], spec={"podSets": []}))
    world.release(group)
    assert judged(world, "I1").judged == 0


def test_a_set_without_a_queue_is_managed_by_having_workloads() -> None:
    """I1 rejects released pods of a waiting set without a queue where everything is managed."""
    world = World()
    world.release(pending(world, queue=None), 0)
    assert violation(world, "I1").object == "Pod tenant/lws-0"


def test_pods_from_before_the_set_had_a_queue_are_not_judged() -> None:
    """I1 accepts pods that ran before their set was put in a queue, and rejects those born ungated afterwards."""
    world = World()
    lws = world.write(leader_worker_set(queue=None))
    group = Group(lws, 0, {})
    world.add_pods(group, gates=())
    lws = world.write(having(lws, metadata__labels={QUEUE_NAME: "user-queue"}), by_story=True)
    group.lws, group.workload = lws, world.workload(lws, 0)
    assert judged(world, "I1").violations == []
    world.add_pods(group, gates=(), made_again="-again")
    assert len(judged(world, "I1").violations) == 3


@pytest.mark.parametrize("ended", [{"metadata__deletionTimestamp": "now"}, {"status__phase": "Failed"}])
def test_pods_that_are_over_are_not_judged(ended: dict[str, str]) -> None:
    """I1 accepts terminating and finished pods of a waiting group without gates."""
    world = World()
    group = pending(world)
    group.pods[0] = world.write(having(group.pods[0], **ended))
    world.release(group, 0)
    assert holds(world, "I1")


@pytest.mark.parametrize("gone", ["LeaderWorkerSet", "StatefulSet"])
def test_pods_whose_owner_is_gone_are_nobodys(gone: str) -> None:
    """I1 accepts waiting pods being released once their set, or a StatefulSet in between, was deleted; not before."""
    for first in (True, False):
        world = World()
        group = pending(world)
        sts = made("StatefulSet", "lws-0", uid="sts-0-uid-LeaderWorkerSet-lws")
        owners = {"LeaderWorkerSet": group.lws, "StatefulSet": sts}
        if first:
            world.delete(owners[gone])
        world.release(group, 1)
        if not first:
            world.delete(owners[gone])
        assert len(judged(world, "I1").violations) == (0 if first else 1)


@pytest.mark.parametrize(("seconds", "accepted"), [(0.1, True), (0.9, False)])
def test_without_order_what_lasts_no_longer_than_the_lag_is_no_violation(seconds: float, accepted: bool) -> None:
    """I1 accepts, where kinds have no order, a release received before its admission by no more than the watch lag."""
    world = World(ordered=False, lag=0.5)
    group = pending(world)
    world.release(group, 0)
    world.pace = seconds
    world.reserve(group)
    assert judged(world, "I1").violations == [] if accepted else violation(world, "I1")


@pytest.mark.parametrize(("seconds", "accepted"), [(0.1, True), (0.9, False)])
def test_without_order_a_pod_that_ends_within_the_lag_is_no_violation(seconds: float, accepted: bool) -> None:
    """I1 accepts, where kinds have no order, a release that the pod outlives by no more than the watch lag."""
    world = World(ordered=False, lag=0.5)
    group = pending(world)
    world.release(group, 0)
    world.pace = seconds
    world.delete(group.pods[0])
    assert judged(world, "I1").violations == [] if accepted else violation(world, "I1")


@pytest.mark.parametrize(("seconds", "accepted"), [(0.1, True), (0.9, False)])
def test_without_order_a_pod_may_be_older_than_it_seems(seconds: float, accepted: bool) -> None:
    """I1 accepts, where kinds have no order, a pod received just after the admission ended that it was born under."""
    world = World(ordered=False, lag=0.5)
    lws = world.write(leader_worker_set())
    group = Group(lws, 0, world.workload(lws, 0))
    world.reserve(group)
    world.evict(group)
    world.pace = seconds
    world.add_pods(group, gates=())
    late = [found.object for found in judged(world, "I1").violations]
    assert ("Pod tenant/lws-0" in late) is not accepted


@pytest.mark.parametrize(("kind", "undecided"), [("Workload", 1), ("Pod", 1), ("Node", 0)])
def test_a_gap_that_may_hide_the_admission_leaves_it_undecided(kind: str, undecided: int) -> None:
    """I1 decides nothing about a release if a watch that could have shown the admission was interrupted before it."""
    world = World()
    group = pending(world)
    world.gap(kind)
    world.release(group, 0)
    found = judged(world, "I1")
    assert (found.undecided, len(found.violations), found.judged) == (undecided, 1 - undecided, 3 - undecided)
