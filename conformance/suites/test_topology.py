"""Topology: a group in one rack or not at all, each replica for itself; the page's second sample and the vectors."""

from __future__ import annotations

from conformance.expectations import (
    admitted,
    at_most_admitted,
    atomic,
    bound_as_assigned,
    counts,
    created,
    gated,
    groups_in_different_racks,
    hosts_within_capacity,
    in_rack,
    kueue_gated,
    leaders_only,
    no_assignment,
    no_pods_beyond,
    no_quota_reserved,
    partly_ungated,
    placed_as,
    pod_uids,
    ready,
    ready_groups,
    running,
    scaled_to,
    uncreatable_workers,
    usage,
    whole_group_in_one_rack,
    workload_uid,
)
from conformance.expectations.judging import START, Told
from conformance.names import RACK
from conformance.world.builders import leader_worker_set, sample
from conformance.world.requests import Requests, canary_room, groups, room
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant

TAS_GROUP = Requests(cpu=500, gpu=2)
"""One group of the page's second sample: a leader of 100m and two workers of 200m and one GPU each."""
TWO_RACKS = "r1: h1 4000/1, h2 4000/1; r2: h3 4000/1, h4 4000/1"
"""The cluster of vector V1: each rack has room for the GPUs of one group."""
THREE_LONE_HOSTS = "r1: h1 4000/1; r2: h2 4000/1; r3: h3 4000/1"
"""The cluster of vector V2: three GPUs, and no rack with two of them."""
IN_R1 = ("leader h1; workers h1 h2", "leader h2; workers h1 h2")
IN_R2 = ("leader h3; workers h3 h4", "leader h4; workers h3 h4")
V1_SET = leader_worker_set(leader=Requests(cpu=100), worker=Requests(gpu=1), required=RACK)
"""The group of vector V1: a leader of 100m and two workers of one GPU each, in one rack."""
PAGE = "https://kueue.sigs.k8s.io/docs/tasks/run/leaderworkerset/#configure-topology-aware-scheduling"


@story(moments={"charged": "QUO-02"})
def page_topology_sample_as_printed(tenant: Tenant) -> None:
    """The page's second sample is applied as printed; where its worker pods cannot be created, that is a finding."""
    spec = sample("page-topology-sample.yaml", TAS_GROUP)
    tenant.open(quota={"tas-user-queue": groups(2)}, group=TAS_GROUP, layout=TWO_RACKS, topology=True)
    lws = tenant.create(spec)
    tenant.queue("tas-user-queue").eventually(usage(cpu="1", gpu="4"), counts(admitted=2), moment="charged")
    lws.reached(uncreatable_workers, moment="workers-refused")
    tenant.finding(
        "page-defect",
        "The page's topology sample cannot run as printed: its nvidia.com/gpu request has no limit, so the API server "
        "refuses the worker pods, while the admitted groups hold their quota. The suite judges it with a limit added.",
        PAGE,
    )


@claim("QUO-02", of=page_topology_sample_as_printed)
def test_quota_is_held_by_groups_whose_workers_cannot_be_created(told: Told) -> None:
    """An admitted group is charged for leader and workers even while its worker pods do not exist."""
    for index in (0, 1):
        told.group(index).at("workers-refused", leaders_only, admitted)
    told.queue().at("workers-refused", usage(cpu="1", gpu="4"))


@story(moments={"running": "TAS-01", "counted": "QUO-09"})
def page_topology_sample(tenant: Tenant) -> None:
    """The page's second sample, mended, runs on two racks that each have room for one of its two groups."""
    tenant.open(quota={"tas-user-queue": groups(2)}, group=TAS_GROUP, layout=TWO_RACKS, topology=True)
    lws = tenant.create(sample("page-topology-sample-mended.yaml", TAS_GROUP))
    lws.eventually(running, moment="running")
    tenant.queue("tas-user-queue").eventually(usage(cpu="1", gpu="4"), moment="counted")


@claim("TAS-01", of=page_topology_sample)
def test_leader_and_workers_share_a_rack(told: Told) -> None:
    """The leader and all workers of each group are assigned to and run in one rack, the one that was assigned."""
    for index in (0, 1):
        told.group(index).always(whole_group_in_one_rack, since=admitted)
        told.group(index).at("running", bound_as_assigned)


@claim("POD-09", of=page_topology_sample)
def test_pods_wait_for_the_admission_of_their_topology(told: Told) -> None:
    """No pod of a topology-aware group loses Kueue's gates before the group's Workload is Admitted."""
    for index in (0, 1):
        told.group(index).before(admitted, partly_ungated, since=created)


@claim("TAS-02", of=page_topology_sample)
def test_replicas_may_have_different_racks(told: Told) -> None:
    """Where a rack has room for one group only, the replicas of a LeaderWorkerSet get different racks."""
    told.set().at("running", groups_in_different_racks)


@claim("TAS-05", of=page_topology_sample)
def test_a_leader_without_gpu_is_placed_with_its_workers(told: Told) -> None:
    """A leader that requests no GPU is in the rack in which its group's GPU workers are, on a host of theirs."""
    for index in (0, 1):
        told.group(index).at("running", placed_as(*IN_R1, *IN_R2))


@story(moments={"running": "V1"})
def one_group_on_two_racks(tenant: Tenant) -> None:
    """Vector V1: a group of a leader and two GPU workers meets two racks that each fit it."""
    lws = tenant.create(V1_SET, quota=groups(1), layout=TWO_RACKS, topology=True)
    lws.eventually(running, moment="running")


@claim("V1", of=one_group_on_two_racks)
def test_v1_the_group_fills_one_of_the_two_racks(told: Told) -> None:
    """V1: all three pods are in r1 or all in r2, one worker on each host, the leader on either."""
    told.group(0).always(placed_as(*IN_R1, *IN_R2), since="running")
    told.group(0).always(whole_group_in_one_rack, since=admitted)


@story(moments={"room": "TAS-03"})
def no_rack_fits(tenant: Tenant) -> None:
    """Vectors V2, V19: three GPUs in three racks cannot hold a group of two in one; then r2 gets another host."""
    lws = tenant.create(V1_SET, quota=room(cpu=200, gpu=4) + canary_room, layout=THREE_LONE_HOSTS, topology=True)
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")
    tenant.add_hosts("r2: h4 4000/1")
    lws.eventually(running, moment="room")


@claim("TAS-03", of=no_rack_fits)
def test_group_waits_while_no_rack_fits_it(told: Told) -> None:
    """While no rack fits the whole group, it gets neither quota nor domains, although the cluster has room in total."""
    told.group(0, of="lws").always(no_quota_reserved, since=created, until=admitted, through="canary-ran")


@claim("TAS-29", of=no_rack_fits)
def test_waiting_topology_pods_keep_a_gate(told: Told) -> None:
    """The pods of a topology-aware group that waits keep a gate of Kueue and are bound to no node."""
    told.group(0, of="lws").always(kueue_gated, since=created, until=admitted, through="canary-ran")


@claim("V2", of=no_rack_fits)
def test_v2_only_the_rack_that_grew_is_used(told: Told) -> None:
    """V2: no pod runs anywhere until r2 has two GPUs; then the group is in r2, one worker on each of its hosts."""
    told.group(0, of="lws").always(gated, since=created, until=admitted, through="canary-ran")
    told.group(0, of="lws").always(in_rack("r2"), since=admitted)
    told.group(0, of="lws").at("room", placed_as("leader h2; workers h2 h4", "leader h4; workers h2 h4"))


@claim("V19", of=no_rack_fits)
def test_v19_quota_without_a_place_does_not_admit(told: Told) -> None:
    """V19: quota for two groups and no rack for one: the group stays gated whole, and is assigned nothing."""
    told.group(0, of="lws").at("canary-ran", gated, no_assignment)


@story()
def place_without_quota(tenant: Tenant) -> None:
    """Vector V19: two racks fit the group, but the queue has one GPU and the group needs two."""
    lws = tenant.create(V1_SET, quota=room(cpu=100, gpu=1) + canary_room, layout=TWO_RACKS, topology=True)
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")


@claim("V19", of=place_without_quota)
def test_v19_a_place_without_quota_does_not_admit(told: Told) -> None:
    """V19: a rack for the group and quota for half of it: nothing is reserved, and the group stays gated whole."""
    told.group(0, of="lws").always(no_quota_reserved, since=created, through="canary-ran")
    told.group(0, of="lws").always(gated, since=created, through="canary-ran")


@story(moments={"two-run": "V3", "one-left": "V3", "two-again": "V3"})
def three_replicas_on_two_racks(tenant: Tenant) -> None:
    """Vector V3: three replicas meet two racks that fit one each; they are scaled to one, and to three again."""
    spec = leader_worker_set(replicas=3, leader=Requests(cpu=100), worker=Requests(gpu=1), required=RACK)
    lws = tenant.create(spec, quota=groups(3) + canary_room + canary_room, layout=TWO_RACKS, topology=True)
    lws.eventually(ready_groups(2), moment="two-run")
    tenant.canary(after=tuple(lws.group(index) for index in range(3))).reached(ready, moment="canary-ran")
    # Whichever group waited: if it was the first, it is now admitted into a rack that was freed.
    lws.scale(1)
    lws.reached(scaled_to(1))
    lws.eventually(running, no_pods_beyond(1), moment="one-left")
    lws.scale(3)
    lws.eventually(ready_groups(2), moment="two-again")
    tenant.canary(after=tuple(lws.group(index) for index in range(3))).reached(ready, moment="canary-ran-again")


@claim("V3", of=three_replicas_on_two_racks)
def test_v3_two_groups_run_one_in_each_rack(told: Told) -> None:
    """V3: at no time do more than two groups hold quota or two groups share a rack, also after racks were freed."""
    told.set("lws").always(at_most_admitted(2), since="two-run")
    told.set("lws").always(groups_in_different_racks, since="two-run")


@claim("V3", of=three_replicas_on_two_racks)
def test_v3_no_group_runs_in_part(told: Told) -> None:
    """V3: no pod of a group is ungated unless the whole group is admitted, so the third does not run in part."""
    for index in range(3):
        told.group(index, of="lws").always(atomic, since=created, until="canary-ran")


@claim("TAS-19", of=three_replicas_on_two_racks)
def test_scaling_up_takes_the_rack_that_is_left(told: Told) -> None:
    """A group that scale-up adds gets the rack that is left, and the group that runs keeps its pods and Workload."""
    told.group(0, of="lws").keeps(pod_uids, workload_uid, since="one-left")
    told.set("lws").at("two-again", groups_in_different_racks)


@story()
def three_sets_for_two_racks(tenant: Tenant) -> None:
    """Three sets ask at the same time for a rack each, and two racks have room; there is quota for all."""
    tenant.open(quota=groups(3) + canary_room, group=V1_SET.group, layout=TWO_RACKS, topology=True)
    names = ("one", "two", "three")
    sets = [
        tenant.create(leader_worker_set(name, leader=Requests(cpu=100), worker=Requests(gpu=1), required=RACK))
        for name in names
    ]
    tenant.canary(after=tuple(lws.group(0) for lws in sets)).reached(ready, moment="canary-ran")
    tenant.queue("user-queue").reached(counts(pending=1, admitted=3), moment="counted")


@claim("TAS-30", of=three_sets_for_two_racks)
def test_competing_sets_share_no_host(told: Told) -> None:
    """Where several sets with a required topology compete at the same time, no host is assigned more than it has."""
    told.set("one").always(hosts_within_capacity, since=START, through="counted")


@claim("TAS-03", of=three_sets_for_two_racks)
def test_of_competing_sets_each_is_admitted_whole_or_not(told: Told) -> None:
    """Of the sets that compete for racks, no pod is ungated unless its whole group is admitted."""
    for name in ("one", "two", "three"):
        told.group(0, of=name).always(atomic, since=created, until="counted")


@story()
def same_rack_name_in_two_blocks(tenant: Tenant) -> None:
    """Vector V10: two blocks have a rack of the same name with one GPU each; the group needs two in one rack."""
    layout = "b1/r1: h1 4000/1; b2/r1: h2 4000/1"
    lws = tenant.create(V1_SET, quota=groups(1) + canary_room, layout=layout, topology=True)
    tenant.canary(after=(lws.group(0),)).reached(ready, moment="canary-ran")


@claim("V10", of=same_rack_name_in_two_blocks)
def test_v10_racks_of_the_same_name_are_not_one_rack(told: Told) -> None:
    """V10: hosts whose rack label is equal but whose block differs are not one rack, so the group waits."""
    told.group(0, of="lws").always(gated, since=created, through="canary-ran")
    told.group(0, of="lws").always(no_quota_reserved, since=created, through="canary-ran")
