"""The teller: runs stories on tenants, several at once, and hands out what each has told.

Stories start in collection order on daemon threads. A story is *told* when its first fence holds (or it broke) and its
claims can be judged; its clean-up goes on behind it on other threads and ends with the second fence, after which its
invariants can be judged. A cancel token is honoured by every wait.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from conformance.deadlines import Deadlines
from conformance.errors import Cancelled, HarnessError
from conformance.kube import ApiError
from conformance.trace.fence import fence
from conformance.trace.history import History
from conformance.trace.records import Stopped, StoryStarted
from conformance.world.blame import harness_fault
from conformance.world.cleaning import clean
from conformance.world.handles import WaitFailed
from conformance.world.story import Story
from conformance.world.storylog import StoryLog
from conformance.world.tenant import Ground, Tenant

DEATH_IS_KNOWN = 2.0
"""Seconds within which it is known that a component has died whose requests fail; it decides no outcome."""


@dataclass
class Telling:
    """One story being told: when it can be judged, and what went wrong with the harness, if anything."""

    story: Story
    told: threading.Event = field(default_factory=threading.Event)
    cleaned: threading.Event = field(default_factory=threading.Event)
    began: float | None = None
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    """How many seconds each of its waits took that came true."""
    problem: str | None = None
    """A sentence, when the trace of this story cannot be trusted: the outcome of all its claims is then `error`."""
    cleaning_problem: str | None = None


class Teller:
    """Tells stories until what `ground.alive` raises ends them; `finish()` waits for the clean-up."""

    def __init__(
        self,
        ground: Ground,
        *,
        logs: Path,
        at_once: int,
        keep_namespaces: bool,
        manifests: bool = False,
        changed: Callable[[Telling], None] = lambda telling: None,
        deadlines: Callable[[Story], Deadlines] | None = None,
    ) -> None:
        """`deadlines`: those of a story, where not all stories have the same."""
        self.ground, self._logs = ground, logs
        self._deadlines_of = deadlines or (lambda story: ground.deadlines)
        self._keep_namespaces, self._manifests, self._changed = keep_namespaces, manifests, changed
        self._tellings: dict[str, Telling] = {}
        self._to_tell: queue.Queue[Telling | None] = queue.Queue()
        self._to_clean: queue.Queue[tuple[Telling, Tenant] | None] = queue.Queue()
        self._held: set[str] = set()
        self._histories: dict[tuple[str, str], History] = {}
        self._lock = threading.Lock()
        self._tellers, self._cleaners = at_once, max(2, at_once // 2)
        for number in range(self._tellers):
            threading.Thread(target=self._tell_forever, name=f"teller-{number}", daemon=True).start()
        for number in range(self._cleaners):
            threading.Thread(target=self._clean_forever, name=f"cleaner-{number}", daemon=True).start()

    def tell(self, stories: Iterable[Story]) -> None:
        """Queue stories, in this order; one that is queued already is not told twice."""
        for story in stories:
            with self._lock:
                if story.name in self._held:
                    self._held.remove(story.name)
                elif story.name in self._tellings:
                    continue
                else:
                    self._tellings[story.name] = Telling(story)
            self._to_tell.put(self._tellings[story.name])

    def hold(self, stories: Iterable[Story]) -> None:
        """Know stories that are to be told later: until `tell` queues them, whoever asks for one waits."""
        with self._lock:
            for story in stories:
                self._tellings[story.name] = Telling(story)
                self._held.add(story.name)

    def telling(self, story: Story) -> Telling:
        """The state of a story; queues it if nobody has (under xdist, stories start when a claim comes up)."""
        if story.name not in self._held:
            self.tell([story])
        return self._tellings[story.name]

    def await_told(self, story: Story) -> Telling:
        """Block until the story's claims can be judged. Raises Cancelled or HarnessError when they never will."""
        return self._await(story, lambda telling: telling.told)

    def await_cleaned(self, story: Story) -> Telling:
        """Block until the story's invariants can be judged."""
        return self._await(story, lambda telling: telling.cleaned)

    def _await(self, story: Story, event: Callable[[Telling], threading.Event]) -> Telling:
        telling = self.telling(story)
        while not event(telling).wait(0.2):
            self.ground.alive()
        return telling

    def history(self, story: Story, until: str = "told") -> History:
        """What the story left in the trace, up to one of its fences."""
        key = (story.name, until)
        with self._lock:
            if key not in self._histories:
                records = self.ground.recorder.records_of(story.name, tenant_name(self.ground.run, story))
                self._histories[key] = History(records, until=until)
            return self._histories[key]

    def seconds_of(self, story: str) -> float:
        """How long a story took to tell; 0 while it is being told."""
        telling = self._tellings.get(story)
        return telling.seconds if telling is not None else 0.0

    def active(self) -> list[str]:
        """The names of the stories that are being told now."""
        return [t.story.name for t in self._tellings.values() if t.began is not None and not t.told.is_set()]

    def give_up_untold(self) -> None:
        """Drop the stories that have not begun."""
        while True:
            try:
                telling = self._to_tell.get_nowait()
            except queue.Empty:
                return
            if telling is None:
                continue
            telling.problem = "the run ended before this story began"
            telling.told.set()
            telling.cleaned.set()

    def finish(self, seconds: float) -> list[str]:
        """Wait for the clean-up of everything told; the stories whose clean-up did not end."""
        end = time.monotonic() + seconds
        late: list[str] = []
        for telling in list(self._tellings.values()):
            if telling.began is not None and not telling.cleaned.wait(max(0.0, end - time.monotonic())):
                late.append(telling.story.name)
        return late

    def end(self) -> None:
        """End the threads, once what is queued is told and cleaned up. Nothing more can be told."""
        for _ in range(self._tellers):
            self._to_tell.put(None)
        for _ in range(self._cleaners):
            self._to_clean.put(None)

    def _tell_forever(self) -> None:
        while True:
            telling = self._to_tell.get()
            if telling is None:
                return
            try:
                self.ground.alive()
                self._tell(telling)
            except (Cancelled, HarnessError) as error:
                self._give_up(telling, str(error))
            except Exception as error:  # a defect of ours must not leave claims without a fence, or waiting for ever
                self._give_up(telling, f"{type(error).__name__}: {error}")

    @staticmethod
    def _give_up(telling: Telling, problem: str) -> None:
        telling.problem = telling.problem or problem
        telling.told.set()
        telling.cleaned.set()

    def _tell(self, telling: Telling) -> None:
        story = telling.story
        ground = dataclasses.replace(self.ground, deadlines=self._deadlines_of(story))
        telling.began = begun = time.monotonic()
        name = tenant_name(ground.run, story)
        log = StoryLog(self._logs / f"{story.name}.log", manifests=self._manifests)
        tenant = Tenant(ground, story, name, log)
        ground.recorder.write(StoryStarted(time.time(), story.name, name))
        self._changed(telling)
        try:
            self._play(telling, tenant)
        finally:
            telling.seconds, telling.waits = time.monotonic() - begun, tenant.waits
            telling.told.set()
            self._changed(telling)
            self._to_clean.put((telling, tenant))

    def _play(self, telling: Telling, tenant: Tenant) -> None:
        """The body, then the fence. What ends the body early is recorded; only a missing fence spoils everything."""
        story, ground = telling.story, self.ground
        unmet: WaitFailed | None = None
        try:
            story.body(tenant)
        except WaitFailed as failed:
            unmet = failed
            outcome = "failed" if failed.promised else "inconclusive"
            self._stop(tenant, outcome, failed.reason, failed.moment, failed.mismatches)
        except Cancelled as error:
            telling.problem = str(error)
            return
        except ApiError as error:
            # A set or an edit that the page promises to be accepted was refused: that is the implementation's answer.
            moment = tenant.next_promised()
            refused = error.refused and moment is not None
            reason = str(error) if refused else self._cause(error)
            self._stop(tenant, "failed" if refused else "error", reason, moment if refused else None)
        except HarnessError as error:
            self._stop(tenant, "error", self._cause(error))
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self._stop(tenant, "error", f"{type(error).__name__} in {last.name}, line {last.lineno}: {error}")
        try:
            tenant.implementation.leave_running()
            fence(
                ground.kube,
                ground.recorder,
                tenant.feed,
                tenant.name,
                story.name,
                "told",
                ground.deadlines["fence"],
                ground.alive,
            )
            self._look_again(tenant)
            if unmet is not None:
                self._excuse(tenant, unmet)
            ground.recorder.flush()  # before any verdict on it is recorded
        except (HarnessError, ApiError, Cancelled) as error:
            telling.problem = str(error)

    def _cause(self, error: Exception) -> str:
        """What to say of an error: the death of a component, whose requests fail a moment before it is known."""
        end = time.monotonic() + DEATH_IS_KNOWN
        try:
            while time.monotonic() < end:
                self.ground.alive()
                time.sleep(0.05)
        except (HarnessError, Cancelled) as known:
            return str(known)
        return str(error)

    def _look_again(self, tenant: Tenant) -> None:
        """Ask of every moment whether it was one in the recorded order too.

        A wait sees changes as they arrive, and two watches may deliver in another order than things happened. A moment
        that was none is moved to the first later state in which its expectations hold; without one, the wait failed.
        """
        records = self.ground.recorder.records_of(tenant.story.name, tenant.name)
        history = History(records)
        for name, subject, expectations in tenant.marked:
            mark = history.moments[name]
            position = history.position_of(mark)
            views = history.views(position)
            found = next((v.position for v in views if all(e.holds(subject, v) for e in expectations)), None)
            if found is None:
                outcome = "failed" if mark.requirement else "inconclusive"
                self._stop(tenant, outcome, f"{mark.subject} was never {mark.expectation} in the recorded order", name)
                return
            if found != position:
                change = history.changes[found - 1]
                moved = msgspec.structs.replace(mark, received=change.received, revision=change.revision)
                self.ground.recorder.write(moved)

    def _excuse(self, tenant: Tenant, unmet: WaitFailed) -> None:
        """Blame nobody but the harness for a wait that ran out because of it."""
        history = History(self.ground.recorder.records_of(tenant.story.name, tenant.name))
        ours = harness_fault(history, unmet.subject, unmet.expectations, unmet.since)
        if ours is not None:
            self._stop(tenant, "error", f"{unmet.reason}: {ours}", unmet.moment)

    def _stop(
        self,
        tenant: Tenant,
        outcome: str,
        reason: str,
        moment: str | None = None,
        left: list[dict[str, str]] | None = None,
    ) -> None:
        requirement = tenant.story.moments.get(moment or "") if outcome == "failed" else None
        tenant.log.say(f"stopped: {outcome}: {reason}")
        stopped = Stopped(time.time(), tenant.story.name, outcome, reason, moment, requirement, left or [])
        self.ground.recorder.write(stopped)

    def _clean_forever(self) -> None:
        while True:
            next_one = self._to_clean.get()
            if next_one is None:
                return
            telling, tenant = next_one
            try:
                owned = "owns-cluster" in self.ground.capabilities
                if tenant.opened:
                    clean(tenant, keep_namespace=self._keep_namespaces, owned=owned)
            except (HarnessError, ApiError, Cancelled) as error:
                telling.cleaning_problem = str(error)
            except Exception as error:  # as above: the invariants must not be judged on half a history
                telling.cleaning_problem = f"{type(error).__name__}: {error}"
            telling.cleaned.set()
            self._changed(telling)
            with contextlib.suppress(OSError):
                tenant.log.say(f"clean-up: {telling.cleaning_problem or 'done'}")
                tenant.log.close()


def tenant_name(run: str, story: Story) -> str:
    """The tenant's name: unique per run and story, and short enough to be a label and a node name's prefix."""
    slug = story.name.replace("_", "-")
    return f"{run}-{slug}"[:50].rstrip("-")
