"""Results: which executions have succeeded and are waited for until their results can be read, and when to look next.

`completed` does not mean that results can be read: they are published some time after. Each look costs a request, so
looks are few: the first comes when results of the task are usually there, later ones further and further apart. What
a look said is taken in here; which request goes out when is the planner's business.
"""

from __future__ import annotations

import heapq
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import NO_METADATA
from titan_state.core.tracking.intervals import FIRST_LOOK_S, gap_s
from titan_state.core.tracking.record import Awaited

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from titan_state.core.anomalies import Thresholds
    from titan_state.core.events import Event
    from titan_state.core.tracking.chronicle import Chronicle
    from titan_state.core.tracking.record import Record

RESULT_STATUSES: Final = ("completed", "completed_with_errors")
"""The statuses of executions that have results. Of the second that is not documented: it is a default."""

LATEST_S: Final = 300.0
"""How long after a success the first look comes at the latest, however late results usually are."""

GIVE_UP_S: Final = 86_400.0
"""For how long after the success results are looked for: what is not found after a day is taken to come never."""

HERE_S: Final = 21_600.0
"""For how long they are looked for at least after a restart, however long ago the success was."""

AT_ONCE: Final = 2
"""How many looks are under way at the same time: those that hang must not hold up the other reads."""

TIMELY_S: Final = 5.0
"""How much later than planned a look may be, to tell how late results are; or half as much again, if that is more."""

MOST: Final = 10_000
"""How many executions are waited for at most; of more, the one that has been waited for the longest is given up."""

MOST_TASKS: Final = 10_000
"""Of how many tasks it is remembered how late their results come."""

SLACK: Final = 64
"""How many entries of the schedule that count no more are kept at least, before they are thrown out."""

WEIGHT: Final = 0.25
"""How much the latest delay of a task's results counts against those before it."""


@attrs.define(eq=False)
class Results:
    """The executions whose results are waited for.

    Attributes:
        is_on: Whether anybody wants to know: an execution that succeeds while nobody does is not waited for.
    """

    _statuses: Collection[str]
    _thresholds: Thresholds
    _chronicle: Chronicle
    is_on: bool = attrs.field(init=False)
    _waiting: dict[str, Record] = attrs.field(init=False, factory=dict)  # the longest waited for come first
    _heap: list[tuple[float, str]] = attrs.field(init=False, factory=list)
    _under_way: int = attrs.field(init=False, default=0)  # looks
    _rests_until: float = attrs.field(init=False, default=-inf)
    _usual: dict[str | None, float] = attrs.field(init=False, factory=dict)  # by task; None for all of them

    def __attrs_post_init__(self) -> None:
        self.is_on = bool(self._statuses) and self._thresholds.results_s is not None

    def wants(self) -> None:
        """Take in that somebody wants to know when results can be read, whatever the thresholds say."""
        self.is_on = bool(self._statuses)

    def is_awaited(self, execution_id: str) -> bool:
        """Return whether the results of an execution are waited for."""
        return execution_id in self._waiting

    def entered(self, record: Record, at: float) -> None:
        """Take in that an execution has entered a status: it is waited for if that has results, else no longer."""
        self.forget(record)
        if record.status in self._statuses and self.is_on:
            self._begin(record, Awaited(at), at)
        elif record.status not in self._statuses:
            self._chronicle.clear(record, AnomalyKind.RESULTS_OVERDUE, at, f"it is {record.status} now")

    def restored(self, record: Record, now: float) -> None:
        """Take back an execution that another tracker waited for."""
        awaited = None if record.rare is None else record.rare.awaited
        if awaited is None:
            return
        if record.status in self._statuses:
            awaited.is_late = True  # how late its results are is not seen any more
            self._begin(record, awaited, now)
        else:
            self.forget(record)

    def keeps(self, record: Record, now: float) -> bool:
        """Return whether a record must be kept for the sake of its results."""
        _, awaited = self._find(record.id)
        return awaited is not None and now < _ends_at(awaited)

    def forget(self, record: Record) -> None:
        """Wait for the results of an execution no longer."""
        self._waiting.pop(record.id, None)
        if record.rare is not None and record.rare.awaited is not None:
            record.rare.awaited = None
            self._chronicle.mark(record.id)

    def readable(
        self,
        execution_id: str,
        *,
        received_at: float,
        row_count: int | None = None,
        metadata: Mapping[str, Any] = NO_METADATA,
    ) -> list[Event]:
        """Take in that results can be read.

        Args:
            execution_id: The execution.
            received_at: When the answer was received that showed it.
            row_count: How many rows they have, None if that is not known.
            metadata: What the service says of them.

        Returns:
            What happened: `ResultsReady`, once, if they were waited for; nothing otherwise.
        """
        record, awaited = self._find(execution_id)
        if record is None or awaited is None:
            return []
        # Between the last look without them and this one; at the first look they may have been there for long.
        earliest = awaited.seen_absent if awaited.seen_absent is not None else awaited.since
        self._learn(record, awaited, (earliest + received_at) / 2 - awaited.since)
        self.forget(record)
        self._chronicle.results_ready(
            record, received_at, metadata=metadata, row_count=row_count, after=earliest, status=record.status
        )
        self._chronicle.clear(record, AnomalyKind.RESULTS_OVERDUE, received_at, "its results can be read")
        if record.rare is not None and record.rare.is_empty():
            record.rare = None
        return self._chronicle.take()

    def unreadable(self, execution_id: str, answer: str, *, sent_at: float, received_at: float) -> list[Event]:
        """Take in that results could not be read yet.

        Args:
            execution_id: The execution.
            answer: What the service said, in short.
            sent_at: When the look was sent.
            received_at: When its answer was received.

        Returns:
            What happened: once, that they are overdue. After a day nothing is said, and they are waited for no longer.
        """
        record, awaited = self._find(execution_id)
        if record is None or awaited is None:
            return []
        awaited.seen_absent = sent_at if awaited.seen_absent is None else max(sent_at, awaited.seen_absent)
        if sent_at >= awaited.since + GIVE_UP_S:
            self.forget(record)
            return []
        overdue_at = self._overdue_at(awaited)
        if sent_at >= overdue_at and not record.has_open(AnomalyKind.RESULTS_OVERDUE):
            since_s = sent_at - awaited.since
            self._learn(record, awaited, since_s)
            message = (
                f"its results cannot be read {since_s:.0f} s after it was seen {record.status} ({answer}); "
                "if this deployment publishes none, switch the rule off: Thresholds(results_s=None)"
            )
            self._chronicle.detect(record, AnomalyKind.RESULTS_OVERDUE, received_at, message)
        gap = gap_s(received_at - awaited.since, self._usual_s(record))
        self._arm(record, awaited, self._in_time(awaited, received_at, received_at + gap), received_at)
        return self._chronicle.take()

    def is_overdue(self, execution_id: str, sent_at: float) -> bool:
        """Return whether a look that was sent then, and did not find results, makes them overdue."""
        record, awaited = self._find(execution_id)
        is_news = record is not None and not record.has_open(AnomalyKind.RESULTS_OVERDUE)
        return awaited is not None and is_news and sent_at >= self._overdue_at(awaited)

    def postpone(self, execution_id: str, now: float, since: float | None = None) -> None:
        """Look again later: the look told nothing of results.

        Args:
            execution_id: The execution.
            now: The time.
            since: When looks of its results began to tell nothing; the longer ago, the later the next one. By default
                when it was seen to have succeeded.
        """
        record, awaited = self._find(execution_id)
        if record is not None and awaited is not None:
            gap = gap_s(now - (awaited.since if since is None else since))
            self._arm(record, awaited, self._in_time(awaited, now, now + gap), now)

    def retry(self, execution_id: str, at: float) -> None:
        """Look again at a time: the look that was under way told nothing."""
        record, awaited = self._find(execution_id)
        if record is not None and awaited is not None:
            self._arm(record, awaited, at, at)

    def rest(self, until: float) -> None:
        """Look for nothing until a time: the service refuses to tell, or is in trouble."""
        self._rests_until = max(self._rests_until, until)

    def next_at(self) -> float:
        """Return when the next look is due, infinity if none is."""
        if self._under_way >= AT_ONCE or not self.is_on:
            return inf
        while self._heap:
            due, execution_id = self._heap[0]
            if self._is_due(execution_id, due):
                return max(due, self._rests_until)
            heapq.heappop(self._heap)
        return inf

    def take(self, now: float) -> str | None:
        """Return an execution whose results are to be looked at now, and take the look as sent; None if none is due."""
        if self.next_at() > now:
            return None
        due, execution_id = heapq.heappop(self._heap)
        _, awaited = self._find(execution_id)
        if awaited is not None:
            awaited.due = inf
            awaited.is_late |= now - due > max(TIMELY_S, (due - awaited.since) / 2)
        self._under_way += 1
        return execution_id

    def landed(self) -> None:
        """Take in that a look that was taken is not under way any more, whatever became of it."""
        self._under_way -= 1

    def _find(self, execution_id: str) -> tuple[Record | None, Awaited | None]:
        record = self._waiting.get(execution_id)
        return record, None if record is None or record.rare is None else record.rare.awaited

    def _begin(self, record: Record, awaited: Awaited, now: float) -> None:
        awaited.here_since = now
        record.uncommon().awaited = awaited
        self._waiting[record.id] = record
        self._arm(record, awaited, awaited.since + max(FIRST_LOOK_S, self._usual_s(record)), now)
        self._chronicle.mark(record.id)
        if len(self._waiting) > MOST:
            self.forget(next(iter(self._waiting.values())))

    def _arm(self, record: Record, awaited: Awaited, due: float, now: float) -> None:
        """Look at a time, if that is worth it still: what told nothing for too long is given up."""
        if now >= _ends_at(awaited):
            self.forget(record)
            return
        awaited.due = due
        heapq.heappush(self._heap, (due, record.id))
        if len(self._heap) > 2 * len(self._waiting) + SLACK:  # most of it counts no more
            self._heap = [(due, name) for due, name in self._heap if self._is_due(name, due)]
            heapq.heapify(self._heap)

    def _is_due(self, execution_id: str, due: float) -> bool:
        """Return whether an entry of the heap still counts."""
        _, awaited = self._find(execution_id)
        return awaited is not None and awaited.due == due

    def _overdue_at(self, awaited: Awaited) -> float:
        limit = self._thresholds.results_s
        return inf if limit is None else awaited.since + limit + self._thresholds.replica_lag_s

    def _in_time(self, awaited: Awaited, now: float, due: float) -> float:
        """Return when to look, so that results are neither called overdue late, nor without a look."""
        overdue_at = self._overdue_at(awaited)
        return min(due, overdue_at) if now < overdue_at else due

    def _usual_s(self, record: Record) -> float:
        return self._usual.get(record.task_id, self._usual.get(None, 0.0))

    def _learn(self, record: Record, awaited: Awaited, delay_s: float) -> None:
        if awaited.is_late:
            return
        delay_s = min(max(0.0, delay_s), LATEST_S)
        for task_id in dict.fromkeys((None, record.task_id)):
            known = self._usual.pop(task_id, None)
            if len(self._usual) >= MOST_TASKS:
                del self._usual[next(iter(self._usual))]
            self._usual[task_id] = delay_s if known is None else known + WEIGHT * (delay_s - known)


def _ends_at(awaited: Awaited) -> float:
    """Return until when results are looked for, if looks tell nothing of them."""
    return max(awaited.since + GIVE_UP_S, awaited.here_since + HERE_S)
