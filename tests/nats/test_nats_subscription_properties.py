"""Whatever programs with one subscription do, and however they end: nothing is lost, and everything is in order.

The server is a real one, and may be started again in between. Waiting is for real, too: a program that was killed
loses what it had after a while only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest
from following import Program, later, moved, until
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from servers import Server, running

from titan_state.journal.base import Delivery
from titan_state.journal.nats import pulls
from titan_state.journal.nats.pulls import Held, Pull

NAMES = [f"e{number}" for number in range(5)]
PROGRAMS = 3
KEPT_S = 4.0
"""How long a program that was killed keeps what it had."""

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Not shrinking: every try waits for real."""

NUMBERS = count()

steps = st.one_of(
    st.tuples(st.just("write"), st.lists(st.sampled_from(NAMES), min_size=1, max_size=6)),
    st.tuples(st.just("work"), st.integers(0, PROGRAMS - 1)),
    st.tuples(st.just("work"), st.integers(0, PROGRAMS - 1)),
    st.tuples(st.just("close"), st.integers(0, PROGRAMS - 1)),
    st.tuples(st.just("crash"), st.integers(0, PROGRAMS - 1)),
    st.tuples(st.just("redeliver"), st.none()),
    st.tuples(st.just("restart"), st.none()),
)
fates = st.sampled_from(["ack", "ack", "ack", "ack", "retry", "aside", "keep"])


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with running(Server(tmp_path_factory.mktemp("nats"))) as one:
        yield one


class World:
    """Programs with one subscription, and what has become of the events.

    Attributes:
        written: The events that were written, in order.
        handed: The events of each execution in the order in which they were handed out for the first time.
        attempts: How often each event was tried in vain.
        done: The events that were handled.
        dead: The events that were given up.
        held: Of each program, what it works on.
        is_exact: Whether the server was never killed. If it was, it may have forgotten what it was told just before:
            something is delivered twice then, and only that nothing is lost and that the order holds is certain.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.account = f"account {next(NUMBERS)}"
        self.seqs = dict.fromkeys(NAMES, 0)
        self.written: list[str] = []
        self.handed: dict[str, list[int]] = {name: [] for name in NAMES}
        self.attempts: Counter[str] = Counter()
        self.done: set[str] = set()
        self.dead: set[str] = set()
        self.again: set[str] = set()
        self.held: list[dict[str, Delivery]] = [{} for _ in range(PROGRAMS)]
        self.programs: list[Program] = []
        self.is_exact = True

    async def program(self) -> Program:
        one = await Program(self.server.url, self.account, partitions=3, silent_s=KEPT_S).open()
        await one.follow()
        return one

    async def begin(self) -> None:
        self.writer = await Program(self.server.url, self.account, partitions=3, silent_s=KEPT_S).open()
        self.programs = [await self.program() for _ in range(PROGRAMS)]

    async def end(self) -> None:
        for one in (*self.programs, self.writer):
            await one.close()

    async def take(self, index: int, seconds: float) -> list[Delivery]:
        """Take what a program has or gets within a time."""
        one = self.programs[index]
        one.news.clear()
        found = await one.subscription.fetch(9)
        if not found:
            try:
                await asyncio.wait_for(one.news.wait(), seconds)
            except TimeoutError:
                return []
            found = await one.subscription.fetch(9)
        for delivery in found:
            self.took(index, delivery)
        return found

    def took(self, index: int, delivery: Delivery) -> None:
        event = delivery.event
        if self.is_exact:
            assert not [held for held in self.held if event.id in held], "no two programs that live have it"
            assert event.id not in self.done, "what was acknowledged is not handed out"
            assert delivery.is_out_of_order == (event.id in self.again)
            assert delivery.is_out_of_order or event.id not in self.dead
            assert delivery.is_out_of_order or delivery.attempts == self.attempts[event.id]
        if not delivery.is_out_of_order:
            handed = self.handed[event.execution_id]
            if event.seq not in handed:
                assert event.seq == len(handed) + 1, "in order, and none is left out"
                handed.append(event.seq)
            assert event.seq == handed[-1] or not self.is_exact
        self.held[index][event.id] = delivery

    async def deal(self, index: int, name: str, fate: str) -> None:
        """Have a program be done with an event, or try it again later."""
        delivery = self.held[index][name]
        subscription = self.programs[index].subscription
        if fate == "ack":
            await subscription.acknowledge(delivery)
            self.done.add(name)
            self.again.discard(name)
            del self.held[index][name]
        elif fate == "aside":
            await subscription.set_aside(delivery, error="no")
            self.dead.add(name)
            self.again.discard(name)
            del self.held[index][name]
        elif fate == "retry" and not delivery.is_out_of_order:
            await subscription.retry(delivery, due=later(0), error="no")
            self.attempts[name] += 1
            self.held[index][name] = Delivery(
                position=delivery.position, event=delivery.event, attempts=self.attempts[name]
            )

    async def do(self, what: str, value: object, data: st.DataObject) -> None:
        if what == "write":
            for name in value:
                self.seqs[name] += 1
                event = moved(name, self.seqs[name])
                await self.writer.write(event)
                self.written.append(event.id)
        elif what == "work":
            await self.take(value, 0.05)
            for name in sorted(self.held[value]):
                await self.deal(value, name, data.draw(fates))
        elif what in ("close", "crash"):
            await getattr(self.programs[value], what)()
            self.held[value].clear()
            self.programs[value] = await self.program()
        elif what == "redeliver":
            letters = await self.writer.letters.redeliver(sorted(self.dead))
            found = {letter.event.id for letter in letters}
            assert found == self.dead or (found <= self.dead and not self.is_exact)
            self.again |= found
            self.dead -= found
        else:
            await self.restart()

    async def restart(self) -> None:
        everybody = (*self.programs, self.writer)
        self.is_exact = False
        self.server.kill()
        await until(lambda: not any(one.link.is_up for one in everybody))
        self.server.start()  # not in a thread: the server ends with the one that started it
        await until(lambda: all(one.link.is_up for one in everybody))

    async def finish(self) -> None:
        """Have everything that is left be handled."""
        async with asyncio.timeout(5 * KEPT_S):
            while not set(self.written) <= self.done | self.dead or (self.again and self.is_exact):
                for index in range(PROGRAMS):
                    await self.take(index, 0.05)
                    for name in sorted(self.held[index]):
                        await self.deal(index, name, "ack")


@pytest.mark.timeout(600)
@settings(max_examples=12, phases=PHASES)
@given(data=st.data(), story=st.lists(steps, min_size=4, max_size=14))
def test_nothing_is_lost_and_everything_is_in_order(server, data, story):
    """Each event is handed out until it is dealt with, first in order, and never to two programs that live."""

    async def run() -> None:
        world = World(server)
        await world.begin()
        try:
            await world.do("write", NAMES, data)
            for what, value in story:
                await world.do(what, value, data)
            await world.finish()
            assert all(len(seqs) == world.seqs[name] for name, seqs in world.handed.items())
            if world.is_exact:
                letters = await world.writer.letters.listed()
                assert {letter.event.id for letter in letters} == world.dead, "nothing is left of what succeeded"
                assert all(letter.is_dead for letter in letters)
            async with asyncio.timeout(5 * KEPT_S):
                while world.is_exact and not await world.writer.is_over():  # noqa: ASYNC110 - the server is asked, nobody tells
                    await asyncio.sleep(0.05)
        finally:
            await world.end()

    asyncio.run(run())


told = st.one_of(
    st.tuples(st.just("pass"), st.floats(0, 40)),
    st.tuples(st.just("ask"), st.none()),
    st.tuples(st.just("message"), st.none()),
    st.tuples(st.just("deal"), st.none()),
    st.tuples(st.just("status"), st.sampled_from(["100", "408", "409", "503", "404", "400", ""])),
    st.tuples(st.just("late status"), st.sampled_from(["100", "408", "409"])),
    st.tuples(st.just("lose"), st.none()),
)


@given(st.lists(told, max_size=60))
def test_a_pull_asks_neither_too_often_nor_too_seldom(story):
    """Whatever the server says, requests are bounded by time and messages, and one is sent again before long."""
    pull = Pull("c", 0, 0, 1)
    now = since = 0.0
    requests = causes = sequence = 0
    for what, value in story:
        if what == "pass":
            now += value
        elif what == "ask" and pull.is_due(now):
            pull.ask(now)
            requests += 1
        elif what == "message" and not pull.held:
            sequence += 1
            causes += 1
            pull.arrived(now)
            pull.held[sequence] = Held(sequence, "reply", now)
        elif what == "deal":
            pull.held.clear()
        elif what == "status":
            pull.told(requests, value, "", now)
        elif what == "late status":
            pull.told(requests - 1, value, "", now)
        elif what == "lose":
            causes += 1
            pull.lose(now)
        assert requests <= 1 + causes + (now - since) / pulls.FIRST_PAUSE_S
        assert pull.held or pull.is_due(now + max(pulls.SILENCE_S, pulls.LONGEST_PAUSE_S))


def test_pauses_grow():
    """A request that is refused again and again is sent ever more seldom, up to a limit."""
    pauses = [pulls.pause_s(number) for number in range(1, 100)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (pulls.FIRST_PAUSE_S, pulls.LONGEST_PAUSE_S)
