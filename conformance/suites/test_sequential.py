"""What concerns everybody on the cluster: a restart of the implementation, and another configuration of it."""

from __future__ import annotations

from conformance.expectations import (
    admission_time,
    admitted,
    counts,
    created,
    gated,
    not_admitted,
    one_workload_per_group,
    pod_uids,
    ready,
    running,
    tried,
    usage,
    workload_uid,
    workloads_of_sets_alone,
)
from conformance.expectations.judging import START, Told
from conformance.names import QUEUE_NAME
from conformance.world.builders import leader_worker_set
from conformance.world.phases import RESTARTS, WITHOUT_QUEUE_NAME
from conformance.world.requests import canary_room, groups
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant


@story(moments={"counted-again": "RES-01", "room": "RES-02"}, phase=RESTARTS)
def implementation_restarts(tenant: Tenant) -> None:
    """Two groups run and a third waits when the implementation is stopped and started; later there is room for it."""
    lws = tenant.create(leader_worker_set(replicas=2), quota=groups(2) + canary_room)
    lws.reached(running, moment="running")
    waiting = tenant.create(leader_worker_set("waiting"))
    waiting.group(0).reached(tried)
    tenant.queue().reached(usage(cpu="1"), counts(pending=1, admitted=2), moment="counted")
    # While it is stopped no write of a set or a pod is let through, so there is nothing for the story to do.
    tenant.implementation.stop()
    tenant.implementation.start()
    tenant.canary(after=(waiting.group(0),)).reached(ready, moment="canary-ran")
    tenant.queue().eventually(usage(cpu="1010m"), counts(pending=1, admitted=3), moment="counted-again")
    tenant.set_quota(groups(3) + canary_room)
    waiting.eventually(running, moment="room")


@claim("RES-01", of=implementation_restarts)
def test_a_restart_touches_no_running_group(told: Told) -> None:
    """A restart of the implementation leaves running groups their pods, their Workload and their admission."""
    for index in (0, 1):
        told.group(index, of="lws").keeps(
            pod_uids, workload_uid, admission_time, since="running", through="canary-ran", until="room"
        )


@claim("RES-01", of=implementation_restarts)
def test_a_restart_keeps_the_workload_of_a_waiting_group(told: Told) -> None:
    """A restart of the implementation keeps the Workload of a group that waits."""
    told.group(0, of="waiting").keeps(workload_uid, since="counted", through="canary-ran")


@claim("RES-02", of=implementation_restarts)
def test_a_waiting_group_stays_gated_over_a_restart(told: Told) -> None:
    """A group that waits for quota is gated and not admitted before and after a restart of the implementation."""
    told.group(0, of="waiting").always(gated, since=created, until=admitted, through="canary-ran")
    told.group(0, of="waiting").always(not_admitted, since=created, until=admitted, through="canary-ran")


@story(moments={"running": "NS-01", "labelled": "NS-03"}, phase=WITHOUT_QUEUE_NAME)
def queue_name_comes_later(tenant: Tenant) -> None:
    """Where sets without a queue label are managed too, one with it runs, and one without waits until it gets it."""
    lws = tenant.create(leader_worker_set(replicas=2), quota=groups(3) + canary_room)
    lws.eventually(running, moment="running")
    unlabelled = tenant.create(leader_worker_set("unlabelled", queue=None))
    tenant.canary(after=(unlabelled.group(0),)).reached(ready, moment="canary-ran")
    unlabelled.edit({"metadata": {"labels": {QUEUE_NAME: "user-queue"}}})
    unlabelled.eventually(running, moment="labelled")


@claim("NS-01", of=queue_name_comes_later)
def test_only_groups_have_workloads(told: Told) -> None:
    """With `manageJobsWithoutQueueName` a set with a queue has a Workload per group, and pods and StatefulSets none."""
    told.set("lws").always(one_workload_per_group, since="running", through="canary-ran")
    told.set("lws").always(workloads_of_sets_alone, since=START, through="canary-ran")


@claim("NS-02", of=queue_name_comes_later)
def test_a_set_without_queue_waits(told: Told) -> None:
    """With `manageJobsWithoutQueueName` a group without queue label is gated and its Workload is not admitted."""
    told.group(0, of="unlabelled").always(gated, since=created, until=admitted, through="canary-ran")
    told.group(0, of="unlabelled").always(not_admitted, since=created, until=admitted, through="canary-ran")
