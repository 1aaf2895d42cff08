"""Groups of a set that are found by what is true of them, since which they are was the implementation's choice."""

from __future__ import annotations

import pytest

from conformance.expectations import complete, created, evicted, no_workload
from conformance.expectations.judging import Inconclusive, Told
from recording import history_of

TOLD = Told(history_of("higher_priority_comes_and_goes"))


def test_groups_are_found_by_what_is_true_of_them_at_a_moment() -> None:
    """Every group of the set of which the expectation holds at the moment is found, and no other."""
    victims = TOLD.groups_that(evicted, of="low", at="victim-waits")
    others = TOLD.groups_that(complete, of="low", at="victim-waits")
    assert (len(victims), len(others)) == (1, 2)
    assert {one.subject.title for one in (*victims, *others)} == {f"group {index} of low" for index in range(3)}


def test_no_such_group_leaves_it_undecided() -> None:
    """A claim about groups that there are none of is inconclusive."""
    with pytest.raises(Inconclusive, match="no group of low was no_workload at victim-waits"):
        TOLD.groups_that(no_workload, of="low", at="victim-waits")
    with pytest.raises(Inconclusive, match="no group of nobody"):
        TOLD.groups_that(created, of="nobody", at="victim-waits")
