"""One address for several servers, as a Service gives: a connection goes to the next server that answers."""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        with contextlib.suppress(OSError), self.server.reach() as behind:
            back = threading.Thread(target=_pump, args=(behind, self.request), daemon=True)
            back.start()
            _pump(self.request, behind)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source has said its last; then neither has more to say."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, hosts: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self._order = itertools.cycle(hosts)
        self._count = len(hosts)
        self._choosing = threading.Lock()

    def reach(self) -> socket.socket:
        with self._choosing:
            candidates = [next(self._order) for _ in range(self._count)]
            next(self._order)  # so that the next connection begins with another one
        for host in candidates:
            with contextlib.suppress(OSError):
                return socket.create_connection((host, self.server_address[1]), timeout=5)
        raise ConnectionRefusedError


@contextlib.contextmanager
def relay(*hosts: str) -> Iterator[int]:
    """A port of 127.0.0.1 that leads to the same port of these hosts, which take turns."""
    server = _Server(hosts)
    thread = threading.Thread(target=server.serve_forever, name="relay", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
