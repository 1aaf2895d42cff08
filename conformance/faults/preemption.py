"""Faults of preemption: who is evicted, for whom, how, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from conformance.faults.model import fault, replace
from conformance.reference import admission, eviction, lifecycle, pods, preemption, quota
from conformance.reference.draft import Draft
from conformance.reference.flavors import Attempt
from conformance.reference.model import ClusterQueue, Pod, Usage, Workload
from conformance.reference.preemption import Candidate, Search, Standing
from conformance.reference.room import Room

# Who


@fault(
    "All groups of a victim's set are evicted with it.",
    caught={"PRE-02": ("at_most_evicted", "keeps pod_uids", "complete")},
)
def whole_set_preempted() -> None:
    original = preemption.preempt

    def preempt(draft: Draft, victims: Sequence[Workload], preemptor: Workload, queue: ClusterQueue) -> None:
        original(draft, victims, preemptor, queue)
        sets = {victim.owner for victim in victims}
        for other in list(draft.all_workloads()):
            if other.owner in sets and other.admitted and not other.evicted:
                draft.put(eviction.evicted(other, eviction.PREEMPTED, "Preempted with its set", draft.now))

    replace(preemption, "preempt", preempt)


@fault(
    "More groups are evicted than the preemptor needs: all that the policies allow.",
    caught={"PRE-02": ("at_most_evicted", "keeps pod_uids", "complete", "never evicted")},
)
def more_victims_than_needed() -> None:
    replace(preemption, "first_that_fit", lambda search, taken, borrowing: taken)
    replace(preemption, "needed", lambda search, taken, borrowing: taken)


@fault(
    "One pod of a victim is deleted, and the victim keeps its reservation.",
    caught={"PRE-01": "running"},
)
def one_pod_evicted() -> None:
    stopped: set[str] = set()

    def preempt(draft: Draft, victims: Sequence[Workload], preemptor: Workload, queue: ClusterQueue) -> None:
        for victim in victims:
            found = sorted(draft.pods_of(victim.group_key), key=lambda pod: pod.name) if victim.group_key else []
            if found and victim.uid not in stopped:
                stopped.add(victim.uid)
                draft.delete_pod(found[-1])

    replace(preemption, "preempt", preempt)


@fault(
    "Groups of a priority that is not lower are preempted, against the policy of the queue.",
    caught={
        "PRE-10": ("never evicted", "keeps pod_uids"),
        "PRE-11": "no_quota_reserved",
        "PRE-12": ("never evicted", "keeps pod_uids", "running"),
    },
)
def higher_priority_preempted() -> None:
    original = preemption.allowed

    def allowed(search: Search, victim: Workload, place: Standing) -> bool:
        if place.own and search.queue.preemption.within_queue != "Never":
            return True
        return original(search, victim, place)

    replace(preemption, "allowed", allowed)


@fault(
    "A group that waits preempts an older one of equal priority in its queue when one of lower priority comes.",
    caught={"PRE-10": ("never evicted", "keeps pod_uids"), "PRE-12": ("never evicted", "keeps pod_uids")},
)
def older_preempted_late() -> None:
    refuse = admission.turn_down
    done: set[str] = set()

    def turn_down(draft: Draft, room: Room, queue: ClusterQueue, workload: Workload, attempt: Attempt | None) -> None:
        refuse(draft, room, queue, workload, attempt)
        theirs = [
            it for it in draft.all_workloads() if (it.namespace, it.queue) == (workload.namespace, workload.queue)
        ]
        passed = any(it.priority < workload.priority and "QuotaReserved" not in it.conditions for it in theirs)
        for victim in theirs if passed and workload.uid not in done else ():
            equal = victim.admitted and not victim.evicted and victim.priority == workload.priority
            if equal and victim.created < workload.created:
                done.add(workload.uid)
                told = eviction.evicted(victim, eviction.PREEMPTED, "Preempted by a newer one", draft.now)
                draft.put(eviction.marked(told, "Preempted", True, preemption.IN_QUEUE, "newer", draft.now))

    replace(admission, "turn_down", turn_down)


@fault(
    "Groups of other queues of the cohort are preempted although the queue may not reclaim.",
    caught={"PRE-10": ("never evicted", "no_quota_reserved"), "PRE-13": ("never evicted", "keeps pod_uids")},
)
def preempts_without_reclaim() -> None:
    original = preemption.allowed

    def allowed(search: Search, victim: Workload, place: Standing) -> bool:
        return original(search, victim, place) if place.own else True

    def still_allowed(search: Search, candidate: Candidate, borrowing: bool) -> bool:
        return True

    replace(preemption, "allowed", allowed)
    replace(preemption, "still_allowed", still_allowed)


@fault(
    "With LowerOrNewerEqualPriority the older of two groups of equal priority is evicted.",
    caught={"PRE-12": "running"},
)
def older_equal_preempted() -> None:
    original = preemption.allowed

    def allowed(search: Search, victim: Workload, place: Standing) -> bool:
        policy = search.queue.preemption.within_queue
        if place.own and policy == "LowerOrNewerEqualPriority" and search.workload.priority == victim.priority:
            return search.workload.created > victim.created
        return original(search, victim, place)

    replace(preemption, "allowed", allowed)


@fault(
    "A queue that borrows preempts groups of the cohort whatever `maxPriorityThreshold` says.",
    caught={"PRE-13": ("never evicted", "keeps pod_uids")},
)
def priority_threshold_ignored() -> None:
    def may_borrow_from(search: Search, victim: Workload) -> bool:
        return search.queue.preemption.borrow_within_cohort and victim.priority < search.workload.priority

    replace(preemption, "may_borrow_from", may_borrow_from)


@fault(
    "A queue that would have to borrow preempts nobody, though `borrowWithinCohort` lets it.",
    caught={"PRE-13": "running"},
)
def never_preempts_to_borrow() -> None:
    replace(preemption, "may_borrow_from", lambda search, victim: False)


@fault(
    "Groups are evicted for one that does not fit after their eviction either.",
    caught={"PRE-11": ("never evicted", "keeps pod_uids")},
)
def preempts_in_vain() -> None:
    original = preemption.fewest
    served: set[str] = set()

    def fewest(search: Search, everybody: Iterable[Candidate], borrowing: bool) -> list[Candidate] | None:
        candidates = list(everybody)
        found = original(search, candidates, borrowing)
        if found is None and candidates and search.workload.uid not in served:
            served.add(search.workload.uid)
            return candidates
        return found

    replace(preemption, "fewest", fewest)


# How


@fault(
    "A preempted group is told that it is Evicted, and not that it is Preempted.",
    caught={"PRE-01": "preempted", "PRE-12": "preempted", "PRE-13": "preempted"},
)
def preempted_without_saying_so() -> None:
    def preempt(draft: Draft, victims: Sequence[Workload], preemptor: Workload, queue: ClusterQueue) -> None:
        for victim in victims:
            draft.put(eviction.evicted(victim, eviction.PREEMPTED, "Preempted", draft.now))

    replace(preemption, "preempt", preempt)


@fault(
    "A preemptor is admitted as soon as its victims are told to go, while they still hold their reservations.",
    caught={"I6": "I6", "PRE-07": "pods_within_quota"},
)
def victims_do_not_count() -> None:
    def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
        for workload in draft.all_workloads():
            if workload.reserves and workload.admission is not None and not preemption.is_leaving(draft, workload):
                yield workload.admission.cluster_queue, workload.admission.usage()

    replace(quota, "reservations", reservations)


@fault(
    "The pods of an evicted group run on.",
    caught={
        "PRE-01": ("ready_groups", "renews pod_uids", "gated"),
        "PRE-07": ("pods_run_on_reserved_quota", "pods_within_quota"),
        "PRE-12": "gated",
        "PRE-13": "gated",
    },
)
def evicted_pods_run_on() -> None:
    replace(pods, "must_stop", lambda pod: False)
    original = eviction.started_pods

    def started_pods(draft: Draft, workload: Workload) -> list[Pod]:
        return original(draft, workload) if workload.deleted else []

    replace(eviction, "started_pods", started_pods)


# What becomes of it


@fault(
    "A preempted group is never admitted again.",
    caught={"PRE-06": "running"},
)
def victims_not_readmitted() -> None:
    replace(eviction, "AT_ONCE", frozenset({eviction.NODE_FAILURES}))


@fault(
    "The Workload of an evicted group is deleted, and the group gets a new one.",
    caught={"PRE-06": ("keeps workload_uids", "keeps workload_uid")},
    upstream="https://github.com/kubernetes-sigs/kueue/pull/5015",
)
def readmitted_under_a_new_workload() -> None:
    original = lifecycle.next_stage

    def next_stage(draft: Draft, workload: Workload) -> Workload:
        found = original(draft, workload)
        preempted = found.conditions.get("Evicted")
        ended = workload.reserves and not found.reserves and preempted is not None
        if ended and preempted and preempted.reason == eviction.PREEMPTED:
            draft.delete_workload(workload)
            return workload
        return found

    replace(lifecycle, "next_stage", next_stage)
