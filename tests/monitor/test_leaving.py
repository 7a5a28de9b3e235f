"""Leaving a monitor: what callbacks may still do, that it ends, and which error comes out of the `async with`."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from titan_state import Action, MonitorClosedError, UnauthorizedError
from titan_state.emulator import Plan, Step
from titan_state.errors import ConnectionFailedError


def running(name: str) -> Plan:
    return Plan(id=name, steps=(Step("running", 0.0), Step("completed", 10_000.0)))


def ended(name: str) -> Plan:
    return Plan(id=name, steps=(Step("running", 0.0), Step("completed", 0.0)))


@pytest.fixture
def left(monitor, clock):
    """Run a body inside the monitor, and move the clock until it was left; return its task, which is done."""

    async def run(body, *, seconds: float = 60.0) -> asyncio.Task:
        async def inside():
            async with monitor:
                await body()

        task = asyncio.create_task(inside())
        deadline = clock.time() + seconds
        await clock.settle()
        while not task.done():
            if clock.time() >= deadline:
                pytest.fail(f"not left within {seconds:g} s of the clock")
            await clock.advance(0.25)
        return task

    return run


# What callbacks may do.


async def test_callbacks_may_use_the_monitor_while_it_is_left(service, monitor, clock, until, left):
    """A callback that is called on leaving may check and act, and what that leads to is delivered, too."""
    service.add(ended("a"))
    service.add(running("b"))
    begun, verdicts, told = asyncio.Event(), [], []

    @monitor.on_completed
    async def then(event):
        begun.set()
        await clock.sleep(6)  # the body has ended by then, and what was observed is too old to act upon
        verdicts.append(await monitor.verdict("b", Action.PAUSE))
        await monitor.pause("b")
        await clock.sleep(1)
        verdicts.append(await monitor.verdict("b", Action.RESUME))
        verdicts.append(monitor.check("b", Action.STOP))

    @monitor.on_paused
    async def paused(event):
        told.append((event.execution_id, event.cause))

    async def body():
        monitor.watch("a")
        await begun.wait()

    await left(body)
    assert service.executions()["b"] == "paused"
    assert [verdict.allowed for verdict in verdicts] == [True, True, True]
    assert told == [("b", "action")]
    assert (monitor.deliveries.delivered, monitor.deliveries.given_up) == (2, 0)
    with pytest.raises(MonitorClosedError):
        await monitor.pause("b")


async def test_nothing_watched_is_read_while_the_monitor_is_left(service, monitor, clock, left):
    """Reading stops where leaving begins, however long callbacks take."""
    service.add(ended("a"))
    service.add(running("b"))
    begun, asked = asyncio.Event(), []

    @monitor.on_completed
    async def slow(event):
        begun.set()
        await clock.sleep(1)
        asked.append(len(service.requests))
        await clock.sleep(8)
        asked.append(len(service.requests))

    async def body():
        monitor.watch("a", "b")
        await begun.wait()

    await left(body)
    assert asked[0] == asked[1]


async def test_waits_and_streams_end_where_leaving_begins(service, monitor, clock, left):
    """A callback that waits, or reads a stream, is told at once that the monitor was left; it is not tried again."""
    service.add(ended("a"))
    service.add(running("b"))
    begun, told = asyncio.Event(), []

    @monitor.on_completed(name="waits")
    async def waits(event):
        begun.set()
        try:
            await monitor.wait("b")
        finally:
            told.append(clock.time())

    @monitor.on_completed(name="comes late")
    async def late(event):
        await clock.sleep(1)
        with pytest.raises(MonitorClosedError):
            await anext(monitor.events())
        with pytest.raises(MonitorClosedError):
            await monitor.wait("b")
        told.append((await monitor.wait("a")).status)

    async def body():
        monitor.watch("a")
        await begun.wait()
        await clock.settle()
        told.append(clock.time())

    before = clock.time()
    await left(body)
    assert told[0] == told[1]
    assert told[2:] == ["completed"]
    assert (monitor.deliveries.retried, monitor.deliveries.delivered, monitor.deliveries.given_up) == (0, 1, 1)
    assert clock.time() - before < 5


async def test_callbacks_that_keep_each_other_busy_are_left(service, monitor, clock, left):
    """Callbacks whose actions call further ones are called for the stated time and no longer."""
    service.add(running("a"))
    begun = asyncio.Event()

    @monitor.on_running
    async def pause(event):
        begun.set()
        await clock.sleep(1)
        await monitor.pause("a")
        await monitor.verdict("a", Action.RESUME)

    @monitor.on_paused
    async def resume(event):
        await clock.sleep(1)
        await monitor.resume("a")
        await monitor.verdict("a", Action.PAUSE)

    async def body():
        monitor.watch("a")
        await begun.wait()

    before = clock.time()
    await left(body)
    assert 10 <= clock.time() - before <= 13
    assert monitor.deliveries.delivered >= 4
    assert monitor.deliveries.pending == 0


# That it ends.


@pytest.mark.parametrize("when", ["at its beginning", "later"])
async def test_a_cancellation_while_leaving_skips_nothing(service, monitor, clock, when, left):
    """Cancelled while it is left, a monitor still ends its callbacks and connections, and the cancellation goes on."""
    service.add(ended("a"))
    begun, calls = asyncio.Event(), []

    @monitor.on_completed
    async def slow(event):
        begun.set()
        for turn in range(100):
            calls.append(turn)
            await clock.sleep(0.5)

    async def body():
        monitor.watch("a")
        await begun.wait()
        current = asyncio.current_task()
        loop = asyncio.get_running_loop()
        if when == "later":
            cancelling.append(asyncio.ensure_future(cancel(current)))
        else:
            loop.call_soon(current.cancel)

    async def cancel(task):
        await clock.sleep(3)
        task.cancel()

    cancelling: list = []
    before = clock.time()
    task = await left(body)
    assert task.cancelled()
    assert clock.time() - before <= 5
    many = len(calls)
    await clock.advance(20)
    assert len(calls) == many
    assert (monitor.deliveries.pending, monitor.deliveries.given_up) == (0, 1)
    with pytest.raises(ConnectionFailedError, match="closed"):
        await monitor.service.get("a")
    assert [one for one in asyncio.all_tasks() if one.get_name().startswith("titan_state")] == []


async def test_a_callback_that_does_not_end_holds_up_nobody(service, monitor, clock, caplog, left):
    """A callback that swallows its cancellation is named in the log and left; the monitor is left all the same."""
    service.add(ended("a"))
    begun, gate = asyncio.Event(), asyncio.Event()

    @monitor.on_completed(name="stubborn")
    async def stubborn(event):
        begun.set()
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    async def body():
        monitor.watch("a")
        await begun.wait()

    before = clock.time()
    await left(body)
    gate.set()
    assert 11 <= clock.time() - before <= 13
    given_up = "1 deliveries were given up when the monitor was left (a larger drain_s waits longer): "
    assert given_up + "handler stubborn for event a:1" in caplog.text
    assert "left running: handler stubborn for event a:1" in caplog.text


# Which error comes out.


async def wait_for(monitor, name):
    await monitor.wait(name)


async def read_events(monitor, name):
    async for _ in monitor.events():
        pass


async def sleep(monitor, name):
    await asyncio.Event().wait()


@pytest.mark.parametrize("child", [wait_for, read_events, sleep])
@pytest.mark.parametrize("depth", [1, 2])
async def test_a_fatal_error_comes_bare_out_of_a_task_group(service, monitor, left, child, depth):
    """Refused credentials end a body that is inside task groups, and no group is around the error."""
    service.add(running("a"))
    service.add(running("b"))
    cancelling = []

    async def body(depth=depth):
        async with asyncio.TaskGroup() as group:
            if depth > 1:
                group.create_task(body(depth - 1))
            group.create_task(child(monitor, "a"))
            group.create_task(child(monitor, "b"))
            monitor.watch("a")
            service.tokens.clear()
            await asyncio.Event().wait()

    async def outer():
        try:
            await body()
        finally:
            cancelling.append(asyncio.current_task())

    task = await left(outer)
    assert type(task.exception()) is UnauthorizedError
    assert cancelling[0].cancelling() == 0


async def test_a_group_with_other_errors_goes_through(service, monitor, left):
    """Errors of the user's own are not swallowed: the group comes as it is, and a note names the fatal error."""
    service.add(running("a"))

    async def clean_up():
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("of my own")

    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(monitor.wait("a"))
            group.create_task(clean_up())
            service.tokens.clear()

    task = await left(body)
    error = task.exception()
    assert sorted(type(one).__name__ for one in error.exceptions) == ["UnauthorizedError", "ValueError"]
    assert ["the monitor had been ended by UnauthorizedError" in note for note in error.__notes__] == [True]


async def test_an_error_of_the_body_on_its_way_out_says_what_ended_it(service, monitor, left):
    """An error that the body raises when it is ended goes through, with a note of the fatal error."""
    service.add(running("a"))

    async def body():
        monitor.watch("a")
        service.tokens.clear()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("of my own")

    error = (await left(body)).exception()
    assert type(error) is ValueError
    assert "UnauthorizedError" in error.__notes__[0]


async def test_a_body_that_swallows_its_end_is_told_at_its_own(service, monitor, clock, left):
    """A body that goes on after it was ended, until it returns by itself, still comes out with the fatal error."""
    service.add(running("a"))

    async def body():
        monitor.watch("a")
        service.tokens.clear()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        with pytest.raises(UnauthorizedError):
            monitor.watch("b")

    assert type((await left(body)).exception()) is UnauthorizedError


async def test_a_cancellation_from_outside_is_not_taken_for_the_end(service, monitor, clock, left):
    """Where somebody else cancels a body that a fatal error has ended already, the cancellation goes on."""
    service.add(running("a"))

    async def body():
        monitor.watch("a")
        service.tokens.clear()
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
            await asyncio.Event().wait()

    assert (await left(body)).cancelled()
