"""Racks in the notation of the topology vectors, and the fake nodes they become.

    r1: h1 4000/1, h2 4000/1; r2: h3 4000/1

A rack, a colon, its hosts; a host is a name, its cpu in millicores, and optionally its GPUs and its pod slots (110 if
not given): `h1 8000/8/4`. A rack may name its block: `b2/r1: …`; without one it is in block b1. Names are of lower-case
letters, digits and dashes, since nodes are named and labelled with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from conformance.names import BLOCK, CANARY_TAINT, GPU, HOSTNAME, RACK, TENANT_LABEL
from conformance.trace.records import Object

_NAME = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_RACK = re.compile(rf"(?:(?P<block>{_NAME})/)?(?P<rack>{_NAME})\s*:\s*(?P<hosts>.+)", re.DOTALL)
_HOST = re.compile(rf"(?P<name>{_NAME})\s+(?P<cpu>\d+)(?:/(?P<gpu>\d+))?(?:/(?P<slots>\d+))?", re.ASCII)


@dataclass(frozen=True)
class Host:
    """One fake node: where it stands and what it offers (millicores, GPUs, pod slots)."""

    block: str
    rack: str
    name: str
    cpu: int
    gpu: int = 0
    slots: int = 110
    for_canary: bool = False

    def node(self, tenant: str, labels: dict[str, str]) -> Object:
        """The Node object: labelled and tainted for its tenant alone, and Ready from its first moment."""
        name = f"{tenant}-{self.name}"
        taints = [{"key": TENANT_LABEL, "value": tenant, "effect": "NoSchedule"}]
        if self.for_canary:
            taints.append({"key": CANARY_TAINT, "value": tenant, "effect": "NoSchedule"})
        amounts = {"cpu": f"{self.cpu}m", "memory": "256Gi", "pods": str(self.slots)}
        if self.gpu:
            amounts[GPU] = str(self.gpu)
        own = {TENANT_LABEL: tenant, HOSTNAME: name, BLOCK: self.block, RACK: self.rack, "type": "kwok"}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels | own, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "spec": {"taints": taints},
            "status": {
                "allocatable": amounts,
                "capacity": amounts,
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "FakeNode", "message": "made by the suite"}
                ],
            },
        }


CANARY_HOST = Host("canary", "canary", "canary", cpu=1000, for_canary=True)
"""Where a canary runs when the racks under test must stay exact."""


def racks(layout: str) -> list[Host]:
    """The hosts of a layout. Raises ValueError naming the part that cannot be read."""
    hosts: list[Host] = []
    for part in filter(None, (part.strip() for part in layout.split(";"))):
        rack = _RACK.fullmatch(part)
        if rack is None:
            raise ValueError(f"not a rack: {part!r} (write `r1: h1 4000/1, h2 4000/1`)")
        hosts += [_host(rack, written.strip()) for written in rack["hosts"].split(",")]
    names = [host.name for host in hosts]
    twice = sorted({name for name in names if names.count(name) > 1 or name == CANARY_HOST.name})
    if twice:
        raise ValueError(f"host names must be unique, the canary's included; these are not: {', '.join(twice)}")
    return hosts


def _host(rack: re.Match[str], written: str) -> Host:
    host = _HOST.fullmatch(written)
    if host is None:
        raise ValueError(f"not a host: {written!r} in {rack[0]!r} (write `h1 4000/1`)")
    cpu, gpu, slots = int(host["cpu"]), int(host["gpu"] or 0), int(host["slots"] or 110)
    return Host(rack["block"] or "b1", rack["rack"], host["name"], cpu, gpu, slots)
