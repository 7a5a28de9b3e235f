"""Hardships of a stream: it is full, spoiled or removed, what is to be written is too long, or the machine sleeps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import nats as client
import pytest
from parts import START, Connect, be_impatient, commit, connecting, insisting, moved, true
from proxy import between
from servers import Server, running

from titan_state import JournalError, JournalUnavailableError, Transitioned
from titan_state import clock as clocks
from titan_state.clock import SystemClock
from titan_state.errors import JournalDamagedError
from titan_state.journal.base import Commit
from titan_state.journal.nats import NatsJournal, leading
from titan_state.journal.nats.batch import DoubtfulError, FullError
from titan_state.journal.nats.layout import Layout
from titan_state.journal.nats.roster import Roster
from titan_state.journal.nats.stream import LEAST_PAYLOAD
from titan_state.journal.nats.writer import MOST_BYTES

LAYOUT = Layout("shop")
LONG = "x" * 20_000

Open = Callable[..., Awaitable[NatsJournal]]


@pytest.fixture
async def opened(nats) -> AsyncIterator[Open]:
    """Open journals that lead at the server; all are closed in the end."""
    async with AsyncExitStack() as stack:

        async def make(**options: object) -> NatsJournal:
            journal = NatsJournal(nats.url, partitions=1, **options)
            stack.push_async_callback(journal.close)
            await journal.open()
            await journal.lead("shop")
            return journal

        yield make


@pytest.fixture
async def js(nats) -> AsyncIterator[client.js.JetStreamContext]:
    """What somebody else can do to the stream."""
    async with await client.connect(nats.url) as nc:
        yield nc.jetstream()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with connecting() as made:
        yield made


# A stream that is full.


def recent(seq: int, error: str = LONG) -> Transitioned:
    """Return an event of just now: its age alone is no reason to drop it."""
    return moved("a", seq, minutes=(datetime.now(UTC) - START).total_seconds() / 60, error=error)


async def filled(journal: NatsJournal) -> int:
    """Append events of an execution until one is refused; return its number."""
    seq = 0
    with pytest.raises(FullError, match="has no room left"):  # noqa: PT012 # which of them is refused is not known
        for seq in range(1, 200):
            await journal.append(commit(recent(seq)))
    return seq


async def test_a_stream_that_is_full_can_be_taken_over(opened, nats, js, monkeypatch):
    """Whoever is to lead makes room first, if the one before ended without: else nobody could ever lead again."""

    async def nothing(self: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(leading.Leading, "_make_room", nothing)
        before = await opened(max_bytes=1 << 20, lease_s=1.0)
        await filled(before)
        with pytest.raises(client.js.errors.APIError):  # noqa: PT012 # up to the last byte
            while True:
                await js.publish(LAYOUT.event("b"), b"x")
        await before.close()
    after = await opened(max_bytes=1 << 20)
    await insisting(lambda: after.append(commit(moved("c", 1))))
    assert [event.id for event in await after.history("c")] == ["c:1"]


async def test_a_full_store_costs_no_events(opened, monkeypatch):
    """Where it is not the stream's own limit that is reached, nothing is dropped: it would help nobody."""
    journal = await opened()
    await journal.append(commit(*(moved("a", seq) for seq in range(1, 9))))
    await journal._leading._make_room()
    assert len(await journal.history("a")) == 8


async def test_room_is_made_in_a_stream_that_is_full(opened, monkeypatch, caplog):
    """A write that is refused has the older half of the events dropped at once, and the next one is let in."""
    monkeypatch.setattr(leading, "FULL_S", 0.05)
    journal = await opened(max_bytes=1 << 20)
    for _ in range(2):  # it is not done once only
        caplog.clear()
        seq = await filled(journal)
        before = [event.seq for _, event in await journal.log(0, 999)]
        await true(lambda: "is full" in caplog.text)
        await insisting(lambda seq=seq: journal.append(commit(recent(seq))))
        after = [event.seq for _, event in await journal.log(0, 999)]
        assert after[-1] == seq
        assert len(after) < len(before) + 1
        assert f"the stream {LAYOUT.stream} is full: " in caplog.text
        assert "events were dropped" in caplog.text
        assert await journal.prune(datetime.max.replace(tzinfo=UTC))
    assert journal.lease.is_held
    assert await journal.verify() == []


async def test_how_many_were_dropped_is_said(opened, monkeypatch, caplog):
    """It is half of them, and the newest stay."""
    journal = await opened(max_bytes=1 << 20)
    last = await filled(journal) - 1
    await true(lambda: "is full" in caplog.text)
    dropped = last - last // 2
    assert f"is full: {dropped} of {last} events were dropped" in caplog.text
    assert [event.seq for _, event in await journal.log(0, 999)] == list(range(dropped + 1, last + 1))


async def test_what_a_subscription_has_not_had_is_not_dropped(opened, monkeypatch, caplog):
    """However full it is, it goes on refusing what is new, until the subscription has had what is there."""
    monkeypatch.setattr(leading, "FULL_S", 0.05)
    journal = await opened(max_bytes=1 << 20)
    slow = await journal.subscribe("slow", lambda event: True, since="beginning", head=0, notify=lambda: None)
    await slow.close()
    seq = await filled(journal)

    async def is_left_at_that() -> bool:
        with pytest.raises(FullError):
            await journal.append(commit(recent(seq)))
        return caplog.text.count(f"is full: 0 of {seq - 1} events were dropped") >= 3

    await true(is_left_at_that)
    assert len(await journal.log(0, 999)) == seq - 1
    await journal.unsubscribe("slow")
    await insisting(lambda: journal.append(commit(recent(seq))))
    assert [event.seq for _, event in await journal.log(0, 999)][-1] == seq


# What is odd in it.


async def test_what_is_odd_about_subscriptions_does_not_keep_events(opened, monkeypatch, caplog):
    """One step of upkeep that fails is warned of, and the others are done all the same."""

    async def fail(self: object, older_than_s: float) -> list[str]:
        raise JournalDamagedError("the message at position 7 is no subscription")

    monkeypatch.setattr(Roster, "expire", fail)
    journal = await opened(max_events=2)
    for seq in range(1, 6):
        await journal.append(commit(recent(seq)))
    await journal._leading._tidy()
    assert "which is tried again in an hour: the message at position 7 is no subscription" in caplog.text
    assert [event.seq for _, event in await journal.log(0, 99)] == [4, 5]


async def test_a_mistake_in_one_step_does_not_end_upkeep(opened, monkeypatch, caplog):
    """Even what should never be raised keeps no other step from being done, nor the next round."""
    monkeypatch.setattr(leading, "FIRST_UPKEEP_S", 0.05)
    monkeypatch.setattr(leading, "UPKEEP_S", 0.05)
    done: list[str] = []

    async def fail(self: object) -> None:
        done.append("fails")
        raise KeyError("odd")

    async def note(self: object) -> None:
        done.append("works")

    for name, step in (("_prune", fail), ("_expire", note), ("_trim", fail), ("_forget", note)):
        monkeypatch.setattr(leading.Leading, name, step)
    await opened()
    await true(lambda: len(done) >= 8)
    assert done[:8] == ["fails", "works"] * 4
    assert "the journal could not be kept in order" in caplog.text


async def test_an_event_that_cannot_be_read_keeps_none_of_the_others(opened, js):
    """It is passed over where a time begins, and what is older is dropped, with it."""
    journal = await opened()
    positions: list[int] = []
    for minute in range(4):
        positions += await journal.append(commit(moved("a", minute + 1, minutes=minute)))
        for name in ("noise", "more noise"):
            await js.publish(LAYOUT.event(name), b"noise")
    upkeep = journal._parts.upkeep
    for minute in range(4):
        found = await upkeep.first_since(START + timedelta(minutes=minute))
        assert found <= positions[minute]
        assert all(found > position for position in positions[:minute])
    assert await upkeep.first_since(START + timedelta(minutes=99)) > positions[-1]
    assert await journal.prune(START + timedelta(minutes=1.5)) >= 4
    assert [event.seq for event in await journal.history("a")] == [3, 4]
    assert await journal.prune(datetime.max.replace(tzinfo=UTC)) >= 4
    assert await journal.history("a") == []


# A stream that is not there any more.


async def test_a_stream_that_is_removed_under_a_leader(opened, js):
    """It is no passing trouble: it is said what was removed, and what to do, and nothing is doubtful about it."""
    journal = await opened()
    await journal.append(commit(moved("a", 1)))
    await js.delete_stream(LAYOUT.stream)
    for _ in range(3):
        with pytest.raises(JournalError, match=f"the stream {LAYOUT.stream} was removed from .*restore it") as raised:
            await journal.append(commit(moved("a", 2)))
        assert not isinstance(raised.value, JournalUnavailableError)
    assert not journal._leading.writer._doubts


async def test_doubts_about_the_same_events_have_them_once(nats, connect, monkeypatch):
    """While no answer comes for hours, what is remembered of each attempt is a mark, and not its thousand ids."""
    be_impatient(monkeypatch, 0.3)
    async with between(nats.port) as proxy:
        parts = await connect(proxy.url)
        writer = await parts.leading()
        events = [moved(f"e{number}", 1) for number in range(50)]
        proxy.mute()
        for _ in range(3):
            with pytest.raises(DoubtfulError):
                await writer.append(Commit(events=events))
        first, *others = writer._doubts
        assert len(others) == 2
        assert all(one.events is first.events for one in others)
        assert len({one.mark for one in writer._doubts}) == 3
        with pytest.raises(DoubtfulError):
            await writer.append(Commit(events=[*events, moved("e0", 2)]))
        assert writer._doubts[-1].events is not first.events
        proxy.heal()
        positions = await insisting(lambda: writer.append(Commit(events=events)))
        assert len(set(positions)) == len(events)
        assert not writer._doubts
        assert (await parts.ids())[: len(events)] == [event.id for event in events]


# What is far too long.


def extra(length: int) -> MappingProxyType:
    """Return so many characters of what the service says beyond what is documented."""
    return MappingProxyType({"log": "x" * length})


async def test_one_long_event_among_many(nats, connect):
    """It is written with everything in it: there is room for that in the batch."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    events = [moved(f"e{number}", 1) for number in range(498)]
    events.insert(250, moved("long", 1, extra=extra(40_000)))
    await writer.append(commit(*events))
    found = {event.execution_id: event for event in map(parts.reader.event, await parts.all())}
    assert list(found) == [event.execution_id for event in events]
    assert dict(found["long"].execution.extra) == dict(extra(40_000))
    assert found["long"].execution.dropped == ()


async def test_more_bytes_than_one_batch_may_have(nats, connect):
    """Long ones are written without what they have too much of, short ones as they are, and all of them at once."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    long = [moved(f"long{number}", 1, extra=extra(900_000)) for number in range(40)]
    short = [moved(f"short{number}", 1, extra=extra(1000)) for number in range(40)]
    assert MOST_BYTES < 40 * 900_000
    events = [event for pair in zip(long, short, strict=True) for event in pair]
    positions = await writer.append(commit(*events))
    assert positions == list(range(positions[0], positions[0] + len(events)))
    stored = await parts.all()
    assert sum(len(one.data) for one in stored) <= MOST_BYTES
    found = {event.execution_id: event for event in map(parts.reader.event, stored)}
    assert [event.id for event in found.values()] == [event.id for event in events]
    dropped = {event.execution_id: event.execution.dropped for event in found.values()}
    assert set(dropped.values()) <= {(), ("extra",)}
    assert dropped["long39"] == ("extra",)
    assert all(found[event.execution_id] == event for event in events if not dropped[event.execution_id])
    assert not any(dropped[event.execution_id] for event in short)


# What it runs on.


async def test_a_server_that_takes_short_messages_only(tmp_path):
    """It is refused in words that say how long they must be; one that takes just that is good enough."""
    for most, is_enough in ((LEAST_PAYLOAD - 1, False), (LEAST_PAYLOAD, True)):
        with running(Server(tmp_path / str(most), f"max_payload: {most}")) as server:
            journal = NatsJournal(server.url)
            try:
                if is_enough:
                    await journal.open()
                    continue
                with pytest.raises(JournalError, match=f"messages of {most} bytes.*max_payload to {LEAST_PAYLOAD}"):
                    await journal.open()
            finally:
                await journal.close()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that is called so")
def test_the_sleep_of_a_machine_counts(monkeypatch):
    """A lease that ran out while a machine was asleep has run out when it wakes."""
    told = {time.CLOCK_BOOTTIME: 1000.0}
    monkeypatch.setattr(clocks.time, "clock_gettime", lambda clock: told[clock])
    assert SystemClock().time() == 1000.0
    told[time.CLOCK_BOOTTIME] += 8 * 3600
    assert SystemClock().time() == 1000.0 + 8 * 3600
