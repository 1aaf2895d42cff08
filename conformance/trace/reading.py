"""Reading a trace by story: each line is decoded once, however many stories ask."""

from __future__ import annotations

import gzip
from pathlib import Path

from conformance.trace.records import Change, Gap, Header, Record, StoryStarted, decode, tenant_of


class Trace:
    """A trace file (`.ndjson`, or `.ndjson.gz` once it is complete), sorted into its stories."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._shared: list[Record] = []
        self._changes: dict[str, list[Change]] = {}
        self._own: dict[str, list[Record]] = {}
        self._tenants: dict[str, str] = {}

    @property
    def stories(self) -> list[str]:
        """The names of the stories that the file tells, in their order."""
        self._read_on()
        return list(self._tenants)

    def story(self, name: str) -> list[Record]:
        """The header and gaps, the story's own lines, and the changes of its tenant."""
        self._read_on()
        tenant = self._tenants.get(name)
        changes: list[Record] = [*self._changes.get(tenant, ())] if tenant is not None else []
        return [*self._shared, *self._own.get(name, ()), *changes]

    def _read_on(self) -> None:
        """Take in what was written since; a last line that is not complete yet is left for the next time."""
        with gzip.open(self.path, "rb") if self.path.suffix == ".gz" else self.path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._take(decode(line))

    def _take(self, record: Record) -> None:
        match record:
            case Change():
                self._changes.setdefault(tenant_of(record), []).append(record)
            case Header() | Gap():
                self._shared.append(record)
            case _:
                if isinstance(record, StoryStarted):
                    self._tenants[record.story] = record.tenant
                self._own.setdefault(record.story, []).append(record)
