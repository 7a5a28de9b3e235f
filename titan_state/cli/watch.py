"""`titan-state watch`: show what executions do, until those named by id have finished or the user leaves."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

from titan_state.cli.exits import Exit, worst
from titan_state.cli.follow import follow
from titan_state.cli.hindrance import said, sought
from titan_state.cli.named import require_ids, require_task
from titan_state.cli.output import emit_json, remark
from titan_state.cli.plan import Explainer
from titan_state.cli.running import side_by_side
from titan_state.cli.screen import JsonLines, Lines, LiveBoard, is_live_terminal
from titan_state.core.events import Transitioned
from titan_state.errors import ConfigurationError, ExecutionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from titan_state.cli.connection import Connection
    from titan_state.cli.screen import Screen
    from titan_state.cli.watch_export import Exports
    from titan_state.client.output_options import Format
    from titan_state.core.events import Event
    from titan_state.monitor.monitor import Monitor


async def watch(
    connection: Connection,
    ids: Sequence[str],
    *,
    tasks: Sequence[str],
    everything: bool,
    forever: bool,
    as_json: bool,
    explains: bool = False,
    export: tuple[str, Format] | None = None,
) -> int:
    """Watch executions by id, by task, or all; say why each request is sent if that is asked for.

    With `export`, a directory and a format, what succeeds is exported.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: There is nothing to watch, or something that is no id.
        NotFoundError: The service does not know one of the tasks.
    """
    ids = tuple(dict.fromkeys(ids))
    if not (ids or tasks or everything):
        raise ConfigurationError("nothing to watch: name executions by id, or give --task or --all")
    require_ids(ids, tasks)
    async with AsyncExitStack() as stack:
        monitor = await stack.enter_async_context(connection.monitoring())
        if as_json or not is_live_terminal():
            await stack.enter_async_context(said(monitor))
        stream = monitor.events()
        exports = None if export is None else _exports(monitor, ids, *export)
        for task in tasks:
            await require_task(monitor, task)
            monitor.watch_task(task)
        if everything:
            monitor.watch_all()
        ends_by_itself = not (forever or tasks or everything)
        ends = asyncio.ensure_future(_ends(monitor, ids, exports))
        until = ends if ends_by_itself else None
        footer = _footer(ends_by_itself=ends_by_itself, exports=exports is not None)
        try:
            with _screen(monitor, as_json=as_json, footer=footer) as screen:
                for known in await _known(monitor, ids):
                    screen.show(known)
                if exports is not None:
                    exports.begin(
                        lambda exported: emit_json(exported.to_dict()) if as_json else screen.say(str(exported))
                    )
                explainer = Explainer(monitor)
                async with aclosing(follow(stream, until=until, every_s=screen.every_s)) as events:
                    async for event in events:
                        for line in explainer.lines() if explains else ():
                            screen.say(line, style="dim")
                        if event is None:
                            screen.tick()
                            continue
                        if exports is not None:
                            exports.take(event)
                        screen.show(event)
                screen.tick()
            return Exit.OK if until is None else until.result()
        finally:
            ends.cancel()
            await asyncio.gather(ends, return_exceptions=True)


async def _known(monitor: Monitor, ids: Sequence[str]) -> list[Event]:
    """Return the last move of each execution that an earlier run has written down: what is told now goes on from it."""
    found: list[Event] = []
    for name in ids:
        moves = [event for event in await monitor.journal.history(name) if isinstance(event, Transitioned)]
        found += moves[-1:]
    return found


def _exports(monitor: Monitor, ids: Sequence[str], directory: str, form: Format) -> Exports:
    from titan_state.cli.watch_export import Exports

    exports = Exports(monitor, directory, form)
    exports.expect(ids)
    return exports


async def _ends(monitor: Monitor, ids: Sequence[str], exports: Exports | None) -> Exit:
    """Return once executions have finished, and are exported if that is wanted."""
    codes = await side_by_side(_end(monitor, name, exports) for name in ids)
    if exports is not None:
        codes += await exports.verdict()
    return worst(codes)


async def _end(monitor: Monitor, execution_id: str, exports: Exports | None) -> Exit:
    """Return once an execution has finished, and is exported if that is wanted; say so if there is none."""
    try:
        async with sought(monitor, execution_id):
            execution = await monitor.wait(execution_id, check=False)
    except ExecutionNotFoundError as error:
        remark(str(error))
        return Exit.NOT_FOUND
    if exports is not None:
        await exports.settle(execution_id, execution.status)
    return Exit.OK


def _footer(*, ends_by_itself: bool, exports: bool) -> str:
    if not ends_by_itself:
        return "Ctrl-C ends"
    return f"ends when all {'are exported' if exports else 'have finished'}, or with Ctrl-C"


def _screen(monitor: Monitor, *, as_json: bool, footer: str) -> Screen:
    if as_json:
        return JsonLines()
    if not is_live_terminal():
        return Lines()
    from titan_state.cli.board import Board

    return LiveBoard(Board(monitor, footer=footer))
