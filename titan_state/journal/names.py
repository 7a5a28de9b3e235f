"""Names: what a SQLite journal knows by name, read in a moment and without disturbing anybody: to complete a word.

It writes nothing, waits for nobody, and looks at no events. Whoever wants to know more opens a `SqliteJournal`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S: Final = 0.2
"""For how long a file that is held is waited for, in seconds."""


def executions(path: Path, beginning: str, most: int) -> list[tuple[str, str, str]]:
    """Return executions, those that have changed last first.

    Args:
        path: The file of the journal.
        beginning: What their ids begin with.
        most: How many at most.

    Returns:
        The id, the status and the task of each, the task empty where it is not known.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    return _rows(
        path,
        "SELECT id, status, coalesce(task_id, '') FROM records WHERE substr(id, 1, ?) = ? "
        "ORDER BY coalesce(since, updated_at, created_at, 0) DESC LIMIT ?",
        len(beginning),
        beginning,
        most,
    )


def tasks(path: Path, beginning: str, most: int) -> list[tuple[str, int]]:
    """Return tasks, each with how many of its executions are known; see `executions`."""
    return _rows(
        path,
        "SELECT task_id, count(*) FROM records WHERE task_id IS NOT NULL AND substr(task_id, 1, ?) = ? "
        "GROUP BY task_id ORDER BY max(coalesce(since, 0)) DESC LIMIT ?",
        len(beginning),
        beginning,
        most,
    )


def subscriptions(path: Path, beginning: str, most: int) -> list[tuple[str, int]]:
    """Return subscriptions, each with how many of its deliveries were given up; see `executions`."""
    return _rows(
        path,
        "SELECT name, (SELECT count(*) FROM deliveries WHERE subscription = name AND state = 'dead') "
        "FROM subscriptions WHERE substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
        len(beginning),
        beginning,
        most,
    )


def dead_letters(path: Path, beginning: str, most: int) -> list[tuple[str, str]]:
    """Return events of which a delivery was given up, each with its subscription; see `executions`."""
    return _rows(
        path,
        "SELECT execution_id || ':' || seq AS event, subscription FROM deliveries JOIN events USING (position) "
        "WHERE state = 'dead' AND substr(execution_id || ':' || seq, 1, ?) = ? ORDER BY position DESC LIMIT ?",
        len(beginning),
        beginning,
        most,
    )


def _rows(path: Path, query: str, *values: str | int) -> list[Any]:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)) as connection:
        return connection.execute(query, values).fetchall()
