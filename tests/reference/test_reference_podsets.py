"""The Workload of a group: its name, its podsets, its priority, and everything that it carries."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import names
from conformance.reference import podsets
from conformance.reference.model import Pod, PodSet, PriorityClass, Set, Snapshot, Workload

ONES = "11111111-2222-3333-4444-555555555555"


def template(labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> Any:
    metadata = {"labels": labels or {}, "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


def a_set(**fields: Any) -> Set:
    fields = {"uid": "u", "size": 3, "worker_template": template(), "labels": {names.QUEUE_NAME: "q"}, **fields}
    return Set("ns", fields.pop("name", "s"), **fields)


@pytest.mark.parametrize(
    ("name", "uid", "group", "workload"),
    [
        ("nginx-leaderworkerset", ONES, 0, "leaderworkerset-nginx-leaderworkerset-0-6ba95"),
        ("nginx-leaderworkerset", ONES, 1, "leaderworkerset-nginx-leaderworkerset-1-228d5"),
        ("nginx-leaderworkerset", ONES, 10, "leaderworkerset-nginx-leaderworkerset-10-8b1f1"),
        ("nginx-leaderworkerset", "test-uid", 0, "leaderworkerset-nginx-leaderworkerset-0-1cff2"),
        ("x" * 50, "test-uid", 0, f"leaderworkerset-{'x' * 50}-0-1a9de"),
    ],
)
def test_names_are_those_that_tools_compute(name: str, uid: str, group: int, workload: str) -> None:
    """The Workload's name follows from name, UID and index as Kueue's does."""
    assert podsets.workload_name(Set("ns", name, uid=uid), group) == workload


def test_a_long_name_is_cut_and_stays_unique() -> None:
    """A name has at most 253 characters, and groups whose names are cut alike still differ."""
    long = [podsets.workload_name(Set("ns", "x" * 253, uid="u"), group) for group in (0, 1)]
    assert [len(name) for name in long] == [253, 253]
    assert long[0] != long[1]


def test_a_set_from_another_cluster_is_named_by_its_origin() -> None:
    """With the label multikueue-origin the UID of the origin counts."""
    origin = {names.MULTIKUEUE_ORIGIN: "manager"}
    here = Set("ns", "s", uid="here", labels=origin, annotations={names.MULTIKUEUE_ORIGIN_UID: "there"})
    assert podsets.workload_name(here, 0) == podsets.workload_name(Set("ns", "s", uid="there"), 0)


def test_the_object_of_the_page_sample() -> None:
    """A group's Workload has the anatomy that tools rely on."""
    sample = a_set(leader_template=template(), annotations={names.GATED_BY: "a.io/b", "other": "x"})
    assert podsets.workload_for(sample, 1, Snapshot()) == {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {
            "namespace": "ns",
            "name": podsets.workload_name(sample, 1),
            "labels": {names.JOB_UID: "u"},
            "annotations": {
                names.IS_GROUP_WORKLOAD: "true",
                names.JOB_OWNER_GVK: "leaderworkerset.x-k8s.io/v1, Kind=LeaderWorkerSet",
                names.JOB_OWNER_NAME: "s",
                names.GROUP_INDEX_OF_WORKLOAD: "1",
                names.GATED_BY: "a.io/b",
            },
            "finalizers": [names.RESOURCE_IN_USE],
            "ownerReferences": [
                {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "s", "uid": "u"}
            ],
        },
        "spec": {
            "queueName": "q",
            "priority": 0,
            "podSets": [
                {"name": "leader", "count": 1, "template": template()},
                {
                    "name": "worker",
                    "count": 2,
                    "template": template(),
                    "topologyRequest": {"podIndexLabel": names.WORKER_INDEX},
                },
            ],
        },
    }


@pytest.mark.parametrize(
    ("leader", "size", "counts"),
    [
        (True, 4, [("leader", 1), ("worker", 3)]),
        (True, 1, [("leader", 1), ("worker", 0)]),
        (False, 4, [("main", 4)]),
        (False, 1, [("main", 1)]),
    ],
)
def test_podsets_follow_the_templates(leader: bool, size: int, counts: list[tuple[str, int]]) -> None:
    """A leader template makes two podsets, the leader's first; without one there is `main`, with every pod."""
    made = podsets.podsets(a_set(size=size, leader_template=template() if leader else None))
    assert [(podset["name"], podset["count"]) for podset in made] == counts


def test_a_template_loses_what_leaderworkerset_adds() -> None:
    """LeaderWorkerSet's own keys are dropped but the set's name; the user's stay, and the set is not changed."""
    keys = {names.SET_NAME: "s", names.REVISION: "r", "user": "x"}
    mine = template(labels=keys, annotations={names.GROUP_SIZE: "3", "user": "x"})
    made = podsets.plain_template(mine)
    assert made["metadata"] == {"labels": {names.SET_NAME: "s", "user": "x"}, "annotations": {"user": "x"}}
    assert mine["metadata"]["labels"] == keys


def test_repeated_variables_are_there_once() -> None:
    """Of variables with the same name the last value stays, where the first was."""
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "A", "value": "3"}]
    made = podsets.plain_template(template(containers=[{"env": env}], initContainers=[{"env": env[:2]}]))
    assert made["spec"]["containers"][0]["env"] == [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]
    assert made["spec"]["initContainers"][0]["env"] == env[:2]


@pytest.mark.parametrize(
    ("annotations", "request_"),
    [
        ({}, {}),
        ({names.REQUIRED_TOPOLOGY: "r", names.PODSET_GROUP_NAME: "g"}, {"required": "r", "podSetGroupName": "g"}),
        ({names.PREFERRED_TOPOLOGY: "r"}, {"preferred": "r"}),
        ({names.UNCONSTRAINED_TOPOLOGY: "true"}, {"unconstrained": True}),
        ({names.UNCONSTRAINED_TOPOLOGY: "0", names.PODSET_GROUP_NAME: "g"}, {"unconstrained": False}),
        (
            {names.SLICE_TOPOLOGY: "r", names.SLICE_SIZE: "2"},
            {"podSetSliceRequiredTopology": "r", "podSetSliceSize": 2},
        ),
        (
            {names.SLICE_CONSTRAINTS: '[{"topology": "b", "size": 4}, {"topology": "r", "size": 2}]'},
            {"podsetSliceRequiredTopologyConstraints": [{"topology": "b", "size": 4}, {"topology": "r", "size": 2}]},
        ),
    ],
)
def test_annotations_become_the_request(annotations: dict[str, str], request_: dict[str, Any]) -> None:
    """Each topology annotation of a template becomes its field of the request; a group needs a level."""
    assert podsets.topology_request(annotations) == request_


@pytest.mark.parametrize(
    "annotations",
    [
        {names.SLICE_TOPOLOGY: "r", names.SLICE_SIZE: "many"},
        {names.SLICE_SIZE: "2"},
        {names.SLICE_CONSTRAINTS: "[{]"},
        {names.SLICE_CONSTRAINTS: '[{"topology": "", "size": 4}]'},
        {names.REQUIRED_TOPOLOGY: "r", names.PREFERRED_TOPOLOGY: "r"},
    ],
)
def test_what_makes_no_sense_is_never_forgotten(annotations: dict[str, str]) -> None:
    """Annotations that cannot be used leave a request that is inadmissible, not one that asks for nothing."""
    request = podsets.topology_request(annotations)
    halves = ("podSetSliceRequiredTopology" in request) != ("podSetSliceSize" in request)
    assert halves or {"required", "preferred"} <= request.keys()


def test_execution_time_comes_from_the_label() -> None:
    """The label max-exec-time-seconds limits each group; what is no positive number is ignored."""
    for written, seconds in (("30", 30), ("0", None), ("abc", None), ("-1", None), ("9" * 30, None), ("²", None)):
        assert podsets.most_seconds(a_set(labels={names.MAX_EXEC_TIME: written})) == seconds
    made = podsets.workload_for(a_set(labels={names.MAX_EXEC_TIME: "30"}), 0, Snapshot())
    assert made["spec"]["maximumExecutionTimeSeconds"] == 30
    assert "queueName" not in made["spec"]


CLASSES = Snapshot(
    workload_priorities={"w": PriorityClass("w", 7)},
    pod_priorities={
        "l": PriorityClass("l", 5),
        "k": PriorityClass("k", 4),
        "d2": PriorityClass("d2", 3, default=True),
        "d1": PriorityClass("d1", 2, default=True),
    },
)
POD_CLASS = "scheduling.k8s.io"


@pytest.mark.parametrize(
    ("label", "leader", "worker", "found"),
    [
        ("w", "l", "k", (("kueue.x-k8s.io", "w"), 7)),
        ("", "l", "k", ((POD_CLASS, "l"), 5)),
        ("", "", "k", ((POD_CLASS, "k"), 4)),
        ("", "", "", ((POD_CLASS, "d1"), 2)),
        ("missing", "l", "k", None),
        ("", "missing", "k", None),
    ],
)
def test_priority_goes_from_label_to_default(label: str, leader: str, worker: str, found: Any) -> None:
    """The label's class goes before the leader's, the worker's and the default; a missing class is waited for."""
    labels = {names.PRIORITY_CLASS: label} if label else {}
    asking = a_set(
        labels=labels,
        leader_template=template(priorityClassName=leader),
        worker_template=template(priorityClassName=worker),
    )
    assert podsets.priority(asking, CLASSES) == found


def test_without_any_class_the_priority_is_zero() -> None:
    """Without label, class and default the priority is 0, from no class."""
    assert podsets.priority(a_set(), Snapshot()) == (("", ""), 0)


def test_the_class_is_referred_to_by_its_kind() -> None:
    """The Workload names the class that its priority came from."""
    made = podsets.workload_for(a_set(labels={names.PRIORITY_CLASS: "w"}), 0, CLASSES)
    expected = {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": "w"}
    assert (made["spec"]["priority"], made["spec"]["priorityClassRef"]) == (7, expected)
    made = podsets.workload_for(a_set(), 0, CLASSES)
    assert made["spec"]["priorityClassRef"] == {"group": POD_CLASS, "kind": "PriorityClass", "name": "d1"}


def test_roles_come_from_the_leader_name() -> None:
    """A pod without the name of a leader is the leader; where there is one podset, all pods are of it."""
    leader, worker = Pod("ns", "a", is_leader=True), Pod("ns", "b")
    two = Workload("ns", "w", podsets=(PodSet("leader", 1), PodSet("worker", 2)))
    one = Workload("ns", "w", podsets=(PodSet("main", 3),))
    assert [podsets.podset_of(pod, two) for pod in (leader, worker)] == ["leader", "worker"]
    assert [podsets.podset_of(pod, one) for pod in (leader, worker)] == ["main", "main"]
    assert podsets.role(True, a_set(leader_template=template())) == "leader"
    assert podsets.role(True, a_set()) == "main"
