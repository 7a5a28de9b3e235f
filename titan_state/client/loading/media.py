"""Media: which URLs of media may be loaded, and what of them goes where. It sends nothing.

The `token` in a media URL is a credential of its own. It goes to the service's origin and to those that the user
names, and the service's token to no other than the service's.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs
from yarl import URL

from titan_state.client.address import origin_of, origin_shown
from titan_state.client.loading.files import safe_name
from titan_state.core.redaction import redacted
from titan_state.errors import ConfigurationError, ForeignOriginError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from titan_state.client.profile import ServiceProfile

MEDIA: Final = "/media/"
"""The path that media are under (documented)."""

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
_OTHER: Final = re.compile(r"[^\x00-\x7f]+")
PORTS: Final = {"http": ":80", "https": ":443"}


@attrs.frozen
class Medium:
    """One thing to load.

    Attributes:
        url: Its URL, encoded.
        name: How requests for it are called in errors: without host and query.
        is_ours: Whether it is at the service's own origin.
        needs_token: Whether the service's token goes along: there only, and only where the URL has no credential.
        secrets: The credentials in the URL.
    """

    url: URL = attrs.field(repr=False)
    name: str
    is_ours: bool
    needs_token: bool
    secrets: tuple[str, ...] = attrs.field(repr=False)

    @property
    def file_name(self) -> str:
        """A name for its file, told by a hash from that of any other medium with the same last part of its path."""
        query = "&".join(one for one in self.url.raw_query_string.split("&") if not one.startswith(f"{TOKEN}="))
        place = f"{'' if self.is_ours else self.url.origin()}{self.url.raw_path}?{query}"
        stem, dot, suffix = unquote(self.url.raw_path.rpartition("/")[2]).rpartition(".")
        digest = hashlib.sha256(place.encode()).hexdigest()[:8]
        return safe_name(f"{stem}-{digest}.{suffix}" if dot and stem else f"{suffix or 'media'}-{digest}")


def medium_of(url: str, origin: str, profile: ServiceProfile) -> Medium:
    """Return what a URL stands for, if its credential may be sent there.

    Args:
        url: A URL, or a path of the service's origin, as rows hold them.
        origin: The service's origin.
        profile: Names further origins.

    Raises:
        ForeignOriginError: It points elsewhere.
        ConfigurationError: It is no URL.
    """
    parts = _split(url)
    if not parts.scheme and not parts.netloc:
        if not parts.path.startswith("/"):
            raise ConfigurationError(f"a media URL is absolute, or begins with {MEDIA}")
        place = origin
    else:
        place = _origin(parts)
    is_ours = _plain(place) == _plain(origin)
    if not is_ours and _plain(place) not in map(_plain, profile.media_origins):
        raise ForeignOriginError(origin_shown(place))
    if any(unquote(one) in (".", "..") for one in parts.path.split("/")):
        raise ConfigurationError("a media URL has no . or .. in its path")
    query = f"?{parts.query}" if parts.query else ""
    values = parse_qsl(parts.query, keep_blank_values=True)
    written = [one.partition("=")[2] for one in parts.query.split("&")]
    spelled = (*(value for _, value in values), *written, *map(unquote, written))
    secrets = tuple(dict.fromkeys(text for text in spelled if text))
    has_token = any(name == TOKEN and value for name, value in values)
    return Medium(
        url=URL(place + (parts.path or "/") + query, encoded=True),
        name=f"GET {shorten(redacted(parts.path))}",
        is_ours=is_ours,
        needs_token=is_ours and not has_token,
        secrets=secrets,
    )


def media_urls(value: Any, origin: str, profile: ServiceProfile) -> Iterator[str]:
    """Hand out the media URLs in a row, in their order: texts that name something under `/media/` at such an origin."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending += reversed(one.values())
        elif isinstance(one, list):
            pending += reversed(one)
        elif isinstance(one, str) and MEDIA in one:
            try:
                medium = medium_of(one, origin, profile)
            except (ConfigurationError, ForeignOriginError):
                continue
            if medium.url.raw_path.startswith(MEDIA):
                yield one


def _split(url: str) -> SplitResult:
    if not isinstance(url, str) or not url.isprintable() or " " in url or "\\" in url:
        raise ConfigurationError("a media URL is text without spaces, line breaks and backslashes (they are %…)")
    try:
        return urlsplit(_OTHER.sub(lambda found: quote(found[0]), url))
    except ValueError:
        raise ConfigurationError("a media URL cannot be read: hand it over as a row holds it") from None


def _origin(parts: SplitResult) -> str:
    """Return the origin of an absolute URL.

    Raises:
        ForeignOriginError: It is none that the service could have.
    """
    try:
        return origin_of(f"{parts.scheme}://{parts.netloc}", "")
    except ConfigurationError:
        scheme = f"{parts.scheme}:" if parts.scheme else ""
        shown = origin_shown(f"{scheme}//{parts.netloc}") if parts.netloc else scheme
        raise ForeignOriginError(shown) from None


def _plain(origin: str) -> str:
    """Return an origin without the port that goes without saying."""
    return origin.removesuffix(PORTS[origin.partition(":")[0]])
