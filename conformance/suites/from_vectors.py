"""From a row of the table of vectors to its stories and its claim, which are like those that suite files write out.

A vector with legal outcomes is told twice, with its nodes there first and with its nodes last, since trying a group
again is another way to a decision than trying it once; its claim is of both stories. A vector without one must wait:
the canary shows that its group was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conformance.expectations import (
    admitted,
    assigned_as,
    created,
    gated,
    no_quota_reserved,
    placed_as,
    ready,
    running,
    tried,
)
from conformance.expectations.judging import Told
from conformance.suites.vectors import V1_RACKS, V1_SET, Spoilt, Vector
from conformance.world.requests import canary_room, groups
from conformance.world.story import Story, claim, story
from conformance.world.tenant import Tenant

Body = Callable[[Tenant], None]
Judge = Callable[[Told], None]
LATE = "_nodes_last"
"""What the name of a story has at its end if the nodes are added after the group was tried."""


def told_as(vector: Vector, module: str) -> Mapping[str, Story | Judge]:
    """The stories of a vector and the claim of them, by the names that they have in the suite file `module`."""
    stories = list(_stories(vector, module))
    judge = _is_placed(vector) if vector.legal else _stays_gated(vector)
    judge.__name__ = judge.__qualname__ = f"test_{vector.id.lower()}_{vector.name}"
    judge.__doc__, judge.__module__ = f"{vector.id}: {vector.then}", module
    return {one.name: one for one in stories} | {judge.__name__: claim(vector.id, of=tuple(stories))(judge)}


def told_while(spoilt: Spoilt, module: str) -> Story:
    """The story of vector V12 in which one host cannot be used for this reason, as one of the suite file `module`."""

    def body(tenant: Tenant) -> None:
        """A group is placed while h1 is spoilt, another one when it is mended."""
        tenant.open(quota=groups(2), group=V1_SET.group, layout=V1_RACKS, topology=True)
        tenant.hosts.spoil("h1", spoilt.cause)
        lws = tenant.create(V1_SET)
        lws.eventually(running, moment="first-runs")
        tenant.hosts.mend("h1", spoilt.cause)
        lws.scale(2)
        lws.eventually(running, moment="both-run")

    sentence = f"Vector V12: while {spoilt.given} a group is placed; when that has ended a second one is asked for."
    return _declared(body, spoilt.name, sentence, module, {"first-runs": "V12", "both-run": "V12"})


def _stories(vector: Vector, module: str) -> list[Story]:
    if not vector.legal:
        return [_story(vector, _waits(vector), vector.name, module)]
    first = _story(vector, _runs(vector), vector.name, module, running=vector.id)
    if not vector.both_orders:
        return [first]
    return [first, _story(vector, _runs_later(vector), vector.name + LATE, module, running=vector.id)]


def _story(vector: Vector, body: Body, name: str, module: str, **moments: str) -> Story:
    later = "; the nodes come last" if name.endswith(LATE) else ""
    return _declared(body, name, f"Vector {vector.id}: {vector.given.removesuffix('.')}{later}.", module, moments)


def _declared(body: Body, name: str, sentence: str, module: str, moments: Mapping[str, str]) -> Story:
    body.__name__ = body.__qualname__ = name
    body.__doc__, body.__module__ = sentence, module
    return story(moments=moments)(body)


def _runs(vector: Vector) -> Body:
    def body(tenant: Tenant) -> None:
        """The group comes to run on the nodes that are there."""
        tenant.open(quota=groups(1), group=vector.set.group, layout=vector.layout, topology=True)
        for host, requests in vector.taken.items():
            tenant.hosts.occupy(host, requests)
        tenant.create(vector.set).eventually(running, moment="running")

    return body


def _runs_later(vector: Vector) -> Body:
    def body(tenant: Tenant) -> None:
        """The group is tried without any node, and comes to run once there are some."""
        lws = tenant.create(vector.set, quota=groups(1), layout="", topology=True)
        lws.group(0).reached(tried)
        tenant.add_hosts(vector.layout)
        lws.eventually(running, moment="running")

    return body


def _waits(vector: Vector) -> Body:
    def body(tenant: Tenant) -> None:
        """The group is tried and does not run, for all that a canary shows."""
        lws = tenant.create(vector.set, quota=groups(1) + canary_room, layout=vector.layout, topology=True)
        tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")

    return body


def _is_placed(vector: Vector) -> Judge:
    def judge(told: Told) -> None:
        """The group is assigned one of the legal outcomes, and runs there."""
        told.group(0).always(assigned_as(*vector.legal), since=admitted)
        told.group(0).at("running", placed_as(*vector.legal))

    return judge


def _stays_gated(vector: Vector) -> Judge:
    def judge(told: Told) -> None:
        """No pod of the group runs, and nothing is reserved for it."""
        told.group(0).always(gated, since=created, through="canary-ran")
        told.group(0).always(no_quota_reserved, since=created, through="canary-ran")

    return judge
