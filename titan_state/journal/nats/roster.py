"""Roster: which subscriptions there are, and how far each has come.

A subscription is a message of the stream, and its consumers. Programs that open one of the same name at the same time
agree on where it begins: whoever writes the message first says so.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from titan_state.errors import (
    JournalDamagedError,
    JournalUnavailableError,
    SubscriptionInUseError,
    shorten,
)
from titan_state.journal.base import SubscriptionState
from titan_state.journal.nats.consumers import ACK_WAIT_S, Consumers, Known, all_of
from titan_state.journal.nats.letters import Letters
from titan_state.journal.nats.link import WrongSequenceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.clock import Clock
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.reading import Reader, Stored

T = TypeVar("T")

logger = logging.getLogger("titan_state.journal")

FIRST_AGAIN_S: Final = 0.5
LONGEST_AGAIN_S: Final = 30.0
"""How soon it is tried again to open a subscription: doubled from the first to the longest."""

SEEN_S: Final = 60.0
"""How exactly it is written down when a subscription was last open."""


class Roster:
    """The subscriptions of an account.

    Attributes:
        letters: What is known of deliveries that failed.
        consumers: The consumers of subscriptions.
    """

    def __init__(
        self, link: Link, layout: Layout, reader: Reader, clock: Clock, *, ack_wait_s: float = ACK_WAIT_S
    ) -> None:
        """Make a roster.

        Args:
            link: The connection.
            layout: Where things are.
            reader: Reads the stream.
            clock: The time.
            ack_wait_s: How long a program that is not heard of keeps what was delivered to it, for new subscriptions.
        """
        self._link = link
        self._layout = layout
        self._reader = reader
        self._clock = clock
        self.letters = Letters(link, layout, reader, clock)
        self.consumers = Consumers(link, layout, ack_wait_s=ack_wait_s)

    async def hold(self, name: str, start: int) -> Known:
        """Have a subscription be there with all that belongs to it.

        While NATS is away it is tried again, until cancelled.

        Args:
            name: Its name.
            start: The position after which it begins if it is new.

        Returns:
            The subscription, with where it began.

        Raises:
            JournalError: NATS refuses it.
        """
        return await self._insist(name, partial(self._hold, name, start))

    async def known(self) -> list[Known]:
        """Return all subscriptions, by name."""
        return self._read(await self._messages())

    async def find(self, name: str) -> Known | None:
        """Return a subscription, None if there is none of that name."""
        stored = await self._reader.last(self._layout.subscription(name))
        return None if stored is None else Known.read(stored)

    async def states(self) -> list[SubscriptionState]:
        """Return how far all subscriptions have come, by name."""
        counts = await self.letters.counts()
        return [await self._state(one, *counts.get(one.name, (0, 0))) for one in await self.known()]

    async def remove(self, name: str) -> bool:
        """Remove a subscription with everything that it has not had; return False if there is none.

        Raises:
            SubscriptionInUseError: A program has it open.
        """
        if await self._reader.last(self._layout.subscription(name)) is None:
            return False
        if await self._is_open(name):
            raise SubscriptionInUseError(name, "another program")
        # The message goes first: what is left over without one belongs to nobody, and is removed some time.
        await self.letters.purge(self._layout.subscription(name))
        await self._remove_parts(name)
        return True

    async def seen(self, name: str) -> None:
        """Write down that a subscription is open now."""
        stored = await self._reader.last(self._layout.subscription(name))
        if stored is None:
            return
        known = Known.read(stored)
        if self._clock.now() - known.seen >= timedelta(seconds=SEEN_S):
            with suppress(WrongSequenceError):  # another program has just done it
                await self._write(attrs.evolve(known, seen=self._clock.now()), expected=stored.position)

    async def floor(self) -> int | None:
        """Return the position up to which every subscription has had everything.

        Returns:
            The position; None if each of them has had everything that was there when this was called.
        """
        messages = await self._messages()
        known = self._read(messages)
        if len(known) < len(messages):
            return 0  # nobody knows what one of them has had
        floors = [floor for one in known if (floor := await self._floor(one)) is not None]
        return min(floors, default=None)

    async def expire(self, older_than_s: float) -> list[str]:
        """Remove subscriptions that nobody has opened for a time, and what is left over of others.

        Args:
            older_than_s: The time, in seconds.

        Returns:
            The names of those that were removed.
        """
        gone = []
        limit = self._clock.now() - timedelta(seconds=older_than_s)
        for one in await self.known():
            if await self._is_open(one.name):
                with suppress(JournalUnavailableError):  # there may be no room for it
                    await self.seen(one.name)
            elif one.seen < limit and await self.remove(one.name):
                gone.append(one.name)
        await self._remove_remains()
        return gone

    async def _messages(self) -> list[Stored]:
        """Return the messages of all subscriptions, as the stream's leader has them: a replica may lag behind."""
        layout, doing = self._layout, "tell which subscriptions there are"
        work = self._link.js.stream_info(layout.stream, subjects_filter=layout.subscriptions)
        subjects = (await self._link.do(work, doing)).state.subjects or {}
        found = await all_of(partial(self._reader.last, subject) for subject in subjects)
        return [stored for stored in found if stored is not None]

    def _read(self, messages: list[Stored]) -> list[Known]:
        """Return what can be read, by name."""
        found = []
        for stored in messages:
            try:
                found.append(Known.read(stored))
            except JournalDamagedError as error:
                logger.warning("a subscription is left alone, and keeps events from being dropped: %s", error)
        return sorted(found, key=lambda one: one.name)

    async def _hold(self, name: str, start: int) -> Known:
        while True:
            known = await self._written(name, start)
            ack_wait_s = await self.consumers.ensure(known)
            there = await self.find(name)
            if there is not None and there.mark == known.mark:  # else it was removed meanwhile
                break
        await self.seen(name)
        return attrs.evolve(known, ack_wait_s=ack_wait_s)

    async def _written(self, name: str, start: int) -> Known:
        """Return the subscription that is written down, by us if there was none."""
        while True:
            known = await self.find(name)
            if known is not None:
                return known
            now = self._clock.now()
            known = Known(name=name, start=start, created=now, seen=now)
            with suppress(WrongSequenceError):  # another program was faster: what it wrote counts
                await self._write(known, expected=0)
                return known

    async def _write(self, known: Known, *, expected: int) -> None:
        subject = self._layout.subscription(known.name)
        await self._link.put(subject, known.written(), expected=expected, doing="open a subscription")

    async def _insist(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        delay_s = FIRST_AGAIN_S
        while True:
            try:
                return await work()
            except JournalUnavailableError as error:
                level = logging.WARNING if delay_s == FIRST_AGAIN_S else logging.DEBUG
                logger.log(level, "subscription %s cannot be opened, which is tried again: %s", shorten(name), error)
                await self._clock.sleep(delay_s)
                delay_s = min(2 * delay_s, LONGEST_AGAIN_S)

    async def _state(self, one: Known, unfinished: int, dead: int) -> SubscriptionState:
        states = await self.consumers.of(one.name)
        ordered = [state for state in states.values() if state.name != self._layout.consumer(one.name, None)]
        programs = max((state.waiting for state in states.values()), default=0)
        return SubscriptionState(
            name=one.name,
            waiting=sum(state.pending + state.outstanding for state in ordered),
            unfinished=unfinished,
            dead=dead,
            created=one.created,
            seen=self._clock.now() if programs else one.seen,
            holder=None if not programs else "1 program" if programs == 1 else f"{programs} programs",
        )

    async def _floor(self, one: Known) -> int | None:
        names = [self._layout.consumer(one.name, partition) for partition in range(self._layout.partitions)]
        states = await self.consumers.states(names)
        floors = []
        for name in names:
            state = states.get(name)
            if state is None or state.mark != one.mark:
                floors.append(one.start)  # its consumer is about to be created
            elif not state.has_had_everything:
                floors.append(max(one.start, state.floor))
        return min(floors, default=None)

    async def _is_open(self, name: str) -> bool:
        """Return whether a program has a subscription open: it waits for something, then, if only for letters."""
        states = await self.consumers.of(name)
        return any(state.waiting for state in states.values())

    async def _remove_parts(self, name: str) -> None:
        await all_of(partial(self.consumers.remove, one) for one in self.consumers.names_of(name))
        await self.letters.drop_all(name)

    async def _remove_remains(self) -> None:
        """Remove consumers of subscriptions whose removal was cut short."""
        names = await self.consumers.names()  # first: a subscription is written down before it has consumers
        wanted = {stored.subject for stored in await self._messages()}  # those that cannot be read, too
        remains = {name: place for name in names if (place := self._place_of(name)) not in wanted}
        states = await self.consumers.states(remains)
        ours = [name for name, state in states.items() if state.mark and not state.waiting]
        await all_of(partial(self._remove_remainder, name, remains[name]) for name in ours)

    async def _remove_remainder(self, name: str, place: str) -> None:
        if await self._reader.last(place) is None:  # it was not opened meanwhile
            await self.consumers.remove(name)

    def _place_of(self, consumer: str) -> str:
        """Return the subject of the subscription that a consumer is one of."""
        return f"{self._layout.subscriptions.removesuffix('*')}{consumer.rpartition('-')[0]}"
