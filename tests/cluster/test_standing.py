"""A cluster that a user keeps: `cluster up`, runs that leave nothing on it, `clean` after a killed one, `down`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import SLOW, Place, Running, a_place, eventually

from conformance.components import DEFAULT
from conformance.kube import Kube
from conformance.names import OURS, RUN_LABEL
from conformance.outcomes import Outcome
from conformance.report import building, log

pytestmark = pytest.mark.cluster
KINDS = ("Namespace", "Node", "ClusterQueue", "ResourceFlavor", "Topology", "WorkloadPriorityClass")
REUSE = ("run", "--reuse", "--implementation", "installed", *SLOW)


class Standing:
    """The cluster that is up, and the place of the commands that use it."""

    def __init__(self, place: Place, shown: str) -> None:
        self.place, self.shown = place, shown
        (kubeconfig,) = re.findall(r"KUBECONFIG=(\S+)", shown)
        self.kubeconfig = Path(kubeconfig)
        self.kube = Kube(self.kubeconfig, "kueue-lws-conformance-test")

    def ours(self) -> list[str]:
        """Everything on the cluster that carries the label of a run, by kind and name."""
        labelled = {kind: self.kube.list(kind, labelSelector=RUN_LABEL)["items"] for kind in KINDS}
        return [f"{kind} {item['metadata']['name']}" for kind, items in labelled.items() for item in items]

    def in_the_middle(self, name: str) -> Running:
        """A run on it that has judged something and is telling on."""
        results = self.place.root / name
        run = self.place.start(*REUSE, "--stories-at-once", "2", "--out", results)
        eventually("a first claim is judged", lambda: run.process.poll() is not None or _has_claims(results))
        assert run.process.poll() is None, str(run.ended())
        return run


def _has_claims(results: Path) -> bool:
    return (results / log.FILE).exists() and any(isinstance(line, log.ClaimLine) for line in log.read(results))


@pytest.fixture(scope="module")
def standing() -> Iterator[Standing]:
    with a_place() as place:
        ended = place.command("cluster", "up")
        assert ended.code == 0, str(ended)
        yield Standing(place, ended.output)


def test_up_says_how_to_use_it(standing: Standing) -> None:
    """`cluster up` shows versions, kubeconfig, kubectl and logs, and how to run on it and to end it."""
    assert f"kueue {DEFAULT.kueue}, Kubernetes {DEFAULT.kubernetes}" in standing.shown
    assert "kueue-lws-conformance run --reuse" in standing.shown
    assert "kueue-lws-conformance cluster down" in standing.shown
    (kubectl,) = re.findall(r"kubectl: +(\S+)", standing.shown)
    get = ("--kubeconfig", standing.kubeconfig, "get", "namespace", "kueue-system", "--output=name")
    assert standing.place.start(*get, program=(kubectl,)).ended().output == "namespace/kueue-system\n"


def test_up_a_second_time(standing: Standing) -> None:
    """`cluster up` while one is up says so and what to do, and starts nothing."""
    ended = standing.place.command("cluster", "up")
    assert ended.code == 2, str(ended)
    assert ended.sentence().startswith(f"a cluster is up already in {standing.kubeconfig.parent}; use it with --reuse")
    assert standing.place.run_folders() == [standing.kubeconfig.parent]


def test_status(standing: Standing) -> None:
    """`cluster status` shows the cluster that is up and ends with 0."""
    ended = standing.place.command("cluster", "status")
    assert ended.code == 0, str(ended)
    assert f"KUBECONFIG={standing.kubeconfig}" in ended.output


def test_a_run_on_it_leaves_nothing(standing: Standing) -> None:
    """A run that reuses the cluster judges what is installed there, by its version, and leaves nothing on it."""
    results = standing.place.root / "reused"
    ended = standing.place.command(*REUSE, "--story", "page_sample", "--out", results)
    assert ended.code == 0, str(ended)
    result = building.read_result(results)
    assert (result.implementation.name, result.implementation.version) == ("installed", DEFAULT.kueue)
    assert Outcome.PASSED in {one.outcome for one in result.requirements}
    assert standing.ours() == []


def test_clean_removes_what_a_killed_run_left(standing: Standing) -> None:
    """After a run was killed in the middle, `clean` removes all that it left; the cluster itself stays well."""
    run = standing.in_the_middle("killed")
    run.kill()
    assert standing.ours() != []
    ended = standing.place.command("clean", *SLOW)
    assert ended.code == 0, str(ended)
    assert ended.output == "nothing of ours is left\n"
    assert standing.ours() == []
    assert standing.place.command("cluster", "status").code == 0


def test_clean_of_one_run(standing: Standing) -> None:
    """`clean --run` removes what that run left and nothing else."""
    for run in ("aaaa", "bbbb"):
        labels = {RUN_LABEL: run, f"{OURS}/tenant": f"{run}-test"}
        standing.kube.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{run}-test", "labels": labels}}
        )
    assert standing.place.command("clean", "--run", "aaaa").code == 0
    assert standing.ours() == ["Namespace bbbb-test"]
    assert standing.place.command("clean", "--kubeconfig", standing.kubeconfig).code == 0
    assert standing.ours() == []


def test_ctrl_c_leaves_nothing_on_it(standing: Standing) -> None:
    """A run that is interrupted takes what it has made off a cluster that stays."""
    run = standing.in_the_middle("interrupted")
    run.interrupt()
    ended = run.ended()
    assert ended.code == 130, str(ended)
    assert standing.ours() == []


def test_as_an_existing_cluster(standing: Standing) -> None:
    """By its kubeconfig the cluster is judged like any other that is there, and nothing is left on it."""
    results = standing.place.root / "existing"
    there = ("--cluster", "existing", "--kubeconfig", standing.kubeconfig, "--implementation", "installed")
    ended = standing.place.command("run", *there, "--fake-nodes", "--story", "page_sample", "--out", results, *SLOW)
    assert ended.code == 0, str(ended)
    result = building.read_result(results)
    assert result.cluster.provider == "existing"
    assert result.cluster.kubernetes == DEFAULT.kubernetes
    assert result.writes is None
    assert "single-etcd" not in result.cluster.capabilities
    header = json.loads((results / "trace.ndjson").read_text().splitlines()[0])
    assert header["ordered"] is False
    assert standing.ours() == []


def test_without_fake_nodes_nothing_can_be_tested(standing: Standing) -> None:
    """On an existing cluster without leave to make nodes, stories that need them are not told, and it is said why."""
    there = ("--cluster", "existing", "--kubeconfig", standing.kubeconfig, "--implementation", "installed")
    results = standing.place.root / "no-nodes"
    ended = standing.place.command("run", *there, "--story", "page_sample", "--out", results)
    assert ended.code == 4, str(ended)
    assert "not testable: this cluster lacks" in ended.output
    assert standing.ours() == []


def test_down(standing: Standing) -> None:
    """`cluster down` ends every process of the cluster and removes its folder; then there is none to show or to end."""
    ended = standing.place.command("cluster", "down")
    assert ended.code == 0, str(ended)
    assert standing.place.processes() == {}
    assert standing.place.run_folders() == []
    for command in ("status", "down"):
        ended = standing.place.command("cluster", command)
        assert ended.code == 2, str(ended)
        assert ended.sentence() == "no cluster is up; start one with `kueue-lws-conformance cluster up`"
