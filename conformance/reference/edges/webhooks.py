"""Answering admission reviews over TLS, from the confirmed state of the store.

What to answer is decided in the core (`set_rules`, `births`); here is the protocol. An answer has no effect on any
state, so a dry run needs no care. As long as the state is not known, and whenever a decision fails by a defect, the
answer is a refusal: nothing slips through that would have been gated.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web

from conformance.reference import births, set_rules
from conformance.reference.edges import logs
from conformance.reference.edges.metrics import Metrics
from conformance.reference.edges.patches import patch
from conformance.reference.model import Rules, Snapshot

Object = dict[str, Any]

_LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a review: two states of an object of at most 1.5 MB each, with their escapes."""


class _Request(msgspec.Struct, rename="camel"):
    uid: str
    namespace: str = ""
    name: str = ""
    operation: str = ""
    dry_run: bool = False
    object: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    old_object: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))

    def new(self) -> Object:
        """The object, decoded anew each time: decisions may change what they are given."""
        return self._decoded(self.object) or {"metadata": {}}

    def old(self) -> Object | None:
        return self._decoded(self.old_object)

    def _decoded(self, raw: msgspec.Raw) -> Object | None:
        found: Object | None = msgspec.json.decode(raw) if bytes(raw) else None
        if found is not None:
            found.setdefault("metadata", {}).setdefault("namespace", self.namespace)
        return found


class _Review(msgspec.Struct):
    request: _Request


_read_review = msgspec.json.Decoder(_Review).decode


@dataclass(frozen=True)
class Answer:
    """`messages`: why it is refused; empty: it is allowed, with these changes (a JSON patch)."""

    messages: list[str] = field(default_factory=list)
    changes: list[Object] = field(default_factory=list)
    code: int = 422
    reason: str = "Invalid"


def _mutate_set(request: _Request, snapshot: Snapshot, rules: Rules) -> Answer:
    return Answer(changes=patch(request.new(), set_rules.mutate(request.new(), request.old(), snapshot, rules)))


def _validate_set(request: _Request, snapshot: Snapshot, rules: Rules) -> Answer:
    return Answer(set_rules.validate(request.new(), request.old(), snapshot, rules))


def _mutate_pod(request: _Request, snapshot: Snapshot, rules: Rules) -> Answer:
    became = births.mutate(request.new(), snapshot, request.dry_run)
    return Answer() if became is None else Answer(changes=patch(request.new(), became))


def _validate_pod(request: _Request, snapshot: Snapshot, rules: Rules) -> Answer:
    old = request.old()
    refusal = "" if old is None else births.validate(old, request.new())
    return Answer([refusal] if refusal else [], code=403, reason="Forbidden")


_Decide = Callable[[_Request, Snapshot, Rules], Answer]
PATHS: Final[dict[str, _Decide]] = {
    "/mutate-set": _mutate_set,
    "/validate-set": _validate_set,
    "/mutate-pod": _mutate_pod,
    "/validate-pod": _validate_pod,
}


class Webhooks:
    """`state` gives the confirmed state, None until it is known."""

    def __init__(self, state: Callable[[], Snapshot | None], rules: Rules, metrics: Metrics) -> None:
        self._state, self._rules, self._metrics = state, rules, metrics

    def application(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST)
        for path in PATHS:
            app.router.add_post(path, self._answer)
        return app

    async def _answer(self, http: web.Request) -> web.Response:
        try:
            request = _read_review(await http.read()).request
        except msgspec.MsgspecError as error:
            return web.Response(status=400, text=f"this is no AdmissionReview: {error}")
        answer = self.decide(http.path, request)
        self._metrics.reviews.labels(http.path, "false" if answer.messages else "true").inc()
        return web.Response(body=msgspec.json.encode(_response(request, answer)), content_type="application/json")

    def decide(self, path: str, request: _Request) -> Answer:
        snapshot = self._state()
        if snapshot is None:
            late = "the reference does not know the state of the cluster yet; try again"
            return Answer([late], code=503, reason="ServiceUnavailable")
        try:
            return PATHS[path](request, snapshot, self._rules)
        except Exception as error:  # whatever an object contains, its creator gets an answer
            where = f"{request.namespace}/{request.name}"
            logs.error("a review failed by a defect", traceback=True, path=path, object=where)
            said = f"the reference failed: {type(error).__name__}: {error}"
            return Answer([said], code=500, reason="InternalError")


def _response(request: _Request, answer: Answer) -> Object:
    response: Object = {"uid": request.uid, "allowed": not answer.messages}
    if answer.messages:
        message = answer.messages[0] if len(answer.messages) == 1 else f"[{', '.join(answer.messages)}]"
        response["status"] = {
            "status": "Failure",
            "message": message,
            "reason": answer.reason,
            "code": answer.code,
        }
    elif answer.changes:
        changes = base64.b64encode(msgspec.json.encode(answer.changes)).decode()
        response |= {"patchType": "JSONPatch", "patch": changes}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
