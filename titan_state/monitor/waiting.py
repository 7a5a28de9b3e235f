"""Waiting: until executions have finished, one or many. It is fed by events; cancelling it concerns nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from titan_state.clock import within
from titan_state.core.budget import Priority
from titan_state.errors import (
    ExecutionCancelledError,
    ExecutionFailedError,
    WaitTimeoutError,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from titan_state.clock import Clock
    from titan_state.core.execution import Execution
    from titan_state.core.tracker import Tracker
    from titan_state.monitor.reader import Reader
    from titan_state.monitor.streams import Waits


class Waiting:
    """Waits for executions that are watched already."""

    def __init__(
        self,
        reader: Reader,
        tracker: Tracker,
        waits: Waits,
        clock: Clock,
        *,
        committed: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """Make what waits.

        Args:
            reader: Reads what is not known in full any more.
            tracker: What is known of executions.
            waits: Those who wait.
            clock: The time.
            committed: Returns when everything that is known is written down.
        """
        self._committed = committed
        self._reader = reader
        self._tracker = tracker
        self._waits = waits
        self._clock = clock

    async def wait(self, execution_id: str, seconds: float | None, *, check: bool) -> Execution:
        """Return an execution once it has finished; see `Monitor.wait`."""
        try:
            execution = await within(self._clock, seconds, self._end(execution_id))
        except TimeoutError:
            raise self._timeout(execution_id, seconds) from None
        if check:
            _check(execution)
        return execution

    async def wait_all(self, ids: Sequence[str], seconds: float | None, *, check: bool) -> list[Execution]:
        """Return executions in their order once all have finished, or raise at the first end that is no success."""
        found: dict[str, Execution] = {}
        async for execution in self.as_completed(tuple(dict.fromkeys(ids)), seconds):
            if check:
                _check(execution)
            found[execution.id] = execution
        return [found[name] for name in ids]

    async def as_completed(self, ids: Sequence[str], seconds: float | None) -> AsyncIterator[Execution]:
        """Hand out executions as they finish."""
        tasks = {asyncio.ensure_future(self._end(name)): name for name in ids}
        deadline = None if seconds is None else self._clock.time() + seconds
        pending = set(tasks)
        try:
            while pending:
                left = None if deadline is None else deadline - self._clock.time()
                some = asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                try:
                    done, pending = await within(self._clock, left, some)
                except TimeoutError:
                    raise self._timeout(tasks[next(iter(pending))], seconds) from None
                for task in done:
                    yield task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, execution_id: str) -> Execution:
        while not self._tracker.is_finished(execution_id):
            if self._tracker.is_missing(execution_id) or self._tracker.has_vanished(execution_id):
                await self._waits.unless_ended(self._committed())
                raise self._reader.not_found(execution_id)
            await self._waits.changed(execution_id)
        await self._waits.unless_ended(self._committed())
        # where it finished long ago, only its id and status are remembered, and the rest is read again
        execution = await self._waits.unless_ended(self._reader.insist(execution_id, Priority.CONFIRMATION))
        return self._tracker.snapshot(execution_id) or execution  # that it runs again is yet to be confirmed

    def _timeout(self, execution_id: str, seconds: float | None) -> WaitTimeoutError:
        execution = self._tracker.snapshot(execution_id)
        status = "was not seen" if execution is None else f"is {execution.status}"
        return WaitTimeoutError(
            execution_id, execution, f"execution {shorten(execution_id)} {status} after {seconds:g} s; it goes on"
        )


def _check(execution: Execution) -> None:
    """Raise if an end is no success."""
    name = shorten(execution.id)
    if execution.status == "failed":
        detail = f": {shorten(execution.error)}" if execution.error else ""
        raise ExecutionFailedError(
            execution.id, execution, f"execution {name} failed{detail}; check execution details and platform logs"
        )
    if execution.status == "cancelled":
        raise ExecutionCancelledError(execution.id, execution, f"execution {name} was stopped before completion")
