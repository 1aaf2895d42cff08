"""Which flavors a group would get: an attempt to admit it, on quota and places as they are.

Rule (Kueue docs, "Resource Flavor" and "Cluster Queue", flavors and fungibility; KEP-582; spec §1.5): the flavors of a
resource group are tried in their order. One is skipped if the pods do not tolerate its taints, or ask for other node
labels than it has. All resources of a resource group that a podset asks for come from one flavor; podsets may get
different ones, unless they share a podset group: then their requests are summed and they get the same (KEP-2724).
A flavor that fits ends the search, without `whenCanBorrow: TryNextFlavor` also one that fits by borrowing, and with
`whenCanPreempt: MayStopSearch` one in which others can be preempted. What fits is preferred to what needs preemption,
then what needs no borrowing; `preference: PreemptionOverBorrowing` turns these two around.

Podsets that ask for a topology get flavors with a topology, others get those without; in a ClusterQueue that has only
flavors with a topology every podset is placed. All of this is decided together: if the places are missing in the first
flavors, the next ones are tried (Kueue leaves it at the first).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Literal

from conformance.reference import amounts, matching, preemption, units
from conformance.reference.draft import Draft
from conformance.reference.model import (
    NOTHING,
    Admission,
    Amounts,
    Assignment,
    ClusterQueue,
    Flavor,
    FlavorResource,
    ResourceGroup,
    Usage,
    Workload,
)
from conformance.reference.quota import Ledger
from conformance.reference.topology import Places
from conformance.reference.units import PODS, Slot, Unit

MOST: Final = 64
"""Combinations of flavors that are tried for one group: with many podsets and flavors there are too many."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of trying to admit a group."""

    mode: Literal["fit", "preempt", "nofit"]
    admission: Admission | None = None
    """What it is admitted with, or would be once `victims` are gone; then without places."""
    borrowing_level: int = 0
    """How far up the tree of cohorts its queue borrows for it: 0 not at all."""
    victims: Sequence[Workload] = ()
    """Whom to preempt; empty for `preempt` means that those already on their way out suffice."""
    within_nominal: Usage = field(default_factory=dict)
    """What it waits for although its queue's nominal quota would hold it: others have borrowed it."""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A flavor for one slot."""

    slot: Slot
    flavor: Flavor
    fits: bool
    borrows: bool
    after_stop: int
    """How many flavors before it would have ended the search."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A flavor for every slot."""

    choices: tuple[Choice, ...]
    usage: Usage
    fits: bool
    borrows: bool
    after_stop: int


def assign(
    draft: Draft,
    ledger: Ledger,
    places: Places,
    workload: Workload,
    queue: ClusterQueue,
    claims: Ledger | None = None,
    *,
    may_preempt: bool = True,
) -> Attempt:
    """Try to admit a Workload; nothing is taken.

    `claims` is the quota as it will be once those who wait for room that is theirs have got it: borrowers must leave
    them that.
    """
    parts, refusal = units.in_units(draft, workload, queue)
    if refusal:
        return Attempt("nofit", refusal=refusal)
    search = Search(draft, ledger, queue)
    found = search.most(list(units.slots_of(draft, queue, parts)))
    found.sort(key=lambda combination: preference(queue, combination))
    # Whether a flavor in which others can be preempted may come before one that fits.
    preempts_early = queue.fungibility.stop_when_preempting or queue.fungibility.prefer_preemption
    unplaced: list[Admission] = []
    for combination in found:
        admission = admission_of(workload, queue, parts, combination)
        if not combination.fits:
            if may_preempt and preempts_early:
                if attempt := preempting(draft, ledger, places, workload, queue, admission):
                    return attempt
            else:
                unplaced.append(admission)
        elif not keeps_claims(claims, queue, combination):
            search.refuse("", "what is left is kept for workloads that wait within their nominal quota")
        else:
            placed, refusal = with_places(draft, places, workload, admission)
            if placed is not None:
                return Attempt("fit", placed, ledger.borrowing_level(queue.name, combination.usage))
            search.refuse("", refusal)
            unplaced.append(admission)
    for admission in unplaced if may_preempt else ():
        if attempt := preempting(draft, ledger, places, workload, queue, admission):
            return attempt
    waits_for = next((c.usage for c in found if not c.fits and not ledger.borrows(queue.name, c.usage)), {})
    return Attempt("nofit", within_nominal=waits_for, refusal=sentence(search.refusals))


def preempting(
    draft: Draft, ledger: Ledger, places: Places, workload: Workload, queue: ClusterQueue, admission: Admission
) -> Attempt | None:
    """The attempt that makes room for this admission by preemption; None if the policies do not let it."""
    victims = preemption.victims(draft, ledger, places, workload, queue, admission)
    if victims is None:
        return None
    return Attempt("preempt", admission, level_after(draft, ledger, queue, admission, victims), victims)


def level_after(
    draft: Draft, ledger: Ledger, queue: ClusterQueue, admission: Admission, victims: Iterable[Workload]
) -> int:
    """How far up its queue borrows for an admission once these victims, and whoever else leaves, are gone."""
    leaving = (it for it in draft.all_workloads() if it.reserves and preemption.is_leaving(draft, it))
    freed = [it.admission for it in (*victims, *leaving) if it.admission is not None]
    for each in freed:
        ledger.release(each.cluster_queue, each.usage())
    level = ledger.borrowing_level(queue.name, admission.usage())
    for each in freed:
        ledger.take(each.cluster_queue, each.usage())
    return level


def with_places(draft: Draft, places: Places, workload: Workload, admission: Admission) -> tuple[Admission | None, str]:
    """The admission with a place for each pod that needs one; None and why, if there are none."""
    flavors, implied = units.to_place(draft, workload, admission)
    if not flavors:
        return admission, ""
    placement = places.place(workload, flavors, implied)
    if placement.refusal:
        return None, placement.refusal
    podsets = (replace(given, topology=placement.assignments.get(given.podset)) for given in admission.podsets)
    return replace(admission, podsets=tuple(podsets)), ""


def keeps_claims(claims: Ledger | None, queue: ClusterQueue, combination: Combination) -> bool:
    """Whether it leaves room to those who wait for theirs. Who stays within its nominal quota need not."""
    return claims is None or not combination.borrows or claims.fits(queue.name, combination.usage)


def preference(queue: ClusterQueue, combination: Combination) -> tuple[int, ...]:
    """What combinations of flavors are sorted by; those equal in it stay in the order of the flavors."""
    needs_room, borrows = int(not combination.fits), int(combination.borrows)
    rules = queue.fungibility
    if rules.prefer_preemption:
        return combination.after_stop, borrows, needs_room
    if rules.stop_when_preempting:
        return combination.after_stop, needs_room, borrows
    return needs_room, combination.after_stop, borrows


# Which flavors can be had


@dataclass
class Search:
    """The search for flavors for one Workload; `refusals` has, by unit, why flavors were passed over."""

    draft: Draft
    ledger: Ledger
    queue: ClusterQueue
    refusals: dict[str, list[str]] = field(default_factory=dict)

    def most(self, slots: Sequence[Slot]) -> list[Combination]:
        """The combinations to be tried: what can be had now must not be crowded out by what cannot."""
        fitting = list(islice(self.combinations(slots, only_fitting=True), MOST))
        return fitting + [each for each in islice(self.combinations(slots), MOST) if not each.fits]

    def combinations(
        self,
        slots: Sequence[Slot],
        chosen: tuple[Choice, ...] = (),
        usage: Usage = NOTHING,
        *,
        only_fitting: bool = False,
    ) -> Iterator[Combination]:
        """Every combination of flavors that could ever be had (now, if `only_fitting`), by podsets, then flavors."""
        if len(chosen) == len(slots):
            fits = all(choice.fits for choice in chosen)
            borrows = any(choice.borrows for choice in chosen)
            yield Combination(chosen, usage, fits, borrows, sum(choice.after_stop for choice in chosen))
            return
        slot = slots[len(chosen)]
        for choice in self.choices(slot, chosen, usage):
            if only_fitting and not choice.fits:
                continue
            more = dict(usage)
            for resource, amount in slot.amounts.items():
                key = (choice.flavor.name, resource)
                more[key] = more.get(key, 0) + amount
            yield from self.combinations(slots, (*chosen, choice), more, only_fitting=only_fitting)

    def choices(self, slot: Slot, chosen: tuple[Choice, ...], before: Usage) -> Iterator[Choice]:
        """The flavors for a slot in their order, given what the slots before it take."""
        stops = 0
        for name in slot.group.flavors:
            flavor = self.draft.snapshot.flavors.get(name)
            why_not = self.unfit(slot, flavor, name, chosen)
            if flavor is None or why_not:
                self.refuse(slot.unit.name, why_not)
                continue
            fits, why_not = self.quota(slot, flavor, before)
            if why_not:
                self.refuse(slot.unit.name, why_not)
                if fits is None:
                    continue
            choice = Choice(slot, flavor, bool(fits), self.borrows(slot, flavor, before, bool(fits)), stops)
            yield choice
            stops += ends_search(self.queue, choice)

    def unfit(self, slot: Slot, flavor: Flavor | None, name: str, chosen: tuple[Choice, ...]) -> str:
        """Why these pods can never use the flavor; empty if they can."""
        if flavor is None:
            return f"flavor {name} not found"
        if slot.unit.placed and not flavor.topology and slot.amounts.keys() - {PODS}:
            return f'Flavor "{name}" does not support TopologyAwareScheduling'
        if not slot.unit.placed and flavor.topology:
            return f'Flavor "{name}" supports only TopologyAwareScheduling'
        if flavor.topology:
            for other in chosen:
                if other.slot.unit is slot.unit and other.flavor.topology and other.flavor.name != name:
                    return f"pods cannot have places in two flavors, {other.flavor.name} and {name}"
        keys = label_keys(self.draft, slot.group)
        for podset in slot.unit.podsets:
            if why_not := matching.flavor_refusal(podset.template, flavor, keys):
                return why_not
        return ""

    def quota(self, slot: Slot, flavor: Flavor, before: Usage) -> tuple[bool | None, str]:
        """Whether the flavor has the quota now (None: it never will), and what it lacks."""
        fits = True
        why_not = ""
        for resource, amount in slot.amounts.items():
            key = (flavor.name, resource)
            if not amount:
                continue
            if key not in self.queue.quotas:
                return None, f"resource {resource} has no quota in flavor {flavor.name}"
            earlier = before.get(key, 0)
            most = self.ledger.potential(self.queue.name, key)
            if earlier + amount > most:
                return None, beyond(key, earlier, amount, most)
            if earlier + amount > self.ledger.available(self.queue.name, key):
                fits, why_not = False, f"insufficient unused quota for {resource} in flavor {flavor.name}"
        return fits, why_not

    def borrows(self, slot: Slot, flavor: Flavor, before: Usage, fits: bool) -> bool:
        """Whether the queue would be above its nominal quota with it, after preemption in the queue if that may be."""
        keys = {(flavor.name, resource): amount for resource, amount in slot.amounts.items() if amount}
        usage = {key: before.get(key, 0) + amount for key, amount in keys.items()}
        if fits or self.queue.preemption.within_queue == "Never":
            return self.ledger.borrows(self.queue.name, usage)
        return any(amount > self.ledger.nominal(self.queue.name, key) for key, amount in usage.items())

    def refuse(self, unit: str, why_not: str) -> None:
        """Note why a flavor was passed over, or, under an empty name, all of them together."""
        noted = self.refusals.setdefault(unit, [])
        if why_not not in noted:
            noted.append(why_not)


def beyond(key: FlavorResource, earlier: int, amount: int, most: int) -> str:
    """Why a request can never be met, however empty the cohort is."""
    flavor, resource = key
    before, now, limit = (amounts.show(resource, number) for number in (earlier, amount, most))
    return (
        f"insufficient quota for {resource} in flavor {flavor}, previously considered podsets requests ({before}) "
        f"+ current podset request ({now}) > maximum capacity ({limit})"
    )


def ends_search(queue: ClusterQueue, choice: Choice) -> bool:
    """Whether later flavors are not considered once this one can be had."""
    if choice.borrows and not queue.fungibility.stop_when_borrowing:
        return False
    return choice.fits or queue.fungibility.stop_when_preempting


def label_keys(draft: Draft, group: ResourceGroup) -> frozenset[str]:
    """The node labels by which the flavors of a resource group are told apart."""
    known = (draft.snapshot.flavors.get(name) for name in group.flavors)
    return frozenset(key for flavor in known if flavor is not None for key in flavor.node_labels)


def sentence(refusals: Mapping[str, Sequence[str]]) -> str:
    """Why a group waits. No number in it depends on what others use, so that it is written once and stays."""
    said = [
        units.refused(unit, reasons) if unit else ", ".join(dict.fromkeys(reasons))
        for unit, reasons in refusals.items()
    ]
    return ". ".join(said) or "couldn't assign flavors"


# What the Workload would be given


def admission_of(workload: Workload, queue: ClusterQueue, parts: Sequence[Unit], combination: Combination) -> Admission:
    """The admission with these flavors, without places, its podsets in the order in which the Workload has them."""
    assignments: dict[str, Assignment] = {}
    for unit in parts:
        given = {
            resource: choice.flavor
            for choice in combination.choices
            if choice.slot.unit is unit
            for resource in choice.slot.group.resources
        }
        for podset in unit.podsets:
            wanted = unit.wanted[podset.name]
            assignments[podset.name] = Assignment(podset.name, podset.count, of_podset(given, unit, wanted), wanted)
    return Admission(queue.name, tuple(assignments[podset.name] for podset in workload.podsets))


def of_podset(given: Mapping[str, Flavor], unit: Unit, wanted: Amounts) -> dict[str, str]:
    """The flavors of one podset: those of what it asks for itself.

    If none of them has a topology although the podset is placed, it has that of its group: a leader that asks for
    nothing must be placed beside its workers (upstream issue 13859).
    """
    own = {resource: given[resource].name for resource in wanted if resource in given}
    if not unit.placed or any(given[resource].topology for resource in own):
        return own
    asked_by_all = {resource for part in unit.wanted.values() for resource in part}
    placed = [resource for resource, flavor in given.items() if flavor.topology]
    inherited = [resource for resource in placed if resource in asked_by_all] or placed[:1]
    return own | {resource: given[resource].name for resource in inherited}
