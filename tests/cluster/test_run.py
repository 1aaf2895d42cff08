"""A whole run as a user has it, by the console command and by plain pytest: what it says, writes and leaves."""

from __future__ import annotations

import json
import platform
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from commands import CONSOLE, SLOW, Ended, Place, a_place

from conformance.outcomes import Outcome
from conformance.report import building, log, model
from conformance.requirements import load
from conformance.trace.invariants import INVARIANTS
from conformance.trace.reading import Trace

pytestmark = pytest.mark.cluster
SCHEMA = Path(building.__file__).with_name("schema.json")
PYTEST = (Path(sys.executable).with_name("pytest"), "--pyargs", "conformance.suites", "--conformance-cluster", "local")
SLOWLY = ("--conformance-slow", "3")
FINE = (Outcome.PASSED, Outcome.KNOWN_DEVIATION)


@dataclass(frozen=True)
class FullRun:
    """The page profile, run once for all tests that look at it."""

    place: Place
    ended: Ended
    result: model.Result

    @property
    def results(self) -> Path:
        return self.place.results

    @property
    def junit(self) -> Path:
        return self.place.root / "junit.xml"

    @property
    def selected(self) -> list[model.Requirement]:
        return [one for one in self.result.requirements if one.outcome != Outcome.NOT_SELECTED]


@pytest.fixture(scope="module")
def full() -> Iterator[FullRun]:
    with a_place() as place:
        ended = place.command("run", "--junit", place.root / "junit.xml", "--out", place.results, *SLOW)
        assert (place.results / building.FILE).exists(), str(ended)
        yield FullRun(place, ended, building.read_result(place.results))


def outcomes(result: model.Result) -> dict[str, Outcome]:
    """The outcome of every requirement and every claim, by id."""
    of_claims = {claim.id: claim.outcome for one in result.requirements for claim in one.claims}
    return {one.id: one.outcome for one in result.requirements} | of_claims


def test_real_kueue_passes_the_page_profile(full: FullRun) -> None:
    """The page profile on real Kueue ends with 0, and every requirement of it passed or deviates as listed."""
    assert full.ended.code == 0, str(full.ended)
    assert {one.id: one.outcome for one in full.selected if one.outcome not in FINE} == {}


def test_every_claimed_requirement_of_the_page_is_judged(full: FullRun) -> None:
    """What a run of the page profile judges is exactly what the catalogue says that it claims."""
    claimed = {record.id for record in load() if record.claimed and "page" in record.profiles}
    assert {one.id for one in full.selected if one.claims} == claimed


def test_the_result_is_as_its_schema_says(full: FullRun) -> None:
    """`result.json` is valid by the published schema."""
    jsonschema.validate(json.loads((full.results / building.FILE).read_bytes()), json.loads(SCHEMA.read_bytes()))


def test_the_result_names_the_command(full: FullRun) -> None:
    """The result has the command line as it was typed."""
    typed = shlex.split(full.result.run.command)
    assert typed == [CONSOLE.name, "run", "--junit", str(full.junit), "--out", str(full.results), *SLOW]


def test_the_defect_of_the_page_is_a_finding(full: FullRun) -> None:
    """The page's second sample, which cannot run as printed, is told as a finding and fails nothing."""
    (finding,) = [one for one in full.result.findings if one.kind == "page-defect"]
    assert "cannot run as printed" in finding.text
    assert "page-defect: The page's topology sample cannot run as printed" in full.ended.output


def test_writes_are_counted_by_component(full: FullRun) -> None:
    """The result counts what Kueue and LWS wrote, each apart."""
    assert full.result.writes is not None
    assert full.result.writes["kueue"]["create workloads"] > 0
    assert full.result.writes["lws"]["create statefulsets"] > 0
    assert "create statefulsets" not in full.result.writes["kueue"]


@pytest.mark.parametrize("name", INVARIANTS)
def test_every_invariant_is_judged_and_holds(full: FullRun, name: str) -> None:
    """Each invariant is judged in at least one state, and holds in all of them."""
    (found,) = [invariant for invariant in full.result.invariants if invariant.name == name]
    assert found.judged > 0
    assert found.violations == []


def test_junit_has_requirements_and_levels_and_no_host(full: FullRun) -> None:
    """Each case of the JUnit XML has its requirement's id and level as properties, and nothing names the machine."""
    document = full.junit.read_text()
    levels = {one.id: one.level for one in full.selected}
    seen: set[str] = set()
    for case in ET.fromstring(document).iter("testcase"):
        told = {prop.attrib["name"]: prop.attrib["value"] for prop in case.iter("property")}
        if told["requirement"] in levels:
            seen.add(told["requirement"])
            assert told["level"] == levels[told["requirement"]]
    assert seen == set(levels)
    assert "hostname" not in document
    assert platform.node() not in re.findall(r'"([^"]*)"', document)


def test_the_last_line_counts(full: FullRun) -> None:
    """The last line has the counts of requirements, claims and stories, and the exit code."""
    claims = {claim.id for one in full.selected for claim in one.claims}
    line = full.ended.last_line
    assert line.startswith(f"{len(full.selected)} requirements: ")
    assert f" · {len(claims)} claims of {len(full.result.stories)} stories · " in line
    assert line.endswith("exit code 0: nothing failed")


def test_nothing_is_left_of_a_run_that_passed(full: FullRun) -> None:
    """After a run that passed, its run folder and all of its processes are gone."""
    assert full.place.run_folders() == []
    assert full.place.left_after() == []


def test_judging_again_gives_the_same_outcomes(full: FullRun) -> None:
    """`judge` on the results folder comes to the same outcome of every requirement, claim and invariant."""
    again = full.place.root / "again"
    ended = full.place.command("judge", full.results, "--out", again)
    assert ended.code == 0, str(ended)
    judged = building.read_result(again)
    assert outcomes(judged) == outcomes(full.result)
    assert judged.invariants == full.result.invariants


def test_the_log_gives_the_same_bytes(full: FullRun) -> None:
    """The result made anew from the log is, byte for byte, the result that was written."""
    again = building.build(log.read(full.results), load())
    assert model.encode(again) == (full.results / building.FILE).read_bytes()


def test_plain_pytest(place: Place) -> None:
    """The documented pytest invocation judges a story, with pytest's own closing line and the folder of the results."""
    ended = place.start("--conformance-story", "page_sample", *SLOWLY, program=PYTEST).ended()
    assert ended.code == 0, str(ended)
    (results,) = (place.root / "conformance-results").iterdir()
    assert f"conformance results: conformance-results/{results.name}" in ended.output
    assert re.search(r"^=+ \d+ passed, \d+ deselected in .* =+$", ended.last_line), ended.last_line
    assert building.read_result(results).stories[0].name == "page_sample"
    assert place.run_folders() == []


def test_pytest_with_workers(place: Place) -> None:
    """With pytest-xdist each story is told once, all of it by one worker, and its claims carry their requirements."""
    stories = ("page_sample", "two_queues")
    chosen = [f"--conformance-story={name}" for name in stories]
    junit, out = place.root / "junit.xml", f"--conformance-out={place.results}"
    ended = place.start("-n", "2", f"--junitxml={junit}", out, *chosen, *SLOWLY, program=PYTEST).ended()
    assert ended.code == 0, str(ended)
    traces = [Trace(path) for path in place.results.glob("trace-gw*.ndjson")]
    assert sorted(name for trace in traces for name in trace.stories) == sorted(stories)
    result = building.read_result(place.results)
    assert {story.name for story in result.stories} == set(stories)
    requirements = {one.id for one in result.requirements if one.outcome == Outcome.PASSED}
    found = {p.attrib["value"] for p in ET.parse(junit).iter("property") if p.attrib["name"] == "requirement"}
    assert found == requirements
    assert "@" not in ended.output.replace("kueue-lws-conformance-", "")
    assert place.left_after() == []
