"""The benchmarks' arithmetic: what is a part of what, which runs are loaded, what counts as not passed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts beside the package, not part of it

import against_kueue
import endurance
import measuring
import msgspec
import page_profile
import start
from measuring import OURS, Measured, Used

from conformance.outcomes import Outcome
from conformance.report import model
from report_samples import FINISHED, STARTED, passing, result


def exited(name: str, cpu: float, peak: int) -> str:
    return json.dumps({"event": "exited", "name": name, "code": 0, "asked": True, "cpu": cpu, "peak": peak})


def measured(results: Path, *, code: int | None = 0, began: float = 100.0, ended: float = 140.0) -> Measured:
    return Measured(code, began, ended, 0.5, 0.1, {}, results, None)


def printed(table: Table) -> list[list[str]]:
    """The cells of a table's rows as a person reads them, without the headings."""
    file = io.StringIO()
    Console(file=file, width=200).print(table)
    lines = [line for line in file.getvalue().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_suite_used_what_no_component_did() -> None:
    """The CPU-seconds of a run that no component's process used are the suite's own, with its own peak of memory."""
    events = [exited("etcd", 2.0, 100), exited("kueue", 3.0, 300), '{"event": "ended"}']
    assert measuring.by_component(events, 9.0, 50) == {
        OURS: Used(4.0, 50),
        "kueue": Used(3.0, 300),
        "etcd": Used(2.0, 100),
    }


def test_a_component_counts_with_all_its_processes() -> None:
    """Of a component that was started again the CPU-seconds add up and the larger peak counts."""
    events = [exited("kueue", 3.0, 300), exited("kueue", 1.5, 200)]
    assert measuring.by_component(events, 5.0, 50)["kueue"] == Used(4.5, 300)


def test_without_the_keepers_figures_nothing_is_told() -> None:
    """The events of a keeper that told no figures give an empty table, not one in which the suite used everything."""
    old = '{"event": "exited", "name": "etcd", "code": 0, "asked": true}'
    assert measuring.by_component([old], 9.0, 50) == {}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [({"a": 3.0, "b": 1.0}, {"a": 0.75, "b": 0.25}), ({"a": 0.0}, {"a": 0.0}), ({}, {})],
)
def test_shares(parts: dict[str, float], expected: dict[str, float]) -> None:
    """Shares are of the sum of all parts, and 0 where there is nothing to share."""
    assert measuring.shares(parts) == expected


def test_what_a_run_does_not_know_is_nothing_there() -> None:
    """A client or component that only one of several runs had is 0 in the others."""
    assert measuring.gathered([{"a": 1.0}, {"a": 2.0, "b": 5.0}]) == {"a": [1.0, 2.0], "b": [0.0, 5.0]}


def test_table_of_several_runs() -> None:
    """Several runs give the median, the lowest, the highest and the share of the medians; a total sums each run."""
    rows = {"a": [1.0, 2.0, 9.0], "b": [8.0, 6.0, 4.0]}
    assert printed(measuring.table("", rows, total="all")) == [
        ["a", "2.0", "1.0", "9.0", "25%"],
        ["b", "6.0", "4.0", "8.0", "75%"],
        ["all", "9.0", "8.0", "13.0", ""],
    ]


def test_table_of_one_run() -> None:
    """One run gives its value and the share; where parts are of no sum there is no share."""
    assert printed(measuring.table("", {"a": [3.0], "b": [1.0]})) == [["a", "3.0", "75%"], ["b", "1.0", "25%"]]
    assert printed(measuring.table("", {"a": [3.0], "b": [1.0]}, part_of={})) == [["a", "3.0"], ["b", "1.0"]]


def test_steps_of_a_start_are_what_passed_between_its_marks() -> None:
    """Each mark's share is the time since the mark before it, in the order in which they usually come."""
    runs = [{"up": 10.0, "python": 1.0, "api": 4.0}, {"python": 1.0, "api": 6.0, "up": 10.0}]
    assert list(start.in_order(measuring.gathered(runs))) == ["python", "api", "up"]
    assert start.steps(runs) == {"python": 0.1, "api": 0.4, "up": 0.5}


def test_a_start_that_failed_left_no_marks() -> None:
    """The marks are the line that only a start which came to its end prints."""
    assert start.marks_in('building\nstart-marks {"Python runs": 0.2}\n') == {"Python runs": 0.2}
    assert start.marks_in("Traceback") == {}


def test_moments_are_read_from_a_trace() -> None:
    """A story's beginning and its two fences give the moments between which it was told and cleaned up."""
    trace = [
        b'{"line":"header","run":"r","ordered":true,"lag":0.0}',
        b'{"line":"story","received":1.0,"story":"s","tenant":"t"}',
        b'{"line":"change","received":2.0,"type":"ADDED","object":{"line":"fence"}}',
        b'{"line":"fence","received":3.0,"story":"s","after":"told","revision":7}',
        b'{"line":"fence","received":4.0,"story":"s","after":"cleaned","revision":9}',
    ]
    assert page_profile.moments_of(trace) == ([1.0, 3.0], [4.0])


def test_phases_add_up_to_the_run(tmp_path: Path) -> None:
    """The phases follow each other without a gap, from the command to the end of its process."""
    began, ended = STARTED.timestamp() - 2.0, FINISHED.timestamp() + 1.5
    told, cleaned = [STARTED.timestamp() + 9.0, STARTED.timestamp() + 35.0], [STARTED.timestamp() + 38.0]
    found = page_profile.phases(measured(tmp_path, began=began, ended=ended), result(), told, cleaned)
    assert list(found.values()) == pytest.approx([2.0, 9.0, 26.0, 3.0, 3.0, 1.5])
    assert sum(found.values()) == pytest.approx(ended - began)


def test_claims_of_several_requirements_count_once() -> None:
    """A claim that two requirements share is one claim."""
    once = result()
    twice = msgspec.structs.replace(once, requirements=[*once.requirements, *once.requirements])
    assert page_profile.claims_of(twice) == page_profile.claims_of(once) > 0


def test_loaded_runs_are_spread() -> None:
    """Of twenty runs every fourth is loaded if five are to be; none if none, all if all."""
    assert [number for number, loaded in enumerate(endurance.plan(20, 5), start=1) if loaded] == [4, 8, 12, 16, 20]
    assert sum(endurance.plan(7, 3)) == 3
    assert endurance.plan(2, 0) == [False, False]
    assert endurance.plan(2, 2) == [True, True]


def test_trouble_is_what_neither_passed_nor_is_a_listed_deviation() -> None:
    """Failed and undecided requirements are named with their claims, not untested ones; so are violated invariants."""
    found = endurance.trouble_in(result())
    named = {"ADM-06", "DEL-01", "I2", "UP-02", "UP-05"}
    assert {line.split()[0] for line in found} == named
    assert any("test_up::test_new_group_waits" in line for line in found)
    assert endurance.trouble_in(result(passing())) == ()


def kept(folder: Path, found: model.Result) -> Path:
    folder.mkdir()
    (folder / "result.json").write_bytes(model.encode(found))
    return folder


def test_a_run_is_fine_if_it_says_so_and_its_result_does(tmp_path: Path) -> None:
    """A run passed only with exit code 0 and a result in which nothing is amiss."""
    good, bad = kept(tmp_path / "good", result(passing())), kept(tmp_path / "bad", result())
    assert endurance.row_of(1, False, measured(good)).fine
    assert not endurance.row_of(1, False, measured(good, code=3)).fine
    assert not endurance.row_of(1, False, measured(bad)).fine
    assert not endurance.row_of(1, False, measured(good, code=None)).fine


def test_a_run_without_a_result_is_told_as_such(tmp_path: Path) -> None:
    """A run that left no result has that as its trouble."""
    row = endurance.row_of(3, True, measured(tmp_path, code=2))
    assert not row.fine
    assert [trouble.partition(":")[0] for trouble in row.trouble] == ["no result"]


def test_summary_counts_quiet_and_loaded_runs() -> None:
    """The last line says how many runs passed, how many were not made, and how long the two kinds took."""
    rows = [
        endurance.Row(1, False, 0, 40.0, 0.1),
        endurance.Row(2, False, 0, 44.0, 0.9),
        endurance.Row(3, True, 3, 70.0, 1.1, trouble=("UP-02 inconclusive",)),
    ]
    said = "2 of 4 runs passed, 1 were not made; quiet: 2, 40 to 44 s; loaded: 1, 70 to 70 s"
    assert endurance.summary(rows, 4) == said


def test_table_of_runs_names_what_did_not_pass() -> None:
    """Every run has a row with its counts, and what did not pass is told under the table."""
    file = io.StringIO()
    row = endurance.Row(1, True, 3, 70.0, 0.8, {Outcome.PASSED: 42, Outcome.INCONCLUSIVE: 1}, ("UP-02 inconclusive",))
    endurance.print_table(Console(file=file, width=200), [row])
    cells = [cell.strip() for cell in file.getvalue().splitlines()[3].strip("|").split("|")]
    assert cells == ["1", "yes", "3", "70.0", "80%", "0", "0", "1", "0", "42", "0"]
    assert "run 1: UP-02 inconclusive" in file.getvalue()


def test_busy_loops_end_with_the_block() -> None:
    """The loops that load the cores run during a loaded run and are gone after it, also if it failed."""

    def fail() -> None:
        with endurance.busy_cores(2) as begun:
            loops.extend(begun)
            assert [loop.poll() for loop in loops] == [None, None]
            raise ZeroDivisionError

    loops: list[subprocess.Popen[bytes]] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(loop.returncode is not None for loop in loops)


def turns(*seconds: float) -> list[dict[str, dict[str, float]]]:
    return [{"burst": {"ready s": each}} for each in seconds]


def test_ratios_are_taken_pair_by_pair() -> None:
    """Of two implementations the median of the pairs' ratios is told, with the lowest and the highest."""
    (row,) = against_kueue.rows(turns(5.0, 6.0, 4.0), turns(10.0, 10.0, 10.0))
    assert (row.scene, row.name, row.reference, row.kueue) == ("burst", "ready s", 5.0, 10.0)
    assert (row.ratio, row.lowest, row.highest) == (0.5, 0.4, 0.6)


def test_a_difference_within_the_noise_is_none() -> None:
    """Where two turns of one implementation differ as much as the two implementations do, no difference is claimed."""
    (quiet,) = against_kueue.rows(turns(9.0, 9.0), turns(10.0, 10.0))
    (noisy,) = against_kueue.rows(turns(9.0, 9.0), turns(8.0, 12.0))
    assert quiet.differs
    assert not noisy.differs
    console = Console(file=io.StringIO(), width=200)
    against_kueue.report(console, [quiet, noisy])
    shown = [line for line in console.file.getvalue().splitlines() if "ready s" in line]  # type: ignore[attr-defined]
    assert "none (" not in shown[0]
    assert "none (" in shown[1]


def test_what_is_zero_for_kueue_has_no_ratio() -> None:
    """A number that is zero for Kueue is left out of the comparison."""
    assert against_kueue.rows(turns(1.0), turns(0.0)) == []
