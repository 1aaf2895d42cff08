"""The birth of a pod: what the webhook makes of it at CREATE, and which changes it allows afterwards.

The rule (Kueue docs, "Run LeaderWorkerSet" and "Topology Aware Scheduling"): every pod of a queued set is born with
the gates `admission` and `topology`. The stamps of its template say that its set is queued, so that this holds even
before the set itself has been seen. LeaderWorkerSet's own webhook runs first, so set, group, index and role are known
at birth, and the pod becomes a member of its group at once: no later write has to adopt it.

Where the group is admitted and starts, the pod is born ready, exactly as `pods.started` would make it: no gate, no
write, no delay for a pod whose set starts its workers late (POD-13). One that comes to a group which has run before
takes the place of a pod that was lost, and with it the group may be on its way out: the state that a birth rests on may
be older than the eviction, so such a pod is born with gates, and let go by a pass if its group stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from conformance.names import (
    GROUP_INDEX,
    LEADER_NAME,
    LWS_FRAMEWORK,
    MANAGED,
    OUR_GATES,
    POD_GROUP_NAME,
    PREBUILT_WORKLOAD,
    QUEUE_NAME,
    SET_NAME,
    SUSPENDING_PARENT,
    WORKER_INDEX,
)
from conformance.reference import pods, podsets
from conformance.reference.model import Pod, Snapshot, Toleration, Workload
from conformance.reference.topology import ranks


def mutate(pod: dict[str, Any], snapshot: Snapshot, dry_run: bool = False) -> dict[str, Any] | None:
    """The pod as it is to be created; None where it is none of a queued set. The given one is not changed.

    `metadata.namespace` must be there. Nothing is remembered of it, so a dry run is answered like any other.
    """
    if not stamped(pod):
        return None
    newborn = newborn_of(pod)
    annotations: dict[str, str] = {}
    born = None
    set_ = snapshot.sets.get((newborn.namespace, newborn.set_name))
    if set_ is not None and newborn.group is not None:
        name = podsets.workload_name(set_, newborn.group)
        annotations = pods.identity(name, set_.size, podsets.role(newborn.is_leader, set_))
        if not set_.deleted:
            born = born_ready(newborn, name, snapshot)
    return _gated(pod, annotations) if born is None else _ready(pod, newborn, born)


def stamped(pod: Mapping[str, Any]) -> bool:
    """Whether its template says that it belongs to a queued LeaderWorkerSet."""
    return _part(pod, "metadata", "annotations").get(SUSPENDING_PARENT) == LWS_FRAMEWORK


def born_ready(newborn: Pod, workload_name: str, snapshot: Snapshot) -> Pod | None:
    """The pod without gates, if its group is admitted and starts, and its place can be told; else None."""
    workload = snapshot.workloads.get((newborn.namespace, workload_name))
    if workload is None or not pods.may_run(workload) or newborn.group is None or "PodsReady" in workload.conditions:
        return None
    others = snapshot.pods.get((newborn.namespace, newborn.set_name, newborn.group), {})
    members = [
        pod
        for key, pod in others.items()
        if key != newborn.key and pods.alive(pod) and pods.belongs(pod, workload_name)
    ]
    if not place_is_certain(newborn, members, workload):
        return None
    starting = pods.starts(workload, [*members, newborn], snapshot)
    return next((pod for pod in starting if pod.key == newborn.key), None)


def place_is_certain(newborn: Pod, members: Sequence[Pod], workload: Workload) -> bool:
    """Whether another pod that is born at this moment, and not seen yet, cannot be given the same place.

    Ranks tell pods apart by themselves. Without them the next free place is taken, so it must not matter which.
    """
    name = podsets.podset_of(newborn, workload)
    given = pods.assigned(workload, name)
    if given is None or given.topology is None:
        return True
    slots = [values for values, number in given.topology.domains for _ in range(number)]
    ours = [pod for pod in members if podsets.podset_of(pod, workload) == name]
    seats = {pod.key: seat for pod in ours if (seat := ranks.seat_of(pod, given.topology)) is not None}
    if len(Counter(slots) - Counter(seats.values())) <= 1:
        return True
    return ranks.by_rank([*ours, newborn], slots, seats, ranks.offset(workload, name)) is not None


def newborn_of(pod: Mapping[str, Any]) -> Pod:
    """The pod as a value, gated: as far as its birth needs it."""
    metadata, spec = _part(pod, "metadata"), _part(pod, "spec")
    labels, annotations = _part(pod, "metadata", "labels"), _part(pod, "metadata", "annotations")
    others = tuple(gate.get("name", "") for gate in spec.get("schedulingGates") or ())
    return Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        gates=tuple(dict.fromkeys((*others, *OUR_GATES))),
        labels=labels,
        annotations=annotations,
        selector=_part(pod, "spec", "nodeSelector"),
        tolerations=tuple(map(pods.toleration, spec.get("tolerations") or ())),
        suspended=True,
        set_name=labels.get(SET_NAME, ""),
        group=_index(labels.get(GROUP_INDEX, "")),
        worker=_index(labels.get(WORKER_INDEX, "")),
        is_leader=LEADER_NAME not in annotations,
    )


def _gated(pod: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
    metadata, spec = dict(_part(pod, "metadata")), dict(_part(pod, "spec"))
    metadata["labels"] = {**_part(pod, "metadata", "labels"), MANAGED: "true"}
    metadata["annotations"] = {**_part(pod, "metadata", "annotations"), **annotations}
    gates = list(spec.get("schedulingGates") or ())
    spec["schedulingGates"] = gates + [{"name": gate} for gate in OUR_GATES if {"name": gate} not in gates]
    return {**pod, "metadata": metadata, "spec": spec}


def _ready(pod: Mapping[str, Any], newborn: Pod, born: Pod) -> dict[str, Any]:
    metadata, spec = dict(_part(pod, "metadata")), dict(_part(pod, "spec"))
    metadata["labels"], metadata["annotations"] = dict(born.labels), dict(born.annotations)
    if born.selector:
        spec["nodeSelector"] = dict(born.selector)
    if added := born.tolerations[len(newborn.tolerations) :]:
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *map(_written, added)]
    gates = [gate for gate in spec.pop("schedulingGates", None) or () if gate.get("name") not in OUR_GATES]
    if gates:
        spec["schedulingGates"] = gates
    return {**pod, "metadata": metadata, "spec": spec}


def _written(toleration: Toleration) -> dict[str, Any]:
    fields: dict[str, Any] = {"key": toleration.key, "value": toleration.value, "effect": toleration.effect}
    written = {name: value for name, value in fields.items() if value}
    written["operator"] = toleration.operator
    if toleration.seconds is not None:
        written["tolerationSeconds"] = toleration.seconds
    return written


# Changes


def validate(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why a change of a pod is refused; empty if it is not (POD-08). Pods of sets that are not queued may change."""
    if not stamped(old) and not stamped(new):
        return ""
    labels, annotations = _part(new, "metadata", "labels"), _part(new, "metadata", "annotations")
    before = _part(old, "metadata", "annotations").get(POD_GROUP_NAME)
    group, prebuilt = annotations.get(POD_GROUP_NAME), annotations.get(PREBUILT_WORKLOAD)
    if labels.get(MANAGED, "true") != "true":
        return f"metadata.labels[{MANAGED}]: Forbidden: managed label value can only be 'true'"
    if before and group != before:
        return f'metadata.annotations[{POD_GROUP_NAME}]: Invalid value: "{group or ""}": field is immutable'
    if group and prebuilt and prebuilt != group:
        path = f"metadata.annotations[{PREBUILT_WORKLOAD}]"
        return f'{path}: Invalid value: "{prebuilt}": prebuilt workload and pod group should be equal'
    queue = _part(old, "metadata", "labels").get(QUEUE_NAME)
    if queue != labels.get(QUEUE_NAME) and not _is_gated(old):
        return f'metadata.labels[{QUEUE_NAME}]: Invalid value: "{labels.get(QUEUE_NAME, "")}": field is immutable'
    return ""


def _is_gated(pod: Mapping[str, Any]) -> bool:
    return any(gate.get("name") in OUR_GATES for gate in _part(pod, "spec").get("schedulingGates") or ())


def _part(holder: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        holder = holder.get(key) or {}
    return holder


def _index(written: str) -> int | None:
    return int(written) if written.isascii() and written.isdigit() else None
