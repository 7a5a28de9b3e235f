"""Monitor: the object that users hold, and what they do with it: watch, wait, check, control, listen."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack, overload

from titan_state.clock import seconds_of
from titan_state.core.anomalies import AnomalyKind
from titan_state.core.lifecycle import Action, Verdict
from titan_state.errors import ConfigurationError
from titan_state.monitor.arguments import MonitorOptions, require_id
from titan_state.monitor.health import Health, health_of
from titan_state.monitor.local_server import LocalServer
from titan_state.monitor.questions import questions
from titan_state.monitor.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from titan_state.client.outputs import Outputs
    from titan_state.core.execution import Execution
    from titan_state.core.planning.explanation import Explanation
    from titan_state.monitor.streams import EventStream
    from titan_state.monitor.survey import Known, Mark, Survey


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
    (see `titan_state.monitor.registrars.Registrar`).

    Leaving stops reading, then waits for open deliveries for at most `drain_s` seconds; callbacks may still check and
    act meanwhile. It stops nothing on the platform. If the service refuses the credentials (401, 403), the body is
    cancelled, as `asyncio.timeout` does it, and the error is raised out of the `async with`: by itself, also where the
    body was inside an `asyncio.TaskGroup`. A group that holds other errors as well is raised as it is, with a note.

    Attributes:
        service: The `TaskService` that it sends requests with, within its budget.
        lifecycle: The model.
        account: Whose executions these are.
        journal: Where events are written down.
        deliveries: Counts of what became of deliveries to handlers.
    """

    @classmethod
    def from_env(cls, **options: Unpack[MonitorOptions]) -> Self:
        """Make a monitor from the environment variables `TITAN_API_URL` and `TITAN_TOKEN`.

        Args:
            options: The keyword arguments of `Monitor`.

        Raises:
            ConfigurationError: One of the variables is not set, or cannot work.
        """
        missing = [name for name in ("TITAN_API_URL", "TITAN_TOKEN") if not os.environ.get(name)]
        if missing:
            raise ConfigurationError(f"set the environment variable{'s' * (len(missing) > 1)} {' and '.join(missing)}")
        return cls(os.environ["TITAN_API_URL"], os.environ["TITAN_TOKEN"], **options)

    async def __aenter__(self) -> Self:
        """Open the journal, begin to read, and let other programs ask."""
        await super().__aenter__()
        apart = None if self._measures is None else self._measures.stand_apart
        self._local = LocalServer(questions(self), stand_apart=apart)
        try:
            path, serve = getattr(self.journal, "path", None), getattr(self.journal, "serve", None)
            if isinstance(path, Path):
                await self._local.open(path)
            if serve is not None:
                await serve(self._local.answer)
        except BaseException as error:  # nobody else leaves what was not entered: it would read and lead on
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _stop(self) -> None:
        await self._local.close()
        await super()._stop()

    # Watching.

    def watch(self, *execution_ids: str) -> None:
        """Watch executions by their ids. Callbacks are called for the status that each is in already, too.

        Args:
            execution_ids: The executions.

        Raises:
            ConfigurationError: One of them is no id: a text that is not empty.
            MonitorClosedError: The monitor is not running.
        """
        self._check(execution_ids)
        self._watching.begin(execution_ids)

    def watch_task(self, task_id: str) -> None:
        """Watch all executions of a task, those to come included.

        What had finished before its list is first read, a moment from now, is adopted silently: it counts as known, and
        no callback is called for it. With a durable journal, that is what had finished before it was first watched.

        Args:
            task_id: The task.

        Raises:
            ConfigurationError: It is no id: a text that is not empty.
            MonitorClosedError: The monitor is not running.
        """
        self._ensure_open()
        require_id(task_id, "a task")
        self._watching.begin_list(task_id)

    def watch_all(self) -> None:
        """Watch all executions, those to come included. What had finished before is adopted: see `watch_task`.

        Raises:
            MonitorClosedError: The monitor is not running.
        """
        self._ensure_open()
        self._watching.begin_list(None)

    def unwatch(self, execution_id: str | None = None, *, task_id: str | None = None) -> None:
        """Watch something no longer; nothing remote is stopped. Without arguments: nothing at all.

        What a wait, an action or a run is busy with stays watched until that is over.

        Args:
            execution_id: An execution that was watched by its id; None for none.
            task_id: A task that was watched; None for none.
        """
        if execution_id is None and task_id is None:
            self._watching.end_all()
        else:
            self._watching.end([] if execution_id is None else [execution_id], [] if task_id is None else [task_id])

    def _busy_with(self, *execution_ids: str) -> AbstractContextManager[None]:
        self._check(execution_ids)
        return self._watching.busy_with(*execution_ids)

    def _check(self, execution_ids: Iterable[str]) -> None:
        self._ensure_open()
        for execution_id in execution_ids:
            require_id(execution_id, "an execution")

    # What is known.

    def executions(self) -> tuple[Execution, ...]:
        """Return a snapshot of every execution that is watched, as it was last seen.

        Finished ones are among them for a while (`Thresholds.retention_s`).
        """
        return tuple(one for one in self._tracker.snapshots() if self._watches.covers(one.id, one.task_id))

    def check(self, execution_id: str, action: Action | str) -> Verdict:
        """Return whether a control action is legal, of the status that was last observed (`Verdict.as_of`).

        Args:
            execution_id: The execution; one that was not read yet allows nothing.
            action: The action, or its name.

        Raises:
            UnknownActionError: There is no such action.
        """
        return self._tracker.check(execution_id, action)

    async def verdict(self, execution_id: str, action: Action | str) -> Verdict:
        """Return whether a control action is legal; the status is read first if it was not read just now.

        The execution is watched from then on.

        Args:
            execution_id: The execution.
            action: The action, or its name.

        Raises:
            ExecutionNotFoundError: The service does not know the execution.
            UnknownActionError: There is no such action.
            ServiceError: The status could not be read.
        """
        action = Action(action)
        with self._busy_with(execution_id):
            return await self._control.verdict(execution_id, action)

    def anomalies(self, execution_id: str = "") -> tuple[AnomalyKind, ...]:
        """Return the open anomalies of an execution.

        Args:
            execution_id: The execution; empty for those of the monitor itself (`blind`).
        """
        return self._tracker.open_anomalies(execution_id)

    @property
    def is_blind(self) -> bool:
        """Whether the monitor has seen nothing for too long."""
        return AnomalyKind.BLIND in self.anomalies()

    def health(self) -> Health:
        """Return whether the monitor does its work at present, and what keeps it from that, in words."""
        return health_of(self._outbox, self.journal, is_blind=self.is_blind)

    @property
    def remaining(self) -> int:
        """How many requests may still be sent in the present minute."""
        return self.service.budget.remaining(self._clock.time())

    def explain(self) -> Explanation:
        """Return which reads were chosen of late, and why, and what mean delay to expect at the present load."""
        return self._planner.explain()

    def survey(self, *, after: Mark | None = None, ids: Collection[str] = ()) -> Survey:
        """Return what is known and how the monitor fares at this moment, for a board.

        Args:
            after: Only executions that were seen since then: the `mark` of the survey before. None for all, those
                included that have finished before they were watched, or too long ago to be kept in full.
            ids: Also these executions.
        """
        return self._surveyor.survey(after, ids)

    def known(self, execution_id: str) -> Known:
        """Return what is known of one execution, and what may be done with it; nothing is asked of the service.

        Args:
            execution_id: The execution.
        """
        return self._surveyor.known(execution_id)

    def events(self) -> EventStream:
        """Return a stream of every event from now on: `async for event in monitor.events()`.

        Leaving the monitor ends it with `MonitorClosedError`. Events are kept for it until it is closed (`aclose`) or
        dropped; one that is neither, and is not read, slows down reading in the end.
        """
        self._ensure_open()
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
            timeout: Seconds, or a `timedelta`, to wait at most; None for as long as it takes.
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
        seconds = seconds_of(timeout)
        if isinstance(execution_id, str):
            with self._busy_with(execution_id):
                return await self._waiting.wait(execution_id, seconds, check=check)
        ids = tuple(execution_id)
        with self._busy_with(*ids):
            return await self._waiting.wait_all(ids, seconds, check=check)

    async def as_completed(
        self,
        execution_ids: Iterable[str],
        *,
        timeout: float | timedelta | None = None,
    ) -> AsyncGenerator[Execution, None]:
        """Hand out executions as they finish, whatever their end was.

        Args:
            execution_ids: The executions; each is watched from then on.
            timeout: Seconds, or a `timedelta`, to wait at most for all of them; None for as long as it takes.

        Yields:
            The finished executions.

        Raises:
            ExecutionNotFoundError: The service does not know one of them.
            WaitTimeoutError: Not all ended in time.
        """
        ids = tuple(dict.fromkeys(execution_ids))
        with self._busy_with(*ids):
            async for execution in self._waiting.as_completed(ids, seconds_of(timeout)):
                yield execution

    # Outputs.

    def outputs(self, execution_id: str) -> Outputs:
        """Return the outputs of an execution: result metadata, exports, rows, datasets and media.

        They are there once it has succeeded: asked for before, every method raises `OutputsUnavailableError` by what
        is known, and sends nothing. The status of an execution that is not watched is read first.

        Args:
            execution_id: The execution.

        Raises:
            ConfigurationError: It is no id.
            MonitorClosedError: The monitor is not running.
        """
        self._check((execution_id,))
        return self._looks.outputs(execution_id)

    # Control.

    async def pause(self, execution_id: str, *, force: bool = False) -> Execution:
        """Pause an execution. See `Monitor.act`."""
        return await self.act(execution_id, Action.PAUSE, force=force)

    async def resume(self, execution_id: str, *, force: bool = False) -> Execution:
        """Resume a paused execution. See `Monitor.act`."""
        return await self.act(execution_id, Action.RESUME, force=force)

    async def stop(self, execution_id: str, *, force: bool = False) -> Execution:
        """Stop an execution before completion. See `Monitor.act`."""
        return await self.act(execution_id, Action.STOP, force=force)

    async def act(self, execution_id: str, action: Action | str, *, force: bool = False) -> Execution:
        """Send a control action, if the present status allows it; the execution is watched from then on.

        It returns once the service has accepted the action. Its effect is an event like any other, and if none shows
        within `Thresholds.action_s`, that is an anomaly (`action_not_applied`). What another process or another
        monitor pauses or resumes is not explained by it: here, that is an `unexpected_flip`.

        Args:
            execution_id: The execution.
            action: The action, or its name.
            force: Send it in spite of the verdict, also where the model does not allow it.

        Returns:
            What is known of the execution.

        Raises:
            IllegalActionError: The status does not allow it; nothing was sent.
            ActionRejectedError: The service refused it.
            ActionOutcomeUnknownError: No answer came, and reading did not show the effect. It is not sent again.
            ExecutionNotFoundError: The service does not know the execution; nothing was sent.
            UnknownActionError: There is no such action.
            ServiceError: The status could not be read, or the request certainly did not reach the service.
        """
        action = Action(action)
        with self._busy_with(execution_id):
            execution = await self._control.act(execution_id, action, force=force)
            self._planner.soon(execution_id, self._clock.time())
        self._poller.wake()
        return execution

    async def run(self, task_id: str, *, secret_payload: object = None) -> Execution:
        """Start an execution of a task, and watch it. Those of one task are started one after the other.

        Once the service has accepted it, its id is in the log (INFO) and in every error, whatever happens then.

        Args:
            task_id: The task.
            secret_payload: What JSON can hold, sent along as `secret_payload`; None for nothing. It is kept nowhere.

        Returns:
            The execution as it was first seen.

        Raises:
            RunOutcomeUnknownError: No answer told whether an execution was started, and reading did not either; it
                is not started twice blindly. Its `candidates` are the executions that may be it.
            ExecutionNotFoundError: It was started, but the service does not know it.
            ExecutionUnreadableError: It was started, but could not be read within a minute, or not with these
                credentials, or the monitor was left.
            ServiceError: Nothing was started: the task's executions could not be read before, or the request was
                refused, or certainly did not reach the service.
        """
        self._ensure_open()
        require_id(task_id, "a task")
        execution_id = await self._control.run(task_id, secret_payload)
        with self._watching.busy_with(execution_id):
            return await self._control.first_sight(execution_id)
