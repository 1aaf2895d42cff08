"""The faults of order, cohorts, holds, flavors and of what queues show do what they say: once more on values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from miniature import Miniature

from conformance import names
from conformance.faults import named
from conformance.faults.model import at_work


def of_set(mini: Miniature, name: str) -> list[dict[str, Any]]:
    """The Workloads of a set."""
    found = mini.all("Workload").values()
    return [it for it in found if it["metadata"]["ownerReferences"][0]["name"] == name]


def true(mini: Miniature, name: str, type_: str = "Admitted") -> bool:
    """Whether a condition is true of all Workloads of a set."""
    found = [it.get("status", {}).get("conditions") or () for it in of_set(mini, name)]
    return all(any(one["type"] == type_ and one["status"] == "True" for one in of_one) for of_one in found)


def gated(mini: Miniature, name: str) -> bool:
    pods = [pod for (_, pod_name), pod in mini.all("Pod").items() if pod_name.startswith(f"{name}-")]
    return any(pod["spec"].get("schedulingGates") for pod in pods)


def shown(mini: Miniature, field: str = "flavorsUsage", part: str = "total", queue: str = "q") -> list[str]:
    """What a ClusterQueue shows of its cpu, by flavor."""
    status = mini.all("ClusterQueue")["", queue]["status"]
    return [one[part] for flavor in status[field] for one in flavor["resources"]]


def world(cpu: int = 400, **spec: Any) -> Miniature:
    """A queue with that much cpu, on one large node; a group asks for 200m unless it says otherwise."""
    mini = Miniature()
    mini.flavor()
    mini.node("n", "r", 100_000)
    mini.queue("q", cpu, **spec)
    return mini


def settled(mini: Miniature, *changes: Callable[[Miniature], object]) -> Miniature:
    """At rest after each change, with some seconds in between."""
    for change in changes:
        mini.now += 5
        change(mini)
        mini.settle()
    return mini


def younger_runs(strategy: str) -> bool:
    """Whether a group that fits is admitted past an older one that does not."""
    mini = world(queueingStrategy=strategy)
    settled(mini, lambda it: it.set("first", "q"), lambda it: it.set("big", "q", worker=300))
    return true(settled(mini, lambda it: it.set("younger", "q")), "younger")


def borrowing() -> Miniature:
    mini = world(200, cohort="c")
    mini.queue("other", 200, cohort="c")
    return settled(mini, lambda it: it.set("s", "q", replicas=2))


def deactivated() -> Miniature:
    mini = settled(world(), lambda it: it.set("s", "q"))
    (workload,) = of_set(mini, "s")
    return settled(
        mini, lambda it: it.edit("Workload", workload["metadata"]["name"], {"spec": {"active": False}}, "ns")
    )


def awaits_check() -> Miniature:
    """A group holds a reservation, and its check is pending."""
    mini = world(admissionChecksStrategy={"admissionChecks": [{"name": "check"}]})
    active = {"type": "Active", "status": "True", "reason": "Active", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    mini.put("AdmissionCheck", "check", {"spec": {"controllerName": "story"}, "status": {"conditions": [active]}})
    return settled(mini, lambda it: it.set("s", "q"))


def held_while_it_awaits() -> bool:
    """Whether a group that loses its reservation to a hold keeps its Workload."""
    mini = awaits_check()
    before = [it["metadata"]["uid"] for it in of_set(mini, "s")]
    settled(mini, lambda it: it.edit("ClusterQueue", "q", {"spec": {"stopPolicy": "Hold"}}))
    return [it["metadata"]["uid"] for it in of_set(mini, "s")] == before


def surging() -> list[bool]:
    """Which Workloads are admitted when a rolling update has added a group, and there is room for more."""
    mini = settled(world(2_000), lambda it: it.set("s", "q"))
    surge = {"spec": {"rolloutStrategy": {"rollingUpdateConfiguration": {"maxSurge": 1}}}}
    settled(mini, lambda it: it.edit("LeaderWorkerSet", "s", {**surge, "status": {"replicas": 2}}, "ns"))
    return [True for _ in of_set(mini, "s") if true(mini, "s")]


def selected() -> list[dict[str, str]]:
    """What the pods of a group select whose flavor is a rack."""
    mini = world()
    mini.put("ResourceFlavor", "f", {"spec": {"nodeLabels": {names.RACK: "r1"}}})
    mini.decide()
    settled(mini, lambda it: it.set("s", "q"))
    return [pod["spec"].get("nodeSelector") or {} for pod in mini.all("Pod").values()]


def template() -> dict[str, str]:
    mini = settled(world(), lambda it: it.set("s", "q"))
    both = mini.all("LeaderWorkerSet")["ns", "s"]["spec"]["leaderWorkerTemplate"]
    return dict(both["workerTemplate"]["spec"].get("nodeSelector") or {})


def reasons_of_pods() -> set[str]:
    """What is reported of the pods of a group that does not fit."""
    mini = settled(world(100), lambda it: it.set("s", "q"))
    found = [one for pod in mini.all("Pod").values() for one in pod["status"].get("conditions") or ()]
    return {one["reason"] for one in found}


def preempting() -> Miniature:
    """A group of priority 20 has preempted one of 10."""
    mini = world(200, preemption={"withinClusterQueue": "LowerPriority"})
    for value in (10, 20):
        mini.put("WorkloadPriorityClass", f"p{value}", {"value": value})
    settled(mini, lambda it: it.set("low", "q", priority="p10"), lambda it: it.set("high", "q", priority="p20"))
    assert true(mini, "high")
    return mini


def victim_gated() -> bool:
    """Whether the pods of a preempted group are gated when its preemptor is admitted."""
    return gated(preempting(), "low")


def told_preempted() -> bool:
    """Whether a preempted group is told so, and that it is evicted."""
    mini = preempting()
    assert true(mini, "low", "Evicted")
    return true(mini, "low", "Preempted")


def classes() -> list[tuple[object, object]]:
    """Priorities and the names of the classes that they are of, where one group has preempted the other."""
    specs = [it["spec"] for it in preempting().all("Workload").values()]
    return sorted((it["priority"], (it.get("priorityClassRef") or {}).get("name", "")) for it in specs)


def older_runs_on() -> bool:
    """Whether a group is not evicted when a newer one of equal priority waits, and one of lower priority comes."""
    mini = world(300)
    mini.put("WorkloadPriorityClass", "low", {"value": -1})
    settled(mini, lambda it: it.set("older", "q"), lambda it: it.set("newer", "q"))
    assert true(mini, "older")
    assert not true(mini, "newer")
    settled(mini, lambda it: it.set("canary", "q", worker=10, leader=10, priority="low"))
    assert true(mini, "canary")
    conditions = [one["type"] for it in of_set(mini, "older") for one in it["status"]["conditions"]]
    return "Evicted" not in conditions


def deactivated_stays_gated() -> bool:
    """Whether the pods of a deactivated group stay gated when one of lower priority comes."""
    mini = deactivated()
    mini.put("WorkloadPriorityClass", "low", {"value": -1})
    before = [pod for (_, name), pod in mini.all("Pod").items() if name.startswith("s-")]
    assert before
    assert all(pod["spec"].get("schedulingGates") for pod in before)
    settled(mini, lambda it: it.set("canary", "q", priority="low"))
    assert true(mini, "canary")
    pods = [pod for (_, name), pod in mini.all("Pod").items() if name.startswith("s-")]
    return all(pod["spec"].get("schedulingGates") for pod in pods)


def activated() -> tuple[bool, bool]:
    """Whether a group is admitted whose Workload is active again, and whether that is the same Workload."""
    mini = deactivated()
    (before,) = of_set(mini, "s")
    settled(mini, lambda it: it.edit("Workload", before["metadata"]["name"], {"spec": {"active": True}}, "ns"))
    return true(mini, "s"), [it["metadata"]["uid"] for it in of_set(mini, "s")] == [before["metadata"]["uid"]]


def held_reservation() -> bool:
    """Whether a group that awaits its check keeps its reservation when its queue is held."""
    mini = awaits_check()
    settled(mini, lambda it: it.edit("ClusterQueue", "q", {"spec": {"stopPolicy": "Hold"}}))
    return true(mini, "s", "QuotaReserved")


def preempts_to_borrow() -> bool:
    policy = {"reclaimWithinCohort": "LowerPriority", "borrowWithinCohort": {"policy": "LowerPriority"}}
    mini = world(0, cohort="c", preemption={"withinClusterQueue": "LowerPriority", **policy})
    mini.queue("lender", 200, cohort="c")
    mini.queue("borrower", 0, cohort="c")
    mini.put("WorkloadPriorityClass", "p20", {"value": 20})
    settled(mini, lambda it: it.set("low", "borrower"), lambda it: it.set("high", "q", priority="p20"))
    return true(mini, "high")


LOOKS: dict[str, Callable[[], object]] = {
    "strategies-swapped": lambda: (younger_runs("StrictFIFO"), younger_runs("BestEffortFIFO")),
    "strict-as-best-effort": lambda: younger_runs("StrictFIFO"),
    "nothing-shown-as-borrowed": lambda: shown(borrowing(), part="borrowed"),
    "usage-kept-after-deactivation": lambda: shown(deactivated()),
    "usage-of-groups-that-await-checks": lambda: shown(awaits_check()),
    "hold-renews-waiting-workloads": held_while_it_awaits,
    "one-surge-workload-too-many": surging,
    "racks-selected-by-the-flavors-name": selected,
    "first-flavor-written-into-new-templates": template,
    "gated-pods-called-unschedulable": reasons_of_pods,
    "evicted-pods-run-on": victim_gated,
    "never-preempts-to-borrow": preempts_to_borrow,
    "preempted-without-saying-so": told_preempted,
    "priority-without-its-class": classes,
    "older-preempted-late": older_runs_on,
    "deactivated-leader-let-go": deactivated_stays_gated,
    "hold-ignored": held_reservation,
    "reactivation-ignored": activated,
    "quick-reactivation-gets-stuck": activated,
    "reactivated-under-a-new-workload": activated,
}
"""By the name of a fault something that is seen otherwise because of it."""


@pytest.mark.parametrize("name", LOOKS)
def test_a_fault_changes_what_is_seen(name: str) -> None:
    """What is seen of the right reference is not what is seen of the faulty one."""
    right = LOOKS[name]()
    with at_work(named(name)):
        wrong = LOOKS[name]()
    assert wrong != right


def test_the_right_reference_keeps_to_the_strategies() -> None:
    """A younger group that fits passes an older one in a BestEffortFIFO queue alone."""
    assert (younger_runs("StrictFIFO"), younger_runs("BestEffortFIFO")) == (False, True)
