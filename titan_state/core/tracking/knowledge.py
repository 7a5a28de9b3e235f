"""Knowledge: what a tracker knows of its executions, for those who ask.

Nothing in here changes what is known: that is the tracker's business, which fills what is made here.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.lifecycle import Action, Verdict
from titan_state.core.tracking.absence import Absences
from titan_state.core.tracking.chronicle import Chronicle
from titan_state.core.tracking.outlook import Outlook
from titan_state.core.tracking.record import UNSEEN
from titan_state.core.tracking.results import Results
from titan_state.core.tracking.retention import Retention
from titan_state.core.tracking.sights import of_note, of_record
from titan_state.core.tracking.suspects import Suspects
from titan_state.core.tracking.watchdogs import Watchdogs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from titan_state.core.anomalies import Thresholds
    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Lifecycle
    from titan_state.core.tracking.record import Record
    from titan_state.core.tracking.sights import Sight
    from titan_state.core.tracking.suspects import Counts


class Knowledge:
    """What is known of executions.

    Attributes:
        lifecycle: The model.
        thresholds: When something counts as an anomaly.
        outlook: When executions are likely to change.
        results: Whose results are waited for.
    """

    def __init__(
        self, lifecycle: Lifecycle, thresholds: Thresholds, epoch: datetime, result_statuses: Collection[str]
    ) -> None:
        self.lifecycle = lifecycle
        self.thresholds = thresholds
        self._records: dict[str, Record] = {}
        self._chronicle = Chronicle(epoch)
        self._suspects = Suspects()
        self.outlook: Outlook = Outlook()
        self._retention = Retention(self._records, self._chronicle.mark)
        self._absences = Absences(self._chronicle, self._suspects, thresholds)
        self.results: Results = Results(result_statuses, thresholds, self._chronicle)
        self._watchdogs = Watchdogs(lifecycle, thresholds, self._chronicle, self._retention, self.results)

    @property
    def needs_confirmation(self) -> Mapping[str, float]:
        """The ids whose last read contradicts what is known, each with the time from which a read can confirm it."""
        return self._suspects.due

    @property
    def counts(self) -> Counts:
        """What was counted beside the events."""
        return self._suspects.counts

    def __len__(self) -> int:
        """Return the number of executions that are kept in full."""
        return len(self._records)

    def record(self, execution_id: str) -> Record | None:
        """Return what is kept of an execution, None if nothing is, or it was let go. For the planner.

        Args:
            execution_id: The execution.
        """
        return self._records.get(execution_id)

    def status(self, execution_id: str) -> str | None:
        """Return the status that an execution is in, None if it was never seen, or was let go.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        return None if record is None or record.status == UNSEEN else record.status

    def last_status(self, execution_id: str) -> str | None:
        """Return the status that an execution was last seen in, also if it was let go since, or is not in the model.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        if record is None:
            note = self._retention.find(execution_id)
            return None if note is None or note.status == UNSEEN else note.status
        execution = record.snapshot()
        return None if execution is None else execution.status

    def snapshot(self, execution_id: str) -> Execution | None:
        """Return what is known of an execution, None if it was never seen, or was let go.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        return None if record is None else record.snapshot()

    def snapshots(self) -> Iterator[Execution]:
        """Hand out what is known of every execution that is kept in full."""
        for record in self._records.values():
            execution = record.snapshot()
            if execution is not None:
                yield execution

    def tasks(self) -> Iterator[tuple[str, str | None]]:
        """Hand out the id and the task of every execution that is kept in full, also of those never seen."""
        for record in self._records.values():
            yield record.id, record.task_id

    def task_of(self, execution_id: str) -> str | None:
        """Return the task that an execution is a run of, also if it was let go since; None if that is not known.

        Args:
            execution_id: The execution.
        """
        known = self._records.get(execution_id) or self._retention.find(execution_id)
        return None if known is None else known.task_id

    def knows(self, execution_id: str) -> bool:
        """Return whether an execution was seen before, also if it was let go since.

        Args:
            execution_id: The execution.
        """
        return self.status(execution_id) is not None or self._retention.find(execution_id) is not None

    def is_live(self, execution_id: str) -> bool:
        """Return whether an execution was seen, has not finished and has not vanished.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        return record is not None and self._watchdogs.is_live(record)

    def is_finished(self, execution_id: str) -> bool:
        """Return whether an execution has finished, also if it was let go since.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        if record is None:
            return self._retention.remembers_end(execution_id)
        return self.lifecycle.is_terminal(record.status)

    def is_missing(self, execution_id: str) -> bool:
        """Return whether an execution that was never seen has been unreadable (404) for longer than the grace.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        return record is not None and record.status == UNSEEN and self._absences.is_confirmed(record)

    def has_vanished(self, execution_id: str) -> bool:
        """Return whether an execution is gone (404), confirmed.

        Args:
            execution_id: The execution.
        """
        return AnomalyKind.VANISHED in self.open_anomalies(execution_id)

    def open_anomalies(self, execution_id: str) -> tuple[AnomalyKind, ...]:
        """Return the anomalies of an execution that are raised and not cleared.

        Args:
            execution_id: The execution; empty for those of the monitor itself.
        """
        record = self._watchdogs.monitor if execution_id == UNSEEN else self._records.get(execution_id)
        if record is None:
            note = self._retention.find(execution_id)
            return () if note is None else tuple(kind for kind, _ in note.open)
        return () if record.rare is None else tuple(record.rare.open)

    def census(self) -> tuple[Counter[str], Counter[AnomalyKind]]:
        """Return how many executions that are kept in full are in each status, and have an anomaly of each kind open.

        Those of the monitor itself are counted with them.
        """
        records = [*self._records.values(), self._watchdogs.monitor]
        statuses = Counter(map(attrgetter("status"), records))
        del statuses[UNSEEN]
        return statuses, Counter(kind for record in records if record.rare is not None for kind in record.rare.open)

    def seen_at(self, execution_id: str) -> tuple[float, float] | None:
        """Return when the latest read of the present status was sent, and received; None if there was none.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        if record is None or record.status == UNSEEN or record.seen_sent == -inf:
            return None
        return record.seen_sent, record.seen_received

    def since(self, execution_id: str) -> float:
        """Return when an execution was first seen in its present status; minus infinity if it is not kept.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        return -inf if record is None else record.since

    def sight(self, execution_id: str) -> Sight | None:
        """Return what is known of an execution, in the words of a board; None if nothing is.

        Args:
            execution_id: The execution.
        """
        record = self._records.get(execution_id)
        if record is not None:
            return self._sight(record)
        note = self._retention.find(execution_id)
        return None if note is None else of_note(execution_id, note)

    def sights(self, after: float = -inf) -> Iterator[Sight]:
        """Hand out what is known of the executions that are kept in full.

        Args:
            after: Only of those that were seen after this time, in seconds; minus infinity for all.
        """
        for record in self._records.values():
            sight = self._sight(record) if record.seen_received > after or after == -inf else None
            if sight is not None:
                yield sight

    @property
    def noted(self) -> int:
        """How many executions were let go, or adopted, in all: the `after` of the next `sights_of_notes`."""
        return self._retention.count

    def sights_of_notes(self, after: int = 0, *, most: int) -> Iterator[Sight]:
        """Hand out what is known of executions that have finished and are not kept in full, the latest first.

        Args:
            after: Only of those of which that is so since `noted` was this.
            most: How many at most.
        """
        for execution_id, note in islice(self._retention.notes(), min(most, self.noted - after)):
            sight = of_note(execution_id, note)
            if sight is not None:
                yield sight

    def _sight(self, record: Record) -> Sight | None:
        epoch, terminal = self._chronicle.epoch.timestamp(), self.lifecycle.terminal
        return of_record(record, began=self.outlook.entered(record), epoch=epoch, terminal=terminal)

    @property
    def answered_at(self) -> datetime | None:
        """When the last good answer was received; None before the first."""
        seconds = self._watchdogs.answered_at
        return None if seconds is None else self._chronicle.date(seconds)

    @property
    def blind_since(self) -> datetime | None:
        """Since when the monitor is said to be blind; None while it is not."""
        rare = self._watchdogs.monitor.rare
        return None if rare is None else rare.open.get(AnomalyKind.BLIND)

    def check(self, execution_id: str, action: Action | str) -> Verdict:
        """Return whether `action` is legal for an execution, as far as is known.

        Args:
            execution_id: The execution.
            action: An action, or its name.

        Raises:
            UnknownActionError: There is no such action.
        """
        Action(action)
        record = self._records.get(execution_id)
        if record is None or record.snapshot() is None:
            return Verdict(
                allowed=False, reason="it was not read yet: use `await monitor.verdict(...)`, which reads it first"
            )
        seen = self._chronicle.date(record.seen_received) if record.seen_received > -inf else None
        if record.has_open(AnomalyKind.VANISHED):
            return Verdict(allowed=False, reason="it has vanished: the service answers 404", as_of=seen)
        if record.has_open(AnomalyKind.UNKNOWN_STATUS):
            reason = "its present status is not in the model; extend the lifecycle"
            return Verdict(allowed=False, reason=reason, as_of=seen)
        return attrs.evolve(self.lifecycle.verdict(record.status, action), as_of=seen)
