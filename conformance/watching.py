"""List and watch as a pure state machine: what to ask the API server next, and what its answers mean.

It solves one problem: following every change of one kind through broken connections, expired revisions and repeated
answers, without missing a change silently and without telling one twice. It does no I/O, reads no clock and starts
nothing; threads (the recorder) and tasks (an informer) drive it alike:

    list (page by page) -> watch from the list's revision -> … the stream ends -> watch from the last revision seen
                                                          -> … 410 Gone      -> list again, and tell the difference

The driver does what `next` asks, reports the answer with exactly one of `listed`, `told`, `ended` or `failed`, and
waits `delay` seconds before the next step. Objects are of any type `T`; only their `Item` head is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from conformance.names import Kind

T = TypeVar("T")
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]

GONE: Final = 410
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 5.0
_SHORT_STREAM: Final = 1.0


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """An object and what identifies this state of it; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str
    uid: str
    revision: int
    object: T


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """One change. `implied` marks a deletion that no event showed: it happened at or before the item's revision."""

    type: ChangeType
    item: Item[T]
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Missed:
    """Changes after `after` and up to `until` may be missing: the watch was lost and a list took its place."""

    after: int
    until: int


@dataclass(frozen=True, slots=True)
class AskList:
    """Request a page of a consistent list; `continued` is the server's token for it, empty for the first page."""

    continued: str


@dataclass(frozen=True, slots=True)
class AskWatch:
    """Request a watch with bookmarks of everything after `revision`."""

    revision: int


class Watching(Generic[T]):
    """What is known of one kind.

    `revision` is the one up to which everything has been told (or is covered by a `Missed`).
    """

    __slots__ = ("_continued", "_failures", "_heard", "_known", "_listing", "_page", "revision")

    def __init__(self) -> None:
        self.revision = 0
        self._known: dict[tuple[str, str], Item[T]] = {}
        self._listing, self._continued = True, ""
        self._page: list[Item[T]] = []
        self._failures = 0
        self._heard = False

    @property
    def next(self) -> AskList | AskWatch:
        """What to ask the server now."""
        return AskList(self._continued) if self._listing else AskWatch(self.revision)

    def delay(self, jitter: float) -> float:
        """Seconds to wait before doing so: 0 while all is well, else growing; `jitter` is in [0, 1)."""
        if not self._failures:
            return 0.0
        return min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(self._failures - 1, 16)) * (0.5 + jitter / 2)

    def listed(self, items: Iterable[Item[T]], revision: int, more: str = "") -> list[Seen[T] | Missed]:
        """A page of a list arrived, with the list's revision and the token of the next page, if there is one.

        Nothing is told before the last page: only then are deletions known. A first list tells what exists; a later
        one what differs, after a mark of what may be missing.
        """
        self._page.extend(items)
        self._continued = more
        if more:
            return []
        page, self._page, self._listing = self._page, [], False
        told: list[Seen[T] | Missed] = []
        if self.revision:
            told.append(Missed(self.revision, revision))
        told += self._difference(page, revision)
        self.revision = max(self.revision, revision)
        return told

    def _difference(self, page: list[Item[T]], revision: int) -> list[Seen[T]]:
        present = {(item.namespace, item.name) for item in page}
        told: list[Seen[T]] = []
        for key in [key for key in self._known if key not in present]:
            gone = self._known.pop(key)
            told.append(Seen("DELETED", Item(*key, gone.uid, revision, gone.object), implied=True))
        for item in sorted(page, key=lambda item: item.revision):
            told += self._became(item)
        return told

    def told(self, type_: str, revision: int, item: Item[T] | None = None) -> list[Seen[T]]:
        """A watch event arrived: ADDED, MODIFIED, DELETED or BOOKMARK (ERROR is reported by `failed`).

        Without an item the event only moves the revision on: a bookmark, or an object that the driver passes over.
        An event that is not newer than what is known is dropped.
        """
        self._heard, self._failures = True, 0
        # Equal is not older: keys of one expired etcd lease (Events) are deleted together, at one revision.
        if revision < self.revision:
            return []
        self.revision = revision
        if item is None or type_ == "BOOKMARK":
            return []
        return self._vanished(item) if type_ == "DELETED" else self._became(item)

    def _became(self, item: Item[T]) -> list[Seen[T]]:
        key = (item.namespace, item.name)
        known = self._known.get(key)
        if known is not None and item.revision <= known.revision:
            return []
        self._known[key] = item
        if known is None:
            return [Seen("ADDED", item)]
        if known.uid == item.uid:
            return [Seen("MODIFIED", item)]
        # Its namesake was deleted before it was created, so at the latest one revision earlier.
        gone = Item(*key, known.uid, item.revision - 1, known.object)
        return [Seen("DELETED", gone, implied=True), Seen("ADDED", item)]

    def _vanished(self, item: Item[T]) -> list[Seen[T]]:
        known = self._known.get((item.namespace, item.name))
        if known is None or known.uid != item.uid or item.revision <= known.revision:
            return []
        del self._known[item.namespace, item.name]
        return [Seen("DELETED", item)]

    def ended(self, lasted: float) -> None:
        """The stream ended after `lasted` seconds; the next step resumes it."""
        # A server that closes every watch at once, without a word, must not be asked in a busy loop.
        self._failures = self._failures + 1 if lasted < _SHORT_STREAM and not self._heard else 0
        self._heard = False

    def failed(self, status: int | None) -> None:
        """A request or a stream failed: an HTTP status, an ERROR event's code, or None where nothing answered.

        410 leads to a new list, anything else to another try of the same step. A broken list starts over: its pages
        must be of one revision.
        """
        self._failures += 1
        self._heard = False
        self._listing = self._listing or status == GONE
        self._continued, self._page = "", []


def item_of(obj: dict[str, Any], kind: Kind) -> Item[dict[str, Any]]:
    """The item of a decoded object, which is completed (list items lack kind and apiVersion) and stripped in place."""
    meta = obj["metadata"]
    meta.pop("managedFields", None)
    if kind.name == "Event":
        # Who reported it names the machine it runs on, which nobody who is sent a trace should learn.
        obj.pop("reportingInstance", None)
        obj.pop("deprecatedSource", None)
    obj.setdefault("kind", kind.name)
    obj.setdefault("apiVersion", kind.api_version)
    return Item(meta.get("namespace", ""), meta["name"], meta["uid"], int(meta["resourceVersion"]), obj)
