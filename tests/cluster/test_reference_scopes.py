"""Several references on one cluster: two scopes that leave each other alone, two replicas of a third that take turns.

The replicas are reached through one address, as through a Service, and each is a user of its own, so that the audit log
tells who wrote.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import Ended, Place
from references import a_cluster_with
from relay import relay
from test_reference_e2e import USER, Near, pods_ready

import conformance
from conformance.clusters.applying import apply_all, are_served, read_documents, served_by
from conformance.clusters.controlplane import STAGE_CONTROLLERS
from conformance.clusters.local import LocalCluster
from conformance.clusters.pki import Identity, service_account
from conformance.clusters.processes import Program
from conformance.components import Components
from conformance.expectations import available, counts, running
from conformance.implementations.reference import (
    ACCOUNT,
    NAMESPACE,
    Reference,
    RunningReference,
    access,
    own_version,
    probes,
    scoped,
)
from conformance.kube import Object
from conformance.names import KUEUE, SCOPE_LABEL, SUSPENDING_PARENT
from conformance.trace.history import View, annotations_of, condition, gates, labels
from conformance.world.builders import leader_worker_set
from conformance.world.handles import SetHandle
from conformance.world.requests import Requests, groups
from conformance.world.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.thorough]
ROOT = Path(conformance.__file__).parent.parent
HOSTS = ("127.0.0.2", "127.0.0.3")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/queueing-system-c/leases/queueing-c"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/zz-queueing-c"
ONE = Requests(cpu=100)


class Replica(RunningReference):
    """One of several processes of scope c: it writes only while it holds the Lease."""

    def __init__(self, cluster: LocalCluster, crds: list[Object], number: int, port: int) -> None:
        super().__init__(cluster, crds, {}, "c")
        self.name = f"replica-{number}"
        self.host = HOSTS[number]
        self.account = f"{scoped(ACCOUNT, 'c')}-{number}"
        self.user = f"system:serviceaccount:{scoped(NAMESPACE, 'c')}:{self.account}"
        self.health = 0
        self._port = port
        self._folder = cluster.folder / self.name

    def _run_at(self, webhook_port: int, health_port: int) -> Program:
        cluster, self.health = self._cluster, health_port
        text = json.dumps(access("c")).replace(scoped(ACCOUNT, "c"), self.account)
        apply_all(cluster.kube, [*self._crds, *json.loads(text)], deadline=self._deadline)
        needed = [each for crd in self._crds for each in served_by(crd)]
        cluster.wait_until("Kueue's CRDs are served", lambda: are_served(cluster.kube, needed), self._deadline)
        kubeconfig = cluster.identity_kubeconfig(self.name, service_account(scoped(NAMESPACE, "c"), self.account))
        options = {
            "kubeconfig": kubeconfig,
            "scope": "c",
            "webhook-host": self.host,
            "webhook-port": self._port,
            "health-port": health_port,
            "lease-namespace": scoped(NAMESPACE, "c"),
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        argv = [sys.executable, "-m", "conformance.reference", "--leader-elect", *given]
        return Program(self.name, argv, cluster.layout.log(self.name), STAGE_CONTROLLERS, {"PYTHONPATH": str(ROOT)})

    def _answers_readyz(self) -> bool:
        return self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer of its health server; 0 if there is none."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.health}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """Its metrics: name with labels, and value."""
        status, text = self.get("/metrics")
        assert status == 200
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(number) for name, _, number in lines}

    def review(self, path: str, wanted: Object, authority: str) -> Any:
        """What its webhook server answers when an object is created: it is called as the API server calls it."""
        name = "127.0.0.1"  # by which the API server reaches it, and to which its certificate must belong
        connection = http.client.HTTPConnection(name)
        request = {"uid": "1", "operation": "CREATE", "object": wanted, "namespace": wanted["metadata"]["namespace"]}
        with socket.create_connection((self.host, self._port), timeout=5) as plain:
            connection.sock = ssl.create_default_context(cadata=authority).wrap_socket(plain, server_hostname=name)
            with contextlib.closing(connection):
                connection.request("POST", path, json.dumps({"request": request}))
                return json.load(connection.getresponse())["response"]

    @property
    def pid(self) -> int:
        return self._cluster.processes.pids[self.name]

    @property
    def log(self) -> str:
        return self._program.log.read_text()

    @contextlib.contextmanager
    def ended(self, *, by_force: bool = False) -> Iterator[None]:
        """It is gone for a while; by force: without a chance to say goodbye."""
        if by_force:
            os.kill(self.pid, signal.SIGSTOP)  # it does not hear the SIGTERM that goes before SIGKILL
        self.stop()
        try:
            yield
        finally:
            self.start_again()


@dataclass(frozen=True)
class Several:
    """The cluster with all of them."""

    near: Near
    replicas: list[Replica]
    busy: int
    """A port on which somebody listens."""

    def leads(self) -> Replica:
        """The replica that holds the Lease."""
        holder = self.near.cluster.kube.request("GET", LEASE)["spec"]["holderIdentity"]
        pid = int(holder.split("_")[-2])
        return next(replica for replica in self.replicas if replica.pid == pid)

    def follows(self) -> Replica:
        """The other one."""
        leader = self.leads()
        return next(replica for replica in self.replicas if replica is not leader)

    def requests(self, user: str) -> list[dict[str, Any]]:
        """A user's successful requests that change something, in order."""
        found = []
        with (self.near.cluster.folder / "audit.log").open() as lines:
            for text in lines:
                if user in text and text.endswith("\n"):
                    line = json.loads(text)
                    writes = line["verb"] in ("create", "update", "patch", "delete", "deletecollection")
                    done = line["stage"] == "ResponseComplete" and line["responseStatus"]["code"] < 300
                    if line["user"]["username"] == user and writes and done:
                        found.append(line)
        return found


@pytest.fixture(scope="module")
def several(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    replicas: list[Replica] = []
    with relay(*HOSTS) as port:

        def put_on(cluster: LocalCluster) -> None:
            for scope in ("a", "b"):
                Reference(components, {}, scope=scope).put_on(cluster)
            crds = list(own_version(read_documents(components.manifest("kueue"))))
            for number in range(len(HOSTS)):
                replicas.append(cluster.run(Replica(cluster, crds, number, port)))

        with a_cluster_with(components, tmp_path_factory.mktemp("scopes"), put_on) as near:
            yield Several(near, replicas, port)


def a_set(near: Near, name: str, scope: str) -> tuple[Tenant, SetHandle]:
    """A set of one group of two that runs, in a tenant of its own."""
    tenant = near.tenant(name, scope)
    lws = tenant.create(leader_worker_set(size=2, leader=None, worker=ONE), quota=groups(4))
    lws.reached(running)
    pods_ready(tenant)
    return tenant, lws


# Scopes


@pytest.fixture(scope="module")
def tenants(several: Several) -> dict[str, Tenant]:
    """A tenant in each of two scopes, with a set that runs; what its reference had to write is written by then."""
    found = {}
    for scope in ("a", "b"):
        found[scope], lws = a_set(several.near, f"in-{scope}", scope)
        lws.scale(2)
        lws.reached(running)
        lws.scale(1)
        lws.reached(running)
    return found


@pytest.mark.parametrize("scope", ["a", "b"])
def test_each_writes_in_its_own_scope_alone(several: Several, tenants: dict[str, Tenant], scope: str) -> None:
    """By the audit log, whatever the reference of a scope wrote is in its tenant, or of its own making."""
    tenant = tenants[scope]
    own = {tenant.name, f"queueing-system-{scope}"}
    written = several.requests(USER.format(f"-{scope}"))
    inside = {line["objectRef"]["namespace"] for line in written if "namespace" in line["objectRef"]}
    whole = {line["objectRef"]["name"] for line in written if "namespace" not in line["objectRef"]}
    assert tenant.name in inside
    assert inside <= own
    assert whole <= {tenant.name, f"zz-queueing-{scope}"}


def test_what_is_in_no_scope_is_left_alone(several: Several, tenants: dict[str, Tenant]) -> None:
    """In a namespace without the label a set that names a queue runs as it was written, and gets no Workload."""
    alone = several.near.tenant("in-none")
    spec = leader_worker_set(size=2, leader=None, worker=ONE, on_tenant=alone.name)
    lws = alone.create(spec, quota=groups(0))
    lws.reached(available)
    view = alone.feed.view
    assert view.all("Workload") == []
    for pod in view.pods_of_set(lws.spec.name):
        assert gates(pod) == []
        assert [key for key in (*labels(pod), *annotations_of(pod)) if key.startswith(f"{KUEUE}/")] == []
    template = view.all("LeaderWorkerSet")[0]["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    assert template.get("metadata") in (None, {}, {"creationTimestamp": None})


def test_a_queue_of_another_scope_admits_nothing(several: Several, tenants: dict[str, Tenant]) -> None:
    """A LocalQueue that leads to a ClusterQueue of another scope leads to none that its reference knows."""
    tenant, other = tenants["a"], tenants["b"]
    meta = {"name": "abroad", "namespace": tenant.name, "labels": {**tenant.labels, SCOPE_LABEL: "a"}}
    spec = {"clusterQueue": other.name}
    tenant.add({"apiVersion": f"{KUEUE}/v1beta2", "kind": "LocalQueue", "metadata": meta, "spec": spec})
    lws = tenant.create(leader_worker_set("abroad", size=1, leader=None, worker=ONE, queue="abroad"))
    tenant.wait_for("it is said why", lambda view: _says(view, other.name) or None)
    lws.delete()


def _says(view: View, queue: str) -> bool:
    found = view.workload_of_group("abroad", 0)
    told = condition(found, "QuotaReserved") if found is not None else None
    return told is not None and told["status"] == "False" and queue in told["message"]


# Replicas


@pytest.fixture
def both(several: Several) -> Several:
    """Both replicas run."""
    for replica in several.replicas:
        assert replica.get("/readyz") == (200, "ok")
    return several


AT_THE_START = {"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "secrets"}


def test_only_the_leader_writes(both: Several) -> None:
    """Of two replicas only the holder of the Lease writes more than what each needs for its webhooks."""
    tenant, _ = a_set(both.near, "led", "c")
    leader, follower = both.leads(), both.follows()
    by_leader = [line["objectRef"] for line in both.requests(leader.user)]
    by_follower = [line["objectRef"] for line in both.requests(follower.user)]
    assert "workloads" in {target["resource"] for target in by_leader}
    assert tenant.name in {target.get("namespace") for target in by_leader}
    assert {target["resource"] for target in by_follower} <= AT_THE_START
    assert not any(name.startswith("reference_writes_total") for name in follower.metrics())


def test_both_answer_webhooks(both: Several) -> None:
    """The leader and the other give the same answer, with certificates that the API server was told to trust."""
    registered = both.near.cluster.kube.request("GET", WEBHOOKS)["webhooks"]
    authority = base64.b64decode(registered[0]["clientConfig"]["caBundle"]).decode()
    (wanted, _) = probes(scoped(NAMESPACE, "c"))
    answers = [replica.review("/mutate-set", wanted, authority) for replica in both.replicas]
    assert answers[0] == answers[1]
    assert SUSPENDING_PARENT.rpartition("/")[2] in base64.b64decode(answers[0]["patch"]).decode()


def test_when_the_leader_ends_the_other_goes_on(both: Several) -> None:
    """A leader that is ended in order gives the Lease back: the other admits, and answers every webhook."""
    tenant, lws = a_set(both.near, "ended", "c")
    leader, follower = both.leads(), both.follows()
    with leader.ended():
        assert "no longer leads" in leader.log
        lws.scale(2)
        lws.reached(running)
        assert both.leads() is follower
    assert tenant.name in {line["objectRef"].get("namespace") for line in both.requests(follower.user)}


def test_when_the_leader_is_killed_the_other_goes_on(both: Several) -> None:
    """When a leader is killed its Lease runs out; then the other admits what has waited."""
    _, lws = a_set(both.near, "killed", "c")
    leader, follower = both.leads(), both.follows()
    with leader.ended(by_force=True):
        lws.scale(2)
        lws.reached(running)
        assert both.leads() is follower


# What a process answers


def test_it_says_that_it_lives_and_is_ready(both: Several) -> None:
    """`/healthz` and `/readyz` answer `ok`, and nothing else is there."""
    for replica in both.replicas:
        assert replica.get("/healthz") == (200, "ok")
        assert replica.get("/readyz") == (200, "ok")
        assert replica.get("/debug")[0] == 404


def test_its_metrics_count_what_it_did(both: Several) -> None:
    """`/metrics` has Kueue's names for what was and is admitted and reserved, and the replica's role."""
    tenant, _ = a_set(both.near, "measured", "c")
    tenant.queue().reached(counts(admitted=1, pending=0))
    of_queue = {name: n for name, n in both.leads().metrics().items() if f'cluster_queue="{tenant.name}"' in name}
    assert {name.partition("{")[0]: n for name, n in of_queue.items()}.items() >= {
        ("kueue_quota_reserved_workloads_total", 1),
        ("kueue_admitted_workloads_total", 1),
        ("kueue_reserving_active_workloads", 1),
        ("kueue_admitted_active_workloads", 1),
        ("kueue_pending_workloads", 0),
    }
    assert all('replica_role="leader"' in name for name in of_queue)
    assert any('replica_role="follower"' in name for name in both.follows().metrics())


# What a process cannot begin with


def refused(place: Place, *argv: object) -> str:
    """The one sentence with which a process ends that cannot begin, after whatever it logged."""
    program = (sys.executable, "-m", "conformance.reference")
    ended: Ended = place.start(*argv, program=program, PYTHONPATH=str(ROOT)).ended(60.0)
    assert ended.code == 2, str(ended)
    *logged, line = ended.errors.splitlines()
    assert all(json.loads(one) for one in logged)
    assert ended.output == ""
    assert line.startswith("conformance.reference: ")
    return line


def test_a_kubeconfig_that_is_not_there_is_named(place: Place) -> None:
    """Without the kubeconfig that it was told, it ends with 2 and one sentence that names the file."""
    assert "/nowhere/kubeconfig" in refused(place, "--kubeconfig=/nowhere/kubeconfig")


def test_a_kubeconfig_that_is_none_is_named(place: Place) -> None:
    """With a file that is no kubeconfig, it ends with 2 and one sentence that names the file."""
    path = place.root / "broken"
    path.write_text("- c")
    assert str(path) in refused(place, f"--kubeconfig={path}")


def test_a_server_that_does_not_answer_is_named(several: Several, place: Place) -> None:
    """When nothing answers at the kubeconfig's address, it ends with 2 and one sentence that names the address."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        text = several.near.cluster.kubeconfig.read_text()
        server = several.near.cluster.server
        address = f"https://127.0.0.1:{nobody.getsockname()[1]}"
        path = several.near.cluster.kubeconfig.with_name("unanswered.kubeconfig")
        path.write_text(text.replace(server, address))
        assert address in refused(place, f"--kubeconfig={path}", "--no-leader-elect")


def test_a_right_that_is_missing_is_named(several: Several, place: Place) -> None:
    """When it may not do what it has to, it ends with 2 and one sentence that names the user and the kind."""
    kubeconfig = several.near.cluster.identity_kubeconfig("nobody", Identity("nobody"))
    said = refused(place, f"--kubeconfig={kubeconfig}", "--scope=d", "--webhook-port=0", "--health-port=0")
    assert 'User "nobody" cannot patch resource "mutatingwebhookconfigurations"' in said


@pytest.mark.parametrize("option", ["--webhook-port", "--health-port"])
def test_a_port_in_use_is_named(several: Several, place: Place, option: str) -> None:
    """When somebody listens on one of its ports, it ends with 2 and one sentence that names the port."""
    ports = {"--webhook-port": 0, "--health-port": 0, option: several.busy}
    given = [f"{name}={port}" for name, port in ports.items()]
    said = refused(place, f"--kubeconfig={several.near.cluster.kubeconfig}", "--scope=d", *given)
    assert f"127.0.0.1:{several.busy}" in said


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("waitForPodReady: {}", "waitForPodReady"),
        ("waitForPodsReady: {requeuingStrategy: {backoffLimit: 1}}", "waitForPodsReady.requeuingStrategy.backoffLimit"),
    ],
)
def test_a_configuration_that_it_does_not_know_is_named(place: Place, written: str, names: str) -> None:
    """With a key that it does not know, or a value that is none, it ends with 2 and one sentence that names it."""
    path = place.root / "config.yaml"
    path.write_text(written)
    said = refused(place, f"--config={path}", "--kubeconfig=/nowhere/kubeconfig")
    assert names in said
    assert str(path) in said
