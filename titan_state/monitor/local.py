"""A monitor that runs in another program: it can be asked to check, to act, to run and to list.

It is reached over a socket beside its journal, by programs of the same machine, or over a journal that is shared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from titan_state.client.readings import ResultMetadata
from titan_state.core.lifecycle import Action
from titan_state.errors import (
    ActionOutcomeUnknownError,
    JournalError,
    JournalUnavailableError,
    MonitorClosedError,
    RunOutcomeUnknownError,
    TitanStateError,
)
from titan_state.monitor.local_server import socket_path
from titan_state.monitor.survey import Known, Mark, Survey
from titan_state.monitor.wire import LONGEST, read, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection
    from pathlib import Path

    from titan_state.client.readings import Page
    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Verdict
    from titan_state.journal.base import Journal


T = TypeVar("T")

NOT_UNDERSTOOD: Final = (
    "a monitor runs, but what it answers is not understood: it may be of another version, use the same one for both"
)


class LocalMonitor:
    """Asks the monitor of another program, which shares its budget and explains what is done by it.

    Its methods are those of `Monitor`. All raise `MonitorClosedError` if it cannot be asked; of an action or a run that
    it may have heard of, the outcome is unknown then.
    """

    def __init__(self, exchange: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Ask a monitor.

        Args:
            exchange: Sends a question, and returns the answer. An error of the journal, also as the cause of another,
                means that the question was not taken.
        """
        self._exchange = exchange

    async def verdict(self, execution_id: str, action: Action | str) -> Verdict:
        """Return whether a control action is legal; see `Monitor.verdict`."""
        verdict: Verdict = await self._ask("verdict", execution_id, Action(action))
        return verdict

    async def act(self, execution_id: str, action: Action | str, *, force: bool = False) -> Execution:
        """Send a control action, if the present status allows it; see `Monitor.act`."""
        try:
            execution: Execution = await self._ask("act", execution_id, Action(action), force=force)
        except MonitorClosedError as error:
            _ensure_asked(error)
            raise ActionOutcomeUnknownError(execution_id, Action(action), None) from error
        return execution

    async def run(self, task_id: str) -> Execution:
        """Start an execution of a task, and watch it; see `Monitor.run`."""
        try:
            execution: Execution = await self._ask("run", task_id)
        except MonitorClosedError as error:
            _ensure_asked(error)
            raise RunOutcomeUnknownError(task_id, f"the monitor that was asked went away ({error})") from error
        return execution

    async def pause(self, execution_id: str, *, force: bool = False) -> Execution:
        """Pause an execution. See `act`."""
        return await self.act(execution_id, Action.PAUSE, force=force)

    async def resume(self, execution_id: str, *, force: bool = False) -> Execution:
        """Resume a paused execution. See `act`."""
        return await self.act(execution_id, Action.RESUME, force=force)

    async def stop(self, execution_id: str, *, force: bool = False) -> Execution:
        """Stop an execution before completion. See `act`."""
        return await self.act(execution_id, Action.STOP, force=force)

    async def list(self, *, task_id: str | None = None, limit: int | None = None, offset: int = 0) -> Page:
        """Read one page of executions; see `TaskService.list`."""
        page: Page = await self._ask("list", task_id=task_id, limit=limit, offset=offset)
        return page

    async def survey(self, *, after: Mark | None = None, ids: Collection[str] = ()) -> Survey:
        """Return what is known and how the monitor fares; see `Monitor.survey`."""
        return _understood(Survey.from_dict, await self._ask("survey", after, list(ids)))

    async def known(self, execution_id: str) -> Known:
        """Return what is known of one execution; see `Monitor.known`."""
        return _understood(Known.from_dict, await self._ask("known", execution_id))

    async def results(self, execution_id: str) -> ResultMetadata:
        """Ask the service for the metadata of results; see `Outputs.metadata`."""
        answer = await self._ask("results", execution_id)
        return _understood(
            lambda told: ResultMetadata(execution_id, told["row_count"], json.loads(told["fields"])), answer
        )

    async def _ask(self, method: str, *values: Any, **options: Any) -> Any:
        try:
            line = await self._exchange(written({"method": method, "values": values, "options": options}))
        except JournalUnavailableError as error:
            raise MonitorClosedError(str(error)) from error
        answer = _understood(read, line)
        failure = _understood(lambda told: told.get("error"), answer)
        if isinstance(failure, TitanStateError):
            raise failure
        return _understood(lambda told: told["result"], answer)


class Socket:
    """A connection to a monitor of this machine. One question at a time goes over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    async def exchange(self, question: bytes) -> bytes:
        """Send a question, and return the answer.

        Raises:
            MonitorClosedError: The monitor is gone.
        """
        async with self._turn:
            try:
                self._writer.write(question)
                await self._writer.drain()
                line = await self._reader.readline()
            except (OSError, ValueError) as error:
                raise MonitorClosedError(
                    f"the monitor of this machine cannot be reached any more, start it again: {error}"
                ) from error
        if not line:
            raise MonitorClosedError(
                "the monitor of this machine was left before it answered: start it again, then ask again"
            )
        return line

    async def close(self) -> None:
        """Ask no more."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def leading_monitor(journal: Journal) -> AsyncIterator[LocalMonitor | None]:
    """Connect to the monitor that writes a journal, in another program.

    Args:
        journal: The journal. One that is shared must be open: the monitor may be on any machine then.

    Yields:
        The monitor, None if none can be reached.
    """
    ask = getattr(journal, "ask", None)
    path = getattr(journal, "path", None)
    if ask is None and path is not None:
        async with local_monitor(path) as monitor:
            yield monitor
        return
    yield LocalMonitor(ask) if ask is not None and await _is_answered(ask) else None


async def _is_answered(ask: Callable[[bytes], Awaitable[bytes]]) -> bool:
    try:
        await ask(written({"method": "", "values": (), "options": {}}))
    except MonitorClosedError:
        return False
    except JournalUnavailableError:  # it is there, and busy: the next question says so, or not any more
        return True
    return True


@asynccontextmanager
async def local_monitor(journal: Path) -> AsyncIterator[LocalMonitor | None]:
    """Connect to the monitor that writes a journal, in another program of this machine.

    Args:
        journal: The journal's file.

    Yields:
        The monitor, None if none can be reached.
    """
    if not hasattr(asyncio, "open_unix_connection"):
        yield None
        return
    try:
        reader, writer = await asyncio.open_unix_connection(socket_path(journal), limit=LONGEST)
    except OSError:  # none runs, or it cannot be asked
        yield None
        return
    socket = Socket(reader, writer)
    try:
        yield LocalMonitor(socket.exchange)
    finally:
        await socket.close()


def _ensure_asked(error: MonitorClosedError) -> None:
    """Raise the error if the monitor has certainly not taken the question: nothing was done then."""
    if isinstance(error.__cause__, JournalError):
        raise error


def _understood(decode: Callable[[Any], T], told: Any) -> T:
    """Return what an answer says.

    Raises:
        MonitorClosedError: It says nothing that is known here.
    """
    try:
        return decode(told)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise MonitorClosedError(NOT_UNDERSTOOD) from error
