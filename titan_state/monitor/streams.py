"""Streams: what waits for events inside the program: `events()` and `wait()`.

They are fed with every committed event; they neither deliver to handlers nor read anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import AnomalyDetected, Event, Transitioned

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

T = TypeVar("T")

NOBODY: Final = ""
"""No execution has this id: who waits for it waits for the end of all waits."""


@attrs.define(eq=False)
class Inbox:
    """What waits for one stream; it is apart from the stream, so that one which nobody holds can be noticed.

    Attributes:
        queue: The events that were not handed out yet.
        arrived: Set when there is something to look at: an event, or an end.
        is_closed: Whether nobody reads it any more.
    """

    queue: deque[Event] = attrs.field(factory=deque)
    arrived: asyncio.Event = attrs.field(factory=asyncio.Event)
    is_closed: bool = False


class EventStream(AsyncIterator[Event]):
    """Every event from the moment the stream was opened: `async for event in stream`.

    It is opened by `Monitor.events`. Events are kept for it from then on, until it is closed (`aclose`, or
    `async with contextlib.aclosing(monitor.events()) as stream`) or dropped. Several tasks may read one stream: each
    event goes to one of them.
    """

    def __init__(self, streams: Streams, inbox: Inbox) -> None:
        self._streams = streams
        self._inbox = inbox
        loop = asyncio.get_running_loop()
        self._finalizer = weakref.finalize(self, _drop, loop, streams, inbox)
        self._finalizer.atexit = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. Cancelling it loses none.

        Raises:
            StopAsyncIteration: The stream was closed.
            MonitorClosedError: The monitor was left, and every event is handed out.
            UnauthorizedError: The service refused the credentials, and every event is handed out; `ForbiddenError`
                where a scope is missing.
        """
        return await self._streams.next(self._inbox)

    async def aclose(self) -> None:
        """Close the stream: nothing is kept for it any more, and whoever reads it is at its end."""
        self._finalizer.detach()
        self._streams.close(self._inbox)


class Streams:
    """The event streams that are open.

    A stream that is read too slowly does not lose events: `backlog` grows, and whoever makes events waits.
    """

    def __init__(self, drained: Callable[[], None]) -> None:
        self._inboxes: set[Inbox] = set()
        self._drained = drained
        self._end: Exception | None = None

    @property
    def backlog(self) -> int:
        """The most events that wait in any one stream."""
        return max((len(inbox.queue) for inbox in self._inboxes), default=0)

    def put(self, events: Iterable[Event]) -> None:
        """Hand events to every stream."""
        if self._end is not None:
            return
        for inbox in self._inboxes:
            inbox.queue.extend(events)
            inbox.arrived.set()

    def end(self, error: Exception) -> None:
        """End every stream, and every one to come, with an error once it is read to its end. The first end counts."""
        if self._end is None:
            self._end = error
            for inbox in self._inboxes:
                inbox.arrived.set()

    def open(self) -> EventStream:
        """Return a stream of every event from now on."""
        inbox = Inbox()
        self._inboxes.add(inbox)
        return EventStream(self, inbox)

    async def next(self, inbox: Inbox) -> Event:
        """Return the next event of a stream; see `EventStream`."""
        while not inbox.queue:
            if inbox.is_closed:
                raise StopAsyncIteration
            if self._end is not None:
                raise self._end
            inbox.arrived.clear()
            await inbox.arrived.wait()
        event = inbox.queue.popleft()
        self._drained()
        return event

    def close(self, inbox: Inbox) -> None:
        """Keep nothing for a stream any more."""
        inbox.is_closed = True
        inbox.queue.clear()
        inbox.arrived.set()
        self._inboxes.discard(inbox)
        self._drained()


def _drop(loop: asyncio.AbstractEventLoop, streams: Streams, inbox: Inbox) -> None:
    """Close the stream that nobody holds any more; it may be any thread that notices."""
    with contextlib.suppress(RuntimeError):  # the loop is closed, and with it everything else
        loop.call_soon_threadsafe(streams.close, inbox)


class Waits:
    """Those who wait for executions to end."""

    def __init__(self, terminal: frozenset[str]) -> None:
        self._terminal = terminal
        self._futures: dict[str, list[asyncio.Future[None]]] = {}
        self._end: Exception | None = None

    async def changed(self, execution_id: str) -> None:
        """Return when an event shows the end of an execution, or when a read says that it does not exist."""
        if self._end is not None:
            raise self._end
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(execution_id, []).append(future)
        try:
            await future
        finally:
            futures = self._futures[execution_id]
            futures.remove(future)
            if not futures:
                del self._futures[execution_id]

    async def unless_ended(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, but no longer than others may wait."""
        ended = asyncio.ensure_future(self.changed(NOBODY))
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, ended), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await ended
            return await task
        finally:
            for one in (task, ended):
                one.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)

    def put(self, events: Iterable[Event]) -> None:
        """Wake those whom an event concerns."""
        for event in events:
            if event.execution_id in self._futures and self._ends(event):
                self.absent(event.execution_id)

    def absent(self, execution_id: str) -> None:
        """Wake who waits for an execution that answers 404: many of those at once are one event, of the monitor."""
        for future in self._futures.get(execution_id, ()):
            if not future.done():
                future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Wake everybody with an error, also those who are still to come. The first one counts."""
        if self._end is not None:
            return
        self._end = error
        for futures in self._futures.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _ends(self, event: Event) -> bool:
        if isinstance(event, Transitioned):
            return event.dest in self._terminal
        return isinstance(event, AnomalyDetected) and event.kind is AnomalyKind.VANISHED
