"""What claims say of faults, which stories are told, how long is waited, what is kept, and what is red."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from conformance.clusters.local import LocalCluster
from conformance.errors import UsageError
from conformance.faults.model import DECLARED, Fault
from conformance.implementations import FEATURES
from conformance.outcomes import Outcome
from conformance.proving import choosing, deadlines, keeping, matrix, page
from conformance.proving.cells import (
    ACCEPTED,
    Cell,
    Said,
    Verdict,
    bare,
    cell,
    invariant_id,
    judge_claims,
    judge_story_invariants,
    said_now,
)
from conformance.requirements import Here, Selection, load
from conformance.suite import whole_suite
from conformance.trace.history import History
from conformance.trace.records import Record, Stopped
from recording import recorded

SUITE = whole_suite()
HERE = Here(frozenset(FEATURES), LocalCluster.capabilities)
STORY = "room_for_two_of_three"
PAGE = choosing.provable(SUITE, load(), HERE, Selection("page"))
ONE = choosing.provable(SUITE, load(), HERE, Selection("page"), stories=[STORY])


def a_fault(name: str = "wrong", **caught: str | tuple[str, ...]) -> Fault:
    named = {key.replace("_", "-"): (each,) if isinstance(each, str) else each for key, each in caught.items()}
    return Fault(name, "It is wrong.", named, None, a_fault_is_installed)


def a_fault_is_installed() -> None:
    """The module of a fault is that of its function; here, this test's."""


# Cells


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("gated", "gated"),
        ("usage(cpu='1')", "usage"),
        ("never at_most_admitted(2)", "never at_most_admitted"),
        ("admitted before has_workers(2, ('a', 'b)'))", "admitted before has_workers"),
        ("keeps pod_uids", "keeps pod_uids"),
    ],
)
def test_a_bare_name_has_no_arguments(name: str, wanted: str) -> None:
    """Of an expectation's name only its words count, whatever its arguments are."""
    assert bare(name) == wanted


@pytest.mark.parametrize(
    ("outcome", "failed", "said"),
    [
        (Outcome.FAILED, ["gated"], Said.CAUGHT),
        (Outcome.FAILED, ["complete", "gated"], Said.CAUGHT),
        (Outcome.FAILED, ["complete"], Said.FOR_ANOTHER),
        (Outcome.PASSED, [], Said.NOT_CAUGHT),
        (Outcome.INCONCLUSIVE, [], Said.NOT_REACHED),
        (Outcome.ERROR, [], Said.ERROR),
    ],
)
def test_a_cell_says_whether_the_named_expectation_failed(outcome: Outcome, failed: list[str], said: Said) -> None:
    """Caught is only a failure of an expectation that the fault names for the claim's requirement."""
    found = cell(a_fault(ADM_02="gated"), Verdict("a::b", "ADM-02", outcome, failed))
    assert (found.said, found.expectations) == (said, failed)


def test_what_is_named_for_another_requirement_does_not_count() -> None:
    """The same expectation of a requirement that the fault does not name is caught for another."""
    found = cell(a_fault(ADM_02="gated"), Verdict("a::b", "UP-02", Outcome.FAILED, ["gated"]))
    assert found.said is Said.FOR_ANOTHER


def stopped(outcome: str, moment: str | None, *names: str) -> list[Record]:
    """The recorded history of a story, stopped at a moment where these expectations did not hold."""
    left = [{"expectation": n, "object": "o", "field": "f", "expected": "e", "observed": "s"} for n in names]
    records = [r for r in recorded(STORY) if getattr(r, "name", None) != moment]
    return [*records, Stopped(0.0, STORY, outcome, "it was not so", moment, None, left)]


def verdicts(records: Iterable[Record]) -> dict[str, Verdict]:
    return {one.claim: one for one in judge_claims(ONE.claims, History(records))}


def promised(moment: str) -> str:
    return next(claim.id for claim in ONE.claims if claim.moment == moment)


def test_a_promised_claim_fails_for_what_its_own_wait_still_lacked() -> None:
    """Each mismatch of the wait of a promised claim is an expectation that failed."""
    found = verdicts(stopped("failed", "two-run", "ready_groups(2)", "available"))
    assert found[promised("two-run")].outcome is Outcome.FAILED
    assert found[promised("two-run")].expectations == ["ready_groups", "available"]


def test_a_refusal_fails_what_was_to_be_accepted() -> None:
    """A promised claim whose story was refused something lacks no expectation but `accepted`."""
    assert verdicts(stopped("failed", "two-run"))[promised("two-run")].expectations == [ACCEPTED]


def test_the_healthy_history_passes() -> None:
    """All claims of a story that was told as it should be pass, and their cells say that nothing was caught."""
    assert {one.outcome for one in verdicts(recorded(STORY)).values()} == {Outcome.PASSED}


def test_a_story_that_broke_fails_nothing() -> None:
    """Of a story that ended with an error of the harness, no claim is failed: its capacity may have been wrong."""
    found = verdicts(stopped("error", None))
    assert Outcome.FAILED not in {one.outcome for one in found.values()}


def test_invariants_are_judged_one_by_one() -> None:
    """Each invariant of a story has a verdict of its own, under the story's name."""
    found = judge_story_invariants(STORY, History(recorded(STORY), until="cleaned"))
    assert [one.claim for one in found] == [invariant_id(STORY, f"I{number}") for number in range(1, 10)]
    assert Outcome.FAILED not in {one.outcome for one in found}


# Which stories


def test_a_fault_is_told_its_own_stories_and_five_others() -> None:
    """Every story with a claim that the fault names is told, and five others, the same every time."""
    fault = a_fault(ADM_03="atomic")
    own = {claim.story.name for claim in PAGE.claims if claim.requirement == "ADM-03"}
    told = choosing.of_fault(fault, PAGE)
    assert own < set(told)
    assert len(told) == len(own) + choosing.OTHERS
    assert told == choosing.of_fault(fault, PAGE)


LOOKED = {claim.id: ["x"] for claim in PAGE.claims}


def test_the_cover_shows_a_fault_of_every_claim_that_has_one() -> None:
    """The pairs of the cover name, of each claim that some fault names, one fault on that claim's story."""
    faults = [a_fault("a", ADM_03="x", UP_01="x"), a_fault("b", ADM_03="x"), a_fault("c", QUO_09="x", I1="I1")]
    told = choosing.next_round(faults, PAGE, {*LOOKED, "I1"}, looked=LOOKED)
    named = {fault.name: fault.caught for fault in faults}
    for claim in PAGE.claims:
        if claim.requirement in ("ADM-03", "UP-01", "QUO-09"):
            by = [name for name, stories in told.items() if claim.story.name in stories]
            assert any(claim.requirement in named[name] for name in by), claim.id
    assert "b" not in told


def test_the_cover_prefers_what_was_caught_before() -> None:
    """What a pair caught in a matrix of before is not sought with another."""
    ids = [claim.id for claim in ONE.claims if claim.requirement == "ADM-03"]
    faults = [a_fault("a", ADM_03="x"), a_fault("b", ADM_03="x")]
    known = {("b", STORY): ids}
    assert choosing.next_round(faults, ONE, LOOKED, looked=LOOKED, known=known) == {"b": [STORY]}


def test_a_fault_is_tried_only_where_the_claim_looks_at_what_it_names() -> None:
    """A claim that looks at none of the expectations that a fault names for its requirement is none of the fault's."""
    faults = [a_fault("a", ADM_03="y"), a_fault("b", ADM_03="x")]
    assert choosing.next_round(faults, ONE, LOOKED, looked=LOOKED) == {"b": [STORY]}


def test_rounds_end_when_everything_was_tried_or_caught() -> None:
    """What was tried in vain is not tried again, and what is caught needs nothing more."""
    faults = [a_fault("a", ADM_03="x"), a_fault("b", ADM_03="x")]
    assert choosing.next_round(faults, ONE, LOOKED, looked=LOOKED, tried={("a", STORY)}) == {"b": [STORY]}
    assert choosing.next_round(faults, ONE, LOOKED, looked=LOOKED, tried={("a", STORY), ("b", STORY)}) == {}
    assert choosing.next_round(faults, ONE, [], looked=LOOKED) == {}


def test_what_there_is_not_cannot_be_asked_for() -> None:
    """An unknown story or claim is a usage error."""
    with pytest.raises(UsageError, match="room_for_two_of_three"):
        choosing.provable(SUITE, load(), HERE, Selection("page"), stories=["room_for_two"])
    with pytest.raises(UsageError, match="unknown claim"):
        choosing.provable(SUITE, load(), HERE, Selection("page"), claims=["x"])


# Deadlines


def test_a_wait_lasts_five_times_as_long_as_the_healthy_ones() -> None:
    """A wait lasts 5 x p95 of the healthy ones, at least 3 s, and never longer than without a fault."""
    assert deadlines.under_faults([1.0] * 95 + [50.0] * 5, [])["wait"] == 5.0
    assert deadlines.under_faults([0.1], [])["wait"] == 3.0
    assert deadlines.under_faults([100.0], [])["wait"] == 60.0
    assert deadlines.under_faults([], [])["fence"] < 30.0


def test_a_story_that_waits_for_a_clock_keeps_its_time() -> None:
    """A story with a wait that is long even without a fault gets twice that long."""
    common = deadlines.under_faults([1.0] * 99 + [9.0], [])
    assert deadlines.of_story(common, [0.5, 9.0])["wait"] == 18.0
    assert deadlines.of_story(common, [0.5, 1.0]) is common


# Keeping


def a_line(fault: Fault, story: str, digest: str) -> keeping.Line:
    return keeping.Line(fault.name, story, digest, 1.0, [Cell(fault.name, "a::b", Said.CAUGHT, ["gated"])])


def test_a_folder_is_gone_on_with(tmp_path: Path) -> None:
    """Cells of the code as it is are there again; those of other code, and a line cut off by a kill, are not."""
    fault, story = a_fault(), ONE.stories[0]
    kept = keeping.Kept(tmp_path)
    assert not kept.has(fault, story)
    kept.add(a_line(fault, story.name, keeping.digest(fault, story)))
    kept.add(a_line(a_fault("old"), story.name, "of other code"))
    kept.close()
    with (tmp_path / keeping.FILE).open("a") as file:
        file.write('{"fault": "cut')
    again = keeping.Kept(tmp_path)
    again.close()
    assert again.has(fault, story)
    assert [one.claim for one in again.cells(fault, story)] == ["a::b"]
    assert not again.has(a_fault("old"), story)
    assert again.cells(a_fault("old"), story) == []


FAULTS_OF_A_MODULE = """
from conformance.faults.model import fault, replace

def shared():
    return {shared}

@fault("One.", caught={{"UP-02": {named!r}}})
def one():
    return {one}

@fault("Two.", caught={{"UP-02": "gated"}})
def two():
    return {two}
"""


@pytest.mark.parametrize(
    ("changed", "told_again"),
    [({}, False), ({"one": 5}, True), ({"shared": 5}, True), ({"two": 5}, False), ({"named": "ready"}, False)],
)
def test_a_fault_is_told_again_for_its_own_code_alone(
    changed: dict[str, object], told_again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells hold while the fault and what it shares are the same, whatever it names and the others do."""
    digests = []
    for number, values in enumerate(({}, changed)):
        name = f"faults_{number}_of_{'_'.join(changed) or 'nothing'}"
        filled = {"shared": 1, "one": 1, "two": 1, "named": "gated"} | values
        (tmp_path / f"{name}.py").write_text(FAULTS_OF_A_MODULE.format(**filled))
        monkeypatch.syspath_prepend(tmp_path)
        module = importlib.import_module(name)
        digests.append(keeping.digest(getattr(module.one, DECLARED), ONE.stories[0]))
    assert (digests[0] != digests[1]) is told_again


def test_what_is_kept_is_read_by_what_the_fault_names_now() -> None:
    """A failure kept from before is a catch exactly if the fault names its expectation today."""
    kept = Cell("f", "a::b", Said.FOR_ANOTHER, ["gated"])
    assert said_now(a_fault(UP_02="gated"), "UP-02", kept).said is Said.CAUGHT
    assert said_now(a_fault(UP_02="gated"), "I2", kept).said is Said.FOR_ANOTHER
    silent = Cell("f", "a::b", Said.NOT_CAUGHT)
    assert said_now(a_fault(UP_02="gated"), "UP-02", silent) == silent


# The matrix


def passed() -> dict[str, Verdict]:
    of_claims = {claim.id: Verdict(claim.id, claim.requirement, Outcome.PASSED) for claim in ONE.claims}
    ids = {name: invariant_id(STORY, name) for name in ("I1", "I8")}
    return of_claims | {id_: Verdict(id_, name, Outcome.PASSED) for name, id_ in ids.items()}


def cells(fault: str, said: Said) -> list[Cell]:
    return [Cell(fault, id_, said) for id_ in passed()]


def test_a_matrix_in_which_all_is_caught_is_not_red() -> None:
    """Where every claim and invariant catches a fault for its own expectation nothing is red."""
    fault = a_fault(ADM_03="x")
    found = matrix.build({"wrong": fault}, ONE, passed(), cells("wrong", Said.CAUGHT))
    of_promised = [line for line in found.red if "promised" not in line]
    assert of_promised == []
    assert found.faults["wrong"].killers == sorted(passed())
    assert found.claims["I1"].kills == ["wrong"]


def test_what_is_not_caught_is_red() -> None:
    """A fault that nothing catches and a claim that catches nothing are red, and so is their share."""
    found = matrix.build({"wrong": a_fault(ADM_03="x")}, ONE, passed(), cells("wrong", Said.FOR_ANOTHER))
    text = "\n".join(found.red)
    assert "fault wrong is caught by no claim" in text
    assert "only 0% of the judged claims" in text
    assert all(f"claim {claim.id} catches no fault" in text for claim in ONE.claims)


def test_what_fails_without_a_fault_is_red() -> None:
    """A claim that does not pass on the healthy reference is red, whatever it says under faults."""
    first = ONE.claims[0]
    healthy = passed() | {first.id: Verdict(first.id, first.requirement, Outcome.FAILED, ["x"], "it was so")}
    found = matrix.build({"wrong": a_fault()}, ONE, healthy, cells("wrong", Said.CAUGHT))
    assert f"claim {first.id} is failed on the reference without a fault: it was so" in found.red


def test_a_claim_is_red_only_when_all_its_faults_were_tried() -> None:
    """In a matrix of some faults, a claim that others name as well is not judged by those alone."""
    fault, other = a_fault("wrong", ADM_03="x"), a_fault("other", ADM_03="x")
    some = cells("wrong", Said.NOT_CAUGHT)
    alone = matrix.build({"wrong": fault}, ONE, passed(), some, complete=False, naming={"wrong": fault})
    both = matrix.build({"wrong": fault}, ONE, passed(), some, complete=False, naming={"wrong": fault, "other": other})
    assert any("catches no fault" in line for line in alone.red)
    assert not any("catches no fault" in line for line in both.red)


def test_a_story_that_was_not_judged_is_red() -> None:
    """A pair of fault and story that has no cells, although it was to be told, is red."""
    found = matrix.build({"wrong": a_fault()}, ONE, passed(), [], expected={"wrong": [STORY]})
    assert f"story {STORY} was not judged under fault wrong" in found.red


def test_the_same_cells_give_the_same_bytes(tmp_path: Path) -> None:
    """The order in which cells came makes no difference, and the file is read as it was written."""
    fault, found = {"wrong": a_fault()}, cells("wrong", Said.CAUGHT)
    one, other = (matrix.build(fault, ONE, passed(), each) for each in (found, found[::-1]))
    assert matrix.encoded(one) == matrix.encoded(other)
    assert matrix.encoded(matrix.read(matrix.write(tmp_path, one))) == matrix.encoded(one)


def test_the_page_names_faults_and_their_killers() -> None:
    """The page has each fault with its sentence, each claim with what it catches, and what is red."""
    found = matrix.build({"wrong": a_fault(ADM_03="x")}, ONE, passed(), cells("wrong", Said.CAUGHT))
    text = "\n".join(page.lines(found))
    assert "### wrong" in text
    assert "It is wrong." in text
    assert all(f"`{claim.id}`" in text for claim in ONE.claims)
    assert "1 faults, 1 of them caught" in text
