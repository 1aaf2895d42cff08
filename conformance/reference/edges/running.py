"""One process of the reference: its parts put together, started in order, and ended cleanly.

Readiness means that nothing is missed: all kinds are known, the webhooks answer, and the API server was told to ask
them.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

from conformance.errors import UsageError
from conformance.reference.edges import certificates, lease, logs, serving
from conformance.reference.edges.certificates import Certificate, Source
from conformance.reference.edges.connection import ApiError, Connection, NoAnswer, access
from conformance.reference.edges.following import Following
from conformance.reference.edges.lease import Lease
from conformance.reference.edges.metrics import Metrics
from conformance.reference.edges.passes import Passes
from conformance.reference.edges.registering import Address, Registration
from conformance.reference.edges.settings import Settings
from conformance.reference.edges.store import Store
from conformance.reference.edges.webhooks import Webhooks
from conformance.reference.edges.writing import Writing
from conformance.reference.model import Snapshot

_LAST_WRITES: Final = 0.7
_LAST_REQUESTS: Final = 0.5
_END: Final = 1.8
"""Seconds: together with closing the servers, an end takes less than 2."""


class Running:
    """The parts of a process."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self.settings, self.connection = settings, connection
        self.store = Store()
        self.metrics = Metrics(self.store.snapshot, self._role)
        self.passes = Passes(self.store, settings.rules, self.metrics, self._leads)
        self.writing = Writing(connection, self.store, self.metrics, self.passes.due)
        self._refusal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.following = Following(connection, self.store, settings.scope, self.passes.due, self._refused)
        self.webhooks = Webhooks(self._known, settings.rules, self.metrics)
        self.lease: Lease | None = None
        if settings.leader_elect:
            name = lease.name(settings.scope)
            self.lease = Lease(connection, settings.lease_namespace, name, self.passes.due)
        self.registration: Registration | None = None

    def _role(self) -> str:
        return "standalone" if self.lease is None else "leader" if self.lease.leads else "follower"

    def _leads(self) -> bool:
        return self.following.synced.is_set() and (self.lease is None or self.lease.leads)

    def _known(self) -> Snapshot | None:
        return self.store.confirmed() if self.following.synced.is_set() else None

    def _refused(self, sentence: str) -> None:
        if not self._refusal.done() and not self.following.synced.is_set():
            self._refusal.set_result(sentence)

    def missing(self) -> str:
        """What is still missing for being ready; nothing when it is ready."""
        if self.registration is None or not self.registration.done:
            return "the webhooks are not registered"
        return "" if self.following.synced.is_set() else "not all kinds have been listed"

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set. Raises UsageError where it cannot begin."""
        async with AsyncExitStack() as stack:
            stack.callback(self.following.stop)
            port = await serving.serve(
                stack, serving.health(self.missing, self.metrics), self.settings.webhook_host, self.settings.health_port
            )
            self.following.start()
            certificate = Certificate(source := self._source(), await self._begin("get a certificate", source.first()))
            webhook_port = await serving.serve(
                stack,
                self.webhooks.application(),
                self.settings.webhook_host,
                self.settings.webhook_port,
                certificate.context,
            )
            logs.info("serves", health_port=port, webhook_port=webhook_port, scope=self.settings.scope)
            address = Address(self.settings.webhook_url_host, webhook_port, self.settings.webhook_service)
            self.registration = Registration(self.connection, self.settings.scope, address)
            await self._begin("register the webhooks", self.registration.announce(certificate.material.bundle))
            await self._work(stopping, certificate, self.registration)
            await self._end(self.registration)

    async def _begin(self, what: str, step: Awaitable[Any]) -> Any:
        """A request without which the process cannot begin."""
        try:
            return await step
        except (ApiError, NoAnswer) as error:
            raise UsageError(f"cannot {what}: {error}") from error

    def _source(self) -> Source:
        settings = self.settings
        if settings.certificates is not None:
            return certificates.Given(settings.certificates)
        names = ["localhost", "127.0.0.1", "::1"]
        names += [name for name in (settings.webhook_url_host,) if name not in names]
        if settings.webhook_service is not None:
            namespace, name = settings.webhook_service
            names += [f"{name}.{namespace}.svc", f"{name}.{namespace}"]
        if not settings.leader_elect:
            return certificates.Own(names)
        secret = f"{lease.name(settings.scope)}-webhooks"
        return certificates.Shared(self.connection, settings.lease_namespace, secret, names)

    async def _work(self, stopping: asyncio.Event, certificate: Certificate, registration: Registration) -> None:
        work: list[Coroutine[Any, Any, Any]] = [
            self.passes.run(self.writing),
            certificate.keep(registration.announce),
            *([self.lease.run()] if self.lease is not None else []),
        ]
        tasks = [asyncio.create_task(each) for each in work]
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(stopping.wait()), self._refusal, *tasks]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._refusal in done:
                raise UsageError(self._refusal.result())
            for task in done:
                task.result()  # none of them ends by itself but by a defect
        finally:
            for end in (ends[0], *tasks):
                end.cancel()
            await asyncio.gather(ends[0], *tasks, return_exceptions=True)

    async def _end(self, registration: Registration) -> None:
        """Finish what was begun, and let go of what others wait for."""
        await self.writing.finish(_LAST_WRITES)
        steps: list[Coroutine[Any, Any, Any]] = []
        if self.lease is not None:
            steps.append(self.lease.release())
        else:
            # Nobody else would answer: without this, nothing could be created in the scope any more.
            steps.append(registration.withdraw())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_REQUESTS):
                for failure in await asyncio.gather(*steps, return_exceptions=True):
                    if isinstance(failure, Exception):
                        logs.warn("the end was not clean", error=str(failure))
        logs.info("stopped")


async def run(settings: Settings) -> None:
    """Run one process until it is told to stop (SIGTERM, SIGINT). Raises UsageError where it cannot begin."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    connection = Connection(access(settings.kubeconfig))
    try:
        await _answers(connection)
        await _in_time(asyncio.create_task(Running(settings, connection).run(stopping)), stopping)
    finally:
        await connection.close()


async def _in_time(running: asyncio.Task[None], stopping: asyncio.Event) -> None:
    """Wait for the process's end; not for long once it is told to stop, whatever it is waiting for itself."""
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait([running, told], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    await asyncio.wait([running], timeout=_END if stopping.is_set() else None)
    if running.done():
        running.result()
    running.cancel()
    await asyncio.wait([running])


async def _answers(connection: Connection) -> None:
    """Check that there is an API server and that it knows us, before anything depends on it."""
    try:
        await connection.request("GET", "/version", timeout=10.0)
    except (ApiError, NoAnswer) as error:
        raise UsageError(f"{connection.server} cannot be used: {error}") from error
