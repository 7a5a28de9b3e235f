"""Whatever becomes of deliveries, and however often programs end: each is handed out until it is dealt with."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from log import START, moved, subscribed, write

from titan_state.journal import sqlite_subscription
from titan_state.journal.base import Delivery
from titan_state.journal.sqlite import SqliteJournal

NAMES = "abcd"


class Deliveries(RuleBasedStateMachine):
    """One subscription of one file, over many lives; every second event is wanted by it, and its window is small."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.place = tempfile.TemporaryDirectory()
        self.seqs = dict.fromkeys(NAMES, 0)
        self.wanted: list[str] = []
        self.done: set[str] = set()
        self.dead: set[str] = set()
        self.again: set[str] = set()
        self.most = sqlite_subscription.MOST_UNFINISHED
        sqlite_subscription.MOST_UNFINISHED = 3
        self._live()

    def _live(self) -> None:
        """Begin another life."""
        self.held: dict[str, Delivery] = {}
        self.handed: list[str] = []

        async def start() -> None:
            self.journal = SqliteJournal(Path(self.place.name) / "j.db")
            await self.journal.open()
            await self.journal.lead("us")
            self.subscription = await subscribed(self.journal, wants=lambda event: event.seq % 2 == 1)

        self.loop.run_until_complete(start())

    def _do(self, work):
        return self.loop.run_until_complete(work)

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=8))
    def append(self, names: list[str]) -> None:
        events = []
        for name in names:
            self.seqs[name] += 1
            events.append(moved(name, self.seqs[name]))
            if self.seqs[name] % 2:
                self.wanted.append(events[-1].id)
        self._do(write(self.journal, *events))

    @rule(limit=st.integers(1, 5))
    def fetch(self, limit: int) -> None:
        deliveries = self._do(self.subscription.fetch(limit))
        assert len(deliveries) <= limit
        for one in deliveries:
            assert one.event.id not in self.held
            assert one.is_out_of_order == (one.event.id in self.again)
            self.held[one.event.id] = one
            if not one.is_out_of_order:
                self.handed.append(one.event.id)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), what=st.sampled_from(["ack", "ack", "ack", "retry", "aside"]))
    def deal(self, data: st.DataObject, what: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        delivery = self.held[name]
        if what == "retry":
            self._do(self.subscription.retry(delivery, due=START, error="x"))
            return
        del self.held[name]
        self.again.discard(name)
        if what == "ack":
            self._do(self.subscription.acknowledge(delivery))
            self.done.add(name)
        else:
            self._do(self.subscription.set_aside(delivery, error="x"))
            self.dead.add(name)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.dead)))
        assert [letter.event.id for letter in self._do(self.journal.redeliver([name]))] == [name]
        self.dead.discard(name)
        self.again.add(name)

    @rule(name=st.sampled_from(NAMES))
    def look_at_the_rest(self, name: str) -> None:
        found = self._do(self.subscription.fetch_of(name, after=0, limit=100))
        expected = {one for one in self.held if one.startswith(f"{name}:")}
        assert expected <= {one.event.id for one in found}
        assert {one.event.id for one in found} <= expected | self.again | set(self._open())
        assert [one.position for one in found] == sorted(one.position for one in found)

    @rule(is_crash=st.booleans())
    def live_again(self, is_crash: bool) -> None:
        if is_crash:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self._do(asyncio.sleep(0))
            self._do(self.journal.do(self.journal._close))
        else:
            self._do(self.journal.close())
        self._live()

    def _open(self) -> list[str]:
        return [name for name in self.wanted if name not in self.done | self.dead | self.again]

    @rule()
    def fetch_all(self) -> None:
        self.fetch(1000)
        assert set(self.held) == set(self._open()) | self.again

    @invariant()
    def handed_out_in_order(self) -> None:
        for name in NAMES:
            own = [int(one.partition(":")[2]) for one in getattr(self, "handed", []) if one.startswith(f"{name}:")]
            assert own == sorted(set(own))

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            sqlite_subscription.MOST_UNFINISHED = self.most
            self.live_again(False)
            self.fetch_all()
            assert self._do(self.journal.verify()) == []
            self._do(self.journal.close())
            self.loop.close()
            self.place.cleanup()


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
