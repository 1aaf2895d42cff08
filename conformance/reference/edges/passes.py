"""When a pass runs: one flag says that something changed, and a pass follows shortly after.

It waits 10 ms for more of the same, since changes come in bursts, but never longer than 100 ms. A pass runs without a
pause, over one consistent state. One that fails by a defect is told with its traceback, and the next one tries again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from conformance.reference import deciding
from conformance.reference.edges import logs
from conformance.reference.edges.metrics import Metrics
from conformance.reference.edges.store import Store
from conformance.reference.edges.writing import Writing
from conformance.reference.model import Rules, Workload
from conformance.reference.writes import Request

QUIET: Final = 0.01
LONGEST: Final = 0.1
_AFTER_DEFECT: Final = 1.0
_SOONEST: Final = 0.05
"""Seconds after a pass before it can be time for another one although nothing changed."""
_STATUSES_EVERY: Final = 1.0


class Passes:
    """Runs passes. `leads` says whether we may write; call `due` when that changes, too."""

    def __init__(self, store: Store, rules: Rules, metrics: Metrics, leads: Callable[[], bool]) -> None:
        self._store, self._rules, self._metrics, self._leads = store, rules, metrics, leads
        self._dirty = asyncio.Event()
        self._first = self._last = 0.0
        self._wake_at: float | None = None
        self._statuses_due = 0.0

    def due(self) -> None:
        """Something changed."""
        self._last = time.monotonic()
        if not self._dirty.is_set():
            self._first = self._last
            self._dirty.set()

    async def run(self, writing: Writing) -> None:
        """Run passes, for ever."""
        while True:
            await self._wait()
            self._dirty.clear()
            if not self._leads():
                self._wake_at = None
                continue
            try:
                self._pass(writing)
            except Exception:  # a defect in deciding about one object must not end the process
                self._metrics.passes.labels("failed").inc()
                logs.error("a pass failed by a defect", traceback=True)
                self._wake_at = time.time() + _AFTER_DEFECT
                await asyncio.sleep(_AFTER_DEFECT)

    async def _wait(self) -> None:
        """Until a pass is to run."""
        timeout = None if self._wake_at is None else max(_SOONEST, self._wake_at - time.time())
        try:
            await asyncio.wait_for(self._dirty.wait(), timeout)
        except TimeoutError:
            return
        while (wait := min(self._last + QUIET, self._first + LONGEST) - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    def _pass(self, writing: Writing) -> None:
        snapshot, now, began = self._store.snapshot(), time.time(), time.perf_counter()
        # By a clock that nobody sets: were the wall clock set back, no status would be told until it is there again.
        statuses_from = now + max(0.0, self._statuses_due - time.monotonic())
        decisions = deciding.decide(snapshot, now, self._rules, statuses_from=statuses_from)
        seconds = time.perf_counter() - began
        if decisions.statuses:
            self._statuses_due = time.monotonic() + _STATUSES_EVERY
        self._wake_at = decisions.wake_at
        before = snapshot.workloads
        changed = [
            (before.get(expected.key), expected)
            for request in decisions.requests
            if writing.free(request) and isinstance(expected := request.expected, Workload)
        ]
        self._metrics.passed(seconds, changed)
        _tell(writing.send(decisions.requests))


def _tell(sent: list[Request]) -> None:
    for request in sent:
        where = f"{request.namespace}/{request.name}" if request.namespace else request.name
        logs.info("writes", verb=request.verb, kind=request.kind, object=where, why=request.why)
