"""Entering a monitor, or a subscriber, that fails halfway: nothing of it goes on, and nothing of it stays open."""

from __future__ import annotations

import asyncio

import pytest

from titan_state import (
    ConfigurationError,
    Handlers,
    JournalDamagedError,
    JournalError,
    JournalUnavailableError,
    LeadershipLostError,
    Monitor,
    Subscriber,
)
from titan_state.core.tracking.state import FIELDS, State
from titan_state.emulator import Plan, Step
from titan_state.errors import ConnectionFailedError
from titan_state.journal.memory import MemoryJournal
from titan_state.journal.sqlite import SqliteJournal
from titan_state.monitor.local_server import LocalServer


def row(**values):
    """Return a row of an execution that is in order but for some fields."""
    told = {"id": "a", "status": "running", "seq": 1, "since": 1.0, "kept": 0} | values
    return tuple(told.get(field) for field in FIELDS)


DAMAGE = [
    row(updated_at="yesterday"),
    row(since="seven"),
    row(seen_sent=[]),
    row(updated_at=1e30),
    row(updated_at=-1e12),
    row(rare="{"),
    row(rare="[]"),
    row(rare='{"open": {"no such": "2026-01-01T00:00:00+00:00"}}'),
    row(rare="[" * 100_000),
    row(status="completed", since=None, final="{"),
    row(status="completed", since=None, final="[7]"),
    row(kept="2", rare="7"),
    ("a", "running"),
    (),
]


class Journal(MemoryJournal):
    """A journal that counts whether it is open, and fails where a test wants."""

    is_durable = True

    def __init__(self, rows=(), *, fails_to="", fails_with=None):
        super().__init__()
        self.rows = rows
        self.fails_to, self.fails_with = fails_to, fails_with or JournalUnavailableError("not now")
        self.connections = 0
        self.serving = asyncio.Event()

    async def open(self):
        self.connections += 1
        await self._may("open")
        await super().open()

    async def lead(self, account):
        await self._may("lead")
        await super().lead(account)
        return State(records=self.rows)

    async def serve(self, answer):
        self.serving.set()
        await self._may("serve")

    async def _may(self, what):
        if self.fails_to == what:
            if self.fails_with is asyncio.Event:
                await asyncio.Event().wait()
            raise self.fails_with

    async def close(self):
        self.connections -= 1
        await super().close()


def ours():
    """Return the names of tasks of ours that run."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("titan_state")]


def monitor_of(service, clock, journal):
    return Monitor(service.url, service.token, clock=clock, journal=journal)


async def entered(monitor):
    async with monitor:
        await asyncio.Event().wait()


@pytest.mark.parametrize("damaged", DAMAGE, ids=range(len(DAMAGE)))
async def test_rows_that_cannot_be_taken_up(service, clock, damaged):
    """A journal with a row that is nonsense is said to be damaged, and is let go: another monitor may lead it."""
    journal = Journal([row(id="b"), damaged])
    with pytest.raises(JournalDamagedError, match=r"cannot be taken up \(\w+: .*Keep a copy"):
        await entered(monitor_of(service, clock, journal))
    assert journal.connections == 0
    assert ours() == []


@pytest.mark.parametrize("what", ["lead", "serve"])
async def test_a_journal_that_fails_halfway(service, clock, what):
    """The error comes out, nothing is read any more, and the journal is closed."""
    service.add(Plan(id="a", steps=[Step("running")]))
    journal = Journal(fails_to=what)
    monitor = monitor_of(service, clock, journal)
    with pytest.raises(JournalUnavailableError, match="not now"):
        await entered(monitor)
    assert journal.connections == 0
    assert ours() == []
    with pytest.raises(ConnectionFailedError, match="closed"):
        await monitor.service.get("a")
    await clock.advance(120)
    assert len(service.requests) == 0


async def test_it_is_cancelled_halfway(service, clock):
    """A monitor that is cancelled while it begins to be asked is left as if it had been entered."""
    journal = Journal(fails_to="serve", fails_with=asyncio.Event)
    task = asyncio.create_task(entered(monitor_of(service, clock, journal)))
    await journal.serving.wait()
    task.cancel()
    for _ in range(20):
        await clock.advance(0.25)
    assert task.cancelled()
    assert journal.connections == 0
    assert ours() == []


async def test_the_lead_is_lost_halfway(service, clock):
    """What ends the monitor while it is entered comes out of the `async with`, and not that it was cancelled."""
    journal = Journal(fails_to="serve", fails_with=asyncio.Event)
    monitor = monitor_of(service, clock, journal)
    task = asyncio.create_task(entered(monitor))
    await journal.serving.wait()
    monitor._end(LeadershipLostError("another one leads"))
    for _ in range(20):
        await clock.advance(0.25)
    assert isinstance(task.exception(), LeadershipLostError)
    assert journal.connections == 0
    assert ours() == []


async def test_the_socket_cannot_be_opened(service, clock, tmp_path, monkeypatch):
    """A mistake while the socket is opened ends everything, and the journal can be used again at once."""

    async def fail(self, path):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(LocalServer, "open", fail)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a mistake"):
            await entered(monitor_of(service, clock, SqliteJournal(tmp_path / "journal.db")))
    assert ours() == []


# Subscribers.


@pytest.fixture
def handlers():
    made = Handlers()

    @made.on_completed(name="one")
    async def one(event): ...

    return made


async def test_a_journal_that_is_open_elsewhere_stays_open(service, handlers, clock, tmp_path):
    """Whoever cannot open a journal, since somebody else has it open, does not close it for that one."""
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    with pytest.raises(JournalError, match="open already"):
        await Subscriber(journal, handlers, clock=clock).run()
    with pytest.raises(JournalError, match="open already"):
        await entered(monitor_of(service, clock, journal))
    assert await journal.log(0, 9) == []
    await journal.close()


async def test_a_subscriber_is_run_once(handlers, clock):
    """A second time is refused, at the same time, which disturbs the first one in nothing, and afterwards."""
    journal = Journal()
    subscriber = Subscriber(journal, handlers, clock=clock)
    first = asyncio.create_task(subscriber.run())
    await clock.settle()
    with pytest.raises(ConfigurationError, match="runs once"):
        await subscriber.run()
    assert journal.connections == 1
    assert not first.done()
    first.cancel()
    for _ in range(20):
        await clock.advance(0.25)
    assert first.cancelled()
    assert journal.connections == 0
    with pytest.raises(ConfigurationError, match="runs once"):
        await subscriber.run()
