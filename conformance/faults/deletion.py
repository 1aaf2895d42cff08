"""Faults of the end: Workloads or pods that stay because of a finalizer, or that go when they must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance import names
from conformance.faults.model import fault, replace
from conformance.reference import births, lifecycle
from conformance.reference.draft import Draft
from conformance.reference.model import Set, Snapshot, Workload


def stuck(which: Callable[[Draft, Workload, Set | None], bool]) -> None:
    """Deleted Workloads keep their finalizer for ever; the set is the one of that name that is not being deleted."""
    right = lifecycle.finalized

    def finalized(draft: Draft, workload: Workload) -> Workload:
        set_ = draft.snapshot.sets.get((workload.namespace, workload.set_name))
        there = set_ if set_ is not None and not set_.deleted else None
        return workload if which(draft, workload, there) else right(draft, workload)

    replace(lifecycle, "finalized", finalized)


@fault(
    "The Workload of a deleted set's first group stays, since nobody takes its finalizer away.",
    caught={"DEL-01": "gone", "DEL-04": "gone", "I8": "I8"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/5015",
)
def workload_outlives_its_set() -> None:
    stuck(lambda draft, workload, set_: set_ is None and workload.group == 0)


@fault(
    "The Workload of a group that is scaled away is deleted and stays, since nobody takes its finalizer away.",
    caught={"DOWN-01": "absent", "DOWN-05": "absent", "ZERO-01": "exists_with_no_groups", "UP-07": "workloads_of"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/9135",
)
def scaled_down_workload_is_stuck() -> None:
    def which(draft: Draft, workload: Workload, set_: Set | None) -> bool:
        return set_ is not None and workload.group is not None and workload.group >= set_.replicas

    stuck(which)


@fault(
    "Pods carry a finalizer that nobody takes away, so that deleted ones stay.",
    caught={
        "DEL-01": "gone",
        "DEL-04": "gone",
        "POD-07": "pods_without_finalizers",
        "DOWN-01": "absent",
        "ZERO-01": "exists_with_no_groups",
        "I8": "I8",
    },
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8862",
)
def pods_cannot_be_deleted() -> None:
    right = births.mutate

    def mutate(pod: dict[str, Any], snapshot: Snapshot, dry_run: bool = False) -> dict[str, Any] | None:
        became = right(pod, snapshot, dry_run)
        if became is None or became["metadata"]["labels"].get(names.WORKER_INDEX) == "0":
            return became
        return {**became, "metadata": {**became["metadata"], "finalizers": [f"{names.KUEUE}/managed"]}}

    replace(births, "mutate", mutate)
