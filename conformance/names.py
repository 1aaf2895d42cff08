"""Label keys, annotation keys, gates and resource kinds: each is written down here and nowhere else.

Sources: Kueue `apis/` and `pkg/controller/constants`, LeaderWorkerSet `api/leaderworkerset/v1`. Note the two domains of
LeaderWorkerSet: its API group is `leaderworkerset.x-k8s.io`, its labels are under `leaderworkerset.sigs.k8s.io`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KUEUE: Final = "kueue.x-k8s.io"
QUEUE_NAME: Final = f"{KUEUE}/queue-name"
PRIORITY_CLASS: Final = f"{KUEUE}/priority-class"
ADMISSION_GATE: Final = f"{KUEUE}/admission"
TOPOLOGY_GATE: Final = f"{KUEUE}/topology"
OUR_GATES: Final = (ADMISSION_GATE, TOPOLOGY_GATE)
"""The scheduling gates that queueing puts on a pod and takes off it."""
REQUIRED_TOPOLOGY: Final = f"{KUEUE}/podset-required-topology"
PODSET_GROUP_NAME: Final = f"{KUEUE}/podset-group-name"
GROUP_INDEX_OF_WORKLOAD: Final = f"{KUEUE}/component-workload-index"
POD_GROUP_NAME: Final = f"{KUEUE}/pod-group-name"
PREFERRED_TOPOLOGY: Final = f"{KUEUE}/podset-preferred-topology"
UNCONSTRAINED_TOPOLOGY: Final = f"{KUEUE}/podset-unconstrained-topology"
SLICE_TOPOLOGY: Final = f"{KUEUE}/podset-slice-required-topology"
SLICE_SIZE: Final = f"{KUEUE}/podset-slice-size"
SLICE_CONSTRAINTS: Final = f"{KUEUE}/podset-slice-required-topology-constraints"
MANAGED: Final = f"{KUEUE}/managed"
PREBUILT_WORKLOAD: Final = f"{KUEUE}/prebuilt-workload-name"
POD_GROUP_TOTAL_COUNT: Final = f"{KUEUE}/pod-group-total-count"
ROLE_HASH: Final = f"{KUEUE}/role-hash"
PODSET: Final = f"{KUEUE}/podset"
LOCAL_QUEUE_NAME: Final = f"{KUEUE}/local-queue-name"
CLUSTER_QUEUE_NAME: Final = f"{KUEUE}/cluster-queue-name"
WORKLOAD: Final = f"{KUEUE}/workload"
SUSPENDING_PARENT: Final = f"{KUEUE}/pod-suspending-parent"
LWS_FRAMEWORK: Final = "leaderworkerset.x-k8s.io/leaderworkerset"
"""The value of `SUSPENDING_PARENT` on the pods of a managed LeaderWorkerSet."""
GROUP_SERVING: Final = f"{KUEUE}/pod-group-serving"
INDEX_OFFSET: Final = f"{KUEUE}/pod-index-offset"
IS_GROUP_WORKLOAD: Final = f"{KUEUE}/is-group-workload"
JOB_UID: Final = f"{KUEUE}/job-uid"
JOB_OWNER_GVK: Final = f"{KUEUE}/job-owner-gvk"
JOB_OWNER_NAME: Final = f"{KUEUE}/job-owner-name"
MAX_EXEC_TIME: Final = f"{KUEUE}/max-exec-time-seconds"
GATED_BY: Final = f"{KUEUE}/admission-gated-by"
ELASTIC_JOB: Final = f"{KUEUE}/elastic-job"
RESOURCE_IN_USE: Final = f"{KUEUE}/resource-in-use"
"""Finalizer of a Workload: its quota may still be in use."""
MULTIKUEUE_ORIGIN: Final = f"{KUEUE}/multikueue-origin"
MULTIKUEUE_ORIGIN_UID: Final = f"{KUEUE}/multikueue-origin-uid"

LWS_DOMAIN: Final = "leaderworkerset.sigs.k8s.io"
SET_NAME: Final = f"{LWS_DOMAIN}/name"
GROUP_INDEX: Final = f"{LWS_DOMAIN}/group-index"
WORKER_INDEX: Final = f"{LWS_DOMAIN}/worker-index"
REVISION: Final = f"{LWS_DOMAIN}/template-revision-hash"
LEADER_NAME: Final = f"{LWS_DOMAIN}/leader-name"
"""Annotation that only workers of a group carry."""
GROUP_SIZE: Final = f"{LWS_DOMAIN}/size"
CONTROLLER_REVISION: Final = "controller-revision-hash"
"""On a StatefulSet's pods: the StatefulSet's own revision that they were made from."""

BLOCK: Final = "cloud.provider.com/topology-block"
RACK: Final = "cloud.provider.com/topology-rack"
HOSTNAME: Final = "kubernetes.io/hostname"
GPU: Final = "nvidia.com/gpu"

OURS: Final = "conformance.kueue-lws.dev"
RUN_LABEL: Final = f"{OURS}/run"
STORY_LABEL: Final = f"{OURS}/story"
TENANT_LABEL: Final = f"{OURS}/tenant"
"""On the tenant's namespace, nodes and cluster-scoped objects; its value is the namespace's name. Also a taint key."""
SCOPE_LABEL: Final = f"{OURS}/scope"
"""On namespaces, queues, cohorts, flavors, topologies, checks: which instance of the reference manages them."""
CANARY_TAINT: Final = f"{OURS}/canary"
SPOILT_TAINT: Final = f"{OURS}/spoilt"
"""A taint that no flavor and no pod tolerates, unless a story says so."""
HOLD_NOT_READY: Final = f"{OURS}/hold-not-ready"
"""Annotation read by our KWOK stages: a node held NotReady, or a pod that never becomes Ready."""
HOLD_TERMINATING: Final = f"{OURS}/hold-terminating"
"""Annotation read by our KWOK stages: a deleted pod stays Terminating until the annotation is removed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One API resource that the suite reads or writes."""

    name: str
    group: str
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The request path; without a namespace, that of all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = (f"/{name}" if name else "") + (f"/{subresource}" if subresource else "")
        return f"{root}{inside}/{self.plural}{tail}"


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("LeaderWorkerSet", "leaderworkerset.x-k8s.io", "v1", "leaderworkersets", True),
        Kind("Workload", KUEUE, "v1beta2", "workloads", True),
        Kind("Pod", "", "v1", "pods", True),
        Kind("StatefulSet", "apps", "v1", "statefulsets", True),
        Kind("ControllerRevision", "apps", "v1", "controllerrevisions", True),
        Kind("Service", "", "v1", "services", True),
        Kind("LocalQueue", KUEUE, "v1beta2", "localqueues", True),
        Kind("Event", "events.k8s.io", "v1", "events", True),
        Kind("Node", "", "v1", "nodes", False),
        Kind("ClusterQueue", KUEUE, "v1beta2", "clusterqueues", False),
        Kind("Cohort", KUEUE, "v1beta2", "cohorts", False),
        Kind("ResourceFlavor", KUEUE, "v1beta2", "resourceflavors", False),
        Kind("Topology", KUEUE, "v1beta2", "topologies", False),
        Kind("AdmissionCheck", KUEUE, "v1beta2", "admissionchecks", False),
        Kind("WorkloadPriorityClass", KUEUE, "v1beta2", "workloadpriorityclasses", False),
        Kind("Namespace", "", "v1", "namespaces", False),
        Kind("Secret", "", "v1", "secrets", True),
        Kind("ServiceAccount", "", "v1", "serviceaccounts", True),
        Kind("PriorityClass", "scheduling.k8s.io", "v1", "priorityclasses", False),
        Kind("LimitRange", "", "v1", "limitranges", True),
        Kind("RuntimeClass", "node.k8s.io", "v1", "runtimeclasses", False),
    )
}

RECORDED: Final[tuple[str, ...]] = (
    "LeaderWorkerSet", "Workload", "Pod", "StatefulSet", "ControllerRevision", "Service", "LocalQueue", "Event",
    "Node", "ClusterQueue", "Cohort", "ResourceFlavor", "Topology", "AdmissionCheck",
)  # fmt: skip
"""The kinds that the recorder lists and watches, in the order in which reports show them."""
