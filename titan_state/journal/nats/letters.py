"""Letters: deliveries that did not succeed so far, as messages of the stream.

Each holds its whole event, so that the log may be pruned: one that is to be tried again, one that was given up, or one
that was given up and is delivered once more.
"""

from __future__ import annotations

import json
import logging
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.errors import PayloadError, shorten
from titan_state.journal.base import Letter
from titan_state.journal.nats.consumers import all_of
from titan_state.journal.nats.link import NO_MESSAGE, WrongSequenceError
from titan_state.journal.nats.messages import event_read, event_written

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.reading import Reader, Stored

logger = logging.getLogger("titan_state.journal")

OPEN, DEAD, AGAIN = "open", "dead", "again"
"""What may be known of a delivery that failed: that it is to be tried again, that it was given up, or that it was and
is tried again because somebody said so."""

MOST_DEAD: Final = 10_000
"""How many dead letters of one subscription are kept."""

HEADROOM: Final = 1024
"""How many bytes of the longest message that a server takes are left for headers."""


@attrs.frozen(kw_only=True)
class Kept:
    """A letter, as it is written down.

    Attributes:
        subscription: The name of the subscription.
        position: The position of the event.
        state: `OPEN`, `DEAD` or `AGAIN`.
        attempts: How often it was tried.
        error: What went wrong the last time.
        at: When that was.
        due: When it is to be tried again; None for at once, or never.
        event: The event as a payload; nothing where the letter would be too long: it is in the log only then.
        sequence: The position of the letter itself; 0 before it was written.
    """

    subscription: str
    position: int
    state: str
    attempts: int
    error: str
    at: datetime
    due: datetime | None
    event: bytes = attrs.field(repr=False)
    sequence: int = 0

    def written(self) -> bytes:
        """Return it as a payload: what is known on the first line, and the event after it."""
        told = {
            "subscription": self.subscription,
            "position": self.position,
            "state": self.state,
            "attempts": self.attempts,
            "error": self.error,
            "at": self.at.timestamp(),
            "due": None if self.due is None else self.due.timestamp(),
        }
        return json.dumps(told, separators=(",", ":")).encode() + b"\n" + self.event

    @classmethod
    def read(cls, data: bytes, sequence: int) -> Kept:
        """Return what was written.

        Raises:
            PayloadError: It is no letter.
        """
        first, _, event = data.partition(b"\n")
        try:
            told = json.loads(first)
            return cls(
                subscription=str(told["subscription"]),
                position=int(told["position"]),
                state=str(told["state"]),
                attempts=int(told["attempts"]),
                error=str(told["error"]),
                at=_moment(told["at"]),
                due=None if told["due"] is None else _moment(told["due"]),
                event=event,
                sequence=sequence,
            )
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError) as error:
            raise PayloadError("it is no letter", body=shorten(first.decode("utf-8", "replace"))) from error

    def letter(self, event: Event) -> Letter:
        """Return it as people see it."""
        return Letter(
            subscription=self.subscription,
            event=event,
            is_dead=self.state == DEAD,
            attempts=self.attempts,
            error=self.error,
            at=self.at,
            due=self.due,
        )


class Letters:
    """The letters of all subscriptions of an account."""

    def __init__(self, link: Link, layout: Layout, reader: Reader, clock: Clock) -> None:
        """Make what reads and writes letters.

        Args:
            link: The connection.
            layout: Where things are.
            reader: Reads the stream.
            clock: Dates letters.
        """
        self._link = link
        self._layout = layout
        self._reader = reader
        self._clock = clock

    async def write(
        self,
        name: str,
        position: int,
        event: Event,
        *,
        state: str,
        attempts: int,
        error: str,
        due: datetime | None = None,
    ) -> None:
        """Write down what is known of a delivery, in place of what was known before.

        Raises:
            JournalUnavailableError: It is not known to be written.
        """
        kept = Kept(
            subscription=name,
            position=position,
            state=state,
            attempts=attempts,
            error=error,
            at=self._clock.now(),
            due=due,
            event=b"",
        )
        room = self._link.nc.max_payload - HEADROOM - len(kept.written())
        body = event_written(event, room)
        kept = attrs.evolve(kept, event=body if len(body) <= room else b"")
        await self._link.put(self._layout.letter(name, position), kept.written(), doing="write a letter")

    async def find(self, name: str, position: int) -> Kept | None:
        """Return what is known of a delivery, None if nothing is."""
        stored = await self._reader.last(self._layout.letter(name, position))
        return None if stored is None else self._kept(stored)

    async def event_of(self, kept: Kept) -> Event | None:
        """Return the event of a letter, None if it is not there any more, or cannot be read."""
        body = kept.event
        if not body:
            stored = await self._reader.at(kept.position)
            if stored is None:
                return None
            body = stored.data
        try:
            return event_read(body)
        except PayloadError as error:
            logger.warning("the event of a letter to %s cannot be read: %s", shorten(kept.subscription), error)
            return None

    async def remove(self, name: str, position: int) -> None:
        """Forget a delivery: it succeeded."""
        await self.purge(self._layout.letter(name, position))

    async def remove_again(self, name: str, sequence: int) -> None:
        """Remove a message that had a dead letter delivered once more."""
        stored = await self._reader.at(sequence)
        if stored is None or stored.subject != self._layout.again(name):
            return  # it is gone: what has its position now is of a stream that was made again
        place, asked = f"STREAM.MSG.DELETE.{self._layout.stream}", {"seq": sequence, "no_erase": True}
        await self._link.api(place, asked, passes=NO_MESSAGE, doing="remove a letter")

    async def kept(self, name: str | None = None) -> AsyncGenerator[Kept]:
        """Hand out all letters, or those of one subscription, in the order in which they were written."""
        async with aclosing(self._reader.scan(self._layout.letters(name))) as found:
            async for stored in found:
                kept = self._kept(stored)
                if kept is not None:
                    yield kept

    async def counts(self) -> dict[str, tuple[int, int]]:
        """Return how many letters each subscription has: those that are to be tried again, and the dead ones."""
        found: dict[str, tuple[int, int]] = {}
        async with aclosing(self.kept()) as letters:
            async for kept in letters:
                unfinished, dead = found.get(kept.subscription, (0, 0))
                is_dead = kept.state == DEAD
                found[kept.subscription] = (unfinished + (not is_dead), dead + is_dead)
        return found

    async def listed(self, *, dead_only: bool = False) -> list[Letter]:
        """Return the deliveries that did not succeed so far, the oldest first."""
        found = []
        async with aclosing(self.kept()) as letters:
            async for kept in letters:
                event = await self.event_of(kept) if kept.state == DEAD or not dead_only else None
                if event is not None:
                    found.append(kept.letter(event))
        return sorted(found, key=lambda letter: letter.at)

    async def redeliver(self, event_ids: Iterable[str], subscription: str | None = None) -> list[Letter]:
        """Have dead letters tried again, out of order, of all subscriptions or one; return those."""
        found = await self._dead(event_ids, subscription)
        for kept, _ in found:
            again = attrs.evolve(kept, state=AGAIN)
            # First what is delivered: if this is cut short here, the letter is dead still, and can be tried again.
            await self._link.put(self._layout.again(kept.subscription), again.written(), replaces=False)
            subject = self._layout.letter(kept.subscription, kept.position)
            with suppress(WrongSequenceError):  # it has been dealt with meanwhile
                await self._link.put(subject, again.written(), expected=kept.sequence)
        return [letter for _, letter in found]

    async def drop_all(self, name: str) -> None:
        """Remove everything of a subscription."""
        await self.purge(self._layout.letters(name))
        await self.purge(self._layout.again(name))

    async def trim(self, name: str, *, most: int = MOST_DEAD) -> int:
        """Remove the oldest dead letters of a subscription beyond a number of them; return how many."""
        async with aclosing(self.kept(name)) as letters:
            dead = [kept.position async for kept in letters if kept.state == DEAD]
        beyond = dead[: max(0, len(dead) - most)]
        if beyond:
            text = "the %d oldest dead letters of subscription %s are removed: no more than %d are kept"
            logger.warning(text, len(beyond), shorten(name), most)
        await all_of(partial(self.remove, name, position) for position in beyond)
        return len(beyond)

    async def _dead(self, event_ids: Iterable[str], subscription: str | None) -> list[tuple[Kept, Letter]]:
        wanted = set(event_ids)
        found = []
        async with aclosing(self.kept(subscription)) as letters:
            async for kept in letters:
                if kept.state != DEAD:
                    continue
                event = await self.event_of(kept)
                if event is not None and event.id in wanted:
                    found.append((kept, kept.letter(event)))
        return found

    def _kept(self, stored: Stored) -> Kept | None:
        try:
            return Kept.read(stored.data, stored.position)
        except PayloadError as error:
            logger.warning("the letter at position %d cannot be read, and is left alone: %s", stored.position, error)
            return None

    async def purge(self, subject: str) -> None:
        """Remove all messages of a subject."""
        await self._link.api(f"STREAM.PURGE.{self._layout.stream}", {"filter": subject}, doing="remove letters")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
