"""The run's log: append-only, on disk line by line, whole after whatever befalls the process or the disk."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import report_samples as samples
from conformance.errors import HarnessError, UsageError
from conformance.outcomes import Outcome
from conformance.report.log import FILE, ClaimLine, FindingLine, Line, RunLog, claim_id, read


def finding(text: str) -> FindingLine:
    return FindingLine(kind="k", text=text, source="s")


def test_log_reads_back(tmp_path: Path) -> None:
    """What was appended reads back equal and in order, by the file's name and by the folder's."""
    with RunLog(tmp_path / "results") as log:
        for line in samples.every_outcome():
            log.append(line)
    assert list(read(log.path)) == list(read(tmp_path / "results")) == samples.every_outcome()


def test_line_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    """A line can be read as soon as it was appended, while the log is still open."""
    with RunLog(tmp_path) as log:
        log.append(finding("a"))
        assert list(read(tmp_path)) == [finding("a")]


def test_log_of_a_killed_run(tmp_path: Path) -> None:
    """A process killed with SIGKILL right after an append leaves that line in the log."""
    code = (
        "import os, pathlib, signal, sys; from conformance.report.log import *;"
        "RunLog(pathlib.Path(sys.argv[1])).append(FindingLine(kind='k', text='a', source='s'));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert list(read(tmp_path)) == [finding("a")]


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_cut_off_last_line_is_dropped(tmp_path: Path, kept: int) -> None:
    """A last line that a kill cut off is ignored when reading and removed when the log is opened again."""
    with RunLog(tmp_path) as log:
        log.append(finding("a"))
        whole = log.path.read_bytes()
        log.path.write_bytes(whole + whole[:kept])
    assert list(read(tmp_path)) == [finding("a")]
    with RunLog(tmp_path) as log:
        log.append(finding("b"))
    assert list(read(tmp_path)) == [finding("a"), finding("b")]


def test_damaged_line_is_named(tmp_path: Path) -> None:
    """A damaged line in the middle is not skipped: a lost verdict would look like one never made."""
    with RunLog(tmp_path) as log:
        log.append(finding("a"))
        log.path.write_bytes(log.path.read_bytes() + b'{"line": "claim"}\n')
        log.append(finding("b"))
    with pytest.raises(UsageError, match=r"line 2 of .*log\.ndjson is no line of a run's log .*restore the file"):
        list(read(tmp_path))


def test_missing_log(tmp_path: Path) -> None:
    """A folder without a log is refused with one sentence."""
    with pytest.raises(UsageError, match=r"cannot read the log .*name a results folder of a run"):
        list(read(tmp_path))


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A results folder that cannot be made is a usage error that names the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write results to .*name another folder with --out"):
        RunLog(tmp_path / "file" / "results")


def test_full_device(tmp_path: Path) -> None:
    """A full disk is told in a sentence that says what is kept and what to do."""
    (tmp_path / FILE).symlink_to("/dev/full")
    with (
        RunLog(tmp_path) as log,
        pytest.raises(HarnessError, match="No space left on device; what was recorded before"),
    ):
        log.append(finding("a"))


def test_disk_that_fills_up_within_a_line(tmp_path: Path) -> None:
    """A line that fits only in part leaves nothing behind; earlier ones stay, and later ones can follow."""
    code = """
import pathlib, resource, sys
from conformance.errors import HarnessError
from conformance.report.log import FindingLine, RunLog
log = RunLog(pathlib.Path(sys.argv[1]))
log.append(FindingLine(kind="k", text="a", source="s"))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 20, hard))
try:
    log.append(FindingLine(kind="k", text="b" * 100, source="s"))
except HarnessError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.append(FindingLine(kind="k", text="c", source="s"))
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    assert ended.stdout.startswith(f"cannot record a verdict in {tmp_path / FILE}: File too large")
    assert [line.text for line in read(tmp_path) if isinstance(line, FindingLine)] == ["a", "c"]


def test_threads_and_processes_share_a_log(tmp_path: Path) -> None:
    """Lines that several threads of several processes append at once do not mix."""
    code = (
        "import pathlib, sys; from conformance.report.log import *; log = RunLog(pathlib.Path(sys.argv[1]));"
        "[log.append(FindingLine(kind='k', text=sys.argv[2] * 3000, source='s')) for _ in range(100)]"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "ab"]
    with RunLog(tmp_path) as log:
        threads = [threading.Thread(target=append_many, args=(log, name)) for name in "cd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait() for process in others] == [0, 0]
    texts = [line.text for line in read(tmp_path) if isinstance(line, FindingLine)]
    assert sorted(texts) == sorted(name * 3000 for name in "abcd" for _ in range(100))


def append_many(log: RunLog, name: str) -> None:
    for _ in range(100):
        log.append(finding(name * 3000))


def test_closing_twice(tmp_path: Path) -> None:
    """Closing a closed log does nothing, and what comes too late is an error, not silence."""
    log = RunLog(tmp_path)
    log.close()
    log.close()
    with pytest.raises(HarnessError, match="cannot record a verdict"):
        log.append(finding("late"))


def test_lines_say_what_they_are(tmp_path: Path) -> None:
    """Each line names its type and writes its keys as the result does."""
    lines: list[Line] = [ClaimLine(id="i", requirements=["UP-02"], story="s", outcome=Outcome.PASSED, caused_by="x")]
    with RunLog(tmp_path) as log:
        log.append(lines[0])
    text = log.path.read_text(encoding="utf-8")
    assert '"line":"claim"' in text
    assert '"causedBy":"x"' in text


@pytest.mark.parametrize(
    ("node_id", "expected"),
    [
        ("conformance/suites/test_up.py::test_new_group", "test_up::test_new_group"),
        ("a/b/test_up.py::scale_up::running[ADM-01]", "test_up::scale_up::running[ADM-01]"),
        ("test_up.py::scale_up::invariants@scale_up", "test_up::scale_up::invariants"),
        ("suites/test_up.py::test_x[one_rack]@one_rack", "test_up::test_x[one_rack]"),
        ("suites/test_up.py", "test_up"),
    ],
)
def test_claim_id(node_id: str, expected: str) -> None:
    """A claim is called by its pytest node id without folders, file suffix and xdist's group."""
    assert claim_id(node_id) == expected
