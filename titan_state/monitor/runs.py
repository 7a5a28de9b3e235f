"""Runs: starts executions of tasks, each once. An answer that does not come is resolved by reading.

Watching what was started, and reading it for the first time, is not done here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from titan_state.client.retries import FIRST_RETRY_S
from titan_state.core.budget import Priority
from titan_state.core.tracking.retention import SECOND
from titan_state.errors import InternalServiceError, RunOutcomeUnknownError, ServiceError, TransportError, shorten
from titan_state.monitor.outcomes import LOOKS, is_ambiguous, look_pause, unless_throttled

if TYPE_CHECKING:
    from datetime import datetime

    from titan_state.client.readings import Page, Reading
    from titan_state.client.service import TaskService
    from titan_state.clock import Clock
    from titan_state.core.execution import Execution

logger = logging.getLogger("titan_state.monitor")

READS: Final = 3
"""How often a task's executions are read before it is run, where reading fails in a way that may pass."""

REMEMBERED: Final = 1000
"""How many executions that were started are remembered, so that none is taken for another one."""


class Runs:
    """Starts executions. Those of one task are started one after the other, so that none is taken for another."""

    def __init__(self, service: TaskService, clock: Clock, replica_lag_s: float) -> None:
        self._service = service
        self._clock = clock
        self._pause_s = look_pause(replica_lag_s)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._started: deque[str] = deque(maxlen=REMEMBERED)

    async def start(self, task_id: str, secret_payload: object = None) -> str:
        """Start an execution of a task, once.

        Args:
            task_id: The task.
            secret_payload: Sent as the request's `secret_payload`; it is kept nowhere.

        Returns:
            The id of the execution.

        Raises:
            RunOutcomeUnknownError: No answer told whether an execution was started, and reading did not either.
            ServiceError: The task's executions could not be read, or the request was refused, or certainly did not
                reach the service: nothing was started.
        """
        turn = self._turns.get(task_id)
        if turn is None:
            turn = self._turns[task_id] = asyncio.Lock()
        async with turn:
            before = await self._latest_before(task_id)
            try:
                reading = await unless_throttled(lambda: self._service.run_task(task_id, secret_payload=secret_payload))
            except ServiceError as error:
                if not is_ambiguous(error):
                    raise
                logger.warning("running a task had no clear answer, its executions are read: %s", error)
                execution_id = await self._find_new(task_id, before, error)
            else:
                execution_id = reading.value
            self._started.append(execution_id)
        logger.info("task %s was started as execution %s", shorten(task_id), shorten(execution_id))
        return execution_id

    async def _latest_before(self, task_id: str) -> Reading[Page]:
        """Return what is there before a start; a read that fails in passing is sent again, as nothing has begun yet."""
        for number in range(1, READS):
            try:
                return await self._latest(task_id)
            except (InternalServiceError, TransportError) as error:
                logger.info("a read failed before a task is run, it is sent again: %s", error)
                await self._clock.sleep(number * FIRST_RETRY_S)
        return await self._latest(task_id)

    async def _latest(self, task_id: str) -> Reading[Page]:
        return await self._service.list(task_id=task_id, priority=Priority.CONTROL)

    async def _find_new(self, task_id: str, before: Reading[Page], error: ServiceError) -> str:
        """Return the one execution of a task that is there now and was not before."""
        known = {item.id for item in before.value.items}
        new: list[Execution] = []
        for _ in range(LOOKS):
            await self._clock.sleep(self._pause_s)
            try:
                page = (await self._latest(task_id)).value
            except ServiceError as failure:
                logger.info("the task's executions could not be read: %s", failure)
            else:
                new = [item for item in page.items if item.id not in known and item.id not in self._started]
        if len(new) == 1 and not _is_older(new[0], before.served_at):
            return new[0].id
        candidates = tuple(item.id for item in new)
        if not new:
            found = "no new execution appeared"
        elif len(new) == 1:
            found = "the one execution that appeared is older, by its own date"
        else:
            found = f"{len(new)} executions appeared"
        raise RunOutcomeUnknownError(task_id, f"no clear answer came, and {found}", candidates) from error


def _is_older(execution: Execution, date: datetime | None) -> bool:
    """Return whether an execution was created before a date of the service: what was deleted may have made it show.

    Dates of answers are whole seconds, and the clocks of a service differ: a second of doubt counts as not.
    """
    return date is not None and execution.created_at is not None and execution.created_at < date - SECOND
