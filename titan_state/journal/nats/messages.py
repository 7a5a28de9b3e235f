"""Messages: what is known, as the payloads that the stream keeps. Pure.

The id of an execution is in the payload, as JSON: it may be any text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core import codec
from titan_state.core.execution import NOTHING_EXTRA
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import FIELDS, FINAL, RARE, STATUS
from titan_state.errors import PayloadError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from titan_state.core.events import Event
    from titan_state.core.execution import Execution
    from titan_state.core.tracking.state import Row

_LONGEST_TEXTS: Final = (10_000, 1000, 100)
_MOST_DROPPED: Final = 100
_text: Final = json.JSONEncoder(ensure_ascii=True, check_circular=False, separators=(",", ":")).encode


@attrs.frozen(kw_only=True)
class Head:
    """What every batch rewrites: who leads, and how far that is.

    Attributes:
        epoch: How often the account has been taken over.
        mark: What tells this writing from all others.
        holder: Who leads, for messages.
        floor: See `titan_state.core.tracking.state.State`.
        horizon: See `titan_state.core.tracking.state.State`.
    """

    epoch: int
    mark: str
    holder: str
    floor: int = 0
    horizon: float = -inf

    def written(self) -> bytes:
        """Return it as a payload."""
        told = attrs.asdict(self) | {"horizon": None if self.horizon == -inf else self.horizon}
        return _text(told).encode()

    @classmethod
    def read(cls, data: bytes) -> Head:
        """Return what was written.

        Raises:
            PayloadError: It is no head.
        """
        told = _loaded(data, dict)
        try:
            horizon = told["horizon"]
            return cls(
                epoch=int(told["epoch"]),
                mark=str(told["mark"]),
                holder=str(told["holder"]),
                floor=int(told["floor"]),
                horizon=-inf if horizon is None else float(horizon),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _unreadable(data) from error


def event_written(event: Event, most: int) -> bytes:
    """Return an event as a payload.

    Args:
        event: The event.
        most: How many bytes it may have. What the service says beyond what is documented is left out of an event that
            would be longer, and then whatever is said of the execution: the event itself is never lost.
    """
    for one in _ever_shorter(event):
        data = f"{one.seq} {_text(one.execution_id)}\n{codec.written(one)}".encode("utf-8", "surrogatepass")
        if len(data) <= most:
            break
    return data


def event_read(data: bytes) -> Event:
    """Return the event of a payload.

    Raises:
        PayloadError: It is no event.
    """
    try:
        first, body = data.decode("utf-8", "surrogatepass").split("\n", 1)
        seq, execution_id = first.split(" ", 1)
        return codec.read(json.loads(execution_id), int(seq), body)
    except (ValueError, RecursionError) as error:
        raise _unreadable(data) from error


def row_written(row: Row, most: int) -> bytes:
    """Return the row of an execution as a payload; one that is too long is kept without what was last read of it."""
    data = _text(row).encode()
    if len(data) > most:
        data = _text((*row[:FINAL], None)).encode()
    if len(data) > most:
        data = _text([_bare(place, value) for place, value in enumerate(row)]).encode()
    return data


def _bare(place: int, value: object) -> object:
    """Return what is kept of a row that is far too long: what decides, and not what nobody can have meant."""
    if place in (0, STATUS) or not isinstance(value, str):
        return value
    if place == RARE and len(value) > _LONGEST_TEXTS[0]:
        rare = json.loads(value)
        if isinstance(rare.get("odd"), str):
            rare["odd"] = shorten(rare["odd"], _LONGEST_TEXTS[1])
        return _text(rare)
    return value if len(value) <= _LONGEST_TEXTS[0] and place != FINAL else None


def row_read(data: bytes) -> Row:
    """Return the row of a payload.

    Raises:
        PayloadError: It is none.
    """
    row = _loaded(data, list)
    if len(row) != len(FIELDS) or not isinstance(row[0], str):
        raise _unreadable(data)
    return tuple(row)


def list_written(task_id: str | None, baseline: Baseline | None) -> bytes:
    """Return the baseline of a list that is watched as a payload, None for one that is watched no longer."""
    told: dict[str, Any] = {"task_id": task_id, "watched": baseline is not None}
    if baseline is not None:
        told |= {
            "since": None if baseline.since is None else baseline.since.timestamp(),
            "complete": baseline.complete,
        }
    return _text(told).encode()


def list_read(data: bytes) -> tuple[str | None, Baseline | None]:
    """Return which list it is, and its baseline.

    Raises:
        PayloadError: It is none.
    """
    told = _loaded(data, dict)
    try:
        if not told["watched"]:
            return told["task_id"], None
        since = None if told["since"] is None else datetime.fromtimestamp(told["since"], UTC)
        return told["task_id"], Baseline(since, bool(told["complete"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unreadable(data) from error


def _ever_shorter(event: Event) -> Iterator[Event]:
    yield event
    execution = event.execution
    if execution is None:
        return
    bare = attrs.evolve(execution, extra=NOTHING_EXTRA, dropped=(*execution.dropped, "extra"))
    yield attrs.evolve(event, execution=bare)
    for longest in _LONGEST_TEXTS:
        yield attrs.evolve(event, execution=_cut(bare, longest))


def _cut(execution: Execution, longest: int) -> Execution:
    """Return an execution without texts that nobody can have meant; its id stays, and of its status the beginning."""
    long: dict[str, Any] = {
        field.name: None
        for field in attrs.fields(type(execution))
        if field.name not in ("id", "status") and isinstance(value := getattr(execution, field.name), str)
        if len(value) > longest
    }
    dropped = (*execution.dropped, *long)[:_MOST_DROPPED]
    return attrs.evolve(execution, **long, status=shorten(execution.status, longest), dropped=dropped)


def _loaded(data: bytes, kind: type) -> Any:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable(data) from error
    if not isinstance(told, kind):
        raise _unreadable(data)
    return told


def _unreadable(data: bytes) -> PayloadError:
    return PayloadError("what is written there cannot be read", body=shorten(data.decode("utf-8", "replace")))
