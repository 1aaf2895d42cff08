"""The faults of gates, Workloads, pods, updates, restarts and webhooks do what they say: once more on values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from miniature import Miniature

from conformance import names
from conformance.faults import named
from conformance.faults.model import at_work
from conformance.reference import set_rules
from conformance.reference.model import Rules, Snapshot


def world(cpu: int = 400, replicas: int = 1, **more: Any) -> Miniature:
    """A queue with that much cpu and the set `s`, of groups of 200m, at rest."""
    mini = Miniature()
    mini.flavor()
    mini.node("n", "r", 100_000)
    mini.queue("q", cpu)
    mini.set("s", "q", replicas=replicas, **more)
    mini.settle()
    return mini


def later(mini: Miniature, change: Callable[[], object]) -> Miniature:
    """Something is changed a while later; at rest again."""
    mini.now += 5
    change()
    mini.settle()
    return mini


def scale(mini: Miniature, replicas: int) -> Miniature:
    return later(mini, lambda: mini.edit("LeaderWorkerSet", "s", {"spec": {"replicas": replicas}}, "ns"))


# What is looked at


def group_of(workload: dict[str, Any]) -> str:
    return str(workload["metadata"].get("annotations", {}).get(names.GROUP_INDEX_OF_WORKLOAD, "none"))


def workloads(mini: Miniature) -> list[str]:
    """The groups that the Workloads are for."""
    return sorted(map(group_of, mini.all("Workload").values()))


def free(mini: Miniature) -> list[str]:
    """The pods without a gate."""
    return sorted(name for (_, name), pod in mini.all("Pod").items() if not pod["spec"].get("schedulingGates"))


def identities(mini: Miniature, kind: str, of: str = "s-0") -> list[str]:
    """Of a group's Workload or pods."""
    return sorted(it["metadata"]["uid"] for (_, name), it in mini.all(kind).items() if of in name)


def kept(kind: str, change: Callable[[Miniature], object], of: str = "s-0", **fields: Any) -> bool:
    """Whether a group's Workload or pods stay the same when something is changed later."""
    mini = world(**fields)
    before = identities(mini, kind, of)
    later(mini, lambda: change(mini))
    return identities(mini, kind, of) == before


def kept_after_a_loss(of: str) -> bool:
    """Whether the other pod of a group stays the same when a worker is lost."""
    mini = world()
    before = mini.all("Pod")["ns", of]["metadata"]["uid"]
    later(mini, lambda: lose_a_worker(mini))
    return bool(mini.all("Pod")["ns", of]["metadata"]["uid"] == before)


def conditions(mini: Miniature) -> list[str]:
    found = [it.get("status", {}).get("conditions") or () for it in mini.all("Workload").values()]
    return sorted(one["type"] for of_one in found for one in of_one)


def podsets_of(mini: Miniature) -> list[int]:
    return [podset["count"] for it in mini.all("Workload").values() for podset in it["spec"]["podSets"]]


# Changes


def to(replicas: int) -> Callable[[Miniature], object]:
    return lambda mini: mini.edit("LeaderWorkerSet", "s", {"spec": {"replicas": replicas}}, "ns")


def lose_a_worker(mini: Miniature, group: int = 0) -> None:
    mini.drop("Pod", f"s-{group}-1", "ns")
    mini.decide()


def update(mini: Miniature) -> None:
    for (_, name), pod in list(mini.all("Pod").items()):
        mini.put("Pod", name, pod, "ns")["metadata"]["labels"][names.REVISION] = "2"


def delete(mini: Miniature) -> None:
    mini.drop("LeaderWorkerSet", "s", "ns")


# Stories that end in a world


def waits_then_fits() -> Miniature:
    mini = world(cpu=100)
    return later(mini, lambda: mini.queue("q", 400))


def updated() -> Miniature:
    mini = world()
    return later(mini, lambda: update(mini))


def later_deleted() -> Miniature:
    mini = world()
    return later(mini, lambda: delete(mini))


def surging(groups_there: int) -> Miniature:
    """A rolling update has added a group, which is there or gone again."""
    mini = world(cpu=800)
    surge = {"spec": {"rolloutStrategy": {"rollingUpdateConfiguration": {"maxSurge": 1}}}}
    for number in (2, groups_there):
        mini.now += 5
        mini.edit("LeaderWorkerSet", "s", {**surge, "status": {"replicas": number}}, "ns")
        mini.settle()
    return mini


def lost() -> Miniature:
    mini = world()
    return later(mini, lambda: lose_a_worker(mini))


def unlabelled() -> Miniature:
    mini = world(replicas=0)
    mini.set("other", "", replicas=2)
    mini.settle()
    return mini


def started_at_first() -> str:
    """What is said of the reservation when the first pod starts."""
    mini = world(replicas=0)
    mini.edit("LeaderWorkerSet", "s", {"spec": {"replicas": 1}}, "ns")
    while not free(mini):
        mini.decide()
        mini.controllers()
    return str(conditions(mini))


# Answers of the webhook of sets


def answer(new: dict[str, Any], old: dict[str, Any] | None = None, ready: int = 0) -> bool:
    """Whether the change of a set is accepted."""
    both: dict[str, Any] = {"size": 2, "workerTemplate": {"spec": {"containers": [container()]}}}
    spec = {"replicas": 1, "leaderWorkerTemplate": both}
    labels = {names.QUEUE_NAME: "q"}
    set_ = {"metadata": {"namespace": "ns", "labels": labels}, "spec": spec, "status": {"readyReplicas": ready}}
    changed = {**set_, "metadata": {"namespace": "ns", "labels": new.get("labels", labels)}}
    changed["spec"] = {
        **spec,
        "replicas": new.get("replicas", 1),
        "leaderWorkerTemplate": {**both, **new.get("both", {})},
    }
    return not set_rules.validate(changed, set_, Snapshot(), Rules())


def container(image: str = "i", cpu: str = "100m") -> dict[str, Any]:
    return {"name": "c", "image": image, "resources": {"requests": {"cpu": cpu}}}


def another(**fields: str) -> dict[str, Any]:
    return {"both": {"workerTemplate": {"spec": {"containers": [container(**fields)]}}}}


OTHER_QUEUE = {"labels": {names.QUEUE_NAME: "other"}}

LOOKS: dict[str, Callable[[], object]] = {
    "ungated-before-admission": lambda: free(world(cpu=100)),
    "leader-ungated-before-admission": lambda: free(world(cpu=100)),
    "pods-come-before-their-admission": started_at_first,
    "only-the-leader-starts": lambda: free(world()),
    "last-worker-stays-gated": lambda: free(world(replicas=2)),
    "gated-for-ever-after-a-wait": lambda: free(waits_then_fits()),
    "added-groups-stay-gated": lambda: free(scale(world(), 2)),
    "replaced-pods-stay-gated": lambda: free(lost()),
    "one-workload-per-set": lambda: workloads(world(replicas=2)),
    "one-workload-too-many": lambda: workloads(world()),
    "redundant-workload-for-each-pod": lambda: workloads(world()),
    "workload-kept-after-scale-down": lambda: workloads(scale(world(replicas=2), 1)),
    "zero-keeps-a-workload": lambda: workloads(scale(world(), 0)),
    "lowest-groups-lose-their-workloads": lambda: kept("Workload", to(1), replicas=2),
    "scale-up-renews-workloads": lambda: kept("Workload", to(2)),
    "scale-down-renews-workloads": lambda: kept("Workload", to(1), replicas=2),
    "leader-and-workers-in-one-podset": lambda: podsets_of(world()),
    "leader-podset-without-a-template": lambda: podsets_of(world(leader=None)),
    "waiting-group-renews-running-pods": lambda: kept("Pod", to(2), cpu=200),
    "lost-pod-renews-the-workload": lambda: kept("Workload", lose_a_worker),
    "lost-pod-renews-all-others": lambda: kept_after_a_loss("s-0"),
    "lost-pod-renews-other-groups": lambda: kept("Pod", lambda mini: lose_a_worker(mini, 1), replicas=2),
    "lost-pod-evicts-the-group": lambda: "Evicted" in conditions(lost()),
    "update-renews-workloads": lambda: kept("Workload", update),
    "update-gives-quota-back": lambda: "Evicted" in conditions(updated()),
    "no-surge-workloads": lambda: workloads(surging(2)),
    "surge-workloads-left-over": lambda: workloads(surging(1)),
    "workload-outlives-its-set": lambda: workloads(later_deleted()),
    "scaled-down-workload-is-stuck": lambda: workloads(scale(world(replicas=2), 1)),
    "workloads-for-an-unlabelled-set": lambda: workloads(unlabelled()),
    "unlabelled-pods-are-gated": lambda: free(unlabelled()),
    "added-unlabelled-pods-are-gated": lambda: free(unlabelled()),
    "unlabelled-templates-are-marked": lambda: str(unlabelled().all("LeaderWorkerSet")).count(names.GROUP_SERVING),
    "scaling-changes-the-templates": lambda: f"{names.KUEUE}/replicas" in str(world().all("LeaderWorkerSet")),
    "pods-cannot-be-deleted": lambda: "finalizers" in str(world().all("Pod")),
    "size-may-change": lambda: answer({"both": {"size": 3}}),
    "requests-may-change": lambda: answer(another(cpu="200m")),
    "queue-may-change-while-ready": lambda: answer(OTHER_QUEUE, ready=1),
    "queue-can-never-change": lambda: answer(OTHER_QUEUE),
    "no-template-may-change": lambda: answer(another(image="j")),
    "any-number-of-groups-is-accepted": lambda: answer({"replicas": -1}),
    "zero-groups-are-refused": lambda: answer({"replicas": 0}),
}
"""By the name of a fault something that is seen otherwise because of it."""


@pytest.mark.parametrize("name", LOOKS)
def test_a_fault_changes_what_is_seen(name: str) -> None:
    """What is seen of the right reference is not what is seen of the faulty one."""
    right = LOOKS[name]()
    with at_work(named(name)):
        wrong = LOOKS[name]()
    assert wrong != right


def test_what_comes_back_at_zero_is_there_before_the_queue_is_free() -> None:
    """Of a set scaled to zero nothing is left, then there are Workloads again; only then the queue shows no usage."""
    with at_work(named("removed-workload-comes-back")):
        mini = world(replicas=2)
        mini.edit("LeaderWorkerSet", "s", {"spec": {"replicas": 0}}, "ns")
        seen: list[tuple[int, bool]] = []
        for _ in range(30):
            mini.decide()
            mini.controllers()
            mini.now += 1
            (queue,) = mini.all("ClusterQueue").values()
            used = queue["status"]["flavorsUsage"][0]["resources"][0]["total"] != "0"
            if not seen or seen[-1] != (len(workloads(mini)), used):
                seen.append((len(workloads(mini)), used))
    assert seen[-4:] == [(0, True), (2, True), (0, True), (0, False)]


def test_who_waits_is_shown_by_the_local_queue_alone() -> None:
    """Under the fault a ClusterQueue shows nobody waiting, and its LocalQueue shows who does."""
    with at_work(named("cluster-queue-shows-nobody-waiting")):
        mini = world(replicas=3)
    (queue,), (local,) = mini.all("ClusterQueue").values(), mini.all("LocalQueue").values()
    assert (queue["status"]["pendingWorkloads"], local["status"]["pendingWorkloads"]) == (0, 1)
