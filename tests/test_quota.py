"""Quota arithmetic: quantities are exact, requests follow Kubernetes' rule, queues may take what their trees have."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.quantities import parse_quantity
from conformance.trace.quota import (
    CohortTrees,
    plain,
    pod_requests,
    reserves_quota,
    usage_by_queue,
    usage_of,
)
from conformance.trace.records import Object
from objects import cluster_queue, cohort, condition, having, made

CPU = ("flavor", "cpu")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", Fraction(1)),
        (3, Fraction(3)),
        (0.5, Fraction(1, 2)),
        ("100m", Fraction(1, 10)),
        ("1500u", Fraction(15, 10_000)),
        ("2n", Fraction(2, 10**9)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("2.", Fraction(2)),
        ("+1", Fraction(1)),
        ("-3m", Fraction(-3, 1000)),
        ("1k", Fraction(1000)),
        ("1Ki", Fraction(1024)),
        ("0.5Gi", Fraction(2**29)),
        ("1Ei", Fraction(2**60)),
        ("1E", Fraction(10**18)),
        ("1e3", Fraction(1000)),
        ("1E3", Fraction(1000)),
        ("12e-1", Fraction(6, 5)),
    ],
)
def test_a_quantity_has_its_exact_value(written: Any, value: Fraction) -> None:
    """Each way to write a Kubernetes quantity gives its exact value."""
    assert parse_quantity(written) == value


@pytest.mark.parametrize(
    "written", ["", "m", "1 m", "1mi", "1K", "0x1", "1e", "1Gi5", "one", "1,5", True, "1.2.3", "٣"]
)
def test_what_is_no_quantity_is_refused(written: Any) -> None:
    """Anything else is refused by a sentence that shows what was written."""
    with pytest.raises(ValueError, match="is not a Kubernetes quantity") as refused:
        parse_quantity(written)
    assert repr(str(written)) in str(refused.value)


@given(st.integers(-(10**9), 10**9))
def test_what_is_shown_of_thousandths_can_be_read_back(thousandths: int) -> None:
    """An amount in thousandths is shown as a quantity of the same value."""
    amount = Fraction(thousandths, 1000)
    assert parse_quantity(plain(amount)) == amount


def container(cpu: str | None = None, *, limit: str | None = None, **more: Any) -> Object:
    resources = {"requests": {"cpu": cpu} if cpu else {}, "limits": {"cpu": limit} if limit else {}}
    return {"resources": resources, **more}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container("1"), container("500m")]}, "1500m"),
        ({"containers": [container(limit="2")]}, "2"),
        ({"containers": [container("1", limit="2")]}, "1"),
        ({"containers": [container("1")], "initContainers": [container("3")]}, "3"),
        ({"containers": [container("1")], "initContainers": [container("500m")]}, "1"),
        ({"containers": [container("1")], "initContainers": [container("1", restartPolicy="Always")]}, "2"),
        (
            {
                "containers": [container("1")],
                "initContainers": [container("2", restartPolicy="Always"), container("2")],
            },
            "4",
        ),
        ({"containers": [container("1")], "overhead": {"cpu": "250m"}}, "1250m"),
        ({"containers": [container("1")], "resources": {"requests": {"cpu": "5"}}}, "5"),
    ],
    ids=[
        "sum",
        "limit-only",
        "request",
        "large-init",
        "small-init",
        "sidecar",
        "init-beside-sidecar",
        "overhead",
        "pod",
    ],
)
def test_requests_of_a_pod_follow_the_schedulers_rule(spec: Object, cpu: str) -> None:
    """Containers and sidecars are added, the largest init step counts, limits stand in, overhead comes on top."""
    assert pod_requests(spec)["cpu"] == parse_quantity(cpu)


def workload(
    name: str, *parts: Object, queue: str = "queue", conditions: tuple[str, ...] = ("QuotaReserved",)
) -> Object:
    admission = {"clusterQueue": queue, "podSetAssignments": list(parts)}
    status = {"conditions": [condition(type_) for type_ in conditions], "admission": admission}
    return made("Workload", name) | {"status": status}


LEADER = {"name": "leader", "flavors": {"cpu": "flavor"}, "resourceUsage": {"cpu": "100m", "memory": "1Gi"}}
WORKER = {"name": "worker", "flavors": {"cpu": "flavor"}, "resourceUsage": {"cpu": "400m"}}


def test_usage_is_the_sum_over_podsets_of_what_has_a_flavor() -> None:
    """A Workload uses the sum of its podsets per flavor; a resource without a flavor is not charged."""
    assert usage_of(workload("w", LEADER, WORKER)) == {CPU: Fraction(1, 2)}


def test_only_reservations_count_against_a_queue() -> None:
    """A Workload counts from QuotaReserved on, admitted or not, and until it has finished or lost its admission."""
    holding = workload("a", WORKER)
    pending = workload("b", WORKER, conditions=())
    finished = workload("c", WORKER, conditions=("QuotaReserved", "Finished"))
    released = having(workload("d", WORKER), status__admission=None)
    elsewhere = workload("e", LEADER, queue="other")
    assert [reserves_quota(w) for w in (holding, pending, finished, released)] == [True, False, False, False]
    used = usage_by_queue([holding, pending, finished, released, elsewhere])
    assert used == {"queue": {CPU: Fraction(2, 5)}, "other": {CPU: Fraction(1, 10)}}


def available(trees: CohortTrees, queue: str, **used: int) -> int:
    return int(trees.available(queue, CPU, {name: {CPU: Fraction(amount)} for name, amount in used.items()}))


def test_a_queue_alone_has_its_nominal_quota() -> None:
    """Without a cohort nominal quota less usage is left, less than nothing after a cut; a borrowing limit is idle."""
    trees = CohortTrees([cluster_queue("a", cpu=("4", "10", None))])
    assert [available(trees, "a", a=amount) for amount in (0, 3, 6)] == [4, 1, -2]


def test_a_queue_borrows_what_the_cohort_does_not_use() -> None:
    """In a cohort the unused quota of the others can be borrowed, whether or not a Cohort object exists."""
    queues = [cluster_queue("a", cohort="c", cpu="4"), cluster_queue("b", cohort="c", cpu="6")]
    for trees in (CohortTrees(queues), CohortTrees(queues, [cohort("c")])):
        assert available(trees, "a", b=1) == 9
        assert available(trees, "a", a=9, b=1) == 0


def test_a_borrowing_limit_caps_what_is_borrowed() -> None:
    """No more than nominal quota plus borrowing limit can be used."""
    queues = [cluster_queue("a", cohort="c", cpu=("4", "2", None)), cluster_queue("b", cohort="c", cpu="6")]
    assert available(CohortTrees(queues), "a") == 6
    assert available(CohortTrees(queues), "a", b=6) == 4


def test_a_lending_limit_keeps_the_rest_from_the_others() -> None:
    """Others can use only what a queue lends; the queue itself can still use all that is its own."""
    queues = [cluster_queue("a", cohort="c", cpu="4"), cluster_queue("b", cohort="c", cpu=("6", None, "1"))]
    trees = CohortTrees(queues)
    assert available(trees, "a") == 5
    assert available(trees, "b", a=5) == 5
    assert available(trees, "b", a=4) == 6


def test_cohorts_bring_quota_of_their_own_up_the_tree() -> None:
    """A Cohort's own quota and that of its parent are available to the queues below."""
    queues = [cluster_queue("a", cohort="c", cpu="1")]
    cohorts = [cohort("c", parent="top", cpu="2"), cohort("top", cpu="4")]
    assert available(CohortTrees(queues, cohorts), "a") == 7
    limited = [cohort("c", parent="top", cpu=("2", "1", None)), cohort("top", cpu="4")]
    assert available(CohortTrees(queues, limited), "a") == 4


def test_a_queue_may_take_nothing_of_what_it_does_not_list() -> None:
    """A flavor and resource that the queue does not list cannot even be borrowed."""
    queues = [cluster_queue("a", cohort="c", memory="1Gi"), cluster_queue("b", cohort="c", cpu="6")]
    assert available(CohortTrees(queues), "a") == 0
    assert available(CohortTrees(queues), "a", a=1) == -1


def test_nothing_can_be_taken_below_a_cohort_cycle() -> None:
    """Cohorts that are each other's ancestors give nothing."""
    trees = CohortTrees([cluster_queue("a", cohort="c", cpu="4")], [cohort("c", parent="d"), cohort("d", parent="c")])
    assert available(trees, "a") == 0


def test_the_older_names_of_parents_are_read_too() -> None:
    """`cohort` of v1beta1 and `cohortName` of v1beta2 mean the same."""
    old = having(cluster_queue("a", cpu="1"), spec__cohort="c")
    assert available(CohortTrees([old, cluster_queue("b", cohort="c", cpu="2")]), "a") == 3


# A second model of the same rules, by counting one by one: a request goes up the tree, each member takes what is left
# of its local part, and every member that it reaches may refuse it.

QUEUES, COHORTS = ("a", "b", "c"), ("left", "right", "top")
PARENTS = {"a": "left", "b": "left", "c": "right", "left": "top", "right": "top"}
limits = st.none() | st.integers(0, 5)
member_quota = st.tuples(st.integers(0, 6), limits, limits)


class Counting:
    """The tree of QUEUES and COHORTS with a quota for each, holding usage that was taken one by one."""

    def __init__(self, quotas: dict[str, tuple[int, int | None, int | None]]) -> None:
        self.quotas = quotas
        self.used = dict.fromkeys((*QUEUES, *COHORTS), 0)

    def children(self, name: str) -> list[str]:
        return [child for child, parent in PARENTS.items() if parent == name]

    def total(self, name: str) -> int:
        return self.quotas[name][0] + sum(self.total(child) - self.kept(child) for child in self.children(name))

    def kept(self, name: str) -> int:
        lending = self.quotas[name][2]
        return 0 if lending is None else max(0, self.total(name) - lending)

    def take_one(self, name: str) -> bool:
        """Take one unit for this member; changes nothing if a member above refuses it."""
        if name not in PARENTS:
            if self.used[name] >= self.total(name):
                return False
        elif self.used[name] >= self.kept(name):
            borrowing = self.quotas[name][1]
            if borrowing is not None and self.used[name] >= self.total(name) + borrowing:
                return False
            if not self.take_one(PARENTS[name]):
                return False
        self.used[name] += 1
        return True


@given(
    st.fixed_dictionaries(dict.fromkeys((*QUEUES, *COHORTS), member_quota)),
    st.lists(st.sampled_from(QUEUES), max_size=30),
)
def test_what_is_available_is_what_can_be_taken_one_by_one(
    quotas: dict[str, tuple[int, int | None, int | None]], takers: list[str]
) -> None:
    """On any tree, after any allowed usage, `available` is exactly as much as can still be taken unit by unit."""
    counting = Counting(quotas)
    for queue in takers:
        counting.take_one(queue)
    used = {queue: counting.used[queue] for queue in QUEUES}

    def cpu(name: str) -> Any:
        nominal, borrowing, lending = quotas[name]
        return (str(nominal), None if borrowing is None else str(borrowing), None if lending is None else str(lending))

    queues = [cluster_queue(name, cohort=PARENTS[name], cpu=cpu(name)) for name in QUEUES]
    cohorts = [cohort(name, parent=PARENTS.get(name), cpu=cpu(name)) for name in COHORTS]
    trees = CohortTrees(queues, cohorts)
    for queue in QUEUES:
        left = available(trees, queue, **used)
        trial = Counting(quotas)
        trial.used = dict(counting.used)
        taken = 0
        while trial.take_one(queue):
            taken += 1
        assert taken == left, queue
