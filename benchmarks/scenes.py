"""The scenes of a side-by-side benchmark: what is created, when it is done, and what that cost.

A scene has a namespace, a queue and fake nodes of its own and returns plain numbers: seconds between a request of ours
and what a watch showed, writes, CPU-seconds. It looks at nothing that only one implementation has.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from staging import LONGEST, Meter, Stage, hosts, latencies

from conformance.clusters.local import LocalCluster
from conformance.errors import HarnessError
from conformance.kube import ApiError, Kube
from conformance.names import RACK
from conformance.world import builders

Numbers = dict[str, float]
Scene = Callable[["Player", str], Numbers]


@dataclass
class Player:
    """Plays scenes on one cluster."""

    cluster: LocalCluster
    kube: Kube
    meter: Meter

    @contextmanager
    def stage(self, name: str, **world: Any) -> Iterator[Stage]:
        stage = Stage(self.cluster, self.kube, name)
        stage.open(**world)
        yield stage
        stage.close()


def priority(kube: Kube, name: str, value: int) -> str:
    """A WorkloadPriorityClass of that name and value."""
    try:
        kube.create(builders.priority_class(name, value, {}))
    except ApiError as error:
        if error.status != 409:
            raise
    return name


def single(player: Player, name: str, *, topology: bool, size: int = 3, times: int = 6) -> Numbers:
    """One group at a time, on a cluster that does nothing else: how soon it runs, and with how many writes."""
    ready: list[float] = []
    writes: list[int] = []
    with player.stage(name, nodes=hosts(4, cpu=64000), nominal=64000, topology=topology) as stage:
        for number in range(times):
            stage.view.first.clear()
            with player.meter.measured() as found:
                began = time.monotonic()
                stage.create(f"s{number}", size=size, rack=RACK if topology else None)
                stage.wait("the group is ready", lambda: _is_ready(stage, 1, size))
                ready.append(latencies(stage.view, "ready", began))
                stage.wait(
                    "the Workload says so", lambda: any(w.true("PodsReady") for w in stage.view.workloads.values())
                )
            writes.append(found[0].writes)
            stage.delete(f"s{number}")
            stage.wait("it is gone", lambda: not stage.view.pods and not stage.view.workloads)
    return {"ready s": statistics.median(ready), "writes per group": statistics.mean(writes)}


def _is_ready(stage: Stage, groups: int, size: int) -> bool:
    return stage.view.admitted >= groups and stage.view.ready >= groups * size


def burst(player: Player, name: str, *, topology: bool, sets: int = 20, replicas: int = 5, nodes: int = 40) -> Numbers:
    """Many groups of 3 at once, and room for all of them."""
    groups = sets * replicas
    with player.stage(name, nodes=hosts(nodes), nominal=groups * 300, topology=topology) as stage:
        with player.meter.measured() as found:
            began = time.monotonic()
            rack = RACK if topology else None
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda i: stage.create(f"s{i}", replicas=replicas, rack=rack), range(sets)))
            stage.wait("all groups are ready", lambda: _is_ready(stage, groups, 3))
        costs = found[0]
        view = stage.view
        return {
            "admitted s": latencies(view, "admitted", began),
            "ungated s": latencies(view, "ungated", began),
            "ready s": latencies(view, "ready", began),
            "writes per group": costs.writes / groups,
            "manager CPU s": costs.manager_cpu,
            "API server CPU s": costs.server_cpu,
            "conflicts": float(costs.conflicts),
            "manager peak MiB": player.meter.peak(),
        }


def churn(player: Player, name: str, *, groups: int = 50, runs: float = 0.5) -> Numbers:
    """Five times as many groups as there is quota for, of three priorities; each is deleted when it has run."""
    classes = [priority(player.kube, f"bench-{value}", value) for value in (50, 100, 200)]
    with player.stage(name, nodes=hosts(20), nominal=groups // 5 * 300, topology=False) as stage:
        with player.meter.measured() as found:
            began = time.monotonic()
            for number in range(groups):
                stage.create(f"c{number}", priority=classes[number % 3])
            _run_all(stage, groups, runs)
        costs = found[0]
    return {
        "makespan s": time.monotonic() - began,
        "writes per group": costs.writes / groups,
        "manager CPU s": costs.manager_cpu,
        "API server CPU s": costs.server_cpu,
    }


def _run_all(stage: Stage, groups: int, runs: float) -> None:
    """Delete each set once all its three pods have been ready for `runs` seconds, until every one has run."""
    done: set[str] = set()
    due: dict[str, float] = {}
    until = time.monotonic() + LONGEST
    while len(done) < groups:
        ready: dict[str, int] = {}
        for pod, seen in list(stage.view.pods.items()):
            if seen.true("Ready") and not seen.metadata.deletion_timestamp:
                ready[pod.partition("-")[0]] = ready.get(pod.partition("-")[0], 0) + 1
        now = time.monotonic()
        for of, count in ready.items():
            if count == 3 and of not in done:
                due.setdefault(of, now + runs)
        for of in [of for of, at in due.items() if at <= now]:
            stage.delete(of)
            done.add(of)
            del due[of]
        if now > until:
            raise HarnessError(f"only {len(done)} of {groups} groups have run: {stage.shown()}")
        time.sleep(0.02)


def storm(player: Player, name: str, *, groups: int = 20) -> Numbers:
    """The queue is full of groups of low priority; as many of high priority come and preempt them all."""
    low, high = priority(player.kube, "bench-low", 1), priority(player.kube, "bench-high", 1000)
    with player.stage(name, nodes=hosts(20), nominal=groups * 300, topology=False, preemption=True) as stage:
        for number in range(groups):
            stage.create(f"low{number}", priority=low)
        stage.wait("the queue is full", lambda: _is_ready(stage, groups, 3))
        with player.meter.measured() as found:
            began = time.monotonic()
            for number in range(groups):
                stage.create(f"high{number}", priority=high)
            stage.wait("the high ones run", lambda: _high_run(stage, groups))
            seconds = time.monotonic() - began
        costs = found[0]
        return {
            "all preemptors ready s": seconds,
            "evictions per preemptor": stage.view.evictions / groups,
            "writes per preemptor": costs.writes / groups,
            "manager CPU s": costs.manager_cpu,
            "API server CPU s": costs.server_cpu,
        }


def _high_run(stage: Stage, groups: int) -> bool:
    ready = [p for p, seen in stage.view.pods.items() if p.startswith("high") and seen.true("Ready")]
    return len(ready) == groups * 3


def many_nodes(player: Player, name: str, *, nodes: int, groups: int = 30) -> Numbers:
    """Groups that each ask for one rack, among so many nodes: what an admission costs the manager."""
    world = hosts(nodes, per_rack=64 if nodes >= 640 else 16, cpu=96000)
    with player.stage(name, nodes=world, nominal=groups * 300, topology=True) as stage:
        stage.wait("the nodes have been seen", lambda: True)
        time.sleep(2)  # the manager reads them all: not part of an admission
        with player.meter.measured() as found:
            began = time.monotonic()
            for number in range(groups):
                stage.create(f"n{number}", rack=RACK)
            stage.wait("all groups are ready", lambda: _is_ready(stage, groups, 3))
        costs = found[0]
        admitted = latencies(stage.view, "admitted", began)
    for host in world:
        player.kube.delete("Node", f"{name}-{host.name}")
    return {"manager CPU s per admission": costs.manager_cpu / groups, "admitted s": admitted}


SCENES: Final[dict[str, Scene]] = {
    "single": lambda player, name: single(player, name, topology=False),
    "single-topology": lambda player, name: single(player, name, topology=True),
    "size-2": lambda player, name: single(player, name, topology=True, size=2, times=3),
    "size-8": lambda player, name: single(player, name, topology=True, size=8, times=3),
    "size-32": lambda player, name: single(player, name, topology=True, size=32, times=2),
    "burst": lambda player, name: burst(player, name, topology=False),
    "burst-topology": lambda player, name: burst(player, name, topology=True),
    "churn": churn,
    "storm": storm,
    "nodes-40": lambda player, name: many_nodes(player, name, nodes=40),
    "nodes-640": lambda player, name: many_nodes(player, name, nodes=640),
}
"""Every scene, in the order in which they are played."""
