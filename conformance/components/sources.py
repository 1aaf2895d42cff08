"""Sources: where a component comes from, and what decides that two of them are the same.

Usually a pinned module of the release line. For Kueue and LWS a maintainer can name what is about to be released: a
checkout, a module version that is not in the lists, or a binary with its manifest (`--kueue-from`, `--lws-from`).
A source knows its identity and how to make itself; `store` decides whether that is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from conformance.components.building import Workshop, compile_packages, module_folder
from conformance.components.lines import KUEUE, LWS, Line
from conformance.components.recipes import MIN_GO, RECIPES, Recipe
from conformance.components.rendering import render
from conformance.errors import UsageError

MODULES: Final = Path(__file__).parent / "modules"
_RELEASE: Final = re.compile(r"v?(\d+\.\d+\.\d+(?:[-+][\w.+-]+)?)")


@dataclass(frozen=True, slots=True)
class Source(ABC):
    """One component at one version, from one place."""

    recipe: Recipe
    version: str
    """Without a leading `v`; of an unreleased one, what tells it apart best (see each kind of source)."""

    compiled = True
    """Whether a Go toolchain is needed to make it."""
    own_caches = True
    """Whether it is compiled with the store's Go caches, as opposed to those that the user has."""

    @property
    def what(self) -> str:
        """As messages name it: `kueue 0.19.2`."""
        return f"{self.recipe.component} {self.version}"

    @property
    def flags(self) -> tuple[str, ...]:
        return self.recipe.flags(self.version)

    @property
    def stem(self) -> str:
        """The name of its entry in the store, without the Go version: all else that decides the entry is in it."""
        decisive = [sys.platform, platform.machine(), list(self.flags), self.identity()]
        key = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]
        version = re.sub(r"[^\w.+-]", "_", self.version)
        return f"{self.recipe.component}-{version}-{key}"

    def unbuilt(self) -> Source:
        """The same source for its manifests alone."""
        return replace(self, recipe=self.recipe.unbuilt())

    @property
    @abstractmethod
    def described(self) -> str:
        """For the result: what was judged, in a few words."""

    @abstractmethod
    def identity(self) -> str:
        """A digest of the inputs, which changes when what is made from them may change."""

    @abstractmethod
    def make(self, workshop: Workshop, into: Path) -> None:
        """Write `bin/` and `manifests/` into the folder. Raises UsageError when that fails."""

    def _compile(self, workshop: Workshop, module: Path, sources: Path, into: Path, packages: Sequence[str]) -> None:
        if packages:
            binaries = dict(zip(self.recipe.packages, packages, strict=True))
            compile_packages(workshop, module, binaries, self.flags, into / "bin")
        render(workshop, sources, self.recipe.manifests, into / "manifests")


@dataclass(frozen=True, slots=True)
class Pinned(Source):
    """A version of the lists: its `go.mod` and `go.sum` are part of this package."""

    modules: Path = MODULES

    @property
    def folder(self) -> Path:
        return self.modules / f"{self.recipe.component}-{self.version}"

    @property
    def described(self) -> str:
        return f"module {self.recipe.module} v{self.version}"

    def identity(self) -> str:
        return _digest_tree(self.folder, sorted(path for path in self.folder.rglob("*") if path.is_file()))

    def make(self, workshop: Workshop, into: Path) -> None:
        module = workshop.scratch / "module"
        shutil.copytree(self.folder, module)  # the package may be installed where Go cannot lock the file
        workshop.run_go("mod", "download", self.recipe.module, folder=module)
        sources = module_folder(workshop, module, self.recipe.module)
        self._compile(workshop, module, sources, into, list(self.recipe.packages.values()))


@dataclass(frozen=True, slots=True)
class Release(Source):
    """A module version that is not in the lists: its dependencies are worked out when it is made, from its own sums."""

    @property
    def described(self) -> str:
        return f"module {self.recipe.module} v{self.version}, dependencies resolved by go mod tidy"

    def identity(self) -> str:
        return f"{self.recipe.module} {self.version} tidied"

    def make(self, workshop: Workshop, into: Path) -> None:
        module = workshop.scratch / "module"
        module.mkdir()
        tools = "".join(f"tool {package}\n" for package in self.recipe.packages.values())
        head = f"module conformance.test/components/{self.recipe.component}\n\ngo {MIN_GO[0]}.{MIN_GO[1]}.0\n\n"
        name = f"{self.recipe.module}@v{self.version}"
        (module / "go.mod").write_text(f"{head}{tools}\nrequire {name.replace('@', ' ')}\n")
        sources = Path(json.loads(workshop.run_go("mod", "download", "-json", name, folder=module))["Dir"])
        if not tools:
            self._compile(workshop, module, sources, into, [])
            return
        if (sources / "go.sum").exists():
            # Some of what Kueue requires is missing from the checksum database; its own sums vouch for it.
            shutil.copyfile(sources / "go.sum", module / "go.sum")
        for told in json.loads(workshop.run_go("mod", "edit", "-json", folder=sources)).get("Replace") or ():
            if "Version" in told["New"]:  # a dependency's replacements do not count, so they are repeated
                old = "@".join(filter(None, (told["Old"]["Path"], told["Old"].get("Version"))))
                new = f"{told['New']['Path']}@{told['New']['Version']}"
                workshop.run_go("mod", "edit", f"-replace={old}={new}", folder=module)
        workshop.run_go("mod", "tidy", folder=module)
        self._compile(workshop, module, sources, into, list(self.recipe.packages.values()))
        for file in ("go.mod", "go.sum"):
            shutil.copyfile(module / file, into / file)


@dataclass(frozen=True, slots=True)
class Checkout(Source):
    """A folder with the component's sources, built there as it is, with the Go caches that its owner uses.

    The version is what `git describe` says, or a digest where there is no git.
    """

    folder: Path
    state: str
    described_as: str

    own_caches = False

    @property
    def described(self) -> str:
        return self.described_as

    def identity(self) -> str:
        return self.state

    def make(self, workshop: Workshop, into: Path) -> None:
        packages = ["." + package.removeprefix(self.recipe.module) for package in self.recipe.packages.values()]
        self._compile(workshop, self.folder, self.folder, into, packages)


@dataclass(frozen=True, slots=True)
class Given(Source):
    """A binary and a manifest file made elsewhere; the version is the manifest's image tag, if that is a release."""

    binary: Path
    manifest: Path
    digest: str

    compiled = False

    @property
    def flags(self) -> tuple[str, ...]:
        return ()

    @property
    def described(self) -> str:
        return f"binary {self.binary.name} with manifest {self.manifest.name}, sha256 {self.digest[:12]}"

    def identity(self) -> str:
        return self.digest

    def make(self, workshop: Workshop, into: Path) -> None:
        component = self.recipe.component
        try:
            objects = list(yaml.load_all(self.manifest.read_bytes(), yaml.CSafeLoader))
        except yaml.YAMLError as error:
            raise UsageError(f"{self.manifest} is not YAML; name the file that installs {component}") from error
        if not any(isinstance(thing, dict) and thing.get("kind") == "Deployment" for thing in objects):
            raise UsageError(f"{self.manifest} has no Deployment; name the file that installs {component}")
        (into / "bin").mkdir()
        (into / "manifests").mkdir()
        shutil.copy(self.binary, into / "bin" / component)
        shutil.copyfile(self.manifest, into / "manifests" / f"{component}.yaml")


def wanted(line: Line, kueue_from: str | None = None, lws_from: str | None = None) -> dict[str, Source]:
    """The source of each component of a line, in build order. Raises UsageError for a bad `--…-from` value."""
    sources: dict[str, Source] = {
        component: Pinned(RECIPES[component], version) for component, version in line.versions().items()
    }
    if lws_from is not None:
        sources["lws"] = named(lws_from, RECIPES["lws"], LWS)
    if kueue_from is not None:
        sources["kueue"] = named(kueue_from, RECIPES["kueue"], KUEUE)
    return sources


def named(value: str, recipe: Recipe, pinned: Sequence[str]) -> Source:
    """The source that a `--kueue-from` or `--lws-from` value names. Raises UsageError when it names none."""
    option = f"--{recipe.component}-from {value}"
    folder = Path(value).expanduser().absolute()
    if folder.is_dir():
        return _checkout(folder, recipe, option)
    if release := _RELEASE.fullmatch(value):
        version = release[1]
        return Pinned(recipe, version) if version in pinned else Release(recipe, version)
    binary, colon, manifest = value.rpartition(":")
    if colon:
        return _given(Path(binary).expanduser().absolute(), Path(manifest).expanduser().absolute(), recipe, option)
    raise UsageError(
        f"{option}: this is neither a folder with a checkout of {recipe.module}, nor a release such as "
        f"v{pinned[0]}, nor BINARY:MANIFEST"
    )


def _checkout(folder: Path, recipe: Recipe, option: str) -> Checkout:
    try:
        module = re.search(r"^module\s+(\S+)", (folder / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError as error:
        raise UsageError(f"{option}: the folder has no readable go.mod; name a checkout of {recipe.module}") from error
    if module is None or module[1] != recipe.module:
        found = module[1] if module else "no module"
        raise UsageError(f"{option}: the folder holds {found}; name a checkout of {recipe.module}")
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        files = (Path(path) / name for path, _, names in os.walk(folder) for name in names)
        state = _digest_tree(folder, sorted(files))
        return Checkout(recipe, f"unknown-{state[:12]}", folder, state, f"checkout without git, sha256 {state[:12]}")
    described = _git(folder, "describe", "--tags", "--always", "--match", "v*") or commit
    changes = (_git(folder, "diff", "--binary", "HEAD", "--", ".") or "").encode()
    listed = (_git(folder, "ls-files", "--others", "--exclude-standard", "-z") or "").split("\0")
    untracked = [folder / name for name in listed if name.strip()]
    dirty = bool(changes.strip() or untracked)
    state = f"{commit} {hashlib.sha256(changes).hexdigest()} {_digest_tree(folder, untracked)}"
    version = described.removeprefix("v") + ("-dirty" if dirty else "")
    return Checkout(recipe, version, folder, state, f"checkout {commit}" + (" with changes" if dirty else ""))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None where there is no git, no repository or no trust in it."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.decode(errors="surrogateescape").strip()


def _given(binary: Path, manifest: Path, recipe: Recipe, option: str) -> Given:
    if not (binary.is_file() and os.access(binary, os.X_OK)):
        raise UsageError(f"{option}: {binary} is not a program; the form is BINARY:MANIFEST")
    try:
        text = manifest.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{option}: cannot read {manifest} ({error.strerror}); the form is BINARY:MANIFEST") from error
    digest = _digest_tree(manifest.parent, [binary, manifest])
    tag = re.search(rf"image:\s*\S*{recipe.component}\S*:v(\d+\.\d+\.\d+[\w.-]*)", text)
    return Given(recipe, tag[1] if tag else f"unknown-{digest[:12]}", binary, manifest, digest)


def _digest_tree(folder: Path, files: Sequence[Path]) -> str:
    """SHA-256 over names, relative to the folder, and bytes; what is not a plain file counts by its name."""
    total = hashlib.sha256()
    for path in files:
        content = path.read_bytes() if path.is_file() else b""
        total.update(f"{os.path.relpath(path, folder)} {hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def with_versions(line: Line, sources: dict[str, Source]) -> Line:
    """The line as it really is, once `--kueue-from` and `--lws-from` are taken into account."""
    return replace(line, kueue=sources["kueue"].version, lws=sources["lws"].version)
