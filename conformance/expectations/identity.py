"""Expectations about what Workloads and pods tell of themselves, and where that leads: labels, templates, ranks."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.expectations.model import Observation, expectation, seen
from conformance.expectations.subjects import Group, WholeSet
from conformance.names import HOSTNAME, JOB_UID, KUEUE, LWS_DOMAIN, WORKER_INDEX
from conformance.trace.assignments import decode
from conformance.trace.history import labels
from conformance.trace.records import Object


@expectation
def labelled_with_its_set(whole: WholeSet) -> Iterator[Observation]:
    """Every Workload of the set carries the UID of the set in its label for that."""
    if whole.lws is not None:
        for workload in whole.workloads:
            uid = whole.lws["metadata"]["uid"]
            yield seen(workload, f"metadata.labels[{JOB_UID}]", uid, labels(workload).get(JOB_UID, "unset"))


@expectation
def pods_without_finalizers(whole: WholeSet) -> Iterator[Observation]:
    """No pod of the set, terminating ones included, has a finalizer of Kueue."""
    for pod in whole.pods:
        found = [one for one in pod["metadata"].get("finalizers") or () if one.startswith(KUEUE)]
        yield seen(pod, "metadata.finalizers", [], found)


@expectation
def podsets_marked_as_templates(group: Group) -> Iterator[Observation]:
    """The podsets of the group's Workload have the labels and annotations of the set's templates.

    Those of Kueue and of LeaderWorkerSet are left out, for others may add and remove them. The templates are matched by
    the name of their container.
    """
    if group.lws is not None and group.workload is not None:
        templates = group.lws["spec"]["leaderWorkerTemplate"]
        wanted = {_role(one): one for key, one in templates.items() if key.endswith("Template")}
        for podset in group.workload["spec"]["podSets"]:
            found, role = podset["template"], _role(podset["template"])
            for field in ("labels", "annotations"):
                path = f"spec.podSets[{role}].template.metadata.{field}"
                yield seen(group.workload, path, _marks(wanted[role], field), _marks(found, field))


@expectation
def workers_fill_hosts_in_order(group: Group) -> Iterator[Observation]:
    """All workers of the group are bound, each to the host that the assignment has for its rank among them."""
    workers = sorted(group.workers, key=lambda pod: int(labels(pod)[WORKER_INDEX]))
    nodes = [group.view.get("Node", pod["spec"].get("nodeName", "")) for pod in workers]
    hosts = [labels(node).get(HOSTNAME) for node in nodes if node is not None]
    assigned = _hosts_of_workers(group)
    if assigned:
        yield seen(group.title, "hosts of the workers by their index", assigned, hosts)


def _hosts_of_workers(group: Group) -> list[str]:
    """The host of each rank, as the assignment of the podset of the workers has them in turn."""
    workload = group.workload or {}
    admission = (workload.get("status") or {}).get("admission") or {}
    podsets = (workload.get("spec") or {}).get("podSets") or ()
    names = {podset["name"] for podset in podsets if _role(podset["template"]) == "worker"}
    for podset in admission.get("podSetAssignments") or ():
        if podset["name"] in names and podset.get("topologyAssignment"):
            return [values[-1] for values, count in decode(podset["topologyAssignment"]) for _ in range(count)]
    return []


def _role(template: Object) -> str:
    return str(template["spec"]["containers"][0]["name"])


def _marks(template: Object, field: str) -> dict[str, str]:
    marks = (template.get("metadata") or {}).get(field) or {}
    return {key: marks[key] for key in sorted(marks) if not key.startswith((KUEUE, LWS_DOMAIN))}
