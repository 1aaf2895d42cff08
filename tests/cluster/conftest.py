"""One real local cluster, with LWS and Kueue, for all tests of this folder: starting it costs seconds of both cores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Place, a_place

from conformance.clusters.local import LocalCluster
from conformance.components import DEFAULT, Components, provide
from conformance.implementations import open_implementation


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that bring up clusters of their own come first, so that the common one need not run beside them."""
    items.sort(key=lambda item: "local_cluster" in getattr(item, "fixturenames", ()))


@pytest.fixture
def place() -> Iterator[Place]:
    """Where a test runs commands; afterwards nothing that they started is left."""
    with a_place() as found:
        yield found


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
