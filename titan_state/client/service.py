"""TaskService: the Task Service's endpoints for tasks, executions and control, typed.

It sends what it is told to and decodes what comes back. Whether an action is legal, and what an answer means for what
was known before, is decided elsewhere; what outputs are is in `outputs.py`.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack

import attrs

from titan_state.client.address import origin_of, segment
from titan_state.client.credential import Credential
from titan_state.client.exchange import Exchange
from titan_state.client.output_options import IN_PARALLEL, Hooks
from titan_state.client.outputs import Outputs
from titan_state.client.profile import ServiceProfile
from titan_state.client.readings import Page, Reading, Task, TaskPage
from titan_state.client.shapes import each, items_of, run_id_of
from titan_state.client.transport import Transport
from titan_state.clock import Clock, SystemClock
from titan_state.core.budget import Priority, RequestBudget
from titan_state.core.execution import Execution
from titan_state.core.lifecycle import Action
from titan_state.core.redaction import redacted
from titan_state.errors import ConfigurationError, PayloadError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from titan_state.client.gate import Permit
    from titan_state.client.statistics import Statistics
    from titan_state.instrumentation import Instrumentation

__all__ = ["Page", "Reading", "Task", "TaskPage", "TaskService"]

P = TypeVar("P", Page, TaskPage)

MAX_BODY: Final = 8 * 1024 * 1024
"""The largest answer that is read, in bytes after decompression; a page of 100 executions is some 50 kB."""


class TaskService:
    """A client of the Task Service. Use it as an asynchronous context manager, or close it.

    Attributes:
        origin: Where requests go, and the token with them; nowhere else.
        profile: What the documentation leaves open.
        budget: How many requests may be sent.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str | Awaitable[str]],
        *,
        profile: ServiceProfile | None = None,
        budget: RequestBudget | None = None,
        clock: Clock | None = None,
        total_timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
        max_body: int = MAX_BODY,
        rng: random.Random | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: The origin, without the `/api/v1` prefix. Plain http is for loopback only.
            token: The token, or a function, `def` or `async def`, that returns a valid one and is asked again, once,
                when the service refuses it (401). It is called on the event loop: one that takes its time must be
                `async def`. What it raises becomes a `TokenUnavailableError`.
            profile: What the documentation leaves open; None for the defaults of `ServiceProfile`.
            budget: How many requests may be sent; None for 120 a minute, the documentation's typical limit.
            clock: The time; None for the machine's own.
            total_timeout_s: Seconds that one exchange may take.
            connect_timeout_s: Seconds that connecting may take.
            max_body: The largest answer that is read, in bytes after decompression.
            rng: Jitter comes from it; None for one of its own.

        Raises:
            ConfigurationError: An argument cannot work.
        """
        for name, value in (("total_timeout_s", total_timeout_s), ("connect_timeout_s", connect_timeout_s)):
            if not isinstance(value, int | float) or not isfinite(value) or value <= 0:
                raise ConfigurationError(f"{name} must be a number of seconds above 0, not {shorten(repr(value))}")
        if not isinstance(max_body, int) or max_body < 1:
            raise ConfigurationError(f"max_body must be a number of bytes above 0, not {shorten(repr(max_body))}")
        self.profile: ServiceProfile = profile or ServiceProfile()
        self.origin: str = origin_of(url, self.profile.api_prefix)
        self.budget: RequestBudget = budget or RequestBudget()
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, nothing secret
        self._credential = Credential(token, self.profile)
        self._transport = Transport(
            self._credential,
            self.budget,
            self._clock,
            origin=self.origin,
            total_timeout_s=total_timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_body=max_body,
            rng=self._rng,
        )
        self._slots = asyncio.Semaphore(IN_PARALLEL)
        self._exchange = Exchange(
            self._transport, self._credential, self._clock, origin=self.origin, profile=self.profile
        )

    def __repr__(self) -> str:
        return f"<TaskService at {self.origin}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def lead_by(self, permit: Permit) -> None:
        """Send requests only while a permit is held: another client may be the one that sends.

        Args:
            permit: What says so. Reads wait for as long as it is not held; control fails after 5 s without it.
        """
        self._transport.permit(permit)

    def instrument(self, instrumentation: Instrumentation | None) -> None:
        """Tell of every request that is sent from now on.

        Args:
            instrumentation: Who is told; None for nobody.
        """
        self._transport.instrumentation = instrumentation

    async def close(self) -> None:
        """Close all connections; requests that wait, or are on their way, fail with `ConnectionFailedError`."""
        await self._transport.close()

    @property
    def statistics(self) -> Statistics:
        """What was sent and received since the client was made."""
        return self._transport.statistics

    def redact(self, text: str) -> str:
        """Return a text of any origin without the token, and without other credentials that are written in it.

        Args:
            text: The text.
        """
        return redacted(self._credential.redact(text))

    # Executions.

    async def get(self, execution_id: str, *, priority: Priority = Priority.POLL) -> Reading[Execution]:
        """Read one execution.

        Args:
            execution_id: The execution.
            priority: How soon the request goes, when others wait too.

        Returns:
            The execution, with the times of the request.

        Raises:
            NotFoundError: There is no such execution.
            ServiceError: The request did not succeed.
        """
        return await self._exchange.request(
            "GET", f"/executions/{segment(execution_id)}", self._execution, priority=priority
        )

    async def list(
        self,
        *,
        task_id: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        status: str | None = None,
        priority: Priority = Priority.POLL,
        known: Callable[[Any], bool] | None = None,
    ) -> Reading[Page]:
        """Read one page of executions.

        Args:
            task_id: The task whose executions are listed, None for all.
            limit: How many are asked for, `ServiceProfile.page_limit` by default.
            offset: How many are passed over.
            status: The status that is asked for only, by `ServiceProfile.status_parameter`; not all services heed it.
            priority: How soon the request goes, when others wait too.
            known: Says of the JSON of an execution whether it need not be decoded: it is in `Page.entries` only.

        Raises:
            ServiceError: The request did not succeed.
        """
        path = "/executions" if task_id is None else f"/tasks/{segment(task_id)}/executions"
        limit = self.profile.page_limit if limit is None else limit
        decode = partial(self._executions, known, limit, offset)
        query: dict[str, int | str] = {"limit": limit, "offset": offset}
        if status is not None and self.profile.status_parameter:
            query[self.profile.status_parameter] = status
        return await self._exchange.request("GET", path, decode, query, priority=priority)

    async def pause(self, execution_id: str) -> Reading[Execution | None]:
        """Ask for a pause. See `TaskService.act`."""
        return await self.act(execution_id, Action.PAUSE)

    async def resume(self, execution_id: str) -> Reading[Execution | None]:
        """Ask for a resumption. See `TaskService.act`."""
        return await self.act(execution_id, Action.RESUME)

    async def stop(self, execution_id: str) -> Reading[Execution | None]:
        """Ask for a stop. See `TaskService.act`."""
        return await self.act(execution_id, Action.STOP)

    async def act(self, execution_id: str, action: Action) -> Reading[Execution | None]:
        """Ask for a control action, without checking whether it is legal.

        Args:
            execution_id: The execution.
            action: The action, or its name.

        Returns:
            The execution, if the answer holds one.

        Raises:
            ResponseError: The service refused it.
            ServiceError: The request did not succeed; whether it was carried out may be unknown.
        """
        path = f"/executions/{segment(execution_id)}/{Action(action).value}"
        return await self._exchange.request("POST", path, self._execution_if_any, priority=Priority.CONTROL)

    # Tasks.

    async def run_task(self, task_id: str, *, secret_payload: object = None) -> Reading[str]:
        """Start an execution of a task.

        Args:
            task_id: The task.
            secret_payload: Sent as `secret_payload`; it is kept nowhere.

        Returns:
            The execution's id.

        Raises:
            ConfigurationError: `secret_payload` cannot be written as JSON; nothing was sent.
            PayloadError: The service accepted it, but its answer names no execution.
            ServiceError: The request did not succeed; whether it was carried out may be unknown.
        """
        path = f"/tasks/{segment(task_id)}/run"
        body = None if secret_payload is None else _encoded({"secret_payload": secret_payload}, "secret_payload")
        decode = partial(run_id_of, profile=self.profile, task_id=task_id)
        return await self._exchange.request("POST", path, decode, body=body, priority=Priority.CONTROL)

    async def create_task(self, definition: Mapping[str, Any]) -> Reading[Task]:
        """Create a task.

        Args:
            definition: The task, as the service wants it; sent as it is.

        Raises:
            ConfigurationError: The definition cannot be written as JSON; nothing was sent.
            ServiceError: The request did not succeed; whether it was carried out may be unknown.
        """
        body = _encoded(definition, "the definition")
        return await self._exchange.request("POST", "/tasks", Task.from_payload, body=body, priority=Priority.CONTROL)

    async def get_task(self, task_id: str) -> Reading[Task]:
        """Read one task.

        Args:
            task_id: The task.

        Raises:
            NotFoundError: There is no such task.
            ServiceError: The request did not succeed.
        """
        path = f"/tasks/{segment(task_id)}"
        return await self._exchange.request("GET", path, Task.from_payload, priority=Priority.CONTROL)

    async def list_tasks(self, *, limit: int | None = None, offset: int = 0) -> Reading[TaskPage]:
        """Read one page of tasks.

        Args:
            limit: How many are asked for, `ServiceProfile.page_limit` by default.
            offset: How many are passed over.

        Raises:
            ServiceError: The request did not succeed.
        """
        limit = self.profile.page_limit if limit is None else limit
        decode = partial(self._page, TaskPage, Task.from_payload, limit, offset)
        query = {"limit": limit, "offset": offset}
        return await self._exchange.request("GET", "/tasks", decode, query, priority=Priority.CONTROL)

    # Outputs.

    def outputs(self, execution_id: str, **hooks: Unpack[Hooks]) -> Outputs:
        """Return the outputs of an execution, whatever its status is.

        Args:
            execution_id: The execution.
            hooks: What is done on the way; see `Hooks`.

        Raises:
            ConfigurationError: It is no id.
        """
        return Outputs(self._exchange, execution_id, rng=self._rng, slots=self._slots, **hooks)

    # What an answer holds.

    def _execution(self, data: Any) -> Execution:
        execution = Execution.from_payload(data)
        if execution.dropped:
            self.statistics.dropped.update(execution.dropped)
        return execution

    def _execution_if_any(self, data: Any) -> Execution | None:
        """Decode what control answers: it is not documented, so that a success is enough."""
        try:
            return self._execution(data)
        except PayloadError:
            return None

    def _executions(self, known: Callable[[Any], bool] | None, limit: int, offset: int, data: Any) -> Page:
        if known is None:
            page = self._page(Page, self._execution, limit, offset, data)
            return attrs.evolve(page, entries=page.items)
        entries = self._page(Page, lambda item: item if known(item) else self._execution(item), limit, offset, data)
        items = tuple(entry for entry in entries.items if isinstance(entry, Execution))
        return attrs.evolve(entries, items=items, entries=entries.items)

    def _page(self, kind: Callable[..., P], decode: Callable[[Any], Any], limit: int, offset: int, data: Any) -> P:
        items, total = items_of(data, self.profile)
        good, rejected = each(decode, items)
        self.statistics.rejected += len(rejected)
        return kind(good, offset, limit, total, len(items), rejected)


def _encoded(value: Any, what: str) -> bytes:
    """Return JSON as bytes. What cannot be written is named by `what` and not shown: it may be a secret."""
    try:
        return json.dumps(dict(value), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{what} cannot be written as JSON ({type(error).__name__})") from None
