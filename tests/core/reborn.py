"""A restart, as the core sees it: what a tracker has changed is written down as text, and another one is made of it."""

from __future__ import annotations

import json

import attrs

from titan_state import Tracker
from titan_state.core.events import Event
from titan_state.core.tracking.state import SINCE, Row, State


class Store:
    """Keeps the latest row of each execution, as a journal does."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.marks = State()

    def save(self, tracker: Tracker) -> None:
        """Take over what has changed, as it is now: what changes later without being marked is lost."""
        if tracker.has_changes:
            changes = tracker.take_changes()
            self.rows |= {row[0]: json.dumps(row) for row in changes.records}
            self.marks = attrs.evolve(changes, records=())

    def restart(self, tracker: Tracker, now: float) -> tuple[Tracker, list[Event]]:
        """Return another tracker that knows what was saved, and what it has to say."""
        new = Tracker(tracker.lifecycle, tracker.thresholds)
        new.remember_changes()
        rows: list[Row] = [tuple(json.loads(row)) for row in self.rows.values()]
        rows.sort(key=lambda row: row[SINCE] or 0.0)
        events = new.restore(attrs.evolve(self.marks, records=rows), now=now)
        self.save(new)
        return new, events
