"""What the tests of the monitor share: a clock moved by hand, and a way to let it run until something is true."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from titan_state import Monitor, RequestBudget
from titan_state.emulator import TaskServiceEmulator
from titan_state.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def until(clock: ManualClock) -> Callable[..., Awaitable[None]]:
    """Move the clock in small steps until a condition holds; fail after so many of its seconds."""

    async def run(condition: Callable[[], object], *, seconds: float = 120.0, step: float = 0.25) -> None:
        deadline = clock.time() + seconds
        await clock.settle()
        while not condition():
            if clock.time() >= deadline:
                pytest.fail(f"not within {seconds:g} s of the clock")
            await clock.advance(step)

    return run


@pytest.fixture
async def service(clock: ManualClock) -> AsyncIterator[TaskServiceEmulator]:
    """An embedded service without executions, faults or a rate limit, on the clock that is moved by hand."""
    async with TaskServiceEmulator(clock=clock, per_minute=None) as emulator:
        yield emulator


@pytest.fixture
def monitor(service: TaskServiceEmulator, clock: ManualClock) -> Monitor:
    """A monitor of that service, not entered yet."""
    return Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=1200))
