"""What an invariant answers about one thing that it judged: it held, it was violated, or the trace cannot tell.

Values only; which things are judged, and how, is each invariant's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from conformance.trace.groups import Groups
from conformance.trace.lives import Life


class Looked(Enum):
    """The answers that need no evidence."""

    HELD = "held"
    UNDECIDED = "undecided"
    """It seems violated, but an interrupted watch may have lost the change that explains it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that an invariant forbids. `moment` is the last one that the story had marked, or `clean-up`."""

    object: str
    field: str
    expected: str
    observed: str
    position: int
    moment: str


Verdict = Looked | Violation


@dataclass(frozen=True, slots=True)
class Judgement:
    """One invariant over one story: how many things it was judged on, which of them violate it, and how many apparent
    violations an interrupted watch keeps from being decided."""

    name: str
    judged: int
    violations: list[Violation]
    undecided: int = 0


def judgement(name: str, verdicts: Iterable[Verdict]) -> Judgement:
    """The sum of an invariant's answers."""
    answers = list(verdicts)
    violations = [answer for answer in answers if isinstance(answer, Violation)]
    undecided = sum(answer is Looked.UNDECIDED for answer in answers)
    return Judgement(name, len(answers) - undecided, violations, undecided)


def violated(groups: Groups, what: Life | str, field: str, expected: str, observed: str, position: int) -> Violation:
    """A violation at a position."""
    title = what if isinstance(what, str) else what.title
    return Violation(title, field, expected, observed, position, groups.lives.moment_at(position))
