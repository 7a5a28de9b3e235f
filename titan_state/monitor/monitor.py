"""Monitor: the object that users hold. It puts the parts together and runs them; each part decides for itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from titan_state.client.service import TaskService
from titan_state.clock import Clock, SystemClock
from titan_state.core.anomalies import AnomalyKind
from titan_state.core.lifecycle import Action, Lifecycle, Verdict
from titan_state.core.planner import Planner
from titan_state.core.retention import Baseline
from titan_state.core.tracker import Tracker
from titan_state.errors import ConfigurationError, MonitorClosedError, ServiceError
from titan_state.monitor.control import Control
from titan_state.monitor.dispatcher import DeliveryCounts, Dispatcher
from titan_state.monitor.handlers import Filter, Handlers, Options, Registry
from titan_state.monitor.poller import Poller
from titan_state.monitor.streams import Streams, Waits
from titan_state.monitor.waiting import Waiting
from titan_state.monitor.watches import Watches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from titan_state.client.profile import ServiceProfile
    from titan_state.core.anomalies import Thresholds
    from titan_state.core.budget import RequestBudget
    from titan_state.core.events import Event
    from titan_state.core.execution import Execution

F = TypeVar("F", bound="Callable[[Any], Any]")

BUFFER = 10_000
"""How many events may wait for callbacks and streams; when there are more, reading waits."""

DRAIN_S = 10.0
"""How long leaving a monitor waits for open deliveries."""


class Monitor(Registry):
    """Watches executions of the Titan platform, calls back, and controls them.

    Use it as an asynchronous context manager; everything but registering callbacks needs it to be entered:

    ```python
    async with Monitor("https://api.example.com", token) as monitor:
        @monitor.on_completed
        async def export(event): ...

        execution = await monitor.wait("execution-id", timeout=600)
    ```

    Leaving it waits for open deliveries for at most `drain_s` seconds. It stops nothing on the platform. If the
    service refuses the credentials (401, 403), the body is ended as `asyncio.timeout` does it, and the error is
    raised out of the `async with`.

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
            drain_s: How many seconds leaving the monitor waits for open deliveries.

        Raises:
            ConfigurationError: The URL or the token cannot work.
        """
        self._clock = clock or SystemClock()
        self._rng = random.Random()  # noqa: S311 - jitter, nothing secret
        self.service = TaskService(url, token, profile=profile, budget=budget, clock=self._clock)
        self.lifecycle = lifecycle or Lifecycle.default()
        self._handlers = Handlers(handlers or ())
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
        self._poller = Poller(
            self.service,
            self._tracker,
            self._planner,
            self._watches,
            self._clock,
            commit=self._commit,
            room=self._until_room,
            rng=self._rng,
        )
        self._control = Control(self.service, self._tracker, self._clock, commit=self._commit, take=self._poller.take)
        self._waiting = Waiting(self.service, self._tracker, self._waits, self._clock, take=self._poller.take)
        self._drain_s = drain_s
        self._runner: asyncio.Task[None] | None = None
        self._body: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._fatal: ServiceError | None = None
        self._closed = False

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Make a monitor from the environment variables `TITAN_API_URL` and `TITAN_TOKEN`.

        Args:
            options: The keyword arguments of `Monitor`.

        Raises:
            ConfigurationError: One of the variables is not set, or cannot work.
        """
        missing = [name for name in ("TITAN_API_URL", "TITAN_TOKEN") if not os.environ.get(name)]
        if missing:
            raise ConfigurationError(f"set the environment variable {' and '.join(missing)}")
        return cls(os.environ["TITAN_API_URL"], os.environ["TITAN_TOKEN"], **options)

    def __repr__(self) -> str:
        return f"<Monitor of {self.service.origin}>"

    # Entering and leaving.

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
        fatal = self._fatal
        ended_by_us = False
        if fatal is not None and self._body is not None:
            ended_by_us = self._body.uncancel() <= self._cancelling
            if kind is None and ended_by_us:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)  # the cancellation may still be on its way
        self._closed = True
        closed = MonitorClosedError("the monitor was left")
        self._streams.end(closed)
        self._waits.fail(closed)
        try:
            await self._stop()
            await self._dispatcher.close(self._drain_s if error is None or ended_by_us else min(1.0, self._drain_s))
        finally:
            await self.service.close()
        if fatal is not None and ended_by_us and (kind is None or kind is asyncio.CancelledError):
            raise fatal from None

    async def _stop(self) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._poller.run()
        except ServiceError as error:
            self._fatal = error
            self._waits.fail(error)
            self._streams.end(error)
            if self._body is not None:
                self._body.cancel()

    # Watching.

    def watch(self, *execution_ids: str) -> None:
        """Watch executions by their ids. Callbacks are called for the status that each is in already, too.

        Args:
            execution_ids: The executions.
        """
        now = self._now()
        for execution_id in execution_ids:
            _require_id(execution_id, "an execution")
            if execution_id not in self._watches.ids:
                self._watches.ids.add(execution_id)
                self._tracker.expect(execution_id)
                self._planner.watch(execution_id, now)
        self._poller.wake()

    def watch_task(self, task_id: str) -> None:
        """Watch all executions of a task, those to come included. What has finished before is adopted silently."""
        _require_id(task_id, "a task")
        self._watch_list(task_id)

    def watch_all(self) -> None:
        """Watch all executions, those to come included. What has finished before is adopted silently."""
        self._watch_list(None)

    def unwatch(self, execution_id: str | None = None, *, task_id: str | None = None) -> None:
        """Watch something no longer; nothing remote is stopped. Without arguments: nothing at all.

        Args:
            execution_id: An execution that was watched by its id.
            task_id: A task that was watched.
        """
        everything = execution_id is None and task_id is None
        for name in tuple(self._watches.ids) if everything else [execution_id] if execution_id is not None else []:
            self._watches.ids.discard(name)
            self._planner.unwatch(name)
        for key in tuple(self._watches.lists) if everything else [task_id] if task_id is not None else []:
            self._watches.lists.pop(key, None)
            self._planner.unwatch_list(key)
        now = self._clock.time()
        for execution in tuple(self._tracker.snapshots()):
            if not self._watches.covers(execution):
                self._tracker.forget(execution.id, at=now)

    def _watch_list(self, task_id: str | None) -> None:
        now = self._now()
        if task_id not in self._watches.lists:
            self._watches.lists[task_id] = Baseline()
            self._planner.watch_list(task_id, now)
            self._poller.wake()

    # What is known.

    def executions(self) -> tuple[Execution, ...]:
        """Return a snapshot of every execution that is tracked, as it was last seen.

        Finished ones are among them for a while (`Thresholds.retention_s`).
        """
        return tuple(self._tracker.snapshots())

    def check(self, execution_id: str, action: Action | str) -> Verdict:
        """Return whether a control action is legal, of the status that was last observed (`Verdict.as_of`)."""
        return self._tracker.check(execution_id, action)

    async def verdict(self, execution_id: str, action: Action | str) -> Verdict:
        """Return whether a control action is legal; the status is read first if it was not read just now."""
        action = Action(action)
        self.watch(execution_id)
        return await self._control.verdict(execution_id, action)

    def anomalies(self, execution_id: str = "") -> tuple[AnomalyKind, ...]:
        """Return the open anomalies of an execution; without an id those of the monitor itself (`blind`)."""
        return self._tracker.open_anomalies(execution_id)

    @property
    def is_blind(self) -> bool:
        """Whether the monitor has seen nothing for too long."""
        return AnomalyKind.BLIND in self.anomalies()

    @property
    def remaining(self) -> int:
        """How many requests may still be sent in the present minute."""
        return self.service.budget.remaining(self._clock.time())

    def events(self) -> AsyncIterator[Event]:
        """Return a stream of every event from now on: `async for event in monitor.events()`.

        Leaving the monitor ends it with `MonitorClosedError`. One that is not read slows down reading in the end.
        """
        self._now()
        return self._streams.open()

    # Waiting.

    @overload
    async def wait(
        self, execution_id: str, *, timeout: float | timedelta | None = None, check: bool = True
    ) -> Execution: ...

    @overload
    async def wait(
        self, execution_id: Iterable[str], *, timeout: float | timedelta | None = None, check: bool = True
    ) -> list[Execution]: ...

    async def wait(
        self,
        execution_id: str | Iterable[str],
        *,
        timeout: float | timedelta | None = None,
        check: bool = True,
    ) -> Execution | list[Execution]:
        """Wait until an execution has finished, or several have; each is watched from then on.

        Cancelling the wait, or its time-out, leaves the execution alone.

        Args:
            execution_id: The execution, or several.
            timeout: Seconds to wait at most, None for as long as it takes.
            check: Whether an end that is no success is an error. `completed_with_errors` is a success.

        Returns:
            The finished execution; for several a list in their order.

        Raises:
            ExecutionFailedError: It ended in `failed`.
            ExecutionCancelledError: It ended in `cancelled`.
            ExecutionNotFoundError: The service does not know it.
            WaitTimeoutError: It did not end in time.
            UnauthorizedError: The service refused the credentials.
            ForbiddenError: A scope is missing.
            MonitorClosedError: The monitor was left.
        """
        seconds = _seconds(timeout)
        if isinstance(execution_id, str):
            self.watch(execution_id)
            return await self._waiting.wait(execution_id, seconds, check=check)
        ids = tuple(execution_id)
        self.watch(*ids)
        return await self._waiting.wait_all(ids, seconds, check=check)

    async def as_completed(
        self,
        execution_ids: Iterable[str],
        *,
        timeout: float | timedelta | None = None,
    ) -> AsyncIterator[Execution]:
        """Hand out executions as they finish, whatever their end was.

        Args:
            execution_ids: The executions; each is watched from then on.
            timeout: Seconds to wait at most for all of them.

        Yields:
            The finished executions.

        Raises:
            ExecutionNotFoundError: The service does not know one of them.
            WaitTimeoutError: Not all ended in time.
        """
        ids = tuple(dict.fromkeys(execution_ids))
        self.watch(*ids)
        async for execution in self._waiting.as_completed(ids, _seconds(timeout)):
            yield execution

    # Control.

    async def pause(self, execution_id: str, *, force: bool = False) -> Execution:
        """Pause an execution. See `act`."""
        return await self.act(execution_id, Action.PAUSE, force=force)

    async def resume(self, execution_id: str, *, force: bool = False) -> Execution:
        """Resume a paused execution. See `act`."""
        return await self.act(execution_id, Action.RESUME, force=force)

    async def stop(self, execution_id: str, *, force: bool = False) -> Execution:
        """Stop an execution before completion. See `act`."""
        return await self.act(execution_id, Action.STOP, force=force)

    async def act(self, execution_id: str, action: Action | str, *, force: bool = False) -> Execution:
        """Send a control action, if the present status allows it; the execution is watched from then on.

        It returns once the service has accepted the action. Its effect is an event like any other, and if none shows
        within `Thresholds.action_s`, that is an anomaly (`action_not_applied`).

        Args:
            execution_id: The execution.
            action: The action.
            force: Send it in spite of the verdict.

        Returns:
            What is known of the execution.

        Raises:
            IllegalActionError: The status does not allow it; nothing was sent.
            ActionRejectedError: The service refused it.
            ActionOutcomeUnknownError: No answer came, and reading did not show the effect. It is not sent again.
            ServiceError: The status could not be read, or the request certainly did not reach the service.
        """
        action = Action(action)
        self.watch(execution_id)
        execution = await self._control.act(execution_id, action, force=force)
        self._planner.soon(execution_id, self._clock.time())
        self._poller.wake()
        return execution

    async def run(self, task_id: str, *, secret_payload: object = None) -> Execution:
        """Start an execution of a task, and watch it.

        Args:
            task_id: The task.
            secret_payload: Sent along as `secret_payload`; it is kept nowhere.

        Returns:
            The execution as it was first seen.

        Raises:
            RunOutcomeUnknownError: No answer told whether an execution was started, and reading did not either; it
                is not started twice blindly.
            ExecutionNotFoundError: It was started, but cannot be read.
            ServiceError: The request was refused, or certainly did not reach the service.
        """
        self._now()
        _require_id(task_id, "a task")
        execution_id = await self._control.run(task_id, secret_payload)
        self.watch(execution_id)
        return await self._waiting.first_sight(execution_id)

    # Registering.

    def register(self, callback: F, filter_: Filter, options: Options) -> F:
        """Register a callback with this monitor."""
        return self._handlers.register(callback, filter_, options)

    # How events go their way.

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

    def _now(self) -> float:
        if self._fatal is not None:
            raise self._fatal
        if self._runner is None or self._closed:
            raise MonitorClosedError("the monitor is not running: use it inside `async with`")
        return self._clock.time()


def _require_id(value: str, what: str) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{what} is named by its id, a text that is not empty, not {value!r}")


def _seconds(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value
