"""A story told without a cluster: its body runs against its recorded history, which answers its writes and waits.

The tenant is the real one; only the edges of its ground are stood in for: the API server answers each write with what
was recorded of it, and a wait looks at the recorded moment. So it shows which states the story's own expectations
accept and reject. It ends where a story no longer writes what was recorded of it: then it has to be recorded anew.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.deadlines import Deadlines
from conformance.expectations.model import Expectation, Subject
from conformance.expectations.subjects import Group
from conformance.names import RECORDED
from conformance.trace.history import History, View
from conformance.trace.records import Answer, Edit, Object, Record
from conformance.world.handles import GroupHandle
from conformance.world.story import Story
from conformance.world.storylog import StoryLog
from conformance.world.tenant import Ground, Tenant
from recording import history_of, stories


@dataclass(frozen=True)
class Waited:
    """A wait of a story, and the position in its recorded history at which it came true."""

    subject: Subject[Any]
    expectations: tuple[Expectation[Any], ...]
    moment: str | None
    promised: bool
    until: int
    """The recorded moment; for a wait without one, the state right before the story's next write."""

    def met(self, view: View) -> bool:
        return all(expectation.holds(self.subject, view) for expectation in self.expectations)


class _Recording:
    """What the stand-ins share: how far the story is in its recorded history."""

    def __init__(self, story: Story) -> None:
        self.history: History = history_of(story.name)
        fence = self.history.fences["told"]
        self.writes = [edit for edit in self.history.edits if edit.received < fence.received]
        self.answers = list(self.history.answers.values())
        self.position = 0

    def answer(self, label: str, verb: str, kind: str, name: str) -> None:
        """The next recorded answer, which must be the one to this request."""
        told = f"{label!r}: {verb} {kind} {name}"
        if not self.answers:
            raise AssertionError(f"the story tries more than was recorded of it: {told}; record it anew")
        answer = self.answers.pop(0)
        known = f"{answer.label!r}: {answer.verb} {answer.kind} {answer.name}"
        if known != told:
            raise AssertionError(f"the story tries {told} where {known} was recorded; record it anew")
        self.position = max(self.position, self.history.position_of(answer))
        if answer.reason == "" and not answer.dry_run:
            self.write(verb, kind, name)

    def write(self, verb: str, kind: str, name: str) -> Edit:
        """The next recorded write, which must be this one."""
        told = f"{verb} {kind} {name}"
        if not self.writes:
            raise AssertionError(f"the story does more than was recorded of it: {told}; record it anew")
        edit = self.writes.pop(0)
        known = f"{edit.verb} {edit.kind} {edit.name}"
        if known != told:
            raise AssertionError(f"the story does {told!r} where {known!r} was recorded; record it anew")
        self.position = max(self.position, self.history.position_of(edit))
        return edit

    @property
    def next_write(self) -> int:
        """Where the story writes next: up to there a wait that marks no moment must have come true."""
        following: list[Edit | Answer] = [*self.writes[:1], *self.answers[:1]]
        return min(map(self.history.position_of, following), default=len(self.history))


class _Kube:
    """Answers writes as recorded. What is not recorded at all (ServiceAccounts) it accepts."""

    def __init__(self, recording: _Recording) -> None:
        self._recording = recording

    def create(self, obj: Object, **query: Any) -> Object:
        return self._answer("create", obj["kind"], obj["metadata"].get("name", ""))

    def patch(self, kind: str, name: str, namespace: str | None, body: Any, **options: Any) -> Object:
        return self._answer("patch", kind, name)

    def delete(self, kind: str, name: str, namespace: str | None = None, **options: Any) -> None:
        self._answer("delete", kind, name)

    def _answer(self, verb: str, kind: str, name: str) -> Object:
        if kind == "ServiceAccount":
            return {"metadata": {"name": name, "uid": "", "resourceVersion": "0"}}
        edit = self._recording.write(verb, kind, name)
        return {"metadata": {"name": name, "uid": "", "resourceVersion": str(edit.revision)}}


class _Feed:
    """The tenant's world at the place that the story has reached."""

    def __init__(self, recording: _Recording) -> None:
        self._recording = recording
        self.latest = self.reached = 0

    @property
    def view(self) -> View:
        return self._recording.history.at(self._recording.position)


class _Recorder:
    """Has every kind, and forgets what it is told: it is in the recorded history already."""

    kinds = RECORDED

    def __init__(self, recording: _Recording) -> None:
        self._recording = recording

    def follow(self, tenant: str) -> _Feed:
        return _Feed(self._recording)

    def write(self, record: Record) -> None:
        if isinstance(record, Edit) and record.kind == "Implementation":  # nothing else answers these
            self._recording.write(record.verb, record.kind, record.name)


class _Restarting:
    """Stops and starts nothing: what was recorded is what followed."""

    name = "kueue"
    stopped = False

    def stop(self) -> None:
        pass

    def start(self) -> None:
        pass


class ReplayedTenant(Tenant):
    """A tenant whose waits come true where they were recorded to. `waited` lists them in order."""

    def __init__(self, story: Story) -> None:
        self._recording = recording = _Recording(story)
        self.waited: list[Waited] = []
        kube, recorder, restarting = _Kube(recording), _Recorder(recording), _Restarting()
        stand_ins: dict[str, Any] = {"kube": kube, "recorder": recorder, "restarting": restarting}
        ground = Ground(
            deadlines=Deadlines(),
            run="run",
            canary_class="low",
            capabilities=frozenset(),
            alive=lambda: None,
            **stand_ins,
        )
        super().__init__(ground, story, recording.history.tenant, StoryLog(Path(os.devnull), manifests=False))

    def wait(
        self, subject: Subject[Any], expectations: tuple[Expectation[Any], ...], *, moment: str | None, promised: bool
    ) -> None:
        until = self._recording.next_write if moment is None else self._position_of(moment)
        self.waited.append(Waited(subject, expectations, moment, promised, until))
        if moment is not None:
            self._recording.position = until

    def attempt(self, label: str, verb: str, kind: str, name: str, request: Any, *, dry_run: bool) -> None:
        self._recording.answer(label, verb, kind, name)

    def reached_by_one(self, groups: Sequence[GroupHandle], expectation: Expectation[Group]) -> None:
        view = self._recording.history.at(self._recording.next_write)
        assert any(expectation.holds(group.subject, view) for group in groups), f"none was {expectation.name}"

    def wait_for(self, what: str, test: Any, deadline: str = "wait") -> None:
        """The harness's own waits are none of the story's."""

    def next_second(self, count: int = 1) -> None:
        """The recorded times are as far apart as they have to be."""

    def _position_of(self, moment: str) -> int:
        history = self._recording.history
        if moment not in history.moments:
            raise AssertionError(f"moment {moment!r} of story {history.story} was not recorded; record it anew")
        return history.position_of(history.moments[moment])

    def left_out(self) -> list[Edit | Answer]:
        """Recorded writes and tries that the story did not repeat."""
        return [*self._recording.writes, *self._recording.answers]


@functools.cache
def replayed(story: str) -> ReplayedTenant:
    """The story, told from beginning to end against its recorded history. Raises AssertionError where they differ."""
    tenant = ReplayedTenant(stories()[story])
    try:
        tenant.story.body(tenant)
    finally:
        tenant.log.close()
    return tenant
