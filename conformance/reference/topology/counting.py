"""How many pods each leaf takes: with no leader there, and beside the leader.

A pod fits where every resource that it asks for is free, pod slots included, and where its filters let it. A resource
that a node does not declare is not there (spec §1.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from conformance.reference.model import Amounts

IMPOSSIBLE: Final = -1
"""The number of pods beside a leader that cannot be there."""
Mask = list[bool] | None
Free = Mapping[str, Sequence[int]]
"""By resource, of each leaf."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Pods of one shape, with one leader or none, that are placed together. Layers and a leader exclude each other."""

    pods: int
    requests: Amounts
    mask: Mask = None
    leader: Amounts | None = None
    leader_mask: Mask = None
    layers: tuple[tuple[int, int], ...] = ()
    """Slices: (depth, size), from the coarsest to the finest."""

    @property
    def units(self) -> int:
        """Whole slices of the coarsest layer; pods where there are no slices."""
        return self.pods // self.layers[0][1] if self.layers else self.pods

    def steps(self) -> dict[int, tuple[int, int]]:
        """By depth of a layer: how many units of the next finer one make one, and how many are in the partial slice."""
        steps: dict[int, tuple[int, int]] = {}
        rest = self.pods
        for (depth, size), finer in zip(self.layers, [*(size for _, size in self.layers[1:]), 1], strict=False):
            rest %= size
            steps[depth] = (size // finer, rest // finer)
        return steps

    def key(self) -> object:
        """Equal for asks that every leaf answers equally, while they are kept (masks are known by identity)."""
        leader = None if self.leader is None else tuple(self.leader.items())
        return tuple(self.requests.items()), id(self.mask), leader, id(self.leader_mask)

    def on(self, places: Sequence[int]) -> Ask:
        """The same of some leaves alone."""
        mask = None if self.mask is None else [self.mask[place] for place in places]
        leader_mask = None if self.leader_mask is None else [self.leader_mask[place] for place in places]
        return replace(self, mask=mask, leader_mask=leader_mask)


def counted(free: Free, ask: Ask, leaves: int) -> tuple[list[int], list[int]]:
    """Of each leaf: the pods it takes, and those beside a leader, `IMPOSSIBLE` where the leader cannot be.

    Without a leader the two are the same list.
    """
    plain = fitting(free, ask.requests, leaves, ask.mask)
    if ask.leader is None:
        return plain, plain
    beside = fitting_beside(free, ask.requests, ask.leader, leaves, ask.mask)
    takes = takes_leader(free, ask.leader, leaves, ask.leader_mask)
    return plain, [one if fits else IMPOSSIBLE for one, fits in zip(beside, takes, strict=True)]


def fitting(free: Free, requests: Amounts, leaves: int, mask: Mask) -> list[int]:
    """How many pods fit on each leaf; a resource that a node does not declare is not there."""
    number: list[int] | None = None
    for resource, amount in requests.items():
        if amount > 0:
            column = [have // amount for have in free.get(resource, [0] * leaves)]
            number = column if number is None else list(map(min, number, column))
    return _masked([0] * leaves if number is None else number, mask)


def fitting_beside(free: Free, requests: Amounts, leader: Amounts, leaves: int, mask: Mask) -> list[int]:
    """How many pods fit on each leaf beside a leader, wherever the leader itself may go."""
    less = {
        resource: [have - leader.get(resource, 0) for have in free.get(resource, [0] * leaves)]
        for resource, amount in requests.items()
        if amount > 0
    }
    return fitting(less, requests, leaves, mask)


def takes_leader(free: Free, leader: Amounts, leaves: int, mask: Mask) -> list[bool]:
    """Whether the leader fits on each leaf."""
    takes = [True] * leaves if mask is None else list(mask)
    for resource, amount in leader.items():
        if amount > 0:
            takes = [
                fits and have >= amount for fits, have in zip(takes, free.get(resource, [0] * leaves), strict=True)
            ]
    return takes


def _masked(number: list[int], mask: Mask) -> list[int]:
    if mask is None:
        return [one if one > 0 else 0 for one in number]
    return [one if one > 0 and open_ else 0 for one, open_ in zip(number, mask, strict=True)]


@dataclass(slots=True)
class Kept:
    """The counts of one ask, and how many changes of the free amounts they know of."""

    ask: Ask
    plain: list[int]
    special: list[int]
    seen: int


class Stock:
    """What is free on the leaves of one flavor, with counts that follow it: a change touches few leaves."""

    def __init__(self, free: dict[str, list[int]], leaves: int) -> None:
        self.free: Final = free
        self._leaves = leaves
        self._changed: list[int] = []
        self._kept: dict[object, Kept] = {}

    def subtract(self, leaf: int, amounts: Sequence[tuple[str, int]], sign: int = 1) -> None:
        """Take amounts of a leaf, or with -1 give them back. What no node declares is not counted."""
        self._changed.append(leaf)
        for resource, amount in amounts:
            column = self.free.get(resource)
            if column is not None:
                column[leaf] -= sign * amount

    def counts(self, ask: Ask) -> tuple[list[int], list[int]]:
        """As `counted`, for an ask that comes again and again; the lists change with the stock."""
        key = ask.key()
        kept = self._kept.get(key)
        if kept is None or len(self._changed) - kept.seen > self._leaves:
            kept = Kept(ask, *counted(self.free, ask, self._leaves), len(self._changed))
            self._kept[key] = kept
        elif kept.seen < len(self._changed):
            self._follow(kept)
        return kept.plain, kept.special

    def _follow(self, kept: Kept) -> None:
        places = sorted(set(self._changed[kept.seen :]))
        asked = {*kept.ask.requests, *(kept.ask.leader or ())}
        free = {name: [column[place] for place in places] for name, column in self.free.items() if name in asked}
        plain, special = counted(free, kept.ask.on(places), len(places))
        for place, one, other in zip(places, plain, special, strict=True):
            kept.plain[place] = one
            kept.special[place] = other
        kept.seen = len(self._changed)
