"""Tracker: observations in, events out.

The tracker keeps one record for each execution and is the door to what is known of it. It neither reads clocks nor
sends anything: every time is an argument, in seconds on one clock that never goes back. What a read means is decided
in `judge.py`, absence (404) in `absence.py`, what depends on time alone in `watchdogs.py`.
"""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING

import attrs

from titan_state.core.absence import Absences
from titan_state.core.anomalies import AnomalyKind, Thresholds
from titan_state.core.chronicle import UNIX_EPOCH, Chronicle
from titan_state.core.events import ActionAccepted, ActionSent, ActionUnknown, Event
from titan_state.core.intents import explaining, withdraw
from titan_state.core.judge import Judge
from titan_state.core.lifecycle import Action, Lifecycle, Verdict
from titan_state.core.record import UNSEEN, Intent, Record
from titan_state.core.retention import Retention
from titan_state.core.suspects import Counts, Suspects
from titan_state.core.watchdogs import Watchdogs
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from titan_state.core.execution import Execution
    from titan_state.core.retention import Baseline


class Tracker:
    """Turns observations of executions into events.

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
    ) -> None:
        """Make a tracker that knows no execution.

        Args:
            lifecycle: The model, the documented one by default.
            thresholds: When something counts as an anomaly.
            epoch: The date at which the clock of all times handed in is zero; it dates the events.
        """
        self.lifecycle = lifecycle or Lifecycle.default()
        self.thresholds = thresholds or Thresholds()
        self._records: dict[str, Record] = {}
        self._chronicle = Chronicle(epoch)
        self._suspects = Suspects()
        self._retention = Retention(self._records)
        self._watchdogs = Watchdogs(self.lifecycle, self.thresholds, self._chronicle, self._retention)
        self._absences = Absences(self._chronicle, self._suspects, self.thresholds)
        self._judge = Judge(
            self.lifecycle, self.thresholds, self._chronicle, self._suspects, self._absences, self._watchdogs
        )

    # What is known.

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

    def status(self, execution_id: str) -> str | None:
        """Return the status that an execution is in, None if it was never seen, or was let go."""
        record = self._records.get(execution_id)
        return None if record is None or record.status == UNSEEN else record.status

    def snapshot(self, execution_id: str) -> Execution | None:
        """Return what is known of an execution, None if it was never seen, or was let go."""
        record = self._records.get(execution_id)
        return None if record is None else record.snapshot()

    def snapshots(self) -> Iterator[Execution]:
        """Hand out what is known of every execution that is kept in full."""
        for record in self._records.values():
            execution = record.snapshot()
            if execution is not None:
                yield execution

    def knows(self, execution_id: str) -> bool:
        """Return whether an execution was seen before, also if it was let go since."""
        return self.status(execution_id) is not None or self._retention.find(execution_id) is not None

    def is_live(self, execution_id: str) -> bool:
        """Return whether an execution was seen, has not finished and has not vanished."""
        record = self._records.get(execution_id)
        return record is not None and self._watchdogs.is_live(record)

    def is_finished(self, execution_id: str) -> bool:
        """Return whether an execution has finished, also if it was let go since."""
        record = self._records.get(execution_id)
        if record is None:
            return self._retention.remembers_end(execution_id)
        return self.lifecycle.is_terminal(record.status)

    def is_missing(self, execution_id: str) -> bool:
        """Return whether an execution that was never seen has been unreadable (404) for longer than the grace."""
        record = self._records.get(execution_id)
        return record is not None and record.status == UNSEEN and self._absences.is_confirmed(record)

    def has_vanished(self, execution_id: str) -> bool:
        """Return whether an execution is gone (404), confirmed."""
        record = self._records.get(execution_id)
        return record is not None and record.has_open(AnomalyKind.VANISHED)

    def open_anomalies(self, execution_id: str) -> tuple[AnomalyKind, ...]:
        """Return the anomalies of an execution that are raised and not cleared; of the monitor itself for `""`."""
        record = self._watchdogs.monitor if execution_id == UNSEEN else self._records.get(execution_id)
        return () if record is None or record.rare is None else tuple(record.rare.open)

    def seen_at(self, execution_id: str) -> tuple[float, float] | None:
        """Return when the latest read of the present status was sent, and received; None if there was none."""
        record = self._records.get(execution_id)
        if record is None or record.status == UNSEEN or record.seen_sent == -inf:
            return None
        return record.seen_sent, record.seen_received

    def since(self, execution_id: str) -> float:
        """Return when an execution was first seen in its present status; minus infinity if it is not kept."""
        record = self._records.get(execution_id)
        return -inf if record is None else record.since

    def check(self, execution_id: str, action: Action | str) -> Verdict:
        """Return whether `action` is legal for an execution, as far as is known.

        Args:
            execution_id: The execution.
            action: An action, or its name.

        Raises:
            ValueError: There is no such action.
        """
        record = self._records.get(execution_id)
        if record is None or record.status == UNSEEN:
            Action(action)
            return Verdict(allowed=False, reason="it has not been observed yet: watch it, or read it first")
        seen = self._chronicle.date(record.seen_received) if record.seen_received > -inf else None
        if record.has_open(AnomalyKind.VANISHED):
            return Verdict(allowed=False, reason="it has vanished: the service answers 404", as_of=seen)
        if record.has_open(AnomalyKind.UNKNOWN_STATUS):
            reason = "its present status is not in the model; extend the lifecycle"
            return Verdict(allowed=False, reason=reason, as_of=seen)
        return attrs.evolve(self.lifecycle.verdict(record.status, action), as_of=seen)

    # What is observed.

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
        record = self._records.get(execution.id)
        if record is not None and execution.status == record.status and record.rare is None:
            record.look(execution, sent_at, received_at)
            return []
        if record is None:
            record = self._record_for(execution, baseline, received_at)
            if record is None:
                return []
        self._judge.observe(record, execution, sent_at, received_at)
        self._tidy(record, received_at)
        return self._chronicle.take()

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
            record = self._known(execution_id)
        if self.lifecycle.is_terminal(record.status):
            if sent_at >= record.seen_received:  # finished, and deleted since: housekeeping, not an anomaly
                self._suspects.settle(record)
                self._retention.let_go(record, record.status, self._chronicle.date(received_at))
            return []
        self._absences.note(record, sent_at, received_at, self._watchdogs)
        self._tidy(record, received_at)
        return self._chronicle.take()

    def contact(self, *, sent_at: float, received_at: float) -> None:
        """Take in that the service gave a good answer, whatever was in it."""
        self._watchdogs.seen(sent_at, received_at)

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
        """Take in which date it is now: events are dated by it from here on."""
        self._chronicle.epoch = date - timedelta(seconds=seconds)

    def expect(self, execution_id: str) -> None:
        """Make the next sight of an execution a first sight, if it was adopted silently.

        Call it when an execution is watched by its id that a wider watch may have adopted already.
        """
        self._retention.unadopt(execution_id)

    def forget(self, execution_id: str, *, at: float) -> None:
        """Let go of an execution that is no longer watched; when it is seen again, that is a first sight."""
        record = self._records.get(execution_id)
        if record is not None:
            self._suspects.settle(record)
            self._absences.forget(record)
            finished = self.lifecycle.is_terminal(record.status)
            self._retention.let_go(record, record.status if finished else UNSEEN, self._chronicle.date(at))

    # What is done.

    def action_sent(self, execution_id: str, action: Action | str, *, at: float) -> list[Event]:
        """Take down that a control action is about to be sent. From now on the move it causes is explained.

        Args:
            execution_id: The execution.
            action: The action.
            at: The time, in seconds.

        Returns:
            The events.
        """
        record = self._known(execution_id)
        action = Action(action)
        record.uncommon().intents.append(Intent(action, at))
        message = f"{action} was sent since"
        self._chronicle.clear(record, AnomalyKind.ACTION_NOT_APPLIED, at, message)
        self._chronicle.acted(ActionSent, record, action, at)
        return self._chronicle.take()

    def action_accepted(self, execution_id: str, action: Action | str, *, at: float) -> list[Event]:
        """Take down that the service accepted the action; its effect is expected within `Thresholds.action_s`."""
        record = self._known(execution_id)
        intent = explaining(record.rare, Action(action))
        if intent is not None:
            intent.accepted_at = at
        self._chronicle.acted(ActionAccepted, record, Action(action), at)
        self._watchdogs.arm(record, at)
        return self._chronicle.take()

    def action_refused(self, execution_id: str, action: Action | str, *, at: float, code: str = "") -> list[Event]:
        """Take down that the service refused the action: it explains nothing any more."""
        record = self._known(execution_id)
        withdraw(record.rare, Action(action))
        self._chronicle.refused(record, Action(action), at, shorten(code))
        return self._chronicle.take()

    def action_unknown(self, execution_id: str, action: Action | str, *, at: float) -> list[Event]:
        """Take down that no answer came: the action may or may not take effect, and explains its move if it does."""
        record = self._known(execution_id)
        self._chronicle.acted(ActionUnknown, record, Action(action), at)
        return self._chronicle.take()

    def _known(self, execution_id: str) -> Record:
        record = self._records.get(execution_id) or self._retention.revive(execution_id)
        if record is None:
            record = self._records[execution_id] = Record(execution_id)
        return record

    def _record_for(self, execution: Execution, baseline: Baseline | None, at: float) -> Record | None:
        """Return a record for an execution that has none, None if there is nothing to say of it."""
        note = self._retention.find(execution.id)
        if note is not None and note.status == execution.status:
            return None
        finished = note is None and self.lifecycle.is_terminal(execution.status)
        if finished and baseline is not None and self._retention.is_old_news(execution, baseline):
            self._retention.adopt(execution, self._chronicle.date(at))
            return None
        return self._known(execution.id)

    def _tidy(self, record: Record, at: float) -> None:
        """Drop what a record no longer needs, and set its timer."""
        if record.rare is not None and record.rare.is_empty(at):
            record.rare = None
        self._watchdogs.arm(record, at)
