"""How long is waited under a fault, by what the reference without a fault needed in the same run. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from conformance.deadlines import Deadlines

TIMES: Final = 5
"""How many times longer than nineteen of twenty waits on the healthy reference a wait lasts under a fault."""
WAIT_AT_LEAST, CLEANUP_AT_LEAST, FENCE = 3.0, 6.0, 20.0
TIMES_CLEANUP: Final = 3
"""The same of a clean-up; it is lost only where something is left over, which lasts."""
TIMES_ITS_OWN: Final = 2
"""How many times longer than in the healthy telling a wait lasts at least: some wait for a clock and not for work."""


def p95(numbers: Iterable[float]) -> float:
    """The smallest that at least 95 % of them do not exceed; 0 of none."""
    ordered = sorted(numbers)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else 0.0


def under_faults(waits: Iterable[float], cleanups: Iterable[float], slow: float = 1.0) -> Deadlines:
    """The deadlines under faults. `waits` and `cleanups` are the seconds of all stories on the healthy reference.

    None is longer than without a fault, however busy the machine was.
    """
    stock = Deadlines(slow)
    instead = {
        "wait": max(WAIT_AT_LEAST * slow, TIMES * p95(waits)),
        "cleanup": max(CLEANUP_AT_LEAST * slow, TIMES_CLEANUP * p95(cleanups)),
        "fence": FENCE * slow,
    }
    return Deadlines(slow, {name: min(seconds, stock[name]) for name, seconds in instead.items()})


def of_story(common: Deadlines, waits: Iterable[float]) -> Deadlines:
    """Those of one story, whose waits took this long on the healthy reference."""
    own = TIMES_ITS_OWN * max(waits, default=0.0)
    if own <= common["wait"]:
        return common
    return Deadlines(common.factor, {**common.instead, "wait": own})
