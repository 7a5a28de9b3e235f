"""Transport: one HTTP exchange: with the one origin, or, without the token, with an origin that the user names.

It knows the budget, headers and bytes; what is in a body is decoded elsewhere. It never follows a redirect, and never
sends a request twice: each one that leaves has its own slot of the budget.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import aiohttp
import attrs
from yarl import URL

from titan_state.client.answer import Answer
from titan_state.client.envelope import is_throttled
from titan_state.client.faults import NETWORK, translated
from titan_state.client.gate import Gate, Permit
from titan_state.client.incoming import Incoming
from titan_state.client.statistics import Statistics
from titan_state.core.budget import Priority
from titan_state.errors import BodyTooLargeError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from titan_state.client.credential import Credential
    from titan_state.clock import Clock
    from titan_state.core.budget import RequestBudget
    from titan_state.instrumentation import Instrumentation, Sending

FILE_CHUNK: Final = 1024 * 1024
"""How many bytes of a file are buffered at most before whoever reads it has taken them."""


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
        self._file_timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout_s, sock_read=total_timeout_s)
        self._max_body = max_body
        self._rng = rng
        self._session: aiohttp.ClientSession | None = None
        self._files: aiohttp.ClientSession | None = None
        self._streams: WeakSet[Incoming] = WeakSet()
        self.statistics: Statistics = Statistics()
        self.instrumentation: Instrumentation | None = None

    def permit(self, permit: Permit) -> None:
        """Send requests only while a permit is held."""
        self._gate.permit = permit

    async def close(self) -> None:
        """Close all connections; requests that wait for their turn fail."""
        await self._gate.close()
        for incoming in tuple(self._streams):
            incoming.abandon()
        sessions, self._session, self._files = (self._session, self._files), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._gate.is_closed

    async def exchange(
        self, method: str, url: URL, name: str, priority: Priority, body: bytes | None, *, resends: int = 0
    ) -> Answer:
        """Send one request and read its answer.

        Args:
            method: The HTTP method.
            url: The URL, encoded.
            name: How the request is called in errors.
            priority: How soon it goes, when others wait too.
            body: JSON, None for no body.
            resends: How often it was sent before.

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
        sending = None
        if self.instrumentation is not None:
            clean = self._credential.redact
            sending = self.instrumentation.sending(
                method, str(url), headers, clean=clean, is_ours=True, resends=resends
            )
        try:
            async with self._open().request(method, url, headers=headers, data=body, allow_redirects=False) as response:
                # As soon as the head is there: a 429 counts, also if its body never ends.
                answer = Answer(response.status, response.headers, sent_at, self._clock.time(), issue)
                incoming = Incoming(
                    answer, response, name=name, origin=self._origin, credential=self._credential, clock=self._clock
                )
                read = self._credential.redact_body(await incoming.whole(self._max_body))
                answer = attrs.evolve(answer, body=read, received_at=self._clock.time())
        except NETWORK as error:
            failure = translated(error, name, self._origin, self._credential)
        except ServiceError as error:
            failure = error
        finally:
            if answer is not None and failure is not None and answer.status >= 300:
                answer, failure = attrs.evolve(answer, lost=_lost(failure), received_at=self._clock.time()), None
            self._account(ticket, answer, failure, sending)
        if failure is not None:  # out of the handler: what that handles may show the token, and would be attached
            failure.sent_at, failure.received_at = sent_at, self._clock.time()
            raise failure
        assert answer is not None  # noqa: S101 - there is one, or a failure, or an exception has left already
        return answer

    async def stream(
        self,
        url: URL,
        name: str,
        headers: Mapping[str, str],
        *,
        is_ours: bool = True,
        is_limited: bool = True,
        secrets: Collection[str] = (),
        resends: int = 0,
    ) -> Incoming:
        """Send a GET whose answer is read in parts, for as long as the body takes.

        The body of an answer that is no success is in `Incoming.answer` already, as far as it could be read.

        Args:
            url: The URL, encoded.
            name: How the request is called in errors.
            headers: Further headers.
            is_ours: Whether it goes to the one origin, and the token with it.
            is_limited: Whether the service counts it, so that it needs a slot of the budget.
            secrets: What must not be shown, beside the token: those in the URL.
            resends: How often it was sent before.

        Returns:
            The answer, which must be closed.

        Raises:
            TransportError: No answer arrived.
        """
        sent, issue = dict(headers), 0
        if is_ours:
            await self._credential.ready()
        self._gate.ensure_open()  # also where no slot is needed
        ticket = await self._gate.enter(Priority.OUTPUT) if is_limited else None
        if is_ours:
            credential, issue = self._credential.headers()
            sent |= credential
        sent_at = self._clock.time()
        self.statistics.requests += 1
        origin, veil = str(url.origin()), self._credential.veiling(secrets)
        incoming: Incoming | None = None
        failure: ServiceError | None = None
        sending = None
        if self.instrumentation is not None:
            at_home = is_ours or origin == self._origin  # a medium there may bring a credential of its own
            sending = self.instrumentation.sending(
                "GET", str(url), sent, clean=veil.redact, is_ours=at_home, resends=resends
            )
        try:
            response = await self._open_files().get(url, headers=sent, allow_redirects=False)
            answer = Answer(response.status, response.headers, sent_at, self._clock.time(), issue)
            incoming = Incoming(answer, response, name=name, origin=origin, credential=veil, clock=self._clock)
            self._streams.add(incoming)
            if not answer.is_success:
                incoming.answer = await self._explained(incoming)
        except NETWORK as error:
            failure = translated(error, name, origin, veil)
        except BaseException:
            if incoming is not None:
                incoming.close()
            raise
        finally:
            # Now, and not when the body is there: the service has counted it, and bodies may take hours.
            self._account(ticket, incoming.answer if incoming else None, failure, sending)
        if failure is not None:
            failure.sent_at, failure.received_at = sent_at, self._clock.time()
            raise failure
        assert incoming is not None  # noqa: S101 - there is one, or a failure
        return incoming

    async def _explained(self, incoming: Incoming) -> Answer:
        """Return the head of a refusal with its body, which says why, as far as that can be read."""
        try:
            body = incoming.credential.redact_body(await incoming.whole(self._max_body))
        except ServiceError as error:
            return attrs.evolve(incoming.answer, lost=_lost(error))
        return attrs.evolve(incoming.answer, body=body, received_at=self._clock.time())

    def _account(
        self, ticket: int | None, answer: Answer | None, failure: ServiceError | None, sending: Sending | None
    ) -> None:
        """Tell the budget, the statistics and whoever measures what became of a request."""
        now = self._clock.time()
        is_whole = answer is not None and failure is None
        self.statistics.answers[f"{answer.status // 100}xx" if answer is not None and is_whole else "none"] += 1
        throttled = False
        if answer is not None and ticket is not None:
            throttled = is_throttled(answer, self._credential, self._clock.now())
        if sending is not None and answer is not None and is_whole:
            sending.answered(answer.status, is_throttled=throttled)
        elif sending is not None:
            sending.failed(failure, None if answer is None else answer.status)
        if ticket is None:
            return
        if answer is None:
            self._budget.answered(ticket, now)
        elif throttled:
            self.statistics.throttled += 1
            reset_s = answer.reset_s(self._clock.now())
            self._budget.throttled(ticket, now, reset_s=reset_s, jitter=self._rng.random())
        else:
            self._budget.answered(
                ticket, now, limit=answer.number("X-RateLimit-Limit"), remaining=answer.number("X-RateLimit-Remaining")
            )
        self._gate.answered()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = _session(self._timeout, {"Accept": "application/json"})
        return self._session

    def _open_files(self) -> aiohttp.ClientSession:
        """Return a session with connections of its own, of any number: files that nobody reads on hold theirs."""
        if self._files is None:
            self._files = _session(
                self._file_timeout,
                # what is compressed could not be gone on with: its length, and places in it, are others'
                {"Accept": "*/*", "Accept-Encoding": "identity"},
                connector=aiohttp.TCPConnector(limit=0),
                read_bufsize=FILE_CHUNK,
            )
        return self._files


def _session(timeout: aiohttp.ClientTimeout, headers: dict[str, str], **options: Any) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        headers={**headers, "User-Agent": "titan-state"},
        skip_auto_headers=("Content-Type",),  # aiohttp would call the empty body of an action binary data
        **options,
    )
    # aiohttp would send a GET again by itself when its connection breaks: one slot of the budget, two requests
    session._retry_connection = False  # noqa: SLF001 - there is no public option for it
    return session


def _lost(failure: ServiceError) -> str:
    return "its body is too large" if isinstance(failure, BodyTooLargeError) else "its body could not be read"
