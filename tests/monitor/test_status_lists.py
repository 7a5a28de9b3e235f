"""Over HTTP: lists of one status, where the service honours them."""

from __future__ import annotations

import pytest

from titan_state import Monitor, RequestBudget, ServiceProfile
from titan_state.emulator import Plan, Scenario, Step, TaskServiceEmulator

COUNT = 600


def plan(number):
    """Return one of many executions, of which one in ten runs for long."""
    end_s = 100_000.0 if number % 10 == 0 else 0.0
    return Plan(id=f"e{number:03}", steps=(Step("running", 0.0), Step("completed", end_s)))


def asked(service):
    """Return for how many lists of one status the service was asked."""
    return sum(1 for request in service.requests if "status" in request.query)


@pytest.mark.parametrize("honours", [True, False])
async def test_what_runs_is_read_on_its_own_list(clock, until, honours):
    """Six pages become one where the status is honoured; else one request finds out. Ends are told either way."""
    scenario = Scenario([plan(number) for number in range(COUNT)])
    options = {"status_filter": honours, "max_limit": 100, "per_minute": None, "keep_requests": 10_000}
    ended = []
    async with TaskServiceEmulator(scenario, clock=clock, **options) as service:
        await clock.advance(10)
        monitor = Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=600))

        @monitor.on_completed
        async def note(event):
            ended.append(event.execution_id)

        async with monitor:
            monitor.watch_all()
            await until(lambda: len(monitor.executions()) == COUNT // 10, seconds=60)
            await until(lambda: asked(service), seconds=180, step=1.0)
            await clock.advance(20)
            for number in (0, 300, 590):
                service.move(f"e{number:03}", "completed")
            await until(lambda: len(ended) == 3, seconds=60)
            await clock.advance(60)
            assert not monitor.anomalies()
    assert sorted(ended) == ["e000", "e300", "e590"]
    assert asked(service) > 20 if honours else asked(service) == 1


async def test_it_can_be_left_alone(clock, until):
    """A profile without a parameter for it never asks."""
    scenario = Scenario([plan(number) for number in range(COUNT)])
    options = {"status_filter": True, "max_limit": 100, "per_minute": None, "keep_requests": 10_000}
    async with TaskServiceEmulator(scenario, clock=clock, **options) as service:
        await clock.advance(10)
        budget, profile = RequestBudget(per_minute=600), ServiceProfile(status_parameter="")
        async with Monitor(service.url, service.token, clock=clock, budget=budget, profile=profile) as monitor:
            monitor.watch_all()
            await until(lambda: len(monitor.executions()) == COUNT // 10, seconds=60)
            await clock.advance(180)
    assert asked(service) == 0
