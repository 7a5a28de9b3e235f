"""Events as a tracker makes them, for tests that append to a journal without a monitor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from titan_state import Event, Execution, Tracker
from titan_state.journal.base import Commit

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class Author:
    """Makes commits about executions that each go from queued to running to completed."""

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._tracker.remember_changes()
        self._at = 0.0
        self.events: list[Event] = []

    def commit(self, *names: str, status: str) -> Commit:
        """Return what is to be written when executions enter a status."""
        events: list[Event] = []
        for name in names:
            self._at += 1.0
            execution = Execution(
                name, status, task_id="task", created_at=CREATED, updated_at=CREATED + timedelta(seconds=self._at)
            )
            events += self._tracker.observe(execution, sent_at=self._at, received_at=self._at + 0.1)
        self.events += events
        changes = self._tracker.take_changes()
        return Commit(
            events=tuple(events), records=tuple(changes.records), floor=changes.floor, horizon=changes.horizon
        )

    def lives(self, *names: str) -> list[Commit]:
        """Return the commits of whole lives."""
        return [self.commit(*names, status=status) for status in ("queued", "running", "completed")]
