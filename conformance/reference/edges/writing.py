"""Carrying out what a pass decided: up to 32 requests at once, each with what its answer means for the store.

- A conflict, or an object that is gone, is no error: our picture was old, and the watch brings a newer one.
- Where nobody answered, or the server failed, the write may have been done: it is expected until the watch tells.
- Anything else that fails is tried again by a later pass, after a time that doubles for that object up to 30 s: nothing
  is resent as it was, because by then something else may be right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from conformance.names import KINDS
from conformance.reference.edges import informer, logs
from conformance.reference.edges.connection import MERGE_PATCH, ApiError, Connection, NoAnswer
from conformance.reference.edges.metrics import Metrics
from conformance.reference.edges.store import Store, Where
from conformance.reference.model import Workload
from conformance.reference.writes import Request
from conformance.watching import Item

AT_ONCE: Final = 32
_LONGEST: Final = 30.0
_FIRST: Final = 0.5
_WAIT_FOR_WATCH: Final = 2.0
"""Seconds after which an object is written again although the watch said nothing; doubles like other failures."""
_UNCLEAR: Final = 5.0
"""The same, where it is not known whether the write was done."""
_ENDING: Final = "because it is being terminated"
"""How the API server says that nothing can be created in a namespace any more."""


class Writing:
    """The writes under way. `due` is called whenever a pass is due because of one."""

    def __init__(self, connection: Connection, store: Store, metrics: Metrics, due: Callable[[], None]) -> None:
        self._connection, self._store, self._metrics, self._due = connection, store, metrics, due
        self._places = asyncio.Semaphore(AT_ONCE)
        self._failures: dict[Where, int] = {}
        self._resting: set[Where] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def free(self, request: Request) -> bool:
        """Whether its object may be written now: no other write to it is under way, none failed a moment ago."""
        where = _where(request)
        return where not in self._resting and not self._store.in_flight(*where)

    def send(self, requests: Iterable[Request]) -> list[Request]:
        """Start those that may be written now; the others are decided anew when that changes."""
        sent = []
        for request in requests:
            if not self.free(request):
                continue
            self._store.expect(request)
            task = asyncio.create_task(self._write(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            sent.append(request)
        return sent

    async def finish(self, seconds: float) -> None:
        """Wait for the writes under way, at most that long."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    async def _write(self, request: Request) -> None:
        code = "2xx"
        try:
            async with self._places:
                answer = await self._ask(request)
            self._succeeded(request, None if request.verb == "delete" else informer.item(request.kind, answer))
        except ApiError as error:
            code = str(error.status)
            self._refused(request, error)
        except NoAnswer as error:
            code = "none"
            self._unclear(request, str(error))
        except Exception as error:  # a defect must not leave its object in flight for ever
            code = "defect"
            logs.error("a write failed by a defect", traceback=True, **_fields(request))
            self._failed(request, str(error))
        self._metrics.writes.labels(request.verb, request.kind, code).inc()
        self._due()

    async def _ask(self, request: Request) -> bytes:
        kind, inside = KINDS[request.kind], request.namespace or None
        path = kind.path(inside, request.name, request.subresource or None)
        if request.verb == "create":
            return await self._connection.request("POST", kind.path(inside), request.body)
        if request.verb == "delete":
            return await self._connection.request("DELETE", path, _delete_options(request))
        return await self._connection.request("PATCH", path, request.body, content_type=MERGE_PATCH)

    def _succeeded(self, request: Request, became: Item[Any] | None) -> None:
        where = _where(request)
        if became is not None and _is_gone(became.object):
            became = None
        if became is not None and self._store.changed_nothing(request, became):
            # The next pass would decide the same again, at once and for ever.
            self._failed(request, "the write changed nothing")
            return
        before = self._store.written(request)
        if isinstance(before, Workload) and became is not None and request.subresource == "status":
            self._metrics.changed(before, became.object)
        if not self._store.answered(request, became):
            self._wait_for_watch(where)
        self._failures.pop(where, None)

    def _refused(self, request: Request, error: ApiError) -> None:
        if error.status == 404 and request.verb != "create":
            self._store.missing(request)
        elif error.status == 409:
            self._metrics.conflicts.labels(request.kind).inc()
            if not self._store.failed(request, stale=True):
                self._wait_for_watch(_where(request))
        elif error.status == 403 and _ENDING in error.message:
            self._rest(request, _LONGEST)  # its set will go, too
        elif error.status >= 500:
            self._unclear(request, error.message or str(error), error.status)
        else:
            self._failed(request, error.message or str(error), error.status)

    def _failed(self, request: Request, message: str, status: int | None = None) -> None:
        rest = self._next_rest(_where(request), _FIRST)
        logs.warn("a write failed", error=message, status=status, again_in=rest, **_fields(request))
        self._rest(request, rest)

    def _unclear(self, request: Request, message: str, status: int | None = None) -> None:
        """It may have been done all the same."""
        logs.warn("it is unclear whether a write was done", error=message, status=status, **_fields(request))
        if not self._store.unclear(request):
            self._wait_for_watch(_where(request), _UNCLEAR)

    def _rest(self, request: Request, rest: float) -> None:
        self._store.failed(request, stale=False)
        where = _where(request)
        self._resting.add(where)
        asyncio.get_running_loop().call_later(rest, self._rested, where)

    def _rested(self, where: Where) -> None:
        self._resting.discard(where)
        self._due()

    def _wait_for_watch(self, where: Where, first: float = _WAIT_FOR_WATCH) -> None:
        asyncio.get_running_loop().call_later(self._next_rest(where, first), self._waited, where)

    def _waited(self, where: Where) -> None:
        if self._store.released(*where):
            self._due()

    def _next_rest(self, where: Where, first: float) -> float:
        failures = self._failures[where] = self._failures.get(where, 0) + 1
        return float(min(_LONGEST, first * 2.0 ** min(failures - 1, 16)))


def _is_gone(value: Any) -> bool:
    """Whether this is the last state of an object, whose last finalizer was just taken: the watch tells its end."""
    return isinstance(value, Workload) and value.deleted and not value.finalizers


def _where(request: Request) -> Where:
    return request.kind, (request.namespace, request.name)


def _fields(request: Request) -> dict[str, Any]:
    where = f"{request.namespace}/{request.name}" if request.namespace else request.name
    return {"verb": request.verb, "kind": request.kind, "object": where, "why": request.why}


def _delete_options(request: Request) -> dict[str, Any]:
    same = {"preconditions": {"uid": request.uid}} if request.uid else {}
    return {"kind": "DeleteOptions", "apiVersion": "v1", **same, **(request.body or {})}
