"""Reading an audit log: requests by client, writes, conflicts, refusals. The recorded lines are a real API server's."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import UsageError
from conformance.report.auditing import COMPONENTS, Traffic, findings, read, read_file

RECORDED = Path(__file__).parent / "data" / "audit.ndjson"
KUEUE = "system:serviceaccount:kueue-system:kueue-controller-manager"


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return read_file(RECORDED)


def event(**more: Any) -> bytes:
    """A line as kube-apiserver writes it, with some of it replaced."""
    whole: dict[str, Any] = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "1",
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/t/pods/p", "verb": "patch",
        "user": {"username": KUEUE, "groups": ["g"]}, "userAgent": "kueue/v0.19.2 (linux/amd64) 1a2b3c4",
        "objectRef": {"resource": "pods", "namespace": "t", "name": "p", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200}, "annotations": {"authorization.k8s.io/decision": "allow"},
    }  # fmt: skip
    return json.dumps({**whole, **more}).encode() + b"\n"


def test_each_request_is_counted_once(traffic: Traffic) -> None:
    """Requests are counted by client, once each although each has several lines, a watch still open among them."""
    assert traffic.requests["kueue"] == Counter(
        {
            "create configmaps": 3,
            "update configmaps": 2,
            "watch configmaps": 2,
            "patch configmaps": 1,
            "patch pods/status": 1,
            "list nodes": 1,
            "list workloads": 1,
        }
    )


def test_totals_by_client(traffic: Traffic) -> None:
    """Components go by their user, our own clients by their user agent; the busiest client comes first."""
    assert list(traffic.total().items()) == [
        ("kueue", 11),
        ("kube-apiserver", 2),
        ("kueue-lws-conformance/setup", 2),
        ("kueue-lws-conformance/world", 2),
        ("lws", 1),
    ]


def test_writes_are_those_that_succeeded(traffic: Traffic) -> None:
    """Refused, conflicting and dry-run requests are no writes."""
    assert traffic.writes_as_result() == {
        "kube-apiserver": {"patch flowschemas/status": 1, "patch servicecidrs/status": 1},
        "kueue": {"create configmaps": 1, "update configmaps": 1},
        "kueue-lws-conformance/setup": {"create clusterrolebindings": 1, "create clusterroles": 1},
        "kueue-lws-conformance/world": {"create namespaces": 1, "delete namespaces": 1},
    }


def test_conflict_is_not_already_exists(traffic: Traffic) -> None:
    """Of the two answers 409 only the one about a changed object is a conflict."""
    assert traffic.conflicts == {"kueue": Counter({"update configmaps": 1})}


def test_missing_rights_are_findings(traffic: Traffic) -> None:
    """Each kind of request that a component was refused is a finding; being late in a dying namespace is none."""
    assert [finding.text for finding in findings(traffic)] == [
        "kueue has no right to list nodes at cluster scope: tried 1 time",
        "kueue has no right to list workloads at cluster scope: tried 1 time",
        "kueue has no right to patch pods/status in a namespace: tried 1 time",
        "lws has no right to list pods at cluster scope: tried 1 time",
    ]
    assert {(finding.kind, finding.source) for finding in findings(traffic)} == {("forbidden", "audit log")}


DENIED = {"code": 403, "reason": "Forbidden", "message": "admission webhook denied the request"}
LATE = {**DENIED, "message": "unable to create new content in namespace t because it is being terminated"}
FORBID = {"authorization.k8s.io/decision": "forbid"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (event(responseStatus=DENIED), ["kueue was refused by admission to patch pods in a namespace: tried 1 time"]),
        (
            event(responseStatus=DENIED, annotations=FORBID),
            ["kueue has no right to patch pods in a namespace: tried 1 time"],
        ),
        (event(responseStatus=LATE), []),
        (event(responseStatus={"code": 404, "reason": "NotFound"}), []),
        (event(responseStatus=DENIED, user={"username": "conformance-admin"}), []),
        (event(responseStatus=DENIED, user={"username": "system:anonymous"}, annotations=FORBID), []),
    ],
)
def test_what_is_a_finding(line: bytes, expected: list[str]) -> None:
    """A component's 403 is a finding, told apart by whether a right or an admission step refused; a story's is none."""
    assert [finding.text for finding in findings(read([line]))] == expected


@pytest.mark.parametrize(
    ("user", "agent", "client"),
    [
        (KUEUE, "anything/1", "kueue"),
        (
            "system:kube-scheduler",
            "kube-scheduler/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/scheduler",
            "kube-scheduler",
        ),
        (
            "system:serviceaccount:kube-system:statefulset-controller",
            "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/statefulset-controller",
            "kube-controller-manager",
        ),
        ("system:kwok", "kwok/v0.8.0 (linux/amd64) kubernetes/1a2b3c4", "kwok"),
        ("admin", "kueue-lws-conformance/recorder", "kueue-lws-conformance/recorder"),
        ("admin", "kubectl", "kubectl"),
        ("admin", "", "admin"),
    ],
)
def test_client(user: str, agent: str, client: str) -> None:
    """A client is its component, else what its user agent calls itself, else its user."""
    assert list(read([event(user={"username": user}, userAgent=agent)]).requests) == [client]


def test_further_components() -> None:
    """A provider may name the users of components of its own; their refusals are findings too."""
    line = event(user={"username": "reconciler"}, responseStatus=DENIED)
    found = read([line], {"reconciler": "reference"})
    assert list(found.requests) == ["reference"]
    assert findings(found)[0].text.startswith("reference was refused")
    assert "reconciler" not in COMPONENTS


@pytest.mark.parametrize("code", [200, 500])
def test_request_that_panicked(code: int) -> None:
    """A request that ended in a panic is counted like any other."""
    assert read([event(stage="Panic", responseStatus={"code": code})]).total() == {"kueue": 1}


def test_requests_for_no_resource() -> None:
    """A request for no resource goes by its path without its query."""
    line = event(verb="get", requestURI="/readyz?verbose", objectRef=None).replace(b'"objectRef": null, ', b"")
    assert read([line]).requests["kueue"] == Counter({"get /readyz": 1})


def test_cut_off_and_foreign_lines(traffic: Traffic) -> None:
    """A line that was cut off, or that is no event, is counted as unreadable and spoils nothing else."""
    whole = RECORDED.read_bytes()
    found = read([*whole.splitlines(), b"klog says hello", whole[:100]])
    assert found.unreadable == 2
    assert found.requests == traffic.requests


def test_memory_does_not_grow_with_the_log() -> None:
    """A log of many requests, each with an id and an object of its own, is read in the memory of a few."""
    tracemalloc.start()
    try:
        found = read(event(auditID=str(i), objectRef={"resource": "pods", "name": f"p-{i}"}) for i in range(20_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.requests == {"kueue": Counter({"patch pods": 20_000})}
    assert peak < 500_000


def test_missing_file(tmp_path: Path) -> None:
    """An audit log that is not there is told in one sentence."""
    with pytest.raises(UsageError, match="cannot read the audit log"):
        read_file(tmp_path / "audit.log")
