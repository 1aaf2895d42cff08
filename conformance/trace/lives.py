"""The life of every object in a history: all its states, when each was in force, and how sure that order is.

Claims look at the whole world at one position after another; invariants follow single objects (a pod, a Workload) and
ask what else was in force around one of their changes. Where the cluster gives no order across kinds, and where a watch
was interrupted, this module says how far a position can be trusted. What anything means is not known here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from conformance.trace.history import History, describe
from conformance.trace.records import Change, Gap, Object

T = TypeVar("T")


class Life:
    """One object (one UID): `states[i]` is in force from `positions[i]` on, the last one until `gone`, if it went."""

    __slots__ = ("gone", "kind", "name", "positions", "states", "uid")

    def __init__(self, change: Change) -> None:
        self.kind, self.name, self.uid = change.kind, change.name, change.uid
        self.positions: list[int] = []
        self.states: list[Object] = []
        self.gone: int | None = None

    @property
    def born(self) -> int:
        return self.positions[0]

    @property
    def last(self) -> Object:
        """Its last state, whether it still exists or not."""
        return self.states[-1]

    @property
    def title(self) -> str:
        """`Kind namespace/name`."""
        return describe(self.last | {"kind": self.kind})

    def at(self, position: int) -> Object | None:
        """The state in force at a position; None before it was born and from its deletion on."""
        if self.gone is not None and position >= self.gone:
            return None
        index = bisect_right(self.positions, position) - 1
        return self.states[index] if index >= 0 else None

    def known_at(self, position: int) -> Object:
        """As `at`, but the nearest state there is where it does not exist: for what does not end with the object."""
        return self.states[max(bisect_right(self.positions, position) - 1, 0)]

    def between(self, since: int, until: int) -> list[Object]:
        """The states in force at any position from `since` to `until`, both included."""
        first = max(bisect_right(self.positions, since) - 1, 0)
        found = self.states[first : bisect_right(self.positions, until)]
        return [] if self.gone is not None and self.gone <= since else found

    def steps(self) -> Iterator[tuple[int, Object | None, Object]]:
        """Every state with its position and the state before it."""
        before: Object | None = None
        for position, state in zip(self.positions, self.states, strict=True):
            yield position, before, state
            before = state


class Lives:
    """The lives of all objects of a history, Events left out."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._ordered = history.ordered
        self._received = [change.received for change in history.changes]
        self._by_kind: dict[str, list[Life]] = {}
        self._by_uid: dict[str, Life] = {}
        for position, change in enumerate(history.changes, start=1):
            if change.kind != "Event":
                self._append(position, change)
        self._gaps = [self._span(gap) for gap in history.gaps]
        self._moments = sorted((history.position_of(moment), name) for name, moment in history.moments.items())
        told = history.fences.get("told")
        self._told = history.position_of(told) if told is not None else None

    def _append(self, position: int, change: Change) -> None:
        life = self._by_uid.get(change.uid)
        if life is None:
            life = self._by_uid[change.uid] = Life(change)
            self._by_kind.setdefault(change.kind, []).append(life)
        if change.type == "DELETED":
            life.gone = position
        if change.type != "DELETED" or not life.states:
            life.positions.append(position)
            life.states.append(change.object)

    @property
    def end(self) -> int:
        """The position after the last change."""
        return len(self._received)

    def of(self, kind: str) -> list[Life]:
        """The lives of a kind, in the order of birth."""
        return self._by_kind.get(kind, [])

    def by_uid(self, uid: str) -> Life | None:
        return self._by_uid.get(uid)

    def named(self, kind: str, name: str, position: int) -> Object | None:
        """The object of that name at a position, or else the nearest one that had the name."""
        found = [life for life in self.of(kind) if life.name == name]
        present = next((state for life in found if (state := life.at(position)) is not None), None)
        if present is not None or not found:
            return present
        return max(found, key=lambda life: (life.born <= position, life.born)).known_at(position)

    def present(self, kind: str, position: int) -> list[Object]:
        """The objects of a kind that exist at a position."""
        return [state for life in self.of(kind) if (state := life.at(position)) is not None]

    def moment_at(self, position: int) -> str:
        """The last moment that the story had marked by then; `clean-up` after the story's end."""
        if self._told is not None and position > self._told:
            return "clean-up"
        return max(((at, name) for at, name in self._moments if at <= position), default=(0, ""))[1]

    # How far an order can be trusted

    def earliest(self, position: int) -> int:
        """The earliest position whose state may still have been in force when this change happened.

        That is the position itself, except without an order across kinds: there whatever was received less than the
        watch lag before may in truth have come after.
        """
        if self._ordered or position <= 0:
            return position
        return min(position, bisect_left(self._received, self._received[position - 1] - self.history.lag))

    def surely_before(self, position: int) -> int:
        """The last position that surely lies before this change."""
        return position - 1 if self._ordered else min(position - 1, self.earliest(position))

    def latest(self, position: int) -> int:
        """The last position whose change may in truth have come before this one."""
        if self._ordered or position <= 0:
            return position
        return max(position, bisect_right(self._received, self._received[position - 1] + self.history.lag))

    def lasting(self, position: int, violated: Callable[[int], T | None]) -> T | None:
        """What is violated at a position, if it still is at every position within the watch lag; else None.

        With an order across kinds there is nothing to wait for: one state is enough.
        """
        found = violated(position)
        if found is None:
            return None
        later = (violated(at) for at in range(position + 1, self.latest(position) + 1))
        return None if any(still is None for still in later) else found

    def hidden(self, kinds: Iterable[str], since: int, until: int) -> bool:
        """Whether an interrupted watch may have lost a change of these kinds between two positions."""
        first, last = self._mark(since), self._mark(until)
        return any(kind in kinds and begins < last and ends > first for kind, begins, ends in self._gaps)

    def _mark(self, position: int) -> float:
        if position <= 0:
            return float("-inf")
        change = self.history.changes[min(position, self.end) - 1]
        return change.revision if self._ordered else change.received

    def _span(self, gap: Gap) -> tuple[str, float, float]:
        if self._ordered:
            return gap.kind, gap.after, gap.until
        known = (c.received for c in self.history.changes if c.kind == gap.kind and c.revision <= gap.after)
        return gap.kind, max(known, default=float("-inf")), gap.received
