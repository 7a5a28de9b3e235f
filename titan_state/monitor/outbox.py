"""Outbox: writes down what happened, with what is known after it, before anybody is told.

Whatever came up while the journal was busy goes into one commit. What cannot be written waits here and is written
later; when too much waits, nothing further is observed, since it will be seen again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from titan_state.clock import within
from titan_state.core.redaction import redacted_event
from titan_state.errors import JournalUnavailableError
from titan_state.journal.base import Commit
from titan_state.monitor.parcels import Parcel, parcel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.tracker import Tracker
    from titan_state.core.tracking.retention import Baseline
    from titan_state.core.tracking.state import Row
    from titan_state.journal.base import Journal
    from titan_state.monitor.watches import Watches

logger = logging.getLogger("titan_state.monitor")

MOST: Final = 10_000
"""How many events may wait to be written; when there are more, reading waits."""

FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0
LONGEST_RETRY_SHARED_S: Final = 2.0
"""How soon it is tried again to write: doubled from the first to the longest. A journal that is shared is soon there
again after a network was away, and asking it costs next to nothing."""


class Outbox:
    """Takes events in order, and passes them on once they are written down.

    Attributes:
        trouble: Why nothing can be written at present, None if it can.
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
        """Make an outbox that writes nothing yet.

        Args:
            journal: Where it is written down.
            tracker: Knows what has changed.
            watches: Know which baselines have changed.
            clock: The time.
            publish: Told of events that are written down, with their positions.
        """
        self._journal = journal
        self._tracker = tracker
        self._watches = watches
        self._clock = clock
        self._publish = publish
        self._events: list[Event] = []
        self._rows: dict[str, Row] = {}
        self._lists: dict[str | None, Baseline | None] = {}
        self._put = 0
        self._written = 0
        self._waiters: list[tuple[int, bool, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._is_leaving = False
        self._again = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: Exception | None = None
        self.trouble: str | None = None

    @property
    def waiting(self) -> int:
        """How many events wait to be written."""
        return len(self._events)

    @property
    def oldest(self) -> datetime | None:
        """When the first event was noticed of those that wait to be written; None if none waits."""
        return self._events[0].at if self._events else None

    @property
    def is_full(self) -> bool:
        """Whether nothing further is to be observed at present."""
        return len(self._events) >= MOST

    def put(self, events: Sequence[Event] = ()) -> None:
        """Have events written down, and whatever else has changed."""
        if self._journal.is_durable:
            if not (events or self._tracker.has_changes or self._watches.changed):
                return
            self._events += [redacted_event(event) for event in events]
        elif events:
            self._events += events
        else:
            return
        self._put += 1
        self._wake.set()

    async def committed(self, *, patiently: bool = True) -> None:
        """Return when everything that was put so far is written down.

        Args:
            patiently: Whether to wait until it can be written, if it cannot be at present.

        Raises:
            JournalUnavailableError: It cannot be written at present; it is tried again, though.
            JournalError: Nothing can be written any more.
        """
        if self._written >= self._put:
            return
        if self._failure is not None:
            raise self._failure
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._put, patiently, future))
        if not patiently:
            self._again.set()  # somebody waits to hear whether it can be written now
        await future

    async def until_room(self) -> None:
        """Return when there is room for further events."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    async def run(self) -> None:
        """Write until the end is asked for, and then what is left.

        Raises:
            JournalError: Nothing can be written any more.
        """
        try:
            while True:
                if self._written < self._put:
                    await self._write()
                if self._is_leaving:
                    return
                await self._wake.wait()
                self._wake.clear()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._failure = self._failure or JournalUnavailableError(
                "what happened last could not be written down when the monitor was left: it is found again"
            )
            self._tell(self._put, self._failure)

    def leave(self) -> None:
        """End `run` after one more attempt to write what is left."""
        self._is_leaving = True
        self._again.set()
        self._wake.set()

    async def _write(self) -> None:
        """Write what is there, and what comes up until it can be written."""
        delay_s, longest_s = FIRST_RETRY_S, LONGEST_RETRY_SHARED_S if self._journal.is_shared else LONGEST_RETRY_S
        while True:
            self._again.clear()
            count = self._put
            part, commit = self._commit()
            try:
                positions = await self._journal.append(commit)
            except JournalUnavailableError as error:
                if self._is_leaving:
                    logger.error(  # noqa: TRY400 - where in our code that was tells nobody anything
                        "%d events could not be written to the journal; they are found again at the next start: %s",
                        len(self._events),
                        error,
                    )
                    self._failure = error
                    return
                self.trouble = str(error)
                if delay_s == FIRST_RETRY_S:
                    logger.error("events wait to be written to the journal, which is tried again: %s", error)  # noqa: TRY400 - no traceback, as above
                self._tell(count, error, impatient_only=True)
                try:
                    await within(self._clock, delay_s, self._again.wait())
                except TimeoutError:
                    delay_s = min(2 * delay_s, longest_s)
            else:
                if delay_s > FIRST_RETRY_S:
                    logger.warning("events are written to the journal again")
                delay_s = FIRST_RETRY_S
                self.trouble = None
                is_all = self._strike_out(part, commit)
                self._publish(positions, commit.events)
                self._room.set()
                if is_all:
                    self._written = count
                    self._tell(count, None)
                    return

    def _strike_out(self, part: Parcel, commit: Commit) -> bool:
        """Keep no longer what is written; return whether that was everything that was there when it was chosen."""
        is_all = len(part.chosen) == part.waiting
        if is_all:
            del self._events[: len(commit.events)]
        else:
            gone = set(part.chosen)
            self._events = [event for place, event in enumerate(self._events) if place not in gone]
        for row in commit.records:
            if self._rows.get(row[0]) is row:
                del self._rows[row[0]]
        for key in commit.lists:
            self._lists.pop(key, None)
        return is_all and not self._rows and not self._lists

    def _commit(self) -> tuple[Parcel, Commit]:
        """Return what is to be written next, and how it was chosen."""
        if not self._journal.is_durable:
            events = tuple(self._events)
            return Parcel(range(len(events)), (), {}, len(events)), Commit(events=events)
        changes = self._tracker.take_changes()
        self._rows |= {row[0]: row for row in changes.records}
        self._lists |= self._watches.take_changes()
        part = parcel(self._events, self._rows, self._lists, self._journal.largest_commit)
        return part, Commit(
            events=tuple(self._events[place] for place in part.chosen),
            records=tuple(part.records),
            lists=part.lists,
            floor=changes.floor,
            horizon=changes.horizon,
        )

    def _tell(self, count: int, error: Exception | None, *, impatient_only: bool = False) -> None:
        """Wake those who wait for what was put up to a count."""
        left = []
        for number, patiently, future in self._waiters:
            if number > count or (impatient_only and patiently):
                left.append((number, patiently, future))
            elif not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
        self._waiters = left
