"""The table of topology vectors: racks, one group, and exactly the places that are legal for it.

A vector is a promise in numbers. `legal` has every outcome that fits, found by exhaustive search (which a test does
again); a vector without one must stay gated. Vectors in which something happens in between are stories of their own, in
`test_vectors` and `test_topology`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from conformance.names import BLOCK, HOSTNAME, RACK
from conformance.world.builders import SetSpec, leader_worker_set
from conformance.world.requests import Requests

V1_RACKS: Final = "r1: h1 4000/1, h2 4000/1; r2: h3 4000/1, h4 4000/1"
"""The cluster of vector V1: each rack has room for the GPUs of one group."""
TWO_BLOCKS: Final = (
    "b1/r1: h1 4000/1, h2 4000/1; b1/r2: h3 4000/1, h4 4000/1; b2/r1: h5 4000/1, h6 4000/1; b2/r2: h7 4000/1, h8 4000/1"
)
"""The cluster of vector V6: two racks in each block, with names that the blocks share."""
ONE_GPU: Final = Requests(gpu=1)


def leader_on(hosts: str, *, workers: str) -> tuple[str, ...]:
    """The outcomes in which the leader is on any of these hosts, and the workers are on these."""
    return tuple(f"leader {host}; workers {workers}" for host in hosts.split())


@dataclass(frozen=True)
class Vector:
    """One vector, or one half of one.

    `given` and `then` are the published sentences of its story and its claim; `taken` is what pods that Kueue does not
    manage use of a host.
    """

    id: str
    name: str
    given: str
    then: str
    layout: str
    set: SetSpec
    legal: tuple[str, ...] = ()
    taken: Mapping[str, Requests] = field(default_factory=dict)

    @property
    def both_orders(self) -> bool:
        """Whether it is also told with its nodes last: what is taken of a host needs the host first, and of a group
        that waits nobody could say that it was tried again."""
        return bool(self.legal) and not self.taken


def _set(size: int, leader: Requests | None, worker: Requests, **topology: str | bool) -> SetSpec:
    asked = topology if topology.keys() & {"required", "preferred"} else topology | {"required": RACK}
    return leader_worker_set(size=size, leader=leader, worker=worker, **asked)  # type: ignore[arg-type]


V1_SET: Final = _set(3, Requests(cpu=100), ONE_GPU)
"""The group of vector V1: a leader of 100m and two workers of one GPU each, in one rack."""
V1_R1: Final = leader_on("h1 h2", workers="h1 h2")
V1_R2: Final = leader_on("h3 h4", workers="h3 h4")
_B1: Final = leader_on("h1 h2 h3 h4", workers="h1 h2 h3 h4")
_B2: Final = leader_on("h5 h6 h7 h8", workers="h5 h6 h7 h8")


def _four_gpus(level: str) -> SetSpec:
    return _set(5, Requests(cpu=100), ONE_GPU, required=level)


VECTORS: Final = (
    Vector(
        "V4",
        "leader_is_counted",
        "one rack has room for the workers alone, the other for leader and workers.",
        "all three pods are in r2, since r1 has no room for the leader beside the workers.",
        "r1: h1 2000; r2: h2 3000",
        _set(3, Requests(cpu=1000), Requests(cpu=1000)),
        leader_on("h2", workers="h2 h2"),
    ),
    Vector(
        "V4b",
        "leader_needs_another_resource",
        "both racks have the GPUs of the workers, and one of them has the cpu of the leader.",
        "the leader is on h4 and the workers are on h3 and h4, which alone have the cpu for all three.",
        "r1: h1 1000/1, h2 1000/1; r2: h3 1000/1, h4 4000/1",
        _set(3, Requests(cpu=2000), Requests(cpu=1000, gpu=1)),
        leader_on("h4", workers="h3 h4"),
    ),
    Vector(
        "V5",
        "leader_takes_no_workers_place",
        "one rack fits a leader and four workers only if the leader is where it takes no worker's place.",
        "the leader and one worker are on h3, one worker is on h1 and two are on h2.",
        "r1: h1 2000, h2 4000, h3 3000",
        _set(5, Requests(cpu=1000), Requests(cpu=2000)),
        leader_on("h3", workers="h1 h2 h2 h3"),
    ),
    Vector(
        "V6",
        "one_block_required",
        "a group that requires one block meets two that fit it, and no rack that does.",
        "all five pods are in one block, with one worker on each of its hosts.",
        TWO_BLOCKS,
        _four_gpus(BLOCK),
        _B1 + _B2,
    ),
    Vector(
        "V6r",
        "block_fits_but_no_rack",
        "a group that requires one rack meets two blocks that fit it, and no rack that does.",
        "the group stays gated whole, for what a block has is not in one rack.",
        TWO_BLOCKS,
        _four_gpus(RACK),
    ),
    Vector(
        "V6c",
        "one_block_is_not_free",
        "a group that requires one block meets two, in one of which another pod uses a GPU.",
        "all five pods are in b2, which alone has four GPUs left.",
        TWO_BLOCKS,
        _four_gpus(BLOCK),
        _B2,
        taken={"h2": ONE_GPU},
    ),
    Vector(
        "V7",
        "preferred_host_is_too_small",
        "a group prefers one host, none has room for all of it, and two together just do.",
        "the group runs spread out, with the leader and one worker on h2 and four workers on h1.",
        "r1: h1 8000, h2 3000",
        _set(6, Requests(cpu=1000), Requests(cpu=2000), preferred=HOSTNAME),
        leader_on("h2", workers="h1 h1 h1 h1 h2"),
    ),
    Vector(
        "V8",
        "pod_slots_are_counted",
        "two racks have cpu and GPUs for a group of five pods, and one of them slots for four.",
        "all five pods are on h2, since h1 takes no fifth pod.",
        "r1: h1 8000/8/4; r2: h2 8000/8/5",
        _set(5, Requests(cpu=100), ONE_GPU),
        leader_on("h2", workers="h2 h2 h2 h2"),
    ),
    Vector(
        "V9",
        "rack_fits_only_in_sum",
        "a rack has enough cpu for a group in sum, but its hosts have room for three workers of four.",
        "the group stays gated whole, for a worker cannot run on what two hosts have left.",
        "r1: h1 3000, h2 3000, h3 3000",
        _set(5, Requests(cpu=100), Requests(cpu=2000)),
    ),
    Vector(
        "V11",
        "leader_in_no_podset_group",
        "the workers alone require a rack, and the leader fits in another one only.",
        "the workers are on h1 and h2 and the leader is on h3, since no podset group joins them.",
        "r1: h1 100/1, h2 100/1; r2: h3 4000/0",
        _set(3, Requests(cpu=2000), ONE_GPU, joined=False),
        leader_on("h3", workers="h1 h2"),
    ),
    Vector(
        "V11",
        "podset_group_fits_in_no_rack",
        "leader and workers are one podset group that requires a rack, and fit in different racks only.",
        "the group stays gated whole, since a podset group is in one rack or waits.",
        "r1: h1 100/1, h2 100/1; r2: h3 4000/0",
        _set(3, Requests(cpu=2000), ONE_GPU),
    ),
    Vector(
        "V15",
        "heavy_leader_of_two",
        "a group of two has a leader that is heavier than its worker and fits on one host alone.",
        "the leader is on h2 and the worker on h3, in the one rack that has a host for each.",
        "r1: h1 3000/1; r2: h2 4000/0, h3 500/1",
        _set(2, Requests(cpu=4000), Requests(cpu=500, gpu=1)),
        leader_on("h2", workers="h3"),
    ),
    Vector(
        "V16",
        "one_host_required",
        "a group requires one host, and of three hosts one has room for all of it.",
        "all four pods are on h2, which alone has three GPUs and cpu for the leader.",
        "r1: h1 4000/2, h2 4000/3; r2: h3 50/3",
        _set(4, Requests(cpu=100), ONE_GPU, required=HOSTNAME),
        leader_on("h2", workers="h2 h2 h2"),
    ),
    Vector(
        "V17",
        "leader_has_its_own_place",
        "one rack has a small host for the leader and a host that the workers fill; the other is too small.",
        "the leader is on h1 and both workers are on h2, which they fill.",
        "r1: h1 100/0, h2 2000/2; r2: h3 1900/2",
        _set(3, Requests(cpu=100), Requests(cpu=1000, gpu=1)),
        leader_on("h1", workers="h2 h2"),
    ),
    Vector(
        "V18",
        "one_of_two_blocks_fits_all",
        "a group requires one block; one has room for all of it, the other for all but one pod.",
        "all five pods are on h1, since b2 has no cpu for the leader beside the workers.",
        "b1/r1: h1 11000/8; b2/r1: h2 4000/4",
        _set(5, Requests(cpu=1000), Requests(cpu=1000, gpu=1), required=BLOCK),
        leader_on("h1", workers="h1 h1 h1 h1"),
    ),
    Vector(
        "V18",
        "leader_and_workers_in_two_blocks",
        "a group requires one block; one has room for the leader alone, the other for the workers alone.",
        "the group stays gated whole, for the leader may not be in another block than the workers.",
        "b1/r1: h1 1000/0; b2/r1: h2 4000/4",
        _set(5, Requests(cpu=1000), Requests(cpu=1000, gpu=1), required=BLOCK),
    ),
)


@dataclass(frozen=True)
class Spoilt:
    """One way in which a host of vector V12 cannot be used: a cause that a tenant's hosts know.

    It is a host of the rack whose name comes first, which an implementation that does not notice would be drawn to.
    """

    name: str
    cause: str
    given: str


SPOILT: Final = (
    Spoilt("cordoned_host", "cordoned", "h1 is cordoned"),
    Spoilt("host_not_ready", "not-ready", "h1 is NotReady"),
    Spoilt("host_without_rack_label", "unlabelled", "h1 has no rack label"),
    Spoilt("tainted_host", "tainted", "h1 has a taint that no pod tolerates"),
    Spoilt("host_taken_by_another_pod", "taken", "a pod that Kueue does not manage has the GPU of h1"),
)
