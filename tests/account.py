"""The account of one execution: what callbacks see of it is a legal run of the model, or is broken by an anomaly."""

from __future__ import annotations

from titan_state import AnomalyCleared, AnomalyDetected, AnomalyKind, Event, Lifecycle, ResultsReady, Transitioned
from titan_state.core.anomalies import RULES
from titan_state.core.tracking.results import RESULT_STATUSES

FORCING = (AnomalyKind.ILLEGAL_MOVE, AnomalyKind.LEFT_TERMINAL)


class Account:
    """Holds every event of one execution against what came before it.

    Attributes:
        seq: The number of the last event.
        status: The status that the events have led to, None before the first sight.
        open: The anomalies that were detected and not cleared.
        is_ready: Whether it was said, since the last move, that its results can be read.
        may_be_adopted: Whether its first event may leave a terminal status that was there before the watch began.
    """

    def __init__(self, name: str, lifecycle: Lifecycle | None = None) -> None:
        self.name = name
        self.lifecycle = lifecycle or Lifecycle.default()
        self.seq = 0
        self.status: str | None = None
        self.open: set[AnomalyKind] = set()
        self.is_ready = False
        self.may_be_adopted = False
        self._last: Event | None = None

    def take(self, events: list[Event], *, new_life: bool = False) -> None:
        """Take in further events of the execution.

        Args:
            events: The events, in order.
            new_life: Whether a first sight is right though there was one already.
        """
        for event in events:
            self.seq += 1
            assert event.seq == self.seq
            assert event.id == f"{self.name}:{self.seq}"
            if isinstance(event, AnomalyDetected):
                assert event.kind not in self.open
                assert (event.severity, event.check_first) == (
                    RULES[event.kind].severity,
                    RULES[event.kind].check_first,
                )
                if RULES[event.kind].ends:
                    self.open.add(event.kind)
            elif isinstance(event, AnomalyCleared):
                self.open.remove(event.kind)
            elif isinstance(event, Transitioned):
                self._moved(event, new_life=new_life)
            elif isinstance(event, ResultsReady):
                assert event.status == self.status
                assert self.status in RESULT_STATUSES
                assert not self.is_ready
                self.is_ready = True
                assert event.after <= event.before
            self._last = event

    def _moved(self, event: Transitioned, *, new_life: bool) -> None:
        if event.source is None:
            assert new_life or self.status is None
            assert event.move is None
            assert not event.forced
        else:
            adopted = self.may_be_adopted and self.status is None and event.source in self.lifecycle.terminal
            assert adopted or event.source == self.status
            if event.forced:
                assert self.lifecycle.path(event.source, event.dest) is None
                assert isinstance(self._last, AnomalyDetected)  # what forces a move stands just before it
                assert self._last.kind in FORCING
            else:
                assert (event.move, event.source, event.dest) in {
                    (move.name, move.source, move.dest) for move in self.lifecycle.moves
                }
        assert event.after is None or event.after <= event.before
        self.status = event.dest
        self.is_ready = False
