"""Faults of the webhook of sets: changes that are accepted and must be refused, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.faults.model import fault, replace
from conformance.reference import groups, set_rules
from conformance.reference.topology_rules import TEMPLATES, invalid


@fault(
    "The size of the groups of a queued set may be changed.",
    caught={"VAL-09": "refused"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/13809",
)
def size_may_change() -> None:
    replace(set_rules, "size_change", lambda new, old: [])


@fault(
    "What the pods of a queued set ask for may be changed.",
    caught={"VAL-10": "refused"},
)
def requests_may_change() -> None:
    replace(set_rules, "same_amounts", lambda new, old: True)


@fault(
    "The queue of a set may be changed while its groups are ready.",
    caught={"QCH-02": "refused"},
)
def queue_may_change_while_ready() -> None:
    replace(set_rules, "queue_change", lambda new, old: [])


@fault(
    "Any number of groups is accepted, fewer than none and more than anybody has.",
    caught={"VAL-01": "refused"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/12715",
)
def any_number_of_groups_is_accepted() -> None:
    replace(set_rules, "replica_range", lambda set_: [])


@fault(
    "The queue of a set cannot be changed, though none of its groups is ready.",
    caught={"QCH-01": "accepted", "QCH-02": "accepted"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/4932",
)
def queue_can_never_change() -> None:
    replace(set_rules, "ready_groups", lambda set_: 1)


@fault(
    "The Workloads of a set stay in their queue when the set's is changed.",
    caught={"NS-03": "running", "QCH-01": "running"},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/11191",
)
def queue_change_does_not_reach_workloads() -> None:
    replace(groups, "queue_may_change", lambda workload: False)


@fault(
    "Every change of a template of a queued set is refused, also one that changes nothing that is asked for.",
    caught={"VAL-10": "accepted", "QCH-02": "accepted"},
)
def no_template_may_change() -> None:
    right = set_rules.charged

    def charged(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
        after, before = (it["spec"]["leaderWorkerTemplate"] for it in (new, old))
        same = all(after.get(name) == before.get(name) for name in ("leaderTemplate", "workerTemplate"))
        return right(new, old) + ([] if same else [invalid(TEMPLATES, None, set_rules.IMMUTABLE)])

    replace(set_rules, "charged", charged)


@fault(
    "A set may not have zero groups.",
    caught={"VAL-01": "accepted"},
)
def zero_groups_are_refused() -> None:
    right = set_rules.replica_range

    def replica_range(set_: Mapping[str, Any]) -> list[str]:
        replicas = set_["spec"].get("replicas")
        return right(set_) or ([invalid("spec.replicas", 0, "must be at least 1")] if replicas == 0 else [])

    replace(set_rules, "replica_range", replica_range)
