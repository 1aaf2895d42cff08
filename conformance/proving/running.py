"""From what was asked for to cells: the healthy reference first, then the faults, some of them at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from conformance.deadlines import Deadlines
from conformance.errors import Cancelled, HarnessError
from conformance.faults.model import Fault
from conformance.proving import deadlines
from conformance.proving.cells import Cell, Said, Verdict, cell, invariant_of, said_now
from conformance.proving.choosing import Pair, Provable, next_round
from conformance.proving.keeping import Kept, Line, digest
from conformance.proving.scopes import Scopes
from conformance.proving.telling import Account, tell
from conformance.trace.invariants import INVARIANTS
from conformance.world.story import Story

if TYPE_CHECKING:
    from conformance.components import Components

HEALTHY: Final = "healthy"
HEALTHY_SHARE: Final = 2
"""How many times fewer stories are told at once without a fault than under faults."""


class Display(Protocol):
    """Told how far things are; every call may come from any thread."""

    def plan(self, healthy: int, pairs: int, kept: int) -> None: ...

    def healthy_told(self, account: Account) -> None: ...

    def measured(self, found: Deadlines, unsound: list[str]) -> None: ...

    def begin(self, fault: Fault, stories: int) -> None: ...

    def told(self, fault: Fault, account: Account, cells: list[Cell]) -> None: ...

    def end(self, fault: Fault, seconds: float, startup: float) -> None: ...


@dataclass
class Plan:
    """What is told: by fault the names of the stories.

    With `own`, that is found while it is told: round by round, until of each claim one fault is shown that it catches,
    or all that name it have been tried. `known` then says by pair what it caught in an earlier run.
    """

    faults: Mapping[str, Fault]
    among: Provable
    told: dict[str, list[str]]
    own: bool = False
    known: Mapping[Pair, Collection[str]] | None = None

    def pairs(self) -> list[tuple[Fault, str]]:
        return [(self.faults[name], story) for name, stories in self.told.items() for story in stories]


@dataclass
class Proof:
    """Everything that is known in the end."""

    healthy: dict[str, Verdict] = field(default_factory=dict)
    """By claim."""
    cells: list[Cell] = field(default_factory=list)
    told: dict[str, list[str]] = field(default_factory=dict)
    """By fault, the stories that were to be judged: those whose healthy twin passed."""
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False


class Proving:
    """One execution of a plan, in a results folder whose cells it goes on with."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        kept: Kept,
        display: Display,
        *,
        at_once: int,
        stories_at_once: int,
        slow: float,
        trace: bool,
    ) -> None:
        self.plan, self.folder, self.kept, self.display = plan, folder, kept, display
        self.at_once, self.stories_at_once, self.slow, self.trace = at_once, stories_at_once, slow, trace
        self._accounts: dict[str, Account] = {}
        self._lock = threading.Lock()

    def run(self, components: Components) -> Proof:
        """Tell what is not kept yet. Raises UsageError or HarnessError when nothing can be told at all."""
        proof = Proof()
        left = self._not_kept(self.plan.told)
        needed = {story.name for story in self.plan.among.stories}
        if not self.plan.own:
            needed &= {story for _, story in self.plan.pairs()}
        told = [story for story in self.plan.among.stories if story.name in needed]
        self.display.plan(len(told), len(left), len(self.plan.pairs()) - len(left))
        scopes = Scopes(
            components,
            self.folder,
            slow=self.slow,
            trace=self.trace,
            at_once=max(1, self.stories_at_once // self.at_once),
        )
        scopes.start()
        failed = False
        try:
            self._tell_healthy(scopes, told)
            if self.plan.own:
                self._tell_rounds(scopes, proof)
            else:
                self._tell_faults(scopes, left, proof)
        except KeyboardInterrupt:
            proof.interrupted = True
        except (HarnessError, Cancelled) as error:
            failed = True
            proof.problems.append(str(error).splitlines()[0])
        finally:
            scopes.stop(failed=failed)
        self._conclude(proof)
        return proof

    def _not_kept(self, told: Mapping[str, list[str]]) -> list[tuple[Fault, str]]:
        pairs = [(self.plan.faults[name], story) for name, stories in told.items() for story in stories]
        return [(fault, story) for fault, story in pairs if not self._has(fault, story)]

    def _tell_rounds(self, scopes: Scopes, proof: Proof) -> None:
        """Try the fewest faults that may show of each claim that it can fail; then others for what those did not."""
        looked = {v.claim: v.looked for account in self._accounts.values() for v in account.verdicts}
        sound = {name for name, account in self._accounts.items() if account.passed}
        wanted = {claim.id for claim in self.plan.among.claims if claim.story.name in sound} | set(INVARIANTS)
        tried: set[Pair] = set()
        while chosen := next_round(
            self.plan.faults.values(),
            self.plan.among,
            wanted,
            looked=looked,
            tried=tried,
            known=self.plan.known,
        ):
            for name, stories in chosen.items():
                tried |= {(name, story) for story in stories}
                self.plan.told[name] = self.plan.told.get(name, []) + stories
            left = self._not_kept(chosen)
            self.display.plan(0, len(left), sum(map(len, chosen.values())) - len(left))
            self._tell_faults(scopes, left, proof)
            wanted -= set(self._caught(chosen))

    def _caught(self, told: Mapping[str, list[str]]) -> Iterator[str]:
        """Claims and invariants that caught a fault under these."""
        for name, stories in told.items():
            for story in stories:
                for one in self._cells(self.plan.faults[name], story):
                    if one.said is Said.CAUGHT:
                        yield invariant_of(one.claim) or one.claim

    def _cells(self, fault: Fault, story: str) -> Iterator[Cell]:
        """What is kept of a story under a fault, by what the fault names now."""
        requirements = {claim.id: claim.requirement for claim in self.plan.among.of_story(story)}
        for one in self.kept.cells(fault, self.plan.among.story(story)):
            yield said_now(fault, requirements.get(one.claim) or invariant_of(one.claim), one)

    def _has(self, fault: Fault, story: str) -> bool:
        return self.kept.has(fault, self.plan.among.story(story))

    def _tell_healthy(self, scopes: Scopes, told: Iterable[Story]) -> None:
        def done(account: Account) -> None:
            self._accounts[account.story.name] = account
            self.display.healthy_told(account)

        # Fewer than later: what they wait for here makes the deadlines, and what fails mostly waits its whole time.
        scopes.at_once = max(1, self.stories_at_once // HEALTHY_SHARE)
        with scopes.opened(HEALTHY, "", Deadlines(self.slow)) as scope:
            tell(scope, told, self.plan.among.of_story, done)
        scopes.at_once = max(1, self.stories_at_once // self.at_once)

    def _tell_faults(self, scopes: Scopes, left: list[tuple[Fault, str]], proof: Proof) -> None:
        waits = [seconds for account in self._accounts.values() for seconds in account.waits]
        cleanups = [account.cleanup for account in self._accounts.values()]
        common = deadlines.under_faults(waits, cleanups, self.slow)
        unsound = sorted(name for name, account in self._accounts.items() if not account.passed)
        self.display.measured(common, unsound)
        by_fault: dict[str, list[str]] = {}
        for fault, story in left:
            if story not in unsound:
                by_fault.setdefault(fault.name, []).append(story)
        # The longest first, so that none is left alone at the end.
        order = sorted(by_fault, key=lambda name: (-len(by_fault[name]), name))
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="fault") as pool:
            running = [pool.submit(self._tell_fault, scopes, name, by_fault[name], common, proof) for name in order]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
                for one in running:
                    if one.done():
                        one.result()
            except BaseException:
                scopes.cancel()
                for one in running:
                    one.cancel()
                raise

    def _tell_fault(self, scopes: Scopes, name: str, stories: list[str], common: Deadlines, proof: Proof) -> None:
        fault = self.plan.faults[name]
        began = time.monotonic()
        self.display.begin(fault, len(stories))

        def done(account: Account) -> None:
            found = [cell(fault, verdict) for verdict in account.verdicts]
            line = Line(name, account.story.name, digest(fault, account.story), round(account.seconds, 3), found)
            self.kept.add(line)
            self.display.told(fault, account, found)

        try:
            with scopes.opened(
                name,
                name,
                common,
                lambda story: deadlines.of_story(common, self._accounts[story.name].waits),
            ) as scope:
                startup = time.monotonic() - began
                told = [self.plan.among.story(story) for story in stories]
                tell(scope, told, self.plan.among.of_story, done)
        except Cancelled:
            return
        except HarnessError as error:
            scopes.alive()  # raises if it is more than this fault that broke
            with self._lock:
                proof.problems.append(f"fault {name} does not come up: {str(error).splitlines()[0]}")
            return
        self.display.end(fault, time.monotonic() - began, startup)

    def _conclude(self, proof: Proof) -> None:
        proof.healthy = {v.claim: v for account in self._accounts.values() for v in account.verdicts}
        sound = {name for name, account in self._accounts.items() if account.passed}
        for fault, story in self.plan.pairs():
            if story in sound:
                proof.told.setdefault(fault.name, []).append(story)
                proof.cells += self._cells(fault, story)
