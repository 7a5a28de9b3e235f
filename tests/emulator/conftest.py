"""An embedded service on a clock moved by hand, and a client that asks it over real HTTP."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import attrs
import pytest

from titan_state.emulator import TaskServiceEmulator
from titan_state.testing import ManualClock


@attrs.frozen
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def data(self):
        assert self.json["success"] is True
        return self.json["data"]

    @property
    def code(self):
        assert self.json["success"] is False
        assert self.json["error"]["message"]
        return self.json["error"]["code"]


@attrs.frozen
class Client:
    """Asks one service; the token is sent unless headers are given."""

    service: TaskServiceEmulator
    session: aiohttp.ClientSession

    async def __call__(self, method, path, *, headers=None, prefix="/api/v1", **options):
        sent = {"Authorization": f"Bearer {self.service.token}"} if headers is None else headers
        url = self.service.url + prefix + path
        async with self.session.request(method, url, headers=sent, allow_redirects=False, **options) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.read())

    async def get(self, path, **options):
        return await self("GET", path, **options)

    async def post(self, path, **options):
        return await self("POST", path, **options)

    async def status(self, execution_id):
        answer = await self.get(f"/executions/{execution_id}")
        return answer.data["status"] if answer.status == 200 else answer.status


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def opened(clock):
    """Open a service and a client of it; both are closed with the test."""
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(force_close=True)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        session._retry_connection = False  # aiohttp asks again by itself when a GET's connection breaks; no option

        async def start(scenario=None, **options):
            options.setdefault("clock", clock)
            service = await stack.enter_async_context(TaskServiceEmulator(scenario, **options))
            return service, Client(service, session)

        yield start
