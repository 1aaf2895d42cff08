"""Faults of the harness: what of ours does not do its part gives `error` or `inconclusive`, and never a verdict.

A watch that stalls or loses something is the recorder's own client, tampered with; the rest is done to processes.
A controller that dies and a disk that fills up are in `test_run_endings`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commands import Place, eventually

from conformance.clusters.local import LocalCluster
from conformance.deadlines import Deadlines
from conformance.kube import Kube, Object
from conformance.names import KINDS, RUN_LABEL
from conformance.outcomes import Outcome
from conformance.rejudging import judge_claim
from conformance.report import building
from conformance.suite import whole_suite
from conformance.trace.history import is_true
from conformance.trace.recorder import Recorder
from conformance.world.builders import priority_class
from conformance.world.teller import Teller
from conformance.world.tenant import Ground

pytestmark = [pytest.mark.cluster, pytest.mark.thorough]
STORY = "two_sets_share_a_queue"
UNDECIDED = {Outcome.ERROR, Outcome.INCONCLUSIVE}
Lost = Callable[[str, Object], bool]
"""Whether the watch loses an event: its type and its object."""
_read = msgspec.json.Decoder(dict[str, Any]).decode


class Tampered(Kube):
    """The client, whose watch of one kind loses what `lost` says, or falls silent where `stalls` says."""

    def __init__(self, kubeconfig: Path, kind: str, *, lost: Lost | None = None, stalls: Lost | None = None) -> None:
        super().__init__(kubeconfig, "test-harness-faults")
        self._path, self._lost, self._stalls = KINDS[kind].path(), lost, stalls
        self.tampered = threading.Event()
        self.over = threading.Event()

    def stream(
        self,
        path: str,
        query: Mapping[str, Any],
        *,
        idle: float,
        opened: Callable[[Callable[[], None]], None] | None = None,
    ) -> Iterator[bytes]:
        for line in super().stream(path, query, idle=idle, opened=opened):
            event = _read(line) if path == self._path else {}
            told = (event.get("type", ""), event.get("object", {}))
            if event and self._lost is not None and self._lost(*told):
                self.tampered.set()
                continue
            if event and self._stalls is not None and self._stalls(*told):
                self.tampered.set()
                self.over.wait()
                return
            yield line


def a_deletion(type_: str, obj: Object) -> bool:
    """That of a pod of the set that the story deletes."""
    return type_ == "DELETED" and obj["metadata"]["name"] == "first-0"


def the_last_change(type_: str, obj: Object) -> bool:
    """What a Workload of the second set becomes last, which no wait of the story waits for, and all after it."""
    owners = [owner["name"] for owner in obj["metadata"].get("ownerReferences") or ()]
    return type_ == "MODIFIED" and "second" in owners and is_true(obj, "PodsReady")


def from_the_second_set_on(type_: str, obj: Object) -> bool:
    return any(owner["name"] == "second" for owner in obj["metadata"].get("ownerReferences") or ())


TAMPERINGS: dict[str, tuple[str, dict[str, Lost]]] = {
    "it loses a deletion": ("Pod", {"lost": a_deletion}),
    "it loses an object's last change": ("Workload", {"lost": the_last_change}),
    "it stalls": ("Workload", {"stalls": from_the_second_set_on}),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_watch_that_is_not_to_be_trusted(local_cluster: LocalCluster, tmp_path: Path, how: str) -> None:
    """Whatever a watch loses, no claim of the story passes, and none fails."""
    kind, what = TAMPERINGS[how]
    kube = Tampered(local_cluster.kubeconfig, kind, **what)
    outcomes = set(told(local_cluster, kube, tmp_path).values())
    assert kube.tampered.is_set()
    assert outcomes
    assert outcomes <= UNDECIDED


def test_a_watch_that_is_to_be_trusted(local_cluster: LocalCluster, tmp_path: Path) -> None:
    """The same story told in the same way, with nothing tampered with, passes in all claims."""
    kube = Tampered(local_cluster.kubeconfig, "Pod", lost=lambda type_, obj: False)
    assert set(told(local_cluster, kube, tmp_path).values()) == {Outcome.PASSED}


def told(cluster: LocalCluster, watching: Kube, folder: Path) -> dict[str, Outcome]:
    """The outcome of each claim of the story, told and recorded by this client."""
    run = f"harness-{time.monotonic_ns() % 10**6}"
    world = Kube(cluster.kubeconfig, "test-harness-faults")
    world.create(priority_class(f"{run}-canary", -100, {RUN_LABEL: run}))
    recorder = Recorder(watching, folder / "trace.ndjson", run=run, ordered=True, on_error=lambda problem: None)
    recorder.start(60)
    ground = Ground(world, recorder, Deadlines(0.4), run, f"{run}-canary", cluster.capabilities, cluster.check)
    teller = Teller(ground, logs=folder, at_once=1, keep_namespaces=True)
    suite = whole_suite()
    (story,) = [one for one in suite.stories if one.name == STORY]
    try:
        telling = teller.await_told(story)
        history = teller.history(story)
        return {
            claim.id: Outcome.ERROR if telling.problem else judge_claim(claim, history).outcome
            for claim in suite.of_story(STORY)
        }
    finally:
        if isinstance(watching, Tampered):
            watching.over.set()
        teller.finish(60)
        recorder.stop()
        world.delete("WorkloadPriorityClass", f"{run}-canary")


def the_run(place: Place) -> Any:
    """A run of one story, in the middle of it."""
    run = place.start("run", "--out", place.results, "--story", STORY, "--slow", "0.5")
    log = place.results / "stories" / f"{STORY}.log"

    def first_runs() -> bool:
        return run.process.poll() is not None or (log.exists() and "first-runs" in log.read_text())

    eventually("the first set runs", first_runs)
    return run


def outcomes(place: Place) -> set[Outcome]:
    """Of everything that was judged in the run, but what had come true before."""
    result = building.read_result(place.results)
    told = [claim for one in result.requirements for claim in one.claims if claim.moment != "first-runs"]
    return {claim.outcome for claim in told}


def test_an_api_server_that_goes_away(place: Place) -> None:
    """When the API server ends in the middle of a story, restarted or not, what it should have shown is an error."""
    run = the_run(place)
    os.kill(place.pid_of("kube-apiserver"), signal.SIGKILL)
    ended = run.ended()
    assert ended.code == 3, str(ended)
    assert ended.errors == "error: kube-apiserver was killed by signal 9\n"
    assert outcomes(place) <= UNDECIDED
    assert place.left_after() == []


def test_no_kubelet(place: Place) -> None:
    """When KWOK stops without dying, a story whose pods nobody runs or ends is an error that says so."""
    run = the_run(place)
    kwok = place.pid_of("kwok")
    os.kill(kwok, signal.SIGSTOP)
    try:
        ended = run.ended()
    finally:
        with contextlib.suppress(ProcessLookupError):  # the keeper ends with force what does not end by itself
            os.kill(kwok, signal.SIGCONT)
    assert ended.code == 3, str(ended)
    assert "see whether KWOK is at work" in ended.output
    assert outcomes(place) <= UNDECIDED
