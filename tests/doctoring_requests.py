"""The named edits by which the requests that a story tried are doctored, and the sets that they are about."""

from __future__ import annotations

from typing import Any

import msgspec

from conformance.names import QUEUE_NAME
from conformance.trace.history import History, View
from conformance.trace.records import Answer, Change, Object, Record
from editing import Edit, Find, Point, When, added, altered, first


def accept(label: str) -> Edit:
    """The request is accepted."""
    return _answered("accept", label, 200, "")


def refuse(label: str) -> Edit:
    """The request is refused."""
    return _answered("refuse", label, 422, "Invalid")


def miss(label: str) -> Edit:
    """The request is answered with a 4xx status that is no refusal: the object is not there."""
    return _answered("miss", label, 404, "NotFound")


def _answered(name: str, label: str, status: int, reason: str) -> Edit:
    def apply(history: History) -> list[Change]:
        if label not in history.answers:
            raise LookupError(f"the story tried no request {label!r}")
        return history.changes

    def answers(record: Record) -> Record:
        if isinstance(record, Answer) and record.label == label:
            return msgspec.structs.replace(record, status=status, reason=reason)
        return record

    return Edit(name, apply, answers)


def name_another_queue(find: Find, when: When) -> Edit:
    """The set names another LocalQueue."""

    def alter(lws: Object, view: View) -> None:
        lws["metadata"]["labels"][QUEUE_NAME] = "another-queue"

    return altered("name_another_queue", find, when, alter)


def resize(find: Find, when: When, size: int) -> Edit:
    """The set has groups of another size."""

    def alter(lws: Object, view: View) -> None:
        lws["spec"]["leaderWorkerTemplate"]["size"] = size

    return altered("resize", find, when, alter)


def request_less(find: Find, when: When, role: str) -> Edit:
    """The first container of a template of the set requests less cpu."""

    def alter(lws: Object, view: View) -> None:
        container: dict[str, Any] = lws["spec"]["leaderWorkerTemplate"][f"{role}Template"]["spec"]["containers"][0]
        container["resources"]["requests"]["cpu"] = "50m"

    return altered("request_less", find, when, alter)


def stray_workload(kind: str) -> Edit:
    """There is one Workload more, as soon as there is one at all, whose only owner is of this kind."""

    def alter(workload: Object, view: View) -> None:
        owner = {"apiVersion": "v1", "kind": kind, "name": "part-of-a-set", "uid": "of-a-part"}
        workload["metadata"]["ownerReferences"] = [owner]

    def some(view: View) -> Object:
        return first(view.all("Workload"), "Workload")

    def when(history: History) -> Point:
        change = next(change for change in history.changes if change.kind == "Workload")
        return Point(change.revision, change.received)

    return added("stray_workload", some, when, alter)


def shrink(find: Find, when: When, cpu: str) -> Edit:
    """The ClusterQueue has a smaller quota of cpu than what may run."""

    def alter(queue: Object, view: View) -> None:
        for resources in queue["spec"]["resourceGroups"]:
            for flavor in resources["flavors"]:
                for one in flavor["resources"]:
                    if one["name"] == "cpu":
                        one["nominalQuota"] = cpu

    return altered("shrink", find, when, alter)


def overcharge(find: Find, when: When) -> Edit:
    """The first podset of the Workload is charged more cpu than any host has."""

    def alter(workload: Object, view: View) -> None:
        workload["status"]["admission"]["podSetAssignments"][0]["resourceUsage"]["cpu"] = "64"

    return altered("overcharge", find, when, alter)
