"""The SQLite file of a journal: how it is made, recognised, brought up to date and kept for one writer.

Everything in here is synchronous, and raises the journal's own errors. What is written into the tables is said in
`tables.py`.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from titan_state.errors import (
    ConfigurationError,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    JournalUnavailableError,
    JournalVersionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

APPLICATION_ID: Final = 0x54497453
"""What marks a SQLite file as a journal (`PRAGMA application_id`), a number of its own."""

BUSY_S: Final = 5.0
"""How long a transaction waits for those of other processes."""

_SCHEMA_1: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX events_of ON events (execution_id, seq);
CREATE TABLE records (
    id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, task_id TEXT, phase TEXT, progress REAL,
    created_at REAL, updated_at REAL, started_at REAL, seq INTEGER NOT NULL, since REAL, seen_sent REAL,
    seen_received REAL, kept INTEGER NOT NULL, ended_at REAL, rare TEXT, final TEXT
);
CREATE TABLE lists (task_id TEXT PRIMARY KEY, since REAL, complete INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE subscriptions (
    name TEXT PRIMARY KEY, cursor INTEGER NOT NULL, created REAL NOT NULL, seen REAL NOT NULL,
    holder TEXT, held_until REAL
) WITHOUT ROWID;
CREATE TABLE deliveries (
    subscription TEXT NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    due REAL, error TEXT, at REAL NOT NULL,
    PRIMARY KEY (subscription, position)
) WITHOUT ROWID;
"""

MIGRATIONS: Final[Sequence[str]] = (_SCHEMA_1,)
"""What leads from each version of the schema to the next one; a new file goes through all of them."""

VERSION: Final = len(MIGRATIONS)
"""The version of the schema that this library writes (`PRAGMA user_version`)."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite into those of the journal, which say what to do."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise JournalError(
            f"the journal {path} was closed meanwhile ({error}): make another object for further use"
        ) from error
    except sqlite3.Error as error:
        raise _explained(path, error) from error
    except OSError as error:
        raise JournalUnavailableError(
            f"the journal {path} cannot be used ({error}): check its directory, or name another file"
        ) from error


def _explained(path: Path, error: sqlite3.Error) -> JournalDamagedError | JournalUnavailableError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return JournalUnavailableError(f"the journal {path} cannot be written ({error}): make room on its disk")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalUnavailableError(f"the journal {path} is busy ({error}): another program holds it for too long")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return JournalUnavailableError(
            f"the journal {path} cannot be read or written ({error}): check its disk, and who may write there"
        )
    if code == sqlite3.SQLITE_NOMEM:
        return JournalUnavailableError(f"the journal {path} cannot be used, memory is short ({error})")
    return damaged(path, str(error))


def damaged(path: Path, story: str) -> JournalDamagedError:
    """Return the error that names a file which is not in order, and says how to keep a copy."""
    return JournalDamagedError(
        f"the journal {path} is not in order ({story}). Keep a copy of {path.name} and, if it is there, "
        f"{path.name}-wal from the same directory; then move both away to begin a new journal, "
        "or restore them from a backup"
    )


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to a journal that is there, or is made, in the newest version of the schema.

    A file that is no journal, or that a newer version has written, is not touched.

    Args:
        path: The file. Its directory is made if it is missing; file and directory are for their owner only.
    """
    with told(path):
        if path.is_dir():
            raise ConfigurationError(f"the journal {path} is a directory: name a file in it")
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size == 0:
            _make(path)
        else:
            _recognise(path)
        connection = _open(path)
    try:
        with told(path):
            connection.execute("PRAGMA journal_mode = WAL")
            _bring_up_to_date(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


def touch(path: Path) -> None:
    """Make an empty file that its owner alone may read, unless it is there. What SQLite puts beside it is like it."""
    if not path.exists():  # closing a file that is open elsewhere in this process would end the locks on it
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, stat.S_IRUSR | stat.S_IWUSR))


def _make(path: Path) -> None:
    """Make the file, and mark it, before anything is written ahead: the marks are in the file itself from then on."""
    touch(path)
    connection = _open(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        if _pragma(connection, "application_id") == 0:  # nobody was faster
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA user_version = 0")
        connection.execute("COMMIT")
    finally:
        connection.close()


def _recognise(path: Path) -> None:
    """Refuse a file that is none of ours, by a look that touches neither it nor what lies beside it."""
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
    try:
        mark = _pragma(connection, "application_id")
        version = _pragma(connection, "user_version")
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.close()
    if mark != APPLICATION_ID and (mark or tables):
        raise JournalDamagedError(f"{path} is a SQLite file of another program: name another file for the journal")
    if mark != APPLICATION_ID:
        _make(path)  # its making was cut short
    _check_version(path, version)


def _check_version(path: Path, version: int) -> None:
    if version > VERSION:
        raise JournalVersionError(
            f"the journal {path} was written by a newer version of titan_state (schema {version}, this one knows "
            f"{VERSION}); nothing in it was touched. Update titan_state, or name another file"
        )


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "user_version") == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _pragma(connection, "user_version")
        _check_version(path, version)
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in script.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def lease(path: Path, holder: Callable[[], str]) -> sqlite3.Connection:
    """Take the one place of a writer, which is given back when the connection is closed, or the process ends.

    Args:
        path: The journal's file.
        holder: Says who has it, if somebody has.

    Raises:
        JournalInUseError: Another monitor has it.
    """
    lock = path.with_name(f"{path.name}-lock")
    with told(lock):
        touch(lock)
        connection = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = MEMORY")  # nothing is ever written there
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            connection.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            raise JournalInUseError(
                f"the journal {path} is used by another monitor ({holder()}): end it, or name another file; "
                "callbacks of another program belong in a Subscriber"
            ) from None
        except BaseException:
            connection.close()
            raise
    return connection
