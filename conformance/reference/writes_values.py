"""Values of the model as the API has them: the parts of a Workload's status and of a pod that are written.

Rules: times are whole seconds; a time before which nothing may happen is rounded up. A condition or check has changed
when its status or state has, and then it changed now (Kubernetes API conventions, "Typical status properties"). Texts
that are longer than the CRD allows are cut, since a status that is refused decides nothing.
Source: Kueue `config/components/crd/bases/kueue.x-k8s.io_workloads.yaml` (v1beta2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any, Final

from conformance.reference import amounts, reading_assignments, times
from conformance.reference.model import Admission, Assignment, CheckState, Condition, Toleration, Workload

LONGEST_MESSAGE: Final = 32768
"""Characters of the message of a condition or check."""


# What a Workload comes to once it is written


def settled(was: Workload, becomes: Workload, now: float) -> Workload:
    """`becomes` as the API server will have it: changed conditions and checks changed at `now`, whole seconds."""
    known = {check.name: check for check in was.checks}
    return replace(
        becomes,
        conditions={
            kind: settled_condition(kind, was.conditions.get(kind), condition, now)
            for kind, condition in becomes.conditions.items()
        },
        checks=tuple(settled_check(known.get(check.name), check, now) for check in becomes.checks),
        requeue_at=None if becomes.requeue_at is None else float(ceil(becomes.requeue_at)),
    )


def settled_condition(kind: str, was: Condition | None, becomes: Condition, now: float) -> Condition:
    """One condition as it will be stored."""
    if becomes == was:
        return becomes
    since = becomes.since or was.since if was is not None and same_status(was, becomes) else now
    return Condition(
        status=becomes.status,
        # The API wants a reason; the condition's own name is the usual one where there is nothing more to say.
        reason=becomes.reason or kind,
        message=becomes.message[:LONGEST_MESSAGE],
        since=float(int(since)),
        generation=becomes.generation,
        unknown=becomes.unknown,
    )


def same_status(was: Condition, becomes: Condition) -> bool:
    """Whether a condition stays True, False or Unknown: then it keeps the time of its last transition."""
    return (was.status, was.unknown) == (becomes.status, becomes.unknown)


def settled_check(was: CheckState | None, becomes: CheckState, now: float) -> CheckState:
    """One check as it will be stored; `raw` is the whole entry."""
    if becomes == was:
        return becomes
    since = becomes.since or was.since if was is not None and was.state == becomes.state else now
    it = replace(becomes, message=becomes.message[:LONGEST_MESSAGE], since=float(int(since)))
    return replace(it, raw=_check_entry(it))


# Parts of a Workload's status


def conditions(workload: Workload) -> list[dict[str, Any]]:
    """All conditions: the list is replaced whole."""
    return [_condition(kind, condition) for kind, condition in workload.conditions.items()]


def _condition(kind: str, condition: Condition) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": kind,
        "status": "Unknown" if condition.unknown else "True" if condition.status else "False",
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": times.show(condition.since),
    }
    if condition.generation:
        entry["observedGeneration"] = condition.generation
    return entry


def checks(workload: Workload) -> list[dict[str, Any]] | None:
    """All admission checks, those that did not change as they were read; None for none."""
    return [dict(check.raw) for check in workload.checks] or None


def _check_entry(check: CheckState) -> dict[str, Any]:
    entry = {
        **check.raw,
        "name": check.name,
        "state": check.state,
        "lastTransitionTime": times.show(check.since),
        "message": check.message,
    }
    entry.pop("requeueAfterSeconds", None)
    if check.requeue_after is not None:
        entry["requeueAfterSeconds"] = check.requeue_after
    return entry


def admission(value: Admission | None) -> dict[str, Any] | None:
    """What it was given; None for nothing."""
    if value is None:
        return None
    return {"clusterQueue": value.cluster_queue, "podSetAssignments": [_assignment(a) for a in value.podsets]}


def _assignment(value: Assignment) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": value.podset, "count": value.count}
    if value.flavors:
        entry["flavors"] = dict(sorted(value.flavors.items()))
    if value.usage:
        entry["resourceUsage"] = amounts.show_all(value.usage)
    if value.topology is not None:
        entry["topologyAssignment"] = reading_assignments.encode(value.topology)
    if value.delayed:
        entry["delayedTopologyRequest"] = value.delayed
    return entry


def requeue_state(workload: Workload) -> dict[str, Any] | None:
    """How often it was requeued and when it may be tried again; None for never and now. A null removes one of them."""
    if not workload.requeues and workload.requeue_at is None:
        return None
    at = None if workload.requeue_at is None else times.show(workload.requeue_at)
    return {"count": workload.requeues, "requeueAt": at}


def unhealthy_nodes(workload: Workload) -> list[dict[str, str]] | None:
    return [{"name": name} for name in workload.unhealthy] or None


# Parts of a pod


def toleration(value: Toleration) -> dict[str, Any]:
    """A toleration, with the fields that are set."""
    entry: dict[str, Any] = {
        key: text
        for key, text in (
            ("key", value.key),
            ("operator", value.operator),
            ("value", value.value),
            ("effect", value.effect),
        )
        if text
    }
    if value.seconds is not None:
        entry["tolerationSeconds"] = value.seconds
    return entry


def difference(was: Mapping[str, str], becomes: Mapping[str, str]) -> dict[str, str | None]:
    """The merge patch from one mapping to another: what is new or different, and null for what goes."""
    patch: dict[str, str | None] = {key: text for key, text in becomes.items() if was.get(key) != text}
    patch.update((key, None) for key in was if key not in becomes)
    return patch
