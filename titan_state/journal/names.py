"""Names: what a SQLite journal knows by name, read in a moment and without disturbing anybody: to complete a word.

It writes nothing, not even the files that SQLite puts beside one that is open, waits for nobody, and takes a moment,
however much is in the file. Whoever wants to know more opens a `SqliteJournal`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S: Final = 0.2
"""For how long a file that is held is waited for, in seconds."""

LONGEST_S: Final = 1.0
"""For how long one file is read at most, in seconds."""

STEPS: Final = 20_000
"""After how many steps of SQLite's machine the time is looked at."""

NEWEST: Final = 100_000
"""Among how many executions names are looked for: those that have changed last."""

_RECORDS: Final = f"(SELECT rowid AS place, id, status, task_id FROM records ORDER BY rowid DESC LIMIT {NEWEST})"  # noqa: S608 - our own text
"""A row gets a new place whenever it is written."""


def executions(path: Path, beginning: str, most: int) -> list[tuple[str, str, str]]:
    """Return executions, those that have changed last first; by their ids where only longer unchanged ones fit.

    Args:
        path: The file of the journal.
        beginning: What their ids begin with.
        most: How many at most.

    Returns:
        The id, the status and the task of each, the task empty where it is not known.

    Raises:
        sqlite3.Error: It cannot be read, or not in a moment.
        OSError: It is no file.
    """
    return _rows(
        path,
        f"SELECT id, status, coalesce(task_id, '') FROM {_RECORDS} WHERE substr(id, 1, ?) = ? "  # noqa: S608 - our own text
        "ORDER BY place DESC LIMIT ?",
        len(beginning),
        beginning,
        most,
    ) or _rows(
        path,
        "SELECT id, status, coalesce(task_id, '') FROM records WHERE id >= ? AND id < ? || char(0x10FFFF) "
        "ORDER BY id LIMIT ?",
        beginning,
        beginning,
        most,
    )


def tasks(path: Path, beginning: str, most: int) -> list[tuple[str, int]]:
    """Return tasks, each with how many of its executions are known; see `executions`."""
    return _rows(
        path,
        f"SELECT task_id, count(*) FROM {_RECORDS} WHERE task_id IS NOT NULL AND substr(task_id, 1, ?) = ? "  # noqa: S608 - our own text
        "GROUP BY task_id ORDER BY max(place) DESC LIMIT ?",
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
    path = path.resolve()  # as SQLite does, which has its other files beside the file itself
    if not path.is_file():
        raise FileNotFoundError(path)  # to open a pipe would wait for whoever writes into it
    log = path.with_name(f"{path.name}-wal")
    # Where nobody has it open, SQLite would make files beside it, and leave them there.
    uri = f"file:{quote(str(path))}?mode=ro{'' if log.exists() else '&immutable=1'}"
    end = monotonic() + LONGEST_S
    with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)) as connection:
        connection.set_progress_handler(lambda: monotonic() > end, STEPS)
        return connection.execute(query, values).fetchall()
