"""`titan-state list`: the executions of all tasks or of one, as the service lists them."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from titan_state.cli import wording
from titan_state.cli.exits import Exit
from titan_state.cli.output import emit, emit_json, remark
from titan_state.errors import shorten

if TYPE_CHECKING:
    from titan_state.cli.connection import Connection
    from titan_state.core.execution import Execution

PAGES = 20
"""How many pages a search by status looks at: it must not spend the account's requests of a minute."""


async def list_executions(
    connection: Connection, *, task: str | None, status: str | None, limit: int, as_json: bool
) -> int:
    """Write the executions, newest first as far as the service sends them so."""
    found, looked_at, is_all = await _find(connection, task, status, limit)
    if as_json:
        for one in found:
            emit_json(one.to_dict())
    elif found:
        _write(found, with_task=task is None)
    else:
        remark("there are no such executions" if is_all else f"none among the {looked_at} looked at")
    if not is_all and not as_json:
        remark(f"looked at {looked_at} executions, there are more (--limit)")
    return Exit.OK


async def _find(
    connection: Connection, task: str | None, status: str | None, limit: int
) -> tuple[list[Execution], int, bool]:
    """Return what was found, how many were looked at, and whether those were all."""
    found: dict[str, Execution] = {}
    offset = 0
    async with connection.monitor() as monitor:
        size = monitor.service.profile.page_limit
        for _ in range(PAGES):
            wanted = min(size, limit - len(found)) if status is None else size
            page = (await monitor.service.list(task_id=task, limit=wanted, offset=offset)).value
            offset += page.count
            for one in page.items:  # pages shift while new ones arrive, so one may come twice
                if status is None or one.status == status:
                    found[one.id] = one
            is_all = page.count == 0 or (offset >= page.total if page.total is not None else page.count < wanted)
            if is_all or len(found) >= limit:
                rest = is_all and len(found) <= limit
                return list(found.values())[:limit], offset, rest
    return list(found.values()), offset, False


def _write(executions: list[Execution], *, with_task: bool) -> None:
    # cut to the screen for people only: what is read by programs stays whole
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    now = datetime.now(UTC)
    rows = [("execution", "status", "age", "progress", *(("task",) if with_task else ()), "error")]
    for one in executions:
        age = "" if one.created_at is None else wording.duration((now - one.created_at).total_seconds())
        task = (wording.short_id(one.task_id or "") if width else one.task_id or "-",) if with_task else ()
        rows.append((one.id, one.status, age, wording.progress(one), *task, one.error or ""))
    rows = [tuple(shorten(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        emit(shorten(line, width) if width else line)
