"""The kill matrix: all cells of faults and claims, and what is red about them. Same cells, same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from conformance.faults.model import Fault
from conformance.outcomes import Outcome
from conformance.proving.cells import Cell, Said, Verdict, invariant_of
from conformance.proving.choosing import Provable
from conformance.trace.invariants import INVARIANTS, sentence

FILE: Final = "kill-matrix.json"
CAUGHT_AT_LEAST: Final = 0.9
"""The share of the judged claims that must be caught by their own expectation."""
PROMISED_AT_MOST: Final = 0.5
"""The share of promised claims among all."""


class FaultRow(msgspec.Struct, frozen=True, rename="camel"):
    """A fault, how much of it was told, and which claims catch it for their own expectation."""

    wrong: str
    upstream: str | None
    caught: dict[str, list[str]]
    """What must catch it: requirement or invariant to expectations."""
    stories: int
    killers: list[str]


class ClaimRow(msgspec.Struct, frozen=True, rename="camel"):
    """A claim, or an invariant under its bare name, and the faults that it catches for its own expectation."""

    requirement: str
    story: str
    promised: bool
    sentence: str
    healthy: Outcome
    """Its outcome on the reference without a fault in the same run."""
    kills: list[str]
    others: list[str]
    """Faults under which it fails for an expectation that they do not name."""


class CellRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One cell that says something; what a claim did not notice is the rest of the matrix."""

    said: Said
    expectations: list[str] = []


class Matrix(msgspec.Struct, frozen=True):
    """`cells` is by fault, then by claim."""

    faults: dict[str, FaultRow]
    claims: dict[str, ClaimRow]
    cells: dict[str, dict[str, CellRow]]
    red: list[str]


def build(
    faults: Mapping[str, Fault],
    among: Provable,
    healthy: Mapping[str, Verdict],
    cells: Iterable[Cell],
    *,
    complete: bool = True,
    expected: Mapping[str, Iterable[str]] | None = None,
    naming: Mapping[str, Fault] | None = None,
) -> Matrix:
    """The matrix of these faults and claims.

    `healthy` has the verdicts on the reference without a fault, by claim; `expected`, by fault, the stories that were
    to be told. In a matrix that is not `complete`, a claim can be red only if every fault that names it was tried on
    its story; `naming` has all faults there are, should `faults` be only some of them.
    """
    by_fault: dict[str, dict[str, Cell]] = {name: {} for name in sorted(faults)}
    for one in cells:
        if one.fault in by_fault:
            by_fault[one.fault][one.claim] = one
    rows = {name: _fault_row(faults[name], found.values()) for name, found in by_fault.items()}
    claims = _claim_rows(among, healthy, [one for found in by_fault.values() for one in found.values()])
    told = {fault: {_story_of(claim, among) for claim in found} for fault, found in by_fault.items()}
    red = [*_red_healthy(healthy), *_red_faults(rows), *_red_claims(claims, naming or faults, told, complete)]
    red += _red_missing(told, expected or {})
    red += _red_shares(claims) if complete else []
    shown = {
        fault: {claim: CellRow(one.said, one.expectations) for claim, one in sorted(found.items())}
        for fault, found in by_fault.items()
    }
    return Matrix(rows, claims, shown, red)


def _fault_row(fault: Fault, cells: Iterable[Cell]) -> FaultRow:
    found = list(cells)
    killers = sorted(one.claim for one in found if one.said is Said.CAUGHT)
    named = {key: list(names) for key, names in sorted(fault.caught.items())}
    stories = len({one.claim for one in found if one.claim.endswith("::invariants[I8]")})
    return FaultRow(fault.wrong, fault.upstream, named, stories, killers)


def _claim_rows(among: Provable, healthy: Mapping[str, Verdict], cells: list[Cell]) -> dict[str, ClaimRow]:
    kills: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {}
    for one in cells:
        into = {Said.CAUGHT: kills, Said.FOR_ANOTHER: others}.get(one.said)
        for key in (one.claim, invariant_of(one.claim)) if into is not None else ():
            into.setdefault(key, set()).add(one.fault)  # type: ignore[union-attr]
    rows: dict[str, ClaimRow] = {}
    for claim in among.claims:
        if claim.id in healthy:
            rows[claim.id] = ClaimRow(
                requirement=claim.requirement,
                story=claim.story.name,
                promised=claim.moment is not None,
                sentence=claim.sentence,
                healthy=healthy[claim.id].outcome,
                kills=sorted(kills.get(claim.id, ())),
                others=sorted(others.get(claim.id, ())),
            )
    for name in INVARIANTS:
        outcomes = [verdict.outcome for verdict in healthy.values() if verdict.named == name]
        if outcomes:
            held = Outcome.PASSED if Outcome.PASSED in outcomes else Outcome.INCONCLUSIVE
            worst = Outcome.FAILED if Outcome.FAILED in outcomes else held
            own, other = sorted(kills.get(name, ())), sorted(others.get(name, ()))
            rows[name] = ClaimRow(name, "", False, sentence(name), worst, own, other)
    return dict(sorted(rows.items()))


def _story_of(claim: str, among: Provable) -> str:
    story, found, _ = claim.partition("::invariants[")
    if found:
        return story
    return next((one.story.name for one in among.claims if one.id == claim), "")


def _red_healthy(healthy: Mapping[str, Verdict]) -> list[str]:
    found = sorted(healthy.values(), key=lambda verdict: verdict.claim)
    return [
        f"claim {one.claim} is {one.outcome} on the reference without a fault: {one.shown}"
        for one in found
        if one.outcome is not Outcome.PASSED and not (invariant_of(one.claim) and one.outcome is Outcome.INCONCLUSIVE)
    ]


def _red_faults(rows: Mapping[str, FaultRow]) -> list[str]:
    return [
        f"fault {name} is caught by no claim for the expectation that it names" + ("" if row.stories else " (not told)")
        for name, row in rows.items()
        if not row.killers
    ]


def _red_claims(
    claims: Mapping[str, ClaimRow],
    faults: Mapping[str, Fault],
    told: Mapping[str, set[str]],
    complete: bool,
) -> list[str]:
    red: list[str] = []
    for id_, row in claims.items():
        if row.kills:
            continue
        naming = [name for name, fault in faults.items() if row.requirement in fault.caught]
        tried = [name for name in naming if name in told and (row.story in told[name] or not row.story)]
        if complete or (naming and tried == naming):
            by = f"tried: {', '.join(tried)}" if tried else f"none names {row.requirement}"
            red.append(f"claim {id_} catches no fault for its own expectation ({by})")
    return red


def _red_missing(told: Mapping[str, set[str]], expected: Mapping[str, Iterable[str]]) -> list[str]:
    return [
        f"story {story} was not judged under fault {fault}"
        for fault, stories in sorted(expected.items())
        for story in stories
        if story not in told.get(fault, set())
    ]


def shares(claims: Mapping[str, ClaimRow]) -> tuple[float, float]:
    """Of the judged claims those that catch a fault for their own expectation; of all claims the promised ones."""
    of_stories = [row for row in claims.values() if row.story]
    judged = [row for row in of_stories if not row.promised]
    caught = sum(bool(row.kills) for row in judged) / len(judged) if judged else 1.0
    promised = (len(of_stories) - len(judged)) / len(of_stories) if of_stories else 0.0
    return caught, promised


def _red_shares(claims: Mapping[str, ClaimRow]) -> list[str]:
    caught, promised = shares(claims)
    red: list[str] = []
    if caught < CAUGHT_AT_LEAST:
        red.append(f"only {caught:.0%} of the judged claims catch a fault, and {CAUGHT_AT_LEAST:.0%} must")
    if promised > PROMISED_AT_MOST:
        red.append(f"{promised:.0%} of the claims are promised, and at most {PROMISED_AT_MOST:.0%} may be")
    return red


def write(folder: Path, matrix: Matrix) -> Path:
    """Write the matrix to a folder."""
    path = folder / FILE
    path.write_bytes(encoded(matrix))
    return path


def encoded(matrix: Matrix) -> bytes:
    """The bytes of the file."""
    return msgspec.json.format(msgspec.json.encode(matrix, order="sorted"), indent=1) + b"\n"


def read(path: Path) -> Matrix:
    """A matrix from its file. Raises OSError, msgspec.DecodeError or msgspec.ValidationError."""
    return msgspec.json.decode(path.read_bytes(), type=Matrix)
