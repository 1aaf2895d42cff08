"""The recorded histories: one for each story, small, and free of what the recording machine is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.trace.history import History
from conformance.trace.reading import Trace
from conformance.trace.records import Change, Record, Stopped, StoryStarted, encode
from recording import FOLDER, compressed, cut, main, path_of, recorded, stories
from trace_samples import TENANT, change, sample


def written(folder: Path, *lines: Record) -> Path:
    """A trace of these lines, where a run leaves it."""
    trace = folder / "trace.ndjson"
    trace.write_bytes(b"".join(encode(line) for line in lines))
    return trace


def test_each_story_has_a_recorded_history() -> None:
    """There is one history for each story of the suite, and none of a story that is no more."""
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(path_of(story).name for story in stories())


@pytest.mark.parametrize("story", sorted(stories()))
def test_a_recorded_history_is_whole(story: str) -> None:
    """A recorded story ended by itself, its trace was complete, and it was cleaned up."""
    history = History(recorded(story))
    assert history.story == story
    assert history.stopped is None
    assert history.gaps == []
    assert set(history.fences) == {"told", "cleaned"}


def test_recording_again_changes_nothing() -> None:
    """Cutting a history out of itself leaves nothing out, and its file does not tell when it was written."""
    path = path_of("replicas_unset")
    kept = cut(Trace(path), "replicas_unset")
    assert kept == list(recorded("replicas_unset"))
    assert compressed(kept)[4:8] == bytes(4)


def test_histories_are_small() -> None:
    """All histories together stay below two megabytes."""
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_only_events_that_something_reads_are_kept_and_without_their_host(tmp_path: Path) -> None:
    """Of the Events only refused creations are kept, and not the name of the machine that reported them."""
    told = [sample("Event", reason, reason=reason, reportingInstance="host") for reason in ("FailedCreate", "Pulled")]
    trace = written(tmp_path, StoryStarted(0.0, "s", TENANT), *map(change, (1, 2), told))
    kept = [record.object for record in cut(Trace(trace), "s") if isinstance(record, Change)]
    assert [event["reason"] for event in kept] == ["FailedCreate"]
    assert "reportingInstance" not in kept[0]


def test_a_run_in_which_a_story_stopped_is_not_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with a story that stopped early is refused with one sentence, and nothing is written."""
    stopped = Stopped(1.0, "page_sample", "failed", "lws was not available")
    written(tmp_path, StoryStarted(0.0, "page_sample", TENANT), stopped)
    before = path_of("page_sample").read_bytes()
    assert main([str(tmp_path)]) == 2
    assert "story page_sample stopped early (lws was not available)" in capsys.readouterr().err
    assert path_of("page_sample").read_bytes() == before


def test_a_folder_without_a_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds no trace is refused with a sentence that says what to name."""
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == "name the results folder of a run: one that has a trace.ndjson\n"
