"""The recorded histories of the suite's stories: real runs, which claims, waits and expectations are tested on.

    python -m tests.recording RESULTS

cuts one history per story out of the trace in a results folder and puts it into `tests/histories/`. Record anew when a
story was added or changed. A history is what the trace holds of the story, without the Events that nothing reads. What
makes a history wrong on purpose is in `doctoring`.

They are of the real Kueue. Only `leader_without_requests`, which Kueue 0.19.2 never brings to its end (a known
deviation), is of the reference.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import io
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType
from typing import Final

import msgspec

from conformance import suites
from conformance.expectations.judging import Told
from conformance.trace import records
from conformance.trace.history import History
from conformance.trace.reading import Trace
from conformance.trace.records import Change, Header, Record
from conformance.world.story import Story, claim_of

FOLDER: Final = Path(__file__).parent / "histories"
READ_EVENTS: Final = frozenset({"FailedCreate"})
"""Reasons of the Events that an expectation reads; the others only make a history long."""

Judge = Callable[[Told], None]
"""The function of a judged claim."""


@functools.cache
def stories() -> dict[str, Story]:
    """Every story of the suite, by name."""
    found = [item for item in _declared() if isinstance(item, Story)]
    return {story.name: story for story in found}


@functools.cache
def claims() -> dict[str, tuple[Judge, tuple[Story, ...]]]:
    """Every judged claim of the suite with its stories, by the name of its function."""
    functions = [item for item in _declared() if isinstance(item, FunctionType)]
    declared = [(function, claim_of(function)) for function in functions]
    return {function.__name__: (function, claim.stories) for function, claim in declared if claim is not None}


def _declared() -> list[object]:
    """What the modules of the suite hold, in their order."""
    names = [f"{suites.__name__}.{module.name}" for module in pkgutil.iter_modules(suites.__path__)]
    return [item for name in names for item in vars(importlib.import_module(name)).values()]


@functools.cache
def recorded(story: str) -> tuple[Record, ...]:
    """What was recorded of a story. Raises FileNotFoundError if it never was."""
    return tuple(records.read(path_of(story)))


@functools.cache
def history_of(story: str) -> History:
    """The recorded history of a story, as its claims see it."""
    return History(recorded(story))


def path_of(story: str) -> Path:
    return FOLDER / f"{story}.ndjson.gz"


def cut(trace: Trace, story: str) -> list[Record]:
    """The records of a story that are worth keeping: the header, then the others as they were received."""
    kept = [_without_host(record) for record in trace.story(story) if not _is_noise(record)]
    return sorted(kept, key=lambda record: 0.0 if isinstance(record, Header) else record.received)


def _without_host(record: Record) -> Record:
    """An Event names the machine on which its controller ran; that is nobody's business."""
    if not isinstance(record, Change) or record.kind != "Event":
        return record
    kept = {key: part for key, part in record.object.items() if key not in ("reportingInstance", "deprecatedSource")}
    return msgspec.structs.replace(record, object=kept)


def _is_noise(record: Record) -> bool:
    return isinstance(record, Change) and record.kind == "Event" and record.object.get("reason") not in READ_EVENTS


def compressed(lines: Iterable[Record]) -> bytes:
    """The records as a gzip file; equal records give equal bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.writelines(records.encode(record) for record in lines)
    return buffer.getvalue()


def record(results: Path) -> list[str]:
    """Write a history of each story of a run; the stories' names. Raises ValueError if a story stopped early."""
    trace = Trace(next(path for path in sorted(results.glob("trace.ndjson*"))))
    found = {story: cut(trace, story) for story in trace.stories}
    for story, kept in found.items():
        stopped = History(kept).stopped
        if stopped is not None:
            raise ValueError(f"story {story} stopped early ({stopped.reason}); record a run in which all stories end")
    FOLDER.mkdir(exist_ok=True)
    for story, kept in found.items():
        path_of(story).write_bytes(compressed(kept))
    return sorted(found)


def main(arguments: list[str]) -> int:
    """The command: exit code 0, or 2 with one sentence."""
    if len(arguments) != 1 or not list(Path(arguments[0]).glob("trace.ndjson*")):
        print("name the results folder of a run: one that has a trace.ndjson", file=sys.stderr)
        return 2
    try:
        written = record(Path(arguments[0]))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"recorded {len(written)} stories: {', '.join(written)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
