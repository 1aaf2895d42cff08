"""The console command's view of a run: live progress, one line per story, failures at once, the closing report.

It takes the place of pytest's own terminal reporter; what is judged and how is pytest's and the plugin's business.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

import pytest
from rich.console import Console

from conformance.collecting import CLAIMED
from conformance.outcomes import JUDGED, Level, Outcome
from conformance.report import building, exitcode, log, terminal, words
from conformance.report.live import LiveProgress
from conformance.reporting import lines_of
from conformance.requirements import load
from conformance.session import Session, session_of
from conformance.settings import OPTIONS, Settings

SECONDS_TO_START, SECONDS_PER_STORY = 10.0, 1.3
"""What a run takes on two cores, roughly (docs/benchmarks.md); only for the display."""


class ConsoleReporter:
    """A pytest plugin that prints a run for a person or a log."""

    def __init__(self, console: Console, settings: Settings, *, verbose: bool = False, command: str = "") -> None:
        self.console, self.settings, self.verbose, self._command_line = console, settings, verbose, command
        self.live = LiveProgress(console)
        self.session: Session | None = None
        self.problems: list[str] = []
        self._left: dict[str, int] = {}
        self._outcomes: dict[str, list[Outcome]] = defaultdict(list)
        self._lock = threading.Lock()
        self._records = load()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session_of(session.config)
        self.session.say = lambda text: self.console.print(text)
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
        if not session.config.pluginmanager.has_plugin("conformance-controller"):
            self._announce()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Every worker collects the same."""
        from conformance.workers import story_of

        if not self._left:
            for story in (story_of(id_) for id_ in ids if not id_.endswith("::invariants")):
                self._left[story] = self._left.get(story, 0) + 1
            self._announce()

    def _announce(self) -> None:
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
        if claim.outcome in (Outcome.FAILED, Outcome.ERROR) and not line.caused_by:
            terminal.print_failure(self.console, claim, self._records[line.requirements[0]], command=self.command)
        elif self.verbose and claim.outcome in JUDGED:
            self.console.print(f"  {claim.outcome:12} {', '.join(line.requirements)}  {claim.id}")
        if complete:
            self._story_complete(line.story)

    def _story_complete(self, story: str) -> None:
        seconds = (
            self.session.seconds_of(story) if self.session is not None and hasattr(self.session, "teller") else 0.0
        )
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
            if option.name in ("story", "requirement", "out", "level", "feature", "skip") or value == option.default:
                continue
            repeat.append(f"--{option.name}" if value is True else f"--{option.name} {value}")
        return " ".join(repeat)

    def conclude(self, pytest_code: int, interrupted: bool) -> int:
        """Print the closing report; the exit code."""
        self.live.finish()
        session = self.session
        result = session.result if session is not None else None
        problem = "; ".join(self.problems) or (session.problem if session is not None else None)
        if result is None:
            decision = exitcode.decide(None, interrupted=interrupted, not_begun=problem)
            self.console.print(f"error: {decision.why}" if decision.code == 2 else decision.why, style="bold red")
            return decision.code
        level = Level(self.settings.fail_on)
        decision = exitcode.decide(
            result, fail_on=level, require_all=self.settings.require_all, interrupted=interrupted, not_begun=problem
        )
        if problem:
            self.console.print(f"error: {problem}", style="bold red")
        assert session is not None
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
