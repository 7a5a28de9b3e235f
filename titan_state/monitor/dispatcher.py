"""Dispatcher: calls handlers, in order for each execution, side by side for different ones.

It knows handlers and events, neither the service nor the tracker. A callback that raises or hangs costs its own
handler's places only.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from titan_state.clock import within
from titan_state.errors import PermanentError, TemporaryError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.monitor.handlers import Handler, Handlers

logger = logging.getLogger("titan_state.monitor")

SIDE_BY_SIDE = 16
"""How many calls of one handler run at the same time, for different executions."""

LONGEST_BACKOFF_S = 300.0


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
    """

    def __init__(self, handlers: Handlers, terminal: frozenset[str], clock: Clock) -> None:
        self.counts = DeliveryCounts()
        self._handlers = handlers
        self._terminal = terminal
        self._clock = clock
        self._lanes: dict[tuple[str, str], deque[Event]] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def deliver(self, events: Iterable[Event]) -> None:
        """Queue events for every handler that wants them."""
        for event in events:
            for handler in self._handlers:
                if handler.wants(event, self._terminal):
                    self._queue(handler, event)

    async def until_below(self, limit: int) -> None:
        """Return when fewer than `limit` deliveries are open."""
        while self.counts.pending >= limit:
            self._changed.clear()
            await self._changed.wait()

    async def close(self, seconds: float) -> None:
        """Wait for open deliveries for at most `seconds`, then give them up.

        A `def` callback that still runs then cannot be stopped: its thread is left alone and does not keep the
        process alive.
        """
        try:
            await within(self._clock, seconds, self.until_below(1))
        except TimeoutError:
            logger.warning("%d deliveries were given up when the monitor was left", self.counts.pending)
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.counts.given_up += self.counts.pending
            self.counts.pending = 0

    def _queue(self, handler: Handler, event: Event) -> None:
        key = (handler.name, event.execution_id)
        self.counts.pending += 1
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(event)
            return
        self._lanes[key] = deque((event,))
        task = asyncio.create_task(self._serve(handler, key), name=f"titan_state handler {handler.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, handler: Handler, key: tuple[str, str]) -> None:
        """Deliver what waits for one handler and one execution, one after the other."""
        lane = self._lanes[key]
        while lane:
            if await self._deliver(handler, lane[0]):
                self.counts.delivered += 1
            else:
                self.counts.given_up += 1
            lane.popleft()
            self.counts.pending -= 1
            self._changed.set()
        del self._lanes[key]

    async def _deliver(self, handler: Handler, event: Event) -> bool:
        """Call a handler until it succeeds or its retries are used up; return whether it succeeded."""
        places = self._places.setdefault(handler.name, asyncio.Semaphore(SIDE_BY_SIDE))
        attempt = 0
        while True:
            try:
                await self._call(handler, event, places)
            except Exception as error:
                if attempt >= handler.retries or isinstance(error, PermanentError):
                    logger.exception(
                        "handler %s was given up for event %s after %d attempts",
                        handler.name,
                        shorten(event.id),
                        attempt + 1,
                    )
                    return False
                delay = min(handler.backoff * 2 ** min(attempt, 16), LONGEST_BACKOFF_S)
                if isinstance(error, TemporaryError) and error.delay is not None:
                    delay = error.delay
                logger.warning(
                    "handler %s failed for event %s, next attempt in %g s: %s",
                    handler.name,
                    shorten(event.id),
                    delay,
                    shorten(repr(error)),
                )
                self.counts.retried += 1
                attempt += 1
                await self._clock.sleep(delay)
            else:
                return True

    async def _call(self, handler: Handler, event: Event, places: asyncio.Semaphore) -> None:
        await places.acquire()
        if handler.is_async:
            try:
                await within(self._clock, handler.timeout, handler.callback(event))
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                raise RuntimeError("the callback was cancelled") from error  # by itself: that is a failure of it
            finally:
                places.release()
            return
        # The place is kept until the thread ends, also if it outlives its time-out: threads stay bounded.
        call = _in_thread(handler.callback, event)
        call.add_done_callback(lambda _: places.release())
        await within(self._clock, handler.timeout, asyncio.shield(call))


def _in_thread(callback: Callable[[Any], Any], event: Event) -> asyncio.Future[None]:
    """Call `callback` in a daemon thread: unlike an executor's, one that hangs does not hold up the interpreter."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    context = contextvars.copy_context()

    def finish(error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            future.exception()  # it may be that nobody waits any more

    def run() -> None:
        error: BaseException | None = None
        try:
            context.run(callback, event)
        except BaseException as caught:  # noqa: BLE001 - it is handed to the loop, whatever it is
            error = caught if isinstance(caught, Exception) else RuntimeError(f"the callback raised {caught!r}")
        try:
            loop.call_soon_threadsafe(finish, error)
        except RuntimeError:  # the loop was closed while the callback ran
            logger.debug("a callback ended after its event loop")

    threading.Thread(target=run, name="titan_state callback", daemon=True).start()
    return future
