"""Watchdogs: the rules that depend on time: stuck, flapping, an action without effect, and a monitor that sees nothing.

They look at records when a timer says so, never at all of them. That an execution is still where it was is never taken
for granted, though: once its time has come, a rule waits for a read that shows it. What an observation means is not
decided here.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.core.anomalies import STUCK, AnomalyKind
from titan_state.core.tracking.intents import is_without_effect
from titan_state.core.tracking.record import UNSEEN, Record
from titan_state.core.tracking.timers import RESOLUTION_S, Timers

if TYPE_CHECKING:
    from titan_state.core.anomalies import Thresholds
    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Lifecycle, Move
    from titan_state.core.tracking.absence import Absences
    from titan_state.core.tracking.chronicle import Chronicle
    from titan_state.core.tracking.results import Results
    from titan_state.core.tracking.retention import Retention


LONGEST_S: Final = 900.0
"""How long a timer runs at most: it holds its record, also one that was let go meanwhile."""


AWAITED_S: Final = 60.0
"""How soon a record that is only kept because results are waited for is reviewed again."""


class Watchdogs:
    """Applies the rules of time to the records of one tracker.

    Attributes:
        monitor: The record of the monitor itself, which carries `blind`.
        answered_at: When the last good answer was received; None before the first.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        thresholds: Thresholds,
        chronicle: Chronicle,
        retention: Retention,
        results: Results,
    ) -> None:
        self.monitor = Record(UNSEEN)
        self._lifecycle = lifecycle
        self._thresholds = thresholds
        self._chronicle = chronicle
        self._retention = retention
        self._results = results
        self._timers = Timers()
        self._looked_at: float | None = None  # when the last good answer was received, or looking began
        self._looked_sent = -inf
        self.answered_at: float | None = None
        self._blinded_at: float | None = None  # by many absences at once

    def seen(self, sent_at: float, received_at: float) -> None:
        """Take in that the service gave a good answer."""
        if self._looked_at is None or received_at > self._looked_at:
            self._looked_at = received_at
        if self.answered_at is None or received_at > self.answered_at:
            self.answered_at = received_at
        if sent_at > self._looked_sent:
            self._looked_sent = sent_at

    def rested(self, now: float) -> None:
        """Take in that nothing was to be read, and nothing failed: that is not seeing nothing."""
        if self._looked_at is None or now > self._looked_at:
            self._looked_at = now

    def restore_monitor(self, record: Record, now: float) -> None:
        """Take back the record of the monitor itself: if it saw nothing, only a read that succeeds ends that."""
        self.monitor = record
        if record.has_open(AnomalyKind.BLIND):
            self._blinded_at = now

    def saw_nothing_since(self, when: float) -> bool:
        """Return whether no read that was sent after `when` had a good answer."""
        return self._looked_sent <= when

    def is_live(self, record: Record) -> bool:
        """Return whether an execution was seen, has not finished and has not vanished.

        One that was only seen in a status outside the model lives, as far as is known.
        """
        if record.status == UNSEEN:
            unfinished = record.has_open(AnomalyKind.UNKNOWN_STATUS)
        else:
            unfinished = record.status not in self._lifecycle.terminal
        return unfinished and not record.has_open(AnomalyKind.VANISHED)

    def blinded(self, at: float, story: str) -> bool:
        """Say that the monitor sees nothing, for another reason than silence; return False if that rule is off."""
        if self._thresholds.blind_s is None:
            return False
        self._blinded_at = at
        self._chronicle.detect(self.monitor, AnomalyKind.BLIND, at, story)
        return True

    def flipped(self, record: Record, execution: Execution, move: Move, at: float) -> None:
        """Take in a flip between running and paused that no action of ours explains."""
        flips = record.uncommon().flips
        flips.append(at)
        while flips and flips[0] <= at - self._thresholds.flap_window_s:
            flips.popleft()
        if record.has_open(AnomalyKind.FLAPPING):
            return
        message = f"{move.name} from {move.source} to {move.dest}, and no action of ours explains it"
        self._chronicle.detect(record, AnomalyKind.UNEXPECTED_FLIP, at, message, execution)
        count = self._thresholds.flap_count
        if count is not None and len(flips) >= count:
            message = f"{len(flips)} unexpected flips within {self._thresholds.flap_window_s:g} s"
            self._chronicle.detect(record, AnomalyKind.FLAPPING, at, message, execution)

    def arm(self, record: Record, now: float) -> None:
        """Set the timer of a record for the next time at which a rule may apply to it."""
        due = self._due(record, now)
        if due is not None:
            self._timers.arm(record, min(due, now + LONGEST_S))

    def looked(self, record: Record, at: float) -> None:
        """Apply the rules that waited for a read of the execution."""
        if record.rare is not None and record.rare.is_late:
            self._check_late(record, at)

    def tick(self, now: float, behind_s: float, absences: Absences) -> None:
        """Review the records that are due, and whether the monitor still sees anything."""
        for record in self._timers.due(now):
            if self._retention.keeps(record):
                self._review(record, now, absences)
        self._check_sight(now, behind_s)

    def _due(self, record: Record, now: float) -> float | None:
        rare = record.rare
        if record.status in self._lifecycle.terminal or record.has_open(AnomalyKind.VANISHED):
            return max(now, self._leaves_at(record, now))
        due = inf
        if rare is None or not rare.is_late:  # else the next read decides
            due = min(self._stuck_due(record), self._effect_due(record))
        if rare is not None:
            if rare.flips:
                due = min(due, rare.flips[0] + self._thresholds.flap_window_s)
            elif AnomalyKind.FLAPPING in rare.open:
                due = now
        return None if due == inf else due

    def _leaves_at(self, record: Record, now: float) -> float:
        """Return when a record that has finished or vanished is let go."""
        suspicion = None if record.rare is None else record.rare.suspicion
        if suspicion is not None and suspicion.status is not None:
            return now + max(self._thresholds.replica_lag_s, RESOLUTION_S)
        left = record.since if suspicion is None else suspicion.received_at
        if record.rare is not None and record.rare.odd_since is not None:
            left = max(left, record.rare.odd_since)
        return left + self._thresholds.retention_s

    def _stuck_due(self, record: Record) -> float:
        """Return from when on a read of the same status shows that the execution is stuck, infinity if none does.

        As in every rule that waits for a read, a replica that lags must not make it true.
        """
        stuck_s = self._thresholds.stuck_after(record.status, record.task_id)
        if stuck_s is None or record.has_open(STUCK[record.status]) or _is_odd(record):
            return inf
        return record.since + stuck_s + self._thresholds.replica_lag_s

    def _effect_due(self, record: Record) -> float:
        """Return from when on a read shows that the last accepted action has no effect, infinity if none does."""
        rare, action_s = record.rare, self._thresholds.action_s
        if rare is None or not rare.intents or action_s is None or AnomalyKind.ACTION_NOT_APPLIED in rare.open:
            return inf
        if _is_odd(record):
            return inf
        last = rare.intents[-1]
        if last.accepted_at is None or not is_without_effect(self._lifecycle, record, last):
            return inf
        return last.accepted_at + action_s + self._thresholds.replica_lag_s

    def _review(self, record: Record, now: float, absences: Absences) -> None:
        if record.status in self._lifecycle.terminal or record.has_open(AnomalyKind.VANISHED):
            if self._leaves_at(record, now) <= now:
                if self._results.keeps(record, now):
                    self._timers.arm(record, now + AWAITED_S)
                    return
                absences.forget(record)
                self._results.forget(record)
                self._retention.let_go(record, record.status, self._chronicle.date(now))
                return
        else:
            self._check_late(record, now)
            self._check_flips(record, now)
        self.arm(record, now)

    def _check_late(self, record: Record, now: float) -> None:
        """Apply the rules whose time has come, where a read shows it; the others wait for one."""
        is_late = False
        for due, kind in ((self._stuck_due(record), STUCK.get(record.status)), (self._effect_due(record), None)):
            if due > now:
                continue
            if record.seen_sent < due:
                is_late = True
            elif kind is not None:
                seen_s = record.seen_sent - record.since
                self._chronicle.detect(record, kind, now, f"{record.status} for {seen_s:.0f} s")
            else:
                self._detect_no_effect(record, now)
        if is_late:
            record.uncommon().is_late = True
        elif record.rare is not None:
            record.rare.is_late = False

    def _detect_no_effect(self, record: Record, now: float) -> None:
        last = record.uncommon().intents[-1]
        seen_s = record.seen_sent - (last.accepted_at or 0.0)
        message = f"{last.action} was accepted {seen_s:.0f} s before, and it was still {record.status}"
        self._chronicle.detect(record, AnomalyKind.ACTION_NOT_APPLIED, now, message)

    def _check_flips(self, record: Record, now: float) -> None:
        rare = record.rare
        if rare is None:
            return
        while rare.flips and rare.flips[0] <= now - self._thresholds.flap_window_s:
            rare.flips.popleft()
        if self._thresholds.flap_count is not None and len(rare.flips) < self._thresholds.flap_count:
            self._chronicle.clear(record, AnomalyKind.FLAPPING, now, "it has stopped flapping")

    def _check_sight(self, now: float, behind_s: float) -> None:
        if self._looked_at is None:
            self._looked_at = now
        limit = self._thresholds.blind_s
        if limit is None:
            return
        dark_s = now - self._looked_at
        if dark_s >= limit:
            message = f"nothing was seen for {dark_s:.0f} s"
            self._chronicle.detect(self.monitor, AnomalyKind.BLIND, now, message)
        elif behind_s >= limit:
            message = f"the reads are {behind_s:.0f} s late against their own plan"
            self._chronicle.detect(self.monitor, AnomalyKind.BLIND, now, message)
        elif self._blinded_at is None or self._looked_sent > self._blinded_at:
            self._blinded_at = None
            self._chronicle.clear(self.monitor, AnomalyKind.BLIND, now, "executions are seen again")


def _is_odd(record: Record) -> bool:
    """Return whether an execution is in a status outside the model, as far as is known."""
    return record.rare is not None and record.rare.odd_since is not None
