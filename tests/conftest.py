"""How the tests are shared out among processes (`-n`): those on real clusters take turns in one, others go round."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

CLUSTER = "tests/cluster/"


class ClustersTakeTurns(LoadScopeScheduling):  # type: ignore[misc]
    """All tests that need a cluster are one scope, each other test is one by itself.

    xdist's own `loadgroup` writes the group into a node id, which pytest 9.2 does not let it (seen with xdist 3.8).
    """

    def _split_scope(self, nodeid: str) -> str:
        return CLUSTER if nodeid.startswith(CLUSTER) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ClustersTakeTurns:
    return ClustersTakeTurns(config, log)
