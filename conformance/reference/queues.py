"""Which ClusterQueue may admit a Workload now, and why none may.

Rule (Kueue docs, "Cluster Queue", "Local Queue", `stopPolicy`, `namespaceSelector`; spec §1.8): a Workload names a
LocalQueue of its namespace, which leads to a ClusterQueue. Neither may be missing, terminating or stopped. The
ClusterQueue must be active: every flavor, topology and admission check that it names exists and works, and its cohorts
form a tree. Its selector must accept the namespace. Whatever is wrong, the Workload waits and is looked at again when
that changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.reference import matching, quota
from conformance.reference.draft import Draft
from conformance.reference.model import ClusterQueue, Snapshot, Workload

NAMESPACE_MISMATCH: Final = "workload namespace doesn't match ClusterQueue selector"

Activity = tuple[bool, str, str]


def usable(draft: Draft, workload: Workload) -> tuple[ClusterQueue | None, str]:
    """The ClusterQueue that may admit the Workload now; or None and why not, as a sentence."""
    local = draft.snapshot.local_queues.get((workload.namespace, workload.queue))
    if local is None:
        return None, f"LocalQueue {workload.queue} doesn't exist"
    if local.deleted:
        return None, f"LocalQueue {local.name} is terminating or missing"
    if local.stop != "None":
        return None, f"LocalQueue {local.name} is stopped"
    queue = draft.snapshot.cluster_queues.get(local.cluster_queue)
    if queue is None:
        return None, f"ClusterQueue {local.cluster_queue} doesn't exist"
    if queue.deleted:
        return None, f"ClusterQueue {queue.name} is terminating or missing"
    if queue.stop != "None":
        return None, f"ClusterQueue {queue.name} is stopped"
    if not active(draft, queue)[0]:
        return None, f"ClusterQueue {queue.name} is inactive"
    if not accepts(draft.snapshot, queue, workload.namespace):
        return None, NAMESPACE_MISMATCH
    return queue, ""


def accepts(snapshot: Snapshot, queue: ClusterQueue, namespace: str) -> bool:
    """Whether the queue's selector accepts the namespace, by its labels as they are now."""
    return matching.selector_matches(queue.namespaces, snapshot.namespaces.get(namespace, {}))


def active(draft: Draft, queue: ClusterQueue) -> Activity:
    """Whether a ClusterQueue can admit anything, with reason and message of its condition Active."""
    known: dict[str, Activity] = draft.memory.setdefault("queues", {})
    if queue.name not in known:
        known[queue.name] = activity(draft.snapshot, queue)
    return known[queue.name]


def activity(snapshot: Snapshot, queue: ClusterQueue) -> Activity:
    """As `active`, worked out anew."""
    if queue.deleted:
        return False, "Terminating", "Can't admit new workloads; clusterQueue is terminating"
    wrong = list(obstacles(snapshot, queue))
    if wrong:
        return False, wrong[0][0], f"Can't admit new workloads: {', '.join(message for _, message in wrong)}."
    return True, "Ready", "Can admit new workloads"


def obstacles(snapshot: Snapshot, queue: ClusterQueue) -> Iterator[tuple[str, str]]:
    """Everything that keeps the queue from admitting: reason and message, the reason of the condition first."""
    if queue.stop != "None":
        yield "Stopped", "is stopped"
    flavors = [name for group in queue.groups for name in group.flavors]
    if missing := [name for name in flavors if name not in snapshot.flavors]:
        yield "FlavorNotFound", f"references missing ResourceFlavor(s): {','.join(missing)}"
    checks = sorted({rule.name for rule in queue.checks})
    if missing := [name for name in checks if name not in snapshot.checks]:
        yield "AdmissionCheckNotFound", f"references missing AdmissionCheck(s): {','.join(missing)}"
    if idle := [name for name in checks if name in snapshot.checks and not snapshot.checks[name].active]:
        yield "AdmissionCheckInactive", f"references inactive AdmissionCheck(s): {','.join(idle)}"
    for name in flavors:
        topology = snapshot.flavors[name].topology if name in snapshot.flavors else ""
        if topology and topology not in snapshot.topologies:
            yield "TopologyNotFound", f'there is no Topology "{topology}" for TAS flavor "{name}"'
    if queue.problem:
        yield "Unusable", queue.problem
    if queue.cohort and (problem := quota.cohort_problem(snapshot, queue.cohort)):
        yield "CohortUnusable", problem
