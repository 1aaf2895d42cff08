"""A local cluster that outlives the command that made it: `cluster up`, `status` and `down`, and `run --reuse`.

There is at most one per user. A file in the user's state folder names its run folder; everything else is asked of its
keeper's lock and events there, so that a cluster lost in a reboot is seen as gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from conformance.clusters import CONFIGURES_IMPLEMENTATION, OWNS_CLUSTER, RESTARTS_IMPLEMENTATION
from conformance.clusters.local import LocalCluster
from conformance.clusters.processes import Death, keeper_of, last_lines, recorded_events
from conformance.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from conformance.components import Components
    from conformance.deadlines import Deadlines
    from conformance.implementations import Implementation

FILE: Final = "cluster.json"
NONE_UP: Final = "no cluster is up; start one with `kueue-lws-conformance cluster up`"
DOWN_SECONDS: Final = 15.0
LOOK_EVERY: Final = 0.5
"""Seconds between two looks at whether a component of a cluster that is not our child has died."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What `cluster up` printed, and what `cluster status` finds."""

    folder: Path
    kubeconfig: Path
    kubectl: Path
    keeper: int
    cluster: Mapping[str, Any]
    implementation: Mapping[str, Any]
    deaths: tuple[Death, ...] = ()


def state_folder() -> Path:
    """The user's state folder of this suite."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "kueue-lws-conformance"


def up(
    components: Components, implementation: Implementation, *, deadlines: Deadlines, port: int | None = None
) -> Standing:
    """Start a cluster with the implementation on it and leave it running.

    Raises UsageError when one is up already, or when the state folder cannot be written.
    """
    present = status()
    if present is not None:
        raise UsageError(
            f"a cluster is up already in {present.folder}; use it with --reuse, or end it with `cluster down`"
        )
    file = _writable_file()
    cluster = LocalCluster(components, deadlines=deadlines, port=port)
    cluster.start(lambda: implementation.put_on(cluster))
    try:
        found: dict[str, Any] = {
            "folder": str(cluster.folder),
            "kubeconfig": str(cluster.kubeconfig),
            "kubectl": str(components.binary("kubectl")),
            "cluster": cluster.describe(),
            "implementation": {
                "name": implementation.name,
                "version": implementation.version,
                "source": implementation.source,
                "config": implementation.config,
            },
        }
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        cluster.processes.detach()
    except BaseException:
        file.unlink(missing_ok=True)
        cluster.stop(failed=False)
        raise
    standing = status()
    if standing is None:
        raise HarnessError("the cluster was up and is gone again")
    return standing


def status() -> Standing | None:
    """The cluster that is up, with the components of it that have died; None when there is none."""
    try:
        found = msgspec.json.decode((state_folder() / FILE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    folder = Path(found["folder"])
    keeper = keeper_of(folder)
    if keeper is None:
        return None
    return Standing(
        folder=folder,
        kubeconfig=Path(found["kubeconfig"]),
        kubectl=Path(found["kubectl"]),
        keeper=keeper,
        cluster=found["cluster"],
        implementation=found["implementation"],
        deaths=_deaths(folder),
    )


def down() -> Path:
    """End the cluster that is up and return the folder that it had. Raises UsageError when none is up.

    The pid is trusted because its process holds the lock in the cluster's folder.
    """
    standing = status()
    if standing is None:
        (state_folder() / FILE).unlink(missing_ok=True)
        raise UsageError(NONE_UP)
    os.kill(standing.keeper, signal.SIGTERM)
    until = time.monotonic() + DOWN_SECONDS
    while keeper_of(standing.folder) is not None:
        if time.monotonic() > until:
            raise HarnessError(f"the keeper (pid {standing.keeper}) of {standing.folder} does not end; kill it")
        time.sleep(0.05)
    shutil.rmtree(standing.folder, ignore_errors=True)
    (state_folder() / FILE).unlink(missing_ok=True)
    return standing.folder


def attach() -> StandingCluster:
    """The cluster that is up, for one run. Raises UsageError when none is."""
    standing = status()
    if standing is None:
        raise UsageError(NONE_UP)
    return StandingCluster(standing)


class StandingCluster:
    """The cluster of `cluster up` as a run sees it: used, never stopped, never restarted."""

    provider = "local"
    capabilities = LocalCluster.capabilities - {OWNS_CLUSTER, RESTARTS_IMPLEMENTATION, CONFIGURES_IMPLEMENTATION}

    def __init__(self, standing: Standing) -> None:
        self.folder = standing.folder
        self.kubeconfig = standing.kubeconfig
        self.implementation = standing.implementation
        """Name, version, source and configuration of what was put on it."""
        self._described = standing.cluster

    def start(self, beside: Callable[[], None] | None = None) -> None:
        """It is up. Raises HarnessError when a component has died."""
        self.check()
        if beside is not None:
            beside()

    def check(self) -> None:
        deaths = _deaths(self.folder)
        if deaths:
            raise HarnessError(str(deaths[0]))
        if keeper_of(self.folder) is None:
            raise HarnessError("the cluster of `cluster up` was ended")

    def pids(self) -> dict[str, int]:
        """The process ids of the components, by name."""
        return {event["name"]: event["pid"] for event in recorded_events(self.folder) if event["event"] == "started"}

    def on_broken(self, callback: Callable[[str], None]) -> None:
        """The keeper tells its own runner only, so this looks from time to time."""
        import threading

        def look() -> None:
            while True:
                try:
                    self.check()
                except HarnessError as error:
                    callback(str(error))
                    return
                time.sleep(LOOK_EVERY)

        threading.Thread(target=look, name="standing-cluster", daemon=True).start()

    def stop(self, *, failed: bool) -> None:
        """It stays up; `cluster down` ends it."""

    def describe(self) -> dict[str, Any]:
        return {**self._described, "capabilities": sorted(self.capabilities)}


def _deaths(folder: Path) -> tuple[Death, ...]:
    unasked = [e for e in recorded_events(folder) if e["event"] == "exited" and not e["asked"]]
    return tuple(Death(e["name"], e["code"], last_lines(folder / "logs" / f"{e['name']}.log")) for e in unasked)


def _writable_file() -> Path:
    folder = state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / FILE
        file.touch(mode=0o600)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error}; set XDG_STATE_HOME to a writable folder") from error
    return file
