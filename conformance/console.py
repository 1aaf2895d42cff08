"""The console command's view of a run: live progress, one line per story, failures at once, the closing report.

It takes the place of pytest's own terminal reporter; what is judged and how is pytest's and the plugin's business.
"""

from __future__ import annotations

import shlex
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence

import pytest
from rich.console import Console

from conformance.collecting import CLAIMED
from conformance.outcomes import JUDGED, ExitCode, Level, Outcome
from conformance.report import building, exitcode, log, terminal, words
from conformance.report.live import LiveProgress
from conformance.reporting import lines_of
from conformance.requirements import load
from conformance.session import Session, session_of
from conformance.settings import OPTIONS, Settings

SECONDS_TO_START, SECONDS_PER_STORY = 10.0, 1.3
"""What a run takes on two cores, roughly (docs/benchmarks.md); only for the display."""
NOT_REPEATED = ("story", "requirement", "level", "feature", "skip", "out", "junit")
"""Options of a run that the command that tells one story again must not have: it chooses, and writes, for itself."""


class ConsoleReporter:
    """A pytest plugin that prints a run for a person or a log."""

    def __init__(self, console: Console, settings: Settings, *, verbose: bool = False, command: str = "") -> None:
        self.console, self.settings, self.verbose, self._command_line = console, settings, verbose, command
        self.live = LiveProgress(console)
        self.session: Session | None = None
        self.problems: list[str] = []
        self._interrupted = False
        self._left: dict[str, int] = {}
        self._outcomes: dict[str, list[Outcome]] = defaultdict(list)
        self._lock = threading.Lock()
        self._records = load()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session_of(session.config)
        self.session.command = self._command_line
        self.session.say = lambda text: self.console.print(text)
        self.session.beginning = self._announce
        self.session.teller_changed = self._story_changed

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(
                f"{report.nodeid} cannot be collected: {str(report.longrepr).strip().splitlines()[-1]}"
            )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            claimed = item.stash.get(CLAIMED, None)
            if claimed is not None and claimed.record is not None:
                self._left[claimed.story.name] = self._left.get(claimed.story.name, 0) + 1

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._interrupted = excinfo.type is KeyboardInterrupt

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Every worker collects the same."""
        from conformance.workers import story_of

        if not self._left:
            for story in (story_of(id_) for id_ in ids if not id_.endswith("::invariants")):
                self._left[story] = self._left.get(story, 0) + 1
            self._announce()

    def _announce(self) -> None:
        if not self._left:  # xdist's workers have yet to collect
            return
        claims = sum(self._left.values())
        what = f"{self.settings.implementation} on {self.settings.cluster}, profile {self.settings.profile}"
        self.console.print(
            f"{what}: {words.counted(len(self._left), 'story', 'stories')}, {words.counted(claims, 'claim')}"
        )
        self.live.start(claims, SECONDS_TO_START + SECONDS_PER_STORY * len(self._left))

    def _story_changed(self, name: str, told: bool) -> None:
        self.live.update(told=name if told else None, telling=None if told else name)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for line in lines_of(report):
            if isinstance(line, log.ClaimLine):
                self._claim(line)
            elif isinstance(line, log.InvariantsLine):
                self._invariants(line)

    def _claim(self, line: log.ClaimLine) -> None:
        assert self.session is not None
        claim = building.claim_of(line, self.session.started.date())
        self.live.update(outcome=claim.outcome)
        with self._lock:
            self._outcomes[line.story].append(claim.outcome)
            self._left[line.story] -= 1
            complete = self._left[line.story] == 0
        if claim.outcome in (Outcome.FAILED, Outcome.ERROR) and not line.caused_by and self._is_news(line):
            terminal.print_failure(self.console, claim, self._records[line.requirements[0]], command=self.command)
        elif self.verbose and claim.outcome in JUDGED:
            self.console.print(f"  {claim.outcome:12} {', '.join(line.requirements)}  {claim.id}")
        if complete:
            self._story_complete(line.story)

    def _is_news(self, line: log.ClaimLine) -> bool:
        """What broke the run is told once, and not again with every claim that it leaves undecided."""
        return self.session is None or self.session.broken is None or line.reason != self.session.broken

    def _story_complete(self, story: str) -> None:
        told_here = self.session is not None and hasattr(self.session, "teller")  # and not by one of xdist's workers
        seconds = self.session.seconds_of(story) if self.session is not None and told_here else None
        terminal.print_story(self.console, story, seconds, self._outcomes[story])

    def _invariants(self, line: log.InvariantsLine) -> None:
        for name, verdict in sorted(line.invariants.items()):
            for one in verdict.violations:
                if one.outcome is Outcome.FAILED:
                    self.console.print(
                        f"FAILED  invariant {name} in story {line.story}: {one.object} {one.observed}", style="red"
                    )

    @property
    def command(self) -> str:
        """How to run again with the same options, before `--story … -k …`."""
        repeat = [words.COMMAND]
        for option in OPTIONS:
            value = getattr(self.settings, option.key)
            if option.name in NOT_REPEATED or value == option.default:
                continue
            repeat.append(f"--{option.name}" if value is True else f"--{option.name} {shlex.quote(str(value))}")
        return " ".join(repeat)

    def conclude(self) -> int:
        """Print the closing report; the exit code."""
        self.live.finish()
        session = self.session
        problem = "; ".join(self.problems) or (session.problem if session is not None else None)
        result = session.result if session is not None else None
        decision = exitcode.decide(
            result,
            fail_on=Level(self.settings.fail_on),
            require_all=self.settings.require_all,
            interrupted=self._interrupted,
            not_begun=problem,
        )
        if problem and decision.code == ExitCode.OK:  # such as a report that could not be written
            decision = exitcode.Decision(ExitCode.UNDECIDED, problem)
        if problem:
            print(f"error: {problem}", file=sys.stderr)
        elif result is None:
            ended = "the run was interrupted before anything was judged"
            self.console.print(ended if self._interrupted else decision.why, style="bold red")
        if result is None or session is None:
            return decision.code
        terminal.print_report(
            self.console,
            result,
            decision,
            self._records,
            results=session.folder,
            failures_in_full=False,
            command=self.command,
        )
        return decision.code
