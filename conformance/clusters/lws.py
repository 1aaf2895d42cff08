"""LeaderWorkerSet as a part of the cluster: the workload that is queued, whatever the implementation of queueing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from conformance.clusters.controllers import Controller
from conformance.kube import Object
from conformance.names import LWS_DOMAIN, SET_NAME, WORKER_INDEX

if TYPE_CHECKING:
    from conformance.components import Components

RESOURCE: Final = ("/apis/leaderworkerset.x-k8s.io/v1", "leaderworkersets")
"""(discovery path, plural), by which a controller says that it needs LeaderWorkerSets to be served."""
CONTAINER: Final[dict[str, Any]] = {"name": "c", "image": "none", "resources": {"requests": {"cpu": "1m"}}}


def probe_set(**labels: str) -> Object:
    """A small LeaderWorkerSet whose dry-run creation goes through the webhooks."""
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "probe", "namespace": "default", "labels": labels},
        "spec": {
            "replicas": 1,
            "leaderWorkerTemplate": {"size": 1, "workerTemplate": {"spec": {"containers": [CONTAINER]}}},
        },
    }


def probe_pod(**labels: str) -> Object:
    """A small Pod whose dry-run creation goes through the webhooks that select these labels."""
    annotations = {f"{LWS_DOMAIN}/size": "1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe-0", "namespace": "default", "labels": labels, "annotations": annotations},
        "spec": {"containers": [CONTAINER]},
    }


def controller(components: Components) -> Controller:
    """LWS of this release line."""
    probes = (probe_set(), probe_pod(**{SET_NAME: "probe", WORKER_INDEX: "0"}))
    return Controller("lws", components.binary("lws"), components.manifest("lws"), probes=probes)
