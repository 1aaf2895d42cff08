"""The reference on a real control plane: the page profile, births, exact writes, restarts, what it leaves behind."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from commands import SLOW, Ended, Place, a_place

from conformance.clusters.local import LocalCluster
from conformance.clusters.running import RunningProgram
from conformance.components import Components
from conformance.deadlines import Deadlines
from conformance.expectations import gated, ready, running
from conformance.expectations.groups import tried
from conformance.implementations.reference import Reference
from conformance.kube import Kube, Object
from conformance.names import (
    GROUP_INDEX,
    LWS_FRAMEWORK,
    OUR_GATES,
    POD_GROUP_NAME,
    PREBUILT_WORKLOAD,
    RACK,
    SUSPENDING_PARENT,
    WORKER_INDEX,
)
from conformance.outcomes import Outcome
from conformance.report import building, model
from conformance.requirements import load
from conformance.trace.history import View, annotations_of, condition, gates, is_true, labels
from conformance.trace.invariants import INVARIANTS
from conformance.trace.recorder import Recorder
from conformance.trace.records import Change, read
from conformance.world.builders import leader_worker_set, priority_class
from conformance.world.handles import SetHandle
from conformance.world.requests import Requests, canary_room, groups
from conformance.world.story import Story
from conformance.world.storylog import StoryLog
from conformance.world.tenant import Ground, Tenant

pytestmark = pytest.mark.cluster
FINE = (Outcome.PASSED, Outcome.KNOWN_DEVIATION)
USER = "system:serviceaccount:queueing-system{0}:queueing-reference{0}"
"""Who a reference is; the place is for a dash and its scope."""
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"


# A run, as a user has it


@dataclass(frozen=True)
class FullRun:
    """The page profile on the reference, run once for all tests that look at it."""

    place: Place
    ended: Ended
    result: model.Result
    births: list[Object]
    """The first recorded state of each pod of a managed LeaderWorkerSet."""

    @property
    def selected(self) -> list[model.Requirement]:
        return [one for one in self.result.requirements if one.outcome != Outcome.NOT_SELECTED]


@pytest.fixture(scope="module")
def full() -> Iterator[FullRun]:
    with a_place() as place:
        ended = place.command("run", "--implementation", "reference", "--out", place.results, *SLOW)
        assert (place.results / building.FILE).exists(), str(ended)
        yield FullRun(place, ended, building.read_result(place.results), births(place.results / "trace.ndjson"))


def births(trace: Path) -> list[Object]:
    """The first state of each pod with the suspending parent of LeaderWorkerSets."""
    first: dict[str, Object] = {}
    for record in read(trace):
        if isinstance(record, Change) and record.kind == "Pod":
            first.setdefault(record.uid, record.object)
    return [pod for pod in first.values() if annotations_of(pod).get(SUSPENDING_PARENT) == LWS_FRAMEWORK]


def test_the_reference_passes_the_page_profile(full: FullRun) -> None:
    """The page profile on the reference ends with 0, and every requirement of it passed."""
    assert {one.id: one.outcome for one in full.selected if one.outcome not in FINE} == {}
    assert full.ended.code == 0, str(full.ended)


def test_it_is_judged_by_the_same_claims(full: FullRun) -> None:
    """What is judged of the reference is what the catalogue claims of the page, as of Kueue."""
    claimed = {record.id for record in load() if record.claimed and "page" in record.profiles}
    assert {one.id for one in full.selected if one.claims} == claimed


@pytest.mark.parametrize("name", INVARIANTS)
def test_every_invariant_is_judged_and_holds(full: FullRun, name: str) -> None:
    """Each invariant is judged in at least one state of a run on the reference, and holds in all of them."""
    (found,) = [invariant for invariant in full.result.invariants if invariant.name == name]
    assert found.judged > 0
    assert found.violations == []


def test_no_kueue_is_there(full: FullRun) -> None:
    """The reference writes as a component of its own, and nothing is written by Kueue."""
    assert full.result.implementation.name == "reference"
    assert full.result.writes is not None
    assert full.result.writes["reference"]["create workloads"] > 0
    assert "kueue" not in full.result.writes


def test_its_rights_are_enough(full: FullRun) -> None:
    """Nothing that the reference asked for was refused."""
    assert [finding.text for finding in full.result.findings if finding.kind == "forbidden"] == []


def test_pods_are_born_with_their_place_in_a_group(full: FullRun) -> None:
    """The pod webhook runs after that of LeaderWorkerSet: leaders and workers know group and Workload at creation."""
    named = [pod for pod in full.births if _named(pod)]
    assert {labels(pod)[WORKER_INDEX] for pod in named} >= {"0", "1"}
    assert [pod["metadata"]["name"] for pod in named if GROUP_INDEX not in labels(pod)] == []


def test_pods_of_a_set_not_seen_yet_are_born_gated(full: FullRun) -> None:
    """A pod that came before its set was seen has no Workload's name at creation, and both gates."""
    strangers = [pod for pod in full.births if not _named(pod)]
    assert {tuple(gates(pod)) for pod in strangers} <= {OUR_GATES}
    assert len(strangers) < len(full.births) / 2


def _named(pod: Object) -> bool:
    told = annotations_of(pod)
    return bool(told.get(POD_GROUP_NAME)) and told.get(POD_GROUP_NAME) == told.get(PREBUILT_WORKLOAD)


def test_nothing_is_left_of_a_run_that_passed(full: FullRun) -> None:
    """After a run on the reference, its run folder and all of its processes are gone."""
    assert full.place.run_folders() == []
    assert full.place.left_after() == []


# A cluster with the reference on it, looked at closely


class Near:
    """A cluster with the reference on it, and tenants on it of which everything is recorded."""

    def __init__(self, cluster: LocalCluster, recorder: Recorder, folder: Path) -> None:
        self.cluster, self.recorder, self.folder = cluster, recorder, folder
        self._logs: list[StoryLog] = []
        self._ground = Ground(
            kube=Kube(cluster.kubeconfig, "kueue-lws-conformance-test"),
            recorder=recorder,
            deadlines=cluster.deadlines,
            run="test",
            canary_class="test-canary",
            capabilities=cluster.capabilities,
            alive=cluster.check,
        )

    @property
    def reference(self) -> RunningProgram:
        return self.cluster.controllers["reference"]

    def tenant(self, name: str, scope: str = "") -> Tenant:
        """A tenant for what a test tells, managed by the reference of the scope."""
        story = Story(name, "A story.", {}, lambda tenant: None, __name__, frozenset())
        log = StoryLog(self.folder / f"{name}.log", manifests=False)
        self._logs.append(log)
        return Tenant(replace(self._ground, scope=scope), story, f"test-{name}", log)

    def close(self) -> None:
        self.recorder.stop()
        for log in self._logs:
            log.close()

    def writes(self, namespace: str, scope: str = "") -> Counter[str]:
        """What the reference wrote of Workloads and Pods in a namespace, without deletions: `create workloads`, …"""
        counts: Counter[str] = Counter()
        for line in self._audited(scope):
            target = line["objectRef"]
            written = line["verb"] in ("create", "patch", "update") and line["responseStatus"]["code"] < 300
            ours = target.get("namespace") == namespace and target["resource"] in ("workloads", "pods")
            if written and ours:
                sub = f"/{target['subresource']}" if target.get("subresource") else ""
                counts[f"{line['verb']} {target['resource']}{sub}"] += 1
        return counts

    def answers(self, *codes: int) -> list[str]:
        """The reference's requests that were answered with one of these codes."""
        return [line["requestURI"] for line in self._audited("") if line["responseStatus"]["code"] in codes]

    def requests(self, *verbs: str) -> list[str]:
        """The reference's requests with one of these verbs, in the order in which they ended: `patch pods`, …"""
        return [
            f"{line['verb']} {line['objectRef']['resource']}" for line in self._audited("") if line["verb"] in verbs
        ]

    def _audited(self, scope: str) -> Iterator[dict[str, Any]]:
        """The requests of the scope's reference that have ended."""
        user = USER.format(f"-{scope}" if scope else "")
        with (self.cluster.folder / "audit.log").open() as lines:
            for text in lines:
                if user in text and text.endswith("\n"):
                    line = json.loads(text)
                    if line["user"]["username"] == user and line["stage"] == "ResponseComplete" and "objectRef" in line:
                        yield line

    def gated_at_birth(self, tenant: Tenant) -> int:
        """How many pods of the tenant were created with a gate."""
        self.recorder.flush()
        born = births(self.folder / "trace.ndjson")
        here = [pod for pod in born if pod["metadata"]["namespace"] == tenant.name]
        return sum(1 for pod in here if pod["spec"].get("schedulingGates"))

    def webhooks(self) -> dict[str, list[str]]:
        """The names of all webhook configurations, in the order in which they are called."""
        listed = {kind: self.cluster.kube.request("GET", WEBHOOKS.format(kind)) for kind in ("mutating", "validating")}
        return {kind: sorted(item["metadata"]["name"] for item in all_["items"]) for kind, all_ in listed.items()}


@contextlib.contextmanager
def a_cluster_with(components: Components, folder: Path, put_on: Callable[[LocalCluster], None]) -> Iterator[Near]:
    """A local cluster, what `put_on` puts on it, and a recorder that follows its tenants."""
    cluster = LocalCluster(components, deadlines=Deadlines(3.0))
    cluster.start(lambda: put_on(cluster))
    kube = Kube(cluster.kubeconfig, "kueue-lws-conformance-test")
    recorder = Recorder(kube, folder / "trace.ndjson", run="test", ordered=True, on_error=pytest.fail)
    near = Near(cluster, recorder, folder)
    try:
        recorder.start(60.0)
        kube.create(priority_class("test-canary", -100, {}))
        yield near
    finally:
        near.close()
        cluster.stop(failed=False)


@contextlib.contextmanager
def a_cluster(components: Components, folder: Path, *scopes: str) -> Iterator[Near]:
    """A cluster with a reference for each scope."""

    def put_on(cluster: LocalCluster) -> None:
        for scope in scopes:
            Reference(components, {}, scope=scope).put_on(cluster)

    with a_cluster_with(components, folder, put_on) as near:
        yield near


@pytest.fixture(scope="module")
def near(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Near]:
    with a_cluster(components, tmp_path_factory.mktemp("near"), "") as found:
        yield found


def said_why(view: View) -> bool:
    return all(condition(workload, "QuotaReserved") for workload in view.all("Workload"))


def pods_ready(tenant: Tenant) -> None:
    """Wait until each Workload of the tenant says that its pods are ready."""
    tenant.wait_for(
        "PodsReady is True", lambda view: all(is_true(one, "PodsReady") for one in view.all("Workload")) or None
    )


def told_one(
    near: Near, name: str, size: int, *, topology: bool, waits: bool = False, scope: str = ""
) -> tuple[Tenant, SetHandle]:
    """A set of one group that runs, alone in its tenant; if it `waits`, its pods are there before its quota."""
    tenant = near.tenant(name, scope)
    worker = Requests(cpu=100)
    spec = leader_worker_set(size=size, leader=None, worker=worker, required=RACK if topology else None)
    quota = groups(1) + canary_room
    lws = tenant.create(spec, quota=groups(0) if waits else quota, topology=topology)
    if waits:
        lws.group(0).reached(tried, gated)
        tenant.wait_for("it is said why it waits", lambda view: said_why(view) or None)
        tenant.set_quota(quota)
    lws.reached(running)
    pods_ready(tenant)
    return tenant, lws


def test_each_manages_its_own_scope(components: Components, tmp_path: Path) -> None:
    """Two references with a scope each run side by side: each queues what carries its scope and writes nothing else."""
    with a_cluster(components, tmp_path, "a", "b") as both:
        tenants = {scope: told_one(both, f"of-{scope}", 3, topology=True, scope=scope)[0] for scope in ("a", "b")}
        assert set(both.webhooks()["mutating"][-2:]) == {"zz-queueing-a", "zz-queueing-b"}
        alone = both.tenant("of-none")
        alone.create(leader_worker_set(size=1), quota=groups(1) + canary_room)
        for scope in tenants:
            told_one(both, f"of-{scope}-last", 1, topology=False, scope=scope)
        assert alone.feed.view.all("Workload") == []
        for scope, tenant in tenants.items():
            assert {other: bool(both.writes(tenant.name, other)) for other in tenants} == {
                other: other == scope for other in tenants
            }


Isolated = dict[tuple[int, bool, bool], Tenant]


@pytest.fixture(scope="module")
def isolated(near: Near) -> Isolated:
    """One group in a tenant of its own, told one after another, by size, whether places are chosen, and if it waits."""
    made = {}
    for topology, waits, size in itertools.product((False, True), (False, True), (1, 3, 8)):
        name = f"writes-{size}-{'tas' if topology else 'plain'}{'-waits' if waits else ''}"
        made[size, topology, waits] = told_one(near, name, size, topology=topology, waits=waits)[0]
    told_one(near, "writes-last", 1, topology=False)  # by now what the others caused has been written
    return made


@pytest.mark.parametrize("topology", [False, True], ids=["plain", "topology"])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_writes_of_one_group_are_exact(near: Near, isolated: Isolated, size: int, topology: bool) -> None:
    """A group of s pods costs p + 3 writes until PodsReady, where p of its pods were created with a gate."""
    tenant = isolated[size, topology, False]
    gated_ones = near.gated_at_birth(tenant)
    assert gated_ones <= size
    expected = {"create workloads": 1, "patch workloads/status": 2, "patch pods": gated_ones}
    assert near.writes(tenant.name) == Counter(expected)


@pytest.mark.parametrize("topology", [False, True], ids=["plain", "topology"])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_writes_of_a_group_that_waits_are_exact(near: Near, isolated: Isolated, size: int, topology: bool) -> None:
    """A group that waits costs one write more, to say why; each of its pods is created gated and written once."""
    tenant = isolated[size, topology, True]
    assert near.gated_at_birth(tenant) == size
    assert near.writes(tenant.name) == Counter({"create workloads": 1, "patch workloads/status": 3, "patch pods": size})


def test_nothing_is_refused_and_nothing_conflicts(near: Near, isolated: Isolated) -> None:
    """No request of the reference is answered with a conflict, a refusal or a wrong object."""
    assert isolated
    assert near.answers(403, 409, 422) == []


def test_it_reads_nothing_once_it_has_synced(near: Near, isolated: Isolated) -> None:
    """From its first Workload on the reference neither gets nor lists anything: its watches tell it everything."""
    assert isolated
    seen = near.requests("get", "list", "create")
    after = seen[seen.index("create workloads") :]
    assert "list workloads" in seen
    assert [request for request in after if not request.startswith("create")] == []


def test_it_writes_nothing_while_nothing_happens(near: Near, isolated: Isolated) -> None:
    """In a minute in which nobody changes anything the reference writes nothing, queues' status included."""
    tenant, _ = told_one(near, "idle", 3, topology=True)
    tenant.next_second(3)  # the status of queues is told once a second
    before = near.requests("create", "update", "patch", "delete")
    tenant.next_second(60)
    assert near.requests("create", "update", "patch", "delete") == before


def test_its_webhooks_are_called_last(near: Near) -> None:
    """The API server calls the reference's mutating webhooks after those of LeaderWorkerSet."""
    called = near.webhooks()["mutating"]
    assert called[-1] == "zz-queueing-all"
    assert len(called) == 2


def revisions(near: Near, tenant: Tenant) -> dict[str, str]:
    """The resourceVersion of each Workload and Pod of a tenant."""
    kube, found = near.cluster.kube, {}
    for kind in ("Workload", "Pod"):
        for item in kube.list(kind, tenant.name)["items"]:
            found[f"{kind} {item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    return found


def test_a_restart_writes_nothing_on_admitted_groups(near: Near) -> None:
    """After a restart the reference goes on where it was: running groups are as before, waiting ones are admitted."""
    tenant, lws = told_one(near, "restarted", 3, topology=True)
    before, written = revisions(near, tenant), near.writes(tenant.name)
    near.reference.stop()
    near.reference.start_again()
    lws.scale(2)
    tenant.set_quota(groups(2) + canary_room)
    lws.group(1).reached(ready)
    after = revisions(near, tenant)
    assert {name: after.get(name) for name in before} == before
    assert near.writes(tenant.name).total() <= written.total() + 3 + 3


def test_sigterm_takes_the_webhooks_away(near: Near) -> None:
    """A reference that is ended in order leaves no webhook behind that nobody answers, and brings them back."""
    before = near.webhooks()
    assert {kind: names[-1] for kind, names in before.items()} == dict.fromkeys(before, "zz-queueing-all")
    near.reference.stop()
    left = near.webhooks()
    near.reference.start_again()
    assert left == {kind: names[:-1] for kind, names in before.items()}
    assert near.webhooks() == before


def test_its_log_is_structured(near: Near) -> None:
    """The reference's log is beside those of the other components, with one JSON object a line."""
    log = near.cluster.folder / "logs" / "reference.log"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"serves", "writes"} <= {line["message"] for line in lines}
    assert [line for line in lines if line["level"] == "error"] == []
