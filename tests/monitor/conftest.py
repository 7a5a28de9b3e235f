"""What the tests of the monitor share: a clock moved by hand, and what it drives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from titan_state import Monitor, RequestBudget
from titan_state.emulator import TaskServiceEmulator
from titan_state.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def service(clock: ManualClock) -> AsyncIterator[TaskServiceEmulator]:
    """An embedded service without executions, faults or a rate limit, on the clock that is moved by hand."""
    async with TaskServiceEmulator(clock=clock, per_minute=None) as emulator:
        yield emulator


@pytest.fixture
def monitor(service: TaskServiceEmulator, clock: ManualClock) -> Monitor:
    """A monitor of that service, not entered yet."""
    return Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=1200))
