"""A node is lost: its pods get other nodes, and no other pod moves.

What a podset required holds for the new nodes too: they are in the domain in which the rest of the *group* sits,
leader and workers together, since the group is the unit of topology (KEP-2724; Kueue itself looks at the podset alone,
so that a lost leader may leave its workers' rack: kubernetes-sigs/kueue#6957). What it preferred is tried first. Pods
of a slice stay with the rest of their slice. Where no node can take over there is no replacement, and the group is
evicted by whoever asked (docs, "Fast hot swap"). Only assignments that name hosts can say which pods a node had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance import names
from conformance.reference.model import PodSet, TopologyAssignment, TopologyRequest, Values, Workload
from conformance.reference.topology import capacity, counting, fitting, leaves
from conformance.reference.topology.capacity import Capacity, Taken
from conformance.reference.topology.fitting import Placement
from conformance.reference.topology.leaves import Leaves


@dataclass(frozen=True, slots=True)
class Torn:
    """A podset that may have lost pods."""

    podset: PodSet
    flavor: str
    before: TopologyAssignment
    lost: Mapping[str, int]
    """Pods by host."""

    @property
    def request(self) -> TopologyRequest:
        return self.podset.topology or TopologyRequest(mode="unconstrained")

    @property
    def number(self) -> int:
        return sum(self.lost.values())

    @property
    def kept(self) -> dict[str, int]:
        return {values[-1]: pods for values, pods in self.before.domains if values[-1] not in self.lost}


Layers = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Try:
    """One way to look for other nodes."""

    domain: Values
    """To stay in; empty for anywhere."""
    depth: int
    """At which one domain is looked for first."""
    layers: Layers
    """Slices to keep whole."""
    whole: bool = False
    """All of it in one domain of that depth, since no pod of the group is left to be near to."""


def replaced(room: Capacity, workload: Workload, unhealthy: tuple[str, ...]) -> Placement:
    """The assignments of all podsets after the pods of the unhealthy nodes moved; see `Places.replace`."""
    bad = {room.host(name) for name in unhealthy} | set(unhealthy)
    groups, assignments = _torn(room, workload, bad)
    used: list[Taken] = []
    refusal = ""
    for group in groups:
        moved = _moved(room, group, bad, used)
        if moved is None:
            named = " and ".join(torn.podset.name for torn in group)
            refusal = f"no other node can take over the pods of podset(s) {named} that were on unhealthy nodes"
            break
        for torn, new in zip(group, moved, strict=True):
            assignments[torn.podset.name] = merged(room, torn, new)
    room.change(used, -1)
    return Placement(refusal=refusal) if refusal else Placement(assignments)


def _torn(room: Capacity, workload: Workload, bad: set[str]) -> tuple[list[list[Torn]], dict[str, TopologyAssignment]]:
    """The podsets of each group that lost pods, and the assignments as they are."""
    podsets = {podset.name: podset for podset in workload.podsets}
    groups: dict[str, list[Torn]] = {}
    assignments: dict[str, TopologyAssignment] = {}
    admission = workload.admission
    for given in () if admission is None else admission.podsets:
        podset = podsets.get(given.podset)
        if admission is None or given.topology is None or podset is None:
            continue
        assignments[podset.name] = given.topology
        if given.topology.levels[-1:] != (names.HOSTNAME,):
            continue
        lost = {values[-1]: pods for values, pods in given.topology.domains if values[-1] in bad}
        flavors = [flavor for flavor in capacity.flavors_of(admission, given) if room.tree(flavor) is not None]
        partner = podset.topology.group if podset.topology is not None else ""
        torn = Torn(podset, flavors[0] if flavors else "", given.topology, lost)
        groups.setdefault(f"group {partner}" if partner else podset.name, []).append(torn)
    return [group for group in groups.values() if any(torn.lost for torn in group)], assignments


def _moved(room: Capacity, group: Sequence[Torn], bad: set[str], used: list[Taken]) -> list[dict[str, int]] | None:
    """By podset of a group: the new hosts of its lost pods. What they take is added to `used` and taken."""
    tree = room.tree(group[0].flavor)
    if tree is None:
        return None
    moved: list[dict[str, int]] = [{} for _ in group]
    # Pods of slices are moved host by host, since each host's have their own slice to stay with.
    pieces = [{host: pods} for host, pods in group[0].lost.items()] if group[0].request.slices else [None]
    for piece in pieces:
        parts = [torn if piece is None else Torn(torn.podset, torn.flavor, torn.before, piece) for torn in group]
        for one in tries(room, tree, group, parts[0]):
            new = _placed(room, tree, parts, one, bad)
            if new is not None:
                break
        else:
            return None
        for torn, sum_, more in zip(group, moved, new, strict=True):
            given = TopologyAssignment(tree.shown, tuple(((host,), pods) for host, pods in more.items()))
            taken = capacity.taken_of(capacity.per_pod(torn.podset), (torn.flavor,), given)
            room.change(taken, 1)
            used.extend(taken)
            for host, pods in more.items():
                sum_[host] = sum_.get(host, 0) + pods
    return moved


def tries(room: Capacity, tree: Leaves, group: Sequence[Torn], part: Torn) -> list[Try]:
    """Where lost pods may go, best first."""
    request = group[0].request
    depths = {level: depth for depth, level in enumerate(tree.topology.levels, start=1)}
    layers = tuple((depths.get(level, tree.depth), size) for level, size in request.slices)
    if layers:
        home, inner = slice_home(room, tree, group[0], part, layers)
        if home is not None:
            return [Try(home, inner[0][0] if inner else tree.depth, inner)]
    start = layers[0][0] if layers else tree.depth
    depth = depths.get(request.level, 0) if request.mode in ("required", "preferred") else 0
    if request.mode == "required":
        if not any(torn.kept for torn in group):
            return [Try((), depth, layers, whole=True)]
        held = domain_held(room, tree, group, depth)
        return [] if held is None else [Try(held, start, layers)]
    held = domain_held(room, tree, group, depth) or ()
    return [Try(held[:up], start, layers) for up in range(len(held), -1, -1)]


def domain_held(room: Capacity, tree: Leaves, group: Sequence[Torn], depth: int) -> Values | None:
    """The domain in which what is left of a group sits; None if nobody can tell."""
    for torn in group:
        for host in torn.kept:
            values = values_of(room, tree, host)
            if values is not None:
                return values[:depth]
    return None


def slice_home(room: Capacity, tree: Leaves, whole: Torn, part: Torn, layers: Layers) -> tuple[Values | None, Layers]:
    """The domain of the slices that lost pods on a host, if other pods of theirs still run, and the finer slices."""
    (host,) = part.lost
    values = values_of(room, tree, host)
    for place in range(len(layers) - 1, -1, -1):
        depth, size = layers[place]
        if depth == tree.depth:
            continue
        if values is None:
            neighbour = _neighbour(whole, host, size)
            beside = None if neighbour is None else values_of(room, tree, neighbour)
            if beside is not None:
                return beside[:depth], layers[place + 1 :]
        elif any((values_of(room, tree, kept) or ())[:depth] == values[:depth] for kept in whole.kept):
            return values[:depth], layers[place + 1 :]
    return None, layers


def _neighbour(whole: Torn, host: str, size: int) -> str | None:
    """A host whose pods share a slice with those of a host that is gone with its labels: known by the ranks alone."""
    ranks = [values[-1] for values, pods in whole.before.domains for _ in range(pods)]
    lost = [rank for rank, on in enumerate(ranks) if on == host]
    beside = range(lost[0] // size * size, min(len(ranks), -(-(lost[-1] + 1) // size) * size))
    return next((ranks[rank] for rank in beside if ranks[rank] not in whole.lost), None)


def _placed(
    room: Capacity, tree: Leaves, parts: Sequence[Torn], one: Try, bad: set[str]
) -> list[dict[str, int]] | None:
    """By podset: hosts for its lost pods, as one way of looking finds them."""
    domain = one.domain
    inside = [values[: len(domain)] == domain and values[-1] not in bad for values in tree.values]
    torn = sorted((part for part in parts if part.number), key=lambda part: part.number)
    leader = torn[0] if len(torn) == 2 else None
    worker = torn[-1]
    ask = counting.Ask(
        pods=worker.number,
        requests=capacity.per_pod(worker.podset),
        mask=_both(inside, leaves.allowed(tree, worker.podset.template)),
        leader=None if leader is None else capacity.per_pod(leader.podset),
        leader_mask=None if leader is None else _both(inside, leaves.allowed(tree, leader.podset.template)),
        layers=one.layers,
    )
    fits = fitting.room(tree, *counting.counted(room.stock(worker.flavor).free, ask, len(tree.values)), ask)
    choose = fitting.required if one.whole else fitting.preferred
    chosen = choose(fits, one.depth, ask.units)
    if chosen is None:
        return None
    found = fitting.spread(tree, fits, ask, *chosen)
    pods = {tree.show(place)[-1]: number for place, number in found.pods.items()}
    at = {} if found.leader is None else {tree.show(found.leader)[-1]: 1}
    return [pods if part is worker else at if part is leader else {} for part in parts]


def _both(inside: list[bool], mask: list[bool] | None) -> list[bool]:
    return inside if mask is None else [one and other for one, other in zip(inside, mask, strict=True)]


def values_of(room: Capacity, tree: Leaves, host: str) -> Values | None:
    """All level values of a host, even of one that is cordoned or NotReady; None once they are not known any more."""
    if host in tree.hosts:
        return tree.values[tree.hosts[host]]
    node = room.node(host)
    if node is None or any(level not in node.labels for level in tree.topology.levels):
        return None
    return tuple(node.labels[level] for level in tree.topology.levels)


def merged(room: Capacity, torn: Torn, new: Mapping[str, int]) -> TopologyAssignment:
    """The assignment with the new hosts in place of the lost ones, by level values again.

    With a partial slice the order is kept instead, the new hosts where the first lost one was (`fitting.order`).
    """
    if not torn.lost:
        return torn.before
    pods = dict(torn.kept)
    for host, number in new.items():
        pods[host] = pods.get(host, 0) + number
    request = torn.request
    tree = room.tree(torn.flavor)
    if request.slices and torn.podset.count % request.slices[0][1]:
        first = next(at for at, (values, _) in enumerate(torn.before.domains) if values[-1] in torn.lost)
        hosts = [values[-1] for values, _ in torn.before.domains]
        ordered = [host for host in dict.fromkeys([*hosts[:first], *new, *hosts[first:]]) if host in pods]
    elif tree is None:
        ordered = sorted(pods)
    else:
        ordered = sorted(pods, key=lambda host: values_of(room, tree, host) or (host,))
    return TopologyAssignment(torn.before.levels, tuple(((host,), pods[host]) for host in ordered))
