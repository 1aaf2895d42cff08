"""The command lines of the control plane's components, and nothing else.

The flags are those that a test cluster needs and no more; what is left out has its upstream default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.clusters.pki import Authority, Pair
from conformance.clusters.processes import Program

STAGE_CONTROLLERS: Final = 0
STAGE_KUBE_CONTROLLERS: Final = 1
STAGE_API_SERVER: Final = 2
STAGE_ETCD: Final = 3
"""Stop order. An API server whose etcd is gone ignores SIGTERM for minutes, so etcd goes last."""

KWOK_LABEL: Final = "type=kwok"
"""The label of the nodes that KWOK plays."""
API_SERVER_ENV: Final[Mapping[str, str]] = {"GOGC": "400", "GOMEMLIMIT": "1500MiB"}
"""Less garbage collection: 13 % fewer CPU-seconds over all processes; the limit keeps a burst from taking gigabytes."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is in a run folder. The folder's path must be short: socket paths end at 107 bytes."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def etcd_socket(self) -> str:
        return f"unix://{self.folder}/etcd.sock"

    def log(self, component: str) -> Path:
        return self.folder / "logs" / f"{component}.log"


def etcd(binary: Path, layout: Layout) -> Program:
    """etcd on a socket in the run folder: no port to find, and nobody else on the machine can reach it.

    Its peer and advertised addresses are formal: the only member talks to nobody.
    """
    peer = "http://localhost:2380"
    argv = [
        str(binary),
        "--name=conformance",
        f"--data-dir={layout.folder}/etcd",
        f"--listen-client-urls={layout.etcd_socket}",
        "--advertise-client-urls=http://localhost:2379",
        f"--listen-peer-urls=unix://{layout.folder}/peer.sock",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=conformance={peer}",
        "--unsafe-no-fsync",  # the data does not outlive the run
        "--log-level=warn",
    ]
    return Program("etcd", argv, layout.log("etcd"), STAGE_ETCD)


def api_server(
    binary: Path, layout: Layout, authority: Authority, serving: Pair, port: int, audit_policy: Path
) -> Program:
    argv = [
        str(binary),
        f"--etcd-servers={layout.etcd_socket}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={authority.certificate_file}",
        f"--service-account-key-file={authority.service_account_key}",
        f"--service-account-signing-key-file={authority.service_account_key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--authorization-mode=RBAC",
        "--allow-privileged",
        "--endpoint-reconciler-type=none",  # nothing reaches the API server through the `kubernetes` Service
        f"--cert-dir={layout.keys}",
        f"--audit-policy-file={audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        "--max-requests-inflight=3000",
        "--max-mutating-requests-inflight=1000",
    ]
    return Program("kube-apiserver", argv, layout.log("kube-apiserver"), STAGE_API_SERVER, API_SERVER_ENV)


def controller_manager(binary: Path, layout: Layout, kubeconfig: Path, authority: Authority) -> Program:
    argv = [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        f"--service-account-private-key-file={authority.service_account_key}",
        f"--root-ca-file={authority.certificate_file}",
        "--controllers=*,-nodeipam,-route,-cloud-node-lifecycle",
        "--use-service-account-credentials",
        "--leader-elect=false",
        # Fake nodes have no kubelet whose heartbeats could be missed: on a loaded machine the default of 50 s made
        # nodes NotReady in the middle of a story (seen), and Kueue rightly evicted their groups.
        "--node-monitor-grace-period=24h",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
    ]
    return Program("kube-controller-manager", argv, layout.log("kube-controller-manager"), STAGE_KUBE_CONTROLLERS)


def scheduler(binary: Path, layout: Layout, kubeconfig: Path) -> Program:
    argv = [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
    ]
    return Program("kube-scheduler", argv, layout.log("kube-scheduler"), STAGE_KUBE_CONTROLLERS)


def kwok(binary: Path, layout: Layout, kubeconfig: Path, stages: Path) -> Program:
    argv = [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--config={stages}",
        f"--manage-nodes-with-label-selector={KWOK_LABEL}",
    ]
    return Program("kwok", argv, layout.log("kwok"), STAGE_CONTROLLERS)
