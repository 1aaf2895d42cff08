"""How a recorded history is edited: what an edit looks for, in which state, and how that state comes to differ.

An edit is made of `find`, which picks an object in a state, and `when`, which says in which one. Mostly the history
then gets one change more, in which the object is wrong, gone, or one too many; its next recorded change puts it right
again, so the wrong state is a short one. What would not show in one state is altered in an object's whole life. An edit
that finds nothing to alter is an error, because it would prove nothing. The edits that have names are in `doctoring`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from conformance.expectations.model import Expectation
from conformance.expectations.subjects import Group, OfGroup
from conformance.names import GROUP_INDEX_OF_WORKLOAD, KINDS
from conformance.trace.history import History, View, annotations_of, is_true
from conformance.trace.records import Change, Object, Record

Find = Callable[[View], Object]
"""Picks an object in a state. Raises LookupError if it is not there."""
WhichGroup = Callable[[View], OfGroup]
"""Picks a group in a state; which one waited, for example, was decided by the recorded run."""
Alter = Callable[[Object, View], None]
"""Makes an object wrong, in place; the view is the world around it."""


@dataclass(frozen=True)
class Point:
    """A place in a history, behind every change of this revision that was received by then."""

    revision: int
    received: float


When = Callable[[History], Point]


@dataclass(frozen=True)
class Edit:
    """One named edit of a history."""

    name: str
    apply: Callable[[History], list[Change]]
    answers: Callable[[Record], Record] = lambda record: record
    """What becomes of a record that is no change: of what was answered to a request that the story tried."""

    def __str__(self) -> str:
        return self.name


def doctored(records: Iterable[Record], *edits: Edit) -> History:
    """The history after the edits, one after the other. Raises LookupError if one finds nothing to alter."""
    edited = list(records)
    for edit in edits:
        others = [edit.answers(record) for record in edited if not isinstance(record, Change)]
        edited = [*others, *edit.apply(History(edited))]
    return History(edited)


# Which object


def group(of: str, index: int = 0) -> WhichGroup:
    return lambda view: OfGroup(of, index)


def waiting(of: str) -> WhichGroup:
    """A group of the set that has a Workload and is not admitted."""
    return lambda view: _group_like(view, of, admitted=False)


def running(of: str) -> WhichGroup:
    """A group of the set that is admitted."""
    return lambda view: _group_like(view, of, admitted=True)


def _group_like(view: View, of: str, *, admitted: bool) -> OfGroup:
    owned = view.owned_workloads(view.last_uid("LeaderWorkerSet", of) or "")
    found = first((one for one in owned if is_true(one, "Admitted") == admitted), f"Workload of {of}")
    return OfGroup(of, int(annotations_of(found)[GROUP_INDEX_OF_WORKLOAD]))


def workload(which: WhichGroup) -> Find:
    return lambda view: first([_in(view, which).workload], "Workload")


def leader(which: WhichGroup) -> Find:
    return lambda view: first(_in(view, which).leaders, "leader pod")


def worker(which: WhichGroup) -> Find:
    return lambda view: first(_in(view, which).workers, "worker pod")


def pod_on(host: str, which: WhichGroup) -> Find:
    """The pod of the group that is bound to this host."""
    return lambda view: first(
        (pod for pod in _in(view, which).pods if pod["spec"].get("nodeName") == f"{view.tenant}-{host}"),
        f"pod on {host}",
    )


def _in(view: View, which: WhichGroup) -> Group:
    return which(view).bind(view)


def the(kind: str, name: str = "{tenant}") -> Find:
    """The object of that kind and name."""
    return lambda view: first([view.get(kind, name.format(tenant=view.tenant))], f"{kind} {name}")


def first(found: Iterable[Object | None], what: str) -> Object:
    for obj in found:
        if obj is not None:
            return obj
    raise LookupError(f"there is no {what} in this state of the history")


# When


def at(moment: str) -> When:
    """In the state at a moment of the story."""
    return lambda history: Point(history.moments[moment].revision, history.moments[moment].received)


def after(moment: str) -> When:
    """Right after a moment, before anything else happens."""
    return lambda history: Point(history.moments[moment].revision + 1, 0.0)


def once(which: WhichGroup, expectation: Expectation[Group]) -> When:
    """In the first state in which the expectation holds of the group."""

    def find(history: History) -> Point:
        for view in history.views(1):
            if expectation.holds(which(view), view):
                change = history.changes[view.position - 1]
                return Point(change.revision, change.received)
        raise LookupError(f"{expectation.name} holds in no state of this history")

    return find


def last_time(which: WhichGroup, expectation: Expectation[Group], *, before: str) -> When:
    """In the last state up to a moment in which the expectation holds of the group."""

    def find(history: History) -> Point:
        until = history.position_of(history.moments[before])
        held = [view.position for view in history.views(1, until) if expectation.holds(which(view), view)]
        if not held:
            raise LookupError(f"{expectation.name} holds in no state before {before}")
        change = history.changes[held[-1] - 1]
        return Point(change.revision, change.received)

    return find


# How


def altered(name: str, find: Find, when: When, alter: Alter) -> Edit:
    """One change more, by which the object is altered until its next recorded change."""
    return _interjected(name, "MODIFIED", find, when, alter)


def added(name: str, like: Find, when: When, alter: Alter) -> Edit:
    """One object more: a copy under another name, altered, which nothing ever deletes."""

    def alter_copy(obj: Object, view: View) -> None:
        obj["metadata"] |= {"name": f"{obj['metadata']['name']}-too", "uid": f"{obj['metadata']['uid']}-too"}
        alter(obj, view)

    return _interjected(name, "ADDED", like, when, alter_copy)


def removed(name: str, find: Find, when: When) -> Edit:
    """One deletion more, until the object's next recorded change."""
    return _interjected(name, "DELETED", find, when, lambda obj, view: None)


def always_altered(name: str, find: Find, when: When, alter: Alter) -> Edit:
    """The object that is found is altered in all its changes, from its creation to its deletion."""

    def apply(history: History) -> list[Change]:
        view = state_at(history, when(history))
        uid = find(view)["metadata"]["uid"]
        return [_as_altered(change, alter, view) if change.uid == uid else change for change in history.changes]

    return Edit(name, apply)


def never_deleted(name: str, find: Find, when: When) -> Edit:
    """The deletion of the object that is found never happens."""

    def apply(history: History) -> list[Change]:
        uid = find(state_at(history, when(history)))["metadata"]["uid"]
        kept = [change for change in history.changes if change.uid != uid or change.type != "DELETED"]
        if len(kept) == len(history):
            raise LookupError("this object is not deleted in the history")
        return kept

    return Edit(name, apply)


def _interjected(
    name: str, type_: Literal["ADDED", "MODIFIED", "DELETED"], find: Find, when: When, alter: Alter
) -> Edit:
    def apply(history: History) -> list[Change]:
        point = when(history)
        view = state_at(history, point)
        obj = copy.deepcopy(find(view))
        alter(obj, view)
        kind, meta = obj["kind"], obj["metadata"]
        namespace = meta["namespace"] if KINDS[kind].namespaced else ""
        change = Change(point.received, type_, kind, namespace, meta["name"], meta["uid"], point.revision, obj)
        return [*history.changes, change]

    return Edit(name, apply)


def _as_altered(change: Change, alter: Alter, view: View) -> Change:
    obj = copy.deepcopy(change.object)
    alter(obj, view)
    return msgspec.structs.replace(change, object=obj, uid=obj["metadata"]["uid"])


def state_at(history: History, point: Point) -> View:
    """The world at a point."""
    before = [
        change for change in history.changes if (change.revision, change.received) <= (point.revision, point.received)
    ]
    return history.at(len(before))


def set_condition(obj: Object, type_: str, status: str, **more: str) -> None:
    """Give an object a condition, or change the one it has."""
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    known = [one for one in conditions if one["type"] == type_]
    if not known:
        conditions.append(
            {"type": type_, "status": status, "reason": "Doctored", "lastTransitionTime": "2000-01-01T00:00:00Z"}
        )
    for one in known:
        one |= {"status": status} | more
