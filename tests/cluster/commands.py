"""The console command and plain pytest as a user runs them: as processes, in a place of their own on this machine.

A `Place` is an empty folder with a results folder, a folder for run folders ($TMPDIR) and a state folder in it. Every
process that a command starts carries the place's path in its command line or environment, so that a test can say that
none is left, and a fixture can end what is.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CONSOLE = Path(sys.executable).with_name("kueue-lws-conformance")
SLOW = ("--slow", "3")
"""For every run that should pass: the machine that runs these tests may be busy with others."""
LIMIT = 900.0
"""Seconds after which a command that does not end is a failure of the test; nothing comes near it."""
GONE = 5.0
"""Seconds within which nothing of a run may be left, whatever ended it."""


def eventually(what: str, true: Callable[[], object], limit: float = 300.0) -> None:
    """Return once something that a command does by itself has come true."""
    waiting = threading.Event()
    for _ in range(int(limit / 0.05)):
        if true():
            return
        waiting.wait(0.05)
    pytest.fail(f"it did not come true within {limit:.0f} s that {what}")


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    output: str
    errors: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.output}\n{self.errors}"

    @property
    def last_line(self) -> str:
        return self.output.rstrip().splitlines()[-1]

    def sentence(self) -> str:
        """What a usage error wrote; fails if that is not exactly one line on standard error."""
        assert self.output == "", str(self)
        (line,) = self.errors.splitlines()
        assert line.startswith("error: "), str(self)
        return line.removeprefix("error: ")


class Running:
    """A command under way, in a session of its own as under a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, errors: Path) -> None:
        self.process, self._output, self._errors = process, output, errors

    def ended(self, limit: float = LIMIT) -> Ended:
        """Wait for its end."""
        code = self.process.wait(limit)
        return Ended(code, self._output.read_text(), self._errors.read_text())

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.process.wait(LIMIT)


class Place:
    """Where the commands of a test run and leave what they leave."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="e2e-"))  # pytest's own folders are too long for sockets in them
        self.results = self.root / "results"
        self.run_folders_in = self.root / "tmp"
        self.run_folders_in.mkdir()
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *argv: object, program: Sequence[object] = (CONSOLE,), **environment: str) -> Running:
        """Start the console command, or another program, with these arguments."""
        number = len(self._started)
        output, errors = self.root / f"output-{number}", self.root / f"errors-{number}"
        env = {key: value for key, value in os.environ.items() if key not in ("PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS")}
        env |= {"TMPDIR": str(self.run_folders_in), "XDG_STATE_HOME": str(self.root / "state"), "COLUMNS": "120"}
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                [str(part) for part in (*program, *argv)],
                cwd=self.root,
                env=env | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=_heed_interrupts,
            )
        self._started.append(process)
        return Running(process, output, errors)

    def command(self, *argv: object, **environment: str) -> Ended:
        """Run the console command to its end."""
        return self.start(*argv, **environment).ended()

    def run_folders(self) -> list[Path]:
        """The run folders that are there."""
        return sorted(self.run_folders_in.glob("kueue-lws-*"))

    def processes(self) -> dict[int, str]:
        """Every process that a command of this place started and that has not ended: pid and command line."""
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes()  # empty for one that ended and was not waited for
                if line and str(self.root).encode() in line + (folder / "environ").read_bytes():
                    found[int(folder.name)] = line.replace(b"\0", b" ").decode(errors="replace")
        return found

    def pid_of(self, component: str) -> int:
        """The process of a component of the one run that is under way."""
        (folder,) = self.run_folders()
        (pid,) = [p for p, line in self.processes().items() if _runs(component, line) and str(folder) in line]
        return pid

    def left_after(self, seconds: float = GONE) -> list[str]:
        """The command lines of what has not ended by itself within this time."""
        end = time.monotonic() + seconds
        left = [line for pid, line in self.processes().items() if not _ends(pid, end)]
        return left or list(self.processes().values())

    def end_all(self) -> None:
        """End whatever is left."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.left_after(2 * GONE)  # the keeper ends what it owns in order
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End whatever is left, and remove everything."""
        self.end_all()
        shutil.rmtree(self.root, ignore_errors=True)


def _heed_interrupts() -> None:
    """A test run started in the background of a script ignores SIGINT, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _runs(component: str, command_line: str) -> bool:
    return command_line.partition(" ")[0].rpartition("/")[2] == component


def _ends(pid: int, end: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], max(0.0, end - time.monotonic()))[0])
    finally:
        os.close(handle)


@contextlib.contextmanager
def a_place() -> Iterator[Place]:
    """A place that is gone afterwards, with every process that was started in it."""
    place = Place()
    try:
        yield place
    finally:
        place.close()
