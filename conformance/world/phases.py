"""The phases of a run's sequential part: what comes after all other stories, since it concerns everybody.

A phase is data: under which configuration its stories are told, and whether they may stop the implementation. The
phases follow each other in the order of `PHASES`; `sequential` goes through them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.clusters import CONFIGURES_IMPLEMENTATION, RESTARTS_IMPLEMENTATION
from conformance.names import TENANT_LABEL


@dataclass(frozen=True)
class Phase:
    """A part of a run with a configuration of its own."""

    name: str
    needs: frozenset[str]
    """What a cluster must be capable of."""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Keys of Kueue's configuration, merged over those that the implementation runs with elsewhere."""
    restarts: bool = False
    """Whether its stories may stop the implementation; then they are told one after another."""


RESTARTS: Final = Phase("restarts", frozenset({RESTARTS_IMPLEMENTATION}), restarts=True)
WITHOUT_QUEUE_NAME: Final = Phase(
    "without-queue-name",
    frozenset({CONFIGURES_IMPLEMENTATION}),
    {
        "manageJobsWithoutQueueName": True,
        # Only what belongs to a story: the namespaces of the implementation and of the cluster stay as they are.
        "managedJobsNamespaceSelector": {"matchExpressions": [{"key": TENANT_LABEL, "operator": "Exists"}]},
    },
)

PHASES: Final = (RESTARTS, WITHOUT_QUEUE_NAME)
