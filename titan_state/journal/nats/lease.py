"""Lease: which monitor leads an account. It is a key that expires unless its holder renews it.

The holder counts from before it asked for the renewal, so it gives up before anybody else can be let in. Where NATS is
away for longer than that, the lease lapses: nothing is sent until it is held again, and that is possible only if nobody
else has led meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from typing import TYPE_CHECKING, Final

import attrs
from nats.js import errors as js_errors

from titan_state.clock import within
from titan_state.errors import (
    JournalError,
    JournalInUseError,
    JournalUnavailableError,
    LeadershipLostError,
    shorten,
)
from titan_state.journal.nats.layout import account_token
from titan_state.journal.nats.link import WrongSequenceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.js.kv import KeyValue

    from titan_state.journal.nats.link import Link

logger = logging.getLogger("titan_state.journal")

BUCKET: Final = "titan_leases"
"""The bucket of all leases. The time to live is that of the bucket: one of a key would be lost by the first renewal."""

RENEWALS: Final = 3
"""How often a lease is renewed in its time."""

ATTEMPTS: Final = 8
"""How often in its time somebody who stands by tries to get it, and the holder to renew it where that has failed."""

SAFE: Final = 0.9
"""After which part of its time a lease that could not be renewed counts as lapsed: clocks may run unevenly."""


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


class NatsLease:
    """The lease of an account. See `titan_state.journal.base.Lease`.

    Attributes:
        lease_s: How long it lasts without being renewed.
        succeeds: Whether another monitor led before.
        leader: Who has it, while it is waited for.
        trouble: Why it cannot be asked for at present, None if it can.
    """

    def __init__(
        self,
        link: Link,
        bucket: KeyValue,
        account: str,
        lease_s: float,
        holder: str,
        reopened: Callable[[], Awaitable[KeyValue]] | None = None,
    ) -> None:
        """Make a lease that is not held.

        Args:
            link: The connection.
            bucket: The bucket of leases.
            account: The account.
            lease_s: The time to live of the bucket.
            holder: Who asks for it, for messages.
            reopened: Returns the bucket again, which is made if it is gone.
        """
        self.trouble: str | None = None
        self._reopened = reopened
        self.lease_s = lease_s
        self.succeeds = False
        self.leader: str | None = None
        self._link = link
        self._bucket = bucket
        self._key = account_token(account)
        self._account = shorten(account)
        self._own = Holder(holder, secrets.token_hex(8))
        self._revision = 0
        self._until = float("-inf")
        self._loss: JournalError | None = None
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether it is certain at this moment that no other monitor leads."""
        return self._loss is None and self._link.clock.time() < self._until

    async def until_held(self) -> None:
        """Return when it is certain; raise if another monitor leads."""
        while not self.is_held:
            if self._loss is not None:
                raise self._loss
            self._changed.clear()
            await self._changed.wait()

    async def until_lost(self) -> None:
        """Wait for as long as no other monitor leads, then raise."""
        while self._loss is None:
            self._changed.clear()
            await self._changed.wait()
        raise self._loss

    def lose(self, why: str) -> JournalError:
        """Take in that another monitor leads, and return the error that says so."""
        return self._end(LeadershipLostError(why))

    def note(self, error: JournalError) -> None:
        """Take in an error of writing: that another monitor leads shows there, too."""
        if isinstance(error, LeadershipLostError):
            self._end(error)

    def _end(self, error: JournalError) -> JournalError:
        if self._loss is None:
            self._loss = error
            self._tell()
        return self._loss

    async def acquire(self, *, stands_by: bool) -> None:
        """Get the lease.

        Args:
            stands_by: Whether to wait until it is free.

        Raises:
            JournalInUseError: Another monitor has it, and it is not waited for.
            JournalUnavailableError: NATS cannot be asked.
        """
        while True:
            known = self.leader
            try:
                self.leader = await self._take()
            except JournalUnavailableError as error:
                if not stands_by:
                    raise
                if self.trouble is None:
                    logger.warning("standing by: it cannot be asked who leads %s: %s", self._account, error)
                self.trouble = str(error)
                self.leader = None
                await self._mend()
            else:
                self.trouble = None
                if self.leader is None:
                    return
                if not stands_by:
                    raise JournalInUseError(f"{self.leader} leads this account: there is one monitor at a time")
                if self.leader != known:
                    logger.info("standing by: %s leads %s", shorten(self.leader), self._account)
            await self._link.clock.sleep(self.lease_s / ATTEMPTS)

    async def _mend(self) -> None:
        """Have the bucket be there, which somebody may have removed."""
        if self._reopened is None:
            return
        try:
            self._bucket = await self._reopened()
        except JournalError as error:
            logger.debug("the bucket of leases cannot be opened: %s", error)

    async def _take(self) -> str | None:
        """Try to get the lease; return who has it otherwise."""
        asked_at = self._link.clock.time()
        try:
            revision = await self._link.do(self._bucket.create(self._key, self._own.written()), "give the lease")
        except WrongSequenceError:
            found = await self._found()
            if found is None:
                return "a program that has just ended"
            holder, revision = found
            if holder.mark != self._own.mark:
                return holder.name
            # Ours: an answer was lost. When the server has written it is not known, so it counts from a renewal.
            asked_at, self._revision = self._link.clock.time(), revision
            revision = await self._insist()
        self._hold(revision, asked_at)
        return None

    async def _found(self) -> tuple[Holder, int] | None:
        """Return who has the lease, and the revision."""

        async def ask() -> tuple[Holder, int] | None:
            try:
                entry = await self._bucket.get(self._key)
            except js_errors.KeyNotFoundError:
                return None
            return Holder.read(entry.value), entry.revision or 0

        return await self._link.do(ask(), "tell who leads")

    def keep(self, still_ours: Callable[[], Awaitable[bool]]) -> None:
        """Renew the lease from now on.

        Args:
            still_ours: Returns whether nobody else has led, after the lease had lapsed.
        """
        self._keeper = asyncio.create_task(self._keep(still_ours), name=f"titan_state lease {self._account}")

    async def _keep(self, still_ours: Callable[[], Awaitable[bool]]) -> None:
        was_held, pause_s = self.is_held, self.lease_s / RENEWALS
        while self._loss is None:
            await self._link.clock.sleep(pause_s)
            pause_s = self.lease_s / RENEWALS
            try:
                await within(self._link.clock, self.lease_s / 2, self._renew(still_ours))
            except (JournalUnavailableError, TimeoutError) as error:
                logger.debug("the lease could not be renewed: %s", error)
                pause_s = self.lease_s / ATTEMPTS / 2
                await self._mend()
            except JournalError as error:
                self._end(error)
            except Exception as error:  # a mistake of ours must not leave a monitor that waits for ever
                logger.exception("the lease cannot be renewed any more")
                self._end(JournalError(f"the lease cannot be renewed any more: {error!r}"))
            if was_held and not self.is_held and self._loss is None:
                logger.warning("%s: the lease cannot be renewed, so no request is sent until it can", self._account)
            elif self.is_held and not was_held:
                logger.warning("%s: the lease is held again, and nobody else has led meanwhile", self._account)
            was_held = self.is_held

    async def _renew(self, still_ours: Callable[[], Awaitable[bool]]) -> None:
        """Renew the lease, or get it again where it has lapsed."""
        asked_at = self._link.clock.time()
        has_lapsed = not self.is_held
        try:
            revision = await self._update()
        except WrongSequenceError:
            found = await self._found()
            if found is not None and found[0].mark != self._own.mark:
                self.lose(f"{found[0].name} leads {self._account} now: this monitor was not heard of for too long")
                return
            asked_at = self._link.clock.time()
            if found is not None:  # ours: the answer to an earlier renewal was lost
                self._revision = found[1]
                revision = await self._insist()
            else:
                has_lapsed = True
                create = self._bucket.create(self._key, self._own.written())
                revision = await self._link.do(create, "give the lease")
        if has_lapsed and not await still_ours():
            self._revision = revision
            await self._give_back()
            self.lose(f"another monitor has led {self._account} meanwhile: this one was not heard of for too long")
            return
        self._hold(revision, asked_at)

    async def _update(self) -> int:
        update = self._bucket.update(self._key, self._own.written(), last=self._revision)
        return await self._link.do(update, "renew the lease")

    async def _insist(self) -> int:
        try:
            return await self._update()
        except WrongSequenceError as error:  # what was found was not the newest: it is looked for again
            raise JournalUnavailableError("the lease could not be renewed: what is read of it is old") from error

    def _hold(self, revision: int, asked_at: float) -> None:
        self._revision = revision
        self._until = max(self._until, asked_at + SAFE * self.lease_s)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()

    async def release(self) -> None:
        """Let another monitor have it, as far as NATS can be told now."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        self._until = float("-inf")
        self._tell()
        if self._loss is None:
            await self._give_back()

    async def _give_back(self) -> None:
        try:
            found = await self._found()  # whatever was asked for last: its answer may not have come
            if found is not None and found[0].mark == self._own.mark:
                await self._link.do(self._bucket.delete(self._key, last=found[1]), "take the lease back")
        except JournalError as error:  # it expires
            logger.debug("the lease could not be given back: %s", error)
