"""Lane: the deliveries of one execution to one handler, one after the other, with further attempts.

While an attempt is waited for, only that delivery is kept: those after it stay in the journal, which has them anyway.
"""

from __future__ import annotations

import logging
import traceback
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.errors import MonitorClosedError, PermanentError, TemporaryError, TitanStateError, shorten
from titan_state.monitor.delivery.calling import call

if TYPE_CHECKING:
    import asyncio

    from titan_state.journal.base import Delivery
    from titan_state.monitor.delivery.feed import Feed
    from titan_state.monitor.delivery.handler import Handler

logger = logging.getLogger("titan_state.monitor")

LONGEST_BACKOFF_S: Final = 300.0

LONGEST: Final = 50
"""How many deliveries one lane keeps at most; the others stay in the journal until it has come to them."""

LONGEST_ERROR: Final = 1000
"""How much of an error's text is written down with a dead letter."""

FINAL: Final = (PermanentError, MonitorClosedError)
"""Errors of a callback after which no further attempt can succeed: a monitor that was left stays so."""


@attrs.define(eq=False)
class Lane:
    """What waits for one handler and one execution.

    Attributes:
        execution_id: The execution.
        queue: The deliveries that are kept here; the first one is under way.
        last: The position of the last one, of those that came in order.
        has_rest: Whether the journal has more of them.
        is_waiting: Whether the first one failed, and waits for its next attempt.
        is_filling: Whether the rest is being fetched.
        task: What serves it.
    """

    execution_id: str
    queue: deque[Delivery] = attrs.field(factory=deque)
    last: int = 0
    has_rest: bool = False
    is_waiting: bool = False
    is_filling: bool = False
    task: asyncio.Task[None] | None = None

    def put(self, delivery: Delivery) -> bool:
        """Take a delivery in, and return whether it is kept here."""
        if not delivery.is_out_of_order:
            if self.has_rest or self.is_waiting or self.is_filling or len(self.queue) >= LONGEST:
                self.has_rest = True
                return False
            self.last = delivery.position
        self.queue.append(delivery)
        return True

    def shorten(self) -> int:
        """Leave all but the first delivery to the journal; return how many those are.

        One that is out of order stays: it could not be found again by its place.
        """
        if not self.queue:
            return 0
        first, *others = self.queue
        kept = [one for one in others if one.is_out_of_order]
        dropped = len(others) - len(kept)
        if dropped:
            self.has_rest = True
            ordered = [one.position for one in others if not one.is_out_of_order]
            self.last = ordered[0] - 1
            self.queue = deque((first, *kept))
        return dropped


async def deliver(feed: Feed, handler: Handler, lane: Lane, delivery: Delivery) -> bool:
    """Call a handler until it succeeds or its retries are used up; return whether it succeeded.

    What became of it is in the journal then.
    """
    if delivery.due is not None:
        delay = (delivery.due - feed.clock.now()).total_seconds()
        if delay > 0:
            await feed.pause(lane, delay)
    while True:
        try:
            await call(handler, delivery, feed.places, feed.clock, feed.instrumentation)
        except Exception as error:
            if feed.is_closed:
                return False
            text = feed.clean("".join(traceback.format_exception_only(error)).strip())
            if delivery.attempts >= handler.retries or isinstance(error, FINAL):
                trace = "".join(traceback.format_exception(error))
                clean = feed.clean(trace)
                logger.log(
                    logging.ERROR,
                    "handler %s was given up for event %s after %d attempts: %s%s",
                    handler.name,
                    shorten(delivery.event.id),
                    delivery.attempts + 1,
                    shorten(text),
                    "" if clean == trace else f"\n{clean}",  # it would show a credential
                    exc_info=clean == trace and not isinstance(error, TitanStateError),  # else it says nothing more
                )
                await feed.subscription.set_aside(delivery, error=text[:LONGEST_ERROR])
                return False
            delay = min(handler.backoff * 2 ** min(delivery.attempts, 16), LONGEST_BACKOFF_S)
            if isinstance(error, TemporaryError) and error.delay is not None:
                delay = error.delay
            logger.warning(
                "handler %s failed for event %s, next attempt in %g s: %s",
                handler.name,
                shorten(delivery.event.id),
                delay,
                shorten(text),
            )
            feed.counts.retried += 1
            feed.tally.retried += 1
            due = feed.clock.now() + timedelta(seconds=min(delay, _LONGEST_S))
            await feed.subscription.retry(delivery, due=due, error=text[:LONGEST_ERROR])
            delivery = attrs.evolve(delivery, attempts=delivery.attempts + 1, due=due)
            await feed.pause(lane, delay)
        else:
            await feed.subscription.acknowledge(delivery)
            return True


_LONGEST_S: Final = 1e9  # a date further away could not be told
