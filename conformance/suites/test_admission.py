"""Admission group by group: what fits runs, what does not fit stays gated as a whole, and groups are independent."""

from __future__ import annotations

from conformance.expectations import (
    admission_time,
    admitted,
    admitted_groups,
    at_most_admitted,
    atomic,
    counts,
    created,
    gated,
    gated_until_admitted,
    gone,
    has_workers,
    labelled_with_its_set,
    leaders_only,
    no_quota_reserved,
    pod_uids,
    pods_pending_on_gates,
    pods_within_quota,
    pods_without_finalizers,
    ready,
    ready_groups,
    reserved,
    running,
    ungated_only_if_admitted,
    usage,
    workload_uid,
)
from conformance.expectations.judging import START, Told
from conformance.world.builders import leader_worker_set
from conformance.world.requests import Requests, canary_room, groups, room
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant


@story(moments={"two-run": "ADM-03", "counted": "ADM-03"})
def room_for_two_of_three(tenant: Tenant) -> None:
    """A set of three groups meets a queue with room for two of them."""
    lws = tenant.create(leader_worker_set(replicas=3), quota=groups(2) + canary_room)
    lws.eventually(ready_groups(2), moment="two-run")
    tenant.canary(after=tuple(lws.group(index) for index in range(3))).reached(ready, moment="canary-ran")
    tenant.queue().eventually(usage(cpu="1010m"), counts(admitted=3, pending=1), moment="counted")


@claim("ADM-03", of=room_for_two_of_three)
def test_exactly_as_many_groups_as_fit_are_admitted(told: Told) -> None:
    """Of a LeaderWorkerSet with more groups than fit, exactly as many groups as fit are admitted."""
    told.set("lws").always(at_most_admitted(2), since="two-run", through="canary-ran")
    told.set("lws").at("canary-ran", admitted_groups(2))


@claim("ADM-03", of=room_for_two_of_three)
def test_each_group_is_gated_or_admitted_as_a_whole(told: Told) -> None:
    """Each group of a LeaderWorkerSet is either gated as a whole or admitted as a whole."""
    for index in range(3):
        told.group(index, of="lws").always(atomic, since=created, until="canary-ran")


@claim("WL-03", of=room_for_two_of_three)
def test_workloads_name_their_set(told: Told) -> None:
    """From its creation on the Workload of a group carries the UID of its set as a label."""
    told.set("lws").always(labelled_with_its_set, since=START)


@claim("POD-07", of=room_for_two_of_three)
def test_pods_have_no_finalizer(told: Told) -> None:
    """No pod of a managed set has a finalizer of Kueue, neither while it waits nor while it runs."""
    told.set("lws").always(pods_without_finalizers, since=START)


@story(moments={"room": "ADM-06"})
def leader_fits_but_workers_do_not(tenant: Tenant) -> None:
    """There is room for a group's leader and one of its workers, and later for the whole group."""
    lws = tenant.create(leader_worker_set(), quota=room(cpu=300) + canary_room)
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")
    tenant.set_quota(groups(1) + canary_room)
    lws.eventually(running, moment="room")


@claim("ADM-02", of=leader_fits_but_workers_do_not)
def test_no_pod_runs_while_the_whole_group_does_not_fit(told: Told) -> None:
    """While a group does not fit as a whole, none of its pods is ungated, not even a leader for which there is room."""
    told.group(0, of="lws").always(gated, since=created, until=admitted, through="canary-ran")


@claim("ADM-02", of=leader_fits_but_workers_do_not)
def test_a_group_that_fits_in_part_reserves_nothing(told: Told) -> None:
    """A group that fits only in part reserves no quota at all."""
    told.group(0, of="lws").always(no_quota_reserved, since=created, until=admitted, through="canary-ran")


@claim("POD-02", of=leader_fits_but_workers_do_not)
def test_pods_of_a_waiting_group_are_pending_and_unbound(told: Told) -> None:
    """The gated pods of a group that waits are Pending, reported as SchedulingGated, and bound to no node."""
    told.group(0, of="lws").always(pods_pending_on_gates, since=created, through="canary-ran")


@story(moments={"first-runs": "ADM-01", "second-runs": "ADM-06"})
def two_sets_share_a_queue(tenant: Tenant) -> None:
    """One set fills the queue, another waits; then the first is deleted."""
    first = tenant.create(leader_worker_set("first"), quota=groups(1) + canary_room)
    first.eventually(running, moment="first-runs")
    second = tenant.create(leader_worker_set("second"))
    tenant.canary(after=(second.group(0),)).reached(ready, moment="canary-ran")
    first.delete()
    first.reached(gone, moment="first-gone")
    second.eventually(running, moment="second-runs")


@claim("QUO-08", of=two_sets_share_a_queue)
def test_second_set_waits_while_the_first_holds_the_quota(told: Told) -> None:
    """While one LeaderWorkerSet holds all quota of a queue, another's stays gated, and runs once that is deleted."""
    told.group(0, of="second").always(gated, since=created, until=admitted, through="canary-ran")
    told.group(0, of="second").at("second-runs", ready)


@claim("ADM-09", of=two_sets_share_a_queue)
def test_a_waiting_group_changes_nothing_for_a_running_one(told: Told) -> None:
    """A group that waits for quota neither gates nor evicts nor replaces a group that runs."""
    told.group(0, of="first").keeps(pod_uids, workload_uid, admission_time, since="first-runs", until="canary-ran")


@story(moments={"covered": "QUO-09", "counted": "QUO-09"})
def accelerators(tenant: Tenant) -> None:
    """A set asks for GPUs in a queue that has none, then none in its list of resources, then enough."""
    spec = leader_worker_set(worker=Requests(cpu=200, gpu=1))
    lws = tenant.create(spec, quota=room(cpu=600), covers=("cpu",))
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")
    tenant.cover("cpu", "nvidia.com/gpu")
    tenant.set_quota(room(cpu=600, gpu=2))
    lws.eventually(running, moment="covered")
    tenant.queue().eventually(usage(gpu="2"), moment="counted")


@claim("QUO-09", of=accelerators)
def test_gpus_must_be_covered_by_the_queue(told: Told) -> None:
    """A group that requests nvidia.com/gpu stays gated as long as its ClusterQueue does not cover that resource."""
    told.group(0, of="lws").always(gated, since=created, until=admitted, through="canary-ran")
    told.group(0, of="lws").always(no_quota_reserved, since=created, until=admitted, through="canary-ran")


@story(moments={"charged": "POD-14", "running": "POD-13"})
def leader_ready(tenant: Tenant) -> None:
    """A set whose workers wait for a ready leader meets room for one group; its leader becomes ready late."""
    spec = leader_worker_set(startup="LeaderReady").held_not_ready()
    lws = tenant.create(spec, quota=groups(1) + canary_room)
    lws.group(0).reached(admitted, leaders_only, moment="admitted")
    tenant.queue().eventually(usage(cpu="500m"), moment="charged")
    tenant.release_pods(lws)
    lws.eventually(running, moment="running")
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")


@claim("POD-14", of=leader_ready)
def test_the_whole_group_is_charged_before_its_workers_exist(told: Told) -> None:
    """An admitted group is charged in full although only its leader exists yet."""
    told.group(0, of="lws").at("charged", leaders_only, admitted)


@claim("POD-13", of=leader_ready)
def test_late_pods_need_no_new_admission(told: Told) -> None:
    """A pod created after its group's admission becomes schedulable without a new admission, however it was born."""
    told.group(0, of="lws").before(admitted, has_workers, since=created)
    told.group(0, of="lws").keeps(workload_uid, admission_time, since="admitted", until="canary-ran")


@claim("QUO-02", of=leader_ready)
def test_late_pods_change_no_usage(told: Told) -> None:
    """An admitted group's usage is leader plus workers from the start, and does not change when late pods appear."""
    told.queue().always(usage(cpu="500m"), since="charged", until="running")


@story(moments={"gone": "DEL-04", "released": "DEL-04"})
def delete_while_waiting(tenant: Tenant) -> None:
    """A set of two groups for which there is no room is deleted while it waits."""
    lws = tenant.create(leader_worker_set(replicas=2), quota=canary_room)
    canary = tenant.canary(after=(lws.group(0), lws.group(1)))
    canary.reached(ready, moment="canary-ran")
    tenant.queue().reached(counts(pending=2, admitted=1), moment="two-wait")
    lws.delete()
    lws.eventually(gone, moment="gone")
    tenant.queue().eventually(counts(pending=0, admitted=1), usage(cpu="10m"), moment="released")


@claim("DEL-04", of=delete_while_waiting)
def test_waiting_groups_never_held_quota(told: Told) -> None:
    """The groups of a LeaderWorkerSet that is deleted while it waits are never admitted."""
    for index in (0, 1):
        told.group(index, of="lws").never(admitted, since=created, through="gone")


@claim("POD-01", of=delete_while_waiting)
def test_pods_are_gated_while_the_group_is_not_admitted(told: Told) -> None:
    """A pod that is created while its group's Workload is not admitted has the admission gate."""
    for index in (0, 1):
        told.group(index, of="lws").always(gated_until_admitted, since=created, until="two-wait")


@claim("QUO-05", of=delete_while_waiting)
def test_queue_is_charged_for_the_canary_alone(told: Told) -> None:
    """A queue whose waiting groups are deleted never shows usage or a reservation for them."""
    told.queue().always(usage(cpu="10m"), since="two-wait")
    told.queue().always(reserved(cpu="10m"), since="two-wait")


@claim("ADM-13", of=(room_for_two_of_three, leader_ready))
def test_no_pod_is_ungated_before_its_group_is_admitted(told: Told) -> None:
    """No pod of a managed set becomes schedulable while the Workload of its group has not been admitted."""
    told.set("lws").always(ungated_only_if_admitted, since=START)


@claim("QUO-04", of=(room_for_two_of_three, two_sets_share_a_queue))
def test_what_may_run_is_within_quota(told: Told) -> None:
    """At no moment do the requests of the ungated, unfinished pods of managed sets exceed the quota of their queue."""
    told.queue().always(pods_within_quota, since=START)
