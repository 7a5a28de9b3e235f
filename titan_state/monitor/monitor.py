"""Monitor: the object that users hold, and what they do with it: watch, wait, check, control, listen."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, overload

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.lifecycle import Action, Verdict
from titan_state.core.retention import Baseline
from titan_state.errors import ConfigurationError
from titan_state.monitor.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from titan_state.core.execution import Execution
    from titan_state.monitor.streams import EventStream


class Monitor(Runtime):
    """Watches executions of the Titan platform, calls back, and controls them.

    Use it as an asynchronous context manager; everything but registering callbacks needs it to be entered:

    ```python
    async with Monitor("https://api.example.com", token) as monitor:
        @monitor.on_completed
        async def export(event): ...

        execution = await monitor.wait("execution-id", timeout=600)
    ```

    A callback is called once per entry into a status, in order for each execution. One that raises is called again
    after 1, 2 and 4 seconds, then the delivery is given up and logged; `retries`, `backoff` and `timeout` change that
    (see `titan_state.monitor.handlers.Registrar`).

    Leaving stops reading, then waits for open deliveries for at most `drain_s` seconds; callbacks may still check and
    act meanwhile. It stops nothing on the platform. If the service refuses the credentials (401, 403), the body is
    ended as `asyncio.timeout` does it, and the error is raised out of the `async with`, bare also where the body was
    inside an `asyncio.TaskGroup`. Only a group that holds other errors, too, comes as it is, with a note.
    """

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
        for name, task in tuple(self._tracker.tasks()):
            if not self._watches.covers(name, task):
                self._tracker.forget(name, at=now)

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

    def events(self) -> EventStream:
        """Return a stream of every event from now on: `async for event in monitor.events()`.

        Leaving the monitor ends it with `MonitorClosedError`. Events are kept for it until it is closed (`aclose`) or
        dropped; one that is neither, and is not read, slows down reading in the end.
        """
        self._now()
        return self._streams.open()

    # Waiting.

    @overload
    async def wait(  # type: ignore[overload-overlap]  # a str is an Iterable[str] too, and the first one is for it
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


def _require_id(value: str, what: str) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{what} is named by its id, a text that is not empty, not {value!r}")


def _seconds(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value
