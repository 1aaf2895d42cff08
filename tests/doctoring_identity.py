"""Edits of what Workloads and pods tell of themselves: labels, finalizers, templates; see `doctoring`."""

from __future__ import annotations

from conformance.names import JOB_UID, KUEUE
from conformance.trace.history import View
from conformance.trace.records import Object
from editing import Edit, Find, When, altered


def name_no_set(find: Find, when: When) -> Edit:
    """The Workload does not say whose it is by its label."""

    def alter(workload: Object, view: View) -> None:
        del workload["metadata"]["labels"][JOB_UID]

    return altered("name_no_set", find, when, alter)


def finalize(find: Find, when: When) -> Edit:
    """The pod has a finalizer of Kueue."""

    def alter(pod: Object, view: View) -> None:
        pod["metadata"]["finalizers"] = [f"{KUEUE}/managed"]

    return altered("finalize", find, when, alter)


def unmark(find: Find, when: When, podset: int, field: str) -> Edit:
    """A podset of the Workload has lost its labels or its annotations."""

    def alter(workload: Object, view: View) -> None:
        del workload["spec"]["podSets"][podset]["template"]["metadata"][field]

    return altered(f"unmark_{podset}_{field}", find, when, alter)
