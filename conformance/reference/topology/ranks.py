"""Which pod goes to which domain of its podset's assignment.

Ranks fill the domains in the order of the assignment: rank = worker index - offset, where the offset is the number of
pods of the other, smaller podset of the group (the leader), and for a podset that is placed alone the annotation
`pod-index-offset` of its template (KEP-2724, "Rank-based ordering"; behaviours §2.4). Where an index is missing, given
twice or out of range, or where a running pod is not where its rank belongs, ranks cannot be used: then every pod that
runs keeps its place and each other pod takes the first free one. Never more pods than the assignment has places; a pod
for which there is none is left out, and waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from conformance import names
from conformance.reference.model import Key, Pod, TopologyAssignment, Values, Workload


def domains_for(workload: Workload, podset: str, pods: Sequence[Pod]) -> dict[Key, Values]:
    """The domain of each given pod of a podset; without a topology assignment there is none.

    Finished and terminating pods keep theirs, but do not stand in the way of those that replace them.
    """
    assignment = _assignment(workload, podset)
    if assignment is None:
        return {}
    slots = [values for values, number in assignment.domains for _ in range(number)]
    seats = {pod.key: seat for pod in pods if (seat := seat_of(pod, assignment)) is not None}
    live = [pod for pod in pods if not pod.deleted and not pod.finished]
    ranked = by_rank(live, slots, seats, offset(workload, podset))
    if ranked is None:
        ranked = by_order(live, slots, seats)
    return {**ranked, **seats}


def by_rank(
    pods: Sequence[Pod], slots: Sequence[Values], seats: Mapping[Key, Values], offset: int
) -> dict[Key, Values] | None:
    """Each pod's domain by its rank; None where ranks cannot be used."""
    ranks: dict[int, Pod] = {}
    for pod in pods:
        if pod.worker is None:
            return None
        rank = pod.worker - offset
        if not 0 <= rank < len(slots) or rank in ranks:
            return None
        if seats.get(pod.key, slots[rank]) != slots[rank]:
            return None
        ranks[rank] = pod
    return {pod.key: slots[rank] for rank, pod in ranks.items()}


def by_order(pods: Sequence[Pod], slots: Sequence[Values], seats: Mapping[Key, Values]) -> dict[Key, Values]:
    """The first free place for each pod that has none yet, in the order of their indexes and names."""
    taken = Counter(seats[pod.key] for pod in pods if pod.key in seats)
    free: list[Values] = []
    for values in slots:
        if taken[values]:
            taken[values] -= 1
        else:
            free.append(values)
    waiting = sorted(
        (pod for pod in pods if pod.key not in seats),
        key=lambda pod: (pod.worker is None, pod.worker or 0, pod.name),
    )
    return {pod.key: values for pod, values in zip(waiting, free, strict=False)}


def seat_of(pod: Pod, assignment: TopologyAssignment) -> Values | None:
    """Where a started pod was sent: by its node selector, or by its node. A gated pod sits nowhere yet."""
    if names.ADMISSION_GATE in pod.gates or names.TOPOLOGY_GATE in pod.gates:
        return None
    if all(level in pod.selector for level in assignment.levels):
        return tuple(pod.selector[level] for level in assignment.levels)
    if pod.node and assignment.levels == (names.HOSTNAME,):
        return (pod.node,)
    return None


def offset(workload: Workload, podset: str) -> int:
    """The index of the pod of rank 0."""
    podsets = {one.name: one for one in workload.podsets}
    mine = podsets.get(podset)
    if mine is None:
        return 0
    group = mine.topology.group if mine.topology is not None else ""
    if group:
        for place, other in enumerate(workload.podsets):
            if other.name != podset and other.topology is not None and other.topology.group == group:
                first = workload.podsets.index(mine) < place
                # Of two podsets of one pod each the first is the leader.
                leads = mine.count < other.count or (mine.count == other.count and first)
                return mine.index_offset + (0 if leads else other.count)
    return mine.index_offset


def node_selector(assignment: TopologyAssignment, values: Values) -> dict[str, str]:
    """The node selector that sends a pod to a domain of its assignment."""
    return dict(zip(assignment.levels, values, strict=True))


def _assignment(workload: Workload, podset: str) -> TopologyAssignment | None:
    if workload.admission is None:
        return None
    return next((given.topology for given in workload.admission.podsets if given.podset == podset), None)
