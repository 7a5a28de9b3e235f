"""Runtime: puts the parts of a monitor together, starts and stops them, and passes events on.

What users do with a monitor is in `monitor.py`; each part decides for itself in its own module.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Self, TypeVar

from titan_state.client.service import TaskService
from titan_state.clock import Clock, SystemClock
from titan_state.core.lifecycle import Lifecycle
from titan_state.core.planner import Planner
from titan_state.core.tracker import Tracker
from titan_state.errors import MonitorClosedError
from titan_state.monitor.control import Control
from titan_state.monitor.dispatcher import DeliveryCounts, Dispatcher
from titan_state.monitor.handlers import Filter, Handlers, Registry
from titan_state.monitor.poller import Poller
from titan_state.monitor.reader import Reader
from titan_state.monitor.streams import Streams, Waits
from titan_state.monitor.waiting import Waiting
from titan_state.monitor.watches import Watches
from titan_state.monitor.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from titan_state.client.profile import ServiceProfile
    from titan_state.core.anomalies import Thresholds
    from titan_state.core.budget import RequestBudget
    from titan_state.core.events import Event
    from titan_state.monitor.callbacks import Options

F = TypeVar("F", bound="Callable[[Any], Any]")

BUFFER = 10_000
"""How many events may wait for callbacks and streams; when there are more, reading waits."""

DRAIN_S = 10.0
"""How long leaving a monitor waits for open deliveries."""

HURRIED_S = 1.0
"""How long it waits at most where an error, or a cancellation, is on its way out."""


class Runtime(Registry):
    """The parts of a monitor, and what holds them together.

    Attributes:
        service: The client of the Task Service, which shares the request budget.
        lifecycle: The model.
        deliveries: What became of deliveries to handlers.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str | Awaitable[str]],
        *,
        handlers: Handlers | None = None,
        lifecycle: Lifecycle | None = None,
        thresholds: Thresholds | None = None,
        budget: RequestBudget | None = None,
        profile: ServiceProfile | None = None,
        clock: Clock | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        """Make a monitor.

        Args:
            url: The origin of the Task Service, as in `TITAN_API_URL`: without the `/api/v1` prefix.
            token: The bearer token, or a function, `def` or `async def`, that returns a valid one.
            handlers: Handlers that were registered apart from the monitor.
            lifecycle: The model, the documented one by default.
            thresholds: When something counts as an anomaly.
            budget: How many requests may be sent, 120 a minute by default.
            profile: What the documentation leaves open about the service.
            clock: The time, the machine's own by default.
            drain_s: How many seconds leaving the monitor waits for open deliveries; it waits for one second at most
                when the body ends by an error.

        Raises:
            ConfigurationError: The URL or the token cannot work, or a handler is for a status that the model does not
                have.
        """
        self._clock = clock or SystemClock()
        self._rng = random.Random()  # noqa: S311 - jitter, nothing secret
        self.service = TaskService(url, token, profile=profile, budget=budget, clock=self._clock)
        self.lifecycle = lifecycle or Lifecycle.default()
        self._handlers = Handlers(handlers or ())
        self._handlers.check(self.lifecycle.statuses)
        self._tracker = Tracker(self.lifecycle, thresholds)
        self._planner = Planner(
            self._tracker,
            interval_s=self.service.budget.min_interval_s,
            newest_first=self.service.profile.newest_first,
        )
        self._watches = Watches()
        self._dispatcher = Dispatcher(self._handlers, self.lifecycle.terminal, self._clock)
        self.deliveries: DeliveryCounts = self._dispatcher.counts
        self._room = asyncio.Event()
        self._streams = Streams(self._room.set)
        self._waits = Waits(self.lifecycle.terminal)
        self._reader = Reader(
            self.service,
            self._tracker,
            self._planner,
            self._watches,
            self._clock,
            commit=self._commit,
            absent=self._waits.absent,
            ensure_open=self._ensure_open,
            rng=self._rng,
        )
        self._poller = Poller(
            self.service,
            self._tracker,
            self._planner,
            self._watches,
            self._clock,
            reader=self._reader,
            commit=self._commit,
            room=self._until_room,
            rng=self._rng,
        )
        self._watching = Watching(self._watches, self._planner, self._tracker, self._clock, wake=self._poller.wake)
        self._control = Control(self.service, self._tracker, self._clock, reader=self._reader, commit=self._commit)
        self._waiting = Waiting(self._reader, self._tracker, self._waits, self._clock)
        self._drain_s = drain_s
        self._runner: asyncio.Task[None] | None = None
        self._body: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._fatal: Exception | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Monitor of {self.service.origin}>"

    async def __aenter__(self) -> Self:
        if self._runner is not None or self._closed:
            raise MonitorClosedError("a monitor is entered once; make another one")
        await self.service.__aenter__()
        self._body = asyncio.current_task()
        self._cancelling = 0 if self._body is None else self._body.cancelling()
        self._tracker.anchor(self._clock.now(), self._clock.time())
        self._runner = asyncio.create_task(self._run(), name="titan_state monitor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fatal, is_ours = self._fatal, False
        if fatal is not None and self._body is not None:
            is_ours = self._body.uncancel() <= self._cancelling
        closed = MonitorClosedError("the monitor was left")
        self._streams.end(closed)
        self._waits.fail(closed)
        await self._leave(error, is_ours=is_ours)
        if fatal is None or error is fatal:
            return
        if _is_only(error, fatal) or (is_ours and (error is None or isinstance(error, asyncio.CancelledError))):
            raise fatal from None
        if error is not None:
            error.add_note(f"the monitor had been ended by {fatal!r}")

    async def _leave(self, error: BaseException | None, *, is_ours: bool) -> None:
        """Stop reading, deliver what is open, and close the client: each of them, also if one is cut short.

        Callbacks that are called meanwhile may use the monitor: it counts as closed only after them.
        """
        seconds = self._drain_s if error is None or is_ours else min(HURRIED_S, self._drain_s)
        try:
            if is_ours and not isinstance(error, asyncio.CancelledError):
                await self._take_back()
            await self._stop()
        except BaseException:
            seconds = min(HURRIED_S, seconds)
            raise
        finally:
            try:
                await self._dispatcher.close(seconds)
            finally:
                self._closed = True
                await self.service.close()

    async def _take_back(self) -> None:
        """Let our cancellation of the body come to nothing, if it is still on its way."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self._body is not None and self._body.cancelling() > self._cancelling:
                raise  # it is somebody else's

    async def _stop(self) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._poller.run()
        except Exception as error:  # noqa: BLE001 - raised out of the body, a mistake of our own too: none may go unseen
            self._fatal = error
            self._waits.fail(error)
            self._streams.end(error)
            if self._body is not None:
                self._body.cancel()

    def register(self, callback: F, filter_: Filter, options: Options) -> F:
        """Register a callback with this monitor."""
        filter_.check(self.lifecycle.statuses)
        return self._handlers.register(callback, filter_, options)

    def _commit(self, events: list[Event]) -> None:
        if events:
            self._waits.put(events)
            self._streams.put(events)
            self._dispatcher.deliver(events)

    async def _until_room(self) -> None:
        await self._dispatcher.until_below(BUFFER)
        while self._streams.backlog >= BUFFER:
            self._room.clear()
            await self._room.wait()

    def _ensure_open(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        if self._runner is None or self._closed:
            raise MonitorClosedError("the monitor is not running: use it inside `async with`")


def _is_only(error: BaseException | None, fatal: Exception) -> bool:
    """Return whether a group, such as a task group raises, holds nothing but the fatal error and cancellations."""
    if not isinstance(error, BaseExceptionGroup):
        return False
    return error.split(lambda one: one is fatal or isinstance(one, asyncio.CancelledError))[1] is None
