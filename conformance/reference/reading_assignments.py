"""The topology assignment of a podset, as the Kueue API v1beta2 encodes it.

Rule (`TopologyAssignment`): the domains of all slices, one slice after the other. In a slice each level has either one
value for all of its domains, or one for each, cut into a shared prefix, a root of its own and a shared suffix; numbers
of pods likewise are one for all or one for each. All such encodings of the same domains are equally good. We write one
slice, with whatever is the same for all domains written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from conformance.reference.model import TopologyAssignment, Values
from conformance.reference.reading_shapes import Shape

MOST_DOMAINS: Final = 100_000
"""The longest list of values that the API lets through."""


class IndividualShape(Shape):
    prefix: str = ""
    suffix: str = ""
    roots: list[str] | None = None


class LevelValuesShape(Shape):
    universal: str | None = None
    individual: IndividualShape | None = None


class PodCountsShape(Shape):
    universal: int | None = None
    individual: list[int] | None = None


class SliceShape(Shape):
    domain_count: int
    values_per_level: list[LevelValuesShape]
    pod_counts: PodCountsShape


class TopologyAssignmentShape(Shape):
    levels: list[str]
    slices: list[SliceShape]


def decode(shape: TopologyAssignmentShape) -> TopologyAssignment:
    """The assignment that is written; ValueError if the lengths in it contradict each other."""
    domains: list[tuple[Values, int]] = []
    for slice_ in shape.slices:
        # Where everything is the same for all domains no list limits their number, and it may say two billions.
        if slice_.domain_count + len(domains) > MOST_DOMAINS:
            raise ValueError(f"the topology assignment has more than {MOST_DOMAINS} domains")
        if len(slice_.values_per_level) != len(shape.levels):
            raise ValueError("a slice of the topology assignment does not have values for each level")
        columns = [_column(values, slice_.domain_count) for values in slice_.values_per_level]
        domains += zip(zip(*columns, strict=True), _counts(slice_), strict=True)
    return TopologyAssignment(tuple(shape.levels), tuple(domains))


def _column(values: LevelValuesShape, count: int) -> Sequence[str]:
    if values.universal is not None:
        return [values.universal] * count
    individual = values.individual
    if individual is None or len(individual.roots or ()) != count:
        raise ValueError("a slice of the topology assignment does not have a value for each domain")
    return [f"{individual.prefix}{root}{individual.suffix}" for root in individual.roots or ()]


def _counts(slice_: SliceShape) -> Sequence[int]:
    counts = slice_.pod_counts
    if counts.universal is not None:
        return [counts.universal] * slice_.domain_count
    if len(counts.individual or ()) != slice_.domain_count:
        raise ValueError("a slice of the topology assignment does not have a number of pods for each domain")
    return counts.individual or ()


def encode(assignment: TopologyAssignment) -> dict[str, Any]:
    """The assignment as it is written."""
    if not assignment.domains:
        return {"levels": list(assignment.levels), "slices": []}
    columns = zip(*(values for values, _ in assignment.domains), strict=True)
    counts = [count for _, count in assignment.domains]
    only = {
        "domainCount": len(counts),
        "valuesPerLevel": [_level(list(column)) for column in columns],
        "podCounts": {"universal": counts[0]} if len(set(counts)) == 1 else {"individual": counts},
    }
    return {"levels": list(assignment.levels), "slices": [only]}


def _level(values: list[str]) -> dict[str, Any]:
    return {"universal": values[0]} if len(set(values)) == 1 else {"individual": {"roots": values}}
