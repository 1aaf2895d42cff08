"""The named edits about preemption, priority and flavors; the others are in `doctoring` and `doctoring_pods`."""

from __future__ import annotations

from conformance.expectations import Expectation
from conformance.expectations.subjects import Group, OfGroup
from conformance.names import RACK
from conformance.trace.history import View
from conformance.trace.records import Object
from editing import Edit, Find, When, WhichGroup, altered, set_condition
from recording import history_of


def evict(find: Find, when: When) -> Edit:
    """The Workload is Evicted."""
    return altered("evict", find, when, lambda workload, view: set_condition(workload, "Evicted", "True"))


def unevict(find: Find, when: When) -> Edit:
    """The Workload is not Evicted."""
    return altered("unevict", find, when, lambda workload, view: set_condition(workload, "Evicted", "False"))


def preempt(find: Find, when: When) -> Edit:
    """The Workload is Preempted."""
    return altered("preempt", find, when, lambda workload, view: set_condition(workload, "Preempted", "True"))


def unpreempt(find: Find, when: When) -> Edit:
    """The Workload is not Preempted."""
    return altered("unpreempt", find, when, lambda workload, view: set_condition(workload, "Preempted", "False"))


def give_back(find: Find, when: When) -> Edit:
    """The Workload holds no reservation."""
    return altered("give_back", find, when, lambda workload, view: set_condition(workload, "QuotaReserved", "False"))


def lend(find: Find, when: When, cpu: str) -> Edit:
    """The queue shows that it borrows this much cpu."""

    def alter(queue: Object, view: View) -> None:
        for flavor in queue["status"]["flavorsUsage"]:
            for one in flavor["resources"]:
                one["borrowed"] = cpu

    return altered("lend", find, when, alter)


def reprioritize(find: Find, when: When) -> Edit:
    """The Workload has another priority than its class."""
    return altered("reprioritize", find, when, lambda workload, view: workload["spec"].update(priority=0))


def refer_elsewhere(find: Find, when: When) -> Edit:
    """The Workload refers to another class than its set."""

    def alter(workload: Object, view: View) -> None:
        workload["spec"]["priorityClassRef"]["name"] = "another"

    return altered("refer_elsewhere", find, when, alter)


def give_flavor(find: Find, when: When, rack: str) -> Edit:
    """The Workload's last podset is given the flavor of another rack."""

    def alter(workload: Object, view: View) -> None:
        podset = workload["status"]["admission"]["podSetAssignments"][-1]
        podset["flavors"] = dict.fromkeys(podset["flavors"], f"{view.tenant}-{rack}")

    return altered("give_flavor", find, when, alter)


def select_rack(find: Find, when: When, rack: str | None) -> Edit:
    """The pod selects the nodes of another rack, or of all."""

    def alter(pod: Object, view: View) -> None:
        selector = {key: val for key, val in (pod["spec"].get("nodeSelector") or {}).items() if key != RACK}
        pod["spec"]["nodeSelector"] = selector | ({RACK: rack} if rack else {})

    return altered("select_rack", find, when, alter)


def write_selector(find: Find, when: When, template: str) -> Edit:
    """A template of the set selects nodes."""

    def alter(lws: Object, view: View) -> None:
        lws["spec"]["leaderWorkerTemplate"][template]["spec"]["nodeSelector"] = {RACK: "r1"}

    return altered("write_selector", find, when, alter)


def the_one(story: str, of: str, expectation: Expectation[Group], moment: str) -> WhichGroup:
    """The first group of a set of which the expectation holds at a moment of the recorded history.

    Which group had to go was decided by the recorded run.
    """
    history = history_of(story)
    view = history.at(history.position_of(history.moments[moment]))
    found = next(OfGroup(of, index) for index in range(3) if expectation.holds(OfGroup(of, index), view))
    return lambda view: found
