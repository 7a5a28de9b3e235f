"""A dispatcher of a journal in memory, for tests of deliveries: events are appended and announced as in a monitor."""

from __future__ import annotations

from collections.abc import Sequence

from titan_state import Handlers
from titan_state.core.events import Event
from titan_state.core.lifecycle import DEFAULT_TERMINAL
from titan_state.journal.base import Commit, Journal
from titan_state.journal.memory import MemoryJournal
from titan_state.monitor.delivery.dispatcher import Dispatcher
from titan_state.testing import ManualClock


class Desk(Dispatcher):
    """A dispatcher that has begun when the first event comes."""

    def __init__(self, handlers: Handlers, clock: ManualClock, journal: Journal | None = None) -> None:
        self.journal = journal or MemoryJournal(clock)
        self.errors: list[Exception] = []
        super().__init__(handlers, frozenset(DEFAULT_TERMINAL), clock, self.journal, failed=self.errors.append)

    async def deliver(self, events: Sequence[Event]) -> None:
        self.begin()
        self.notify(await self.journal.append(Commit(events=events)), events)
