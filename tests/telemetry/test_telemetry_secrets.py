"""No secret in what is exported: not the token, not credentials that answers, errors and URLs hold."""

from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import quote

import pytest
from tokens import TOKEN

from titan_state import Handlers, Monitor, ServiceProfile
from titan_state.emulator import Plan, Step

SECRET = "s3cr3t-of-the-media-url"


@pytest.fixture
async def echoing():
    """A server that answers with everything it was sent, the token included, and with whatever status it is told."""
    state = {"status": 500, "urls": []}

    async def serve(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                state["urls"].append(head.split(" ", 2)[1])
                told = {"error": {"code": head, "message": head}, "data": {"id": head, "status": head}}
                body = json.dumps(told).encode()
                top = f"HTTP/1.1 {state['status']} {TOKEN}\r\nContent-Length: {len(body)}\r\nX-Echo: {TOKEN}\r\n\r\n"
                writer.write(top.encode() + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    state["url"] = "http://{}:{}".format(*server.sockets[0].getsockname())
    yield state
    server.close()


def hidden(text, secret):
    """Return whether a secret is in a text in none of the ways in which it may be written."""
    forms = (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
    return not any(form in text for form in forms)


@pytest.mark.parametrize("status", [200, 400, 404, 409, 429, 500])
async def test_a_server_that_echoes_the_token(echoing, exported, clock, until, status):
    """Whatever a server does with the token, it is exported nowhere."""
    echoing["status"] = status
    handlers = Handlers()
    handlers.on_anomaly(lambda event: None, name="anomalies")
    telemetry = exported.telemetry(task_ids=True)
    async with Monitor(
        echoing["url"], TOKEN, clock=clock, telemetry=telemetry, handlers=handlers, drain_s=0
    ) as monitor:
        monitor.watch("e")
        monitor.watch_task("t")
        acting = asyncio.create_task(monitor.pause("e", force=True))
        await until(lambda: len(exported.spans("GET")) > 3, seconds=300)
        acting.cancel()
        await asyncio.wait((acting,))
        assert exported.metrics()
        assert hidden(exported.everything(), TOKEN)
    assert hidden(exported.everything(), TOKEN)


@pytest.mark.parametrize("plain", [True, False])
async def test_a_callback_that_raises_with_the_token(service, measured, exported, clock, until, plain):
    """What a callback raises is in its span without the token, also in the errors that it is chained to."""
    service.add(Plan(id="long", steps=[Step("running", 1.0)]))
    handlers = Handlers()

    def leak(event):
        try:
            raise RuntimeError(f"Bearer {TOKEN}")
        except RuntimeError as error:
            raise ValueError(f"GET /media/x?token={SECRET} with {TOKEN}") from error

    async def leak_async(event):
        leak(event)

    handlers.on_running(leak if plain else leak_async, name="leak", retries=0)
    async with measured(handlers=handlers) as monitor:
        monitor.watch("long")
        await until(lambda: exported.spans("process"))
    (span,) = exported.spans("process")
    assert "The above exception was the direct cause" in span.events[0].attributes["exception.stacktrace"]
    assert "[token]" in span.events[0].attributes["exception.message"]
    text = exported.everything()
    assert hidden(text, TOKEN)
    assert hidden(text, SECRET)


async def test_a_signed_url_of_another_origin(service, echoing, measured, exported, clock, until, tmp_path):
    """The credential of a media URL is in no span, of our own origin or of another one; nor is the token sent there."""
    service.add(Plan(id="done", steps=[Step("running", 0.1), Step("completed", 0.1)]))
    echoing["status"] = 403
    profile = ServiceProfile(media_origins=(echoing["url"],))
    async with measured(profile=profile) as monitor:
        monitor.watch("done")
        await until(lambda: monitor.check("done", "stop").as_of and not monitor.check("done", "stop").allowed)
        for url in (f"{echoing['url']}/a.png?sig={SECRET}", f"/media/a.png?token={SECRET}"):
            asking = asyncio.create_task(monitor.outputs("done").media(url, tmp_path / "a.png"))
            await until(asking.done)
            assert asking.exception() is not None
    spans = [span for span in exported.spans("GET") if "a.png" in span.attributes["url.full"]]
    assert {span.name for span in spans} == {"GET", "GET /media/{path}"}
    assert "?sig=[redacted]" in spans[0].attributes["url.full"]
    assert SECRET in str(echoing["urls"])
    assert hidden(exported.everything(), SECRET)
    assert hidden(exported.everything(), TOKEN)


async def test_an_account_is_shown_without_credentials(exported, clock, service):
    """A name of an account that holds a credential is shown without it."""
    account = f"https://e.example/?token={SECRET}"
    async with Monitor(service.url, TOKEN, account=account, clock=clock, telemetry=exported.telemetry()) as monitor:
        assert monitor.account == account
        assert exported.total("titan_state.leader.active") == 1
        assert hidden(exported.everything(), SECRET)
