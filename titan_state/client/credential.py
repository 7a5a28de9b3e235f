"""Credential: the token, where it comes from, and how it is kept out of everything else.

It has no repr that shows it. Whoever handles text from the service hands it through `redact` first.
"""

from __future__ import annotations

import asyncio
import copy
import html
import inspect
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from titan_state.errors import ConfigurationError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

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
            token: The token, or a function, `def` or `async def`, that returns a valid one. It is called on the event
                loop, so one that takes its time must be `async def`. What it raises becomes a `TokenUnavailableError`.
            profile: How it is sent.

        Raises:
            ConfigurationError: It cannot be a token. The message does not show it.
        """
        self._source = token if callable(token) else None
        self._profile = profile
        self._token = ""
        self._issue = 0
        self._forms: list[tuple[str, ...]] = []
        if not callable(token):
            self._take(_checked(token, "pass it, or set TITAN_TOKEN"))
        self._renewing = asyncio.Lock()

    def __repr__(self) -> str:
        return "<Credential>"

    @property
    def is_renewable(self) -> bool:
        """Whether another token can be asked for."""
        return self._source is not None

    async def ready(self) -> None:
        """Return when there is a token; ask for the first one."""
        if not self._token:
            await self.renew(0)

    def headers(self) -> tuple[dict[str, str], int]:
        """Return the headers that carry the token, and the number of its issue, which names it in `renew`.

        Call `ready` first.
        """
        if self._profile.auth_scheme == "x-api-key":
            return {"X-API-Key": self._token}, self._issue
        return {"Authorization": f"Bearer {self._token}"}, self._issue

    async def renew(self, issue: int) -> None:
        """Ask for another token, once for all requests that were refused with the same issue.

        Args:
            issue: The number of the issue that was refused, 0 to get the first one.

        Raises:
            TokenUnavailableError: The function raised, or returned what cannot be a token, which is not shown.
        """
        async with self._renewing:
            if self._source is None or self._issue != issue:
                return
            try:
                answer = self._source()
                token = await answer if inspect.isawaitable(answer) else answer
            except Exception as error:
                name = type(error).__name__
                raise TokenUnavailableError(
                    f"the function that gives the token raised {name}: see its cause"
                ) from error
            try:
                self._take(_checked(token, "the function that gives it returned none"))
            except ConfigurationError as error:
                raise TokenUnavailableError(str(error)) from None

    def redact(self, text: str) -> str:
        """Return `text` with every token in it replaced, plain or escaped for JSON, HTML or a URL."""
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

    def veiling(self, secrets: Iterable[str]) -> Credential:
        """Return the same, for redaction only, that replaces further secrets too: those in a media URL."""
        veil = copy.copy(self)
        veil._forms = [*self._forms, *(_forms(secret) for secret in secrets if len(secret) >= SHORTEST_SECRET)]  # noqa: SLF001 - a copy of itself
        return veil

    def _take(self, token: str) -> None:
        self._token = token
        self._issue += 1
        if len(token) >= SHORTEST_SECRET:
            self._forms = [*self._forms[1 - REMEMBERED :], _forms(token)]


def _forms(secret: str) -> tuple[str, ...]:
    """Return how a secret may be written, plain or escaped for JSON, HTML or a URL; longer forms first."""
    escaped = json.dumps(secret)[1:-1]
    forms = {secret, escaped, escaped.replace("/", "\\/"), quote(secret, safe=""), quote(secret), html.escape(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _checked(token: object, hint: str) -> str:
    if not isinstance(token, str) or not token:
        raise ConfigurationError(f"the token is missing: {hint}")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the token has characters that no token has: spaces, line breaks or non-ASCII text")
    return token
