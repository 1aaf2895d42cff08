"""Judging with pytest-xdist: the controller owns the cluster, workers tell stories and judge.

A worker learns only the results folder in advance. The controller writes `ready.json` there once everything is up, or
`broken.txt` with one sentence; a worker waits for either, and watches for the second as long as it works.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conformance.clusters import CONFIGURES_IMPLEMENTATION, RESTARTS_IMPLEMENTATION
from conformance.errors import HarnessError
from conformance.kube import Kube
from conformance.report import model
from conformance.report.log import claim_id
from conformance.reporting import unjudged
from conformance.requirements import Here
from conformance.session import Session
from conformance.settings import Settings
from conformance.suite import ClaimOfStory, whole_suite
from conformance.world.story import Story

READY, BROKEN = "ready.json", "broken.txt"
FOLDER = "conformance_folder"
"""The key of the results folder in xdist's workerinput."""
SEQUENTIAL = frozenset({CONFIGURES_IMPLEMENTATION, RESTARTS_IMPLEMENTATION})
LOOK_EVERY = 0.2
"""Seconds between two looks into the folder: between processes there is no wake-up that works on every system."""


class HandOver(msgspec.Struct, frozen=True):
    """What a worker needs to know of what the controller brought up."""

    run_id: str
    kubeconfig: str
    capabilities: list[str]
    thrown_away: bool
    cluster: dict[str, Any]
    implementation: dict[str, Any]
    scope: str = ""


def hand_over(session: Session) -> None:
    """Tell the workers that everything is up."""
    near = session.surroundings
    told = HandOver(
        session.run_id,
        str(near.cluster.kubeconfig),
        sorted(near.cluster.capabilities),
        near.thrown_away,
        dict(session.describe_cluster()),
        dict(session.describe_implementation()),
        near.scope,
    )
    unfinished = session.folder / f".{READY}"
    unfinished.write_bytes(msgspec.json.encode(told))
    os.replace(unfinished, session.folder / READY)


def tell_broken(folder: Path, message: str) -> None:
    """Tell the workers that the cluster is gone or never came up."""
    unfinished = folder / f".{BROKEN}"
    try:
        unfinished.write_text(message)
        os.replace(unfinished, folder / BROKEN)
    except OSError:
        pass  # the folder is what is broken; the workers end with the controller


def take_back(folder: Path) -> None:
    """Remove what was written for the workers."""
    for name in (READY, BROKEN):
        (folder / name).unlink(missing_ok=True)


class _Surroundings:
    """A worker's view of what the controller brought up: what it uses of `surroundings.Surroundings`."""

    audit_log = None

    def __init__(self, told: HandOver, session: WorkerSession) -> None:
        self.told, self._session = told, session
        self.cluster = _Cluster(Path(told.kubeconfig), frozenset(told.capabilities))
        self.thrown_away = told.thrown_away
        self.scope = told.scope

    def client(self, role: str, warned: Callable[[str], None] = lambda text: None) -> Kube:
        agent = f"kueue-lws-conformance/{role}"
        return Kube(self.cluster.kubeconfig, agent, timeout=self._session.deadlines["request"], warned=warned)

    def stories_at_once(self) -> int:
        return 1

    def restarting(self, lost: Callable[[str], None]) -> None:
        """Other workers' stories need the implementation as long as the run goes on."""

    def deviation(self, name: str) -> model.Deviation | None:
        from conformance.implementations.deviations import listed

        return listed(self.told.implementation["name"], self.told.implementation["version"], name)

    def describe_cluster(self) -> Mapping[str, Any]:
        return self.told.cluster

    def describe_implementation(self) -> Mapping[str, Any]:
        return self.told.implementation


class _Cluster:
    def __init__(self, kubeconfig: Path, capabilities: frozenset[str]) -> None:
        self.kubeconfig, self.capabilities = kubeconfig, capabilities


class WorkerSession(Session):
    """A run as an xdist worker has it: it tells a story when the first of its claims comes up."""

    def __init__(self, settings: Settings, folder: Path, worker: str) -> None:
        super().__init__(settings, "", say=lambda text: None)
        self.folder, self.worker = folder, worker

    def here(self) -> Here:
        """What the controller can judge, but for what no worker may do to the implementation of all."""
        here = super().here()
        forgone = dict.fromkeys(here.capabilities & SEQUENTIAL, "workers (-n) cannot restart what they share")
        return replace(here, capabilities=here.capabilities - SEQUENTIAL, forgone=forgone)

    def begin(self, stories: list[Story], *, for_workers: bool = False) -> None:
        """Wait for the controller's word, then begin to record. Raises HarnessError with the controller's sentence."""
        told = self._await_word()
        self.run_id = told.run_id
        self.surroundings = _Surroundings(told, self)  # type: ignore[assignment]
        self.began = True
        self._begin_telling(self.folder / f"trace-{self.worker}.ndjson")
        threading.Thread(target=self._watch, args=(self._break,), name="watch-controller", daemon=True).start()

    def _await_word(self) -> HandOver:
        while True:
            if (self.folder / BROKEN).exists():
                raise HarnessError((self.folder / BROKEN).read_text())
            if (self.folder / READY).exists():
                return msgspec.json.decode((self.folder / READY).read_bytes(), type=HandOver)
            time.sleep(LOOK_EVERY)

    def _watch(self, broken: Callable[[str], None]) -> None:
        while self._over is None:
            if (self.folder / BROKEN).exists():
                broken((self.folder / BROKEN).read_text())
                return
            time.sleep(LOOK_EVERY)

    def end(self, *, interrupted: bool, last: Callable[[], object] = lambda: None) -> None:
        """Stop telling and recording; the cluster is the controller's."""
        if hasattr(self, "teller"):
            self._end_telling()


class Controller:
    """The hooks that only the process with the cluster has when workers judge."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        self.session.folder.mkdir(parents=True, exist_ok=True)
        node.workerinput[FOLDER] = str(self.session.folder.absolute())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Every worker collects the same."""
        chosen = [claim for node in ids if (claim := _claims().get(claim_id(node))) is not None]
        self.session.to_judge = [unjudged(claim.id, claim.requirement, claim.story.name) for claim in chosen]

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """A story and its claims belong together: whoever tells it judges it.

        xdist's own `loadgroup` finds the group in a suffix of the node id, which pytest 9.2 no longer lets it append
        (seen with xdist 3.8); a scheduler that asks the suite needs no suffix, and no person ever sees one.
        """
        from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

        class ByStory(LoadScopeScheduling):  # type: ignore[misc]
            def _split_scope(self, nodeid: str) -> str:
                return story_of(nodeid)

        return ByStory(config, log)


@cache
def _claims() -> dict[str, ClaimOfStory]:
    """Every claim of the suite by its id, also as pytest has it for a file given alone, whose name it leaves out."""
    named = {claim.id: claim for claim in whole_suite().claims}
    return named | {id_[id_.index("::") :]: claim for id_, claim in named.items()}


def story_of(nodeid: str) -> str:
    """The story to which an item belongs; the node id itself for an item that is none of the suite's."""
    id_ = claim_id(nodeid)
    parts = id_.split("::")
    if parts[-1] == "invariants":
        return parts[1]
    claim = _claims().get(id_)
    return claim.story.name if claim is not None else nodeid
