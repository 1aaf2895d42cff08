"""Tiny Go modules that stand in for the real components, so that the real build path runs in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conformance.components.progress import Lines
from conformance.components.recipes import Recipe
from conformance.components.shelf import NO_GO, Entry, Made, Shelf
from conformance.components.sources import Pinned, Source
from conformance.components.store import make

GO_CACHES = "go-caches"
"""The folder, beside the tests' own, of the Go caches that they share."""
PRINTS_ITS_VERSION = 'package main\n\nvar version = "unknown"\n\nfunc main() { println(version) }\n'
DOES_NOT_COMPILE = "package main\n\nfunc main() { println(nope) }\n"
PRINTS_A_PART = """package main

import "os"

func main() {
	part, err := os.ReadFile(os.Args[2] + "/part.yaml")
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(part)
}
"""
"""Stands in for `kubectl kustomize FOLDER`."""


def tiny(
    modules: Path,
    component: str = "tool",
    *,
    version: str = "1.0.0",
    code: str = PRINTS_ITS_VERSION,
    binary: str | None = None,
    stamps: tuple[str, ...] = ("main.version={version}",),
    manifests: Mapping[str, tuple[str, ...]] | None = None,
    peak: float = 0.1,
    shared: bool = True,
) -> Pinned:
    """A pinned component of one command; its module is written to `modules`."""
    module = f"example.test/{component}"
    folder = modules / f"{component}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(f"module {module}\n\ngo 1.26\n")
    (folder / "main.go").write_text(code)
    for folders in (manifests or {}).values():
        for part in folders:
            (folder / part).mkdir(parents=True, exist_ok=True)
            (folder / part / "part.yaml").write_text(f"kind: {part.rpartition('/')[2]}\n")
    recipe = Recipe(component, module, {binary or component: module}, 1.0, peak, 0.1, shared, stamps, manifests or {})
    return Pinned(recipe, version, modules)


def make_all(root: Path, *sources: Source) -> tuple[dict[str, Entry], list[str]]:
    """Make the sources in the store at `root`; their entries and what was said meanwhile."""
    said: list[str] = []
    return make(sources, Shelf(root), said.append, Lines(said.append)), said


def shelve(root: Path, source: Source, go: str = NO_GO) -> Entry:
    """Put an entry for a source on the shelf as if some Go had made it, with one byte for each file."""
    shelf = Shelf(root)
    shelf.entries_folder.mkdir(parents=True, exist_ok=True)
    result = root / "result"
    for folder, names in (("bin", source.recipe.packages), ("manifests", source.recipe.manifests)):
        (result / folder).mkdir(parents=True)
        for name in names:
            (result / folder / (name if folder == "bin" else f"{name}.yaml")).write_text("x")
    made = Made(source.recipe.component, source.version, source.described, "", go, list(source.flags), 1.0)
    return shelf.put(result, source.stem, made)
