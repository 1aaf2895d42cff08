"""Faults of what Workloads and pods carry, and of the order in which pods take their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.faults.model import fault, replace
from conformance.reference import podsets, set_rules
from conformance.reference.model import Key, Pod, Set, Snapshot, Values
from conformance.reference.topology import ranks


@fault(
    "Workloads do not say of which set they are by its UID.",
    caught={"WL-03": "labelled_with_its_set"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/9898",
)
def workloads_without_the_uid_of_their_set() -> None:
    right = podsets.workload_for

    def workload_for(set_: Set, group: int, snapshot: Snapshot) -> dict[str, Any]:
        made = right(set_, group, snapshot)
        return {**made, "metadata": {**made["metadata"], "labels": {}}}

    replace(podsets, "workload_for", workload_for)


@fault(
    "The podsets of a Workload have nothing of the labels and annotations of the set's templates.",
    caught={"WL-11": "podsets_marked_as_templates"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/10330",
)
def podsets_without_marks() -> None:
    right = podsets.plain_template

    def plain_template(template: Mapping[str, Any]) -> dict[str, Any]:
        return {**right(template), "metadata": {}}

    replace(podsets, "plain_template", plain_template)


@fault(
    "A set whose name has more than 39 characters is refused.",
    caught={"NAME-02": "accepted"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/10311",
)
def long_names_refused() -> None:
    right = set_rules.replica_range

    def replica_range(set_: Mapping[str, Any]) -> list[str]:
        name = str(set_["metadata"]["name"])
        return [*right(set_), *([f"metadata.name: {name} is too long"] if len(name) > 39 else [])]

    replace(set_rules, "replica_range", replica_range)


@fault(
    "Pods take their places in the reverse order of their indexes.",
    caught={"TAS-10": "workers_fill_hosts_in_order"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/8685",
)
def ranks_reversed() -> None:
    right = ranks.by_rank

    def by_rank(
        pods: Sequence[Pod], slots: Sequence[Values], seats: Mapping[Key, Values], offset: int
    ) -> dict[Key, Values] | None:
        return right(pods, slots[::-1], seats, offset)

    replace(ranks, "by_rank", by_rank)
