"""Preemption: who may be told to go, in which order, and never more than needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import CPU, NOW, admitted, condition, placed, queue, waiting, world

from conformance import names
from conformance.reference import eviction, preemption
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Assignment,
    ClusterQueue,
    Cohort,
    Container,
    Flavor,
    FlavorResource,
    Node,
    PodSet,
    Preemption,
    Quota,
    ResourceGroup,
    Template,
    Topology,
    TopologyRequest,
    Usage,
    Workload,
)
from conformance.reference.quota import Ledger
from conformance.reference.topology import Places

LOWER = Preemption(within_queue="LowerPriority")
ANY = Preemption(reclaim="Any")


def runs(group: int, amount: int, where: str = "q", reserved: float = NOW - 100, **fields: Any) -> Workload:
    """An admitted group of that many cores."""
    conditions = {"QuotaReserved": condition(True, "QuotaReserved", reserved)} | fields.pop("conditions", {})
    return admitted(group, queue=where, amount=amount * 1000, conditions=conditions, **fields)


def asks(amount: int, where: str = "q") -> Admission:
    return Admission(where, (Assignment("main", 2, {"cpu": "default"}, {"cpu": amount * 1000}),))


def preemptor(priority: int = 100, **fields: Any) -> Workload:
    return waiting(99, priority=priority, **fields)


def chosen(draft: Draft, amount: int, workload: Workload | None = None, where: str = "q") -> list[str] | None:
    """The names of the victims, for a preemptor of that many cores."""
    found = preemption.victims(
        draft,
        Ledger.of(draft),
        Places.of(draft),
        workload or preemptor(),
        draft.snapshot.cluster_queues[where],
        asks(amount, where),
    )
    return None if found is None else [victim.name for victim in found]


# In one queue


def test_only_as_many_as_needed() -> None:
    """Of three equal groups one makes room for one of the same size (PRE-02)."""
    draft = world([runs(0, 2), runs(1, 2), runs(2, 2)], queues=[queue(nominal=6000, preemption=LOWER)])
    assert len(chosen(draft, 2) or []) == 1


def test_never() -> None:
    """Without a policy nobody is preempted (PRE-04)."""
    assert chosen(world([runs(0, 6)], queues=[queue(nominal=6000)]), 2) is None


def test_lowest_priority_goes_first() -> None:
    """Of two groups the one of lower priority goes, though the other was admitted later."""
    low, high = runs(0, 3, priority=1, reserved=NOW - 500), runs(1, 3, priority=2, reserved=NOW - 5)
    assert chosen(world([high, low], queues=[queue(nominal=6000, preemption=LOWER)]), 3) == ["w-0"]


def test_last_admitted_goes_first() -> None:
    """Of two groups of equal priority the one that was admitted later goes (PRE-03)."""
    old, new = runs(0, 3, reserved=NOW - 500), runs(1, 3, reserved=NOW - 5)
    assert chosen(world([old, new], queues=[queue(nominal=6000, preemption=LOWER)]), 3) == ["w-1"]


@pytest.mark.parametrize(("policy", "may"), [("LowerPriority", False), ("LowerOrNewerEqualPriority", True)])
def test_equal_priority(policy: Literal["LowerPriority", "LowerOrNewerEqualPriority"], may: bool) -> None:
    """A younger group of equal priority is a victim only where the policy says so, an older one never."""
    rules = Preemption(within_queue=policy)
    young, old = runs(0, 3, priority=100, created=NOW - 5), runs(1, 3, priority=100, created=NOW - 5000)
    draft = world([young, old], queues=[queue(nominal=6000, preemption=rules)])
    assert chosen(draft, 3) == (["w-0"] if may else None)
    assert chosen(draft, 6) is None


def test_needless_victims_are_given_back() -> None:
    """A small group that was taken first stays where a later, larger one makes room alone."""
    small, large = runs(0, 1, priority=1), runs(1, 5, priority=2)
    assert chosen(world([small, large], queues=[queue(nominal=6000, preemption=LOWER)]), 5) == ["w-1"]


def test_no_victims_in_vain() -> None:
    """Nobody is preempted where even all victims together make too little room."""
    draft = world([runs(0, 2, priority=1), runs(1, 4, priority=500)], queues=[queue(nominal=6000, preemption=LOWER)])
    assert chosen(draft, 3) is None


@pytest.mark.parametrize("leaves", [{"conditions": {"Evicted": condition(True, "Deactivated")}}, {"deleted": True}])
def test_who_is_leaving_counts_first(leaves: dict[str, Any]) -> None:
    """As long as those who are on their way out make room enough, nobody else is told to go."""
    draft = world([runs(0, 3, priority=500, **leaves), runs(1, 3)], queues=[queue(nominal=6000, preemption=LOWER)])
    assert chosen(draft, 3) == []
    assert chosen(draft, 6) == ["w-1"]


# In a cohort


def two_queues(policy: Preemption, lender: int = 4, borrower: int = 4) -> list[ClusterQueue]:
    return [
        queue("q", lender * 1000, cohort="all", preemption=policy),
        queue("b", borrower * 1000, cohort="all"),
    ]


def test_reclaim_as_much_as_needed() -> None:
    """A queue takes back what another one borrowed, from as few groups as needed (PRE-08)."""
    groups = [runs(n, 2, "b", reserved=NOW - n) for n in range(4)]
    draft = world(groups, queues=two_queues(ANY))
    assert chosen(draft, 2) == ["w-0"]
    assert chosen(draft, 4) == ["w-0", "w-1"]


def test_nobody_loses_its_nominal_quota() -> None:
    """A queue that uses no more than its nominal quota is left alone, whatever the priorities."""
    draft = world([runs(0, 4, "b"), runs(1, 4, priority=500)], queues=two_queues(ANY))
    assert chosen(draft, 2) is None


def test_reclaim_by_priority() -> None:
    """With LowerPriority only groups of lower priority are taken back from."""
    policy = Preemption(reclaim="LowerPriority")
    draft = world([runs(0, 4, "b", priority=100), runs(1, 4, "b", priority=5)], queues=two_queues(policy))
    assert chosen(draft, 4) == ["w-1"]
    assert chosen(draft, 4, preemptor(priority=5)) is None


def test_other_queues_first() -> None:
    """Groups of a queue that borrows go before those of the own queue, whatever their priority."""
    policy = Preemption(within_queue="LowerPriority", reclaim="Any")
    draft = world([runs(0, 2, priority=1), runs(1, 6, "b", priority=50)], queues=two_queues(policy))
    assert chosen(draft, 2) == ["w-1"]


@pytest.mark.parametrize(
    ("threshold", "victim", "may"), [(None, 50, True), (60, 50, True), (40, 50, False), (None, 100, False)]
)
def test_borrow_within_cohort(threshold: int | None, victim: int, may: bool) -> None:
    """While it borrows, a queue takes from another borrower only groups of lower priority, up to the threshold."""
    policy = Preemption(reclaim="Any", borrow_within_cohort=True, max_priority=threshold)
    draft = world(
        [runs(0, 3), runs(1, 4, "b", priority=victim)],
        queues=[*two_queues(policy, 2, 2), queue("c", 3000, cohort="all")],
    )
    assert chosen(draft, 3) == (["w-1"] if may else None)


def test_no_borrowing_by_reclaim() -> None:
    """Without borrowWithinCohort nobody is preempted in another queue for what exceeds the nominal quota."""
    draft = world([runs(0, 2), runs(1, 6, "b")], queues=two_queues(ANY))
    assert chosen(draft, 3) is None
    assert chosen(draft, 2) == ["w-1"]


def test_borrowing_is_fine_where_only_the_own_queue_gives() -> None:
    """A queue may end above its nominal quota where all victims are its own."""
    draft = world([runs(0, 6), runs(1, 2, "b")], queues=two_queues(LOWER))
    assert chosen(draft, 6) == ["w-0"]


# What is written


def test_preempted_says_why() -> None:
    """A victim is Evicted with reason Preempted, and Preempted says on what ground and for whom (PRE-01, PRE-05)."""
    draft = world([runs(0, 4, "b"), runs(1, 4, "b")], queues=two_queues(ANY))
    where = draft.snapshot.cluster_queues["q"]
    found = preemption.victims(draft, Ledger.of(draft), Places.of(draft), preemptor(), where, asks(4))
    preemption.preempt(draft, found or [], preemptor(), where)
    (victim,) = draft.workloads.values()
    assert victim.conditions["Evicted"].reason == "Preempted"
    assert victim.conditions["Preempted"].reason == "InCohortReclamation"
    assert victim.conditions["Preempted"].message == (
        "Preempted to accommodate a workload (UID: uid-99, JobUID: uid-set) due to reclamation within the cohort; "
        "preemptor path: /all/q; preemptee path: /all/b"
    )
    assert victim.reserves


@pytest.mark.parametrize(
    ("policy", "groups", "reason"),
    [
        (LOWER, [runs(0, 8)], "InClusterQueue"),
        (ANY, [runs(0, 8, "b")], "InCohortReclamation"),
        (
            Preemption(reclaim="Any", borrow_within_cohort=True),
            [runs(1, 1), runs(0, 7, "b")],
            "InCohortReclaimWhileBorrowing",
        ),
    ],
)
def test_grounds(policy: Preemption, groups: list[Workload], reason: str) -> None:
    """The reason of Preempted is where the victim was and what the policy allowed it for."""
    draft = world(groups, queues=two_queues(policy))
    where = draft.snapshot.cluster_queues["q"]
    found = preemption.victims(draft, Ledger.of(draft), Places.of(draft), preemptor(), where, asks(4))
    preemption.preempt(draft, found or [], preemptor(), where)
    assert [(w.name, w.conditions["Preempted"].reason) for w in draft.workloads.values()] == [("w-0", reason)]


# With topology


def test_whole_rack_is_freed() -> None:
    """A group that needs a whole rack preempts those in one rack, not as many spread over two (TAS-21)."""
    request = TopologyRequest("required", "rack")
    podset = PodSet("main", 2, Template((Container({"cpu": 2000}),)), request)
    single = PodSet("main", 1, Template((Container({"cpu": 2000}),)), TopologyRequest("unconstrained"))
    hosts = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}

    def on(group: int, host: str, priority: int) -> Workload:
        it = placed(runs(group, 2, priority=priority, podsets=(single,)), host)
        return it

    draft = world(
        [on(0, "a1", 1), on(1, "b1", 2), on(2, "b2", 3), on(3, "a2", 200)],
        queues=[queue(nominal=12_000, preemption=LOWER)],
        nodes={
            n: Node(n, {names.HOSTNAME: n, "rack": r, "p": "p"}, {"cpu": 2000, "pods": 10_000})
            for n, r in hosts.items()
        },
        flavors={"default": Flavor("default", {"p": "p"}, topology="t")},
        topologies={"t": Topology("t", ("rack", names.HOSTNAME))},
    )
    assert chosen(draft, 4, preemptor(podsets=(podset,))) == ["w-1", "w-2"]
    everyone = {key: replace(w, priority=200) for key, w in draft.snapshot.workloads.items()}
    draft = Draft(replace(draft.snapshot, workloads=everyone), NOW)
    assert chosen(draft, 4, preemptor(podsets=(podset,))) is None


# Against a naive check

RESOURCES: Sequence[FlavorResource] = (CPU, ("default", "gpu"))


@dataclass(frozen=True)
class Plain:
    """The rules of quota, written down once more: recursive sums over names, nothing kept."""

    draft: Draft
    gone: frozenset[str]

    def parent(self, node: str) -> str:
        queues, cohorts = self.draft.snapshot.cluster_queues, self.draft.snapshot.cohorts
        return queues[node].cohort if node in queues else cohorts[node].parent if node in cohorts else ""

    def quota(self, node: str, key: FlavorResource) -> Quota:
        queues, cohorts = self.draft.snapshot.cluster_queues, self.draft.snapshot.cohorts
        quotas = queues[node].quotas if node in queues else cohorts[node].quotas if node in cohorts else {}
        return quotas.get(key, Quota(0))

    def children(self, node: str) -> list[str]:
        snapshot = self.draft.snapshot
        return [n for n in (*snapshot.cluster_queues, *snapshot.cohorts) if self.parent(n) == node]

    def total(self, node: str, key: FlavorResource) -> int:
        return self.quota(node, key).nominal + sum(self.lent(child, key) for child in self.children(node))

    def lent(self, node: str, key: FlavorResource) -> int:
        limit = self.quota(node, key).lending_limit
        return self.total(node, key) if limit is None else min(self.total(node, key), limit)

    def used(self, node: str, key: FlavorResource) -> int:
        own = sum(
            w.admission.usage().get(key, 0)
            for w in self.draft.snapshot.workloads.values()
            if w.admission and w.admission.cluster_queue == node and w.name not in self.gone
        )
        return own + sum(self.used_above(child, key) for child in self.children(node))

    def used_above(self, node: str, key: FlavorResource) -> int:
        """What a node uses of what is its parent's."""
        return max(0, self.used(node, key) - (self.total(node, key) - self.lent(node, key)))

    def free(self, node: str, key: FlavorResource) -> int:
        above = self.parent(node)
        if not above:
            return self.total(node, key) - self.used(node, key)
        kept = self.total(node, key) - self.lent(node, key)
        limit = self.quota(node, key).borrowing_limit
        rest = self.free(above, key)
        if limit is not None:
            rest = min(rest, self.lent(node, key) + limit - self.used_above(node, key))
        return max(0, kept - self.used(node, key)) + rest

    def fits(self, where: str, usage: Usage) -> bool:
        return all(amount <= self.free(where, key) for key, amount in usage.items())

    def within_nominal(self, where: str, usage: Usage) -> bool:
        return all(self.used(where, key) + amount <= self.total(where, key) for key, amount in usage.items())

    def up(self, node: str) -> list[str]:
        return [node, *self.up(self.parent(node))] if node else []


def usages(low: int, high: int) -> st.SearchStrategy[dict[FlavorResource, int]]:
    return st.fixed_dictionaries({key: st.integers(low, high) for key in RESOURCES})


def quotas() -> st.SearchStrategy[dict[FlavorResource, Quota]]:
    limits = st.one_of(st.none(), st.integers(0, 6))
    return st.fixed_dictionaries({key: st.builds(Quota, st.integers(0, 8), limits, limits) for key in RESOURCES})


POLICIES = st.builds(
    Preemption,
    within_queue=st.sampled_from(["Never", "LowerPriority", "LowerOrNewerEqualPriority"]),
    reclaim=st.sampled_from(["Never", "LowerPriority", "Any"]),
    borrow_within_cohort=st.booleans(),
    max_priority=st.one_of(st.none(), st.integers(0, 3)),
)


def admission(where: str, usage: Usage) -> Admission:
    return Admission(
        where, (Assignment("main", 1, {"cpu": "default", "gpu": "default"}, {key[1]: a for key, a in usage.items()}),)
    )


@st.composite
def small_worlds(draw: st.DrawFn) -> Draft:
    """Up to four queues in a tree of three cohorts at most, and up to seven groups in them, quota overrun or not."""
    queues = [
        ClusterQueue(
            name,
            cohort=draw(st.sampled_from(["", "left", "right", "root"])),
            groups=(ResourceGroup(("cpu", "gpu"), ("default",)),),
            quotas=draw(quotas()),
            preemption=draw(POLICIES),
        )
        for name in "abcd"[: draw(st.integers(1, 4))]
    ]
    cohorts = {
        name: Cohort(name, draw(st.sampled_from(["", "root"])), draw(st.one_of(st.just({}), quotas())))
        for name in ("left", "right")
    } | {"root": Cohort("root")}
    groups = []
    for number in range(draw(st.integers(0, 7))):
        where = draw(st.sampled_from(queues)).name
        conditions = {"QuotaReserved": condition(True, "", NOW - draw(st.integers(0, 3)))}
        if draw(st.integers(0, 5)) == 0:
            conditions["Evicted"] = condition(True, "Preempted")
        group = admitted(
            number,
            priority=draw(st.integers(0, 3)),
            created=NOW - draw(st.integers(0, 3)),
            admission=admission(where, draw(usages(0, 4))),
            conditions=conditions,
        )
        groups.append(group)
    return world(groups, queues=queues, cohorts=cohorts)


def leaving(draft: Draft) -> frozenset[str]:
    return frozenset(w.name for w in draft.snapshot.workloads.values() if w.evicted)


def may_go(draft: Draft, mine: Workload, where: ClusterQueue, victim: Workload) -> bool:
    """Whether priority and age let this victim be one."""
    assert victim.admission is not None
    own = victim.admission.cluster_queue == where.name
    policy = where.preemption.within_queue if own else where.preemption.reclaim
    lower = victim.priority < mine.priority
    if policy == "LowerOrNewerEqualPriority":
        return lower or (victim.priority == mine.priority and mine.created < victim.created)
    return policy == "Any" or (policy == "LowerPriority" and lower)


def nearer(plain: Plain, where: str, other: str, usage: Usage) -> bool:
    """Whether the request fits into the quota of the queue or of a cohort of it that the other queue is not in."""
    rest = dict(usage)
    for node in plain.up(where):
        if node in plain.up(other):
            return False
        if all(plain.used(node, key) + amount <= plain.total(node, key) for key, amount in rest.items()):
            return True
        kept = {key: plain.total(node, key) - plain.lent(node, key) - plain.used(node, key) for key in rest}
        rest = {key: max(0, amount - max(0, kept[key])) for key, amount in rest.items()}
    return False


def must_not_borrow(plain: Plain, mine: Workload, where: ClusterQueue, victim: Workload, usage: Usage) -> bool:
    """Whether this victim may only be taken by a preemptor that stays within its nominal quota."""
    assert victim.admission is not None
    other = victim.admission.cluster_queue
    if other == where.name or nearer(plain, where.name, other, usage):
        return False
    rules = where.preemption
    below = victim.priority < mine.priority and (rules.max_priority is None or victim.priority <= rules.max_priority)
    return not (rules.borrow_within_cohort and below)


def holds(draft: Draft, mine: Workload, where: ClusterQueue, victims: Iterable[Workload], usage: Usage) -> bool:
    """Whether the preemptor fits, and may, once these victims and those who leave are gone."""
    victims = list(victims)
    now = Plain(draft, leaving(draft))
    then = Plain(draft, leaving(draft) | {v.name for v in victims})
    restricted = any(must_not_borrow(now, mine, where, victim, usage) for victim in victims)
    return then.fits(where.name, usage) and (not restricted or then.within_nominal(where.name, usage))


@settings(deadline=None, max_examples=150)
@given(small_worlds(), usages(0, 6), st.integers(0, 3), st.integers(0, 3))
def test_victims_are_few_and_within_policy(
    draft: Draft, usage: dict[FlavorResource, int], priority: int, age: int
) -> None:
    """Victims make room, each by the policies, none is needless, and the ledger is as before."""
    where = draft.snapshot.cluster_queues["a"]
    mine = preemptor(priority, created=NOW - age, podsets=(PodSet("main", 1),))
    asked = {key: amount for key, amount in usage.items() if amount}
    ledger = Ledger.of(draft)
    before = used_everywhere(ledger, draft)
    found = preemption.victims(draft, ledger, Places.of(draft), mine, where, admission("a", usage))
    assert used_everywhere(ledger, draft) == before
    now = Plain(draft, leaving(draft))
    allowed = [w for w in draft.snapshot.workloads.values() if not w.evicted and may_go(draft, mine, where, w)]
    if where.preemption.within_queue == where.preemption.reclaim == "Never":
        assert found is None
        return
    assert (found == []) == now.fits("a", asked)
    if not found:
        own = [w for w in allowed if w.admission and w.admission.cluster_queue == "a"]
        short = [key for key, amount in asked.items() if amount > now.free("a", key)]
        using = [w for w in own if w.admission and any(w.admission.usage()[key] for key in short)]
        assert found == [] or not holds(draft, mine, where, using, asked)
        return
    assert holds(draft, mine, where, found, asked)
    for victim in found:
        assert victim in allowed
        assert not holds(draft, mine, where, [v for v in found if v is not victim], asked), "a needless victim"
    short = [key for key, amount in asked.items() if amount > now.free("a", key)]
    for number, victim in enumerate(found):
        assert victim.admission is not None
        then = Plain(draft, leaving(draft) | {v.name for v in found[:number]})
        other = victim.admission.cluster_queue
        for node in (n for n in then.up(other) if n not in then.up("a")):
            assert any(then.used(node, key) > then.total(node, key) for key in short), "pressed below its quota"


def used_everywhere(ledger: Ledger, draft: Draft) -> list[tuple[str, dict[FlavorResource, int]]]:
    """What every queue and cohort uses, as the ledger has it."""
    found = []
    for name in draft.snapshot.cluster_queues:
        node = ledger.node(name)
        while node is not None:
            found.append((node.name, {key: amount for key, amount in node.used.items() if amount}))
            node = node.parent
    return found


def test_evicted_groups_stay_evicted() -> None:
    """A group that is on its way out is never a victim again."""
    gone = eviction.evicted(runs(0, 3), "Deactivated", "", NOW)
    draft = world([gone, runs(1, 3)], queues=[queue(nominal=6000, preemption=LOWER)])
    assert chosen(draft, 6) == ["w-1"]


def test_who_is_admitted_now_is_no_victim_yet() -> None:
    """What a pass admits is not preempted in the same pass: its admission would never be seen."""
    draft = world([waiting(0)], queues=[queue(nominal=6000, preemption=LOWER)])
    draft.put(runs(0, 6))
    assert chosen(draft, 3) is None
    assert chosen(world([runs(0, 6)], queues=[queue(nominal=6000, preemption=LOWER)]), 3) == ["w-0"]
