"""The KWOK stages of a local cluster: the module's own fast ones, with our exceptions, and ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from conformance import manifest_files
from conformance.kube import Object
from conformance.names import HOLD_NOT_READY, HOLD_TERMINATING

NOT_FINISHED: Final = (
    'select(.metadata.finalizers != null and .status.phase != "Succeeded" and .status.phase != "Failed")'
    " | .metadata.name"
)
"""Something of a pod that has finalizers and no terminal phase; our stage `pod-finish` is for these."""

EXCEPTIONS: Final = {
    "node-initialize": (f'.metadata.annotations["{HOLD_NOT_READY}"]',),
    "pod-ready": (f'.metadata.annotations["{HOLD_NOT_READY}"]',),
    "pod-delete": (f'.metadata.annotations["{HOLD_TERMINATING}"]', NOT_FINISHED),
}
"""Stock stage -> what must not exist for it to be applied."""


def combined(stock: Iterable[Object]) -> list[Object]:
    """Every stage to run. Raises KeyError when a stock stage that we make exceptions to is missing."""
    by_name = {stage["metadata"]["name"]: stage for stage in stock}
    for name, keys in EXCEPTIONS.items():
        expressions = by_name[name]["spec"]["selector"]["matchExpressions"]
        expressions += [{"key": key, "operator": "DoesNotExist"} for key in keys]
    return [*by_name.values(), *manifest_files.read("kwok-stages.yaml")]
