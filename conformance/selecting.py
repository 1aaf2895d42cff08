"""From settings to a selection of requirements. Raises UsageError for an id, level or feature that there is none of."""

from __future__ import annotations

from conformance.errors import UsageError, nearest
from conformance.outcomes import Level
from conformance.requirements import FEATURES, Catalogue, Selection
from conformance.settings import Settings


def selection(settings: Settings, catalogue: Catalogue) -> Selection:
    """What a person asked for."""
    for id_ in (*settings.requirement, *settings.skips()):
        if id_ not in catalogue:
            raise catalogue.unknown(id_)
    for level in settings.level:
        _one_of("level", level.upper(), [str(known) for known in Level])
    for feature in settings.feature:
        _one_of("feature", feature, list(FEATURES))
    return Selection(
        profile=settings.profile,
        ids=frozenset(settings.requirement),
        levels=frozenset(Level(level.upper()) for level in settings.level),
        features=frozenset(settings.feature),
        skips=settings.skips(),
        sequential=not settings.no_sequential,
        every_version=settings.ignore_versions,
    )


def _one_of(what: str, word: str, known: list[str]) -> None:
    if word not in known:
        raise UsageError(f"unknown {what} {word!r}.{nearest(word, known)} Choose one of: {', '.join(known)}.")
