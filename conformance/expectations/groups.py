"""Expectations about one group: its Workload, its pods, and what they are allowed to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from conformance.expectations.model import Observation, expectation, parametrized, seen, value
from conformance.expectations.subjects import Group
from conformance.names import ADMISSION_GATE, KUEUE, OUR_GATES, REVISION
from conformance.quantities import parse_quantity
from conformance.trace.history import annotations_of, condition, gates, is_true, labels, status_of
from conformance.trace.quota import plain
from conformance.trace.records import Object


@expectation
def created(group: Group) -> Iterator[Observation]:
    """The group's Workload or one of its pods exists."""
    if group.workload is not None or group.pods:
        yield seen(group.title, "exists", True, True)


@expectation
def tried(group: Group) -> Iterator[Observation]:
    """The group's Workload and all pods that its start-up policy creates before admission exist."""
    lws = group.lws
    late = lws is not None and lws["spec"].get("startupPolicy") == "LeaderReady"
    wanted, found = 1 if late else group.size, len(group.pods)
    yield seen(group.title, "Workload", "exists", "exists" if group.workload else "absent")
    yield seen(group.title, "pods", f"≥ {wanted}", found, found >= wanted)


@expectation
def gated(group: Group) -> Iterator[Observation]:
    """Every pod of the group carries the admission gate and is bound to no node."""
    for pod in group.pods:
        yield seen(pod, "spec.schedulingGates", f"has {ADMISSION_GATE}", gates(pod), ADMISSION_GATE in gates(pod))
        yield seen(pod, "spec.nodeName", "unset", pod["spec"].get("nodeName", "unset"))


@expectation
def gated_until_admitted(group: Group) -> Iterator[Observation]:
    """While the group's Workload is not Admitted, every pod of the group carries the admission gate."""
    if not is_true(group.workload, "Admitted"):
        for pod in group.pods:
            yield seen(pod, "spec.schedulingGates", f"has {ADMISSION_GATE}", gates(pod), ADMISSION_GATE in gates(pod))


@expectation
def pods_pending_on_gates(group: Group) -> Iterator[Observation]:
    """Every pod with the admission gate is Pending, PodScheduled=False for reason SchedulingGated, and unbound."""
    for pod in group.pods:
        if ADMISSION_GATE in gates(pod):
            scheduled = condition(pod, "PodScheduled") or {}
            yield seen(pod, "status.phase", "Pending", (pod.get("status") or {}).get("phase"))
            shown = f"{scheduled.get('status')}/{scheduled.get('reason')}"
            yield seen(pod, "status.conditions[PodScheduled]", "False/SchedulingGated", shown)
            yield seen(pod, "spec.nodeName", "unset", pod["spec"].get("nodeName", "unset"))


@expectation
def admitted(group: Group) -> Iterator[Observation]:
    """The group's Workload is Admitted."""
    if group.workload is not None:
        yield seen(group.workload, "status.conditions[Admitted]", "True", status_of(group.workload, "Admitted"))


@expectation
def not_admitted(group: Group) -> Iterator[Observation]:
    """The group has a Workload, and it is not Admitted."""
    if group.workload is not None:
        state = status_of(group.workload, "Admitted")
        yield seen(group.workload, "status.conditions[Admitted]", "not True", state, state != "True")


@expectation
def no_quota_reserved(group: Group) -> Iterator[Observation]:
    """The group has a Workload, no quota is reserved for it, and it is not Admitted."""
    if group.workload is not None:
        for name in ("QuotaReserved", "Admitted"):
            state = status_of(group.workload, name)
            yield seen(group.workload, f"status.conditions[{name}]", "not True", state, state != "True")
        yield seen(group.workload, "status.admission", "unset", _admission(group.workload))


def _admission(workload: Object) -> str:
    return "set" if (workload.get("status") or {}).get("admission") else "unset"


@expectation
def ungated(group: Group) -> Iterator[Observation]:
    """All pods of the group exist, and none carries a gate of Kueue's."""
    yield seen(group.title, "pods", group.size, len(group.pods))
    for pod in group.pods:
        ours = [gate for gate in gates(pod) if gate in OUR_GATES]
        yield seen(pod, "spec.schedulingGates", [], ours)


@expectation
def partly_ungated(group: Group) -> Iterator[Observation]:
    """At least one pod of the group carries no gate of Kueue's."""
    for pod in group.pods:
        if not any(gate in OUR_GATES for gate in gates(pod)):
            yield seen(pod, "spec.schedulingGates", [], [])


@expectation
def bound(group: Group) -> Iterator[Observation]:
    """All pods of the group exist and are bound to a node."""
    yield seen(group.title, "pods", group.size, len(group.pods))
    for pod in group.pods:
        node = pod["spec"].get("nodeName", "unset")
        yield seen(pod, "spec.nodeName", "set", node, node != "unset")


@expectation
def complete(group: Group) -> Iterator[Observation]:
    """All pods of the group exist and are Ready."""
    yield seen(group.title, "pods", group.size, len(group.pods))
    for pod in group.pods:
        yield seen(pod, "status.conditions[Ready]", "True", status_of(pod, "Ready"))


@expectation
def ready(group: Group) -> Iterator[Observation]:
    """The group's Workload is Admitted, and all its pods exist and are Ready."""
    state = status_of(group.workload, "Admitted") if group.workload else "no Workload"
    yield seen(group.title, "Workload.status.conditions[Admitted]", "True", state)
    yield from complete.check(group)


@expectation
def atomic(group: Group) -> Iterator[Observation]:
    """Either every pod of the group carries the admission gate, or the group's Workload is Admitted as a whole."""
    open_pods = [pod for pod in group.pods if ADMISSION_GATE not in gates(pod)]
    if group.pods:
        admission = is_true(group.workload, "Admitted")
        shown = f"{len(open_pods)} of {len(group.pods)} pods ungated"
        expected = "any number of pods ungated" if admission else f"0 of {len(group.pods)} pods ungated"
        yield seen(group.title, "pods without the admission gate", expected, shown, admission or not open_pods)


@expectation
def leaders_only(group: Group) -> Iterator[Observation]:
    """The group's leader exists and none of its workers does."""
    yield seen(group.title, "leader pods", 1, len(group.leaders))
    yield seen(group.title, "worker pods", 0, len(group.workers))


@expectation
def has_workers(group: Group) -> Iterator[Observation]:
    """At least one worker pod of the group exists."""
    if group.workers:
        yield seen(group.title, "worker pods", "at least 1", len(group.workers), True)


@expectation
def absent(group: Group) -> Iterator[Observation]:
    """The group has neither a Workload nor any pod, terminating ones included."""
    left = group.view.pods_of_group(group.set_name, group.index)
    yield seen(group.title, "Workload", "absent", "exists" if group.workload else "absent")
    yield seen(group.title, "pods", 0, len(left))


@expectation
def no_workload(group: Group) -> Iterator[Observation]:
    """No Workload exists for the group."""
    yield seen(group.title, "Workload", "absent", "exists" if group.workload else "absent")


@expectation
def untouched_by_kueue(group: Group) -> Iterator[Observation]:
    """No pod of the group carries a label, annotation or gate of Kueue's."""
    for pod in group.pods:
        keys = sorted(key for key in (*labels(pod), *annotations_of(pod), *gates(pod)) if key.startswith(f"{KUEUE}/"))
        yield seen(pod, "metadata and spec.schedulingGates", [], keys)


@parametrized
def has_podsets(*counts: int) -> Callable[[Group], Iterable[Observation]]:
    """The group's Workload has podsets of exactly these counts, in whatever order."""

    def check(group: Group) -> Iterator[Observation]:
        if group.workload is not None:
            found = sorted(podset.get("count", 1) for podset in group.workload["spec"]["podSets"])
            yield seen(group.workload, "spec.podSets[].count", sorted(counts), found)

    return check


@parametrized
def charged_cpu(*amounts: str) -> Callable[[Group], Iterable[Observation]]:
    """The group's Workload is charged these amounts of cpu, one per podset, in whatever order."""

    def check(group: Group) -> Iterator[Observation]:
        admission = ((group.workload or {}).get("status") or {}).get("admission") or {}
        podsets = admission.get("podSetAssignments") or ()
        if group.workload is not None and podsets:
            found = sorted(plain(parse_quantity((one.get("resourceUsage") or {}).get("cpu", "0"))) for one in podsets)
            yield seen(
                group.workload, "status.admission.podSetAssignments[].resourceUsage[cpu]", sorted(amounts), found
            )

    return check


@parametrized
def queued_in(queue: str) -> Callable[[Group], Iterable[Observation]]:
    """The group's Workload names this LocalQueue."""

    def check(group: Group) -> Iterator[Observation]:
        if group.workload is not None:
            yield seen(group.workload, "spec.queueName", queue, group.workload["spec"].get("queueName"))

    return check


@parametrized
def charged_to(cluster_queue: str) -> Callable[[Group], Iterable[Observation]]:
    """The group's Workload holds its quota in this ClusterQueue."""

    def check(group: Group) -> Iterator[Observation]:
        admission = ((group.workload or {}).get("status") or {}).get("admission")
        if group.workload is not None and admission:
            yield seen(group.workload, "status.admission.clusterQueue", cluster_queue, admission.get("clusterQueue"))

    return check


@value("metadata.uid")
def pod_uids(group: Group) -> dict[str, object]:
    """The identity of each pod of the group."""
    return {f"Pod {pod['metadata']['name']}": pod["metadata"]["uid"] for pod in group.pods}


@value("Workload.metadata.uid")
def workload_uid(group: Group) -> dict[str, object]:
    """The identity of the group's Workload."""
    return {group.title: group.workload["metadata"]["uid"]} if group.workload else {}


@value("Workload.metadata.name")
def workload_name(group: Group) -> dict[str, object]:
    """The name of the group's Workload."""
    return {group.title: group.workload["metadata"]["name"]} if group.workload else {}


@value("Workload.status.conditions[Admitted]")
def admission_time(group: Group) -> dict[str, object]:
    """Whether the group's Workload is Admitted, and since when."""
    if group.workload is None:
        return {}
    found = condition(group.workload, "Admitted") or {}
    return {group.title: (found.get("status"), found.get("lastTransitionTime"))}


@value("metadata.labels[template-revision-hash]")
def pod_revisions(group: Group) -> dict[str, object]:
    """The template revision of each pod of the group."""
    return {f"Pod {pod['metadata']['name']}": labels(pod).get(REVISION) for pod in group.pods}
