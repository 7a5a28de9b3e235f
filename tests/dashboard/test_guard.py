"""The guard: which requests are let in, whoever sends them."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from titan_state.dashboard.guard import Guard

TOKEN = "t" * 43


@pytest.fixture
async def ask():
    """Ask a server that the guard watches; return the status of the answer."""

    async def fine(request):
        return web.Response(text="fine")

    app = web.Application(middlewares=[Guard(TOKEN, ["board.example"]).middleware])
    app.router.add_route("*", "/{path:.*}", fine)
    server = TestServer(app)
    await server.start_server()
    async with ClientSession() as session:

        async def call(path="/", method="GET", **options):
            headers = {"Authorization": f"Bearer {TOKEN}"} | options.pop("headers", {})
            headers = {name: value for name, value in headers.items() if value is not None}
            async with session.request(method, server.make_url(path), headers=headers, **options) as answer:
                return answer.status, (await answer.text())

        call.port = server.port
        yield call
    await server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "board.example", "Board.Example"])
async def test_names_of_the_dashboard(ask, host):
    """It answers under the names of this machine, and those that were given, with any port."""
    assert await ask("/api/x", headers={"Host": f"{host}:{ask.port}"}) == (200, "fine")
    assert await ask("/api/x", headers={"Host": host}) == (200, "fine")


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/stream", "/download/k/n"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.2", "[::2]", "", "localhost."])
async def test_names_of_others(ask, host, path):
    """A name that somebody made lead to this machine gets nothing, with the right token, too (DNS rebinding)."""
    status, told = await ask(path, headers={"Host": f"{host}:{ask.port}"})
    assert status == 403
    assert "open the link" in told


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1", "http://localhost:{port}"]
)
async def test_pages_of_others(ask, origin):
    """A page of another origin gets nothing."""
    headers = {"Host": f"127.0.0.1:{ask.port}", "Origin": origin.format(port=ask.port)}
    assert (await ask("/api/x", headers=headers))[0] == 403
    assert (await ask("/", headers=headers))[0] == 403


async def test_the_page_itself(ask):
    """Its own page sends its own origin, and is let in."""
    host = f"127.0.0.1:{ask.port}"
    assert (await ask("/api/x", headers={"Host": host, "Origin": f"http://{host}"}))[0] == 200


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
async def test_what_browsers_say_of_the_asker(ask, site, status):
    """A browser tells whether another site asks: another port of this machine is another page, too."""
    assert (await ask("/api/x", headers={"Sec-Fetch-Site": site}))[0] == status


async def test_a_link_elsewhere_opens_the_empty_page(ask):
    """A link in a mail or a chat may lead to the page, which holds nothing; it may lead to nothing else."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await ask("/", headers=headers))[0] == 200
    for path in ("/api/x", "/static/x.js", "/download/k/n"):
        assert (await ask(path, headers=headers))[0] == 403


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xff"],
)
async def test_the_token_is_needed(ask, given):
    """Without the token of the link nothing is told, and nothing done."""
    for method in ("GET", "POST"):
        status, told = await ask("/api/x", method, headers={"Authorization": given})
        assert status == 401
        assert "open the link" in told


async def test_the_empty_page_needs_no_token(ask):
    """The files of the page hold nothing, and come without one: the browser has sent none yet."""
    assert (await ask("/", headers={"Authorization": None}))[0] == 200
    assert (await ask("/static/x.js", headers={"Authorization": None}))[0] == 200


async def test_what_is_posted_is_json(ask):
    """A form of another page, which needs no leave to be sent, is not taken."""
    assert (await ask("/api/x", "POST", json={}))[0] == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert (await ask("/api/x", "POST", data=b"{}", headers={"Content-Type": kind}))[0] == 415
