"""State: what a tracker knows, as rows that outlive it: written by `freeze`, read by `thaw`.

On the tracker's clock nothing outlives the process, so rows hold dates, as seconds since 1970. What a restart makes
worthless is left out: timers, and contradictions that wait for confirmation.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from sys import intern
from types import MappingProxyType
from typing import Any, Final

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import AnomalyCleared, AnomalyDetected, Event, ResultsReady, Transitioned
from titan_state.core.execution import Execution, time_of
from titan_state.core.lifecycle import Action
from titan_state.core.redaction import redacted_execution
from titan_state.core.tracking.record import UNSEEN, Awaited, Flip, Intent, Rare, Record, Suspicion, small
from titan_state.core.tracking.retention import Baseline, Note

FIELDS: Final = (
    "id",
    "status",
    "task_id",
    "phase",
    "progress",
    "created_at",
    "updated_at",
    "started_at",
    "seq",
    "since",
    "seen_sent",
    "seen_received",
    "kept",
    "ended_at",
    "rare",
    "final",
)
"""The names of what a row holds, in its order: the attributes of `Record`, and

- `kept`: 0 for an execution that is kept in full, 1 for one of which a note remains, 2 if nobody watched it;
- `ended_at`: when it ended, by the service's clock; for notes and finished ones;
- `rare`, `final`: JSON, None where there is nothing.
"""

STATUS, SEQ, SINCE, KEPT, ENDED, RARE, FINAL = map(
    FIELDS.index, ("status", "seq", "since", "kept", "ended_at", "rare", "final")
)
"""The places of some of them in a row."""

IN_FULL: Final = 0
NOTED: Final = 1
UNWATCHED: Final = 2

Row = tuple[Any, ...]
"""One execution, as a tuple in the order of `FIELDS`: text, numbers and None only."""


@attrs.frozen
class State:
    """What survives a restart.

    Attributes:
        records: A row for each execution, the longest unchanged first; the row without an id is the monitor's own.
        lists: The tasks that were watched, None for all executions, each with its baseline.
        floor: No execution that was forgotten has had an event with a higher number.
        horizon: What ended before this, in seconds since 1970, may have been forgotten.
    """

    records: Sequence[Row] = ()
    lists: Mapping[str | None, Baseline] = MappingProxyType({})
    floor: int = 0
    horizon: float = -inf


def freeze(record: Record, zero: float) -> Row:
    """Return the row of a record.

    Args:
        record: The record.
        zero: The date at which the tracker's clock was zero, in seconds since 1970.
    """
    final, updated_at = record.final, time_of(record.updated_at)
    return (
        record.id,
        record.status,
        record.task_id,
        record.phase,
        record.progress,
        record.created_at,
        None if updated_at is None else updated_at.timestamp(),
        record.began_work_at,
        record.seq,
        _date(record.since, zero),
        _date(record.seen_sent, zero),
        _date(record.seen_received, zero),
        IN_FULL,
        None if final is None else ended_at(final),
        _uncommon(record, zero),
        None if final is None else _written(redacted_execution(final).to_dict()),
    )


def _uncommon(record: Record, zero: float) -> str | None:
    """Return the little that only a few executions need."""
    rare = {} if record.rare is None or record.rare.is_empty() else _plain(record.rare, zero)
    if record.is_back:
        rare["is_back"] = True
    return _written(rare) if rare else None


def freeze_note(execution_id: str, note: Note, ended: float | None) -> Row:
    """Return the row of an execution of which only a note remains."""
    kept = UNWATCHED if note.unwatched else NOTED
    rare = _written({"open": _open(dict(note.open))}) if note.open else None
    nothing = (None,) * 5
    return (execution_id, note.status, note.task_id, *nothing, note.seq, None, None, None, kept, ended, rare, None)


def thaw(row: Row, zero: float, now: float, knows: Callable[[str], bool]) -> Record:
    """Return the record of a row.

    Args:
        row: The row.
        zero: The date at which the tracker's clock was zero, in seconds since 1970.
        now: The time on the tracker's clock: nothing in the record is later, whatever the machine's date did.
        knows: Whether the model has a status; an execution in one that it has no more is as if it was never seen.
    """
    (
        execution_id,
        status,
        task_id,
        phase,
        progress,
        created_at,
        updated_at,
        started_at,
        seq,
        since,
        seen_sent,
        seen_received,
        _,
        _,
        rare,
        final,
    ) = row
    record = Record(
        execution_id,
        intern(status) if knows(status) else UNSEEN,
        None if task_id is None else intern(task_id),
        phase,
        small(progress),
        created_at,
        None if updated_at is None else datetime.fromtimestamp(updated_at, UTC).isoformat(),
        started_at,
        seq,
        -inf if since is None else min(since - zero, now),
        -inf if seen_sent is None else min(seen_sent - zero, now),
        -inf if seen_received is None else min(seen_received - zero, now),
    )
    if rare is not None:
        plain = json.loads(rare)
        record.is_back = plain.pop("is_back", False)
        record.rare = _rare(plain, zero, now) if plain else None
    if final is not None and record.status != UNSEEN:
        record.final = Execution.from_dict(json.loads(final))
    return record


def cut(row: Row, status: str, seq: int, *, undone: Sequence[Event]) -> Row:
    """Return the row of an execution as of an earlier event of it: what came after that is found again.

    Args:
        row: The row as it is now.
        status: Its status at that time.
        seq: The number of that event.
        undone: The events that came after it.
    """
    rare: dict[str, Any] = {} if row[RARE] is None else json.loads(row[RARE])
    opened = rare.pop("open", {})
    for event in reversed(undone):
        if isinstance(event, AnomalyDetected):
            opened.pop(str(event.kind), None)
            if event.kind is AnomalyKind.UNKNOWN_STATUS:
                rare.pop("odd_since", None)
                rare.pop("odd", None)
        elif isinstance(event, AnomalyCleared):
            opened[str(event.kind)] = event.since.isoformat()
            if event.kind is AnomalyKind.UNKNOWN_STATUS:
                rare |= {"odd_since": None, "odd": ""}
        elif isinstance(event, ResultsReady):
            rare["awaited"] = {"since": row[SINCE] or 0.0, "seen_absent": None}
        elif isinstance(event, Transitioned):
            rare.pop("awaited", None)
    if opened:
        rare["open"] = opened
    earlier = list(row)
    earlier[STATUS], earlier[SEQ], earlier[KEPT], earlier[ENDED], earlier[FINAL] = status, seq, IN_FULL, None, None
    earlier[RARE] = _written(rare) if rare else None
    return tuple(earlier)


def note_of(row: Row) -> Note:
    """Return what is remembered of an execution that is not kept in full, made of its row."""
    opened = () if row[RARE] is None else tuple(_opened(json.loads(row[RARE]).get("open", {})).items())
    return Note(row[STATUS], row[SEQ], row[KEPT] == UNWATCHED, row[2], opened)


def ended_at(execution: Execution) -> float | None:
    """Return when an execution ended, by the service's clock, in seconds since 1970."""
    ended = execution.finished_at or execution.updated_at
    return None if ended is None else ended.timestamp()


def _date(seconds: float, zero: float) -> float | None:
    return None if seconds == -inf else seconds + zero


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(rare: Rare, zero: float) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if rare.intents:
        plain["intents"] = [_intent(intent, zero) for intent in rare.intents]
    if rare.flip is not None:
        plain["flip"] = {"left": rare.flip.left, "intents": [_intent(intent, zero) for intent in rare.flip.intents]}
    if rare.flips:
        plain["flips"] = [at + zero for at in rare.flips]
    if rare.open:
        plain["open"] = _open(rare.open)
    for name in ("settles_at", "odd_again_from"):
        if getattr(rare, name) != -inf:
            plain[name] = getattr(rare, name) + zero
    if rare.awaited is not None:
        seen = rare.awaited.seen_absent
        plain["awaited"] = {
            "since": rare.awaited.since + zero,
            "seen_absent": None if seen is None else seen + zero,
        }
    if rare.odd_since is not None:
        plain |= {"odd_since": _date(rare.odd_since, zero), "odd": rare.odd}
    return plain


def _rare(plain: dict[str, Any], zero: float, now: float) -> Rare:
    rare = Rare(
        intents=[_intent_of(one, zero, now) for one in plain.get("intents", ())],
        flips=deque(min(at - zero, now) for at in plain.get("flips", ())),
        open=_opened(plain.get("open", {})),
        settles_at=plain["settles_at"] - zero if "settles_at" in plain else -inf,
        odd_again_from=plain["odd_again_from"] - zero if "odd_again_from" in plain else -inf,
    )
    if "flip" in plain:
        rare.flip = Flip(plain["flip"]["left"], [_intent_of(one, zero, now) for one in plain["flip"]["intents"]])
    if "odd" in plain:
        rare.odd_since = -inf if plain["odd_since"] is None else min(plain["odd_since"] - zero, now)
        rare.odd = plain["odd"]
    if "awaited" in plain:
        awaited = plain["awaited"]
        seen = awaited["seen_absent"]
        seen_absent = None if seen is None else min(seen - zero, now)
        rare.awaited = Awaited(min(awaited["since"] - zero, now), seen_absent)
    if AnomalyKind.VANISHED in rare.open:
        rare.suspicion = Suspicion(None, -inf, now)  # any good read ends it
    return rare


def _intent(intent: Intent, zero: float) -> dict[str, Any]:
    return {
        "action": str(intent.action),
        "sent_at": intent.sent_at + zero,
        "accepted_at": None if intent.accepted_at is None else intent.accepted_at + zero,
        "shown": intent.shown,
        "doubted": intent.doubted,
    }


def _intent_of(plain: dict[str, Any], zero: float, now: float) -> Intent:
    accepted_at = plain["accepted_at"]
    return Intent(
        Action(plain["action"]),
        min(plain["sent_at"] - zero, now),
        None if accepted_at is None else min(accepted_at - zero, now),
        plain["shown"],
        plain["doubted"],
    )


def _open(opened: Mapping[AnomalyKind, datetime]) -> dict[str, str]:
    return {str(kind): since.isoformat() for kind, since in opened.items()}


def _opened(plain: dict[str, str]) -> dict[AnomalyKind, datetime]:
    return {AnomalyKind(kind): datetime.fromisoformat(since) for kind, since in plain.items()}
