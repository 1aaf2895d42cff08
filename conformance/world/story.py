"""What a suite file is made of: stories, and the claims that are judged on what they told.

@story(moments={"running": "ADM-01"})
def one_group(tenant: Tenant) -> None:
    \"\"\"One sentence: what happens in this story.\"\"\"

@claim("UP-01", of=one_group)
def test_something(told: Told) -> None:
    \"\"\"The published sentence of the claim.\"\"\"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from conformance.errors import UsageError
from conformance.expectations.judging import END
from conformance.world.phases import Phase

if TYPE_CHECKING:
    from conformance.world.tenant import Tenant

F = TypeVar("F", bound=Callable[..., None])
CLAIM = "__conformance_claim__"
MOMENT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Story:
    """A story: it drives a tenant's world once and marks moments.

    `moments` maps each promised moment, in the order in which the story reaches it, to the requirement it shows.
    """

    name: str
    sentence: str
    moments: Mapping[str, str]
    body: Callable[[Tenant], None]
    module: str
    needs: frozenset[str]
    phase: Phase | None = None
    """The part of the run in which it is told; None: with all others, at once."""

    def __hash__(self) -> int:
        return hash((self.module, self.name))


@dataclass(frozen=True)
class Claim:
    """One requirement, claimed of one or more stories."""

    requirement: str
    stories: tuple[Story, ...]


def story(
    *, moments: Mapping[str, str] | None = None, needs: tuple[str, ...] = (), phase: Phase | None = None
) -> Callable[[Callable[[Tenant], None]], Story]:
    """Declare a story. `needs` names cluster capabilities beyond those of its requirements and its `phase`.

    Raises UsageError for a story without a docstring, and for a moment whose name is not in kebab-case or is `end`, the
    moment that every story has.
    """

    def declare(body: Callable[[Tenant], None]) -> Story:
        if not body.__doc__:
            raise UsageError(f"story {body.__name__} has no docstring; say in one sentence what happens in it")
        for moment in moments or {}:
            if not MOMENT.fullmatch(moment) or moment == END:
                raise UsageError(
                    f"story {body.__name__}: {moment!r} is no name for a moment; write for example 'two-run'"
                )
        sentence = " ".join(body.__doc__.split())
        of_all = frozenset(needs) | (phase.needs if phase is not None else frozenset())
        return Story(body.__name__, sentence, dict(moments or {}), body, body.__module__, of_all, phase)

    return declare


def claim(requirement: str, *, of: Story | tuple[Story, ...]) -> Callable[[F], F]:
    """Declare that a test function judges a requirement on what a story told.

    Raises UsageError for a function without a docstring, and for a claim of no story.
    """

    def declare(function: F) -> F:
        if not function.__doc__:
            raise UsageError(f"claim {function.__name__} has no docstring; write the sentence that it publishes")
        stories = of if isinstance(of, tuple) else (of,)
        if not stories:
            raise UsageError(f"claim {function.__name__} is of no story, and would never be judged; name one with of=")
        setattr(function, CLAIM, Claim(requirement, stories))
        return function

    return declare


def claim_of(function: Any) -> Claim | None:
    """The claim that a function was declared as."""
    found: Claim | None = getattr(function, CLAIM, None)
    return found
