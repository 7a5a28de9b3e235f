"""Ledger: opens the journal, takes up what the monitor before knew, writes down what happens, and closes it again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from titan_state.core.events import ActionUnknown
from titan_state.errors import JournalDamagedError, JournalUnavailableError, PayloadError, shorten
from titan_state.monitor.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.tracker import Tracker
    from titan_state.core.tracking.state import State
    from titan_state.journal.base import Journal
    from titan_state.monitor.watches import Watches

logger = logging.getLogger("titan_state.monitor")

POLL_S: Final = 1.0
"""How often the journal is asked whether others have changed it: a dead letter is to be tried again, say."""

UNREADABLE: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    OSError,
    PayloadError,
)
"""What decoding raises on rows that hold anything; dates that no machine has are an OSError on some."""


class Ledger:
    """The journal of a monitor, and what is to be written into it.

    Attributes:
        journal: The journal.
        outbox: What is to be written.
    """

    def __init__(
        self,
        journal: Journal,
        tracker: Tracker,
        watches: Watches,
        clock: Clock,
        *,
        publish: Callable[[Sequence[int], Sequence[Event]], None],
    ) -> None:
        """Make a ledger that is not open.

        Args:
            journal: The journal.
            tracker: Knows the executions.
            watches: Know what is watched.
            clock: The time.
            publish: Told of events that are written down, with their positions.
        """
        self.journal = journal
        self.outbox = Outbox(journal, tracker, watches, clock, publish=publish)
        self._tracker = tracker
        self._watches = watches
        self._clock = clock
        self._writer: asyncio.Task[None] | None = None

    async def open(self, account: str, *, failed: Callable[[Exception], None]) -> list[ActionUnknown]:
        """Open the journal, take up what the monitor before knew, and begin to write.

        Args:
            account: Whose executions these are.
            failed: Told of the error after which nothing can be written any more.

        Returns:
            The control actions that the monitor before may have sent, of which it did not know the outcome.

        Raises:
            JournalError: It cannot be used; the message says what to do.
        """
        await self.journal.open()
        try:
            events = self._taken_up(await self.journal.lead(account))
        except BaseException:
            await self.journal.close()  # what is led goes to another one, now
            raise
        self._writer = asyncio.create_task(self.outbox.run(), name="titan_state outbox")
        self._writer.add_done_callback(lambda task: _report(task, failed))
        return [event for event in events if isinstance(event, ActionUnknown)]

    def _taken_up(self, state: State) -> list[Event]:
        """Take up what the monitor before knew, and return what that leads to."""
        self._tracker.anchor(self._clock.now(), self._clock.time())
        if not self.journal.is_durable:
            return []
        self._tracker.remember_changes()
        self._watches.former = dict(state.lists)
        try:
            events = self._tracker.restore(state, now=self._clock.time())
        except UNREADABLE as error:
            raise JournalDamagedError(
                f"what the journal {self.journal.name} says of executions cannot be taken up "
                f"({type(error).__name__}: {shorten(str(error))}). Keep a copy of it; then begin a new one, or restore "
                "it from a backup"
            ) from error
        self.outbox.put(events)
        return events

    async def follow(self, notify: Callable[[], None]) -> None:
        """Call `notify` whenever others have changed something in the journal, until cancelled."""
        while self.journal.is_durable:
            await self._clock.sleep(POLL_S)
            try:
                if await self.journal.poll():
                    notify()
            except JournalUnavailableError as error:
                logger.debug("the journal could not be asked for news: %s", error)

    async def close(self) -> None:
        """Write down what is left, if that can be done now, and close the journal."""
        self.outbox.leave()
        try:
            if self._writer is not None:
                await asyncio.wait((self._writer,))
        finally:
            await self.journal.close()


def _report(task: asyncio.Task[None], failed: Callable[[Exception], None]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Exception):
        failed(error)
