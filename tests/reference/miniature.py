"""A miniature cluster for the core alone: JSON objects, the requests of a pass applied to them, and the plainest of
controllers around it.

Not a simulated API server for stories: it exists so that hypothesis can drive `deciding.decide` through thousands of
states within seconds. Pods are made as LeaderWorkerSet makes them, pass the birth webhook, are bound to the first node
that has room, and are ready at once. Every request is applied as the merge patch that it is, and what comes of it must
be what the request said it expects.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from conformance import names
from conformance.quantities import parse_quantity
from conformance.reference import births, deciding, matching, reading, set_rules, times
from conformance.reference.model import Rules, Snapshot, Taint
from conformance.reference.writes import Request

Object = dict[str, Any]
RACK, HOST = "rack", names.HOSTNAME


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class Miniature:
    """The objects, by kind and key, and a clock."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.now = 1_800_000_000.0
        self.objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._numbers = itertools.count(1)
        self.passes = self.writes = 0
        self.put("Namespace", "ns")

    # Objects

    def put(self, kind: str, name: str, body: Mapping[str, Any] | None = None, namespace: str = "") -> Object:
        """Create or replace an object; it gets a uid, a revision and a creation time."""
        key, known = (namespace, name), self.all(kind)
        was = known.get(key)
        number = next(self._numbers)
        meta = {
            "uid": was["metadata"]["uid"] if was else f"uid-{number}",
            "creationTimestamp": was["metadata"]["creationTimestamp"] if was else times.show(self.now),
            "generation": 1,
        }
        body = copy.deepcopy(dict(body or {}))
        own = {"name": name, **({"namespace": namespace} if namespace else {}), **meta, "resourceVersion": str(number)}
        body["metadata"] = {**body.get("metadata", {}), **own}
        body.setdefault("kind", kind)
        known[key] = body
        return body

    def all(self, kind: str) -> dict[tuple[str, str], Object]:
        return self.objects.setdefault(kind, {})

    def edit(self, kind: str, name: str, patch: Object, namespace: str = "") -> Object:
        return self.put(kind, name, merged(self.all(kind)[namespace, name], patch), namespace)

    def drop(self, kind: str, name: str, namespace: str = "") -> None:
        self.all(kind).pop((namespace, name), None)

    def snapshot(self) -> Snapshot:
        """Everything, read anew: nothing is remembered, as after a restart."""

        def values(kind: str) -> Iterator[Any]:
            return (reading.read(kind, msgspec.json.encode(obj)) for obj in self.all(kind).values())

        workloads = {w.key: w for w in values("Workload")}
        owned: dict[str, set[tuple[str, str]]] = {}
        for workload in workloads.values():
            if workload.owner:
                owned.setdefault(workload.owner, set()).add(workload.key)
        pods: dict[tuple[str, str, int], dict[tuple[str, str], Any]] = {}
        foreign: dict[str, dict[str, int]] = {}
        for pod in values("Pod"):
            if pod.suspended and pod.group is not None:
                pods.setdefault((pod.namespace, pod.set_name, pod.group), {})[pod.key] = pod
            elif pod.node and not pod.finished:
                of = foreign.setdefault(pod.node, {})
                for resource, amount in pod.requests.items():
                    of[resource] = of.get(resource, 0) + amount
        return Snapshot(
            sets={s.key: s for s in values("LeaderWorkerSet")},
            workloads=workloads,
            owned={uid: frozenset(keys) for uid, keys in owned.items()},
            pods=pods,
            foreign=foreign,
            nodes={n.name: n for n in values("Node")},
            places_version=next(self._numbers),
            cluster_queues={q.name: q for q in values("ClusterQueue")},
            cohorts={c.name: c for c in values("Cohort")},
            local_queues={q.key: q for q in values("LocalQueue")},
            flavors={f.name: f for f in values("ResourceFlavor")},
            topologies={t.name: t for t in values("Topology")},
            checks={c.name: c for c in values("AdmissionCheck")},
            workload_priorities={c.name: c for c in values("WorkloadPriorityClass")},
            namespaces={name: obj["metadata"].get("labels") or {} for (_, name), obj in self.all("Namespace").items()},
        )

    # One pass

    def decide(self) -> deciding.Decisions:
        """One pass on what is there now; its requests are applied in their order."""
        self.passes += 1
        decisions = deciding.decide(self.snapshot(), self.now, self.rules)
        for request in decisions.requests:
            self.apply(request)
        return decisions

    def apply(self, request: Request) -> None:
        """Do what a request asks for, as the API server would."""
        key = (request.namespace, request.name)
        known = self.all(request.kind)
        self.writes += request.kind in ("Workload", "Pod")
        if request.verb == "create":
            assert key not in known, f"{request.kind} {key} is there already"
            self.put(request.kind, request.name, request.body, request.namespace)
        elif request.verb == "patch":
            assert key in known, f"{request.kind} {key} is patched and not there"
            self._patch(request, known[key])
        else:
            self._delete(request.kind, key)

    def _patch(self, request: Request, was: Object) -> None:
        patch = dict(request.body or {})
        meta = dict(patch.get("metadata") or {})
        assert meta.pop("uid", was["metadata"]["uid"]) == was["metadata"]["uid"], "patched by another uid"
        assert meta.pop("resourceVersion", was["metadata"]["resourceVersion"]) == was["metadata"]["resourceVersion"]
        only = {"status": patch.get("status")} if request.subresource else {**patch, "metadata": meta}
        became = self.put(request.kind, request.name, merged(was, only), request.namespace)
        if became["metadata"].get("deletionTimestamp") and not became["metadata"].get("finalizers"):
            self.drop(request.kind, request.name, request.namespace)
        if request.expected is not None:
            read = reading.read(request.kind, msgspec.json.encode(became))
            assert _but_for_revision(read) == _but_for_revision(request.expected), request.why

    def _delete(self, kind: str, key: tuple[str, str]) -> None:
        found = self.all(kind).get(key)
        if found is None:
            return
        if found["metadata"].get("finalizers"):
            if not found["metadata"].get("deletionTimestamp"):
                self.edit(kind, key[1], {"metadata": {"deletionTimestamp": times.show(self.now)}}, key[0])
        elif kind == "Pod" and found["spec"].get("nodeName") and not found["metadata"].get("deletionTimestamp"):
            self.edit(kind, key[1], {"metadata": {"deletionTimestamp": times.show(self.now)}}, key[0])
        else:
            self.drop(kind, key[1], key[0])

    # The controllers around it

    def controllers(self) -> bool:
        """LeaderWorkerSet, StatefulSet, garbage collector, scheduler and kubelet; whether anything changed."""
        before = next(self._numbers)
        self._finish_terminating()
        self._collect_garbage()
        self._make_pods()
        self._bind()
        return next(self._numbers) > before + 1

    def _finish_terminating(self) -> None:
        for (namespace, name), pod in list(self.all("Pod").items()):
            if pod["metadata"].get("deletionTimestamp"):
                self.drop("Pod", name, namespace)
                next(self._numbers)

    def _collect_garbage(self) -> None:
        uids = {obj["metadata"]["uid"] for obj in self.all("LeaderWorkerSet").values()}
        for key, workload in list(self.all("Workload").items()):
            owners = [ref["uid"] for ref in workload["metadata"].get("ownerReferences") or ()]
            if owners and not any(uid in uids for uid in owners) and "deletionTimestamp" not in workload["metadata"]:
                self._delete("Workload", key)
        for key, pod in list(self.all("Pod").items()):
            lws = self.all("LeaderWorkerSet").get((key[0], pod["metadata"]["labels"].get(names.SET_NAME, "")))
            index = int(pod["metadata"]["labels"].get(names.GROUP_INDEX, "0"))
            made_by = pod["metadata"].get("annotations", {}).get("test/set-uid")
            if made_by and (
                lws is None or lws["metadata"]["uid"] != made_by or index >= lws["spec"].get("replicas", 1)
            ):
                self._delete("Pod", key)

    def _make_pods(self) -> None:
        for (namespace, name), lws in list(self.all("LeaderWorkerSet").items()):
            size = lws["spec"]["leaderWorkerTemplate"].get("size", 1)
            for group, worker in itertools.product(range(lws["spec"].get("replicas", 1)), range(size)):
                pod_name = f"{name}-{group}" + (f"-{worker}" if worker else "")
                if (namespace, pod_name) not in self.all("Pod"):
                    self.put("Pod", pod_name, self._born(self._pod(lws, group, worker, pod_name)), namespace)

    def _pod(self, lws: Object, group: int, worker: int, name: str) -> Object:
        both = lws["spec"]["leaderWorkerTemplate"]
        template = copy.deepcopy(both.get("leaderTemplate") if worker == 0 else None) or copy.deepcopy(
            both["workerTemplate"]
        )
        meta = template.setdefault("metadata", {})
        set_name = lws["metadata"]["name"]
        own = {names.SET_NAME: set_name, names.GROUP_INDEX: str(group), names.WORKER_INDEX: str(worker)}
        meta["labels"] = {**meta.get("labels", {}), **own, names.REVISION: "1"}
        leader = {} if worker == 0 else {names.LEADER_NAME: f"{set_name}-{group}"}
        meta["annotations"] = {
            **meta.get("annotations", {}),
            names.GROUP_SIZE: str(both.get("size", 1)),
            "test/set-uid": lws["metadata"]["uid"],
            **leader,
        }
        meta.update(name=name, namespace=lws["metadata"]["namespace"])
        return {"apiVersion": "v1", "kind": "Pod", **template, "status": {"phase": "Pending"}}

    def _born(self, pod: Object) -> Object:
        return births.mutate(pod, self.snapshot()) or pod

    def _bind(self) -> None:
        for (namespace, name), pod in list(self.all("Pod").items()):
            spec = pod["spec"]
            if spec.get("schedulingGates") or spec.get("nodeName") or pod["metadata"].get("deletionTimestamp"):
                continue
            node = next((node for node in self.all("Node").values() if self._has_room(node, pod)), None)
            if node is not None:
                ready = [{"type": "Ready", "status": "True", "lastTransitionTime": times.show(self.now)}]
                patch = {
                    "spec": {"nodeName": node["metadata"]["name"]},
                    "status": {"phase": "Running", "conditions": ready},
                }
                self.edit("Pod", name, patch, namespace)

    def _has_room(self, node: Object, pod: Object) -> bool:
        labels = node["metadata"].get("labels") or {}
        selector = pod["spec"].get("nodeSelector") or {}
        if node["spec"].get("unschedulable") or any(labels.get(key) != value for key, value in selector.items()):
            return False
        tolerations = reading.read("Pod", msgspec.json.encode(pod)).tolerations
        taints = [Taint(t["key"], t.get("value", ""), t["effect"]) for t in node["spec"].get("taints") or ()]
        if not matching.tolerates_all(tolerations, tuple(taints)):
            return False
        if HOST in selector:
            return True  # who names the host has counted its room; if not, the test is to see that
        here = [p for p in self.all("Pod").values() if p["spec"].get("nodeName") == node["metadata"]["name"]]
        for resource, amount in node["status"]["allocatable"].items():
            used = sum(asked(p, resource) for p in here)
            if used + asked(pod, resource) > parse_quantity(amount):
                return False
        return True

    def settle(self, limit: int = 80) -> None:
        """Passes and controllers in turn until nothing changes any more; time jumps to whatever is due within a minute.

        Raises AssertionError when it does not come to rest.
        """
        for _ in range(limit):
            decisions = self.decide()
            changed = self.controllers()
            if not decisions.requests and not changed:
                if decisions.wake_at is None or decisions.wake_at > self.now + 60:
                    return
                self.now = max(decisions.wake_at, self.now + 1)
            self.now += 0.1
        last = [(request.verb, request.kind, request.name, request.why) for request in decisions.requests]
        raise AssertionError(f"not at rest after {limit} passes; the last one wanted {last}")

    # What a user does

    def queue(self, name: str, cpu: int, *, cohort: str = "", flavor: str = "f", **spec: Any) -> None:
        """A ClusterQueue with a LocalQueue of the same name."""
        quota = spec.pop("quota", {})
        group = {
            "coveredResources": ["cpu"],
            "flavors": [{"name": flavor, "resources": [{"name": "cpu", "nominalQuota": f"{cpu}m", **quota}]}],
        }
        body = {"spec": {"resourceGroups": [group], "namespaceSelector": {}, **spec}}
        if cohort:
            body["spec"]["cohortName"] = cohort
        self.put("ClusterQueue", name, body)
        self.put("LocalQueue", name, {"spec": {"clusterQueue": name}}, "ns")

    def flavor(self, name: str = "f", *, topology: bool = False) -> None:
        spec: Object = {"nodeLabels": {"pool": name}}
        if topology:
            spec["topologyName"] = "t"
            self.put("Topology", "t", {"spec": {"levels": [{"nodeLabel": RACK}, {"nodeLabel": HOST}]}})
        self.put("ResourceFlavor", name, {"spec": spec})

    def node(self, name: str, rack: str, cpu: int, *, flavor: str = "f", unschedulable: bool = False) -> None:
        body = {
            "metadata": {"labels": {"pool": flavor, RACK: rack, HOST: name}},
            "spec": {"unschedulable": unschedulable},
            "status": {
                "allocatable": {"cpu": f"{cpu}m", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
        self.put("Node", name, body)

    def set(
        self,
        name: str,
        queue: str,
        *,
        replicas: int = 1,
        size: int = 2,
        leader: int | None = 100,
        worker: int = 100,
        priority: str = "",
        required: str = "",
    ) -> None:
        """A LeaderWorkerSet, through the mutating webhook."""
        annotations = {names.REQUIRED_TOPOLOGY: required} if required else {}
        if required and leader is not None:
            annotations[names.PODSET_GROUP_NAME] = "both"
        both = {"size": size, "workerTemplate": _template(worker, annotations)}
        if leader is not None:
            both["leaderTemplate"] = _template(leader, annotations)
        labels = {names.QUEUE_NAME: queue} if queue else {}
        labels |= {names.PRIORITY_CLASS: priority} if priority else {}
        body = {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "metadata": {"name": name, "namespace": "ns", "labels": labels},
            "spec": {"replicas": replicas, "leaderWorkerTemplate": both},
        }
        body = set_rules.mutate(body, None, self.snapshot())
        assert not set_rules.validate(body, None), "the miniature writes a set that is refused"
        self.put("LeaderWorkerSet", name, body, "ns")


def asked(pod: Object, resource: str) -> Any:
    """What a pod asks of a resource: the sum of its containers; of `pods`, one."""
    if resource == "pods":
        return 1
    of_each = [(c.get("resources") or {}).get("requests") or {} for c in pod["spec"]["containers"]]
    return sum(parse_quantity(requests.get(resource, "0")) for requests in of_each)


def _template(cpu: int, annotations: Mapping[str, str]) -> Object:
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": f"{cpu}m"}}}
    return {"metadata": {"annotations": dict(annotations)}, "spec": {"containers": [container]}}


def _but_for_revision(value: Any) -> Any:
    changes: dict[str, Any] = {"revision": ""}
    if hasattr(value, "generation"):
        changes["generation"] = 0
    return dataclasses.replace(value, **changes)
