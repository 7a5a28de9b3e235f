"""How tests of the monitor let something run to its end: the clock is moved meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from titan_state.emulator import TaskServiceEmulator
from titan_state.testing import ManualClock

T = TypeVar("T")


async def spent(clock: ManualClock, work: Awaitable[T], *, seconds: float = 120.0) -> T:
    """Run something to its end while the clock is moved, and return its result."""
    task = asyncio.ensure_future(work)
    for _ in range(int(seconds * 4)):
        await clock.advance(0.25)
        if task.done():
            break
    return await asyncio.wait_for(task, 10)


async def true(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Return when a condition holds that threads or processes bring about: no clock moves them."""
    for _ in range(int(seconds * 200)):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it never came true")


def posts(service: TaskServiceEmulator) -> list[str]:
    """Return the paths of the requests that asked for something to be done."""
    return [request.path for request in service.requests if request.method == "POST"]
