"""The invariants: what must hold in every story, whatever it tells. Pure over a history that was read up to the fence
after the clean-up (`until="cleaned"`).

They cover only pods of managed LeaderWorkerSets, terminating and finished ones excluded. A clean-up that goes its
proper way violates none of them. An apparent violation that an interrupted watch may explain is undecided; one that
lasts no longer than the watch lag counts only where the cluster gives an order across kinds.

Here are the invariants about admission as such; those about quota and topology have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Final

from conformance.names import CONTROLLER_REVISION
from conformance.quantities import parse_quantity
from conformance.trace.groups import Groups, Pod, admission_of, is_admitted, is_bound, is_released
from conformance.trace.history import History, labels
from conformance.trace.invariants_lasting import assignment_stays
from conformance.trace.invariants_quota import within_quota
from conformance.trace.invariants_topology import (
    assigned_in_full,
    bound_as_assigned,
    one_domain,
    within_capacity,
)
from conformance.trace.lives import Life
from conformance.trace.quota import plain, reserves_quota
from conformance.trace.records import Object
from conformance.trace.verdicts import Judgement, Looked, Verdict, Violation, judgement, violated


def gated_until_admitted(groups: Groups) -> Iterator[Verdict]:
    """No pod is bound or gate-free unless its Workload was Admitted at some point since the pod was created.

    Exempt are pods of an old revision of their StatefulSet while it is updated (ROLL-09), which are released so that it
    can replace them.
    """
    for pod in groups.pods:
        released = pod.first(is_released)
        if released is None:
            yield Looked.HELD
            continue
        position, state = released
        if groups.lives.lasting(position, partial(_too_early, groups, pod)) is None:
            yield Looked.HELD
        elif groups.lives.hidden(("Workload", "Pod", "StatefulSet", "LeaderWorkerSet"), pod.life.born - 1, position):
            yield Looked.UNDECIDED
        else:
            yield _released_too_early(groups, pod, position, state)


def _too_early(groups: Groups, pod: Pod, position: int) -> bool | None:
    if pod.is_over(position) or pod.is_nobodys(position) or _is_old_revision(pod, position):
        return None
    since = groups.lives.earliest(pod.life.born)
    admitted = any(is_admitted(state) for state in pod.group.workload_states(since, position))
    return None if admitted else True


def _is_old_revision(pod: Pod, position: int) -> bool:
    """Whether the pod's StatefulSet has ever, since the pod was born, been on its way from the pod's revision."""
    revisions = {labels(state).get(CONTROLLER_REVISION) for state in pod.life.between(pod.life.born, position)}
    for state in pod.owners[0].between(pod.life.born, position):
        status = state.get("status") or {}
        current, update = status.get("currentRevision"), status.get("updateRevision")
        if current and update and current != update and revisions - {None} and update not in revisions:
            return True
    return False


def _released_too_early(groups: Groups, pod: Pod, position: int, state: Object) -> Violation:
    workload = pod.group.workload_at(position)
    expected = f"Kueue's gate until {workload[0].title if workload else 'a Workload of its group'} is Admitted"
    observed = f"bound to {state['spec']['nodeName']}" if is_bound(state) else "none of Kueue's gates"
    field = "spec.nodeName" if is_bound(state) else "spec.schedulingGates"
    return violated(groups, pod.life, field, expected, observed, position)


def admitted_with_admission(groups: Groups) -> Iterator[Verdict]:
    """No Workload is ever Admitted without `status.admission`."""
    for life in groups.workloads:
        shown = False
        for position, _, state in life.steps():
            lacks = groups.lives.lasting(position, partial(_lacks_admission, life))
            if lacks and not shown:
                yield violated(groups, life, "status.admission", "set, since Admitted is True", "unset", position)
            elif not lacks and is_admitted(state):
                yield Looked.HELD
            shown = bool(lacks)


def _lacks_admission(life: Life, position: int) -> bool | None:
    state = life.at(position)
    return True if state is not None and is_admitted(state) and not admission_of(state) else None


def nothing_left(groups: Groups) -> Iterator[Verdict]:
    """At the story's end, after its clean-up, a deleted LeaderWorkerSet has left no Workload and no used quota.

    A clean-up that had to take finalizers away violates this too: then something was left.
    """
    if "cleaned" not in groups.history.fences:
        return
    end = groups.lives.end
    left = [*_workloads_left(groups, end), *_quota_left(groups, end)]
    violations = [verdict for verdict in left if isinstance(verdict, Violation)]
    yield from left
    if violations:
        return
    for finding in groups.history.findings:
        if finding.kind == "cleanup":
            expected = "everything of the story to go by itself"
            yield violated(
                groups, f"tenant {groups.history.tenant}", "metadata.finalizers", expected, finding.text, end
            )


def _workloads_left(groups: Groups, end: int) -> Iterator[Verdict]:
    for lws in groups.lives.of("LeaderWorkerSet"):
        state = lws.at(end)
        if state is not None and "deletionTimestamp" not in state["metadata"]:
            continue
        left = [life for life in groups.workloads_of_set.get(lws.uid, ()) if life.at(end) is not None]
        for life in left:
            yield violated(groups, life, "metadata", f"gone, since {lws.title} was deleted", "still there", end)
        if not left:
            yield Looked.HELD


def _quota_left(groups: Groups, end: int) -> Iterator[Verdict]:
    holders = [w for w in groups.lives.present("Workload", end) if reserves_quota(w)]
    in_use = {admission_of(workload)["clusterQueue"] for workload in holders}
    deleted = any(lws.gone is not None for lws in groups.lives.of("LeaderWorkerSet"))
    for life in groups.lives.of("ClusterQueue"):
        state = life.at(end)
        if state is None or not deleted or life.name in in_use:
            continue
        charged = list(_charged(state))
        for field, amount in charged:
            yield violated(groups, life, field, "0, since no Workload reserves quota", amount, end)
        if not charged:
            yield Looked.HELD


def _charged(queue: Object) -> Iterable[tuple[str, str]]:
    status = queue.get("status") or {}
    for name in ("flavorsReservation", "flavorsUsage"):
        for flavor in status.get(name) or ():
            for resource in flavor.get("resources") or ():
                total = parse_quantity(resource.get("total", 0))
                if total != Fraction(0):
                    yield f"status.{name}[{flavor['name']}][{resource['name']}]", plain(total)


Invariant = Callable[[Groups], Iterator[Verdict]]

INVARIANTS: Final[Mapping[str, Invariant]] = {
    "I1": gated_until_admitted,
    "I2": within_capacity,
    "I3": one_domain,
    "I4": assigned_in_full,
    "I5": bound_as_assigned,
    "I6": within_quota,
    "I7": admitted_with_admission,
    "I8": nothing_left,
    "I9": assignment_stays,
}
"""In the order of the reports. The first sentence of an invariant's docstring is its published sentence."""


def sentence(name: str) -> str:
    """The published sentence of an invariant."""
    return " ".join((INVARIANTS[name].__doc__ or "").split("\n\n")[0].split())


def judge_invariants(history: History) -> list[Judgement]:
    """Every invariant over one story's history, in order."""
    groups = Groups(history)
    return [judgement(name, invariant(groups)) for name, invariant in INVARIANTS.items()]
