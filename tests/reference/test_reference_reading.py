"""Objects of the cluster, read as values."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import names
from conformance.reference import model, reading, reading_assignments

QUICK = settings(max_examples=150, deadline=None)
T0 = "2026-01-31T12:00:00Z"
SECONDS = 1769860800.0
POD: dict[str, Any] = {
    "metadata": {
        "name": "llm-0-1",
        "namespace": "team",
        "uid": "pod-uid",
        "resourceVersion": "7",
        "creationTimestamp": T0,
        "labels": {names.SET_NAME: "llm", names.GROUP_INDEX: "0", names.WORKER_INDEX: "1"},
        "annotations": {names.SUSPENDING_PARENT: names.LWS_FRAMEWORK, names.LEADER_NAME: "llm-0"},
        "managedFields": [{"manager": "somebody"}],
    },
    "spec": {
        "containers": [
            {"name": "a", "image": "i", "resources": {"requests": {"cpu": "500m"}, "limits": {"nvidia.com/gpu": "1"}}}
        ],
        "schedulingGates": [{"name": names.ADMISSION_GATE}],
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [
            {"key": "not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
        ],
        "overhead": {"cpu": "100m"},
    },
    "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]},
}  # fmt: skip


def workload(**changes: Any) -> dict[str, Any]:
    """A Workload of group 1 of a LeaderWorkerSet; `changes` replaces annotations, spec and status."""
    return {
        "metadata": {
            "name": "w",
            "namespace": "team",
            "uid": "u",
            "resourceVersion": "3",
            "generation": 2,
            "creationTimestamp": T0,
            "finalizers": [names.RESOURCE_IN_USE],
            "annotations": {names.JOB_OWNER_NAME: "llm", names.GROUP_INDEX_OF_WORKLOAD: "1"}
            | changes.get("annotations", {}),
            "ownerReferences": changes.get(
                "owners",
                [
                    {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "pod"},
                    {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "llm", "uid": "o"},
                ],
            ),
        },
        "spec": {"podSets": [], "queueName": "q", "active": True} | changes.get("spec", {}),
        "status": changes.get("status", {}),
    }


def read(kind: str, obj: dict[str, Any]) -> Any:
    """The value from the object's bytes, which must be the one from the object itself."""
    value = reading.read(kind, json.dumps(obj).encode())
    assert value == reading.read(kind, obj)
    return value


# Pods, nodes and their surroundings


def test_a_pod_of_a_managed_group_is_read_whole() -> None:
    """Identity, group, rank, gates, selector, tolerations and requests come from the pod as it is."""
    assert read("Pod", POD) == model.Pod(
        namespace="team",
        name="llm-0-1",
        uid="pod-uid",
        revision="7",
        created=SECONDS,
        gates=(names.ADMISSION_GATE,),
        labels=POD["metadata"]["labels"],
        annotations=POD["metadata"]["annotations"],
        selector={"pool": "gpu"},
        tolerations=(
            model.Toleration("not-ready", "Exists", "", "NoExecute", 300),
            model.Toleration("gpu", "", "yes", "NoSchedule"),
        ),
        requests={"cpu": 600, "nvidia.com/gpu": 1000, "pods": 1000},
        suspended=True,
        set_name="llm",
        group=0,
        worker=1,
    )


@pytest.mark.parametrize("index", ["", "-1", "+1", " 1", "1_0", "one", "٣", "99999999999"])
def test_an_index_is_written_in_plain_digits(index: str) -> None:
    """A pod whose group index is anything else has no group: it must not be counted to one by accident."""
    obj = {**POD, "metadata": {**POD["metadata"], "labels": {names.GROUP_INDEX: index}}}
    pod = read("Pod", obj)
    assert (pod.group, pod.set_name, pod.worker) == (None, "", None)


def test_a_pod_that_runs_and_ends_says_so() -> None:
    """Ready is the condition's status, finished the phase, deleted the deletion's time, leader the missing name."""
    meta = {"name": "p", "namespace": "n", "deletionTimestamp": T0}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    ready = read("Pod", {"metadata": meta, "spec": {"nodeName": "n1"}, "status": status})
    assert (ready.ready, ready.finished, ready.deleted, ready.node, ready.is_leader) == (True, False, True, "n1", True)
    assert ready.gone_by == SECONDS
    for phase in ("Succeeded", "Failed"):
        assert read("Pod", {"metadata": meta, "spec": {}, "status": {"phase": phase}}).finished


def test_a_pod_that_is_about_to_be_created_is_read_too() -> None:
    """A webhook sees pods without UID, revision and times; a container without resources asks for nothing."""
    pod = read("Pod", {"metadata": {"generateName": "p-", "creationTimestamp": None}, "spec": {"containers": [{}]}})
    assert (pod.name, pod.uid, pod.created, pod.requests, pod.suspended) == ("", "", 0.0, {"pods": 1000}, False)


def test_a_node_has_room_only_while_it_is_ready() -> None:
    """Labels, taints, allocatable amounts and the cordon are read; a node without the condition Ready is not Ready."""
    node = {
        "metadata": {"name": "n", "labels": {"rack": "r1"}},
        "spec": {"unschedulable": True, "taints": [{"key": "gpu", "value": "x", "effect": "NoExecute"}]},
        "status": {"allocatable": {"cpu": "2", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    expected = model.Node("n", {"rack": "r1"}, {"cpu": 2000, "pods": 110000},
                          (model.Taint("gpu", "x", "NoExecute"),), True, True)  # fmt: skip
    assert read("Node", node) == expected
    assert not read("Node", {"metadata": {"name": "n"}, "spec": {}, "status": {}}).ready


def test_limit_ranges_keep_the_narrowest_bounds_for_containers() -> None:
    """Several items are one: the smallest maximum, the largest minimum, the first default; items for pods are not."""
    limits: list[dict[str, Any]] = [
        {"type": "Pod", "max": {"cpu": "1m"}},
        {"type": "Container", "max": {"cpu": "4"}, "min": {"cpu": "1"}, "default": {"cpu": "2"}},
        {"type": "Container", "max": {"cpu": "3"}, "min": {"cpu": "2"}, "default": {"cpu": "3"},
         "defaultRequest": {"memory": "1Ki"}},
    ]  # fmt: skip
    got = read("LimitRange", {"metadata": {"name": "l", "namespace": "n"}, "spec": {"limits": limits}})
    assert got == model.LimitRange("n", "l", {"memory": 1024_000}, {"cpu": 2000}, {"cpu": 3000}, {"cpu": 2000})


def test_namespaces_runtime_classes_and_priorities_are_what_the_snapshot_has_of_them() -> None:
    """Labels of a namespace, overhead of a RuntimeClass, value of a class."""
    assert read("Namespace", {"metadata": {"name": "n", "labels": {"a": "b"}}}) == {"a": "b"}
    assert read("RuntimeClass", {"metadata": {"name": "r"}, "handler": "h"}) == {}
    overhead = {"metadata": {"name": "r"}, "overhead": {"podFixed": {"cpu": "50m"}}}
    assert read("RuntimeClass", overhead) == {"cpu": 50}
    priority = {"metadata": {"name": "p"}, "value": -5, "globalDefault": True}
    assert read("PriorityClass", priority) == model.PriorityClass("p", -5, True)
    assert read("WorkloadPriorityClass", {"metadata": {"name": "p"}, "value": 7}) == model.PriorityClass("p", 7)


# Templates


def test_a_template_is_read_as_far_as_it_decides() -> None:
    """Containers, sidecars, pod-level resources, overhead, selector, affinity, tolerations and class."""
    spec = {
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}],
        "initContainers": [
            {"name": "i", "resources": {"requests": {"cpu": "3"}}},
            {"name": "s", "restartPolicy": "Always"},
        ],
        "resources": {"requests": {"cpu": "4"}, "limits": {"memory": "1Ki", "cpu": "5"}},
        "overhead": {"cpu": "10m"},
        "runtimeClassName": "kata",
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k"}],
        "priorityClassName": "high",
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x", "y"]}]}
                    ]
                }
            }
        },
    }
    assert reading.read_template({"metadata": {}, "spec": spec}) == model.Template(
        containers=(model.Container({"cpu": 1000}, {"cpu": 2000}),),
        init_containers=(model.Container({"cpu": 3000}), model.Container(sidecar=True)),
        pod_requests={"cpu": 4000, "memory": 1024_000},
        overhead={"cpu": 10},
        runtime_class="kata",
        selector={"a": "b"},
        affinity=((model.Match("zone", "In", ("x", "y")),),),
        tolerations=(model.Toleration("k", "Equal", "", ""),),
        priority_class="high",
    )


@pytest.mark.parametrize(
    "terms",
    [
        [],
        [{}],
        [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}],
        [{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}],
          "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}],
    ],
)  # fmt: skip
def test_an_affinity_that_cannot_be_judged_by_labels_matches_no_node(terms: list[dict[str, Any]]) -> None:
    """No terms, an empty term and a term about fields of the node hold nowhere, rather than everywhere."""
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    template = reading.read_template({"spec": {"affinity": affinity}})
    assert template.affinity
    for term in template.affinity:
        assert any(match.operator == "In" and not match.values for match in term)


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1e1.5"}}}]}}, "container c.cpu"),
        ({"spec": {"overhead": {"cpu": "much"}}}, "overhead.cpu"),
        ({"spec": {"containers": "none"}}, "cannot be read"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template: dict[str, Any], word: str) -> None:
    """Reading a template never raises; what is wrong with it is its problem."""
    assert word in reading.read_template(template).problem


# Workloads


def test_a_workload_is_read_whole() -> None:
    """Identity, spec and every part of the status that decides."""
    template = {"metadata": {"annotations": {names.INDEX_OFFSET: "1"}}, "spec": {"containers": []}}
    check = {"name": "c", "state": "Retry", "lastTransitionTime": T0, "message": "m", "requeueAfterSeconds": 9,
             "retryCount": 2, "podSetUpdates": [{"name": "main"}]}  # fmt: skip
    obj = workload(
        annotations={names.GATED_BY: "b.example/x, a.example/y,,b.example/x"},
        spec={
            "podSets": [{"name": "main", "count": 3, "template": template,
                         "topologyRequest": {"required": "rack", "podSetGroupName": "g", "podIndexLabel": "i",
                                             "podSetSliceRequiredTopology": "host", "podSetSliceSize": 2}}],
            "priority": 5,
            "priorityClassRef": {"group": names.KUEUE, "kind": "WorkloadPriorityClass", "name": "high"},
            "active": False,
            "maximumExecutionTimeSeconds": 60,
        },
        status={
            "conditions": [{"type": "QuotaReserved", "status": "True", "reason": "r", "message": "m",
                            "lastTransitionTime": T0, "observedGeneration": 2}],
            "admission": {"clusterQueue": "cq", "podSetAssignments": [
                {"name": "main", "flavors": {"cpu": "f"}, "resourceUsage": {"cpu": "3"},
                 "delayedTopologyRequest": "Ready",
                 "topologyAssignment": {"levels": ["rack"], "slices": [
                     {"domainCount": 1, "valuesPerLevel": [{"universal": "r1"}], "podCounts": {"universal": 3}}]}}]},
            "requeueState": {"count": 2, "requeueAt": T0},
            "admissionChecks": [check],
            "unhealthyNodes": [{"name": "n1"}],
            "accumulatedPastExecutionTimeSeconds": 11,
            "reclaimablePods": [],
        },
    )  # fmt: skip
    request = model.TopologyRequest("required", "rack", "g", (("host", 2),), "i")
    topology = model.TopologyAssignment(("rack",), ((("r1",), 3),))
    assert read("Workload", obj) == model.Workload(
        namespace="team",
        name="w",
        uid="u",
        revision="3",
        generation=2,
        created=SECONDS,
        finalized=True,
        finalizers=(names.RESOURCE_IN_USE,),
        owner="o",
        set_name="llm",
        group=1,
        queue="q",
        priority=5,
        priority_class=(names.KUEUE, "high"),
        active=False,
        max_seconds=60,
        gated_by=("b.example/x", "a.example/y"),
        podsets=(model.PodSet("main", 3, model.Template(), request, 1),),
        conditions={"QuotaReserved": model.Condition(True, "r", "m", SECONDS, 2)},
        admission=model.Admission("cq", (model.Assignment("main", 3, {"cpu": "f"}, {"cpu": 3000}, topology, "Ready"),)),
        checks=(model.CheckState("c", "Retry", SECONDS, "m", 9, check),),
        requeues=2,
        requeue_at=SECONDS,
        unhealthy=("n1",),
        executed_seconds=11,
    )


def test_a_workload_that_somebody_made_by_hand_belongs_to_no_group() -> None:
    """Without an owner and annotations it has neither set nor group, and a Pod among the owners is none."""
    obj = workload(owners=[{"apiVersion": "other.io/v1", "kind": "LeaderWorkerSet", "name": "x", "uid": "y"}])
    obj["metadata"]["annotations"] = {}
    got = read("Workload", obj)
    assert (got.owner, got.set_name, got.group, got.group_key, got.active) == ("", "", None, None, True)


def test_the_set_of_a_workload_is_named_by_its_owner_where_no_annotation_does() -> None:
    """The annotation counts, since it outlives the set; the reference to the owner stands in for it."""
    obj = workload()
    del obj["metadata"]["annotations"][names.JOB_OWNER_NAME]
    assert read("Workload", obj).group_key == ("team", "llm", 1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"annotations": {names.GROUP_INDEX_OF_WORKLOAD: "first"}}, names.GROUP_INDEX_OF_WORKLOAD),
        ({"spec": {"podSets": [{"template": {"metadata": {"annotations": {names.INDEX_OFFSET: "x"}}}}]}}, "index"),
        ({"spec": {"podSets": [{"template": {"spec": {"overhead": {"cpu": "x"}}}}]}}, "podset main: overhead.cpu"),
        ({"spec": {"podSets": [{"topologyRequest": {"required": "a", "preferred": "b"}}]}}, "more than one"),
        ({"spec": {"podSets": [{"topologyRequest": {"podSetSliceSize": 2}}]}}, "level and a size"),
        ({"status": {"admission": {"podSetAssignments": [{"resourceUsage": {"cpu": "1e1.5"}}]}}}, "usage of podset"),
        (
            {"status": {"admission": {"podSetAssignments": [{"topologyAssignment": {"levels": ["a"], "slices": [
                {"domainCount": 2_000_000_000, "valuesPerLevel": [{"universal": "x"}],
                 "podCounts": {"universal": 1}}]}}]}}},
            "more than 100000 domains",
        ),
    ],
)  # fmt: skip
def test_what_a_workload_says_and_nobody_can_use_is_its_problem(changes: dict[str, Any], word: str) -> None:
    """The Workload is read all the same, and a sentence says what is wrong."""
    assert word in read("Workload", workload(**changes)).problem


def test_a_topology_request_that_only_numbers_the_pods_asks_for_no_topology() -> None:
    """It has no mode, no slices and no group; unconstrained asked for with false is not asked for."""
    asks = {"podIndexLabel": "i", "unconstrained": False}
    got = read("Workload", workload(spec={"podSets": [{"topologyRequest": asks}]}))
    assert got.podsets[0].topology == model.TopologyRequest(index_label="i")
    assert got.problem == ""


def test_layers_of_slices_are_read_from_the_coarsest_to_the_finest() -> None:
    """The list of constraints stands for the single level and size."""
    layers = [{"topology": "rack", "size": 4}, {"topology": "host", "size": 2}]
    asks = {"podsetSliceRequiredTopologyConstraints": layers, "preferred": "block"}
    topology = read("Workload", workload(spec={"podSets": [{"topologyRequest": asks}]})).podsets[0].topology
    assert topology == model.TopologyRequest("preferred", "block", slices=(("rack", 4), ("host", 2)))


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00Z", "", None])
def test_a_time_that_nobody_can_read_counts_as_long_ago(text: str | None) -> None:
    """It does not make the Workload unreadable."""
    condition = {"type": "Evicted", "status": "Unknown", "lastTransitionTime": text}
    got = read("Workload", workload(status={"conditions": [condition], "requeueState": {"requeueAt": text}}))
    assert got.conditions == {"Evicted": model.Condition(False, unknown=True)}
    assert got.requeue_at is None


QUANTITY = (
    r"(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?"
)
"""The pattern of quantities in the CRDs."""
QUANTITIES = st.from_regex(QUANTITY, fullmatch=True) | st.integers(-(2**63), 2**63)
TEXTS = st.text(max_size=12) | st.just(T0)


@QUICK
@given(QUANTITIES, TEXTS, TEXTS, TEXTS)
def test_nothing_that_the_api_admits_stops_the_reading(quantity: str | int, time: str, index: str, gates: str) -> None:
    """Any annotation, any time and any quantity that a CRD's pattern lets through give a value."""
    template = {
        "metadata": {"annotations": {names.INDEX_OFFSET: index}},
        "spec": {"containers": [{"resources": {"requests": {"cpu": quantity}, "limits": {"cpu": quantity}}}]},
    }
    got = read(
        "Workload",
        workload(
            annotations={names.GROUP_INDEX_OF_WORKLOAD: index, names.GATED_BY: gates},
            spec={"podSets": [{"template": template}]},
            status={
                "conditions": [{"type": "A", "status": "False", "lastTransitionTime": time}],
                "requeueState": {"requeueAt": time},
                "admission": {"podSetAssignments": [{"resourceUsage": {"cpu": quantity}}]},
            },
        ),
    )
    assert got.group is not None or got.problem
    queue = {"resourceGroups": [group(quota("f", nominalQuota=quantity))]}
    quotas = read("ClusterQueue", {"metadata": {"name": "q"}, "spec": queue}).quotas
    assert quotas["f", "cpu"].nominal >= 0


# Topology assignments


@st.composite
def encodings(draw: st.DrawFn) -> tuple[dict[str, Any], model.TopologyAssignment]:
    """A topology assignment in some legal encoding, and what it means."""
    levels = tuple(f"level-{n}" for n in range(draw(st.integers(1, 3))))
    slices, domains = [], []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 4))
        columns: list[list[str]] = []
        written: list[dict[str, Any]] = []
        for _ in levels:
            value = st.text("ab1-", max_size=3)
            if draw(st.booleans()):
                universal = draw(value)
                columns.append([universal] * count)
                written.append({"universal": universal})
            else:
                roots = draw(st.lists(value, min_size=count, max_size=count))
                cut = {key: draw(value) for key in draw(st.sets(st.sampled_from(("prefix", "suffix"))))}
                columns.append([cut.get("prefix", "") + root + cut.get("suffix", "") for root in roots])
                written.append({"individual": {**cut, "roots": roots}})
        if draw(st.booleans()):
            numbers = [draw(st.integers(1, 9))] * count
            counts: dict[str, Any] = {"universal": numbers[0]}
        else:
            numbers = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
            counts = {"individual": numbers}
        slices.append({"domainCount": count, "valuesPerLevel": written, "podCounts": counts})
        domains += [(tuple(column[n] for column in columns), numbers[n]) for n in range(count)]
    return {"levels": list(levels), "slices": slices}, model.TopologyAssignment(levels, tuple(domains))


def decoded(obj: dict[str, Any]) -> model.TopologyAssignment | None:
    status = {"admission": {"podSetAssignments": [{"topologyAssignment": obj}]}}
    got: model.Workload = read("Workload", workload(status=status))
    assert got.admission is not None
    assert got.problem == ""
    return got.admission.podsets[0].topology


@QUICK
@given(encodings())
def test_every_legal_encoding_of_an_assignment_is_understood(
    case: tuple[dict[str, Any], model.TopologyAssignment],
) -> None:
    """Slices in order; per level one value for all or prefix, root and suffix; one number of pods or one for each."""
    obj, meaning = case
    assert decoded(obj) == meaning
    assert decoded(reading_assignments.encode(meaning)) == meaning


@pytest.mark.parametrize(
    "broken",
    [
        {"domainCount": 2, "valuesPerLevel": [{"individual": {"roots": ["a"]}}], "podCounts": {"universal": 1}},
        {"domainCount": 1, "valuesPerLevel": [{}], "podCounts": {"universal": 1}},
        {"domainCount": 1, "valuesPerLevel": [], "podCounts": {"universal": 1}},
        {"domainCount": 2, "valuesPerLevel": [{"universal": "a"}], "podCounts": {"individual": [1]}},
    ],
)
def test_an_assignment_that_contradicts_itself_is_a_problem(broken: dict[str, Any]) -> None:
    """Lists of the wrong lengths give no assignment, and a sentence that says so."""
    obj = {"levels": ["host"], "slices": [broken]}
    status = {"admission": {"podSetAssignments": [{"topologyAssignment": obj}]}}
    got = read("Workload", workload(status=status))
    assert got.admission.podsets[0].topology is None
    assert "a slice of the topology assignment" in got.problem


# LeaderWorkerSets


def test_a_leader_worker_set_keeps_its_templates_raw() -> None:
    """Templates are kept whole, since Workloads carry them; a surge is a number or a percentage."""
    template = {"metadata": {"labels": {"x": "y"}}, "spec": {"containers": [{"image": "i"}]}}
    obj = {
        "metadata": {"name": "llm", "namespace": "n", "uid": "u", "resourceVersion": "1", "annotations": {"a": "b"}},
        "spec": {
            "replicas": 0,
            "leaderWorkerTemplate": {"size": 4, "workerTemplate": template, "leaderTemplate": template},
            "rolloutStrategy": {"rollingUpdateConfiguration": {"maxSurge": "25%", "maxUnavailable": 1}},
        },
        "status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1},
    }
    assert read("LeaderWorkerSet", obj) == model.Set(
        namespace="n",
        name="llm",
        uid="u",
        revision="1",
        replicas=0,
        size=4,
        max_surge="25%",
        annotations={"a": "b"},
        leader_template=template,
        worker_template=template,
        status_replicas=3,
        ready_replicas=2,
        updated_replicas=1,
    )
    bare = read("LeaderWorkerSet", {"metadata": {"name": "s"}, "spec": {"leaderWorkerTemplate": {}}})
    assert (bare.replicas, bare.size, bare.max_surge, bare.leader_template) == (1, 1, 0, None)


# Queues


def group(*flavors: dict[str, Any], covered: tuple[str, ...] = ("cpu",)) -> dict[str, Any]:
    return {"coveredResources": list(covered), "flavors": list(flavors)}


def quota(flavor: str, **limits: Any) -> dict[str, Any]:
    return {"name": flavor, "resources": [{"name": "cpu", "nominalQuota": 1, **limits}]}


def test_a_cluster_queue_is_read_with_the_defaults_of_its_crd() -> None:
    """One that says nothing is BestEffortFIFO, never preempts, selects no namespace and has no quota."""
    got = read("ClusterQueue", {"metadata": {"name": "q"}, "spec": {}})
    assert got == model.ClusterQueue("q")
    assert got.namespaces is None


def test_a_cluster_queue_is_read_whole() -> None:
    """Quotas, flavors in their order, preemption, fungibility, checks and the namespaces it serves."""
    spec = {
        "cohortName": "c",
        "queueingStrategy": "StrictFIFO",
        "namespaceSelector": {"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]},
        "resourceGroups": [group(quota("b", borrowingLimit="2", lendingLimit="500m"), quota("a"))],
        "preemption": {
            "withinClusterQueue": "LowerPriority",
            "reclaimWithinCohort": "Any",
            "borrowWithinCohort": {"policy": "LowerPriority", "maxPriorityThreshold": 9},
        },
        "flavorFungibility": {"whenCanBorrow": "TryNextFlavor", "whenCanPreempt": "MayStopSearch"},
        "admissionChecksStrategy": {"admissionChecks": [{"name": "k", "onFlavors": ["a"]}]},
        "stopPolicy": "HoldAndDrain",
    }
    status = {"pendingWorkloads": 3}
    obj = {"metadata": {"name": "q", "uid": "u", "generation": 4}, "spec": spec, "status": status}
    assert read("ClusterQueue", obj) == model.ClusterQueue(
        name="q",
        uid="u",
        generation=4,
        cohort="c",
        groups=(model.ResourceGroup(("cpu",), ("b", "a")),),
        quotas={("b", "cpu"): model.Quota(1000, 2000, 500), ("a", "cpu"): model.Quota(1000)},
        strict=True,
        namespaces=model.Selector((model.Match("team", "In", ("a",)), model.Match("x", "Exists"))),
        stop="HoldAndDrain",
        preemption=model.Preemption("LowerPriority", "Any", True, 9),
        fungibility=model.Fungibility(False, True, False),
        checks=(model.CheckRule("k", frozenset({"a"})),),
        status=status,
    )


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"resourceGroups": [group(quota("a", nominalQuota="1e1.5"))]}, "quota of cpu in flavor a: '1e1.5'"),
        ({"resourceGroups": [group(quota("a", nominalQuota="-1"))]}, "negative"),
        ({"resourceGroups": [group(quota("a", borrowingLimit="1"))]}, "without a cohort"),
        ({"cohortName": "c", "resourceGroups": [group(quota("a", lendingLimit="2"))]}, "above the quota"),
        ({"cohortName": "c", "resourceGroups": [group(quota("a", borrowingLimit="-2"))]}, "negative"),
        ({"resourceGroups": [group(quota("a")), group(quota("b"))]}, "resource cpu is covered twice"),
        ({"resourceGroups": [group(quota("a"), covered=("memory",))]}, "not the covered resources"),
        (
            {"admissionChecksStrategy": {"admissionChecks": [{"name": "k", "onFlavors": ["zz"]}]}},
            "flavor zz, which the queue does not have",
        ),
    ],
)
def test_what_kueues_webhook_would_refuse_is_a_problem_of_the_queue(spec: dict[str, Any], word: str) -> None:
    """The CRD lets it through, and no quota is given on the strength of it."""
    assert word in read("ClusterQueue", {"metadata": {"name": "q"}, "spec": spec}).problem


def test_a_cohort_may_lend_more_than_it_has() -> None:
    """A cohort's lending limit may be above its own quota, since it lends what its children give."""
    spec = {"parentName": "root", "resourceGroups": [group(quota("a", lendingLimit="7"))]}
    got = read("Cohort", {"metadata": {"name": "c"}, "spec": spec})
    assert got == model.Cohort("c", "root", {("a", "cpu"): model.Quota(1000, None, 7000)})
    alone = read("Cohort", {"metadata": {"name": "c"}, "spec": {**spec, "parentName": ""}})
    assert "without a cohort" in alone.problem


def test_local_queues_flavors_topologies_and_checks_are_read() -> None:
    """The rest of what administrators set up."""
    local = {"metadata": {"name": "q", "namespace": "n"}, "spec": {"clusterQueue": "cq", "stopPolicy": "Hold"}}
    assert read("LocalQueue", local) == model.LocalQueue("n", "q", cluster_queue="cq", stop="Hold")
    flavor: dict[str, Any] = {"nodeLabels": {"a": "b"}, "nodeTaints": [{"key": "t", "effect": "NoSchedule"}],
              "tolerations": [{"operator": "Exists"}], "topologyName": "tree"}  # fmt: skip
    assert read("ResourceFlavor", {"metadata": {"name": "f"}, "spec": flavor}) == model.Flavor(
        "f", {"a": "b"}, (model.Taint("t"),), (model.Toleration("", "Exists"),), "tree"
    )
    topology = {"metadata": {"name": "t"}, "spec": {"levels": [{"nodeLabel": "rack"}, {"nodeLabel": "host"}]}}
    assert read("Topology", topology) == model.Topology("t", ("rack", "host"))
    check = {"metadata": {"name": "c"}, "status": {"conditions": [{"type": "Active", "status": "True"}]}}
    assert read("AdmissionCheck", check).active
    assert not read("AdmissionCheck", {"metadata": {"name": "c"}}).active


# The entry


def test_the_head_of_any_object_is_read() -> None:
    """Namespace, name, UID and resourceVersion."""
    assert reading.head(POD) == reading.head(json.dumps(POD).encode()) == ("team", "llm-0-1", "pod-uid", "7")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"metadata": 3}', b'{"metadata": {}, "spec": []}'])
def test_what_is_no_object_of_the_kind_raises_a_decode_error(raw: bytes) -> None:
    """Nothing else is raised, so the edge can count it."""
    with pytest.raises(msgspec.DecodeError):
        reading.read("Pod", raw)
