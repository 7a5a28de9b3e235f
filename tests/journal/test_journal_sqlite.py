"""The SQLite journal: its file, its one writer, what survives, what is dropped, and what is refused."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from log import START, ids, moved, subscribed, write

from titan_state import (
    ConfigurationError,
    JournalDamagedError,
    JournalInUseError,
    JournalUnavailableError,
    JournalVersionError,
    SubscriptionInUseError,
)
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import FIELDS, State
from titan_state.journal import overview
from titan_state.journal.address import journal_of
from titan_state.journal.base import Commit
from titan_state.journal.database import APPLICATION_ID, VERSION
from titan_state.journal.memory import MemoryJournal
from titan_state.journal.sqlite import SqliteJournal


def row(name: str, seq: int = 1, **values: object) -> tuple[object, ...]:
    fields = dict.fromkeys(FIELDS) | {"id": name, "status": "running", "seq": seq, "kept": 0} | values
    return tuple(fields.values())


async def led(journal: SqliteJournal, account: str = "us") -> State:
    await journal.open()
    return await journal.lead(account)


async def test_files_are_for_their_owner_only(sqlite, path):
    """The file, what SQLite puts beside it, and a directory that was missing, can be used by nobody else."""
    journal = SqliteJournal(path.parent / "new" / "j.db")
    await led(journal)
    await write(journal, moved("a", 1))
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (path.parent / "new").iterdir()}
    assert modes == dict.fromkeys(["j.db", "j.db-lock", "j.db-shm", "j.db-wal"], 0o600)
    assert stat.S_IMODE((path.parent / "new").stat().st_mode) == 0o700
    await journal.close()


class Overtaken(SqliteJournal):
    """A journal into which another one writes after one of the steps of its opening."""

    steps, writer = 0, None

    async def do(self, work, *values):
        found = await super().do(work, *values)
        self.steps -= 1
        if self.steps == 0:
            await write(self.writer, moved("a", 1))
        return found


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_what_is_written_while_it_is_opened_is_handed_out(sqlite, path, step):
    """Whenever another program writes while one that follows opens the file, that one has it after a look at it."""
    writer, follower = sqlite(), Overtaken(path)
    await led(writer)
    follower.steps, follower.writer = step, writer
    await follower.open()
    assert follower.steps <= 0
    subscription = await subscribed(follower, since="beginning")
    found = ids(await subscription.fetch(9))
    await follower.poll()
    found += ids(await subscription.fetch(9))
    await follower.close()
    assert found == ["a:1"]


async def test_what_is_known_survives(sqlite):
    """State, baselines and marks come back as they were written last; marks never fall."""
    journal = sqlite()
    assert (await led(journal)).records == []
    lists = {None: Baseline(START, complete=True), "t": Baseline(), "u": Baseline()}
    await journal.append(
        Commit(events=[moved("a", 1)], records=[row("b"), row("a", rare='{"x":1}')], lists=lists, floor=4, horizon=9.5)
    )
    await journal.append(Commit(records=[row("b", 2, progress=0.5)], lists={"u": None}, floor=3, horizon=2.0))
    await journal.close()
    again = sqlite()
    state = await led(again)
    assert state.records == [row("a", rare='{"x":1}'), row("b", 2, progress=0.5)]
    assert state.lists == {None: Baseline(START, complete=True), "t": Baseline()}
    assert (state.floor, state.horizon) == (4, 9.5)
    assert again.head == 1


async def test_one_writer(sqlite):
    """A second monitor is refused, also in this process, and may have the journal when the first one has left."""
    first, second = sqlite(), sqlite()
    await led(first)
    await second.open()
    with pytest.raises(JournalInUseError, match=r"used by another monitor \(process \d+ on .*Subscriber"):
        await second.lead("us")
    await first.close()
    assert (await second.lead("us")).records == []


async def test_one_account(sqlite, path):
    """A journal belongs to one account."""
    journal = sqlite()
    await led(journal, "https://a")
    await journal.close()
    other = sqlite()
    with pytest.raises(ConfigurationError, match=r"journal\.db belongs to https://a, not to https://b"):
        await led(other, "https://b")


async def test_others_are_noticed(sqlite):
    """A subscriber sees what the monitor appends, and the monitor what others ask of it."""
    monitor, other = sqlite(), sqlite()
    await led(monitor)
    await other.open()
    mine, theirs = await subscribed(monitor, "mine"), await subscribed(other, "theirs")
    await write(monitor, moved("a", 1))
    assert await other.poll() is True
    (delivery,) = await theirs.fetch(9)
    await theirs.set_aside(delivery, error="x")
    await mine.set_aside((await mine.fetch(9))[0], error="y")
    await monitor.poll()
    assert await monitor.poll() is False
    await other.redeliver(["a:1"])
    assert ids(await theirs.fetch(9)) == ["a:1"]
    assert await monitor.poll() is True
    assert ids(await mine.fetch(9)) == ["a:1"]


async def test_a_subscription_of_a_program_that_is_gone(sqlite, path, clock):
    """It is taken over at once if that process ended on this machine, else when nothing was heard for a while."""
    journal = sqlite()
    await journal.open()
    await (await subscribed(journal)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE subscriptions SET holder = ?, held_until = ?",
            ("process 1 on elsewhere, 1", START.timestamp() + 60),
        )
    with pytest.raises(SubscriptionInUseError):
        await subscribed(journal)
    with closing(sqlite3.connect(path)) as connection, connection:
        holder = journal._holder.replace("process ", "process 99999999")
        connection.execute("UPDATE subscriptions SET holder = ?", (f"{holder}, 1",))
    await (await subscribed(journal)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE subscriptions SET holder = 'process 1 on elsewhere, 1', held_until = 0")
    await subscribed(journal)


async def test_a_crashed_monitor_leaves_nothing_in_use(sqlite):
    """The next monitor takes over the subscriptions of the one before at once: there is only one at a time."""
    first = sqlite()
    await led(first)
    await subscribed(first)
    await first.do(first._close)  # what a crash leaves: nothing was given back
    first._is_open = False
    first._open.clear()
    second = sqlite()
    await led(second)
    await subscribed(second)


def file_of(path, **marks):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    for name, value in marks.items():
        connection.execute(f"PRAGMA {name} = {value}")
    connection.commit()
    connection.close()


async def test_a_newer_version_is_left_untouched(sqlite, path):
    """A file that a newer version has written is refused, and not a byte of it changes."""
    file_of(path, application_id=APPLICATION_ID, user_version=VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(JournalVersionError, match=rf"newer version .*schema {VERSION + 1}.*nothing in it was touched"):
        await sqlite().open()
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


async def test_a_newer_version_that_is_not_in_the_file_yet(sqlite, path):
    """Also where the newer version is written ahead only, nothing is changed."""
    await sqlite().open()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(JournalVersionError):
        await sqlite().open()
    connection.close()


@pytest.mark.parametrize(
    ("content", "story"),
    [
        (b"this is no database at all, but a text that is long enough" * 40, "file is not a database.*Keep a copy of"),
        (None, "another program"),
    ],
)
async def test_what_is_no_journal_is_left_untouched(sqlite, path, content, story):
    """A file of something else is refused by name, and not changed."""
    if content is None:
        file_of(path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(JournalDamagedError, match=story):
        await sqlite().open()
    assert path.read_bytes() == before


async def test_a_damaged_file_is_named(sqlite, path):
    """Where pages are damaged the error names the file and says how to keep a copy; verify says more."""
    journal = sqlite()
    await led(journal)
    for number in range(40):
        await write(journal, *[moved(f"e{number}-{index}", 1, extra={"x": "y" * 300}) for index in range(20)])
    await journal.close()
    content = bytearray(path.read_bytes())
    content[4096 * 6 : 4096 * 12] = b"\xff" * 4096 * 6
    path.write_bytes(bytes(content))
    again = sqlite()

    async def use() -> None:
        await led(again)
        await (await subscribed(again, "all", since="beginning")).fetch(1000)

    with pytest.raises(JournalDamagedError, match=r"journal\.db is not in order.*Keep a copy of journal\.db and.*-wal"):
        await use()
    await again.close()
    fresh = sqlite()
    await fresh.open()
    assert await fresh.verify()


async def test_a_full_disk_tears_nothing(sqlite, path):
    """What cannot be written is refused as a whole with a clear error, and can be written when there is room."""
    journal = sqlite()
    await led(journal)
    await write(journal, moved("a", 1))
    pages = await journal.do(journal._store.value, "PRAGMA page_count")
    await journal.do(journal._store.value, f"PRAGMA max_page_count = {pages}")
    big = [moved("b", seq, extra={"x": "y" * 3000}) for seq in range(1, 50)]
    with pytest.raises(JournalUnavailableError, match=r"journal\.db cannot be written .*make room"):
        await journal.append(Commit(events=big, records=[row("b", 49)]))
    assert journal.head == 1
    assert await journal.history("b") == []
    await journal.do(journal._store.value, "PRAGMA max_page_count = 1073741823")
    await journal.append(Commit(events=big, records=[row("b", 49)]))
    assert len(await journal.history("b")) == 49
    assert await journal.verify() == []


async def test_what_became_of_deliveries_waits_for_room(sqlite, path, clock, caplog):
    """An acknowledgement that cannot be written is tried again until it can."""
    import asyncio

    journal = sqlite()
    await led(journal)
    subscription = await subscribed(journal)
    await write(journal, moved("a", 1))
    (delivery,) = await subscription.fetch(1)
    other = sqlite3.connect(path, isolation_level=None)
    await journal.do(journal._store.value, "PRAGMA busy_timeout = 10")
    other.execute("BEGIN IMMEDIATE")
    acknowledged = asyncio.ensure_future(subscription.acknowledge(delivery))
    for _ in range(100):
        await asyncio.sleep(0.01)
        await clock.advance(0.1)
    assert not acknowledged.done()
    assert caplog.text.count("cannot be written down") == 1
    other.execute("ROLLBACK")
    other.close()
    for _ in range(200):
        await asyncio.sleep(0.01)
        await clock.advance(1)
        if acknowledged.done():
            break
    await acknowledged


async def test_pruning_keeps_what_is_still_needed(sqlite):
    """Old events are dropped that every subscription has had, but not what was given up or is to be tried again."""
    journal = sqlite()
    await led(journal)
    one, two = await subscribed(journal, "one"), await subscribed(journal, "two")
    await write(journal, *[moved("a", seq, minutes=seq) for seq in range(1, 8)])
    ones = await one.fetch(9)
    await one.set_aside(ones[1], error="x")
    for delivery in [ones[0], *ones[2:]]:
        await one.acknowledge(delivery)
    for delivery in (await two.fetch(9))[:5]:
        await two.acknowledge(delivery)
    later = START + timedelta(hours=1)
    assert await journal.prune(START) == 0
    assert await journal.prune(START + timedelta(minutes=4)) == 2
    assert [event.seq for event in await journal.history("a")] == [2, 4, 5, 6, 7]
    assert await journal.prune(later) == 2
    assert [event.seq for event in await journal.history("a")] == [2, 6, 7]
    assert await journal.verify() == []
    await one.close()
    await two.close()
    await journal.unsubscribe("one")
    await journal.unsubscribe("two")
    assert await journal.prune(later) == 3
    assert journal.head == 7
    await write(journal, moved("a", 8))
    assert journal.head == 8


async def test_the_limits_keep_themselves(sqlite, clock, monkeypatch, caplog):
    """Every hour old events, abandoned subscriptions and the longest finished executions are dropped, never marks."""
    monkeypatch.setattr(overview, "MOST_FINISHED", 2)
    monkeypatch.setattr(overview, "MOST_DEAD", 1)
    journal = sqlite()
    await led(journal)
    await (await subscribed(journal, "abandoned")).close()
    kept = await subscribed(journal, "kept")
    records = [row(f"f{number}", number, final="{}", ended_at=100.0 + number) for number in range(1, 5)]
    await journal.append(Commit(events=[moved("a", 1), moved("a", 2)], records=[row("live"), *records, row("", 3)]))
    for delivery in await kept.fetch(9):
        await kept.set_aside(delivery, error="x")
    clock._now += timedelta(days=31)
    for _ in range(30):
        await clock.advance(10)
        await journal.do(int)
    assert "subscription abandoned was removed" in caplog.text
    assert [one.name for one in await journal.subscriptions()] == ["kept"]
    assert len(await journal.letters()) == 1
    assert [event.seq for event in await journal.history("a")] in ([1], [2])
    await kept.close()
    await journal.close()
    state = await led(again := sqlite())
    assert sorted(one[0] for one in state.records) == ["", "f3", "f4", "live"]
    assert (state.floor, state.horizon) == (2, 102.0)
    assert again.head == 2


async def test_the_log_has_a_most(sqlite, clock, monkeypatch):
    """Of a log that grows too long the oldest events are dropped, however young they are."""
    monkeypatch.setattr("titan_state.journal.sqlite.MOST_EVENTS", 3)
    journal = sqlite()
    await led(journal)
    await write(journal, *[moved("a", seq) for seq in range(1, 8)])
    for _ in range(7):
        await clock.advance(10)
        await journal.do(int)
    assert [event.seq for event in await journal.history("a")] == [5, 6, 7]


def test_how_sure_an_event_is_on_the_disk(path):
    """Anything but the two modes is refused."""
    with pytest.raises(ConfigurationError, match="synchronous must be FULL or NORMAL, not 'OFF'"):
        SqliteJournal(path, synchronous="OFF")


async def test_verify_tells_what_is_missing(sqlite, path):
    """Gaps, events that cannot be read and a state that is too old are told in words."""
    journal = sqlite()
    await led(journal)
    await journal.append(Commit(events=[moved("a", seq) for seq in range(1, 6)], records=[row("a", 4)]))
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM events WHERE position = 2")
    connection.execute("UPDATE events SET body = '{}' WHERE position = 3")
    connection.execute("INSERT INTO deliveries VALUES ('s', 99, 'dead', 1, NULL, '', 0)")
    connection.commit()
    connection.close()
    assert await journal.verify() == [
        "the event at position 3 cannot be read",
        "a lacks events between its numbers 1 and 5: 1 of them",
        "the state of a is older than its events (4 against 5)",
        "a delivery to s is of an event that is not there (position 99)",
    ]
    with pytest.raises(JournalDamagedError, match="an event in it cannot be read"):
        await journal.history("a")


@pytest.mark.parametrize("address", ["", "sqlite:", "sqlite:///", "postgres://x", "x.db", 7])
def test_what_is_no_address(address):
    """An address that means no journal is refused, with those that do."""
    with pytest.raises(ConfigurationError, match=r"sqlite:///|a journal is an address"):
        journal_of(address)


def test_addresses(tmp_path, monkeypatch):
    """A path, with three or four slashes or as a Path; memory; or a journal itself."""
    monkeypatch.chdir(tmp_path)
    assert journal_of("sqlite:///x/y.db").path == tmp_path / "x" / "y.db"
    assert journal_of(f"sqlite:///{tmp_path}/y.db").path == tmp_path / "y.db"
    assert journal_of(tmp_path / "y.db").name == str(tmp_path / "y.db")
    assert isinstance(journal_of(None), MemoryJournal)
    assert isinstance(journal_of("memory:"), MemoryJournal)
    mine = MemoryJournal()
    assert journal_of(mine) is mine


async def test_a_directory_is_no_file(tmp_path):
    """A directory is refused as what it is."""
    with pytest.raises(ConfigurationError, match="is a directory"):
        await SqliteJournal(tmp_path).open()


async def test_dates_are_the_same_after_storage(sqlite):
    """Dates survive to the microsecond, with their zone."""
    journal = sqlite()
    await led(journal)
    at = datetime(2026, 7, 1, 12, 0, 0, 123457, tzinfo=UTC)
    event = attrs.evolve(moved("a", 1), at=at, before=at, after=at - timedelta(microseconds=3))
    await write(journal, event)
    assert await journal.history("a") == [event]
