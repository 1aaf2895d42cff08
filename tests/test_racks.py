"""A layout in the notation of the topology vectors becomes exactly the fake nodes that it describes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.world.racks import CANARY_HOST, Host, racks

LAYOUTS = {
    "r1: h1 4000/1, h2 4000/1; r2: h3 4000/1": [
        Host("b1", "r1", "h1", 4000, 1),
        Host("b1", "r1", "h2", 4000, 1),
        Host("b1", "r2", "h3", 4000, 1),
    ],
    "r1: h1 4000": [Host("b1", "r1", "h1", 4000, 0, 110)],
    "r1: h1 8000/8/4": [Host("b1", "r1", "h1", 8000, 8, 4)],
    "r1: h1 8000/0/3": [Host("b1", "r1", "h1", 8000, 0, 3)],
    "b1/r1: h1 1/1; b2/r1: h2 1/1": [Host("b1", "r1", "h1", 1, 1), Host("b2", "r1", "h2", 1, 1)],
    "r1: h1 1; r2: h2 1; r1: h3 1": [Host("b1", "r1", "h1", 1), Host("b1", "r2", "h2", 1), Host("b1", "r1", "h3", 1)],
    " r-1 :h-1  4000/1 ,h2 4000 ;\n r2:h3 1; ": [
        Host("b1", "r-1", "h-1", 4000, 1),
        Host("b1", "r-1", "h2", 4000),
        Host("b1", "r2", "h3", 1),
    ],
    "": [],
}


@pytest.mark.parametrize(("layout", "hosts"), LAYOUTS.items())
def test_a_layout_is_read_host_by_host(layout: str, hosts: list[Host]) -> None:
    """A layout is a list of racks, each with its hosts, their millicores, GPUs and pod slots."""
    assert racks(layout) == hosts


@pytest.mark.parametrize(
    ("layout", "part"),
    [
        ("h1 4000/1", "not a rack: 'h1 4000/1'"),
        ("r1:", "not a rack: 'r1:'"),
        ("r1: h1 4000; h2 4000", "not a rack: 'h2 4000'"),
        ("a/b/r1: h1 4000", "not a rack: 'a/b/r1: h1 4000'"),
        ("R1: h1 4000", "not a rack: 'R1: h1 4000'"),
        ("r1: h1", "not a host: 'h1'"),
        ("r1: 4000/1", "not a host: '4000/1'"),
        ("r1: h1 4.5", "not a host: 'h1 4.5'"),
        ("r1: h1 -1", "not a host: 'h1 -1'"),
        ("r1: h1 4000/1/2/3", "not a host: 'h1 4000/1/2/3'"),
        ("r1: h1 4000/", "not a host: 'h1 4000/'"),
        ("r1: h1 4000,, h2 4000", "not a host: ''"),
        ("r1: h_1 4000", "not a host: 'h_1 4000'"),
        ("r1: H1 4000", "not a host: 'H1 4000'"),
        ("r1: h1 \u0664000", "not a host: 'h1 \u0664000'"),
        ("r1: h1 1, h1 2; r2: h2 1, h2 1", "these are not: h1, h2"),
        ("r1: canary 1", "these are not: canary"),
    ],
)
def test_what_cannot_be_read_is_named(layout: str, part: str) -> None:
    """A layout that cannot be read, or whose nodes could not be made, is refused with the part that is wrong."""
    with pytest.raises(ValueError, match=re.escape(part)):
        racks(layout)


names = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\Z")
placed = st.builds(
    Host,
    names,
    names,
    names.filter(lambda name: name != "canary"),
    st.integers(0, 10**5),
    st.integers(0, 16),
    st.integers(1, 999),
)


@given(st.lists(placed, max_size=6, unique_by=lambda host: host.name))
def test_every_host_can_be_written(hosts: list[Host]) -> None:
    """Whatever hosts there are, their notation reads as exactly them."""
    written = "; ".join(f"{h.block}/{h.rack}: {h.name} {h.cpu}/{h.gpu}/{h.slots}" for h in hosts)
    assert racks(written) == hosts


def node(host: Host) -> dict[str, Any]:
    return host.node("k3f9-story", {"conformance.kueue-lws.dev/run": "k3f9"})


def test_a_host_becomes_a_fake_node() -> None:
    """A host becomes a node that KWOK keeps, with its place in the topology and its exact capacity, Ready at once."""
    amounts = {"cpu": "8000m", "memory": "256Gi", "pods": "4", "nvidia.com/gpu": "8"}
    assert node(Host("b2", "r1", "h1", 8000, 8, 4)) == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "k3f9-story-h1",
            "labels": {
                "conformance.kueue-lws.dev/run": "k3f9",
                "conformance.kueue-lws.dev/tenant": "k3f9-story",
                "kubernetes.io/hostname": "k3f9-story-h1",
                "cloud.provider.com/topology-block": "b2",
                "cloud.provider.com/topology-rack": "r1",
                "type": "kwok",
            },
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {
            "taints": [
                {"key": "conformance.kueue-lws.dev/tenant", "value": "k3f9-story", "effect": "NoSchedule"},
            ]
        },
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "FakeNode", "message": "made by the suite"},
            ],
        },
    }


def test_a_host_without_gpus_offers_none() -> None:
    """A node without GPUs does not list the resource at all."""
    assert set(node(Host("b1", "r1", "h1", 4000))["status"]["allocatable"]) == {"cpu", "memory", "pods"}


def test_the_canarys_host_is_closed_to_all_others() -> None:
    """The canary's host has a taint of its own beside the tenant's, and lies in no rack of a layout."""
    made = node(CANARY_HOST)
    taints = {taint["key"] for taint in made["spec"]["taints"]}
    assert taints == {"conformance.kueue-lws.dev/tenant", "conformance.kueue-lws.dev/canary"}
    assert made["metadata"]["labels"]["cloud.provider.com/topology-block"] == "canary"
