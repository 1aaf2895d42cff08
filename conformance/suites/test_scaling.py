"""Scaling by whole groups: up with and without quota, in steps, quickly up and down, to zero and back."""

from __future__ import annotations

from conformance.expectations import (
    absent,
    admission_time,
    admitted,
    at_most_admitted,
    available,
    complete,
    counts,
    created,
    exists_with_no_groups,
    gated,
    no_pods_beyond,
    no_workload,
    one_workload_per_group,
    partly_ungated,
    pod_revisions,
    pod_uids,
    ready,
    ready_groups,
    released,
    running,
    scaled_to,
    templates,
    usage,
    workload_uid,
    workloads_of,
)
from conformance.expectations.judging import Told
from conformance.world.builders import leader_worker_set
from conformance.world.requests import canary_room, groups
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant


@story(moments={"running": "ADM-01", "room": "UP-02"})
def scale_up_without_quota(tenant: Tenant) -> None:
    """One group runs and fills the quota; a second is asked for; later there is room for it."""
    lws = tenant.create(leader_worker_set(), quota=groups(1) + canary_room)
    lws.eventually(running, moment="running")
    lws.scale(2)
    tenant.canary(after=(lws.group(1),)).reached(ready, moment="canary-ran")
    tenant.set_quota(groups(2) + canary_room)
    lws.eventually(running, moment="room")


@claim("UP-01", of=scale_up_without_quota)
def test_running_group_is_not_touched(told: Told) -> None:
    """Scaling up creates a Workload for the new group and keeps the Workload and the pods of the groups that run."""
    told.group(0, of="lws").keeps(pod_uids, workload_uid, admission_time, since="running")
    told.set("lws").at("canary-ran", one_workload_per_group)


@claim("UP-02", of=scale_up_without_quota)
def test_new_group_waits_for_its_workload(told: Told) -> None:
    """A group added by scale-up stays gated until its own Workload is admitted."""
    told.group(1, of="lws").always(gated, since=created, until=admitted, through="canary-ran")


@claim("ADM-09", of=scale_up_without_quota)
def test_running_group_stays_ready_beside_a_waiting_one(told: Told) -> None:
    """A group that waits does not make a running group of the same LeaderWorkerSet unready."""
    told.group(0, of="lws").always(complete, since="running")


@story(moments={"three-run": "ADM-03", "counted": "QUO-02", "all-run": "UP-05"})
def scale_up_in_steps(tenant: Tenant) -> None:
    """One group runs; five are asked for and there is room for three; then there is room for all."""
    lws = tenant.create(leader_worker_set(size=2), quota=groups(3) + canary_room)
    lws.reached(available, moment="one-runs")
    lws.scale(5)
    lws.eventually(ready_groups(3), moment="three-run")
    tenant.canary(after=tuple(lws.group(index) for index in range(5))).reached(ready, moment="canary-ran")
    tenant.queue().eventually(usage(cpu="910m"), counts(pending=2, admitted=4), moment="counted")
    tenant.set_quota(groups(5) + canary_room)
    lws.eventually(running, moment="all-run")


@claim("UP-05", of=scale_up_in_steps)
def test_only_as_many_new_groups_run_as_fit(told: Told) -> None:
    """Of the groups added by a scale-up exactly as many hold quota as fit, until there is more."""
    told.set("lws").always(at_most_admitted(3), since="three-run", until="counted")
    told.set("lws").at("all-run", one_workload_per_group)


@story(moments={"settled": "UP-07", "counted": "UP-07"})
def quickly_up_and_down(tenant: Tenant) -> None:
    """A running set of one group is scaled to four and at once back to one."""
    lws = tenant.create(leader_worker_set(size=2), quota=groups(4) + canary_room)
    lws.reached(available, moment="running")
    lws.scale(4)
    lws.group(3).reached(created)
    lws.scale(1)
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")
    lws.reached(scaled_to(1))
    lws.eventually(running, workloads_of(0), no_pods_beyond(1), moment="settled")
    tenant.queue().eventually(usage(cpu="310m"), counts(pending=0, admitted=2), moment="counted")


@claim("UP-07", of=quickly_up_and_down)
def test_first_group_is_not_touched_by_quick_scaling(told: Told) -> None:
    """Scaling up and at once down again leaves the first group's Workload and pods as they were, and nothing else."""
    told.group(0, of="lws").keeps(pod_uids, workload_uid, admission_time, since="running")
    told.set("lws").at("counted", workloads_of(0), no_pods_beyond(1))


@story(moments={"removed": "DOWN-01", "waiting-runs": "DOWN-02", "counted": "DOWN-02"})
def scale_down_makes_room(tenant: Tenant) -> None:
    """A set of two groups fills the queue and another set waits; then the first is scaled down to one group."""
    lws = tenant.create(leader_worker_set(replicas=2), quota=groups(2) + canary_room)
    lws.reached(available, moment="running")
    other = tenant.create(leader_worker_set("other"))
    tenant.canary(after=(other.group(0),)).reached(ready, moment="canary-ran")
    lws.scale(1)
    lws.reached(scaled_to(1))
    lws.group(1).eventually(absent, moment="removed")
    other.eventually(running, moment="waiting-runs")
    tenant.queue().eventually(usage(cpu="1010m"), counts(pending=0, admitted=3), moment="counted")


@claim("DOWN-01", of=scale_down_makes_room)
def test_remaining_group_keeps_workload_and_pods(told: Told) -> None:
    """Scaling down removes the group of the highest index and keeps the Workload and the pods of the other."""
    told.group(0, of="lws").keeps(pod_uids, workload_uid, since="running")
    told.group(1, of="lws").always(no_workload, since="removed")
    told.group(1, of="lws").at("counted", absent)


@claim("DOWN-02", of=scale_down_makes_room)
def test_waiting_group_is_admitted_only_after_the_scale_down(told: Told) -> None:
    """A group that waits for quota is admitted when a scale-down releases that of one group, and not before."""
    told.group(0, of="other").always(gated, since=created, until=admitted, through="canary-ran")


@claim("DOWN-07", of=scale_down_makes_room)
def test_scaling_changes_no_template_and_restarts_nothing(told: Told) -> None:
    """Scaling alters no template, gives no pod another revision, and interrupts no remaining group."""
    told.set("lws").keeps(templates, since="running")
    told.group(0, of="lws").keeps(pod_revisions, admission_time, since="running")
    told.group(0, of="lws").always(complete, since="running")


@story(moments={"removed": "DOWN-05", "counted": "DOWN-05"})
def scale_down_a_waiting_group(tenant: Tenant) -> None:
    """Of two groups one runs and one waits; the waiting one is scaled away."""
    lws = tenant.create(leader_worker_set(), quota=groups(1) + canary_room)
    lws.reached(available, moment="running")
    lws.scale(2)
    tenant.canary(after=(lws.group(1),)).reached(ready, moment="canary-ran")
    tenant.queue().reached(counts(pending=1, admitted=2), moment="one-waits")
    lws.scale(1)
    lws.reached(scaled_to(1))
    lws.group(1).eventually(absent, moment="removed")
    tenant.queue().eventually(counts(pending=0, admitted=2), moment="counted")


@claim("DOWN-05", of=scale_down_a_waiting_group)
def test_waiting_group_goes_without_having_run(told: Told) -> None:
    """A waiting group that is scaled away disappears without ever having been admitted, and the running one stays."""
    told.group(1, of="lws").always(gated, since=created, until=no_workload, through="canary-ran")
    told.group(1, of="lws").never(admitted, since=created)
    told.group(0, of="lws").keeps(pod_uids, workload_uid, since="running")


@story(moments={"empty": "ZERO-01", "released": "ZERO-01", "back": "ZERO-02"})
def to_zero_and_back(tenant: Tenant) -> None:
    """A running set of two groups is scaled to zero and then to two again."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2))
    lws.reached(available, moment="running")
    lws.scale(0)
    lws.reached(scaled_to(0))
    lws.eventually(exists_with_no_groups, moment="empty")
    tenant.queue().eventually(released, moment="released")
    lws.scale(2)
    lws.eventually(running, moment="back")


@claim("ZERO-01", of=to_zero_and_back)
def test_a_set_of_zero_keeps_nothing(told: Told) -> None:
    """A LeaderWorkerSet that was scaled to zero stays, without Workloads and without pods."""
    told.set().always(exists_with_no_groups, since="empty", until="released")


@claim("ZERO-02", of=to_zero_and_back)
def test_groups_that_come_back_wait_for_a_new_admission(told: Told) -> None:
    """Groups that come back from zero get new Workloads, and no pod of theirs is ungated before these are admitted."""
    for index in (0, 1):
        # That there was no Workload is promised before, so whatever there is now is new.
        told.group(index).before(admitted, partly_ungated, since="released")
