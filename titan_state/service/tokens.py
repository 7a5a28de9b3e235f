"""Tokens: where the token of an account comes from, and how every one that was ever read is kept out of the logs.

How a token is sent is for `titan_state.client.credential` to say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from titan_state.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN: Final = "[hidden]"

LARGEST: Final = 64 * 1024
"""The largest file that may hold a token, in bytes."""

SHORTEST: Final = 8
"""Shorter secrets are replaced nowhere: they protect nothing, and would be found in ordinary words."""

REMEMBERED: Final = 1000
"""How many secrets are known at most: tokens are renewed, and the service runs for long."""


class Veil:
    """Knows secrets, and takes them out of texts."""

    def __init__(self) -> None:
        self._forms: dict[str, None] = {}  # the oldest first

    def __repr__(self) -> str:
        return "<Veil>"

    def add(self, secret: str) -> None:
        """Take in a secret that must be shown nowhere."""
        if len(secret) < SHORTEST:
            return
        for form in dict.fromkeys((secret, quote(secret), quote(secret, safe=""))):
            self._forms.pop(form, None)
            self._forms[form] = None
        while len(self._forms) > REMEMBERED:
            del self._forms[next(iter(self._forms))]

    def clean(self, text: str) -> str:
        """Return a text without the secrets that are in it."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text


class TokenFile:
    """A file that holds a token. Called, it is read again: a token that is renewed there is taken up by itself."""

    def __init__(self, path: Path, veil: Veil | None = None) -> None:
        self.path = path
        self.veil = Veil() if veil is None else veil

    def __repr__(self) -> str:
        return f"TokenFile({str(self.path)!r})"

    async def __call__(self) -> str:
        """Return the token that the file holds now.

        Raises:
            ConfigurationError: It cannot be read, or holds none.
        """
        return await asyncio.to_thread(self.read)

    def read(self) -> str:
        """Return the token; see `__call__`. It waits for the disk."""
        try:
            with self.path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise ConfigurationError(f"the token cannot be read from {self.path}: {error.strerror or error}") from error
        if len(content) > LARGEST:
            raise ConfigurationError(f"{self.path} holds no token: it is longer than {LARGEST} bytes")
        text = content.decode("ascii", "replace").strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigurationError(f"{self.path} holds no token: write the token into it, and nothing else")
        self.veil.add(text)
        return text
