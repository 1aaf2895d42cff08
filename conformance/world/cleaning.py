"""Ending a tenant: its objects gone, its quota back to zero, verified on the trace, within a deadline.

LeaderWorkerSets go first and the queues only once their usage is zero again, because that is what invariant I8 judges.
Namespaces are removed only where the cluster outlives the run: their controller makes a hundred requests for each,
which on a cluster that is thrown away a moment later would only slow the stories that are still being told.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from conformance.errors import HarnessError
from conformance.expectations.queues import released
from conformance.expectations.sets import gone
from conformance.expectations.subjects import OfQueue, OfSet
from conformance.kube import ApiError, Kube
from conformance.names import TENANT_LABEL
from conformance.trace.fence import fence
from conformance.trace.history import View

if TYPE_CHECKING:
    from conformance.world.tenant import Tenant

IN_ORDER = (("LocalQueue", "ClusterQueue"), ("ResourceFlavor", "AdmissionCheck"), ("Topology", "Node"))
"""What is ended together, and what only after that.

A Topology whose flavor goes at the same time may keep its finalizer for ever: Kueue 0.19.2 looks for flavors that use
it when the flavor's deletion is told, and then not again (seen once in twenty runs).
"""
QUEUES = tuple(kind for kinds in IN_ORDER for kind in kinds)
SWEPT = ("ClusterQueue", "Cohort", "ResourceFlavor", "Topology", "AdmissionCheck", "WorkloadPriorityClass")
"""What a run leaves outside its namespaces, but for its nodes."""


def clean(tenant: Tenant, *, keep_namespace: bool, owned: bool) -> None:
    """End the tenant and write its second fence.

    On a cluster of ours, what is still there at the deadline stays in the history (so that I8 sees it) and is then
    freed of its finalizers; elsewhere it is a HarnessError with the list.
    """
    view = tenant.feed.view
    sets = [lws["metadata"]["name"] for lws in view.all("LeaderWorkerSet")]
    queues = [queue["metadata"]["name"] for queue in view.all("ClusterQueue")]
    for name in sets:
        _delete(tenant, "LeaderWorkerSet", name)
    try:
        tenant.wait_for("all LeaderWorkerSets of the story are gone", lambda v: _sets_gone(v, sets) or None, "cleanup")
        tenant.wait_for("the quota is back to zero", lambda v: _released(v, queues) or None, "cleanup")
        for kinds in IN_ORDER:
            _end(tenant, kinds)
        _fence(tenant)
    except HarnessError as error:
        _fence(tenant)
        left = remaining(tenant.feed.view)
        if not owned:
            raise HarnessError(f"{error}; still there: {', '.join(left)}") from error
        tenant.finding("cleanup", f"{error}; freed of finalizers by the suite: {', '.join(left)}", "clean-up")
        _release(tenant)
    if not keep_namespace:
        delete_namespace(tenant.ground.kube, tenant.name)


def _end(tenant: Tenant, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        for obj in tenant.feed.view.all(kind):
            _delete(tenant, kind, obj["metadata"]["name"])
    what = f"no {' and no '.join(kinds)} of the story is left"
    tenant.wait_for(what, lambda view: not any(view.all(kind) for kind in kinds) or None, "cleanup")


def _fence(tenant: Tenant) -> None:
    ground = tenant.ground
    fence(
        ground.kube,
        ground.recorder,
        tenant.feed,
        tenant.name,
        tenant.story.name,
        "cleaned",
        ground.deadlines["fence"],
        ground.alive,
    )
    ground.recorder.flush()


def _sets_gone(view: View, names: list[str]) -> bool:
    return all(gone.holds(OfSet(name), view) for name in names) and not view.all("Workload")


def _released(view: View, names: list[str]) -> bool:
    return all(released.holds(OfQueue("ClusterQueue", name), view) for name in names)


def _delete(tenant: Tenant, kind: str, name: str) -> None:
    try:
        tenant.delete(kind, name, namespaced=kind in ("LeaderWorkerSet", "LocalQueue"))
    except ApiError as error:
        if error.status != 404:
            raise


def remaining(view: View) -> list[str]:
    """What a tenant still has, as `Kind name`."""
    kinds = ("LeaderWorkerSet", "Workload", "Pod", *QUEUES)
    return [f"{kind} {obj['metadata']['name']}" for kind in kinds for obj in view.all(kind)]


def _release(tenant: Tenant) -> None:
    for kind in (
        "LeaderWorkerSet",
        "Workload",
        "Pod",
        "LocalQueue",
        "ClusterQueue",
        "ResourceFlavor",
        "AdmissionCheck",
        "Topology",
        "Node",
    ):
        for obj in tenant.feed.view.all(kind):
            meta = obj["metadata"]
            try:
                tenant.ground.kube.patch(kind, meta["name"], meta.get("namespace"), {"metadata": {"finalizers": None}})
                tenant.ground.kube.delete(kind, meta["name"], meta.get("namespace"))
            except ApiError as error:
                if error.status != 404:
                    raise


def delete_namespace(kube: Kube, name: str) -> None:
    """Ask for a namespace to go; the end of all of them is awaited at the end of the run."""
    try:
        kube.delete("Namespace", name)
    except ApiError as error:
        if error.status not in (404, 409):
            raise


def sweep(kube: Kube, selector: str = TENANT_LABEL, *, seconds: float) -> list[str]:
    """Remove everything that carries our labels, whatever run left it (`clean`). Returns what could not be removed.

    Nodes go last: a pod whose node is gone has nobody to finish it.
    """
    end = time.monotonic() + seconds
    for namespace in _labelled(kube, ("Namespace",), selector):
        kube.delete_all("LeaderWorkerSet", namespace.partition(" ")[2])
        delete_namespace(kube, namespace.partition(" ")[2])
    _delete_all(kube, SWEPT, selector)
    left = _await_gone(kube, ("Namespace",), selector, end)
    _delete_all(kube, ("Node",), selector)
    return left + _await_gone(kube, (*SWEPT, "Node"), selector, end)


def _labelled(kube: Kube, kinds: tuple[str, ...], selector: str) -> list[str]:
    """`Kind name` of each object with these labels; a kind that the cluster does not serve has none."""
    found: list[str] = []
    for kind in kinds:
        with _unless_unknown():
            items = kube.list(kind, labelSelector=selector)["items"]
            found += [f"{kind} {item['metadata']['name']}" for item in items]
    return found


def _delete_all(kube: Kube, kinds: tuple[str, ...], selector: str) -> None:
    for kind in kinds:
        with _unless_unknown():
            kube.delete_all(kind, labelSelector=selector)


@contextlib.contextmanager
def _unless_unknown() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status != 404:
            raise


def _await_gone(kube: Kube, kinds: tuple[str, ...], selector: str, end: float) -> list[str]:
    """Wait until none of these is left; those that are still there at the end."""
    while (left := _labelled(kube, kinds, selector)) and time.monotonic() < end:
        time.sleep(0.3)  # The recorder is gone by now: this is the harness's own affair, and no verdict.
    return left
