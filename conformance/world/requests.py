"""Resource amounts as stories write them: whole millicores and whole GPUs, so that sums are exact and readable."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.names import GPU


@dataclass(frozen=True)
class Requests:
    """An amount of cpu (in millicores) and of nvidia.com/gpu. Zero means: not mentioned at all."""

    cpu: int = 0
    gpu: int = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.cpu + other.cpu, self.gpu + other.gpu)

    def __mul__(self, times: int) -> Requests:
        return Requests(self.cpu * times, self.gpu * times)

    def quantities(self) -> dict[str, str]:
        """As a resource list of the Kubernetes API."""
        return ({"cpu": f"{self.cpu}m"} if self.cpu else {}) | ({GPU: str(self.gpu)} if self.gpu else {})


@dataclass(frozen=True)
class Quota:
    """A ClusterQueue's nominal quota: so many groups of the set it is given with, plus a fixed amount."""

    groups: int = 0
    extra: Requests = Requests()

    def __add__(self, other: Quota) -> Quota:
        return Quota(self.groups + other.groups, self.extra + other.extra)

    def for_group(self, group: Requests) -> Requests:
        """The amount, when a group asks for `group`."""
        return group * self.groups + self.extra


def groups(count: int) -> Quota:
    """Room for this many groups."""
    return Quota(groups=count)


def room(*, cpu: int = 0, gpu: int = 0) -> Quota:
    """A fixed amount of room, in millicores and GPUs."""
    return Quota(extra=Requests(cpu, gpu))


CANARY = Requests(cpu=10)
canary_room = Quota(extra=CANARY)
"""Room that is left for the canary, whatever the groups under test do."""
