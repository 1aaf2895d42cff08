"""LeaderWorkerSets keep one Workload for each of their groups, and Workloads take over what may change."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import names
from conformance.reference import groups, podsets
from conformance.reference.draft import Draft
from conformance.reference.model import Condition, Match, PriorityClass, Rules, Selector, Set, Snapshot, Workload

CLASSES = {"low": PriorityClass("low", 1), "high": PriorityClass("high", 9)}
RESERVED = {"QuotaReserved": Condition(True)}


def a_set(**fields: Any) -> Set:
    stamped = {"metadata": {"annotations": {names.SUSPENDING_PARENT: names.LWS_FRAMEWORK}}, "spec": {}}
    fields = {"uid": "u", "labels": {names.QUEUE_NAME: "q"}, "worker_template": stamped, **fields}
    return Set("ns", fields.pop("name", "s"), **fields)


def its_workload(set_: Set, group: int, **fields: Any) -> Workload:
    fields = {"owner": set_.uid, "set_name": set_.name, "group": group, "queue": "q", **fields}
    return Workload(set_.namespace, podsets.workload_name(set_, group), **fields)


def kept(sets: list[Set], workloads: list[Workload], rules: Rules | None = None, **fields: Any) -> Draft:
    owned: dict[str, set[tuple[str, str]]] = {}
    for workload in workloads:
        owned.setdefault(workload.owner, set()).add(workload.key)
    snapshot = Snapshot(
        sets={set_.key: set_ for set_ in sets},
        workloads={workload.key: workload for workload in workloads},
        owned={uid: frozenset(keys) for uid, keys in owned.items() if uid},
        workload_priorities=CLASSES,
        **fields,
    )
    draft = Draft(snapshot, 0.0, rules or Rules())
    groups.keep(draft)
    return draft


def indices(draft: Draft) -> list[int]:
    made = [body["metadata"]["annotations"][names.GROUP_INDEX_OF_WORKLOAD] for body in draft.created.values()]
    return sorted(map(int, made))


def deleted(draft: Draft) -> list[int]:
    return sorted(workload.group or 0 for workload in draft.deleted_workloads.values())


def test_each_group_gets_a_workload() -> None:
    """A managed set with n replicas gets the Workloads 0..n-1 under their names."""
    draft = kept([a_set(replicas=3)], [])
    assert indices(draft) == [0, 1, 2]
    assert set(draft.created) == {("ns", podsets.workload_name(a_set(), group)) for group in range(3)}


def test_nothing_is_done_twice() -> None:
    """A set that has its Workloads costs nothing."""
    set_ = a_set(replicas=2)
    draft = kept([set_], [its_workload(set_, 0), its_workload(set_, 1)])
    assert not draft.created
    assert not draft.deleted_workloads
    assert not draft.workloads


def test_an_unmanaged_set_is_left_alone() -> None:
    """A set without a queue gets no Workload, whatever it has."""
    set_ = a_set(labels={}, replicas=1)
    draft = kept([set_], [its_workload(set_, 5)])
    assert not draft.created
    assert not draft.deleted_workloads


def test_everything_may_be_managed() -> None:
    """With manageJobsWithoutQueueName every set of a selected namespace is managed, without a queue."""
    rules = Rules(manage_without_queue=True, managed_namespaces=Selector((Match("team", "Exists"),)))
    unnamed = a_set(labels={})
    assert indices(kept([unnamed], [], rules, namespaces={"ns": {"team": "a"}})) == [0]
    assert indices(kept([unnamed], [], rules, namespaces={"ns": {}})) == []
    assert indices(kept([a_set()], [], rules, namespaces={"ns": {}})) == [0]
    assert indices(kept([unnamed], [], replace(rules, managed_namespaces=None))) == [0]


def test_scaling_down_removes_the_highest() -> None:
    """Workloads of groups beyond replicas are deleted once; those below stay as they are."""
    set_ = a_set(replicas=1)
    going = its_workload(set_, 2, deleted=True)
    draft = kept([set_], [its_workload(set_, 0), its_workload(set_, 1), going])
    assert deleted(draft) == [1]
    assert not draft.workloads
    assert not draft.created


def test_scaling_to_zero_removes_all() -> None:
    """A set with no replicas has no Workload."""
    set_ = a_set(replicas=0)
    assert deleted(kept([set_], [its_workload(set_, 0)])) == [0]


def test_a_lagging_status_keeps_nothing() -> None:
    """Without a surge the number of groups that the status tells has no influence."""
    assert groups.groups_wanted(a_set(replicas=1, status_replicas=4)) == 1


@pytest.mark.parametrize(
    ("max_surge", "status", "wanted"),
    [(1, 4, 4), (1, 5, 5), (1, 9, 5), (2, 6, 6), ("25%", 5, 5), ("25%", 6, 5), ("30%", 6, 6), (9, 9, 8), ("1", 5, 5),
     ("x", 9, 4), (-3, 9, 4), ("-5%", 9, 4), ("999%", 99, 8)],
)  # fmt: skip
def test_surge_groups_have_workloads(max_surge: int | str, status: int, wanted: int) -> None:
    """Surge groups that are there have Workloads: as many as LeaderWorkerSet may add, never more than replicas."""
    assert groups.groups_wanted(a_set(replicas=4, max_surge=max_surge, status_replicas=status)) == wanted


@settings(deadline=None, max_examples=200)
@given(percent=st.integers(0, 300), replicas=st.integers(0, 5000))
def test_percentages_are_rounded_up(percent: int, replicas: int) -> None:
    """A percentage of a surge is rounded up to whole groups."""
    assert groups.surge(f"{percent}%", replicas) == min(ceil(replicas * percent / 100), replicas)


def test_impossible_replicas_do_no_harm() -> None:
    """A negative number of replicas is none, and an impossible one is cut, though validation refuses both."""
    assert groups.groups_wanted(a_set(replicas=-1)) == 0
    assert groups.groups_wanted(a_set(replicas=2**31 - 1)) == 1_000_000


def test_a_set_being_deleted_gets_nothing() -> None:
    """A set that is being deleted gets no new Workload, and those it has are the garbage collector's."""
    set_ = a_set(deleted=True, replicas=2)
    draft = kept([set_], [its_workload(set_, 0)])
    assert not draft.created
    assert not draft.deleted_workloads


def test_a_deleted_workload_is_made_again_when_it_is_gone() -> None:
    """A Workload that somebody deletes is made anew under its name, not before it is gone."""
    set_ = a_set()
    assert not kept([set_], [its_workload(set_, 0, deleted=True)]).created
    assert indices(kept([set_], [])) == [0]


def test_orphans_are_removed() -> None:
    """Workloads whose set was deleted without them go, also if there is a set of that name again."""
    gone = a_set(uid="old")
    left = its_workload(gone, 0, owner="")
    assert deleted(kept([], [left])) == [0]
    draft = kept([a_set(uid="new")], [left])
    assert list(draft.deleted_workloads) == [left.key]
    assert list(draft.created) == [("ns", podsets.workload_name(a_set(uid="new"), 0))]


def test_owned_and_hand_made_workloads_are_no_orphans() -> None:
    """A Workload with an owner, and one that stands for no group, are not touched when no set is there."""
    by_hand = Workload("ns", "mine")
    draft = kept([], [its_workload(a_set(), 0), by_hand])
    assert not draft.deleted_workloads


def test_a_namesake_is_not_taken_over() -> None:
    """A Workload of the right name that is not the set's stays what it is, and is not created again."""
    draft = kept([a_set()], [Workload("ns", podsets.workload_name(a_set(), 0))])
    assert not draft.created
    assert not draft.deleted_workloads
    assert not draft.workloads


def test_a_missing_priority_class_is_waited_for() -> None:
    """While its priority class is missing a set gets no Workload, and still loses those it must not have."""
    set_ = a_set(labels={names.QUEUE_NAME: "q", names.PRIORITY_CLASS: "missing"}, replicas=1)
    draft = kept([set_], [its_workload(set_, 3)])
    assert not draft.created
    assert deleted(draft) == [3]


def test_a_queue_change_is_followed() -> None:
    """A Workload moves to the queue of its set while it holds no reservation, and not before it gave it up."""
    set_ = a_set(labels={names.QUEUE_NAME: "other"})
    waiting, reserving = its_workload(set_, 0), its_workload(set_, 0, conditions=RESERVED)
    assert kept([set_], [waiting]).workloads[waiting.key].queue == "other"
    assert not kept([set_], [reserving]).workloads


def with_class(name: str) -> Set:
    return a_set(labels={names.QUEUE_NAME: "q", names.PRIORITY_CLASS: name} if name else {names.QUEUE_NAME: "q"})


@pytest.mark.parametrize("conditions", [{}, RESERVED])
def test_another_priority_class_is_taken_over(conditions: dict[str, Condition]) -> None:
    """A change of the class reaches pending and running Workloads in place."""
    workload = its_workload(a_set(), 0, priority=1, priority_class=(names.KUEUE, "low"), conditions=conditions)
    changed = kept([with_class("high")], [workload]).workloads[workload.key]
    assert (changed.priority, changed.priority_class) == (9, (names.KUEUE, "high"))


@pytest.mark.parametrize(
    ("asked", "has", "conditions", "taken"),
    [
        ("high", ("", ""), {}, True),
        ("high", ("", ""), RESERVED, False),
        ("", (names.KUEUE, "low"), {}, True),
        ("", (names.KUEUE, "low"), RESERVED, False),
        ("high", (podsets.POD_CLASSES, "pods"), {}, False),
        ("high", (names.KUEUE, "high"), {}, False),
        ("missing", (names.KUEUE, "low"), {}, False),
        ("", ("", ""), {}, False),
    ],
)
def test_a_class_is_added_and_removed_only_without_reservation(
    asked: str, has: tuple[str, str], conditions: dict[str, Condition], taken: bool
) -> None:
    """What the API refuses, or what comes from the pods' own class, is left as it is."""
    workload = its_workload(a_set(), 0, priority=1, priority_class=has, conditions=conditions)
    assert (workload.key in kept([with_class(asked)], [workload]).workloads) == taken


def test_gates_are_taken_over() -> None:
    """A gate of admission that is removed from the set is removed from its Workloads."""
    set_ = a_set(annotations={names.GATED_BY: "a.io/x, a.io/y"})
    held = its_workload(set_, 0, gated_by=("a.io/x", "a.io/y"))
    assert not kept([set_], [held]).workloads
    freed = replace(set_, annotations={})
    assert kept([freed], [held]).workloads[held.key].gated_by == ()


def test_a_workload_that_goes_is_not_changed() -> None:
    """A Workload that is being deleted is not changed any more."""
    set_ = a_set(labels={names.QUEUE_NAME: "other"})
    assert not kept([set_], [its_workload(set_, 0, deleted=True)]).workloads


@settings(deadline=None, max_examples=100)
@given(
    replicas=st.integers(0, 6),
    status=st.integers(0, 9),
    max_surge=st.sampled_from([0, 1, 3, "50%"]),
    there=st.sets(st.integers(0, 9)),
)
def test_one_pass_brings_about_what_is_wanted(
    replicas: int, status: int, max_surge: int | str, there: set[int]
) -> None:
    """Whatever Workloads a set has, after one pass it has exactly those of its groups."""
    set_ = a_set(replicas=replicas, status_replicas=status, max_surge=max_surge)
    draft = kept([set_], [its_workload(set_, group) for group in there])
    left = there - {workload.group for workload in draft.deleted_workloads.values()}
    assert left.isdisjoint(indices(draft))
    assert sorted(left.union(indices(draft))) == list(range(groups.groups_wanted(set_)))


def test_a_set_whose_pods_are_born_free_gets_no_workload() -> None:
    """A set that the webhook has not stamped is not managed until it is updated: quota for it would be an illusion."""
    assert indices(kept([a_set(worker_template={"spec": {}})], [])) == []
