"""Admission reviews, asked over TLS as the API server asks them."""

from __future__ import annotations

import asyncio
import base64
import copy
import datetime
import json
import ssl
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.errors import UsageError
from conformance.names import MANAGED, OUR_GATES, QUEUE_NAME, SUSPENDING_PARENT
from conformance.reference.edges import registering, serving
from conformance.reference.edges.certificates import Certificate, Own, made
from conformance.reference.edges.metrics import Metrics
from conformance.reference.edges.patches import patch
from conformance.reference.edges.webhooks import PATHS, Webhooks
from conformance.reference.model import Rules, Snapshot

SET: dict[str, Any] = {
    "apiVersion": "leaderworkerset.x-k8s.io/v1",
    "kind": "LeaderWorkerSet",
    "metadata": {"name": "s", "labels": {QUEUE_NAME: "q"}},
    "spec": {
        "replicas": 1,
        "leaderWorkerTemplate": {"size": 2, "workerTemplate": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
    },
}
POD: dict[str, Any] = {
    "metadata": {"name": "s-0", "annotations": {SUSPENDING_PARENT: "leaderworkerset.x-k8s.io/leaderworkerset"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}


def review(new: Any, old: Any = None, **more: Any) -> dict[str, Any]:
    operation = "CREATE" if old is None else "UPDATE"
    request = {"uid": "r1", "namespace": "a", "operation": operation, "object": new, "oldObject": old, **more}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def ask(path: str, body: dict[str, Any], state: Snapshot | None = Snapshot()) -> dict[str, Any]:  # noqa: B008
    """The response of a server that knows `state`."""

    async def asked() -> dict[str, Any]:
        names = ["127.0.0.1"]
        certificate = Certificate(Own(names), made(names, datetime.datetime.now(datetime.UTC)))
        metrics = Metrics(Snapshot, lambda: "standalone")
        app = Webhooks(lambda: state, Rules(), metrics).application()
        trust = ssl.create_default_context(cadata=certificate.material.bundle.decode())
        async with AsyncExitStack() as stack:
            port = await serving.serve(stack, app, "127.0.0.1", 0, certificate.context)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            async with session.post(f"https://127.0.0.1:{port}{path}", json=body, ssl=trust) as answer:
                decoded: dict[str, Any] = await answer.json()
        assert decoded["apiVersion"] == "admission.k8s.io/v1"
        assert decoded["response"]["uid"] == "r1"
        response: dict[str, Any] = decoded["response"]
        return response

    return asyncio.run(asked())


def patched(obj: Any, response: dict[str, Any]) -> Any:
    """The object after the response's JSON patch, applied by the letter of RFC 6902."""
    return apply(obj, json.loads(base64.b64decode(response["patch"]))) if "patch" in response else obj


def apply(obj: Any, operations: list[dict[str, Any]]) -> Any:
    result = copy.deepcopy(obj)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")][1:] or [
            ""
        ]
        if not operation["path"]:
            result = operation["value"]
            continue
        holder = result
        for part in parents:
            holder = holder[part]
        assert (last in holder) is (operation["op"] != "add")
        if operation["op"] == "remove":
            del holder[last]
        else:
            holder[last] = operation["value"]
    return result


def test_a_queued_set_is_stamped_and_stays_what_it_is() -> None:
    """The answer to a queued set is a patch that adds the stamps to its template and touches nothing else."""
    response = ask("/mutate-set", review(SET))
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    stored = patched(SET, response)
    template = stored["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    assert template["metadata"]["annotations"][SUSPENDING_PARENT] == "leaderworkerset.x-k8s.io/leaderworkerset"
    del template["metadata"]
    assert stored == SET


def test_stamping_twice_changes_nothing() -> None:
    """A set that came back from the API server is answered without a patch."""
    stored = patched(SET, ask("/mutate-set", review(SET)))
    assert ask("/mutate-set", review(stored, stored)) == {"uid": "r1", "allowed": True}


def test_a_set_that_is_not_queued_is_left_alone() -> None:
    """Without a queue label there is no patch."""
    plain = {**SET, "metadata": {"name": "s"}}
    assert ask("/mutate-set", review(plain)) == {"uid": "r1", "allowed": True}


def test_a_pod_is_born_gated_and_in_a_dry_run_too() -> None:
    """A pod of a queued set, whose group is not admitted, gets the gates; a dry run shows the same."""
    responses = [ask("/mutate-pod", review(POD, dryRun=dry_run)) for dry_run in (False, True)]
    assert responses[0] == responses[1]
    born = patched(POD, responses[0])
    assert [gate["name"] for gate in born["spec"]["schedulingGates"]] == list(OUR_GATES)
    assert born["metadata"]["labels"][MANAGED] == "true"


def test_all_reasons_for_a_refusal_are_told() -> None:
    """A refused set is answered with status Invalid and every message, so that it need not be mended one by one."""
    wrong = copy.deepcopy(SET)
    wrong["metadata"]["labels"][QUEUE_NAME] = "Not A Name"
    wrong["spec"]["replicas"] = 10**7
    response = ask("/validate-set", review(wrong))
    assert response["allowed"] is False
    assert (response["status"]["code"], response["status"]["reason"]) == (422, "Invalid")
    assert "queue-name" in response["status"]["message"]
    assert "replicas" in response["status"]["message"]
    assert ask("/validate-set", review(SET)) == {"uid": "r1", "allowed": True}


def test_a_forbidden_change_of_a_pod_is_refused() -> None:
    """The label of a managed pod cannot be taken back; other labels may change."""
    born = patched(POD, ask("/mutate-pod", review(POD)))
    changed, other = copy.deepcopy(born), copy.deepcopy(born)
    changed["metadata"]["labels"][MANAGED] = "false"
    other["metadata"]["labels"]["other"] = "x"
    response = ask("/validate-pod", review(changed, born))
    assert (response["allowed"], response["status"]["code"], response["status"]["reason"]) == (False, 403, "Forbidden")
    assert ask("/validate-pod", review(other, born))["allowed"] is True


@pytest.mark.parametrize("path", PATHS)
def test_nothing_slips_through_before_the_state_is_known(path: str) -> None:
    """Until everything has been listed each review is refused, with a code that says: try again."""
    response = ask(path, review(POD, POD), None)
    assert response["allowed"] is False
    assert response["status"]["code"] == 503


@pytest.mark.parametrize("path", ["/mutate-set", "/mutate-pod"])
def test_a_defect_is_a_refusal(path: str) -> None:
    """What a decision cannot cope with is refused with status 500, not let through."""
    response = ask(path, review({"metadata": "nonsense", "spec": 7}))
    assert response["allowed"] is False
    assert response["status"]["code"] == 500


def test_a_port_in_use_is_one_sentence() -> None:
    """A server that cannot listen says on which address, and what to do."""

    async def twice() -> None:
        app = serving.health(lambda: "", Metrics(Snapshot, lambda: "standalone"))
        async with AsyncExitStack() as stack:
            port = await serving.serve(stack, app, "127.0.0.1", 0)
            other = serving.health(lambda: "", Metrics(Snapshot, lambda: "standalone"))
            await serving.serve(stack, other, "127.0.0.1", port)

    with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1"):
        asyncio.run(twice())


def test_readiness_says_what_is_missing() -> None:
    """/readyz is 503 with a reason until it is ready; /healthz and /metrics answer all the time."""

    async def asked() -> list[tuple[int, str]]:
        missing = ["the webhooks are not registered", ""]
        app = serving.health(lambda: missing.pop(0), Metrics(Snapshot, lambda: "standalone"))
        answers = []
        async with AsyncExitStack() as stack:
            port = await serving.serve(stack, app, "127.0.0.1", 0)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            for path in ("/readyz", "/readyz", "/healthz", "/metrics"):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    answers.append((answer.status, await answer.text()))
        return answers

    *others, metrics = asyncio.run(asked())
    assert others == [(503, "the webhooks are not registered"), (200, "ok"), (200, "ok")]
    assert metrics[0] == 200
    assert "# TYPE kueue_admitted_workloads_total counter" in metrics[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(2, 3) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b/c", "d~e"]), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(JSON, JSON)
def test_a_patch_leads_from_one_state_to_the_other(before: Any, after: Any) -> None:
    """Applied to the first state, it gives the second; of equal states it is empty."""
    operations = patch(before, after)
    assert json.dumps(apply(before, operations), sort_keys=True) == json.dumps(after, sort_keys=True)
    assert not patch(after, after)


def test_configurations_run_after_those_of_leaderworkerset_and_only_in_the_scope() -> None:
    """Their name is last in the order in which they run; they select the scope, and fail closed."""
    address = registering.Address("127.0.0.1", 9443)
    for _, whole in registering.configurations("x", address, b"CA"):
        assert whole["metadata"]["name"] == "zz-queueing-x" > "lws-validating-webhook-configuration"
        for webhook in whole["webhooks"]:
            assert webhook["namespaceSelector"] == {"matchLabels": {"conformance.kueue-lws.dev/scope": "x"}}
            assert webhook["failurePolicy"] == "Fail"
            assert webhook["clientConfig"]["url"] == f"https://127.0.0.1:9443/{webhook['name'].split('.')[0]}"
            assert base64.b64decode(webhook["clientConfig"]["caBundle"]) == b"CA"


def test_without_a_scope_the_control_planes_own_namespaces_are_left_out() -> None:
    """The control plane must come up whether or not the webhooks answer."""
    (outside,) = registering.namespaces("")["matchExpressions"]
    assert (outside["operator"], "kube-system" in outside["values"]) == ("NotIn", True)
