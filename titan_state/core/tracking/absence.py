"""Absence: what it means that the service says an execution does not exist (404).

A new execution may be unreadable for a moment, and a replica may not have it yet: absence is believed only when a
later read confirms it. Many absences at once, with nothing else seen in between, say more about the monitor's
credentials or its URL than about executions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.tracking.record import UNSEEN

if TYPE_CHECKING:
    from titan_state.core.anomalies import Thresholds
    from titan_state.core.execution import Execution
    from titan_state.core.tracking.chronicle import Chronicle
    from titan_state.core.tracking.record import Record
    from titan_state.core.tracking.suspects import Suspects
    from titan_state.core.tracking.watchdogs import Watchdogs

MANY: Final = 5
"""From how many absent executions on, with nothing seen since, the monitor itself is taken to be blind."""

LOOK_AGAIN_S: Final = 60.0
"""How soon an execution is read again that is absent together with many others."""


class Absences:
    """The executions that are absent as far as is known."""

    def __init__(self, chronicle: Chronicle, suspects: Suspects, thresholds: Thresholds) -> None:
        self._chronicle = chronicle
        self._suspects = suspects
        self._thresholds = thresholds
        self._pending: dict[str, Record] = {}
        self._missing: set[str] = set()

    def is_confirmed(self, record: Record) -> bool:
        """Return whether the absence of an execution was confirmed, and it was not seen since."""
        return record.id in self._missing

    def note(self, record: Record, sent_at: float, received_at: float, watchdogs: Watchdogs) -> None:
        """Take in a 404."""
        first = None if record.rare is None else record.rare.suspicion
        if first is not None and record.has_open(AnomalyKind.VANISHED):
            first.received_at = max(first.received_at, received_at)
            return
        if sent_at < record.seen_received:
            return
        unseen = record.status == UNSEEN
        apart = self._thresholds.not_found_s if unseen else self._thresholds.replica_lag_s
        if not self._suspects.confirms(record, None, sent_at, received_at, apart):
            held = record.uncommon().suspicion
            if held is not None and held.status is None:
                self._pending[record.id] = record
            return
        self._missing.add(record.id)
        since = sent_at if first is None else first.sent_at
        if len(self._pending) >= MANY and watchdogs.saw_nothing_since(since):
            story = f"{len(self._pending)} executions answer 404 at once, and nothing else was seen since"
            if watchdogs.blinded(received_at, story):
                self._suspects.due[record.id] = received_at + LOOK_AGAIN_S
                return
        del self._pending[record.id]
        self._suspects.due.pop(record.id, None)  # the suspicion itself stays: it dates the absence
        message = "the service does not know this execution" if unseen else "it was there, and is gone (404)"
        self._chronicle.detect(record, AnomalyKind.VANISHED, received_at, message)

    def end(self, record: Record, execution: Execution, sent_at: float, received_at: float) -> None:
        """Take in that an execution was read after all."""
        suspicion = None if record.rare is None else record.rare.suspicion
        if suspicion is None or suspicion.status is not None or sent_at < suspicion.sent_at:
            return
        self._suspects.dismiss(record)
        self.forget(record)
        self._chronicle.clear(record, AnomalyKind.VANISHED, received_at, "it can be read again", execution)

    def forget(self, record: Record) -> None:
        """Drop what is held against an execution: its absence, or whatever else awaits confirmation."""
        self._suspects.settle(record)
        self._pending.pop(record.id, None)
        self._missing.discard(record.id)
