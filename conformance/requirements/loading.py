"""Reads the requirement records and refuses any that is not exactly right.

A record with a misspelt field or a second sentence would silently weaken what the suite promises, so loading is strict:
the first defect ends it with one sentence that names the file, the id and the field. Whether claims and records agree
is checked where claims are collected, not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import yaml

from conformance.errors import UsageError, nearest
from conformance.outcomes import Level
from conformance.requirements.records import (
    AREAS,
    CAPABILITIES,
    FEATURES,
    PROFILES,
    NotClaimed,
    Requirement,
    Source,
    Versions,
    area_of,
)

FOLDER: Final = Path(__file__).parent
_ID: Final = re.compile(r"([A-Z]+-\d\d[a-z]?|V\d+[a-z]?)(\.[a-z]+(-[a-z]+)*)?")
_RELEASE: Final = re.compile(r"\d+\.\d+\.\d+")
_SENTENCE_BREAK: Final = re.compile(r"[.!?]\s")
_PLACE: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_NESTED: Final[dict[str, type[msgspec.Struct]]] = {
    "source": Source,
    "since": Versions,
    "until": Versions,
    "status": NotClaimed,
}

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Base):  # type: ignore[misc]
    """YAML as it is, except that a key written twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is written twice", node.start_mark)
        constructed: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return constructed


class Catalogue:
    """All requirement records, in reading order. Immutable."""

    def __init__(self, records: Sequence[Requirement]) -> None:
        self._by_id = {record.id: record for record in records}

    def __getitem__(self, requirement: str) -> Requirement:
        """The record of that id. Raises UsageError, naming the nearest id, where there is none."""
        if requirement not in self._by_id:
            raise self.unknown(requirement)
        return self._by_id[requirement]

    def __contains__(self, requirement: object) -> bool:
        return requirement in self._by_id

    def __iter__(self) -> Iterator[Requirement]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._by_id)

    @property
    def areas(self) -> dict[str, tuple[Requirement, ...]]:
        """Area to its records, in reading order; areas without records are left out."""
        grouped = {area: tuple(record for record in self if record.area == area) for area in AREAS}
        return {area: records for area, records in grouped.items() if records}

    def of_profile(self, profile: str) -> tuple[Requirement, ...]:
        """What the profile judges. Raises UsageError for a profile that does not exist."""
        if profile not in PROFILES:
            hint = nearest(profile, list(PROFILES))
            raise UsageError(f"unknown profile {profile!r}.{hint} Choose one of: {', '.join(PROFILES)}.")
        return tuple(record for record in self if profile in record.profiles)

    def unknown(self, requirement: str) -> UsageError:
        """The error for an id that is not in the catalogue, to be raised."""
        folded = {known.casefold(): known for known in self._by_id}
        hint = nearest(folded.get(requirement.casefold(), requirement.upper()), list(self._by_id))
        return UsageError(f"unknown requirement {requirement!r}.{hint} `list` shows all of them.")


@cache
def load(folder: Path = FOLDER) -> Catalogue:
    """The catalogue in `folder`, one file for each area. Raises UsageError for the first defect found."""
    records: dict[str, Requirement] = {}
    for file in sorted(folder.glob("*.yaml"), key=_reading_order):
        for raw in _raw_records(file):
            record = _record(raw, file)
            if record.id in records:
                _refuse(file, record.id, "id", "is used twice; ids are unique and stay for ever")
            records[record.id] = record
    if not records:
        raise UsageError(f"no requirement records in {folder}; install the package with its YAML files")
    return Catalogue(list(records.values()))


def _reading_order(file: Path) -> int:
    if file.stem not in AREAS:
        hint = nearest(file.stem, list(AREAS))
        raise UsageError(f"{file.name}: {file.stem!r} is not an area of the catalogue.{hint} Rename the file.")
    return list(AREAS).index(file.stem)


def _raw_records(file: Path) -> list[Any]:
    """The records of one file as YAML has them, after a look at the file's own two keys."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{file.name} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or set(content) != {"area", "records"} or not isinstance(content["records"], list):
        raise UsageError(f"{file.name} needs exactly two keys, `area` and the list `records`.")
    if content["area"] != file.stem:
        raise UsageError(f"{file.name}, field `area`: {content['area']!r} is not the area of this file, {file.stem!r}.")
    return content["records"]


def _record(raw: Any, file: Path) -> Requirement:
    name = str(raw.get("id", "a record without id")) if isinstance(raw, dict) else "a record that is no mapping"
    try:
        record = msgspec.convert(raw, Requirement, strict=True)
    except msgspec.ValidationError as error:
        _explain(error, file, name)
    _check_identity(record, file)
    _check_words(record, file)
    _check_text(record, file)
    return record


def _check_identity(record: Requirement, file: Path) -> None:
    if not _ID.fullmatch(record.id):
        _refuse(file, record.id, "id", "is not an id such as UP-02, WL-07.names or V4b")
    if record.area != file.stem:
        _refuse(file, record.id, "id", f"belongs into {area_of(record.id)}.yaml, not into this file")
    if record.page and record.level is Level.REPORT:
        _refuse(file, record.id, "page", "cannot be true for REPORT, which is never judged")


def _check_words(record: Requirement, file: Path) -> None:
    if record.feature not in FEATURES:
        hint = nearest(record.feature, list(FEATURES))
        _refuse(file, record.id, "feature", f"{record.feature!r} is not a feature.{hint}")
    for capability in record.needs:
        if capability not in CAPABILITIES:
            hint = nearest(capability, list(CAPABILITIES))
            _refuse(file, record.id, "needs", f"{capability!r} is not a capability of a cluster.{hint}")
    for field, versions in (("since", record.since), ("until", record.until)):
        for release in (*versions.of("kueue"), *versions.of("lws")):
            if not _RELEASE.fullmatch(release):
                _refuse(file, record.id, field, f"{release!r} is not a release such as '0.18.5'")


def _check_text(record: Requirement, file: Path) -> None:
    if not record.sentence.endswith(".") or len(record.sentence) < 2:
        _refuse(file, record.id, "sentence", "is not a sentence: it must end with a full stop")
    if _SENTENCE_BREAK.search(record.sentence):
        _refuse(file, record.id, "sentence", "holds more than one sentence; make two records of it")
    if not record.source.text.strip():
        _refuse(file, record.id, "source.text", "is empty; name the section, KEP, issue or file")
    if not re.fullmatch(r"https://\S+\.\S+/\S*", record.source.link):
        _refuse(file, record.id, "source.link", "is not an https link to where the requirement comes from")
    if isinstance(record.status, NotClaimed) and not record.reason.strip():
        _refuse(file, record.id, "status.not-claimed", "gives no reason; say why no story tells it")


def _explain(error: msgspec.ValidationError, file: Path, name: str) -> NoReturn:
    """msgspec's message, told in terms of the file, the record and the field."""
    match = _PLACE.match(str(error))
    assert match is not None
    what, path = match["what"], match["path"] or ""
    inside = f"{path}." if path else ""
    if unknown := _UNKNOWN.search(what):
        known = [field.encode_name for field in msgspec.structs.fields(_NESTED.get(path, Requirement))]
        hint = nearest(unknown["name"], known)
        _refuse(file, name, inside + unknown["name"], f"is not a field of a record.{hint}")
    if missing := _MISSING.search(what):
        _refuse(file, name, inside + missing["name"], "is missing")
    if path == "level":
        _refuse(file, name, "level", f"{what}; the levels are {', '.join(Level)}")
    if path == "status":
        _refuse(file, name, "status", f"{what}; it is `claimed`, or `not-claimed` with the reason")
    _refuse(file, name, path or "id", what)


def _refuse(file: Path, requirement: str, field: str, what: str) -> NoReturn:
    raise UsageError(f"{file.name}, {requirement}, field `{field}`: {what}")
