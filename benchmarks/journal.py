"""What the SQLite journal costs: events appended, deliveries acknowledged, and state restored, beside plain `sqlite3`.

Run it by hand, on a machine that does nothing else: `python benchmarks/journal.py`. Each figure stands beside that of a
plain loop which writes, or reads, the same rows with the standard library: that is the limit. Ratios carry over to
other machines; figures for a second do not. What was measured last is in docs/performance.md.
"""

from __future__ import annotations

import asyncio
import json
import platform
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from titan_state import Execution, Handlers, Tracker
from titan_state.clock import SystemClock
from titan_state.core.codec import written
from titan_state.core.events import Event
from titan_state.core.lifecycle import DEFAULT_TERMINAL
from titan_state.core.tracking.state import Row, State
from titan_state.journal.base import Commit
from titan_state.journal.sqlite import SqliteJournal
from titan_state.monitor.delivery.dispatcher import Dispatcher

SEED = 20_260
EVENTS = 6_000
SINGLE = 600
BATCHES = (1, 100, 1_000)
DELIVERIES = 5_000
RECORDS = 100_000
ROUNDS = 5
LEAST_SHARE = 0.5
MOST_TIMES = 3.0
PUT_RECORD = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def told(count: int) -> tuple[list[Event], list[Row]]:
    """Return events of executions that start and finish, as a tracker makes them, and the row after each."""
    rng = random.Random(SEED)
    tracker = Tracker()
    tracker.remember_changes()
    events: list[Event] = []
    rows: list[Row] = []
    at = 0.0
    while len(events) < count:
        name, task = f"{rng.getrandbits(64):016x}", f"task-{rng.randrange(20)}"
        for status in ("queued", "running", rng.choice(("completed", "completed", "failed"))):
            at += 1.0
            execution = Execution(
                name,
                status,
                task_id=task,
                created_at=NOW,
                updated_at=NOW + timedelta(seconds=at),
                phase="extracting",
                progress=float(rng.randrange(100)),
            )
            new = tracker.observe(execution, sent_at=at, received_at=at + 0.1)
            events += new
            rows += tracker.take_changes().records * len(new)
    return events[:count], rows[:count]


@contextmanager
def place() -> Iterator[Path]:
    """Hand out the path of a file that is not there yet."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "journal.db"


def append_ours(events: list[Event], rows: list[Row], batch: int, mode: str) -> float:
    """Return how long it takes to append events in batches."""

    async def work(path: Path) -> float:
        journal = SqliteJournal(path, synchronous="FULL" if mode == "FULL" else "NORMAL")
        await journal.open()
        await journal.lead("us")
        began = time.perf_counter()
        for first in range(0, len(events), batch):
            await journal.append(Commit(events=events[first : first + batch], records=rows[first : first + batch]))
        seconds = time.perf_counter() - began
        await journal.close()
        return seconds

    with place() as path:
        return asyncio.run(work(path))


def append_plain(events: list[Event], rows: list[Row], batch: int, mode: str) -> float:
    """Return how long a plain loop takes to write the same rows; their text is ready."""
    bodies = [written(event) for event in events]
    with place() as path:
        asyncio.run(made(path))
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(f"PRAGMA synchronous = {mode}")
        began = time.perf_counter()
        for first in range(0, len(events), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                [
                    (first + index + 1, event.execution_id, event.seq, 0.0, bodies[first + index])
                    for index, event in enumerate(events[first : first + batch])
                ],
            )
            connection.executemany(PUT_RECORD, rows[first : first + batch])
            connection.execute("COMMIT")
        seconds = time.perf_counter() - began
        connection.close()
        return seconds


async def made(path: Path) -> None:
    """Make the tables."""
    journal = SqliteJournal(path)
    await journal.open()
    await journal.close()


def deliver_ours(events: list[Event]) -> float:
    """Return how long it takes to deliver events to a callback that does nothing, acknowledgements included."""

    async def work(path: Path) -> float:
        journal = SqliteJournal(path)
        await journal.open()
        await journal.lead("us")
        await journal.append(Commit(events=events))
        handlers = Handlers()

        @handlers.on_transition(name="nothing", since="beginning")
        async def nothing(event: Event) -> None:
            pass

        dispatcher = Dispatcher(handlers, frozenset(DEFAULT_TERMINAL), SystemClock(), journal, failed=print)
        began = time.perf_counter()
        dispatcher.begin()
        while dispatcher.counts.delivered < len(events):  # noqa: ASYNC110 - counts have no event, and this is a benchmark
            await asyncio.sleep(0.001)
        seconds = time.perf_counter() - began
        await dispatcher.close(1.0)
        await journal.close()
        return seconds

    with place() as path:
        return asyncio.run(work(path))


def deliver_plain(events: list[Event]) -> float:
    """Return how long a plain loop takes to read the same events and to move a cursor after each."""
    with place() as path:
        append_plain_into(path, events)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("INSERT INTO subscriptions VALUES ('plain', 0, 0, 0, NULL, NULL)")
        began = time.perf_counter()
        for position, body in connection.execute("SELECT position, body FROM events ORDER BY position").fetchall():
            json.loads(body)
            connection.execute("UPDATE subscriptions SET cursor = ? WHERE name = 'plain'", (position,))
        seconds = time.perf_counter() - began
        connection.close()
        return seconds


def append_plain_into(path: Path, events: list[Event]) -> None:
    """Write events into a new file."""
    asyncio.run(made(path))
    connection = sqlite3.connect(path)
    rows = [(index, one.execution_id, one.seq, 0.0, written(one)) for index, one in enumerate(events, 1)]
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()


def restore_both() -> tuple[float, float]:
    """Return how long it takes to restore live executions, and to read their rows with plain `sqlite3`."""
    rng = random.Random(SEED)
    tracker = Tracker()
    tracker.remember_changes()
    for number in range(RECORDS):
        status = rng.choice(("queued", "running", "running", "paused"))
        execution = Execution(
            f"{rng.getrandbits(64):016x}", status, task_id=f"task-{number % 20}", created_at=NOW, updated_at=NOW
        )
        tracker.observe(execution, sent_at=1.0, received_at=1.1)
    rows = tracker.take_changes().records

    async def ours(path: Path) -> float:
        journal = SqliteJournal(path)
        await journal.open()
        began = time.perf_counter()
        state: State = await journal.lead("us")
        again = Tracker()
        again.remember_changes()
        again.restore(state, now=10.0)
        seconds = time.perf_counter() - began
        if len(again) != RECORDS:
            raise SystemExit(f"{len(again)} executions were restored")
        await journal.close()
        return seconds

    async def write(path: Path) -> None:
        journal = SqliteJournal(path)
        await journal.open()
        await journal.lead("us")
        await journal.append(Commit(records=rows))
        await journal.close()

    with place() as path:
        asyncio.run(write(path))
        mine, plain = [], []
        for _ in range(ROUNDS):
            mine.append(asyncio.run(ours(path)))
            connection = sqlite3.connect(path)
            began = time.perf_counter()
            connection.execute("SELECT * FROM records ORDER BY rowid").fetchall()
            plain.append(time.perf_counter() - began)
            connection.close()
        return min(mine), min(plain)


def best(work: Callable[[], float]) -> float:
    """Return the shortest of several rounds: a shared machine only ever adds."""
    return min(work() for _ in range(ROUNDS))


def main() -> int:
    """Measure, print the table, and return how many bars were missed."""
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()}")
    print(f"{'what':<44} {'ours/s':>10} {'plain/s':>10} {'ratio':>7}")
    missed = 0
    for mode in ("FULL", "NORMAL"):
        for batch in BATCHES:
            count = SINGLE if batch == 1 else EVENTS
            events, rows = told(count)
            ours = count / best(lambda: append_ours(events, rows, batch, mode))  # noqa: B023 - called at once
            plain = count / best(lambda: append_plain(events, rows, batch, mode))  # noqa: B023 - called at once
            is_missed = batch > 1 and ours < LEAST_SHARE * plain
            missed += is_missed
            bar = f"  (at least {LEAST_SHARE:g}{', MISSED' if is_missed else ''})" if batch > 1 else ""
            what = f"events appended, {batch} at once, {mode}"
            print(f"{what:<44} {ours:>10.0f} {plain:>10.0f} {ours / plain:>7.2f}{bar}")
    events, _ = told(DELIVERIES)
    ours, plain = (DELIVERIES / best(lambda: work(events)) for work in (deliver_ours, deliver_plain))  # noqa: B023 - at once
    print(f"{'deliveries acknowledged':<44} {ours:>10.0f} {plain:>10.0f} {ours / plain:>7.2f}")
    mine, read = restore_both()
    is_missed = mine > MOST_TIMES * read
    missed += is_missed
    bar = f"at most {MOST_TIMES:g}{', MISSED' if is_missed else ''}"
    print(f"{f'{RECORDS} executions restored: times reading rows':<44} {mine / read:>29.2f}  ({bar})")
    return missed


if __name__ == "__main__":
    sys.exit(main())
