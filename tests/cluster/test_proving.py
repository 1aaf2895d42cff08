"""Proving on a real control plane: neighbours that leave each other alone, and the command as a user runs it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from commands import SLOW, Place, eventually
from test_reference_e2e import USER

from conformance.clusters.local import LocalCluster
from conformance.components import Components
from conformance.deadlines import Deadlines
from conformance.implementations import FEATURES
from conformance.outcomes import ExitCode, Outcome
from conformance.proving import choosing, keeping, matrix
from conformance.proving.cells import Said
from conformance.proving.scopes import Scopes
from conformance.proving.telling import Account, tell
from conformance.requirements import Here, Selection, load
from conformance.suite import whole_suite
from conformance.world.teller import tenant_name

pytestmark = [pytest.mark.cluster, pytest.mark.thorough]
FAULT = "ungated-before-admission"
STORY = "room_for_two_of_three"
HERE = Here(frozenset(FEATURES), LocalCluster.capabilities)
ONE = choosing.provable(whole_suite(), load(), HERE, Selection("page"), stories=[STORY])
SCOPES = {"one": "", "two": "", FAULT: FAULT}
"""Name to fault: two healthy references and a faulty one."""


# Side by side


@dataclass
class SideBySide:
    """What each of three references was told, at the same time, and what they wrote."""

    accounts: dict[str, Account] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    written: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By name, the targets of all requests of a reference that changed something."""
    left: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def side(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SideBySide]:
    found, folder = SideBySide(), tmp_path_factory.mktemp("proving")
    scopes = Scopes(components, folder, slow=3, trace=True, at_once=2)
    scopes.start()
    problems: list[BaseException] = []

    def one(name: str, fault: str, up: threading.Barrier) -> None:
        try:
            with scopes.opened(name, fault, Deadlines(3)) as scope:
                found.labels[name] = scope.label
                up.wait()
                tell(scope, ONE.stories, ONE.of_story, lambda account: found.accounts.update({name: account}))
        except BaseException as error:
            up.abort()
            problems.append(error)

    try:
        up = threading.Barrier(len(SCOPES))
        threads = [threading.Thread(target=one, args=(name, fault, up)) for name, fault in SCOPES.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        audit = scopes.cluster.folder / "audit.log"
        found.written = {name: _changed(audit, USER.format(f"-{label}")) for name, label in found.labels.items()}
        found.left = _of_scopes(scopes.cluster)
        yield found
    finally:
        scopes.stop(failed=False)


def _changed(audit: Path, user: str) -> list[dict[str, Any]]:
    found = []
    for text in audit.read_text().splitlines():
        line = json.loads(text)
        if line["user"]["username"] == user and line["stage"] == "ResponseComplete":
            writes = line["verb"] in ("create", "update", "patch", "delete", "deletecollection")
            if writes and line["responseStatus"]["code"] < 300:
                found.append(line["objectRef"])
    return found


def _of_scopes(cluster: LocalCluster) -> list[str]:
    paths = (
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    )
    items = [item for path in paths for item in cluster.kube.request("GET", path)["items"]]
    return [item["metadata"]["name"] for item in items if "queueing-" in item["metadata"]["name"]]


@pytest.mark.parametrize("name", SCOPES)
def test_each_writes_in_its_own_scope_alone(side: SideBySide, name: str) -> None:
    """By the audit log, whatever a reference wrote is of its own tenant, or of its own making."""
    label = side.labels[name]
    tenant = tenant_name(label, ONE.story(STORY))
    inside = {target["namespace"] for target in side.written[name] if "namespace" in target}
    whole = {target["name"] for target in side.written[name] if "namespace" not in target}
    assert tenant in inside
    assert inside <= {tenant, f"queueing-system-{label}"}
    assert whole <= {tenant, f"zz-queueing-{label}"}


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_healthy_neighbour_passes(side: SideBySide, name: str) -> None:
    """Beside a faulty reference, all claims of a healthy one pass."""
    assert side.accounts[name].passed, side.accounts[name].verdicts


def test_the_faulty_one_fails(side: SideBySide) -> None:
    """At the same time, claims of the same story fail on the faulty one, each for an expectation that is told."""
    failed = [one for one in side.accounts[FAULT].verdicts if one.outcome is Outcome.FAILED]
    assert failed
    assert all(one.expectations and one.shown for one in failed)


def test_nothing_of_a_scope_is_left(side: SideBySide) -> None:
    """When a scope is done, its webhooks and rights are gone."""
    assert side.left == []


# The command


def prove(place: Place, *more: object) -> tuple[object, ...]:
    return ("prove", "--fault", FAULT, "--story", STORY, "--out", place.results, *SLOW, *more)


def test_a_fault_is_caught(place: Place) -> None:
    """`prove --fault` writes a matrix in which the fault is caught by the expectation that it names."""
    ended = place.command(*prove(place))
    found = matrix.read(place.results / matrix.FILE)
    assert ended.code in (ExitCode.OK, ExitCode.FAILED), str(ended)
    assert found.faults[FAULT].killers, str(ended)
    caught = [row for row in found.cells[FAULT].values() if row.said is Said.CAUGHT]
    assert all(row.expectations for row in caught)
    assert place.run_folders() == []
    assert place.left_after() == []


def test_an_interrupted_proof_is_gone_on_with(place: Place) -> None:
    """Ctrl-C keeps the cells that are there, leaves nothing running, and `--resume` tells only what is left."""
    two = ("--story", "quickly_up_and_down")
    running = place.start(*prove(place, *two))
    cells = place.results / keeping.FILE
    eventually("the first cells are there", lambda: cells.exists() and b"\n" in cells.read_bytes())
    running.interrupt()
    ended = running.ended()
    assert ended.code == ExitCode.INTERRUPTED, str(ended)
    assert place.run_folders() == []
    assert place.left_after() == []
    first = cells.read_bytes()
    again = place.command("prove", "--fault", FAULT, "--story", STORY, *two, "--resume", place.results, *SLOW)
    assert again.code in (ExitCode.OK, ExitCode.FAILED), str(again)
    assert "are there already" in again.output
    assert cells.read_bytes().startswith(first)
    assert len(cells.read_bytes().splitlines()) == 2
