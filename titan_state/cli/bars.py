"""Bars: shows on a terminal's stderr how far files have come. Nothing of it stays, and stdout is left alone.

It neither loads nor writes files.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from rich.live import Live
    from rich.progress import Progress

TICK_S: Final = 0.1
NAME_WIDTH: Final = 32
BAR_WIDTH: Final = 14

Moved = Callable[[int, int | None], None]
"""Told of the bytes that have come, and how many there are in all."""


class Bars:
    """Shows nothing: stderr is no terminal, or a program reads."""

    @contextmanager
    def file(self, name: str) -> Iterator[Moved | None]:
        """Show a file from its first byte on, until the context ends."""
        yield None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let a line be written in between."""
        yield


class LiveBars(Bars):
    """Shows a bar for each file."""

    def __init__(self, progress: Progress, live: Live) -> None:
        self._progress = progress
        self._live = live

    @contextmanager
    def file(self, name: str) -> Iterator[Moved | None]:
        """Show a file from its first byte on, until the context ends."""
        task = self._progress.add_task(shorten(name), total=None, visible=False)

        def moved(size: int, total: int | None) -> None:
            self._progress.update(task, completed=size, total=total, visible=True)

        try:
            yield moved
        finally:
            self._progress.remove_task(task)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let a line be written in between."""
        self._live.stop()
        yield
        self._live.start()


@asynccontextmanager
async def bars(told: Callable[[], str], *, are_wanted: bool) -> AsyncIterator[Bars]:
    """Show how far files have come, if stderr is a terminal that can be drawn on.

    Args:
        told: Says what is being done on the whole; it is shown below the bars.
        are_wanted: Whether anything is to be shown at all.
    """
    if not (are_wanted and sys.stderr.isatty()):
        yield Bars()
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    from rich.table import Column
    from rich.text import Text

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        yield Bars()
        return
    named = Column(no_wrap=True, overflow="ellipsis", max_width=NAME_WIDTH)
    progress = Progress(
        TextColumn("{task.description}", markup=False, table_column=named),
        BarColumn(BAR_WIDTH),
        DownloadColumn(),
        TransferSpeedColumn(),
        auto_refresh=False,
    )

    def drawn() -> Group:
        return Group(progress.get_renderable(), Text(shorten(told()), no_wrap=True, overflow="ellipsis", style="dim"))

    # drawn from the event loop only: rich's own thread would come between the lines
    live = Live(get_renderable=drawn, console=console, auto_refresh=False, transient=True, redirect_stdout=False)

    async def tick() -> None:
        while True:
            live.refresh()
            await asyncio.sleep(TICK_S)

    with live:
        ticking = asyncio.ensure_future(tick())
        try:
            yield LiveBars(progress, live)
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
