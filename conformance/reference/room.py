"""The room that a pass has to give away: quota and places, and the claims to what is about to be free.

Rule (spec §1.3): a reservation counts until it is given up, and what this very pass takes away counts until that is
stored. For everybody who reads the Workloads quota must hold at any moment, and of two writes the second may be the
first to arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from conformance.reference import preemption
from conformance.reference.draft import Draft
from conformance.reference.model import Admission, Usage, Workload
from conformance.reference.quota import Ledger
from conformance.reference.topology import Places


@dataclass
class Room:
    """Quota and places as they are at this point of the pass. They only get less, but for what is claimed."""

    draft: Draft
    ledger: Ledger
    places: Places
    freed: tuple[tuple[Workload, Admission], ...] = ()
    """Reservations that this pass takes away. They count as used here, and are free with the next pass."""
    settling: frozenset[str] = frozenset()
    """The queues that can then use them."""
    claims: Ledger | None = None
    """Quota as it will be when those who have a claim have got what they wait for; None: nobody has."""
    changes: int = 0
    unready: bool = False
    """Whether `waitForPodsReady.blockAdmission` keeps everybody waiting."""
    refused: set[tuple[object, ...]] = field(default_factory=set)
    """Shapes that do not fit: since room only gets less, none of the same shape needs to be tried again."""

    @classmethod
    def of(cls, draft: Draft) -> Room:
        """As the steps before left it; what they freed is still counted."""
        room = cls(draft, Ledger.of(draft), Places.of(draft), tuple(freed(draft)), unready=blocked(draft))
        room.count_freed(used=True)
        trees = (room.ledger.members(admission.cluster_queue) for _, admission in room.freed)
        room.settling = frozenset(name for tree in trees for name in tree)
        return room

    def count_freed(self, *, used: bool) -> None:
        """Count what this pass frees as used, or as free."""
        for workload, admission in self.freed:
            if used:
                self.ledger.take(admission.cluster_queue, admission.usage())
                self.places.take(workload, admission)
            else:
                self.ledger.release(admission.cluster_queue, admission.usage())
                self.places.release(workload, admission)

    def take(self, workload: Workload, admission: Admission) -> None:
        """Count what a Workload was admitted with."""
        usage = admission.usage()
        self.ledger.take(admission.cluster_queue, usage)
        self.places.take(workload, admission)
        if self.claims is not None:
            self.claims.take(admission.cluster_queue, usage)
        self.changes += 1

    def claim(self, queue: str, usage: Usage, victims: Iterable[Workload] = ()) -> None:
        """Keep that much for the queue, which it gets when those who are told to go are gone."""
        if self.claims is None:
            self.claims = self.ledger.copy()
            leaving = [it for it in self.draft.all_workloads() if it.reserves and preemption.is_leaving(self.draft, it)]
            victims = (*(it for it, _ in self.freed), *leaving, *victims)
        for victim in victims:
            if victim.admission is not None:
                self.claims.release(victim.admission.cluster_queue, victim.admission.usage())
        self.claims.take(queue, usage)
        self.changes += 1


def freed(draft: Draft) -> Iterator[tuple[Workload, Admission]]:
    """The reservations that this pass takes away and that everybody else still sees."""
    for key, becomes in draft.workloads.items():
        stored = draft.snapshot.workloads.get(key)
        if stored is not None and stored.admission is not None and stored.reserves and not becomes.reserves:
            yield stored, stored.admission


def blocked(draft: Draft) -> bool:
    """Whether an admitted Workload whose pods are not ready keeps everybody waiting."""
    rules = draft.rules.pods_ready
    if not (rules.enabled and rules.block_admission):
        return False
    return any(workload.admitted and not workload.true("PodsReady") for workload in draft.all_workloads())
