"""The named edits by which a recorded history is doctored: each makes one thing wrong, so that something must notice.

What they look for, in which state, and how that comes to differ is said in the words of `editing`.
"""

from __future__ import annotations

from conformance.names import (
    GROUP_INDEX_OF_WORKLOAD,
    HOSTNAME,
    QUEUE_NAME,
)
from conformance.trace.assignments import decode
from conformance.trace.history import History, View, labels
from conformance.trace.records import Change, Object
from doctoring_pods import hosts, rack_of
from editing import (
    Edit,
    Find,
    When,
    added,
    altered,
    always_altered,
    first,
    never_deleted,
    removed,
    set_condition,
    state_at,
)

# Any object


def replace_uid(find: Find, when: When) -> Edit:
    """Another object has taken its place: the same name, another UID."""

    def alter(obj: Object, view: View) -> None:
        obj["metadata"]["uid"] = "another"

    return altered("replace_uid", find, when, alter)


def lose(find: Find, when: When) -> Edit:
    """It is gone for a while."""
    return removed("lose", find, when)


def leave_behind(find: Find, when: When) -> Edit:
    """It is not deleted when it should be."""
    return never_deleted("leave_behind", find, when)


# Workloads


def reserve(find: Find, when: When) -> Edit:
    """Quota is reserved for the Workload."""
    return altered("reserve", find, when, lambda workload, view: set_condition(workload, "QuotaReserved", "True"))


def assign(find: Find, when: When) -> Edit:
    """The Workload is assigned a ClusterQueue, though no condition says so."""

    def alter(workload: Object, view: View) -> None:
        workload["status"]["admission"] = {"clusterQueue": view.tenant, "podSetAssignments": []}

    return altered("assign", find, when, alter)


def admit(find: Find, when: When) -> Edit:
    """The Workload is Admitted."""
    return altered("admit", find, when, lambda workload, view: set_condition(workload, "Admitted", "True"))


def unadmit(find: Find, when: When) -> Edit:
    """The Workload is not Admitted for a while."""
    return altered("unadmit", find, when, lambda workload, view: set_condition(workload, "Admitted", "False"))


def never_admit(find: Find, when: When) -> Edit:
    """The Workload is never Admitted, whatever its pods do."""
    return always_altered(
        "never_admit", find, when, lambda workload, view: set_condition(workload, "Admitted", "False")
    )


def readmit(find: Find, when: When) -> Edit:
    """The Workload is Admitted since another time."""

    def alter(workload: Object, view: View) -> None:
        set_condition(workload, "Admitted", "True", lastTransitionTime="2000-01-01T00:00:00Z")

    return altered("readmit", find, when, alter)


def queue_elsewhere(find: Find, when: When) -> Edit:
    """The Workload names another LocalQueue."""

    def alter(workload: Object, view: View) -> None:
        workload["spec"]["queueName"] = "another"

    return altered("queue_elsewhere", find, when, alter)


def charge_elsewhere(find: Find, when: When) -> Edit:
    """The Workload holds its quota in another ClusterQueue."""

    def alter(workload: Object, view: View) -> None:
        workload["status"]["admission"]["clusterQueue"] = "another"

    return altered("charge_elsewhere", find, when, alter)


def recharge_podset(find: Find, when: When, cpu: str) -> Edit:
    """The Workload's last podset is charged another amount of cpu."""

    def alter(workload: Object, view: View) -> None:
        workload["status"]["admission"]["podSetAssignments"][-1]["resourceUsage"]["cpu"] = cpu

    return altered("recharge_podset", find, when, alter)


def recount_podsets(find: Find, when: When, *counts: int) -> Edit:
    """The Workload's podsets have these counts."""

    def alter(workload: Object, view: View) -> None:
        podset = workload["spec"]["podSets"][0]
        workload["spec"]["podSets"] = [podset | {"count": count} for count in counts]

    return altered("recount_podsets", find, when, alter)


def assign_second_rack(find: Find, when: When) -> Edit:
    """One podset of the Workload is assigned a host in another rack than the other one."""

    def alter(workload: Object, view: View) -> None:
        podset = workload["status"]["admission"]["podSetAssignments"][-1]
        taken = _hosts_of(workload, view)
        other = first(
            (node for node in hosts(view) if rack_of(node) not in {*map(rack_of, taken)}), "Node in another rack"
        )
        domain = {"values": [labels(other)[HOSTNAME]], "count": podset["count"]}
        podset["topologyAssignment"] = {"levels": [HOSTNAME], "domains": [domain]}

    return altered("assign_second_rack", find, when, alter)


def assign_to_the_canarys_host(find: Find, when: When) -> Edit:
    """One podset of the Workload is assigned the host on which no group may be."""

    def alter(workload: Object, view: View) -> None:
        podset = workload["status"]["admission"]["podSetAssignments"][-1]
        domain = {"values": [f"{view.tenant}-canary"], "count": podset["count"]}
        podset["topologyAssignment"] = {"levels": [HOSTNAME], "domains": [domain]}

    return altered("assign_to_the_canarys_host", find, when, alter)


def assign_as(find: Find, when: When, **hosts: str) -> Edit:
    """The Workload is assigned these hosts, one pod on each that is named: those of each podset by its name."""

    def alter(workload: Object, view: View) -> None:
        for podset in ((workload.get("status") or {}).get("admission") or {}).get("podSetAssignments") or ():
            domains = [{"values": [f"{view.tenant}-{host}"], "count": 1} for host in hosts[podset["name"]].split()]
            podset["topologyAssignment"] = {"levels": [HOSTNAME], "domains": domains}

    return always_altered("assign_as", find, when, alter)


def never_reserve(find: Find, when: When) -> Edit:
    """No quota is ever reserved for the Workload."""
    return always_altered(
        "never_reserve", find, when, lambda workload, view: set_condition(workload, "QuotaReserved", "False")
    )


def _hosts_of(workload: Object, view: View) -> list[Object]:
    """The nodes that the Workload's assignment names, however it is encoded."""
    podsets = workload["status"]["admission"]["podSetAssignments"]
    named = {values[-1] for podset in podsets for values, _ in decode(podset["topologyAssignment"])}
    return [node for node in view.all("Node") if labels(node)[HOSTNAME] in named]


def duplicate(find: Find, when: When) -> Edit:
    """There is a second Workload for the same group."""
    return added("duplicate", find, when, lambda workload, view: None)


def adopt(find: Find, when: When, by: str, index: int) -> Edit:
    """The Workload of another set becomes one of this set and group."""

    def alter(workload: Object, view: View) -> None:
        owner = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": by}
        workload["metadata"]["ownerReferences"] = [owner | {"uid": view.last_uid("LeaderWorkerSet", by)}]
        workload["metadata"]["annotations"][GROUP_INDEX_OF_WORKLOAD] = str(index)

    return altered("adopt", find, when, alter)


def keep_identity(find: Find, before: When, again: When) -> Edit:
    """What is found again later is still the object that it was before."""

    def apply(history: History) -> list[Change]:
        uid = find(state_at(history, before(history)))["metadata"]["uid"]

        def alter(obj: Object, view: View) -> None:
            obj["metadata"]["uid"] = uid

        return always_altered("", find, again, alter).apply(history)

    return Edit("keep_identity", apply)


# Sets


def unready_replica(find: Find, when: When) -> Edit:
    """One replica of the set fewer is ready."""

    def alter(lws: Object, view: View) -> None:
        lws["status"]["readyReplicas"] -= 1

    return altered("unready_replica", find, when, alter)


def want_replicas(find: Find, when: When, replicas: int) -> Edit:
    """The StatefulSet wants another number of pods; its status has seen that."""
    return altered("want_replicas", find, when, lambda sts, view: sts["spec"].update(replicas=replicas))


def keep_replicas(find: Find, when: When, replicas: int) -> Edit:
    """The StatefulSet still has another number of pods."""
    return altered("keep_replicas", find, when, lambda sts, view: sts["status"].update(replicas=replicas))


def unobserved(find: Find, when: When) -> Edit:
    """The StatefulSet's controller has not seen its latest generation."""
    return altered("unobserved", find, when, lambda sts, view: sts["status"].update(observedGeneration=0))


def unavailable(find: Find, when: When) -> Edit:
    """The set is not Available."""
    return altered("unavailable", find, when, lambda lws, view: set_condition(lws, "Available", "False"))


def still_count_replicas(find: Find, when: When) -> Edit:
    """The set says that it has a replica."""

    def alter(lws: Object, view: View) -> None:
        lws["status"]["replicas"] = 1

    return altered("still_count_replicas", find, when, alter)


def change_template(find: Find, when: When) -> Edit:
    """The set's worker template names another image."""

    def alter(lws: Object, view: View) -> None:
        lws["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]["image"] = "another"

    return altered("change_template", find, when, alter)


def mark_template(find: Find, when: When) -> Edit:
    """The set's worker template carries a label of Kueue's."""

    def alter(lws: Object, view: View) -> None:
        template = lws["spec"]["leaderWorkerTemplate"]["workerTemplate"]
        template.setdefault("metadata", {}).setdefault("labels", {})[QUEUE_NAME] = "user-queue"

    return altered("mark_template", find, when, alter)


# Queues


def charge(find: Find, when: When, resource: str, total: str) -> Edit:
    """The queue shows this usage of a resource."""
    return _total("charge", "flavorsUsage", find, when, resource, total)


def hold(find: Find, when: When, resource: str, total: str) -> Edit:
    """The queue shows this reservation of a resource."""
    return _total("hold", "flavorsReservation", find, when, resource, total)


def _total(name: str, field: str, find: Find, when: When, resource: str, total: str) -> Edit:
    def alter(queue: Object, view: View) -> None:
        used = [one for flavor in queue["status"][field] for one in flavor["resources"] if one["name"] == resource]
        first(used, f"{resource} in {field}")["total"] = total

    return altered(name, find, when, alter)


def miscount(find: Find, when: When, **counts: int) -> Edit:
    """The queue counts so many Workloads as `pending`, `reserving` or `admitted`."""

    def alter(queue: Object, view: View) -> None:
        queue["status"] |= {f"{name}Workloads": count for name, count in counts.items()}

    return altered("miscount", find, when, alter)
