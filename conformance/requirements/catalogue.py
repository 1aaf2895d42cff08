"""Writes the catalogue page of the documentation from the requirement records.

    python -m conformance.requirements.catalogue > docs/catalogue.md

A test keeps the page current. What would happen to each requirement on a given cluster is `list`'s to tell, not this
page's.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.outcomes import Level
from conformance.requirements.loading import Catalogue, load
from conformance.requirements.records import AREAS, PROFILES, Requirement

_INTRODUCTION = """\
# Catalogue of requirements

<!-- Made by `python -m conformance.requirements.catalogue > docs/catalogue.md`. Edit the records, not this page. -->

One row for each requirement. A *set* is a LeaderWorkerSet, a *group* is one of its replicas, a *queue* without more
words is a ClusterQueue. *since* is the first release that the requirement applies to; several stand for a change that
was carried back to several release lines. *profile* is the narrowest one that judges the requirement, and `page` where
the page profile does so too. A source marked *inferred* does not state the requirement, which was concluded from code.
"""

_LEVELS = {
    Level.MUST: "a documented promise, or what follows from one",
    Level.SHOULD: "what interoperability or upstream's own tests ask for",
    Level.STRICT: "how Kueue does it: names, encodings, texts, events",
    Level.REPORT: "a known defect or an unclear rule: shown, never judged",
}


def render(catalogue: Catalogue) -> str:
    """The page as Markdown, with a final newline."""
    return "\n".join(_lines(catalogue)) + "\n"


def _lines(catalogue: Catalogue) -> Iterator[str]:
    yield _INTRODUCTION
    yield "| level | meaning | records | claimed |"
    yield "|---|---|---:|---:|"
    for level, meaning in _LEVELS.items():
        yield _counted(level, meaning, [record for record in catalogue if record.level is level])
    yield ""
    yield "| profile | meaning | records | claimed |"
    yield "|---|---|---:|---:|"
    for profile, meaning in PROFILES.items():
        yield _counted(profile, meaning, list(catalogue.of_profile(profile)))
    for area, records in catalogue.areas.items():
        yield ""
        yield f"## {AREAS[area]}"
        yield ""
        yield "| id | level | requirement | source | since | profile | status |"
        yield "|---|---|---|---|---|---|---|"
        yield from map(_row, records)


def _counted(name: str, meaning: str, records: list[Requirement]) -> str:
    return f"| {name} | {meaning} | {len(records)} | {sum(record.claimed for record in records)} |"


def _row(record: Requirement) -> str:
    narrowest = record.profiles[:2] if record.page else record.profiles[:1]
    cells = (
        record.id,
        record.level,
        record.sentence + (f"<br>*{record.note}*" if record.note else ""),
        f"[{record.source.text}]({record.source.link})" + (" (inferred)" if record.inferred else ""),
        str(record.since),
        ", ".join(narrowest) or "none",
        "claimed" if record.claimed else f"not claimed: {record.reason}",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(render(load()), end="")
