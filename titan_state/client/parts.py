"""Parts: the files beside their places that are written until they are whole, and what killed processes left of them.

A part is locked by whoever writes it. One that nobody has locked is left over: it is removed, and never written, as it
may be the whole file already under another name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from titan_state.errors import ConfigurationError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows: what a killed process left there stays
    fcntl = None

WRITERS: Final = 8
"""How many may write the same file at the same time; the last to finish is told that it is there, or replaces it."""

LONGEST: Final = 200
"""The longest name of a file that its part has in its own, in bytes; most file systems take 255."""


def opened(path: Path) -> tuple[IO[bytes], Path]:
    """Return a new part of a file, locked, and where it is.

    Raises:
        ConfigurationError: Too many others write the same file.
        OSError: It cannot be made.
    """
    if fcntl is None:  # pragma: no cover - not on Windows
        place = path.with_name(f".{path.name[:LONGEST]}.{secrets.token_hex(6)}.titan-part")
        return place.open("xb", buffering=0), place
    for place in _places(path):
        _remove(place)
        with contextlib.suppress(FileExistsError, BlockingIOError):
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            file = os.fdopen(descriptor, "r+b", buffering=0)
            if _is_ours(file, place):  # nobody has taken it for one that is left over, before it was locked
                return file, place
            file.close()
    raise ConfigurationError(f"{WRITERS} others write {shorten(str(path))} just now: wait for them, or name another")


def swept(path: Path) -> None:
    """Remove what killed processes have left of a file."""
    if fcntl is not None:
        for place in _places(path):
            _remove(place)


def _places(path: Path) -> Iterator[Path]:
    name = path.name
    if len(os.fsencode(name)) > LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    for number in range(WRITERS):
        yield path.with_name(f".{name}.{number}.titan-part")


def _remove(place: Path) -> None:
    """Remove a part that nobody has locked; leave alone what is no plain file."""
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(place.lstat().st_mode):
            return
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            if _is_ours(file, place):
                place.unlink()


def _is_ours(file: IO[bytes], place: Path) -> bool:
    """Lock a file, and return whether it could be locked and is still the one that has the name."""
    assert fcntl is not None  # noqa: S101 - asked for where there are locks
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), place.lstat())
    except OSError:
        return False
