"""The reference on a real control plane: what keeps a group waiting or sends it back to its queue, and what ends it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from references import a_cluster_with, holders, pods, since, until, workloads
from test_reference_e2e import Near

from conformance.components import Components
from conformance.expectations import charged_cpu, gated, no_quota_reserved, ready, running, usage
from conformance.expectations.groups import charged_to, queued_in, tried
from conformance.implementations.reference import Reference
from conformance.kube import ApiError, Object
from conformance.names import GATED_BY, GROUP_INDEX_OF_WORKLOAD, KUEUE, QUEUE_NAME, TENANT_LABEL
from conformance.trace.history import View, condition
from conformance.world import builders
from conformance.world.builders import leader_worker_set
from conformance.world.handles import GroupHandle
from conformance.world.requests import Requests, canary_room, groups, room
from conformance.world.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.thorough]
SET = "lws"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def near(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Near]:
    def put_on(cluster: object) -> None:
        Reference(components, {}).put_on(cluster)  # type: ignore[arg-type]

    with a_cluster_with(components, tmp_path_factory.mktemp("holds"), put_on) as found:
        yield found


@pytest.fixture
def tenant(near: Near) -> Tenant:
    """A tenant of the test's own."""
    return near.tenant(f"{next(NUMBERS)}")


def told(obj: Object | None, type_: str) -> tuple[str, str]:
    """Status and reason of a condition; empty if it is not there."""
    found = condition(obj, type_) if obj is not None else None
    return (found["status"], found["reason"]) if found else ("", "")


def message(obj: Object | None, type_: str = "QuotaReserved") -> str:
    found = condition(obj, type_) if obj is not None else None
    return str(found["message"]) if found else ""


def until_told(tenant: Tenant, kind: str, name: str, type_: str, status: str, reason: str, part: str = "") -> None:
    """Wait until an object says this by a condition, with this in its message."""

    def look(view: View) -> bool:
        found = view.get(kind, name)
        return told(found, type_) == (status, reason) and part in message(found, type_)

    until(tenant, f"{kind} {name} says {type_}={status}/{reason} {part}", look)


def until_group_told(tenant: Tenant, name: str, type_: str, status: str, reason: str, part: str = "") -> None:
    """Wait until the Workload of the first group of a set says this."""

    def look(view: View) -> bool:
        found = view.workload_of_group(name, 0)
        return told(found, type_) == (status, reason) and part in message(found, type_)

    until(tenant, f"group 0 of {name} says {type_}={status}/{reason} {part}", look)


def change_queue(tenant: Tenant, **spec: Any) -> None:
    """Change the tenant's first ClusterQueue, and wait until the reference has seen that."""
    tenant.patch("ClusterQueue", tenant.name, {"spec": spec}, namespaced=False)
    until(tenant, "the change of the queue is seen", lambda view: is_up_to_date(view.get("ClusterQueue", tenant.name)))


def is_up_to_date(queue: Object | None) -> bool:
    found = condition(queue, "Active") if queue is not None else None
    return queue is not None and found is not None and found["observedGeneration"] == queue["metadata"]["generation"]


def evictions(near: Near, tenant: Tenant, begun: int, name: str, index: int) -> list[tuple[str, str]]:
    """What the Workload of a group said of its eviction since this revision."""
    return since(near, tenant, begun, lambda view: told(view.workload_of_group(name, index), "Evicted"))


# Stopped queues


def test_a_queue_on_hold_admits_nobody_and_evicts_nobody(near: Near, tenant: Tenant) -> None:
    """With stopPolicy Hold admitted groups run on and a new one waits; with None it is admitted (STOP-02)."""
    lws = tenant.create(leader_worker_set(size=2), quota=groups(2))
    lws.reached(running)
    begun = tenant.feed.latest
    before = tenant.feed.read(lambda view: pods(view, SET, 0))
    tenant.patch("ClusterQueue", tenant.name, {"spec": {"stopPolicy": "Hold"}}, namespaced=False)
    until_told(tenant, "ClusterQueue", tenant.name, "Active", "False", "Stopped")
    late = tenant.create(leader_worker_set("late", size=2))
    until_group_told(tenant, "late", "QuotaReserved", "False", "Inadmissible", f"{tenant.name} is stopped")
    late.group(0).reached(tried, gated, no_quota_reserved)
    lws.reached(running)
    tenant.patch("ClusterQueue", tenant.name, {"spec": {"stopPolicy": "None"}}, namespaced=False)
    late.reached(running)
    seen = since(near, tenant, begun, lambda view: (holders(view, SET), pods(view, SET, 0)))
    assert seen == [(frozenset({0}), before)]


def test_a_drained_queue_evicts_and_takes_back(near: Near, tenant: Tenant) -> None:
    """HoldAndDrain sends every group back to the gate; with None the same Workloads are admitted again (STOP-01)."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2))
    lws.reached(running)
    begun = tenant.feed.latest
    before = tenant.feed.read(lambda view: workloads(view, SET))
    tenant.patch("ClusterQueue", tenant.name, {"spec": {"stopPolicy": "HoldAndDrain"}}, namespaced=False)
    for index in range(2):
        lws.group(index).reached(tried, gated, no_quota_reserved)
    tenant.queue().reached(usage(cpu="0"))
    until_told(tenant, "ClusterQueue", tenant.name, "Active", "False", "Stopped")
    tenant.patch("ClusterQueue", tenant.name, {"spec": {"stopPolicy": "None"}}, namespaced=False)
    lws.reached(running)
    for index in range(2):
        assert ("True", "ClusterQueueStopped") in evictions(near, tenant, begun, SET, index)
    requeued = since(near, tenant, begun, lambda view: told(view.workload_of_group(SET, 0), "Requeued"))
    assert requeued[-1] == ("True", "ClusterQueueRestarted")
    assert since(near, tenant, begun, lambda view: workloads(view, SET)) == [before]


def test_a_drained_local_queue_leaves_its_neighbour_alone(near: Near, tenant: Tenant) -> None:
    """HoldAndDrain of a LocalQueue evicts its groups, and none of another LocalQueue of the ClusterQueue (STOP-03)."""
    lws = tenant.create(leader_worker_set(size=2), quota=groups(2))
    tenant.add(builders.local_queue("neighbour", tenant.name, tenant.name, tenant.labels))
    other = tenant.create(leader_worker_set("other", size=2, queue="neighbour"))
    lws.reached(running)
    other.reached(running)
    begun = tenant.feed.latest
    uid, untouched = tenant.feed.read(lambda view: (workloads(view, SET), pods(view, "other", 0)))
    tenant.patch("LocalQueue", "user-queue", {"spec": {"stopPolicy": "HoldAndDrain"}})
    lws.group(0).reached(tried, gated, no_quota_reserved)
    until_told(tenant, "LocalQueue", "user-queue", "Active", "False", "Stopped")
    tenant.queue().reached(usage(cpu="300m"))
    tenant.patch("LocalQueue", "user-queue", {"spec": {"stopPolicy": "None"}})
    lws.reached(running)
    assert ("True", "LocalQueueStopped") in evictions(near, tenant, begun, SET, 0)
    assert since(near, tenant, begun, lambda view: workloads(view, SET)) == [uid]
    kept = since(near, tenant, begun, lambda view: (holders(view, "other"), pods(view, "other", 0)))
    assert kept == [(frozenset({0}), untouched)]


# Deactivation


def set_active(tenant: Tenant, group: int, active: bool) -> None:
    found = tenant.feed.read(lambda view: view.workload_of_group(SET, group))
    assert found is not None
    tenant.patch("Workload", found["metadata"]["name"], {"spec": {"active": active}})


def test_a_deactivated_group_is_stopped_and_kept(near: Near, tenant: Tenant) -> None:
    """A group that is deactivated waits at the gate in the same Workload until it is active again (DEACT-01, 02)."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2))
    lws.reached(running)
    begun = tenant.feed.latest
    before, other = tenant.feed.read(lambda view: (workloads(view, SET), pods(view, SET, 0)))
    set_active(tenant, 1, False)
    lws.group(1).reached(tried, gated, no_quota_reserved)
    tenant.queue().reached(usage(cpu="300m"))
    now = tenant.feed.read(lambda view: view.workload_of_group(SET, 1))
    assert told(now, "Evicted") == ("True", "Deactivated")
    assert told(now, "Requeued") == ("False", "Deactivated")
    set_active(tenant, 1, True)
    lws.reached(running)
    assert since(near, tenant, begun, lambda view: workloads(view, SET)) == [before]
    assert since(near, tenant, begun, lambda view: pods(view, SET, 0)) == [other]


def test_a_deactivated_group_that_waits_is_not_admitted(tenant: Tenant) -> None:
    """A group that was deactivated while it waited is not admitted when there is room (DEACT-03)."""
    lws = tenant.create(leader_worker_set(size=2), quota=groups(0) + canary_room)
    lws.group(0).reached(tried, gated)
    until_group_told(tenant, SET, "QuotaReserved", "False", "Pending")
    set_active(tenant, 0, False)
    until_group_told(tenant, SET, "Evicted", "True", "Deactivated")
    tenant.set_quota(groups(1) + canary_room)
    tenant.canary(after=(lws.group(0),)).reached(ready)
    lws.group(0).reached(tried, gated, no_quota_reserved)
    set_active(tenant, 0, True)
    lws.reached(running)


# What a group waits for


def test_a_gate_of_somebody_else_keeps_a_set_waiting(tenant: Tenant) -> None:
    """A set that names an admission gate waits, though there is room, until the gate is taken away (ADM-11)."""
    spec = leader_worker_set(size=2).but(annotations={GATED_BY: "example.com/g1"})
    lws = tenant.create(spec, quota=groups(1) + canary_room)
    says = "Admission is gated by: example.com/g1"
    until_group_told(tenant, SET, "QuotaReserved", "False", "AdmissionGated", says)
    tenant.canary(after=(lws.group(0),)).reached(ready)
    lws.group(0).reached(tried, gated, no_quota_reserved)
    lws.edit({"metadata": {"annotations": {GATED_BY: None}}})
    lws.reached(running)


BIG = Requests(cpu=500)


def big_and_small(tenant: Tenant, strategy: str) -> tuple[GroupHandle, GroupHandle]:
    """A group that finds no room, and one that would, created later."""
    tenant.open(quota={"user-queue": room(cpu=200), "other": canary_room})
    change_queue(tenant, queueingStrategy=strategy)
    big = tenant.create(leader_worker_set("big", size=1, leader=None, worker=BIG)).group(0)
    big.reached(tried, gated)
    until_group_told(tenant, "big", "QuotaReserved", "False", "Pending")
    tenant.next_second()
    small = tenant.create(leader_worker_set("small", size=1, leader=None)).group(0)
    return big, small


def test_a_strict_queue_waits_for_its_head(near: Near, tenant: Tenant) -> None:
    """With StrictFIFO a group that does not fit keeps a later one waiting that would (ADM-08)."""
    big, small = big_and_small(tenant, "StrictFIFO")
    tenant.canary(after=(big, small), queue="other").reached(ready)
    big.reached(gated, no_quota_reserved)
    small.reached(gated, no_quota_reserved)
    tenant.set_quota(room(cpu=700))
    big.reached(ready)
    small.reached(ready)


def test_a_queue_that_does_its_best_lets_others_pass(tenant: Tenant) -> None:
    """With BestEffortFIFO a group that does not fit keeps nobody else waiting (ADM-08)."""
    big, small = big_and_small(tenant, "BestEffortFIFO")
    small.reached(ready)
    big.reached(gated, no_quota_reserved)


def test_a_namespace_that_is_not_selected_waits(tenant: Tenant) -> None:
    """A set waits, and is told why, until its namespace has the labels that the ClusterQueue selects (QSEL-10)."""
    tenant.open(quota=room(cpu=300))
    change_queue(tenant, namespaceSelector={"matchLabels": {TENANT_LABEL: None, "example.com/team": tenant.name}})
    lws = tenant.create(leader_worker_set(size=2))
    until_group_told(tenant, SET, "QuotaReserved", "False", "Pending", "namespace")
    lws.group(0).reached(tried, gated, no_quota_reserved)
    labels = {"metadata": {"labels": {"example.com/team": tenant.name}}}
    tenant.patch("Namespace", tenant.name, labels, namespaced=False)
    lws.reached(running)


def test_whatever_is_missing_is_waited_for(tenant: Tenant) -> None:
    """A set waits for its LocalQueue, that for its ClusterQueue, and that for its flavor; each wait is told."""
    tenant.open()
    later = f"{tenant.name}-later"
    lws = tenant.create(leader_worker_set(size=2, queue="later"))
    until_group_told(tenant, SET, "QuotaReserved", "False", "Inadmissible", "LocalQueue later doesn't exist")
    tenant.add(builders.local_queue("later", tenant.name, later, tenant.labels))
    until_group_told(tenant, SET, "QuotaReserved", "False", "Inadmissible", f"ClusterQueue {later} doesn't exist")
    until_told(tenant, "LocalQueue", "later", "Active", "False", "ClusterQueueDoesNotExist")
    queue = builders.cluster_queue(later, tenant.name, tenant.labels, Requests(cpu=300), ("cpu",))
    queue["spec"]["resourceGroups"] = [builders.resource_group(later, Requests(cpu=300), ("cpu",))]
    tenant.add(queue)
    until_told(tenant, "ClusterQueue", later, "Active", "False", "FlavorNotFound", later)
    until_group_told(tenant, SET, "QuotaReserved", "False", "Inadmissible", f"ClusterQueue {later} is inactive")
    lws.group(0).reached(tried, gated, no_quota_reserved)
    flavor = builders.flavor(tenant.name, tenant.labels, None)
    tenant.add(flavor | {"metadata": flavor["metadata"] | {"name": later}})
    lws.reached(running)
    until_told(tenant, "ClusterQueue", later, "Active", "True", "Ready")


# Input that cannot be used


def workload(tenant: Tenant, name: str, *, cpu: str = "100m", **annotations: str) -> Object:
    """A Workload as somebody might write it by hand."""
    container = {"name": "main", "image": builders.IMAGE, "resources": {"requests": {"cpu": cpu}}}
    podset = {
        "name": "main",
        "count": 1,
        "template": {"spec": {"containers": [container], "restartPolicy": "Never"}},
    }
    metadata = {"name": name, "namespace": tenant.name, "annotations": annotations}
    spec = {"queueName": "user-queue", "podSets": [podset]}
    return {"apiVersion": f"{KUEUE}/v1beta2", "kind": "Workload", "metadata": metadata, "spec": spec}


def test_workloads_that_cannot_be_used_are_told_so(tenant: Tenant) -> None:
    """A Workload whose group or quantities cannot be read is inadmissible, and the queue goes on with others."""
    tenant.open(quota=room(cpu=1000))
    tenant.add(workload(tenant, "no-index", **{GROUP_INDEX_OF_WORKLOAD: "first"}))
    tenant.add(workload(tenant, "no-quantity", cpu="1e1.5"))
    until_told(tenant, "Workload", "no-index", "QuotaReserved", "False", "Inadmissible", GROUP_INDEX_OF_WORKLOAD)
    until_told(tenant, "Workload", "no-quantity", "QuotaReserved", "False", "Inadmissible", "main")
    tenant.create(leader_worker_set(size=2)).reached(running)
    tenant.queue().reached(usage(cpu="300m"))


def cohort(tenant: Tenant, name: str, parent: str) -> Object:
    metadata = {"name": name, "labels": tenant.labels}
    return {"apiVersion": f"{KUEUE}/v1beta2", "kind": "Cohort", "metadata": metadata, "spec": {"parentName": parent}}


def test_a_cycle_of_cohorts_stops_only_its_own_queues(tenant: Tenant) -> None:
    """A queue under cohorts that are each other's parents says so and admits nobody until that ends; others go on."""
    tenant.open(quota={"user-queue": room(cpu=300), "other": room(cpu=300)})
    one, two = f"{tenant.name}-one", f"{tenant.name}-two"
    tenant.add(cohort(tenant, one, two))
    tenant.add(cohort(tenant, two, one))
    tenant.patch("ClusterQueue", tenant.name, {"spec": {"cohortName": one}}, namespaced=False)

    def is_told(view: View) -> bool:
        queue = view.get("ClusterQueue", tenant.name)
        return told(queue, "Active")[0] == "False" and "cycle" in message(queue, "Active")

    until(tenant, "the queue says that there is a cycle", is_told)
    lws = tenant.create(leader_worker_set(size=2))
    until_group_told(tenant, SET, "QuotaReserved", "False", "Inadmissible", f"{tenant.name} is inactive")
    tenant.create(leader_worker_set("other", size=2, queue="other")).reached(running)
    lws.group(0).reached(tried, gated, no_quota_reserved)
    tenant.patch("Cohort", two, {"spec": {"parentName": None}}, namespaced=False)
    lws.reached(running)


# Changing queues


def test_a_set_that_waits_may_change_its_queue(near: Near, tenant: Tenant) -> None:
    """A set that waits is admitted in another queue in the same Workload; once it is ready it must stay (QCH-01)."""
    lws = tenant.create(leader_worker_set(size=2), quota={"user-queue": groups(0), "other": groups(1)})
    lws.group(0).reached(tried, gated)
    until_group_told(tenant, SET, "QuotaReserved", "False", "Pending")
    begun = tenant.feed.latest
    before = tenant.feed.read(lambda view: workloads(view, SET))
    lws.edit({"metadata": {"labels": {QUEUE_NAME: "other"}}})
    lws.reached(running)
    lws.group(0).reached(queued_in("other"), charged_to(f"{tenant.name}-b"))
    assert since(near, tenant, begun, lambda view: workloads(view, SET)) == [before]
    with pytest.raises(ApiError) as refusal:
        lws.edit({"metadata": {"labels": {QUEUE_NAME: "user-queue"}}})
    assert refusal.value.refused
    assert QUEUE_NAME in refusal.value.message


# What is charged


def test_defaults_and_overhead_are_charged(tenant: Tenant) -> None:
    """What a LimitRange fills in and a RuntimeClass adds is charged (WL-12)."""
    tenant.open(quota=room())
    bounds = {"type": "Container", "defaultRequest": {"cpu": "50m"}, "default": {"cpu": "50m"}, "max": {"cpu": "300m"}}
    tenant.add(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "bounds", "namespace": tenant.name},
            "spec": {"limits": [bounds]},
        }
    )
    sandboxed = f"{tenant.name}-sandboxed"
    tenant.add(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": sandboxed},
            "handler": "runc",
            "overhead": {"podFixed": {"cpu": "25m"}},
        }
    )
    spec = leader_worker_set(leader=Requests(), worker=Requests())
    for role in ("leader", "worker"):
        spec = spec.with_pods(role, runtimeClassName=sandboxed)
    lws = tenant.create(spec)
    lws.group(0).reached(tried, gated)
    until_group_told(tenant, SET, "QuotaReserved", "False", "Pending")
    tenant.set_quota(room(cpu=1000))
    lws.reached(running)
    lws.group(0).reached(charged_cpu("75m", "150m"))
    tenant.queue().reached(usage(cpu="225m"))
