"""Where a local cluster keeps its data, keys, sockets and logs, and what becomes of a folder that nobody owns."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from conformance.clusters.processes import keeper_of, was_ended
from conformance.errors import UsageError

PREFIX: Final = "kueue-lws-"
LONGEST: Final = 88
"""Characters of a run folder's path: sockets in it must stay within the 104 bytes that every system allows."""
YOUNG: Final = 120.0
"""Seconds in which a folder without a keeper may still be about to get one."""


def new_run_folder(parent: Path | None = None) -> Path:
    """A new folder that only we can read, under `parent` or $TMPDIR; left-overs of killed runs there are removed.

    Raises UsageError when it cannot be made or its path is too long.
    """
    parent = parent or Path(tempfile.gettempdir())
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        (folder / "logs").mkdir()
    except OSError as error:
        raise UsageError(f"cannot make a run folder in {parent}: {error}; set TMPDIR to a writable folder") from error
    if len(str(folder)) > LONGEST:
        shutil.rmtree(folder)
        raise UsageError(
            f"the path of {parent} is too long for the sockets of a local cluster; set TMPDIR to a shorter one"
        )
    remove_left_overs(parent)
    return folder


def remove_left_overs(parent: Path) -> None:
    """Remove run folders whose keeper was killed, and with it all it owned. Folders kept on purpose stay."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            status = folder.stat()
        except OSError:
            continue
        mine = status.st_uid == os.getuid() and time.time() - status.st_mtime > YOUNG
        if mine and (folder / "keeper.lock").exists() and keeper_of(folder) is None and not was_ended(folder):
            shutil.rmtree(folder, ignore_errors=True)
