"""What the tests of the tracker say, in few words: one execution is seen in a status, or is gone, at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from titan_state import Action, AnomalyCleared, AnomalyDetected, AnomalyKind, Execution, Thresholds, Tracker
from titan_state.core.events import Event, Transitioned
from titan_state.core.lifecycle import Lifecycle
from titan_state.core.tracking.results import RESULT_STATUSES


def date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class Scene:
    """A tracker and the reads of it: times are those of sending; an answer takes `takes` seconds.

    Blindness is switched off unless a test is about it: most look away for longer than five minutes.
    """

    def __init__(self, lifecycle: Lifecycle | None = None, *, results: bool = False, **thresholds: Any) -> None:
        statuses = RESULT_STATUSES if results else ()
        self.tracker = Tracker(lifecycle, Thresholds(**{"blind_s": None, **thresholds}), result_statuses=statuses)
        self.events: list[Event] = []

    def see(self, status: str, sent: float, *, takes: float = 0.0, name: str = "e", **fields: Any) -> list[Event]:
        baseline = fields.pop("baseline", None)
        execution = Execution(name, status, **fields)
        return self._keep(self.tracker.observe(execution, sent_at=sent, received_at=sent + takes, baseline=baseline))

    def gone(self, sent: float, *, takes: float = 0.0, name: str = "e") -> list[Event]:
        return self._keep(self.tracker.absent(name, sent_at=sent, received_at=sent + takes))

    def tick(self, now: float, **more: Any) -> list[Event]:
        return self._keep(self.tracker.tick(now, **more))

    def send(self, action: Action, at: float) -> list[Event]:
        return self._keep(self.tracker.action_sent("e", action, at=at))

    def accept(self, action: Action, at: float) -> list[Event]:
        return self._keep(self.tracker.action_accepted("e", action, at=at))

    def refuse(self, action: Action, at: float) -> list[Event]:
        return self._keep(self.tracker.action_refused("e", action, at=at, code="CONFLICT"))

    def look(self, sent: float, *, finds: bool, takes: float = 0.0, name: str = "e", **found: Any) -> list[Event]:
        """Look for results, which can be read or not."""
        results = self.tracker.results
        if finds:
            return self._keep(results.readable(name, received_at=sent + takes, **found))
        return self._keep(results.unreadable(name, "404 NOT_FOUND", sent_at=sent, received_at=sent + takes))

    def act(self, action: Action, at: float) -> None:
        """Send an action that is accepted at once."""
        self.send(action, at)
        self.accept(action, at)

    def _keep(self, events: list[Event]) -> list[Event]:
        self.events += events
        return events


def moved(events: list[Event]) -> list[tuple[str | None, str]]:
    """Return the moves among events, as pairs of source and dest."""
    return [(event.source, event.dest) for event in events if isinstance(event, Transitioned)]


def raised(events: list[Event]) -> list[AnomalyKind]:
    """Return the kinds of the anomalies that were detected among events."""
    return [event.kind for event in events if isinstance(event, AnomalyDetected)]


def cleared(events: list[Event]) -> list[AnomalyKind]:
    """Return the kinds of the anomalies that ended among events."""
    return [event.kind for event in events if isinstance(event, AnomalyCleared)]
