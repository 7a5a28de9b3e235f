"""A hostile service: whatever it answers becomes a typed error or a value, within bounded memory and time."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib

import pytest

from titan_state.client.service import MAX_BODY
from titan_state.client.shapes import shown
from titan_state.errors import (
    BodyTooLargeError,
    ConflictError,
    ConnectionFailedError,
    ForbiddenError,
    InternalServiceError,
    NotFoundError,
    NotSupportedError,
    PayloadError,
    RedirectError,
    RequestTimeoutError,
    ResponseError,
    ServiceError,
    TooManyRequestsError,
    TransportError,
    UnauthorizedError,
)

EXECUTION = {"id": "e", "status": "running"}

CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

MEGABYTE = 1 << 20


@pytest.fixture
def memory():
    """Return by how many bytes memory has grown at most since the test began."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()


async def asked(client):
    """Ask for what has different decoders, and return the errors."""
    work = (client.get("e"), client.list(), client.pause("e"), client.run_task("t"), client.get_task("t"))
    return [error for error in await asyncio.gather(*work, return_exceptions=True) if isinstance(error, Exception)]


@pytest.mark.parametrize("head", ["Transfer-Encoding: chunked\r\n\r\n", "\r\n", "Content-Length: 999999999999\r\n\r\n"])
async def test_an_endless_body_is_cut_off(client, hostile, memory, head):
    """A body without end is read up to the cap, and its connection is closed."""
    closed = asyncio.Event()

    async def endless(writer):
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n" + head.encode())
            while True:
                writer.write(CHUNK)
                await writer.drain()
        finally:
            closed.set()

    hostile.answer(endless)
    with pytest.raises(BodyTooLargeError, match=f"larger than {MAX_BODY} bytes") as raised:
        await client.get("e")
    assert raised.value.request == "GET /executions/e"
    assert memory() < 3 * MAX_BODY
    await closed.wait()
    assert client.budget.in_flight == 0


async def test_ten_megabytes_of_json_are_too_many(client, hostile, memory):
    """A whole answer above the cap is not decoded."""
    body = b'{"data": [' + b'{"id": "e", "status": "running"},' * 310_000 + b"0]}"
    assert len(body) > 10_000_000
    hostile.say(body)
    with pytest.raises(BodyTooLargeError):
        await client.list()
    assert memory() < 40 * MEGABYTE


async def test_the_cap_is_exact(connect, hostile):
    """As many bytes as the cap are read, one more is not."""
    client = await connect(hostile.url, max_body=1000)
    body = json.dumps(EXECUTION).encode()
    hostile.say(body.ljust(1000))
    assert (await client.get("e")).value.id == "e"
    hostile.say(body.ljust(1001))
    with pytest.raises(BodyTooLargeError, match="larger than 1000 bytes"):
        await client.get("e")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_the_cap_holds_after_decompression(client, hostile, memory, coding):
    """A bomb that is small on the wire does not fill the memory."""
    pack = zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    zeros = b" " * MEGABYTE
    bomb = b"".join(pack.compress(zeros) for _ in range(64)) + pack.flush()
    assert len(bomb) < 100_000
    hostile.say(bomb, Content_Encoding=coding)
    with pytest.raises(BodyTooLargeError):
        await client.get("e")
    assert memory() < 3 * MAX_BODY


async def endless_body(writer):
    writer.write(CHUNK)
    while True:
        await writer.drain()
        writer.write(CHUNK)


async def broken_body(writer):
    writer.write(b"100\r\nhalf a chunk")
    await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize(
    ("body", "told"),
    [(endless_body, "its body is too large"), (broken_body, "its body could not be read")],
    ids=["endless", "broken"],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, RedirectError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, ResponseError),
        (429, TooManyRequestsError),
        (500, InternalServiceError),
        (501, NotSupportedError),
    ],
)
async def test_an_error_is_what_its_status_says_whatever_becomes_of_its_body(
    connect, hostile, status, kind, body, told
):
    """The head decides: a body that is too large, or breaks off, would only have explained it."""

    async def refuse(writer):
        writer.write(b"HTTP/1.1 %d Because\r\nTransfer-Encoding: chunked\r\nRetry-After: 7\r\n\r\n" % status)
        await body(writer)

    hostile.answer(refuse)
    client = await connect(hostile.url, max_body=MEGABYTE)
    with pytest.raises(kind) as raised:
        await client.pause("e")
    assert type(raised.value) is kind
    assert raised.value.http_status == status
    assert told in str(raised.value) or status == 302
    assert client.statistics.answers == {f"{status // 100}xx": 1}
    assert client.statistics.throttled == (status == 429)
    assert len(hostile.requests) == 1


async def test_a_refused_token_is_renewed_whatever_becomes_of_the_refusals_body(connect, hostile, whole):
    """A 401 with a huge body asks for another token like any other."""
    hostile.answer(whole(b"x" * 1001, 401), whole(EXECUTION))
    tokens = iter(["the-first-token", "the-second-token"])
    client = await connect(hostile.url, lambda: next(tokens), max_body=1000)
    assert (await client.get("e")).value.id == "e"
    assert b"the-second-token" in hostile.requests[1]


@pytest.mark.parametrize("status", [200, 500])
async def test_compressed_answers_are_read(client, hostile, status):
    """A service may compress what it answers."""
    hostile.say(gzip.compress(json.dumps(EXECUTION).encode()), status, Content_Encoding="gzip")
    if status == 200:
        assert (await client.get("e")).value.id == "e"
    else:
        with pytest.raises(InternalServiceError, match="no message"):
            await client.get("e")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"])
async def test_a_body_that_is_not_compressed_as_said(client, hostile, coding):
    """A wrong Content-Encoding is a typed error."""
    hostile.say(b"{]", Content_Encoding=coding)
    for error in await asked(client):
        assert type(error) in (PayloadError, ConnectionFailedError)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'{"data":' * 200_000 + b"1" + b"}" * 200_000,
        b'{"data": {"id": "e", "status": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
        b'{"id": ' + b"9" * 5000 + b', "status": "running"}',
        b'{"id": "e", "status": "running", "progress": ' + b"9" * 1_000_000 + b"}",
        b'{"id": "e", "status": "running", "progress": NaN}',
        b'{"id": "e", "status": "running", "progress": -Infinity}',
        b'{"id": "e", "status": "\\ud800"}',
        b'{"id": "\\udfff\\ud800", "status": "running"}',
        b'{"id": "e", "status": "running", "\\uDC00": 1}',
        b'{"id": "e", "status": "running", "note": "\xed\xa0\x80"}',
        b'{"id": "e\xff", "status": "running"}',
        '{"id": "é", "status": "running"}'.encode("latin-1"),
        '{"id": "e", "status": "running"}'.encode("utf-16"),
        b'{"id": "e", "status": "running"',
        b'{"id": "e", "status": "running"}{}',
        b"<!doctype html><html><body>Sign in</body></html>",
        b"\x1f\x8b\x08\0\0\0\0\0",
        b"\0" * 1000,
    ],
    ids=lambda body: repr(body[:50])[2:-1],
)
async def test_what_is_no_json_is_a_payload_error(client, hostile, body):
    """Deep nesting, huge integers, NaN, lone surrogates and what is no JSON at all are errors that show little."""
    hostile.say(body)
    errors = await asked(client)
    assert [type(error) for error in errors] == [PayloadError] * 5
    assert all("the answer cannot be read" in str(error) for error in errors)
    assert all(str(error).isprintable() and len(str(error)) < 400 for error in errors)


@pytest.mark.parametrize("depth", [*range(150, 1000, 50), *range(900, 1000, 7)])
async def test_nesting_that_can_just_be_read_is_no_crash(client, hostile, depth):
    """Where JSON can still be decoded, but hardly shown, the answer is a value or a typed error."""
    nested = b"[" * depth + b"]" * depth
    for body in (
        b'{"id": "e", "status": "running", "note": ' + nested + b"}",
        b'{"id": ' + nested + b', "status": 1}',
        b'{"items": [' + nested + b"]}",
        b'{"note": "\\u0041", "data": ' + nested + b"}",
    ):
        hostile.say(body)
        assert all(isinstance(error, PayloadError) for error in await asked(client))


@pytest.mark.parametrize(
    "value",
    [None, True, 5, -1, 1.5, 1 << 70, "", "text", [], [[]], {}, {"id": {}}, {"id": None, "status": None}, 10**4000],
)
async def test_wrong_types_everywhere_are_payload_errors(client, hostile, value):
    """Each field of each wrong type is an error of the payload, or is passed over where it is optional."""
    for body in (
        value,
        {"data": value},
        {"data": {"id": value, "status": value}},
        {"data": {"id": "e", "status": value}},
        {"data": [value]},
        {"data": {"items": value, "total": value}},
        {"data": {"items": [value, {"id": value}], "total": value}},
        {"data": {"execution_id": value, "execution": value, "id": value}},
        {"success": value, "data": value},
        {"data": EXECUTION | dict.fromkeys(("created_at", "progress", "error", "phase", "task_id", "x"), value)},
    ):
        hostile.say(body)
        assert all(isinstance(error, PayloadError) for error in await asked(client))
    for body in ({"success": False, "error": value}, {"success": False, "error": {"code": value, "message": value}}):
        hostile.say(body)
        assert [isinstance(error, ResponseError) for error in await asked(client)] == [True] * 5


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Nul: \0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\0",
        b"HTTP/0.9 200\r\n\r\n",
        b"HTTP/1.1 000 None\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[:50])[2:-1],
)
async def test_what_is_no_http_is_a_transport_error(client, hostile, answer):
    """Garbage instead of an answer is typed, says that the request may have been sent, and quotes little."""
    hostile.answer(answer)
    for error in await asked(client):
        assert isinstance(error, TransportError | PayloadError | ResponseError)
        assert getattr(error, "sent", True) is True
        assert len(str(error)) < 500
    assert client.budget.in_flight == 0
    assert client.statistics.requests == len(hostile.requests) == 5


async def test_a_body_shorter_than_said_is_waited_for_no_longer_than_the_time_out(connect, hostile):
    """A Content-Length that is too large makes a body that never comes whole."""
    client = await connect(hostile.url, total_timeout_s=0.1)
    hostile.answer(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"id": "e", "status": "running"}')
    with pytest.raises(RequestTimeoutError) as raised:
        await client.get("e")
    assert raised.value.sent is True


async def test_a_body_longer_than_said_spoils_no_other_answer(client, hostile):
    """What follows a body beyond its Content-Length is never taken for the answer to the next request."""
    body = json.dumps(EXECUTION).encode()
    forged = b'HTTP/1.1 200 OK\r\nContent-Length: 35\r\n\r\n{"id": "f", "status": "completed"}  '
    hostile.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body + forged)
    results = []
    for _ in range(4):
        results += await asyncio.gather(client.get("e"), return_exceptions=True)
    assert all(isinstance(result, TransportError) or result.value.id == "e" for result in results)


def test_data_that_cannot_be_shown_is_named_by_its_type():
    """What is nested too deeply to be written, or too large a number, is still no crash in the making of an error."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "<list>"
    assert shown({"a": 10**5000}) == "<dict>"
    assert shown({"a": 1}) == "{'a': 1}"


NONSENSE = [
    "",
    " ",
    "-1",
    "0",
    "abc",
    "9" * 5000,
    "1e9",
    "nan",
    "٣",
    "\udcff\udcfe",
    "12, 13;w=60",
    "0x10",
    "1_000",
    "+5",
]


@pytest.mark.parametrize("text", NONSENSE)
@pytest.mark.parametrize("status", [200, 429])
async def test_headers_that_are_nonsense_are_passed_over(client, hostile, text, status):
    """No header of the service, whatever it says, breaks a request or stops the ones after it for long."""
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "Date", "Content-Type")
    hostile.say(EXECUTION, status, **dict.fromkeys(names, text))
    if status == 200:
        assert (await client.get("e")).value.id == "e"
    else:
        with pytest.raises(ServiceError):
            await client.get("e")
    assert client.budget.in_flight == 0
    assert client.budget.limit is None or client.budget.limit >= 1
