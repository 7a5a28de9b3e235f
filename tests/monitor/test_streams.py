"""Event streams: opened at the call, closed when they are closed or dropped, and safe to read by several tasks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from itertools import chain

import pytest

from titan_state import Event, EventStream, MonitorClosedError, UnauthorizedError
from titan_state.core.events import Transitioned
from titan_state.emulator import Plan, Step
from titan_state.monitor import runtime
from titan_state.monitor.streams import Streams


def running(name: str) -> Plan:
    return Plan(id=name, steps=(Step("running", 0.0), Step("completed", 60.0)))


@pytest.fixture
def small(monkeypatch):
    """A buffer that a few events fill."""
    monkeypatch.setattr(runtime, "BUFFER", 5)
    return 5


async def drop_at_once(monitor):
    monitor.events()


async def drop_begun(monitor):
    stream = monitor.events()
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def drop_in_a_cycle(monitor):
    cycle: dict = {"stream": monitor.events()}
    cycle["self"] = cycle
    del cycle
    collector = threading.Thread(target=gc.collect)  # any thread may be the one that finds it
    collector.start()
    await asyncio.to_thread(collector.join)


async def close_unread(monitor):
    await monitor.events().aclose()


async def close_by_context(monitor):
    async with contextlib.aclosing(monitor.events()):
        pass


@pytest.mark.parametrize("lose", [drop_at_once, drop_begun, drop_in_a_cycle, close_unread, close_by_context])
async def test_a_stream_that_nobody_reads_any_more_holds_up_nothing(service, monitor, clock, until, small, lose):
    """A stream that was closed or dropped, read or not, keeps no events: reading goes on."""
    for number in range(3 * small):
        service.add(running(f"e{number}"))
    async with monitor:
        await lose(monitor)
        monitor.watch(*service.executions())
        await until(lambda: {one.status for one in monitor.executions()} == {"completed"})
        assert len(monitor.executions()) == 3 * small


async def test_a_stream_that_was_full_lets_reading_go_on_when_it_is_dropped(service, monitor, clock, until, small):
    """Reading that waits for a stream goes on once nobody holds that any more."""
    for number in range(3 * small):
        service.add(running(f"e{number}"))
    async with monitor:
        stream = monitor.events()
        monitor.watch(*service.executions())
        await clock.advance(100)
        assert "running" in {one.status for one in monitor.executions()}
        del stream
        await until(lambda: {one.status for one in monitor.executions()} == {"completed"})


async def test_a_stream_begins_at_the_call(service, monitor, until):
    """Events between the call and the first read are not lost."""
    service.add(running("a"))
    async with monitor:
        stream = monitor.events()
        assert isinstance(stream, EventStream)
        assert aiter(stream) is stream
        monitor.watch("a")
        await until(lambda: monitor.executions())
        event = await anext(stream)
    assert isinstance(event, Event)
    assert event.id == "a:1"


async def test_closing_ends_whoever_reads(service, monitor, clock):
    """A closed stream is at its end, for one who waits for its next event as for one who asks later; twice is fine."""
    async with monitor:
        stream = monitor.events()
        reading = asyncio.ensure_future(anext(stream, None))
        await clock.settle()
        await stream.aclose()
        await stream.aclose()
        assert await reading is None
        assert [event async for event in stream] == []


async def test_several_tasks_read_one_stream(service, monitor, clock, until):
    """Each event goes to one of those who read, and the end to all of them."""
    ids = [service.add(running(f"e{number}")) for number in range(20)]
    got: list[list[str]] = [[], [], []]

    async def read(into):
        async for event in stream:
            if isinstance(event, Transitioned):
                into.append(event.id)
            await asyncio.sleep(0)

    async with monitor:
        stream = monitor.events()
        readers = [asyncio.ensure_future(read(into)) for into in got]
        monitor.watch(*ids)
        await until(lambda: sum(map(len, got)) == 40)
    ends = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(end) for end in ends] == [MonitorClosedError] * 3
    assert sorted(chain(*got)) == sorted(f"{name}:{seq}" for name in ids for seq in (1, 2))


async def test_the_first_end_counts(service, monitor, clock, until):
    """One who reads slowly is told what ended the monitor, not that it was left after that."""
    service.add(running("a"))
    streams = []

    async def body():
        async with monitor:
            streams.append(monitor.events())
            monitor.watch("a")
            await until(lambda: monitor.executions())
            service.tokens.clear()
            await until(lambda: False)

    with pytest.raises(UnauthorizedError):
        await body()
    (stream,) = streams
    assert (await anext(stream)).id == "a:1"
    for _ in range(2):
        with pytest.raises(UnauthorizedError):
            await anext(stream)


def test_a_stream_may_outlive_its_loop():
    """One that is dropped after its event loop was closed is no error."""
    kept = []

    async def hold():
        kept.append(Streams(lambda: None).open())

    asyncio.run(hold())
    kept.clear()
    gc.collect()
