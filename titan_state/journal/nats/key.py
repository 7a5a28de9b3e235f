"""Key: where a lease is kept, one key of a bucket for each account, with what was asked of it and not answered."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

import attrs
from nats.js import errors as js_errors

from titan_state.clock import within
from titan_state.errors import JournalError, JournalUnavailableError
from titan_state.journal.nats.layout import account_token
from titan_state.journal.nats.link import WrongSequenceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from datetime import datetime
    from typing import Any

    from nats.js.kv import KeyValue

    from titan_state.journal.nats.link import Link

logger = logging.getLogger("titan_state.journal")

TRIES: Final = 3
"""How often it is tried to remove a key that changes meanwhile."""

NEVER: Final = (1 << 63) - 1
"""A sequence that no message has."""


@attrs.frozen
class Holder:
    """Who has a lease.

    Attributes:
        name: Who it is, for messages.
        mark: What tells it from all others.
    """

    name: str
    mark: str

    def written(self) -> bytes:
        """Return it as a payload."""
        return json.dumps({"holder": self.name, "mark": self.mark}).encode()

    @classmethod
    def read(cls, data: bytes | None) -> Holder:
        """Return who has written a payload."""
        try:
            told = json.loads(data or b"")
            return cls(str(told["holder"]), str(told["mark"]))
        except (ValueError, LookupError, TypeError):
            return cls("a program that is not known", "")


class Key:
    """The key of an account, in the bucket of leases.

    Attributes:
        is_mended: Whether its bucket is made anew when it is gone.
    """

    def __init__(
        self,
        link: Link,
        bucket: KeyValue,
        account: str,
        own: Holder,
        reopened: Callable[[], Awaitable[KeyValue]] | None = None,
    ) -> None:
        """Make what asks for a key.

        Args:
            link: The connection.
            bucket: The bucket of leases.
            account: The account.
            own: What is written there.
            reopened: Returns the bucket again, which is made if it is gone.
        """
        self._link = link
        self._bucket = bucket
        self._name = account_token(account)
        self._own = own
        self._reopened = reopened
        self.is_mended = reopened is not None
        self._made_at: datetime | None = None
        self._is_asking = False

    async def create(self) -> int:
        """Write it, and return its revision; a `WrongSequenceError` if it is there."""
        return await self._written(self._bucket.create(self._name, self._own.written()), "give the lease")

    async def update(self, last: int) -> int:
        """Write it again, and return its revision; a `WrongSequenceError` if the last one was another."""
        return await self._written(self._bucket.update(self._name, self._own.written(), last=last), "renew the lease")

    async def _written(self, work: Coroutine[Any, Any, int], doing: str) -> int:
        self._is_asking = True  # until an answer has come: this may be cancelled, too
        try:
            revision = await self._link.do(work, doing)
        except JournalUnavailableError:
            raise
        except JournalError:
            self._is_asking = False
            raise
        self._is_asking = False
        return revision

    async def found(self) -> tuple[Holder, int] | None:
        """Return who has written it, and its revision; None if it is not there."""

        async def ask() -> tuple[Holder, int] | None:
            try:
                entry = await self._bucket.get(self._name)
            except js_errors.KeyNotFoundError:
                return None
            return Holder.read(entry.value), entry.revision or 0

        return await self._link.do(ask(), "tell who leads")

    async def remove(self) -> None:
        """Remove it if it is ours, as far as NATS can be told now; else it expires."""
        try:
            await self._settle()
            for _ in range(TRIES):
                found = await self.found()
                if found is None or found[0].mark != self._own.mark:
                    return
                try:
                    await self._link.do(self._bucket.delete(self._name, last=found[1]), "take the lease back")
                except WrongSequenceError:  # what was read of it was old
                    continue
                return
        except JournalError as error:
            logger.debug("the lease could not be given back: %s", error)

    async def _settle(self) -> None:
        """Return when the server has dealt with what was asked for last, of which no answer has come.

        What is written over one connection is written in order, so another answer is as good; this writes nothing.
        """
        if self._is_asking:
            try:
                await self.update(NEVER)
            except WrongSequenceError:
                logger.debug("whatever was asked of the lease has arrived")

    async def mend(self, seconds: float) -> None:
        """Have the bucket be there, which somebody may have removed.

        Raises:
            ConfigurationError: Somebody has made another one, in which keys do not last as long.
        """
        if self._reopened is None:
            return
        try:
            self._bucket = await within(self._link.clock, seconds, self._reopened())
        except (JournalError, TimeoutError) as error:
            logger.debug("the bucket of leases cannot be opened: %r", error)

    async def was_made_anew(self, *, is_there: bool) -> bool:
        """Return whether its bucket is another one than when this was asked last.

        Args:
            is_there: Whether the key was found: it is not looked again at the bucket then.

        Raises:
            JournalUnavailableError: Somebody has removed it.
        """
        if is_there and self._made_at is not None:
            return False
        known, self._made_at = self._made_at, await self._link.do(self._made(), "tell of the leases")
        return known is not None and known != self._made_at

    async def _made(self) -> datetime | None:
        try:
            return (await self._bucket.status()).stream_info.created
        except js_errors.NotFoundError as error:
            raise JournalUnavailableError(f"the bucket of leases was removed from {self._link.name}") from error
