"""Rolling updates: groups are replaced under their Workloads, and surge groups are queued like any other."""

from __future__ import annotations

from conformance.expectations import (
    admission_time,
    admitted,
    at_least_complete,
    at_most_admitted,
    counts,
    created,
    gated,
    gated_until_admitted,
    no_pods_beyond,
    no_quota_reserved,
    no_workloads_of_parts,
    of_image,
    one_workload_per_group,
    pod_uids,
    ready,
    reserved,
    rolled_out,
    running,
    usage,
    workload_uid,
    workloads_of,
)
from conformance.expectations.judging import START, Told
from conformance.world.builders import NEW_IMAGE, leader_worker_set
from conformance.world.requests import canary_room, groups
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant


@story(moments={"rolled-out": "ROLL-01"})
def image_update(tenant: Tenant) -> None:
    """A running set of two groups, in a queue with room for no more, gets another image."""
    lws = tenant.create(leader_worker_set(replicas=2, size=2), quota=groups(2) + canary_room)
    lws.reached(running, moment="running")
    tenant.queue().reached(usage(cpu="600m"), reserved(cpu="600m"), counts(pending=0, admitted=2), moment="counted")
    tenant.local_queue().reached(usage(cpu="600m"), moment="counted-locally")
    lws.roll(NEW_IMAGE)
    lws.eventually(running, rolled_out(NEW_IMAGE), moment="rolled-out")
    tenant.canary(after=(lws.group(0), lws.group(1))).reached(ready, moment="canary-ran")


@claim("ROLL-01", of=image_update)
def test_an_update_needs_no_new_admission(told: Told) -> None:
    """An image update leaves the Workload and the admission of every group as they are."""
    for index in (0, 1):
        told.group(index).keeps(workload_uid, admission_time, since="running")
    told.set("lws").always(one_workload_per_group, since="running", until="rolled-out")


@claim("ROLL-01", of=image_update)
def test_groups_are_replaced_one_after_another(told: Told) -> None:
    """An image update replaces all pods, one group after another."""
    for index in (0, 1):
        told.group(index).renews(pod_uids, since="running", at="rolled-out")
        told.group(index).at("rolled-out", of_image(NEW_IMAGE))
    told.set("lws").always(at_least_complete(1), since="running")


@claim("ROLL-02", of=image_update)
def test_an_update_without_surge_changes_no_usage(told: Told) -> None:
    """A rolling update without surge leaves the usage and the reservations of the queue as they are."""
    told.queue().always(usage(cpu="600m"), since="counted", until="rolled-out")
    told.queue().always(reserved(cpu="600m"), since="counted", until="rolled-out")


@claim("QUO-06", of=image_update)
def test_an_update_changes_no_usage_of_the_local_queue(told: Told) -> None:
    """An image update changes neither the usage of the LocalQueue nor the number of groups that its queue counts."""
    told.queue("LocalQueue").always(usage(cpu="600m"), since="counted-locally", until="rolled-out")
    told.queue().always(counts(pending=0, admitted=2), since="counted", until="rolled-out")


@story(moments={"surging": "ROLL-03", "rolled-out": "ROLL-03", "counted": "ROLL-03"})
def surge_update(tenant: Tenant) -> None:
    """A running set of two groups that may surge by one gets another image; there is room for two groups more."""
    spec = leader_worker_set(replicas=2, size=2).rolling(surge=1)
    lws = tenant.create(spec, quota=groups(4))
    lws.reached(running, moment="running")
    lws.roll(NEW_IMAGE)
    lws.group(2).eventually(ready, moment="surging")
    lws.eventually(running, rolled_out(NEW_IMAGE), workloads_of(0, 1), no_pods_beyond(2), moment="rolled-out")
    tenant.queue().eventually(usage(cpu="600m"), counts(pending=0, admitted=2), moment="counted")


@claim("ROLL-03", of=surge_update)
def test_a_surge_group_is_admitted_as_any_other(told: Told) -> None:
    """The pods of a surge group are gated until its own Workload is admitted, and have the new image."""
    told.group(2).always(gated_until_admitted, since=created, until="surging")
    told.group(2).at("surging", of_image(NEW_IMAGE))


@claim("ROLL-03", of=surge_update)
def test_groups_with_surge_keep_their_workloads(told: Told) -> None:
    """A rolling update with surge leaves the Workload and the admission of the groups that were there as they are."""
    for index in (0, 1):
        told.group(index).keeps(workload_uid, admission_time, since="running")


@claim("ROLL-03", of=surge_update)
def test_an_update_holds_quota_for_no_more_than_its_surge(told: Told) -> None:
    """A rolling update with a surge of one holds quota for one group more than its replicas, though more would fit."""
    told.set().always(at_most_admitted(3), since="running")


@claim("QSEL-14", of=(image_update, surge_update))
def test_an_update_gives_no_workload_to_a_part_of_a_set(told: Told) -> None:
    """During a rolling update no Workload is owned by a StatefulSet of a managed set, nor by a pod without the set."""
    told.set().always(no_workloads_of_parts, since=START)


@story(moments={"rolled-out": "ROLL-04"})
def surge_update_without_quota(tenant: Tenant) -> None:
    """A set whose groups fill the queue gets another image and a surge group, for which there is room later."""
    spec = leader_worker_set(replicas=2, size=2).rolling(surge=1)
    lws = tenant.create(spec, quota=groups(2) + canary_room)
    lws.reached(running, moment="running")
    lws.roll(NEW_IMAGE)
    tenant.canary(after=(lws.group(2),)).reached(ready, moment="canary-ran")
    tenant.set_quota(groups(3) + canary_room)
    lws.eventually(running, rolled_out(NEW_IMAGE), workloads_of(0, 1), no_pods_beyond(2), moment="rolled-out")


@claim("ROLL-04", of=surge_update_without_quota)
def test_a_surge_group_without_quota_stays_gated(told: Told) -> None:
    """A surge group for which there is no quota stays gated until its own Workload is admitted."""
    told.group(2, of="lws").always(gated, since=created, until=admitted, through="canary-ran")
    told.group(2, of="lws").always(no_quota_reserved, since=created, until=admitted, through="canary-ran")


@claim("ROLL-04", of=surge_update_without_quota)
def test_a_surge_group_takes_no_quota_from_others(told: Told) -> None:
    """A surge group that waits for quota takes none from the groups of its set."""
    for index in (0, 1):
        told.group(index, of="lws").keeps(workload_uid, admission_time, since="running")
