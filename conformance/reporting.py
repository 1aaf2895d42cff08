"""Between pytest's reports and the run's log: an item's outcome is settled where it ran, recorded by the controller.

A report carries its log lines as text, so that they cross from an xdist worker to the controller as they are.
"""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from conformance.collecting import CLAIMED, Claimed
from conformance.errors import HarnessError, UsageError
from conformance.outcomes import Outcome
from conformance.report import building, junit, log, words
from conformance.requirements import load
from conformance.session import Session
from conformance.verdicts import line_of

LINES = "conformance_lines"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(log.Line).decode


def settle_report(
    session: Session, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> pytest.TestReport:
    """Give a report its outcome, its text and its log lines."""
    claimed = item.stash.get(CLAIMED, None)
    if claimed is None:
        return report
    lines: list[log.Line] = list(item.stash.get(INVARIANT_LINES, ())) if call.when == "call" else []
    if claimed.record is not None:
        line = _claim_line(session, item, claimed, call, report)
        if line is not None:
            lines.append(line)
            _present(report, line, claimed, item.config.get_verbosity())
    elif call.excinfo is not None and call.when == "call":
        report.longrepr = str(call.excinfo.value)
    setattr(report, LINES, [_encode(line).decode() for line in lines])
    return report


INVARIANT_LINES = pytest.StashKey[list[log.Line]]()


def _claim_line(
    session: Session, item: pytest.Item, claimed: Claimed, call: pytest.CallInfo[None], report: pytest.TestReport
) -> log.ClaimLine | None:
    id_ = claimed.id
    if report.when == "setup" and report.outcome == "skipped" and claimed.record is not None:
        outcome = claimed.prospect.outcome or Outcome.NOT_SELECTED
        reason = claimed.prospect.reason
        return log.ClaimLine(
            id=id_, requirements=[claimed.record.id], story=claimed.story.name, outcome=outcome, reason=reason
        )
    error = call.excinfo.value if call.excinfo is not None else None
    if report.when == "setup" and error is None:
        return None
    if report.when == "teardown" and error is None:
        return None
    told = item.stash.get(Session.TOLD, None)
    name = claimed.record.id if claimed.record else ""
    return line_of(id_, claimed, error, told, session.deviation(name) if error is None or session.began else None)


def _present(report: pytest.TestReport, line: log.ClaimLine, claimed: Claimed, verbosity: int) -> None:
    """What plain pytest shows: failed, error and inconclusive fail; a known deviation is an xfail."""
    if report.outcome == "skipped":
        return
    outcome = building.apply_deviation(line.outcome, line.deviation, date.today())
    if outcome is Outcome.KNOWN_DEVIATION and line.deviation is not None:
        report.outcome, report.wasxfail = "skipped", f"known deviation: {line.deviation.issue}"
        report.longrepr = None
    elif outcome is not Outcome.PASSED:
        report.outcome = "failed"
        report.longrepr = describe(line, claimed)
    elif line.deviation is not None and date.today() > line.deviation.expires:
        # That an `always` deviation no longer shows can only be said of the requirement, of all its claims together.
        report.outcome, report.longrepr = "failed", building.stale(outcome, line.deviation, date.today())


def describe(line: log.ClaimLine, claimed: Claimed) -> str:
    """A failed claim as plain text: sentence, expectation, object and field, moment, timeline, how to repeat it."""
    title = {Outcome.INCONCLUSIVE: "not reached", Outcome.ERROR: "error"}.get(line.outcome, "failed")
    facts = {
        "expectation": line.expectation,
        "object": " ".join(part for part in (line.object, line.field) if part),
        "expected": line.expected,
        "observed": line.observed,
        "moment": line.window or line.moment,
        "because": line.reason,
        "caused by": line.caused_by,
    }
    shown = [f"  {name:12} {text}" for name, text in facts.items() if text]
    evidence = ["  timeline", *(f"    {entry}" for entry in line.evidence)] if line.evidence else []
    again = f"  again        {words.repeat(building.claim_of(line, date.today()))}"
    record = claimed.record
    level = f"{record.id} ({record.level})" if record else ""
    return "\n".join([f"{title}: {level} {claimed.sentence}", *shown, *evidence, again])


def lines_of(report: pytest.TestReport) -> list[log.Line]:
    """The log lines that a report carries."""
    return [_decode(text.encode()) for text in getattr(report, LINES, ())]


def record(session: Session, report: pytest.TestReport) -> None:
    """Append a report's lines to the run's log."""
    if session.log is None:
        return
    for line in lines_of(report):
        try:
            session.log.append(line)
            if isinstance(line, log.ClaimLine):
                session.recorded.add(line.id)
        except HarnessError as error:
            session.problem = session.problem or str(error)
            session.cancel(str(error))


def to_judge(items: list[pytest.Item]) -> list[log.ClaimLine]:
    """What is to be said of each claim that the run is to judge, should it end before."""
    claims = (item.stash.get(CLAIMED, None) for item in items)
    return [
        unjudged(claimed.id, claimed.record.id, claimed.story.name)
        for claimed in claims
        if claimed is not None and claimed.record is not None and claimed.prospect.judged
    ]


def unjudged(id_: str, requirement: str, story: str) -> log.ClaimLine:
    """A claim that was to be judged and was not: after -x, --fail-fast or Ctrl-C."""
    reason = "the run ended before this was judged"
    return log.ClaimLine(id=id_, requirements=[requirement], story=story, outcome=Outcome.INCONCLUSIVE, reason=reason)


def note_unjudged(session: Session) -> None:
    """Say of every claim that was to be judged and was not, that it is undecided."""
    if session.log is not None:
        for line in session.to_judge:
            if line.id not in session.recorded:
                session.log.append(line)


def write_results(session: Session) -> str | None:
    """Write `result.json`, and JUnit XML where asked for; what went wrong with that, in a sentence."""
    catalogue = load()
    try:
        session.result = building.build(log.read(session.folder), catalogue)
        building.write_result(session.folder, session.result)
        if session.settings.junit is not None:
            junit.write(session.settings.junit, session.result, catalogue)
    except (HarnessError, UsageError) as error:
        return str(error)
    return None
