"""Addresses: one origin, refused where the token would not be safe, and ids that are one segment of a path."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state.client.address import origin_of, origin_shown, segment, url_of
from titan_state.client.profile import ServiceProfile
from titan_state.errors import ConfigurationError

EXECUTION = {"success": True, "data": {"id": "e", "status": "running"}}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("  https://API.example.com/api/v1/ ", "https://api.example.com"),
        ("https://api.example.com:8443/api/v1", "https://api.example.com:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.9.9.9:1", "http://127.9.9.9:1"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_an_origin_may_be_given_with_the_prefix(url, origin):
    """Whatever a user may paste of the right address becomes the origin."""
    assert origin_of(url, "/api/v1") == origin


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is missing"),
        ("   ", "is missing"),
        (None, "is missing"),
        (b"https://api.example.com", "is missing"),
        ("api.example.com", "must begin with https://"),
        ("ftp://api.example.com", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("https:///api/v1", "must begin with https://"),
        ("https://api.example.com/other", "no path"),
        ("https://api.example.com/api/v1/tasks", "no path"),
        ("https://api.example.com?x=1", "no path"),
        ("https://api.example.com/#x", "no path"),
        ("https://api.example.com:port", "cannot be read"),
        ("https://api.example.com:99999", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://bücher.example", "no host name"),
        ("https://api.exa mple.com", "no host name"),
        ("https://api.example.com\n.evil.example", "no host name"),
        ("https://api.example.com\\@evil.example", "no credentials"),
        ("https://api.example.com%2eevil.example", "no host name"),
        ("https://[fe80::1%25eth0]", "no host name"),
        ("https://api..example.com", "no host name"),
        ("http://api.example.com", "plain http"),
        ("http://localhost.example.com", "plain http"),
        ("http://127.0.0.1.example.com", "plain http"),
        ("http://0x7f.1", "plain http"),
        ("http://192.168.0.1", "plain http"),
        ("http://0.0.0.0", "plain http"),
    ],
)
def test_what_is_no_safe_origin_is_refused(url, reason):
    """The message names the fault and says what to give instead; nothing is guessed."""
    with pytest.raises(ConfigurationError, match=reason):
        origin_of(url, "/api/v1")


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@h", "https://hunter2@h", "https://h:hunter2", "https://[hunter2"]
)
def test_a_password_in_the_url_is_not_shown(url):
    """A URL is refused without its parts in the message, as one of them may be a password."""
    with pytest.raises(ConfigurationError) as raised:
        origin_of(url, "/api/v1")
    assert "hunter2" not in f"{raised.value!r} {raised.value}"


def test_a_profile_without_a_prefix_takes_an_origin_alone():
    """With another prefix, the usual one is a path like any other."""
    assert origin_of("https://h/", "") == "https://h"
    with pytest.raises(ConfigurationError, match="no path"):
        origin_of("https://h/api/v1", "")


@pytest.mark.parametrize(
    ("execution_id", "sent"),
    [
        ("../../tasks", "..%2F..%2Ftasks"),
        ("..%2f..", "..%252f.."),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("100%", "100%25"),
        ("a b+c", "a%20b%2Bc"),
        ("é☃", "%C3%A9%E2%98%83"),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil%3A%201"),
        ("a\0b\\c;d@e", "a%00b%5Cc%3Bd%40e"),
        ("...", "..."),
        ("%2e%2e", "%252e%252e"),
    ],
)
async def test_an_id_is_one_segment_on_the_wire(client, hostile, execution_id, sent):
    """Whatever is in an id, the service is asked for one segment that decodes to it."""
    hostile.say(EXECUTION)
    await client.get(execution_id)
    await client.pause(execution_id)
    assert hostile.targets == [f"/api/v1/executions/{sent}", f"/api/v1/executions/{sent}/pause"]
    assert unquote(sent) == execution_id


@pytest.mark.parametrize("value", ["", ".", "..", None, 5, b"x", "\ud800", "a\udfff"])
async def test_an_id_that_would_be_another_path_is_refused(client, hostile, value):
    """Nothing is sent for an id that is empty, means another folder, or is no text."""
    for ask in (client.get, client.pause, client.run_task, client.get_task):
        with pytest.raises(ConfigurationError, match="cannot be an id"):
            await ask(value)
    assert hostile.requests == []


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_text_is_one_segment(value):
    """A segment decodes to its id, holds nothing that ends a segment, and is what is sent."""
    if value in (".", ".."):
        return
    encoded = segment(value)
    assert unquote(encoded) == value
    assert not set(encoded) & set("/?#\\ \r\n&=;:@")
    assert url_of("https://h", f"/x/{encoded}", {}).raw_path == f"/x/{encoded}"


def test_a_query_is_encoded():
    """Numbers and text in a query stay what they are."""
    assert str(url_of("https://h", "/x", {"limit": 5, "q": "a&b=c d"})) == "https://h/x?limit=5&q=a%26b%3Dc%20d"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:secret@evil.example:8/path?token=secret", "https://evil.example:8"),
        ("//evil.example/secret", "evil.example"),
        ("https://[::1]/secret", "https://[::1]"),
        ("/secret", "another path"),
        ("", "no target"),
        ("https://[secret", "an address that cannot be read"),
        ("https://h:secret", "an address that cannot be read"),
    ],
)
def test_only_the_origin_of_a_target_is_shown(location, shown):
    """Of where a redirect leads, credentials, path and query stay out."""
    assert origin_shown(location) == shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_prefix": "api/v1"},
        {"api_prefix": "/api/../v1"},
        {"api_prefix": "/api/v1/"},
        {"api_prefix": "/a?b"},
        {"api_prefix": None},
        {"auth_scheme": "basic"},
        {"page_limit": 0},
        {"page_limit": True},
        {"page_limit": "100"},
    ],
)
def test_a_profile_that_cannot_work_is_refused(wrong):
    """A profile names the argument that is wrong."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        ServiceProfile(**wrong)


async def test_a_profile_moves_the_endpoints(connect, hostile):
    """Another prefix is where requests go."""
    hostile.say(EXECUTION)
    client = await connect(hostile.url, profile=ServiceProfile(api_prefix="/titan/v2"))
    await client.get("e")
    assert hostile.targets == ["/titan/v2/executions/e"]
