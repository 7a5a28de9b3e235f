"""Restarts on a durable journal: what was known is known again, what was not told is told, and nothing twice."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from pace import true

from titan_state import (
    Action,
    ActionAccepted,
    ActionRefused,
    ActionUnknown,
    AnomalyKind,
    ConfigurationError,
    Handlers,
    JournalDamagedError,
    JournalInUseError,
    JournalUnavailableError,
    Monitor,
    RequestBudget,
    TemporaryError,
    Thresholds,
)
from titan_state.core.tracking.retention import Baseline
from titan_state.emulator import Faults, Plan, Step, TaskServiceEmulator
from titan_state.journal.sqlite import SqliteJournal
from titan_state.monitor.delivery.calling import current_delivery


@pytest.fixture
async def service():
    """An embedded service on real time: threads of the journal are not moved by any clock."""
    async with TaskServiceEmulator(per_minute=None) as emulator:
        yield emulator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


class Lives:
    """Monitors of one journal, one after the other, with the same handlers; `seen` is what these were called for."""

    def __init__(self, service: TaskServiceEmulator, path: Path) -> None:
        self.service = service
        self.path = path
        self.handlers = Handlers()
        self.seen: list[tuple[str, str | None, str]] = []
        self.ids: list[str] = []
        self.handlers.on_transition(self._see, name="seen")

    async def _see(self, event) -> None:
        self.seen.append((event.execution_id, event.source, event.dest))
        self.ids.append(event.id)

    def slow_at_first(self) -> list[str]:
        """Register a handler whose first call never ends; return the events that it is called for."""
        calls: list[str] = []

        @self.handlers.on_transition(name="slow")
        async def slow(event):
            calls.append(event.id)
            if len(calls) == 1:
                await asyncio.Event().wait()

        return calls

    def monitor(self, **options) -> Monitor:
        values = {"handlers": self.handlers, "journal": self.path, "budget": RequestBudget(per_minute=60_000)} | options
        return Monitor(self.service.url, self.service.token, **values)

    @staticmethod
    async def handled(monitor: Monitor) -> None:
        """Return when the journal has written down that everything was handled: it would be told again else."""
        for _ in range(4000):
            states = await monitor.journal.subscriptions()
            if not any(state.waiting or state.unfinished for state in states):
                return
            await asyncio.sleep(0.005)
        pytest.fail("it was never written down")


@pytest.fixture
def lives(service: TaskServiceEmulator, path: Path) -> Lives:
    return Lives(service, path)


def still(name: str) -> Plan:
    return Plan(id=name, steps=[Step("running")])


async def test_it_goes_on_where_it_was(lives, service):
    """What was told is not told again, numbers go on, and what happened meanwhile is told with the moves in between."""
    service.add(Plan(id="a"))
    async with lives.monitor() as monitor:
        monitor.watch("a")
        await true(lambda: lives.seen)
    service.move("a", "running")
    service.move("a", "completed")
    async with lives.monitor() as monitor:
        monitor.watch("a")
        await true(lambda: len(lives.seen) == 3)
        assert monitor.executions()[0].status == "completed"
    async with lives.monitor() as monitor:
        assert (await monitor.wait("a")).status == "completed"
        await asyncio.sleep(0.1)
    assert lives.seen == [("a", None, "queued"), ("a", "queued", "running"), ("a", "running", "completed")]
    assert lives.ids == ["a:1", "a:2", "a:3"]


@pytest.mark.parametrize("wide", ["all", "task"])
async def test_what_starts_and_finishes_meanwhile_fires_once(lives, service, wide):
    """Under a watched list it is found after the restart; what had finished before the first watch never fires."""
    task = next(iter(service.tasks()))
    service.add(Plan(id="old", steps=[Step("running"), Step("completed")]))
    service.add(still("live"))
    await asyncio.sleep(1.1)  # dates of answers are whole seconds

    def begin(monitor: Monitor) -> None:
        monitor.watch_all() if wide == "all" else monitor.watch_task(task)

    async with lives.monitor() as monitor:
        begin(monitor)
        await true(lambda: monitor._watches.lists[None if wide == "all" else task].complete)
        await true(lambda: lives.seen)
    await asyncio.sleep(1.1)
    service.add(Plan(id="new", steps=[Step("running"), Step("completed")]))
    service.move("live", "failed")
    await asyncio.sleep(1.1)
    for _ in range(2):
        async with lives.monitor() as monitor:
            begin(monitor)
            await true(lambda: len(lives.seen) == 3)
            await asyncio.sleep(0.5)
    assert len(lives.seen) == 3
    assert set(lives.seen) == {
        ("live", None, "running"),
        ("live", "running", "failed"),
        ("new", None, "completed"),
    }


async def test_a_list_that_is_left_begins_anew(lives, service):
    """`unwatch` forgets the baseline: watching again later is a new watch, which adopts what has finished since."""
    async with lives.monitor() as monitor:
        monitor.watch_all()
        await true(lambda: monitor._watches.lists[None].complete)
        monitor.unwatch()
        await monitor._outbox.committed()
        await asyncio.sleep(0.6)
    await asyncio.sleep(1.1)
    service.add(Plan(id="between", steps=[Step("running"), Step("completed")]))
    await asyncio.sleep(1.1)
    async with lives.monitor() as monitor:
        assert monitor._watches.former == {}
        monitor.watch_all()
        await true(lambda: monitor._watches.lists[None].complete)
    assert lives.seen == []


async def test_unacknowledged_ones_are_delivered_again(lives, service):
    """A delivery that was open when the monitor was left comes again with the same id, and those after it in order."""
    service.add(still("a"))
    calls = lives.slow_at_first()
    async with lives.monitor(drain_s=0) as monitor:
        monitor.watch("a")
        await true(lambda: calls)
        service.move("a", "completed")
        await monitor.wait("a")
    assert (monitor.deliveries.pending, monitor.deliveries.given_up) == (0, 0)
    async with lives.monitor() as monitor:
        await true(lambda: len(calls) == 3)
    assert calls == ["a:1", "a:1", "a:2"]


async def test_a_short_life_delivers_what_was_open(lives, service):
    """A monitor that is left at once delivers what the journal had for its handlers all the same: a script, say."""
    service.add(still("a"))
    calls = lives.slow_at_first()
    async with lives.monitor(drain_s=0) as monitor:
        monitor.watch("a")
        await true(lambda: calls)
    async with lives.monitor() as monitor:
        pass
    assert calls == ["a:1", "a:1"]
    assert (monitor.deliveries.pending, monitor.deliveries.delivered) == (0, 1)


async def test_attempts_go_on_after_a_restart(lives, service):
    """Attempts and the time of the next one survive; after the last one it is a dead letter with the error's text."""
    service.add(still("a"))
    attempts = []

    @lives.handlers.on_running(name="failing", retries=2, backoff=0)
    async def failing(event):
        attempts.append(current_delivery().attempts)
        if len(attempts) == 1:
            raise TemporaryError("not now", delay=0.5)
        raise ValueError(f"no use, token={lives.service.token} https://x/media/1?token=abc")

    async with lives.monitor(drain_s=0) as monitor:
        monitor.watch("a")
        await true(lambda: attempts)
    async with lives.monitor() as monitor:
        await true(lambda: monitor.deliveries.given_up)
        (letter,) = await monitor.journal.letters(dead_only=True)
    assert attempts == [0, 1, 2]
    assert (letter.subscription, letter.event.id, letter.attempts) == ("failing", "a:1", 3)
    assert letter.error == "ValueError: no use, token=[token] https://x/media/1?token=[redacted]"


async def test_a_dead_letter_is_delivered_by_hand(lives, service):
    """What was given up is delivered once more when another program says so, marked as out of order."""
    service.add(still("a"))
    calls = []

    @lives.handlers.on_running(name="once", retries=0)
    async def once(event):
        calls.append(current_delivery().is_out_of_order)
        if len(calls) == 1:
            raise ValueError

    async with lives.monitor() as monitor:
        monitor.watch("a")
        await true(lambda: monitor.deliveries.given_up)
        other = SqliteJournal(lives.path)
        await other.open()
        await other.redeliver(["a:1"])
        await other.close()
        await true(lambda: len(calls) == 2)
        await true(lambda: not monitor.deliveries.pending)
        assert await monitor.journal.letters() == []
    assert calls == [False, True]


async def test_new_handlers_begin_where_they_say(lives, service):
    """A name that the journal does not know begins now, or at the beginning of the log."""
    service.add(still("a"))
    async with lives.monitor() as monitor:
        monitor.watch("a")
        await true(lambda: lives.seen)
    late, all_of_it = [], []
    lives.handlers.on_transition(lambda event: late.append(event.id), name="late")
    lives.handlers.on_transition(lambda event: all_of_it.append(event.id), name="all", since="beginning")
    service.move("a", "completed")
    async with lives.monitor() as monitor:
        await monitor.wait("a")
        await true(lambda: not monitor.deliveries.pending and len(all_of_it) == 2)
    assert (late, all_of_it) == (["a:2"], ["a:1", "a:2"])


async def test_anomalies_stay_open(lives, service):
    """An anomaly that is open is not raised again after a restart, and is cleared when it ends."""
    service.add(Plan(id="a"))
    told = []
    lives.handlers.on_anomaly(lambda event: told.append(("raised", event.id)), name="raised")
    lives.handlers.on_anomaly_cleared(lambda event: told.append(("cleared", event.id)), name="cleared")
    thresholds = Thresholds(stuck_queued_s=0.1, replica_lag_s=0.1)
    for _ in range(2):
        async with lives.monitor(thresholds=thresholds) as monitor:
            monitor.watch("a")
            await true(lambda: monitor.anomalies("a") == (AnomalyKind.STUCK_QUEUED,))
            await asyncio.sleep(0.6)
    assert told == [("raised", "a:2")]
    service.move("a", "running")
    async with lives.monitor(thresholds=thresholds) as monitor:
        monitor.watch("a")
        await true(lambda: len(told) == 2)
    assert told[1][0] == "cleared"


async def test_blindness_stays_open(lives, service):
    """The monitor's own anomaly survives a restart, too, and ends with a good read only."""
    service.add(still("a"))
    service.faults = Faults(server_error=1.0)
    told = []
    lives.handlers.on_anomaly(AnomalyKind.BLIND, name="blind")(lambda event: told.append(event.id))
    thresholds = Thresholds(blind_s=0.6)
    for _ in range(2):
        async with lives.monitor(thresholds=thresholds) as monitor:
            monitor.watch("a")
            await true(lambda: monitor.is_blind)
            await asyncio.sleep(1.2)
            assert monitor.is_blind
    assert told == [":1"]
    service.faults = Faults()
    async with lives.monitor(thresholds=thresholds) as monitor:
        monitor.watch("a")
        await true(lambda: not monitor.is_blind)


async def crashed(monitor: Monitor) -> None:
    """End a monitor as a crash would, as far as its journal is concerned: nothing more is written."""
    await monitor.journal.do(monitor.journal._close)
    monitor.journal._open.clear()


@pytest.mark.parametrize("took_effect", [True, False])
async def test_an_action_that_may_have_been_sent_is_resolved_by_reading(lives, service, took_effect, caplog):
    """After a crash between intent and answer it is said to be unknown, and read; it is not sent again."""
    service.add(still("a"))
    thresholds = Thresholds(replica_lag_s=0.2)
    async with lives.monitor() as monitor:
        monitor.watch("a")
        await true(lambda: lives.seen)
        monitor._commit(monitor._tracker.action_sent("a", Action.PAUSE, at=monitor._clock.time()))
        await monitor._outbox.committed()
        await crashed(monitor)
    if took_effect:
        service.move("a", "paused")
    async with lives.monitor(thresholds=thresholds) as monitor:
        await true(lambda: "may have been sent before the restart" in caplog.text)
        if took_effect:
            await true(lambda: len(lives.seen) == 2)
        else:
            await true(lambda: "shows no effect, it is running" in caplog.text)
        await monitor._outbox.committed()
        history = await monitor.journal.history("a")
    kinds = [type(event) for event in history]
    assert kinds.count(ActionUnknown) == 1
    assert (ActionAccepted in kinds) == took_effect
    if took_effect:
        (moved,) = [event for event in history if getattr(event, "dest", "") == "paused"]
        assert moved.cause == "action"
    assert not [request for request in service.requests if request.method == "POST"]


async def follow(monitor, into):
    async for event in monitor.events():
        into.append(event)


async def test_a_full_disk_refuses_actions_and_loses_nothing(lives, service, caplog):
    """While nothing can be written nobody is told anything and no action is sent; then everything goes on."""
    caplog.set_level(logging.WARNING)
    service.add(still("a"))
    service.add(still("b"))
    async with lives.monitor() as monitor:
        monitor.watch("a", "b")
        await true(lambda: len(lives.seen) == 2)
        store = monitor.journal._store
        pages = await monitor.journal.do(store.value, "PRAGMA page_count")
        await monitor.journal.do(store.value, f"PRAGMA max_page_count = {pages}")
        for number in range(40):
            service.add(still(f"c{number}"))
        monitor.watch_all()
        await true(lambda: "make room on its disk" in caplog.text)
        told, streamed = len(lives.seen), []
        following = asyncio.create_task(follow(monitor, streamed))
        waiting = asyncio.ensure_future(monitor.wait("a", check=False))
        service.move("a", "completed")
        await asyncio.sleep(0.5)
        with pytest.raises(JournalUnavailableError, match="make room"):
            await monitor.pause("b")
        assert len(lives.seen) == told
        assert streamed == []
        assert not waiting.done()
        assert not [request for request in service.requests if request.method == "POST"]
        await monitor.journal.do(store.value, "PRAGMA max_page_count = 1073741823")
        assert (await asyncio.wait_for(waiting, 30)).status == "completed"
        await true(lambda: len(lives.seen) == 43)
        assert "a" in {event.execution_id for event in streamed}
        following.cancel()
        await monitor.pause("b")
        refused = [event for event in await monitor.journal.history("b") if isinstance(event, ActionRefused)]
        assert [event.code for event in refused] == ["NOT_SENT"]
        assert await monitor.journal.verify() == []


async def test_what_cannot_be_written_in_the_end_is_found_again(lives, service, caplog):
    """Leaving with a full disk says so, and the next start tells what could not be written."""
    service.add(still("a"))
    async with lives.monitor() as monitor:
        monitor.watch("a")
        await true(lambda: lives.seen)
        await lives.handled(monitor)
        store = monitor.journal._store
        await monitor.journal.do(store.value, "PRAGMA query_only = ON")
        service.move("a", "completed")
        await true(lambda: monitor._tracker.is_finished("a"))
    assert "events could not be written to the journal; they are found again" in caplog.text
    assert len(lives.seen) == 1
    async with lives.monitor() as monitor:
        await monitor.wait("a")
        await true(lambda: len(lives.seen) == 2)
    assert lives.ids == ["a:1", "a:2"]


async def test_a_broken_journal_ends_the_monitor(lives, service):
    """An error after which nothing can be written any more comes bare out of the body, as refused credentials do."""
    service.add(still("a"))

    async def use() -> None:
        async with lives.monitor() as monitor:
            monitor.watch("a")
            await true(lambda: lives.seen)
            await monitor.journal.do(monitor.journal._store.value, "ALTER TABLE events RENAME TO lost")
            service.move("a", "completed")
            await asyncio.sleep(30)

    with pytest.raises(JournalDamagedError, match="no such table"):
        await use()


async def test_one_monitor_at_a_time(lives):
    """A second monitor of the same journal is refused when it is entered, and the first one goes on."""
    async with lives.monitor() as monitor:
        with pytest.raises(JournalInUseError):
            async with lives.monitor():
                pass
        assert await monitor.journal.history("a") == []
    async with lives.monitor():
        pass


async def test_names_must_last(lives, service):
    """A durable journal refuses a handler whose name would not be found again, and takes one that has a name."""
    handlers = Handlers()

    def local(event):
        pass

    handlers.on_completed(local)
    with pytest.raises(ConfigurationError, match=r"local needs a name= of its own"):
        lives.monitor(handlers=handlers)
    async with lives.monitor() as monitor:
        with pytest.raises(ConfigurationError, match=r"needs a name="):
            monitor.on_failed(lambda event: None)
        monitor.on_failed(local, name="mine")
        monitor.on_completed(local, name="mine")
    assert Monitor(service.url, service.token, handlers=handlers) is not None


async def test_the_account_is_the_origin(lives, service):
    """A journal belongs to the origin, or to the account that is named."""
    async with lives.monitor() as monitor:
        assert monitor.account == service.url
    with pytest.raises(ConfigurationError, match="belongs to"):
        async with lives.monitor(account="other"):
            pass


async def test_baselines_are_kept(lives, service):
    """The baseline of a list is written down as it becomes known."""
    async with lives.monitor() as monitor:
        monitor.watch_all()
        await true(lambda: monitor._watches.lists[None].complete)
        baseline = monitor._watches.lists[None]
        await asyncio.sleep(0.6)
    async with lives.monitor() as monitor:
        assert monitor._watches.former == {None: baseline}
        assert baseline != Baseline()


async def test_since_when_an_execution_runs_again_survives(service, path):
    """One that was resumed before the restart runs since then, whatever the service says of when it began."""
    service.add(Plan(id="a", steps=[Step("running")]))
    options = {"journal": path, "budget": RequestBudget(per_minute=60_000), "drain_s": 0}
    async with Monitor(service.url, service.token, **options) as monitor:
        monitor.watch("a")
        await true(lambda: monitor.check("a", Action.PAUSE))
        await monitor.pause("a")
        await true(lambda: monitor.check("a", Action.RESUME))
        await monitor.resume("a")
        await true(lambda: monitor.check("a", Action.PAUSE))
        before = monitor.known("a").sight.since
    async with Monitor(service.url, service.token, **options) as monitor:
        assert monitor.known("a").sight.since == pytest.approx(before, abs=1e-3)
        resumed = service.history("a")[-1]
        assert (resumed.status, before >= resumed.wall.timestamp()) == ("running", True)
