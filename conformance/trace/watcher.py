"""The thread that follows one kind for the recorder: it drives the list+watch state machine over the client seam.

It decides which lines are worth decoding, when a failure is worth telling, and how its stream is ended from outside;
what is done with the changes is the recorder's business.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from conformance.errors import HarnessError
from conformance.kube import ApiError, Kube
from conformance.names import TENANT_LABEL, Kind
from conformance.watching import GONE, AskList, Item, Missed, Seen, Watching, item_of

_IDLE: Final = 150.0
"""Seconds: servers send a bookmark about every minute, so a watch that is silent for longer has lost its connection."""
_OUTAGE: Final = 30.0
"""Seconds without an answer for one kind after which the run is told."""

Object = dict[str, Any]


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = "0"
    namespace: str = ""
    labels: dict[str, str] | None = None

    @property
    def tenant(self) -> str:
        """As `records.tenant_of`, from the metadata alone."""
        return self.namespace or (self.labels or {}).get(TENANT_LABEL, "")


class _Head(msgspec.Struct):
    """As much of an object as decides whether it is recorded; `code` and `message` are those of an ERROR's Status."""

    metadata: _Meta
    code: int | None = None
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    object: _Head


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion")
    more: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw]


_read_event = msgspec.json.Decoder(_Event).decode
_read_head = msgspec.json.Decoder(_Head).decode
_read_list = msgspec.json.Decoder(_List).decode
_read_object = msgspec.json.Decoder(dict[str, Any]).decode


class Watcher(threading.Thread):
    """Follows `kind` until `stopping` is set and `hang_up` called.

    `recorded` says of a tenant's name whether its objects are wanted; `deliver` gets what was learnt; `begun` is called
    once, when the kind is watched (empty text; `served` tells whether its API exists) or cannot be (a sentence);
    `on_error` gets a sentence when, after that, following can no longer be trusted. `page` is a list's page size.
    """

    def __init__(
        self,
        kube: Kube,
        kind: Kind,
        *,
        page: int,
        stopping: threading.Event,
        recorded: Callable[[str], bool],
        deliver: Callable[[Kind, Sequence[Seen[Object] | Missed]], None],
        begun: Callable[[Watcher, str], None],
        on_error: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"record-{kind.plural}", daemon=True)
        self.kind, self.served = kind, True
        self.trouble = ""
        """Why the last try failed; empty while all is well."""
        self._kube, self._page, self._stopping = kube, page, stopping
        self._recorded, self._deliver, self._begun, self._on_error = recorded, deliver, begun, on_error
        self._watching: Watching[Object] = Watching()
        self._has_begun = self._has_complained = False
        self._failing_since: float | None = None
        self._end_stream: Callable[[], None] | None = None
        self._hanging_up = threading.Lock()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
                self._failing_since, self.trouble = None, ""
            except ApiError as error:
                self._watching.failed(error.status)
                if not self._goes_on_after(error):
                    return
            except (HarnessError, msgspec.MsgspecError, OSError) as error:
                self._watching.failed(None)
                self._note(str(error))
            except Exception as error:  # a defect here must end the run, not leave stories waiting for their deadlines
                self._report(f"the recorder of {self.kind.plural} failed: {type(error).__name__}: {error}")
                return
            self._stopping.wait(self._watching.delay(random.random()))

    def _step(self) -> None:
        asked = self._watching.next
        if isinstance(asked, AskList):
            self._list(asked.continued)
        else:
            self._watch(asked.revision)

    def _list(self, continued: str) -> None:
        query: dict[str, Any] = {"limit": self._page, **({"continue": continued} if continued else {})}
        page = _read_list(self._kube.raw("GET", self.kind.path(), query=query))
        wanted = [raw for raw in page.items if self._recorded(_read_head(raw).metadata.tenant)]
        items = [item_of(_read_object(raw), self.kind) for raw in wanted]
        told = self._watching.listed(items, int(page.metadata.resource_version), page.metadata.more)
        self._deliver(self.kind, told)

    def _watch(self, revision: int) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": revision}
        began = time.monotonic()
        for line in self._kube.stream(self.kind.path(), query, idle=_IDLE, opened=self._opened):
            event = _read_event(line)
            if event.type == "ERROR":
                raise ApiError(event.object.code or 0, "", event.object.message, f"watch of {self.kind.plural}")
            self._told(event, line)
        self._watching.ended(time.monotonic() - began)

    def _told(self, event: _Event, line: bytes) -> None:
        meta = event.object.metadata
        item: Item[Object] | None = None
        # Two looks at the lines that are wanted, so that all others are never decoded as a whole.
        if event.type != "BOOKMARK" and self._recorded(meta.tenant):
            item = item_of(_read_object(line)["object"], self.kind)
        told = self._watching.told(event.type, int(meta.resource_version), item)
        if told:
            self._deliver(self.kind, told)

    def _opened(self, end_stream: Callable[[], None]) -> None:
        with self._hanging_up:
            self._end_stream = end_stream
        if self._stopping.is_set():
            self.hang_up()
        self._begin()

    def hang_up(self) -> None:
        """End the stream that is being read, from another thread."""
        with self._hanging_up:
            if self._end_stream is not None:
                with contextlib.suppress(ValueError, RuntimeError, OSError):  # it may have ended by itself
                    self._end_stream()

    def _begin(self, problem: str = "") -> None:
        if not self._has_begun:
            self._has_begun = True
            self._begun(self, problem)

    def _goes_on_after(self, error: ApiError) -> bool:
        """Whether another try makes sense."""
        if error.status == 404 and not self._has_begun:
            self.served = False
            self._begin()
            return False
        if error.status in (401, 403):
            return self._refused(error)
        if error.status != GONE:
            self._note(str(error))
        return True

    def _refused(self, error: ApiError) -> bool:
        group = f" in API group {self.kind.group}" if self.kind.group else ""
        goes_on = self._has_begun
        self._report(
            f"the recorder may not list and watch {self.kind.plural}{group} in the whole cluster: "
            f"grant the verbs list and watch on them to the user of the kubeconfig ({error.message})"
        )
        return goes_on

    def _note(self, trouble: str) -> None:
        self.trouble = trouble
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if self._has_begun and now - self._failing_since > _OUTAGE:
            self._report(f"the recorder has not been able to watch {self.kind.plural} for {_OUTAGE:g} s: {trouble}")

    def _report(self, problem: str) -> None:
        """Fail the start, or tell the run once."""
        if not self._has_begun:
            self._begin(problem)
        elif not self._has_complained and not self._stopping.is_set():
            self._has_complained = True
            self._on_error(problem)
