"""What one pod of a podset asks for.

The rule (Kueue docs, concepts/workload, "Resource requests"; spec §1.4): RuntimeClass overhead is added, LimitRange
defaults fill what a container leaves out, a limit without a request becomes the request. Then the kube rule: the
larger of what runs together (containers and sidecars) and of the largest init step (KEP-753), pod-level requests in
place of the containers' sum (KEP-2837), plus overhead (KEP-688).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from conformance.reference.model import Amounts, Container, LimitRange, PodSet, Snapshot, Template


def raw(template: Template) -> dict[str, int]:
    """What one pod of this template asks for by the template alone, in thousandths, without one of `pods`."""
    return _per_pod(_each(template, limits_stand_in))


def of_podset(snapshot: Snapshot, namespace: str, podset: PodSet) -> tuple[dict[str, int], str]:
    """What one pod of the podset asks for in that namespace, in thousandths, and why no such pod could ever run.

    The second is a sentence, empty where nothing is wrong: Kueue keeps such a Workload inadmissible, since the API
    server would refuse its pods (docs, concepts/workload).
    """
    ranges = _of_namespace(snapshot.limit_ranges.values(), namespace) if snapshot.limit_ranges else _NO_LIMITS
    template = _completed(podset.template, ranges, snapshot.overheads)
    return _per_pod(template), template.problem or _refusal(template, ranges, podset.name)


def completed(template: Template, ranges: Iterable[LimitRange], overheads: Mapping[str, Amounts]) -> Template:
    """The template as its pods will be: with what the LimitRanges of a namespace and its RuntimeClass add to it."""
    return _completed(template, _merged(ranges), overheads)


def _completed(template: Template, limits: _Limits, overheads: Mapping[str, Amounts]) -> Template:
    if not template.overhead and template.runtime_class:
        template = replace(template, overhead=overheads.get(template.runtime_class, {}))
    # In the documented order. The API server itself puts limits in place of requests before its LimitRanger runs, so a
    # container with only a limit where a LimitRange has a default request asks for more than Kueue charges for it.
    return _each(template, lambda container: limits_stand_in(defaulted(container, limits)))


def limits_stand_in(container: Container) -> Container:
    """The container as it asks once a limit without a request has become the request."""
    if all(resource in container.requests for resource in container.limits):
        return container
    return replace(container, requests={**container.limits, **container.requests})


def running_together(template: Template) -> dict[str, int]:
    """What the containers and the sidecars ask for while the pod runs."""
    sidecars = (container for container in template.init_containers if container.sidecar)
    return _sum(container.requests for container in (*template.containers, *sidecars))


def largest_init_step(template: Template) -> dict[str, int]:
    """Per resource the most that a moment of initialisation takes: one init container beside the sidecars before it."""
    started: dict[str, int] = {}
    largest: dict[str, int] = {}
    for container in template.init_containers:
        step = _sum((started, container.requests))
        if container.sidecar:
            started = step
        _raise(largest, step)
    return largest


def _per_pod(template: Template) -> dict[str, int]:
    asked = running_together(template)
    if template.init_containers:
        _raise(asked, largest_init_step(template))
    asked.update(template.pod_requests)
    return _sum((asked, template.overhead)) if template.overhead else asked


def _each(template: Template, change: Callable[[Container], Container]) -> Template:
    return replace(
        template,
        containers=tuple(map(change, template.containers)),
        init_containers=tuple(map(change, template.init_containers)),
    )


def _sum(parts: Iterable[Amounts]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for resource, amount in part.items():
            total[resource] = total.get(resource, 0) + amount
    return total


def _raise(highest: dict[str, int], amounts: Amounts) -> None:
    for resource, amount in amounts.items():
        if amount > highest.get(resource, -1):
            highest[resource] = amount


# LimitRanges


@dataclass(frozen=True, slots=True)
class _Limits:
    """All LimitRanges of one namespace together: the strictest bounds, the first defaults."""

    default_requests: Mapping[str, int] = field(default_factory=dict)
    default_limits: Mapping[str, int] = field(default_factory=dict)
    maximum: Mapping[str, int] = field(default_factory=dict)
    minimum: Mapping[str, int] = field(default_factory=dict)


_NO_LIMITS: Final = _Limits()


def _of_namespace(ranges: Iterable[LimitRange], namespace: str) -> _Limits:
    return _merged(found for found in ranges if found.namespace == namespace)


def _merged(ranges: Iterable[LimitRange]) -> _Limits:
    here = sorted(ranges, key=lambda found: found.name)
    if not here:
        return _NO_LIMITS
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    maximum: dict[str, int] = {}
    minimum: dict[str, int] = {}
    for found in here:
        requests = {**found.default_requests, **requests}
        limits = {**found.default_limits, **limits}
        for resource, amount in found.maximum.items():
            maximum[resource] = min(amount, maximum.get(resource, amount))
        _raise(minimum, found.minimum)
    return _Limits(requests, limits, maximum, minimum)


def defaulted(container: Container, limits: _Limits) -> Container:
    """The container with the LimitRange's defaults in place of what it leaves out."""
    if limits is _NO_LIMITS:
        return container
    return replace(
        container,
        requests={**limits.default_requests, **container.requests},
        limits={**limits.default_limits, **container.limits},
    )


def _refusal(template: Template, limits: _Limits, podset: str) -> str:
    """Why the API server would refuse such a pod, or nothing."""
    for container in (*template.init_containers, *template.containers):
        for resource, amount in container.requests.items():
            if amount > container.limits.get(resource, amount):
                return f"resources validation failed: podset {podset}: {resource}: requests must not exceed its limits"
        if refused := _outside(container, limits):
            return f"resources didn't satisfy LimitRange constraints: podset {podset}: {refused}"
    return ""


def _outside(container: Container, limits: _Limits) -> str:
    for resource, most in limits.maximum.items():
        if max(container.requests.get(resource, 0), container.limits.get(resource, 0)) > most:
            return f"{resource}: requests must not be above the limitRange max"
    for resource, least in limits.minimum.items():
        asked = [part[resource] for part in (container.requests, container.limits) if resource in part]
        if min(asked, default=0) < least:
            return f"{resource}: requests must not be below the limitRange min"
    return ""
