"""What is worth saying of an object in one state: a handful of named facts, by which two states are compared.

The timeline shows differences of these facts instead of whole objects. Pure; unknown kinds have their conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from conformance.names import BLOCK, OURS, QUEUE_NAME, RACK
from conformance.trace.assignments import MalformedAssignmentError, decode
from conformance.trace.history import gates, labels
from conformance.trace.records import Object

Facts = dict[str, str]
"""Name of the fact to its text; a fact that does not apply is absent."""

_LONGEST_NOTE: Final = 160


def facts(obj: Object) -> Facts:
    """The facts of an object, in the order in which they are shown."""
    found: Facts = {}
    if "deletionTimestamp" in obj["metadata"]:
        found["deletion"] = "requested"
    special = _SPECIAL.get(obj.get("kind", ""))
    if special is not None:
        found.update(special(obj))
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] not in _DULL:
            reason = condition.get("reason") or ""
            found[condition["type"]] = condition["status"] + (f" ({reason})" if reason else "")
    return {name: text for name, text in found.items() if text}


def notes(obj: Object) -> Facts:
    """What conditions that do not hold say; shown beside a fact, never compared: such texts change all the time."""
    return {
        condition["type"]: condition["message"][:_LONGEST_NOTE]
        for condition in (obj.get("status") or {}).get("conditions") or ()
        if condition["status"] != "True" and condition.get("message")
    }


_DULL: Final = frozenset({"ContainersReady", "Initialized", "PodReadyToStartContainers"})
"""Conditions of pods that say nothing beyond Ready."""


def _counts(status: Mapping[str, Any], names: Iterable[str]) -> Facts:
    return {name: str(status[name]) for name in names if status.get(name)}


def _of_leader_worker_set(obj: Object) -> Facts:
    spec, status = obj["spec"], obj.get("status") or {}
    return {
        "queue": labels(obj).get(QUEUE_NAME, ""),
        "replicas": str(spec.get("replicas", 1)),
        "size": str(spec["leaderWorkerTemplate"].get("size", 1)),
        **{f"status.{name}": text for name, text in _counts(status, ("replicas", "readyReplicas")).items()},
    }


def _of_stateful_set(obj: Object) -> Facts:
    counts = _counts(obj.get("status") or {}, ("replicas", "readyReplicas"))
    return {
        "replicas": str(obj["spec"].get("replicas", 1)),
        **{f"status.{name}": text for name, text in counts.items()},
    }


def _of_workload(obj: Object) -> Facts:
    spec, status = obj["spec"], obj.get("status") or {}
    return {
        "queue": spec.get("queueName", ""),
        "podsets": ", ".join(f"{podset['name']} x {podset['count']}" for podset in spec.get("podSets") or ()),
        "priority": str(spec["priority"]) if spec.get("priority") else "",
        "active": "" if spec.get("active", True) else "false",
        "admission": _admission(status.get("admission")),
        "checks": ", ".join(f"{check['name']} {check['state']}" for check in status.get("admissionChecks") or ()),
        "reclaimable": ", ".join(f"{pods['name']} x {pods['count']}" for pods in status.get("reclaimablePods") or ()),
        "unhealthy nodes": ", ".join(node["name"] for node in status.get("unhealthyNodes") or ()),
    }


def _admission(admission: Mapping[str, Any] | None) -> str:
    """`in <ClusterQueue>: <podset> x <count> on <flavors> at <domain> x <pods> …; <podset> …`"""
    if not admission:
        return ""
    podsets = [_assigned(podset) for podset in admission.get("podSetAssignments") or ()]
    return f"in {admission['clusterQueue']}: {'; '.join(podsets)}"


def _assigned(podset: Mapping[str, Any]) -> str:
    flavors = sorted(set((podset.get("flavors") or {}).values()))
    text = f"{podset['name']} x {podset.get('count', '?')} on {', '.join(flavors) or 'no flavor'}"
    places = _places(podset.get("topologyAssignment"))
    return text + (f" at {places}" if places else "")


def _places(assignment: Mapping[str, Any] | None) -> str:
    if not assignment:
        return ""
    try:
        return ", ".join(f"{'/'.join(values)} x {count}" for values, count in decode(assignment))
    except MalformedAssignmentError as error:  # judged elsewhere; here it must not hide everything else
        return f"an unreadable assignment ({error})"


def _of_pod(obj: Object) -> Facts:
    spec, status = obj["spec"], obj.get("status") or {}
    return {"gates": ", ".join(gates(obj)), "node": spec.get("nodeName", ""), "phase": status.get("phase", "")}


def _of_node(obj: Object) -> Facts:
    spec = obj.get("spec") or {}
    taints = [taint for taint in spec.get("taints") or () if not taint["key"].startswith(OURS)]
    return {
        "rack": "/".join(labels(obj)[key] for key in (BLOCK, RACK) if key in labels(obj)),
        "unschedulable": "true" if spec.get("unschedulable") else "",
        "taints": ", ".join(f"{taint['key']}:{taint['effect']}" for taint in taints),
    }


def _of_cluster_queue(obj: Object) -> Facts:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    quota = [
        f"{flavor['name']} {resource['name']} {resource['nominalQuota']}"
        for group in spec.get("resourceGroups") or ()
        for flavor in group["flavors"]
        for resource in flavor["resources"]
    ]
    used = [
        f"{flavor['name']} {resource['name']} {resource['total']}"
        for flavor in status.get("flavorsReservation") or ()
        for resource in flavor.get("resources") or ()
        if str(resource.get("total", "0")) != "0"
    ]
    stop = spec.get("stopPolicy", "None")
    return {
        "quota": ", ".join(quota),
        "reserved": ", ".join(used),
        "stop": "" if stop == "None" else stop,
        **_waiting(obj),
    }


def _waiting(obj: Object) -> Facts:
    status = obj.get("status") or {}
    names = {"pendingWorkloads": "pending", "reservingWorkloads": "reserving", "admittedWorkloads": "admitted"}
    return {names[name]: text for name, text in _counts(status, names).items()}


def _of_event(obj: Object) -> Facts:
    return {obj.get("reason") or "event": (obj.get("note") or obj.get("message") or "")[:_LONGEST_NOTE]}


_SPECIAL: Final[Mapping[str, Callable[[Object], Facts]]] = {
    "LeaderWorkerSet": _of_leader_worker_set,
    "StatefulSet": _of_stateful_set,
    "Workload": _of_workload,
    "Pod": _of_pod,
    "Node": _of_node,
    "ClusterQueue": _of_cluster_queue,
    "LocalQueue": _waiting,
    "Event": _of_event,
}
