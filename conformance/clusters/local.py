"""A real control plane as processes of this machine, with fake nodes: no Docker, no root, nothing left behind.

`LocalCluster` brings up etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK and LWS in a run folder,
and runs further controllers on request. The order is chosen for time: what needs the API server is prepared while it
starts, and the controllers, which take longest, are started before the rest of the control plane. A keeper process owns
every component.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from conformance import manifest_files
from conformance.clusters import (
    CONFIGURES_IMPLEMENTATION,
    EDITS_NODES,
    FAKE_NODES,
    OWNS_CLUSTER,
    RESTARTS_IMPLEMENTATION,
    SINGLE_ETCD,
    controlplane,
    stages,
)
from conformance.clusters.applying import apply_all, read_documents
from conformance.clusters.controllers import Controller
from conformance.clusters.controlplane import Layout
from conformance.clusters.pki import ADMIN, CONTROLLER_MANAGER, KWOK, SCHEDULER, Authority, Identity, write_kubeconfig
from conformance.clusters.ports import Reservation, run_on_free_ports
from conformance.clusters.processes import Processes, Program
from conformance.clusters.run_folders import new_run_folder
from conformance.clusters.running import RunningController, RunningProgram
from conformance.deadlines import Deadlines
from conformance.errors import HarnessError, UsageError
from conformance.kube import Kube

if TYPE_CHECKING:
    from conformance.components import Components

R = TypeVar("R", bound=RunningProgram)


class LocalCluster:
    """A cluster of its own for one run."""

    provider = "local"
    capabilities = frozenset(
        {FAKE_NODES, EDITS_NODES, RESTARTS_IMPLEMENTATION, CONFIGURES_IMPLEMENTATION, SINGLE_ETCD, OWNS_CLUSTER}
    )

    def __init__(
        self,
        components: Components,
        *,
        deadlines: Deadlines | None = None,
        port: int | None = None,
        keep: bool = False,
        parent: Path | None = None,
    ) -> None:
        """`port`: of the API server, a free one if None. `parent`: where the run folder is made, else $TMPDIR."""
        self.components = components
        self.deadlines = deadlines or Deadlines()
        self.keep = keep
        self.timings: dict[str, float] = {}
        """Seconds from the start of `start` to the end of each phase."""
        self.controllers: dict[str, RunningProgram] = {}
        """What runs beside the control plane, by name: LWS, and the implementation of queueing."""
        self._port = port
        self._parent = parent
        self._api_answers = threading.Event()
        self._failure: BaseException | None = None

    def start(self, beside: Callable[[], None] | None = None) -> None:
        """Bring everything up. `beside` runs meanwhile; its `run_controller` waits for the API server by itself.

        Raises UsageError for a port or folder that cannot be used, HarnessError when a component does not come up; then
        the run folder is kept, for its logs.
        """
        self._began = time.monotonic()
        self.layout = Layout(new_run_folder(self._parent))
        self.processes = Processes(self.layout.folder, keep=self.keep)
        try:
            self._start_control_plane(beside)
        except (UsageError, KeyboardInterrupt):
            self.stop(failed=False)
            raise
        except BaseException:
            self.stop(failed=True)
            raise

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.layout.folder

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    def run_controller(self, controller: Controller) -> RunningController:
        """Put a controller on the cluster and wait until its webhooks answer."""
        return self.run(RunningController(self, controller))

    def run(self, running: R) -> R:
        """Put a program on the cluster and wait until it answers."""
        running.put_on()
        self.controllers[running.name] = running
        return running

    def check(self) -> None:
        self.processes.check()
        if self._failure is not None:
            raise HarnessError(f"the cluster does not come up: {self._failure}")

    def on_broken(self, callback: Callable[[str], None]) -> None:
        self.processes.on_death(callback)

    def stop(self, *, failed: bool) -> None:
        self.processes.end(keep=failed or self.keep)

    def describe(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "kubernetes": self.components.line.kubernetes,
            "lws": self.components.line.lws,
            "capabilities": sorted(self.capabilities),
            "components": self.components.versions(),
        }

    # -- coming up ------------------------------------------------------------------------------------------------

    def _start_control_plane(self, beside: Callable[[], None] | None) -> None:
        self.processes.start(controlplane.etcd(self.components.binary("etcd"), self.layout))
        self.authority = Authority(self.layout.keys)
        self._write_state()
        works = [self._run_api_server, self._run_lws, self._run_the_rest]
        if beside is not None:
            works.append(beside)
        with ThreadPoolExecutor(len(works), thread_name_prefix="coming-up") as pool:
            parts = [pool.submit(self._part, work) for work in works]
            try:
                wait(parts)
            except BaseException as error:  # Ctrl-C comes to this thread alone; the others' waits must end too
                self._failure = self._failure or error
                raise
        if self._failure is not None:
            raise self._failure
        for part in parts:
            part.result()
        self.check()
        self._mark("ready")

    def _part(self, work: Callable[[], None]) -> None:
        """One of the things done at the same time; when one fails, the waits of the others end."""
        try:
            work()
        except BaseException as error:
            self._failure = self._failure or error
            raise

    def _run_api_server(self) -> None:
        policy = self.layout.folder / "audit-policy.yaml"
        policy.write_text(manifest_files.text("audit-policy.yaml"))
        serving = self.authority.server("kube-apiserver")
        binary = self.components.binary("kube-apiserver")

        def choose() -> tuple[Program, Reservation]:
            reserved = Reservation(port=self._port)
            port = reserved.ports[0]
            self.server = f"https://127.0.0.1:{port}"
            return controlplane.api_server(binary, self.layout, self.authority, serving, port, policy), reserved

        def ready(program: Program) -> None:
            self.identity_kubeconfig("admin", ADMIN, self.layout.kubeconfig)
            self.kube = Kube(self.kubeconfig, "kueue-lws-conformance/setup")
            seconds = self.deadlines["control-plane"]
            self.wait_until("the API server answers", self._api_is_ready, seconds, program)

        run_on_free_ports(self.processes, choose, ready)
        self._api_answers.set()
        self._mark("api-server")

    def _api_is_ready(self) -> bool:
        try:
            return self.kube.raw("GET", "/readyz", timeout=2) == b"ok"
        except Exception:  # not listening yet, or not ready: both are "not yet"
            return False

    def wait_for_api(self) -> None:
        """Return when the API server answers; from any thread."""
        self.wait_until("the API server answers", self._api_answers.is_set, self.deadlines["control-plane"])

    def _run_lws(self) -> None:
        from conformance.clusters import lws

        self.run_controller(lws.controller(self.components))
        self._mark("lws")

    def _run_the_rest(self) -> None:
        rbac = read_documents(self.components.manifest("kwok-rbac"))
        stock = read_documents(self.components.manifest("kwok-stages"))
        path = self.layout.folder / "kwok-stages.yaml"
        path.write_bytes(b"\n---\n".join(msgspec.json.encode(stage) for stage in stages.combined(stock)))
        layout, binary = self.layout, self.components.binary
        self.wait_for_api()
        of_kcm = self.identity_kubeconfig("kube-controller-manager", CONTROLLER_MANAGER)
        of_scheduler = self.identity_kubeconfig("kube-scheduler", SCHEDULER)
        of_kwok = self.identity_kubeconfig("kwok", KWOK)
        apply_all(self.kube, rbac, deadline=self.deadlines["control-plane"])
        # Nobody needs the rest before LWS runs, and until then the API server has its hands full with CRDs.
        self.wait_until("LWS is started", lambda: "lws" in self.processes.pids, self.deadlines["controllers"])
        kcm = binary("kube-controller-manager")
        self.processes.start(controlplane.controller_manager(kcm, layout, of_kcm, self.authority))
        self.processes.start(controlplane.scheduler(binary("kube-scheduler"), layout, of_scheduler))
        self.processes.start(controlplane.kwok(binary("kwok"), layout, of_kwok, path))
        self._mark("rest-started")

    def identity_kubeconfig(self, name: str, identity: Identity, path: Path | None = None) -> Path:
        """A kubeconfig with a client certificate of this identity."""
        pair = self.authority.client(name, identity)
        path = path or self.layout.keys / f"{name}.kubeconfig"
        return write_kubeconfig(path, self.server, self.authority.certificate_file, pair, name="kueue-lws-conformance")

    def wait_until(self, what: str, true: Callable[[], bool], seconds: float, program: Program | None = None) -> None:
        """Wait for something during set-up. Raises HarnessError at once when a component dies, or after `seconds`.

        `program` is one that is not settled yet, whose death `check` does not report.
        """
        until = time.monotonic() + seconds
        while not true():
            self.check()
            death = self.processes.death_of(program.name) if program else None
            if death is not None:
                raise HarnessError(str(death))
            if time.monotonic() > until:
                raise HarnessError(f"it did not come true within {seconds:.0f} s that {what}; logs: {self.folder}/logs")
            time.sleep(0.03)

    def _mark(self, phase: str) -> None:
        self.timings[phase] = time.monotonic() - self._began

    def _write_state(self) -> None:
        state = {"runner": os.getpid(), "kubeconfig": str(self.kubeconfig), **self.describe()}
        (self.folder / "state.json").write_bytes(msgspec.json.encode(state))
