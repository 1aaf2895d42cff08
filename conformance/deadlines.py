"""The one table of deadlines, in seconds. A run scales them all with `--slow FACTOR` and writes them in its result.

Deadlines bound a wait; they never decide that something did *not* happen (a canary does that) and are generous on
purpose: a passing run never comes near them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TABLE: Final[Mapping[str, float]] = {
    "control-plane": 60.0,  # etcd and kube-apiserver answer
    "controllers": 60.0,  # LWS and Kueue are ready and their webhooks answer
    "request": 30.0,  # one API request
    "wait": 60.0,  # one wait of a story
    "known-deviation": 30.0,  # one that is listed to fail always
    "fence": 30.0,  # the trace has caught up with a consistent list
    "cleanup": 60.0,  # a tenant's objects are gone and its quota is back to zero
}


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The table times a factor; `instead` has those that are of another length here, as they are."""

    factor: float = 1.0
    instead: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.instead[name] if name in self.instead else TABLE[name] * self.factor

    def used(self) -> dict[str, float]:
        """Every deadline as it is in force, for the result."""
        return {name: self[name] for name in sorted(TABLE)}
