"""The reference reconciler of this suite, run as a process beside a local cluster, on Kueue's own CRDs.

Of Kueue's rendered manifests only the CRDs are applied, and of those only the version that the reference speaks; no
process of Kueue runs, and nothing converts. It runs as a ServiceAccount with exactly the rights of its manifest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

import conformance
from conformance import manifest_files
from conformance.clusters import Cluster, lws
from conformance.clusters.applying import apply_all, are_served, path_of, read_documents, served_by
from conformance.clusters.controllers import merged
from conformance.clusters.controlplane import STAGE_CONTROLLERS
from conformance.clusters.pki import service_account
from conformance.clusters.processes import Program
from conformance.clusters.running import RunningProgram
from conformance.errors import HarnessError, UsageError
from conformance.implementations import DEVIATIONS, FEATURES
from conformance.kube import Object
from conformance.names import (
    ADMISSION_GATE,
    LWS_FRAMEWORK,
    QUEUE_NAME,
    SCOPE_LABEL,
    SET_NAME,
    SUSPENDING_PARENT,
    WORKER_INDEX,
)

if TYPE_CHECKING:
    from conformance.clusters.local import LocalCluster
    from conformance.components import Components

API_VERSION: Final = "v1beta2"
"""Of Kueue's API, the version that the reference speaks."""
RBAC: Final = "reference-rbac.yaml"
NAMESPACE: Final = "queueing-system"
ACCOUNT: Final = "queueing-reference"
"""Names in the manifest, to each of which a scope is added."""
OF_SCOPE: Final = "queueing-{}"
"""In the names of what the reference makes itself: webhook configurations, Lease, Secret."""
ALL: Final = "all"
"""What stands there without a scope."""


class Reference:
    """Our own reconciler. Several of them, each with a scope of its own, can be on one cluster."""

    name = "reference"
    features = frozenset(FEATURES)
    deviations = DEVIATIONS

    def __init__(self, components: Components, config: Mapping[str, Any], *, scope: str = "", fault: str = "") -> None:
        """`config` has keys of Kueue's configuration; `scope` is the label's value of all that it is to manage; `fault`
        is the name of one of `conformance.faults`, for a reference that does one thing wrong."""
        self._components = components
        self.version = conformance.__version__
        self.source = f"this suite, with the CRDs of {components.versions()['kueue']['source']}"
        self.config: dict[str, Any] = dict(config)
        self.scope, self.fault = scope, fault
        self.program: RunningProgram | None = None

    def put_on(self, cluster: Cluster) -> None:
        from conformance.clusters.local import LocalCluster

        if not isinstance(cluster, LocalCluster):
            raise UsageError(
                f"the implementation reference is put on a local cluster only; on --cluster {cluster.provider} use"
                " --implementation installed, which judges what is there"
            )
        self.program = cluster.run(self.running(cluster))

    def running(self, cluster: LocalCluster) -> RunningReference:
        """What is run."""
        crds = list(own_version(read_documents(self._components.manifest("kueue"))))
        return RunningReference(cluster, crds, self.config, self.scope, self.fault)


class RunningReference(RunningProgram):
    """The reference's process."""

    def __init__(
        self, cluster: LocalCluster, crds: list[Object], config: Mapping[str, Any], scope: str, fault: str = ""
    ) -> None:
        self.scope, self.fault = scope, fault
        super().__init__(cluster, scoped("reference", scope), probes(scoped(NAMESPACE, scope) if scope else "default"))
        self.config = self._put_on_with = dict(config)
        self._crds = crds

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._use(self.config)

    def configured(self, over: Mapping[str, Any]) -> dict[str, Any]:
        return merged(self._put_on_with, over)

    def _run_at(self, webhook_port: int, health_port: int) -> Program:
        cluster = self._cluster
        apply_all(cluster.kube, [*self._crds, *access(self.scope, self.fault)], deadline=self._deadline)
        needed = [lws.RESOURCE, *(each for crd in self._crds for each in served_by(crd))]
        cluster.wait_until("Kueue's CRDs are served", lambda: are_served(cluster.kube, needed), self._deadline)
        identity = service_account(scoped(NAMESPACE, self.scope), scoped(ACCOUNT, self.scope))
        kubeconfig = cluster.identity_kubeconfig(self.name, identity)
        argv = command(kubeconfig, self._config_file, webhook_port, health_port, self.scope, self.fault)
        # As `-m` finds it here: the keeper starts its children elsewhere.
        env = {"PYTHONPATH": str(Path(conformance.__file__).parent.parent), "PYTHONUNBUFFERED": "1"}
        return Program(self.name, argv, cluster.layout.log(self.name), STAGE_CONTROLLERS, env)

    def _try_probe(self, probe: Object) -> None:
        """The API server only hears of a new webhook after a while, and until then lets objects pass as they are."""
        path = path_of(probe).rpartition("/")[0]
        answer = self._cluster.kube.raw("POST", path, probe, query={"dryRun": "All"})
        if MARKS[probe["kind"]].encode() not in answer:
            raise HarnessError(f"a {probe['kind']} came through without {MARKS[probe['kind']]}")


FAULTY: Final[Object] = {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]}
"""What a faulty reference may do beyond the manifest."""
MARKS: Final = {"LeaderWorkerSet": SUSPENDING_PARENT, "Pod": ADMISSION_GATE}
"""By kind of a probe: what the webhooks add to it."""


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file for the reference. Raises UsageError when it is unreadable, or has what it does not know."""
    from conformance.implementations import kueue
    from conformance.reference.edges.settings import read_rules

    config = kueue.read_config(path)
    read_rules(path)
    return config


def command(
    kubeconfig: Path, config: Path, webhook_port: int, health_port: int, scope: str, fault: str = ""
) -> list[str]:
    """The command line of a reference that is the only one of its scope; with a fault, of a faulty one."""
    module = ["conformance.faults", fault] if fault else ["conformance.reference"]
    files = [f"--kubeconfig={kubeconfig}", f"--config={config}"]
    ports = [f"--webhook-port={webhook_port}", f"--health-port={health_port}"]
    of_scope = [f"--scope={scope}"] if scope else []
    return [sys.executable, "-m", *module, *files, *ports, "--no-leader-elect", *of_scope]


def own_version(documents: Iterable[Object]) -> Iterator[Object]:
    """The CRDs among the documents, each with the reference's version alone, served and stored, and no conversion.

    One that has no such version is left out.
    """
    for document in documents:
        if document["kind"] != "CustomResourceDefinition":
            continue
        spec = document["spec"]
        kept = [version | {"served": True, "storage": True} for version in spec["versions"] if _is_own(version)]
        if kept:
            yield {**document, "spec": {**spec, "versions": kept, "conversion": {"strategy": "None"}}}


def _is_own(version: Object) -> bool:
    return bool(version["name"] == API_VERSION)


def access(scope: str, fault: str = "") -> list[Object]:
    """Namespace, ServiceAccount and rights of the reference of a scope, from the manifest.

    A faulty one may write more than the right one does.
    """
    text = manifest_files.text(RBAC)
    for name in (NAMESPACE, ACCOUNT):
        text = text.replace(name, scoped(name, scope))
    text = text.replace(OF_SCOPE.format(ALL), OF_SCOPE.format(scope or ALL))
    objects = [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]
    for made in objects:
        if made["kind"] == "Namespace" and scope:
            made["metadata"]["labels"] = {SCOPE_LABEL: scope}
        if made["kind"] == "ClusterRole" and fault:
            made["rules"].append(FAULTY)
    return objects


def scoped(name: str, scope: str) -> str:
    """`queueing-system` -> `queueing-system-a` in scope `a`."""
    return f"{name}-{scope}" if scope else name


def probes(namespace: str) -> tuple[Object, ...]:
    """Objects whose dry-run creation goes through each of the reference's webhooks."""
    worker = lws.probe_pod(**{QUEUE_NAME: "probe", SET_NAME: "probe", WORKER_INDEX: "0"})
    worker["metadata"]["annotations"][SUSPENDING_PARENT] = LWS_FRAMEWORK
    made = (lws.probe_set(**{QUEUE_NAME: "probe"}), worker)
    return tuple(each | {"metadata": each["metadata"] | {"namespace": namespace}} for each in made)
