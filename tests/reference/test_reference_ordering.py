"""In which order Workloads are tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.reference import ordering
from conformance.reference.draft import Draft
from conformance.reference.model import Condition, PodsReadyRules, Rules, Snapshot, Workload

OLD = Workload("team", "old", uid="b", created=100.0)
NEW = Workload("team", "new", uid="a", created=200.0)
DRAFT = Draft(Snapshot(), now=1000.0)


def order(*workloads: Workload, draft: Draft = DRAFT) -> list[str]:
    return [w.name for w in sorted(workloads, key=lambda workload: ordering.place_in_queue(draft, workload))]


def evicted(workload: Workload, reason: str, status: bool = True) -> Workload:
    return replace(workload, conditions={"Evicted": Condition(status, reason, since=500.0)})


def test_priority_comes_first() -> None:
    """A Workload of higher priority is tried before an older one."""
    assert order(OLD, replace(NEW, priority=1)) == ["new", "old"]


def test_then_age() -> None:
    """Of two Workloads of one priority the older one is tried first."""
    assert order(NEW, OLD) == ["old", "new"]


def test_then_uid() -> None:
    """Workloads of one second have a fixed order all the same."""
    assert order(OLD, replace(NEW, created=100.0)) == ["new", "old"]


@pytest.mark.parametrize("reason", ["PodsReadyTimeout", "AdmissionCheck"])
def test_who_failed_queues_anew(reason: str) -> None:
    """Who was evicted since its pods did not become ready, or by an admission check, goes behind those who waited."""
    assert order(evicted(OLD, reason), NEW) == ["new", "old"]


@pytest.mark.parametrize("reason", ["Preempted", "ClusterQueueStopped", "NodeFailures", "Deactivated"])
def test_who_was_pushed_out_keeps_its_place(reason: str) -> None:
    """Who was evicted for no fault of its own keeps its place."""
    assert order(NEW, evicted(OLD, reason)) == ["old", "new"]


def test_an_eviction_that_is_over_counts_no_more() -> None:
    """A Workload that was admitted again since its eviction has its old place."""
    assert order(NEW, evicted(OLD, "PodsReadyTimeout", status=False)) == ["old", "new"]


def test_the_configuration_may_keep_the_creation_time() -> None:
    """With `requeuingStrategy.timestamp: Creation` a group that was not ready in time keeps its place."""
    draft = Draft(Snapshot(), now=1000.0, rules=Rules(pods_ready=PodsReadyRules(by_eviction_time=False)))
    assert order(NEW, evicted(OLD, "PodsReadyTimeout"), draft=draft) == ["old", "new"]
    assert order(evicted(OLD, "AdmissionCheck"), NEW, draft=draft) == ["new", "old"]


def test_in_a_cohort_who_borrows_comes_last() -> None:
    """A head that stays within its queue's nominal quota is tried before a borrower, whatever priority that has."""
    borrower = ordering.place_in_cohort(1, ordering.place_in_queue(DRAFT, replace(OLD, priority=9)))
    modest = ordering.place_in_cohort(0, ordering.place_in_queue(DRAFT, NEW))
    assert modest < borrower
