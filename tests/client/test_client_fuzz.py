"""Any bytes, any JSON and any headers: each method gives a value or a typed error, and nothing else."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from titan_state.client.answer import Answer
from titan_state.client.service import TaskService
from titan_state.core.budget import RequestBudget
from titan_state.core.execution import Execution
from titan_state.errors import (
    PayloadError,
    ResponseError,
)
from titan_state.testing import ManualClock

HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=0xDCFF), max_size=60)

DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Thu", ""]),
    *[st.one_of(st.integers().map(str), st.sampled_from(["Jan", "01", "٣", "²"])) for _ in range(6)],
    st.one_of(st.sampled_from(["GMT", "EST", "+9999999999", "-0000", "+2400"]), st.integers().map("{:+}".format)),
)


@given(st.one_of(HEADER, DATES), st.one_of(HEADER, st.integers().map(str)), st.one_of(HEADER, st.integers().map(str)))
def test_every_header_can_be_read(date, reset, retry_after):
    """Whatever the headers hold, reading them gives a date and a number, or nothing."""
    headers = {"Date": date, "X-RateLimit-Reset": reset, "Retry-After": retry_after}
    answer = Answer(429, headers, sent_at=0.0, received_at=0.0, issue=1)
    assert answer.served_at is None or answer.served_at.tzinfo is UTC
    assert isinstance(answer.reset_s(datetime(2026, 1, 1, tzinfo=UTC)), float | None)
    assert answer.number("X-RateLimit-Limit") is None


class RushingClock(ManualClock):
    """A clock on which nobody waits: whoever sleeps on it moves it on."""

    async def sleep(self, seconds):
        self._time += max(0.0, seconds)
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def answered():
    """Ask one client about any answers, over one server and one loop for all of them."""
    with asyncio.Runner() as runner:
        current = [b""]

        async def serve(reader, writer):
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    await reader.readexactly(int(length or 0))
                except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    writer.close()
                    return
                writer.write(current[0])

        async def start():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            url = "http://{}:{}".format(*server.sockets[0].getsockname())
            budget = RequestBudget(per_minute=1_000_000, burst=10_000, learn=True)
            return server, TaskService(url, "a-token-of-some-length", budget=budget, clock=RushingClock())

        server, client = runner.run(start())

        async def ask():
            work = (client.get("e"), client.list(), client.stop("e"), client.run_task("t"), client.list_tasks())
            return await asyncio.gather(*work, client.create_task({}), return_exceptions=True)

        def run(body, status):
            current[0] = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
            return runner.run(ask())

        yield run

        async def stop():
            await client.close()
            server.close()
            await asyncio.sleep(0)

        runner.run(stop())


STATUSES = st.sampled_from([200, 200, 200, 201, 302, 400, 401, 404, 409, 418, 500, 501, 503, 999])

KEYS = st.sampled_from(
    ["success", "data", "error", "code", "message", "items", "total", "id", "status", "execution", "execution_id"]
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["e", "TOO_MANY_REQUESTS"]),
)

JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=6),
    max_leaves=30,
)


def assert_typed(results, status):
    for result in results:
        if isinstance(result, BaseException):
            assert isinstance(result, ResponseError if status >= 300 else PayloadError | ResponseError), repr(result)
            assert str(result).isprintable()
        else:
            assert status < 300
            assert not isinstance(result.value, Execution) or result.value.id.encode()


@given(body=st.binary(max_size=300), status=STATUSES)
@settings(max_examples=60)
def test_no_bytes_break_the_client(answered, body, status):
    """Whatever bytes are a body, each method gives a value or an error of the service, and nothing else."""
    assert_typed(answered(body, status), status)


@example(payload={"error": {"code": "TOO_MANY_REQUESTS"}}, status=418, is_ascii=True)
@given(payload=JSON, status=STATUSES, is_ascii=st.booleans())
@settings(max_examples=80)
def test_no_json_breaks_the_client(answered, payload, status, is_ascii):
    """Whatever JSON is a body, envelopes of all kinds included, each method gives a value or a typed error."""
    text = json.dumps(payload, ensure_ascii=is_ascii)
    assert_typed(answered(text.encode(errors="surrogatepass"), status), status)
