"""Following kinds and carrying out writes, against a small server that answers as an API server would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from conformance.names import KINDS, SCOPE_LABEL, Kind
from conformance.reference.edges import informer as informers
from conformance.reference.edges import serving
from conformance.reference.edges.connection import Access, Connection
from conformance.reference.edges.following import NAMESPACED, Following
from conformance.reference.edges.informer import Informer, Told
from conformance.reference.edges.lease import Lease
from conformance.reference.edges.metrics import Metrics
from conformance.reference.edges.store import Store
from conformance.reference.edges.writing import Writing
from conformance.reference.model import Snapshot
from conformance.reference.writes import Request
from conformance.watching import Missed, Seen

DEADLINE = 20.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def obj(name: str, revision: int, *, namespace: str = "", uid: str = "", **rest: Any) -> dict[str, Any]:
    meta = {"name": name, "uid": uid or f"u-{name}", "resourceVersion": str(revision)}
    return {"metadata": {**meta, **({"namespace": namespace} if namespace else {})}, **rest}


class Server:
    """Lists and watches by path, from scripts: each list is a page of objects, each watch a list of events.

    A watch without a script stays open. Everything that was asked is in `asked`.
    """

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.watches: dict[str, list[list[dict[str, Any]]]] = {}
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[Any] = []
        self.closing = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((f"{request.method} {request.path}", dict(request.query)))
        if request.method != "GET":
            body = await request.read()
            self.bodies.append(json.loads(body) if body else None)
        if request.query.get("watch"):
            return await self._watch(request)
        if request.method != "GET" or (self.answers and request.path not in self.lists):
            status, answer = self.answers.pop(0)
            return web.json_response(answer, status=status)
        pages = self.lists.get(request.path) or [page([], 1)]
        return web.json_response(pages.pop(0) if len(pages) > 1 else pages[0])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        scripts = self.watches.get(request.path)
        if not scripts:
            await self.closing.wait()
            return response
        for event in scripts.pop(0):
            # In two pieces: a line is not a chunk.
            line = json.dumps(event).encode() + b"\n"
            await response.write(line[:7])
            await response.write(line[7:])
        return response


def page(items: list[dict[str, Any]], revision: int, more: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(revision), "continue": more}, "items": items}


def event(type_: str, object_: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_, "object": object_}


@asynccontextmanager
async def connected(answer: Handler, closing: asyncio.Event | None = None) -> AsyncIterator[Connection]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with AsyncExitStack() as stack:
        port = await serving.serve(stack, app, "127.0.0.1", 0)
        if closing is not None:
            stack.callback(closing.set)
        connection = Connection(Access(f"http://127.0.0.1:{port}", None, lambda: "secret"))
        stack.push_async_callback(connection.close)
        yield connection


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what other tasks do; there is nothing to be notified by."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


def follow(server: Server, kind: str, enough: Callable[[list[Any]], bool], **where: str) -> list[Any]:
    """What an informer tells until it is enough: `(type, name)` of changes, `(after, until)` of gaps."""
    told: list[Any] = []

    def deliver(_: Kind, changes: Told) -> None:
        for change in changes:
            told.append((change.type, change.item.name) if isinstance(change, Seen) else (change.after, change.until))
            assert isinstance(change, Seen | Missed)

    async def followed() -> None:
        async with connected(server.answer, server.closing) as connection:
            informer = Informer(connection, KINDS[kind], deliver=deliver, refused=told.append, **where)
            task = asyncio.create_task(informer.run())
            await until(lambda: enough(told))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(followed())
    return told


PODS = "/api/v1/namespaces/a/pods"


def test_a_list_in_pages_and_then_every_event() -> None:
    """All pages are told together, then each event as it comes; a stream that ends is resumed where it ended."""
    server = Server()
    first, second = obj("p", 1, namespace="a"), obj("q", 2, namespace="a")
    server.lists[PODS] = [page([first], 5, "token"), page([second], 5)]
    server.watches[PODS] = [
        [event("MODIFIED", obj("p", 6, namespace="a")), event("BOOKMARK", obj("", 9))],
        [event("DELETED", obj("q", 10, namespace="a"))],
    ]
    told = follow(server, "Pod", lambda told: len(told) == 4, namespace="a", selector="x=y", fields="f=g")
    assert told == [("ADDED", "p"), ("ADDED", "q"), ("MODIFIED", "p"), ("DELETED", "q")]
    queries = [query for _, query in server.asked]
    assert all((query["labelSelector"], query["fieldSelector"]) == ("x=y", "f=g") for query in queries)
    assert queries[1]["continue"] == "token"
    assert [query["resourceVersion"] for query in queries if "watch" in query][:2] == ["5", "9"]


def test_after_a_revision_that_is_gone_the_difference_is_told() -> None:
    """An expired watch leads to a new list, and what was missed is told as changes."""
    server = Server()
    server.lists[PODS] = [page([obj("p", 1, namespace="a")], 5), page([obj("q", 7, namespace="a")], 8)]
    server.watches[PODS] = [[event("ERROR", {"metadata": {}, "code": 410, "message": "too old"})]]
    told = follow(server, "Pod", lambda told: len(told) == 4, namespace="a")
    assert told == [("ADDED", "p"), (5, 8), ("DELETED", "p"), ("ADDED", "q")]


def test_an_object_that_cannot_be_read_hides_no_other() -> None:
    """One object that is not even of its kind's shape is left out; the others of its list are told."""
    server = Server()
    broken = obj("broken", 1, namespace="a", spec=7)
    server.lists[PODS] = [page([broken, obj("p", 2, namespace="a")], 5)]
    assert follow(server, "Pod", lambda told: bool(told), namespace="a") == [("ADDED", "p")]


def test_a_missing_right_is_one_sentence() -> None:
    """A kind that we may not list is told with what the API server said."""
    server = Server()
    server.answers = [(403, {"reason": "Forbidden", "message": "pods is forbidden"})] * 9
    told = follow(server, "Pod", lambda told: bool(told), namespace="a")
    assert told[0] == "the reference may not list and watch pods: pods is forbidden"


def test_a_scope_follows_the_namespaces_that_carry_it() -> None:
    """What is in a namespace is known all at once, when each of its kinds was listed, and forgotten when it goes."""
    server = Server()
    namespaces, queues = "/api/v1/namespaces", KINDS["LocalQueue"].path("a")
    server.lists[namespaces] = [page([obj("a", 1)], 2)]
    server.lists[queues] = [page([obj("q", 1, namespace="a", spec={"clusterQueue": "cq"})], 2)]
    passes: list[int] = []
    refusals: list[str] = []

    async def followed() -> None:
        async with connected(server.answer, server.closing) as connection:
            store = Store()
            following = Following(
                connection, store, "x", lambda: passes.append(len(store.snapshot().local_queues)), refusals.append
            )
            following.start()
            async with asyncio.timeout(DEADLINE):
                await following.synced.wait()
            assert passes[0] == 1
            assert store.snapshot().local_queues.keys() == {("a", "q")}
            server.watches[namespaces] = [[event("DELETED", obj("a", 9))]]
            server.closing.set()
            await until(lambda: not store.snapshot().local_queues)
            assert store.snapshot().namespaces == {}
            following.stop()
            await asyncio.sleep(0)

    asyncio.run(followed())
    of_scope = {path for path, query in server.asked if query.get("labelSelector") == f"{SCOPE_LABEL}=x"}
    assert f"GET {KINDS['ClusterQueue'].path()}" in of_scope
    assert f"GET {KINDS['Node'].path()}" not in of_scope
    inside = {path for path, _ in server.asked if "/namespaces/a/" in path}
    assert inside == {f"GET {KINDS[kind].path('a')}" for kind in NAMESPACED}


WORKLOAD = obj("w", 7, namespace="a", spec={"podSets": []})
ENDED = {"metadata": {**WORKLOAD["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}
UNCHANGED = obj("w", 5, namespace="a", spec={})


@pytest.mark.parametrize(
    ("verb", "status", "answer", "free"),
    [
        ("create", 201, WORKLOAD, True),
        ("create", 409, {"reason": "AlreadyExists"}, False),
        ("patch", 200, WORKLOAD, True),
        ("patch", 200, UNCHANGED, False),
        ("patch", 200, ENDED, False),
        ("patch", 409, {"reason": "Conflict"}, False),
        ("patch", 404, {"reason": "NotFound"}, True),
        ("patch", 422, {"reason": "Invalid", "message": "no"}, False),
        ("patch", 500, {}, False),
        ("delete", 200, {"kind": "Status", "status": "Success"}, False),
    ],
)
def test_what_an_answer_means(verb: Any, status: int, answer: dict[str, Any], free: bool) -> None:
    """After each answer a pass is due; after one that says our picture is old, or no, the object rests first."""
    server = Server()
    server.answers = [(status, answer)]
    request = Request(verb=verb, kind="Workload", namespace="a", name="w", body={"spec": {}}, uid="u-w")
    due: list[None] = []

    async def written() -> None:
        async with connected(server.answer, server.closing) as connection:
            store = Store()
            if verb != "create":
                known = informers.item("Workload", json.dumps(obj("w", 5, namespace="a", spec={})).encode())
                assert known is not None
                store.told(KINDS["Workload"], [Seen("ADDED", known)])
            metrics = Metrics(Snapshot, lambda: "standalone")
            writing = Writing(connection, store, metrics, lambda: due.append(None))
            assert writing.send([request, request]) == [request]
            assert not writing.free(request)
            await writing.finish(DEADLINE)
            assert writing.free(request) is free
            assert (("a", "w") in store.snapshot().workloads) is (status != 404 and (verb, status) != ("create", 409))
            assert b"reference_writes_total" in metrics.text()

    asyncio.run(written())
    assert due == [None]
    assert len(server.asked) == 1


def test_only_one_candidate_leads_and_a_leader_that_ends_lets_go() -> None:
    """A lease that another one holds and renews is not taken; one that was released is taken at once."""
    stored: dict[str, Any] = {}
    now = [0.0]

    async def leases(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response(stored or {}, status=200 if stored else 404)
        body = await request.json()
        if request.method == "PUT" and body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            return web.json_response({"reason": "Conflict"}, status=409)
        revision = int(stored.get("metadata", {}).get("resourceVersion", "0")) + 1
        stored.clear()
        stored.update(body, metadata={**body["metadata"], "resourceVersion": str(revision)})
        return web.json_response(stored)

    async def contend() -> list[tuple[bool, bool]]:
        states: list[tuple[bool, bool]] = []
        async with connected(leases) as connection:
            pair = [Lease(connection, "a", "l", lambda: None, clock=lambda: now[0]) for _ in range(2)]
            steps: list[Callable[[], Awaitable[None]]] = [
                pair[0].attempt, pair[1].attempt, pair[0].attempt, pair[1].attempt, pair[0].release, pair[1].attempt
            ]  # fmt: skip
            for step in steps:
                now[0] += 8.0
                await step()
                states.append((pair[0].leads, pair[1].leads))
            now[0] += 16.0
            await pair[0].attempt()
            states.append((pair[0].leads, pair[1].leads))
            await pair[0].attempt()
            now[0] += 16.0
            await pair[0].attempt()
            await pair[1].attempt()
            states.append((pair[0].leads, pair[1].leads))
        return states

    assert asyncio.run(contend()) == [
        (True, False), (True, False), (True, False), (True, False), (False, False), (False, True),
        # It looks for the first time since, and cannot know for how long the lease has not changed.
        (False, True),
        # Nothing was renewed for longer than it lasts: it is taken, and its former holder is told so by a conflict.
        (True, False),
    ]  # fmt: skip
