"""Whatever queues LeaderWorkerSets on the cluster already: nothing is put on, it is only looked at."""

from __future__ import annotations

from typing import Any

from conformance.clusters import Cluster
from conformance.errors import UsageError
from conformance.implementations import DEVIATIONS, FEATURES
from conformance.kube import ApiError, Kube, Object
from conformance.names import KINDS

NEEDED = ("LeaderWorkerSet", "Workload", "ClusterQueue", "LocalQueue", "ResourceFlavor")
UNKNOWN = ""


class Installed:
    """An implementation that somebody else put on the cluster. All features are taken to be declared."""

    name = "installed"
    features = frozenset(FEATURES)
    deviations = DEVIATIONS
    scope = ""
    program = None

    def __init__(self) -> None:
        self.version = UNKNOWN
        self.source = "the cluster"
        self.config: dict[str, Any] = {}

    def put_on(self, cluster: Cluster) -> None:
        """Check that the cluster serves what is needed, and read the version off the controller's image.

        Raises UsageError that names what is missing.
        """
        known: dict[str, Any] | None = getattr(cluster, "implementation", None)
        kube = Kube(cluster.kubeconfig, "kueue-lws-conformance/setup")
        missing = [name for name in NEEDED if not _serves(kube, name)]
        if missing:
            raise UsageError(
                f"the cluster at {kube.host} does not serve {', '.join(missing)}; install LeaderWorkerSet and Kueue"
                " there, or name another cluster"
            )
        if known is not None:  # a cluster that `cluster up` made knows what runs beside it
            self.version, self.source, self.config = known["version"], known["source"], known["config"]
        else:
            self.version = _version_of_image(kube)


def _serves(kube: Kube, name: str) -> bool:
    kind = KINDS[name]
    try:
        resources = kube.request("GET", f"/apis/{kind.group}/{kind.version}")["resources"]
    except ApiError as error:
        if error.status == 404:
            return False
        raise UsageError(f"the cluster at {kube.host} does not let us look: {error}; use other credentials") from error
    return any(resource["name"] == kind.plural for resource in resources)


def _version_of_image(kube: Kube) -> str:
    """`0.19.2` from the image tag of the Kueue Deployment; empty when there is none that we may read."""
    of_kueue = {"labelSelector": "app.kubernetes.io/name=kueue"}
    try:
        found = kube.request("GET", "/apis/apps/v1/deployments", query=of_kueue)
    except ApiError:
        return UNKNOWN
    tags = [_tag(container["image"]) for deployment in found["items"] for container in _containers(deployment)]
    return next((tag.removeprefix("v") for tag in tags if tag), UNKNOWN)


def _containers(deployment: Object) -> list[Object]:
    containers: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return containers


def _tag(image: str) -> str:
    """`v0.19.2` of `registry:5000/kueue/kueue:v0.19.2@sha256:…`; empty when the image has no tag of that form."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag if tag[:1] == "v" and tag[1:2].isdigit() else ""
