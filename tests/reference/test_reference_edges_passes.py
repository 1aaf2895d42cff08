"""When passes run, and what is counted of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from conformance.reference import deciding
from conformance.reference.deciding import Decisions
from conformance.reference.edges import passes as passes_module
from conformance.reference.edges.connection import Access, Connection
from conformance.reference.edges.metrics import Metrics
from conformance.reference.edges.passes import LONGEST, Passes
from conformance.reference.edges.store import Store
from conformance.reference.edges.writing import Writing
from conformance.reference.model import (
    Admission,
    ClusterQueue,
    Condition,
    LocalQueue,
    Rules,
    Snapshot,
    Workload,
)

DEADLINE = 20.0
Decide = Callable[[int], Decisions]
"""What the pass of this number (from 1) decides."""


def passed(
    monkeypatch: pytest.MonkeyPatch,
    decide: Decide,
    during: Callable[[Passes, list[float]], Any],
    leads: Callable[[], bool] = lambda: True,
) -> tuple[list[float], str]:
    """When passes ran while `during` happened, and the metrics afterwards."""
    times: list[float] = []

    def decided(*_: Any, **__: Any) -> Decisions:
        times.append(time.monotonic())
        return decide(len(times))

    monkeypatch.setattr(deciding, "decide", decided)

    async def run() -> str:
        connection = Connection(Access("http://127.0.0.1:1", None, lambda: ""))
        store, metrics = Store(), Metrics(Snapshot, lambda: "standalone")
        passes = Passes(store, Rules(), metrics, leads)
        task = asyncio.create_task(passes.run(Writing(connection, store, metrics, passes.due)))
        async with asyncio.timeout(DEADLINE):
            await during(passes, times)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()
        return metrics.text().decode()

    return times, asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def nothing(_: int) -> Decisions:
    return Decisions([], None, statuses=False)


def test_a_burst_of_changes_is_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that come together are decided about together, and afterwards there is no pass without a reason."""

    def decide(number: int) -> Decisions:
        return Decisions([], time.time() + 3 * LONGEST if number == 1 else None, statuses=False)

    async def during(passes: Passes, times: list[float]) -> None:
        for _ in range(100):
            passes.due()
        await until(lambda: len(times) == 2)

    times, _ = passed(monkeypatch, decide, during)
    # The second one is that which the first asked for: there was none in between.
    assert times[1] - times[0] >= 2.9 * LONGEST


def test_constant_change_does_not_put_a_pass_off_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something changes all the time, passes run all the same."""

    async def during(passes: Passes, times: list[float]) -> None:
        while len(times) < 3:
            passes.due()
            await asyncio.sleep(0)

    times, _ = passed(monkeypatch, nothing, during)
    assert all(later - earlier > 0.5 * LONGEST for earlier, later in pairwise(times))


def test_a_pass_can_ask_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that a pass names brings the next one although nothing changes, and not at once if it is past."""

    def decide(number: int) -> Decisions:
        return Decisions([], {1: time.time() + 0.2, 2: time.time() - 9}.get(number), statuses=False)

    async def during(passes: Passes, times: list[float]) -> None:
        passes.due()
        await until(lambda: len(times) == 3)

    times, _ = passed(monkeypatch, decide, during)
    assert times[1] - times[0] >= 0.19
    assert times[2] - times[1] >= 0.04


def test_a_defect_ends_neither_the_process_nor_its_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that raises is counted, and tried again after a pause although nothing changes."""
    monkeypatch.setattr(passes_module, "_AFTER_DEFECT", 0.2)

    def decide(number: int) -> Decisions:
        if number < 3:
            raise ZeroDivisionError("a defect")
        return nothing(number)

    async def during(passes: Passes, times: list[float]) -> None:
        passes.due()
        await until(lambda: len(times) == 3)

    times, metrics = passed(monkeypatch, decide, during)
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(times))
    assert 'reference_passes_total{result="failed"} 2.0' in metrics


def test_who_does_not_lead_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lease there is no pass; with it there is, once told so."""

    asked: list[bool] = []

    def leads() -> bool:
        asked.append(len(asked) == 1)
        return asked[-1]

    async def during(passes: Passes, times: list[float]) -> None:
        passes.due()
        await until(lambda: bool(asked))
        assert not times
        passes.due()
        await until(lambda: bool(times))

    times, _ = passed(monkeypatch, nothing, during, leads)
    assert (asked, len(times)) == ([False, True], 1)


YES, NO = Condition(True), Condition(False, "Pending")
WAITING = Workload("a", "w", queue="q", priority_class=("", "high"), conditions={"QuotaReserved": NO})
ADMITTED = replace(WAITING, admission=Admission("cq", ()), conditions={"QuotaReserved": YES, "Admitted": YES})


def test_changes_of_workloads_are_counted_by_kueues_names() -> None:
    """Reservation, admission, eviction and preemption count once each, by queue, priority class and reason."""
    metrics = Metrics(Snapshot, lambda: "standalone")
    path = "Preempted to accommodate …; preemptor path: /team/other; preemptee path: /team/cq"
    gone = {"Evicted": Condition(True, "Preempted"), "Preempted": Condition(True, "InCohortReclamation", path)}
    evicted = replace(ADMITTED, conditions={**ADMITTED.conditions, "Admitted": NO, **gone})
    for before, after in ((WAITING, ADMITTED), (ADMITTED, ADMITTED), (ADMITTED, evicted), (evicted, evicted)):
        metrics.changed(before, after)
    text = metrics.text().decode()
    of_queue = 'cluster_queue="cq",priority_class="high"'
    for line in (
        f'kueue_quota_reserved_workloads_total{{{of_queue},replica_role="standalone"}} 1.0',
        f'kueue_admitted_workloads_total{{{of_queue},replica_role="standalone"}} 1.0',
        f'kueue_evicted_workloads_total{{{of_queue},reason="Preempted",'
        'replica_role="standalone",underlying_cause=""} 1.0',
        'kueue_preempted_workloads_total{preempting_cluster_queue="other",reason="InCohortReclamation",'
        'replica_role="standalone"} 1.0',
    ):
        assert line in text


def test_the_present_state_is_read_off_when_asked() -> None:
    """Gauges count what reserves, what is admitted and what waits, tried or not."""
    reserving = replace(ADMITTED, name="r", conditions={"QuotaReserved": YES})
    new = replace(WAITING, name="n", conditions={})
    workloads = {each.key: each for each in (WAITING, replace(ADMITTED, name="x"), reserving, new)}
    snapshot = Snapshot(
        workloads=workloads,
        cluster_queues={"cq": ClusterQueue("cq")},
        local_queues={("a", "q"): LocalQueue("a", "q", cluster_queue="cq")},
    )
    text = Metrics(lambda: snapshot, lambda: "leader").text().decode()
    of_queue = 'cluster_queue="cq",replica_role="leader"'
    for line in (
        f"kueue_reserving_active_workloads{{{of_queue}}} 2.0",
        f"kueue_admitted_active_workloads{{{of_queue}}} 1.0",
        f'kueue_pending_workloads{{{of_queue},status="active"}} 1.0',
        f'kueue_pending_workloads{{{of_queue},status="inadmissible"}} 1.0',
    ):
        assert line in text
