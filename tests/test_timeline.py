"""The timeline tells what became of the objects of a claim, in words, without what did not matter."""

from __future__ import annotations

import pytest

from conformance.names import ADMISSION_GATE, BLOCK, HOSTNAME, RACK, TENANT_LABEL, TOPOLOGY_GATE
from conformance.trace.facts import facts
from conformance.trace.history import History
from conformance.trace.records import Edit, Gap, Header, Record, StoryStarted
from conformance.trace.timeline import keys_of_set, timeline
from trace_samples import TENANT, Object, change, lws, moment, pod, sample, workload

START = StoryStarted(received=0.0, story="s", tenant=TENANT)


def history(*records: Record) -> History:
    return History([Header(run="r", ordered=True, lag=0.0), START, *records])


def gated(name: str = "a-0", index: int = 0) -> Object:
    return pod(name, index, spec={"schedulingGates": [{"name": ADMISSION_GATE}]})


def bound(name: str = "a-0", index: int = 0, *, phase: str = "Pending") -> Object:
    return pod(name, index, spec={"nodeName": f"{TENANT}-h1"}, status={"phase": phase})


def node(name: str = f"{TENANT}-h1") -> Object:
    return sample(
        "Node", name, labels={BLOCK: "b1", RACK: "r1"}, spec={"taints": [{"key": TENANT_LABEL, "effect": "X"}]}
    )


def condition(type_: str, status: str, reason: str, message: str = "") -> Object:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def told_in_full() -> History:
    pending = {"conditions": [condition("QuotaReserved", "False", "Pending", "no quota left")]}
    assigned = {
        "name": "main",
        "count": 2,
        "flavors": {"cpu": "f", "memory": "f"},
        "topologyAssignment": {
            "levels": [HOSTNAME],
            "slices": [
                {
                    "domainCount": 2,
                    "valuesPerLevel": [{"individual": {"prefix": "h", "roots": ["1", "2"]}}],
                    "podCounts": {"universal": 1},
                }
            ],
        },
    }
    admitted = {
        "conditions": [
            condition("QuotaReserved", "True", "QuotaReserved", "ok"),
            condition("Admitted", "True", "Admitted"),
        ],
        "admission": {"clusterQueue": "cq", "podSetAssignments": [assigned]},
    }
    return history(
        change(1, node()),
        change(2, lws(replicas=2, status={"replicas": 0})),
        change(3, workload("w0", 0, status=pending)),
        change(4, gated()),
        change(5, sample("ResourceFlavor", f"{TENANT}-f", spec={})),
        change(6, workload("w0", 0, status=admitted), "MODIFIED"),
        change(7, pod("a-0"), "MODIFIED"),
        change(8, bound(), "MODIFIED"),
        change(9, bound(phase="Running"), "MODIFIED"),
        moment("running", 9, requirement="ADM-01"),
        change(10, lws(replicas=1), "MODIFIED"),
        Edit(received=10.0, story="s", verb="patch", kind="LeaderWorkerSet", namespace=TENANT, name="a", revision=10),
        change(11, bound(phase="Running"), "DELETED"),
        moment("scaled", 11),
    )


def test_a_whole_story_reads_from_top_to_bottom() -> None:
    """One line per meaningful change, what the story did and what it waited for among them."""
    told = told_in_full()
    assert timeline(told, "a") == [
        "   +0.000 s  Node h1               created: rack: b1/r1",
        "   +1.000 s  LeaderWorkerSet a     created: replicas: 2, size: 2",
        "   +2.000 s  Workload w0           created: queue: lq, QuotaReserved: False (Pending) 'no quota left'",
        "   +3.000 s  Pod a-0               created: gates: kueue.x-k8s.io/admission, phase: Pending",
        "   +5.000 s  Workload w0           admission: in cq: main x 2 on f at h1 x 1, h2 x 1, "
        "QuotaReserved: False (Pending) -> True (QuotaReserved), Admitted: True (Admitted)",
        "   +6.000 s  Pod a-0               gates: kueue.x-k8s.io/admission -> none",
        "   +7.000 s  Pod a-0               node: h1",
        "   +8.000 s  Pod a-0               phase: Pending -> Running",
        "   +8.000 s  --- running (ADM-01)  group 0 of a is ready after 0.50 s",
        "   +9.000 s  LeaderWorkerSet a     replicas: 2 -> 1  [the story]",
        "  +10.000 s  Pod a-0               deleted",
        "  +10.000 s  --- scaled            group 0 of a is ready after 0.50 s",
    ]


def test_a_window_begins_with_what_was_there() -> None:
    """A part of the story is readable alone: causes first, and seconds that agree with the whole."""
    assert timeline(told_in_full(), "a", 5, 7) == [
        "   +4.000 s  LeaderWorkerSet a  was there: replicas: 2, size: 2",
        "   +4.000 s  Workload w0        was there: queue: lq, QuotaReserved: False (Pending) 'no quota left'",
        "   +4.000 s  Pod a-0            was there: gates: kueue.x-k8s.io/admission, phase: Pending",
        "   +4.000 s  Node h1            was there: rack: b1/r1",
        "   +5.000 s  Workload w0        admission: in cq: main x 2 on f at h1 x 1, h2 x 1, "
        "QuotaReserved: False (Pending) -> True (QuotaReserved), Admitted: True (Admitted)",
        "   +6.000 s  Pod a-0            gates: kueue.x-k8s.io/admission -> none",
    ]


def test_a_window_of_one_state_shows_that_state() -> None:
    """A claim about one moment is still shown with what was there."""
    lines = timeline(told_in_full(), [("Pod", TENANT, "a-0")], 9, 9)
    assert [line.split("  ", 2)[2].strip() for line in lines] == [
        "Pod a-0               was there: node: h1, phase: Running",
        "--- running (ADM-01)  group 0 of a is ready after 0.50 s",
    ]


def test_changes_that_say_nothing_are_left_out() -> None:
    """Another heartbeat, another message of the same condition: no line."""
    first = workload("w", 0, status={"conditions": [condition("QuotaReserved", "False", "Pending", "one")]})
    again = workload("w", 0, status={"conditions": [condition("QuotaReserved", "False", "Pending", "two")]})
    assert len(timeline(history(change(1, first), change(2, again, "MODIFIED")), [("Workload", TENANT, "w")])) == 1


def test_a_namesake_is_a_creation() -> None:
    """A pod that comes again under its name is shown as created, not as changed."""
    told = history(
        change(1, bound(phase="Running")),
        change(2, pod("a-0", spec={}, uid="second")),
        change(3, bound(phase="Running"), "DELETED", implied=True),
        change(4, pod("a-0", spec={}, uid="second"), "DELETED"),
    )
    texts = [line.split("Pod a-0  ")[1] for line in timeline(told, [("Pod", TENANT, "a-0")])]
    assert texts == [
        "created: node: h1, phase: Running",
        "created: phase: Pending",
        "deleted (seen late)",
        "deleted",
    ]


def test_a_gap_is_shown_where_changes_may_be_missing() -> None:
    """A reader must not take silence for calm."""
    told = history(change(1, gated()), change(9, bound(), "MODIFIED"), Gap(received=8.0, kind="Pod", after=2, until=8))
    lines = timeline(told, [("Pod", TENANT, "a-0")])
    assert [("gap" in line, "Pod a-0" in line) for line in lines] == [(False, True), (True, False), (False, True)]


def test_an_object_without_facts_is_still_told() -> None:
    """That a flavor came and went is worth a line, whatever it says."""
    flavor = sample("ResourceFlavor", "f", spec={})
    lines = timeline(history(change(1, flavor), change(2, flavor, "DELETED")), [("ResourceFlavor", "", "f")])
    assert [line.split("ResourceFlavor f  ")[1] for line in lines] == ["created", "deleted"]


def test_an_unreadable_assignment_does_not_hide_the_rest() -> None:
    """A timeline is most needed where the implementation wrote nonsense."""
    broken = {"name": "main", "count": 1, "topologyAssignment": {"slices": []}}
    status = {"admission": {"clusterQueue": "cq", "podSetAssignments": [broken]}}
    assert "main x 1 on no flavor at an unreadable assignment" in facts(workload("w", 0, status=status))["admission"]


def test_nothing_happened() -> None:
    """A story that left no changes has an empty timeline."""
    assert timeline(history(moment("m", 5)), "a") == []


@pytest.mark.parametrize(
    ("index", "names"), [(0, ["w0", "a-0"]), (1, ["w1", "a-1"]), (None, ["w0", "w1", "a-0", "a-1"])]
)
def test_the_keys_of_a_set_or_of_one_of_its_groups(index: int | None, names: list[str]) -> None:
    """Everything that belongs to the set by meaning, in the order of causes, with the nodes that its pods came to."""
    told = history(
        change(1, lws()),
        change(2, workload("w0", 0)),
        change(3, workload("w1", 1)),
        change(4, workload("foreign", 0, owner="uid-other")),
        change(5, gated("a-0", 0)),
        change(6, gated("a-1", 1)),
        change(7, bound("a-0", 0), "MODIFIED"),
        change(8, bound("a-1", 1), "MODIFIED"),
        change(9, sample("Pod", "foreign", spec={})),
        change(10, node(f"{TENANT}-h2")),
    )
    found = keys_of_set(told, "a", index)
    assert [name for _, _, name in found] == ["a", *names, f"{TENANT}-h1"]


FACTS = [
    (pod("p", spec={"schedulingGates": [{"name": TOPOLOGY_GATE}]}, status={}), {"gates": TOPOLOGY_GATE}),
    (pod("p", meta={"deletionTimestamp": "t"}, status={}), {"deletion": "requested"}),
    (
        pod(
            "p",
            status={
                "phase": "Running",
                "conditions": [condition("Ready", "True", ""), condition("Initialized", "True", "")],
            },
        ),
        {"phase": "Running", "Ready": "True"},
    ),
    (
        workload(
            "w",
            0,
            spec={
                "podSets": [{"name": "leader", "count": 1}, {"name": "worker", "count": 2}],
                "active": False,
                "priority": 7,
            },
            status={
                "admission": {"clusterQueue": "cq", "podSetAssignments": [{"name": "leader", "count": 1}]},
                "admissionChecks": [{"name": "check", "state": "Retry"}],
                "unhealthyNodes": [{"name": "h1"}],
                "reclaimablePods": [{"name": "worker", "count": 1}],
            },
        ),
        {
            "podsets": "leader x 1, worker x 2",
            "priority": "7",
            "active": "false",
            "admission": "in cq: leader x 1 on no flavor",
            "checks": "check Retry",
            "reclaimable": "worker x 1",
            "unhealthy nodes": "h1",
        },
    ),
    (
        sample("Node", "n", spec={"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]}),
        {"unschedulable": "true", "taints": "k:NoSchedule"},
    ),
    (
        sample(
            "ClusterQueue",
            "cq",
            spec={
                "stopPolicy": "Hold",
                "resourceGroups": [{"flavors": [{"name": "f", "resources": [{"name": "cpu", "nominalQuota": "2"}]}]}],
            },
            status={
                "pendingWorkloads": 1,
                "admittedWorkloads": 0,
                "flavorsReservation": [
                    {"name": "f", "resources": [{"name": "cpu", "total": "1"}, {"name": "memory", "total": "0"}]}
                ],
            },
        ),
        {"quota": "f cpu 2", "reserved": "f cpu 1", "stop": "Hold", "pending": "1"},
    ),
    (sample("LocalQueue", "lq", status={"reservingWorkloads": 2}), {"reserving": "2"}),
    (
        sample("StatefulSet", "s", spec={"replicas": 2}, status={"readyReplicas": 1}),
        {"replicas": "2", "status.readyReplicas": "1"},
    ),
    (sample("Event", "e", reason="FailedCreate", note="limit missing"), {"FailedCreate": "limit missing"}),
    (sample("Topology", "t", spec={}), {}),
]


@pytest.mark.parametrize(("obj", "expected"), FACTS, ids=lambda value: value.get("kind", ""))
def test_facts(obj: Object, expected: dict[str, str]) -> None:
    """What is worth saying of an object of each kind."""
    assert facts(obj) == expected
