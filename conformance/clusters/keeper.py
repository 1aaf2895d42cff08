"""The process that owns a cluster's processes, so that none of them outlives the run that started them.

A runner can die in ways in which it cannot tidy up (SIGKILL, a crash, a lost terminal). The keeper is its own small
process in its own session; it starts every component on the runner's command and ends them all when its stdin closes,
for whatever cause the runner went away. Should the keeper itself be killed, the kernel kills its children (Linux).

It is run as `python -I -S keeper.py FOLDER` and uses the standard library only: it must start at once and depend on
nothing that a run might break. Commands come as JSON lines on stdin:

    {"do": "start", "name": …, "argv": […], "env": {…}, "log": …, "stage": 0}
    {"do": "stop", "name": …, "grace": 2.0}     end one child on purpose
    {"do": "keep", "keep": true}                keep the run folder at the end
    {"do": "detach"}                            live on without the runner, until SIGTERM
    {"do": "end", "keep": false}                end everything now

Events go, as JSON lines, to stdout and to `events.ndjson` in the folder: `started` (name, pid), `failed` (name, error),
`exited` (name, code, asked, cpu in seconds, peak resident memory in bytes), `ended`. While it lives it holds a lock on
`keeper.lock` in the folder, which contains its pid: who can take the lock knows that the keeper is gone, and who cannot
may trust the pid.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

STAGE_GRACE: Final = 0.8
"""Seconds that the children of one stop stage get between SIGTERM and SIGKILL, if the run folder is kept (for then
their last words are worth having; else they get none). Four stages stay within 5 s."""
PR_SET_PDEATHSIG: Final = 1


class Child:
    """One running component. `stage` orders the end: 0 goes first."""

    def __init__(self, process: subprocess.Popen[bytes], stage: int) -> None:
        self.process, self.stage = process, stage
        self.asked = False
        self.kill_at: float | None = None
        self.used: resource.struct_rusage | None = None

    def ended(self) -> bool:
        """Whether it has ended; then `process.returncode` is set, and `used` is what it and its children used."""
        if self.process.returncode is None:  # reaped here and not by `poll`, which would lose what it used
            pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode, self.used = os.waitstatus_to_exitcode(status), used
        return self.process.returncode is not None

    def signal(self, number: int) -> None:
        """Signal the child's whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Keeper:
    """The event loop: stdin, dying children and signals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[str, Child] = {}
        self.keep = False
        self.ending = False
        self.detached = False
        self._events = (folder / "events.ndjson").open("ab", buffering=0)
        self._arm = dies_with_parent()

    def run(self) -> None:
        """Serve until told to end, until stdin closes (unless detached), or until SIGTERM; then end every child."""
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTSTP):
            signal.signal(ignored, signal.SIG_IGN)
        selector = selectors.DefaultSelector()
        selector.register(woken, selectors.EVENT_READ)
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        pending = b""
        while not self.ending:
            for key, _ in selector.select(self._until_next_kill()):
                if key.fd == woken:
                    os.read(woken, 4096)
                    continue
                data = os.read(sys.stdin.fileno(), 65536)
                if not data:
                    selector.unregister(sys.stdin.fileno())
                    self.ending = not self.detached
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            self._reap()
        self._end_all()

    def _on_term(self, *_: Any) -> None:
        self.ending = True

    def _obey(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "start":
                self._start(command)
            case "stop" if command["name"] in self.children:
                child = self.children[command["name"]]
                child.asked = True
                child.kill_at = time.monotonic() + command["grace"]
                child.signal(signal.SIGTERM)
            case "keep":
                self.keep = command["keep"]
            case "detach":
                self.detached = True
                self._tell({"event": "detached"})
                silence = os.open(os.devnull, os.O_RDWR)
                os.dup2(silence, sys.stdout.fileno())
            case "end":
                self.keep = command["keep"]
                self.ending = True

    def _start(self, command: dict[str, Any]) -> None:
        name: str = command["name"]
        try:
            with open(command["log"], "ab") as log:
                process = subprocess.Popen(
                    command["argv"],
                    env=command["env"],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=self._arm,
                )
        except (OSError, subprocess.SubprocessError) as error:
            self._tell({"event": "failed", "name": name, "error": str(error)})
            return
        self.children[name] = Child(process, command["stage"])
        self._tell({"event": "started", "name": name, "pid": process.pid})

    def _reap(self) -> None:
        for name, child in list(self.children.items()):
            if child.ended():
                del self.children[name]
                child.signal(signal.SIGKILL)  # what the child may have started itself
                code, asked = child.process.returncode, child.asked or self.ending
                self._tell({"event": "exited", "name": name, "code": code, "asked": asked, **usage(child.used)})
            elif child.kill_at is not None and time.monotonic() >= child.kill_at:
                child.signal(signal.SIGKILL)

    def _until_next_kill(self) -> float | None:
        moments = [child.kill_at for child in self.children.values() if child.kill_at is not None]
        return max(0.01, min(moments) - time.monotonic()) if moments else None

    def _end_all(self) -> None:
        for stage in sorted({child.stage for child in self.children.values()}):
            mine = [child for child in self.children.values() if child.stage == stage]
            if self.keep:
                for child in mine:
                    child.signal(signal.SIGTERM)
                self._wait_for(mine, STAGE_GRACE)
            for child in mine:
                child.signal(signal.SIGKILL)
            self._wait_for(mine, STAGE_GRACE)
        self._tell({"event": "ended"})
        self._events.close()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_for(self, children: list[Child], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not all(child.ended() for child in children) and time.monotonic() < until:
            time.sleep(0.01)
        self._reap()

    def _tell(self, event: dict[str, Any]) -> None:
        line = json.dumps(event).encode() + b"\n"
        with contextlib.suppress(OSError):
            self._events.write(line)
        with contextlib.suppress(OSError):  # the runner may be gone
            os.write(sys.stdout.fileno(), line)


def usage(used: resource.struct_rusage | None) -> dict[str, float]:
    """Seconds of CPU and bytes of resident memory at the peak, as an `exited` event tells them."""
    if used is None:
        return {}
    unit = 1 if sys.platform == "darwin" else 1024
    return {"cpu": round(used.ru_utime + used.ru_stime, 3), "peak": used.ru_maxrss * unit}


def dies_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes its program: ask the kernel for SIGKILL when the keeper is gone (Linux)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    keeper = os.getpid()

    def arm() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:  # it died before the request took effect
            os._exit(127)

    return arm


def main() -> None:
    folder = Path(sys.argv[1])
    with (folder / "keeper.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        Keeper(folder).run()


if __name__ == "__main__":
    main()
