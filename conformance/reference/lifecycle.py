"""What happens to a Workload besides being admitted: deactivation, stopped queues, checks, timeouts, its end.

Rules (docs "Workload", "Admission check", "Cluster Queue: stopPolicy", "All-or-nothing with ready Pods"):
- `spec.active: false` evicts; the Workload is kept, and comes back to its queue when it is active again.
- stopPolicy Hold takes away the reservations that are not admitted yet; HoldAndDrain evicts admitted groups, too.
- A reservation is admitted once all checks of its queue, for its flavors, are Ready. Retry evicts; Rejected
  deactivates.
- A group that is not ready in time, or ran longer than its maximum execution time, is evicted or deactivated.
- An eviction ends when no pod of the group runs; then the reservation is free and the group waits in its queue again.
- A deleted Workload keeps its finalizer, and with it its quota, as long as pods of its group run.

A Workload goes one stage further in each pass, so that every stage is stored and can be seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from conformance import names
from conformance.reference import eviction, node_failures, podsready
from conformance.reference.draft import Draft
from conformance.reference.model import CheckRule, CheckState, ClusterQueue, LocalQueue, Workload

EXECUTION_TIME_EXCEEDED: Final = "MaximumExecutionTimeExceeded"


def keep(draft: Draft) -> None:
    """Bring every Workload one stage further."""
    for workload in draft.all_workloads():
        if workload.key in draft.deleted_workloads:
            continue
        changed = next_stage(draft, workload)
        if changed is not workload:
            draft.put(changed)
    node_failures.keep(draft)


def next_stage(draft: Draft, workload: Workload) -> Workload:
    """What a Workload becomes; itself if nothing is to be done about it."""
    if workload.deleted:
        return finalized(draft, workload)
    if workload.true("Finished"):
        return workload
    if workload.true(eviction.DEACTIVATION_TARGET):
        if workload.active:
            return replace(workload, active=False)
        workload = eviction.without(workload, eviction.DEACTIVATION_TARGET)
    if not workload.active:
        workload = inactive(draft, workload)
    elif not workload.evicted and workload.reserves:
        workload = holding(draft, workload)
    if not workload.reserves:
        return requeued(draft, workload)
    if workload.evicted and eviction.ended(draft, workload):
        return eviction.gone(workload, draft.now)
    return workload


def finalized(draft: Draft, workload: Workload) -> Workload:
    """A deleted Workload, without this integration's finalizer once nothing of its group runs."""
    if not workload.finalized or eviction.started_pods(draft, workload):
        return workload
    others = tuple(f for f in workload.finalizers if f != names.RESOURCE_IN_USE)
    return replace(workload, finalized=False, finalizers=others)


# Deactivation and what ends a wait


def inactive(draft: Draft, workload: Workload) -> Workload:
    """A Workload that somebody deactivated: told so once, and with a clean slate for the day it is active again."""
    told = workload.conditions.get("Evicted")
    if told is None or not told.status or not told.reason.startswith(eviction.DEACTIVATED):
        message = "The workload is deactivated"
        workload = eviction.evicted(workload, eviction.DEACTIVATED, message, draft.now)
        if not workload.reserves:
            workload = eviction.marked(workload, "Requeued", False, eviction.DEACTIVATED, message, draft.now)
    if workload.requeues or workload.requeue_at is not None:
        workload = replace(workload, requeues=0, requeue_at=None)
    return workload


def requeued(draft: Draft, workload: Workload) -> Workload:
    """A Workload without a reservation, back in its queue if what kept it out is over."""
    if not workload.active or eviction.releases(draft, workload):
        return workload
    if workload.requeue_at is not None:
        if workload.requeue_at > draft.now:
            draft.wake(workload.requeue_at)
            return workload
        workload = replace(workload, requeue_at=None)
    kept_out = workload.conditions.get("Requeued")
    if kept_out is None or kept_out.status:
        return workload
    if kept_out.reason.startswith(eviction.DEACTIVATED):
        return back(draft, workload, "Reactivated", "The workload was reactivated")
    if kept_out.reason in (eviction.PODS_READY_TIMEOUT, eviction.ADMISSION_CHECK):
        return back(draft, workload, "BackoffFinished", "The workload backoff was finished")
    local, queue = queues_of(draft, workload)
    if kept_out.reason == eviction.LOCAL_QUEUE_STOPPED and local is not None and local.stop == "None":
        return back(draft, workload, "LocalQueueRestarted", "The LocalQueue was restarted after being stopped")
    if kept_out.reason == eviction.CLUSTER_QUEUE_STOPPED and queue is not None and queue.stop == "None":
        return back(draft, workload, "ClusterQueueRestarted", "The ClusterQueue was restarted after being stopped")
    return workload


def back(draft: Draft, workload: Workload, reason: str, message: str) -> Workload:
    """The Workload, to be tried again from now on."""
    return eviction.marked(workload, "Requeued", True, reason, message, draft.now)


def queues_of(draft: Draft, workload: Workload) -> tuple[LocalQueue | None, ClusterQueue | None]:
    """Its LocalQueue, and the ClusterQueue in which it holds its reservation or to which the LocalQueue leads."""
    local = draft.snapshot.local_queues.get((workload.namespace, workload.queue))
    if workload.reserves and workload.admission is not None:
        return local, draft.snapshot.cluster_queues.get(workload.admission.cluster_queue)
    return local, draft.snapshot.cluster_queues.get(local.cluster_queue) if local is not None else None


# A Workload that holds a reservation


def holding(draft: Draft, workload: Workload) -> Workload:
    """A Workload with a reservation that is not being evicted: judged by its checks, its queues and its clocks."""
    local, queue = queues_of(draft, workload)
    if queue is not None:
        workload = with_checks(draft, workload, queue)
    if any(check.state in ("Rejected", "Retry") for check in workload.checks):
        return refused(draft, workload)
    if workload.true("Admitted"):
        return running(draft, workload, local, queue)
    stopped = why_stopped(workload, local, queue)
    if stopped:
        return eviction.released(workload, draft.now, "Inadmissible", stopped)
    if not checked(workload) or topology_pending(workload):
        return workload
    return eviction.marked(workload, "Admitted", True, "Admitted", "The workload is admitted", draft.now)


def with_checks(draft: Draft, workload: Workload, queue: ClusterQueue) -> Workload:
    """The Workload with one entry for each check that its queue asks for, and no other."""
    if not queue.checks and not workload.checks:
        return workload
    required = {rule.name for rule in queue.checks if applies(rule, workload)}
    if required == {check.name for check in workload.checks}:
        return workload
    known = {check.name: check for check in workload.checks}
    now = float(int(draft.now))
    checks = tuple(known.get(name) or CheckState(name, "Pending", now) for name in sorted(required))
    return replace(workload, checks=checks)


def applies(rule: CheckRule, workload: Workload) -> bool:
    """Whether a queue's check is for one of the flavors that the Workload was given."""
    if not rule.flavors or workload.admission is None:
        return not rule.flavors
    return any(not rule.flavors.isdisjoint(podset.flavors.values()) for podset in workload.admission.podsets)


def checked(workload: Workload) -> bool:
    """Whether all its checks are Ready."""
    return all(check.state == "Ready" for check in workload.checks)


def topology_pending(workload: Workload) -> bool:
    """Whether places are still to be chosen, after the checks."""
    admission = workload.admission
    return admission is not None and any(p.delayed == "Pending" and p.topology is None for p in admission.podsets)


def refused(draft: Draft, workload: Workload) -> Workload:
    """A Workload with a check that says Rejected: deactivated; or Retry: evicted, to come back when the check says."""
    if any(check.state == "Rejected" for check in workload.checks):
        return eviction.deactivated(workload, eviction.ADMISSION_CHECK, told_by(workload, "Rejected"), draft.now)
    times = [
        check.since + check.requeue_after
        for check in workload.checks
        if check.state == "Retry" and check.requeue_after is not None
    ]
    message = f"Evicted due to {told_by(workload, 'Retry')}"
    it = eviction.evicted(workload, eviction.ADMISSION_CHECK, message, draft.now)
    if times and max(times) > max(draft.now, it.requeue_at or 0.0):
        it = replace(it, requeue_at=max(times))
    return it


def told_by(workload: Workload, state: str) -> str:
    """Which checks are in that state, and what they say."""
    found = [check for check in workload.checks if check.state == state]
    parts = [f'"{check.name}" ({check.message})' if check.message else f'"{check.name}"' for check in found]
    return f"AdmissionCheck{'s' if len(found) > 1 else ''} in {state} state: {'; '.join(parts)}"


def why_stopped(workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None) -> str:
    """Why a reservation that is not admitted yet is taken away, as a sentence; empty if it is not."""
    if local is None or local.deleted:
        return f"LocalQueue {workload.queue} is terminating or missing"
    if local.stop != "None":
        return f"LocalQueue {local.name} is stopped"
    if queue is None or queue.deleted:
        return f"ClusterQueue {local.cluster_queue} is terminating or missing"
    if queue.stop != "None":
        return f"ClusterQueue {queue.name} is stopped"
    return ""


def running(draft: Draft, workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None) -> Workload:
    """An admitted Workload: drained with its queue, or judged by its pods and by the clock."""
    if local is not None and local.stop == "HoldAndDrain":
        return eviction.evicted(workload, eviction.LOCAL_QUEUE_STOPPED, "The LocalQueue is stopped", draft.now)
    if queue is not None and queue.stop == "HoldAndDrain":
        return eviction.evicted(workload, eviction.CLUSTER_QUEUE_STOPPED, "The ClusterQueue is stopped", draft.now)
    workload = podsready.observed(draft, workload)
    ready_by = podsready.deadline(workload, draft.rules.pods_ready)
    if ready_by is not None and ready_by <= draft.now:
        return podsready.too_late(workload, draft.rules.pods_ready, draft.now)
    done_by = execution_ends(workload)
    if done_by is not None and done_by <= draft.now:
        because = "exceeding the maximum execution time"
        it = eviction.deactivated(workload, EXECUTION_TIME_EXCEEDED, because, draft.now)
        return replace(it, executed_seconds=0)
    for time in (ready_by, done_by):
        if time is not None:
            draft.wake(time)
    return workload


def execution_ends(workload: Workload) -> float | None:
    """When an admitted Workload has run as long as it may, former admissions counted; None if it may for ever."""
    if workload.max_seconds is None:
        return None
    return workload.conditions["Admitted"].since + workload.max_seconds - workload.executed_seconds
