"""Leading: an account, from standing by until another monitor may have it: the lease, what is written, and upkeep."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from titan_state.errors import JournalError, PayloadError, shorten
from titan_state.journal.base import Commit
from titan_state.journal.nats.buckets import bucket_of
from titan_state.journal.nats.lease import BUCKET, NatsLease
from titan_state.journal.nats.upkeep import days_ago
from titan_state.journal.nats.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from titan_state.core.state import State
    from titan_state.journal.nats.parts import Parts
    from titan_state.journal.nats.settings import Settings

logger = logging.getLogger("titan_state.journal")

FIRST_UPKEEP_S: Final = 60.0
UPKEEP_S: Final = 3600.0
"""How often what is beyond the limits is dropped; for the first time a minute after the start."""


class Leading:
    """Leads an account, once nobody else does.

    Attributes:
        lease: What says whether it leads still.
        writer: Writes the stream, once it leads.
    """

    lease: NatsLease
    writer: Writer

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        self._turn = asyncio.Lock()
        self._upkeep: asyncio.Task[None] | None = None
        self.has_begun = False

    async def prepare(self) -> None:
        """Make ready to ask for the lease."""
        link, settings = self._parts.link, self._settings
        bucket, lease_s = await bucket_of(link, BUCKET, settings, settings.lease_s)
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self.lease = NatsLease(link, bucket, self._parts.layout.account, lease_s, self._holder)

    async def begin(self, *, stands_by: bool) -> State:
        """Wait until no other monitor leads, take its place, and return what it knew."""
        await self.lease.acquire(stands_by=stands_by)
        parts = self._parts
        self.writer = Writer(parts.link, parts.layout, parts.reader, self._holder)
        self.lease.keep(self.writer.still_ours)
        self.lease.succeeds = await self.writer.take_over()
        state = await self.writer.restore()
        self.has_begun = True
        logger.info("leading %s, in epoch %d", shorten(parts.layout.account), self.writer.epoch)
        self._upkeep = asyncio.create_task(self._keep_in_order(), name="titan_state journal upkeep")
        return state

    async def append(self, commit: Commit) -> Sequence[int]:
        """Write a commit, one after the other."""
        async with self._turn:
            try:
                return await self.writer.append(commit)
            except JournalError as error:
                self.lease.note(error)
                raise

    async def end(self) -> None:
        """Let another monitor lead."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        await self.lease.release()

    async def _keep_in_order(self) -> None:
        clock = self._parts.link.clock
        await clock.sleep(FIRST_UPKEEP_S)
        while True:
            try:
                await self._tidy()
            except (JournalError, PayloadError) as error:
                logger.warning("the journal could not be kept in order: %s", error)
            await clock.sleep(UPKEEP_S)

    async def _tidy(self) -> None:
        settings, parts = self._settings, self._parts
        for name in await parts.roster.expire(settings.age_s):
            logger.warning(
                "subscription %s was removed: no program has had it open for %g days", name, settings.age_s / 86_400
            )
        for known in await parts.roster.known():
            await parts.letters.trim(known.name)
        await parts.upkeep.prune(days_ago(settings.age_s, parts.link.clock.now()), settings.max_events)
        await parts.upkeep.forget_finished(self._raise_floor)

    async def _raise_floor(self, floor: int, horizon: float) -> None:
        await self.append(Commit(floor=floor, horizon=horizon))
