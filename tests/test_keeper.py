"""The keeper owns a run's processes: none of them outlives the run, for whatever cause it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from conformance.clusters.ports import Reservation, run_on_free_ports
from conformance.clusters.processes import Processes, Program, keeper_of, recorded_events
from conformance.clusters.run_folders import PREFIX, remove_left_overs
from conformance.errors import HarnessError

ROOT = Path(__file__).parents[1]
LIMIT = 5.0
"""Seconds within which nothing may be left; a promise of the suite, not a measured time."""

RUNNER = """
import json, signal, sys, time
from pathlib import Path
from conformance.clusters.ports import Reservation, run_on_free_ports
from conformance.clusters.processes import Processes, Program
# Also where they are ignored, as in a shell's background job (SIGINT) or under nohup (SIGHUP).
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
folder = Path(sys.argv[1])
processes = Processes(folder)
for stage, name in enumerate(["manager", "store"]):
    processes.start(Program(name, ["sleep", "1000"], folder / f"{name}.log", stage))
if "detach" in sys.argv:
    processes.detach()
print(json.dumps([processes.keeper_pid, *processes.pids.values()]), flush=True)
while "detach" not in sys.argv:
    time.sleep(0.1)  # short, since a signal that comes just before a sleep does not cut it short
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"


def sleeper(folder: Path, name: str, stage: int = 0) -> Program:
    return Program(name, ["sleep", "1000"], folder / f"{name}.log", stage)


def script(folder: Path, name: str, text: str, stage: int = 0) -> Program:
    return Program(name, [sys.executable, "-c", text], folder / f"{name}.log", stage)


def left_of(pids: list[int], seconds: float = LIMIT) -> list[int]:
    """Those of the processes that are still there after so many seconds."""
    left = []
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(handle, closefd=True):
            if not select.select([handle], [], [], seconds)[0]:
                left.append(pid)
    return left


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.fixture
def processes(folder: Path) -> Iterator[Processes]:
    owner = Processes(folder)
    yield owner
    owner.end(keep=False)


@pytest.fixture
def runner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A stand-in for a run, in a process of its own, that has started two components."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    with process:
        yield process
        process.kill()


def pids_of(runner: subprocess.Popen[str]) -> list[int]:
    """The keeper's pid and those of its children."""
    assert runner.stdout is not None
    pids: list[int] = json.loads(runner.stdout.readline())
    return pids


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_outlives_the_runner(runner: subprocess.Popen[str], folder: Path, how: signal.Signals) -> None:
    """However the runner ends, its components, the keeper and the run folder are gone within five seconds."""
    pids = pids_of(runner)
    runner.send_signal(how)
    runner.wait(60)
    assert left_of(pids) == []
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills the children of a killed keeper")
def test_nothing_outlives_a_killed_keeper(runner: subprocess.Popen[str]) -> None:
    """When the keeper itself is killed, the kernel kills its children."""
    keeper, *children = pids_of(runner)
    os.kill(keeper, signal.SIGKILL)
    assert left_of(children) == []


def test_terminal_signals_reach_only_the_runner(runner: subprocess.Popen[str]) -> None:
    """Ctrl-C goes to the terminal's process group, to which neither the keeper nor a component belongs."""
    groups = {os.getpgid(pid) for pid in pids_of(runner)}
    assert os.getpgid(runner.pid) not in groups
    assert len(groups) == 3


def test_stop_order(processes: Processes, folder: Path) -> None:
    """Components end stage by stage, the lowest first, whatever the order in which they were started."""
    for name, stage in (("etcd", 3), ("manager", 0), ("apiserver", 2), ("scheduler", 1)):
        processes.start(sleeper(folder, name, stage))
    processes.end(keep=True)
    ended = [event["name"] for event in recorded_events(folder) if event["event"] == "exited"]
    assert ended == ["manager", "scheduler", "apiserver", "etcd"]


def test_a_component_that_ignores_sigterm_is_killed(processes: Processes, folder: Path) -> None:
    """A component that does not end when asked is killed."""
    processes.start(script(folder, "deaf", DEAF))
    pid = processes.pids["deaf"]
    log = folder / "deaf.log"
    wait_until(lambda: log.exists() and "deaf" in log.read_text())
    processes.end(keep=True)
    assert left_of([pid], 0) == []


def test_what_a_component_started_ends_with_it(processes: Processes, folder: Path) -> None:
    """The processes that a component has started itself are ended with its process group."""
    text = "import subprocess; p = subprocess.Popen(['sleep', '1000']); print(p.pid, flush=True)"
    ended = threading.Event()
    processes.on_death(lambda _: ended.set())
    processes.start(script(folder, "parent", text))
    assert ended.wait(LIMIT)
    assert left_of([int((folder / "parent.log").read_text())]) == []


def test_a_death_is_told_at_once_with_its_last_log_lines(processes: Processes, folder: Path) -> None:
    """When a component dies, callbacks and `check` say which, how, and what it logged last."""
    told: list[str] = []
    heard = threading.Event()

    def hear(message: str) -> None:
        told.append(message)
        heard.set()

    processes.on_death(hear)
    processes.start(script(folder, "kube-apiserver", "import sys; print('panic: no disk'); sys.exit(3)"))
    assert heard.wait(LIMIT)
    assert told == ["kube-apiserver exited with code 3; its last log lines:\npanic: no disk"]
    with pytest.raises(HarnessError, match="panic: no disk"):
        processes.check()


def test_a_component_stopped_on_purpose_is_no_death(processes: Processes, folder: Path) -> None:
    """A component that was asked to end does not break the cluster, and can be started again."""
    processes.start(sleeper(folder, "kueue"))
    first = processes.pids["kueue"]
    processes.stop("kueue")
    processes.check()
    assert left_of([first], 0) == []
    processes.start(sleeper(folder, "kueue"))
    assert processes.pids["kueue"] != first


def test_the_death_of_a_tentative_component_can_be_repaired(processes: Processes, folder: Path) -> None:
    """Until it is settled, the death of a component is the caller's to see and breaks nothing."""
    told: list[str] = []
    processes.on_death(told.append)
    processes.start(script(folder, "kueue", "import sys; sys.exit('address already in use')"), tentative=True)
    wait_until(lambda: processes.death_of("kueue") is not None)
    processes.check()
    assert "address already in use" in str(processes.death_of("kueue"))
    processes.start(sleeper(folder, "kueue"), tentative=True)
    processes.settle("kueue")
    assert told == []


def listener(folder: Path, port: int) -> Program:
    text = f"s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True); time.sleep(1000)"
    return script(folder, "kueue", f"import socket, time; {text}")


@pytest.mark.parametrize("taken", [1, 2])
def test_a_port_taken_meanwhile_is_replaced_once(processes: Processes, folder: Path, taken: int) -> None:
    """A program whose port is taken between its choice and its start gets another; a second time it is an error."""
    stranger = socket.create_server(("127.0.0.1", 0))
    chosen: list[int] = []

    def choose() -> tuple[Program, Reservation]:
        reserved = Reservation()
        chosen.append(stranger.getsockname()[1] if len(chosen) < taken else reserved.ports[0])
        return listener(folder, chosen[-1]), reserved

    def ready(program: Program) -> None:
        wait_until(lambda: processes.death_of("kueue") is not None or program.log.read_text().endswith("up\n"))
        if death := processes.death_of("kueue"):
            raise HarnessError(str(death))

    with stranger, nullcontext() if taken == 1 else pytest.raises(HarnessError, match="in use"):
        run_on_free_ports(processes, choose, ready)
    assert len(chosen) == 2


def test_a_reserved_port_is_given_to_nobody_else() -> None:
    """While a port is reserved the system gives it to nobody, and its program can listen on it."""
    reserved, others = Reservation(count=3), Reservation(count=50)
    with socket.create_server(("127.0.0.1", reserved.ports[0])):
        assert len({*reserved.ports, *others.ports}) == 53
    reserved.release()
    others.release()


def test_a_program_that_cannot_be_executed_is_named(processes: Processes, folder: Path) -> None:
    """A program that is not there gives an error with its name."""
    with pytest.raises(HarnessError, match="etcd cannot be started"):
        processes.start(Program("etcd", [str(folder / "absent")], folder / "etcd.log", 0))


def test_the_folder_is_kept_when_told_so(processes: Processes, folder: Path) -> None:
    """With `keep`, logs and data stay where they are."""
    processes.start(sleeper(folder, "etcd"))
    processes.end(keep=True)
    assert (folder / "etcd.log").exists()


def test_a_detached_keeper_outlives_its_runner_and_obeys_sigterm(folder: Path) -> None:
    """After `detach` the components live on without the runner, until the keeper gets SIGTERM."""
    runner = subprocess.run(
        [sys.executable, "-c", RUNNER, str(folder), "detach"], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    )
    keeper, *children = json.loads(runner.stdout)
    assert keeper_of(folder) == keeper
    assert left_of(children, 0) == children
    os.kill(keeper, signal.SIGTERM)
    assert left_of([keeper, *children]) == []
    assert keeper_of(folder) is None


@pytest.mark.parametrize(("owner", "stays"), [("killed", False), ("killed, kept", True), ("alive", True)])
def test_left_overs_are_removed(tmp_path: Path, owner: str, stays: bool) -> None:
    """The next run removes a folder whose keeper was killed, but neither a kept one nor that of another run."""
    folder = tmp_path / f"{PREFIX}abc"
    folder.mkdir()
    processes = Processes(folder)
    processes.start(sleeper(folder, "etcd"))
    if owner != "alive":
        os.kill(processes.keeper_pid, signal.SIGKILL)
        assert left_of([processes.keeper_pid]) == []
    if owner == "killed, kept":
        processes.end(keep=True)
    os.utime(folder, (0, 0))
    remove_left_overs(tmp_path)
    assert folder.exists() is stays
    processes.end(keep=False)


def test_a_stale_pid_is_never_trusted(folder: Path) -> None:
    """A keeper is known by the lock it holds, not by the pid that it wrote."""
    (folder / "keeper.lock").write_text(f"{os.getpid()}\n")
    assert keeper_of(folder) is None


def wait_until(true: Callable[[], bool]) -> None:
    """Return when something that another process does has come true."""
    between = threading.Event()
    while not true():
        between.wait(0.01)
