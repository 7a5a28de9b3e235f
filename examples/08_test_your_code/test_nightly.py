"""Tests of nightly.py: against the embedded service, over HTTP, with minutes that pass in a moment."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from nightly import Night, nightly

from titan_state import Monitor
from titan_state.emulator import Faults, Plan, Scenario, Step, Task, TaskServiceEmulator, When
from titan_state.testing import ManualClock

Service = Callable[..., TaskServiceEmulator]


async def passing(clock: ManualClock, work: Coroutine[Any, Any, Night]) -> Night:
    """Let time pass, a second at once, until the work is done."""
    task = asyncio.create_task(work)
    while not task.done():
        await clock.advance(1)
    return await task


def one_task(*steps: Step) -> Scenario:
    """Return a service with one task, whose executions take these steps."""
    return Scenario(tasks=[Task(id="prices", template=Plan(steps=steps, rows=2, results_after_s=20))])


async def test_a_success_is_saved(titan_service: Service, tmp_path: Path) -> None:
    """Its rows are in the file, although results come later than the end."""
    clock, scenario = ManualClock(), one_task(Step("running", 5), Step("completed", 90))
    async with (
        titan_service(scenario, clock=clock) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        night = await passing(clock, nightly(monitor, "prices", tmp_path))
    assert night.problem is None
    assert night.file is not None
    assert len(json.loads(night.file.read_bytes())) == 2


async def test_a_failure_is_told(titan_service: Service, tmp_path: Path) -> None:
    """It is told in the service's words, and leaves no file; answers that fail on the way do not matter."""
    clock, scenario = ManualClock(), one_task(Step("running", 5), Step("failed", 60))
    async with (
        titan_service(scenario, clock=clock, faults=Faults(server_error=When(every=4, only="GET"))) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        night = await passing(clock, nightly(monitor, "prices", tmp_path))
    assert night.problem == "the target site refused the connection"
    assert list(tmp_path.iterdir()) == []


async def test_what_takes_too_long_is_stopped(titan_service: Service, tmp_path: Path) -> None:
    """After the limit the execution is cancelled on the platform, not only waited for no longer."""
    clock, scenario = ManualClock(), one_task(Step("running", 5))
    async with (
        titan_service(scenario, clock=clock) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        night = await passing(clock, nightly(monitor, "prices", tmp_path, limit_s=120))
        assert service.executions() == {night.execution_id: "cancelled"}
    assert night.problem == "stopped after 120 s"
