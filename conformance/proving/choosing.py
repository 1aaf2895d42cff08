"""Which faults are tried, and which stories are told under each. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from conformance.errors import UsageError, nearest
from conformance.faults.model import Fault
from conformance.requirements import Catalogue, Here, Selection, applies
from conformance.suite import ClaimOfStory, Suite
from conformance.trace.invariants import INVARIANTS
from conformance.world.story import Story

OTHERS: Final = 5
"""How many stories, besides those that it names, are told under a fault: they show what else notices it."""
Pair = tuple[str, str]
"""Fault and story, by name."""


@dataclass(frozen=True)
class Provable:
    """The claims that are to be proven, and their stories, in the suite's order."""

    claims: tuple[ClaimOfStory, ...]
    stories: tuple[Story, ...]

    def of_story(self, name: str) -> list[ClaimOfStory]:
        return [claim for claim in self.claims if claim.story.name == name]

    def story(self, name: str) -> Story:
        return next(story for story in self.stories if story.name == name)


def provable(
    suite: Suite,
    catalogue: Catalogue,
    here: Here,
    chosen: Selection,
    *,
    stories: Collection[str] = (),
    claims: Collection[str] = (),
) -> Provable:
    """What can be judged here of what was asked for. Raises UsageError for an unknown name, or for nothing."""
    _known("story", stories, [story.name for story in suite.stories])
    _known("claim", claims, [claim.id for claim in suite.claims])
    kept = tuple(
        claim
        for claim in suite.claims
        if applies(catalogue[claim.requirement], here, chosen).judged
        and claim.story.needs <= here.capabilities
        and (not stories or claim.story.name in stories)
        and (not claims or claim.id in claims)
    )
    if not kept:
        raise UsageError("no claim is left to be proven; ask for others, or for another --profile")
    told = {claim.story.name for claim in kept}
    return Provable(kept, tuple(story for story in suite.stories if story.name in told))


def _known(what: str, names: Collection[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}.{nearest(name, known)}")


def of_fault(fault: Fault, among: Provable) -> list[str]:
    """The stories of the claims that a fault names, and some others, the same every time."""
    own = {claim.story.name for claim in among.claims if claim.requirement in fault.caught}
    rest = sorted(story.name for story in among.stories if story.name not in own)
    others = random.Random(fault.name).sample(rest, min(OTHERS, len(rest)))
    return [story.name for story in among.stories if story.name in own or story.name in others]


def of_faults(faults: Iterable[Fault], among: Provable) -> dict[str, list[str]]:
    """By fault the stories that are told under it."""
    return {fault.name: of_fault(fault, among) for fault in faults}


def everything(faults: Iterable[Fault], among: Provable) -> dict[str, list[str]]:
    """Every story under every fault."""
    return {fault.name: [story.name for story in among.stories] for fault in faults}


def next_round(
    faults: Collection[Fault],
    among: Provable,
    uncaught: Collection[str],
    *,
    looked: Mapping[str, Collection[str]],
    tried: Collection[Pair] = (),
    known: Mapping[Pair, Collection[str]] | None = None,
) -> dict[str, list[str]]:
    """As few pairs of fault and story as may show of each of these claims and invariants one fault that it catches.

    By fault the stories; empty when nothing is left to try. `looked` says of a claim at which expectations it looks: a
    fault that names none of them shows nothing of it. Pairs that were `tried` are left out. What a pair caught before
    (`known`) is believed, and only what nothing caught before is sought among the others. Greedy: the pair that may
    show the most comes first; of equals, one of a fault that is tried anyhow, which saves a process.
    """
    may = {
        pair: found
        for pair, shown in _shown_by(faults, among, looked).items()
        if pair not in tried and (found := shown & set(uncaught))
    }
    for pair, believed in _believed(may, known or {}).items():
        may[pair] = believed
    left: set[str] = set().union(*may.values()) if may else set()
    chosen: dict[str, list[str]] = {}
    while left:
        pair = min(may, key=lambda p: (-len(may[p] & left), p[0] not in chosen, p))
        chosen.setdefault(pair[0], []).append(pair[1])
        left -= may[pair]
    order = [story.name for story in among.stories]
    return {fault: sorted(stories, key=order.index) for fault, stories in sorted(chosen.items())}


def _believed(may: Mapping[Pair, set[str]], known: Mapping[Pair, Collection[str]]) -> dict[Pair, set[str]]:
    """What the pairs may show, without the guesses about what another pair is known to show."""
    sure = {claim for pair, shown in may.items() for claim in shown & set(known.get(pair, ()))}
    return {pair: (shown - sure) | (shown & set(known.get(pair, ()))) for pair, shown in may.items()}


def _shown_by(
    faults: Collection[Fault], among: Provable, looked: Mapping[str, Collection[str]]
) -> dict[Pair, set[str]]:
    """What each pair may show: ids of claims, names of invariants."""
    shows: dict[Pair, set[str]] = {}
    for fault in faults:
        invariants = {name for name in fault.caught if name in INVARIANTS}
        for story in among.stories:
            named = {
                claim.id
                for claim in among.of_story(story.name)
                if set(fault.caught.get(claim.requirement, ())) & set(looked.get(claim.id, ()))
            }
            if named:
                shows[fault.name, story.name] = named | invariants
    return shows
