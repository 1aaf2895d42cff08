"""From settings to a selection of requirements. Raises UsageError for an id, level or feature that there is none of."""

from __future__ import annotations

from conformance.errors import UsageError, nearest
from conformance.outcomes import Level, Outcome
from conformance.requirements import FEATURES, Catalogue, Here, Prospect, Requirement, Selection, applies, load
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


def unclaimed(settings: Settings, here: Here) -> list[tuple[Requirement, Prospect]]:
    """What was asked for and no story tells, with what that makes of it. Who names stories asks for no others."""
    if settings.story:
        return []
    catalogue = load()
    chosen = selection(settings, catalogue)
    found = [(record, applies(record, here, chosen)) for record in catalogue if not record.claimed]
    return [(record, prospect) for record, prospect in found if prospect.outcome is not Outcome.NOT_SELECTED]


def _one_of(what: str, word: str, known: list[str]) -> None:
    if word not in known:
        raise UsageError(f"unknown {what} {word!r}.{nearest(word, known)} Choose one of: {', '.join(known)}.")
