"""Preemption: which groups make room for one of higher standing.

Rule (docs "Preemption", KEP-83, KEP-1337, KEP-3237 for trees of cohorts; without fair sharing):
- In its own queue a group may preempt others of lower priority, or of equal priority and younger, as
  `withinClusterQueue` says.
- In other queues of its cohort it may take back, as `reclaimWithinCohort` says, what a queue uses above its nominal
  quota. It must then fit into the nominal quota of its own queue, or of a cohort nearer to it than to the victim's
  queue; or `borrowWithinCohort` allows it to borrow nevertheless, from groups of lower priority up to its threshold.
- Groups are taken whole, in this order: of other queues first, then of lowest priority, then those admitted last; until
  the preemptor fits, by quota and by topology. Then each is given back, the last one first, if it still fits: no
  victim is needless. Nobody is preempted when no set of victims makes room.
- Groups that are already on their way out count first: as long as they suffice nobody else has to go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from conformance.reference import eviction, ordering, quota, units
from conformance.reference.draft import Draft
from conformance.reference.model import Admission, ClusterQueue, FlavorResource, Snapshot, Usage, Workload
from conformance.reference.quota import Ledger, Node

if TYPE_CHECKING:
    from conformance.reference.topology import Places

IN_QUEUE: Final = "InClusterQueue"
RECLAMATION: Final = "InCohortReclamation"
WHILE_BORROWING: Final = "InCohortReclaimWhileBorrowing"

BECAUSE: Final = {
    IN_QUEUE: "prioritization in the ClusterQueue",
    RECLAMATION: "reclamation within the cohort",
    WHILE_BORROWING: "reclamation within the cohort while borrowing",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A group that may be preempted, and on what ground."""

    workload: Workload
    admission: Admission
    reason: str
    nearer: bool = False
    """Of another queue, and the preemptor has the better claim by the position of its queue."""
    only_within_nominal: bool = False
    """Of another queue, and only if the preemptor does not borrow itself."""
    chain: tuple[Node, ...] = ()
    """Its queue and that one's cohorts, up to the common one: all must be above their quota. Empty: the same queue."""


@dataclass
class Search:
    """The looking for victims for one preemptor, on a ledger and places that are left as they were."""

    draft: Draft
    ledger: Ledger
    places: Places
    workload: Workload
    queue: ClusterQueue
    attempt: Admission
    usage: Usage = field(init=False)
    needed: frozenset[FlavorResource] = frozenset()
    """The flavors and resources for which somebody has to go."""

    def __post_init__(self) -> None:
        self.usage = {key: amount for key, amount in self.attempt.usage().items() if amount > 0}

    def release(self, workload: Workload, admission: Admission) -> None:
        self.ledger.release(admission.cluster_queue, admission.usage())
        self.places.release(workload, admission)

    def take(self, workload: Workload, admission: Admission) -> None:
        self.ledger.take(admission.cluster_queue, admission.usage())
        self.places.take(workload, admission)


def victims(
    draft: Draft, ledger: Ledger, places: Places, workload: Workload, queue: ClusterQueue, attempt: Admission
) -> list[Workload] | None:
    """The groups to evict, so that this one fits with the flavors of `attempt`, in the order in which they are taken.

    Empty: those already on their way out suffice, so wait. None: no room can be made within the policies.
    """
    if queue.preemption.within_queue == "Never" and queue.preemption.reclaim == "Never":
        return None
    search = Search(draft, ledger, places, workload, queue, attempt)
    leaving = [(it, it.admission) for it in draft.all_workloads() if it.admission is not None and is_leaving(draft, it)]
    for it, admission in leaving:
        search.release(it, admission)
    try:
        if fits(search, borrowing=True):
            return []
        found = chosen(search)
    finally:
        for it, admission in leaving:
            search.take(it, admission)
    if found is None:
        return None
    # For one preemptor a group may be taken on another ground than for the next.
    reasons = draft.memory.setdefault("preemption", {})
    for candidate in found:
        reasons[workload.key, candidate.workload.key] = candidate.reason
    return [candidate.workload for candidate in found]


def preempt(draft: Draft, victims: Sequence[Workload], preemptor: Workload, queue: ClusterQueue) -> None:
    """Tell the victims that `victims` found to go."""
    for victim in victims:
        reason = draft.memory["preemption"][preemptor.key, victim.key]
        from_queue = victim.admission.cluster_queue if victim.admission is not None else ""
        message = (
            f"Preempted to accommodate a workload (UID: {preemptor.uid or 'UNKNOWN'}, "
            f"JobUID: {preemptor.owner or 'UNKNOWN'}) due to {BECAUSE[reason]}; "
            f"preemptor path: {path(draft.snapshot, queue.name)}; preemptee path: {path(draft.snapshot, from_queue)}"
        )
        it = eviction.evicted(victim, eviction.PREEMPTED, message, draft.now)
        draft.put(eviction.marked(it, "Preempted", True, reason, message, draft.now))


def path(snapshot: Snapshot, queue: str) -> str:
    """Where a queue is in its tree, from the root: `/org/team/queue`."""
    found = snapshot.cluster_queues.get(queue)
    names, cohort = [queue], found.cohort if found is not None else ""
    while cohort and cohort not in names:
        names.append(cohort)
        above = snapshot.cohorts.get(cohort)
        cohort = above.parent if above is not None else ""
    return "/" + "/".join(reversed(names))


def is_leaving(draft: Draft, workload: Workload) -> bool:
    """Whether a group holds a reservation that will be free without anybody's doing."""
    return workload.reserves and (workload.evicted or workload.deleted or workload.key in draft.deleted_workloads)


def is_stored(draft: Draft, workload: Workload) -> bool:
    """Whether it holds its reservation already: what this pass admits is no victim in it, but it may be in the next."""
    known = draft.snapshot.workloads.get(workload.key)
    return workload.reserves and known is not None and known.reserves


# Who may have to go


def candidates(search: Search) -> list[Candidate]:
    """Every group that the policies allow to be preempted, in the order in which they are taken."""
    grounds = {name: standing(search, name) for name in search.ledger.members(search.queue.name)}
    found: list[Candidate] = []
    for workload in search.draft.all_workloads():
        admission = workload.admission
        if admission is None or is_leaving(search.draft, workload) or not is_stored(search.draft, workload):
            continue
        place = grounds.get(admission.cluster_queue)
        if place is not None and uses(admission, search.needed) and allowed(search, workload, place):
            found.append(candidate(search, workload, admission, place))
    return sorted(found, key=in_order)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the preemptor's queue stands to another one (or to itself) in the tree of cohorts."""

    own: bool = False
    nearer: bool = False
    """The preemptor fits into the quota of its own queue, or of a cohort that the other queue is not in."""
    chain: tuple[Node, ...] = ()
    """The other queue and its cohorts, up to the one that the queues have in common."""


def standing(search: Search, other: str) -> Standing:
    """How the queue stands to another one of its tree."""
    if other == search.queue.name:
        return Standing(own=True)
    mine, theirs = search.ledger.node(search.queue.name), search.ledger.node(other)
    assert mine is not None
    assert theirs is not None
    above = list(quota.upwards(mine))
    chain = tuple(takewhile(lambda node: node not in above, quota.upwards(theirs)))
    common = above.index(next(node for node in quota.upwards(theirs) if node in above))
    return Standing(nearer=fits_below(mine, above[common], search.usage), chain=chain)


def fits_below(queue: Node, common: Node, usage: Usage) -> bool:
    """Whether a request fits into the quota of the queue, or of one of its cohorts below the common one."""
    holder = quota.lowest_that_holds(queue, usage)
    return holder is not None and holder not in quota.upwards(common)


def above_quota(node: Node, needed: Iterable[FlavorResource]) -> bool:
    """Whether a queue or cohort uses more than its quota of something that is needed."""
    return any(node.used.get(key, 0) > node.total.get(key, 0) for key in needed)


def uses(admission: Admission, needed: Iterable[FlavorResource]) -> bool:
    """Whether a group holds anything of what is needed."""
    usage = admission.usage()
    return any(usage.get(key, 0) > 0 for key in needed)


def allowed(search: Search, victim: Workload, place: Standing) -> bool:
    """Whether the queue's policy allows this group to preempt that one, by priority and age alone."""
    policy = search.queue.preemption.within_queue if place.own else search.queue.preemption.reclaim
    mine, theirs = search.workload, victim
    if policy == "Any":
        return True
    if policy == "LowerOrNewerEqualPriority" and mine.priority == theirs.priority:
        return ordering.queued_since(search.draft, mine) < ordering.queued_since(search.draft, theirs)
    return policy != "Never" and theirs.priority < mine.priority


def candidate(search: Search, victim: Workload, admission: Admission, place: Standing) -> Candidate:
    """An allowed victim, with the ground on which it is one."""
    if place.own:
        return Candidate(victim, admission, IN_QUEUE)
    if place.nearer:
        return Candidate(victim, admission, RECLAMATION, nearer=True, chain=place.chain)
    if may_borrow_from(search, victim):
        return Candidate(victim, admission, WHILE_BORROWING, chain=place.chain)
    return Candidate(victim, admission, RECLAMATION, only_within_nominal=True, chain=place.chain)


def may_borrow_from(search: Search, victim: Workload) -> bool:
    """Whether `borrowWithinCohort` lets the preemptor borrow what it takes from this group."""
    rules = search.queue.preemption
    below = victim.priority < search.workload.priority
    return (
        rules.borrow_within_cohort and below and (rules.max_priority is None or victim.priority <= rules.max_priority)
    )


def in_order(candidate: Candidate) -> tuple[bool, bool, int, float, str]:
    """The documented order: other queues first, then the lowest priority, then the last admitted, then by uid."""
    reserved = candidate.workload.conditions["QuotaReserved"].since
    own = not candidate.chain
    return own, not candidate.nearer, candidate.workload.priority, -reserved, candidate.workload.uid


# Which of them do have to go


def chosen(search: Search) -> list[Candidate] | None:
    """The candidates to preempt; None if no number of them makes room."""
    name = search.queue.name
    short = frozenset(k for k, amount in search.usage.items() if amount > search.ledger.available(name, k))
    # If all quota is there, places are missing: whoever uses the same flavors may stand in the way.
    search.needed = short or frozenset(search.usage)
    everybody = candidates(search)
    for borrowing in attempts(search, everybody):
        found = fewest(search, everybody, borrowing)
        if found is not None:
            return found
    return None


def attempts(search: Search, everybody: Sequence[Candidate]) -> tuple[bool, ...]:
    """Whether the preemptor may borrow, in the order in which it is tried.

    Without `borrowWithinCohort` some groups may only be taken while the preemptor stays within its nominal quota.
    """
    forbidden = not search.queue.preemption.borrow_within_cohort
    if all(not candidate.chain for candidate in everybody) or (forbidden and not below_nominal(search)):
        return (True,)
    if forbidden and not any(candidate.nearer for candidate in everybody):
        return False, True
    return True, False


def below_nominal(search: Search) -> bool:
    """Whether the queue uses less than its nominal quota of everything that is needed."""
    name, ledger = search.queue.name, search.ledger
    return all(ledger.used(name, key) < ledger.nominal(name, key) for key in search.needed)


def fewest(search: Search, everybody: Iterable[Candidate], borrowing: bool) -> list[Candidate] | None:
    """Take one candidate after another until the preemptor fits, then give back whom it does not need."""
    taken: list[Candidate] = []
    for candidate in everybody:
        if still_allowed(search, candidate, borrowing):
            search.release(candidate.workload, candidate.admission)
            taken.append(candidate)
    kept: list[Candidate] = []
    if fits(search, borrowing):
        kept = taken = needed(search, first_that_fit(search, taken, borrowing), borrowing)
        if not any(candidate.only_within_nominal for candidate in kept):
            # Then nothing keeps the preemptor from borrowing, and it may need even fewer.
            kept = taken = needed(search, kept, True)
    for candidate in taken:
        search.take(candidate.workload, candidate.admission)
    return kept or None


def still_allowed(search: Search, candidate: Candidate, borrowing: bool) -> bool:
    """Whether a candidate may be taken after those before it: nobody is pressed below its nominal quota."""
    if borrowing and candidate.only_within_nominal:
        return False
    return all(above_quota(node, search.needed) for node in candidate.chain)


def first_that_fit(search: Search, taken: list[Candidate], borrowing: bool) -> list[Candidate]:
    """The shortest beginning of `taken` that makes room; the others are taken back. All of it is known to."""
    shortest, longest, now = 1, len(taken), len(taken)
    while shortest < longest:
        middle = (shortest + longest) // 2
        now = move(search, taken, now, middle)
        if fits(search, borrowing):
            longest = middle
        else:
            shortest = middle + 1
    move(search, taken, now, shortest)
    return taken[:shortest]


def move(search: Search, taken: Sequence[Candidate], now: int, then: int) -> int:
    """Have the first `then` candidates released instead of the first `now`."""
    for candidate in taken[now:then]:
        search.release(candidate.workload, candidate.admission)
    for candidate in taken[then:now]:
        search.take(candidate.workload, candidate.admission)
    return then


def needed(search: Search, taken: list[Candidate], borrowing: bool) -> list[Candidate]:
    """Those without whom the preemptor does not fit; the others are given back, the last ones first.

    Whole runs are tried at once: it fits with all of a run given back only if it fits after each.
    """
    kept: list[Candidate] = []
    runs = [taken]
    while runs:
        run = runs.pop()
        for candidate in run:
            search.take(candidate.workload, candidate.admission)
        if fits(search, borrowing):
            continue
        for candidate in run:
            search.release(candidate.workload, candidate.admission)
        if len(run) == 1:
            kept += run
        else:
            runs += (run[: len(run) // 2], run[len(run) // 2 :])
    return kept[::-1]


# Does it fit


def fits(search: Search, borrowing: bool) -> bool:
    """Whether the preemptor fits, by quota and by topology, as things stand in the search."""
    name = search.queue.name
    if not search.ledger.fits(name, search.usage) or (not borrowing and search.ledger.borrows(name, search.usage)):
        return False
    flavors, implied = units.to_place(search.draft, search.workload, search.attempt)
    return not flavors or not search.places.place(search.workload, flavors, implied).refusal
