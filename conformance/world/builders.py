"""Complete, readable objects for stories: LeaderWorkerSets, queues, flavors, topologies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from conformance import manifest_files
from conformance.names import (
    BLOCK,
    CANARY_TAINT,
    GPU,
    HOLD_NOT_READY,
    HOSTNAME,
    KUEUE,
    PODSET_GROUP_NAME,
    PREFERRED_TOPOLOGY,
    PRIORITY_CLASS,
    QUEUE_NAME,
    RACK,
    REQUIRED_TOPOLOGY,
    SLICE_SIZE,
    SLICE_TOPOLOGY,
    TENANT_LABEL,
)
from conformance.trace.records import Object
from conformance.world.requests import Requests
from conformance.world.rules import NO_LIMITS, PLAIN, Limits, QueueRules

IMAGE, NEW_IMAGE = "registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10.1"
"""Never pulled on fake nodes; real images, so that the same objects run on real kubelets."""
NOTHING = Requests()
LEADER = Requests(cpu=100)
WORKER = Requests(cpu=200)
"""What the pods of the page's first sample ask for, and those of a set of which the story says nothing else."""


@dataclass(frozen=True)
class SetSpec:
    """A LeaderWorkerSet as a story writes it: the object, and what one of its groups asks for."""

    object: Object
    group: Requests

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    def but(self, **metadata: dict[str, str] | None) -> SetSpec:
        """The same with other `labels` or `annotations` on the LeaderWorkerSet; None removes them."""
        changed = {key: val for key, val in (self.object["metadata"] | metadata).items() if val is not None}
        return replace(self, object=self.object | {"metadata": changed})

    def with_pods(self, role: str, **spec: Any) -> SetSpec:
        """The same with these fields in the spec of its `leader` or `worker` pods; None removes one.

        Raises ValueError for the leader of a set without a leader template.
        """
        template = self.object["spec"]["leaderWorkerTemplate"].get(f"{role}Template")
        if template is None:
            raise ValueError(f"{self.name} has no {role} template; give it one")
        pods = {key: val for key, val in (template["spec"] | spec).items() if val is not None}
        return self._with_template(role, template | {"spec": pods})

    def _with_template(self, role: str, template: Object) -> SetSpec:
        spec = self.object["spec"]
        templates = spec["leaderWorkerTemplate"] | {f"{role}Template": template}
        return replace(self, object=self.object | {"spec": spec | {"leaderWorkerTemplate": templates}})

    def marked(self, role: str, **metadata: dict[str, str]) -> SetSpec:
        """The same with these `labels` and `annotations` on its template of the `leader` or the `worker`."""
        template = self.object["spec"]["leaderWorkerTemplate"][f"{role}Template"]
        before = template.get("metadata") or {}
        marks = {field: (before.get(field) or {}) | more for field, more in metadata.items()}
        return self._with_template(role, template | {"metadata": before | marks})

    def rolling(self, *, unavailable: int = 1, surge: int = 0) -> SetSpec:
        """The same with this many groups that a rolling update may make unavailable, or have beyond its replicas."""
        limits = {"maxUnavailable": unavailable, "maxSurge": surge}
        strategy = {"type": "RollingUpdate", "rollingUpdateConfiguration": limits}
        return replace(self, object=self.object | {"spec": self.object["spec"] | {"rolloutStrategy": strategy}})

    def held_not_ready(self) -> SetSpec:
        """The same with leaders that run but do not become Ready until the story releases them (our KWOK stage).

        Raises ValueError for a set without a leader template, whose leaders cannot be told from its workers.
        """
        leader = self.object["spec"]["leaderWorkerTemplate"].get("leaderTemplate")
        if leader is None:
            raise ValueError(f"{self.name} has no leader template to hold its leaders by; give it one")
        metadata = leader.get("metadata") or {}
        annotations = (metadata.get("annotations") or {}) | {HOLD_NOT_READY: "true"}
        return self._with_template("leader", leader | {"metadata": metadata | {"annotations": annotations}})


def leader_worker_set(
    name: str = "lws",
    *,
    replicas: int | None = 1,
    size: int = 3,
    leader: Requests | None = LEADER,
    worker: Requests = WORKER,
    queue: str | None = "user-queue",
    startup: str = "LeaderCreated",
    restart: str | None = None,
    required: str | None = None,
    preferred: str | None = None,
    joined: bool = True,
    slices: tuple[str, int] | None = None,
    priority_class: str | None = None,
    on_tenant: str | None = None,
    canary: bool = False,
) -> SetSpec:
    """A LeaderWorkerSet; with `leader=None` it has no leader template, and the leader pod uses the worker's.

    `required` or `preferred` names a topology level: both templates then ask for it, joined in one podset group; if not
    `joined`, the worker template alone asks for it. `slices` are the level and the size of slices of the workers.
    `restart` is the restart policy. `on_tenant` puts the tenant's node selector and toleration on the pods, for sets
    that no flavor sends there.
    """
    annotations = _topology_request(required, preferred, slices)
    together = joined and leader is not None and bool(required or preferred)
    if together:
        annotations[PODSET_GROUP_NAME] = "lws-group"
    placing = _placing(on_tenant, canary)
    template: dict[str, Any] = {"size": size, "workerTemplate": _template("worker", worker, annotations, placing)}
    if restart is not None:
        template["restartPolicy"] = restart
    group = worker * size
    if leader is not None:
        template["leaderTemplate"] = _template("leader", leader, annotations if together else {}, placing)
        group = leader + worker * (size - 1)
    labels = ({QUEUE_NAME: queue} if queue else {}) | ({PRIORITY_CLASS: priority_class} if priority_class else {})
    spec: dict[str, Any] = {"startupPolicy": startup, "leaderWorkerTemplate": template}
    if replicas is not None:
        spec["replicas"] = replicas
    return SetSpec(
        {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "metadata": {"name": name, "labels": labels},
            "spec": spec,
        },
        group,
    )


def in_container(role: str, field: str, wanted: str) -> list[dict[str, str]]:
    """A JSON patch of a set: a field of the first container of its `leader` or `worker` template."""
    path = f"/spec/leaderWorkerTemplate/{role}Template/spec/containers/0/{field}"
    return [{"op": "replace", "path": path, "value": wanted}]


def _topology_request(required: str | None, preferred: str | None, slices: tuple[str, int] | None) -> dict[str, str]:
    request = {REQUIRED_TOPOLOGY: required, PREFERRED_TOPOLOGY: preferred}
    if slices is not None:
        request |= {SLICE_TOPOLOGY: slices[0], SLICE_SIZE: str(slices[1])}
    return {key: written for key, written in request.items() if written is not None}


def _placing(tenant: str | None, canary: bool) -> dict[str, Any]:
    if tenant is None:
        return {}
    tolerations = [{"key": TENANT_LABEL, "operator": "Equal", "value": tenant, "effect": "NoSchedule"}]
    selector = {TENANT_LABEL: tenant}
    if canary:
        tolerations.append({"key": CANARY_TAINT, "operator": "Equal", "value": tenant, "effect": "NoSchedule"})
        selector[HOSTNAME] = f"{tenant}-canary"
    return {"nodeSelector": selector, "tolerations": tolerations}


def _template(role: str, requests: Requests, annotations: dict[str, str], placing: dict[str, Any]) -> Object:
    amounts: dict[str, Any] = {"requests": requests.quantities()}
    if requests.gpu:
        # Extended resources cannot be overcommitted: the API server demands a limit equal to the request.
        amounts["limits"] = {GPU: str(requests.gpu)}
    container = {"name": role, "image": IMAGE, "resources": amounts}
    metadata = {"metadata": {"annotations": annotations}} if annotations else {}
    return metadata | {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1} | placing}


def sample(file: str, group: Requests) -> SetSpec:
    """One of the page's samples, from `manifests/`, unchanged. `group` is what one of its groups asks for."""
    return SetSpec(manifest_files.read(file)[0], group)


def flavor(tenant: str, labels: dict[str, str], topology: str | None, rack: str | None = None) -> Object:
    """The tenant's ResourceFlavor: leads to its nodes alone, and tolerates their taint.

    With a `rack` it is one of several, and leads to the hosts of that rack.
    """
    spec: dict[str, Any] = {
        "nodeLabels": {TENANT_LABEL: tenant} | ({RACK: rack} if rack else {}),
        "tolerations": [{"key": TENANT_LABEL, "operator": "Equal", "value": tenant, "effect": "NoSchedule"}],
    }
    if topology:
        spec["topologyName"] = topology
    return _kueue("ResourceFlavor", f"{tenant}-{rack}" if rack else tenant, labels, spec)


def topology(tenant: str, labels: dict[str, str]) -> Object:
    """Blocks, racks, hosts."""
    return _kueue("Topology", tenant, labels, {"levels": [{"nodeLabel": level} for level in (BLOCK, RACK, HOSTNAME)]})


def foreign_pod(name: str, tenant: str, node: str, requests: Requests) -> Object:
    """A pod that Kueue does not manage, bound to a node as a DaemonSet's would be; deleted, it is gone at once."""
    made = _template(name, requests, {}, {"nodeName": node, "terminationGracePeriodSeconds": 0})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": tenant}} | made


def cluster_queue(
    name: str,
    tenant: str,
    labels: dict[str, str],
    nominal: Requests,
    covers: tuple[str, ...],
    cohort: str | None = None,
    *,
    rules: QueueRules = PLAIN,
    group: Requests = NOTHING,
    flavors: tuple[str, ...] = (),
) -> Object:
    """A ClusterQueue of the tenant's flavors, for its namespace alone, without preemption unless the rules allow it.

    `group` is what one group asks for, in which the rules may state limits.
    """
    spec: dict[str, Any] = {
        "namespaceSelector": {"matchLabels": {TENANT_LABEL: tenant}},
        "queueingStrategy": rules.strategy,
        "resourceGroups": [resource_group(flavors or (tenant,), nominal, covers, rules.limits(group))],
    }
    if cohort is not None:
        spec["cohortName"] = cohort
    if (policies := rules.preemption()) is not None:
        spec["preemption"] = policies
    return _kueue("ClusterQueue", name, labels, spec)


def resource_group(
    flavors: str | tuple[str, ...], nominal: Requests, covers: tuple[str, ...], limits: Limits = NO_LIMITS
) -> Object:
    """The part of a ClusterQueue or Cohort that holds its quota: its flavors, each with the same amounts."""
    stated = {"nominalQuota": nominal, "borrowingLimit": limits.borrowing, "lendingLimit": limits.lending}
    amounts = {key: amount.quantities() for key, amount in stated.items() if amount is not None}
    quotas = [
        {"name": resource} | {key: amount.get(resource, "0") for key, amount in amounts.items()} for resource in covers
    ]
    names = (flavors,) if isinstance(flavors, str) else flavors
    return {"coveredResources": list(covers), "flavors": [{"name": name, "resources": quotas} for name in names]}


def cohort(name: str, labels: dict[str, str], parent: str | None, quota: Object | None) -> Object:
    """A Cohort, a root without a `parent`; `quota` is its resource group, if it has one."""
    spec: dict[str, Any] = {"parentName": parent} if parent is not None else {}
    if quota is not None:
        spec["resourceGroups"] = [quota]
    return _kueue("Cohort", name, labels, spec)


def local_queue(name: str, tenant: str, queue: str, labels: dict[str, str]) -> Object:
    """A LocalQueue in the tenant's namespace."""
    made = _kueue("LocalQueue", name, labels, {"clusterQueue": queue})
    made["metadata"]["namespace"] = tenant
    return made


def priority_class(
    name: str,
    value: int,
    labels: dict[str, str],
    description: str = "of the conformance suite's canaries: lower than everything else",
) -> Object:
    """A WorkloadPriorityClass."""
    return {
        "apiVersion": f"{KUEUE}/v1beta2",
        "kind": "WorkloadPriorityClass",
        "metadata": {"name": name, "labels": labels},
        "value": value,
        "description": description,
    }


def _kueue(kind: str, name: str, labels: dict[str, str], spec: dict[str, Any]) -> Object:
    return {"apiVersion": f"{KUEUE}/v1beta2", "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}
