"""What all kinds have in common when they are read: metadata, conditions, label selectors, quantities, numbers, times.

Rule: an object that the API server admitted is never refused as a whole because of a part that cannot be used. That
part gets a harmless value, and a sentence says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from conformance.reference import amounts, times
from conformance.reference.model import Match, Selector, Taint, Toleration

Quantities = dict[str, str | int | float]
"""A resource list as it is written."""

_WHOLE = re.compile(r"[0-9]{1,10}")
NEVER: Final = Match("", "In", ())
"""A requirement that no labels meet."""


class Shape(msgspec.Struct, rename="camel"):
    """Part of an object: just the fields that are read. Other fields are passed over, and no write touches them."""


class OwnerReference(Shape):
    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""


class Metadata(Shape):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    owner_references: list[OwnerReference] | None = None


class ConditionShape(Shape):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    observed_generation: int = 0


class ExpressionShape(Shape):
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class SelectorShape(Shape):
    match_labels: dict[str, str] | None = None
    match_expressions: list[ExpressionShape] | None = None


class TolerationShape(Shape):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class TaintShape(Shape):
    key: str = ""
    value: str = ""
    effect: str = ""


class Problems:
    """Collects what is wrong with one object, as one sentence of clauses."""

    def __init__(self) -> None:
        self._clauses: list[str] = []

    def note(self, clause: str) -> None:
        """Remember a clause; an empty one is none."""
        if clause and clause not in self._clauses:
            self._clauses.append(clause)

    @property
    def sentence(self) -> str:
        return "; ".join(self._clauses)


def moment(text: str | None) -> float:
    """Seconds since the epoch; 0 for a time that is missing or that nobody can read."""
    if not text:
        return 0.0
    try:
        return times.read(text)
    except (ValueError, OverflowError):
        return 0.0


def whole(text: str | None) -> int | None:
    """The index that a label or annotation gives in plain decimal digits; None for anything else."""
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def quantity(text: str | int | float, where: str, problems: Problems) -> int:
    """An amount in thousandths; 0, and a problem, for a text that is no quantity."""
    try:
        return amounts.parse(text)
    except ValueError as error:
        problems.note(f"{where}: {error}")
        return 0


def quantities(written: Quantities | None, where: str, problems: Problems) -> dict[str, int]:
    """A resource list as amounts; a resource with an unreadable quantity counts as 0 and is a problem.

    So does an amount below zero: the CRDs let it through, and whoever asks for it would make room for others.
    """
    amounts_: dict[str, int] = {}
    for resource, text in (written or {}).items():
        amount = quantity(text, f"{where}.{resource}", problems)
        if amount < 0:
            problems.note(f"{where}.{resource}: {text} is below zero")
        amounts_[resource] = max(0, amount)
    return amounts_


def is_true(conditions: Sequence[ConditionShape] | None, type_: str) -> bool:
    """Whether the condition is there and True."""
    return any(condition.type == type_ and condition.status == "True" for condition in conditions or ())


def matches(expressions: Sequence[ExpressionShape] | None) -> tuple[Match, ...]:
    """Requirements on labels as they are written."""
    return tuple(Match(e.key, e.operator, tuple(e.values or ())) for e in expressions or ())


def selector(shape: SelectorShape | None) -> Selector | None:
    """A label selector; None where there is none, which selects nothing."""
    if shape is None:
        return None
    equal = tuple(Match(key, "In", (value,)) for key, value in sorted((shape.match_labels or {}).items()))
    return Selector(equal + matches(shape.match_expressions))


def tolerations(shapes: Sequence[TolerationShape] | None) -> tuple[Toleration, ...]:
    """Tolerations; an operator that is not written is `Equal`."""
    return tuple(
        Toleration(t.key, t.operator or "Equal", t.value, t.effect, t.toleration_seconds) for t in shapes or ()
    )


def tolerations_as_written(shapes: Sequence[TolerationShape] | None) -> tuple[Toleration, ...]:
    """Tolerations of a pod, an operator that is not written left empty.

    A pod's list is written again whole, and the API server refuses a toleration that was there if it differs in
    anything but its seconds: `Equal` in place of nothing is such a difference.
    """
    return tuple(Toleration(t.key, t.operator, t.value, t.effect, t.toleration_seconds) for t in shapes or ())


def taints(shapes: Sequence[TaintShape] | None) -> tuple[Taint, ...]:
    """Taints in their order."""
    return tuple(Taint(t.key, t.value, t.effect or "NoSchedule") for t in shapes or ())


def labels_of(metadata: Metadata) -> Mapping[str, str]:
    return metadata.labels or {}


def annotations_of(metadata: Metadata) -> Mapping[str, str]:
    return metadata.annotations or {}
