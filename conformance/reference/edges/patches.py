"""JSON patches (RFC 6902) from two states of an object."""

from __future__ import annotations

from typing import Any


def patch(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """The operations that make `before` into `after`: mappings key by key, anything else replaced as a whole."""
    if before == after:
        return []
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [{"op": "replace", "path": path, "value": after}]
    operations: list[dict[str, Any]] = []
    for key in before.keys() - after.keys():
        operations.append({"op": "remove", "path": f"{path}/{_escaped(key)}"})
    for key, value in after.items():
        here = f"{path}/{_escaped(key)}"
        if key in before:
            operations += patch(before[key], value, here)
        else:
            operations.append({"op": "add", "path": here, "value": value})
    return operations


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
