"""What a person sees while components are built: a bar for each on a terminal, a line at begin and end elsewhere.

It only shows: what is built, in which order and for how long is told to it by `store`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar


class Progress(Protocol):
    """Told what will be built (name and expected seconds), then when each begins and ends."""

    def plan(self, builds: Sequence[tuple[str, float]]) -> None: ...

    def begin(self, what: str) -> None: ...

    def end(self, what: str, seconds: float) -> None: ...


class Lines:
    """Progress as plain lines, for logs."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._expected: dict[str, float] = {}

    def plan(self, builds: Sequence[tuple[str, float]]) -> None:
        self._expected = dict(builds)
        if len(builds) > 1:
            self._say(f"{len(builds)} components are to be built once: {about(sum(self._expected.values()))}")

    def begin(self, what: str) -> None:
        self._say(f"building {what}: {about(self._expected.get(what, 0))}")

    def end(self, what: str, seconds: float) -> None:
        self._say(f"built {what} in {seconds:.0f} s")


class _TowardsExpected(ProgressColumn):
    """A bar that fills with the time passed and never claims to be done before it is."""

    def render(self, task: Task) -> ProgressBar:
        expected = task.fields["expected"]
        passed = expected if task.finished else min(task.elapsed or 0.0, 0.98 * expected)
        return ProgressBar(total=expected, completed=passed, width=30)


class Bars:
    """Progress as one row per component: elapsed and expected."""

    def __init__(self, rows: RichProgress) -> None:
        self._rows = rows
        self._tasks: dict[str, TaskID] = {}

    def plan(self, builds: Sequence[tuple[str, float]]) -> None:
        if builds:
            self._rows.start()  # not before: where there is nothing to build there is nothing to see
        for what, expected in builds:
            self._tasks[what] = self._rows.add_task(
                what, total=1, start=False, expected=max(expected, 1.0), note=about(expected)
            )

    def begin(self, what: str) -> None:
        self._rows.start_task(self._tasks[what])

    def end(self, what: str, seconds: float) -> None:
        self._rows.update(self._tasks[what], completed=1, note=f"{seconds:.0f} s")


@contextmanager
def display(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """The display that suits the console, for as long as the context lasts; `clock` gives seconds."""
    if not console.is_interactive:
        yield Lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        return
    columns = (
        SpinnerColumn(),
        TextColumn("building {task.description}", markup=False),
        _TowardsExpected(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    rows = RichProgress(*columns, console=console, get_time=clock, refresh_per_second=4)
    try:
        yield Bars(rows)
    finally:
        rows.stop()


def about(seconds: float) -> str:
    """An expectation in words: `about 40 s`, `about 5 min`."""
    return f"about {seconds:.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"
