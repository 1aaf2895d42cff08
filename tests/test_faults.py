"""Every fault replaces a decision that is there, and names what really can catch it."""

from __future__ import annotations

import functools

import pytest

from conformance.errors import UsageError
from conformance.faults import load, model, named
from conformance.faults.model import Fault, at_work, fault, replace
from conformance.proving.cells import ACCEPTED, bare
from conformance.suite import ClaimOfStory, whole_suite
from conformance.trace.invariants import INVARIANTS
from replaying import replayed
from test_claims import judged

FAULTS = load()
SUITE = whole_suite()
CLAIMED = {claim.requirement for claim in SUITE.claims}


@pytest.mark.parametrize("name", FAULTS)
def test_it_finds_what_it_replaces(name: str) -> None:
    """A fault replaces at least one decision of the reference, and is gone again afterwards."""
    before = len(model._REPLACED)
    with at_work(FAULTS[name]):
        replaced = model._REPLACED[before:]
        assert replaced
        assert all(getattr(owner, attribute) is not decision for owner, attribute, decision in replaced)
    assert all(getattr(owner, attribute) is decision for owner, attribute, decision in replaced)
    assert len(model._REPLACED) == before


@pytest.mark.parametrize("name", FAULTS)
def test_it_names_what_is_judged(name: str) -> None:
    """What a fault names is a requirement that some claim is of, or an invariant, which fails under its own name."""
    for key, expectations in FAULTS[name].caught.items():
        assert key in CLAIMED or key in INVARIANTS, key
        if key in INVARIANTS:
            assert expectations == (key,)


def looked_at_by(claim: ClaimOfStory) -> set[str]:
    """The bare names of all expectations that a claim or a promised wait looks at."""
    if claim.function is not None:
        return {bare(expectation) for _, expectation, _ in judged(claim.function.__name__, claim.story.name)}
    waits = [waited for waited in replayed(claim.story.name).waited if waited.moment == claim.moment]
    return {bare(expectation.name) for waited in waits for expectation in waited.expectations}


@functools.cache
def looked_at(requirement: str) -> frozenset[str]:
    """The bare names of all expectations that the claims and promised waits of a requirement look at."""
    claims = SUITE.of_requirement(requirement)
    promised = {ACCEPTED} if any(claim.function is None for claim in claims) else set[str]()
    return frozenset(promised.union(*map(looked_at_by, claims)))


@pytest.mark.parametrize(
    ("name", "requirement"),
    [(name, key) for name, found in FAULTS.items() for key in found.caught if key not in INVARIANTS],
)
def test_it_names_expectations_that_are_looked_at(name: str, requirement: str) -> None:
    """Each expectation that a fault names for a requirement is one that a claim or a promised wait of it looks at."""
    assert set(FAULTS[name].caught[requirement]) - looked_at(requirement) == set()


@pytest.mark.parametrize("claim", SUITE.claims, ids=lambda claim: claim.id)
def test_each_claim_is_named_for_what_it_looks_at(claim: ClaimOfStory) -> None:
    """For each claim some fault names its requirement with an expectation that this claim itself looks at.

    A promised claim fails, too, where its story is refused something on the way.
    """
    named_for = {one for found in FAULTS.values() for one in found.caught.get(claim.requirement, ())}
    assert named_for & (looked_at_by(claim) | ({ACCEPTED} if claim.moment else set()))


def test_sentences_differ() -> None:
    """No two faults say the same of themselves."""
    assert len({one.wrong for one in FAULTS.values()}) == len(FAULTS)


def test_a_decision_that_is_gone_is_told() -> None:
    """A fault whose decision the reference no longer has says so, instead of doing nothing."""
    with pytest.raises(UsageError, match="decides nothing by the name gone"):
        replace(model, "gone", None)


def test_an_unknown_fault_is_told_with_its_neighbour() -> None:
    """A name that is nearly that of a fault is answered with that one."""
    known = next(iter(FAULTS))
    with pytest.raises(UsageError, match=known):
        named(known[:-1])


def test_a_fault_needs_a_sentence_and_a_catcher() -> None:
    """What is wrong ends with a full stop, and something must catch it."""
    with pytest.raises(UsageError, match="full stop"):
        fault("no sentence", caught={"UP-02": "gated"})(lambda: None)
    with pytest.raises(UsageError, match="catches it"):
        fault("A sentence.", caught={})(lambda: None)


def test_names_become_tuples() -> None:
    """One expectation or several: a fault keeps them as a tuple, and its name has dashes."""

    @fault("It is wrong.", caught={"UP-02": "gated", "ADM-02": ("gated", "atomic")})
    def so_wrong() -> None:
        """Nothing is replaced."""

    made: Fault = getattr(so_wrong, model.DECLARED)
    assert made.name == "so-wrong"
    assert made.caught == {"UP-02": ("gated",), "ADM-02": ("gated", "atomic")}
