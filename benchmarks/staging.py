"""What a side-by-side benchmark stands on: a namespace with queue and nodes, two watches of it, and a meter.

A stage looks at the cluster through watches of its own and touches nothing that an implementation made. The meter
counts requests from the audit log, and CPU-seconds and memory as the kernel counted them, for a stretch of time.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from conformance.clusters.local import LocalCluster
from conformance.errors import HarnessError
from conformance.kube import ApiError, Kube
from conformance.names import KINDS, OUR_GATES, TENANT_LABEL
from conformance.report import auditing
from conformance.world import builders
from conformance.world.racks import Host
from conformance.world.requests import Requests

LONGEST: Final = 300.0
"""Seconds after which a scene that is not done is given up."""
LEADER, WORKER = Requests(cpu=100), Requests(cpu=100)
TICKS: Final = os.sysconf("SC_CLK_TCK")


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None


class _Gate(msgspec.Struct):
    name: str


class _Spec(msgspec.Struct, rename="camel"):
    scheduling_gates: list[_Gate] = []


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Status(msgspec.Struct):
    conditions: list[_Condition] = []


class _Seen(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)

    def true(self, condition: str) -> bool:
        return any(c.type == condition and c.status == "True" for c in self.status.conditions)


class _Event(msgspec.Struct):
    type: str
    object: _Seen


@dataclass
class View:
    """What two watches of one namespace have shown: the present objects, and when each state was first seen."""

    pods: dict[str, _Seen] = field(default_factory=dict)
    workloads: dict[str, _Seen] = field(default_factory=dict)
    first: dict[tuple[str, str], float] = field(default_factory=dict)
    """(state, name) to the time of its first sight: admitted, ungated, ready."""
    evictions: int = 0

    @property
    def admitted(self) -> int:
        return sum(1 for one in self.workloads.values() if one.true("Admitted"))

    @property
    def ready(self) -> int:
        return sum(1 for pod in self.pods.values() if pod.true("Ready") and not pod.metadata.deletion_timestamp)


class Stage:
    """A namespace with its queue and nodes, and the view of it."""

    def __init__(self, cluster: LocalCluster, kube: Kube, name: str) -> None:
        self.cluster, self.kube, self.name = cluster, kube, name
        self.labels = {TENANT_LABEL: name}
        self.view = View()
        self._changed = threading.Condition()
        self._ends: list[Callable[[], None]] = []
        self._over = False

    def open(self, *, nodes: list[Host], nominal: int, topology: bool, preemption: bool = False) -> None:
        """Make everything; `nominal` is the quota in millicores."""
        self.kube.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": self.labels}}
        )
        if topology:
            self.kube.create(builders.topology(self.name, self.labels))
        self.kube.create(builders.flavor(self.name, self.labels, self.name if topology else None))
        queue = builders.cluster_queue(self.name, self.name, self.labels, Requests(cpu=nominal), ("cpu",))
        if preemption:
            queue["spec"]["preemption"] = {"withinClusterQueue": "LowerPriority"}
        self.kube.create(queue)
        self.kube.create(builders.local_queue("user-queue", self.name, self.name, self.labels))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda host: self.kube.create(host.node(self.name, self.labels)), nodes))
        for kind, into in (("Pod", self.view.pods), ("Workload", self.view.workloads)):
            threading.Thread(target=self._watch, args=(kind, into), daemon=True).start()
        self.wait("the namespace has its service account", self._has_account)

    def _has_account(self) -> bool:
        try:
            self.kube.get("ServiceAccount", "default", self.name)
        except ApiError:
            return False
        return True

    def _watch(self, kind: str, into: dict[str, _Seen]) -> None:
        decoder, revision = msgspec.json.Decoder(_Event), "0"
        while not self._over:
            query = {"watch": "true", "resourceVersion": revision, "allowWatchBookmarks": "true"}
            for line in self.kube.stream(KINDS[kind].path(self.name), query, idle=LONGEST, opened=self._ends.append):
                event = decoder.decode(line)
                revision = event.object.metadata.resource_version or revision
                if event.type in ("ADDED", "MODIFIED", "DELETED"):
                    self._saw(into, event)

    def _saw(self, into: dict[str, _Seen], event: _Event) -> None:
        seen, now = event.object, time.monotonic()
        name = seen.metadata.name
        with self._changed:
            was = into.get(name)
            if event.type == "DELETED":
                into.pop(name, None)
            else:
                into[name] = seen
                self._mark(into is self.view.pods, name, seen, now)
                if was is not None and seen.true("Evicted") and not was.true("Evicted"):
                    self.view.evictions += 1
            self._changed.notify_all()

    def _mark(self, pod: bool, name: str, seen: _Seen, now: float) -> None:
        if pod and not any(gate.name in OUR_GATES for gate in seen.spec.scheduling_gates):
            self.view.first.setdefault(("ungated", name), now)
        if pod and seen.true("Ready"):
            self.view.first.setdefault(("ready", name), now)
        if not pod and seen.true("Admitted"):
            self.view.first.setdefault(("admitted", name), now)

    def wait(self, what: str, true: Callable[[], bool]) -> float:
        """Wait until it is true of the view; the time. Raises HarnessError after `LONGEST` seconds."""
        until = time.monotonic() + LONGEST
        with self._changed:
            while not true():
                self.cluster.check()
                if time.monotonic() > until:
                    raise HarnessError(f"{self.name}: it did not come true that {what}: {self.shown()}")
                self._changed.wait(0.2)
        return time.monotonic()

    def shown(self) -> str:
        view = self.view
        return f"{len(view.workloads)} Workloads ({view.admitted} admitted), {len(view.pods)} pods ({view.ready} ready)"

    def create(
        self, name: str, *, replicas: int = 1, size: int = 3, priority: str | None = None, rack: str | None = None
    ) -> None:
        """A LeaderWorkerSet in the queue."""
        spec = builders.leader_worker_set(
            name, replicas=replicas, size=size, leader=LEADER, worker=WORKER, priority_class=priority, required=rack
        )
        made = spec.object | {"metadata": spec.object["metadata"] | {"namespace": self.name}}
        self.kube.create(made)

    def delete(self, name: str) -> None:
        self.kube.delete("LeaderWorkerSet", name, self.name, propagationPolicy="Background")

    def close(self) -> None:
        """Delete all sets, wait until nothing is left, stop watching."""
        self.kube.delete_all("LeaderWorkerSet", self.name, propagationPolicy="Background")
        self.wait("everything is gone", lambda: not self.view.pods and not self.view.workloads)
        self._over = True
        for end in self._ends:
            with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
                end()


@dataclass(frozen=True)
class Costs:
    """What a stretch of time cost: of the manager and the API server, CPU-seconds; of the manager, its writes."""

    seconds: float
    manager_cpu: float
    server_cpu: float
    writes: int
    """Of the manager, on Workloads and Pods, answered with success; events and the status of queues apart."""
    conflicts: int
    reads: int
    """GETs and LISTs of the manager."""


class Meter:
    """Measures stretches of one cluster's life; `manager` is the process, `user` what the audit log calls it."""

    def __init__(self, cluster: LocalCluster, manager: str) -> None:
        self._cluster, self.manager = cluster, manager

    @contextmanager
    def measured(self) -> Iterator[list[Costs]]:
        """The costs of the block, in the list that it yields, once it is over."""
        found: list[Costs] = []
        log = self._cluster.folder / "audit.log"
        position, began = log.stat().st_size, time.monotonic()
        manager, server = self._cpu(self.manager), self._cpu("kube-apiserver")
        yield found
        seconds = time.monotonic() - began
        manager, server = self._cpu(self.manager) - manager, self._cpu("kube-apiserver") - server
        with log.open("rb") as file:
            file.seek(position)
            traffic = auditing.read(file)
        writes = {
            request: count
            for request, count in traffic.writes.get(self.manager, {}).items()
            if request.split()[1].partition("/")[0] in ("workloads", "pods")
        }
        requests: dict[str, int] = traffic.requests.get(self.manager, {})
        reads = sum(count for request, count in requests.items() if request.split()[0] in ("get", "list"))
        conflicts = sum(traffic.conflicts.get(self.manager, {}).values())
        found.append(Costs(seconds, manager, server, sum(writes.values()), conflicts, reads))

    def _cpu(self, component: str) -> float:
        """CPU-seconds of a component so far, user and system."""
        fields = Path(f"/proc/{self._cluster.processes.pids[component]}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak(self) -> float:
        """The most resident memory that the manager has had, in MiB."""
        status = Path(f"/proc/{self._cluster.processes.pids[self.manager]}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def hosts(count: int, *, per_rack: int = 16, cpu: int = 4000, name: str = "n") -> list[Host]:
    """Fake nodes in one block, so many to a rack."""
    return [Host("b1", f"r{i // per_rack:02}", f"{name}{i:04}", cpu=cpu) for i in range(count)]


def latencies(view: View, state: str, began: float) -> float:
    """Seconds from `began` until the last object reached the state."""
    return max(at for (reached, _), at in view.first.items() if reached == state) - began
