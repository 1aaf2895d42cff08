"""What the console command returns: the first that holds of 130, 2, 1, 3, 4, 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import report_samples as samples
from conformance.outcomes import JUDGED, Level, Outcome
from conformance.report import log, model
from conformance.report.building import build
from conformance.report.exitcode import Decision, binding, decide

MUST, SHOULD, STRICT = Level.MUST, Level.SHOULD, Level.STRICT


@dataclass(frozen=True)
class Given:
    """Claims as (level, outcome), and what else the run was like."""

    claims: tuple[tuple[Level, Outcome], ...] = ()
    violation: Outcome | None = None
    deviation: model.Deviation | None = None
    finished: bool = True

    def result(self) -> model.Result:
        catalogue = [samples.Record(f"X-{i}", "x", "S.", level) for i, (level, _) in enumerate(self.claims)]
        claims = [
            samples.claim_line(f"test_x::test_{i}", f"X-{i}", outcome, deviation=self.deviation)
            for i, (_, outcome) in enumerate(self.claims)
        ]
        lines: list[log.Line] = [*samples.head(), *claims]
        if self.violation is not None:
            violation = model.Violation(story="s", outcome=self.violation, observed="x")
            verdict = log.InvariantVerdict(judged=1, violations=[violation])
            lines.append(log.InvariantsLine(story="s", invariants={"I6": verdict}))
        if self.finished:
            lines.append(samples.end())
        return build(lines, catalogue)


ONE_PASSED = Given(claims=((MUST, Outcome.PASSED),))
ALWAYS = msgspec.structs.replace(samples.DEVIATION, kind="always")
EXPIRED = msgspec.structs.replace(samples.DEVIATION, expires=samples.STARTED.date() - timedelta(1))


@pytest.mark.parametrize(
    ("given_", "options", "code", "why"),
    [
        (ONE_PASSED, {}, 0, "nothing failed"),
        (Given(claims=((MUST, Outcome.FAILED),)), {}, 1, "1 MUST requirement failed (X-0)"),
        (
            Given(claims=((MUST, Outcome.FAILED), (MUST, Outcome.FAILED))),
            {},
            1,
            "2 MUST requirements failed (X-0, X-1)",
        ),
        (
            Given(claims=((SHOULD, Outcome.FAILED),)),
            {},
            0,
            "nothing that must hold failed; below that level: X-0",
        ),
        (Given(claims=((SHOULD, Outcome.FAILED),)), {"fail_on": SHOULD}, 1, "1 SHOULD requirement failed (X-0)"),
        (Given(claims=((SHOULD, Outcome.FAILED),)), {"fail_on": STRICT}, 1, "1 SHOULD requirement failed (X-0)"),
        (Given(claims=((STRICT, Outcome.FAILED), (MUST, Outcome.PASSED))), {"fail_on": SHOULD}, 0, "nothing that must"),
        (replace(ONE_PASSED, violation=Outcome.FAILED), {}, 1, "1 invariant failed (I6)"),
        (replace(ONE_PASSED, violation=Outcome.KNOWN_DEVIATION), {}, 0, "nothing failed"),
        (replace(ONE_PASSED, violation=Outcome.ERROR), {}, 3, "1 verdict in error, so the run does not tell"),
        (Given(claims=((MUST, Outcome.FAILED),), deviation=samples.DEVIATION), {}, 0, "nothing failed"),
        (
            Given(claims=((MUST, Outcome.FAILED),), deviation=EXPIRED),
            {},
            1,
            "1 listed deviation must be looked at again",
        ),
        (
            Given(claims=((SHOULD, Outcome.PASSED),), deviation=ALWAYS),
            {},
            1,
            "1 listed deviation must be looked at again",
        ),
        (replace(ONE_PASSED, deviation=samples.DEVIATION), {}, 0, "nothing failed"),
        (
            Given(claims=((MUST, Outcome.PASSED), (SHOULD, Outcome.NOT_TESTABLE))),
            {"require_all": True},
            1,
            "1 requirement is not testable here (X-1)",
        ),
        (Given(claims=((MUST, Outcome.PASSED), (SHOULD, Outcome.NOT_TESTABLE))), {}, 0, "nothing failed"),
        (Given(claims=((MUST, Outcome.PASSED), (MUST, Outcome.UNSUPPORTED))), {"require_all": True}, 0, "nothing"),
        (
            Given(claims=((MUST, Outcome.ERROR), (MUST, Outcome.INCONCLUSIVE), (MUST, Outcome.INCONCLUSIVE))),
            {},
            3,
            "1 verdict in error and 2 verdicts inconclusive, so the run does not tell",
        ),
        (Given(claims=((SHOULD, Outcome.INCONCLUSIVE), (MUST, Outcome.PASSED))), {}, 3, "1 verdict inconclusive"),
        (Given(claims=((MUST, Outcome.FAILED), (MUST, Outcome.ERROR))), {}, 1, "1 MUST requirement failed"),
        (Given(), {}, 4, "nothing was judged"),
        (Given(claims=((MUST, Outcome.NOT_TESTABLE), (MUST, Outcome.UNSUPPORTED))), {}, 4, "nothing was judged"),
        (Given(claims=((MUST, Outcome.NOT_TESTABLE),)), {"require_all": True}, 1, "1 requirement is not testable here"),
        (Given(), {"not_begun": "no Go here; install it"}, 2, "no Go here; install it"),
        (ONE_PASSED, {"not_begun": "no Go here; install it"}, 0, "nothing failed"),
        (replace(ONE_PASSED, finished=False), {}, 130, "the run was interrupted"),
        (Given(claims=((MUST, Outcome.FAILED),)), {"interrupted": True}, 130, "the run was interrupted"),
        (Given(), {"interrupted": True, "not_begun": "x"}, 130, "the run was interrupted"),
    ],
)
def test_exit_code(given_: Given, options: dict[str, Any], code: int, why: str) -> None:
    """The exit code is the first of the list that holds, and a sentence says why."""
    decision = decide(given_.result(), **options)
    assert decision.code == code, decision.why
    assert why in decision.why


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Decision(4, "nothing was judged")),
        ({"not_begun": "a port is taken"}, Decision(2, "a port is taken")),
        ({"interrupted": True}, Decision(130, "the run was interrupted; the results so far are kept")),
    ],
)
def test_exit_code_without_a_result(options: dict[str, Any], expected: Decision) -> None:
    """A run without a result judged nothing."""
    assert decide(None, **options) == expected


def test_many_failures_are_abridged() -> None:
    """The sentence names five requirements and counts the others."""
    decision = decide(Given(claims=((MUST, Outcome.FAILED),) * 7).result())
    assert decision.why == "7 MUST requirements failed (X-0, X-1, X-2, X-3, X-4 and 2 more)"


@pytest.mark.parametrize(
    ("fail_on", "expected"),
    [
        (Level.MUST, [Level.MUST]),
        (Level.SHOULD, [Level.MUST, Level.SHOULD]),
        (Level.STRICT, [Level.MUST, Level.SHOULD, Level.STRICT]),
    ],
)
def test_levels_that_bind(fail_on: Level, expected: list[Level]) -> None:
    """--fail-on names the lowest level whose failures fail the run."""
    assert [level for level in Level if binding(level, fail_on)] == expected


claims = st.tuples(st.sampled_from([MUST, SHOULD, STRICT]), st.sampled_from(list(Outcome)))


@given(st.lists(claims, max_size=6))
def test_zero_means_judged_and_nothing_open(found: list[tuple[Level, Outcome]]) -> None:
    """Exit code 0 means that something was judged, no MUST failed, and nothing is error or inconclusive."""
    decision = decide(Given(claims=tuple(found)).result())
    outcomes = [outcome for _, outcome in found]
    good = (
        any(outcome in JUDGED for outcome in outcomes)
        and (MUST, Outcome.FAILED) not in found
        and not {Outcome.ERROR, Outcome.INCONCLUSIVE} & set(outcomes)
    )
    assert (decision.code == 0) == good
