"""The local cluster as it really runs: rights, stages, deaths, two at once, and what is left of a killed run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import manifest_files
from conformance.clusters import standing
from conformance.clusters.existing import ExistingCluster
from conformance.clusters.local import LocalCluster
from conformance.components import Components
from conformance.deadlines import Deadlines
from conformance.errors import HarnessError, UsageError
from conformance.implementations import open_implementation
from conformance.implementations.installed import Installed
from conformance.kube import ApiError, Kube, Object
from conformance.names import HOLD_NOT_READY, HOLD_TERMINATING, KUEUE
from conformance.trace.history import condition, is_true

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
LIMIT = 60.0
RUNNER = """
import json, sys, threading
from conformance.clusters.local import LocalCluster
from conformance.components import DEFAULT, provide
cluster = LocalCluster(provide(DEFAULT))
cluster.start()
cluster.on_broken(lambda message: print(json.dumps(message), flush=True))
pids = {**cluster.processes.pids, "keeper": cluster.processes.keeper_pid}
print(json.dumps([str(cluster.kubeconfig), pids]), flush=True)
threading.Event().wait()
"""


def eventually(what: str, true: Callable[[], object]) -> None:
    """Return once something that the cluster does by itself has come true."""
    waiting = threading.Event()
    for _ in range(int(LIMIT / 0.05)):
        if true():
            return
        waiting.wait(0.05)
    pytest.fail(f"it did not come true within {LIMIT:.0f} s that {what}")


def kueue_object(kind: str, name: str, spec: Object, **meta: str) -> Object:
    return {"apiVersion": f"{KUEUE}/v1beta2", "kind": kind, "metadata": {"name": name, **meta}, "spec": spec}


def node(name: str, **annotations: str) -> Object:
    room = {"cpu": "4", "memory": "4Gi", "pods": "20"}
    meta = {"name": name, "labels": {"type": "kwok", "kubernetes.io/hostname": name}, "annotations": annotations}
    status = {"allocatable": room, "capacity": room}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": status}


def pod(name: str, on: str, **annotations: str) -> Object:
    meta = {"name": name, "namespace": "default", "annotations": annotations}
    spec = {"nodeName": on, "containers": [{"name": "c", "image": "none"}], "tolerations": [{"operator": "Exists"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def annotate(kube: Kube, kind: str, name: str, namespace: str | None, key: str, value: str | None) -> None:
    kube.patch(kind, name, namespace, {"metadata": {"annotations": {key: value}}})


def exists(kube: Kube, kind: str, name: str, namespace: str | None = None) -> bool:
    try:
        kube.get(kind, name, namespace)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def requests_of(cluster: LocalCluster, user: str) -> list[dict[str, Any]]:
    """The audit lines of a user."""
    lines = (json.loads(line) for line in (cluster.folder / "audit.log").read_text().splitlines())
    return [line for line in lines if line["user"]["username"] == user]


@pytest.fixture
def fake_node(local_cluster: LocalCluster) -> Iterator[str]:
    local_cluster.kube.create(node("rack-1"))
    yield "rack-1"
    local_cluster.kube.delete("Node", "rack-1")


def test_page_sample_runs(local_cluster: LocalCluster, fake_node: str) -> None:
    """The sample of the user page becomes ready, and neither LWS nor Kueue lacks a right on the way."""
    kube = local_cluster.kube
    quota = {
        "flavors": [{"name": "any", "resources": [{"name": "cpu", "nominalQuota": "2"}]}],
        "coveredResources": ["cpu"],
    }
    kube.create(kueue_object("ResourceFlavor", "any", {}))
    kube.create(kueue_object("ClusterQueue", "sample", {"namespaceSelector": {}, "resourceGroups": [quota]}))
    kube.create(kueue_object("LocalQueue", "user-queue", {"clusterQueue": "sample"}, namespace="default"))
    sample = manifest_files.read("page-sample.yaml")[0]
    sample["metadata"]["namespace"] = "default"
    name = kube.create(sample)["metadata"]["name"]

    def ready() -> bool:
        status: Object = kube.get("LeaderWorkerSet", name, "default").get("status", {})
        return status.get("readyReplicas") == 2

    eventually("both replicas of the sample are ready", ready)
    for controller in ("lws", "kueue"):
        user = f"system:serviceaccount:{controller}-system:{controller}-controller-manager"
        mine = requests_of(local_cluster, user)
        assert mine, f"{controller} has asked for nothing as {user}"
        assert [line["requestURI"] for line in mine if line["responseStatus"].get("code") == 403] == []
    kube.delete("LeaderWorkerSet", name, "default")
    eventually("the sample's Workloads are gone", lambda: kube.list("Workload", "default")["items"] == [])
    for kind, of, namespace in (
        ("LocalQueue", "user-queue", "default"),
        ("ClusterQueue", "sample", None),
        ("ResourceFlavor", "any", None),
    ):
        kube.delete(kind, of, namespace)


def test_every_component_is_somebody(local_cluster: LocalCluster) -> None:
    """KCM, scheduler, KWOK, LWS and Kueue each have an identity of their own in the audit log."""
    lines = (local_cluster.folder / "audit.log").read_text().splitlines()
    users = {json.loads(line)["user"]["username"] for line in lines}
    assert users >= {
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:serviceaccount:kube-system:kwok-controller",
        "system:serviceaccount:lws-system:lws-controller-manager",
        "system:serviceaccount:kueue-system:kueue-controller-manager",
        "conformance-admin",
    }


def test_stage_node_held_not_ready(local_cluster: LocalCluster, fake_node: str) -> None:
    """A node with our annotation becomes NotReady and stays so, and is Ready again without it."""
    kube = local_cluster.kube
    eventually("the node is Ready", lambda: is_true(kube.get("Node", fake_node), "Ready"))
    annotate(kube, "Node", fake_node, None, HOLD_NOT_READY, "")
    eventually("the node is NotReady", lambda: not is_true(kube.get("Node", fake_node), "Ready"))
    kube.create(node("rack-2"))  # what comes to KWOK later has been handled by now, so the first has been left alone
    eventually("a node made later is Ready", lambda: is_true(kube.get("Node", "rack-2"), "Ready"))
    assert not is_true(kube.get("Node", fake_node), "Ready")
    kube.delete("Node", "rack-2")
    annotate(kube, "Node", fake_node, None, HOLD_NOT_READY, None)
    eventually("the node is Ready again", lambda: is_true(kube.get("Node", fake_node), "Ready"))


def test_stage_pod_never_ready(local_cluster: LocalCluster, fake_node: str) -> None:
    """A pod with our annotation is seen by its node and does not become Ready until the annotation goes."""
    kube = local_cluster.kube
    kube.create(pod("held", fake_node, **{HOLD_NOT_READY: ""}))
    kube.create(pod("free", fake_node))

    def held() -> Object:
        return kube.get("Pod", "held", "default")

    eventually("the free pod is Ready", lambda: is_true(kube.get("Pod", "free", "default"), "Ready"))
    eventually("the held pod has a Ready condition", lambda: condition(held(), "Ready"))
    assert not is_true(held(), "Ready")
    annotate(kube, "Pod", "held", "default", HOLD_NOT_READY, None)
    eventually("the held pod is Ready", lambda: is_true(held(), "Ready"))
    for name in ("held", "free"):
        kube.delete("Pod", name, "default", gracePeriodSeconds=0)


def test_stage_pod_held_terminating(local_cluster: LocalCluster, fake_node: str) -> None:
    """A deleted pod with our annotation stays Terminating until the annotation goes; others end at once."""
    kube = local_cluster.kube
    kube.create(pod("held", fake_node, **{HOLD_TERMINATING: ""}))
    kube.create(pod("free", fake_node))
    eventually("the held pod is Ready", lambda: is_true(kube.get("Pod", "held", "default"), "Ready"))
    kube.delete("Pod", "held", "default")
    kube.delete("Pod", "free", "default")
    eventually("the free pod is gone", lambda: not exists(kube, "Pod", "free", "default"))
    assert "deletionTimestamp" in kube.get("Pod", "held", "default")["metadata"]
    annotate(kube, "Pod", "held", "default", HOLD_TERMINATING, None)
    eventually("the held pod is gone", lambda: not exists(kube, "Pod", "held", "default"))


def test_stage_pod_with_a_finalizer_finishes_first(local_cluster: LocalCluster, fake_node: str) -> None:
    """A deleted pod that a finalizer holds gets a terminal phase, as from a kubelet, and goes with the finalizer."""
    kube = local_cluster.kube
    held = pod("held", fake_node)
    held["metadata"]["finalizers"] = ["example.com/held"]
    kube.create(held)
    eventually("the pod is Ready", lambda: is_true(kube.get("Pod", "held", "default"), "Ready"))
    kube.delete("Pod", "held", "default")
    eventually("the pod has finished", lambda: kube.get("Pod", "held", "default")["status"]["phase"] == "Failed")
    kube.patch("Pod", "held", "default", {"metadata": {"finalizers": None}})
    eventually("the pod is gone", lambda: not exists(kube, "Pod", "held", "default"))


def test_kueue_can_be_restarted(local_cluster: LocalCluster) -> None:
    """Kueue can be stopped, which breaks nothing but its webhooks, and answers again after a new start."""
    kueue = local_cluster.controllers["kueue"]
    flavor = kueue_object("ResourceFlavor", "while-down", {})
    kueue.stop()
    local_cluster.check()
    with pytest.raises(ApiError) as refused:
        local_cluster.kube.create(flavor, dryRun="All")
    assert refused.value.status == 500
    kueue.start_again()
    assert local_cluster.kube.create(flavor, dryRun="All")["kind"] == "ResourceFlavor"


def test_what_is_installed_is_recognised(local_cluster: LocalCluster) -> None:
    """The cluster can be judged as an existing one: it is reached, and what is needed is served."""
    existing = ExistingCluster(local_cluster.kubeconfig)
    existing.start(lambda: Installed().put_on(existing))
    assert existing.describe()["kubernetes"] == local_cluster.components.line.kubernetes
    assert existing.capabilities == frozenset()


def test_a_taken_port_is_a_usage_error(local_cluster: LocalCluster, components: Components) -> None:
    """A port for the API server on which somebody listens is refused in one sentence."""
    port = int(local_cluster.server.rpartition(":")[2])
    with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 cannot be bound"):
        LocalCluster(components, port=port).start()


@pytest.fixture(scope="module")
def second() -> Iterator[tuple[subprocess.Popen[str], Path, dict[str, int]]]:
    """Another run, in a process of its own, with a cluster of its own beside the first: its kubeconfig and its pids."""
    with subprocess.Popen([sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, text=True, cwd=ROOT) as runner:
        assert runner.stdout is not None
        kubeconfig, pids = json.loads(runner.stdout.readline())
        yield runner, Path(kubeconfig), pids
        runner.kill()


Second = tuple[subprocess.Popen[str], Path, dict[str, int]]


def test_two_clusters_at_once(local_cluster: LocalCluster, second: Second) -> None:
    """What is created on one of two clusters that run at once is not on the other, and both are well."""
    _, kubeconfig, _ = second
    other = Kube(kubeconfig, "test")
    other.create(node("only-there"))
    assert not exists(local_cluster.kube, "Node", "only-there")
    eventually("the other cluster's KWOK plays its node", lambda: is_true(other.get("Node", "only-there"), "Ready"))
    local_cluster.check()


def test_a_dying_component_is_told_at_once(second: Second) -> None:
    """When a component dies, the run hears which one and what it logged last."""
    runner, _, pids = second
    assert runner.stdout is not None
    os.kill(pids["kwok"], signal.SIGKILL)
    message = json.loads(runner.stdout.readline())
    assert message.startswith("kwok was killed by signal 9; its last log lines:\n")
    assert len(message.splitlines()) > 1


def test_nothing_is_left_when_the_runner_is_killed(second: Second, local_cluster: LocalCluster) -> None:
    """SIGKILL of a run leaves no process within 5 s and no run folder, and does not disturb another run."""
    runner, kubeconfig, pids = second
    handles = [os.pidfd_open(pid) for name, pid in pids.items() if name != "kwok"]
    runner.kill()
    left = [handle for handle in handles if not select.select([handle], [], [], 5)[0]]
    for handle in handles:
        os.close(handle)
    assert left == []
    assert not kubeconfig.parent.exists()
    local_cluster.check()


def test_cluster_up_status_down(components: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standing cluster is up once, tells what it is, can be attached to, shows a death, and ends when told to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no cluster is up"):
        standing.attach()
    kueue = open_implementation("kueue", components=components)
    made = standing.up(components, kueue, deadlines=Deadlines())
    try:
        with pytest.raises(UsageError, match="a cluster is up already"):
            standing.up(components, kueue, deadlines=Deadlines())
        installed, attached = Installed(), standing.attach()
        attached.start(lambda: installed.put_on(attached))
        assert installed.version == kueue.version
        shown = subprocess.run(
            [made.kubectl, "--kubeconfig", made.kubeconfig, "get", "namespace", "kueue-system", "--output=name"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert shown.stdout == "namespace/kueue-system\n"
        os.kill(attached.pids()["kube-scheduler"], signal.SIGKILL)
        eventually("status shows the death", lambda: [death.name for death in (standing.status() or made).deaths])
        with pytest.raises(HarnessError, match="kube-scheduler was killed by signal 9"):
            attached.check()
    finally:
        standing.down()
    assert standing.status() is None
    assert not made.folder.exists()
