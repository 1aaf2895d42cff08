"""What `list` prints: requirements, claims or stories, and what would happen to each with these options."""

from __future__ import annotations

from rich.table import Table

from conformance.deadlines import Deadlines
from conformance.errors import UsageError, nearest
from conformance.report.terminal import console_for
from conformance.requirements import Here, Prospect, Requirement, Selection, applies, load
from conformance.selecting import selection
from conformance.settings import Settings
from conformance.suite import Suite, whole_suite
from conformance.surroundings import Surroundings

WHAT = ("requirements", "claims", "stories")


def show(what: str, settings: Settings) -> None:
    """Print one of the three lists. Raises UsageError for another word, and for what the settings get wrong."""
    if what not in WHAT:
        raise UsageError(f"there is no list of {what!r}.{nearest(what, list(WHAT))} Choose one of: {', '.join(WHAT)}.")
    catalogue = load()
    here = Surroundings(settings, Deadlines(settings.slow), print).here()
    chosen = selection(settings, catalogue)
    suite = whole_suite()
    _check_stories(settings, suite)
    table = {"requirements": _requirements, "claims": _claims, "stories": _stories}[what](suite, here, chosen, settings)
    console_for().print(table)


def _check_stories(settings: Settings, suite: Suite) -> None:
    known = [story.name for story in suite.stories]
    for name in settings.story:
        if name not in known:
            raise UsageError(f"unknown story {name!r}.{nearest(name, known)} `list stories` shows them all.")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("id", "level", "requirement", "claim"), overflow="fold")
    return table


def _requirements(suite: Suite, here: Here, chosen: Selection, settings: Settings) -> Table:
    table = _table("id", "level", "here", "claims", "sentence")
    for record in load():
        prospect = applies(record, here, chosen)
        claims = len(suite.of_requirement(record.id))
        table.add_row(record.id, str(record.level), str(prospect), str(claims or ""), record.sentence)
    return table


def _claims(suite: Suite, here: Here, chosen: Selection, settings: Settings) -> Table:
    table = _table("requirement", "here", "claim", "story")
    for claim in suite.claims:
        prospect = _of_story(load()[claim.requirement], claim.story.name, here, chosen, settings)
        table.add_row(claim.requirement, str(prospect), claim.id, claim.story.name)
    return table


def _stories(suite: Suite, here: Here, chosen: Selection, settings: Settings) -> Table:
    table = _table("story", "here", "claims", "what happens")
    for story in suite.stories:
        prospects = [
            _of_story(load()[claim.requirement], story.name, here, chosen, settings)
            for claim in suite.of_story(story.name)
        ]
        judged = sum(prospect.judged for prospect in prospects)
        told = f"told for {judged} claims" if judged else "not told"
        table.add_row(story.name, told, str(len(prospects)), story.sentence)
    return table


def _of_story(record: Requirement, story: str, here: Here, chosen: Selection, settings: Settings) -> Prospect:
    from conformance.outcomes import Outcome

    if settings.story and story not in settings.story:
        return Prospect(Outcome.NOT_SELECTED, "another story was asked for")
    return applies(record, here, chosen)
