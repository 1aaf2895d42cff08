"""The store on disk: finished components, the lock under which they are made, what is listed and what is pruned.

Nothing here knows how a component is built. An entry is a folder that appears by one rename, so whoever finds it finds
it whole, and looking needs no lock:

    entries/<component>-<version>-<identity>-<go>/  entry.json, bin/<binary>, manifests/<name>.yaml
    go/{mod,build}                                  Go's caches, while something is being built
    work/                                           half-made entries; whatever is there without the lock held is waste
    logs/<component>-<version>.log                  what the last attempt to build it printed
    lock                                            held while building or pruning; holds the process id of its holder
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from conformance.errors import UsageError

STORE_VARIABLE: Final = "KUEUE_LWS_CONFORMANCE_STORE"
NO_GO: Final = "nogo"
"""Stands for the Go version in the name of an entry that was not compiled here."""


class Made(msgspec.Struct, frozen=True):
    """What `entry.json` says of an entry."""

    component: str
    version: str
    source: str
    """For people: `module sigs.k8s.io/kueue v0.19.2`, `checkout 1a2b3c4 with changes`, …"""
    digest: str
    """SHA-256 over the binaries and manifests."""
    go: str
    flags: list[str]
    seconds: float
    """Wall seconds that making it took."""


class Entry(msgspec.Struct, frozen=True):
    """One finished component in the store."""

    path: Path
    made: Made

    def binary(self, name: str) -> Path:
        return self.path / "bin" / name

    def manifest(self, name: str) -> Path:
        return self.path / "manifests" / f"{name}.yaml"

    def names(self, kind: str) -> list[str]:
        """The binaries (`bin`) or manifests (`manifests`) that it has."""
        return sorted(file.stem if kind == "manifests" else file.name for file in (self.path / kind).glob("*"))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return size_of(self.path)


def default_root() -> Path:
    """The store of this user: `$KUEUE_LWS_CONFORMANCE_STORE`, else a folder in the user's cache folder."""
    if chosen := os.environ.get(STORE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "kueue-lws-conformance"


class Shelf:
    """The store in one folder. The folder is made when something is first put there."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or default_root()).expanduser().absolute()
        self.entries_folder = self.root / "entries"
        self.go_caches = self.root / "go"
        self.logs = self.root / "logs"
        self._work = self.root / "work"

    def entries(self) -> list[Entry]:
        """Every finished entry, by name."""
        found = (_read(folder) for folder in sorted(self.entries_folder.glob("*")))
        return [entry for entry in found if entry]

    def find(self, stem: str, go: str | None) -> Entry | None:
        """The entry `<stem>-<go>`. Without a Go on this machine the newest that any Go made will do."""
        if go is not None:
            return _read(self.entries_folder / f"{stem}-{go}")
        found = [entry for folder in self.entries_folder.glob(f"{stem}-*") if (entry := _read(folder))]
        return max(found, key=lambda entry: entry.path.stat().st_mtime, default=None)

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the store for making or removing entries; says so when another process has to be waited for.

        Raises UsageError when the store cannot be written.
        """
        with self._open_lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip()
                say(f"waiting for process {holder or 'unknown'}, which is building components into {self.root}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            lock.truncate()
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            shutil.rmtree(self._work, ignore_errors=True)
            yield

    def _open_lock(self) -> IO[str]:
        try:
            for folder in (self.root, self.entries_folder, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            return (self.root / "lock").open("a+")
        except OSError as error:
            raise UsageError(
                f"cannot write the component store {self.root} ({error.strerror}); "
                f"name a writable folder with --store or in {STORE_VARIABLE}"
            ) from error

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """An empty folder for one half-made entry, on the store's own file system; gone afterwards."""
        self._work.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._work, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def put(self, folder: Path, stem: str, made: Made) -> Entry:
        """Make the folder (`bin/`, `manifests/`) the entry `<stem>-<go>`, at once and whole. Needs the lock."""
        made = msgspec.structs.replace(made, digest=digest_of(*_files(folder)))
        (folder / "entry.json").write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2))
        place = self.entries_folder / f"{stem}-{made.go}"
        shutil.rmtree(place, ignore_errors=True)  # a damaged one: a whole one would have been found
        folder.rename(place)
        return Entry(place, made)

    def drop_go_caches(self, which: str = "") -> int:
        """Remove Go's caches, or one of them (`mod`, `build`); the bytes freed. Needs the lock."""
        return remove(self.go_caches / which)


def _read(folder: Path) -> Entry | None:
    """The entry in the folder, or None where there is none or it is damaged."""
    try:
        made = msgspec.json.decode((folder / "entry.json").read_bytes(), type=Made)
    except (OSError, msgspec.MsgspecError):
        return None
    return Entry(folder, made)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(*files: Path) -> str:
    """SHA-256 over the names and the bytes of files, in the given order."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as opened:
            total.update(f"{path.name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def size_of(folder: Path) -> int:
    """Bytes that the files of a folder take on disk, hard links counted once."""
    sizes = {}
    for path, _, names in os.walk(folder):
        for name in names:
            state = os.lstat(os.path.join(path, name))
            sizes[state.st_dev, state.st_ino] = state.st_blocks * 512
    return sum(sizes.values())


def remove(folder: Path) -> int:
    """Remove a folder, read-only ones in it too (Go makes its module cache so); the bytes freed."""
    if not folder.exists():
        return 0
    freed = size_of(folder)
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o700)
    shutil.rmtree(folder)
    return freed
