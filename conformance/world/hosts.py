"""What a story does to its hosts: it spoils and mends them, lets others take room on them, and loses them.

A host counts as spoilt or mended once that can be seen of its node; what an implementation makes of it is what is
judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from conformance.kube import Object
from conformance.names import GPU, HOLD_NOT_READY, RACK, SPOILT_TAINT
from conformance.trace.history import View, is_true, labels
from conformance.world import builders
from conformance.world.racks import Host
from conformance.world.requests import Requests

if TYPE_CHECKING:
    from conformance.world.tenant import Tenant


@dataclass(frozen=True)
class Cause:
    """Something that may be wrong with a node: the merge patch that makes it so, what undoes it, and how to see it.

    Both patches are made from the node as it was laid out.
    """

    words: str
    patch: Callable[[Object], Object]
    undo: Callable[[Object], Object]
    shows: Callable[[Object], bool]


def _rack(rack: str | None) -> Object:
    return {"metadata": {"labels": {RACK: rack}}}


def _taints(node: Object, *more: Object) -> Object:
    return {"spec": {"taints": [*node["spec"]["taints"], *more]}}


def _held(written: str | None) -> Object:
    return {"metadata": {"annotations": {HOLD_NOT_READY: written}}}


CAUSES: Final = {
    "cordoned": Cause(
        "is cordoned",
        lambda node: {"spec": {"unschedulable": True}},
        lambda node: {"spec": {"unschedulable": None}},
        lambda node: bool(node["spec"].get("unschedulable")),
    ),
    "not-ready": Cause(
        "is NotReady",
        lambda node: _held("true"),
        lambda node: _held(None),
        lambda node: not is_true(node, "Ready"),
    ),
    "unlabelled": Cause(
        "has no rack label",
        lambda node: _rack(None),
        lambda node: _rack(labels(node)[RACK]),
        lambda node: RACK not in labels(node),
    ),
    "tainted": Cause(
        "has a taint that nobody need tolerate",
        lambda node: _taints(node, {"key": SPOILT_TAINT, "effect": "NoSchedule"}),
        lambda node: _taints(node),
        lambda node: any(taint["key"] == SPOILT_TAINT for taint in node["spec"].get("taints") or ()),
    ),
}


TAKEN: Final = "taken"
"""The cause that lies in no node, but in a pod that Kueue does not manage."""


class Hosts:
    """The hosts of a tenant, by the names of its layout."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._nodes: dict[str, Object] = {}

    def laid_out(self, host: Host) -> Object:
        """The node of a host, to be created; it is remembered as it should be."""
        self._nodes[host.name] = host.node(self._tenant.name, self._tenant.labels)
        return self._nodes[host.name]

    def spoil(self, host: str, cause: str) -> None:
        """Make a host useless, for one of the CAUSES or because its GPUs are `taken`, and wait until that shows."""
        if cause == TAKEN:
            self.occupy(host, Requests(gpu=int(self._nodes[host]["status"]["allocatable"][GPU])))
            return
        known = CAUSES[cause]
        self._change(host, known.patch(self._nodes[host]), f"{host} {known.words}", known.shows)

    def mend(self, host: str, cause: str) -> None:
        """Undo what `spoil` did, and wait until that shows."""
        if cause == TAKEN:
            self.vacate(host)
            return
        known = CAUSES[cause]
        undo = known.undo(self._nodes[host])
        self._change(host, undo, f"{host} is as it was", lambda node: not known.shows(node))

    def _change(self, host: str, patch: Object, what: str, shows: Callable[[Object], bool]) -> None:
        name = self._name(host)
        self._tenant.patch("Node", name, patch, namespaced=False)
        self._tenant.wait_for(what, lambda view: any(shows(node) for node in _named(view, "Node", name)) or None)

    def occupy(self, host: str, requests: Requests) -> None:
        """Let a pod that Kueue does not manage take this much of a host, and wait until it runs."""
        tenant, name = self._tenant, f"on-{host}"
        tenant.add(builders.foreign_pod(name, tenant.name, self._name(host), requests))
        tenant.wait_for(f"pod {name} is Ready", lambda view: is_true(view.get("Pod", name), "Ready") or None)

    def vacate(self, host: str) -> None:
        """Delete the pod of `occupy`, and wait until it is gone."""
        name = f"on-{host}"
        self._tenant.delete("Pod", name)
        self._tenant.wait_for(f"pod {name} is gone", lambda view: not _named(view, "Pod", name) or None)

    def lose(self, host: str) -> None:
        """Delete a node and, as nobody else would finish them, the pods on it; wait until all of that is gone."""
        tenant, node = self._tenant, self._name(host)
        lost = [pod for pod in tenant.feed.view.all("Pod") if pod["spec"].get("nodeName") == node]
        tenant.delete("Node", node, namespaced=False)
        for pod in lost:
            tenant.delete("Pod", pod["metadata"]["name"], gracePeriodSeconds=0)
        uids = {pod["metadata"]["uid"] for pod in lost}
        tenant.wait_for(f"{host} and the pods on it are gone", lambda view: _are_gone(view, node, uids) or None)

    def _name(self, host: str) -> str:
        return f"{self._tenant.name}-{host}"


def _named(view: View, kind: str, name: str) -> list[Object]:
    found = view.get(kind, name)
    return [found] if found is not None else []


def _are_gone(view: View, node: str, pods: set[str]) -> bool:
    return not _named(view, "Node", node) and not any(pod["metadata"]["uid"] in pods for pod in view.all("Pod"))
