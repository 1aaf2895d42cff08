"""Amounts are whole millicores and whole GPUs, so that sums of groups and quotas are exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.quantities import parse_quantity
from conformance.world.requests import CANARY, Quota, Requests, canary_room, groups, room

amounts = st.builds(Requests, cpu=st.integers(0, 10**6), gpu=st.integers(0, 64))


@pytest.mark.parametrize(
    ("requests", "quantities"),
    [
        (Requests(cpu=100), {"cpu": "100m"}),
        (Requests(cpu=4000), {"cpu": "4000m"}),
        (Requests(gpu=2), {"nvidia.com/gpu": "2"}),
        (Requests(cpu=200, gpu=1), {"cpu": "200m", "nvidia.com/gpu": "1"}),
        (Requests(), {}),
    ],
)
def test_amounts_are_written_as_a_resource_list(requests: Requests, quantities: dict[str, str]) -> None:
    """An amount is written as Kubernetes quantities, and what is zero is not mentioned at all."""
    assert requests.quantities() == quantities


@given(amounts, amounts, st.integers(0, 20))
def test_sums_and_multiples_are_exact(one: Requests, other: Requests, times: int) -> None:
    """So many times a sum is the sum of so many of each, as the API server adds them up."""
    total = (one + other) * times
    assert total == one * times + other * times
    for resource in ("cpu", "nvidia.com/gpu"):
        parts = [parse_quantity(amount.quantities().get(resource, "0")) for amount in (one, other)]
        assert parse_quantity(total.quantities().get(resource, "0")) == times * sum(parts)


GROUP = Requests(cpu=500, gpu=2)


@pytest.mark.parametrize(
    ("quota", "amount"),
    [
        (groups(2), Requests(cpu=1000, gpu=4)),
        (groups(1) + canary_room, Requests(cpu=510, gpu=2)),
        (canary_room + groups(1) + groups(2), Requests(cpu=1510, gpu=6)),
        (room(cpu=300) + canary_room, Requests(cpu=310)),
        (room(gpu=1), Requests(gpu=1)),
        (Quota(), Requests()),
    ],
)
def test_a_quota_is_groups_plus_a_fixed_amount(quota: Quota, amount: Requests) -> None:
    """A quota is worth its number of groups, whatever they ask for, plus what it has beside them."""
    assert quota.for_group(GROUP) == amount


def test_the_canary_fits_exactly_into_its_room() -> None:
    """What is left for the canary is what the canary asks for, however large the groups are."""
    assert canary_room.for_group(GROUP) == canary_room.for_group(Requests()) == CANARY
