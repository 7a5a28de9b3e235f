"""The local server: other programs of the same user ask the monitor that runs, and share its budget and its knowledge.

It listens on a socket of the file system beside the journal, which its owner alone may use. Messages are lines of JSON;
what they hold is said in `wire.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from titan_state.client.readings import Reading
from titan_state.errors import ConfigurationError, TitanStateError, shorten
from titan_state.monitor.wire import LONGEST, read, written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

logger = logging.getLogger("titan_state.monitor")

LONGEST_PATH: Final = 100
"""The longest path of a socket in bytes: the kernels allow a little more, 104 or 108."""


def socket_path(journal: Path) -> Path:
    """Return where the monitor of a journal listens: beside it, or in the user's temporary directory if that is deep.

    Args:
        journal: The journal's file.
    """
    beside = journal.with_name(f"{journal.name}-sock")
    if len(os.fsencode(beside)) <= LONGEST_PATH:
        return beside
    mark = hashlib.sha256(os.fsencode(journal)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"titan-state-{os.getuid()}" / f"{mark}.sock"


def _bound(path: Path) -> socket.socket:
    """Return a socket at a path, for its owner only.

    What is the mode for all files of the process meanwhile must be taken back before anything else runs: with an
    `await` in between, two monitors that are entered side by side would leave it changed.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


class LocalServer:
    """Answers other programs for a monitor."""

    def __init__(
        self, methods: Mapping[str, Callable[..., Awaitable[Any]]], *, stand_apart: Callable[[], None] | None = None
    ) -> None:
        """Make a server that does not listen yet.

        Args:
            methods: What it can be asked, by name. A reading is answered by its value.
            stand_apart: Told in the task of each answer that this is no part of where the server was made; None where
                nobody needs to know.
        """
        self._path: Path | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods = methods
        self._stand_apart = stand_apart
        self._is_closed = False

    async def open(self, journal: Path) -> None:
        """Listen beside a journal that this monitor alone writes. Where that cannot be, it is said, and goes without.

        Args:
            journal: The journal's file.
        """
        if not hasattr(asyncio, "start_unix_server"):
            return
        path = socket_path(journal)
        try:
            if path.parent != journal.parent:
                _own(path.parent)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()  # of a monitor that was killed: there is one at a time
            self._server = await asyncio.start_unix_server(self._serve, sock=_bound(path), limit=LONGEST)
        except OSError as error:
            logger.warning(
                "other programs cannot ask this monitor, which goes on without: %s cannot be used: %s", path, error
            )
        else:
            self._path = path

    async def close(self) -> None:
        """Listen no more; what is being done for others is cut short."""
        self._is_closed = True
        if self._server is None or self._path is None:
            return
        self._server.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - asyncio calls it in a task
            return
        self._tasks.add(task)
        try:
            while line := await reader.readline():
                writer.write(await self.answer(line))
                await writer.drain()
        except (ConnectionError, ValueError) as error:  # it went away, or the line is too long
            logger.debug("a program that asked went away: %s", error)
        except asyncio.CancelledError:
            if not self._is_closed:
                raise  # else it ends as it should, and asyncio, before 3.12, must not hear of it
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def answer(self, line: bytes) -> bytes:
        """Return the answer to a question, each as a line."""
        if self._stand_apart is not None:
            self._stand_apart()
        try:
            message = read(line)
            method = self._methods.get(message["method"])
            if method is None:
                raise ConfigurationError(f"a monitor cannot be asked to {shorten(str(message['method']))}")
            result = await method(*message.get("values", ()), **message.get("options", {}))
            return written({"result": result.value if isinstance(result, Reading) else result})
        except TitanStateError as error:
            return written({"error": error})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return written({"error": ConfigurationError(f"the question was not understood: {shorten(repr(error))}")})


def _own(directory: Path) -> None:
    """Make a directory that nobody else can use.

    Raises:
        PermissionError: It is there, and somebody else's.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{directory} can be used by others")
