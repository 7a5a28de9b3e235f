"""Exchange: a request of the API, from its path to what its answer holds. What an answer means is decided elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from titan_state.client.address import url_of
from titan_state.client.envelope import unwrap
from titan_state.client.readings import Reading
from titan_state.errors import PayloadError, ResponseError, ServiceError, UnauthorizedError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from yarl import URL

    from titan_state.client.answer import Answer
    from titan_state.client.credential import Credential
    from titan_state.client.incoming import Incoming
    from titan_state.client.profile import ServiceProfile
    from titan_state.client.transport import Transport
    from titan_state.clock import Clock
    from titan_state.core.budget import Priority

T = TypeVar("T")

UNAUTHORIZED: Final = 401


class Exchange:
    """Sends requests of the API, with another token once where the first is refused.

    Attributes:
        origin: Where they go.
        profile: What the documentation leaves open.
        clock: The time.
    """

    def __init__(
        self, transport: Transport, credential: Credential, clock: Clock, *, origin: str, profile: ServiceProfile
    ) -> None:
        self.origin = origin
        self.profile = profile
        self.clock = clock
        self._transport = transport
        self._credential = credential

    async def request(
        self,
        method: str,
        path: str,
        decode: Callable[[Any], T],
        query: Mapping[str, int | str] | None = None,
        *,
        body: bytes | None = None,
        priority: Priority,
        unlike: Collection[int] = (),
    ) -> Reading[T]:
        """Send a request, with another token once if the first is refused, and decode its answer.

        Args:
            method: The HTTP method.
            path: The path below the prefix, encoded.
            decode: Makes a value of the answer's data.
            query: The query.
            body: JSON, None for no body.
            priority: How soon it goes, when others wait too.
            unlike: HTTP statuses that are no success here, though they may be elsewhere.

        Raises:
            PayloadError: The answer is not what it should be.
            ServiceError: The request did not succeed.
        """
        url, name = self.url(path, query), f"{method} {shorten(path)}"
        answer = await self._transport.exchange(method, url, name, priority, body)
        try:
            return self._reading(answer, name, decode, unlike)
        except UnauthorizedError:
            if not self._credential.is_renewable:
                raise
        await self._credential.renew(answer.issue)
        answer = await self._transport.exchange(method, url, name, priority, body, resends=1)
        return self._reading(answer, name, decode, unlike)

    async def stream(
        self,
        url: URL,
        name: str,
        headers: Mapping[str, str],
        *,
        is_ours: bool = True,
        is_limited: bool = True,
        secrets: Collection[str] = (),
    ) -> Incoming:
        """Send a GET whose answer is read in parts, with another token once if the first is refused.

        Args:
            url: The URL, encoded.
            name: How the request is called in errors.
            headers: Further headers.
            is_ours: Whether it goes to the origin, and the token with it.
            is_limited: Whether the service counts it.
            secrets: What must not be shown, beside the token: those in the URL.

        Returns:
            The answer, a success, which must be closed.

        Raises:
            ResponseError: It was refused.
            TransportError: No answer arrived.
        """
        options = {"is_ours": is_ours, "is_limited": is_limited}
        incoming = await self._transport.stream(url, name, headers, **options, secrets=secrets)
        if incoming.answer.status == UNAUTHORIZED and is_ours and self._credential.is_renewable:
            incoming.close()
            await self._credential.renew(incoming.answer.issue)
            incoming = await self._transport.stream(url, name, headers, **options, secrets=secrets, resends=1)
        if not incoming.answer.is_success:
            incoming.close()
            unwrap(incoming.answer, name, incoming.credential, self.clock.now())
        return incoming

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport.is_closed

    def url(self, path: str, query: Mapping[str, int | str] | None = None) -> URL:
        """Return the URL of a path below the prefix, encoded already."""
        return url_of(self.origin, self.profile.api_prefix + path, query or {})

    def _reading(self, answer: Answer, name: str, decode: Callable[[Any], T], unlike: Collection[int]) -> Reading[T]:
        data = unwrap(answer, name, self._credential, self.clock.now())
        if answer.status in unlike:
            refusal = ResponseError(answer.status, str(answer.status), "not yet", request=name)
            refusal.sent_at, refusal.received_at = answer.sent_at, answer.received_at
            raise refusal
        try:
            value = decode(data)
        except PayloadError as error:
            failure = PayloadError(str(error), request=name)
            failure.body, failure.sent_at, failure.received_at = error.body, answer.sent_at, answer.received_at
            raise failure from None
        except ServiceError as error:
            error.sent_at, error.received_at = answer.sent_at, answer.received_at
            raise
        return Reading(value, answer.sent_at, answer.received_at, answer.served_at)
