"""Workloads.

Rules: a Workload belongs to the LeaderWorkerSet among its owners, by UID; the annotations `job-owner-name` and
`component-workload-index` say which of its groups it stands for, and keep saying it when the set is gone. Whatever of a
Workload cannot be used becomes its `problem`: it stays inadmissible, and all others go on. Defaults are those of the
CRD. Source: Kueue `apis/kueue/v1beta2/workload_types.go`; KEP-6915 for the gates.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from conformance import names
from conformance.reference import reading_assignments
from conformance.reference.model import (
    Admission,
    Assignment,
    CheckState,
    Condition,
    PodSet,
    TopologyAssignment,
    TopologyRequest,
    Workload,
)
from conformance.reference.reading_assignments import TopologyAssignmentShape
from conformance.reference.reading_shapes import (
    ConditionShape,
    Metadata,
    Problems,
    Quantities,
    Shape,
    annotations_of,
    moment,
    quantities,
    whole,
)
from conformance.reference.reading_templates import read_template

_SET_GROUP = names.KINDS["LeaderWorkerSet"].group


class LayerShape(Shape):
    topology: str
    size: int


class TopologyRequestShape(Shape):
    required: str | None = None
    preferred: str | None = None
    unconstrained: bool | None = None
    pod_index_label: str | None = None
    pod_set_group_name: str | None = None
    slice_topology: str | None = msgspec.field(name="podSetSliceRequiredTopology", default=None)
    slice_size: int | None = msgspec.field(name="podSetSliceSize", default=None)
    layers: list[LayerShape] | None = msgspec.field(name="podsetSliceRequiredTopologyConstraints", default=None)


class PodSetShape(Shape):
    name: str = "main"
    count: int = 1
    template: dict[str, Any] = msgspec.field(default_factory=dict)
    topology_request: TopologyRequestShape | None = None


class ClassRefShape(Shape):
    group: str = ""
    name: str = ""


class WorkloadSpecShape(Shape):
    pod_sets: list[PodSetShape] | None = None
    queue_name: str = ""
    priority: int | None = None
    priority_class_ref: ClassRefShape | None = None
    active: bool | None = None
    maximum_execution_time_seconds: int | None = None


class AssignmentShape(Shape):
    name: str = "main"
    count: int | None = None
    flavors: dict[str, str] | None = None
    resource_usage: Quantities | None = None
    topology_assignment: TopologyAssignmentShape | None = None
    delayed_topology_request: str | None = None


class AdmissionShape(Shape):
    cluster_queue: str = ""
    pod_set_assignments: list[AssignmentShape] | None = None


class RequeueShape(Shape):
    count: int | None = None
    requeue_at: str | None = None


class UnhealthyShape(Shape):
    name: str


class WorkloadStatusShape(Shape):
    conditions: list[ConditionShape] | None = None
    admission: AdmissionShape | None = None
    requeue_state: RequeueShape | None = None
    admission_checks: list[dict[str, Any]] | None = None
    unhealthy_nodes: list[UnhealthyShape] | None = None
    accumulated_past_execution_time_seconds: int | None = None


class WorkloadShape(Shape):
    metadata: Metadata
    spec: WorkloadSpecShape = msgspec.field(default_factory=WorkloadSpecShape)
    status: WorkloadStatusShape = msgspec.field(default_factory=WorkloadStatusShape)


class CheckStateShape(Shape):
    name: str
    state: Literal["Pending", "Ready", "Retry", "Rejected"]
    last_transition_time: str | None = None
    message: str = ""
    requeue_after_seconds: int | None = None


def workload(shape: WorkloadShape) -> Workload:
    metadata, spec, status = shape.metadata, shape.spec, shape.status
    problems = Problems()
    owner, owner_name = _owner(metadata)
    podsets = tuple(_podset(podset, problems) for podset in spec.pod_sets or ())
    finalizers = tuple(metadata.finalizers or ())
    requeue = status.requeue_state or RequeueShape()
    reference = spec.priority_class_ref or ClassRefShape()
    return Workload(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        revision=metadata.resource_version,
        generation=metadata.generation,
        created=moment(metadata.creation_timestamp),
        deleted=metadata.deletion_timestamp is not None,
        finalized=names.RESOURCE_IN_USE in finalizers,
        finalizers=finalizers,
        owner=owner,
        set_name=annotations_of(metadata).get(names.JOB_OWNER_NAME) or owner_name,
        group=_group(metadata, problems),
        queue=spec.queue_name,
        priority=spec.priority or 0,
        priority_class=(reference.group, reference.name),
        active=spec.active is not False,
        max_seconds=spec.maximum_execution_time_seconds,
        gated_by=gates(annotations_of(metadata).get(names.GATED_BY)),
        podsets=podsets,
        conditions=_conditions(status.conditions),
        admission=_admission(status.admission, podsets, problems),
        checks=tuple(_check(entry) for entry in status.admission_checks or ()),
        requeues=requeue.count or 0,
        requeue_at=moment(requeue.requeue_at) or None,
        unhealthy=tuple(node.name for node in status.unhealthy_nodes or ()),
        executed_seconds=status.accumulated_past_execution_time_seconds or 0,
        problem=problems.sentence,
    )


def _owner(metadata: Metadata) -> tuple[str, str]:
    """UID and name of the LeaderWorkerSet among the owners."""
    for owner in metadata.owner_references or ():
        if owner.kind == "LeaderWorkerSet" and owner.api_version.partition("/")[0] == _SET_GROUP:
            return owner.uid, owner.name
    return "", ""


def _group(metadata: Metadata, problems: Problems) -> int | None:
    text = annotations_of(metadata).get(names.GROUP_INDEX_OF_WORKLOAD)
    index = whole(text)
    if text is not None and index is None:
        problems.note(f"annotation {names.GROUP_INDEX_OF_WORKLOAD} is not the index of a group")
    return index


def gates(text: str | None) -> tuple[str, ...]:
    """The names in the annotation `admission-gated-by`, without repetitions."""
    found = (gate.strip() for gate in (text or "").split(","))
    return tuple(dict.fromkeys(gate for gate in found if gate))


def _podset(shape: PodSetShape, problems: Problems) -> PodSet:
    template = read_template(shape.template)
    if template.problem:
        problems.note(f"podset {shape.name}: {template.problem}")
    return PodSet(
        name=shape.name,
        count=shape.count,
        template=template,
        topology=_topology_request(shape.topology_request, shape.name, problems),
        index_offset=_index_offset(shape, problems),
    )


def _index_offset(shape: PodSetShape, problems: Problems) -> int:
    metadata = shape.template.get("metadata") or {}
    text = (metadata.get("annotations") or {}).get(names.INDEX_OFFSET)
    offset = whole(text)
    if text is not None and offset is None:
        problems.note(f"podset {shape.name}: annotation {names.INDEX_OFFSET} is not an index")
    return offset or 0


def _topology_request(shape: TopologyRequestShape | None, podset: str, problems: Problems) -> TopologyRequest | None:
    """What is asked of the topology; with the mode "" and no slices it is only said how the pods are numbered."""
    if shape is None:
        return None
    mode: Literal["required", "preferred", "unconstrained", ""] = ""
    level = shape.required or shape.preferred or ""
    if shape.required:
        mode = "required"
    elif shape.preferred:
        mode = "preferred"
    elif shape.unconstrained:
        mode = "unconstrained"
    if bool(shape.required) + bool(shape.preferred) + bool(shape.unconstrained) > 1:
        problems.note(f"podset {podset} asks for more than one of required, preferred and unconstrained topology")
    return TopologyRequest(
        mode=mode,
        level=level,
        group=shape.pod_set_group_name or "",
        slices=_slices(shape, podset, problems),
        index_label=shape.pod_index_label or "",
    )


def _slices(shape: TopologyRequestShape, podset: str, problems: Problems) -> tuple[tuple[str, int], ...]:
    if shape.layers:
        if shape.slice_topology or shape.slice_size is not None:
            problems.note(f"podset {podset} asks for slices in both ways")
        return tuple((layer.topology, layer.size) for layer in shape.layers)
    if not shape.slice_topology and shape.slice_size is None:
        return ()
    if not shape.slice_topology or shape.slice_size is None or shape.slice_size < 1:
        problems.note(f"podset {podset} asks for slices without both a level and a size")
        return ()
    return ((shape.slice_topology, shape.slice_size),)


def _conditions(shapes: list[ConditionShape] | None) -> dict[str, Condition]:
    return {
        shape.type: Condition(
            status=shape.status == "True",
            reason=shape.reason,
            message=shape.message,
            since=moment(shape.last_transition_time),
            generation=shape.observed_generation,
            unknown=shape.status == "Unknown",
        )
        for shape in shapes or ()
    }


def _admission(shape: AdmissionShape | None, podsets: tuple[PodSet, ...], problems: Problems) -> Admission | None:
    if shape is None:
        return None
    counts = {podset.name: podset.count for podset in podsets}
    assignments = tuple(_assignment(a, counts.get(a.name, 0), problems) for a in shape.pod_set_assignments or ())
    return Admission(shape.cluster_queue, assignments)


def _assignment(shape: AssignmentShape, default_count: int, problems: Problems) -> Assignment:
    return Assignment(
        podset=shape.name,
        count=default_count if shape.count is None else shape.count,
        flavors=shape.flavors or {},
        usage=quantities(shape.resource_usage, f"usage of podset {shape.name}", problems),
        topology=_topology_assignment(shape, problems),
        delayed=shape.delayed_topology_request or "",
    )


def _topology_assignment(shape: AssignmentShape, problems: Problems) -> TopologyAssignment | None:
    if shape.topology_assignment is None:
        return None
    try:
        return reading_assignments.decode(shape.topology_assignment)
    except ValueError as error:
        problems.note(f"podset {shape.name}: {error}")
        return None


def _check(entry: dict[str, Any]) -> CheckState:
    shape = msgspec.convert(entry, CheckStateShape)
    return CheckState(
        name=shape.name,
        state=shape.state,
        since=moment(shape.last_transition_time),
        message=shape.message,
        requeue_after=shape.requeue_after_seconds,
        raw=entry,
    )
