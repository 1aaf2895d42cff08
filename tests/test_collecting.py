"""What pytest collects: promised moments, claims and invariants of stories, selected as asked, and nothing else."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

# What the runs of pytest in this process import is loaded once, here: each of them forgets what it imported itself.
import conformance.clusters.local
import conformance.components
import conformance.implementations
import conformance.session
from conformance import requirements
from conformance.clusters.standing import StandingCluster
from conformance.collecting import CLAIMED, Claimed
from conformance.outcomes import Level
from conformance.report.log import claim_id
from conformance.requirements import Catalogue, NotClaimed, load
from conformance.settings import settle
from conformance.suite import whole_suite
from conformance.workers import WorkerSession
from conformance.world.phases import PHASES

pytest_plugins = "pytester"

PARTS = (None, *PHASES)
"""The parts of a run: what is told side by side, then the phases."""
CLAIMS = sorted(whole_suite().claims, key=lambda claim: PARTS.index(claim.story.phase))
STORIES = [story.name for story in sorted(whole_suite().stories, key=lambda story: PARTS.index(story.phase))]
PHASE_OF = {story.name: story.phase for story in whole_suite().stories}
EVERYTHING = ("--conformance-profile", "strict")
HERE = ("--conformance-cluster", "local", *EVERYTHING)
"""Where the whole suite is judged, but for what this cluster lacks."""
SUITE = ("--pyargs", "conformance.suites")
QUIET = ("-p", "no:pytest-kind-ng", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
PAGE = """
    QSEL-01 QSEL-03 QSEL-11 WL-01 WL-07 WL-08 POD-01 POD-02 POD-09 POD-13 POD-14 ADM-01 ADM-02 ADM-03 ADM-06 ADM-09
    QUO-01 QUO-02 QUO-05 QUO-08 QUO-09 UP-01 UP-02 UP-05 UP-07 UP-08 DOWN-01 DOWN-02 DOWN-05 DOWN-07 ZERO-01 ZERO-02
    DEL-01 DEL-04 TAS-01 TAS-02 TAS-03 TAS-29 V1 V2 V3 V10 V19
"""
"""Ids that the first edition of the suite must judge."""


@dataclass
class Collected:
    """What a run of pytest collected and selected, its exit code, and what it complained about."""

    items: list[pytest.Item]
    code: int
    stderr: list[str]

    @property
    def ids(self) -> list[str]:
        return [claim_id(item.nodeid) for item in self.items]

    @property
    def claimed(self) -> list[Claimed]:
        """What each item judges, invariants left out."""
        return [item.stash[CLAIMED] for item in self.items if item.stash[CLAIMED].record is not None]

    @property
    def requirements(self) -> set[str]:
        return {claimed.record.id for claimed in self.claimed if claimed.record is not None}

    @property
    def invariants(self) -> list[str]:
        """The stories whose invariants are judged."""
        return [item.stash[CLAIMED].story.name for item in self.items if item.stash[CLAIMED].record is None]

    @property
    def error(self) -> str:
        """The one sentence of a usage error."""
        assert self.code == pytest.ExitCode.USAGE_ERROR, self.stderr
        [sentence] = [line for line in self.stderr if line]
        return sentence.removeprefix("ERROR: ")


class _Recorder:
    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


Collect = Callable[..., Collected]


@pytest.fixture
def collect(pytester: pytest.Pytester) -> Collect:
    """Collect the suite in a folder of its own, or what is named instead."""

    def run(*options: str, what: tuple[str, ...] = SUITE, here: tuple[str, ...] = HERE) -> Collected:
        recorder = _Recorder()
        result = pytester.runpytest_inprocess(*QUIET, *what, *here, "--collect-only", *options, plugins=[recorder])
        return Collected(recorder.items, int(result.ret), result.stderr.lines)

    return run


@pytest.fixture
def suite_file(pytester: pytest.Pytester) -> Callable[[str], str]:
    """Write a suite file of one's own, whose stories are never told."""

    def write(body: str) -> str:
        head = """
            from conformance.expectations import ready
            from conformance.world.story import claim, story
        """
        path = pytester.path / "test_mine.py"
        path.write_text(textwrap.dedent(head) + textwrap.dedent(body))
        return str(path)

    return write


# The whole suite


def test_every_claim_of_the_suite_is_an_item(collect: Collect) -> None:
    """Every promised moment, as `<story>::<moment>[ID]`, and every claim function is one item, in the files' order."""
    items = collect().ids
    claims = [id_ for id_ in items if not id_.endswith("::invariants")]
    assert sorted(claims) == sorted(claim.id for claim in CLAIMS)
    promised = [id_ for id_ in claims if id_.count("::") == 2]
    assert promised == [claim.id for claim in CLAIMS if claim.moment is not None]
    assert all(re.fullmatch(r"test_\w+::\w+::[a-z0-9-]+\[[A-Z]+[0-9.-]*\w*\]", id_) for id_ in promised)
    assert all(re.fullmatch(r"test_\w+::test_\w+(\[\w+\])?", id_) for id_ in set(claims) - set(promised))


def test_the_invariants_of_every_story_come_last(collect: Collect) -> None:
    """Each story has one more item for its invariants, after all claims of all stories that are told with it."""
    collected = collect()
    assert collected.invariants == STORIES
    parts = [[name for name in STORIES if PHASE_OF[name] == phase] for phase in PARTS]
    for part in parts:
        last = [item.stash[CLAIMED] for item in collected.items if item.stash[CLAIMED].story.name in part][-len(part) :]
        assert [claimed.story.name for claimed in last if claimed.record is None] == part


def test_the_phases_come_after_all_else(collect: Collect) -> None:
    """The claims of a phase's stories come after all that are told side by side, and in the order of the phases."""
    phases = [item.stash[CLAIMED].story.phase for item in collect().items]
    assert list(dict.fromkeys(phases)) == list(PARTS)
    assert phases == sorted(phases, key=PARTS.index)


def test_the_phases_can_be_left_out(collect: Collect) -> None:
    """With --no-sequential no claim of a phase's story is selected, and all others are."""
    left = [claim.id for claim in CLAIMS if claim.story.phase is None]
    collected = collect("--conformance-no-sequential")
    assert sorted(id_ for id_ in collected.ids if not id_.endswith("::invariants")) == sorted(left)
    assert not any(PHASE_OF[name] for name in collected.invariants)


def test_workers_restart_nothing(tmp_path: Path) -> None:
    """With -n what restarts or reconfigures the implementation is not testable, and the reason says so."""
    here = WorkerSession(settle({}), tmp_path, "gw0").here()
    for record in (load()["RES-01"], load()["NS-01"]):
        prospect = requirements.applies(record, here, requirements.Selection("core"))
        assert str(prospect) == "not-testable: workers (-n) cannot restart what they share"
    assert requirements.applies(load()["ADM-01"], here, requirements.Selection("core")).judged


def test_what_others_use_is_not_restarted() -> None:
    """On the cluster of `cluster up`, what restarts or reconfigures the implementation is not testable."""
    here = requirements.Here(capabilities=StandingCluster.capabilities)
    for id_, lacking in (("RES-01", "restarts-implementation"), ("NS-01", "configures-implementation")):
        prospect = requirements.applies(load()[id_], here, requirements.Selection("core"))
        assert str(prospect) == f"not-testable: this cluster lacks {lacking}"


def test_what_the_page_promises_is_claimed(collect: Collect) -> None:
    """Each id that the first edition must judge is claimed by at least one item of the page profile."""
    assert collect("--conformance-profile", "page").requirements >= set(PAGE.split())


def test_an_item_carries_its_requirement(collect: Collect) -> None:
    """An item has its requirement and level as properties, and its level as a mark; invariants are a MUST."""
    for item in collect().items:
        record = item.stash[CLAIMED].record
        level = record.level if record is not None else Level.MUST
        assert [mark.name for mark in item.iter_markers() if mark.name.upper() in Level.__members__] == [level.lower()]
        assert item.user_properties == ([("requirement", record.id), ("level", level.value)] if record else [])


def test_an_item_publishes_one_sentence(collect: Collect) -> None:
    """A claim publishes its docstring, and a promised moment the sentence of its requirement."""
    for item, claimed in ((item, item.stash[CLAIMED]) for item in collect().items):
        if claimed.moment is not None:
            assert claimed.record is not None
            assert claimed.sentence == claimed.record.sentence
        elif claimed.record is not None:
            assert claimed.sentence == " ".join((item.function.__doc__ or "").split())  # type: ignore[attr-defined]


# Selection


BY_ID = {claim.id: claim for claim in CLAIMS}


def level_of(id_: str) -> Level:
    return load()[BY_ID[id_].requirement].level


def feature_of(id_: str) -> str:
    return load()[BY_ID[id_].requirement].feature


SELECTIONS: dict[tuple[str, ...], Callable[[str], bool]] = {
    ("--conformance-requirement", "UP-02"): lambda id_: BY_ID[id_].requirement == "UP-02",
    ("--conformance-requirement", "UP-02", "--conformance-requirement", "V1"): lambda id_: (
        BY_ID[id_].requirement in ("UP-02", "V1")
    ),
    ("--conformance-story", "two_queues"): lambda id_: BY_ID[id_].story.name == "two_queues",
    ("--conformance-story", "two_queues", "--conformance-story", "accelerators"): lambda id_: (
        BY_ID[id_].story.name in ("two_queues", "accelerators")
    ),
    ("--conformance-level", "SHOULD"): lambda id_: level_of(id_) is Level.SHOULD,
    ("--conformance-level", "must"): lambda id_: level_of(id_) is Level.MUST,
    ("--conformance-feature", "topology"): lambda id_: feature_of(id_) == "topology",
    ("--conformance-feature", "scaling", "--conformance-level", "MUST"): lambda id_: (
        feature_of(id_) == "scaling" and level_of(id_) is Level.MUST
    ),
    ("--conformance-skip", "ADM-01=seen elsewhere"): lambda id_: BY_ID[id_].requirement != "ADM-01",
    ("--conformance-story", "two_queues", "--conformance-skip", "QUO-02=why"): lambda id_: (
        BY_ID[id_].story.name == "two_queues" and BY_ID[id_].requirement != "QUO-02"
    ),
    ("--conformance-profile", "core"): lambda id_: "core" in load()[BY_ID[id_].requirement].profiles,
}


@pytest.mark.parametrize(
    ("options", "wanted"), SELECTIONS.items(), ids=[" ".join(options[1:]) for options in SELECTIONS]
)
def test_options_select_claims(collect: Collect, options: tuple[str, ...], wanted: Callable[[str], bool]) -> None:
    """The options select exactly the claims that they name, and the invariants of the stories told for them."""
    expected = [claim for claim in CLAIMS if wanted(claim.id)]
    assert 0 < len(expected) < len(CLAIMS)
    collected = collect(*options)
    assert sorted(id_ for id_ in collected.ids if not id_.endswith("::invariants")) == sorted(c.id for c in expected)
    assert collected.invariants == [name for name in STORIES if name in {claim.story.name for claim in expected}]


EXPRESSIONS: dict[tuple[str, ...], Callable[[str], bool]] = {
    ("-k", "UP-02"): lambda id_: BY_ID[id_].requirement == "UP-02",
    ("-k", "two_queues"): lambda id_: BY_ID[id_].story.name == "two_queues",
    ("-k", "running"): lambda id_: "running" in id_,
    ("-k", "counted"): lambda id_: "counted" in id_,
    ("-k", "running[ADM-01]"): lambda id_: "running[ADM-01]" in id_,
    ("-k", "test_new_group_waits_for_its_workload"): lambda id_: id_.endswith(
        "::test_new_group_waits_for_its_workload"
    ),
    ("-m", "must"): lambda id_: level_of(id_) is Level.MUST,
    ("-m", "should"): lambda id_: level_of(id_) is Level.SHOULD,
    ("-m", "must", "-k", "two_queues"): lambda id_: BY_ID[id_].story.name == "two_queues",
}


@pytest.mark.parametrize(("options", "wanted"), EXPRESSIONS.items(), ids=[" ".join(options) for options in EXPRESSIONS])
def test_pytests_own_selection_works(collect: Collect, options: tuple[str, ...], wanted: Callable[[str], bool]) -> None:
    """Pytest's -k finds requirement ids, stories and names, its -m levels, whatever part of the suite that leaves."""
    expected = [claim.id for claim in CLAIMS if wanted(claim.id)]
    assert 0 < len(expected) < len(CLAIMS)
    collected = collect(*options)
    assert sorted(id_ for id_ in collected.ids if not id_.endswith("::invariants")) == sorted(expected)


def test_invariants_can_be_selected(collect: Collect) -> None:
    """The invariants of one story can be asked for alone; being a MUST, they are among what `-m must` selects."""
    assert collect("-k", "invariants and two_queues").ids == ["test_queue_selection::two_queues::invariants"]
    assert set(collect("-m", "must").invariants) == set(STORIES)


def test_options_may_stand_in_the_project(collect: Collect, pytester: pytest.Pytester) -> None:
    """The section of pyproject.toml selects as the options do, and the file named by --conformance-config before it."""
    pytester.makepyprojecttoml("[tool.kueue-lws-conformance]\nrequirement = ['UP-02']\n")
    assert collect().requirements == {"UP-02"}
    (pytester.path / "ours.toml").write_text("requirement = 'V1'")
    assert collect("--conformance-config", "ours.toml").requirements == {"V1"}
    assert collect("--conformance-config", "ours.toml", "--conformance-requirement", "V2").requirements == {"V2"}


REFUSED: dict[tuple[str, ...], str] = {
    ("--conformance-requirement", "UP-2"): "unknown requirement 'UP-2'. Did you mean 'UP-0",
    ("--conformance-requirement", "up-02"): "unknown requirement 'up-02'. Did you mean 'UP-02'?",
    ("--conformance-skip", "UP-99=x"): "unknown requirement 'UP-99'. Did you mean 'UP-09'?",
    ("--conformance-skip", "UP-02"): "--skip UP-02: a reason is missing; write --skip UP-02=REASON",
    ("--conformance-story", "two_queue"): "unknown story 'two_queue'. Did you mean 'two_queues'?",
    ("--conformance-story", "two_queue", "-k", "running"): "unknown story 'two_queue'. Did you mean 'two_queues'?",
    ("--conformance-level", "SHOUD"): "unknown level 'SHOUD'. Did you mean 'SHOULD'?",
    ("--conformance-feature", "scalin"): "unknown feature 'scalin'. Did you mean 'scaling'?",
    ("--conformance-profile", "pag"): "unknown profile 'pag'. Did you mean 'page'?",
    ("--conformance-cluster", "locl"): "unknown cluster 'locl'. Did you mean 'local'?",
    ("--conformance-kueue-version", "0.19.9"): "Kueue 0.19.9 is not one of the known versions",
    ("--conformance-lws-version", "0.9"): "LWS 0.9 is not one of the known versions",
    ("--conformance-slow", "0"): "--slow 0: the factor must be above 0",
    ("--conformance-slow", "x"): "slow = 'x' is not right: a number is wanted",
    ("--conformance-port", "https"): "port = 'https' is not right: a whole number from 1 on is wanted",
    ("--conformance-cluster", "kind"): "--cluster kind is not available yet",
    ("--conformance-cluster", "existing"): "an existing cluster is judged as it is; add --implementation installed",
    ("--conformance-cluster", "existing", "--conformance-implementation", "installed"): "needs a kubeconfig",
    ("--conformance-implementation", "installed"): "a new local cluster has nothing installed",
    ("--conformance-kubeconfig", "missing.yaml"): "cannot read kubeconfig missing.yaml",
    ("--conformance-config", "missing.toml"): "cannot read missing.toml",
}


@pytest.mark.parametrize(("options", "sentence"), REFUSED.items(), ids=[" ".join(options[1:]) for options in REFUSED])
def test_what_is_unknown_is_refused(collect: Collect, options: tuple[str, ...], sentence: str) -> None:
    """A word that there is none of, or that makes no sense here, is a usage error of one sentence."""
    assert sentence in collect(*options).error


# Records and claims belong together


@pytest.mark.parametrize(
    "body",
    [
        """
        @story(moments={"running": "NOPE-01"})
        def lonely(tenant):
            "A story."
        """,
        """
        @story(moments={"running": "ADM-01"})
        def lonely(tenant):
            "A story."

        @claim("NOPE-01", of=lonely)
        def test_claim(told):
            "A claim."
        """,
    ],
    ids=["promised", "judged"],
)
def test_a_claim_without_record_is_refused(collect: Collect, suite_file: Callable[[str], str], body: str) -> None:
    """A claim of a requirement without a record fails collection, whether a story or a function makes it."""
    assert collect(what=(suite_file(body),)).error.startswith("unknown requirement 'NOPE-01'.")


def with_status(id_: str, *, claimed: bool) -> Catalogue:
    """The catalogue with one record that says otherwise whether it is claimed."""
    status = "claimed" if claimed else NotClaimed("not yet")
    records = [msgspec.structs.replace(r, status=status) if r.id == id_ else r for r in load()]
    return Catalogue(records)


UNCLAIMED = next(record.id for record in load() if not record.claimed and "page" not in record.profiles)


@pytest.mark.parametrize(
    ("id_", "claimed", "sentence"),
    [
        (UNCLAIMED, True, f"requirement {UNCLAIMED} says that it is claimed, but no item claims it"),
        ("UP-02", False, "requirement UP-02 is claimed by an item, but its record says why it is not"),
    ],
)
@pytest.mark.parametrize("options", [(), ("-k", "running"), ("--conformance-requirement", "V1")], ids=" ".join)
def test_a_record_says_truly_whether_it_is_claimed(
    collect: Collect,
    monkeypatch: pytest.MonkeyPatch,
    id_: str,
    claimed: bool,
    sentence: str,
    options: tuple[str, ...],
) -> None:
    """A record that says `claimed` without an item, or the reverse, fails collection, however little is selected."""
    altered = with_status(id_, claimed=claimed)
    monkeypatch.setattr(requirements, "load", lambda: altered)
    assert collect(*options).error.startswith(sentence)


def test_part_of_the_suite_may_be_collected(collect: Collect) -> None:
    """Whether every record is claimed is not asked of a part of the suite, whose claims have the same ids as ever."""
    collected = collect(what=("--pyargs", "conformance.suites.test_topology"))
    assert collected.code == pytest.ExitCode.OK
    assert [claimed.id for claimed in collected.claimed] == [
        claim.id for claim in CLAIMS if claim.id.startswith("test_topology::")
    ]


def test_single_items_may_be_collected(collect: Collect) -> None:
    """Items may be named one by one, also from every file of the suite, as pytest's --last-failed does."""
    firsts = {claim.id.partition("::")[0]: claim.id.partition("::")[2] for claim in CLAIMS}
    collected = collect(what=("--pyargs", *(f"conformance.suites.{file}::{rest}" for file, rest in firsts.items())))
    assert collected.code == pytest.ExitCode.OK, collected.stderr
    assert [claimed.id for claimed in collected.claimed] == [f"{file}::{rest}" for file, rest in firsts.items()]


# Suite files


TWO_STORIES = """
    @story(moments={"running": "ADM-01"})
    def first(tenant):
        "A story."

    @story()
    def second(tenant):
        "Another."

    @claim("UP-02", of=(first, second))
    def test_of_both(told):
        "A claim."
"""


def test_a_claim_of_two_stories_is_two_items(collect: Collect, suite_file: Callable[[str], str]) -> None:
    """A claim of several stories is an item of each, named by it, and judged on what that story told."""
    collected = collect(what=(suite_file(TWO_STORIES),))
    assert collected.ids == [
        "test_mine::first::running[ADM-01]",
        "test_mine::test_of_both[first]",
        "test_mine::test_of_both[second]",
        "test_mine::first::invariants",
        "test_mine::second::invariants",
    ]
    assert [claimed.story.name for claimed in collected.claimed] == ["first", "first", "second"]


def test_one_story_of_several_can_be_selected(collect: Collect, suite_file: Callable[[str], str]) -> None:
    """Of a claim of several stories, the one of the selected story is left."""
    collected = collect("--conformance-story", "second", what=(suite_file(TWO_STORIES),))
    assert collected.ids == ["test_mine::test_of_both[second]", "test_mine::second::invariants"]


def test_a_story_is_collected_where_it_is_declared(collect: Collect, suite_file: Callable[[str], str]) -> None:
    """A story that a module only imports is not collected there, and claims about it may be anywhere."""
    body = """
        from conformance.suites.test_scaling import scale_up_without_quota

        @claim("UP-02", of=scale_up_without_quota)
        def test_mine(told):
            "A claim."
    """
    collected = collect(what=(suite_file(body),))
    assert collected.ids == ["test_mine::test_mine"]
    assert collected.claimed[0].story.name == "scale_up_without_quota"


def test_a_story_without_claims_is_not_told(collect: Collect, suite_file: Callable[[str], str]) -> None:
    """A story that nothing is claimed of is no item, not even for its invariants."""
    body = """
        @story()
        def idle(tenant):
            "A story."
    """
    assert collect(what=(suite_file(body),)).ids == []


def test_stories_of_one_name_are_refused(collect: Collect, suite_file: Callable[[str], str]) -> None:
    """Two stories of the same name would share tenant, log and verdicts, so that is refused."""
    body = """
        @story(moments={"running": "ADM-01"})
        def two_queues(tenant):
            "A story."
    """
    assert "two stories are named two_queues" in collect(what=(*SUITE, suite_file(body))).error


def test_other_tests_are_left_alone(collect: Collect, suite_file: Callable[[str], str]) -> None:
    """Tests of one's own beside suite files are collected as ever, and their order among themselves is kept."""
    body = """
        def test_b():
            pass

        def test_a():
            pass
    """
    assert [item.name for item in collect(what=(suite_file(body),)).items] == ["test_b", "test_a"]


def test_what_cannot_be_judged_here_is_skipped_with_its_reason(collect: Collect, pytester: pytest.Pytester) -> None:
    """A claim that needs what the cluster lacks is a skip that says what is missing, and no story is told for it."""
    (pytester.path / "kubeconfig").touch()
    here = ("--conformance-cluster", "existing", "--conformance-implementation", "installed")
    collected = collect("--conformance-kubeconfig", "kubeconfig", here=here)
    assert collected.requirements >= set(PAGE.split())
    for item in collected.items:
        [skip] = item.iter_markers("skip")
        assert skip.kwargs["reason"].startswith("not-testable: this cluster lacks fake-nodes")
    assert collected.invariants == []


# Without the options


PLAIN_PROJECT = {
    "test_plain.py": """
        import sys
        import pytest

        told = "a name that the suite uses as well"

        def test_passes():
            "A test."

        @pytest.mark.parametrize("word", ["a", "b"])
        def test_several(word):
            pass

        def test_fails():
            assert told == ""

        def test_what_is_imported():
            ours = sorted(name for name in sys.modules if name.partition(".")[0] == "conformance")
            assert set(ours) <= {"conformance", "conformance.errors", "conformance.plugin", "conformance.settings"}
            assert "kubernetes" not in sys.modules
    """
}


@pytest.fixture
def in_a_process(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run pytest in a process of its own, with the suite that is under test here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(conformance.__file__).parents[1]))
    return lambda *args: pytester.runpytest_subprocess(*QUIET, *args)


def test_a_project_with_the_plugin_installed_sees_no_difference(
    pytester: pytest.Pytester, in_a_process: Callable[..., pytest.RunResult]
) -> None:
    """Without its options the plugin adds no item, no line of output and no import beyond its table of options."""
    for name, body in PLAIN_PROJECT.items():
        (pytester.path / name).write_text(textwrap.dedent(body))
    installed = in_a_process("-v", "-rA")
    installed.assert_outcomes(passed=4, failed=1)
    removed = in_a_process("-v", "-rA", "-p", "no:kueue-lws-conformance")

    def lines(result: pytest.RunResult) -> list[str]:
        return [line for line in result.outlines if not line.startswith("plugins:") and " in " not in line]

    assert lines(installed) == lines(removed)


def test_a_project_keeps_its_own_marks(
    pytester: pytest.Pytester, in_a_process: Callable[..., pytest.RunResult]
) -> None:
    """Without its options the plugin registers no mark, so that a project's misspelt ones are still found."""
    marks = "\n".join(in_a_process("--markers").outlines)
    assert "claims of requirements of this level" not in marks


@pytest.mark.parametrize("option", [("--conformance-requirement", "UP-02"), ("--conformance-keep",)])
def test_options_without_a_cluster_are_refused(collect: Collect, option: tuple[str, ...]) -> None:
    """An option of the suite that would do nothing, because no cluster is named, is a usage error."""
    assert collect(*option, here=()).error == f"{option[0]} does nothing without --conformance-cluster; add it"


def test_the_suite_without_a_cluster_is_refused(collect: Collect) -> None:
    """The suite itself, collected without naming a cluster, says in one sentence what is missing."""
    assert collect(here=()).error == "these stories are told on a cluster; name one with --conformance-cluster local"


# Setting up


def test_a_failed_set_up_ends_the_run_with_one_sentence(
    pytester: pytest.Pytester, in_a_process: Callable[..., pytest.RunResult]
) -> None:
    """A cluster that does not answer ends the run with exit code 2 and says that, and nothing else."""
    (pytester.path / "kubeconfig").write_text(
        textwrap.dedent("""
            apiVersion: v1
            kind: Config
            clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]
            users: [{name: u, user: {token: x}}]
            contexts: [{name: c, context: {cluster: c, user: u}}]
            current-context: c
        """)
    )
    here = (*EVERYTHING, "--conformance-cluster", "existing", "--conformance-implementation", "installed")
    result = in_a_process(*SUITE, *here, "--conformance-kubeconfig=kubeconfig", "--conformance-fake-nodes", "-q")
    assert result.ret == 2
    said = [line for line in (*result.outlines, *result.errlines) if line and " deselected in " not in line]
    assert said
    assert all("the API server at https://127.0.0.1:9 does not answer" in line for line in said)
