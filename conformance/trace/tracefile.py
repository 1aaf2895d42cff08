"""The trace on disk: whole lines from many threads, buffered, flushed twice a second, and honest about a full disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from conformance.errors import HarnessError

_FLUSH_EVERY: Final = 0.5
_BUFFER: Final = 1 << 18


class TraceFile:
    """An append-only file of lines. After a write error nothing more is written, so that the lines before stay valid.

    `on_error` gets one sentence, once, if a line can no longer be written.
    """

    def __init__(self, path: Path, on_error: Callable[[str], None]) -> None:
        self.path = path
        self._on_error = on_error
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._flusher = threading.Thread(target=self._flush_regularly, name="flush-trace", daemon=True)

    def open(self) -> None:
        """Raises HarnessError if the file cannot be created."""
        try:
            self._file = self.path.open("ab", buffering=_BUFFER)
        except OSError as error:
            raise HarnessError(f"cannot write the trace {self.path}: {error.strerror}; choose another --out") from error
        self._flusher.start()

    def append(self, line: bytes) -> None:
        """Add one line; dropped when the file is closed or broken."""
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(line)
                return
            except OSError as error:
                problem = self._give_up(error)
        self._on_error(problem)

    def _flush_regularly(self) -> None:
        while not self._closing.wait(_FLUSH_EVERY):
            self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.flush()
                return
            except OSError as error:
                problem = self._give_up(error)
        self._on_error(problem)

    def _give_up(self, error: OSError) -> str:
        """Close what can be closed, under the lock; at most the last line is cut off, which readers drop."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError:
            pass  # the same trouble again
        return f"the trace {self.path} cannot be written any more: {error.strerror}; free disk space and run again"

    def close(self) -> None:
        """Flush and close. May be called twice."""
        self._closing.set()
        if self._flusher.is_alive():
            self._flusher.join()
        self.flush()
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()
