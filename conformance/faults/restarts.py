"""Faults of a restart: what a process did not see happen itself is forgotten, made anew, or not believed."""

from __future__ import annotations

from collections.abc import Iterator
from time import time

from conformance.faults.gates import LONG, turned_down
from conformance.faults.groups import delete_once
from conformance.faults.model import fault, replace
from conformance.faults.renewals import also_stopped
from conformance.reference import pods, room
from conformance.reference.draft import Draft
from conformance.reference.model import Assignment, Pod, Set, Snapshot, Workload
from conformance.reference.quota import Ledger


@fault(
    "After a restart the quota of the groups that were admitted before it is free.",
    caught={"RES-02": ("gated", "at_most_admitted"), "I6": "I6"},
)
def restart_forgets_usage() -> None:
    began = time()

    class Forgetful(Ledger):
        @classmethod
        def of(cls, draft: Draft) -> Ledger:
            ledger = Ledger.of(draft)
            for it in draft.all_workloads():
                known = it.admission if it.reserves else None
                if known is not None and it.conditions["QuotaReserved"].since + LONG < began:
                    ledger.release(known.cluster_queue, known.usage())
            return ledger

    replace(room, "Ledger", Forgetful)


@fault(
    "After a restart every group gets a new Workload.",
    caught={"RES-01": ("keeps workload_uid", "keeps workload_uids", "keeps pod_uids")},
)
def restart_renews_workloads() -> None:
    began = time()

    def which(draft: Draft, set_: Set, workloads: dict[int, Workload]) -> Iterator[Workload]:
        yield from (it for it in workloads.values() if it.created + LONG < began)

    delete_once(which)


@fault(
    "After a restart all pods start anew.",
    caught={"RES-01": ("keeps pod_uids", "complete")},
)
def restart_renews_pods() -> None:
    began = time()

    def which(pod: Pod, workload: Workload, snapshot: Snapshot) -> bool:
        return pod.created + LONG < began

    also_stopped(which)


@fault(
    "After a restart the pods of groups that waited before it become schedulable.",
    caught={"RES-02": "gated", "I1": "I1"},
)
def restart_starts_waiting_groups() -> None:
    began = time()
    may_run, right = pods.may_run, pods.assigned

    def older(workload: Workload) -> bool:
        return turned_down(workload) and not workload.deleted and workload.created + LONG < began

    def assigned(workload: Workload, podset: str) -> Assignment | None:
        count = next((each.count for each in workload.podsets if each.name == podset), 0)
        return right(workload, podset) or (Assignment(podset, count) if older(workload) else None)

    replace(pods, "may_run", lambda workload: may_run(workload) or older(workload))
    replace(pods, "assigned", assigned)
