"""Requests: what a draft decided, as writes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import names
from conformance.reference import reading, times, writes
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Assignment,
    CheckState,
    Condition,
    Pod,
    Snapshot,
    Toleration,
    TopologyAssignment,
    Workload,
)
from conformance.reference.writes import Request

QUICK = settings(max_examples=120, deadline=None)
NOW = 1_769_860_800.7
GATES = (names.ADMISSION_GATE, names.TOPOLOGY_GATE)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, written as its pseudocode."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


def stored(name: str = "w", **parts: Any) -> dict[str, Any]:
    """A Workload of group 0 of `llm`, as the API server has it."""
    return {
        "metadata": {
            "namespace": "n",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "finalizers": [names.RESOURCE_IN_USE],
            "annotations": {names.JOB_OWNER_NAME: "llm", names.GROUP_INDEX_OF_WORKLOAD: "0", "other": "kept"},
        },
        "spec": {"podSets": [{"name": "main", "count": 2, "template": {}}], "queueName": "q", "active": True}
        | parts.get("spec", {}),
        "status": {"reclaimablePods": [], **parts.get("status", {})},
    }


def pod_object(*gates: str, **spec: Any) -> dict[str, Any]:
    """A pod of group 0 of `llm`, as the API server has it."""
    labels = {names.SET_NAME: "llm", names.GROUP_INDEX: "0", "app": "x"}
    return {
        "metadata": {"namespace": "n", "name": "llm-0", "uid": "uid-p", "resourceVersion": "1", "labels": labels,
                     "annotations": {names.SUSPENDING_PARENT: names.LWS_FRAMEWORK}},
        "spec": {"containers": [{"name": "c", "image": "i"}], "schedulingGates": [{"name": gate} for gate in gates],
                 **spec},
    }  # fmt: skip


def drafted(*workloads: Workload, pods: tuple[Pod, ...] = ()) -> Draft:
    """A draft over a snapshot of these."""
    groups: dict[Any, dict[Any, Pod]] = {}
    for pod in pods:
        groups.setdefault((pod.namespace, pod.set_name, pod.group), {})[pod.key] = pod
    return Draft(Snapshot(workloads={w.key: w for w in workloads}, pods=groups), NOW)


def changed(was: Workload, **changes: Any) -> list[Request]:
    """The requests of a pass that changes one Workload."""
    draft = drafted(was)
    draft.put(replace(was, **changes))
    return writes.requests(draft)


def workload(obj: dict[str, Any] | None = None) -> Workload:
    value: Workload = reading.read("Workload", obj or stored())
    return value


def pod(obj: dict[str, Any]) -> Pod:
    value: Pod = reading.read("Pod", obj)
    return value


ADMISSION = Admission("cq", (Assignment("main", 2, {"cpu": "f"}, {"cpu": 2000}),))
ADMITTED = {
    "QuotaReserved": Condition(True, "QuotaReserved"),
    "Admitted": Condition(True, "Admitted"),
}


# Every value can be reached


def assignments() -> st.SearchStrategy[Assignment]:
    domain = st.tuples(st.tuples(st.sampled_from("ab"), st.sampled_from("12")), st.integers(1, 3))
    topology = st.builds(TopologyAssignment, st.just(("rack", "host")), st.lists(domain, min_size=1).map(tuple))
    return st.builds(
        Assignment,
        podset=st.just("main"),
        count=st.integers(0, 3),
        flavors=st.dictionaries(st.sampled_from(("cpu", "memory")), st.sampled_from("fg")),
        usage=st.dictionaries(st.sampled_from(("cpu", "memory")), st.integers(0, 10**13)),
        topology=st.none() | topology,
        delayed=st.sampled_from(("", "Pending", "Ready")),
    )


CONDITIONS = st.dictionaries(
    st.sampled_from(("QuotaReserved", "Admitted", "Evicted", "PodsReady")),
    st.builds(Condition, st.booleans(), st.sampled_from(("Pending", "Other")), st.text(max_size=5),
              generation=st.integers(0, 2)),
)  # fmt: skip
CHECKS = st.lists(
    st.builds(CheckState, st.sampled_from("ab"), st.sampled_from(("Pending", "Ready", "Retry")),
              message=st.text(max_size=5), requeue_after=st.none() | st.integers(0, 9),
              raw=st.sampled_from(({}, {"retryCount": 1}, {"podSetUpdates": [{"name": "main"}]}))),
    unique_by=lambda check: check.name,
).map(tuple)  # fmt: skip
SPECS: dict[str, st.SearchStrategy[Any]] = {
    "finalizers": st.sampled_from(((), (names.RESOURCE_IN_USE,), ("a/b", names.RESOURCE_IN_USE))),
    "gated_by": st.sampled_from(((), ("a/b",), ("a/b", "c/d"))),
    "queue": st.sampled_from(("", "q", "r")),
    "priority": st.integers(-3, 3),
    "priority_class": st.sampled_from(
        (("", ""), (names.KUEUE, "high"), ("scheduling.k8s.io", "low"), (names.KUEUE, "low"))
    ),
    "active": st.booleans(),
}
STATUSES: dict[str, st.SearchStrategy[Any]] = {
    "conditions": CONDITIONS,
    "admission": st.none() | st.builds(Admission, st.just("cq"), st.lists(assignments(), max_size=1).map(tuple)),
    "checks": CHECKS,
    "requeues": st.integers(0, 3),
    "requeue_at": st.none() | st.integers(1, 10**9).map(float),
    "unhealthy": st.sampled_from(((), ("n1",), ("n1", "n2"))),
    "executed_seconds": st.integers(0, 9),
}
CHANGES = st.fixed_dictionaries({}, optional=SPECS | STATUSES)


def timeless(value: Workload) -> Workload:
    """A Workload without what the API server or the time of writing decides."""
    return replace(
        value,
        revision="",
        finalized=names.RESOURCE_IN_USE in value.finalizers,
        conditions={kind: replace(condition, since=0.0) for kind, condition in value.conditions.items()},
        checks=tuple(
            replace(
                check,
                since=0.0,
                raw={k: v for k, v in check.raw.items() if k in ("retryCount", "podSetUpdates")},
            )
            for check in value.checks
        ),
    )


def carried_out(obj: dict[str, Any], becomes: Workload) -> dict[str, Any]:
    """The object after passes that all want the Workload to become this, until there is nothing to write."""
    for revision in ("2", "3", "4"):
        was = workload(obj)
        draft = drafted(was)
        draft.put(replace(becomes, revision=was.revision, uid=was.uid))
        requests = writes.requests(draft)
        if not requests:
            return obj
        (request,) = requests
        assert request.body["metadata"]["uid"] == was.uid
        part = "status" if request.subresource else "spec"
        assert set(request.body) <= {"metadata", part}
        obj = merged(obj, request.body)
        obj["metadata"]["resourceVersion"] = revision
        assert workload(obj) == replace(request.expected, revision=revision)  # type: ignore[type-var]
    raise AssertionError("after a write of the spec and one of the status there must be nothing left to write")


@QUICK
@given(CHANGES, CHANGES)
def test_what_is_written_and_read_back_is_what_was_decided(first: dict[str, Any], last: dict[str, Any]) -> None:
    """From any value to any other: the patches lead there, each to what it expects, and then nothing is written."""
    obj = carried_out(stored(), replace(workload(), **first))
    was = workload(obj)
    assert timeless(was) == timeless(replace(workload(), **first))
    becomes = replace(was, **last)
    obj = carried_out(obj, becomes)
    assert timeless(workload(obj)) == timeless(becomes)
    assert obj["metadata"]["annotations"]["other"] == "kept"
    assert obj["status"]["reclaimablePods"] == []


@QUICK
@given(CHANGES)
def test_a_decision_that_changes_nothing_costs_nothing(first: dict[str, Any]) -> None:
    """A Workload that is put as it was, in another value, is not written."""
    was = workload(carried_out(stored(), replace(workload(), **first)))
    assert changed(was) == []


# Status


def test_an_admission_is_one_status_patch_on_the_revision_it_was_decided_on() -> None:
    """It carries UID and resourceVersion, all conditions, and the assignment with canonical quantities."""
    (request,) = changed(workload(), conditions=ADMITTED, admission=ADMISSION)
    assert (request.verb, request.kind, request.subresource, request.uid, request.revision, request.why) == (
        "patch", "Workload", "status", "uid-w", "1", "admit",
    )  # fmt: skip
    at = times.show(NOW)
    assert request.body == {
        "metadata": {"uid": "uid-w", "resourceVersion": "1"},
        "status": {
            "conditions": [
                {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": at}
                for kind in ("QuotaReserved", "Admitted")
            ],
            "admission": {
                "clusterQueue": "cq",
                "podSetAssignments": [
                    {"name": "main", "count": 2, "flavors": {"cpu": "f"}, "resourceUsage": {"cpu": "2"}}
                ],
            },
        },
    }


def test_an_unknown_condition_of_somebody_else_stays_unknown() -> None:
    """All conditions are written together: one that is Unknown is written as Unknown, with its own time."""
    unknown = Condition(False, "R", "m", float(int(NOW) - 100), unknown=True)
    was = replace(workload(), conditions={"Foreign": unknown})
    (request,) = changed(was, conditions={"Foreign": unknown, "Evicted": Condition(True, "Preempted")})
    (first, _) = request.body["status"]["conditions"]
    assert (first["type"], first["status"], first["lastTransitionTime"]) == (
        "Foreign",
        "Unknown",
        times.show(NOW - 100),
    )


def test_a_condition_changed_when_its_status_did() -> None:
    """A new reason keeps the time; a new status has the time of the write, whole seconds, whatever was put there."""
    since = float(int(NOW) - 100)
    was = replace(workload(), conditions={"A": Condition(True, "R", "m", since), "B": Condition(True, "R", "m", since)})
    (request,) = changed(
        was, conditions={"A": Condition(True, "S", "m"), "B": Condition(False, "R", "m", since), "C": Condition(True)}
    )
    assert isinstance(request.expected, Workload)
    got = {kind: (condition.reason, condition.since) for kind, condition in request.expected.conditions.items()}
    assert got == {"A": ("S", since), "B": ("R", float(int(NOW))), "C": ("C", float(int(NOW)))}


def test_what_a_released_workload_had_is_removed_by_null() -> None:
    """Admission, requeue state, unhealthy nodes, checks and executed seconds that are gone are null in the patch."""
    check = CheckState("c", "Ready", 5.0, "m", raw={"name": "c"})
    was = replace(workload(), admission=ADMISSION, requeues=1, requeue_at=5.0, unhealthy=("n",), executed_seconds=3,
                  checks=(check,))  # fmt: skip
    (request,) = changed(was, admission=None, requeues=0, requeue_at=None, unhealthy=(), executed_seconds=0, checks=())
    assert request.body["status"] == {
        "admission": None,
        "requeueState": None,
        "unhealthyNodes": None,
        "admissionChecks": None,
        "accumulatedPastExecutionTimeSeconds": None,
    }


def test_a_requeue_is_never_written_too_early() -> None:
    """The API has whole seconds, so the time from which a group may be tried again is rounded up."""
    (request,) = changed(workload(), requeues=1, requeue_at=NOW)
    assert request.body["status"]["requeueState"] == {"count": 1, "requeueAt": times.show(int(NOW) + 1)}


def test_a_check_that_did_not_change_is_written_as_it_was_read() -> None:
    """The list is replaced whole; a changed entry keeps the fields that are not read."""
    entries = [{"name": name, "state": "Ready", "lastTransitionTime": "2026-01-01T00:00:00+01:00", "message": "",
                "retryCount": 4} for name in "ab"]  # fmt: skip
    was = workload(stored(status={"admissionChecks": entries}))
    (request,) = changed(was, checks=(was.checks[0], replace(was.checks[1], state="Pending")))
    first, second = request.body["status"]["admissionChecks"]
    assert first == entries[0]
    assert second == {**entries[1], "state": "Pending", "lastTransitionTime": times.show(NOW)}


def test_a_delay_that_is_over_is_taken_from_its_check() -> None:
    """An entry whose check no longer asks for a delay does not keep the old one."""
    entry = {
        "name": "a",
        "state": "Retry",
        "lastTransitionTime": times.show(5),
        "message": "",
        "requeueAfterSeconds": 9,
    }
    was = workload(stored(status={"admissionChecks": [entry]}))
    (request,) = changed(was, checks=(replace(was.checks[0], requeue_after=None),))
    del entry["requeueAfterSeconds"]
    assert request.body["status"]["admissionChecks"] == [entry]


def test_a_message_is_cut_where_the_crd_would_refuse_it() -> None:
    """A status that is refused decides nothing."""
    (request,) = changed(workload(), conditions={"A": Condition(False, "R", "x" * 40_000)})
    assert len(request.body["status"]["conditions"][0]["message"]) == 32768


# Spec, and both


def test_a_priority_class_goes_with_its_priority() -> None:
    """Both are written together, the reference with the kind that its group has; null when there is none."""
    (request,) = changed(workload(), priority=7, priority_class=(names.KUEUE, "high"))
    reference = {"group": names.KUEUE, "kind": "WorkloadPriorityClass", "name": "high"}
    assert request.body == {"metadata": {"uid": "uid-w"}, "spec": {"priority": 7, "priorityClassRef": reference}}
    was = replace(workload(), priority=7, priority_class=("scheduling.k8s.io", "high"))
    (request,) = changed(was, priority=0, priority_class=("", ""))
    assert request.body["spec"] == {"priority": 0, "priorityClassRef": None}


def test_a_queue_that_is_no_longer_named_is_removed() -> None:
    """The CRD refuses an empty name."""
    (request,) = changed(workload(), queue="")
    assert request.body["spec"] == {"queueName": None}


def test_finalizers_are_written_on_the_revision_they_were_read_at() -> None:
    """The list is replaced whole, so one that somebody adds at that moment must not be lost."""
    (request,) = changed(workload(), finalizers=(), finalized=False)
    assert request.body == {"metadata": {"uid": "uid-w", "resourceVersion": "1", "finalizers": None}}
    assert request.revision == "1"
    assert isinstance(request.expected, Workload)
    assert not request.expected.finalized


def test_the_spec_goes_before_the_status() -> None:
    """Where both change the status waits for the next pass, since the first write makes its revision old."""
    (request,) = changed(workload(), queue="r", conditions=ADMITTED, admission=ADMISSION)
    assert (request.subresource, request.body["spec"]) == ("", {"queueName": "r"})
    assert isinstance(request.expected, Workload)
    assert (request.expected.queue, request.expected.admission) == ("r", None)


def test_a_reservation_is_given_up_before_the_spec_that_it_freezes_changes() -> None:
    """The CRD refuses another queue while quota is reserved, so the status goes first then."""
    was = replace(workload(), conditions=ADMITTED, admission=ADMISSION)
    released = {"QuotaReserved": Condition(False, "Pending"), "Admitted": Condition(False, "NoReservation")}
    (request,) = changed(was, queue="r", conditions=released, admission=None)
    assert (request.subresource, request.why) == ("status", "release quota")
    assert isinstance(request.expected, Workload)
    assert request.expected.queue == "q"


def test_a_workload_that_is_being_written_is_left_alone() -> None:
    """A value that is only expected has no revision on which a decision could rest."""
    was = workload()
    (first,) = changed(was, conditions=ADMITTED, admission=ADMISSION)
    assert isinstance(first.expected, Workload)
    assert first.expected.revision == writes.EXPECTED
    assert changed(first.expected, active=False) == []


# Pods


def started(was: Pod) -> Pod:
    return replace(
        was,
        gates=tuple(gate for gate in was.gates if gate not in GATES),
        labels={**was.labels, names.PODSET: "main"},
        annotations={**was.annotations, names.WORKLOAD: "w"},
        selector={**was.selector, "pool": "gpu"},
        tolerations=(*was.tolerations, Toleration("t", "Exists")),
    )


def test_a_pod_starts_by_one_patch() -> None:
    """It adopts, injects and ungates; gates of others and tolerations that were there stay as they were."""
    old = [
        {"key": "k", "value": "v"},
        {"key": "r", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
    ]
    obj = pod_object(names.ADMISSION_GATE, "other", names.TOPOLOGY_GATE, tolerations=old, nodeSelector={"a": "b"})
    was = pod(obj)
    admitted = replace(workload(), conditions=ADMITTED, admission=ADMISSION)
    draft = drafted(admitted, pods=(was,))
    draft.put_pod(started(was))
    (request,) = writes.requests(draft)
    assert (request.verb, request.kind, request.subresource, request.why) == ("patch", "Pod", "", "start")
    assert request.body == {
        "metadata": {"uid": "uid-p", "labels": {names.PODSET: "main"}, "annotations": {names.WORKLOAD: "w"}},
        "spec": {
            "schedulingGates": [{"name": "other"}],
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [*old, {"key": "t", "operator": "Exists"}],
        },
    }
    assert request.expected == replace(started(was), revision=writes.EXPECTED)


POD_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "gates": st.lists(st.sampled_from((*GATES, "other", "new")), unique=True).map(tuple),
        "labels": st.dictionaries(st.sampled_from((names.SET_NAME, "app", "x")), st.sampled_from("ab")),
        "annotations": st.dictionaries(st.sampled_from((names.WORKLOAD, "x")), st.sampled_from("ab")),
        "selector": st.dictionaries(st.sampled_from(("pool", "x")), st.sampled_from("ab")),
        "tolerations": st.lists(
            st.builds(Toleration, st.sampled_from("ab"), st.sampled_from(("", "Exists")), st.just(""),
                      st.sampled_from(("", "NoExecute")), st.none() | st.integers(0, 9)),
            max_size=2,
        ).map(tuple),
    },
)  # fmt: skip


@QUICK
@given(st.lists(st.sampled_from((*GATES, "other")), unique=True), POD_CHANGES)
def test_a_pods_patch_leads_to_what_it_expects(gates: list[str], changes: dict[str, Any]) -> None:
    """Whatever was decided; gates only ever go, and the selector of a pod without a gate stays as it is."""
    obj = pod_object(*gates, nodeSelector={"pool": "a"}, tolerations=[{"key": "a"}])
    was = pod(obj)
    becomes = replace(was, **changes)
    draft = drafted(pods=(was,))
    draft.put_pod(becomes)
    after = copy.deepcopy(obj)
    # A pod whose labels no longer say that it is of this group is another group's pod to the draft's snapshot.
    for request in writes.requests(draft):
        after = merged(after, request.body)
        read = pod(after)
        assert isinstance(request.expected, Pod)
        assert (read.labels, read.annotations) == (request.expected.labels, request.expected.annotations)
        assert read.gates == request.expected.gates
        assert (read.selector, read.tolerations) == (request.expected.selector, request.expected.tolerations)
    read = pod(after)
    assert read.gates == tuple(gate for gate in was.gates if gate in becomes.gates)
    assert read.selector == (becomes.selector if gates else was.selector)
    assert (read.labels, read.annotations, read.tolerations) == (
        becomes.labels, becomes.annotations, becomes.tolerations,
    )  # fmt: skip


@pytest.mark.parametrize("under_way", ["decided", "written"])
def test_no_pod_starts_before_its_admission_is_stored(under_way: str) -> None:
    """An admission that this pass decides, or that is only on its way, may yet be refused; the pods wait."""
    was = pod(pod_object(*GATES))
    if under_way == "decided":
        draft = drafted(workload(), pods=(was,))
        draft.put(replace(workload(), conditions=ADMITTED, admission=ADMISSION))
    else:
        expected = replace(workload(), conditions=ADMITTED, admission=ADMISSION, revision=writes.EXPECTED)
        draft = drafted(expected, pods=(was,))
    draft.put_pod(started(was))
    assert [request.kind for request in writes.requests(draft)] == ["Workload"] * (under_way == "decided")


def test_no_pod_stops_before_its_eviction_is_stored() -> None:
    """The eviction may be refused because the Workload changed; then its pods run on."""
    running, admitted = pod(pod_object()), replace(workload(), conditions=ADMITTED, admission=ADMISSION)
    evicted = replace(
        admitted, conditions={**ADMITTED, "Admitted": Condition(False, "E"), "Evicted": Condition(True, "Preempted")}
    )
    draft = drafted(admitted, pods=(running,))
    draft.put(evicted)
    draft.delete_pod(running)
    (request,) = writes.requests(draft)
    assert (request.kind, request.why) == ("Workload", "evict: Preempted")
    draft = drafted(evicted, pods=(running,))
    draft.delete_pod(running)
    (request,) = writes.requests(draft)
    assert (request.verb, request.kind, request.why) == ("delete", "Pod", "stop")


# Creations, deletions, order


def test_deletions_name_the_uid_that_is_meant() -> None:
    """A namesake that came meanwhile is not deleted; what is on its way out already is not deleted again."""
    draft = drafted(workload())
    draft.delete_workload(workload())
    (request,) = writes.requests(draft)
    assert (request.verb, request.uid, request.body) == ("delete", "uid-w", {"preconditions": {"uid": "uid-w"}})
    assert isinstance(request.expected, Workload)
    assert request.expected.deleted
    going = replace(workload(), deleted=True)
    draft = drafted(going)
    draft.delete_workload(going)
    assert writes.requests(draft) == []


def test_of_a_workload_that_is_to_go_only_the_finalizer_is_written_before() -> None:
    """Its status is of no interest any more; the finalizer goes first, so that the deletion is the end of it."""
    was = workload()
    draft = drafted(was)
    draft.put(replace(was, finalizers=(), conditions=ADMITTED))
    draft.delete_workload(was)
    first, second = writes.requests(draft)
    assert (first.verb, first.why, second.verb) == ("patch", "change finalizers", "delete")
    draft = drafted(was)
    draft.put(replace(was, conditions=ADMITTED))
    draft.delete_workload(was)
    assert [request.verb for request in writes.requests(draft)] == ["delete"]


def test_a_new_workload_is_created_as_it_was_made() -> None:
    """The object is the body, and its value is what is expected of it."""
    obj = stored("new")
    draft = drafted()
    draft.created["n", "new"] = obj
    (request,) = writes.requests(draft)
    assert (request.verb, request.kind, request.namespace, request.name) == ("create", "Workload", "n", "new")
    assert request.body == obj
    assert request.expected == workload(obj)


def test_what_groups_wait_for_is_written_first() -> None:
    """Admissions, then pods that start, then evictions and pods that stop, then all the rest."""
    waiting, running, other = (replace(workload(stored(name)), group=n) for n, name in enumerate(("a", "b", "c"), 5))
    running = replace(running, conditions=ADMITTED, admission=ADMISSION)
    first = pod(pod_object(*GATES))
    second = replace(first, name="llm-1", gates=())
    draft = drafted(waiting, running, other, pods=(first, second))
    draft.delete_workload(other)
    draft.created["n", "new"] = stored("new")
    draft.delete_pod(second)
    draft.put(replace(running, conditions={**ADMITTED, "PodsReady": Condition(True)}))
    draft.put_pod(started(first))
    draft.put(replace(waiting, conditions=ADMITTED, admission=ADMISSION))
    assert [request.why for request in writes.requests(draft)] == [
        "admit",
        "start",
        "stop",
        "new group",
        "status: PodsReady",
        "group is gone",
    ]
