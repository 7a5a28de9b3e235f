"""Addresses: the one origin that the token is sent to, and paths with ids in them. It sends nothing."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from yarl import URL

from titan_state.errors import ConfigurationError, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")

HOW: Final = "give the origin alone, such as https://api.example.com"


def origin_of(url: str, prefix: str) -> str:
    """Return the origin in a URL that a user gave.

    Args:
        url: An origin; a trailing slash, or the API's prefix, may follow.
        prefix: The API's prefix.

    Raises:
        ConfigurationError: It is no origin, or plain http to another host than loopback.
    """
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError(f"the URL of the Task Service is missing: {HOW}, or set TITAN_API_URL")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:  # its text would show a part of the URL, which may be a password
        raise ConfigurationError(f"the URL of the Task Service cannot be read: {HOW}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"the URL of the Task Service must hold no credentials: {HOW}")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"the URL of the Task Service must begin with https:// and name a host: {HOW}")
    if not _is_host(host) or not url.strip().isprintable() or " " in url.strip():
        raise ConfigurationError(f"the host of the Task Service is no host name (a non-ASCII one is xn--…): {HOW}")
    if parts.query or parts.fragment or parts.path.rstrip("/") not in ("", prefix.rstrip("/")):
        raise ConfigurationError(f"the URL of the Task Service must have no path, query or fragment: {HOW}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"plain http to {shorten(host)} would send the token unprotected: use https (http is for loopback only)"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")


def segment(value: str) -> str:
    """Return an id as one segment of a path, percent-encoded.

    Raises:
        ConfigurationError: It is no text, empty, or one of the two that mean another path.
    """
    if not isinstance(value, str) or value in ("", ".", ".."):
        raise ConfigurationError(f"{shorten(repr(value))} cannot be an id: it would name another path")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise ConfigurationError(f"{shorten(value)!r} cannot be an id: it is no valid text") from None


def url_of(origin: str, path: str, query: Mapping[str, str | int]) -> URL:
    """Return the URL of a path that is encoded already."""
    tail = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    return URL(origin + path + (f"?{tail}" if tail else ""), encoded=True)


def origin_shown(location: str) -> str:
    """Return the origin in a `Location` header, to be shown: without credentials, path and query."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that cannot be read"
    if not host:
        return "another path" if location else "no target"
    shown = f"[{host}]" if ":" in host else host
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return shorten(scheme + shown + ("" if port is None else f":{port}"))


def _is_host(host: str) -> bool:
    return HOST.fullmatch(host) is not None or _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
