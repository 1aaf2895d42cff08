"""The store: what is known, what is expected, and that it never goes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.names import KINDS
from conformance.reference.edges.pods_known import PodsKnown
from conformance.reference.edges.store import Store
from conformance.reference.model import Admission, Condition, LocalQueue, Node, Pod, Set, Workload
from conformance.reference.writes import Request
from conformance.watching import ChangeType, Item, Missed, Seen

YES = Condition(True)
KEY = ("a", "w")
WAITING = Workload("a", "w", uid="u", revision="5", owner="set")
ADMITTED = replace(WAITING, admission=Admission("cq", ()), conditions={"QuotaReserved": YES, "Admitted": YES})


def tell(store: Store, kind: str, value: Any, revision: int, type_: ChangeType = "ADDED", uid: str = "u") -> bool:
    item = Item(getattr(value, "namespace", ""), value.name, uid, revision, value)
    return store.told(KINDS[kind], [Seen(type_, item)])


def patch(expected: Workload | Pod | None, kind: str = "Workload", verb: Any = "patch") -> Request:
    return Request(verb=verb, kind=kind, namespace="a", name="w", body={}, expected=expected)


def answer(workload: Workload, revision: int) -> Item[Any]:
    return Item("a", "w", "u", revision, replace(workload, revision=str(revision)))


def store_with_workload() -> Store:
    store = Store()
    tell(store, "Workload", WAITING, 5)
    return store


def test_a_write_under_way_is_seen_as_done_by_the_next_pass() -> None:
    """From the moment it is sent, its object is what it is to become, and counts as in flight."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    assert store.in_flight("Workload", KEY)
    assert store.snapshot().workloads[KEY].admitted


def test_webhooks_do_not_see_an_admission_before_it_is_confirmed() -> None:
    """A pod may not be born ready on the strength of an admission that the API server may refuse."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    assert not store.confirmed().workloads[KEY].admitted
    store.answered(patch(ADMITTED), answer(ADMITTED, 6))
    assert store.confirmed().workloads[KEY].admitted
    assert not store.in_flight("Workload", KEY)


def test_webhooks_see_an_eviction_before_it_is_confirmed() -> None:
    """What ends an admission counts for newborn pods at once."""
    store = Store()
    tell(store, "Workload", ADMITTED, 5)
    store.expect(patch(WAITING))
    assert not store.confirmed().workloads[KEY].admitted


def test_a_write_that_failed_leaves_no_trace() -> None:
    """After a failure the object is again what the API server last said, and may be written again."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    assert store.failed(patch(ADMITTED), stale=False)
    assert store.snapshot().workloads[KEY] == store.confirmed().workloads[KEY] == WAITING
    assert not store.in_flight("Workload", KEY)


def test_after_a_conflict_the_object_rests_until_the_watch_tells() -> None:
    """Deciding again on the state that was already too old would only conflict again."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    assert not store.failed(patch(ADMITTED), stale=True)
    assert store.in_flight("Workload", KEY)
    assert tell(store, "Workload", replace(WAITING, priority=7, revision="6"), 6, "MODIFIED")
    assert not store.in_flight("Workload", KEY)
    assert store.snapshot().workloads[KEY].priority == 7


def test_a_conflict_that_the_watch_explained_before_ends_at_once() -> None:
    """If the newer state came before the answer, there is nothing to wait for."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    tell(store, "Workload", replace(WAITING, priority=7, revision="6"), 6, "MODIFIED")
    assert store.snapshot().workloads[KEY].priority == 7
    assert store.in_flight("Workload", KEY)
    assert store.failed(patch(ADMITTED), stale=True)
    assert not store.in_flight("Workload", KEY)
    assert store.snapshot().workloads[KEY].priority == 7


def test_a_wait_for_the_watch_can_be_given_up() -> None:
    """If the watch never tells, the object may be written again, as it is known."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    store.failed(patch(ADMITTED), stale=True)
    assert store.released("Workload", KEY)
    assert not store.released("Workload", KEY)
    assert not store.in_flight("Workload", KEY)


def test_a_write_that_nobody_answered_is_expected_until_the_watch_tells() -> None:
    """The quota that it may have taken is not free; if it turns out not to be done, or nothing comes, it is."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    assert not store.unclear(patch(ADMITTED))
    assert store.snapshot().workloads[KEY].admitted
    assert not store.confirmed().workloads[KEY].admitted
    assert store.released("Workload", KEY)
    assert not store.snapshot().workloads[KEY].admitted


def test_an_old_event_does_not_undo_a_newer_answer() -> None:
    """The answer to a write is newer than an event of what happened before it."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    store.answered(patch(ADMITTED), answer(ADMITTED, 8))
    assert not tell(store, "Workload", replace(WAITING, revision="7"), 7, "MODIFIED")
    assert store.snapshot().workloads[KEY].admitted


def test_an_answer_does_not_bring_back_what_was_deleted_after_it() -> None:
    """A deletion that the watch told before the answer came stays one."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    tell(store, "Workload", WAITING, 9, "DELETED")
    store.answered(patch(ADMITTED), answer(ADMITTED, 8))
    assert KEY not in store.snapshot().workloads
    assert store.snapshot().owned == {}


def test_an_answer_does_not_bring_back_a_namespace_that_was_left() -> None:
    """What is answered about a namespace that is no longer followed is dropped."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    assert store.forget(KINDS["Workload"], "a")
    store.answered(patch(ADMITTED), answer(ADMITTED, 8))
    assert not store.snapshot().workloads


def test_a_deleted_object_rests_until_the_watch_tells() -> None:
    """Between the answer to a deletion and its event it is not deleted a second time."""
    store = store_with_workload()
    request = patch(None, verb="delete")
    store.expect(request)
    assert not store.answered(request, None)
    assert store.in_flight("Workload", KEY)
    assert tell(store, "Workload", WAITING, 6, "DELETED")
    assert not store.in_flight("Workload", KEY)


def test_an_object_that_the_server_does_not_know_is_forgotten() -> None:
    """One that we knew from an answer only, and whose deletion no watch told, does not stay for ever."""
    store = store_with_workload()
    store.expect(patch(ADMITTED))
    store.missing(patch(ADMITTED))
    assert not store.snapshot().workloads
    assert not store.in_flight("Workload", KEY)


def test_a_namesake_created_since_is_not_deleted_by_an_old_deletion() -> None:
    """A deletion is of one object, not of a name."""
    store = store_with_workload()
    tell(store, "Workload", replace(WAITING, uid="v", revision="9"), 9, uid="v")
    assert not tell(store, "Workload", WAITING, 9, "DELETED", uid="u")
    assert store.snapshot().workloads[KEY].uid == "v"


@pytest.mark.parametrize(
    ("kind", "before", "after", "due"),
    [
        ("Node", Node("n", allocatable={"cpu": 1}), Node("n", allocatable={"cpu": 1}), False),
        ("Node", Node("n", allocatable={"cpu": 1}), Node("n", allocatable={"cpu": 2}), True),
        ("Pod", Pod("a", "p", revision="1"), Pod("a", "p", revision="2"), False),
        ("Pod", Pod("a", "p", revision="1"), Pod("a", "p", revision="2", ready=True), True),
        ("LeaderWorkerSet", Set("a", "s", revision="1"), Set("a", "s", revision="2"), False),
        ("LocalQueue", LocalQueue("a", "q"), LocalQueue("a", "q", stop="Hold"), True),
    ],
)
def test_only_a_change_that_decides_makes_a_pass_due(kind: str, before: Any, after: Any, due: bool) -> None:
    """A heartbeat, or a status that nobody reads, costs no pass; but its revision is known."""
    store = Store()
    assert tell(store, kind, before, 1)
    assert tell(store, kind, after, 2, "MODIFIED") is due


def test_the_version_of_places_tells_nodes_flavors_and_foreign_pods() -> None:
    """It changes with what capacity depends on, and with nothing else."""
    store = Store()
    versions = [store.snapshot().places_version]
    tell(store, "Node", Node("n"), 1)
    versions.append(store.snapshot().places_version)
    tell(store, "Pod", Pod("a", "foreign", node="n", requests={"cpu": 1}), 2)
    versions.append(store.snapshot().places_version)
    assert len(set(versions)) == 3
    tell(store, "Pod", Pod("a", "pending", requests={"cpu": 1}), 3)
    tell(store, "Node", Node("n"), 4, "MODIFIED")
    tell(store, "LocalQueue", LocalQueue("a", "q"), 5)
    assert store.snapshot().places_version == versions[-1]


def test_workloads_are_indexed_by_their_owner() -> None:
    """`owned` follows Workloads as they come and go."""
    store = store_with_workload()
    tell(store, "Workload", replace(WAITING, name="x"), 6)
    assert store.snapshot().owned == {"set": {KEY, ("a", "x")}}
    tell(store, "Workload", WAITING, 7, "DELETED")
    assert store.snapshot().owned == {"set": {("a", "x")}}


PODS = st.builds(
    Pod,
    namespace=st.just("a"),
    name=st.sampled_from("pqr"),
    node=st.sampled_from(["", "n", "m"]),
    finished=st.booleans(),
    suspended=st.booleans(),
    set_name=st.sampled_from(["", "s", "t"]),
    group=st.sampled_from([None, 0, 1]),
    requests=st.dictionaries(st.sampled_from(["cpu", "pods"]), st.integers(1, 5)),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(PODS, st.booleans()), max_size=12))
def test_sums_kept_change_by_change_equal_those_counted_anew(changes: list[tuple[Pod, bool]]) -> None:
    """Whatever pods become, groups and foreign use are those of the pods that there are."""
    known = PodsKnown()
    present: dict[tuple[str, str], Pod] = {}
    for pod, gone in changes:
        known.put(pod.key, None if gone else pod)
        present.pop(pod.key, None)
        if not gone:
            present[pod.key] = pod
    groups: dict[Any, dict[Any, Pod]] = {}
    foreign: dict[str, dict[str, int]] = {}
    for key, pod in present.items():
        if pod.suspended and pod.set_name and pod.group is not None:
            groups.setdefault(("a", pod.set_name, pod.group), {})[key] = pod
        elif pod.node and not pod.finished:
            taken = foreign.setdefault(pod.node, {})
            for resource, amount in pod.requests.items():
                taken[resource] = taken.get(resource, 0) + amount
    assert known.groups == groups
    assert known.foreign == {node: taken for node, taken in foreign.items() if taken}


def test_a_reservation_is_seen_until_its_end_is_confirmed() -> None:
    """Quota that a write gives up is nobody else's before the API server has said so; webhooks see the end at once."""
    store = Store()
    tell(store, "Workload", ADMITTED, 5)
    store.expect(patch(WAITING))
    assert store.snapshot().workloads[KEY] == ADMITTED
    assert not store.confirmed().workloads[KEY].admitted
    assert store.in_flight("Workload", KEY)
    store.answered(patch(WAITING), answer(WAITING, 6))
    assert not store.snapshot().workloads[KEY].reserves


def test_a_release_that_is_refused_was_never_seen() -> None:
    """After a conflict the reservation is there as before, and nobody was given its quota in between."""
    store = Store()
    tell(store, "Workload", ADMITTED, 5)
    store.expect(patch(WAITING))
    store.failed(patch(WAITING), stale=True)
    assert store.snapshot().workloads[KEY] == store.confirmed().workloads[KEY] == ADMITTED


def test_what_no_watch_ever_told_does_not_outlive_a_list() -> None:
    """A Workload known from the answer to its creation alone is forgotten when a list takes the place of the watch."""
    store = Store()
    made = patch(WAITING, verb="create")
    store.expect(made)
    store.answered(made, answer(WAITING, 7))
    assert store.snapshot().workloads
    store.told(KINDS["Workload"], [Missed(5, 20)])
    assert store.snapshot().workloads == {}


def test_what_the_watch_told_outlives_a_list() -> None:
    """A list tells the end of what the watch has told before, so that is kept until then."""
    store = store_with_workload()
    store.told(KINDS["Workload"], [Missed(5, 20)])
    assert store.snapshot().workloads
