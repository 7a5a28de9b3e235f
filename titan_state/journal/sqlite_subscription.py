"""A subscription of a SQLite journal: hands out what was not dealt with, and writes down what became of it.

What becomes of deliveries at about the same time is written in one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.clock import within
from titan_state.errors import JournalError, JournalUnavailableError, shorten
from titan_state.journal.base import Delivery
from titan_state.journal.progress import Progress
from titan_state.journal.store import AGAIN, DEAD, DONE, OPEN
from titan_state.journal.tables import Exceptional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.journal.sqlite import SqliteJournal
    from titan_state.journal.tables import Tables

logger = logging.getLogger("titan_state.journal")

CHUNK: Final = 500
"""How many events are read from the file at once."""

MOST_UNFINISHED: Final = 2000
"""When more deliveries than this wait for the cursor, the oldest unfinished ones are written down one by one."""

FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0
"""How soon it is tried again to write: doubled from the first to the longest."""


@attrs.frozen
class Outcome:
    """What became of a delivery.

    Attributes:
        position: Which one.
        known: What is to be known of it, None if it succeeded.
        written: Done when it is written down.
    """

    position: int
    known: Exceptional | None
    written: asyncio.Future[None]


class SqliteSubscription:
    """What one handler has had of the log. See `titan_state.journal.base.Subscription`."""

    def __init__(
        self,
        journal: SqliteJournal,
        tables: Tables,
        name: str,
        wants: Callable[[Event], bool],
        cursor: int,
        exceptions: Sequence[Exceptional],
        clock: Clock,
    ) -> None:
        """Make a subscription that is held already.

        Args:
            journal: The journal.
            tables: Its tables.
            name: The name of the subscription.
            wants: Which events it is for.
            cursor: How far it has come.
            exceptions: What is known of single deliveries beside that.
            clock: The time.
        """
        self.name = name
        self._journal = journal
        self._tables = tables
        self._wants = wants
        self._clock = clock
        self._done = {one.position for one in exceptions if one.state == DONE}
        self._progress = Progress(cursor, (one.position for one in exceptions))
        self._known = {one.position: one for one in exceptions if one.state in (OPEN, AGAIN)}
        self._first = [one for one in self._known.values() if one.position <= cursor or one.state == AGAIN]
        first = {one.position for one in self._first}
        self._later = {position: one for position, one in self._known.items() if position not in first}
        self._looks_again = False
        self._outcomes: list[Outcome] = []
        self._writer: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    @property
    def cursor(self) -> int:
        """Everything at or before this position was dealt with, or is written down by itself."""
        return self._progress.advance()

    def look_again(self) -> None:
        """Look for dead letters that are to be tried again, before anything else is handed out."""
        self._looks_again = True

    async def fetch(self, limit: int) -> list[Delivery]:
        """Return deliveries that were not handed out yet, the unfinished ones of another program first."""
        if self._looks_again:
            self._looks_again = False
            for one in await self._journal.do(self._tables.exceptions, self.name):
                if one.state == AGAIN and one.position not in self._known:
                    self._known[one.position] = one
                    self._first.append(one)
        found: list[Delivery] = []
        while self._first and len(found) < limit:
            some, self._first = self._first[: limit - len(found)], self._first[limit - len(found) :]
            found += await self._unfinished(some)
        while len(found) < limit and self._progress.read < self._journal.head:
            found += await self._new(limit - len(found))
        return found

    async def _unfinished(self, some: Sequence[Exceptional]) -> list[Delivery]:
        """Return deliveries that are written down by themselves; what is not wanted any more is forgotten."""
        events = dict(await self._journal.do(self._tables.events_at, [one.position for one in some]))
        found = []
        for one in some:
            event = events.get(one.position)
            if event is None or not self._wants(event):
                self._write(one.position, None)
                continue
            found.append(_delivery(one, event))
        return found

    async def _new(self, limit: int) -> list[Delivery]:
        """Return deliveries of the log, after what was looked at."""
        after, head = self._progress.read, self._journal.head
        events = self._journal.tail(after, CHUNK)
        if events is None:
            events = await self._journal.do(self._tables.log, after, CHUNK)
        found: list[Delivery] = []
        for position, event in events:
            if len(found) >= limit:
                return found
            known = self._later.pop(position, None)
            if known is None and self._wants(event) and not self._progress.is_done(position):
                self._progress.handed_out(position)
                found.append(Delivery(position=position, event=event))
                continue
            self._progress.looked(position)
            if known is not None and self._wants(event):
                found.append(_delivery(known, event))
            elif known is not None:
                self._write(position, None)
        if len(events) < CHUNK:
            self._progress.looked(head)  # what is not there was pruned
        if len(self._progress) > MOST_UNFINISHED:
            self._write_oldest()
        return found

    def _write_oldest(self) -> None:
        position = self._progress.oldest()
        if position is not None and position not in self._known:
            self._write(position, Exceptional(position, OPEN))

    async def fetch_of(self, execution_id: str, *, after: int, limit: int) -> list[Delivery]:
        """Return unfinished deliveries of one execution again, after a position."""
        found: list[Delivery] = []
        until = max(self._progress.read, *self._known, 0)
        while len(found) < limit:
            events = await self._journal.do(self._tables.log_of, execution_id, after, until, CHUNK)
            found += [
                Delivery(position=position, event=event)
                for position, event in events
                if self._is_unfinished(position) and self._wants(event)
            ]
            if len(events) < CHUNK:
                break
            after = events[-1][0]
        return found[:limit]

    def _is_unfinished(self, position: int) -> bool:
        """Return whether the event at a position was handed out, and not dealt with since."""
        if position in self._known:
            return position not in self._later and all(one.position != position for one in self._first)
        return position <= self._progress.read and not self._progress.is_done(position)

    async def acknowledge(self, delivery: Delivery) -> None:
        """Take down that a delivery succeeded."""
        await self._write(delivery.position, None)

    async def retry(self, delivery: Delivery, *, due: datetime, error: str) -> None:
        """Take down that a delivery failed and is to be tried again."""
        attempts = delivery.attempts + 1
        state = AGAIN if delivery.is_out_of_order else OPEN
        known = Exceptional(delivery.position, state, attempts, due.timestamp(), error)
        await self._write(delivery.position, known)

    async def set_aside(self, delivery: Delivery, *, error: str) -> None:
        """Take down that a delivery is given up."""
        await self._write(delivery.position, Exceptional(delivery.position, DEAD, delivery.attempts + 1, error=error))

    def _write(self, position: int, known: Exceptional | None) -> asyncio.Future[None]:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outcomes.append(Outcome(position, known, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name=f"titan_state journal {self.name}")
        return written

    async def _write_all(self) -> None:
        """Write down outcomes until there are none left; what cannot be written at present is tried again."""
        await asyncio.sleep(0)  # what comes in the same moment goes into the same transaction
        while self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            try:
                await self._insist(*self._account(outcomes))
            except JournalError as error:
                for outcome in outcomes:
                    if not outcome.written.done():
                        outcome.written.set_exception(error)
                        outcome.written.exception()  # it may be that nobody waits
            else:
                for outcome in outcomes:
                    if not outcome.written.done():
                        outcome.written.set_result(None)

    def _account(self, outcomes: Sequence[Outcome]) -> tuple[int, list[Exceptional], list[int]]:
        """Return the cursor, what is to be known of single deliveries, and of which nothing is any more."""
        progress = self._progress
        finished: list[tuple[int, bool]] = []
        exceptions: dict[int, Exceptional] = {}
        ended: list[int] = []
        for outcome in outcomes:
            position, known = outcome.position, outcome.known
            was_known = self._known.pop(position, None)
            if was_known is None:
                progress.dealt_with(position)
            if known is not None:
                exceptions[position] = known
                if known.state != DEAD:
                    self._known[position] = known
            else:
                exceptions.pop(position, None)
                finished.append((position, was_known is not None))
        cursor = progress.advance()
        for position, is_written in finished:
            if position > cursor:
                self._done.add(position)
                exceptions[position] = Exceptional(position, DONE)
            elif is_written:
                ended.append(position)
        passed = {position for position in self._done if position <= cursor}
        self._done -= passed
        return cursor, list(exceptions.values()), [*ended, *passed]

    async def _insist(self, cursor: int, exceptions: list[Exceptional], ended: list[int]) -> None:
        delay_s = FIRST_RETRY_S
        while True:
            try:
                await self._journal.do(self._tables.settle, self.name, cursor, exceptions, ended, self._journal.now())
            except JournalUnavailableError as error:
                if self._leaving.is_set():
                    raise
                if delay_s == FIRST_RETRY_S:
                    logger.warning(
                        "what became of deliveries to %s cannot be written down, which is tried again: %s",
                        shorten(self.name),
                        error,
                    )
                try:
                    await within(self._clock, delay_s, self._leaving.wait())
                except TimeoutError:
                    delay_s = min(2 * delay_s, LONGEST_RETRY_S)
            else:
                return

    async def close(self) -> None:
        """Let another program have it; what cannot be written down now is delivered again."""
        self._leaving.set()
        if self._writer is not None:
            await asyncio.wait((self._writer,))
        self._journal.closed(self.name)
        try:
            await self._journal.do(self._tables.beat, [(self.name, self.cursor)], self._journal.now(), None)
        except JournalUnavailableError as error:
            logger.warning(
                "it could not be written down how far %s has come, so that events may be delivered to it again: %s",
                shorten(self.name),
                error,
            )


def _delivery(known: Exceptional, event: Event) -> Delivery:
    """Return the delivery of which something is known from before."""
    is_again = known.state == AGAIN
    return Delivery(
        position=known.position,
        event=event,
        attempts=0 if is_again else known.attempts,
        due=None if is_again or known.due is None else datetime.fromtimestamp(known.due, UTC),
        is_out_of_order=is_again,
    )
