"""Who leads: one replica at a time holds a Lease, and only that one writes.

Times and rules are those of client-go: a lease lasts 15 s, its holder gives up if it cannot renew it for 10 s, and each
replica tries every 2 s. Another one's lease has run out when *we* have not seen it change for as long as it lasts: the
times written into it are its holder's clock, which may differ from ours.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from conformance.names import Kind
from conformance.reference.edges import logs
from conformance.reference.edges.connection import ApiError, Connection, NoAnswer

LEASE: Final = Kind("Lease", "coordination.k8s.io", "v1", "leases", True)
LASTS: Final = 15
GIVE_UP_AFTER: Final = 10.0
EVERY: Final = 2.0


def name(scope: str) -> str:
    return f"queueing-{scope or 'all'}"


class Lease:
    """`changed` is called when we begin or cease to lead."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        name: str,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leads = False
        self.identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._connection, self._changed, self._clock = connection, changed, clock
        self._all, self._path = LEASE.path(namespace), LEASE.path(namespace, name)
        self._meta = {"namespace": namespace, "name": name}
        self._known: dict[str, Any] | None = None
        self._seen_at = 0.0
        self._renewed_at = 0.0

    async def run(self) -> None:
        """Try to lead, and keep on leading, for ever."""
        while True:
            await self.attempt()
            await asyncio.sleep(EVERY)

    async def attempt(self) -> None:
        """Acquire or renew, if that is due and possible."""
        began = self._clock()
        try:
            async with asyncio.timeout(GIVE_UP_AFTER / 2):
                holds = await self._try_again_if_changed()
        except (ApiError, NoAnswer, TimeoutError) as error:
            self._known = None
            holds = self.leads and self._clock() - self._renewed_at < GIVE_UP_AFTER
            logs.warn("the lease cannot be kept", error=str(error) or "no answer in time", leads=holds)
        else:
            if holds:
                self._renewed_at = began
        self._become(holds)

    async def _try_again_if_changed(self) -> bool:
        try:
            return await self._try()
        except ApiError as error:
            if error.status != 409:
                raise
        # Somebody else wrote it: whether we may still lead shows only when we look.
        self._known = None
        try:
            return await self._try()
        except ApiError as error:
            if error.status != 409:
                raise
            return False

    async def _try(self) -> bool:
        # The holder writes without reading first: nobody else may have changed it.
        if not self.leads or self._known is None:
            await self._look()
        if self._known is None:
            body = {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": self._meta, "spec": self._spec(0)}
            self._keep(await self._connection.request("POST", self._all, body))
            return True
        spec = self._known.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        lasts = float(spec.get("leaseDurationSeconds") or LASTS)
        if holder and holder != self.identity and self._clock() - self._seen_at < lasts:
            return False
        await self._put(self._spec(int(spec.get("leaseTransitions") or 0) + (holder != self.identity)))
        return True

    async def _look(self) -> None:
        before = self._known
        try:
            found: dict[str, Any] = msgspec.json.decode(await self._connection.request("GET", self._path))
        except ApiError as error:
            if error.status != 404:
                raise
            self._known = None
            return
        if before is None or before["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            self._seen_at = self._clock()
        self._known = found

    def _spec(self, transitions: int) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        acquired = now
        if self.leads and self._known is not None:
            acquired = (self._known.get("spec") or {}).get("acquireTime") or now
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LASTS,
            "acquireTime": acquired,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    async def _put(self, spec: dict[str, Any]) -> None:
        assert self._known is not None
        body = {**self._known, "spec": spec}
        self._keep(await self._connection.request("PUT", self._path, body))

    def _keep(self, answer: bytes) -> None:
        self._known, self._seen_at = msgspec.json.decode(answer), self._clock()

    def _become(self, leads: bool) -> None:
        if leads != self.leads:
            self.leads = leads
            logs.info("leads" if leads else "no longer leads", identity=self.identity)
            self._changed()

    async def release(self) -> None:
        """Let another one lead at once."""
        if self.leads and self._known is not None:
            self._become(False)
            spec = {**self._spec(int(self._known["spec"].get("leaseTransitions") or 0)), "holderIdentity": ""}
            await self._put({**spec, "leaseDurationSeconds": 1})
