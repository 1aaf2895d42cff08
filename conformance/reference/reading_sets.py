"""LeaderWorkerSets.

Rules: the defaults are those of the CRD (one replica, groups of one, no surge); a surge is a number of groups or a
percentage of the replicas. The templates stay raw, since every Workload carries them whole. Source: LeaderWorkerSet
`api/leaderworkerset/v1`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from conformance.reference.model import Set
from conformance.reference.reading_shapes import Metadata, Shape, annotations_of, labels_of, moment


class RollingUpdateShape(Shape):
    max_surge: int | str | None = None


class RolloutShape(Shape):
    rolling_update_configuration: RollingUpdateShape | None = None


class LeaderWorkerTemplateShape(Shape):
    leader_template: dict[str, Any] | None = None
    worker_template: dict[str, Any] = msgspec.field(default_factory=dict)
    size: int | None = None


class SetSpecShape(Shape):
    replicas: int | None = None
    leader_worker_template: LeaderWorkerTemplateShape = msgspec.field(default_factory=LeaderWorkerTemplateShape)
    rollout_strategy: RolloutShape | None = None


class SetStatusShape(Shape):
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0


class SetShape(Shape):
    metadata: Metadata
    spec: SetSpecShape = msgspec.field(default_factory=SetSpecShape)
    status: SetStatusShape = msgspec.field(default_factory=SetStatusShape)


def leader_worker_set(shape: SetShape) -> Set:
    metadata, spec, status = shape.metadata, shape.spec, shape.status
    group = spec.leader_worker_template
    rollout = spec.rollout_strategy and spec.rollout_strategy.rolling_update_configuration
    return Set(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        revision=metadata.resource_version,
        created=moment(metadata.creation_timestamp),
        deleted=metadata.deletion_timestamp is not None,
        replicas=1 if spec.replicas is None else spec.replicas,
        size=1 if group.size is None else group.size,
        max_surge=(rollout.max_surge if rollout else None) or 0,
        labels=labels_of(metadata),
        annotations=annotations_of(metadata),
        leader_template=group.leader_template,
        worker_template=group.worker_template,
        status_replicas=status.replicas,
        ready_replicas=status.ready_replicas,
        updated_replicas=status.updated_replicas,
    )
