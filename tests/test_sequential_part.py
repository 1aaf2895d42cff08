"""The sequential part of a run: what is told when, what the implementation goes through, and what a story may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest

from conformance.clusters.controllers import merged
from conformance.clusters.restarting import Restarting
from conformance.clusters.running import RunningProgram
from conformance.errors import Cancelled, HarnessError
from conformance.world import sequential
from conformance.world.implementation import ImplementationHandle
from conformance.world.phases import PHASES, RESTARTS, WITHOUT_QUEUE_NAME, Phase
from conformance.world.story import Story
from conformance.world.teller import Teller
from conformance.world.tenant import Tenant

OWN = {"waitForPodsReady": {"enable": True}}


class Program:
    """Notes what is done to it; it does not come back if it is `lost`."""

    name = "program"

    def __init__(self, did: list[str], *, lost: str = "") -> None:
        self.did, self.lost = did, lost
        self.config: dict[str, Any] = dict(OWN)

    def configured(self, over: Mapping[str, Any]) -> dict[str, Any]:
        return merged(OWN, over)

    def stop(self) -> None:
        self.did.append("stop")

    def start_again(self, config: Mapping[str, Any] | None = None) -> None:
        if self.lost:
            raise HarnessError(self.lost)
        self.config = dict(config) if config is not None else self.config
        self.did.append("start" if config is None else f"start with {', '.join(sorted(config))}")


class Told:
    """A teller's outside: stories are over as soon as somebody waits for them."""

    def __init__(self, did: list[str], over: Exception | None = None) -> None:
        self.did, self.over, self.held = did, over, set[str]()

    def hold(self, stories: Iterable[Story]) -> None:
        self.held |= {story.name for story in stories}

    def tell(self, stories: Iterable[Story]) -> None:
        for story in stories:
            self.held.discard(story.name)
            if f"tell {story.name}" not in self.did:
                self.did.append(f"tell {story.name}")

    def await_cleaned(self, story: Story) -> None:
        assert story.name not in self.held
        if self.over is not None:
            raise self.over
        self.did.append(f"{story.name} is over")


def a_story(name: str, phase: Phase | None = None) -> Story:
    return Story(name, "It happens.", {}, lambda tenant: None, "suite.test_mine", frozenset(), phase)


ALL = [
    a_story("first-unlabelled", WITHOUT_QUEUE_NAME),
    a_story("first-restart", RESTARTS),
    a_story("one"),
    a_story("second-restart", RESTARTS),
    a_story("two"),
    a_story("second-unlabelled", WITHOUT_QUEUE_NAME),
]


def through(stories: list[Story], *, over: Exception | None = None, lost: str = "") -> tuple[list[str], list[str]]:
    """What was done, in its order, and what was said to have broken."""
    did: list[str] = []
    broken: list[str] = []
    restarting = Restarting(cast(RunningProgram, Program(did, lost=lost)), broken.append)
    sequential.begin(cast(Teller, Told(did, over)), restarting, stories, broken.append).join()
    return did, broken


def test_phases_follow_when_all_else_is_over() -> None:
    """All other stories are told at once; once they are over, each phase has the implementation to itself.

    A restarting story is alone, and the implementation is started anew only where its configuration differs.
    """
    did, broken = through(ALL)
    assert did == [
        *("tell one", "tell two", "one is over", "two is over"),
        *("tell first-restart", "first-restart is over", "tell second-restart", "second-restart is over"),
        *("stop", "start with manageJobsWithoutQueueName, managedJobsNamespaceSelector, waitForPodsReady"),
        *("tell first-unlabelled", "tell second-unlabelled", "first-unlabelled is over", "second-unlabelled is over"),
    ]
    assert broken == []


def test_without_phases_nothing_is_restarted() -> None:
    """A run without stories of a phase leaves the implementation alone."""
    assert through([a_story("one")]) == (["tell one", "one is over"], [])


def test_a_run_that_ends_begins_no_phase() -> None:
    """When the run is ended during the parallel part, nothing more is told, and nothing is said to be broken."""
    assert through(ALL, over=Cancelled("Ctrl-C")) == (["tell one", "tell two"], [])


def test_an_implementation_that_does_not_come_back_is_told() -> None:
    """If the implementation does not come back under another configuration, nothing more is told of that phase."""
    did, broken = through(ALL, lost="it exited with code 2")
    assert broken == ["program was stopped on purpose and does not come back: it exited with code 2"]
    assert did[-1] == "stop"


def test_a_defect_is_told() -> None:
    """A defect between the phases does not leave those who wait for a story waiting."""
    _, broken = through(ALL, over=KeyError("x"))
    assert broken == ["KeyError between the phases of the run: 'x'"]


# Stopping and starting


def test_what_is_stopped_is_started_once() -> None:
    """A program is stopped only while it runs, and started only while it does not."""
    did: list[str] = []
    restarting = Restarting(cast(RunningProgram, Program(did)))
    with pytest.raises(HarnessError, match="program is not stopped"):
        restarting.start()
    restarting.stop()
    with pytest.raises(HarnessError, match="program is stopped already"):
        restarting.stop()
    assert did == ["stop"]
    restarting.start()
    assert did == ["stop", "start"]
    assert not restarting.stopped


def test_a_configuration_is_merged_and_taken_back() -> None:
    """A configuration is merged over the program's own; what is in force changes nothing; an empty one undoes it."""
    program = Program([])
    restarting = Restarting(cast(RunningProgram, program))
    assert not restarting.configure({})
    assert restarting.configure({"waitForPodsReady": {"timeout": "5m"}})
    assert program.config == {"waitForPodsReady": {"enable": True, "timeout": "5m"}}
    assert not restarting.configure({"waitForPodsReady": {"timeout": "5m"}})
    assert restarting.configure({})
    assert program.config == OWN


def test_what_is_lost_stays_stopped() -> None:
    """A program that does not come back is told of once, counts as stopped, and may be tried again."""
    lost: list[str] = []
    program = Program([], lost="no answer")
    restarting = Restarting(cast(RunningProgram, program), lost.append)
    restarting.stop()
    with pytest.raises(HarnessError, match="does not come back: no answer"):
        restarting.start()
    assert (len(lost), restarting.stopped) == (1, True)
    program.lost = ""
    restarting.start()
    assert not restarting.stopped


# What a story may do


class _Ground:
    def __init__(self, restarting: Restarting | None) -> None:
        self.restarting = restarting

    def alive(self) -> None:
        pass


class _Tenant:
    def __init__(self, story: Story, restarting: Restarting | None) -> None:
        self.story, self.ground = story, _Ground(restarting)
        self.did_what: list[str] = []

    def did(self, verb: str, kind: str, name: str) -> None:
        self.did_what.append(f"{verb} {kind} {name}")


def a_tenant(phase: Phase | None, did: list[str]) -> _Tenant:
    return _Tenant(a_story("mine", phase), Restarting(cast(RunningProgram, Program(did))))


def test_a_story_of_the_phase_restarts_the_implementation() -> None:
    """What a story does to the implementation is done, and recorded as what the story did."""
    did: list[str] = []
    tenant = a_tenant(RESTARTS, did)
    handle = ImplementationHandle(cast(Tenant, tenant))
    handle.stop()
    handle.start()
    assert did == ["stop", "start"]
    assert tenant.did_what == ["stop Implementation program", "start Implementation program"]


@pytest.mark.parametrize("phase", [None, *(phase for phase in PHASES if not phase.restarts)])
def test_no_other_story_restarts_the_implementation(phase: Phase | None) -> None:
    """A story that is told beside others cannot stop what they use."""
    did: list[str] = []
    handle = ImplementationHandle(cast(Tenant, a_tenant(phase, did)))
    for act in (handle.stop, handle.start):
        with pytest.raises(HarnessError, match="story mine cannot restart what others use"):
            act()
    handle.leave_running()
    assert did == []


def test_what_is_not_ours_is_not_restarted() -> None:
    """Where the implementation is not ours to restart, a story cannot do it either, and nothing has to be mended."""
    handle = ImplementationHandle(cast(Tenant, _Tenant(a_story("mine", RESTARTS), None)))
    with pytest.raises(HarnessError, match="not ours to restart"):
        handle.stop()
    handle.leave_running()


def test_a_story_that_stops_early_leaves_the_implementation_running() -> None:
    """An implementation that a story left stopped is started before anything is cleaned up."""
    did: list[str] = []
    handle = ImplementationHandle(cast(Tenant, a_tenant(RESTARTS, did)))
    handle.stop()
    handle.leave_running()
    assert did == ["stop", "start"]
