"""From the lines of a run's log to its result: pure, sorted, the same lines giving the same bytes.

Here a requirement gets its outcome from its claims, and known deviations their effect. What the process returns is
decided in `exitcode`; how it reads, in the views.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from conformance.errors import HarnessError, UsageError
from conformance.outcomes import JUDGED, Level, Outcome, worst
from conformance.report import log, model
from conformance.report.latencies import summarise

FILE = "result.json"
NOT_SELECTED = "not part of this run's selection"

L = TypeVar("L", bound=log.Line)


class Described(Protocol):
    """What reports need of a requirement record; `reason` says why no story tells it, and is empty if one does."""

    @property
    def id(self) -> str: ...
    @property
    def area(self) -> str: ...
    @property
    def level(self) -> Level: ...
    @property
    def feature(self) -> str | None: ...
    @property
    def sentence(self) -> str: ...
    @property
    def reason(self) -> str: ...


def natural(text: str) -> tuple[object, ...]:
    """A sort key that puts V2 before V10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text))


def apply_deviation(outcome: Outcome, deviation: model.Deviation | None, today: date) -> Outcome:
    """The outcome of a claim for which this deviation is listed: a failure becomes known until its expiry is over.

    Applying it twice changes nothing. `expires` is the last day on which it is accepted.
    """
    if deviation is None or outcome not in (Outcome.FAILED, Outcome.KNOWN_DEVIATION):
        return outcome
    return Outcome.KNOWN_DEVIATION if today <= deviation.expires else Outcome.FAILED


def stale(outcome: Outcome, deviation: model.Deviation | None, today: date) -> str | None:
    """Why the listed deviation of a requirement with this outcome must be looked at again, or None.

    Only a requirement that was judged can tell.
    """
    if deviation is None or outcome not in JUDGED:
        return None
    if today > deviation.expires:
        return f"the deviation listed with {deviation.issue} expired on {deviation.expires}"
    if deviation.kind == "always" and outcome == Outcome.PASSED:
        return f"the deviation listed with {deviation.issue} is said to show always, but did not: take it off the list"
    return None


def claim_of(line: log.ClaimLine, today: date) -> model.Claim:
    """A claim as the result tells it."""
    named = " ".join(part for part in (line.object, line.field) if part)
    return model.Claim(
        id=line.id,
        story=line.story,
        outcome=apply_deviation(line.outcome, line.deviation, today),
        expectation=line.expectation,
        expected=line.expected,
        observed=line.observed or line.reason,
        object=named or None,
        moment=line.moment or line.window,
        evidence=list(line.evidence),
    )


def build(lines: Iterable[log.Line], catalogue: Iterable[Described]) -> model.Result:
    """The result of a run's log: every requirement of the catalogue is in it, judged or not.

    Raises UsageError if the log ends before there was anything to judge, HarnessError for a claim of a requirement
    that the catalogue lacks.
    """
    told = list(lines)
    start = _the(told, log.RunLine, "run")
    today = start.run.started.date()
    end = [line for line in told if isinstance(line, log.EndLine)]
    finished = end[-1].finished if end and not end[-1].interrupted else None
    requirements = _requirements(told, catalogue, today)
    writes = [line.writes for line in told if isinstance(line, log.WritesLine)]
    return model.Result(
        suite=start.suite,
        run=msgspec.structs.replace(start.run, finished=finished),
        implementation=_the(told, log.ImplementationLine, "implementation").implementation,
        cluster=_the(told, log.ClusterLine, "cluster").cluster,
        summary={outcome: sum(r.outcome == outcome for r in requirements) for outcome in Outcome},
        requirements=requirements,
        stories=_stories(told),
        invariants=_invariants(told, today),
        findings=_findings(told),
        latencies=_latencies(told),
        writes=writes[-1] if writes else None,
    )


def write_result(folder: Path, result: model.Result) -> Path:
    """Write `result.json`, whole or not at all. Raises HarnessError if the folder cannot be written."""
    content = model.encode(result)
    model.decode(content)  # Reading checks each type; writing does not.
    path, unfinished = folder / FILE, folder / f".{FILE}"
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise HarnessError(f"cannot write {path}: {error.strerror}; the verdicts are in the log beside it") from error
    return path


def read_result(path: Path) -> model.Result:
    """The result in a file or in a results folder. Raises UsageError if there is none that this suite can read."""
    file = path / FILE if path.is_dir() else path
    try:
        return model.decode(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}; name a results folder or its {FILE}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{file} is no result that this version of the suite reads ({error})") from error


def _the(lines: Sequence[log.Line], kind: type[L], name: str) -> L:
    for line in lines:
        if isinstance(line, kind):
            return line
    raise UsageError(f"the log has no `{name}` line: the run ended before anything was judged; run again")


def _requirements(lines: Sequence[log.Line], catalogue: Iterable[Described], today: date) -> list[model.Requirement]:
    entries = {entry.id: entry for entry in catalogue}
    stopped = {line.name: line.stopped_at for line in lines if isinstance(line, log.StoryLine)}
    claims = {line.id: line for line in lines if isinstance(line, log.ClaimLine)}
    unclaimed = {line.requirement: line for line in lines if isinstance(line, log.UnclaimedLine)}
    of_requirement: dict[str, list[log.ClaimLine]] = {id_: [] for id_ in entries}
    for line in sorted(claims.values(), key=lambda line: natural(line.id)):
        for id_ in line.requirements:
            if id_ not in of_requirement:
                raise HarnessError(f"claim {line.id} is of requirement {id_}, which has no record; add one")
            cause = line.caused_by or _cause(line, stopped.get(line.story), claims)
            of_requirement[id_].append(msgspec.structs.replace(line, caused_by=cause))
    return [
        _unclaimed(entries[id_], unclaimed[id_])
        if id_ in unclaimed and not of_requirement[id_]
        else _requirement(entries[id_], of_requirement[id_], today)
        for id_ in sorted(entries, key=natural)
    ]


def _unclaimed(entry: Described, line: log.UnclaimedLine) -> model.Requirement:
    return model.Requirement(
        id=entry.id, level=entry.level, feature=entry.feature, outcome=line.outcome, reason=line.reason
    )


def _cause(line: log.ClaimLine, stopped_at: str | None, claims: Mapping[str, log.ClaimLine]) -> str | None:
    """The promised claim at which the story stopped, for a claim that could not be reached because of it."""
    if line.outcome != Outcome.INCONCLUSIVE or stopped_at is None:
        return None
    moment = f"{line.story}::{stopped_at}"
    promised = [id_ for id_ in sorted(claims) if id_ != line.id and id_.partition("[")[0].endswith(f"::{moment}")]
    return promised[0] if promised else moment


def _requirement(entry: Described, lines: list[log.ClaimLine], today: date) -> model.Requirement:
    claims = [claim_of(line, today) for line in lines]
    outcome = worst(claim.outcome for claim in claims)
    deciding = [line for line, claim in zip(lines, claims, strict=True) if claim.outcome == outcome]
    deviations = [line.deviation for line in (*deciding, *lines) if line.deviation is not None]
    deviation = deviations[0] if deviations else None
    causes = [line.caused_by for line in deciding if line.caused_by]
    reasons = [_reason(line) for line in deciding if outcome != Outcome.PASSED]
    if not lines:
        reasons.append(f"no story tells it: {entry.reason}" if entry.reason else NOT_SELECTED)
    reasons.append(stale(outcome, deviation, today) or _share(outcome, claims))
    if outcome in JUDGED:
        reasons += [
            f"not judged: {claim.id} ({claim.outcome}{': ' + claim.observed if claim.observed else ''})"
            for claim in claims
            if claim.outcome not in JUDGED
        ]
    return model.Requirement(
        id=entry.id,
        level=entry.level,
        feature=entry.feature,
        outcome=outcome,
        reason="; ".join(dict.fromkeys(reason for reason in reasons if reason)) or None,
        caused_by=causes[0] if causes else None,
        deviation=deviation,
        claims=claims,
    )


def _reason(line: log.ClaimLine) -> str:
    if line.reason or line.observed is None:
        return line.reason or ""
    where = " ".join(part for part in (line.object, line.field) if part)
    return f"{where or line.story}: {difference(line.expected, line.observed)}"


def difference(expected: str | None, observed: str | None) -> str:
    """`expected 2, observed 3`."""
    return ", ".join(f"{word} {text}" for word, text in (("expected", expected), ("observed", observed)) if text)


def _share(outcome: Outcome, claims: Sequence[model.Claim]) -> str:
    if outcome != Outcome.KNOWN_DEVIATION:
        return ""
    judged = [claim for claim in claims if claim.outcome in JUDGED]
    return f"deviates in {sum(claim.outcome == outcome for claim in judged)} of {len(judged)} claims"


def _stories(lines: Sequence[log.Line]) -> list[model.Story]:
    told = {line.name: line for line in lines if isinstance(line, log.StoryLine)}
    return [
        model.Story(name=s.name, seconds=round(s.seconds, 3), moments=s.moments, stopped_at=s.stopped_at)
        for s in (told[name] for name in sorted(told))
    ]


def _invariants(lines: Sequence[log.Line], today: date) -> list[model.Invariant]:
    of_story = {line.story: line for line in lines if isinstance(line, log.InvariantsLine)}
    verdicts: dict[str, list[log.InvariantVerdict]] = {}
    for story in sorted(of_story):
        for name, verdict in of_story[story].invariants.items():
            verdicts.setdefault(name, []).append(verdict)
    return [_invariant(name, verdicts[name], today) for name in sorted(verdicts, key=natural)]


def _invariant(name: str, verdicts: Sequence[log.InvariantVerdict], today: date) -> model.Invariant:
    violations = [
        msgspec.structs.replace(
            violation,
            outcome=apply_deviation(violation.outcome, verdict.deviation, today),
            deviation=verdict.deviation,
        )
        for verdict in verdicts
        for violation in verdict.violations
    ]
    judged = sum(verdict.judged for verdict in verdicts)
    listed = next((verdict.deviation for verdict in verdicts if verdict.deviation), None)
    outcome = worst(v.outcome for v in violations) if violations else Outcome.PASSED if judged else Outcome.NOT_SELECTED
    out_of_date = stale(outcome, listed, today)
    if out_of_date:
        violations.append(model.Violation(story="", outcome=Outcome.FAILED, observed=out_of_date, deviation=listed))
    return model.Invariant(name=name, judged=judged, violations=violations)


def _findings(lines: Sequence[log.Line]) -> list[model.Finding]:
    found = {(line.kind, line.text, line.source) for line in lines if isinstance(line, log.FindingLine)}
    return [model.Finding(kind=kind, text=text, source=source) for kind, text, source in sorted(found)]


def _latencies(lines: Sequence[log.Line]) -> dict[str, model.Latency]:
    measured: dict[str, list[float]] = {}
    for line in lines:
        if isinstance(line, log.LatencyLine):
            measured.setdefault(line.name, []).extend(line.seconds)
    return {name: summarise(measured[name]) for name in sorted(measured) if measured[name]}
