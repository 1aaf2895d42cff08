"""The stories of one scope: told, and each judged as soon as it is cleaned up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from conformance.errors import HarnessError
from conformance.outcomes import Outcome
from conformance.proving.cells import Verdict, invariant_id, judge_claims, judge_story_invariants
from conformance.proving.scopes import Scope
from conformance.suite import ClaimOfStory
from conformance.trace.history import History
from conformance.trace.invariants import INVARIANTS
from conformance.world import sequential
from conformance.world.story import Story
from conformance.world.teller import Telling, tenant_name


@dataclass(frozen=True)
class Account:
    """One story, told and judged."""

    story: Story
    verdicts: list[Verdict]
    seconds: float = 0.0
    cleanup: float = 0.0
    waits: list[float] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all of its claims passed, and no invariant failed or is unknown."""
        undecided = (Outcome.PASSED, Outcome.INCONCLUSIVE)
        return all(v.outcome in (undecided if v.named in INVARIANTS else (Outcome.PASSED,)) for v in self.verdicts)


def tell(
    scope: Scope, stories: Iterable[Story], claims: Callable[[str], list[ClaimOfStory]], done: Callable[[Account], None]
) -> None:
    """Tell the stories, several at once; `done` gets the account of each. `claims` has those of a story, by its name.

    Raises Cancelled when all is being ended, HarnessError when the cluster broke.
    """
    told = list(stories)
    restarting = scope.teller.ground.restarting
    assert restarting is not None
    sequential.begin(scope.teller, restarting, told, scope.lost.append)
    for story in told:
        done(_account(scope, story, claims(story.name)))


def _account(scope: Scope, story: Story, claims: list[ClaimOfStory]) -> Account:
    try:
        telling = scope.teller.await_cleaned(story)
    except HarnessError as error:
        scope.alive()  # so it is the reference of this scope that died; what of it is not told is an error
        return Account(story, _broke(story, claims, str(error)))
    if telling.problem or telling.cleaning_problem:
        scope.alive()  # a story that was cut short because all is being ended is told again by whoever goes on
    tenant = tenant_name(scope.label, story)
    records = scope.part.records_of(story.name, tenant)
    scope.part.forget(story.name, tenant)
    told, cleaned = History(records), History(records, until="cleaned")
    problem = telling.problem or ("the trace has no fence" if "told" not in told.fences else None)
    if problem is not None:
        return Account(story, _broke(story, claims, problem), telling.seconds)
    verdicts = judge_claims(claims, told)
    verdicts += _invariants(story, telling, cleaned)
    cleanup = cleaned.fences["cleaned"].received - told.fences["told"].received if "cleaned" in cleaned.fences else 0.0
    return Account(story, verdicts, telling.seconds, cleanup, telling.waits)


def _invariants(story: Story, telling: Telling, cleaned: History) -> list[Verdict]:
    if telling.cleaning_problem is not None:
        return _broke(story, [], telling.cleaning_problem)
    return judge_story_invariants(story.name, cleaned)


def _broke(story: Story, claims: list[ClaimOfStory], problem: str) -> list[Verdict]:
    shown = problem.splitlines()[0][:300] if problem else ""
    of_claims = [Verdict(claim.id, claim.requirement, Outcome.ERROR, shown=shown) for claim in claims]
    return of_claims + [
        Verdict(invariant_id(story.name, name), name, Outcome.ERROR, shown=shown) for name in INVARIANTS
    ]
