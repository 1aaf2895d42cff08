"""What a person sees while faults are tried, and at the end: bars on a terminal, lines in a log."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from conformance.deadlines import Deadlines
from conformance.faults.model import Fault
from conformance.proving.cells import Cell, Said
from conformance.proving.matrix import Matrix, shares
from conformance.proving.telling import Account

_SHOWN: Final = 12
"""How many things of a kind are named in a line."""


class Shown:
    """Progress on a console; safe for use from several threads."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._lock = threading.Lock()
        self._cells: dict[str, list[Cell]] = {}
        self._bars: Progress | None = None
        self._healthy: TaskID | None = None
        self._pairs: TaskID | None = None

    def __enter__(self) -> Shown:
        if self.console.is_interactive:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=self.console, refresh_per_second=4)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def say(self, text: str | Text) -> None:
        with self._lock:
            self.console.print(text, soft_wrap=True)

    def plan(self, healthy: int, pairs: int, kept: int) -> None:
        before = f"; {kept} are there already" if kept else ""
        first, then = _many(healthy, "story", "stories"), _many(pairs, "story", "stories")
        self.say(f"{first} without a fault, then {then} under faults{before}" if healthy else f"{then} more{before}")
        if self._bars is not None and not healthy:
            self._pairs = self._bars.add_task("more   ", total=pairs)
        elif self._bars is not None:
            self._healthy = self._bars.add_task("healthy", total=healthy)
            self._pairs = self._bars.add_task("faults ", total=pairs)

    def healthy_told(self, account: Account) -> None:
        if self._bars is not None and self._healthy is not None:
            self._bars.advance(self._healthy)

    def measured(self, found: Deadlines, unsound: list[str]) -> None:
        self.say(f"under faults a wait lasts {found['wait']:.1f} s, a clean-up {found['cleanup']:.1f} s")
        if unsound:
            self.say(f"not told under faults, since they do not pass without one: {', '.join(unsound)}")

    def begin(self, fault: Fault, stories: int) -> None:
        if self._bars is None:
            self.say(f"begins   {fault.name}: {_many(stories, 'story', 'stories')}")

    def told(self, fault: Fault, account: Account, cells: list[Cell]) -> None:
        with self._lock:
            self._cells.setdefault(fault.name, []).extend(cells)
        if self._bars is not None and self._pairs is not None:
            self._bars.advance(self._pairs)

    def end(self, fault: Fault, seconds: float, startup: float) -> None:
        found = self._cells.get(fault.name, [])
        counts = Counter(one.said for one in found)
        tally = ", ".join(f"{counts[said]} {said}" for said in Said if counts[said])
        mark = "caught  " if counts[Said.CAUGHT] else "NOTHING "
        self.say(f"{mark} {fault.name}: {tally} ({seconds:.1f} s, of which {startup:.1f} s to come up)")


def _many(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def print_matrix(console: Console, matrix: Matrix, cells: list[Cell]) -> None:
    """What was found: by fault what caught it and what failed otherwise, then all that is red."""
    by_fault: dict[str, list[Cell]] = {}
    for one in cells:
        by_fault.setdefault(one.fault, []).append(one)
    for name, row in matrix.faults.items():
        console.print()
        console.print(f"{name}: {row.wrong}", style="bold", soft_wrap=True)
        found = by_fault.get(name, [])
        for said in (Said.CAUGHT, Said.FOR_ANOTHER, Said.ERROR):
            these = sorted((one for one in found if one.said is said), key=lambda one: one.claim)
            for one in these[:_SHOWN]:
                failed = f" ({', '.join(one.expectations)})" if one.expectations else ""
                told = f": {one.shown}" if said is not Said.CAUGHT and one.shown else ""
                console.print(f"  {said}: {one.claim}{failed}{told}", soft_wrap=True)
            if len(these) > _SHOWN:
                console.print(f"  {said}: {len(these) - _SHOWN} more")
    caught, promised = shares(matrix.claims)
    console.print()
    console.print(
        f"{len(matrix.faults)} faults, {len(matrix.claims)} claims and invariants; of the judged claims {caught:.0%} "
        "catch a fault for their own expectation; "
        f" {promised:.0%} of the claims are promised",
        soft_wrap=True,
    )
    for line in matrix.red:
        console.print(Text(f"red: {line}", style="red"), soft_wrap=True)


def print_faults(console: Console, faults: dict[str, Fault]) -> None:
    """Every fault with its sentence, the bug that it makes anew, and what must catch it."""
    for name, fault in faults.items():
        console.print(name, style="bold")
        console.print(f"  {fault.wrong}", soft_wrap=True)
        if fault.upstream:
            console.print(f"  as in {fault.upstream}", soft_wrap=True)
        by = "; ".join(f"{key} ({', '.join(names)})" for key, names in sorted(fault.caught.items()))
        console.print(f"  to be caught by: {by}", soft_wrap=True)
