"""PodsReady: does the whole admitted group run, and what if it does not in time.

Rule (docs "All-or-nothing with ready Pods", KEP-349): the condition is True once all pods of the group exist and are
ready. It turns False when one of them is lost, with reason WaitForRecovery. A group that is not ready `timeout` after
its admission, or `recovery_timeout` after the loss, is evicted with reason PodsReadyTimeout and comes back after a time
that doubles with each eviction, until `backoff_limit` evictions; then it is deactivated.

While a group starts nothing is written: the time since its admission is the clock, so an isolated group costs one
write.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from conformance.reference import eviction
from conformance.reference.draft import Draft
from conformance.reference.model import PodsReadyRules, Workload

READY: Final = "All pods reached readiness and the workload is running"
LOST: Final = "At least one pod has failed, waiting for recovery"
LIMIT_EXCEEDED: Final = "RequeuingLimitExceeded"


def observed(draft: Draft, workload: Workload) -> Workload:
    """An admitted Workload with the condition as its pods are now."""
    rules = draft.rules.pods_ready
    if not rules.enabled:
        return workload
    was = workload.conditions.get("PodsReady")
    ready = all_ready(draft, workload)
    if was is not None and was.status == ready:
        return workload
    if ready:
        recovers = was is not None and was.reason in ("WaitForRecovery", "Recovered")
        return eviction.marked(workload, "PodsReady", True, "Recovered" if recovers else "Started", READY, draft.now)
    if was is not None and rules.recovery_timeout is not None:
        return eviction.marked(workload, "PodsReady", False, "WaitForRecovery", LOST, draft.now)
    return workload


def all_ready(draft: Draft, workload: Workload) -> bool:
    """Whether as many pods as the group has are let go, ready and here to stay."""
    group = workload.group_key
    if group is None:
        return False
    ready = sum(
        pod.ready and not pod.deleted and eviction.is_started(pod) and eviction.belongs(pod, workload)
        for pod in draft.snapshot.pods.get(group, {}).values()
    )
    return ready >= sum(podset.count for podset in workload.podsets)


def deadline(workload: Workload, rules: PodsReadyRules) -> float | None:
    """When an admitted Workload is to be evicted unless its pods are ready by then; None if there is no such time."""
    admitted = workload.conditions["Admitted"]
    ready = workload.conditions.get("PodsReady")
    if not rules.enabled or (ready is not None and ready.status):
        return None
    if ready is not None and ready.reason == "WaitForRecovery":
        return None if rules.recovery_timeout is None else ready.since + rules.recovery_timeout
    return admitted.since + rules.timeout


def too_late(workload: Workload, rules: PodsReadyRules, now: float) -> Workload:
    """A Workload whose pods were not ready in time: evicted, to come back later, or deactivated for good."""
    again = workload.requeues + 1
    if rules.backoff_limit is not None and again > rules.backoff_limit:
        return eviction.deactivated(workload, LIMIT_EXCEEDED, "exceeding the maximum number of re-queuing retries", now)
    message = f"Exceeded the PodsReady timeout {workload.namespace}/{workload.name}"
    it = eviction.evicted(workload, eviction.PODS_READY_TIMEOUT, message, now)
    return replace(it, requeues=again, requeue_at=float(int(now + backoff(again, rules))))


def backoff(again: int, rules: PodsReadyRules) -> float:
    """Seconds until the group may come back after its n-th eviction. No jitter: nothing else retries at that time."""
    # The exponent is bounded, since the number of evictions is not.
    return float(min(rules.backoff_base * 2.0 ** min(again - 1, 64), rules.backoff_max))
