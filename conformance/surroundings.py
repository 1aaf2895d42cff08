"""What a run stands on: components, cluster and implementation, chosen by the settings, started and stopped together.

Before `start` it only knows what the settings say, which is enough to tell what would be judged.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.deadlines import Deadlines
from conformance.errors import HarnessError, UsageError
from conformance.kube import Kube
from conformance.names import RUN_LABEL
from conformance.report import model
from conformance.requirements import Here
from conformance.settings import Settings

if TYPE_CHECKING:
    from conformance.clusters import Cluster
    from conformance.clusters.restarting import Restarting
    from conformance.components import Components
    from conformance.implementations import Implementation
ONLY_NEW = ("kueue-version", "lws-version", "kueue-from", "lws-from", "kueue-config", "port", "store")
"""Options that say how a new local cluster is made."""


class Surroundings:
    """Components, cluster and implementation of one run."""

    def __init__(self, settings: Settings, deadlines: Deadlines, say: Callable[[str], None]) -> None:
        self.settings, self.deadlines, self._say = settings, deadlines, say
        self.cluster: Cluster
        self.implementation: Implementation
        self._components: Components | None = None
        self._started = False
        self._check()

    def _check(self) -> None:
        """Combinations of options that make no sense, found before anything is built."""
        chosen = self.settings
        if chosen.cluster == "kind":
            raise UsageError("--cluster kind is not available yet; use --cluster local or --cluster existing")
        if chosen.cluster == "existing" and chosen.implementation != "installed":
            raise UsageError("an existing cluster is judged as it is; add --implementation installed")
        if chosen.cluster == "existing" and chosen.kubeconfig is None:
            raise UsageError("--cluster existing needs a kubeconfig; name one with --kubeconfig FILE")
        if chosen.kubeconfig is not None and not os.access(chosen.kubeconfig, os.R_OK):
            raise UsageError(f"cannot read kubeconfig {chosen.kubeconfig}; name a readable one with --kubeconfig")
        if chosen.reuse and chosen.cluster != "local":
            raise UsageError("--reuse goes with --cluster local: it uses the cluster that `cluster up` started")
        if chosen.cluster == "local" and chosen.implementation == "installed" and not chosen.reuse:
            raise UsageError(
                "a new local cluster has nothing installed; use --implementation kueue or reference, or --reuse"
            )
        if chosen.reuse or chosen.cluster == "existing":
            for name in ONLY_NEW:
                if getattr(chosen, name.replace("-", "_")) is not None:
                    raise UsageError(f"--{name} is for a cluster that the run starts itself; leave it out")

    @property
    def scope(self) -> str:
        """The implementation's scope, once there is one to tell stories for."""
        return self.implementation.scope

    @property
    def thrown_away(self) -> bool:
        """Whether the cluster goes with the run, so that what is left on it needs no removal."""
        return self.settings.cluster == "local" and not self.settings.reuse

    def here(self) -> Here:
        from conformance.clusters.local import LocalCluster
        from conformance.implementations import FEATURES

        if self.settings.cluster == "existing":
            named = frozenset({"fake-nodes", "edits-nodes"}) if self.settings.fake_nodes else frozenset[str]()
            return Here(frozenset(FEATURES), named)
        if self.settings.reuse:
            return self._here_on_standing()
        line = self._line()
        kueue = None if self.settings.kueue_from else line.kueue
        if self.settings.implementation == "reference":
            kueue = _like_kueue()
        return Here(frozenset(FEATURES), LocalCluster.capabilities, kueue, None if self.settings.lws_from else line.lws)

    def _here_on_standing(self) -> Here:
        from conformance.clusters.standing import attach
        from conformance.implementations import FEATURES

        cluster = attach()
        put_on, lws = cluster.implementation, cluster.describe()["lws"]
        kueue = _like_kueue() if put_on["name"] == "reference" else put_on["version"]
        return Here(frozenset(FEATURES), cluster.capabilities, kueue, lws)

    def _line(self) -> Any:
        from conformance.components.lines import choose

        return choose(self.settings.kueue_version, self.settings.lws_version)

    def start(self, broken: Callable[[str], None]) -> None:
        """Provide the components, bring up the cluster, put the implementation on it."""
        chosen = self.settings
        if chosen.reuse:
            self._attach()
        else:
            self._open()
        self.cluster.start(lambda: self.implementation.put_on(self.cluster))
        self._started = True
        self.cluster.on_broken(broken)
        self.cluster.check()  # of a death before that, nobody was told

    def _attach(self) -> None:
        from conformance.clusters.standing import attach
        from conformance.implementations import open_implementation

        self.cluster = attach()
        self.implementation = open_implementation("installed")

    def _open(self) -> None:
        from conformance.clusters import open_cluster
        from conformance.components import provide
        from conformance.implementations import open_implementation, unbuilt

        chosen = self.settings
        if chosen.cluster == "local":
            self._components = provide(
                self._line(),
                kueue_from=chosen.kueue_from,
                lws_from=chosen.lws_from,
                store=chosen.store,
                unbuilt=unbuilt(chosen.implementation),
                say=self._say,
            )
        self.implementation = open_implementation(
            chosen.implementation, components=self._components, config=chosen.kueue_config
        )
        self.cluster = open_cluster(
            chosen.cluster,
            components=self._components,
            deadlines=self.deadlines,
            kubeconfig=chosen.kubeconfig,
            fake_nodes=chosen.fake_nodes,
            port=chosen.port,
            keep=chosen.keep,
        )

    def stop(self, *, failed: bool) -> None:
        """Stop what was started; a second call does nothing."""
        if self._started:
            self._started = False
            self.cluster.stop(failed=failed)

    @property
    def _folder(self) -> Path | None:
        """The run folder, where the cluster is ours."""
        return getattr(getattr(self, "cluster", None), "folder", None)

    @property
    def kept(self) -> Path | None:
        """The run folder, if it is still there although the cluster is gone."""
        over = self._folder is not None and self.thrown_away and not self._started
        return self._folder if over and self._folder is not None and self._folder.exists() else None

    @property
    def logs(self) -> Path | None:
        """Where each component of a cluster of ours writes its log."""
        return self._folder / "logs" if self._folder is not None else None

    def restarting(self, lost: Callable[[str], None]) -> Restarting | None:
        """The implementation, to be stopped and started again; None where it is not ours. `lost` as for Restarting."""
        from conformance.clusters.restarting import Restarting

        program = self.implementation.program
        return Restarting(program, lost) if program is not None else None

    def client(self, role: str, warned: Callable[[str], None] = lambda text: None) -> Kube:
        """A client whose requests the audit log can tell from those of our others; `warned` as for Kube."""
        agent = f"kueue-lws-conformance/{role}"
        return Kube(self.cluster.kubeconfig, agent, timeout=self.deadlines["request"], warned=warned)

    def stories_at_once(self) -> int:
        """Six per core: more only wait for the API server, fewer leave it idle between their waits."""
        return 6 * (os.cpu_count() or 1)

    def clean_run(self, run: str, seconds: float) -> list[str]:
        """Remove what carries the run's label; what could not be removed."""
        from conformance.world.cleaning import sweep

        try:
            return sweep(self.client("clean-up"), f"{RUN_LABEL}={run}", seconds=seconds)
        except HarnessError as error:
            return [str(error)]

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log, where it is ours."""
        return self._folder / "audit.log" if self._folder is not None else None

    def deviation(self, name: str) -> model.Deviation | None:
        from conformance.implementations.deviations import listed

        return listed(self.implementation.name, self.implementation.version, name)

    def describe_cluster(self) -> Mapping[str, Any]:
        found = self.cluster.describe()
        parts = {
            name: part if isinstance(part, str) else " ".join(str(v) for v in part.values())
            for name, part in found["components"].items()
        }
        return found | {"components": parts}

    def describe_implementation(self) -> Mapping[str, Any]:
        from conformance.clusters.controllers import as_configured

        found = self.implementation
        return {
            "name": found.name,
            "version": found.version,
            # Said only where it is not the released module of that version.
            "source": found.source if self.settings.kueue_from or found.name != "kueue" else None,
            "features": sorted(found.features),
            "config": as_configured(found.config),
        }


def _like_kueue() -> str:
    """The release of Kueue by whose requirements the reference is judged: the newest, whatever CRDs it runs on."""
    from conformance.components.lines import DEFAULT

    return DEFAULT.kueue


def commit_of_checkout() -> str | None:
    """The commit of the checkout that the suite runs from; None when it is installed elsewhere."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
