"""Topology assignments: every legal encoding of one meaning is read as that meaning, and nothing else is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.trace.assignments import Domain, MalformedAssignmentError, decode, levels, per_domain

Meaning = list[tuple[Domain, int]]

LEVELS = ["cloud.provider.com/topology-block", "cloud.provider.com/topology-rack"]
values = st.text("abn-0123456789", min_size=1, max_size=8)


@st.composite
def meanings(draw: st.DrawFn) -> tuple[list[str], Meaning]:
    """Level keys, and domains with their pod counts."""
    depth = draw(st.integers(1, 3))
    domain = st.tuples(*[values] * depth)
    entries = draw(st.lists(st.tuples(domain, st.integers(1, 9)), min_size=1, max_size=7))
    return [f"example.com/level-{number}" for number in range(depth)], entries


def common(texts: Sequence[str]) -> int:
    """How many characters all of them begin with."""
    return next(
        (n for n, letters in enumerate(zip(*texts, strict=False)) if len(set(letters)) > 1), min(map(len, texts))
    )


def individual(draw: st.DrawFn, column: Sequence[str]) -> dict[str, Any]:
    """One level's values with as much of a common prefix and suffix taken out as is drawn."""
    prefix = draw(st.integers(0, common(column)))
    rests = [value[prefix:] for value in column]
    suffix = draw(st.integers(0, common([rest[::-1] for rest in rests])))
    encoded: dict[str, Any] = {"roots": [rest[: len(rest) - suffix] for rest in rests]}
    if prefix:
        encoded["prefix"] = column[0][:prefix]
    if suffix:
        encoded["suffix"] = column[0][len(column[0]) - suffix :]
    return encoded


def encoded_slice(draw: st.DrawFn, part: Meaning) -> dict[str, Any]:
    """One slice; universal values and counts are used or not, as is drawn, where they are possible."""
    columns = list(zip(*(domain for domain, _ in part), strict=True))
    counts = [count for _, count in part]
    universal_counts = len(set(counts)) == 1 and draw(st.booleans())
    return {
        "domainCount": len(part),
        "valuesPerLevel": [
            {"universal": column[0]}
            if len(set(column)) == 1 and draw(st.booleans())
            else {"individual": individual(draw, column)}
            for column in columns
        ],
        "podCounts": {"universal": counts[0]} if universal_counts else {"individual": counts},
    }


@st.composite
def encodings(draw: st.DrawFn) -> tuple[Meaning, dict[str, Any], dict[str, Any]]:
    """A meaning, and two encodings of it, each cut into slices as is drawn."""
    keys, meaning = draw(meanings())

    def encode() -> dict[str, Any]:
        slices, rest = [], meaning
        while rest:
            size = draw(st.integers(1, len(rest)))
            slices.append(encoded_slice(draw, rest[:size]))
            rest = rest[size:]
        return {"levels": keys, "slices": slices}

    return meaning, encode(), encode()


@given(encodings())
def test_every_encoding_has_the_same_meaning(drawn: tuple[Meaning, dict[str, Any], dict[str, Any]]) -> None:
    """However an assignment is cut into slices and compressed, it decodes to the same domains and counts in order."""
    meaning, one, other = drawn
    assert decode(one) == decode(other) == meaning


@given(meanings())
def test_v1beta1_means_what_it_lists(drawn: tuple[list[str], Meaning]) -> None:
    """The plain list of domains of v1beta1 decodes to itself."""
    keys, meaning = drawn
    domains = [{"values": list(domain), "count": count} for domain, count in meaning]
    assert decode({"levels": keys, "domains": domains}) == meaning


def test_documented_example_of_prefixes_and_universal_values() -> None:
    """The API's own second example is read as its first: 4 pods in rack-1 and 2 in rack-2 of block-1."""
    assignment = {
        "levels": LEVELS,
        "slices": [
            {
                "domainCount": 2,
                "valuesPerLevel": [{"universal": "block-1"}, {"individual": {"prefix": "rack-", "roots": ["1", "2"]}}],
                "podCounts": {"individual": [4, 2]},
            }
        ],
    }
    assert decode(assignment) == [(("block-1", "rack-1"), 4), (("block-1", "rack-2"), 2)]
    assert levels(assignment) == tuple(LEVELS)


def test_an_empty_root_is_a_value() -> None:
    """A value that is all prefix leaves an empty root, which is no mistake."""
    level = {"individual": {"prefix": "n-1", "roots": ["", "0"]}}
    part = {"domainCount": 2, "valuesPerLevel": [level], "podCounts": {"universal": 1}}
    assert decode({"levels": ["host"], "slices": [part]}) == [(("n-1",), 1), (("n-10",), 1)]


def test_pods_of_a_domain_are_added_up() -> None:
    """A domain that two slices name has the pods of both."""
    assert per_domain([(("a",), 1), (("b",), 2), (("a",), 3)]) == {("a",): 4, ("b",): 2}


GOOD: dict[str, Any] = {
    "domainCount": 2,
    "valuesPerLevel": [{"individual": {"roots": ["h1", "h2"]}}],
    "podCounts": {"universal": 1},
}

MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({}, "it.levels"),
    ({"levels": []}, "it.levels"),
    ({"levels": ["host"]}, "it"),
    ({"levels": ["host"], "slices": {}}, "it.slices"),
    ({"levels": ["host"], "slices": ["x"]}, "it.slices[0]"),
    ({"levels": ["rack", "host"], "slices": [GOOD]}, "it.slices[0].valuesPerLevel"),
    ({"levels": ["host"], "slices": [GOOD, GOOD | {"domainCount": 0}]}, "it.slices[1].domainCount"),
    ({"levels": ["host"], "slices": [GOOD | {"domainCount": True}]}, "it.slices[0].domainCount"),
    ({"levels": ["host"], "slices": [GOOD | {"domainCount": 3}]}, "it.slices[0].valuesPerLevel[0].individual.roots"),
    ({"levels": ["host"], "slices": [GOOD | {"valuesPerLevel": [{}]}]}, "it.slices[0].valuesPerLevel[0]"),
    (
        {
            "levels": ["host"],
            "slices": [GOOD | {"valuesPerLevel": [{"universal": "h", "individual": {"roots": ["h"]}}]}],
        },
        "it.slices[0].valuesPerLevel[0]",
    ),
    (
        {"levels": ["host"], "slices": [GOOD | {"valuesPerLevel": [{"universal": 7}]}]},
        "it.slices[0].valuesPerLevel[0].universal",
    ),
    (
        {
            "levels": ["host"],
            "slices": [GOOD | {"valuesPerLevel": [{"individual": {"prefix": 1, "roots": ["1", "2"]}}]}],
        },
        "it.slices[0].valuesPerLevel[0].individual.prefix",
    ),
    ({"levels": ["host"], "slices": [GOOD | {"podCounts": None}]}, "it.slices[0].podCounts"),
    ({"levels": ["host"], "slices": [GOOD | {"podCounts": {"universal": 0}}]}, "it.slices[0].podCounts.universal"),
    ({"levels": ["host"], "slices": [GOOD | {"podCounts": {"individual": [1]}}]}, "it.slices[0].podCounts.individual"),
    (
        {"levels": ["host"], "slices": [GOOD | {"podCounts": {"individual": [1, "2"]}}]},
        "it.slices[0].podCounts.individual[1]",
    ),
    ({"levels": ["host"], "domains": [{"values": ["h1"], "count": 1}, {"values": ["h2"]}]}, "it.domains[1].count"),
    ({"levels": ["host"], "domains": [{"values": ["r1", "h1"], "count": 1}]}, "it.domains[0].values"),
]


@pytest.mark.parametrize(
    ("assignment", "field"), MALFORMED, ids=[f"{n}-{field}" for n, (_, field) in enumerate(MALFORMED)]
)
def test_a_malformed_assignment_is_refused_by_field(assignment: dict[str, Any], field: str) -> None:
    """What cannot be read is refused with the path of the part that is wrong."""
    with pytest.raises(MalformedAssignmentError) as refused:
        decode(assignment, "it")
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field} ")
