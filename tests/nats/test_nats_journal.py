"""The journal in NATS as a whole: what it tells, drops and refuses, and what a monitor does while NATS is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import nats as client
import pytest
from nats.js.api import StreamConfig
from parts import START, be_impatient, commit, insisting, moved, row, true
from servers import Server, running

from titan_state import (
    ConfigurationError,
    Handlers,
    JournalError,
    JournalUnavailableError,
    Monitor,
    RequestBudget,
    Subscriber,
)
from titan_state.core.tracking.retention import Baseline
from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.errors import JournalDamagedError, JournalVersionError
from titan_state.journal.base import Commit, Delivery
from titan_state.journal.nats import NatsJournal, inbox, leading, link, upkeep
from titan_state.journal.nats import journal as journals
from titan_state.journal.nats.layout import Layout
from titan_state.journal.nats.messages import event_written, row_written
from titan_state.journal.nats.roster import Roster
from titan_state.journal.nats.upkeep import NAMED
from titan_state.monitor import outbox

Open = Callable[..., object]
WIDE = 1 << 20


@pytest.fixture
async def opened(nats) -> AsyncIterator[Open]:
    """Open journals at the server, led or only followed; all are closed in the end."""
    async with AsyncExitStack() as stack:

        async def make(leads: str | None = None, /, *, url: str | None = None, **options: object) -> NatsJournal:
            journal = NatsJournal(url or nats.url, **options)
            stack.push_async_callback(journal.close)
            await journal.open()
            if leads is not None:
                await journal.lead(leads)
            return journal

        yield make


@pytest.fixture
async def js(nats) -> AsyncIterator[client.js.JetStreamContext]:
    """What somebody else can do to the streams."""
    async with await client.connect(nats.url) as nc:
        yield nc.jetstream()


async def taken(journal: NatsJournal, name: str, count: int) -> list[str]:
    """Return the ids of so many events for a subscription that is opened for that, and has had them then."""
    there = asyncio.Event()
    subscription = await journal.subscribe(name, lambda event: True, since="beginning", head=0, notify=there.set)
    found: list[Delivery] = []
    while len(found) < count:
        there.clear()
        more = await subscription.fetch(100)
        for delivery in more:
            await subscription.acknowledge(delivery)
        found += more
        if not more:
            await asyncio.wait_for(there.wait(), 20)
    await subscription.close()
    return [delivery.event.id for delivery in found]


# What it tells.


async def test_what_it_tells_people(opened):
    """The log, the history of an execution and the records are as they were appended, for who follows as well."""
    journal = await opened("shop")
    assert (await journal.log(0, 10), await journal.history("a"), await journal.records(), journal.head) == (
        [],
        [],
        [],
        0,
    )
    events = [moved("a", 1), moved("b.*", 1), moved("a", 2, error="no"), moved("a" * 5000, 1)]
    first = await journal.append(commit(*events[:2]))
    second = await journal.append(commit(*events[2:]))
    positions = [*first, *second]
    for one in (journal, await opened(account="shop")):
        assert await one.log(0, 10) == list(zip(positions, events, strict=True))
        assert await one.log(positions[0], 2) == list(zip(positions[1:3], events[1:3], strict=True))
        assert await one.log(positions[-1], 10) == []
        assert await one.history("a") == [events[0], events[2]]
        assert await one.history("b.*") == [events[1]]
        assert await one.history(">") == []
        assert list(await one.records()) == [row("b.*", 1), row("a", 2), row("a" * 5000, 1)]
        assert await one.verify() == []
        assert one.head == positions[-1]
        assert one.trouble is None


async def test_a_follower_is_told_that_others_have_written(opened, monkeypatch):
    """It learns of it when it asks, once a second at most; the monitor that leads knows it anyway."""
    first = await opened("shop")
    following = await opened()
    assert following.account == "shop"
    assert not await first.poll()
    await following.poll()
    monkeypatch.setattr(journals, "LOOK_S", 0.0)
    assert not await following.poll()
    positions = await first.append(commit(moved("a", 1)))
    assert await following.poll()
    assert following.head == positions[0]
    assert not await following.poll()
    monkeypatch.setattr(journals, "LOOK_S", 3600.0)
    await first.append(commit(moved("a", 2)))
    assert not await following.poll()


async def test_what_it_is_not_ready_for(opened, nats):
    """It is opened once, and appended to by the one that leads; else it is said what is missing."""
    following = await opened()
    with pytest.raises(JournalError, match="open already"):
        await following.open()
    with pytest.raises(JournalError, match="not led"):
        await following.append(commit(moved("a", 1)))
    for ask in (following.records, following.verify, following.subscriptions, following.letters):
        with pytest.raises(JournalError, match="a monitor makes it"):
            await ask()
    with pytest.raises(JournalError, match="a monitor makes it"):
        await following.log(0, 1)
    named = await opened(url=f"{nats.url}?account=shop")
    with pytest.raises(ConfigurationError, match=r"says account shop, the monitor other: leave one of them out"):
        await named.lead("other")


async def test_who_leads_next_knows_everything(opened):
    """After it was closed, the next one leads at once, with all that was known, in the next epoch."""
    first = await opened("shop", lease_s=60.0)
    assert not first.lease.succeeds
    await first.append(commit(moved("a", 1), lists={None: Baseline(START, complete=True)}, floor=4, horizon=9.0))
    await first.close()
    second = NatsJournal(first._settings.servers[0], stands_by=False)
    await second.open()
    state = await second.lead("shop")
    assert list(state.records) == [row("a", 1)]
    assert (state.lists, state.floor, state.horizon) == ({None: Baseline(START, complete=True)}, 4, 9.0)
    assert second.lease.succeeds
    assert second.head > 0
    await second.append(commit(moved("a", 2)))
    assert await second.verify() == []
    await second.close()


# Whether it is in order.


async def spoil(js: object, *payloads: tuple[str, bytes], epoch: int | None = 1) -> None:
    """Write messages by hand, as nothing here would."""
    headers = None if epoch is None else {"Titan-Epoch": str(epoch)}
    for subject, data in payloads:
        await js.publish(subject, data, headers=headers)


async def test_verify_finds_what_is_not_in_order(opened, js):
    """A gap, a number twice, a record older than its events, an epoch that goes back, noise: each is named."""
    journal = await opened("shop")
    layout = Layout("shop")
    for seq in (1, 2, 3):
        await journal.append(commit(moved("good", seq), moved("old", seq)))
    assert await journal.verify() == []

    def event(name: str, seq: int) -> tuple[str, bytes]:
        return layout.event(name), event_written(moved(name, seq), WIDE)

    await spoil(js, event("gap", 1), event("gap", 4), event("twice", 1), event("twice", 1))
    await spoil(js, event("late", 1), epoch=7)
    await spoil(js, event("late", 2), epoch=6)
    await spoil(js, (layout.event("noise"), b"noise"))
    await spoil(js, (layout.record("old"), row_written(row("old", 2), WIDE)), (layout.record("x"), b"[]"))
    faults = await journal.verify()
    assert len(faults) == 6
    for words in (
        "gap goes from number 1 to 4",
        "twice goes from number 1 to 1",
        "is of epoch 6, after 7",
        "is no event",
        "the state of old is older than its events (2 against 3)",
        "the record at position",
    ):
        assert sum(words in fault for fault in faults) == 1


async def test_many_faults_are_counted(opened, js):
    """The first of a kind are named, and of the others there is the number."""
    journal = await opened("shop")
    layout = Layout("shop")
    for number in range(NAMED + 5):
        await spoil(js, (layout.event(f"e{number}"), b"noise"))
    faults = await journal.verify()
    assert len(faults) == NAMED + 1
    assert faults[-1] == "5 more faults of that kind (event)"


async def test_what_cannot_be_read_is_an_error_of_the_journal(opened, js):
    """Noise among events or records is named where people ask for them."""
    journal = await opened("shop")
    layout = Layout("shop")
    await spoil(js, (layout.event("a"), b"noise"), (layout.record("a"), b"noise"))
    with pytest.raises(JournalDamagedError, match=r"position \d+ of the stream TITAN_shop-"):
        await journal.log(0, 10)
    with pytest.raises(JournalDamagedError):
        await journal.history("a")
    with pytest.raises(JournalError, match="a record in the stream"):
        await journal.records()


# What it drops.


async def test_prune_by_date(opened):
    """Events from before a date go; newer ones, and what is known of executions, stay."""
    journal = await opened("shop")
    for minute in range(6):
        await journal.append(commit(moved("a", minute + 1, minutes=minute), moved(f"b{minute}", 1, minutes=minute)))
    records = await journal.records()
    assert await journal.prune(START) == 0
    assert await journal.prune(START + timedelta(minutes=2.5)) == 6
    assert [event.id for _, event in await journal.log(0, 99)] == ["a:4", "b3:1", "a:5", "b4:1", "a:6", "b5:1"]
    assert await journal.records() == records
    assert await journal.verify() == []
    assert await journal.prune(START + timedelta(minutes=2.5)) == 0
    assert await journal.prune(datetime.max.replace(tzinfo=UTC)) == 6
    assert await journal.log(0, 99) == []
    assert await journal.records() == records
    head = journal.head
    assert (await journal.append(commit(moved("a", 7))))[0] > head
    assert [event.id for event in await journal.history("a")] == ["a:7"]


@pytest.mark.parametrize("minutes", [-1.0, 0.0, 0.5, 3.0, 3.5, 9.0, 10.0])
async def test_where_a_time_begins(opened, minutes):
    """The first event at or after a time is found among positions with gaps."""
    journal = await opened("shop")
    times = [0.0, 0.0, 1.0, 3.0, 3.0, 3.0, 7.0, 9.0]
    positions = []
    for number, minute in enumerate(times):
        positions += await journal.append(commit(moved(f"e{number}", 1, minutes=minute), lists={"t": None}))
    found = await journal._parts.upkeep.first_since(START + timedelta(minutes=minutes))
    placed = list(zip(positions, times, strict=True))
    assert [position for position, _ in placed if position >= found] == [
        position for position, minute in placed if minute >= minutes
    ]


async def test_prune_keeps_what_a_subscription_has_not_had(opened):
    """Whatever its date, an event stays until every subscription has had it."""
    journal = await opened("shop", partitions=2)
    for seq in range(1, 5):
        await journal.append(commit(moved("a", seq)))
    assert await taken(journal, "fast", 4) == ["a:1", "a:2", "a:3", "a:4"]
    await (await journal.subscribe("slow", lambda event: True, since="beginning", head=0, notify=lambda: None)).close()
    assert await journal.prune(datetime.max.replace(tzinfo=UTC)) == 0
    assert await taken(journal, "slow", 4) == ["a:1", "a:2", "a:3", "a:4"]
    await true(lambda: pruned(journal))
    assert await journal.log(0, 9) == []


async def pruned(journal: NatsJournal) -> bool:
    """Drop what may be dropped; return whether something was."""
    return await journal.prune(datetime.max.replace(tzinfo=UTC)) > 0


async def test_no_more_events_than_are_to_be_kept(opened):
    """The oldest go when there are more than that, young as they are; what a subscription needs stays."""
    journal = await opened("shop", max_events=3)
    now = datetime.now(UTC)
    for seq in range(1, 8):
        minutes = (now - START).total_seconds() / 60
        await journal.append(commit(moved("a", seq, minutes=minutes), moved("", seq, minutes=minutes)))
    await journal._leading._tidy()
    assert [event.id for _, event in await journal.log(0, 99)] == [":6", "a:7", ":7"]
    assert {record[0] for record in await journal.records()} == {"", "a"}
    await journal._leading._tidy()
    assert len(await journal.log(0, 99)) == 3
    await (await journal.subscribe("s", lambda event: True, since="beginning", head=0, notify=lambda: None)).close()
    await journal.append(commit(moved("a", 8, minutes=minutes), moved("a", 9, minutes=minutes)))
    await journal._leading._tidy()
    assert len(await journal.log(0, 99)) == 5


async def test_it_is_kept_in_order_by_itself(opened, monkeypatch):
    """Who leads drops what is too old, without being asked, and goes on with that after NATS was away."""
    be_impatient(monkeypatch)
    monkeypatch.setattr(leading, "FIRST_UPKEEP_S", 0.05)
    monkeypatch.setattr(leading, "UPKEEP_S", 0.05)
    journal = await opened("shop", age_s=3600.0)
    await journal.append(commit(moved("a", 1)))
    await true(lambda: gone(journal))
    assert [record[0] for record in await journal.records()] == ["a"]


async def gone(journal: NatsJournal) -> bool:
    """Return whether there are no events."""
    return await journal.log(0, 1) == []


async def test_of_finished_executions_only_the_latest_are_remembered(opened, monkeypatch):
    """Those that finished first are forgotten, never one that lives; their numbers are not used again."""
    monkeypatch.setattr(upkeep, "MOST_FINISHED", 3)
    journal = await opened("shop")
    ended = {"kept": 1, "status": "completed"}
    records = [
        row("live", 1, status="running"),
        row("", 2),
        row("f1", 9, ended_at=10.0, **ended),
        row("f2", 4, ended_at=30.0, **ended),
        row("f3", 2, final='{"id":"f3","status":"completed"}', ended_at=20.0),
        row("f4", 2, kept=2),
        row("f5", 2, **ended),
    ]
    for record in records:
        await journal.append(Commit(records=(record,)))
    await journal._leading._tidy()
    assert [record[0] for record in await journal.records()] == ["live", "", "f3", "f4", "f5"]
    await journal.close()
    state = await (await opened()).lead("shop")
    assert (state.floor, state.horizon) == (9, 30.0)
    assert [record[0] for record in state.records] == ["live", "", "f3", "f4", "f5"]


# Accounts.


async def test_two_accounts_on_one_server(opened):
    """Each has its own log, state, lease and subscriptions."""
    shop, other = await opened("shop"), await opened("Shop")
    await shop.append(commit(moved("a", 1)))
    await other.append(commit(moved("a", 1), moved("a", 2)))
    assert [event.id for event in await shop.history("a")] == ["a:1"]
    assert [event.id for event in await other.history("a")] == ["a:1", "a:2"]
    await taken(shop, "export", 1)
    assert [state.name for state in await shop.subscriptions()] == ["export"]
    assert await other.subscriptions() == []
    assert await shop.prune(datetime.max.replace(tzinfo=UTC)) == 1
    assert len(await other.log(0, 9)) == 2


def test_a_monitor_takes_the_account_from_the_address():
    """Who names the account there need not name it again; else it is that of the service."""
    url = "http://127.0.0.1:1"
    assert Monitor(url, "t", journal="nats://h?account=shop").account == "shop"
    assert Monitor(url, "t", account="other", journal="nats://h").account == "other"
    assert Monitor(url, "t", journal="nats://h").account == url


def handlers_into(seen: list[str]) -> Handlers:
    """Return handlers that note what they are told."""
    handlers = Handlers()

    @handlers.on_transition(name="seen", since="beginning")
    async def note(event: object) -> None:
        seen.append(event.id)

    return handlers


@asynccontextmanager
async def following(url: str, seen: list[str]) -> AsyncIterator[asyncio.Task[None]]:
    """Have a subscriber run for the body."""
    task = asyncio.create_task(Subscriber(url, handlers_into(seen), drain_s=1.0).run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_subscriber_without_an_account_follows_the_only_one(opened, nats):
    """Where there is one journal, it need not be named."""
    shop = await opened("shop", partitions=2)
    await shop.append(commit(moved("a", 1)))
    seen: list[str] = []
    async with following(nats.url, seen):
        await true(lambda: seen == ["a:1"])


async def test_a_subscriber_waits_for_the_first_monitor(opened, nats, monkeypatch):
    """It may be started before there is any journal."""
    monkeypatch.setattr(journals, "LOOK_S", 0.1)
    seen: list[str] = []
    async with following(nats.url, seen) as task:
        await asyncio.sleep(0.3)
        assert not task.done()
        shop = await opened("shop", partitions=2)
        await shop.append(commit(moved("a", 1)))
        await true(lambda: seen == ["a:1"])


async def test_a_subscriber_must_say_which_of_several_accounts_it_means(opened, nats):
    """The error lists those that there are, and shows how to name one; with one named it works."""
    for account in ("shop", "other"):
        await opened(account, partitions=2)
    seen: list[str] = []
    async with following(nats.url, seen) as task:
        with pytest.raises(ConfigurationError, match=r"2 accounts.*account=NAME.*other, shop"):
            await asyncio.wait_for(task, 20)
    async with following(f"{nats.url}?account=shop", seen) as task:
        await asyncio.sleep(0.3)
        assert not task.done()


async def test_who_does_not_wait_is_told_that_there_is_none(opened, nats):
    """A person who looks at a journal that no monitor has made is told so at once."""
    for account in (None, "shop"):
        one = NatsJournal(nats.url, account=account, stands_by=False)
        await one.open()
        with pytest.raises(JournalError, match="a monitor makes it"):
            await one.subscribe("s", lambda event: True, since="now", head=0, notify=lambda: None)
        await one.close()


async def test_foreign_streams_are_nobodys_journal(opened, js):
    """A stream of another program, whatever its metadata says, is not taken for a journal."""
    await js.add_stream(StreamConfig(name="ORDERS", subjects=["orders.>"], metadata={"titan_state.account": "x"}))
    await js.add_stream(StreamConfig(name="OTHERS", subjects=["others.>"]))
    assert (await opened()).account is None
    await opened("shop")
    assert (await opened()).account == "shop"


# Servers and streams that cannot be used.


async def old_server(version: str) -> asyncio.Server:
    """Return a server that says it is nats-server of a version, and does nothing else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "x", "version": version, "proto": 1, "headers": True, "max_payload": WIDE, "port": 1}
        writer.write(f"INFO {json.dumps(info)}\r\n".encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                    await writer.drain()
        except OSError:
            pass
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize("version", ["2.11.9", "1.4.1", "2.9.0-beta.1"])
async def test_a_server_that_is_too_old(version):
    """It is said which version there is, and which is needed."""
    server = await old_server(version)
    journal = NatsJournal(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(JournalError, match=rf"nats-server {version.split('-')[0]}: titan_state needs 2\.12 or newer"):
        await journal.open()
    await journal.close()
    server.close()


@pytest.mark.parametrize("where", ["at all", "for this user"])
async def test_without_jetstream(tmp_path, where):
    """It is said that JetStream is missing, and how to have it."""
    extra = 'accounts { A { users: [{user: "u", password: "p"}] } }\n' if where == "for this user" else ""
    server = Server(tmp_path / "nats", extra) if extra else Plain(tmp_path / "nats")
    with running(server):
        journal = NatsJournal(server.url, **({"user": "u", "password": "p"} if extra else {}))
        with pytest.raises(JournalError, match="has no JetStream") as raised:
            await journal.open()
        assert not isinstance(raised.value, JournalUnavailableError)
        await journal.close()


class Plain(Server):
    """A server without JetStream."""

    def launch(self) -> None:
        self.configure("jetstream: false\n")
        super().launch()


async def test_nobody_there(monkeypatch):
    """An address where nothing listens is an error that names it, within a bounded time."""
    monkeypatch.setattr(link, "CONNECT_S", 0.5)
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    journal = NatsJournal(f"nats://user:s3cr3t@127.0.0.1:{port}")
    with pytest.raises(JournalUnavailableError, match=f"127.0.0.1:{port}") as raised:
        await journal.open()
    assert "s3cr3t" not in f"{raised.value!r} {raised.value.__cause__!r}"
    await journal.close()


async def edit(js: object, **changes: object) -> None:
    """Change the stream of the account as a person might."""
    name = Layout("shop").stream
    config = (await js.stream_info(name)).config
    for key, value in changes.items():
        setattr(config, key, value)
    await js.update_stream(config)


async def test_a_stream_with_other_settings_is_left_alone(opened, js, caplog):
    """A person's changes stay: the number of replicas, partitions and limits are those that it has."""
    first = await opened("shop", partitions=4)
    await first.append(commit(moved("a", 1)))
    await first.close()
    await edit(js, max_age=86_400.0, max_bytes=10_000_000, description="ours", max_msgs=1_000_000)
    second = await opened("shop", partitions=8, replicas=3, age_s=3600.0, max_bytes=5_000_000)
    assert second._parts.layout.partitions == 4
    assert "has 1 replicas, not 3: it was made so, and is left as it is" in caplog.text
    config = (await js.stream_info(Layout("shop").stream)).config
    assert (config.max_age, config.max_bytes, config.description, config.num_replicas) == (
        86_400.0,
        10_000_000,
        "ours",
        1,
    )
    assert [event.id for _, event in await second.log(0, 9)] == ["a:1"]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"allow_direct": False}, JournalError, "set allow_direct again"),
        ({"allow_atomic": False}, JournalError, "set allow_atomic again"),
        ({"allow_rollup_hdrs": False}, JournalError, "set allow_rollup_hdrs again"),
        ({"subjects": ["titan.other.>"]}, JournalError, "its subjects must be titan.shop-"),
        ({"metadata": {}}, JournalDamagedError, "is not one of titan_state, or its metadata was removed"),
        (
            {"metadata": {"titan_state.account": "other", "titan_state.version": "1", "titan_state.partitions": "1"}},
            JournalDamagedError,
            "is not one of titan_state",
        ),
        (
            {"metadata": {"titan_state.account": "shop", "titan_state.version": "2", "titan_state.partitions": "1"}},
            JournalVersionError,
            "made by a newer version of titan_state: update this one",
        ),
    ],
)
async def test_a_stream_that_was_changed_so_that_it_cannot_work(opened, js, changes, error, says):
    """It is refused, by who leads and by who follows, with what to change back; nothing is done to it."""
    await (await opened("shop")).close()
    await edit(js, **changes)
    before = await js.stream_info(Layout("shop").stream)
    with pytest.raises(error, match=says):
        await opened("shop")
    with pytest.raises(error, match=says):
        await opened(account="shop")
    after = await js.stream_info(Layout("shop").stream)
    assert (after.config, after.state.messages) == (before.config, before.state.messages)


async def test_more_replicas_than_servers(opened):
    """What the server says of it is in the error."""
    with pytest.raises(JournalError, match="replicas"):
        await opened("shop", replicas=3)


async def test_a_stream_that_is_full(opened, js):
    """Nothing is dropped to make room: what is new is refused for the time being, until a person makes room."""
    journal = await opened("shop", max_bytes=1 << 20)
    seq = 0

    async def fill() -> None:
        nonlocal seq
        for seq in range(1, 40):
            await journal.append(commit(moved("a", seq, error="x" * 50_000)))

    with pytest.raises(JournalUnavailableError, match="maximum bytes exceeded"):
        await fill()
    count = seq - 1
    assert count > 10
    assert len(await journal.log(0, 99)) == count
    with pytest.raises(JournalUnavailableError):
        await journal.append(commit(moved("a", seq, error="x" * 50_000)))
    assert journal.lease.is_held
    assert await journal.prune(datetime.max.replace(tzinfo=UTC)) == count
    await journal.append(commit(moved("a", seq, error="x" * 50_000)))
    assert [event.seq for event in await journal.history("a")] == [seq]


async def test_the_stream_is_removed_under_it(opened, js):
    """What was to be written is not said to be written."""
    journal = await opened("shop")
    await js.delete_stream(Layout("shop").stream)
    with pytest.raises(JournalError):
        await journal.append(commit(moved("a", 1)))
    with pytest.raises(JournalError):
        await journal.log(0, 1)


# NATS away.


async def test_closing_is_bounded_while_the_server_stands_still(nats, monkeypatch):
    """A journal that leads, with a subscription, is closed although no answer comes; the lease expires then."""
    be_impatient(monkeypatch)
    monkeypatch.setattr(inbox, "CLOSE_S", 1.0)
    journal = NatsJournal(nats.url, partitions=2, lease_s=1.0)
    await journal.open()
    await journal.lead("shop")
    await journal.append(commit(moved("a", 1)))
    await journal.subscribe("s", lambda event: True, since="beginning", head=0, notify=lambda: None)
    nats.stop()
    try:
        await asyncio.wait_for(journal.close(), 30)
        assert journal.trouble is None  # nothing is the matter with what is closed
    finally:
        nats.resume()
    second = NatsJournal(nats.url)
    await second.open()
    await asyncio.wait_for(second.lead("shop"), 20)
    assert [event.id for _, event in await second.log(0, 9)] == ["a:1"]
    await second.close()


async def test_closing_after_the_connection_was_closed_for_good(opened):
    """As when credentials are taken away: there is nothing left to let go of, and nothing is raised for that."""
    journal = await opened("shop", lease_s=60.0)
    await journal._link.nc.close()
    assert "closed for good" in journal.trouble
    with pytest.raises(JournalError, match="closed for good"):
        await journal.append(commit(moved("a", 1)))
    await journal.close()


async def test_opening_is_bounded_while_the_server_stands_still(nats, monkeypatch):
    """It is said that nobody can be reached, and nothing is left behind."""
    be_impatient(monkeypatch)
    monkeypatch.setattr(link, "CONNECT_S", 0.5)
    nats.stop()
    journal = NatsJournal(nats.url)
    with pytest.raises(JournalUnavailableError, match="cannot be reached"):
        await asyncio.wait_for(journal.open(), 30)
    await journal.close()
    nats.resume()


async def test_its_trouble_is_told_while_it_lasts(opened, nats, monkeypatch):
    """While NATS is away it says so, in words with the address."""
    be_impatient(monkeypatch)
    journal = await opened("shop")
    assert journal.trouble is None
    nats.kill()
    await true(lambda: journal.trouble)
    assert f"the connection to {nats.url}" in journal.trouble
    for ask in (lambda: journal.append(commit(moved("a", 1))), lambda: journal.log(0, 1), journal.verify):
        with pytest.raises(JournalUnavailableError):
            await ask()
    nats.restart()
    await insisting(lambda: journal.append(commit(moved("a", 1))))
    await true(lambda: journal.trouble is None)
    assert len(await journal.log(0, 9)) == 1


@asynccontextmanager
async def watching(service: TaskServiceEmulator, url: str, seen: list[str]) -> AsyncIterator[Monitor]:
    """Have a monitor watch everything for the body, with a handler that notes what it is told."""
    monitor = Monitor(
        service.url,
        service.token,
        account="shop",
        journal=url,
        handlers=handlers_into(seen),
        budget=RequestBudget(per_minute=60_000, burst=1, reserve=0),
        drain_s=1.0,
    )
    async with monitor:
        monitor.watch_all()
        yield monitor


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_monitor_while_nats_is_away(nats, monkeypatch, caplog, how):
    """It says so, keeps what happened, stops looking when that is much, and writes all of it afterwards, in order."""
    be_impatient(monkeypatch, 0.4)
    monkeypatch.setitem(Roster.__init__.__kwdefaults__, "ack_wait_s", 1.0)  # what is acknowledged may be lost in a kill
    monkeypatch.setattr(outbox, "MOST", 8)
    monkeypatch.setattr(outbox, "FIRST_RETRY_S", 0.1)
    monkeypatch.setattr(outbox, "LONGEST_RETRY_S", 0.3)
    seen: list[str] = []
    async with TaskServiceEmulator(per_minute=None) as service:
        names = [service.add(Plan(steps=[Step("running")])) for _ in range(3)]
        async with watching(service, f"{nats.url}?lease=60&partitions=2", seen) as monitor:
            await true(lambda: len(seen) == 3)
            assert monitor.health().is_ready
            assert (monitor.health().reasons, monitor.health().backlog) == ((), 0)
            nats.stop() if how == "stopped" else nats.kill()
            names += [service.add(Plan(steps=[Step("running")])) for _ in range(12)]
            await true(lambda: monitor.health().backlog >= 8)
            await true(lambda: monitor.health().reasons)
            health = monitor.health()
            assert not health.is_ready
            assert "nothing further is observed until they are" in health.reasons[0]
            await asyncio.sleep(0.1)
            requests = len(service.requests)
            backlog = monitor.health().backlog
            for name in names:
                service.move(name, "completed")
            await asyncio.sleep(0.4)
            assert len(service.requests) <= requests + 1
            assert monitor.health().backlog == backlog
            assert len(seen) == 3
            nats.resume() if how == "stopped" else nats.restart()
            await true(lambda: len(set(seen)) >= 2 * len(names))
            await true(lambda: monitor.health().is_ready)
            log = [event for _, event in await monitor.journal.log(0, 999)]
            assert len({event.id for event in log}) == len(log)
            for name in names:
                assert [event.dest for event in log if event.execution_id == name] == ["running", "completed"]
            assert await monitor.journal.verify() == []
    assert "events are written to the journal again" in caplog.text


async def test_a_monitor_that_is_left_while_nats_is_away(nats, monkeypatch):
    """Leaving it is bounded, says how much was not written, and the next one finds it again with the same numbers."""
    be_impatient(monkeypatch, 0.3)
    monkeypatch.setitem(Roster.__init__.__kwdefaults__, "ack_wait_s", 1.0)
    seen: list[str] = []
    async with TaskServiceEmulator(per_minute=None) as service:
        name = service.add(Plan(steps=[Step("running")]))
        async with asyncio.timeout(40):
            async with watching(service, f"{nats.url}?lease=1&partitions=2", seen) as monitor:
                await true(lambda: seen == [f"{name}:1"])
                nats.kill()
                service.move(name, "completed")
                await true(lambda: monitor.health().backlog == 1 or not monitor.journal.lease.is_held)
        nats.restart()
        async with watching(service, f"{nats.url}?partitions=2", seen) as monitor:
            await true(lambda: f"{name}:2" in seen)
            assert await monitor.journal.verify() == []
            assert [event.id for event in await monitor.journal.history(name)] == [f"{name}:1", f"{name}:2"]
