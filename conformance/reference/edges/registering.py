"""The webhook configurations, by which the API server knows what to ask and whom to trust.

Configurations are called in the order of their names. Ours begin with `zz-`, after LeaderWorkerSet's own: its webhook
gives a pod its place in its group, and only then can ours tell which Workload the pod belongs to.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import Any, Final

from conformance.names import MANAGED, SCOPE_LABEL, SET_NAME, Kind
from conformance.reference.edges.connection import AGENT, APPLY_PATCH, ApiError, Connection

_GROUP: Final = "admissionregistration.k8s.io"
MUTATING: Final = Kind("MutatingWebhookConfiguration", _GROUP, "v1", "mutatingwebhookconfigurations", False)
VALIDATING: Final = Kind("ValidatingWebhookConfiguration", _GROUP, "v1", "validatingwebhookconfigurations", False)
NOT_OURS: Final = ("kube-system", "kueue-system", "lws-system")
"""Namespaces of the control plane, which must come up whether or not we do."""
_TIMEOUT: Final = 10


@dataclass(frozen=True, slots=True)
class Address:
    """How the API server reaches us: by a host and port, or through a Service (namespace, name)."""

    host: str = ""
    port: int = 0
    service: tuple[str, str] | None = None

    def client(self, path: str, bundle: bytes) -> dict[str, Any]:
        trust = {"caBundle": base64.b64encode(bundle).decode()}
        if self.service is not None:
            namespace, name = self.service
            return {"service": {"namespace": namespace, "name": name, "path": path, "port": 443}, **trust}
        host = f"[{self.host}]" if ":" in self.host else self.host
        return {"url": f"https://{host}:{self.port}{path}", **trust}


def name(scope: str) -> str:
    """The name of both configurations."""
    return f"zz-queueing-{scope or 'all'}"


def configurations(scope: str, address: Address, bundle: bytes) -> list[tuple[Kind, dict[str, Any]]]:
    """Both configurations, whole."""
    sets, pods = ("leaderworkerset.x-k8s.io", "leaderworkersets"), ("", "pods")
    of_a_set = {"matchExpressions": [{"key": SET_NAME, "operator": "Exists"}]}
    managed = {"matchExpressions": [{"key": MANAGED, "operator": "Exists"}]}

    def webhook(path: str, resource: tuple[str, str], operations: list[str], objects: Any = None) -> dict[str, Any]:
        group, plural = resource
        rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": operations, "resources": [plural]}
        return {
            "name": f"{path.strip('/')}.queueing.conformance.kueue-lws.dev",
            "clientConfig": address.client(path, bundle),
            "rules": [{**rule, "scope": "Namespaced"}],
            "namespaceSelector": namespaces(scope),
            "objectSelector": objects or {},
            "admissionReviewVersions": ["v1"],
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "timeoutSeconds": _TIMEOUT,
        }

    once = {"reinvocationPolicy": "Never"}
    mutating = [
        {**webhook("/mutate-set", sets, ["CREATE", "UPDATE"]), **once},
        {**webhook("/mutate-pod", pods, ["CREATE"], of_a_set), **once},
    ]
    validating = [
        webhook("/validate-set", sets, ["CREATE", "UPDATE"]),
        webhook("/validate-pod", pods, ["UPDATE"], managed),
    ]
    return [(kind, _whole(kind, scope, hooks)) for kind, hooks in ((MUTATING, mutating), (VALIDATING, validating))]


def namespaces(scope: str) -> dict[str, Any]:
    """Selects the namespaces of a scope; without a scope, all but those of the control plane."""
    if scope:
        return {"matchLabels": {SCOPE_LABEL: scope}}
    outside = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(NOT_OURS)}
    return {"matchExpressions": [outside]}


def _whole(kind: Kind, scope: str, webhooks: list[dict[str, Any]]) -> dict[str, Any]:
    meta = {"name": name(scope), "labels": {"app.kubernetes.io/managed-by": AGENT}}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "webhooks": webhooks}


class Registration:
    """Our entry with the API server."""

    def __init__(self, connection: Connection, scope: str, address: Address) -> None:
        self._connection, self._scope, self._address = connection, scope, address
        self.done = False

    async def announce(self, bundle: bytes) -> None:
        """Create or update both configurations. Raises ApiError, NoAnswer."""
        query = {"fieldManager": AGENT, "force": "true"}
        for kind, whole in configurations(self._scope, self._address, bundle):
            path = kind.path(None, name(self._scope))
            await self._connection.request("PATCH", path, whole, content_type=APPLY_PATCH, query=query)
        self.done = True

    async def withdraw(self) -> None:
        """Delete both: nobody will answer any more. Raises ApiError, NoAnswer."""
        self.done = False
        await asyncio.gather(*(self._delete(kind) for kind in (MUTATING, VALIDATING)))

    async def _delete(self, kind: Kind) -> None:
        try:
            await self._connection.request("DELETE", kind.path(None, name(self._scope)), timeout=1.0)
        except ApiError as error:
            if error.status != 404:
                raise
