"""Faults of selection: sets that are not queued are touched, or a set is charged to a queue that is not its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as changed
from typing import Any

from conformance import names
from conformance.faults.groups import also, redundant
from conformance.faults.model import fault, replace
from conformance.reference import births, podsets, queues, set_rules
from conformance.reference.draft import Draft
from conformance.reference.model import ClusterQueue, Rules, Snapshot, Workload


@fault(
    "The groups of a set without a queue name get Workloads, in the first queue of the namespace.",
    caught={"QSEL-03": ("no_workloads", "usage")},
)
def workloads_for_an_unlabelled_set() -> None:
    def step(draft: Draft) -> None:
        for set_ in draft.snapshot.sets.values():
            local = sorted(name for namespace, name in draft.snapshot.local_queues if namespace == set_.namespace)
            if set_.deleted or set_.labels.get(names.QUEUE_NAME) or not local:
                continue
            for index in range(set_.replicas):
                key = podsets.workload_key(set_, index)
                if key not in draft.snapshot.workloads:
                    labelled = changed(set_, labels={names.QUEUE_NAME: local[0]})
                    draft.created[key] = podsets.workload_for(labelled, index, draft.snapshot)

    also(step)


@fault(
    "The templates of a set without a queue name are marked.",
    caught={"QSEL-03": ("templates_without_kueue_keys", "untouched_by_kueue")},
)
def unlabelled_templates_are_marked() -> None:
    right = set_rules.mutate

    def mutate(set_: dict[str, Any], old: Any, snapshot: Snapshot, rules: Rules | None = None) -> dict[str, Any]:
        became = right(set_, old, snapshot, rules)
        if (became["metadata"].get("labels") or {}).get(names.QUEUE_NAME):
            return became
        templates = dict(became["spec"]["leaderWorkerTemplate"])
        metadata = dict(templates["workerTemplate"].get("metadata") or {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), names.GROUP_SERVING: "true"}
        templates["workerTemplate"] = {**templates["workerTemplate"], "metadata": metadata}
        return {**became, "spec": {**became["spec"], "leaderWorkerTemplate": templates}}

    replace(set_rules, "mutate", mutate)


def also_gated(which: Callable[[Mapping[str, str]], bool]) -> None:
    """Pods are gated whose labels say so, though their set is not queued, so that nobody ever starts them."""
    right = births.stamped

    def stamped(pod: Mapping[str, Any]) -> bool:
        labels = (pod.get("metadata") or {}).get("labels") or {}
        return right(pod) or (names.SET_NAME in labels and which(labels))

    replace(births, "stamped", stamped)


@fault(
    "The pods of a set without a queue name are gated.",
    caught={"QSEL-03": "available"},
)
def unlabelled_pods_are_gated() -> None:
    also_gated(lambda labels: True)


@fault(
    "The pods of groups that are added to a set without a queue name are gated.",
    caught={"QSEL-03": "available"},
)
def added_unlabelled_pods_are_gated() -> None:
    also_gated(lambda labels: labels.get(names.GROUP_INDEX, "0") != "0")


@fault(
    "A set that waits for a queue name is queued in the first queue of its namespace.",
    caught={"NS-02": ("gated", "not_admitted")},
)
def nameless_queue_is_the_first() -> None:
    right = queues.usable

    def usable(draft: Draft, workload: Workload) -> tuple[ClusterQueue | None, str]:
        local = sorted(name for namespace, name in draft.snapshot.local_queues if namespace == workload.namespace)
        return right(draft, workload if workload.queue or not local else changed(workload, queue=local[0]))

    replace(queues, "usable", usable)


@fault(
    "Each StatefulSet that LeaderWorkerSet makes for a set gets a Workload of its own.",
    caught={"QSEL-14": "no_workloads_of_parts", "NS-01": "workloads_of_sets_alone"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8815",
)
def child_stateful_sets_have_workloads() -> None:
    right = births.mutate
    owners: dict[tuple[str, str], tuple[tuple[str, str], dict[str, Any]]] = {}

    def mutate(pod: dict[str, Any], snapshot: Snapshot, dry_run: bool = False) -> dict[str, Any] | None:
        metadata = pod["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            if owner["kind"] == "StatefulSet" and births.stamped(pod):
                set_key = (metadata["namespace"], metadata["labels"][names.SET_NAME])
                owners[metadata["namespace"], f"statefulset-{owner['name']}"] = set_key, owner
        return right(pod, snapshot, dry_run)

    def step(draft: Draft) -> None:
        for key, (set_key, owner) in list(owners.items()):
            set_ = draft.snapshot.sets.get(set_key)
            if set_ is not None and not set_.deleted and key not in draft.snapshot.workloads:
                body = redundant(set_, key[1], draft.snapshot)
                plain = {field: owner[field] for field in ("apiVersion", "kind", "name", "uid")}
                metadata = {**body["metadata"], "labels": {}, "annotations": {}, "ownerReferences": [plain]}
                draft.created[key] = {**body, "metadata": metadata}
                del owners[key]

    replace(births, "mutate", mutate)
    also(step)
