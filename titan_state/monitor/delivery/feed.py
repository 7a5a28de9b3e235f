"""Feed: takes the events for one handler out of its subscription, and spreads them over lanes.

Each execution has its lane: order is kept in it, and what blocks it blocks nothing else. How many deliveries are kept
in memory is bounded; the journal has the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.errors import shorten
from titan_state.journal.base import NOW
from titan_state.monitor.delivery.lane import LONGEST, Lane, deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.instrumentation import Instrumentation
    from titan_state.journal.base import Delivery, Journal, Subscription
    from titan_state.monitor.delivery.dispatcher import DeliveryCounts
    from titan_state.monitor.delivery.handler import Handler

logger = logging.getLogger("titan_state.monitor")

SIDE_BY_SIDE: Final = 16
"""How many calls of one handler run at the same time, for different executions."""

WINDOW: Final = 1000
"""How many deliveries to one handler are kept in memory, beside those that wait for another attempt."""

MOST_WAITING: Final = 10_000
"""How many executions may wait for another attempt of one handler before nothing more is handed to it."""

MOST_COUNTED: Final = 20_000
"""Up to how many open deliveries of one handler are counted one by one."""


@attrs.define
class Tally:
    """What became of deliveries to one handler here: those that succeeded, were tried again, or were given up."""

    delivered: int = 0
    retried: int = 0
    given_up: int = 0


class Feed:
    """Hands events to one handler.

    Attributes:
        handler: The handler.
        counts: Where it is counted what became of deliveries to all handlers.
        tally: The same for this one.
        clock: The time.
        instrumentation: Who measures calls, None if nobody does.
        places: How many calls may run at the same time.
        clean: Takes credentials out of a text.
        subscription: Where deliveries come from, and what became of them goes.
        is_closed: Whether what is open was given up.
    """

    subscription: Subscription

    def __init__(
        self,
        handler: Handler,
        journal: Journal,
        terminal: frozenset[str],
        counts: DeliveryCounts,
        clock: Clock,
        *,
        changed: Callable[[], None],
        clean: Callable[[str], str],
        instrumentation: Instrumentation | None = None,
    ) -> None:
        """Make a feed that does not run yet. What is appended to the journal from now on is new to it.

        Args:
            handler: The handler.
            journal: Where the events are.
            terminal: The terminal statuses of the model.
            counts: Where it is counted what became of deliveries.
            clock: The time.
            changed: Called when a delivery is no longer open.
            clean: Takes credentials out of a text.
            instrumentation: Who measures calls.
        """
        self.handler = handler
        self.counts = counts
        self.tally = Tally()
        self.instrumentation = instrumentation
        self.clock = clock
        self.places = asyncio.Semaphore(SIDE_BY_SIDE)
        self.clean = clean
        self.is_closed = False
        self._journal = journal
        self._terminal = terminal
        self._head = journal.head
        self._changed = changed
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._lanes: dict[str, Lane] = {}
        self._pending: set[int] = set()
        self._kept = 0
        self._waiting = 0
        self._takes_more = True
        self._caught_up = asyncio.Event()

    def wants(self, event: Event) -> bool:
        """Return whether the handler is called for an event."""
        return self.handler.wants(event, self._terminal)

    def notify(self, positions: Sequence[int] = (), events: Sequence[Event] = ()) -> None:
        """Look into the journal: there may be something new.

        Args:
            positions: The positions of the new events, where they are known.
            events: The new events.
        """
        if not self._journal.is_shared:  # else another program may have them
            for position, event in zip(positions, events, strict=True):
                if len(self._pending) < MOST_COUNTED and self.wants(event):
                    self._count(position)
        self._news.set()

    def take_no_more(self) -> None:
        """Deliver what was handed out, and nothing further."""
        self._takes_more = False

    async def run(self) -> None:
        """Hand out what the subscription has, until cancelled.

        Raises:
            JournalError: The subscription cannot be used.
        """
        try:
            await self._run()
        finally:
            self._caught_up.set()

    async def until_caught_up(self) -> None:
        """Return when everything was looked at once that the journal had, or nothing more is."""
        await self._caught_up.wait()

    async def _run(self) -> None:
        since = NOW if self.handler.since is None else self.handler.since
        self.subscription = await self._journal.subscribe(
            self.handler.name, self.wants, since=since, head=self._head, notify=self._news.set
        )
        while True:
            while self._kept >= WINDOW or self._waiting >= MOST_WAITING:
                self._room.clear()
                await self._room.wait()
            self._news.clear()
            if not self._takes_more:
                return
            deliveries = await self.subscription.fetch(WINDOW - self._kept)
            for delivery in deliveries:
                self._take(delivery)
            if not deliveries:
                self._caught_up.set()
                await self._news.wait()

    @property
    def pending(self) -> int:
        """How many deliveries are open, as far as they are counted."""
        return len(self._pending)

    def lanes(self) -> list[Lane]:
        """Return the lanes in which something waits."""
        return list(self._lanes.values())

    def give_up(self) -> int:
        """Take no delivery for open any more; return how many were."""
        self.is_closed = True
        count = len(self._pending)
        self.counts.pending -= count
        self._pending.clear()
        return count

    async def pause(self, lane: Lane, seconds: float) -> None:
        """Wait for the next attempt; meanwhile the lane keeps nothing but the delivery that waits."""
        lane.is_waiting = True
        self._kept -= lane.shorten() + 1
        self._waiting += 1
        self._room.set()
        try:
            await self.clock.sleep(seconds)
        finally:
            lane.is_waiting = False
            self._kept += 1
            self._waiting -= 1

    def _take(self, delivery: Delivery) -> None:
        self._count(delivery.position)
        lane = self._lanes.get(delivery.event.execution_id)
        if lane is not None:
            self._kept += lane.put(delivery)
            return
        lane = self._lanes[delivery.event.execution_id] = Lane(delivery.event.execution_id)
        self._kept += lane.put(delivery)
        lane.task = asyncio.create_task(self._serve(lane), name=f"titan_state handler {self.handler.name}")

    async def _serve(self, lane: Lane) -> None:
        """Deliver what waits in a lane, one after the other."""
        while True:
            if not lane.queue and lane.has_rest:
                await self._fill(lane)
            if not lane.queue:
                if lane.has_rest:
                    continue
                break
            delivery = lane.queue[0]
            try:
                is_delivered = await deliver(self, self.handler, lane, delivery)
            except Exception:  # a mistake of ours, or a journal that broke: the lane goes on
                logger.exception("handler %s was given up for event %s", self.handler.name, shorten(delivery.event.id))
                is_delivered = False
                await self._set_aside(delivery)
            if self.is_closed:
                return  # it is given up already
            if is_delivered:
                self.counts.delivered += 1
                self.tally.delivered += 1
            else:
                self.counts.given_up += 1
                self.tally.given_up += 1
            lane.queue.popleft()
            self._kept -= 1
            self._room.set()
            self._end(delivery.position)
        del self._lanes[lane.execution_id]

    async def _set_aside(self, delivery: Delivery) -> None:
        with contextlib.suppress(Exception):  # it was said already what is wrong
            await self.subscription.set_aside(delivery, error="it could not be delivered; the log says why")

    async def _fill(self, lane: Lane) -> None:
        lane.has_rest, lane.is_filling = False, True
        try:
            found = await self.subscription.fetch_of(lane.execution_id, after=lane.last, limit=LONGEST)
        except Exception:  # the journal broke, which is said elsewhere; what is there is handed out after a restart
            logger.exception("handler %s cannot go on with execution %s", self.handler.name, lane.execution_id)
            return
        finally:
            lane.is_filling = False
        lane.queue.extend(found)
        self._kept += len(found)
        if found:
            lane.last = found[-1].position
        lane.has_rest |= len(found) == LONGEST

    def _count(self, position: int) -> None:
        if position not in self._pending:
            self._pending.add(position)
            self.counts.pending += 1

    def _end(self, position: int) -> None:
        if position in self._pending:
            self._pending.remove(position)
            self.counts.pending -= 1
            self._changed()
