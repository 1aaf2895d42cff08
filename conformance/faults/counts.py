"""Faults of what queues say of themselves: usage, reservations and numbers of groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as but
from typing import Any

from conformance.faults.model import fault, replace
from conformance.names import GPU
from conformance.reference import queue_status
from conformance.reference.draft import Draft
from conformance.reference.model import ClusterQueue, FlavorResource, Key, LocalQueue, Workload
from conformance.reference.queue_status import Tally

Tallies = tuple[dict[str, Tally], dict[Key, Tally]]


def recounted(count: Callable[[Draft, Tally, Workload], None]) -> None:
    """Have every Workload counted by another rule, in ClusterQueues and LocalQueues alike."""

    def tallies(draft: Draft) -> Tallies:
        by_queue: dict[str, Tally] = {}
        by_local: dict[Key, Tally] = {}
        for workload in draft.all_workloads():
            count(draft, by_local.setdefault((workload.namespace, workload.queue), Tally()), workload)
            if name := queue_status.cluster_queue_of(draft, workload):
                count(draft, by_queue.setdefault(name, Tally()), workload)
        return by_queue, by_local

    replace(queue_status, "tallies", tallies)


def add(total: dict[FlavorResource, int], more: dict[FlavorResource, int]) -> None:
    for key, amount in more.items():
        total[key] = total.get(key, 0) + amount


# Usage


@fault(
    "A queue shows usage for those pods of its groups alone that exist.",
    caught={"POD-14": "usage", "QUO-02": "usage"},
)
def usage_of_pods_that_exist() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        size = sum(podset.count for podset in workload.podsets)
        if workload.admitted and workload.admission is not None and workload.group_key is not None:
            missing = max(size - len(draft.pods_of(workload.group_key)), 0)
            for key, amount in workload.admission.usage().items():
                tally.used[key] -= amount * missing // size

    recounted(count)


@fault(
    "A queue shows usage once more for every worker pod that it sees.",
    caught={"QUO-02": "usage", "QUO-01": "usage", "UP-08": "usage"},
)
def usage_grows_with_pods() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        if workload.admitted and workload.admission is not None and workload.group_key is not None:
            workers = sum(not pod.is_leader for pod in draft.pods_of(workload.group_key))
            each = {key: amount // 10 * workers for key, amount in workload.admission.usage().items()}
            add(tally.used, each)

    recounted(count)


@fault(
    "A queue shows the usage of the leaders alone.",
    caught={"QUO-01": "usage", "ADM-03": "usage", "POD-14": "usage"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/4936",
)
def usage_of_leaders_only() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        if workload.admission is not None and len(workload.admission.podsets) > 1:
            workload = but(workload, admission=but(workload.admission, podsets=workload.admission.podsets[:1]))
        tally.count(workload)

    recounted(count)


@fault("A queue shows no usage of GPUs.", caught={"QUO-09": "usage"})
def usage_without_gpus() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        for key in [key for key in tally.used if key[1] == GPU]:
            del tally.used[key]

    recounted(count)


@fault(
    "A queue shows usage for groups that wait, as many as it knows of.",
    caught={"QUO-05": "usage", "ADM-03": "usage"},
)
def usage_of_waiting_groups() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        if not workload.reserves and queue_status.waits(workload):
            for key in flavor_resources(draft, workload):
                tally.used[key] = tally.used.get(key, 0) + 1_000

    recounted(count)


@fault("A queue shows reservations for groups that wait.", caught={"QUO-05": "reserved"})
def reservations_of_waiting_groups() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        if not workload.reserves and queue_status.waits(workload):
            for key in flavor_resources(draft, workload):
                tally.reserved[key] = tally.reserved.get(key, 0) + 1_000

    recounted(count)


def flavor_resources(draft: Draft, workload: Workload) -> list[FlavorResource]:
    queue = draft.snapshot.cluster_queues.get(queue_status.cluster_queue_of(draft, workload))
    return list(queue.quotas) if queue is not None else []


@fault(
    "A ClusterQueue shows the usage of all queues of the namespace.",
    caught={"QUO-02": ("usage", "counts")},
)
def usage_of_all_queues() -> None:
    original = queue_status.tallies

    def tallies(draft: Draft) -> Tallies:
        by_queue, by_local = original(draft)
        everything: dict[str, Tally] = {}
        for workload in draft.all_workloads():
            everything.setdefault(workload.namespace, Tally()).count(workload)
        for local in draft.snapshot.local_queues.values():
            by_queue[local.cluster_queue] = everything.get(local.namespace) or Tally()
        return by_queue, by_local

    replace(queue_status, "tallies", tallies)


@fault(
    "A ClusterQueue shows usage for pods that are in no queue, if they run on nodes of its flavors.",
    caught={"QSEL-03": "usage"},
)
def usage_of_pods_in_no_queue() -> None:
    original = queue_status.tallies

    def tallies(draft: Draft) -> Tallies:
        by_queue, by_local = original(draft)
        snapshot = draft.snapshot
        for queue in snapshot.cluster_queues.values():
            tally = by_queue.setdefault(queue.name, Tally())
            for (name, resource), quota in queue.quotas.items():
                labels = snapshot.flavors[name].node_labels.items() if name in snapshot.flavors else {}.items()
                nodes = [node.name for node in snapshot.nodes.values() if labels <= node.labels.items()]
                used = sum(snapshot.foreign.get(node, {}).get(resource, 0) for node in nodes)
                add(tally.used, {(name, resource): min(used, quota.nominal)})
        return by_queue, by_local

    replace(queue_status, "tallies", tallies)


@fault(
    "A queue shows usage for groups that hold a reservation and wait for their admission checks.",
    caught={"QUO-03": "usage"},
)
def usage_of_groups_that_await_checks() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        if workload.reserves and not workload.admitted and workload.admission is not None:
            add(tally.used, workload.admission.usage())

    recounted(count)


@fault(
    "A queue goes on showing the usage of a group that was deactivated.",
    caught={"DEACT-01": "usage"},
)
def usage_kept_after_deactivation() -> None:
    known: dict[str, dict[FlavorResource, int]] = {}

    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        if workload.admitted and workload.admission is not None:
            known[workload.uid] = dict(workload.admission.usage())
        elif not workload.active:
            add(tally.used, known.get(workload.uid, {}))

    recounted(count)


@fault(
    "A queue goes on showing the usage of the last groups that left it.",
    caught={"QUO-05": "released", "ZERO-01": "released", "I8": "I8"},
)
def usage_kept_when_nothing_is_left() -> None:
    original = queue_status.cluster_queue_status

    def cluster_queue_status(draft: Draft, queue: ClusterQueue, tally: Tally) -> dict[str, Any]:
        found = original(draft, queue, tally)
        shown = queue.status.get("flavorsUsage") or []
        return found if tally.reserving or not shown else {**found, "flavorsUsage": shown}

    replace(queue_status, "cluster_queue_status", cluster_queue_status)


@fault(
    "A queue goes on showing the usage of a group that was scaled away.",
    caught={"DOWN-02": "usage", "UP-07": "usage", "ROLL-03": "usage"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8671",
)
def usage_kept_after_scale_down() -> None:
    original = queue_status.tallies
    known: dict[str, tuple[Workload, str]] = {}

    def tallies(draft: Draft) -> Tallies:
        by_queue, by_local = original(draft)
        present = {workload.uid for workload in draft.all_workloads()}
        for workload in draft.all_workloads():
            if workload.admitted and workload.admission is not None and workload.group:
                known[workload.uid] = workload, workload.admission.cluster_queue
        for uid, (workload, queue) in known.items():
            set_ = draft.snapshot.sets.get((workload.namespace, workload.set_name))
            if uid not in present and set_ is not None and set_.replicas and workload.admission is not None:
                add(by_queue.setdefault(queue, Tally()).used, workload.admission.usage())
        return by_queue, by_local

    replace(queue_status, "tallies", tallies)


@fault(
    "A ClusterQueue shows nothing as borrowed.",
    caught={"COH-01": "borrowed"},
)
def nothing_shown_as_borrowed() -> None:
    original = queue_status.cluster_queue_status

    def cluster_queue_status(draft: Draft, queue: ClusterQueue, tally: Tally) -> dict[str, Any]:
        found = original(draft, queue, tally)
        for field in ("flavorsUsage", "flavorsReservation"):
            for flavor in found[field]:
                for resource in flavor["resources"]:
                    resource["borrowed"] = "0"
        return found

    replace(queue_status, "cluster_queue_status", cluster_queue_status)


# How many


@fault(
    "A queue counts admitted pods instead of admitted groups.",
    caught={"ADM-03": "counts", "QUO-01": "counts", "OBS-05": "counts"},
)
def pods_counted_as_groups() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        if workload.admitted:
            tally.admitted += sum(podset.count for podset in workload.podsets) - 1

    recounted(count)


@fault(
    "A queue counts sets instead of groups.",
    caught={"ADM-03": "counts", "QUO-02": "counts", "QUO-01": "counts", "OBS-05": "counts"},
)
def sets_counted_as_groups() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        before = tally.admitted
        tally.count(workload)
        if workload.group:
            tally.admitted = before

    recounted(count)


@fault(
    "A queue does not count the groups that wait in it.",
    caught={"ADM-03": "counts", "QUO-02": "counts", "OBS-05": "counts"},
)
def waiting_groups_not_counted() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        tally.pending = 0

    recounted(count)


@fault(
    "A ClusterQueue shows that nobody waits in it, and its LocalQueues show who does.",
    caught={"OBS-05": "counts"},
)
def cluster_queue_shows_nobody_waiting() -> None:
    original = queue_status.cluster_queue_status

    def cluster_queue_status(draft: Draft, queue: ClusterQueue, tally: Tally) -> dict[str, Any]:
        return original(draft, queue, but(tally, pending=0))

    replace(queue_status, "cluster_queue_status", cluster_queue_status)


@fault(
    "A ClusterQueue does not notice that a group which waited in it is gone.",
    caught={"DEL-04": "counts", "DOWN-05": "counts"},
)
def pending_count_kept() -> None:
    original = queue_status.cluster_queue_status

    def cluster_queue_status(draft: Draft, queue: ClusterQueue, tally: Tally) -> dict[str, Any]:
        found = original(draft, queue, tally)
        before = queue.status.get("pendingWorkloads") or 0
        if tally.pending < before and tally.reserving <= (queue.status.get("reservingWorkloads") or 0):
            return {**found, "pendingWorkloads": before}
        return found

    replace(queue_status, "cluster_queue_status", cluster_queue_status)


@fault(
    "A LocalQueue shows no usage.",
    caught={"QSEL-01": "usage"},
)
def local_queue_without_usage() -> None:
    original = queue_status.local_queue_status

    def local_queue_status(draft: Draft, local: LocalQueue, tally: Tally) -> dict[str, Any]:
        return {**original(draft, local, tally), "flavorsUsage": []}

    replace(queue_status, "local_queue_status", local_queue_status)


@fault(
    "A LocalQueue counts a reserving group as one that waits.",
    caught={"QSEL-01": "counts", "OBS-05": "counts"},
)
def local_queue_counts_all_as_waiting() -> None:
    original = queue_status.local_queue_status

    def local_queue_status(draft: Draft, local: LocalQueue, tally: Tally) -> dict[str, Any]:
        return original(draft, local, but(tally, pending=tally.pending + tally.reserving, reserving=0))

    replace(queue_status, "local_queue_status", local_queue_status)


@fault(
    "The reserved groups of a queue are not counted.",
    caught={"QUO-01": "counts", "QSEL-01": "counts"},
)
def reserving_groups_not_counted() -> None:
    def count(draft: Draft, tally: Tally, workload: Workload) -> None:
        tally.count(workload)
        tally.reserving = 0

    recounted(count)
