"""What an item becomes by the way its judging ended: its line in the run's log, and what pytest shows of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import conformance.clusters.local  # so that the runs of pytest in this process need not import it again and again
from conformance.collecting import Claimed
from conformance.errors import Cancelled, HarnessError
from conformance.expectations.judging import About, Inconclusive, Told
from conformance.outcomes import Outcome
from conformance.report import building, log, model
from conformance.report.model import Deviation
from conformance.reporting import describe
from conformance.requirements import load
from conformance.session import Session
from conformance.trace.history import History
from conformance.trace.records import Stopped
from conformance.verdicts import PromiseBroken, StoryBroke, judge_moment, line_of
from conformance.world.story import Story
from small_histories import LIGHT, green, history, told

pytest_plugins = "pytester"

MOMENTS = {"a": "ADM-01", "room": "ADM-06", "b": "UP-05"}
STORY = Story("lights", "A light changes.", MOMENTS, lambda tenant: None, "suite.test_light", frozenset())
MISMATCH = {"expectation": "green", "object": "ClusterQueue light", "field": "spec.colour", "expected": "green"}
NO_ROOM = Stopped(
    0.0,
    "lights",
    "failed",
    "ClusterQueue light was not green within 60 s",
    "room",
    "ADM-06",
    [MISMATCH | {"observed": "red"}, MISMATCH | {"field": "status", "observed": "nothing"}],
)
NO_CANARY = Stopped(0.0, "lights", "inconclusive", "the canary was not ready within 60 s", "canary-ran")
UNPROMISED = Stopped(0.0, "lights", "inconclusive", "the light was not green within 60 s", "room")
BROKE = Stopped(0.0, "lights", "error", "ApiError in wait, line 7: 500")
TODAY = date.today()


def claimed(moment: str | None = None) -> Claimed:
    return Claimed(STORY, load()[STORY.moments[moment] if moment else "UP-02"], "A light stays green.", moment)


def ended(error: BaseException | None, story: Told | None, moment: str | None = None) -> log.ClaimLine:
    """The line of an item whose judging ended like this."""
    return line_of("test_light::item", claimed(moment), error, story, None)


def raised(judge: Callable[[], None]) -> Exception | None:
    try:
        judge()
    except Exception as error:
        return error
    return None


def always_green(story: Told) -> Exception | None:
    return raised(lambda: About(story, LIGHT).always(green, since="a", until="b"))


# Promised claims


@pytest.mark.parametrize(
    ("moment", "stopped", "ending", "outcome"),
    [
        ("a", None, type(None), Outcome.PASSED),
        ("a", NO_ROOM, type(None), Outcome.PASSED),
        ("a", BROKE, type(None), Outcome.PASSED),
        ("room", NO_ROOM, PromiseBroken, Outcome.FAILED),
        ("room", UNPROMISED, Inconclusive, Outcome.INCONCLUSIVE),
        ("b", NO_ROOM, Inconclusive, Outcome.INCONCLUSIVE),
        ("b", NO_CANARY, Inconclusive, Outcome.INCONCLUSIVE),
        ("b", BROKE, Inconclusive, Outcome.ERROR),
        ("b", None, HarnessError, Outcome.ERROR),
    ],
)
def test_a_promised_claim_is_what_its_wait_became(
    moment: str, stopped: Stopped | None, ending: type, outcome: Outcome
) -> None:
    """A promise is kept if its moment was reached and broken if the story stopped there; a later one is undecided."""
    story = told("g @a g", stopped=stopped)
    error = raised(lambda: judge_moment(claimed(moment), story.history))
    assert type(error) is ending
    assert ended(error, story, moment).outcome is outcome


def test_a_kept_promise_tells_what_was_reached() -> None:
    """The line of a kept promise has the expectation that came true, of what, and the moment."""
    line = ended(None, told("g @a"), "a")
    assert (line.expectation, line.object, line.moment) == ("green", "ClusterQueue light", "a")


def test_a_broken_promise_tells_what_was_missing() -> None:
    """The line of a broken promise has the first thing that was missing, and as evidence all of them and a timeline."""
    line = ended(PromiseBroken(NO_ROOM.reason), told("g @a r", stopped=NO_ROOM), "room")
    assert (line.reason, line.moment) == (NO_ROOM.reason, "room")
    assert (line.expectation, line.object, line.field) == ("green", "ClusterQueue light", "spec.colour")
    assert (line.expected, line.observed) == ("green", "red")
    assert line.evidence[:2] == [
        "ClusterQueue light spec.colour: expected green, observed red",
        "ClusterQueue light status: expected green, observed nothing",
    ]
    assert any("ClusterQueue light" in entry and "+" in entry for entry in line.evidence[2:])


# Judged claims


ENDINGS: dict[str, tuple[BaseException | None, str, Stopped | None, Outcome]] = {
    "held": (None, "g @a g @b", None, Outcome.PASSED),
    "failed": (always_green(told("g @a r @b")), "g @a r @b", None, Outcome.FAILED),
    "not reached": (Inconclusive("not reached", "ADM-06"), "g @a", NO_ROOM, Outcome.INCONCLUSIVE),
    "a gap": (Inconclusive("a watch was interrupted"), "g @a ~ g @b", None, Outcome.INCONCLUSIVE),
    "not reached, because the story broke": (Inconclusive("not reached"), "g @a", BROKE, Outcome.ERROR),
    "failed before the story broke": (always_green(told("g @a r @b")), "g @a r @b", BROKE, Outcome.FAILED),
    "the trace is not to be trusted": (StoryBroke("the fence did not hold"), "g", None, Outcome.ERROR),
    "the harness broke": (HarnessError("the API server went away"), "g", None, Outcome.ERROR),
    "the run was ended": (Cancelled("the run is being ended"), "g", None, Outcome.INCONCLUSIVE),
    "a defect of the claim": (KeyError("spec"), "g", None, Outcome.ERROR),
    "an assertion of the claim": (AssertionError("no"), "g", None, Outcome.ERROR),
}


@pytest.mark.parametrize(("error", "line", "stopped", "outcome"), ENDINGS.values(), ids=ENDINGS)
def test_each_way_to_end_has_its_outcome(
    error: BaseException | None, line: str, stopped: Stopped | None, outcome: Outcome
) -> None:
    """Only an expectation that did not hold is a failure; what is not decided is inconclusive, what broke an error."""
    assert ended(error, told(line, stopped=stopped)).outcome is outcome


@pytest.mark.parametrize("error", [StoryBroke("the fence did not hold"), Cancelled("the run is being ended")])
def test_an_item_without_a_story_has_its_reason(error: Exception) -> None:
    """Where there is no history to judge, the line has the reason alone."""
    line = ended(error, None)
    assert line.reason == str(error)
    assert (line.expectation, line.evidence) == (None, [])


def test_a_claim_that_held_tells_what_was_judged() -> None:
    """The line of a claim that held has its expectations, and each judgement with its window as evidence."""
    story = told("g @a g @b")
    about = About(story, LIGHT)
    about.always(green, since="a", until="b")
    about.at("b", green)
    line = ended(None, story)
    assert line.expectation == "green"
    assert line.evidence == ["ClusterQueue light: green between a and b", "ClusterQueue light: green at b"]


def test_a_failed_claim_tells_everything_of_its_failure() -> None:
    """The line of a failure has expectation, sentence, object, field, both values, window, and a timeline up to it."""
    story = told("g @a g r y @b")
    line = ended(always_green(story), story)
    assert line.expectation == "green: The light is green."
    assert (line.object, line.field) == ("ClusterQueue light", "spec.colour")
    assert (line.expected, line.observed) == ("green", "red")
    assert line.window == "between a and b"
    assert any("--- a" in entry for entry in line.evidence)
    assert not any("--- b" in entry for entry in line.evidence)


@pytest.mark.parametrize(
    ("stopped", "blamed"),
    [(NO_ROOM, "test_light::lights::room[ADM-06]"), (NO_CANARY, "lights::canary-ran")],
)
def test_what_was_not_reached_points_to_its_cause(stopped: Stopped, blamed: str) -> None:
    """A claim that was not reached names the item whose wait failed, or the wait, if no requirement promises it."""
    story = told("g @a", stopped=stopped)
    line = ended(always_green(story), story)
    assert line.caused_by == blamed
    assert line.reason == f"moment 'b' was not reached, because the story stopped: {stopped.reason}"


# As plain text


def test_a_failure_is_described_in_full() -> None:
    """A failure shows requirement, sentence, expectation, object, field, both values, moments, timeline, repetition."""
    story = told("g @a r @b")
    lines = describe(ended(always_green(story), story), claimed()).splitlines()
    assert lines[0] == "failed: UP-02 (MUST) A light stays green."
    assert lines[1:6] == [
        "  expectation  green: The light is green.",
        "  object       ClusterQueue light spec.colour",
        "  expected     green",
        "  observed     red",
        "  moment       between a and b",
    ]
    assert lines[6] == "  timeline"
    assert any("--- a" in line for line in lines[7:-1])
    assert lines[-1].startswith("  again        ")
    assert lines[-1].endswith("--story lights -k item")


@pytest.mark.parametrize(("stopped", "title"), [(NO_ROOM, "not reached"), (BROKE, "error")])
def test_what_was_not_decided_is_titled_so(stopped: Stopped, title: str) -> None:
    """What was not reached and what broke are not called failures, and say why."""
    story = told("g @a", stopped=stopped)
    text = describe(ended(always_green(story), story), claimed())
    assert text.startswith(f"{title}: UP-02 (MUST) A light stays green.")
    assert f"because      moment 'b' was not reached, because the story stopped: {stopped.reason}" in text
    assert ("caused by    test_light::lights::room[ADM-06]" in text) == (stopped is NO_ROOM)


# What pytest shows, with recorded stories in the place of a cluster

SUITE = """
    from conformance.expectations.judging import About
    from conformance.world.story import claim, story
    from small_histories import LIGHT, green

    @story(moments={"a": "ADM-01", "room": "ADM-06", "later": "UP-05"})
    def stopped(tenant):
        "A story whose wait for room fails."

    @story()
    def ended(tenant):
        "A story that is told to its end."

    @story()
    def broke(tenant):
        "A story whose trace cannot be trusted."

    @claim("UP-01", of=stopped)
    def test_reached(told):
        "What was reached is judged."
        About(told, LIGHT).at("a", green)

    @claim("UP-07", of=stopped)
    def test_not_reached(told):
        "What was not reached is not."
        About(told, LIGHT).at("later", green)

    @claim("UP-02", of=ended)
    def test_fails(told):
        "The light stays green."
        About(told, LIGHT).always(green, since="a")

    @claim("QSEL-03", of=ended)
    def test_is_defective(told):
        "A claim with a defect."
        told.nothing()

    @claim("WL-01", of=(ended, broke))
    def test_of_two(told):
        "The light is green at first."
        About(told, LIGHT).at("a", green)
"""
HISTORIES = {"stopped": history("g @a r", stopped=NO_ROOM), "ended": history("g @a r g")}


@dataclass
class Run:
    """What became of the items of a run."""

    code: int
    shown: dict[str, str]
    """Item to the word that pytest reports it with."""
    text: str
    folder: Path
    lines: list[log.Line] = field(default_factory=list)

    @property
    def outcomes(self) -> dict[str, str]:
        return {line.id: line.outcome.value for line in self.lines if isinstance(line, log.ClaimLine)}

    def result(self) -> model.Result:
        return building.read_result(self.folder)


class _Words:
    """Notes the word that pytest reports each item with."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        word = "xfailed" if hasattr(report, "wasxfail") else report.outcome
        if report.when == "call" or word != "passed":
            self.shown[log.claim_id(report.nodeid)] = word


class _Cleaned:
    """A teller whose stories have all been told and cleaned up."""

    problem = cleaning_problem = None

    def await_cleaned(self, story: Story) -> _Cleaned:
        return self

    def history(self, story: Story, until: str) -> History:
        return HISTORIES.get(story.name, history("g"))


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Judge the small suite with pytest, on recorded stories."""

    def begin(session: Session, stories: list[Story], **_: Any) -> None:
        session.log = log.RunLog(session.folder)
        session.began = session.came_up = True
        session.teller = _Cleaned()  # type: ignore[assignment]
        asked = model.Run(id=session.run_id, started=session.started, command=session.command, profile="page")
        session.log.append(log.RunLine(suite=model.Suite(version="0"), run=asked))
        session.log.append(log.ClusterLine(cluster=model.Cluster(provider="recorded", kubernetes="1", lws="0.9.0")))
        implementation = model.Implementation(name="kueue", version="0.19.2")
        session.log.append(log.ImplementationLine(implementation=implementation))

    def tell(session: Session, story: Story) -> Told:
        if story.name not in HISTORIES:
            raise StoryBroke("the fence did not hold")
        return Told(HISTORIES[story.name])

    def judge(*options: str, deviations: dict[str, Deviation] | None = None) -> Run:
        monkeypatch.setattr(Session, "begin", begin)
        monkeypatch.setattr(Session, "told", tell)
        monkeypatch.setattr(Session, "_end_telling", lambda session: None)
        monkeypatch.setattr(Session, "deviation", lambda session, name: (deviations or {}).get(name))
        (pytester.path / "test_light.py").write_text(textwrap.dedent(SUITE))
        words, folder = _Words(), pytester.path / "results"
        plugins = ("no:pytest-kind-ng", "no:cacheprovider", "no:hypothesispytest")
        quiet = [argument for plugin in plugins for argument in ("-p", plugin)]
        here = ("--conformance-cluster", "local", "--conformance-out", str(folder))
        done = pytester.runpytest_inprocess(*quiet, *here, "-rA", *options, plugins=[words])
        return Run(int(done.ret), words.shown, done.stdout.str(), folder, list(log.read(folder)))

    return judge


def test_every_outcome_has_its_place_in_pytest(run: Callable[..., Run]) -> None:
    """Under pytest failed, error and inconclusive are failing items, and the log tells them apart."""
    judged = run()
    assert judged.code == pytest.ExitCode.TESTS_FAILED
    expected = {
        "test_light::stopped::a[ADM-01]": ("passed", "passed"),
        "test_light::stopped::room[ADM-06]": ("failed", "failed"),
        "test_light::stopped::later[UP-05]": ("failed", "inconclusive"),
        "test_light::test_reached": ("passed", "passed"),
        "test_light::test_not_reached": ("failed", "inconclusive"),
        "test_light::test_fails": ("failed", "failed"),
        "test_light::test_is_defective": ("failed", "error"),
        "test_light::test_of_two[ended]": ("passed", "passed"),
        "test_light::test_of_two[broke]": ("failed", "error"),
    }
    assert judged.outcomes == {id_: outcome for id_, (_, outcome) in expected.items()}
    claims = {id_: word for id_, word in judged.shown.items() if not id_.endswith("::invariants")}
    assert claims == {id_: word for id_, (word, _) in expected.items()}


def test_pytest_shows_a_failure_and_not_a_traceback(run: Callable[..., Run]) -> None:
    """A failing item is shown by its description; a defect of a claim by what it raised."""
    text = run().text
    assert "failed: UP-02 (MUST) The light stays green." in text
    assert "not reached: UP-07 (MUST) What was not reached is not." in text
    assert "caused by    test_light::stopped::room[ADM-06]" in text
    assert "because      'Told' object has no attribute 'nothing'" in text
    assert "Traceback" not in text


def test_one_cause_is_one_failure(run: Callable[..., Run]) -> None:
    """In the result a story that stopped is one failed requirement, to which all that it kept from judgement points."""
    found = {requirement.id: requirement for requirement in run("-k", "stopped").result().requirements}
    assert found["ADM-06"].outcome is Outcome.FAILED
    for id_ in ("UP-05", "UP-07"):
        assert found[id_].outcome is Outcome.INCONCLUSIVE
        assert found[id_].caused_by == "test_light::stopped::room[ADM-06]"


def deviation(kind: Any, days: int = 30) -> Deviation:
    issue = "https://github.com/kubernetes-sigs/kueue/issues/1"
    return Deviation(issue=issue, expires=TODAY + timedelta(days=days), kind=kind)


@pytest.mark.parametrize("kind", ["always", "sometimes"])
@pytest.mark.parametrize("days", [0, 30])
def test_a_known_deviation_is_an_expected_failure(run: Callable[..., Run], kind: str, days: int) -> None:
    """A failure that is listed is an xfail with its issue, to the last day on which it is accepted."""
    judged = run("-k", "test_fails", deviations={"UP-02": deviation(kind, days)})
    assert judged.shown == {"test_light::test_fails": "xfailed"}
    assert "known deviation: https://github.com/kubernetes-sigs/kueue/issues/1" in judged.text
    assert judged.code == pytest.ExitCode.OK
    [found] = [r for r in judged.result().requirements if r.id == "UP-02"]
    assert found.outcome is Outcome.KNOWN_DEVIATION


STALE = {
    "it expired, and showed": (deviation("sometimes", -1), "UP-02", "test_fails", "failed: UP-02"),
    "it expired, and did not show": (deviation("sometimes", -1), "UP-01", "test_reached", "expired on"),
}


@pytest.mark.parametrize(("listed", "id_", "name", "text"), STALE.values(), ids=STALE)
def test_a_stale_deviation_fails(run: Callable[..., Run], listed: Deviation, id_: str, name: str, text: str) -> None:
    """A listed deviation that did not show though it always should, or whose day is over, fails the item."""
    judged = run("-k", name, deviations={id_: listed})
    assert judged.shown == {f"test_light::{name}": "failed"}
    assert text in judged.text
    assert judged.code == pytest.ExitCode.TESTS_FAILED


def test_a_deviation_that_shows_sometimes_may_pass(run: Callable[..., Run]) -> None:
    """A deviation that shows only sometimes does not make a pass a failure."""
    judged = run("-k", "test_reached", deviations={"UP-01": deviation("sometimes")})
    assert judged.shown == {"test_light::test_reached": "passed"}


def test_a_deviation_is_of_its_requirement_alone(run: Callable[..., Run]) -> None:
    """What is listed for one requirement changes nothing for the claims of another."""
    listed = {"UP-02": deviation("always")}
    judged = run("-k", "test_fails or test_reached", deviations=listed)
    assert judged.shown == {"test_light::test_fails": "xfailed", "test_light::test_reached": "passed"}


@pytest.mark.parametrize("name", ["test_not_reached", "test_is_defective", "room"])
def test_a_deviation_excuses_failures_alone(run: Callable[..., Run], name: str) -> None:
    """What is undecided or broken is not what a listed deviation is about; a broken promise is."""
    listed = {id_: deviation("sometimes") for id_ in ("UP-07", "QSEL-03", "ADM-06")}
    [word] = run("-k", name, deviations=listed).shown.values()
    assert word == ("xfailed" if name == "room" else "failed")


def test_verdicts_are_on_disk_when_they_are_known(run: Callable[..., Run]) -> None:
    """Every claim has its line in the log, in the order of the items, and the run its beginning and its end."""
    judged = run()
    assert isinstance(judged.lines[0], log.RunLine)
    assert isinstance(judged.lines[-1], log.EndLine)
    assert list(judged.outcomes) == [id_ for id_ in judged.shown if not id_.endswith("::invariants")]


def test_invariants_are_judged_with_their_story(run: Callable[..., Run]) -> None:
    """Each story has a line with its invariants, and one that tells its moments and where it stopped."""
    judged = run()
    names = ["stopped", "ended", "broke"]
    assert [line.story for line in judged.lines if isinstance(line, log.InvariantsLine)] == names
    stories = {line.name: line for line in judged.lines if isinstance(line, log.StoryLine)}
    assert ([m.name for m in stories["stopped"].moments], stories["stopped"].stopped_at) == (["a"], "room")


def test_after_the_first_failure_the_rest_is_undecided(run: Callable[..., Run]) -> None:
    """With --fail-fast nothing more is judged after a failure, and what was not is told to be undecided."""
    judged = run("--conformance-fail-fast")
    assert list(judged.shown.values()).count("failed") == 1
    outcomes = list(judged.outcomes.values())
    assert outcomes == ["passed", "failed"] + ["inconclusive"] * (len(outcomes) - 2)
    assert len(outcomes) == 9


def test_what_is_not_testable_is_skipped(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that cannot be judged here is a skip, and its line says why."""
    monkeypatch.setattr(conformance.clusters.local.LocalCluster, "capabilities", frozenset({"edits-nodes"}))
    judged = run("-k", "test_fails")
    assert judged.shown == {"test_light::test_fails": "skipped"}
    [line] = [line for line in judged.lines if isinstance(line, log.ClaimLine)]
    assert (line.outcome, line.reason) == (Outcome.NOT_TESTABLE, "this cluster lacks fake-nodes")


def test_the_result_has_every_requirement(run: Callable[..., Run]) -> None:
    """The result has every requirement of the catalogue, those that nothing was judged of included."""
    found = run("-k", "test_fails").result()
    assert {requirement.id for requirement in found.requirements} == set(load().ids)
