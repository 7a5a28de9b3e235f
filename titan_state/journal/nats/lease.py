"""Lease: which monitor leads an account. It is a key that expires unless its holder renews it.

The holder counts from before it asked for the renewal, so it gives up before anybody else can be let in. Where NATS is
away for longer than that, the lease lapses: nothing is sent until it is held again, and that is possible only if nobody
else has led meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Final

from titan_state.clock import within
from titan_state.errors import (
    ConfigurationError,
    JournalError,
    JournalInUseError,
    JournalUnavailableError,
    LeadershipLostError,
    shorten,
)
from titan_state.journal.nats.key import Holder, Key
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

RELEASE_S: Final = 5.0
"""How long it is tried to give a lease back, in seconds."""

SAFE: Final = 0.9
"""After which part of its time a lease that could not be renewed counts as lapsed: clocks may run unevenly."""


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
        self.lease_s = lease_s
        self.succeeds = False
        self.leader: str | None = None
        self._link = link
        self._account = shorten(account)
        self._own = Holder(holder, secrets.token_hex(8))
        self._key = Key(link, bucket, account, self._own, reopened)
        self._not_before = float("-inf")
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

    def ensure_ours(self) -> None:
        """Return if no other monitor is known to lead.

        Raises:
            LeadershipLostError: Another monitor leads.
        """
        if self._loss is not None:
            raise self._loss

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
            ConfigurationError: The bucket of leases is another one now, in which keys do not last as long.
        """
        while True:
            known = self.leader
            try:
                self.leader = await self._seen() or await self._take()
            except JournalUnavailableError as error:
                if not stands_by:
                    raise
                if self.trouble is None:
                    logger.warning("standing by: it cannot be asked who leads %s: %s", self._account, error)
                self.trouble = str(error)
                self.leader = None
                await self._key.mend(self.lease_s)
            else:
                self.trouble = None
                if self.leader is None:
                    return
                if not stands_by:
                    raise JournalInUseError(
                        f"{shorten(self.leader)} leads this account, and there is one monitor at a time: end it, "
                        "or use a Subscriber"
                    )
                if self.leader != known:
                    logger.info("standing by: %s leads %s", shorten(self.leader), self._account)
            await self._link.clock.sleep(self.lease_s / ATTEMPTS)

    async def _seen(self) -> str | None:
        """Return who is seen to have it, None if it is worth trying to get it.

        In a bucket that was made anew there is nobody, but whoever was in the one before may count on it for a while.
        """
        if not self._key.is_mended:
            return None
        clock, found = self._link.clock, await self._key.found()
        is_others = found is not None and found[0].mark != self._own.mark
        if await self._key.was_made_anew(is_there=is_others):
            await self._key.mend(self.lease_s)
            self._not_before = clock.time() + self.lease_s
        if found is not None and is_others:
            return found[0].name
        return "a program whose lease was removed" if clock.time() < self._not_before else None

    async def _take(self) -> str | None:
        """Try to get the lease; return who has it otherwise."""
        asked_at = self._link.clock.time()
        try:
            revision = await self._key.create()
        except WrongSequenceError:
            found = await self._key.found()
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
                if not await self._is_renewed(still_ours):
                    pause_s = self.lease_s / ATTEMPTS / 2
                    await self._key.mend(self.lease_s / 2)
            except (JournalError, ConfigurationError) as error:
                self._end(error if isinstance(error, JournalError) else JournalError(str(error)))
            except Exception as error:  # a mistake of ours must not leave a monitor that waits for ever
                logger.exception("the lease cannot be renewed any more")
                self._end(
                    JournalError(
                        f"the lease cannot be renewed any more, start the monitor again: {shorten(repr(error))}"
                    )
                )
            if was_held and not self.is_held and self._loss is None:
                logger.warning("%s: the lease cannot be renewed, so no request is sent until it can", self._account)
            elif self.is_held and not was_held:
                logger.warning("%s: the lease is held again, and nobody else has led meanwhile", self._account)
            was_held = self.is_held

    async def _is_renewed(self, still_ours: Callable[[], Awaitable[bool]]) -> bool:
        """Renew the lease; return False if that has to be tried again."""
        try:
            await within(self._link.clock, self.lease_s / 2, self._renew(still_ours))
        except (JournalUnavailableError, TimeoutError) as error:
            logger.debug("the lease could not be renewed: %s", error)
            return False
        return True

    async def _renew(self, still_ours: Callable[[], Awaitable[bool]]) -> None:
        """Renew the lease, or get it again where it has lapsed."""
        asked_at = self._link.clock.time()
        has_lapsed = not self.is_held
        try:
            revision = await self._key.update(self._revision)
        except WrongSequenceError:
            found = await self._key.found()
            if found is not None and found[0].mark != self._own.mark:
                self.lose(f"{found[0].name} leads {self._account} now: this monitor was not heard of for too long")
                return
            if found is not None:  # ours: the answer to an earlier renewal was lost
                asked_at, self._revision = self._link.clock.time(), found[1]
                revision = await self._insist()
            else:
                has_lapsed = True
                await self._key.mend(self.lease_s / 2)  # somebody may have made another bucket
                asked_at = self._link.clock.time()
                revision = await self._created()
        if has_lapsed and not await still_ours():
            await self._key.remove()
            self.lose(f"another monitor has led {self._account} meanwhile: this one was not heard of for too long")
            return
        self._hold(revision, asked_at)

    async def _created(self) -> int:
        try:
            return await self._key.create()
        except WrongSequenceError as error:  # somebody was faster, or what was found was old: it is looked again
            raise JournalUnavailableError("the lease could not be had again: somebody has written it") from error

    async def _insist(self) -> int:
        try:
            return await self._key.update(self._revision)
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
            with contextlib.suppress(TimeoutError):  # it expires
                await within(self._link.clock, RELEASE_S, self._key.remove())
