"""What one claim says under one fault: caught, and if not, why not. Pure over histories."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from conformance.collecting import Claimed
from conformance.expectations.judging import ClaimFailed, Told
from conformance.faults.model import Fault
from conformance.outcomes import Outcome
from conformance.requirements import load
from conformance.suite import ClaimOfStory
from conformance.trace.history import History
from conformance.trace.invariants import judge_invariants
from conformance.verdicts import PromiseBroken, judge_moment, outcome_of

ACCEPTED: Final = "accepted"
"""What fails of a promised claim whose story was refused something on the way to the claim's moment."""
_ARGUMENTS: Final = re.compile(r"\([^()]*\)")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")


class Said(StrEnum):
    """What a claim says under a fault; `CAUGHT` only for the expectation that the fault names."""

    CAUGHT = "caught"
    FOR_ANOTHER = "caught-for-another"
    NOT_REACHED = "not-reached"
    NOT_CAUGHT = "not-caught"
    ERROR = "error"


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a claim, or of an invariant in a story. `named` is its requirement, or the invariant's name."""

    claim: str
    named: str
    outcome: Outcome
    expectations: list[str] = []
    """The bare names of those that failed: of a judged claim one, of a promised one all that its wait still lacked."""
    shown: str = ""
    """What was seen, in one line."""
    looked: list[str] = []
    """Of a claim that passed, the bare names of all expectations that it looked at."""


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """One claim under one fault."""

    fault: str
    claim: str
    said: Said
    expectations: list[str] = []
    shown: str = ""


def bare(name: str) -> str:
    """An expectation's name without arguments: `never at_most(2)` -> `never at_most`."""
    name = _QUOTED.sub("", name)
    while (shorter := _ARGUMENTS.sub("", name)) != name:
        name = shorter
    return name


def invariant_id(story: str, name: str) -> str:
    """`one_group::invariants[I2]`."""
    return f"{story}::invariants[{name}]"


def invariant_of(claim: str) -> str:
    """`one_group::invariants[I2]` -> `I2`; empty for a claim."""
    _, found, name = claim.partition("::invariants[")
    return name.rstrip("]") if found else ""


def judge_claims(claims: Iterable[ClaimOfStory], history: History) -> list[Verdict]:
    """The verdicts of a story's claims over its history up to the first fence.

    A story that broke says nothing: what it recorded may be the harness's doing.
    """
    return [_judge(claim, history) for claim in claims]


def _judge(claim: ClaimOfStory, history: History) -> Verdict:
    told = Told(history)
    error: Exception | None = None
    try:
        if claim.function is not None:
            claim.function(told)
        else:
            judge_moment(Claimed(claim.story, load()[claim.requirement], claim.sentence, claim.moment), history)
    except Exception as raised:
        error = raised
    outcome = outcome_of(error, history)
    if outcome is Outcome.FAILED and history.stopped is not None and history.stopped.outcome == "error":
        outcome = Outcome.ERROR
    failed = list(_failed(error, history)) if outcome is Outcome.FAILED else []
    looked = sorted(_looked(claim, told)) if outcome is Outcome.PASSED else []
    return Verdict(claim.id, claim.requirement, outcome, failed, _line(error), looked)


def _looked(claim: ClaimOfStory, told: Told) -> set[str]:
    """At what a claim that passed looked; a promised one may fail for a refusal, too."""
    if claim.moment is None:
        return {bare(one.expectation) for one in told.judged}
    return {bare(one) for one in told.history.moments[claim.moment].expectation.split(" and ")} | {ACCEPTED}


def _failed(error: Exception | None, history: History) -> Iterator[str]:
    if isinstance(error, ClaimFailed):
        yield bare(error.failure.expectation)
    elif isinstance(error, PromiseBroken) and history.stopped is not None:
        missing = list(dict.fromkeys(bare(one["expectation"]) for one in history.stopped.mismatches))
        yield from missing or [ACCEPTED]


def _line(error: Exception | None) -> str:
    if error is None:
        return ""
    first, *more = str(error).splitlines() or [type(error).__name__]
    return first if len(first) <= 300 and not more else f"{first[:300]} …"


def judge_story_invariants(story: str, history: History) -> list[Verdict]:
    """The verdict of each invariant over a story's history up to the second fence."""
    verdicts: list[Verdict] = []
    for found in judge_invariants(history):
        claim, shown = invariant_id(story, found.name), ""
        if found.violations:
            one = found.violations[0]
            outcome, shown = Outcome.FAILED, f"{one.object} {one.field}: expected {one.expected}, was {one.observed}"
        elif found.undecided:
            outcome, shown = Outcome.INCONCLUSIVE, "an interrupted watch may explain what was seen"
        elif not found.judged:
            outcome, shown = Outcome.INCONCLUSIVE, "nothing to judge"
        else:
            outcome = Outcome.PASSED
        failed = [found.name] if outcome is Outcome.FAILED else []
        verdicts.append(Verdict(claim, found.name, outcome, failed, shown[:300]))
    return verdicts


def cell(fault: Fault, verdict: Verdict) -> Cell:
    """What a verdict says of a fault."""
    match verdict.outcome:
        case Outcome.FAILED:
            said = _caught(fault, verdict.named, verdict.expectations)
        case Outcome.PASSED:
            said = Said.NOT_CAUGHT
        case Outcome.INCONCLUSIVE:
            said = Said.NOT_REACHED
        case _:
            said = Said.ERROR
    return Cell(fault.name, verdict.claim, said, verdict.expectations, verdict.shown)


def said_now(fault: Fault, named: str, one: Cell) -> Cell:
    """A cell of before, of a claim of `named`, by what the fault names now; what failed has not changed."""
    if one.said not in (Said.CAUGHT, Said.FOR_ANOTHER):
        return one
    return msgspec.structs.replace(one, said=_caught(fault, named, one.expectations))


def _caught(fault: Fault, named: str, failed: Iterable[str]) -> Said:
    return Said.CAUGHT if set(failed) & set(fault.caught.get(named, ())) else Said.FOR_ANOTHER
