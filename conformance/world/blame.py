"""Whether a wait that ran out says anything about the implementation, or about the harness; pure over a history.

A wait sees the world through the recorder's watches, and the pods that it waits for are run by stand-ins of ours. Where
one of these did not do its part, nobody can say what the implementation did, so the outcome is `error`.
"""

from __future__ import annotations

from typing import Any, Final

from conformance.expectations.model import Expectation, Subject
from conformance.names import HOLD_NOT_READY, HOLD_TERMINATING
from conformance.trace.history import History, annotations_of, describe, is_over, is_true
from conformance.trace.records import Object

RUN_WITHIN: Final = 5.0
"""Seconds within which a kubelet, real or not, begins to run a pod that was bound to its node, or ends one that was
deleted: a wait is given up long after that."""


def harness_fault(
    history: History, subject: Subject[Any], expectations: tuple[Expectation[Any], ...], since: int
) -> str | None:
    """In one sentence, what of the harness kept a wait from coming true; None if nothing did.

    `since` is the revision up to which the wait had seen the world when it began.
    """
    ended = history.stopped.received if history.stopped else history.changes[-1].received
    return _seen_late(history, subject, expectations, since) or no_kubelet(history, ended)


def _seen_late(
    history: History, subject: Subject[Any], expectations: tuple[Expectation[Any], ...], since: int
) -> str | None:
    begun = sum(1 for change in history.changes if change.revision <= since)
    for view in history.views(begun):
        if view.position > begun and all(expectation.holds(subject, view) for expectation in expectations):
            wanted = " and ".join(expectation.name for expectation in expectations)
            return f"{subject.title} was {wanted}, but the watch did not tell it before the deadline"
    return None


def no_kubelet(history: History, ended: float) -> str | None:
    """In one sentence, which pod has waited in vain for its kubelet until this receive time; None if none has."""
    last = history.at(len(history))
    for pod in last.all("Pod"):
        if not is_true(last.get("Node", pod["spec"].get("nodeName", "")), "Ready"):
            continue  # a story takes nodes away, too
        if _waits_for_its_kubelet(pod) and _waited(history, pod, ended) > RUN_WITHIN:
            what = "deleted" if "deletionTimestamp" in pod["metadata"] else "bound to a node"
            return f"{describe(pod)} was {what} and no kubelet did anything about it: see whether KWOK is at work"
    return None


def _waits_for_its_kubelet(pod: Object) -> bool:
    """Bound and not run; or deleted and not ended, though nobody else holds it back."""
    meta = pod["metadata"]
    if not pod["spec"].get("nodeName"):
        return False
    if "deletionTimestamp" in meta:
        return not meta.get("finalizers") and HOLD_TERMINATING not in annotations_of(pod)
    return (
        HOLD_NOT_READY not in annotations_of(pod)
        and not is_over(pod)
        and (pod.get("status") or {}).get("phase", "Pending") == "Pending"
    )


def _waited(history: History, pod: Object, ended: float) -> float:
    """Seconds from the change that made a pod wait for its kubelet."""
    since, uid = ended, pod["metadata"]["uid"]
    for change in reversed([change for change in history.changes if change.uid == uid]):
        if not _waits_for_its_kubelet(change.object):
            break
        since = change.received
    return ended - since
