"""Credential: the token, where it comes from, and how it is kept out of everything else.

It has no repr that shows it. Whoever handles text from the service hands it through `redact` first.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from titan_state.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.client.profile import ServiceProfile

REDACTED = b"[token]"


class Credential:
    """The token of one account."""

    def __init__(self, token: str | Callable[[], str | Awaitable[str]], profile: ServiceProfile) -> None:
        """Take a token.

        Args:
            token: The token, or a function, `def` or `async def`, that returns a valid one.
            profile: How it is sent.

        Raises:
            ConfigurationError: It cannot be a token. The message does not show it.
        """
        self._source = token if callable(token) else None
        self._token = None if callable(token) else _checked(token)
        self._profile = profile
        self._seen: list[bytes] = [] if self._token is None else [self._token.encode()]
        self._renewing = asyncio.Lock()

    def __repr__(self) -> str:
        return "<Credential>"

    @property
    def is_renewable(self) -> bool:
        """Whether another token can be asked for."""
        return self._source is not None

    async def headers(self) -> tuple[dict[str, str], str]:
        """Return the headers that carry the token, and the token itself, to name it in `renew`."""
        token = self._token
        if token is None:
            token = await self.renew(None)
        if self._profile.credential == "x-api-key":
            return {"X-API-Key": token}, token
        return {"Authorization": f"Bearer {token}"}, token

    async def renew(self, refused: str | None) -> str:
        """Ask for a token, once for all requests that were refused with the same one.

        Args:
            refused: The token that was refused, None to get the first one.
        """
        async with self._renewing:
            if self._token is not None and self._token != refused:
                return self._token
            if self._source is None:  # pragma: no cover - only a renewable one is renewed
                raise LookupError("the token cannot be renewed")
            answer = self._source()
            token = _checked(await answer if inspect.isawaitable(answer) else answer)
            self._token = token
            self._seen = [*self._seen[-3:], token.encode()]  # an answer may still echo an older one
            return token

    def redact(self, body: bytes) -> bytes:
        """Return `body` with every token in it replaced."""
        for token in self._seen:
            if token in body:
                body = body.replace(token, REDACTED)
        return body


def _checked(token: object) -> str:
    if not isinstance(token, str) or not token:
        raise ConfigurationError("the token is missing: pass it, or set TITAN_TOKEN")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the token has characters that no token has: spaces, line breaks or non-ASCII text")
    return token
