"""What a person reads in a terminal or a CI log."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import report_samples as samples
from conformance.outcomes import Outcome
from conformance.report import log, model, terminal, words
from conformance.report.building import claim_of
from conformance.report.exitcode import decide
from conformance.report.live import LiveProgress

TODAY = samples.STARTED.date()


def plain(width: int = 120) -> Console:
    return terminal.console_for(io.StringIO(), width=width)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def report(result: model.Result, width: int = 120, **options: Any) -> str:
    console = plain(width)
    terminal.print_report(console, result, decide(result), samples.CATALOGUE, **options)
    return text_of(console)


def failure(line: log.ClaimLine = samples.FAILED, **options: Any) -> str:
    console = plain()
    terminal.print_failure(console, claim_of(line, TODAY), samples.CATALOGUE[2], **options)
    return text_of(console)


def test_failure_in_full() -> None:
    """A failure tells the sentence, the expectation, what it saw of what, the timeline, the command, in this order."""
    assert failure().splitlines() == [
        "",
        "FAILED  UP-02 (MUST)  test_up::test_new_group_waits",
        "  A group that scale-up adds stays gated until its own Workload is admitted.",
        "  expectation  gated",
        "  object       Pod t-1/seed-1-0",
        "  field        spec.schedulingGates",
        "  expected     kueue.x-k8s.io/admission",
        "  observed     none",
        "  moment       before admitted, at revision 512",
        "  timeline",
        "    +0.10 s Workload leaderworkerset-seed-1-c3c2a ADDED",
        "    +0.11 s Pod seed-1-0 ADDED with no scheduling gate :warning: [red]not markup[/red]",
        "  again        kueue-lws-conformance run --story scale_up -k test_new_group_waits",
    ]


def test_failure_repeats_the_runs_options() -> None:
    """The command that repeats a claim carries the options that the run had."""
    assert "again        kueue-lws-conformance run --profile core --story" in failure(
        command="kueue-lws-conformance run --profile core"
    )


def test_long_timeline_shows_its_end() -> None:
    """Of a long timeline the last thirty lines are shown and the others counted."""
    line = msgspec.structs.replace(samples.FAILED, evidence=[f"line {i}" for i in range(45)])
    lines = failure(line).splitlines()
    assert "  timeline     (15 earlier lines are in the result)" in lines
    assert [text.strip() for text in lines if text.startswith("    line")] == [f"line {i}" for i in range(15, 45)]


def test_command_is_quoted_and_never_broken() -> None:
    """A promised claim's command is quoted for a shell and stays on one line however narrow the terminal."""
    line = samples.claim_line("test_up::scale_up::room[ADM-06]", "UP-02", Outcome.FAILED)
    console = plain(30)
    terminal.print_failure(console, claim_of(line, TODAY), samples.CATALOGUE[2])
    assert (
        "  again        kueue-lws-conformance run --story scale_up -k 'room[ADM-06]'" in text_of(console).splitlines()
    )


def test_story_line() -> None:
    """A finished story is one line: seconds, name, its claims by outcome, where it stopped."""
    console = plain()
    outcomes = [Outcome.PASSED, Outcome.FAILED, Outcome.PASSED, Outcome.INCONCLUSIVE]
    terminal.print_story(console, "scale_up", 3.21, outcomes, stopped_at="room")
    terminal.print_story(console, "deleted", 12.0, [])
    assert text_of(console).splitlines() == [
        "   3.2 s  scale_up  1 failed, 1 inconclusive, 2 passed  stopped at room",
        "  12.0 s  deleted  no claims",
    ]


def test_report_of_a_passing_run() -> None:
    """A passing run's report is the verdict in words, the areas, where the results are, and the counts."""
    assert report(samples.result(samples.passing()), results=Path("conformance-results/r")).splitlines() == [
        "",
        "kueue 0.19.2 queues LeaderWorkerSets as documented: 2 of 2 requirements of profile page passed.",
        "",
        "area                  passed",
        "Admission and gating     1/1",
        "Scale up                 1/1",
        "",
        "Results: conformance-results/r",
        "2 requirements: 2 passed, 8 not selected · 2 claims of 1 story · 41 s · exit code 0: nothing failed",
    ]


@pytest.mark.parametrize(
    "part",
    [
        "kueue 0.19.2 does not queue LeaderWorkerSets as documented: 2 of 9 requirements of profile page passed",
        "1 invariant broken (I2)",
        "FAILED  UP-02 (MUST)  test_up::test_new_group_waits",
        "FAILED  ADM-06 (MUST)  test_up::scale_up::room[ADM-06]",
        "Not decided\n  because of test_up::scale_up::room[ADM-06]: UP-05 (MUST)\n",
        "  error: the API server went away: DEL-01 (MUST)",
        "I2 failed: one_rack · Node t-2-h1: 2 GPUs are assigned, 1 is allocatable",
        "TAS-01 known deviation (sometimes, until 2027-03-31, https://github.com/kubernetes-sigs/kueue/issues/1)",
        "not testable: the cluster lacks edits-nodes (FAIL-03)",
        "unsupported: rolling-update is not declared (ROLL-01)",
        "page: sample 2 cannot run as printed [one_rack]",
        "created-to-admitted: 0.20 s, 95 % within 0.40 s (n = 4)",
        "9 requirements: 2 failed, 1 error, 1 inconclusive, 1 known deviation, 2 passed, 1 not testable, 1 unsupported"
        ", 1 not selected · 11 claims of 4 stories · 41 s · exit code 1: 2 MUST requirements failed (ADM-06, UP-02); "
        "1 invariant failed (I2)",
    ],
)
def test_report_of_a_run_with_everything(part: str) -> None:
    """Every outcome has its place in the closing report, and one cause is told once."""
    assert part in report(samples.result())


def test_areas_in_the_catalogues_order() -> None:
    """Each area that was selected is a row, in the catalogue's order: passed of how many, and the rest."""
    table = report(samples.result()).split("\narea ")[1].split("\n\n")[0].splitlines()
    assert [" ".join(row.split()) for row in table] == [
        "passed",
        "Admission and gating 1/2 1 failed",
        "Scale up 0/2 1 failed, 1 inconclusive",
        "Deletion 0/1 1 error",
        "Topology aware scheduling 0/1 1 known deviation",
        "Rolling update and surge 0/1 1 unsupported",
        "Failing pods and nodes 0/1 1 not testable",
        "Workloads 1/1",
    ]


def test_failures_already_told_are_only_listed() -> None:
    """Where failures were printed when they happened, the closing report lists them by name."""
    told = report(samples.result(), failures_in_full=False)
    assert "  UP-02 (MUST)  test_up::test_new_group_waits" in told
    assert "again " not in told


def test_inconclusive_claims_share_their_cause() -> None:
    """Requirements that one failure kept from being judged stand in one line under it."""
    reason = {"reason": "not reached", "caused_by": "test_up::scale_up::room[ADM-06]"}
    lines = [
        samples.claim_line(f"test_x::test_{id_}", id_, Outcome.INCONCLUSIVE, **reason) for id_ in ("UP-05", "DEL-01")
    ]
    told = report(samples.result([*samples.head(), *lines, samples.end()]))
    assert "  because of test_up::scale_up::room[ADM-06]: DEL-01 (MUST), UP-05 (MUST)" in told.splitlines()


def passed(id_: str) -> log.ClaimLine:
    return samples.claim_line(f"test_x::test_{id_}", id_, Outcome.PASSED)


def other(id_: str, outcome: Outcome, **more: Any) -> log.ClaimLine:
    return samples.claim_line(f"test_x::other_{id_}", id_, outcome, **more)


@pytest.mark.parametrize(
    ("lines", "ended", "verdict"),
    [
        (
            [passed("UP-02"), other("TAS-01", Outcome.FAILED, deviation=samples.DEVIATION)],
            True,
            "kueue 0.19.2 queues LeaderWorkerSets as documented but for known deviations: "
            "1 of 2 requirements of profile page passed, 1 known deviation.",
        ),
        (
            [passed("UP-02"), other("WL-07", Outcome.FAILED)],
            True,
            "kueue 0.19.2 queues LeaderWorkerSets as documented in all that must hold: "
            "1 of 2 requirements of profile page passed, 1 failed.",
        ),
        (
            [passed("UP-02"), other("FAIL-03", Outcome.NOT_TESTABLE)],
            True,
            "kueue 0.19.2 queues LeaderWorkerSets as documented, as far as it could be tested: "
            "1 of 2 requirements of profile page passed, 1 not testable.",
        ),
        (
            [passed("UP-02"), other("UP-05", Outcome.INCONCLUSIVE)],
            True,
            "This run does not tell whether kueue 0.19.2 queues LeaderWorkerSets as documented: "
            "1 of 2 requirements of profile page passed, 1 inconclusive.",
        ),
        ([], True, "Nothing was judged, so this run says nothing about kueue 0.19.2."),
        (
            [passed("UP-02")],
            False,
            "Interrupted before the verdict on kueue 0.19.2: so far 1 of 1 requirement of profile page passed.",
        ),
    ],
)
def test_verdict_in_words(lines: list[log.Line], ended: bool, verdict: str) -> None:
    """The verdict is one sentence that claims no more than the run showed."""
    result = samples.result([*samples.head(), *lines, *([samples.end()] if ended else [])])
    assert words.verdict(result, decide(result)) == verdict


def test_verdict_when_only_a_gate_fails() -> None:
    """A run that fails for --require-all alone does not say that the implementation misbehaves."""
    result = samples.result([*samples.head(), passed("UP-02"), other("FAIL-03", Outcome.NOT_TESTABLE), samples.end()])
    told = words.verdict(result, decide(result, require_all=True))
    assert told.endswith("1 not testable, but 1 requirement is not testable here (FAIL-03).")
    assert "does not queue" not in told


def test_verdict_names_the_source() -> None:
    """A build that is no release is named with where it came from."""
    implementation = model.Implementation(name="kueue", version="v0.20.0-rc.1", source="checkout at 1a2b3c4")
    lines = [*samples.passing()[:2], log.ImplementationLine(implementation=implementation), *samples.passing()[3:]]
    assert (
        report(samples.result(lines)).splitlines()[1].startswith("kueue v0.20.0-rc.1 (from checkout at 1a2b3c4) queues")
    )


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_every_width(width: int) -> None:
    """At any width nothing is lost: each word of the widest report is in the narrow one."""
    narrow = "".join(report(samples.result(), width).split())
    for part in (
        "TAS-01knowndeviation",
        "sample2cannotrunasprinted",
        "2GPUsareassigned,1isallocatable",
        "1notselected",
    ):
        assert part in narrow


def test_texts_are_not_markup() -> None:
    """What anybody prints on the console is shown as it is: no markup, no emoji."""
    console = plain()
    console.print("[red]pods[/red] :warning: ::1")
    assert text_of(console) == "[red]pods[/red] :warning: ::1"


def test_failures_of_two_threads_do_not_mix() -> None:
    """A failure is written in one piece, whatever other threads print."""
    console = plain()
    line = msgspec.structs.replace(samples.FAILED, evidence=[f"line {i}" for i in range(25)])
    threads = [threading.Thread(target=fail_many, args=(console, line)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert text_of(console) == "\n".join([failure(line)] * 80)


def fail_many(console: Console, line: log.ClaimLine) -> None:
    for _ in range(20):
        terminal.print_failure(console, claim_of(line, TODAY), samples.CATALOGUE[2])


def test_no_control_characters_in_a_log() -> None:
    """Where the output is no terminal there is no colour and no cursor movement."""
    assert "\x1b" not in report(samples.result())


def test_colour_on_a_terminal() -> None:
    """On a terminal a failure is red, and the words are the same."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system="standard", highlight=False)
    terminal.print_failure(console, claim_of(samples.FAILED, TODAY), samples.CATALOGUE[2])
    assert "\x1b[1;31mFAILED\x1b[0m" in text_of(console)


def test_picture(tmp_path: Path) -> None:
    """What was printed can be saved as a picture, and the same output gives the same file."""
    for name in ("a.svg", "b.svg"):
        console = terminal.console_for(io.StringIO(), record=True, width=100)
        result = samples.result(samples.passing())
        terminal.print_report(console, result, decide(result), samples.CATALOGUE)
        terminal.save_picture(console, tmp_path / name, "scripts/conformance")
    picture = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Admission" in picture
    assert picture == (tmp_path / "b.svg").read_text(encoding="utf-8")


def test_width_of_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is 120 columns wide unless COLUMNS says otherwise."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal.console_for(io.StringIO()).width == 120
    monkeypatch.setenv("COLUMNS", "77")
    assert terminal.console_for(io.StringIO()).width == 77


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (41.2, "41 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s")])
def test_duration(seconds: float, text: str) -> None:
    """Durations are told in seconds, from a minute on in minutes and seconds."""
    assert words.duration(seconds) == text


def shown(progress: LiveProgress, width: int = 100) -> list[str]:
    console = plain(width)
    console.print(progress.render())
    return text_of(console).splitlines()[1:]


def test_live_display() -> None:
    """The display tells judged of how many, failed, elapsed and expected time, and the stories being told."""
    now = 100.0
    progress = LiveProgress(plain(), clock=lambda: now)
    progress.start(63, expected=45.0)
    progress.update(telling="scale_up")
    progress.update(telling="one_rack")
    progress.update(outcome=Outcome.PASSED)
    progress.update(told="scale_up", outcome=Outcome.FAILED)
    now = 112.0
    assert shown(progress) == ["2/63 judged · 1 failed · 12 s of about 45 s", "telling one_rack"]


def test_live_display_fits_its_width() -> None:
    """A display with many stories is one bar and two lines at any width, cut off at the edge."""
    progress = LiveProgress(plain(30))
    progress.start(63)
    for i in range(12):
        progress.update(telling=f"a_story_with_a_long_name_{i}")
    lines = shown(progress, 30)
    assert len(lines) == 2
    assert all(len(line) <= 30 for line in lines)


def test_live_display_is_inert_in_a_log() -> None:
    """Where the output is no terminal the display writes nothing at all and starts no thread."""
    console, threads = plain(), threading.active_count()
    with LiveProgress(console) as progress:
        progress.start(2)
        progress.update(telling="scale_up", outcome=Outcome.PASSED)
        assert threading.active_count() == threads
    assert text_of(console) == ""


def test_live_display_goes_away() -> None:
    """On a terminal lines are printed above the display, which leaves nothing behind; finishing twice is no error."""
    console = Console(file=io.StringIO(), force_terminal=True, width=60, highlight=False)
    progress = LiveProgress(console)
    progress.start(2)
    terminal.print_story(console, "scale_up", 1.0, [Outcome.PASSED])
    progress.finish()
    progress.finish()
    assert "scale_up" in text_of(console)
    assert console.file.getvalue().endswith("\x1b[2K")  # type: ignore[attr-defined]


def test_live_display_counts_every_thread() -> None:
    """Verdicts that several threads tell at once are all counted."""
    progress = LiveProgress(plain())
    progress.start(800)
    threads = [threading.Thread(target=tell_many, args=(progress,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown(progress)[0].startswith("800/800 judged · 0 failed")


def tell_many(progress: LiveProgress) -> None:
    for i in range(100):
        progress.update(telling=str(i), told=str(i), outcome=Outcome.PASSED)
