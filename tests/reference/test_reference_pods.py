"""Pods follow the Workload of their group: gated until it is admitted, then started, deleted when it is no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import names
from conformance.reference import pods, podsets
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Assignment,
    CheckState,
    Condition,
    Flavor,
    Node,
    Pod,
    PodSet,
    Set,
    Snapshot,
    Toleration,
    TopologyAssignment,
    TopologyRequest,
    Workload,
)

ADMITTED = {"QuotaReserved": Condition(True), "Admitted": Condition(True)}
SET = Set("ns", "s", uid="u", size=3, labels={names.QUEUE_NAME: "q"}, leader_template={})
NAME = podsets.workload_name(SET, 0)
FLAVOR = Flavor("f", node_labels={"pool": "a"}, tolerations=(Toleration("t", "Exists"),))
HOSTS = TopologyAssignment((names.HOSTNAME,), ((("h1",), 1), (("h2",), 1)))
LEADER_HOST = TopologyAssignment((names.HOSTNAME,), ((("h1",), 1),))


def given_to(podset: str, count: int, **fields: Any) -> Assignment:
    return Assignment(podset, count, **{"flavors": {"cpu": "f"}, **fields})


def a_workload(**fields: Any) -> Workload:
    admission = Admission("cq", (given_to("leader", 1), given_to("worker", 2)))
    fields = {"conditions": ADMITTED, "admission": admission, "queue": "q", **fields}
    two = (PodSet("leader", 1), PodSet("worker", 2, index_offset=1))
    return Workload("ns", NAME, set_name="s", group=0, owner="u", podsets=two, **fields)


def a_pod(worker: int, gates: tuple[str, ...] = names.OUR_GATES, **fields: Any) -> Pod:
    name = f"s-0-{worker}" if worker else "s-0"
    role: dict[str, Any] = {"worker": worker, "is_leader": worker == 0, **fields}
    return Pod("ns", name, gates=gates, set_name="s", group=0, suspended=True, **role)


GROUP = (a_pod(0), a_pod(1), a_pod(2))


def drafted(
    workload: Workload | None, *its_pods: Pod, sets: tuple[Set, ...] = (SET,), flavors: tuple[Flavor, ...] = (FLAVOR,)
) -> Draft:
    snapshot = Snapshot(
        sets={set_.key: set_ for set_ in sets},
        workloads={workload.key: workload} if workload else {},
        pods={("ns", "s", 0): {pod.key: pod for pod in its_pods}},
        flavors={flavor.name: flavor for flavor in flavors},
        nodes={name: Node(name, labels={names.HOSTNAME: name}) for name in ("h1", "h2", "h3")},
    )
    return Draft(snapshot, 0.0)


def kept(workload: Workload | None, *its_pods: Pod, **fields: Any) -> Draft:
    draft = drafted(workload, *its_pods, **fields)
    pods.keep(draft)
    return draft


def started(draft: Draft) -> set[str]:
    return {pod.name for pod in draft.pods.values()}


def deleted(draft: Draft) -> set[str]:
    return {pod.name for pod in draft.deleted_pods.values()}


def test_an_admitted_group_starts() -> None:
    """One change makes each pod of an admitted group a member of it, with all it is given, and without its gates."""
    mine = replace(
        a_pod(1, gates=("mine/gate", *names.OUR_GATES)),
        labels={"user": "x"},
        selector={"zone": "z"},
        tolerations=(Toleration("own", "Exists", seconds=9),),
    )
    [becomes] = kept(a_workload(), mine).pods.values()
    assert becomes == replace(
        mine,
        labels={
            "user": "x",
            names.MANAGED: "true",
            names.PODSET: "worker",
            names.QUEUE_NAME: "q",
            names.LOCAL_QUEUE_NAME: "q",
            names.CLUSTER_QUEUE_NAME: "cq",
        },
        annotations={
            names.POD_GROUP_NAME: NAME,
            names.PREBUILT_WORKLOAD: NAME,
            names.POD_GROUP_TOTAL_COUNT: "3",
            names.ROLE_HASH: "worker",
            names.WORKLOAD: NAME,
        },
        selector={"zone": "z", "pool": "a"},
        tolerations=(Toleration("own", "Exists", seconds=9), Toleration("t", "Exists")),
        gates=("mine/gate",),
    )


def test_all_pods_of_the_group_start_at_once() -> None:
    """Every gated pod of the group starts in the same pass."""
    assert started(kept(a_workload(), *GROUP)) == {"s-0", "s-0-1", "s-0-2"}


def test_nothing_is_done_to_a_running_group() -> None:
    """A group that runs costs nothing, pass after pass."""
    draft = kept(a_workload(), *(replace(pod, gates=()) for pod in GROUP))
    assert not draft.pods
    assert not draft.deleted_pods


def test_a_pending_group_stays_gated() -> None:
    """Pods of a group whose Workload is not admitted, or not there, stay gated and are not touched."""
    for workload in (None, a_workload(conditions={}), a_workload(conditions={"QuotaReserved": Condition(True)})):
        draft = kept(workload, *GROUP)
        assert not draft.pods
        assert not draft.deleted_pods


def test_pods_without_admission_are_deleted() -> None:
    """A started pod goes when its group has no Workload, one that is not admitted, is evicted, or is being deleted."""
    evicted = {**ADMITTED, "Evicted": Condition(True)}
    for workload in (None, a_workload(conditions={}), a_workload(conditions=evicted), a_workload(deleted=True)):
        assert deleted(kept(workload, a_pod(0, ()), a_pod(1))) == {"s-0"}
    finished, going = replace(a_pod(0, ()), finished=True), replace(a_pod(1, ()), deleted=True)
    assert not kept(None, finished, going).deleted_pods


def test_gates_of_others_hold_nothing_back_here() -> None:
    """A pod with nobody's gate but another's counts as started: it goes with its group, and is not started again."""
    held = a_pod(0, ("mine/gate",))
    assert deleted(kept(a_workload(conditions={}), held)) == {"s-0"}
    assert not kept(a_workload(), held).pods


def test_unmanaged_and_unknown_sets_are_not_touched() -> None:
    """Pods of sets that are not queued, not known, or being deleted are left alone."""
    for sets in ((), (replace(SET, labels={}),), (replace(SET, deleted=True),)):
        draft = kept(a_workload(conditions={}), a_pod(0, ()), a_pod(1), sets=sets)
        assert not draft.deleted_pods
        assert not kept(a_workload(), *GROUP, sets=sets).pods


def test_pods_wait_until_the_admission_is_stored() -> None:
    """A pod starts, and is deleted, on what the API server has stored, not on what this pass decides."""
    draft = drafted(a_workload(conditions={}, admission=None), *GROUP)
    draft.put(a_workload())
    pods.keep(draft)
    assert not draft.pods
    draft = drafted(a_workload(), a_pod(0, ()), a_pod(1))
    draft.put(a_workload(conditions={**ADMITTED, "Evicted": Condition(True)}))
    pods.keep(draft)
    assert not draft.pods
    assert not draft.deleted_pods


def test_a_new_assignment_is_waited_for() -> None:
    """While a pass changes what a group was given, none of its pods starts on the old assignment."""
    draft = drafted(a_workload(), *GROUP)
    draft.put(replace(a_workload(), admission=Admission("cq", (given_to("leader", 1), given_to("worker", 1)))))
    pods.keep(draft)
    assert not draft.pods


def test_no_more_pods_run_than_were_charged_for() -> None:
    """Of more pods than the podset has, the first by index start, and running ones count."""
    draft = kept(a_workload(), a_pod(1), a_pod(3), a_pod(2))
    assert started(draft) == {"s-0-1", "s-0-2"}
    assert started(kept(a_workload(), a_pod(1), a_pod(2, ()), a_pod(3))) == {"s-0-1"}


def test_a_group_with_a_missing_flavor_waits() -> None:
    """While a flavor of the assignment is gone nobody can tell where its pods belong, so they wait."""
    assert not kept(a_workload(), *GROUP, flavors=()).pods


def test_a_delayed_topology_is_waited_for() -> None:
    """Pods of a podset whose topology is still to be assigned wait."""
    waits = Admission("cq", (given_to("leader", 1), given_to("worker", 2, delayed="Pending")))
    assert started(kept(a_workload(admission=waits), *GROUP)) == {"s-0"}


def on_hosts(**fields: Any) -> Workload:
    admission = Admission("cq", (given_to("leader", 1, topology=LEADER_HOST), given_to("worker", 2, topology=HOSTS)))
    return a_workload(admission=admission, **fields)


def test_pods_are_sent_to_their_domains() -> None:
    """With a topology assignment each pod gets the node selector of its own domain, in the order of ranks."""
    draft = kept(on_hosts(), *GROUP)
    hosts = {pod.name: pod.selector[names.HOSTNAME] for pod in draft.pods.values()}
    assert hosts == {"s-0": "h1", "s-0-1": "h1", "s-0-2": "h2"}


def test_implied_topology_is_told() -> None:
    """Pods placed without having asked for it are marked unconstrained; those that asked are not."""
    assert all(
        pod.annotations[names.UNCONSTRAINED_TOPOLOGY] == "true" for pod in kept(on_hosts(), *GROUP).pods.values()
    )
    asked = TopologyRequest("required", names.HOSTNAME)
    workload = replace(on_hosts(), podsets=(PodSet("leader", 1, topology=asked), PodSet("worker", 2, topology=asked)))
    assert not any(names.UNCONSTRAINED_TOPOLOGY in pod.annotations for pod in kept(workload, *GROUP).pods.values())


def test_a_pod_on_a_replaced_node_goes() -> None:
    """A started pod whose domain is no longer assigned is deleted, by its selector or by its node; others stay."""
    sent = replace(a_pod(1, ()), selector={names.HOSTNAME: "h3"})
    bound = replace(a_pod(2, ()), node="h3")
    right = replace(a_pod(0, ()), node="h1")
    assert deleted(kept(on_hosts(), right, sent, bound)) == {"s-0-1", "s-0-2"}
    nowhere = a_pod(1, ())
    assert not kept(on_hosts(), right, nowhere).deleted_pods


def test_checks_add_their_updates() -> None:
    """What an admission check says about a podset's pods reaches those pods alone."""
    update = {
        "name": "worker",
        "labels": {"l": "1"},
        "annotations": {"a": "2"},
        "nodeSelector": {"n": "3"},
        "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 4}],
    }
    checks = (CheckState("c", "Ready", raw={"podSetUpdates": [update]}),)
    draft = kept(a_workload(checks=checks), *GROUP)
    worker, leader = draft.pods["ns", "s-0-1"], draft.pods["ns", "s-0"]
    assert (worker.labels["l"], worker.annotations["a"], worker.selector["n"]) == ("1", "2", "3")
    assert Toleration("k", "Exists", seconds=4) in worker.tolerations
    assert "l" not in leader.labels


def test_a_pods_own_selector_stays() -> None:
    """What a pod asks of its node itself is never overwritten: the API server would refuse that."""
    mine = replace(a_pod(1), selector={"pool": "b"})
    [becomes] = kept(a_workload(), mine).pods.values()
    assert becomes.selector == {"pool": "b"}


def test_a_queue_name_that_is_no_label_is_left_out() -> None:
    """The name of a ClusterQueue that cannot be a label's value is not put on pods, which start all the same."""
    for name in ("dots.in.it", "x" * 64, "Upper"):
        admission = replace(a_workload().admission, cluster_queue=name)  # type: ignore[type-var]
        [becomes] = kept(a_workload(admission=admission), a_pod(0)).pods.values()
        assert names.CLUSTER_QUEUE_NAME not in becomes.labels


def test_pods_of_an_earlier_namesake_do_not_join() -> None:
    """A pod born for another Workload does not run on this one; if that is gone and it never ran, it is born again."""
    of_another = {names.PREBUILT_WORKLOAD: "another"}
    draft = kept(a_workload(), a_pod(0, annotations=of_another), a_pod(1, (), annotations=of_another))
    assert not draft.pods
    assert deleted(draft) == {"s-0"}
    there = drafted(a_workload(), a_pod(0, annotations=of_another))
    known = {**there.snapshot.workloads, ("ns", "another"): Workload("ns", "another")}
    there = Draft(replace(there.snapshot, workloads=known), 0.0)
    pods.keep(there)
    assert not there.deleted_pods


def test_workers_of_an_old_revision_do_not_start() -> None:
    """A gated worker of another revision than its leader is left to the garbage collector."""
    old, new = {names.REVISION: "old"}, {names.REVISION: "new"}
    draft = kept(a_workload(), a_pod(0, labels=new), a_pod(1, labels=old), a_pod(2, labels=new))
    assert started(draft) == {"s-0", "s-0-2"}
    assert not draft.deleted_pods


def test_gated_pods_of_an_old_revision_are_left_to_their_statefulset() -> None:
    """In a pending set whose template changes nothing is started or deleted: the StatefulSet replaces its pods."""
    draft = kept(a_workload(conditions={}), a_pod(0, labels={names.REVISION: "old"}), a_pod(1))
    assert not draft.pods
    assert not draft.deleted_pods


def test_started_says_what_keep_does() -> None:
    """`started` makes of a pod what a pass makes of it; a pod that cannot be told anything stays as it is."""
    draft = kept(on_hosts(), *GROUP)
    for pod in GROUP:
        becomes = draft.pods[pod.key]
        values = (becomes.selector[names.HOSTNAME],)
        assert pods.started(pod, on_hosts(), draft.snapshot, values) == becomes
    assert pods.started(GROUP[0], a_workload(admission=None), draft.snapshot, None) is GROUP[0]


_members = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(["gated", "h1", "h2"]), st.booleans()),
    max_size=5,
    unique_by=lambda m: m[0],
)


@settings(deadline=None, max_examples=150)
@given(members=_members)
def test_domains_are_never_overfilled(members: list[tuple[int, str, bool]]) -> None:
    """Whatever runs already, starting never brings more pods into a domain than were assigned there."""
    its_pods = [
        a_pod(worker)
        if where == "gated"
        else replace(a_pod(worker, ()), selector={names.HOSTNAME: where}, deleted=gone)
        for worker, where, gone in members
    ]
    before = Counter(pod.selector.get(names.HOSTNAME) for pod in its_pods if not pod.gates and not pod.deleted)
    after = Counter(pod.selector[names.HOSTNAME] for pod in kept(on_hosts(), *its_pods).pods.values())
    for values, count in HOSTS.domains:
        assert after[values[0]] <= max(count - before[values[0]], 0)
