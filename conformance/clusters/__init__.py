"""The provider seam: a cluster gives a kubeconfig and says what it is capable of.

`local` runs a real control plane on fake nodes as processes of this machine; `existing` is whatever a kubeconfig points
at. What is put on a cluster (an implementation of queueing) is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from conformance.deadlines import Deadlines
from conformance.errors import UsageError, nearest

if TYPE_CHECKING:
    from conformance.components import Components

FAKE_NODES: Final = "fake-nodes"
RUNS_CONTAINERS: Final = "runs-containers"
EDITS_NODES: Final = "edits-nodes"
RESTARTS_IMPLEMENTATION: Final = "restarts-implementation"
CONFIGURES_IMPLEMENTATION: Final = "configures-implementation"
SINGLE_ETCD: Final = "single-etcd"
OWNS_CLUSTER: Final = "owns-cluster"

PROVIDERS: Final = ("local", "existing", "kind")


class Cluster(Protocol):
    """A cluster to tell stories on."""

    @property
    def provider(self) -> str: ...

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def capabilities(self) -> frozenset[str]: ...

    def start(self, beside: Callable[[], None] | None = None) -> None:
        """Bring it up, or reach it. `beside` runs as soon as the API server answers, while the rest comes up."""

    def check(self) -> None:
        """Raises HarnessError, with the last log lines, when a component has died."""

    def on_broken(self, callback: Callable[[str], None]) -> None:
        """Call `callback(message)`, from another thread, as soon as a component dies."""

    def stop(self, *, failed: bool) -> None:
        """End what `start` began. `failed`: there is something to look at, so logs and data of ours are kept."""

    def describe(self) -> dict[str, Any]:
        """The result's `cluster`: provider, kubernetes, lws, capabilities, components."""


def open_cluster(
    name: str,
    *,
    components: Components | None = None,
    deadlines: Deadlines | None = None,
    kubeconfig: Path | None = None,
    fake_nodes: bool = False,
    port: int | None = None,
    keep: bool = False,
) -> Cluster:
    """The cluster of that provider, not yet started. Raises UsageError for an unknown one or an option it has not.

    `components` is needed by `local`, `kubeconfig` by `existing`.
    """
    deadlines = deadlines or Deadlines()
    match name:
        case "local":
            from conformance.clusters.local import LocalCluster

            if components is None:
                raise UsageError("a local cluster needs its components; name a release line with --kueue-version")
            return LocalCluster(components, deadlines=deadlines, port=port, keep=keep)
        case "existing":
            from conformance.clusters.existing import ExistingCluster

            if kubeconfig is None:
                raise UsageError("--cluster existing needs a kubeconfig; name one with --kubeconfig FILE")
            return ExistingCluster(kubeconfig, deadlines=deadlines, fake_nodes=fake_nodes)
        case "kind":
            raise UsageError("--cluster kind is not available yet; use --cluster local or --cluster existing")
    raise UsageError(f"unknown cluster {name!r}; there are: {', '.join(PROVIDERS)}.{nearest(name, list(PROVIDERS))}")
