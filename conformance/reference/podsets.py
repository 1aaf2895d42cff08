"""The Workload of one group, made from the LeaderWorkerSet alone: before its pods and independent of them.

The rule (Kueue docs, "Run LeaderWorkerSet"): each group is one Workload, so that it is admitted as a whole. With a
`leaderTemplate` it has the podsets `leader` (one pod) and `worker` (size - 1), else the one podset `main` (size). A
podset carries its template whole, without what LeaderWorkerSet adds to it; the topology annotations of the template
become its topology request (docs, "Topology Aware Scheduling"). The name follows from the set's name, its UID and the
index of the group, so that tools that compute it find it and a set of the same name at another time has others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from conformance.names import (
    GATED_BY,
    GROUP_INDEX_OF_WORKLOAD,
    IS_GROUP_WORKLOAD,
    JOB_OWNER_GVK,
    JOB_OWNER_NAME,
    JOB_UID,
    KINDS,
    KUEUE,
    LWS_DOMAIN,
    MAX_EXEC_TIME,
    MULTIKUEUE_ORIGIN,
    MULTIKUEUE_ORIGIN_UID,
    PODSET_GROUP_NAME,
    PREFERRED_TOPOLOGY,
    PRIORITY_CLASS,
    QUEUE_NAME,
    REQUIRED_TOPOLOGY,
    RESOURCE_IN_USE,
    SET_NAME,
    SLICE_CONSTRAINTS,
    SLICE_SIZE,
    SLICE_TOPOLOGY,
    UNCONSTRAINED_TOPOLOGY,
    WORKER_INDEX,
)
from conformance.reference.model import Key, Pod, Set, Snapshot, Workload

LEADER: Final = "leader"
WORKER: Final = "worker"
MAIN: Final = "main"

POD_CLASSES: Final = "scheduling.k8s.io"
"""The API group of PriorityClass."""
BOOLEANS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""What Kueue reads as a boolean: Go's `strconv.ParseBool`."""

_LWS: Final = KINDS["LeaderWorkerSet"]
_WORKLOAD: Final = KINDS["Workload"]
_PROVISIONING: Final = "provreq.kueue.x-k8s.io/"
_LONGEST_NAME: Final = 253
_HASH: Final = 5
_LONGEST_LEVEL: Final = 63
"""Of a level in a topology request, by the Workload's CRD."""
_MOST_SECONDS: Final = 2**31 - 1


# Names


def workload_name(set_: Set, group: int) -> str:
    """The name of the Workload of one group; it has at most 253 characters."""
    uid = set_.uid
    if MULTIKUEUE_ORIGIN in set_.labels:
        uid = set_.annotations.get(MULTIKUEUE_ORIGIN_UID, uid)
    return _name(set_.name, group, uid)


@lru_cache(maxsize=16384)
def _name(set_name: str, group: int, uid: str) -> str:
    owner = f"{set_name}-{group}"
    digest = hashlib.sha1(f"{_LWS.name}\n{_LWS.group}\n{owner}\n{uid}".encode(), usedforsecurity=False).hexdigest()
    return f"{f'{_LWS.name.lower()}-{owner}'[: _LONGEST_NAME - 1 - _HASH]}-{digest[:_HASH]}"


def workload_key(set_: Set, group: int) -> Key:
    return set_.namespace, workload_name(set_, group)


# Roles


def podset_of(pod: Pod, workload: Workload) -> str:
    """The podset to which a pod of the group belongs."""
    # The leader's podset is the first one.
    if workload.podsets and workload.podsets[0].name == LEADER:
        return LEADER if pod.is_leader else WORKER
    return MAIN


def role(is_leader: bool, set_: Set) -> str:
    """The same, of a set whose Workload is not there."""
    if set_.leader_template is None:
        return MAIN
    return LEADER if is_leader else WORKER


# Priority


def priority(set_: Set, snapshot: Snapshot) -> tuple[tuple[str, str], int] | None:
    """API group and name of the class that says the priority, and the priority; None while that class is missing.

    The WorkloadPriorityClass of the set's label goes first, then the PriorityClass of the leader's template, of the
    worker's, the one that is the default; else it is 0 (docs, concepts/workload_priority_class).
    """
    if asked := set_.labels.get(PRIORITY_CLASS):
        found = snapshot.workload_priorities.get(asked)
        return None if found is None else ((KUEUE, found.name), found.value)
    for template in (set_.leader_template, set_.worker_template):
        if template and (named := _map(template, "spec").get("priorityClassName")):
            found = snapshot.pod_priorities.get(str(named))
            return None if found is None else ((POD_CLASSES, found.name), found.value)
    defaults = [found for found in snapshot.pod_priorities.values() if found.default]
    if defaults:
        # Two defaults are possible by a race; the API server itself takes the lower one too.
        lowest = min(defaults, key=lambda found: (found.value, found.name))
        return (POD_CLASSES, lowest.name), lowest.value
    return ("", ""), 0


def gates(set_: Set) -> tuple[str, ...]:
    """What the set's admission waits for beside quota: annotation `admission-gated-by`."""
    written = set_.annotations.get(GATED_BY, "")
    return tuple(dict.fromkeys(gate.strip() for gate in written.split(",") if gate.strip()))


# The object


def workload_for(set_: Set, group: int, snapshot: Snapshot) -> dict[str, Any]:
    """The whole Workload object of one group, as it is to be created.

    It shares the templates with the set: it must not be changed in place. Its priority is 0 where the class is
    missing; whether it is to be created then is not decided here.
    """
    (class_group, class_name), value = priority(set_, snapshot) or (("", ""), 0)
    spec: dict[str, Any] = {"priority": value, "podSets": podsets(set_)}
    if queue := set_.labels.get(QUEUE_NAME):
        spec["queueName"] = queue
    if class_name:
        kind = "WorkloadPriorityClass" if class_group == KUEUE else "PriorityClass"
        spec["priorityClassRef"] = {"group": class_group, "kind": kind, "name": class_name}
    if seconds := most_seconds(set_):
        spec["maximumExecutionTimeSeconds"] = seconds
    owner = {"apiVersion": _LWS.api_version, "kind": _LWS.name, "name": set_.name, "uid": set_.uid}
    return {
        "apiVersion": _WORKLOAD.api_version,
        "kind": _WORKLOAD.name,
        "metadata": {
            "namespace": set_.namespace,
            "name": workload_name(set_, group),
            "labels": {JOB_UID: set_.uid},
            "annotations": _annotations(set_, group),
            "finalizers": [RESOURCE_IN_USE],
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def most_seconds(set_: Set) -> int | None:
    """The label `max-exec-time-seconds`; what is not a positive number is ignored, as Kueue ignores it."""
    written = set_.labels.get(MAX_EXEC_TIME, "")
    if not written.isascii() or not written.isdigit() or len(written) > 10:
        return None
    seconds = int(written)
    return seconds if 0 < seconds <= _MOST_SECONDS else None


def _annotations(set_: Set, group: int) -> dict[str, str]:
    annotations = {key: value for key, value in set_.annotations.items() if key.startswith(_PROVISIONING)}
    annotations |= {
        IS_GROUP_WORKLOAD: "true",
        JOB_OWNER_GVK: f"{_LWS.api_version}, Kind={_LWS.name}",
        JOB_OWNER_NAME: set_.name,
        GROUP_INDEX_OF_WORKLOAD: str(group),
    }
    if gates(set_):
        annotations[GATED_BY] = set_.annotations[GATED_BY]
    return annotations


def podsets(set_: Set) -> list[dict[str, Any]]:
    """The podsets of each of its groups."""
    if set_.leader_template is None:
        return [_podset(MAIN, set_.size, set_.worker_template)]
    return [_podset(LEADER, 1, set_.leader_template), _podset(WORKER, set_.size - 1, set_.worker_template)]


def _podset(name: str, count: int, template: Mapping[str, Any]) -> dict[str, Any]:
    podset: dict[str, Any] = {"name": name, "count": count, "template": plain_template(template)}
    request = topology_request(_map(_map(template, "metadata"), "annotations"))
    if name != LEADER:
        # Which pod takes which place among the workers: rank order needs the label even where nothing is asked for.
        request["podIndexLabel"] = WORKER_INDEX
    if request:
        podset["topologyRequest"] = request
    return podset


def plain_template(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template as a Workload carries it: without LeaderWorkerSet's own keys but the name, each variable once."""
    plain = dict(template)
    metadata = dict(_map(template, "metadata"))
    for part in ("labels", "annotations"):
        if keys := metadata.get(part):
            metadata[part] = {
                key: value for key, value in keys.items() if not key.startswith(LWS_DOMAIN) or key == SET_NAME
            }
    if metadata:
        plain["metadata"] = metadata
    spec = dict(_map(template, "spec"))
    for part in ("containers", "initContainers"):
        if containers := spec.get(part):
            spec[part] = [_one_of_each(container) for container in containers]
    plain["spec"] = spec
    return plain


def _one_of_each(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container with the last value of each variable, where it came first: the API refuses repeated names."""
    variables = container.get("env") or ()
    last = {variable.get("name"): variable for variable in variables}
    return container if len(last) == len(variables) else {**container, "env": list(last.values())}


def topology_request(annotations: Mapping[str, str]) -> dict[str, Any]:
    """What a template's annotations ask of the topology.

    Validation refuses what makes no sense (`topology_rules`). Where it was passed by, the request says as much of it as
    the API lets it, so that the Workload is inadmissible for what it asks, and not admitted as if it asked nothing.
    """
    request: dict[str, Any] = {}
    if required := annotations.get(REQUIRED_TOPOLOGY):
        request["required"] = required[:_LONGEST_LEVEL]
    if preferred := annotations.get(PREFERRED_TOPOLOGY):
        request["preferred"] = preferred[:_LONGEST_LEVEL]
    if unconstrained := annotations.get(UNCONSTRAINED_TOPOLOGY):
        request["unconstrained"] = BOOLEANS.get(unconstrained, True)
    layers = annotations.get(SLICE_CONSTRAINTS)
    if layers is not None and (read := slice_layers(layers)):
        request["podsetSliceRequiredTopologyConstraints"] = read
    elif layers is not None or SLICE_TOPOLOGY in annotations or SLICE_SIZE in annotations:
        # A level without a size, or a size without a level, is what remains of slices that cannot be read.
        level, size = annotations.get(SLICE_TOPOLOGY), slice_size(annotations.get(SLICE_SIZE, ""))
        if level:
            request["podSetSliceRequiredTopology"] = level[:_LONGEST_LEVEL]
        if size or not level:
            request["podSetSliceSize"] = size or 1
    if annotations.get(PODSET_GROUP_NAME) and ("required" in request or "preferred" in request):
        request["podSetGroupName"] = annotations[PODSET_GROUP_NAME]
    return request


def slice_size(written: str) -> int | None:
    """A size as the annotation gives it, if it is one."""
    return int(written) if written.isascii() and written.isdigit() and 0 < int(written) < 2**31 else None


def slice_layers(written: str) -> list[dict[str, Any]] | None:
    """The layers of slices as the annotation gives them, if they are one to three."""
    try:
        layers = json.loads(written) if written else None
    except ValueError:
        return None
    if not isinstance(layers, list) or not 0 < len(layers) <= 3:
        return None
    for layer in layers:
        if not isinstance(layer, dict) or not isinstance(level := layer.get("topology"), str):
            return None
        if not 0 < len(level) <= _LONGEST_LEVEL:
            return None
        if type(layer.get("size")) is not int or not 0 < layer["size"] < 2**31:
            return None
    return [{"topology": layer["topology"], "size": layer["size"]} for layer in layers]


def _map(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key)
    return found if isinstance(found, Mapping) else {}
