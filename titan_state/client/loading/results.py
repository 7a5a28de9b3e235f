"""Results: what the service says of results and datasets, decoded as the `ServiceProfile` says. It sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from titan_state.client.readings import Dataset, ResultMetadata
from titan_state.client.shapes import id_of, is_count, shown
from titan_state.errors import PayloadError, ResultsNotReadyError

if TYPE_CHECKING:
    from titan_state.client.profile import ServiceProfile


def metadata_of(data: Any, profile: ServiceProfile, execution_id: str) -> ResultMetadata:
    """Return what the service says of results.

    Raises:
        ResultsNotReadyError: It says that they cannot be read yet.
        PayloadError: It says nothing that can be read.
    """
    story = pending_story(data, profile)
    if story is not None:
        raise ResultsNotReadyError(execution_id, story)
    if isinstance(data, list):
        data = {"items": data}
    if not isinstance(data, Mapping):
        raise PayloadError("result metadata must be a JSON object", body=shown(data))
    return ResultMetadata(execution_id, row_count_of(data, profile), MappingProxyType(dict(data)))


def pending_story(data: Any, profile: ServiceProfile) -> str | None:
    """Return how an answer about results says that they cannot be read yet, None if it does not say so."""
    if data is None:
        return "no data"
    if isinstance(data, Mapping):
        for key in ("status", "state"):
            value = data.get(key)
            if isinstance(value, str) and value.casefold() in profile.pending_values:
                return f"{key} {value}"
        for key in ("ready", "available"):
            if data.get(key) is False:
                return f"{key} false"
    return None


def dataset_of(item: Any, profile: ServiceProfile) -> Dataset:
    """Decode what the service says of a dataset.

    Raises:
        PayloadError: It is none.
    """
    dataset_id = id_of(item.get("id")) if isinstance(item, Mapping) else None
    if dataset_id is None:
        raise PayloadError("a dataset must be a JSON object with an id", body=shown(item))
    name = item.get("name")
    count = row_count_of(item, profile)
    return Dataset(
        id=dataset_id,
        name=name if isinstance(name, str) else None,
        execution_id=id_of(item.get("execution_id", item.get("executionId"))),
        row_count=count,
        extra=MappingProxyType({key: value for key, value in item.items() if key not in ("id", "name")}),
    )


def row_count_of(data: Mapping[str, Any], profile: ServiceProfile) -> int | None:
    """Return how many rows there are, None if the service does not say."""
    return next(filter(is_count, map(data.get, profile.row_count_keys)), None)
