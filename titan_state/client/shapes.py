"""Shapes: where lists, totals and the id of a run are in an answer's data, as the `ServiceProfile` says.

It finds them, and decodes the items of a list one by one. What an item is, is decided where it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from titan_state.errors import PayloadError

if TYPE_CHECKING:
    from titan_state.client.profile import ServiceProfile

T = TypeVar("T")

MOST_REJECTED: Final = 1000
"""A page with more items that cannot be read is none: each leaves an error, and a hostile one would fill the memory."""


def items_of(data: Any, profile: ServiceProfile) -> tuple[Sequence[Any], int | None]:
    """Return the items of a list and their number in all, None if the service does not say.

    Raises:
        PayloadError: There is no list.
    """
    if isinstance(data, list):
        return data, None
    if isinstance(data, Mapping):
        for key in profile.item_keys:
            items = data.get(key)
            if isinstance(items, list):
                return items, next(filter(is_count, map(data.get, profile.total_keys)), None)
    raise PayloadError("no list is in the answer where ServiceProfile.item_keys says", body=shown(data))


def each(decode: Callable[[Any], T], items: Sequence[Any]) -> tuple[tuple[T, ...], tuple[PayloadError, ...]]:
    """Decode items one by one: one that is broken does not spoil the page.

    Returns:
        What could be decoded, and why the others could not.

    Raises:
        PayloadError: Far more are broken than a page should have at all.
    """
    good: list[T] = []
    rejected: list[PayloadError] = []
    for item in items:
        try:
            good.append(decode(item))
        except PayloadError as error:
            rejected.append(error)
            if len(rejected) > MOST_REJECTED:
                raise PayloadError(f"of {len(items)} items, more than {MOST_REJECTED} cannot be read") from error
    return tuple(good), tuple(rejected)


def run_id_of(data: Any, profile: ServiceProfile, task_id: str) -> str:
    """Return the id of the execution that a run has started.

    Args:
        data: The answer to the run.
        profile: Where the id is.
        task_id: The task; its own id, which may be there too, is not that of an execution.

    Raises:
        PayloadError: No id is there.
    """
    nested = data.get("execution") if isinstance(data, Mapping) else None
    for holder in (nested, data):
        if isinstance(holder, Mapping):
            for value in map(holder.get, profile.run_id_keys):
                run_id = id_of(value)
                if run_id is not None and run_id != task_id:
                    return run_id
    raise PayloadError(
        "the run was accepted, but no id is in the answer where ServiceProfile.run_id_keys says", body=shown(data)
    )


def id_of(value: Any) -> str | None:
    """Return an id, which some services send as a number, as text; None if it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return value if isinstance(value, str) and value else None


def shown(value: object) -> str:
    """Return how data is shown in an error."""
    try:
        return repr(value)[:400]
    except (RecursionError, ValueError):  # nested too deeply, or a huge integer
        return f"<{type(value).__name__}>"


def is_count(value: object) -> bool:
    """Return whether a value can be a number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
