"""First step of a pass: LeaderWorkerSets keep one Workload for each of their groups.

The rule (Kueue docs, "Run LeaderWorkerSet", c. Scaling): the groups 0..replicas-1 of a managed set have a Workload
each, from the set alone; a group that scaling down removes loses its own. During a rolling update with `maxSurge` the
surge groups have one too, for as long as they are there; a percentage counts as LeaderWorkerSet counts it (kueue issue
14405), and a surge group's Workload stays until the group is gone (kueue issue 8938). What is inherited later is the
queue, until quota is reserved; the priority class; the gates of `admission-gated-by`; never the templates.

A set that is deleted needs nothing done: the garbage collector takes its Workloads by their owner. One that was
deleted without them (`--cascade=orphan`) leaves Workloads without an owner, which go here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from conformance.names import KUEUE, LWS_FRAMEWORK, PRIORITY_CLASS, QUEUE_NAME, SUSPENDING_PARENT
from conformance.reference import matching, podsets
from conformance.reference.draft import Draft
from conformance.reference.model import Rules, Set, Snapshot, Workload

MOST_GROUPS: Final = 1_000_000
"""What the validation of a set accepts; a set that went past it is treated as one of this size."""


def keep(draft: Draft) -> None:
    """Create, delete and change Workloads so that each managed set has those of its groups."""
    snapshot = draft.snapshot
    for set_ in snapshot.sets.values():
        if not set_.deleted and managed(set_.labels, set_.namespace, snapshot, draft.rules):
            _keep_set(draft, set_)
    for workload in snapshot.workloads.values():
        if orphaned(workload, snapshot) and not workload.deleted:
            draft.delete_workload(workload)


def managed(labels: Mapping[str, str], namespace: str, snapshot: Snapshot, rules: Rules) -> bool:
    """Whether a set with these labels is queued: it names a queue, or everything in its namespace is queued."""
    if labels.get(QUEUE_NAME):
        return True
    return rules.manage_without_queue and namespace_selected(namespace, snapshot, rules)


def namespace_selected(namespace: str, snapshot: Snapshot, rules: Rules) -> bool:
    """Whether `managedJobsNamespaceSelector` takes the namespace in."""
    if rules.managed_namespaces is None:
        return True
    return matching.selector_matches(rules.managed_namespaces, snapshot.namespaces.get(namespace, {}))


def _keep_set(draft: Draft, set_: Set) -> None:
    there: dict[int, Workload] = {}
    wanted = groups_wanted(set_)
    for key in draft.snapshot.owned.get(set_.uid, ()):
        workload = draft.workload(key)
        if workload is None or workload.group is None:
            continue
        if not surplus(workload, set_, draft.snapshot):
            there[workload.group] = workload
        elif not workload.deleted:
            draft.delete_workload(workload)
    if len(there) < wanted:
        _create_missing(draft, set_, there, wanted)
    for workload in there.values():
        if not workload.deleted:
            current = inherited(workload, set_, draft.snapshot)
            if current is not workload:
                draft.put(current)


def stamped(set_: Set) -> bool:
    """Whether its pods are born with a gate. A set that our webhook has never seen is not managed until it is updated:

    its pods run already, and quota for them would be an illusion (RES-12).
    """
    annotations = (set_.worker_template.get("metadata") or {}).get("annotations") or {}
    return annotations.get(SUSPENDING_PARENT) == LWS_FRAMEWORK


def surplus(workload: Workload, set_: Set, snapshot: Snapshot) -> bool:
    """Whether a Workload of the set stands for no group of it, since that was scaled away."""
    return workload.group is None or not 0 <= workload.group < groups_wanted(set_)


def groups_wanted(set_: Set) -> int:
    """The number of groups that have a Workload; they are those with the indices below it."""
    replicas = min(max(set_.replicas, 0), MOST_GROUPS)
    # LeaderWorkerSet's status tells when surge groups are there. Without a surge it says nothing: after a scale-down
    # it lags behind, and the Workloads of removed groups would stay (DOWN-01).
    return max(replicas, min(set_.status_replicas, replicas + surge(set_.max_surge, replicas)))


def surge(max_surge: int | str, replicas: int) -> int:
    """Surge groups that a rolling update may add: a percentage is rounded up, and there are never more than replicas.

    What is neither a number nor a percentage is none.
    """
    if isinstance(max_surge, int):
        return min(max(max_surge, 0), replicas)
    digits = max_surge.strip().removesuffix("%")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        return 0
    number = int(digits)
    return min(-(-number * replicas // 100) if max_surge.strip().endswith("%") else number, replicas)


def _create_missing(draft: Draft, set_: Set, there: Mapping[int, Workload], wanted: int) -> None:
    if podsets.priority(set_, draft.snapshot) is None:
        # PRI-06: the class may still come; until then the groups have no Workload and their pods stay gated.
        return
    if not stamped(set_):
        return
    for group in range(wanted):
        key = podsets.workload_key(set_, group)
        # A Workload of that name that is not this set's stays what it is, and no group runs on it (RES-07).
        if group not in there and key not in draft.snapshot.workloads:
            draft.created[key] = podsets.workload_for(set_, group, draft.snapshot)


# What an existing Workload takes over from its set


def inherited(workload: Workload, set_: Set, snapshot: Snapshot) -> Workload:
    """The Workload with what the set says now; the same object if nothing changes."""
    current = workload
    queue = set_.labels.get(QUEUE_NAME, "")
    # The API server refuses another queue while quota is reserved: the change waits until it is released (QCH-05).
    if queue != workload.queue and queue_may_change(workload):
        current = replace(current, queue=queue)
    gates = podsets.gates(set_)
    if gates != workload.gated_by:
        current = replace(current, gated_by=gates)
    if class_changed(workload, set_) and (found := podsets.priority(set_, snapshot)) is not None:
        current = replace(current, priority_class=found[0], priority=found[1])
    return current


def queue_may_change(workload: Workload) -> bool:
    return not workload.true("QuotaReserved")


def class_changed(workload: Workload, set_: Set) -> bool:
    """Whether the set names another WorkloadPriorityClass than the Workload has, and it may still take it over.

    A class that a Workload took its priority from may be changed while it runs, never added or removed, by the API's
    own rules. A priority that came from the pods' PriorityClass is fixed.
    """
    group, name = workload.priority_class
    asked = set_.labels.get(PRIORITY_CLASS, "")
    if asked == name or (name and group != KUEUE):
        return False
    return bool(asked and name) or not workload.true("QuotaReserved")


# Workloads that nobody owns any more


def orphaned(workload: Workload, snapshot: Snapshot) -> bool:
    """Whether it stands for a group of a set that was deleted without its Workloads, even if there is a namesake."""
    if workload.owner or workload.group is None or not workload.set_name:
        return False
    set_ = snapshot.sets.get((workload.namespace, workload.set_name))
    return set_ is None or podsets.workload_name(set_, workload.group) != workload.name
