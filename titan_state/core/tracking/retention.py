"""Retention: what is remembered of executions that are no longer kept in full.

A finished execution is kept in full for a while, so that it is noticed when it runs again. After that its id, last
status and last event number remain, so that a list that shows it again stays silent and no event number is used
twice; of the oldest of those only a date remains.
"""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.tracking.record import UNSEEN, Record, Suspicion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from titan_state.core.execution import Execution

GENERATION: Final = 100_000
"""How many executions one generation of notes holds; two are kept, so at least this many are remembered."""

SECOND: Final = timedelta(seconds=1)

_UNREAD: Final = (AnomalyKind.RESULTS_OVERDUE,)  # what no read of an execution can end


@attrs.frozen
class Baseline:
    """What is known of the time before a task, or everything, was watched.

    Attributes:
        since: When the watch began, by the service's clock (its `Date` header, whole seconds); None if unknown.
        complete: Whether every page was read once since.
    """

    since: datetime | None = None
    complete: bool = False


@attrs.frozen
class Note:
    """What remains of an execution.

    Attributes:
        status: Its last status, or `UNSEEN` if it was let go because nobody watched it, before it finished.
        seq: The number of its last event, 0 if it had none.
        unwatched: Whether nobody watched it when it was let go, or it was only adopted.
        task_id: The task that it is a run of.
        open: The anomalies that were raised and not cleared, with the time of each.
    """

    status: str
    seq: int
    unwatched: bool = False
    task_id: str | None = None
    open: tuple[tuple[AnomalyKind, datetime], ...] = ()

    @property
    def has_vanished(self) -> bool:
        """Whether it was let go because it was gone, not because it had finished."""
        return any(kind is AnomalyKind.VANISHED for kind, _ in self.open)


class Retention:
    """Remembers executions that are no longer kept in full, within bounded memory.

    Attributes:
        floor: No execution that was forgotten altogether has had an event with a higher number.
        horizon: What ended before this, in seconds since 1970, may have been forgotten altogether.
        count: How many notes were taken in all.
    """

    def __init__(
        self, records: dict[str, Record], changed: Callable[[str, float | None], None], generation: int = GENERATION
    ) -> None:
        """Make a memory that is empty.

        Args:
            records: Where executions are kept in full.
            changed: Told of each execution of which something changed that must survive a restart, and when it ended.
            generation: How many executions one generation of notes holds.
        """
        self.floor = 0
        self.horizon = -inf
        self.count = 0
        self._records = records
        self._changed = changed
        self._size = generation
        self._young: dict[str, Note] = {}
        self._old: dict[str, Note] = {}
        self._shared: dict[Note, Note] = {}
        self._latest = -inf  # the latest end among the young, as seconds since 1970
        self._latest_old = -inf
        self._highest = 0  # the highest event number among the young
        self._highest_old = 0

    def keeps(self, record: Record) -> bool:
        """Return whether a record is still the one that is kept in full."""
        return self._records.get(record.id) is record

    def find(self, execution_id: str) -> Note | None:
        """Return what remains of an execution, None if nothing does."""
        return self._young.get(execution_id) or self._old.get(execution_id)

    def notes(self) -> Iterator[tuple[str, Note]]:
        """Hand out what remains of every execution that is not kept in full, the latest first."""
        yield from reversed(self._young.items())
        yield from ((name, note) for name, note in reversed(self._old.items()) if name not in self._young)

    def remembers_end(self, execution_id: str) -> bool:
        """Return whether an execution is remembered as finished."""
        note = self.find(execution_id)
        return note is not None and note.status != UNSEEN and not note.has_vanished

    def is_no_news(self, execution: Execution) -> bool:
        """Return whether a read says of an execution that is not kept what is remembered of it, and nothing more."""
        return self._says(self.find(execution.id), execution.status)

    def agrees(self, execution_id: str, status: object) -> bool:
        """Return whether nothing is to be learned of an execution that is not kept, if it is in this status."""
        note = self.find(execution_id)
        return self._says(note, status) and note is not None and note.task_id is not None

    @staticmethod
    def _says(note: Note | None, status: object) -> bool:
        if note is None or note.status != status:
            return False
        return not note.open or all(kind in _UNREAD for kind, _ in note.open)

    def is_old_news(self, execution: Execution, baseline: Baseline) -> bool:
        """Return whether a finished execution, seen for the first time, had finished before the watch began.

        The service's own dates decide, where they are there: a second of doubt counts as before while the first
        sweep is under way, and as after once it is complete. Without dates the sweep alone decides.
        """
        ended = execution.finished_at or execution.updated_at
        if ended is not None and ended.timestamp() <= self.horizon:
            return True
        if baseline.since is None:
            return not baseline.complete
        began = baseline.since if baseline.complete else baseline.since + SECOND
        if execution.created_at is not None and execution.created_at >= began:
            return False
        return not baseline.complete if ended is None else ended < began

    def adopt(self, execution: Execution, today: datetime) -> None:
        """Remember a finished execution that had no events."""
        note = Note(str(execution.status), 0, unwatched=True, task_id=execution.task_id)
        self._keep(execution.id, note, _end_of(execution, today))

    def let_go(self, record: Record, status: str, today: datetime, *, unwatched: bool = False) -> None:
        """Drop a record, and remember what must not be forgotten.

        Args:
            record: The record.
            status: Its status, or `UNSEEN` if its next sight is to be a first sight.
            today: The present date.
            unwatched: Whether nobody watches it any more: its anomalies are nobody's concern either.
        """
        self._records.pop(record.id, None)
        if record.seq or status != UNSEEN:
            opened = () if record.rare is None or unwatched else tuple(record.rare.open.items())
            note = Note(status, record.seq, unwatched, record.task_id, opened)
            self._keep(record.id, note, _end_of(record.final, today))

    def restore(self, execution_id: str, note: Note, ended: float | None) -> None:
        """Take back what was remembered of an execution when another tracker let go of it, the oldest first."""
        self._put(execution_id, note, -inf if ended is None else ended)

    def revive(self, execution_id: str, at: float) -> Record | None:
        """Return a record made of what remains of an execution, and forget that; None if nothing does.

        Args:
            execution_id: The execution.
            at: The present time, in seconds.
        """
        note = self._young.pop(execution_id, None) or self._old.pop(execution_id, None)
        if note is None:
            return None
        record = Record(execution_id, status=note.status, seq=note.seq, task_id=note.task_id)
        if note.open:
            rare = record.uncommon()
            rare.open = dict(note.open)
            if note.has_vanished:
                record.since = at
                rare.suspicion = Suspicion(None, -inf, at)
            if AnomalyKind.UNKNOWN_STATUS in rare.open:
                rare.odd_since = -inf
        self._records[execution_id] = record
        return record

    def unadopt(self, execution_id: str) -> None:
        """Forget the status of an execution that nobody watched, so that its next sight is the first."""
        for notes in (self._young, self._old):
            note = notes.get(execution_id)
            if note is not None and note.unwatched:
                notes[execution_id] = Note(UNSEEN, note.seq, task_id=note.task_id)
                self._changed(execution_id, None)

    def _keep(self, execution_id: str, note: Note, ended: float) -> None:
        self._put(execution_id, note, ended)
        self._changed(execution_id, None if ended == -inf else ended)

    def _put(self, execution_id: str, note: Note, ended: float) -> None:
        if len(self._young) >= self._size:
            self.horizon = max(self.horizon, self._latest_old)
            self.floor = max(self.floor, self._highest_old)
            self._old, self._young = self._young, {}
            self._latest_old, self._latest = self._latest, -inf
            self._highest_old, self._highest = self._highest, 0
            self._shared = {}
        self._young.pop(execution_id, None)  # the latest come last
        self._young[execution_id] = self._shared.setdefault(note, note)
        self.count += 1
        self._latest = max(self._latest, ended)
        self._highest = max(self._highest, note.seq)


def _end_of(execution: Execution | None, today: datetime) -> float:
    """Return when an execution ended: a service whose clock runs ahead must not silence what is still to come."""
    ended = None if execution is None else execution.finished_at or execution.updated_at
    return -inf if ended is None else min(ended, today).timestamp()
