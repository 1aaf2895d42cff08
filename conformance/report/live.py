"""The live display of a run on a terminal: how many are judged and failed, which stories are told, the time.

Any thread may tell it what happened. Where the console is no terminal it shows nothing, and the lines that `terminal`
prints are all there is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from conformance.outcomes import Outcome
from conformance.report import words
from conformance.report.terminal import STYLE


class LiveProgress:
    """Start it, tell it each story and each verdict, finish it. What is printed on its console appears above it."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._console, self._clock = console, clock
        self._lock = threading.Lock()
        self._claims, self._begun = 0, clock()
        self._expected: float | None = None
        self._telling: dict[str, None] = {}
        self._verdicts: list[Outcome] = []
        self._live: Live | None = None

    def start(self, claims: int, expected: float | None = None) -> None:
        """The run begins: how many claims are to be judged and how many seconds that is expected to take, if known."""
        with self._lock:
            self._claims, self._expected, self._begun = claims, expected, self._clock()
        if self._console.is_terminal and self._live is None:
            self._live = Live(console=self._console, get_renderable=self.render, refresh_per_second=4, transient=True)
            self._live.start()

    def update(self, *, telling: str | None = None, told: str | None = None, outcome: Outcome | None = None) -> None:
        """A story is being told from now on, was told, or a claim was judged."""
        with self._lock:
            if telling is not None:
                self._telling[telling] = None
            if told is not None:
                self._telling.pop(told, None)
            if outcome is not None:
                self._verdicts.append(outcome)

    def finish(self) -> None:
        """The run is over, or was ended: the display goes away. A second call does nothing."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def __enter__(self) -> LiveProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def render(self) -> Table:
        """The display as it is now: a bar with the counts, and a line with the stories."""
        with self._lock:
            judged, telling = len(self._verdicts), list(self._telling)
            failed = self._verdicts.count(Outcome.FAILED)
            elapsed, expected, claims = self._clock() - self._begun, self._expected, self._claims
        counts = Text(f"{judged}/{claims} judged", no_wrap=True, overflow="ellipsis")
        counts.append(f" · {failed} failed", STYLE[Outcome.FAILED] if failed else "")
        counts.append(f" · {words.duration(elapsed)}" + (f" of about {words.duration(expected)}" if expected else ""))
        stories = Text(f"telling {', '.join(telling)}" if telling else "", "dim", no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(
            total=max(claims, 1), completed=judged, width=min(self._console.width, 60), complete_style="green"
        )
        display = Table.grid()
        for line in (bar, counts, stories):
            display.add_row(line)
        return display
