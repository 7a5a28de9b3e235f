"""Subscribers: callbacks in another program than the monitor, with the same promises."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pace import true

from titan_state import (
    ConfigurationError,
    Handlers,
    JournalUnavailableError,
    Monitor,
    MonitorClosedError,
    RequestBudget,
    Subscriber,
    SubscriptionInUseError,
)
from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.journal.memory import MemoryJournal

PROGRAM = """
import asyncio, os, sys
from titan_state import Handlers, Subscriber

handlers = Handlers()
calls = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

@handlers.on_transition(name="elsewhere")
def note(event):
    os.write(calls, f"{os.getpid()} {event.id}\\n".encode())

asyncio.run(Subscriber(f"sqlite:///{sys.argv[1]}", handlers).run())
"""


@pytest.fixture
async def service():
    async with TaskServiceEmulator(per_minute=None) as emulator:
        yield emulator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def monitor_of(service: TaskServiceEmulator, path: Path) -> Monitor:
    return Monitor(service.url, service.token, journal=path, budget=RequestBudget(per_minute=60_000))


def recording(name: str = "recorder", **options) -> tuple[Handlers, list[str]]:
    handlers, seen = Handlers(), []
    handlers.on_transition(lambda event: seen.append(event.id), name=name, **options)
    return handlers, seen


@asynccontextmanager
async def running(subscriber: Subscriber):
    task = asyncio.create_task(subscriber.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_follows_what_a_monitor_writes(service, path):
    """What the monitor sees is told to it as it happens, and what happened while it did not run afterwards."""
    service.add(Plan(id="a", steps=[Step("running")]))
    handlers, seen = recording()
    async with monitor_of(service, path) as monitor:
        async with running(Subscriber(path, handlers)) as task:
            await true(lambda: task.done() or monitor.journal.head == 0)
            await asyncio.sleep(0.3)
            monitor.watch("a")
            await true(lambda: seen == ["a:1"])
        service.move("a", "completed")
        await monitor.wait("a")
        subscriber = Subscriber(path, handlers)
        async with running(subscriber):
            await true(lambda: seen == ["a:1", "a:2"])
            await true(lambda: subscriber.deliveries.pending == 0)
    assert subscriber.deliveries.delivered == 1
    assert "journal.db" in repr(subscriber)


async def test_in_a_process_that_is_killed(service, path, tmp_path):
    """A real program follows a real file; killed and started again it goes on, in order, and loses nothing."""
    program, calls = tmp_path / "program.py", tmp_path / "calls"
    program.write_text(PROGRAM)
    names = [service.add(Plan(steps=[Step("running", 0.1)])) for _ in range(10)]

    async def start():
        return await asyncio.create_subprocess_exec(sys.executable, program, path, calls, env=os.environ)

    def lines() -> list[list[str]]:
        return [line.split() for line in calls.read_text().splitlines()] if calls.exists() else []

    async with monitor_of(service, path) as monitor:
        monitor.watch(*names)
        process = await start()
        try:
            await true(lambda: len(monitor.executions()) == 10)
            await asyncio.sleep(1.0)
            process.kill()
            await process.wait()
            for name in names:
                service.move(name, "completed")
            await monitor.wait(names)
            process = await start()
            last = {f"{name}:{len(await monitor.journal.history(name))}" for name in names}
            await true(lambda: last <= {event_id for _, event_id in lines()})
        finally:
            process.kill()
            await process.wait()
        (state,) = await monitor.journal.subscriptions()
    assert state.name == "elsewhere"
    for name in names:
        own = [int(event_id.rpartition(":")[2]) for _, event_id in lines() if event_id.startswith(name)]
        firsts = list(dict.fromkeys(own))
        assert firsts == sorted(firsts)
        assert firsts[-1] - firsts[0] == len(firsts) - 1


async def test_a_callback_may_act_by_the_monitor(service, path):
    """What a callback does goes through the monitor; without one it is said that there is none."""
    service.add(Plan(id="a", steps=[Step("running")]))
    handlers = Handlers()
    subscriber: list[Subscriber] = []

    @handlers.on_running(name="brake")
    async def brake(event):
        async with subscriber[0].monitor() as monitor:
            assert await monitor.verdict(event.execution_id, "pause")
            await monitor.pause(event.execution_id)
            await monitor.resume(event.execution_id, force=True)
            await monitor.stop(event.execution_id, force=True)

    async with monitor_of(service, path) as monitor:
        subscriber.append(Subscriber(path, handlers))
        async with running(subscriber[0]):
            await asyncio.sleep(0.3)
            assert (await monitor.wait("a", check=False)).status == "cancelled"
            actions = [one.action for one in await monitor.journal.history("a") if one.type == "action_accepted"]
            await true(lambda: subscriber[0].deliveries.delivered >= 1)
    assert actions == ["pause", "resume", "stop"]
    with pytest.raises(MonitorClosedError, match="no monitor that writes"):
        async with subscriber[0].monitor():
            pass


async def test_a_name_is_used_once(service, path):
    """A second subscriber of the same name is refused, and says which program has it."""
    handlers, _ = recording()
    async with running(Subscriber(path, handlers)):
        await asyncio.sleep(0.3)
        with pytest.raises(SubscriptionInUseError, match="recorder is used by process"):
            await Subscriber(path, handlers).run()
    other, _ = recording("other")
    async with running(Subscriber(path, other)) as task:
        await asyncio.sleep(0.2)
        assert not task.done()


@pytest.mark.parametrize(
    ("journal", "handlers", "message"),
    [
        (MemoryJournal(), recording()[0], "follows a journal that lasts"),
        ("memory:", recording()[0], "follows a journal that lasts"),
        ("sqlite:///x.db", Handlers(), "without handlers"),
        ("nowhere", recording()[0], "there is no journal at"),
    ],
)
def test_what_cannot_work_is_refused(journal, handlers, message):
    """A journal that nobody else can see, and no handlers, are refused when it is made."""
    with pytest.raises(ConfigurationError, match=message):
        Subscriber(journal, handlers)


async def test_a_place_that_cannot_be_used(tmp_path):
    """An error of the file comes out of `run`."""
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(JournalUnavailableError, match="check its directory"):
        await Subscriber(place / "journal.db", recording()[0]).run()
