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
from enum import Enum, auto
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

FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

WRITERS: Final = 8
"""How many may write the same file at the same time; the last to finish is told that it is there, or replaces it."""

LONGEST: Final = 200
"""The longest name of a file that its part has in its own, in bytes; most file systems take 255."""


class Lock(Enum):
    """Who has a file locked."""

    OURS = auto()
    OTHERS = auto()
    NONE = auto()  # nobody can: the file system has no locks


def opened(path: Path) -> tuple[IO[bytes], Path]:
    """Return a new part of a file, locked where the file system can do that, and where it is.

    Raises:
        ConfigurationError: Too many others write the same file.
        OSError: It cannot be made.
    """
    if fcntl is not None:
        for place in _places(path):
            _remove(place)
            try:
                file = _made(place)
            except FileExistsError:
                continue
            lock = _lock(file, place)
            if lock is Lock.OURS:
                return file, place
            file.close()
            if lock is Lock.NONE:
                place.unlink(missing_ok=True)
                break
        else:
            raise ConfigurationError(f"{WRITERS} others write {shorten(str(path))} just now: wait, or name another")
    place = path.with_name(f".{_short(path)}.{secrets.token_hex(6)}.titan-part")  # what is left of it stays
    return _made(place), place


def swept(path: Path) -> None:
    """Remove what killed processes have left of a file."""
    if fcntl is not None:
        for place in _places(path):
            _remove(place)


def _short(path: Path) -> str:
    """Return a file's name, or what stands for it where it is too long."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= LONGEST else hashlib.sha256(name).hexdigest()[:32]


def _places(path: Path) -> Iterator[Path]:
    for number in range(WRITERS):
        yield path.with_name(f".{_short(path)}.{number}.titan-part")


def _made(place: Path) -> IO[bytes]:
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | FLAGS, 0o666)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _remove(place: Path) -> None:
    """Remove a part that nobody has locked; leave alone what is no plain file."""
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(place.lstat().st_mode):
            return
        with os.fdopen(os.open(place, os.O_RDWR | FLAGS), "r+b") as file:  # some file systems lock no others
            if _lock(file, place) is Lock.OURS:
                place.unlink()


def _lock(file: IO[bytes], place: Path) -> Lock:
    """Lock a file that should be at a place, and return who has it there."""
    assert fcntl is not None  # noqa: S101 - asked for where there are locks
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.OTHERS
    except OSError:
        return Lock.NONE
    try:
        return Lock.OURS if os.path.samestat(os.fstat(file.fileno()), place.lstat()) else Lock.OTHERS
    except OSError:  # somebody has taken it for one that is left over, before it was locked
        return Lock.OTHERS
