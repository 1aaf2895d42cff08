"""Pure queries over what a story left in the trace: every state of its tenant's world, in order.

A `History` is a sequence of changes ordered by resourceVersion where the cluster has one etcd (elsewhere by receive
time). A *position* is how many changes have happened: position 0 is the empty world, `len(history)` the end. A `View`
is the world at a position. Nothing here knows about clusters, waiting or verdicts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conformance.names import GROUP_INDEX, GROUP_INDEX_OF_WORKLOAD, SET_NAME
from conformance.trace.records import (
    Answer,
    Change,
    Edit,
    Fence,
    Finding,
    Gap,
    Header,
    Key,
    Moment,
    Object,
    Record,
    Stopped,
    StoryStarted,
)


class View:
    """The tenant's world at one moment. Objects are read, never changed."""

    __slots__ = ("_last_uid", "_objects", "_owners", "position", "tenant")

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.position = 0
        self._objects: dict[str, dict[str, Object]] = {}
        self._last_uid: dict[tuple[str, str], str] = {}
        self._owners: dict[str, set[str]] = {}

    def apply(self, change: Change) -> None:
        """Move on by one change (used by History and by live waiting, not by expectations)."""
        of_kind = self._objects.setdefault(change.kind, {})
        if change.kind == "Workload":
            self._owners.setdefault(change.uid, set()).update(owner_uids(change.object))
        if change.type == "DELETED":
            present = of_kind.get(change.name)
            # A deletion told late must not remove a namesake created since.
            if present is None or present["metadata"]["uid"] == change.uid:
                of_kind.pop(change.name, None)
        else:
            of_kind[change.name] = change.object
            self._last_uid[change.kind, change.name] = change.uid
        self.position += 1

    def all(self, kind: str) -> list[Object]:
        """The objects of a kind, by name."""
        return [self._objects[kind][name] for name in sorted(self._objects.get(kind, ()))]

    def get(self, kind: str, name: str) -> Object | None:
        return self._objects.get(kind, {}).get(name)

    def last_uid(self, kind: str, name: str) -> str | None:
        """The UID of the object of that name, or of the last one that had it."""
        return self._last_uid.get((kind, name))

    def owned_workloads(self, uid: str) -> list[Object]:
        """The Workloads that name this UID as an owner, or once did.

        When a LeaderWorkerSet is deleted, the garbage collector takes its reference out of the Workloads that pods own
        too; those Workloads exist, and hold quota, until the pods are gone.
        """
        return [one for one in self.all("Workload") if uid in self._owners.get(one["metadata"]["uid"], ())]

    def workload_of_group(self, set_name: str, index: int) -> Object | None:
        """The Workload of a group: owned by the (last) LeaderWorkerSet of that name, and carrying the group's index."""
        uid = self.last_uid("LeaderWorkerSet", set_name)
        if uid is None:
            return None
        matching = [w for w in self.owned_workloads(uid) if group_of_workload(w, set_name) == index]
        return matching[0] if matching else None

    def pods_of_set(self, set_name: str) -> list[Object]:
        return [pod for pod in self.all("Pod") if labels(pod).get(SET_NAME) == set_name]

    def pods_of_group(self, set_name: str, index: int) -> list[Object]:
        return [pod for pod in self.pods_of_set(set_name) if labels(pod).get(GROUP_INDEX) == str(index)]


class History:
    """Everything recorded of one story."""

    def __init__(self, records: Iterable[Record], *, until: str = "told") -> None:
        """`until` names the fence after which changes are ignored: `told` for claims, `cleaned` for invariants."""
        self.moments: dict[str, Moment] = {}
        self.gaps: list[Gap] = []
        self.edits: list[Edit] = []
        self.answers: dict[str, Answer] = {}
        """What was answered to the requests that the story tried, by the story's names for them."""
        self.findings: list[Finding] = []
        self.stopped: Stopped | None = None
        self.fences: dict[str, Fence] = {}
        self.story, self.tenant = "", ""
        self.ordered, self.lag = True, 0.0
        changes: list[Change] = []
        began = 0.0
        for record in records:
            match record:
                case Change():
                    changes.append(record)
                case Moment():
                    self.moments[record.name] = record
                case Gap():
                    self.gaps.append(record)
                case Edit():
                    self.edits.append(record)
                case Answer():
                    self.answers[record.label] = record
                case Finding():
                    self.findings.append(record)
                case Stopped():
                    self.stopped = record
                case Fence():
                    self.fences[record.after] = record
                case StoryStarted():
                    self.story, self.tenant, began = record.story, record.tenant, record.received
                case Header():
                    self.ordered, self.lag = record.ordered, record.lag
        fence = self.fences.get(until)
        if fence is not None and self.ordered:
            changes = [change for change in changes if change.revision <= fence.revision]
        elif fence is not None:
            changes = [change for change in changes if change.received <= fence.received]
        # A gap that was over before the story began hides nothing of it: its tenant did not exist.
        self.gaps = [gap for gap in self.gaps if gap.received >= began]
        changes.sort(key=(lambda c: (c.revision, c.received)) if self.ordered else (lambda c: (c.received, c.revision)))
        self.changes = changes
        self._marks: list[float] = [c.revision if self.ordered else c.received for c in changes]

    def __len__(self) -> int:
        return len(self.changes)

    def position_of(self, moment: Moment | Edit | Answer | Fence) -> int:
        """How many changes had happened by then."""
        return bisect_right(self._marks, moment.revision if self.ordered else moment.received)

    def views(self, since: int = 0, until: int | None = None) -> Iterator[View]:
        """The world at every position from `since` to `until`, both included; the view is reused, so do not keep it."""
        last = len(self.changes) if until is None else min(until, len(self.changes))
        view = View(self.tenant)
        for change in self.changes[: max(since, 0)]:
            view.apply(change)
        if view.position <= last:
            yield view
        for change in self.changes[view.position : last]:
            view.apply(change)
            yield view

    def at(self, position: int) -> View:
        """The world at a position."""
        view = View(self.tenant)
        for change in self.changes[:position]:
            view.apply(change)
        return view

    def of(self, key: Key) -> list[Change]:
        """Every change of one object name, in order."""
        return [change for change in self.changes if change.key == key]

    def gaps_between(self, since: int, until: int) -> list[Gap]:
        """The gaps that may hide a change between two positions.

        A position stands for every moment up to the next change that is known, so a hidden one may lie there too.
        """
        before = self.changes[since - 1] if since > 0 else None
        after = self.changes[until] if until < len(self.changes) else None
        return [gap for gap in self.gaps if self._may_hide(gap, before, after)]

    def _may_hide(self, gap: Gap, before: Change | None, after: Change | None) -> bool:
        if not self.ordered:  # when the gap opened is not known, only when it was closed
            return before is None or gap.received >= before.received
        return (before is None or gap.until > before.revision) and (after is None or gap.after < after.revision)


def labels(obj: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return found


def annotations_of(obj: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def owner_uids(obj: Object) -> set[str]:
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()}


def group_of_workload(workload: Object, set_name: str) -> int | None:
    """The group's index that a Workload carries.

    Kueue before 0.17 has no annotation for it; there the name `leaderworkerset-<set>-<index>-<hash>` is read.
    """
    index = annotations_of(workload).get(GROUP_INDEX_OF_WORKLOAD)
    if index is None:
        parts = workload["metadata"]["name"].removeprefix(f"leaderworkerset-{set_name}-").split("-")
        index = parts[0] if len(parts) == 2 else ""
    return int(index) if index.isdigit() else None


def condition(obj: Object, type_: str) -> Mapping[str, Any] | None:
    """The condition of that type in an object's status."""
    for found in (obj.get("status") or {}).get("conditions") or ():
        if found["type"] == type_:
            return dict(found)
    return None


def status_of(obj: Object | None, type_: str) -> str:
    """The status of a condition, `absent` where there is none."""
    found = condition(obj, type_) if obj is not None else None
    return str(found["status"]) if found else "absent"


def is_true(obj: Object | None, type_: str) -> bool:
    """Whether the object has the condition with status True."""
    found = condition(obj, type_) if obj is not None else None
    return found is not None and found["status"] == "True"


def gates(pod: Object) -> list[str]:
    """The names of a pod's scheduling gates."""
    return [gate["name"] for gate in pod["spec"].get("schedulingGates") or ()]


def is_over(pod: Object) -> bool:
    """Whether a pod is terminating or has finished."""
    return "deletionTimestamp" in pod["metadata"] or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def describe(obj: Object) -> str:
    """`Kind namespace/name`, as messages and reports write it."""
    meta = obj["metadata"]
    return f"{obj.get('kind', '?')} {meta['namespace'] + '/' if meta.get('namespace') else ''}{meta['name']}"
