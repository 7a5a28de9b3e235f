"""The writer: batches are whole, in order, and written once, whoever leads and whatever gets lost on the way."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from parts import START, Connect, Parts, be_impatient, commit, connecting, insisting, moved, row, true
from proxy import BATCH, COMMIT, Proxy, between

from titan_state import Execution, JournalError, LeadershipLostError, Tracker
from titan_state.clock import SystemClock
from titan_state.core.events import Event
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import State
from titan_state.errors import JournalDamagedError, JournalUnavailableError
from titan_state.journal.base import Commit
from titan_state.journal.nats import NatsJournal
from titan_state.journal.nats.batch import MOST, DoubtfulError
from titan_state.journal.nats.messages import Head
from titan_state.journal.nats.writer import LARGEST_COMMIT
from titan_state.monitor.outbox import Outbox
from titan_state.monitor.watches import Watches


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with connecting() as made:
        yield made


@pytest.fixture
async def proxy(nats, monkeypatch) -> AsyncIterator[Proxy]:
    """Something between a client and the server that loses things."""
    be_impatient(monkeypatch)
    async with between(nats.port) as made:
        yield made


async def restored(parts: Parts) -> State:
    """Return what the next one to lead is told."""
    return await (await parts.leading("the next one")).restore()


async def test_positions_are_those_of_the_messages(nats, connect):
    """What append returns is where each event is, in the order of the log; the head is the last of them."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    assert (writer.epoch, writer.head) == (1, 0)
    first = await writer.append(commit(moved("a", 1), moved("b", 1)))
    second = await writer.append(commit(moved("a", 2)))
    assert list(first) == sorted(first)
    assert first[-1] < second[0] == writer.head
    for position, name in zip([*first, *second], ["a:1", "b:1", "a:2"], strict=True):
        assert parts.reader.event(await parts.reader.at(position)).id == name
    assert [stored.position for stored in await parts.all()] == [*first, *second]
    assert [stored.headers["Titan-Epoch"] for stored in await parts.all()] == ["1"] * 3
    assert await writer.append(Commit(records=(row("c", 4),))) == []
    assert writer.head == second[0]


async def test_what_is_replaced_is_there_once(nats, connect):
    """Of the head, of each record and of each list there is the latest only; of events, all."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    for seq in range(1, 6):
        await writer.append(commit(moved("a", seq), lists={None: Baseline(START, complete=seq > 3), "t": None}))
    assert len(await parts.all(parts.layout.state)) == 4
    assert len(await parts.all()) == 5


async def test_ids_of_any_kind(nats, connect):
    """Dots, wildcards, spaces, line breaks and 5,000 characters are ids like any other."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    names = ["a.b.*", ">", " ", "line\nbreak", "ä" * 5000, "", "e:1"]
    await writer.append(commit(*(moved(name, 1) for name in names)))
    assert await parts.ids() == [f"{name}:1" for name in names]
    assert [record[0] for record in (await restored(parts)).records] == names


async def test_what_is_too_long_for_a_message_is_cut(nats, connect):
    """An event with more than the server takes is written, without what the service says beyond what is documented."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    extra = MappingProxyType({"log": "x" * 3_000_000})
    final = json.dumps({"id": "a", "status": "completed", "extra": {"log": "x" * 3_000_000}})
    await writer.append(Commit(events=(moved("a", 1, extra=extra),), records=(row("a", 1, final=final),)))
    (stored,) = await parts.all()
    assert parts.reader.event(stored).execution == Execution("a", "completed", dropped=("extra",))
    assert (await restored(parts)).records == [row("a", 1)]


async def test_the_largest_commit(nats, connect):
    """As many messages as the server takes at once go into one batch, the head with them."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    assert LARGEST_COMMIT == MOST - 1
    events = [moved(f"e{number}", 1) for number in range(LARGEST_COMMIT)]
    positions = await writer.append(Commit(events=events))
    assert positions == list(range(positions[0], positions[0] + LARGEST_COMMIT))
    assert await parts.ids() == [event.id for event in events]


async def test_a_deposed_writer_is_fenced(nats, connect):
    """Who was replaced writes nothing more, not even of executions that the new one has not written about."""
    old, new = await connect(nats.url), await connect(nats.url)
    first = await old.leading("the old one")
    await first.append(commit(moved("a", 1)))
    second = await new.leading("the new one")
    assert second.epoch == 2
    assert not await first.still_ours()
    assert await second.still_ours()
    for _ in range(2):
        with pytest.raises(LeadershipLostError, match="the new one leads shop now"):
            await first.append(commit(moved("never seen", 1), moved("b", 1)))
    positions = await second.append(commit(moved("a", 2)))
    with pytest.raises(LeadershipLostError):
        await first.append(commit(moved("a", 2), floor=1000, horizon=1e12))
    assert await new.ids() == ["a:1", "a:2"]
    assert second.head == positions[0]
    state = await restored(new)
    assert [record[0] for record in state.records] == ["a"]
    assert state.floor == 0


async def test_of_two_that_take_over_at_once_one_leads(nats, connect):
    """Who finds another head than it has read does not lead, and says so."""
    one, two = await connect(nats.url), await connect(nats.url)
    first, second = one.writer(), two.writer()
    known = await second._read_head()
    await first.take_over()

    async def stale() -> object:
        return known

    second._read_head = stale
    with pytest.raises(LeadershipLostError, match="another monitor took over shop first"):
        await second.take_over()
    await first.append(commit(moved("a", 1)))


async def test_epochs_go_on(nats, connect):
    """Each that takes over has a higher epoch than all before it, and knows whether there was one."""
    parts = await connect(nats.url)
    writers = [parts.writer(str(number)) for number in range(4)]
    assert [await writer.take_over() for writer in writers] == [False, True, True, True]
    assert [writer.epoch for writer in writers] == [1, 2, 3, 4]


@pytest.mark.parametrize("further", [False, True], ids=["the same", "further ones"])
@pytest.mark.parametrize("how", ["swallow", "drop"])
async def test_a_lost_acknowledgement(nats, connect, proxy, how, further):
    """What was written without an answer is not written again, and its positions are told with the next attempt."""
    parts = await connect(proxy.url)
    writer = await parts.leading()
    await writer.append(commit(moved("z", 1)))
    events = [moved("a", 1), moved("b", 1), moved("a", 2)]
    proxy.arm(how)
    with pytest.raises(DoubtfulError):
        await writer.append(commit(*events, floor=3, horizon=5.0))
    assert proxy.has_struck.is_set()
    proxy.heal()
    if further:
        events += [moved("a", 3), moved("c", 1)]
    positions = await insisting(lambda: writer.append(commit(*events)))
    assert await parts.ids() == ["z:1", *(event.id for event in events)]
    for position, event in zip(positions, events, strict=True):
        assert parts.reader.event(await parts.reader.at(position)).id == event.id
    assert writer.head == max(positions)
    state = await restored(parts)
    assert {record[0]: record[8] for record in state.records} == {"z": 1, "a": 3 if further else 2, "b": 1} | (
        {"c": 1} if further else {}
    )
    assert (state.floor, state.horizon) == (3, 5.0)


async def test_acknowledgements_lost_again_and_again(nats, connect, proxy):
    """Each attempt was written, and no answer came, until one does: every event is there once, in order."""
    parts = await connect(proxy.url)
    writer = await parts.leading()
    events: list[Event] = []
    for number in range(4):
        events += [moved("a", number + 1), moved(f"b{number}", 1)]
        proxy.arm("drop")
        await true(lambda: parts.link.is_up)
        with pytest.raises(DoubtfulError):
            await writer.append(commit(*events))
        proxy.heal()
    positions = await insisting(lambda: writer.append(commit(*events)))
    assert sorted(await parts.ids()) == sorted(event.id for event in events)
    assert [name for name in await parts.ids() if name.startswith("a:")] == ["a:1", "a:2", "a:3", "a:4"]
    for position, event in zip(positions, events, strict=True):
        assert parts.reader.event(await parts.reader.at(position)).id == event.id
    assert writer._found == {}


async def test_what_was_found_may_be_appended_in_parts(nats, connect, proxy):
    """The events of a lost attempt are asked for again in other commits than before, and written once all the same."""
    parts = await connect(proxy.url)
    writer = await parts.leading()
    proxy.arm("drop")
    with pytest.raises(DoubtfulError):
        await writer.append(commit(moved("a", 1), moved("b", 1), moved("c", 1)))
    proxy.heal()
    late = await insisting(lambda: writer.append(commit(moved("c", 1), moved("c", 2))))
    early = await writer.append(commit(moved("a", 1), moved("b", 1), moved("b", 2)))
    assert await parts.ids() == ["a:1", "b:1", "c:1", "c:2", "b:2"]
    assert [stored.position for stored in await parts.all()] == [early[0], early[1], late[0], late[1], early[2]]
    assert writer.head == early[2]


@pytest.mark.parametrize("mark", [BATCH, COMMIT], ids=["before the batch", "before its end"])
async def test_a_batch_that_did_not_arrive_whole(nats, connect, proxy, mark):
    """Of a batch that broke off nothing is written; it is written with the next attempt, once."""
    parts = await connect(proxy.url)
    writer = await parts.leading()
    proxy.arm("cut", mark)
    with pytest.raises(JournalUnavailableError):
        await writer.append(commit(*(moved(f"e{number}", 1, error="x" * 2000) for number in range(90))))
    assert proxy.has_struck.is_set()
    positions = await insisting(lambda: writer.append(commit(moved("e0", 1), moved("e1", 1))))
    assert await parts.ids() == ["e0:1", "e1:1"]
    assert [stored.position for stored in await parts.all()] == positions


async def test_a_batch_that_arrives_late_is_refused(nats, connect, proxy):
    """What was on its way when it was given up, and arrives after the retry, is not written a second time."""
    parts = await connect(proxy.url)
    writer = await parts.leading()
    proxy.arm("hold", BATCH)
    with pytest.raises(DoubtfulError):
        await writer.append(commit(moved("a", 1), moved("b", 1)))
    await insisting(lambda: writer.append(commit(moved("a", 1), moved("b", 1), moved("a", 2))))
    assert proxy.held
    await proxy.release()
    await asyncio.sleep(0.3)
    assert await parts.ids() == ["a:1", "b:1", "a:2"]
    await writer.append(commit(moved("a", 3)))
    assert await parts.ids() == ["a:1", "b:1", "a:2", "a:3"]


async def test_a_batch_that_arrives_before_its_retry(nats, connect, proxy):
    """What was given up, and arrives all the same before the next attempt, counts as written."""
    parts = await connect(proxy.url)
    writer = await parts.leading()
    proxy.arm("hold", BATCH)
    with pytest.raises(DoubtfulError):
        await writer.append(commit(moved("a", 1), moved("b", 1)))
    await proxy.release()
    await asyncio.sleep(0.3)
    positions = await insisting(lambda: writer.append(commit(moved("a", 1), moved("b", 1), moved("a", 2))))
    assert await parts.ids() == ["a:1", "b:1", "a:2"]
    assert [stored.position for stored in await parts.all()] == positions


async def test_a_lost_acknowledgement_of_one_who_was_deposed(nats, connect, proxy):
    """Whose batch was written, and who was replaced then, is told that it does not lead; the batch stays, once."""
    parts, other = await connect(proxy.url), await connect(nats.url)
    writer = await parts.leading()
    proxy.arm("drop")
    with pytest.raises(DoubtfulError):
        await writer.append(commit(moved("a", 1)))
    proxy.heal()
    successor = other.writer("the new one")
    await successor.take_over()
    with pytest.raises(LeadershipLostError, match="the new one"):
        await insisting(lambda: writer.append(commit(moved("a", 1), moved("a", 2))))
    assert await other.ids() == ["a:1"]
    assert [record[0] for record in (await successor.restore()).records] == ["a"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_gets_lost(nats, connect, proxy, monkeypatch, seed):
    """Answers, batches, connections at random, with further events each time: all are there once, in order, as told."""
    be_impatient(monkeypatch, 0.3)
    rng = random.Random(seed)
    parts = await connect(proxy.url)
    writer = await insisting(parts.leading)
    seqs = dict.fromkeys("abc", 0)
    waiting: list[Event] = []
    told: dict[str, int] = {}
    ways = [("swallow", COMMIT), ("drop", COMMIT), ("cut", BATCH), ("cut", COMMIT), ("hold", BATCH), ("", b"")]
    for _ in range(10):
        for name in rng.choices("abc", k=rng.randint(1, 4)):
            seqs[name] += 1
            waiting.append(moved(name, seqs[name]))
        await true(lambda: parts.link.is_up)
        how, mark = rng.choice(ways)
        if how:
            proxy.arm(how, mark)
        try:
            positions = await writer.append(commit(*waiting))
        except JournalUnavailableError:
            proxy.heal()
            if rng.random() < 0.5:
                await proxy.release()
            continue
        told |= {event.id: position for event, position in zip(waiting, positions, strict=True)}
        waiting = []
    proxy.heal()
    positions = await insisting(lambda: writer.append(commit(*waiting)))
    told |= {event.id: position for event, position in zip(waiting, positions, strict=True)}
    await proxy.release()
    await asyncio.sleep(0.2)
    log = [(parts.reader.event(stored), stored.position) for stored in await parts.all()]
    assert {event.id: position for event, position in log} == told
    assert len(log) == len(told)
    for name, last in seqs.items():
        assert [event.seq for event, _ in log if event.execution_id == name] == list(range(1, last + 1))
    assert {record[0]: record[8] for record in (await restored(parts)).records} == seqs


async def test_nothing_is_kept_for_later_while_the_connection_is_away(nats, connect, monkeypatch):
    """An append without a connection fails at once, and is not sent when the connection is back."""
    be_impatient(monkeypatch)
    parts = await connect(nats.url)
    writer = await parts.leading()
    nats.kill()
    with pytest.raises(JournalUnavailableError):
        await writer.append(commit(moved("a", 1)))
    await true(lambda: not parts.link.is_up)
    with pytest.raises(JournalUnavailableError, match="is away"):
        await writer.append(commit(moved("a", 1)))
    nats.restart()
    assert await insisting(parts.ids) == []
    await insisting(lambda: writer.append(commit(moved("a", 1))))
    assert await parts.ids() == ["a:1"]


async def test_a_restart_in_between(nats, connect, monkeypatch):
    """After the server was killed and started again, everything is there, and the same writer goes on."""
    be_impatient(monkeypatch)
    parts = await connect(nats.url)
    writer = await parts.leading()
    first = await writer.append(commit(moved("a", 1), lists={"t": Baseline(START)}))
    nats.restart()
    second = await insisting(lambda: writer.append(commit(moved("a", 2), moved("b", 1))))
    assert first[0] < second[0]
    successor = parts.writer("next")
    assert await successor.take_over()
    assert successor.head == second[-1]
    state = await successor.restore()
    assert {record[0]: record[8] for record in state.records} == {"a": 2, "b": 1}
    assert state.lists == {"t": Baseline(START)}


async def test_restore_returns_what_was_appended(nats, connect):
    """Rows, lists, floor and horizon are as they were appended last, the longest unchanged row first."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    assert await writer.restore() == await writer.restore()
    since = datetime(2026, 5, 1, 12, 30, 15, 250_000, UTC)
    await writer.append(Commit(records=(row("a", 1), row("b", 1), row("c", 1)), floor=2, horizon=10.0))
    await writer.append(Commit(lists={None: Baseline(), "t": Baseline(since, complete=True), "gone": Baseline()}))
    await writer.append(Commit(records=(row("b", 2, rare='{"is_back":true}', final='{"id":"b"}'),)))
    await writer.append(Commit(lists={"gone": None}, floor=1, horizon=5.0))
    await writer.append(Commit(records=(row("", 1, task_id=None, progress=0.1, updated_at=1e9 + 0.123456),)))
    state = await restored(parts)
    assert list(state.records) == [
        row("a", 1),
        row("c", 1),
        row("b", 2, rare='{"is_back":true}', final='{"id":"b"}'),
        row("", 1, task_id=None, progress=0.1, updated_at=1e9 + 0.123456),
    ]
    assert state.lists == {None: Baseline(), "t": Baseline(since, complete=True)}
    assert (state.floor, state.horizon) == (2, 10.0)
    await (await parts.leading()).append(Commit(floor=7))
    state = await restored(parts)
    assert (state.floor, state.horizon) == (7, 10.0)


async def test_more_rows_than_one_read_returns(nats, connect):
    """A state of many thousand rows comes back whole and in order."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    names = [f"e{number}" for number in range(3 * LARGEST_COMMIT)]
    for start in range(0, len(names), LARGEST_COMMIT):
        await writer.append(Commit(records=[row(name, 1) for name in names[start : start + LARGEST_COMMIT]]))
    assert [record[0] for record in (await restored(parts)).records] == names


@pytest.mark.parametrize("what", ["record", "list", "head"])
async def test_what_cannot_be_read_is_said(nats, connect, what):
    """A record that somebody has spoiled is named, with what to do before it is removed; nothing is made up."""
    parts = await connect(nats.url)
    writer = await parts.leading()
    layout = parts.layout
    subject = {"record": layout.record("a"), "list": layout.list("a"), "head": layout.head}[what]
    await parts.link.put(subject, b"spoiled")
    with pytest.raises(JournalDamagedError, match=layout.stream):
        await restored(parts)
    if what == "head":
        with pytest.raises(JournalError):
            await writer.append(commit(moved("a", 1)))


async def test_more_than_one_batch_holds(nats):
    """What came up while NATS was away goes out in as many batches as it takes, and everything is told once."""
    journal = NatsJournal(nats.url, lease_s=5.0)
    await journal.open()
    try:
        await journal.lead("shop")
        tracker, told = Tracker(), []
        tracker.remember_changes()
        outbox = Outbox(
            journal,
            tracker,
            Watches(),
            SystemClock(),
            publish=lambda positions, events: told.extend(zip(positions, events, strict=True)),
        )
        names = [f"e{number}" for number in range(900)]
        for at, status in enumerate(["queued", "running"]):
            for name in names:
                outbox.put(tracker.observe(Execution(name, status), sent_at=float(at), received_at=at + 0.1))
        assert outbox.waiting + len(names) > 2 * MOST
        run = asyncio.create_task(outbox.run())
        await outbox.committed()
        outbox.leave()
        await run
        log = await journal.log(0, 10_000)
        assert sorted(event.id for _, event in log) == sorted(f"{name}:{seq}" for name in names for seq in (1, 2))
        assert sorted(told, key=lambda one: one[0]) == log
        assert {record[0]: record[8] for record in await journal.records()} == dict.fromkeys(names, 2)
        assert await journal.verify() == []
    finally:
        await journal.close()


async def test_head_messages_are_small_and_say_who_leads(nats, connect):
    """A person who looks into the stream sees who leads, since which epoch."""
    parts = await connect(nats.url)
    writer = await parts.leading("process 7 on host")
    await writer.append(commit(moved("a", 1)))
    stored = await parts.reader.last(parts.layout.head)
    head = Head.read(stored.data)
    assert (head.epoch, head.holder, head.floor) == (1, "process 7 on host", 0)
    assert len(stored.data) < 300
