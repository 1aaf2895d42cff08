"""Levels, outcomes and exit codes: what a verdict is called, which one wins, and what the process returns."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """How strongly a requirement binds: catalogue letters M, S, I (strict) and B (report only)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    STRICT = "STRICT"
    REPORT = "REPORT"


class Outcome(StrEnum):
    """What became of a claim or a requirement; declared from worst to best."""

    FAILED = "failed"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    KNOWN_DEVIATION = "known-deviation"
    PASSED = "passed"
    NOT_TESTABLE = "not-testable"
    UNSUPPORTED = "unsupported"
    NOT_SELECTED = "not-selected"


JUDGED: Final = (Outcome.FAILED, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.KNOWN_DEVIATION, Outcome.PASSED)
"""Outcomes of claims that were judged; the others count only where no claim of a requirement was."""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """A requirement's outcome from those of its claims: the worst judged one, else the worst of the rest."""
    found = set(outcomes)
    return next((outcome for outcome in Outcome if outcome in found), Outcome.NOT_SELECTED)


class ExitCode:
    """The console command's exit codes, in the order in which they are decided (docs: README, "Exit codes")."""

    OK: Final = 0
    FAILED: Final = 1
    USAGE: Final = 2
    UNDECIDED: Final = 3
    NOTHING: Final = 4
    INTERRUPTED: Final = 130
