"""Requests: what a draft decided, as the fewest writes that bring it about.

Rules. Everything is written from the first and the last value of an object, once: decisions that cancel out cost
nothing. All patches are JSON merge patches (RFC 7396; the Kueue API has no strategic ones): null removes, lists are
replaced whole, and fields that we do not read survive. Every patch and deletion names the UID, so it never touches a
namesake (the API server answers 422 or 409).

- A status patch of a Workload also names the resourceVersion on which its decisions rest. Was anything about the
  Workload different by then, it is refused (409) and decided anew: quota is never given on the strength of old news.
- Spec and status are different endpoints, and a change of one makes the resourceVersion of the other old. Where both
  change, one goes now and the other follows from the next pass: the spec first, since a reservation freezes the queue
  and the priority class (rules in the CRD), unless the status gives up the reservation that freezes them.
- Pods follow what the API server has said, not what we hope: no pod is started or stopped while the admission that it
  follows is only being written. A patch of a pod removes gates (they cannot be added), adds to the node selector (only
  of a pod that still has a gate) and repeats the tolerations that were there (they cannot be dropped). If somebody
  else removed a gate meanwhile, the list that we replace brings it back, which is refused: nobody's gate is undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from conformance import names
from conformance.reference import reading, writes_values
from conformance.reference.draft import Draft
from conformance.reference.model import GroupKey, Pod, Workload

EXPECTED: Final = "expected"
"""The `revision` of a value that is still being written: the object has it only once the write has succeeded."""

_ADMISSION, _START, _STOP, _CREATION, _SPEC, _STATUS, _DELETION = range(7)
"""The order of writing: what groups wait for comes first."""
_GATES: Final = frozenset({names.ADMISSION_GATE, names.TOPOLOGY_GATE})


@dataclass(frozen=True, slots=True)
class Request:
    """One write. Patches are JSON merge patches (`application/merge-patch+json`)."""

    verb: Literal["create", "patch", "delete"]
    kind: str
    namespace: str
    """Empty for cluster-scoped kinds."""
    name: str
    body: Mapping[str, Any]
    """The object to create, the patch, or DeleteOptions."""
    subresource: Literal["", "status"] = ""
    uid: str = ""
    """Of the object that is meant; it is in the body too."""
    revision: str = ""
    """The resourceVersion that the object must have, empty for any; it is in the body too."""
    expected: Workload | Pod | None = None
    """The object's value once the write has succeeded, with `EXPECTED` as its revision (a creation's has none)."""
    why: str = ""
    """A few words for the log."""


def requests(draft: Draft) -> list[Request]:
    """Everything that the draft decided, the most urgent first, otherwise in the order of the decisions."""
    found = [*_workloads(draft), *_pods(draft), *_creations(draft), *_deletions(draft)]
    return [request for _, request in sorted(found, key=lambda entry: entry[0])]


# Workloads


def _workloads(draft: Draft) -> Iterator[tuple[int, Request]]:
    for key, becomes in draft.workloads.items():
        was = draft.snapshot.workloads.get(key)
        if was is None or was is becomes or was.revision == EXPECTED:
            continue
        if key in draft.deleted_workloads:
            # Only what stands in the way of its end; what its status would have become is of no interest any more.
            becomes = replace(was, finalizers=becomes.finalizers)
        becomes = writes_values.settled(was, becomes, draft.now)
        metadata, spec = _metadata_patch(was, becomes), _spec_patch(was, becomes)
        status = status_patch(was, becomes)
        if (metadata or spec) and not (status and gives_up(was, becomes)):
            yield _SPEC, _spec_request(was, becomes, metadata, spec)
        elif status:
            yield _status_request(was, becomes, status)


def gives_up(was: Workload, becomes: Workload) -> bool:
    """Whether the reservation is given up by this."""
    return was.true("QuotaReserved") and not becomes.true("QuotaReserved")


def _locked(was: Workload) -> dict[str, str]:
    """What makes a patch fail if the object is not as it was."""
    return {"resourceVersion": was.revision} if was.revision else {}


def _metadata_patch(was: Workload, becomes: Workload) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    if becomes.finalizers != was.finalizers:
        patch["finalizers"] = list(becomes.finalizers) or None
        # Lists are replaced whole, so a finalizer that somebody adds at this moment would be lost.
        patch |= _locked(was)
    if becomes.gated_by != was.gated_by:
        patch["annotations"] = {names.GATED_BY: ",".join(becomes.gated_by) or None}
    return patch


def _spec_patch(was: Workload, becomes: Workload) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    if becomes.active != was.active:
        patch["active"] = becomes.active
    if becomes.queue != was.queue:
        patch["queueName"] = becomes.queue or None
    if (becomes.priority, becomes.priority_class) != (was.priority, was.priority_class):
        patch["priority"] = becomes.priority
        patch["priorityClassRef"] = _class_reference(becomes)
    if becomes.max_seconds != was.max_seconds:
        patch["maximumExecutionTimeSeconds"] = becomes.max_seconds
    return patch


def _class_reference(workload: Workload) -> dict[str, str] | None:
    group, name = workload.priority_class
    if not name:
        return None
    kind = "WorkloadPriorityClass" if group == names.KUEUE else "PriorityClass"
    return {"group": group, "kind": kind, "name": name}


def _spec_request(was: Workload, becomes: Workload, metadata: dict[str, Any], spec: dict[str, Any]) -> Request:
    body: dict[str, Any] = {"metadata": {"uid": was.uid, **metadata}}
    if spec:
        body["spec"] = spec
    expected = replace(
        was,
        revision=EXPECTED,
        finalizers=becomes.finalizers,
        finalized=names.RESOURCE_IN_USE in becomes.finalizers,
        gated_by=becomes.gated_by,
        active=becomes.active,
        queue=becomes.queue,
        priority=becomes.priority,
        priority_class=becomes.priority_class,
        max_seconds=becomes.max_seconds,
    )
    why = ", ".join([*(key for key in metadata if key != "resourceVersion"), *spec])
    revision = metadata.get("resourceVersion") or ""
    return Request("patch", "Workload", was.namespace, was.name, body, "", was.uid, revision, expected, f"change {why}")


def status_patch(was: Workload, becomes: Workload) -> dict[str, Any]:
    """The parts of the status that differ, each as it has to be written."""
    patch: dict[str, Any] = {}
    if becomes.conditions != was.conditions:
        patch["conditions"] = writes_values.conditions(becomes)
    if becomes.admission != was.admission:
        patch["admission"] = writes_values.admission(becomes.admission)
    if (becomes.requeues, becomes.requeue_at) != (was.requeues, was.requeue_at):
        patch["requeueState"] = writes_values.requeue_state(becomes)
    if becomes.checks != was.checks:
        patch["admissionChecks"] = writes_values.checks(becomes)
    if becomes.unhealthy != was.unhealthy:
        patch["unhealthyNodes"] = writes_values.unhealthy_nodes(becomes)
    if becomes.executed_seconds != was.executed_seconds:
        patch["accumulatedPastExecutionTimeSeconds"] = becomes.executed_seconds or None
    return patch


def _status_request(was: Workload, becomes: Workload, patch: dict[str, Any]) -> tuple[int, Request]:
    metadata = {"uid": was.uid, **_locked(was)}
    expected = replace(
        was,
        revision=EXPECTED,
        conditions=becomes.conditions,
        admission=becomes.admission,
        requeues=becomes.requeues,
        requeue_at=becomes.requeue_at,
        checks=becomes.checks,
        unhealthy=becomes.unhealthy,
        executed_seconds=becomes.executed_seconds,
    )
    rank, why = _urgency(was, becomes)
    body = {"metadata": metadata, "status": patch}
    return rank, Request(
        "patch", "Workload", was.namespace, was.name, body, "status", was.uid, was.revision, expected, why
    )


def _urgency(was: Workload, becomes: Workload) -> tuple[int, str]:
    """How urgent a status is, and what it says in a few words."""
    if becomes.admitted and not was.admitted:
        return _ADMISSION, "admit"
    if becomes.reserves and not was.reserves:
        return _ADMISSION, "reserve quota"
    if becomes.evicted and not was.evicted:
        return _STOP, f"evict: {becomes.conditions['Evicted'].reason}"
    if gives_up(was, becomes):
        return _STOP, "release quota"
    changed = [kind for kind, condition in becomes.conditions.items() if condition != was.conditions.get(kind)]
    return _STATUS, f"status: {', '.join(changed)}" if changed else "status"


# Pods


def _pods(draft: Draft) -> Iterator[tuple[int, Request]]:
    if not draft.pods and not draft.deleted_pods:
        return
    held = unsettled(draft)
    for key, becomes in draft.pods.items():
        group = _group_of(becomes)
        if key in draft.deleted_pods or becomes.deleted or group in held:
            continue
        was = draft.snapshot.pods.get(group, {}).get(key)
        request = None if was is None else _pod_request(was, becomes)
        if request is not None:
            yield _START, request
    for key, pod in draft.deleted_pods.items():
        group = _group_of(pod)
        pod = draft.snapshot.pods.get(group, {}).get(key, pod)
        if not pod.deleted and group not in held:
            yield _STOP, _deletion("Pod", pod, "stop")


def unsettled(draft: Draft) -> set[GroupKey]:
    """The groups whose admission is being written, or is to be by this pass: their pods wait for the answer."""
    held: set[GroupKey] = set()
    for key, was in draft.snapshot.workloads.items():
        becomes = draft.workloads.get(key, was)
        changes = becomes is not was and (becomes.admission, becomes.admitted) != (was.admission, was.admitted)
        group = was.group_key
        if group is not None and (changes or was.revision == EXPECTED):
            held.add(group)
    return held


def _group_of(pod: Pod) -> GroupKey:
    return pod.namespace, pod.set_name, -1 if pod.group is None else pod.group


def _pod_request(was: Pod, becomes: Pod) -> Request | None:
    """The one patch that makes a pod what it is to become; None if nothing differs."""
    gates = tuple(gate for gate in was.gates if gate in becomes.gates)
    selector = becomes.selector if was.gates else was.selector
    metadata: dict[str, Any] = {}
    spec: dict[str, Any] = {}
    if labels := writes_values.difference(was.labels, becomes.labels):
        metadata["labels"] = labels
    if annotations := writes_values.difference(was.annotations, becomes.annotations):
        metadata["annotations"] = annotations
    if gates != was.gates:
        spec["schedulingGates"] = [{"name": gate} for gate in gates] or None
    if more := writes_values.difference(was.selector, selector):
        spec["nodeSelector"] = more
    if becomes.tolerations != was.tolerations:
        spec["tolerations"] = [writes_values.toleration(toleration) for toleration in becomes.tolerations]
    if not metadata and not spec:
        return None
    body: dict[str, Any] = {"metadata": {"uid": was.uid, **metadata}}
    if spec:
        body["spec"] = spec
    expected = replace(becomes, revision=EXPECTED, gates=gates, selector=selector)
    why = "start" if _GATES.intersection(was.gates) and _GATES.isdisjoint(gates) else "change"
    return Request("patch", "Pod", was.namespace, was.name, body, "", was.uid, "", expected, why)


# Creations and deletions


def _creations(draft: Draft) -> Iterator[tuple[int, Request]]:
    for (namespace, name), body in draft.created.items():
        expected: Workload = reading.read("Workload", body)
        yield _CREATION, Request("create", "Workload", namespace, name, body, expected=expected, why="new group")


def _deletions(draft: Draft) -> Iterator[tuple[int, Request]]:
    for key, workload in draft.deleted_workloads.items():
        workload = draft.snapshot.workloads.get(key, workload)
        if not workload.deleted:
            yield _DELETION, _deletion("Workload", workload, "group is gone")


def _deletion(kind: Literal["Workload", "Pod"], it: Workload | Pod, why: str) -> Request:
    body = {"preconditions": {"uid": it.uid}}
    expected = replace(it, deleted=True, revision=EXPECTED)
    return Request("delete", kind, it.namespace, it.name, body, "", it.uid, "", expected, why)
