"""One real local cluster, with LWS and Kueue, for all tests of this folder: starting it costs seconds of both cores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.clusters.local import LocalCluster
from conformance.components import DEFAULT, Components, provide
from conformance.implementations import open_implementation


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs the real components and runs a real control plane")


@pytest.fixture(scope="session")
def components() -> Components:
    """The default release line; built now if it was not."""
    return provide(DEFAULT, say=print)


@pytest.fixture(scope="session")
def local_cluster(components: Components) -> Iterator[LocalCluster]:
    """A running cluster with Kueue on it; `local_cluster.kube` is an administrator's client. Leave it as it was."""
    cluster = LocalCluster(components)
    kueue = open_implementation("kueue", components=components)
    cluster.start(lambda: kueue.put_on(cluster))
    yield cluster
    cluster.stop(failed=False)
