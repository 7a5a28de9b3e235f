"""What the service says of its limit: refusals hold requests back, headers only lower what may be sent."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from titan_state.core.budget import FIRST_BACKOFF_S, Priority
from titan_state.errors import NotFoundError, TooManyRequestsError

LIMIT = 12


@pytest.mark.parametrize(("reset_s", "waited_s"), [(30.0, 30.0), (500.0, 120.0)])
async def test_a_429_with_a_reset_holds_all_requests_until_then(paced, until, clock, reset_s, waited_s):
    """Everything waits for the reset, control too, but no longer than two minutes."""
    service, client = paced
    service.faults.spurious_429, service.faults.spurious_reset_s = {1}, reset_s
    with pytest.raises(TooManyRequestsError) as raised:
        await client.get("e")
    refused_at = clock.time()
    assert raised.value.reset_s == pytest.approx(reset_s, abs=1)
    action = asyncio.create_task(client.pause("e"))
    await until(action.done)
    assert service.requests[-1].clock_at - refused_at == pytest.approx(waited_s, abs=1.5)
    assert (client.statistics.throttled, client.statistics.answers["4xx"]) == (1, 2)
    await asyncio.gather(action, return_exceptions=True)


async def test_429s_without_a_reset_back_off_further_each_time(paced, until, clock):
    """Without a time in the answer, each refusal waits longer than the one before, and a success ends that."""
    service, client = paced
    service.faults.spurious_429, service.faults.spurious_reset_s = {1, 2, 3, 4, 5}, None
    times = []
    for _ in range(6):
        asked = asyncio.create_task(client.get("e", priority=Priority.CONTROL))
        await until(asked.done)
        times.append(service.requests[-1].clock_at)
        assert isinstance(asked.exception(), TooManyRequestsError if len(times) < 6 else NotFoundError)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] < pauses[2] < pauses[4]
    assert sum(pauses[3:]) > 3 * sum(pauses[:2])
    assert max(pauses) <= 61


async def test_a_429_counts_also_if_its_body_never_ends(hostile, connect, clock, budget):
    """The head of a refusal is enough: its body does not keep the budget from waiting."""

    async def endless(writer):
        writer.write(b"HTTP/1.1 429 Slow\r\nRetry-After: 40\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        await asyncio.Event().wait()

    hostile.answer(endless)
    client = await connect(hostile.url, clock=clock, budget=budget, total_timeout_s=0.1)
    with pytest.raises(TooManyRequestsError) as raised:
        await client.get("e")
    assert raised.value.reset_s == 40
    assert client.statistics.throttled == 1
    assert budget.ready_at(clock.time(), Priority.CONTROL) == clock.time() + 40


@pytest.mark.parametrize(
    ("date", "retry_after", "waited_s"),
    [
        ("Sun, 07 Jun 2043 10:00:00 GMT", "Sun, 07 Jun 2043 10:00:40 GMT", 40),  # a clock far from ours
        ("Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT", None),
        ("Thu, 01 Jan 2026 00:00:00 GMT", "Wed, 01 Jan 1975 00:00:00 GMT", None),
        ("Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", 120),
    ],
)
async def test_a_429_with_a_date_waits_by_the_services_clock(
    hostile, connect, clock, budget, date, retry_after, waited_s
):
    """A date to try again is counted from the answer's own date, within bounds; one gone by tells nothing."""
    hostile.say(b"", 429, Date=date, Retry_After=retry_after)
    client = await connect(hostile.url, clock=clock, budget=budget)
    with pytest.raises(TooManyRequestsError):
        await client.get("e")
    wait_s = budget.ready_at(clock.time(), Priority.CONTROL) - clock.time()
    assert wait_s == waited_s if waited_s is not None else 0 < wait_s <= 2 * FIRST_BACKOFF_S


async def test_a_200_that_says_too_many_requests_counts_as_refusal(hostile, connect, clock, budget):
    """The code is believed where the status says nothing."""
    hostile.say({"success": False, "error": {"code": "TOO_MANY_REQUESTS", "message": ""}}, Retry_After=40)
    client = await connect(hostile.url, clock=clock, budget=budget)
    with pytest.raises(TooManyRequestsError):
        await client.get("e")
    assert budget.ready_at(clock.time(), Priority.CONTROL) == clock.time() + 40


async def test_an_execution_that_speaks_of_too_many_requests_is_no_refusal(hostile, connect, clock, budget):
    """The words in an execution's own error are no answer to our request."""
    hostile.say({"data": {"id": "e", "status": "failed", "error": {"code": "TOO_MANY_REQUESTS"}}})
    client = await connect(hostile.url, clock=clock, budget=budget)
    assert (await client.get("e")).value.error == "TOO_MANY_REQUESTS"
    assert client.statistics.throttled == 0


@pytest.mark.parametrize(("said", "limit"), [("6", 6), ("600", LIMIT), ("0", LIMIT), ("-1", LIMIT), ("6.5", 6)])
async def test_headers_only_lower_the_limit(hostile, connect, clock, budget, said, limit):
    """What the service says its limit is holds if it is less than ours and can be meant."""
    hostile.say({"id": "e", "status": "running"}, X_RateLimit_Limit=said)
    client = await connect(hostile.url, clock=clock, budget=budget)
    await client.get("e")
    assert budget.limit == limit


async def test_what_is_said_to_remain_holds_back_requests(hostile, connect, clock, budget, until):
    """When others spend the account's requests, ours wait although our own log has room."""
    hostile.say({"id": "e", "status": "running"}, X_RateLimit_Remaining=0)
    client = await connect(hostile.url, clock=clock, budget=budget)
    await client.get("e")
    assert budget.remaining(clock.time()) == 0
    asked = asyncio.create_task(client.get("e", priority=Priority.CONTROL))
    began = clock.time()
    await until(asked.done)
    assert clock.time() - began == pytest.approx(60 / LIMIT, abs=0.5)
    await asked
