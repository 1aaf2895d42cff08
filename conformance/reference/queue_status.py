"""What a queue says of itself: is it active, what is reserved and used in it, how many groups wait and run.

Rule (Kueue's ClusterQueue and LocalQueue API): `flavorsReservation` sums the Workloads that hold a reservation,
`flavorsUsage` those that are admitted; `borrowed` is what a reservation or usage has above the nominal quota; Workloads
are counted, so a LeaderWorkerSet counts once per group. The status reports and decides nothing: quota is always counted
from the Workloads themselves. Source: Kueue `apis/kueue/v1beta2`, docs "Cluster Queue" and "Local Queue".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.reference import amounts, queues, times
from conformance.reference.draft import Draft
from conformance.reference.model import ClusterQueue, FlavorResource, Key, LocalQueue, Workload
from conformance.reference.writes import Request

ACTIVE: Final = "Active"


@dataclass
class Tally:
    """The Workloads of one queue, counted."""

    pending: int = 0
    reserving: int = 0
    admitted: int = 0
    reserved: dict[FlavorResource, int] = field(default_factory=dict)
    used: dict[FlavorResource, int] = field(default_factory=dict)

    def count(self, workload: Workload) -> None:
        """Count one Workload in."""
        admission = workload.admission
        if not workload.reserves or admission is None:
            self.pending += waits(workload)
            return
        self.reserving += 1
        usage = admission.usage()
        _add(self.reserved, usage)
        if workload.admitted:
            self.admitted += 1
            _add(self.used, usage)


def waits(workload: Workload) -> bool:
    """Whether it counts as pending: it could be admitted, if there were room."""
    return workload.active and not workload.deleted and not workload.true("Finished")


def keep(draft: Draft) -> list[Request]:
    """The status patches of all queues whose status is not what it should be."""
    by_queue, by_local = tallies(draft)
    requests: list[Request] = []
    for queue in draft.snapshot.cluster_queues.values():
        requests += _patch(queue, cluster_queue_status(draft, queue, by_queue.get(queue.name) or Tally()))
    for local_queue in draft.snapshot.local_queues.values():
        requests += _patch(
            local_queue, local_queue_status(draft, local_queue, by_local.get(local_queue.key) or Tally())
        )
    return requests


def tallies(draft: Draft) -> tuple[dict[str, Tally], dict[Key, Tally]]:
    """The Workloads of each ClusterQueue and of each LocalQueue, counted."""
    by_queue: dict[str, Tally] = {}
    by_local: dict[Key, Tally] = {}
    for workload in draft.all_workloads():
        by_local.setdefault((workload.namespace, workload.queue), Tally()).count(workload)
        name = cluster_queue_of(draft, workload)
        if name:
            by_queue.setdefault(name, Tally()).count(workload)
    return by_queue, by_local


def cluster_queue_of(draft: Draft, workload: Workload) -> str:
    """Where it holds its reservation; else where its LocalQueue leads; empty if that is missing."""
    if workload.reserves and workload.admission is not None:
        return workload.admission.cluster_queue
    local = draft.snapshot.local_queues.get((workload.namespace, workload.queue))
    return local.cluster_queue if local else ""


def cluster_queue_status(draft: Draft, queue: ClusterQueue, tally: Tally) -> dict[str, Any]:
    """The fields of `ClusterQueue.status` that are kept."""
    active, reason, message = queues.active(draft, queue)
    return {
        "conditions": _conditions(queue.status, queue.generation, active, reason, message, draft.now),
        "flavorsReservation": _flavors(queue, tally.reserved, borrowed=True),
        "flavorsUsage": _flavors(queue, tally.used, borrowed=True),
        **_counts(tally),
    }


def local_queue_status(draft: Draft, local: LocalQueue, tally: Tally) -> dict[str, Any]:
    """The fields of `LocalQueue.status` that are kept."""
    queue = draft.snapshot.cluster_queues.get(local.cluster_queue)
    active, reason, message = local_queue_activity(draft, local, queue)
    return {
        "conditions": _conditions(local.status, local.generation, active, reason, message, draft.now),
        "flavorsReservation": _flavors(queue, tally.reserved, borrowed=False) if queue else [],
        "flavorsUsage": _flavors(queue, tally.used, borrowed=False) if queue else [],
        **_counts(tally),
    }


def local_queue_activity(draft: Draft, local: LocalQueue, queue: ClusterQueue | None) -> tuple[bool, str, str]:
    """Whether a LocalQueue passes its Workloads on, with reason and message."""
    if local.stop != "None":
        return False, "Stopped", "LocalQueue is stopped"
    if queue is None:
        return False, "ClusterQueueDoesNotExist", "Can't submit new workloads to clusterQueue"
    if not queues.active(draft, queue)[0]:
        return False, "ClusterQueueIsInactive", "Can't submit new workloads to clusterQueue"
    return True, "Ready", "Can submit new workloads to localQueue"


def _counts(tally: Tally) -> dict[str, int]:
    return {
        "pendingWorkloads": tally.pending,
        "reservingWorkloads": tally.reserving,
        "admittedWorkloads": tally.admitted,
    }


def _flavors(queue: ClusterQueue, used: Mapping[FlavorResource, int], *, borrowed: bool) -> list[dict[str, Any]]:
    """Every flavor of the queue with every resource that it has quota for, used or not."""
    entries: list[dict[str, Any]] = []
    for group in queue.groups:
        for flavor in group.flavors:
            resources = [r for r in group.resources if (flavor, r) in queue.quotas]
            entries.append({"name": flavor, "resources": list(_resources(queue, flavor, resources, used, borrowed))})
    return entries


def _resources(
    queue: ClusterQueue, flavor: str, resources: list[str], used: Mapping[FlavorResource, int], borrowed: bool
) -> Iterable[dict[str, str]]:
    for resource in resources:
        key = (flavor, resource)
        total = used.get(key, 0)
        entry = {"name": resource, "total": amounts.show(resource, total)}
        if borrowed:
            entry["borrowed"] = amounts.show(resource, max(0, total - queue.quotas[key].nominal))
        yield entry


def _conditions(
    status: Mapping[str, Any], generation: int, active: bool, reason: str, message: str, now: float
) -> list[dict[str, Any]]:
    """All conditions that were there, with `Active` as it should be."""
    others = [c for c in status.get("conditions") or () if c.get("type") != ACTIVE]
    was: Mapping[str, Any] = next((c for c in status.get("conditions") or () if c.get("type") == ACTIVE), {})
    value = "True" if active else "False"
    since = was.get("lastTransitionTime") if was.get("status") == value else None
    here = {
        "type": ACTIVE,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since or times.show(now),
        "observedGeneration": generation,
    }
    return [*others, here]


def _patch(queue: ClusterQueue | LocalQueue, status: dict[str, Any]) -> list[Request]:
    """The request that makes its status this, or none."""
    changed = {key: value for key, value in status.items() if _differs(queue.status.get(key), value)}
    if not changed:
        return []
    body = {"metadata": {"uid": queue.uid}, "status": changed}
    kind = "LocalQueue" if isinstance(queue, LocalQueue) else "ClusterQueue"
    namespace = queue.namespace if isinstance(queue, LocalQueue) else ""
    return [
        Request(
            verb="patch",
            kind=kind,
            namespace=namespace,
            name=queue.name,
            body=body,
            subresource="status",
            uid=queue.uid,
            revision="",
            expected=None,
            why="status",
        )
    ]


def _differs(stored: Any, wanted: Any) -> bool:
    """Whether it must be written; an empty list and no list are the same to the API server."""
    return bool(stored != wanted and (stored or wanted != []))


def _add(total: dict[FlavorResource, int], more: Mapping[FlavorResource, int]) -> None:
    for key, amount in more.items():
        total[key] = total.get(key, 0) + amount
