"""An implementation that breaks its promises: which requirements fail, what is told of it, how it is repeated."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import SLOW, Ended, Place, a_place

from conformance.outcomes import Outcome
from conformance.report import building, model
from conformance.requirements import load

pytestmark = pytest.mark.cluster
GATES = (
    "TopologyAwareScheduling", "TASProfileMixed", "TASHandleOverlappingFlavors", "TASFailedNodeReplacement",
    "TASFailedNodeReplacementFailFast", "TASReplaceNodeOnPodTermination", "TASReplaceNodeDueToNotReadyOverFixedTime",
    "TASBalancedPlacement", "TASReplaceNodeOnNodeTaints", "TASMultiLayerTopology", "TASRespectNodeAffinityPreferred",
    "TASRecomputeAssignmentWithinSchedulingCycle",
)  # fmt: skip
"""The feature gates without which Kueue 0.19 knows nothing of topologies; it refuses to start with a part of them."""
BREAKS = {"V2", "V10", "V19", "TAS-03", "TAS-29"}
"""What is promised of a group that no rack fits, which such a Kueue admits all the same."""
STORIES = ("no_rack_fits", "same_rack_name_in_two_blocks", "page_sample")
FACTS = ("expectation", "object", "field", "expected", "observed", "moment", "timeline", "again")
EXAMPLE = "test_v10_racks_of_the_same_name_are_not_one_rack"


@dataclass(frozen=True)
class Broken:
    """A run against a Kueue that ignores topologies."""

    place: Place
    ended: Ended
    result: model.Result


@pytest.fixture(scope="module")
def broken() -> Iterator[Broken]:
    with a_place() as place:
        config = place.root / "no topology.yaml"
        config.write_text("featureGates:\n" + "".join(f"  {gate}: false\n" for gate in GATES))
        chosen = [part for name in STORIES for part in ("--story", name)]
        ended = place.command("run", "--kueue-config", config, "--out", place.results, *chosen, *SLOW)
        yield Broken(place, ended, building.read_result(place.results))


def test_what_fails_is_what_was_broken(broken: Broken) -> None:
    """A Kueue that ignores topologies fails the requirements about racks that fit no group, and those alone."""
    assert broken.ended.code == 1, str(broken.ended)
    failed = {one.id for one in broken.result.requirements if one.outcome == Outcome.FAILED}
    assert failed == BREAKS
    others = {claim.outcome for one in broken.result.requirements for claim in one.claims if one.id not in BREAKS}
    assert others == {Outcome.PASSED}
    assert f"exit code 1: {len(BREAKS)} MUST requirements failed" in broken.ended.last_line


def test_the_configuration_is_in_the_result(broken: Broken) -> None:
    """The result says with which configuration the implementation ran."""
    assert broken.result.implementation.config["featureGates"]["TopologyAwareScheduling"] is False


def told_of(ended: Ended, claim: str) -> list[str]:
    """The lines of the output about a failed claim."""
    lines = ended.output.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith("FAILED") and line.endswith(claim)]
    end = next(number for number in range(start, len(lines)) if lines[number].startswith("  again "))
    return lines[start : end + 1]


def test_a_failure_tells_everything(broken: Broken) -> None:
    """A failure shows sentence, expectation, object, field, expected and observed, the timeline, and a command."""
    told = told_of(broken.ended, EXAMPLE)
    labels = [line.split()[0] for line in told if line.startswith("  ") and line[2:3].isalpha()]
    facts = [label for label in labels if label in FACTS]
    assert facts == list(FACTS)
    text = " ".join(" ".join(line.split()) for line in told)
    assert load()["V10"].sentence in text
    assert "expected has kueue.x-k8s.io/admission observed []" in text
    for kind in ("LeaderWorkerSet lws", "Workload leaderworkerset-lws-0", "Pod lws-0", "Node h1"):
        assert kind in text


def test_the_command_repeats_just_that_claim(broken: Broken) -> None:
    """The command that a failure ends with selects its story and that claim alone, with the options of the run."""
    (command,) = [line.split(None, 1)[1] for line in told_of(broken.ended, EXAMPLE) if line.startswith("  again ")]
    name, verb, *options = shlex.split(command)
    assert (name, verb) == ("kueue-lws-conformance", "run")
    assert options[options.index("--kueue-config") + 1] == str(broken.place.root / "no topology.yaml")
    assert options[options.index("--slow") + 1] == "3.0"
    as_pytest = [f"--conformance-{part[2:]}" if part.startswith("--") else part for part in options]
    pytest_ = (Path(sys.executable).with_name("pytest"), "--pyargs", "conformance.suites", "--collect-only", "-q")
    listed = broken.place.start("--conformance-cluster", "local", *as_pytest, program=pytest_).ended()
    assert listed.code == 0, str(listed)
    assert [line.rpartition("::")[2] for line in listed.output.splitlines() if "::" in line] == [EXAMPLE]


def test_fail_fast_with_workers(broken: Broken, place: Place) -> None:
    """With --fail-fast the first failure ends the run, in xdist's workers too; what was not judged is undecided."""
    config, options = broken.place.root / "no topology.yaml", ("--story", STORIES[0], "--fail-fast", *SLOW)
    ended = place.command("run", "-n", "2", "--kueue-config", config, "--out", place.results, *options)
    assert ended.code == 1, str(ended)
    (line,) = [line for line in ended.output.splitlines() if line.startswith("FAILED")]
    result = building.read_result(place.results)
    claims = {claim.id: claim for found in result.requirements for claim in found.claims}
    (failed,) = [claim for claim in claims.values() if claim.outcome == Outcome.FAILED]
    assert line.endswith(failed.id)
    undecided = [claim for claim in claims.values() if claim.outcome == Outcome.INCONCLUSIVE]
    assert {claim.observed for claim in undecided} == {"the run ended before this was judged"}
    assert result.run.finished is not None
    assert place.left_after() == []


def test_the_run_folder_of_a_run_that_failed_is_kept(broken: Broken) -> None:
    """After a failure the run folder stays, without any process, and the user is told where the logs are."""
    (folder,) = broken.place.run_folders()
    assert f"{folder / 'logs'}" in "".join(broken.ended.output.split("\n"))
    assert (folder / "logs" / "kueue.log").stat().st_size > 0
    assert broken.place.left_after() == []
