"""Calling handlers: order, side by side, retries, time-outs, and leaving."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from titan_state import Execution, Handlers, PermanentError, TemporaryError
from titan_state.core.events import Transitioned
from titan_state.core.lifecycle import DEFAULT_TERMINAL
from titan_state.monitor.dispatcher import SIDE_BY_SIDE, Dispatcher
from titan_state.testing import ManualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def moved(execution_id: str, seq: int = 1, dest: str = "completed") -> Transitioned:
    return Transitioned(
        execution_id=execution_id,
        seq=seq,
        at=NOW,
        execution=Execution(execution_id, dest),
        source="running",
        dest=dest,
        before=NOW,
    )


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def dispatcher(handlers: Handlers, clock: ManualClock):
    made = Dispatcher(handlers, frozenset(DEFAULT_TERMINAL), clock)
    yield made
    closing = asyncio.create_task(made.close(0.0))
    await clock.advance(1.0)
    await closing


async def test_in_order_for_one_execution_side_by_side_for_others(handlers, dispatcher):
    """A second event of an execution waits for the first, one of another execution does not."""
    calls, gate = [], asyncio.Event()

    @handlers.on_transition
    async def slow(event):
        calls.append(event.id)
        if event.id == "a:1":
            await gate.wait()

    dispatcher.deliver([moved("a", 1), moved("a", 2), moved("b", 1)])
    await dispatcher.until_below(3)
    assert calls == ["a:1", "b:1"]
    gate.set()
    await dispatcher.until_below(1)
    assert calls == ["a:1", "b:1", "a:2"]
    assert dispatcher.counts.delivered == 3


async def test_a_plain_function_runs_in_a_thread_of_its_own(handlers, dispatcher):
    """A `def` callback never runs on the loop's thread, and may block."""
    threads = []
    handlers.on_transition(lambda event: threads.append(threading.current_thread()), name="x")
    dispatcher.deliver([moved("a")])
    await dispatcher.until_below(1)
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon


@pytest.mark.parametrize("plain", [True, False])
async def test_a_failure_is_tried_again_with_backoff(handlers, dispatcher, clock, caplog, plain):
    """A callback that raises is called again after 1, 2 and 4 s, then the delivery is given up and logged."""
    times = []

    def fail(event):
        times.append(clock.time())
        raise ValueError("no")

    async def fail_async(event):
        fail(event)

    handlers.on_transition(fail if plain else fail_async, name="x", retries=3, backoff=1.0)
    dispatcher.deliver([moved("a")])
    while dispatcher.counts.pending:
        await asyncio.sleep(0.001)
        await clock.advance(0.25)
    assert [round(later - earlier) for earlier, later in pairwise(times)] == [1, 2, 4]
    assert (dispatcher.counts.given_up, dispatcher.counts.retried) == (1, 3)
    assert "given up for event a:1" in caplog.text


async def test_a_failing_handler_holds_up_nothing_else(handlers, dispatcher, clock):
    """While one handler waits for its retry, other executions and other handlers go on."""
    good, bad = [], []

    @handlers.on_transition
    async def broken(event):
        bad.append(event.id)
        if event.execution_id == "a":
            raise TemporaryError(delay=100)

    @handlers.on_transition
    async def fine(event):
        good.append(event.id)

    dispatcher.deliver([moved("a", 1), moved("a", 2), moved("b", 1)])
    await clock.advance(5)
    assert sorted(good) == ["a:1", "a:2", "b:1"]
    assert bad == ["a:1", "b:1"]


async def test_temporary_and_permanent_errors(handlers, dispatcher, clock):
    """A callback may say when to try again, or that it is no use."""
    calls = []

    @handlers.on_completed(backoff=50)
    async def later(event):
        calls.append(("later", clock.time()))
        if len([name for name, _ in calls if name == "later"]) == 1:
            raise TemporaryError(delay=7)

    @handlers.on_completed
    async def never(event):
        calls.append(("never", clock.time()))
        raise PermanentError("no use")

    began = clock.time()
    dispatcher.deliver([moved("a")])
    await clock.advance(20)
    assert sorted(calls) == [("later", began), ("later", began + 7), ("never", began)]
    assert (dispatcher.counts.delivered, dispatcher.counts.given_up) == (1, 1)


@pytest.mark.parametrize("plain", [True, False])
async def test_a_hanging_callback_is_timed_out(handlers, dispatcher, clock, plain):
    """A callback that outlives its time-out counts as failed, and blocks its execution no longer."""
    gate = threading.Event()

    async def hang_async(event):
        await asyncio.Event().wait()

    handlers.on_transition((lambda event: gate.wait()) if plain else hang_async, name="x", timeout=3, retries=0)
    dispatcher.deliver([moved("a")])
    await clock.advance(2)
    assert dispatcher.counts.pending == 1
    await clock.advance(2)
    assert (dispatcher.counts.pending, dispatcher.counts.given_up) == (0, 1)
    gate.set()


async def test_a_callback_that_cancels_itself_has_failed(handlers, dispatcher):
    """A CancelledError of the callback's own making is a failure like any other."""

    @handlers.on_transition(retries=0)
    async def odd(event):
        raise asyncio.CancelledError

    dispatcher.deliver([moved("a")])
    await dispatcher.until_below(1)
    assert dispatcher.counts.given_up == 1


async def test_a_handler_that_hangs_keeps_its_own_places_only(handlers, dispatcher):
    """So many hanging calls fill one handler's places; another handler still gets its own."""
    gate, seen = asyncio.Event(), []

    @handlers.on_transition
    async def hangs(event):
        await gate.wait()

    @handlers.on_transition
    async def works(event):
        seen.append(event.id)

    dispatcher.deliver([moved(f"e{number}") for number in range(2 * SIDE_BY_SIDE)])
    await dispatcher.until_below(2 * SIDE_BY_SIDE + 1)
    assert len(seen) == 2 * SIDE_BY_SIDE
    gate.set()
    await dispatcher.until_below(1)


async def test_closing_waits_and_then_gives_up(handlers, clock):
    """Closing waits for open deliveries for the stated time; a hanging thread does not hold it up."""
    gate = threading.Event()
    handlers.on_transition(lambda event: gate.wait(), name="x")
    dispatcher = Dispatcher(handlers, frozenset(DEFAULT_TERMINAL), clock)
    dispatcher.deliver([moved("a"), moved("a", 2)])
    closing = asyncio.create_task(dispatcher.close(10))
    await clock.advance(9)
    assert not closing.done()
    await clock.advance(2)
    await closing
    assert (dispatcher.counts.pending, dispatcher.counts.given_up) == (0, 2)
    gate.set()
