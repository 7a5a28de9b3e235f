"""Incoming: an answer whose body is read in parts, as it arrives. It neither sends nor decides what to do with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

import aiohttp

from titan_state.client.faults import NETWORK, translated
from titan_state.errors import BodyTooLargeError, RequestTimeoutError

if TYPE_CHECKING:
    from titan_state.client.answer import Answer
    from titan_state.client.credential import Credential
    from titan_state.clock import Clock
    from titan_state.errors import ServiceError

SLOWEST: Final = 1024
"""How many bytes a second must arrive on average, over each `LOOK_S` in which nothing but the body is waited for.

A server that sends a byte now and then would hold a connection for ever otherwise. curl's `--speed-limit` is the like.
"""

LOOK_S: Final = 60.0


class Incoming:
    """An answer whose head is there, and whose body is on its way.

    Attributes:
        answer: Its head.
        credential: What must not be shown.
    """

    def __init__(
        self,
        answer: Answer,
        response: aiohttp.ClientResponse,
        *,
        name: str,
        origin: str,
        credential: Credential,
        clock: Clock,
    ) -> None:
        self.answer = answer
        self._response = response
        self._name = name
        self._origin = origin
        self.credential = credential
        self._clock = clock

    def close(self) -> None:
        """Give the connection back, or drop it with what was not read; also where it was closed already."""
        self._response.close()

    def abandon(self) -> None:
        """End a read that waits: the client is closed, and aiohttp tells nobody who waits for a body."""
        self._response.content.set_exception(aiohttp.ClientConnectionError("the client was closed"))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Hand out the body as it arrives, decompressed.

        Raises:
            TransportError: It broke off, or comes too slowly.
        """
        waited_s, size = 0.0, 0
        while True:
            failure: ServiceError | None = None
            began = self._clock.time()
            try:
                chunk = await self._response.content.readany()
            except (*NETWORK, RuntimeError) as error:  # the latter where the client is closed meanwhile
                failure = translated(error, self._name, self._origin, self.credential)
            if failure is not None:  # out of the handler: what that handles may show the token, and would be attached
                raise failure
            if not chunk:
                return
            waited_s += self._clock.time() - began
            size += len(chunk)
            if waited_s >= LOOK_S:
                if size < SLOWEST * waited_s:
                    story = f"the body comes too slowly: {size} bytes in {waited_s:.0f} s"
                    raise RequestTimeoutError(story, request=self._name)
                waited_s, size = 0.0, 0
            yield chunk

    async def whole(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLargeError: It is longer than `limit` bytes; the connection is closed then.
            TransportError: It broke off.
        """
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                self.close()
                raise BodyTooLargeError(f"the answer is larger than {limit} bytes", request=self._name)
            parts.append(chunk)
        return b"".join(parts)
