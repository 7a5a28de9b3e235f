"""The hub: what pages are told, at first and from then on, by a monitor of its own and of a journal."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from datetime import UTC, datetime

import attrs
import pytest

from titan_state import (
    Execution,
    JournalUnavailableError,
    Monitor,
    MonitorClosedError,
    RequestBudget,
    Thresholds,
    Transitioned,
)
from titan_state.core.tracking.sights import Sight
from titan_state.dashboard import hub as hubs
from titan_state.dashboard import news
from titan_state.dashboard.details import details
from titan_state.dashboard.hub import Hub
from titan_state.dashboard.sources import JournalSource, MonitorSource
from titan_state.emulator import Faults, Plan, Step, TaskServiceEmulator
from titan_state.journal.base import Commit
from titan_state.journal.sqlite import SqliteJournal
from titan_state.monitor.local_server import socket_path
from titan_state.testing import ManualClock

ID, TASK, STATUS, SINCE, PHASE, PROGRESS, SEEN, ANOMALIES, CREATED, OVER = range(10)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def service(clock):
    async with TaskServiceEmulator(clock=clock, per_minute=None) as emulator:
        yield emulator


def monitor_of(service, clock, **options):
    budget = RequestBudget(per_minute=1200)
    return Monitor(service.url, service.token, clock=clock, budget=budget, **{"drain_s": 0} | options)


@asynccontextmanager
async def written_journal(path, events=(), rows=()):
    """Write a journal, and open it as one who follows it."""
    writer = SqliteJournal(path)
    await writer.open()
    await writer.lead("us")
    await writer.append(Commit(events=list(events), records=list(rows)))
    await writer.close()
    journal = SqliteJournal(path)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


def moved(name, seq):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    execution = Execution(name, "running")
    return Transitioned(execution_id=name, seq=seq, at=at, execution=execution, source=None, dest="running", before=at)


def row_of(name):
    return (name, "running", "t", *(None,) * 5, 1, 5.0, 4.0, 5.0, 0, None, None, None)


class Page:
    """A page that is open: everything that it was told, and the rows that it shows after it."""

    def __init__(self):
        self.told = []
        self.rows = {}
        self.is_ended = False

    def take(self, kind, line):
        assert "\n" not in line
        shown = json.loads(line)
        self.told.append((kind, shown))
        if kind == "rows":
            if shown["reset"]:
                self.rows = {}
            self.rows |= {row[ID]: row for row in shown["rows"]}
            for name in shown["gone"]:
                del self.rows[name]

    def status(self, name):
        row = self.rows.get(name)
        return None if row is None else row[STATUS]

    def all(self, kind):
        return [shown for one, shown in self.told if one == kind]

    @property
    def state(self):
        told = self.all("state")
        return told[-1] if told else None

    @property
    def events(self):
        return [event for shown in self.all("events") for event in shown["items"]]


@pytest.fixture
async def open_hub(clock):
    """Run hubs, and open pages of them; all of it ends with the test."""
    async with AsyncExitStack() as stack:

        async def call(source):
            hub = Hub(source, clock)
            running = asyncio.create_task(hub.run())

            async def end():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

            stack.push_async_callback(end)
            hub.end = end

            @asynccontextmanager
            async def opened():
                page = Page()

                async def read():
                    async with aclosing(hub.messages()) as feed:
                        async for kind, line in feed:
                            page.take(kind, line)
                    page.is_ended = True

                reading = asyncio.create_task(read())
                try:
                    yield page
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)

            hub.page = opened
            return hub

        yield call


@pytest.fixture
def until(clock):
    """Move the clock until something is so; threads of a journal are waited for in between."""

    async def run(condition, *, seconds=60.0, step=0.1):
        deadline = clock.time() + seconds
        while not condition():
            assert clock.time() < deadline, "not in time"
            await clock.advance(step)
            await asyncio.sleep(0.001)

    return run


async def test_a_page_is_told_everything_first(service, clock, open_hub, until):
    """A page that opens is told who it talks to, every row, the latest events, and how the monitor fares."""
    service.add(Plan(id="a", task_id="t", steps=[Step("running", 1)]))
    service.add(Plan(id="b", task_id="t", steps=[Step("running", 1), Step("failed", 1)]))
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        await until(lambda: {one.status for one in monitor.executions()} == {"running", "failed"})
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            assert [kind for kind, _ in page.told][:4] == ["hello", "rows", "events", "state"]
            (hello,) = page.all("hello")
            assert (hello["mode"], hello["watches"], hello["journal"]) == ("monitor", "all executions", None)
            assert hello["origin"] == service.url
            assert hello["statuses"][:2] == ["queued", "running"]
            assert hello["severities"]["blind"] == "critical"
            assert {name: (row[STATUS], row[OVER]) for name, row in page.rows.items()} == {
                "a": ("running", False),
                "b": ("failed", True),
            }
            assert [event["id"] for event in page.events if event["execution"] == "b"][-1] == "b:3"
            failure = page.events[-1] if page.events[-1]["execution"] == "b" else page.events[-2]
            assert (failure["level"], failure["status"], failure["seq"]) == ("error", "failed", 3)
            assert page.state["is_live"]
            assert page.state["limit"] == 1200
            assert page.state["delay_s"] > 0
            assert service.token not in json.dumps(page.told)


async def test_what_changes_is_told(service, clock, open_hub, until):
    """A move shows as an event and in its row; progress shows in the row; nothing is told twice."""
    service.add(Plan(id="a", steps=[Step("running", 5), Step("completed", 30)]))
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: page.status("a") == "running")
            await until(lambda: page.rows["a"][PROGRESS] and page.rows["a"][PROGRESS] > 50)
            await until(lambda: page.rows["a"][STATUS] == "completed")
            assert page.rows["a"][OVER]
            told = [event["id"] for event in page.events]
            assert len(told) == len(set(told))
            assert [event["status"] for event in page.events if event["type"] == "transitioned"] == [
                "queued",
                "running",
                "completed",
            ]
            assert [event["level"] for event in page.events][-1] == "good"


async def test_anomalies_come_and_go(service, clock, open_hub, until):
    """An open anomaly is in the row, with its time, and not any more when it has cleared."""
    service.add(Plan(id="a", steps=[Step("running", 40)]))
    async with monitor_of(service, clock, thresholds=Thresholds(stuck_queued_s=10)) as monitor:
        monitor.watch("a")
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: "a" in page.rows and page.rows["a"][ANOMALIES])
            ((kind, since),) = page.rows["a"][ANOMALIES]
            assert (kind, since <= clock.now().timestamp()) == ("stuck_queued", True)
            await until(lambda: not page.rows["a"][ANOMALIES])
            assert [(one["kind"], one["level"]) for one in page.events if one["kind"]] == [
                ("stuck_queued", "warning"),
                ("stuck_queued", "good"),
            ]


async def test_blindness_is_told_with_what_to_check(service, clock, open_hub, until):
    """When the monitor sees nothing the page is told since when and what to check, and when it sees again."""
    service.add(Plan(id="a", steps=[Step("running", 1)]))
    async with monitor_of(service, clock, thresholds=Thresholds(blind_s=20)) as monitor:
        monitor.watch("a")
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: "a" in page.rows and page.state["seen"])
            seen = page.state["seen"]
            service.faults = Faults(server_error=1.0)
            await until(lambda: page.state["blind"], seconds=200)
            assert page.state["blind"]["check_first"] == "connectivity, credentials, rate limits"
            assert page.state["blind"]["message"]
            assert page.state["dark_s"] > 10
            assert hub.as_of().timestamp() == pytest.approx(page.state["seen"])
            assert seen <= page.state["seen"] < page.state["now"] - 15
            service.faults = Faults.none()
            await until(lambda: not page.state["blind"], seconds=200)
        async with hub.page() as late:
            await until(lambda: late.all("state"))
            assert late.state["blind"] is None


async def test_many_rows_come_in_parts(service, clock, open_hub, until, monkeypatch):
    """A page can show the first rows before the last ones have come."""
    monkeypatch.setattr(hubs, "AT_ONCE", 10)
    for number in range(25):
        service.add(Plan(id=f"e{number}", steps=[Step("running", 1)]))
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        await until(lambda: len(monitor.executions()) == 25)
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            parts = [(one["reset"], one["more"], len(one["rows"])) for one in page.all("rows")][:3]
            assert parts == [(True, True, 10), (False, True, 10), (False, False, 5)]
            assert len(page.rows) == 25


async def test_a_slow_page_is_cut_off(service, clock, open_hub, until, monkeypatch):
    """What a page does not read is not kept for it without end: it is cut off, and begins anew."""
    monkeypatch.setattr(hubs, "BACKLOG", 3)
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        hub = await open_hub(MonitorSource(monitor))
        async with aclosing(hub.messages()) as feed:
            first = [await anext(feed) for _ in range(4)]
            assert [kind for kind, _ in first] == ["hello", "rows", "events", "state"]
            await until(lambda: not hub._pages)
            rest = [kind async for kind, _ in feed]
        assert rest == ["state"] * 3


async def test_nothing_is_looked_for_while_nobody_watches(service, clock, open_hub, until):
    """Without a page the hub sleeps, and a page that opens later is told what happened meanwhile."""
    service.add(Plan(id="a", steps=[Step("running", 5)]))
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
        await until(lambda: not hub._pages)
        await clock.advance(1)
        surveyed = hub._views.survey
        await until(lambda: [one.status for one in monitor.executions()] == ["running"])
        assert hub._views.survey is surveyed
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            assert page.rows["a"][STATUS] == "running"


async def test_pages_end_with_the_hub(service, clock, open_hub, until):
    """When the dashboard is left, the pages are told that nothing more comes."""
    async with monitor_of(service, clock) as monitor:
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            await hub.end()
            await clock.settle()
            assert page.is_ended


async def test_the_journal_of_another_program(clock, open_hub, until, tmp_path):
    """A journal is followed while its monitor runs; it is told when that has gone, and shown what is written down."""
    path = tmp_path / "journal.db"
    real = {"drain_s": 0, "budget": RequestBudget(per_minute=60_000)}
    async with TaskServiceEmulator(per_minute=None) as service:
        service.add(Plan(id="a", task_id="t", steps=[Step("running"), Step("paused", 0.2)]))
        follower = SqliteJournal(path, clock=clock)
        await follower.open()
        try:
            hub = await open_hub(JournalSource(follower, account="us"))
            async with hub.page() as page:
                await until(lambda: page.all("state"))
                assert page.rows == {}
                (hello,) = page.all("hello")
                assert (hello["mode"], hello["watches"], hello["account"]) == ("journal", "what is written down", "us")
                assert not page.state["is_live"]
                assert "no monitor is running" in page.state["why"]
                async with Monitor(service.url, service.token, journal=path, **real) as monitor:
                    monitor.watch_all()
                    await until(lambda: page.status("a") == "paused" and page.state["is_live"], seconds=1000)
                    assert page.state["requests"] > 0
                    before = page.rows["a"]
                await until(lambda: not page.state["is_live"])
                assert page.state["seen"] == pytest.approx(page.rows["a"][SEEN])
                assert page.rows["a"][STATUS] == "paused"
                assert page.rows["a"][SINCE] == pytest.approx(before[SINCE])
            async with hub.page() as page:
                await until(lambda: page.all("state"))
                assert page.rows["a"][STATUS] == "paused"
                async with Monitor(service.url, service.token, journal=path, **real) as monitor:
                    await until(lambda: page.state["is_live"], seconds=1000)
                    monitor.watch("a")
                    await monitor.stop("a")
                    await until(lambda: page.status("a") == "cancelled", seconds=1000)
        finally:
            await follower.close()


class Troubled:
    """A journal that cannot be read for a while."""

    def __init__(self, journal, error):
        self.journal = journal
        self.error = error

    def __getattr__(self, name):
        return getattr(self.journal, name)

    async def log(self, *values):
        if self.error is not None:
            raise self.error
        return await self.journal.log(*values)


async def test_trouble_with_the_journal_passes(service, clock, open_hub, until, caplog):
    """While a journal cannot be read rows and state go on; afterwards every event is told that was written then."""
    service.add(Plan(id="a", steps=[Step("running", 30), Step("completed", 30)]))
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        source = MonitorSource(monitor)
        hub = await open_hub(source)
        async with hub.page() as page:
            await until(lambda: page.status("a") == "queued")
            trouble = source.journal = Troubled(source.journal, JournalUnavailableError("it is busy"))
            await until(lambda: page.status("a") == "completed", seconds=120)
            assert page.state["now"] > clock.now().timestamp() - 5
            assert [event["status"] for event in page.events if event["status"]] == ["queued"]
            assert caplog.text.count("it is busy") == 1
            trouble.error = None
            await until(lambda: "completed" in [event["status"] for event in page.events])
            moves = [event["status"] for event in page.events if event["type"] == "transitioned"]
            assert moves == ["queued", "running", "completed"]


async def test_a_mistake_does_not_end_the_page(service, clock, open_hub, until, caplog):
    """What nobody thought of is logged, once, and the page goes on."""
    service.add(Plan(id="a", steps=[Step("running", 30)]))
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        source = MonitorSource(monitor)
        hub = await open_hub(source)
        async with hub.page() as page:
            await until(lambda: page.status("a") == "queued")
            trouble = source.journal = Troubled(source.journal, ZeroDivisionError("oh"))
            await until(lambda: page.status("a") == "running")
            assert caplog.text.count("ZeroDivisionError('oh')") == 1
            trouble.error = None
            await until(lambda: "running" in [event["status"] for event in page.events])


def damage(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


async def test_an_event_that_cannot_be_read_is_passed_over(clock, open_hub, until, tmp_path):
    """What is damaged is left out, and what comes after it is told."""
    path = tmp_path / "journal.db"
    async with written_journal(path, [moved("a", 1), moved("b", 1), moved("c", 1)]) as journal:
        damage(path, "UPDATE events SET body = 'nonsense' WHERE execution_id = 'b'")
        hub = await open_hub(JournalSource(journal))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            assert [event["execution"] for event in page.events] == ["a", "c"]


async def test_what_is_damaged_behind_a_gap(clock, open_hub, until, tmp_path):
    """Where what was before the damaged event has been pruned, it is found with few reads, and what follows is told."""
    path = tmp_path / "journal.db"
    async with written_journal(path, [moved("e", seq) for seq in range(1, 1001)]) as journal:
        damage(path, "DELETE FROM events WHERE seq BETWEEN 960 AND 980")
        damage(path, "UPDATE events SET body = 'nonsense' WHERE seq IN (981, 985)")
        reads = []
        read = journal.log
        journal.log = lambda *values: reads.append(values) or read(*values)
        hub = await open_hub(JournalSource(journal))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            expected = [seq for seq in range(951, 1001) if not 960 <= seq <= 981 and seq != 985]
            assert [event["seq"] for event in page.events] == expected
            assert len(reads) < 60


async def test_events_of_a_burst_that_are_not_told_are_named(service, clock, open_hub, until, monkeypatch):
    """Of more events than a page is told at once, it is told which executions the others are of."""
    monkeypatch.setattr(hubs, "MOST_EVENTS", 2)
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: page.state)
            for name in "abcde":
                service.add(Plan(id=name))
            await until(lambda: len(page.rows) == 5)
            named = {name for told in page.all("events") for name in told["skipped"]}
            assert named | {event["execution"] for event in page.events} == set("abcde")


async def test_a_journal_in_which_nothing_can_be_read(clock, open_hub, until, tmp_path, caplog, monkeypatch):
    """It is said, once, and the page hears of the state all the same."""
    monkeypatch.setattr(news, "MOST_STEPS", 2)
    path = tmp_path / "journal.db"
    async with written_journal(path, [moved(name, 1) for name in "abcdefgh"]) as journal:
        damage(path, "UPDATE events SET body = 'nonsense'")
        hub = await open_hub(JournalSource(journal))
        async with hub.page() as page:
            await until(lambda: len(page.all("state")) > 3)
            assert page.events == []
            assert caplog.text.count("events that cannot be read are left out of the pages") == 1


async def test_a_row_that_cannot_be_read_is_passed_over(clock, open_hub, until, tmp_path, caplog):
    """What is damaged, or of a later version, is left out, and the rows beside it are shown."""
    path = tmp_path / "journal.db"
    async with written_journal(path, (), [row_of(name) for name in "abc"]) as journal:
        damage(path, """UPDATE records SET rare = '{"open": {"of_tomorrow": "x"}}' WHERE id = 'a'""")
        damage(path, "UPDATE records SET rare = 'nonsense' WHERE id = 'b'")
        hub = await open_hub(JournalSource(journal))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            assert list(page.rows) == ["c"]
            assert "2 executions of" in caplog.text


async def test_after_a_long_time_the_latest_events_are_told(service, clock, open_hub, until, monkeypatch):
    """A page that opens after days is told the latest events, not all, and every row as it is."""
    monkeypatch.setattr(news, "FAR", 20)
    monkeypatch.setattr(news, "LATEST", 3)
    async with monitor_of(service, clock) as monitor:
        monitor.watch_all()
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: page.all("state"))
        for number in range(15):
            service.add(Plan(id=f"e{number}", steps=[Step("running", 1), Step("completed", 5)]))
        await until(lambda: sum(one.status == "completed" for one in monitor.executions()) == 15)
        async with hub.page() as page:
            await until(lambda: page.all("state"))
            assert len(page.all("events")[0]["items"]) == 3
            assert {row[STATUS] for row in page.rows.values()} == {"completed"}
            assert len(page.rows) == 15


async def test_what_is_watched_no_longer_goes(service, clock, open_hub, until):
    """When less is watched the page shows only that, soon, and says what is watched."""
    for name in "ab":
        service.add(Plan(id=name, steps=[Step("running", 1)]))
    async with monitor_of(service, clock) as monitor:
        monitor.watch("a", "b")
        hub = await open_hub(MonitorSource(monitor))
        async with hub.page() as page:
            await until(lambda: set(page.rows) == {"a", "b"})
            monitor.unwatch("b")
            await until(lambda: set(page.rows) == {"a"}, seconds=10)
            await until(lambda: page.state["watches"] == "1 execution")


@pytest.fixture
async def answering():
    """Be a monitor of another version, or one that hangs: answer what asks beside a journal with what is given."""
    async with AsyncExitStack() as stack:

        async def start(path, answer):
            async def serve(reader, writer):
                try:
                    while await reader.readline():
                        if answer is not None:
                            writer.write(answer)
                            await writer.drain()
                finally:
                    writer.close()

            await stack.enter_async_context(await asyncio.start_unix_server(serve, socket_path(path)))

        yield start


REFUSED = {"error": {"$": "error", "type": "ConfigurationError", "args": ["it was not understood"], "state": {}}}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"nonsense\n", "may be of another version"),
        (b"[]\n", "may be of another version"),
        (b'{"result": {"at": 1}}\n', "may be of another version"),
        (b'{"result": null}\n', "may be of another version"),
        (json.dumps(REFUSED).encode() + b"\n", "may be of another version"),
        (None, "runs, but does not answer"),
    ],
)
async def test_a_monitor_that_cannot_be_understood(clock, open_hub, until, tmp_path, answering, answer, why):
    """A monitor of another version, or one that hangs, is said to be that; what is written down is shown meanwhile."""
    path = tmp_path / "journal.db"
    async with written_journal(path, [moved("a", 1)], [row_of("a")]) as journal:
        await answering(path, answer)
        source = JournalSource(journal, patience_s=0.2)
        hub = await open_hub(source)
        async with hub.page() as page:
            async with asyncio.timeout(20):
                await until(lambda: page.all("state"), seconds=10_000)
            assert not page.state["is_live"]
            assert why in page.state["why"]
            assert page.status("a") == "running"
            with pytest.raises(MonitorClosedError, match=why):
                await source.known("a")
            shown = await details(source, "a", None, clock.now())
            assert not any(one["allowed"] for one in shown["actions"])
            assert why in shown["actions"][0]["reason"]


def test_a_row_has_the_order_that_pages_know():
    """The places in a row are a promise to the page."""
    names = ["id", "task_id", "status", "since", "phase", "progress", "seen", "anomalies", "created_at", "is_over"]
    assert [field.name for field in attrs.fields(Sight)] == names
