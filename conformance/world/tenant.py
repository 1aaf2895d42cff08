"""A tenant: the part of the cluster that belongs to one story, and everything the story may do in it.

Its own namespace, LocalQueues, ClusterQueues, ResourceFlavor, Topology and fake racks; nodes are labelled *and* tainted
for it alone, so stories run side by side and never share quota or capacity. All objects carry the run, story and tenant
labels. Nothing here sleeps or polls: every wait is on the trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from conformance.clusters.restarting import Restarting
from conformance.deadlines import Deadlines
from conformance.errors import HarnessError
from conformance.expectations.groups import tried
from conformance.expectations.model import Expectation, Subject
from conformance.expectations.subjects import Group
from conformance.kube import MERGE_PATCH, ApiError, Kube, Object
from conformance.names import GPU, HOLD_NOT_READY, RUN_LABEL, SCOPE_LABEL, STORY_LABEL, TENANT_LABEL
from conformance.trace.history import View, is_true
from conformance.trace.recorder import Recorder
from conformance.trace.records import Answer, Edit, Finding, Moment
from conformance.trace.waiting import Feed, WaitTimedOut
from conformance.world import builders
from conformance.world.builders import SetSpec
from conformance.world.checks import Check
from conformance.world.handles import (
    GroupHandle,
    QueueHandle,
    SetHandle,
    WaitFailed,
    mismatches,
    queue_handle,
    set_handle,
)
from conformance.world.hosts import Hosts
from conformance.world.implementation import ImplementationHandle
from conformance.world.racks import CANARY_HOST, Host, racks
from conformance.world.requests import CANARY, Quota, Requests, groups
from conformance.world.rules import PLAIN, QueueRules, limits
from conformance.world.story import Story
from conformance.world.storylog import StoryLog

S = TypeVar("S")
ONE_GROUP, NOTHING = groups(1), Requests()
ROOMY = "r1: h1 64000/16"
"""The one host of a story that is about quota and not about places."""


@dataclass(frozen=True)
class Ground:
    """What all tenants of a run share."""

    kube: Kube
    recorder: Recorder
    deadlines: Deadlines
    run: str
    canary_class: str
    capabilities: frozenset[str]
    alive: Any
    """Raises Cancelled or HarnessError when the run is over or the cluster broke."""
    scope: str = ""
    """Which of several implementations on the cluster is judged: everything of a tenant carries the label; or none."""
    restarting: Restarting | None = None
    """The implementation's process, where it is ours to stop and start."""
    known_to_fail: Callable[[str], bool] = lambda requirement: False
    """Whether a requirement is a known deviation that always shows."""


class Tenant:
    """The world of one story."""

    def __init__(self, ground: Ground, story: Story, name: str, log: StoryLog) -> None:
        self.ground, self.story, self.name, self.log = ground, story, name, log
        self.labels = {RUN_LABEL: ground.run, STORY_LABEL: story.name, TENANT_LABEL: name}
        if ground.scope:
            self.labels[SCOPE_LABEL] = ground.scope
        self.feed: Feed = ground.recorder.follow(name)
        self._queues: dict[str, str] = {}
        self._group = Requests()
        self._covers: tuple[str, ...] = ()
        self._topology = False
        self._flavors: tuple[str, ...] = (name,)
        self._rules: dict[str, QueueRules] = {}
        self.hosts = Hosts(self)
        self.implementation = ImplementationHandle(self)
        self._canaries = 0
        self.marked: list[tuple[str, Subject[Any], tuple[Expectation[Any], ...]]] = []
        """The moments that were marked, with what was then seen of which subject."""
        self._written: dict[str, int] = {}
        """UID to revision of what the story wrote last: a wait looks only at states in which that has been seen."""
        self.opened = False
        self.has_priority_classes = False
        """Whether WorkloadPriorityClasses of the tenant's own must go at its end: that kind is not recorded."""
        self.waits: list[float] = []
        """How many seconds each wait took that came true."""

    # Setting up

    def open(
        self,
        *,
        quota: Quota | Mapping[str, Quota] = ONE_GROUP,
        group: Requests = NOTHING,
        layout: str = ROOMY,
        topology: bool = False,
        covers: tuple[str, ...] | None = None,
        cohort: bool = False,
        rules: QueueRules | Mapping[str, QueueRules] = PLAIN,
        flavors: tuple[str, ...] = (),
    ) -> None:
        """Make the namespace, flavors, queues and racks.

        `quota` is that of the one LocalQueue `user-queue`, or one per LocalQueue name (each with a ClusterQueue of its
        own, in one `cohort` or in none). `covers` names the resources with quota; by default cpu, and GPUs if the group
        or the quota has some. `rules` are those of all queues, or one per LocalQueue name. `flavors` are racks of the
        layout: each is then a flavor of its own with the whole quota, in this order.
        """
        by_queue = quota if isinstance(quota, Mapping) else {"user-queue": quota}
        self._group, self._topology = group, topology
        has_gpu = bool(group.gpu) or any(one.extra.gpu for one in by_queue.values())
        self._covers = covers or (("cpu", GPU) if has_gpu else ("cpu",))
        self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": self.labels}})
        self._create_service_account()
        if topology:
            self.add(builders.topology(self.name, self.labels))
        self._flavors = tuple(f"{self.name}-{rack}" for rack in flavors) or (self.name,)
        for rack in flavors or (None,):
            self.add(builders.flavor(self.name, self.labels, self.name if topology else None, rack))
        self.opened = True
        for suffix, (local, amount) in zip(("", "-b", "-c", "-d"), by_queue.items(), strict=False):
            queue = self.name + suffix
            self._queues[local] = queue
            self._rules[local] = given = rules.get(local, PLAIN) if isinstance(rules, Mapping) else rules
            nominal = amount.for_group(group)
            of = self._cohort(given.cohort) or (self.name if cohort else None)
            options: dict[str, Any] = {"rules": given, "group": group, "flavors": self._flavors}
            self.add(builders.cluster_queue(queue, self.name, self.labels, nominal, self._covers, of, **options))
            self.add(builders.local_queue(local, self.name, queue, self.labels))
        self.add_hosts(layout, canary_host=topology)

    def _cohort(self, short: str | None) -> str | None:
        return f"{self.name}-{short}" if short is not None else None

    def add_cohort(
        self,
        name: str,
        *,
        parent: str | None = None,
        quota: Quota | None = None,
        borrowing_limit: Quota | None = None,
        lending_limit: Quota | None = None,
    ) -> None:
        """Add a Cohort below another one, or a root; with a `quota` of its own (which may be 0) or with limits."""
        own = None
        if quota or borrowing_limit or lending_limit:
            nominal = (quota or Quota()).for_group(self._group)
            stated = limits(borrowing_limit, lending_limit, self._group)
            own = builders.resource_group(self._flavors, nominal, self._covers, stated)
        made = builders.cohort(f"{self.name}-{name}", self.labels, self._cohort(parent), own)
        self.add(made)

    def priority_classes(self, *values: int) -> tuple[str, ...]:
        """Make WorkloadPriorityClasses of the tenant's own with these values; their names, in the same order."""
        self.has_priority_classes = True
        names = tuple(f"{self.name}-{value}" for value in values)
        for name, value in zip(names, values, strict=True):
            self.add(builders.priority_class(name, value, self.labels, "of one story of the conformance suite"))
        return names

    def _create_service_account(self) -> None:
        """Pods cannot be created before the namespace's default ServiceAccount exists, and the controller that makes it
        is no part of what is judged; so make it here, unless that controller was faster."""
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": self.name},
        }
        try:
            self.ground.kube.create(account)
        except ApiError as error:
            if error.status != 409:
                raise

    def add_hosts(self, layout: str, *, canary_host: bool = False) -> None:
        """Add fake nodes, and check that the cluster shows them exactly as they were laid out."""
        hosts = racks(layout) + ([CANARY_HOST] if canary_host else [])
        for host in hosts:
            self.add(self.hosts.laid_out(host))
        self.log.say(f"hosts: {layout}")
        self.wait_for(
            "every host is Ready with exactly its capacity",
            lambda view: self._as_laid_out(view, hosts) or None,
            "control-plane",
        )

    def _as_laid_out(self, view: View, hosts: list[Host]) -> bool:
        for host in hosts:
            node = view.get("Node", f"{self.name}-{host.name}")
            if node is None:
                return False
            as_wanted = host.node(self.name, self.labels)
            # The API server taints every new node as not ready, and a controller takes that away.
            if not is_true(node, "Ready") or _taints(node) != _taints(as_wanted):
                return False
            wanted = as_wanted["status"]["allocatable"]
            found = node["status"].get("allocatable") or {}
            differing = {key: found.get(key) for key, amount in wanted.items() if not _same(found.get(key), amount)}
            if differing:
                raise HarnessError(
                    f"host {host.name} offers {differing} instead of {wanted}; the story needs exact capacity"
                )
        return True

    # Acting

    def create(self, spec: SetSpec, **world: Any) -> SetHandle:
        """Create a LeaderWorkerSet; the first one also opens the world (arguments as for `open`)."""
        if not self.opened:
            self.open(**{"group": spec.group} | world)
        made = spec.object | {"metadata": spec.object["metadata"] | {"namespace": self.name}}
        self.add(made)
        return set_handle(self, spec)

    def set_quota(self, quota: Quota, queue: str = "user-queue") -> None:
        """Change the nominal quota of the ClusterQueue behind a LocalQueue."""
        nominal = quota.for_group(self._group)
        stated = self._rules[queue].limits(self._group)
        spec = {"resourceGroups": [builders.resource_group(self._flavors, nominal, self._covers, stated)]}
        self.patch("ClusterQueue", self._queues[queue], {"spec": spec}, namespaced=False)

    def cover(self, *resources: str) -> None:
        """From the next `set_quota` on, the ClusterQueue has quota for exactly these resources."""
        self._covers = resources

    def release_pods(self, lws: SetHandle) -> None:
        """Let the pods that `held_not_ready` holds become Ready."""
        for pod in self.feed.view.pods_of_set(lws.spec.name):
            self.patch("Pod", pod["metadata"]["name"], {"metadata": {"annotations": {HOLD_NOT_READY: None}}})

    def canary(self, *, after: tuple[GroupHandle, ...], queue: str = "user-queue") -> GroupHandle:
        """Create a one-pod group that the documented order tries only after the given groups were tried.

        It has a lower WorkloadPriorityClass and is created once the Workloads and pods of those groups have been seen;
        so when it runs, they have been tried. The quota must have `canary_room` for it.
        """
        for group in after:
            group.reached(tried)
        self._canaries += 1
        spec = builders.leader_worker_set(
            f"canary-{self._canaries}",
            size=1,
            leader=None,
            worker=CANARY,
            queue=queue,
            priority_class=self.ground.canary_class,
            on_tenant=self.name if self._topology else None,
            canary=self._topology,
        )
        return self.create(spec).group(0)

    def queue(self, name: str = "user-queue") -> QueueHandle:
        """The ClusterQueue behind a LocalQueue."""
        return queue_handle(self, "ClusterQueue", self._queues[name])

    def local_queue(self, name: str = "user-queue") -> QueueHandle:
        return queue_handle(self, "LocalQueue", name)

    def check(self) -> Check:
        """Add an admission check to the tenant's ClusterQueue, which the story lets groups pass."""
        return Check(self)

    def stop(self, policy: str, queue: str = "user-queue") -> None:
        """Set the stop policy of the ClusterQueue behind a LocalQueue: None, Hold or HoldAndDrain."""
        self.patch("ClusterQueue", self._queues[queue], {"spec": {"stopPolicy": policy}}, namespaced=False)

    def patch(
        self,
        kind: str,
        name: str,
        body: Any,
        *,
        content_type: str = MERGE_PATCH,
        namespaced: bool = True,
        subresource: str | None = None,
    ) -> None:
        """Patch an object of the tenant, or a subresource of it such as `status`."""
        self.ground.alive()
        namespace = self.name if namespaced else None
        answer = self.ground.kube.patch(kind, name, namespace, body, content_type=content_type, subresource=subresource)
        self._edited("patch", kind, answer)
        self.log.manifest("patch", {"kind": kind, "name": name, "patch": body})

    def delete(self, kind: str, name: str, *, namespaced: bool = True, **options: Any) -> None:
        """Delete an object of the tenant in the background; `gracePeriodSeconds` … as keywords."""
        self.ground.alive()
        options = {"propagationPolicy": "Background"} | options
        self.ground.kube.delete(kind, name, self.name if namespaced else None, **options)
        self._write_edit("delete", kind, name, self.feed.latest)
        self.log.say(f"delete {kind} {name}")

    def did(self, verb: str, kind: str, name: str) -> None:
        """Record what the story did to something that is no object of the API."""
        self._write_edit(verb, kind, name, self.feed.latest)
        self.log.say(f"{verb} {kind} {name}")

    def try_create(self, label: str, spec: SetSpec) -> None:
        """Try to create a LeaderWorkerSet, as a dry run: the answer is recorded, whatever it is."""
        made = spec.object | {"metadata": spec.object["metadata"] | {"namespace": self.name}}
        self.attempt(
            label, "create", made["kind"], spec.name, lambda: self.ground.kube.create(made, dryRun="All"), dry_run=True
        )

    def attempt(
        self, label: str, verb: str, kind: str, name: str, request: Callable[[], Object], *, dry_run: bool
    ) -> None:
        """Send a request that may be refused, and record its answer under the label.

        Raises ApiError for an answer that is no judgement of the object: a conflict, a failed webhook, a missing right.
        """
        self.ground.alive()
        status, reason, revision = 200, "", self.feed.latest
        try:
            answer = request()
        except ApiError as error:
            if not error.refused:
                raise
            status, reason = error.status, error.reason
            self.log.say(f"tried {label!r}: {error}")
        else:
            self.log.say(f"tried {label!r}: accepted")
            if not dry_run:
                self._edited(verb, kind, answer)
                revision = int(answer["metadata"]["resourceVersion"])
        self.ground.recorder.write(
            Answer(time.time(), self.story.name, label, verb, kind, self.name, name, status, reason, dry_run, revision)
        )

    def next_second(self, count: int = 1) -> None:
        """Wait until the API server's clock has moved on by whole seconds: where a rule compares creation times."""
        start = self._server_second()
        while self._server_second() < start + count:
            self.ground.alive()
            time.sleep(0.1)

    def _server_second(self) -> int:
        probe = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"generateName": "clock-", "namespace": self.name},
        }
        stamp = self.ground.kube.create(probe, dryRun="All")["metadata"]["creationTimestamp"]
        return int(time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))

    def finding(self, kind: str, text: str, source: str) -> None:
        """Record something worth telling that is no verdict."""
        self.ground.recorder.write(Finding(time.time(), self.story.name, kind, text, source))

    # Waiting

    def wait(
        self, subject: Subject[S], expectations: tuple[Expectation[S], ...], *, moment: str | None, promised: bool
    ) -> None:
        """Wait until all expectations hold of the subject in one state, and mark the moment."""
        if promised and moment not in self.story.moments:
            raise HarnessError(f"story {self.story.name} promises moment {moment!r} but does not declare it")
        wanted = " and ".join(expectation.name for expectation in expectations)
        begun, since, seconds = time.monotonic(), self.feed.latest, self._seconds_for(moment)
        try:
            self.feed.wait(
                lambda view: (self._sees_own_writes() and all(e.holds(subject, view) for e in expectations)) or None,
                seconds,
                self.ground.alive,
            )
        except WaitTimedOut:
            left = mismatches(subject, expectations, self.feed.view)
            reason = f"{subject.title} was not {wanted} within {seconds:g} s"
            raise WaitFailed(
                reason,
                moment=moment,
                promised=promised,
                mismatches=left,
                subject=subject,
                expectations=expectations,
                since=since,
            ) from None
        waited = time.monotonic() - begun
        self.waits.append(waited)
        self.log.say(f"{subject.title}: {wanted} after {waited:.2f} s" + (f" ({moment})" if moment else ""))
        if moment is not None:
            self._mark(moment, waited, wanted, subject.title)
            self.marked.append((moment, subject, expectations))

    def _seconds_for(self, moment: str | None) -> float:
        """What is known to fail gets less time to do so: nothing is decided by it but that it still does."""
        requirement = self.story.moments.get(moment or "")
        known = requirement is not None and self.ground.known_to_fail(requirement)
        return self.ground.deadlines["known-deviation" if known else "wait"]

    def next_promised(self) -> str | None:
        """The first promised moment that has not been reached yet."""
        reached = {name for name, _, _ in self.marked}
        return next((moment for moment in self.story.moments if moment not in reached), None)

    def _sees_own_writes(self) -> bool:
        return all(self.feed.revision_of(uid) >= revision for uid, revision in self._written.items())

    def reached_by_one(self, groups: Sequence[GroupHandle], expectation: Expectation[Group]) -> None:
        """Wait until it holds of one of these groups, whichever that is: what must come of it is for claims to say."""
        since, seconds = self.feed.latest, self._seconds_for(None)
        try:
            self.feed.wait(
                lambda view: any(expectation.holds(group.subject, view) for group in groups) or None,
                seconds,
                self.ground.alive,
            )
        except WaitTimedOut:
            titles = ", ".join(group.subject.title for group in groups)
            raise WaitFailed(
                f"none of {titles} was {expectation.name} within {seconds:g} s",
                moment=None,
                promised=False,
                mismatches=[],
                subject=groups[0].subject,
                expectations=(expectation,),
                since=since,
            ) from None

    def wait_for(self, what: str, test: Any, deadline: str = "wait") -> None:
        """Wait for something of the harness's own; HarnessError if it does not come true."""
        try:
            self.feed.wait(test, self.ground.deadlines[deadline], self.ground.alive)
        except WaitTimedOut:
            raise HarnessError(f"not within {self.ground.deadlines[deadline]:g} s: {what}") from None

    def _mark(self, name: str, waited: float, expectation: str, subject: str) -> None:
        requirement = self.story.moments.get(name)
        mark = Moment(time.time(), self.story.name, name, self.feed.reached, waited, requirement, expectation, subject)
        self.ground.recorder.write(mark)

    def add(self, obj: Object) -> None:
        """Create an object of the tenant."""
        self.ground.alive()
        self._edited("create", obj["kind"], self.ground.kube.create(obj))
        self.log.manifest("create", obj)

    def _edited(self, verb: str, kind: str, answer: Object) -> None:
        meta = answer["metadata"]
        if kind in self.ground.recorder.kinds:
            self._written[meta["uid"]] = int(meta["resourceVersion"])
        self._write_edit(verb, kind, meta["name"], int(meta.get("resourceVersion", 0)))

    def _write_edit(self, verb: str, kind: str, name: str, revision: int) -> None:
        self.ground.recorder.write(Edit(time.time(), self.story.name, verb, kind, self.name, name, revision))


def _taints(node: Object) -> set[tuple[str, str]]:
    return {(taint["key"], taint["effect"]) for taint in node["spec"].get("taints") or ()}


def _same(found: str | None, wanted: str) -> bool:
    from conformance.quantities import parse_quantity

    return found is not None and parse_quantity(found) == parse_quantity(wanted)
