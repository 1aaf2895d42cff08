"""Choosing and reaching a cluster, and what is said when that is not possible: one sentence, and what to do."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.clusters import open_cluster, standing
from conformance.clusters.existing import ExistingCluster
from conformance.clusters.local import LocalCluster
from conformance.doctor import Check, examine
from conformance.errors import UsageError


def kubeconfig(tmp_path: Path, port: int) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "users": [{"name": "c", "user": {}}],
        "current-context": "c",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def silent_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("locla", {}, "unknown cluster 'locla'.*Did you mean 'local'"),
        ("kind", {}, "--cluster kind is not available yet; use --cluster local"),
        ("existing", {}, "needs a kubeconfig; name one with --kubeconfig"),
        ("local", {}, "needs its components"),
    ],
)
def test_a_cluster_that_cannot_be_opened(name: str, options: dict[str, Any], says: str) -> None:
    """An unknown provider, one that is not there yet, or one that lacks what it needs is a usage error."""
    with pytest.raises(UsageError, match=says):
        open_cluster(name, **options)


@pytest.mark.parametrize("content", [None, "a: [", "clusters: 1\n", "just words\n"])
def test_a_kubeconfig_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    """A kubeconfig that is missing or is none is a usage error that names it."""
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=f"cannot read kubeconfig {path}"):
        ExistingCluster(path).start()


def test_a_server_that_does_not_answer(tmp_path: Path, silent_port: int) -> None:
    """A kubeconfig whose server does not answer is a usage error that names both."""
    path = kubeconfig(tmp_path, silent_port)
    with pytest.raises(UsageError, match=f"http://127.0.0.1:{silent_port} does not answer") as error:
        ExistingCluster(path).start()
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_fake_nodes_on_an_existing_cluster_are_the_users_word(tmp_path: Path) -> None:
    """An existing cluster has no capability but those that the user says it has, and is never ours."""
    path = kubeconfig(tmp_path, 1)
    assert ExistingCluster(path).capabilities == frozenset()
    assert ExistingCluster(path, fake_nodes=True).capabilities == {"fake-nodes", "edits-nodes"}
    assert "owns-cluster" in LocalCluster.capabilities


def test_no_cluster_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a standing cluster there is none to attach to or to end, also when a lost one left its file."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lost = {name: str(tmp_path / "lost") for name in ("folder", "kubeconfig", "kubectl")}
    standing.state_folder().mkdir(parents=True)
    (standing.state_folder() / standing.FILE).write_text(yaml.safe_dump(lost))
    for wanted in (standing.attach, standing.down):
        with pytest.raises(UsageError, match="no cluster is up; start one with"):
            wanted()


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_doctor_finds_nothing_wrong_with_what_runs_here(tmp_path: Path) -> None:
    """Each check has a name of its own and one line, and this Python and its ports are in order."""
    checks = examine(store=tmp_path)
    assert len(by_name(checks)) == len(checks)
    assert all(check.text and "\n" not in check.text for check in checks)
    assert {name for name in ("python", "store", "ports", "versions") if by_name(checks)[name].ok} == {
        "python", "store", "ports", "versions",
    }  # fmt: skip


def test_doctor_names_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in a place that is no folder and a run folder with too long a path are told, with what to do."""
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 100)))
    found = by_name(examine(store=tmp_path / "file" / "store"))
    assert not found["store"].ok
    assert "--store" in found["store"].text
    assert not found["run folder"].ok
    assert "set TMPDIR" in found["run folder"].text


def test_doctor_looks_at_a_kubeconfig_only_if_it_is_named(tmp_path: Path, silent_port: int) -> None:
    """A named kubeconfig that does not lead anywhere is told, and what lies behind it is not looked at."""
    assert "kubeconfig" not in by_name(examine(store=tmp_path))
    found = by_name(examine(store=tmp_path, kubeconfig=kubeconfig(tmp_path, silent_port)))
    assert not found["kubeconfig"].ok
    assert not {"installed", "rights"} & set(found)
