"""Board: the live table of a terminal. It draws what a monitor knows; it neither reads nor waits.

Text of the API is put into `rich.text.Text`, never into markup, after control characters were made harmless.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from titan_state import wording
from titan_state.cli.hindrance import Hindrance
from titan_state.core.anomalies import RULES, AnomalyKind, Severity
from titan_state.core.events import AnomalyCleared, AnomalyDetected, ResultsReady, Transitioned
from titan_state.core.lifecycle import Lifecycle
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from titan_state.core.events import Event
    from titan_state.core.execution import Execution
    from titan_state.monitor.monitor import Monitor

STYLES: Final = {
    "queued": "yellow",
    "running": "cyan",
    "paused": "magenta",
    "completed": "green",
    "completed_with_errors": "yellow",
    "failed": "red",
    "cancelled": "dim",
}
WORDS: Final = {"completed_with_errors": "with errors"}  # the one status too long for a narrow table
ANOMALY_STYLES: Final = {Severity.WARNING: "yellow", Severity.ERROR: "bold red", Severity.CRITICAL: "bold red"}
RECENT: Final = 8
OTHER_LINES: Final = 5  # title, heading, what has no room, requests left, and where the cursor stands
WIDE: Final = 100
"""From this width on, phase and task are shown in full."""
NARROW: Final = 72
"""Below this width the task gives way: what is wrong with an execution matters more."""
VANISHED: Final = "vanished"
"""What is shown instead of the last status of an execution that is gone."""


class Board:
    """What a terminal shows of a monitor: executions, requests left, and the last events.

    Attributes:
        title: A line above the table.
        footer: A line below it.
    """

    def __init__(
        self,
        monitor: Monitor,
        *,
        title: str = "",
        footer: str = "",
        labels: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a board.

        Args:
            monitor: What is shown.
            title: A line above the table.
            footer: A line below it.
            labels: Names of executions by id, shown instead of their tasks.
            now: The time in seconds, by which a silence of the service is measured.
        """
        self.title = title
        self.footer = footer
        self._monitor = monitor
        self._labels = labels
        self._hindrance = Hindrance(monitor, now=now)
        self._since: dict[str, tuple[datetime, bool]] = {}
        self._recent: deque[Text] = deque(maxlen=RECENT)
        self._terminal = Lifecycle.default().terminal

    def take(self, event: Event) -> None:
        """Take in an event: it is shown among the last ones."""
        style = ""
        if isinstance(event, Transitioned):
            self._since[event.execution_id] = (event.before, event.after is not None)
            style = STYLES.get(event.dest, "")
        elif isinstance(event, AnomalyDetected):
            style = ANOMALY_STYLES[event.severity]
        elif isinstance(event, AnomalyCleared | ResultsReady):
            style = "green"
        self.say(f"{self._name(event.execution_id)}  {wording.story(event)}", style=style, at=event.at)

    def say(self, text: str, *, style: str = "", at: datetime | None = None) -> None:
        """Show a line among the last events; it may come from any thread."""
        when = wording.clock_time(at or datetime.now(UTC))
        self._recent.append(Text(f"{when} {shorten(text, 400)}", style=style, no_wrap=True, overflow="ellipsis"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = console.size.height
        executions = self._monitor.executions()
        recent = tuple(self._recent)
        lines = min(RECENT, max(3, height - len(executions) - OTHER_LINES))
        room = max(3, height - lines - OTHER_LINES)
        rows, hidden = self._choose(executions, room)
        parts: list[RenderableType] = []
        if self.title:
            parts.append(Text(self.title, style="bold", no_wrap=True, overflow="ellipsis"))
        parts.append(self._table(rows, options.max_width))
        if hidden:
            told = f"… and {self._counts(hidden)}"
            parts.append(Text(told, style="dim", no_wrap=True, overflow="ellipsis"))
        parts.append(self._status(executions))
        parts.extend(recent[-lines:])
        self._prune(executions)
        yield Group(*parts)

    def _choose(self, executions: Sequence[Execution], room: int) -> tuple[Sequence[Execution], Sequence[Execution]]:
        """Return which executions have room and which have not; rows keep their places while all have."""
        ordered = sorted(executions, key=_age_key)
        if len(ordered) > room:
            ordered.sort(key=lambda one: (self._is_over(one), not self._monitor.anomalies(one.id)))
            return ordered[: room - 1], ordered[room - 1 :]
        return ordered, ()

    def _table(self, executions: Sequence[Execution], width: int) -> Table:
        wide = width >= WIDE
        with_task = self._labels is not None or width >= NARROW
        table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="dim")
        table.add_column("execution", no_wrap=True, max_width=36 if wide and self._labels is None else 12)
        if with_task:
            table.add_column("task" if self._labels is None else "story", no_wrap=True, max_width=24 if wide else 23)
        table.add_column("status", no_wrap=True, min_width=13)
        table.add_column("for", no_wrap=True, justify="right", min_width=5)
        table.add_column("progress", no_wrap=True, overflow="ellipsis", max_width=22 if wide else 15)
        table.add_column("anomalies", no_wrap=True, overflow="ellipsis", ratio=1)
        now = datetime.now(UTC)
        for one in executions:
            task = self._labels.get(one.id, "") if self._labels is not None else wording.short_id(one.task_id or "")
            done = self._is_over(one)
            table.add_row(
                _text(one.id if wide and self._labels is None else wording.short_id(one.id)),
                *([_text(task)] if with_task else []),
                _status(self._shown(one)),
                self._age(one, now),
                _text("" if done else wording.progress(one, with_phase=wide or self._labels is None)),
                self._anomalies(one.id),
                style="dim" if done else "",
            )
        return table

    def _shown(self, execution: Execution) -> str:
        """Return the status to show: the last one of an execution that is gone is no longer true."""
        return VANISHED if AnomalyKind.VANISHED in self._monitor.anomalies(execution.id) else execution.status

    def _is_over(self, execution: Execution) -> bool:
        return execution.status in self._terminal or self._shown(execution) == VANISHED

    def _age(self, execution: Execution, now: datetime) -> Text:
        known = self._since.get(execution.id)
        if known is None or self._shown(execution) == VANISHED:
            return Text("")
        since, is_exact = known
        return Text(("" if is_exact else "≥") + wording.duration((now - since).total_seconds()))

    def _anomalies(self, execution_id: str) -> Text:
        shown = Text(no_wrap=True, overflow="ellipsis")
        for kind in self._monitor.anomalies(execution_id):
            shown.append(f"⚠ {kind} ", style=ANOMALY_STYLES[RULES[kind].severity])
        return shown

    def _status(self, executions: Sequence[Execution]) -> Text:
        budget = self._monitor.service.budget
        shown = Text(no_wrap=True, overflow="ellipsis", style="dim")
        limit = (
            "no request limit" if budget.limit is None else f"{self._monitor.remaining} of {budget.limit} requests left"
        )
        shown.append(limit)
        if self._monitor.is_blind:
            shown.append(" · ⚠ blind: nothing is seen", style="bold red")
        elif remark := self._hindrance.remark():
            shown.append(f" · ⚠ {remark}", style="bold yellow")
        if self.footer:  # before the counts, which may have no room: how to leave must be seen
            shown.append(f" · {self.footer}")
        is_answered = self._monitor.service.statistics.answers["2xx"] > 0
        nothing = "none is live: what had finished before is not shown" if is_answered else "nothing seen yet"
        shown.append(f" · {self._counts(executions) or nothing}")
        return shown

    def _counts(self, executions: Sequence[Execution]) -> str:
        order = (*STYLES, VANISHED)
        shown = [self._shown(one) for one in executions]
        shown.sort(key=lambda one: order.index(one) if one in order else -1)
        return wording.counted(_word(status) for status in shown)

    def _name(self, execution_id: str) -> str:
        if not execution_id:
            return "monitor"
        label = (self._labels or {}).get(execution_id)
        return label if label is not None else wording.short_id(execution_id)

    def _prune(self, executions: Sequence[Execution]) -> None:
        if len(self._since) > 2 * len(executions) + 1000:
            kept = {one.id for one in executions}
            self._since = {name: since for name, since in self._since.items() if name in kept}


def _age_key(execution: Execution) -> tuple[float, str]:
    created = execution.created_at
    return (0.0 if created is None else created.timestamp(), execution.id)


def _text(text: str) -> Text:
    return Text(shorten(text, 80), no_wrap=True, overflow="ellipsis")


def _word(status: str) -> str:
    return WORDS.get(status, shorten(status, 20))


def _status(status: str) -> Text:
    return Text(f"{wording.GLYPHS.get(status, '?')} {_word(status)}", style=STYLES.get(status, "bold yellow"))
