"""What every journal does: it keeps events in order, and hands each to every subscription until it is dealt with."""

from __future__ import annotations

from datetime import timedelta

import pytest
from log import START, ids, moved, subscribed, write

from titan_state import JournalError, SubscriptionInUseError
from titan_state.journal.base import Commit


async def test_events_are_handed_out_in_order_and_once(journal):
    """What was appended is handed out in the order of the log, in as many parts as are asked for."""
    await write(journal, moved("a", 1), moved("b", 1))
    await write(journal, moved("a", 2))
    subscription = await subscribed(journal)
    assert journal.head == 3
    assert ids(await subscription.fetch(2)) == ["a:1", "b:1"]
    assert ids(await subscription.fetch(2)) == ["a:2"]
    assert await subscription.fetch(2) == []
    await write(journal, moved("c", 1))
    assert ids(await subscription.fetch(2)) == ["c:1"]


async def test_the_event_is_the_same_object_of_data(journal):
    """What is handed out equals what was appended, payload included."""
    event = moved("a", 1, progress=0.5, error="no", extra={"nested": [1, {"x": None}]})
    await write(journal, event)
    (delivery,) = await (await subscribed(journal)).fetch(9)
    assert delivery.event == event
    assert delivery.event.to_dict() == event.to_dict()


async def test_only_what_is_wanted(journal):
    """Events that a subscription is not for are not handed out, and hold nothing up."""
    await write(journal, moved("a", 1), moved("b", 1), moved("a", 2))
    subscription = await subscribed(journal, wants=lambda event: event.execution_id == "a")
    assert ids(await subscription.fetch(9)) == ["a:1", "a:2"]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("now", []),
        ("beginning", ["a:1", "a:2", "a:3"]),
        (START + timedelta(minutes=5), ["a:2", "a:3"]),
        (START + timedelta(minutes=60), []),
    ],
)
async def test_where_a_new_subscription_begins(journal, since, expected):
    """A new one begins at the end, at the beginning, or at a time."""
    await write(journal, moved("a", 1), moved("a", 2, minutes=5), moved("a", 3, minutes=10))
    subscription = await subscribed(journal, since=since, head=journal.head)
    assert ids(await subscription.fetch(9)) == expected
    await write(journal, moved("a", 4, minutes=70))
    assert ids(await subscription.fetch(9)) == ["a:4"]


async def test_what_is_unfinished_is_handed_out_again(journal):
    """After it was let go, a subscription hands out what was not acknowledged, in order, and nothing else."""
    await write(journal, *[moved(name, 1) for name in "abcdef"])
    first = await subscribed(journal)
    deliveries = await first.fetch(5)
    await first.acknowledge(deliveries[0])
    await first.acknowledge(deliveries[2])
    await first.retry(deliveries[3], due=START + timedelta(minutes=1), error="later")
    await first.close()
    second = await subscribed(journal, since="beginning")
    again = await second.fetch(9)
    assert sorted(ids(again)) == ["b:1", "d:1", "e:1", "f:1"]
    (tried,) = [one for one in again if one.event.id == "d:1"]
    assert (tried.attempts, tried.due) == (1, START + timedelta(minutes=1))
    for one in again:
        await second.acknowledge(one)
    await second.close()
    third = await subscribed(journal)
    assert await third.fetch(9) == []


async def test_one_holder_at_a_time(journal):
    """A subscription that is open cannot be opened again, nor removed."""
    subscription = await subscribed(journal)
    with pytest.raises(SubscriptionInUseError, match="subscription us is used by"):
        await subscribed(journal)
    with pytest.raises(SubscriptionInUseError):
        await journal.unsubscribe("us")
    await subscription.close()
    assert await journal.unsubscribe("us") is True
    assert await journal.unsubscribe("us") is False


async def test_the_rest_of_one_execution(journal):
    """What was handed out of one execution and is unfinished can be asked for again, after a place in the log."""
    await write(journal, *[moved(name, seq) for seq in (1, 2, 3) for name in "ab"])
    subscription = await subscribed(journal)
    deliveries = await subscription.fetch(5)
    await subscription.acknowledge(deliveries[2])
    first = deliveries[0].position
    assert ids(await subscription.fetch_of("a", after=first, limit=9)) == ["a:3"]
    assert ids(await subscription.fetch_of("b", after=0, limit=9)) == ["b:1", "b:2"]
    assert ids(await subscription.fetch_of("b", after=0, limit=1)) == ["b:1"]


async def test_dead_letters(journal):
    """What was given up is listed with its error, and handed out again when somebody says so, out of order."""
    await write(journal, moved("a", 1), moved("a", 2))
    subscription = await subscribed(journal)
    one, two = await subscription.fetch(9)
    await subscription.set_aside(one, error="ValueError: no")
    await subscription.retry(two, due=START + timedelta(hours=1), error="wait")
    letters = await journal.letters()
    assert [(letter.event.id, letter.is_dead, letter.attempts, letter.error) for letter in letters] == [
        ("a:1", True, 1, "ValueError: no"),
        ("a:2", False, 1, "wait"),
    ]
    assert [letter.event.id for letter in await journal.letters(dead_only=True)] == ["a:1"]
    assert letters[0].to_dict()["event"]["id"] == "a:1"
    assert await journal.redeliver(["a:2", "x", "a:1x", "b:1"]) == []
    assert await journal.redeliver(["a:1"], subscription="other") == []
    assert [letter.event.id for letter in await journal.redeliver(["a:1"])] == ["a:1"]
    (again,) = await subscription.fetch(9)
    assert (again.event.id, again.is_out_of_order, again.attempts) == ("a:1", True, 0)
    await subscription.acknowledge(again)
    assert [letter.event.id for letter in await journal.letters()] == ["a:2"]


async def test_how_far_subscriptions_have_come(journal):
    """The list of subscriptions says what waits, what is tried again and what was given up."""
    subscription = await subscribed(journal)
    await write(journal, *[moved(name, 1) for name in "abcd"])
    one, two = await subscription.fetch(2)
    await subscription.set_aside(one, error="x")
    await subscription.retry(two, due=START, error="y")
    (state,) = await journal.subscriptions()
    assert (state.name, state.waiting, state.unfinished, state.dead) == ("us", 2, 1, 1)
    assert state.holder is not None
    assert state.to_dict()["created"] == "2026-01-01T00:00:00+00:00"
    await subscription.close()
    (state,) = await journal.subscriptions()
    assert state.holder is None


async def test_the_history_of_an_execution(journal):
    """The events of one execution are found, in order."""
    await write(journal, moved("a", 1), moved("b", 1), moved("a", 2))
    assert [event.id for event in await journal.history("a")] == ["a:1", "a:2"]
    assert await journal.history("x") == []


async def test_it_is_in_order(journal):
    """Nothing is wrong with a journal that nobody has damaged."""
    await write(journal, moved("a", 1), moved("a", 2))
    assert await journal.verify() == []
    assert await journal.poll() is False


async def test_it_is_opened_once(journal):
    """One object is for one use at a time."""
    with pytest.raises(JournalError, match=r"used by another monitor|open already"):
        await journal.open()


async def test_the_log_is_read_without_a_subscription(journal):
    """Whoever only looks reads the log from a position on, some events at once, and leaves no trace."""
    await write(journal, *[moved(name, 1) for name in "abcd"])
    assert [(at, event.id) for at, event in await journal.log(0, 2)] == [(1, "a:1"), (2, "b:1")]
    assert [(at, event.id) for at, event in await journal.log(2, 9)] == [(3, "c:1"), (4, "d:1")]
    assert await journal.log(4, 9) == []
    assert await journal.subscriptions() == []


async def test_the_records_of_executions(journal):
    """What is known beside the events is handed out as it was written last; nothing is durable in memory."""
    row = ("a", "running", "t", *(None,) * 5, 1, 5.0, 4.0, 5.0, 0, None, None, None)
    await journal.append(Commit(records=[row]))
    await journal.append(Commit(records=[("b", *row[1:]), ("a", "paused", *row[2:])]))
    found = [(one[0], one[1]) for one in await journal.records()]
    assert found == ([("b", "running"), ("a", "paused")] if journal.is_durable else [])
