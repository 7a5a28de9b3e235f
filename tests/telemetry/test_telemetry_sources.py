"""Numbers on their way from an event loop to the threads of exporters, while monitors come and go."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from titan_state.instrumentation import Figure
from titan_state.telemetry.catalog import OBSERVED
from titan_state.telemetry.sources import Counted, Source

SENT = next(metric for metric in OBSERVED if metric.name == "titan_state.request.sent")
RETRIES = next(metric for metric in OBSERVED if metric.name == "titan_state.delivery.retries")


@pytest.fixture
def counted():
    return Counted()


def source(counted, *figures):
    return Source("shop", lambda: [Figure(name, value, tuple(labels)) for name, value, *labels in figures], counted)


def told(one, metric=SENT):
    return [observation.value for observation in one.observations(metric)]


async def test_a_monitor_that_is_left_before_it_has_answered(counted):
    """Whoever asked while it was left is told nothing more of it, and the next monitor goes on from all it counted."""
    first = source(counted, ("request.sent", 10))
    done = await asyncio.to_thread(first.ask)
    first.close()
    await asyncio.wrap_future(done)
    assert told(first) == []
    then = source(counted, ("request.sent", 1))
    then.refresh()
    assert told(then) == [11]


async def test_a_subscriber_takes_nothing_of_what_a_monitor_has_counted(counted):
    """The two are measured beside each other, under the same account: each goes on with what it counts itself."""
    first = source(counted, ("request.sent", 10))
    first.close()
    subscriber = source(counted, ("delivery.retries", 3, "mail"))
    subscriber.refresh()
    assert told(subscriber, RETRIES) == [3]
    then = source(counted, ("request.sent", 1))
    then.refresh()
    assert told(then) == [11]
    then.close()
    subscriber.close()
    last = source(counted, ("request.sent", 2), ("delivery.retries", 4, "mail"))
    last.refresh()
    assert (told(last), told(last, RETRIES)) == ([13], [7])


async def test_counts_survive_any_number_of_monitors_that_are_read_meanwhile(counted):
    """Exporters read in threads while one monitor follows another: nothing is lost, and nothing counts twice."""
    present = [source(counted, ("request.sent", 1))]
    present[0].refresh()
    is_over, seen = threading.Event(), []

    def read():
        while not is_over.is_set():
            seen.extend(told(present[0]))

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        for _ in range(500):
            present[0].close()
            await asyncio.sleep(0)
            present[0] = source(counted, ("request.sent", 1))
            present[0].refresh()
        is_over.set()
        for one in readers:
            one.result()
    assert told(present[0]) == [501]
    assert max(seen) <= 501


async def test_a_loop_that_does_not_turn_is_asked_once(counted):
    """However often an exporter asks meanwhile, one question waits for the loop, and one answer is for all."""
    reads = []
    one = Source("shop", lambda: reads.append(1) or [Figure("request.sent", 1)], counted)
    with ThreadPoolExecutor(1) as threads:  # the loop stands still meanwhile
        asked = [threads.submit(one.ask).result() for _ in range(50)]
    await asyncio.gather(*(asyncio.wrap_future(done) for done in asked))
    assert reads == [1]
    again = await asyncio.to_thread(one.ask)
    await asyncio.wrap_future(again)
    assert reads == [1, 1]


def test_a_loop_that_was_closed_is_not_asked(counted):
    """A monitor that was never left, in a loop that is gone: there is nothing to wait for."""

    async def begin():
        return source(counted, ("request.sent", 1))

    loop = asyncio.new_event_loop()
    one = loop.run_until_complete(begin())
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(one.ask).result() is not None
        loop.close()
        assert threads.submit(one.ask).result() is None
