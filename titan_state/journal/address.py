"""Addresses of journals: `sqlite:///path`, a path, or `memory:`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from titan_state.errors import ConfigurationError, shorten

if TYPE_CHECKING:
    from titan_state.clock import Clock
    from titan_state.journal.base import Journal

SQLITE = "sqlite:///"


def journal_of(address: str | os.PathLike[str] | Journal | None, clock: Clock | None = None) -> Journal:
    """Return the journal that is meant, not yet open.

    Args:
        address: `sqlite:///relative/path` or `sqlite:////absolute/path`; the path of a SQLite file as a `Path`;
            `memory:` or None for a journal in memory; or a journal.
        clock: The time, the machine's own by default.

    Raises:
        ConfigurationError: There is no such kind of journal.
    """
    if address is None or address == "memory:":
        from titan_state.journal.memory import MemoryJournal

        return MemoryJournal(clock)
    if isinstance(address, os.PathLike):
        return _sqlite(Path(address), clock)
    if not isinstance(address, str):
        if all(hasattr(address, name) for name in ("lead", "append", "subscribe")):
            return address
        raise ConfigurationError(f"a journal is an address or a Journal, not {shorten(repr(address))}")
    if address.startswith(SQLITE) and len(address) > len(SQLITE):
        return _sqlite(Path(address.removeprefix(SQLITE)), clock)
    raise ConfigurationError(
        f"there is no journal at {shorten(repr(address))}: use sqlite:///relative/path.db, "
        "sqlite:////absolute/path.db, or memory:"
    )


def _sqlite(path: Path, clock: Clock | None) -> Journal:
    from titan_state.journal.sqlite import SqliteJournal  # sqlite3 is loaded where it is needed

    return SqliteJournal(path, clock=clock)
