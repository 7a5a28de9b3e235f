"""Streams: what waits for events inside the program: `events()` and `wait()`.

They are fed with every committed event; they neither deliver to handlers nor read anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import AnomalyDetected, Event, Transitioned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable


class Streams:
    """The event streams that are being read.

    A stream that is read too slowly does not lose events: `backlog` grows, and whoever makes events waits.
    """

    def __init__(self, drained: Callable[[], None]) -> None:
        self._queues: dict[asyncio.Event, deque[Event]] = {}
        self._drained = drained
        self._end: Exception | None = None

    @property
    def backlog(self) -> int:
        """The most events that wait in any one stream."""
        return max((len(queue) for queue in self._queues.values()), default=0)

    def put(self, events: Iterable[Event]) -> None:
        """Hand events to every stream."""
        for arrived, queue in self._queues.items():
            queue.extend(events)
            arrived.set()

    def end(self, error: Exception) -> None:
        """End every stream, and every one to come, with an error once it is read to its end."""
        self._end = error
        for arrived in self._queues:
            arrived.set()

    def open(self) -> AsyncIterator[Event]:
        """Return a stream of every event from now on."""
        arrived = asyncio.Event()
        queue = self._queues[arrived] = deque()
        return self._read(arrived, queue)

    async def _read(self, arrived: asyncio.Event, queue: deque[Event]) -> AsyncIterator[Event]:
        try:
            while True:
                while queue:
                    yield queue.popleft()
                    self._drained()
                if self._end is not None:
                    raise self._end
                arrived.clear()
                await arrived.wait()
        finally:
            del self._queues[arrived]
            self._drained()


class Waits:
    """Those who wait for one execution to be seen, or to end."""

    def __init__(self, terminal: frozenset[str]) -> None:
        self._terminal = terminal
        self._futures: dict[str, list[tuple[bool, asyncio.Future[None]]]] = {}
        self._end: Exception | None = None

    async def changed(self, execution_id: str, *, end: bool) -> None:
        """Return when an event shows an execution, or its end, or when a read says that it does not exist.

        Args:
            execution_id: The execution.
            end: Whether only its end is waited for.
        """
        if self._end is not None:
            raise self._end
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (end, future)
        self._futures.setdefault(execution_id, []).append(entry)
        try:
            await future
        finally:
            entries = self._futures[execution_id]
            entries.remove(entry)
            if not entries:
                del self._futures[execution_id]

    def put(self, events: Iterable[Event]) -> None:
        """Wake those whom an event concerns."""
        for event in events:
            for end, future in self._futures.get(event.execution_id, ()):
                if not future.done() and self._concerns(event, end=end):
                    future.set_result(None)

    def absent(self, execution_id: str) -> None:
        """Wake who waits for an execution that answers 404: many of those at once are one event, of the monitor."""
        for _, future in self._futures.get(execution_id, ()):
            if not future.done():
                future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Wake everybody with an error, also those who are still to come."""
        self._end = error
        for entries in self._futures.values():
            for _, future in entries:
                if not future.done():
                    future.set_exception(error)

    def _concerns(self, event: Event, *, end: bool) -> bool:
        if not end and event.execution is not None:
            return True
        if isinstance(event, Transitioned):
            return event.dest in self._terminal
        return isinstance(event, AnomalyDetected) and event.kind is AnomalyKind.VANISHED
