"""The birth of a pod: gated and a member of its group, or ready where the group is admitted; and its later changes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from conformance import names
from conformance.reference import births, pods, podsets, reading
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Assignment,
    Condition,
    Flavor,
    Pod,
    PodSet,
    Set,
    Snapshot,
    Toleration,
    TopologyAssignment,
    Workload,
)

SET = Set("ns", "s", uid="u", size=3, labels={names.QUEUE_NAME: "q"}, leader_template={})
NAME = podsets.workload_name(SET, 0)
FLAVOR = Flavor("f", node_labels={"pool": "a"}, tolerations=(Toleration("t", "Exists"),))
ADMITTED = {"QuotaReserved": Condition(True), "Admitted": Condition(True)}
HOSTS = TopologyAssignment((names.HOSTNAME,), ((("h1",), 1), (("h2",), 1)))
IDENTITY = {
    names.POD_GROUP_NAME: NAME,
    names.PREBUILT_WORKLOAD: NAME,
    names.POD_GROUP_TOTAL_COUNT: "3",
    names.ROLE_HASH: "worker",
}
GATES = [{"name": names.ADMISSION_GATE}, {"name": names.TOPOLOGY_GATE}]


def a_pod(worker: int = 1, **spec: Any) -> dict[str, Any]:
    annotations = {names.SUSPENDING_PARENT: names.LWS_FRAMEWORK}
    if worker:
        annotations[names.LEADER_NAME] = "s-0"
    labels = {names.SET_NAME: "s", names.GROUP_INDEX: "0", names.WORKER_INDEX: str(worker), names.QUEUE_NAME: "q"}
    metadata = {"namespace": "ns", "name": f"s-0-{worker}", "labels": labels, "annotations": annotations}
    return {"metadata": metadata, "spec": {"containers": [], **spec}}


def a_workload(topology: TopologyAssignment | None = None, **fields: Any) -> Workload:
    given = (Assignment("leader", 1), Assignment("worker", 2, {"cpu": "f"}, topology=topology))
    two = (PodSet("leader", 1), PodSet("worker", 2, index_offset=1))
    fields = {"conditions": ADMITTED, "admission": Admission("cq", given), "podsets": two, "queue": "q", **fields}
    return Workload("ns", NAME, set_name="s", group=0, owner="u", **fields)


def known(workload: Workload | None = None, *its_pods: Pod, sets: tuple[Set, ...] = (SET,)) -> Snapshot:
    return Snapshot(
        sets={set_.key: set_ for set_ in sets},
        workloads={workload.key: workload} if workload else {},
        pods={("ns", "s", 0): {pod.key: pod for pod in its_pods}},
        flavors={"f": FLAVOR},
    )


def born(pod: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    before = copy.deepcopy(pod)
    became = births.mutate(pod, snapshot)
    assert pod == before, "the given pod is not to be changed"
    assert became is not None
    return became


def gates(pod: dict[str, Any]) -> list[str]:
    return [gate["name"] for gate in pod["spec"].get("schedulingGates", [])]


def test_a_pod_of_a_pending_group_is_born_gated() -> None:
    """A pod is born with both gates, as a member of its group, and nothing else of it changes."""
    pod = a_pod()
    became = born(pod, known())
    assert became["metadata"]["labels"] == {**pod["metadata"]["labels"], names.MANAGED: "true"}
    assert became["metadata"]["annotations"] == {**pod["metadata"]["annotations"], **IDENTITY}
    assert became["spec"] == {"containers": [], "schedulingGates": GATES}


@pytest.mark.parametrize(
    "workload",
    [
        a_workload(conditions={}),
        a_workload(conditions={"QuotaReserved": Condition(True)}),
        a_workload(conditions={**ADMITTED, "Evicted": Condition(True)}),
        a_workload(deleted=True),
    ],
)
def test_no_pod_is_born_ready_without_admission(workload: Workload) -> None:
    """A Workload that is pending, waits for checks, is evicted or is being deleted lets no pod be born ready."""
    assert gates(born(a_pod(), known(workload))) == [names.ADMISSION_GATE, names.TOPOLOGY_GATE]


@pytest.mark.parametrize("ready", [True, False])
def test_what_comes_to_a_group_that_has_run_is_born_gated(ready: bool) -> None:
    """The pod in the place of one that was lost is let go by a pass: its group may be on its way out."""
    workload = a_workload(conditions={**ADMITTED, "PodsReady": Condition(ready)})
    assert gates(born(a_pod(), known(workload))) == [names.ADMISSION_GATE, names.TOPOLOGY_GATE]


def test_a_pod_of_an_unknown_set_is_born_gated() -> None:
    """The stamps of its template are enough for the gates; what it is a member of is told later."""
    became = born(a_pod(), known(a_workload(), sets=()))
    assert gates(became) == [names.ADMISSION_GATE, names.TOPOLOGY_GATE]
    assert names.POD_GROUP_NAME not in became["metadata"]["annotations"]


def test_a_pod_of_a_set_being_deleted_is_born_gated() -> None:
    """A set that is being deleted starts no more pods."""
    assert gates(born(a_pod(), known(a_workload(), sets=(replace(SET, deleted=True),))))


def test_other_pods_are_not_touched() -> None:
    """A pod without the stamp of a queued LeaderWorkerSet is created as it is, other integrations' pods as well."""
    for stamps in (None, {}, {names.SUSPENDING_PARENT: "statefulset"}):
        assert births.mutate({"metadata": {"namespace": "ns", "annotations": stamps}, "spec": {}}, known()) is None


def test_gates_of_others_stay_and_ours_are_there_once() -> None:
    """Gates that are there already stay, in their order, and none is doubled."""
    became = born(a_pod(schedulingGates=[{"name": "mine/gate"}, GATES[0]]), known())
    assert gates(became) == ["mine/gate", names.ADMISSION_GATE, names.TOPOLOGY_GATE]
    ready = born(a_pod(schedulingGates=[{"name": "mine/gate"}]), known(a_workload()))
    assert gates(ready) == ["mine/gate"]


def test_a_foreign_group_name_is_replaced() -> None:
    """A pod cannot be born into another group than its labels say."""
    pod = a_pod()
    pod["metadata"]["annotations"][names.POD_GROUP_NAME] = "of-somebody-else"
    assert born(pod, known())["metadata"]["annotations"][names.POD_GROUP_NAME] == NAME


def live(pod: dict[str, Any]) -> Pod:
    """The pod as it is read from the API server."""
    there = {
        "apiVersion": "v1",
        "kind": "Pod",
        **pod,
        "metadata": {"uid": "p", "resourceVersion": "1", **pod["metadata"]},
    }
    read: Pod = reading.read("Pod", msgspec.json.encode(there))
    return read


@pytest.mark.parametrize("topology", [None, HOSTS])
def test_born_ready_is_what_starting_makes(topology: TopologyAssignment | None) -> None:
    """A pod of an admitted group is born exactly as a gated one becomes when it is started."""
    workload = a_workload(topology)
    pod = a_pod(
        2, nodeSelector={"zone": "z"}, tolerations=[{"key": "own", "operator": "Exists", "tolerationSeconds": 9}]
    )
    ready = live(born(pod, known(workload)))
    gated = live(born(pod, known()))
    draft = Draft(known(workload, gated), 0.0)
    pods.keep(draft)
    assert not ready.gates
    assert draft.pods[gated.key] == ready
    assert ready.selector.get(names.HOSTNAME) == ("h2" if topology else None)
    assert ready.tolerations[0].seconds == 9
    assert len(ready.tolerations) == 2


def test_a_reborn_pod_takes_the_place_of_the_old_one() -> None:
    """Terminating and finished pods of the group do not stand in the way of those that replace them."""
    old = replace(births.newborn_of(a_pod(1)), gates=(), selector={names.HOSTNAME: "h1"}, deleted=True)
    became = born(a_pod(1), known(a_workload(HOSTS), old))
    assert became["spec"]["nodeSelector"][names.HOSTNAME] == "h1"


def test_no_pod_is_born_beyond_the_count() -> None:
    """A pod for which its podset has no place is born gated."""
    running = [replace(births.newborn_of(a_pod(worker)), gates=()) for worker in (1, 2)]
    assert gates(born(a_pod(3), known(a_workload(), *running)))


def test_without_ranks_a_birth_waits_where_places_differ() -> None:
    """Where ranks cannot tell pods apart and the free places differ, two births could get the same: both wait."""
    pod = a_pod(1)
    pod["metadata"]["labels"].pop(names.WORKER_INDEX)
    assert gates(born(pod, known(a_workload(HOSTS))))
    running = replace(births.newborn_of(a_pod(2)), gates=(), selector={names.HOSTNAME: "h1"})
    became = born(pod, known(a_workload(HOSTS), running))
    assert became["spec"]["nodeSelector"][names.HOSTNAME] == "h2"


def test_a_missing_flavor_gates() -> None:
    """Where a flavor of the assignment is gone the pod is born gated."""
    assert gates(born(a_pod(), replace(known(a_workload()), flavors={})))


# Changes


def changed(pod: dict[str, Any], **metadata: dict[str, str | None]) -> dict[str, Any]:
    after = copy.deepcopy(pod)
    for part, keys in metadata.items():
        for key, value in keys.items():
            if value is None:
                del after["metadata"][part][key]
            else:
                after["metadata"][part][key] = value
    return after


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"labels": {names.MANAGED: "false"}}, "managed label value can only be 'true'"),
        ({"annotations": {names.POD_GROUP_NAME: "other"}}, "field is immutable"),
        ({"annotations": {names.POD_GROUP_NAME: None}}, "field is immutable"),
        ({"annotations": {names.PREBUILT_WORKLOAD: "other"}}, "prebuilt workload and pod group should be equal"),
        ({"annotations": {names.PREBUILT_WORKLOAD: "other", names.SUSPENDING_PARENT: None}}, "should be equal"),
        ({"labels": {"user": "x"}, "annotations": {"user": "x"}}, ""),
    ],
)
def test_identity_is_kept(change: dict[str, Any], refusal: str) -> None:
    """A pod stays a member of its group: changes of its identity are refused, all others are not."""
    pod = born(a_pod(), known())
    found = births.validate(pod, changed(pod, **change))
    assert refusal in found
    assert bool(found) == bool(refusal)


def test_the_queue_of_a_started_pod_is_kept() -> None:
    """The queue label of a pod may change while it is gated, and when it is started, not afterwards."""
    gated, ready = born(a_pod(), known()), born(a_pod(), known(a_workload()))
    other: dict[str, dict[str, str | None]] = {"labels": {names.QUEUE_NAME: "other"}}
    assert births.validate(gated, changed(gated, **other)) == ""
    assert births.validate(gated, changed(ready, **other)) == ""
    assert names.QUEUE_NAME in births.validate(ready, changed(ready, **other))


def test_pods_of_unqueued_sets_may_change() -> None:
    """Nothing is refused on a pod that no queued set has stamped."""
    plain = {"metadata": {"labels": {names.MANAGED: "false"}}, "spec": {}}
    assert births.validate(plain, plain) == ""
