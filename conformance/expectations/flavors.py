"""Expectations about flavors: which one a group got, and what its pods carry of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from conformance.expectations.model import Observation, expectation, parametrized, seen
from conformance.expectations.subjects import Group, WholeSet
from conformance.names import OUR_GATES, RACK
from conformance.trace.history import gates, labels


@parametrized
def in_flavor(name: str) -> Callable[[Group], Iterable[Observation]]:
    """All that the group's Workload was given is of this flavor."""

    def check(group: Group) -> Iterator[Observation]:
        admission = ((group.workload or {}).get("status") or {}).get("admission") or {}
        for podset in admission.get("podSetAssignments") or ():
            field = "status.admission.podSetAssignments[].flavors"
            yield seen(group.title, field, [name], sorted(set((podset.get("flavors") or {}).values())))

    return check


@parametrized
def selects_rack(rack: str) -> Callable[[Group], Iterable[Observation]]:
    """Every pod of the group that has no gate of Kueue's selects the nodes of this rack, and is bound to none else."""

    def check(group: Group) -> Iterator[Observation]:
        for pod in group.pods:
            if any(gate in OUR_GATES for gate in gates(pod)):
                continue
            selected = (pod["spec"].get("nodeSelector") or {}).get(RACK, "unset")
            yield seen(pod, f"spec.nodeSelector[{RACK}]", rack, selected)
            node = group.view.get("Node", pod["spec"].get("nodeName") or "")
            if node is not None:
                yield seen(pod, f"spec.nodeName, of a node with {RACK}", rack, labels(node).get(RACK))

    return check


@expectation
def templates_select_nothing(whole: WholeSet) -> Iterator[Observation]:
    """No template of the set has a node selector."""
    if whole.lws is not None:
        templates = whole.lws["spec"]["leaderWorkerTemplate"]
        for name in ("leaderTemplate", "workerTemplate"):
            if templates.get(name):
                selector = templates[name]["spec"].get("nodeSelector") or {}
                yield seen(whole.lws, f"spec.leaderWorkerTemplate.{name}.spec.nodeSelector", {}, selector)
