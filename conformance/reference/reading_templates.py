"""Pod templates, as far as they decide about quota and places.

Rules: an init container that restarts always is a sidecar (KEP-753). Pod-level resources stand in for the sum of the
containers (KEP-2837); a pod-level limit without a request becomes the request unless a container asks for the resource.
Of the node affinity only what is required counts; its terms are alternatives, and a term that requires nothing matches
no node (Kubernetes, "Assigning Pods to Nodes"). A term that names nodes by field never matches either: the fields of a
node are no labels, and a group that waits is better than one that is placed where it may not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from conformance.reference.model import Container, Match, Template
from conformance.reference.reading_shapes import (
    NEVER,
    ExpressionShape,
    Problems,
    Quantities,
    Shape,
    TolerationShape,
    matches,
    quantities,
    tolerations,
)


class ResourcesShape(Shape):
    requests: Quantities | None = None
    limits: Quantities | None = None


class ContainerShape(Shape):
    name: str = ""
    resources: ResourcesShape | None = None
    restart_policy: str | None = None


class TermShape(Shape):
    match_expressions: list[ExpressionShape] | None = None
    match_fields: list[ExpressionShape] | None = None


class NodeSelectorShape(Shape):
    node_selector_terms: list[TermShape] | None = None


class NodeAffinityShape(Shape):
    required: NodeSelectorShape | None = msgspec.field(
        name="requiredDuringSchedulingIgnoredDuringExecution", default=None
    )


class AffinityShape(Shape):
    node_affinity: NodeAffinityShape | None = None


class PodSpecShape(Shape):
    containers: list[ContainerShape] | None = None
    init_containers: list[ContainerShape] | None = None
    resources: ResourcesShape | None = None
    overhead: Quantities | None = None
    runtime_class_name: str | None = None
    node_selector: dict[str, str] | None = None
    affinity: AffinityShape | None = None
    tolerations: list[TolerationShape] | None = None
    priority_class_name: str | None = None


class TemplateShape(Shape):
    spec: PodSpecShape = msgspec.field(default_factory=PodSpecShape)


def read_template(raw: Mapping[str, Any]) -> Template:
    """A pod template (`metadata` and `spec`) as a value; never raises: what is no template has a `problem`."""
    try:
        shape = msgspec.convert(raw, TemplateShape)
    except msgspec.ValidationError as error:
        return Template(problem=f"the pod template cannot be read: {error}")
    return template_of(shape.spec)


def template_of(spec: PodSpecShape) -> Template:
    """The template that a pod spec amounts to."""
    problems = Problems()
    containers = tuple(_container(c, problems) for c in spec.containers or ())
    init_containers = tuple(_container(c, problems) for c in spec.init_containers or ())
    return Template(
        containers=containers,
        init_containers=init_containers,
        pod_requests=_pod_requests(spec.resources, containers + init_containers, problems),
        overhead=quantities(spec.overhead, "overhead", problems),
        runtime_class=spec.runtime_class_name or "",
        selector=spec.node_selector or {},
        affinity=required_affinity(spec.affinity),
        tolerations=tolerations(spec.tolerations),
        priority_class=spec.priority_class_name or "",
        problem=problems.sentence,
    )


def _container(shape: ContainerShape, problems: Problems) -> Container:
    sidecar = shape.restart_policy == "Always"
    if shape.resources is None:
        return Container(sidecar=sidecar)
    return Container(
        requests=quantities(shape.resources.requests, f"requests of container {shape.name}", problems),
        limits=quantities(shape.resources.limits, f"limits of container {shape.name}", problems),
        sidecar=sidecar,
    )


def _pod_requests(
    shape: ResourcesShape | None, containers: tuple[Container, ...], problems: Problems
) -> dict[str, int]:
    if shape is None:
        return {}
    asked = {resource for container in containers for resource in (*container.requests, *container.limits)}
    limits = quantities(shape.limits, "limits of the pod", problems)
    standing_in = {resource: amount for resource, amount in limits.items() if resource not in asked}
    return {**standing_in, **quantities(shape.requests, "requests of the pod", problems)}


def required_affinity(shape: AffinityShape | None) -> tuple[tuple[Match, ...], ...]:
    """The alternatives of the required node affinity; empty if none is required."""
    required = shape.node_affinity.required if shape and shape.node_affinity else None
    if required is None:
        return ()
    terms = tuple(_term(term) for term in required.node_selector_terms or ())
    return terms or ((NEVER,),)


def _term(shape: TermShape) -> tuple[Match, ...]:
    if shape.match_fields or not shape.match_expressions:
        return (NEVER,)
    return matches(shape.match_expressions)
