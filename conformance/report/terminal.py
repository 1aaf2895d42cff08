"""What a person reads of a run in a terminal or a CI log: stories as they end, failures in full, the closing report.

Functions that print what they are given on a rich console; the live display is in `live`. Colour appears only on a
terminal, nothing depends on it, and no text of a cluster is taken for markup.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.outcomes import JUDGED, ExitCode, Outcome, worst
from conformance.report import model, words
from conformance.report.building import Described
from conformance.report.exitcode import Decision, stale_deviations
from conformance.requirements.records import AREAS

STYLE: Final[dict[Outcome, str]] = {
    Outcome.FAILED: "bold red",
    Outcome.ERROR: "bold magenta",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.KNOWN_DEVIATION: "cyan",
    Outcome.PASSED: "green",
    Outcome.NOT_TESTABLE: "dim",
    Outcome.UNSUPPORTED: "dim",
    Outcome.NOT_SELECTED: "dim",
}
_WIDTH_OF_A_LOG: Final = 120
_TIMELINE: Final = 30


def console_for(file: TextIO | None = None, *, record: bool = False, width: int | None = None) -> Console:
    """A console for reports: as wide as the terminal, or 120 columns in a log. `record` allows `save_picture`."""
    console = Console(file=file, record=record, width=width, highlight=False, emoji=False, markup=False)
    if width is None and not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH_OF_A_LOG
    return console


def save_picture(console: Console, path: Path, title: str) -> None:
    """Write what was printed on a recording console as an SVG; equal output gives an equal file."""
    console.save_svg(str(path), title=title, unique_id="conformance")


def print_story(
    console: Console, name: str, seconds: float | None, claims: Iterable[Outcome], *, stopped_at: str | None = None
) -> None:
    """One line for a story whose claims were judged; `seconds` is None where it is not known how long it took."""
    outcomes = list(claims)
    line = Text("" if seconds is None else f"{seconds:6.1f} s  ")
    line.append(name)
    line.append("  ")
    line.append(words.tally(outcomes), STYLE[worst(outcomes)])
    if stopped_at:
        line.append(f"  stopped at {stopped_at}", STYLE[Outcome.INCONCLUSIVE])
    _line(console, line)


def print_failure(
    console: Console, claim: model.Claim, requirement: Described, *, command: str = words.COMMAND
) -> None:
    """A claim that did not pass: the sentence, what was expected and seen of what, the timeline, how to repeat it."""
    title = Text(words.OUTCOME[claim.outcome].upper(), STYLE[claim.outcome])
    title.append(f"  {requirement.id} ({requirement.level})  {claim.id}", "bold")
    thing, field = words.object_and_field(claim)
    rows = {
        "expectation": claim.expectation,
        "object": thing,
        "field": field,
        "expected": claim.expected,
        "observed": claim.observed,
        "moment": claim.moment,
    }
    # As a context the console writes all of it at once, so that two threads' failures do not mix.
    with console:
        console.print()
        _line(console, title)
        console.print(_indented(Text(requirement.sentence, "italic"), 2))
        console.print(_indented(_facts({label: text for label, text in rows.items() if text}), 2))
        _print_timeline(console, claim.evidence)
        _line(console, Text.assemble("  again        ", (words.repeat(claim, command), "bold")))


def print_report(
    console: Console,
    result: model.Result,
    decision: Decision,
    catalogue: Iterable[Described],
    *,
    results: Path | None = None,
    failures_in_full: bool = True,
    command: str = words.COMMAND,
) -> None:
    """The closing report. `failures_in_full=False` where they were already printed when they happened."""
    records = {record.id: record for record in catalogue}
    console.print()
    console.print(Text(words.verdict(result, decision), _style_of(decision)))
    _print_areas(console, result, records)
    _print_failed(console, result, records, failures_in_full, command)
    _print_undecided(console, result)
    _print_invariants(console, result)
    _print_deviations(console, result)
    _print_not_judged(console, result)
    findings = [f"{finding.kind}: {finding.text} [{finding.source}]" for finding in result.findings]
    _print_list(console, "Findings (not part of the verdict)", findings)
    _print_latencies(console, result)
    console.print()
    if results is not None:
        _line(console, Text(f"Results: {results}"))
    _line(console, Text(words.last_line(result, decision), "bold"))


def _style_of(decision: Decision) -> str:
    styles = {ExitCode.OK: "bold green", ExitCode.FAILED: "bold red"}
    return styles.get(decision.code, "bold yellow")


def _print_areas(console: Console, result: model.Result, records: Mapping[str, Described]) -> None:
    areas = words.by_area(result, records.values())
    if not areas:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("area", overflow="fold")
    table.add_column("passed", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for area, requirements in areas.items():
        rest = [requirement.outcome for requirement in requirements if requirement.outcome != Outcome.PASSED]
        passed = Text(f"{len(requirements) - len(rest)}/{len(requirements)}", "" if rest else STYLE[Outcome.PASSED])
        others = Text(words.tally(rest), STYLE[worst(rest)]) if rest else Text()
        table.add_row(Text(AREAS.get(area, area)), passed, others)
    console.print()
    console.print(table)


def _print_failed(
    console: Console, result: model.Result, records: Mapping[str, Described], in_full: bool, command: str
) -> None:
    failed = [
        (requirement, claim)
        for requirement in result.requirements
        for claim in requirement.claims
        if claim.outcome == Outcome.FAILED
    ]
    if in_full:
        for requirement, claim in failed:
            print_failure(console, claim, records[requirement.id], command=command)
    else:
        names = [f"{requirement.id} ({requirement.level})  {claim.id}" for requirement, claim in failed]
        _print_list(console, "Failed (told in full above)", names)


def _print_undecided(console: Console, result: model.Result) -> None:
    """Requirements in error or inconclusive, under what caused them."""
    causes: dict[str, list[str]] = {}
    for requirement in result.requirements:
        if requirement.outcome in (Outcome.ERROR, Outcome.INCONCLUSIVE):
            reason = f"{requirement.outcome}: {requirement.reason or 'no reason given'}"
            cause = f"because of {requirement.caused_by}" if requirement.caused_by else reason
            causes.setdefault(cause, []).append(f"{requirement.id} ({requirement.level})")
    lines = [f"{cause}: {', '.join(ids)}" for cause, ids in sorted(causes.items())]
    _print_list(console, "Not decided", lines, STYLE[Outcome.INCONCLUSIVE])


def _print_invariants(console: Console, result: model.Result) -> None:
    lines: list[str] = []
    for invariant in result.invariants:
        for violation in invariant.violations:
            where = " · ".join(part for part in (violation.story, violation.object, violation.moment) if part)
            title = f"{invariant.name} {words.OUTCOME[violation.outcome]}"
            lines.append(": ".join(part for part in (title, where, violation.observed) if part))
            lines += [f"    {line}" for line in violation.evidence[-_TIMELINE:]]
    _print_list(console, "Invariants that did not hold", lines, STYLE[Outcome.FAILED])


def _print_deviations(console: Console, result: model.Result) -> None:
    old = stale_deviations(result)
    lines: list[str] = []
    for requirement in result.requirements:
        deviation = requirement.deviation
        if deviation is not None and (requirement.outcome == Outcome.KNOWN_DEVIATION or requirement.id in old):
            facts = f"{deviation.kind}, until {deviation.expires}, {deviation.issue}"
            lines.append(f"{requirement.id} {words.OUTCOME[requirement.outcome]} ({facts}): {requirement.reason}")
    _print_list(console, "Known deviations", lines, STYLE[Outcome.KNOWN_DEVIATION])


def _print_not_judged(console: Console, result: model.Result) -> None:
    reasons: dict[str, list[str]] = {}
    for requirement in words.selected(result):
        if requirement.outcome not in JUDGED:
            text = f"{words.OUTCOME[requirement.outcome]}: {requirement.reason or 'no reason given'}"
            reasons.setdefault(text, []).append(requirement.id)
    _print_list(console, "Not judged", [f"{text} ({', '.join(ids)})" for text, ids in sorted(reasons.items())])


def _print_latencies(console: Console, result: model.Result) -> None:
    shown = {name: found for name, found in result.latencies.items() if not name.startswith("moment:")}
    lines = [f"{name}: {v.p50:.2f} s, 95 % within {v.p95:.2f} s (n = {v.n})" for name, v in sorted(shown.items())]
    _print_list(console, "Medians, reported and not judged", lines)


def _print_list(console: Console, title: str, lines: Sequence[str], style: str = "") -> None:
    if not lines:
        return
    console.print()
    console.print(Text(title, f"bold {style}".strip()))
    for line in lines:
        console.print(_indented(Text(line), 2))


def _print_timeline(console: Console, evidence: Sequence[str]) -> None:
    if not evidence:
        return
    earlier = len(evidence) - _TIMELINE
    _line(console, Text("  timeline" + (f"     ({earlier} earlier lines are in the result)" if earlier > 0 else "")))
    for line in evidence[-_TIMELINE:]:
        console.print(_indented(Text(line), 4))


def _facts(rows: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=11, no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows.items():
        grid.add_row(Text(label, "dim"), Text(text))
    return grid


def _indented(content: Text | Table, columns: int) -> Table:
    grid = Table.grid()
    grid.add_column(width=columns)
    grid.add_column(overflow="fold")
    grid.add_row("", content)
    return grid


def _line(console: Console, text: Text) -> None:
    """One line that is never broken, so that it can be searched for and copied."""
    console.print(text, soft_wrap=True)
