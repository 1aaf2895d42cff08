"""Slips of the person who calls `run`: each is answered with one sentence and exit code 2, and nothing is started."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Place, a_place

pytestmark = pytest.mark.cluster
EXISTING = ("--cluster", "existing", "--implementation", "installed")
SLIPS: dict[str, tuple[tuple[str, ...], str]] = {
    "option": (("--storry", "x"), "no such option: --storry (Possible options: --store, --story)"),
    "argument": (("page",), "got unexpected extra argument(s) (page)"),
    "number": (("--slow", "much"), "invalid value for '--slow'"),
    "profile": (("--profile", "pge"), "unknown profile 'pge'. Did you mean 'page'?"),
    "requirement": (("--requirement", "ADM-001"), "unknown requirement 'ADM-001'. Did you mean 'ADM-01'?"),
    "story": (("--story", "page_sampl"), "unknown story 'page_sampl'. Did you mean 'page_sample'?"),
    "level": (("--level", "MUSST"), "unknown level 'MUSST'. Did you mean 'MUST'?"),
    "feature": (("--feature", "toplogy"), "unknown feature 'toplogy'. Did you mean 'topology'?"),
    "kueue": (("--kueue-version", "0.19.9"), "Kueue 0.19.9 is not one of the known versions 0.19.2, "),
    "lws": (("--lws-version", "9.0"), "LWS 9.0 is not one of the known versions 0.9.0, "),
    "source": (("--kueue-from", "nowhere"), "--kueue-from nowhere: this is neither a folder with a checkout"),
    "key": (("--config", "{root}/slip.toml"), "unknown key 'slwo' in {root}/slip.toml. Did you mean 'slow'?"),
    "file": (("--config", "{root}/none.toml"), "cannot read {root}/none.toml: No such file or directory"),
    "skip": (("--skip", "ADM-01"), "--skip ADM-01: a reason is missing; write --skip ADM-01=REASON"),
    "skip-of": (("--skip", "ADM-001=no need"), "unknown requirement 'ADM-001'. Did you mean 'ADM-01'?"),
    "workers": (("-n", "some"), "-n some: how many worker processes?"),
    "kind": (("--cluster", "kind"), "--cluster kind is not available yet"),
    "implementation": (("--cluster", "existing"), "is judged as it is; add --implementation installed"),
    "installed": (("--implementation", "installed"), "a new local cluster has nothing installed"),
    "no-kubeconfig": (EXISTING, "--cluster existing needs a kubeconfig"),
    "kubeconfig": ((*EXISTING, "--kubeconfig", "{root}/none"), "cannot read kubeconfig {root}/none"),
    "bad-kubeconfig": ((*EXISTING, "--kubeconfig", "{root}/slip.toml"), "cannot read kubeconfig {root}/slip.toml"),
    "version-there": (
        (*EXISTING, "--kubeconfig", "{root}/slip.toml", "--kueue-version", "0.19.2"),
        "--kueue-version is for a cluster that the run starts itself",
    ),
    "reuse": (("--reuse",), "no cluster is up; start one with `kueue-lws-conformance cluster up`"),
    "config": (("--kueue-config", "{root}/none.yaml"), "cannot read the Kueue configuration {root}/none.yaml"),
    "bad-config": (("--kueue-config", "{root}/list.yaml"), "must be a mapping of configuration keys"),
    "reference-config": (
        ("--implementation", "reference", "--kueue-config", "{root}/gates.yaml"),
        "cannot use the configuration {root}/gates.yaml: featureGates is not a key that the reference knows",
    ),
    "out": (("--out", "{root}/slip.toml/out"), "cannot write results to {root}/slip.toml/out"),
    "used-out": (("--out", "{root}/used"), "{root}/used has the results of a run already"),
    "junit": (("--junit", "{root}/slip.toml/j.xml"), "cannot write {root}/slip.toml/j.xml"),
    "store": (("--store", "{root}/slip.toml/store"), "cannot write the component store {root}/slip.toml/store"),
    "port": (("--port", "{taken}"), "port {taken} of 127.0.0.1 cannot be bound"),
    "no-port": (("--port", "70000"), "port 70000 of 127.0.0.1 cannot be bound"),
}  # fmt: skip
"""Name: the arguments of `run`, and how the answer begins."""


@pytest.fixture(scope="module")
def scene() -> Iterator[tuple[Place, dict[str, str]]]:
    """A place with the files that the slips name, and a port on which somebody listens."""
    with a_place() as place, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (place.root / "slip.toml").write_text("slwo = 3\n")
        (place.root / "gates.yaml").write_text("featureGates: {}\n")
        (place.root / "list.yaml").write_text("[1, 2]\n")
        (place.root / "used").mkdir()
        (place.root / "used" / "log.ndjson").touch()
        yield place, {"root": str(place.root), "taken": str(taken.getsockname()[1])}


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name[-1].isdigit())


@pytest.mark.parametrize("slip", SLIPS)
def test_one_sentence_and_nothing_started(scene: tuple[Place, dict[str, str]], slip: str) -> None:
    """A slip is answered with one line that says what is wrong, with 2, before anything is made or started."""
    place, facts = scene
    arguments, answer = SLIPS[slip]
    before = contents(place.root)
    ended = place.command("run", *(part.format(**facts) for part in arguments))
    assert ended.code == 2, str(ended)
    assert answer.format(**facts) in ended.sentence()
    assert contents(place.root) == before
    assert place.processes() == {}


def test_a_slip_in_pyproject(place: Place) -> None:
    """A misspelt key in the section of the current folder's pyproject.toml is named, with the nearest right one."""
    (place.root / "pyproject.toml").write_text('[tool.kueue-lws-conformance]\nprofil = "core"\n')
    ended = place.command("run")
    assert ended.code == 2, str(ended)
    assert ended.sentence().startswith(
        "unknown key 'profil' in [tool.kueue-lws-conformance] of pyproject.toml. Did you mean 'profile'?"
    )


def test_a_selection_of_nothing(place: Place) -> None:
    """A run whose selection is empty starts nothing and ends with 4."""
    ended = place.command("run", "-k", "no_such_word")
    assert ended.code == 4, str(ended)
    assert ended.output.strip() == "nothing was judged"
    assert ended.errors == ""
    assert place.run_folders() == []
