"""The real Kueue, as it is released or as it is about to be, run as a process beside a local cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from conformance.clusters import Cluster, lws
from conformance.clusters.controllers import Controller, merged
from conformance.components.lines import Note, note
from conformance.errors import UsageError
from conformance.implementations import DEVIATIONS, FEATURES
from conformance.kube import Object
from conformance.names import KUEUE, QUEUE_NAME

if TYPE_CHECKING:
    from conformance.clusters.running import RunningProgram
    from conformance.components import Components

OURS: Final[Mapping[str, Any]] = {
    # Its server writes its certificate to /visibility and is reached through an APIService, which we leave out.
    "featureGates": {"VisibilityOnDemand": False},
}


class Kueue:
    """Kueue of a release line, with its stock configuration and what is merged over it."""

    name = "kueue"
    features = frozenset(FEATURES)
    deviations = DEVIATIONS
    scope = ""

    def __init__(self, components: Components, config: Mapping[str, Any]) -> None:
        """`config` is the user's, merged over the stock configuration and ours."""
        self._components = components
        self._user_config = config
        self.version: str = components.line.kueue
        self.source = _source(components)
        self.config: dict[str, Any] = {}
        self.program: RunningProgram | None = None

    def put_on(self, cluster: Cluster) -> None:
        from conformance.clusters.local import LocalCluster

        if not isinstance(cluster, LocalCluster):
            raise UsageError(
                f"the implementation kueue is put on a local cluster only; on --cluster {cluster.provider} use"
                " --implementation installed, which judges the Kueue that is there"
            )
        self.program = cluster.run_controller(self.controller())
        self.config = self.program.config

    def controller(self) -> Controller:
        """What is run."""
        return Controller(
            "kueue",
            self._components.binary("kueue"),
            self._components.manifest("kueue"),
            configure=lambda stock: configuration(stock, note(self.version), self._user_config),
            needs=(lws.RESOURCE,),
            probes=probes(),
        )


def configuration(stock: Mapping[str, Any], lacks: Note, user: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration to run with: stock, what this version's lacks, ours, and last what the user says."""
    frameworks = list((stock.get("integrations") or {}).get("frameworks") or ())
    frameworks += [lacking for lacking in lacks.frameworks if lacking not in frameworks]
    completed = {"integrations": {"frameworks": frameworks}, "featureGates": dict(lacks.feature_gates)}
    return merged(merged(merged(stock, completed), OURS), user)


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file to merge over the stock one. Raises UsageError when it is unreadable or no mapping."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the Kueue configuration {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(
            f"the Kueue configuration {path} must be a mapping of configuration keys, not a {type(content).__name__}"
        )
    return content


def _source(components: Components) -> str:
    """Where this Kueue comes from, as the component store says."""
    return components.versions()["kueue"]["source"]


def probes() -> tuple[Object, ...]:
    """Objects whose dry-run creation goes through each kind of Kueue's webhooks."""
    queued = {QUEUE_NAME: "probe"}
    return (
        _kueue_object("ResourceFlavor", {}),
        _kueue_object("ClusterQueue", {"namespaceSelector": {}}),
        _kueue_object(
            "Workload",
            {"podSets": [{"name": "main", "count": 1, "template": {"spec": lws.probe_pod()["spec"]}}]},
            namespace="default",
        ),
        lws.probe_pod(**queued),
        lws.probe_set(**queued),
    )


def _kueue_object(kind: str, spec: Object, **meta: str) -> Object:
    return {"apiVersion": f"{KUEUE}/v1beta2", "kind": kind, "metadata": {"name": "probe", **meta}, "spec": spec}
