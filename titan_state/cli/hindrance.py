"""Hindrance: why nothing happens just now, in words: a journal that is away, no answers, a spent request limit.

It looks at a monitor; it neither waits nor writes.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Final

from titan_state import wording
from titan_state.cli.output import remark
from titan_state.client.silence import Silence
from titan_state.clock import SystemClock
from titan_state.core.budget import Priority
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from titan_state.monitor.monitor import Monitor

LONG_S: Final = 5.0
"""From how many seconds on a wait for the request limit is worth a remark."""

SOUGHT_S: Final = 2.0
"""For how many seconds an execution may be unknown before that is worth a remark."""

LOOK_S: Final = 1.0
"""How often it is looked for, where there is no screen that is drawn anew."""

ADVICE: Final = {"silence": "; it is tried again: check the connection, and the URL (TITAN_API_URL)"}


class Hindrance:
    """What keeps a monitor from seeing anything new."""

    def __init__(self, monitor: Monitor, *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin to look.

        Args:
            monitor: The monitor.
            now: The time in seconds, by which a silence of the service is measured.
        """
        self._monitor = monitor
        self._clock = SystemClock()  # a command's monitor has the machine's own time
        self._silence = Silence(monitor.service.statistics, now=now)

    def told(self) -> tuple[str, str]:
        """Return what there is to say, and what kind of hindrance it is; two empty texts where there is none."""
        monitor = self._monitor
        trouble = monitor.journal.trouble
        silence = self._silence.remark()  # it has to be asked each time: it compares counts
        if trouble is not None:
            return f"the journal: {trouble}", "journal"
        if silence:
            return silence, "silence"
        now = self._clock.time()
        delay_s = monitor.service.budget.ready_at(now, Priority.POLL) - now
        if delay_s >= LONG_S and isfinite(delay_s):
            until = wording.clock_time(datetime.now(UTC) + timedelta(seconds=delay_s))
            return f"the request limit is reached: the next read is at {until}", "limit"
        return "", ""

    def remark(self) -> str:
        """Return what there is to say, empty where there is nothing."""
        return self.told()[0]


@asynccontextmanager
async def said(monitor: Monitor) -> AsyncIterator[None]:
    """Write a remark whenever something new keeps a monitor from seeing anything: for where no screen shows it."""

    async def look() -> None:
        hindrance, before = Hindrance(monitor), ""
        while True:
            await asyncio.sleep(LOOK_S)
            text, kind = hindrance.told()
            if kind and kind != before:
                remark(f"waiting: {text}" + ADVICE.get(kind, ""))
            before = kind

    looking = asyncio.ensure_future(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


@asynccontextmanager
async def sought(monitor: Monitor, execution_id: str) -> AsyncIterator[None]:
    """Write a remark if an execution is not found at once: a 404 is not believed before it has lasted."""

    async def look() -> None:
        await asyncio.sleep(SOUGHT_S)
        statistics = monitor.service.statistics
        is_refused = statistics.answers["4xx"] > statistics.throttled  # 429 says nothing of the execution
        if is_refused and not any(one.id == execution_id for one in monitor.executions()):
            remark(f"{shorten(execution_id)}: the service does not know it so far; it is looked for, it may be new")

    looking = asyncio.ensure_future(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
