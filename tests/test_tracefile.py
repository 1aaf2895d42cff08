"""The trace on disk keeps whole lines, whoever writes and whatever the disk does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conformance.errors import HarnessError
from conformance.trace.tracefile import TraceFile


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    """Threads write at once; every line is there, once and in one piece."""
    problems: list[str] = []
    file = TraceFile(tmp_path / "trace.ndjson", problems.append)
    file.open()
    lines = [[f"{thread}-{number}-{'x' * number}\n" for number in range(200)] for thread in range(8)]

    def write(own: list[str]) -> None:
        for line in own:
            file.append(line.encode())

    threads = [threading.Thread(target=write, args=(own,)) for own in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    written = (tmp_path / "trace.ndjson").read_text().splitlines(keepends=True)
    assert sorted(written) == sorted(line for own in lines for line in own)
    assert problems == []


def test_flush_brings_lines_to_the_file_before_it_is_closed(tmp_path: Path) -> None:
    """A reader sees what was written before a flush while writing goes on."""
    path = tmp_path / "trace.ndjson"
    file = TraceFile(path, pytest.fail)
    file.open()
    file.append(b"one\n")
    file.flush()
    assert path.read_bytes() == b"one\n"
    file.close()


def test_lines_after_the_end_are_dropped(tmp_path: Path) -> None:
    """A story that is still ending itself when the trace is closed does no harm, and closing twice neither."""
    path = tmp_path / "trace.ndjson"
    file = TraceFile(path, pytest.fail)
    file.open()
    file.append(b"one\n")
    file.close()
    file.append(b"two\n")
    file.flush()
    file.close()
    assert path.read_bytes() == b"one\n"
    assert not [thread for thread in threading.enumerate() if thread.name == "flush-trace"]


def test_a_file_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """The sentence names the file, the reason and the option."""
    with pytest.raises(HarnessError, match=r"cannot write the trace .*missing/trace.ndjson: No such file .* --out"):
        TraceFile(tmp_path / "missing" / "trace.ndjson", pytest.fail).open()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_told_once() -> None:
    """The first line that cannot be written is told in one sentence; the others are not told again, nor raised."""
    problems: list[str] = []
    file = TraceFile(Path("/dev/full"), problems.append)
    file.open()
    for _ in range(3):
        file.append(b"line\n")
        file.flush()
    file.close()
    assert problems == [
        "the trace /dev/full cannot be written any more: No space left on device; free disk space and run again"
    ]


LITTLE_ROOM = """
import resource, sys
from pathlib import Path
from conformance.trace.tracefile import TraceFile

_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
file = TraceFile(Path(sys.argv[1]), print)
file.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))
for line in (b"first\\n", b"second\\n", b"third\\n"):
    file.append(line)
    file.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
file.append(b"fourth\\n")
file.close()
"""


def test_what_was_written_before_the_disk_was_full_stays_valid(tmp_path: Path) -> None:
    """At most the last line is cut off; room that is found later does not lead to lines after a cut."""
    path = tmp_path / "trace.ndjson"
    run = subprocess.run([sys.executable, "-c", LITTLE_ROOM, path], capture_output=True, text=True, check=True)
    assert run.stdout.count("cannot be written any more: File too large") == 1
    assert run.stderr == ""
    assert path.read_bytes() == b"first\nseco"
