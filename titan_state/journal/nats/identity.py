"""Identity: whether a subscription is the one that a program has opened, or another one of its name.

Both have the same consumers, by name, and after a stream was removed the same positions: an answer to the one would
count for the other, which has never handed out what was answered.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from titan_state.errors import JournalDamagedError, JournalError
from titan_state.journal.nats.consumers import Known
from titan_state.journal.nats.pulls import pause_s

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from titan_state.clock import Clock
    from titan_state.journal.nats.consumers import Consumers
    from titan_state.journal.nats.errands import Errands
    from titan_state.journal.nats.pulls import Pull
    from titan_state.journal.nats.reading import Reader

logger = logging.getLogger("titan_state.journal")


class Identity:
    """Of which subscription the messages are that a program has, and whether there is still that one.

    It is in doubt after everything during which the subscription may have been removed and made again unnoticed. As
    long as it is, nothing may be asked for or answered.

    Attributes:
        is_certain: Whether there is no doubt.
    """

    def __init__(
        self,
        reader: Reader,
        consumers: Consumers,
        place: str,
        known: Known,
        pulls: Sequence[Pull],
        errands: Errands,
        resume: Callable[[], Awaitable[None]],
        trouble: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """Make what is certain at first.

        Args:
            reader: Reads the stream.
            consumers: The consumers of the subscription.
            place: The subject of the subscription.
            known: The subscription.
            pulls: What the program has of it.
            errands: What is done beside.
            resume: Called when it is certain again.
            trouble: Called with what is in the way of that and does not pass by itself.
            clock: The time.
        """
        self.is_certain = True
        self._reader = reader
        self._consumers = consumers
        self._place = place
        self._mark: str | None = known.mark
        self._pulls = pulls
        self._errands = errands
        self._resume = resume
        self._trouble = trouble
        self._clock = clock
        self._doubts = 0
        self._looking: asyncio.Task[None] | None = None

    def doubt(self, wait_s: float = 0.0) -> None:
        """Take in that it may be another one from now on, and look, after some time."""
        self._doubts += 1
        self.is_certain = False
        self.keep_looking(wait_s)

    def doubt_anew(self) -> None:
        """Take in that it may be another one, and look at once, however long a look was to be waited for."""
        if self._looking is not None:
            self._looking.cancel()
        self._looking = None
        self.doubt()

    def keep_looking(self, wait_s: float = 0.0) -> None:
        """Have it be looked for, if there is a doubt."""
        if not self.is_certain and (self._looking is None or self._looking.done()):
            self._looking = self._errands.begin(self._look(wait_s))

    async def _look(self, wait_s: float) -> None:
        failures = 0
        while True:
            await self._clock.sleep(wait_s)
            if await self._is_found_out():
                return  # with nothing in between: a doubt that comes up later has it looked for again
            failures += 1
            wait_s = pause_s(failures)

    async def _is_found_out(self) -> bool:
        try:
            await self._ascertain()
        except JournalDamagedError as error:
            self._trouble(str(error))
        except JournalError as error:
            logger.debug("it is not known whether a subscription was removed: %s", error)
        if self.is_certain:
            await self._resume()
        return self.is_certain

    async def _ascertain(self) -> None:
        """Look which one there is, and have its consumers be there; if it is another one, what was had is forgotten.

        If there is none, or a doubt has come up meanwhile, it is in doubt still.

        Raises:
            JournalError: That cannot be said.
        """
        doubts = self._doubts
        stored = await self._reader.last(self._place)
        known = None if stored is None else Known.read(stored)
        mark = None if known is None else known.mark
        if mark != self._mark:
            self._mark = mark
            for pull in self._pulls:
                pull.forget()
        if known is None:
            self._trouble("it was removed; when this program is started again, it begins anew")
            return
        for pull in self._pulls:
            if pull.is_missing:
                pull.is_missing = False  # if it is still, the next request says so
                await self._consumers.ensure_one(known, pull.partition, after=pull.last)
        self.is_certain = self._doubts == doubts
