"""Amounts of resources: Kubernetes quantities as whole thousandths, so that every sum and comparison is exact.

Rule: a quantity is a decimal number with a decimal or binary suffix or a decimal exponent; what is finer than a
thousandth is rounded up, and what is larger than the API can hold becomes the largest that it holds. Quantities are
written in canonical form: a whole number with the largest suffix that keeps it whole, binary for bytes, decimal for
everything else.

Source: Kubernetes, `apimachinery/pkg/api/resource`; Kueue writes `resourceUsage` the same way (`pkg/resources`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import ceil
from typing import Final

from conformance.quantities import parse_quantity
from conformance.reference.model import Amounts

UNIT: Final = 1000
"""One unit of a resource (a core, a byte, a device, a pod), in thousandths."""
LARGEST: Final = (2**63 - 1) * UNIT
"""The API clamps every quantity to 64 bits of whole units."""

_DECIMAL: Final = ("", "k", "M", "G", "T", "P", "E")
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_BYTES: Final = ("memory", "ephemeral-storage", "storage")
_BYTES_PREFIX: Final = "hugepages-"
_HUGE_EXPONENT = re.compile(r"[eE](?P<sign>[+-]?)0*[1-9][0-9]{2,}$")


def parse(text: str | int | float) -> int:
    """The amount that a quantity stands for, in thousandths, rounded up.

    Raises ValueError if it is no quantity: the patterns of the CRDs let through some that are none (`1e1.5`).
    """
    return _parse(str(text))


@lru_cache(maxsize=8192)
def _parse(text: str) -> int:
    # The value of `1e1000000` has a million digits, and one object of a tenant must not stall a pass for the others.
    huge = _HUGE_EXPONENT.search(text)
    if huge is not None:
        mantissa = parse_quantity(text[: huge.start()])
        if huge["sign"] == "-":
            return 1 if mantissa > 0 else 0
        return 0 if mantissa == 0 else LARGEST if mantissa > 0 else -LARGEST
    return max(-LARGEST, min(LARGEST, ceil(parse_quantity(text) * UNIT)))


def parse_all(quantities: Mapping[str, str | int | float]) -> dict[str, int]:
    """A resource list as amounts. Raises ValueError that names the resource which is written wrongly."""
    amounts: dict[str, int] = {}
    for resource, text in quantities.items():
        try:
            amounts[resource] = _parse(str(text))
        except ValueError as error:
            raise ValueError(f"{resource}: {error}") from None
    return amounts


def show(resource: str, amount: int) -> str:
    """The amount as a canonical quantity: `1500m`, `2`, `3k`, `64Gi`."""
    if amount % UNIT:
        return f"{amount}m"
    whole = amount // UNIT
    binary = resource in _BYTES or resource.startswith(_BYTES_PREFIX)
    base, suffixes = (1024, _BINARY) if binary else (1000, _DECIMAL)
    step = 0
    while whole and whole % base == 0 and step + 1 < len(suffixes):
        whole //= base
        step += 1
    return f"{whole}{suffixes[step]}"


def show_all(amounts: Amounts) -> dict[str, str]:
    """A resource list, sorted by resource."""
    return {resource: show(resource, amounts[resource]) for resource in sorted(amounts)}


def add(*parts: Amounts) -> dict[str, int]:
    """The sum, resource by resource."""
    return total(parts)


def total(parts: Iterable[Amounts]) -> dict[str, int]:
    """The sum of any number of amounts, resource by resource."""
    summed: dict[str, int] = {}
    for part in parts:
        for resource, amount in part.items():
            summed[resource] = summed.get(resource, 0) + amount
    return summed


def larger(*parts: Amounts) -> dict[str, int]:
    """The largest of the amounts, resource by resource; a resource that one of them lacks counts as 0 there."""
    largest: dict[str, int] = {}
    for part in parts:
        for resource, amount in part.items():
            largest[resource] = max(largest.get(resource, 0), amount)
    return largest


def times(amounts: Amounts, count: int) -> dict[str, int]:
    """That much for each of `count` pods."""
    return {resource: amount * count for resource, amount in amounts.items()}
