"""The connection to the API server: requests and streams over aiohttp, with the credentials of a kubeconfig or a pod.

There is no client-side rate limit: API Priority and Fairness is the server's business, and a limit here would only hide
how fast decisions are made. Watches have a pool of their own, so that they never starve requests.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import yaml

from conformance.errors import UsageError

AGENT: Final = "kueue-lws-reference"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECTIONS: Final = 64
_TIMEOUT: Final = 30.0
_TOKEN_LIFE: Final = 60.0
"""Seconds for which a token that was read is used: a kubelet replaces the file long before the token expires."""


class ApiError(Exception):
    """An answer outside 2xx. `reason` is the Status object's (`NotFound`, `Conflict`, …)."""

    def __init__(self, status: int, reason: str, message: str, request: str) -> None:
        super().__init__(f"{request} answered {status} {reason}: {message}")
        self.status, self.reason, self.message, self.request = status, reason, message, request


class NoAnswer(Exception):
    """The API server could not be reached, or did not answer in time."""


@dataclass(frozen=True)
class Access:
    """Where the API server is and who we are to it; `token` gives the present bearer token, empty for none."""

    server: str
    context: ssl.SSLContext | None
    token: Callable[[], str]


def access(kubeconfig: Path | None) -> Access:
    """From a kubeconfig, or, without one, from the ServiceAccount of the pod we run in. Raises UsageError."""
    return _in_cluster() if kubeconfig is None else _of_kubeconfig(kubeconfig)


def _in_cluster(folder: Path = SERVICE_ACCOUNT) -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").is_file():
        raise UsageError("there is no kubeconfig and this is no pod with a ServiceAccount: name one with --kubeconfig")
    host = f"[{host}]" if ":" in host else host
    return Access(
        f"https://{host}:{port}", ssl.create_default_context(cafile=folder / "ca.crt"), _file(folder / "token")
    )


def _of_kubeconfig(path: Path) -> Access:
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "context", config["current-context"])
        cluster, user = _named(config, "cluster", context["cluster"]), _named(config, "user", context.get("user"))
        tls = _tls(path.parent, cluster, user) if cluster["server"].startswith("https") else None
        return Access(cluster["server"].rstrip("/"), tls, _token(path.parent, user))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError, ssl.SSLError) as error:
        said = " ".join(f"{type(error).__name__} {error}".split())
        raise UsageError(f"cannot use kubeconfig {path}: {said}; name a working one with --kubeconfig") from error


def _named(config: Mapping[str, Any], kind: str, name: str | None) -> Mapping[str, Any]:
    for entry in config.get(f"{kind}s") or ():
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[kind] or {}
            return found
    raise KeyError(f"no {kind} {name!r}")


def _tls(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    authority = _content(folder, cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = _content(folder, user, "client-certificate"), _content(folder, user, "client-key")
    if certificate and key:
        load_chain(context, certificate, key)
    return context


def load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Put a PEM certificate and its key into a context; Python's ssl reads them from a file only."""
    with tempfile.TemporaryDirectory(prefix="queueing-") as folder:  # mode 0700
        file = Path(folder) / "pair.pem"
        file.write_bytes(certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(file)


def _content(folder: Path, entry: Mapping[str, Any], key: str) -> bytes:
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    return (folder / entry[key]).read_bytes() if entry.get(key) else b""


def _token(folder: Path, user: Mapping[str, Any]) -> Callable[[], str]:
    if "exec" in user or "auth-provider" in user:
        raise ValueError("its user logs in by a program, which is not supported")
    if user.get("tokenFile"):
        return _file(folder / user["tokenFile"])
    token = str(user.get("token") or "")
    return lambda: token


def _file(path: Path) -> Callable[[], str]:
    """The content of a file, read again every minute."""
    read: list[tuple[float, str]] = []

    def content() -> str:
        if not read or time.monotonic() - read[0][0] > _TOKEN_LIFE:
            read[:] = [(time.monotonic(), path.read_text().strip())]
        return read[0][1]

    return content


class Connection:
    """One client of one API server. Make it inside a running event loop and `close` it there."""

    def __init__(self, access: Access) -> None:
        self.server = access.server
        self._token = access.token
        tls = access.context if access.context is not None else True
        # The API server would compress long answers, which costs both sides more than the bytes do.
        agent = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        self._requests = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=tls, keepalive_timeout=60), headers=agent
        )
        self._streams = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls), headers=agent)

    async def close(self) -> None:
        await self._requests.close()
        await self._streams.close()

    def _headers(self, **more: str) -> dict[str, str]:
        token = self._token()
        return {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {}), **more}

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> bytes:
        """One request; the answer's bytes. Raises ApiError outside 2xx, NoAnswer where there is no whole answer."""
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        headers = self._headers() if data is None else self._headers(**{"Content-Type": content_type})
        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._requests.request(
                method, self.server + path, data=data, params=query, headers=headers, timeout=limit
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            said = str(error) or type(error).__name__
            raise NoAnswer(f"the API server does not answer {method} {path}: {said}") from error
        if not 200 <= answer.status < 300:
            raise _api_error(answer.status, content, f"{method} {path}")
        return content

    async def stream(self, path: str, query: Mapping[str, str], *, idle: float) -> AsyncGenerator[bytes]:
        """The lines of a watch, until the server ends it, it breaks, or nothing comes for `idle` seconds.

        Raises ApiError outside 2xx, NoAnswer when the connection cannot be made.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT, sock_read=idle)
        begun = False
        try:
            async with self._streams.get(
                self.server + path, params=query, headers=self._headers(), timeout=limit
            ) as answer:
                if answer.status != 200:
                    raise _api_error(answer.status, await answer.read(), f"GET {path}")
                begun = True
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not begun:
                raise NoAnswer(f"the API server does not answer GET {path}: {error or type(error).__name__}") from error


def _api_error(status: int, content: bytes, request: str) -> ApiError:
    try:
        answer = msgspec.json.decode(content)
        return ApiError(status, answer.get("reason") or "", answer.get("message") or "", request)
    except (msgspec.DecodeError, AttributeError):
        return ApiError(status, "", content[:300].decode(errors="replace"), request)
