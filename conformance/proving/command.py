"""What `kueue-lws-conformance prove` does: choose, tell, write the matrix, and say what is red."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance import faults as all_faults
from conformance.errors import UsageError
from conformance.faults.model import Fault
from conformance.outcomes import ExitCode
from conformance.proving import choosing, matrix
from conformance.proving.cells import Said
from conformance.proving.keeping import Kept
from conformance.proving.running import Plan, Proof, Proving
from conformance.proving.showing import Shown, print_faults, print_matrix
from conformance.report.terminal import console_for

if TYPE_CHECKING:
    from conformance.proving.choosing import Pair, Provable
    from conformance.settings import Settings

PER_CORE: Final = 2
"""Faulty references at once, per core."""
STORIES_PER_CORE: Final = 8
"""Stories told at once over all scopes, per core: under faults many only wait for what never comes."""


@dataclass(frozen=True)
class Asked:
    """What a person asked for."""

    faults: Collection[str] = ()
    claims: Collection[str] = ()
    everything: bool = False
    own: bool = False
    known: Path | None = None
    """A matrix of before, by which `own` chooses."""
    at_once: int | None = None
    resume: Path | None = None
    trace: bool = False


def show_faults(names: Collection[str]) -> int:
    """Print the faults of these names, or all."""
    print_faults(console_for(), _faults(names))
    return ExitCode.OK


def prove(settings: Settings, asked: Asked) -> int:
    """Try faults, and write cells and matrix to the results folder; the exit code."""
    from conformance.running import provided

    if asked.everything and asked.own:
        raise UsageError("--all tells every story under every fault and --own as few as it can; choose one")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = console_for()
    faults = _faults(asked.faults)
    among = _provable(settings, asked)
    told = _told(asked, faults, among)
    if not asked.own and not any(told.values()):
        raise UsageError("no fault names any of these claims; ask for other claims or faults")
    known = _known(asked.known, among)
    plan = Plan(faults if asked.own else {name: faults[name] for name in told}, among, told, asked.own, known)
    folder = _folder(settings, asked)
    components = provided(settings, console)
    cores = os.cpu_count() or 1
    at_once = asked.at_once or PER_CORE * cores
    kept = Kept(folder)
    try:
        with Shown(console) as shown:
            proof = Proving(
                plan,
                folder,
                kept,
                shown,
                at_once=at_once,
                stories_at_once=settings.stories_at_once or STORIES_PER_CORE * cores,
                slow=settings.slow,
                trace=asked.trace,
            ).run(components)
    finally:
        kept.close()
    complete = (asked.everything or asked.own) and not (
        asked.faults or asked.claims or settings.requirement or settings.story
    )
    found = matrix.build(
        {name: plan.faults[name] for name in plan.told},
        among,
        proof.healthy,
        proof.cells,
        complete=complete,
        expected=proof.told,
        naming=all_faults.load(),
    )
    path = matrix.write(folder, found)
    print_matrix(console, found, proof.cells)
    for problem in proof.problems:
        console.print(f"error: {problem}", soft_wrap=True)
    console.print(f"matrix: {path}", soft_wrap=True)
    if proof.interrupted:
        console.print(f"interrupted; go on with --resume {folder}", soft_wrap=True)
    return _code(proof, found)


def _code(proof: Proof, found: matrix.Matrix) -> int:
    if proof.interrupted:
        return ExitCode.INTERRUPTED
    broke = proof.problems or any(row.said is Said.ERROR for rows in found.cells.values() for row in rows.values())
    if found.red and not proof.problems:
        return ExitCode.FAILED
    return ExitCode.UNDECIDED if broke else ExitCode.OK


def _faults(names: Collection[str]) -> dict[str, Fault]:
    return {name: all_faults.named(name) for name in sorted(set(names))} if names else all_faults.load()


def _provable(settings: Settings, asked: Asked) -> Provable:
    from conformance.deadlines import Deadlines
    from conformance.requirements import load
    from conformance.selecting import selection
    from conformance.suite import whole_suite
    from conformance.surroundings import Surroundings

    catalogue = load()
    here = Surroundings(settings, Deadlines(settings.slow), print).here()
    return choosing.provable(
        whole_suite(), catalogue, here, selection(settings, catalogue), stories=settings.story, claims=asked.claims
    )


def _told(asked: Asked, faults: dict[str, Fault], among: Provable) -> dict[str, list[str]]:
    if asked.everything:
        return choosing.everything(faults.values(), among)
    if asked.own:
        return {}
    return choosing.of_faults(faults.values(), among)


def _known(path: Path | None, among: Provable) -> dict[Pair, set[str]] | None:
    """By fault and story, what caught it in a matrix of before."""
    if path is None:
        return None
    try:
        before = matrix.read(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the matrix {path}: {error}; make one with `prove --all`") from error
    story_of = {claim.id: claim.story.name for claim in among.claims}
    known: dict[Pair, set[str]] = {}
    for fault, rows in before.cells.items():
        for claim, row in rows.items():
            if row.said is not Said.CAUGHT:
                continue
            story, found, name = claim.partition("::invariants[")
            key = (name.rstrip("]"), story) if found else (claim, story_of.get(claim, ""))
            known.setdefault((fault, key[1]), set()).add(key[0])
    return known


def _folder(settings: Settings, asked: Asked) -> Path:
    """The results folder, made if need be; one to go on in must be there."""
    if asked.resume is not None and not asked.resume.is_dir():
        raise UsageError(f"there is no folder {asked.resume} to go on in; name that of an earlier `prove`")
    token = "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(4))
    fresh = Path("conformance-results") / f"prove-{datetime.now(UTC):%Y%m%d-%H%M%S}-{token}"
    folder = asked.resume or settings.out or fresh
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write results to {folder}: {error.strerror}; name another with --out") from error
    return folder
