"""`titan-state list`: the executions of all tasks or of one, as the service lists them."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

import attrs

from titan_state import wording
from titan_state.cli.exits import Exit
from titan_state.cli.output import emit, emit_json, remark
from titan_state.cli.spinner import shown
from titan_state.client.profile import ServiceProfile
from titan_state.core.lifecycle import Lifecycle
from titan_state.errors import shorten
from titan_state.monitor.local import LocalMonitor

if TYPE_CHECKING:
    from titan_state.cli.connection import Connection
    from titan_state.client.readings import Page
    from titan_state.core.execution import Execution
    from titan_state.monitor.monitor import Monitor

PAGES = 20
"""How many pages a search by status looks at: it must not spend the account's requests of a minute."""

GAP = "  "
ROOM = 12
"""How many characters of an error are worth a column on a screen."""

LEAST = 2
"""The execution and its status are shown on any screen."""


@attrs.define
class Search:
    """A look through the service's list.

    Attributes:
        task: Only executions of this task, None for all.
        status: Only executions in this status, None for any.
        limit: How many to find at most.
        found: What was found, by id.
        looked_at: How many executions were looked at.
        is_all: Whether nothing is left to be found, None if the service did not tell.
    """

    task: str | None
    status: str | None
    limit: int
    found: dict[str, Execution] = attrs.field(factory=dict)
    looked_at: int = 0
    is_all: bool | None = None

    async def run(self, monitor: Monitor | LocalMonitor) -> list[Execution]:
        """Look through page after page, and return what was found."""
        size = ServiceProfile().page_limit
        seen: set[str] = set()
        for _ in range(PAGES):
            wanted = size if self.status is not None else min(size, self.limit - len(self.found))
            page = await _page(monitor, self.task, wanted, self.looked_at)
            self.looked_at += page.count
            for one in page.items:  # pages shift while new ones arrive, so one may come twice
                if self.status is None or one.status == self.status:
                    self.found[one.id] = one
            ids = {one.id for one in page.items}
            is_last = True if page.is_last is None and ids <= seen else page.is_last
            seen |= ids
            self.is_all = is_last and len(self.found) <= self.limit
            if is_last or len(self.found) >= self.limit:
                break
        return list(self.found.values())[: self.limit]

    def told(self) -> str:
        """Return how far it has come."""
        return f"looked at {self.looked_at} executions, found {len(self.found)}"


async def list_executions(
    connection: Connection, *, task: str | None, status: str | None, limit: int, as_json: bool
) -> int:
    """Write the executions, newest first as far as the service sends them so."""
    search = Search(task, status, limit)
    async with connection.controlling(alone_with_journal=False) as monitor:
        found = await shown(search.run(monitor), search.told)
    if as_json:
        for one in found:
            emit_json(one.to_dict())
    elif found:
        _write(found, with_task=task is None)
    else:
        remark("there are no such executions" if search.is_all else f"none among the {search.looked_at} looked at")
    if status is not None and not Lifecycle.default().knows(status):
        remark(_unknown(status))
    if not search.is_all:  # for programs too: what was cut looks complete
        advice = " (--limit)" if len(found) == limit else ""
        are = "are" if search.is_all is False else "may be"
        count = f"{search.looked_at} execution{'s' * (search.looked_at != 1)}"
        remark(f"looked at {count}, there {are} more{advice}")
    return Exit.OK


def _unknown(status: str) -> str:
    """Return what to say of a status that the model does not have: a deployment may have it all the same."""
    statuses = Lifecycle.default().statuses
    near = get_close_matches(status.lower(), statuses, 1)
    meant = f": did you mean {near[0]}? Known are" if near else "; known are"
    return f"warning: no status {shorten(repr(status), 80)} is known{meant} {', '.join(statuses)}"


async def _page(monitor: Monitor | LocalMonitor, task: str | None, limit: int, offset: int) -> Page:
    if isinstance(monitor, LocalMonitor):
        return await monitor.list(task_id=task, limit=limit, offset=offset)
    return (await monitor.service.list(task_id=task, limit=limit, offset=offset)).value


def _write(executions: list[Execution], *, with_task: bool) -> None:
    # cut to the screen for people only: what is read by programs stays whole
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    now = datetime.now(UTC)
    rows = [("execution", "status", "age", "progress", *(("task",) if with_task else ()), "error")]
    for one in executions:
        age = "" if one.created_at is None else wording.duration((now - one.created_at).total_seconds())
        task = (wording.short_id(one.task_id or "") if width else one.task_id or "-",) if with_task else ()
        rows.append((one.id, one.status, age, wording.progress(one), *task, one.error or ""))
    columns = list(zip(*(tuple(shorten(cell) for cell in row) for row in rows), strict=True))
    for row in zip(*(_padded(column) for column in (_fitting(columns, width) if width else columns)), strict=True):
        line = GAP.join(row).rstrip()
        emit(shorten(line, width) if width else line)


def _fitting(columns: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Return the columns that a screen has room for: errors, where there are any, count more than tasks."""
    *others, errors = columns
    if not any(errors[1:]):
        return others
    while len(others) > LEAST and width - sum(len(_padded(one)[0]) + len(GAP) for one in others) < ROOM:
        others.pop()
    return [*others, errors]


def _padded(column: tuple[str, ...]) -> list[str]:
    size = max(len(cell) for cell in column)
    return [cell.ljust(size) for cell in column]
