"""TaskService: the Task Service's endpoints for tasks, executions and control, typed.

It sends what it is told to and decodes what comes back. Whether an action is legal, and what an answer means for what
was known before, is decided elsewhere; outputs have a module of their own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from titan_state.client.address import origin_of, segment, url_of
from titan_state.client.answer import Answer
from titan_state.client.credential import Credential
from titan_state.client.envelope import unwrap
from titan_state.client.profile import ServiceProfile
from titan_state.client.readings import Page, Reading, Task, TaskPage
from titan_state.client.transport import Transport
from titan_state.clock import Clock, SystemClock
from titan_state.core.budget import Priority, RequestBudget
from titan_state.core.execution import Execution
from titan_state.core.lifecycle import Action
from titan_state.errors import ConfigurationError, PayloadError, UnauthorizedError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.client.statistics import Statistics

__all__ = ["Page", "Reading", "Task", "TaskPage", "TaskService"]

T = TypeVar("T")

MAX_BODY = 8 * 1024 * 1024
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
                when the service refuses it (401).
            profile: What the documentation leaves open.
            budget: How many requests may be sent, 120 a minute by default.
            clock: The time.
            total_timeout_s: Seconds that one exchange may take.
            connect_timeout_s: Seconds that connecting may take.
            max_body: The largest answer that is read, in bytes after decompression.
            rng: Jitter comes from it.

        Raises:
            ConfigurationError: The URL or the token cannot work.
        """
        self.profile = profile or ServiceProfile()
        self.origin = origin_of(url, self.profile.api_prefix)
        self.budget = budget or RequestBudget()
        self._clock = clock or SystemClock()
        self._credential = Credential(token, self.profile)
        self._transport = Transport(
            self._credential,
            self.budget,
            self._clock,
            total_timeout_s=total_timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_body=max_body,
            rng=rng or random.Random(),  # noqa: S311 - jitter, nothing secret
        )

    def __repr__(self) -> str:
        return f"<TaskService at {self.origin}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    @property
    def statistics(self) -> Statistics:
        """What was sent and received since the client was made."""
        return self._transport.statistics

    # Executions.

    async def get(self, execution_id: str, *, priority: Priority = Priority.POLL) -> Reading[Execution]:
        """Read one execution.

        Raises:
            NotFoundError: There is no such execution.
            ServiceError: The request did not succeed.
        """
        path = f"/executions/{segment(execution_id)}"
        answer, data = await self._request("GET", path, priority=priority)
        execution = _decoded(Execution.from_payload, data, "GET " + path)
        self.statistics.dropped.update(execution.dropped)
        return _reading(answer, execution)

    async def list(
        self,
        *,
        task_id: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        priority: Priority = Priority.POLL,
    ) -> Reading[Page]:
        """Read one page of executions.

        Args:
            task_id: The task whose executions are listed, None for all.
            limit: How many are asked for, `ServiceProfile.page_limit` by default.
            offset: How many are passed over.
            priority: How soon the request goes, when others wait too.

        Raises:
            ServiceError: The request did not succeed.
        """
        path = "/executions" if task_id is None else f"/tasks/{segment(task_id)}/executions"
        limit = self.profile.page_limit if limit is None else limit
        answer, data = await self._request("GET", path, {"limit": limit, "offset": offset}, priority=priority)
        items, total = self._items(data, "GET " + path)
        good, rejected = self._each(Execution.from_payload, items)
        for execution in good:
            if execution.dropped:
                self.statistics.dropped.update(execution.dropped)
        return _reading(answer, Page(good, offset, limit, total, len(items), rejected))

    async def pause(self, execution_id: str) -> Reading[Execution | None]:
        """Ask for a pause; see `act`."""
        return await self.act(execution_id, Action.PAUSE)

    async def resume(self, execution_id: str) -> Reading[Execution | None]:
        """Ask for a resumption; see `act`."""
        return await self.act(execution_id, Action.RESUME)

    async def stop(self, execution_id: str) -> Reading[Execution | None]:
        """Ask for a stop; see `act`."""
        return await self.act(execution_id, Action.STOP)

    async def act(self, execution_id: str, action: Action) -> Reading[Execution | None]:
        """Ask for a control action, without checking whether it is legal.

        Returns:
            The execution, if the answer holds one.

        Raises:
            ResponseError: The service refused it.
            ServiceError: The request did not succeed; whether it was carried out may be unknown.
        """
        path = f"/executions/{segment(execution_id)}/{Action(action).value}"
        answer, data = await self._request("POST", path, priority=Priority.CONTROL)
        try:
            execution = Execution.from_payload(data)
        except PayloadError:  # what control answers is not documented: a success is enough
            execution = None
        return _reading(answer, execution)

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
        answer, data = await self._request("POST", path, body=body, priority=Priority.CONTROL)
        nested = data.get("execution") if isinstance(data, Mapping) else None
        for holder in (nested, data):
            values = [holder.get(key) for key in self.profile.run_id_keys] if isinstance(holder, Mapping) else []
            for value in values:
                if isinstance(value, str) and value:
                    return _reading(answer, value)
        raise PayloadError("the run was accepted, but no id is in the answer", body=_text(data), request="POST " + path)

    async def create_task(self, definition: Mapping[str, Any]) -> Reading[Task]:
        """Create a task.

        Args:
            definition: The task, as the service wants it; sent as it is.

        Raises:
            ConfigurationError: The definition cannot be written as JSON; nothing was sent.
            ServiceError: The request did not succeed; whether it was carried out may be unknown.
        """
        body = _encoded(definition, "the definition")
        answer, data = await self._request("POST", "/tasks", body=body, priority=Priority.CONTROL)
        return _reading(answer, _decoded(Task.from_payload, data, "POST /tasks"))

    async def get_task(self, task_id: str) -> Reading[Task]:
        """Read one task.

        Raises:
            NotFoundError: There is no such task.
            ServiceError: The request did not succeed.
        """
        path = f"/tasks/{segment(task_id)}"
        answer, data = await self._request("GET", path, priority=Priority.CONTROL)
        return _reading(answer, _decoded(Task.from_payload, data, "GET " + path))

    async def list_tasks(self, *, limit: int | None = None, offset: int = 0) -> Reading[TaskPage]:
        """Read one page of tasks.

        Args:
            limit: How many are asked for, `ServiceProfile.page_limit` by default.
            offset: How many are passed over.

        Raises:
            ServiceError: The request did not succeed.
        """
        limit = self.profile.page_limit if limit is None else limit
        query = {"limit": limit, "offset": offset}
        answer, data = await self._request("GET", "/tasks", query, priority=Priority.CONTROL)
        items, total = self._items(data, "GET /tasks")
        good, rejected = self._each(Task.from_payload, items)
        return _reading(answer, TaskPage(good, offset, limit, total, len(items), rejected))

    # How a request is made.

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, int] | None = None,
        *,
        body: bytes | None = None,
        priority: Priority,
    ) -> tuple[Answer, Any]:
        """Send a request, with another token once if the first is refused, and return the answer and its data."""
        url = url_of(self.origin, self.profile.api_prefix + path, query or {})
        name = f"{method} {shorten(path)}"
        answer = await self._transport.exchange(method, url, name, priority, body)
        try:
            return answer, unwrap(answer, name, self._credential, self._clock.now())
        except UnauthorizedError:
            if not self._credential.is_renewable:
                raise
        await self._credential.renew(answer.token)
        answer = await self._transport.exchange(method, url, name, priority, body)
        return answer, unwrap(answer, name, self._credential, self._clock.now())

    def _items(self, data: Any, name: str) -> tuple[Sequence[Any], int | None]:
        """Return the items of a list and their number in all, wherever this service puts them."""
        if isinstance(data, list):
            return data, None
        if isinstance(data, Mapping):
            for key in self.profile.item_keys:
                items = data.get(key)
                if isinstance(items, list):
                    totals = (data.get(total) for total in self.profile.total_keys)
                    total = next((n for n in totals if isinstance(n, int) and not isinstance(n, bool) and n >= 0), None)
                    return items, total
        raise PayloadError("no list is in the answer", body=_text(data), request=name)

    def _each(self, decode: Callable[[Any], T], items: Sequence[Any]) -> tuple[tuple[T, ...], tuple[PayloadError, ...]]:
        """Decode items one by one: one that is broken does not spoil the page."""
        good: list[T] = []
        rejected: list[PayloadError] = []
        for item in items:
            try:
                good.append(decode(item))
            except PayloadError as error:
                rejected.append(error)
        self.statistics.rejected += len(rejected)
        return tuple(good), tuple(rejected)


def _reading(answer: Answer, value: T) -> Reading[T]:
    return Reading(value, answer.sent_at, answer.received_at, answer.served_at)


def _decoded(decode: Callable[[Any], T], data: Any, name: str) -> T:
    try:
        return decode(data)
    except PayloadError as error:
        raise PayloadError(str(error), request=shorten(name)) from None


def _encoded(value: Any, what: str) -> bytes:
    """Return JSON as bytes. What cannot be written is named by `what` and not shown: it may be a secret."""
    try:
        return json.dumps(dict(value), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{what} cannot be written as JSON ({type(error).__name__})") from None


def _text(data: Any) -> str:
    try:
        return repr(data)[:400]
    except (RecursionError, ValueError):
        return f"<{type(data).__name__}>"
