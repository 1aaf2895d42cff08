"""Kubernetes quantities (`100m`, `1Gi`, `1e3`), read exactly: shared by whoever counts resources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Final

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[KMGTPE]i|[numkMGTPE])?)"
)
_SUFFIXES: Final[Mapping[str, Fraction]] = {
    "": Fraction(1),
    **{
        suffix: Fraction(10) ** power
        for suffix, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def parse_quantity(written: str | int | float) -> Fraction:
    """The exact value of a Kubernetes quantity (`100m`, `1`, `1Gi`, `1e3`, or a number as YAML reads it).

    Raises ValueError.
    """
    return _parse(str(written))


@lru_cache(maxsize=4096)
def _parse(written: str) -> Fraction:
    match = _QUANTITY.fullmatch(written)
    if match is None:
        raise ValueError(f"{written!r} is not a Kubernetes quantity (like 100m, 1, 1.5, 1Gi or 1e3)")
    number = Fraction(match["number"].removesuffix("."))
    if match["exponent"]:
        return number * Fraction(10) ** int(match["exponent"])
    return number * _SUFFIXES[match["suffix"] or ""]
