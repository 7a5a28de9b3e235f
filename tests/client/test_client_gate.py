"""The budget end to end: what reaches the service never exceeds the limit, control goes first, nothing is left over."""

from __future__ import annotations

import asyncio

import pytest

from titan_state.client.gate import LOOK_AGAIN_S, Gate
from titan_state.core.budget import Priority, RequestBudget
from titan_state.errors import ConnectionFailedError, NotFoundError

LIMIT = 12


def most_in_a_minute(times):
    """Return the most requests that arrived in any 60 s."""
    return max(sum(at <= other < at + 60 for other in times) for at in times)


async def missing(client, execution_id, priority=Priority.POLL):
    with pytest.raises(NotFoundError):
        await client.get(execution_id, priority=priority)


async def test_no_minute_sees_more_than_the_limit(paced, until, clock):
    """However much is asked for at once, the service sees the limit and no 429, and nearly all of it is used."""
    service, client = paced
    began = clock.time()
    asked = [asyncio.create_task(missing(client, f"e{number}")) for number in range(3 * LIMIT)]
    await until(lambda: all(task.done() for task in asked))
    await asyncio.gather(*asked)
    assert {request.status for request in service.requests} == {404}
    assert most_in_a_minute([request.clock_at for request in service.requests]) <= LIMIT
    assert clock.time() - began < 3.5 * 60
    assert client.statistics.requests == len(service.requests) == 3 * LIMIT


async def test_the_limit_holds_across_quiet_times_and_slow_answers(paced, until, clock):
    """A burst after a pause, beside answers that take long, is within the limit too."""
    service, client = paced
    service.faults.slow, service.faults.slow_s = 0.5, 20.0
    asked = []
    for pause_s in (0.0, 50.0, 5.0, 120.0):
        await clock.advance(pause_s)
        asked += [asyncio.create_task(missing(client, f"e{number}")) for number in range(LIMIT)]
    await until(lambda: all(task.done() for task in asked))
    await asyncio.gather(*asked)
    assert most_in_a_minute([request.clock_at for request in service.requests]) <= LIMIT
    assert client.statistics.throttled == 0


async def test_two_clients_of_one_budget_share_it(paced, connect, until, clock, budget):
    """A budget that is handed to two clients holds for both together, and neither starves."""
    service, one = paced
    two = await connect(service.url, service.token, clock=clock, budget=budget)
    asked = [asyncio.create_task(missing(client, f"e{number}")) for number in range(LIMIT) for client in (one, two)]
    await until(lambda: all(task.done() for task in asked))
    assert most_in_a_minute([request.clock_at for request in service.requests]) <= LIMIT
    assert one.statistics.requests == two.statistics.requests == LIMIT


async def test_control_goes_ahead_of_polls(paced, until):
    """An action overtakes the polls that wait, by the reserve at once and by its priority later."""
    service, client = paced
    polls = [asyncio.create_task(missing(client, f"poll{number}")) for number in range(LIMIT)]
    await until(lambda: service.requests)
    actions = [asyncio.create_task(client.pause(f"act{number}")) for number in range(4)]
    await until(lambda: all(task.done() for task in (*polls, *actions)))
    order = [request.path.split("/")[4][:3] for request in service.requests]
    assert order[0] == "pol"
    assert order.index("act") == 1
    assert order[1:6].count("act") == 4
    await asyncio.gather(*polls, *actions, return_exceptions=True)


async def test_equal_priorities_go_in_the_order_of_their_coming(paced, until):
    """A poll that waits longer is not overtaken by another."""
    service, client = paced
    names = [f"e{number}" for number in range(LIMIT)]
    asked = [asyncio.create_task(missing(client, name)) for name in names]
    await until(lambda: all(task.done() for task in asked))
    assert [request.path.split("/")[-1] for request in service.requests] == names


async def test_a_cancelled_waiter_leaves_nothing(paced, until, clock, budget):
    """A request that is given up while it waits is never sent, and takes no slot."""
    service, client = paced
    await missing(client, "first")
    gate = client._transport._gate
    waiting = [asyncio.create_task(missing(client, f"e{number}")) for number in range(5)]
    await clock.settle()
    assert gate.waiting == 5
    left = budget.remaining(clock.time())
    for task in waiting[:4]:
        task.cancel()
    await asyncio.gather(*waiting[:4], return_exceptions=True)
    assert (gate.waiting, budget.remaining(clock.time())) == (1, left)
    await until(waiting[4].done)
    assert [request.path.split("/")[-1] for request in service.requests] == ["first", "e4"]


async def test_the_last_waiter_gone_ends_the_waiting(paced, clock):
    """When nobody waits any more, nothing sleeps for them either."""
    _, client = paced
    await missing(client, "first")
    waiting = asyncio.create_task(missing(client, "e"))
    await clock.settle()
    assert clock.sleepers == 1
    waiting.cancel()
    await clock.settle()
    assert clock.sleepers == 0


async def test_a_slot_given_in_the_moment_of_cancelling_is_spent(clock):
    """A waiter cancelled just when its turn came hands its slot back to the log, not to nowhere."""
    budget = RequestBudget(per_minute=60, reserve=0, burst=1)
    gate = Gate(budget, clock)
    ticket = await gate.enter(Priority.POLL)
    second = asyncio.create_task(gate.enter(Priority.POLL))
    await clock.settle()
    clock._time += 1.0
    gate.answered()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (budget.in_flight, gate.waiting) == (1, 0)
    budget.answered(ticket, clock.time())
    await gate.close()


@pytest.mark.parametrize("phase", ["connecting", "waiting for the answer"])
async def test_a_cancelled_request_gives_its_ticket_back(hostile, connect, clock, budget, phase):
    """A request cancelled on its way counts as one, and is not in flight for ever."""

    async def silent(writer):
        await asyncio.Event().wait()

    hostile.answer(silent)
    client = await connect(hostile.url, clock=clock, budget=budget)
    asked = asyncio.create_task(client.get("e"))
    if phase == "connecting":
        await asyncio.sleep(0)
    else:
        await hostile.until(1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert budget.in_flight == 0
    assert client.statistics.answers == {"none": 1}
    assert budget.remaining(clock.time()) == LIMIT - 1


async def test_closing_ends_those_who_wait(paced, clock):
    """Requests that wait for their turn fail when the client is closed, certainly unsent; so do later ones."""
    service, client = paced
    await missing(client, "first")
    waiting = [asyncio.create_task(client.get(f"e{number}")) for number in range(3)]
    await clock.settle()
    await client.close()
    for work in (*waiting, client.get("late"), client.pause("late")):
        with pytest.raises(ConnectionFailedError, match="the client is closed") as raised:
            await work
        assert raised.value.sent is False
        assert raised.value.sent_at is None
    assert (clock.sleepers, len(service.requests)) == (0, 1)
    await client.close()


@pytest.mark.parametrize("first", ["closed", "cancelled"])
async def test_a_waiter_cancelled_while_the_client_closes_is_cancelled(paced, clock, budget, first):
    """Cancelling wins over the error of closing, and leaves nothing either."""
    _, client = paced
    await missing(client, "first")
    waiting = asyncio.create_task(client.get("second"))
    await clock.settle()
    if first == "cancelled":
        waiting.cancel()
    closing = asyncio.create_task(client.close())
    if first == "closed":
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await closing
    assert (budget.in_flight, clock.sleepers) == (0, 0)


async def test_closing_in_the_moment_of_a_slot_sends_nothing(paced, clock, budget):
    """A request let out just when the client is closed does not leave, nor open a connection nobody would close."""
    service, client = paced
    await missing(client, "first")
    asked = asyncio.create_task(client.get("second"))
    await clock.settle()
    clock._time += 60.0
    client._transport._gate.answered()
    assert budget.in_flight == 1
    await client.close()
    with pytest.raises(ConnectionFailedError, match="the client is closed") as raised:
        await asked
    assert raised.value.sent is False
    assert (len(service.requests), budget.in_flight) == (1, 0)


async def test_a_wait_that_depends_on_answers_looks_again(clock):
    """Where only an answer can free a slot, and it comes to another client, the budget is asked again soon."""
    budget = RequestBudget(per_minute=1, reserve=0, burst=1)
    gate, other = Gate(budget, clock), Gate(budget, clock)
    ticket = await gate.enter(Priority.POLL)
    waiting = asyncio.create_task(other.enter(Priority.POLL))
    await clock.settle()
    assert clock.next_wake == clock.time() + LOOK_AGAIN_S
    budget.answered(ticket, clock.time())
    await clock.advance(62)
    assert waiting.done()
    assert budget.in_flight == 1
    await asyncio.gather(gate.close(), other.close())


async def test_each_request_that_leaves_has_a_slot_of_its_own(hostile, connect, clock, until, whole):
    """A renewal's second request, and one after a broken connection, take a slot each; none is sent unasked."""
    budget = RequestBudget(per_minute=LIMIT)

    async def broken(writer):
        writer.transport.abort()

    good = whole({"id": "e", "status": "running"})
    hostile.answer(good, broken, whole({"error": "expired"}, 401), good)
    client = await connect(hostile.url, lambda: "a-token-that-changes", clock=clock, budget=budget)
    results = []
    for _ in range(3):
        asked = asyncio.create_task(client.get("e", priority=Priority.CONTROL))
        await until(asked.done)
        results.append(asked.exception())
    assert [type(result) for result in results] == [type(None), ConnectionFailedError, type(None)]
    assert len(hostile.requests) == client.statistics.requests == 4
    assert client.statistics.answers == {"2xx": 2, "none": 1, "4xx": 1}
