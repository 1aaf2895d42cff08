"""An admission check whose controller is the story: groups with quota wait for what the story says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from conformance.errors import HarnessError
from conformance.names import KUEUE, OURS
from conformance.world.handles import GroupHandle

if TYPE_CHECKING:
    from conformance.world.tenant import Tenant


class Check:
    """The tenant's AdmissionCheck, which every Workload of its ClusterQueue has to pass."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._name = tenant.name
        kind, metadata = "AdmissionCheck", {"name": self._name, "labels": tenant.labels}
        spec = {"controllerName": f"{OURS}/story"}
        tenant.add({"apiVersion": f"{KUEUE}/v1beta2", "kind": kind, "metadata": metadata, "spec": spec})
        active = {"type": "Active", "status": "True", "reason": "Active", "message": "", "lastTransitionTime": _now()}
        body = {"status": {"conditions": [active]}}
        tenant.patch(kind, self._name, body, namespaced=False, subresource="status")
        wanted = {"admissionChecksStrategy": {"admissionChecks": [{"name": self._name}]}}
        tenant.patch("ClusterQueue", self._name, {"spec": wanted}, namespaced=False)

    def let_pass(self, group: GroupHandle) -> None:
        """Say that the group may be admitted."""
        if (workload := group.found.workload) is None:
            raise HarnessError(f"{group.subject.title} has no Workload that could pass the check")
        said = {"name": self._name, "state": "Ready", "message": "", "lastTransitionTime": _now()}
        body = {"status": {"admissionChecks": [said]}}
        self._tenant.patch("Workload", workload["metadata"]["name"], body, subresource="status")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
