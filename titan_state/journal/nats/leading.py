"""Leading: an account, from standing by until another monitor may have it: the lease, what is written, and upkeep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from titan_state.clock import within
from titan_state.errors import JournalDamagedError, JournalError, JournalUnavailableError, LeadershipLostError, shorten
from titan_state.journal.base import Commit
from titan_state.journal.nats import stream
from titan_state.journal.nats.batch import DoubtfulError
from titan_state.journal.nats.buckets import bucket_of
from titan_state.journal.nats.lease import ATTEMPTS, BUCKET, NatsLease
from titan_state.journal.nats.link import FullError
from titan_state.journal.nats.upkeep import days_ago
from titan_state.journal.nats.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nats.js.kv import KeyValue

    from titan_state.core.tracking.state import State
    from titan_state.journal.nats.parts import Parts
    from titan_state.journal.nats.settings import Settings

logger = logging.getLogger("titan_state.journal")

FIRST_UPKEEP_S: Final = 60.0
UPKEEP_S: Final = 3600.0
"""How often what is beyond the limits is dropped; for the first time a minute after the start."""

NEARLY_FULL: Final = 0.75
"""From which part of its bytes on a stream is taken for full, when it refuses something."""

FULL_S: Final = 30.0
"""How long it is left at that, once room was made in a stream that is full."""


class Leading:
    """Leads an account, once nobody else does.

    Attributes:
        lease: What says whether it leads still.
        writer: Writes the stream, once it leads.
        trouble: Why it cannot take the lead at present, None if nothing is known of that.
        has_begun: Whether it leads.
    """

    lease: NatsLease
    writer: Writer

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        self._turn = asyncio.Lock()
        self._upkeep: asyncio.Task[None] | None = None
        self._is_full = asyncio.Event()
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self.trouble: str | None = None
        self.has_begun = False

    async def prepare(self) -> None:
        """Make ready to ask for the lease."""
        self._bucket, self._lease_s = await self._opened(self._settings.lease_s, warns=True)
        self.lease = self._new_lease()

    async def _opened(self, lease_s: float | None, *, warns: bool) -> tuple[KeyValue, float]:
        return await bucket_of(self._parts.link, BUCKET, self._settings, lease_s, warns=warns)

    def _new_lease(self) -> NatsLease:
        async def reopened() -> KeyValue:
            self._bucket, _ = await self._opened(self._lease_s, warns=False)  # what is held was counted with that
            return self._bucket

        account = self._parts.layout.account
        return NatsLease(self._parts.link, self._bucket, account, self._lease_s, self._holder, reopened)

    async def begin(self, *, stands_by: bool) -> State:
        """Wait until no other monitor leads, take its place, and return what it knew."""
        while True:
            await self.lease.acquire(stands_by=stands_by)
            try:
                state = await self._take_over()
            except (JournalUnavailableError, LeadershipLostError) as error:
                if not stands_by:
                    raise
                await self._stand_by_again(error)
            else:
                break
        self.has_begun, self.trouble = True, None
        logger.info("leading %s, in epoch %d", shorten(self._parts.layout.account), self.writer.epoch)
        self._upkeep = asyncio.create_task(self._keep_in_order(), name="titan_state journal upkeep")
        return state

    async def _stand_by_again(self, error: JournalError) -> None:
        """Let go of the lease, since the account could not be taken over, and make ready to ask for another one."""
        if str(error) != self.trouble:
            logger.warning("the lead could not be taken, and is waited for again: %s", error)
        self.trouble = str(error)
        if isinstance(error, FullError):  # nobody else makes room: it has to be led for that
            await self._do(self._expire)
            await self._do(self._make_room)
        await self.lease.release()
        await self._parts.link.clock.sleep(self._lease_s / ATTEMPTS)
        self.lease = self._new_lease()

    async def _take_over(self) -> State:
        parts = self._parts
        self.writer = Writer(parts.link, parts.layout, parts.reader, self._holder)
        self.lease.keep(self.writer.still_ours)
        self.lease.succeeds = await self.writer.take_over()
        state = await self.writer.restore()
        self.lease.ensure_ours()
        return state

    async def append(self, commit: Commit) -> Sequence[int]:
        """Write a commit, one after the other."""
        async with self._turn:
            try:
                return await self.writer.append(commit)
            except FullError:
                self._is_full.set()
                raise
            except JournalUnavailableError as error:
                if not isinstance(error, DoubtfulError):
                    await self._ensure_there(error)
                raise
            except JournalError as error:
                self.lease.note(error)
                raise

    async def _ensure_there(self, error: JournalUnavailableError) -> None:
        """Return if the stream is there, or that cannot be told."""
        layout = self._parts.layout
        try:
            found = await stream.existing(self._parts.link, layout.account)
        except JournalUnavailableError:
            return
        if found is None:
            raise JournalDamagedError(
                f"the stream {layout.stream} was removed from {self._parts.link.name}: restore it (nats stream "
                "restore), or begin anew by starting the monitor again"
            ) from error

    async def end(self) -> None:
        """Let another monitor lead."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        await self.lease.release()

    async def _keep_in_order(self) -> None:
        clock = self._parts.link.clock
        pause_s = FIRST_UPKEEP_S
        while True:
            with contextlib.suppress(TimeoutError):
                await within(clock, pause_s, self._is_full.wait())
            await self._tidy()
            if self._is_full.is_set():
                await self._do(self._make_room)
                await clock.sleep(FULL_S)
                self._is_full.clear()
            pause_s = UPKEEP_S

    async def _tidy(self) -> None:
        for step in (self._prune, self._expire, self._trim, self._forget):
            await self._do(step)

    async def _do(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except JournalError as error:
            logger.warning("the journal could not be kept in order, which is tried again in an hour: %s", error)
        except Exception:  # a mistake of ours, or something odd in the stream: the next hour it is tried again
            logger.exception("the journal could not be kept in order, which is tried again in an hour")

    async def _prune(self) -> None:
        settings, parts = self._settings, self._parts
        await parts.upkeep.prune(days_ago(settings.age_s, parts.link.clock.now()), settings.max_events)

    async def _make_room(self) -> None:
        """Drop the older half of the events that everybody has had, if it is the stream itself that is full.

        Where it is an account of NATS, or a disk, that would only help others.
        """
        parts = self._parts
        used = await stream.fullness(parts.link, parts.layout)
        if used < NEARLY_FULL:
            logger.warning(
                "there is no room for %s, its own limit not being reached: give the server or its account more storage",
                parts.layout.stream,
            )
            return
        count = await parts.reader.count(parts.layout.events())
        dropped = await parts.upkeep.prune(days_ago(self._settings.age_s, parts.link.clock.now()), count // 2)
        text = "the stream %s is full: %d of %d events were dropped (nats stream edit --max-bytes keeps more)"
        logger.warning(text, parts.layout.stream, dropped, count)

    async def _expire(self) -> None:
        age_s = self._settings.age_s
        for name in await self._parts.roster.expire(age_s):
            text = "subscription %s was removed, and begins anew when it is opened: nobody has had it for %g days"
            logger.warning(text, shorten(name), age_s / 86_400)

    async def _trim(self) -> None:
        for known in await self._parts.roster.known():
            await self._parts.letters.trim(known.name)

    async def _forget(self) -> None:
        await self._parts.upkeep.forget_finished(self._raise_floor)

    async def _raise_floor(self, floor: int, horizon: float) -> None:
        await self.append(Commit(floor=floor, horizon=horizon))
