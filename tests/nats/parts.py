"""The parts of a journal in NATS, put together by hand, with events and rows that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from inspect import isawaitable

import attrs
import pytest

from titan_state import Execution, Transitioned
from titan_state.clock import SystemClock
from titan_state.core.tracking.state import FIELDS, Row
from titan_state.errors import JournalUnavailableError
from titan_state.journal.base import Commit
from titan_state.journal.nats import link, reading, stream
from titan_state.journal.nats.layout import Layout
from titan_state.journal.nats.link import Link
from titan_state.journal.nats.reading import Reader, Stored
from titan_state.journal.nats.settings import settings_of
from titan_state.journal.nats.writer import Writer

START = datetime(2026, 1, 1, tzinfo=UTC)
IMPATIENT_S = 0.7
"""How long an answer is waited for that does not come."""


def moved(name: str, seq: int, *, minutes: float = 0.0, source: str = "running", **fields: object) -> Transitioned:
    """Return an event of an execution, noticed some minutes after the start."""
    at = START + timedelta(minutes=minutes)
    dest = fields.pop("dest", "completed")
    return Transitioned(
        execution_id=name,
        seq=seq,
        at=at,
        execution=Execution(name, dest, **fields),
        source=source,
        dest=dest,
        before=at,
    )


def row(name: str, seq: int, **values: object) -> Row:
    """Return a row of an execution as a tracker writes it."""
    told = {"id": name, "status": "completed", "seq": seq, "since": START.timestamp(), "kept": 0} | values
    return tuple(told.get(field) for field in FIELDS)


def commit(*events: Transitioned, **options: object) -> Commit:
    """Return a commit of events with the rows of their executions after them."""
    records = {event.execution_id: row(event.execution_id, event.seq) for event in events}
    return Commit(**{"events": events, "records": tuple(records.values())} | options)


def be_impatient(monkeypatch: pytest.MonkeyPatch, seconds: float = IMPATIENT_S) -> None:
    """Have answers that do not come waited for less long: how long that is is of no matter to what must hold."""
    for module in (link, reading):
        monkeypatch.setattr(module, "ANSWER_S", seconds)
    monkeypatch.setitem(Link.ask.__kwdefaults__, "timeout_s", seconds)
    monkeypatch.setattr(link, "AGAIN_S", 0.1)
    monkeypatch.setattr(link, "CLOSE_S", 1.0)


@attrs.define
class Parts:
    """What works on the stream of one account, over a connection of its own."""

    link: Link
    layout: Layout
    reader: Reader

    def writer(self, holder: str = "one") -> Writer:
        """Return a writer that has not taken over."""
        return Writer(self.link, self.layout, self.reader, holder)

    async def leading(self, holder: str = "one") -> Writer:
        """Return a writer that has."""
        writer = self.writer(holder)
        await writer.take_over()
        return writer

    async def all(self, subject: str | None = None) -> list[Stored]:
        """Return all messages of a subject, of events by default."""
        return [stored async for stored in self.reader.scan(subject or self.layout.events())]

    async def ids(self) -> list[str]:
        """Return the ids of the events in the stream, in order."""
        return [self.reader.event(stored).id for stored in await self.all()]


Connect = Callable[..., object]


@asynccontextmanager
async def connecting() -> AsyncIterator[Connect]:
    """Hand out what connects to the stream of an account, and close all connections in the end."""
    async with AsyncExitStack() as stack:

        async def connect(url: str, account: str = "shop", **options: object) -> Parts:
            settings = settings_of(url, **options)
            one = Link(settings, SystemClock())
            await one.open()
            stack.push_async_callback(one.close)
            layout = await stream.ensured(one, account, settings)
            return Parts(one, layout, Reader(one, layout))

        yield connect


async def insisting(work: Callable[[], object], seconds: float = 20.0) -> object:
    """Do something until it can be done: NATS may be away for a while."""
    for _ in range(int(seconds / 0.1)):
        try:
            return await work()
        except JournalUnavailableError:
            await asyncio.sleep(0.1)
    return await work()


async def true(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return when a condition holds, or what it returns to be awaited does."""
    for _ in range(int(seconds / 0.02)):
        found = condition()
        if await found if isawaitable(found) else found:
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never came true")
