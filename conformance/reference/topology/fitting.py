"""Whether pods fit into a domain, exactly, and how they are spread in it.

A group is n workers and one leader. On a leaf, `a` workers fit, and `b` of them beside the leader, if the leader fits
there at all; its price on that leaf is a - b. A domain takes the group if and only if some leaf takes the leader and

    (sum of a) - (smallest price) >= n

which is exact since there is one leader (spec §2.5; KEP-2724 "Support for LeaderWorkerSet"). Leader and workers have
their own requests and their own filters.

Slices (KEP-2724, two-level and multi-layer topology) are counted the same way: at the level of a slice, a domain that
takes p pods takes p // size slices. If the slices do not divide the pods, what is left over is one partial slice, which
like the leader is one special thing, in one domain, at a price in whole slices there. So every domain has two numbers,
in units of pods or slices: `plain`, and `special` beside the leader or the partial slice (-1: it cannot be here).

Among domains the smallest sufficient one is taken (BestFit), ties by level values; inside, as few domains as possible
at every level, the leader beside workers where that costs nothing, so that whole hosts stay free for the next group.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from conformance.reference.model import TopologyAssignment
from conformance.reference.topology.counting import IMPOSSIBLE, Ask
from conformance.reference.topology.leaves import Leaves, Span


@dataclass(frozen=True, slots=True)
class Placement:
    """Topology assignments by podset, or a sentence that says why there are none."""

    assignments: Mapping[str, TopologyAssignment] = field(default_factory=dict)
    refusal: str = ""


@dataclass(slots=True)
class Found:
    """Pods by leaf, the leaf of the leader, and the leaves' order: a partial slice comes last, see `order`."""

    pods: dict[int, int] = field(default_factory=dict)
    leader: int | None = None
    partial: tuple[int, int] | None = None
    """Depth and place of the domain with the partial slice."""


# How much fits into domains


@dataclass(frozen=True, slots=True)
class Room:
    """`plain` and `special` of every domain, by depth; `special` is the same list where there is nothing special."""

    plain: list[list[int]]
    special: list[list[int]]
    steps: Mapping[int, tuple[int, int]]

    def carries(self, depth: int, leader: bool) -> bool:
        """Whether something special is still to be placed below a depth: the leader, or part of a partial slice."""
        return leader or any(below >= depth and rest for below, (_, rest) in self.steps.items())


def room(leaves: Leaves, plain: list[int], special: list[int], ask: Ask) -> Room:
    """How much of an ask every domain takes, from what its leaves take (`counting`)."""
    steps = ask.steps()
    plains, specials = [], []
    for depth in range(leaves.depth, -1, -1):
        if depth < leaves.depth:
            spans = leaves.spans[depth]
            rolled = [sum(plain[start:end]) for start, end in spans]
            special = rolled if special is plain else _rolled_special(spans, plain, special)
            plain = rolled
        if depth in steps:
            ratio, rest = steps[depth]
            whole = [one // ratio for one in plain]
            if rest or special is not plain:
                special = [(one - rest) // ratio if one >= rest else IMPOSSIBLE for one in special]
            else:
                special = whole
            plain = whole
        plains.append(plain)
        specials.append(special)
    return Room(plains[::-1], specials[::-1], steps)


def _rolled_special(spans: Sequence[Span], plain: Sequence[int], special: Sequence[int]) -> list[int]:
    """Of each parent: the sum of its children, less the smallest price of the special thing in one of them."""
    rolled = []
    for start, end in spans:
        prices = [plain[child] - special[child] for child in range(start, end) if special[child] >= 0]
        rolled.append(sum(plain[start:end]) - min(prices) if prices else IMPOSSIBLE)
    return rolled


# Which domain


def best(special: Sequence[int], units: int) -> int | None:
    """The smallest domain that takes everything, the first of equals; None if there is none (BestFit)."""
    sufficient = [(one, place) for place, one in enumerate(special) if one >= max(units, 0)]
    return min(sufficient)[1] if sufficient else None


def required(room: Room, depth: int, units: int) -> tuple[int, int] | None:
    """Exactly one domain of that depth, or nothing."""
    found = best(room.special[depth], units)
    return None if found is None else (depth, found)


def preferred(room: Room, depth: int, units: int) -> tuple[int, int] | None:
    """The level asked for, then each level above, at last everything together: never refused while enough is free."""
    for up in range(depth, -1, -1):
        found = best(room.special[up], units)
        if found is not None:
            return up, found
    return None


# How they are spread


def spread(leaves: Leaves, room: Room, ask: Ask, depth: int, domain: int) -> Found:
    """Pods by leaf, inside one domain that takes them all."""
    found = Found()
    leader = ask.leader is not None
    _descend(leaves, room, found, depth, domain, ask.units, leader, room.carries(depth, leader))
    return found


def _descend(
    leaves: Leaves, room: Room, found: Found, depth: int, domain: int, units: int, leader: bool, carries: bool
) -> None:
    if depth in room.steps:
        ratio, rest = room.steps[depth]
        units = units * ratio + (rest if carries else 0)
        if carries:
            found.partial = (depth, domain)
            carries = room.carries(depth + 1, leader)
    if depth == leaves.depth:
        if units:
            found.pods[domain] = units
        if leader and carries:
            found.leader = domain
        return
    start, end = leaves.spans[depth][domain]
    plain = room.plain[depth + 1][start:end]
    if carries:
        at, with_it, others = share_special(plain, room.special[depth + 1][start:end], units)
        _descend(leaves, room, found, depth + 1, start + at, with_it, leader, True)
    else:
        others = share(plain, units)
    for place, part in others:
        _descend(leaves, room, found, depth + 1, start + place, part, leader, False)


def share(plain: Sequence[int], units: int) -> list[tuple[int, int]]:
    """Units over children, as few children as possible: the biggest first, the last one the smallest sufficient."""
    ordered = sorted(range(len(plain)), key=lambda place: (-plain[place], place))
    shares: list[tuple[int, int]] = []
    for position, place in enumerate(ordered):
        if units <= 0:
            break
        if plain[place] >= units:
            last = min((plain[other], other) for other in ordered[position:] if plain[other] >= units)[1]
            return [*shares, (last, units)]
        shares.append((place, plain[place]))
        units -= plain[place]
    return shares


def share_ascending(plain: Sequence[int], units: int) -> list[tuple[int, int]]:
    """Units over leaves for pods that ask for no nearness: the smallest sufficient, else the fullest leaves first.

    That keeps large free domains for those who need them (LeastFreeCapacity, Kueue's default for unconstrained).
    """
    one = best(plain, units)
    if one is not None:
        return [(one, units)]
    shares: list[tuple[int, int]] = []
    for place in sorted(
        (place for place in range(len(plain)) if plain[place]), key=lambda place: (plain[place], place)
    ):
        part = min(units, plain[place])
        if part:
            shares.append((place, part))
            units -= part
    return shares


def share_special(plain: Sequence[int], special: Sequence[int], units: int) -> tuple[int, int, list[tuple[int, int]]]:
    """The child that takes the special thing, the units beside it there, and the shares of the other children.

    As few children as possible; then beside units rather than alone, then at the smallest price, then by order.
    """
    total = sum(plain)
    needs = _children_needed(plain)

    def cost(child: int) -> tuple[int, bool, int, int]:
        beside = special[child]
        if beside >= units:
            return 1, False, beside, child
        return 1 + needs(child, units - beside), beside == 0, plain[child] - beside, child

    possible = [child for child, beside in enumerate(special) if beside >= 0 and total - plain[child] + beside >= units]
    at = min(possible, key=cost)
    here = min(units, special[at])
    others = [0 if child == at else one for child, one in enumerate(plain)]
    return at, here, share(others, units - here)


def _children_needed(plain: Sequence[int]) -> Callable[[int, int], int]:
    """How few of the children, without a given one, take so many units."""
    ordered = sorted(range(len(plain)), key=lambda place: (-plain[place], place))
    position = {place: index for index, place in enumerate(ordered)}
    sums = [0, *accumulate(plain[place] for place in ordered)]

    def needs(without: int, units: int) -> int:
        few = bisect_left(sums, units)
        return few if few <= position[without] else bisect_left(sums, units + plain[without]) - 1

    return needs


def order(leaves: Leaves, found: Found) -> list[int]:
    """The leaves in the order in which ranks fill them: by level values, but the partial slice last.

    A partial slice before others would shift every rank after it, and slices would straddle two domains.
    """
    places = sorted(found.pods)
    if found.partial is None:
        return places
    depth, domain = found.partial
    # Everything below this domain: walk down its first and last children.
    first, last = domain, domain + 1
    for down in range(depth, leaves.depth):
        first, last = leaves.spans[down][first][0], leaves.spans[down][last - 1][1]
    path = leaves.values[first][:depth]

    def rank(place: int) -> list[tuple[bool, str]]:
        values = leaves.values[place]
        return [(values[: level + 1] == path[: level + 1], value) for level, value in enumerate(values)]

    return sorted(places, key=rank)


def assignment(leaves: Leaves, places: Sequence[int], pods: Mapping[int, int]) -> TopologyAssignment:
    """An assignment of pods to leaves, in that order."""
    return TopologyAssignment(leaves.shown, tuple((leaves.show(place), pods[place]) for place in places))
