"""Faults of fitting: what a domain holds, which domain is taken, and how a group is spread in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as changed

from conformance.faults.model import fault, replace
from conformance.reference.model import Amounts, PodSet, TopologyRequest
from conformance.reference.topology import counting, fitting, placing
from conformance.reference.topology.counting import IMPOSSIBLE, Ask, Free, Mask
from conformance.reference.topology.fitting import Room
from conformance.reference.topology.leaves import Leaves, Span
from conformance.reference.topology.placing import Unit

# Which domain


@fault(
    "A group that fits in no domain of the level that it requires is spread over several.",
    caught={
        "TAS-03": "no_quota_reserved",
        "TAS-29": "kueue_gated",
        "V2": "gated",
        "V19": "gated",
        "V6r": "gated",
        "V10": "gated",
        "V11": "gated",
        "V18": "gated",
        "I3": "I3",
    },
)
def required_as_preferred() -> None:
    replace(fitting, "required", fitting.preferred)


@fault(
    "A group that does not fit in the domain that it prefers waits for one.",
    caught={"V7": "running"},
)
def preferred_as_required() -> None:
    replace(fitting, "preferred", fitting.required)


@fault(
    "Where no rack is large enough for a group that requires one, a whole block is taken.",
    caught={"TAS-03": "no_quota_reserved", "V2": "gated", "V6r": "gated", "V19": "gated", "I3": "I3"},
)
def block_for_rack() -> None:
    one_domain = fitting.required

    def required(room: Room, depth: int, units: int) -> tuple[int, int] | None:
        found = one_domain(room, depth, units)
        return found if found is not None or depth < 2 else one_domain(room, depth - 1, units)

    replace(fitting, "required", required)


@fault(
    "The pods of a group are spread evenly over all domains, whichever level it requires.",
    caught={
        "TAS-01": "whole_group_in_one_rack",
        "TAS-02": "groups_in_different_racks",
        "TAS-05": "placed_as",
        "TAS-14": "in_rack",
        "TAS-19": "groups_in_different_racks",
        "TAS-27": "in_rack",
        "V1": "placed_as",
        "V2": ("gated", "in_rack"),
        "V3": "groups_in_different_racks",
        "V4": "assigned_as",
        "V4b": "assigned_as",
        "V6": "assigned_as",
        "V6c": "assigned_as",
        "V8": "assigned_as",
        "V12": "assigned_as",
        "V13": "assigned_as",
        "V15": "assigned_as",
        "V16": "assigned_as",
        "V17": "assigned_as",
        "V18": "assigned_as",
        "V22": "placed_as",
        "I3": "I3",
    },
)
def required_as_spread() -> None:
    def required(room: Room, depth: int, units: int) -> tuple[int, int] | None:
        return None if fitting.best(room.special[0], units) is None else (0, 0)

    def share(plain: Sequence[int], units: int) -> list[tuple[int, int]]:
        return [(place, part) for place, part in enumerate(_evenly(plain, units)) if part]

    def share_special(
        plain: Sequence[int], special: Sequence[int], units: int
    ) -> tuple[int, int, list[tuple[int, int]]]:
        left = sum(plain)
        at = next(
            child
            for child, beside in reversed(list(enumerate(special)))
            if beside >= 0 and left - plain[child] + beside >= units
        )
        parts = _evenly([special[at] if child == at else one for child, one in enumerate(plain)], units)
        return at, parts[at], [(child, part) for child, part in enumerate(parts) if part and child != at]

    replace(fitting, "required", required)
    replace(fitting, "share", share)
    replace(fitting, "share_special", share_special)


def _evenly(plain: Sequence[int], units: int) -> list[int]:
    """Units over children, one to each in turn."""
    parts = [0] * len(plain)
    while units > 0 and any(part < most for part, most in zip(parts, plain, strict=True)):
        for place, most in enumerate(plain):
            if units > 0 and parts[place] < most:
                parts[place] += 1
                units -= 1
    return parts


@fault(
    "The leader of a podset group is placed for itself, in another rack than its workers if that suits it.",
    caught={
        "TAS-05": "placed_as",
        "V4": "assigned_as",
        "V11": "gated",
        "V13": "assigned_as",
        "V15": "assigned_as",
        "V18": "gated",
        "I3": "I3",
    },
    upstream="https://github.com/kubernetes-sigs/kueue/pull/5845",
)
def leader_placed_alone() -> None:
    asked = placing.request_of

    def request_of(podset: PodSet, implied: bool) -> TopologyRequest | None:
        request = asked(podset, implied)
        return None if request is None else changed(request, group="")

    replace(placing, "request_of", request_of)


# How much fits


@fault(
    "The room that the leader takes is not taken from its workers.",
    caught={"V4": ("assigned_as", "running"), "V5": ("assigned_as", "running"), "I2": "I2"},
)
def leader_not_counted() -> None:
    def fitting_beside(free: Free, requests: Amounts, leader: Amounts, leaves: int, mask: Mask) -> list[int]:
        return counting.fitting(free, requests, leaves, mask)

    replace(counting, "fitting_beside", fitting_beside)


@fault(
    "The leader is counted as one more worker, whatever it asks for itself.",
    caught={"V5": "running", "V15": "running", "V17": "running"},
)
def leader_counted_as_worker() -> None:
    def fitting_beside(free: Free, requests: Amounts, leader: Amounts, leaves: int, mask: Mask) -> list[int]:
        return [one - 1 for one in counting.fitting(free, requests, leaves, mask)]

    replace(counting, "fitting_beside", fitting_beside)


@fault(
    "The leader is counted on the first host that it fits on, where it may take a worker's place for nothing.",
    caught={"V5": "running"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/13766",
)
def leader_takes_a_workers_place() -> None:
    def rolled(spans: Sequence[Span], plain: Sequence[int], special: Sequence[int]) -> list[int]:
        sums = []
        for start, end in spans:
            prices = [plain[child] - special[child] for child in range(start, end) if special[child] >= 0]
            sums.append(sum(plain[start:end]) - prices[0] if prices else IMPOSSIBLE)
        return sums

    replace(fitting, "_rolled_special", rolled)


@fault(
    "A pod is counted on what is left of a host although that is not enough for it.",
    caught={"V9": "gated", "I2": "I2"},
)
def remainders_counted() -> None:
    def fits(free: Free, requests: Amounts, leaves: int, mask: Mask) -> list[int]:
        number = [IMPOSSIBLE] * leaves
        for resource, amount in requests.items():
            if amount > 0:
                column = [-(-have // amount) for have in free.get(resource, [0] * leaves)]
                number = [have if one < 0 else min(one, have) for one, have in zip(number, column, strict=True)]
        open_ = [True] * leaves if mask is None else mask
        return [max(one, 0) if may else 0 for one, may in zip(number, open_, strict=True)]

    replace(counting, "fitting", fits)


@fault(
    "Slices are torn over hosts.",
    caught={"V21": "in_slices"},
)
def slices_torn() -> None:
    whole = placing.asked

    def asked(tree: Leaves, unit: Unit) -> tuple[Ask, int, str]:
        ask, depth, refusal = whole(tree, unit)
        return changed(ask, layers=()), depth, refusal

    replace(placing, "asked", asked)
