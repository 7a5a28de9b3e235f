"""Chronicle: writes events down, with their numbers and dates, and keeps the account of open anomalies.

It does not decide whether something happened; the tracker and its rules do.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from titan_state.core.anomalies import RULES, AnomalyKind
from titan_state.core.events import (
    LONGEST_METADATA,
    NO_METADATA,
    ActionAccepted,
    ActionEvent,
    ActionRefused,
    ActionSent,
    ActionUnknown,
    AnomalyCleared,
    AnomalyDetected,
    Cause,
    Event,
    ResultsReady,
    Transitioned,
)
from titan_state.core.execution import plain
from titan_state.core.redaction import redacted_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Action
    from titan_state.core.tracking.record import Record


class Chronicle:
    """Makes the events of one tracker and collects them until they are taken.

    Attributes:
        epoch: The date at which the tracker's clock was zero.
        changed: The executions of which something changed that must survive a restart, each with its end in seconds
            since 1970 if only a note of it remains; None where nothing has to survive.
    """

    def __init__(self, epoch: datetime) -> None:
        self.epoch = epoch
        self.changed: dict[str, float | None] | None = None
        self._events: list[Event] = []

    def date(self, seconds: float) -> datetime:
        """Return the date of a time on the tracker's clock."""
        return self.epoch + timedelta(seconds=seconds)

    def mark(self, execution_id: str, ended: float | None = None) -> None:
        """Take down that something changed that must survive a restart."""
        if self.changed is not None:
            self.changed[execution_id] = ended

    def take(self) -> list[Event]:
        """Return what was written since the last call."""
        events, self._events = self._events, []
        return events

    def transitioned(
        self,
        record: Record,
        execution: Execution,
        received_at: float,
        *,
        source: str | None,
        dest: str,
        move: str | None = None,
        inferred: bool = False,
        forced: bool = False,
        cause: Cause = "platform",
        after: float | None = None,
    ) -> None:
        """Write down one move of an execution, or its first sight."""
        seen = self.date(received_at)
        self._events.append(
            Transitioned(
                execution_id=record.id,
                seq=self._next(record),
                at=seen,
                execution=execution,
                source=source,
                dest=dest,
                move=move,
                inferred=inferred,
                forced=forced,
                cause=cause,
                after=None if after is None else self.date(after),
                before=seen,
            )
        )

    def detect(
        self, record: Record, kind: AnomalyKind, at: float, message: str, execution: Execution | None = None
    ) -> None:
        """Write down an anomaly, and remember it as open if it is one that ends and is not open already."""
        rule = RULES[kind]
        when = self.date(at)
        if rule.ends:
            opened = record.uncommon().open
            if kind in opened:
                return
            opened[kind] = when
        self._events.append(
            AnomalyDetected(
                execution_id=record.id,
                seq=self._next(record),
                at=when,
                execution=execution or record.snapshot(),
                kind=kind,
                severity=rule.severity,
                message=message,
                check_first=rule.check_first,
            )
        )

    def clear(
        self, record: Record, kind: AnomalyKind, at: float, message: str, execution: Execution | None = None
    ) -> None:
        """Write down that an anomaly has ended, if it is open."""
        if record.rare is None:
            return
        since = record.rare.open.pop(kind, None)
        if since is None:
            return
        self._events.append(
            AnomalyCleared(
                execution_id=record.id,
                seq=self._next(record),
                at=self.date(at),
                execution=execution or record.snapshot(),
                kind=kind,
                message=message,
                since=since,
            )
        )

    def results_ready(
        self,
        record: Record,
        at: float,
        *,
        status: str,
        metadata: Mapping[str, Any],
        row_count: int | None,
        after: float,
    ) -> None:
        """Write down that the results of an execution can be read."""
        kept: Mapping[str, Any] = redacted_values(plain(metadata))
        if len(json.dumps(kept)) > LONGEST_METADATA:
            kept = NO_METADATA
        when = self.date(at)
        self._events.append(
            ResultsReady(
                execution_id=record.id,
                seq=self._next(record),
                at=when,
                execution=record.snapshot(),
                status=status,
                row_count=row_count,
                metadata=kept,
                after=self.date(after),
                before=when,
            )
        )

    def acted(
        self, kind: type[ActionSent | ActionAccepted | ActionUnknown], record: Record, action: Action, at: float
    ) -> None:
        """Write down that an action was sent, accepted, or that its outcome is unknown."""
        event: ActionEvent = kind(
            execution_id=record.id,
            seq=self._next(record),
            at=self.date(at),
            execution=record.snapshot(),
            action=action,
        )
        self._events.append(event)

    def refused(self, record: Record, action: Action, at: float, code: str) -> None:
        """Write down that an action was refused."""
        self._events.append(
            ActionRefused(
                execution_id=record.id,
                seq=self._next(record),
                at=self.date(at),
                execution=record.snapshot(),
                action=action,
                code=code,
            )
        )

    def _next(self, record: Record) -> int:
        record.seq += 1
        self.mark(record.id)
        return record.seq


UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
