"""`titan-state watch --export`: the callback that exports what succeeds, and when its exports are over and done with.

Each execution is exported once: the journal knows what was delivered, and a file that is there is left alone. How a
file is loaded and put in its place is the library's part.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from titan_state import wording
from titan_state.cli.exits import Exit
from titan_state.cli.export import make_directory, saved_dict, told_of
from titan_state.cli.output import remark
from titan_state.client.output_options import WAIT_S
from titan_state.core.anomalies import RULES, AnomalyKind
from titan_state.core.events import AnomalyDetected, ResultsReady, Transitioned
from titan_state.errors import (
    BodyTooLargeError,
    ExecutionNotFoundError,
    OutputsUnavailableError,
    PermanentError,
    ResultsNotReadyError,
    TitanStateError,
    shorten,
)
from titan_state.monitor.delivery.calling import current_delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from titan_state.client.loading.files import SavedFile
    from titan_state.client.output_options import Format
    from titan_state.core.events import Event
    from titan_state.monitor.monitor import Monitor

RETRIES: Final = 5
"""How often an export that failed, with all attempts of the library, is tried again."""

BACKOFF_S: Final = 5.0
"""How long after the first failure that is; doubled for each one after it."""

PATIENCE_S: Final = 600.0
"""For how long nothing may be heard of results: well after they are overdue, which is said after 300 s."""

FINAL: Final = (OutputsUnavailableError, ExecutionNotFoundError, BodyTooLargeError)
"""Errors after which no further attempt can succeed."""


@attrs.define(eq=False)
class Course:
    """How far the export of one execution has come that was named by its id.

    Attributes:
        is_ready: Whether this run has heard that its results can be read.
        is_exported: Whether its file is there.
        is_given_up: Whether its export has failed for good.
        is_overdue: Whether its results are overdue.
        lock: Held by whoever exports it.
        changed: Set when one of these has changed.
    """

    is_ready: bool = False
    is_exported: bool = False
    is_given_up: bool = False
    is_overdue: bool = False
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.is_exported or self.is_given_up or self.is_overdue


@attrs.frozen
class Exported:
    """An export that is in its place.

    Attributes:
        execution_id: The execution.
        saved: The file.
    """

    execution_id: str
    saved: SavedFile

    def __str__(self) -> str:
        size = wording.size(self.saved.size)
        return (
            f"exported {self.saved.path} ({size})"
            if self.saved.is_new
            else f"{self.saved.path} was there already ({size})"
        )

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON types: what `titan-state export --json` has, and a `type` as events have one."""
        return {"type": "exported", **saved_dict(self.execution_id, "export", self.saved)}


class Exports:
    """The exports of a watch."""

    def __init__(self, monitor: Monitor, directory: str, form: Format) -> None:
        """Make the directory, and have the monitor call back.

        Args:
            monitor: The monitor; nothing is watched yet.
            directory: Where the files go.
            form: The format.

        Raises:
            ConfigurationError: The directory cannot be one.
        """
        self._monitor = monitor
        self._directory = Path(directory)
        self._form: Format = form
        self._courses: dict[str, Course] = {}
        self._say: Callable[[Exported], None] | None = None
        self._unsaid: list[Exported] = []
        self._began = datetime.now(UTC)
        make_directory(self._directory)
        self.name = f"titan-state watch --export {self._directory.resolve()} {form}"
        monitor.on_results_ready(self._deliver, name=self.name, retries=RETRIES, backoff=BACKOFF_S)

    def expect(self, ids: Iterable[str]) -> None:
        """Take in which executions are waited for."""
        self._courses = {name: Course() for name in ids}

    def begin(self, say: Callable[[Exported], None]) -> None:
        """Take in where it is said what was exported."""
        self._say = say
        for exported in self._unsaid:
            say(exported)
        self._unsaid.clear()

    def take(self, event: Event) -> None:
        """Take in what happened."""
        course = self._courses.get(event.execution_id)
        if course is None:
            return
        if isinstance(event, ResultsReady):
            course.is_ready, course.is_overdue = True, False
        elif isinstance(event, AnomalyDetected) and event.kind is AnomalyKind.RESULTS_OVERDUE:
            course.is_overdue = True
        course.changed.set()

    async def settle(self, execution_id: str, status: str) -> None:
        """Return when an execution that has ended is exported, or cannot be for now.

        Args:
            execution_id: One of those that are expected.
            status: The status in which it has ended.
        """
        course = self._courses[execution_id]
        if status not in self._statuses:
            return
        if not course.is_settled and await self._was_over(execution_id):
            # It may have been an earlier run that heard that its results can be read: that is found out by asking.
            await self._try(execution_id, course)
        while not course.is_settled:
            course.changed.clear()
            try:
                async with asyncio.timeout(None if course.is_ready else PATIENCE_S):
                    await course.changed.wait()
            except TimeoutError:
                await self._try(execution_id, course, is_last=True)

    async def verdict(self) -> list[Exit]:
        """Return what became of the exports; what was not exported, and was not said to be given up, is said."""
        codes = []
        for name, course in self._courses.items():
            if course.is_ready and not course.is_settled:  # its results came after all, before the others were done
                await self.settle(name, self._statuses[0])
            if course.is_overdue and not course.is_exported:
                check_first = RULES[AnomalyKind.RESULTS_OVERDUE].check_first
                remark(
                    f"error: {shorten(name)}: its results are overdue, and were not exported; check first: "
                    f"{check_first}; once they are there: {self._command(name)}"
                )
                codes.append(Exit.ERROR)
            elif course.is_given_up and not course.is_exported:
                codes.append(Exit.ERROR)
        return codes

    @property
    def _statuses(self) -> tuple[str, ...]:
        return self._monitor.service.profile.output_statuses

    async def _deliver(self, event: ResultsReady) -> None:
        """Export an execution: the callback."""
        name = event.execution_id
        course = self._courses.get(name) or Course()
        course.is_ready = True
        delivery = current_delivery()
        try:
            await self._export(name, course)
        except Exception as error:
            is_final = isinstance(error, FINAL)
            if is_final or delivery.attempts >= RETRIES:
                again = self._command(name)
                if self._monitor.journal.is_durable:
                    retry = f"titan-state deliveries retry {shorten(event.id)}"
                    again = f"titan-state deliveries shows it, and {retry} has it made again"
                self._give_up(name, course, error, again)
            if is_final:
                raise PermanentError(str(error)) from error
            raise

    async def _try(self, execution_id: str, course: Course, *, is_last: bool = False) -> None:
        """Export an execution without having been called back; it may be that its results cannot be read yet."""
        try:
            await self._export(execution_id, course, wait_s=0.0)
        except (TitanStateError, OSError) as error:
            if isinstance(error, ResultsNotReadyError) and not is_last:
                course.is_overdue |= AnomalyKind.RESULTS_OVERDUE in self._monitor.anomalies(execution_id)
            elif is_last or not await self._is_to_be_called_again(execution_id):
                self._give_up(execution_id, course, error, self._command(execution_id))

    async def _export(self, execution_id: str, course: Course, *, wait_s: float = WAIT_S) -> None:
        async with course.lock:
            outputs = self._monitor.outputs(execution_id)
            saved = await outputs.export(self._directory, format=self._form, wait=wait_s, if_exists="skip")
            is_known, course.is_exported = course.is_exported, True
            course.changed.set()
        if saved.is_new or not is_known:
            self._tell(Exported(execution_id, saved))

    async def _was_over(self, execution_id: str) -> bool:
        """Return whether an execution had ended when this run began, as far as the journal has it."""
        moves = [one for one in await self._monitor.journal.history(execution_id) if isinstance(one, Transitioned)]
        return not moves or moves[-1].at < self._began

    async def _is_to_be_called_again(self, execution_id: str) -> bool:
        """Return whether a delivery has failed and is to be made again: then its outcome counts."""
        letters = await self._monitor.journal.letters()
        return any(
            letter.subscription == self.name and letter.event.execution_id == execution_id and not letter.is_dead
            for letter in letters
        )

    def _give_up(self, execution_id: str, course: Course, error: Exception, again: str) -> None:
        clean = self._monitor.service.redact
        remark(clean(f"error: {shorten(execution_id)}: its export was given up: {told_of(error)}; {again}"))
        course.is_given_up = True
        course.changed.set()

    def _command(self, execution_id: str) -> str:
        return f"titan-state export {shorten(execution_id)}"

    def _tell(self, exported: Exported) -> None:
        if self._say is None:
            self._unsaid.append(exported)
            return
        with contextlib.suppress(BrokenPipeError):  # that nobody reads any more is noticed elsewhere
            self._say(exported)
