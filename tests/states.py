"""States of recorded and doctored histories, by name, and what an expectation must say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from conformance.expectations import Expectation, Value, has_workers
from conformance.expectations.model import Subject
from conformance.trace.history import History, View
from doctoring import leave_behind
from editing import Edit, WhichGroup, at, doctored, last_time, worker
from recording import history_of, recorded


@dataclass(frozen=True)
class In:
    """The state at a moment of a recorded story, doctored or not; without a moment, the empty world before it."""

    story: str
    moment: str = ""
    edit: Edit | None = None

    def history(self) -> History:
        return doctored(recorded(self.story), self.edit) if self.edit is not None else history_of(self.story)

    def view(self) -> View:
        history = self.history()
        return history.at(history.position_of(history.moments[self.moment]) if self.moment else 0)

    def __str__(self) -> str:
        return f"{self.story}.{self.moment or 'beginning'}" + (f".{self.edit}" if self.edit is not None else "")


@dataclass(frozen=True)
class Case:
    """An expectation of a subject, with states that it must accept and states that it must reject."""

    expectation: Expectation[Any]
    subject: Subject[Any]
    accepts: list[In] = field(default_factory=list)
    rejects: list[In] = field(default_factory=list)

    def __str__(self) -> str:
        return self.expectation.name


@dataclass(frozen=True)
class Pair:
    """A value of a subject, with two states between which it stays the same and two between which it does not."""

    value: Value[Any]
    subject: Subject[Any]
    same: tuple[In, In]
    differs: tuple[In, In]


def but(state: In, make: Any, find: Any, *more: Any, **options: Any) -> In:
    """The state with one edit, made right then."""
    return In(state.story, state.moment, make(find, at(state.moment), *more, **options))


def nothing(state: In) -> In:
    """The empty world before it."""
    return In(state.story)


def left(state: In, of: WhichGroup) -> In:
    """The state with a worker of this group, which should be gone, left behind."""
    seen = last_time(of, has_workers, before=state.moment)
    return In(state.story, state.moment, leave_behind(worker(of), seen))
