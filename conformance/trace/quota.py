"""Quota as Kubernetes and Kueue count it, exactly: quantities, requests, what Workloads use, what a queue has left.

Amounts are fractions in the resource's own unit (cores, bytes, devices, pods), so no sum is ever rounded. The rules are
those of the Kueue documentation: nominal quota, borrowing and lending limits, trees of cohorts. Which quota was in
force when, and whether it was kept, is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from conformance.quantities import parse_quantity
from conformance.trace.history import is_true
from conformance.trace.records import Object

Amounts = dict[str, Fraction]
"""Amounts by resource name."""
FlavorResource = tuple[str, str]
"""A flavor and a resource: what quota is given for."""
Usage = dict[FlavorResource, Fraction]

ZERO: Final = Fraction(0)


def plain(amount: Fraction) -> str:
    """An amount for people: whole, or in thousandths, or as a decimal fraction."""
    if amount.denominator == 1:
        return str(amount.numerator)
    thousandths = amount * 1000
    return f"{thousandths.numerator}m" if thousandths.denominator == 1 else f"{float(amount):g}"


def amounts(resource_list: Mapping[str, Any] | None) -> Amounts:
    """A resource list of the API, parsed. Raises ValueError."""
    return {name: parse_quantity(written) for name, written in (resource_list or {}).items()}


def add(total: Amounts, more: Mapping[str, Fraction], times: int = 1) -> None:
    """Add `more`, so many times, to `total`."""
    for name, amount in more.items():
        total[name] = total.get(name, ZERO) + amount * times


def pod_requests(spec: Object) -> Amounts:
    """What one pod of this pod spec asks for, by the kube-scheduler's rule; a limit stands in for a missing request.

    Containers and running sidecars together, or the largest init step, plus overhead; requests of the pod itself win.
    """
    running: Amounts = {}
    for container in spec.get("containers") or ():
        add(running, _requests(container))
    sidecars: Amounts = {}
    largest_step: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _requests(container)
        step = dict(sidecars)
        add(step, own)
        if container.get("restartPolicy") == "Always":
            add(running, own)
            sidecars = step
        largest_step = _larger(largest_step, step)
    requests = _larger(running, largest_step) | amounts((spec.get("resources") or {}).get("requests"))
    add(requests, amounts(spec.get("overhead")))
    return requests


def _requests(holder: Object) -> Amounts:
    resources = holder.get("resources") or {}
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))


def _larger(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, ZERO), other.get(name, ZERO)) for name in one | other}


def reserves_quota(workload: Object | None) -> bool:
    """Whether a Workload counts against quota: it holds a reservation and has not finished."""
    if workload is None or not (workload.get("status") or {}).get("admission"):
        return False
    return is_true(workload, "QuotaReserved") and not is_true(workload, "Finished")


def usage_of(workload: Object) -> Usage:
    """What a Workload's admission takes, per flavor and resource; empty without an admission."""
    admission = (workload.get("status") or {}).get("admission") or {}
    usage: Usage = {}
    for podset in admission.get("podSetAssignments") or ():
        flavors = podset.get("flavors") or {}
        for resource, amount in amounts(podset.get("resourceUsage")).items():
            if resource in flavors:
                key = (flavors[resource], resource)
                usage[key] = usage.get(key, ZERO) + amount
    return usage


def usage_by_queue(workloads: Iterable[Object]) -> dict[str, Usage]:
    """What the Workloads that reserve quota take of each ClusterQueue."""
    used: dict[str, Usage] = {}
    for workload in workloads:
        if reserves_quota(workload):
            queue = used.setdefault(workload["status"]["admission"]["clusterQueue"], {})
            for key, amount in usage_of(workload).items():
                queue[key] = queue.get(key, ZERO) + amount
    return used


@dataclass(frozen=True, slots=True)
class Quota:
    """What a ClusterQueue or Cohort says about one flavor and resource; a limit that is not set is None."""

    nominal: Fraction
    borrowing_limit: Fraction | None = None
    lending_limit: Fraction | None = None


Member = tuple[str, str]
"""A ClusterQueue or a Cohort: its kind and name."""


class CohortTrees:
    """The quotas of ClusterQueues and the Cohorts above them, and the one formula that says what is still available."""

    def __init__(self, cluster_queues: Iterable[Object], cohorts: Iterable[Object] = ()) -> None:
        self._quotas: dict[Member, dict[FlavorResource, Quota]] = {}
        self._parents: dict[Member, Member] = {}
        self._children: dict[Member, list[Member]] = {}
        for queue in cluster_queues:
            self._join(("ClusterQueue", queue["metadata"]["name"]), queue, ("cohortName", "cohort"))
        for cohort in cohorts:
            self._join(("Cohort", cohort["metadata"]["name"]), cohort, ("parentName", "parent"))

    def _join(self, member: Member, obj: Object, parent_keys: tuple[str, ...]) -> None:
        spec = obj.get("spec") or {}
        self._quotas[member] = dict(_quotas(spec))
        parent = next((spec[key] for key in parent_keys if spec.get(key)), None)
        if parent is not None:
            self._parents[member] = ("Cohort", parent)
            self._children.setdefault(("Cohort", parent), []).append(member)

    def lists(self, queue: str, key: FlavorResource) -> bool:
        """Whether the ClusterQueue gives quota for this flavor and resource; if not, it cannot even borrow it."""
        return key in self._quotas.get(("ClusterQueue", queue), {})

    def available(
        self, queue: str, key: FlavorResource, used: Mapping[str, Mapping[FlavorResource, Fraction]]
    ) -> Fraction:
        """How much more a ClusterQueue may take when the queues use `used`; negative if more is used than there is.

        With no usage this is the most that it could ever take. A queue may take nothing of what it does not list, and
        nothing at all below a Cohort that is its own ancestor.
        """
        member = ("ClusterQueue", queue)
        if not self.lists(queue, key) or self._is_below_a_cycle(member):
            return -self._usage(member, key, used)
        return self._available(member, key, used)

    def _available(
        self, member: Member, key: FlavorResource, used: Mapping[str, Mapping[FlavorResource, Fraction]]
    ) -> Fraction:
        subtree, usage = self._subtree_quota(member, key), self._usage(member, key, used)
        parent = self._parents.get(member)
        if parent is None:
            return subtree - usage
        from_parent = self._available(parent, key, used)
        quota = self._quotas.get(member, {}).get(key)
        local = self._local(member, key)
        if quota is not None and quota.borrowing_limit is not None:
            room = (subtree - local) - max(ZERO, usage - local) + quota.borrowing_limit
            from_parent = min(from_parent, room)
        return max(ZERO, local - usage) + from_parent

    def _subtree_quota(self, member: Member, key: FlavorResource) -> Fraction:
        """Its own nominal quota, plus what its children lend."""
        quota = self._quotas.get(member, {}).get(key)
        lent = (self._subtree_quota(child, key) - self._local(child, key) for child in self._children.get(member, ()))
        return (quota.nominal if quota is not None else ZERO) + sum(lent, ZERO)

    def _local(self, member: Member, key: FlavorResource) -> Fraction:
        """The part that the lending limit keeps from everybody else."""
        quota = self._quotas.get(member, {}).get(key)
        if quota is None or quota.lending_limit is None:
            return ZERO
        return max(ZERO, self._subtree_quota(member, key) - quota.lending_limit)

    def _usage(
        self, member: Member, key: FlavorResource, used: Mapping[str, Mapping[FlavorResource, Fraction]]
    ) -> Fraction:
        """What a queue uses; of a cohort, what its children use beyond their local part."""
        kind, name = member
        if kind == "ClusterQueue":
            return used.get(name, {}).get(key, ZERO)
        children = self._children.get(member, ())
        return sum((max(ZERO, self._usage(child, key, used) - self._local(child, key)) for child in children), ZERO)

    def _is_below_a_cycle(self, member: Member) -> bool:
        passed = {member}
        while (parent := self._parents.get(member)) is not None:
            if parent in passed:
                return True
            passed.add(parent)
            member = parent
        return False


def _quotas(spec: Object) -> Iterator[tuple[FlavorResource, Quota]]:
    for group in spec.get("resourceGroups") or ():
        for flavor in group.get("flavors") or ():
            for resource in flavor.get("resources") or ():
                limits = (_limit(resource.get("borrowingLimit")), _limit(resource.get("lendingLimit")))
                yield (
                    (flavor["name"], resource["name"]),
                    Quota(parse_quantity(resource.get("nominalQuota", 0)), *limits),
                )


def _limit(written: str | int | None) -> Fraction | None:
    return None if written is None else parse_quantity(written)
