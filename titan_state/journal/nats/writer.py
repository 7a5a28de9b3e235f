"""Writer: what the monitor that leads an account writes, in batches of which each expects the one before.

So nothing is written by a monitor that has been replaced, and nothing twice, although the answer to a batch may be lost
and the batch may arrive late: what became of it shows in the head that the next one finds.
"""

from __future__ import annotations

import secrets
from contextlib import aclosing
from math import inf
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.core.tracking.state import State
from titan_state.errors import JournalDamagedError, JournalUnavailableError, LeadershipLostError, PayloadError, shorten
from titan_state.journal.nats import batch
from titan_state.journal.nats.link import WrongSequenceError
from titan_state.journal.nats.messages import (
    Head,
    event_written,
    list_read,
    list_written,
    row_read,
    row_written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from titan_state.core.events import Event
    from titan_state.core.tracking.retention import Baseline
    from titan_state.core.tracking.state import Row
    from titan_state.journal.base import Commit
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.reading import Reader

LARGEST_COMMIT: Final = batch.MOST - 1
"""How many events, records and lists one batch holds beside its head."""

MOST_BYTES: Final = 32 * 1024 * 1024
"""How many bytes a batch has at most, about."""

SHARE: Final = 8
"""Which part of the bytes that are left one message of a batch has at most."""

HEADERS: Final = 1024
"""How many bytes of a message are left to its headers."""

TRIES: Final = 5
"""How often the state is read again from a replica that has not heard of the newest message yet."""


@attrs.frozen
class Doubt:
    """A batch of which it is not known whether it was, or will be, written.

    Attributes:
        mark: The mark of its head.
        events: The ids of its events, in order.
    """

    mark: str
    events: Sequence[str]


class Writer:
    """Writes the stream of an account, for as long as nobody else does.

    Attributes:
        head: The position of the last event.
        epoch: How often the account has been taken over.
    """

    def __init__(self, link: Link, layout: Layout, reader: Reader, holder: str) -> None:
        self.head = 0
        self.epoch = 0
        self._link = link
        self._layout = layout
        self._reader = reader
        self._holder = holder
        self._last = 0  # the sequence of the head that the next batch expects
        self._floor = 0
        self._horizon = -inf
        self._doubts: list[Doubt] = []
        self._found: dict[str, int] = {}  # events that were written without an answer, until they are appended again

    async def take_over(self) -> bool:
        """Begin an epoch: from now on nobody who led before can write. Return whether somebody has.

        Raises:
            LeadershipLostError: Somebody else began one in the same moment.
        """
        known = await self._read_head()
        if known is None:
            self._last, before = 0, None
        else:
            self._last, before = known
            self._floor, self._horizon = before.floor, before.horizon
        self.epoch = 1 if before is None else before.epoch + 1
        head = self._next_head()
        try:
            self._last = await self._link.put(
                self._layout.head, head.written(), expected=self._last, doing="take the account over"
            )
        except WrongSequenceError as error:
            raise LeadershipLostError(f"another monitor took over {shorten(self._layout.account)} first") from error
        last = await self._reader.last(self._layout.events())
        self.head = 0 if last is None else last.position
        return before is not None

    async def restore(self) -> State:
        """Return what is known, as of the beginning of the epoch.

        Raises:
            JournalDamagedError: It cannot be read.
        """
        for _ in range(TRIES):
            records: list[Row] = []
            lists: dict[str | None, Baseline] = {}
            async with aclosing(self._reader.scan(self._layout.state)) as found:
                async for stored in found:
                    if stored.position >= self._last:  # the head: everything else is older
                        return State(records, lists, self._floor, self._horizon)
                    kind = stored.subject.split(".")[3]
                    try:
                        if kind == "record":
                            records.append(row_read(stored.data))
                        elif kind == "list":
                            task_id, baseline = list_read(stored.data)
                            if baseline is not None:
                                lists[task_id] = baseline
                    except PayloadError as error:
                        raise JournalDamagedError(
                            f"the message at position {stored.position} of the stream {self._layout.stream} cannot be "
                            f"read: {error}; keep a copy (nats stream backup) before you remove it"
                        ) from error
            await self._link.clock.sleep(0.5)
        raise JournalUnavailableError(f"what is known could not be read from {self._link.name}: a replica is behind")

    async def still_ours(self) -> bool:
        """Return whether nobody else has taken over."""
        known = await self._read_head()
        return known is not None and known[1].epoch == self.epoch

    async def append(self, commit: Commit) -> Sequence[int]:
        """Write a commit; see `titan_state.journal.base.Journal.append`."""
        while True:
            events = [event for event in commit.events if event.id not in self._found]
            self._floor, self._horizon = max(self._floor, commit.floor), max(self._horizon, commit.horizon)
            head = self._next_head()
            doubt = Doubt(head.mark, self._ids(events))
            self._doubts.append(doubt)  # first: this may be cancelled, too
            try:
                messages = self._messages(head, events, commit)
                count = 1 + len(events) + len(commit.records) + len(commit.lists)
                first = await batch.send(self._link, messages, count, self._last)
            except batch.DoubtfulError:
                raise
            except JournalUnavailableError:
                self._doubts.remove(doubt)
                raise
            except WrongSequenceError:
                await self._find_out()
                continue
            self._doubts.clear()
            self._last = first
            places = {event.id: first + place for place, event in enumerate(events, start=1)}
            positions = [places.get(event.id) or self._found.pop(event.id) for event in commit.events]
            self.head = max([self.head, *positions])
            return positions

    def _ids(self, events: Sequence[Event]) -> Sequence[str]:
        """Return the ids of events; the same object as of the last doubt, if they are the same."""
        ids = [event.id for event in events]
        return self._doubts[-1].events if self._doubts and self._doubts[-1].events == ids else ids

    async def _find_out(self) -> None:
        """Take in which of the doubtful batches was written after all.

        Raises:
            LeadershipLostError: It is another monitor that has written.
        """
        known = await self._read_head()
        if known is not None:
            position, head = known
            for doubt in self._doubts:
                if doubt.mark == head.mark:
                    self._doubts.clear()
                    self._last = position
                    self._found |= {event_id: position + place for place, event_id in enumerate(doubt.events, start=1)}
                    return
        who = "another monitor" if known is None else known[1].holder
        raise LeadershipLostError(f"{shorten(who)} leads {shorten(self._layout.account)} now: nothing more is written")

    async def _read_head(self) -> tuple[int, Head] | None:
        stored = await self._reader.last(self._layout.head)
        if stored is None:
            return None
        try:
            return stored.position, Head.read(stored.data)
        except PayloadError as error:
            raise JournalDamagedError(
                f"the head of the stream {self._layout.stream} cannot be read: {error}"
            ) from error

    def _next_head(self) -> Head:
        return Head(
            epoch=self.epoch,
            mark=secrets.token_hex(8),
            holder=self._holder,
            floor=self._floor,
            horizon=self._horizon,
        )

    def _messages(self, head: Head, events: Sequence[Event], commit: Commit) -> Iterator[batch.Message]:
        """Hand out the messages of a batch, as they are made: the server takes the first while others are made.

        A single one has no more than a part of the bytes that are left, so that all together have no more than there
        are, and what is small is not cut for what is large.
        """
        layout, left = self._layout, MOST_BYTES
        largest = self._link.nc.max_payload - HEADERS
        yield batch.Message(layout.head, head.written())
        for event in events:
            payload = event_written(event, min(largest, left // SHARE))
            left -= len(payload)
            yield batch.Message(layout.event(event.execution_id), payload, replaces=False, epoch=head.epoch)
        for row in commit.records:
            payload = row_written(row, min(largest, left // SHARE))
            left -= len(payload)
            yield batch.Message(layout.record(row[0]), payload)
        for task_id, baseline in commit.lists.items():
            yield batch.Message(layout.list(task_id), list_written(task_id, baseline))
