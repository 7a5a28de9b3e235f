"""Credential: the token, where it comes from, and how it is kept out of everything else.

It has no repr that shows it. Whoever handles text from the service hands it through `redact` first.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from titan_state.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.client.profile import ServiceProfile

REDACTED: Final = "[token]"

SHORTEST_SECRET: Final = 8
"""Shorter tokens are replaced nowhere: they protect nothing, and are likely to be a part of what answers mean."""

REMEMBERED: Final = 4
"""So many tokens are replaced, the last ones: an answer may still echo the one before."""


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
        self._forms: list[tuple[str, ...]] = []
        if self._token is not None:
            self._remember(self._token)
        self._renewing = asyncio.Lock()

    def __repr__(self) -> str:
        return "<Credential>"

    @property
    def is_renewable(self) -> bool:
        """Whether another token can be asked for."""
        return self._source is not None

    async def ready(self) -> None:
        """Return when there is a token; ask for the first one."""
        if self._token is None:
            await self.renew(None)

    def headers(self) -> tuple[dict[str, str], str]:
        """Return the headers that carry the token, and the token itself, to name it in `renew`."""
        token = self._token
        if token is None:  # pragma: no cover - `ready` comes first
            raise LookupError("there is no token yet")
        if self._profile.auth_scheme == "x-api-key":
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
            self._remember(token)
            self._token = token
            return token

    def redact(self, text: str) -> str:
        """Return `text` with every token in it replaced, plain or escaped for JSON or a URL."""
        for forms in self._forms:
            for form in forms:
                text = text.replace(form, REDACTED)
        return text

    def redact_body(self, body: bytes) -> bytes:
        """Return `body` with every token in it replaced; see `redact`."""
        for forms in self._forms:
            for form in forms:
                body = body.replace(form.encode(), REDACTED.encode())
        return body

    def is_in(self, text: str) -> bool:
        """Return whether there is a token in `text`."""
        return any(form in text for forms in self._forms for form in forms)

    def _remember(self, token: str) -> None:
        if len(token) < SHORTEST_SECRET:
            return
        escaped = json.dumps(token)[1:-1]
        forms = {token, escaped, escaped.replace("/", "\\/"), quote(token, safe=""), quote(token)}
        self._forms = [*self._forms[1 - REMEMBERED :], tuple(sorted(forms, key=len, reverse=True))]


def _checked(token: object) -> str:
    if not isinstance(token, str) or not token:
        raise ConfigurationError("the token is missing: pass it, or set TITAN_TOKEN")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the token has characters that no token has: spaces, line breaks or non-ASCII text")
    return token
