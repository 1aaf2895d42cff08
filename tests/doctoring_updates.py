"""The named edits of recorded histories that are about updates, restarts and holds; the others are in `doctoring`."""

from __future__ import annotations

from conformance.trace.history import View
from conformance.trace.records import Object
from editing import Edit, Find, When, WhichGroup, altered, always_altered, set_condition


def last_worker(which: WhichGroup) -> Find:
    """The worker of the highest index."""
    return lambda view: which(view).bind(view).last_worker


def change_image(find: Find, when: When) -> Edit:
    """A container of the pod has another image."""

    def alter(pod: Object, view: View) -> None:
        pod["spec"]["containers"][0]["image"] = "another"

    return altered("change_image", find, when, alter)


def never_ready(find: Find, when: When) -> Edit:
    """The pod is not Ready in its whole life."""
    return always_altered("never_ready", find, when, lambda pod, view: set_condition(pod, "Ready", "False"))


def judge_check(find: Find, when: When, state: str) -> Edit:
    """The Workload's admission checks are in this state."""

    def alter(workload: Object, view: View) -> None:
        workload["status"]["admissionChecks"] = [
            one | {"state": state} for one in workload["status"]["admissionChecks"]
        ]

    return altered("judge_check", find, when, alter)


def update_again(find: Find, when: When) -> Edit:
    """The set says that an update is in progress."""
    return altered("update_again", find, when, lambda lws, view: set_condition(lws, "UpdateInProgress", "True"))


def recount(find: Find, when: When, field: str, count: int) -> Edit:
    """The status of the set counts so many replicas in this field."""
    return altered("recount", find, when, lambda lws, view: lws["status"].update({field: count}))
