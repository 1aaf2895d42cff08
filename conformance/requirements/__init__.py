"""The catalogue: one record for each requirement, read strictly, and what would happen to it here and now.

    load()                          the whole catalogue, in reading order
    load()["UP-02"]                 one record
    load().of_profile("page")       what a profile judges
    applies(record, here, chosen)   judged, or why not

Nothing here knows clusters, stories or claims: which items claim a requirement is found out where they are collected.
"""

from __future__ import annotations

from conformance.requirements.applies import AFTER_ALL_ELSE, Here, Prospect, Selection, applies
from conformance.requirements.loading import Catalogue, load
from conformance.requirements.records import (
    AREAS,
    CAPABILITIES,
    FEATURES,
    PROFILES,
    NotClaimed,
    Requirement,
    Source,
    Versions,
)

__all__ = [
    "AFTER_ALL_ELSE",
    "AREAS",
    "CAPABILITIES",
    "FEATURES",
    "PROFILES",
    "Catalogue",
    "Here",
    "NotClaimed",
    "Prospect",
    "Requirement",
    "Selection",
    "Source",
    "Versions",
    "applies",
    "load",
]
