"""What the tests of examples share: programs run as a user runs them, and the services that they are run at."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from programs import environment, running, start

sys.path.append(str(Path(__file__).parents[1] / "nats"))  # servers.py is there

__all__ = ["start"]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
async def run(tmp_path):
    """Run an example by the name of its folder, or a command, against a service; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def call(name, *arguments, service=None, cwd=tmp_path, merges=False, **more):
            account = {} if service is None else {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}
            command = [name]
            if name[0].isdecimal():
                command = [sys.executable, EXAMPLES / name / f"{name.partition('_')[2]}.py"]
            env = environment(XDG_STATE_HOME=str(tmp_path / "state"), **account, **more)
            return await stack.enter_async_context(running(*command, *arguments, env=env, cwd=cwd, merges=merges))

        yield call


async def true(condition, seconds=60):
    """Return when a condition holds that programs bring about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - other processes bring it about, and no event tells
            await asyncio.sleep(0.02)


@pytest.fixture
def watched():
    """Return when somebody has read a list: what is added from then on is not taken for what was there before."""

    async def call(service):
        await true(lambda: any("/executions" in request.path for request in service.requests))
        await asyncio.sleep(1.1)  # dates of answers are whole seconds

    return call


@pytest.fixture
def until():
    """Return when a condition holds that programs bring about."""
    return true


@pytest.fixture
def nats(tmp_path):
    """A NATS server with JetStream, of this test alone."""
    from servers import Server
    from servers import running as served

    with served(Server(tmp_path / "nats")) as server:
        yield server
