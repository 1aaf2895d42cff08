"""Small trace records for tests: changes that read like what they show."""

from __future__ import annotations

from typing import Any, Literal

from conformance.names import GROUP_INDEX, GROUP_INDEX_OF_WORKLOAD, KINDS, SET_NAME, TENANT_LABEL
from conformance.trace.records import Change, Moment

TENANT = "t1"
Object = dict[str, Any]


def sample(kind: str, name: str, *, uid: str = "", labels: dict[str, str] | None = None, **content: Any) -> Object:
    """An object of the tenant; `meta` adds to its metadata."""
    meta: Object = {"name": name, "uid": uid or f"uid-{name}", "labels": labels or {}, **content.pop("meta", {})}
    if KINDS[kind].namespaced:
        meta["namespace"] = TENANT
    else:
        meta["labels"] = {**meta["labels"], TENANT_LABEL: TENANT}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": meta, **content}


def change(
    revision: int,
    obj: Object,
    type_: Literal["ADDED", "MODIFIED", "DELETED"] = "ADDED",
    *,
    received: float | None = None,
    implied: bool = False,
) -> Change:
    """A change; it was received at its revision's second, if nothing else is said."""
    meta = obj["metadata"]
    return Change(
        received=float(revision) if received is None else received,
        type=type_,
        kind=obj["kind"],
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta["uid"],
        revision=revision,
        object={**obj, "metadata": {**meta, "resourceVersion": str(revision)}},
        implied=implied,
    )


def lws(name: str = "a", *, replicas: int = 1, size: int = 2, **content: Any) -> Object:
    spec = {"replicas": replicas, "leaderWorkerTemplate": {"size": size}}
    return sample("LeaderWorkerSet", name, **{"spec": spec, **content})


def workload(name: str, index: int, *, owner: str = "uid-a", **content: Any) -> Object:
    """The Workload of a group, as Kueue 0.17 and later mark it."""
    meta = {
        "annotations": {GROUP_INDEX_OF_WORKLOAD: str(index)},
        "ownerReferences": [{"kind": "LeaderWorkerSet", "name": "a", "uid": owner}],
    }
    return sample("Workload", name, **{"meta": meta, "spec": {"queueName": "lq"}, **content})


def pod(name: str, index: int = 0, **content: Any) -> Object:
    labels = {SET_NAME: "a", GROUP_INDEX: str(index)}
    return sample("Pod", name, labels=labels, **{"spec": {}, "status": {"phase": "Pending"}, **content})


def moment(name: str, revision: int, *, received: float | None = None, requirement: str | None = None) -> Moment:
    return Moment(
        received=float(revision) if received is None else received,
        story="s",
        name=name,
        revision=revision,
        waited=0.5,
        requirement=requirement,
        expectation="ready",
        subject="group 0 of a",
    )
