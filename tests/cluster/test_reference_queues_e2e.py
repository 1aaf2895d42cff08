"""The reference on a real control plane: priority, preemption, cohorts, the order of flavors, admission checks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from references import a_cluster_with, holders, pods, since, until, workloads
from test_reference_e2e import Near

from conformance.clusters.local import LocalCluster
from conformance.components import Components
from conformance.expectations import counts, gated, no_quota_reserved, ready, released, reserved, running, usage
from conformance.expectations.groups import tried
from conformance.implementations.reference import Reference
from conformance.kube import Kube, Object
from conformance.names import HOLD_TERMINATING, KUEUE, OUR_GATES, RACK, TENANT_LABEL
from conformance.trace.history import View, condition, gates, is_true, labels
from conformance.world.builders import SetSpec, leader_worker_set, priority_class
from conformance.world.requests import canary_room, groups
from conformance.world.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.thorough]
LOW, HIGH = "test-low", "test-high"
GROUP = leader_worker_set(size=2).group
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def near(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Near]:
    def put_on(cluster: LocalCluster) -> None:
        Reference(components, {}).put_on(cluster)

    with a_cluster_with(components, tmp_path_factory.mktemp("queues"), put_on) as found:
        kube = Kube(found.cluster.kubeconfig, "kueue-lws-conformance-test")
        for name, value in ((LOW, 10), (HIGH, 1000)):
            kube.create(priority_class(name, value, {}))
        yield found


@pytest.fixture
def tenant(near: Near) -> Tenant:
    """A tenant of the test's own."""
    return near.tenant(f"{next(NUMBERS)}")


# What is written


def of_two(name: str, priority: str | None = None, replicas: int = 1, queue: str = "user-queue") -> SetSpec:
    """A set whose groups are two pods and ask for 300m."""
    return leader_worker_set(name, replicas=replicas, size=2, priority_class=priority, queue=queue)


def configure(tenant: Tenant, queue: str, **spec: object) -> None:
    """Change a ClusterQueue, and wait until the reference has seen it."""
    tenant.patch("ClusterQueue", queue, {"spec": spec}, namespaced=False)
    changed = tenant.ground.kube.get("ClusterQueue", queue)["metadata"]["generation"]

    def told(view: View) -> bool:
        found = view.get("ClusterQueue", queue)
        active = condition(found, "Active") if found is not None else None
        return active is not None and active["status"] == "True" and active.get("observedGeneration") == changed

    until(tenant, f"{queue} is as it was configured", told)


def quotas(*flavors: str, **limits: str) -> list[Object]:
    """A resource group with the quota of one group in each flavor, and these limits."""
    return [
        {
            "coveredResources": ["cpu"],
            "flavors": [
                {"name": name, "resources": [{"name": "cpu", "nominalQuota": "300m"} | limits]} for name in flavors
            ],
        }
    ]


def kueue(tenant: Tenant, kind: str, name: str, spec: Object) -> None:
    """Create an object of Kueue's outside namespaces."""
    metadata = {"name": name, "labels": tenant.labels}
    tenant.add({"apiVersion": f"{KUEUE}/v1beta2", "kind": kind, "metadata": metadata, "spec": spec})


# What is seen


def told(view: View, name: str, index: int, kind: str) -> tuple[str, str]:
    """Status and reason of a condition of a group's Workload."""
    found = view.workload_of_group(name, index)
    seen = condition(found, kind) if found is not None else None
    return (seen["status"], seen["reason"]) if seen else ("", "")


def workload(tenant: Tenant, name: str) -> Object:
    """The Workload of the first group of a set."""
    found = tenant.feed.read(lambda view: view.workload_of_group(name, 0))
    assert found is not None
    return found


def pods_of(tenant: Tenant, name: str) -> list[Object]:
    """The pods of a set."""
    return tenant.feed.read(lambda view: view.pods_of_set(name))


def victims(view: View, name: str) -> frozenset[int | None]:
    """The groups of a set that are evicted."""
    indices = [index for index in workloads(view, name) if index is not None]
    return frozenset(index for index in indices if told(view, name, index, "Evicted")[0] == "True")


def borrowed(view: View, queue: str) -> list[str]:
    """The cpu that a ClusterQueue says to borrow, flavor by flavor."""
    status = (view.get("ClusterQueue", queue) or {}).get("status") or {}
    return [each["borrowed"] for flavor in status.get("flavorsUsage") or () for each in flavor["resources"]]


def started(view: View, name: str) -> set[str]:
    """The pods of a set without a gate of Kueue's."""
    found = view.pods_of_set(name)
    return {pod["metadata"]["name"] for pod in found if not set(gates(pod)) & set(OUR_GATES)}


def spared(tenant: Tenant, name: str, before: dict[int, dict[str, str]]) -> set[int]:
    """The groups whose pods are those that they had before."""
    now = tenant.feed.read(lambda view: {index: pods(view, name, index) for index in before})
    return {index for index in before if now[index] == before[index]}


# Priority


def test_the_higher_priority_is_admitted_first(near: Near, tenant: Tenant) -> None:
    """A set's priority class is that of its Workloads, and of two that wait the higher one is admitted first."""
    low = tenant.create(of_two("low", LOW), quota=groups(0), group=GROUP)
    low.group(0).reached(tried, gated)
    high = tenant.create(of_two("high", HIGH))
    high.group(0).reached(tried, gated)
    begun = tenant.feed.latest
    tenant.set_quota(groups(1))
    high.reached(running)
    for name, written, value in (("low", LOW, 10), ("high", HIGH, 1000)):
        found = workload(tenant, name)
        assert found["spec"]["priority"] == value
        assert found["spec"]["priorityClassRef"] == {"group": KUEUE, "kind": "WorkloadPriorityClass", "name": written}
    assert since(near, tenant, begun, lambda view: holders(view, "low")) == [frozenset()]
    high.delete()
    low.reached(running)


# Preemption in a queue


def test_exactly_one_group_is_preempted_and_comes_back(near: Near, tenant: Tenant) -> None:
    """A higher group preempts one lower group, whole and alone, which is back once the preemptor has gone."""
    tenant.open(quota=groups(3), group=GROUP)
    configure(tenant, tenant.name, preemption={"withinClusterQueue": "LowerPriority"})
    low = tenant.create(of_two("low", LOW, replicas=3))
    low.reached(running)
    begun = tenant.feed.latest
    before = tenant.feed.read(lambda view: {index: pods(view, "low", index) for index in range(3)})
    uids = tenant.feed.read(lambda view: workloads(view, "low"))
    high = tenant.create(of_two("high", HIGH))
    high.reached(running)
    (victim,) = tenant.feed.read(lambda view: victims(view, "low"))
    assert victim is not None
    low.group(victim).reached(tried, gated, no_quota_reserved)
    assert tenant.feed.read(lambda view: told(view, "low", victim, "Evicted")) == ("True", "Preempted")
    assert tenant.feed.read(lambda view: told(view, "low", victim, "Preempted")) == ("True", "InClusterQueue")
    assert spared(tenant, "low", before) == {0, 1, 2} - {victim}
    high.delete()
    low.reached(running)
    assert since(near, tenant, begun, lambda view: victims(view, "low")) == [set(), {victim}, set()]
    assert since(near, tenant, begun, lambda view: workloads(view, "low")) == [uids]
    assert spared(tenant, "low", before) == {0, 1, 2} - {victim}


def test_a_preemptor_waits_until_its_victim_has_ended(near: Near, tenant: Tenant) -> None:
    """A preemptor holds no quota as long as a pod of its victim is terminating."""
    tenant.open(quota=groups(1), group=GROUP)
    configure(tenant, tenant.name, preemption={"withinClusterQueue": "LowerPriority"})
    low = tenant.create(of_two("low", LOW))
    low.reached(running)
    old = tenant.feed.read(lambda view: pods(view, "low", 0))
    for name in old:
        tenant.patch("Pod", name, {"metadata": {"annotations": {HOLD_TERMINATING: "true"}}})
    begun = tenant.feed.latest
    high = tenant.create(of_two("high", HIGH))
    high.group(0).reached(tried)
    until(tenant, "the victim terminates", lambda view: view.pods_of_set("low") and not pods(view, "low", 0))
    high.group(0).reached(gated, no_quota_reserved)
    tenant.queue().reached(reserved(cpu="300m"), usage(cpu="0"), counts(reserving=1, admitted=0))
    for name in old:
        tenant.patch("Pod", name, {"metadata": {"annotations": {HOLD_TERMINATING: None}}})
    high.reached(running)

    def too_early(view: View) -> bool:
        left = {pod["metadata"]["uid"] for pod in view.pods_of_set("low")} & set(old.values())
        return bool(left) and bool(holders(view, "high") or started(view, "high"))

    assert since(near, tenant, begun, too_early) == [False]


def test_without_a_policy_nobody_is_preempted(near: Near, tenant: Tenant) -> None:
    """With withinClusterQueue Never a higher group waits, and the lower one stays."""
    low = tenant.create(of_two("low", LOW), quota=groups(1) + canary_room, group=GROUP)
    low.reached(running)
    begun = tenant.feed.latest
    high = tenant.create(of_two("high", HIGH))
    tenant.canary(after=(high.group(0),)).reached(ready)
    high.group(0).reached(gated, no_quota_reserved)
    assert since(near, tenant, begun, lambda view: holders(view, "low")) == [{0}]
    assert since(near, tenant, begun, lambda view: victims(view, "low")) == [set()]


# Cohorts


def test_what_is_lent_is_taken_back_from_one_borrower(near: Near, tenant: Tenant) -> None:
    """A queue borrows what another does not use, says so, and gives back one group when the lender needs one."""
    tenant.open(quota={"user-queue": groups(2), "other": groups(1)}, group=GROUP, cohort=True)
    configure(tenant, tenant.name, preemption={"reclaimWithinCohort": "Any"})
    borrower = tenant.create(of_two("borrower", HIGH, replicas=3, queue="other"))
    borrower.reached(running)
    until(tenant, "it says what it borrows", lambda view: borrowed(view, f"{tenant.name}-b") == ["600m"])
    begun = tenant.feed.latest
    before = tenant.feed.read(lambda view: {index: pods(view, "borrower", index) for index in range(3)})
    lender = tenant.create(of_two("lender", LOW))
    lender.reached(running)
    (victim,) = tenant.feed.read(lambda view: victims(view, "borrower"))
    assert victim is not None
    borrower.group(victim).reached(tried, gated, no_quota_reserved)
    assert tenant.feed.read(lambda view: told(view, "borrower", victim, "Preempted")) == ("True", "InCohortReclamation")
    until(tenant, "it borrows less", lambda view: borrowed(view, f"{tenant.name}-b") == ["300m"])
    assert since(near, tenant, begun, lambda view: victims(view, "borrower")) == [set(), {victim}]
    assert spared(tenant, "borrower", before) == {0, 1, 2} - {victim}


@pytest.mark.parametrize(("limit", "of"), [("borrowingLimit", "-b"), ("lendingLimit", "")])
def test_a_limit_keeps_a_group_waiting(near: Near, tenant: Tenant, limit: str, of: str) -> None:
    """A group waits where its queue may not borrow, or the other may not lend, and runs once it may."""
    tenant.open(quota={"user-queue": groups(1), "other": canary_room}, group=GROUP, cohort=True)
    limited = tenant.name + of
    group = tenant.ground.kube.get("ClusterQueue", limited)["spec"]["resourceGroups"][0]
    (flavor,) = group["flavors"]
    (quota,) = flavor["resources"]
    with_limit = group | {"flavors": [flavor | {"resources": [quota | {limit: "0"}]}]}
    configure(tenant, limited, resourceGroups=[with_limit])
    lws = tenant.create(of_two("lws", queue="other"))
    tenant.canary(after=(lws.group(0),), queue="other").reached(ready)
    lws.group(0).reached(gated, no_quota_reserved)
    begun = tenant.feed.latest
    configure(tenant, limited, resourceGroups=[group])
    lws.reached(running)
    until(tenant, "it says what it borrows", lambda view: borrowed(view, f"{tenant.name}-b") == ["300m"])
    assert since(near, tenant, begun, lambda view: holders(view, "lws")) == [set(), {0}]


def test_a_cohort_lends_quota_of_its_own(tenant: Tenant) -> None:
    """A group runs on the quota of a cohort above that of its queue, and on no more than that."""
    tenant.open(quota=canary_room, group=GROUP, cohort=True)
    lws = tenant.create(of_two("lws"))
    tenant.canary(after=(lws.group(0),)).reached(ready)
    lws.group(0).reached(gated, no_quota_reserved)
    root = f"{tenant.name}-root"
    kueue(tenant, "Cohort", root, {"resourceGroups": quotas(tenant.name)})
    kueue(tenant, "Cohort", tenant.name, {"parentName": root})
    lws.reached(running)
    until(tenant, "it says what it borrows", lambda view: borrowed(view, tenant.name) == ["300m"])
    more = tenant.create(of_two("more"))
    until(tenant, "it was turned down", lambda view: told(view, "more", 0, "QuotaReserved")[0] == "False")
    tenant.queue().reached(usage(cpu="310m"), counts(pending=1, admitted=2))
    more.group(0).reached(tried, gated, no_quota_reserved)


# Flavors


def test_flavors_are_taken_in_their_order(tenant: Tenant) -> None:
    """A group gets the first flavor that has room and whose taints it tolerates, and is led to its nodes."""
    tenant.open(quota=groups(0), group=GROUP, layout="r1: h1 64000; r2: h2 64000")
    names = {kind: f"{tenant.name}-{kind}" for kind in ("tainted", "first", "second")}
    toleration = {"key": TENANT_LABEL, "operator": "Equal", "value": tenant.name, "effect": "NoSchedule"}
    for kind, rack in (("tainted", "r1"), ("first", "r1"), ("second", "r2")):
        spec: Object = {"nodeLabels": {TENANT_LABEL: tenant.name, RACK: rack}, "tolerations": [toleration]}
        if kind == "tainted":
            spec["nodeTaints"] = [{"key": "example.com/dedicated", "value": "yes", "effect": "NoSchedule"}]
        kueue(tenant, "ResourceFlavor", names[kind], spec)
    configure(tenant, tenant.name, resourceGroups=quotas(*names.values()))
    for name, flavor, rack, host in (("one", "first", "r1", "h1"), ("two", "second", "r2", "h2")):
        lws = tenant.create(of_two(name))
        lws.reached(running)
        admission = workload(tenant, name)["status"]["admission"]
        assert [each["flavors"] for each in admission["podSetAssignments"]] == [{"cpu": names[flavor]}] * 2
        for pod in pods_of(tenant, name):
            assert pod["spec"]["nodeSelector"] == {TENANT_LABEL: tenant.name, RACK: rack}
            assert toleration in pod["spec"]["tolerations"]
            assert pod["spec"]["nodeName"] == f"{tenant.name}-{host}"
    three = tenant.create(of_two("three"))
    until(tenant, "it was turned down", lambda view: told(view, "three", 0, "QuotaReserved")[0] == "False")
    tenant.queue().reached(usage(cpu="600m"), counts(pending=1, admitted=2))
    three.group(0).reached(tried, gated, no_quota_reserved)


# Admission checks


def checked(tenant: Tenant) -> None:
    """The tenant with quota for one group, in a queue with an admission check."""
    tenant.open(quota=groups(1), group=GROUP)
    kueue(tenant, "AdmissionCheck", tenant.name, {"controllerName": "example.com/check"})
    active = {
        "type": "Active",
        "status": "True",
        "reason": "Active",
        "message": "it is",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {"status": {"conditions": [active]}}
    tenant.ground.kube.patch("AdmissionCheck", tenant.name, None, body, subresource="status")
    rule = {"admissionChecks": [{"name": tenant.name}]}
    configure(tenant, tenant.name, admissionChecksStrategy=rule)


def judge(tenant: Tenant, state: str, **more: Any) -> None:
    """What the check's controller says of the Workload of the set."""
    said = {"name": tenant.name, "state": state, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    body = {"status": {"admissionChecks": [said | more]}}
    name = workload(tenant, "lws")["metadata"]["name"]
    tenant.ground.kube.patch("Workload", name, tenant.name, body, subresource="status")


def to_be_judged(view: View) -> bool:
    """Whether the group holds quota, is not admitted, and its check is to judge it."""
    found = view.workload_of_group("lws", 0)
    states = [each["state"] for each in ((found or {}).get("status") or {}).get("admissionChecks") or ()]
    held = is_true(found, "QuotaReserved") and not is_true(found, "Admitted") and not is_true(found, "Evicted")
    return held and states == ["Pending"]


def test_a_check_holds_back_the_pods_and_adds_to_them(near: Near, tenant: Tenant) -> None:
    """With quota reserved the pods wait for the check; once it is Ready they start with what it gives them."""
    checked(tenant)
    lws = tenant.create(of_two("lws"))
    until(tenant, "it is to be judged", to_be_judged)
    lws.group(0).reached(tried, gated)
    tenant.queue().reached(reserved(cpu="300m"), usage(cpu="0"), counts(reserving=1, admitted=0))
    podsets = workload(tenant, "lws")["spec"]["podSets"]
    updates = [
        {"name": each["name"], "labels": {"example.com/by": each["name"]}, "nodeSelector": {"type": "kwok"}}
        for each in podsets
    ]
    judge(tenant, "Ready", podSetUpdates=updates)
    lws.reached(running)
    found = pods_of(tenant, "lws")
    assert {labels(pod)["example.com/by"] for pod in found} == {each["name"] for each in podsets}
    assert [pod["spec"]["nodeSelector"] for pod in found] == [{TENANT_LABEL: tenant.name, "type": "kwok"}] * 2

    def too_early(view: View) -> bool:
        return bool(started(view, "lws")) and not is_true(view.workload_of_group("lws", 0), "Admitted")

    assert since(near, tenant, 0, too_early) == [False]


def test_a_check_that_says_retry_sends_the_group_back(near: Near, tenant: Tenant) -> None:
    """Retry evicts a running group; it reserves quota again, waits for the check, and runs once that is Ready."""
    checked(tenant)
    lws = tenant.create(of_two("lws"))
    until(tenant, "it is to be judged", to_be_judged)
    judge(tenant, "Ready")
    lws.reached(running)
    begun = tenant.feed.latest
    before = tenant.feed.read(lambda view: (workloads(view, "lws"), pods(view, "lws", 0)))
    judge(tenant, "Retry")
    until(tenant, "it is to be judged again", to_be_judged)
    lws.group(0).reached(tried, gated)
    judge(tenant, "Ready")
    lws.reached(running)
    assert ("True", "AdmissionCheck") in since(near, tenant, begun, lambda view: told(view, "lws", 0, "Evicted"))
    assert since(near, tenant, begun, lambda view: workloads(view, "lws")) == [before[0]]
    after = tenant.feed.read(lambda view: pods(view, "lws", 0))
    assert not set(after.values()) & set(before[1].values())


def test_a_check_that_rejects_deactivates_the_group(near: Near, tenant: Tenant) -> None:
    """Rejected deactivates the Workload: its quota is free, and its pods never start."""
    checked(tenant)
    lws = tenant.create(of_two("lws"))
    until(tenant, "it is to be judged", to_be_judged)
    tenant.queue().reached(reserved(cpu="300m"), counts(reserving=1))
    judge(tenant, "Rejected")
    until(tenant, "it is deactivated", lambda view: all(not one["spec"]["active"] for one in view.all("Workload")))
    lws.group(0).reached(tried, gated, no_quota_reserved)
    tenant.queue().reached(released)
    evictions = since(near, tenant, 0, lambda view: told(view, "lws", 0, "Evicted"))
    assert ("True", "DeactivatedDueToAdmissionCheck") in evictions
    assert since(near, tenant, 0, lambda view: started(view, "lws")) == [set()]
