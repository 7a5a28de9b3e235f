"""The hub: looks for what is new while somebody watches, and hands it to every page that is open.

While no page is open, nothing is looked for. What messages look like is said in `messages.py`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import AnomalyDetected
from titan_state.dashboard import messages
from titan_state.dashboard.board import Board
from titan_state.dashboard.sources import NOBODY
from titan_state.errors import TitanStateError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.sights import Sight
    from titan_state.dashboard.board import Change
    from titan_state.dashboard.sources import Source
    from titan_state.monitor.survey import Survey

logger = logging.getLogger("titan_state.dashboard")

TICK_S: Final = 0.1
"""How often the journal is looked at for news."""

SURVEY_S: Final = 1.0
"""How often it is asked what was seen since: progress, and when an execution was seen last, are no events."""

STATE_S: Final = 2.0
"""How often it is told, at least, how the monitor fares; also that the dashboard is there."""

WHOLE_S: Final = 300.0
"""How often everything is compared: what is watched no longer shows only so."""

RELOAD_S: Final = 2.0
"""How often the rows of a journal are read again, where no monitor can be asked and something was written."""

LATEST: Final = 50
"""How many of the latest events a page is shown when it opens."""

MOST_EVENTS: Final = 200
"""How many events a page is told at once: of more, the latest."""

AT_ONCE: Final = 1000
"""How many events are read at once, and how many rows a message holds."""

BACKLOG: Final = 500
"""How many messages wait for a page; one that is so slow is cut off, connects again and begins anew."""

Message = tuple[str, str]
"""The kind of a message, and its line of JSON."""


@attrs.define(eq=False)
class Page:
    """A page that is open.

    Attributes:
        queue: What it was not sent yet; None at the end.
    """

    queue: asyncio.Queue[Message | None] = attrs.field(factory=asyncio.Queue)


class Hub:
    """Hands out what happens to every page that is open."""

    def __init__(self, source: Source, clock: Clock) -> None:
        """Make a hub.

        Args:
            source: What is shown.
            clock: The time.
        """
        self._source = source
        self._clock = clock
        self._board = Board()
        self._run_id = secrets.token_hex(8)
        self._pages: set[Page] = set()
        self._opened = asyncio.Event()
        self._turn = asyncio.Lock()
        self._latest: deque[Event] = deque(maxlen=LATEST)
        self._position: int | None = None
        self._survey: Survey | None = None
        self._has_news = False
        self._blind = ""
        self._surveyed_at = self._whole_at = self._told_at = self._read_at = -1e9

    async def run(self) -> None:
        """Look for news while pages are open, until cancelled; then the pages are told that it ends."""
        try:
            while True:
                if not self._pages:
                    self._opened.clear()
                    await self._opened.wait()
                await self._refresh()
                await self._clock.sleep(TICK_S)
        finally:
            for page in self._pages:
                page.queue.put_nowait(None)

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Hand out what a page that opens is told: everything first, then what changes.

        Yields:
            Messages. It ends when the dashboard does, or when the page is too slow.
        """
        await self._refresh()
        page = Page()
        self._pages.add(page)
        self._opened.set()
        try:
            sights = tuple(self._board.rows.values())
            events = tuple(self._latest)
            watched = None if self._survey is None else self._survey.watched
            first_state = self._state()
            yield "hello", messages.text(messages.hello(self._source, self._run_id, watched))
            for first in range(0, max(1, len(sights)), AT_ONCE):
                chunk = sights[first : first + AT_ONCE]
                yield "rows", messages.rows(chunk, reset=first == 0, more=first + AT_ONCE < len(sights))
            yield "events", self._events(events)
            yield "state", first_state
            while (message := await page.queue.get()) is not None:
                yield message
        finally:
            self._pages.discard(page)

    def sight(self, execution_id: str) -> Sight | None:
        """Return what the board shows of an execution."""
        return self._board.rows.get(execution_id)

    async def _refresh(self) -> None:
        """Look for what is new, and tell the pages of it."""
        async with self._turn:
            try:
                events = await self._news()
                change = await self._changes(events)
            except TitanStateError as error:  # a journal that is busy, say: the next look may do better
                logger.warning("the dashboard could not look for news: %s", self._source.redact(str(error)))
                return
            self._latest.extend(events)
            if events:
                self._tell("events", self._events(events[-MOST_EVENTS:]))
            for first in range(0, len(change.rows), AT_ONCE):
                self._tell("rows", messages.rows(change.rows[first : first + AT_ONCE]))
            if change.gone:
                self._tell("rows", messages.rows((), gone=change.gone))
            now = self._clock.time()
            if now - self._told_at >= STATE_S:
                self._told_at = now
                self._tell("state", self._state())

    async def _news(self) -> list[Event]:
        """Return the events that were written since the last look; at the first look, the latest ones."""
        await self._source.look()
        journal = self._source.journal
        if self._position is None:
            self._position = max(0, journal.head - LATEST)
            for event in await journal.history(""):
                self._take(event)
        found: list[Event] = []
        while self._position < journal.head:
            some = await journal.log(self._position, AT_ONCE)
            self._position = some[-1][0] if some else journal.head
            found += [event for _, event in some]
        for event in found:
            self._take(event)
        return found

    def _take(self, event: Event) -> None:
        if isinstance(event, AnomalyDetected) and event.kind is AnomalyKind.BLIND:
            self._blind = self._source.redact(event.message)

    async def _changes(self, events: list[Event]) -> Change:
        """Return what changed on the board."""
        now = self._clock.time()
        self._has_news |= bool(events)
        if not events and now - self._surveyed_at < SURVEY_S:
            return self._board.merge(())
        is_whole = self._survey is None or now - self._whole_at >= WHOLE_S
        before, self._surveyed_at = self._survey, now
        after = None if is_whole or before is None else before.mark
        self._survey = await self._source.survey(after, {event.execution_id for event in events})
        if (self._survey is None) != (before is None):
            self._told_at = -1e9  # a monitor that comes or goes is told at once
        if self._survey is not None:
            self._whole_at = now if is_whole else self._whole_at
            if before is None or before.blind_since != self._survey.blind_since:
                self._told_at = -1e9
            self._has_news = False
            return self._board.merge(self._survey.sights, is_whole=is_whole)
        if self._has_news or before is not None or self._read_at < 0:
            if now - self._read_at < RELOAD_S:
                return self._board.merge(())
            self._read_at, self._has_news = now, False
            return self._board.merge(await self._source.written(), is_whole=True)
        return self._board.merge(())

    def _state(self) -> str:
        survey = self._survey
        if survey is None:
            seen = max((row.seen for row in self._board.rows.values() if row.seen is not None), default=None)
        else:
            seen = survey.answered
        return messages.state(
            survey,
            now=self._clock.now().timestamp(),
            seen=seen,
            why=NOBODY if survey is None else "",
            blind=self._blind,
            hidden=self._board.hidden,
        )

    def _events(self, events: Any) -> str:
        return messages.text({"items": [messages.event(one, self._source.redact) for one in events]})

    def _tell(self, kind: str, line: str) -> None:
        for page in tuple(self._pages):
            if page.queue.qsize() >= BACKLOG:
                self._pages.discard(page)
                page.queue.put_nowait(None)
            else:
                page.queue.put_nowait((kind, line))
