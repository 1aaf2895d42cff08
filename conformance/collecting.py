"""From suite files to pytest items: stories become collectors, their promised moments and invariants items.

Also decides which items run: what was not asked for is deselected, what cannot be judged here is skipped with its
reason.
Nothing is started here; `--collect-only` and `list` need no cluster.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conformance.errors import UsageError, nearest
from conformance.report.log import claim_id
from conformance.requirements import AFTER_ALL_ELSE, Catalogue, Here, Prospect, Requirement, Selection, applies
from conformance.world.phases import PHASES
from conformance.world.story import Story, claim_of

JUDGED = Prospect()
JUDGING_SECONDS = 60
LONGEST_NAME = 40
"""Letters of a story's name: the tenant's name is made of it, and pods and nodes add theirs."""


@dataclass(frozen=True)
class Claimed:
    """What an item judges: a requirement (None for invariants) of a story; `moment` for a promised claim.

    `id` is the item's node id as people see it.
    """

    story: Story
    record: Requirement | None
    sentence: str
    moment: str | None = None
    prospect: Prospect = JUDGED
    id: str = ""


CLAIMED = pytest.StashKey[Claimed]()


class StoryCollector(pytest.Collector):
    """A story in a suite file."""

    story: Story

    @classmethod
    def of(cls, parent: pytest.Collector, story: Story) -> StoryCollector:
        made: StoryCollector = cls.from_parent(parent, name=story.name)
        made.story = story
        return made

    def collect(self) -> Iterator[pytest.Item]:
        for moment, requirement in self.story.moments.items():
            item: StoryItem = PromisedItem.from_parent(self, name=f"{moment}[{requirement}]")
            item.story, item.moment, item.requirement = self.story, moment, requirement
            yield item
        last: StoryItem = InvariantsItem.from_parent(self, name="invariants")
        last.story = self.story
        yield last


class StoryItem(pytest.Item):
    """An item that a story brings along."""

    story: Story
    moment: str | None = None
    requirement: str | None = None

    def reportinfo(self) -> tuple[os.PathLike[str], int, str]:
        # A skip needs a line to point at, and a story item has none of its own.
        return self.path, 0, f"{self.story.name}::{self.name}"


class PromisedItem(StoryItem):
    """A wait of the story that a requirement promises to come true."""

    def runtest(self) -> None:
        from conformance.session import session_of

        session_of(self.config).judge_promised(self)


class InvariantsItem(StoryItem):
    """The invariants, over everything that the story left."""

    def runtest(self) -> None:
        from conformance.session import session_of

        session_of(self.config).judge_invariants(self)


def make_item(collector: pytest.Collector, obj: object) -> StoryCollector | None:
    """The collector of a story that is declared in this module (not of one that it only imported)."""
    if isinstance(obj, Story) and isinstance(collector, pytest.Module) and obj.module == collector.obj.__name__:
        return StoryCollector.of(collector, obj)
    return None


def arrange(
    config: pytest.Config,
    items: list[pytest.Item],
    catalogue: Catalogue,
    here: Here,
    chosen: Selection,
    stories: tuple[str, ...],
) -> None:
    """Look up every claim's record, deselect what was not asked for, mark what cannot be judged, put invariants last.

    Raises UsageError for a claim without a record, a record that says `claimed` and is not, a name of a story that is
    taken or too long, and an unknown story.
    """
    ours = [item for item in items if _describe(item, catalogue, here, chosen)]
    told_of = {item.stash[CLAIMED].story for item in ours}
    _check_coverage({story.module for story in told_of}, catalogue)
    _check_names(told_of)
    known = sorted(story.name for story in told_of)
    for name in stories:
        if name not in known:
            raise UsageError(f"unknown story {name!r}.{nearest(name, known)} `list stories` shows them all.")
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        (kept if item not in ours or _wanted(item.stash[CLAIMED], stories) else dropped).append(item)
    told = {i.stash[CLAIMED].story for i in kept if CLAIMED in i.stash and _tells(i.stash[CLAIMED])}
    final: list[pytest.Item] = []
    empty: list[pytest.Item] = []
    for item in kept:
        lonely = CLAIMED in item.stash and item.stash[CLAIMED].record is None and item.stash[CLAIMED].story not in told
        (empty if lonely else final).append(item)
    if dropped or empty:
        config.hook.pytest_deselected(items=dropped + empty)
    items[:] = sorted(final, key=_turn)


def _turn(item: pytest.Item) -> tuple[int, bool]:
    """When an item's turn is: the phases come after all else, and in each part the invariants last."""
    claimed = item.stash.get(CLAIMED, None)
    if claimed is None:
        return 0, False
    phase = claimed.story.phase
    return 0 if phase is None else 1 + PHASES.index(phase), claimed.record is None


def _check_names(stories: set[Story]) -> None:
    """Tenants, logs and histories are found by a story's name."""
    names = [story.name for story in stories]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            raise UsageError(f"two stories are named {name}; give one of them another name")
        if len(name) > LONGEST_NAME:
            raise UsageError(f"the name of story {name} is longer than {LONGEST_NAME} letters; give it a shorter one")


def _wanted(claimed: Claimed, stories: tuple[str, ...]) -> bool:
    from conformance.outcomes import Outcome

    return claimed.prospect.outcome is not Outcome.NOT_SELECTED and (not stories or claimed.story.name in stories)


def _tells(claimed: Claimed) -> bool:
    return claimed.record is not None and claimed.prospect.judged


def _describe(item: pytest.Item, catalogue: Catalogue, here: Here, chosen: Selection) -> bool:
    """Stash what an item judges; False for an item that is none of ours."""
    if isinstance(item, StoryItem):
        story, moment, requirement = item.story, item.moment, item.requirement
        sentence = (
            catalogue[requirement].sentence if requirement else "The invariants hold in every state of the story."
        )
    elif isinstance(item, pytest.Function) and (declared := claim_of(item.function)) is not None:
        story, moment, requirement = _story_of(item), None, declared.requirement
        sentence = " ".join((item.function.__doc__ or "").split())
    else:
        return False
    record = catalogue[requirement] if requirement else None
    prospect = _prospect(record, story, here, chosen)
    item.stash[CLAIMED] = Claimed(story, record, sentence, moment, prospect, _id_of(item))
    words = {story.name} | ({record.id, record.area, record.feature, str(record.level)} if record else {"invariants"})
    item.extra_keyword_matches.update(words)
    # Invariants are of level MUST, in every profile. A judging function that never ends must not hang the run; its
    # waiting for the story is not meant, which has deadlines of its own.
    item.add_marker(getattr(pytest.mark, record.level.lower() if record is not None else "must"))
    if isinstance(item, pytest.Function):
        item.add_marker(pytest.mark.timeout(JUDGING_SECONDS, func_only=True))
    if record is not None:
        item.user_properties += [("requirement", record.id), ("level", str(record.level))]
    if prospect.outcome is not None:
        item.add_marker(pytest.mark.skip(reason=str(prospect)))
    return True


def _id_of(item: pytest.Item) -> str:
    """The claim's id; pytest leaves the file's name out of the node id of a file that is given alone."""
    id_ = claim_id(item.nodeid)
    return item.path.stem + id_ if id_.startswith("::") else id_


def _story_of(item: pytest.Function) -> Story:
    declared = claim_of(item.function)
    assert declared is not None
    spec = getattr(item, "callspec", None)
    return spec.params["told"] if spec is not None and "told" in spec.params else declared.stories[0]


def _prospect(record: Requirement | None, story: Story, here: Here, chosen: Selection) -> Prospect:
    from conformance.outcomes import Outcome

    if record is None:
        return Prospect()
    prospect = applies(record, here, chosen)
    if story.phase is not None and not chosen.sequential and prospect.outcome is not Outcome.NOT_SELECTED:
        return Prospect(Outcome.NOT_SELECTED, AFTER_ALL_ELSE)
    missing = sorted(story.needs - here.capabilities)
    if prospect.judged and missing:
        return here.lacks(missing)
    return prospect


def suite_modules() -> set[str]:
    """The names of all modules of the suite."""
    from conformance import suites

    return {
        f"{suites.__name__}.{module.name}"
        for module in pkgutil.iter_modules(suites.__path__)
        if module.name.startswith("test_")
    }


def _check_coverage(modules: set[str], catalogue: Catalogue) -> None:
    """Where the whole suite is collected: a record says `claimed` exactly if the suite claims it.

    The suite is asked, not the items, of which pytest may have left some out (`--last-failed`, node ids).
    """
    if not suite_modules() <= modules:
        return
    from conformance.suite import whole_suite

    claimed = {claim.requirement for claim in whole_suite().claims}
    for record in catalogue:
        if record.claimed and record.id not in claimed:
            raise UsageError(
                f"requirement {record.id} says that it is claimed, but no item claims it; give the reason in its record"
            )
        if not record.claimed and record.id in claimed:
            raise UsageError(
                f"requirement {record.id} is claimed by an item, but its record says why it is not; correct the record"
            )


def stories_in_order(items: list[pytest.Item]) -> list[Story]:
    """The stories that the selected items need, in collection order."""
    needed = [item.stash[CLAIMED] for item in items if CLAIMED in item.stash]
    return list(dict.fromkeys(claimed.story for claimed in needed if claimed.prospect.judged))
