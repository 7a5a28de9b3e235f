"""Following a stream: events first, then pauses, then the end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from titan_state.cli.follow import follow


class Source:
    """A stream that a test fills."""

    def __init__(self):
        self.queue = asyncio.Queue()
        self.is_open = True

    async def stream(self):
        try:
            while True:
                yield await self.queue.get()
        finally:
            self.is_open = False


async def test_what_waits_is_handed_out_before_the_end():
    """An end that comes together with the last events does not swallow them."""
    source = Source()
    until = asyncio.get_running_loop().create_future()
    for n in range(3):
        source.queue.put_nowait(n)
    until.set_result(None)
    assert [event async for event in follow(source.stream(), until=until)] == [0, 1, 2]


async def test_pauses_are_handed_out_as_none():
    """Where nothing happens there is time to draw."""
    source = Source()
    async with aclosing(follow(source.stream(), every_s=0.01)) as events:
        assert await anext(events) is None
        source.queue.put_nowait("event")
        assert "event" in [await anext(events) for _ in range(3)]


async def test_leaving_it_leaves_nothing_behind():
    """The read that was waiting is cancelled, and the stream is closed."""
    source = Source()
    async with aclosing(follow(source.stream(), every_s=0.01)) as events:
        await anext(events)
    assert not source.is_open
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_the_stream_gets_through():
    """A monitor that ends with an error ends whoever follows it."""

    async def broken():
        yield "event"
        raise RuntimeError("the monitor has ended")

    events = follow(broken())
    assert await anext(events) == "event"
    with pytest.raises(RuntimeError, match="the monitor has ended"):
        await anext(events)
