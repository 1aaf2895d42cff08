"""What releases of Kueue once did wrong, and no other part of the suite shows: each story is about one such defect."""

from __future__ import annotations

from conformance.expectations import (
    accepted,
    admitted,
    charged_to,
    created,
    gated,
    one_workload_per_group,
    podsets_marked_as_templates,
    queued_in,
    ready,
    running,
    workers_fill_hosts_in_order,
)
from conformance.expectations.judging import START, Told
from conformance.names import QUEUE_NAME, RACK
from conformance.world.builders import leader_worker_set
from conformance.world.requests import Requests, canary_room, groups
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant

LONG_NAME = "fifty-characters-are-as-many-as-a-set-can-be-named"
ANOTHER_QUEUE = {"metadata": {"labels": {QUEUE_NAME: "free-queue"}}}
MARKS = {"labels": {"example.com/team": "search"}, "annotations": {"example.com/contact": "somebody"}}


@story(moments={"moved": "QCH-01"})
def waiting_set_changes_its_queue(tenant: Tenant) -> None:
    """A set, whose templates have a label and an annotation, waits without room and is given to a queue with room."""
    spec = leader_worker_set(queue="full-queue").marked("leader", **MARKS).marked("worker", **MARKS)
    tenant.open(quota={"full-queue": canary_room, "free-queue": groups(1)}, group=spec.group)
    lws = tenant.create(spec)
    tenant.canary(after=(lws.group(0),), queue="full-queue").reached(ready, moment="canary-ran")
    lws.try_edit("another-queue", ANOTHER_QUEUE)
    lws.eventually(running, moment="moved")


@claim("QCH-01", of=waiting_set_changes_its_queue)
def test_a_waiting_set_is_given_to_another_queue(told: Told) -> None:
    """Another queue is accepted for a set with no ready group, whose Workload moves and is admitted from there."""
    told.request("another-queue", accepted)
    told.group(0, of="lws").always(charged_to(f"{told.history.tenant}-b"), since=admitted)
    told.group(0, of="lws").at("moved", queued_in("free-queue"))


@claim("QCH-01", of=waiting_set_changes_its_queue)
def test_a_set_waits_in_its_first_queue(told: Told) -> None:
    """Until it is given to another queue the set stays gated in the one that has no room."""
    told.group(0, of="lws").always(gated, since=created, until=admitted, through="canary-ran")


@claim("WL-11", of=waiting_set_changes_its_queue)
def test_podsets_have_the_marks_of_templates(told: Told) -> None:
    """The podsets of a Workload have the labels and the annotations of the pod templates of the set."""
    told.group(0, of="lws").always(podsets_marked_as_templates, since=START)


@story(moments={"running": "NAME-02"})
def long_name(tenant: Tenant) -> None:
    """A set with a name of fifty characters meets a queue with room."""
    lws = tenant.create(leader_worker_set(LONG_NAME, size=2), quota=groups(1))
    lws.eventually(running, moment="running")


@claim("NAME-02", of=long_name)
def test_a_long_name_is_queued_as_any_other(told: Told) -> None:
    """A set with a long name has one Workload for its group."""
    told.set(LONG_NAME).at("running", one_workload_per_group)


@story()
def workers_of_three_hosts(tenant: Tenant) -> None:
    """The six workers of a group require a rack, in which three hosts take two each; the leader fits elsewhere only."""
    spec = leader_worker_set(size=7, leader=Requests(cpu=3000), worker=Requests(cpu=1000), required=RACK, joined=False)
    lws = tenant.create(spec, quota=groups(1), layout="r1: h1 2000, h2 2000, h3 2000; r2: h4 3000", topology=True)
    lws.reached(running, moment="running")


@claim("TAS-10", of=workers_of_three_hosts)
def test_workers_beside_a_leader_keep_their_order(told: Told) -> None:
    """Workers that no podset group joins with their leader are on the assigned hosts in the order of their index."""
    told.group(0, of="lws").at("running", workers_fill_hosts_in_order)
