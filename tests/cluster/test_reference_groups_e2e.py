"""The reference on a real control plane: groups that are updated, restarted, scaled, deleted, evicted, and moved."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import pytest
from references import (
    NEW,
    NEWER,
    a_cluster_with,
    has_rolled,
    holders,
    images,
    indices,
    pods,
    roll,
    rolling,
    since,
    until,
    used,
    worker,
    workloads,
)
from test_reference_e2e import Near

from conformance.components import Components
from conformance.expectations import (
    admitted,
    charged_cpu,
    complete,
    counts,
    exists_with_no_groups,
    gated,
    gone,
    leaders_only,
    no_pods_beyond,
    no_quota_reserved,
    ready,
    released,
    running,
    scaled_to,
    usage,
    workloads_of,
)
from conformance.expectations.groups import tried
from conformance.implementations.reference import Reference
from conformance.names import HOLD_TERMINATING, MAX_EXEC_TIME, RACK
from conformance.trace.history import View, condition, gates, is_true
from conformance.world.builders import leader_worker_set
from conformance.world.handles import SetHandle
from conformance.world.requests import Requests, canary_room, groups
from conformance.world.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.thorough]
SET = "lws"


@pytest.fixture(scope="module")
def near(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Near]:
    def put_on(cluster: object) -> None:
        Reference(components, {}).put_on(cluster)  # type: ignore[arg-type]

    with a_cluster_with(components, tmp_path_factory.mktemp("groups"), put_on) as found:
        yield found


NUMBERS = itertools.count()


@pytest.fixture
def tenant(near: Near) -> Tenant:
    """A tenant of the test's own."""
    return near.tenant(f"{next(NUMBERS)}")


def counted(tenant: Tenant, cpu: str, admitted: int) -> int:
    """Wait until the queue has counted all that it admitted; the revision at which it had."""
    tenant.queue().reached(usage(cpu=cpu), counts(pending=0, admitted=admitted))
    return tenant.feed.reached


# Rolling updates


@pytest.mark.parametrize("topology", [False, True], ids=["plain", "topology"])
def test_an_update_keeps_workloads_and_quota(near: Near, tenant: Tenant, topology: bool) -> None:
    """While another image rolls out without surge, no Workload, admission or charge changes (ROLL-01, ROLL-02)."""
    spec = leader_worker_set(replicas=2, size=2, required=RACK if topology else None)
    lws = tenant.create(spec, quota=groups(2), topology=topology)
    lws.reached(running)
    begun = counted(tenant, "600m", 2)
    before = tenant.feed.read(lambda view: workloads(view, SET))
    roll(lws, NEW)
    until(tenant, "the image has rolled out", has_rolled(lws, NEW))
    assert since(near, tenant, begun, lambda view: workloads(view, SET)) == [before]
    assert since(near, tenant, begun, lambda view: holders(view, SET)) == [{0, 1}]
    assert since(near, tenant, begun, lambda view: used(view, tenant.name)) == ["600m"]
    lws.reached(running)


def test_a_surge_group_is_admitted_and_goes(near: Near, tenant: Tenant) -> None:
    """A surge group has a Workload, is admitted, and in the end there are `replicas` Workloads (ROLL-03, ROLL-05)."""
    lws = tenant.create(rolling(leader_worker_set(replicas=2, size=2), surge="25%", unavailable=0), quota=groups(3))
    lws.reached(running)
    begun = counted(tenant, "600m", 2)
    before = tenant.feed.read(lambda view: workloads(view, SET))
    roll(lws, NEW)
    until(tenant, "the image has rolled out", has_rolled(lws, NEW))
    lws.reached(running, workloads_of(0, 1), no_pods_beyond(2))
    counted(tenant, "600m", 2)
    assert frozenset({0, 1, 2}) in since(near, tenant, begun, lambda view: holders(view, SET))
    assert {frozenset(seen) for seen in since(near, tenant, begun, lambda view: indices(view, SET))} == {
        frozenset({0, 1}),
        frozenset({0, 1, 2}),
    }
    assert tenant.feed.read(lambda view: workloads(view, SET)) == before


def test_a_surge_group_without_quota_waits_and_takes_none(near: Near, tenant: Tenant) -> None:
    """With room for `replicas` groups alone the surge group waits, and the update ends when there is more (ROLL-04).

    Until then nothing goes on: a StatefulSet waits for its pods of the new revision to be healthy, whatever number of
    them may be unavailable, as long as its MaxUnavailableStatefulSet is off (by default, in Kubernetes 1.36).
    """
    lws = tenant.create(rolling(leader_worker_set(replicas=2, size=2), surge=1), quota=groups(2) + canary_room)
    lws.reached(running)
    begun = counted(tenant, "600m", 2)
    roll(lws, NEW)
    surging = lws.group(2)
    tenant.canary(after=(surging,)).reached(ready)
    surging.reached(gated, no_quota_reserved)
    lws.group(0).reached(ready)
    lws.group(1).reached(ready)
    assert since(near, tenant, begun, lambda view: holders(view, SET)) == [{0, 1}]
    tenant.set_quota(groups(3) + canary_room)
    until(tenant, "the image has rolled out", has_rolled(lws, NEW))
    lws.reached(running, workloads_of(0, 1), no_pods_beyond(2))


def test_an_update_stops_at_its_partition(near: Near, tenant: Tenant) -> None:
    """Groups below the partition keep their pods and their admission (ROLL-07)."""
    lws = tenant.create(rolling(leader_worker_set(replicas=2, size=2), partition=1), quota=groups(2))
    lws.reached(running)
    begun = counted(tenant, "600m", 2)
    before = tenant.feed.read(lambda view: (pods(view, SET, 0), workloads(view, SET)))
    roll(lws, NEW)
    until(tenant, "group 1 runs the image", lambda view: images(view, SET, 1) == {NEW})
    lws.reached(running)
    assert since(near, tenant, begun, lambda view: (pods(view, SET, 0), workloads(view, SET))) == [before]


def test_two_updates_in_a_row_end_with_the_last(near: Near, tenant: Tenant) -> None:
    """A second update before the first has ended converges, and leaves no Workload behind (ROLL-08)."""
    lws = tenant.create(rolling(leader_worker_set(replicas=2, size=2), surge=1), quota=groups(3))
    lws.reached(running)
    before = tenant.feed.read(lambda view: workloads(view, SET))
    roll(lws, NEW)
    until(tenant, "the first has begun", lambda view: any(NEW in images(view, SET, index) for index in range(3)))
    roll(lws, NEWER)
    until(tenant, "the second has rolled out", has_rolled(lws, NEWER))
    lws.reached(running, workloads_of(0, 1), no_pods_beyond(2))
    assert tenant.feed.read(lambda view: workloads(view, SET)) == before
    counted(tenant, "600m", 2)


@pytest.mark.parametrize("size", [1, 2])
def test_an_update_of_a_set_that_waits_runs_when_there_is_quota(tenant: Tenant, size: int) -> None:
    """A set that is updated while it waits comes up with what was last asked for (ROLL-10)."""
    lws = tenant.create(leader_worker_set(replicas=2, size=size), quota=groups(0))
    for index in range(2):
        lws.group(index).reached(tried, gated)
    roll(lws, NEW)
    until(tenant, "the update has begun", lambda view: NEW in images(view, SET, 0) | images(view, SET, 1))
    tenant.set_quota(groups(2))
    until(tenant, "the image has rolled out", has_rolled(lws, NEW))
    lws.reached(running, workloads_of(0, 1))


# Restarts


def test_a_group_that_is_recreated_keeps_its_admission(near: Near, tenant: Tenant) -> None:
    """When a pod is deleted its whole group is made anew, in the same Workload; no other is (RST-01, DEL-06)."""
    lws = tenant.create(leader_worker_set(replicas=2, restart="RecreateGroupOnPodRestart"), quota=groups(2))
    lws.reached(running)
    begun = counted(tenant, "1", 2)
    before = tenant.feed.read(lambda view: workloads(view, SET))
    old, other = tenant.feed.read(lambda view: (pods(view, SET, 1), pods(view, SET, 0)))
    tenant.delete("Pod", tenant.feed.read(lambda view: worker(view, SET, 1))["metadata"]["name"])
    until(tenant, "all pods are new", lambda view: not set(old.values()) & set(pods(view, SET, 1).values()))
    lws.group(1).reached(ready)
    lws.reached(running)
    assert since(near, tenant, begun, lambda view: workloads(view, SET)) == [before]
    assert since(near, tenant, begun, lambda view: holders(view, SET)) == [{0, 1}]
    assert since(near, tenant, begun, lambda view: used(view, tenant.name)) == ["1"]
    assert since(near, tenant, begun, lambda view: pods(view, SET, 0)) == [other]


def test_a_single_pod_is_replaced_within_its_group(near: Near, tenant: Tenant) -> None:
    """With restart policy None a deleted worker alone is replaced, without another admission (RST-03, DEL-06)."""
    lws = tenant.create(leader_worker_set(restart="None"), quota=groups(1))
    lws.reached(running)
    begun = counted(tenant, "500m", 1)
    before, old = tenant.feed.read(lambda view: (workloads(view, SET), pods(view, SET, 0)))
    gone_one = tenant.feed.read(lambda view: worker(view, SET, 0))["metadata"]["name"]
    tenant.delete("Pod", gone_one)
    until(tenant, "it is another", lambda view: pods(view, SET, 0).get(gone_one, old[gone_one]) != old[gone_one])
    lws.reached(running)
    now = tenant.feed.read(lambda view: pods(view, SET, 0))
    assert {name for name in old if now[name] != old[name]} == {gone_one}
    assert since(near, tenant, begun, lambda view: workloads(view, SET)) == [before]
    assert since(near, tenant, begun, lambda view: holders(view, SET)) == [{0}]
    assert since(near, tenant, begun, lambda view: used(view, tenant.name)) == ["500m"]


# Starting up


def test_workers_come_after_their_leader_is_ready(near: Near, tenant: Tenant) -> None:
    """By LeaderReady a leader waits alone, charged is the whole group, workers are born later without gates."""
    spec = leader_worker_set(startup="LeaderReady").held_not_ready()
    lws = tenant.create(spec, quota=groups(0) + canary_room)
    tenant.canary(after=(lws.group(0),)).reached(ready)
    lws.group(0).reached(leaders_only, gated, no_quota_reserved)
    tenant.set_quota(groups(1) + canary_room)
    lws.group(0).reached(admitted, leaders_only, charged_cpu("100m", "400m"))
    begun = tenant.feed.reached
    counted(tenant, "510m", 2)
    tenant.release_pods(lws)
    lws.reached(running)

    def gates_of_workers(view: View) -> list[str]:
        found = [pod for pod in view.pods_of_group(SET, 0) if pod["metadata"]["name"] != f"{SET}-0"]
        return sorted({gate for pod in found for gate in gates(pod)})

    assert since(near, tenant, begun, gates_of_workers) == [[]]


# Scaling


def test_scaling_up_and_down_at_once_leaves_the_first_group_alone(near: Near, tenant: Tenant) -> None:
    """After 1, 4, 1 in quick succession one untouched group is there, and nothing else (UP-07)."""
    lws = tenant.create(leader_worker_set(size=2), quota=groups(4))
    lws.reached(running)
    begun = counted(tenant, "300m", 1)
    before = tenant.feed.read(lambda view: (pods(view, SET, 0), workloads(view, SET)[0]))
    lws.scale(4)
    lws.scale(1)
    lws.reached(running, scaled_to(1), workloads_of(0), no_pods_beyond(1))
    counted(tenant, "300m", 1)
    assert since(near, tenant, begun, lambda view: (pods(view, SET, 0), workloads(view, SET)[0])) == [before]


def test_groups_come_back_from_zero_under_their_names(tenant: Tenant) -> None:
    """At zero nothing is left but the set; scaled back, new Workloads have the same names (ZERO-01, ZERO-02)."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2))
    lws.reached(running)
    named = tenant.feed.read(
        lambda view: {one["metadata"]["name"]: one["metadata"]["uid"] for one in view.all("Workload")}
    )
    lws.scale(0)
    lws.reached(exists_with_no_groups)
    tenant.queue().reached(released)
    lws.scale(2)
    lws.reached(running)
    again = tenant.feed.read(
        lambda view: {one["metadata"]["name"]: one["metadata"]["uid"] for one in view.all("Workload")}
    )
    assert again.keys() == named.keys()
    assert not set(again.values()) & set(named.values())


def test_scaling_down_holds_quota_until_the_pods_are_gone(tenant: Tenant) -> None:
    """Quota of a group that was scaled away is not given to another while one of its pods still terminates."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2) + canary_room)
    lws.reached(running)
    held = tenant.feed.read(lambda view: list(pods(view, SET, 1)))
    for name in held:
        tenant.patch("Pod", name, {"metadata": {"annotations": {HOLD_TERMINATING: "true"}}})
    other = tenant.create(leader_worker_set("other", size=2))
    lws.scale(1)
    until(tenant, "its pods terminate", lambda view: not pods(view, SET, 1) and view.pods_of_group(SET, 1))
    tenant.canary(after=(other.group(0),)).reached(ready)
    other.group(0).reached(gated, no_quota_reserved)
    tenant.queue().reached(usage(cpu="610m"))
    for name in held:
        tenant.patch("Pod", name, {"metadata": {"annotations": {HOLD_TERMINATING: None}}})
    other.reached(running)
    lws.reached(running, workloads_of(0), no_pods_beyond(1))


# Deleting


@pytest.mark.parametrize(("propagation", "waits"), [("Background", True), ("Foreground", False)])
def test_a_deleted_set_leaves_nothing(tenant: Tenant, propagation: str, waits: bool) -> None:
    """A set that is deleted, running or waiting, takes everything with it, and its quota is free (DEL-01, 02, 04)."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(0 if waits else 2))
    if waits:
        for index in range(2):
            lws.group(index).reached(tried, gated)
    else:
        lws.reached(running)
    tenant.delete("LeaderWorkerSet", SET, propagationPolicy=propagation)
    lws.reached(gone)
    tenant.queue().reached(released)


def test_an_orphaning_deletion_keeps_quota_as_long_as_pods_run(near: Near, tenant: Tenant) -> None:
    """Pods that a deleted set leaves behind hold their quota, none starts without, and with them all goes (DEL-03)."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(1))
    lws.group(1).reached(tried)
    until(tenant, "one group runs", lambda view: len(holders(view, SET)) == 1)
    (runs,) = tenant.feed.read(lambda view: holders(view, SET))
    assert runs is not None
    lws.group(runs).reached(ready)
    begun = counted_one(tenant)
    tenant.delete("LeaderWorkerSet", SET, propagationPolicy="Orphan")
    until(tenant, "the set is gone", lambda view: view.get("LeaderWorkerSet", SET) is None)
    for name in tenant.feed.read(lambda view: [one["metadata"]["name"] for one in view.all("StatefulSet")]):
        tenant.delete("StatefulSet", name)
    until(tenant, "nothing is left", lambda view: not view.all("Workload") and not view.all("Pod"))
    tenant.queue().reached(released)

    def started(view: View) -> set[str]:
        return {pod["metadata"]["name"] for pod in view.pods_of_group(SET, 1 - runs) if not gates(pod)}

    def free_too_early(view: View) -> bool:
        return bool(view.pods_of_group(SET, runs)) and used(view, tenant.name) == "0"

    assert since(near, tenant, begun, started) == [set()]
    assert since(near, tenant, begun, free_too_early) == [False]


def counted_one(tenant: Tenant) -> int:
    """Wait until one group is counted as admitted and one as waiting; the revision then."""
    tenant.queue().reached(usage(cpu="300m"), counts(pending=1, admitted=1))
    return tenant.feed.reached


def test_a_workload_that_is_deleted_is_made_anew(near: Near, tenant: Tenant) -> None:
    """A deleted Workload comes back under its name; its group is stopped and queued again, and no other (WL-19)."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2))
    lws.reached(running)
    begun = counted(tenant, "600m", 2)
    old, other = tenant.feed.read(lambda view: (pods(view, SET, 1), pods(view, SET, 0)))
    was = tenant.feed.read(lambda view: view.workload_of_group(SET, 1))
    assert was is not None
    name, uid = was["metadata"]["name"], was["metadata"]["uid"]
    tenant.delete("Workload", name)

    def renewed(view: View) -> bool:
        found = view.get("Workload", name)
        return found is not None and found["metadata"]["uid"] != uid and is_true(found, "Admitted")

    until(tenant, "it is another, and admitted", renewed)
    lws.reached(running)
    assert not set(old.values()) & set(tenant.feed.read(lambda view: pods(view, SET, 1)).values())
    assert since(near, tenant, begun, lambda view: pods(view, SET, 0)) == [other]
    counted(tenant, "600m", 2)


# Nodes


LAYOUT = "r1: h1 1000, h2 1000, h3 1000; r2: h4 1000, h5 1000"
FULL = Requests(cpu=1000)


def placed_set(tenant: Tenant, restart: str = "None") -> SetHandle:
    """A group of two that runs on hosts of rack r1, each of which it fills."""
    spec = leader_worker_set(size=2, leader=FULL, worker=FULL, required=RACK, restart=restart)
    tenant.open(quota=groups(2), group=spec.group, layout=LAYOUT, topology=True)
    for host in ("h4", "h5"):
        tenant.hosts.occupy(host, FULL)
    lws = tenant.create(spec)
    lws.reached(running)
    for host in ("h4", "h5"):
        tenant.hosts.vacate(host)
    return lws


def host_of(tenant: Tenant, pod: str) -> str:
    """The host of a pod, by the name of the layout."""
    found = tenant.feed.read(lambda view: view.get("Pod", pod))
    assert found is not None
    return str(found["spec"]["nodeName"]).removeprefix(f"{tenant.name}-")


def test_a_lost_node_is_replaced_in_its_rack(near: Near, tenant: Tenant) -> None:
    """A pod whose node is deleted gets another in the same rack; group and leader stay as they are (TAS-22)."""
    lws = placed_set(tenant)
    begun = tenant.feed.latest
    leader = tenant.feed.read(lambda view: pods(view, SET, 0))[f"{SET}-0"]
    lost = host_of(tenant, f"{SET}-0-1")
    tenant.hosts.lose(lost)
    lws.reached(running)
    (spare,) = {"h1", "h2", "h3"} - {lost, host_of(tenant, f"{SET}-0")}
    assert host_of(tenant, f"{SET}-0-1") == spare
    assert since(near, tenant, begun, lambda view: pods(view, SET, 0)[f"{SET}-0"]) == [leader]
    assert since(near, tenant, begun, lambda view: holders(view, SET)) == [{0}]
    until(tenant, "no node is listed as lost", lambda view: not unhealthy(view))


def unhealthy(view: View) -> list[str]:
    """The nodes that group 0 lists as lost."""
    found = view.workload_of_group(SET, 0)
    return [node["name"] for node in ((found or {}).get("status") or {}).get("unhealthyNodes") or ()]


def test_a_group_that_finds_no_other_node_is_placed_anew(near: Near, tenant: Tenant) -> None:
    """Without a spare node in the rack the group is evicted for NodeFailures and runs in another rack (TAS-23)."""
    lws = placed_set(tenant)
    (spare,) = {"h1", "h2", "h3"} - {host_of(tenant, f"{SET}-0"), host_of(tenant, f"{SET}-0-1")}
    tenant.hosts.occupy(spare, FULL)
    begun = tenant.feed.latest
    tenant.hosts.lose(host_of(tenant, f"{SET}-0-1"))
    until(tenant, "it runs elsewhere", lambda view: elsewhere(view, tenant.name))
    lws.reached(running)
    assert ("True", "NodeFailures") in since(near, tenant, begun, lambda view: eviction_of(view, 0))


def elsewhere(view: View, tenant: str) -> bool:
    found = [pod["spec"].get("nodeName") for pod in view.pods_of_group(SET, 0)]
    return sorted(map(str, found)) == [f"{tenant}-h4", f"{tenant}-h5"]


def eviction_of(view: View, group: int) -> tuple[str, str]:
    """Status and reason of the condition Evicted of a group's Workload."""
    found = view.workload_of_group(SET, group)
    told = condition(found, "Evicted") if found is not None else None
    return (told["status"], told["reason"]) if told else ("", "")


def test_a_node_that_is_not_ready_is_not_used(tenant: Tenant) -> None:
    """A group is not placed on a node that is NotReady, and is once it is Ready again (TAS-27)."""
    spec = leader_worker_set(size=2, leader=FULL, worker=FULL, required=RACK)
    layout = "r1: h1 1000, h2 1000; r2: h3 1000"
    tenant.open(quota=groups(1) + canary_room, group=spec.group, layout=layout, topology=True)
    tenant.hosts.spoil("h2", "not-ready")
    lws = tenant.create(spec)
    tenant.canary(after=(lws.group(0),)).reached(ready)
    lws.group(0).reached(gated, no_quota_reserved)
    tenant.hosts.mend("h2", "not-ready")
    lws.reached(running)


# Time


def test_a_group_that_ran_long_enough_is_stopped_for_good(near: Near, tenant: Tenant) -> None:
    """A group past its maximum execution time is deactivated, its pods wait at the gate, its quota is free (EVI-05)."""
    spec = leader_worker_set(size=2)
    labels = spec.object["metadata"]["labels"] | {MAX_EXEC_TIME: "1"}
    lws = tenant.create(spec.but(labels=labels), quota=groups(1))
    until(tenant, "it is deactivated", lambda view: not is_active(view, 0))
    lws.group(0).reached(tried, gated, no_quota_reserved)
    tenant.queue().reached(usage(cpu="0"))
    reason = "DeactivatedDueToMaximumExecutionTimeExceeded"
    assert ("True", reason) in since(near, tenant, 0, lambda view: eviction_of(view, 0))
    assert {0} in since(near, tenant, 0, lambda view: holders(view, SET))


def is_active(view: View, group: int) -> bool:
    """Whether a group's Workload is there and not deactivated."""
    found = view.workload_of_group(SET, group)
    return found is None or bool(found["spec"].get("active", True))


@pytest.fixture(scope="module")
def impatient(near: Near) -> Iterator[Near]:
    """The reference with a short timeout for pods to be ready, at most one new attempt, and a short wait before it."""
    requeuing = {"backoffBaseSeconds": 1, "backoffLimitCount": 1}
    config = {"waitForPodsReady": {"enable": True, "timeout": "2s", "requeuingStrategy": requeuing}}
    path = near.cluster.folder / "reference" / "config.yaml"
    before = path.read_bytes()

    def with_config(written: bytes) -> None:
        near.reference.stop()
        path.write_bytes(written)
        near.reference.start_again()

    with_config(msgspec.json.encode(config))
    yield near
    with_config(before)


def requeues(view: View) -> int:
    found = view.workload_of_group(SET, 0)
    return int((((found or {}).get("status") or {}).get("requeueState") or {}).get("count", 0))


def test_a_group_that_is_not_ready_in_time_comes_back_and_is_then_given_up(impatient: Near, tenant: Tenant) -> None:
    """A group not ready in time is evicted, later admitted again, and at the limit deactivated (EVI-02, EVI-03)."""
    lws = tenant.create(leader_worker_set(size=2).held_not_ready(), quota=groups(1))
    until(tenant, "it is given up", lambda view: not is_active(view, 0))
    lws.group(0).reached(tried, gated, no_quota_reserved)
    evictions = since(impatient, tenant, 0, lambda view: eviction_of(view, 0))
    again = evictions.index(("True", "PodsReadyTimeout"))
    assert ("True", "DeactivatedDueToRequeuingLimitExceeded") in evictions[again:]
    kept = since(
        impatient, tenant, 0, lambda view: (is_true(view.workload_of_group(SET, 0), "Admitted"), requeues(view))
    )
    assert (True, 1) in kept


def test_only_the_group_that_is_not_ready_is_evicted(impatient: Near, tenant: Tenant) -> None:
    """A group whose pods became ready in time stays, whatever its neighbour does (EVI-02)."""
    lws = tenant.create(leader_worker_set(size=2), quota=groups(2))
    lws.group(0).reached(ready)
    until(tenant, "its pods count as ready", lambda view: is_true(view.workload_of_group(SET, 0), "PodsReady"))
    late = tenant.create(leader_worker_set("late", size=2).held_not_ready())
    begun = tenant.feed.latest
    until(tenant, "the other is evicted", lambda view: evicted(view, "late"))
    assert since(impatient, tenant, begun, lambda view: holders(view, SET)) == [{0}]
    lws.group(0).reached(complete)
    late.delete()
    late.reached(gone)


def evicted(view: View, name: str) -> bool:
    return is_true(view.workload_of_group(name, 0), "Evicted")
