"""Time, as something that is handed in: durations from a monotonic clock, dates from the wall, and sleeping.

The core never sees a clock; it is given times. Tests hand in `titan_state.testing.ManualClock`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


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

    def time(self) -> float:
        """Return seconds of the machine's monotonic clock."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the machine's wall time."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))
