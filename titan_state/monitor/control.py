"""Control: pause, resume and stop, checked before they are sent and never sent twice blindly.

An answer that does not come is resolved by reading. Watching for the effect afterwards is the tracker's part, starting
executions that of `runs.py`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from titan_state.core.budget import Priority
from titan_state.errors import (
    ActionOutcomeUnknownError,
    ActionRejectedError,
    ExecutionUnreadableError,
    IllegalActionError,
    MonitorClosedError,
    NotFoundError,
    ResponseError,
    ServiceError,
    shorten,
)
from titan_state.monitor.outcomes import LOOKS, is_ambiguous, look_pause, unless_throttled
from titan_state.monitor.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.client.service import TaskService
    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Action, Verdict
    from titan_state.core.tracker import Tracker
    from titan_state.instrumentation import Instrumentation
    from titan_state.monitor.reader import Reader

logger = logging.getLogger("titan_state.monitor")

STATUS_AGE_S = 5.0
"""How old an observed status may be for an action to be checked against it; an older one is read again first."""

NOT_SENT = "NOT_SENT"
"""The code of an action that certainly did not reach the service."""

FIRST_SIGHT_S = 60.0
"""For how long an execution that was just started is tried to be read."""


class Control:
    """Sends control actions and runs tasks."""

    def __init__(
        self,
        service: TaskService,
        tracker: Tracker,
        clock: Clock,
        *,
        reader: Reader,
        commit: Callable[[list[Event]], None],
        committed: Callable[[], Awaitable[None]],
        instrumentation: Instrumentation | None = None,
    ) -> None:
        """Make a control.

        Args:
            service: Where requests are sent.
            tracker: What is known of executions.
            clock: The time.
            reader: Reads single executions.
            commit: Takes the events.
            committed: Returns when they are written down, or raises if they cannot be at present.
            instrumentation: Who measures.
        """
        self._service = service
        self._tracker = tracker
        self._clock = clock
        self._reader = reader
        self._commit = commit
        self._committed = committed
        self._instrumentation = instrumentation
        self._runs = Runs(service, clock, tracker.thresholds.replica_lag_s)

    async def verdict(self, execution_id: str, action: Action) -> Verdict:
        """Return whether an action is legal, of a status not older than `STATUS_AGE_S`.

        One that would refuse it, and may have changed meanwhile, is read again: an execution that was just started is
        seen queued, and is running a moment later.

        Raises:
            ExecutionNotFoundError: The service does not know the execution.
            ServiceError: The status could not be read.
        """
        seen = self._tracker.seen_at(execution_id)
        fresh = seen is not None and self._clock.time() - seen[1] <= STATUS_AGE_S
        if fresh and execution_id not in self._tracker.needs_confirmation:
            verdict = self._tracker.check(execution_id, action)
            if verdict or self._tracker.lifecycle.is_terminal(self._tracker.status(execution_id) or ""):
                return verdict
        try:
            await self._reader.read(execution_id, Priority.CONTROL)
        except NotFoundError as error:
            raise self._reader.not_found(execution_id) from error
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
            ExecutionNotFoundError: The service does not know the execution; nothing was sent.
            JournalUnavailableError: It cannot be written down that it is about to be sent; nothing was sent.
            ServiceError: The status could not be read, or the request certainly did not reach the service.
        """
        if self._instrumentation is None:
            return await self._act(execution_id, action, force=force)
        with self._instrumentation.acting(execution_id, action):
            return await self._act(execution_id, action, force=force)

    async def _act(self, execution_id: str, action: Action, *, force: bool) -> Execution:
        verdict = await self.verdict(execution_id, action)
        self._reached("checked", allowed=verdict.allowed, status=self._tracker.status(execution_id) or "")
        if not verdict and not force:
            raise IllegalActionError(execution_id, action, verdict)
        effects = self._tracker.lifecycle.effects(action, self._tracker.status(execution_id) or "")
        sent_at = self._clock.time()
        await self._intend(execution_id, action, sent_at)
        self._reached("intended")
        try:
            reading = await unless_throttled(lambda: self._service.act(execution_id, action))
        except ServiceError as error:
            await self._failed(execution_id, action, effects, sent_at, error)
        except asyncio.CancelledError:  # it may be on its way, and nobody waits to see
            self._commit(self._tracker.action_unknown(execution_id, action, at=self._clock.time()))
            raise
        else:
            self._accepted(execution_id, action, sent_at)
            if reading.value is not None and reading.value.id == execution_id:
                self._reader.take(reading.value, reading.sent_at, reading.received_at)
        return self._known(execution_id)

    def _reached(self, step: str, **facts: str | bool) -> None:
        if self._instrumentation is not None:
            self._instrumentation.reached(step, **facts)

    async def run(self, task_id: str, secret_payload: object = None) -> str:
        """Start an execution of a task, once, and return its id; see `Runs.start`."""
        return await self._runs.start(task_id, secret_payload)

    async def first_sight(self, execution_id: str) -> Execution:
        """Return an execution that was just started, once it could be read.

        Raises:
            ExecutionNotFoundError: The service does not know it, `Thresholds.not_found_s` after it was started.
            ExecutionUnreadableError: It could not be read within `FIRST_SIGHT_S`, or not any more.
        """
        grace_s = self._tracker.thresholds.not_found_s
        try:
            return await self._reader.insist(execution_id, Priority.CONTROL, grace_s=grace_s, seconds=FIRST_SIGHT_S)
        except (MonitorClosedError, ServiceError) as error:
            raise ExecutionUnreadableError(execution_id, f"({error})") from error

    async def resolve(self, execution_id: str, action: Action) -> None:
        """Look by reading whether an action took effect that may have been sent before a restart."""
        effects = self._tracker.lifecycle.effects(action, self._tracker.status(execution_id) or "")
        logger.warning(
            "%s of execution %s may have been sent before the restart, it is read", action, shorten(execution_id)
        )
        status, found = await self._look_for(execution_id, effects)
        if found:
            self._accepted(execution_id, action, None)
        else:
            logger.warning(
                "%s of execution %s shows no effect, it is %s; act again if that is still wanted",
                action,
                shorten(execution_id),
                status,
            )

    async def _intend(self, execution_id: str, action: Action, sent_at: float) -> None:
        """Write down that an action is about to be sent, or that it is not, because that cannot be written."""
        self._commit(self._tracker.action_sent(execution_id, action, at=sent_at))
        try:
            await self._committed()
        except BaseException:
            now = self._clock.time()
            self._commit(self._tracker.action_refused(execution_id, action, at=now, code=NOT_SENT, sent_at=sent_at))
            raise

    def _accepted(self, execution_id: str, action: Action, sent_at: float | None) -> None:
        self._commit(self._tracker.action_accepted(execution_id, action, at=self._clock.time(), sent_at=sent_at))
        self._reached("accepted")

    async def _failed(
        self, execution_id: str, action: Action, effects: frozenset[str], sent_at: float, error: ServiceError
    ) -> None:
        """Take in that an action had no good answer; return if reading shows that it took effect all the same."""
        now = self._clock.time()
        if not is_ambiguous(error):
            code = error.code if isinstance(error, ResponseError) else NOT_SENT
            self._reached("refused", code=code)
            self._commit(self._tracker.action_refused(execution_id, action, at=now, code=code, sent_at=sent_at))
            if not isinstance(error, ResponseError):
                raise error
            status = await self._status_now(execution_id)
            raise ActionRejectedError(execution_id, action, error.code, error.message, status) from error
        self._commit(self._tracker.action_unknown(execution_id, action, at=now))
        self._reached("unanswered")
        logger.warning("a control action had no clear answer, the execution is read: %s", error)
        status, found = await self._look_for(execution_id, effects)
        if not found:
            raise ActionOutcomeUnknownError(execution_id, action, status) from error
        self._accepted(execution_id, action, sent_at)

    async def _look_for(self, execution_id: str, effects: frozenset[str]) -> tuple[str | None, bool]:
        """Read an execution until it is in one of `effects`, or for long enough; return its status, and whether so."""
        status: str | None = None
        for look in range(LOOKS + 1):
            if look > 0:
                await self._clock.sleep(look_pause(self._tracker.thresholds.replica_lag_s))
            status = await self._status_now(execution_id)
            if status in effects:
                return status, True
        return status, False

    async def _status_now(self, execution_id: str) -> str | None:
        """Read an execution's status; None if it cannot be read."""
        try:
            await self._reader.read(execution_id, Priority.CONTROL)
        except ServiceError as error:
            logger.info("the status could not be read: %s", error)
            return None
        return self._tracker.status(execution_id)

    def _known(self, execution_id: str) -> Execution:
        execution = self._tracker.snapshot(execution_id)
        if execution is None:  # pragma: no cover - it was read before the action was sent
            raise LookupError(execution_id)
        return execution
