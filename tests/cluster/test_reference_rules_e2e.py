"""What the reference refuses to have written into a LeaderWorkerSet, asked of a real API server by dry runs.

Each rule is one row: what is refused, the field that the refusal names, and the twin next to it that is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from references import NEW, a_cluster_with, template
from test_reference_e2e import Near

from conformance.components import Components
from conformance.expectations import gated, running
from conformance.expectations.groups import tried
from conformance.implementations.reference import Reference
from conformance.kube import APPLY_PATCH, ApiError, Object
from conformance.names import (
    BLOCK,
    ELASTIC_JOB,
    GATED_BY,
    GROUP_SERVING,
    HOSTNAME,
    PODSET_GROUP_NAME,
    PREFERRED_TOPOLOGY,
    PRIORITY_CLASS,
    QUEUE_NAME,
    RACK,
    REQUIRED_TOPOLOGY,
    SLICE_CONSTRAINTS,
    SLICE_SIZE,
    SLICE_TOPOLOGY,
    SUSPENDING_PARENT,
    UNCONSTRAINED_TOPOLOGY,
)
from conformance.world.builders import SetSpec, leader_worker_set, priority_class
from conformance.world.requests import groups
from conformance.world.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.thorough]

TEMPLATES = "spec.leaderWorkerTemplate"
LEADER = f"{TEMPLATES}.leaderTemplate.metadata.annotations"
WORKER = f"{TEMPLATES}.workerTemplate.metadata.annotations"
QUEUE = f"metadata.labels[{QUEUE_NAME}]"
PRIORITY = f"metadata.labels[{PRIORITY_CLASS}]"
GATES = f"metadata.annotations[{GATED_BY}]"

RUNS, WAITS, CLASSED, HELD_BACK, STRANGER, STRANGER_WAITS = "runs", "waits", "classed", "held-back", "stranger", "late"
"""Sets that exist: one that is ready, one that waits, one with a priority class, one with admission gates, and two that
are not queued, of which one is not ready."""


@dataclass(frozen=True)
class Rule:
    """A row. `refused` and `accepted` are merge patches of the set `on`; of a new set if that is empty."""

    rule: str
    refused: Object
    field: str
    accepted: Object
    on: str = ""
    accepted_on: str | None = None
    """The set that the twin is of, where it is another."""


def labelled(**labels: str | None) -> Object:
    return {"metadata": {"labels": {_KEYS[key]: value for key, value in labels.items()}}}


def annotated(key: str, value: str | None) -> Object:
    return {"metadata": {"annotations": {key: value}}}


_KEYS = {"queue": QUEUE_NAME, "priority": PRIORITY_CLASS}


def told(worker: dict[str, str] | None = None, leader: dict[str, str] | None = None, size: int = 5) -> Object:
    """Annotations of the templates of a new set."""
    templates: Object = {"size": size}
    for name, written in (("workerTemplate", worker), ("leaderTemplate", leader)):
        if written is not None:
            templates[name] = {"metadata": {"annotations": written}}
    return {"spec": {"leaderWorkerTemplate": templates}}


def pods(role: str, **spec: Any) -> Object:
    """Fields of the pod spec of a template."""
    return {"spec": {"leaderWorkerTemplate": {f"{role}Template": {"spec": spec}}}}


def within(**templates: Any) -> Object:
    return {"spec": {"leaderWorkerTemplate": templates}}


def layers(*pairs: tuple[str, int]) -> dict[str, str]:
    return {SLICE_CONSTRAINTS: json.dumps([{"topology": level, "size": size} for level, size in pairs])}


GROUPED = {REQUIRED_TOPOLOGY: RACK, PODSET_GROUP_NAME: "g"}
ALIKE = told(GROUPED, GROUPED)
IN_SLICES = {REQUIRED_TOPOLOGY: BLOCK, SLICE_TOPOLOGY: RACK, SLICE_SIZE: "2"}
SPEC = leader_worker_set(size=2)
WITH_LEADER = SPEC.object["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
CONTAINER = SPEC.object["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]
MORE = CONTAINER | {"resources": {"requests": {"cpu": "300m"}}}
SAME = CONTAINER | {"resources": {"requests": {"cpu": "0.2"}}}
WORKER_SPEC = f"{TEMPLATES}.workerTemplate.spec"

RULES = [
    Rule("VAL-01 below", {"spec": {"replicas": -1}}, "spec.replicas", {"spec": {"replicas": 0}}),
    Rule("VAL-01 above", {"spec": {"replicas": 1_000_001}}, "spec.replicas", {"spec": {"replicas": 1_000_000}}),
    Rule("VAL-01 update", {"spec": {"replicas": 1_000_001}}, "spec.replicas", {"spec": {"replicas": 7}}, on=RUNS),
    Rule(
        "VAL-03",
        annotated(ELASTIC_JOB, "true"),
        f"metadata.annotations[{ELASTIC_JOB}]",
        annotated(ELASTIC_JOB, "false"),
    ),
    Rule("VAL-04 empty", annotated(GATED_BY, "a.io/x,"), GATES, annotated(GATED_BY, "a.io/x")),
    Rule("VAL-04 twice", annotated(GATED_BY, "a.io/x,a.io/x"), GATES, annotated(GATED_BY, "a.io/x,a.io/y")),
    Rule("VAL-04 form", annotated(GATED_BY, "plain"), GATES, annotated(GATED_BY, "plain.io/x")),
    Rule(
        "VAL-04 later", annotated(GATED_BY, "a.io/x"), GATES, annotated(GATED_BY, None), on=WAITS, accepted_on=HELD_BACK
    ),
    Rule("VAL-04 another", annotated(GATED_BY, "a.io/z"), GATES, annotated(GATED_BY, "a.io/y,a.io/x"), on=HELD_BACK),
    Rule(
        "VAL-05 worker",
        told({REQUIRED_TOPOLOGY: RACK, PREFERRED_TOPOLOGY: RACK}),
        WORKER,
        told({REQUIRED_TOPOLOGY: RACK}),
    ),
    Rule(
        "VAL-05 leader",
        told(leader={PREFERRED_TOPOLOGY: RACK, UNCONSTRAINED_TOPOLOGY: "true"}),
        LEADER,
        told(leader={PREFERRED_TOPOLOGY: RACK}),
    ),
    Rule(
        "VAL-06 level",
        told({REQUIRED_TOPOLOGY: "a/b/c"}),
        f"{WORKER}[{REQUIRED_TOPOLOGY}]",
        told({REQUIRED_TOPOLOGY: "a.io/b"}),
    ),
    Rule(
        "VAL-06 boolean",
        told({UNCONSTRAINED_TOPOLOGY: "maybe"}),
        f"{WORKER}[{UNCONSTRAINED_TOPOLOGY}]",
        told({UNCONSTRAINED_TOPOLOGY: "true"}),
    ),
    Rule("VAL-06 number", told(IN_SLICES | {SLICE_SIZE: "two"}), f"{WORKER}[{SLICE_SIZE}]", told(IN_SLICES)),
    Rule(
        "VAL-06 zero",
        told(IN_SLICES | {SLICE_SIZE: "0"}),
        f"{WORKER}[{SLICE_SIZE}]",
        told(IN_SLICES | {SLICE_SIZE: "1"}),
    ),
    Rule(
        "VAL-06 many",
        told(IN_SLICES | {SLICE_SIZE: "5"}),
        f"{WORKER}[{SLICE_SIZE}]",
        told(IN_SLICES | {SLICE_SIZE: "4"}),
    ),
    Rule(
        "VAL-06 no size",
        told({REQUIRED_TOPOLOGY: BLOCK, SLICE_TOPOLOGY: RACK}),
        f"{WORKER}[{SLICE_SIZE}]",
        told(IN_SLICES),
    ),
    Rule(
        "VAL-06 no level", told({REQUIRED_TOPOLOGY: BLOCK, SLICE_SIZE: "2"}), f"{WORKER}[{SLICE_SIZE}]", told(IN_SLICES)
    ),
    Rule(
        "VAL-07 number",
        told(GROUPED | {PODSET_GROUP_NAME: "1"}, GROUPED | {PODSET_GROUP_NAME: "1"}),
        f"{WORKER}[{PODSET_GROUP_NAME}]",
        ALIKE,
    ),
    Rule(
        "VAL-07 no level",
        told({PODSET_GROUP_NAME: "g"}, {PODSET_GROUP_NAME: "g"}),
        f"{WORKER}[{PODSET_GROUP_NAME}]",
        ALIKE,
    ),
    Rule("VAL-07 slices", told(IN_SLICES | GROUPED, GROUPED), f"{WORKER}[{PODSET_GROUP_NAME}]", ALIKE),
    Rule("VAL-07 one template", told(GROUPED), f"{WORKER}[{PODSET_GROUP_NAME}]", ALIKE),
    Rule(
        "VAL-07 two names",
        told(GROUPED, GROUPED | {PODSET_GROUP_NAME: "h"}),
        f"{LEADER}[{PODSET_GROUP_NAME}]",
        ALIKE,
    ),
    Rule("VAL-07 two levels", told(GROUPED, GROUPED | {REQUIRED_TOPOLOGY: BLOCK}), LEADER, ALIKE),
    Rule(
        "VAL-08 form",
        told({SLICE_CONSTRAINTS: "{"}),
        f"{WORKER}[{SLICE_CONSTRAINTS}]",
        told({REQUIRED_TOPOLOGY: BLOCK} | layers((RACK, 4), (HOSTNAME, 2))),
    ),
    Rule(
        "VAL-08 none",
        told({REQUIRED_TOPOLOGY: BLOCK} | layers()),
        f"{WORKER}[{SLICE_CONSTRAINTS}]",
        told({REQUIRED_TOPOLOGY: BLOCK} | layers((RACK, 2))),
    ),
    Rule(
        "VAL-08 twice",
        told({REQUIRED_TOPOLOGY: BLOCK} | layers((RACK, 4), (RACK, 2))),
        f"{WORKER}[{SLICE_CONSTRAINTS}][1].topology",
        told({REQUIRED_TOPOLOGY: BLOCK} | layers((RACK, 4), (HOSTNAME, 4))),
    ),
    Rule(
        "VAL-08 uneven",
        told({REQUIRED_TOPOLOGY: BLOCK} | layers((RACK, 4), (HOSTNAME, 3))),
        f"{WORKER}[{SLICE_CONSTRAINTS}][1].size",
        told({REQUIRED_TOPOLOGY: BLOCK} | layers((RACK, 4), (HOSTNAME, 1))),
    ),
    Rule("VAL-09 up", within(size=3), f"{TEMPLATES}.size", within(size=3), on=RUNS, accepted_on=STRANGER),
    Rule("VAL-09 down", within(size=1), f"{TEMPLATES}.size", within(size=2), on=WAITS),
    Rule(
        "VAL-10 requests",
        pods("worker", containers=[MORE]),
        f"{WORKER_SPEC}.containers[0].resources.requests",
        pods("worker", containers=[SAME]),
        on=WAITS,
    ),
    Rule(
        "VAL-10 requests of one that is not queued",
        pods("worker", containers=[MORE]),
        f"{WORKER_SPEC}.containers[0].resources.requests",
        pods("worker", containers=[MORE]),
        on=RUNS,
        accepted_on=STRANGER,
    ),
    Rule(
        "VAL-10 containers",
        pods("worker", containers=[CONTAINER, CONTAINER | {"name": "more"}]),
        f"{WORKER_SPEC}.containers",
        pods("worker", containers=[CONTAINER | {"image": NEW, "command": ["a"], "args": ["b"]}]),
        on=RUNS,
    ),
    Rule(
        "VAL-10 ports",
        pods("worker", containers=[CONTAINER | {"ports": [{"containerPort": 80}]}]),
        f"{WORKER_SPEC}.containers[0].ports",
        pods("worker", containers=[CONTAINER | {"env": [{"name": "A", "value": "b"}]}]),
        on=WAITS,
    ),
    Rule(
        "VAL-10 selector",
        pods("worker", nodeSelector={"a": "b"}),
        f"{WORKER_SPEC}.nodeSelector",
        pods("worker", priorityClassName="system-cluster-critical"),
        on=WAITS,
    ),
    Rule(
        "VAL-10 tolerations",
        pods("leader", tolerations=[{"operator": "Exists"}]),
        f"{TEMPLATES}.leaderTemplate.spec.tolerations",
        pods("leader", volumes=[{"name": "v", "emptyDir": {}}]),
        on=RUNS,
    ),
    Rule(
        "VAL-10 spread",
        pods(
            "worker",
            topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": RACK, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
            ],
        ),
        f"{WORKER_SPEC}.topologySpreadConstraints",
        {"spec": {"leaderWorkerTemplate": {"workerTemplate": {"metadata": {"labels": {"a": "b"}}}}}},
        on=WAITS,
    ),
    Rule(
        "VAL-10 affinity",
        pods(
            "worker",
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
                    }
                }
            },
        ),
        f"{WORKER_SPEC}.affinity",
        {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}},
        on=RUNS,
    ),
    Rule(
        "VAL-11",
        pods("worker", containers=[MORE | {"image": NEW}]),
        f"{WORKER_SPEC}.containers[0].resources.requests",
        template(SPEC, image=NEW),
        on=RUNS,
    ),
    Rule(
        "VAL-12 removed",
        within(leaderTemplate=None),
        f"{TEMPLATES}.leaderTemplate",
        within(leaderTemplate=None),
        on=RUNS,
        accepted_on=STRANGER,
    ),
    Rule(
        "VAL-12 added",
        within(leaderTemplate=WITH_LEADER),
        f"{TEMPLATES}.leaderTemplate",
        within(workerTemplate={"metadata": {"labels": {"a": "b"}}}),
        on=CLASSED,
    ),
    Rule("QSEL-07", labelled(queue="User_Queue"), QUEUE, labelled(queue="user-queue")),
    Rule("QSEL-07 update", labelled(queue="User_Queue"), QUEUE, labelled(queue="another"), on=WAITS),
    Rule("QCH-01, QCH-02", labelled(queue="another"), QUEUE, labelled(queue="another"), on=RUNS, accepted_on=WAITS),
    Rule("QCH-03 ready", labelled(queue=None), QUEUE, labelled(queue="user-queue"), on=RUNS),
    Rule("QCH-03 waiting", labelled(queue=None), QUEUE, labelled(queue="another"), on=WAITS),
    Rule(
        "QCH-04",
        labelled(queue="user-queue"),
        QUEUE,
        labelled(queue="user-queue"),
        on=STRANGER,
        accepted_on=STRANGER_WAITS,
    ),
    Rule("PRI-04", labelled(priority="high"), PRIORITY, labelled(priority="high"), on=RUNS, accepted_on=WAITS),
    Rule("PRI-05", labelled(priority=None), PRIORITY, labelled(priority="high"), on=CLASSED),
]


@pytest.fixture(scope="module")
def near(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Near]:
    def put_on(cluster: object) -> None:
        Reference(components, {}).put_on(cluster)  # type: ignore[arg-type]

    with a_cluster_with(components, tmp_path_factory.mktemp("rules"), put_on) as found:
        yield found


@pytest.fixture(scope="module")
def tenant(near: Near) -> Tenant:
    """A namespace with the sets that rules about updates are of."""
    tenant = near.tenant("rules")
    tenant.open(quota={"user-queue": groups(3), "full": groups(0)}, group=SPEC.group)
    near.cluster.kube.create(priority_class("high", 100, {}))

    def made(name: str, **how: Any) -> SetSpec:
        return leader_worker_set(name, **({"size": 2} | how))

    runs = tenant.create(made(RUNS))
    classed = tenant.create(made(CLASSED, priority_class="test-canary", leader=None))
    stranger = tenant.create(made(STRANGER, queue=None, on_tenant=tenant.name))
    tenant.create(made(STRANGER_WAITS, queue=None, on_tenant=tenant.name).held_not_ready())
    waits = tenant.create(made(WAITS, queue="full"))
    tenant.create(made(HELD_BACK).but(annotations={GATED_BY: "a.io/x,a.io/y"}))
    waits.group(0).reached(tried, gated)
    for lws in (runs, classed):
        lws.reached(running)
    stranger.tenant.wait_for("the set that is not queued runs", lambda view: _is_ready(view, STRANGER) or None)
    return tenant


def _is_ready(view: Any, name: str) -> bool:
    found = view.get("LeaderWorkerSet", name)
    return bool(found and (found.get("status") or {}).get("readyReplicas"))


def asked(tenant: Tenant, on: str, patch: Object) -> str:
    """What the API server says to a new or changed set: empty if it would store it."""
    kube = tenant.ground.kube
    try:
        if on:
            kube.patch("LeaderWorkerSet", on, tenant.name, patch, dryRun="All")
        else:
            new = leader_worker_set("new").object
            kube.create(merged(new | {"metadata": new["metadata"] | {"namespace": tenant.name}}, patch), dryRun="All")
    except ApiError as error:
        return error.message if error.refused else pytest.fail(str(error))
    return ""


def merged(whole: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(whole) if isinstance(whole, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.rule.replace(" ", "-") for rule in RULES])


@each_rule
def test_what_the_rule_forbids_is_refused_with_its_field(tenant: Tenant, rule: Rule) -> None:
    """The API server refuses what the rule forbids, and the refusal names the field."""
    said = asked(tenant, rule.on, rule.refused)
    assert f"{rule.field}: " in said, said


@each_rule
def test_what_the_rule_allows_is_accepted(tenant: Tenant, rule: Rule) -> None:
    """The API server accepts the twin that differs from it by what the rule is about."""
    assert asked(tenant, rule.on if rule.accepted_on is None else rule.accepted_on, rule.accepted) == ""


# Stamping


def test_a_dry_run_shows_the_stamps_and_stores_nothing(tenant: Tenant) -> None:
    """A dry run answers with the stamped templates, and no set is there afterwards (VAL-15)."""
    kube = tenant.ground.kube
    new = leader_worker_set("dry").object
    answer = kube.create(new | {"metadata": new["metadata"] | {"namespace": tenant.name}}, dryRun="All")
    for name in ("leaderTemplate", "workerTemplate"):
        shown = answer["spec"]["leaderWorkerTemplate"][name]["metadata"]
        assert shown["labels"][QUEUE_NAME] == "user-queue"
        assert shown["annotations"].keys() >= {SUSPENDING_PARENT, GROUP_SERVING}
    assert "dry" not in {item["metadata"]["name"] for item in kube.list("LeaderWorkerSet", tenant.name)["items"]}


def test_applying_the_same_set_again_changes_nothing(tenant: Tenant) -> None:
    """Server-side apply of the same set leaves its revision as it is: the stamps are no difference (VAL-15)."""
    kube = tenant.ground.kube
    spec = leader_worker_set("applied", replicas=0, required=RACK).object

    def apply() -> tuple[str, int]:
        made = spec | {"metadata": spec["metadata"] | {"namespace": tenant.name}}
        options = {"content_type": APPLY_PATCH, "fieldManager": "a-user"}
        meta = kube.patch("LeaderWorkerSet", "applied", tenant.name, made, **options)["metadata"]
        return meta["resourceVersion"], meta["generation"]

    apply()
    tenant.wait_for("its status is there", lambda view: _has_status(view, "applied") or None)
    # What LeaderWorkerSet still writes of it must not be taken for a difference of ours.
    generations = {apply()[1] for _ in range(3)}
    assert generations == {1}


def _has_status(view: Any, name: str) -> bool:
    found = view.get("LeaderWorkerSet", name)
    return bool(found and (found.get("status") or {}).get("conditions"))


def test_stamps_that_a_user_takes_off_come_back(tenant: Tenant) -> None:
    """An update that takes the stamps off the templates is stored with them (VAL-16)."""
    nothing = {"labels": {QUEUE_NAME: None}, "annotations": {SUSPENDING_PARENT: None, GROUP_SERVING: "false"}}
    stripped = within(workerTemplate={"metadata": nothing})
    answer = tenant.ground.kube.patch("LeaderWorkerSet", RUNS, tenant.name, stripped, dryRun="All")
    kept = answer["spec"]["leaderWorkerTemplate"]["workerTemplate"]["metadata"]
    assert kept["labels"][QUEUE_NAME] == "user-queue"
    assert kept["annotations"][SUSPENDING_PARENT]
    assert kept["annotations"][GROUP_SERVING] == "true"
