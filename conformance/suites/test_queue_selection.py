"""Which LeaderWorkerSets are queued, where, and as what: the page's first sample, unlabelled sets, several queues."""

from __future__ import annotations

from conformance.expectations import (
    admitted,
    available,
    charged_cpu,
    charged_to,
    counts,
    created,
    gated,
    gone,
    has_podsets,
    no_workloads,
    one_workload_per_group,
    partly_ungated,
    queued_in,
    ready,
    ready_groups,
    released,
    running,
    templates_without_kueue_keys,
    ungated,
    untouched_by_kueue,
    usage,
    workloads_of_sets_alone,
)
from conformance.expectations.judging import START, Told
from conformance.world.builders import leader_worker_set, local_queue, sample
from conformance.world.requests import Requests, canary_room, groups, room
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant

PAGE_GROUP = Requests(cpu=500)
"""One group of the page's first sample: a leader of 100m and two workers of 200m."""


@story(
    moments={
        "running": "ADM-01",
        "counted": "QUO-01",
        "counted-locally": "QSEL-01",
        "gone": "DEL-01",
        "released": "QUO-05",
    }
)
def page_sample(tenant: Tenant) -> None:
    """The page's first sample, as printed, runs in a queue with room for exactly its two groups, and is deleted."""
    lws = tenant.create(sample("page-sample.yaml", PAGE_GROUP), quota=groups(2))
    lws.eventually(running, moment="running")
    tenant.queue().eventually(usage(cpu="1"), counts(pending=0, reserving=2, admitted=2), moment="counted")
    tenant.local_queue().eventually(
        counts(pending=0, reserving=2, admitted=2), usage(cpu="1"), moment="counted-locally"
    )
    lws.delete()
    lws.eventually(gone, moment="gone")
    tenant.queue().eventually(released, moment="released")


@claim("QSEL-01", of=page_sample)
def test_every_group_is_queued_where_the_label_says(told: Told) -> None:
    """Every Workload of a LeaderWorkerSet names the LocalQueue of the set's queue-name label."""
    for index in (0, 1):
        told.group(index).always(queued_in("user-queue"), since=created, until="running")


@claim("WL-01", of=page_sample)
def test_each_group_has_one_workload(told: Told) -> None:
    """A LeaderWorkerSet of N replicas owns exactly N Workloads, one for each group."""
    told.set().always(one_workload_per_group, since="running", until="counted-locally")


@claim("WL-07", of=page_sample)
def test_podsets_are_one_leader_and_the_workers(told: Told) -> None:
    """With a leader template, a group's Workload has a podset of count 1 and one of count size - 1."""
    for index in (0, 1):
        told.group(index).always(has_podsets(1, 2), since=created, until="running")


@claim("QUO-01", of=page_sample)
def test_each_group_is_charged_leader_and_workers(told: Told) -> None:
    """Each group of the page's sample is charged 100m for its leader and 400m for its two workers."""
    for index in (0, 1):
        told.group(index).always(charged_cpu("100m", "400m"), since=admitted, until="counted")


@claim("POD-09", of=page_sample)
def test_admission_ungates_every_pod(told: Told) -> None:
    """Once the group's Workload is Admitted, every pod of the group loses Kueue's gates, and none before."""
    for index in (0, 1):
        told.group(index).before(admitted, partly_ungated, since=created)
        told.group(index).at("running", ungated)


@story(moments={"first-group-runs": "QSEL-03", "running": "QSEL-03"})
def unlabelled_set(tenant: Tenant) -> None:
    """A set without queue label runs beside an empty queue with room for it, and is scaled from one group to two."""
    spec = leader_worker_set(queue=None, on_tenant=tenant.name)
    tenant.open(quota=groups(2) + canary_room, group=spec.group)
    lws = tenant.create(spec)
    lws.eventually(available, moment="first-group-runs")
    lws.scale(2)
    lws.eventually(available, moment="running")
    # Kueue looks at sets in the order of their events, so a queued set that came later runs after this one was ignored.
    tenant.canary(after=()).reached(admitted, moment="canary-admitted")


@claim("QSEL-03", of=unlabelled_set)
def test_a_set_without_queue_has_no_workload(told: Told) -> None:
    """A LeaderWorkerSet without a queue name owns no Workload, and its templates and pods carry no key of Kueue's."""
    told.set("lws").always(no_workloads, since=START, through="canary-admitted")
    told.set("lws").always(templates_without_kueue_keys, since=START, through="canary-admitted")
    for index in (0, 1):
        told.group(index, of="lws").always(untouched_by_kueue, since=START, through="canary-admitted")


@claim("QSEL-03", of=unlabelled_set)
def test_a_set_without_queue_uses_no_quota(told: Told) -> None:
    """A LeaderWorkerSet without a queue name is charged to no queue."""
    told.queue().always(usage(cpu="0"), since="first-group-runs", until="running")


@story(moments={"both-run": "ADM-01", "counted-a": "QUO-02", "counted-b": "QUO-02"})
def two_queues(tenant: Tenant) -> None:
    """Two like sets run in two LocalQueues of two ClusterQueues, of which one has room for two groups more."""
    spec = leader_worker_set("in-a", queue="queue-a")
    tenant.open(quota={"queue-a": groups(1), "queue-b": groups(3)}, group=spec.group)
    in_a = tenant.create(spec)
    in_b = tenant.create(leader_worker_set("in-b", queue="queue-b", replicas=2))
    in_a.reached(available, moment="a-runs")
    in_b.eventually(running, moment="both-run")
    tenant.queue("queue-a").eventually(usage(cpu="500m"), counts(admitted=1), moment="counted-a")
    tenant.queue("queue-b").eventually(usage(cpu="1"), counts(admitted=2), moment="counted-b")


@claim("QSEL-11", of=two_queues)
def test_each_set_is_charged_to_its_own_queue(told: Told) -> None:
    """Two LeaderWorkerSets in LocalQueues of different ClusterQueues are each charged to their own ClusterQueue."""
    tenant = told.history.tenant
    told.group(0, of="in-a").always(charged_to(tenant), since=admitted)
    for index in (0, 1):
        told.group(index, of="in-b").always(charged_to(f"{tenant}-b"), since=admitted)


@story(moments={"running": "UP-08", "counted": "UP-08"})
def replicas_unset(tenant: Tenant) -> None:
    """A set without `replicas` and without a leader template runs in a queue with room for two groups."""
    spec = leader_worker_set(replicas=None, leader=None, worker=Requests(cpu=100))
    lws = tenant.create(spec, quota=groups(2) + room(cpu=10))
    lws.eventually(running, moment="running")
    tenant.canary(after=(lws.group(0),)).reached(admitted, moment="canary-admitted")
    tenant.queue().eventually(usage(cpu="310m"), counts(pending=0, admitted=2), moment="counted")


@claim("UP-08", of=replicas_unset)
def test_unset_replicas_mean_one_group(told: Told) -> None:
    """A LeaderWorkerSet without `replicas` has one group and one Workload."""
    told.set("lws").always(one_workload_per_group, since="running", through="canary-admitted")
    told.group(1, of="lws").never(created, since="running", through="canary-admitted")


@claim("WL-08", of=replicas_unset)
def test_without_leader_template_there_is_one_podset(told: Told) -> None:
    """Without a leader template, a group's Workload has one podset with the count of the whole group."""
    told.group(0, of="lws").always(has_podsets(3), since=created, until="running")


@story(moments={"one-runs": "QSEL-08", "counted-locally": "OBS-05", "counted": "OBS-05"})
def queue_created_later(tenant: Tenant) -> None:
    """A set of two groups names a LocalQueue that comes later, to a ClusterQueue that has room for one of them."""
    lws = tenant.create(leader_worker_set(queue="late-queue", replicas=2), quota=groups(1) + canary_room)
    tenant.canary(after=(lws.group(0), lws.group(1))).reached(ready, moment="canary-ran")
    tenant.add(local_queue("late-queue", tenant.name, tenant.name, tenant.labels))
    lws.eventually(ready_groups(1), moment="one-runs")
    tenant.local_queue("late-queue").eventually(counts(pending=1, reserving=1, admitted=1), moment="counted-locally")
    tenant.queue().eventually(counts(pending=1, reserving=2, admitted=2), moment="counted")


@claim("QSEL-08", of=queue_created_later)
def test_a_set_waits_for_its_queue_to_exist(told: Told) -> None:
    """The pods of a set whose LocalQueue does not exist stay gated, and one group runs once there is the queue."""
    for index in (0, 1):
        told.group(index, of="lws").always(gated, since=created, until=admitted, through="canary-ran")


@claim("QSEL-14", of=(page_sample, two_queues, queue_created_later))
def test_no_workload_belongs_to_a_part_of_a_set(told: Told) -> None:
    """No Workload is owned by a StatefulSet of a managed set, nor by a pod of it without the set."""
    told.set().always(workloads_of_sets_alone, since=START)
