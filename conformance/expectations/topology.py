"""Expectations about where a group was put: its topology assignment and the nodes that its pods are bound to.

A domain is the pair (block, rack) of a node, since rack labels need not be unique across blocks. Host names are shown
without the tenant's prefix, as the racks of a story are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from conformance.expectations.model import Observation, Value, expectation, parametrized, seen
from conformance.expectations.subjects import Group, WholeSet
from conformance.names import ADMISSION_GATE, BLOCK, HOSTNAME, RACK, TOPOLOGY_GATE, WORKER_INDEX
from conformance.trace.assignments import decode
from conformance.trace.history import View, gates, group_of_workload, labels
from conformance.trace.records import Object


def _host(view: View, node: Object | str) -> str:
    name = node if isinstance(node, str) else labels(node).get(HOSTNAME, node["metadata"]["name"])
    return name.removeprefix(f"{view.tenant}-")


def _rack(node: Object) -> tuple[str, str]:
    return (labels(node).get(BLOCK, ""), labels(node).get(RACK, ""))


def _rack_of_host(view: View, hostname: str) -> tuple[str, str] | None:
    for node in view.all("Node"):
        if labels(node).get(HOSTNAME) == hostname:
            return _rack(node)
    return None


def assigned_hosts(group: Group) -> dict[str, Counter[str]]:
    """Per podset, how many pods the Workload's topology assignment puts on each host (hostname lowest)."""
    admission = ((group.workload or {}).get("status") or {}).get("admission") or {}
    found: dict[str, Counter[str]] = {}
    for podset in admission.get("podSetAssignments") or ():
        if podset.get("topologyAssignment"):
            domains = decode(podset["topologyAssignment"])
            found[podset["name"]] = Counter({values[-1]: 0 for values, _ in domains})
            for values, count in domains:
                found[podset["name"]][values[-1]] += count
    return found


def racks_of(group: Group) -> set[tuple[str, str] | None]:
    """The racks that the group's assignment and its bound pods touch."""
    hosts = {host for counter in assigned_hosts(group).values() for host in counter}
    racks = {_rack_of_host(group.view, host) for host in hosts}
    for pod in group.pods:
        node = group.view.get("Node", pod["spec"].get("nodeName", ""))
        if node is not None:
            racks.add(_rack(node))
    return racks


@expectation
def whole_group_in_one_rack(group: Group) -> Iterator[Observation]:
    """The group's topology assignment and all its bound pods lie in one rack of one block."""
    racks = racks_of(group)
    if racks:
        yield seen(group.title, "racks assigned and bound", "exactly one", sorted(map(str, racks)), len(racks) == 1)


@parametrized
def in_rack(rack: str, block: str = "b1") -> Callable[[Group], Iterable[Observation]]:
    """The group's topology assignment and all its bound pods lie in this rack."""

    def check(group: Group) -> Iterator[Observation]:
        racks = racks_of(group)
        if racks:
            yield seen(
                group.title,
                "racks assigned and bound",
                [(block, rack)],
                sorted(map(str, racks)),
                racks == {(block, rack)},
            )

    return check


@expectation
def groups_in_different_racks(whole: WholeSet) -> Iterator[Observation]:
    """No two admitted groups of the set share a rack."""
    racks: dict[tuple[str, str] | None, list[int]] = {}
    indices = {group_of_workload(workload, whole.name) for workload in whole.workloads}
    for index in sorted(index for index in indices if index is not None):
        for rack in racks_of(whole.group(index)):
            racks.setdefault(rack, []).append(index)
    for where, groups in sorted(racks.items(), key=str):
        yield seen(whole.title, f"groups in rack {where}", "at most one", groups, len(groups) == 1)


@expectation
def no_assignment(group: Group) -> Iterator[Observation]:
    """The group has a Workload, and it has been assigned neither quota nor topology domains."""
    if group.workload is not None:
        admission = (group.workload.get("status") or {}).get("admission")
        yield seen(group.workload, "status.admission", "unset", "set" if admission else "unset")


@expectation
def kueue_gated(group: Group) -> Iterator[Observation]:
    """Every pod of the group carries a gate of Kueue's, whichever, and is bound to no node."""
    for pod in group.pods:
        ours = [gate for gate in gates(pod) if gate in (ADMISSION_GATE, TOPOLOGY_GATE)]
        yield seen(pod, "spec.schedulingGates", "a gate of Kueue's", gates(pod), bool(ours))
        yield seen(pod, "spec.nodeName", "unset", pod["spec"].get("nodeName", "unset"))


@expectation
def bound_as_assigned(group: Group) -> Iterator[Observation]:
    """All pods of the group are bound, and the pods on each host are as many as the assignment puts there."""
    assigned: Counter[str] = Counter()
    for counter in assigned_hosts(group).values():
        assigned += counter
    nodes = [group.view.get("Node", pod["spec"].get("nodeName", "")) for pod in group.pods]
    bound = Counter(labels(node).get(HOSTNAME, "?") for node in nodes if node is not None)
    if assigned or bound:
        wanted = {_host(group.view, host): count for host, count in sorted(assigned.items())}
        found = {_host(group.view, host): count for host, count in sorted(bound.items())}
        yield seen(group.title, "pods per host", wanted, found)


@parametrized
def placed_as(*outcomes: str) -> Callable[[Group], Iterable[Observation]]:
    """The group's pods are bound as one of the legal outcomes says (`leader h1; workers h1 h2`)."""
    legal = {_normal(outcome) for outcome in outcomes}

    def check(group: Group) -> Iterator[Observation]:
        nodes = {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in group.pods}
        if len(nodes) == group.size and all(nodes.values()):
            found = placement(group)
            yield seen(group.title, "placement", " or ".join(sorted(legal)), found, found in legal)

    return check


@parametrized
def assigned_as(*outcomes: str) -> Callable[[Group], Iterable[Observation]]:
    """The group's topology assignment is one of the legal outcomes (`leader h1; workers h1 h2`).

    The podset of the leader is the one whose container is named so.
    """
    legal = {_normal(outcome) for outcome in outcomes}

    def check(group: Group) -> Iterator[Observation]:
        if group.workload is not None and (group.workload.get("status") or {}).get("admission"):
            found = assigned_placement(group)
            field = "status.admission.podSetAssignments[].topologyAssignment"
            yield seen(group.workload, field, " or ".join(sorted(legal)), found, found in legal)

    return check


def assigned_placement(group: Group) -> str:
    """Where the group's pods are assigned, as `leader h1; workers h1 h2`."""
    hosts: dict[bool, list[str]] = {True: [], False: []}
    assigned = assigned_hosts(group)
    for podset in (group.workload or {}).get("spec", {}).get("podSets", ()):
        leader = podset["template"]["spec"]["containers"][0]["name"] == "leader"
        hosts[leader] += [_host(group.view, host) for host in assigned.get(podset["name"], Counter()).elements()]
    return f"leader {' '.join(sorted(hosts[True]))}; workers {' '.join(sorted(hosts[False]))}"


@parametrized
def in_slices(size: int) -> Callable[[Group], Iterable[Observation]]:
    """All pods of the group are bound, and on every host there is a multiple of this many of them."""

    def check(group: Group) -> Iterator[Observation]:
        nodes = [str(pod["spec"].get("nodeName", "")) for pod in group.pods]
        if len(nodes) == group.size and all(nodes):
            found = Counter(_host(group.view, node) for node in nodes)
            whole = all(count % size == 0 for count in found.values())
            yield seen(group.title, "pods per host", f"multiples of {size}", dict(sorted(found.items())), whole)

    return check


def uids_on(host: str) -> Value[Group]:
    """The value "who of the group is on this host": the identity of each of its pods that is bound there."""

    def read(group: Group) -> dict[str, object]:
        on_it = [pod for pod in group.pods if _host(group.view, str(pod["spec"].get("nodeName", ""))) == host]
        return {f"Pod {pod['metadata']['name']}": pod["metadata"]["uid"] for pod in on_it}

    return Value(f"uids_on({host!r})", "metadata.uid", "The identity of each pod of the group on this host.", read)


def placement(group: Group) -> str:
    """Where the group's pods are bound, as `leader h1; workers h1 h2`."""
    hosts: dict[bool, list[str]] = {True: [], False: []}
    for pod in group.pods:
        leader = labels(pod).get(WORKER_INDEX) == "0"
        hosts[leader].append(_host(group.view, str(pod["spec"].get("nodeName"))))
    return f"leader {' '.join(sorted(hosts[True]))}; workers {' '.join(sorted(hosts[False]))}"


def _normal(outcome: str) -> str:
    leader, workers = outcome.split(";")
    return f"{leader.strip()}; workers {' '.join(sorted(workers.split()[1:]))}"
