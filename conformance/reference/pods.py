"""Last step of a pass: pods follow the Workload of their group.

The rule (Kueue docs, "Run LeaderWorkerSet" and "Topology Aware Scheduling"; KEP-976): a pod stays gated until its
group's Workload is admitted; then one change makes it a member of the group, gives it what its podset was assigned
(labels and tolerations of the flavors, updates of the admission checks, its topology domain) and takes both gates off.
Gates that others put on it stay. When the group is no longer admitted its pods are deleted, since a gate cannot be put
back; the StatefulSets make new ones, gated. Pods of sets that are not queued, or not known, are never touched.

Only what the API server has stored counts, not what this pass decides: a pod let go on an admission whose write is
refused later would run without quota. A group therefore starts one pass after its admission was written.

Rolling updates need nothing here. The StatefulSet controller replaces a pod of an old revision whether it is ready or
not, from the highest index that the partition lets it, so a gated one too; Kueue's ungating of such pods without
admission (ROLL-09) has no use. Deleting them would: below the partition they come back with the old revision, for ever.
A worker whose revision is not its leader's is about to be collected with its StatefulSet, and is not started any more.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from conformance.names import (
    CLUSTER_QUEUE_NAME,
    LOCAL_QUEUE_NAME,
    MANAGED,
    OUR_GATES,
    POD_GROUP_NAME,
    POD_GROUP_TOTAL_COUNT,
    PODSET,
    PREBUILT_WORKLOAD,
    QUEUE_NAME,
    REVISION,
    ROLE_HASH,
    UNCONSTRAINED_TOPOLOGY,
    WORKLOAD,
)
from conformance.reference import groups, podsets
from conformance.reference.draft import Draft
from conformance.reference.model import Assignment, GroupKey, Pod, Set, Snapshot, Toleration, Values, Workload
from conformance.reference.topology import ranks

_ANYWHERE: Final[tuple[Values, set[Values]]] = ((), set())
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def keep(draft: Draft) -> None:
    """Start the gated pods of admitted groups, and delete the started pods of groups that are not admitted."""
    snapshot = draft.snapshot
    for group in snapshot.pods:
        set_ = snapshot.sets.get(group[:2])
        # The pods of a set that is being deleted are the garbage collector's.
        if set_ is None or set_.deleted or not groups.managed(set_.labels, set_.namespace, snapshot, draft.rules):
            continue
        _keep_group(draft, set_, group)


def _keep_group(draft: Draft, set_: Set, group: GroupKey) -> None:
    key = podsets.workload_key(set_, group[2])
    stored, decided = draft.snapshot.workloads.get(key), draft.workload(key)
    pods: list[Pod] = []
    for pod in filter(alive, draft.pods_of(group)):
        if belongs(pod, key[1]):
            pods.append(pod)
        elif lost(pod, draft.snapshot):
            draft.delete_pod(pod)
    if stored is None or not may_run(stored):
        for pod in filter(must_stop, pods):
            draft.delete_pod(pod)
    elif decided is stored or (decided is not None and may_run(decided) and decided.admission == stored.admission):
        for pod in starts(stored, pods, draft.snapshot):
            draft.put_pod(pod)
        for pod in astray(pods, stored, draft.snapshot):
            draft.delete_pod(pod)


# Which pods, which Workloads


def alive(pod: Pod) -> bool:
    """Whether there is still something to decide about it."""
    return not pod.deleted and not pod.finished


def gated(pod: Pod) -> bool:
    """Whether queueing holds it back. Gates of others do not count (kueue issue 9482)."""
    return bool(pod.gates) and any(gate in OUR_GATES for gate in pod.gates)


def belongs(pod: Pod, workload: str) -> bool:
    """Whether it is no pod of another set that had the same name before."""
    return pod.annotations.get(PREBUILT_WORKLOAD, workload) == workload


def may_run(workload: Workload) -> bool:
    """Whether the pods of the group may run now."""
    return workload.admitted and not workload.evicted and not workload.deleted


def lost(pod: Pod, snapshot: Snapshot) -> bool:
    """Whether it was born for a Workload that is not there, and never ran: deleted, it is born again for the right one.

    That is how a pod is born when the webhook has not yet seen that its set was created anew under the same name.
    """
    return gated(pod) and (pod.namespace, pod.annotations[PREBUILT_WORKLOAD]) not in snapshot.workloads


def must_stop(pod: Pod) -> bool:
    """Whether a pod must go whose group has no Workload, or one that is not admitted or being evicted."""
    return not gated(pod)


def astray(pods: Iterable[Pod], workload: Workload, snapshot: Snapshot) -> list[Pod]:
    """The started pods bound to a domain that their podset no longer has: a node was replaced (KEP-2724)."""
    assigned_to = () if workload.admission is None else workload.admission.podsets
    places = {
        given.podset: (given.topology.levels, {domain for domain, _ in given.topology.domains})
        for given in assigned_to
        if given.topology is not None
    }
    found: list[Pod] = []
    for pod in pods if places else ():
        levels, domains = places.get(podsets.podset_of(pod, workload), _ANYWHERE)
        if levels and not gated(pod):
            values = domain_of(pod, levels, snapshot)
            if values is not None and values not in domains:
                found.append(pod)
    return found


def domain_of(pod: Pod, levels: Values, snapshot: Snapshot) -> Values | None:
    """The topology domain in which a pod must run or runs; None where nothing says."""
    values = tuple([pod.selector.get(level, "") for level in levels])
    if "" in values and (node := snapshot.nodes.get(pod.node)) is not None:
        values = tuple([pod.selector.get(level) or node.labels.get(level, "") for level in levels])
    return None if "" in values else values


def assigned(workload: Workload, podset: str) -> Assignment | None:
    """What a podset was given."""
    if workload.admission is None:
        return None
    return next((given for given in workload.admission.podsets if given.podset == podset), None)


# Starting


def starts(workload: Workload, pods: Sequence[Pod], snapshot: Snapshot) -> list[Pod]:
    """The gated ones among the living pods of an admitted group, as they are to become: those that can start now.

    Never more pods of a podset run than it has: what is beyond that stays gated (kueue issue 8807).
    """
    if not any(map(gated, pods)):
        return []
    revisions = {pod.labels.get(REVISION, "") for pod in pods if pod.is_leader}
    by_podset: dict[str, list[Pod]] = {}
    for pod in pods:
        by_podset.setdefault(podsets.podset_of(pod, workload), []).append(pod)
    found: list[Pod] = []
    for name, members in by_podset.items():
        given = assigned(workload, name)
        wait = [pod for pod in members if gated(pod) and not outdated(pod, revisions)]
        if given is None or not wait or given.delayed == "Pending":
            continue
        injected = injection(workload, given, snapshot)
        if injected is None:
            continue
        running = [pod for pod in members if not gated(pod)]
        chosen = first_ranks(wait)[: max(given.count - len(running), 0)]
        if given.topology is None:
            found += [_with(pod, injected, given, None) for pod in chosen]
        else:
            domains = ranks.domains_for(workload, name, running + chosen)
            found += [_with(pod, injected, given, domains[pod.key]) for pod in chosen if pod.key in domains]
    return found


def first_ranks(pods: Iterable[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: (pod.worker is None, pod.worker or 0, pod.name))


def outdated(pod: Pod, leaders: Collection[str]) -> bool:
    """Whether it is a worker of another template revision than the leader that is there."""
    return not pod.is_leader and bool(leaders) and pod.labels.get(REVISION, "") not in leaders


def started(pod: Pod, workload: Workload, snapshot: Snapshot, values: Values | None) -> Pod:
    """A pod as it must be once its group is admitted; `values` is its topology domain.

    The same pod where that cannot be told: its podset has no assignment, or a flavor of it is gone.
    """
    given = assigned(workload, podsets.podset_of(pod, workload))
    injected = None if given is None else injection(workload, given, snapshot)
    return pod if given is None or injected is None else _with(pod, injected, given, values)


@dataclass(frozen=True, slots=True)
class Injection:
    """What all pods of one podset are given when they start."""

    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[Toleration] = field(default_factory=list)


def injection(workload: Workload, given: Assignment, snapshot: Snapshot) -> Injection | None:
    """What a podset's pods are given; None while one of its flavors is missing: nobody can tell where they belong."""
    injected = Injection(labels_of(workload, given), annotations_of(workload, given))
    for name in dict.fromkeys(given.flavors[resource] for resource in sorted(given.flavors)):
        flavor = snapshot.flavors.get(name)
        if flavor is None:
            return None
        injected.selector.update(flavor.node_labels)
        _add(injected.tolerations, flavor.tolerations)
    for check in workload.checks:
        for update in check.raw.get("podSetUpdates") or ():
            if update.get("name") == given.podset:
                _update(injected, update)
    return injected


def labels_of(workload: Workload, given: Assignment) -> dict[str, str]:
    labels = {MANAGED: "true", PODSET: given.podset}
    if workload.queue:
        labels[QUEUE_NAME] = labels[LOCAL_QUEUE_NAME] = workload.queue
    # A ClusterQueue's name may be longer than a label's value, or have dots (NAME-06).
    if workload.admission is not None and _LABEL.fullmatch(workload.admission.cluster_queue):
        labels[CLUSTER_QUEUE_NAME] = workload.admission.cluster_queue
    return labels


def annotations_of(workload: Workload, given: Assignment) -> dict[str, str]:
    total = sum(podset.count for podset in workload.podsets)
    annotations = {**identity(workload.name, total, given.podset), WORKLOAD: workload.name}
    asked = next((podset.topology for podset in workload.podsets if podset.name == given.podset), None)
    if given.topology is not None and (asked is None or not asked.mode):
        annotations[UNCONSTRAINED_TOPOLOGY] = "true"
    return annotations


def identity(workload: str, total: int, podset: str) -> dict[str, str]:
    """The annotations that make a pod a member of its group (KEP-976)."""
    return {
        POD_GROUP_NAME: workload,
        PREBUILT_WORKLOAD: workload,
        POD_GROUP_TOTAL_COUNT: str(total),
        ROLE_HASH: podset,
    }


def _update(injected: Injection, update: Mapping[str, Any]) -> None:
    """One of the `podSetUpdates` of an admission check."""
    injected.labels.update(update.get("labels") or {})
    injected.annotations.update(update.get("annotations") or {})
    injected.selector.update(update.get("nodeSelector") or {})
    _add(injected.tolerations, (toleration(raw) for raw in update.get("tolerations") or ()))


def toleration(raw: Mapping[str, Any]) -> Toleration:
    """A toleration as the API writes it."""
    return Toleration(
        key=raw.get("key") or "",
        operator=raw.get("operator") or "Equal",
        value=raw.get("value") or "",
        effect=raw.get("effect") or "",
        seconds=raw.get("tolerationSeconds"),
    )


def _add(tolerations: list[Toleration], more: Iterable[Toleration]) -> None:
    tolerations += [toleration for toleration in dict.fromkeys(more) if toleration not in tolerations]


def _with(pod: Pod, injected: Injection, given: Assignment, values: Values | None) -> Pod:
    selector = {**injected.selector}
    if values is not None and given.topology is not None:
        selector |= ranks.node_selector(given.topology, values)
    tolerations = list(pod.tolerations)
    _add(tolerations, injected.tolerations)
    return replace(
        pod,
        labels={**pod.labels, **injected.labels},
        annotations={**pod.annotations, **injected.annotations},
        # The API server lets a gated pod's selector only grow: what the pod asks for itself stays as it is.
        selector={**selector, **pod.selector},
        tolerations=tuple(tolerations),
        gates=tuple(gate for gate in pod.gates if gate not in OUR_GATES),
    )
