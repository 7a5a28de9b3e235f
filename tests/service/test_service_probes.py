"""Probes over real HTTP: what is answered, with which code, and what is not."""

from __future__ import annotations

import asyncio
import json
import socket

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tokens import TOKEN
from waits import asked, true

from titan_state.errors import ConfigurationError
from titan_state.service.accounts import Account
from titan_state.service.probes import LISTEN, Probes, place_of
from titan_state.service.service import Service

READY = {"is_ready": True, "reasons": [], "member": None, "accounts": [{"account": "shop", "state": "leading"}]}
REASONS = [{"account": "shop", "reason": "the service refuses the token (401)"}]


@pytest.fixture
async def probes():
    status = dict(READY)
    async with Probes(lambda: status, ("127.0.0.1", 0)) as probes, aiohttp.ClientSession(probes.url) as session:

        async def ask(path, method="GET", **options):
            async with session.request(method, path, **options) as answer:
                text = await answer.read()
                return answer.status, await answer.json() if text else None, answer.headers

        probes.told = status
        probes.ask = ask
        yield probes


async def test_a_service_that_is_ready(probes):
    """Each probe answers with 200 and JSON that nothing may keep."""
    assert (await probes.ask("/livez"))[:2] == (200, {"is_alive": True})
    assert (await probes.ask("/readyz"))[:2] == (200, {"is_ready": True, "reasons": []})
    status, told, headers = await probes.ask("/status")
    assert (status, told) == (200, READY)
    assert (headers["Cache-Control"], headers["Server"]) == ("no-store", "titan-state")


async def test_a_service_that_is_not_ready(probes):
    """Readiness is 503 with the reasons, while life goes on."""
    probes.told |= {"is_ready": False, "reasons": REASONS}
    assert (await probes.ask("/readyz"))[:2] == (503, {"is_ready": False, "reasons": REASONS})
    assert (await probes.ask("/livez"))[0] == 200
    assert (await probes.ask("/status"))[0] == 200


async def test_only_get_and_head(probes):
    """Nothing can be changed here: HEAD is answered without a body, everything else is refused."""
    assert (await probes.ask("/readyz", "HEAD"))[:2] == (200, None)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, told, headers = await probes.ask("/readyz", method, data=b"x" if method == "POST" else None)
        assert (status, told, headers["Allow"]) == (405, {"error": "only GET and HEAD are answered"}, "GET,HEAD")
    assert (await probes.ask("/nothing"))[0] == 404
    assert (await probes.ask("/"))[1] == {"error": "ask /livez, /readyz or /status"}


async def test_what_is_no_question(probes, caplog):
    """Nonsense, endless lines and other names are borne."""
    assert (await probes.ask("/livez", headers={"Host": "elsewhere.example"}))[0] == 200
    for nonsense in (b"\x00\xff nonsense\r\n\r\n", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", probes.port)
        writer.write(nonsense)
        assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert caplog.records == []
    assert (await probes.ask("/livez"))[0] == 200


async def test_the_token_is_in_no_probe(tmp_path):
    """Whatever a service says to it, and whoever asks: neither readiness nor the status has the token."""

    def echoing(status):
        async def echo(request):
            told = f"{request.headers['Authorization']} {TOKEN}"
            answer = {"success": False, "error": {"code": told, "message": told}, "data": {"status": told}}
            return web.json_response(answer, status=status, reason=told)

        app = web.Application()
        app.router.add_get("/{tail:.*}", echo)
        return TestServer(app)

    async with echoing(401) as refusing, echoing(500) as failing, echoing(200) as odd:
        servers = {"refusing": refusing, "failing": failing, "odd": odd}
        accounts = [Account(url=str(one.make_url("/")), token=TOKEN, name=name) for name, one in servers.items()]
        service = Service(accounts, lambda one: tmp_path / f"{one.name}.db", listen=("127.0.0.1", 0))
        running = asyncio.create_task(service.run())
        await true(lambda: any("401" in one["reason"] for one in service.status()["reasons"]))
        for path in ("/livez", "/readyz", "/status"):
            status, told = await asyncio.to_thread(asked, f"{service.probes.url}{path}")
            assert status == (503 if path == "/readyz" else 200)
            assert TOKEN not in json.dumps(told)
        running.cancel()
        await asyncio.wait((running,))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (LISTEN, ("127.0.0.1", 8289)),
        ("[::1]:80", ("::1", 80)),
        (":8080", ("0.0.0.0", 8080)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_places(text, place):
    """A place is an address and a port."""
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text", ["", "8080", "localhost", "localhost:", "localhost:x", "::1:80", "a:65536", "a b:1", "a:1:2"]
)
def test_what_is_no_place(text):
    """What cannot be listened on is told, with an example."""
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:8289"):
        place_of(text)


async def test_a_port_that_is_taken():
    """Where it cannot listen it says why, and how to choose another place."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="name another port, as --listen"):
            async with Probes(dict, taken.getsockname()):
                pass
    with pytest.raises(ConfigurationError, match="name an address of this machine"):
        async with Probes(dict, ("192.0.2.1", 0)):
            pass


async def test_a_mistake_of_ours_is_told(caplog):
    """Where the state cannot be told the answer is 500, and the log says why."""
    probes = Probes(lambda: 1 / 0, ("127.0.0.1", 0))
    async with probes, aiohttp.ClientSession() as session, session.get(f"{probes.url}/readyz") as answer:
        assert answer.status == 500
    assert "ZeroDivisionError" in caplog.text
