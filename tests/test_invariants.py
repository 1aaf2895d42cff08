"""All invariants at once, on whole stories; and I7 and I8: histories that each must accept, and near ones to reject."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.implementations import deviations
from conformance.names import RACK
from conformance.trace.history import History
from conformance.trace.invariants import INVARIANTS, judge_invariants, sentence
from conformance.trace.records import Object, StoryStarted, of_story, read
from objects import cluster_queue, condition, having, leader_worker_set
from worlds import World, holds, judged, pending, violation

RECORDED = sorted((Path(__file__).parent / "histories").glob("*.ndjson.gz"))


@pytest.mark.parametrize("file", RECORDED, ids=[file.name for file in RECORDED])
def test_every_invariant_accepts_what_was_recorded(file: Path) -> None:
    """Recorded stories of a real cluster violate no invariant, from their beginning to the end of their clean-up.

    But for those that the real Kueue is known to violate in a story.
    """
    records = list(read(file))
    stories = [record.story for record in records if isinstance(record, StoryStarted)]
    assert stories
    for story in stories:
        judgements = judge_invariants(History(of_story(records, story), until="cleaned"))
        known = {entry.invariant for entry in deviations.load() if entry.story == story}
        assert [j.name for j in judgements] == list(INVARIANTS)
        assert {j.name for j in judgements if j.violations} <= known
        assert any(j.judged for j in judgements)


def test_a_whole_life_with_its_clean_up_is_accepted_by_all() -> None:
    """A set that is admitted, placed, run and properly deleted violates nothing, and all nine are judged on it."""
    world = World()
    world.racks(r1="h1 h2")
    world.write(cluster_queue(cpu="3"))
    lws = world.write(leader_worker_set())
    group = world.group(lws, required=RACK)
    world.run(group, "h1", "h1", "h2")
    world.clean_up(lws, group)
    judgements = judge_invariants(world.history())
    assert {j.name: (j.violations, j.judged > 0) for j in judgements} == {name: ([], True) for name in INVARIANTS}


def test_invariants_are_named_in_order_and_have_sentences() -> None:
    """They are called I1 to I9, in this order, and each publishes one sentence."""
    assert list(INVARIANTS) == [f"I{number}" for number in range(1, 10)]
    assert all(sentence(name).endswith(".") for name in INVARIANTS)


# I7


def test_admitted_goes_with_an_admission() -> None:
    """I7 accepts Workloads that have an admission while Admitted, and none before and after."""
    world = World()
    group = pending(world)
    world.reserve(group)
    world.evict(group)
    assert holds(world, "I7")


def test_admitted_without_admission_is_rejected_once() -> None:
    """I7 rejects a Workload that is Admitted without `status.admission`, once for as long as it lasts."""
    world = World()
    group = pending(world)
    world.decide(group, conditions=[condition("QuotaReserved"), condition("Admitted")])
    world.decide(group, requeueState={"count": 1})
    assert violation(world, "I7").field == "status.admission"


def test_an_admission_must_outlast_admitted() -> None:
    """I7 rejects a Workload whose admission is taken away before Admitted is."""
    world = World()
    group = pending(world)
    world.reserve(group)
    world.decide(group, admission=None)
    assert violation(world, "I7").object == "Workload tenant/leaderworkerset-lws-0-abcde"


# I8


def ended(world: World, *, workload_left: bool = False, lws_left: bool = False) -> None:
    """A set was admitted and then deleted by the clean-up."""
    lws = world.write(leader_worker_set())
    group = world.group(lws)
    world.reserve(group)
    world.told()
    if lws_left:
        world.write(having(lws, metadata__deletionTimestamp="now"))
    else:
        world.delete(lws)
    world.delete(*group.pods)
    if not workload_left:
        world.delete(group.workload)


def test_a_deleted_set_leaves_nothing() -> None:
    """I8 accepts the end of a story when the Workloads of its sets are gone."""
    world = World()
    ended(world)
    world.cleaned()
    assert holds(world, "I8")


@pytest.mark.parametrize("lws_left", [False, True], ids=["gone", "terminating"])
def test_a_workload_that_is_left_is_rejected(lws_left: bool) -> None:
    """I8 rejects a Workload that outlives its deleted set, whether that is gone or cannot go."""
    world = World()
    ended(world, workload_left=True, lws_left=lws_left)
    world.cleaned()
    assert violation(world, "I8").object.startswith("Workload tenant/leaderworkerset-lws-0")


def test_a_set_that_is_not_deleted_may_have_its_workloads() -> None:
    """I8 does not judge a set that still exists and was not deleted."""
    world = World()
    world.reserve(pending(world))
    world.told()
    world.cleaned()
    assert judged(world, "I8").judged == 0


def charging(total: str) -> Object:
    """A ClusterQueue that says it is used."""
    usage = [{"name": "flavor", "resources": [{"name": "cpu", "total": total}]}]
    return cluster_queue(cpu="3") | {"status": {"flavorsUsage": usage}}


def test_what_a_workload_that_is_left_reserves_is_no_second_violation() -> None:
    """I8 rejects the Workload that is left, and not also the quota that it goes on using."""
    world = World()
    ended(world, workload_left=True)
    world.write(charging("3"))
    world.cleaned()
    assert violation(world, "I8").object.startswith("Workload")


@pytest.mark.parametrize(("total", "accepted"), [("0", True), ("3", False)])
def test_quota_that_stays_used_is_rejected(total: str, accepted: bool) -> None:
    """I8 rejects a ClusterQueue that still charges something when no Workload reserves quota any more."""
    world = World()
    ended(world)
    world.write(charging(total))
    world.cleaned()
    assert holds(world, "I8") if accepted else violation(world, "I8").field == "status.flavorsUsage[flavor][cpu]"


def test_finalizers_that_the_suite_took_away_are_rejected() -> None:
    """I8 rejects a clean-up that had to remove finalizers, even if in the end nothing was left."""
    world = World()
    ended(world)
    world.cleaned()
    world.finding("cleanup", "freed of finalizers by the suite: ClusterQueue queue")
    assert "freed of finalizers" in violation(world, "I8").observed


def test_nothing_is_said_of_an_end_that_was_not_reached() -> None:
    """I8 is not judged when the clean-up has no fence."""
    world = World()
    ended(world, workload_left=True)
    assert judged(world, "I8").judged == 0
