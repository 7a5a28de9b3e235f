"""A permit at the gate: nothing is sent without it, whatever waits for what, and nothing is left over."""

from __future__ import annotations

import asyncio

import pytest

from titan_state import LeadershipLostError
from titan_state.client.gate import LOOK_AGAIN_S, PATIENCE_S, Gate
from titan_state.core.budget import Priority, RequestBudget
from titan_state.errors import ConnectionFailedError, NotFoundError

LIMIT = 12


class Permit:
    """A permit that a test gives, takes, or takes for good; it may lapse by the clock, which nobody is told of."""

    def __init__(self, clock, *, is_held=False):
        self.clock = clock
        self.until = float("inf") if is_held else float("-inf")
        self.loss = None
        self._changed = asyncio.Event()

    @property
    def is_held(self):
        return self.loss is None and self.clock.time() < self.until

    async def until_held(self):
        while not self.is_held:
            if self.loss is not None:
                raise self.loss
            self._changed.clear()
            await self._changed.wait()

    def give(self, seconds=float("inf")):
        self.until = self.clock.time() + seconds
        self._changed.set()

    def take(self):
        self.until = float("-inf")

    def lose(self):
        self.loss = LeadershipLostError("another one leads")
        self._changed.set()


@pytest.fixture
def permit(clock):
    return Permit(clock)


@pytest.fixture
async def gate(clock, permit):
    made = Gate(RequestBudget(per_minute=60, reserve=0, burst=2), clock)
    made.permit = permit
    yield made
    await made.close()


async def ended(task):
    """Return what a task raised."""
    (error,) = await asyncio.gather(task, return_exceptions=True)
    return error


async def test_without_a_permit_at_all_nothing_changes(clock):
    """Where nobody else could send, nobody is asked."""
    gate = Gate(RequestBudget(per_minute=60, reserve=0, burst=2), clock)
    assert await gate.enter(Priority.POLL) == 1
    await gate.close()


async def test_it_waits_until_the_permit_is_held(clock, gate, permit):
    """A request takes no slot while it waits for the permit, and goes as soon as it is there."""
    waiting = [asyncio.create_task(gate.enter(priority)) for priority in Priority if priority is not Priority.CONTROL]
    await clock.advance(30.0)
    assert not any(task.done() for task in waiting)
    assert gate._budget.spent(clock.time()) == 0
    permit.give()
    await clock.advance(2.0)
    assert waiting[0].done()
    await clock.advance(2.0)
    assert all(task.done() for task in waiting)
    assert gate._budget.in_flight == 3


async def test_what_somebody_asks_for_is_told(clock, gate, permit):
    """Somebody who waits for an action hears within 5 s that it is not sent; reading waits on, and nothing is spent."""
    polls, asked = (asyncio.create_task(gate.enter(priority)) for priority in (Priority.POLL, Priority.CONTROL))
    await clock.advance(PATIENCE_S - 0.5)
    assert not asked.done()
    await clock.advance(0.5)
    error = await ended(asked)
    assert isinstance(error, ConnectionFailedError)
    assert error.sent is False
    assert "nothing is sent at present, and this was not" in str(error)
    await clock.advance(60.0)
    assert not polls.done()
    assert (gate._budget.spent(clock.time()), gate._budget.in_flight, gate.waiting) == (0, 0, 0)
    permit.give()
    await clock.advance(1.0)
    assert polls.done()


async def test_what_somebody_asks_for_goes_if_the_permit_comes_in_time(clock, gate, permit):
    """A lease that lapses for a moment is waited for; each time anew."""
    for _ in range(3):
        permit.take()
        asked = asyncio.create_task(gate.enter(Priority.CONTROL))
        await clock.advance(PATIENCE_S - 0.5)
        permit.give()
        await clock.advance(0.1)
        gate._budget.answered(asked.result(), clock.time())
        await clock.advance(10.0)


async def test_what_somebody_asks_for_is_told_also_after_its_slot(clock, gate, permit):
    """A permit that has gone while an action waited for its slot does not come back: that is said as soon."""
    permit.give()
    ticket = await gate.enter(Priority.CONTROL)
    asked = asyncio.create_task(gate.enter(Priority.CONTROL))
    await clock.settle()
    permit.take()
    await clock.advance(1.0)  # here its slot comes
    assert not asked.done()
    await clock.advance(PATIENCE_S)
    assert (await ended(asked)).sent is False
    gate._budget.answered(ticket, clock.time())
    assert gate._budget.in_flight == 0
    await clock.advance(LOOK_AGAIN_S)
    assert clock.sleepers == 0


async def test_end_to_end_an_action_is_refused(paced, clock, permit):
    """A client that may not send says so of an action, and sends it neither then nor later."""
    service, client = paced
    client.lead_by(permit)
    asked = asyncio.create_task(client.pause("e"))
    await clock.advance(PATIENCE_S + LOOK_AGAIN_S)
    assert isinstance(await ended(asked), ConnectionFailedError)
    permit.give()
    await clock.advance(60.0)
    assert len(service.requests) == 0


async def test_it_is_looked_for_again_by_itself(clock, gate, permit):
    """A permit that nobody tells of is found within a second."""
    waiting = asyncio.create_task(gate.enter(Priority.POLL))
    await clock.settle()
    permit.until = float("inf")  # without a word
    await clock.advance(LOOK_AGAIN_S)
    assert waiting.done()


async def test_it_lapses_while_a_request_waits_for_its_slot(clock, gate, permit):
    """A slot that comes after the permit has gone is spent for nothing: the request waits, and goes later."""
    permit.give()
    tickets = [await gate.enter(Priority.POLL)]
    waiting = [asyncio.create_task(gate.enter(Priority.POLL)) for _ in range(3)]
    await clock.settle()
    assert gate.waiting == 3
    permit.take()
    await clock.advance(20.0)
    assert not any(task.done() for task in waiting)
    assert gate.waiting == 0
    assert gate._budget.in_flight == 1
    permit.give()
    await clock.advance(20.0)
    assert all(task.done() for task in waiting)
    tickets += [task.result() for task in waiting]
    assert len(set(tickets)) == 4
    assert gate._budget.in_flight == 4


async def test_it_lapses_by_the_clock(clock, gate, permit):
    """A permit that ends at a time ends then, also for a request that is let out in that moment."""
    permit.give(1.0)
    await gate.enter(Priority.POLL)
    waiting = [asyncio.create_task(gate.enter(Priority.POLL)) for _ in range(2)]
    for _ in range(40):
        before = [task.done() for task in waiting]
        is_held = permit.is_held
        await clock.advance(0.25)
        if not is_held:
            assert [task.done() for task in waiting] == before
    assert not all(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_it_is_lost_while_requests_wait(clock, gate, permit):
    """Whoever waits for the permit, or finds it gone with the slot in hand, gets the error that says why."""
    without = asyncio.create_task(gate.enter(Priority.POLL))
    await clock.settle()
    permit.lose()
    await clock.settle()
    assert isinstance(await ended(without), LeadershipLostError)
    with pytest.raises(LeadershipLostError):
        await gate.enter(Priority.CONTROL)
    assert gate._budget.spent(clock.time()) == 0


async def test_it_is_lost_while_a_request_waits_for_its_slot(clock, gate, permit):
    """It is not sent, and its slot is not in flight for ever."""
    permit.give()
    ticket = await gate.enter(Priority.POLL)
    waiting = [asyncio.create_task(gate.enter(Priority.POLL)) for _ in range(2)]
    await clock.settle()
    permit.lose()
    await clock.advance(10.0)
    for task in waiting:
        assert isinstance(await ended(task), LeadershipLostError)
    gate._budget.answered(ticket, clock.time())
    assert (gate._budget.in_flight, gate.waiting) == (0, 0)


async def test_closing_ends_those_who_wait_for_the_permit(clock, gate, permit):
    """A client that is closed sends nothing any more, and nobody waits in it for ever."""
    waiting = [asyncio.create_task(gate.enter(priority)) for priority in (Priority.POLL, Priority.CONTROL)]
    await clock.settle()
    await gate.close()
    await clock.advance(LOOK_AGAIN_S)
    for task in waiting:
        error = await ended(task)
        assert isinstance(error, ConnectionFailedError)
        assert error.sent is False
    assert clock.sleepers == 0


async def test_closing_while_the_permit_comes(clock, gate, permit):
    """A permit that comes in the same moment lets nobody out of a client that is closed."""
    waiting = asyncio.create_task(gate.enter(Priority.POLL))
    await clock.settle()
    permit.give()
    await gate.close()
    await clock.advance(LOOK_AGAIN_S)
    assert isinstance(await ended(waiting), ConnectionFailedError)
    assert gate._budget.in_flight == 0


async def test_closing_while_a_request_waits_for_its_slot(clock, gate, permit):
    """The permit has gone meanwhile: closing ends it all the same."""
    permit.give()
    await gate.enter(Priority.POLL)
    waiting = [asyncio.create_task(gate.enter(Priority.POLL)) for _ in range(2)]
    await clock.settle()
    permit.take()
    await gate.close()
    await clock.advance(LOOK_AGAIN_S)
    for task in waiting:
        assert isinstance(await ended(task), ConnectionFailedError)


@pytest.mark.parametrize("stage", ["permit", "slot"])
async def test_a_cancelled_waiter_leaves_nothing(clock, gate, permit, stage):
    """Cancelling ends it at once, wherever it waits, and nothing sleeps on for it."""
    if stage == "slot":
        permit.give()
        await gate.enter(Priority.POLL)
    waiting = [asyncio.create_task(gate.enter(Priority.POLL)) for _ in range(3)]
    await clock.settle()
    for task in waiting:
        task.cancel()
    await clock.settle()
    assert all(task.cancelled() for task in waiting)
    assert gate.waiting == 0
    assert clock.sleepers == 0


async def test_end_to_end_nothing_leaves_without_the_permit(paced, clock, until, permit):
    """Whatever is asked of a client reaches the service only at times at which the permit is held."""
    service, client = paced
    client.lead_by(permit)
    asked = [asyncio.create_task(missing(client, f"e{number}")) for number in range(2 * LIMIT)]
    held: list[tuple[float, float]] = []
    for number in range(40):
        began = clock.time()
        permit.give() if number % 3 == 0 else permit.take()
        await clock.advance(7.0)
        if number % 3 == 0:
            held.append((began, clock.time()))
    permit.give()
    held.append((clock.time(), float("inf")))
    await until(lambda: all(task.done() for task in asked), seconds=3600)
    await asyncio.gather(*asked)
    assert len(service.requests) == 2 * LIMIT
    for request in service.requests:
        assert any(start <= request.clock_at <= end for start, end in held)
    times = [request.clock_at for request in service.requests]
    assert max(sum(at <= other < at + 60 for other in times) for at in times) <= LIMIT


async def missing(client, execution_id):
    with pytest.raises(NotFoundError):
        await client.get(execution_id)


async def test_end_to_end_the_loss_is_told(paced, clock, permit):
    """A request of a client that is not to lead any more fails with that, unsent."""
    service, client = paced
    client.lead_by(permit)
    waiting = asyncio.create_task(client.get("e"))
    await clock.settle()
    permit.lose()
    await clock.settle()
    assert isinstance(await ended(waiting), LeadershipLostError)
    with pytest.raises(LeadershipLostError):
        await client.pause("e")
    assert len(service.requests) == 0
