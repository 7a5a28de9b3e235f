"""`titan-state export`: save the results of executions as files, with their datasets and media if that is wanted.

How a file is loaded and put in its place is the library's part.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from titan_state import wording
from titan_state.cli.bars import bars
from titan_state.cli.exits import Exit, hint, of_error, worst
from titan_state.cli.hindrance import Hindrance, said
from titan_state.cli.media import media_in, named
from titan_state.cli.output import emit, emit_json, remark, trace
from titan_state.cli.running import side_by_side
from titan_state.client.loading.files import Target, safe_name
from titan_state.client.output_options import IN_PARALLEL, WAIT_S
from titan_state.errors import (
    ConfigurationError,
    OutputExistsError,
    OutputsUnavailableError,
    TitanStateError,
    UnauthorizedError,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from titan_state.cli.bars import Bars
    from titan_state.cli.connection import Connection
    from titan_state.client.loading.files import IfExists, SavedFile
    from titan_state.client.output_options import Format
    from titan_state.client.outputs import Outputs
    from titan_state.monitor.monitor import Monitor

Kind = Literal["export", "datasets", "media"]

logger = logging.getLogger("titan_state.cli")


@attrs.frozen(kw_only=True)
class Wish:
    """What is to be saved, and how.

    Attributes:
        directory: Where the files go.
        form: The format of exports.
        if_exists: What to do with files that are there already.
        timeout_s: For how long results that are not there yet are waited for, None for the library's own patience.
        with_datasets: Whether the datasets are to be saved.
        with_media: Whether the media are to be saved.
    """

    directory: Path = attrs.field(converter=Path)
    form: Format = "json"
    if_exists: IfExists = "error"
    timeout_s: float | None = None
    with_datasets: bool = False
    with_media: bool = False


async def export(connection: Connection, ids: Sequence[str], wish: Wish, *, as_json: bool) -> int:
    """Save the outputs of executions, several at once, and write a line for each file.

    Returns:
        The exit code: of several outcomes the worst.

    Raises:
        ConfigurationError: The directory cannot be one; nothing was sent.
        UnauthorizedError: The service refused the credentials.
    """
    ids = tuple(dict.fromkeys(ids))
    make_directory(wish.directory)
    async with connection.monitor() as monitor:
        outputs = [monitor.outputs(name) for name in ids]  # what is no id is refused before anything is sent
        saving = Saving(monitor, wish, as_json=as_json)
        async with AsyncExitStack() as stack:
            if as_json or not sys.stderr.isatty():  # else it is below the bars
                await stack.enter_async_context(said(monitor))
            saving.begin(await stack.enter_async_context(bars(saving.told, are_wanted=not as_json)), len(ids))
            return worst(await side_by_side(saving.save(one) for one in outputs))


def make_directory(path: Path) -> None:
    """Make a directory, if it is not there.

    Raises:
        ConfigurationError: Something else is there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigurationError(f"{shorten(str(path))} is no directory") from None


def told_of(error: BaseException) -> str:
    """Return what went wrong, and what to do about it here, on a command line."""
    if isinstance(error, OutputExistsError):
        return f"{error.path} is there already: --if-exists skip leaves it alone, overwrite replaces it"
    if isinstance(error, OutputsUnavailableError):
        return f"it is {error.status}, which has no outputs; nothing was sent"
    advice = hint(error)
    return f"{error} ({advice})" if advice else str(error)


class Saving:
    """Saves the outputs of executions, and says so."""

    def __init__(self, monitor: Monitor, wish: Wish, *, as_json: bool) -> None:
        self._monitor = monitor
        self._wish = wish
        self._as_json = as_json
        self._shown: Bars
        self._hindrance = Hindrance(monitor)
        self._executions = 0
        self._media = 0

    def begin(self, shown: Bars, count: int) -> None:
        """Take in where progress is shown, and of how many executions there is anything to save."""
        self._shown = shown
        self._executions = count

    def told(self) -> str:
        """Return what is being done."""
        left = f"{self._executions} execution{'s' * (self._executions != 1)}"
        if self._media:
            left += f" and {self._media} media"
        hindrance = self._hindrance.remark()
        told = f"exporting · {left} left · {self._monitor.remaining} requests left"
        return f"{told} · ⚠ {hindrance}" if hindrance else told

    async def save(self, outputs: Outputs) -> Exit:
        """Save the outputs of one execution.

        Returns:
            What became of it; every error is said.

        Raises:
            UnauthorizedError: The service refused the credentials: no other execution would fare better.
        """
        try:
            saved = await self._export(outputs)
            self._say(outputs, "export", saved)
            if self._wish.with_datasets:
                self._say(outputs, "datasets", await self._datasets(outputs))
            return await self._save_media(outputs, saved) if self._wish.with_media else Exit.OK
        except (BrokenPipeError, UnauthorizedError):
            raise
        except (TitanStateError, OSError) as error:
            self._complain(outputs, error)
            return of_error(error)
        finally:
            self._executions -= 1

    async def _export(self, outputs: Outputs) -> SavedFile:
        wish, name = self._wish, f"{safe_name(outputs.execution_id)}.{self._wish.form}"
        wait_s = WAIT_S if wish.timeout_s is None else wish.timeout_s
        with self._shown.file(name) as moved:
            return await outputs.export(
                wish.directory, format=wish.form, wait=wait_s, if_exists=wish.if_exists, progress=moved
            )

    async def _datasets(self, outputs: Outputs) -> SavedFile:
        name = f"{safe_name(outputs.execution_id)}.datasets.json"
        target = Target(self._wish.directory, name=name, if_exists=self._wish.if_exists)
        kept = target.kept()
        if kept is not None:
            return kept
        found = [one.to_dict() for one in await outputs.datasets()]
        async with target:
            await target.write(json.dumps(found, ensure_ascii=False, indent=2).encode() + b"\n")
            return await target.finish()

    async def _save_media(self, outputs: Outputs, saved: SavedFile) -> Exit:
        """Save the media that the rows of an export name; one that fails does not stop the others."""
        service = self._monitor.service
        names = named(await media_in(saved.path, self._wish.form, outputs, service), service)
        if not names:
            return Exit.OK
        directory = self._wish.directory / f"{safe_name(outputs.execution_id)}.media"
        make_directory(directory)
        self._media += len(names)
        pending = iter(names.items())
        count = min(IN_PARALLEL, len(names))
        return worst(await side_by_side(self._load(outputs, pending, directory) for _ in range(count)))

    async def _load(self, outputs: Outputs, pending: Iterator[tuple[str, str]], directory: Path) -> Exit:
        """Load media until none is left."""
        code = Exit.OK
        for url, name in pending:
            try:
                with self._shown.file(name) as moved:
                    saved = await outputs.media(url, directory, if_exists=self._wish.if_exists, progress=moved)
                self._say(outputs, "media", saved)
            except BrokenPipeError:
                raise
            except (TitanStateError, OSError) as error:
                self._complain(outputs, error, f"media {name}: ")
                code = Exit.ERROR
            finally:
                self._media -= 1
        return code

    def _say(self, outputs: Outputs, kind: Kind, saved: SavedFile) -> None:
        """Write that a file is there."""
        with self._shown.aside():
            if self._as_json:
                emit_json(saved_dict(outputs.execution_id, kind, saved))
            else:
                emit(f"{saved.path}  {wording.size(saved.size)}" + ("" if saved.is_new else ", was there already"))

    def _complain(self, outputs: Outputs, error: Exception, what: str = "") -> None:
        """Say that something could not be saved."""
        clean = self._monitor.service.redact
        with self._shown.aside():
            if logger.isEnabledFor(logging.DEBUG):
                trace(clean("".join(traceback.format_exception(error))))
            remark(clean(f"error: {shorten(outputs.execution_id)}: {what}{told_of(error)}"))


def saved_dict(execution_id: str, kind: Kind, saved: SavedFile) -> dict[str, object]:
    """Return what was saved as JSON types."""
    return {
        "execution_id": execution_id,
        "kind": kind,
        "path": str(saved.path),
        "size": saved.size,
        "new": saved.is_new,
    }
