"""A journal in a SQLite file: one monitor writes it, and programs of the same machine may subscribe to it.

SQLite is used in a thread of its own, one whole transaction at a time, so the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from titan_state.clock import SystemClock
from titan_state.core import codec
from titan_state.errors import ConfigurationError, JournalError, shorten
from titan_state.journal import database
from titan_state.journal.base import BEGINNING, UNLIMITED
from titan_state.journal.overview import AGE_S, MOST_EVENTS, Overview
from titan_state.journal.sqlite_subscription import SqliteSubscription
from titan_state.journal.store import FULL, NORMAL, Store
from titan_state.journal.tables import Tables

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.tracking.state import Row, State
    from titan_state.journal.base import Commit, Letter, Since, SubscriptionState

T = TypeVar("T")

logger = logging.getLogger("titan_state.journal")

TAIL: Final = 4096
"""How many of the last events are kept in memory, for subscriptions that are up to date."""

HELD_S: Final = 60.0
"""For how long a subscription is taken for open of which nothing more is heard: from a machine that cannot be asked."""

BEAT_S: Final = 15.0
"""How often it is written down that subscriptions are open."""

UPKEEP_S: Final = 3600.0
"""How often what is beyond the limits is dropped; for the first time a minute after the start."""


class SqliteJournal:
    """A journal in a SQLite file. See `Journal` for what each method does.

    One monitor writes it, and programs of the same machine may subscribe to it. Events older than 30 days, or beyond
    the last million, are dropped once every subscription has had them.

    Attributes:
        path: The file.
        name: The file, for messages.
    """

    is_durable = True
    is_shared = False
    largest_commit = UNLIMITED
    trouble = None
    lease = None

    def __init__(
        self, path: str | Path, *, synchronous: Literal["FULL", "NORMAL"] = "FULL", clock: Clock | None = None
    ) -> None:
        """Make a journal that is not open yet.

        Args:
            path: The file; it is made if it is missing, with its directory, for its owner only.
            synchronous: Whether an event is safe from a failure of the machine when a callback sees it (FULL), or only
                from one of the program.
            clock: The time, the machine's own by default.

        Raises:
            ConfigurationError: `synchronous` is neither of the two.
        """
        if synchronous not in (FULL, NORMAL):
            raise ConfigurationError(f"synchronous must be {FULL} or {NORMAL}, not {shorten(repr(synchronous))}")
        self.path: Path = Path(path).expanduser().absolute()
        self.name: str = str(self.path)
        self._synchronous = synchronous
        self._clock = clock or SystemClock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="titan_state journal")
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._mark = secrets.token_hex(4)  # tells apart several of one process
        self._store: Store
        self._tables: Tables
        self._overview: Overview
        self._lease: sqlite3.Connection | None = None
        self._head = 0
        self._version = 0
        self._tail: deque[Event] = deque(maxlen=TAIL)
        self._open: dict[str, SqliteSubscription] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._is_beating = False

    @property
    def head(self) -> int:
        """The position of the last event, as far as is known; 0 before the first."""
        return self._head

    async def open(self) -> None:
        """Open the file, or make it. See `Journal.open`."""
        if self._is_open:
            raise JournalError(f"the journal {self.path} is open already: make another object for another use")
        connection = await self.do(database.connect, self.path)
        self._is_open = True
        self._store = Store(connection, self.path)
        self._tables, self._overview = Tables(self._store), Overview(self._store)
        self._version = await self.do(self._tables.version)  # first: what is written in between is news to `poll`
        self._head = await self.do(self._tables.head)

    async def lead(self, account: str) -> State:
        """Take the place of the one writer, and return what the writer before knew. See `Journal.lead`."""
        self._lease = await self.do(database.lease, self.path, self._tables.holder)
        state = await self.do(self._tables.lead, account, self._holder)
        self._head = await self.do(self._tables.head)
        self._begin(self._keep_in_order(), "titan_state journal upkeep")
        return state

    async def append(self, commit: Commit) -> Sequence[int]:
        """Write down events and what is known after them; return when that is durable. See `Journal.append`."""
        first = self._head + 1
        await self.do(self._append, first, commit)
        self._head += len(commit.events)
        self._tail.extend(commit.events)
        return range(first, first + len(commit.events))

    def _append(self, first: int, commit: Commit) -> None:
        self._tables.append(first, commit, [codec.written(event) for event in commit.events], self._synchronous)

    async def subscribe(
        self,
        name: str,
        wants: Callable[[Event], bool],
        *,
        since: Since,
        head: int,
        notify: Callable[[], None],
    ) -> SqliteSubscription:
        """Open a subscription. See `Journal.subscribe`."""
        now = self.now()
        start = await self.do(self._start, since, head)
        holder = f"{self._holder}{' (the monitor)' if self._lease is not None else ''}, {self._mark}"
        cursor = await self.do(self._tables.hold, name, start, holder, now, now + HELD_S, self._may_take)
        exceptions = await self.do(self._tables.exceptions, name)
        subscription = SqliteSubscription(self, self._tables, name, wants, cursor, exceptions, self._clock)
        if not self._is_beating:
            self._is_beating = True
            self._begin(self._beat(), "titan_state journal heartbeat")
        self._open[name] = subscription
        return subscription

    def _start(self, since: Since, head: int) -> int:
        if isinstance(since, datetime):
            first = self._tables.first_since(since.timestamp())
            return self._tables.head() if first is None else first - 1
        return 0 if since == BEGINNING else head

    def _may_take(self, holder: str) -> bool:
        """Return whether whoever has a subscription is certainly gone."""
        if "(the monitor)" in holder and self._lease is not None:
            return not holder.endswith(self._mark)  # there is one writer, and that is this one
        process, _, host = holder.partition(" on ")
        if host.partition(",")[0].partition(" (")[0] != socket.gethostname():
            return False
        number = process.removeprefix("process ")
        return number.isdecimal() and int(number) != os.getpid() and not _is_running(int(number))

    async def poll(self) -> bool:
        """Return whether others have changed something since the last call."""
        version = await self.do(self._tables.version)
        if version == self._version:
            return False
        self._version = version
        if self._lease is None:
            self._head = await self.do(self._tables.head)
        for subscription in self._open.values():
            subscription.look_again()
        return True

    async def close(self) -> None:
        """Write down what is left, and let go of everything."""
        for subscription in tuple(self._open.values()):
            await subscription.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._is_open:
            await self.do(self._close)
        self._is_open = False
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        try:
            self._store.close()
        finally:
            if self._lease is not None:
                self._lease.close()
                self._lease = None

    # For people.

    async def history(self, execution_id: str) -> list[Event]:
        """Return the events of an execution that are in the log, in order. See `Journal.history`."""
        return await self.do(self._overview.history, execution_id)

    async def log(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Return events after a position. See `Journal.log`."""
        return await self.do(self._tables.log, after, limit)

    async def records(self) -> Sequence[Row]:
        """Return what is written down of every execution beside its events."""
        return await self.do(self._tables.records)

    async def subscriptions(self) -> list[SubscriptionState]:
        """Return all subscriptions, by name."""
        return await self.do(self._overview.subscriptions, self.now())

    async def unsubscribe(self, name: str) -> bool:
        """Remove a subscription with everything that it has not had. See `Journal.unsubscribe`."""
        return await self.do(self._overview.unsubscribe, name, self.now(), self._may_take)

    async def letters(self, *, dead_only: bool = False) -> list[Letter]:
        """Return the deliveries that did not succeed so far, the oldest first. See `Journal.letters`."""
        return await self.do(lambda: self._overview.letters(dead_only=dead_only))

    async def redeliver(self, event_ids: Iterable[str], *, subscription: str | None = None) -> list[Letter]:
        """Have dead letters tried again, out of order. See `Journal.redeliver`."""
        found = await self.do(self._overview.redeliver, tuple(event_ids), subscription)
        for one in self._open.values():
            one.look_again()
        return found

    async def prune(self, before: datetime) -> int:
        """Drop events from before a time that every subscription has had; return how many. See `Journal.prune`."""
        return await self._prune(before.timestamp())

    async def _prune(self, before: float, most: int | None = None) -> int:
        count = 0
        while dropped := await self.do(lambda: self._overview.prune(before, most=most)):
            count += dropped  # others have their turn in between
        return count

    async def verify(self) -> list[str]:
        """Look whether everything in it is in order; return what is not, in words."""
        return await self.do(self._overview.verify)

    # What its subscriptions use.

    async def do(self, work: Callable[..., T], *values: object) -> T:
        """Do something in the thread of the file, and return the result.

        Args:
            work: What is done.
            values: What it is called with.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    def now(self) -> float:
        """Return the date, in seconds since 1970."""
        return self._clock.now().timestamp()

    def tail(self, after: int, limit: int) -> list[tuple[int, Event]] | None:
        """Return events after a position that are in memory still, None if they may not be.

        Args:
            after: The position.
            limit: How many events at most.
        """
        first = self._head - len(self._tail) + 1
        if after + 1 < first or after >= self._head:
            return None
        last = min(after + limit, self._head)
        return [(position, self._tail[position - first]) for position in range(after + 1, last + 1)]

    def closed(self, name: str) -> None:
        """Take in that a subscription was closed.

        Args:
            name: The name of the subscription.
        """
        self._open.pop(name, None)

    # Upkeep.

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(BEAT_S)
            now = self.now()
            cursors = [(name, one.cursor) for name, one in self._open.items()]
            try:
                await self.do(self._tables.beat, cursors, now, now + HELD_S)
            except JournalError as error:  # if it is worse than busy, whoever appends says so
                logger.debug("it could not be written down that subscriptions are open: %s", error)

    async def _keep_in_order(self) -> None:
        await self._clock.sleep(HELD_S)
        while True:
            now = self.now()
            try:
                for name in await self.do(self._overview.expire, now):
                    logger.warning(
                        "subscription %s was removed, and begins anew when it is opened: nobody has had it for %g days",
                        shorten(name),
                        AGE_S / 86_400,
                    )
                await self._prune(now - AGE_S, MOST_EVENTS)
            except JournalError as error:
                logger.warning("the journal could not be pruned, which is tried again in an hour: %s", error)
            await self._clock.sleep(UPKEEP_S)


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere that signal would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
