"""Snapshots of a few values, for the tests of single steps: one namespace, one set, groups of two pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from conformance import names
from conformance.reference.draft import Draft
from conformance.reference.model import (
    Admission,
    Assignment,
    ClusterQueue,
    Condition,
    Flavor,
    LocalQueue,
    Pod,
    PodSet,
    Quota,
    ResourceGroup,
    Rules,
    Set,
    Snapshot,
    TopologyAssignment,
    Workload,
)

NOW = 1_800_000_000.0
CPU = ("default", "cpu")


def condition(status: bool, reason: str = "", since: float = NOW - 100, message: str = "") -> Condition:
    return Condition(status, reason, message, since)


def waiting(group: int = 0, **fields: Any) -> Workload:
    """A group that has no reservation."""
    defaults: dict[str, Any] = {
        "namespace": "ns",
        "name": f"w-{group}",
        "uid": f"uid-{group}",
        "created": NOW - 1000,
        "finalized": True,
        "finalizers": (names.RESOURCE_IN_USE,),
        "owner": "uid-set",
        "set_name": "lws",
        "group": group,
        "queue": "lq",
        "podsets": (PodSet("main", 2),),
    }
    return Workload(**(defaults | fields))


def reserving(group: int = 0, queue: str = "q", amount: int = 2000, **fields: Any) -> Workload:
    """A group that holds a reservation and is not admitted."""
    conditions = {"QuotaReserved": condition(True, "QuotaReserved")} | fields.pop("conditions", {})
    given = Assignment("main", 2, {"cpu": "default"}, {"cpu": amount})
    fields.setdefault("admission", Admission(queue, (given,)))
    return waiting(group, conditions=conditions, **fields)


def admitted(group: int = 0, since: float = NOW - 100, **fields: Any) -> Workload:
    """A group that is admitted."""
    conditions = {"Admitted": condition(True, "Admitted", since)} | fields.pop("conditions", {})
    return reserving(group, conditions=conditions, **fields)


def placed(workload: Workload, *hosts: str) -> Workload:
    """An admitted group with one pod on each of those hosts."""
    assert workload.admission is not None
    topology = TopologyAssignment((names.HOSTNAME,), tuple(((host,), 1) for host in hosts))
    podsets = tuple(replace(podset, topology=topology) for podset in workload.admission.podsets)
    return replace(workload, admission=replace(workload.admission, podsets=podsets))


def pod(group: int = 0, index: int = 0, **fields: Any) -> Pod:
    """A pod that was let go and is ready."""
    defaults: dict[str, Any] = {
        "namespace": "ns",
        "name": f"lws-{group}-{index}",
        "ready": True,
        "suspended": True,
        "set_name": "lws",
        "group": group,
        "worker": index,
        "labels": {names.PODSET: "main"},
        "annotations": {names.WORKLOAD: f"w-{group}", names.PREBUILT_WORKLOAD: f"w-{group}"},
    }
    return Pod(**(defaults | fields))


def gated(group: int = 0, index: int = 0, **fields: Any) -> Pod:
    """A pod as it is born while its group waits."""
    return pod(group, index, ready=False, gates=names.OUR_GATES, **fields)


def queue(name: str = "q", nominal: int = 10_000, **fields: Any) -> ClusterQueue:
    """A ClusterQueue with one flavor and cpu."""
    quota = Quota(nominal, fields.pop("borrowing_limit", None), fields.pop("lending_limit", None))
    return ClusterQueue(name, groups=(ResourceGroup(("cpu",), ("default",)),), quotas={CPU: quota}, **fields)


def world(
    workloads: Iterable[Workload] = (),
    pods: Iterable[Pod] = (),
    queues: Iterable[ClusterQueue] | None = None,
    now: float = NOW,
    rules: Rules | None = None,
    local: Mapping[str, LocalQueue] | None = None,
    **others: Any,
) -> Draft:
    """A draft of a pass on them; the LocalQueue `lq` leads to the ClusterQueue `q`."""
    by_group: dict[tuple[str, str, int], dict[tuple[str, str], Pod]] = {}
    for one in pods:
        assert one.group is not None
        by_group.setdefault((one.namespace, one.set_name, one.group), {})[one.key] = one
    local_queues = {"lq": LocalQueue("ns", "lq", cluster_queue="q")} if local is None else local
    snapshot = Snapshot(
        sets={("ns", "lws"): Set("ns", "lws", "uid-set")},
        workloads={workload.key: workload for workload in workloads},
        pods=by_group,
        cluster_queues={one.name: one for one in ([queue()] if queues is None else queues)},
        local_queues={one.key: one for one in local_queues.values()},
        **({"flavors": {"default": Flavor("default")}} | others),
    )
    return Draft(snapshot, now, rules or Rules())


def after(draft: Draft, **changes: Any) -> Draft:
    """The next pass, with everything stored that this one decided about Workloads."""
    workloads = {**draft.snapshot.workloads, **draft.workloads}
    left = {key: w for key, w in workloads.items() if not (w.deleted and not w.finalizers)}
    now = changes.pop("now", draft.now)
    return Draft(replace(draft.snapshot, workloads=left, **changes), now, draft.rules)
