"""Expectations about what the Workloads of a namespace were made for."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.expectations.model import Observation, expectation, seen
from conformance.expectations.subjects import WholeSet


@expectation
def workloads_of_sets_alone(whole: WholeSet) -> Iterator[Observation]:
    """Every Workload in the set's namespace is owned by a LeaderWorkerSet: none is made for a pod or a StatefulSet.

    The pods of an admitted group may be owners of its Workload too.
    """
    for workload in whole.view.all("Workload"):
        kinds = sorted({owner["kind"] for owner in workload["metadata"].get("ownerReferences") or ()})
        made_for = "LeaderWorkerSet" in kinds and "StatefulSet" not in kinds
        yield seen(workload, "metadata.ownerReferences[].kind", "LeaderWorkerSet", ", ".join(kinds), made_for)
