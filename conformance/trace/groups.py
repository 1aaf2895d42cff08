"""Who belongs to whom in a history: pods and Workloads to the groups of managed LeaderWorkerSets, and what was decided
about them.

Everything is found by ownership and group index, never by names. A pod belongs to a set as long as its owners up to the
set exist: once one of them is deleted, the garbage collector is on its way to the pod, and neither LeaderWorkerSet nor
queueing answers for it any more. What ought to be true of a group is for the invariants to say.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from conformance.names import ADMISSION_GATE, GROUP_INDEX, QUEUE_NAME, TOPOLOGY_GATE, WORKER_INDEX
from conformance.trace.assignments import Domain, MalformedAssignmentError, decode, levels, per_domain
from conformance.trace.history import History, gates, group_of_workload, is_over, is_true, labels, owner_uids
from conformance.trace.lives import Life, Lives
from conformance.trace.quota import reserves_quota
from conformance.trace.records import Object

KUEUE_GATES = frozenset({ADMISSION_GATE, TOPOLOGY_GATE})
GroupKey = tuple[str, int]
"""The UID of a LeaderWorkerSet and a group's index."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What an admission says about one podset: its flavors, and the pods of each domain if it has an assignment."""

    flavors: tuple[tuple[str, str], ...]
    levels: tuple[str, ...] = ()
    pods: tuple[tuple[Domain, int], ...] | None = None
    delayed: str | None = None

    @property
    def domains(self) -> dict[Domain, int]:
        return dict(self.pods or ())


@dataclass(frozen=True, slots=True)
class AssignmentChange:
    """A Workload's topology assignment was added or altered. `malformed` says why it cannot be read, if it cannot."""

    workload: Life
    position: int
    state: Object
    before: dict[str, Placement]
    after: dict[str, Placement]
    malformed: MalformedAssignmentError | None = None


@dataclass(slots=True, eq=False)
class Pod:
    """A pod of a managed set. `owners` are its StatefulSet, the leader pod and its StatefulSet, and the set."""

    life: Life
    group: Group
    owners: tuple[Life, ...]

    def is_nobodys(self, position: int) -> bool:
        """Whether one of its owners is gone by then."""
        return any(owner.gone is not None and owner.gone <= position for owner in self.owners)

    def is_over(self, position: int) -> bool:
        """Whether it is terminating, finished or gone by then."""
        state = self.life.at(position)
        return state is None or is_over(state)

    def first(self, wanted: Any) -> tuple[int, Object] | None:
        """The first state in which it is as wanted, unless it is over by then."""
        for position, _, state in self.life.steps():
            if is_over(state):
                return None
            if wanted(state):
                return position, state
        return None


@dataclass(slots=True, eq=False)
class Group:
    """One group of a LeaderWorkerSet: all its pods and all Workloads that it ever had."""

    key: GroupKey
    workloads: list[Life] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)

    def workload_states(self, since: int, until: int) -> list[Object]:
        """Every state of its Workloads that was in force at some position between the two."""
        return [state for life in self.workloads for state in life.between(since, until)]

    def workload_at(self, position: int) -> tuple[Life, Object] | None:
        """The Workload that the group has at a position."""
        for life in reversed(self.workloads):
            if (state := life.at(position)) is not None:
                return life, state
        return None


def is_released(pod: Object) -> bool:
    """Whether nothing of Kueue's holds the pod back: it is bound, or carries none of Kueue's gates."""
    return is_bound(pod) or not KUEUE_GATES.intersection(gates(pod))


def is_bound(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName"))


def podset_of(workload: Object, pod: Object) -> Object:
    """The podset that a pod of the group belongs to: the only one, or the first for the leader, else the second."""
    podsets: list[Object] = workload["spec"]["podSets"]
    return podsets[0] if len(podsets) == 1 or labels(pod).get(WORKER_INDEX) == "0" else podsets[1]


def admission_of(workload: Object) -> Object:
    """`status.admission`, or an empty object."""
    found: Object = (workload.get("status") or {}).get("admission") or {}
    return found


def unhealthy_nodes(workload: Object) -> set[str]:
    """The names in `status.unhealthyNodes`."""
    return {node["name"] for node in (workload.get("status") or {}).get("unhealthyNodes") or ()}


def is_admitted(workload: Object) -> bool:
    return is_true(workload, "Admitted")


class Groups:
    """What the invariants need to know of a history, each found once."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.lives = Lives(history)
        self.by_key: dict[GroupKey, Group] = {}
        self.workloads_of_set: dict[str, list[Life]] = {}
        """By LeaderWorkerSet UID, every Workload that ever named it as an owner."""
        self._placements: dict[int, dict[str, Placement] | MalformedAssignmentError] = {}
        self.workloads = [life for life in self.lives.of("Workload") if self._join_workload(life)]
        self.pods = [pod for life in self.lives.of("Pod") if (pod := self._join_pod(life)) is not None]

    # Who belongs to whom

    def _join_workload(self, life: Life) -> bool:
        """Whether it is the Workload of a group; that it ever had such an owner decides, since owners are pruned."""
        for state in life.states:
            for owner in state["metadata"].get("ownerReferences") or ():
                if owner["kind"] == "LeaderWorkerSet":
                    self.workloads_of_set.setdefault(owner["uid"], []).append(life)
                    index = group_of_workload(state, owner["name"])
                    if index is not None:
                        self._group(owner["uid"], index).workloads.append(life)
                    return True
        return False

    def _join_pod(self, life: Life) -> Pod | None:
        index = next((value for state in life.states if (value := labels(state).get(GROUP_INDEX)) is not None), "")
        owners = self._owners(life)
        if not index.isdigit() or not owners or owners[-1].kind != "LeaderWorkerSet":
            return None
        if not self._is_managed(owners[-1], life):
            return None
        group = self._group(owners[-1].uid, int(index))
        pod = Pod(life, group, tuple(owners))
        group.pods.append(pod)
        return pod

    def _group(self, uid: str, index: int) -> Group:
        return self.by_key.setdefault((uid, index), Group((uid, index)))

    def _owners(self, life: Life) -> list[Life]:
        """The chain of owners upwards, as far as it was recorded, by all owners that each ever had."""
        owners: list[Life] = []
        while life.kind != "LeaderWorkerSet":
            uids = {uid for state in life.states for uid in owner_uids(state)}
            found = (self.lives.by_uid(uid) for uid in sorted(uids))
            above = next((o for o in found if o and o.kind in ("StatefulSet", "Pod", "LeaderWorkerSet")), None)
            if above is None or above in owners:
                break
            owners.append(above)
            life = above
        return owners

    def _is_managed(self, lws: Life, pod: Life) -> bool:
        """Whether the set was under queueing when this pod was born.

        The set has a queue, or Workloads of its own (which it has without a queue, where everything is managed); a pod
        from before that time is nobody's business, unless it was born with the gate.
        """
        own = self.workloads_of_set.get(lws.uid, [])
        with_gate = ADMISSION_GATE in gates(pod.states[0])
        labelled = any(labels(state).get(QUEUE_NAME) for state in lws.between(pod.born, self.lives.latest(pod.born)))
        if not own and not (labelled and self._gates_pods(lws)):
            return False
        return labelled or with_gate or any(life.born < pod.born for life in own)

    def _gates_pods(self, lws: Life) -> bool:
        """Whether any pod of the set was born with the admission gate: without that and without Workloads, a label
        names a queue for a framework that is switched off."""
        return any(lws in self._owners(p) and ADMISSION_GATE in gates(p.states[0]) for p in self.lives.of("Pod"))

    # What was decided

    def placements(self, workload: Object) -> dict[str, Placement] | MalformedAssignmentError:
        """By podset, what the Workload's admission says; or why its topology assignment cannot be read."""
        found = self._placements.get(id(workload))
        if found is None:
            try:
                found = _placements(workload)
            except MalformedAssignmentError as malformed:
                found = malformed
            self._placements[id(workload)] = found
        return found

    def placed(self, workload: Object) -> dict[str, Placement]:
        """As `placements`, but nothing where the assignment cannot be read: one invariant says so, the rest go on."""
        found = self.placements(workload)
        return {} if isinstance(found, MalformedAssignmentError) else found

    @cached_property
    def assignment_changes(self) -> list[AssignmentChange]:
        """Every change that added or altered a group's topology assignment; re-encoding one is no change."""
        return [change for life in self.workloads for change in self._changes_of(life)]

    def _changes_of(self, life: Life) -> Iterator[AssignmentChange]:
        shown: Any = {}
        for position, _, state in life.steps():
            before, found = shown, self.placements(state)
            if isinstance(found, MalformedAssignmentError):
                shown = json.dumps(admission_of(state), sort_keys=True)
                if shown != before:
                    yield AssignmentChange(life, position, state, {}, {}, found)
                continue
            shown = {name: placement for name, placement in found.items() if placement.pods is not None}
            if shown and _domains(shown) != _domains(before):
                yield AssignmentChange(life, position, state, before if isinstance(before, dict) else {}, shown)

    @cached_property
    def reservations(self) -> list[tuple[int, Life]]:
        """Every change of a Workload to QuotaReserved=True, in order, other than groups' Workloads included."""
        found: list[tuple[int, Life]] = []
        for life in self.lives.of("Workload"):
            for position, before, state in life.steps():
                if reserves_quota(state) and not (before is not None and is_true(before, "QuotaReserved")):
                    found.append((position, life))
        return sorted(found, key=lambda item: item[0])

    @cached_property
    def _sight(self) -> tuple[list[int], list[int]]:
        """By reservation, how much of the world the implementation has shown to have seen since."""
        seen = (self.lives.surely_before(life.born) for _, life in self.reservations)
        return [position for position, _ in self.reservations], list(accumulate(seen, max))

    def seen_until(self, position: int) -> int:
        """The position up to which the implementation had surely seen the world when it made this change.

        It shows so by admitting a Workload that was created later. An admission of an older Workload shows nothing: it
        may have been decided before and written after.
        """
        made, seen = self._sight
        index = bisect_left(made, self.lives.surely_before(position) + 1)
        return seen[index - 1] if index else 0


def _domains(placements: Any) -> Any:
    if not isinstance(placements, dict):
        return placements
    return {name: (placement.levels, placement.domains) for name, placement in placements.items()}


def _placements(workload: Object) -> dict[str, Placement]:
    found: dict[str, Placement] = {}
    for index, podset in enumerate(admission_of(workload).get("podSetAssignments") or ()):
        flavors = tuple(sorted((podset.get("flavors") or {}).items()))
        assignment, delayed = podset.get("topologyAssignment"), podset.get("delayedTopologyRequest")
        if assignment is None:
            found[podset["name"]] = Placement(flavors, delayed=delayed)
            continue
        field_path = f"status.admission.podSetAssignments[{index}].topologyAssignment"
        pods = tuple(sorted(per_domain(decode(assignment, field_path)).items()))
        found[podset["name"]] = Placement(flavors, levels(assignment, field_path), pods, delayed)
    return found
