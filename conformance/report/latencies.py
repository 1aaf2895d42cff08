"""How long things took, read from a story's trace: reported, never judged.

Times are the recorder's, so they include the watch's delay; API timestamps have a resolution of one second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.names import ADMISSION_GATE, GROUP_INDEX, SET_NAME, TOPOLOGY_GATE
from conformance.report import model
from conformance.trace.history import History, View, gates, group_of_workload, is_true, labels
from conformance.trace.records import Change

Group = tuple[str, int]
"""A LeaderWorkerSet's name and the group's index."""


@dataclass(slots=True)
class _Steps:
    """When a group was first seen at each step; positions count the changes of the history."""

    created: float
    created_at: int
    admitted: float | None = None
    admitted_at: int = 0
    ungated: float | None = None
    ready: float | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def summarise(seconds: Iterable[float]) -> model.Latency:
    """Count, median and 95th percentile, to the millisecond. At least one value is needed."""
    values = list(seconds)
    return model.Latency(n=len(values), p50=round(percentile(values, 0.5), 3), p95=round(percentile(values, 0.95), 3))


def measured(history: History) -> dict[str, list[float]]:
    """Seconds by name: each moment's wait, and for each group the steps created, admitted, ungated, ready.

    `created-to-admitted` leaves out the groups for which the story itself changed something in between: they waited
    for the story. A group is ungated when its pods are there without Kueue's gates, ready when all of its size are.
    """
    found: dict[str, list[float]] = {}
    for moment in history.moments.values():
        found.setdefault(f"moment:{moment.name}", []).append(moment.waited)
    edits = [history.position_of(edit) for edit in history.edits]
    for steps in _steps(history):
        waited_for_story = any(steps.created_at < edit < steps.admitted_at for edit in edits)
        start = None if waited_for_story else steps.created
        for name, since, until in (
            ("created-to-admitted", start, steps.admitted),
            ("admitted-to-ungated", steps.admitted, steps.ungated),
            ("ungated-to-ready", steps.ungated, steps.ready),
        ):
            if since is not None and until is not None:
                # Two watches may deliver in the other order; nothing takes less than no time.
                found.setdefault(name, []).append(max(until - since, 0.0))
    return found


def _steps(history: History) -> list[_Steps]:
    """The steps of every Workload that belonged to a group."""
    view = View(history.tenant)
    present: dict[Group, tuple[str, _Steps]] = {}
    all_steps: list[_Steps] = []
    for change in history.changes:
        view.apply(change)
        group = _group(change)
        if group is None:
            continue
        if change.kind == "Workload" and change.type != "DELETED":
            known = present.get(group)
            if known is None or known[0] != change.uid:
                present[group] = (change.uid, _Steps(change.received, view.position))
                all_steps.append(present[group][1])
        if group in present:
            _advance(present[group][1], view, group, change.received)
    return all_steps


def _advance(steps: _Steps, view: View, group: Group, now: float) -> None:
    if steps.ready is not None:
        return
    if steps.admitted is None and is_true(view.workload_of_group(*group), "Admitted"):
        steps.admitted, steps.admitted_at = now, view.position
    if steps.admitted is None:
        return
    pods = view.pods_of_group(*group)
    if steps.ungated is None and pods and not any({ADMISSION_GATE, TOPOLOGY_GATE} & set(gates(pod)) for pod in pods):
        steps.ungated = now
    if steps.ungated is not None and len(pods) == _size(view, group[0]) and all(is_true(pod, "Ready") for pod in pods):
        steps.ready = now


def _size(view: View, set_name: str) -> int:
    found = view.get("LeaderWorkerSet", set_name)
    return int(found["spec"]["leaderWorkerTemplate"].get("size", 1)) if found else 0


def _group(change: Change) -> Group | None:
    if change.kind == "Pod":
        name, index = labels(change.object).get(SET_NAME), labels(change.object).get(GROUP_INDEX, "")
        return (name, int(index)) if name and index.isdigit() else None
    if change.kind == "Workload":
        for owner in change.object["metadata"].get("ownerReferences") or ():
            number = group_of_workload(change.object, owner["name"])
            if owner["kind"] == "LeaderWorkerSet" and number is not None:
                return owner["name"], number
    return None
