"""Expectations about who is evicted for whom: conditions of Workloads, never the texts that explain them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from conformance.expectations.model import Observation, expectation, parametrized, seen
from conformance.expectations.subjects import Group, WholeSet
from conformance.names import KUEUE
from conformance.trace.history import is_true, status_of


@expectation
def evicted(group: Group) -> Iterator[Observation]:
    """The group's Workload is Evicted, and has not been given quota again since."""
    if group.workload is not None:
        yield seen(group.workload, "status.conditions[Evicted]", "True", status_of(group.workload, "Evicted"))


@expectation
def preempted(group: Group) -> Iterator[Observation]:
    """The group's Workload is Evicted, and Preempted says that this was for another one."""
    if group.workload is not None:
        for type_ in ("Evicted", "Preempted"):
            yield seen(group.workload, f"status.conditions[{type_}]", "True", status_of(group.workload, type_))


@expectation
def not_evicted(group: Group) -> Iterator[Observation]:
    """The group has a Workload that is neither Evicted nor Preempted."""
    if group.workload is not None:
        for type_ in ("Evicted", "Preempted"):
            state = status_of(group.workload, type_)
            yield seen(group.workload, f"status.conditions[{type_}]", "not True", state, state != "True")


@parametrized
def at_most_evicted(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """At most this many groups of the set are Evicted."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        gone = [workload for workload in whole.workloads if is_true(workload, "Evicted")]
        if whole.workloads:
            yield seen(whole.title, "Workloads with Evicted=True", f"≤ {count}", len(gone), len(gone) <= count)

    return check


@expectation
def all_pods_exist(whole: WholeSet) -> Iterator[Observation]:
    """Each group of the set has all its pods, of which none is terminating."""
    for index in range(whole.replicas):
        group = whole.group(index)
        yield seen(group.title, "pods", group.size, len(group.pods))


@expectation
def pods_run_on_reserved_quota(whole: WholeSet) -> Iterator[Observation]:
    """Each group of the set of which a pod runs has a Workload that holds its reservation."""
    for index in range(whole.replicas):
        group = whole.group(index)
        pods = whole.view.pods_of_group(whole.name, index)
        for pod in pods:
            if (pod.get("status") or {}).get("phase") == "Running":
                state = status_of(group.workload, "QuotaReserved") if group.workload is not None else "no Workload"
                yield seen(pod, "Workload.status.conditions[QuotaReserved], while it runs", "True", state)


@parametrized
def has_priority(value: int, name: str) -> Callable[[Group], Iterable[Observation]]:
    """The group's Workload has the priority of this WorkloadPriorityClass and refers to it."""

    def check(group: Group) -> Iterator[Observation]:
        if group.workload is not None:
            spec = group.workload["spec"]
            named = spec.get("priorityClassRef") or {}
            shown = {key: named.get(key) for key in ("group", "kind", "name")}
            yield seen(group.workload, "spec.priority", value, spec.get("priority"))
            wanted = {"group": KUEUE, "kind": "WorkloadPriorityClass", "name": name}
            yield seen(group.workload, "spec.priorityClassRef", wanted, shown)

    return check
