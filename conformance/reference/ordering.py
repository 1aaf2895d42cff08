"""In which order the Workloads of one ClusterQueue are tried.

Rule (Kueue docs, "Cluster Queue", queueing strategy; spec §1.1): higher priority first, then the longer queued, then by
UID. A Workload is queued from its creation. One that gave its place up since its pods were not ready in time, or since
an admission check asked for a retry, is queued from that eviction: else it would be first again at once, and fail again
(`requeuingStrategy.timestamp`). One that was preempted keeps its old place. The API's times have whole seconds.
"""

from __future__ import annotations

from typing import Final

from conformance.reference.draft import Draft
from conformance.reference.model import Workload

BACK_OF_THE_QUEUE: Final = ("PodsReadyTimeout", "AdmissionCheck")
"""Reasons of an eviction after which a Workload is queued anew."""
PREEMPTING: Final = "WaitingForPreemptedWorkloads"
"""Reason of QuotaReserved=False of a Workload that waits for its victims to go."""


def queued_since(draft: Draft, workload: Workload) -> float:
    """The time by which it is ordered among those of its priority, in seconds since the epoch."""
    evicted = workload.conditions.get("Evicted")
    if evicted is None or not evicted.status or evicted.reason not in BACK_OF_THE_QUEUE:
        return workload.created
    if evicted.reason == "PodsReadyTimeout" and not draft.rules.pods_ready.by_eviction_time:
        return workload.created
    return evicted.since


def place_in_queue(draft: Draft, workload: Workload) -> tuple[int, float, str]:
    """What the Workloads of a queue are sorted by: the smallest is tried first."""
    return -workload.priority, queued_since(draft, workload), workload.uid


def has_preempted(workload: Workload) -> bool:
    """Whether others were evicted for it, and it has neither been admitted nor been found not to fit since."""
    known = workload.conditions.get("QuotaReserved")
    return known is not None and not known.status and known.reason == PREEMPTING


def place_in_cohort(borrowing_level: int, place: tuple[int, float, str]) -> tuple[int, int, float, str]:
    """What the heads of the queues of one cohort are sorted by: who stays within its nominal quota comes first.

    Then who borrows of a smaller part of the tree. Else a borrower of the whole tree could take, by its age alone, what
    a queue had just got back for a cohort of its own, and be preempted again, for ever.
    """
    return (borrowing_level, *place)
