"""The named edits by which the owners of a recorded history's Workloads are doctored; the others are in `doctoring`."""

from __future__ import annotations

from conformance.trace.history import View
from conformance.trace.records import Object
from editing import Edit, Find, When, altered


def disown(find: Find, when: When) -> Edit:
    """The Workload is owned by its pods alone, as one that was made for them."""

    def alter(workload: Object, view: View) -> None:
        owners = workload["metadata"]["ownerReferences"]
        workload["metadata"]["ownerReferences"] = [owner for owner in owners if owner["kind"] == "Pod"]

    return altered("disown", find, when, alter)


def own_by(find: Find, when: When, kind: str) -> Edit:
    """The Workload has an owner of this kind too."""

    def alter(workload: Object, view: View) -> None:
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": "another", "uid": "another"}
        workload["metadata"]["ownerReferences"].append(owner)

    return altered("own_by", find, when, alter)
