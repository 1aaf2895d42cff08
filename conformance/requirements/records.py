"""The shape of a requirement record and the words that may stand in it.

A record states one requirement: its id for ever, one normative sentence, where it comes from, and whether a story tells
it. Reading records is `loading`'s work, deciding which of them are judged here and now is `applies`'s.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from conformance.outcomes import Level

AREAS: Final[dict[str, str]] = {
    "qsel": "Queue selection",
    "def": "Defaulting",
    "wl": "Workloads",
    "pod": "Pods",
    "adm": "Admission and gating",
    "quo": "Quota accounting",
    "up": "Scale up",
    "down": "Scale down",
    "zero": "Scale to zero",
    "del": "Deletion",
    "pre": "Preemption",
    "evi": "Eviction and requeueing",
    "deact": "Deactivation",
    "stop": "Stopped queues",
    "pri": "Priority and order",
    "qch": "Queue change",
    "val": "Refusals",
    "roll": "Rolling update and surge",
    "rst": "Restart policies",
    "fail": "Failing pods and nodes",
    "start": "Startup policies",
    "tas": "Topology aware scheduling",
    "vectors": "Topology vectors",
    "name": "Names",
    "ns": "Namespaces and unlabelled sets",
    "coh": "Cohorts",
    "flv": "Flavors",
    "obs": "Observability",
    "res": "Resilience",
    "mk": "MultiKueue",
    "misc": "Miscellaneous",
}
"""Area to title, in reading order. The records of an area are in `<area>.yaml`; their ids begin with its name."""

FEATURES: Final[dict[str, str]] = {
    "core": "queueing a set group by group; every implementation has it",
    "scaling": "changing the number of groups",
    "topology": "placing a group within one domain of the topology",
    "topology-slices": "placing slices of a group within domains",
    "node-replacement": "moving the pods of a lost node within their domain",
    "preemption": "evicting groups for others",
    "cohorts": "borrowing, lending and reclaiming quota",
    "flavors": "several flavors, their node labels, taints and tolerations",
    "admission-checks": "admission that waits for checks",
    "rolling-update": "updates of the pod templates, surge, partition",
    "stop-policy": "queues that are held or drained",
    "gated-by": "the annotation that holds back admission",
    "pods-ready": "the PodsReady condition and what follows from it",
    "defaulting": "the default LocalQueue and the default priority class",
    "priority": "priority classes and the order they give",
}
"""What an implementation declares, with its meaning. `core` cannot be un-declared."""

CAPABILITIES: Final[dict[str, str]] = {
    "fake-nodes": "nodes without a kubelet (KWOK), made for each tenant",
    "edits-nodes": "nodes may be created, changed and deleted while a story is told",
    "runs-containers": "real kubelets that run containers",
    "restarts-implementation": "the implementation may be stopped and started",
    "configures-implementation": "the implementation may be run with another configuration",
    "single-etcd": "resource versions of different kinds can be compared",
    "owns-cluster": "the cluster is ours and may be deleted",
    "several-clusters": "a manager cluster and worker clusters",
}
"""What a cluster can offer, with its meaning; the clusters' own names for the same."""

PROFILES: Final[dict[str, str]] = {
    "page": "what the user page promises",
    "core": "every MUST, and the vectors V1-V19 and V22",
    "full": "core, every SHOULD, and the vectors V20 and V21",
    "strict": "full, and names, encodings, texts and events",
}
"""Profile to meaning. REPORT records are shown and are in no profile."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a requirement comes from: the name of the page section, KEP, issue or file, and its address."""

    text: str
    link: str


class Versions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Releases at which something begins or ends, by component.

    More than one stands for a change that was carried back: the first release of each minor line that has it, lowest
    first. Lines above the highest one have it too, lines between and below the named ones do not.
    """

    kueue: str | tuple[str, ...] = ()
    lws: str | tuple[str, ...] = ()

    def of(self, component: str) -> tuple[str, ...]:
        """The releases of `kueue` or `lws`; none if the component does not matter."""
        found: str | tuple[str, ...] = getattr(self, component)
        return (found,) if isinstance(found, str) else found

    def __str__(self) -> str:
        named = (("Kueue", self.of("kueue")), ("LWS", self.of("lws")))
        return ", ".join(f"{name} {' / '.join(releases)}" for name, releases in named if releases)


class NotClaimed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"reason": "not-claimed"}):
    """The status of a requirement that no story tells, and why."""

    reason: str


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One record of the catalogue.

    `since` is the first release that it applies to, `until` the first that it no longer applies to. `inferred` marks a
    requirement that was concluded from code and stated nowhere; `seen` then says what the real Kueue did, once known.
    `serial` ones need a cluster of their own. The id of a part is that of its whole with a suffix: `WL-07.names`.
    """

    id: str
    level: Level
    sentence: str
    source: Source
    feature: str
    needs: tuple[str, ...]
    status: Literal["claimed"] | NotClaimed
    since: Versions = Versions()
    until: Versions = Versions()
    page: bool = False
    serial: bool = False
    inferred: bool = False
    seen: str = ""
    note: str = ""

    @property
    def area(self) -> str:
        return area_of(self.id)

    @property
    def claimed(self) -> bool:
        return self.status == "claimed"

    @property
    def reason(self) -> str:
        """Why no story tells it; empty if one does."""
        return self.status.reason if isinstance(self.status, NotClaimed) else ""

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that judge it, narrowest first. None does for REPORT."""
        by_level = {
            Level.MUST: ("core", "full", "strict"),
            Level.SHOULD: ("full", "strict"),
            Level.STRICT: ("strict",),
            Level.REPORT: (),
        }
        return (("page",) if self.page else ()) + by_level[self.level]


def area_of(requirement: str) -> str:
    """The area to which an id belongs, which need not be one that exists."""
    prefix = requirement.partition("-")[0].lower()
    return "vectors" if prefix[:1] == "v" and prefix[1:2].isdigit() else prefix
