"""What the tests of subscriptions say in few words: a program that follows an account, and one that writes into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from titan_state import Execution
from titan_state.clock import Clock, SystemClock
from titan_state.core.events import Event, Transitioned
from titan_state.journal.base import Delivery
from titan_state.journal.nats import stream
from titan_state.journal.nats.link import Link
from titan_state.journal.nats.messages import event_written
from titan_state.journal.nats.reading import Reader
from titan_state.journal.nats.roster import Roster
from titan_state.journal.nats.settings import settings_of
from titan_state.journal.nats.subscription import NatsSubscription

START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S = 20.0
SILENT_S = 3.0
"""How long a program of these tests that is not heard of keeps what it has."""


def moved(name: str, seq: int = 1, **fields: object) -> Transitioned:
    """Return an event of an execution."""
    execution = Execution(name, "completed", **fields)  # type: ignore[arg-type]  # fields of the caller's own
    return Transitioned(
        execution_id=name, seq=seq, at=START, execution=execution, source="running", dest="completed", move="complete",
        before=START,
    )  # fmt: skip


def everything(event: Event) -> bool:
    return True


def ids(deliveries: list[Delivery]) -> list[str]:
    return [one.event.id for one in deliveries]


def later(seconds: float) -> datetime:
    """Return a date some seconds from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Return when a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


class Program:
    """One program, with a connection of its own.

    Attributes:
        link: The connection.
        roster: The subscriptions of the account.
        had: What its subscription has handed out.
    """

    def __init__(
        self,
        url: str,
        account: str = "shop",
        *,
        partitions: int = 4,
        silent_s: float = SILENT_S,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self._settings = settings_of(url, {}, account=account, partitions=partitions)
        self._account, self._silent_s = account, silent_s
        self.link = Link(self._settings, self.clock)
        self.had: list[Delivery] = []
        self.news = asyncio.Event()
        self.subscription: NatsSubscription | None = None

    async def open(self) -> Program:
        await self.link.open()
        self.layout = await stream.ensured(self.link, self._account, self._settings)
        self.reader = Reader(self.link, self.layout)
        self.roster = Roster(self.link, self.layout, self.reader, self.clock, ack_wait_s=self._silent_s)
        self.letters = self.roster.letters
        return self

    async def write(self, *events: Event) -> list[int]:
        """Write events, and return their positions."""
        return [
            await self.link.put(self.layout.event(one.execution_id), event_written(one, 1 << 20), replaces=False)
            for one in events
        ]

    async def follow(
        self, name: str = "us", *, start: int = 0, wants: Callable[[Event], bool] = everything
    ) -> NatsSubscription:
        """Open a subscription."""
        known = await self.roster.hold(name, start)
        self.subscription = NatsSubscription(
            self.link, self.layout, self.reader, self.letters, known, wants, self.news.set, self.clock
        )
        await self.subscription.start()
        return self.subscription

    async def take(self, count: int = 1, seconds: float = PATIENCE_S) -> list[Delivery]:
        """Return so many deliveries, waiting for them."""
        assert self.subscription is not None
        found: list[Delivery] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                self.news.clear()
                part = await self.subscription.fetch(count - len(found))
                found += part
                if not part:
                    await self.news.wait()
        self.had += found
        return found

    async def handle(self, count: int = 1, seconds: float = PATIENCE_S) -> list[str]:
        """Take so many deliveries, one after the other, and acknowledge each; return the ids of the events."""
        found = []
        for _ in range(count):
            (one,) = await self.take(1, seconds)
            await self.subscription.acknowledge(one)
            found.append(one.event.id)
        return found

    async def gets_nothing(self, seconds: float = 0.5) -> bool:
        """Return whether nothing is handed out for a while."""
        try:
            await self.take(1, seconds)
        except TimeoutError:
            return True
        return False

    async def is_over(self, name: str = "us") -> bool:
        """Return whether a subscription has had everything."""
        return all(state.has_had_everything for state in (await self.roster.consumers.of(name)).values())

    def stand_still(self) -> None:
        """Do nothing of one's own any more, as a process that was stopped, with its connection open."""
        for task in list(self.subscription._inbox.errands._tasks):
            task.cancel()

    async def crash(self) -> None:
        """End without a word, as a process that was killed."""
        self.stand_still()
        await self.link.nc.close()

    async def close(self) -> None:
        if self.subscription is not None:
            await self.subscription.close()
        await self.link.close()
