"""The core as a whole, driven through random lives of a small cluster and compared with a naive model of the rules."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from miniature import HOST, RACK, Miniature

from conformance import names
from conformance.quantities import parse_quantity
from conformance.reference import deciding
from conformance.reference.topology import capacity, leaves

Object = dict[str, Any]
QUEUES = ("a", "b")
SIZES = st.integers(1, 3)


def condition(workload: Object, name: str) -> bool:
    conditions = (workload.get("status") or {}).get("conditions") or ()
    return any(c["type"] == name and c["status"] == "True" for c in conditions)


def reserves(workload: Object) -> bool:
    return bool((workload.get("status") or {}).get("admission")) and condition(workload, "QuotaReserved")


def asks(workload: Object) -> Fraction:
    """The cpu that a Workload's pods ask for, from its spec."""
    return sum(
        (
            podset["count"] * parse_quantity(container["resources"]["requests"]["cpu"])
            for podset in workload["spec"]["podSets"]
            for container in podset["template"]["spec"]["containers"]
        ),
        Fraction(0),
    )


def group_of(pod: Object) -> tuple[str, int]:
    labels = pod["metadata"]["labels"]
    return labels[names.SET_NAME], int(labels[names.GROUP_INDEX])


def gated(pod: Object) -> bool:
    return any(gate["name"] in names.OUR_GATES for gate in pod["spec"].get("schedulingGates") or ())


class Lives(RuleBasedStateMachine):
    """Sets, queues and nodes change at random; between two changes the reconciler may do any number of passes."""

    sets = Bundle("sets")
    nodes = Bundle("nodes")

    @initialize(
        target=sets,
        quota=st.tuples(st.integers(2, 8), st.integers(0, 8)),
        cohort=st.booleans(),
        topology=st.booleans(),
        spread=SIZES,
        first=st.lists(st.tuples(st.sampled_from(QUEUES), SIZES, SIZES), min_size=2, max_size=4),
    )
    def begin(
        self,
        quota: tuple[int, int],
        cohort: bool,
        topology: bool,
        spread: int,
        first: list[tuple[str, int, int]],
    ) -> Any:
        self.cluster = Miniature()
        self.topology = topology
        self.names = itertools.count()
        self.cluster.put("WorkloadPriorityClass", "high", {"value": 100})
        self.cluster.flavor(topology=topology)
        for name, amount in zip(QUEUES, quota, strict=True):
            preemption = {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"}
            self.cluster.queue(name, amount * 100, cohort="c" if cohort else "", preemption=preemption)
        for index in range(spread):
            self.cluster.node(f"first-{index}", f"r{index % 2}", 400)
        return multiple(*(self.create(queue, replicas, size, 100) for queue, replicas, size in first))

    # What happens to the cluster

    @rule(
        target=sets, queue=st.sampled_from(QUEUES), replicas=SIZES, size=SIZES, leader=st.sampled_from((None, 100, 200))
    )
    def another(self, queue: str, replicas: int, size: int, leader: int | None) -> str:
        return self.create(queue, replicas, size, leader)

    def create(self, queue: str, replicas: int, size: int, leader: int | None) -> str:
        name = f"s{next(self.names)}"
        required = RACK if self.topology else ""
        self.cluster.set(name, queue, replicas=replicas, size=size, leader=leader, required=required)
        return name

    @rule(target=sets, queue=st.sampled_from(QUEUES), size=SIZES)
    def create_important(self, queue: str, size: int) -> str:
        name = f"s{next(self.names)}"
        self.cluster.set(name, queue, size=size, priority="high", required=RACK if self.topology else "")
        return name

    @rule(name=sets, replicas=st.integers(0, 3))
    def scale(self, name: str, replicas: int) -> None:
        if ("ns", name) in self.cluster.all("LeaderWorkerSet"):
            self.cluster.edit("LeaderWorkerSet", name, {"spec": {"replicas": replicas}}, "ns")

    @rule(name=sets)
    def delete(self, name: str) -> None:
        self.cluster.drop("LeaderWorkerSet", name, "ns")

    @rule(queue=st.sampled_from(QUEUES), amount=st.integers(0, 8))
    def resize(self, queue: str, amount: int) -> None:
        found = self.cluster.all("ClusterQueue")["", queue]
        found["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] = f"{amount * 100}m"
        self.cluster.put("ClusterQueue", queue, found)

    @rule(queue=st.sampled_from(QUEUES), cohort=st.sampled_from(("", "c")))
    def join(self, queue: str, cohort: str) -> None:
        self.cluster.edit("ClusterQueue", queue, {"spec": {"cohortName": cohort or None}})

    @rule(target=nodes, rack=st.sampled_from(("r0", "r1")), cpu=st.integers(1, 6))
    def add_node(self, rack: str, cpu: int) -> str:
        name = f"n{next(self.names)}"
        self.cluster.node(name, rack, cpu * 100)
        return name

    @rule(name=nodes, cordon=st.booleans())
    def cordon(self, name: str, cordon: bool) -> None:
        if ("", name) in self.cluster.all("Node"):
            self.cluster.edit("Node", name, {"spec": {"unschedulable": cordon}})

    @rule(name=nodes)
    def remove_node(self, name: str) -> None:
        self.cluster.drop("Node", name)
        for (namespace, pod), found in list(self.cluster.all("Pod").items()):
            if found["spec"].get("nodeName") == name:
                self.cluster.drop("Pod", pod, namespace)

    @rule(data=st.data(), active=st.booleans())
    def activate(self, data: st.DataObject, active: bool) -> None:
        keys = sorted(self.cluster.all("Workload"))
        if keys:
            namespace, name = data.draw(st.sampled_from(keys))
            self.cluster.edit("Workload", name, {"spec": {"active": active}}, namespace)

    @rule()
    def a_pass(self) -> None:
        self.passing()

    @rule()
    def the_others(self) -> None:
        self.cluster.controllers()

    @rule()
    def settle(self) -> None:
        for _ in range(80):
            requests, due = self.passing()
            if not self.cluster.controllers() and not requests:
                if due is None or due > self.cluster.now + 60:
                    break
                self.cluster.now = max(due, self.cluster.now + 1)
            self.cluster.now += 0.1
        else:
            raise AssertionError(f"it does not come to rest: {requests}")
        self.at_rest()

    def passing(self) -> tuple[list[str], float | None]:
        """One pass, and what must be true of any: nobody new is admitted beyond quota or without its whole room."""
        before = {key for key, workload in self.cluster.all("Workload").items() if reserves(workload)}
        decisions = self.cluster.decide()
        for key, workload in self.cluster.all("Workload").items():
            if key not in before and reserves(workload):
                self.newly_reserved(workload)
        return [f"{r.verb} {r.kind} {r.name}: {r.why}" for r in decisions.requests], decisions.wake_at

    # What must be true

    def usage(self) -> dict[str, Fraction]:
        used = dict.fromkeys(QUEUES, Fraction(0))
        for workload in self.cluster.all("Workload").values():
            if reserves(workload):
                used[workload["status"]["admission"]["clusterQueue"]] += asks(workload)
        return used

    def quota(self) -> tuple[dict[str, Fraction], bool]:
        """Nominal quota by queue, and whether both are in one cohort."""
        nominal: dict[str, Fraction] = {}
        cohorts: list[str] = []
        for name in QUEUES:
            spec = self.cluster.all("ClusterQueue")["", name]["spec"]
            nominal[name] = parse_quantity(spec["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"])
            cohorts.append(spec.get("cohortName", ""))
        return nominal, cohorts[0] == cohorts[1] == "c"

    def fits(self, queue: str, more: Fraction) -> bool:
        used, (nominal, shared) = self.usage(), self.quota()
        if shared:
            return sum(used.values()) + more <= sum(nominal.values())
        return used[queue] + more <= nominal[queue]

    def newly_reserved(self, workload: Object) -> None:
        queue = workload["status"]["admission"]["clusterQueue"]
        assert self.fits(queue, Fraction(0)), f"{workload['metadata']['name']} was admitted beyond the quota"
        assert workload["spec"].get("active", True), "a deactivated Workload was admitted"
        counts = {p["name"]: p["count"] for p in workload["spec"]["podSets"]}
        assert {p["name"]: p["count"] for p in workload["status"]["admission"]["podSetAssignments"]} == counts

    @invariant()
    def nobody_starts_before_the_whole_group_is_admitted(self) -> None:
        if not hasattr(self, "cluster"):
            return
        admitted = {
            (
                w["metadata"]["annotations"][names.JOB_OWNER_NAME],
                int(w["metadata"]["annotations"][names.GROUP_INDEX_OF_WORKLOAD]),
            )
            for w in self.cluster.all("Workload").values()
            if reserves(w)
        }
        existing = {name for _, name in self.cluster.all("LeaderWorkerSet")}
        for pod in self.cluster.all("Pod").values():
            if not gated(pod) and group_of(pod)[0] in existing and not pod["metadata"].get("deletionTimestamp"):
                index = group_of(pod)[1]
                wanted = self.cluster.all("LeaderWorkerSet")["ns", group_of(pod)[0]]["spec"]["replicas"]
                assert index >= wanted or group_of(pod) in admitted, f"{pod['metadata']['name']} runs without admission"

    @invariant()
    def no_node_is_over_committed(self) -> None:
        if not hasattr(self, "cluster"):
            return
        for (_, name), node in self.cluster.all("Node").items():
            here = [p for p in self.cluster.all("Pod").values() if p["spec"].get("nodeName") == name]
            cpu = sum(parse_quantity(c["resources"]["requests"]["cpu"]) for p in here for c in p["spec"]["containers"])
            assert cpu <= parse_quantity(node["status"]["allocatable"]["cpu"])

    def at_rest(self) -> None:
        """When nothing changes any more: as many Workloads as groups, whole groups run, and who waits has no room."""
        for (_, name), lws in self.cluster.all("LeaderWorkerSet").items():
            owned = [
                w
                for w in self.cluster.all("Workload").values()
                if any(ref["uid"] == lws["metadata"]["uid"] for ref in w["metadata"]["ownerReferences"])
            ]
            indices = sorted(int(w["metadata"]["annotations"][names.GROUP_INDEX_OF_WORKLOAD]) for w in owned)
            assert indices == list(range(lws["spec"]["replicas"])), f"{name}: {indices}"
            for workload in owned:
                self.consistent(workload, name)
        for workload in self.cluster.all("Workload").values():
            assert self.cluster.all("LeaderWorkerSet"), "a Workload is left and no set is there"
            if not reserves(workload) and workload["spec"].get("active", True):
                quota = self.fits(workload["spec"]["queueName"], asks(workload))
                assert not (quota and self.has_a_place(workload)), f"{workload['metadata']['name']} waits and would fit"

    def has_a_place(self, workload: Object) -> bool:
        """Whether its pods could all be put on hosts of one rack as they are; every way is tried."""
        if not self.topology:
            return True
        pods = [
            parse_quantity(podset["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
            for podset in workload["spec"]["podSets"]
            for _ in range(podset["count"])
        ]
        free: dict[str, list[Fraction]] = {}
        for (_, name), node in self.cluster.all("Node").items():
            if not node["spec"].get("unschedulable"):
                left = parse_quantity(node["status"]["allocatable"]["cpu"]) - self.taken(name)
                free.setdefault(node["metadata"]["labels"][RACK], []).append(left)
        return any(
            all(
                sum((pod for pod, at in zip(pods, where, strict=True) if at == host), Fraction(0)) <= left
                for host, left in enumerate(hosts)
            )
            for hosts in free.values()
            for where in itertools.product(range(len(hosts)), repeat=len(pods))
        )

    def taken(self, node: str) -> Fraction:
        """What is bound to a node or, of admitted groups, will be."""
        pods = self.cluster.all("Pod").values()
        here = [p for p in pods if node in (p["spec"].get("nodeName"), (p["spec"].get("nodeSelector") or {}).get(HOST))]
        return sum(
            (parse_quantity(c["resources"]["requests"]["cpu"]) for p in here for c in p["spec"]["containers"]),
            Fraction(0),
        )

    def consistent(self, workload: Object, name: str) -> None:
        index = int(workload["metadata"]["annotations"][names.GROUP_INDEX_OF_WORKLOAD])
        pods = [p for p in self.cluster.all("Pod").values() if group_of(p) == (name, index)]
        states = {gated(pod) for pod in pods}
        assert states == {not condition(workload, "Admitted")}, f"group {index} of {name} is split: {states}"
        if self.topology and reserves(workload):
            racks = {
                self.cluster.all("Node")["", p["spec"]["nodeName"]]["metadata"]["labels"][RACK]
                for p in pods
                if p["spec"].get("nodeName")
            }
            assert len(racks) <= 1, f"group {index} of {name} is spread over {racks}"

    @precondition(lambda self: hasattr(self, "cluster"))
    @rule()
    def restart(self) -> None:
        """Whoever starts anew, with nothing remembered, decides the same as who has been there all the time."""
        cluster = self.cluster
        before = deciding.decide(cluster.snapshot(), cluster.now, cluster.rules)
        capacity._kept.clear()
        capacity._completed.clear()
        leaves._kept.clear()
        after = deciding.decide(cluster.snapshot(), cluster.now, cluster.rules)
        assert (after.requests, after.wake_at) == (before.requests, before.wake_at)


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_group_costs_one_creation_one_admission_and_one_patch_per_gated_pod() -> None:
    """From the creation of a set to PodsReady there are p + 3 writes, p being the pods that were born with a gate."""
    for size in (1, 3, 8):
        cluster = Miniature()
        cluster.flavor()
        cluster.queue("a", 5000)
        cluster.node("n", "r", 64000)
        cluster.set("s", "a", size=size)
        cluster.controllers()
        born_gated = sum(map(gated, cluster.all("Pod").values()))
        cluster.settle()
        workload = next(iter(cluster.all("Workload").values()))
        assert condition(workload, "PodsReady")
        assert cluster.writes == born_gated + 3, (size, born_gated, cluster.writes)


@pytest.mark.parametrize("topology", [False, True])
def test_pods_that_come_after_admission_are_born_ready(topology: bool) -> None:
    """A pod that is created when its group is admitted carries no gate of ours, and no request is spent on it."""
    cluster = Miniature()
    cluster.flavor(topology=topology)
    cluster.queue("a", 5000)
    cluster.node("n", "r", 64000)
    cluster.set("s", "a", size=3, required=RACK if topology else "")
    cluster.decide()
    cluster.decide()
    cluster.controllers()
    assert not any(map(gated, cluster.all("Pod").values()))
    cluster.settle()
    assert cluster.writes == 3


def test_a_preemptor_gets_what_its_victim_left() -> None:
    """Room made by preemption goes to the preemptor, though an older borrower and a head that must borrow want it."""
    cluster = Miniature()
    cluster.flavor()
    cluster.node("n", "r", 1000)
    for name, amount in (("a", 800), ("b", 100)):
        cluster.queue(name, amount, cohort="c", preemption={"reclaimWithinCohort": "Any"})
    cluster.set("borrower", "b", size=2)
    cluster.set("fills", "a", replicas=3, size=2)
    cluster.set("small", "a", size=1)
    cluster.settle()
    cluster.set("must-borrow", "a", size=2)
    cluster.settle()
    cluster.set("reclaims", "a", size=1)
    cluster.settle()
    holders = {
        w["metadata"]["annotations"][names.JOB_OWNER_NAME] for w in cluster.all("Workload").values() if reserves(w)
    }
    assert holders == {"fills", "small", "reclaims"}


def test_an_unusable_group_does_not_stand_for_good_ones_of_its_shape() -> None:
    """A set whose limit is below its request is said to be unusable; one that only looks like it is admitted."""
    cluster = Miniature()
    cluster.flavor()
    cluster.queue("a", 5000)
    cluster.node("n", "r", 64000)
    cluster.set("bad", "a", size=1, leader=None)
    template = cluster.all("LeaderWorkerSet")["ns", "bad"]["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    template["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "50m"}
    cluster.set("good", "a", size=1, leader=None)
    cluster.settle()
    of = {w["metadata"]["annotations"][names.JOB_OWNER_NAME]: w for w in cluster.all("Workload").values()}
    assert condition(of["good"], "Admitted")
    said = {c["type"]: c["message"] for c in of["bad"]["status"]["conditions"]}
    assert "requests must not exceed its limits" in said["QuotaReserved"]


def test_a_late_flavor_is_found_among_many() -> None:
    """With two podsets and nine flavors the groups fill one flavor after another, to the last."""
    cluster = Miniature()
    flavors = [f"f{index}" for index in range(9)]
    for name in flavors:
        cluster.flavor(name)
        cluster.node(f"n-{name}", "r", 64000, flavor=name)
    cluster.queue("a", 0)
    resources = [{"name": "cpu", "nominalQuota": "200m"}]
    group = {"coveredResources": ["cpu"], "flavors": [{"name": name, "resources": resources} for name in flavors]}
    cluster.edit("ClusterQueue", "a", {"spec": {"resourceGroups": [group]}})
    cluster.set("s", "a", replicas=len(flavors), size=2)
    cluster.settle()
    assert all(condition(workload, "Admitted") for workload in cluster.all("Workload").values())
    assert len(cluster.all("Workload")) == len(flavors)


def test_nobody_can_ask_for_less_than_nothing() -> None:
    """A Workload that asks for an amount below zero is unusable, and makes no room for others."""
    cluster = Miniature()
    cluster.flavor()
    cluster.queue("a", 100)
    cluster.node("n", "r", 64000)
    podset = {"name": "main", "count": 1, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}
    podset["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "-1"}}  # type: ignore[index]
    cluster.put("Workload", "by-hand", {"spec": {"queueName": "a", "active": True, "podSets": [podset]}}, "ns")
    cluster.set("s", "a", size=2)
    cluster.settle()
    assert not any(reserves(workload) for workload in cluster.all("Workload").values())
    said = {c["type"]: c for c in cluster.all("Workload")["ns", "by-hand"]["status"]["conditions"]}
    assert said["QuotaReserved"]["reason"] == "Inadmissible"
    assert "below zero" in said["QuotaReserved"]["message"]
