"""Judge: what one read means for one record.

The model orders what is known and what was read; what it cannot order is held back until a later read confirms it.
Everything that becomes of an observation is decided here, for statuses; absence and time have rooms of their own.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.core.anomalies import STUCK, AnomalyKind
from titan_state.core.execution import time_of
from titan_state.core.lifecycle import Order
from titan_state.core.tracking.intents import (
    FLIPS,
    asking_for,
    consume,
    explained,
    explains_flips,
    is_without_effect,
    likely_path,
    settle,
    show,
)
from titan_state.core.tracking.record import UNSEEN, Flip, Record
from titan_state.errors import shorten

if TYPE_CHECKING:
    from titan_state.core.anomalies import Thresholds
    from titan_state.core.events import Cause
    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Lifecycle, Move
    from titan_state.core.tracking.absence import Absences
    from titan_state.core.tracking.chronicle import Chronicle
    from titan_state.core.tracking.outlook import Outlook
    from titan_state.core.tracking.results import Results
    from titan_state.core.tracking.suspects import Suspects
    from titan_state.core.tracking.watchdogs import Watchdogs

OLD_NEWS_LAGS: Final = 12
"""For how many replica lags after the last read that agreed with it a record's date outweighs an earlier one.

Dates are advice, not proof: the clocks of a service differ, and jump.
"""


class Judge:
    """Decides what a read of a status means, and writes it down."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        thresholds: Thresholds,
        chronicle: Chronicle,
        suspects: Suspects,
        absences: Absences,
        watchdogs: Watchdogs,
        outlook: Outlook,
        results: Results,
    ) -> None:
        self._lifecycle = lifecycle
        self._lag_s = thresholds.replica_lag_s
        self._chronicle = chronicle
        self._suspects = suspects
        self._counts = suspects.counts
        self._absences = absences
        self._watchdogs = watchdogs
        self._outlook = outlook
        self._results = results

    def observe(self, record: Record, execution: Execution, sent_at: float, received_at: float) -> None:
        """Take in a read of an execution."""
        self._counts.dropped_fields += len(execution.dropped)
        self._absences.end(record, execution, sent_at, received_at)
        if not self._lifecycle.knows(execution.status):
            self._odd(record, execution, sent_at, received_at)
            return
        if record.status == UNSEEN:
            status = str(execution.status)  # the machine takes members of an Enum by their names
            self._chronicle.transitioned(record, execution, received_at, source=None, dest=status)
            self._enter(record, execution, sent_at, received_at, status=status)
        elif execution.status == record.status:
            self._agree(record, execution, sent_at, received_at)
        else:
            self._differ(record, execution, sent_at, received_at)

    def _odd(self, record: Record, execution: Execution, sent_at: float, received_at: float) -> None:
        """Take in a status that the model does not know: the record keeps its last known one."""
        rare = record.uncommon()
        overtaken = rare.suspicion is not None and sent_at < rare.suspicion.sent_at
        if overtaken or sent_at < max(record.seen_received, rare.odd_again_from):
            self._counts.stale += 1
            return
        self._suspects.dismiss(record)
        if record.status == UNSEEN:
            record.identify(execution)
        rare.odd_since = sent_at if rare.odd_since is None else max(rare.odd_since, sent_at)
        rare.odd = execution.status
        message = f"status {shorten(execution.status)!r} is not in the model"
        self._chronicle.detect(record, AnomalyKind.UNKNOWN_STATUS, received_at, message, execution)

    def _agree(self, record: Record, execution: Execution, sent_at: float, received_at: float) -> None:
        """Take in a read of the status that is known already: it ends a suspicion."""
        rare = record.uncommon()
        if rare.suspicion is not None and sent_at >= rare.suspicion.sent_at:
            self._suspects.dismiss(record)
        record.look(execution, sent_at, received_at)
        if rare.odd_since is not None and sent_at >= rare.odd_since + self._lag_s:
            record.since = received_at  # it has come back to it
            self._end_odd(record, execution, received_at)
        if record.task_id is None:
            record.identify(execution)
        before = rare.flip, len(rare.intents)
        if rare.flip is not None and sent_at >= record.since + self._lag_s:
            rare.flip = None
        if rare.intents:
            settle(self._lifecycle, rare, record, sent_at)
        if (rare.flip, len(rare.intents)) != before:
            self._chronicle.mark(record.id)

    def _end_odd(self, record: Record, execution: Execution, received_at: float) -> None:
        """Take down that an execution is no longer in a status outside the model."""
        rare = record.uncommon()
        rare.odd_since, rare.odd = None, ""
        rare.odd_again_from = received_at + self._lag_s
        message = f"its status is {execution.status}"
        self._chronicle.clear(record, AnomalyKind.UNKNOWN_STATUS, received_at, message, execution)

    def _differ(self, record: Record, execution: Execution, sent_at: float, received_at: float) -> None:
        """Judge a read of another status than the known one."""
        rare = record.rare
        order = self._lifecycle.order(record.status, execution.status)
        path = likely_path(self._lifecycle, rare, record.status, execution.status)
        settling = rare is not None and sent_at < rare.settles_at
        if path is not None and order is Order.FORWARD and not settling:
            self._walk(record, execution, path, sent_at, received_at)
        elif sent_at < record.seen_received:
            self._counts.stale += 1  # sent before the latest answer was in: it will be read again
        elif order is Order.BACKWARD and not settling and sent_at < record.since + self._lag_s:
            self._counts.stale += 1  # what a lagging replica still shows
        elif path is not None and not settling and explains_flips(rare, path):
            self._walk(record, execution, path, sent_at, received_at)
        else:
            self._suspect(record, execution, path, sent_at, received_at)

    def _suspect(
        self, record: Record, execution: Execution, path: tuple[Move, ...] | None, sent_at: float, received_at: float
    ) -> None:
        """Hold back what contradicts the record, or believe it if an earlier read said the same."""
        if _is_dated_earlier(record, execution) and sent_at < record.seen_sent + OLD_NEWS_LAGS * self._lag_s:
            self._counts.stale += 1
        elif self._suspects.confirms(record, execution.status, sent_at, received_at, self._lag_s):
            self._suspects.settle(record)
            if path is not None:
                self._walk(record, execution, path, sent_at, received_at)
            else:
                self._force(record, execution, sent_at, received_at)

    def _force(self, record: Record, execution: Execution, sent_at: float, received_at: float) -> None:
        """Take over what the model does not allow, and say so."""
        source, dest = record.status, str(execution.status)
        if self._lifecycle.is_terminal(source):
            kind, story = AnomalyKind.LEFT_TERMINAL, "it had finished"
        else:
            kind, story = AnomalyKind.ILLEGAL_MOVE, "no path in the model explains it"
        self._chronicle.detect(record, kind, received_at, f"moved from {source} to {dest}: {story}", execution)
        rare = record.uncommon()
        intent = asking_for(self._lifecycle, rare, dest)
        if intent is not None:
            consume(rare, intent)
        self._chronicle.transitioned(
            record,
            execution,
            received_at,
            source=source,
            dest=dest,
            forced=True,
            cause="platform" if intent is None else "action",
            after=_after(record, sent_at),
        )
        self._enter(record, execution, sent_at, received_at, status=dest)
        rare.flip = None
        rare.settles_at = received_at + self._lag_s
        self._counts.forced += 1

    def _walk(
        self, record: Record, execution: Execution, path: tuple[Move, ...], sent_at: float, received_at: float
    ) -> None:
        """Drive the record through the machine, along a shortest path to what was seen."""
        rare = record.uncommon()
        if rare.suspicion is not None and rare.suspicion.status is not None:
            self._suspects.dismiss(record)
        returns = rare.flip is not None and any(move.dest == rare.flip.left for move in path)
        feigned = rare.flip.intents if rare.flip is not None and returns else None
        after = _after(record, sent_at)
        source, since = record.status, record.since
        before = [*rare.intents]
        for move, intent in zip(path, explained(rare, path), strict=True):
            cause: Cause = "platform"
            if intent is not None:
                consume(rare, intent, certain=not self._may_be_the_platforms(move))
                cause = "action"
            elif move.action in FLIPS and feigned is None:
                self._watchdogs.flipped(record, execution, move, received_at)
            self._lifecycle.advance(record, move.name)
            self._chronicle.transitioned(
                record,
                execution,
                received_at,
                source=move.source,
                dest=move.dest,
                move=move.name,
                inferred=move is not path[-1],
                cause=cause,
                after=after,
            )
        used = [intent for intent in before if intent not in rare.intents]
        if feigned is not None:  # the flip before this one may never have happened: its actions are still to come
            rare.intents, used = sorted([*feigned, *before], key=lambda intent: intent.sent_at), []
            if any(move.action is not None for move in path):  # the platform alone does not lead back
                for doubtful in rare.intents:
                    doubtful.shown = False
        flips = self._lifecycle.order(source, execution.status) is Order.BOTH
        rare.flip = Flip(source, used) if used and flips and sent_at < since + self._lag_s else None
        self._enter(record, execution, sent_at, received_at, status=record.status, left=source)

    def _may_be_the_platforms(self, move: Move) -> bool:
        """Return whether the platform has a move with the same ends."""
        way = self._lifecycle.path(move.source, move.dest)
        return way is not None and way[0].action is None

    def _enter(
        self,
        record: Record,
        execution: Execution,
        sent_at: float,
        received_at: float,
        *,
        status: str,
        left: str | None = None,
    ) -> None:
        """Make the record stand in `status` from now on, and end what that ends."""
        left = record.status if left is None else left
        if left == UNSEEN:
            self._outlook.past(execution)
        else:
            self._outlook.moved(record, left, execution, received_at)
        record.status = status
        record.since = received_at
        record.look(execution, sent_at, received_at)
        record.seen_received = max(record.seen_received, received_at)
        record.identify(execution)
        terminal = self._lifecycle.is_terminal(status)
        record.is_back = not terminal and left not in (UNSEEN, self._lifecycle.initial)
        record.final = execution if terminal else None
        self._results.entered(record, received_at)
        rare = record.rare
        if rare is None:
            return
        if rare.odd_since is not None and sent_at >= rare.odd_since:
            self._end_odd(record, execution, received_at)
        message = f"it is {status} now"
        if left in STUCK:
            self._chronicle.clear(record, STUCK[left], received_at, message, execution)
        if terminal:
            rare.intents = []
            rare.flips.clear()
            self._absences.forget(record)  # it may be deleted by now: what has finished is not missed
            for kind in (AnomalyKind.FLAPPING, AnomalyKind.LEFT_TERMINAL, AnomalyKind.VANISHED):
                self._chronicle.clear(record, kind, received_at, message, execution)
        show(self._lifecycle, rare, status)
        if not rare.intents or not is_without_effect(self._lifecycle, record, rare.intents[-1]):
            self._chronicle.clear(record, AnomalyKind.ACTION_NOT_APPLIED, received_at, message, execution)


def _is_dated_earlier(record: Record, execution: Execution) -> bool:
    """Return whether a read is of an earlier change than the record, by the service's own dates."""
    known = time_of(record.updated_at)
    return known is not None and execution.updated_at is not None and execution.updated_at < known


def _after(record: Record, sent_at: float) -> float | None:
    """Return since when, at the earliest, the record's status may have changed into what a read shows."""
    return None if record.seen_sent == -inf else min(record.seen_sent, sent_at)
