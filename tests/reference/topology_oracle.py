"""Every legal placement of a few pods on a few hosts, by trying all of them: no formula, no order, no cleverness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Amounts = Mapping[str, int]
Outcome = tuple[int | None, tuple[int, ...]]
"""The leader's host, and the number of workers on each host."""


@dataclass(frozen=True)
class Host:
    values: tuple[str, ...]
    free: Amounts
    for_leader: bool = True
    for_workers: bool = True


def distributions(pods: int, hosts: int) -> Iterator[tuple[int, ...]]:
    """Every way to put so many equal pods on so many hosts."""
    if hosts == 0:
        if pods == 0:
            yield ()
        return
    for here in range(pods + 1):
        for rest in distributions(pods - here, hosts - 1):
            yield (here, *rest)


def legal(hosts: Sequence[Host], leader: Amounts | None, worker: Amounts, workers: int, depth: int) -> set[Outcome]:
    """The outcomes in which no host holds more than it has and all pods share one domain of that depth (0: any)."""
    outcomes: set[Outcome] = set()
    for counts in distributions(workers, len(hosts)):
        for at in [None] if leader is None else range(len(hosts)):
            used = {place for place, count in enumerate(counts) if count} | ({at} if at is not None else set())
            if len({hosts[place].values[:depth] for place in used}) <= 1 and all(
                _holds(hosts[place], leader if place == at else None, worker, counts[place]) for place in used
            ):
                outcomes.add((at, counts))
    return outcomes


def _holds(host: Host, leader: Amounts | None, worker: Amounts, workers: int) -> bool:
    if (leader is not None and not host.for_leader) or (workers and not host.for_workers):
        return False
    asked = dict.fromkeys({*worker, *(leader or {})}, 0)
    for resource in asked:
        asked[resource] = worker.get(resource, 0) * workers + (leader or {}).get(resource, 0)
    return all(amount == 0 or amount <= host.free.get(resource, 0) for resource, amount in asked.items())


def sliced(hosts: Sequence[Host], worker: Amounts, pods: int, depth: int, layers: Sequence[tuple[int, int]]) -> bool:
    """Whether the pods can be numbered so that in every layer each run of `size` pods is in one domain of its depth.

    Tries every host for every pod in turn.
    """

    def goes_on(taken: tuple[int, ...]) -> bool:
        if len(taken) == pods:
            return True
        pod = len(taken)
        for place, host in enumerate(hosts):
            count = taken.count(place) + 1
            if not _holds(host, None, worker, count):
                continue
            if taken and hosts[taken[0]].values[:depth] != host.values[:depth]:
                continue
            if all(
                pod % size == 0 or hosts[taken[pod - 1]].values[:layer] == host.values[:layer] for layer, size in layers
            ) and goes_on((*taken, place)):
                return True
        return False

    return goes_on(())
