"""Kubernetes objects as small as they can be: the shape that LeaderWorkerSet 0.9 and Kueue 0.19 give them, cut down to
what is read."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from conformance.names import BLOCK, HOSTNAME, KINDS, QUEUE_NAME, RACK, TENANT_LABEL
from conformance.trace.records import Object

TENANT = "tenant"


def made(kind: str, name: str, *, spec: Object | None = None, uid: str = "", **metadata: Any) -> Object:
    """An object with identity; its UID is told by its kind and name unless it is a namesake's."""
    meta: Object = {"name": name, "uid": uid or f"uid-{kind}-{name}", "generation": 1, **metadata}
    if KINDS[kind].namespaced:
        meta["namespace"] = TENANT
    meta["labels"] = {TENANT_LABEL: TENANT, **meta.get("labels", {})}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": meta, "spec": spec or {}}


def having(obj: Object, **parts: Any) -> Object:
    """A copy with some parts replaced: `status__admission=…` for `status.admission`; None takes the part away."""
    copy = deepcopy(obj)
    for path, value in parts.items():
        *parents, last = path.split("__")
        place = copy
        for parent in parents:
            place = place.setdefault(parent, {})
        place.pop(last, None) if value is None else place.__setitem__(last, value)
    return copy


def owner(obj: Object, *, controller: bool = True) -> Object:
    """An owner reference to an object."""
    meta = obj["metadata"]
    return {"kind": obj["kind"], "name": meta["name"], "uid": meta["uid"], "controller": controller}


def leader_worker_set(name: str = "lws", *, queue: str | None = "user-queue", size: int = 3, uid: str = "") -> Object:
    labels = {QUEUE_NAME: queue} if queue else {}
    return made("LeaderWorkerSet", name, uid=uid, labels=labels, spec={"leaderWorkerTemplate": {"size": size}})


def pod_spec(requests: Mapping[str, str], **more: Any) -> Object:
    return {"containers": [{"name": "main", "resources": {"requests": dict(requests)}}], **more}


def node(host: str, rack: str = "r1", *, block: str = "b1", uid: str = "", **allocatable: str) -> Object:
    labels = {HOSTNAME: host, RACK: rack, BLOCK: block}
    offer = {"cpu": "4", "pods": "110"} | allocatable
    return made("Node", host, uid=uid, labels=labels) | {"status": {"allocatable": offer}}


def flavor(topology: str | None = "topology") -> Object:
    return made("ResourceFlavor", "flavor", spec={"topologyName": topology} if topology else {})


def topology(*levels: str) -> Object:
    return made("Topology", "topology", spec={"levels": [{"nodeLabel": level} for level in levels]})


def quota(**resources: str | tuple[str, str | None, str | None]) -> Object:
    """A `resourceGroups` entry of the one flavor: nominal quota, or (nominal, borrowing limit, lending limit)."""
    entries = []
    for name, amount in resources.items():
        nominal, borrowing, lending = amount if isinstance(amount, tuple) else (amount, None, None)
        limits = {"borrowingLimit": borrowing, "lendingLimit": lending}
        entries.append({"name": name, "nominalQuota": nominal} | {k: v for k, v in limits.items() if v is not None})
    return {"coveredResources": list(resources), "flavors": [{"name": "flavor", "resources": entries}]}


def cluster_queue(name: str = "queue", *, cohort: str | None = None, **resources: Any) -> Object:
    spec: Object = {"resourceGroups": [quota(**resources)]}
    return made("ClusterQueue", name, spec=spec | ({"cohortName": cohort} if cohort else {}))


def cohort(name: str, *, parent: str | None = None, **resources: Any) -> Object:
    spec: Object = {"resourceGroups": [quota(**resources)]} if resources else {}
    return made("Cohort", name, spec=spec | ({"parentName": parent} if parent else {}))


def condition(type_: str, status: bool = True) -> Object:
    return {"type": type_, "status": "True" if status else "False", "reason": type_}


def assignment(hosts: Mapping[str, int], level: str = HOSTNAME) -> Object:
    """A topology assignment, as one slice with individual values."""
    slices = [
        {
            "domainCount": len(hosts),
            "valuesPerLevel": [{"individual": {"roots": list(hosts)}}],
            "podCounts": {"individual": list(hosts.values())},
        }
    ]
    return {"levels": [level], "slices": slices if hosts else []}


def bound_pod(name: str, host: str, **requests: str) -> Object:
    """A pod that queueing does not place, as it is when the scheduler has bound it."""
    return made("Pod", name, spec=pod_spec(requests, nodeName=host)) | {"status": {"phase": "Running"}}
