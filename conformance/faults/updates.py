"""Faults of rolling updates: groups lose their Workload or their quota, surge groups have none or keep theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from typing import Any

from conformance import names
from conformance.faults.groups import delete_once
from conformance.faults.model import fault, replace
from conformance.faults.renewals import also_stopped
from conformance.reference import births, eviction, groups, podsets, podsready, set_rules
from conformance.reference.draft import Draft
from conformance.reference.model import Pod, Rules, Set, Snapshot, Workload
from conformance.reference.writes import EXPECTED


def rolled() -> Callable[[Draft, Workload], bool]:
    """Whether the pods of a group are of another revision than when its Workload was first seen with pods."""
    first: dict[str, str] = {}

    def has_rolled(draft: Draft, workload: Workload) -> bool:
        members = draft.snapshot.pods.get(workload.group_key, {}) if workload.group_key is not None else {}
        revisions = {pod.labels.get(names.REVISION, "") for pod in members.values() if not pod.deleted}
        if len(revisions) != 1:
            return False
        (revision,) = revisions
        return first.setdefault(workload.uid, revision) != revision

    return has_rolled


@fault(
    "A rolling update makes the Workload of each group anew.",
    caught={
        "ROLL-01": "keeps workload_uid",
        "ROLL-02": ("usage", "reserved"),
        "ROLL-03": "keeps workload_uid",
        "ROLL-04": "keeps workload_uid",
        "QUO-06": ("usage", "counts"),
    },
)
def update_renews_workloads() -> None:
    has_rolled = rolled()

    def which(draft: Draft, set_: Set, workloads: dict[int, Workload]) -> Iterator[Workload]:
        yield from (it for it in workloads.values() if has_rolled(draft, it))

    delete_once(which)


@fault(
    "The quota of a group is given back while a rolling update replaces its pods, and asked for again a while later.",
    caught={"ROLL-01": "keeps admission_time", "ROLL-02": ("usage", "reserved"), "QUO-06": ("usage", "counts")},
)
def update_gives_quota_back() -> None:
    right, has_rolled = podsready.observed, rolled()
    done: set[str] = set()

    def observed(draft: Draft, workload: Workload) -> Workload:
        if has_rolled(draft, workload) and workload.uid not in done and workload.revision != EXPECTED:
            done.add(workload.uid)
            it = eviction.evicted(workload, eviction.NODE_FAILURES, "The group is updated", draft.now)
            return changed(it, requeue_at=float(int(draft.now + 1)))
        return right(draft, workload)

    replace(podsready, "observed", observed)


@fault(
    "The groups that a rolling update adds for a while have no Workload.",
    caught={"ROLL-03": "ready"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8801",
)
def no_surge_workloads() -> None:
    replace(groups, "surge", lambda max_surge, replicas: 0)


@fault(
    "The Workloads of the groups that a rolling update added for a while stay when these are gone.",
    caught={"ROLL-03": "workloads_of", "ROLL-04": "workloads_of"},
)
def surge_workloads_left_over() -> None:
    right = groups.surplus

    def surplus(workload: Workload, set_: Set, snapshot: Snapshot) -> bool:
        most = set_.replicas + groups.surge(set_.max_surge, set_.replicas)
        return right(workload, set_, snapshot) and not (workload.group is not None and workload.group < most)

    replace(groups, "surplus", surplus)


@fault(
    "While a rolling update has surge groups, a Workload more than these need is made and admitted.",
    caught={"ROLL-03": "at_most_admitted"},
)
def one_surge_workload_too_many() -> None:
    right = groups.groups_wanted

    def groups_wanted(set_: Set) -> int:
        found = right(set_)
        return found + 1 if found > set_.replicas else found

    replace(groups, "groups_wanted", groups_wanted)


@fault(
    "The pods of a group that a rolling update adds for a while start on the admission of the set's first group.",
    caught={"ROLL-03": "gated_until_admitted", "ROLL-04": "gated", "I1": "I1"},
)
def surge_groups_start_on_another_admission() -> None:
    right = births.born_ready

    def born_ready(newborn: Pod, workload_name: str, snapshot: Snapshot) -> Pod | None:
        set_ = snapshot.sets.get((newborn.namespace, newborn.set_name))
        if set_ is not None and newborn.group is not None and newborn.group >= set_.replicas > 0:
            workload_name = podsets.workload_name(set_, 0)
        return right(newborn, workload_name, snapshot)

    replace(births, "born_ready", born_ready)


@fault(
    "A rolling update stops all groups of the old revision at once.",
    caught={"ROLL-01": "at_least_complete"},
)
def update_stops_all_groups() -> None:
    done: set[str] = set()

    def which(pod: Pod, workload: Workload, snapshot: Snapshot) -> bool:
        groups_there = (
            members for group, members in snapshot.pods.items() if group[:2] == (pod.namespace, pod.set_name)
        )
        others = (other for members in groups_there for other in members.values())
        if pod.uid in done or not any(
            other.created > pod.created and revision(other) != revision(pod) for other in others
        ):
            return False
        done.add(pod.uid)
        return True

    also_stopped(which)


def revision(pod: Pod) -> str:
    return pod.labels.get(names.REVISION, "")


@fault(
    "Scaling writes the number of groups into the templates, so that all groups are replaced.",
    caught={"DOWN-01": "keeps pod_uids", "DOWN-07": "keeps templates", "UP-01": "keeps pod_uids"},
)
def scaling_changes_the_templates() -> None:
    right = set_rules.mutate

    def mutate(set_: dict[str, Any], old: Any, snapshot: Snapshot, rules: Rules | None = None) -> dict[str, Any]:
        became = right(set_, old, snapshot, rules)
        templates = dict(became["spec"]["leaderWorkerTemplate"])
        metadata = dict(templates["workerTemplate"].get("metadata") or {})
        if not (metadata.get("annotations") or {}).get(names.SUSPENDING_PARENT):
            return became
        written = str(became["spec"].get("replicas", 1))
        metadata["annotations"] = {**metadata["annotations"], f"{names.KUEUE}/replicas": written}
        templates["workerTemplate"] = {**templates["workerTemplate"], "metadata": metadata}
        return {**became, "spec": {**became["spec"], "leaderWorkerTemplate": templates}}

    replace(set_rules, "mutate", mutate)
