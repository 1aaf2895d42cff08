"""The seam to the API server: plain dicts in and out, over the official client's transport and authentication.

The client's generated models and its `watch` are not used: they cost an order of magnitude more CPU than decoding the
few kinds we read, and the watch hides resource versions, bookmarks and 410 answers that a trace must record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from conformance.errors import HarnessError, UsageError
from conformance.names import KINDS, Kind

Object = dict[str, Any]

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


class ApiError(Exception):
    """An answer outside 2xx. `reason` is the Status object's (`NotFound`, `Invalid`, `Forbidden`, …)."""

    def __init__(self, status: int, reason: str, message: str, request: str) -> None:
        super().__init__(f"{request} answered {status} {reason}: {message}")
        self.status, self.reason, self.message, self.request = status, reason, message, request

    @property
    def refused(self) -> bool:
        """Whether the object was judged and rejected; a right that we lack, or a failing webhook, is something else."""
        denied = self.status == 403 and "admission webhook" in self.message
        return denied or (self.status == 422 and self.reason == "Invalid")


class Kube:
    """One client of one API server. Safe for use from several threads.

    `agent` becomes the User-Agent, by which the audit log tells our own clients apart.
    """

    def __init__(
        self,
        kubeconfig: Path,
        agent: str,
        *,
        timeout: float = 30.0,
        connections: int = 32,
        warned: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`warned` is told every Warning header (RFC 7234) of an answer, such as that of a deprecated API."""
        import yaml
        from kubernetes import client, config

        settings = client.Configuration()
        settings.connection_pool_maxsize = connections
        settings.retries = False
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                str(kubeconfig), client_configuration=settings, persist_config=False
            )
        except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
            said = " ".join(str(error).split())
            raise UsageError(
                f"cannot read kubeconfig {kubeconfig}: {said}; name a readable one with --kubeconfig"
            ) from error
        self._api = client.ApiClient(settings)
        self._pool = self._api.rest_client.pool_manager
        self._agent = agent
        self.host: str = settings.host
        self.timeout = timeout
        self._warned = warned

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: bytes | None,
        content_type: str,
        timeout: Any,
    ) -> Any:
        import urllib3

        headers = {"User-Agent": self._agent, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            return self._pool.request(method, url, body=body, headers=headers, timeout=timeout, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise HarnessError(f"the API server does not answer {method} {path}: {error}") from error

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        """One request; the answer's bytes. Raises ApiError outside 2xx, HarnessError where there is no whole answer."""
        import urllib3

        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        answer = self._send(method, path, query, data, content_type, timeout or self.timeout)
        try:
            content: bytes = answer.read()
        except urllib3.exceptions.HTTPError as error:
            raise HarnessError(f"the API server broke off its answer to {method} {path}: {error}") from error
        answer.release_conn()
        if "Warning" in answer.headers:
            self._warned(answer.headers["Warning"])
        if not 200 <= answer.status < 300:
            raise _api_error(answer.status, content, f"{method} {path}")
        return content

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Object:
        """As `raw`, with the JSON answer decoded."""
        result: Object = msgspec.json.decode(self.raw(method, path, body, **options))
        return result

    def stream(
        self,
        path: str,
        query: Mapping[str, Any],
        *,
        idle: float,
        opened: Callable[[Callable[[], None]], None] | None = None,
    ) -> Iterator[bytes]:
        """The lines of a watch, until the server ends it or nothing comes for `idle` seconds.

        `opened` is called when the server has accepted the watch, with a function by which another thread may end it.

        Raises ApiError outside 2xx, HarnessError when the connection cannot be made; a connection that breaks later
        ends the iteration.
        """
        import urllib3

        timeout = urllib3.Timeout(connect=self.timeout, read=idle)
        answer = self._send("GET", path, query, None, "", timeout)
        try:
            if answer.status != 200:
                raise _api_error(answer.status, answer.read(), f"GET {path}")
            if opened is not None:
                opened(answer.shutdown)
            rest = b""
            for chunk in answer.stream(None, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        except (urllib3.exceptions.HTTPError, OSError):
            return
        finally:
            answer.close()

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        return self.request("GET", KINDS[kind].path(namespace, name))

    def list(self, kind: str, namespace: str | None = None, **query: Any) -> Object:
        """A whole list object; `labelSelector`, `resourceVersion` … as keywords. Consistent unless asked otherwise."""
        return self.request("GET", KINDS[kind].path(namespace), query=query or None)

    def create(self, obj: Object, **query: Any) -> Object:
        kind, namespace = _kind_of(obj)
        return self.request("POST", kind.path(namespace), obj, query=query or None)

    def patch(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        body: Any,
        *,
        content_type: str = MERGE_PATCH,
        subresource: str | None = None,
        **query: Any,
    ) -> Object:
        path = KINDS[kind].path(namespace, name, subresource)
        return self.request("PATCH", path, body, content_type=content_type, query=query or None)

    def delete(self, kind: str, name: str, namespace: str | None = None, **options: Any) -> None:
        """Delete; `propagationPolicy`, `gracePeriodSeconds` … as keywords."""
        self.raw("DELETE", KINDS[kind].path(namespace, name), {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    def delete_all(self, kind: str, namespace: str | None = None, **query: Any) -> None:
        """Delete a collection."""
        self.raw("DELETE", KINDS[kind].path(namespace), query=query or None)


def _kind_of(obj: Object) -> tuple[Kind, str | None]:
    return KINDS[obj["kind"]], obj["metadata"].get("namespace")


def _api_error(status: int, content: bytes, request: str) -> ApiError:
    try:
        answer = msgspec.json.decode(content)
        return ApiError(status, answer.get("reason") or "", answer.get("message") or "", request)
    except (msgspec.DecodeError, AttributeError):
        return ApiError(status, "", content[:300].decode(errors="replace"), request)
