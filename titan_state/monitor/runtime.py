"""Runtime: puts the parts of a monitor together, starts and stops them, and passes events on.

What users do with a monitor is in `monitor.py`; each part decides for itself in its own module.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from titan_state.client.service import TaskService
from titan_state.clock import Clock, SystemClock
from titan_state.core.lifecycle import Lifecycle
from titan_state.core.planner import Planner
from titan_state.core.tracker import Tracker
from titan_state.errors import MonitorClosedError
from titan_state.journal.address import journal_of
from titan_state.monitor.body import Body
from titan_state.monitor.control import Control
from titan_state.monitor.delivery.dispatcher import DeliveryCounts, Dispatcher
from titan_state.monitor.delivery.handler import Filter
from titan_state.monitor.figures import Figures
from titan_state.monitor.handlers import Handlers, Registry
from titan_state.monitor.ledger import Ledger
from titan_state.monitor.looks import Looks
from titan_state.monitor.poller import Poller
from titan_state.monitor.reader import Reader
from titan_state.monitor.streams import Streams, Waits
from titan_state.monitor.survey import Surveyor
from titan_state.monitor.waiting import Waiting
from titan_state.monitor.watches import Watches
from titan_state.monitor.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from types import TracebackType

    from titan_state.client.profile import ServiceProfile
    from titan_state.core.anomalies import Thresholds
    from titan_state.core.budget import RequestBudget
    from titan_state.core.events import ActionUnknown, Event
    from titan_state.instrumentation import Telemetry
    from titan_state.journal.base import Journal
    from titan_state.monitor.delivery.callbacks import Options

logger = logging.getLogger("titan_state.monitor")

F = TypeVar("F", bound="Callable[[Any], Any]")

BUFFER = 10_000
"""How many events may wait for callbacks and streams in memory; when there are more, reading waits."""

DRAIN_S = 10.0
"""How long leaving a monitor waits for open deliveries."""

HURRIED_S = 1.0
"""How long it waits at most where an error, or a cancellation, is on its way out."""


class Runtime(Registry):
    """The parts of a monitor, and what holds them together.

    Attributes:
        service: The client of the Task Service, which shares the request budget.
        lifecycle: The model.
        account: Whose executions these are.
        journal: Where events are written down.
        deliveries: What became of deliveries to handlers.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str | Awaitable[str]],
        *,
        account: str | None = None,
        journal: str | os.PathLike[str] | Journal | None = None,
        handlers: Handlers | None = None,
        lifecycle: Lifecycle | None = None,
        thresholds: Thresholds | None = None,
        budget: RequestBudget | None = None,
        profile: ServiceProfile | None = None,
        clock: Clock | None = None,
        drain_s: float = DRAIN_S,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Make a monitor.

        Args:
            url: The origin of the Task Service, as in `TITAN_API_URL`: without the `/api/v1` prefix.
            token: The bearer token, or a function, `def` or `async def`, that returns a valid one.
            account: Whose executions these are, by default what the address of the journal says, or else the origin: a
                journal belongs to one account.
            journal: Where events are written down before anybody is told, and found again after a restart:
                `sqlite:///path`, a `Path`, `nats://host:4222`, or a `Journal`; in memory by default. The monitor opens
                and closes it. Where several may lead, entering the monitor waits until this one does.
            handlers: Handlers that were registered apart from the monitor; None for none.
            lifecycle: The model, the documented one by default.
            thresholds: When something counts as an anomaly; None for the defaults of `Thresholds`.
            budget: How many requests may be sent, 120 a minute by default.
            profile: What the documentation leaves open about the service; None for the defaults of `ServiceProfile`.
            clock: The time, the machine's own by default.
            drain_s: How many seconds leaving waits for open deliveries; one at most when the body ends by an error.
            telemetry: What measures, an `OpenTelemetry` of `titan_state.telemetry`; by default nothing is measured.

        Raises:
            ConfigurationError: The URL, the token or the journal cannot work, a handler is for a status that the model
                does not have, or it needs a name.
        """
        self._clock = clock or SystemClock()
        self._rng = random.Random()  # noqa: S311 - jitter, nothing secret
        self.service: TaskService = TaskService(url, token, profile=profile, budget=budget, clock=self._clock)
        self.lifecycle: Lifecycle = lifecycle or Lifecycle.default()
        self.journal: Journal = journal_of(journal, self._clock)
        self.account: str = account or getattr(self.journal, "account", None) or self.service.origin
        self._measures = None if telemetry is None else telemetry.instrument(self.account, self.service.redact)
        self.service.instrument(self._measures)
        self._handlers = Handlers(handlers or (), durable=self.journal.is_durable)
        self._handlers.check(self.lifecycle.statuses)
        profile, interval_s = self.service.profile, self.service.budget.min_interval_s
        self._tracker = Tracker(self.lifecycle, thresholds, result_statuses=profile.output_statuses)
        self._planner = Planner(
            self._tracker,
            interval_s=interval_s,
            newest_first=profile.newest_first,
            page_size=profile.page_limit,
            largest_page=profile.largest_page,
            filters=bool(profile.status_parameter),
        )
        self._watches = Watches()
        self._ledger = Ledger(self.journal, self._tracker, self._watches, self._clock, publish=self._publish)
        self._outbox = self._ledger.outbox
        self._commit = self._outbox.put
        self._dispatcher = Dispatcher(
            self._handlers,
            self.lifecycle.terminal,
            self._clock,
            self.journal,
            failed=self._end,
            clean=self.service.redact,
            instrumentation=self._measures,
        )
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
        if self._handlers.want_results:
            self._tracker.results.wants()
        self._looks = Looks(self.service, self._tracker, self._reader, self._clock, commit=self._commit, rng=self._rng)
        self._poller = Poller(
            self.service,
            self._tracker,
            self._planner,
            self._watches,
            self._clock,
            reader=self._reader,
            looks=self._looks,
            commit=self._commit,
            room=self._until_room,
            has_room=lambda: not self._outbox.is_full,
            rng=self._rng,
        )
        self._watching = Watching(self._watches, self._planner, self._tracker, self._clock, wake=self._wake)
        self._control = Control(
            self.service,
            self._tracker,
            self._clock,
            reader=self._reader,
            commit=self._commit,
            committed=lambda: self._outbox.committed(patiently=False),
            instrumentation=self._measures,
        )
        self._waiting = Waiting(self._reader, self._tracker, self._waits, self._clock, committed=self._outbox.committed)
        self._surveyor = Surveyor(
            self.service, self._tracker, self._watches, self._clock, explain=self._planner.explain
        )
        self._figures = Figures(self._ledger, self._dispatcher, self.service, self._tracker, self._planner, self._clock)
        self._drain_s = drain_s
        self._runner: asyncio.Task[None] | None = None
        self._helpers: set[asyncio.Task[None]] = set()
        self._body = Body()
        self._leaving = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<Monitor of {self.service.origin}>"

    async def __aenter__(self) -> Self:
        if self._runner is not None or self._closed:
            raise MonitorClosedError("a monitor is entered once; make another one")
        await self.service.__aenter__()
        if self._measures is not None:
            self._measures.show(self._figures.read)
        try:
            doubtful = await self._ledger.open(self.account, failed=self._end)
        except BaseException:
            await self._close()
            raise
        self._figures.has_led = True
        lease = self.journal.lease
        if lease is not None:
            self.service.lead_by(lease)
            if lease.succeeds:
                self.service.budget.succeed(self._clock.time())
            self._help(lease.until_lost)
        self._body.begin()
        self._runner = asyncio.create_task(self._supervised(self._poller.run), name="titan_state monitor")
        self._help(partial(self._ledger.follow, self._dispatcher.notify))
        if self._measures is not None:
            self._measures.published(())
            self._help(self._figures.follow)
        for event in doubtful:
            self._help(partial(self._resolve, event))
        if len(self._handlers):
            self._dispatcher.begin()
        return self

    async def _resolve(self, event: ActionUnknown) -> None:
        with self._watching.busy_with(event.execution_id):
            await self._control.resolve(event.execution_id, event.action)

    def _help(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something beside everything else, for as long as the monitor runs."""
        task = asyncio.create_task(self._supervised(work), name="titan_state helper")
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fatal, is_ours = self._body.fatal, self._body.is_ended_by_us()
        self._leaving = True
        closed = MonitorClosedError("the monitor was left")
        self._streams.end(closed)
        self._waits.fail(closed)
        await self._leave(error, is_ours=is_ours)
        self._body.tell(error, fatal, is_ours=is_ours)

    async def _leave(self, error: BaseException | None, *, is_ours: bool) -> None:
        """Stop reading, deliver what is open, and close the client: each of them, also if one is cut short.

        Callbacks that are called meanwhile may use the monitor: it counts as closed only after them.
        """
        seconds = self._drain_s if error is None or is_ours else min(HURRIED_S, self._drain_s)
        try:
            try:
                if is_ours and not isinstance(error, asyncio.CancelledError):
                    await self._body.take_back()
            finally:
                await self._stop()
        except BaseException:
            seconds = min(HURRIED_S, seconds)
            raise
        finally:
            try:
                await self._dispatcher.close(seconds)
            finally:
                self._closed = True
                try:
                    await self._ledger.close()
                finally:
                    await self._close()

    async def _close(self) -> None:
        self._closed = True
        if self._measures is not None:
            self._measures.leave()
        await self.service.close()

    async def _stop(self) -> None:
        tasks = [*self._helpers, *([] if self._runner is None else [self._runner])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _supervised(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._measures is not None:
            self._measures.stand_apart()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - raised out of the body, a mistake of our own too: none may go unseen
            self._end(error)

    def _end(self, error: Exception) -> None:
        """End the body with an error; the first one counts."""
        if self._leaving:
            logger.error("while the monitor was left: %s", error)
            return
        if self._body.fatal is not None:
            return
        self._waits.fail(error)
        self._streams.end(error)
        self._body.end(error)

    def register(self, callback: F, filter_: Filter, options: Options) -> F:
        """Register a callback with this monitor. See `Handlers.register`."""
        filter_.check(self.lifecycle.statuses)
        self._handlers.register(callback, filter_, options)
        if self._handlers.want_results:
            self._tracker.results.wants()
        if self._dispatcher.has_begun:
            self._dispatcher.begin()
        return callback

    def _wake(self) -> None:
        """Take in that something is watched from now on."""
        self._dispatcher.begin()
        self._poller.wake()

    def _publish(self, positions: Sequence[int], events: Sequence[Event]) -> None:
        """Tell everybody of events that are written down."""
        self._waits.put(events)
        self._streams.put(events)
        if self._measures is not None:
            self._measures.published(events)
        self._dispatcher.notify(positions, events)

    async def _until_room(self) -> None:
        await self._outbox.until_room()
        if not self.journal.is_durable:
            await self._dispatcher.until_below(BUFFER)
        while self._streams.backlog >= BUFFER:
            self._room.clear()
            await self._room.wait()

    def _ensure_open(self) -> None:
        if self._body.fatal is not None:
            raise self._body.fatal
        if self._runner is None or self._closed:
            raise MonitorClosedError("the monitor is not running: use it inside `async with`")
