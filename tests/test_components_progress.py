"""What is seen while components are built."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from conformance.components.progress import about, display

BUILDS = [("etcd 3.6.16", 30.0), ("kueue 0.19.2", 180.0)]


def shown(*, terminal: bool, under_way: float = 0.0) -> str:
    """What a console gets to see of one build that ends and one that has been under way for some seconds."""
    now = [0.0]
    console = make_console(terminal)
    with display(console, clock=lambda: now[0]) as progress:
        progress.plan(BUILDS)
        progress.begin("etcd 3.6.16")
        progress.end("etcd 3.6.16", 31.4)
        progress.begin("kueue 0.19.2")
        now[0] += under_way
    return written(console)


def make_console(terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=100, color_system=None, _environ={"TERM": "xterm"}
    )


def written(console: Console) -> str:
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_a_log_gets_a_line_at_begin_and_end() -> None:
    """Without a terminal there is one line when a component begins and one, with its seconds, when it ends."""
    assert shown(terminal=False).splitlines() == [
        "2 components are to be built once: about 4 min",
        "building etcd 3.6.16: about 30 s",
        "built etcd 3.6.16 in 31 s",
        "building kueue 0.19.2: about 3 min",
    ]


def rows(**how: float) -> tuple[str, str]:
    """The rows for etcd and Kueue as a terminal last showed them."""
    last_frame = shown(terminal=True, **how).split("\x1b[1A")[-1]
    etcd, kueue = (line for line in last_frame.splitlines() if "building" in line)
    return etcd, kueue


def test_a_terminal_gets_a_row_for_each_component() -> None:
    """On a terminal each component has a row with what it is, the time passed and the time expected or taken."""
    etcd, kueue = rows(under_way=65.0)
    assert "etcd 3.6.16" in etcd
    assert "31 s" in etcd
    assert "kueue 0.19.2" in kueue
    assert "0:01:05" in kueue
    assert "about 3 min" in kueue


def test_a_build_that_takes_longer_than_expected_is_not_shown_as_done() -> None:
    """The bar of a component fills with the time passed, but is full only once the component is built."""
    done, half = (row.count("━") for row in rows(under_way=90.0))
    overdue = rows(under_way=10_000.0)[1].count("━")
    assert half == done // 2
    assert half < overdue < done


@pytest.mark.parametrize("terminal", [True, False])
def test_where_nothing_is_built_nothing_is_shown(terminal: bool) -> None:
    """A warm store is silent."""
    console = make_console(terminal)
    with display(console) as progress:
        progress.plan([])
    assert written(console) == ""


@pytest.mark.parametrize(("seconds", "words"), [(30, "about 30 s"), (99, "about 99 s"), (301, "about 5 min")])
def test_expectations_are_said_in_round_numbers(seconds: float, words: str) -> None:
    """An expectation is given in seconds while that is readable and in minutes beyond."""
    assert about(seconds) == words
