"""What the tests with NATS share: a server of their own for each test, and a cluster of three."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Cluster, Server, forgive_sockets, running

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Let pass what nats-py leaves behind."""
    forgive_sockets(item for item in items if HERE in item.path.parents)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Collect that before the test has ended: the next one would be blamed for it."""
    yield
    gc.collect()


@pytest.fixture
def nats(tmp_path) -> Iterator[Server]:
    """A NATS server with JetStream, of this test alone: `nats.url` is its address."""
    with running(Server(tmp_path / "nats")) as server:
        yield server


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    """Three NATS servers with JetStream, of this test alone: `cluster.url` has the addresses of all."""
    with running(Cluster(tmp_path / "cluster")) as three:
        yield three
