"""A node of an admitted group is lost: its pods move to another node, or the whole group is placed anew.

Rule (docs "Topology Aware Scheduling", KEP-2724; where the lowest level is the hostname): a node that is deleted, or is
NotReady or tainted against the group while no pod of the group runs on it any more, is listed in
`status.unhealthyNodes`. Then its part of the assignment moves to another node in the same required domain, and the rest
stays. If there is none, or a second node is lost meanwhile, the group is evicted with reason NodeFailures. A node that
is NotReady while pods of the group run on it is left alone. Nobody is preempted for a replacement.

The list is stored before the assignment changes, so that everybody can see why an admitted group moved. The pods that
were let go to the old node are deleted by `pods`, once the new assignment is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from conformance import names
from conformance.reference import eviction, matching, pods, room, topology
from conformance.reference.draft import Draft
from conformance.reference.model import Admission, Assignment, Node, Toleration, Workload

if TYPE_CHECKING:
    from conformance.reference.topology import Places


def keep(draft: Draft) -> None:
    """Judge the nodes of every admitted group that was placed on nodes."""
    replacing = Replacing(draft)
    for workload in draft.all_workloads():
        if not on_nodes(workload) or workload.key in draft.deleted_workloads:
            continue
        changed = judged(draft, workload, replacing)
        if changed is not workload:
            draft.put(changed)


class Replacing:
    """What a pass needs for this, worked out when it is first asked for: most passes have no lost node."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._nodes: Mapping[str, Node] | None = None
        self._places: Places | None = None

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Nodes by the value that assignments name them with."""
        if self._nodes is None:
            self._nodes = {n.labels.get(names.HOSTNAME, n.name): n for n in self.draft.snapshot.nodes.values()}
        return self._nodes

    @property
    def places(self) -> Places:
        """What is free, with the replacements of this pass taken."""
        if self._places is None:
            self._places = topology.Places.of(self.draft)
            # What this pass takes from others is not free before that is stored.
            for workload, admission in room.freed(self.draft):
                self._places.take(workload, admission)
        return self._places


def on_nodes(workload: Workload) -> bool:
    """Whether it is an admitted group whose places are single nodes."""
    if workload.admission is None or not any(names_nodes(podset) for podset in workload.admission.podsets):
        return False
    return workload.admitted and not workload.evicted and not workload.deleted


def names_nodes(podset: Assignment) -> bool:
    """Whether a podset's places are single nodes."""
    return podset.topology is not None and bool(podset.topology.levels) and podset.topology.levels[-1] == names.HOSTNAME


def assigned(admission: Admission) -> dict[str, list[Assignment]]:
    """The nodes of an admission, by hostname, with the podsets that have pods on each."""
    found: dict[str, list[Assignment]] = {}
    for podset in admission.podsets:
        if podset.topology is not None and names_nodes(podset):
            for values, _ in podset.topology.domains:
                found.setdefault(values[-1], []).append(podset)
    return found


def judged(draft: Draft, workload: Workload, replacing: Replacing) -> Workload:
    """The Workload with its lost node listed, replaced, or no longer listed; or evicted."""
    assert workload.admission is not None
    lost = sorted(lost_nodes(draft, workload, workload.admission, replacing.nodes))
    if not lost:
        return replace(workload, unhealthy=()) if workload.unhealthy else workload
    listed = tuple(host for host in workload.unhealthy if host in lost)
    if len(lost) > 1:
        several = ", ".join([*listed, *(host for host in lost if host not in listed)])
        message = f"Workload eviction triggered due to multiple TAS assigned node failures, including: {several}"
        return eviction.evicted(workload, eviction.NODE_FAILURES, message, draft.now)
    if not listed:
        return replace(workload, unhealthy=(lost[0],))
    return replaced(draft, workload, workload.admission, listed, replacing.places)


def replaced(
    draft: Draft, workload: Workload, admission: Admission, listed: tuple[str, ...], places: Places
) -> Workload:
    """The Workload with other places instead of those on a lost node; evicted if there are none."""
    placement = places.replace(workload, listed)
    if placement.refusal:
        message = f"Workload was evicted as there was no replacement for unhealthy node(s): {','.join(listed)}"
        return eviction.evicted(workload, eviction.NODE_FAILURES, message, draft.now)
    podsets = tuple(replace(p, topology=placement.assignments.get(p.podset, p.topology)) for p in admission.podsets)
    moved = replace(admission, podsets=podsets)
    # Another group of this pass may look for a replacement, too.
    places.release(workload, admission)
    places.take(workload, moved)
    return replace(workload, admission=moved, unhealthy=())


# Which nodes are lost


def lost_nodes(draft: Draft, workload: Workload, admission: Admission, nodes: Mapping[str, Node]) -> Iterator[str]:
    """The hostnames of its places that are lost to it."""
    for host, podsets in assigned(admission).items():
        node = nodes.get(host)
        if node is None or (unfit(draft, workload, podsets, node) and not runs_on(draft, workload, node)):
            yield host


def unfit(draft: Draft, workload: Workload, podsets: list[Assignment], node: Node) -> bool:
    """Whether a node is NotReady, or tainted against a podset that has places on it."""
    if not node.ready:
        return True
    if not node.taints:
        return False
    return not all(matching.tolerates_all(tolerations(draft, workload, podset), node.taints) for podset in podsets)


def tolerations(draft: Draft, workload: Workload, given: Assignment) -> tuple[Toleration, ...]:
    """What the pods of a podset tolerate once they are let go: by their template, their flavors and their checks."""
    injected = pods.injection(workload, given, draft.snapshot)
    own = [toleration for p in workload.podsets if p.name == given.podset for toleration in p.template.tolerations]
    return (*own, *(injected.tolerations if injected is not None else ()))


def runs_on(draft: Draft, workload: Workload, node: Node) -> bool:
    """Whether a pod of the group is on that node and neither finished nor on its way out."""
    group = workload.group_key
    if group is None:
        return False
    there = draft.snapshot.pods.get(group, {}).values()
    return any(
        pod.node == node.name and not pod.deleted and not pod.finished and eviction.belongs(pod, workload)
        for pod in there
    )
