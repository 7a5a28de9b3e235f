"""Calling: one call of one callback, on the event loop or in a thread, within its time-out.

It decides nothing about what follows: order and further attempts are the dispatcher's part.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any

from titan_state.clock import within

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.instrumentation import Instrumentation
    from titan_state.journal.base import Delivery
    from titan_state.monitor.delivery.handler import Handler

logger = logging.getLogger("titan_state.monitor")

_NOTHING = contextlib.nullcontext()  # one for all: where nobody measures, nothing is made

_current: contextvars.ContextVar[Delivery] = contextvars.ContextVar("titan_state_delivery")


def current_delivery() -> Delivery:
    """Return the delivery for which the callback is called that asks: its `attempts`, whether it `is_out_of_order`.

    Raises:
        LookupError: It is no callback that asks.
    """
    return _current.get()


async def call(
    handler: Handler,
    delivery: Delivery,
    places: asyncio.Semaphore,
    clock: Clock,
    instrumentation: Instrumentation | None = None,
) -> None:
    """Call a handler once, in one of its places, within its time-out.

    Args:
        handler: The handler.
        delivery: What it is called with.
        places: How many calls of it may run at the same time.
        clock: The time.
        instrumentation: Who measures, from when there is a place.

    Raises:
        Exception: Whatever the callback raises; `TimeoutError` if the time was up.
    """
    await places.acquire()
    _current.set(delivery)  # the task of a lane is its own context
    start = _on_loop if handler.is_async else _apart
    around: AbstractContextManager[object] = _NOTHING
    if instrumentation is not None:
        around = instrumentation.delivering(handler.name, delivery.event, delivery.attempts)
    with around:
        # A task of its own: a callback that cancels the task it runs in does not end the lane.
        work = asyncio.ensure_future(start(handler.callback, delivery.event, places))
        try:
            await within(clock, handler.timeout, work)
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
