"""Looks: asks whether results can be read, and hands what is answered to the tracker.

When it is worth it is decided by the planner, what an answer means by `core/tracking/results.py`. A service that
refuses to tell is left alone for a while: without its results, everything else goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from titan_state.client.retries import retry_delay
from titan_state.core.budget import Priority
from titan_state.errors import (
    ForbiddenError,
    NotFoundError,
    NotSupportedError,
    OutputsUnavailableError,
    PayloadError,
    ResponseError,
    ResultsNotReadyError,
    ServiceError,
    TooManyRequestsError,
    UnauthorizedError,
    shorten,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from titan_state.client.outputs import Outputs
    from titan_state.client.readings import Reading, ResultMetadata
    from titan_state.client.service import TaskService
    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.tracker import Tracker
    from titan_state.monitor.reader import Reader

logger = logging.getLogger("titan_state.monitor")

REST_S: Final = 3600.0
"""For how long results are left alone where the service refuses to tell of any: a scope is missing, say."""


IN_TROUBLE: Final = 3
"""From how many looks on that fail one after the other, none is sent for a while."""

FORGOTTEN: Final = 1000
"""Beyond so many failing looks, those of executions that are waited for no longer are forgotten."""


class Looks:
    """Looks whether results can be read."""

    def __init__(
        self,
        service: TaskService,
        tracker: Tracker,
        reader: Reader,
        clock: Clock,
        *,
        commit: Callable[[list[Event]], None],
        rng: random.Random,
    ) -> None:
        """Make what looks for results.

        Args:
            service: Where requests are sent.
            tracker: Where answers go.
            reader: Reads executions.
            clock: The time.
            commit: Takes the events.
            rng: Jitter comes from it.
        """
        self._service = service
        self._tracker = tracker
        self._reader = reader
        self._clock = clock
        self._commit = commit
        self._rng = rng
        self._failures = 0
        self._failing: dict[str, float] = {}  # since when answers about results have failed
        self._has_warned = False

    def outputs(self, execution_id: str) -> Outputs:
        """Return the outputs of an execution, for users: whatever they find out is told to the tracker, too."""
        read: str | None = None

        async def prepare() -> None:
            nonlocal read
            read = await self._ensure_outputs(execution_id, read)

        def looked(found: Reading[ResultMetadata] | ResultsNotReadyError) -> None:
            if not isinstance(found, ResultsNotReadyError):
                self._readable(execution_id, found)
            elif not self._tracker.results.is_overdue(execution_id, self._sent_at(found)):  # a look of ours will tell
                self._unreadable(execution_id, found.answer, found)

        return self._service.outputs(execution_id, prepare=prepare, looked=looked)

    async def look(self, execution_id: str) -> None:
        """Look whether the results of an execution can be read.

        Raises:
            UnauthorizedError: The service refused the credentials.
        """
        results = self._tracker.results
        try:
            reading = await self._service.outputs(execution_id).read_metadata()
        except UnauthorizedError:
            raise
        except (ForbiddenError, NotSupportedError) as error:
            self._rest(error)
            results.retry(execution_id, self._clock.time())
        except TooManyRequestsError:
            results.retry(execution_id, self._clock.time())  # the budget waits
        except ResultsNotReadyError as error:
            self._calm(execution_id)
            if not results.is_overdue(execution_id, self._sent_at(error)) or await self._is_there(execution_id):
                self._unreadable(execution_id, error.answer, error)
        except (ResponseError, PayloadError) as error:
            await self._failed(execution_id, error)
        except ServiceError as error:
            self._wait(execution_id, error)
        else:
            self._calm(execution_id)
            self._readable(execution_id, reading)

    async def _failed(self, execution_id: str, error: ResponseError | PayloadError) -> None:
        """Take in an answer that says nothing of results: an error of the service, or what cannot be read.

        If that lasts until they are overdue, and the execution itself can be read, then its results cannot be.
        """
        sent_at = self._sent_at(error)
        since = self._failing_since(execution_id, sent_at)
        is_overdue = self._tracker.results.is_overdue(execution_id, sent_at)
        lasts = sent_at >= since + self._tracker.thresholds.replica_lag_s
        if is_overdue and lasts and await self._is_there(execution_id):
            self._unreadable(execution_id, shorten(str(error)), error)
        else:
            self._wait(execution_id, error)

    def _wait(self, execution_id: str, error: ServiceError) -> None:
        """Look again later; at all others, too, if one look after the other fails: that is the service, or the way."""
        self._failures += 1
        now = self._clock.time()
        logger.debug("results could not be asked for: %s", error)
        self._tracker.results.postpone(execution_id, now, self._failing_since(execution_id, now))
        if self._failures >= IN_TROUBLE:
            self._tracker.results.rest(now + retry_delay(self._failures, self._rng))

    def _failing_since(self, execution_id: str, now: float) -> float:
        """Return since when looks of the results of an execution tell nothing."""
        if len(self._failing) > FORGOTTEN:
            is_awaited = self._tracker.results.is_awaited
            self._failing = {name: since for name, since in self._failing.items() if is_awaited(name)}
        return self._failing.setdefault(execution_id, now)

    def _calm(self, execution_id: str) -> None:
        """Take in an answer about results."""
        self._failures = 0
        self._failing.pop(execution_id, None)

    async def _is_there(self, execution_id: str) -> bool:
        """Return whether an execution can be read: one that was deleted has no results that could be overdue."""
        try:
            await self._reader.read(execution_id, Priority.OUTPUT)
        except NotFoundError:  # it may be that of a gateway: it is waited for still
            self._tracker.results.postpone(execution_id, self._clock.time())
            return False
        except UnauthorizedError:
            raise
        except ServiceError as error:
            self._wait(execution_id, error)
            return False
        return True

    def _readable(self, execution_id: str, reading: Reading[ResultMetadata]) -> None:
        self._failing.pop(execution_id, None)
        found = reading.value
        self._tracker.contact(sent_at=reading.sent_at, received_at=reading.received_at, served_at=reading.served_at)
        self._commit(
            self._tracker.results.readable(
                execution_id,
                received_at=reading.received_at,
                row_count=found.row_count,
                metadata=found.fields,
            )
        )

    def _unreadable(self, execution_id: str, answer: str, error: ServiceError) -> None:
        sent_at = self._sent_at(error)
        received_at = self._clock.time() if error.received_at is None else error.received_at
        self._tracker.contact(sent_at=sent_at, received_at=received_at)
        events = self._tracker.results.unreadable(execution_id, answer, sent_at=sent_at, received_at=received_at)
        self._commit(events)

    def _sent_at(self, error: ServiceError) -> float:
        return self._clock.time() if error.sent_at is None else error.sent_at

    def _rest(self, error: ServiceError) -> None:
        level = logging.DEBUG if self._has_warned else logging.WARNING
        logger.log(level, "results are not looked for, for an hour: %s", error)
        self._has_warned = True
        self._tracker.results.rest(self._clock.time() + REST_S)

    async def _ensure_outputs(self, execution_id: str, read: str | None) -> str:
        """Make sure that the status of an execution has outputs; read it if it is not known.

        Args:
            execution_id: The execution.
            read: The status that was read before for the same purpose: it need not be read again.

        Returns:
            The status.

        Raises:
            OutputsUnavailableError: It has none.
            ExecutionNotFoundError: The service does not know the execution.
            ServiceError: It could not be read.
        """
        status = self._tracker.last_status(execution_id) or read
        if status is None:
            try:
                reading = await self._service.get(execution_id, priority=Priority.OUTPUT)
            except NotFoundError as error:
                raise self._reader.not_found(execution_id) from error
            status = reading.value.status
        statuses = self._service.profile.output_statuses
        if status not in statuses:
            raise OutputsUnavailableError(execution_id, status, statuses)
        return status
