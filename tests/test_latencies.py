"""Latencies: how long the steps of a group took, read from a trace."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.names import ADMISSION_GATE, GROUP_INDEX, GROUP_INDEX_OF_WORKLOAD, SET_NAME
from conformance.report.latencies import measured, percentile, summarise
from conformance.trace.history import History
from conformance.trace.records import Change, Edit, Moment, Record, StoryStarted

SET_UID = "set-uid"


def change(at: float, kind: str, name: str, type_: Any = "MODIFIED", uid: str = "", **content: Any) -> Change:
    metadata = {"name": name, "namespace": "t", "uid": uid or f"{kind}-{name}", **content.pop("metadata", {})}
    obj = {"kind": kind, "metadata": metadata, **content}
    return Change(
        received=at,
        type=type_,
        kind=kind,
        namespace="t",
        name=name,
        uid=metadata["uid"],
        revision=int(at * 100),
        object=obj,
    )


def lws(at: float) -> Change:
    return change(at, "LeaderWorkerSet", "seed", "ADDED", SET_UID, spec={"leaderWorkerTemplate": {"size": 2}})


def workload(at: float, *, admitted: bool = False, uid: str = "w", type_: Any = "MODIFIED") -> Change:
    metadata = {
        "annotations": {GROUP_INDEX_OF_WORKLOAD: "0"},
        "ownerReferences": [{"kind": "LeaderWorkerSet", "name": "seed", "uid": SET_UID}],
    }
    conditions = [{"type": "Admitted", "status": "True" if admitted else "False"}]
    return change(at, "Workload", "seed-0", type_, uid, metadata=metadata, status={"conditions": conditions})


def pod(at: float, index: int, *, gated: bool = False, ready: bool = False) -> Change:
    metadata = {"labels": {SET_NAME: "seed", GROUP_INDEX: "0"}}
    spec = {"schedulingGates": [{"name": ADMISSION_GATE}] if gated else []}
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return change(at, "Pod", f"seed-0-{index}", metadata=metadata, spec=spec, status=status)


def edit(at: float) -> Edit:
    return Edit(
        received=at, story="s", verb="patch", kind="ClusterQueue", namespace="", name="q", revision=int(at * 100)
    )


RUN: list[Record] = [
    lws(1.0),
    workload(1.1, type_="ADDED"),
    pod(1.15, 0, gated=True),
    workload(1.3, admitted=True),
    pod(1.4, 0),
    pod(1.5, 1),
    pod(1.7, 0, ready=True),
    pod(2.0, 1, ready=True),
]


def seconds(records: list[Record]) -> dict[str, list[float]]:
    found = measured(History([StoryStarted(received=0.0, story="s", tenant="t"), *records]))
    return {name: [round(value, 2) for value in values] for name, values in found.items()}


def test_steps_of_a_group() -> None:
    """A group's steps are created, admitted, all present pods without gates, all of its size ready."""
    assert seconds(RUN) == {"created-to-admitted": [0.2], "admitted-to-ungated": [0.1], "ungated-to-ready": [0.6]}


@pytest.mark.parametrize(
    ("until", "expected"),
    [(2, set()), (4, {"created-to-admitted"}), (5, {"created-to-admitted", "admitted-to-ungated"})],
)
def test_steps_that_did_not_happen(until: int, expected: set[str]) -> None:
    """A step that a group did not reach is not measured."""
    assert set(seconds(RUN[:until])) == expected


@pytest.mark.parametrize(("at", "counted"), [(1.05, True), (1.2, False), (1.35, True)])
def test_waiting_for_the_story_is_not_latency(at: float, counted: bool) -> None:
    """If the story itself changed something before the admission, the group waited for the story."""
    assert ("created-to-admitted" in seconds([*RUN, edit(at)])) == counted


def test_a_second_workload_is_another_group() -> None:
    """A Workload that takes the place of another one is measured by itself."""
    again = [workload(3.0, admitted=True, type_="DELETED"), workload(3.1, uid="w2", type_="ADDED")]
    assert seconds([*RUN, *again, workload(3.5, uid="w2", admitted=True)])["created-to-admitted"] == [0.2, 0.4]


def test_nothing_takes_less_than_no_time() -> None:
    """Two watches that deliver in the other order give zero, not a negative time."""
    late = Change(**{**{name: getattr(RUN[3], name) for name in Change.__struct_fields__}, "received": 1.45})
    assert seconds([*RUN[:3], late, *RUN[4:6]])["admitted-to-ungated"] == [0.0]


def test_waits_of_moments() -> None:
    """What each promised wait took is measured under the moment's name."""
    moment = Moment(
        received=2.0,
        story="s",
        name="running",
        revision=200,
        waited=0.9,
        requirement=None,
        expectation="ready",
        subject="g",
    )
    assert seconds([moment]) == {"moment:running": [0.9]}


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([1], 0.5, 1), ([1, 2, 3, 4], 0.5, 2), ([4, 1, 3, 2], 0.95, 4), (list(range(1, 101)), 0.95, 95), ([1, 2], 0.0, 1)],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    """A percentile is the smallest measured value that at least this share does not exceed."""
    assert percentile(values, share) == expected


def test_summary() -> None:
    """A summary has the count, the median and the 95th percentile, to the millisecond."""
    found = summarise([0.1234, 0.2, 0.3])
    assert (found.n, found.p50, found.p95) == (3, 0.2, 0.3)
