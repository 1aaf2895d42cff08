"""Eviction of a group: it is told to go, it goes, and it waits in its queue again.

Rule (docs "Workload", KEP-1282): an eviction begins with the condition Evicted=True and its reason, and ends when no
pod of the group runs any more. Only then is the reservation given up (QuotaReserved=False), so that nobody gets quota
that old pods still use. The condition Requeued says whether the group may be tried again: True at once after a
preemption or a node's failure, False until the cause is gone after all other reasons. The Workload itself is kept.

These are the values that a Workload goes through; `lifecycle` and `preemption` decide when.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from conformance import names
from conformance.reference.draft import Draft
from conformance.reference.model import CheckState, Condition, Pod, Workload

PREEMPTED: Final = "Preempted"
PODS_READY_TIMEOUT: Final = "PodsReadyTimeout"
ADMISSION_CHECK: Final = "AdmissionCheck"
CLUSTER_QUEUE_STOPPED: Final = "ClusterQueueStopped"
LOCAL_QUEUE_STOPPED: Final = "LocalQueueStopped"
NODE_FAILURES: Final = "NodeFailures"
DEACTIVATED: Final = "Deactivated"

DEACTIVATION_TARGET: Final = "DeactivationTarget"
"""Condition: why this instance is about to set `spec.active` to false. Without it the cause would be lost if it stopped
between its two writes, since spec and status cannot be written together."""

AT_ONCE: Final = frozenset({PREEMPTED, NODE_FAILURES})
"""Reasons after which a group may be tried again as soon as its eviction has ended."""

LONGEST_MESSAGE: Final = 1024
"""Characters: Kueue cuts the messages of conditions here."""


def marked(workload: Workload, kind: str, status: bool, reason: str, message: str, now: float) -> Workload:
    """The Workload with that condition; the very same value if it has it already, so that nothing is written."""
    message = message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."
    was = workload.conditions.get(kind)
    if was is not None and (was.status, was.unknown, was.reason, was.message) == (status, False, reason, message):
        return workload
    since = was.since if was is not None and (was.status, was.unknown) == (status, False) else float(int(now))
    condition = Condition(status, reason, message, since, workload.generation)
    return replace(workload, conditions={**workload.conditions, kind: condition})


def without(workload: Workload, kind: str) -> Workload:
    """The Workload without that condition."""
    return replace(workload, conditions={k: c for k, c in workload.conditions.items() if k != kind})


# How an eviction begins


def evicted(workload: Workload, reason: str, message: str, now: float) -> Workload:
    """The Workload told to go. Its reservation stays; it is not admitted any more, so its pods are to be stopped."""
    it = not_admitted(workload, reason, message, now)
    it = marked(it, "Evicted", True, reason, message, now)
    if "PodsReady" in it.conditions:
        it = marked(it, "PodsReady", False, "WaitForStart", "Not all pods are ready or succeeded", now)
    # A check judged this reservation; the next one must be judged anew.
    return replace(it, checks=tuple(pending_again(check, now) for check in it.checks), unhealthy=())


def deactivated(workload: Workload, cause: str, because: str, now: float) -> Workload:
    """A Workload that this instance deactivates: evicted now, `spec.active` set to false once that is stored."""
    it = marked(workload, DEACTIVATION_TARGET, True, cause, because, now)
    reason = f"{DEACTIVATED}DueTo{cause}"
    it = evicted(it, reason, f"The workload is deactivated due to {because}", now)
    return replace(it, requeues=0, requeue_at=None)


def not_admitted(workload: Workload, reason: str, message: str, now: float) -> Workload:
    """The Workload with Admitted=False, if it ever had the condition; the time that it ran is added up."""
    was = workload.conditions.get("Admitted")
    if was is None:
        return workload
    ran = max(0, int(now - was.since)) if was.status else 0
    it = marked(workload, "Admitted", False, reason, message, now)
    return replace(it, executed_seconds=it.executed_seconds + ran) if ran else it


def pending_again(check: CheckState, now: float) -> CheckState:
    """An admission check as a new reservation begins with it: what it said and added to the pods is void."""
    if check.state == "Pending":
        return check
    kept = {"requeueAfterSeconds": check.requeue_after} if check.requeue_after is not None else {}
    if check.state == "Retry":
        kept["retryCount"] = int(check.raw.get("retryCount") or 0) + 1
    message = f"Reset to Pending after eviction. Previously: {check.state}"
    return CheckState(check.name, "Pending", float(int(now)), message, check.requeue_after, kept)


# How it ends


def started_pods(draft: Draft, workload: Workload) -> list[Pod]:
    """The pods of its group that were let go (no gate of Kueue's) and have not finished; terminating ones count.

    Those that are `lost` do not: a node that never comes back must not hold the group's quota for ever.

    A pod that names another Workload is not its own: the set may have been replaced by one of the same name. Pods that
    this pass deletes still run, so they count.
    """
    group = workload.group_key
    if group is None:
        return []
    return [
        pod
        for pod in draft.snapshot.pods.get(group, {}).values()
        if is_started(pod) and belongs(pod, workload) and not lost(draft, pod)
    ]


def lost(draft: Draft, pod: Pod) -> bool:
    """Whether a pod should be gone by now and only its node, deleted or not ready, keeps it from being told gone.

    The API's times are cut to whole seconds, so the time has come once the next second began.
    """
    if pod.gone_by is None or not pod.node:
        return False
    node = draft.snapshot.nodes.get(pod.node)
    if node is not None and node.ready:
        return False
    over = pod.gone_by + 1
    if draft.now < over:
        draft.wake(over)
        return False
    return True


def is_started(pod: Pod) -> bool:
    """Whether a pod may run or be scheduled, as far as its queue is concerned."""
    return not pod.finished and not any(gate in names.OUR_GATES for gate in pod.gates)


def belongs(pod: Pod, workload: Workload) -> bool:
    """Whether a pod of the group is this Workload's; one that names none is."""
    named = pod.annotations.get(names.WORKLOAD) or pod.annotations.get(names.PREBUILT_WORKLOAD)
    return not named or named == workload.name


def ended(draft: Draft, workload: Workload) -> bool:
    """Whether nothing of the group runs, so that its reservation may be given up.

    While the API server still has it as admitted, pods may be let go that this pass does not see: not yet.
    """
    known = draft.snapshot.workloads.get(workload.key)
    return not (known is not None and known.admitted) and not started_pods(draft, workload)


def released(workload: Workload, now: float, reason: str = "Pending", message: str = "") -> Workload:
    """The Workload without its reservation."""
    it = marked(workload, "QuotaReserved", False, reason, message, now)
    it = not_admitted(it, "NoReservation", "The workload has no reservation", now)
    return replace(it, admission=None, checks=tuple(pending_again(check, now) for check in it.checks), unhealthy=())


def gone(workload: Workload, now: float) -> Workload:
    """The end of an eviction: the reservation is given up, and Requeued says whether the group may be tried again."""
    cause = workload.conditions["Evicted"]
    it = marked(workload, "Requeued", cause.reason in AT_ONCE, cause.reason, cause.message, now)
    return released(it, now, "Pending", cause.message)


# What comes after


def waits(draft: Draft, workload: Workload) -> bool:
    """Whether it must not be given a reservation in this pass, whatever room there is.

    It is inactive or about to be, holds a reservation, is not to be tried again yet, or gives up its reservation in
    this very pass: then the end of the eviction is written first, for everybody to see.
    """
    if not workload.active or workload.true(DEACTIVATION_TARGET) or workload.reserves or releases(draft, workload):
        return True
    requeued = workload.conditions.get("Requeued")
    if requeued is not None and not requeued.status:
        return True
    return workload.requeue_at is not None and workload.requeue_at > draft.now


def releases(draft: Draft, workload: Workload) -> bool:
    """Whether this pass takes its reservation away: until that is stored, the quota is not free for anybody."""
    known = draft.snapshot.workloads.get(workload.key)
    return known is not None and known.reserves and not workload.reserves
