"""Histories of one traffic light, written as a line: every word is a state, a moment, a gap or the stop of the story.

    g      the light turns green (`r` red, `.` it is taken away); nothing else ever changes
    g:0.1  the same, and that state lasts 0.1 s instead of 1 s until the next change is received
    @name  a moment is marked
    ~      the watch was interrupted since the change before

What is judged with it is the judging itself: windows, order, and what is not decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.expectations.judging import About, Told
from conformance.expectations.model import Observation, expectation, seen, value
from conformance.expectations.subjects import OfQueue, Queue
from conformance.trace.history import History
from conformance.trace.records import Change, Fence, Gap, Header, Moment, Record, Stopped, StoryStarted

LIGHT = OfQueue("ClusterQueue", "light")
COLOURS = {"g": "green", "r": "red", "y": "yellow", ".": "none"}


def history(line: str, *, ordered: bool = True, lag: float = 0.5, stopped: Stopped | None = None) -> History:
    """The history that a line describes, closed by its fence."""
    records: list[Record] = [Header("run", ordered, lag), StoryStarted(0.0, "a_story", "tenant")]
    last, following, revision, present = 100.0, 100.0, 10, False
    for word in line.split():
        revision += 0 if word.startswith("@") else 1
        if word.startswith("@"):
            records.append(Moment(last, "a_story", word[1:], revision, 0.0, None, "green", LIGHT.title))
        elif word == "~":
            records.append(Gap(last, "ClusterQueue", revision - 1, revision))
        else:
            colour, _, seconds = word.partition(":")
            last, following = following, following + float(seconds or 1)
            type_ = "DELETED" if colour == "." else "MODIFIED" if present else "ADDED"
            records.append(change("light", revision, last, type_, COLOURS[colour]))
            present = colour != "."
    if stopped is not None:
        records.append(stopped)
    records.append(Fence(following, "a_story", "told", revision))
    return History(records)


def change(name: str, revision: int, received: float, type_: Any = "ADDED", colour: str = "green") -> Change:
    """One change of a light, which is a ClusterQueue to those who look it up."""
    meta = {"name": name, "uid": f"uid-{name}", "labels": {"conformance.kueue-lws.dev/tenant": "tenant"}}
    obj = {"kind": "ClusterQueue", "metadata": meta, "spec": {"colour": colour}}
    return Change(received, type_, "ClusterQueue", "", name, meta["uid"], revision, obj)  # type: ignore[arg-type]


def told(line: str, **kw: Any) -> Told:
    return Told(history(line, **kw))


def light(line: str, **kw: Any) -> About[Any]:
    """The light of a history, for claims about it."""
    return About(told(line, **kw), LIGHT)


def _colour(queue: Queue, wanted: str) -> Iterator[Observation]:
    if queue.object is not None:
        yield seen(queue.object, "spec.colour", wanted, queue.object["spec"]["colour"])


@expectation
def green(queue: Queue) -> Iterator[Observation]:
    """The light is green."""
    yield from _colour(queue, "green")


@expectation
def red(queue: Queue) -> Iterator[Observation]:
    """The light is red."""
    yield from _colour(queue, "red")


@expectation
def yellow(queue: Queue) -> Iterator[Observation]:
    """The light is yellow."""
    yield from _colour(queue, "yellow")


@expectation
def lit(queue: Queue) -> Iterator[Observation]:
    """There is a light."""
    if queue.object is not None:
        yield seen(queue.object, "exists", True, True)


@value("spec.colour")
def colour(queue: Queue) -> dict[str, object]:
    """The light's colour."""
    return {"the light": queue.object["spec"]["colour"]} if queue.object is not None else {}
