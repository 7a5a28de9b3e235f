"""The envelope: which answer is data and which is an error, and of which type."""

from __future__ import annotations

import pickle

import pytest

from titan_state.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    InternalServiceError,
    NotFoundError,
    NotSupportedError,
    PayloadError,
    RedirectError,
    ResponseError,
    TooManyRequestsError,
    UnauthorizedError,
)
from titan_state.testing import ManualClock

DATA = {"id": "e", "status": "running"}


def failed(code, message="a reason"):
    return {"success": False, "error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "BAD_REQUEST", BadRequestError),
        (401, "UNAUTHORIZED", UnauthorizedError),
        (403, "FORBIDDEN", ForbiddenError),
        (404, "NOT_FOUND", NotFoundError),
        (409, "CONFLICT", ConflictError),
        (422, "UNPROCESSABLE_ENTITY", ConflictError),
        (429, "TOO_MANY_REQUESTS", TooManyRequestsError),
        (500, "INTERNAL_SERVER_ERROR", InternalServiceError),
        (501, "NOT_IMPLEMENTED", NotSupportedError),
        (500, "NOT_IMPLEMENTED", NotSupportedError),
        (503, "TOO_MANY_REQUESTS", TooManyRequestsError),
        # The status comes first: what it says is not unsaid by a code.
        (400, "NOT_FOUND", BadRequestError),
        (404, "FORBIDDEN", NotFoundError),
        (500, "NOT_FOUND", InternalServiceError),
        (502, "UNAUTHORIZED", InternalServiceError),
        # What is in no table.
        (402, "PAYMENT_REQUIRED", ResponseError),
        (418, "NOT_FOUND", NotFoundError),
        (420, "TOO_MANY_REQUESTS", TooManyRequestsError),
        (410, "GONE", ResponseError),
        (451, "", ResponseError),
        (502, "BAD_GATEWAY", InternalServiceError),
        (599, "WHATEVER", InternalServiceError),
        (999, "DENIED", InternalServiceError),
    ],
)
async def test_status_and_code_become_a_type(client, hostile, status, code, kind):
    """Each row of the table, and what is in none, becomes one type with the service's own code."""
    hostile.say(failed(code), status)
    with pytest.raises(ResponseError) as raised:
        await client.get("e")
    error = raised.value
    assert type(error) is kind
    assert (error.http_status, error.code, error.message) == (status, code or str(status), "a reason")
    assert error.request == "GET /executions/e"
    assert str(error) == f"GET /executions/e: {f'HTTP {status} {code}'.strip()}: a reason"
    assert error.sent_at <= error.received_at


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("BAD_REQUEST", BadRequestError),
        ("UNAUTHORIZED", UnauthorizedError),
        ("FORBIDDEN", ForbiddenError),
        ("NOT_FOUND", NotFoundError),
        ("CONFLICT", ConflictError),
        ("TOO_MANY_REQUESTS", TooManyRequestsError),
        ("NOT_IMPLEMENTED", NotSupportedError),
        ("INTERNAL_SERVER_ERROR", InternalServiceError),
        ("SOMETHING_NEW", ResponseError),
    ],
)
async def test_a_success_that_says_it_failed_is_typed_by_its_code(client, hostile, code, kind):
    """A 200 with `success: false` is an error, also where it has data; its code says which."""
    hostile.say(failed(code) | {"data": DATA})
    with pytest.raises(ResponseError) as raised:
        await client.get("e")
    assert (type(raised.value), raised.value.http_status, raised.value.code) == (kind, 200, code)


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": "gone"}, None, "gone"),
        ({"success": False, "error": "gone"}, None, "gone"),
        ({"error": {"code": "NOT_FOUND", "message": "gone"}}, "NOT_FOUND", "gone"),
        ({"error": {"code": "NOT_FOUND"}}, "NOT_FOUND", "no message"),
        ({"error": {"message": "gone"}}, None, "gone"),
        ({"success": False}, None, "no message"),
        ({"success": False, "error": None}, None, "no message"),
        ({"success": False, "error": {"code": 404, "message": ["gone"]}}, None, "no message"),
        ({"success": False, "error": ["gone"]}, None, "no message"),
        ({"success": True, "error": "gone"}, None, "gone"),
    ],
)
async def test_an_error_may_be_an_object_or_a_string(client, hostile, status, body, code, message):
    """`error` in either form, without `success`, and with fields missing or of wrong types, is an error."""
    hostile.say(body, status)
    with pytest.raises(ResponseError) as raised:
        await client.get("e")
    assert (raised.value.code, raised.value.message) == (code or str(status), message)
    assert isinstance(raised.value, NotFoundError) is (status == 404 or code == "NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": DATA},
        {"data": DATA},
        DATA,
        {"data": DATA, "error": None},
        {"success": True, "data": DATA, "error": "a warning beside data"},
        DATA | {"error": "what went wrong in the execution"},
    ],
)
async def test_data_is_found_with_and_without_an_envelope(client, hostile, body):
    """What is no error is data: in `data`, or else the whole answer; an execution's own `error` is no error."""
    hostile.say(body, 201)
    assert (await client.get("e")).value.status == "running"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "got None"),
        (b" \r\n", "got None"),
        (b"null", "got None"),
        ({"success": True, "data": None}, "got None"),
        ({"success": True}, "id that is text"),
        ([], "JSON object"),
        (b"5", "JSON object"),
        (b'"text"', "JSON object"),
        (b"<html>Sign in</html>", "no valid JSON but a web page, .*got <html>Sign in"),
        (b'{"data": {"id": "e"', "no valid JSON"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"\0", "1 bytes that are no text"),
    ],
)
async def test_a_success_that_cannot_be_read_is_a_payload_error(client, hostile, body, what):
    """A 200 without what was asked for says so, shows the beginning of it, and when it was received."""
    hostile.say(body)
    with pytest.raises(PayloadError, match=what) as raised:
        await client.get("e")
    assert raised.value.request == "GET /executions/e"
    assert raised.value.body
    assert str(raised.value).count("got") == 1
    assert raised.value.sent_at <= raised.value.received_at


async def test_a_byte_order_mark_is_no_fault(client, hostile):
    """Some servers begin a body with one."""
    hostile.say(b'\xef\xbb\xbf{"id": "e", "status": "running"}')
    assert (await client.get("e")).value.id == "e"


@pytest.mark.parametrize("status", [401, 404, 500])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b"null", b'{"a"', b"\xff\0", b"[" * 100_000])
async def test_an_error_without_an_envelope_is_typed_by_its_status(client, hostile, status, body):
    """What a proxy or a broken service answers is told apart by the status alone."""
    hostile.say(body, status)
    with pytest.raises(ResponseError, match="no error envelope") as raised:
        await client.get("e")
    kind = {401: UnauthorizedError, 404: NotFoundError, 500: InternalServiceError}[status]
    assert (type(raised.value), raised.value.code) == (kind, str(status))
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308, 399])
async def test_redirects_are_not_followed_within_the_origin(client, hostile, status):
    """A redirect is an error that says where it would have led, and nothing is sent there."""
    hostile.say(b"", status, Location=f"{hostile.url}/elsewhere?token=secret")
    with pytest.raises(RedirectError) as raised:
        await client.get("e")
    assert raised.value.http_status == status
    assert f"redirects are not followed, this one names {hostile.url}" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert hostile.targets == ["/api/v1/executions/e"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_never_reach_another_origin(client, hostile, other, status):
    """Whatever the method, the other server receives nothing, and the credentials in the target are not shown."""
    hostile.say(b"", status, Location=other.url.replace("//", "//user:hunter2@") + "/x?secret=hunter2")
    for send in (client.get("e"), client.pause("e"), client.run_task("t", secret_payload={"a": 1})):
        with pytest.raises(RedirectError) as raised:
            await send
        assert "hunter2" not in str(raised.value)
        assert other.url in str(raised.value)
    assert (other.connections, other.requests) == (0, [])
    assert len(hostile.requests) == 3


@pytest.mark.parametrize("refresh", ["0; url=//evil.example", "garbage"])
async def test_other_ways_to_lead_elsewhere_are_no_redirects(client, hostile, other, refresh):
    """Headers and a page that a browser would follow lead nowhere."""
    page = f'<meta http-equiv="refresh" content="0; url={other.url}">'.encode()
    hostile.say(page, Refresh=refresh, Link=f"<{other.url}>; rel=next", Content_Location=other.url, Alt_Svc="h2=':1'")
    with pytest.raises(PayloadError):
        await client.get("e")
    assert other.connections == 0
    assert len(hostile.requests) == 1


@pytest.mark.parametrize(
    ("headers", "reset_s"),
    [
        ({}, None),
        ({"X-RateLimit-Reset": "1767225630"}, 30),
        ({"X-RateLimit-Reset": "1767225630", "Date": "Thu, 01 Jan 2026 00:00:20 GMT"}, 10),
        ({"X-RateLimit-Reset": "1767225630.9; w=60"}, 30),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7", "X-RateLimit-Reset": "1767225630"}, 30),
        ({"Retry-After": "7", "X-RateLimit-Reset": "30"}, 7),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:20 GMT"}, 20),
        ({"Retry-After": "Thu, 01 Jan 2026 08:00:20 GMT", "Date": "Thu, 01 Jan 2026 08:00:00 GMT"}, 20),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:20 GMT", "Date": "soon"}, 20),
        ({"Retry-After": "Thu Jan  1 00:00:20 2026"}, 20),
        ({"Retry-After": "Wed, 31 Dec 2025 23:59:50 GMT"}, -10),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:20 GMT", "X-RateLimit-Reset": "30"}, 20),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:20 GMT", "X-RateLimit-Reset": "1767225630"}, 30),
        ({"Retry-After": "Thu, 99 Jan 2026 00:00:20 GMT"}, None),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Reset": "-5"}, None),
        ({"X-RateLimit-Reset": "٣"}, None),
        ({"X-RateLimit-Reset": "9" * 400, "Retry-After": "1e9"}, None),
    ],
)
async def test_a_429_says_when_requests_are_possible_again(connect, hostile, headers, reset_s):
    """The reset is read against the service's own date where there is one; what cannot be read is passed over."""
    hostile.say(failed("TOO_MANY_REQUESTS"), 429, **headers)
    client = await connect(hostile.url, clock=ManualClock())
    with pytest.raises(TooManyRequestsError) as raised:
        await client.get("e")
    assert raised.value.reset_s == reset_s


async def test_texts_of_the_service_are_made_harmless(client, hostile):
    """Escape sequences, line breaks and endless texts in an error do not reach a terminal."""
    hostile.say(failed("\x1b[31mRED", "line\r\nanother \x1b]0;title\x07 \u202e" + "x" * 10_000), 400)
    with pytest.raises(BadRequestError) as raised:
        await client.get("e")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1000


async def test_errors_survive_pickling(client, hostile):
    """An error of a request can cross a process boundary with all that it carries."""
    hostile.say(failed("NOT_FOUND"), 404)
    with pytest.raises(NotFoundError) as raised:
        await client.get("e")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), vars(copy), str(copy)) == (NotFoundError, vars(raised.value), str(raised.value))
