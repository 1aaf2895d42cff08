"""Who is admitted in a pass, and what is said to those who are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.reference import admission, flavors, ordering
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    AdmissionCheck,
    Assignment,
    CheckRule,
    CheckState,
    ClusterQueue,
    Cohort,
    Condition,
    Container,
    Flavor,
    LocalQueue,
    Match,
    Node,
    Pod,
    PodSet,
    PodsReadyRules,
    Preemption,
    Quota,
    ResourceGroup,
    Rules,
    Selector,
    Snapshot,
    Template,
    Topology,
    TopologyRequest,
    Workload,
)
from conformance.reference.quota import Ledger

CPU = ("a", "cpu")
RESERVED = {"QuotaReserved": Condition(True, "QuotaReserved"), "Admitted": Condition(True, "Admitted")}


def queue(name: str = "q", nominal: int = 0, cohort: str = "", **changes: Any) -> ClusterQueue:
    quotas = {CPU: Quota(nominal, changes.pop("borrowing_limit", None), changes.pop("lending_limit", None))}
    groups = (ResourceGroup(("cpu",), ("a",)),)
    return replace(ClusterQueue(name, cohort=cohort, groups=groups, quotas=quotas, namespaces=Selector()), **changes)


def workload(name: str, cpu: int = 0, queue: str = "q", created: float = 0.0, **changes: Any) -> Workload:
    podsets = (PodSet("main", 1, Template(containers=(Container({"cpu": cpu}),))),)
    return replace(Workload("team", name, uid=name, created=created, queue=queue, podsets=podsets), **changes)


def holder(name: str, cpu: int, queue: str = "q", **changes: Any) -> Workload:
    """An admitted Workload."""
    had = Admission(queue, (Assignment("main", 1, {"cpu": "a"}, {"cpu": cpu}),))
    it = replace(workload(name, cpu, queue), admission=had, conditions=RESERVED)
    return replace(it, **changes)


def snapshot(queues: Iterable[ClusterQueue], workloads: Iterable[Workload], **parts: Any) -> Snapshot:
    """Each ClusterQueue has a LocalQueue of its name."""
    queues = list(queues)
    locals_ = [LocalQueue("team", each.name, cluster_queue=each.name) for each in queues]
    base = Snapshot(
        cluster_queues={each.name: each for each in queues},
        local_queues={each.key: each for each in locals_},
        workloads={each.key: each for each in workloads},
        flavors={"a": Flavor("a")},
    )
    return replace(base, **parts)


def passed(
    queues: Iterable[ClusterQueue], *workloads: Workload, rules: Rules | None = None, now: float = 1000.0, **parts: Any
) -> Draft:
    """The draft after `admit`."""
    draft = Draft(snapshot(queues, workloads, **parts), now, rules or Rules())
    admission.admit(draft)
    return draft


def again(draft: Draft, **parts: Any) -> Draft:
    """The next pass over what the first one decided."""
    after = replace(draft.snapshot, workloads={it.key: it for it in draft.all_workloads()}, **parts)
    following = Draft(after, draft.now + 1, draft.rules)
    admission.admit(following)
    return following


def admitted(draft: Draft) -> set[str]:
    return {it.name for it in draft.all_workloads() if it.admitted}


def said(draft: Draft, name: str) -> tuple[bool, str, str]:
    it = draft.workload(("team", name))
    assert it is not None
    condition = it.conditions["QuotaReserved"]
    return condition.status, condition.reason, condition.message


# What admission is


def test_what_fits_is_admitted_in_one_change() -> None:
    """A Workload that fits gets its admission, QuotaReserved and Admitted together."""
    draft = passed([queue(nominal=1000)], workload("w", 1000, generation=3))
    it = draft.workloads["team", "w"]
    assert it.admission == Admission("q", (Assignment("main", 1, {"cpu": "a"}, {"cpu": 1000}),))
    assert said(draft, "w") == (True, "QuotaReserved", "Quota reserved in ClusterQueue q")
    assert it.conditions["Admitted"] == Condition(True, "Admitted", "The workload is admitted", 1000.0, 3)
    assert it.checks == ()


def test_as_many_as_fit_in_one_pass() -> None:
    """One pass admits every Workload that there is room for, and no more."""
    draft = passed([queue(nominal=3500)], *(workload(f"w{n}", 1000, created=n) for n in range(5)))
    assert admitted(draft) == {"w0", "w1", "w2"}


def test_with_checks_it_is_reserved_first() -> None:
    """With an admission check the Workload gets its reservation and a pending check, and is not admitted."""
    checked = queue(nominal=1000, checks=(CheckRule("c"),))
    draft = passed([checked], workload("w", 1000), checks={"c": AdmissionCheck("c")})
    it = draft.workloads["team", "w"]
    assert it.reserves
    assert not it.admitted
    assert [(check.name, check.state) for check in it.checks] == [("c", "Pending")]


def test_checks_are_asked_anew() -> None:
    """What a check said of an earlier reservation does not count for the next."""
    checked = queue(nominal=1000, checks=(CheckRule("c"),))
    before = workload("w", 1000, checks=(CheckState("c", "Ready"),), conditions={"Admitted": Condition(False)})
    draft = passed([checked], before, checks={"c": AdmissionCheck("c")})
    it = draft.workloads["team", "w"]
    assert [check.state for check in it.checks] == ["Pending"]
    assert it.conditions["Admitted"].reason == "UnsatisfiedChecks"


@pytest.mark.parametrize(("of", "checks"), [("a", ["c"]), ("b", [])])
def test_a_check_of_other_flavors_does_not_apply(of: str, checks: list[str]) -> None:
    """A check that is limited to flavors applies only to a Workload that gets one of them."""
    limited = queue(nominal=1000, checks=(CheckRule("c", frozenset({of})),))
    draft = passed([limited], workload("w", 1000), checks={"c": AdmissionCheck("c")})
    assert [check.name for check in draft.workloads["team", "w"].checks] == checks
    assert draft.workloads["team", "w"].admitted == (not checks)


def test_an_eviction_is_over_with_the_next_reservation() -> None:
    """A Workload that comes back is no longer evicted nor preempted, and its message says what was."""
    conditions = {"Evicted": Condition(True, "Preempted", "by w2"), "Preempted": Condition(True, "X", "by w2")}
    draft = passed([queue(nominal=1000)], workload("w", 1000, conditions=conditions, unhealthy=("n1",)))
    it = draft.workloads["team", "w"]
    assert it.conditions["Evicted"] == Condition(False, "QuotaReserved", "Previously: by w2", 1000.0)
    assert not it.true("Preempted")
    assert it.unhealthy == ()


# Who is not considered


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"deleted": True},
        {"conditions": {"Finished": Condition(True)}},
        {"conditions": {"Requeued": Condition(False)}},
        {"requeue_at": 1000.5},
    ],
    ids=["inactive", "deleted", "finished", "held back", "backoff"],
)
def test_who_does_not_wait(changes: Mapping[str, Any]) -> None:
    """A Workload that may not be admitted now is left alone and blocks nobody, in a strict queue too."""
    strict = queue(nominal=1000, strict=True)
    draft = passed([strict], workload("w", 1000, **changes), workload("x", 1000, created=1.0))
    assert ("team", "w") not in draft.workloads
    assert admitted(draft) == {"x"}


def test_a_backoff_ends_by_itself() -> None:
    """A Workload that waits for a time has a pass asked for then, and is considered from then on."""
    waits = workload("w", 1000, requeue_at=1030.0)
    draft = passed([queue(nominal=1000)], waits)
    assert draft.wake_at == 1030.0
    assert admitted(passed([queue(nominal=1000)], waits, now=1030.0)) == {"w"}


def test_a_gate_keeps_it_waiting() -> None:
    """A Workload with admission-gated-by says so, takes no quota and blocks nobody; without it, it is admitted."""
    gated = workload("w", 1000, gated_by=("x/one", "x/two"))
    draft = passed([queue(nominal=1000, strict=True)], gated, workload("x", 1000, created=1.0))
    assert said(draft, "w") == (False, "AdmissionGated", "Admission is gated by: x/one,x/two")
    assert admitted(draft) == {"x"}
    opened = replace(draft.workloads["team", "w"], gated_by=())
    assert admitted(passed([queue(nominal=1000)], opened)) == {"w"}
    assert said(passed([queue(nominal=999)], opened), "w")[1] == "Pending"


def test_what_cannot_be_used_says_so() -> None:
    """A Workload that cannot be read is inadmissible with its sentence; the pass goes on for the others."""
    draft = passed([queue(nominal=1000)], workload("w", 1, problem="no quantity: '1x'"), workload("x", 1000))
    assert said(draft, "w") == (False, "Inadmissible", "no quantity: '1x'")
    assert admitted(draft) == {"x"}


def test_without_a_queue_it_is_inadmissible() -> None:
    """A Workload whose LocalQueue does not exist says so, and is admitted once it does."""
    draft = passed([], workload("w", 1000))
    assert said(draft, "w") == (False, "Inadmissible", "LocalQueue q doesn't exist")
    rebuilt = snapshot([queue(nominal=1000)], [])
    after = again(draft, cluster_queues=rebuilt.cluster_queues, local_queues=rebuilt.local_queues)
    assert admitted(after) == {"w"}


def test_a_namespace_that_is_not_selected_blocks_nobody() -> None:
    """In a strict queue a head whose namespace the queue does not accept does not keep the others waiting."""
    picky = queue(nominal=1000, strict=True, namespaces=Selector())
    elsewhere = replace(workload("w", 1000), namespace="other")
    draft = passed([replace(picky, namespaces=None)], elsewhere)
    assert admitted(draft) == set()
    local = LocalQueue("other", "q", cluster_queue="q")
    only_team = replace(picky, namespaces=Selector((Match("team", "Exists"),)))
    world = snapshot([only_team], [elsewhere, workload("x", 1000, created=1.0)], namespaces={"team": {"team": "1"}})
    draft = Draft(replace(world, local_queues=dict(world.local_queues) | {local.key: local}), now=1000.0)
    admission.admit(draft)
    assert admitted(draft) == {"x"}
    assert "namespace" in draft.workloads["other", "w"].conditions["QuotaReserved"].message


# Order


def test_strict_first_in_first_out() -> None:
    """With StrictFIFO a head that does not fit keeps everything behind it waiting; with BestEffortFIFO it does not."""
    big, small = workload("big", 2000), workload("small", 1000, created=1.0)
    assert admitted(passed([queue(nominal=1000, strict=True)], big, small)) == set()
    assert admitted(passed([queue(nominal=1000)], big, small)) == {"small"}


def test_a_strict_queue_blocks_no_other_queue() -> None:
    """A head that waits in a strict queue does not keep the other queues of the cohort within their quota waiting."""
    queues = [queue("q", 1000, "team", strict=True), queue("r", 1000, "team")]
    draft = passed(queues, workload("big", 3000), workload("small", 1000, "r", created=1.0))
    assert admitted(draft) == {"small"}


def test_priority_before_age() -> None:
    """The Workload of higher priority is admitted, although another one waits longer."""
    draft = passed([queue(nominal=1000)], workload("old", 1000), workload("high", 1000, created=9.0, priority=1))
    assert admitted(draft) == {"high"}


def test_nominal_before_borrowing() -> None:
    """Of two heads with room for one, the one within its queue's nominal quota wins over an older, higher borrower."""
    queues = [queue("lends", 1000, "team"), queue("borrows", 0, "team")]
    borrower = workload("borrower", 1000, "borrows", priority=9)
    modest = workload("modest", 1000, "lends", created=9.0)
    assert admitted(passed(queues, borrower, modest)) == {"modest"}
    assert admitted(passed(queues, borrower)) == {"borrower"}


def test_a_queue_that_waits_behind_its_head_counts_too() -> None:
    """A borrower is admitted only after whatever is within its nominal quota, not only the first of each queue."""
    queues = [queue("lends", 2000, "team"), queue("borrows", 0, "team")]
    modest = [workload(f"modest{n}", 1000, "lends", created=9.0 + n) for n in range(2)]
    assert admitted(passed(queues, workload("borrower", 1000, "borrows"), *modest)) == {"modest0", "modest1"}


def test_among_borrowers_priority_then_age() -> None:
    """Of two borrowers the one of higher priority wins, of equal ones the older."""
    queues = [queue("lends", 1000, "team"), queue("x", 0, "team"), queue("y", 0, "team")]
    old, new = workload("old", 1000, "x"), workload("new", 1000, "y", created=1.0)
    assert admitted(passed(queues, old, new)) == {"old"}
    assert admitted(passed(queues, old, replace(new, priority=1))) == {"new"}


def test_two_that_fit_only_alone_are_not_both_admitted() -> None:
    """Two heads that each fit, but not together, are decided one after the other (upstream issue 14437)."""
    node = Node("h", {"rack": "r", "kubernetes.io/hostname": "h"}, {"cpu": 4000, "pods": 110_000})
    request = TopologyRequest("required", "rack")
    queues = [queue("q", 9000, "team"), queue("r", 9000, "team")]

    def group(name: str, cpu: int, where: str) -> Workload:
        pods = PodSet("main", 2, Template(containers=(Container({"cpu": cpu}),)), request)
        return replace(workload(name, 0, where), podsets=(pods,))

    draft = passed(
        queues,
        group("w", 1000, "q"),
        group("x", 2000, "r"),
        flavors={"a": Flavor("a", topology="t")},
        topologies={"t": Topology("t", ("rack", "kubernetes.io/hostname"))},
        nodes={"h": node},
    )
    assert len(admitted(draft)) == 1


def test_a_strict_head_is_not_starved_by_borrowers() -> None:
    """A strict head that waits for its own quota, which is lent, is not overtaken by others who borrow more of it."""
    for strict, expected in ((True, set()), (False, {"borrower"})):
        queues = [queue("own", 2000, "team", strict=strict), queue("borrows", 0, "team")]
        lent = holder("lent", 1000, "borrows")
        head, borrower = workload("head", 2000, "own"), workload("borrower", 1000, "borrows", created=1.0)
        assert admitted(passed(queues, lent, head, borrower)) - {"lent"} == expected


# What is said


def test_who_waits_says_why_once() -> None:
    """The condition of a Workload that waits is written once: the next pass changes nothing."""
    draft = passed([queue(nominal=1000)], workload("w", 1500), workload("x", 800, created=1.0))
    assert said(draft, "w")[:2] == (False, "Pending")
    assert "cpu" in said(draft, "w")[2]
    assert again(draft).workloads == {}


def test_a_full_queue_is_tried_once_per_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of equal Workloads that do not fit one is tried and told; one of another size is tried itself."""
    tried: list[str] = []
    assign = flavors.assign

    def counted(*args: Any, **options: Any) -> flavors.Attempt:
        tried.append(args[3].name)
        return assign(*args, **options)

    monkeypatch.setattr(flavors, "assign", counted)
    many = [workload(f"w{n}", 1500, created=float(n)) for n in range(300)]
    draft = passed([queue(nominal=1000)], *many, workload("other", 1600, created=999.0))
    assert tried == ["w0", "other"]
    assert {name for _, name in draft.workloads} == {"w0", "other"}


def test_block_admission() -> None:
    """With `blockAdmission` one Workload is admitted at a time, until its pods are ready."""
    rules = Rules(pods_ready=PodsReadyRules(block_admission=True))
    draft = passed([queue(nominal=9000)], workload("w", 1), workload("x", 2, created=1.0), rules=rules)
    assert admitted(draft) == {"w"}
    assert said(draft, "x") == (False, "Waiting", admission.NOT_READY)
    assert admitted(again(draft)) == {"w"}
    ready = replace(
        draft.workloads["team", "w"],
        conditions={**draft.workloads["team", "w"].conditions, "PodsReady": Condition(True)},
    )
    draft.put(ready)
    assert admitted(again(draft)) == {"w", "x"}


# Preemption

PREEMPTS = Preemption(within_queue="LowerPriority")


def started(of: Workload) -> dict[tuple[str, str, int], dict[tuple[str, str], Pod]]:
    return {(of.namespace, of.set_name, 0): {(of.namespace, "pod"): Pod(of.namespace, "pod", set_name="s", group=0)}}


def test_a_preemptor_waits_until_its_victims_are_gone() -> None:
    """Who preempts is admitted only when the reservation of its victim is given up; the victim is told once."""
    victim = holder("low", 1000, set_name="s", group=0)
    preemptor = workload("high", 1000, priority=1, created=5.0)
    first = passed([queue(nominal=1000, preemption=PREEMPTS)], victim, preemptor, pods=started(victim))
    gone = first.workloads["team", "low"]
    assert gone.true("Evicted")
    assert gone.reserves
    assert said(first, "high") == (False, ordering.PREEMPTING, admission.WAITS_FOR_VICTIMS)
    second = again(first)
    assert second.workloads == {}
    conditions = {**gone.conditions, "QuotaReserved": Condition(False, "Pending")}
    first.put(replace(gone, admission=None, conditions=conditions))
    assert admitted(again(first)) == {"high"}


def test_nobody_takes_what_a_preemptor_waits_for() -> None:
    """While the victims of a preemptor leave, nobody of its queue is admitted, and no borrower gets its room."""
    queues = [
        queue("q", 2000, "team", preemption=PREEMPTS),
        queue("r", 0, "team"),
    ]
    victim = holder(
        "low", 1500, set_name="s", group=0, conditions={**RESERVED, "Evicted": Condition(True, "Preempted")}
    )
    preemptor = workload("high", 1000, priority=1)
    behind, borrower = workload("behind", 400, created=1.0), workload("borrower", 100, "r", priority=9)
    draft = passed(queues, victim, preemptor, behind, borrower, pods=started(victim))
    assert {it.name for it in draft.all_workloads() if it.reserves} == {"low", "borrower"}
    preemptor, lent = workload("high", 1500, priority=1), holder("lent", 500, "r")
    victim = replace(victim, admission=holder("", 1000).admission)
    hungry = workload("hungry", 400, "r")
    draft = passed(queues, victim, preemptor, hungry, lent, pods=started(victim))
    assert {it.name for it in draft.all_workloads() if it.reserves} == {"low", "lent"}
    assert "hungry" in admitted(passed(queues, victim, hungry, lent, pods=started(victim)))


def test_what_a_pass_frees_is_given_away_in_the_next() -> None:
    """Quota that a pass takes back is given to the next in line only once that is stored, and to nobody else before."""
    done = holder("done", 1000)
    head, small = workload("head", 1500, created=1.0), workload("small", 500, created=2.0)
    draft = Draft(snapshot([queue(nominal=1500)], [done, head, small]), now=1000.0)
    draft.put(replace(done, admission=None, active=False, conditions={"QuotaReserved": Condition(False, "Pending")}))
    admission.admit(draft)
    assert admitted(draft) == set()
    assert set(draft.workloads) == {("team", "done")}
    assert admitted(again(draft)) == {"head"}


# Whatever the queues and Workloads


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[ClusterQueue], list[Cohort], list[Workload]]:
    """Up to four queues in up to three cohorts, with up to ten Workloads, some of them admitted before."""
    cohorts: list[Cohort] = []
    for number in range(draw(st.integers(0, 3))):
        parent = draw(st.sampled_from(["", *(c.name for c in cohorts)])) if cohorts else ""
        limits = (draw(st.none() | st.integers(0, 4)), draw(st.none() | st.integers(0, 4))) if parent else (None, None)
        cohorts.append(Cohort(f"c{number}", parent, {CPU: Quota(draw(st.integers(0, 3)), *limits)}))
    queues: list[ClusterQueue] = []
    for number in range(draw(st.integers(1, 4))):
        cohort = draw(st.sampled_from(["", *(c.name for c in cohorts)])) if cohorts else ""
        bound = draw(st.none() | st.integers(0, 4)) if cohort else None
        policy = Preemption(
            draw(st.sampled_from(["Never", "LowerPriority", "LowerOrNewerEqualPriority"])),
            draw(st.sampled_from(["Never", "LowerPriority", "Any"])) if cohort else "Never",
        )
        nominal, strict = draw(st.integers(0, 5)), draw(st.booleans())
        queues.append(queue(f"q{number}", nominal, cohort, strict=strict, preemption=policy, borrowing_limit=bound))
    workloads = [
        workload(
            f"w{n}",
            draw(st.integers(0, 5)),
            draw(st.sampled_from([each.name for each in queues])),
            float(n),
            priority=draw(st.integers(0, 2)),
            set_name="s",
            group=n,
        )
        for n in range(draw(st.integers(0, 10)))
    ]
    return queues, cohorts, workloads


def settle(draft: Draft) -> Draft:
    """Passes, with evictions ended between them, until nothing changes: that must come to an end."""
    for _ in range(40):
        if not draft.workloads:
            return draft
        after: dict[tuple[str, str], Workload] = {}
        for it in draft.all_workloads():
            if it.reserves and it.evicted:
                conditions = {**it.conditions, "QuotaReserved": Condition(False, "Pending")}
                it = replace(it, admission=None, conditions=conditions)
            after[it.key] = it
        draft = Draft(replace(draft.snapshot, workloads=after), draft.now + 1, draft.rules)
        admission.admit(draft)
        assert_within_quota(draft)
    raise AssertionError("groups preempt each other for ever")


def assert_within_quota(draft: Draft) -> None:
    book = Ledger.of(draft)
    for name in draft.snapshot.cluster_queues:
        assert book.available(name, CPU) >= 0
        assert book.used(name, CPU) <= book.potential(name, CPU)


def test_who_borrows_of_a_smaller_part_of_the_tree_comes_first() -> None:
    """Of two borrowers the one whose own cohort has the quota is tried first, though the other is older."""
    queues = [
        queue("far", 0, "root"),
        queue("near", 2, "team", preemption=Preemption(reclaim="Any")),
    ]
    cohorts = {"root": Cohort("root"), "team": Cohort("team", "root", {CPU: Quota(2)})}
    older = holder("older", 1, "far", created=1.0)
    draft = passed(queues, older, workload("younger", 4, "near", created=2.0), cohorts=cohorts)
    assert draft.workloads["team", "older"].evicted
    assert admitted(settle(draft)) == {"younger"}


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_quota_is_never_exceeded(world: tuple[list[ClusterQueue], list[Cohort], list[Workload]]) -> None:
    """Whatever waits, no pass admits above what the queues and their cohorts have; preemption comes to an end."""
    queues, cohorts, workloads = world
    # Those that are there first are admitted first, so that the others have somebody to preempt.
    first = [replace(it, active=number % 2 == 0) for number, it in enumerate(workloads)]
    draft = passed(queues, *first, cohorts={each.name: each for each in cohorts})
    assert_within_quota(draft)
    for it in list(draft.all_workloads()):
        draft.put(replace(it, active=True))
    settle(draft)


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_nothing_waits_that_fits(world: tuple[list[ClusterQueue], list[Cohort], list[Workload]]) -> None:
    """In best-effort queues without preemption, no Workload that fits is left waiting after a pass."""
    queues, cohorts, workloads = world
    best_effort = [replace(each, strict=False, preemption=Preemption()) for each in queues]
    draft = passed(best_effort, *workloads, cohorts={each.name: each for each in cohorts})
    book = Ledger.of(draft)
    for it in draft.all_workloads():
        if not it.reserves:
            asked = it.podsets[0].template.containers[0].requests["cpu"]
            assert not book.fits(it.queue, {CPU: asked}), it.name


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_a_pass_after_the_last_changes_nothing(world: tuple[list[ClusterQueue], list[Cohort], list[Workload]]) -> None:
    """Without preemption the second pass over the same state has nothing to write."""
    queues, cohorts, workloads = world
    calm = [replace(each, preemption=Preemption()) for each in queues]
    first = passed(calm, *workloads, cohorts={each.name: each for each in cohorts})
    assert again(first).workloads == {}


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_strict_queues_admit_a_beginning_of_their_line(
    world: tuple[list[ClusterQueue], list[Cohort], list[Workload]],
) -> None:
    """What a strict queue admits in a pass is a beginning of its line in the documented order."""
    queues, cohorts, workloads = world
    strict = [replace(each, strict=True, preemption=Preemption()) for each in queues]
    draft = passed(strict, *workloads, cohorts={each.name: each for each in cohorts})
    for each in strict:
        line = sorted((w for w in workloads if w.queue == each.name), key=lambda w: (-w.priority, w.created))
        flags = [w.name in admitted(draft) for w in line]
        assert flags == sorted(flags, reverse=True)
