"""Decides, before anything is run, what would happen to a requirement on a given cluster: judged, or why not.

Pure: values in, a `Prospect` out. Whether a claim of it then passes, and what a claim needs beyond its requirement,
is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from conformance.outcomes import Level, Outcome
from conformance.requirements.records import Requirement

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(-(?:alpha|beta|rc)\b)?")
AFTER_ALL_ELSE: Final = "restarts or reconfigures the implementation after all else, which was left out"
_Release = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Here:
    """What is to be judged, and where. A version that is None or cannot be read as a release makes no difference."""

    features: frozenset[str] = frozenset({"core"})
    capabilities: frozenset[str] = frozenset()
    kueue: str | None = None
    lws: str | None = None
    forgone: Mapping[str, str] = field(default_factory=dict)
    """Capabilities that the cluster has and the run cannot use, each with the reason."""

    def lacks(self, missing: Iterable[str]) -> Prospect:
        """What becomes of a claim that needs capabilities which are missing."""
        names = list(missing)
        because = dict.fromkeys(self.forgone[name] for name in names if name in self.forgone)
        absent = [name for name in names if name not in self.forgone]
        said = [f"this cluster lacks {', '.join(absent)}"] if absent else []
        return Prospect(Outcome.NOT_TESTABLE, "; ".join([*said, *because]))


@dataclass(frozen=True, slots=True)
class Selection:
    """What a person asked for.

    Ids, where given, are asked for instead of the profile; levels and features narrow either of the two. `skips` (id to
    reason) win over all of it. Without `sequential` whatever comes after all else is left out. With `every_version` a
    requirement is judged also on a release from before the fix that it tells of, which shows that it tells it.
    """

    profile: str = "page"
    ids: frozenset[str] = frozenset()
    levels: frozenset[Level] = frozenset()
    features: frozenset[str] = frozenset()
    skips: Mapping[str, str] = field(default_factory=dict)
    sequential: bool = True
    every_version: bool = False


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would happen: `outcome` is None where the requirement would be judged, else `reason` says why it is not."""

    outcome: Outcome | None = None
    reason: str = ""

    @property
    def judged(self) -> bool:
        return self.outcome is None

    def __str__(self) -> str:
        return "judged" if self.outcome is None else f"{self.outcome}: {self.reason}"


def applies(record: Requirement, here: Here, chosen: Selection) -> Prospect:
    """What would happen to a requirement.

    The order of the questions is that of their weight for the reader: what was not asked for is not-selected, what the
    implementation does not offer is unsupported, and only what remains can be not-testable.
    """
    if left_out := _left_out(record, chosen):
        return Prospect(Outcome.NOT_SELECTED, left_out)
    too_old = "" if chosen.every_version else _version(record, here)
    if lacking := too_old or _feature(record, here):
        return Prospect(Outcome.UNSUPPORTED, lacking)
    if not record.claimed:
        return Prospect(Outcome.NOT_TESTABLE, f"not claimed: {record.reason}")
    if missing := [capability for capability in record.needs if capability not in here.capabilities]:
        return here.lacks(missing)
    return Prospect()


def _left_out(record: Requirement, chosen: Selection) -> str:
    if record.id in chosen.skips:
        return f"skipped: {chosen.skips[record.id]}"
    if record.level is Level.REPORT:
        return "shown, never judged"
    if chosen.ids:
        if record.id not in chosen.ids:
            return "another requirement was asked for"
    elif chosen.profile not in record.profiles:
        return f"not in profile {chosen.profile}"
    if chosen.levels and record.level not in chosen.levels:
        return f"level {record.level} was not asked for"
    if chosen.features and record.feature not in chosen.features:
        return f"feature {record.feature} was not asked for"
    if record.serial and not chosen.sequential:
        return AFTER_ALL_ELSE
    return ""


def _feature(record: Requirement, here: Here) -> str:
    if record.feature == "core" or record.feature in here.features:
        return ""
    return f"the implementation does not declare {record.feature}"


def _version(record: Requirement, here: Here) -> str:
    for component, present in (("Kueue", here.kueue), ("LWS", here.lws)):
        release = _release(present)
        if release is None:
            continue
        since, until = record.since.of(component.lower()), record.until.of(component.lower())
        if since and not _reached(since, release):
            return f"since {component} {' / '.join(since)}, and this is {present}"
        if until and _reached(until, release):
            return f"until {component} {' / '.join(until)}, and this is {present}"
    return ""


def _reached(firsts: tuple[str, ...], present: _Release) -> bool:
    """Whether `present` is at or after a change that each of `firsts` was the first release of its line to have."""
    releases = [release for release in map(_release, firsts) if release]
    return present >= max(releases) or any(present[:2] == release[:2] and present >= release for release in releases)


def _release(text: str | None) -> _Release | None:
    """A version as numbers that compare; its last part puts release candidates before their release."""
    match = _VERSION.match(text or "")
    if match is None:
        return None
    major, minor, patch = (int(part or 0) for part in match.group(1, 2, 3))
    # v0.0.0-<date>-<commit> is what Go calls a checkout without a tag: it says nothing about the release line.
    return None if (major, minor, patch) == (0, 0, 0) else (major, minor, patch, 0 if match[4] else 1)
