"""Details: what the page of one execution shows. It asks what is known; nothing is asked of the service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core.events import ResultsReady, Transitioned
from titan_state.core.execution import plain
from titan_state.core.redaction import redacted_execution, redacted_values
from titan_state.core.timeline import Timeline
from titan_state.dashboard import messages
from titan_state.dashboard.sources import refusals
from titan_state.errors import MonitorClosedError
from titan_state.monitor.survey import Known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from titan_state.core.events import Event
    from titan_state.core.execution import Execution
    from titan_state.core.tracking.sights import Sight
    from titan_state.dashboard.sources import Source

MOST_EVENTS: Final = 500
"""How many events of one execution are told: of more, the latest."""

MOST_ANOMALIES: Final = 200
"""How many of its anomalies: the open ones, then the latest."""

AT_ONCE: Final = 1000
"""How many events are told without leaving the event loop."""


async def timeline_of(source: Source, events: Sequence[Event], now: datetime) -> Timeline | None:
    """Return the timeline that events tell, None if there are none; many are told in a thread of their own."""

    def tell() -> Timeline:
        return Timeline.of(events, now=now, terminal=source.lifecycle.terminal)

    if not events:
        return None
    return await asyncio.to_thread(tell) if len(events) > AT_ONCE else tell()


async def details(source: Source, execution_id: str, sight: Sight | None, now: datetime) -> dict[str, Any] | None:
    """Return what is known of an execution, as JSON types; None if nothing is.

    Args:
        source: Where it is known.
        execution_id: The execution.
        sight: What the board shows of it.
        now: The date.
    """
    events = await source.journal.history(execution_id)
    try:
        known = await source.known(execution_id)
    except MonitorClosedError as error:
        known = Known(None, sight, refusals(str(error)))
    sight = known.sight or sight
    execution = _latest(known.execution, events)
    if sight is None and execution is None and not events:
        return None
    verdicts = known.verdicts
    as_of = next((one.as_of for one in verdicts.values() if one.as_of is not None), None)
    timeline = await timeline_of(source, events, now)
    shown = events[-MOST_EVENTS:]
    return {
        "execution": None if execution is None else redacted_execution(execution).to_dict(),
        "row": None if sight is None else sight.row(),
        "as_of": None if as_of is None else as_of.timestamp(),
        "actions": [
            {"action": action, "allowed": one.allowed, "reason": one.reason, "leads_to": one.leads_to}
            for action, one in verdicts.items()
        ],
        "durations": [] if timeline is None else _durations(timeline),
        "anomalies": [] if timeline is None else _anomalies(timeline, source),
        "events": [messages.event(one, source.redact) for one in shown],
        "earlier": (shown[0].seq - 1) if shown else 0,
        "outputs": outputs(source, events, _status(sight, execution), known=known.results),
    }


def outputs(source: Source, events: Sequence[Event], status: str | None, *, known: str = "") -> dict[str, Any]:
    """Return what is known of the results of an execution.

    Args:
        source: Where it is known.
        events: Its events.
        status: Its status, None if that is not known.
        known: What the monitor says: `awaited`, `overdue`, or nothing.
    """
    ready = _ready(events)
    if ready is not None:
        return readable(source, ready.row_count, ready.metadata, ready.at)
    if status is None or status not in source.output_statuses:
        text = "Only executions that succeed have results." if status else "Nothing is known of them."
        return _unreadable("none", text)
    texts = {
        "overdue": "It has succeeded, but its results cannot be read.",
        "awaited": "It has succeeded; its results are waited for.",
    }
    state = known if known in texts else "unknown"
    text = texts.get(state, "It has succeeded; nobody has looked for its results.")
    return _unreadable(state, text, can_load=True)


def readable(source: Source, row_count: int | None, metadata: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Return that results can be read, and what the service says of them."""
    rows = "" if row_count is None else f": {row_count} row{'s' * (row_count != 1)}"
    return {
        "state": "ready",
        "text": f"The results can be read{rows}.",
        "row_count": row_count,
        "metadata": plain(redacted_values(metadata)),
        "at": at.timestamp(),
        "can_load": False,
        "can_save": source.saves,
    }


def _unreadable(state: str, text: str, *, can_load: bool = False) -> dict[str, Any]:
    nothing: dict[str, Any] = {"row_count": None, "metadata": {}, "at": None}
    return {"state": state, "text": text, **nothing, "can_load": can_load, "can_save": False}


def _status(sight: Sight | None, execution: Execution | None) -> str | None:
    if sight is not None:
        return sight.status
    return None if execution is None else execution.status


def _latest(known: Execution | None, events: Sequence[Event]) -> Execution | None:
    """Return the latest snapshot; what is not kept of a live execution (`error`, `extra`) is from its latest event."""
    noted = next((event.execution for event in reversed(events) if event.execution is not None), None)
    if known is None or noted is None or noted.status != known.status:
        return known or noted
    return attrs.evolve(known, error=known.error or noted.error, extra=known.extra or noted.extra)


def _ready(events: Sequence[Event]) -> ResultsReady | None:
    """Return the event that says that results are there, unless the execution has moved since."""
    for event in reversed(events):
        if isinstance(event, ResultsReady):
            return event
        if isinstance(event, Transitioned):
            return None
    return None


def _durations(timeline: Timeline) -> list[dict[str, Any]]:
    return [
        {
            "status": one.status,
            "seconds": one.seconds,
            "is_exact": one.is_exact,
            "is_open": one.is_open,
            "times": one.times,
        }
        for one in timeline.durations
    ]


def _anomalies(timeline: Timeline, source: Source) -> list[dict[str, Any]]:
    return [
        {
            "kind": str(flag.kind),
            "severity": str(flag.severity),
            "message": source.redact(flag.message),
            "check_first": flag.check_first,
            "at": flag.at.timestamp(),
            "until": None if flag.until is None else flag.until.timestamp(),
        }
        for flag in sorted(timeline.flags, key=lambda flag: (flag.is_open, flag.at))[-MOST_ANOMALIES:]
    ]
