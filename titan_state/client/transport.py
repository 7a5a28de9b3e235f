"""Transport: one HTTP exchange with the one origin.

It knows the budget, headers and bytes; what is in a body is decoded elsewhere. It never follows a redirect, and never
sends a request twice: each one that leaves has its own slot of the budget.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import aiohttp
import attrs
from yarl import URL

from titan_state.client.answer import Answer
from titan_state.client.envelope import is_throttled
from titan_state.client.faults import NETWORK, translated
from titan_state.client.gate import Gate
from titan_state.client.statistics import Statistics
from titan_state.errors import BodyTooLargeError, ServiceError

if TYPE_CHECKING:
    from titan_state.client.credential import Credential
    from titan_state.clock import Clock
    from titan_state.core.budget import Priority, RequestBudget

CHUNK: Final = 64 * 1024


class Transport:
    """Sends requests to one origin, each when the budget allows."""

    def __init__(
        self,
        credential: Credential,
        budget: RequestBudget,
        clock: Clock,
        *,
        origin: str,
        total_timeout_s: float,
        connect_timeout_s: float,
        max_body: int,
        rng: random.Random,
    ) -> None:
        self._origin = origin
        self._credential = credential
        self._budget = budget
        self._clock = clock
        self._gate = Gate(budget, clock)
        self._timeout = aiohttp.ClientTimeout(total=total_timeout_s, connect=connect_timeout_s)
        self._max_body = max_body
        self._rng = rng
        self._session: aiohttp.ClientSession | None = None
        self.statistics = Statistics()

    async def close(self) -> None:
        """Close all connections; requests that wait for their turn fail."""
        await self._gate.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def exchange(self, method: str, url: URL, name: str, priority: Priority, body: bytes | None) -> Answer:
        """Send one request and read its answer.

        Args:
            method: The HTTP method.
            url: The URL, encoded.
            name: How the request is called in errors.
            priority: How soon it goes, when others wait too.
            body: JSON, None for no body.

        Returns:
            The answer, whatever its status is. One that is no success comes also if its body could not be read: its
            head has told what it is.

        Raises:
            TransportError: No whole answer arrived.
            BodyTooLargeError: The body of a success exceeds the cap.
        """
        await self._credential.ready()
        ticket = await self._gate.enter(priority)
        headers, issue = self._credential.headers()  # only now: it may have been renewed meanwhile
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent_at = self._clock.time()
        self.statistics.requests += 1
        answer: Answer | None = None
        failure: ServiceError | None = None
        try:
            async with self._open().request(method, url, headers=headers, data=body, allow_redirects=False) as response:
                # As soon as the head is there: a 429 counts, also if its body never ends.
                answer = Answer(response.status, response.headers, sent_at, self._clock.time(), issue)
                read = await self._read(response)
                if read is None:
                    text = f"the answer is larger than {self._max_body} bytes"
                    failure = BodyTooLargeError(text, request=name)
                else:
                    body_shown = self._credential.redact_body(read)
                    answer = attrs.evolve(answer, body=body_shown, received_at=self._clock.time())
        except NETWORK as error:
            failure = translated(error, name, self._origin, self._credential)
        finally:
            if answer is not None and failure is not None and answer.status >= 300:
                lost = (
                    "its body is too large" if isinstance(failure, BodyTooLargeError) else "its body could not be read"
                )
                answer, failure = attrs.evolve(answer, lost=lost, received_at=self._clock.time()), None
            self._account(ticket, answer, is_whole=answer is not None and failure is None)
        if failure is not None:  # out of the handler: what that handles may show the token, and would be attached
            failure.sent_at, failure.received_at = sent_at, self._clock.time()
            raise failure
        assert answer is not None  # noqa: S101 - there is one, or a failure, or an exception has left already
        return answer

    def _account(self, ticket: int, answer: Answer | None, *, is_whole: bool) -> None:
        """Tell the budget and the statistics what became of a request."""
        now = self._clock.time()
        self.statistics.answers[f"{answer.status // 100}xx" if answer is not None and is_whole else "none"] += 1
        if answer is None:
            self._budget.answered(ticket, now)
        elif is_throttled(answer, self._credential, self._clock.now()):
            self.statistics.throttled += 1
            reset_s = answer.reset_s(self._clock.now())
            self._budget.throttled(ticket, now, reset_s=reset_s, jitter=self._rng.random())
        else:
            self._budget.answered(
                ticket, now, limit=answer.number("X-RateLimit-Limit"), remaining=answer.number("X-RateLimit-Remaining")
            )
        self._gate.answered()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Return a body, None if it exceeds the cap, which counts decompressed bytes; the connection is then closed."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_chunked(CHUNK):
            size += len(chunk)
            if size > self._max_body:
                response.close()
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={"Accept": "application/json", "User-Agent": "titan-state"},
                skip_auto_headers=("Content-Type",),  # aiohttp would call the empty body of an action binary data
            )
            # aiohttp would send a GET again by itself when its connection breaks: one slot of the budget, two requests
            self._session._retry_connection = False  # noqa: SLF001 - there is no public option for it
        return self._session
