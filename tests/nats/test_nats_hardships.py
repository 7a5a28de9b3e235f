"""Hardships of who leads and who stands by: leases that are removed, NATS that hangs or refuses, ends at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import nats as client
import pytest
from nats.js.kv import KeyValue
from parts import Connect, be_impatient, commit, connecting, moved, true
from servers import Cluster, Server, running

from titan_state import ConfigurationError, JournalError, JournalUnavailableError, LeadershipLostError
from titan_state.journal.nats import NatsJournal, leading
from titan_state.journal.nats import lease as leases
from titan_state.journal.nats.buckets import bucket_of
from titan_state.journal.nats.lease import BUCKET, NatsLease
from titan_state.journal.nats.link import Link
from titan_state.journal.nats.settings import settings_of
from titan_state.journal.nats.writer import Writer

LONG_S = 60.0
"""A lease that does not run out in a test: who gets it then was let in by somebody."""

Open = Callable[..., Awaitable[NatsJournal]]


@pytest.fixture
async def opened(nats) -> AsyncIterator[Open]:
    """Open journals at the server, led or not; all are closed in the end."""
    async with AsyncExitStack() as stack:

        async def make(leads: str | None = None, /, **options: object) -> NatsJournal:
            journal = NatsJournal(nats.url, partitions=1, **options)
            stack.push_async_callback(journal.close)
            await journal.open()
            if leads is not None:
                await journal.lead(leads)
            return journal

        yield make


@pytest.fixture
async def js(nats) -> AsyncIterator[client.js.JetStreamContext]:
    """What somebody else can do to leases."""
    async with await client.connect(nats.url) as nc:
        yield nc.jetstream()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with connecting() as made:
        yield made


@pytest.fixture
async def waiting() -> AsyncIterator[Callable[[NatsJournal], asyncio.Task]]:
    """Have journals wait for the lead; whatever waits still is cancelled in the end."""
    tasks: list[asyncio.Task] = []

    def start(journal: NatsJournal) -> asyncio.Task:
        tasks.append(asyncio.create_task(journal.lead("shop")))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def yes() -> bool:
    return True


# The bucket of leases.


async def test_the_leases_are_removed(opened, js, waiting):
    """They are made again, who led goes on leading, and who stood by takes over when that one ends, not before."""
    first = await opened("shop", lease_s=2.0)
    second = await opened()
    standing_by = waiting(second)
    await true(lambda: second.leader)

    async def has_it() -> bool:
        assert not standing_by.done()
        assert not second.lease.is_held
        try:
            return (await first.lease._key.found() or (None,))[0] == first.lease._own
        except JournalUnavailableError:
            return False

    for _ in range(2):
        await js.delete_key_value(BUCKET)
        await true(has_it)
        await true(lambda: first.lease.is_held)
        assert (await (await js.key_value(BUCKET)).status()).ttl == 2.0
    await first.append(commit(moved("a", 1)))
    await first.close()
    await asyncio.wait_for(standing_by, 20)
    assert second.lease.succeeds
    await second.append(commit(moved("a", 2)))
    assert [event.id for event in await second.history("a")] == ["a:1", "a:2"]


async def test_a_stand_by_does_not_lead_at_once_where_leases_were_removed(opened, js, waiting):
    """Who led may count on a lease that is not there any more: nobody else leads before it would have run out."""
    first = await opened("shop", lease_s=2.0)
    second = await opened()
    standing_by = waiting(second)
    await true(lambda: second.leader)
    await true(lambda: second.lease._key._made_at)
    first.lease._keeper.cancel()  # as if it were not heard of
    await js.delete_key_value(BUCKET)
    while first.lease.is_held:
        assert not second.lease.is_held
        await asyncio.sleep(0.01)
    await asyncio.wait_for(standing_by, 20)
    assert second.lease.is_held
    assert not first.lease.is_held


async def test_other_leases_are_made_in_their_place(opened, js, waiting):
    """Where keys do not last as long as was counted on, nobody goes on as if they did: both are told."""
    first = await opened("shop", lease_s=3.0)
    second = await opened()
    standing_by = waiting(second)
    await true(lambda: second.leader)
    await true(lambda: second.lease._key._made_at)
    await js.delete_key_value(BUCKET)
    await js.create_key_value(bucket=BUCKET, ttl=1.0)
    with pytest.raises(JournalError, match="expire after 1 s, not 3 s"):
        await asyncio.wait_for(first.lease.until_lost(), 20)
    assert not first.lease.is_held
    with pytest.raises(ConfigurationError, match="expire after 1 s, not 3 s"):
        await asyncio.wait_for(standing_by, 20)


@pytest.mark.timeout(120)
async def test_leases_with_fewer_replicas_than_asked_for(cluster: Cluster, connect, caplog):
    """It is said, with the command that changes it, since the loss of one server would stop all monitors."""
    parts = await connect(cluster.url)
    await bucket_of(parts.link, BUCKET, settings_of(cluster.url, replicas=1), None)
    assert "replicas" not in caplog.text
    await bucket_of(parts.link, BUCKET, settings_of(cluster.url, replicas=3), None)
    assert f"the bucket {BUCKET} has 1 replicas, not 3" in caplog.text
    assert f"nats stream edit KV_{BUCKET} --replicas=3" in caplog.text


# Standing by.


async def test_who_stands_by_and_cannot_ask(opened, nats, waiting, monkeypatch, caplog):
    """It is warned of once, and told for as long as it lasts, but it goes on standing by."""
    caplog.set_level(logging.DEBUG, "titan_state")
    be_impatient(monkeypatch, 0.3)
    monkeypatch.setattr(leases, "ATTEMPTS", 600)
    await opened("shop", lease_s=LONG_S)
    second = await opened()
    standing_by = waiting(second)
    await true(lambda: second.leader)
    assert second.trouble is None
    nats.stop()
    try:
        await true(lambda: second.trouble)
        assert second.leader is None
        await true(lambda: caplog.text.count("the bucket of leases cannot be opened") >= 3)
        assert caplog.text.count("it cannot be asked who leads shop") == 1
    finally:
        nats.resume()
    await true(lambda: second.trouble is None and second.leader)
    assert not standing_by.done()


async def test_who_may_not_write_leases_is_told(tmp_path, monkeypatch):
    """It is no passing trouble that a user is not permitted to: it is not waited for, but said."""
    be_impatient(monkeypatch, 1.0)
    users = """authorization { users: [
        { user: titan, password: "s3cr3t", permissions: { publish: { deny: ["$KV.>"] } } }
    ] }"""
    with running(Server(tmp_path / "nats", users)) as server:
        journal = NatsJournal(server.url, user="titan", password="s3cr3t")
        await journal.open()
        try:
            with pytest.raises(JournalError, match=r"does not permit it.*\$kv\.titan_leases") as refused:
                await asyncio.wait_for(journal.lead("shop"), 30)
            assert not isinstance(refused.value, JournalUnavailableError)
            assert "s3cr3t" not in str(refused.value)
        finally:
            await journal.close()


# Taking over.


def break_taking_over(monkeypatch: pytest.MonkeyPatch, journal: NatsJournal, error: JournalError) -> list[int]:
    """Have one journal fail to take over until the list that is returned, of its attempts, is frozen by a zero."""
    attempts: list[int] = []
    take_over = Writer.take_over

    async def fail(writer: Writer) -> bool:
        if writer._link is journal._link and 0 not in attempts:
            attempts.append(len(attempts) + 1)
            raise error
        return await take_over(writer)

    monkeypatch.setattr(Writer, "take_over", fail)
    return attempts


@pytest.mark.parametrize("error", [JournalUnavailableError("away"), LeadershipLostError("another was first")], ids=type)
async def test_an_error_while_taking_over_passes(opened, waiting, monkeypatch, caplog, error):
    """Who stands by lets go of the lease, so that others can lead, and leads some time later itself."""
    for module in (leases, leading):
        monkeypatch.setattr(module, "ATTEMPTS", 600)
    first, second = await opened(lease_s=LONG_S), await opened(lease_s=LONG_S)
    attempts = break_taking_over(monkeypatch, first, error)
    standing_by = waiting(first)
    await true(lambda: attempts)
    await asyncio.wait_for(second.lead("shop"), 30)
    assert f"the lead could not be taken, and is waited for again: {error}" in caplog.text
    assert not standing_by.done()
    assert not first.lease.is_held
    attempts.append(0)
    await second.close()
    await asyncio.wait_for(standing_by, 30)
    assert first.lease.is_held
    assert first.lease.succeeds
    await first.append(commit(moved("a", 1)))


async def test_an_error_while_taking_over_is_raised_if_it_is_not_waited(opened, monkeypatch):
    """Who does not stand by is told what went wrong, and holds the lease no longer than until it is closed."""
    first = await opened(lease_s=LONG_S, stands_by=False)
    break_taking_over(monkeypatch, first, JournalUnavailableError("away for a moment"))
    with pytest.raises(JournalUnavailableError, match="away for a moment"):
        await first.lead("shop")
    await first.close()
    second = await opened("shop", stands_by=False)
    assert second.lease.is_held


# Ending at any moment.


async def cancelled_at(journal: NatsJournal, monkeypatch: pytest.MonkeyPatch, number: int, turns: int) -> bool:
    """Lead, and cancel that some turns of the loop after so many questions; return whether there were as many."""
    task = asyncio.create_task(journal.lead("shop"))
    loop, asked, do = asyncio.get_running_loop(), 0, Link.do

    def cancel(left: int) -> None:
        if left:
            loop.call_soon(cancel, left - 1)
        else:
            task.cancel()

    async def count(link: Link, work: Awaitable[object], doing: str = "") -> object:
        nonlocal asked
        asked += 1
        if asked == number:
            cancel(turns)
        return await do(link, work, doing)

    with monkeypatch.context() as patch:
        patch.setattr(Link, "do", count)
        await asyncio.gather(task, return_exceptions=True)
    return task.cancelled()


@pytest.mark.parametrize("turns", [0, 2, 4, 7])
async def test_leading_may_be_cancelled_at_any_moment(opened, monkeypatch, turns):
    """Whatever was on its way then, nothing keeps the next one from leading at once."""
    await (await opened("shop", lease_s=LONG_S)).close()
    number, is_cancelled = 0, True
    while is_cancelled:
        number += 1
        journal = await opened(stands_by=False)
        is_cancelled = await cancelled_at(journal, monkeypatch, number, turns)
        await journal.close()
        last = await opened("shop", stands_by=False)
        await last.close()
    assert number > 5


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_a_renewal_that_is_on_its_way_when_it_ends(nats, opened, monkeypatch, turns):
    """It does not bring back what was just given back."""
    monkeypatch.setattr(leases, "RENEWALS", 1200)
    asking, do = asyncio.Event(), Link.do

    async def note(link: Link, work: Awaitable[object], doing: str = "") -> object:
        if doing == "renew the lease":
            asking.set()
        return await do(link, work, doing)

    monkeypatch.setattr(Link, "do", note)
    for _ in range(4):
        journal = await opened("shop", lease_s=LONG_S, stands_by=False)
        asking.clear()
        await asyncio.wait_for(asking.wait(), 20)
        for _ in range(turns):
            await asyncio.sleep(0)
        await journal.close()


class Late:
    """A bucket whose renewals arrive some time after whoever asked for them has been cancelled."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self.asked = asyncio.Event()
        self._gate = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._bucket, name)

    async def update(self, key: str, value: bytes, last: int) -> int:
        if self.asked.is_set():
            return await self._bucket.update(key, value, last=last)
        self.asked.set()
        try:
            await self._gate.wait()
        finally:
            self._task = asyncio.create_task(self._bucket.update(key, value, last=last))

    async def delete(self, key: str, last: int) -> bool:
        await self._task
        return await self._bucket.delete(key, last=last)


async def test_a_renewal_that_arrives_while_it_is_given_back(nats, connect, monkeypatch):
    """What was read of the lease is old by then: it is looked for again, and given back all the same."""
    monkeypatch.setattr(leases, "RENEWALS", 1200)
    parts = await connect(nats.url)
    bucket, _ = await bucket_of(parts.link, BUCKET, settings_of(nats.url), LONG_S)
    late = Late(bucket)
    lease = NatsLease(parts.link, late, "shop", LONG_S, "one")
    await lease.acquire(stands_by=False)
    lease.keep(yes)
    await asyncio.wait_for(late.asked.wait(), 20)
    await lease.release()
    other = NatsLease(parts.link, bucket, "shop", LONG_S, "other")
    await other.acquire(stands_by=False)
    assert other.is_held


class Stale:
    """A bucket that is read from a replica which is behind, for as long as it is."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self.asked: list[str] = []
        self.old: KeyValue.Entry | None = None

    def __getattr__(self, name: str) -> object:
        self.asked.append(name)
        return getattr(self._bucket, name)

    async def get(self, key: str) -> KeyValue.Entry:
        self.asked.append("get")
        return self.old or await self._bucket.get(key)


async def test_what_is_read_of_a_lease_is_old(nats, connect):
    """A renewal that finds it so is given up, and tried again some time later; nobody loses the lead by that."""
    parts = await connect(nats.url)
    bucket, _ = await bucket_of(parts.link, BUCKET, settings_of(nats.url), LONG_S)
    stale = Stale(bucket)
    lease = NatsLease(parts.link, stale, "shop", LONG_S, "one")
    await lease.acquire(stands_by=False)
    stale.old = await bucket.get(lease._key._name)
    await bucket.update(lease._key._name, lease._own.written(), last=lease._revision)  # no answer came
    for _ in range(2):
        stale.asked.clear()
        with pytest.raises(JournalUnavailableError, match="what is read of it is old"):
            await lease._renew(yes)
        assert stale.asked == ["update", "get", "update"]
    assert not await lease._is_renewed(yes)
    assert lease.is_held
    stale.old = None
    assert await lease._is_renewed(yes)
    assert lease.is_held
    assert lease._revision == (await bucket.get(lease._key._name)).revision
