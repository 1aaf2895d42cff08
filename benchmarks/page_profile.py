"""What a run costs, of the page profile if nothing else is asked for: seconds, requests to the API server, CPU.

`python benchmarks/page_profile.py --runs 2`. Each run is the console command in a process of its own, on the default
release line and a fresh local cluster; options after `--` are given to it. What is divided by the number of stories
includes the set-up of the cluster, which the first table shows apart.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from measuring import MIB, Measured, gathered, heading, measure, table
from rich.console import Console

from conformance.report import auditing, model, words

BUSIEST: Final = 12
"""How many kinds of requests the last table shows."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run and what was found out about it."""

    measured: Measured
    result: model.Result
    traffic: auditing.Traffic
    phases: dict[str, float]

    @property
    def stories(self) -> int:
        return len(self.result.stories)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=1, metavar="N", help="how many runs (default 1)")
    options.add_argument("--keep", type=Path, metavar="FOLDER", help="keep results and output of the runs here")
    options.add_argument("rest", nargs="*", metavar="OPTION", help="after --: options for `run`")
    given = options.parse_args()
    console = Console(width=120, highlight=False)
    heading(console, f"{given.runs} times `{shlex.join(['run', *given.rest])}`")
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = given.keep or Path(temporary)
        runs = [one_run(console, number, folder, given.rest) for number in range(1, given.runs + 1)]
    report(console, runs)


def one_run(console: Console, number: int, folder: Path, arguments: list[str]) -> Run:
    """Run, read what it left, remove the run folder."""
    measured = measure(arguments, folder / f"run-{number:02}")
    try:
        if measured.run_folder is None or not (measured.results / "result.json").exists():
            output = (folder / f"run-{number:02}" / "output.txt").read_text()
            raise SystemExit(f"the run ended with exit code {measured.code} and without a result:\n{output}")
        result = model.decode((measured.results / "result.json").read_bytes())
        traffic = auditing.read_file(measured.run_folder / "audit.log")
    finally:
        if measured.run_folder is not None:
            shutil.rmtree(measured.run_folder.parent)
    told, cleaned = moments_of((measured.results / "trace.ndjson").read_bytes().splitlines())
    run = Run(measured, result, traffic, phases(measured, result, told, cleaned))
    busy = sum(used.cpu for used in measured.used.values())
    console.print(
        f"  run {number}: exit code {measured.code}, {measured.seconds:.1f} s, {busy:.1f} CPU-seconds, "
        f"others used {measured.others:.0%} of the machine (load average before: {measured.load:.1f}); "
        f"{words.counted(run.stories, 'story', 'stories')}, "
        f"{words.counted(claims_of(result), 'claim')}; {tally(result)}"
    )
    return run


def claims_of(result: model.Result) -> int:
    """How many claims were judged; one that is made of several requirements counts once."""
    return len({claim.id for requirement in result.requirements for claim in requirement.claims})


def tally(result: model.Result) -> str:
    """`43 passed, 1 failed`: requirements by outcome, without those that were not selected."""
    counts = {outcome: count for outcome, count in result.summary.items() if count and outcome != "not-selected"}
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


class _Line(msgspec.Struct):
    """As much of a trace line as tells when stories began and when their fences held."""

    line: str
    received: float = 0.0
    after: str = ""


def moments_of(lines: Iterable[bytes]) -> tuple[list[float], list[float]]:
    """When each story began to be told and was told (in the first list), and when each was cleaned up."""
    told: list[float] = []
    cleaned: list[float] = []
    read = msgspec.json.Decoder(_Line).decode
    for text in lines:
        if not text.startswith((b'{"line":"story"', b'{"line":"fence"')):
            continue  # nearly all lines are changes, whose objects nobody needs here
        line = read(text)
        (cleaned if line.after == "cleaned" else told).append(line.received)
    return told, cleaned


def phases(measured: Measured, result: model.Result, told: list[float], cleaned: list[float]) -> dict[str, float]:
    """The seconds of a run from command to verdict, cut into phases that follow each other.

    Claims are judged while other stories are still told, so judging has a phase only after the last story.
    """
    assert result.run.finished is not None
    began, finished = result.run.started.timestamp(), result.run.finished.timestamp()
    marks = {
        "loading the suite, collecting claims": began,
        "set-up: cluster, LWS, Kueue, recorder": min(told),
        "telling, and judging what is told": max(told),
        "judging and cleaning up the last stories": max([*cleaned, max(told)]),
        "ending: audit log read, cluster stopped": finished,
        "result and report": measured.ended,
    }
    found: dict[str, float] = {}
    before = measured.began
    for name, moment in marks.items():
        found[name], before = moment - before, moment
    return found


def report(console: Console, runs: list[Run]) -> None:
    """Every table; each row's share is of the sum of its table."""
    console.print(table("Seconds", gathered(run.phases for run in runs), total="command to verdict"))
    requests = gathered(per_story(run.traffic.total(), run.stories) for run in runs)
    console.print(table("Requests to the API server per story, by client", requests, total="all"))
    busiest = gathered(per_story(kinds_of_requests(run.traffic), run.stories) for run in runs)
    first = dict(sorted(busiest.items(), key=lambda item: -max(item[1]))[:BUSIEST])
    console.print(table(f"The {len(first)} busiest kinds of requests, per story", first, part_of={}))
    cpu = gathered(per_story({name: used.cpu for name, used in run.measured.used.items()}, run.stories) for run in runs)
    console.print(table("CPU-seconds per story, by component", cpu, digits=2, total="all"))
    peaks = gathered({name: used.peak / MIB for name, used in run.measured.used.items()} for run in runs)
    console.print(table("Resident memory at the peak, MiB", peaks, digits=0, part_of={}))


def per_story(counts: dict[str, int] | dict[str, float], stories: int) -> dict[str, float]:
    return {name: count / max(1, stories) for name, count in counts.items()}


def kinds_of_requests(traffic: auditing.Traffic) -> dict[str, float]:
    """How often each client made each kind of request."""
    return {f"{client}: {kind}": n for client, kinds in traffic.requests.items() for kind, n in kinds.items()}


if __name__ == "__main__":
    main()
