"""Judging: does an expectation hold in every recorded state between two moments? Pure over a History.

A verdict is never a matter of sampling: every state that the trace holds in the window is looked at. What the trace
cannot decide (a moment not reached, a gap, nothing to judge, an order that the cluster does not give) is
`Inconclusive`, not a pass and not a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from conformance.expectations.model import Expectation, Observation, Subject, Value
from conformance.expectations.subjects import OfGroup, OfQueue, OfRequest, OfSet
from conformance.trace.history import History, View
from conformance.trace.records import Answer

S = TypeVar("S")
Bound = str | Expectation[Any]
"""The edge of a window: a moment of the story, or the first state in which an expectation holds of the subject."""

START = ""
"""The empty world before the story's first change: a window from here on leaves nothing out."""
END = "end"
"""The last state before the fence: the moment that every told story has."""


@dataclass(frozen=True)
class Window:
    """Positions of a history, both included."""

    since: int
    until: int
    text: str


@dataclass(frozen=True)
class Judged:
    """One expectation, judged over one window: what a report shows of it."""

    subject: str
    expectation: str
    sentence: str
    window: str
    observations: int


@dataclass(frozen=True)
class Failure:
    """What was expected and what was seen instead."""

    subject: Subject[Any]
    expectation: str
    sentence: str
    window: Window
    position: int
    observation: Observation


class ClaimFailed(AssertionError):
    """An expectation did not hold."""

    def __init__(self, failure: Failure) -> None:
        seen = failure.observation
        super().__init__(
            f"{failure.subject.title}: {failure.expectation} does not hold {failure.window.text}: "
            f"{seen.object} {seen.field}: expected {seen.expected}, observed {seen.observed}"
        )
        self.failure = failure


class Inconclusive(Exception):
    """The recorded history does not decide the claim. `cause` is the requirement or moment whose wait failed."""

    def __init__(self, reason: str, cause: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause


@dataclass
class Told:
    """What a story told, as its claims see it."""

    history: History
    judged: list[Judged] = field(default_factory=list)

    def group(self, index: int, of: str | None = None) -> About[Any]:
        """A group of the story's LeaderWorkerSet `of` (its first one, if not named)."""
        return About(self, OfGroup(of or self._first_set(), index))

    def set(self, name: str | None = None) -> About[Any]:
        """A LeaderWorkerSet of the story (its first one, if not named)."""
        return About(self, OfSet(name or self._first_set()))

    def queue(self, kind: str = "ClusterQueue", like: str = "") -> About[Any]:
        """The tenant's ClusterQueue or LocalQueue; `like` chooses among several by the end of its name."""
        names = sorted({c.name for c in self.history.changes if c.kind == kind and c.name.endswith(like)})
        if len(names) != 1:
            raise Inconclusive(f"the story left {len(names)} objects of kind {kind} with a name like …{like}")
        return About(self, OfQueue(kind, names[0]))

    def request(self, label: str, *expectations: Expectation[Answer]) -> None:
        """The expectations hold of what was answered to a request that the story tried."""
        answer = self.history.answers.get(label)
        if answer is None:
            self.position(label)
            raise Inconclusive(f"{label!r} is a moment of the story, and no request that it tried")
        About(self, OfRequest(answer)).at(label, *expectations)

    def _first_set(self) -> str:
        for change in self.history.changes:
            if change.kind == "LeaderWorkerSet":
                return change.name
        raise Inconclusive("no LeaderWorkerSet was recorded", self.cause())

    def cause(self) -> str | None:
        """The requirement or moment at which the story stopped, if it did."""
        stopped = self.history.stopped
        return (stopped.requirement or stopped.moment) if stopped else None

    def position(self, moment: str) -> int:
        """Where a moment or an answer lies. Raises Inconclusive if the story did not come that far."""
        if moment == END:
            return len(self.history)
        if moment in self.history.answers:
            return self.history.position_of(self.history.answers[moment])
        marked, stopped = self.history.moments.get(moment), self.history.stopped
        if marked is None or (stopped is not None and stopped.moment == moment):
            reason = f"the story stopped: {stopped.reason}" if stopped else "the story never marked it"
            raise Inconclusive(f"moment {moment!r} was not reached, because {reason}", self.cause())
        return self.history.position_of(marked)


@dataclass(frozen=True)
class About(Generic[S]):
    """The verbs of a claim, about one subject."""

    told: Told
    subject: Subject[S]

    def always(
        self, expectation: Expectation[S], *, since: Bound, until: Bound = END, through: str | None = None
    ) -> None:
        """The expectation holds in every state from `since` to `until`.

        An `until` that is an expectation ends the window before the first state in which it holds, looked for from
        `through` on; `through` is a moment that the window must cover whatever happens.
        """
        window = self._window(since, until, through)

        def look(view: View) -> tuple[int, Observation | None]:
            observations = expectation.observe(self.subject, view)
            return len(observations), next((one for one in observations if not one.holds), None)

        total = self._sweep(window, look, expectation.name, expectation.sentence)
        self._conclude(expectation, window, total)

    def never(
        self, expectation: Expectation[S], *, since: Bound, until: Bound = END, through: str | None = None
    ) -> None:
        """In no state from `since` to `until` does the expectation hold as a whole."""
        window, name = self._window(since, until, through), f"never {expectation.name}"

        def look(view: View) -> tuple[int, Observation | None]:
            observations = expectation.observe(self.subject, view)
            if not observations or not all(one.holds for one in observations):
                return 1, None
            return 1, observations[0]._replace(expected=name, holds=False)

        states = self._sweep(window, look, name, expectation.sentence)
        self._conclude(expectation, window, states, name=name)

    def at(self, moment: str, *expectations: Expectation[S]) -> None:
        """The expectations hold in the state at a moment."""
        for expectation in expectations:
            self.always(expectation, since=moment, until=moment)

    def keeps(self, *values: Value[S], since: Bound, until: Bound = END, through: str | None = None) -> None:
        """What the values read at `since` stays the same in every state up to `until`."""
        window = self._window(since, until, through)
        for value in values:
            first = value.read(self.subject.bind(self.told.history.at(window.since)))
            if not first:
                raise Inconclusive(f"{self.subject.title}: there is no {value.name} to keep {window.text}")
            look = partial(self._compare, value, first)
            self._sweep(window, look, f"keeps {value.name}", value.sentence)
            self._note(f"keeps {value.name}", value.sentence, window, len(first))

    def _compare(self, value: Value[S], first: dict[str, object], view: View) -> tuple[int, Observation | None]:
        return 1, _difference(value, first, value.read(self.subject.bind(view)))

    def renews(self, *values: Value[S], since: str, at: str) -> None:
        """Nothing of what the values read at `since` is the same at the later moment `at`, and all of it is there."""
        window = self._window(since, at, None)
        for value in values:
            before = value.read(self.subject.bind(self.told.history.at(window.since)))
            after = value.read(self.subject.bind(self.told.history.at(window.until)))
            if not before:
                raise Inconclusive(f"{self.subject.title}: there is no {value.name} to renew {window.text}")
            for name, old in before.items():
                new = after.get(name, "absent")
                if name not in after or new == old:
                    shown = Observation(name, value.field, f"another than {old}", str(new), False)
                    what = f"renews {value.name}"
                    self._fail(Failure(self.subject, what, value.sentence, window, window.until, shown))
            self._note(f"renews {value.name}", value.sentence, window, len(before))

    def before(
        self, first: Expectation[S], then: Expectation[S], *, since: Bound = START, through: str | None = None
    ) -> None:
        """When `then` first holds, `first` already holds or held before."""
        window = self._window(since, END, through)
        held = False
        for view in self.told.history.views(window.since, window.until):
            held = held or first.holds(self.subject, view)
            if then.holds(self.subject, view):
                shown = Observation(self.subject.title, first.name, f"holds before {then.name}", "does not", False)
                what = f"{first.name} before {then.name}"
                if not held:
                    self._fail(Failure(self.subject, what, first.sentence, window, view.position, shown))
                self._note(what, first.sentence, window, 1)
                return
        raise self._undecided(f"{self.subject.title}: {then.name} never held {window.text}")

    def _window(self, since: Bound, until: Bound, through: str | None) -> Window:
        history = self.told.history
        start = self._edge(since, 0) if since != START else 0
        must_cover = self.told.position(through) if through is not None else start
        if isinstance(until, Expectation):
            found = self._first(until, max(start, must_cover))
            end = len(history) if found is None else found - 1
            end = end if through is None else max(end, must_cover)
        else:
            end = self.told.position(until)
            end = end if through is None else max(end, must_cover)
        text = (
            f"between {_name(since) or 'the beginning'} and {_name(until)}" if since != until else f"at {_name(since)}"
        )
        if end < start:
            raise Inconclusive(f"{self.subject.title}: there is no state {text}")
        gaps = history.gaps_between(start, end)
        if gaps:
            kinds = ", ".join(sorted({gap.kind for gap in gaps}))
            raise Inconclusive(f"a watch of {kinds} was interrupted {text}, so changes may be missing")
        return Window(start, end, text)

    def _edge(self, bound: Bound, lower: int) -> int:
        if not isinstance(bound, Expectation):
            return self.told.position(bound)
        found = self._first(bound, lower)
        if found is None:
            raise self._undecided(f"{self.subject.title} was never {bound.name}")
        return found

    def _first(self, expectation: Expectation[S], lower: int) -> int | None:
        for view in self.told.history.views(lower):
            if expectation.holds(self.subject, view):
                return view.position
        return None

    def _sweep(
        self, window: Window, look: Callable[[View], tuple[int, Observation | None]], name: str, sentence: str
    ) -> int:
        """Look at every state of the window; how much was judged. `look` says how much there was, and what is wrong.

        Without an order across kinds, what is wrong for no longer than the watch lag may be an artefact of that: it
        decides nothing, and what lasts longer fails.
        """
        history, total = self.told.history, 0
        begun: tuple[int, Observation] | None = None
        excused = False
        for view in history.views(window.since, window.until):
            count, wrong = look(view)
            total += count
            if begun is None and wrong is not None:
                begun = (view.position, wrong)
            if begun is not None and (history.ordered or _between(history, begun[0], view.position) > history.lag):
                raise ClaimFailed(Failure(self.subject, name, sentence, window, *begun))
            if wrong is None and begun is not None:
                begun, excused = None, True
        if begun is not None and _between(history, begun[0], window.until + 1) > history.lag:
            raise ClaimFailed(Failure(self.subject, name, sentence, window, *begun))
        if begun is not None or excused:
            raise self._unordered(name)
        return total

    def _fail(self, failure: Failure) -> None:
        """Fail on one state, unless it passed too quickly to be believed."""
        history, at = self.told.history, failure.position
        if not history.ordered and _between(history, at, at + 1) <= history.lag:
            raise self._unordered(failure.expectation)
        raise ClaimFailed(failure)

    def _unordered(self, name: str) -> Inconclusive:
        return Inconclusive(
            f"{self.subject.title}: {name} did not hold for less than the watch lag of {self.told.history.lag:.2f} s, "
            "and this cluster gives no order of changes of different kinds"
        )

    def _conclude(self, expectation: Expectation[S], window: Window, total: int, name: str | None = None) -> None:
        if total == 0:
            raise self._undecided(f"{self.subject.title}: nothing to judge {expectation.name} on {window.text}")
        self._note(name or expectation.name, expectation.sentence, window, total)

    def _undecided(self, reason: str) -> Inconclusive:
        """What never came to be is blamed on the story's stop, if it stopped."""
        stopped = self.told.history.stopped
        because = f", because the story stopped: {stopped.reason}" if stopped else ""
        return Inconclusive(reason + because, self.told.cause())

    def _note(self, name: str, sentence: str, window: Window, total: int) -> None:
        self.told.judged.append(Judged(self.subject.title, name, sentence, window.text, total))


def _between(history: History, begun: int, ended: int) -> float:
    """Seconds, in receive time, from the change that made one position to the change that made another."""
    if ended > len(history):
        return float("inf")
    return history.changes[ended - 1].received - history.changes[max(begun - 1, 0)].received


def _difference(value: Value[Any], first: dict[str, object], now: dict[str, object]) -> Observation | None:
    for name in sorted(first.keys() | now.keys()):
        if first.get(name) != now.get(name):
            return Observation(name, value.field, str(first.get(name, "absent")), str(now.get(name, "absent")), False)
    return None


def _name(bound: Bound) -> str:
    return bound.name if isinstance(bound, Expectation) else bound
