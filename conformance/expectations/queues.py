"""Expectations about a ClusterQueue's or LocalQueue's status: what it counts and what it charges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from conformance.expectations.model import Observation, expectation, parametrized, seen
from conformance.expectations.subjects import Queue
from conformance.names import GPU
from conformance.quantities import parse_quantity

_SHORT = {"gpu": GPU}


def _totals(queue: Queue, field: str, part: str = "total") -> dict[str, Fraction]:
    totals: dict[str, Fraction] = {}
    status = (queue.object or {}).get("status") or {}
    for flavor in status.get(field) or ():
        for resource in flavor.get("resources") or ():
            total = Fraction(parse_quantity(resource.get(part, "0")))
            totals[resource["name"]] = totals.get(resource["name"], Fraction(0)) + total
    return totals


def _amounts(field: str, wanted: dict[str, str], part: str = "total") -> Callable[[Queue], Iterable[Observation]]:
    where = "" if part == "total" else f".{part}"

    def check(queue: Queue) -> Iterator[Observation]:
        if queue.object is None or "status" not in queue.object:
            return
        totals = _totals(queue, field, part)
        for short, amount in sorted(wanted.items()):
            resource = _SHORT.get(short, short)
            found = totals.get(resource, Fraction(0))
            yield seen(
                queue.object,
                f"status.{field}[{resource}]{where}",
                amount,
                _plain(found),
                found == parse_quantity(amount),
            )

    return check


def _plain(amount: Fraction) -> str:
    return str(amount.numerator) if amount.denominator == 1 else f"{float(amount) * 1000:g}m"


@parametrized
def usage(**amounts: str) -> Callable[[Queue], Iterable[Observation]]:
    """The queue's usage, summed over its flavors, is exactly this; `gpu` stands for nvidia.com/gpu."""
    return _amounts("flavorsUsage", amounts)


@parametrized
def reserved(**amounts: str) -> Callable[[Queue], Iterable[Observation]]:
    """The queue's reservations, summed over its flavors, are exactly this; `gpu` stands for nvidia.com/gpu."""
    return _amounts("flavorsReservation", amounts)


@parametrized
def borrowed(**amounts: str) -> Callable[[Queue], Iterable[Observation]]:
    """What the queue uses above its nominal quota, as it says itself, is exactly this; summed over its flavors."""
    return _amounts("flavorsUsage", amounts, "borrowed")


@parametrized
def counts(**wanted: int) -> Callable[[Queue], Iterable[Observation]]:
    """The queue counts exactly this many groups as `pending`, `reserving` and `admitted`."""

    def check(queue: Queue) -> Iterator[Observation]:
        status = (queue.object or {}).get("status")
        if queue.object is not None and status is not None:
            for name, count in sorted(wanted.items()):
                yield seen(queue.object, f"status.{name}Workloads", count, status.get(f"{name}Workloads", 0))

    return check


@expectation
def released(queue: Queue) -> Iterator[Observation]:
    """The queue's usage and reservations are zero, and it counts no group."""
    status = (queue.object or {}).get("status")
    if queue.object is not None and status is not None:
        for field in ("flavorsUsage", "flavorsReservation"):
            for resource, total in sorted(_totals(queue, field).items()):
                yield seen(queue.object, f"status.{field}[{resource}]", "0", _plain(total))
        for name in ("pending", "reserving", "admitted"):
            yield seen(queue.object, f"status.{name}Workloads", 0, status.get(f"{name}Workloads", 0))
