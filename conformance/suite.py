"""The suite as data: every story and every claim, found by importing the suite's modules. No pytest, no cluster."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conformance.collecting import suite_modules
from conformance.report.log import claim_id
from conformance.world.story import Story, claim_of


@dataclass(frozen=True)
class ClaimOfStory:
    """One item of the suite that judges a requirement: a claim function, or a promised moment (`function` is None)."""

    id: str
    requirement: str
    story: Story
    sentence: str
    moment: str | None = None
    function: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Suite:
    """All stories, in collection order, and all claims, those of a story together."""

    stories: tuple[Story, ...]
    claims: tuple[ClaimOfStory, ...]

    def of_story(self, name: str) -> list[ClaimOfStory]:
        return [claim for claim in self.claims if claim.story.name == name]

    def of_requirement(self, requirement: str) -> list[ClaimOfStory]:
        return [claim for claim in self.claims if claim.requirement == requirement]


def whole_suite() -> Suite:
    """Import the suite and look at it."""
    stories: list[Story] = []
    claims: list[ClaimOfStory] = []
    for name in sorted(suite_modules()):
        for obj in vars(importlib.import_module(name)).values():
            if isinstance(obj, Story) and obj.module == name:
                stories.append(obj)
                claims += [_promised(obj, moment, requirement) for moment, requirement in obj.moments.items()]
            elif (declared := claim_of(obj)) is not None and obj.__module__ == name:
                several = len(declared.stories) > 1
                claims += [_judged(obj, declared.requirement, story, several) for story in declared.stories]
    return Suite(tuple(stories), tuple(claims))


def _promised(story: Story, moment: str, requirement: str) -> ClaimOfStory:
    node = f"{story.module.rpartition('.')[2]}.py::{story.name}::{moment}[{requirement}]"
    return ClaimOfStory(claim_id(node), requirement, story, story.sentence, moment=moment)


def _judged(function: Callable[[Any], None], requirement: str, story: Story, several: bool) -> ClaimOfStory:
    name = getattr(function, "__name__", "")
    node = f"{function.__module__.rpartition('.')[2]}.py::{name}" + (f"[{story.name}]" if several else "")
    sentence = " ".join((function.__doc__ or "").split())
    return ClaimOfStory(claim_id(node), requirement, story, sentence, function=function)
