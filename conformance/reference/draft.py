"""A pass in the making: the snapshot, and on top of it what the pass has decided so far.

Each step of a pass sees what the steps before it decided, and changes Workloads and pods as values. What is to be
written is worked out at the end, once per object, from its first and last value (`writes`); so two decisions about one
object cost one request, and a decision that another one undoes costs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.reference.model import GroupKey, Key, Pod, Rules, Snapshot, Workload


@dataclass
class Draft:
    """One pass. `now` is the only clock there is."""

    snapshot: Snapshot
    now: float
    rules: Rules = field(default_factory=Rules)
    created: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """Workload objects to create."""
    workloads: dict[Key, Workload] = field(default_factory=dict)
    """Workloads that were changed, as they are to become."""
    pods: dict[Key, Pod] = field(default_factory=dict)
    """Pods that were changed, as they are to become."""
    deleted_workloads: dict[Key, Workload] = field(default_factory=dict)
    deleted_pods: dict[Key, Pod] = field(default_factory=dict)
    wake_at: float | None = None
    """When the next pass is due although nothing changes."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What steps keep for each other during this pass, by the name of the module that keeps it."""

    def workload(self, key: Key) -> Workload | None:
        """A Workload as it is to become; None if there is none or it is to be deleted."""
        if key in self.deleted_workloads:
            return None
        return self.workloads.get(key) or self.snapshot.workloads.get(key)

    def all_workloads(self) -> Iterator[Workload]:
        """Every Workload as it is to become, those to be deleted included as long as they hold a finalizer."""
        for key, workload in self.snapshot.workloads.items():
            yield self.workloads.get(key, workload)

    def put(self, workload: Workload) -> None:
        """Decide that a Workload becomes this."""
        self.workloads[workload.key] = workload

    def delete_workload(self, workload: Workload) -> None:
        self.deleted_workloads[workload.key] = workload

    def pods_of(self, group: GroupKey) -> list[Pod]:
        """The pods of one group as they are to become, without those to be deleted; terminating ones are there."""
        found = self.snapshot.pods.get(group, {})
        return [self.pods.get(key, pod) for key, pod in found.items() if key not in self.deleted_pods]

    def put_pod(self, pod: Pod) -> None:
        self.pods[pod.key] = pod

    def delete_pod(self, pod: Pod) -> None:
        self.deleted_pods[pod.key] = pod

    def wake(self, at: float) -> None:
        """Ask for a pass at that time at the latest."""
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = at
