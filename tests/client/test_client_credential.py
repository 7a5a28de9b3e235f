"""The token: where it comes from, when it is renewed, where it goes, and that nothing shows it."""

from __future__ import annotations

import asyncio
import html
import json
import logging
from urllib.parse import quote

import pytest

from titan_state.client.credential import REMEMBERED, Credential
from titan_state.client.profile import ServiceProfile
from titan_state.errors import (
    ConfigurationError,
    InternalServiceError,
    NotFoundError,
    PayloadError,
    RedirectError,
    ResponseError,
    TokenUnavailableError,
    TransportError,
    UnauthorizedError,
)

EXECUTION = {"success": True, "data": {"id": "e", "status": "running"}}
REFUSED = {"success": False, "error": {"code": "UNAUTHORIZED", "message": "expired"}}


class Issuer:
    """Hands out tokens one after the other, and counts how often it was asked."""

    def __init__(self, *tokens):
        self.tokens = list(tokens)
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]

    async def slowly(self):
        token = self()
        await asyncio.sleep(0)
        return token


async def test_bearer_is_the_default_and_a_key_an_option(connect, hostile, token):
    """The token goes in the header that the profile names, and in no other."""
    hostile.say(EXECUTION)
    await (await connect(hostile.url)).get("e")
    await (await connect(hostile.url, profile=ServiceProfile(auth_scheme="x-api-key"))).get("e")
    bearer, key = hostile.requests
    assert f"\r\nAuthorization: Bearer {token}\r\n".encode() in bearer
    assert b"X-API-Key" not in bearer
    assert f"\r\nX-API-Key: {token}\r\n".encode() in key
    assert b"Authorization" not in key


async def test_the_service_accepts_either_header(emulator, connect):
    """Both ways of sending the token open the embedded service."""
    for scheme in ("bearer", "x-api-key"):
        client = await connect(emulator.url, emulator.token, profile=ServiceProfile(auth_scheme=scheme))
        assert (await client.list()).value.items == ()


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_is_asked_for_the_first_token_once(emulator, connect, is_async):
    """Requests that start together share the first token, whether the function is `def` or `async def`."""
    issuer = Issuer(emulator.token)
    client = await connect(emulator.url, issuer.slowly if is_async else issuer)
    assert issuer.asked == 0
    await asyncio.gather(*(client.list() for _ in range(5)))
    await client.list()
    assert issuer.asked == 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_requests_refused_together_renew_the_token_once(emulator, connect, is_async):
    """A 401 renews the token, by one call for all that were refused with the same one, and each is sent once more."""
    issuer = Issuer("an-expired-token", emulator.token)
    client = await connect(emulator.url, issuer.slowly if is_async else issuer)
    await asyncio.gather(*(client.list() for _ in range(8)))
    assert issuer.asked == 2
    assert [request.status for request in emulator.requests].count(401) == 8
    assert [request.status for request in emulator.requests].count(200) == 8
    assert client.statistics.requests == 16


async def test_a_function_that_knows_no_other_token_is_asked_once_too(emulator, connect):
    """Also where the same token comes back, one call serves all that were refused, and no request goes out thrice."""
    issuer = Issuer("a-token-that-is-wrong")
    client = await connect(emulator.url, issuer)
    results = await asyncio.gather(*(client.list() for _ in range(8)), return_exceptions=True)
    assert {type(result) for result in results} == {UnauthorizedError}
    assert issuer.asked == 2
    assert len(emulator.requests) == 16


async def test_a_late_refusal_of_an_old_token_does_not_renew_again(connect, hostile, whole):
    """A 401 that arrives when the token was renewed meanwhile takes the new one, without another call."""
    issuer = Issuer("token-number-1", "token-number-2")
    release = asyncio.Event()

    async def late(writer):
        await release.wait()
        writer.write(whole(REFUSED, 401))

    hostile.answer(late, whole(REFUSED, 401), whole(EXECUTION))
    client = await connect(hostile.url, issuer)
    slow = asyncio.create_task(client.get("slow"))
    await hostile.until(1)
    await client.get("quick")
    release.set()
    await slow
    assert issuer.asked == 2
    assert [b"token-number-2" in request for request in hostile.requests] == [False, False, True, True]


async def test_a_fixed_token_is_not_sent_again_when_refused(connect, hostile):
    """Nothing can be renewed: the refusal is raised at once."""
    hostile.say(REFUSED, 401)
    client = await connect(hostile.url)
    with pytest.raises(UnauthorizedError) as raised:
        await client.get("e")
    assert raised.value.http_status == 401
    assert len(hostile.requests) == 1


async def test_what_the_function_raises_is_chained(emulator, connect):
    """A function that fails is an error of the network's kind: nothing was sent, and the next request asks it again."""
    answers = [LookupError("the vault is closed"), emulator.token]

    def token():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = await connect(emulator.url, token)
    with pytest.raises(TokenUnavailableError, match="raised LookupError") as raised:
        await client.list()
    assert "the vault is closed" in str(raised.value.__cause__)
    assert not raised.value.sent
    assert client.budget.in_flight == 0
    assert (await client.list()).value.items == ()


async def test_a_cancelled_renewal_is_made_up_for(emulator, connect):
    """If the request that renews is cancelled, another one that waits renews instead."""
    started, asked = asyncio.Event(), 0

    async def token():
        nonlocal asked
        asked += 1
        if asked == 1:
            started.set()
            await asyncio.Event().wait()
        return emulator.token

    client = await connect(emulator.url, token)
    first, second = (asyncio.create_task(client.list()) for _ in range(2))
    await started.wait()
    first.cancel()
    assert (await second).value.items == ()
    assert asked == 2


@pytest.mark.parametrize(
    "bad",
    ["", None, 5, b"bytes", "with space", "line\r\nX-Evil: 1", "line\n", "tab\t", "não", "null\0", "\ud800", "x\x7f"],
)
def test_what_cannot_be_a_token_is_refused_without_showing_it(bad):
    """A token with characters that could end a header is refused when the client is made, and not shown."""
    with pytest.raises(ConfigurationError, match="the token") as raised:
        Credential(bad, ServiceProfile())
    if isinstance(bad, str) and bad:
        assert bad not in f"{raised.value!r} {raised.value}"


@pytest.mark.parametrize("bad", ["", None, "secret with-spaces"])
async def test_what_the_function_returns_is_checked_too(connect, hostile, bad):
    """A function that returns no token is said to, and nothing is sent."""
    client = await connect(hostile.url, lambda: bad)
    with pytest.raises(TokenUnavailableError, match="the token") as raised:
        await client.get("e")
    assert "secret" not in str(raised.value)
    assert hostile.requests == []


async def test_nothing_shows_the_token(client, token):
    """Neither the client nor its parts show the token, and a short look inside does not either."""
    transport = client._transport
    for part in (client, client._credential, transport, client.budget, client.profile, client.statistics):
        assert token not in f"{part!r} {part}"


def spellings(token):
    """Return the forms in which a service may send a token back."""
    codes = "".join(f"\\u{ord(character):04x}" for character in token)
    return {
        "plain": token,
        "json": json.dumps(token)[1:-1],
        "json with slashes": token.replace("/", "\\/"),
        "json as codes": codes,
        "json as upper case codes": codes.replace("\\u00", "\\u00").upper().replace("\\U", "\\u"),
        "json half as codes": token[:3] + codes[3 * 6 :],
        "url": quote(token, safe=""),
        "url with slashes": quote(token),
        "html": html.escape(token),
    }


@pytest.mark.parametrize("form", spellings("x"))
@pytest.mark.parametrize(
    ("status", "expected"), [(200, None), (401, UnauthorizedError), (404, NotFoundError), (500, InternalServiceError)]
)
async def test_a_token_that_is_sent_back_is_replaced(client, hostile, token, told, caplog, form, status, expected):
    """However the service spells the token in an answer, neither values nor errors nor the log hold it."""
    caplog.set_level(logging.DEBUG)
    echo = spellings(token)[form]
    text = f'{{"success": {str(status < 300).lower()}, "data": {{"id": "e {echo}", "status": "{echo}", "{echo}": 1}}'
    text += f', "error": {{"code": "{echo}", "message": "Bearer {echo} is wrong"}}}}'
    hostile.say(text.encode(), status)
    if expected is None:
        execution = (await client.get("e")).value
        shown = f"{execution!r} {execution.to_dict()}"
    else:
        with pytest.raises(expected) as raised:
            await client.get("e")
        shown = told(raised.value)
    assert "[token]" in shown
    assert not [spelling for spelling in spellings(token).values() if spelling in shown + caplog.text]


@pytest.mark.parametrize("form", ["plain", "url", "html", "json with slashes"])
@pytest.mark.parametrize("status", [200, 502])
async def test_a_page_that_shows_the_token_is_cleaned(client, hostile, token, told, form, status):
    """A proxy's page that quotes the request is shown without the token."""
    hostile.say(f"<html><p>Authorization: Bearer {spellings(token)[form]}</p>".encode(), status)
    with pytest.raises(PayloadError if status == 200 else InternalServiceError) as raised:
        await client.get("e")
    assert "Authorization: Bearer [token]" in told(raised.value)
    assert not [spelling for spelling in spellings(token).values() if spelling in told(raised.value)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
async def test_a_page_in_another_encoding_is_not_shown(client, hostile, token, told, encoding):
    """What is no UTF-8 is not shown at all, as the token could not be found in it."""
    hostile.say(f"<p>{token}</p>".encode(encoding), 502)
    with pytest.raises(InternalServiceError, match="bytes that are no text") as raised:
        await client.get("e")
    assert token not in told(raised.value).replace("\0", "")


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 {0} {0}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Echo: {0}\r\n",
        "HTTP/1.1 200 OK\r\nX-Echo: {0}\r\nContent-Length: 9\r\n\r\n{0}",
        "HTTP/1.1 200 OK\r\nContent-Length: {0}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{0}\r\n",
        "HTTP/1.1 200 OK\r\n{0}\r\n\r\n",
        "{0}\r\n\r\n",
    ],
)
async def test_a_token_in_what_is_no_answer_is_not_shown(client, hostile, token, told, caplog, head):
    """What aiohttp says of a broken answer quotes it: such an error is reported without being chained."""
    caplog.set_level(logging.DEBUG)
    hostile.answer(head.format(token).encode())
    with pytest.raises((TransportError, PayloadError, ResponseError)) as raised:
        await client.get("e")
    assert token not in told(raised.value)
    assert token not in caplog.text


@pytest.mark.parametrize(
    "target", ["https://{0}.example/", "https://evil.example/?token={0}", "/{0}", "https://{0}@h/"]
)
async def test_a_redirect_with_the_token_in_it_does_not_show_it(client, hostile, token, told, target):
    """The error of a redirect names no more than an origin, and that without the token."""
    hostile.say(b"", 302, Location=target.format(token))
    with pytest.raises(RedirectError) as raised:
        await client.get("e")
    assert token not in told(raised.value)


async def test_the_tokens_before_are_replaced_too(connect, hostile, told):
    """An answer may echo a token that was renewed meanwhile; the last few are remembered."""
    issuer = Issuer("token-number-1", "token-number-2", "token-number-3")
    client = await connect(hostile.url, issuer)
    text = "token-number-1 token-number-2 token-number-3"
    hostile.say({"success": False, "error": {"code": "UNAUTHORIZED", "message": text}}, 401)
    for _ in range(2):
        with pytest.raises(UnauthorizedError) as raised:
            await client.get("e")
    assert raised.value.message == "[token] [token] [token]"
    assert "token-number" not in told(raised.value)


async def test_few_tokens_are_remembered():
    """A client that runs for years does not keep every token it had."""
    issuer = Issuer(*(f"token-number-{number}" for number in range(10)))
    credential = Credential(issuer, ServiceProfile())
    for issue in range(10):
        await credential.renew(issue)
    assert credential.redact("token-number-9") == credential.redact(f"token-number-{10 - REMEMBERED}") == "[token]"
    assert credential.redact("token-number-0") == "token-number-0"
    assert credential.redact_body(b"token-number-9") == b"[token]"


async def test_a_token_too_short_to_be_a_secret_changes_no_answer(connect, hostile):
    """A token like `t` would be found in every answer, and is left alone."""
    hostile.say({"success": True, "data": {"id": "t-1", "status": "completed"}})
    client = await connect(hostile.url, "t")
    assert (await client.get("t-1")).value.status == "completed"
