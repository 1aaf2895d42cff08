"""The two servers of a process: webhooks over TLS, and health and metrics in the clear."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from conformance.errors import UsageError
from conformance.reference.edges.metrics import Metrics

_CLOSING: Final = 0.3
"""Seconds that calls under way get when a server is closed."""


def health(ready: Callable[[], str], metrics: Metrics) -> web.Application:
    """`ready` says what is still missing; nothing when it is ready."""

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(request: web.Request) -> web.Response:
        missing = ready()
        return web.Response(status=503 if missing else 200, text=missing or "ok")

    async def show_metrics(request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)])
    return app


async def serve(
    stack: AsyncExitStack, app: web.Application, host: str, port: int, context: ssl.SSLContext | None = None
) -> int:
    """Serve until the stack is closed; the port, which is a free one if 0 was asked for. Raises UsageError."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSING, handle_signals=False)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port, ssl_context=context, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; choose another port"
        ) from error
    return int(runner.addresses[0][1])
