"""Topology assignments as plain values: which domain gets how many pods, however the API object encodes it.

`status.admission.podSetAssignments[].topologyAssignment` has many legal encodings of one meaning (one slice or several,
prefixes and suffixes taken out, universal or individual values; a plain list of domains in v1beta1). Nothing may
depend on the choice, so everything that reads an assignment reads it through here. What an assignment ought to be is
judged elsewhere; here it is only readable or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

Domain = tuple[str, ...]
"""The values of the assignment's levels, from the highest to the lowest."""

FIELD = "topologyAssignment"


class MalformedAssignmentError(ValueError):
    """A topology assignment that cannot be read; `field` is the path of the part that is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field, self.problem = field, problem


def levels(assignment: Mapping[str, Any], field: str = FIELD) -> tuple[str, ...]:
    """The node label keys of the assignment, from the highest to the lowest. Raises MalformedAssignmentError."""
    keys = assignment.get("levels")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key for key in keys):
        _refuse(f"{field}.levels", "is not a list of node label keys")
    return tuple(keys)


def decode(assignment: Mapping[str, Any], field: str = FIELD) -> list[tuple[Domain, int]]:
    """Every domain with its number of pods, in the order of the assignment.

    `field` is the path of the assignment itself, for the message of the MalformedAssignmentError that this raises.
    """
    depth = len(levels(assignment, field))
    if "slices" in assignment:
        slices = _list(assignment["slices"], f"{field}.slices")
        return [found for index, part in enumerate(slices) for found in _slice(part, depth, f"{field}.slices[{index}]")]
    if "domains" in assignment:
        domains = _list(assignment["domains"], f"{field}.domains")
        return [_domain(entry, depth, f"{field}.domains[{index}]") for index, entry in enumerate(domains)]
    _refuse(field, "has neither slices (v1beta2) nor domains (v1beta1)")


def per_domain(domains: Iterable[tuple[Domain, int]]) -> dict[Domain, int]:
    """The pods of each domain, those of a domain that is named several times added up."""
    pods: dict[Domain, int] = {}
    for values, count in domains:
        pods[values] = pods.get(values, 0) + count
    return pods


def _domain(entry: Any, depth: int, field: str) -> tuple[Domain, int]:
    """One entry of v1beta1: `{values: [per level], count: n}`."""
    entry = _mapping(entry, field)
    values = _strings(entry.get("values"), depth, f"{field}.values", "one per level")
    return tuple(values), _count(entry.get("count"), f"{field}.count")


def _slice(part: Any, depth: int, field: str) -> list[tuple[Domain, int]]:
    """One slice of v1beta2: the values of each level and the pod counts of `domainCount` domains."""
    part = _mapping(part, field)
    size = _count(part.get("domainCount"), f"{field}.domainCount")
    per_level = _list(part.get("valuesPerLevel"), f"{field}.valuesPerLevel")
    if len(per_level) != depth:
        _refuse(f"{field}.valuesPerLevel", f"has {len(per_level)} entries for {depth} levels")
    columns = [_values(level, size, f"{field}.valuesPerLevel[{index}]") for index, level in enumerate(per_level)]
    return list(zip(zip(*columns, strict=True), _pod_counts(part.get("podCounts"), size, field), strict=True))


def _values(level: Any, size: int, field: str) -> list[str]:
    chosen = _either(level, field)
    if chosen == "universal":
        return _strings([level["universal"]], 1, f"{field}.universal", "for all domains") * size
    individual = _mapping(level["individual"], f"{field}.individual")
    prefix, suffix = (_affix(individual, which, f"{field}.individual") for which in ("prefix", "suffix"))
    roots = _strings(individual.get("roots"), size, f"{field}.individual.roots", "one per domain")
    return [prefix + root + suffix for root in roots]


def _pod_counts(counts: Any, size: int, field: str) -> list[int]:
    field = f"{field}.podCounts"
    if _either(counts, field) == "universal":
        return [_count(counts["universal"], f"{field}.universal")] * size
    individual = _list(counts["individual"], f"{field}.individual")
    if len(individual) != size:
        _refuse(f"{field}.individual", f"has {len(individual)} entries for {size} domains")
    return [_count(count, f"{field}.individual[{index}]") for index, count in enumerate(individual)]


def _either(value: Any, field: str) -> str:
    """Which of the two alternatives is there."""
    found = [key for key in ("universal", "individual") if _mapping(value, field).get(key) is not None]
    if len(found) != 1:
        _refuse(field, "must have exactly one of universal and individual")
    return found[0]


def _affix(individual: Mapping[str, Any], which: str, field: str) -> str:
    value = individual.get(which)
    if value is not None and not isinstance(value, str):
        _refuse(f"{field}.{which}", "is not a string")
    return value or ""


def _strings(values: Any, size: int, field: str, meaning: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        _refuse(field, "is not a list of strings" if meaning != "for all domains" else "is not a string")
    if len(values) != size:
        _refuse(field, f"has {len(values)} entries instead of {size}, {meaning}")
    return values


def _count(value: Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(field, f"is {value!r} instead of a whole number of at least 1")
    return value


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse(field, "is not a list")
    return value


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _refuse(field, "is not an object")
    return value


def _refuse(field: str, problem: str) -> NoReturn:
    raise MalformedAssignmentError(field, problem)
