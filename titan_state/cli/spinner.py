"""Spinner: says on a terminal's stderr what is waited for. Nothing of it stays, and stdout is left alone."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")

TICK_S: Final = 0.25
PATIENCE_S: Final = 1.0
"""What is done sooner needs no spinner."""


async def shown(work: Coroutine[Any, Any, T], told: Callable[[], str]) -> T:
    """Do some work, and show on a terminal what is done if it takes longer than a moment.

    Args:
        work: The work; cancelling this cancels it.
        told: Says what is being done.

    Returns:
        What the work returns.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not task.done():
            with spinner(told) as (tick, _):
                while not task.done():
                    await asyncio.wait({task}, timeout=tick())
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def spinner(told: Callable[[], str]) -> Iterator[tuple[Callable[[], float | None], Any]]:
    """Show on a terminal's stderr what is waited for.

    Yields:
        A function that draws it and says how long to wait before the next time, and a context in which it is gone, so
        that a line can be written.
    """
    if not sys.stderr.isatty():
        yield (lambda: None), _nothing
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    wheel = Spinner("dots")
    live = Live(wheel, console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=False)

    def tick() -> float:
        wheel.update(text=Text(shorten(told()), no_wrap=True, overflow="ellipsis"))
        live.refresh()
        return TICK_S

    @contextmanager
    def aside(*, for_good: bool) -> Iterator[None]:
        live.stop()
        yield
        if not for_good:
            live.start()

    with live:
        yield tick, aside


@contextmanager
def _nothing(*, for_good: bool) -> Iterator[None]:
    yield
