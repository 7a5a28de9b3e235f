"""News: the events that were written into a journal since the last look. It takes no subscription for that."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import AnomalyDetected
from titan_state.errors import JournalDamagedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from titan_state.core.events import Event
    from titan_state.dashboard.sources import Source

logger = logging.getLogger("titan_state.dashboard")

LATEST: Final = 50
"""How many of the latest events a page is shown when it opens."""

AT_ONCE: Final = 1000
"""How many events are read at once."""

FAR: Final = 5000
"""How many events are read after a time in which nobody looked; of more, the latest: rows tell the rest."""

MOST_STEPS: Final = 100
"""How many events that cannot be read one look passes over."""


class News:
    """What is new in a journal.

    Attributes:
        latest: The latest events.
        blind: What was said when the monitor went blind last.
        has_skipped: Whether events were passed over since somebody set it to False.
    """

    def __init__(self, source: Source) -> None:
        self.latest: deque[Event] = deque(maxlen=LATEST)
        self.blind = ""
        self.has_skipped = False
        self._has_warned = False
        self._source = source
        self._position: int | None = None

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Hand out the events since the last look, some at a time; at the first look, the latest ones.

        Raises:
            JournalError: The journal cannot be read; what was not handed out is handed out at the next look.
        """
        await self._source.look()
        journal = self._source.journal
        if self._position is None:
            for event in await journal.history(""):
                self._take(event)
            self._position = max(0, journal.head - LATEST)
        elif journal.head - self._position > FAR:
            self._position, self.has_skipped = journal.head - LATEST, True
        steps = 0
        while self._position < journal.head:
            try:
                some = await journal.log(self._position, AT_ONCE)
            except JournalDamagedError as error:
                if not self._has_warned:
                    logger.warning("events that cannot be read are left out of the pages: %s", error)
                self._has_warned = True
                some = await self._one(self._position) or []
                steps += not some
                if not some and steps > MOST_STEPS:
                    raise
                if not some:
                    self._position, self.has_skipped = await self._beyond(self._position, journal.head), True
                    continue
            if some:
                events = [event for _, event in some]
                for event in events:
                    self._take(event)
                self.latest.extend(events)
                self._position = some[-1][0]
                yield events
            else:
                self._position = journal.head

    async def _one(self, position: int) -> list[tuple[int, Event]] | None:
        """Return the next event alone; None if it is the one that cannot be read."""
        try:
            return await self._source.journal.log(position, 1)
        except JournalDamagedError:
            return None

    async def _beyond(self, position: int, head: int) -> int:
        """Return the position of the next event, which cannot be read; positions before it may have been pruned."""
        low, step = position, 1
        while low + step < head and await self._one(low + step) is None:
            low, step = low + step, 2 * step
        high = min(low + step, head)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await self._one(middle) is None else (low, middle)
        return high

    def _take(self, event: Event) -> None:
        if isinstance(event, AnomalyDetected) and event.kind is AnomalyKind.BLIND:
            self.blind = self._source.redact(event.message)
