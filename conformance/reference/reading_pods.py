"""Pods and what else of Kubernetes' own API decides: nodes, namespaces, limit ranges, runtime and priority classes.

Rules: a pod belongs to a managed group if it was born with LeaderWorkerSet as its suspending parent (Kueue's annotation
`pod-suspending-parent`); which set, group and rank it has say LeaderWorkerSet's own labels, and the leader is the pod
without the annotation `leader-name`. A pod takes of its node what the kube rule says it asks for, and one of `pods`. A
node may be placed on if it is Ready and not cordoned.
"""

from __future__ import annotations

import msgspec

from conformance import names
from conformance.reference import amounts, requests
from conformance.reference.model import Amounts, LimitRange, Node, Pod, PriorityClass
from conformance.reference.reading_shapes import (
    ConditionShape,
    Metadata,
    Problems,
    Quantities,
    Shape,
    TaintShape,
    annotations_of,
    is_true,
    labels_of,
    moment,
    quantities,
    taints,
    tolerations_as_written,
    whole,
)
from conformance.reference.reading_templates import PodSpecShape, template_of


class GateShape(Shape):
    name: str = ""


class LivePodSpecShape(PodSpecShape):
    node_name: str = ""
    scheduling_gates: list[GateShape] | None = None


class PodStatusShape(Shape):
    phase: str = ""
    conditions: list[ConditionShape] | None = None


class PodShape(Shape):
    metadata: Metadata
    spec: LivePodSpecShape = msgspec.field(default_factory=LivePodSpecShape)
    status: PodStatusShape = msgspec.field(default_factory=PodStatusShape)


def pod(shape: PodShape) -> Pod:
    metadata, spec, status = shape.metadata, shape.spec, shape.status
    its_labels, its_annotations = labels_of(metadata), annotations_of(metadata)
    template = template_of(spec)
    return Pod(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        revision=metadata.resource_version,
        created=moment(metadata.creation_timestamp),
        deleted=metadata.deletion_timestamp is not None,
        gone_by=None if metadata.deletion_timestamp is None else moment(metadata.deletion_timestamp),
        finished=status.phase in ("Succeeded", "Failed"),
        ready=is_true(status.conditions, "Ready"),
        node=spec.node_name,
        gates=tuple(gate.name for gate in spec.scheduling_gates or ()),
        labels=its_labels,
        annotations=its_annotations,
        selector=template.selector,
        tolerations=tolerations_as_written(spec.tolerations),
        requests={**requests.raw(template), "pods": amounts.UNIT},
        suspended=its_annotations.get(names.SUSPENDING_PARENT) == names.LWS_FRAMEWORK,
        set_name=its_labels.get(names.SET_NAME, ""),
        group=whole(its_labels.get(names.GROUP_INDEX)),
        worker=whole(its_labels.get(names.WORKER_INDEX)),
        is_leader=names.LEADER_NAME not in its_annotations,
    )


class NodeSpecShape(Shape):
    taints: list[TaintShape] | None = None
    unschedulable: bool = False


class NodeStatusShape(Shape):
    allocatable: Quantities | None = None
    conditions: list[ConditionShape] | None = None


class NodeShape(Shape):
    metadata: Metadata
    spec: NodeSpecShape = msgspec.field(default_factory=NodeSpecShape)
    status: NodeStatusShape = msgspec.field(default_factory=NodeStatusShape)


def node(shape: NodeShape) -> Node:
    return Node(
        name=shape.metadata.name,
        labels=labels_of(shape.metadata),
        # A quantity that cannot be read leaves no room on the node, which is safe.
        allocatable=quantities(shape.status.allocatable, "allocatable", Problems()),
        taints=taints(shape.spec.taints),
        ready=is_true(shape.status.conditions, "Ready"),
        unschedulable=shape.spec.unschedulable,
    )


class NamespaceShape(Shape):
    metadata: Metadata


def namespace(shape: NamespaceShape) -> dict[str, str]:
    """Its labels."""
    return shape.metadata.labels or {}


class LimitShape(Shape):
    type: str = ""
    maximum: Quantities | None = msgspec.field(name="max", default=None)
    minimum: Quantities | None = msgspec.field(name="min", default=None)
    default: Quantities | None = None
    default_request: Quantities | None = None


class LimitRangeSpecShape(Shape):
    limits: list[LimitShape] | None = None


class LimitRangeShape(Shape):
    metadata: Metadata
    spec: LimitRangeSpecShape = msgspec.field(default_factory=LimitRangeSpecShape)


def limit_range(shape: LimitRangeShape) -> LimitRange:
    """Its items for containers in one: the narrowest bounds, and the first default of each resource."""
    items = [item for item in shape.spec.limits or () if item.type == "Container"]
    default_requests: dict[str, int] = {}
    default_limits: dict[str, int] = {}
    maximum: dict[str, int] = {}
    unread = Problems()
    for item in items:
        default_requests = {**quantities(item.default_request, "defaultRequest", unread), **default_requests}
        default_limits = {**quantities(item.default, "default", unread), **default_limits}
        for resource, amount in quantities(item.maximum, "max", unread).items():
            maximum[resource] = min(amount, maximum.get(resource, amount))
    return LimitRange(
        namespace=shape.metadata.namespace,
        name=shape.metadata.name,
        default_requests=default_requests,
        default_limits=default_limits,
        maximum=maximum,
        minimum=amounts.larger(*(quantities(item.minimum, "min", unread) for item in items)),
    )


class OverheadShape(Shape):
    pod_fixed: Quantities | None = None


class RuntimeClassShape(Shape):
    metadata: Metadata
    overhead: OverheadShape | None = None


def overhead(shape: RuntimeClassShape) -> Amounts:
    """What each of its pods takes beside its containers."""
    return quantities(shape.overhead.pod_fixed if shape.overhead else None, "podFixed", Problems())


class PriorityClassShape(Shape):
    metadata: Metadata
    value: int = 0
    global_default: bool = False


def priority_class(shape: PriorityClassShape) -> PriorityClass:
    """A PriorityClass or a WorkloadPriorityClass."""
    return PriorityClass(shape.metadata.name, shape.value, shape.global_default)
