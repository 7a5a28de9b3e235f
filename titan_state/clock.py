"""Time, as something that is handed in: durations from a monotonic clock, dates from the wall, and sleeping.

The core never sees a clock; it is given times. Tests hand in `titan_state.testing.ManualClock`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


def _seconds() -> Callable[[], float]:
    """Return what reads the clock that never goes back; where there is one, one that goes on while the machine sleeps.

    What was to last for a while is over after that.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return time.monotonic


class Clock(Protocol):
    """What the shells need of time."""

    def time(self) -> float:
        """Return seconds of a clock that never goes back; its zero means nothing."""
        ...

    def now(self) -> datetime:
        """Return the wall's time, aware, in UTC; for people only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once, but not before other tasks had their turn, if that is 0 or less."""
        ...


class SystemClock:
    """The machine's own time."""

    def __init__(self) -> None:
        self._read = _seconds()

    def time(self) -> float:
        """Return seconds of the machine's clock that never goes back."""
        return self._read()

    def now(self) -> datetime:
        """Return the machine's wall time."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))


def seconds_of(value: float | timedelta | None) -> float | None:
    """Return a duration in seconds, None for as long as it takes."""
    return value.total_seconds() if isinstance(value, timedelta) else value


async def within(clock: Clock, seconds: float | None, work: Awaitable[T]) -> T:
    """Await `work` for at most `seconds` of `clock`.

    Args:
        clock: The clock that counts.
        seconds: The most it may take, None for as long as it takes.
        work: What to await; it is cancelled when the time is up.

    Returns:
        The result of `work`.

    Raises:
        TimeoutError: The time was up.
    """
    if seconds is None:
        return await work
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        for future in (task, alarm):
            if not future.done():
                future.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)
