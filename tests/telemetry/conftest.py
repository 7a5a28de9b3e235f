"""What the tests of telemetry share: an SDK in memory, an embedded service, and a clock moved by hand."""

from __future__ import annotations

import pytest
from exported import Exported
from tokens import TOKEN

from titan_state import Monitor, RequestBudget
from titan_state.emulator import TaskServiceEmulator
from titan_state.telemetry import safety
from titan_state.testing import ManualClock


@pytest.fixture
def exported():
    """An SDK whose metrics and spans stay in memory."""
    sdk = Exported()
    yield sdk
    sdk.close()


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    """Have what cannot be measured logged again in each test."""
    monkeypatch.setattr(safety, "_told", set())


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def service(clock):
    """An embedded service without executions, faults or a rate limit, on the clock that is moved by hand."""
    async with TaskServiceEmulator(clock=clock, per_minute=None, token=TOKEN) as emulator:
        yield emulator


@pytest.fixture
def measured(service, clock, exported):
    """Make monitors of that service that are measured."""

    def make(telemetry=None, **options):
        telemetry = telemetry or exported.telemetry()
        options = {"budget": RequestBudget(per_minute=1200), "drain_s": 0.0, **options}
        return Monitor(service.url, service.token, clock=clock, telemetry=telemetry, **options)

    return make
