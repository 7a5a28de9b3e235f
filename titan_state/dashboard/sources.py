"""Sources: where a dashboard gets what it shows: a monitor of its own, or a journal that another monitor writes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from titan_state.client.profile import ServiceProfile
from titan_state.core.lifecycle import Action, Lifecycle, Verdict
from titan_state.core.redaction import redacted
from titan_state.core.tracking.sights import of_row
from titan_state.errors import ConfigurationError, MonitorClosedError, PayloadError
from titan_state.monitor.local import NOT_UNDERSTOOD, leading_monitor
from titan_state.monitor.survey import Known, Mark, Survey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Collection
    from pathlib import Path

    from titan_state.client.output_options import Format
    from titan_state.client.readings import ResultMetadata
    from titan_state.core.execution import Execution
    from titan_state.core.tracking.sights import Sight
    from titan_state.journal.base import Journal
    from titan_state.monitor.local import LocalMonitor
    from titan_state.monitor.monitor import Monitor


T = TypeVar("T")

logger = logging.getLogger("titan_state.dashboard")

PATIENCE_S: Final = 5.0
"""For how long a monitor of this machine may think of an answer that it knows."""

NOBODY: Final = (
    "no monitor is running that writes this journal: start titan-state watch, or titan-state dashboard, again"
)
SILENT: Final = "a monitor that writes this journal runs, but does not answer: look at its log, or start it again"
UNTOLD: Final = "on this platform it cannot be told whether a monitor is running that writes this journal"


class Source(Protocol):
    """What a dashboard shows, and who does what its user wants.

    Attributes:
        mode: Whether the monitor is its own, or that of another program.
        journal: Where events are written down.
        lifecycle: The model.
        account: Whose executions these are; None where that is not known.
        origin: The origin of the Task Service; None where that is not known.
        output_statuses: The statuses of executions that have results.
        saves: Whether results can be saved as files.
    """

    mode: Literal["monitor", "journal"]
    journal: Journal
    lifecycle: Lifecycle
    account: str | None
    origin: str | None
    output_statuses: Collection[str]
    saves: bool

    async def look(self) -> None:
        """Find out whether there is news in the journal: `journal.head` says so."""
        ...

    async def survey(self, after: Mark | None, ids: Collection[str]) -> Survey:
        """Return what is known; see `Monitor.survey`.

        Args:
            after: The mark of the survey before; None for all.
            ids: Also these executions.

        Raises:
            MonitorClosedError: No monitor answers; the message says why.
        """
        ...

    async def written(self) -> list[Sight]:
        """Return what is written down of every execution, for want of a monitor."""
        ...

    async def known(self, execution_id: str) -> Known:
        """Return what is known of one execution; see `Monitor.known`.

        Args:
            execution_id: The execution.

        Raises:
            MonitorClosedError: No monitor answers; the message says why.
        """
        ...

    async def act(self, execution_id: str, action: Action) -> Execution:
        """Send a control action if it is legal; see `Monitor.act`.

        Args:
            execution_id: The execution.
            action: The action.

        Raises:
            MonitorClosedError: No monitor can be asked; the message says why.
        """
        ...

    async def results(self, execution_id: str) -> ResultMetadata:
        """Ask the service for the metadata of results; see `Outputs.metadata`.

        Args:
            execution_id: The execution.

        Raises:
            MonitorClosedError: No monitor can be asked; the message says why.
        """
        ...

    async def save(self, execution_id: str, form: Format, directory: Path) -> Path:
        """Save results as a file in a directory; see `Outputs.export`.

        Args:
            execution_id: The execution.
            form: `json` or `csv`.
            directory: The directory.

        Returns:
            The file.
        """
        ...

    def redact(self, text: str) -> str:
        """Return a text without credentials.

        Args:
            text: The text.
        """
        ...


class MonitorSource:
    """A monitor of this program, which has been entered. See `Source` for what each method does.

    `Dashboard(monitor)` makes one by itself.

    Args:
        monitor: The monitor.
    """

    mode: Literal["monitor", "journal"] = "monitor"
    saves = True

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.journal = monitor.journal
        self.lifecycle = monitor.lifecycle
        self.account: str | None = monitor.account
        self.origin: str | None = monitor.service.origin
        self.output_statuses: Collection[str] = monitor.service.profile.output_statuses

    async def look(self) -> None:
        """Do nothing: this program writes the journal."""

    async def survey(self, after: Mark | None, ids: Collection[str]) -> Survey:
        """Return what is known. See `Source.survey`."""
        return self._monitor.survey(after=after, ids=ids)

    async def written(self) -> list[Sight]:
        """Return nothing: the monitor knows it."""
        return []

    async def known(self, execution_id: str) -> Known:
        """Return what is known of one execution. See `Source.known`."""
        return self._monitor.known(execution_id)

    async def act(self, execution_id: str, action: Action) -> Execution:
        """Send a control action if it is legal. See `Source.act`."""
        return await self._monitor.act(execution_id, action)

    async def results(self, execution_id: str) -> ResultMetadata:
        """Ask the service for the metadata of results. See `Source.results`."""
        return await self._monitor.outputs(execution_id).metadata()

    async def save(self, execution_id: str, form: Format, directory: Path) -> Path:
        """Save results as a file in a directory. See `Source.save`."""
        saved = await self._monitor.outputs(execution_id).export(directory, format=form, wait=0)
        return saved.path

    def redact(self, text: str) -> str:
        """Return a text without credentials. See `Source.redact`."""
        return redacted(self._monitor.service.redact(text))


class JournalSource:
    """A journal that is open, and the monitor of another program that writes it, while one does. See `Source`.

    ```python
    async with Dashboard(JournalSource(journal)) as dashboard:
        print(dashboard.url)
        await dashboard.wait()
    ```
    """

    mode: Literal["monitor", "journal"] = "journal"
    saves = False

    def __init__(
        self,
        journal: Journal,
        *,
        lifecycle: Lifecycle | None = None,
        account: str | None = None,
        origin: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Make a source.

        Args:
            journal: The journal, which is open.
            lifecycle: The model of the monitor that writes it, the documented one by default.
            account: Whose executions these are; None where that is not known.
            origin: The origin of the Task Service; None where that is not known.
            patience_s: For how many seconds an answer of that monitor is waited for, where it sends no request for it.
        """
        self.journal = journal
        self.lifecycle = lifecycle or Lifecycle.default()
        self.account = account
        self.origin = origin
        self.output_statuses: Collection[str] = ServiceProfile().output_statuses
        self._patience_s = patience_s

    async def look(self) -> None:
        """Find out whether others have written something."""
        await self.journal.poll()

    async def survey(self, after: Mark | None, ids: Collection[str]) -> Survey:
        """Return what the monitor knows that writes the journal. See `Source.survey`."""
        async with self._asked(self._patience_s) as monitor:
            return await _answer(monitor.survey(after=after, ids=ids))

    async def written(self) -> list[Sight]:
        """Return what is written down of every execution; what cannot be read is passed over."""
        knows, terminal = self.lifecycle.knows, self.lifecycle.terminal
        found, faults = [], 0
        for row in await self.journal.records():
            try:
                sight = of_row(row, knows, terminal)
            except (ValueError, TypeError, LookupError, AttributeError, OverflowError, PayloadError):
                faults += 1  # damaged, or of a later version
                continue
            if sight is not None:
                found.append(sight)
        if faults:
            logger.warning("%d executions of %s cannot be read, and are not shown", faults, self.journal.name)
        return found

    async def known(self, execution_id: str) -> Known:
        """Return what the monitor knows of one execution. See `Source.known`."""
        async with self._asked(self._patience_s) as monitor:
            return await _answer(monitor.known(execution_id))

    async def act(self, execution_id: str, action: Action) -> Execution:
        """Have the monitor send a control action. See `Source.act`."""
        async with self._asked() as monitor:
            return await monitor.act(execution_id, action)

    async def results(self, execution_id: str) -> ResultMetadata:
        """Have the monitor ask for the metadata of results. See `Source.results`."""
        async with self._asked() as monitor:
            return await monitor.results(execution_id)

    async def save(self, execution_id: str, form: Format, directory: Path) -> Path:
        """Raise: the service's token is with the program that writes the journal. See `Source.save`.

        Raises:
            MonitorClosedError: Always; the message names the command to use.
        """
        raise MonitorClosedError(f"the monitor runs in another program: use titan-state export {execution_id}")

    def redact(self, text: str) -> str:
        """Return a text without credentials. See `Source.redact`."""
        return redacted(text)

    @asynccontextmanager
    async def _asked(self, seconds: float | None = None) -> AsyncIterator[LocalMonitor]:
        """Ask the monitor that writes the journal, in another program.

        Args:
            seconds: For how long an answer is waited for.

        Raises:
            MonitorClosedError: None answers; the message says why.
        """
        if not self.journal.is_shared and not hasattr(asyncio, "open_unix_connection"):
            raise MonitorClosedError(UNTOLD)
        try:
            async with asyncio.timeout(seconds), leading_monitor(self.journal) as monitor:
                if monitor is None:
                    raise MonitorClosedError(NOBODY)
                yield monitor
        except TimeoutError as error:
            raise MonitorClosedError(SILENT) from error


async def _answer(answer: Awaitable[T]) -> T:
    """Return an answer that a monitor of this version always gives.

    Raises:
        MonitorClosedError: It gives none.
    """
    try:
        return await answer
    except ConfigurationError as error:  # it does not know the question
        raise MonitorClosedError(NOT_UNDERSTOOD) from error


def refusals(reason: str) -> dict[str, Verdict]:
    """Return the verdicts where nothing can be done, whatever the status is."""
    return {str(action): Verdict(allowed=False, reason=reason) for action in Action}
