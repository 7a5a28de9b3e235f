"""The file of a journal as its parts use it: transactions, queries, and events that are read back.

Synchronous, for one thread; errors of SQLite come out as those of the journal.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from titan_state.core import codec
from titan_state.errors import PayloadError
from titan_state.journal.database import damaged, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from titan_state.core.events import Event

FULL: Final = "FULL"
NORMAL: Final = "NORMAL"
"""Whether a transaction waits until it is on the disk, or is only safe from a crash of the program
(`PRAGMA synchronous`)."""

OPEN, DONE, DEAD, AGAIN = "open", "done", "dead", "again"
"""What may be known of one delivery: that it is unfinished although the cursor has passed it, that it is finished
although the cursor has not, that it was given up, or that it was and is tried again."""


class Store:
    """The open file of a journal.

    Attributes:
        path: The file.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._mode = ""

    @contextmanager
    def writing(self, mode: str = NORMAL) -> Iterator[sqlite3.Connection]:
        """Write what is written inside in one transaction: all of it, or nothing."""
        connection = self._connection
        with told(self.path):
            if mode != self._mode:
                connection.execute(f"PRAGMA synchronous = {mode}")
                self._mode = mode
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Return the rows that a query finds."""
        with told(self.path):
            return self._connection.execute(query, values).fetchall()

    def each(self, query: str, *values: Any) -> Iterator[Any]:
        """Hand out the rows that a query finds, one by one."""
        with told(self.path):
            yield from self._connection.execute(query, values)

    def value(self, query: str, *values: Any) -> Any:
        """Return the one value that a query finds, None if there is none."""
        rows = self.rows(query, *values)
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Close the file."""
        with told(self.path):
            self._connection.close()

    def events(self, condition: str, *values: Any) -> list[tuple[int, Event]]:
        """Return events with their positions, where a condition holds."""
        rows = self.rows(f"SELECT position, execution_id, seq, body FROM events WHERE {condition}", *values)  # noqa: S608 - our own text
        return [(position, self.event(*row)) for position, *row in rows]

    def event(self, execution_id: str, seq: int, body: str) -> Event:
        """Return the event that was written as `body`."""
        try:
            return codec.read(execution_id, seq, body)
        except PayloadError as error:
            raise damaged(self.path, f"an event in it cannot be read: {error}") from error
