"""Expectations about pods that are replaced: by a rolling update, a restart, an eviction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from conformance.expectations.groups import complete
from conformance.expectations.model import Expectation, Observation, Value, expectation, parametrized, seen
from conformance.expectations.subjects import Group, WholeSet
from conformance.names import WORKER_INDEX
from conformance.trace.history import labels, status_of
from conformance.trace.records import Object


def replaced(*pods: Object) -> Expectation[Group]:
    """The expectation "these pods were replaced": each is there again by its name, as another, and is Ready."""
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}

    def check(group: Group) -> Iterator[Observation]:
        now = {pod["metadata"]["name"]: pod for pod in group.pods}
        for name, uid in before.items():
            found = now[name]["metadata"]["uid"] if name in now else "absent"
            yield seen(f"Pod {name}", "metadata.uid", f"another than {uid}", found, found not in ("absent", uid))
            state = status_of(now.get(name), "Ready")
            yield seen(f"Pod {name}", "status.conditions[Ready]", "True", state)

    sentence = "Each of these pods is there again by its name, as another, and is Ready."
    return Expectation(f"replaced({', '.join(sorted(before))})", sentence, check)


@parametrized
def of_image(image: str) -> Callable[[Group], Iterable[Observation]]:
    """All pods of the group exist, and every container of them has this image."""

    def check(group: Group) -> Iterator[Observation]:
        yield seen(group.title, "pods", group.size, len(group.pods))
        for pod in group.pods:
            found = sorted({container["image"] for container in pod["spec"]["containers"]})
            yield seen(pod, "spec.containers[].image", [image], found)

    return check


@expectation
def leader_ready(group: Group) -> Iterator[Observation]:
    """The group's leader exists and is Ready."""
    for pod in group.leaders:
        yield seen(pod, "status.conditions[Ready]", "True", status_of(pod, "Ready"))


@expectation
def awaits_check(group: Group) -> Iterator[Observation]:
    """Quota is reserved for the group's Workload, which is not Admitted, and all its admission checks are Pending."""
    if group.workload is not None:
        admission = status_of(group.workload, "Admitted")
        reserved = status_of(group.workload, "QuotaReserved")
        states = {one["state"] for one in (group.workload.get("status") or {}).get("admissionChecks") or ()}
        yield seen(group.workload, "status.conditions[QuotaReserved]", "True", reserved)
        yield seen(group.workload, "status.conditions[Admitted]", "not True", admission, admission != "True")
        yield seen(group.workload, "status.admissionChecks[].state", ["Pending"], sorted(states))


@parametrized
def rolled_out(image: str) -> Callable[[WholeSet], Iterable[Observation]]:
    """The update of the set to this image is over: all its replicas have it, and there are none beyond them."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        if whole.lws is not None:
            status, state = whole.lws.get("status") or {}, status_of(whole.lws, "UpdateInProgress")
            yield seen(whole.lws, "status.conditions[UpdateInProgress]", "not True", state, state != "True")
            for field in ("replicas", "updatedReplicas"):
                yield seen(whole.lws, f"status.{field}", whole.replicas, status.get(field, 0))
            leaders = whole.view.get("StatefulSet", whole.name)
            wanted = leaders["spec"].get("replicas") if leaders is not None else "no StatefulSet"
            yield seen(whole.title, "StatefulSet.spec.replicas", whole.replicas, wanted)
            found = sorted({one["image"] for pod in whole.pods for one in pod["spec"]["containers"]})
            yield seen(whole.title, "images of its pods", [image], found)

    return check


@parametrized
def at_least_complete(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """At least this many groups of the set have all their pods, and these are Ready."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        groups = [whole.group(index) for index in range(whole.replicas)]
        found = sum(all(observation.holds for observation in complete.check(group)) for group in groups)
        if groups:
            yield seen(whole.title, "complete groups", f"≥ {count}", found, found >= count)

    return check


def uids_below(worker: int) -> Value[Group]:
    """The value "who of the group is below this worker index": the identity of its leader and first workers."""

    def read(group: Group) -> dict[str, object]:
        kept = [pod for pod in group.pods if int(labels(pod).get(WORKER_INDEX, "0")) < worker]
        return {f"Pod {pod['metadata']['name']}": pod["metadata"]["uid"] for pod in kept}

    sentence = "The identity of each pod of the group below this worker index."
    return Value(f"uids_below({worker})", "metadata.uid", sentence, read)
