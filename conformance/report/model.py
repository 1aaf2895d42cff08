"""The result of a run as values: the keys of `result.json`, which are fixed from the first version.

Every human report is a view of a `Result`; nothing here judges, counts or prints. The JSON keys are the attributes in
camelCase, every key is always present (null where there is nothing to say), and `schema.json` beside this module is
the published schema of the same keys.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import msgspec

from conformance.outcomes import Level, Outcome


class _Value(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A part of the result: immutable, its keys in camelCase."""


class Suite(_Value, frozen=True, kw_only=True):
    """Which edition of this suite judged; `commit` where it ran from a checkout."""

    version: str
    commit: str | None = None


class Run(_Value, frozen=True, kw_only=True):
    """How the run was asked for. `finished` is null when the run was interrupted or killed; times are in UTC."""

    id: str
    started: datetime
    finished: datetime | None = None
    command: str
    profile: str
    selection: dict[str, Any] = {}
    deadlines: dict[str, float] = {}
    slow_factor: float = 1.0


class Implementation(_Value, frozen=True, kw_only=True):
    """What was judged. `source` says where it came from if no release line; `config` is what it ran with."""

    name: str
    version: str
    source: str | None = None
    features: list[str] = []
    config: dict[str, Any] = {}


class Cluster(_Value, frozen=True, kw_only=True):
    """Where it was judged: capabilities by name, components with their versions."""

    provider: str
    kubernetes: str
    lws: str
    capabilities: list[str] = []
    components: dict[str, str] = {}


class Deviation(_Value, frozen=True, kw_only=True):
    """A known deviation: where it is tracked, the last day on which it is accepted, and whether it always shows."""

    issue: str
    expires: date
    kind: Literal["always", "sometimes"]


class Claim(_Value, frozen=True, kw_only=True):
    """One requirement judged over one story.

    `object` is `Kind namespace/name`, followed by a space and the field's path where one field decided. `observed` of a
    claim that was not judged to its end says why.
    """

    id: str
    story: str
    outcome: Outcome
    expectation: str | None = None
    expected: str | None = None
    observed: str | None = None
    object: str | None = None
    moment: str | None = None
    evidence: list[str] = []


class Requirement(_Value, frozen=True, kw_only=True):
    """What became of one record of the catalogue.

    `causedBy` is what kept it from being judged: the id of the claim that stopped the story, or `story::moment` where
    the story stopped at a wait that no requirement promises.
    """

    id: str
    level: Level
    feature: str | None
    outcome: Outcome
    reason: str | None = None
    caused_by: str | None = None
    deviation: Deviation | None = None
    claims: list[Claim] = []


class ReachedMoment(_Value, frozen=True, kw_only=True):
    """A wait of a story that came true, after `waited` seconds."""

    name: str
    waited: float


class Story(_Value, frozen=True, kw_only=True):
    """One story as it was told, its moments in their order. `stoppedAt` names the moment that did not come."""

    name: str
    seconds: float
    moments: list[ReachedMoment] = []
    stopped_at: str | None = None


class Violation(_Value, frozen=True, kw_only=True):
    """An invariant that did not hold in a story (`failed`, or `known-deviation`), or could not be judged there."""

    story: str
    outcome: Outcome
    observed: str
    object: str | None = None
    moment: str | None = None
    evidence: list[str] = []
    deviation: Deviation | None = None


class Invariant(_Value, frozen=True, kw_only=True):
    """`judged` counts the states that the invariant was judged in, over all stories."""

    name: str
    judged: int
    violations: list[Violation] = []


class Finding(_Value, frozen=True, kw_only=True):
    """Something worth telling that is no verdict."""

    kind: str
    text: str
    source: str


class Latency(_Value, frozen=True, kw_only=True):
    """Seconds: how many were measured, the median and the 95th percentile. Reported, never judged."""

    n: int
    p50: float
    p95: float


class Result(_Value, frozen=True, kw_only=True):
    """Everything that a run found out. `summary` counts requirements; `writes` is null where there was no audit log."""

    schema_version: Literal[1] = 1
    suite: Suite
    run: Run
    implementation: Implementation
    cluster: Cluster
    summary: dict[Outcome, int]
    requirements: list[Requirement]
    stories: list[Story]
    invariants: list[Invariant]
    findings: list[Finding]
    latencies: dict[str, Latency]
    writes: dict[str, dict[str, int]] | None = None


_decoder = msgspec.json.Decoder(Result)


def encode(result: Result) -> bytes:
    """The text of `result.json`: indented, mappings sorted; equal results give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(result, order="deterministic"), indent=2) + b"\n"


def decode(content: bytes) -> Result:
    """The result of such a text. Raises msgspec.DecodeError or msgspec.ValidationError."""
    return _decoder.decode(content)
