"""History answers questions about a recorded world: any state of it, in its true order, and what may be missing."""

from __future__ import annotations

import pytest

from conformance.names import ADMISSION_GATE, GROUP_INDEX_OF_WORKLOAD
from conformance.trace.history import (
    History,
    View,
    condition,
    describe,
    gates,
    group_of_workload,
    is_over,
    is_true,
    owner_uids,
)
from conformance.trace.records import Edit, Fence, Gap, Header, Record, Stopped, StoryStarted
from trace_samples import TENANT, change, lws, moment, pod, sample, workload

START = StoryStarted(received=0.0, story="s", tenant=TENANT)


def history(*records: Record, ordered: bool = True, until: str = "told") -> History:
    return History([Header(run="r", ordered=ordered, lag=0.2), START, *records], until=until)


def pods_at(told: History) -> list[list[str]]:
    """The names of the pods at every position."""
    return [[found["metadata"]["name"] for found in view.all("Pod")] for view in told.views()]


# Order


def test_revisions_order_changes_that_arrived_in_another_order() -> None:
    """With one etcd the order is that of the revisions, whenever the watches told them."""
    told = history(change(7, pod("late"), received=1.0), change(5, pod("early"), received=2.0))
    assert [c.name for c in told.changes] == ["early", "late"]


def test_without_a_common_order_the_time_of_arrival_counts() -> None:
    """Where revisions of different kinds cannot be compared, changes are ordered as they arrived."""
    told = history(change(7, pod("first"), received=1.0), change(5, pod("second"), received=2.0), ordered=False)
    assert [c.name for c in told.changes] == ["first", "second"]


@pytest.mark.parametrize(("ordered", "expected"), [(True, 2), (False, 1)])
def test_moments_are_placed_by_the_same_order(ordered: bool, expected: int) -> None:
    """A moment lies after the changes up to its revision, or after those received before it."""
    told = history(
        change(5, pod("a"), received=1.0),
        change(6, pod("b"), received=3.0),
        change(9, pod("c"), received=4.0),
        moment("m", 6, received=2.0),
        ordered=ordered,
    )
    assert told.position_of(told.moments["m"]) == expected


# States


def test_views_go_through_every_state_from_the_empty_world_to_the_end() -> None:
    """There is one state more than there are changes; a window of them includes both its ends."""
    told = history(change(1, pod("a")), change(2, pod("b")), change(3, pod("a"), "DELETED"))
    assert pods_at(told) == [[], ["a"], ["a", "b"], ["b"]]
    assert [view.position for view in told.views(1, 2)] == [1, 2]
    assert [view.position for view in told.views(2)] == [2, 3]
    assert [view.position for view in told.views(3, 3)] == [3]
    assert [view.position for view in told.views(3, 2)] == []


def test_a_state_at_a_position() -> None:
    """`at` is the world after so many changes."""
    told = history(change(1, pod("a")), change(2, pod("a", status={"phase": "Running"}), "MODIFIED"))
    phases = [(told.at(n).get("Pod", "a") or {"status": {"phase": None}})["status"]["phase"] for n in range(3)]
    assert phases == [None, "Pending", "Running"]


def test_a_late_deletion_does_not_remove_a_namesake() -> None:
    """The deletion of an object says nothing of another one which has its name by now."""
    view = View(TENANT)
    for applied in (
        change(1, pod("a", uid="old")),
        change(3, pod("a", uid="new")),
        change(2, pod("a", uid="old"), "DELETED"),
    ):
        view.apply(applied)
    found = view.get("Pod", "a")
    assert found is not None
    assert found["metadata"]["uid"] == "new"
    assert view.last_uid("Pod", "a") == "new"


def test_the_uid_of_what_is_gone_is_remembered() -> None:
    """Workloads of a deleted LeaderWorkerSet are still found by its UID."""
    told = history(change(1, lws()), change(2, workload("w", 0)), change(3, lws(), "DELETED"))
    end = told.at(3)
    assert end.get("LeaderWorkerSet", "a") is None
    assert end.last_uid("LeaderWorkerSet", "a") == "uid-a"
    found = end.workload_of_group("a", 0)
    assert found is not None
    assert found["metadata"]["name"] == "w"


def test_a_namesakes_workloads_are_its_own() -> None:
    """A set that is created again under its name does not inherit the Workloads of the first one."""
    told = history(
        change(1, lws()),
        change(2, workload("w", 0)),
        change(3, lws(), "DELETED"),
        change(4, lws(uid="uid-second")),
    )
    assert told.at(4).workload_of_group("a", 0) is None
    assert [w["metadata"]["name"] for w in told.at(4).owned_workloads("uid-a")] == ["w"]


def test_groups_are_found_by_meaning() -> None:
    """Workloads by owner and index, pods by labels: never by their names."""
    told = history(
        change(1, lws()),
        change(2, workload("x", 1)),
        change(3, workload("y", 0)),
        change(4, workload("foreign", 0, owner="uid-other")),
        change(5, pod("q", 1)),
        change(6, pod("r", 0)),
        change(7, sample("Pod", "a-0-1", spec={})),
    )
    end = told.at(7)
    found = end.workload_of_group("a", 0)
    assert found is not None
    assert found["metadata"]["name"] == "y"
    assert [p["metadata"]["name"] for p in end.pods_of_group("a", 1)] == ["q"]
    assert [p["metadata"]["name"] for p in end.pods_of_set("a")] == ["q", "r"]
    assert end.workload_of_group("a", 2) is None
    assert end.workload_of_group("unknown", 0) is None


def test_every_change_of_one_name() -> None:
    """`of` gives the changes of one kind and name, namesakes included, in order."""
    told = history(change(1, pod("a")), change(2, pod("b")), change(3, pod("a"), "DELETED"), change(4, lws("a")))
    assert [c.revision for c in told.of(("Pod", TENANT, "a"))] == [1, 3]


# Fences and gaps


@pytest.mark.parametrize(("until", "names"), [("told", ["a"]), ("cleaned", ["a", "b"])])
def test_changes_after_the_fence_are_ignored(until: str, names: list[str]) -> None:
    """What is not proven complete is not judged: each fence ends the history at its revision."""
    told = history(
        change(5, pod("a")),
        change(6, pod("b")),
        change(9, pod("c")),
        Fence(received=5.5, story="s", after="told", revision=5),
        Fence(received=8.0, story="s", after="cleaned", revision=8),
        until=until,
    )
    assert [c.name for c in told.changes] == names


def test_without_a_common_order_the_fence_ends_the_history_by_time() -> None:
    """A fence's revision says nothing of other kinds there; what had arrived by its time is kept."""
    told = history(
        change(900, pod("a"), received=1.0),
        change(2, lws(), received=3.0),
        Fence(received=2.0, story="s", after="told", revision=5),
        ordered=False,
    )
    assert [c.name for c in told.changes] == ["a"]


CHANGES: list[Record] = [change(10, pod("a")), change(20, pod("b")), change(30, pod("c"))]

GAPS = [
    ("before the window", (1, 9), 1, 2, False),
    ("in the window", (12, 18), 1, 2, True),
    ("around the window", (5, 35), 1, 2, True),
    ("closed at the change where the window begins", (5, 10), 1, 2, False),
    ("opened at the change where the window begins", (10, 12), 1, 2, True),
    ("after the last change before the next one", (22, 28), 1, 2, True),
    ("after the window", (30, 40), 1, 2, False),
    ("before everything, from the beginning on", (1, 9), 0, 1, True),
    ("after everything, up to the end", (31, 40), 2, 3, True),
    ("after everything, not up to the end", (31, 40), 0, 2, False),
]


@pytest.mark.parametrize(("gap", "since", "until", "hides"), [row[1:] for row in GAPS], ids=[row[0] for row in GAPS])
def test_gaps_that_may_hide_a_change_of_a_window(gap: tuple[int, int], since: int, until: int, hides: bool) -> None:
    """A gap counts if a change that it hides could lie between the states of the two positions."""
    told = history(*CHANGES, Gap(received=50.0, kind="Pod", after=gap[0], until=gap[1]))
    assert bool(told.gaps_between(since, until)) is hides


def test_a_gap_counts_where_nothing_else_was_recorded() -> None:
    """A story without any change may owe that to the gap."""
    assert history(Gap(received=50.0, kind="Pod", after=1, until=5)).gaps_between(0, 0)


def test_a_gap_that_was_over_before_the_story_began_hides_nothing_of_it() -> None:
    """The tenant did not exist then."""
    records: list[Record] = [
        Gap(received=1.0, kind="Pod", after=1, until=5),
        StoryStarted(received=2.0, story="s", tenant=TENANT),
        change(10, pod("a")),
    ]
    assert History(records).gaps_between(0, 1) == []


def test_without_a_common_order_gaps_are_placed_by_time() -> None:
    """Only the time at which a gap was closed is known there; it counts for every window that began before."""
    gap = Gap(received=15.0, kind="Pod", after=1000, until=2000)
    told = history(*CHANGES, gap, ordered=False)
    assert told.gaps_between(1, 2) == [gap]
    assert told.gaps_between(2, 3) == []


# The rest of a story


def test_a_history_knows_its_story() -> None:
    """Header, start, edits, stop and moments are kept beside the changes."""
    edit = Edit(received=2.0, story="s", verb="patch", kind="LeaderWorkerSet", namespace=TENANT, name="a", revision=3)
    stopped = Stopped(received=3.0, story="s", outcome="failed", reason="why")
    told = history(change(1, lws()), change(3, lws(replicas=2), "MODIFIED"), edit, stopped, moment("m", 1))
    assert (told.story, told.tenant, told.ordered, told.lag) == ("s", TENANT, True, 0.2)
    assert (told.edits, told.stopped, list(told.moments)) == ([edit], stopped, ["m"])
    assert told.position_of(edit) == 2
    assert len(told) == 2


# Objects


@pytest.mark.parametrize(
    ("name", "annotations", "expected"),
    [
        ("any", {GROUP_INDEX_OF_WORKLOAD: "3"}, 3),
        ("leaderworkerset-a-4-f00d5", {}, 4),
        ("leaderworkerset-a-b-4-f00d5", {}, None),
        ("leaderworkerset-b-4-f00d5", {}, None),
        ("any", {}, None),
    ],
)
def test_the_group_of_a_workload(name: str, annotations: dict[str, str], expected: int | None) -> None:
    """Its annotation says it; without one, the documented form of its name; another set's Workload has none."""
    assert group_of_workload(sample("Workload", name, meta={"annotations": annotations}), "a") == expected


def test_conditions() -> None:
    """A condition is true only if it is there with status True."""
    found = pod("a", status={"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]})
    assert is_true(found, "Ready")
    assert not is_true(found, "Other")
    assert not is_true(found, "Absent")
    assert not is_true(None, "Ready")
    assert condition(found, "Other") == {"type": "Other", "status": "False"}
    assert condition(sample("Pod", "bare"), "Ready") is None


@pytest.mark.parametrize(
    ("found", "over"),
    [
        (pod("a"), False),
        (pod("a", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}), True),
        (pod("a", status={"phase": "Failed"}), True),
        (pod("a", status={"phase": "Succeeded"}), True),
        (pod("a", status={"phase": "Running"}), False),
    ],
)
def test_a_pod_is_over_when_it_terminates_or_has_finished(found: dict[str, object], over: bool) -> None:
    """Terminating and finished pods no longer count for their group."""
    assert is_over(found) is over


def test_gates_owners_and_titles() -> None:
    """Gates by name, owners by UID, objects by kind, namespace and name."""
    found = pod("a", spec={"schedulingGates": [{"name": ADMISSION_GATE}]})
    assert gates(found) == [ADMISSION_GATE]
    assert gates(pod("b")) == []
    assert owner_uids(workload("w", 0)) == {"uid-a"}
    assert owner_uids(found) == set()
    assert describe(found) == f"Pod {TENANT}/a"
    assert describe(sample("Node", "n")) == "Node n"


def test_views_share_nothing_that_a_later_change_alters() -> None:
    """A state taken with `at` stays as it was while others are looked at."""
    told = history(change(1, pod("a")), change(2, pod("a"), "DELETED"))
    before: View = told.at(1)
    told.at(2)
    assert before.get("Pod", "a") is not None
