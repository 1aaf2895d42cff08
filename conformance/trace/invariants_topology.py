"""The invariants about topology: no host promised twice, whole groups in one domain, assignments complete and kept to.

A topology assignment is the implementation's promise of places; the nodes and the pods that queueing does not place are
what there was to promise. Assignments are judged where they are added or altered, bindings where they happen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from conformance.trace.assignments import Domain
from conformance.trace.groups import (
    AssignmentChange,
    Groups,
    Pod,
    admission_of,
    is_bound,
    is_released,
    podset_of,
    unhealthy_nodes,
)
from conformance.trace.lives import Life
from conformance.trace.places import Leaf, Places
from conformance.trace.quota import ZERO, plain
from conformance.trace.records import Object
from conformance.trace.verdicts import Looked, Verdict, violated


def field_of(*podsets: str) -> str:
    """The path of these podsets' topology assignments."""
    return f"status.admission.podSetAssignments[{','.join(podsets)}].topologyAssignment"


def within_capacity(groups: Groups) -> Iterator[Verdict]:
    """At each change that adds or alters an assignment, on every leaf domain that it puts pods on, all assignments
    together plus the bound pods that no assignment places do not exceed allocatable, pod slots included.

    While the implementation has not shown that it has seen the most recent change of that capacity, the largest one in
    force since before that change counts.
    """
    places = Places(groups)
    for change in groups.assignment_changes if places.known else ():
        since = places.in_force(change.position)[-1]
        for leaf, podsets in _filled(change).items():
            shortage = groups.lives.lasting(change.position, partial(places.shortage, change.workload, podsets, leaf))
            if shortage is None:
                yield Looked.HELD
            elif groups.lives.hidden(("Workload", "Pod", "Node"), since - 1, change.position):
                yield Looked.UNDECIDED
            else:
                expected = f"at most {plain(max(shortage.capacity, ZERO))} {shortage.resource} assigned in {leaf}"
                observed = f"{plain(shortage.promised)} assigned there in all"
                yield violated(groups, change.workload, field_of(*podsets), expected, observed, change.position)


def _filled(change: AssignmentChange) -> dict[Leaf, list[str]]:
    """The leaves that a change puts more pods on than before, each with the podsets that they belong to."""
    filled: dict[Leaf, list[str]] = {}
    for podset, placement in change.after.items():
        before = change.before.get(podset)
        had = before.domains if before is not None and before.levels == placement.levels else {}
        for values, count in placement.pods or ():
            if count > had.get(values, 0):
                filled.setdefault(Leaf(placement.levels, values), []).append(podset)
    return filled


@dataclass(frozen=True, slots=True)
class _Unit:
    """Podsets that must lie in one domain of a level: those of one podset group, or one that is in no group."""

    level: str
    podsets: tuple[str, ...]


def _units(workload: Object) -> list[_Unit]:
    members: dict[tuple[str, str], list[str]] = {}
    for podset in workload["spec"]["podSets"]:
        request = podset.get("topologyRequest") or {}
        if request.get("required"):
            joined = request.get("podSetGroupName")
            key = (request["required"], f"group {joined}" if joined else f"podset {podset['name']}")
            members.setdefault(key, []).append(podset["name"])
    return [_Unit(level, tuple(names)) for (level, _), names in members.items()]


def one_domain(groups: Groups) -> Iterator[Verdict]:
    """Podsets that require a topology level, all of a podset group together, lie in one domain of that level.

    Judged on each change of the assignment; where an implementation admits such podsets without an assignment, on the
    nodes of their pods at each binding.
    """
    places = Places(groups)
    for change in groups.assignment_changes:
        for unit in _units(change.state):
            if not any(_domains_of(groups, places, change.workload, unit, change.position)):
                continue
            spread = groups.lives.lasting(change.position, partial(_spread, groups, places, change.workload, unit))
            since = places.in_force(change.position)[-1]
            if spread is None:
                yield Looked.HELD
            elif groups.lives.hidden(("Node",), since - 1, change.position):
                yield Looked.UNDECIDED
            else:
                expected = f"one domain of {unit.level}"
                yield violated(groups, change.workload, field_of(*unit.podsets), expected, spread, change.position)
    for pod in groups.pods:
        yield from _bound_beside_the_rest(groups, places, pod)


def _domains_of(groups: Groups, places: Places, life: Life, unit: _Unit, position: int) -> list[set[Domain]]:
    """For each leaf of the unit's assignments, the domains of its level that it may have been taken to lie in."""
    state = life.at(position)
    placed = groups.placed(state) if state is not None else {}
    parts = [placed[name] for name in unit.podsets if name in placed]
    path = places.path({flavor for part in parts for _, flavor in part.flavors}, unit.level, position)
    leaves = [Leaf(part.levels, values) for part in parts for values, _ in part.pods or ()]
    return [places.domains(leaf, path, position) for leaf in leaves]


def _spread(groups: Groups, places: Places, life: Life, unit: _Unit, position: int) -> str | None:
    found = _domains_of(groups, places, life, unit, position)
    return _apart([domains for domains in found if domains])


def _apart(found: list[set[Domain]]) -> str | None:
    """The domains, if no single one is common to all."""
    if not found or set.intersection(*found):
        return None
    return ", ".join(sorted({"/".join(domain) for domains in found for domain in domains}))


def _bound_beside_the_rest(groups: Groups, places: Places, pod: Pod) -> Iterator[Verdict]:
    """For a pod that was admitted without the assignment that its podset requires: is it bound where its unit is?"""
    bound = pod.first(is_bound)
    held = pod.group.workload_at(bound[0]) if bound is not None else None
    if bound is None or held is None or pod.is_nobodys(bound[0]):
        return
    position, state = bound
    workload, admitted = held
    podset = podset_of(admitted, state)["name"]
    placement = groups.placed(admitted).get(podset)
    unit = next((unit for unit in _units(admitted) if podset in unit.podsets), None)
    if unit is None or placement is None or placement.pods is not None:
        return
    reserved = max((at for at, life in groups.reservations if life is workload and at <= position), default=position)
    path = places.path({flavor for _, flavor in placement.flavors}, unit.level, position)
    check = partial(_bound_apart, places, pod, unit, admitted, path, reserved)
    spread = groups.lives.lasting(position, check)
    if spread is None:
        yield Looked.HELD
    elif groups.lives.hidden(("Workload", "Pod", "Node"), reserved - 1, position):
        yield Looked.UNDECIDED
    else:
        expected = f"on a node of the domain of {unit.level} that the rest of its group is in"
        yield violated(groups, pod.life, "spec.nodeName", expected, spread, position)


def _bound_apart(
    places: Places, pod: Pod, unit: _Unit, workload: Object, path: tuple[str, ...], reserved: int, position: int
) -> str | None:
    found: list[set[Domain]] = []
    for other in pod.group.pods:
        bound = other.first(is_bound)
        if bound is None or not reserved <= bound[0] <= position or other.is_over(position):
            continue
        if podset_of(workload, bound[1])["name"] in unit.podsets:
            found.append(places.node_domains(bound[1]["spec"]["nodeName"], path, bound[0]))
    return None if pod.is_over(position) else _apart([domains for domains in found if domains])


def assigned_in_full(groups: Groups) -> Iterator[Verdict]:
    """The pods of a podset's topology assignment sum to the podset's count."""
    for change in groups.assignment_changes:
        if change.malformed is not None:
            wrong = change.malformed
            yield violated(groups, change.workload, wrong.field, "readable", wrong.problem, change.position)
        for podset in change.after:
            check = partial(_miscounted, groups, change.workload, podset)
            found = groups.lives.lasting(change.position, check)
            if found is None:
                yield Looked.HELD
            else:
                wanted, assigned = found
                yield violated(groups, change.workload, field_of(podset), wanted, f"{assigned} pods", change.position)


def _miscounted(groups: Groups, life: Life, podset: str, position: int) -> tuple[str, int] | None:
    state = life.at(position)
    placement = groups.placed(state).get(podset) if state is not None else None
    if state is None or placement is None or placement.pods is None:
        return None
    assigned = sum(placement.domains.values())
    count = next((p.get("count", 1) for p in state["spec"]["podSets"] if p["name"] == podset), None)
    if assigned == count:
        return None
    return "the name of one of its podsets" if count is None else f"{count} pods, the podset's count", assigned


def bound_as_assigned(groups: Groups) -> Iterator[Verdict]:
    """A bound pod's node lies in a domain that was assigned to its podset at its binding.

    Not judged while the Workload's unhealthyNodes is set. As the binding follows from what was assigned when the pod
    was released, an assignment counts that was in force at any time from then on.
    """
    places = Places(groups)
    for pod in groups.pods:
        released, bound = pod.first(is_released), pod.first(is_bound)
        if released is None or bound is None or _is_being_repaired(pod, bound[0]) or pod.is_nobodys(bound[0]):
            continue
        since, position = groups.lives.earliest(released[0]), bound[0]
        if not _promised(groups, pod, since, position):
            continue
        elsewhere = groups.lives.lasting(position, partial(_elsewhere, groups, places, pod, since))
        if elsewhere is None:
            yield Looked.HELD
        elif groups.lives.hidden(("Workload", "Pod", "Node"), since - 1, position):
            yield Looked.UNDECIDED
        else:
            node = bound[1]["spec"]["nodeName"]
            yield violated(groups, pod.life, "spec.nodeName", f"a node in {elsewhere}, as assigned", node, position)


def _is_being_repaired(pod: Pod, position: int) -> bool:
    held = pod.group.workload_at(position)
    return held is not None and bool(unhealthy_nodes(held[1]))


def _promised(groups: Groups, pod: Pod, since: int, until: int) -> list[Leaf]:
    """The leaves that were assigned to the pod's podset at any position between the two."""
    leaves: dict[Leaf, None] = {}
    for workload in pod.group.workload_states(since, until):
        if admission_of(workload):
            placement = groups.placed(workload).get(podset_of(workload, pod.life.last)["name"])
            if placement is not None:
                leaves |= {Leaf(placement.levels, values): None for values in placement.domains}
    return list(leaves)


def _elsewhere(groups: Groups, places: Places, pod: Pod, since: int, position: int) -> str | None:
    """The leaves that were promised, if the pod is bound to a node of none of them."""
    state = pod.life.at(position)
    if state is None or pod.is_over(position) or _is_being_repaired(pod, position):
        return None
    leaves = _promised(groups, pod, since, position)
    node = state["spec"].get("nodeName", "")
    inside = [places.holds_pod_of(leaf, node, since, position) for leaf in leaves]
    return None if any(found is not False for found in inside) else ", ".join(sorted(map(str, leaves)))
