"""The wheel has every module and data file of the tree, and the import rules are checked on all of its modules."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = {"conformance": "conformance", "fixtures": "conformance/fixtures", "manifests": "conformance/manifests"}
"""Folder of the tree to folder of the wheel."""
DATA = (".yaml", ".json", ".j2", ".ini", "go.mod", "go.sum", "py.typed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built offline from a copy of the tree: building leaves files behind."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    tracked = ["LICENSE", "README.md", "pyproject.toml", *PLACES]
    subprocess.run(["cp", "-R", *(str(ROOT / name) for name in tracked), str(copy)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    built = subprocess.run([*command, "-w", str(out), str(copy)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


def in_tree() -> set[str]:
    """Every file of the packages, by its place in the wheel."""
    found = set()
    for folder, place in PLACES.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(f"{place}/{path.relative_to(ROOT / folder)}")
    return found


def test_the_wheel_has_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    """Every module and every data file of the tree is in the wheel, and nothing but them."""
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in in_tree() if name.endswith((".py", *DATA))}


def test_every_file_of_the_packages_is_of_a_known_kind() -> None:
    """The packages hold modules and known kinds of data, so that nothing is left out of the wheel unnoticed."""
    assert {name for name in in_tree() if not name.endswith((".py", ".md", *DATA))} == set()


def test_import_linter_sees_every_module_of_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """The graph on which the import rules are checked has each module that is shipped."""
    program = "import grimp; print(*grimp.build_graph('conformance', cache_dir=None).modules)"
    # Not from the root of the tree, where `conformance` is a folder without the packages that are mapped into it.
    seen = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    shipped = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in wheel.namelist()
        if name.endswith(".py")
    }
    assert shipped <= set(seen.stdout.split())


def test_the_wheel_brings_the_command_and_the_plugin(wheel: zipfile.ZipFile) -> None:
    """Installing the wheel gives the console command and registers the pytest plugin."""
    points = next(name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert wheel.read(points).decode().split("\n\n") == [
        "[console_scripts]\nkueue-lws-conformance = conformance.cli:main",
        "[pytest11]\nkueue-lws-conformance = conformance.plugin\n",
    ]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-go.lock"])
def test_locks_name_packages_and_nothing_else(lock: str) -> None:
    """A lock pins every package with hashes and names no index, no host and no path."""
    lines = [line.strip() for line in (ROOT / lock).read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        assert "://" not in line
        assert line.startswith("--hash=sha256:") or "==" in line, line
    pins = [index for index, line in enumerate(lines) if "==" in line]
    assert all(lines[index + 1].startswith("--hash=sha256:") for index in pins)


def test_the_lock_has_what_the_project_asks_for() -> None:
    """Every dependency of the project and of its developers is pinned in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {name.split(">=")[0].lower() for name in asked} <= pinned


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="the tests do not run in the environment of the scripts")
def test_a_warm_set_up_is_silent_and_offline(tmp_path: Path) -> None:
    """Where everything is installed and linked, the scripts' set-up says nothing and needs no index and no Python."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", 'source "$1"', "-", str(ROOT / "scripts" / "setup.sh")],
        capture_output=True, text=True, check=False, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
