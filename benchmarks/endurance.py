"""Twenty runs in a row, five of them on a machine that is busy with something else: does any verdict waver?

`python benchmarks/endurance.py --runs 20 --loaded 5 --out FOLDER`. Every run is the page profile, or what the options
after `--` ask for, at the deadlines as they are; a loaded one has a busy loop per core beside it. The results and the
output of every run stay in the folder, with the table (`table.md`), which is written anew after each run. Exit code 0
if everything passed or is a listed deviation, else 1. Ctrl-C ends the run that is going on and all that were to follow.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from measuring import Measured, heading, measure
from rich import box
from rich.console import Console
from rich.table import Table

from conformance.outcomes import JUDGED, Outcome
from conformance.report import model

LIMIT: Final = 900.0
"""Seconds after which a run is ended and counts as one that did not pass."""
BUSY: Final = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""
"""A loop that keeps one core busy until it is ended, or whoever started it is gone."""
FINE: Final = (
    Outcome.PASSED,
    Outcome.KNOWN_DEVIATION,
    Outcome.NOT_SELECTED,
    Outcome.NOT_TESTABLE,
    Outcome.UNSUPPORTED,
)
"""What is no trouble: none of the last three is a verdict that could waver."""


@dataclass(frozen=True)
class Row:
    """One run in the table."""

    number: int
    loaded: bool
    code: int | None
    seconds: float
    others: float
    """The share of the machine that other processes used, the busy loops of a loaded run included."""
    counts: dict[Outcome, int] = field(default_factory=dict)
    """Requirements by outcome."""
    trouble: tuple[str, ...] = ()
    """What did not pass, a line each; of a run without a result, that."""

    @property
    def fine(self) -> bool:
        return self.code == 0 and not self.trouble


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=20, metavar="N", help="how many runs (default 20)")
    options.add_argument("--loaded", type=int, default=5, metavar="M", help="how many of them loaded (default 5)")
    options.add_argument("--out", type=Path, metavar="FOLDER", help="where everything is kept")
    options.add_argument("rest", nargs="*", metavar="OPTION", help="after --: options for `run`")
    given = options.parse_args()
    if not 0 <= given.loaded <= given.runs:
        options.error(f"--loaded {given.loaded} is not between 0 and the number of runs, {given.runs}")
    folder = given.out or Path("endurance") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(width=120, highlight=False, markup=False)
    what = f"{given.runs} times `{shlex.join(['run', *given.rest])}`, {given.loaded} of them loaded"
    heading(console, what)
    rows: list[Row] = []
    try:
        for number, loaded in enumerate(plan(given.runs, given.loaded), start=1):
            rows.append(one_run(number, loaded, folder, given.rest))
            console.print(line_of(rows[-1]))
            with (folder / "table.md").open("w") as file:
                page = Console(file=file, width=200, highlight=False, markup=False)
                heading(page, what)
                print_table(page, rows)
                page.print(summary(rows, given.runs))
    except KeyboardInterrupt:
        console.print("interrupted")
    print_table(console, rows)
    console.print(summary(rows, given.runs))
    console.print(f"kept in {folder}")
    raise SystemExit(0 if len(rows) == given.runs and all(row.fine for row in rows) else 1)


def plan(runs: int, loaded: int) -> list[bool]:
    """Which runs are loaded: as evenly spread as can be, the last of each stretch."""
    return [(number + 1) * loaded // runs > number * loaded // runs for number in range(runs)]


def one_run(number: int, loaded: bool, folder: Path, arguments: Sequence[str]) -> Row:
    own = folder / f"run-{number:02}"
    with busy_cores(os.cpu_count() or 1 if loaded else 0):
        measured = measure(arguments, own, keep=False, limit=LIMIT)
    return row_of(number, loaded, measured)


@contextmanager
def busy_cores(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep so many cores busy; each loop is ended by its process, and ends by itself should this process be killed."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(count)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def row_of(number: int, loaded: bool, measured: Measured) -> Row:
    """What a run left, as a row."""
    ended = f"ended after {LIMIT:.0f} s" if measured.code is None else ""
    counts: dict[Outcome, int] = {}
    try:
        result = model.decode((measured.results / "result.json").read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        trouble: tuple[str, ...] = (f"no result: {error}",)
    else:
        counts, trouble = result.summary, trouble_in(result)
    found = (ended, *trouble) if ended else trouble
    return Row(number, loaded, measured.code, measured.seconds, measured.others, counts, found)


def trouble_in(result: model.Result) -> tuple[str, ...]:
    """Everything that neither passed nor is a listed deviation: requirements with their claims, and invariants."""
    found: list[str] = []
    for requirement in result.requirements:
        if requirement.outcome in FINE:
            continue
        claims = [claim.id for claim in requirement.claims if claim.outcome not in FINE]
        reason = f": {requirement.reason}" if requirement.reason else ""
        found.append(f"{requirement.id} {requirement.outcome}{reason} ({', '.join(claims) or 'no claim'})")
    for invariant in result.invariants:
        for one in invariant.violations:
            if one.outcome not in FINE:
                found.append(f"{invariant.name} {one.outcome} in {one.story}: {one.object or ''} {one.observed}")
    return tuple(found)


def line_of(row: Row) -> str:
    """A run as it ends."""
    kind = "loaded" if row.loaded else ""
    text = f"  {row.number:3} {kind:6} {row.seconds:6.1f} s  exit code {row.code}  {_counted(row)}"
    return "\n      ".join((text, *row.trouble))


def _counted(row: Row) -> str:
    return ", ".join(f"{row.counts[o]} {o}" for o in Outcome if row.counts.get(o) and o is not Outcome.NOT_SELECTED)


def print_table(console: Console, rows: Sequence[Row]) -> None:
    """A row for each run, and under the table what did not pass."""
    made = Table(box=box.MARKDOWN)
    for heading_ in ("run", "loaded", "exit", "seconds", "others", *JUDGED, Outcome.NOT_TESTABLE):
        made.add_column(heading_, justify="right", no_wrap=True, min_width=len(heading_))
    for row in rows:
        counts = [str(row.counts.get(outcome, 0)) for outcome in (*JUDGED, Outcome.NOT_TESTABLE)]
        code = "ended" if row.code is None else str(row.code)
        loaded = "yes" if row.loaded else ""
        made.add_row(str(row.number), loaded, code, f"{row.seconds:.1f}", f"{row.others:.0%}", *counts)
    console.print(made)
    for row in rows:
        for trouble in row.trouble:
            console.print(f"run {row.number}: {trouble}", soft_wrap=True, markup=False)


def summary(rows: Sequence[Row], wanted: int) -> str:
    """The last line: how many of how many runs passed, and how long the quiet and the loaded ones took."""
    fine = sum(row.fine for row in rows)
    text = f"{fine} of {wanted} runs passed"
    if len(rows) < wanted:
        text += f", {wanted - len(rows)} were not made"
    for name, kind in (("quiet", False), ("loaded", True)):
        seconds = [row.seconds for row in rows if row.loaded is kind]
        if seconds:
            text += f"; {name}: {len(seconds)}, {min(seconds):.0f} to {max(seconds):.0f} s"
    return text


if __name__ == "__main__":
    main()
