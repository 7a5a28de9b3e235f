"""Addresses of journals: `sqlite:///path`, a path, `nats://host:4222`, or `memory:`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from titan_state.core.redaction import redacted
from titan_state.errors import ConfigurationError, shorten

if TYPE_CHECKING:
    from titan_state.clock import Clock
    from titan_state.journal.base import Journal

SQLITE = "sqlite:///"
NATS = ("nats://", "tls://")

_USER = re.compile(r"//[^/]*@")


def journal_of(
    address: str | os.PathLike[str] | Journal | None, clock: Clock | None = None, *, stands_by: bool = True
) -> Journal:
    """Return the journal that is meant, not yet open.

    Args:
        address: `sqlite:///relative/path` or `sqlite:////absolute/path`; the path of a SQLite file as a `Path`;
            `nats://host:4222` (see `titan_state.NatsJournal` for its options); `memory:` or None for a journal in
            memory; or a journal.
        clock: The time, the machine's own by default.
        stands_by: Whether a journal that others use too is waited for; else that is an error.

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
        raise ConfigurationError(
            f"a journal is a path, an address such as sqlite:///titan.db, or a Journal, not {shorten(repr(address))}"
        )
    if address.startswith(SQLITE) and len(address) > len(SQLITE):
        return _sqlite(Path(address.removeprefix(SQLITE)), clock)
    if address.startswith(NATS):
        return _nats(address, clock, stands_by=stands_by)
    raise ConfigurationError(
        f"there is no journal at {_shown(address)}: use sqlite:///relative/path.db, "
        "sqlite:////absolute/path.db, nats://host:4222, or memory:"
    )


def _sqlite(path: Path, clock: Clock | None) -> Journal:
    from titan_state.journal.sqlite import SqliteJournal  # sqlite3 is loaded where it is needed

    return SqliteJournal(path, clock=clock)


def _nats(address: str, clock: Clock | None, *, stands_by: bool) -> Journal:
    from titan_state.journal.nats import NatsJournal

    return NatsJournal(address, clock=clock, stands_by=stands_by)


def _shown(address: str) -> str:
    """Return an address without what lets somebody in."""
    return shorten(repr(_USER.sub("//", redacted(address))))
