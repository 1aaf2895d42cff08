"""A small catalogue and the log of a run over it, in which every outcome occurs: what the tests of the reports read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from conformance.outcomes import Level, Outcome
from conformance.report import log, model
from conformance.report.building import build

STARTED = datetime(2026, 11, 24, 13, 0, 0, tzinfo=UTC)
FINISHED = datetime(2026, 11, 24, 13, 0, 41, tzinfo=UTC)
DEVIATION = model.Deviation(
    issue="https://github.com/kubernetes-sigs/kueue/issues/1", expires=date(2027, 3, 31), kind="sometimes"
)


@dataclass(frozen=True)
class Record:
    """A requirement record as the reports need it."""

    id: str
    area: str
    sentence: str
    level: Level = Level.MUST
    feature: str = "core"
    reason: str = ""


CATALOGUE = (
    Record("ADM-01", "adm", "A group that fits its queue's quota is admitted and runs."),
    Record("ADM-06", "adm", "A waiting group is admitted once there is room for it."),
    Record(
        "UP-02", "up", "A group that scale-up adds stays gated until its own Workload is admitted.", feature="scaling"
    ),
    Record("UP-05", "up", "Of several added groups as many run as fit.", feature="scaling"),
    Record("UP-10", "up", "Scaling up is told in an event.", Level.STRICT, reason="texts are not judged yet"),
    Record("DEL-01", "del", "Deleting a set deletes its Workloads."),
    Record("TAS-01", "tas", "A group that requires a rack runs within one rack.", feature="topology"),
    Record("ROLL-01", "roll", "An update replaces one group after the other.", Level.SHOULD, "rolling-update"),
    Record("FAIL-03", "fail", "A group whose node is lost moves.", Level.SHOULD, "node-replacement"),
    Record("WL-07", "wl", "A group's Workload counts one leader and the workers.", Level.SHOULD),
)


def claim_line(id_: str, requirement: str, outcome: Outcome, story: str = "scale_up", **more: Any) -> log.ClaimLine:
    """A verdict on one item."""
    return log.ClaimLine(id=id_, requirements=[requirement], story=story, outcome=outcome, **more)


def head() -> list[log.Line]:
    """The lines before the first story."""
    run = model.Run(
        id="20261124-130000-k3f9",
        started=STARTED,
        command="kueue-lws-conformance run",
        profile="page",
        selection={"skip": {"POD-12": "no graceful deletion here"}},
        deadlines={"wait": 60.0, "fence": 30.0},
    )
    return [
        log.RunLine(suite=model.Suite(version="0.1.0"), run=run),
        log.ClusterLine(
            cluster=model.Cluster(
                provider="local",
                kubernetes="1.36.3",
                lws="0.9.0",
                capabilities=["edits-nodes", "fake-nodes"],
                components={"etcd": "3.6.16", "kwok": "0.8.0"},
            )
        ),
        log.ImplementationLine(
            implementation=model.Implementation(
                name="kueue", version="0.19.2", features=["core", "scaling", "topology"]
            )
        ),
    ]


def end() -> log.EndLine:
    return log.EndLine(finished=FINISHED)


FAILED = claim_line(
    "test_up::test_new_group_waits",
    "UP-02",
    Outcome.FAILED,
    expectation="gated",
    object="Pod t-1/seed-1-0",
    field="spec.schedulingGates",
    expected="kueue.x-k8s.io/admission",
    observed="none",
    moment="before admitted, at revision 512",
    window="created .. canary-ran",
    evidence=[
        "+0.10 s Workload leaderworkerset-seed-1-c3c2a ADDED",
        "+0.11 s Pod seed-1-0 ADDED with no scheduling gate :warning: [red]not markup[/red]",
    ],
)


def every_outcome() -> list[log.Line]:
    """A run in which every outcome occurs."""
    reached = [model.ReachedMoment(name="running", waited=1.31), model.ReachedMoment(name="canary-ran", waited=0.4)]
    violation = model.Violation(
        story="one_rack", outcome=Outcome.FAILED, observed="2 GPUs are assigned, 1 is allocatable", object="Node t-2-h1"
    )
    stopped = {"reason": "the moment `room` did not come"}
    return [
        *head(),
        FAILED,
        claim_line("test_up::scale_up::running[ADM-01]", "ADM-01", Outcome.PASSED, expectation="ready"),
        claim_line("test_up::test_admitted_before_ready", "ADM-01", Outcome.NOT_TESTABLE, reason="needs one etcd"),
        claim_line("test_up::scale_up::room[ADM-06]", "ADM-06", Outcome.FAILED, expectation="ready", observed="gated"),
        claim_line("test_up::test_as_many_as_fit", "UP-05", Outcome.INCONCLUSIVE, **stopped),
        log.StoryLine(name="scale_up", tenant="t-1", seconds=3.2126, moments=reached, stopped_at="room"),
        claim_line("test_del::test_gone", "DEL-01", Outcome.ERROR, "deleted", reason="the API server went away"),
        claim_line(
            "test_tas::test_one_rack", "TAS-01", Outcome.FAILED, "one_rack", deviation=DEVIATION, observed="r1, r2"
        ),
        claim_line("test_tas::test_one_rack_again", "TAS-01", Outcome.PASSED, "two_racks", deviation=DEVIATION),
        claim_line("test_roll::test_order", "ROLL-01", Outcome.UNSUPPORTED, reason="rolling-update is not declared"),
        claim_line("test_fail::test_moves", "FAIL-03", Outcome.NOT_TESTABLE, reason="the cluster lacks edits-nodes"),
        claim_line("test_wl::test_counts", "WL-07", Outcome.PASSED, "two_racks"),
        log.StoryLine(name="one_rack", tenant="t-2", seconds=2.0),
        log.InvariantsLine(
            story="one_rack",
            invariants={
                "I2": log.InvariantVerdict(judged=4, violations=[violation]),
                "I10": log.InvariantVerdict(judged=1),
                "I1": log.InvariantVerdict(judged=7),
            },
        ),
        log.InvariantsLine(story="scale_up", invariants={"I1": log.InvariantVerdict(judged=5)}),
        log.FindingLine(kind="page", text="sample 2 cannot run as printed", source="one_rack"),
        log.LatencyLine(name="created-to-admitted", story="scale_up", seconds=[0.1, 0.3, 0.2]),
        log.LatencyLine(name="created-to-admitted", story="one_rack", seconds=[0.4]),
        log.WritesLine(writes={"kueue": {"patch pods": 6, "create workloads": 2}}),
        end(),
    ]


def passing() -> list[log.Line]:
    """A run in which all that was selected passed."""
    return [
        *head(),
        claim_line("test_up::scale_up::running[ADM-01]", "ADM-01", Outcome.PASSED),
        claim_line("test_up::test_new_group_waits", "UP-02", Outcome.PASSED),
        log.StoryLine(name="scale_up", tenant="t-1", seconds=3.0),
        log.InvariantsLine(story="scale_up", invariants={"I1": log.InvariantVerdict(judged=5)}),
        end(),
    ]


def result(lines: list[log.Line] | None = None) -> model.Result:
    return build(every_outcome() if lines is None else lines, CATALOGUE)


def requirement(found: model.Result, id_: str) -> model.Requirement:
    return next(r for r in found.requirements if r.id == id_)
