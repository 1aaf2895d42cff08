"""What a ClusterQueue says besides its nominal quota: whom it preempts, what it borrows and lends, and in what order.

Stories give one set of rules for all queues of a tenant, or one per LocalQueue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conformance.world.requests import Quota, Requests


@dataclass(frozen=True)
class Limits:
    """A borrowing and a lending limit in amounts; None is no limit."""

    borrowing: Requests | None = None
    lending: Requests | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True)
class QueueRules:
    """The rules of a ClusterQueue; the defaults are those of Kueue, but for the strategy, which stories rely on.

    `within` and `reclaim` are the policies `withinClusterQueue` and `reclaimWithinCohort`. `borrow_up_to` lets the
    queue preempt while it borrows, up to this priority. `cohort` is the short name of a Cohort of the tenant.
    """

    within: str = "Never"
    reclaim: str = "Never"
    borrow_up_to: int | None = None
    strategy: str = "BestEffortFIFO"
    cohort: str | None = None
    borrowing_limit: Quota | None = None
    lending_limit: Quota | None = None

    def limits(self, group: Requests) -> Limits:
        """The limits, when a group asks for `group`."""
        return limits(self.borrowing_limit, self.lending_limit, group)

    def preemption(self) -> dict[str, Any] | None:
        """The part `preemption` of the spec; None if nobody may be preempted."""
        if self.within == "Never" and self.reclaim == "Never":
            return None
        policies: dict[str, Any] = {"withinClusterQueue": self.within, "reclaimWithinCohort": self.reclaim}
        if self.borrow_up_to is not None:
            policies["borrowWithinCohort"] = {"policy": "LowerPriority", "maxPriorityThreshold": self.borrow_up_to}
        return policies


PLAIN = QueueRules()


def limits(borrowing: Quota | None, lending: Quota | None, group: Requests) -> Limits:
    """Both limits as amounts, when a group asks for `group`."""
    return Limits(
        borrowing.for_group(group) if borrowing is not None else None,
        lending.for_group(group) if lending is not None else None,
    )
