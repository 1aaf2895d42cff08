"""Says what is missing when the suite is collected without a cluster to judge."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config) -> None:
    if config.getoption("conformance_cluster", None) is None:
        raise pytest.UsageError("these stories are told on a cluster; name one with --conformance-cluster local")
