"""What the tests of the service share: an embedded Task Service, its token, and NATS of their own."""

from __future__ import annotations

import gc
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tokens import TOKEN

from titan_state.emulator import TaskServiceEmulator

sys.path.append(str(Path(__file__).parents[1] / "nats"))  # servers.py is there


HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Let pass what nats-py leaves behind."""
    from servers import forgive_sockets

    forgive_sockets(item for item in items if HERE in item.path.parents)


@pytest.fixture(autouse=True)
def nothing_left():
    """Collect that before the test has ended: the next one would be blamed for it."""
    yield
    gc.collect()


@pytest.fixture
async def serve():
    """Start embedded services; they end with the test."""
    async with AsyncExitStack() as stack:

        async def start(scenario=None, **options):
            service = TaskServiceEmulator(scenario, **{"token": TOKEN, "per_minute": None, **options})
            return await stack.enter_async_context(service)

        yield start


@pytest.fixture
def nats(tmp_path):
    """A NATS server with JetStream, of this test alone."""
    from servers import Server, running

    with running(Server(tmp_path / "nats")) as server:
        yield server
