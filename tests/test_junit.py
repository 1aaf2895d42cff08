"""JUnit XML: what a CI system gets to read of a result."""

from __future__ import annotations

import platform
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

import report_samples as samples
from conformance.errors import HarnessError
from conformance.outcomes import Outcome
from conformance.report import junit, model


def rendered(result: model.Result | None = None) -> ET.Element:
    return ET.fromstring(junit.render(result or samples.result(), samples.CATALOGUE))


def case(root: ET.Element, name: str) -> ET.Element:
    return next(found for found in root.iter("testcase") if found.get("name") == name)


def properties(found: ET.Element) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in found.iter("property")}


def test_suites_are_areas_in_the_catalogues_order() -> None:
    """There is one suite per area that was selected, in the catalogue's order, and one for the invariants."""
    names = [suite.get("name") for suite in rendered().iter("testsuite")]
    assert names == ["adm", "up", "del", "tas", "roll", "fail", "wl", "invariants"]


def test_case_carries_requirement_and_level() -> None:
    """Each case names its requirement, level, feature, story, moment and outcome as properties."""
    assert properties(case(rendered(), "test_up::test_new_group_waits")) == {
        "requirement": "UP-02",
        "level": "MUST",
        "outcome": "failed",
        "feature": "scaling",
        "story": "scale_up",
        "moment": "before admitted, at revision 512",
        "expectation": "gated",
    }


@pytest.mark.parametrize(
    ("name", "tag", "message"),
    [
        ("test_wl::test_counts", None, None),
        (
            "test_up::test_new_group_waits",
            "failure",
            "Pod t-1/seed-1-0 spec.schedulingGates: expected kueue.x-k8s.io/admission, observed none",
        ),
        (
            "test_up::test_as_many_as_fit",
            "error",
            "not reached, because of test_up::scale_up::room[ADM-06]: the moment `room` did not come",
        ),
        ("test_del::test_gone", "error", "the API server went away"),
        (
            "test_tas::test_one_rack",
            "skipped",
            "known deviation https://github.com/kubernetes-sigs/kueue/issues/1: one_rack: observed r1, r2",
        ),
        ("test_roll::test_order", "skipped", "rolling-update is not declared"),
        ("test_fail::test_moves", "skipped", "the cluster lacks edits-nodes"),
        ("I1", None, None),
        ("I2", "failure", "one_rack Node t-2-h1: 2 GPUs are assigned, 1 is allocatable"),
    ],
)
def test_verdict_of_a_case(name: str, tag: str | None, message: str | None) -> None:
    """Failed is a failure, error and inconclusive are errors, known deviations and what was not judged are skips."""
    verdicts = [element for element in case(rendered(), name) if element.tag != "properties"]
    assert [element.tag for element in verdicts] == ([tag] if tag else [])
    assert [element.get("message") for element in verdicts] == ([message] if message else [])


def test_failure_tells_what_a_person_needs() -> None:
    """A failure's text has the sentence, the facts, the timeline and the command that repeats it, line by line."""
    failure = case(rendered(), "test_up::test_new_group_waits").find("failure")
    assert failure is not None
    assert (failure.text or "").splitlines() == [
        "A group that scale-up adds stays gated until its own Workload is admitted.",
        "expectation: gated",
        "object: Pod t-1/seed-1-0 spec.schedulingGates",
        "expected: kueue.x-k8s.io/admission",
        "observed: none",
        "moment: before admitted, at revision 512",
        *samples.FAILED.evidence,
        "kueue-lws-conformance run --story scale_up -k test_new_group_waits",
    ]


def test_counts_add_up() -> None:
    """The counts of the suites and of the whole are those of the cases in them."""
    root = rendered()
    for element in (root, *root.iter("testsuite")):
        cases = list(element.iter("testcase"))
        tags = [child.tag for found in cases for child in found if child.tag != "properties"]
        counted = (len(cases), tags.count("failure"), tags.count("error"), tags.count("skipped"))
        assert tuple(int(element.get(name, "")) for name in ("tests", "failures", "errors", "skipped")) == counted
    assert root.get("tests") == "14"


def test_stale_deviation_is_a_failing_case() -> None:
    """A listed deviation that should always show, but does not, fails in the XML as it fails the run."""
    deviation = msgspec.structs.replace(samples.DEVIATION, kind="always")
    line = samples.claim_line("test_wl::test_counts", "WL-07", Outcome.PASSED, deviation=deviation)
    root = rendered(samples.result([*samples.head(), line]))
    failure = case(root, "WL-07 listed deviation").find("failure")
    assert failure is not None
    assert "is said to show always, but did not" in failure.get("message", "")


def test_unselected_requirements_are_left_out() -> None:
    """Requirements outside the run's selection make no cases."""
    names = {properties(found)["requirement"] for found in rendered(samples.result(samples.passing())).iter("testcase")}
    assert names == {"ADM-01", "UP-02", "I1"}


def test_no_host_name_and_always_the_same() -> None:
    """The document names no host, and equal results give equal bytes."""
    document = junit.render(samples.result(), samples.CATALOGUE)
    assert b"hostname" not in document
    assert platform.node().encode() not in document
    assert document == junit.render(samples.result(), samples.CATALOGUE)


def test_characters_that_xml_cannot_hold() -> None:
    """Control characters in a cluster's texts do not spoil the document; markup in them stays text."""
    line = msgspec.structs.replace(samples.FAILED, observed="\x1b[31m<none>\x00 & \ud800", evidence=[])
    failure = case(rendered(samples.result([*samples.head(), line])), line.id).find("failure")
    assert failure is not None
    assert failure.get("message", "").endswith("observed \ufffd[31m<none>\ufffd & \ufffd")


def test_writing(tmp_path: Path) -> None:
    """The file's folder is made; a file that cannot be written is told with the option's name."""
    target = tmp_path / "reports" / "junit.xml"
    junit.write(target, samples.result(), samples.CATALOGUE)
    assert target.read_bytes() == junit.render(samples.result(), samples.CATALOGUE)
    with pytest.raises(HarnessError, match="name another file with --junit"):
        junit.write(tmp_path, samples.result(), samples.CATALOGUE)
