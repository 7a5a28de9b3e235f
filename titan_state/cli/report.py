"""`titan-state report` and `diagram`: pages and pictures as files. Nothing is asked of the service.

What they look like is the drawing's business; a file is put in its place once it is whole.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from titan_state import wording
from titan_state.cli.exits import Exit
from titan_state.cli.journal import opened, whole_id
from titan_state.cli.named import require_ids
from titan_state.cli.output import emit, remark
from titan_state.client.loading.files import Target
from titan_state.core.lifecycle import Lifecycle
from titan_state.core.timeline import Timeline
from titan_state.core.tracking.state import FIELDS
from titan_state.drawing.dot import model_dot
from titan_state.drawing.model import model_svg
from titan_state.drawing.report import Chapter, Imprint, report_page
from titan_state.errors import ConfigurationError, OutputExistsError, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from titan_state.journal.base import Journal

STDOUT: Final = "-"
"""The name that means standard output."""

_ID, _TASK = FIELDS.index("id"), FIELDS.index("task_id")
_DRAWN: Final = {
    "mermaid": Lifecycle.diagram,
    "svg": lambda lifecycle: model_svg(lifecycle, standalone=True, with_counts=False),
    "dot": model_dot,
}


@attrs.frozen(kw_only=True)
class Wish:
    """What a report is to be about.

    Attributes:
        ids: Executions.
        tasks: Tasks of which all executions are meant.
        account: Whose executions these are, None if nobody said.
    """

    ids: Sequence[str] = ()
    tasks: Sequence[str] = ()
    account: str | None = None


async def report(where: str | Path, wish: Wish, *, output: str, force: bool) -> int:
    """Write a report of executions, as far as the journal knows them.

    Args:
        where: The journal.
        wish: Which executions.
        output: The file, or `-` for standard output.
        force: Whether a file that is there is replaced.

    Returns:
        The exit code: that of what was not found only if nothing else is left.

    Raises:
        ConfigurationError: No execution is named, or what is named is no id; there is no journal; or the file can be
            nowhere there.
    """
    if not wish.ids and not wish.tasks:
        raise ConfigurationError("say which executions: their ids, or --task TASK for all those of a task")
    require_ids(wish.ids, wish.tasks)
    target = None if output == STDOUT else _target(output, "report.html", force=force)
    if output != STDOUT and target is None:
        return Exit.ERROR
    made = datetime.now(UTC)
    async with opened(where) as journal:
        chapters, unknown = await _chapters(journal, wish, made)
        name = journal.name
    if unknown:
        remark(f"the journal {name} has nothing of {_some(unknown)}")
    if not chapters:
        if not unknown:
            remark(f"the journal {name} has no execution of task {_some(wish.tasks)}")
        return Exit.NOT_FOUND
    imprint = Imprint(
        made=made, journal=name, account=wish.account, subject=_subject(wish, len(chapters)), unknown=len(unknown)
    )
    if not await _put(report_page(chapters, imprint), target):
        return Exit.ERROR
    if target is not None:
        odd = sum(bool(one.opened) for one in chapters)
        told = f"{_counted(len(chapters))}: {wording.counted(sorted(one.status for one in chapters))}"
        emit(f"{target.path}  {told}" + (f"; {odd} with open anomalies" if odd else ""))
    return Exit.OK


async def diagram(form: str, *, output: str, force: bool) -> int:
    """Write the model as a diagram.

    Args:
        form: `mermaid`, `svg` or `dot`.
        output: The file, or `-` for standard output.
        force: Whether a file that is there is replaced.
    """
    target = None if output == STDOUT else _target(output, f"lifecycle.{form}", force=force)
    if output != STDOUT and target is None:
        return Exit.ERROR
    return Exit.OK if await _put(_DRAWN[form](Lifecycle.default()), target) else Exit.ERROR


async def _chapters(journal: Journal, wish: Wish, now: datetime) -> tuple[list[Chapter], list[str]]:
    """Return what is told of each execution, and the ids of those of which the journal has no events."""
    tasks = {*wish.tasks}
    found = [row[_ID] for row in await journal.records() if row[_ID] and row[_TASK] in tasks] if tasks else []
    terminal = Lifecycle.default().terminal
    chapters, unknown = [], []
    named = [await whole_id(journal, name) for name in wish.ids]
    for name in dict.fromkeys([*named, *found]):
        events = await journal.history(name)
        if events:
            chapters.append(Chapter(timeline=Timeline.of(events, now=now, terminal=terminal), events=events))
        else:
            unknown.append(name)
    return chapters, unknown


def _target(output: str, name: str, *, force: bool) -> Target | None:
    try:
        return Target(output, name=name, if_exists="overwrite" if force else "error")
    except OutputExistsError as error:
        _refuse(error)
        return None


def _refuse(error: OutputExistsError) -> None:
    remark(f"error: {shorten(error.path)} is there already: --force replaces it")


async def _put(text: str, target: Target | None) -> bool:
    """Write text to a file, or to standard output; return False if somebody else has put a file there meanwhile."""
    content = text.encode()
    if target is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return True
    try:
        async with target:
            await target.write(content)
            await target.finish()
    except OutputExistsError as error:
        _refuse(error)
        return False
    return True


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(shorten(name, 80) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _subject(wish: Wish, count: int) -> str:
    told = _counted(count)
    if wish.tasks:
        told += f" of task {_some(wish.tasks)}"
    if wish.tasks and wish.ids:
        told += f" or among {len(wish.ids)} named ones"
    return told


def _counted(count: int) -> str:
    return f"{count} execution{'s' * (count != 1)}"
