"""What a story holds in its hand: a LeaderWorkerSet, a group, a queue. Each can be waited for; sets can be changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from conformance.errors import HarnessError
from conformance.expectations.model import Expectation, Subject
from conformance.expectations.subjects import Group, OfGroup, OfQueue, OfSet, Queue, WholeSet
from conformance.kube import JSON_PATCH, MERGE_PATCH, Object
from conformance.trace.history import View
from conformance.world.builders import SetSpec

if TYPE_CHECKING:
    from conformance.world.tenant import Tenant

S = TypeVar("S")


class WaitFailed(Exception):
    """A wait of a story did not come true within its deadline; the story stops here."""

    def __init__(self, reason: str, *, moment: str | None, promised: bool, mismatches: list[dict[str, str]]) -> None:
        super().__init__(reason)
        self.reason, self.moment, self.promised, self.mismatches = reason, moment, promised, mismatches


@dataclass(frozen=True)
class Handle(Generic[S]):
    """A subject of a story that can be waited for."""

    tenant: Tenant
    subject: Subject[S]

    def eventually(self, *expectations: Expectation[S], moment: str) -> None:
        """Wait until all of them hold, as a requirement promises; mark the moment. If not, that claim fails."""
        self.tenant.wait(self.subject, expectations, moment=moment, promised=True)

    def reached(self, *expectations: Expectation[S], moment: str | None = None) -> None:
        """Wait until all of them hold, which no requirement promises here; what follows is inconclusive if not."""
        self.tenant.wait(self.subject, expectations, moment=moment, promised=False)

    def now(self, expectation: Expectation[S]) -> bool:
        """Whether it holds in the latest state that was seen: to choose how the story goes on, never a verdict."""
        return expectation.holds(self.subject, self.tenant.feed.view)

    @property
    def found(self) -> S:
        """The subject in the latest state that was seen: to act on what it consists of, never a verdict."""
        return self.subject.bind(self.tenant.feed.view)


@dataclass(frozen=True)
class GroupHandle(Handle[Group]):
    """One group of a set."""

    def set_active(self, active: bool) -> None:
        """Deactivate the group's Workload, or make it active again."""
        if (workload := self.found.workload) is None:
            raise HarnessError(f"{self.subject.title} has no Workload to set spec.active of")
        self.tenant.patch("Workload", workload["metadata"]["name"], {"spec": {"active": active}})


@dataclass(frozen=True)
class QueueHandle(Handle[Queue]):
    """A ClusterQueue or LocalQueue of the tenant."""


@dataclass(frozen=True)
class SetHandle(Handle[WholeSet]):
    """A LeaderWorkerSet that the story created."""

    spec: SetSpec

    def group(self, index: int) -> GroupHandle:
        return GroupHandle(self.tenant, OfGroup(self.spec.name, index))

    def scale(self, replicas: int) -> None:
        """Set `spec.replicas`."""
        self.edit({"spec": {"replicas": replicas}})

    def edit(self, patch: Object) -> None:
        """Apply a merge patch to the set."""
        self.tenant.patch("LeaderWorkerSet", self.spec.name, patch, content_type=MERGE_PATCH)

    def roll(self, image: str) -> None:
        """Give every container of its templates another image."""
        templates = {
            name: {"spec": {"containers": [one | {"image": image} for one in template["spec"]["containers"]]}}
            for name, template in self.spec.object["spec"]["leaderWorkerTemplate"].items()
            if name in ("leaderTemplate", "workerTemplate")
        }
        self.edit({"spec": {"leaderWorkerTemplate": templates}})

    def try_edit(self, label: str, patch: Any, *, dry_run: bool = False) -> None:
        """Try to patch the set, by a merge patch or by the operations of a JSON patch.

        The answer is recorded, whatever it is; a dry run leaves the set as it is.
        """
        content_type = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH
        query = {"dryRun": "All"} if dry_run else {}
        ground, kind, name = self.tenant.ground, "LeaderWorkerSet", self.spec.name
        self.tenant.attempt(
            label,
            "patch",
            kind,
            name,
            lambda: ground.kube.patch(kind, name, self.tenant.name, patch, content_type=content_type, **query),
            dry_run=dry_run,
        )

    def delete(self) -> None:
        """Delete it in the background, as `kubectl delete` does."""
        self.tenant.delete("LeaderWorkerSet", self.spec.name)


def set_handle(tenant: Tenant, spec: SetSpec) -> SetHandle:
    return SetHandle(tenant, OfSet(spec.name), spec)


def queue_handle(tenant: Tenant, kind: str, name: str) -> QueueHandle:
    return QueueHandle(tenant, OfQueue(kind, name))


def mismatches(subject: Subject[S], expectations: tuple[Expectation[S], ...], view: View) -> list[dict[str, str]]:
    """What stands between a state and the expectations, as plain data."""
    found: list[dict[str, str]] = []
    for expectation in expectations:
        observations = expectation.observe(subject, view)
        if not observations:
            nothing = {
                "object": subject.title,
                "field": "",
                "expected": expectation.sentence,
                "observed": "nothing to judge",
            }
            found.append(nothing | {"expectation": expectation.name})
        for seen in observations:
            if not seen.holds:
                shown = {
                    "object": seen.object,
                    "field": seen.field,
                    "expected": seen.expected,
                    "observed": seen.observed,
                }
                found.append(shown | {"expectation": expectation.name})
    return found
