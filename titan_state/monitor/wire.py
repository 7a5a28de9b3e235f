"""The wire between programs of one machine: values and errors of this library as JSON, and back."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from titan_state import errors
from titan_state.client.readings import Page
from titan_state.core.execution import Execution
from titan_state.core.lifecycle import Verdict
from titan_state.errors import TitanStateError

KIND: Final = "$"
"""The key that says what an object stands for; no payload's own keys are at that level."""

LONGEST: Final = 32 * 1024 * 1024
"""The longest message in bytes: a page of executions with everything that the service sends."""


def written(value: Any) -> bytes:
    """Return a message as one line."""
    return json.dumps(value, default=_plain, ensure_ascii=False).encode(errors="replace") + b"\n"


def read(line: bytes) -> Any:
    """Return the message that a line holds.

    Raises:
        ValueError: It is none.
    """
    return json.loads(line, object_hook=_rebuilt)


def _plain(value: Any) -> dict[str, Any]:
    if isinstance(value, Execution):
        return {KIND: "execution", "value": json.dumps(value.to_dict())}  # a text: its keys are not ours
    if isinstance(value, Verdict):
        as_of = None if value.as_of is None else value.as_of.isoformat()
        shown = {"allowed": value.allowed, "reason": value.reason, "leads_to": value.leads_to, "as_of": as_of}
        return {KIND: "verdict", **shown}
    if isinstance(value, Page):
        numbers = {"offset": value.offset, "limit": value.limit, "total": value.total, "count": value.count}
        return {KIND: "page", "items": list(value.items), **numbers}
    if isinstance(value, TitanStateError):
        kind = next(kind for kind in type(value).mro() if kind.__module__ == errors.__name__)  # others know no other
        return {KIND: "error", "type": kind.__name__, "args": list(value.args), "state": vars(value)}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _rebuilt(shown: dict[str, Any]) -> Any:
    match shown.get(KIND):
        case "execution":
            return Execution.from_dict(json.loads(shown["value"]))
        case "verdict":
            as_of = None if shown["as_of"] is None else datetime.fromisoformat(shown["as_of"])
            return Verdict(shown["allowed"], shown["reason"], shown["leads_to"], as_of)
        case "page":
            return Page(tuple(shown["items"]), shown["offset"], shown["limit"], shown["total"], shown["count"])
        case "error":
            return _error(shown)
    return shown


def _error(shown: dict[str, Any]) -> TitanStateError:
    kind = getattr(errors, str(shown["type"]), None)
    if not (isinstance(kind, type) and issubclass(kind, TitanStateError)):
        return TitanStateError(*shown["args"])
    state = {name: tuple(value) if isinstance(value, list) else value for name, value in shown["state"].items()}
    return errors.rebuild(kind, tuple(shown["args"]), state)
