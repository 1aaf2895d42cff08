"""Groups that are stopped on purpose: deactivated by their Workload, or held back by their queue."""

from __future__ import annotations

from conformance.expectations import (
    admission_time,
    admitted,
    awaits_check,
    complete,
    counts,
    created,
    evicted,
    gated,
    no_quota_reserved,
    not_admitted,
    partly_ungated,
    pod_uids,
    ready,
    replaced,
    reserved,
    running,
    tried,
    uids_below,
    usage,
    workload_uid,
)
from conformance.expectations.judging import Told
from conformance.world.builders import leader_worker_set
from conformance.world.requests import canary_room, groups, room
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant


@story(moments={"stopped": "DEACT-01", "released": "DEACT-01", "back": "DEACT-02", "counted": "DEACT-02"})
def group_is_deactivated(tenant: Tenant) -> None:
    """One of two running groups is deactivated, and later made active again."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2) + canary_room)
    lws.reached(running, moment="running")
    tenant.queue().reached(usage(cpu="600m"))
    lws.group(1).set_active(False)
    lws.group(1).eventually(tried, gated, no_quota_reserved, moment="stopped")
    tenant.queue().eventually(usage(cpu="300m"), counts(admitted=1), moment="released")
    tenant.canary(after=(lws.group(1),)).reached(ready, moment="canary-ran")
    lws.group(1).set_active(True)
    lws.eventually(running, moment="back")
    tenant.queue().eventually(usage(cpu="610m"), counts(pending=0, admitted=3), moment="counted")


@claim("DEACT-01", of=group_is_deactivated)
def test_the_other_group_runs_on(told: Told) -> None:
    """Deactivating the Workload of one group leaves the others as they are."""
    told.group(0, of="lws").keeps(pod_uids, workload_uid, admission_time, since="running")
    told.group(0, of="lws").always(complete, since="running")


@claim("DEACT-01", of=group_is_deactivated)
def test_a_deactivated_group_comes_back_gated(told: Told) -> None:
    """The pods of a group that is deactivated are replaced, and the new ones stay gated."""
    told.group(1, of="lws").renews(pod_uids, since="running", at="stopped")
    told.group(1, of="lws").always(gated, since="stopped", until="canary-ran")


@claim("DEACT-01", of=group_is_deactivated)
def test_a_deactivated_group_keeps_its_workload(told: Told) -> None:
    """A deactivated Workload is evicted and stays, without quota even though it would fit."""
    told.group(1, of="lws").keeps(workload_uid, since="running", until="canary-ran")
    told.group(1, of="lws").at("stopped", evicted)
    told.group(1, of="lws").always(no_quota_reserved, since="stopped", until="canary-ran")


@claim("DEACT-02", of=group_is_deactivated)
def test_an_active_group_is_admitted_under_its_old_workload(told: Told) -> None:
    """A deactivated Workload that is made active again is admitted as what it was, before its pods are ungated."""
    told.group(1, of="lws").keeps(workload_uid, since="canary-ran")
    told.group(1, of="lws").before(admitted, partly_ungated, since="canary-ran")


@story(moments={"both-hold-quota": "QUO-03", "held": "STOP-04", "released": "STOP-04", "replaced": "STOP-02"})
def hold_takes_a_reservation(tenant: Tenant) -> None:
    """Of two sets that hold quota one has passed the admission check; their queue is held, and then no more."""
    tenant.open(quota=room(cpu=600))
    check = tenant.check()
    first = tenant.create(leader_worker_set("first", size=2, restart="None"))
    first.group(0).reached(awaits_check, moment="first-waits")
    check.let_pass(first.group(0))
    first.reached(running, moment="first-runs")
    second = tenant.create(leader_worker_set("second", size=2))
    second.group(0).reached(tried, awaits_check, moment="second-waits")
    tenant.queue().eventually(reserved(cpu="600m"), usage(cpu="300m"), moment="both-hold-quota")
    tenant.stop("Hold")
    second.group(0).eventually(no_quota_reserved, moment="held")
    tenant.queue().eventually(reserved(cpu="300m"), counts(reserving=1, admitted=1), moment="released")
    last = first.group(0).delete_last_worker()
    first.group(0).eventually(replaced(last), ready, moment="replaced")
    tenant.stop("None")
    second.group(0).reached(awaits_check, moment="waits-again")


@claim("STOP-04", of=hold_takes_a_reservation)
def test_a_group_that_awaits_its_check_never_starts_on_hold(told: Told) -> None:
    """A group that holds a reservation when its queue is held is not admitted, and its pods stay gated."""
    told.group(0, of="second").always(gated, since=created, until="waits-again")
    told.group(0, of="second").always(not_admitted, since="second-waits", until="waits-again")


@claim("STOP-04", of=hold_takes_a_reservation)
def test_the_workload_stays_without_its_reservation(told: Told) -> None:
    """A group that loses its reservation to a hold keeps its Workload."""
    told.group(0, of="second").keeps(workload_uid, since="second-waits")


@claim("STOP-02", of=hold_takes_a_reservation)
def test_an_admitted_group_runs_on_while_its_queue_is_held(told: Told) -> None:
    """A queue that is held leaves the groups that are admitted as they are."""
    told.group(0, of="first").keeps(uids_below(1), workload_uid, admission_time, since="first-runs")
    told.queue().always(usage(cpu="300m"), since="both-hold-quota", until="waits-again")
