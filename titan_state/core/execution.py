"""Execution: one snapshot of an execution, as the Task Service reported it.

This module decodes, tolerantly and typed. It does not judge: whether the status is one the model knows, and what
changed since the last snapshot, is for the lifecycle and the tracker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from sys import intern
from types import MappingProxyType
from typing import Any, Final

import attrs

from titan_state.errors import PayloadError

LONGEST_ID: Final = 16_384
"""The longest id of an execution or a task, in characters: longer ones could be neither asked for nor written down."""

NOTHING_EXTRA: Final[Mapping[str, Any]] = MappingProxyType({})

ALIASES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "task_id": ("task_id", "taskId"),
        "created_at": ("created_at", "createdAt"),
        "updated_at": ("updated_at", "updatedAt"),
        "started_at": ("started_at", "startedAt"),
        "finished_at": ("finished_at", "finishedAt", "completed_at", "completedAt", "ended_at", "endedAt"),
        "phase": ("phase",),
        "progress": ("progress",),
        "error": ("error", "error_message", "errorMessage"),
    }
)
"""The names under which an optional field is looked for, in this order: the first that can be read is taken.

The documentation shows `id`, `status`, `created_at` and `updated_at`; the other names are defaults of this library.
"""


def _show(value: object) -> str:
    try:
        return repr(value)[:400]
    except (RecursionError, ValueError):  # nested too deeply, or a huge integer
        return f"<{type(value).__name__}>"


def _show_extra(extra: Mapping[str, Any]) -> str:
    return _show(dict(extra))


@attrs.frozen
class Execution:
    """One snapshot of an execution, as the Task Service reported it.

    Attributes:
        id: The execution's id.
        status: Its status. A `Status` compares equal to it; a deployment may have further ones.
        task_id: The task that it is a run of.
        created_at: When it was created, by the service's clock. All times are aware and in UTC; what the service does
            not tell is None.
        updated_at: When it was last changed, by the service's clock; advice only.
        started_at: When work began.
        finished_at: When work ended.
        phase: The phase of the work, as the service words it.
        progress: The progress, in the service's own unit.
        error: What went wrong, in the service's words.
        extra: Whatever else the service sent, by its own names.
        dropped: Names of optional fields whose value could not be read; the values are in `extra`.
    """

    id: str
    status: str
    task_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    phase: str | None = None
    progress: float | None = None
    error: str | None = None
    extra: Mapping[str, Any] = attrs.field(default=NOTHING_EXTRA, hash=False, repr=_show_extra)
    dropped: tuple[str, ...] = ()

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Execution:
        """Decode what the Task Service says of an execution.

        Args:
            payload: The decoded JSON object. `id` and `status` are needed; other fields are optional, and one that
                cannot be read is left out and named in `dropped`.

        Returns:
            The snapshot. Times without an offset are taken as UTC.

        Raises:
            PayloadError: It is no execution; the error shows the beginning of what was received.
        """
        if not isinstance(payload, Mapping):
            raise PayloadError("an execution must be a JSON object", body=_show(payload))
        execution_id = payload.get("id")
        status = payload.get("status")
        if isinstance(execution_id, int) and not isinstance(execution_id, bool) and abs(execution_id) < 1 << 63:
            execution_id = str(execution_id)
        if not isinstance(execution_id, str) or not execution_id or not _is_text(execution_id):
            raise PayloadError("an execution must have an id that is text", body=_show(payload))
        if len(execution_id) > LONGEST_ID:
            raise PayloadError(
                f"an execution must have an id of {LONGEST_ID:,} characters at most", body=_show(payload)
            )
        if not isinstance(status, str) or not status or not _is_text(status):
            raise PayloadError("an execution must have a status that is text", body=_show(payload))
        fields: dict[str, Any] = {}
        extra: dict[str, Any] | None = None
        dropped: tuple[str, ...] = ()
        for key, value in payload.items():
            name = _FIELD_OF.get(key)
            if name is None:
                if key not in ("id", "status"):
                    extra = {} if extra is None else extra
                    extra[key] = value
                continue
            if value is None:
                continue
            decoded = _DECODERS[name](value)
            if decoded is None:
                dropped = (*dropped, key)
            if decoded is None or (isinstance(value, Mapping) and name == "error"):
                extra = {} if extra is None else extra
                extra[key] = value
            if decoded is None:
                continue
            if name in fields:
                decoded, others = _choose(name, payload)
                extra = others if extra is None else extra | others
            fields[name] = decoded
        return cls(
            id=execution_id,
            status=intern(status) if type(status) is str and len(status) <= _INTERN_LIMIT else status,
            extra=NOTHING_EXTRA if extra is None else MappingProxyType(extra),
            dropped=dropped,
            **fields,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as JSON types: times as ISO 8601 in UTC, fields without a value left out.

        In `extra`, what JSON has no word for is replaced: NaN by null, lone surrogates by a question mark, and what is
        nested deeper than any service means by an ellipsis.
        """
        shown: dict[str, Any] = {"id": self.id, "status": self.status}
        for name in ALIASES:
            value = getattr(self, name)
            if value is not None:
                shown[name] = value.isoformat() if isinstance(value, datetime) else value
        if self.extra:
            shown["extra"] = plain(self.extra)
        if self.dropped:
            shown["dropped"] = list(self.dropped)
        return shown

    @classmethod
    def from_dict(cls, shown: Mapping[str, Any]) -> Execution:
        """Return the snapshot of which `to_dict` was written.

        Args:
            shown: What `to_dict` returned, also after a way through JSON.

        Raises:
            PayloadError: It is none.
        """
        try:
            fields: dict[str, Any] = {}
            for name in ALIASES:
                value = shown.get(name)
                if value is not None:
                    fields[name] = datetime.fromisoformat(value) if name.endswith("_at") else value
            extra = shown.get("extra")
            return cls(
                id=shown["id"],
                status=intern(shown["status"]),
                extra=MappingProxyType(extra) if extra else NOTHING_EXTRA,
                dropped=tuple(shown.get("dropped", ())),
                **fields,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PayloadError(f"no execution was written there ({error!r})", body=_show(shown)) from error

    def __reduce__(self) -> tuple[Any, ...]:
        values = {field.name: getattr(self, field.name) for field in attrs.fields(Execution)}
        return _rebuild, (values | {"extra": dict(self.extra)},)  # a read-only view of a dict does not pickle


def _rebuild(values: dict[str, Any]) -> Execution:
    extra = values["extra"]
    return Execution(**values | {"extra": MappingProxyType(extra) if extra else NOTHING_EXTRA})


_DEEPEST: Final = 64  # JSON nested deeper than this is hostile, and writing it would exhaust the stack
_INTERN_LIMIT = 64  # statuses are few and short; a hostile server's are not kept for ever
_FIELD_OF: Final = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate: it can be neither stored, sent nor printed
        return False
    return True


def _choose(name: str, payload: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the value of a field that was sent under several names, and what was sent under the names not taken."""
    chosen: Any = None
    others: dict[str, Any] = {}
    for alias in ALIASES[name]:
        value = payload.get(alias)
        decoded = None if value is None or chosen is not None else _DECODERS[name](value)
        if decoded is not None:
            chosen = decoded
        elif value is not None:
            others[alias] = value
    return chosen, others


def plain(value: Any, levels: int = _DEEPEST) -> Any:
    """Return a copy that any JSON writer can write: nesting ends somewhere, and every text can be encoded."""
    if isinstance(value, str):
        return value if _is_text(value) else value.encode(errors="replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        if not levels:
            return "…"
        return {plain(key): plain(inner, levels - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, levels - 1) for inner in value] if levels else "…"
    return value


def text_of(value: object) -> str | None:
    """Return a text, or a number as text, None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return value if isinstance(value, str) and _is_text(value) else None


def _id_of(value: object) -> str | None:
    text = text_of(value)
    return None if text is None or len(text) > LONGEST_ID else text


def _error_text(value: object) -> str | None:
    if isinstance(value, Mapping):
        return text_of(value.get("message")) or text_of(value.get("code"))
    return text_of(value)


def number_of(value: object) -> float | None:
    """Return a finite number, None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def time_of(value: object) -> datetime | None:
    """Return a time in UTC, None if it is none, or says "never" or "not yet"."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not UTC:
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1 < moment.year < 9999 else None  # seconds since 1970 may not hold the others


_DECODERS: Final[Mapping[str, Callable[[object], Any]]] = MappingProxyType(
    {
        "task_id": _id_of,
        "created_at": time_of,
        "updated_at": time_of,
        "started_at": time_of,
        "finished_at": time_of,
        "phase": text_of,
        "progress": number_of,
        "error": _error_text,
    }
)
