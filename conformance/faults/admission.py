"""Faults of admission: who is admitted, at once or after all, and what that does to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as but

from conformance.faults.counts import recounted
from conformance.faults.model import fault, replace
from conformance.faults.quota import shares, unlimited
from conformance.reference import admission, eviction, flavors, lifecycle, pods, queue_status, quota
from conformance.reference.draft import Draft
from conformance.reference.flavors import Attempt
from conformance.reference.model import Admission, ClusterQueue, LocalQueue, Usage, Workload
from conformance.reference.quota import Ledger
from conformance.reference.room import Room
from conformance.reference.topology import Places


@fault(
    "A group that does not fit is given a reservation when one of lower priority comes, and loses it again.",
    caught={
        "ADM-02": "no_quota_reserved",
        "ADM-03": "at_most_admitted",
        "COH-02": "no_quota_reserved",
        "COH-05": ("at_most_admitted", "no_quota_reserved"),
        "PRE-10": "no_quota_reserved",
        "PRE-11": "no_quota_reserved",
        "UP-05": "at_most_admitted",
        "I6": "I6",
    },
)
def reserved_without_quota_for_a_moment() -> None:
    refuse, why_stopped = admission.turn_down, lifecycle.why_stopped
    reserved: set[str] = set()

    def turn_down(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload, attempt: Attempt | None) -> None:
        others = (
            it for it in draft.all_workloads() if it.queue == workload.queue and it.namespace == workload.namespace
        )
        passed = any(it.priority < workload.priority and "QuotaReserved" not in it.conditions for it in others)
        if not passed or workload.uid in reserved:
            refuse(draft, room, queue, workload, attempt)
            return
        wanted = flavors.assign(draft, unlimited(draft), Places.of(draft), workload, queue, may_preempt=False)
        if wanted.admission is not None:
            reserved.add(workload.uid)
            message = "Quota reserved"
            it = eviction.marked(
                but(workload, admission=wanted.admission), "QuotaReserved", True, "QuotaReserved", message, draft.now
            )
            draft.put(it)

    def stopped(workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None) -> str:
        return why_stopped(workload, local, queue) or ("There is no quota" if workload.uid in reserved else "")

    replace(admission, "turn_down", turn_down)
    replace(lifecycle, "why_stopped", stopped)


@fault(
    "A group that scale-up adds to a running set needs no quota.",
    caught={"UP-02": "gated", "ADM-03": "ready_groups", "I6": "I6"},
)
def scale_up_needs_no_quota() -> None:
    original = flavors.assign
    waited: set[str] = set()
    free: set[str] = set()
    holding = quota.reservations

    def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
        known = draft.snapshot.workloads
        charged = {key: workload for key, workload in known.items() if workload.uid not in free}
        return holding(Draft(but(draft.snapshot, workloads=charged), draft.now, draft.rules, workloads=draft.workloads))

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
        of_set = (draft.workload(key) for key in draft.snapshot.owned.get(workload.owner, ()))
        if not any(it is not None and it.admitted and it.uid != workload.uid for it in of_set):
            waited.add(workload.uid)
        if workload.uid not in waited:
            ledger, claims = unlimited(draft), None
            free.add(workload.uid)
        return original(draft, ledger, places, workload, queue, claims, may_preempt=may_preempt)

    replace(flavors, "assign", assign)
    replace(quota, "reservations", reservations)


@fault(
    "A Workload is told Admitted before it is given its admission.",
    caught={"I7": "I7"},
)
def admitted_without_admission() -> None:
    original = admission.reserve
    told: set[str] = set()

    def reserve(draft: Draft, workload: Workload, queue: ClusterQueue, given: Admission) -> Workload:
        if workload.uid in told:
            return original(draft, workload, queue, given)
        told.add(workload.uid)
        draft.wake(draft.now)
        return eviction.marked(workload, "Admitted", True, "Admitted", "The workload is admitted", draft.now)

    replace(admission, "reserve", reserve)


@fault(
    "A waiting group is told Admitted when it is deleted, so that its pods may go.",
    caught={"DEL-04": "never admitted", "DOWN-05": "never admitted", "I7": "I7"},
)
def admitted_to_be_deleted() -> None:
    original = lifecycle.finalized

    def finalized(draft: Draft, workload: Workload) -> Workload:
        if workload.finalized and not workload.reserves and not workload.true("Admitted"):
            return eviction.marked(workload, "Admitted", True, "Admitted", "The workload is deleted", draft.now)
        return original(draft, workload)

    replace(lifecycle, "finalized", finalized)


@fault(
    "A group without a leader template is taken for one whose leader is missing, and waits.",
    caught={"UP-08": "running"},
)
def waits_for_a_leader_template() -> None:
    original = admission.attempted

    def attempted(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload) -> Attempt:
        if len(workload.podsets) == 1 and workload.podsets[0].count > 1:
            return Attempt("nofit", refusal="the leader is missing")
        return original(draft, room, queue, workload)

    replace(admission, "attempted", attempted)


@fault(
    "The groups of a set are admitted all together or not at all.",
    caught={"ADM-03": "ready_groups"},
)
def whole_set_or_nothing() -> None:
    original = flavors.assign

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
        found = original(draft, ledger, places, workload, queue, claims, may_preempt=may_preempt)
        of_set = (draft.workload(key) for key in draft.snapshot.owned.get(workload.owner, ()))
        waiting = sum(it is not None and not it.reserves for it in of_set)
        if found.mode != "fit" or found.admission is None or waiting < 2:
            return found
        if not ledger.fits(queue.name, shares(found.admission.usage(), waiting)):
            return Attempt("nofit", refusal="not all groups of the set fit")
        return found

    replace(flavors, "assign", assign)


@fault(
    "When a group is scaled away, the groups of its set that remain are started anew.",
    caught={
        "DOWN-01": "keeps pod_uids",
        "DOWN-07": ("keeps pod_revisions", "keeps admission_time", "complete"),
        "UP-07": "keeps pod_uids",
    },
)
def scale_down_restarts_the_rest() -> None:
    original = lifecycle.finalized

    def finalized(draft: Draft, workload: Workload) -> Workload:
        found = original(draft, workload)
        set_ = draft.snapshot.sets.get((workload.namespace, workload.set_name))
        if found is not workload and set_ is not None and not set_.deleted:
            for other in list(draft.all_workloads()):
                if other.owner == workload.owner and other.admitted and not other.deleted:
                    draft.put(eviction.evicted(other, eviction.PREEMPTED, "Started anew", draft.now))
        return found

    replace(lifecycle, "finalized", finalized)


@fault(
    "An admitted group is told not to be admitted any more as long as its leader runs alone; it keeps its quota.",
    caught={"POD-14": "admitted", "POD-13": "keeps admission_time", "QUO-02": "admitted", "I1": "I1"},
)
def not_admitted_while_pods_are_missing() -> None:
    original = lifecycle.holding

    def leader_alone(draft: Draft, workload: Workload) -> bool:
        there = draft.pods_of(workload.group_key) if workload.group_key else []
        return bool(there) and all(pod.is_leader for pod in there) and len(workload.podsets) > 1

    def holding(draft: Draft, workload: Workload) -> Workload:
        found = original(draft, workload)
        if leader_alone(draft, found) and found.reserves and not found.evicted:
            return eviction.marked(found, "Admitted", False, "PodsMissing", "Pods of the group are missing", draft.now)
        return found

    def counted(draft: Draft, tally: queue_status.Tally, workload: Workload) -> None:
        # Shown only once that is stored, so that whoever waits for the usage sees what is wrong at that moment.
        stored = draft.snapshot.workloads.get(workload.key)
        if workload.reserves and not (leader_alone(draft, workload) and (stored is None or stored.admitted)):
            tally.count(eviction.marked(workload, "Admitted", True, "Admitted", "", 0))
        elif not workload.reserves:
            tally.count(workload)

    replace(lifecycle, "holding", holding)
    recounted(counted)
    replace(pods, "may_run", lambda workload: workload.reserves and not workload.evicted and not workload.deleted)


@fault(
    "Of the queues of a namespace only the first one is served.",
    caught={"ADM-01": "running"},
)
def only_one_queue_of_a_namespace() -> None:
    original = admission.considered

    def considered(draft: Draft, workload: Workload) -> ClusterQueue | None:
        names = sorted(name for namespace, name in draft.snapshot.local_queues if namespace == workload.namespace)
        return original(draft, workload) if workload.queue in names[:1] else None

    replace(admission, "considered", considered)


@fault(
    "When a group does not fit, the running groups of its queue are evicted in case that makes room.",
    caught={
        "ADM-09": ("keeps pod_uids", "keeps admission_time", "complete"),
        "UP-01": "keeps pod_uids",
        "DOWN-05": "keeps pod_uids",
    },
)
def waiting_group_evicts_running_ones() -> None:
    original = admission.turn_down
    known: set[str] = set()

    def turn_down(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload, attempt: Attempt | None) -> None:
        original(draft, room, queue, workload, attempt)
        if workload.uid in known:
            return
        known.add(workload.uid)
        for other in list(draft.all_workloads()):
            given = other.admission
            stored = draft.snapshot.workloads[other.key].admitted
            if stored and other.admitted and given is not None and given.cluster_queue == queue.name:
                draft.put(eviction.evicted(other, eviction.PREEMPTED, "Making room", draft.now))

    replace(admission, "turn_down", turn_down)


@fault(
    "A group that did not fit once is not tried again when quota becomes free.",
    caught={
        "ADM-06": "running",
        "UP-02": "running",
        "UP-05": "running",
        "DOWN-02": "running",
        "QUO-09": "running",
    },
)
def never_retried_for_quota() -> None:
    original = admission.considered

    def considered(draft: Draft, workload: Workload) -> ClusterQueue | None:
        queue = original(draft, workload)
        known = workload.conditions.get("QuotaReserved")
        refused = known is not None and not known.status and known.reason == "Pending"
        return None if refused and "Evicted" not in workload.conditions else queue

    replace(admission, "considered", considered)


@fault(
    "A group whose LocalQueue did not exist is not tried when that appears.",
    caught={"QSEL-08": "ready_groups"},
)
def never_retried_for_a_local_queue() -> None:
    original = admission.considered

    def considered(draft: Draft, workload: Workload) -> ClusterQueue | None:
        queue = original(draft, workload)
        known = workload.conditions.get("QuotaReserved")
        refused = known is not None and not known.status and known.message.startswith("LocalQueue")
        return None if refused and "Evicted" not in workload.conditions else queue

    replace(admission, "considered", considered)
