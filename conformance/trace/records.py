"""The lines of a trace (NDJSON): what the recorder and the teller write and what judging reads. Values only.

Every line has a `line` key that names its type. Times are seconds since the epoch on the recorder's clock; revisions
are resourceVersions as integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

Object = dict[str, Any]
Key = tuple[str, str, str]
"""(kind, namespace, name); the namespace is empty for cluster-scoped kinds."""


class Change(msgspec.Struct, frozen=True, tag_field="line", tag="change"):
    """One change of one object as the API server told it.

    `object` lacks managedFields; for a deletion it is the last state. `implied` marks a deletion that no watch event
    showed but a later list proved: it happened at or before `revision`.
    """

    received: float
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: str
    namespace: str
    name: str
    uid: str
    revision: int
    object: Object
    implied: bool = False

    @property
    def key(self) -> Key:
        return (self.kind, self.namespace, self.name)


class Gap(msgspec.Struct, frozen=True, tag_field="line", tag="gap"):
    """Between these revisions changes of `kind` may be missing: the watch was lost and a list took its place."""

    received: float
    kind: str
    after: int
    until: int


class StoryStarted(msgspec.Struct, frozen=True, tag_field="line", tag="story"):
    """A story began on a tenant; `tenant` is the namespace and the value of the tenant label."""

    received: float
    story: str
    tenant: str


class Moment(msgspec.Struct, frozen=True, tag_field="line", tag="moment"):
    """A wait of the story came true; `revision` is the latest one that the trace held for the tenant by then."""

    received: float
    story: str
    name: str
    revision: int
    waited: float
    requirement: str | None
    expectation: str
    subject: str


class Edit(msgspec.Struct, frozen=True, tag_field="line", tag="edit"):
    """The story itself wrote this object; `revision` is the answer's. Invariants excuse what such edits explain."""

    received: float
    story: str
    verb: str
    kind: str
    namespace: str
    name: str
    revision: int


class Answer(msgspec.Struct, frozen=True, tag_field="line", tag="answer"):
    """What the API server answered to a request that the story only tried: it may be accepted or refused.

    `label` is the story's name for the request. `reason` is the Status object's, empty if accepted. Nothing was stored
    if the request was refused, or if `dry_run`; `revision` is then the latest that the trace held for the tenant.
    """

    received: float
    story: str
    label: str
    verb: str
    kind: str
    namespace: str
    name: str
    status: int
    reason: str
    dry_run: bool
    revision: int


class Stopped(msgspec.Struct, frozen=True, tag_field="line", tag="stopped"):
    """A story ended early. `outcome` is `failed` (a promised wait), `inconclusive` (another wait) or `error`."""

    received: float
    story: str
    outcome: str
    reason: str
    moment: str | None = None
    requirement: str | None = None
    mismatches: list[dict[str, str]] = []


class Fence(msgspec.Struct, frozen=True, tag_field="line", tag="fence"):
    """The trace is complete for this tenant up to `revision`. `after` says which fence: `told` or `cleaned`."""

    received: float
    story: str
    after: Literal["told", "cleaned"]
    revision: int


class Finding(msgspec.Struct, frozen=True, tag_field="line", tag="finding"):
    """Something worth telling that is no verdict (a page defect, a deprecation warning …)."""

    received: float
    story: str
    kind: str
    text: str
    source: str


class Header(msgspec.Struct, frozen=True, tag_field="line", tag="header"):
    """The first line: how changes of different kinds may be ordered. `lag` is the measured watch lag in seconds."""

    run: str
    ordered: bool
    lag: float


Record = Change | Gap | StoryStarted | Moment | Edit | Answer | Stopped | Fence | Finding | Header

_decoder = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(record) + b"\n"


def decode(line: bytes) -> Record:
    """The record of one line. Raises msgspec.DecodeError or msgspec.ValidationError."""
    record: Record = _decoder.decode(line)
    return record


def read(path: Path) -> Iterator[Record]:
    """The records of a trace file (`.ndjson`, or `.ndjson.gz`). A last line that was cut off by a kill is dropped."""
    import gzip

    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decode(line)


def of_story(records: Iterable[Record], story: str) -> list[Record]:
    """The header, this story's own lines, the changes of its tenant, and the gaps (which concern everybody)."""
    tenant: str | None = None
    kept: list[Record] = []
    for record in records:
        match record:
            case Header() | Gap():
                kept.append(record)
            case Change():
                kept.append(record)
            case StoryStarted() if record.story == story:
                tenant = record.tenant
                kept.append(record)
            case Moment() | Edit() | Answer() | Stopped() | Fence() | Finding() if record.story == story:
                kept.append(record)
    return [record for record in kept if not isinstance(record, Change) or tenant_of(record) == tenant]


def tenant_of(change: Change) -> str:
    """The tenant whose world this object belongs to: its namespace, or the tenant label of a cluster-scoped one."""
    from conformance.names import TENANT_LABEL

    if change.namespace:
        return change.namespace
    labels: dict[str, str] = change.object.get("metadata", {}).get("labels") or {}
    return labels.get(TENANT_LABEL, "")
