"""The life time of a run: cluster, implementation, recorder and teller come up, stories are told, all goes down again.

The pytest hooks are in `plugin`; here is what they drive. Everything that `begin` started, `end` stops.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import conformance
from conformance.clusters.processes import LINES_FOLLOW
from conformance.collecting import CLAIMED, InvariantsItem, PromisedItem
from conformance.deadlines import Deadlines
from conformance.errors import Cancelled, HarnessError, UsageError
from conformance.expectations.judging import Told
from conformance.kube import ApiError
from conformance.names import RUN_LABEL
from conformance.report import log, model
from conformance.requirements import Here
from conformance.settings import Settings
from conformance.surroundings import Surroundings, commit_of_checkout
from conformance.verdicts import StoryBroke, judge_moment
from conformance.world.story import Story

SESSION: pytest.StashKey[Session] = pytest.StashKey()


def session_of(config: pytest.Config) -> Session:
    """The session of a pytest run that judges."""
    return config.stash[SESSION]


class Session:
    """One run."""

    TOLD = pytest.StashKey[Told]()

    def __init__(self, settings: Settings, command: str, say: Callable[[str], None] = print) -> None:
        self.settings, self.command, self.say = settings, command, say
        self.started = datetime.now(UTC)
        token = "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(4))
        self.run_id = f"{self.started:%Y%m%d-%H%M%S}-{token}"
        self.deadlines = Deadlines(settings.slow)
        self.folder = settings.out or Path("conformance-results") / self.run_id
        self.surroundings = Surroundings(settings, self.deadlines, lambda text: self.say(text))
        self.began = False
        self.came_up = False
        """Whether there is something that can be judged: without it there is no result."""
        self.failed = False
        self.problem: str | None = None
        """Why nothing could be judged, or why judging ended early."""
        self.on_broken: Callable[[str], None] = lambda message: None
        self._over: str | None = None
        self._broken: str | None = None
        self.log: log.RunLog | None = None
        self.to_judge: list[log.ClaimLine] = []
        """What is to be said of each claim if the run ends before it is judged."""
        self.recorded: set[str] = set()
        """The ids of the claims whose verdict is in the log."""
        self.result: model.Result | None = None
        self.beginning: Callable[[], None] = lambda: None
        """Called when everything has been found in order, before anything is started."""
        self.teller_changed: Callable[[str, bool], None] = lambda story, told: None
        """Told when a story begins (False) and when it can be judged (True), from any thread."""

    @property
    def short(self) -> str:
        """The run's short name: the beginning of every tenant's name, and the value of the run label."""
        return self.run_id.rpartition("-")[2]

    def here(self) -> Here:
        """What can be judged, as far as it is known before anything is started."""
        return self.surroundings.here()

    # Set-up and end

    def begin(self, stories: list[Story], *, for_workers: bool = False) -> None:
        """Bring everything up and begin to tell the stories; `for_workers`: leave the telling to xdist's workers.

        Raises UsageError or HarnessError, with nothing left running.
        """
        self.log = log.RunLog(self.folder)
        self.began = True
        self.beginning()
        self.log.append(log.RunLine(suite=_suite(), run=self._run_facts()))
        try:
            self.surroundings.start(self._break)
            self.log.append(log.ClusterLine(cluster=msgspec.convert(self.describe_cluster(), model.Cluster)))
            told = model.Implementation(**self.describe_implementation())
            self.log.append(log.ImplementationLine(implementation=told))
            self._note_unclaimed()
            self.came_up = True
            self._make_canary_class()
            if not for_workers:
                self._begin_telling(self.folder / "trace.ndjson")
                self._tell(sorted(stories, key=self._waits_in_vain, reverse=True))
        except BaseException as error:
            self.failed = True
            self._end_what_began(error)
            if isinstance(error, ApiError):
                raise HarnessError(f"the cluster does not let the run begin: {error}") from error
            raise

    def _note_unclaimed(self) -> None:
        """Requirements that were asked for and that nothing claims are no part of a pass, and the result says so."""
        from conformance.selecting import unclaimed

        assert self.log is not None
        for record, prospect in unclaimed(self.settings, self.here()):
            assert prospect.outcome is not None
            self.log.append(log.UnclaimedLine(requirement=record.id, outcome=prospect.outcome, reason=prospect.reason))

    def _waits_in_vain(self, story: Story) -> bool:
        """Whether one of its waits is known to run out: then it takes a whole deadline, and had better begin first."""
        return any(map(self._known_to_fail, story.moments.values()))

    def _known_to_fail(self, requirement: str) -> bool:
        listed = self.deviation(requirement)
        return listed is not None and listed.kind == "always"

    def _end_what_began(self, error: BaseException) -> None:
        """Stop what is up; nothing stays of a run asked for wrongly, or given up before there was a cluster."""
        if hasattr(self, "recorder"):
            self.recorder.stop()
        if self.came_up:
            with contextlib.suppress(HarnessError, ApiError):
                self._leave_nothing()
        self.surroundings.stop(failed=isinstance(error, HarnessError | ApiError))
        self._tell_kept()
        assert self.log is not None
        self.log.close()
        if isinstance(error, UsageError | KeyboardInterrupt) and not self.came_up:
            with contextlib.suppress(OSError):
                self.log.path.unlink()
                self.folder.rmdir()

    def _make_canary_class(self) -> None:
        from conformance.world.builders import priority_class

        made = priority_class(self._canary_class, -100, {RUN_LABEL: self.short})
        self.surroundings.client("world").create(made)

    @property
    def _canary_class(self) -> str:
        return f"{self.short}-canary"

    def _begin_telling(self, trace: Path) -> None:
        from conformance.trace.recorder import Recorder
        from conformance.world.teller import Teller
        from conformance.world.tenant import Ground

        near = self.surroundings
        kube = near.client("recorder")
        capabilities = near.cluster.capabilities
        self.recorder = Recorder(
            kube, trace, run=self.run_id, ordered="single-etcd" in capabilities, on_error=self._break
        )
        self.recorder.start(self.deadlines["controllers"])
        world = near.client("world", self._warned)
        ground = Ground(
            world,
            self.recorder,
            self.deadlines,
            self.short,
            self._canary_class,
            capabilities,
            self.alive,
            near.scope,
            near.restarting(self._lost),
            self._known_to_fail,
        )
        self.teller = Teller(
            ground,
            logs=self.folder / "stories",
            at_once=self.settings.stories_at_once or near.stories_at_once(),
            keep_namespaces=near.thrown_away,
            manifests=self.settings.show_manifests,
            changed=lambda telling: self.teller_changed(telling.story.name, telling.told.is_set()),
        )

    def _tell(self, stories: list[Story]) -> None:
        """Begin with all stories; those of a phase come when the others are over."""
        from conformance.world import sequential

        restarting = self.teller.ground.restarting
        if restarting is None:
            self.teller.tell(stories)
        else:
            sequential.begin(self.teller, restarting, stories, self._lost)

    def _lost(self, message: str) -> None:
        """The implementation did not come back, unless that is because the run is being ended."""
        if self._over is None:
            self._break(message)

    def seconds_of(self, story: str) -> float:
        """How long a story took to tell."""
        return self.teller.seconds_of(story)

    def _warned(self, text: str) -> None:
        """A deprecated API in use is a finding: the next release may no longer serve it."""
        if self.log is not None and "deprecated" in text:
            self.log.append(log.FindingLine(kind="deprecation", text=text, source="API server"))

    def cancel(self, reason: str) -> None:
        """End every wait: -x, --fail-fast, Ctrl-C."""
        self._over = reason
        if hasattr(self, "recorder"):
            self.recorder.wake()

    @property
    def broken(self) -> str | None:
        """What broke the cluster or the recording of it, in one sentence: the reason of all that is then undecided."""
        return self._broken

    def _break(self, message: str) -> None:
        if self._broken is not None:
            return
        self._broken, _, lines = message.partition(LINES_FOLLOW)
        self.problem = self.problem or self._broken
        if lines and self.log is not None:
            logs = str(self.surroundings.logs)
            self.log.append(log.FindingLine(kind="component-died", text=message, source=logs))
        self.on_broken(self._broken)
        if hasattr(self, "recorder"):
            self.recorder.wake()

    def alive(self) -> None:
        """Raises Cancelled when the run is being ended, HarnessError when the cluster or the recorder broke."""
        if self._broken is not None:
            raise HarnessError(self._broken)
        if self._over is not None:
            raise Cancelled(self._over)

    def end(self, *, interrupted: bool, last: Callable[[], object] = lambda: None) -> None:
        """Stop everything, write the `last` lines, and close the log.

        What goes wrong with that is told, and keeps nothing else from ending.
        """
        failed = self.failed or self._broken is not None
        steps: list[Callable[[], object]] = [
            lambda: self._end_telling() if hasattr(self, "teller") else None,
            self._leave_nothing,
            self._note_traffic,
            lambda: self.surroundings.stop(failed=failed),
            self._tell_kept,
            last,
            lambda: self._end_log(interrupted),
        ]
        told: set[str | None] = {self.problem}
        again: KeyboardInterrupt | None = None
        for step in steps:
            try:
                step()
            except KeyboardInterrupt as error:  # a second Ctrl-C ends one step, not those that leave nothing behind
                again = error
            except Exception as error:
                if self.problem is not None and str(error) not in told:
                    self.say(f"while ending the run: {error}")
                told.add(str(error))
                self.problem = self.problem or str(error)
        if again is not None:
            raise again

    def _tell_kept(self) -> None:
        kept = self.surroundings.kept
        if kept is not None:
            self.say(f"kept to be looked at: {kept} (logs of the components: {self.surroundings.logs})")

    def _end_log(self, interrupted: bool) -> None:
        if self.log is not None:
            try:
                self.log.append(log.EndLine(finished=datetime.now(UTC), interrupted=interrupted))
            finally:
                self.log.close()

    def _end_telling(self) -> None:
        """Stop telling and cleaning up; where the cluster outlives the run, only once nobody writes to it any more."""
        self.cancel(self._over or "the run is over")
        try:
            if self._broken is None and not self.surroundings.thrown_away:
                self.teller.give_up_untold()
                late = self.teller.finish(self.deadlines["request"])
                if late:
                    self.say(f"still being told: {', '.join(late)}")
        finally:
            self.recorder.stop()

    def _leave_nothing(self) -> None:
        """Remove what still carries the run's label, on a cluster that outlives the run."""
        if not self.began or self.surroundings.thrown_away:
            return
        broken = self._broken is not None
        left = [] if broken else self.surroundings.clean_run(self.short, self.deadlines["cleanup"])
        if left or broken:
            self.say(f"left on the cluster: {', '.join(left) or 'what was there'}; run `kueue-lws-conformance clean`")

    # Judging

    def told(self, story: Story) -> Told:
        """What a story told; blocks until it has. Raises StoryBroke when its trace cannot be trusted."""
        telling = self.teller.await_told(story)
        if telling.problem is not None:
            raise StoryBroke(telling.problem)
        history = self.teller.history(story)
        if "told" not in history.fences:
            raise StoryBroke("the trace of this story has no fence, so it may not be complete")
        return Told(history)

    def judge_promised(self, item: PromisedItem) -> None:
        """Judge a promised claim: its moment was reached, or why not."""
        claimed = item.stash[CLAIMED]
        told = self.told(claimed.story)
        item.stash[self.TOLD] = told
        judge_moment(claimed, told.history)

    def judge_invariants(self, item: InvariantsItem) -> None:
        """Judge the invariants of a story over everything up to its second fence."""
        from conformance.invariant_items import judge, not_cleaned

        story = item.stash[CLAIMED].story
        telling = self.teller.await_cleaned(story)
        if telling.problem:
            raise StoryBroke(telling.problem)  # which the story's claims tell already
        if telling.cleaning_problem:
            not_cleaned(item, telling.cleaning_problem)
            raise StoryBroke(telling.cleaning_problem)
        judge(item, self.teller.history(story, "cleaned"), self.deviation)

    def deviation(self, name: str) -> model.Deviation | None:
        """The known deviation that is listed for a requirement or an invariant on this implementation and version."""
        return self.surroundings.deviation(name)

    # What is known

    def describe_cluster(self) -> Mapping[str, Any]:
        return self.surroundings.describe_cluster()

    def describe_implementation(self) -> Mapping[str, Any]:
        return self.surroundings.describe_implementation()

    def _run_facts(self) -> model.Run:
        asked = {
            key: [str(part) for part in getattr(self.settings, key)]
            for key in ("requirement", "story", "level", "feature", "skip")
            if getattr(self.settings, key)
        }
        return model.Run(
            id=self.run_id,
            started=self.started,
            command=self.command,
            profile=self.settings.profile,
            selection=asked,
            deadlines=self.deadlines.used(),
            slow_factor=self.settings.slow,
        )

    def _note_traffic(self) -> None:
        from conformance.report import auditing

        audit = self.surroundings.audit_log
        if self.log is not None and audit is not None and audit.exists():
            traffic = auditing.read_file(audit)
            self.log.append(log.WritesLine(writes=traffic.writes_as_result()))
            for finding in auditing.findings(traffic):
                self.log.append(log.FindingLine(kind=finding.kind, text=finding.text, source=finding.source))


def _suite() -> model.Suite:
    return model.Suite(version=conformance.__version__, commit=commit_of_checkout())
