"""The timeline under a failed claim: what became of the objects involved, merged LWS -> Workload -> Pod -> Node.

One line per meaningful change, with what changed instead of whole objects, and the story's moments between them. Pure:
history in, text out; who prints it decides how much of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from conformance.names import GROUP_INDEX, SET_NAME
from conformance.trace.facts import Facts, facts, notes
from conformance.trace.history import History, group_of_workload, labels, owner_uids
from conformance.trace.records import Change, Key, Object

_CHAIN = ("LeaderWorkerSet", "Workload", "StatefulSet", "Pod", "Node")
"""The order in which causes follow each other."""


class _Line(NamedTuple):
    position: int
    seconds: float
    subject: str
    text: str


def keys_of_set(history: History, set_name: str, index: int | None = None) -> list[Key]:
    """The LeaderWorkerSet, its Workloads, its pods and the nodes of the pods; of one group if `index` is given."""
    sets = [change for change in history.changes if (change.kind, change.name) == ("LeaderWorkerSet", set_name)]
    uids = {change.uid for change in sets}
    found: dict[str, dict[Key, None]] = {"LeaderWorkerSet": {}, "Workload": {}, "Pod": {}, "Node": {}}
    for change in history.changes:
        if change.kind in found and _belongs(change, set_name, uids, index):
            found[change.kind][change.key] = None
            if change.kind == "Pod" and change.object["spec"].get("nodeName"):
                found["Node"]["Node", "", change.object["spec"]["nodeName"]] = None
    return [key for keys in found.values() for key in keys]


def _belongs(change: Change, set_name: str, uids: set[str], index: int | None) -> bool:
    match change.kind:
        case "LeaderWorkerSet":
            return change.name == set_name
        case "Workload":
            group = group_of_workload(change.object, set_name)
            return bool(uids & owner_uids(change.object)) and index in (None, group)
        case "Pod":
            found = labels(change.object)
            return found.get(SET_NAME) == set_name and (index is None or found.get(GROUP_INDEX) == str(index))
    return False


def timeline(history: History, subject: str | Iterable[Key], since: int = 0, until: int | None = None) -> list[str]:
    """What happened to the subject between two positions, one line each, oldest first.

    `subject` is the name of a LeaderWorkerSet (with all that belongs to it) or the keys of the objects to show. What
    already existed at `since` is shown as it was. Seconds count from the first change of the history.
    """
    keys = set(keys_of_set(history, subject) if isinstance(subject, str) else subject)
    last = len(history) if until is None else min(until, len(history))
    lines = sorted(
        (*_changes(history, keys, since, last), *_marks(history, since, last)), key=lambda line: line.position
    )
    width = max((len(line.subject) for line in lines), default=0)
    return [f"{line.seconds:+9.3f} s  {line.subject:<{width}}  {line.text}" for line in lines]


def _changes(history: History, keys: set[Key], since: int, until: int) -> Iterator[_Line]:
    edits = {(edit.kind, edit.name, edit.revision) for edit in history.edits}
    present: dict[Key, Object] = {}
    for position, change in enumerate(history.changes[:until], start=1):
        if position == since + 1:
            yield from _existing(history, present, since)
        if change.key not in keys:
            continue
        before = present.get(change.key)
        _apply(present, change)
        text = _difference(before, change) if position > since else ""
        if text:
            by_story = (change.kind, change.name, change.revision) in edits
            text += "  [the story]" if by_story else ""
            yield _line(history, position, change, change.kind, change.name, text)
    if until <= since:
        yield from _existing(history, present, since)


def _apply(present: dict[Key, Object], change: Change) -> None:
    if change.type != "DELETED":
        present[change.key] = change.object
    elif change.key in present and present[change.key]["metadata"]["uid"] == change.uid:
        del present[change.key]


def _existing(history: History, present: dict[Key, Object], since: int) -> Iterator[_Line]:
    if since:
        at = history.changes[min(since, len(history)) - 1]
        for (kind, _, name), obj in sorted(present.items(), key=lambda found: _chain(found[0])):
            yield _line(history, since, at, kind, name, f"was there: {_listed(obj)}".removesuffix(": "))


def _chain(key: Key) -> tuple[int, Key]:
    return (_CHAIN.index(key[0]) if key[0] in _CHAIN else len(_CHAIN), key)


def _difference(before: Object | None, change: Change) -> str:
    """What a reader wants to know of the step from `before` to the change; empty if it is nothing."""
    if change.type == "DELETED":
        return "deleted (seen late)" if change.implied else "deleted"
    if before is None or before["metadata"]["uid"] != change.uid:
        return f"created: {_listed(change.object)}".removesuffix(": ")
    old, new, said = facts(before), facts(change.object), notes(change.object)
    names = [name for name in (*new, *(name for name in old if name not in new)) if old.get(name) != new.get(name)]
    steps = {name: f"{old[name]} -> {new.get(name, 'none')}" if name in old else new[name] for name in names}
    return _text(steps, said)


def _listed(obj: Object) -> str:
    return _text(facts(obj), notes(obj))


def _text(found: Facts, said: Facts) -> str:
    return ", ".join(f"{name}: {text}" + (f" {said[name]!r}" if name in said else "") for name, text in found.items())


def _line(history: History, position: int, at: Change, kind: str, name: str, text: str) -> _Line:
    """Names that begin with the tenant's are shown without it: a reader knows which story it is."""
    seconds = at.received - history.changes[0].received
    prefix = f"{history.tenant}-" if history.tenant else ""
    return _Line(position, seconds, f"{kind} {name.removeprefix(prefix)}", text.replace(prefix, "") if prefix else text)


def _marks(history: History, since: int, until: int) -> Iterator[_Line]:
    """Moments and gaps, each after the change that it follows."""
    if not history.changes:
        return
    zero = history.changes[0].received
    for moment in history.moments.values():
        position = history.position_of(moment)
        if since <= position <= until:
            promise = f" ({moment.requirement})" if moment.requirement else ""
            text = f"{moment.subject} is {moment.expectation} after {moment.waited:.2f} s"
            yield _Line(position, moment.received - zero, f"--- {moment.name}{promise}", text)
    for gap in history.gaps_between(since, until):
        position = _closed(history.changes, gap.received)
        text = f"changes of {gap.kind} may be missing up to here: its watch was lost"
        yield _Line(min(max(position, since), until), gap.received - zero, "--- gap", text)


def _closed(changes: Sequence[Change], received: float) -> int:
    return sum(1 for change in changes if change.received < received)
