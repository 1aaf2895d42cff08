"""Faults of flavors: which one a group gets, and what its pods get of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace as but
from typing import Any

from conformance.faults.model import fault, replace
from conformance.names import QUEUE_NAME, RACK
from conformance.reference import flavors, pods, set_rules
from conformance.reference.draft import Draft
from conformance.reference.flavors import Attempt, Choice
from conformance.reference.model import Assignment, ClusterQueue, Fungibility, Rules, Snapshot, Usage, Workload
from conformance.reference.pods import Injection
from conformance.reference.quota import Ledger
from conformance.reference.topology import Places
from conformance.reference.units import Slot


@fault("The pods of an admitted group do not get the node labels of its flavor.", caught={"FLV-01": "selects_rack"})
def node_labels_dropped() -> None:
    original = pods.injection

    def injection(workload: Workload, given: Assignment, snapshot: Snapshot) -> Injection | None:
        known = {name: but(flavor, node_labels={}) for name, flavor in snapshot.flavors.items()}
        return original(workload, given, but(snapshot, flavors=known))

    replace(pods, "injection", injection)


@fault(
    "The pods of an admitted group select the rack of their flavor by the flavor's name, so no node takes them.",
    caught={"FLV-01": "running"},
)
def racks_selected_by_the_flavors_name() -> None:
    original = pods.injection

    def injection(workload: Workload, given: Assignment, snapshot: Snapshot) -> Injection | None:
        known = {
            name: but(flavor, node_labels={key: name if key == RACK else it for key, it in flavor.node_labels.items()})
            for name, flavor in snapshot.flavors.items()
        }
        return original(workload, given, but(snapshot, flavors=known))

    replace(pods, "injection", injection)


@fault(
    "The node labels of the first flavor of its queue are written into the templates of a set when it is created.",
    caught={"FLV-01": "templates_select_nothing"},
)
def first_flavor_written_into_new_templates() -> None:
    original = set_rules.mutate

    def mutate(
        set_: dict[str, Any], old: Mapping[str, Any] | None, snapshot: Snapshot, rules: Rules | None = None
    ) -> dict[str, Any]:
        found = original(set_, old, snapshot, rules)
        return found if old is not None else with_labels_of_the_first_flavor(found, snapshot)

    replace(set_rules, "mutate", mutate)


@fault(
    "When a set is scaled, the node labels of its flavor are written into its templates.",
    caught={"DOWN-07": "keeps templates"},
)
def node_labels_written_into_templates() -> None:
    original = set_rules.mutate

    def mutate(
        set_: dict[str, Any], old: Mapping[str, Any] | None, snapshot: Snapshot, rules: Rules | None = None
    ) -> dict[str, Any]:
        found = original(set_, old, snapshot, rules)
        return found if old is None else with_labels_of_the_first_flavor(found, snapshot)

    replace(set_rules, "mutate", mutate)
    replace(set_rules, "spec_change", lambda new, old, path: [])


def with_labels_of_the_first_flavor(set_: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """The set, with the node labels of its queue's first flavor in its templates."""
    metadata, spec = set_.get("metadata") or {}, set_.get("spec") or {}
    queue = (metadata.get("labels") or {}).get(QUEUE_NAME, "")
    local = snapshot.local_queues.get((metadata.get("namespace", ""), queue))
    owner = snapshot.cluster_queues.get(local.cluster_queue) if local is not None else None
    if owner is None or metadata.get("deletionTimestamp"):
        return set_
    labels = dict(snapshot.flavors[owner.groups[0].flavors[0]].node_labels)
    templates = dict(spec["leaderWorkerTemplate"])
    for name in ("leaderTemplate", "workerTemplate"):
        if templates.get(name):
            pod = templates[name]["spec"]
            selector = {**labels, **(pod.get("nodeSelector") or {})}
            templates[name] = {**templates[name], "spec": {**pod, "nodeSelector": selector}}
    return {**set_, "spec": {**spec, "leaderWorkerTemplate": templates}}


@fault("The flavors of a queue are tried in the reverse order.", caught={"FLV-11": "in_flavor"})
def flavors_in_reverse_order() -> None:
    original = flavors.Search.choices

    def choices(self: flavors.Search, slot: Slot, chosen: tuple[Choice, ...], before: Usage) -> Iterator[Choice]:
        backwards = but(slot, group=but(slot.group, flavors=slot.group.flavors[::-1]))
        return original(self, backwards, chosen, before)

    replace(flavors.Search, "choices", choices)


@fault("Only the first flavor of a queue is ever used.", caught={"FLV-10": ("running", "in_flavor")})
def only_the_first_flavor() -> None:
    original = flavors.Search.choices

    def choices(self: flavors.Search, slot: Slot, chosen: tuple[Choice, ...], before: Usage) -> Iterator[Choice]:
        return original(self, but(slot, group=but(slot.group, flavors=slot.group.flavors[:1])), chosen, before)

    replace(flavors.Search, "choices", choices)


@fault(
    "A group for which the first flavor is too full waits for it, without preempting anybody.",
    caught={"FLV-10": "running"},
)
def waits_for_the_first_flavor() -> None:
    assign = flavors.assign

    def patient(*given: Any, may_preempt: bool = True) -> Attempt:
        return assign(*given, may_preempt=False)

    only_the_first_flavor()
    replace(flavors, "assign", patient)


@fault(
    "Groups are preempted in the first flavor although the second one has room.",
    caught={"FLV-10": ("in_flavor", "never evicted", "running")},
)
def preempts_before_the_next_flavor() -> None:
    original = flavors.assign

    def assign(
        draft: Draft,
        ledger: Ledger,
        places: Places,
        workload: Workload,
        queue: ClusterQueue,
        claims: Ledger | None = None,
        *,
        may_preempt: bool = True,
    ) -> Attempt:
        first = but(queue, fungibility=Fungibility(stop_when_preempting=True))
        return original(draft, ledger, places, workload, first, claims, may_preempt=may_preempt)

    replace(flavors, "assign", assign)
