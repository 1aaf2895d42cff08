"""What Prometheus is told: Kueue's metrics by Kueue's names, for what there is, and counters of our own.

What can be read off the present state is worked out when somebody asks for it, not in every pass.
"""

from __future__ import annotations

import re
from collections import Counter as Count
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from conformance.reference.model import Snapshot, Workload

_PREEMPTOR: Final = re.compile(r"preemptor path: \S*?([^/\s;]+)(?:;|\s|$)")
_LATENCIES: Final = tuple(0.001 * 2**step for step in range(14))


class Metrics:
    """Everything that is counted. `snapshot` gives the present state, `role` Kueue's `replica_role`."""

    def __init__(self, snapshot: Callable[[], Snapshot], role: Callable[[], str]) -> None:
        self._registry = registry = CollectorRegistry()
        self._role = role
        registry.register(_Present(snapshot, role))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        of_queue = ("cluster_queue", "priority_class", "replica_role")
        self._reserved = counter("kueue_quota_reserved_workloads", "Workloads that were given quota.", *of_queue)
        self._admitted = counter("kueue_admitted_workloads", "Workloads that were admitted.", *of_queue)
        self._evicted = counter(
            "kueue_evicted_workloads", "Workloads that were evicted.", "reason", "underlying_cause", *of_queue
        )
        self._preempted = counter(
            "kueue_preempted_workloads",
            "Workloads that were preempted.",
            "preempting_cluster_queue",
            "reason",
            "replica_role",
        )
        attempt = ("result", "replica_role")
        self._attempts = counter("kueue_admission_attempts", "Passes that tried to admit Workloads.", *attempt)
        self._attempt_seconds = Histogram(
            "kueue_admission_attempt_duration_seconds",
            "How long such a pass took.",
            attempt,
            buckets=_LATENCIES,
            registry=registry,
        )
        self.passes = counter("reference_passes", "Passes.", "result")
        self.pass_seconds = Histogram("reference_pass_seconds", "A pass.", buckets=_LATENCIES, registry=registry)
        self.writes = counter("reference_writes", "Requests that change something.", "verb", "kind", "code")
        self.conflicts = counter("reference_conflicts", "Writes refused because the object had changed.", "kind")
        self.reviews = counter("reference_reviews", "Admission reviews that were answered.", "path", "allowed")

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

    def passed(self, seconds: float, changed: Iterable[tuple[Workload | None, Workload]]) -> None:
        """A pass is over; `changed`: the Workloads it writes, as they were and as they are to become."""
        self.passes.labels("done").inc()
        self.pass_seconds.observe(seconds)
        gained = tried = False
        for before, after in changed:
            gained = gained or (after.reserves and (before is None or not before.reserves))
            waits = after.conditions.get("QuotaReserved")
            tried = tried or (waits is not None and not waits.status and not after.evicted)
        if gained or tried:
            labels = ("success" if gained else "inadmissible", self._role())
            self._attempts.labels(*labels).inc()
            self._attempt_seconds.labels(*labels).observe(seconds)

    def changed(self, before: Workload, after: Workload) -> None:
        """A Workload's new state was accepted by the API server."""
        queue = (after.admission or before.admission or _NOWHERE).cluster_queue
        labels = (queue, after.priority_class[1], self._role())
        if after.reserves and not before.reserves:
            self._reserved.labels(*labels).inc()
        if after.admitted and not before.admitted:
            self._admitted.labels(*labels).inc()
        if after.evicted and not before.evicted:
            reason, _, cause = after.conditions["Evicted"].reason.partition("DueTo")
            self._evicted.labels(reason, cause, *labels).inc()
        if after.true("Preempted") and not before.true("Preempted"):
            told = after.conditions["Preempted"]
            preemptor = _PREEMPTOR.search(told.message)
            self._preempted.labels(preemptor[1] if preemptor else queue, told.reason, self._role()).inc()


class _Nowhere:
    cluster_queue = ""


_NOWHERE: Final = _Nowhere()


class _Present(Collector):
    """Gauges of the present state."""

    def __init__(self, snapshot: Callable[[], Snapshot], role: Callable[[], str]) -> None:
        self._snapshot, self._role = snapshot, role

    def collect(self) -> Iterable[GaugeMetricFamily]:
        snapshot, role = self._snapshot(), self._role()
        reserving, admitted, pending = Count[str](), Count[str](), Count[tuple[str, str]]()
        for workload in snapshot.workloads.values():
            if workload.reserves and workload.admission is not None:
                reserving[workload.admission.cluster_queue] += 1
                admitted[workload.admission.cluster_queue] += workload.admitted
            elif workload.active and not workload.deleted and not workload.true("Finished"):
                queue = snapshot.local_queues.get((workload.namespace, workload.queue))
                tried = "QuotaReserved" in workload.conditions
                pending[queue.cluster_queue if queue else "", "inadmissible" if tried else "active"] += 1
        labels = ["cluster_queue", "replica_role"]
        yield from (
            _gauge(
                "kueue_reserving_active_workloads", labels, {(q, role): reserving[q] for q in snapshot.cluster_queues}
            ),
            _gauge(
                "kueue_admitted_active_workloads", labels, {(q, role): admitted[q] for q in snapshot.cluster_queues}
            ),
            _gauge(
                "kueue_pending_workloads",
                ["cluster_queue", "status", "replica_role"],
                {(q, s, role): pending[q, s] for q in snapshot.cluster_queues for s in ("active", "inadmissible")},
            ),
        )


def _gauge(name: str, labels: list[str], values: dict[tuple[str, ...], int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, f"Kueue's {name}.", labels=labels)
    for key, value in values.items():
        gauge.add_metric(key, value)
    return gauge
