"""The index of published runs says what a run's result says, whatever its outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

import report_samples as samples
from conformance.errors import UsageError
from conformance.outcomes import Outcome
from conformance.report import building, published


def index(folder: Path) -> list[str]:
    return list(published.lines(published.published(folder), "Linux, 2 cores"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two published runs: one with every outcome, and one where everything passed."""
    for name, lines in (("kueue-0.9.10", samples.every_outcome()), ("kueue-0.9.9", samples.passing())):
        (tmp_path / name).mkdir()
        building.write_result(tmp_path / name, samples.result(lines))
    return tmp_path


def test_runs_are_counted_in_the_order_of_their_releases(folder: Path) -> None:
    """A row for each run, 0.9.9 before 0.9.10, with its number of requirements by outcome."""
    rows = [line for line in index(folder) if line.startswith("| [")]
    assert [row.split("]")[0] for row in rows] == ["| [kueue-0.9.9", "| [kueue-0.9.10"]
    result = building.read_result(folder / "kueue-0.9.10")
    counted = [cell.strip() for cell in rows[1].split("|")[5:12]]
    assert counted == [str(result.summary[outcome]) for outcome in published.COLUMNS]


def test_what_did_not_pass_is_told_with_its_command(folder: Path) -> None:
    """Below the table each run has its command, and each failure, deviation and broken invariant a line."""
    found = index(folder)
    below = found[found.index("## kueue-0.9.10") :]
    result = building.read_result(folder / "kueue-0.9.10")
    assert f"`{result.run.command}`" in below[2]
    told = {line.split()[1] for line in below if line.startswith("- ")}
    bad = (Outcome.FAILED, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.KNOWN_DEVIATION)
    assert told == {one.id for one in result.requirements if one.outcome in bad} | {
        invariant.name for invariant in result.invariants if invariant.violations
    }
    passed = found[found.index("## kueue-0.9.9") : found.index("## kueue-0.9.10")]
    assert not [line for line in passed if line.startswith("- ")]


def test_what_is_beside_the_runs_is_listed_if_it_is_there(folder: Path) -> None:
    """Other published files have a line each; none that is not there, and nothing of unknown ones."""
    found = list(published.lines(published.published(folder), "", ["kill-matrix.json", "notes.txt"]))
    assert [line.split("]")[0] for line in found if line.startswith("- [")] == ["- [kill-matrix.json"]


def test_the_same_results_give_the_same_index(folder: Path) -> None:
    """Nothing in the index depends on when it is made."""
    assert index(folder) == index(folder)


def test_a_result_that_cannot_be_read_is_named(folder: Path) -> None:
    """A damaged result is a usage error with the file's name, not a row that is missing."""
    (folder / "kueue-0.9.9" / building.FILE).write_text("{")
    with pytest.raises(UsageError, match=r"kueue-0\.9\.9"):
        index(folder)
