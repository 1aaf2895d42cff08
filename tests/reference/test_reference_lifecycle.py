"""Lifecycle: the stages that a Workload goes through besides being admitted, one per pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from small_worlds import NOW, admitted, after, condition, gated, pod, queue, reserving, waiting, world

from conformance import names
from conformance.reference import eviction, lifecycle
from conformance.reference.draft import Draft
from conformance.reference.model import (
    CheckRule,
    CheckState,
    ClusterQueue,
    LocalQueue,
    Pod,
    PodsReadyRules,
    Rules,
    Workload,
)

RUNS = [pod(index=0), pod(index=1)]
GATED = [gated(index=0), gated(index=1)]


def passed(draft: Draft) -> Workload:
    """The Workload of group 0 after one pass."""
    lifecycle.keep(draft)
    found = draft.workload(("ns", "w-0"))
    assert found is not None
    return found


def stages(draft: Draft, passes: int, **changes: Any) -> list[Workload]:
    """The Workload after each of so many passes."""
    found = []
    for _ in range(passes):
        found.append(passed(draft))
        draft = after(draft, **changes)
    return found


def settled(workload: Workload, pods: Iterable[Pod] = (), **others: Any) -> bool:
    """Whether a pass changes nothing about any Workload."""
    draft = world([workload], pods, **others)
    lifecycle.keep(draft)
    return not draft.workloads


def reason(workload: Workload, kind: str) -> tuple[bool, str]:
    return workload.conditions[kind].status, workload.conditions[kind].reason


# Nothing to do


def test_running_group_is_left_alone() -> None:
    """A group that runs costs no write, and neither does one that waits."""
    ready = {"PodsReady": condition(True, "Started")}
    assert settled(admitted(conditions=ready), RUNS)
    assert settled(waiting())
    assert settled(waiting(conditions={"QuotaReserved": condition(False, "Pending")}))
    assert settled(waiting(conditions={"Finished": condition(True), "Evicted": condition(True)}, active=False))


def test_group_recreation_leaves_it_admitted() -> None:
    """A group whose pods are all being replaced keeps its admission (RST-01)."""
    ready = {"PodsReady": condition(True, "Started")}
    it = passed(world([admitted(conditions=ready)], [gated(index=0)]))
    assert it.admitted
    assert reason(it, "PodsReady") == (False, "WaitForRecovery")
    assert not it.evicted


# Deactivation


def test_deactivated_group_goes_and_is_kept() -> None:
    """A deactivated group is evicted, gives its quota up once its pods are gone, and is not tried again (DEACT-01)."""
    draft = world([admitted(active=False, requeues=3, requeue_at=NOW + 9)], RUNS)
    told = passed(draft)
    assert reason(told, "Evicted") == (True, "Deactivated")
    assert told.conditions["Evicted"].message == "The workload is deactivated"
    assert told.reserves
    assert not told.admitted
    assert (told.requeues, told.requeue_at) == (0, None)
    draft = after(draft)
    assert passed(draft) is told
    gone = passed(after(draft, pods={}))
    assert not gone.reserves
    assert reason(gone, "Requeued") == (False, "Deactivated")


def test_deactivated_while_it_waits() -> None:
    """A group that waits and is deactivated is told so once (DEACT-03)."""
    draft = world([waiting(active=False)])
    it = passed(draft)
    assert reason(it, "Evicted") == (True, "Deactivated")
    assert reason(it, "Requeued") == (False, "Deactivated")
    assert passed(after(draft)) is it


def test_reactivated() -> None:
    """A group that is active again is requeued with reason Reactivated (DEACT-02)."""
    inactive = passed(world([waiting(active=False)]))
    it = passed(world([replace(inactive, active=True)]))
    assert reason(it, "Requeued") == (True, "Reactivated")
    assert settled(it)


def test_reactivated_while_its_pods_stop() -> None:
    """An eviction that began is brought to its end, although the group is active again meanwhile."""
    draft = world([admitted(active=False)], RUNS)
    told = replace(passed(draft), active=True)
    assert settled(told, RUNS)
    first, second = stages(world([told]), 2)
    assert not first.reserves
    assert reason(second, "Requeued") == (True, "Reactivated")


# Stopped queues


def stopped(policy: str, where: str) -> dict[str, Any]:
    return {
        "queues": [queue(stop=policy if where == "ClusterQueue" else "None")],
        "local": {"lq": LocalQueue("ns", "lq", cluster_queue="q", stop=policy if where == "LocalQueue" else "None")},  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("where", ["ClusterQueue", "LocalQueue"])
def test_drained_and_back(where: str) -> None:
    """HoldAndDrain evicts admitted groups; they come back when the queue is started again (STOP-01, STOP-03)."""
    draft = world([admitted()], RUNS, **stopped("HoldAndDrain", where))
    told = passed(draft)
    assert reason(told, "Evicted") == (True, f"{where}Stopped")
    assert told.conditions["Evicted"].message == f"The {where} is stopped"
    gone = passed(after(draft, pods={}))
    assert reason(gone, "Requeued") == (False, f"{where}Stopped")
    assert settled(gone, **stopped("HoldAndDrain", where))
    assert settled(gone, **stopped("Hold", where))
    back = passed(world([gone]))
    assert reason(back, "Requeued") == (True, f"{where}Restarted")


@pytest.mark.parametrize("where", ["ClusterQueue", "LocalQueue"])
def test_hold_leaves_admitted_groups(where: str) -> None:
    """Hold takes no admitted group away (STOP-02)."""
    ready = {"PodsReady": condition(True, "Started")}
    assert settled(admitted(conditions=ready), RUNS, **stopped("Hold", where))


@pytest.mark.parametrize("policy", ["Hold", "HoldAndDrain"])
@pytest.mark.parametrize("where", ["ClusterQueue", "LocalQueue"])
def test_hold_takes_reservations(where: str, policy: str) -> None:
    """A reservation that is not admitted yet is taken away where the queue is stopped, without an eviction."""
    check = CheckState("c", "Ready", NOW)
    it = passed(world([reserving(checks=(check,))], **stopped(policy, where)))
    assert not it.reserves
    assert reason(it, "QuotaReserved") == (False, "Inadmissible")
    assert it.conditions["QuotaReserved"].message in ("ClusterQueue q is stopped", "LocalQueue lq is stopped")
    assert not it.evicted
    assert settled(it, **stopped(policy, where))


@pytest.mark.parametrize("missing", [{"queues": []}, {"local": {}}, {"queues": [queue(deleted=True)]}])
def test_reservation_without_its_queue(missing: dict[str, Any]) -> None:
    """A reservation that is not admitted yet is lost with its queue; an admitted group runs on."""
    assert not passed(world([reserving(checks=(CheckState("c", "Pending"),))], **missing)).reserves
    ready = {"PodsReady": condition(True, "Started")}
    assert settled(admitted(conditions=ready), RUNS, **missing)


# Checks


def checking(*rules: CheckRule) -> list[ClusterQueue]:
    return [queue(checks=rules or (CheckRule("c"),))]


def test_required_checks_are_listed() -> None:
    """A reservation has one entry for each check of its queue that is for its flavors, and no other (ADM-10)."""
    rules = (CheckRule("b"), CheckRule("a", frozenset({"default"})), CheckRule("other", frozenset({"spot"})))
    it = passed(world([reserving(checks=(CheckState("gone", "Ready"),))], queues=checking(*rules)))
    assert [(check.name, check.state) for check in it.checks] == [("a", "Pending"), ("b", "Pending")]
    assert not it.admitted
    assert settled(it, queues=checking(*rules))


def test_admitted_once_all_checks_are_ready() -> None:
    """A reservation is admitted when its last check is Ready, not before."""
    rules = (CheckRule("a"), CheckRule("b"))
    one, two = CheckState("a", "Ready", NOW), CheckState("b", "Pending", NOW)
    assert settled(reserving(checks=(one, two)), queues=checking(*rules))
    it = passed(world([reserving(checks=(one, replace(two, state="Ready")))], queues=checking(*rules)))
    assert reason(it, "Admitted") == (True, "Admitted")
    assert it.conditions["Admitted"].since == NOW


def test_delayed_topology_comes_first() -> None:
    """A reservation whose places are to be chosen after the checks is not admitted without them."""
    it = reserving()
    assert it.admission is not None
    given = replace(it.admission.podsets[0], delayed="Pending")
    assert settled(replace(it, admission=replace(it.admission, podsets=(given,))))


def test_retry_evicts_and_comes_back() -> None:
    """A check that says Retry evicts; the group comes back after the time that the check asked for (ADM-10)."""
    check = CheckState("c", "Retry", NOW - 10, "no machines", requeue_after=60)
    draft = world([reserving(checks=(check,))], queues=checking())
    told = passed(draft)
    assert reason(told, "Evicted") == (True, "AdmissionCheck")
    assert told.conditions["Evicted"].message == 'Evicted due to AdmissionCheck in Retry state: "c" (no machines)'
    assert not told.reserves
    assert told.checks[0].state == "Pending"
    assert told.requeue_at == NOW + 50
    waits = after(draft)
    assert passed(waits) is told
    assert waits.wake_at == NOW + 50
    back = passed(after(draft, now=NOW + 50))
    assert reason(back, "Requeued") == (True, "BackoffFinished")
    assert back.requeue_at is None


def test_retry_is_seen_before_the_next_try() -> None:
    """An eviction that is over at once is stored as one before the group is tried again."""
    draft = world([reserving(checks=(CheckState("c", "Retry", NOW),))], queues=checking())
    told = passed(draft)
    assert reason(told, "Requeued") == (False, "AdmissionCheck")
    assert eviction.waits(draft, told)
    assert reason(passed(after(draft)), "Requeued") == (True, "BackoffFinished")


def test_rejected_deactivates() -> None:
    """A check that says Rejected deactivates the group, and says why (ADM-10)."""
    draft = world([reserving(checks=(CheckState("c", "Rejected", NOW, "no"),))], queues=checking())
    told, inactive, done, still = stages(draft, 4)
    assert reason(told, "Evicted") == (True, "DeactivatedDueToAdmissionCheck")
    assert 'AdmissionCheck in Rejected state: "c" (no)' in told.conditions["Evicted"].message
    assert (told.active, inactive.active) == (True, False)
    assert eviction.DEACTIVATION_TARGET not in done.conditions
    assert not done.reserves
    assert reason(done, "Evicted") == (True, "DeactivatedDueToAdmissionCheck")
    assert still is done


def test_retry_evicts_an_admitted_group() -> None:
    """A check may take its word back while the group runs."""
    it = passed(world([admitted(checks=(CheckState("c", "Retry", NOW),))], RUNS, queues=checking()))
    assert reason(it, "Evicted") == (True, "AdmissionCheck")
    assert it.reserves


# Clocks


def test_not_ready_in_time() -> None:
    """A group that is not ready in time is evicted, waits, and comes back (EVI-02)."""
    rules = Rules(PodsReadyRules(timeout=50))
    draft = world([admitted(since=NOW - 49)], RUNS[:1], rules=rules)
    assert passed(draft).admitted
    assert draft.wake_at == NOW + 1
    draft = after(draft, now=NOW + 1)
    assert reason(passed(draft), "Evicted") == (True, "PodsReadyTimeout")
    draft = after(draft, pods={})
    gone = passed(draft)
    assert reason(gone, "Requeued") == (False, "PodsReadyTimeout")
    assert gone.requeue_at == NOW + 61
    draft = after(draft)
    assert passed(draft) is gone
    assert draft.wake_at == NOW + 61
    assert reason(passed(after(draft, now=NOW + 61)), "Requeued") == (True, "BackoffFinished")


def test_longest_execution_time() -> None:
    """A group that ran as long as it may, former admissions counted, is deactivated (EVI-05)."""
    ready = {"PodsReady": condition(True, "Started")}
    it = admitted(since=NOW - 5, max_seconds=20, executed_seconds=10, conditions=ready)
    draft = world([it], RUNS)
    assert passed(draft) is it
    assert draft.wake_at == NOW + 5
    draft = after(draft, now=NOW + 5)
    told = passed(draft)
    assert reason(told, "Evicted") == (True, "DeactivatedDueToMaximumExecutionTimeExceeded")
    assert told.executed_seconds == 0
    assert not passed(after(draft)).active


# The end


def test_eviction_lasts_as_long_as_pods() -> None:
    """Quota is given up when the last started pod is gone, terminating ones counted, gated ones not (PRE-07)."""
    told = eviction.evicted(admitted(), "Preempted", "for another", NOW)
    assert settled(told, [pod(deleted=True), gated(index=1)])
    gone = passed(world([told], GATED))
    assert not gone.reserves
    assert gone.conditions["QuotaReserved"].message == "for another"
    assert reason(gone, "Requeued") == (True, "Preempted")


def test_group_without_pods_is_released() -> None:
    """A group whose pods were never made gives its quota up as well (kueue issue 14574)."""
    assert not passed(world([eviction.evicted(admitted(), "Preempted", "", NOW)])).reserves


def test_finalizer_stays_while_pods_run() -> None:
    """A deleted Workload loses this integration's finalizer, and no other, when no pod of its group runs."""
    it = admitted(deleted=True, finalizers=("example.com/mine", names.RESOURCE_IN_USE))
    assert settled(it, [pod(deleted=True)])
    assert passed(world([it], [gated()])).finalizers == ("example.com/mine",)
    namesakes = [pod(annotations={names.WORKLOAD: "w-of-a-new-set"})]
    assert passed(world([it], namesakes)).finalizers == ("example.com/mine",)


def test_deleted_workload_is_not_judged() -> None:
    """What is deleted is not evicted or requeued any more."""
    it = admitted(deleted=True, active=False)
    assert settled(it, RUNS)


def test_what_this_pass_deletes_is_left_alone() -> None:
    """A Workload that an earlier step of the pass deletes is not changed by this one."""
    draft = world([admitted(active=False)])
    draft.delete_workload(draft.snapshot.workloads["ns", "w-0"])
    lifecycle.keep(draft)
    assert not draft.workloads
