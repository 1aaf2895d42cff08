"""Waiting on the trace: a story's live view of its tenant, which wakes on every change and never polls.

A `Feed` is filled by the recorder's threads and read by the one thread that tells the story. It ends where a wait
comes true or times out; what that means for a claim is the teller's business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from conformance.trace.history import View
from conformance.trace.records import Change

T = TypeVar("T")


class WaitTimedOut(Exception):
    """A wait did not come true within its deadline. `seconds` is the deadline."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not true within {seconds:g} s")
        self.seconds = seconds


class Feed:
    """The world of one tenant as it is known right now.

    `view` is in order of arrival (`History` orders by revision); read it inside `wait`, where it stands still.
    `latest` is the largest revision seen for this tenant, `reached` that of the last wait which came true.
    """

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.view = View(tenant)
        self.latest = 0
        self.reached = 0
        self._revisions: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._changed = threading.Condition()

    def tell(self, changes: list[Change]) -> None:
        """Changes of this tenant arrived, in this order (called by the recorder)."""
        with self._changed:
            for change in changes:
                self.view.apply(change)
                self.latest = max(self.latest, change.revision)
                self._revisions[change.uid] = max(self._revisions.get(change.uid, 0), change.revision)
                if change.type == "DELETED":
                    self._deleted.add(change.uid)
            self._changed.notify_all()

    def wake(self) -> None:
        """Make a waiting story ask `alive` again."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, test: Callable[[View], T | None], seconds: float, alive: Callable[[], None]) -> T:
        """The first result of `test` that is not None, tried now and after every change.

        `alive` is called on every wake-up and ends the wait by raising (Cancelled, HarnessError). Changes that come
        together are tried together, so a state that lasts is never missed; one that passes may be. Raises WaitTimedOut.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                alive()
                result = test(self.view)
                if result is not None:
                    self.reached = self.latest
                    return result
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitTimedOut(seconds)
                self._changed.wait(left)

    def read(self, question: Callable[[View], T]) -> T:
        """The answer to a question about the view, while it stands still."""
        with self._changed:
            return question(self.view)

    def revision_of(self, uid: str) -> int:
        """The latest revision seen of the object with this UID; 0 if it was never seen."""
        return self._revisions.get(uid, 0)

    def was_deleted(self, uid: str) -> bool:
        """Whether the deletion of the object with this UID was seen."""
        return uid in self._deleted
