"""The hub: looks for what is new while somebody watches, and hands it to every page that is open.

While no page is open, nothing is looked for. Where news comes from is said in `news.py` and `views.py`, what messages
look like in `messages.py`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from math import inf
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.dashboard import messages
from titan_state.dashboard.news import News
from titan_state.dashboard.views import Views
from titan_state.errors import TitanStateError, shorten

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.tracking.sights import Sight
    from titan_state.dashboard.sources import Source

logger = logging.getLogger("titan_state.dashboard")

TICK_S: Final = 0.1
"""How often the journal is looked at for news."""

STATE_S: Final = 2.0
"""How often it is told, at least, how the monitor fares; also that the dashboard is there."""

MOST_EVENTS: Final = 200
"""How many events a page is told at once: of more, the latest."""

AT_ONCE: Final = 1000
"""How many rows a message holds."""

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
        self._clock = clock
        self._source = source
        self._run_id = secrets.token_hex(8)
        self._pages: set[Page] = set()
        self._opened = asyncio.Event()
        self._turn = asyncio.Lock()
        self._news = News(source)
        self._views = Views(source, clock)
        self._told_at = -inf
        self._trouble = ""

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
            sights = tuple(self._views.board.rows.values())
            events = tuple(self._news.latest)
            first_state = self._state()
            yield "hello", messages.text(messages.hello(self._source, self._run_id, self._views.watched))
            for first in range(0, max(1, len(sights)), AT_ONCE):
                chunk = sights[first : first + AT_ONCE]
                yield "rows", messages.rows(chunk, reset=first == 0, more=first + AT_ONCE < len(sights))
            yield "events", self._events(events)
            yield "state", first_state
            while (message := await page.queue.get()) is not None:
                yield message
        finally:
            self._pages.discard(page)

    def as_of(self) -> datetime:
        """Return until when what is shown is true; now, where that is not known."""
        now = self._clock.now()
        return self._views.as_of(now) if self._pages else now

    def sight(self, execution_id: str) -> Sight | None:
        """Return what the board shows of an execution."""
        return self._views.board.rows.get(execution_id)

    async def _refresh(self) -> None:
        """Look for what is new, and tell the pages of it: what can be seen, also where something cannot."""
        async with self._turn:
            trouble = ""
            for look in (self._look_for_events, self._look_for_changes, self._tell_state):
                try:
                    await look()
                except TitanStateError as error:  # a journal that is busy, say: the next look may do better
                    trouble = self._source.redact(str(error))
                except Exception as error:  # noqa: BLE001 - a mistake of our own must not end the page for good
                    trouble = self._source.redact(f"the dashboard made a mistake: {error!r}")
            if trouble and trouble != self._trouble:
                logger.warning(
                    "the dashboard could not look for everything, and goes on trying; pages may show what is old: %s",
                    shorten(trouble, 400),
                )
            self._trouble = trouble

    async def _look_for_events(self) -> None:
        async for events in self._news.batches():
            self._views.concern(events)
            self._tell("events", self._events(events[-MOST_EVENTS:], events[:-MOST_EVENTS]))
        if self._news.has_skipped:
            self._news.has_skipped = False
            self._views.compare()

    async def _look_for_changes(self) -> None:
        change = await self._views.look()
        for first in range(0, len(change.rows), AT_ONCE):
            self._tell("rows", messages.rows(change.rows[first : first + AT_ONCE]))
        if change.gone:
            self._tell("rows", messages.rows((), gone=change.gone))

    async def _tell_state(self) -> None:
        now = self._clock.time()
        if now - self._told_at >= STATE_S or self._views.is_urgent:
            self._told_at, self._views.is_urgent = now, False
            self._tell("state", self._state())

    def _state(self) -> str:
        views = self._views
        return messages.state(
            views.survey,
            now=self._clock.now().timestamp(),
            seen=views.seen,
            why=views.why,
            blind=self._news.blind,
            hidden=views.hidden,
        )

    def _events(self, events: Sequence[Event], skipped: Sequence[Event] = ()) -> str:
        """Return events as a message, with the executions of those that are not told one by one."""
        items = [messages.event(one, self._source.redact) for one in events]
        return messages.text({"items": items, "skipped": sorted({one.execution_id for one in skipped})})

    def _tell(self, kind: str, line: str) -> None:
        for page in tuple(self._pages):
            if page.queue.qsize() >= BACKLOG:
                self._pages.discard(page)
                page.queue.put_nowait(None)
            else:
                page.queue.put_nowait((kind, line))
