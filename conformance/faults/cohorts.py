"""Faults of cohorts: what queues may borrow of each other, and who comes first."""

from __future__ import annotations

from dataclasses import replace as but

from conformance.faults.model import fault, replace
from conformance.faults.quota import PLENTY
from conformance.reference import ordering, quota
from conformance.reference.model import FlavorResource, Snapshot
from conformance.reference.quota import Node


@fault(
    "A borrowing limit is ignored.",
    caught={"COH-02": "no_quota_reserved", "COH-05": ("at_most_admitted", "at_least_ready"), "I6": "I6"},
)
def borrowing_limit_ignored() -> None:
    replace(quota, "borrowing_room", lambda node, key: None)


@fault("A lending limit is ignored.", caught={"COH-05": "at_most_admitted", "I6": "I6"})
def lending_limit_ignored() -> None:
    replace(quota, "kept", lambda node, key: 0)


@fault("A cohort lends half of what its lending limit allows.", caught={"COH-05": "at_least_ready"})
def half_of_a_lending_limit() -> None:
    original = quota.kept

    def kept(node: Node, key: FlavorResource) -> int:
        limits = node.quotas.get(key)
        limit = limits.lending_limit if limits is not None else None
        return original(node, key) if limit is None else max(0, node.total.get(key, 0) - limit // 2)

    replace(quota, "kept", kept)


@fault("A queue borrows nothing of its cohort.", caught={"COH-05": "at_least_ready"})
def cohort_ignored() -> None:
    original = quota.trees

    def trees(snapshot: Snapshot) -> tuple[dict[str, Node], dict[str, str]]:
        alone = {name: but(queue, cohort="") for name, queue in snapshot.cluster_queues.items()}
        return original(but(snapshot, cluster_queues=alone))

    replace(quota, "trees", trees)


@fault(
    "A queue of a cohort borrows although everything in the cohort is used.",
    caught={"COH-05": ("at_most_admitted", "no_quota_reserved"), "I6": "I6"},
)
def root_of_cohorts_has_no_limit() -> None:
    original = quota.available

    def available(node: Node, key: FlavorResource) -> int:
        return PLENTY if node.parent is None and node.height else original(node, key)

    replace(quota, "available", available)


@fault(
    "Of two groups at the heads of their queues the one of higher priority goes first, even if it has to borrow.",
    caught={"COH-06": ("running", "no_quota_reserved")},
)
def borrowers_compete_by_priority() -> None:
    def place_in_cohort(borrowing_level: int, place: tuple[int, float, str]) -> tuple[int, int, float, str]:
        return (0, *place)

    replace(ordering, "place_in_cohort", place_in_cohort)


@fault(
    "Of two groups at the heads of their queues the one that borrows is admitted first.",
    caught={"COH-06": ("running", "no_quota_reserved")},
)
def borrowers_first() -> None:
    def place_in_cohort(borrowing_level: int, place: tuple[int, float, str]) -> tuple[int, int, float, str]:
        return (-borrowing_level, *place)

    replace(ordering, "place_in_cohort", place_in_cohort)
