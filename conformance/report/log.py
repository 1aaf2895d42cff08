"""The append-only log of a run (`log.ndjson`): each verdict is on disk the moment it is known.

A run that is killed, or whose disk fills up, leaves every line it wrote before. Several threads and several processes
(xdist workers) append to one log; `building` makes the result of its lines. Nothing here judges.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from conformance.errors import HarnessError, UsageError
from conformance.outcomes import Outcome
from conformance.report import model

FILE: Final = "log.ndjson"


class _Line(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="line"):
    """One line; its `line` key names its type."""


class RunLine(_Line, frozen=True, kw_only=True, tag="run"):
    """The first line: what was asked for. The run's `finished` comes with the end line."""

    suite: model.Suite
    run: model.Run


class ClusterLine(_Line, frozen=True, kw_only=True, tag="cluster"):
    """The cluster is up."""

    cluster: model.Cluster


class ImplementationLine(_Line, frozen=True, kw_only=True, tag="implementation"):
    """The implementation under test answers."""

    implementation: model.Implementation


class ClaimLine(_Line, frozen=True, kw_only=True, tag="claim"):
    """The verdict of one item. Of two lines with one id the later one counts.

    `window` says between which moments it was judged, `reason` why it was not judged (to its end), and `caused_by`
    which claim's failure is to blame. `deviation` is the listed one, whatever the outcome.
    """

    id: str
    requirements: list[str]
    story: str
    outcome: Outcome
    expectation: str | None = None
    object: str | None = None
    field: str | None = None
    expected: str | None = None
    observed: str | None = None
    moment: str | None = None
    window: str | None = None
    evidence: list[str] = []
    reason: str | None = None
    caused_by: str | None = None
    deviation: model.Deviation | None = None


class UnclaimedLine(_Line, frozen=True, kw_only=True, tag="unclaimed"):
    """A requirement that was asked for and that no claim of the suite is about, and why."""

    requirement: str
    outcome: Outcome
    reason: str


class StoryLine(_Line, frozen=True, kw_only=True, tag="story"):
    """A story was told, or stopped at the moment `stopped_at`."""

    name: str
    tenant: str
    seconds: float
    moments: list[model.ReachedMoment] = []
    stopped_at: str | None = None


class InvariantVerdict(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One invariant over one story; `deviation` is the listed one, violated or not."""

    judged: int
    violations: list[model.Violation] = []
    deviation: model.Deviation | None = None


class InvariantsLine(_Line, frozen=True, kw_only=True, tag="invariants"):
    """The invariants of one story, by name. Of two lines for one story the later one counts."""

    story: str
    invariants: dict[str, InvariantVerdict]


class FindingLine(_Line, frozen=True, kw_only=True, tag="finding"):
    """Something worth telling that is no verdict."""

    kind: str
    text: str
    source: str


class LatencyLine(_Line, frozen=True, kw_only=True, tag="latency"):
    """Times measured in one story, in seconds."""

    name: str
    story: str
    seconds: list[float]


class WritesLine(_Line, frozen=True, kw_only=True, tag="writes"):
    """What each component wrote, from the audit log: component to `verb resource` to count."""

    writes: dict[str, dict[str, int]]


class EndLine(_Line, frozen=True, kw_only=True, tag="end"):
    """The run came to its end; without this line it was killed."""

    finished: datetime
    interrupted: bool = False


Line = (
    RunLine
    | ClusterLine
    | ImplementationLine
    | ClaimLine
    | UnclaimedLine
    | StoryLine
    | InvariantsLine
    | FindingLine
    | LatencyLine
    | WritesLine
    | EndLine
)

_decoder = msgspec.json.Decoder(Line)
_encoder = msgspec.json.Encoder(order="deterministic")


class RunLog:
    """The log in a results folder, open for appending. Safe for several threads, and for several processes at once."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and open its log; a last line that a killed process left incomplete is removed.

        Raises UsageError if the folder cannot be written.
        """
        self.path = folder / FILE
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            message = f"cannot write results to {folder}: {error.strerror}; name another folder with --out"
            raise UsageError(message) from error
        self._remove_incomplete_line()

    def append(self, line: Line) -> None:
        """Write one line; it survives the process once this returns.

        Raises HarnessError if it cannot be written. Then nothing of it is left in the file, and what was recorded
        before it stays readable.
        """
        data = _encoder.encode(line) + b"\n"
        with self._lock:
            written = 0
            try:
                # One call writes one whole line, so the lines of several processes do not mix.
                while written < len(data):
                    written += os.write(self._file, data[written:])
            except OSError as error:
                self._take_back(written)
                raise HarnessError(
                    f"cannot record a verdict in {self.path}: {error.strerror}; what was recorded before is kept; "
                    "make room or name another folder with --out, and run again"
                ) from error

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_back(self, written: int) -> None:
        if not written:
            return
        with contextlib.suppress(OSError):
            end = os.lseek(self._file, 0, os.SEEK_CUR)
            # Another process may have appended behind ours; its line must not go.
            if os.fstat(self._file).st_size == end:
                os.ftruncate(self._file, end - written)

    def _remove_incomplete_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            whole = self.path.read_bytes().rfind(b"\n") + 1
            os.ftruncate(self._file, whole)


def read(path: Path) -> Iterator[Line]:
    """The lines of a log, or of the log in a results folder. A last line that was cut off by a kill is dropped.

    Raises UsageError if there is no log there, or if a line in its middle is damaged.
    """
    file = path / FILE if path.is_dir() else path
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return
                yield _decode(line, file, number)
    except OSError as error:
        raise UsageError(f"cannot read the log {file}: {error.strerror}; name a results folder of a run") from error


def _decode(line: bytes, file: Path, number: int) -> Line:
    try:
        decoded: Line = _decoder.decode(line)
        return decoded
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        message = f"line {number} of {file} is no line of a run's log ({error}); restore the file or run again"
        raise UsageError(message) from error


def claim_id(node_id: str) -> str:
    """A pytest node id as people see it: without folders, file suffix and xdist's group.

    >>> claim_id("conformance/suites/test_scaling.py::scale_up::running[ADM-01]@scale_up")
    'test_scaling::scale_up::running[ADM-01]'
    """
    file, *names = node_id.split("::")
    if names:
        names[-1] = names[-1].partition("@")[0]
    return "::".join([file.rpartition("/")[2].removesuffix(".py"), *names])
