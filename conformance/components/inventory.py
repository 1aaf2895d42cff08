"""What the store holds, as rows for `components list`, and how it is emptied, for `components prune`.

`components build` is `store.provide`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conformance.components.building import find_go
from conformance.components.lines import DEFAULT, KUEUE, LWS, Line
from conformance.components.recipes import RECIPES
from conformance.components.shelf import Shelf, remove
from conformance.components.sources import Pinned, wanted
from conformance.components.store import find


@dataclass(frozen=True, slots=True)
class Row:
    """One component at one version: pinned, in the store, or both."""

    component: str
    version: str
    source: str
    built: bool
    size: int
    """Bytes on disk; 0 if it is not built."""
    path: Path | None
    default: bool
    """Whether the default line has it."""

    def __str__(self) -> str:
        kept = f"{self.size / 1e6:5.0f} MB in {self.path}" if self.built else "not built"
        return f"{self.component:10}  {self.version:12}  {'default' if self.default else '':7}  {kept}  ({self.source})"


def inventory(store: Path | None = None) -> list[Row]:
    """Every version that can be chosen, newest first, each followed by what else the store has of that component.

    The rest are entries made by another Go version or with other flags, or from what a `--kueue-from` or `--lws-from`
    named.
    """
    shelf, go = Shelf(store), find_go()
    rest = {entry.path: entry for entry in shelf.entries()}
    listed: list[Row] = []
    for component, default in DEFAULT.versions().items():
        for version in {"lws": LWS, "kueue": KUEUE}.get(component, (default,)):
            source = Pinned(RECIPES[component], version)
            entry = find(source, shelf, go)
            if entry:
                rest.pop(entry.path)
            size, path = (entry.size, entry.path) if entry else (0, None)
            listed.append(Row(component, version, source.described, entry is not None, size, path, version == default))
        for entry in [entry for entry in rest.values() if entry.made.component == component]:
            listed.append(Row(component, entry.made.version, entry.made.source, True, entry.size, entry.path, False))
    return listed


def prune(
    *,
    everything: bool = False,
    keep: Line = DEFAULT,
    store: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> int:
    """Remove all but the entries of the line to keep, or those too; the bytes freed. Logs and Go's caches go as well.

    Raises UsageError when the store cannot be written.
    """
    shelf, go = Shelf(store), find_go()
    if not shelf.root.exists():
        return 0
    sources = [] if everything else [*wanted(keep).values(), wanted(keep)["kueue"].unbuilt()]
    with shelf.locked(say or (lambda _: None)):
        kept = {entry.path for source in sources if (entry := find(source, shelf, go))}
        unwanted = [folder for folder in shelf.entries_folder.iterdir() if folder not in kept]
        return sum(remove(folder) for folder in [*unwanted, shelf.go_caches, shelf.logs])
