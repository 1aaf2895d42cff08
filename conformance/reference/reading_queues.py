"""What a cluster's administrators set up for queueing: queues, cohorts, flavors, topologies, checks.

Rules: the Kueue API v1beta2 with the defaults of its CRDs. What Kueue's webhooks refuse and the CRDs let through is a
`problem` of the queue or cohort here: a resource or flavor in two resource groups, quotas that are not those of the
covered resources, negative amounts, a lending limit above the nominal quota, a limit without anybody to borrow from.
Source: Kueue `apis/kueue/v1beta2`, `config/components/crd`, docs "Cluster Queue" and "Cohort".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from conformance.reference.model import (
    AdmissionCheck,
    CheckRule,
    ClusterQueue,
    Cohort,
    Flavor,
    FlavorResource,
    Fungibility,
    LocalQueue,
    Preemption,
    Quota,
    ResourceGroup,
    StopPolicy,
    Topology,
)
from conformance.reference.reading_shapes import (
    ConditionShape,
    Metadata,
    Problems,
    SelectorShape,
    Shape,
    TaintShape,
    TolerationShape,
    is_true,
    quantity,
    selector,
    taints,
    tolerations,
)


class ResourceQuotaShape(Shape):
    name: str
    nominal_quota: str | int | float = 0
    borrowing_limit: str | int | float | None = None
    lending_limit: str | int | float | None = None


class FlavorQuotasShape(Shape):
    name: str
    resources: list[ResourceQuotaShape] | None = None


class ResourceGroupShape(Shape):
    covered_resources: list[str] | None = None
    flavors: list[FlavorQuotasShape] | None = None


class BorrowWithinCohortShape(Shape):
    policy: str = "Never"
    max_priority_threshold: int | None = None


class PreemptionShape(Shape):
    reclaim_within_cohort: Literal["Never", "LowerPriority", "Any"] = "Never"
    within_cluster_queue: Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"] = "Never"
    borrow_within_cohort: BorrowWithinCohortShape | None = None


class FungibilityShape(Shape):
    when_can_borrow: str = "MayStopSearch"
    when_can_preempt: str = "TryNextFlavor"
    preference: str | None = None


class CheckRuleShape(Shape):
    name: str
    on_flavors: list[str] | None = None


class ChecksStrategyShape(Shape):
    admission_checks: list[CheckRuleShape] | None = None


class ClusterQueueSpecShape(Shape):
    resource_groups: list[ResourceGroupShape] | None = None
    cohort_name: str = ""
    queueing_strategy: str = "BestEffortFIFO"
    namespace_selector: SelectorShape | None = None
    flavor_fungibility: FungibilityShape | None = None
    preemption: PreemptionShape | None = None
    admission_checks_strategy: ChecksStrategyShape | None = None
    stop_policy: StopPolicy | None = None


class ClusterQueueShape(Shape):
    metadata: Metadata
    spec: ClusterQueueSpecShape = msgspec.field(default_factory=ClusterQueueSpecShape)
    status: dict[str, Any] | None = None


def cluster_queue(shape: ClusterQueueShape) -> ClusterQueue:
    metadata, spec = shape.metadata, shape.spec
    problems = Problems()
    groups, quotas = resource_groups(spec.resource_groups, problems, has_parent=bool(spec.cohort_name), may_lend=False)
    flavors = {flavor for group in groups for flavor in group.flavors}
    return ClusterQueue(
        name=metadata.name,
        uid=metadata.uid,
        revision=metadata.resource_version,
        generation=metadata.generation,
        deleted=metadata.deletion_timestamp is not None,
        cohort=spec.cohort_name,
        groups=groups,
        quotas=quotas,
        strict=spec.queueing_strategy == "StrictFIFO",
        namespaces=selector(spec.namespace_selector),
        stop=spec.stop_policy or "None",
        preemption=_preemption(spec.preemption),
        fungibility=_fungibility(spec.flavor_fungibility),
        checks=_checks(spec.admission_checks_strategy, flavors, problems),
        status=shape.status or {},
        problem=problems.sentence,
    )


def resource_groups(
    shapes: Sequence[ResourceGroupShape] | None, problems: Problems, *, has_parent: bool, may_lend: bool
) -> tuple[tuple[ResourceGroup, ...], dict[FlavorResource, Quota]]:
    """The groups and all quotas; `may_lend`: whether more than the nominal quota may be lent (a cohort's may)."""
    groups: list[ResourceGroup] = []
    quotas: dict[FlavorResource, Quota] = {}
    resources_seen: set[str] = set()
    flavors_seen: set[str] = set()
    for shape in shapes or ():
        resources = tuple(shape.covered_resources or ())
        flavors = tuple(flavor.name for flavor in shape.flavors or ())
        for resource in resources:
            if resource in resources_seen:
                problems.note(f"resource {resource} is covered twice")
            resources_seen.add(resource)
        for flavor in shape.flavors or ():
            if flavor.name in flavors_seen:
                problems.note(f"flavor {flavor.name} is in more than one resource group")
            flavors_seen.add(flavor.name)
            if tuple(quota.name for quota in flavor.resources or ()) != resources:
                problems.note(f"the resources of flavor {flavor.name} are not the covered resources in their order")
            for quota in flavor.resources or ():
                where = f"quota of {quota.name} in flavor {flavor.name}"
                read = _quota(quota, where, problems, has_parent=has_parent, may_lend=may_lend)
                quotas[flavor.name, quota.name] = read
        groups.append(ResourceGroup(resources, flavors))
    return tuple(groups), quotas


def _quota(shape: ResourceQuotaShape, where: str, problems: Problems, *, has_parent: bool, may_lend: bool) -> Quota:
    nominal = quantity(shape.nominal_quota, where, problems)
    borrowing = _limit(shape.borrowing_limit, f"borrowing limit for {where}", problems, has_parent=has_parent)
    lending = _limit(shape.lending_limit, f"lending limit for {where}", problems, has_parent=has_parent)
    if nominal < 0:
        problems.note(f"{where} is negative")
    if lending is not None and lending > nominal and not may_lend:
        problems.note(f"lending limit for {where} is above the quota")
    return Quota(max(0, nominal), borrowing, lending)


def _limit(text: str | int | float | None, where: str, problems: Problems, *, has_parent: bool) -> int | None:
    if text is None:
        return None
    if not has_parent:
        problems.note(f"{where} without a cohort")
    limit = quantity(text, where, problems)
    if limit < 0:
        problems.note(f"{where} is negative")
    return max(0, limit)


def _preemption(shape: PreemptionShape | None) -> Preemption:
    if shape is None:
        return Preemption()
    borrowing = shape.borrow_within_cohort
    lower = borrowing is not None and borrowing.policy == "LowerPriority"
    return Preemption(
        within_queue=shape.within_cluster_queue,
        reclaim=shape.reclaim_within_cohort,
        borrow_within_cohort=lower,
        max_priority=borrowing.max_priority_threshold if borrowing and lower else None,
    )


def _fungibility(shape: FungibilityShape | None) -> Fungibility:
    if shape is None:
        return Fungibility()
    return Fungibility(
        stop_when_borrowing=shape.when_can_borrow == "MayStopSearch",
        stop_when_preempting=shape.when_can_preempt == "MayStopSearch",
        prefer_preemption=shape.preference == "PreemptionOverBorrowing",
    )


def _checks(shape: ChecksStrategyShape | None, flavors: set[str], problems: Problems) -> tuple[CheckRule, ...]:
    rules: list[CheckRule] = []
    for rule in (shape.admission_checks if shape else None) or ():
        on_flavors = frozenset(rule.on_flavors or ())
        for flavor in sorted(on_flavors - flavors):
            problems.note(f"admission check {rule.name} is for flavor {flavor}, which the queue does not have")
        rules.append(CheckRule(rule.name, on_flavors))
    return tuple(rules)


class CohortSpecShape(Shape):
    parent_name: str = ""
    resource_groups: list[ResourceGroupShape] | None = None


class CohortShape(Shape):
    metadata: Metadata
    spec: CohortSpecShape = msgspec.field(default_factory=CohortSpecShape)


def cohort(shape: CohortShape) -> Cohort:
    spec, problems = shape.spec, Problems()
    _, quotas = resource_groups(spec.resource_groups, problems, has_parent=bool(spec.parent_name), may_lend=True)
    return Cohort(shape.metadata.name, spec.parent_name, quotas, problems.sentence)


class LocalQueueSpecShape(Shape):
    cluster_queue: str = ""
    stop_policy: StopPolicy | None = None


class LocalQueueShape(Shape):
    metadata: Metadata
    spec: LocalQueueSpecShape = msgspec.field(default_factory=LocalQueueSpecShape)
    status: dict[str, Any] | None = None


def local_queue(shape: LocalQueueShape) -> LocalQueue:
    metadata = shape.metadata
    return LocalQueue(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        revision=metadata.resource_version,
        generation=metadata.generation,
        deleted=metadata.deletion_timestamp is not None,
        cluster_queue=shape.spec.cluster_queue,
        stop=shape.spec.stop_policy or "None",
        status=shape.status or {},
    )


class FlavorSpecShape(Shape):
    node_labels: dict[str, str] | None = None
    node_taints: list[TaintShape] | None = None
    tolerations: list[TolerationShape] | None = None
    topology_name: str | None = None


class FlavorShape(Shape):
    metadata: Metadata
    spec: FlavorSpecShape = msgspec.field(default_factory=FlavorSpecShape)


def flavor(shape: FlavorShape) -> Flavor:
    spec = shape.spec
    return Flavor(
        name=shape.metadata.name,
        node_labels=spec.node_labels or {},
        taints=taints(spec.node_taints),
        tolerations=tolerations(spec.tolerations),
        topology=spec.topology_name or "",
    )


class LevelShape(Shape):
    node_label: str = ""


class TopologySpecShape(Shape):
    levels: list[LevelShape] | None = None


class TopologyShape(Shape):
    metadata: Metadata
    spec: TopologySpecShape = msgspec.field(default_factory=TopologySpecShape)


def topology(shape: TopologyShape) -> Topology:
    return Topology(shape.metadata.name, tuple(level.node_label for level in shape.spec.levels or ()))


class AdmissionCheckStatusShape(Shape):
    conditions: list[ConditionShape] | None = None


class AdmissionCheckShape(Shape):
    metadata: Metadata
    status: AdmissionCheckStatusShape = msgspec.field(default_factory=AdmissionCheckStatusShape)


def admission_check(shape: AdmissionCheckShape) -> AdmissionCheck:
    """It is active once its controller says so."""
    return AdmissionCheck(shape.metadata.name, is_true(shape.status.conditions, "Active"))
