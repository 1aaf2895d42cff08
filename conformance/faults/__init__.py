"""Faulty reference reconcilers: each replaces one decision, and names the requirements whose claims must catch it.

`python -m conformance.faults NAME` runs one. A fault belongs into the module of the decision that it replaces.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Final

from conformance.errors import UsageError, nearest
from conformance.faults.model import DECLARED, Fault

_NOT_FAULTS: Final = frozenset({"__main__", "model"})


@cache
def load() -> dict[str, Fault]:
    """Every fault by its name, sorted. Raises UsageError when two have the same."""
    found: dict[str, Fault] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)])):
        if module in _NOT_FAULTS:
            continue
        for declared in vars(importlib.import_module(f"{__name__}.{module}")).values():
            fault = getattr(declared, DECLARED, None)
            if isinstance(fault, Fault) and declared.__module__ == f"{__name__}.{module}":
                if fault.name in found:
                    raise UsageError(f"there are two faults with the name {fault.name}; rename one")
                found[fault.name] = fault
    return dict(sorted(found.items()))


def named(name: str) -> Fault:
    """The fault of that name. Raises UsageError when there is none."""
    if name not in load():
        raise UsageError(f"there is no fault {name!r}.{nearest(name, list(load()))}")
    return load()[name]
