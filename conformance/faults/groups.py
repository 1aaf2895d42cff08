"""Faults of the Workloads of a set: too many, too few, of the wrong groups, or not the ones that were there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from typing import Any

from conformance import names
from conformance.faults.model import fault, replace
from conformance.reference import groups, podsets, queue_status
from conformance.reference.draft import Draft
from conformance.reference.model import ClusterQueue, Key, Set, Snapshot, Workload
from conformance.reference.queue_status import Tally


def also(step: Callable[[Draft], None]) -> None:
    """Something more is done, after Workloads were kept as they should be."""
    keep = groups.keep

    def both(draft: Draft) -> None:
        keep(draft)
        step(draft)

    replace(groups, "keep", both)


def managed_sets(draft: Draft) -> Iterator[Set]:
    """The sets that are queued and not being deleted."""
    for set_ in draft.snapshot.sets.values():
        if not set_.deleted and set_.labels.get(names.QUEUE_NAME):
            yield set_


def workloads_of(draft: Draft, set_: Set) -> dict[int, Workload]:
    """The Workloads of a set that are not being deleted, by the group."""
    found = (draft.workload(key) for key in draft.snapshot.owned.get(set_.uid, ()))
    return {it.group: it for it in found if it is not None and it.group is not None and not it.deleted}


def redundant(set_: Set, name: str, snapshot: Snapshot) -> dict[str, Any]:
    """A Workload that belongs to the set and is nobody's claim on a queue."""
    body = podsets.workload_for(set_, 0, snapshot)
    annotations = {k: v for k, v in body["metadata"]["annotations"].items() if k != names.GROUP_INDEX_OF_WORKLOAD}
    spec = {key: value for key, value in body["spec"].items() if key != "queueName"}
    metadata = {**body["metadata"], "name": name, "annotations": annotations, "finalizers": []}
    return {**body, "metadata": metadata, "spec": spec}


def delete_once(which: Callable[[Draft, Set, dict[int, Workload]], Iterator[Workload]]) -> None:
    """Workloads are deleted, of each name one, and made anew since their groups still want one."""
    chosen: dict[Key, str] = {}

    def step(draft: Draft) -> None:
        for set_ in managed_sets(draft):
            there = workloads_of(draft, set_)
            for workload in which(draft, set_, there):
                chosen.setdefault(workload.key, workload.uid)
            for workload in there.values():
                # Until it is seen: what a pass asks for is left out while another write of the object is under way.
                if chosen.get(workload.key) == workload.uid:
                    draft.delete_workload(workload)

    also(step)


# Not one for each group


@fault(
    "A set has one Workload, for its first group, and its other groups have none.",
    caught={"ADM-01": "running", "ADM-03": "ready_groups"},
)
def one_workload_per_set() -> None:
    replace(groups, "groups_wanted", lambda set_: min(set_.replicas, 1))


@fault(
    "A set of groups of several pods has a Workload for one group more than it has.",
    caught={
        "UP-08": ("one_workload_per_group", "never created", "counts"),
        "NAME-02": "one_workload_per_group",
    },
)
def one_workload_too_many() -> None:
    wanted = groups.groups_wanted
    # Not of one-pod groups: a canary's second Workload would take the room of its first, and end the story.
    replace(groups, "groups_wanted", lambda set_: wanted(set_) + (1 if set_.replicas and set_.size > 1 else 0))


@fault(
    "A set with a long name has a second Workload once its group is admitted.",
    caught={"NAME-02": "one_workload_per_group"},
)
def second_workload_under_a_long_name() -> None:
    def step(draft: Draft) -> None:
        for set_ in managed_sets(draft):
            for index, workload in workloads_of(draft, set_).items():
                key = (set_.namespace, f"again-{index}-{set_.uid[:5]}")
                if len(set_.name) > 39 and workload.admitted and key not in draft.snapshot.workloads:
                    draft.created[key] = redundant(set_, key[1], draft.snapshot)

    also(step)


@fault(
    "Beside the Workload of its group, every pod of a group that is ready gets one of its own.",
    caught={
        "NS-01": "one_workload_per_group",
        "ROLL-01": "one_workload_per_group",
        "UP-01": "one_workload_per_group",
        "UP-05": "one_workload_per_group",
        "WL-01": "one_workload_per_group",
    },
    upstream="https://github.com/kubernetes-sigs/kueue/pull/4936",
)
def redundant_workload_for_each_pod() -> None:
    def step(draft: Draft) -> None:
        for set_ in managed_sets(draft):
            for index in workloads_of(draft, set_):
                for pod in draft.pods_of((*set_.key, index)):
                    key = (pod.namespace, f"pod-{pod.name}-{pod.uid[:5]}")
                    if pod.ready and key not in draft.snapshot.workloads:
                        draft.created[key] = redundant(set_, key[1], draft.snapshot)

    also(step)


# Workloads that stay, or come back, when their groups are gone


@fault(
    "The Workload of a group that is scaled away stays.",
    caught={
        "DOWN-01": "absent",
        "DOWN-05": "absent",
        "UP-07": "workloads_of",
        "ZERO-01": "exists_with_no_groups",
    },
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8671",
)
def workload_kept_after_scale_down() -> None:
    replace(groups, "surplus", lambda workload, set_, snapshot: False)


@fault(
    "A set that is scaled to zero keeps the Workload of its first group.",
    caught={"ZERO-01": "exists_with_no_groups"},
)
def zero_keeps_a_workload() -> None:
    surplus = groups.surplus

    def without_the_first(workload: Workload, set_: Set, snapshot: Snapshot) -> bool:
        return workload.group != 0 and surplus(workload, set_, snapshot)

    replace(groups, "surplus", without_the_first)


@fault(
    "Scaling down removes the Workloads of the lowest groups instead of the highest.",
    caught={"DOWN-01": ("absent", "keeps pod_uids"), "DOWN-07": "keeps pod_revisions", "UP-07": "keeps pod_uids"},
)
def lowest_groups_lose_their_workloads() -> None:
    def surplus(workload: Workload, set_: Set, snapshot: Snapshot) -> bool:
        there = [snapshot.workloads[key] for key in snapshot.owned.get(set_.uid, ()) if key in snapshot.workloads]
        running = sorted(it.group for it in there if it.group is not None and it.admitted and not it.deleted)
        return workload.group in running[: max(len(running) - set_.replicas, 0)]

    replace(groups, "surplus", surplus)


@fault(
    "The Workload of a group that was scaled away comes back for a moment when the group is gone.",
    caught={"DOWN-01": "no_workload", "ZERO-01": "exists_with_no_groups"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/9135",
)
def removed_workload_comes_back() -> None:
    most: dict[str, int] = {}
    done: set[Key] = set()
    seen: set[Key] = set()
    status = queue_status.cluster_queue_status

    def removed(set_: Set) -> dict[int, Key]:
        return {index: podsets.workload_key(set_, index) for index in range(set_.replicas, most.get(set_.uid, 0))}

    def step(draft: Draft) -> None:
        there = draft.snapshot.workloads
        seen.update(done & there.keys())
        for set_ in managed_sets(draft):
            most[set_.uid] = max(most.get(set_.uid, 0), set_.replicas)
            groups_removed = removed(set_)
            # All at once: only then is there a moment at which the set has nothing, before something comes back.
            left = any(key in there or draft.pods_of((*set_.key, index)) for index, key in groups_removed.items())
            if left or set_.status_replicas > set_.replicas:
                continue
            for index, key in groups_removed.items():
                if key not in done:
                    done.add(key)
                    body = podsets.workload_for(set_, index, draft.snapshot)
                    body["spec"].pop("queueName", None)
                    draft.created[key] = body

    def cluster_queue_status(draft: Draft, queue: ClusterQueue, tally: Tally) -> dict[str, Any]:
        """A queue that is left shows that only when what came back is gone, so that whoever waits for it sees that."""
        found, shown = status(draft, queue, tally), queue.status.get("flavorsUsage")
        here = {it.namespace for it in draft.snapshot.local_queues.values() if it.cluster_queue == queue.name}
        keys = [key for set_ in managed_sets(draft) if set_.namespace in here for key in removed(set_).values()]
        to_come = any(key not in seen or key in draft.snapshot.workloads for key in keys)
        return {**found, "flavorsUsage": shown} if to_come and shown and not tally.reserving else found

    also(step)
    replace(queue_status, "cluster_queue_status", cluster_queue_status)


# Workloads that lose their identity


@fault(
    "Scaling up renews the Workloads of the groups that run.",
    caught={
        "UP-01": "keeps pod_uids",
        "UP-07": "keeps pod_uids",
        "ADM-09": "complete",
    },
)
def scale_up_renews_workloads() -> None:
    def which(draft: Draft, set_: Set, workloads: dict[int, Workload]) -> Iterator[Workload]:
        if len(workloads) < set_.replicas:
            yield from (it for it in workloads.values() if it.true("PodsReady"))

    delete_once(which)


@fault(
    "Scaling down renews the Workloads of the groups that remain.",
    caught={
        "DOWN-01": "keeps pod_uids",
        "DOWN-05": "keeps pod_uids",
        "DOWN-07": "keeps pod_revisions",
        "UP-07": "keeps pod_uids",
    },
)
def scale_down_renews_workloads() -> None:
    def which(draft: Draft, set_: Set, workloads: dict[int, Workload]) -> Iterator[Workload]:
        leaving = any(it.deleted or it.key in draft.deleted_workloads for it in all_of(draft, set_))
        if leaving:
            yield from (it for it in workloads.values() if it.true("PodsReady"))

    def all_of(draft: Draft, set_: Set) -> Iterator[Workload]:
        for key in draft.snapshot.owned.get(set_.uid, ()):
            if (found := draft.snapshot.workloads.get(key)) and (found.group or 0) >= set_.replicas:
                yield found

    delete_once(which)


@fault(
    "The admission of a group is dated anew when all its pods are ready.",
    caught={"POD-13": "keeps admission_time", "START-03": "keeps admission_time"},
)
def admission_is_renewed_when_ready() -> None:
    def step(draft: Draft) -> None:
        for set_ in managed_sets(draft):
            for workload in workloads_of(draft, set_).values():
                ready, admitted = workload.conditions.get("PodsReady"), workload.conditions.get("Admitted")
                if ready and admitted and ready.status and admitted.status and admitted.since < ready.since:
                    conditions = {**workload.conditions, "Admitted": changed(admitted, since=ready.since)}
                    draft.put(changed(workload, conditions=conditions))

    also(step)


# What a Workload says


@fault(
    "A Workload is created for another queue than its set's, and moved to the right one afterwards.",
    caught={"QSEL-01": "queued_in"},
)
def workload_born_in_another_queue() -> None:
    right = podsets.workload_for

    def workload_for(set_: Set, group: int, snapshot: Snapshot) -> dict[str, Any]:
        body = right(set_, group, snapshot)
        return {**body, "spec": {**body["spec"], "queueName": "another"}}

    replace(podsets, "workload_for", workload_for)


@fault(
    "Leader and workers are one podset, which asks for as many leaders as the group has pods.",
    caught={"WL-07": "has_podsets", "START-02": "has_podsets", "QUO-01": "usage"},
)
def leader_and_workers_in_one_podset() -> None:
    right = podsets.podsets

    def of_group(set_: Set) -> list[dict[str, Any]]:
        template = set_.leader_template
        return right(set_ if template is None else changed(set_, leader_template=None, worker_template=template))

    replace(podsets, "podsets", of_group)


@fault(
    "A set without a template for its leader has a podset for it nevertheless.",
    caught={"WL-08": "has_podsets"},
)
def leader_podset_without_a_template() -> None:
    right = podsets.podsets

    def of_group(set_: Set) -> list[dict[str, Any]]:
        return right(set_ if set_.leader_template is not None else changed(set_, leader_template=set_.worker_template))

    replace(podsets, "podsets", of_group)
