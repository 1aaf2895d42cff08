"""The topology vectors: racks, one group, and where it may run; those of the table, and those in which more happens."""

from __future__ import annotations

from conformance.expectations import (
    admitted,
    assigned_as,
    at_most_one_holds,
    bound_as_assigned,
    in_rack,
    in_slices,
    one_runs,
    placed_as,
    pod_uids,
    ready,
    running,
    uids_on,
    whole_group_in_one_rack,
    workload_uid,
)
from conformance.expectations.judging import Told
from conformance.names import GPU, HOSTNAME, RACK, SPOILT_TAINT
from conformance.suites.from_vectors import told_as, told_while
from conformance.suites.vectors import ONE_GPU, SPOILT, V1_R1, V1_R2, V1_RACKS, V1_SET, VECTORS
from conformance.world.builders import leader_worker_set
from conformance.world.requests import Requests, canary_room, groups, room
from conformance.world.story import claim, story
from conformance.world.tenant import Tenant


@story(moments={"running": "V22"})
def leader_without_requests(tenant: Tenant) -> None:
    """Vector V22: a leader that requests nothing at all is grouped with two GPU workers; two racks fit the group."""
    spec = leader_worker_set(size=3, leader=Requests(), worker=ONE_GPU, required=RACK)
    lws = tenant.create(spec, quota=groups(1), layout=V1_RACKS, topology=True, covers=("cpu", GPU))
    lws.group(0).eventually(ready, placed_as(*V1_R1, *V1_R2), moment="running")


for vector in VECTORS:
    globals().update(told_as(vector, __name__))


V12 = tuple(told_while(spoilt, __name__) for spoilt in SPOILT)
globals().update({one.name: one for one in V12})


@claim("V12", of=V12)
def test_v12_a_host_that_cannot_be_used_is_not(told: Told) -> None:
    """V12: the first group is in r2, since h1 cannot be used, and stays there; the second is in r1 once it can."""
    told.group(0).always(assigned_as(*V1_R2), since=admitted)
    told.group(0).at("both-run", placed_as(*V1_R2))
    told.group(1).always(assigned_as(*V1_R1), since=admitted)
    told.group(1).at("both-run", placed_as(*V1_R1))


@claim("TAS-27", of=V12[:2])
def test_a_host_that_is_cordoned_or_not_ready_is_no_room(told: Told) -> None:
    """While h1 is cordoned or NotReady the group is in r2, since r1 has no room for it."""
    told.group(0).at("first-runs", in_rack("r2"))


@claim("TAS-14", of=V12[4])
def test_room_that_others_take_is_not_given_away(told: Told) -> None:
    """While a pod that Kueue does not manage has a GPU of r1 a group is in r2; a waiting one gets r1 once it ended."""
    told.group(0).at("first-runs", in_rack("r2"))
    told.group(1).at("both-run", in_rack("r1"))


@story()
def leader_selects_one_host(tenant: Tenant) -> None:
    """Vector V13: two racks fit the group, and of their hosts the leader's node selector leaves h4 alone."""
    spec = V1_SET.with_pods("leader", nodeSelector={HOSTNAME: f"{tenant.name}-h4"})
    lws = tenant.create(spec, quota=groups(1), layout=V1_RACKS, topology=True)
    lws.group(0).reached(admitted, moment="admitted")


@story()
def leader_tolerates_one_host(tenant: Tenant) -> None:
    """Vector V13: two racks fit the group, and all hosts but h4 have a taint that the workers alone tolerate."""
    spec = V1_SET.with_pods("worker", tolerations=[{"key": SPOILT_TAINT, "operator": "Exists"}])
    tenant.open(quota=groups(1), group=spec.group, layout=V1_RACKS, topology=True)
    for host in ("h1", "h2", "h3"):
        tenant.hosts.spoil(host, "tainted")
    lws = tenant.create(spec)
    lws.group(0).reached(admitted, moment="admitted")


@claim("V13", of=(leader_selects_one_host, leader_tolerates_one_host))
def test_v13_the_leader_is_assigned_a_host_that_it_can_use(told: Told) -> None:
    """V13: the workers are assigned h3 and h4 and the leader h4, since it can use no other host."""
    told.group(0).at("admitted", assigned_as("leader h4; workers h3 h4"))


@story(moments={"one-runs": "V14"})
def one_host_for_two_waiting_groups(tenant: Tenant) -> None:
    """Vector V14: two groups wait in two queues of a cohort; then comes one host that has room for either of them."""
    rooms = {"queue-a": room(cpu=2000) + canary_room, "queue-b": room(cpu=4000) + canary_room}
    tenant.open(quota=rooms, layout="", topology=True, cohort=True)
    light, heavy = Requests(cpu=1000), Requests(cpu=2000)
    one = leader_worker_set("small", size=2, leader=light, worker=light, queue="queue-a", required=RACK)
    other = leader_worker_set("large", size=2, leader=heavy, worker=heavy, queue="queue-b", required=RACK)
    small, large = tenant.create(one), tenant.create(other)
    tenant.canary(after=(small.group(0), large.group(0)), queue="queue-a").reached(ready, moment="canary-ran")
    tenant.add_hosts("r1: h1 4000")
    small.eventually(one_runs("large"), moment="one-runs")
    waits = "queue-b" if small.now(running) else "queue-a"
    tenant.canary(after=(small.group(0), large.group(0)), queue=waits).reached(ready, moment="waited")


@claim("V14", of=one_host_for_two_waiting_groups)
def test_v14_one_host_is_given_to_one_group(told: Told) -> None:
    """V14: at no time do both groups hold quota, since the one host has room for one of them."""
    told.set("small").always(at_most_one_holds("large"), since="canary-ran", through="waited")


V20_RACKS = "r1: h1 4000/1, h2 1000/1{spare}; r2: h4 4000/1, h5 1000/1"
V20_SET = leader_worker_set(size=3, leader=Requests(cpu=2000), worker=ONE_GPU, required=RACK, restart="None")
"""The group of vector V20: its leader has room on h1 and h4 alone, and its workers need both GPUs of two hosts."""


@story(moments={"running": "V20", "moved": "V20"})
def lost_host_has_a_spare(tenant: Tenant) -> None:
    """Vector V20: a group fills h1 and h2, then h3 and the other rack become free, and h2 is lost."""
    tenant.open(quota=groups(1), group=V20_SET.group, layout=V20_RACKS.format(spare=", h3 1000/1"), topology=True)
    for host in ("h3", "h4", "h5"):
        tenant.hosts.occupy(host, ONE_GPU)
    lws = tenant.create(V20_SET)
    lws.eventually(running, moment="running")
    for host in ("h3", "h4", "h5"):
        tenant.hosts.vacate(host)
    tenant.hosts.lose("h2")
    lws.group(0).eventually(ready, placed_as("leader h1; workers h1 h3"), moment="moved")


@claim("V20", of=lost_host_has_a_spare)
def test_v20_the_worker_of_a_lost_host_moves_alone(told: Told) -> None:
    """V20: one worker moves to h3, while the leader and the other worker stay on h1 and the group stays in r1."""
    told.group(0).keeps(uids_on("h1"), workload_uid, since="running")
    told.group(0).always(
        assigned_as("leader h1; workers h1 h2", "leader h1; workers h1 h3"), since=admitted, through="moved"
    )
    told.group(0).at("moved", bound_as_assigned)


@claim("TAS-22", of=lost_host_has_a_spare)
def test_the_pod_of_a_lost_host_stays_in_its_rack(told: Told) -> None:
    """The pod of a lost host is placed on another host of the rack that the group has."""
    told.group(0).at("moved", in_rack("r1"))


@story(moments={"running": "V20", "moved": "V20"})
def lost_host_has_no_spare(tenant: Tenant) -> None:
    """Vector V20: a group fills the GPUs of its rack, then the other rack becomes free, and h2 is lost."""
    tenant.open(quota=groups(1), group=V20_SET.group, layout=V20_RACKS.format(spare=""), topology=True)
    for host in ("h4", "h5"):
        tenant.hosts.occupy(host, ONE_GPU)
    lws = tenant.create(V20_SET)
    lws.eventually(running, moment="running")
    for host in ("h4", "h5"):
        tenant.hosts.vacate(host)
    tenant.hosts.lose("h2")
    lws.group(0).eventually(ready, placed_as("leader h4; workers h4 h5"), moment="moved")


@claim("V20", of=lost_host_has_no_spare)
def test_v20_a_group_without_a_spare_moves_whole(told: Told) -> None:
    """V20: where its rack has no host to spare the group is moved to r2, and at no time is it in two racks."""
    told.group(0).renews(pod_uids, since="running", at="moved")
    told.group(0).at("moved", whole_group_in_one_rack, bound_as_assigned)


@story(moments={"running": "V21"})
def slices_of_two_by_host(tenant: Tenant) -> None:
    """Vector V21: a group of twelve in slices of two meets hosts with room for six, five, four, three and two pods."""
    spec = leader_worker_set(size=12, leader=None, worker=Requests(cpu=1000), preferred=RACK, slices=(HOSTNAME, 2))
    layout = "r1: h1 6000, h2 5000, h3 4000, h4 3000, h5 2000"
    tenant.create(spec, quota=groups(1), layout=layout, topology=True).eventually(running, moment="running")


@claim("V21", of=slices_of_two_by_host)
def test_v21_every_slice_is_on_one_host(told: Told) -> None:
    """V21: on every host there is an even number of the pods of the group, as it was assigned."""
    told.group(0).at("running", in_slices(2), bound_as_assigned)
