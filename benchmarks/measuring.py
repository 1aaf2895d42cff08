"""What the benchmarks share: one run of the console command, measured from outside, and tables of what was measured.

A benchmark starts the command that a user starts and reads what it leaves: the results folder, and of the run folder
the audit log and what the keeper told of the components' use of the machine. Nothing is asserted here, and what is
compared is compared within one run, as shares: seconds of another machine, or of another hour, say little.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

MIB: Final = 1024**2
GIB: Final = 1024**3
RUN_FOLDERS: Final = "kueue-lws-*"
LOOK_EVERY: Final = 0.1
"""Seconds between two looks at the runner's memory."""
OURS: Final = "suite (Python)"
GRACE: Final = 30.0
"""Seconds that a run gets to end in order after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Used:
    """CPU-seconds of one process and its children, and the most resident memory that it had, in bytes."""

    cpu: float
    peak: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the console command."""

    code: int | None
    """The exit code; None when the run was still going on at the limit and was ended."""
    began: float
    """Seconds since the epoch at which the command was started; `ended`, at which it was gone."""
    ended: float
    load: float
    """The load average of the minute before the run."""
    others: float
    """The share of the machine's CPUs that went to other processes during the run (Linux; elsewhere 0)."""
    used: dict[str, Used]
    """By component, the suite itself included; empty without a run folder."""
    results: Path
    run_folder: Path | None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def console_command() -> Path:
    """The console command of the environment that this Python belongs to."""
    return Path(sys.executable).with_name("kueue-lws-conformance")


def measure(arguments: Sequence[str], folder: Path, *, keep: bool = True, limit: float = 900.0) -> Measured:
    """Run `kueue-lws-conformance run ARGUMENTS` with its results and its output in `folder`, and measure it.

    With `keep` the run folder stays too, in a temporary folder of a short path, and is the caller's to remove; without
    it the components' use is not known. A run that takes more than `limit` seconds is ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results, temporary = folder / "results", Path(tempfile.mkdtemp(prefix="bench-")) if keep else None
    argv = [str(console_command()), "run", "--out", str(results), *(["--keep"] if keep else []), *arguments]
    env = os.environ | ({"TMPDIR": str(temporary)} if temporary else {})
    load = os.getloadavg()[0]
    began, busy = time.time(), busy_seconds()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    code, cpu, peak = _await(process, began + limit)
    ended = time.time()
    others = (busy_seconds() - busy - cpu) / ((ended - began) * (os.cpu_count() or 1))
    run_folder = next(temporary.glob(RUN_FOLDERS), None) if temporary else None
    events = (run_folder / "events.ndjson").read_text().splitlines() if run_folder else []
    used = by_component(events, cpu, peak)
    return Measured(code, began, ended, load, max(0.0, others), used, results, run_folder)


def _await(process: subprocess.Popen[bytes], until: float) -> tuple[int | None, float, int]:
    """Exit code, CPU-seconds of the process and all its descendants, and its own peak of resident memory."""
    peak, late = 0, False
    try:
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return None if late else process.returncode, used.ru_utime + used.ru_stime, peak
            peak = max(peak, _peak_of(process.pid))
            if not late and time.time() > until:
                late = True
                process.send_signal(signal.SIGINT)
            elif late and time.time() > until + GRACE:
                process.kill()
            time.sleep(LOOK_EVERY)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            process.wait(GRACE)


def _peak_of(pid: int) -> int:
    """The most resident memory that a process has had, in bytes (Linux; elsewhere 0). The kernel keeps it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


def busy_seconds() -> float:
    """CPU-seconds that all processes together have used since the machine was started; 0 where it is not told."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, file.readline().split()[1:])
    except OSError:
        return 0.0
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def by_component(events: Iterable[str], cpu: float, peak: int) -> dict[str, Used]:
    """What each process used, from the keeper's events; what is left of the whole `cpu` is the suite's own.

    A component that was started again counts with all its processes.
    """
    found: dict[str, Used] = {}
    for line in events:
        event = json.loads(line)
        if event["event"] == "exited" and "cpu" in event:
            before = found.get(event["name"], Used(0.0, 0))
            found[event["name"]] = Used(before.cpu + event["cpu"], max(before.peak, event["peak"]))
    if not found:
        return {}
    found[OURS] = Used(max(0.0, cpu - sum(one.cpu for one in found.values())), peak)
    return dict(sorted(found.items(), key=lambda item: -item[1].cpu))


def shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Each part of the sum of all, between 0 and 1; all 0 where the sum is."""
    whole = sum(parts.values())
    return {name: part / whole if whole else 0.0 for name, part in parts.items()}


def medians(rows: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in rows.items()}


def gathered(runs: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of several runs by name; one that a run does not know is 0 there."""
    every = list(runs)
    names = dict.fromkeys(name for run in every for name in run)
    return {name: [run.get(name, 0.0) for run in every] for name in names}


def table(
    title: str,
    rows: Mapping[str, Sequence[float]],
    *,
    digits: int = 1,
    part_of: Mapping[str, float] | None = None,
    total: str = "",
) -> Table:
    """A row for each name with the median over the runs, the lowest and the highest, and its share.

    `part_of` gives the shares, by default those of the medians; empty for none. `total` is the name of a last row with
    the sums of each run.
    """
    part_of = shares(medians(rows)) if part_of is None else part_of
    made = Table(title=title, title_justify="left", title_style="bold", box=box.MARKDOWN)
    made.add_column("", min_width=44)
    several = any(len(values) > 1 for values in rows.values())
    for heading in (*(("median", "lowest", "highest") if several else ("value",)), *(("share",) if part_of else ())):
        made.add_column(heading, justify="right")
    shown = dict(rows)
    if total:
        shown[total] = [sum(values) for values in zip(*rows.values(), strict=True)]
    for name, values in shown.items():
        spread = (statistics.median(values), min(values), max(values)) if several else values
        share = [f"{part_of[name]:.0%}" if name in part_of else ""] if part_of else []
        made.add_row(name, *(f"{value:.{digits}f}" for value in spread), *share)
    return made


def heading(console: Console, what: str) -> None:
    """What was measured, when, and on what, without naming the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    console.print(f"{what}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {memory:.0f} GiB")
