"""Dispatcher: calls handlers, in order for each execution, side by side for different ones.

It knows handlers and events, neither the service nor the tracker. A callback that raises or hangs costs its own
handler's places only.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from titan_state.clock import within
from titan_state.errors import MonitorClosedError, PermanentError, TemporaryError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.monitor.handlers import Handler, Handlers

logger = logging.getLogger("titan_state.monitor")

SIDE_BY_SIDE = 16
"""How many calls of one handler run at the same time, for different executions."""

LONGEST_BACKOFF_S = 300.0

FINAL = (PermanentError, MonitorClosedError)
"""Errors of a callback after which no further attempt can succeed: a monitor that was left stays so."""

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
    """

    def __init__(self, handlers: Handlers, terminal: frozenset[str], clock: Clock) -> None:
        self.counts = DeliveryCounts()
        self._handlers = handlers
        self._terminal = terminal
        self._clock = clock
        self._lanes: dict[tuple[str, str], deque[Event]] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._tasks: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._changed = asyncio.Event()
        self._is_closed = False

    def deliver(self, events: Iterable[Event]) -> None:
        """Queue events for every handler that wants them; once closed, they are given up."""
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
        """Wait for open deliveries for at most `seconds`, those that come up meanwhile included, then give them up.

        A callback cannot be made to end: a `def` one that still runs is left alone in its thread, which does not keep
        the process alive, and an `async def` one that does not end when it is cancelled is left alone on the loop.
        """
        try:
            await within(self._clock, seconds, self.until_below(1))
        except TimeoutError:
            pass  # said below, also where it is a cancellation that cuts this short
        finally:
            await self._give_up()

    async def _give_up(self) -> None:
        self._is_closed = True
        open_now = [(name, event) for (name, _), lane in self._lanes.items() for event in lane]
        if open_now:
            logger.warning(
                "%d deliveries were given up when the monitor was left: %s",
                len(open_now),
                _named(open_now),
            )
        self.counts.given_up += self.counts.pending
        self.counts.pending = 0
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        try:
            await within(self._clock, CANCEL_S, asyncio.wait(tasks))
        except TimeoutError:
            left = [(key[0], self._lanes[key][0]) for task, key in self._tasks.items() if not task.done()]
            logger.warning(
                "%d callbacks did not end when they were cancelled, and are left running: %s", len(left), _named(left)
            )

    def _queue(self, handler: Handler, event: Event) -> None:
        if self._is_closed:
            self.counts.given_up += 1
            return
        key = (handler.name, event.execution_id)
        self.counts.pending += 1
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(event)
            return
        self._lanes[key] = deque((event,))
        task = asyncio.create_task(self._serve(handler, key), name=f"titan_state handler {handler.name}")
        self._tasks[task] = key
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, handler: Handler, key: tuple[str, str]) -> None:
        """Deliver what waits for one handler and one execution, one after the other."""
        lane = self._lanes[key]
        while lane:
            try:
                is_delivered = await self._deliver(handler, lane[0])
            except Exception:  # a mistake of this module, or an error that cannot even be shown: the lane goes on
                logger.exception("handler %s was given up for event %s", handler.name, shorten(lane[0].id))
                is_delivered = False
            if self._is_closed:
                return  # it is given up already
            if is_delivered:
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
                if self._is_closed:
                    return False
                if attempt >= handler.retries or isinstance(error, FINAL):
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
        """Call a handler once, in one of its places, within its time-out."""
        await places.acquire()
        start = _on_loop if handler.is_async else _apart
        # A task of its own: a callback that cancels the task it runs in does not end the lane.
        call = asyncio.ensure_future(start(handler.callback, event, places))
        try:
            await within(self._clock, handler.timeout, call)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("the callback was cancelled") from error  # by itself: that is a failure of it


async def _on_loop(callback: Callable[[Any], Any], event: Event, places: asyncio.Semaphore) -> None:
    try:
        await callback(event)
    finally:
        places.release()


async def _apart(callback: Callable[[Any], Any], event: Event, places: asyncio.Semaphore) -> None:
    """Call `callback` in a thread; what it returns is awaited on the loop, if that can be done."""

    def ended(call: asyncio.Future[Any]) -> None:
        places.release()
        left = call.result() if call.exception() is None else None
        if inspect.iscoroutine(left):
            left.close()  # nobody waited until it came; one that was awaited is closed already

    try:
        call = _in_thread(callback, event)
    except RuntimeError:  # no thread can be started
        places.release()
        raise
    try:
        result = await asyncio.shield(call)
        if inspect.isawaitable(result):
            await result
    finally:
        # The place is kept until the thread ends, also if it outlives its time-out: threads stay bounded.
        call.add_done_callback(ended)


def _in_thread(callback: Callable[[Any], Any], event: Event) -> asyncio.Future[Any]:
    """Call `callback` in a daemon thread: unlike an executor's, one that hangs does not hold up the interpreter."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def finish(result: Any, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
            future.exception()  # it may be that nobody waits any more

    def run() -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = context.run(callback, event)
        except BaseException as caught:  # noqa: BLE001 - it is handed to the loop, whatever it is
            error = caught if isinstance(caught, Exception) else RuntimeError(f"the callback raised {caught!r}")
        try:
            loop.call_soon_threadsafe(finish, result, error)
        except RuntimeError:  # the loop was closed while the callback ran
            logger.debug("a callback ended after its event loop")

    threading.Thread(target=run, name="titan_state callback", daemon=True).start()
    return future


def _named(deliveries: Sequence[tuple[str, Event]]) -> str:
    """Return the first of many deliveries as text, and how many more there are."""
    first = [f"handler {shorten(name)} for event {shorten(event.id)}" for name, event in deliveries[:NAMED]]
    more = len(deliveries) - len(first)
    return ", ".join(first) + (f", and {more} more" if more else "")
