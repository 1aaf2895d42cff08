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


SPOILT: dict[str, tuple[str, dict[str, Any]]] = {
    "cordoned-node-used": ("unschedulable", {"spec": {"unschedulable": True}}),
    "unready-node-used": ("not-ready", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
}
"""By fault the taint that Kubernetes adds to a node that is spoilt so, and how it is spoilt."""


@pytest.mark.parametrize("fault", SPOILT)
def test_a_faulty_reference_uses_a_spoilt_node(fault: str) -> None:
    """Under the fault a group is placed on a node that is cordoned or NotReady, and tainted for that."""

    def on_spoilt() -> Places | None:
        leaves._kept.clear()
        mini = Miniature()
        mini.flavor(topology=True)
        mini.queue("q", 100_000)
        mini.node("a1", "a", 300)
        taint, patch = SPOILT[fault]
        mini.edit("Node", "a1", patch)
        taints = [{"key": f"node.kubernetes.io/{taint}", "effect": "NoSchedule"}]
        mini.edit("Node", "a1", {"spec": {"taints": taints}})
        mini.set("s", "q", required=RACK)
        # It does not stay there: its pods do not come to run, and it is tried anew.
        mini.decide()
        mini.decide()
        return assigned(mini)

    assert on_spoilt() is None
    with at_work(named(fault)):
        assert on_spoilt() == {"leader": {"a1": 1}, "worker": {"a1": 1}}


def one_host_for_two() -> Miniature:
    """Two groups in two queues waited when a host came that has room for one of them."""
    leaves._kept.clear()
    mini = Miniature()
    mini.flavor(topology=True)
    for name in ("p", "q"):
        mini.queue(name, 600, cohort="c")
        mini.set(f"in-{name}", name, required=RACK)
    mini.settle()
    mini.node("h1", "r", 200)
    mini.settle()
    return mini


def test_a_faulty_reference_gives_one_host_to_two_groups() -> None:
    """Groups that do not see what the other takes in the same pass are both placed on the one host."""
    mini = one_host_for_two()
    assert [assigned(mini, name) is None for name in ("in-p", "in-q")].count(True) == 1
    with at_work(named("places-taken-twice-at-once")):
        mini = one_host_for_two()
        assert assigned(mini, "in-p")
        assert assigned(mini, "in-q")


def test_a_gate_is_kept_from_birth() -> None:
    """A pod that is born when its group is admitted already has the gate that the fault keeps."""

    def gates() -> list[int]:
        leaves._kept.clear()
        mini = Miniature()
        mini.flavor(topology=True)
        mini.queue("q", 1_000)
        mini.node("h1", "r", 1_000)
        mini.set("s", "q", required=RACK)
        mini.settle()
        for _, name in list(mini.all("Pod")):
            mini.drop("Pod", name, "ns")
        mini.settle()
        return [len(pod["spec"].get("schedulingGates") or ()) for pod in mini.all("Pod").values()]

    assert gates() == [0, 0]
    with at_work(named("topology-gate-kept")):
        assert gates() == [1, 1]


@pytest.mark.parametrize("fault", [name for name, it in load().items() if ".topology_" in it.install.__module__])
def test_a_fault_of_topology_is_undone(fault: str) -> None:
    """Once a fault of topology is no longer at work, the reference decides as before."""
    group: dict[str, Any] = {"size": 3, "leader": 100, "worker": 200}
    before = placed(TWO_HOSTS, **group)
    with at_work(named(fault)):
        pass
    assert placed(TWO_HOSTS, **group) == before
