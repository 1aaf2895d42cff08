"""Judging looks at every recorded state of a window, and decides only what the trace decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.expectations import accepted, refused
from conformance.expectations.judging import About, ClaimFailed, Inconclusive, Judged, Told
from conformance.trace.history import History
from conformance.trace.records import Answer, Header, Stopped, StoryStarted
from small_histories import LIGHT, change, colour, green, light, lit, red, told, yellow

Verdict = Literal["holds", "fails", "open"]


def verdict(about: About[Any], judge: Callable[[About[Any]], None]) -> Verdict:
    try:
        judge(about)
    except ClaimFailed:
        return "fails"
    except Inconclusive:
        return "open"
    return "holds"


def table(*cases: tuple[str, dict[str, Any], Verdict]) -> pytest.MarkDecorator:
    """Cases of (history, window, verdict)."""
    return pytest.mark.parametrize(("line", "window", "expected"), cases, ids=[f"{c[0]} {c[2]}" for c in cases])


# Windows


@table(
    ("g @a g @b g", {"since": "a", "until": "b"}, "holds"),
    ("g @a r @b g", {"since": "a", "until": "b"}, "fails"),
    ("r @a g @b g", {"since": "a", "until": "b"}, "fails"),
    ("r g @a g @b r", {"since": "a", "until": "b"}, "holds"),
    ("g @a g r g @b", {"since": "a", "until": "b"}, "fails"),
    ("g @a @b r", {"since": "a", "until": "b"}, "holds"),
    ("r @a @b g", {"since": "a", "until": "b"}, "fails"),
    ("g @b g @a g", {"since": "a", "until": "b"}, "open"),
)
def test_a_window_includes_the_states_at_its_moments(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """Between two moments every state counts, those at the moments included, and nothing before or after."""
    assert verdict(light(line), lambda about: about.always(green, **window)) == expected


@table(
    ("r g @a g g", {"since": "a"}, "holds"),
    ("g @a g r", {"since": "a"}, "fails"),
    ("g @a r g", {"since": "a"}, "fails"),
    ("g @a", {"since": "a"}, "holds"),
)
def test_without_an_end_a_window_reaches_to_the_fence(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """A window that names no end covers the last state before the fence."""
    assert verdict(light(line), lambda about: about.always(green, **window)) == expected


@table(
    (". g g", {"since": lit}, "holds"),
    (". y g", {"since": lit}, "fails"),
    (". g . r", {"since": lit}, "fails"),
    ("r r g", {"since": green}, "holds"),
    ("r g r g", {"since": green}, "fails"),
    (". . .", {"since": lit}, "open"),
)
def test_a_window_may_begin_with_an_expectation(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """A window that begins with an expectation begins with the first state in which it holds, not with a later one."""
    assert verdict(light(line), lambda about: about.always(green, **window)) == expected


@table(
    ("g @a g r r", {"since": "a", "until": red}, "holds"),
    ("g @a y r", {"since": "a", "until": red}, "fails"),
    ("g @a g r y", {"since": "a", "until": red}, "holds"),
    ("r g @a g", {"since": "a", "until": red}, "holds"),
    ("g @a g y", {"since": "a", "until": red}, "fails"),
    ("r @a g", {"since": "a", "until": red}, "open"),
    (". g g r", {"since": green, "until": red}, "holds"),
    (". r g", {"since": lit, "until": red}, "open"),
)
def test_a_window_may_end_before_an_expectation(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """A window that ends with an expectation ends before the first state in which it holds, or at the fence."""
    assert verdict(light(line), lambda about: about.always(green, **window)) == expected


@table(
    ("g @a g @c g r", {"since": "a", "until": red, "through": "c"}, "holds"),
    ("g @a r g @c g", {"since": "a", "until": red, "through": "c"}, "fails"),
    ("g @a g r @c g", {"since": "a", "until": red, "through": "c"}, "fails"),
    ("g @a y g @c r", {"since": "a", "until": red, "through": "c"}, "fails"),
    ("g @a g @c y r", {"since": "a", "until": red, "through": "c"}, "fails"),
    ("g @c . g g @a g r", {"since": "a", "until": red, "through": "c"}, "holds"),
    ("g @c g r @a", {"since": "a", "until": red, "through": "c"}, "open"),
    ("g @a g @b r @c g", {"since": "a", "until": "b", "through": "c"}, "fails"),
    ("g @a g @c g @b r", {"since": "a", "until": "b", "through": "c"}, "holds"),
    ("g @a g @c g r", {"since": "a", "through": "c"}, "fails"),
)
def test_a_window_covers_what_it_must(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """A window covers its `through` moment whatever happens before, and looks for its end from there on."""
    assert verdict(light(line), lambda about: about.always(green, **window)) == expected


# The verbs


@table(
    ("g @a . g @b", {"since": "a", "until": "b"}, "holds"),
    (". @a g . @b", {"since": "a", "until": "b"}, "holds"),
    (". @a . @b g", {"since": "a", "until": "b"}, "open"),
    (". @a . @b r", {"since": "a", "until": "b"}, "open"),
)
def test_always_needs_something_to_judge(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """A window in which there was nothing to judge in any state is inconclusive, never a pass."""
    assert verdict(light(line), lambda about: about.always(green, **window)) == expected


@table(
    ("g @a g @b r", {"since": "a", "until": "b"}, "holds"),
    ("g @a r @b g", {"since": "a", "until": "b"}, "fails"),
    ("r g @a g @b", {"since": "a", "until": "b"}, "holds"),
    (". @a . @b", {"since": "a", "until": "b"}, "holds"),
    (". @a . r", {"since": "a"}, "fails"),
    ("g @a y r", {"since": "a", "until": yellow}, "holds"),
    ("g @b g @a g", {"since": "a", "until": "b"}, "open"),
)
def test_never(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """What must never be is looked for in every state; that there is nothing at all in a state is fine."""
    assert verdict(light(line), lambda about: about.never(red, **window)) == expected


@table(
    ("g @a g @b r", {"since": "a", "until": "b"}, "holds"),
    ("r g @a g @b", {"since": "a", "until": "b"}, "holds"),
    ("g @a r g @b", {"since": "a", "until": "b"}, "fails"),
    ("g @a . g @b", {"since": "a", "until": "b"}, "fails"),
    ("g @a g .", {"since": "a"}, "fails"),
    ("r @a r r", {"since": "a"}, "holds"),
    (". @a g g", {"since": "a"}, "open"),
    (". g g r", {"since": lit, "until": red}, "holds"),
)
def test_keeps(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """What is kept is the same in every state as in the first, present all the time, and was there to begin with."""
    assert verdict(light(line), lambda about: about.keeps(colour, **window)) == expected


@table(
    ("g @a . r @b", {"since": "a", "at": "b"}, "holds"),
    ("g @a r @b g", {"since": "a", "at": "b"}, "holds"),
    ("g @a r g @b", {"since": "a", "at": "b"}, "fails"),
    ("g @a g @b", {"since": "a", "at": "b"}, "fails"),
    ("g @a r . @b", {"since": "a", "at": "b"}, "fails"),
    (". @a r @b", {"since": "a", "at": "b"}, "open"),
    ("g @b r @a", {"since": "a", "at": "b"}, "open"),
)
def test_renews(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """What is renewed is there at both moments and differs between them, whatever happens in between."""
    assert verdict(light(line), lambda about: about.renews(colour, **window)) == expected


@table(
    ("y g r", {}, "holds"),
    ("g y r", {}, "holds"),
    ("y r g", {}, "fails"),
    ("r g r", {}, "fails"),
    ("y g y", {}, "open"),
    ("y @a g r", {"since": "a"}, "holds"),
    ("r @a g r", {"since": "a"}, "fails"),
    ("r y @a g r", {"since": "a"}, "holds"),
)
def test_before(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """When the second thing first holds in the window, the first one holds or has held there; it must come to hold."""
    assert verdict(light(line), lambda about: about.before(green, red, **window)) == expected


def test_before_allows_both_at_once() -> None:
    """Two things that begin to hold with one change are in order."""
    light(". g").before(lit, green)


@pytest.mark.parametrize(
    ("line", "expected"), [("r g @a r", "holds"), ("g r @a g", "fails"), ("g . @a g", "open"), ("g @b g", "open")]
)
def test_at(line: str, expected: Verdict) -> None:
    """At a moment only the one state counts that its wait saw."""
    assert verdict(light(line), lambda about: about.at("a", green)) == expected


def test_at_judges_each_expectation() -> None:
    """At a moment all expectations must hold, and the one that does not is named."""
    with pytest.raises(ClaimFailed) as failed:
        light("r @a").at("a", lit, red, green)
    assert failed.value.failure.expectation == "green"


# Every state


STATES = st.lists(st.sampled_from(["g", "."]), max_size=6)
VERBS: dict[str, Callable[[About[Any]], None]] = {
    "always": lambda about: about.always(green, since="a", until="b"),
    "always, to an expectation": lambda about: about.always(green, since="a", until=yellow, through="b"),
    "never": lambda about: about.never(red, since="a", until="b"),
}
"""Claims that one red state between a and b refutes, and one elsewhere does not."""


@given(st.sampled_from(sorted(VERBS)), STATES, STATES, STATES, st.data())
def test_a_violation_of_one_state_is_found(
    verb: str, before: list[str], inside: list[str], after: list[str], data: st.DataObject
) -> None:
    """One violating state anywhere in the window fails the claim, however short it is and wherever it lies."""
    at = data.draw(st.integers(0, len(inside)))
    words = [*before, "g", "@a", *inside[:at], "r", *inside[at:], "@b", "y", *after]
    assert verdict(light(" ".join(words)), VERBS[verb]) == "fails"


@given(st.sampled_from(sorted(VERBS)), STATES, STATES, STATES, st.data())
def test_a_violation_elsewhere_is_not_counted(
    verb: str, before: list[str], inside: list[str], after: list[str], data: st.DataObject
) -> None:
    """Violating states before or after the window never fail the claim."""
    early = data.draw(st.lists(st.sampled_from(["g", "r", "."]), max_size=6))
    words = [*early, *before, "g", "@a", *inside, "@b", "y", *after, "r"]
    assert verdict(light(" ".join(words)), VERBS[verb]) == "holds"


# What the trace does not decide


UNREACHED: dict[str, Callable[[About[Any]], None]] = {
    "since": lambda about: about.always(green, since="room"),
    "until": lambda about: about.always(green, since="a", until="room"),
    "through": lambda about: about.always(green, since="a", until=red, through="room"),
    "at": lambda about: about.at("room", green),
    "never": lambda about: about.never(red, since="a", until="room"),
    "keeps": lambda about: about.keeps(colour, since="a", until="room"),
    "renews": lambda about: about.renews(colour, since="a", at="room"),
    "before": lambda about: about.before(green, red, since="a", through="room"),
}
FAILED_WAIT = Stopped(0.0, "a_story", "failed", "lws was not ready within 60 s", "ready", "ADM-01")
OTHER_WAIT = Stopped(0.0, "a_story", "inconclusive", "the canary was not ready within 60 s", "canary-ran")
BROKE = Stopped(0.0, "a_story", "error", "the API server went away")


@pytest.mark.parametrize("judge", UNREACHED.values(), ids=UNREACHED)
@pytest.mark.parametrize(("stopped", "cause"), [(FAILED_WAIT, "ADM-01"), (OTHER_WAIT, "canary-ran"), (BROKE, None)])
def test_a_moment_not_reached_is_inconclusive(
    judge: Callable[[About[Any]], None], stopped: Stopped, cause: str | None
) -> None:
    """A claim that needs a moment that the story did not reach says so, why the story stopped, and what is to blame."""
    with pytest.raises(Inconclusive) as undecided:
        judge(light("g @a g", stopped=stopped))
    assert undecided.value.reason == f"moment 'room' was not reached, because the story stopped: {stopped.reason}"
    assert undecided.value.cause == cause


def test_a_moment_that_nobody_marked_is_inconclusive() -> None:
    """A moment that the story never marks, though it came to its end, is named."""
    with pytest.raises(Inconclusive, match=r"^moment 'room' was not reached, because the story never marked it$"):
        light("g").at("room", green)


@pytest.mark.parametrize(
    ("line", "judge"),
    [
        ("g g", lambda about: about.always(green, since=red)),
        ("g g", lambda about: about.before(green, red)),
        (". .", lambda about: about.always(green, since="")),
    ],
    ids=["since", "before", "nothing to judge"],
)
def test_what_never_came_to_hold_is_blamed_on_the_stop(line: str, judge: Callable[[About[Any]], None]) -> None:
    """Where what a claim is about never came to be because the story stopped, that is the reason, with the cause."""
    with pytest.raises(Inconclusive) as undecided:
        judge(light(line, stopped=FAILED_WAIT))
    assert f"because the story stopped: {FAILED_WAIT.reason}" in undecided.value.reason
    assert undecided.value.cause == "ADM-01"


def test_what_was_reached_is_judged_although_the_story_stopped() -> None:
    """A story that stopped late leaves the claims about what it had reached to their judgement."""
    about = light("g @a g @b r", stopped=FAILED_WAIT)
    about.always(green, since="a", until="b")
    with pytest.raises(ClaimFailed):
        about.always(green, since="a")


@table(
    ("g @a g ~ g @b g", {"since": "a", "until": "b"}, "open"),
    ("g @a ~ g @b g", {"since": "a", "until": "b"}, "open"),
    ("g @a g @b ~ g", {"since": "a", "until": "b"}, "open"),
    ("g @a r ~ g @b", {"since": "a", "until": "b"}, "open"),
    ("g @a g ~", {"since": "a"}, "open"),
    ("g ~ g @a g @b", {"since": "a", "until": "b"}, "holds"),
    ("g @a g @b g ~ g", {"since": "a", "until": "b"}, "holds"),
    ("g ~ r @a g @b", {"since": "a", "until": "b"}, "fails"),
    ("g @a g @b g ~ g r", {"since": "a", "until": red}, "open"),
)
def test_an_interrupted_watch_leaves_its_window_undecided(line: str, window: dict[str, Any], expected: Verdict) -> None:
    """Where a watch was interrupted in the window, states may be missing; elsewhere that does not matter."""
    assert verdict(light(line), lambda about: about.always(green, **window)) == expected


def test_an_interrupted_watch_is_named() -> None:
    """An interrupted watch is named by its kind and its window."""
    with pytest.raises(Inconclusive, match=r"^a watch of ClusterQueue was interrupted between a and b"):
        light("g @a g ~ g @b").always(green, since="a", until="b")


# Clusters that give no order


def short_or_long(*cases: tuple[str, Verdict]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("line", "expected"), cases)


@short_or_long(
    ("g @a g @b", "holds"),
    ("g @a r:0.1 g @b", "open"),
    ("g @a r:0.5 g @b", "open"),
    ("g @a r:0.6 g @b", "fails"),
    ("g @a r:0.2 r:0.2 r:0.2 g @b", "fails"),
    ("g @a r:0.2 y:0.2 r:0.2 g @b", "fails"),
    ("g @a r:0.2 g:0.2 r:0.2 g @b", "open"),
    ("g @a r:0.1 g r:0.6 g @b", "fails"),
    ("g @a r:0.6 g r:0.1 g @b", "fails"),
    ("g @a g r:0.1 @b", "fails"),
    ("g @a r:0.2 . g @b", "open"),
)
def test_a_violation_shorter_than_the_watch_lag_is_not_believed(line: str, expected: Verdict) -> None:
    """Without an order across kinds, what is wrong no longer than the watch lag is open; what lasts longer fails."""
    about = light(line, ordered=False, lag=0.5)
    assert verdict(about, lambda about: about.always(green, since="a", until="b")) == expected


@pytest.mark.parametrize("line", ["g @a r:0.1 g @b", "g @a r:0.2 g:0.2 r:0.2 g @b"])
def test_with_an_order_every_violation_counts(line: str) -> None:
    """Where the cluster gives one order, a violation counts however short it was."""
    with pytest.raises(ClaimFailed):
        light(line, ordered=True, lag=0.5).always(green, since="a", until="b")


LAGGING: dict[str, Callable[[About[Any]], None]] = {
    "never": lambda about: about.never(red, since="a", until="b"),
    "keeps": lambda about: about.keeps(colour, since="a", until="b"),
    "at": lambda about: about.at("c", green),
    "renews": lambda about: about.renews(colour, since="x", at="c"),
    "before": lambda about: about.before(green, red, since="c"),
}


@pytest.mark.parametrize("judge", LAGGING.values(), ids=LAGGING)
@pytest.mark.parametrize(("seconds", "expected"), [(0.1, "open"), (0.6, "fails")])
def test_the_watch_lag_counts_for_every_verb(
    judge: Callable[[About[Any]], None], seconds: float, expected: Verdict
) -> None:
    """What is wrong for no longer than the watch lag is open and what lasts longer fails, whatever the claim's verb."""
    about = light(f"r @x g @a r:{seconds} @c g @b", ordered=False, lag=0.5)
    assert verdict(about, judge) == expected


# What is told of a judgement


def test_a_failure_says_what_was_expected_and_what_was_seen() -> None:
    """A failed claim has its expectation, window, the first wrong state, and what was seen there instead."""
    with pytest.raises(ClaimFailed) as failed:
        light("g @a g r y @b").always(green, since="a", until="b")
    failure = failed.value.failure
    assert (failure.subject, failure.expectation, failure.sentence) == (LIGHT, "green", "The light is green.")
    assert (failure.window.since, failure.window.until, failure.position) == (1, 4, 3)
    seen = failure.observation
    assert (seen.object, seen.field, seen.expected, seen.observed) == (
        "ClusterQueue light",
        "spec.colour",
        "green",
        "red",
    )
    assert str(failed.value) == (
        "ClusterQueue light: green does not hold between a and b: "
        "ClusterQueue light spec.colour: expected green, observed red"
    )


@pytest.mark.parametrize(
    ("judge", "expectation", "expected", "observed"),
    [
        (lambda about: about.never(red, since="a"), "never red", "never red", "red"),
        (lambda about: about.keeps(colour, since="a"), "keeps colour", "green", "red"),
        (lambda about: about.renews(colour, since="a", at="b"), "renews colour", "another than green", "green"),
        (lambda about: about.before(yellow, red), "yellow before red", "holds before red", "does not"),
        (lambda about: about.at("c", green), "green", "green", "red"),
    ],
    ids=["never", "keeps", "renews", "before", "at"],
)
def test_each_verb_says_in_its_words_what_is_wrong(
    judge: Callable[[About[Any]], None], expectation: str, expected: str, observed: str
) -> None:
    """A failure is named by the verb and the expectation, and shows the two values that differ."""
    with pytest.raises(ClaimFailed) as failed:
        judge(light("g @a r @c g @b"))
    failure = failed.value.failure
    assert (failure.expectation, failure.observation.expected, failure.observation.observed) == (
        expectation,
        expected,
        observed,
    )


def test_what_was_judged_is_kept_for_the_report() -> None:
    """Of each judgement that held, a report has the subject, the expectation, the window and how much was looked at."""
    story = told("g @a g . g @b r")
    about = About(story, LIGHT)
    about.always(green, since="a", until="b")
    about.never(red, since=green, until="b")
    about.keeps(colour, since="a", until="a")
    about.at("a", lit)
    title = LIGHT.title
    assert story.judged == [
        Judged(title, "green", "The light is green.", "between a and b", 3),
        Judged(title, "never red", "The light is red.", "between green and b", 4),
        Judged(title, "keeps colour", "The light's colour.", "at a", 1),
        Judged(title, "lit", "There is a light.", "at a", 1),
    ]


# Subjects


def named(*names: str) -> Told:
    changes = [change(name, number, float(number)) for number, name in enumerate(names, start=1)]
    return Told(History([Header("run", True, 0.0), StoryStarted(0.0, "a_story", "t"), *changes]))


def test_the_only_queue_needs_no_name() -> None:
    """A story's only ClusterQueue is meant by `queue()`; among several one is chosen by the end of its name."""
    assert named("t").queue().subject.title == "ClusterQueue t"
    assert named("t", "t-b").queue(like="-b").subject.title == "ClusterQueue t-b"


@pytest.mark.parametrize("names", [(), ("t", "t-b")])
def test_no_queue_is_guessed(names: tuple[str, ...]) -> None:
    """Where no ClusterQueue or several could be meant, the claim is inconclusive and says how many there are."""
    with pytest.raises(Inconclusive, match=f"^the story left {len(names)} objects of kind ClusterQueue"):
        named(*names).queue()


def test_without_a_set_nothing_is_judged() -> None:
    """A story that stopped before it created a LeaderWorkerSet leaves its claims inconclusive, with the cause."""
    story = told("g", stopped=FAILED_WAIT)
    subjects: list[Callable[[], object]] = [story.set, lambda: story.group(0)]
    for subject in subjects:
        with pytest.raises(Inconclusive, match="no LeaderWorkerSet was recorded") as undecided:
            subject()
        assert undecided.value.cause == "ADM-01"


# Requests that a story tried


def tried(status: int, reason: str) -> Told:
    answer = Answer(2.0, "a_story", "grown", "patch", "LeaderWorkerSet", "t", "lws", status, reason, True, 1)
    return Told(History([Header("run", True, 0.0), StoryStarted(0.0, "a_story", "t"), change("t", 1, 1.0), answer]))


@pytest.mark.parametrize("reason", ["Invalid", "Forbidden"])
def test_a_refusal_is_an_answer_of_its_own(reason: str) -> None:
    """An answer 4xx with reason Invalid or Forbidden is a refusal, and is not an acceptance."""
    tried(422, reason).request("grown", refused)
    with pytest.raises(ClaimFailed):
        tried(422, reason).request("grown", accepted)


@pytest.mark.parametrize(("status", "reason"), [(200, ""), (404, "NotFound"), (409, "Conflict"), (500, "Invalid")])
def test_another_answer_is_no_refusal(status: int, reason: str) -> None:
    """An acceptance, another 4xx and any 5xx are no refusals."""
    with pytest.raises(ClaimFailed):
        tried(status, reason).request("grown", refused)


def test_a_request_that_was_not_tried_decides_nothing() -> None:
    """A claim about a request that the story never came to is inconclusive."""
    with pytest.raises(Inconclusive, match="'shrunk' was not reached"):
        tried(200, "").request("shrunk", accepted)
