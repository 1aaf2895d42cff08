"""One cluster with several references on it, each in a scope of its own, and a teller for each.

Whatever belongs to a scope carries its label, and each reference acts on what carries its own alone; so a faulty one
can do no harm to its neighbours. Its death is no death of the cluster: it ends the stories of its scope only.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance.clusters.applying import path_of, read_documents
from conformance.clusters.local import LocalCluster
from conformance.clusters.restarting import Restarting
from conformance.deadlines import Deadlines
from conformance.errors import Cancelled, HarnessError
from conformance.implementations.reference import RunningReference, access, own_version
from conformance.kube import ApiError, Kube, Object
from conformance.names import RUN_LABEL
from conformance.trace.parts import Part
from conformance.trace.recorder import Recorder
from conformance.world.builders import priority_class
from conformance.world.story import Story
from conformance.world.teller import Teller
from conformance.world.tenant import Ground

if TYPE_CHECKING:
    from conformance.components import Components

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
CANARY_CLASS: Final = "prove-canary"
RUN: Final = "prove"


class InScope(RunningReference):
    """A reference, healthy or faulty, whose end concerns its own scope alone."""

    may_die = True

    def __init__(self, cluster: LocalCluster, scope: str, name: str, fault: str) -> None:
        """`name` is that of its log: a scope's own name says nothing, for three letters are all that fit into the
        name of a user in a client certificate, which has the scope twice."""
        super().__init__(cluster, [], {}, scope, fault)
        self.name = f"reference-{name}"

    def take_away(self) -> None:
        """End its process, and remove its webhooks, should it have left them, and its rights."""
        cluster = self._cluster
        cluster.processes.stop(self.name)
        hooks = [
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": self._hooks}}
            for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
        ]
        for obj in (*hooks, *reversed(access(self.scope))):
            try:
                cluster.kube.raw("DELETE", path_of(obj))
            except ApiError as error:
                if error.status not in (404, 409):
                    raise

    @property
    def _hooks(self) -> str:
        return f"zz-queueing-{self.scope}"

    def death(self) -> str | None:
        """How it ended, if nobody asked it to."""
        death = self._cluster.processes.death_of(self.name)
        return str(death) if death is not None else None


@dataclass
class Scope:
    """A reference that answers, and who tells stories to it."""

    name: str
    """`healthy`, or that of the fault."""
    label: str
    """The value of the scope label, which also begins the names of the scope's tenants."""
    reference: InScope
    part: Part
    teller: Teller
    alive: Callable[[], None]
    """Raises when all scopes are over: Cancelled when they are being ended, HarnessError when the cluster broke."""
    lost: list[str]
    """Why nothing more can be told here, in sentences."""


class Scopes:
    """The cluster, and what its scopes share: one recorder and one client."""

    def __init__(self, components: Components, folder: Path, *, slow: float, trace: bool, at_once: int) -> None:
        """`trace`: whether the recorded history is kept in a file; `at_once`: stories told at once in each scope."""
        self.cluster = LocalCluster(components, deadlines=Deadlines(slow))
        self.at_once = at_once
        self._components, self._folder = components, folder
        self._trace = folder / "trace.ndjson" if trace else Path(os.devnull)
        self._crds: list[Object] = []
        self._over = threading.Event()
        self._broken: str | None = None
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Bring the cluster up, with the reference's CRDs, and begin to record.

        Raises UsageError or HarnessError, with nothing left running.
        """
        self._crds = list(own_version(read_documents(self._components.manifest("kueue"))))
        cluster = self.cluster
        cluster.start()
        try:
            cluster.on_broken(self._break)
            self._kube = Kube(cluster.kubeconfig, "kueue-lws-conformance/world", timeout=cluster.deadlines["request"])
            watching = Kube(cluster.kubeconfig, "kueue-lws-conformance/recorder", timeout=cluster.deadlines["request"])
            self._apply_crds()
            self.recorder = Recorder(watching, self._trace, run=RUN, ordered=True, on_error=self._break)
            self.recorder.start(cluster.deadlines["controllers"])
            self._kube.create(priority_class(CANARY_CLASS, -100, {RUN_LABEL: RUN}))
        except BaseException:
            self.stop(failed=True)
            raise

    def _apply_crds(self) -> None:
        from conformance.clusters.applying import apply_all, are_served, served_by

        seconds = self.cluster.deadlines["controllers"]
        apply_all(self.cluster.kube, self._crds, deadline=seconds)
        needed = [each for crd in self._crds for each in served_by(crd)]
        self.cluster.wait_until("the CRDs are served", lambda: are_served(self.cluster.kube, needed), seconds)

    def stop(self, *, failed: bool) -> None:
        """End everything."""
        self.cancel()
        if hasattr(self, "recorder"):
            self.recorder.stop()
        self.cluster.stop(failed=failed)

    def cancel(self) -> None:
        """End every wait."""
        self._over.set()
        if hasattr(self, "recorder"):
            self.recorder.wake()

    @property
    def broken(self) -> str | None:
        """What broke the cluster, if anything did."""
        return self._broken

    def _break(self, message: str) -> None:
        self._broken = self._broken or message
        if hasattr(self, "recorder"):
            self.recorder.wake()

    def alive(self) -> None:
        """Raises Cancelled when everything is being ended, HarnessError when the cluster or the recorder broke."""
        if self._broken is not None:
            raise HarnessError(self._broken)
        if self._over.is_set():
            raise Cancelled("interrupted")

    @contextlib.contextmanager
    def opened(
        self, name: str, fault: str, deadlines: Deadlines, of_story: Callable[[Story], Deadlines] | None = None
    ) -> Iterator[Scope]:
        """A scope with a reference that has this fault (none, if empty), for as long as the context lasts."""
        self.alive()
        label, lost = self._label_of(name), list[str]()
        reference = InScope(self.cluster, label, name, fault)
        try:
            reference.put_on()
            part = Part(self.recorder, name)
            ground = Ground(
                self._kube,
                part,
                deadlines,
                label,
                CANARY_CLASS,
                self.cluster.capabilities,
                lambda: self._alive(reference, lost),
                label,
                Restarting(reference, lost.append),
            )
            logs = self._folder / "stories" / name
            teller = Teller(ground, logs=logs, at_once=self.at_once, keep_namespaces=True, deadlines=of_story)
            try:
                yield Scope(name, label, reference, part, teller, self.alive, lost)
            finally:
                teller.end()
        finally:
            if self._broken is None and not self._over.is_set():
                reference.take_away()

    def _alive(self, reference: InScope, lost: list[str]) -> None:
        self.alive()
        death = lost[0] if lost else reference.death()
        if death is not None:
            raise HarnessError(death.partition(";")[0])

    def _label_of(self, name: str) -> str:
        with self._lock:
            number = self._numbers.setdefault(name, len(self._numbers))
        return f"p{_DIGITS[number // len(_DIGITS)]}{_DIGITS[number % len(_DIGITS)]}"
