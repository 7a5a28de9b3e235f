"""Transport: one HTTP exchange with the one origin, and its failures.

It knows the budget, headers and bytes; what is in a body is decoded elsewhere. It never follows a redirect, and never
sends a request twice: each one that leaves has its own slot of the budget.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import attrs
from yarl import URL

from titan_state.client.gate import Gate
from titan_state.errors import (
    BodyTooLargeError,
    ConnectionFailedError,
    RequestTimeoutError,
    ServiceError,
    TransportError,
    shorten,
)

if TYPE_CHECKING:
    from titan_state.client.credential import Credential
    from titan_state.clock import Clock
    from titan_state.core.budget import Priority, RequestBudget

CHUNK: Final = 64 * 1024


@attrs.frozen
class Answer:
    """One whole answer.

    Attributes:
        status: The HTTP status.
        headers: Its headers.
        body: Its body, decompressed, with the token replaced wherever it was echoed.
        sent_at: When the request was sent, in seconds of the client's clock.
        received_at: When the answer was complete.
        served_at: The service's date, None if it sent none.
        token: The token that was sent. It is shown nowhere.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    sent_at: float
    received_at: float
    served_at: datetime | None
    token: str = attrs.field(repr=False)

    def reset_s(self, now: datetime) -> float | None:
        """Return in how many seconds `X-RateLimit-Reset` lies, against the service's own date; None without one."""
        reset = self.number("X-RateLimit-Reset")
        if reset is None:
            return None
        return reset - (self.served_at or now).timestamp()

    def number(self, header: str) -> int | None:
        """Return a header that is a whole number, None if it is not there or is none."""
        text = self.headers.get(header, "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


class Transport:
    """Sends requests to one origin, each when the budget allows."""

    def __init__(
        self,
        credential: Credential,
        budget: RequestBudget,
        clock: Clock,
        *,
        total_timeout_s: float,
        connect_timeout_s: float,
        max_body: int,
        rng: random.Random,
    ) -> None:
        self._credential = credential
        self._budget = budget
        self._clock = clock
        self._gate = Gate(budget, clock)
        self._timeout = aiohttp.ClientTimeout(total=total_timeout_s, connect=connect_timeout_s)
        self._max_body = max_body
        self._rng = rng
        self._session: aiohttp.ClientSession | None = None
        self.sent = 0
        self.throttled = 0

    async def close(self) -> None:
        """Close all connections."""
        await self._gate.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(self, method: str, url: URL, name: str, priority: Priority, json: Any) -> Answer:
        """Send one request and read its answer.

        Args:
            method: The HTTP method.
            url: The URL, encoded.
            name: How the request is called in errors.
            priority: How soon it goes, when others wait too.
            json: The body, None for none.

        Returns:
            The answer, whatever its status is.

        Raises:
            TransportError: No whole answer arrived.
            BodyTooLargeError: The body exceeds the cap.
        """
        headers, token = await self._credential.headers()
        ticket = await self._gate.enter(priority)
        sent_at = self._clock.time()
        answer: Answer | None = None
        try:
            answer = await self._send(method, url, name, headers, json, sent_at, token)
        except ServiceError as error:
            error.sent_at = sent_at
            error.received_at = self._clock.time()
            raise
        finally:
            self._account(ticket, answer)
        return answer

    def _account(self, ticket: int, answer: Answer | None) -> None:
        """Tell the budget what became of a request."""
        now = self._clock.time()
        if answer is None:
            self._budget.answered(ticket, now)
        elif answer.status == 429:
            self.throttled += 1
            reset_s = answer.reset_s(self._clock.now())
            self._budget.throttled(ticket, now, reset_s=reset_s, jitter=self._rng.random())
        else:
            self._budget.answered(
                ticket, now, limit=answer.number("X-RateLimit-Limit"), remaining=answer.number("X-RateLimit-Remaining")
            )
        self._gate.answered()

    async def _send(
        self, method: str, url: URL, name: str, headers: dict[str, str], json: Any, sent_at: float, token: str
    ) -> Answer:
        self.sent += 1
        try:
            session = self._open()
            async with session.request(method, url, headers=headers, json=json, allow_redirects=False) as response:
                body = await self._read(response, name)
                return Answer(
                    status=response.status,
                    headers=response.headers,
                    body=self._credential.redact(body),
                    sent_at=sent_at,
                    received_at=self._clock.time(),
                    served_at=_date(response.headers.get("Date")),
                    token=token,
                )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _translated(error, name, self._credential) from _harmless(error, self._credential)

    async def _read(self, response: aiohttp.ClientResponse, name: str) -> bytes:
        """Read a body up to the cap, which counts decompressed bytes."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_chunked(CHUNK):
            size += len(chunk)
            if size > self._max_body:
                response.close()
                raise BodyTooLargeError(f"the answer is larger than {self._max_body} bytes", request=name)
            chunks.append(chunk)
        return b"".join(chunks)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=True,
                headers={"Accept": "application/json", "User-Agent": "titan-state"},
            )
            # aiohttp would send a GET again by itself when its connection breaks: one slot of the budget, two requests
            self._session._retry_connection = False  # noqa: SLF001 - there is no public option for it
        return self._session


def _translated(error: Exception, name: str, credential: Credential) -> TransportError:
    """Return an error of the network, or of HTTP itself, as one of ours."""
    detail = shorten(credential.redact(f"{type(error).__name__} {error}".strip().encode("utf-8", "replace")).decode())
    never_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    if isinstance(error, asyncio.TimeoutError):
        return RequestTimeoutError(f"no answer in time ({detail})", request=name, sent=not never_sent)
    if never_sent:
        return ConnectionFailedError(f"no connection ({detail})", request=name, sent=False)
    return ConnectionFailedError(f"the connection broke ({detail})", request=name)


def _harmless(error: Exception, credential: Credential) -> Exception | None:
    """Return the cause to chain: none if its text holds the token."""
    text = repr(error).encode("utf-8", "replace") + str(error).encode("utf-8", "replace")
    return error if credential.redact(text) == text else None


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
