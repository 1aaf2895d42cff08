"""A cluster that somebody else runs, reached by a kubeconfig. Nothing of it is ours, and nothing of it is assumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from conformance.clusters import EDITS_NODES, FAKE_NODES
from conformance.deadlines import Deadlines
from conformance.errors import HarnessError, UsageError
from conformance.kube import ApiError, Kube


class ExistingCluster:
    """The cluster behind a kubeconfig. With `fake_nodes` the user says that KWOK runs there and may be given nodes."""

    provider = "existing"

    def __init__(self, kubeconfig: Path, *, deadlines: Deadlines | None = None, fake_nodes: bool = False) -> None:
        self.kubeconfig = kubeconfig
        self.capabilities = frozenset({FAKE_NODES, EDITS_NODES}) if fake_nodes else frozenset[str]()
        self._deadlines = deadlines or Deadlines()
        self._kubernetes = ""

    def start(self, beside: Callable[[], None] | None = None) -> None:
        """Reach the API server. Raises UsageError when the kubeconfig cannot be read or the server does not answer."""
        if not self.kubeconfig.is_file():
            raise UsageError(
                f"cannot read kubeconfig {self.kubeconfig}: no such file; name a readable one with --kubeconfig"
            )
        kube = Kube(self.kubeconfig, "kueue-lws-conformance/setup", timeout=min(10.0, self._deadlines["request"]))
        try:
            self._kubernetes = kube.request("GET", "/version")["gitVersion"].removeprefix("v")
        except HarnessError as error:
            cause = " ".join(str(error.__cause__ or error).split())[:200]
            raise UsageError(
                f"the API server at {kube.host} does not answer ({cause}); start it, or name another kubeconfig than"
                f" {self.kubeconfig}"
            ) from error
        except ApiError as error:
            raise UsageError(f"the API server at {kube.host} refuses us ({error}); use other credentials") from error
        if beside is not None:
            beside()

    def check(self) -> None:
        """Nothing of it is ours to watch: what breaks there shows in the requests."""

    def on_broken(self, callback: Callable[[str], None]) -> None:
        """As for `check`: never called."""

    def stop(self, *, failed: bool) -> None:
        """It is not ours to stop."""

    def describe(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "kubernetes": self._kubernetes,
            "lws": "",
            "capabilities": sorted(self.capabilities),
            "components": {},
        }
