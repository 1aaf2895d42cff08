"""The faults of topology do what they say: once more on values alone, each beside the reference as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from miniature import RACK, Miniature

from conformance.faults import load, named
from conformance.faults.model import at_work
from conformance.reference.topology import leaves
from conformance.trace.assignments import decode

Places = dict[str, dict[str, int]]
"""Pods by podset and host; None where the group has no admission."""
TWO_RACKS = {"a1": ("a", 300), "b1": ("b", 300)}
TWO_HOSTS = {"a1": ("a", 300), "a2": ("a", 300)}


def assigned(mini: Miniature, set_name: str = "s") -> Places | None:
    """Where the pods of the first group of a set are assigned."""
    (workload,) = [it for (_, name), it in mini.all("Workload").items() if f"-{set_name}-0-" in name]
    admission = (workload.get("status") or {}).get("admission")
    if not admission:
        return None
    return {
        given["name"]: {
            values[-1]: pods
            for values, pods in (decode(given["topologyAssignment"]) if given.get("topologyAssignment") else ())
        }
        for given in admission["podSetAssignments"]
    }


def placed(hosts: Mapping[str, tuple[str, int]], *, fault: str = "", late: bool = False, **group: Any) -> Places | None:
    """Where a group goes that requires a rack; the hosts have a rack and millicores each, and come first or `late`."""
    leaves._kept.clear()  # trees of nodes are kept from pass to pass, but not by another process
    with at_work(named(fault)) if fault else nullcontext():
        mini = Miniature()
        mini.flavor(topology=True)
        mini.queue("q", 100_000)
        for step in ("set", "hosts") if late else ("hosts", "set"):
            if step == "set":
                mini.set("s", "q", required=RACK, **group)
                for _ in range(3):
                    mini.decide()
                    mini.controllers()
            for name, (rack, cpu) in hosts.items() if step == "hosts" else ():
                mini.node(name, rack, cpu)
        for _ in range(3):
            mini.decide()
            mini.controllers()
        return assigned(mini)


CASES: list[tuple[str, Mapping[str, tuple[str, int]], dict[str, Any], Places | None, Places | None]] = [
    (
        "required-as-preferred",
        TWO_RACKS,
        {"size": 3, "leader": 100, "worker": 200},
        None,
        {"leader": {"a1": 1}, "worker": {"a1": 1, "b1": 1}},
    ),
    (
        "required-as-spread",
        {"a1": ("a", 1000), "b1": ("b", 1000)},
        {"size": 3, "leader": 100, "worker": 200},
        {"leader": {"a1": 1}, "worker": {"a1": 2}},
        {"leader": {"b1": 1}, "worker": {"a1": 1, "b1": 1}},
    ),
    (
        "leader-placed-alone",
        {"a1": ("a", 100), "b1": ("b", 400)},
        {"size": 2, "leader": 100, "worker": 300},
        {"leader": {"b1": 1}, "worker": {"b1": 1}},
        {"leader": {"a1": 1}, "worker": {"b1": 1}},
    ),
    (
        "leader-not-counted",
        {"a1": ("a", 300)},
        {"size": 3, "leader": 100, "worker": 150},
        None,
        {"leader": {"a1": 1}, "worker": {"a1": 2}},
    ),
    (
        "leader-counted-as-worker",
        {"a1": ("a", 300)},
        {"size": 2, "leader": 100, "worker": 200},
        {"leader": {"a1": 1}, "worker": {"a1": 1}},
        None,
    ),
    (
        "leader-takes-a-workers-place",
        {"a1": ("a", 200), "a2": ("a", 300)},
        {"size": 3, "leader": 100, "worker": 200},
        {"leader": {"a2": 1}, "worker": {"a1": 1, "a2": 1}},
        None,
    ),
    (
        "remainders-counted",
        TWO_HOSTS,
        {"size": 4, "leader": 10, "worker": 200},
        None,
        {"leader": {"a1": 1}, "worker": {"a1": 2, "a2": 1}},
    ),
    (
        "assignment-for-fewer-pods",
        TWO_HOSTS,
        {"size": 3, "leader": 100, "worker": 200},
        {"leader": {"a1": 1}, "worker": {"a1": 1, "a2": 1}},
        {"leader": {"a1": 1}, "worker": {"a1": 1}},
    ),
    (
        "places-ignored",
        {"a1": ("a", 100)},
        {"size": 2, "leader": 100, "worker": 200},
        None,
        {"leader": {}, "worker": {}},
    ),
    (
        "hosts-summed-over-rack",
        TWO_HOSTS,
        {"size": 3, "leader": 100, "worker": 250},
        None,
        {"leader": {"a": 1}, "worker": {"a": 2}},
    ),
]


@pytest.mark.parametrize(("fault", "hosts", "group", "right", "wrong"), CASES, ids=[case[0] for case in CASES])
def test_a_faulty_reference_places_a_group_elsewhere(
    fault: str,
    hosts: Mapping[str, tuple[str, int]],
    group: dict[str, Any],
    right: Places | None,
    wrong: Places | None,
) -> None:
    """Under the fault a group is placed wrongly where the reference places it rightly or lets it wait."""
    assert placed(hosts, **group) == right
    assert placed(hosts, fault=fault, **group) == wrong


@pytest.mark.parametrize("fault", ["nodes-seen-once", "not-tried-again-with-new-nodes"])
def test_a_faulty_reference_misses_nodes_that_come_late(fault: str) -> None:
    """Under the fault a group that was tried without nodes waits although there are some now."""
    group: dict[str, Any] = {"size": 2, "leader": 100, "worker": 200}
    assert placed({"a1": ("a", 300)}, late=True, **group) == {"leader": {"a1": 1}, "worker": {"a1": 1}}
    assert placed({"a1": ("a", 300)}, late=True, fault=fault, **group) is None


@pytest.mark.parametrize("fault", [name for name, it in load().items() if ".topology_" in it.install.__module__])
def test_a_fault_of_topology_is_undone(fault: str) -> None:
    """Once a fault of topology is no longer at work, the reference decides as before."""
    group: dict[str, Any] = {"size": 3, "leader": 100, "worker": 200}
    before = placed(TWO_HOSTS, **group)
    with at_work(named(fault)):
        pass
    assert placed(TWO_HOSTS, **group) == before


SPOILT = {
    "cordoned-node-used": (
        {"unschedulable": True, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]},
        "True",
    ),
    "unready-node-used": ({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}, "False"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_spoilt_node_is_used_with_the_taint_that_kubernetes_gives_it(fault: str) -> None:
    """Under the fault a node counts although Kubernetes, too, marks it as one that pods cannot use."""
    spec, ready = SPOILT[fault]
    found: list[Places | None] = []
    for context in (nullcontext(), at_work(named(fault))):
        leaves._kept.clear()
        with context:
            mini = Miniature()
            mini.flavor(topology=True)
            mini.queue("q", 100_000)
            mini.node("a1", "a", 300)
            mini.edit("Node", "a1", {"spec": spec, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
            mini.set("s", "q", required=RACK, size=2, leader=100, worker=200)
            for _ in range(3):
                mini.decide()
                mini.controllers()
            found.append(assigned(mini))
    assert found == [None, {"leader": {"a1": 1}, "worker": {"a1": 1}}]
