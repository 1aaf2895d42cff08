"""Providing: from a release line to binaries and manifests on disk, building whatever is not there yet.

This is the one door to the components: it ties `sources` (what), `shelf` (where) and `progress` (what is seen)
together. It starts nothing; that is the business of `conformance.clusters` and `conformance.implementations`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.components.building import CACHE_VARIABLE, Go, Workshop, find_go, require_go
from conformance.components.lines import Line
from conformance.components.progress import Lines, Progress
from conformance.components.shelf import NO_GO, STORE_VARIABLE, Entry, Made, Shelf
from conformance.components.sources import Source, wanted, with_versions
from conformance.errors import UsageError

Say = Callable[[str], None]

GIGABYTE: Final = 10**9


@dataclass(frozen=True, slots=True)
class Components:
    """What a line is made of, on disk."""

    line: Line
    """The versions as they are, also where `--kueue-from` or `--lws-from` named something else."""
    entries: Mapping[str, Entry]
    """By component: etcd, kubernetes, kwok, lws, kueue."""

    def binary(self, name: str) -> Path:
        """A program: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, kwok, lws, kueue."""
        return self._of("bin", name).binary(name)

    def manifest(self, name: str) -> Path:
        """A rendered YAML file: lws, kueue (their `config/default`), kwok-stages, kwok-rbac."""
        return self._of("manifests", name).manifest(name)

    def versions(self) -> dict[str, dict[str, str]]:
        """For the result, by component: `version`, `source`, `digest` (SHA-256 over binaries and manifests), `go`."""
        return {
            name: {
                "version": entry.made.version,
                "source": entry.made.source,
                "digest": entry.made.digest,
                "go": entry.made.go,
            }
            for name, entry in sorted(self.entries.items())
        }

    def _of(self, kind: str, name: str) -> Entry:
        for entry in self.entries.values():
            if name in entry.names(kind):
                return entry
        known = sorted(found for entry in self.entries.values() for found in entry.names(kind))
        raise KeyError(f"{name} is not in {kind} of {self.line}, which has {', '.join(known)}")


def provide(
    line: Line,
    *,
    kueue_from: str | None = None,
    lws_from: str | None = None,
    store: Path | None = None,
    unbuilt: Collection[str] = (),
    say: Say | None = None,
    show: Progress | None = None,
) -> Components:
    """The components of a line, built first where the store has none.

    Of those named in `unbuilt` only the manifests are needed; they may have their programs all the same.
    `say` gets the sentences a person should see (waiting for another process); `show` the progress, by default as
    plain sentences to `say`. Raises UsageError when something cannot be built or the store cannot be written; what was
    finished until then stays, and the next call goes on from there.
    """
    sources = wanted(line, kueue_from, lws_from)
    say = say or (lambda _: None)
    shelf, go = Shelf(store), find_go()
    for component in unbuilt:
        if find(sources[component], shelf, go) is None:
            sources[component] = sources[component].unbuilt()
    entries = make(list(sources.values()), shelf, say, show or Lines(say))
    return Components(with_versions(line, sources), entries)


def is_warm(
    line: Line, *, kueue_from: str | None = None, lws_from: str | None = None, store: Path | None = None
) -> bool:
    """Whether nothing would have to be built. Raises UsageError for a bad `kueue_from` or `lws_from`."""
    return not missing(wanted(line, kueue_from, lws_from).values(), Shelf(store))


def missing(sources: Iterable[Source], shelf: Shelf) -> list[Source]:
    """Those of the sources that the store has no entry for."""
    go = find_go()
    return [source for source in sources if find(source, shelf, go) is None]


def make(sources: Sequence[Source], shelf: Shelf, say: Say, show: Progress) -> dict[str, Entry]:
    """An entry for each source, by component. Holds the store's lock only if there is something to make."""
    go = find_go()
    found = {source.recipe.component: find(source, shelf, go) for source in sources}
    if None in found.values():
        with shelf.locked(say):
            found |= _make_missing(sources, shelf, go, say, show)
    return {component: entry for component, entry in found.items() if entry}


def find(source: Source, shelf: Shelf, go: Go | None) -> Entry | None:
    """The entry of a source; without a Go, one that any Go made."""
    toolchain = (go.version if go else None) if source.compiled else NO_GO
    return shelf.find(source.stem, toolchain)


def _make_missing(sources: Sequence[Source], shelf: Shelf, go: Go | None, say: Say, show: Progress) -> dict[str, Entry]:
    """Make what is missing, one after another (Go uses every core); the store's lock is held.

    Go's caches go once all is made, not before: after a failure they spare the next attempt the work done so far.
    """
    found = {source.recipe.component: find(source, shelf, go) for source in sources}
    to_make = [source for source in sources if found[source.recipe.component] is None]
    if any(source.compiled for source in to_make):
        go = go or require_go(", ".join(source.what for source in to_make), say)
        _check_room(shelf, to_make)
    show.plan([(source.what, source.recipe.seconds if source.compiled else 0.0) for source in to_make])
    made: dict[str, Entry] = {name: entry for name, entry in found.items() if entry}
    for source in to_make:
        kubectl = next((entry.binary("kubectl") for entry in made.values() if "kubectl" in entry.names("bin")), None)
        show.begin(source.what)
        entry = _make_one(source, shelf, go, kubectl)
        if not source.recipe.shared:
            shelf.drop_go_caches("build")
        show.end(source.what, entry.made.seconds)
        made[source.recipe.component] = entry
    if to_make:
        shelf.drop_go_caches()
    return made


def _make_one(source: Source, shelf: Shelf, go: Go | None, kubectl: Path | None) -> Entry:
    start = time.monotonic()
    log = shelf.logs / f"{source.recipe.component}-{source.version.replace('/', '_')}.log"
    log.unlink(missing_ok=True)
    with shelf.workplace() as place:
        scratch, result = place / "scratch", place / "result"
        scratch.mkdir()
        result.mkdir()
        caches = _caches(shelf) if source.own_caches else None
        source.make(Workshop(source.what, log, scratch, go, caches, kubectl), result)
        made = Made(
            component=source.recipe.component,
            version=source.version,
            source=source.described,
            digest="",
            go=go.version if source.compiled and go else NO_GO,
            flags=list(source.flags),
            seconds=round(time.monotonic() - start, 1),
        )
        return shelf.put(result, source.stem, made)


def _caches(shelf: Shelf) -> Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else shelf.go_caches


def room_needed(sources: Iterable[Source]) -> float:
    """The gigabytes that making the sources, in this order, takes on disk at its peak."""
    need, left = 1.0, 0.0
    for recipe in (source.recipe for source in sources if source.own_caches and not os.environ.get(CACHE_VARIABLE)):
        need = max(need, left + recipe.peak)
        left += recipe.left
    return need


def _check_room(shelf: Shelf, sources: Sequence[Source]) -> None:
    """Raises UsageError when the store's file system is too full for what is to be built."""
    need, free = room_needed(sources), shutil.disk_usage(shelf.root).free / GIGABYTE
    if free < need:
        raise UsageError(
            f"building {', '.join(source.what for source in sources)} needs about {need:.1f} GB and {shelf.root} has "
            f"{free:.1f} GB left; free some, or name another folder with --store or in {STORE_VARIABLE}"
        )
