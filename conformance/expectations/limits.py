"""Expectations about sums over a tenant: what may run within quota, what may be on a host, who owns Workloads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from conformance.expectations.model import Observation, expectation, seen
from conformance.expectations.subjects import Queue, WholeSet
from conformance.names import ADMISSION_GATE, GROUP_INDEX, HOSTNAME, QUEUE_NAME
from conformance.trace.assignments import decode
from conformance.trace.history import gates, is_over, is_true, labels
from conformance.trace.quota import Amounts, add, amounts, plain, pod_requests, reserves_quota
from conformance.trace.records import Object


@expectation
def pods_within_quota(queue: Queue) -> Iterator[Observation]:
    """What the ungated and unfinished pods of the queue's sets request is within the nominal quota of the queue.

    Of a queue that borrows nothing: one without a cohort. Terminating pods are not counted.
    """
    if queue.object is None or queue.object["spec"].get("cohortName"):
        return
    requested: Amounts = {}
    pods = [pod for pod in queue.view.all("Pod") if not is_over(pod) and ADMISSION_GATE not in gates(pod)]
    for pod in pods:
        local = queue.view.get("LocalQueue", labels(pod).get(QUEUE_NAME, ""))
        if local is not None and local["spec"]["clusterQueue"] == queue.name:
            add(requested, pod_requests(pod["spec"]))
    for resource, nominal in sorted(_nominal(queue.object).items()):
        found = requested.get(resource, Fraction(0))
        yield seen(queue.title, f"requests[{resource}]", f"≤ {plain(nominal)}", plain(found), found <= nominal)


def _nominal(cluster_queue: Object) -> Amounts:
    """The nominal quota of each resource, summed over flavors."""
    total: Amounts = {}
    for resources in cluster_queue["spec"].get("resourceGroups") or ():
        for flavor in resources["flavors"]:
            add(total, amounts({one["name"]: one["nominalQuota"] for one in flavor["resources"]}))
    return total


@expectation
def ungated_only_if_admitted(whole: WholeSet) -> Iterator[Observation]:
    """Every pod of the set that lacks the admission gate, and is not over, belongs to a group that is Admitted.

    For stories in which no group is removed or evicted: there the pods outlive the admission for a moment.
    """
    for pod in whole.pods:
        if not is_over(pod) and ADMISSION_GATE not in gates(pod):
            group = whole.group(int(labels(pod)[GROUP_INDEX]))
            yield seen(pod, "its Workload is Admitted", True, is_true(group.workload, "Admitted"))


@expectation
def hosts_within_capacity(whole: WholeSet) -> Iterator[Observation]:
    """No host of the tenant is assigned more than it has, by all Workloads together that hold quota."""
    assigned: dict[str, Amounts] = defaultdict(dict)
    for workload in whole.view.all("Workload"):
        if reserves_quota(workload):
            for podset in workload["status"]["admission"]["podSetAssignments"]:
                if podset.get("topologyAssignment"):
                    usage, count = amounts(podset.get("resourceUsage")), podset.get("count", 1)
                    for values, pods in decode(podset["topologyAssignment"]):
                        add(assigned[values[-1]], {name: one / count for name, one in usage.items()}, pods)
    for node in whole.view.all("Node"):
        has = amounts(node["status"].get("allocatable"))
        for resource, total in sorted(assigned.get(labels(node).get(HOSTNAME, ""), {}).items()):
            most = has.get(resource, Fraction(0))
            yield seen(node, f"assigned {resource}", f"≤ {plain(most)}", plain(total), total <= most)


@expectation
def workloads_of_sets_alone(whole: WholeSet) -> Iterator[Observation]:
    """No Workload is owned by a StatefulSet, nor by a pod without being the set's or another set's."""
    of_sets = {workload["metadata"]["uid"] for lws in _sets(whole) for workload in whole.view.owned_workloads(lws)}
    for workload in whole.view.all("Workload"):
        kinds = sorted({owner["kind"] for owner in workload["metadata"].get("ownerReferences") or ()})
        stray = "StatefulSet" in kinds or ("Pod" in kinds and workload["metadata"]["uid"] not in of_sets)
        yield seen(workload, "metadata.ownerReferences[].kind", "no StatefulSet, no Pod alone", kinds, not stray)


def _sets(whole: WholeSet) -> set[str]:
    """The UIDs of the sets that there are, and of the one that is judged."""
    uids = {str(lws["metadata"]["uid"]) for lws in whole.view.all("LeaderWorkerSet")}
    last = whole.view.last_uid("LeaderWorkerSet", whole.name)
    return uids | ({last} if last else set())
