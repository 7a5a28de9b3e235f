"""Upkeep: what keeps a stream in order, which the monitor that leads does every hour, or a person by hand."""

from __future__ import annotations

import logging
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from titan_state.core.tracking.state import ENDED, FINAL, IN_FULL, KEPT, SEQ
from titan_state.errors import JournalDamagedError, PayloadError, shorten
from titan_state.journal.nats.consumers import all_of
from titan_state.journal.nats.link import NO_MESSAGE
from titan_state.journal.nats.messages import row_read

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from titan_state.core.events import Event
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.reading import Reader, Stored
    from titan_state.journal.nats.roster import Roster

logger = logging.getLogger("titan_state.journal")

MOST_FINISHED: Final = 200_000
"""How many executions are remembered that have finished, or that nobody watches any more."""

NAMED: Final = 20
"""How many faults of one kind are named."""

PURGE_S: Final = 60.0
"""How long dropping events may take."""


class Upkeep:
    """Drops what is beyond the limits of a stream, and looks whether it is in order."""

    def __init__(self, link: Link, layout: Layout, reader: Reader, roster: Roster) -> None:
        self._link = link
        self._layout = layout
        self._reader = reader
        self._roster = roster

    async def first_since(self, at: datetime) -> int:
        """Return a position before which all events were noticed before a time, and from which on none was.

        Events are taken as written in the order of their times, as a monitor writes them.
        """
        events = self._layout.events()
        last = await self._reader.last(events)
        low, high = 1, 1 if last is None else last.position + 1
        while low < high:  # every event before `low` is earlier, the first one from `high` on is not
            middle = (low + high) // 2
            found = await self._first_readable(events, middle)
            if found is None or found[0] >= high:
                high = middle
            elif found[1].at < at:
                low = found[0] + 1
            else:
                high = middle
        return low

    async def _first_readable(self, subject: str, position: int) -> tuple[int, Event] | None:
        """Return the first event from a position on; what cannot be read is passed over."""
        after = position - 1
        while (stored := await self._reader.first(subject, after=after)) is not None:
            try:
                return stored.position, self._reader.event(stored)
            except JournalDamagedError:
                after = stored.position
        return None

    async def prune(self, before: datetime, most: int | None = None) -> int:
        """Drop events from before a date, or beyond a number of them, that every subscription has had.

        Args:
            before: The date.
            most: How many of the newest are to be kept, whatever their date.

        Returns:
            How many were dropped.
        """
        until = await self.first_since(before)
        if most is not None:
            until = max(until, await self._first_of(most))
        floor = await self._roster.floor()
        if floor is not None:
            until = min(until, floor + 1)
        oldest = await self._reader.first(self._layout.events())
        if oldest is None or oldest.position >= until:
            return 0  # not even asked for: a purge that drops nothing delays what is to be delivered again
        told = await self._ask("PURGE", {"filter": self._layout.events(), "seq": until}, "drop events")
        return int(told.get("purged", 0))

    async def _first_of(self, most: int) -> int:
        """Return the position of the first of so many of the newest events."""
        events = self._layout.events()
        last = await self._reader.last(events)
        low, high = 0, 0 if last is None else last.position
        while low < high:  # after `high` there are no more than `most`
            middle = (low + high) // 2
            if await self._reader.count(events, after=middle) > most:
                low = middle + 1
            else:
                high = middle
        return low + 1

    async def forget_finished(self, raise_floor: Callable[[int, float], Awaitable[None]]) -> int:
        """Drop the records of those executions that were finished first; return how many.

        Args:
            raise_floor: Writes down the highest number of their events, and when the last of them ended.
        """
        if await self._reader.count(self._layout.records) <= MOST_FINISHED:
            return 0
        finished: list[tuple[int, int, float | None]] = []
        async with aclosing(self._reader.scan(self._layout.records)) as found:
            async for stored in found:
                row = row_read(stored.data)
                if row[0] and (row[KEPT] != IN_FULL or row[FINAL] is not None):
                    finished.append((stored.position, row[SEQ], row[ENDED]))
        gone = finished[: max(0, len(finished) - MOST_FINISHED)]
        if gone:
            floor = max(seq for _, seq, _ in gone)
            await raise_floor(floor, max((ended for _, _, ended in gone if ended is not None), default=-inf))
        # One that was written anew meanwhile is at another place.
        await all_of(
            partial(self._ask, "MSG.DELETE", {"seq": position, "no_erase": True}, "forget an execution")
            for position, _, _ in gone
        )
        return len(gone)

    async def _ask(self, what: str, asked: dict[str, Any], doing: str) -> dict[str, Any]:
        place = f"STREAM.{what}.{self._layout.stream}"
        return await self._link.api(place, asked, passes=NO_MESSAGE, timeout_s=PURGE_S, doing=doing)

    async def verify(self) -> list[str]:
        """Return what is not in order, in words."""
        faults = _Faults()
        seqs: dict[str, int] = {}
        epoch = 0
        async with aclosing(self._events()) as events:
            async for stored in events:
                try:
                    event = self._reader.event(stored)
                except JournalDamagedError as error:
                    faults.add("event", str(error))
                    continue
                name, seq = event.execution_id, event.seq
                known = seqs.get(name)
                if known is not None and seq != known + 1:
                    faults.add("gap", f"{shorten(name) or 'the monitor'} goes from number {known} to {seq}")
                seqs[name] = seq
                own = _number(stored.headers.get("Titan-Epoch", ""))
                if own < epoch:
                    faults.add("epoch", f"the event at position {stored.position} is of epoch {own}, after {epoch}")
                epoch = max(epoch, own)
        await self._verify_records(seqs, faults)
        return faults.lines()

    def _events(self) -> AsyncGenerator[Stored]:
        return self._reader.scan(self._layout.events())

    async def _verify_records(self, seqs: dict[str, int], faults: _Faults) -> None:
        async with aclosing(self._reader.scan(self._layout.records)) as records:
            async for stored in records:
                try:
                    row = row_read(stored.data)
                except PayloadError as error:
                    faults.add("record", f"the record at position {stored.position} cannot be read: {error}")
                    continue
                last = seqs.get(row[0], 0)
                if row[SEQ] < last:
                    faults.add(
                        "older",
                        f"the state of {shorten(row[0]) or 'the monitor'} is older than its events "
                        f"({row[SEQ]} against {last})",
                    )


class _Faults:
    """What is not in order: of each kind, the first are named and the others counted."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._counts: dict[str, int] = {}

    def add(self, kind: str, line: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= NAMED:
            self._lines.append(line)

    def lines(self) -> list[str]:
        more = {kind: count - NAMED for kind, count in self._counts.items() if count > NAMED}
        return [*self._lines, *(f"{count} more faults of that kind ({kind})" for kind, count in more.items())]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def days_ago(age_s: float, now: datetime) -> datetime:
    """Return the date before which something is older than so many seconds."""
    try:
        return now - timedelta(seconds=age_s)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
