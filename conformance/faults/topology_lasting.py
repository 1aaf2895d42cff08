"""Faults about what was decided once: assignments that are incomplete, rewritten or not kept to, and lost nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed

from conformance.faults.model import fault, replace
from conformance.reference import admission as admitting
from conformance.reference import births, eviction, node_failures, pods
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    ClusterQueue,
    Key,
    Node,
    Pod,
    Snapshot,
    TopologyAssignment,
    Values,
    Workload,
)
from conformance.reference.node_failures import Replacing
from conformance.reference.topology import Places, fitting, ranks, replacing
from conformance.reference.topology.capacity import Capacity
from conformance.reference.topology.leaves import Leaves
from conformance.reference.topology.replacing import Torn, Try

# Assignments


@fault(
    "A topology assignment has one pod less than its podset.",
    caught={
        **dict.fromkeys(("TAS-01", "TAS-03", "V1", "V4", "V4b", "V5", "V6", "V6c", "V7", "V8"), "running"),
        **dict.fromkeys(("V12", "V16", "V17", "V20"), "running"),
        **dict.fromkeys(("V11", "V18"), ("running", "assigned_as")),
        "V21": ("running", "in_slices"),
        "V22": "ready",
        "I4": "I4",
    },
)
def assignment_for_fewer_pods() -> None:
    whole = fitting.assignment

    def assignment(tree: Leaves, places: Sequence[int], of: Mapping[int, int]) -> TopologyAssignment:
        if sum(of.values()) < 2:
            return whole(tree, places, of)
        less = dict(of)
        less[places[-1]] -= 1
        return whole(tree, [place for place in places if less[place]], less)

    replace(fitting, "assignment", assignment)


@fault(
    "A group is admitted to one host, whatever fits there, and is given its places before its pods start.",
    caught={
        **dict.fromkeys(("V4", "V4b", "V5", "V6", "V6c", "V7", "V8", "V11"), "assigned_as"),
        **dict.fromkeys(("V12", "V13", "V15", "V16", "V17", "V18", "V20"), "assigned_as"),
        "TAS-30": "hosts_within_capacity",
        "I9": "I9",
    },
)
def places_corrected_later() -> None:
    reserve, judged = admitting.reserve, node_failures.judged
    guessed: dict[Key, tuple[Admission, Admission]] = {}

    def roughly(draft: Draft, workload: Workload, queue: ClusterQueue, admission: Admission) -> Workload:
        hosts = _hosts_of(draft, admission)
        used = {values[-1] for given in admission.podsets if given.topology for values, _ in given.topology.domains}
        leader = next(
            (given.topology.domains[0][0][-1] for given in admission.podsets if given.topology and given.count == 1), ""
        )
        elsewhere = [host for host in hosts if host != leader]
        if len(used) and elsewhere and workload.key not in guessed and len(admission.podsets) > 1:
            rough = changed(
                admission,
                podsets=tuple(
                    changed(given, topology=changed(given.topology, domains=(((elsewhere[0],), given.count),)))
                    if given.topology
                    else given
                    for given in admission.podsets
                ),
            )
            guessed[workload.key] = rough, admission
            return reserve(draft, workload, queue, rough)
        return reserve(draft, workload, queue, admission)

    def corrected(draft: Draft, workload: Workload, replacing: Replacing) -> Workload:
        rough, right = guessed.get(workload.key, (None, None))
        if right is not None and workload.admission == rough:
            return changed(workload, admission=right)
        return judged(draft, workload, replacing)

    replace(admitting, "reserve", roughly)
    replace(node_failures, "judged", corrected)


def _hosts_of(draft: Draft, admission: Admission) -> list[str]:
    """The hosts of the flavors of an admission, without the one of canaries, which is spoilt for all others."""
    flavors = {name for given in admission.podsets for name in given.flavors.values()}
    labels = [draft.snapshot.flavors[name].node_labels.items() for name in flavors]
    found = [node for node in draft.snapshot.nodes.values() if any(wanted <= node.labels.items() for wanted in labels)]
    return sorted(node.name for node in found if len(node.taints) < 2)


@fault(
    "The place of the leader is rewritten when the pods of its group start, and they stay where they are.",
    caught={"TAS-01": "bound_as_assigned", "V20": ("bound_as_assigned", "keeps uids_on"), "I9": "I9"},
)
def assignment_rewritten_later() -> None:
    keep = pods.keep
    done: set[tuple[Key, float]] = set()

    def and_rewrite(draft: Draft) -> None:
        keep(draft)
        for workload in draft.all_workloads():
            admission, group, admitted = workload.admission, workload.group_key, workload.conditions.get("Admitted")
            if admission is None or group is None or admitted is None or len(admission.podsets) < 2:
                continue
            there = draft.snapshot.pods.get(group, {}).values()
            started = sum(not pods.gated(pod) for pod in there) == sum(podset.count for podset in workload.podsets)
            if started and pods.may_run(workload) and (workload.key, admitted.since) not in done:
                done.add((workload.key, admitted.since))
                draft.put(changed(workload, admission=_leader_beside_the_last(admission)))

    replace(pods, "keep", and_rewrite)
    replace(pods, "astray", lambda them, workload, snapshot: [])


def _leader_beside_the_last(admission: Admission) -> Admission:
    """The same with the leader on the host of the last worker, or on that of the first one if it is there."""
    leader, workers = sorted(admission.podsets, key=lambda given: given.count)
    if leader.topology is None or workers.topology is None:
        return admission
    hosts = [domain for domain, _ in reversed(workers.topology.domains)]
    other = next((host for host in hosts if host != leader.topology.domains[0][0]), hosts[0])
    moved = changed(leader, topology=changed(leader.topology, domains=((other, leader.count),)))
    return changed(admission, podsets=tuple(moved if given is leader else given for given in admission.podsets))


@fault(
    "Pods are let go without the node selector of their place, and run wherever there is room.",
    caught={"TAS-01": ("whole_group_in_one_rack", "bound_as_assigned"), "V1": "placed_as", "I5": "I5"},
)
def places_not_enforced() -> None:
    replace(ranks, "node_selector", lambda assignment, values: {})
    replace(pods, "astray", lambda them, workload, snapshot: [])


@fault(
    "Each pod of a group is sent to the place of another, in another rack.",
    caught={"TAS-01": ("whole_group_in_one_rack", "bound_as_assigned"), "I5": "I5"},
)
def places_exchanged() -> None:
    selector = ranks.node_selector

    def other(assignment: TopologyAssignment, values: Values) -> dict[str, str]:
        right = selector(assignment, values)
        return {level: _neighbour(name) for level, name in right.items()}

    replace(ranks, "node_selector", other)
    replace(pods, "astray", lambda them, workload, snapshot: [])


def _neighbour(host: str) -> str:
    """`…-h3` for `…-h1` and `…-h1` for `…-h3`, and so for the others."""
    name, digit = host[:-1], host[-1]
    return name + {"1": "3", "2": "4", "3": "1", "4": "2"}.get(digit, digit)


@fault(
    "When scale-up adds a group to a set, those that run are evicted and placed anew.",
    caught={"TAS-19": ("keeps pod_uids", "keeps workload_uid")},
)
def scale_up_moves_running_groups() -> None:
    judged = node_failures.judged
    known: dict[Key, int] = {}

    def moved(draft: Draft, workload: Workload, replacing: Replacing) -> Workload:
        set_ = draft.snapshot.sets.get((workload.namespace, workload.set_name))
        replicas = 0 if set_ is None else set_.replicas
        before, known[workload.key] = known.get(workload.key, replicas), replicas
        if replicas > before:
            return eviction.evicted(workload, eviction.NODE_FAILURES, "another group was added to the set", draft.now)
        return judged(draft, workload, replacing)

    replace(node_failures, "judged", moved)


# Lost nodes


@fault(
    "A pod that takes the place of one that is gone stays gated.",
    caught={"V20": "ready"},
)
def replacement_gated() -> None:
    starts, born_ready = pods.starts, births.born_ready
    complete: set[Key] = set()

    def first_only(workload: Workload, them: Sequence[Pod], snapshot: Snapshot) -> list[Pod]:
        if sum(not pods.gated(pod) for pod in them) >= sum(podset.count for podset in workload.podsets):
            complete.add(workload.key)
        return [] if workload.key in complete else starts(workload, them, snapshot)

    replace(pods, "starts", first_only)
    replace(
        births, "born_ready", lambda newborn, name, snapshot: None if complete else born_ready(newborn, name, snapshot)
    )


@fault(
    "For the pods of a lost node another rack is looked for first.",
    caught={"V20": ("ready", "placed_as"), "I3": "I3"},
    upstream="https://github.com/kubernetes-sigs/kueue/issues/6957",
)
def replacement_leaves_the_rack() -> None:
    tries = replacing.tries

    def elsewhere(room: Capacity, tree: Leaves, group: Sequence[Torn], part: Torn) -> list[Try]:
        inside = tries(room, tree, group, part)
        homes = {one.domain for one in inside}
        racks = sorted({values[:2] for values in tree.values} - homes)
        return [changed(one, domain=rack) for one in inside[:1] for rack in racks] + inside

    replace(replacing, "tries", elsewhere)


@fault(
    "A group that lost a node is evicted whole although a host in its rack can take over.",
    caught={"V20": "keeps uids_on"},
)
def evicted_despite_spare() -> None:
    def evicted(
        draft: Draft, workload: Workload, admission: Admission, listed: tuple[str, ...], places: Places
    ) -> Workload:
        return eviction.evicted(workload, eviction.NODE_FAILURES, "a node is lost", draft.now)

    replace(node_failures, "replaced", evicted)


@fault(
    "A group that lost a node keeps its reservation and waits when no host in its rack can take over.",
    caught={"V20": ("ready", "placed_as")},
)
def not_evicted_without_spare() -> None:
    replaced = node_failures.replaced

    def kept(
        draft: Draft, workload: Workload, admission: Admission, listed: tuple[str, ...], places: Places
    ) -> Workload:
        became = replaced(draft, workload, admission, listed, places)
        return workload if became.evicted else became

    replace(node_failures, "replaced", kept)


@fault(
    "That a node is gone is not noticed, and the pods that were on it are waited for there.",
    caught={"V20": ("ready", "placed_as")},
)
def lost_nodes_not_noticed() -> None:
    lost = node_failures.lost_nodes

    def there(draft: Draft, workload: Workload, admission: Admission, nodes: Mapping[str, Node]) -> Iterator[str]:
        return (host for host in lost(draft, workload, admission, nodes) if host in nodes)

    replace(node_failures, "lost_nodes", there)
