"""Monitors, subscribers and NATS nodes that are killed and stopped at random: against the truth, nothing is lost.

Three monitors stand by for each other, four programs share the subscriptions, three nodes hold the stream; whichever of
them dies or stands still, every event is handled, in order for each execution, no former leader writes, and the service
gets no more requests than one monitor may send.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import nats as client
import pytest
from account import Account
from chaos_checks import (
    ENDS,
    Call,
    Request,
    TakeOver,
    Written,
    left_over,
    most_in_a_window,
    wrong_in_calls,
    wrong_in_stream,
    wrong_in_truth,
)
from chaos_programs import Ear, Program, until
from servers import Cluster, Server

from titan_state import Event, ResultsReady, Transitioned
from titan_state.client.output_options import IN_PARALLEL
from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.journal.nats import NatsJournal
from titan_state.journal.nats.messages import event_read

logger = logging.getLogger("chaos")

SEED = 20
PER_MINUTE, BURST = 300, 3
PAGES = (100, 99, 98)
"""The page limit of each monitor: so it is seen whose a request was."""
HANDLERS = ("recorder", "ends", "witness")
ODD_IDS = ("dots.and.*", "all > of them", "100 % 'quoted' \"twice\" ä")
LONG_STOP_S = 34.0
"""Longer than a delivery stays with a program that is silent: it comes back when others have gone on with its work."""


class Site:
    """Everything that can be killed, and what is true of it."""

    def __init__(self, cluster: Cluster, service: TaskServiceEmulator, place: Path) -> None:
        self.cluster, self.service = cluster, service
        self.rng = random.Random(SEED)
        self.ear = Ear(place / "told")
        self.journal = f"{cluster.url}?account=shop&replicas=3&lease=1&partitions=8"
        self.done: Counter[str] = Counter()
        env = {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}
        both = [self.journal, self.ear.file]
        self.monitors = [
            Program(f"monitor{page}", "chaos_monitor.py", [*both, page, PER_MINUTE, BURST], place, env)
            for page in PAGES
        ]
        self.subscribers = [
            Program(f"subscriber{number}", "chaos_subscriber.py", both, place, {}) for number in range(4)
        ]
        self.long_stopped: Program | None = None

    @property
    def programs(self) -> list[Program]:
        return [*self.monitors, *self.subscribers]

    def said(self) -> str:
        """Return what the programs logged last, for the message of a failure."""
        return "\n\n".join(f"{one.name}: {one.said()}" for one in self.programs)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when a condition holds; nobody must end by himself meanwhile."""

        def holds() -> object:
            for one in self.programs:
                one.check()
            return condition()

        await until(holds, self.said)

    async def leader(self) -> Program:
        """Return the monitor that leads; wait for one."""

        def found() -> list[Program]:
            pid = self.ear.told().leader
            return [one for one in self.monitors if one.is_running and one.pid == pid]

        await self.until(found)
        return found()[0]

    async def succession(self, count: int) -> None:
        """Return when somebody has begun to lead since there were so many who had."""
        await self.until(lambda: len(self.ear.told().takeovers) > count)

    async def kill_leader(self) -> None:
        leader = await self.leader()
        count = len(self.ear.told().takeovers)
        leader.strike()
        await self.succession(count)
        leader.launch()

    async def stop_leader(self) -> None:
        leader = await self.leader()
        count = len(self.ear.told().takeovers)
        leader.stop()
        await self.succession(count)
        await asyncio.sleep(self.rng.random())
        leader.resume()

    async def kill_subscriber(self) -> None:
        """Kill one in the middle of its work."""

        def busy() -> list[Program]:
            told = self.ear.told()
            return [one for one in self.subscribers if one is not self.long_stopped and told.is_busy(one.pid)]

        await self.until(busy)
        victim = self.rng.choice(busy())
        victim.strike()
        await asyncio.sleep(self.rng.random())
        victim.launch()

    async def stop_subscriber(self) -> None:
        victim = self.rng.choice([one for one in self.subscribers if one is not self.long_stopped])
        victim.stop()
        await asyncio.sleep(1 + 2 * self.rng.random())
        victim.resume()

    async def stop_subscriber_for_long(self) -> None:
        victim = self.long_stopped = self.rng.choice(self.subscribers)
        victim.stop()
        await asyncio.sleep(LONG_STOP_S)
        victim.resume()
        self.long_stopped = None

    async def kill_node(self) -> None:
        node = await self.node()
        node.kill()
        await asyncio.sleep(1 + self.rng.random())
        node.launch()
        await self.whole()

    async def stop_node(self) -> None:
        node = await self.node()
        node.stop()
        await asyncio.sleep(4 + 2 * self.rng.random())  # longer than the lease: who is cut off by it is replaced
        node.resume()
        await self.whole()

    async def node(self) -> Server:
        """Return the node that leads the stream, or any: one is as good as the other, and the first hurts more."""
        first = await asyncio.to_thread(lambda: self.cluster.leader_of(self.stream))
        other = self.rng.choice(self.cluster.nodes)
        return first if first is not None and self.rng.random() < 0.6 else other

    async def whole(self) -> None:
        """Return when all nodes are there and have caught up: two away at once are one too many."""
        for node in self.cluster.nodes:
            while not await asyncio.to_thread(lambda one=node: one.is_healthy):
                assert node.is_running, node.said()
                await asyncio.sleep(0.1)

    stream = ""

    async def act(self, *acts: Callable[[], object]) -> None:
        """Do these, in an order of chance."""
        deck = list(acts)
        self.rng.shuffle(deck)
        for one in deck:
            await asyncio.sleep(0.5 + 1.5 * self.rng.random())
            await one()
            self.done[one.__name__] += 1

    async def work(self, names: list[str]) -> None:
        """Let executions be created for as long as this runs."""
        while True:
            count = self.rng.randint(1, 5)
            odd = [ODD_IDS[len(names) % 7]] if len(names) % 7 < 3 and ODD_IDS[len(names) % 7] not in names else []
            names += [self.service.add(self.plan(name)) for name in (*odd, *[None] * count)]
            await asyncio.sleep(0.2 + self.rng.random())

    def plan(self, name: str | None) -> Plan:
        steps = [Step("running", self.rng.random() * 6), Step(self.rng.choice(ENDS), self.rng.random() * 8)]
        return Plan(id=name, steps=steps)


@contextlib.contextmanager
def launched(site: Site) -> Iterator[Site]:
    """Have all programs run, and end them with the body."""
    try:
        for one in site.programs:
            one.launch()
        yield site
        for one in site.programs:
            one.check()
    finally:
        for one in site.programs:
            one.kill()


async def stored(url: str) -> tuple[str, list[tuple[int, int, Event]]]:
    """Return the stream's name, and of every event in it the position and the epoch: read without the library."""
    nc = await client.connect(url.removeprefix("nats://").split(","), connect_timeout=10)
    try:
        js = nc.jetstream(timeout=10)
        (name,) = [one.config.name for one in await js.streams_info() if one.config.name.startswith("TITAN_")]
        found, position = [], 0
        while True:
            try:
                message = await js.get_msg(name, seq=position + 1, subject="titan.*.event.>", next=True)
            except client.js.errors.NotFoundError:
                return name, found
            position = message.seq
            found.append((position, int((message.headers or {})["Titan-Epoch"]), event_read(message.data)))
    finally:
        await nc.close()


def ends_of(event: Event) -> tuple[str | None, str | None]:
    """Return where a move leads from and to; nothing of another event."""
    return (event.source, event.dest) if isinstance(event, Transitioned) else (None, None)


def all_handled(site: Site, names: list[str]) -> bool:
    """Return whether each handler has done its work for the end of each execution."""
    calls = site.ear.told().calls
    seen = {
        handler: {call.name for call in calls if call.handler == handler and call.dest in ENDS} for handler in HANDLERS
    }
    return all(ended >= set(names) for ended in seen.values())


@pytest.mark.timeout(400)
async def test_nothing_is_lost_by_chaos(cluster, tmp_path, record_property):
    """Whoever is killed or stopped: all is handled, in order, by no former leader, and within one budget."""
    async with TaskServiceEmulator(per_minute=None, keep_requests=100_000) as service:
        old = [service.add(Plan(steps=[Step("running"), Step("completed")])) for _ in range(20)]
        site = Site(cluster, service, tmp_path)
        names: list[str] = []
        with launched(site):
            await site.leader()
            await site.until(lambda: any(one.path.endswith("/executions") for one in service.requests))
            site.stream, _ = await stored(cluster.url)
            async with asyncio.TaskGroup() as group:
                working = group.create_task(site.work(names))
                chaos = (
                    group.create_task(site.stop_subscriber_for_long()),
                    group.create_task(
                        site.act(
                            *[site.kill_leader] * 5,
                            *[site.stop_leader] * 4,
                        )
                    ),
                    group.create_task(site.act(*[site.kill_subscriber] * 5, *[site.stop_subscriber] * 2)),
                    group.create_task(site.act(*[site.kill_node] * 2, site.stop_node)),
                )
                await asyncio.gather(*chaos)
                working.cancel()
            with contextlib.suppress(AssertionError):  # what is missing then is said below
                await until(lambda: all_handled(site, names), lambda: "handled")
            await asyncio.sleep(1.0)  # for what should not come any more
        truth = {name: [entry.status for entry in service.history(name)] for name in names}
        requests = [
            Request(one.clock_at, int(one.query["limit"]) if "limit" in one.query else None) for one in service.requests
        ]
    told = site.ear.told()
    _, events = await stored(cluster.url)
    written = [
        Written(position, epoch, event.execution_id, event.seq, *ends_of(event)) for position, epoch, event in events
    ]
    assert not {call.name for call in told.calls} & set(old), "what had finished before the watch began never fires"
    assert {type(event) for _, _, event in events} <= {Transitioned, ResultsReady}, "nothing is said to be wrong"
    assert wrong_in_stream(written) == []
    assert wrong_in_truth(written, truth) == []
    assert wrong_in_calls(told.calls, told.done, written, HANDLERS) == []
    for name in names:
        Account(name).take([event for _, _, event in events if event.execution_id == name])

    journal = NatsJournal(site.journal)
    await journal.open()
    try:
        assert await journal.verify() == []
        assert [event.id for _, event in await journal.log(0, 100_000)] == [event.id for _, _, event in events]
        assert await journal.letters() == []
    finally:
        await journal.close()

    left = left_over(requests, told.takeovers)
    most = {seconds: most_in_a_window((one.at for one in requests), seconds) for seconds in (5, 10, 20, 60)}
    epochs = {one.epoch for one in written}
    report = {
        "executions": len(names),
        "events": len(events),
        "calls": dict(Counter(call.handler for call in told.calls)),
        "repeated": len(told.calls) - len({(call.handler, call.name, call.seq) for call in told.calls}),
        "take-overs": len(told.takeovers),
        "leaderships lost": told.lost,
        "epochs": len(epochs),
        "requests": len(requests),
        "most in so many seconds": most,
        "in flight at take-overs": left,
    }
    for what, value in report.items():
        record_property(what, str(value))
    logger.info("%s", report)
    assert len(told.takeovers) >= 1 + site.done["kill_leader"] + site.done["stop_leader"]
    assert max(left) <= IN_PARALLEL, "only what was in flight comes after another monitor leads"
    for seconds, count in most.items():  # one leader at a time keeps this pace, and so must all of them together
        assert count <= PER_MINUTE * seconds / 60 + BURST + IN_PARALLEL, most


# The checks themselves: each must see what it is there for.

GOOD = [
    Written(5, 1, "a", 1, None, "queued"),
    Written(6, 1, "b", 1, None, "running"),
    Written(9, 2, "a", 2, "queued", "running"),
    Written(10, 3, "a", 3, "running", "completed"),
    Written(11, 3, "a", 4),
    Written(12, 3, "b", 2, "running", "failed"),
]
TRUTH = {"a": ["queued", "running", "completed"], "b": ["queued", "running", "failed"]}
MOVES = [one for one in GOOD if one.dest is not None]
CALLS = [Call(1, "recorder", one.name, one.seq, one.source, one.dest) for one in MOVES]
ENDS_ONLY = [Call(2, "ends", one.name, one.seq, one.source, one.dest) for one in GOOD if one.dest in ENDS]


def test_the_checks_find_nothing_where_all_is_well():
    """Repeated calls are all right, and so is what was first seen late."""
    assert wrong_in_stream(GOOD) == []
    assert wrong_in_truth(GOOD, TRUTH) == []
    assert wrong_in_calls(both := [*CALLS, *ENDS_ONLY, CALLS[2], CALLS[0]], both, GOOD, ["recorder", "ends"]) == []


@pytest.mark.parametrize("index", range(len(MOVES)))
def test_a_lost_event_is_found(index):
    """An event that is not in the stream, or for which a handler was not called, is missed."""
    rest = [one for one in GOOD if one is not MOVES[index]]
    assert wrong_in_truth(rest, TRUTH) or wrong_in_stream(rest)
    rest = CALLS[:index] + CALLS[index + 1 :]
    assert wrong_in_calls(rest, rest, GOOD, ["recorder"])
    assert wrong_in_calls(CALLS, rest, GOOD, ["recorder"]), "it began and was never done"


def test_a_broken_order_is_found():
    """Calls for one execution in another order are wrong, also if the right order comes again later."""
    swapped = [CALLS[2], CALLS[0], CALLS[1], *CALLS[3:], *CALLS]
    assert len(wrong_in_calls(swapped, swapped, GOOD, ["recorder"])) == 1
    assert wrong_in_stream([attrs.evolve(GOOD[0], position=13), *GOOD[1:]])


def test_what_is_written_twice_or_not_at_all_is_found():
    """An event twice in the stream, calls for what is not there, and calls that differ from it are wrong."""
    assert wrong_in_stream([*GOOD, attrs.evolve(GOOD[-1], position=20)])
    for calls in (
        [*CALLS, Call(1, "recorder", "a", 5, "completed", "running")],
        [*CALLS[:-1], attrs.evolve(CALLS[-1], dest="completed")],
    ):
        assert wrong_in_calls(calls, CALLS, GOOD, ["recorder"])
    assert wrong_in_truth(GOOD, TRUTH | {"c": ["queued"]})
    assert wrong_in_truth(GOOD, {"a": TRUTH["a"]})
    assert wrong_in_truth(GOOD, TRUTH | {"b": ["queued", "running", "completed"]})


def test_a_former_leader_that_writes_is_found():
    """An epoch after a later one is wrong."""
    assert wrong_in_stream([*GOOD[:3], attrs.evolve(GOOD[3], epoch=1), *GOOD[4:]]) == [
        "position 10 was written in epoch 1, after epoch 2"
    ]


def test_requests_are_counted_in_every_window():
    """The fullest window counts, and who sent a request is seen by its page limit."""
    assert most_in_a_window([], 60) == 0
    assert most_in_a_window([0.0, 50.0, 70.0, 109.0, 130.0, 300.0], 60) == 3
    takeovers = [TakeOver(0.0, 1, 100), TakeOver(10.0, 2, 99)]
    requests = [Request(5.0, 100), Request(10.5, 100), Request(11.0, 99), Request(12.0, None)]
    assert left_over(requests, takeovers) == [0, 1]
