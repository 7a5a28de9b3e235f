"""Media URLs: their credential goes to the service and to whom the user names, and is shown nowhere."""

from __future__ import annotations

import logging

import pytest

from titan_state import ConfigurationError, ForeignOriginError, NotFoundError, ServiceError, ServiceProfile
from titan_state.client.loading.media import media_urls, medium_of
from titan_state.emulator import Plan, Scenario, Step

DONE = Plan(id="done", task_id="t", steps=[Step("running"), Step("completed")], rows=4)
ORIGIN = "https://api.example.com"
SECRET = "media-secret-0123456789"
NONE = ServiceProfile()


async def rows_of(outputs):
    return [row async for row in outputs.rows()]


async def test_media_of_rows_are_loaded(emulate, connect, tmp_path):
    """What the rows name is loaded under a plain name, once the credential in its URL is right."""
    service = await emulate(Scenario([DONE]))
    client = await connect(service.url, service.token)
    outputs = client.outputs("done")
    rows = await rows_of(outputs)
    urls = [url for row in rows for url in outputs.media_urls(row)]
    assert len(urls) == 4
    saved = await outputs.media(urls[0], tmp_path)
    assert saved.path.parent == tmp_path
    assert saved.path.name.startswith("1-")
    assert saved.path.suffix == ".png"
    assert saved.path.read_bytes().startswith(b"\x89PNG")
    relative = urls[1].removeprefix(service.url)
    assert (await outputs.media(relative, tmp_path)).path.name.startswith("2-")
    again = await outputs.media(urls[0], tmp_path, if_exists="skip")
    assert (again.path, again.is_new) == (saved.path, False)
    with pytest.raises(NotFoundError):
        await outputs.media(urls[0].replace("1.png", "99.png"), tmp_path)
    with pytest.raises(ServiceError) as caught:
        await outputs.media(urls[0] + "x", tmp_path / "other.png")
    assert urls[0].partition("token=")[2] not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://evil.example/media/1?token=x", "https://evil.example"),
        ("https://api.example.com.evil.example/media/1", "https://api.example.com.evil.example"),
        ("https://api.example.com:8443/media/1", "https://api.example.com:8443"),
        ("https://api.example.com@evil.example/media/1", "https://evil.example"),
        ("https://user:pw@api.example.com/media/1", "https://api.example.com"),
        ("http://api.example.com/media/1", "http://api.example.com"),
        ("//evil.example/media/1", "evil.example"),
        ("file:///etc/passwd", "file"),
        ("file:/etc/passwd", "file"),
        ("ftp://api.example.com/media/1", "ftp://api.example.com"),
        ("data:text/plain,hello", "data"),
        ("javascript:alert(1)", "javascript"),
        ("https:///media/1", "https"),
    ],
)
def test_foreign_origins_are_refused(url, shown):
    """Anything but the service's own origin is refused, with a word on where it points, and nothing of its secrets."""
    with pytest.raises(ForeignOriginError, match="which is not the service") as caught:
        medium_of(url, ORIGIN, NONE)
    assert shown in caught.value.origin
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "media/1",
        "/media/a b",
        "/media/a\nb",
        "https://api.example.com\\@evil/x",
        7,
        None,
        "https://[::1/media",
        "/media/../api",
        "/media/%2e%2E/x",
    ],
)
def test_what_is_no_url(url):
    """What cannot be a URL is refused as such."""
    with pytest.raises(ConfigurationError, match="a media URL"):
        medium_of(url, ORIGIN, NONE)


@pytest.mark.parametrize(
    ("url", "named", "needs_token"),
    [
        (f"/media/a.png?token={SECRET}", "GET /media/a.png", False),
        (f"https://api.example.com/media/a.png?token={SECRET}#part", "GET /media/a.png", False),
        (f"https://API.example.com:443/media/a.png?token={SECRET}", "GET /media/a.png", False),
        ("/media/a.png", "GET /media/a.png", True),
        ("/media/a.png?token=", "GET /media/a.png", True),
        ("/media/ü.png", "GET /media/%C3%BC.png", True),
    ],
)
def test_own_media(url, named, needs_token):
    """At the service's origin the token goes along only where the URL has no credential of its own."""
    medium = medium_of(url, ORIGIN, NONE)
    assert (medium.name, medium.needs_token, medium.is_ours) == (named, needs_token, True)
    assert SECRET not in repr(medium)
    assert medium.file_name.endswith(".png")


def test_further_origins():
    """Origins that the user names get the URL's credential, and never the token."""
    profile = ServiceProfile(media_origins=["cdn.example.net", "https://other.example:8443", "http://127.0.0.1:9"])
    assert profile.media_origins == ("https://cdn.example.net", "https://other.example:8443", "http://127.0.0.1:9")
    for url in ("https://cdn.example.net/x/1", "https://other.example:8443/1?token=t", "http://127.0.0.1:9/a"):
        medium = medium_of(url, ORIGIN, profile)
        assert not medium.needs_token
        assert not medium.is_ours
    with pytest.raises(ForeignOriginError):
        medium_of("https://other.example/1", ORIGIN, profile)
    for wrong in ("cdn.example.net", ["http://cdn.example.net"], ["https://cdn.example.net/path"]):
        with pytest.raises(ConfigurationError):
            ServiceProfile(media_origins=wrong)


async def test_the_token_goes_to_no_other_origin(hostile, other, connect, whole, token, tmp_path):
    """Of a named origin the requests have no Authorization, and are not counted against the budget of the service."""
    client = await connect(hostile.url, profile=ServiceProfile(media_origins=[other.url]))
    hostile.answer(whole(b"img"))
    other.answer(whole(b"img"))
    outputs = client.outputs("e")
    await outputs.media(f"{other.url}/media/1?token={SECRET}", tmp_path / "1")
    await outputs.media(f"/media/2?token={SECRET}", tmp_path / "2")
    await outputs.media("/media/3", tmp_path / "3")
    assert token not in other.requests[0].decode()
    assert token not in hostile.requests[0].decode()
    assert f"Authorization: Bearer {token}" in hostile.requests[1].decode()
    with pytest.raises(ForeignOriginError):
        await outputs.media("http://127.0.0.1:1/media/4", tmp_path / "4")


@pytest.mark.parametrize("name", ["..%2F..%2Fevil", "...", "", "a%00b", "con"])
async def test_names_in_urls_lead_nowhere(hostile, client, whole, tmp_path, name):
    """The last part of a URL's path becomes a plain name in the directory, whatever it is."""
    hostile.answer(whole(b"img"))
    inner = tmp_path / "inner"
    inner.mkdir()
    saved = await client.outputs("e").media(f"/media/{name}?token={SECRET}", inner)
    assert saved.path.parent == inner
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]


async def test_the_credential_of_a_url_is_nowhere(hostile, connect, whole, told, tmp_path, caplog, clock):
    """However the service echoes it, and whatever breaks, neither errors nor the log show it."""
    caplog.set_level(logging.DEBUG)
    client = await connect(hostile.url)
    echo = f"no {SECRET} here, {SECRET}".encode()
    answers = [
        whole({"error": f"bad {SECRET}"}, 403),
        whole({"error": f"expired {SECRET}"}),
        whole(echo, 500),
        whole(b"", 302, Location=f"/media/1?token={SECRET}"),
        b"nonsense " + echo + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-length: 99\r\nX-Y: " + echo + b"\r\n\r\nx",
        whole(b"<html>" + echo, Content_Type="text/html"),
    ]
    for answer in answers:
        hostile.answer(answer)
        with pytest.raises(ServiceError) as caught:
            await client.outputs("e").media(f"/media/1?token={SECRET}", tmp_path, retries=0)
        assert SECRET not in told(caught.value)
        assert list(tmp_path.iterdir()) == []
    closed = await connect("http://127.0.0.1:1")
    with pytest.raises(ServiceError) as caught:
        await closed.outputs("e").media(f"/media/1?token={SECRET}", tmp_path, retries=0)
    assert SECRET not in told(caught.value)
    assert SECRET not in caplog.text


def test_different_media_have_different_names():
    """The same last part of a path, or the same path with another query, is another file; another token is not."""
    one = medium_of(f"/media/e/row1/image.jpg?token={SECRET}", ORIGIN, NONE).file_name
    assert one == medium_of("/media/e/row1/image.jpg?token=another", ORIGIN, NONE).file_name
    others = [
        "/media/e/row2/image.jpg",
        "/media/e/row1/image.jpg?size=1",
        "/media/get?id=1",
        "/media/get?id=2",
        "/media/",
    ]
    assert len({one, *(medium_of(url, ORIGIN, NONE).file_name for url in others)}) == 6


def test_secrets_as_a_server_spells_them():
    """A token is kept out of errors in each spelling that a server may make of it."""
    medium = medium_of("/media/x;token=in-the-path-1?token=c2VjcmV0+dG9rZW4%3D%3D", ORIGIN, NONE)
    assert {"c2VjcmV0+dG9rZW4==", "c2VjcmV0 dG9rZW4==", "c2VjcmV0+dG9rZW4%3D%3D"} <= set(medium.secrets)
    assert "in-the-path-1" not in medium.name


async def test_a_closed_client_loads_nothing(hostile, other, connect, tmp_path):
    """After it was closed no connection is opened, to other origins either."""
    client = await connect(hostile.url, profile=ServiceProfile(media_origins=[other.url], media_is_limited=False))
    await client.close()
    with pytest.raises(ServiceError, match="the client is closed"):
        await client.outputs("e").media(f"{other.url}/media/1", tmp_path)
    assert other.requests == []


def test_media_urls_in_rows():
    """What may be loaded is found wherever it stands in a row, in order; other URLs and texts are not."""
    row = {
        "image": f"/media/1.png?token={SECRET}",
        "nested": [{"a": f"{ORIGIN}/media/2.png"}, "see /media/3.png", ["/media/4.png"]],
        "foreign": "https://evil.example/media/5.png",
        "page": f"{ORIGIN}/news/media/6.png",
        "text": "a /media/ in a sentence",
        "number": 7,
    }
    found = list(media_urls(row, ORIGIN, NONE))
    assert found == [f"/media/1.png?token={SECRET}", f"{ORIGIN}/media/2.png", "/media/4.png"]


async def test_a_deployment_that_does_not_count_media(hostile, connect, whole, tmp_path, budget):
    """Where media are not limited, they need no slot of the budget; by default they do."""
    hostile.answer(whole(b"img"))
    free = await connect(hostile.url, budget=budget, profile=ServiceProfile(media_is_limited=False))
    for index in range(30):
        await free.outputs("e").media("/media/1?token=x", tmp_path / f"{index}")
    assert free.statistics.requests == 30
    assert budget.remaining(0.0) > 0
