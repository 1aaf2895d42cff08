"""The table of topology vectors says the truth: its legal outcomes are those that fit, found by trying them all."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.names import BLOCK, GPU, HOSTNAME, PODSET_GROUP_NAME, PREFERRED_TOPOLOGY, RACK, REQUIRED_TOPOLOGY
from conformance.quantities import parse_quantity
from conformance.requirements import load
from conformance.suites.vectors import SPOILT, VECTORS, Vector
from conformance.world.hosts import CAUSES, TAKEN
from conformance.world.racks import Host, racks

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
Amounts = Counter[str]


def template(vector: Vector, role: str) -> Any:
    return vector.set.object["spec"]["leaderWorkerTemplate"][f"{role}Template"]


def asks(vector: Vector, role: str) -> Amounts:
    """What a pod asks for: its requests in thousandths, and a pod slot."""
    written = template(vector, role)["spec"]["containers"][0]["resources"]["requests"]
    return Counter({name: int(parse_quantity(amount) * 1000) for name, amount in written.items()} | {"pods": 1000})


def asked_level(vector: Vector, role: str) -> str:
    """The level at which the pods of this role must be together; none if they only prefer it or say nothing."""
    annotations = (template(vector, role).get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(REQUIRED_TOPOLOGY, ""))


def domain(host: Host, level: str) -> tuple[str, ...]:
    return {"": (), BLOCK: (host.block,), RACK: (host.block, host.rack), HOSTNAME: (host.name,)}[level]


def free(vector: Vector, host: Host) -> Amounts:
    taken = vector.taken.get(host.name)
    offer = Counter({"cpu": host.cpu, GPU: host.gpu * 1000, "pods": host.slots * 1000})
    if taken is not None:
        offer.subtract({"cpu": taken.cpu, GPU: taken.gpu * 1000, "pods": 1000})
    return offer


def fitting(vector: Vector) -> Iterator[str]:
    """Every placement of one leader and the workers that no host is too small for and that keeps them together."""
    hosts, workers = racks(vector.layout), vector.set.object["spec"]["leaderWorkerTemplate"]["size"] - 1
    joined = PODSET_GROUP_NAME in ((template(vector, "worker").get("metadata") or {}).get("annotations") or {})
    level = asked_level(vector, "worker")
    for leader in hosts:
        for places in itertools.combinations_with_replacement(hosts, workers):
            joint = (*places, leader) if joined else places
            together = {domain(host, level) for host in joint}
            if len(together) == 1 and _has_room(vector, leader, places):
                yield f"leader {leader.name}; workers {' '.join(sorted(host.name for host in places))}"


def _has_room(vector: Vector, leader: Host, places: tuple[Host, ...]) -> bool:
    for host in {leader, *places}:
        left = free(vector, host)
        left.subtract({name: amount * places.count(host) for name, amount in asks(vector, "worker").items()})
        left.subtract(asks(vector, "leader") if host == leader else {})
        if min(left.values()) < 0:
            return False
    return True


@each_vector
def test_legal_outcomes_are_exactly_those_that_fit(vector: Vector) -> None:
    """The legal outcomes of a vector are all placements that fit and keep the group together, each once, and no other.

    What is preferred decides nothing here: where one domain does not hold the group, several may.
    """
    assert sorted(vector.legal) == sorted(set(fitting(vector)))


@each_vector
def test_a_vector_is_told_of_a_claimed_requirement(vector: Vector) -> None:
    """A vector belongs to a requirement that the catalogue says is claimed, and that needs fake nodes."""
    record = load()[vector.id]
    assert record.claimed
    assert "fake-nodes" in record.needs


def test_a_preferred_level_alone_needs_no_one_domain() -> None:
    """The one vector that prefers a level prefers one that cannot hold its group: else several outcomes were legal."""
    [vector] = [one for one in VECTORS if PREFERRED_TOPOLOGY in str(one.set.object)]
    assert all(len(set(outcome.split()) & {"h1", "h2", "h1;", "h2;"}) > 1 for outcome in vector.legal)


def test_what_spoils_a_host_is_known() -> None:
    """Every cause of vector V12 is one that hosts know, and every one that they know is told."""
    assert sorted(spoilt.cause for spoilt in SPOILT) == sorted([*CAUSES, TAKEN])
