"""Known deviations: what an implementation is known to do differently, with an issue and a day on which that ends.

The list is data beside this module. What a listed deviation does to an outcome is decided in `report.building`.
"""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from conformance.errors import UsageError
from conformance.implementations import DEVIATIONS
from conformance.report import model

ANY_VERSION = "*"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One known deviation: of a requirement or of an invariant, in these versions of an implementation."""

    implementation: str
    versions: list[str] | Literal["*"]
    issue: str
    expires: datetime.date
    kind: Literal["always", "sometimes"]
    requirement: str | None = None
    invariant: str | None = None
    story: str | None = None
    """The one story in which the invariant is known not to hold; in all, if not named."""

    def __post_init__(self) -> None:
        if (self.requirement is None) == (self.invariant is None):
            raise ValueError("name either a requirement or an invariant")
        if self.story is not None and self.invariant is None:
            raise ValueError("a story is named for an invariant alone")
        if not self.issue.startswith("https://"):
            raise ValueError("issue must be a link")

    def covers(self, implementation: str, version: str, name: str) -> bool:
        """Whether it is about this requirement or invariant (`I2`, or `I2 in STORY`) of this implementation.

        What is installed on a cluster counts as Kueue once its version is known.
        """
        same = self.implementation == ("kueue" if implementation == "installed" else implementation)
        in_force = self.versions == ANY_VERSION or version in self.versions
        about = self.requirement or (f"{self.invariant} in {self.story}" if self.story else self.invariant)
        return same and bool(version) and in_force and name == about


@cache
def load(path: Path = DEVIATIONS) -> tuple[Entry, ...]:
    """The entries of a file. Raises UsageError that says which entry is wrong and why."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return tuple(msgspec.convert(content or [], list[Entry]))
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise UsageError(f"the list of known deviations {path} is not right: {' '.join(str(error).split())}") from error


def listed(implementation: str, version: str, name: str, path: Path = DEVIATIONS) -> model.Deviation | None:
    """The known deviation of a requirement or invariant in this version of an implementation, if one is listed."""
    for entry in load(path):
        if entry.covers(implementation, version, name):
            return model.Deviation(issue=entry.issue, expires=entry.expires, kind=entry.kind)
    return None
