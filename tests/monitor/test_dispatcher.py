"""Calling handlers: order, side by side, retries, time-outs, and leaving."""

from __future__ import annotations

import asyncio
import functools
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from deliveries import Desk
from pace import true

from titan_state import Execution, Handlers, PermanentError, TemporaryError
from titan_state.core.events import Transitioned
from titan_state.monitor.delivery.dispatcher import NAMED
from titan_state.monitor.delivery.feed import SIDE_BY_SIDE
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
    made = Desk(handlers, clock)
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

    await dispatcher.deliver([moved("a", 1), moved("a", 2), moved("b", 1)])
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
    await dispatcher.deliver([moved("a")])
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
    await dispatcher.deliver([moved("a")])
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

    await dispatcher.deliver([moved("a", 1), moved("a", 2), moved("b", 1)])
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
    await dispatcher.deliver([moved("a")])
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
    await dispatcher.deliver([moved("a")])
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

    await dispatcher.deliver([moved("a")])
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

    await dispatcher.deliver([moved(f"e{number}") for number in range(2 * SIDE_BY_SIDE)])
    await dispatcher.until_below(2 * SIDE_BY_SIDE + 1)
    assert len(seen) == 2 * SIDE_BY_SIDE
    gate.set()
    await dispatcher.until_below(1)


async def test_closing_waits_and_then_gives_up(handlers, clock):
    """Closing waits for open deliveries for the stated time; a hanging thread does not hold it up."""
    gate = threading.Event()
    handlers.on_transition(lambda event: gate.wait(), name="x")
    dispatcher = Desk(handlers, clock)
    await dispatcher.deliver([moved("a"), moved("a", 2)])
    closing = asyncio.create_task(dispatcher.close(10))
    await clock.advance(9)
    assert not closing.done()
    await clock.advance(2)
    await closing
    assert (dispatcher.counts.pending, dispatcher.counts.given_up) == (0, 2)
    gate.set()


async def export(where, calls, event):
    await asyncio.sleep(0)
    assert threading.current_thread() is threading.main_thread()
    calls.append((where, event.id))


def wrapped(callback):
    def call(event):
        return callback(event)

    return call


@pytest.mark.parametrize("kind", ["lambda", "partial of a lambda", "wrapper", "future"])
async def test_what_a_plain_function_returns_is_awaited(handlers, dispatcher, kind):
    """A function that returns something to await has delivered when that has ended, on the loop, and in order."""
    calls = []
    loop = asyncio.get_running_loop()
    callbacks = {
        "lambda": lambda event: export("x", calls, event),
        "partial of a lambda": functools.partial(lambda where, event: export(where, calls, event), "x"),
        "wrapper": wrapped(functools.partial(export, "x", calls)),
        "future": lambda event: asyncio.run_coroutine_threadsafe(export("x", calls, event), loop) and done(loop),
    }
    handlers.on_transition(callbacks[kind], name="x")
    await dispatcher.deliver([moved("a", 1), moved("a", 2)])
    await dispatcher.until_below(1)
    assert calls == [("x", "a:1"), ("x", "a:2")]
    assert dispatcher.counts.delivered == 2


def done(loop):
    future = loop.create_future()
    loop.call_soon_threadsafe(future.set_result, None)
    return future


async def test_what_is_awaited_may_fail(handlers, dispatcher, clock):
    """An error of what a plain function returned is a failed attempt like any other."""
    calls = []

    async def fail(event):
        calls.append(event.id)
        raise PermanentError("no use")

    handlers.on_transition(lambda event: fail(event), name="x")
    await dispatcher.deliver([moved("a", 1), moved("a", 2)])
    await dispatcher.until_below(1)
    assert calls == ["a:1", "a:2"]
    assert (dispatcher.counts.delivered, dispatcher.counts.given_up) == (0, 2)


async def test_what_is_awaited_keeps_the_place_and_the_time_out(handlers, dispatcher, clock):
    """What a plain function returned runs in the handler's places, and is cancelled when the time-out is over."""
    begun, cancelled = [], []

    async def hang(event):
        begun.append(event.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(event.id)
            raise

    handlers.on_transition(lambda event: hang(event), name="x", timeout=3, retries=0)
    await dispatcher.deliver([moved(f"e{number}") for number in range(SIDE_BY_SIDE + 1)])
    await true(lambda: len(begun) == SIDE_BY_SIDE)
    await clock.settle()
    assert (len(begun), cancelled) == (SIDE_BY_SIDE, [])
    await clock.advance(4)
    assert len(cancelled) == SIDE_BY_SIDE
    await true(lambda: len(begun) == SIDE_BY_SIDE + 1)
    await clock.advance(4)
    assert (dispatcher.counts.pending, dispatcher.counts.given_up) == (0, SIDE_BY_SIDE + 1)


async def test_what_comes_too_late_is_not_run(handlers, dispatcher, clock):
    """What a plain function returns after its time-out is closed, without a word of a coroutine never awaited."""
    gate, ran, made = threading.Event(), [], []

    async def work(event):
        ran.append(event.id)

    def slow(event):
        gate.wait()
        made.append(work(event))
        return made[0]

    handlers.on_transition(slow, timeout=3, retries=0)
    await dispatcher.deliver([moved("a")])
    await clock.advance(4)
    assert dispatcher.counts.given_up == 1
    gate.set()
    await true(lambda: made and made[0].cr_frame is None)
    assert ran == []


async def test_a_delay_may_be_a_timedelta(handlers, dispatcher, clock):
    """The delay of a TemporaryError is seconds or a timedelta, and the lane goes on after it."""
    times = []

    @handlers.on_transition
    async def later(event):
        times.append((event.id, clock.time()))
        if len(times) == 1:
            raise TemporaryError(delay=timedelta(minutes=2))

    began = clock.time()
    await dispatcher.deliver([moved("a", 1), moved("a", 2)])
    await clock.advance(130)
    assert times == [("a:1", began), ("a:1", began + 120), ("a:2", began + 120)]


class UnshowableError(Exception):
    def __repr__(self):
        raise RuntimeError("not even this works")


async def test_a_lane_survives_whatever_is_raised(handlers, dispatcher, caplog):
    """An error that cannot be shown costs its own delivery only, and is counted and logged."""
    seen = []

    @handlers.on_transition(retries=0)
    async def odd(event):
        seen.append(event.id)
        if event.seq == 1:
            raise UnshowableError

    await dispatcher.deliver([moved("a", 1), moved("a", 2)])
    await dispatcher.until_below(1)
    assert seen == ["a:1", "a:2"]
    assert (dispatcher.counts.delivered, dispatcher.counts.given_up) == (1, 1)
    assert "given up for event a:1" in caplog.text


async def test_a_callback_that_cancels_its_task_ends_no_lane(handlers, dispatcher):
    """A callback that cancels the task it runs in has failed; the next event is delivered."""
    seen = []

    @handlers.on_transition(retries=0)
    async def odd(event):
        seen.append(event.id)
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    await dispatcher.deliver([moved("a", 1), moved("a", 2)])
    await dispatcher.until_below(1)
    assert seen == ["a:1", "a:2"]
    assert dispatcher.counts.given_up == 2


async def test_giving_up_names_some(handlers, clock, caplog):
    """What is given up on closing is said in one message, which names the first deliveries and counts the others."""
    gate = asyncio.Event()

    @handlers.on_transition(name="slow")
    async def slow(event):
        await gate.wait()

    dispatcher = Desk(handlers, clock)
    await dispatcher.deliver([moved("a", seq) for seq in range(1, 10_001)])
    await dispatcher.close(0)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("10000 deliveries were given up")
    assert message.count("handler slow for event a:") == NAMED
    assert message.endswith(f"and {10_000 - NAMED} more")
    assert (dispatcher.counts.pending, dispatcher.counts.given_up) == (0, 10_000)


async def test_what_comes_after_closing_is_given_up(handlers, clock):
    """An event that comes when the dispatcher is closed calls nobody, and is counted."""
    seen = []
    handlers.on_transition(seen.append, name="x")
    dispatcher = Desk(handlers, clock)
    await dispatcher.close(10)
    await dispatcher.deliver([moved("a")])
    await clock.settle()
    assert seen == []
    assert (dispatcher.counts.pending, dispatcher.counts.given_up) == (0, 1)


@pytest.mark.parametrize("then", ["returns", "raises"])
async def test_a_callback_that_does_not_end_is_left(handlers, clock, caplog, then):
    """One that swallows its cancellation holds closing up for a second, is named, and is called no more."""
    gate, calls = asyncio.Event(), []

    @handlers.on_transition(name="stubborn", backoff=0)
    async def stubborn(event):
        calls.append(event.id)
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        if then == "raises":
            raise ValueError

    dispatcher = Desk(handlers, clock)
    await dispatcher.deliver([moved("a", 1), moved("a", 2)])
    closing = asyncio.create_task(dispatcher.close(5))
    await clock.advance(5.5)
    assert not closing.done()
    await clock.advance(1)
    assert closing.done()
    assert "left running: handler stubborn for event a:1" in caplog.text
    gate.set()
    await clock.advance(10)
    assert calls == ["a:1"]
    assert (dispatcher.counts.pending, dispatcher.counts.given_up, dispatcher.counts.delivered) == (0, 2, 0)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("titan_state handler")] == []


async def test_a_callback_that_fails_when_cancelled_is_not_tried_again(handlers, clock):
    """Closing ends a callback that turns its cancellation into an error, at once."""
    calls = []

    @handlers.on_transition
    async def odd(event):
        calls.append(event.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError from None

    dispatcher = Desk(handlers, clock)
    await dispatcher.deliver([moved("a")])
    await clock.settle()
    await dispatcher.close(0)
    await clock.advance(10)
    assert calls == ["a:1"]
    assert dispatcher.counts.given_up == 1
