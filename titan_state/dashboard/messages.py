"""Messages: what the page is told, as JSON. Text of the service is handed on as text; the page never takes it for more.

Times are seconds since 1970.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from titan_state import wording
from titan_state.core.anomalies import RULES, AnomalyKind
from titan_state.core.events import (
    ActionRefused,
    ActionUnknown,
    AnomalyCleared,
    AnomalyDetected,
    ResultsReady,
    Transitioned,
)
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from titan_state.core.events import Event
    from titan_state.core.tracking.sights import Sight
    from titan_state.dashboard.sources import Source
    from titan_state.monitor.survey import Survey, Watched

LONGEST_TEXT: Final = 1000
"""How many characters of one sentence are shown."""

LEVELS: Final = {
    "completed": "good",
    "completed_with_errors": "warning",
    "failed": "error",
}
"""How a status is marked among the events; others are news, no more."""


def text(value: Any) -> str:
    """Return a message as one line of JSON. It is ASCII, so that no text in it can end the line."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def event(one: Event, redact: Callable[[str], str]) -> dict[str, Any]:
    """Return an event for the page.

    Args:
        one: The event.
        redact: Takes credentials out of a text.
    """
    shown: dict[str, Any] = {
        "id": one.id,
        "execution": one.execution_id,
        "seq": one.seq,
        "at": one.at.timestamp(),
        "type": one.type,
        "text": shorten(redact(wording.story(one)), LONGEST_TEXT),
        "level": _level(one),
        "status": one.dest if isinstance(one, Transitioned) else None,
        "kind": str(one.kind) if isinstance(one, AnomalyDetected | AnomalyCleared) else None,
    }
    if isinstance(one, Transitioned):
        shown |= {"inferred": one.inferred, "forced": one.forced, "cause": one.cause}
    return shown


def _level(one: Event) -> str:
    if isinstance(one, Transitioned):
        return "error" if one.forced else LEVELS.get(one.dest, "info")
    if isinstance(one, AnomalyDetected):
        return str(one.severity)
    if isinstance(one, AnomalyCleared | ResultsReady):
        return "good"
    return "warning" if isinstance(one, ActionRefused | ActionUnknown) else "info"


def hello(source: Source, run: str, watched: Watched | None) -> dict[str, Any]:
    """Return what the page is told first.

    Args:
        source: What is shown.
        run: Tells apart the runs of the server.
        watched: What the monitor watches, None where none could be asked.
    """
    journal = source.journal
    return {
        "run": run,
        "mode": source.mode,
        "account": None if source.account == source.origin else source.account,
        "origin": source.origin,
        "journal": journal.name if journal.is_durable else None,
        "watches": "what is written down" if watched is None else watches(watched),
        "statuses": list(source.lifecycle.statuses),
        "terminal": sorted(source.lifecycle.terminal),
        "glyphs": wording.GLYPHS,
        "severities": {str(kind): str(rule.severity) for kind, rule in RULES.items()},
    }


def watches(watched: Watched) -> str:
    """Return in words what a monitor watches."""
    if watched.everything:
        return "all executions"
    parts = []
    if watched.task_count == 1:
        parts.append(f"task {shorten(watched.tasks[0])}")
    elif watched.task_count:
        parts.append(f"{watched.task_count} tasks")
    if watched.id_count:
        parts.append(f"{watched.id_count} execution{'s' * (watched.id_count != 1)}")
    return " and ".join(parts) or "nothing"


def rows(sights: Iterable[Sight], *, gone: Iterable[str] = (), reset: bool = False, more: bool = False) -> str:
    """Return rows of the board, as a message."""
    shown = {"reset": reset, "more": more, "rows": [one.row() for one in sights], "gone": list(gone)}
    return text(shown)


def state(survey: Survey | None, *, now: float, seen: float | None, why: str, blind: str, hidden: int) -> str:
    """Return how the monitor fares, as a message.

    Args:
        survey: What the monitor says; None where none could be asked.
        now: The date.
        seen: When the service last answered, as far as is known.
        why: Why nothing is read, where no monitor could be asked.
        blind: What was said when the monitor went blind.
        hidden: How many rows the board does not keep.
    """
    shown: dict[str, Any] = {"now": now, "seen": seen, "is_live": survey is not None, "why": why, "hidden": hidden}
    names = ("dark_s", "limit", "left", "spent", "requests", "throttled", "delay_s", "per_minute", "pages", "singles")
    shown |= {name: None if survey is None else getattr(survey, name) for name in names}
    shown["watches"] = None if survey is None else watches(survey.watched)
    shown["blind"] = None
    if survey is not None and survey.blind_since is not None:
        rule = RULES[AnomalyKind.BLIND]
        shown["blind"] = {"since": survey.blind_since, "message": blind, "check_first": rule.check_first}
    return text(shown)
