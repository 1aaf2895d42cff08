"""What a story does to a host can be seen of its node, and can be undone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from conformance.trace.records import Object
from conformance.world.hosts import CAUSES, Cause
from conformance.world.racks import Host

NODE = Host("b1", "r1", "h1", 4000, 1).node("tenant", {"run": "k3f9"})


def patched(obj: Any, patch: Any) -> Any:
    """The object after a merge patch, as RFC 7396 says."""
    if not isinstance(patch, dict):
        return patch
    result = dict(obj) if isinstance(obj, dict) else {}
    for key, part in patch.items():
        result.pop(key, None)
        if part is not None:
            result[key] = patched((obj or {}).get(key), part)
    return result


def seen(node: Object) -> Object:
    """The node as it comes to be: our KWOK stage makes one NotReady that is held, the stock one makes it Ready."""
    held = "conformance.kueue-lws.dev/hold-not-ready" in node["metadata"]["annotations"]
    ready = {"type": "Ready", "status": "False" if held else "True"}
    return node | {"status": node["status"] | {"conditions": [ready]}}


each_cause = pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)


@each_cause
def test_a_spoilt_host_shows_why(cause: Cause) -> None:
    """A node shows its cause once it is spoilt, and not before; everything else of it stays as it was."""
    spoilt = seen(patched(NODE, cause.patch(NODE)))
    assert not cause.shows(seen(NODE))
    assert cause.shows(spoilt)
    assert [other.words for other in CAUSES.values() if other.shows(spoilt)] == [cause.words]


@each_cause
def test_a_mended_host_is_as_it_was(cause: Cause) -> None:
    """A node that was spoilt and mended is the node that was laid out, whatever was in between."""
    before = deepcopy(NODE)
    mended = patched(patched(NODE, cause.patch(NODE)), cause.undo(NODE))
    assert mended == NODE == before
    assert not cause.shows(seen(mended))
