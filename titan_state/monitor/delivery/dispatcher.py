"""Dispatcher: calls handlers, in order for each execution, side by side for different ones.

It knows handlers, events and the journal, neither the service nor the tracker. A callback that raises or hangs costs
its own handler's places only.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import attrs

from titan_state.clock import within
from titan_state.errors import shorten
from titan_state.monitor.delivery.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.instrumentation import Instrumentation
    from titan_state.journal.base import Journal
    from titan_state.monitor.delivery.handler import Handler
    from titan_state.monitor.handlers import Handlers

logger = logging.getLogger("titan_state.monitor")

CANCEL_S = 1.0
"""How long closing waits for calls that it has cancelled."""

NAMED = 10
"""How many deliveries a message names; it counts the others."""


@attrs.define
class DeliveryCounts:
    """What became of deliveries: those that are open, that succeeded, were tried again, or were given up."""

    pending: int = 0
    delivered: int = 0
    retried: int = 0
    given_up: int = 0


class Dispatcher:
    """Delivers events to handlers.

    Attributes:
        counts: What became of deliveries.
        has_begun: Whether events are delivered.
    """

    def __init__(
        self,
        handlers: Handlers,
        terminal: frozenset[str],
        clock: Clock,
        journal: Journal,
        *,
        failed: Callable[[Exception], None],
        clean: Callable[[str], str] = str,
        instrumentation: Instrumentation | None = None,
    ) -> None:
        """Make a dispatcher that delivers nothing yet.

        Args:
            handlers: Who is called. Those that are registered later are called, too.
            terminal: The terminal statuses of the model.
            clock: The time.
            journal: Where the events are.
            failed: Told of an error that ends a subscription.
            clean: Takes credentials out of a text.
            instrumentation: Who measures calls.
        """
        self.counts = DeliveryCounts()
        self._handlers = handlers
        self._terminal = terminal
        self._clock = clock
        self._journal = journal
        self._failed = failed
        self._clean = clean
        self._feeds: dict[str, Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._instrumentation = instrumentation
        self.has_begun = False
        self._is_closed = False

    def begin(self) -> None:
        """Deliver from now on to the handlers that there are. Call it again for those that are registered later."""
        self.has_begun = True
        for handler in self._handlers:
            if handler.name not in self._feeds and not self._is_closed:
                self._feed(handler)

    def _feed(self, handler: Handler) -> None:
        """Begin to deliver to a handler; its events are those from now on."""
        feed = self._feeds[handler.name] = Feed(
            handler,
            self._journal,
            self._terminal,
            self.counts,
            self._clock,
            changed=self._changed.set,
            clean=self._clean,
            instrumentation=self._instrumentation,
        )
        # A task begins after this turn of the loop: filters that are stacked on one function come first.
        task = asyncio.create_task(feed.run(), name=f"titan_state feed {handler.name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def feeds(self) -> list[Feed]:
        """Return what hands events to each of the handlers that were begun with."""
        return list(self._feeds.values())

    def notify(self, positions: Sequence[int] = (), events: Sequence[Event] = ()) -> None:
        """Take in that the journal may have something new.

        Args:
            positions: The positions of the new events, where they are known.
            events: The new events; once closed, they are given up.
        """
        if self._is_closed:
            wanted = (handler.wants(event, self._terminal) for event in events for handler in self._handlers)
            self.counts.given_up += 0 if self._journal.is_durable else sum(wanted)
            return
        for feed in self._feeds.values():
            feed.notify(positions, events)

    async def until_below(self, limit: int) -> None:
        """Return when fewer than `limit` deliveries are open."""
        while self.counts.pending >= limit:
            self._changed.clear()
            await self._changed.wait()

    async def close(self, seconds: float) -> None:
        """Wait for open deliveries for at most `seconds`, those that come up meanwhile included, then give them up.

        A durable journal has them still: they are delivered by whoever opens it next. Where others share it, nothing
        more is taken from it. A callback cannot be made to end: a `def` one that still runs is left alone in its
        thread, which does not keep the process alive, and an `async def` one that does not end when it is cancelled is
        left alone on the loop.
        """
        for feed in self._feeds.values() if self._journal.is_shared else ():
            feed.take_no_more()
        try:
            await within(self._clock, seconds, self._until_done())
        except TimeoutError:
            pass  # said below, also where it is a cancellation that cuts this short
        finally:
            await self._give_up()

    async def _until_done(self) -> None:
        """Return when nothing is open, what the journal had from before included, unless others may have that."""
        for feed in () if self._journal.is_shared else tuple(self._feeds.values()):
            await feed.until_caught_up()
        await self.until_below(1)

    async def _give_up(self) -> None:
        self._is_closed = True
        lanes = [(feed, lane) for feed in self._feeds.values() for lane in feed.lanes()]
        open_now = [(feed, delivery.event) for feed, lane in lanes for delivery in lane.queue]
        count = sum(feed.give_up() for feed in self._feeds.values())
        if count and self._journal.is_durable:
            logger.info("%d deliveries are left for the next start: %s", count, _named(open_now, count))
        elif count:
            logger.warning(
                "%d deliveries were given up when the monitor was left (a larger drain_s waits longer): %s",
                count,
                _named(open_now, count),
            )
            self.counts.given_up += count
        tasks = {lane.task: (feed, lane) for feed, lane in lanes if lane.task is not None and not lane.task.done()}
        everything = (*self._tasks, *tasks)
        for task in everything:
            task.cancel()
        if not everything:
            return
        try:
            await within(self._clock, CANCEL_S, asyncio.wait(everything))
        except TimeoutError:
            left = [(feed, lane.queue[0].event) for task, (feed, lane) in tasks.items() if not task.done()]
            logger.warning(
                "%d callbacks did not end when they were cancelled, and are left running: %s",
                len(left),
                _named(left, len(left)),
            )


def _named(deliveries: Sequence[tuple[Feed, Event]], count: int) -> str:
    """Return the first of many deliveries as text, and how many more there are."""
    first = [
        f"handler {shorten(feed.handler.name)} for event {shorten(event.id)}" for feed, event in deliveries[:NAMED]
    ]
    more = count - len(first)
    return ", ".join(first) + (f", and {more} more" if more > 0 else "")
