"""Sights: what is known of each execution, in the few words that a board shows of it. Nothing is decided here.

Dates are seconds since 1970: a sight is made to be sent to another program as it is.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.tracking.outlook import Outlook
from titan_state.core.tracking.record import UNSEEN
from titan_state.core.tracking.state import ENDED, IN_FULL, KEPT, note_of, thaw

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from titan_state.core.tracking.record import Record
    from titan_state.core.tracking.retention import Note
    from titan_state.core.tracking.state import Row

VANISHED: Final = "vanished"
"""What is said instead of the last status of an execution that is gone: that is no longer true."""

LONGEST_PHASE: Final = 80
"""How many characters of a phase are shown."""


@attrs.frozen
class Sight:
    """One execution, as it is known.

    Attributes:
        id: Its id.
        task_id: The task that it is a run of.
        status: The status that it was last seen in, also one outside the model; `VANISHED` if it is gone.
        since: Since when it is in that status, as far as is known.
        phase: The phase last reported.
        progress: The progress last reported, in the service's own unit.
        seen: When the answer was received that showed it last.
        anomalies: The anomalies that are raised and not cleared, each with the time of it.
        created_at: When it was created, by the service's clock.
        is_over: Whether it has finished, or is gone.
    """

    id: str
    task_id: str | None
    status: str
    since: float | None = None
    phase: str | None = None
    progress: float | None = None
    seen: float | None = None
    anomalies: tuple[tuple[str, float], ...] = ()
    created_at: float | None = None
    is_over: bool = False

    def row(self) -> list[Any]:
        """Return it as a list of JSON types, in the order of its attributes."""
        return [getattr(self, name) for name in _NAMES]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Sight:
        """Return the sight of which `row` was made."""
        values = dict(zip(_NAMES, row, strict=True))
        return cls(**values | {"anomalies": tuple((kind, since) for kind, since in values["anomalies"])})


_BY_DATES: Final = Outlook()  # its clock is zero in 1970, as that of rows is
_NAMES: Final = tuple(field.name for field in attrs.fields(Sight))


def of_record(record: Record, *, began: float, epoch: float, terminal: Collection[str]) -> Sight | None:
    """Return what is known of an execution that is kept in full, None if it was never seen, nor found missing.

    Args:
        record: What is kept of it.
        began: Since when it is in its status, on the clock of the record.
        epoch: The date at which that clock was zero.
        terminal: The terminal statuses of the model.
    """
    status, rare = record.status, record.rare
    since = None if began == -inf else began + epoch
    is_gone = False
    if rare is not None:
        odd, gone = rare.open.get(AnomalyKind.UNKNOWN_STATUS), rare.open.get(AnomalyKind.VANISHED)
        if status == UNSEEN or odd is not None:
            status = rare.odd
        if odd is not None or gone is not None:
            since = max(one for one in (odd, gone) if one is not None).timestamp()
        is_gone = gone is not None
    if not status and not is_gone:
        return None
    return Sight(
        record.id,
        record.task_id,
        VANISHED if is_gone else status,
        since,
        None if record.phase is None else record.phase[:LONGEST_PHASE],
        record.progress,
        None if record.seen_received == -inf else record.seen_received + epoch,
        () if rare is None else _opened(rare.open.items()),
        record.created_at,
        is_gone or status in terminal,
    )


def of_note(execution_id: str, note: Note, ended: float | None = None) -> Sight | None:
    """Return what is known of an execution of which a note remains, None if it had not finished.

    Args:
        execution_id: The execution.
        note: The note.
        ended: When it ended, if that is known.
    """
    if note.status == UNSEEN and not note.has_vanished:
        return None
    status = VANISHED if note.has_vanished else note.status
    return Sight(execution_id, note.task_id, status, ended, anomalies=_opened(note.open), is_over=True)


def of_row(row: Row, knows: Callable[[str], bool], terminal: Collection[str]) -> Sight | None:
    """Return what a journal's row says of an execution, None if it says nothing of one.

    Args:
        row: The row.
        knows: Whether the model has a status.
        terminal: The terminal statuses of the model.
    """
    if row[0] == UNSEEN:
        return None
    if row[KEPT] != IN_FULL:
        return of_note(row[0], note_of(row), row[ENDED])
    record = thaw(row, 0.0, inf, knows)
    return of_record(record, began=_BY_DATES.entered(record), epoch=0.0, terminal=terminal)


def _opened(anomalies: Collection[tuple[AnomalyKind, datetime]]) -> tuple[tuple[str, float], ...]:
    return tuple((kind.value, since.timestamp()) for kind, since in anomalies)
