"""Amounts of resources, as whole thousandths."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.reference import amounts

QUICK = settings(max_examples=200, deadline=None)
RESOURCES = st.sampled_from(("cpu", "memory", "pods", "nvidia.com/gpu", "hugepages-2Mi", "ephemeral-storage"))
RESOURCE_LISTS = st.dictionaries(RESOURCES, st.integers(0, 10**15), max_size=4)


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("100m", 100),
        ("1", 1000),
        (2, 2000),
        ("0.5", 500),
        (".5", 500),
        ("1.", 1000),
        ("1Ki", 1024_000),
        ("1.5Gi", 1610612736_000),
        ("1k", 1_000_000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("1E", 10**21),
        ("-1", -1000),
        ("0", 0),
    ],
)
def test_a_quantity_is_read_in_every_way_that_the_api_writes_it(text: str | int, thousandths: int) -> None:
    """Decimal and binary suffixes, exponents and plain numbers mean what Kubernetes says they mean."""
    assert amounts.parse(text) == thousandths


@pytest.mark.parametrize("text", ["", "one", "1e1.5", "1 Gi", "0x1", "1mi", "Gi", "--1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """A text that is no quantity raises ValueError, those included that the pattern of a CRD lets through."""
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        amounts.parse(text)


def test_what_is_finer_than_a_thousandth_is_rounded_up() -> None:
    """Too much is counted rather than too little: what asks for a trace of a resource asks for a thousandth."""
    assert [amounts.parse(text) for text in ("1n", "100.0001m", "1001u")] == [1, 101, 2]


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("1e1000000000", amounts.LARGEST),
        ("-1e1000000000", -amounts.LARGEST),
        ("1e-1000000000", 1),
        ("0e1000000000", 0),
        ("9999999999999999999999", amounts.LARGEST),
    ],
)
def test_a_number_with_a_huge_exponent_is_clamped_without_being_worked_out(text: str, thousandths: int) -> None:
    """A quantity beyond 64 bits counts as the largest one, in no time, since a tenant could stall everybody else."""
    assert amounts.parse(text) == thousandths


@pytest.mark.parametrize(
    ("resource", "thousandths", "text"),
    [
        ("cpu", 1500, "1500m"),
        ("cpu", 2000, "2"),
        ("cpu", 3_000_000, "3k"),
        ("memory", 1024_000, "1Ki"),
        ("memory", 64 * 2**30 * 1000, "64Gi"),
        ("memory", 1000_000, "1000"),
        ("memory", 1, "1m"),
        ("hugepages-2Mi", 2 * 2**20 * 1000, "2Mi"),
        ("nvidia.com/gpu", 1024_000, "1024"),
        ("pods", 0, "0"),
        ("cpu", -1500, "-1500m"),
    ],
)
def test_an_amount_is_written_in_canonical_form(resource: str, thousandths: int, text: str) -> None:
    """A whole number with the largest suffix that keeps it whole: binary for bytes, decimal for everything else."""
    assert amounts.show(resource, thousandths) == text


@QUICK
@given(RESOURCES, st.integers(-(10**18), 10**18))
def test_what_is_written_is_read_as_the_same_amount(resource: str, thousandths: int) -> None:
    """Writing loses nothing."""
    assert amounts.parse(amounts.show(resource, thousandths)) == thousandths


@QUICK
@given(st.decimals(0, 10**9, allow_nan=False, places=5), st.sampled_from((("", 0), ("m", -3), ("k", 3), ("u", -6))))
def test_reading_agrees_with_decimal_arithmetic(number: Decimal, suffix: tuple[str, int]) -> None:
    """The amount is the number times its suffix, rounded up to a thousandth."""
    text, power = suffix
    exact = (number.scaleb(power + 3)).quantize(Decimal(1), rounding=ROUND_CEILING)
    assert amounts.parse(f"{number:f}{text}") == int(exact)


def test_a_resource_list_names_what_is_wrong_in_it() -> None:
    """The error of a resource list says which resource is written wrongly."""
    assert amounts.parse_all({"cpu": "1", "memory": "1Ki"}) == {"cpu": 1000, "memory": 1024_000}
    with pytest.raises(ValueError, match=r"^memory: 'lots'"):
        amounts.parse_all({"cpu": "1", "memory": "lots"})


@QUICK
@given(st.lists(RESOURCE_LISTS, max_size=4), st.integers(0, 9))
def test_sums_and_maxima_are_taken_resource_by_resource(parts: list[dict[str, int]], count: int) -> None:
    """A resource that a part lacks counts as 0 there."""
    resources = {resource for part in parts for resource in part}
    assert amounts.add(*parts) == {r: sum(part.get(r, 0) for part in parts) for r in resources}
    assert amounts.larger(*parts) == {r: max(part.get(r, 0) for part in parts) for r in resources}
    for part in parts:
        assert amounts.times(part, count) == {r: sum([amount] * count) for r, amount in part.items()}


def test_a_resource_list_is_written_in_order() -> None:
    """Resources are sorted, so that the same amounts are always written the same."""
    assert list(amounts.show_all({"pods": 3000, "cpu": 100}).items()) == [("cpu", "100m"), ("pods", "3")]
