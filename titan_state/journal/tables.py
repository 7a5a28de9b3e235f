"""The tables of a SQLite journal as the monitor and its subscriptions use them, each method in one transaction.

Synchronous. Whose turn it is, and what is delivered to whom, is decided in `sqlite.py`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import State
from titan_state.errors import ConfigurationError, SubscriptionInUseError, shorten
from titan_state.journal.store import DEAD, FULL

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from titan_state.core.events import Event
    from titan_state.core.tracking.state import Row
    from titan_state.journal.base import Commit
    from titan_state.journal.store import Store

EVERYTHING: Final = ""
"""Under this key the watch of all executions is kept: no task has an empty id."""

RAISE: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)"
"""Put a value that never becomes smaller."""

_ADD_EVENT: Final = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"
_PUT_RECORD: Final = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@attrs.frozen
class Exceptional:
    """A delivery of which more is known than where the cursor is.

    Attributes:
        position: The place of its event in the log.
        state: What is known of it.
        attempts: How often it was tried.
        due: When it is to be tried again, in seconds since 1970.
        error: What went wrong the last time.
    """

    position: int
    state: str
    attempts: int = 0
    due: float | None = None
    error: str | None = None


class Tables:
    """What is in the file of a journal."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # The monitor's part.

    def head(self) -> int:
        """Return the position of the last event that there ever was."""
        return self._store.value("SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0

    def version(self) -> int:
        """Return a number that changes when another connection has written something."""
        number: int = self._store.value("PRAGMA data_version")
        return number

    def holder(self) -> str:
        """Return who writes, or wrote last."""
        return self._store.value("SELECT value FROM meta WHERE key = 'writer'") or "of which nothing is known yet"

    def lead(self, account: str, writer: str) -> State:
        """Take down who writes from now on, and return what the one before knew.

        Raises:
            ConfigurationError: The journal belongs to another account.
        """
        with self._store.writing() as connection:
            known = connection.execute("SELECT value FROM meta WHERE key = 'account'").fetchone()
            if known is not None and known[0] != account:
                raise ConfigurationError(
                    f"the journal {self._store.path} belongs to {shorten(known[0])}, not to {shorten(account)}: "
                    "name another file, or say whose it is with account=, the same at each start (a service that has "
                    "moved, or is on another port, counts as another account otherwise)"
                )
            self._put(connection, account=account, writer=writer)
        meta = dict(self._store.rows("SELECT key, value FROM meta WHERE key IN ('floor', 'horizon')"))
        lists = {
            None if task_id == EVERYTHING else task_id: Baseline(
                None if since is None else datetime.fromtimestamp(since, UTC), bool(complete)
            )
            for task_id, since, complete in self._store.rows("SELECT task_id, since, complete FROM lists")
        }
        return State(self.records(), lists, meta.get("floor", 0), meta.get("horizon", -inf))

    def records(self) -> list[Row]:
        """Return a row for each execution, the longest unchanged first."""
        return self._store.rows("SELECT * FROM records ORDER BY rowid")

    def append(self, first: int, commit: Commit, bodies: Sequence[str], mode: str = FULL) -> None:
        """Write a commit; its events get the positions from `first` on."""
        with self._store.writing(mode) as connection:
            if commit.events:
                connection.executemany(
                    _ADD_EVENT,
                    [
                        (first + index, event.execution_id, event.seq, event.at.timestamp(), body)
                        for index, (event, body) in enumerate(zip(commit.events, bodies, strict=True))
                    ],
                )
            if commit.records:
                connection.executemany(_PUT_RECORD, commit.records)
            for task_id, baseline in commit.lists.items():
                key = task_id or EVERYTHING
                if baseline is None:
                    connection.execute("DELETE FROM lists WHERE task_id = ?", (key,))
                else:
                    since = None if baseline.since is None else baseline.since.timestamp()
                    connection.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", (key, since, baseline.complete))
            if commit.floor:
                connection.execute(RAISE, ("floor", commit.floor))
            if commit.horizon != -inf:
                connection.execute(RAISE, ("horizon", commit.horizon))

    def _put(self, connection: sqlite3.Connection, **values: Any) -> None:
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    # The subscriptions' part.

    def hold(
        self, name: str, start: int, holder: str, now: float, until: float, may_take: Callable[[str], bool]
    ) -> int:
        """Make a subscription, or take one over that nobody has open, and return its cursor.

        Args:
            name: Its name.
            start: The cursor of a new one.
            holder: Who has it open from now on.
            now: The date, in seconds since 1970.
            until: Until when that holds if nothing more is heard.
            may_take: Whether it may be taken from a holder who has not given it back.

        Raises:
            SubscriptionInUseError: Another program has it open.
        """
        with self._store.writing() as connection:
            known = connection.execute(
                "SELECT cursor, holder, held_until FROM subscriptions WHERE name = ?", (name,)
            ).fetchone()
            if known is None:
                values = (name, start, now, now, holder, until)
                connection.execute("INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?, ?)", values)
                return start
            cursor, other, held_until = known
            if other is not None and held_until is not None and held_until > now and not may_take(other):
                raise SubscriptionInUseError(name, other)
            connection.execute(
                "UPDATE subscriptions SET seen = ?, holder = ?, held_until = ? WHERE name = ?",
                (now, holder, until, name),
            )
            return int(cursor)

    def beat(self, cursors: Iterable[tuple[str, int]], now: float, until: float | None) -> None:
        """Take down that subscriptions are open still, or not any longer if `until` is None."""
        with self._store.writing() as connection:
            connection.executemany(
                "UPDATE subscriptions SET cursor = max(cursor, ?), seen = ?, held_until = ?, "
                "holder = CASE WHEN ? IS NULL THEN NULL ELSE holder END WHERE name = ?",
                [(cursor, now, until, until, name) for name, cursor in cursors],
            )

    def settle(
        self, name: str, cursor: int, exceptions: Iterable[Exceptional], ended: Iterable[int], at: float
    ) -> None:
        """Take down what became of deliveries.

        Args:
            name: The subscription.
            cursor: How far it has come.
            exceptions: What is known of single deliveries beside that.
            ended: The positions of which nothing is to be known any more.
            at: The date, in seconds since 1970.
        """
        with self._store.writing() as connection:
            connection.execute("UPDATE subscriptions SET cursor = max(cursor, ?) WHERE name = ?", (cursor, name))
            connection.executemany(
                "DELETE FROM deliveries WHERE subscription = ? AND position = ?", [(name, one) for one in ended]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(name, one.position, one.state, one.attempts, one.due, one.error, at) for one in exceptions],
            )

    def exceptions(self, name: str) -> list[Exceptional]:
        """Return what is known of single deliveries of a subscription, in the order of the log.

        Dead ones are among them only as far as the cursor has not passed them.
        """
        rows = self._store.rows(
            "SELECT position, state, attempts, due, error FROM deliveries JOIN subscriptions ON name = subscription "
            "WHERE subscription = ? AND (state != ? OR position > cursor) ORDER BY position",
            name,
            DEAD,
        )
        return [Exceptional(*row) for row in rows]

    def log(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Return events after a position."""
        return self._store.events("position > ? ORDER BY position LIMIT ?", after, limit)

    def log_of(self, execution_id: str, after: int, until: int, limit: int) -> list[tuple[int, Event]]:
        """Return events of one execution after a position, up to another one."""
        condition = "execution_id = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?"
        return self._store.events(condition, execution_id, after, until, limit)

    def events_at(self, positions: Iterable[int]) -> list[tuple[int, Event]]:
        """Return the events at these positions, as far as they are there."""
        condition = "position IN (SELECT value FROM json_each(?)) ORDER BY position"
        return self._store.events(condition, json.dumps(list(positions)))

    def first_since(self, at: float) -> int | None:
        """Return the position of the first event that was noticed at a time or later."""
        position: int | None = self._store.value("SELECT min(position) FROM events WHERE at >= ?", at)
        return position
