"""What this project itself is gated by: the page on Kueue and on the reference is told elsewhere in this folder; here
are each claim's own fault, and an older release."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import SLOW, Place

from conformance.outcomes import Outcome
from conformance.proving.matrix import FILE, read
from conformance.report import building

pytestmark = pytest.mark.cluster
LONG = 3600.0
"""Seconds: some 260 pairs of fault and story, on a machine that may be busy."""
OLDER = "0.18.4"
PROVEN = Path(__file__).parents[2] / "reports" / FILE
"""What was proven before, once it is published: it says which fault shows of a claim that it can fail."""


@pytest.mark.thorough
def test_each_claim_is_caught_by_a_fault_of_its_own(place: Place) -> None:
    """Told under one faulty reference that it names, each claim fails for the expectation that it is about."""
    known = ("--matrix", PROVEN) if PROVEN.exists() else ()
    ended = place.start("prove", "--own", *known, "--out", place.results).ended(LONG)
    assert ended.code == 0, str(ended)
    assert read(place.results / FILE).red == []


def test_an_older_release_is_judged_by_what_it_had(place: Place) -> None:
    """On an older release of Kueue nothing fails: what came later is unsupported, what it has passes."""
    ended = place.command("run", "--kueue-version", OLDER, "--out", place.results, *SLOW)
    assert ended.code == 0, str(ended)
    outcomes = {one.outcome for one in building.read_result(place.results).requirements}
    assert Outcome.PASSED in outcomes
    assert not outcomes & {Outcome.FAILED, Outcome.ERROR, Outcome.INCONCLUSIVE}
