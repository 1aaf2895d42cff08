"""Objects of the cluster as values of the model: one entry, `read`, for all kinds.

Rule: whatever the API server admitted is read; what of it cannot be used becomes a `problem` of the value (or counts as
nothing, where a value has no room for one). Only the fields that decide are decoded, into structs, so that an object is
never a tree of dictionaries: pods and nodes change many times a second. Templates of a LeaderWorkerSet, the status of
queues and the entries of admission checks stay as they are, since they are written again whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from conformance.reference import reading_pods, reading_queues, reading_sets, reading_workloads
from conformance.reference.reading_shapes import Metadata, Shape
from conformance.reference.reading_templates import read_template

__all__ = ["head", "read", "read_template"]

S = TypeVar("S", bound=Shape)


class _Reader(Generic[S]):
    """Decodes objects of one kind and builds their values."""

    __slots__ = ("_build", "_decode", "_shape")

    def __init__(self, shape: type[S], build: Callable[[S], Any]) -> None:
        self._shape, self._build = shape, build
        self._decode = msgspec.json.Decoder(shape).decode

    def __call__(self, raw: bytes | msgspec.Raw | Mapping[str, Any]) -> Any:
        if isinstance(raw, Mapping):
            return self._build(msgspec.convert(raw, self._shape))
        return self._build(self._decode(raw))


_READERS: Final[Mapping[str, _Reader[Any]]] = {
    "LeaderWorkerSet": _Reader(reading_sets.SetShape, reading_sets.leader_worker_set),
    "Workload": _Reader(reading_workloads.WorkloadShape, reading_workloads.workload),
    "Pod": _Reader(reading_pods.PodShape, reading_pods.pod),
    "Node": _Reader(reading_pods.NodeShape, reading_pods.node),
    "Namespace": _Reader(reading_pods.NamespaceShape, reading_pods.namespace),
    "LimitRange": _Reader(reading_pods.LimitRangeShape, reading_pods.limit_range),
    "RuntimeClass": _Reader(reading_pods.RuntimeClassShape, reading_pods.overhead),
    "PriorityClass": _Reader(reading_pods.PriorityClassShape, reading_pods.priority_class),
    "WorkloadPriorityClass": _Reader(reading_pods.PriorityClassShape, reading_pods.priority_class),
    "ClusterQueue": _Reader(reading_queues.ClusterQueueShape, reading_queues.cluster_queue),
    "Cohort": _Reader(reading_queues.CohortShape, reading_queues.cohort),
    "LocalQueue": _Reader(reading_queues.LocalQueueShape, reading_queues.local_queue),
    "ResourceFlavor": _Reader(reading_queues.FlavorShape, reading_queues.flavor),
    "Topology": _Reader(reading_queues.TopologyShape, reading_queues.topology),
    "AdmissionCheck": _Reader(reading_queues.AdmissionCheckShape, reading_queues.admission_check),
}


class _Head(Shape):
    metadata: Metadata


_HEAD: Final = _Reader(_Head, lambda shape: shape.metadata)


def read(kind: str, raw: bytes | msgspec.Raw | Mapping[str, Any]) -> Any:
    """The value of one object: the class of the model that the kind has; of a Namespace its labels (a mapping), of a
    RuntimeClass its overhead (amounts).

    Raises KeyError for a kind that is not read, msgspec.DecodeError for what is no JSON and msgspec.ValidationError (a
    DecodeError too) for what is not of that kind at all; never for an object that the API server admitted.
    """
    return _READERS[kind](raw)


def head(raw: bytes | msgspec.Raw | Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Namespace (empty for cluster-scoped kinds), name, UID and resourceVersion. Raises as `read` does."""
    metadata: Metadata = _HEAD(raw)
    return metadata.namespace, metadata.name, metadata.uid, metadata.resource_version
