"""Which ClusterQueue may admit a Workload, and why none may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.reference import queues
from conformance.reference.draft import Draft
from conformance.reference.model import (
    AdmissionCheck,
    CheckRule,
    ClusterQueue,
    Cohort,
    Flavor,
    LocalQueue,
    Match,
    Quota,
    ResourceGroup,
    Selector,
    Snapshot,
    Topology,
    Workload,
)

QUEUE = ClusterQueue(
    "shared",
    groups=(ResourceGroup(("cpu",), ("spot",)),),
    quotas={("spot", "cpu"): Quota(4000)},
    namespaces=Selector((Match("kind", "In", ("batch",)),)),
    checks=(CheckRule("approval"),),
)
LOCAL = LocalQueue("team", "mine", cluster_queue="shared")
WORLD = Snapshot(
    cluster_queues={"shared": QUEUE},
    local_queues={LOCAL.key: LOCAL},
    flavors={"spot": Flavor("spot", topology="racks")},
    topologies={"racks": Topology("racks", ("rack",))},
    checks={"approval": AdmissionCheck("approval")},
    namespaces={"team": {"kind": "batch"}},
)
WORKLOAD = Workload("team", "w", queue="mine")


def usable(world: Snapshot) -> tuple[ClusterQueue | None, str]:
    return queues.usable(Draft(world, now=0.0), WORKLOAD)


def active(world: Snapshot) -> tuple[bool, str, str]:
    return queues.active(Draft(world, now=0.0), world.cluster_queues["shared"])


def with_queue(**changes: object) -> Snapshot:
    return replace(WORLD, cluster_queues={"shared": replace(QUEUE, **changes)})  # type: ignore[arg-type]


def with_local(**changes: object) -> Snapshot:
    return replace(WORLD, local_queues={LOCAL.key: replace(LOCAL, **changes)})  # type: ignore[arg-type]


def test_a_queue_in_order_is_usable() -> None:
    """With everything there the LocalQueue leads to its ClusterQueue, which is active."""
    assert usable(WORLD) == (QUEUE, "")
    assert active(WORLD) == (True, "Ready", "Can admit new workloads")


@pytest.mark.parametrize(
    ("world", "sentence"),
    [
        (replace(WORLD, local_queues={}), "LocalQueue mine doesn't exist"),
        (with_local(deleted=True), "LocalQueue mine is terminating or missing"),
        (with_local(stop="Hold"), "LocalQueue mine is stopped"),
        (with_local(stop="HoldAndDrain"), "LocalQueue mine is stopped"),
        (replace(WORLD, cluster_queues={}), "ClusterQueue shared doesn't exist"),
        (with_queue(deleted=True), "ClusterQueue shared is terminating or missing"),
        (with_queue(stop="Hold"), "ClusterQueue shared is stopped"),
        (with_queue(stop="HoldAndDrain"), "ClusterQueue shared is stopped"),
        (replace(WORLD, flavors={}), "ClusterQueue shared is inactive"),
        (replace(WORLD, namespaces={"team": {"kind": "web"}}), queues.NAMESPACE_MISMATCH),
        (replace(WORLD, namespaces={}), queues.NAMESPACE_MISMATCH),
        (with_queue(namespaces=None), queues.NAMESPACE_MISMATCH),
    ],
)
def test_why_a_workload_cannot_be_admitted(world: Snapshot, sentence: str) -> None:
    """A Workload whose queues cannot be used has no ClusterQueue, with a sentence that says which one is to blame."""
    assert usable(world) == (None, sentence)


def test_a_local_queue_of_another_namespace_is_not_meant() -> None:
    """A Workload finds the LocalQueue of its own namespace only."""
    elsewhere = replace(WORLD, local_queues={("other", "mine"): replace(LOCAL, namespace="other")})
    assert usable(elsewhere) == (None, "LocalQueue mine doesn't exist")


@pytest.mark.parametrize(
    ("world", "reason", "part"),
    [
        (with_queue(deleted=True), "Terminating", "terminating"),
        (with_queue(stop="Hold"), "Stopped", "is stopped"),
        (replace(WORLD, flavors={}), "FlavorNotFound", "spot"),
        (replace(WORLD, topologies={}), "TopologyNotFound", "racks"),
        (replace(WORLD, checks={}), "AdmissionCheckNotFound", "approval"),
        (
            replace(WORLD, checks={"approval": AdmissionCheck("approval", active=False)}),
            "AdmissionCheckInactive",
            "approval",
        ),
        (with_queue(problem="cpu: '4x' is not a quantity"), "Unusable", "'4x'"),
        (
            replace(with_queue(cohort="a"), cohorts={"a": Cohort("a", "b"), "b": Cohort("b", "a")}),
            "CohortUnusable",
            "cycle",
        ),
    ],
)
def test_an_inactive_queue_says_why(world: Snapshot, reason: str, part: str) -> None:
    """A ClusterQueue that cannot admit anything has Active=False, a reason, and a message that names what is wrong."""
    is_active, said, message = active(world)
    assert not is_active
    assert said == reason
    assert part in message
    assert usable(world)[0] is None


def test_everything_that_is_wrong_is_named() -> None:
    """The message of an inactive ClusterQueue names all causes, the reason is the first one."""
    _, reason, message = active(replace(with_queue(stop="Hold"), flavors={}, checks={}))
    assert reason == "Stopped"
    assert "is stopped" in message
    assert "spot" in message
    assert "approval" in message


def test_a_selector_without_requirements_accepts_every_namespace() -> None:
    """A ClusterQueue whose namespaceSelector is empty accepts a namespace without labels."""
    assert usable(replace(with_queue(namespaces=Selector()), namespaces={}))[1] == ""
