"""The subjects of expectations: a group, a whole LeaderWorkerSet, a ClusterQueue, a LocalQueue, found in one state.

Names are the story's own short names; objects are found by meaning (owner UID, group index), never by computed names.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.names import LWS_DOMAIN, SET_NAME, WORKER_INDEX
from conformance.trace.history import View, annotations_of, is_over, labels
from conformance.trace.records import Answer, Object


@dataclass(frozen=True)
class Group:
    """One group (replica) of a LeaderWorkerSet in one state."""

    view: View
    set_name: str
    index: int

    @property
    def title(self) -> str:
        return f"Group {self.view.tenant}/{self.set_name}-{self.index}"

    @property
    def lws(self) -> Object | None:
        return self.view.get("LeaderWorkerSet", self.set_name)

    @property
    def workload(self) -> Object | None:
        return self.view.workload_of_group(self.set_name, self.index)

    @property
    def pods(self) -> list[Object]:
        """The group's pods that are neither terminating nor finished."""
        return [pod for pod in self.view.pods_of_group(self.set_name, self.index) if not is_over(pod)]

    @property
    def leaders(self) -> list[Object]:
        return [pod for pod in self.pods if labels(pod).get(WORKER_INDEX) == "0"]

    @property
    def workers(self) -> list[Object]:
        return [pod for pod in self.pods if labels(pod).get(WORKER_INDEX) != "0"]

    @property
    def last_worker(self) -> Object:
        """The worker of the highest index. Raises ValueError if there is no worker."""
        return max(self.workers, key=lambda pod: int(labels(pod).get(WORKER_INDEX, "0")))

    @property
    def size(self) -> int:
        """How many pods a whole group has."""
        lws = self.lws
        if lws is not None:
            return int(lws["spec"]["leaderWorkerTemplate"].get("size", 1))
        return max((int(annotations_of(pod).get(f"{LWS_DOMAIN}/size", 1)) for pod in self.pods), default=1)


@dataclass(frozen=True)
class WholeSet:
    """A LeaderWorkerSet with everything that belongs to it, in one state."""

    view: View
    name: str

    @property
    def title(self) -> str:
        return f"LeaderWorkerSet {self.view.tenant}/{self.name}"

    @property
    def lws(self) -> Object | None:
        return self.view.get("LeaderWorkerSet", self.name)

    @property
    def workloads(self) -> list[Object]:
        uid = self.view.last_uid("LeaderWorkerSet", self.name)
        return self.view.owned_workloads(uid) if uid else []

    @property
    def pods(self) -> list[Object]:
        """Every pod of the set, terminating ones included."""
        return self.view.pods_of_set(self.name)

    def labelled(self, kind: str) -> list[Object]:
        """Objects of a kind that carry the set's name, as LeaderWorkerSet labels what it makes for a set."""
        return [obj for obj in self.view.all(kind) if labels(obj).get(SET_NAME) == self.name]

    @property
    def replicas(self) -> int:
        return int(self.lws["spec"].get("replicas", 1)) if self.lws is not None else 0

    def group(self, index: int) -> Group:
        return Group(self.view, self.name, index)


@dataclass(frozen=True)
class Queue:
    """A ClusterQueue or a LocalQueue in one state."""

    view: View
    kind: str
    name: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def object(self) -> Object | None:
        return self.view.get(self.kind, self.name)


@dataclass(frozen=True)
class OfGroup:
    """The subject "group INDEX of SET"."""

    set_name: str
    index: int

    @property
    def title(self) -> str:
        return f"group {self.index} of {self.set_name}"

    def bind(self, view: View) -> Group:
        return Group(view, self.set_name, self.index)


@dataclass(frozen=True)
class OfSet:
    """The subject "LeaderWorkerSet NAME"."""

    name: str

    @property
    def title(self) -> str:
        return f"LeaderWorkerSet {self.name}"

    def bind(self, view: View) -> WholeSet:
        return WholeSet(view, self.name)


@dataclass(frozen=True)
class OfQueue:
    """The subject "ClusterQueue NAME" or "LocalQueue NAME"."""

    kind: str
    name: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    def bind(self, view: View) -> Queue:
        return Queue(view, self.kind, self.name)


@dataclass(frozen=True)
class OfRequest:
    """The subject "a request that the story tried", which is the same in every state: its answer."""

    answer: Answer

    @property
    def title(self) -> str:
        return f"request {self.answer.label!r}"

    def bind(self, view: View) -> Answer:
        return self.answer
