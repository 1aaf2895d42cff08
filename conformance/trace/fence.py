"""The fence: proof that the trace holds everything of a tenant up to a revision, before anything is judged.

A watch says what happened, never that nothing else did. So the tenant is listed consistently once more, and the fence
holds when the feed has told all that the lists show.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from conformance.errors import HarnessError
from conformance.kube import ApiError, Kube
from conformance.names import KINDS, TENANT_LABEL
from conformance.trace import records
from conformance.trace.history import View
from conformance.trace.recorder import Recorder
from conformance.trace.waiting import Feed, WaitTimedOut


class _Meta(msgspec.Struct, rename="camel"):
    name: str
    uid: str
    resource_version: str


class _Listed(msgspec.Struct):
    metadata: _Meta


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[_Listed]


_read_list = msgspec.json.Decoder(_List).decode


def fence(
    kube: Kube,
    recorder: Recorder,
    feed: Feed,
    tenant: str,
    story: str,
    after: Literal["told", "cleaned"],
    seconds: float,
    alive: Callable[[], None],
) -> records.Fence:
    """List the tenant, wait until the feed has caught up with the lists, and write and return the Fence record.

    Events are left out: nothing is judged by them alone. Raises HarnessError, naming what differs, when the feed has
    not caught up within `seconds`, and whatever `alive` raises.
    """
    known = {uid: (kind, name) for kind, name, uid in _known(feed, recorder.kinds, alive)}
    lists = {kind: _list(kube, kind, tenant) for kind in recorder.kinds if kind != "Event"}

    def difference(_: View) -> str | None:
        return _difference(feed, known, lists)

    try:
        feed.wait(lambda view: True if difference(view) is None else None, seconds, alive)
    except WaitTimedOut:
        raise HarnessError(
            f"the trace of {tenant} did not catch up with the cluster within {seconds:g} s: "
            f"{feed.read(difference) or 'it did just after'}; run the story again, or allow more time with --slow"
        ) from None
    # Why the smallest: the lists are taken one after another, so a change of one kind may lie between two of them. Up
    # to the smallest revision every kind was listed and found complete; between it and the largest, changes of the
    # kinds that were listed first may be missing. (The lists are consistent reads, so the smallest is not older than
    # anything that the feed had told when the fence began, and no moment of the story is cut off.) What the lists
    # cannot show is an object that came and went while its watch event is still under way, that is, within the watch
    # lag before the list; every later event of its kind that the feed has, has brought it along.
    revision = min((int(answer.metadata.resource_version) for answer in lists.values()), default=feed.latest)
    found = records.Fence(received=time.time(), story=story, after=after, revision=revision)
    recorder.write(found)
    return found


def _known(feed: Feed, kinds: list[str], alive: Callable[[], None]) -> list[tuple[str, str, str]]:
    """(kind, name, uid) of everything that exists as far as the feed has told."""

    def names(view: View) -> list[tuple[str, str, str]]:
        return [
            (kind, o["metadata"]["name"], o["metadata"]["uid"])
            for kind in kinds
            if kind != "Event"
            for o in view.all(kind)
        ]

    alive()
    return feed.read(names)


def _list(kube: Kube, kind: str, tenant: str) -> _List:
    resource = KINDS[kind]
    query = None if resource.namespaced else {"labelSelector": f"{TENANT_LABEL}={tenant}"}
    try:
        return _read_list(kube.raw("GET", resource.path(tenant), query=query))
    except ApiError as error:
        raise HarnessError(f"cannot list {resource.plural} of tenant {tenant} for its fence: {error}") from error


def _difference(feed: Feed, known: dict[str, tuple[str, str]], lists: dict[str, _List]) -> str | None:
    """The first thing that the lists show and the feed has not told, as half a sentence."""
    listed: set[str] = set()
    for kind, answer in lists.items():
        for item in answer.items:
            meta = item.metadata
            listed.add(meta.uid)
            seen = feed.revision_of(meta.uid)
            if seen < int(meta.resource_version):
                holds = f"revision {seen}" if seen else "nothing"
                return f"{kind} {meta.name} is at revision {meta.resource_version}, the trace holds {holds}"
    for uid, (kind, name) in known.items():
        if uid not in listed and not feed.was_deleted(uid):
            return f"{kind} {name} is gone, the trace holds no deletion of it"
    return None
