"""Free TCP ports of 127.0.0.1 that stay ours from the moment they are chosen until a component listens on them.

On Linux a bound socket that does not listen keeps others from being given the port, and does not keep a program that
sets SO_REUSEADDR (every Go server does) from listening on it. Elsewhere the port is only known to have been free.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Final

from conformance.clusters.processes import Processes, Program
from conformance.errors import HarnessError, UsageError

TAKEN: Final = "address already in use"
"""What a program logs when somebody else listens on its port."""


class Reservation:
    """Ports that are held until `release`."""

    ports: list[int]

    def __init__(self, *, port: int | None = None, count: int = 1) -> None:
        """Hold `port`, or `count` free ones. Raises UsageError when the named port cannot be bound."""
        self._sockets: list[socket.socket] = []
        self.ports = []
        for _ in range(count):
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind(("127.0.0.1", port or 0))
            except (OSError, OverflowError) as error:
                held.close()
                raise UsageError(
                    f"port {port} of 127.0.0.1 cannot be bound ({error}); name another one or none"
                ) from error
            self._sockets.append(held)
            self.ports.append(held.getsockname()[1])
        if sys.platform != "linux":
            self.release()

    def release(self) -> None:
        """Let go of the ports: whoever they are for listens on them now."""
        for held in self._sockets:
            held.close()
        self._sockets.clear()


def run_on_free_ports(
    processes: Processes,
    choose: Callable[[], tuple[Program, Reservation]],
    ready: Callable[[Program], None],
    *,
    may_die: bool = False,
) -> None:
    """Start a program on the ports that `choose` has reserved for it; once more if they were taken all the same.

    The death of one that `may_die` breaks nothing, and stays the caller's to see.

    `ready` returns when the program serves, and raises HarnessError when it is dead or does not come to that.
    """
    for last in (False, True):
        program, reserved = choose()
        processes.start(program, tentative=True)
        try:
            ready(program)
            if not may_die:
                processes.settle(program.name)
            return
        except HarnessError:
            death = processes.death_of(program.name)
            if last or death is None or TAKEN not in death.last_lines.lower():
                raise
        finally:
            reserved.release()
