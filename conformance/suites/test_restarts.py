"""Pods that come late or come back: restarts of groups and of pods, and workers that wait for their leader."""

from __future__ import annotations

from conformance.expectations import (
    admission_time,
    admitted,
    complete,
    counts,
    created,
    gated,
    has_podsets,
    has_workers,
    leader_ready,
    leaders_only,
    no_workloads_of_parts,
    pod_uids,
    ready,
    replaced,
    reserved,
    running,
    uids_below,
    ungated,
    usage,
    workload_uid,
)
from conformance.expectations.judging import START, Told
from conformance.world.builders import leader_worker_set
from conformance.world.requests import canary_room, groups
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant


@story(moments={"recreated": "RST-01"})
def one_pod_restarts_its_group(tenant: Tenant) -> None:
    """A worker is deleted from one of two groups that are recreated if a pod restarts, in a queue that is full."""
    lws = tenant.create(leader_worker_set(replicas=2, restart="RecreateGroupOnPodRestart"), quota=groups(2))
    lws.reached(running, moment="running")
    tenant.queue().reached(usage(cpu="1"), reserved(cpu="1"), counts(pending=0, admitted=2), moment="counted")
    pods = lws.group(1).found.pods
    lws.group(1).delete_last_worker()
    lws.group(1).eventually(replaced(*pods), ready, moment="recreated")
    lws.reached(running, moment="running-again")


@claim("RST-01", of=one_pod_restarts_its_group)
def test_a_restart_needs_no_new_admission(told: Told) -> None:
    """Under RecreateGroupOnPodRestart the new pods of a group run under the Workload and the admission that it has."""
    told.group(1).keeps(workload_uid, admission_time, since="running")


@claim("RST-01", of=one_pod_restarts_its_group)
def test_other_groups_are_not_restarted(told: Told) -> None:
    """The restart of a group changes neither Workload nor pods of the others."""
    told.group(0).keeps(pod_uids, workload_uid, admission_time, since="running")
    told.group(0).always(complete, since="running")


@claim("QSEL-14", of=one_pod_restarts_its_group)
def test_a_restart_gives_no_workload_to_a_part_of_a_set(told: Told) -> None:
    """While pods restart no Workload is owned by a StatefulSet of a managed set, nor by a pod of it without the set."""
    told.set().always(no_workloads_of_parts, since=START)


@claim("DEL-06", of=one_pod_restarts_its_group)
def test_the_group_of_a_deleted_pod_stays_admitted(told: Told) -> None:
    """When one pod of an admitted group is deleted its Workload stays admitted, and what replaces it is ungated."""
    told.group(1).always(admitted, since="running")
    told.group(1).at("running-again", ungated)


@claim("QUO-06", of=one_pod_restarts_its_group)
def test_a_restart_changes_no_usage(told: Told) -> None:
    """The restart of a group changes nothing that its queue charges, reserves or counts."""
    told.queue().always(usage(cpu="1"), since="counted")
    told.queue().always(reserved(cpu="1"), since="counted")
    told.queue().always(counts(pending=0, admitted=2), since="counted")


@story(moments={"replaced": "RST-03"})
def one_worker_is_replaced(tenant: Tenant) -> None:
    """The last worker of a group that is not recreated is deleted, in a queue that is full."""
    lws = tenant.create(leader_worker_set(restart="None"), quota=groups(1))
    lws.reached(running, moment="running")
    tenant.queue().reached(usage(cpu="500m"), reserved(cpu="500m"), moment="counted")
    last = lws.group(0).delete_last_worker()
    lws.group(0).eventually(replaced(last), ready, moment="replaced")
    lws.reached(running, moment="running-again")


@claim("RST-03", of=one_worker_is_replaced)
def test_the_other_pods_stay(told: Told) -> None:
    """Under restart policy None the loss of one worker leaves leader and other workers as they are."""
    told.group(0).keeps(uids_below(2), since="running")


@claim("RST-03", of=one_worker_is_replaced)
def test_a_replacement_needs_no_new_admission(told: Told) -> None:
    """The replacement of a worker becomes schedulable under the admission that its group has."""
    told.group(0).keeps(workload_uid, admission_time, since="running")


@claim("DEL-06", of=one_worker_is_replaced)
def test_the_group_of_a_replaced_worker_stays_admitted(told: Told) -> None:
    """When a worker of an admitted group is deleted its Workload stays admitted, and its replacement is ungated."""
    told.group(0).always(admitted, since="running")
    told.group(0).at("running-again", ungated)


@claim("QUO-06", of=one_worker_is_replaced)
def test_a_replacement_changes_no_usage(told: Told) -> None:
    """The replacement of a pod changes nothing that its queue charges or reserves."""
    told.queue().always(usage(cpu="500m"), since="counted")
    told.queue().always(reserved(cpu="500m"), since="counted")


@story(moments={"running": "START-03"})
def leader_ready_without_quota(tenant: Tenant) -> None:
    """A set whose workers wait for a ready leader finds no room; later there is room for it."""
    lws = tenant.create(leader_worker_set(startup="LeaderReady"), quota=canary_room)
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")
    tenant.set_quota(groups(1) + canary_room)
    lws.eventually(running, moment="running")


@claim("START-02", of=leader_ready_without_quota)
def test_a_waiting_group_has_its_leader_alone(told: Told) -> None:
    """Under LeaderReady a group that waits for quota has its gated leader alone."""
    told.group(0, of="lws").always(gated, since=created, until=admitted, through="canary-ran")
    told.group(0, of="lws").never(has_workers, since=created, until=admitted, through="canary-ran")
    told.group(0, of="lws").at("canary-ran", leaders_only)


@claim("START-02", of=leader_ready_without_quota)
def test_the_workload_counts_workers_that_do_not_exist(told: Told) -> None:
    """Under LeaderReady the Workload of a group that waits counts the workers too."""
    told.group(0, of="lws").at("canary-ran", has_podsets(1, 2))


@claim("START-03", of=leader_ready_without_quota)
def test_workers_come_after_the_leader_is_ready(told: Told) -> None:
    """Under LeaderReady the workers of an admitted group appear once its leader is ready."""
    told.group(0, of="lws").before(leader_ready, has_workers, since=created)
    told.group(0, of="lws").before(admitted, leader_ready, since=created)


@claim("START-03", of=leader_ready_without_quota)
def test_workers_of_a_ready_leader_need_no_new_admission(told: Told) -> None:
    """Under LeaderReady the workers become schedulable under the admission that their leader started with."""
    told.group(0, of="lws").keeps(workload_uid, since="canary-ran")
    told.group(0, of="lws").keeps(admission_time, since=admitted)
    told.group(0, of="lws").at("running", ungated)
