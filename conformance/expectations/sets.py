"""Expectations about a whole LeaderWorkerSet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from conformance.expectations.groups import ready
from conformance.expectations.model import Observation, expectation, parametrized, seen, value
from conformance.expectations.subjects import WholeSet
from conformance.names import GROUP_INDEX, KUEUE, WORKER_INDEX
from conformance.trace.history import annotations_of, condition, group_of_workload, is_true, labels
from conformance.trace.records import Object


def _status(whole: WholeSet, field: str) -> object:
    return ((whole.lws or {}).get("status") or {}).get(field, 0)


@expectation
def available(whole: WholeSet) -> Iterator[Observation]:
    """All replicas of the set are ready, and its condition Available is True."""
    if whole.lws is not None:
        state = (condition(whole.lws, "Available") or {}).get("status", "absent")
        yield seen(whole.lws, "status.readyReplicas", whole.replicas, _status(whole, "readyReplicas"))
        yield seen(whole.lws, "status.conditions[Available]", "True", state)


@expectation
def running(whole: WholeSet) -> Iterator[Observation]:
    """Every group's Workload is Admitted, all its pods exist and are Ready, and the set is Available."""
    yield from available.check(whole)
    for index in range(whole.replicas):
        yield from ready.check(whole.group(index))


@parametrized
def ready_groups(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """Exactly this many replicas of the set are ready."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        if whole.lws is not None:
            yield seen(whole.lws, "status.readyReplicas", count, _status(whole, "readyReplicas"))

    return check


@parametrized
def at_least_ready(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """At least this many replicas of the set are ready: what is admitted beyond that is for a claim to say."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        if whole.lws is not None:
            found = int(str(_status(whole, "readyReplicas")))
            yield seen(whole.lws, "status.readyReplicas", f"≥ {count}", found, found >= count)

    return check


@parametrized
def scaled_to(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """The set's leader StatefulSet has been scaled to this many groups, and no other group has one of workers.

    Before that a group that is scaled away may be seen gone and once more created: Kueue deletes its pods with its
    Workload while a StatefulSet still wants them (seen on Kueue 0.19.2 with LWS 0.9.0).
    """

    def check(whole: WholeSet) -> Iterator[Observation]:
        leaders = whole.view.get("StatefulSet", whole.name)
        if leaders is not None:
            status, generation = leaders.get("status") or {}, leaders["metadata"].get("generation")
            yield seen(leaders, "spec.replicas", count, leaders["spec"].get("replicas"))
            yield seen(leaders, "status.observedGeneration", generation, status.get("observedGeneration"))
            yield seen(leaders, "status.replicas", count, status.get("replicas", 0))
            indices = [int(labels(sts).get(GROUP_INDEX, -1)) for sts in whole.labelled("StatefulSet")]
            beyond = sorted(index for index in indices if index >= count)
            yield seen(whole.title, "StatefulSets of workers beyond", [], beyond)

    return check


@parametrized
def admitted_groups(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """Exactly this many groups of the set are Admitted."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        found = [w for w in whole.workloads if (condition(w, "Admitted") or {}).get("status") == "True"]
        if whole.workloads:
            yield seen(whole.title, "Workloads with Admitted=True", count, len(found))

    return check


@parametrized
def at_most_admitted(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """At most this many groups of the set hold quota."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        holding = [w for w in whole.workloads if (condition(w, "QuotaReserved") or {}).get("status") == "True"]
        if whole.workloads:
            yield seen(
                whole.title, "Workloads with QuotaReserved=True", f"≤ {count}", len(holding), len(holding) <= count
            )

    return check


@parametrized
def one_runs(*others: str) -> Callable[[WholeSet], Iterable[Observation]]:
    """The set or one of these others is running."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        sets = [WholeSet(whole.view, name) for name in (whole.name, *others)]
        found = [one.name for one in sets if (seen_of := list(running.check(one))) and all(o.holds for o in seen_of)]
        if whole.lws is not None:
            yield seen(whole.title, "sets that run, of it and others", "at least one", found, bool(found))

    return check


@parametrized
def at_most_one_holds(*others: str) -> Callable[[WholeSet], Iterable[Observation]]:
    """Of the set and these others at most one holds quota."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        sets = [WholeSet(whole.view, name) for name in (whole.name, *others)]
        found = [one.name for one in sets if any(is_true(workload, "QuotaReserved") for workload in one.workloads)]
        if any(one.workloads for one in sets):
            yield seen(whole.title, "sets that hold quota, of it and others", "at most one", found, len(found) <= 1)

    return check


@expectation
def one_workload_per_group(whole: WholeSet) -> Iterator[Observation]:
    """The set owns exactly one Workload for each of its groups."""
    if whole.lws is not None:
        found = Counter(str(group_of_workload(workload, whole.name)) for workload in whole.workloads)
        wanted = Counter(str(index) for index in range(whole.replicas))
        yield seen(whole.lws, "Workloads by group index", dict(sorted(wanted.items())), dict(sorted(found.items())))


@parametrized
def workloads_of(*indices: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """The set owns a Workload for exactly these group indices."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        found = sorted(str(group_of_workload(workload, whole.name)) for workload in whole.workloads)
        yield seen(whole.title, "Workloads by group index", sorted(str(index) for index in indices), found)

    return check


@expectation
def no_workloads(whole: WholeSet) -> Iterator[Observation]:
    """The set exists and owns no Workload."""
    if whole.lws is not None:
        yield seen(whole.lws, "Workloads", 0, len(whole.workloads))


@expectation
def gone(whole: WholeSet) -> Iterator[Observation]:
    """The set, its Workloads, pods, StatefulSets, Service and revisions no longer exist."""
    yield seen(whole.title, "exists", False, whole.lws is not None)
    yield seen(whole.title, "Workloads", 0, len(whole.workloads))
    yield seen(whole.title, "pods", 0, len(whole.pods))
    for kind in ("StatefulSet", "Service", "ControllerRevision"):
        yield seen(whole.title, f"{kind}s", 0, len(whole.labelled(kind)))


@expectation
def exists_with_no_groups(whole: WholeSet) -> Iterator[Observation]:
    """The set exists with zero replicas, and none of its Workloads and pods does."""
    yield seen(whole.title, "exists", True, whole.lws is not None)
    yield seen(whole.title, "status.replicas", 0, _status(whole, "replicas"))
    yield seen(whole.title, "Workloads", 0, len(whole.workloads))
    yield seen(whole.title, "pods", 0, len(whole.pods))


@parametrized
def no_pods_beyond(count: int) -> Callable[[WholeSet], Iterable[Observation]]:
    """No pod of the set, terminating ones included, belongs to a group of this index or above."""

    def check(whole: WholeSet) -> Iterator[Observation]:
        beyond = [p["metadata"]["name"] for p in whole.pods if int(labels(p).get(GROUP_INDEX, "0")) >= count]
        yield seen(whole.title, f"pods of groups ≥ {count}", [], beyond)

    return check


@expectation
def templates_without_kueue_keys(whole: WholeSet) -> Iterator[Observation]:
    """The set's templates carry no label and no annotation of Kueue's."""
    if whole.lws is not None:
        for name, template in _templates(whole.lws).items():
            shell = {"metadata": template.get("metadata") or {}}
            keys = sorted(k for k in (*labels(shell), *annotations_of(shell)) if k.startswith(f"{KUEUE}/"))
            yield seen(whole.lws, f"spec.leaderWorkerTemplate.{name}.metadata", [], keys)


@expectation
def uncreatable_workers(whole: WholeSet) -> Iterator[Observation]:
    """Leaders exist and no worker does, because the API server refused what should create them, as an Event tells."""
    refusals = [
        event
        for event in whole.view.all("Event")
        if event.get("reason") == "FailedCreate"
        and (event.get("regarding") or {}).get("kind") in ("LeaderWorkerSet", "StatefulSet")
    ]
    if refusals:
        leaders = [pod for pod in whole.pods if labels(pod).get(WORKER_INDEX) == "0"]
        yield seen(whole.title, "leader pods", whole.replicas, len(leaders))
        yield seen(whole.title, "worker pods", 0, len(whole.pods) - len(leaders))


@value("spec.leaderWorkerTemplate")
def templates(whole: WholeSet) -> dict[str, object]:
    """The set's leader and worker templates."""
    if whole.lws is None:
        return {}
    return {f"{whole.title} {name}": template for name, template in _templates(whole.lws).items()}


@value("metadata.uid")
def workload_uids(whole: WholeSet) -> dict[str, object]:
    """The identity of each Workload of the set."""
    return {f"Workload {w['metadata']['name']}": w["metadata"]["uid"] for w in whole.workloads}


def _templates(lws: Object) -> dict[str, Object]:
    spec = lws["spec"]["leaderWorkerTemplate"]
    return {name: spec[name] for name in ("leaderTemplate", "workerTemplate") if spec.get(name)}
