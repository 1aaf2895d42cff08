"""What the clients of an API server did, read from its audit log (NDJSON, level Metadata): requests, writes, refusals.

The log is read line by line; what is kept grows with the kinds of requests, not with their number. Conflicts are told,
not judged: controllers live with them. A component that lacks a right is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from conformance.errors import UsageError
from conformance.report import model

COMPONENTS: Final[dict[str, str]] = {
    "system:apiserver": "kube-apiserver",
    "system:kube-controller-manager": "kube-controller-manager",
    "system:kube-scheduler": "kube-scheduler",
    "system:serviceaccount:kueue-system:kueue-controller-manager": "kueue",
    "system:serviceaccount:lws-system:lws-controller-manager": "lws",
    "system:serviceaccount:queueing-system:queueing-reference": "reference",
}
"""User name to component, for those that are the same on every cluster."""

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
SOURCE: Final = "audit log"


class _User(msgspec.Struct):
    username: str = ""


class _Object(msgspec.Struct):
    resource: str = ""
    subresource: str = ""
    namespace: str = ""


class _Answer(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""


class _Event(msgspec.Struct, rename="camel"):
    """The fields of audit.k8s.io/v1 Event that are read here."""

    stage: str
    verb: str
    user: _User
    audit_id: str = msgspec.field(name="auditID", default="")
    user_agent: str = ""
    request_uri: str = msgspec.field(name="requestURI", default="")
    object_ref: _Object = msgspec.field(default_factory=_Object)
    response_status: _Answer = msgspec.field(default_factory=_Answer)
    annotations: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A kind of request that was answered 403. `by_admission`: the right was there, an admission step said no."""

    client: str
    verb: str
    resource: str
    namespaced: bool
    by_admission: bool


@dataclass(slots=True)
class Traffic:
    """Counts by client. A request is `verb resource`, or `verb resource/subresource`.

    `writes` are the successful ones without dry runs; `conflicts` are updates of an object that had changed.
    """

    requests: dict[str, Counter[str]] = field(default_factory=dict)
    writes: dict[str, Counter[str]] = field(default_factory=dict)
    conflicts: dict[str, Counter[str]] = field(default_factory=dict)
    refusals: Counter[Refusal] = field(default_factory=Counter)
    unreadable: int = 0

    def total(self) -> dict[str, int]:
        """Requests of each client, the busiest first."""
        sums = {client: counts.total() for client, counts in self.requests.items()}
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def writes_as_result(self) -> dict[str, dict[str, int]]:
        """The writes as the result tells them."""
        return {client: dict(sorted(counts.items())) for client, counts in sorted(self.writes.items())}


def read(lines: Iterable[bytes], components: Mapping[str, str] | None = None) -> Traffic:
    """Count the requests in an audit log's lines. `components` adds user names to `COMPONENTS`.

    A line that is no audit event, such as a last one that was cut off, is counted as unreadable.
    """
    decoder = msgspec.json.Decoder(_Event)
    names = {**COMPONENTS, **(components or {})}
    traffic, watching = Traffic(), set[str]()
    for line in lines:
        try:
            event = decoder.decode(line)
        except (msgspec.DecodeError, msgspec.ValidationError):
            traffic.unreadable += 1
            continue
        if _ends_or_opens(event, watching):
            _count(traffic, event, names)
    return traffic


def read_file(path: Path, components: Mapping[str, str] | None = None) -> Traffic:
    """As `read`, for a file. Raises UsageError if it cannot be read."""
    try:
        with path.open("rb") as lines:
            return read(lines, components)
    except OSError as error:
        raise UsageError(f"cannot read the audit log {path}: {error.strerror}") from error


def findings(traffic: Traffic) -> list[model.Finding]:
    """The refusals of components as findings, sorted. What our own clients were refused, a story meant to try."""
    found: list[model.Finding] = []
    for refusal, times in traffic.refusals.items():
        scope = "in a namespace" if refusal.namespaced else "at cluster scope"
        how = "was refused by admission" if refusal.by_admission else "has no right"
        times_text = f"{times} time{'s' if times != 1 else ''}"
        text = f"{refusal.client} {how} to {refusal.verb} {refusal.resource} {scope}: tried {times_text}"
        found.append(model.Finding(kind="forbidden", text=text, source=SOURCE))
    return sorted(found, key=lambda finding: finding.text)


def _ends_or_opens(event: _Event, watching: set[str]) -> bool:
    """Whether this line is the one at which its request is counted: a watch when it opens, all else when it ends."""
    if event.stage == "ResponseStarted":
        watching.add(event.audit_id)
        return True
    if event.audit_id in watching:
        watching.discard(event.audit_id)
        return False
    return event.stage in ("ResponseComplete", "Panic")


def _count(traffic: Traffic, event: _Event, names: Mapping[str, str]) -> None:
    client = _client(event, names)
    target, answer = event.object_ref, event.response_status
    resource = target.resource + (f"/{target.subresource}" if target.subresource else "")
    request = f"{event.verb} {resource or event.request_uri.partition('?')[0]}"
    traffic.requests.setdefault(client, Counter())[request] += 1
    if event.verb in WRITES and 200 <= answer.code < 300 and "dryRun=" not in event.request_uri:
        traffic.writes.setdefault(client, Counter())[request] += 1
    # AlreadyExists is a 409 too, and no conflict.
    if answer.code == 409 and answer.reason == "Conflict":
        traffic.conflicts.setdefault(client, Counter())[request] += 1
    if answer.code == 403 and _is_component(event, names) and not _namespace_is_going(answer):
        by_admission = event.annotations.get("authorization.k8s.io/decision") == "allow"
        traffic.refusals[Refusal(client, event.verb, resource, bool(target.namespace), by_admission)] += 1


def _client(event: _Event, names: Mapping[str, str]) -> str:
    """The component of that user; for others what the user agent calls itself, without version and platform.

    kube-controller-manager has one user for each of its controllers; its user agent holds them together. Our own
    clients share a user and have an agent each.
    """
    known = names.get(event.user.username)
    if known is not None:
        return known
    agent = event.user_agent.partition(" ")[0]
    name, _, version = agent.rpartition("/")
    product = name if name and version[:1] in ("v", *"0123456789") else agent
    return product or event.user.username


def _is_component(event: _Event, names: Mapping[str, str]) -> bool:
    user = event.user.username
    return user in names or (user.startswith("system:") and user != "system:anonymous")


def _namespace_is_going(answer: _Answer) -> bool:
    """Whether a controller was only late: clean-up deletes namespaces while it works."""
    return "because it is being terminated" in answer.message
