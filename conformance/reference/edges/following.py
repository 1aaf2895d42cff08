"""Which kinds are followed, where: everything of one scope, or of the whole cluster.

What is in a namespace is told to the store only when all its kinds have been listed: a Workload whose LeaderWorkerSet
is not known yet looks like one whose set was deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from conformance.names import KINDS, SCOPE_LABEL, Kind
from conformance.reference.edges import logs
from conformance.reference.edges.connection import Connection
from conformance.reference.edges.informer import Informer, Told
from conformance.reference.edges.store import Store
from conformance.watching import Missed, Seen

SCOPED: Final = ("ClusterQueue", "Cohort", "ResourceFlavor", "Topology", "AdmissionCheck", "Namespace")
"""Cluster-scoped kinds of which an instance knows those that carry its scope."""
COMMON: Final = ("Node", "WorkloadPriorityClass", "PriorityClass", "RuntimeClass")
"""Cluster-scoped kinds that all instances share."""
NAMESPACED: Final = ("LeaderWorkerSet", "Workload", "Pod", "LocalQueue", "LimitRange")
_AGAIN: Final = 1.0


class _Part:
    """Informers whose first lists are delivered together."""

    def __init__(self, deliver: Callable[[Kind, Told], None], complete: Callable[[], None]) -> None:
        self.complete = False
        self._deliver, self._completed = deliver, complete
        self._held: list[tuple[Kind, Told]] = []
        self._informers: list[Informer] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, informers: Iterable[Informer]) -> None:
        self._informers = list(informers)
        self._tasks = [asyncio.create_task(_for_ever(informer)) for informer in self._informers]

    def learnt(self, kind: Kind, told: Told) -> None:
        if self.complete:
            self._deliver(kind, told)
            return
        self._held.append((kind, told))
        if all(informer.synced for informer in self._informers):
            self.complete = True
            held, self._held = self._held, []
            for each, changes in held:
                self._deliver(each, changes)
            self._completed()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _for_ever(informer: Informer) -> None:
    while True:
        try:
            await informer.run()
        except Exception:  # a defect in following one kind must not go unseen, nor end it
            logs.error("an informer failed by a defect", traceback=True, kind=informer.kind.name)
            await asyncio.sleep(_AGAIN)


class Following:
    """Keeps the store up to date.

    `due` is called when a pass is due, `refused` with a sentence when a right is missing.
    `synced` is set when everything that there was at the start is in the store.
    """

    def __init__(
        self,
        connection: Connection,
        store: Store,
        scope: str,
        due: Callable[[], None],
        refused: Callable[[str], None],
    ) -> None:
        self.synced = asyncio.Event()
        self._connection, self._store, self._scope = connection, store, scope
        self._due, self._refused = due, refused
        self._cluster = _Part(self._learnt, self._check)
        self._namespaces: dict[str, _Part] = {}

    def start(self) -> None:
        """Begin; `stop` ends it."""
        selector = f"{SCOPE_LABEL}={self._scope}" if self._scope else ""
        informers = [self._informer(self._cluster, kind, selector=selector) for kind in SCOPED]
        informers += [self._informer(self._cluster, kind) for kind in COMMON]
        if not self._scope:
            # What a control plane runs on is no workload of anybody's; but its pods take room on nodes.
            outside = {"LeaderWorkerSet": "metadata.namespace!=kube-system"}
            informers += [self._informer(self._cluster, kind, fields=outside.get(kind, "")) for kind in NAMESPACED]
        self._cluster.start(informers)

    def stop(self) -> None:
        for part in (self._cluster, *self._namespaces.values()):
            part.stop()

    def _informer(self, part: _Part, kind: str, **where: str) -> Informer:
        return Informer(self._connection, KINDS[kind], deliver=part.learnt, refused=self._refused, **where)

    def _learnt(self, kind: Kind, told: Told) -> None:
        if self._store.told(kind, told) and self.synced.is_set():
            self._due()
        if kind.name == "Namespace" and self._scope:
            for change in told:
                self._namespace(change)

    def _namespace(self, change: Seen[Any] | Missed) -> None:
        if isinstance(change, Missed):
            return
        name = change.item.name
        if change.type == "DELETED":
            self._leave(name)
        elif name not in self._namespaces:
            part = self._namespaces[name] = _Part(self._learnt, self._check)
            part.start([self._informer(part, kind, namespace=name) for kind in NAMESPACED])

    def _leave(self, name: str) -> None:
        part = self._namespaces.pop(name, None)
        if part is not None:
            part.stop()
            for kind in NAMESPACED:
                self._store.forget(KINDS[kind], name)
            self._check()

    def _check(self) -> None:
        """Something was completed: is everything?"""
        if self._cluster.complete and all(part.complete for part in self._namespaces.values()):
            self.synced.set()
        if self.synced.is_set():
            self._due()
