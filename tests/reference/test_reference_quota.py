"""What a ClusterQueue may use: nominal quota, borrowing, lending, trees of cohorts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.reference import quota
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Assignment,
    ClusterQueue,
    Cohort,
    Condition,
    Quota,
    Snapshot,
    Workload,
)
from conformance.reference.quota import Ledger

CPU = ("on-demand", "cpu")


def queue(name: str, nominal: int, cohort: str = "", **limits: int) -> ClusterQueue:
    return ClusterQueue(name, cohort=cohort, quotas={CPU: Quota(nominal, **limits)})


def cohort(name: str, parent: str = "", nominal: int | None = None, **limits: int) -> Cohort:
    return Cohort(name, parent, {} if nominal is None else {CPU: Quota(nominal, **limits)})


def ledger(*parts: ClusterQueue | Cohort, workloads: tuple[Workload, ...] = ()) -> Ledger:
    return Ledger.of(draft(*parts, workloads=workloads))


def draft(*parts: ClusterQueue | Cohort, workloads: tuple[Workload, ...] = ()) -> Draft:
    snapshot = Snapshot(
        cluster_queues={part.name: part for part in parts if isinstance(part, ClusterQueue)},
        cohorts={part.name: part for part in parts if isinstance(part, Cohort)},
        workloads={workload.key: workload for workload in workloads},
    )
    return Draft(snapshot, now=1000.0)


def holder(name: str, queue: str, amount: int, *, reserved: bool = True, **changes: object) -> Workload:
    admission = Admission(queue, (Assignment("main", 1, {"cpu": "on-demand"}, {"cpu": amount}),))
    conditions = {"QuotaReserved": Condition(reserved)}
    return replace(Workload("team", name, admission=admission, conditions=conditions), **changes)  # type: ignore[arg-type]


def test_alone_a_queue_has_its_nominal_quota() -> None:
    """A ClusterQueue without a cohort may use its nominal quota and nothing else, whatever limits it names."""
    book = ledger(queue("a", 4000))
    assert book.available("a", CPU) == book.potential("a", CPU) == book.nominal("a", CPU) == 4000
    assert book.fits("a", {CPU: 4000})
    assert not book.fits("a", {CPU: 4001})
    assert book.cohort_of("a") == ""
    assert book.members("a") == ["a"]


def test_what_nobody_gave_quota_for_is_not_there() -> None:
    """There is nothing of a flavor or resource that no quota names, nor in a queue that does not exist."""
    book = ledger(queue("a", 4000))
    assert not book.fits("a", {("on-demand", "memory"): 1})
    assert not book.fits("b", {CPU: 1})
    assert book.fits("b", {CPU: 0})


def test_unused_quota_of_the_cohort_is_borrowed() -> None:
    """A queue may use what the others of its cohort leave unused; then it borrows."""
    book = ledger(queue("a", 4000, "team"), queue("b", 4000, "team"))
    book.take("b", {CPU: 1000})
    assert book.available("a", CPU) == 7000
    assert not book.borrows("a", {CPU: 4000})
    assert book.borrows("a", {CPU: 4001})
    book.take("a", {CPU: 5000})
    assert book.borrowing("a", CPU)
    assert not book.borrowing("b", CPU)
    assert book.available("b", CPU) == 2000


def test_borrowing_limit() -> None:
    """A borrowing limit is the most that a queue uses above its nominal quota; zero forbids borrowing."""
    book = ledger(queue("a", 4000, "team", borrowing_limit=500), queue("b", 4000, "team", borrowing_limit=0))
    assert book.available("a", CPU) == book.potential("a", CPU) == 4500
    assert book.available("b", CPU) == 4000


def test_lending_limit() -> None:
    """A lending limit keeps the rest of a queue's quota for itself, even while others would use it."""
    book = ledger(queue("a", 4000, "team", lending_limit=1000), queue("b", 4000, "team"))
    assert book.available("b", CPU) == 5000
    book.take("b", {CPU: 5000})
    assert book.available("a", CPU) == 3000


def test_what_a_queue_keeps_is_used_first() -> None:
    """What a queue uses of the part it does not lend is not missing in the cohort."""
    book = ledger(queue("a", 4000, "team", lending_limit=1000), queue("b", 4000, "team"))
    book.take("a", {CPU: 3000})
    assert book.available("b", CPU) == 5000
    book.take("a", {CPU: 500})
    assert book.available("b", CPU) == 4500


def test_a_cohort_has_quota_of_its_own() -> None:
    """A Cohort's quota is there for all its queues; a queue that has none of its own borrows it."""
    book = ledger(cohort("team", nominal=2000), queue("a", 0, "team"), queue("b", 1000, "team"))
    assert book.available("a", CPU) == 3000
    assert book.borrows("a", {CPU: 1})


def test_limits_of_a_cohort_hold_for_its_whole_subtree() -> None:
    """A Cohort's borrowing limit bounds what its queues use together, its lending limit what they give away."""
    book = ledger(
        cohort("root"),
        cohort("left", "root", 0, borrowing_limit=1000),
        cohort("right", "root", 0, lending_limit=2000),
        queue("a", 4000, "left"),
        queue("b", 4000, "right"),
    )
    assert book.available("a", CPU) == 5000
    book.take("a", {CPU: 4500})
    assert book.available("a", CPU) == 500
    assert book.available("b", CPU) == 3500
    assert book.cohort_of("a") == "root"
    assert book.members("a") == ["a", "b"]


def test_a_cohort_needs_no_object() -> None:
    """Queues that name the same cohort share quota, also if no Cohort object has that name."""
    book = ledger(queue("a", 1000, "team"), queue("b", 1000, "team"), queue("c", 1000, "other"))
    assert book.available("a", CPU) == 2000
    assert book.members("b") == ["a", "b"]
    assert book.cohort_of("c") == "other"


def test_cohorts_in_a_cycle_give_nothing_and_say_so() -> None:
    """Queues below cohorts that are their own ancestors have nothing, with a sentence; all others are not touched."""
    book = ledger(
        cohort("x", "y"), cohort("y", "x"), cohort("below", "x"), queue("a", 4000, "below"), queue("b", 4000, "team")
    )
    assert "x" in book.problem("a")
    assert not book.fits("a", {CPU: 1})
    assert book.potential("a", CPU) == 0
    assert book.problem("b") == ""
    assert book.available("b", CPU) == 4000


def test_a_reservation_counts_until_it_is_given_up() -> None:
    """A Workload counts while it holds its reservation: evicted, deleted and not yet admitted ones too."""
    evicted = {"QuotaReserved": Condition(True), "Evicted": Condition(True)}
    finished = {"QuotaReserved": Condition(True), "Finished": Condition(True)}
    book = ledger(
        queue("a", 16000),
        workloads=(
            holder("runs", "a", 1000),
            holder("goes", "a", 2000, conditions=evicted),
            holder("deleted", "a", 4000, deleted=True),
            holder("finished", "a", 100, conditions=finished),
            holder("waits", "a", 200, reserved=False),
        ),
    )
    assert book.used("a", CPU) == 7000


def test_a_workload_in_a_queue_that_is_gone_stops_nobody() -> None:
    """A reservation in a ClusterQueue that does not exist any more is counted nowhere."""
    book = ledger(queue("a", 1000), workloads=(holder("w", "gone", 5000),))
    assert book.available("a", CPU) == 1000


def test_more_in_use_than_there_is() -> None:
    """Where quota was taken away what is left is negative, and nothing fits."""
    book = ledger(queue("a", 1000), workloads=(holder("w", "a", 3000),))
    assert book.available("a", CPU) == -2000
    assert not book.fits("a", {CPU: 1})
    assert book.fits("a", {CPU: 0})


def test_a_copy_is_independent() -> None:
    """What is taken from a copy is still there in the original, at every level of the tree."""
    book = ledger(cohort("root"), cohort("left", "root"), queue("a", 4000, "left"), queue("b", 4000, "root"))
    copied = book.copy()
    copied.take("a", {CPU: 6000})
    assert book.available("b", CPU) == 8000
    assert copied.available("b", CPU) == 2000
    assert copied.members("a") == ["a", "b"]


# Against a naive reading of the formula


@dataclass
class Tree:
    """A node with what is used at the queues below it: everything else is worked out anew for each question."""

    name: str
    nominal: int
    lending: int | None = None
    borrowing: int | None = None
    children: list[Tree] = field(default_factory=list)
    used_here: int = 0

    def quota(self) -> int:
        return self.nominal + sum(child.quota() - child.own() for child in self.children)

    def own(self) -> int:
        return 0 if self.lending is None else max(0, self.quota() - self.lending)

    def used(self) -> int:
        return self.used_here + sum(max(0, child.used() - child.own()) for child in self.children)

    def available(self, ancestors: list[Tree], empty: bool = False) -> int:
        used = 0 if empty else self.used()
        if not ancestors:
            return self.quota() - used
        shared = ancestors[-1].available(ancestors[:-1], empty)
        if self.borrowing is not None:
            stored = self.quota() - self.own()
            shared = min(shared, stored - max(0, used - self.own()) + self.borrowing)
        return max(0, self.own() - used) + shared


limit = st.none() | st.integers(0, 8)


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[ClusterQueue | Cohort], dict[str, tuple[Tree, list[Tree]]]]:
    """Up to five cohorts in trees with up to six queues: as objects, and as naive trees with their ancestors."""
    nodes: dict[str, Tree] = {}
    ancestors: dict[str, list[Tree]] = {}
    parts: list[ClusterQueue | Cohort] = []
    for number in range(draw(st.integers(0, 5))):
        parent = draw(st.sampled_from(["", *nodes])) if nodes else ""
        name = f"cohort-{number}"
        tree = Tree(name, draw(st.integers(0, 6)), draw(limit) if parent else None, draw(limit) if parent else None)
        parts.append(Cohort(name, parent, {CPU: Quota(tree.nominal, tree.borrowing, tree.lending)}))
        ancestors[name] = [*ancestors[parent], nodes[parent]] if parent else []
        if parent:
            nodes[parent].children.append(tree)
        nodes[name] = tree
    queues: dict[str, tuple[Tree, list[Tree]]] = {}
    for number in range(draw(st.integers(1, 6))):
        parent = draw(st.sampled_from(["", *nodes])) if nodes else ""
        name = f"queue-{number}"
        tree = Tree(name, draw(st.integers(0, 6)), draw(limit) if parent else None, draw(limit) if parent else None)
        parts.append(ClusterQueue(name, cohort=parent, quotas={CPU: Quota(tree.nominal, tree.borrowing, tree.lending)}))
        queues[name] = tree, [*ancestors[parent], nodes[parent]] if parent else []
        if parent:
            nodes[parent].children.append(tree)
    return parts, queues


@settings(deadline=None, max_examples=120)
@given(forests(), st.data())
def test_available_is_what_the_formula_says(
    forest: tuple[list[ClusterQueue | Cohort], dict[str, tuple[Tree, list[Tree]]]], data: st.DataObject
) -> None:
    """After any takes and releases every queue has what the recursive formula gives for the trees and their use."""
    parts, queues = forest
    book = ledger(*parts)
    for name, amount in data.draw(st.lists(st.tuples(st.sampled_from(sorted(queues)), st.integers(0, 9)), max_size=8)):
        book.take(name, {CPU: amount})
        queues[name][0].used_here += amount
        if data.draw(st.booleans()):
            part = data.draw(st.integers(0, queues[name][0].used_here))
            book.release(name, {CPU: part})
            queues[name][0].used_here -= part
    for name, (tree, ancestors) in queues.items():
        assert book.available(name, CPU) == tree.available(ancestors)
        assert book.potential(name, CPU) == tree.available(ancestors, empty=True)
        assert book.used(name, CPU) == tree.used_here
        assert book.copy().available(name, CPU) == tree.available(ancestors)


@settings(deadline=None, max_examples=60)
@given(forests(), st.data())
def test_what_fits_never_takes_from_what_others_keep(
    forest: tuple[list[ClusterQueue | Cohort], dict[str, tuple[Tree, list[Tree]]]], data: st.DataObject
) -> None:
    """As long as only what fits is taken, no root is ever used beyond its quota and nobody beyond its potential."""
    parts, queues = forest
    book = ledger(*parts)
    for name, amount in data.draw(st.lists(st.tuples(st.sampled_from(sorted(queues)), st.integers(1, 6)), max_size=9)):
        if book.fits(name, {CPU: amount}):
            book.take(name, {CPU: amount})
            queues[name][0].used_here += amount
    for name, (tree, ancestors) in queues.items():
        root = ancestors[0] if ancestors else tree
        assert root.used() <= root.quota()
        assert book.used(name, CPU) <= book.potential(name, CPU)


def test_cohort_problem_names_what_cannot_be_used() -> None:
    """A Cohort that cannot be read stops the queues below it, with its own words."""
    snapshot = Snapshot(cohorts={"team": replace(cohort("team"), problem="cpu: '1x' is not a quantity")})
    assert "'1x'" in quota.cohort_problem(snapshot, "team")
    assert quota.cohort_problem(snapshot, "other") == ""


def test_the_borrowing_level_is_the_height_of_the_lowest_node_that_has_the_quota() -> None:
    """0 within the nominal quota, 1 within the quota of the queue's cohort, and so on; above all where none has it."""
    book = ledger(
        queue("a", 1, "team"), queue("b", 2, "team"), queue("c", 4, "root"), cohort("team", "root"), cohort("root")
    )
    levels = [book.borrowing_level("a", {CPU: amount}) for amount in (0, 1, 2, 3, 4, 7, 8)]
    assert levels == [0, 0, 1, 1, 2, 2, 3]
    assert book.copy().borrowing_level("a", {CPU: 2}) == 1
