"""The tables of what claims and waits reject, one module `doctored_*.py` for each part of the suite.

A module may have `REJECTED` (by claim), `PROMISED` (by story and moment), `MENDED` (by claim) and `CASES` (lists of
states for expectations, by their theme); see `test_claims`, `test_waits` and `test_expectations`, which have those of
the older parts themselves.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any


def merged(table: str) -> dict[Any, Any]:
    """A table over all modules that have it; a key that two of them have is a mistake."""
    found: dict[Any, Any] = {}
    for file in sorted(Path(__file__).parent.glob("doctored_*.py")):
        more = getattr(importlib.import_module(file.stem), table, {})
        assert not found.keys() & more.keys(), f"{file.name} repeats {sorted(found.keys() & more.keys())}"
        found |= more
    return found
