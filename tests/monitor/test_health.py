"""Health: a monitor that sees nothing, or cannot write what it sees, says so, with what to check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import attrs
import pytest

from titan_state import Health, JournalUnavailableError, Monitor, RequestBudget
from titan_state.emulator import Faults, Plan, Step
from titan_state.journal.sqlite import SqliteJournal
from titan_state.monitor import outbox
from titan_state.monitor.health import health_of


@attrs.define
class Box:
    """As much of an outbox as health needs."""

    trouble: str | None = None
    waiting: int = 0
    is_full: bool = False


@attrs.define
class Book:
    """As much of a journal as health needs."""

    trouble: str | None = None


def test_nothing_is_the_matter():
    """Ready without reasons, whatever waits for a moment."""
    assert health_of(Box(waiting=3), Book(), is_blind=False) == Health(is_ready=True, reasons=(), backlog=3)


@pytest.mark.parametrize("is_full", [False, True])
def test_what_cannot_be_written(is_full):
    """How much waits, why, and whether that keeps the monitor from looking further."""
    health = health_of(Box("the disk is full", 7, is_full), Book(), is_blind=False)
    assert (health.is_ready, health.backlog) == (False, 7)
    (reason,) = health.reasons
    assert reason.startswith("7 events wait to be written to the journal")
    assert reason.endswith(": the disk is full")
    assert ("nothing further is observed until they are" in reason) == is_full


def test_each_reason_is_told():
    """Writing, then the journal, each once; and the service, unless the journal says why nothing is asked of it."""
    health = health_of(Box("no room", 1), Book("the connection is away"), is_blind=True)
    assert not health.is_ready
    assert [reason.split(":")[0] for reason in health.reasons] == [
        "1 events wait to be written to the journal",
        "the journal",
    ]
    assert "the connection is away" in health.reasons[1]
    (reason,) = health_of(Box("away", 1), Book("away"), is_blind=True).reasons
    assert reason.startswith("1 events wait")
    (reason,) = health_of(Box(), Book(), is_blind=True).reasons
    assert "check connectivity, credentials, rate limits" in reason


def test_it_is_plain_data():
    """It compares, and does not change when the monitor does."""
    box = Box("away", 1)
    health = health_of(box, Book(), is_blind=False)
    box.trouble = None
    assert not health.is_ready
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        health.backlog = 0


class Flaky(SqliteJournal):
    """A journal that cannot write for a while."""

    is_away = False

    async def append(self, commit):
        if self.is_away:
            raise JournalUnavailableError("the disk is full")
        return await super().append(commit)


@pytest.fixture
async def journal(tmp_path, clock) -> AsyncIterator[Flaky]:
    made = Flaky(tmp_path / "journal.db", clock=clock)
    yield made
    await made.close()


async def test_a_monitor_that_cannot_write_for_a_while(service, clock, journal, until, monkeypatch):
    """It is not ready until what waits is written; when much waits, it looks no further."""
    monkeypatch.setattr(outbox, "MOST", 4)
    budget = RequestBudget(per_minute=1200)
    async with Monitor(service.url, service.token, clock=clock, journal=journal, budget=budget) as monitor:
        monitor.watch_all()
        service.add(Plan(id="first", steps=[Step("running")]))
        await until(lambda: monitor.executions() and not monitor.health().backlog)
        assert monitor.health() == Health(is_ready=True, reasons=(), backlog=0)
        journal.is_away = True
        for number in range(6):
            service.add(Plan(id=f"e{number}", steps=[Step("running")]))
        await until(lambda: not monitor.health().is_ready)
        await until(lambda: monitor.health().backlog >= 4)
        assert "nothing further is observed until they are: the disk is full" in monitor.health().reasons[0]
        backlog, requests = monitor.health().backlog, len(service.requests)
        await clock.advance(20.0)
        assert monitor.health().backlog == backlog
        assert len(service.requests) <= requests + 1
        journal.is_away = False
        await until(lambda: monitor.health().is_ready)
        await until(lambda: len(monitor.executions()) == 7)
        await until(lambda: monitor.health().backlog == 0)
        assert await journal.verify() == []


async def test_a_monitor_that_sees_nothing(service, monitor, clock, until):
    """A service that fails for minutes is a reason, until it answers again."""
    async with monitor:
        monitor.watch_all()
        await until(lambda: len(service.requests) > 2)
        service.faults = Faults(server_error=1.0)
        await until(lambda: not monitor.health().is_ready, seconds=1200.0, step=5.0)
        assert monitor.is_blind
        assert len(monitor.health().reasons) == 1
        service.faults = Faults.none()
        await until(lambda: monitor.health().is_ready, seconds=600.0)


async def test_before_and_after_it_runs(service, clock):
    """It can be asked at any time."""
    monitor = Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=1200))
    assert monitor.health().is_ready
    async with monitor:
        await asyncio.sleep(0)
    assert monitor.health().backlog == 0
