"""Faults of admission with topology: places without quota, quota without places, waiting, and groups of one set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed

from conformance import names
from conformance.faults.model import fault, replace
from conformance.reference import births, flavors, groups, pods, units
from conformance.reference.draft import Draft
from conformance.reference.flavors import Search
from conformance.reference.model import Admission, Amounts, Flavor, Key, Node, Pod, Set, Snapshot, Usage, Workload
from conformance.reference.topology import Places
from conformance.reference.units import Slot, Unit


@fault(
    "A group for which there is quota is admitted, with places or without.",
    caught={
        "TAS-03": "no_quota_reserved",
        "TAS-29": "kueue_gated",
        "V2": "gated",
        "V3": "at_most_admitted",
        "V6r": ("gated", "no_quota_reserved"),
        "V9": ("gated", "no_quota_reserved"),
        "V10": ("gated", "no_quota_reserved"),
        "V11": ("gated", "no_quota_reserved"),
        "V18": ("gated", "no_quota_reserved"),
        "V19": ("gated", "no_assignment"),
    },
)
def places_ignored() -> None:
    with_places = flavors.with_places

    def anyway(draft: Draft, places: Places, workload: Workload, admission: Admission) -> tuple[Admission | None, str]:
        placed, _ = with_places(draft, places, workload, admission)
        return (admission if placed is None else placed), ""

    replace(flavors, "with_places", anyway)


@fault(
    "A group for which there is a place is admitted, with quota or without.",
    caught={"V19": ("no_quota_reserved", "gated"), "I6": "I6"},
)
def quota_ignored_with_topology() -> None:
    quota = Search.quota

    def anyway(self: Search, slot: Slot, flavor: Flavor, before: Usage) -> tuple[bool | None, str]:
        return (True, "") if flavor.topology else quota(self, slot, flavor, before)

    replace(flavors.Search, "quota", anyway)


@fault(
    "A group is refused when its leader asks for nothing that has a topology flavor itself.",
    caught={"V22": ("ready", "placed_as")},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/13859",
)
def leader_without_flavor_refused() -> None:
    with_places = flavors.with_places

    def of_podset(given: Mapping[str, Flavor], unit: Unit, wanted: Amounts) -> dict[str, str]:
        return {resource: given[resource].name for resource, amount in wanted.items() if amount and resource in given}

    def strictly(
        draft: Draft, places: Places, workload: Workload, admission: Admission
    ) -> tuple[Admission | None, str]:
        known, _ = units.to_place(draft, workload, admission)
        for podset in workload.podsets:
            if units.asks_for_topology(podset) and podset.name not in known:
                return None, f"no topology flavor assigned to {podset.name}"
        return with_places(draft, places, workload, admission)

    replace(flavors, "of_podset", of_podset)
    replace(flavors, "with_places", strictly)


# Groups of one set


@fault(
    "All groups of a set must be in the rack of its first one.",
    caught={"TAS-01": "running", "QUO-02": ("usage", "counts"), "V3": "ready_groups", "V12": "running"},
)
def all_replicas_in_one_rack() -> None:
    with_places = flavors.with_places

    def together(
        draft: Draft, places: Places, workload: Workload, admission: Admission
    ) -> tuple[Admission | None, str]:
        placed, refusal = with_places(draft, places, workload, admission)
        theirs = {
            rack
            for other in draft.all_workloads()
            if other.set_name == workload.set_name and other.namespace == workload.namespace and other.admission
            for rack in _racks(draft, other.admission)
        }
        if placed is not None and theirs and theirs != set(_racks(draft, placed)):
            return None, "another group of the set is in another rack"
        return placed, refusal

    replace(flavors, "with_places", together)


def _racks(draft: Draft, admission: Admission) -> Iterator[tuple[str, str]]:
    nodes: dict[str, Node] = {
        node.labels.get(names.HOSTNAME, node.name): node for node in draft.snapshot.nodes.values()
    }
    for given in admission.podsets:
        for values, _ in given.topology.domains if given.topology is not None else ():
            if values[-1] in nodes:
                labels = nodes[values[-1]].labels
                yield labels.get(names.BLOCK, ""), labels.get(names.RACK, "")


@fault(
    "Scale-down takes the Workloads of the first groups away, and leaves those of the last.",
    caught={"V3": ("running", "no_pods_beyond")},
)
def first_groups_scaled_away() -> None:
    keep_set = groups._keep_set

    def from_the_front(draft: Draft, set_: Set) -> None:
        own = [
            workload
            for workload in draft.all_workloads()
            if workload.owner == set_.uid and workload.set_name == set_.name and not workload.deleted
        ]
        surplus = len(own) - groups.groups_wanted(set_)
        if surplus <= 0:
            if min((it.group for it in own if it.group is not None), default=0) == 0:
                keep_set(draft, set_)
            return
        for workload in sorted(own, key=lambda it: it.group or 0)[:surplus]:
            draft.delete_workload(workload)

    replace(groups, "_keep_set", from_the_front)


@fault(
    "A group that scale-up brings back finds no place, as one of its name had one before.",
    caught={"V3": "ready_groups"},
)
def no_place_for_a_group_brought_back() -> None:
    with_places = flavors.with_places
    known: dict[Key, str] = {}

    def first_only(
        draft: Draft, places: Places, workload: Workload, admission: Admission
    ) -> tuple[Admission | None, str]:
        if known.setdefault(workload.key, workload.uid) != workload.uid:
            return None, "a group of this name had a place"
        return with_places(draft, places, workload, admission)

    replace(flavors, "with_places", first_only)


# Waiting


@fault(
    "A group that found no place is not tried again before another group of its namespace gives places back.",
    caught={
        "TAS-03": "running",
        **dict.fromkeys(("V4", "V4b", "V5", "V6", "V7", "V8", "V11", "V15", "V16", "V17", "V18"), "running"),
        "V14": "one_runs",
    },
)
def not_tried_again_with_new_nodes() -> None:
    with_places = flavors.with_places
    refused: dict[Key, frozenset[str]] = {}

    def once(draft: Draft, places: Places, workload: Workload, admission: Admission) -> tuple[Admission | None, str]:
        # Of its own namespace alone: groups of the stories that are told at the same time come and go.
        there = (it for it in draft.all_workloads() if it.namespace == workload.namespace)
        holding = frozenset(it.uid for it in there if it.reserves)
        if workload.key in refused and refused[workload.key] <= holding:
            return None, "it was tried, and nothing was given back"
        placed, refusal = with_places(draft, places, workload, admission)
        if placed is None:
            refused[workload.key] = holding
        return placed, refusal

    replace(flavors, "with_places", once)


@fault(
    "The leader of a group that was tried and waits is let go.",
    caught={
        "TAS-03": "atomic",
        "TAS-29": "kueue_gated",
        "V2": "gated",
        "V3": "atomic",
        "V10": "gated",
        "V19": "gated",
        "I1": "I1",
    },
)
def waiting_leader_let_go() -> None:
    may_run, starts = pods.may_run, pods.starts

    def runs_or_waits(workload: Workload) -> bool:
        return may_run(workload) or (not workload.deleted and "QuotaReserved" in workload.conditions)

    def leaders_too(workload: Workload, them: Sequence[Pod], snapshot: Snapshot) -> list[Pod]:
        if may_run(workload):
            return starts(workload, them, snapshot)
        return [changed(pod, gates=()) for pod in them if pod.is_leader and pods.gated(pod)]

    replace(pods, "may_run", runs_or_waits)
    replace(pods, "starts", leaders_too)


@fault(
    "The topology gate stays on the pods of an admitted group.",
    caught={
        **dict.fromkeys(("TAS-01", "V1", "V4", "V4b", "V5", "V6", "V6c", "V7", "V8", "V11"), "running"),
        **dict.fromkeys(("V12", "V15", "V16", "V17", "V18", "V20", "V21"), "running"),
        "V22": "ready",
    },
)
def topology_gate_kept() -> None:
    replace(pods, "OUR_GATES", (names.ADMISSION_GATE,))
    # A pod that is born when its group is admitted would have no gate to keep.
    replace(births, "born_ready", lambda newborn, name, snapshot: None)
