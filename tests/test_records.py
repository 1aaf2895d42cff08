"""The lines of a trace survive writing, reading, and a kill in the middle of a line."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from conformance.trace.records import (
    Answer,
    Edit,
    Fence,
    Finding,
    Gap,
    Header,
    Record,
    Stopped,
    StoryStarted,
    decode,
    encode,
    of_story,
    read,
    tenant_of,
)
from trace_samples import TENANT, change, lws, moment, pod, sample

ONE_OF_EACH: list[Record] = [
    Header(run="r1", ordered=True, lag=0.0),
    StoryStarted(received=1.0, story="s", tenant=TENANT),
    change(5, lws()),
    change(6, pod("a-0"), "MODIFIED"),
    change(7, pod("a-0"), "DELETED", implied=True),
    Gap(received=8.0, kind="Pod", after=6, until=7),
    moment("running", 7, requirement="ADM-01"),
    Answer(8.6, "s", "grown", "patch", "LeaderWorkerSet", TENANT, "a", 422, "Invalid", dry_run=False, revision=8),
    Edit(received=8.5, story="s", verb="patch", kind="LeaderWorkerSet", namespace=TENANT, name="a", revision=8),
    Stopped(received=9.0, story="s", outcome="failed", reason="why", moment="m", mismatches=[{"object": "Pod a"}]),
    Fence(received=9.5, story="s", after="told", revision=9),
    Finding(received=9.6, story="s", kind="page", text="t", source="u"),
]


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: type(record).__name__)
def test_every_record_is_one_line_and_comes_back_equal(record: Record) -> None:
    """Encoding gives exactly one line, which names the record's type and decodes to an equal record."""
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == record


def test_texts_with_line_breaks_stay_on_their_line() -> None:
    """A message of several lines does not break the trace into wrong lines."""
    finding = Finding(received=1.0, story="s", kind="k", text="one\ntwo\r\n", source="u")
    assert encode(finding).count(b"\n") == 1
    assert decode(encode(finding)) == finding


@pytest.mark.parametrize("line", [b'{"line":"chang', b'{"line":"unknown"}', b'{"line":"gap","kind":"Pod"}'])
def test_a_wrong_line_is_an_error(line: bytes) -> None:
    """What is no record is never taken for one."""
    with pytest.raises(msgspec.DecodeError):
        decode(line)


@pytest.mark.parametrize("name", ["trace.ndjson", "trace.ndjson.gz"])
def test_a_file_is_read_back(tmp_path: Path, name: str) -> None:
    """A trace is read from a plain and from a compressed file."""
    path = tmp_path / name
    content = b"".join(encode(record) for record in ONE_OF_EACH)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert list(read(path)) == ONE_OF_EACH


@pytest.mark.parametrize("cut", [1, 20])
def test_a_last_line_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    """A run that was killed while it wrote leaves all lines but the last one readable."""
    path = tmp_path / "trace.ndjson"
    content = b"".join(encode(record) for record in ONE_OF_EACH)
    path.write_bytes(content[:-cut])
    assert list(read(path)) == ONE_OF_EACH[:-1]


def test_the_tenant_of_an_object_is_its_namespace_or_its_label() -> None:
    """Namespaced objects belong to the tenant of their namespace, cluster-scoped ones to that of their label."""
    assert tenant_of(change(1, pod("a-0"))) == TENANT
    assert tenant_of(change(1, sample("Node", "n"))) == TENANT
    unlabelled = sample("Node", "n")
    del unlabelled["metadata"]["labels"]
    assert tenant_of(change(1, unlabelled)) == ""


def test_a_story_gets_its_own_lines_its_tenants_changes_and_every_gap() -> None:
    """Lines of other stories and changes of other tenants are left out, whatever the order of the lines."""
    theirs = pod("b-0")
    theirs["metadata"]["namespace"] = "t2"
    node = sample("Node", "n")
    node["metadata"]["labels"].clear()
    other: list[Record] = [
        StoryStarted(received=1.0, story="other", tenant="t2"),
        change(5, theirs),
        change(5, node),
        Fence(received=9.0, story="other", after="told", revision=9),
    ]
    records = [ONE_OF_EACH[2], *other, *ONE_OF_EACH[:2], *ONE_OF_EACH[3:]]
    assert sorted(map(str, of_story(records, "s"))) == sorted(map(str, ONE_OF_EACH))


def test_a_story_that_never_began_has_no_changes() -> None:
    """Without its start a story has no tenant, and so no changes; the header and the gaps concern everybody."""
    assert of_story(ONE_OF_EACH, "unknown") == [ONE_OF_EACH[0], ONE_OF_EACH[5]]
