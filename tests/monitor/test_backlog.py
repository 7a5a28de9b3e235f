"""A long backlog on disk: bad handlers cost nobody else anything, and little of it is in memory."""

from __future__ import annotations

import asyncio

import pytest
from deliveries import Desk
from pace import true
from test_dispatcher import moved

from titan_state import Handlers, TemporaryError
from titan_state.clock import SystemClock
from titan_state.journal.base import Commit
from titan_state.journal.sqlite import SqliteJournal
from titan_state.monitor.delivery import feed as feeds
from titan_state.monitor.delivery.lane import LONGEST

EXECUTIONS, EACH = 60, 80


@pytest.fixture
async def journal(tmp_path):
    made = SqliteJournal(tmp_path / "journal.db")
    await made.open()
    await made.lead("us")
    yield made
    await made.close()


def log():
    return [moved(f"e{number}", seq) for seq in range(1, EACH + 1) for number in range(EXECUTIONS)]


def begun(handlers, journal):
    desk = Desk(handlers, SystemClock(), journal)
    desk.begin()
    return desk


async def test_bad_handlers_hold_up_nobody_else(journal, monkeypatch):
    """One that hangs, one that always fails and one that puts off keep a window each; a good one gets everything."""
    monkeypatch.setattr(feeds, "WINDOW", 200)
    handlers, good, gate = Handlers(), [], asyncio.Event()

    @handlers.on_transition(name="hangs", since="beginning")
    async def hangs(event):
        await gate.wait()

    @handlers.on_transition(name="fails", since="beginning", retries=1, backoff=0)
    async def fails(event):
        raise ValueError("no")

    @handlers.on_transition(name="puts off", since="beginning")
    async def puts_off(event):
        raise TemporaryError("later", delay=3600)

    @handlers.on_transition(name="good", since="beginning")
    async def works(event):
        good.append(event.id)

    await journal.append(Commit(events=log()))
    desk = begun(handlers, journal)
    await true(lambda: len(good) == EXECUTIONS * EACH)
    for number in range(EXECUTIONS):
        own = [name for name in good if name.startswith(f"e{number}:")]
        assert own == [f"e{number}:{seq}" for seq in range(1, EACH + 1)]
    await true(lambda: desk._feeds["puts off"]._waiting == EXECUTIONS)
    kept = {name: feed._kept for name, feed in desk._feeds.items()}
    assert kept["hangs"] <= 200 + LONGEST
    assert kept["puts off"] == 0
    lanes = desk._feeds["puts off"].lanes()
    assert all(len(lane.queue) == 1 and lane.has_rest for lane in lanes)
    await true(lambda: desk.counts.given_up == EXECUTIONS * EACH)
    assert len(await journal.letters(dead_only=True)) == EXECUTIONS * EACH
    gate.set()
    closing = asyncio.create_task(desk.close(0))
    await closing


async def test_what_was_left_to_the_journal_comes_in_order(journal):
    """A lane that waited goes on with what stayed in the journal, in order and without a gap, over a restart too."""
    seen, failing = [], [True]
    handlers = Handlers()

    @handlers.on_transition(name="late", since="beginning", retries=100, backoff=0.02)
    async def late(event):
        if event.execution_id == "e0" and failing[0]:
            raise ValueError
        seen.append(event.id)

    await journal.append(Commit(events=log()))
    desk = begun(handlers, journal)
    await true(lambda: len(seen) == (EXECUTIONS - 1) * EACH)
    failing[0] = False
    await true(lambda: len(seen) >= (EXECUTIONS - 1) * EACH + EACH // 2)
    await desk.close(0)
    for feed in desk._feeds.values():
        await feed.subscription.close()
    again = begun(handlers, journal)
    await true(lambda: len(seen) >= EXECUTIONS * EACH and not again.counts.pending)
    own = list(dict.fromkeys(name for name in seen if name.startswith("e0:")))
    assert own == [f"e0:{seq}" for seq in range(1, EACH + 1)]
    await again.close(0)
