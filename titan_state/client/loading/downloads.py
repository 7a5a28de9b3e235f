"""Downloads: one file, over as many requests as it takes.

One that breaks goes on where it stopped, if the service can do that and the file is still the same, and begins again
otherwise. Where the bytes go is for whoever reads them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.client.loading.completeness import Completeness, RowCheck
from titan_state.client.loading.recognition import HEAD, Recognition, is_attachment
from titan_state.client.retries import may_pass, retry_delay
from titan_state.core.tracking.intervals import look_within
from titan_state.errors import (
    BodyTooLargeError,
    NotFoundError,
    PayloadError,
    ResponseError,
    ResultsNotReadyError,
    ServiceError,
    TooManyRequestsError,
    TransportError,
)

if TYPE_CHECKING:
    import random

    from yarl import URL

    from titan_state.client.answer import Answer
    from titan_state.client.exchange import Exchange
    from titan_state.client.incoming import Incoming

WORTH: Final = 64 * 1024
"""How many further bytes of a file make up for a failure."""

MOST_THROTTLED: Final = 20
"""How often in all the service may say that there were too many requests: each time the budget waits, up to minutes."""

PARTIAL: Final = 206
NOT_FOUND: Final = 404
OUT_OF_RANGE: Final = 416
THROTTLED: Final = 429

STRONG: Final = re.compile(r'"[^"]*"')
RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", re.ASCII)


@attrs.frozen
class Part:
    """Bytes of a file.

    Attributes:
        offset: Where they belong. 0 once more means that the file begins again.
        data: The bytes.
        total: How many the file has in all, None if the service did not say.
    """

    offset: int
    data: bytes
    total: int | None


@attrs.define
class _Progress:
    """How far a download has come, from one request to the next."""

    offset: int = 0
    total: int | None = None
    validator: str | None = None
    failures: int = 0
    throttled: int = 0
    gained: int = 0  # how many bytes the attempt went on by
    has_begun: bool = False  # whether a part of the file has come
    look: Completeness = attrs.field(factory=lambda: Completeness(""))
    doubted: int | None = None  # the size of an attempt that may have been cut
    check: RowCheck | None = None  # what looks closer from then on


@attrs.frozen(kw_only=True, eq=False)
class Download:
    """One file of the service.

    Attributes:
        url: Its URL, encoded.
        name: How requests for it are called in errors.
        form: What it should look like: `json`, `csv`, or nothing in particular.
        limit: The most bytes that are taken.
        retries: How often a failure is followed by another request, unless bytes arrived that stay.
        patience_s: For how long results that are not there yet are asked for again.
        not_ready: Makes the error that says so, of what the service answered; None for a file that is no result.
        is_pending: Tells from the data of an envelope whether it says so.
        slots: How many such downloads may be under way at the same time; one that waits for results needs none.
        expected_rows: Asks how many rows there should be, None if nobody knows. It is asked where a file may be cut.
        is_ours: Whether it is at the service's own origin, and the token goes with it.
        is_limited: Whether the service counts its requests.
        secrets: What of the URL must not be shown.
    """

    exchange: Exchange
    rng: random.Random
    url: URL
    name: str
    form: str = ""
    limit: int
    retries: int
    patience_s: float = 0.0
    not_ready: Callable[[str], ResultsNotReadyError] | None = None
    is_pending: Callable[[Any], str | None] = lambda _: None
    expected_rows: Callable[[], Awaitable[int | None]] | None = None
    slots: asyncio.Semaphore | None = None
    is_ours: bool = True
    is_limited: bool = True
    secrets: tuple[str, ...] = ()

    async def parts(self) -> AsyncGenerator[Part, None]:
        """Hand out the file in order; each time it begins anew, an empty part at 0 comes first.

        Raises:
            ResultsNotReadyError: The results cannot be read yet, and could not be for as long as it was patient.
            BodyTooLargeError: It is larger than the limit.
            PayloadError: What came is no such file, or was cut each time.
            ServiceError: It could not be read, with all retries.
        """
        clock, state = self.exchange.clock, _Progress()
        began, has_slot = inf, False
        try:
            while True:
                if not has_slot and self.slots is not None:
                    has_slot = await self.slots.acquire()
                began = min(began, clock.time())  # a turn is waited for beside that
                try:
                    async with aclosing(self._attempt(state)) as parts:
                        async for part in parts:
                            yield part
                except ServiceError as error:
                    if not may_pass(error) or self.exchange.is_closed:
                        raise
                    failure = error
                else:
                    return
                wait_s = self._wait_s(state, failure, clock.time() - began)
                if has_slot and self.slots is not None and not state.has_begun:  # nothing is there yet: others first
                    self.slots.release()
                    has_slot = False
                await clock.sleep(wait_s)
        finally:
            if has_slot and self.slots is not None:
                self.slots.release()

    def _wait_s(self, state: _Progress, failure: ServiceError, taken_s: float) -> float:
        """Return after how long the next request goes, or raise the failure if there is to be none."""
        if isinstance(failure, ResultsNotReadyError) and not state.has_begun:
            wait_s = look_within(taken_s, self.patience_s)
            if wait_s is None:
                raise failure
            return wait_s
        if isinstance(failure, TooManyRequestsError) and failure.http_status == THROTTLED and self.is_limited:
            state.throttled += 1
            if state.throttled <= MOST_THROTTLED:
                return 0.0  # the budget was told, and waits
        if isinstance(failure, TransportError) and state.gained >= WORTH:
            state.failures = 0  # it is coming on
        state.failures += 1
        if state.failures > self.retries:
            raise failure
        return retry_delay(max(1, state.failures), self.rng)

    async def _attempt(self, state: _Progress) -> AsyncGenerator[Part, None]:
        """Send one request, and hand out what it brings."""
        headers, state.gained = {}, 0
        if state.offset and state.validator is not None:
            headers = {"Range": f"bytes={state.offset}-", "If-Range": state.validator}
        try:
            incoming = await self.exchange.stream(
                self.url,
                self.name,
                headers,
                is_ours=self.is_ours,
                is_limited=self.is_limited,
                secrets=self.secrets,
            )
            try:
                goes_on = bool(headers) and incoming.answer.status == PARTIAL
                if goes_on:
                    self._continue(state, incoming.answer)
                else:
                    self._begin(state, incoming.answer)
                async with aclosing(self._body(incoming, goes_on=goes_on)) as chunks:
                    if not goes_on:
                        head = await anext(chunks)  # it is a file, or this raises
                        state.has_begun = True
                        yield Part(0, b"", state.total)
                        if head:
                            yield self._taken(state, head)
                    async for chunk in chunks:
                        state.gained += len(chunk) if goes_on else 0
                        yield self._taken(state, chunk)
            finally:
                incoming.close()
        except ResponseError as error:
            raise self._meant(state, error) from None
        await self._check_end(state)

    def _taken(self, state: _Progress, chunk: bytes) -> Part:
        """Take in the next bytes, and return where they belong."""
        offset, state.offset = state.offset, state.offset + len(chunk)
        if state.offset > self.limit:
            raise BodyTooLargeError(f"the file is larger than {self.limit} bytes (max_size)", request=self.name)
        state.look.add(chunk)
        if state.check is not None:
            state.check.add(chunk)
        return Part(offset, chunk, state.total)

    def _begin(self, state: _Progress, answer: Answer) -> None:
        """Take in the head of an answer that brings the file from its beginning."""
        if answer.status == PARTIAL or (self.not_ready is not None and answer.status in self._pending):
            raise ResponseError(answer.status, str(answer.status), "no whole file", request=self.name)
        is_plain = not answer.headers.get("Content-Encoding")
        etag = answer.headers.get("ETag", "")
        ranges = "bytes" in answer.headers.get("Accept-Ranges", "").lower()
        state.offset, state.look = 0, Completeness(self.form)
        state.check = None if state.doubted is None else RowCheck(self.form)
        state.total = answer.number("Content-Length") if is_plain else None
        state.validator = etag if is_plain and ranges and STRONG.fullmatch(etag) else None

    def _continue(self, state: _Progress, answer: Answer) -> None:
        """Take in the head of an answer that goes on where the one before stopped."""
        found = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        is_right = found is not None and int(found[1]) == state.offset and not answer.headers.get("Content-Encoding")
        if found is not None and is_right and found[2] != "*":
            is_right = state.total in (None, int(found[2]))
            state.total = int(found[2])
        if not is_right:
            state.validator = None
            raise PayloadError(f"another part came than the one from {state.offset} on", request=self.name)

    async def _body(self, incoming: Incoming, *, goes_on: bool) -> AsyncGenerator[bytes, None]:
        """Hand out a body; of one that begins, its beginning first, once that is known to be a file's."""
        async with aclosing(incoming.chunks()) as chunks:
            if not goes_on:
                head, is_all = b"", True
                async for chunk in chunks:
                    head += chunk
                    if len(head) > HEAD or is_attachment(incoming.answer):
                        is_all = False
                        break
                self._recognition.check(incoming, head, is_all=is_all, now=self.exchange.clock.now())
                yield head
            async for chunk in chunks:
                yield chunk

    @property
    def _recognition(self) -> Recognition:
        return Recognition(
            name=self.name,
            form=self.form,
            is_page=self.url.path.endswith((".html", ".htm")),
            not_ready=self.not_ready,
            is_pending=self.is_pending,
        )

    async def _check_end(self, state: _Progress) -> None:
        """Make sure that a body that has come to its end is a whole file."""
        state.validator, size = None, state.offset  # whatever is wrong, there is nothing to go on with
        if state.total is not None and size != state.total:
            raise PayloadError(f"{size} bytes came of {state.total}", request=self.name)
        if state.look.is_open:
            raise PayloadError(f"the file was cut: its {size} bytes do not end what they begin", request=self.name)
        if state.look.is_doubtful and not await self._is_settled(state):
            if state.doubted is None:
                state.failures -= 1  # to load it twice is no failure
            state.doubted = size
            raise PayloadError(f"the file may have been cut: its {size} bytes end as few files do", request=self.name)

    async def _is_settled(self, state: _Progress) -> bool:
        """Return whether a file that may be cut is not: the same came twice, and its rows are as many as they should.

        Of JSON its rows alone prove it, if there are any.
        """
        if state.check is None:
            return False
        count = state.check.close()
        if count is None:  # no whole JSON; of a table, that the parser is stricter than its writer
            return self.form == "csv" and state.doubted == state.offset
        if self.form == "json" and count:
            return True
        if state.doubted != state.offset:
            return False
        expected = None if self.expected_rows is None else await self.expected_rows()
        if expected not in (None, count):
            raise PayloadError(
                f"the file has {count} rows, and {expected} by the metadata of the results; if that number means "
                "something else: ServiceProfile(row_count_keys=())",
                request=self.name,
            )
        return True

    @property
    def _pending(self) -> tuple[int, ...]:
        return self.exchange.profile.results_pending

    def _meant(self, state: _Progress, error: ResponseError) -> ServiceError:
        """Return what a refusal means for a file."""
        if error.http_status == OUT_OF_RANGE and state.validator is not None:
            state.validator = None
            return PayloadError(f"there is no part from {state.offset} on any more", request=self.name)
        is_absent = isinstance(error, NotFoundError) and NOT_FOUND in self._pending
        if self.not_ready is not None and (error.http_status in self._pending or is_absent):
            return self.not_ready(f"{error.http_status} {error.code}")
        return error
