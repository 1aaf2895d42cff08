"""One program beside a local cluster that answers its API server: put on, made ready, stopped, started again.

`RunningProgram` is what every such program has in common: ports, a process under the cluster's keeper, `/readyz`, and
webhooks that are known to answer because dry-run creations have gone through them. `RunningController` is an upstream
controller, put on from its own manifests.
"""

from __future__ import annotations

import base64
import http.client
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import msgspec

from conformance.clusters.applying import apply_all, are_served, path_of
from conformance.clusters.controllers import Controller, Installation, merged, process_settings
from conformance.clusters.controlplane import STAGE_CONTROLLERS
from conformance.clusters.ports import Reservation, run_on_free_ports
from conformance.clusters.processes import Program
from conformance.clusters.webhook_certificates import WebhookCertificate, webhook_certificate
from conformance.errors import HarnessError
from conformance.kube import ApiError, Object

if TYPE_CHECKING:
    from conformance.clusters.local import LocalCluster

DENIED: Final = "denied the request"
"""Part of the answer that a webhook itself gave; one that cannot be called gives a 500 instead."""
REMOUNT_SECONDS: Final = 0.5


class RunningProgram(ABC):
    """A program and its process. `probes` are objects whose dry-run creation goes through each kind of its webhooks."""

    may_die = False
    """Whether its death is no reason to give up the cluster."""

    def __init__(self, cluster: LocalCluster, name: str, probes: Sequence[Object]) -> None:
        self.name = name
        self.config: dict[str, Any] = {}
        """The configuration it runs with, once put on."""
        self._config_file = cluster.folder / name / "config.yaml"
        self._cluster = cluster
        self._probes = probes
        self._folder = cluster.folder / name
        self._deadline = cluster.deadlines["controllers"]
        self._held: list[Reservation] = []

    def put_on(self) -> None:
        """Apply what it needs, start it, and wait until every kind of its webhooks answers."""
        self._prepare()
        self._cluster.wait_for_api()
        run_on_free_ports(self._cluster.processes, self._choose, self._await_ready, may_die=self.may_die)

    def stop(self) -> None:
        """End the process, as a rollout or a lost node would; its manifests and ports stay."""
        self._cluster.processes.stop(self.name)
        self._held = [Reservation(port=port) for port in (self._webhook_port, self._health_port)]

    def start_again(self, config: Mapping[str, Any] | None = None) -> None:
        """Start the process that `stop` ended, perhaps with another configuration; wait until its webhooks answer."""
        if config is not None:
            self._use(config)
        self._cluster.processes.start(self._program, tentative=True)
        self._await_ready(self._program)
        if not self.may_die:
            self._cluster.processes.settle(self.name)
        for held in self._held:
            held.release()

    @abstractmethod
    def configured(self, over: Mapping[str, Any]) -> dict[str, Any]:
        """What it was put on with, and `over` merged over that."""

    def _use(self, config: Mapping[str, Any]) -> None:
        self.config = dict(config)
        self._config_file.write_bytes(msgspec.json.format(msgspec.json.encode(self.config)))

    @abstractmethod
    def _prepare(self) -> None:
        """What can be done before the API server answers."""

    @abstractmethod
    def _run_at(self, webhook_port: int, health_port: int) -> Program:
        """Tell the API server what it must know, and say what to run; once more if the ports were taken."""

    def _choose(self) -> tuple[Program, Reservation]:
        reserved = Reservation(count=2)
        self._webhook_port, self._health_port = reserved.ports
        self._program = self._run_at(self._webhook_port, self._health_port)
        return self._program, reserved

    def _await_ready(self, program: Program) -> None:
        name = self.name
        self._cluster.wait_until(f"{name} answers /readyz", self._answers_readyz, self._deadline, program)
        with ThreadPoolExecutor(max(1, len(self._probes)), thread_name_prefix=f"probe-{name}") as pool:
            for answered in [pool.submit(self._await_probe, probe, program) for probe in self._probes]:
                answered.result()

    def _await_probe(self, probe: Object, program: Program) -> None:
        last = "no answer"

        def answered() -> bool:
            nonlocal last
            try:
                self._try_probe(probe)
                return True
            except (ApiError, HarnessError) as error:
                last = str(error)
                return DENIED in last

        what = f"the webhooks of {self.name} answer for a {probe['kind']}"
        try:
            self._cluster.wait_until(what, answered, self._deadline, program)
        except HarnessError as error:
            raise HarnessError(f"{error}; the last answer was: {last}") from error

    def _try_probe(self, probe: Object) -> None:
        """Raises ApiError or HarnessError when the answer is not that of the program's webhooks."""
        self._cluster.kube.raw("POST", path_of(probe).rpartition("/")[0], probe, query={"dryRun": "All"})

    def _answers_readyz(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._health_port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class RunningController(RunningProgram):
    """An upstream controller and its process."""

    def __init__(self, cluster: LocalCluster, controller: Controller) -> None:
        super().__init__(cluster, controller.name, controller.probes)
        self.controller = controller
        self._certificates = self._folder / "certificates"
        self._last_mount = 0.0

    def _prepare(self) -> None:
        self._installation = Installation(self.controller)
        self._certificate = webhook_certificate(self._installation.webhook_dns_name, f"{self.name}-ca")
        self._certificate.mount(self._certificates)

    def _run_at(self, webhook_port: int, health_port: int) -> Program:
        cluster, name, installation = self._cluster, self.name, self._installation
        apply_all(cluster.kube, installation.objects(webhook_port, self._certificate), deadline=self._deadline)
        needed = [*installation.resources, *self.controller.needs]
        cluster.wait_until(f"the CRDs of {name} are served", lambda: are_served(cluster.kube, needed), self._deadline)
        self._process_settings = process_settings(webhook_port, health_port, self._certificates)
        self._use(self.configured({}))
        kubeconfig = cluster.identity_kubeconfig(name, installation.identity)
        argv = [str(self.controller.binary), f"--config={self._config_file}", f"--kubeconfig={kubeconfig}"]
        return Program(name, [*argv, *installation.arguments], cluster.layout.log(name), STAGE_CONTROLLERS)

    def configured(self, over: Mapping[str, Any]) -> dict[str, Any]:
        return merged(merged(self.controller.configure(self._installation.config), over), self._process_settings)

    def _await_ready(self, program: Program) -> None:
        self._last_mount = time.monotonic()
        super()._await_ready(program)

    def _try_probe(self, probe: Object) -> None:
        self._mount_again()
        super()._try_probe(probe)

    def _mount_again(self) -> None:
        """Do what the kubelet does when a mounted Secret has changed: a rotator may have disliked our certificate."""
        if time.monotonic() - self._last_mount < REMOUNT_SECONDS:
            return
        self._last_mount = time.monotonic()
        secret = self._cluster.kube.get("Secret", self._installation.webhook_secret, self._installation.namespace)
        WebhookCertificate({k: base64.b64decode(v) for k, v in secret["data"].items()}).mount(self._certificates)
