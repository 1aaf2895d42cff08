"""Which flavors a group would get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from conformance.reference import flavors
from conformance.reference.draft import Draft
from conformance.reference.flavors import Attempt
from conformance.reference.model import (
    Admission,
    Assignment,
    ClusterQueue,
    Condition,
    Container,
    Flavor,
    Fungibility,
    Match,
    Node,
    PodSet,
    Preemption,
    Quota,
    ResourceGroup,
    Rules,
    Snapshot,
    Taint,
    Template,
    Toleration,
    Topology,
    TopologyRequest,
    Workload,
)
from conformance.reference.quota import Ledger
from conformance.reference.topology import Places

RACK, HOST = "rack", "kubernetes.io/hostname"
IN_ONE_RACK = TopologyRequest("required", RACK, group="g")


def podset(name: str, count: int = 1, topology: TopologyRequest | None = None, **requests: int) -> PodSet:
    return PodSet(name, count, Template(containers=(Container(requests),)), topology)


def workload(*podsets: PodSet, **changes: Any) -> Workload:
    return replace(Workload("team", "w", uid="w", podsets=podsets), **changes)


def queue(*groups: tuple[tuple[str, ...], dict[str, dict[str, int]]], **changes: Any) -> ClusterQueue:
    """A queue of resource groups: their resources, and the nominal quota of each flavor in order."""
    quotas = {(f, r): Quota(n) for _, given in groups for f, amounts in given.items() for r, n in amounts.items()}
    parts = tuple(ResourceGroup(resources, tuple(given)) for resources, given in groups)
    return replace(ClusterQueue("q", groups=parts, quotas=quotas), **changes)


def cpu_queue(**nominal: int) -> ClusterQueue:
    return queue((("cpu",), {flavor: {"cpu": amount} for flavor, amount in nominal.items()}))


def node(name: str, rack: str, **allocatable: int) -> Node:
    return Node(name, {RACK: rack, HOST: name, "pool": "tas"}, {"pods": 110_000, **allocatable})


def world(queue: ClusterQueue, *others: ClusterQueue, known: Mapping[str, Flavor] | None = None, **parts: Any) -> Draft:
    names = {name for each in (queue, *others) for group in each.groups for name in group.flavors}
    snapshot = Snapshot(
        cluster_queues={each.name: each for each in (queue, *others)},
        flavors={name: Flavor(name) for name in names} | dict(known or {}),
        topologies={"racks": Topology("racks", (RACK, HOST))},
        **parts,
    )
    return Draft(snapshot, now=1000.0)


def holder(name: str, queue: str, usage: Mapping[str, tuple[str, int]], priority: int = 0) -> Workload:
    """An admitted Workload that uses, of each resource, an amount in a flavor."""
    given = Assignment("main", 1, {r: f for r, (f, _) in usage.items()}, {r: a for r, (_, a) in usage.items()})
    conditions = {"QuotaReserved": Condition(True), "Admitted": Condition(True)}
    return Workload(
        "team", name, uid=name, priority=priority, conditions=conditions, admission=Admission(queue, (given,))
    )


def attempt(draft: Draft, group: Workload, name: str = "q") -> Attempt:
    cluster_queue = draft.snapshot.cluster_queues[name]
    return flavors.assign(draft, Ledger.of(draft), Places.of(draft), group, cluster_queue)


def given(found: Attempt) -> dict[str, dict[str, str]]:
    """The flavors of each podset."""
    assert found.mode == "fit", found.refusal
    assert found.admission is not None
    return {part.podset: dict(part.flavors) for part in found.admission.podsets}


def used(found: Attempt) -> dict[str, dict[str, int]]:
    assert found.admission is not None
    return {part.podset: dict(part.usage) for part in found.admission.podsets}


# Quota


def test_a_group_is_counted_whole() -> None:
    """The admission has an entry for each podset with its count and what all its pods use together."""
    found = attempt(world(cpu_queue(a=500)), workload(podset("leader", cpu=100), podset("worker", 2, cpu=200)))
    assert found.admission is not None
    assert [(part.podset, part.count) for part in found.admission.podsets] == [("leader", 1), ("worker", 2)]
    assert used(found) == {"leader": {"cpu": 100}, "worker": {"cpu": 400}}
    assert given(found) == {"leader": {"cpu": "a"}, "worker": {"cpu": "a"}}
    assert found.borrowing_level == 0


def test_room_for_a_part_of_the_group_is_no_room() -> None:
    """A group whose leader fits and whose workers do not is refused as a whole."""
    found = attempt(world(cpu_queue(a=499)), workload(podset("leader", cpu=100), podset("worker", 2, cpu=200)))
    assert found.mode == "nofit"
    assert found.admission is None
    assert "worker" in found.refusal


def test_a_resource_that_the_queue_does_not_cover() -> None:
    """A request for a resource that no resource group covers is refused by name; one for none of it does not matter."""
    draft = world(cpu_queue(a=1000))
    found = attempt(draft, workload(podset("main", cpu=100, gpu=1000)))
    assert found.refusal == "couldn't assign flavors to pod set main: resource gpu unavailable in ClusterQueue"
    draft = world(cpu_queue(a=1000))
    assert given(attempt(draft, workload(podset("main", cpu=100, gpu=0)))) == {"main": {"cpu": "a"}}


def test_an_excluded_resource_is_not_counted() -> None:
    """A resource whose name begins with an excluded prefix needs no quota."""
    draft = replace(world(cpu_queue(a=1000)), rules=Rules(excluded_prefixes=("example.com/",)))
    found = attempt(draft, workload(podset("main", 1, None, cpu=100, **{"example.com/nic": 1000})))
    assert used(found) == {"main": {"cpu": 100}}


def test_pods_count_where_they_have_quota() -> None:
    """If the queue covers `pods`, each pod takes one, also of a group that asks for nothing else."""
    draft = world(queue((("pods",), {"a": {"pods": 3000}})))
    assert used(attempt(draft, workload(podset("leader"), podset("worker", 2)))) == {
        "leader": {"pods": 1000},
        "worker": {"pods": 2000},
    }
    draft = world(queue((("pods",), {"a": {"pods": 2000}})))
    assert attempt(draft, workload(podset("leader"), podset("worker", 2))).mode == "nofit"


def test_who_asks_for_nothing_gets_nothing() -> None:
    """A group without requests is admitted without flavors."""
    assert given(attempt(world(cpu_queue(a=0)), workload(podset("main", 4)))) == {"main": {}}


def test_more_than_there_can_ever_be() -> None:
    """A request above what the queue could borrow at most says so, with amounts that do not change with use."""
    draft = world(cpu_queue(a=3000))
    found = attempt(draft, workload(podset("leader", cpu=1000), podset("worker", 2, cpu=1500)))
    assert found.mode == "nofit"
    assert "previously considered podsets requests (1) + current podset request (3) > maximum capacity (3)" in (
        found.refusal
    )


def test_the_sentence_does_not_change_with_use() -> None:
    """Why a group waits is said in the same words however much is in use."""
    full = [world(cpu_queue(a=3000), workloads={("team", "h"): holder("h", "q", {"cpu": ("a", n)})}) for n in (2, 999)]
    said = {attempt(draft, workload(podset("main", 3, cpu=1000))).refusal for draft in full}
    assert said == {"couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor a"}


def test_requests_above_limits_are_refused() -> None:
    """A podset whose pods the API server would refuse gets the sentence that says so."""
    template = Template(containers=(Container({"cpu": 200}, {"cpu": 100}),))
    found = attempt(world(cpu_queue(a=3000)), workload(PodSet("main", 1, template)))
    assert found.mode == "nofit"
    assert "limits" in found.refusal


# Flavors


def test_flavors_are_tried_in_order() -> None:
    """The first flavor that has room is taken; the next one if the first is full."""
    group = workload(podset("main", cpu=1000))
    assert given(attempt(world(cpu_queue(a=1000, b=1000)), group)) == {"main": {"cpu": "a"}}
    assert given(attempt(world(cpu_queue(b=1000, a=1000)), group)) == {"main": {"cpu": "b"}}
    assert given(attempt(world(cpu_queue(a=999, b=1000)), group)) == {"main": {"cpu": "b"}}


def test_podsets_may_get_different_flavors() -> None:
    """Leader and workers without a podset group may get different flavors; a podset is never split."""
    group = workload(podset("leader", cpu=500), podset("worker", 2, cpu=1000))
    assert given(attempt(world(cpu_queue(a=1000, b=2000)), group)) == {"leader": {"cpu": "a"}, "worker": {"cpu": "b"}}
    assert attempt(world(cpu_queue(a=1500, b=1500)), group).mode == "nofit"


def test_what_the_leader_took_is_not_there_for_the_workers() -> None:
    """Two podsets of one group are counted together against one flavor."""
    group = workload(podset("leader", cpu=1000), podset("worker", cpu=1000))
    assert given(attempt(world(cpu_queue(a=1999, b=1000)), group)) == {"leader": {"cpu": "a"}, "worker": {"cpu": "b"}}


def test_a_choice_for_the_leader_never_keeps_the_workers_out() -> None:
    """If the workers fit only where the leader would be put first, the leader is put elsewhere."""
    group = workload(podset("leader", cpu=1000), podset("worker", cpu=2000))
    assert given(attempt(world(cpu_queue(a=2000, b=1000)), group)) == {"leader": {"cpu": "b"}, "worker": {"cpu": "a"}}


def test_resources_of_one_resource_group_come_from_one_flavor() -> None:
    """A flavor must have all that a podset asks for of its resource group; each resource group chooses for itself."""
    both = ("cpu", "gpu")
    one = queue((both, {"a": {"cpu": 1000, "gpu": 0}, "b": {"cpu": 1000, "gpu": 1000}}))
    group = workload(podset("main", cpu=1000, gpu=1000))
    assert given(attempt(world(one), group)) == {"main": {"cpu": "b", "gpu": "b"}}
    two = queue((("cpu",), {"a": {"cpu": 1000}}), (("gpu",), {"b": {"gpu": 1000}}))
    assert given(attempt(world(two), group)) == {"main": {"cpu": "a", "gpu": "b"}}


@pytest.mark.parametrize(
    ("flavor", "template"),
    [
        (Flavor("a", taints=(Taint("spot"),)), Template()),
        (Flavor("a", {"pool": "a"}), Template(selector={"pool": "b"})),
        (Flavor("a", {"pool": "a"}), Template(affinity=((Match("pool", "In", ("b",)),),))),
        (Flavor("a"), Template(selector={"pool": "b"})),
    ],
    ids=["taint", "selector", "affinity", "label-of-another-flavor"],
)
def test_a_flavor_that_the_pods_cannot_use_is_skipped(flavor: Flavor, template: Template) -> None:
    """A flavor is skipped for its taints and for the labels that the pods ask for, and is named in the refusal."""
    pods = PodSet("main", 1, replace(template, containers=(Container({"cpu": 1000}),)))
    known = {"a": flavor, "b": Flavor("b", {"pool": "b"})}
    assert given(attempt(world(cpu_queue(a=1000, b=1000), known=known), workload(pods))) == {"main": {"cpu": "b"}}
    alone = attempt(world(cpu_queue(a=1000, b=0), known=known), workload(pods))
    assert alone.mode == "nofit"
    assert "flavor a" in alone.refusal


def test_a_tolerated_taint_is_none() -> None:
    """A flavor with a taint is used by pods that tolerate it."""
    pods = PodSet(
        "main", 1, Template(containers=(Container({"cpu": 1000}),), tolerations=(Toleration("spot", "Exists"),))
    )
    known = {"a": Flavor("a", taints=(Taint("spot"),))}
    assert given(attempt(world(cpu_queue(a=1000, b=1000), known=known), workload(pods))) == {"main": {"cpu": "a"}}


# Fungibility

LENDER = replace(cpu_queue(a=1000, b=0), name="lender", cohort="team")
BORROWER = replace(cpu_queue(a=0, b=1000), cohort="team")
ONE = workload(podset("main", cpu=1000), priority=5, created=500.0)


def test_by_default_borrowing_ends_the_search() -> None:
    """`whenCanBorrow: MayStopSearch` takes the first flavor that fits, also if it must be borrowed."""
    found = attempt(world(BORROWER, LENDER), ONE)
    assert given(found) == {"main": {"cpu": "a"}}
    assert found.borrowing_level == 1


def test_the_next_flavor_may_be_tried_before_borrowing() -> None:
    """`whenCanBorrow: TryNextFlavor` prefers a later flavor that fits without borrowing, and borrows if none does."""
    tries = replace(BORROWER, fungibility=Fungibility(stop_when_borrowing=False))
    found = attempt(world(tries, LENDER), ONE)
    assert given(found) == {"main": {"cpu": "b"}}
    assert found.borrowing_level == 0
    full = {("team", "h"): holder("h", "q", {"cpu": ("b", 1)})}
    assert given(attempt(world(tries, LENDER, workloads=full), ONE)) == {"main": {"cpu": "a"}}


def preempting(**changes: Any) -> Draft:
    """Flavor a is full of a Workload of low priority, flavor b has room."""
    own = replace(cpu_queue(a=1000, b=1000), preemption=Preemption(within_queue="LowerPriority"), **changes)
    return world(own, LENDER, workloads={("team", "low"): holder("low", "q", {"cpu": ("a", 1000)})})


def test_by_default_nobody_is_preempted_while_another_flavor_fits() -> None:
    """`whenCanPreempt: TryNextFlavor` takes a later flavor that has room."""
    assert given(attempt(preempting(), ONE)) == {"main": {"cpu": "b"}}


def test_the_search_may_end_with_preemption() -> None:
    """`whenCanPreempt: MayStopSearch` preempts in the first flavor although the second has room, if it can."""
    stops = Fungibility(stop_when_preempting=True)
    found = attempt(preempting(fungibility=stops), ONE)
    assert found.mode == "preempt"
    assert [victim.name for victim in found.victims] == ["low"]
    assert found.admission is not None
    assert found.admission.usage() == {("a", "cpu"): 1000}
    lower = workload(podset("main", cpu=1000), priority=-1)
    assert given(attempt(preempting(fungibility=stops), lower)) == {"main": {"cpu": "b"}}


def test_preemption_may_be_preferred_to_borrowing() -> None:
    """`PreemptionOverBorrowing` preempts in one flavor rather than borrow in another; else the other way round."""
    for prefers, mode in ((False, "fit"), (True, "preempt")):
        own = replace(
            cpu_queue(a=1000, b=0),
            cohort="team",
            preemption=Preemption(within_queue="LowerPriority"),
            fungibility=Fungibility(prefer_preemption=prefers, stop_when_borrowing=False),
        )
        lender = replace(cpu_queue(a=0, b=1000), name="lender", cohort="team")
        full = {("team", "low"): holder("low", "q", {"cpu": ("a", 1000)})}
        assert attempt(world(own, lender, workloads=full), ONE).mode == mode


@pytest.mark.parametrize(("amount", "level"), [(1000, 0), (1200, 1)])
def test_preemption_within_the_own_quota_is_no_borrowing(amount: int, level: int) -> None:
    """Who preempts borrows only if the queue is above its nominal quota also when the victim is gone."""
    own = replace(cpu_queue(a=1000), cohort="team", preemption=Preemption(within_queue="LowerPriority"))
    lender = replace(cpu_queue(a=500), name="lender", cohort="team")
    full = {("team", "low"): holder("low", "q", {"cpu": ("a", 1000)})}
    found = attempt(world(own, lender, workloads=full), workload(podset("main", cpu=amount), priority=5))
    assert (found.mode, found.borrowing_level) == ("preempt", level)


def test_who_could_fit_within_its_own_quota() -> None:
    """An attempt that fails since others borrowed the queue's own quota says what it waits for."""
    own = replace(cpu_queue(a=1000), cohort="team")
    other = replace(cpu_queue(a=0), name="other", cohort="team")
    lent = {("team", "h"): holder("h", "other", {"cpu": ("a", 500)})}
    found = attempt(world(own, other, workloads=lent), ONE)
    assert found.mode == "nofit"
    assert found.within_nominal == {("a", "cpu"): 1000}
    assert attempt(world(own, other, workloads=lent), workload(podset("main", cpu=1001))).within_nominal == {}


def test_claims_bind_borrowers_only() -> None:
    """A borrower must leave the room that others have a claim to; who stays within its nominal quota need not."""
    own, other = replace(cpu_queue(a=1000), cohort="team"), replace(cpu_queue(a=1000), name="other", cohort="team")
    draft = world(own, other)
    claims = Ledger.of(draft)
    claims.take("other", {("a", "cpu"): 1000})
    for amount, mode in ((1000, "fit"), (1001, "nofit")):
        group = workload(podset("main", cpu=amount), name=f"w{amount}")
        assert flavors.assign(draft, Ledger.of(draft), Places.of(draft), group, own, claims).mode == mode


# Topology

TAS = Flavor("tas", {"pool": "tas"}, topology="racks")
NODES = {n.name: n for n in (node("h1", "r1", cpu=2000, gpu=1000), node("h2", "r1", cpu=2000, gpu=1000))}


def tas_queue(**quotas: int) -> ClusterQueue:
    return queue((tuple(quotas), {"tas": quotas}))


def places(found: Attempt) -> dict[str, int]:
    """How many pods each podset has places for."""
    assert found.mode == "fit", found.refusal
    assert found.admission is not None
    return {p.podset: sum(count for _, count in p.topology.domains) for p in found.admission.podsets if p.topology}


def test_podsets_of_one_group_get_the_same_flavor() -> None:
    """Podsets that share a podset group are summed and get one flavor, though each alone would fit another one."""
    known = {"tas": TAS, "more": replace(TAS, name="more")}
    two = queue((("cpu",), {"tas": {"cpu": 1000}, "more": {"cpu": 2000}}))
    group = workload(podset("leader", 1, IN_ONE_RACK, cpu=1000), podset("worker", 1, IN_ONE_RACK, cpu=1000))
    found = attempt(world(two, known=known, nodes=NODES), group)
    assert given(found) == {"leader": {"cpu": "more"}, "worker": {"cpu": "more"}}
    assert places(found) == {"leader": 1, "worker": 1}


def test_a_leader_that_asks_for_nothing_has_its_group_s_flavor() -> None:
    """A podset without requests inherits the flavor of its podset group, and its place (upstream issue 13859)."""
    group = workload(podset("leader", 1, IN_ONE_RACK), podset("worker", 2, IN_ONE_RACK, gpu=1000))
    found = attempt(world(tas_queue(gpu=2000), known={"tas": TAS}, nodes=NODES), group)
    assert given(found) == {"leader": {"gpu": "tas"}, "worker": {"gpu": "tas"}}
    assert used(found)["leader"] == {}
    assert places(found) == {"leader": 1, "worker": 2}


def test_each_podset_lists_only_what_it_asks_for() -> None:
    """In a podset group each podset is charged for its own resources."""
    group = workload(podset("leader", 1, IN_ONE_RACK, cpu=100), podset("worker", 2, IN_ONE_RACK, cpu=100, gpu=1000))
    found = attempt(world(tas_queue(cpu=1000, gpu=2000), known={"tas": TAS}, nodes=NODES), group)
    assert given(found) == {"leader": {"cpu": "tas"}, "worker": {"cpu": "tas", "gpu": "tas"}}
    assert used(found) == {"leader": {"cpu": 100}, "worker": {"cpu": 200, "gpu": 2000}}


def test_with_topology_flavors_only_everybody_has_a_place() -> None:
    """In a queue of topology flavors only, podsets that do not ask for a topology are placed all the same."""
    draft = world(tas_queue(cpu=3000), known={"tas": TAS}, nodes=NODES)
    assert places(attempt(draft, workload(podset("main", 3, cpu=1000)))) == {"main": 3}
    draft = world(tas_queue(cpu=3000), known={"tas": TAS}, nodes=NODES)
    assert places(attempt(draft, workload(podset("main", 3)))) == {"main": 3}


def test_a_queue_of_both_kinds_tells_podsets_apart() -> None:
    """Where some flavors have a topology, podsets that ask for one get those and the others get the others."""
    known = {"tas": TAS}
    both = queue((("cpu",), {"plain": {"cpu": 9000}, "tas": {"cpu": 9000}}))
    asking = workload(podset("main", 1, TopologyRequest("required", RACK), cpu=1000))
    found = attempt(world(both, known=known, nodes=NODES), asking)
    assert given(found) == {"main": {"cpu": "tas"}}
    assert places(found) == {"main": 1}
    other = queue((("cpu",), {"tas": {"cpu": 9000}, "plain": {"cpu": 9000}}))
    found = attempt(world(other, known=known, nodes=NODES), workload(podset("main", cpu=1000)))
    assert given(found) == {"main": {"cpu": "plain"}}
    assert places(found) == {}


def test_quota_and_places_must_both_be_there() -> None:
    """A group with quota and without places is refused, and one with places and without quota."""
    group = workload(podset("leader", 1, IN_ONE_RACK), podset("worker", 3, IN_ONE_RACK, gpu=1000))
    assert attempt(world(tas_queue(gpu=3000), known={"tas": TAS}, nodes=NODES), group).mode == "nofit"
    pair = workload(podset("leader", 1, IN_ONE_RACK), podset("worker", 2, IN_ONE_RACK, gpu=1000))
    assert attempt(world(tas_queue(gpu=1000), known={"tas": TAS}, nodes=NODES), pair).mode == "nofit"
    assert attempt(world(tas_queue(gpu=2000), known={"tas": TAS}, nodes=NODES), pair).mode == "fit"


def test_missing_places_in_one_flavor_lead_to_the_next() -> None:
    """If the places are missing in the first flavor that has quota, the next one is tried."""
    far = {"h3": Node("h3", {RACK: "r9", HOST: "h3", "pool": "far"}, {"pods": 110_000, "cpu": 9000})}
    known = {"tas": TAS, "far": Flavor("far", {"pool": "far"}, topology="racks")}
    two = queue((("cpu",), {"tas": {"cpu": 9000}, "far": {"cpu": 9000}}))
    found = attempt(world(two, known=known, nodes=NODES | far), workload(podset("main", 1, cpu=3000)))
    assert given(found) == {"main": {"cpu": "far"}}


def test_a_topology_request_where_no_flavor_has_one() -> None:
    """A podset that asks for a topology is refused in a queue without topology flavors, whatever else it asks for."""
    request = TopologyRequest("required", RACK)
    for requests in ({"cpu": 1000}, {}):
        found = attempt(world(cpu_queue(a=9000)), workload(podset("main", 1, request, **requests)))
        assert found.mode == "nofit"
        assert "TopologyAwareScheduling" in found.refusal


def test_pods_have_places_in_one_flavor_only() -> None:
    """A podset whose resources lie in two flavors with a topology cannot be placed."""
    known = {"tas": TAS, "other": replace(TAS, name="other")}
    two = queue((("cpu",), {"tas": {"cpu": 9000}}), (("gpu",), {"other": {"gpu": 9000}}))
    found = attempt(world(two, known=known, nodes=NODES), workload(podset("main", 1, cpu=1000, gpu=1000)))
    assert found.mode == "nofit"
    assert "two flavors" in found.refusal
