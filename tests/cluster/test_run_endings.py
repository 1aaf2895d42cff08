"""Runs that do not come to their proper end: killed, interrupted, left by a component, out of disk space."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import SLOW, Ended, Place, Running, eventually

from conformance.outcomes import JUDGED, Outcome
from conformance.report import building, log, model
from conformance.trace.reading import Trace

pytestmark = pytest.mark.cluster
FIRST, SECOND = "page_sample", "scale_up_in_steps"
ONE_AFTER_THE_OTHER = ("--story", FIRST, "--story", SECOND, "--stories-at-once", "1", *SLOW)
"""A short story, and while that is judged a long one."""


def claims(results: Path) -> list[log.ClaimLine]:
    """What is in the log of a run so far."""
    if not (results / log.FILE).exists():
        return []
    return [line for line in log.read(results) if isinstance(line, log.ClaimLine)]


def in_the_middle(place: Place, results: Path | None = None) -> Running:
    """A run whose first story is judged while its second is told."""
    results = results or place.results
    run = place.start("run", "--out", results, *ONE_AFTER_THE_OTHER)
    told = f"{SECOND}.log"
    eventually(
        "the first story is judged and the second begun",
        lambda: run.process.poll() is not None or (claims(results) and (results / "stories" / told).exists()),
    )
    assert run.process.poll() is None, str(run.ended())
    return run


def of_story(result: model.Result, story: str) -> list[model.Claim]:
    return [claim for one in result.requirements for claim in one.claims if claim.story == story]


def test_nothing_runs_on_when_a_run_is_killed(place: Place) -> None:
    """SIGKILL in the middle leaves no process after 5 s and no run folder; what was recorded can be judged."""
    run = in_the_middle(place)
    assert {"etcd", "kube-apiserver", "kueue", "lws"} <= {line.split()[0].rpartition("/")[2] for line in all_of(place)}
    run.kill()
    assert place.left_after() == []
    assert place.run_folders() == []
    assert FIRST in Trace(place.results / "trace.ndjson").stories
    before = {line.id: line.outcome for line in claims(place.results)}
    assert [line for line in claims(place.results) if line.outcome != Outcome.PASSED] == []
    again = place.command("judge", place.results, "--out", place.root / "again")
    assert again.code == 130, str(again)
    assert "Interrupted before the verdict on kueue" in again.output
    judged = {claim.id: claim.outcome for claim in of_story(building.read_result(place.root / "again"), FIRST)}
    assert before
    assert judged == before


def all_of(place: Place) -> list[str]:
    return list(place.processes().values())


def test_ctrl_c(place: Place) -> None:
    """Ctrl-C ends a run with 130; its results so far are written, what was not judged is undecided, nothing is left."""
    run = in_the_middle(place)
    run.interrupt()
    ended = run.ended()
    assert ended.code == 130, str(ended)
    assert place.left_after() == []
    assert place.run_folders() == []
    result = building.read_result(place.results)
    assert {claim.outcome for claim in of_story(result, FIRST)} <= {Outcome.PASSED, Outcome.INCONCLUSIVE}
    assert Outcome.PASSED in {claim.outcome for claim in of_story(result, FIRST)}
    assert {claim.observed for claim in of_story(result, SECOND)} == {"the run ended before this was judged"}
    assert "Interrupted before the verdict on kueue" in ended.output


def test_ctrl_c_before_anything_is_told(place: Place) -> None:
    """Ctrl-C while the cluster comes up ends the run with 130, and nothing is left."""
    run = place.start("run", "--out", place.results, *ONE_AFTER_THE_OTHER)
    eventually("the API server is started", lambda: any("kube-apiserver" in line for line in all_of(place)))
    run.interrupt()
    ended = run.ended()
    assert ended.code == 130, str(ended)
    assert ended.last_line == "the run was interrupted before anything was judged"
    assert ended.errors == ""
    assert place.left_after() == []
    assert place.run_folders() == []
    assert not place.results.exists()


def test_a_component_that_dies(place: Place) -> None:
    """When a component dies, all that is not judged yet is an error that names it; its log is told and kept."""
    run = in_the_middle(place)
    os.kill(place.pid_of("kueue"), signal.SIGKILL)
    ended = run.ended()
    assert ended.code == 3, str(ended)
    assert ended.errors == "error: kueue was killed by signal 9\n"
    result = building.read_result(place.results)
    undecided = [claim for claim in of_story(result, SECOND) if claim.outcome != Outcome.PASSED]
    assert undecided
    assert {(claim.outcome, claim.observed) for claim in undecided} == {("error", "kueue was killed by signal 9")}
    (folder,) = place.run_folders()
    assert f"logs of the components: {folder / 'logs'}" in unwrapped(ended)
    (died,) = [finding for finding in result.findings if finding.kind == "component-died"]
    assert died.source == str(folder / "logs")
    last = (folder / "logs" / "kueue.log").read_text().splitlines()[-1]
    assert died.text.splitlines()[-1] == last[:400]
    assert place.left_after() == []


def test_a_component_that_does_not_come_up(place: Place) -> None:
    """A component that ends while the cluster comes up ends the run with 2 and its last words; its log is kept."""
    config = place.root / "half.yaml"
    config.write_text("featureGates: {TopologyAwareScheduling: false}\n")  # others need this one
    ended = place.command("run", "--kueue-config", config, "--out", place.results, *ONE_AFTER_THE_OTHER)
    assert ended.code == 2, str(ended)
    first, *last_words = ended.errors.splitlines()
    assert first == "error: kueue exited with code 1; its last log lines:"
    assert "conflicting feature gates detected" in last_words[-1]
    (folder,) = place.run_folders()
    assert f"logs of the components: {folder / 'logs'}" in unwrapped(ended)
    assert place.left_after() == []


def unwrapped(ended: Ended) -> str:
    """The output with the lines that were broken for their length put together again."""
    return " ".join(part.strip() for part in ended.output.splitlines())


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    """A file system of 120 MB; needs root."""
    folder = place.root / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    place.end_all()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write until there is no room left."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(1 << 16)):
                pass
        except OSError:
            return


def test_a_disk_that_fills_up(place: Place, small_disk: Path) -> None:
    """When the results' disk is full, the run ends with 3 and one sentence, and what was recorded stays readable."""
    results = small_disk / "results"
    run = in_the_middle(place, results)
    fill(small_disk)
    ended = run.ended()
    assert ended.code == 3, str(ended)
    (sentence,) = ended.errors.splitlines()
    assert "No space left on device" in sentence
    judged = {line.id: line.outcome for line in claims(results) if line.outcome in JUDGED}
    assert judged
    assert place.left_after() == []
    again = place.command("judge", results)
    assert again.code in (3, 130), str(again)
    assert again.errors == ""


def test_no_room_for_the_results(place: Place, small_disk: Path) -> None:
    """A results folder on a disk that is nearly full is refused before anything is started."""
    fill(small_disk)
    ended = place.command("run", "--out", small_disk / "results")
    assert ended.code == 2, str(ended)
    assert "MB are left; free some, or name another folder with --out" in ended.sentence()
    assert place.run_folders() == []


def test_no_room_to_build(place: Place, small_disk: Path) -> None:
    """An empty store on a disk that is too small is refused before anything is built."""
    ended = place.command("run", "--store", small_disk / "store", "--out", place.results)
    assert ended.code == 2, str(ended)
    assert re.search(r"needs about .* GB and .* has .* GB left; free some", ended.sentence())
    assert place.run_folders() == []
