"""A cluster of three nodes of which one is lost: what was written stays, appends go on, and so do subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats as client
import pytest
from made import Author
from servers import Cluster, wait_until

from titan_state import Handlers, JournalError, JournalUnavailableError, Subscriber
from titan_state.journal.base import Commit, Journal
from titan_state.journal.nats import NatsJournal

pytestmark = pytest.mark.timeout(180)

PATIENCE_S = 60.0


class Follower:
    """A subscriber, and what it was called for."""

    def __init__(self, address: str) -> None:
        self.seen: dict[str, list[int]] = defaultdict(list)
        handlers = Handlers()

        @handlers.on_transition(name="follower", since="beginning")
        async def follow(event) -> None:
            self.seen[event.execution_id].append(event.seq)

        self._subscriber = Subscriber(address, handlers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have it run for the body; it must not end by itself."""
        task = asyncio.create_task(self._subscriber.run())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until_had(self, author: Author) -> None:
        """Return when it was called for everything."""
        wanted = {(event.execution_id, event.seq) for event in author.events}
        deadline = time.monotonic() + PATIENCE_S
        while not {(name, seq) for name, numbers in self.seen.items() for seq in numbers} >= wanted:
            assert time.monotonic() < deadline, f"it was called for {dict(self.seen)}"
            await asyncio.sleep(0.05)

    def check_order(self) -> None:
        """What comes again comes after it came in order: the first calls are in order."""
        for name, numbers in self.seen.items():
            firsts = list(dict.fromkeys(numbers))
            assert firsts == sorted(firsts), name


async def append(journal: Journal, commit: Commit) -> None:
    """Append as the protocol says: the same again, until it is known to be written."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            positions = await journal.append(commit)
        except JournalUnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            assert list(positions) == sorted(set(positions))
            assert len(positions) == len(commit.events)
            return


@asynccontextmanager
async def led(address: str) -> AsyncIterator[NatsJournal]:
    journal = NatsJournal(address)
    await journal.open()
    try:
        await journal.lead("shop")
        yield journal
    finally:
        await journal.close()


async def check(journal: NatsJournal, author: Author) -> None:
    """Everything is in the log, once and in order, and nothing is wrong with it."""
    assert [event.id for _, event in await journal.log(0, 10_000)] == [event.id for event in author.events]
    assert await journal.verify() == []
    assert len(await journal.records()) == len({event.execution_id for event in author.events})


async def fail(cluster: Cluster, stream: str, how: str) -> None:
    """Take one node away."""
    leader = await asyncio.to_thread(cluster.leader_of, stream)
    assert leader is not None
    node = leader if "leader" in how else next(one for one in cluster.nodes if one is not leader)
    if "stopped" in how:
        node.stop()
    else:
        node.kill()


async def bring_back(cluster: Cluster) -> None:
    """Have all nodes run again, and return when they have caught up."""
    for node in cluster.nodes:
        if node.is_running:
            node.resume()
        else:
            node.launch()

    def is_whole() -> bool:
        return all(node.is_healthy for node in cluster.nodes)

    await asyncio.to_thread(wait_until, is_whole, lambda: "\n".join(node.said()[-1000:] for node in cluster.nodes))


async def the_stream(cluster: Cluster) -> tuple[str, int]:
    """Return the name of the only account's stream, and on how many nodes it is."""
    async with await client.connect([f"nats://{node.address}" for node in cluster.nodes]) as nc:
        (info,) = [one for one in await nc.jetstream().streams_info() if one.config.name.startswith("TITAN_")]
        assert info.config.num_replicas is not None
        return info.config.name, info.config.num_replicas


@pytest.mark.parametrize("how", ["leader killed", "another killed", "leader stopped"])
async def test_one_node_of_three_may_fail(cluster, how):
    """Appends and calls go on without it, and it is taken in again; nothing is missing and nothing twice."""
    address = f"{cluster.url}?account=shop&replicas=3&partitions=2"
    author, follower = Author(), Follower(address)
    async with led(address) as journal:
        stream, replicas = await the_stream(cluster)
        assert replicas == 3
        async with follower.running():
            for commit in author.lives("a", "b", "c"):
                await append(journal, commit)
            await follower.until_had(author)
            await fail(cluster, stream, how)
            for commit in author.lives(*"defghij"):
                await append(journal, commit)
            await follower.until_had(author)
            await bring_back(cluster)
            for commit in author.lives("k", "l"):
                await append(journal, commit)
            await follower.until_had(author)
        follower.check_order()
        await check(journal, author)


async def test_the_whole_cluster_may_fail(cluster):
    """When all nodes were killed and come back, everything is there, and appends and calls go on."""
    address = f"{cluster.url}?account=shop&replicas=3&partitions=2"
    author, follower = Author(), Follower(address)
    async with led(address) as journal, follower.running():
        for commit in author.lives("a", "b"):
            await append(journal, commit)
        await follower.until_had(author)
        cluster.kill()
        with pytest.raises(JournalUnavailableError):
            await journal.append(author.commit("c", status="queued"))
        await bring_back(cluster)
        await append(journal, Commit(events=author.events[-1:], records=()))
        for commit in author.lives("d"):
            await append(journal, commit)
        await follower.until_had(author)
        follower.check_order()
        assert [event.id for _, event in await journal.log(0, 100)] == [event.id for event in author.events]


async def test_replicas_want_a_cluster(nats):
    """A single server cannot keep three copies, and that is said in words."""
    journal = NatsJournal(f"{nats.url}?account=shop&replicas=3")

    async def lead() -> None:
        await journal.open()
        try:
            await journal.lead("shop")
        finally:
            await journal.close()

    with pytest.raises(JournalError, match="replicas") as refused:
        await lead()
    assert not isinstance(refused.value, JournalUnavailableError)
