"""JUnit XML for CI systems: a suite per area, a case per requirement and claim. Same result, same bytes; no host name.

A failed claim is a failure, error and inconclusive are errors (they say nothing about the implementation), a known
deviation and what was not judged are skips. Requirements outside the selection are left out.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from conformance.errors import HarnessError
from conformance.outcomes import Level, Outcome, worst
from conformance.report import model, words
from conformance.report.building import Described, difference
from conformance.report.exitcode import stale_deviations

INVARIANTS: Final = "invariants"
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG: Final[dict[Outcome, str]] = {
    Outcome.FAILED: "failure",
    Outcome.ERROR: "error",
    Outcome.INCONCLUSIVE: "error",
    Outcome.KNOWN_DEVIATION: "skipped",
    Outcome.NOT_TESTABLE: "skipped",
    Outcome.UNSUPPORTED: "skipped",
    Outcome.NOT_SELECTED: "skipped",
}


def render(result: model.Result, catalogue: Iterable[Described]) -> bytes:
    """The XML document."""
    records = {record.id: record for record in catalogue}
    old = stale_deviations(result)
    root = ET.Element("testsuites", name=f"kueue-lws-conformance {words.subject(result)} {result.run.profile}")
    for area, requirements in words.by_area(result, records.values()).items():
        cases: list[ET.Element] = []
        for requirement in requirements:
            record = records[requirement.id]
            cases += [_case(requirement, claim, record) for claim in requirement.claims]
            if requirement.id in old:
                cases.append(_stale(requirement, old[requirement.id]))
        root.append(_suite(area, cases, result))
    if result.invariants:
        root.append(_suite(INVARIANTS, [_invariant(invariant) for invariant in result.invariants], result))
    _total(root, list(root))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def write(path: Path, result: model.Result, catalogue: Iterable[Described]) -> None:
    """Write the document. Raises HarnessError if that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(render(result, catalogue))
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror}; name another file with --junit") from error


def _suite(name: str, cases: list[ET.Element], result: model.Result) -> ET.Element:
    suite = ET.Element("testsuite", name=name, timestamp=result.run.started.strftime("%Y-%m-%dT%H:%M:%S"))
    suite.extend(cases)
    tests = list(suite)
    suite.set("tests", str(len(tests)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in tests)))
    return suite


def _total(root: ET.Element, suites: Iterable[ET.Element]) -> None:
    members = list(suites)
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in members)))


def _case(requirement: model.Requirement, claim: model.Claim, record: Described) -> ET.Element:
    facts = {"story": claim.story, "moment": claim.moment, "expectation": claim.expectation}
    case = _new_case(
        claim.story, claim.id, requirement.id, requirement.level, claim.outcome, requirement.feature, facts
    )
    message = _message(claim)
    if claim.outcome == Outcome.INCONCLUSIVE and requirement.caused_by:
        message = f"not reached, because of {requirement.caused_by}: {message}"
    if claim.outcome == Outcome.KNOWN_DEVIATION and requirement.deviation:
        message = f"known deviation {requirement.deviation.issue}: {message}"
    _verdict(case, claim.outcome, message, [record.sentence, *_facts(claim), *claim.evidence, words.repeat(claim)])
    return case


def _stale(requirement: model.Requirement, why: str) -> ET.Element:
    """A deviation that must be looked at fails the run, so it is a failing case of its own."""
    name = f"{requirement.id} listed deviation"
    case = _new_case("deviations", name, requirement.id, requirement.level, Outcome.FAILED, requirement.feature, {})
    _verdict(case, Outcome.FAILED, why, [])
    return case


def _invariant(invariant: model.Invariant) -> ET.Element:
    outcomes = [violation.outcome for violation in invariant.violations]
    outcome = worst(outcomes) if outcomes else Outcome.PASSED if invariant.judged else Outcome.NOT_TESTABLE
    case = _new_case(INVARIANTS, invariant.name, invariant.name, Level.MUST, outcome, None, {})
    texts: list[str] = []
    for violation in invariant.violations:
        where = " ".join(part for part in (violation.story, violation.object, violation.moment) if part)
        texts += [f"{where}: {violation.observed}" if where else violation.observed, *violation.evidence]
    _verdict(case, outcome, texts[0] if texts else "there was no state to judge it in", texts)
    return case


def _new_case(
    group: str,
    name: str,
    requirement: str,
    level: Level,
    outcome: Outcome,
    feature: str | None,
    facts: dict[str, str | None],
) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(group), name=_clean(name))
    properties = ET.SubElement(case, "properties")
    fixed = {"requirement": requirement, "level": str(level), "outcome": str(outcome), "feature": feature}
    for key, text in {**fixed, **facts}.items():
        if text is not None:
            ET.SubElement(properties, "property", name=key, value=_clean(text))
    return case


def _verdict(case: ET.Element, outcome: Outcome, message: str, lines: Iterable[str]) -> None:
    tag = _TAG.get(outcome)
    if tag is None:
        return
    element = ET.SubElement(case, tag, type=str(outcome), message=_clean(message))
    text = "\n".join(_clean(line) for line in lines)
    if text:
        element.text = text


def _message(claim: model.Claim) -> str:
    if claim.outcome != Outcome.FAILED and claim.outcome != Outcome.KNOWN_DEVIATION:
        return claim.observed or words.OUTCOME[claim.outcome]
    return f"{claim.object or claim.story}: {difference(claim.expected, claim.observed) or 'does not hold'}"


def _facts(claim: model.Claim) -> list[str]:
    facts = {
        "expectation": claim.expectation,
        "object": claim.object,
        "expected": claim.expected,
        "observed": claim.observed,
        "moment": claim.moment,
    }
    return [f"{label}: {text}" for label, text in facts.items() if text]


def _clean(text: str) -> str:
    """Without the characters that no XML document may hold."""
    return _NOT_IN_XML.sub("�", text)
