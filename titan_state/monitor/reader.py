"""Reader: reads one execution for whoever asks, once or until it succeeds, and hands what was read to the tracker.

It chooses nothing: what is to be read is said by the planner, by control, or by who waits. What an answer means is
the tracker's part.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from titan_state.client.retries import retry_delay
from titan_state.errors import (
    ExecutionNotFoundError,
    ExecutionUnreadableError,
    ForbiddenError,
    NotFoundError,
    PayloadError,
    ServiceError,
    UnauthorizedError,
    shorten,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from titan_state.client.service import TaskService
    from titan_state.clock import Clock
    from titan_state.core.budget import Priority
    from titan_state.core.events import Event
    from titan_state.core.execution import Execution
    from titan_state.core.planner import Planner
    from titan_state.core.tracker import Tracker
    from titan_state.monitor.watches import Watches

logger = logging.getLogger("titan_state.monitor")


class Reader:
    """Reads single executions."""

    def __init__(
        self,
        service: TaskService,
        tracker: Tracker,
        planner: Planner,
        watches: Watches,
        clock: Clock,
        *,
        commit: Callable[[list[Event]], None],
        absent: Callable[[str], None],
        ensure_open: Callable[[], None],
        rng: random.Random,
    ) -> None:
        """Make a reader.

        Args:
            service: Where reads are sent.
            tracker: Where answers go.
            planner: Told of what nobody watches any more.
            watches: What is watched.
            clock: The time.
            commit: Takes the events.
            absent: Told of every execution that answers 404, once the tracker knows.
            ensure_open: Raises if nothing is to be read any more.
            rng: Jitter comes from it.
        """
        self._service = service
        self._tracker = tracker
        self._planner = planner
        self._watches = watches
        self._clock = clock
        self._commit = commit
        self._absent = absent
        self._ensure_open = ensure_open
        self._rng = rng

    async def read(self, execution_id: str, priority: Priority) -> Execution:
        """Read an execution, once.

        Raises:
            NotFoundError: The service says that there is none (404).
            ServiceError: It could not be read.
        """
        try:
            reading = await self._service.get(execution_id, priority=priority)
        except NotFoundError as error:
            self._miss(execution_id, error)
            raise
        if reading.value.id != execution_id:
            raise PayloadError(
                f"asked for execution {shorten(execution_id)}, the answer is about another", body=reading.value.id
            )
        self.take(reading.value, reading.sent_at, reading.received_at)
        return reading.value

    async def insist(
        self, execution_id: str, priority: Priority, *, grace_s: float = 0.0, seconds: float | None = None
    ) -> Execution:
        """Read an execution until that succeeds, or somebody else has read it; later each time.

        Args:
            execution_id: The execution.
            priority: How urgent it is.
            grace_s: For how many seconds a 404 is not believed.
            seconds: For how many seconds it is tried, None for as long as it takes.

        Raises:
            ExecutionNotFoundError: The service does not know it.
            ExecutionUnreadableError: It could not be read in time.
            UnauthorizedError: The service refused the credentials.
            ForbiddenError: A scope is missing.
            MonitorClosedError: The monitor was left.
        """
        began, failures = self._clock.time(), 0
        while (execution := self._tracker.snapshot(execution_id)) is None:
            failure: ServiceError
            self._ensure_open()
            try:
                return await self.read(execution_id, priority)
            except (UnauthorizedError, ForbiddenError):
                raise
            except NotFoundError as error:
                if self._clock.time() - began >= grace_s:
                    raise self.not_found(execution_id) from error
                failure = error
            except ServiceError as error:
                failure = error
            failures += 1
            delay_s = retry_delay(failures, self._rng)
            logger.info("a read failed, next attempt in %.1f s: %s", delay_s, failure)
            if seconds is not None and self._clock.time() + delay_s > began + seconds:
                raise ExecutionUnreadableError(execution_id, f"within {seconds:g} s ({failure})") from failure
            await self._clock.sleep(delay_s)
        return execution

    def not_found(self, execution_id: str) -> ExecutionNotFoundError:
        """Return the error that says that the service does not know an execution, or no longer."""
        execution = self._tracker.snapshot(execution_id)
        story = "does not know" if execution is None else "no longer knows"
        return ExecutionNotFoundError(
            execution_id,
            execution,
            f"the service {story} execution {shorten(execution_id)}: check its id, the URL, and whether it was deleted",
        )

    def take(self, execution: Execution, sent_at: float, received_at: float) -> None:
        """Hand an execution that was read to the tracker, if it is watched."""
        execution = of_task(execution, self._tracker.task_of(execution.id))  # a list may have told
        if not self._watches.covers(execution.id, execution.task_id):
            self._planner.unwatch(execution.id)
            self._tracker.forget(execution.id, at=received_at)
            return
        baseline = self._watches.baseline(execution.id, execution.task_id)
        events = self._tracker.observe(execution, sent_at=sent_at, received_at=received_at, baseline=baseline)
        self._commit(events)

    def _miss(self, execution_id: str, error: NotFoundError) -> None:
        """Hand to the tracker that an execution answered 404."""
        now = self._clock.time()
        sent_at = now if error.sent_at is None else error.sent_at
        received_at = now if error.received_at is None else error.received_at
        if self._watches.covers(execution_id, self._tracker.task_of(execution_id)):
            self._commit(self._tracker.absent(execution_id, sent_at=sent_at, received_at=received_at))
        else:
            self._tracker.forget(execution_id, at=now)
        self._absent(execution_id)


def of_task(execution: Execution, task_id: str | None) -> Execution:
    """Return an execution with the task that it is known to be of, where it does not say so itself."""
    return execution if task_id is None or execution.task_id is not None else attrs.evolve(execution, task_id=task_id)
