"""The invariant about time: what was decided once is not decided anew.

A running group must not be moved behind its user's back. An assignment may change only for a reason, and each reason
explains only its own part.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from conformance.trace.assignments import Domain, MalformedAssignmentError
from conformance.trace.groups import Groups, Placement, admission_of, is_admitted, unhealthy_nodes
from conformance.trace.lives import Life
from conformance.trace.places import Leaf, Places
from conformance.trace.records import Object
from conformance.trace.verdicts import Looked, Verdict, violated


def assignment_stays(groups: Groups) -> Iterator[Verdict]:
    """Per Workload and unbroken Admitted interval the assignment does not change, unless unhealthyNodes, a delayed
    topology request or the story's own edit explains it.

    The assignment is the ClusterQueue, the flavors and the pods per domain. Unhealthy nodes, and nodes that the story
    edited, explain that the pods on them move; the others stay. A delayed topology request explains an assignment where
    there was none.
    """
    places = Places(groups)
    for life in groups.workloads:
        since: int | None = None
        for position, before, state in life.steps():
            if not is_admitted(state):
                since = None
            elif since is None or before is None:
                since = position
                yield Looked.HELD
            else:
                yield from _compared(groups, places, life, before, position, since)


def _compared(
    groups: Groups, places: Places, life: Life, before: Object, position: int, since: int
) -> Iterator[Verdict]:
    """What one change within an Admitted interval that began at `since` did to the assignment."""
    moved = groups.lives.lasting(position, partial(_moved, groups, places, life, before, since))
    if moved is None:
        return
    field, expected, observed = moved
    # If the change in which the interval ended and began anew was lost, this is no change within one.
    if groups.lives.hidden(("Workload",), position - 1, position):
        yield Looked.UNDECIDED
    elif not _is_own_edit(groups, life, position):
        yield violated(groups, life, field, expected, observed, position)


def _moved(
    groups: Groups, places: Places, life: Life, before: Object, since: int, position: int
) -> tuple[str, str, str] | None:
    """Field, expected and observed of the first unexplained difference between two states of a Workload."""
    state = life.at(position)
    if state is None or not is_admitted(state):
        return None
    old, new = groups.placements(before), groups.placements(state)
    if isinstance(old, MalformedAssignmentError) or isinstance(new, MalformedAssignmentError) or not new:
        return None
    queues = admission_of(before).get("clusterQueue"), admission_of(state).get("clusterQueue")
    if old and queues[0] != queues[1]:
        return "status.admission.clusterQueue", str(queues[0]), str(queues[1])
    for name in sorted(old.keys() | new.keys()) if old else ():
        had, has = old.get(name, Placement(())), new.get(name, Placement(()))
        path = f"status.admission.podSetAssignments[{name}]"
        if had.flavors != has.flavors:
            return f"{path}.flavors", str(dict(had.flavors)), str(dict(has.flavors))
        excused = unhealthy_nodes(before) | unhealthy_nodes(state) | _edited_nodes(groups, since, position)
        if (had.levels, had.pods) != (has.levels, has.pods) and not _is_explained(places, had, has, excused):
            return f"{path}.topologyAssignment", _shown(had), _shown(has)
    return None


def _is_explained(places: Places, had: Placement, has: Placement, excused: set[str]) -> bool:
    """Whether an assignment came late because it was delayed, or only moved pods away from excused nodes."""
    if had.pods is None:
        return had.delayed is not None
    if had.levels != has.levels:
        return False
    left = [values for values, count in had.pods if has.domains.get(values, 0) < count]
    return bool(left) and all(excused & (places.names_of(Leaf(had.levels, values)) | {values[-1]}) for values in left)


def _edited_nodes(groups: Groups, since: int, until: int) -> set[str]:
    """The nodes that the story itself edited between two positions."""
    edits = [edit for edit in groups.history.edits if edit.kind == "Node"]
    return {e.name for e in edits if since <= groups.history.position_of(e) <= groups.lives.latest(until)}


def _is_own_edit(groups: Groups, life: Life, position: int) -> bool:
    """Whether the story itself made this change of the Workload."""
    revision = groups.history.changes[position - 1].revision
    edits = (edit for edit in groups.history.edits if edit.kind == "Workload" and edit.name == life.name)
    return any(edit.revision == revision for edit in edits)


def _shown(placement: Placement) -> str:
    if placement.pods is None:
        return "no assignment"
    return ", ".join(f"{_name(values)}: {count}" for values, count in placement.pods)


def _name(values: Domain) -> str:
    return "/".join(values)
