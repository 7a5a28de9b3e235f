"""Readings: what the client hands out, a value with the times of the request that brought it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import attrs

from titan_state.client.shapes import id_of, shown
from titan_state.core.execution import Execution, plain
from titan_state.errors import PayloadError

T = TypeVar("T")


@attrs.frozen
class Reading(Generic[T]):
    """A value that was read.

    Attributes:
        value: The value.
        sent_at: When the request was sent, in seconds of the client's clock.
        received_at: When its answer was complete.
        served_at: The service's date in the answer, None if it sent none.
    """

    value: T
    sent_at: float
    received_at: float
    served_at: datetime | None = None


@attrs.frozen
class Task:
    """A task, as the service reported it.

    Attributes:
        id: Its id.
        status: Its status, of the tasks' own set: `active`, `paused`, `completed`, `failed`, `deleted`.
        name: Its name, None if it has none.
        extra: Whatever else the service sent.
    """

    id: str
    status: str | None = None
    name: str | None = None
    extra: Mapping[str, Any] = attrs.field(default=MappingProxyType({}), hash=False)

    @classmethod
    def from_payload(cls, payload: Any) -> Task:
        """Decode what the service says of a task.

        Raises:
            PayloadError: It is no task.
        """
        task_id = id_of(payload.get("id")) if isinstance(payload, Mapping) else None
        if task_id is None:
            raise PayloadError("a task must be a JSON object with an id that is text", body=shown(payload))
        rest = {key: value for key, value in payload.items() if key not in ("id", "status", "name")}
        status, name = payload.get("status"), payload.get("name")
        return cls(
            id=task_id,
            status=status if isinstance(status, str) else None,
            name=name if isinstance(name, str) else None,
            extra=MappingProxyType(rest),
        )


@attrs.frozen
class _Paged(Generic[T]):
    """One page of a list.

    Attributes:
        items: What could be decoded, in the service's order.
        offset: How many were passed over.
        limit: How many were asked for.
        total: How many there are in all by the service's own word, None if it does not say.
        count: How many the service sent.
        rejected: Why some of them are not among the items.
    """

    items: tuple[T, ...]
    offset: int
    limit: int
    total: int | None
    count: int
    rejected: tuple[PayloadError, ...] = ()

    @property
    def is_last(self) -> bool | None:
        """Whether nothing follows; None if the page does not tell.

        A total is believed where it can be one. Some services send the number of items on the page in its place,
        which is less than what the pages before showed, or just what a full first page shows.
        """
        if self.count == 0:
            return True
        end = self.offset + self.count
        if self.total is None or self.total < end or self.total == self.count == self.limit:
            return None
        return self.total == end


@attrs.frozen
class Page(_Paged[Execution]):
    """One page of executions.

    Attributes:
        entries: The same in the same order, and among them, as they came, those that whoever asked knew already.
    """

    entries: tuple[Execution | Mapping[str, Any], ...] = ()


class TaskPage(_Paged[Task]):
    """One page of tasks."""


@attrs.frozen
class ResultMetadata:
    """What the service says of the results of an execution, once they can be read.

    Attributes:
        execution_id: The execution.
        row_count: How many rows they have, None if the service does not say.
        fields: Whatever the service sent, by its own names: none of them is documented.
    """

    execution_id: str
    row_count: int | None = None
    fields: Mapping[str, Any] = attrs.field(default=MappingProxyType({}), hash=False)


@attrs.frozen
class Dataset:
    """A dataset, as the service reported it.

    Attributes:
        id: Its id.
        name: Its name, None if it has none.
        execution_id: The execution that it is of, None if the service does not say.
        row_count: How many rows it has, None if the service does not say.
        extra: Whatever else the service sent.
    """

    id: str
    name: str | None = None
    execution_id: str | None = None
    row_count: int | None = None
    extra: Mapping[str, Any] = attrs.field(default=MappingProxyType({}), hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the dataset as JSON types."""
        return {**attrs.asdict(self, filter=attrs.filters.exclude("extra")), "extra": plain(self.extra)}
