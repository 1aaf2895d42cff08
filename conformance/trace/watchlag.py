"""How long after a write its watch event arrives: what changes of different kinds must be apart to be ordered by time.

Asked only of clusters whose revisions cannot be compared across kinds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from conformance.errors import HarnessError
from conformance.kube import ApiError, Kube
from conformance.names import KINDS, RUN_LABEL

_ROUNDS: Final = 5
_MARGIN: Final = 4.0
_LEAST: Final = 0.25
_UNKNOWN: Final = 1.0
_NAMESPACE: Final = "default"


def measure_lag(kube: Kube, run: str) -> float:
    """Seconds: the longest of a few measured lags, with a margin because an idle moment is measured for a busy run.

    Events are written for it, since no controller reacts to them. Where that is not allowed a cautious value is taken.
    """
    selector = f"{RUN_LABEL}={run}"
    path = KINDS["Event"].path(_NAMESPACE)
    answered: list[float] = []
    lags: list[float] = []

    def write() -> None:
        kube.create(_event(run, len(answered)))
        answered.append(time.monotonic())

    try:
        revision = kube.list("Event", _NAMESPACE, labelSelector=selector)["metadata"]["resourceVersion"]
        query = {"watch": "true", "labelSelector": selector, "resourceVersion": revision}
        for _ in kube.stream(path, query, idle=kube.timeout, opened=lambda _: write()):
            lags.append(time.monotonic() - answered[-1])
            if len(lags) == _ROUNDS:
                break
            write()
        kube.delete_all("Event", _NAMESPACE, labelSelector=selector)
    except (ApiError, HarnessError):
        return _UNKNOWN
    return max(_LEAST, _MARGIN * max(lags, default=_UNKNOWN))


def _event(run: str, number: int) -> dict[str, object]:
    return {
        "apiVersion": KINDS["Event"].api_version,
        "kind": "Event",
        "metadata": {"name": f"watch-lag-{run}-{number}", "namespace": _NAMESPACE, "labels": {RUN_LABEL: run}},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "kueue-lws-conformance",
        "reportingInstance": run,
        "action": "Measure",
        "reason": "WatchLag",
        "type": "Normal",
        "regarding": {"apiVersion": "v1", "kind": "Namespace", "name": _NAMESPACE},
    }
