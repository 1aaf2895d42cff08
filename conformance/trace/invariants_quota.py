"""The invariant about quota: no admission takes more than what the tree of its ClusterQueue had left.

What had been left is computed from the Workload objects themselves, since a ClusterQueue's status lags behind. An
implementation cannot know of a change of quota in the instant in which it is made: until it has shown that it knows,
the larger one counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from conformance.trace.groups import Groups, admission_of
from conformance.trace.lives import Life
from conformance.trace.quota import CohortTrees, FlavorResource, plain, reserves_quota, usage_by_queue, usage_of
from conformance.trace.records import Object
from conformance.trace.verdicts import Looked, Verdict, violated

QUOTA_KINDS = ("ClusterQueue", "Cohort")


@dataclass(frozen=True, slots=True)
class _Excess:
    """An admission takes `taken` of something of which there was no more than `left`."""

    key: FlavorResource
    taken: Fraction
    left: Fraction


def within_quota(groups: Groups) -> Iterator[Verdict]:
    """At each change of a Workload to QuotaReserved=True, what it takes of each flavor and resource was available to
    its ClusterQueue, by the usage that Workload objects show and the quota then in force.

    While the implementation has not shown that it has seen the most recent change of a quota, the largest one in force
    since before that change counts.
    """
    quotas = _Quotas(groups)
    for position, life in groups.reservations:
        if life not in groups.workloads:
            continue
        queue = admission_of(life.known_at(position))["clusterQueue"]
        if not quotas.know(queue, position):
            continue
        excess = groups.lives.lasting(position, partial(quotas.excess, life))
        if excess is None:
            yield Looked.HELD
        elif groups.lives.hidden(("Workload", *QUOTA_KINDS), quotas.in_force(position)[-1] - 1, position):
            yield Looked.UNDECIDED
        else:
            flavor, resource = excess.key
            expected = f"at most {plain(max(excess.left, Fraction(0)))} {resource} of flavor {flavor}, "
            expected += f"which is what ClusterQueue {queue} had left"
            field = f"status.admission.podSetAssignments[].resourceUsage[{resource}]"
            yield violated(groups, life, field, expected, plain(excess.taken), position)


class _Quotas:
    """The quotas of the tenant's ClusterQueues and Cohorts, as they were at every position."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._edits = sorted(self._find_edits(), key=lambda edit: edit[0])
        self._positions = [position for position, _ in self._edits]
        self._trees: dict[int, CohortTrees] = {}

    def _find_edits(self) -> Iterator[tuple[int, Life]]:
        """Every change of a quota: its position and whose quota it is."""
        for kind in QUOTA_KINDS:
            for life in self._groups.lives.of(kind):
                for position, before, state in life.steps():
                    if before is None or before.get("spec") != state.get("spec"):
                        yield position, life
                if life.gone is not None:
                    yield life.gone, life

    def know(self, queue: str, position: int) -> bool:
        """Whether the ClusterQueue was recorded at all; quota that nobody recorded cannot be judged."""
        return any(life.name == queue and life.born <= position for life in self._groups.lives.of("ClusterQueue"))

    def excess(self, life: Life, position: int) -> _Excess | None:
        """What a Workload takes beyond the quota at a position."""
        state = life.at(position)
        if state is None or not reserves_quota(state):
            return None
        queue = admission_of(state)["clusterQueue"]
        used = usage_by_queue(self._groups.lives.present("Workload", position))
        trees = [self._tree(at) for at in self.in_force(position)]
        for key, taken in sorted(usage_of(state).items()):
            if taken <= 0:
                continue
            # What is left beside this Workload is what is left beside all of them, plus what it takes itself.
            left = max((tree.available(queue, key, used) for tree in trees), default=Fraction(0))
            if left < 0:
                return _Excess(key, taken, left + taken)
        return None

    def in_force(self, position: int) -> list[int]:
        """The positions whose quotas count at this one, latest first: the present, and what the implementation may
        still have taken for the present."""
        done = bisect_right(self._positions, position)
        edits = self._edits[:done]
        seen = self._groups.seen_until(position)
        unseen = [at for at, life in edits if at > seen and not self._is_seen(life, at, position)]
        if not unseen:
            return [position]
        since = unseen[0]
        return [position, *(at for at in reversed(self._positions[:done]) if at >= since), since - 1]

    def _is_seen(self, life: Life, edit: int, position: int) -> bool:
        """Whether a status that the implementation wrote between the edit and the position shows that it knew the edit.

        Conditions say which generation they are about; where none does, any later write of the status counts.
        """
        edited = life.known_at(edit)
        generation = edited["metadata"].get("generation", 0)
        for at, before, state in life.steps():
            if before is not None and edit < at <= self._groups.lives.surely_before(position):
                observed = _observed_generation(state)
                if observed >= generation if observed is not None else before.get("status") != state.get("status"):
                    return True
        return False

    def _tree(self, position: int) -> CohortTrees:
        version = bisect_right(self._positions, position)
        if version not in self._trees:
            lives = self._groups.lives
            self._trees[version] = CohortTrees(*(lives.present(kind, position) for kind in QUOTA_KINDS))
        return self._trees[version]


def _observed_generation(obj: Object) -> int | None:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    found = [c["observedGeneration"] for c in conditions if c.get("observedGeneration") is not None]
    return max(found, default=None)
