"""Small histories made in code, in the words of the stories: a tenant's world and what happens in it, change by change.

Every write is one change with a revision and a receive time of its own; `write` is for anything that no method has a
word for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.names import (
    ADMISSION_GATE,
    BLOCK,
    CONTROLLER_REVISION,
    GROUP_INDEX,
    GROUP_INDEX_OF_WORKLOAD,
    HOSTNAME,
    PODSET_GROUP_NAME,
    RACK,
    REQUIRED_TOPOLOGY,
    SET_NAME,
    TOPOLOGY_GATE,
    WORKER_INDEX,
)
from conformance.trace.history import History
from conformance.trace.invariants import judge_invariants
from conformance.trace.records import Change, Edit, Fence, Finding, Gap, Header, Moment, Object, Record, StoryStarted
from conformance.trace.verdicts import Judgement, Violation
from objects import (
    TENANT,
    assignment,
    condition,
    flavor,
    having,
    leader_worker_set,
    made,
    node,
    owner,
    pod_spec,
    topology,
)

STORY = "a_story"
Hosts = Mapping[str, int]
"""How many pods an assignment puts on each host."""


@dataclass
class Group:
    """A group as it stands: its Workload and its pods, leader first."""

    lws: Object
    index: int
    workload: Object
    pods: list[Object] = field(default_factory=list)


class World:
    """A tenant and its recorded changes."""

    def __init__(self, *, ordered: bool = True, lag: float = 0.0) -> None:
        self.records: list[Record] = [Header("run", ordered, lag), StoryStarted(0.0, STORY, TENANT)]
        self.now, self.pace, self.revision = 100.0, 1.0, 1000

    # Recording

    def write(self, obj: Object, *, by_story: bool = False) -> Object:
        """One change of an object, as it is from now on, `pace` seconds after the change before it."""
        known = any(isinstance(r, Change) and r.uid == obj["metadata"]["uid"] for r in self.records)
        return self._change("MODIFIED" if known else "ADDED", obj, by_story)

    def delete(self, *objects: Object, by_story: bool = False) -> None:
        for obj in objects:
            self._change("DELETED", obj, by_story)

    def _change(self, type_: Any, obj: Object, by_story: bool) -> Object:
        self.now += self.pace
        self.revision += 1
        obj = having(obj, metadata__resourceVersion=str(self.revision))
        kind, meta = obj["kind"], obj["metadata"]
        where = (kind, meta.get("namespace", ""), meta["name"])
        self.records.append(Change(self.now, type_, *where, meta["uid"], self.revision, obj))
        if by_story:
            verb = "delete" if type_ == "DELETED" else "patch"
            self.records.append(Edit(self.now, STORY, verb, kind, TENANT, meta["name"], self.revision))
        return obj

    def gap(self, kind: str) -> None:
        """The watch of a kind was lost since the last change, and has just been resumed by a list."""
        self.records.append(Gap(self.now + 1.5, kind, self.revision, self.revision + 2))
        self.now, self.revision = self.now + 1.5, self.revision + 2

    def moment(self, name: str) -> None:
        self.records.append(Moment(self.now, STORY, name, self.revision, 0.0, None, "", ""))

    def finding(self, kind: str, text: str) -> None:
        self.records.append(Finding(self.now, STORY, kind, text, "test"))

    def told(self) -> None:
        self.records.append(Fence(self.now, STORY, "told", self.revision))

    def cleaned(self) -> None:
        self.records.append(Fence(self.now, STORY, "cleaned", self.revision))

    def history(self) -> History:
        return History(self.records, until="cleaned")

    # What happens in a world

    def racks(self, **hosts_by_rack: str) -> dict[str, Object]:
        """Nodes of 4 cores, the hosts of each rack separated by blanks; with a flavor and its topology."""
        self.write(topology(BLOCK, RACK, HOSTNAME))
        self.write(flavor())
        return {host: self.write(node(host, rack)) for rack, hosts in hosts_by_rack.items() for host in hosts.split()}

    def workload(
        self,
        lws: Object,
        index: int,
        *,
        required: str | None = None,
        grouped: bool = True,
        uid: str = "",
        cpu: str = "1",
    ) -> Object:
        """The pending Workload of a group of three pods of `cpu` each."""
        annotations = {}
        request: Object = {}
        if required:
            request = {"required": required} | ({"podSetGroupName": "lws-group"} if grouped else {})
            annotations = {REQUIRED_TOPOLOGY: required, PODSET_GROUP_NAME: "lws-group"}
        template = {"metadata": {"annotations": annotations}, "spec": pod_spec({"cpu": cpu})}
        podsets = [{"name": "leader", "count": 1}, {"name": "worker", "count": 2}]
        name = f"leaderworkerset-{lws['metadata']['name']}-{index}-abcde"
        obj = made(
            "Workload",
            name,
            uid=uid,
            annotations={GROUP_INDEX_OF_WORKLOAD: str(index)},
            ownerReferences=[owner(lws, controller=False)],
            spec={"podSets": [podset | {"template": template, "topologyRequest": request} for podset in podsets]},
        )
        return self.write(obj)

    def group(
        self, lws: Object, index: int = 0, *, gates: Sequence[str] = (ADMISSION_GATE, TOPOLOGY_GATE), **kw: Any
    ) -> Group:
        """A group with its Workload pending, its StatefulSets, and its three pods gated."""
        group = Group(lws, index, self.workload(lws, index, **kw))
        self.add_pods(group, gates=gates)
        return group

    def add_pods(
        self, group: Group, *, gates: Sequence[str] = (ADMISSION_GATE, TOPOLOGY_GATE), made_again: str = ""
    ) -> None:
        """The StatefulSets and pods of a group, as they are born; `made_again` tells their UIDs from earlier ones'."""
        name = group.lws["metadata"]["name"]
        suffix = f"{group.lws['metadata']['uid']}{made_again}"
        leaders = made("StatefulSet", name, uid=f"sts-{suffix}", ownerReferences=[owner(group.lws)])
        self.write(leaders)
        leader = self._pod(group, 0, leaders, gates, suffix)
        workers = made("StatefulSet", f"{name}-{group.index}", uid=f"sts-{group.index}-{suffix}")
        workers = self.write(having(workers, metadata__ownerReferences=[owner(leader)]))
        group.pods = [leader, *(self._pod(group, number, workers, gates, suffix) for number in (1, 2))]

    def _pod(self, group: Group, number: int, sts: Object, gates: Sequence[str], suffix: str) -> Object:
        name = f"{group.lws['metadata']['name']}-{group.index}" + (f"-{number}" if number else "")
        labels = {
            SET_NAME: group.lws["metadata"]["name"],
            GROUP_INDEX: str(group.index),
            WORKER_INDEX: str(number),
            CONTROLLER_REVISION: "revision-1",
        }
        spec = pod_spec({"cpu": "1"}) | ({"schedulingGates": [{"name": gate} for gate in gates]} if gates else {})
        pod = made("Pod", name, uid=f"pod-{name}-{suffix}", labels=labels, ownerReferences=[owner(sts)], spec=spec)
        return self.write(pod | {"status": {"phase": "Pending"}})

    def reserve(
        self,
        group: Group,
        hosts: tuple[Hosts, Hosts] | None = None,
        *,
        queue: str = "queue",
        admitted: bool = True,
        **kw: Any,
    ) -> None:
        """The group's Workload gets quota (three cores) and, with `hosts`, places for its leader and its workers."""
        parts: list[Object] = [
            {"name": "leader", "count": 1, "flavors": {"cpu": "flavor"}, "resourceUsage": {"cpu": "1"}},
            {"name": "worker", "count": 2, "flavors": {"cpu": "flavor"}, "resourceUsage": {"cpu": "2"}},
        ]
        for part, places in zip(parts, hosts or (), strict=False):
            part["topologyAssignment"] = assignment(places)
        conditions = [condition("QuotaReserved"), condition("Admitted", admitted)]
        admission = {"clusterQueue": queue, "podSetAssignments": parts}
        self.decide(group, admission=admission, conditions=conditions, **kw)

    def decide(self, group: Group, *, by_story: bool = False, **status: Any) -> None:
        """Parts of the Workload's status change; None takes a part away."""
        parts = {f"status__{part}": value for part, value in status.items()}
        group.workload = self.write(having(group.workload, **parts), by_story=by_story)

    def evict(self, group: Group, **kw: Any) -> None:
        """The Workload loses its admission."""
        conditions = [condition("QuotaReserved", False), condition("Admitted", False), condition("Evicted")]
        self.decide(group, admission=None, conditions=conditions, **kw)

    def release(self, group: Group, *numbers: int, **kw: Any) -> None:
        """Pods lose all their gates (all of the group's, if no numbers are given)."""
        for number in numbers or range(len(group.pods)):
            group.pods[number] = self.write(having(group.pods[number], spec__schedulingGates=None), **kw)

    def bind(self, group: Group, *hosts: str) -> None:
        """The group's first pods are bound to these hosts."""
        for number, host in enumerate(hosts):
            group.pods[number] = self.write(having(group.pods[number], spec__nodeName=host))

    def run(self, group: Group, *hosts: str, **kw: Any) -> None:
        """Admission with places on these hosts (leader first), release and binding."""
        workers = {host: hosts[1:].count(host) for host in hosts[1:]}
        self.reserve(group, ({hosts[0]: 1}, workers), **kw)
        self.release(group)
        self.bind(group, *hosts)

    def clean_up(self, lws: Object, *groups: Group) -> None:
        """The proper end of a set: owners first, pods of no owner next, Workloads when the last owner is gone."""
        self.told()
        self.delete(lws, by_story=True)
        for group in groups:
            self.delete(*group.pods)
            self.delete(having(group.workload, metadata__deletionTimestamp="now"))
        self.cleaned()


def pending(world: World, *, queue: str | None = "user-queue") -> Group:
    """A set of one group whose Workload waits."""
    return world.group(world.write(leader_worker_set(queue=queue)))


def waiting(world: World, count: int = 1, **kw: Any) -> list[Group]:
    """Groups of three pods whose Workloads wait."""
    lws = world.write(leader_worker_set())
    return [world.group(lws, index, **kw) for index in range(count)]


def place(world: World, group: Group, *hosts: str) -> None:
    """The group is admitted with places on these hosts, leader first."""
    world.reserve(group, ({hosts[0]: 1}, {host: hosts[1:].count(host) for host in hosts[1:]}))


def one_rack() -> tuple[World, dict[str, Object]]:
    """A world of one rack with two hosts."""
    world = World()
    return world, world.racks(r1="h1 h2")


def shown(world: World, lws: Object) -> None:
    """The implementation admits something younger than all that happened so far, somewhere else."""
    group = Group(lws, 9, world.workload(lws, 9))
    place(world, group, "h2", "h2", "h2")


def moved(group: Group, *workers: str) -> list[Object]:
    """The group's podset assignments with other places for its workers."""
    leader, worker = group.workload["status"]["admission"]["podSetAssignments"]
    hosts = {host: workers.count(host) for host in workers}
    return [leader, worker | {"topologyAssignment": assignment(hosts)}]


def judged(world: World, name: str) -> Judgement:
    """One invariant's judgement of a world."""
    return next(found for found in judge_invariants(world.history()) if found.name == name)


def holds(world: World, name: str) -> bool:
    """Whether the invariant was judged, and accepts everything."""
    found = judged(world, name)
    assert found.violations == []
    return found.judged > 0 and found.undecided == 0


def violation(world: World, name: str) -> Violation:
    """The one violation that the invariant must find."""
    (found,) = judged(world, name).violations
    return found
