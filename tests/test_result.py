"""The result: what a run's log amounts to, and the published schema of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import report_samples as samples
from conformance.errors import HarnessError, UsageError
from conformance.outcomes import Outcome, worst
from conformance.report import log, model
from conformance.report.building import apply_deviation, build, natural, read_result, stale, write_result
from conformance.requirements import FEATURES, Here
from conformance.requirements.loading import load
from conformance.selecting import unclaimed
from conformance.settings import settle

SCHEMA = json.loads(files("conformance.report").joinpath("schema.json").read_text(encoding="utf-8"))
TODAY = samples.STARTED.date()
ALWAYS = msgspec.structs.replace(samples.DEVIATION, kind="always")


def validate(content: bytes) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    validator.validate(json.loads(content))


def test_schema_is_a_schema() -> None:
    """The published schema is valid JSON Schema, draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_schema_accepts_a_result() -> None:
    """A result in which every outcome, a deviation, a violation and an audit occur conforms to the schema."""
    validate(model.encode(samples.result()))


def test_schema_accepts_an_unfinished_result() -> None:
    """A run that was killed, without audit log, conforms to the schema."""
    validate(model.encode(samples.result(samples.head())))


def at(result: dict[str, Any], *path: str | int) -> Any:
    for key in path:
        result = result[key]  # type: ignore[index]
    return result


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda r: r.update(schemaVersion=2), id="another schema version"),
        pytest.param(lambda r: r.pop("findings"), id="a key missing"),
        pytest.param(lambda r: r.update(verdict="good"), id="a key too many"),
        pytest.param(lambda r: r["summary"].pop("not-selected"), id="an outcome not counted"),
        pytest.param(lambda r: r["summary"].update(passed=-1), id="a negative count"),
        pytest.param(lambda r: r["requirements"][0].update(outcome="ok"), id="an unknown outcome"),
        pytest.param(lambda r: r["requirements"][0].update(level="M"), id="an unknown level"),
        pytest.param(lambda r: r["requirements"][0].pop("causedBy"), id="a requirement without causedBy"),
        pytest.param(lambda r: r["requirements"][0]["claims"][0].update(evidence="x"), id="evidence that is no list"),
        pytest.param(lambda r: r["stories"][0].update(seconds="3 s"), id="seconds with a unit"),
        pytest.param(lambda r: r["invariants"][0].update(violations=None), id="violations null"),
        pytest.param(lambda r: r["invariants"][1]["violations"][0].update(outcome="passed"), id="a passed violation"),
        pytest.param(lambda r: r["latencies"]["created-to-admitted"].update(n=0), id="a latency of nothing"),
        pytest.param(lambda r: r["writes"]["kueue"].update({"patch pods": "6"}), id="a count as text"),
        pytest.param(lambda r: at(r, "run").update(slowFactor=0), id="a slow factor of zero"),
    ],
)
def test_schema_rejects_a_wrong_result(spoil: Callable[[dict[str, Any]], object]) -> None:
    """A result with one thing wrong does not conform to the schema."""
    spoilt = json.loads(model.encode(samples.result()))
    spoil(spoilt)
    with pytest.raises(jsonschema.ValidationError):
        validate(json.dumps(spoilt).encode())


def test_schema_rejects_an_impossible_date() -> None:
    """A deviation expires on a day that exists."""
    text = model.encode(samples.result()).replace(b'"2027-03-31"', b'"2027-03-32"')
    with pytest.raises(jsonschema.ValidationError):
        validate(text)


def struct_keys(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("suite", model.Suite),
        ("run", model.Run),
        ("implementation", model.Implementation),
        ("cluster", model.Cluster),
        ("deviation", model.Deviation),
        ("requirement", model.Requirement),
        ("claim", model.Claim),
        ("story", model.Story),
        ("invariant", model.Invariant),
        ("violation", model.Violation),
        ("finding", model.Finding),
        ("latency", model.Latency),
        (None, model.Result),
    ],
)
def test_schema_and_model_have_the_same_keys(name: str | None, kind: type[msgspec.Struct]) -> None:
    """The schema names, and requires, exactly the keys that the model writes."""
    described = SCHEMA["$defs"][name] if name else SCHEMA
    assert set(described["properties"]) == set(described["required"]) == struct_keys(kind)


def test_schema_knows_every_outcome() -> None:
    """The schema's outcomes are those of the suite."""
    assert SCHEMA["$defs"]["outcome"]["enum"] == [str(outcome) for outcome in Outcome]
    assert list(SCHEMA["properties"]["summary"]["properties"]) == [str(outcome) for outcome in Outcome]


@pytest.mark.parametrize(
    ("id_", "outcome", "reason", "caused_by"),
    [
        ("ADM-01", "passed", "not judged: test_up::test_admitted_before_ready (not-testable: needs one etcd)", None),
        ("ADM-06", "failed", "scale_up: observed gated", None),
        (
            "UP-02",
            "failed",
            "Pod t-1/seed-1-0 spec.schedulingGates: expected kueue.x-k8s.io/admission, observed none",
            None,
        ),
        (
            "UP-05",
            "inconclusive",
            "the moment `room` did not come",
            "test_up::scale_up::room[ADM-06]",
        ),
        ("UP-10", "not-selected", "no story tells it: texts are not judged yet", None),
        ("DEL-01", "error", "the API server went away", None),
        ("TAS-01", "known-deviation", "one_rack: observed r1, r2; deviates in 1 of 2 claims", None),
        ("ROLL-01", "unsupported", "rolling-update is not declared", None),
        ("FAIL-03", "not-testable", "the cluster lacks edits-nodes", None),
        ("WL-07", "passed", None, None),
    ],
)
def test_requirement(id_: str, outcome: str, reason: str | None, caused_by: str | None) -> None:
    """A requirement's outcome is the worst of its judged claims, with the reason and what caused it."""
    found = samples.requirement(samples.result(), id_)
    assert (found.outcome, found.reason, found.caused_by) == (outcome, reason, caused_by)


def test_what_was_asked_for_and_nothing_claims_is_no_part_of_a_pass() -> None:
    """A requirement of the profile that no story tells has an outcome and a reason of its own, and is counted."""
    line = log.UnclaimedLine(requirement="UP-10", outcome=Outcome.NOT_TESTABLE, reason="not claimed: several clusters")
    found = samples.result([*samples.passing(), line])
    told = samples.requirement(found, "UP-10")
    assert (told.outcome, told.reason, told.claims) == ("not-testable", "not claimed: several clusters", [])
    assert found.summary[Outcome.NOT_TESTABLE] == 1


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({"profile": "core"}, {"MK-01", "MK-02", "MK-05"}),
        ({"profile": "page"}, set()),
        ({"profile": "core", "story": ["scale_up"]}, set()),
        ({"profile": "core", "skip": ["MK-01=no second cluster"]}, {"MK-02", "MK-05"}),
    ],
)
def test_multi_cluster_is_what_the_core_cannot_test(asked: dict[str, Any], ids: set[str]) -> None:
    """Of all that must hold only what needs several clusters has no claim; it is not testable, with the reason."""
    here = Here(kueue="0.19.2", lws="0.9.0", features=frozenset(FEATURES), capabilities=frozenset())
    found = unclaimed(settle(asked), here)
    assert {record.id for record, _ in found} == ids
    assert all(prospect.outcome is Outcome.NOT_TESTABLE and "cluster" in prospect.reason for _, prospect in found)


def test_requirement_without_claim_lines_was_not_selected() -> None:
    """A requirement that no line of the log is about is in the result all the same, as not selected."""
    found = samples.requirement(samples.result(samples.passing()), "DEL-01")
    assert (found.outcome, found.reason, found.claims) == ("not-selected", "not part of this run's selection", [])


def test_object_of_a_claim_names_the_field() -> None:
    """A claim's object is followed by the field that decided; without a moment its window is told."""
    failed, windowed = samples.FAILED, msgspec.structs.replace(samples.FAILED, moment=None)
    claims = [
        samples.requirement(samples.result([*samples.head(), line]), "UP-02").claims[0] for line in (failed, windowed)
    ]
    assert claims[0].object == "Pod t-1/seed-1-0 spec.schedulingGates"
    assert [claim.moment for claim in claims] == ["before admitted, at revision 512", "created .. canary-ran"]


def test_cause_that_no_requirement_promises() -> None:
    """Claims behind a wait that no requirement promises name the story and the moment as their cause."""
    lines = [
        *samples.head(),
        samples.claim_line("test_up::test_x", "UP-05", Outcome.INCONCLUSIVE),
        log.StoryLine(name="scale_up", tenant="t-1", seconds=1.0, stopped_at="canary-ran"),
    ]
    assert samples.requirement(samples.result(lines), "UP-05").caused_by == "scale_up::canary-ran"


def test_later_verdict_counts() -> None:
    """Of two verdicts on one claim the later one counts."""
    lines = [*samples.passing(), samples.FAILED]
    assert samples.requirement(samples.result(lines), "UP-02").outcome == Outcome.FAILED


def test_summary_counts_requirements() -> None:
    """The summary names every outcome and counts the requirements that have it."""
    assert samples.result().summary == {
        "failed": 2, "error": 1, "inconclusive": 1, "known-deviation": 1, "passed": 2,
        "not-testable": 1, "unsupported": 1, "not-selected": 1,
    }  # fmt: skip


def test_invariants_are_summed_over_stories() -> None:
    """An invariant's states are summed over the stories, and every violation is kept."""
    found = samples.result().invariants
    assert [(i.name, i.judged, len(i.violations)) for i in found] == [("I1", 12, 0), ("I2", 4, 1), ("I10", 1, 0)]


@pytest.mark.parametrize(
    ("deviation", "violated", "expected"),
    [
        (None, True, [Outcome.FAILED]),
        (ALWAYS, True, [Outcome.KNOWN_DEVIATION]),
        (ALWAYS, False, [Outcome.FAILED]),
        (samples.DEVIATION, False, []),
        (msgspec.structs.replace(ALWAYS, expires=TODAY - timedelta(1)), True, [Outcome.FAILED, Outcome.FAILED]),
    ],
)
def test_deviation_of_an_invariant(deviation: model.Deviation | None, violated: bool, expected: list[Outcome]) -> None:
    """A listed deviation excuses violations while it holds; one that is out of date is a violation itself."""
    violations = [model.Violation(story="s", outcome=Outcome.FAILED, observed="x")] if violated else []
    verdict = log.InvariantVerdict(judged=1, violations=violations, deviation=deviation)
    lines = [*samples.head(), log.InvariantsLine(story="s", invariants={"I2": verdict})]
    assert [v.outcome for v in samples.result(lines).invariants[0].violations] == expected


@pytest.mark.parametrize(
    ("outcome", "expires", "expected"),
    [
        (Outcome.FAILED, TODAY, Outcome.KNOWN_DEVIATION),
        (Outcome.KNOWN_DEVIATION, TODAY, Outcome.KNOWN_DEVIATION),
        (Outcome.FAILED, TODAY - timedelta(1), Outcome.FAILED),
        (Outcome.KNOWN_DEVIATION, TODAY - timedelta(1), Outcome.FAILED),
        (Outcome.ERROR, TODAY, Outcome.ERROR),
        (Outcome.INCONCLUSIVE, TODAY, Outcome.INCONCLUSIVE),
        (Outcome.PASSED, TODAY, Outcome.PASSED),
    ],
)
def test_apply_deviation(outcome: Outcome, expires: date, expected: Outcome) -> None:
    """A listed deviation turns a failure, and nothing else, into a known one, up to and including its last day."""
    deviation = msgspec.structs.replace(samples.DEVIATION, expires=expires)
    assert apply_deviation(outcome, deviation, TODAY) == expected
    assert apply_deviation(expected, deviation, TODAY) == expected


@pytest.mark.parametrize("outcome", list(Outcome))
def test_no_deviation_changes_nothing(outcome: Outcome) -> None:
    """Without a listed deviation every outcome stays what it is."""
    assert apply_deviation(outcome, None, TODAY) == outcome


@pytest.mark.parametrize(
    ("outcome", "kind", "days", "is_stale"),
    [
        (Outcome.PASSED, "always", 0, True),
        (Outcome.PASSED, "sometimes", 0, False),
        (Outcome.KNOWN_DEVIATION, "always", 0, False),
        (Outcome.INCONCLUSIVE, "always", 0, False),
        (Outcome.FAILED, "sometimes", -1, True),
        (Outcome.PASSED, "sometimes", -1, True),
        (Outcome.NOT_TESTABLE, "always", 0, False),
        (Outcome.NOT_SELECTED, "always", -1, False),
    ],
)
def test_stale(outcome: Outcome, kind: str, days: int, is_stale: bool) -> None:
    """A deviation is stale past its expiry, or if it should always show and the requirement passed."""
    deviation = msgspec.structs.replace(samples.DEVIATION, kind=kind, expires=TODAY + timedelta(days))
    assert (stale(outcome, deviation, TODAY) is not None) == is_stale


@given(st.permutations(samples.every_outcome()))
def test_order_of_the_log_does_not_matter(lines: list[log.Line]) -> None:
    """However concurrent stories interleave in the log, the result has the same bytes."""
    assert model.encode(samples.result(lines)) == model.encode(samples.result())


@given(st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=5))
def test_outcome_is_the_worst_judged(outcomes: list[Outcome]) -> None:
    """Any mix of claims gives the requirement the worst outcome; those not judged count only if none was."""
    claims = [samples.claim_line(f"test_x::test_{i}", "WL-07", outcome) for i, outcome in enumerate(outcomes)]
    found = samples.requirement(samples.result([*samples.head(), *claims]), "WL-07")
    assert found.outcome == worst(outcomes) == min(outcomes, key=list(Outcome).index)


def test_ids_sort_as_people_count() -> None:
    """V2 comes before V10, and a part of a requirement after the whole."""
    assert sorted(["V10", "V2", "WL-07.names", "WL-07", "ADM-01"], key=natural) == [
        "ADM-01", "V2", "V10", "WL-07", "WL-07.names",
    ]  # fmt: skip


def test_result_survives_writing(tmp_path: Path) -> None:
    """A written result reads back equal, from the file and from its folder, and nothing else is left in the folder."""
    path = write_result(tmp_path, samples.result())
    assert read_result(path) == read_result(tmp_path) == samples.result()
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_result_is_readable_text(tmp_path: Path) -> None:
    """`result.json` is indented, in camelCase, and ends with a newline."""
    text = write_result(tmp_path, samples.result()).read_text(encoding="utf-8")
    assert text.startswith('{\n  "schemaVersion": 1,\n')
    assert text.endswith("}\n")
    assert '"causedBy": "test_up::scale_up::room[ADM-06]"' in text


def test_order_of_mappings_does_not_matter() -> None:
    """Equal results give equal bytes, in whatever order their mappings were filled."""
    one, two = (
        msgspec.structs.replace(samples.result(), writes={name: {"patch pods": 1} for name in names})
        for names in (("kueue", "lws"), ("lws", "kueue"))
    )
    assert one == two
    assert model.encode(one) == model.encode(two)


def test_result_that_cannot_be_written(tmp_path: Path) -> None:
    """A result that cannot be written is an error that says where the verdicts are."""
    (tmp_path / ".result.json").mkdir()
    with pytest.raises(HarnessError, match="the verdicts are in the log beside it"):
        write_result(tmp_path, samples.result())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "name a results folder"),
        (b"{", "is no result that this version of the suite reads"),
        (b'{"schemaVersion": 2}', "is no result that this version of the suite reads"),
    ],
)
def test_result_that_cannot_be_read(tmp_path: Path, content: bytes | None, message: str) -> None:
    """What is no result of this version is refused with one sentence."""
    if content is not None:
        (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_result(tmp_path)


def test_run_that_ended_before_its_cluster() -> None:
    """A log without a cluster gives no result but a sentence that says so."""
    with pytest.raises(UsageError, match="no `cluster` line: the run ended before anything was judged"):
        build([samples.head()[0], samples.head()[2]], samples.CATALOGUE)


def test_claim_of_an_unknown_requirement() -> None:
    """A claim of a requirement that has no record is never dropped silently."""
    with pytest.raises(HarnessError, match=r"claim test_x::test_y is of requirement UP-99, which has no record"):
        samples.result([*samples.head(), samples.claim_line("test_x::test_y", "UP-99", Outcome.PASSED)])


def test_the_real_catalogue() -> None:
    """A result lists every record of the published catalogue, and those that no story tells say why."""
    found = build(samples.head(), load())
    assert {r.id for r in found.requirements} == set(load().ids)
    assert all(r.reason for r in found.requirements)
    validate(model.encode(found))
