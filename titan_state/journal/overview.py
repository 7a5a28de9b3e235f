"""The overview of a SQLite journal: what people ask of it, and what keeps it in order. Synchronous."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from titan_state.errors import JournalError, SubscriptionInUseError
from titan_state.journal.base import Letter, SubscriptionState
from titan_state.journal.store import AGAIN, DEAD, OPEN
from titan_state.journal.tables import RAISE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from titan_state.core.events import Event
    from titan_state.journal.store import Store

AGE_S: Final = 30 * 86_400.0
"""For how long the log is kept by itself, and a subscription that nobody has opened since, in seconds."""

MOST_EVENTS: Final = 1_000_000
"""How many events are kept by themselves."""

MOST_FINISHED: Final = 200_000
"""How many executions are remembered that have finished, or that nobody watches any more."""

MOST_DEAD: Final = 10_000
"""How many dead letters of one subscription are kept."""

NAMED: Final = 20
"""How many faults of one kind are named."""

AT_ONCE: Final = 10_000
"""How many events one transaction drops at most: appending waits for it."""

_LETTERS: Final = (
    "SELECT subscription, execution_id, seq, body, state, attempts, error, deliveries.at, due "
    "FROM deliveries JOIN events USING (position)"
)


class Overview:
    """Looks at a journal, and keeps it in order."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def history(self, execution_id: str) -> list[Event]:
        """Return the events of an execution, in order."""
        rows = self._store.rows(
            "SELECT execution_id, seq, body FROM events WHERE execution_id = ? ORDER BY seq", execution_id
        )
        return [self._store.event(*row) for row in rows]

    def subscriptions(self, now: float) -> list[SubscriptionState]:
        """Return all subscriptions, by name."""
        rows = self._store.rows(
            "SELECT name, (SELECT count(*) FROM events WHERE position > cursor), "
            "(SELECT count(*) FROM deliveries WHERE subscription = name AND state IN ('open', 'again')), "
            "(SELECT count(*) FROM deliveries WHERE subscription = name AND state = 'dead'), "
            "created, seen, CASE WHEN held_until > ? THEN holder END FROM subscriptions ORDER BY name",
            now,
        )
        return [
            SubscriptionState(
                name=name,
                waiting=waiting,
                unfinished=unfinished,
                dead=dead,
                created=datetime.fromtimestamp(created, UTC),
                seen=datetime.fromtimestamp(seen, UTC),
                holder=holder,
            )
            for name, waiting, unfinished, dead, created, seen, holder in rows
        ]

    def unsubscribe(self, name: str, now: float, is_gone: Callable[[str], bool]) -> bool:
        """Remove a subscription; return False if there is none.

        Raises:
            SubscriptionInUseError: A program has it open.
        """
        with self._store.writing() as connection:
            holder = connection.execute(
                "SELECT holder FROM subscriptions WHERE name = ? AND held_until > ?", (name, now)
            ).fetchone()
            if holder is not None and holder[0] is not None and not is_gone(holder[0]):
                raise SubscriptionInUseError(name, holder[0])
            connection.execute("DELETE FROM deliveries WHERE subscription = ?", (name,))
            return connection.execute("DELETE FROM subscriptions WHERE name = ?", (name,)).rowcount > 0

    def letters(self, *, dead_only: bool) -> list[Letter]:
        """Return the deliveries that did not succeed so far, the oldest first."""
        states = (DEAD,) if dead_only else (DEAD, OPEN, AGAIN)
        marks = ", ".join("?" * len(states))
        rows = self._store.rows(f"{_LETTERS} WHERE state IN ({marks}) AND attempts > 0 ORDER BY deliveries.at", *states)
        return [self._letter(row) for row in rows]

    def redeliver(self, event_ids: Iterable[str], subscription: str | None) -> list[Letter]:
        """Have dead letters tried again."""
        wanted = [event_id.rpartition(":")[::2] for event_id in event_ids]
        condition = (
            "state = 'dead' AND (? IS NULL OR subscription = ?) AND position IN "
            "(SELECT position FROM events JOIN json_each(?) "
            "ON execution_id = json_extract(value, '$[0]') AND seq = json_extract(value, '$[1]'))"
        )
        values = (subscription, subscription, json.dumps([[name, _number(seq)] for name, seq in wanted]))
        found = [self._letter(row) for row in self._store.rows(f"{_LETTERS} WHERE {condition}", *values)]
        with self._store.writing() as connection:
            connection.execute(f"UPDATE deliveries SET state = 'again' WHERE {condition}", values)  # noqa: S608 - our own text
        return found

    def _letter(self, row: tuple[Any, ...]) -> Letter:
        name, execution_id, seq, body, state, attempts, error, at, due = row
        return Letter(
            subscription=name,
            event=self._store.event(execution_id, seq, body),
            is_dead=state == DEAD,
            attempts=attempts,
            error=error or "",
            at=datetime.fromtimestamp(at, UTC),
            due=None if due is None else datetime.fromtimestamp(due, UTC),
        )

    # Keeping it in order.

    def prune(self, before: float, *, most: int | None = None) -> int:
        """Drop one part of the events from before a date, or beyond a number of them, that every subscription has had.

        Args:
            before: The date, in seconds since 1970.
            most: How many of the newest are to be kept, whatever their date.

        Returns:
            How many were dropped; 0 if there is nothing more to drop.
        """
        beyond = 0 if most is None else self._store.value("SELECT max(position) - ? FROM events", most) or 0
        with self._store.writing() as connection:
            gone = connection.execute(
                "SELECT position FROM events WHERE (at < ? OR position <= ?) "
                "AND position <= (SELECT coalesce(min(cursor), 1 << 62) FROM subscriptions) "
                "AND position NOT IN (SELECT position FROM deliveries WHERE state != 'done') "
                "ORDER BY position LIMIT ?",
                (before, beyond, AT_ONCE),
            ).fetchall()
            if gone:
                connection.executemany("DELETE FROM events WHERE position = ?", gone)
                connection.execute(RAISE, ("pruned", gone[-1][0]))
            return len(gone)

    def expire(self, now: float) -> list[str]:
        """Drop what is beyond the limits, but for events: abandoned subscriptions, whose names are returned, too.

        Args:
            now: The date, in seconds since 1970.
        """
        gone = [
            name
            for (name,) in self._store.rows(
                "SELECT name FROM subscriptions WHERE seen < ? AND coalesce(held_until, 0) < ?", now - AGE_S, now
            )
        ]
        with self._store.writing() as connection:
            for name in gone:
                connection.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
                connection.execute("DELETE FROM deliveries WHERE subscription = ?", (name,))
            for (name,) in connection.execute("SELECT name FROM subscriptions").fetchall():
                connection.execute(
                    "DELETE FROM deliveries WHERE subscription = ? AND position IN (SELECT position FROM deliveries "
                    "WHERE subscription = ? AND state = 'dead' ORDER BY at DESC LIMIT -1 OFFSET ?)",
                    (name, name, MOST_DEAD),
                )
            self._forget_finished(connection)
        return gone

    def _forget_finished(self, connection: sqlite3.Connection) -> None:
        """Drop the records of those executions that were finished first, and keep what numbers they had reached."""
        finished = "FROM records WHERE id != '' AND (kept != 0 OR final IS NOT NULL)"
        condition = f"rowid IN (SELECT rowid {finished} ORDER BY rowid DESC LIMIT -1 OFFSET {MOST_FINISHED})"
        seq, ended = connection.execute(
            f"SELECT max(seq), max(ended_at) FROM records WHERE {condition}"  # noqa: S608 - our own text
        ).fetchone()
        if seq is None:
            return
        connection.execute(f"DELETE FROM records WHERE {condition}")  # noqa: S608 - our own text
        for key, value in (("floor", seq), ("horizon", ended)):
            if value is not None:
                connection.execute(RAISE, (key, value))

    def verify(self) -> list[str]:
        """Return what is not in order, in words."""
        try:
            return self._faults()
        except JournalError as error:
            return [str(error)]

    def _faults(self) -> list[str]:
        found = [line for (line,) in self._store.rows("PRAGMA integrity_check") if line != "ok"]
        count = 0
        for position, *row in self._store.each("SELECT position, execution_id, seq, body FROM events"):
            try:
                self._store.event(*row)
            except JournalError:
                count += 1
                if count <= NAMED:
                    found.append(f"the event at position {position} cannot be read")
        found += [
            f"{name} lacks events between its numbers {first} and {last}: {last - first + 1 - count} of them"
            for name, first, last, count in self._store.rows(
                "SELECT execution_id, min(seq), max(seq), count(*) FROM events "
                "WHERE position > (SELECT coalesce(max(value), 0) FROM meta WHERE key = 'pruned') "
                "GROUP BY execution_id HAVING max(seq) - min(seq) + 1 != count(*) LIMIT ?",
                NAMED,
            )
        ]
        found += [
            f"the state of {name or 'the monitor'} is older than its events ({seq} against {last})"
            for name, seq, last in self._store.rows(
                "SELECT id, records.seq, max(events.seq) FROM records JOIN events ON execution_id = id "
                "GROUP BY id HAVING records.seq < max(events.seq) LIMIT ?",
                NAMED,
            )
        ]
        found += [
            f"a delivery to {name} is of an event that is not there (position {position})"
            for name, position in self._store.rows(
                "SELECT subscription, position FROM deliveries WHERE state != 'done' "
                "AND position NOT IN (SELECT position FROM events) LIMIT ?",
                NAMED,
            )
        ]
        return found


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else -1
