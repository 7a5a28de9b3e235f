"""Codec: events as a journal keeps them, in few bytes and little time: JSON by name, without what goes without saying.

What is None, or a field's default, is left out, and so are the execution's id and the event's number, which a journal
has beside. Times are seconds since 1970, exact to the microsecond until the year 2242. For everybody else there is
`Event.to_dict`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import attrs

from titan_state.core.anomalies import AnomalyKind, Severity
from titan_state.core.events import (
    ActionAccepted,
    ActionRefused,
    ActionSent,
    ActionUnknown,
    AnomalyCleared,
    AnomalyDetected,
    Event,
    ResultsReady,
    Transitioned,
)
from titan_state.core.execution import NOTHING_EXTRA, Execution, plain
from titan_state.core.lifecycle import Action
from titan_state.errors import PayloadError, shorten

_Plan = tuple[tuple[str, Any, Callable[[Any], Any]], ...]

_KINDS: Final[dict[str, type[Event]]] = {
    kind.type: kind
    for kind in (
        Transitioned,
        AnomalyDetected,
        AnomalyCleared,
        ActionSent,
        ActionAccepted,
        ActionRefused,
        ActionUnknown,
        ResultsReady,
    )
}
_TIMES: Final = frozenset({"at", "after", "before", "since", "created_at", "updated_at", "started_at", "finished_at"})
_BESIDE: Final = frozenset({"execution_id", "seq", "execution", "at", "before", "id", "extra", "dropped"})


def _plan(kind: type[attrs.AttrsInstance]) -> tuple[_Plan, _Plan]:
    """Return how the plain values of an object are got, and how its times are."""
    fields = [field for field in attrs.fields(kind) if field.name not in _BESIDE]
    values = tuple((field.name, field.default, attrgetter(field.name)) for field in fields if field.name not in _TIMES)
    times = tuple((field.name, None, attrgetter(field.name)) for field in fields if field.name in _TIMES)
    return values, times


_PLANS: Final = {kind: _plan(kind) for kind in _KINDS.values()}
_EXECUTION: Final = _plan(Execution)
_ENUMS: Final = {"kind": AnomalyKind, "severity": Severity, "action": Action}
_text: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def written(event: Event) -> str:
    """Return an event as text, for a journal that keeps its execution's id and its number beside."""
    body: dict[str, Any] = {"type": event.type, "at": event.at.timestamp()}
    _put(body, event, _PLANS[type(event)])
    if isinstance(event, Transitioned | ResultsReady) and event.before != event.at:
        body["before"] = event.before.timestamp()
    execution = event.execution
    if execution is not None:
        shown: dict[str, Any] = {}
        body["execution"] = shown
        _put(shown, execution, _EXECUTION)
        if execution.extra:
            shown["extra"] = plain(execution.extra)
        if execution.dropped:
            shown["dropped"] = execution.dropped
        if execution.id != event.execution_id:  # nothing here makes such an event, but others may
            shown["id"] = execution.id
        if body.get("dest") == execution.status:
            del shown["status"]
    return _text(body)


def _put(shown: dict[str, Any], holder: object, plan: tuple[_Plan, _Plan]) -> None:
    values, times = plan
    for name, default, get in values:
        value = get(holder)
        if value is not default:
            shown[name] = value
    for name, _, get in times:
        moment = get(holder)
        if moment is not None:
            shown[name] = moment.timestamp()


def read(execution_id: str, seq: int, text: str) -> Event:
    """Return the event that was written.

    Args:
        execution_id: The id of its execution.
        seq: Its number.
        text: What `written` returned.

    Raises:
        PayloadError: It is no event.
    """
    try:
        body = json.loads(text)
        kind = _KINDS[body.pop("type")]
        shown = body.pop("execution", None)
        values = {name: _value(name, value) for name, value in body.items()}
        if kind is Transitioned:
            values = {"source": None, "before": values["at"]} | values
        elif kind is ResultsReady:
            values = {"before": values["at"]} | values
        if shown is not None:
            values["execution"] = _execution({"id": execution_id, "status": body.get("dest")} | shown)
        return kind(execution_id=execution_id, seq=seq, **values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise PayloadError(f"no event was written there ({shorten(repr(error))})", body=text) from error


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return datetime.fromtimestamp(value, UTC)
    enum = _ENUMS.get(name)
    return value if enum is None else enum(value)


def _execution(shown: dict[str, Any]) -> Execution:
    extra = shown.pop("extra", None)
    dropped = tuple(shown.pop("dropped", ()))
    values = {name: _value(name, value) for name, value in shown.items()}
    return Execution(
        **values,
        extra=MappingProxyType(extra) if extra else NOTHING_EXTRA,
        dropped=dropped,
    )
