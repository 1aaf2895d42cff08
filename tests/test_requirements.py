"""The catalogue is read strictly, sorted into profiles, and answers what would happen to a requirement here and now."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from conformance.errors import UsageError
from conformance.outcomes import Level, Outcome
from conformance.requirements import (
    AREAS,
    CAPABILITIES,
    FEATURES,
    PROFILES,
    Catalogue,
    Here,
    Requirement,
    Selection,
    Versions,
    applies,
    load,
)

MANIFESTS: Final = Path(__file__).parent.parent / "manifests"

PAGE: Final = {
    *("QSEL-01", "QSEL-03", "QSEL-11", "WL-01", "WL-07", "WL-08"),
    *("POD-01", "POD-02", "POD-09", "POD-13", "POD-14"),
    *("ADM-01", "ADM-02", "ADM-03", "ADM-06", "ADM-09"),
    *("QUO-01", "QUO-02", "QUO-05", "QUO-08", "QUO-09"),
    *("UP-01", "UP-02", "UP-05", "UP-07", "UP-08", "DOWN-01", "DOWN-02", "DOWN-05", "DOWN-07"),
    *("ZERO-01", "ZERO-02", "DEL-01", "DEL-04", "TAS-01", "TAS-02", "TAS-03", "TAS-29"),
    *("V1", "V2", "V3", "V10", "V19"),
}

GOOD: Final[dict[str, Any]] = {
    "id": "UP-01",
    "level": "MUST",
    "sentence": "Scaling up adds a group.",
    "source": {"text": "Run LeaderWorkerSet, c. Scaling", "link": "https://kueue.sigs.k8s.io/docs/#c-scaling"},
    "feature": "scaling",
    "needs": ["fake-nodes"],
    "status": {"not-claimed": "no story yet"},
}


def record(**changes: Any) -> dict[str, Any]:
    """A good raw record with fields changed; a change to None takes the field out."""
    raw = copy.deepcopy(GOOD) | changes
    return {key: value for key, value in raw.items() if value is not None}


def catalogue_of(folder: Path, *raws: Any, area: str = "up", file: str = "up.yaml") -> Catalogue:
    """The catalogue of a folder with one file of these records."""
    (folder / file).write_text(yaml.safe_dump({"area": area, "records": list(raws)}), encoding="utf-8")
    return load(folder)


def requirement(tmp_path: Path, **changes: Any) -> Requirement:
    """One loaded record, by default claimed."""
    return next(iter(catalogue_of(tmp_path, record(**({"status": "claimed"} | changes)))))


# --- Loading ---------------------------------------------------------------------------------------------------------


def test_good_record_is_loaded_as_written(tmp_path: Path) -> None:
    """A good record is loaded with its fields as they are written and with the defaults of those left out."""
    loaded = catalogue_of(tmp_path, record())["UP-01"]
    assert (loaded.id, loaded.area, loaded.level) == ("UP-01", "up", Level.MUST)
    assert loaded.source.link.endswith("#c-scaling")
    assert (loaded.page, loaded.serial, loaded.inferred, loaded.claimed) == (False, False, False, False)
    assert loaded.reason == "no story yet"


@pytest.mark.parametrize(
    ("changes", "field", "hint"),
    [
        ({"sentnce": "Twice."}, "sentnce", "Did you mean 'sentence'?"),
        ({"sentence": None}, "sentence", "missing"),
        ({"level": "MOST"}, "level", "MUST, SHOULD, STRICT, REPORT"),
        ({"feature": "scalling"}, "feature", "Did you mean 'scaling'?"),
        ({"needs": ["fake-node"]}, "needs", "Did you mean 'fake-nodes'?"),
        ({"needs": "fake-nodes"}, "needs", "array"),
        ({"source": {"text": "Somewhere"}}, "source.link", "missing"),
        ({"source": {"text": "Somewhere", "link": "the page"}}, "source.link", "https link"),
        ({"source": {"text": " ", "link": GOOD["source"]["link"]}}, "source.text", "empty"),
        ({"source": GOOD["source"] | {"lnk": "x"}}, "source.lnk", "Did you mean 'link'?"),
        ({"sentence": "Scaling up adds a group. It stays gated."}, "sentence", "more than one sentence"),
        ({"sentence": "Scaling up adds a group"}, "sentence", "full stop"),
        ({"since": {"kueue": "0.18"}}, "since", "0.18.5"),
        ({"since": {"kueu": "0.18.5"}}, "since.kueu", "Did you mean 'kueue'?"),
        ({"until": {"lws": ["0.8.0", "soon"]}}, "until", "'soon'"),
        ({"page": "yes"}, "page", "bool"),
        ({"level": "REPORT", "page": True}, "page", "never judged"),
        ({"status": "clamed"}, "status", "claimed"),
        ({"status": None}, "status", "missing"),
        ({"status": {"not-claimed": ""}}, "status.not-claimed", "reason"),
        ({"id": "up-01"}, "id", "not an id"),
        ({"id": "UP-1"}, "id", "not an id"),
        ({"id": "WL-01"}, "id", "wl.yaml"),
        ({"id": "V1"}, "id", "vectors.yaml"),
    ],
)
def test_bad_record_is_refused(tmp_path: Path, changes: dict[str, Any], field: str, hint: str) -> None:
    """A record with one defect is refused with one line that names the file, the id and the field."""
    with pytest.raises(UsageError) as refusal:
        catalogue_of(tmp_path, record(**changes))
    message = str(refusal.value)
    assert message.startswith(f"up.yaml, {changes.get('id', 'UP-01')}, field `{field}`: ")
    assert hint in message
    assert "\n" not in message


def test_duplicate_id_is_refused(tmp_path: Path) -> None:
    """An id that two records use is refused."""
    with pytest.raises(UsageError, match=r"up\.yaml, UP-01, field `id`: is used twice"):
        catalogue_of(tmp_path, record(), record(sentence="Scaling up adds another group."))


def test_field_written_twice_is_refused(tmp_path: Path) -> None:
    """A field that a record has twice is refused instead of the last one winning."""
    text = yaml.safe_dump({"area": "up", "records": [record()]})
    (tmp_path / "up.yaml").write_text(text + "  level: SHOULD\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"up\.yaml .*'level' is written twice"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("area", "file", "says"),
    [
        ("down", "up.yaml", "up.yaml, field `area`: 'down' is not the area of this file, 'up'"),
        ("upp", "upp.yaml", "upp.yaml: 'upp' is not an area of the catalogue. Did you mean 'up'?"),
    ],
)
def test_wrong_area_is_refused(tmp_path: Path, area: str, file: str, says: str) -> None:
    """A file whose name and area do not agree, or are no area, is refused."""
    with pytest.raises(UsageError) as refusal:
        catalogue_of(tmp_path, record(), area=area, file=file)
    assert says in str(refusal.value)


@pytest.mark.parametrize("text", ["area: up\n", "area: up\nrecords: {}\n", "area: up\nrecords: []\nmore: 1\n", "- 1\n"])
def test_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    """A file that has anything but `area` and a list of `records` is refused."""
    (tmp_path / "up.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"up\.yaml needs exactly two keys"):
        load(tmp_path)


def test_record_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    """A record that is no mapping is refused by the name of its file."""
    with pytest.raises(UsageError, match=r"up\.yaml, a record that is no mapping"):
        catalogue_of(tmp_path, "UP-01")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    """A catalogue without records is refused, for then the YAML files were not installed."""
    with pytest.raises(UsageError, match="no requirement records"):
        load(tmp_path)


# --- The catalogue of this repository --------------------------------------------------------------------------------


def test_every_area_has_records() -> None:
    """The catalogue has records in every area, in reading order."""
    assert list(load().areas) == list(AREAS)


def test_words_are_all_used() -> None:
    """Every feature, and every capability that a requirement can need, occurs in some record."""
    assert {each.feature for each in load()} == set(FEATURES)
    needed = {capability for each in load() for capability in each.needs}
    assert set(CAPABILITIES) - needed == {"single-etcd", "owns-cluster"}


def test_capabilities_have_the_clusters_names() -> None:
    """A capability that a cluster declares is spelt in the records as the cluster spells it."""
    clusters = pytest.importorskip("conformance.clusters")
    declared = {clusters.FAKE_NODES, clusters.EDITS_NODES, clusters.RUNS_CONTAINERS, clusters.SINGLE_ETCD}
    assert declared | {clusters.RESTARTS_IMPLEMENTATION, clusters.OWNS_CLUSTER} <= set(CAPABILITIES)


def test_sentences_are_unique() -> None:
    """No two requirements say the same."""
    sentences = [each.sentence for each in load()]
    assert len(set(sentences)) == len(sentences)


def test_part_has_its_whole() -> None:
    """The part of a requirement has the requirement it is a part of."""
    assert [each.id for each in load() if each.id.partition(".")[0] not in load()] == []


def test_page_profile_is_what_the_page_promises() -> None:
    """The page profile has exactly the requirements that the user page promises, and each is claimed."""
    assert {each.id for each in load().of_profile("page")} == PAGE
    assert [each.id for each in load() if each.page and not each.claimed] == []


def test_vectors_are_complete() -> None:
    """The vectors are V1 to V22 with V4b, V6r and V6c, all MUST but V20 and V21."""
    vectors = {each.id: each for each in load() if each.area == "vectors"}
    assert set(vectors) == {f"V{number}" for number in range(1, 23)} | {"V4b", "V6r", "V6c"}
    assert {name for name, each in vectors.items() if each.level is not Level.MUST} == {"V20", "V21"}
    assert {vectors["V20"].level, vectors["V21"].level} == {Level.SHOULD}


def test_profiles_grow_by_level() -> None:
    """Profile core has the MUST, full adds the SHOULD, strict adds the STRICT, and none has a REPORT."""
    levels = {profile: {each.level for each in load().of_profile(profile)} for profile in PROFILES}
    assert levels["core"] == {Level.MUST}
    assert levels["full"] == {Level.MUST, Level.SHOULD}
    assert levels["strict"] == {Level.MUST, Level.SHOULD, Level.STRICT}
    assert sum(each.level is not Level.REPORT for each in load()) == len(load().of_profile("strict"))


def test_fixed_sentences() -> None:
    """The two sentences that are fixed by decision read as they were decided."""
    assert (
        load()["POD-01"].sentence
        == "A pod that is created while its group's Workload is not admitted has the admission gate."
    )
    assert load()["POD-13"].sentence == (
        "A pod created after its group's admission becomes schedulable without a new admission, however it was born."
    )


@pytest.mark.parametrize(("wrong", "meant"), [("UP-2", "UP-02"), ("wl-07.NAMES", "WL-07.names"), ("v4B", "V4b")])
def test_unknown_id_names_the_nearest(wrong: str, meant: str) -> None:
    """Asking for an id that does not exist is an error that names the nearest one that does."""
    with pytest.raises(UsageError) as error:
        load()[wrong]
    assert f"unknown requirement {wrong!r}" in str(error.value)
    assert f"Did you mean {meant!r}?" in str(error.value)


def test_unknown_profile_names_the_nearest() -> None:
    """Asking for a profile that does not exist is an error that names the nearest one that does."""
    with pytest.raises(UsageError, match="Did you mean 'page'"):
        load().of_profile("pages")


# --- What would happen -----------------------------------------------------------------------------------------------

HERE: Final = Here(
    features=frozenset({"core", "scaling"}), capabilities=frozenset({"fake-nodes"}), kueue="0.19.2", lws="0.9.0"
)
SHARED: Final = replace(HERE, forgone={"restarts-implementation": "others use it"})
CORE: Final = Selection(profile="core")


def test_what_fits_is_judged(tmp_path: Path) -> None:
    """A claimed requirement of the profile is judged where feature, version and capabilities are there."""
    assert applies(requirement(tmp_path), HERE, CORE).judged


@pytest.mark.parametrize(
    ("changes", "here", "chosen", "outcome", "why"),
    [
        ({}, HERE, Selection(profile="page"), Outcome.NOT_SELECTED, "not in profile page"),
        ({}, HERE, Selection(profile="core", skips={"UP-01": "flaky"}), Outcome.NOT_SELECTED, "skipped: flaky"),
        ({}, HERE, Selection(ids=frozenset({"UP-02"})), Outcome.NOT_SELECTED, "another requirement"),
        ({}, HERE, Selection("core", levels=frozenset({Level.SHOULD})), Outcome.NOT_SELECTED, "level MUST"),
        ({}, HERE, Selection("core", features=frozenset({"core"})), Outcome.NOT_SELECTED, "feature scaling"),
        ({"serial": True}, HERE, Selection("core", sequential=False), Outcome.NOT_SELECTED, "after all else"),
        ({"level": "REPORT"}, HERE, Selection("strict"), Outcome.NOT_SELECTED, "never judged"),
        ({"feature": "topology"}, HERE, CORE, Outcome.UNSUPPORTED, "does not declare topology"),
        ({"since": {"kueue": "0.20.0"}}, HERE, CORE, Outcome.UNSUPPORTED, "since Kueue 0.20.0, and this is 0.19.2"),
        ({"since": {"lws": "0.10.0"}}, HERE, CORE, Outcome.UNSUPPORTED, "since LWS 0.10.0, and this is 0.9.0"),
        ({"until": {"kueue": "0.18.0"}}, HERE, CORE, Outcome.UNSUPPORTED, "until Kueue 0.18.0"),
        ({"needs": ["fake-nodes", "edits-nodes"]}, HERE, CORE, Outcome.NOT_TESTABLE, "lacks edits-nodes"),
        ({"needs": ["restarts-implementation", "fake-nodes"]}, SHARED, CORE, Outcome.NOT_TESTABLE, "others use it"),
        ({"status": {"not-claimed": "no story yet"}}, HERE, CORE, Outcome.NOT_TESTABLE, "not claimed: no story yet"),
    ],
)
def test_what_does_not_fit_says_why(
    tmp_path: Path, changes: dict[str, Any], here: Here, chosen: Selection, outcome: Outcome, why: str
) -> None:
    """A requirement that would not be judged says which outcome it has instead, and why."""
    prospect = applies(requirement(tmp_path, **changes), here, chosen)
    assert not prospect.judged
    assert prospect.outcome is outcome
    assert why in prospect.reason
    assert str(prospect) == f"{outcome}: {prospect.reason}"


def test_ids_are_asked_for_instead_of_the_profile(tmp_path: Path) -> None:
    """A requirement that is asked for by its id is judged whatever the profile."""
    assert applies(requirement(tmp_path), HERE, Selection(profile="page", ids=frozenset({"UP-01"}))).judged


def test_a_version_can_be_ignored(tmp_path: Path) -> None:
    """A requirement that a release is too old for is judged on it all the same where that is asked for."""
    record = requirement(tmp_path, since={"kueue": "0.20.0"})
    assert applies(record, HERE, Selection("core", every_version=True)).judged


def test_core_is_always_declared(tmp_path: Path) -> None:
    """The feature core is judged even where an implementation does not declare it."""
    here = Here(features=frozenset(), capabilities=HERE.capabilities)
    assert applies(requirement(tmp_path, feature="core"), here, CORE).judged


@pytest.mark.parametrize(
    ("present", "judged"),
    [
        ("0.14.9", False),
        ("0.15.2", False),
        ("0.15.3", True),
        ("v0.15.3", True),
        ("0.16.7", False),
        ("0.17.0-rc.1", False),
        ("0.17.0", True),
        ("v0.17.1-5-gabcdef0", True),
        ("0.19.2", True),
        ("1.0.0", True),
        (None, True),
        ("main", True),
        ("v0.0.0-20260801120000-abcdef012345", True),
    ],
)
def test_change_carried_back_applies_from_the_first_release_of_each_line(
    tmp_path: Path, present: str | None, judged: bool
) -> None:
    """A change carried back holds in each line from its first release there, and where no version is known."""
    carried_back = requirement(tmp_path, since={"kueue": ["0.15.3", "0.17.0"]})
    here = Here(features=HERE.features, capabilities=HERE.capabilities, kueue=present)
    assert applies(carried_back, here, CORE).judged is judged


def test_until_is_the_first_release_without(tmp_path: Path) -> None:
    """A requirement still applies to the last release before its `until` and no longer to that one."""
    ending = requirement(tmp_path, until={"kueue": "0.19.0"})
    for present, judged in (("0.18.4", True), ("0.19.0", False)):
        here = Here(features=HERE.features, capabilities=HERE.capabilities, kueue=present)
        assert applies(ending, here, CORE).judged is judged


def test_versions_read_as_a_person_writes_them() -> None:
    """Versions are shown by component, and not at all where none matters."""
    assert str(Versions(kueue=("0.18.5", "0.19.1"), lws="0.7.0")) == "Kueue 0.18.5 / 0.19.1, LWS 0.7.0"
    assert str(Versions()) == ""


# --- The samples of the page -----------------------------------------------------------------------------------------


def sample(name: str) -> Any:
    return yaml.safe_load((MANIFESTS / name).read_text(encoding="utf-8"))


def test_mended_sample_differs_in_the_limit_alone() -> None:
    """The mended topology sample is the one of the page with a limit for the GPU of the workers and nothing else."""
    mended = sample("page-topology-sample-mended.yaml")
    [worker] = mended["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"]
    assert worker["resources"].pop("limits") == {"nvidia.com/gpu": "1"}
    assert mended == sample("page-topology-sample.yaml")


@pytest.mark.parametrize("name", ["page-sample.yaml", "page-topology-sample.yaml"])
def test_samples_name_their_page(name: str) -> None:
    """A sample that is taken over verbatim begins with the address it was taken from."""
    first = (MANIFESTS / name).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# From https://kueue.sigs.k8s.io/docs/tasks/run/leaderworkerset/#")


def test_first_sample_costs_what_its_requirement_says() -> None:
    """The first sample is the two groups of one 100m leader and two 200m workers that QUO-01 speaks of."""
    spec = sample("page-sample.yaml")["spec"]
    template = spec["leaderWorkerTemplate"]
    cpu = {
        role: template[role]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        for role in ("leaderTemplate", "workerTemplate")
    }
    assert (spec["replicas"], template["size"], cpu) == (2, 3, {"leaderTemplate": "100m", "workerTemplate": "200m"})
