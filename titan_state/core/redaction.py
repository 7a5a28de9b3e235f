"""Redaction: what must not be written down is taken out of what the service said: credentials in URLs and fields.

The `token` of a media URL is a credential; other names that mean the same are treated alike. The monitor's own token
never gets this far: the client replaces it in every answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from titan_state.core.events import Event
    from titan_state.core.execution import Execution

REDACTED: Final = "[redacted]"

_NAMES: Final = (
    r"(?:[\w-]*[_-])?(?:token|secret|password|passwd|signature|sig|credential|credentials|apikey|api[_-]key"
    r"|access[_-]key)"
)
_IN_URL: Final = re.compile(rf"(?i)([?&;]{_NAMES}=)[^&;#\s\"'<>]+")
_IN_HEADER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_FIELD: Final = re.compile(rf"(?i)(?:{_NAMES}|[\w-]*(?:Token|Secret|Password|Signature)|authorization|secret_payload)")
_HINT: Final = re.compile(r"(?i)token|secret|passw|sig|credential|key|bearer|basic")
_DEEPEST: Final = 64


def redacted(text: str) -> str:
    """Return a text without the credentials that are written in it."""
    if _HINT.search(text) is None:
        return text
    return _IN_HEADER.sub(rf"\1 {REDACTED}", _IN_URL.sub(rf"\1{REDACTED}", text))


def redacted_execution(execution: Execution) -> Execution:
    """Return a snapshot without the credentials that its payload holds; itself where there are none."""
    error = None if execution.error is None else redacted(execution.error)
    phase = None if execution.phase is None else redacted(execution.phase)
    extra = execution.extra
    if extra:
        clean = _clean(extra, _DEEPEST)
        extra = extra if clean == extra else MappingProxyType(clean)
    if error == execution.error and phase == execution.phase and extra is execution.extra:
        return execution
    return attrs.evolve(execution, error=error, phase=phase, extra=extra)


def redacted_event(event: Event) -> Event:
    """Return an event without the credentials that its execution's payload holds."""
    execution = event.execution
    if execution is None or (not execution.extra and execution.error is None and execution.phase is None):
        return event
    clean = redacted_execution(execution)
    if clean is execution:
        return event
    return attrs.evolve(event, execution=clean)


def redacted_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a payload, by their names, without the credentials that they hold."""
    clean: dict[str, Any] = _clean(values, _DEEPEST)
    return clean


def _clean(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        if not levels:
            return REDACTED  # nested deeper than any service means: it is written as an ellipsis anyway
        return {
            key: REDACTED
            if isinstance(key, str) and inner is not None and _FIELD.fullmatch(key)
            else _clean(inner, levels - 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(inner, levels - 1) for inner in value] if levels else REDACTED
    return value
