"""What must be so before a run begins, looked at before anything is built or started: each slip is one sentence.

What can only be known by trying (whether a cluster answers, whether a component comes up) is found out by trying.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from conformance.deadlines import Deadlines
from conformance.errors import UsageError, nearest
from conformance.kube import Kube
from conformance.report.log import FILE
from conformance.settings import Settings
from conformance.surroundings import Surroundings

MEGABYTE = 10**6
RUN_FOLDER_ROOM, RESULTS_ROOM = 500, 100
"""Megabytes that a run needs at most, for its run folder and for its results."""


def check(settings: Settings) -> None:
    """Raises UsageError for the first thing that is not as a run needs it. Leaves everything as it was."""
    Surroundings(settings, Deadlines(settings.slow), lambda text: None)
    _check_cluster(settings)
    _check_results(settings.out or Path("conformance-results"))
    if settings.junit is not None:
        _check_junit(settings.junit)


def check_selection(settings: Settings) -> None:
    """Raises UsageError for a requirement, level, feature or story that there is none of."""
    from conformance.requirements import load
    from conformance.selecting import selection
    from conformance.suite import whole_suite

    selection(settings, load())
    check_stories(settings, [story.name for story in whole_suite().stories])


def check_stories(settings: Settings, known: list[str]) -> None:
    """Raises UsageError for a story that is not one of these."""
    for name in settings.story:
        if name not in known:
            raise UsageError(f"unknown story {name!r}.{nearest(name, known)} `list stories` shows them all.")


def _check_cluster(settings: Settings) -> None:
    from conformance.clusters import standing
    from conformance.clusters.ports import Reservation
    from conformance.implementations import kueue, reference

    if settings.kubeconfig is not None:
        Kube(settings.kubeconfig, "kueue-lws-conformance/setup")
    if settings.reuse and standing.status() is None:
        raise UsageError(standing.NONE_UP)
    if settings.kueue_config is not None:
        of = reference if settings.implementation == "reference" else kueue
        of.read_config(settings.kueue_config)
    if settings.port is not None:
        Reservation(port=settings.port).release()
    if settings.cluster == "local" and not settings.reuse:
        folder = Path(tempfile.gettempdir())
        _check_room(folder, RUN_FOLDER_ROOM, f"the cluster's data in {folder}", "set TMPDIR to another folder")


def _check_results(folder: Path) -> None:
    another = "name another folder with --out"
    if (folder / FILE).exists():
        raise UsageError(f"{folder} has the results of a run already; {another}")
    try:
        with _tried(folder):
            _check_room(folder, RESULTS_ROOM, f"the results in {folder}", another)
    except OSError as error:
        raise UsageError(f"cannot write results to {folder}: {error.strerror}; {another}") from error


def _check_junit(path: Path) -> None:
    another = "name another file with --junit"
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; {another}")
    try:
        with _tried(path.parent):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; {another}") from error


@contextlib.contextmanager
def _tried(folder: Path) -> Iterator[None]:
    """Make the folder and a file in it, and remove again what was made. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            yield
    finally:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()


def _check_room(folder: Path, megabytes: int, what: str, advice: str) -> None:
    free = shutil.disk_usage(folder).free / MEGABYTE
    if free < megabytes:
        raise UsageError(f"{what} may need {megabytes} MB and {free:.0f} MB are left; free some, or {advice}")
