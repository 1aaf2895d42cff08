"""What may not be asked for: each refusal beside a twin, a request that differs in one thing only and is accepted."""

from __future__ import annotations

from conformance.expectations import (
    accepted,
    created,
    group_size,
    named_queue,
    ready,
    refused,
    running,
    template_requests,
)
from conformance.expectations.judging import Told
from conformance.names import QUEUE_NAME
from conformance.world.builders import in_container, leader_worker_set
from conformance.world.requests import groups
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant

ANOTHER_QUEUE = {"metadata": {"labels": {QUEUE_NAME: "another-queue"}}}
SIZES = {called: {"spec": {"leaderWorkerTemplate": {"size": size}}} for called, size in (("fewer", 2), ("more", 4))}
ROLES = ("leader", "worker")


@story()
def refused_changes(tenant: Tenant) -> None:
    """One set runs, one waits and one is not managed; of each the queue, the size and the requests are to change."""
    lws = tenant.create(leader_worker_set(), quota=groups(1))
    lws.reached(running, moment="running")
    waiting = tenant.create(leader_worker_set("waiting"))
    plain = tenant.create(leader_worker_set("plain", queue=None, replicas=0))
    waiting.group(0).reached(created, moment="one-waits")
    lws.try_edit("ready-queue", ANOTHER_QUEUE)
    waiting.try_edit("waiting-queue", ANOTHER_QUEUE, dry_run=True)
    for called, patch in SIZES.items():
        lws.try_edit(f"ready-{called}", patch)
        waiting.try_edit(f"waiting-{called}", patch)
        plain.try_edit(f"plain-{called}", patch, dry_run=True)
    for role in ROLES:
        for called, one, dry_run in (("ready", lws, False), ("waiting", waiting, False), ("plain", plain, True)):
            requests, image = (
                in_container(role, "resources/requests/cpu", "50m"),
                in_container(role, "image", "another"),
            )
            one.try_edit(f"{called}-{role}-requests", requests, dry_run=dry_run)
            one.try_edit(f"{called}-{role}-image", image, dry_run=True)


@claim("QCH-02", of=refused_changes)
def test_a_ready_set_stays_in_its_queue(told: Told) -> None:
    """Another queue is refused for a set with a ready group, whose label stays, and accepted for one without."""
    told.group(0, of="lws").at("one-waits", ready)
    told.request("ready-queue", refused)
    told.set("lws").keeps(named_queue, since="running")
    told.request("waiting-queue", accepted)


@claim("VAL-09", of=refused_changes)
def test_a_managed_set_keeps_its_size(told: Told) -> None:
    """A larger and a smaller group are refused for a managed set, ready or not, and accepted for another."""
    for called in SIZES:
        told.request(f"ready-{called}", refused)
        told.request(f"waiting-{called}", refused)
        told.request(f"plain-{called}", accepted)
    for name in ("lws", "waiting"):
        told.set(name).keeps(group_size, since="one-waits")


@claim("VAL-10", of=refused_changes)
def test_a_managed_set_keeps_its_requests(told: Told) -> None:
    """Other requests in a template are refused for a managed set, ready or not; another image is accepted."""
    for role in ROLES:
        for called in ("ready", "waiting"):
            told.request(f"{called}-{role}-requests", refused)
            told.request(f"{called}-{role}-image", accepted)
        told.request(f"plain-{role}-requests", accepted)
        told.request(f"plain-{role}-image", accepted)
    for name in ("lws", "waiting"):
        told.set(name).keeps(template_requests, since="one-waits")


FEWEST, MOST = 0, 1_000_000
QUEUES = {"queued": "user-queue", "plain": None}


@story()
def bounds_of_replicas(tenant: Tenant) -> None:
    """Sets of as few and as many groups as there may be, and of one fewer and one more, are asked for as dry runs."""
    running_set = tenant.create(leader_worker_set(size=1, leader=None), quota=groups(1))
    running_set.reached(running, moment="running")
    for called, queue in QUEUES.items():
        for replicas in (FEWEST - 1, FEWEST, MOST, MOST + 1):
            tenant.try_create(f"{called}-{replicas}", leader_worker_set(called, queue=queue, replicas=replicas))


@claim("VAL-01", of=bounds_of_replicas)
def test_replicas_are_bounded(told: Told) -> None:
    """A set of -1 or 1000001 groups is refused and one of 0 or 1000000 accepted, whether or not it names a queue."""
    for called in QUEUES:
        for replicas in (FEWEST - 1, MOST + 1):
            told.request(f"{called}-{replicas}", refused)
        for replicas in (FEWEST, MOST):
            told.request(f"{called}-{replicas}", accepted)
