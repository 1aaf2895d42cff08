"""A story waits on its feed: woken by every change, ended by a deadline or by the end of the run, never polling."""

from __future__ import annotations

import threading

import pytest

from conformance.errors import Cancelled
from conformance.trace.history import View
from conformance.trace.waiting import Feed, WaitTimedOut
from trace_samples import TENANT, Object, change, pod

PLENTY = 30.0


def present(view: View) -> Object | None:
    return view.get("Pod", "a")


def go_on() -> None:
    """The run is alive."""


def in_thread(work: object) -> threading.Thread:
    assert callable(work)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_what_is_already_true_needs_no_change() -> None:
    """The test is tried at once, with what has been told before."""
    feed = Feed(TENANT)
    feed.tell([change(5, pod("a"))])
    assert feed.wait(present, 0.0, go_on)["metadata"]["resourceVersion"] == "5"
    assert (feed.latest, feed.reached) == (5, 5)


def test_a_waiting_story_is_woken_by_the_change_that_it_waits_for() -> None:
    """The change that fulfils the wait ends it, and its revision is the one reached."""
    feed = Feed(TENANT)
    tried = threading.Event()

    def test(view: View) -> Object | None:
        tried.set()
        return present(view)

    def tell() -> None:
        tried.wait(PLENTY)
        feed.tell([change(5, pod("b"))])
        feed.tell([change(7, pod("a")), change(6, pod("c"))])

    teller = in_thread(tell)
    feed.wait(test, PLENTY, go_on)
    assert feed.reached == 7
    teller.join()


def test_what_was_reached_is_not_moved_by_what_came_later() -> None:
    """A moment is marked with the revision at which its wait came true, however late the story reads it."""
    feed = Feed(TENANT)
    feed.tell([change(5, pod("a"))])
    feed.wait(present, 0.0, go_on)
    feed.tell([change(9, pod("b"))])
    assert (feed.reached, feed.latest) == (5, 9)


def test_a_wait_that_does_not_come_true_times_out() -> None:
    """At the deadline the wait says so, with the seconds that it had."""
    with pytest.raises(WaitTimedOut, match=r"not true within 0\.01 s") as caught:
        Feed(TENANT).wait(present, 0.01, go_on)
    assert caught.value.seconds == 0.01


def test_the_end_of_the_run_ends_every_wait() -> None:
    """`wake` makes a waiting story ask whether the run is alive, and what that raises is raised out of the wait."""
    feed = Feed(TENANT)
    asked, ended = threading.Event(), threading.Event()

    def alive() -> None:
        if ended.is_set():
            raise Cancelled("the run is being ended")
        asked.set()

    def end() -> None:
        asked.wait(PLENTY)
        ended.set()
        feed.wake()

    ender = in_thread(end)
    with pytest.raises(Cancelled):
        feed.wait(present, PLENTY, alive)
    ender.join()


def test_a_run_that_has_ended_fulfils_no_wait() -> None:
    """Not even one whose test is true: what is no longer watched proves nothing."""
    feed = Feed(TENANT)
    feed.tell([change(5, pod("a"))])

    def dead() -> None:
        raise Cancelled("the run is being ended")

    with pytest.raises(Cancelled):
        feed.wait(present, PLENTY, dead)


def test_the_feed_remembers_objects_by_uid() -> None:
    """For the fence: the latest revision seen of each object, and which ones were seen to go, namesakes apart."""
    feed = Feed(TENANT)
    feed.tell(
        [
            change(5, pod("a", uid="one")),
            change(6, pod("a", uid="one"), "DELETED"),
            change(7, pod("a", uid="two")),
        ]
    )
    assert [feed.revision_of(uid) for uid in ("one", "two", "three")] == [6, 7, 0]
    assert [feed.was_deleted(uid) for uid in ("one", "two", "three")] == [True, False, False]
    assert feed.read(lambda view: view.position) == 3
