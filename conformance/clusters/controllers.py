"""Runs an upstream controller (LWS, Kueue) outside the cluster, from its own rendered manifests.

The manifests are applied unchanged but for what a process instead of a pod needs: no Deployment; no APIService, which
without a backend would block the deletion of namespaces; each webhook Service becomes an ExternalName to localhost, and
every reference to it names the real port. The controller runs with its upstream command line and configuration, as its
ServiceAccount and therefore with exactly its upstream rights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from conformance.clusters.applying import read_documents, served_by
from conformance.clusters.pki import Identity, service_account
from conformance.clusters.webhook_certificates import WebhookCertificate
from conformance.errors import UsageError
from conformance.kube import Object

LEFT_OUT: Final = frozenset({"Deployment", "APIService"})


@dataclass(frozen=True)
class Controller:
    """One controller to be put on a cluster.

    `configure` makes its configuration from the upstream one; `needs` names resources, as (discovery path, plural),
    that it expects at its start; `probes` are objects whose dry-run creation goes through each kind of its webhooks.
    """

    name: str
    binary: Path
    manifest: Path
    configure: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda stock: stock
    needs: Sequence[tuple[str, str]] = ()
    probes: Sequence[Object] = ()


class Installation:
    """What a controller's rendered manifests say about it. Raises UsageError where they do not fit."""

    def __init__(self, controller: Controller) -> None:
        self.name = controller.name
        self.documents = read_documents(controller.manifest)
        deployment, self._container = self._find_container(controller.manifest)
        pod = deployment["spec"]["template"]["spec"]
        self.namespace: str = deployment["metadata"]["namespace"]
        self.identity: Identity = service_account(self.namespace, pod["serviceAccountName"])
        self.arguments = [a for a in self._container["args"] if not a.startswith("--config")]
        self.webhook_secret: str = next(
            v["secret"]["secretName"] for v in pod["volumes"] if "webhook" in v.get("secret", {}).get("secretName", "")
        )
        self._services = {_key(service) for service in self._webhook_services()}
        self.webhook_dns_name = next(f"{name}.{namespace}.svc" for namespace, name in self._services)
        self.config: dict[str, Any] = self._find_config()

    @property
    def resources(self) -> list[tuple[str, str]]:
        """(discovery path, plural) of everything that its CRDs serve."""
        return [each for d in self.documents if d["kind"] == "CustomResourceDefinition" for each in served_by(d)]

    def objects(self, port: int, certificate: WebhookCertificate) -> list[Object]:
        """What to apply, for webhooks that are served at this port of localhost with this certificate."""
        return [self._adapted(d, port, certificate) for d in self.documents if d["kind"] not in LEFT_OUT]

    def _adapted(self, document: Object, port: int, certificate: WebhookCertificate) -> Object:
        kind, meta = document["kind"], document["metadata"]
        here = (meta.get("namespace", ""), meta["name"])
        if kind == "Service" and here in self._services:
            return {**document, "spec": {"type": "ExternalName", "externalName": "localhost"}}
        if kind == "Secret" and here == (self.namespace, self.webhook_secret):
            return {**document, "data": certificate.secret_data()}
        configs = list(_client_configs(document))
        if not configs:
            return document
        adapted = copy.deepcopy(document)
        for config in _client_configs(adapted):
            config["service"]["port"] = port
            config["caBundle"] = certificate.ca_bundle
        return adapted

    def _webhook_services(self) -> Iterator[Object]:
        for document in self.documents:
            for config in _client_configs(document):
                yield config["service"]

    def _find_container(self, manifest: Path) -> tuple[Object, Object]:
        for document in self.documents:
            if document["kind"] == "Deployment":
                for container in document["spec"]["template"]["spec"]["containers"]:
                    if any(a.startswith("--config") for a in container.get("args", ())):
                        return document, container
        raise UsageError(
            f"the manifest {manifest} has no Deployment whose container takes --config; name the rendered manifest of"
            f" {self.name}"
        )

    def _find_config(self) -> dict[str, Any]:
        for document in self.documents:
            if document["kind"] == "ConfigMap" and "controller_manager_config.yaml" in document.get("data", {}):
                found: dict[str, Any] = yaml.safe_load(document["data"]["controller_manager_config.yaml"])
                return found
        raise UsageError(f"the manifest of {self.name} has no ConfigMap with a controller_manager_config.yaml")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` merged over `base`: mappings key by key, all else replaced. Neither is changed."""
    result = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in over.items():
        present = result.get(key)
        both = isinstance(present, Mapping) and isinstance(value, Mapping)
        result[key] = merged(present, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return result


def process_settings(webhook_port: int, health_port: int, certificates: Path) -> dict[str, Any]:
    """What the configuration of a controller that runs as a process of this machine must say, whatever else it says."""
    return {
        "webhook": {"host": "127.0.0.1", "port": webhook_port, "certDir": str(certificates)},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health_port}"},
        "leaderElection": {"leaderElect": False},
    }


def as_configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the settings of the process, such as ports and folders: the same in every run."""
    return _without(config, process_settings(0, 0, Path()))


def _without(config: Mapping[str, Any], left_out: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in config.items():
        out = left_out.get(key, {})
        if not isinstance(out, Mapping):
            continue
        rest = _without(value, out) if out and isinstance(value, Mapping) else copy.deepcopy(value)
        if rest or not out:
            kept[key] = rest
    return kept


def _client_configs(document: Object) -> Iterator[dict[str, Any]]:
    """Every webhook client configuration in a document that names a Service."""
    if document["kind"] in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for webhook in document.get("webhooks") or ():
            if "service" in webhook["clientConfig"]:
                yield webhook["clientConfig"]
    elif document["kind"] == "CustomResourceDefinition":
        webhook = document["spec"].get("conversion", {}).get("webhook") or {}
        if "service" in webhook.get("clientConfig", {}):
            yield webhook["clientConfig"]


def _key(service: Object) -> tuple[str, str]:
    return service["namespace"], service["name"]
