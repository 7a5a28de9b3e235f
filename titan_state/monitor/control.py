"""Control: pause, resume, stop and run, checked before they are sent and never sent twice blindly.

An answer that does not come is resolved by reading. Watching for the effect afterwards is the tracker's part.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from titan_state.core.budget import Priority
from titan_state.errors import (
    ActionOutcomeUnknownError,
    ActionRejectedError,
    IllegalActionError,
    InternalServiceError,
    NotFoundError,
    NotSupportedError,
    PayloadError,
    ResponseError,
    RunOutcomeUnknownError,
    ServiceError,
    TooManyRequestsError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.client.service import TaskService
    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Action, Verdict
    from titan_state.core.tracker import Tracker

T = TypeVar("T")

logger = logging.getLogger("titan_state.monitor")

STATUS_AGE_S = 5.0
"""How old an observed status may be for an action to be checked against it; an older one is read again first."""

ATTEMPTS = 5
"""How often a request is sent that was answered with 429, which says that it was not carried out."""

RESOLVE_LAGS = 3
"""For how many replica lags an outcome is looked for that no answer told, by reading."""

LOOKS = 6
"""How many reads look for it in that time."""


class Control:
    """Sends control actions and runs tasks."""

    def __init__(
        self,
        service: TaskService,
        tracker: Tracker,
        clock: Clock,
        *,
        commit: Callable[[list[Event]], None],
        take: Callable[[Execution, float, float], None],
        miss: Callable[[str, NotFoundError], None],
    ) -> None:
        """Make a control.

        Args:
            service: Where requests are sent.
            tracker: What is known of executions.
            clock: The time.
            commit: Takes the events.
            take: Takes in an execution that was read, with the times of sending and receiving.
            miss: Takes in that an execution answered 404.
        """
        self._service = service
        self._tracker = tracker
        self._clock = clock
        self._commit = commit
        self._take = take
        self._miss = miss

    async def verdict(self, execution_id: str, action: Action) -> Verdict:
        """Return whether an action is legal, of a status not older than `STATUS_AGE_S`.

        Raises:
            NotFoundError: There is no such execution.
            ServiceError: The status could not be read.
        """
        seen = self._tracker.seen_at(execution_id)
        fresh = seen is not None and self._clock.time() - seen[1] <= STATUS_AGE_S
        if not fresh or execution_id in self._tracker.needs_confirmation:
            await self._read(execution_id)
        return self._tracker.check(execution_id, action)

    async def act(self, execution_id: str, action: Action, *, force: bool = False) -> Execution:
        """Send a control action if it is legal.

        Args:
            execution_id: The execution.
            action: The action.
            force: Send it in spite of the verdict.

        Returns:
            What is known of the execution once the service has accepted the action; the effect may still be to come.

        Raises:
            IllegalActionError: The status does not allow it; nothing was sent.
            ActionRejectedError: The service refused it.
            ActionOutcomeUnknownError: No answer came, and reading did not show the effect.
            ServiceError: The status could not be read, or the request certainly did not reach the service.
        """
        verdict = await self.verdict(execution_id, action)
        if not verdict and not force:
            raise IllegalActionError(execution_id, action, verdict)
        effects = self._tracker.lifecycle.effects(action, self._tracker.status(execution_id) or "")
        sent_at = self._clock.time()
        self._commit(self._tracker.action_sent(execution_id, action, at=sent_at))
        try:
            reading = await self._unless_throttled(lambda: self._service.act(execution_id, action))
        except ServiceError as error:
            await self._failed(execution_id, action, effects, sent_at, error)
        except asyncio.CancelledError:  # it may be on its way, and nobody waits to see
            self._commit(self._tracker.action_unknown(execution_id, action, at=self._clock.time()))
            raise
        else:
            self._accepted(execution_id, action, sent_at)
            if reading.value is not None and reading.value.id == execution_id:
                self._take(reading.value, reading.sent_at, reading.received_at)
        return self._known(execution_id)

    async def run(self, task_id: str, secret_payload: object = None) -> str:
        """Start an execution of a task, once.

        Args:
            task_id: The task.
            secret_payload: Sent as the request's `secret_payload`; it is kept nowhere.

        Returns:
            The id of the execution.

        Raises:
            RunOutcomeUnknownError: No answer told whether an execution was started, and reading did not either.
            ServiceError: The request was refused, or certainly did not reach the service.
        """
        before = await self._latest(task_id)
        try:
            reading = await self._unless_throttled(
                lambda: self._service.run_task(task_id, secret_payload=secret_payload)
            )
        except ServiceError as error:
            if not _is_ambiguous(error):
                raise
            logger.warning("running a task had no clear answer, its executions are read: %s", error)
            return await self._find_new(task_id, before, error)
        return reading.value

    def _accepted(self, execution_id: str, action: Action, sent_at: float) -> None:
        self._commit(self._tracker.action_accepted(execution_id, action, at=self._clock.time(), sent_at=sent_at))

    async def _failed(
        self, execution_id: str, action: Action, effects: frozenset[str], sent_at: float, error: ServiceError
    ) -> None:
        """Take in that an action had no good answer; return if reading shows that it took effect all the same."""
        now = self._clock.time()
        if not _is_ambiguous(error):
            code = error.code if isinstance(error, ResponseError) else "NOT_SENT"
            self._commit(self._tracker.action_refused(execution_id, action, at=now, code=code, sent_at=sent_at))
            if not isinstance(error, ResponseError):
                raise error
            status = await self._status_now(execution_id)
            raise ActionRejectedError(execution_id, action, error.code, error.message, status) from error
        self._commit(self._tracker.action_unknown(execution_id, action, at=now))
        logger.warning("a control action had no clear answer, the execution is read: %s", error)
        pause_s = RESOLVE_LAGS * self._tracker.thresholds.replica_lag_s / LOOKS
        for look in range(LOOKS):
            status = await self._status_now(execution_id)
            if status in effects:
                self._accepted(execution_id, action, sent_at)
                return
            if look < LOOKS - 1:
                await self._clock.sleep(pause_s)
        status = await self._status_now(execution_id)
        raise ActionOutcomeUnknownError(execution_id, action, status) from error

    async def _unless_throttled(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send a request, and again while it is answered with 429: the budget waits in between."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await send()
            except TooManyRequestsError as error:
                logger.info("a request waits for the request limit: %s", error)
        return await send()

    async def _read(self, execution_id: str) -> None:
        try:
            reading = await self._service.get(execution_id, priority=Priority.CONTROL)
        except NotFoundError as error:
            self._miss(execution_id, error)
            raise
        if reading.value.id != execution_id:
            raise PayloadError("the answer is about another execution", body=reading.value.id)
        self._take(reading.value, reading.sent_at, reading.received_at)

    async def _status_now(self, execution_id: str) -> str | None:
        """Read an execution's status; None if it cannot be read."""
        try:
            await self._read(execution_id)
        except ServiceError as error:
            logger.info("the status could not be read: %s", error)
            return None
        return self._tracker.status(execution_id)

    def _known(self, execution_id: str) -> Execution:
        execution = self._tracker.snapshot(execution_id)
        if execution is None:  # pragma: no cover - it was read before the action was sent
            raise LookupError(execution_id)
        return execution

    async def _latest(self, task_id: str) -> frozenset[str]:
        reading = await self._service.list(task_id=task_id, priority=Priority.CONTROL)
        return frozenset(item.id for item in reading.value.items)

    async def _find_new(self, task_id: str, before: frozenset[str], error: ServiceError) -> str:
        """Return the one execution of a task that is there now and was not before."""
        new: frozenset[str] = frozenset()
        for _ in range(LOOKS):
            await self._clock.sleep(RESOLVE_LAGS * self._tracker.thresholds.replica_lag_s / LOOKS)
            try:
                new = await self._latest(task_id) - before
            except ServiceError as failure:
                logger.info("the task's executions could not be read: %s", failure)
        if len(new) == 1:
            return next(iter(new))
        found = "no new execution appeared" if not new else f"{len(new)} new executions appeared"
        raise RunOutcomeUnknownError(task_id, f"no clear answer came, and {found}") from error


def _is_ambiguous(error: ServiceError) -> bool:
    """Return whether a request that failed may have been carried out."""
    if isinstance(error, TransportError):
        return error.sent
    if isinstance(error, NotSupportedError):
        return False
    return isinstance(error, InternalServiceError | PayloadError)
