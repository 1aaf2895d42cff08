"""Faults of a restart: what a process did not see happen itself is forgotten, made anew, or not believed."""

from __future__ import annotations

from collections.abc import Iterator
from time import time

from conformance.faults.gates import LONG, let_go, turned_down
from conformance.faults.groups import delete_once
from conformance.faults.model import fault, replace
from conformance.faults.renewals import also_stopped
from conformance.reference import quota
from conformance.reference.draft import Draft
from conformance.reference.model import Pod, Set, Snapshot, Usage, Workload


@fault(
    "After a restart the quota of the groups that were admitted before it is free.",
    caught={"RES-01": ("usage", "counts"), "RES-02": ("gated", "not_admitted"), "I6": "I6"},
)
def restart_forgets_usage() -> None:
    began = time()

    def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
        for it in draft.all_workloads():
            known = it.admission if it.reserves else None
            if known is not None and it.conditions["QuotaReserved"].since + LONG >= began:
                yield known.cluster_queue, known.usage()

    replace(quota, "reservations", reservations)


@fault(
    "After a restart every group gets a new Workload.",
    caught={"RES-01": ("keeps workload_uid", "keeps pod_uids"), "RES-02": "gated"},
)
def restart_renews_workloads() -> None:
    began = time()

    def which(draft: Draft, set_: Set, workloads: dict[int, Workload]) -> Iterator[Workload]:
        yield from (it for it in workloads.values() if it.created + LONG < began)

    delete_once(which)


@fault(
    "After a restart all pods start anew.",
    caught={"RES-01": "keeps pod_uids"},
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
    let_go(lambda workload: turned_down(workload) and workload.created < began)
