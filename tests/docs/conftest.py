"""What the tests of the documents share: a NATS server of their own, and what nats-py leaves behind."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "nats"))  # servers.py is there


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
def nats_url(tmp_path):
    """Return the address of a NATS server with JetStream, which is started when that is asked for."""
    from contextlib import ExitStack

    from servers import Server, running

    with ExitStack() as stack:
        started = []

        def address():
            if not started:
                started.append(stack.enter_context(running(Server(tmp_path / "nats"))))
            return started[0].url

        yield address
