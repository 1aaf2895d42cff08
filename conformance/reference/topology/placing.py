"""Where the pods of a group go.

`required`: all pods of a podset in one domain of the level, or it waits. `preferred`: the level, then each one above,
at last spread; never refused while the nodes have room. `unconstrained`, and pods that ask for nothing in a queue whose
flavors all have a topology (`implied`): anywhere, but node by node. Podsets with the same podset-group name (leader and
workers) are placed in one domain together, exactly (`fitting`); those without are placed one after another, each
seeing what the earlier ones took, in any domains. A podset of no pods is left out.
Source: Kueue docs, Topology Aware Scheduling; KEP-2724; spec §2.2 and §2.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.reference.draft import Draft
from conformance.reference.model import Admission, PodSet, TopologyAssignment, TopologyRequest, Workload
from conformance.reference.topology import capacity, counting, fitting, leaves, replacing
from conformance.reference.topology.capacity import Capacity, Taken
from conformance.reference.topology.fitting import Placement
from conformance.reference.topology.leaves import Leaves

_ANYWHERE = TopologyRequest(mode="unconstrained")


@dataclass(frozen=True, slots=True)
class Unit:
    """Podsets that are placed in one go: one of them, or a leader's and its workers'."""

    podset: PodSet
    flavor: str
    request: TopologyRequest
    leader: PodSet | None = None

    @property
    def pods(self) -> int:
        return self.podset.count + (1 if self.leader is not None else 0)

    def taken(self, podset: str, given: TopologyAssignment) -> list[Taken]:
        """What one of its podsets takes in an assignment."""
        of = self.leader if self.leader is not None and self.leader.name == podset else self.podset
        return capacity.taken_of(capacity.per_pod(of), (self.flavor,), given)


class Places:
    """The topology as it stands in a pass."""

    def __init__(self, room: Capacity) -> None:
        self.capacity = room
        self._refused: dict[object, tuple[int, str]] = {}

    @classmethod
    def of(cls, draft: Draft) -> Places:
        """As it is after what a pass has decided so far."""
        return cls(Capacity.of(draft))

    def take(self, workload: Workload, admission: Admission) -> None:
        """Count the assignments of an admission as used."""
        self.capacity.take(workload, admission)

    def release(self, workload: Workload, admission: Admission) -> None:
        """Count them as free again."""
        self.capacity.release(workload, admission)

    def place(self, workload: Workload, flavors: Mapping[str, str], implied: frozenset[str] = frozenset()) -> Placement:
        """Places for the podsets that `flavors` gives a topology flavor, on what is free now; nothing is taken yet.

        A podset without a topology request is placed only if it is `implied`. All or nothing.
        """
        workload = self.capacity.completed(workload)
        wanted, refusal = units(workload, flavors, implied)
        if refusal or not wanted:
            return Placement(refusal=refusal)
        shape = _shape(wanted)
        refused = self._refused.get(shape)
        if refused is not None and refused[0] == self.capacity.released:
            # Since then things were only taken, so the same shape still does not fit: hundreds of equal groups wait.
            return Placement(refusal=refused[1])
        placement = in_order(self.capacity, wanted)
        if placement.refusal and len(wanted) > 1:
            # One after another is no exact search: what the first takes may be all that the second could have used.
            other = in_order(self.capacity, wanted[::-1])
            placement = placement if other.refusal else other
        if placement.refusal:
            self._refused[shape] = (self.capacity.released, placement.refusal)
            return placement
        given = placement.assignments
        return Placement({podset.name: given[podset.name] for podset in workload.podsets if podset.name in given})

    def replace(self, workload: Workload, unhealthy: tuple[str, ...]) -> Placement:
        """The assignments with the pods of unhealthy nodes moved and every other pod where it is.

        All podsets that have an assignment are there, changed or not; the refusal says that no node can take over.
        """
        return replacing.replaced(self.capacity, self.capacity.completed(workload), unhealthy)


def units(workload: Workload, flavors: Mapping[str, str], implied: frozenset[str]) -> tuple[list[Unit], str]:
    """What is to be placed, in the order of the podsets, and why it cannot be."""
    partners: dict[str, list[PodSet]] = {}
    for podset in workload.podsets:
        if podset.count and podset.name in flavors:
            request = request_of(podset, podset.name in implied)
            if request is not None:
                partners.setdefault(f"group {request.group}" if request.group else podset.name, []).append(podset)
    wanted: list[Unit] = []
    for together in partners.values():
        unit, refusal = _unit(together, flavors)
        if unit is None:
            return [], refusal
        wanted.append(unit)
    return wanted, ""


def request_of(podset: PodSet, implied: bool) -> TopologyRequest | None:
    """What a podset asks of the topology; None: it asks nothing and is not placed."""
    request = podset.topology
    if request is not None and (request.mode or request.slices):
        return request
    return _ANYWHERE if implied else None


def _unit(together: Sequence[PodSet], flavors: Mapping[str, str]) -> tuple[Unit | None, str]:
    podset = together[0]
    request = request_of(podset, True) or _ANYWHERE
    if len(together) == 1:
        return Unit(podset, flavors[podset.name], request), ""
    named = " and ".join(podset.name for podset in together)
    if len(together) > 2 or all(podset.count != 1 for podset in together):
        return None, f"podsets {named} share a group, which takes two podsets, one of them of one pod"
    leader, workers = sorted(together, key=lambda podset: podset.count)
    other = request_of(together[1], True) or _ANYWHERE
    if (request.mode, request.level) != (other.mode, other.level) or request.slices or other.slices:
        return None, f"podsets {named} share a group and must ask for the same topology level, without slices"
    if flavors[leader.name] != flavors[workers.name]:
        return None, f"podsets {named} share a group and must have the same flavor"
    return Unit(workers, flavors[workers.name], request, leader), ""


def _shape(wanted: Sequence[Unit]) -> object:
    """Equal for units that fit on the same places."""

    def of(podset: PodSet) -> object:
        template = podset.template
        filters = (tuple(sorted(template.selector.items())), template.affinity, template.tolerations)
        return podset.count, tuple(sorted(capacity.per_pod(podset).items())), filters

    return tuple(
        (unit.flavor, unit.request, of(unit.podset), None if unit.leader is None else of(unit.leader))
        for unit in wanted
    )


def in_order(room: Capacity, wanted: Sequence[Unit]) -> Placement:
    """Each unit in turn, with what the earlier ones got taken; everything is given back at the end."""
    assignments: dict[str, TopologyAssignment] = {}
    used: list[Taken] = []
    refusal = ""
    for unit in wanted:
        placed, refusal = place_unit(room, unit)
        if refusal:
            break
        assignments.update(placed)
        if len(wanted) > 1:
            now = [one for podset, given in placed.items() for one in unit.taken(podset, given)]
            room.change(now, 1)
            used.extend(now)
    room.change(used, -1)
    return Placement(refusal=refusal) if refusal else Placement(assignments)


def place_unit(room: Capacity, unit: Unit) -> tuple[dict[str, TopologyAssignment], str]:
    """Assignments by podset for one unit, or why there are none."""
    tree = room.tree(unit.flavor)
    if tree is None:
        return {}, f"flavor {unit.flavor} has no topology, or its topology is not there"
    ask, depth, refusal = asked(tree, unit)
    if refusal:
        return {}, refusal
    fits = fitting.room(tree, *room.stock(unit.flavor).counts(ask), ask)
    if unit.request.mode not in ("required", "preferred") and not ask.layers and ask.leader is None:
        return _anywhere(tree, fits, unit)
    choose = fitting.required if unit.request.mode == "required" else fitting.preferred
    domain = choose(fits, depth, ask.units)
    if domain is None:
        return {}, _sentence(tree, unit)
    found = fitting.spread(tree, fits, ask, *domain)
    assignments = {unit.podset.name: fitting.assignment(tree, fitting.order(tree, found), found.pods)}
    if unit.leader is not None and found.leader is not None:
        assignments[unit.leader.name] = fitting.assignment(tree, [found.leader], {found.leader: 1})
    return assignments, ""


def _anywhere(tree: Leaves, fits: fitting.Room, unit: Unit) -> tuple[dict[str, TopologyAssignment], str]:
    plain = fits.plain[tree.depth]
    if sum(plain) < unit.podset.count:
        return {}, _sentence(tree, unit)
    pods = dict(fitting.share_ascending(plain, unit.podset.count))
    return {unit.podset.name: fitting.assignment(tree, sorted(pods), pods)}, ""


def asked(tree: Leaves, unit: Unit) -> tuple[counting.Ask, int, str]:
    """The ask of a unit in terms of a tree, the depth of the level asked for, and why the tree cannot answer."""
    request, topology = unit.request, tree.topology
    depths = {level: depth for depth, level in enumerate(topology.levels, start=1)}
    depth = 0
    if request.mode in ("required", "preferred"):
        depth = depths.get(request.level, -1)
    layers = tuple((depths.get(level, -1), size) for level, size in request.slices)
    ask = counting.Ask(
        pods=unit.podset.count,
        requests=capacity.per_pod(unit.podset),
        mask=leaves.allowed(tree, unit.podset.template),
        leader=None if unit.leader is None else capacity.per_pod(unit.leader),
        leader_mask=None if unit.leader is None else leaves.allowed(tree, unit.leader.template),
        layers=layers,
    )
    return ask, depth, _misfit(topology.name, request, depth, layers)


def _misfit(topology: str, request: TopologyRequest, depth: int, layers: tuple[tuple[int, int], ...]) -> str:
    """Why a request does not go with a topology, whatever is free."""
    if depth < 0:
        return f"topology {topology} has no level {request.level}"
    above, parent = depth, 0
    for (layer, size), (level, _) in zip(layers, request.slices, strict=True):
        if layer < 0:
            return f"topology {topology} has no level {level}, which the slices ask for"
        if size < 1 or (parent and parent % size):
            return f"the size of the slices at level {level} is not a divisor of the size of those around them"
        if layer < above or (parent and layer == above):
            return f"the slices at level {level} are not below the level around them"
        above, parent = layer, size
    return ""


def _sentence(tree: Leaves, unit: Unit) -> str:
    named = unit.podset.name if unit.leader is None else f"{unit.leader.name} and {unit.podset.name}"
    where = (
        f"no {unit.request.level} of topology" if unit.request.mode == "required" else "there is no room in topology"
    )
    found = f" {tree.topology.name} has room for" if unit.request.mode == "required" else f" {tree.topology.name} for"
    return f"{where}{found} the {unit.pods} pod(s) of podset(s) {named} in flavor {unit.flavor}"
