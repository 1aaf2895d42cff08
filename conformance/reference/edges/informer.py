"""Following one kind: a task that drives the shared list+watch state machine and hands on values of the model.

An object is decoded once, from the bytes of its event, into the fields that decide; nothing else of it is kept. What
cannot be decoded although the API server admitted it is told once in the log and left out, so that one object never
hides the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from conformance.names import Kind
from conformance.reference import reading
from conformance.reference.edges import logs
from conformance.reference.edges.connection import ApiError, Connection, NoAnswer
from conformance.watching import GONE, AskList, Item, Missed, Seen, Watching

_IDLE: Final = 150.0
"""Seconds: servers send a bookmark about every minute, so a watch that is silent for longer has lost its connection."""
_PAGE: Final = "500"
_COMPLAIN_AFTER: Final = 5
"""Failures in a row after which the log is told."""

Told = Sequence[Seen[Any] | Missed]


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = "0"
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _Head(msgspec.Struct):
    metadata: _Meta
    code: int | None = None
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion")
    more: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None


_read_event = msgspec.json.Decoder(_Event).decode
_read_head = msgspec.json.Decoder(_Head).decode
_read_list = msgspec.json.Decoder(_List).decode


def item(kind: str, raw: bytes | msgspec.Raw) -> Item[Any] | None:
    """An object as a value with its head; None if it cannot be decoded, which the log is told."""
    meta = _read_head(raw).metadata
    try:
        value = reading.read(kind, raw)
    except Exception:  # whatever somebody wrote into one object, the others must be seen
        where = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        logs.error("an object cannot be read and is left out", traceback=True, kind=kind, object=where)
        return None
    return Item(meta.namespace, meta.name, meta.uid, int(meta.resource_version), value)


class Informer:
    """Follows `kind`, in one namespace or all, as far as a label and a field selector match.

    `deliver` gets what was learnt; `refused` a sentence when we lack the right to list or watch. `synced` is set when
    the first list has been delivered.
    """

    def __init__(
        self,
        connection: Connection,
        kind: Kind,
        *,
        namespace: str = "",
        selector: str = "",
        fields: str = "",
        deliver: Callable[[Kind, Told], None],
        refused: Callable[[str], None],
    ) -> None:
        self.kind, self.namespace = kind, namespace
        self.synced = False
        self._connection, self._deliver, self._refused = connection, deliver, refused
        self._path = kind.path(namespace or None)
        asked = {"labelSelector": selector, "fieldSelector": fields}
        self._query = {key: value for key, value in asked.items() if value}
        self._watching: Watching[Any] = Watching()
        self._failures = 0

    async def run(self) -> None:
        """Follow for ever; cancel to stop."""
        while True:
            try:
                await self._step()
                self._failures = 0
            except ApiError as error:
                self._watching.failed(error.status)
                self._tell(error)
            except (NoAnswer, msgspec.MsgspecError) as error:
                self._watching.failed(None)
                self._tell(error)
            await asyncio.sleep(self._watching.delay(random.random()))

    def _tell(self, error: Exception) -> None:
        if isinstance(error, ApiError) and error.status == GONE:
            return
        self._failures += 1
        if isinstance(error, ApiError) and error.status in (401, 403):
            group = f" in API group {self.kind.group}" if self.kind.group else ""
            self._refused(f"the reference may not list and watch {self.kind.plural}{group}: {error.message}")
        if self._failures == _COMPLAIN_AFTER:
            logs.warn("a kind cannot be watched", kind=self.kind.name, namespace=self.namespace, error=str(error))

    async def _step(self) -> None:
        asked = self._watching.next
        if isinstance(asked, AskList):
            await self._list(asked.continued)
        else:
            await self._watch(asked.revision)

    async def _list(self, continued: str) -> None:
        query = {"limit": _PAGE, **self._query, **({"continue": continued} if continued else {})}
        page = _read_list(await self._connection.request("GET", self._path, query=query))
        items = [known for raw in page.items or () if (known := item(self.kind.name, raw)) is not None]
        told = self._watching.listed(items, int(page.metadata.resource_version), page.metadata.more)
        if not page.metadata.more:
            self.synced = True
            self._deliver(self.kind, told)

    async def _watch(self, revision: int) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": str(revision), **self._query}
        began = time.monotonic()
        async with contextlib.aclosing(self._connection.stream(self._path, query, idle=_IDLE)) as lines:
            async for line in lines:
                event = _read_event(line)
                if event.type == "ERROR":
                    status = _read_head(event.object)
                    raise ApiError(status.code or 0, "", status.message, f"watch of {self.kind.plural}")
                self._event(event)
        self._watching.ended(time.monotonic() - began)

    def _event(self, event: _Event) -> None:
        if event.type == "BOOKMARK":
            self._watching.told(event.type, int(_read_head(event.object).metadata.resource_version))
            return
        known = item(self.kind.name, event.object)
        revision = int(_read_head(event.object).metadata.resource_version) if known is None else known.revision
        told = self._watching.told(event.type, revision, known)
        if told:
            self._deliver(self.kind, told)
