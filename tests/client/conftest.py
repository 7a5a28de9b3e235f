"""A server that answers whatever bytes a test wants, and clients of it and of the embedded service."""

from __future__ import annotations

import asyncio
import json
import traceback
from contextlib import AsyncExitStack

import pytest

from titan_state.client.service import TaskService
from titan_state.core.budget import RequestBudget
from titan_state.emulator import TaskServiceEmulator
from titan_state.testing import ManualClock

LIMIT = 12
"""How many requests a minute the clock-driven tests allow."""

TOKEN = "tok/en+with=much&in<it-4711"


class HostileServer:
    """Answers each request on loopback with bytes as they are, and keeps what it was sent.

    Attributes:
        requests: The requests as they came, head and body.
        connections: How many connections were opened.
    """

    def __init__(self):
        self.requests = []
        self.connections = 0
        self._answers = [b""]
        self._server = None
        self._busy = set()
        self._arrived = asyncio.Event()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def stop(self):
        """Refuse connections from now on, and end those that are open."""
        self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    @property
    def url(self):
        return "http://{}:{}".format(*self._server.sockets[0].getsockname())

    @property
    def targets(self):
        """What was asked for, as it stood in the request line."""
        return [request.split(b" ", 2)[1].decode() for request in self.requests]

    async def until(self, count):
        """Return when so many requests have come."""
        while len(self.requests) < count:
            self._arrived.clear()
            await self._arrived.wait()

    def answer(self, *answers):
        """Answer with these, one request after the other, and with the last from then on.

        One that is a function is called with a writer, and may do as it likes; its connection is closed afterwards.
        """
        self._answers = list(answers)

    def say(self, body, status=200, **headers):
        """Answer with a body of a right length from now on; see `whole`."""
        self.answer(whole(body, status, **headers))

    async def _serve(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        self._busy.add(task)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client has gone, or the server is stopped
        finally:
            self._busy.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _talk(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
            self.requests.append(head + await reader.readexactly(int(size[0]) if size else 0))
            self._arrived.set()
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if not isinstance(answer, bytes):
                await answer(writer)
                return
            writer.write(answer)
            await writer.drain()
            if b"Content-Length: " not in answer:
                return


def whole(body, status=200, **headers):
    """Return an answer with a body: bytes as they are, anything else as JSON.

    Args:
        body: The body.
        status: The HTTP status.
        **headers: Headers; an underscore stands for a hyphen.
    """
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Length": str(len(sent))} | {name.replace("_", "-"): str(text) for name, text in headers.items()}
    lines = [f"HTTP/1.1 {status} Because", *(f"{name}: {text}" for name, text in given.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + sent


def told(error):
    """Return everything that an error and what is chained to it would show, also in a traceback."""
    pending, seen = [error], []
    while pending:
        one = pending.pop()
        if one is not None and one not in seen:
            seen.append(one)
            pending += [one.__cause__, one.__context__]
    shown = [f"{one!r} {one} {one.args!r} {vars(one)!r}" for one in seen]
    return "\n".join([*shown, *traceback.format_exception(error)])


@pytest.fixture(name="whole")
def _whole():
    return whole


@pytest.fixture(name="told")
def _told():
    return told


@pytest.fixture
def token():
    """A token that looks different wherever it is escaped."""
    return TOKEN


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def hostile():
    server = await HostileServer().start()
    yield server
    await server.stop()


@pytest.fixture
async def other():
    """Another origin."""
    server = await HostileServer().start()
    yield server
    await server.stop()


@pytest.fixture
async def connect(token):
    """Open clients of any origin, without much of a limit; all are closed with the test."""
    async with AsyncExitStack() as stack:

        async def opened(url, credential=token, **options):
            options.setdefault("budget", RequestBudget(per_minute=1_000_000, burst=10_000))
            return await stack.enter_async_context(TaskService(url, credential, **options))

        yield opened


@pytest.fixture
async def client(hostile, connect):
    """A client of the hostile server."""
    return await connect(hostile.url)


@pytest.fixture
async def emulate():
    """Start embedded services; all are stopped with the test."""
    async with AsyncExitStack() as stack:

        async def started(scenario=None, **options):
            options.setdefault("per_minute", None)
            return await stack.enter_async_context(TaskServiceEmulator(scenario, **options))

        yield started


@pytest.fixture
async def emulator(emulate):
    """An embedded service without executions, faults or a rate limit."""
    return await emulate()


@pytest.fixture
def until(clock):
    """Move the clock from one who sleeps on it to the next until a condition holds."""

    async def run(condition, *, seconds=600.0):
        deadline = clock.time() + seconds
        await clock.settle()
        while not condition():
            if clock.time() >= deadline:
                pytest.fail(f"not within {seconds:g} s of the clock")
            await clock.advance_to(min(clock.next_wake or clock.time() + 0.25, clock.time() + 5))

    return run


@pytest.fixture
def budget():
    return RequestBudget(per_minute=LIMIT)


@pytest.fixture
async def paced(emulate, connect, clock, budget):
    """An embedded service with the limit, and a client within it, on one clock that is moved by hand."""
    service = await emulate(clock=clock, per_minute=LIMIT)
    return service, await connect(service.url, service.token, clock=clock, budget=budget)
