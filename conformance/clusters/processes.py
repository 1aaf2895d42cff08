"""The runner's side of the keeper: start components, hear at once when one dies, end them all.

Nothing here knows what the components are; `keeper.py` says how they are owned.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from conformance.clusters import keeper
from conformance.errors import HarnessError

LAST_LINES: Final = 12
"""How many of a dead component's last log lines a message shows."""
LINES_FOLLOW: Final = "; its last log lines:\n"
"""In a message about a component's end: between the sentence and the lines."""


@dataclass(frozen=True, slots=True)
class Program:
    """One component to run. `stage` orders the end: 0 goes first."""

    name: str
    argv: Sequence[str]
    log: Path
    stage: int
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Death:
    """A component that ended without being asked to."""

    name: str
    code: int
    last_lines: str

    def __str__(self) -> str:
        how = f"was killed by signal {-self.code}" if self.code < 0 else f"exited with code {self.code}"
        return f"{self.name} {how}{LINES_FOLLOW}{self.last_lines}"


class Processes:
    """The children of one run, in one run folder. Safe for use from several threads."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        """Start the keeper on an existing folder; `keep` says whether it leaves the folder when the runner is gone."""
        self.folder = folder
        self.pids: dict[str, int] = {}
        self._logs: dict[str, Path] = {}
        self._deaths: dict[str, Death] = {}
        self._tentative: set[str] = set()
        self._exits: dict[str, int] = {}
        self._failures: dict[str, str] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._ended = False
        self._changed = threading.Condition()
        with (folder / "keeper.log").open("wb") as log:  # not our stderr: a detached keeper would hold it for ever
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C reaches the runner alone, which decides what happens
            )
        self._send({"do": "keep", "keep": keep})
        self._listener = threading.Thread(target=self._listen, name="keeper-events", daemon=True)
        self._listener.start()

    @property
    def keeper_pid(self) -> int:
        return self._keeper.pid

    def start(self, program: Program, *, tentative: bool = False) -> None:
        """Start a component. Raises HarnessError when it cannot be executed.

        The death of a tentative one is the caller's to see (`death_of`) and to repair, until it is `settled`.
        """
        name = program.name
        with self._changed:
            self._logs[name] = program.log
            self._failures.pop(name, None)
            self._exits.pop(name, None)
            self._deaths.pop(name, None)
            self.pids.pop(name, None)
            if tentative:
                self._tentative.add(name)
        env = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "TMPDIR": str(self.folder), **program.env}
        command = {"do": "start", "name": name, "argv": list(program.argv), "env": env}
        self._send({**command, "log": str(program.log), "stage": program.stage})
        with self._changed:
            self._changed.wait_for(lambda: name in self.pids or name in self._failures or self._ended)
            if name in self._failures:
                raise HarnessError(f"{name} cannot be started: {self._failures[name]}")
        self.check()

    def stop(self, name: str, *, grace: float = 2.0) -> None:
        """End one component on purpose and wait until it is gone; SIGKILL after `grace` seconds."""
        self._send({"do": "stop", "name": name, "grace": grace})
        with self._changed:
            self._changed.wait_for(lambda: name in self._exits or self._ended, timeout=grace + 5)

    def settle(self, name: str) -> None:
        """From now on the death of this component breaks the cluster; raises HarnessError if it is dead already."""
        with self._changed:
            self._tentative.discard(name)
        self.check()

    def check(self) -> None:
        """Raises HarnessError, with the last log lines, when a component or the keeper has died."""
        with self._changed:
            for name, death in self._deaths.items():
                if name not in self._tentative:
                    raise HarnessError(str(death))
            if self._ended:
                raise HarnessError(self._why_gone())

    def death_of(self, name: str) -> Death | None:
        with self._changed:
            return self._deaths.get(name)

    def on_death(self, callback: Callable[[str], None]) -> None:
        """Call `callback(message)`, from another thread, as soon as a component dies; at once if one is dead."""
        with self._changed:
            self._callbacks.append(callback)
        try:
            self.check()
        except HarnessError as error:
            callback(str(error))

    def detach(self) -> None:
        """Let the keeper and its children live on without this runner."""
        with self._changed:
            self._callbacks.clear()
        self._send({"do": "detach"})
        self._close()
        self._keeper.returncode = 0  # it is no longer ours to wait for

    def end(self, *, keep: bool) -> None:
        """End every child in stop order, remove the folder unless `keep`, and wait for the keeper to be gone."""
        with self._changed:
            self._callbacks.clear()
        with contextlib.suppress(HarnessError):
            self._send({"do": "end", "keep": keep})
        try:
            self._keeper.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._close()
        # What a keeper that was killed could not do any more:
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif not was_ended(self.folder):
            with (self.folder / "events.ndjson").open("a") as events:
                events.write('{"event": "ended"}\n')

    def _close(self) -> None:
        """Let go of the keeper's pipes, once it has said its last word."""
        self._listener.join(timeout=15)
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def _why_gone(self) -> str:
        code = self._keeper.poll()
        how = f"exited with code {code}" if code is not None else "has ended"
        said = last_lines(self.folder / "keeper.log")
        return f"the keeper of the cluster's processes {how}, and they are gone with it; its last log lines:\n{said}"

    def _send(self, command: dict[str, Any]) -> None:
        assert self._keeper.stdin is not None
        try:
            with self._changed:
                self._keeper.stdin.write(json.dumps(command).encode() + b"\n")
                self._keeper.stdin.flush()
        except (OSError, ValueError) as error:
            raise HarnessError(self._why_gone()) from error

    def _listen(self) -> None:
        assert self._keeper.stdout is not None
        for line in self._keeper.stdout:
            event = json.loads(line)
            if event["event"] in ("ended", "detached"):
                break
            self._on_event(event)
        with self._changed:
            self._ended = True
            callbacks = list(self._callbacks)
            self._changed.notify_all()
        for callback in callbacks:
            callback(self._why_gone())

    def _on_event(self, event: dict[str, Any]) -> None:
        name: str = event["name"]
        callbacks: list[Callable[[str], None]] = []
        death: Death | None = None
        with self._changed:
            match event["event"]:
                case "started":
                    self.pids[name] = event["pid"]
                case "failed":
                    self._failures[name] = event["error"]
                case "exited":
                    self._exits[name] = event["code"]
                    if not event["asked"]:
                        death = Death(name, event["code"], last_lines(self._logs[name]))
                        self._deaths[name] = death
                        callbacks = [] if name in self._tentative else list(self._callbacks)
            self._changed.notify_all()
        for callback in callbacks:
            callback(str(death))


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    """The last lines of a log file, each cut to 400 characters; `(no log)` when there is none."""
    try:
        with log.open(errors="replace") as file:
            kept = deque(file, maxlen=count)
    except OSError:
        return "(no log)"
    return "\n".join(line.rstrip()[:400] for line in kept) or "(the log is empty)"


def keeper_of(folder: Path) -> int | None:
    """The pid of the live keeper that owns this run folder; None when there is none.

    The keeper holds a lock on the file that names its pid, so that a pid used anew by a stranger is never trusted.
    """
    try:
        with (folder / "keeper.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
    except (OSError, ValueError):
        return None
    return None


def was_ended(folder: Path) -> bool:
    """Whether the run of this folder ended in order, by which a folder kept on purpose is told from a left-over."""
    return any(event["event"] == "ended" for event in recorded_events(folder))


def recorded_events(folder: Path) -> list[dict[str, Any]]:
    """What the keeper of a run folder has told so far; for those who are not its runner."""
    try:
        text = (folder / "events.ndjson").read_text()
    except OSError:
        return []
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]
