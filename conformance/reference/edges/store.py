"""What is known of the cluster right now, indexed as a pass needs it, and what is being written to it.

A pass reads the store's own mappings (nothing is copied): it runs without a pause, so nothing changes under it. Three
sources change the store: events, answers to our writes (taken at once if newer, so that the next pass does not wait for
the watch), and expectations. While a write is on its way, its object is seen as it is to become, and nothing more is
written to it. Only a reservation that is given up is seen until the end of that is confirmed.

Webhooks see what is *confirmed*: a pod must not be born without gates on the strength of an admission that the API
server may yet refuse.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from conformance.names import Kind
from conformance.reference.edges.pods_known import PodsKnown
from conformance.reference.model import Key, Snapshot, Workload
from conformance.reference.writes import Request
from conformance.watching import Item, Missed, Seen

_PLAIN: Final = {
    "LeaderWorkerSet": "sets",
    "Node": "nodes",
    "ClusterQueue": "cluster_queues",
    "Cohort": "cohorts",
    "LocalQueue": "local_queues",
    "ResourceFlavor": "flavors",
    "Topology": "topologies",
    "AdmissionCheck": "checks",
    "WorkloadPriorityClass": "workload_priorities",
    "PriorityClass": "pod_priorities",
    "Namespace": "namespaces",
    "LimitRange": "limit_ranges",
    "RuntimeClass": "overheads",
}
"""Kinds of which only the latest value by key counts, and their field of the snapshot."""
_PLACES: Final = frozenset({"Node", "ResourceFlavor", "Topology"})

Where = tuple[str, Key]
"""Kind, and namespace (empty for cluster-scoped kinds) and name."""


@dataclass(slots=True)
class _Flight:
    """A write that is under way. `waiting`: it was answered, but what it led to is still to be seen by the watch."""

    base: Any
    revision: int
    overlaid: bool
    waiting: bool = False
    gone: int = 0
    """The revision at which the object was deleted meanwhile."""


class Store:
    """The state of everything that one instance manages."""

    def __init__(self) -> None:
        self._plain: dict[str, dict[Any, Any]] = {kind: {} for kind in _PLAIN}
        self._workloads: dict[Key, Workload] = {}
        self._confirmed: dict[Key, Workload] = {}
        self._owned: dict[str, frozenset[Key]] = {}
        self._pods = PodsKnown()
        self._revisions: dict[Where, tuple[int, str]] = {}
        """Revision and UID of what is known of each object."""
        self._only_answered: dict[Where, int] = {}
        """Objects that no watch has told yet, known from the answer to their creation, with their revision."""
        self._flights: dict[Where, _Flight] = {}
        self._places_version = 0

    def snapshot(self) -> Snapshot:
        """Everything as it is to become when the writes under way succeed, reservations kept; valid until a change."""
        return self._snapshot(self._workloads)

    def confirmed(self) -> Snapshot:
        """As `snapshot`, but no Workload is admitted in it that the API server has not said is admitted."""
        return self._snapshot(self._confirmed)

    def _snapshot(self, workloads: dict[Key, Workload]) -> Snapshot:
        plain = {field: self._plain[kind] for kind, field in _PLAIN.items()}
        return Snapshot(
            workloads=workloads,
            owned=self._owned,
            pods=self._pods.groups,
            foreign=self._pods.foreign,
            places_version=self._places_version + self._pods.version,
            **plain,
        )

    def told(self, kind: Kind, changes: Iterable[Seen[Any] | Missed]) -> bool:
        """Take what an informer learnt; whether a pass is due."""
        due = False
        for change in changes:
            if isinstance(change, Seen):
                take = self._vanished if change.type == "DELETED" else self._became
                due = take(kind.name, change.item) or due
                self._only_answered.pop((kind.name, (change.item.namespace, change.item.name)), None)
            else:
                due = self._missed(kind.name, change) or due
        return due

    def _missed(self, kind: str, missed: Missed) -> bool:
        """A list takes the place of a watch. It does not tell the end of what the watch never told: forget that.

        What of it exists is told next.
        """
        unknown = [where for where, at in self._only_answered.items() if where[0] == kind and at <= missed.until]
        for where in unknown:
            del self._only_answered[where]
            self._drop(where)
        return bool(unknown)

    def forget(self, kind: Kind, namespace: str) -> bool:
        """A namespace is no longer ours: forget what is in it, whether or not it still exists."""
        gone = [where for where in self._revisions if where[0] == kind.name and where[1][0] == namespace]
        for where in gone:
            self._drop(where)
        for (of, (inside, _)), flight in self._flights.items():
            if of == kind.name and inside == namespace:
                flight.gone, flight.overlaid = sys.maxsize, False
        return bool(gone)

    # Writes under way

    def in_flight(self, kind: str, key: Key) -> bool:
        return (kind, key) in self._flights

    def flights(self) -> int:
        return len(self._flights)

    def expect(self, request: Request) -> None:
        """A write is on its way: from now on its object is seen as it is to become, except as `gives_up` says."""
        where = (request.kind, (request.namespace, request.name))
        base = self._value(where)
        revision = self._revisions.get(where, (0, ""))[0]
        overlaid = request.expected is not None and base is not None
        self._flights[where] = _Flight(base, revision, overlaid)
        if overlaid:
            self._overlay(where, base, request.expected)

    def written(self, request: Request) -> Any:
        """The object as it was when the write under way was sent; None if it is to be created."""
        flight = self._flights.get((request.kind, (request.namespace, request.name)))
        return None if flight is None else flight.base

    def changed_nothing(self, request: Request, became: Item[Any]) -> bool:
        """Whether a write left its object as it was: the API server keeps the revision then."""
        flight = self._flights.get((request.kind, (request.namespace, request.name)))
        return flight is not None and flight.revision == became.revision

    def answered(self, request: Request, became: Item[Any] | None) -> bool:
        """A write succeeded. `became` is the object after it; None if it is for the watch to tell (a deletion).

        Whether the object may be written again: if not, `released` is to be called after some time at the latest.
        """
        where = (request.kind, (request.namespace, request.name))
        flight = self._flights.get(where)
        if became is None:
            return self._wait(where, flight)
        if flight is None or became.revision > flight.gone:
            if where not in self._revisions:
                self._only_answered[where] = became.revision
            self._became(request.kind, became)
        self._end(where)
        return True

    def failed(self, request: Request, *, stale: bool) -> bool:
        """A write failed. `stale`: because our picture of the object is old (then the watch will tell).

        Whether the object may be written again, as for `answered`.
        """
        where = (request.kind, (request.namespace, request.name))
        flight = self._flights.get(where)
        if flight is not None and flight.overlaid:
            flight.overlaid = False
            self._put(where, flight.base)
        if stale:
            return self._wait(where, flight)
        self._end(where)
        return True

    def unclear(self, request: Request) -> bool:
        """Nobody knows whether a write was done: it goes on being expected, until the watch tells or `released`.

        Were it forgotten at once, quota that it may have taken would be given to somebody else.
        Whether the object may be written again, as for `answered`.
        """
        where = (request.kind, (request.namespace, request.name))
        return self._wait(where, self._flights.get(where))

    def missing(self, request: Request) -> None:
        """The API server does not know an object that we know; an answer may have told us what no watch ever did."""
        where = (request.kind, (request.namespace, request.name))
        flight = self._flights.pop(where, None)
        if flight is not None and self._revisions.get(where, (0, ""))[0] == flight.revision:
            self._drop(where)

    def released(self, kind: str, key: Key) -> bool:
        """What was waited for did not come: let the object be written again. Whether that was needed."""
        flight = self._flights.get((kind, key))
        if flight is None or not flight.waiting:
            return False
        self._end((kind, key))
        return True

    def _wait(self, where: Where, flight: _Flight | None) -> bool:
        """Let the watch end the flight; whether it has already told something newer."""
        if flight is None or self._revisions.get(where, (0, ""))[0] != flight.revision:
            self._end(where)
            return True
        flight.waiting = True
        return False

    def _end(self, where: Where) -> None:
        flight = self._flights.pop(where, None)
        if flight is not None and flight.overlaid:
            self._put(where, flight.base)

    def _overlay(self, where: Where, base: Any, expected: Any) -> None:
        kind, key = where
        if kind == "Pod":
            self._pods.put(key, expected)
        elif kind == "Workload":
            if not gives_up(base, expected):
                self._workloads[key] = expected
            if not expected.admitted or base.admitted:
                self._confirmed[key] = expected

    # Values

    def _became(self, kind: str, item: Item[Any]) -> bool:
        where = (kind, (item.namespace, item.name))
        known, _ = self._revisions.get(where, (0, ""))
        if item.revision <= known:
            return False
        flight = self._flights.get(where)
        # With a write under way, what is compared with is what was there before: our own value is only expected.
        before = self._value(where) if flight is None or not flight.overlaid else flight.base
        self._revisions[where] = (item.revision, item.uid)
        released = self._superseded(where, flight)
        self._put(where, item.object)
        return released or flight is not None or _differs(before, item.object)

    def _superseded(self, where: Where, flight: _Flight | None) -> bool:
        """An event newer than what a write was based on: the expectation is over. Whether a wait ended."""
        if flight is None:
            return False
        flight.overlaid = False
        if flight.waiting:
            del self._flights[where]
            return True
        return False

    def _vanished(self, kind: str, item: Item[Any]) -> bool:
        where = (kind, (item.namespace, item.name))
        known, uid = self._revisions.get(where, (0, ""))
        if item.revision < known or (uid and uid != item.uid):
            return False
        flight = self._flights.get(where)
        if flight is not None:
            flight.gone = item.revision
            self._superseded(where, flight)
        return self._drop(where)

    def _drop(self, where: Where) -> bool:
        self._revisions.pop(where, None)
        there = self._value(where) is not None
        if there:
            self._put(where, None)
        return there

    def _value(self, where: Where) -> Any:
        kind, key = where
        if kind == "Pod":
            return self._pods.get(key)
        if kind == "Workload":
            return self._workloads.get(key)
        return self._plain[kind].get(_plain_key(key))

    def _put(self, where: Where, value: Any) -> None:
        kind, key = where
        if kind == "Pod":
            self._pods.put(key, value)
        elif kind == "Workload":
            self._put_workload(key, value)
        else:
            self._put_plain(kind, _plain_key(key), value)

    def _put_plain(self, kind: str, key: Any, value: Any) -> None:
        known = self._plain[kind]
        if kind in _PLACES and known.get(key) != value:
            self._places_version += 1
        if value is None:
            known.pop(key, None)
        else:
            known[key] = value

    def _put_workload(self, key: Key, workload: Workload | None) -> None:
        before = self._workloads.get(key)
        was, now = before.owner if before is not None else "", workload.owner if workload is not None else ""
        if was != now:
            if was:
                self._own(was, self._owned[was] - {key})
            if now:
                self._own(now, self._owned.get(now, frozenset()) | {key})
        for known in (self._workloads, self._confirmed):
            if workload is None:
                known.pop(key, None)
            else:
                known[key] = workload

    def _own(self, owner: str, keys: frozenset[Key]) -> None:
        if keys:
            self._owned[owner] = keys
        else:
            self._owned.pop(owner, None)


def gives_up(base: Workload, expected: Workload) -> bool:
    """Whether a write ends a reservation. Until that is confirmed it is not seen, so nobody else gets what it holds:

    the write may yet be refused, and then two would hold the same quota or places.
    """
    return base.reserves and not expected.reserves


def _plain_key(key: Key) -> Any:
    """As the snapshot's mappings have it: cluster-scoped objects by their name alone."""
    return key if key[0] else key[1]


def _differs(before: Any, after: Any) -> bool:
    """Whether anything that decides is different; a new revision alone (a heartbeat, an address) is not."""
    if before is None:
        return True
    if hasattr(before, "revision"):
        return bool(replace(before, revision=after.revision) != after)
    return bool(before != after)
