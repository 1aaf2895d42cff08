"""What the webhooks make of a LeaderWorkerSet, and which they refuse."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conformance import names
from conformance.reference import set_rules
from conformance.reference.model import LocalQueue, Match, Rules, Selector, Snapshot

Object = dict[str, Any]
WITH_DEFAULT = Snapshot(local_queues={("ns", "default"): LocalQueue("ns", "default")}, namespaces={"ns": {"a": "b"}})
STAMPS = {names.SUSPENDING_PARENT: names.LWS_FRAMEWORK, names.GROUP_SERVING: "true"}
T = "spec.leaderWorkerTemplate"


def a_template(labels: Object | None = None, annotations: Object | None = None, **spec: Any) -> Object:
    metadata = {key: value for key, value in (("labels", labels), ("annotations", annotations)) if value}
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]
    return {**({"metadata": metadata} if metadata else {}), "spec": {"containers": containers, **spec}}


def a_set(
    labels: Object | None = None,
    leader: Object | None = None,
    worker: Object | None = None,
    size: int = 3,
    ready: int = 0,
    **metadata: Any,
) -> Object:
    template: Object = {"size": size, "workerTemplate": worker or a_template()}
    if leader is not None:
        template["leaderTemplate"] = leader
    return {
        "metadata": {"namespace": "ns", "name": "s", "labels": labels or {}, **metadata},
        "spec": {"replicas": 2, "leaderWorkerTemplate": template},
        "status": {"readyReplicas": ready},
    }


QUEUED = {names.QUEUE_NAME: "q"}


def mutated(set_: Object, snapshot: Snapshot = WITH_DEFAULT, rules: Rules | None = None) -> Object:
    before = copy.deepcopy(set_)
    became = set_rules.mutate(set_, None, snapshot, rules)
    assert set_ == before, "the given set is not to be changed"
    assert set_rules.mutate(became, set_, snapshot, rules) == became, "twice is once"
    return became


def templates(set_: Object) -> Object:
    found: Object = set_["spec"]["leaderWorkerTemplate"]
    return found


def test_a_set_without_queue_goes_to_the_default() -> None:
    """A set that names no queue gets the label of the LocalQueue `default`, where there is one in its namespace."""
    assert mutated(a_set())["metadata"]["labels"] == {names.QUEUE_NAME: "default"}
    assert mutated(a_set(QUEUED))["metadata"]["labels"] == QUEUED
    assert mutated(a_set(), Snapshot()) == a_set()


def test_excluded_namespaces_are_not_defaulted() -> None:
    """In a namespace that managedJobsNamespaceSelector leaves out a set is not given a queue."""
    assert mutated(a_set(), rules=Rules(managed_namespaces=Selector((Match("other", "Exists"),)))) == a_set()
    taken = mutated(a_set(), rules=Rules(managed_namespaces=Selector((Match("a", "Exists"),))))
    assert taken["metadata"]["labels"] == {names.QUEUE_NAME: "default"}


def test_templates_are_stamped() -> None:
    """Both templates carry queue, priority class and the stamps; the workers' its offset; what they had stays."""
    labels = {**QUEUED, names.PRIORITY_CLASS: "p"}
    mine = a_template({"user": "x", names.QUEUE_NAME: "other"}, {"user": "y"})
    made = templates(mutated(a_set(labels, leader=a_template(), worker=mine)))
    assert made["leaderTemplate"]["metadata"] == {"labels": labels, "annotations": STAMPS}
    assert made["workerTemplate"]["metadata"] == {
        "labels": {"user": "x", **labels},
        "annotations": {"user": "y", **STAMPS, names.INDEX_OFFSET: "1"},
    }
    assert made["workerTemplate"]["spec"] == mine["spec"]


def test_no_template_is_invented() -> None:
    """Without a leader template there is none afterwards, and the one template has no offset."""
    made = templates(mutated(a_set(QUEUED)))
    assert "leaderTemplate" not in made
    assert made["workerTemplate"]["metadata"]["annotations"] == STAMPS


def test_a_podset_group_has_no_offset() -> None:
    """Workers that are placed together with their leader have ranks without an offset."""
    grouped = a_template(annotations={names.PODSET_GROUP_NAME: "g"})
    made = templates(mutated(a_set(QUEUED, leader=a_template(), worker=grouped)))
    assert names.INDEX_OFFSET not in made["workerTemplate"]["metadata"]["annotations"]


def test_an_unmanaged_set_is_not_touched() -> None:
    """A set without a queue is stored as it is, unless everything is managed."""
    assert mutated(a_set(), Snapshot()) == a_set()
    made = templates(mutated(a_set(), Snapshot(), Rules(manage_without_queue=True)))
    assert made["workerTemplate"]["metadata"] == {"labels": {}, "annotations": STAMPS}


def test_a_set_being_deleted_is_left_alone() -> None:
    """An object that is being deleted is neither changed nor refused, or its clean-up would stop."""
    going = a_set(deletionTimestamp="2026-01-01T00:00:00Z")
    assert mutated(going) == going
    bad = a_set({names.QUEUE_NAME: "Bad_Name"}, size=9, deletionTimestamp="2026-01-01T00:00:00Z")
    assert refused(bad, a_set(QUEUED)) == []


# Refusals


def refused(new: Object, old: Object | None = None, rules: Rules | None = None) -> list[str]:
    return set_rules.validate(new, old, Snapshot(), rules)


def with_replicas(replicas: int | None) -> Object:
    set_ = a_set()
    set_["spec"]["replicas"] = replicas
    return set_


def test_replicas_have_a_range() -> None:
    """Replicas are 0 to a million, of unmanaged sets too."""
    for fine in (None, 0, 1, 1_000_000):
        assert refused(with_replicas(fine)) == []
    must = "invalid LeaderWorkerSet replicas: must be"
    assert refused(with_replicas(-1)) == [f"spec.replicas: Invalid value: -1: {must} >= 0, got -1"]
    assert refused(with_replicas(1_000_001)) == [
        f"spec.replicas: Invalid value: 1000001: {must} <= 1000000, got 1000001"
    ]


@pytest.mark.parametrize(("name", "fine"), [("q", True), ("a.b-c", True), ("User_Queue", False), ("-a", False)])
def test_a_queue_is_named_like_an_object(name: str, fine: bool) -> None:
    """A queue's name is a DNS subdomain, at creation and afterwards."""
    for old in (None, a_set({names.QUEUE_NAME: name})):
        found = refused(a_set({names.QUEUE_NAME: name}), old)
        assert (not found) == fine
        assert fine or found[0].startswith(f"metadata.labels[{names.QUEUE_NAME}]: Invalid value: ")


def test_elastic_sets_are_refused() -> None:
    """A LeaderWorkerSet cannot be an elastic job; to say that it is none is no mistake."""
    [found] = refused(a_set(annotations={names.ELASTIC_JOB: "true"}))
    assert found.startswith(f"metadata.annotations[{names.ELASTIC_JOB}]: Forbidden: elastic job is not supported")
    assert refused(a_set(annotations={names.ELASTIC_JOB: "false"})) == []


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("a.io/x", ""),
        ("a.io/x, b.io/y", ""),
        ("", ""),
        ("a.io/x,", "cannot contain empty gate names"),
        ("a.io/x,a.io/x", "duplicate gate name: a.io/x"),
        ("plain", "domain-prefixed path"),
        ("/x", "domain-prefixed path"),
        ("a.io/", "domain-prefixed path"),
        (f"a.io/{'x' * 60}", "may not be more than 63 bytes"),
    ],
)
def test_gates_have_a_form(written: str, why: str) -> None:
    """Gates of admission are distinct names of the form domain/path."""
    found = refused(a_set(annotations={names.GATED_BY: written}))
    assert bool(found) == bool(why)
    assert why in "".join(found)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("", "a.io/x", "cannot add admission gate after creation"),
        ("a.io/x", "a.io/x,a.io/y", "can only remove gates, not add new ones"),
        ("a.io/x,a.io/y", "a.io/y,a.io/x", ""),
        ("a.io/x,a.io/y", "a.io/y", ""),
        ("a.io/x", "", ""),
    ],
)
def test_gates_are_only_removed(old: str, new: str, why: str) -> None:
    """Gates may be removed and put in another order, not added."""
    found = refused(a_set(annotations={names.GATED_BY: new}), a_set(annotations={names.GATED_BY: old}))
    assert bool(found) == bool(why)
    assert why in "".join(found)


@pytest.mark.parametrize(
    ("old", "new", "ready", "fine"),
    [
        ("q", "r", 0, True),
        ("q", "r", 1, False),
        ("q", "", 0, False),
        ("q", "", 1, False),
        ("", "q", 0, True),
        ("", "q", 1, False),
        ("", "", 1, True),
        ("q", "q", 1, True),
    ],
)
def test_a_queue_changes_only_while_nothing_is_ready(old: str, new: str, ready: int, fine: bool) -> None:
    """The queue may change while no group is ready, and is never taken away."""

    def named(queue: str) -> Object:
        return a_set({names.QUEUE_NAME: queue} if queue else {}, ready=ready)

    found = refused(named(new), named(old))
    assert found == (
        [] if fine else [f'metadata.labels[{names.QUEUE_NAME}]: Invalid value: "{new}": field is immutable']
    )


@pytest.mark.parametrize(
    ("old", "new", "ready", "why"),
    [
        ("", "p", 1, "cannot be added to a non-suspended workload"),
        ("", "p", 0, ""),
        ("p", "o", 1, ""),
        ("p", "", 0, "cannot be removed from a workload"),
        ("p", "", 1, "cannot be removed from a workload"),
    ],
)
def test_a_priority_class_is_exchanged_not_removed(old: str, new: str, ready: int, why: str) -> None:
    """A priority class is added while nothing is ready, exchanged at any time, and never removed."""

    def named(priority: str) -> Object:
        return a_set({names.PRIORITY_CLASS: priority} if priority else {}, ready=ready)

    found = refused(named(new), named(old))
    assert bool(found) == bool(why)
    assert why in "".join(found)


def test_the_size_of_a_managed_set_is_fixed() -> None:
    """The size of a managed set's groups may neither grow nor shrink; an unmanaged set's may."""
    for size in (2, 4):
        assert refused(a_set(QUEUED, size=size), a_set(QUEUED)) == [
            f"{T}.size: Invalid value: {size}: field is immutable"
        ]
        assert refused(a_set(size=size), a_set()) == []


def container(**fields: Any) -> Object:
    return {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}, **fields}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"containers": [container(resources={"requests": {"cpu": "2"}})]}, "containers[0].resources.requests"),
        ({"containers": [container(resources={})]}, "containers[0].resources.requests"),
        ({"containers": [container(), container(name="d")]}, "containers"),
        ({"initContainers": [container()]}, "initContainers"),
        ({"containers": [container(ports=[{"containerPort": 80}])]}, "containers[0].ports"),
        ({"nodeSelector": {"a": "b"}}, "nodeSelector"),
        ({"affinity": {"nodeAffinity": {}}}, "affinity"),
        ({"tolerations": [{"operator": "Exists"}]}, "tolerations"),
        ({"runtimeClassName": "kata"}, "runtimeClassName"),
        ({"priority": 0}, "priority"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologySpreadConstraints"),
        ({"overhead": {"cpu": "1"}}, "overhead"),
        ({"resourceClaims": [{"name": "r"}]}, "resourceClaims"),
        ({"resources": {"requests": {"cpu": "1"}}}, "resources"),
    ],
)
@pytest.mark.parametrize("role", ["leaderTemplate", "workerTemplate"])
def test_what_was_charged_for_is_fixed(role: str, change: Object, path: str) -> None:
    """What decides about resources and places may not change in either template of a managed set, ready or not."""
    old, new = a_set(QUEUED, leader=a_template()), a_set(QUEUED, leader=a_template())
    templates(new)[role]["spec"] |= change
    [found] = refused(new, old)
    assert found.startswith(f"{T}.{role}.spec.{path}: Invalid value: ")
    assert found.endswith("field is immutable")
    assert refused({**new, "metadata": {**new["metadata"], "labels": {}}}, a_set(leader=a_template())) == []


@pytest.mark.parametrize(
    "change",
    [
        {"containers": [container(image="j", env=[{"name": "A"}], args=["x"], livenessProbe={})]},
        {"containers": [container(resources={"requests": {"cpu": "1000m"}, "limits": {"cpu": "2"}}, ports=[])]},
        {"volumes": [{"name": "v"}], "priorityClassName": "p", "nodeSelector": {}, "tolerations": None},
        {"resources": {}},
    ],
)
def test_everything_else_may_change(change: Object) -> None:
    """Images, variables, volumes, limits, and other ways to write the same may change."""
    assert refused(a_set(QUEUED, worker=a_template(**change)), a_set(QUEUED)) == []


def test_the_leader_template_stays_what_it_is() -> None:
    """A leader template is neither added to a managed set nor removed from it; metadata may change."""
    one, two = a_set(QUEUED), a_set(QUEUED, leader=a_template())
    for new, old in ((one, two), (two, one)):
        assert refused(new, old) == [f"{T}.leaderTemplate: Invalid value: field is immutable"]
    assert refused(a_set(QUEUED, leader=a_template({"l": "1"}, {"a": "2"}), annotations={"x": "y"}), two) == []


# Topology

REQUIRED, PREFERRED, UNCONSTRAINED = names.REQUIRED_TOPOLOGY, names.PREFERRED_TOPOLOGY, names.UNCONSTRAINED_TOPOLOGY
GROUP, SLICE, SIZE, LAYERS = names.PODSET_GROUP_NAME, names.SLICE_TOPOLOGY, names.SLICE_SIZE, names.SLICE_CONSTRAINTS
ANNOTATIONS = f"{T}.workerTemplate.metadata.annotations"


def asking(worker: Object, leader: Object | None = None, size: int = 5) -> list[str]:
    return refused(
        a_set(
            leader=None if leader is None else a_template(annotations=leader),
            worker=a_template(annotations=worker),
            size=size,
        )
    )


def layers(*pairs: tuple[str, int]) -> str:
    return "[" + ", ".join(f'{{"topology": "{level}", "size": {size}}}' for level, size in pairs) + "]"


@pytest.mark.parametrize(
    ("worker", "refusals"),
    [
        ({REQUIRED: "cloud.provider.com/topology-rack"}, []),
        ({PREFERRED: "rack"}, []),
        ({UNCONSTRAINED: "T"}, []),
        (
            {REQUIRED: "rack", UNCONSTRAINED: "true"},
            [
                f"{ANNOTATIONS}: Invalid value: must not contain more than one topology annotation: "
                f'["{REQUIRED}", "{PREFERRED}", "{UNCONSTRAINED}"]'
            ],
        ),
        ({REQUIRED: "a b"}, [f'{ANNOTATIONS}[{REQUIRED}]: Invalid value: "a b": ']),
        ({PREFERRED: ""}, [f'{ANNOTATIONS}[{PREFERRED}]: Invalid value: "": ']),
        ({REQUIRED: "Bad.Prefix/x"}, [f"{ANNOTATIONS}[{REQUIRED}]: Invalid value: "]),
        (
            {UNCONSTRAINED: "maybe"},
            [f'{ANNOTATIONS}[{UNCONSTRAINED}]: Invalid value: "maybe": must be a boolean value'],
        ),
        ({SLICE: "rack", SIZE: "5"}, []),
        ({SLICE: "rack", SIZE: "6"}, [f'{ANNOTATIONS}[{SIZE}]: Invalid value: "6": must not be greater than pod set']),
        (
            {SLICE: "rack", SIZE: "0"},
            [f'{ANNOTATIONS}[{SIZE}]: Invalid value: "0": must be greater than or equal to 1'],
        ),
        ({SLICE: "rack", SIZE: "x"}, [f'{ANNOTATIONS}[{SIZE}]: Invalid value: "x": must be a numeric value']),
        ({SLICE: "rack", SIZE: "9" * 99}, [f"{ANNOTATIONS}[{SIZE}]: Invalid value: "]),
        ({SLICE: "rack"}, [f"{ANNOTATIONS}[{SIZE}]: Required value: must be set when '{SLICE}' is specified"]),
        ({SIZE: "2"}, [f"{ANNOTATIONS}[{SIZE}]: Forbidden: may not be set when '{SLICE}' is not specified"]),
        ({SLICE: "a b", SIZE: "2"}, [f"{ANNOTATIONS}[{SLICE}]: Invalid value: "]),
        ({LAYERS: layers(("block", 4), ("rack", 2), ("host", 1))}, []),
        ({LAYERS: "{"}, [f'{ANNOTATIONS}[{LAYERS}]: Invalid value: "{{": must be a valid JSON array']),
        ({LAYERS: "{}"}, [f'{ANNOTATIONS}[{LAYERS}]: Invalid value: "{{}}": must be a valid JSON array']),
        (
            {LAYERS: "[]"},
            [f'{ANNOTATIONS}[{LAYERS}]: Invalid value: "[]": topology constraints must contain between 1'],
        ),
        ({LAYERS: layers(*[("a", 1)] * 4)}, [f"{ANNOTATIONS}[{LAYERS}]: Invalid value: "]),
        ({LAYERS: layers(("a", 2), ("a", 1))}, [f"{ANNOTATIONS}[{LAYERS}][1].topology: Duplicate value: "]),
        (
            {LAYERS: layers(("a", 4), ("b", 3))},
            [f"{ANNOTATIONS}[{LAYERS}][1].size: Invalid value: 3: must evenly divide"],
        ),
        ({LAYERS: layers(("a", 6))}, [f"{ANNOTATIONS}[{LAYERS}]: Invalid value: 6: must not be greater than pod set"]),
        ({LAYERS: layers(("a", 0))}, [f"{ANNOTATIONS}[{LAYERS}][0].size: Invalid value: 0: must be greater than or"]),
        ({LAYERS: layers(("a b", 1))}, [f"{ANNOTATIONS}[{LAYERS}][0].topology: Invalid value: "]),
        (
            {LAYERS: layers(("a", 1)), SLICE: "rack", SIZE: "1"},
            [f"{ANNOTATIONS}[{LAYERS}]: Forbidden: may not be set when '{other}'" for other in (SLICE, SIZE)],
        ),
        ({GROUP: "g", REQUIRED: "rack"}, [f'{ANNOTATIONS}[{GROUP}]: Invalid value: "g": can only define groups of ']),
        (
            {GROUP: "g"},
            [f"{ANNOTATIONS}[{GROUP}]: Forbidden: may not be set when neither '{PREFERRED}' nor '{REQUIRED}'"],
        ),
    ],
)
def test_topology_of_one_template(worker: Object, refusals: list[str]) -> None:
    """Each mistake in the topology annotations of a template is told at its field, once."""
    found = asking(worker)
    assert len(found) == len(refusals)
    for sentence, start in zip(found, refusals, strict=True):
        assert sentence.startswith(start)


RACK = {REQUIRED: "rack", GROUP: "g"}


@pytest.mark.parametrize(
    ("leader", "worker", "number"),
    [
        (RACK, RACK, 0),
        ({**RACK, GROUP: "h"}, RACK, 2),
        ({REQUIRED: "rack"}, RACK, 1),
        (RACK, {}, 1),
        ({PREFERRED: "rack", GROUP: "g"}, RACK, 2),
        ({REQUIRED: "block", GROUP: "g"}, RACK, 2),
        ({**RACK, GROUP: "12"}, {**RACK, GROUP: "12"}, 2),
        (RACK, {**RACK, SLICE: "rack", SIZE: "2"}, 2),
        (RACK, {**RACK, LAYERS: layers(("host", 1))}, 1),
        ({SLICE: "rack", SIZE: "2"}, {}, 1),
        ({}, {SLICE: "rack", SIZE: "5"}, 1),
        ({}, {SLICE: "rack", SIZE: "4"}, 0),
        ({REQUIRED: "rack"}, {}, 0),
    ],
)
def test_a_podset_group_joins_leader_and_workers(leader: Object, worker: Object, number: int) -> None:
    """A group joins both templates with the same level, has a name that is no number, and excludes slices."""
    assert len(asking(worker, leader)) == number


def test_a_group_of_one_pod_may_be_grouped() -> None:
    """A set of size 1 with a leader template may have a podset group, and no slice of its workers."""
    assert asking(RACK, RACK, size=1) == []
    assert len(asking({SLICE: "rack", SIZE: "1"}, {}, size=1)) == 1
