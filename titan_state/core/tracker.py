"""Tracker: observations in, events out.

The tracker keeps one record for each execution and is the door to what is known of it. It neither reads clocks nor
sends anything: every time is an argument, in seconds on one clock that never goes back. What a read means is decided
in `judge.py`, absence (404) in `absence.py`, what depends on time alone in `watchdogs.py`; questions that change
nothing are answered in `knowledge.py`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from titan_state.core.anomalies import AnomalyKind, Thresholds
from titan_state.core.events import ActionAccepted, ActionSent, ActionUnknown, Event
from titan_state.core.lifecycle import Action, Lifecycle
from titan_state.core.tracking.chronicle import UNIX_EPOCH
from titan_state.core.tracking.intents import answered, withdraw
from titan_state.core.tracking.judge import Judge
from titan_state.core.tracking.knowledge import Knowledge
from titan_state.core.tracking.record import UNSEEN, Intent, Record
from titan_state.core.tracking.state import (
    ENDED,
    IN_FULL,
    KEPT,
    RARE,
    SINCE,
    STATUS,
    State,
    freeze,
    freeze_note,
    note_of,
    thaw,
)
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from titan_state.core.execution import Execution
    from titan_state.core.tracking.retention import Baseline
    from titan_state.core.tracking.state import Row


class Tracker(Knowledge):
    """Turns observations of executions into events, and tells what is known of them.

    A monitor has one; it is of use by itself where something else reads the service, or for a replay. Every time is in
    seconds of one clock that never goes back, whose zero is the date `epoch`.

    ```python
    tracker = Tracker()
    seen = Execution.from_payload({"id": "e1", "status": "running"})
    for event in tracker.observe(seen, sent_at=10.0, received_at=10.2):
        print(event.to_dict())  # the first sight: a Transitioned from None to running
    ```

    Attributes:
        lifecycle: The model.
        thresholds: When something counts as an anomaly.
    """

    def __init__(
        self,
        lifecycle: Lifecycle | None = None,
        thresholds: Thresholds | None = None,
        *,
        epoch: datetime = UNIX_EPOCH,
        result_statuses: Collection[str] = (),
    ) -> None:
        """Make a tracker that knows no execution.

        Args:
            lifecycle: The model, the documented one by default.
            thresholds: When something counts as an anomaly.
            epoch: The date at which the clock of all times handed in is zero; it dates the events.
            result_statuses: The statuses of executions whose results are waited for: whoever looks tells `results`.
        """
        super().__init__(lifecycle or Lifecycle.default(), thresholds or Thresholds(), epoch, result_statuses)
        parts = (self._chronicle, self._suspects, self._absences, self._watchdogs, self.outlook, self.results)
        self._judge = Judge(self.lifecycle, self.thresholds, *parts)
        self.outlook.zero = epoch.timestamp()

    def observe(
        self, execution: Execution, *, sent_at: float, received_at: float, baseline: Baseline | None = None
    ) -> list[Event]:
        """Take in what a read says of an execution.

        Args:
            execution: The snapshot.
            sent_at: When the read was sent, in seconds.
            received_at: When its answer was received.
            baseline: For an execution that is only seen because its task, or everything, is watched: what had
                finished before that began is adopted silently. None for one that is watched by its id.

        Returns:
            What happened, in order; usually nothing.
        """
        self._watchdogs.seen(sent_at, received_at)
        self._suspects.counts.observed += 1
        record = self._records.get(execution.id)
        if record is not None and execution.status == record.status and record.rare is None:
            record.look(execution, sent_at, received_at)
            if record.task_id is None and execution.task_id is not None:
                record.identify(execution)
                self._chronicle.mark(record.id)
                self._watchdogs.arm(record, received_at)  # its task may have thresholds of its own
            return []
        is_new = record is None
        if record is None:
            record = self._record_for(execution, baseline, received_at)
            if record is None:
                return []
        self._judge.observe(record, execution, sent_at, received_at)
        if is_new and baseline is not None and self._watchdogs.is_live(record):
            self.outlook.met(record)
        self._watchdogs.looked(record, received_at)
        return self._done(record, received_at)

    def agrees(self, payload: Any) -> bool:
        """Return whether the JSON of an execution says what is known of it, so that `again` takes it in as it is.

        Args:
            payload: The decoded JSON of one execution.
        """
        try:
            name, status = payload["id"], payload["status"]
            record = self._records.get(name)
            if record is None:  # it may have finished, so that only a note of it remains
                return bool(status) and self._retention.agrees(name, status)
            known = record.status != UNSEEN and record.rare is None and record.task_id is not None
            return known and bool(status == record.status)
        except (TypeError, LookupError):
            return False

    def again(self, payloads: Collection[Mapping[str, Any]], *, sent_at: float, received_at: float) -> None:
        """Take in that a read showed executions as they are known: what `observe` does for them, without decoding.

        Args:
            payloads: The JSON objects, each of which `agrees`.
            sent_at: When the read was sent, in seconds.
            received_at: When its answer was received.
        """
        self._watchdogs.seen(sent_at, received_at)
        self._suspects.counts.observed += len(payloads)
        for payload in payloads:
            record = self._records.get(payload["id"])
            if record is not None:
                record.glance(payload, sent_at, received_at)

    def absent(self, execution_id: str, *, sent_at: float, received_at: float) -> list[Event]:
        """Take in that the service says an execution does not exist (404).

        Args:
            execution_id: The execution.
            sent_at: When the read was sent, in seconds.
            received_at: When its answer was received.

        Returns:
            What happened, in order; usually nothing.
        """
        record = self._records.get(execution_id)
        if record is None:
            if self._retention.remembers_end(execution_id):
                return []
            record = self._known(execution_id, received_at)
        if self.lifecycle.is_terminal(record.status):  # finished, and deleted since: housekeeping, not an anomaly
            if sent_at >= record.seen_received:
                self._absences.forget(record)
            return self._done(record, received_at)
        self._absences.note(record, sent_at, received_at, self._watchdogs)
        return self._done(record, received_at)

    def contact(self, *, sent_at: float, received_at: float, served_at: datetime | None = None) -> None:
        """Take in that the service gave a good answer, whatever was in it.

        Args:
            sent_at: When the read was sent, in seconds.
            received_at: When its answer was received.
            served_at: The service's date in the answer; ages are counted by its clock.
        """
        self._watchdogs.seen(sent_at, received_at)
        if served_at is not None:
            self.outlook.synchronize(served_at, (sent_at + received_at) / 2)

    def rest(self, now: float) -> None:
        """Take in that no read is due or under way, and that none has failed: seeing nothing is no blindness then.

        Args:
            now: The time, in seconds.
        """
        self._watchdogs.rested(now)

    def tick(self, now: float, *, behind_s: float = 0.0) -> list[Event]:
        """Apply the rules that depend on time alone.

        Args:
            now: The time, in seconds.
            behind_s: By how many seconds the reads are late against their own plan.

        Returns:
            What happened, in order; usually nothing.
        """
        self._watchdogs.tick(now, behind_s, self._absences)
        return self._chronicle.take()

    def anchor(self, date: datetime, seconds: float) -> None:
        """Take in which date it is now: events are dated by it from here on.

        Args:
            date: The date, aware.
            seconds: The time on the tracker's clock at that date.
        """
        self._chronicle.epoch = date - timedelta(seconds=seconds)
        self.outlook.anchor(self._chronicle.epoch)

    def expect(self, execution_id: str) -> None:
        """Make the next sight of an execution a first sight, if it was adopted silently, or let go by `forget`.

        Call it when an execution is watched by its id: a wider watch may have adopted it already.

        Args:
            execution_id: The execution.
        """
        self._retention.unadopt(execution_id)

    def forget(self, execution_id: str, *, at: float) -> None:
        """Let go of an execution that is no longer watched; when it is seen again, that is a first sight.

        One that has finished stays remembered as finished, and silent, unless somebody asks for it by `expect`.

        Args:
            execution_id: The execution; one that is not known is passed over.
            at: The time, in seconds.
        """
        record = self._records.get(execution_id)
        if record is not None:
            self._absences.forget(record)
            self.results.forget(record)
            status = record.status if self.lifecycle.is_terminal(record.status) else UNSEEN
            self._retention.let_go(record, status, self._chronicle.date(at), unwatched=True)

    def action_sent(self, execution_id: str, action: Action | str, *, at: float) -> list[Event]:
        """Take down that a control action is about to be sent. From now on the move it causes is explained.

        Args:
            execution_id: The execution.
            action: The action.
            at: The time, in seconds.

        Returns:
            The events.
        """
        record = self._known(execution_id, at)
        record.uncommon().intents.append(Intent(Action(action), at))
        self._chronicle.clear(record, AnomalyKind.ACTION_NOT_APPLIED, at, f"{Action(action)} was sent since")
        self._chronicle.acted(ActionSent, record, Action(action), at)
        return self._done(record, at)

    def action_accepted(
        self, execution_id: str, action: Action | str, *, at: float, sent_at: float | None = None
    ) -> list[Event]:
        """Take down that the service accepted the action; its effect is expected within `Thresholds.action_s`.

        Args:
            execution_id: The execution.
            action: The action.
            at: The time, in seconds.
            sent_at: The `at` of its `action_sent`, to tell apart actions of the same name that overlap; by default it
                is the latest one without an answer.

        Returns:
            The events.
        """
        record = self._known(execution_id, at)
        intent = answered(record.rare, Action(action), sent_at)
        if intent is not None:
            intent.accepted_at = at
        self._chronicle.acted(ActionAccepted, record, Action(action), at)
        return self._done(record, at)

    def action_refused(
        self, execution_id: str, action: Action | str, *, at: float, code: str = "", sent_at: float | None = None
    ) -> list[Event]:
        """Take down that the service refused the action: it explains nothing any more.

        Args:
            execution_id: The execution.
            action: The action.
            at: The time, in seconds.
            code: The service's error code.
            sent_at: Which one it was, as for `action_accepted`.

        Returns:
            The events.
        """
        record = self._known(execution_id, at)
        intent = answered(record.rare, Action(action), sent_at)
        if record.rare is not None and intent is not None:
            withdraw(record.rare, intent)
        self._chronicle.refused(record, Action(action), at, shorten(code))
        return self._done(record, at)

    def action_unknown(self, execution_id: str, action: Action | str, *, at: float) -> list[Event]:
        """Take down that no answer came: the action may or may not take effect, and explains its move if it does.

        Args:
            execution_id: The execution.
            action: The action.
            at: The time, in seconds.

        Returns:
            The events.
        """
        record = self._known(execution_id, at)
        intent = answered(record.rare, Action(action), None)
        if intent is not None:
            intent.doubted = True
        self._chronicle.acted(ActionUnknown, record, Action(action), at)
        return self._done(record, at)

    def remember_changes(self) -> None:
        """Begin to take down what changes, for `take_changes`."""
        self._chronicle.changed = {}

    @property
    def has_changes(self) -> bool:
        """Whether something changed since `take_changes` that must survive a restart."""
        return bool(self._chronicle.changed)

    def take_changes(self) -> State:
        """Return what changed since the last call, as it is now. Events that were returned before are in it."""
        changed, self._chronicle.changed = self._chronicle.changed or {}, {}
        zero = self._chronicle.epoch.timestamp()
        rows = []
        for execution_id, ended in changed.items():
            record = self._watchdogs.monitor if execution_id == UNSEEN else self._records.get(execution_id)
            note = None if record is not None else self._retention.find(execution_id)
            if record is not None:
                rows.append(freeze(record, zero))
            elif note is not None:
                rows.append(freeze_note(execution_id, note, ended))
        return State(rows, floor=self._retention.floor, horizon=self._retention.horizon)

    def restore(self, state: State, *, now: float) -> list[Event]:
        """Take back what another tracker knew. Call `anchor` first, and this before anything else.

        Args:
            state: What `take_changes` returned, with the latest row of each execution.
            now: The time, in seconds. Whatever is observed from now on is newer than what is taken back.

        Returns:
            An `ActionUnknown` for each control action that was about to be sent, and had no answer yet.
        """
        zero, knows = self._chronicle.epoch.timestamp(), self.lifecycle.knows
        gone = now - self.thresholds.retention_s
        self._retention.floor, self._retention.horizon = state.floor, state.horizon
        for row in state.records:
            if row[KEPT] != IN_FULL or (row[SINCE] is not None and self._is_over(row, gone + zero)):
                self._retention.restore(row[0], note_of(row), row[ENDED])
                continue
            record = thaw(row, zero, now, knows)
            if record.id == UNSEEN:
                self._watchdogs.restore_monitor(record, now)
                continue
            self._records[record.id] = record
            self.results.restored(record, now)
            self._watchdogs.arm(record, now)
            if record.rare is not None:
                for intent in record.rare.intents:
                    if intent.accepted_at is None and not intent.doubted:
                        intent.doubted = True
                        self._chronicle.acted(ActionUnknown, record, intent.action, now)
        return self._chronicle.take()

    def _is_over(self, row: Row, date: float) -> bool:
        """Return whether an execution had finished at a date, and is not kept in full any more."""
        return row[SINCE] <= date and self.lifecycle.is_terminal(row[STATUS]) and row[RARE] is None

    def _known(self, execution_id: str, at: float) -> Record:
        record = self._records.get(execution_id) or self._retention.revive(execution_id, at)
        if record is None:
            record = self._records[execution_id] = Record(execution_id, seq=self._retention.floor)
        return record

    def _record_for(self, execution: Execution, baseline: Baseline | None, at: float) -> Record | None:
        """Return a record for an execution that has none, None if there is nothing to say of it."""
        if self._retention.is_no_news(execution):
            return None
        finished = self.lifecycle.is_terminal(execution.status) and self._retention.find(execution.id) is None
        if finished and baseline is not None and self._retention.is_old_news(execution, baseline):
            self._retention.adopt(execution, self._chronicle.date(at))
            self.outlook.past(execution)
            return None
        return self._known(execution.id, at)

    def _done(self, record: Record, at: float) -> list[Event]:
        """Drop what a record no longer needs, set its timer, and return what happened."""
        if record.rare is not None and record.rare.is_empty():
            record.rare = None
        self._watchdogs.arm(record, at)
        return self._chronicle.take()
