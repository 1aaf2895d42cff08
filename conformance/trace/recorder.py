"""The recorder: every change of every tenant's objects, written to the trace and shown to the story that waits for it.

One thread per kind drives the list+watch state machine of `conformance.watching`. What belongs to no followed tenant is
passed over after a look at its metadata, so that a busy cluster costs little and its secrets never reach a trace. The
recorder's work ends with a line in the file and a change in a `Feed`; what a wait means, and judging, are elsewhere.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from conformance.errors import HarnessError
from conformance.kube import Kube
from conformance.names import KINDS, RECORDED, Kind
from conformance.trace.records import Change, Gap, Header, Record, decode, encode, tenant_of
from conformance.trace.tracefile import TraceFile
from conformance.trace.waiting import Feed, WaitTimedOut
from conformance.trace.watcher import Watcher
from conformance.trace.watchlag import measure_lag
from conformance.watching import Missed, Seen

__all__ = ["Feed", "Recorder", "WaitTimedOut"]

_PAGE: Final = 1000


class Recorder:
    """Records the kinds named by `kinds` for all followed tenants into the file `path`.

    `ordered` says whether revisions of different kinds are comparable (one etcd). `on_error` gets one sentence, from
    any thread, when recording can no longer be trusted: a full disk, a lost right, a server that does not answer.
    `page` is how many objects a list asks for at a time.
    """

    def __init__(
        self,
        kube: Kube,
        path: Path,
        *,
        run: str,
        ordered: bool,
        kinds: Sequence[str] = RECORDED,
        on_error: Callable[[str], None],
        page: int = _PAGE,
    ) -> None:
        self.kube, self.run, self.ordered = kube, run, ordered
        self.kinds: list[str] = list(kinds)
        """The kinds that are recorded; after `start` only those that the cluster serves."""
        self.left_out: list[str] = []
        """The kinds whose API the cluster does not serve."""
        self.lag = 0.0
        """The measured watch lag in seconds; 0 where nobody needs it, because revisions order all kinds."""
        self._on_error, self._page = on_error, page
        self._file = TraceFile(path, on_error)
        self._feeds: dict[str, Feed | None] = {}
        self._lines: dict[tuple[str, str], list[bytes]] = {}
        self._stopping = threading.Event()
        self._begun: queue.SimpleQueue[tuple[Watcher, str]] = queue.SimpleQueue()
        self._watchers: list[Watcher] = []

    def start(self, seconds: float) -> None:
        """Open the trace and return once every kind has been listed and is watched.

        Raises HarnessError: a right is missing, the file cannot be written, or the server did not answer in `seconds`.
        """
        self._file.open()
        self._watchers = [self._watcher(KINDS[name]) for name in self.kinds]
        for watcher in self._watchers:
            watcher.start()
        try:
            self._until_all_have_begun(seconds)
            self.lag = 0.0 if self.ordered else measure_lag(self.kube, self.run)
        except BaseException:
            self.stop()
            raise
        self.write(Header(run=self.run, ordered=self.ordered, lag=self.lag))

    def _watcher(self, kind: Kind) -> Watcher:
        return Watcher(
            self.kube,
            kind,
            page=self._page,
            stopping=self._stopping,
            recorded=self._feeds.__contains__,
            deliver=self._deliver,
            begun=lambda watcher, problem: self._begun.put((watcher, problem)),
            on_error=self._on_error,
        )

    def _until_all_have_begun(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        missing = {watcher.kind.name: watcher for watcher in self._watchers}
        while missing:
            try:
                watcher, problem = self._begun.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                trouble = next((w.trouble for w in missing.values() if w.trouble), "no answer yet")
                raise HarnessError(
                    f"the recorder could not list and watch {', '.join(missing)} within {seconds:g} s ({trouble}): "
                    "see whether the API server is healthy, or allow more time with --slow"
                ) from None
            if problem:
                raise HarnessError(problem)
            if not watcher.served:
                self.kinds.remove(watcher.kind.name)
                self.left_out.append(watcher.kind.name)
            del missing[watcher.kind.name]

    def follow(self, tenant: str) -> Feed:
        """Record this tenant from now on. Call it before the tenant's namespace exists, so that nothing is missed."""
        feed = Feed(tenant)
        self._feeds[tenant] = feed
        return feed

    def unfollow(self, tenant: str) -> None:
        """Nobody waits for this tenant any more. Its stragglers are still recorded: its name is never used again."""
        self._feeds[tenant] = None

    def write(self, record: Record) -> None:
        """Append one line, from any thread. Lines after `stop` are dropped."""
        line = encode(record)
        self._lines.setdefault(_owner(record), []).append(line)
        self._file.append(line)

    def flush(self) -> None:
        """Bring everything written so far to the file."""
        self._file.flush()

    def records_of(self, story: str, tenant: str) -> list[Record]:
        """What was written of one story, as `records.of_story` picks it, from memory.

        Decoding the whole file for every story would cost seconds of a run.
        """
        owners = (("", ""), ("story", story), ("tenant", tenant))
        return [decode(line) for owner in owners for line in list(self._lines.get(owner, ()))]

    def forget(self, story: str, tenant: str) -> None:
        """Nobody will ask for this story again: free its memory, and record no straggler of its tenant.

        The file keeps what it has."""
        self._feeds.pop(tenant, None)
        for owner in (("story", story), ("tenant", tenant)):
            self._lines.pop(owner, None)

    def wake(self) -> None:
        """Make every waiting story ask whether the run is still alive."""
        for feed in list(self._feeds.values()):
            if feed is not None:
                feed.wake()

    def stop(self) -> None:
        """End all threads and close the trace. May be called twice."""
        self._stopping.set()
        for watcher in self._watchers:
            watcher.hang_up()
        for watcher in self._watchers:
            # The longest that a thread can still be busy is with one list, which has the client's timeout.
            watcher.join(self.kube.timeout)
        self._file.close()

    def _deliver(self, kind: Kind, told: Sequence[Seen[dict[str, Any]] | Missed]) -> None:
        """Write down what a watcher learnt, then show it to the stories: in the file a moment follows its changes."""
        received = time.time()
        of_tenant: dict[str, list[Change]] = {}
        for entry in told:
            if isinstance(entry, Missed):
                self.write(Gap(received, kind.name, entry.after, entry.until))
                continue
            change = _change(kind, entry, received)
            self.write(change)
            of_tenant.setdefault(tenant_of(change), []).append(change)
        for tenant, changes in of_tenant.items():
            feed = self._feeds.get(tenant)
            if feed is not None:
                feed.tell(changes)


def _owner(record: Record) -> tuple[str, str]:
    match record:
        case Change():
            return ("tenant", tenant_of(record))
        case Gap() | Header():
            return ("", "")
        case _:
            return ("story", record.story)


def _change(kind: Kind, seen: Seen[dict[str, Any]], received: float) -> Change:
    item = seen.item
    return Change(
        received=received,
        type=seen.type,
        kind=kind.name,
        namespace=item.namespace,
        name=item.name,
        uid=item.uid,
        revision=item.revision,
        object=item.object,
        implied=seen.implied,
    )
