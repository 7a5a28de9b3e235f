"""Waiting for executions: one, several, as they finish; errors, time-outs, cancelling."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pace import spent

from titan_state import (
    AnomalyKind,
    ConfigurationError,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionNotFoundError,
    Monitor,
    MonitorClosedError,
    RequestBudget,
    Thresholds,
    WaitTimeoutError,
)
from titan_state.emulator import Faults, Plan, Step, When


def plan(name: str, end: str = "completed", after_s: float = 5.0) -> Plan:
    return Plan(id=name, steps=(Step("running", 1.0), Step(end, after_s)), error="page 3 is gone")


async def test_wait_returns_the_finished_execution(service, monitor, clock):
    """`wait` watches, and returns the last snapshot; waiting again returns at once."""
    service.add(plan("a"))
    async with monitor:
        execution = await spent(clock, monitor.wait("a", timeout=60))
        assert (execution.id, execution.status) == ("a", "completed")
        assert execution.finished_at is not None
        assert (await monitor.wait("a")).status == "completed"


@pytest.mark.parametrize(("end", "error"), [("failed", ExecutionFailedError), ("cancelled", ExecutionCancelledError)])
async def test_an_end_that_is_no_success(service, monitor, clock, end, error):
    """`failed` and `cancelled` raise with the execution; `check=False` returns whatever the end was."""
    service.add(plan("a", end))
    async with monitor:
        with pytest.raises(error) as caught:
            await spent(clock, monitor.wait("a"))
        assert caught.value.execution.status == end
        assert (await monitor.wait("a", check=False)).status == end


async def test_completed_with_errors_is_a_success(service, monitor, clock):
    """`completed_with_errors` returns."""
    service.add(plan("a", "completed_with_errors"))
    async with monitor:
        execution = await spent(clock, monitor.wait("a"))
        assert execution.status == "completed_with_errors"


async def test_the_time_is_up(service, monitor, clock):
    """A time-out names the status, is a TimeoutError too, and stops nothing remote."""
    service.add(plan("a", after_s=1000))
    async with monitor:
        waiting = asyncio.ensure_future(monitor.wait("a", timeout=timedelta(seconds=10)))
        with pytest.raises(WaitTimeoutError, match="running after 10 s") as caught:
            await spent(clock, waiting)
        assert isinstance(caught.value, TimeoutError)
        assert service.executions()["a"] == "running"
        assert all(request.method == "GET" for request in service.requests)


async def test_an_execution_that_does_not_exist(service, monitor, clock):
    """An id that stays unknown beyond the grace is not found, not waited for for ever."""
    async with monitor:
        began = clock.time()
        with pytest.raises(ExecutionNotFoundError, match="does not know"):
            await spent(clock, monitor.wait("nobody"))
        assert 10 <= clock.time() - began <= 20


async def test_an_execution_that_is_unwatched_while_it_is_waited_for(service, monitor, clock):
    """The wait holds a watch of its own, which ends with it."""
    service.add(plan("a", after_s=60))
    async with monitor:
        waiting = asyncio.ensure_future(monitor.wait("a"))
        others = asyncio.ensure_future(monitor.wait(["a", "a"]))
        await clock.advance(5)
        monitor.unwatch("a")
        monitor.unwatch()
        assert (await spent(clock, waiting)).status == "completed"
        assert len(await spent(clock, others)) == 2
        await clock.advance(5)
        asked = len(service.requests)
        await clock.advance(600)
        assert len(service.requests) == asked
        assert monitor.executions() == ()


async def test_one_that_finished_long_ago_is_read_again(service, clock):
    """Only its id is remembered: a service that fails for a while does not fail the wait, nor keep it when all ends."""
    service.add(plan("a"))
    budget, thresholds = RequestBudget(per_minute=1200), Thresholds(retention_s=10)
    monitor = Monitor(service.url, service.token, clock=clock, budget=budget, thresholds=thresholds)
    async with monitor:
        await spent(clock, monitor.wait("a"))
        monitor.unwatch("a")
        monitor.watch_all()
        await clock.advance(60)
        assert monitor.executions() == ()
        service.faults = Faults(server_error=When(at={1, 2, 3}, only="/executions/a"))
        assert (await spent(clock, monitor.wait("a"))).status == "completed"
        await clock.advance(1000)
        service.faults = Faults(server_error=1.0)
        with pytest.raises(WaitTimeoutError):
            await spent(clock, monitor.wait("a", timeout=30))
        waiting = asyncio.ensure_future(monitor.wait("a"))
        await clock.advance(90)
        assert not waiting.done()
    with pytest.raises(MonitorClosedError):
        await waiting


async def test_one_that_finished_long_ago_and_runs_again(service, clock, until):
    """What contradicts its end is confirmed first: the wait returns the end that is known, and the anomaly follows."""
    service.add(plan("a"))
    budget, thresholds = RequestBudget(per_minute=1200), Thresholds(retention_s=10)
    kinds = []
    async with Monitor(service.url, service.token, clock=clock, budget=budget, thresholds=thresholds) as monitor:
        monitor.on_anomaly(lambda event: kinds.append(event.kind), name="kinds")
        await spent(clock, monitor.wait("a"))
        await clock.advance(15)
        assert monitor.executions() == ()
        service.move("a", "running")
        assert (await spent(clock, monitor.wait("a"))).status == "completed"
        await until(lambda: kinds == [AnomalyKind.LEFT_TERMINAL])


async def test_many_unknown_ids_are_each_not_found(service, monitor, clock):
    """Many ids that do not exist are one `blind`, and every wait for one of them still ends."""
    async with monitor:
        ids = [f"nobody-{number}" for number in range(20)]
        waits = [asyncio.ensure_future(monitor.wait(name)) for name in ids]
        for waiting in waits:
            with pytest.raises(ExecutionNotFoundError):
                await spent(clock, waiting)


async def test_an_execution_that_is_deleted(service, monitor, clock):
    """One that vanishes while it is waited for is no longer known."""
    service.add(plan("a", after_s=1000))
    async with monitor:
        waiting = asyncio.ensure_future(monitor.wait("a"))
        await clock.advance(5)
        service.remove("a")
        with pytest.raises(ExecutionNotFoundError, match="no longer"):
            await spent(clock, waiting)


async def test_many_at_once(service, monitor, clock):
    """Several ids give a list in their order, also with one named twice."""
    for name, after_s in (("a", 9), ("b", 3), ("c", 6)):
        service.add(plan(name, after_s=after_s))
    async with monitor:
        waiting = asyncio.ensure_future(monitor.wait(["a", "b", "c", "a"]))
        assert [execution.id for execution in await spent(clock, waiting)] == ["a", "b", "c", "a"]


async def test_as_they_finish(service, monitor, clock):
    """`as_completed` hands executions out in the order of their ends, whatever those are."""
    for name, after_s, end in (("a", 9, "completed"), ("b", 3, "failed"), ("c", 6, "cancelled")):
        service.add(plan(name, end, after_s))
    async with monitor:

        async def collect():
            return [(execution.id, execution.status) async for execution in monitor.as_completed(["a", "b", "c"])]

        found = await spent(clock, collect())
    assert found == [("b", "failed"), ("c", "cancelled"), ("a", "completed")]


async def test_as_completed_in_time(service, monitor, clock):
    """Its time-out counts for all of them together."""
    service.add(plan("a", after_s=3))
    service.add(plan("b", after_s=1000))
    async with monitor:

        async def collect(into):
            async for execution in monitor.as_completed(["a", "b"], timeout=30):
                into.append(execution.id)

        found: list[str] = []
        with pytest.raises(WaitTimeoutError):
            await spent(clock, collect(found))
    assert found == ["a"]


async def test_cancelling_a_wait_concerns_nobody_else(service, monitor, clock):
    """A cancelled wait leaves other waits, callbacks and the execution alone."""
    service.add(plan("a"))
    seen = []
    async with monitor:
        monitor.on_completed(seen.append, name="seen")
        first = asyncio.ensure_future(monitor.wait("a"))
        second = asyncio.ensure_future(monitor.wait("a"))
        await clock.advance(2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await spent(clock, second)).status == "completed"
    assert len(seen) == 1


async def test_leaving_the_monitor_ends_waits(service, monitor, clock):
    """A wait in another task ends with MonitorClosedError when the monitor is left."""
    service.add(plan("a", after_s=1000))
    async with monitor:
        waiting = asyncio.ensure_future(monitor.wait("a"))
        await clock.advance(2)
    with pytest.raises(MonitorClosedError):
        await waiting
    with pytest.raises(MonitorClosedError):
        await monitor.wait("a")


async def test_one_that_was_let_go_is_read_again(service, monitor, clock, until):
    """Waiting for an execution that finished long ago reads it once more."""
    service.add(plan("a"))
    async with monitor:
        await spent(clock, monitor.wait("a"))
        await until(lambda: not monitor.executions(), seconds=2000, step=10)
        assert (await spent(clock, monitor.wait("a"))).status == "completed"


async def test_ids_that_are_none(monitor):
    """An empty id, or one that is no text, is an error that says what is wanted."""
    async with monitor:
        for bad in ("", None, 7):
            with pytest.raises(ConfigurationError, match="id"):
                monitor.watch(bad)
        with pytest.raises(ConfigurationError, match="a task"):
            monitor.watch_task("")
