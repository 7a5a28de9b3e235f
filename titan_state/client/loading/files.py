"""Files: how an output is put on a disk: beside its place first, and there by its name once it is whole.

It knows paths and bytes, nothing of requests. Names never come from the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal, Self, get_args

import attrs

from titan_state.client.loading.parts import opened, swept
from titan_state.errors import ConfigurationError, OutputExistsError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

IfExists = Literal["error", "skip", "overwrite"]

BATCH: Final = 4 * 1024 * 1024
"""How many bytes are collected before they are written, in a thread, while the next ones arrive."""

SYNC: Final = 16 * BATCH
"""After how many bytes the disk is to have them: the end of a large file would wait long otherwise."""

LONGEST_NAME: Final = 128
"""The longest name that is made of an id; most file systems take 255 bytes, of which suffixes need some."""

SYNCED: Final = getattr(os, "fdatasync", os.fsync)  # macOS has the latter only

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_SUFFIX: Final = re.compile(r"[A-Za-z0-9]{1,8}")
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@attrs.frozen
class SavedFile:
    """A file that an output was put into.

    Attributes:
        path: The file.
        size: How many bytes it has.
        is_new: Whether it was written now; it was there already, and left alone, otherwise.
    """

    path: Path
    size: int
    is_new: bool = True


def safe_name(text: str) -> str:
    """Return a name for a file, made of text of any origin; texts that differ, not in case alone, have different ones.

    Nothing of a path is left in it: what is no letter, digit, `.`, `_` or `-` is replaced, and a hash then tells
    it from others. What tells its kind (`.jpg`) stays at its end.
    """
    name = _UNSAFE.sub("_", text)[:LONGEST_NAME].lstrip(".")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    if name and name == text:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    stem, dot, suffix = name.rpartition(".")
    if not (dot and _SUFFIX.fullmatch(suffix)):
        stem, suffix = name, ""
    return f"{stem.rstrip('._') or 'output'}-{digest}" + (f".{suffix}" if suffix else "")


class Target:
    """The place of one file. Use it as a context manager: what was not finished leaves nothing behind.

    What is written goes to a part of its own beside the place (`parts.py`).
    """

    def __init__(self, path: str | os.PathLike[str], *, name: str, if_exists: IfExists = "error") -> None:
        """Make sure that the file can be written.

        Args:
            path: The file, or a directory for one of the name `name`.
            name: The name in a directory.
            if_exists: What to do where the file is there already.

        Raises:
            OutputExistsError: It is there already, and is not to be overwritten or skipped.
            ConfigurationError: There is no such directory, or `if_exists` is none of the three.
        """
        if if_exists not in get_args(IfExists):
            raise ConfigurationError(f"if_exists must be one of {', '.join(get_args(IfExists))}, not {if_exists!r}")
        self.path = self._place = _place_of(path, name)
        self._if_exists = if_exists
        self._file: IO[bytes] | None = None
        self._part: Path | None = None
        self._batch: list[bytes] = []
        self._held = 0
        self._work: asyncio.Future[None] | None = None
        self._unsynced = 0
        self.size = 0
        if not self._is_there():
            return
        if if_exists == "error":
            swept(self._place)
            raise OutputExistsError(str(self.path))
        if not self.path.is_file():
            raise ConfigurationError(f"{shorten(str(self.path))} is there, and is no file: name another")
        if self.path.is_symlink():
            self._place = self.path.resolve()  # what a link leads to is replaced, and not the link

    def kept(self) -> SavedFile | None:
        """Return the file that is there already, if it is to be left alone; None if it is to be written."""
        if self._if_exists != "skip":
            return None
        try:
            kept = SavedFile(self.path, self.path.stat().st_size, is_new=False)
        except FileNotFoundError:
            return None
        swept(self._place)
        return kept

    def _is_there(self) -> bool:
        return os.path.lexists(self._place)  # a link that leads nowhere is there, too

    async def __aenter__(self) -> Self:
        self._file, self._part = opened(self._place)
        return self

    async def __aexit__(self, *_: object) -> None:
        cancelled: asyncio.CancelledError | None = None
        while self._work is not None and not self._work.done():  # left behind by a cancellation: it needs the file
            try:
                await asyncio.wait((self._work,))
            except asyncio.CancelledError as error:
                cancelled = error
        if self._work is not None and not self._work.cancelled():
            self._work.exception()  # whoever waited for it was told, or went away
        file, self._file = self._file, None
        part, self._part = self._part, None
        self._batch.clear()
        if part is not None:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
        if file is not None:
            file.close()
        swept(self._place)
        if cancelled is not None:
            raise cancelled

    @property
    def is_open(self) -> bool:
        """Whether it can be written."""
        return self._file is not None

    async def write(self, chunk: bytes) -> None:
        """Take further bytes."""
        self._batch.append(chunk)
        self._held += len(chunk)
        self.size += len(chunk)
        if self._held >= BATCH:
            await self._settle()
            self._flush()

    async def restart(self) -> None:
        """Drop what was taken: it comes again from the beginning."""
        if self.size:
            self._batch.clear()
            self._held = self.size = 0
            await self._aside(self._truncate)

    async def finish(self) -> SavedFile:
        """Put the file in its place, whole, also if the machine stops the moment after.

        Raises:
            OutputExistsError: One has come there meanwhile, and is not to be overwritten.
        """
        await self._settle()
        self._flush()
        try:
            await self._aside(self._put_in_place)
        except FileExistsError:
            kept = self.kept()
            if kept is not None:
                return kept
            raise OutputExistsError(str(self.path)) from None
        return SavedFile(self.path, self.size)

    async def _aside(self, work: Callable[[], None]) -> None:
        """Do work on the file in a thread, behind what is under way there."""
        await self._settle()
        self._work = asyncio.ensure_future(asyncio.to_thread(work))
        await self._settle()

    async def _settle(self) -> None:
        """Return when no thread is busy with the file; raise what failed there."""
        if self._work is not None:
            await asyncio.shield(self._work)
            self._work = None

    def _flush(self) -> None:
        """Let a thread write what was collected."""
        batch, self._batch, self._held = self._batch, [], 0
        if batch:
            self._work = asyncio.ensure_future(asyncio.to_thread(self._put, batch))

    def _put(self, batch: list[bytes]) -> None:
        assert self._file is not None  # noqa: S101 - a target is written inside `async with`
        for chunk in batch:
            rest = memoryview(chunk)
            while rest:
                count = self._file.write(rest)
                rest = rest[count:]
                self._unsynced += count
        if self._unsynced >= SYNC:
            SYNCED(self._file.fileno())
            self._unsynced = 0

    def _truncate(self) -> None:
        assert self._file is not None  # noqa: S101 - a target is written inside `async with`
        self._file.seek(0)
        self._file.truncate()

    def _put_in_place(self) -> None:
        assert self._file is not None  # noqa: S101 - a target is written inside `async with`
        assert self._part is not None  # noqa: S101 - a target is written inside `async with`
        os.fsync(self._file.fileno())
        if os.name == "nt":  # pragma: no cover - it moves no open file
            self._file.close()
        if self._if_exists == "overwrite":
            self._part.replace(self._place)
            self._part = None
        else:
            self._link(self._part)
        with contextlib.suppress(OSError):  # not every system can do it for a directory
            directory = os.open(self._place.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _link(self, part: Path) -> None:
        """Give the file its name, unless another has it: in one step, so that nothing is overwritten."""
        try:
            os.link(part, self._place)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if self._is_there():
                raise FileExistsError from None
            part.replace(self._place)
            self._part = None


def _place_of(path: str | os.PathLike[str], name: str) -> Path:
    """Return where a file goes.

    Raises:
        ConfigurationError: It can go nowhere there.
    """
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ConfigurationError(f"{shorten(repr(text))} is no path: name a file, or a directory")
    place = Path(text)
    if place.is_dir():
        place = place / name
    elif text.endswith(os.sep):
        raise ConfigurationError(f"there is no directory {shorten(text)}: make it first")
    if not place.parent.is_dir():
        raise ConfigurationError(f"there is no directory {shorten(str(place.parent))}: make it first")
    if place.is_dir():
        raise ConfigurationError(f"{shorten(str(place))} is a directory: name a file in it")
    return place
