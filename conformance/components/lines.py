"""Release lines: which versions are judged together, as data.

A line names one version of every component. Two of them, Kueue and LWS, are for the user to choose; the rest is fixed,
so that two reports differ by what they judge and not by what they ran on. What a line's stock configuration lacks is
noted here too. How a component is built is in `recipes`; where it is kept, in `shelf`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from conformance.errors import UsageError, nearest

KUEUE: Final = ("0.19.2", "0.19.1", "0.19.0", "0.18.4", "0.15.0")
LWS: Final = ("0.9.0", "0.8.0", "0.7.0")
"""Newest first; the first of each is the default. Each has a folder in `modules/`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One version, without a leading `v`, of every component."""

    kueue: str
    lws: str
    kubernetes: str = "1.36.3"
    etcd: str = "3.6.16"
    kwok: str = "0.8.0"

    def versions(self) -> dict[str, str]:
        """Component to version, in the order in which they are built."""
        return {
            "kubernetes": self.kubernetes,
            "etcd": self.etcd,
            "kwok": self.kwok,
            "lws": self.lws,
            "kueue": self.kueue,
        }

    def __str__(self) -> str:
        return f"Kueue {self.kueue} + LWS {self.lws} + Kubernetes {self.kubernetes}"


DEFAULT: Final = Line(kueue=KUEUE[0], lws=LWS[0])


def choose(kueue: str | None = None, lws: str | None = None) -> Line:
    """The line with these versions (with or without a leading `v`); what is not named is the default's.

    Raises UsageError for a version that is not in the lists, naming those that are and the nearest.
    """
    return Line(
        kueue=_known("Kueue", "kueue", kueue, KUEUE),
        lws=_known("LWS", "lws", lws, LWS),
    )


def _known(title: str, option: str, asked: str | None, versions: tuple[str, ...]) -> str:
    if asked is None:
        return versions[0]
    version = asked.removeprefix("v")
    if version not in versions:
        raise UsageError(
            f"{title} {asked} is not one of the known versions {', '.join(versions)}."
            f"{nearest(version, list(versions))} Any other release can be judged with --{option}-from v{version}."
        )
    return version


@dataclass(frozen=True, slots=True)
class Note:
    """What an implementation must add to the configuration that a version ships, for LWSs to be queued at all."""

    frameworks: tuple[str, ...] = ()
    """Integrations to add to `integrations.frameworks`, in this order, where they are missing."""
    feature_gates: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    why: str = ""


KUEUE_NOTES: Final[Mapping[str, Note]] = MappingProxyType(
    {
        "0.15.0": Note(
            frameworks=("pod", "statefulset", "leaderworkerset.x-k8s.io/leaderworkerset"),
            why="Kueue 0.15.0 ships with the LeaderWorkerSet integration, and those it builds on, switched off",
        ),
    }
)


def note(kueue_version: str) -> Note:
    """The note of a Kueue version; an empty one where its stock configuration is enough or nothing is known of it."""
    return KUEUE_NOTES.get(kueue_version.removeprefix("v"), Note())
