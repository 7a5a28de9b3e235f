"""Downloads: a file is handed out once, by a link that nobody can guess, and nothing of it stays."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from titan_state.dashboard.downloads import GOOD_S, Downloads
from titan_state.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def downloads(clock, tmp_path, monkeypatch):
    """Downloads that keep their files in the test's directory, which is empty once they are closed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Downloads(clock)
    yield made
    await made.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
async def fetch(downloads):
    """Fetch from a server of downloads."""
    app = web.Application()
    app.router.add_get("/download/{key}/{name}", downloads.serve)
    server = TestServer(app)
    await server.start_server()
    async with ClientSession() as session:

        async def call(link):
            async with session.get(server.make_url(link)) as answer:
                return answer.status, answer.headers.get("Content-Disposition"), await answer.read()

        yield call
    await server.close()


def saving(name, body, seen=None):
    async def save(directory):
        path = directory / name
        path.write_bytes(body)
        if seen is not None:
            seen.append(path)
        return path

    return save


async def test_a_file_is_handed_out_once(downloads, fetch):
    """It comes as an attachment under its name, is removed, and the link is good no longer."""
    seen = []
    link = await downloads.add(saving("run é.csv", b"a,b\n", seen))
    assert await fetch(link) == (200, "attachment; filename*=UTF-8''run%20%C3%A9.csv", b"a,b\n")
    assert (await fetch(link))[0] == 404
    async with asyncio.timeout(20):
        # the answer may be here before the server has tidied up
        while seen[0].parent.exists():  # noqa: ASYNC110 - a directory tells nobody that it has gone
            await asyncio.sleep(0.01)


async def test_a_link_is_good_for_a_while(downloads, fetch, clock):
    """What nobody fetches is removed."""
    link = await downloads.add(saving("a.json", b"[]"))
    await clock.advance(GOOD_S + 1)
    assert (await fetch(link))[0] == 404


async def test_what_cannot_be_saved_leaves_nothing(downloads, tmp_path):
    """An export that fails raises, and its directory goes."""

    async def fail(directory):
        (directory / "half").write_bytes(b"x")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await downloads.add(fail)
    assert [one for root in tmp_path.iterdir() for one in root.iterdir()] == []


async def test_two_at_once_leave_nothing(downloads):
    """The first two that come at the same time share the place that is removed in the end."""
    await asyncio.gather(*(downloads.add(saving("a.json", b"[]")) for _ in range(4)))


async def test_keys_cannot_be_guessed(downloads, fetch):
    """No two links are alike, and another key gets nothing, nor does a path."""
    links = {await downloads.add(saving("a.json", b"[]")) for _ in range(3)}
    assert len(links) == 3
    for wrong in ("/download/x/a.json", "/download/../a.json", "/download/%2e%2e/a.json"):
        assert (await fetch(wrong))[0] == 404
