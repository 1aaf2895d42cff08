"""The sequential part of a run on a real cluster, and an implementation that does not come back in it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from commands import SLOW, Place, eventually

from conformance.outcomes import Outcome
from conformance.report import building, log, model
from conformance.trace.history import History
from conformance.trace.reading import Trace

pytestmark = pytest.mark.cluster
BESIDE, RESTART, RECONFIGURED = "page_sample", "implementation_restarts", "queue_name_comes_later"
STORIES = [part for name in (RECONFIGURED, RESTART, BESIDE) for part in ("--story", name)]
REFERENCE = ("run", "--implementation", "reference", "--profile", "full", *STORIES, *SLOW)


def of_story(result: model.Result, story: str) -> list[model.Claim]:
    return [claim for one in result.requirements for claim in one.claims if claim.story == story]


def test_the_phases_of_a_run(place: Place) -> None:
    """The stories of the phases are told one phase after the other when all else is cleaned up, and can be rejudged.

    What was stopped on purpose has not died.
    """
    ended = place.command(*REFERENCE, "--out", place.results)
    assert ended.code == 0, str(ended)
    trace = Trace(place.results / "trace.ndjson")
    histories = [History(trace.story(name), until="cleaned") for name in (BESIDE, RESTART, RECONFIGURED)]
    for earlier, later in pairwise(histories):
        assert earlier.fences["cleaned"].received < later.edits[0].received
    implementation = [f"{edit.verb} {edit.name}" for edit in histories[1].edits if edit.kind == "Implementation"]
    assert implementation == ["stop reference", "start reference"]
    result = building.read_result(place.results)
    assert {claim.outcome for name in (BESIDE, RESTART, RECONFIGURED) for claim in of_story(result, name)} == {
        Outcome.PASSED
    }
    assert [finding for finding in result.findings if finding.kind == "component-died"] == []
    assert "manageJobsWithoutQueueName" not in result.implementation.config
    again = place.command("judge", place.results, "--out", place.root / "again")
    assert again.code == 0, str(again)
    judged = building.read_result(place.root / "again")
    assert len(of_story(judged, RESTART)) == len(of_story(result, RESTART)) > 0
    assert place.left_after() == []


def test_ctrl_c_while_the_implementation_is_restarted(place: Place) -> None:
    """Ctrl-C in a phase ends a run with 130: what was judged stands, all else is undecided, and nothing is left."""
    run = place.start(*REFERENCE, "--out", place.results)
    story = place.results / "stories" / f"{RESTART}.log"

    def ended_or_stopped() -> bool:
        return run.process.poll() is not None or (story.exists() and "stop " in story.read_text())

    eventually("the implementation is stopped", ended_or_stopped)
    run.interrupt()
    ended = run.ended()
    assert ended.code == 130, str(ended)
    result = building.read_result(place.results)
    assert {claim.outcome for claim in of_story(result, BESIDE)} == {Outcome.PASSED}
    assert {claim.outcome for claim in of_story(result, RECONFIGURED)} == {Outcome.INCONCLUSIVE}
    assert [finding for finding in result.findings if finding.kind == "component-died"] == []
    assert place.left_after() == []
    assert place.run_folders() == []


def test_an_implementation_that_does_not_come_back(place: Place) -> None:
    """When it does not come back after a restart, what was to be judged then is an error; what was judged stands."""
    run = place.start(*REFERENCE, "--out", place.results)
    log_of_story = place.results / "stories" / f"{RESTART}.log"
    eventually("the restart's story has begun", lambda: run.process.poll() is not None or log_of_story.exists())
    (folder,) = place.run_folders()
    (folder / "reference" / "config.yaml").write_text("noSuchKey: true\n")  # read at its next start
    ended = run.ended()
    assert ended.code == 3, str(ended)
    why = "reference was stopped on purpose and does not come back: reference exited with code "
    assert ended.errors.startswith(f"error: {why}"), str(ended)
    result = building.read_result(place.results)
    assert {claim.outcome for claim in of_story(result, BESIDE)} == {Outcome.PASSED}
    for name in (RESTART, RECONFIGURED):
        assert {claim.outcome for claim in of_story(result, name)} == {Outcome.ERROR}
        assert all((claim.observed or "").startswith(why) for claim in of_story(result, name))
    lines = [line for line in log.read(place.results) if isinstance(line, log.FindingLine)]
    assert "noSuchKey" in "".join(line.text for line in lines if line.kind == "component-died")
    assert place.left_after() == []
