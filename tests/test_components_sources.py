"""`--kueue-from` and `--lws-from`: a checkout, any release, or a binary with its manifest; anything else is refused."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from conformance.components.building import CACHE_VARIABLE
from conformance.components.recipes import Recipe
from conformance.components.sources import Checkout, Given, Pinned, Release, Source, named
from conformance.errors import UsageError
from tiny_components import GO_CACHES, PRINTS_ITS_VERSION, make_all, tiny

TOOL = Recipe(
    "tool",
    "example.test/tool",
    {"tool": "example.test/tool/cmd/tool"},
    1.0,
    0.1,
    0.1,
    stamps=("main.version=v{version}",),
)
"""Like Kueue's: the command is a package inside its module."""


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / GO_CACHES


@pytest.fixture(autouse=True)
def _isolated_go(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go fills no cache of the person who runs the tests, and git reads no configuration of theirs."""
    monkeypatch.setenv(CACHE_VARIABLE, str(caches))
    monkeypatch.setenv("GOCACHE", str(caches / "build"))
    monkeypatch.setenv("GOMODCACHE", str(caches / "mod"))
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


def write_module(folder: Path) -> Path:
    (folder / "cmd" / "tool").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.test/tool\n\ngo 1.26\n")
    (folder / "cmd" / "tool" / "main.go").write_text(PRINTS_ITS_VERSION)
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.test", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def write_checkout(folder: Path) -> Path:
    write_module(folder)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    git(folder, "tag", "v1.2.0")
    return folder


def run(binary: Path) -> str:
    return subprocess.run([binary], capture_output=True, text=True, check=True).stderr.strip()


def source(value: str | Path) -> Source:
    return named(str(value), TOOL, ("1.0.0",))


def test_a_checkout_is_built_where_it_is(tmp_path: Path) -> None:
    """A checkout is compiled as it is, stamped with what `git describe` calls it, and recorded with its commit."""
    folder = write_checkout(tmp_path / "checkout")
    entries, _ = make_all(tmp_path / "store", source(folder))
    made = entries["tool"].made
    assert run(entries["tool"].binary("tool")) == "v1.2.0"
    assert made.version == "1.2.0"
    assert made.source == f"checkout {git(folder, 'rev-parse', '--short=12', 'HEAD')}"


@pytest.mark.parametrize("change", ["edit", "new file"])
def test_a_changed_checkout_is_another_component(tmp_path: Path, change: str) -> None:
    """An edit or a new file in a checkout makes it another entry, recorded as changed."""
    folder = write_checkout(tmp_path / "checkout")
    clean = source(folder)
    changed = folder / "cmd" / "tool" / ("main.go" if change == "edit" else "more.go")
    changed.write_text(PRINTS_ITS_VERSION if change == "new file" else PRINTS_ITS_VERSION + "// edited\n")
    dirty = source(folder)
    assert clean.stem != dirty.stem
    assert (clean.version, dirty.version) == ("1.2.0", "1.2.0-dirty")
    assert dirty.described == f"{clean.described} with changes"
    changed.write_text(changed.read_text() + "// edited again\n")
    assert source(folder).stem != dirty.stem


def test_a_folder_without_git_is_known_by_its_files(tmp_path: Path) -> None:
    """Sources that no git knows are told apart by a digest over all of their files."""
    folder = write_module(tmp_path / "unpacked")
    before = source(folder)
    assert isinstance(before, Checkout)
    assert before.described == f"checkout without git, sha256 {before.state[:12]}"
    assert source(folder).stem == before.stem
    (folder / "go.mod").write_text("module example.test/tool\n\ngo 1.26.0\n")
    assert source(folder).stem != before.stem


def test_a_listed_release_is_the_pinned_one() -> None:
    """A version of the lists, with or without its `v`, is taken as pinned; any other release is resolved."""
    assert isinstance(source("v1.0.0"), Pinned)
    assert isinstance(source("1.0.0"), Pinned)
    assert isinstance(source("v1.0.1-rc.1"), Release)


def publish(proxy: Path, module: str, version: str, files: dict[str, str]) -> None:
    """Put a module into a module proxy that is a folder."""
    folder = proxy / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"v{version}.info").write_text(json.dumps({"Version": f"v{version}", "Time": "2026-01-01T00:00:00Z"}))
    (folder / f"v{version}.mod").write_text(files["go.mod"])
    (folder / "list").write_text(f"v{version}\n")
    with zipfile.ZipFile(folder / f"v{version}.zip", "w") as packed:
        for name, text in files.items():
            packed.writestr(f"{module}@v{version}/{name}", text)


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module proxy without the network, in which nothing is published yet."""
    folder = tmp_path / "proxy"
    monkeypatch.setenv("GOPROXY", f"file://{folder}")
    monkeypatch.setenv("GOSUMDB", "off")
    return folder


def test_any_release_can_be_resolved(tmp_path: Path, proxy: Path) -> None:
    """A release that is not pinned is built with its own replacements, and keeps what was resolved in its entry."""
    library = 'package old\n\nconst Name = "new"\n'
    publish(proxy, "example.test/new", "1.0.0", {"go.mod": "module example.test/new\n", "new.go": library})
    declared = (
        "module example.test/tool\n\ngo 1.26\n\nrequire example.test/old v1.0.0\n\n"
        "replace example.test/old => example.test/new v1.0.0\n"
    )
    code = 'package main\n\nimport "example.test/old"\n\nvar version string\n\n'
    code += "func main() { println(version, old.Name) }\n"
    publish(proxy, "example.test/tool", "1.3.0", {"go.mod": declared, "cmd/tool/main.go": code})
    entries, _ = make_all(tmp_path / "store", source("v1.3.0"))
    entry = entries["tool"]
    assert run(entry.binary("tool")) == "v1.3.0 new"
    assert entry.made.source == "module example.test/tool v1.3.0, dependencies resolved by go mod tidy"
    assert "example.test/new v1.0.0 h1:" in (entry.path / "go.sum").read_text()


def test_a_release_that_does_not_exist_is_said_so(tmp_path: Path, proxy: Path) -> None:
    """A version that the module proxy does not have ends in a sentence about the version."""
    publish(proxy, "example.test/tool", "1.3.0", {"go.mod": "module example.test/tool\n"})
    with pytest.raises(UsageError, match=r"cannot build tool 1\.9\.9: Go found no such module version"):
        make_all(tmp_path / "store", source("v1.9.9"))


def test_without_network_the_sentence_is_about_the_network(tmp_path: Path) -> None:
    """A module that cannot be downloaded ends in a sentence about the network."""
    with pytest.raises(UsageError, match=r"cannot build tool 1\.4\.0: its Go modules could not be downloaded"):
        make_all(tmp_path / "store", source("v1.4.0"))


def write_given(folder: Path, manifest: str = "kind: Deployment\n") -> str:
    folder.mkdir(exist_ok=True)
    (folder / "manager").write_text("#!/bin/sh\necho given >&2\n")
    (folder / "manager").chmod(0o755)
    (folder / "all.yaml").write_text(manifest)
    return f"{folder / 'manager'}:{folder / 'all.yaml'}"


def test_a_binary_with_its_manifest_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary and its manifest need no Go; their version is the image tag, their identity what is in them."""
    image = "kind: Deployment\nspec: {template: {spec: {containers: [{image: 'registry.test/tool/tool:v1.5.0'}]}}}\n"
    given = source(write_given(tmp_path / "given", image))
    monkeypatch.setenv("PATH", "")
    entries, _ = make_all(tmp_path / "store", given)
    entry = entries["tool"]
    monkeypatch.undo()
    assert (run(entry.binary("tool")), entry.manifest("tool").read_text()) == ("given", image)
    assert (entry.made.version, entry.made.go) == ("1.5.0", "nogo")
    assert entry.made.source.startswith("binary manager with manifest all.yaml, sha256 ")
    assert source(write_given(tmp_path / "given", image + "---\n")).stem != given.stem


def test_a_binary_of_no_known_release_has_no_version(tmp_path: Path) -> None:
    """Without an image tag that is a release, the version says that it is unknown."""
    given = source(write_given(tmp_path / "given"))
    assert isinstance(given, Given)
    assert given.version == f"unknown-{given.digest[:12]}"


@pytest.mark.parametrize(("manifest", "wrong"), [("{", "is not YAML"), ("kind: Pod\n", "has no Deployment")])
def test_a_manifest_that_installs_nothing_is_refused(tmp_path: Path, manifest: str, wrong: str) -> None:
    """A manifest file that is not YAML, or has no Deployment, is refused when it is first used."""
    with pytest.raises(UsageError, match=f"all.yaml {wrong}; name the file that installs tool"):
        make_all(tmp_path / "store", source(write_given(tmp_path / "given", manifest)))


def test_a_value_that_names_nothing_is_refused(tmp_path: Path) -> None:
    """A value that is no folder, no release and no pair of files is refused with the three forms there are."""
    tiny(tmp_path, "other")
    (tmp_path / "empty").mkdir()
    refusals = {
        "main": "neither a folder with a checkout of example.test/tool, nor a release such as v1.0.0, nor BINARY:",
        str(tmp_path / "empty"): "no readable go.mod",
        str(tmp_path / "other-1.0.0"): "holds example.test/other; name a checkout of example.test/tool",
        f"{tmp_path}/nothing:{tmp_path}/nothing": "is not a program; the form is BINARY:MANIFEST",
        f"/bin/sh:{tmp_path}/nothing": "cannot read .*nothing .*; the form is BINARY:MANIFEST",
    }
    for value, refusal in refusals.items():
        with pytest.raises(UsageError, match=f"--tool-from .*{refusal}"):
            source(value)
