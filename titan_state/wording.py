"""Wording: events, ids and durations as text for people. Nothing here is printed, and nothing is coloured.

Text of the API goes through as it is; whoever prints or draws it makes it harmless.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from titan_state.core.events import (
    ActionEvent,
    ActionRefused,
    AnomalyCleared,
    AnomalyDetected,
    ResultsReady,
    Transitioned,
)
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from titan_state.core.events import Event
    from titan_state.core.execution import Execution

GLYPHS: Final = {
    "queued": "○",
    "running": "▶",
    "paused": "‖",
    "completed": "✓",
    "completed_with_errors": "!",
    "failed": "✗",
    "cancelled": "■",
    "vanished": "∅",
}
"""One sign for each status, and for what is gone, beside its name: colour alone tells nobody anything."""

ERROR_LIMIT: Final = 120
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CUT_UUID: Final = re.compile(r"[0-9a-fA-F]{8}")
_OUTCOMES: Final = {
    "action_sent": "was sent",
    "action_accepted": "was accepted",
    "action_unknown": "got no answer: its outcome is unknown",
}


def short_id(name: str, width: int = 12) -> str:
    """Return an id cut for people: the first 8 digits of a UUID, else beginning and end."""
    if _UUID.fullmatch(name):
        return name[:8]
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[-end:]}"


def is_short(name: str) -> bool:
    """Return whether an id looks as `short_id` has cut it."""
    return "…" in name or _CUT_UUID.fullmatch(name) is not None


def duration(seconds: float) -> str:
    """Return a duration in at most five characters: `42s`, `5m07`, `3h20`, `12d`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}"
    return f"{whole // 86_400}d"


def size(count: int) -> str:
    """Return a number of bytes for people: `998 bytes`, `1.2 MB`."""
    if count < 1000:
        return f"{count} byte{'s' * (count != 1)}"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if round(value, 1) < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def progress(execution: Execution, *, with_phase: bool = True) -> str:
    """Return progress and phase, as far as the service reports them.

    The unit of progress is not documented; a number from 0 to 100 is taken for percent.
    """
    parts = []
    if execution.progress is not None:
        is_percent = 0 <= execution.progress <= 100
        parts.append(f"{execution.progress:.0f}%" if is_percent else f"{execution.progress:g}")
    if with_phase and execution.phase:
        parts.append(execution.phase)
    return " ".join(parts)


def clock_time(moment: datetime) -> str:
    """Return a time of day on this machine's clock."""
    return moment.astimezone().strftime("%H:%M:%S")


def counted(names: Iterable[str]) -> str:
    """Return how often each name occurs: `3 running, 1 queued`."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def story(event: Event) -> str:
    """Return what an event says, without when and of which execution."""
    if isinstance(event, Transitioned):
        return _transition(event)
    if isinstance(event, AnomalyDetected):
        return f"anomaly {event.kind} ({event.severity}): {event.message}; check first: {event.check_first}"
    if isinstance(event, AnomalyCleared):
        return f"cleared {event.kind}: {event.message}"
    if isinstance(event, ResultsReady):
        rows = "" if event.row_count is None else f": {event.row_count} row{'s' * (event.row_count != 1)}"
        return f"results ready{rows}"
    if isinstance(event, ActionRefused):
        return f"{event.action} was refused: {event.code}"
    if isinstance(event, ActionEvent):
        return f"{event.action} {_OUTCOMES.get(event.type, event.type)}"
    return event.type


def line(event: Event) -> str:
    """Return one event as one line for a log: when, which execution in full, what."""
    when = event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{when}  {shorten(event.execution_id) or 'monitor'}  {story(event)}"


def _transition(event: Transitioned) -> str:
    told = f"is {event.dest}" if event.source is None else f"{event.source} -> {event.dest}"
    marks = [
        mark
        for mark, applies in (
            ("inferred", event.inferred),
            ("not a legal move", event.forced),
            ("by our action", event.cause == "action"),
        )
        if applies
    ]
    if marks:
        told += f" ({', '.join(marks)})"
    if event.dest in {"failed", "completed_with_errors"} and event.execution.error:
        told += f": {shorten(event.execution.error, ERROR_LIMIT)}"
    if event.check_first:
        told += f"; check first: {event.check_first}"
    return told
