"""Draws what a run printed, as the picture in README.md, from the results folder that the run left.

    python docs/make_picture.py RESULTS docs/run.svg

The same results give the same file. What comes and goes on a terminal, the progress display, is not in the picture, and
the results folder has the name that a run gives it where nobody names one.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from conformance.errors import UsageError
from conformance.outcomes import JUDGED, Outcome
from conformance.report import exitcode, log, model, terminal, words
from conformance.report.building import claim_of, read_result
from conformance.requirements import load
from conformance.trace.reading import Trace
from conformance.trace.records import Fence, StoryStarted

WIDTH: Final = 120
LARGEST: Final = 150_000
"""Bytes: a picture that is larger is not committed."""
_FONT: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def draw(results: Path, picture: Path) -> None:
    """Write the picture. Raises UsageError for a folder that is not that of a run."""
    result = read_result(results)
    _, _, options = result.run.command.partition(" run ")
    command = f"scripts/conformance {options}".strip()
    console = terminal.console_for(io.StringIO(), record=True, width=WIDTH)
    console.print(Text(f"$ {command}", "bold"))
    _print_stories(console, results, result)
    folder = Path("conformance-results") / result.run.id
    terminal.print_report(
        console, result, exitcode.decide(result), load(), results=folder, failures_in_full=False, command=words.COMMAND
    )
    terminal.save_picture(console, picture, command)
    # A picture on a page may load nothing, so the fonts that rich links to would only be asked for in vain.
    picture.write_text(_FONT.sub("", picture.read_text(encoding="utf-8")), encoding="utf-8")


def _print_stories(console: Console, results: Path, result: model.Result) -> None:
    """The announcement, failures as they came, and a line for each story when the last of its claims was judged."""
    claims = [line for line in log.read(results) if isinstance(line, log.ClaimLine) and line.outcome in JUDGED]
    left = [line.story for line in claims]
    stories = words.counted(len(set(left)), "story", "stories")
    where = f"{result.implementation.name} on {result.cluster.provider}, profile {result.run.profile}"
    console.print(f"{where}: {stories}, {words.counted(len(claims), 'claim')}")
    seconds = dict(_seconds(results))
    told: dict[str, list[Outcome]] = {}
    catalogue, today = load(), result.run.started.date()
    for line in claims:
        claim = claim_of(line, today)
        if claim.outcome in (Outcome.FAILED, Outcome.ERROR) and not line.caused_by:
            terminal.print_failure(console, claim, catalogue[line.requirements[0]])
        told.setdefault(line.story, []).append(claim.outcome)
        left.remove(line.story)
        if line.story not in left:
            terminal.print_story(console, line.story, seconds[line.story], told[line.story])


def _seconds(results: Path) -> Iterator[tuple[str, float]]:
    """How long each story took to tell."""
    for path in sorted(results.glob("trace*.ndjson*")):
        trace = Trace(path)
        for story in trace.stories:
            records = trace.story(story)
            begun = next(record.received for record in records if isinstance(record, StoryStarted))
            fences = [record.received for record in records if isinstance(record, Fence) and record.after == "told"]
            yield story, (fences[0] if fences else begun) - begun


def main(arguments: list[str]) -> int:
    """The command: exit code 0, or 2 with one sentence."""
    if len(arguments) != 2:
        print("name the results folder of a run and the picture to write: RESULTS docs/run.svg", file=sys.stderr)
        return 2
    results, picture = map(Path, arguments)
    try:
        draw(results, picture)
    except (UsageError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    size = picture.stat().st_size
    if size > LARGEST:
        print(f"{picture} has {size} bytes, more than {LARGEST}; draw a run with fewer failures", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
