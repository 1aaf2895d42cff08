"""The shapes of an expectation: what it looks at, what it saw, and whether that holds.

An expectation yields one `Observation` for each thing it judged. None at all means that there was nothing to judge,
which is never a pass: a wait goes on, and a claim over no observation is inconclusive.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from conformance.trace.history import View, describe
from conformance.trace.records import Object

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Subject(Protocol[S_co]):
    """What is judged, named independently of time: `bind` finds it in one state of the world."""

    @property
    def title(self) -> str: ...

    def bind(self, view: View) -> S_co: ...


class Observation(NamedTuple):
    """One thing that was judged in one state."""

    object: str
    field: str
    expected: str
    observed: str
    holds: bool


def seen(obj: Object | str, field: str, expected: object, observed: object, holds: bool | None = None) -> Observation:
    """An observation of a field; without `holds` the two values must be equal."""
    title = obj if isinstance(obj, str) else describe(obj)
    return Observation(title, field, str(expected), str(observed), observed == expected if holds is None else holds)


@dataclass(frozen=True)
class Expectation(Generic[S]):
    """A named check over subjects of one type."""

    name: str
    sentence: str
    check: Callable[[S], Iterable[Observation]]

    def observe(self, subject: Subject[S], view: View) -> list[Observation]:
        """What it sees of the subject in this state."""
        return list(self.check(subject.bind(view)))

    def holds(self, subject: Subject[S], view: View) -> bool:
        """Whether there was something to judge and all of it holds."""
        observations = self.observe(subject, view)
        return bool(observations) and all(observation.holds for observation in observations)

    def __str__(self) -> str:
        return self.name


def expectation(check: Callable[[S], Iterable[Observation]]) -> Expectation[S]:
    """Turn a generator function into an expectation; its docstring is the sentence."""
    return Expectation(check.__name__, _first_line(check), check)


def parametrized(make: Callable[..., Callable[[S], Iterable[Observation]]]) -> Callable[..., Expectation[S]]:
    """For `usage(cpu="1")` and its like: the arguments become part of the name."""

    @functools.wraps(make)
    def build(*args: Any, **kwargs: Any) -> Expectation[S]:
        shown = ", ".join([repr(a) for a in args] + [f"{key}={val!r}" for key, val in sorted(kwargs.items())])
        return Expectation(f"{make.__name__}({shown})", _first_line(make), make(*args, **kwargs))

    return build


@dataclass(frozen=True)
class Value(Generic[S]):
    """Something of a subject that a claim may demand to stay as it is, per object: {object: value}."""

    name: str
    field: str
    sentence: str
    read: Callable[[S], dict[str, object]]

    def __str__(self) -> str:
        return self.name


def value(field: str) -> Callable[[Callable[[S], dict[str, object]]], Value[S]]:
    """Turn a function into a value; its docstring is the sentence, `field` the path that reports show."""
    return lambda read: Value(read.__name__, field, _first_line(read), read)


def _first_line(function: Callable[..., object]) -> str:
    return " ".join((function.__doc__ or function.__name__).strip().split("\n\n")[0].split())
