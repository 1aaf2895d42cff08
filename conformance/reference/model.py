"""What the core knows of the cluster, as immutable values: the fields that decide, in the field's terms, no others.

Amounts are whole thousandths of a resource's unit (millicores, thousandths of a byte, of a device or of a pod), rounded
up as Kueue rounds them, so that every sum is exact. Times are seconds since the epoch. An object that the API admits
but that cannot be used carries a `problem`, a sentence; it must never stop the pass for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Amounts = Mapping[str, int]
"""Amounts by resource name, in thousandths."""
Key = tuple[str, str]
"""Namespace and name."""
GroupKey = tuple[str, str, int]
"""Namespace, name of the LeaderWorkerSet, index of the group."""
FlavorResource = tuple[str, str]
"""A flavor and a resource: what quota is given for."""
Usage = Mapping[FlavorResource, int]
Values = tuple[str, ...]
"""A topology domain: the values of the levels, from the highest to the lowest."""
StopPolicy = Literal["None", "Hold", "HoldAndDrain"]

NOTHING: Final[Mapping[Any, Any]] = {}


# Pod templates and what they ask for


@dataclass(frozen=True, slots=True)
class Container:
    """Requests and limits of one container; a sidecar is an init container that restarts always."""

    requests: Amounts = field(default_factory=dict)
    limits: Amounts = field(default_factory=dict)
    sidecar: bool = False


@dataclass(frozen=True, slots=True)
class Toleration:
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    seconds: int | None = None
    """`tolerationSeconds`: it decides nothing here, and must not be lost where the list is written again."""


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Match:
    """One requirement on labels: `operator` is In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """The part of a pod template that decides about quota and places."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    pod_requests: Amounts = field(default_factory=dict)
    """Pod-level requests (`spec.resources`): they stand in for the containers' sum."""
    overhead: Amounts = field(default_factory=dict)
    runtime_class: str = ""
    selector: Mapping[str, str] = field(default_factory=dict)
    affinity: tuple[tuple[Match, ...], ...] = ()
    """Required node affinity: one of the terms must hold, in it every requirement. Empty: none is asked for."""
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TopologyRequest:
    """What a podset asks of the topology: at most one of the three modes, slices, and a partner podset."""

    mode: Literal["required", "preferred", "unconstrained", ""] = ""
    level: str = ""
    """Node label of the level, for required and preferred."""
    group: str = ""
    """Podsets of one Workload with the same name here are placed together."""
    slices: tuple[tuple[str, int], ...] = ()
    """(level, size), from the coarsest layer to the finest."""
    index_label: str = ""


@dataclass(frozen=True, slots=True)
class PodSet:
    """Pods of one Workload that have one template: `leader`, `worker` or `main`."""

    name: str
    count: int
    template: Template = field(default_factory=Template)
    topology: TopologyRequest | None = None
    index_offset: int = 0
    """The index of the first pod: annotation `pod-index-offset` of the template."""


# Workloads


@dataclass(frozen=True, slots=True)
class Condition:
    status: bool
    """Whether it is True."""
    reason: str = ""
    message: str = ""
    since: float = 0.0
    """Its `lastTransitionTime`, whole seconds."""
    generation: int = 0
    unknown: bool = False
    """Whether it is Unknown rather than False: nothing here goes by it, but others may have written it."""


@dataclass(frozen=True, slots=True)
class TopologyAssignment:
    levels: tuple[str, ...]
    domains: tuple[tuple[Values, int], ...]
    """Domains in the order in which ranks fill them, with their numbers of pods."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one podset was given."""

    podset: str
    count: int
    flavors: Mapping[str, str] = field(default_factory=dict)
    """Flavor by resource."""
    usage: Amounts = field(default_factory=dict)
    """Of all pods together."""
    topology: TopologyAssignment | None = None
    delayed: str = ""
    """`delayedTopologyRequest`: Pending or Ready; empty where the topology is not chosen after the checks."""


@dataclass(frozen=True, slots=True)
class Admission:
    cluster_queue: str
    podsets: tuple[Assignment, ...]

    def usage(self) -> dict[FlavorResource, int]:
        """Everything that it takes, per flavor and resource."""
        total: dict[FlavorResource, int] = {}
        for podset in self.podsets:
            for resource, amount in podset.usage.items():
                if resource in podset.flavors:
                    key = (podset.flavors[resource], resource)
                    total[key] = total.get(key, 0) + amount
        return total


@dataclass(frozen=True, slots=True)
class CheckState:
    """One entry of `status.admissionChecks`; `raw` is the entry as it was read."""

    name: str
    state: Literal["Pending", "Ready", "Retry", "Rejected"]
    since: float = 0.0
    message: str = ""
    requeue_after: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """One group's claim on a queue. `revision` is the resourceVersion on which every decision about it rests."""

    namespace: str
    name: str
    uid: str = ""
    revision: str = ""
    generation: int = 0
    created: float = 0.0
    deleted: bool = False
    finalized: bool = False
    """Whether it carries the finalizer `resource-in-use`."""
    finalizers: tuple[str, ...] = ()
    owner: str = ""
    """UID of the LeaderWorkerSet that owns it; empty for a Workload that somebody made by hand."""
    set_name: str = ""
    """Name of that LeaderWorkerSet, from the Workload's own annotation: it is known when the set is gone."""
    group: int | None = None
    """Index of the group."""
    queue: str = ""
    priority: int = 0
    priority_class: tuple[str, str] = ("", "")
    """API group and name of the class that the priority came from."""
    active: bool = True
    max_seconds: int | None = None
    gated_by: tuple[str, ...] = ()
    podsets: tuple[PodSet, ...] = ()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    admission: Admission | None = None
    checks: tuple[CheckState, ...] = ()
    requeues: int = 0
    requeue_at: float | None = None
    unhealthy: tuple[str, ...] = ()
    executed_seconds: int = 0
    problem: str = ""

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def group_key(self) -> GroupKey | None:
        """The group whose pods it stands for; None for a Workload that somebody made by hand."""
        return None if self.group is None or not self.set_name else (self.namespace, self.set_name, self.group)

    def true(self, condition: str) -> bool:
        """Whether the condition is there and True."""
        found = self.conditions.get(condition)
        return found is not None and found.status

    @property
    def reserves(self) -> bool:
        """Whether it counts against quota and places: from reservation to release, whatever its pods do."""
        return self.admission is not None and self.true("QuotaReserved") and not self.true("Finished")

    @property
    def admitted(self) -> bool:
        return self.reserves and self.true("Admitted")

    @property
    def evicted(self) -> bool:
        """Whether it is being evicted: told to go, and still holding its reservation or waiting to be requeued."""
        return self.true("Evicted")


# LeaderWorkerSets and pods


@dataclass(frozen=True, slots=True)
class Set:
    """A LeaderWorkerSet. The templates are raw, since Workloads carry them whole."""

    namespace: str
    name: str
    uid: str = ""
    revision: str = ""
    created: float = 0.0
    deleted: bool = False
    replicas: int = 1
    size: int = 1
    max_surge: int | str = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    leader_template: Mapping[str, Any] | None = None
    worker_template: Mapping[str, Any] = field(default_factory=dict)
    status_replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0

    @property
    def key(self) -> Key:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod: of a managed group if `suspended` (it was born with LeaderWorkerSet as its suspending parent)."""

    namespace: str
    name: str
    uid: str = ""
    revision: str = ""
    created: float = 0.0
    deleted: bool = False
    gone_by: float | None = None
    """When a terminating pod should be gone: `deletionTimestamp`, which has the grace period in it."""
    finished: bool = False
    """Phase Succeeded or Failed."""
    ready: bool = False
    node: str = ""
    gates: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    requests: Amounts = field(default_factory=dict)
    """Including one of `pods`."""
    suspended: bool = False
    set_name: str = ""
    group: int | None = None
    worker: int | None = None
    """Index in the group; 0 is the leader."""
    is_leader: bool = False
    """By the absence of the annotation `leader-name`."""

    @property
    def key(self) -> Key:
        return self.namespace, self.name


# The cluster's administration


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Amounts = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    ready: bool = True
    unschedulable: bool = False


@dataclass(frozen=True, slots=True)
class Flavor:
    name: str
    node_labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    topology: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quota:
    """Quota of one flavor and resource; a limit that is not set is None."""

    nominal: int
    borrowing_limit: int | None = None
    lending_limit: int | None = None


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    resources: tuple[str, ...]
    flavors: tuple[str, ...]
    """In the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector; one without requirements selects everything."""

    matches: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Preemption:
    within_queue: Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"] = "Never"
    reclaim: Literal["Never", "LowerPriority", "Any"] = "Never"
    borrow_within_cohort: bool = False
    """`borrowWithinCohort.policy: LowerPriority`."""
    max_priority: int | None = None
    """`borrowWithinCohort.maxPriorityThreshold`."""


@dataclass(frozen=True, slots=True)
class Fungibility:
    stop_when_borrowing: bool = True
    """`whenCanBorrow: MayStopSearch`."""
    stop_when_preempting: bool = False
    """`whenCanPreempt: MayStopSearch`."""
    prefer_preemption: bool = False
    """`preference: PreemptionOverBorrowing`."""


@dataclass(frozen=True, slots=True)
class CheckRule:
    """An admission check of a queue; of all flavors where `flavors` is empty."""

    name: str
    flavors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ClusterQueue:
    name: str
    uid: str = ""
    revision: str = ""
    generation: int = 0
    deleted: bool = False
    cohort: str = ""
    groups: tuple[ResourceGroup, ...] = ()
    quotas: Mapping[FlavorResource, Quota] = field(default_factory=dict)
    strict: bool = False
    """StrictFIFO; else BestEffortFIFO."""
    namespaces: Selector | None = None
    """None selects no namespace."""
    stop: StopPolicy = "None"
    preemption: Preemption = Preemption()
    fungibility: Fungibility = Fungibility()
    checks: tuple[CheckRule, ...] = ()
    status: Mapping[str, Any] = field(default_factory=dict)
    """As it was read."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Cohort:
    name: str
    parent: str = ""
    quotas: Mapping[FlavorResource, Quota] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LocalQueue:
    namespace: str
    name: str
    uid: str = ""
    revision: str = ""
    generation: int = 0
    deleted: bool = False
    cluster_queue: str = ""
    stop: StopPolicy = "None"
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class AdmissionCheck:
    name: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A WorkloadPriorityClass or a PriorityClass; `default` is the latter's `globalDefault`."""

    name: str
    value: int
    default: bool = False


@dataclass(frozen=True, slots=True)
class LimitRange:
    """The `Container` items of a LimitRange."""

    namespace: str
    name: str
    default_requests: Amounts = field(default_factory=dict)
    default_limits: Amounts = field(default_factory=dict)
    maximum: Amounts = field(default_factory=dict)
    minimum: Amounts = field(default_factory=dict)


# Everything together


@dataclass(frozen=True)
class Snapshot:
    """One consistent state of everything, as far as one instance manages it. Nobody changes it during a pass."""

    sets: Mapping[Key, Set] = field(default_factory=dict)
    workloads: Mapping[Key, Workload] = field(default_factory=dict)
    owned: Mapping[str, frozenset[Key]] = field(default_factory=dict)
    """The Workloads that each LeaderWorkerSet owns, by its UID."""
    pods: Mapping[GroupKey, Mapping[Key, Pod]] = field(default_factory=dict)
    """Pods with `suspended`, by their group; terminating and finished ones too."""
    foreign: Mapping[str, Amounts] = field(default_factory=dict)
    """What bound, unfinished pods without `suspended` take of each node, `pods` included."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    places_version: int = 0
    """Changes whenever `nodes`, `foreign`, a flavor or a topology changes: what is derived of them may be kept."""
    cluster_queues: Mapping[str, ClusterQueue] = field(default_factory=dict)
    cohorts: Mapping[str, Cohort] = field(default_factory=dict)
    local_queues: Mapping[Key, LocalQueue] = field(default_factory=dict)
    flavors: Mapping[str, Flavor] = field(default_factory=dict)
    topologies: Mapping[str, Topology] = field(default_factory=dict)
    checks: Mapping[str, AdmissionCheck] = field(default_factory=dict)
    workload_priorities: Mapping[str, PriorityClass] = field(default_factory=dict)
    pod_priorities: Mapping[str, PriorityClass] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of each namespace."""
    limit_ranges: Mapping[Key, LimitRange] = field(default_factory=dict)
    overheads: Mapping[str, Amounts] = field(default_factory=dict)
    """Of each RuntimeClass."""


@dataclass(frozen=True, slots=True)
class PodsReadyRules:
    """`waitForPodsReady`: seconds, and what happens after them."""

    enabled: bool = True
    timeout: float = 1800.0
    recovery_timeout: float | None = 1800.0
    block_admission: bool = False
    by_eviction_time: bool = True
    """`requeuingStrategy.timestamp: Eviction`."""
    backoff_base: float = 60.0
    backoff_max: float = 3600.0
    backoff_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about decisions."""

    pods_ready: PodsReadyRules = PodsReadyRules()
    manage_without_queue: bool = False
    """`manageJobsWithoutQueueName`."""
    managed_namespaces: Selector | None = None
    """`managedJobsNamespaceSelector`; None: every namespace."""
    excluded_prefixes: tuple[str, ...] = ()
    """`resources.excludeResourcePrefixes`."""
