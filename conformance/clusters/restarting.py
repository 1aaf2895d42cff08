"""Stopping a running program on purpose, starting it again, and running it under another configuration.

One `Restarting` belongs to one program, so several implementations on a cluster are restarted apart from each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from conformance.clusters.processes import LINES_FOLLOW
from conformance.errors import HarnessError

if TYPE_CHECKING:
    from conformance.clusters.running import RunningProgram


class Restarting:
    """One program beside a local cluster, by those who may stop it. Safe for use from several threads."""

    def __init__(self, program: RunningProgram, lost: Callable[[str], None] = lambda message: None) -> None:
        """`lost` is told, in one sentence, when the program does not come back."""
        self._program, self._lost = program, lost
        self._stopped = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def stopped(self) -> bool:
        """Whether it was stopped and not started again."""
        return self._stopped

    def stop(self) -> None:
        """End the process as a lost node would. Raises HarnessError if it is stopped already."""
        with self._lock:
            if self._stopped:
                raise HarnessError(f"{self.name} is stopped already")
            self._program.stop()
            self._stopped = True

    def start(self) -> None:
        """Start it again and wait until its webhooks answer. Raises HarnessError if it runs or does not come back."""
        with self._lock:
            if not self._stopped:
                raise HarnessError(f"{self.name} is not stopped, so it cannot be started")
            self._start(None)

    def configure(self, over: Mapping[str, Any]) -> bool:
        """See to it that it runs with `over` merged over its own configuration; whether it was restarted for that.

        Raises HarnessError if it does not come back.
        """
        with self._lock:
            wanted = self._program.configured(over)
            if wanted == self._program.config and not self._stopped:
                return False
            if not self._stopped:
                self._program.stop()
                self._stopped = True
            self._start(wanted)
            return True

    def _start(self, config: Mapping[str, Any] | None) -> None:
        try:
            self._program.start_again(config)
        except HarnessError as error:
            why, follow, lines = str(error).partition(LINES_FOLLOW)
            message = f"{self.name} was stopped on purpose and does not come back: {why}{follow}{lines}"
            self._lost(message)
            raise HarnessError(message) from error
        self._stopped = False
