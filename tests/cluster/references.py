"""A cluster with the reference on it, and what its tests ask of what was recorded there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from test_reference_e2e import Near
from test_reference_e2e import a_cluster_with as a_cluster_with

from conformance.kube import Object
from conformance.names import WORKER_INDEX
from conformance.trace.history import History, View, group_of_workload, is_over, is_true, labels
from conformance.world.builders import SetSpec
from conformance.world.handles import SetHandle
from conformance.world.tenant import Tenant

T = TypeVar("T")
NEW, NEWER = "registry.k8s.io/pause:3.11", "registry.k8s.io/pause:3.12"


# What is written of a set


def template(spec: SetSpec, **containers: object) -> Object:
    """The leader and worker templates of a set, with these fields in each of their containers: a merge patch of it."""
    written = spec.object["spec"]["leaderWorkerTemplate"]
    changed = {}
    for name in ("leaderTemplate", "workerTemplate"):
        if name in written:
            own = written[name]["spec"]["containers"]
            changed[name] = {"spec": {"containers": [container | containers for container in own]}}
    return {"spec": {"leaderWorkerTemplate": changed}}


def roll(lws: SetHandle, image: str) -> None:
    """Give both templates another image."""
    lws.edit(template(lws.spec, image=image))


def rolling(spec: SetSpec, *, unavailable: int = 1, surge: int | str = 0, partition: int = 0) -> SetSpec:
    """The same with this configuration of rolling updates."""
    how = {"maxUnavailable": unavailable, "maxSurge": surge, "partition": partition}
    strategy = {"type": "RollingUpdate", "rollingUpdateConfiguration": how}
    return SetSpec(spec.object | {"spec": spec.object["spec"] | {"rolloutStrategy": strategy}}, spec.group)


# What is seen


def images(view: View, name: str, index: int) -> set[str]:
    """The images that the pods of a group run."""
    pods = view.pods_of_group(name, index)
    return {container["image"] for pod in pods for container in pod["spec"]["containers"]}


def has_rolled(lws: SetHandle, image: str, *, since: int = 0) -> Callable[[View], bool]:
    """Whether every group from this index on runs the image, and the update is over."""

    def look(view: View) -> bool:
        found = view.get("LeaderWorkerSet", lws.spec.name)
        if found is None or is_true(found, "UpdateInProgress") or not is_true(found, "Available"):
            return False
        status, replicas = found["status"], found["spec"]["replicas"]
        over = status.get("replicas") == replicas and status.get("updatedReplicas", 0) >= replicas - since
        size = found["spec"]["leaderWorkerTemplate"]["size"]
        pods = [pod for pod in view.pods_of_set(lws.spec.name) if not is_over(pod) and is_true(pod, "Ready")]
        leaders = view.get("StatefulSet", lws.spec.name)
        settled = leaders is not None and leaders["spec"]["replicas"] == replicas
        return (
            over
            and settled
            and len(pods) == len(view.pods_of_set(lws.spec.name)) == replicas * size
            and all(images(view, lws.spec.name, index) == {image} for index in range(since, replicas))
        )

    return look


def until(tenant: Tenant, what: str, test: Callable[[View], object]) -> None:
    """Wait for something that is seen of a tenant; fails with its words."""
    tenant.wait_for(what, lambda view: test(view) or None)


def indices(view: View, name: str) -> frozenset[int | None]:
    """The groups of which a set has Workloads."""
    uid = view.last_uid("LeaderWorkerSet", name)
    return frozenset(group_of_workload(one, name) for one in view.owned_workloads(uid or ""))


def workloads(view: View, name: str) -> dict[int | None, str]:
    """The UID of the Workload of each group of a set."""
    uid = view.last_uid("LeaderWorkerSet", name)
    return {group_of_workload(one, name): one["metadata"]["uid"] for one in view.owned_workloads(uid or "")}


def holders(view: View, name: str) -> frozenset[int | None]:
    """The groups of a set that hold quota."""
    uid = view.last_uid("LeaderWorkerSet", name)
    owned = view.owned_workloads(uid or "")
    return frozenset(group_of_workload(one, name) for one in owned if is_true(one, "QuotaReserved"))


def pods(view: View, name: str, index: int) -> dict[str, str]:
    """The UID of each pod of a group that is here to stay, by its name."""
    found = view.pods_of_group(name, index)
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found if not is_over(pod)}


def used(view: View, queue: str) -> str:
    """The cpu that a ClusterQueue says to be used, in its own words."""
    status = (view.get("ClusterQueue", queue) or {}).get("status") or {}
    return ",".join(each["total"] for flavor in status.get("flavorsUsage") or () for each in flavor["resources"])


def since(near: Near, tenant: Tenant, revision: int, look: Callable[[View], T]) -> list[T]:
    """What was seen in every recorded state of a tenant from this revision on, each once, in order."""
    history = History(near.recorder.records_of(tenant.story.name, tenant.name))
    first = sum(1 for change in history.changes if change.revision <= revision)
    found: list[T] = []
    for view in history.views(first):
        seen = look(view)
        if not found or found[-1] != seen:
            found.append(seen)
    return found


def worker(view: View, name: str, index: int) -> Object:
    """A worker pod of a group."""
    return next(pod for pod in view.pods_of_group(name, index) if labels(pod)[WORKER_INDEX] != "0")
