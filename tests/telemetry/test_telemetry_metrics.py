"""Metrics of a real monitor of the embedded service, read by a real reader of the SDK."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from exported import ACCOUNT, true
from opentelemetry.sdk.metrics.export import Histogram, Sum

from titan_state import Handlers, PermanentError, Subscriber
from titan_state.emulator import Faults, Plan, Step, TaskServiceEmulator, When
from titan_state.errors import JournalUnavailableError
from titan_state.journal.memory import MemoryJournal
from titan_state.telemetry.catalog import METRICS, OBSERVED, SCHEMA_URL, SCOPE
from titan_state.telemetry.open_telemetry import VERSION

LONG = Plan(id="long", task_id="nightly", steps=[Step("running", 1.0)])


async def test_a_life_in_numbers(service, measured, exported, clock, until):
    """Requests, observations, transitions, delays and executions are counted as they happen."""
    service.add(LONG)
    async with measured(account="shop") as monitor:
        monitor.watch_task("nightly")
        await until(lambda: exported.total("titan_state.transitions", titan_state__transition__dest="running"))
        service.move("long", "completed")
        await until(lambda: exported.total("titan_state.transitions", titan_state__transition__dest="completed"))
        moves = [
            (point.get("titan_state.transition.source"), point["titan_state.transition.dest"], value)
            for value, point in exported.points("titan_state.transitions")
        ]
        assert sorted(moves, key=str) == [
            ("queued", "running", 1),
            ("running", "completed", 1),
            (None, "queued", 1),
        ]
        statistics = monitor.service.statistics
        assert exported.total("titan_state.request.sent") == statistics.requests > 1
        template = "/api/v1/tasks/{task_id}/executions"
        assert exported.total("http.client.request.duration", url__template=template) >= 3
        assert exported.total("http.client.request.duration") == statistics.requests
        assert exported.total("titan_state.observation.taken") >= 3
        assert exported.total("titan_state.executions", titan_state__status="completed") == 1
        assert exported.total("titan_state.executions", titan_state__status="running") == 0
        assert exported.total("titan_state.budget.limit") == 1200
        assert 0 < exported.total("titan_state.budget.remaining") < 1200
        assert exported.total("titan_state.leader.active") == exported.total("titan_state.monitor.ready") == 1
        assert exported.total("titan_state.monitor.blind") == 0
        delays = exported.metrics()["titan_state.detection.delay"].data.data_points
        assert {point.attributes["titan_state.transition.dest"] for point in delays} == {"running", "completed"}
        assert all(point.count == 1 and 0 < point.sum < 5 for point in delays)


async def test_what_is_exported_is_what_the_catalog_says(service, measured, exported, clock, until):
    """Names, units, descriptions, kinds and attributes are those of the catalog, and no execution is an attribute."""
    service.add(LONG)
    calls = []
    async with measured(exported.telemetry(task_ids=True), account="shop") as monitor:
        monitor.on_transition(calls.append, name="calls")
        monitor.watch("long")
        await until(lambda: "running" in [event.dest for event in calls])
        service.move("long", "queued")
        await until(lambda: exported.total("titan_state.anomaly.detected", titan_state__anomaly__kind="illegal_move"))
        acting = asyncio.create_task(monitor.stop("long"))
        await until(acting.done)
        await until(lambda: exported.points("titan_state.subscription.waiting"), seconds=20)
        found = exported.metrics()
        known = {metric.name: metric for metric in METRICS}
        assert set(found) <= set(known)
        assert set(known) - set(found) == set()
        for name, metric in found.items():
            told = known[name]
            assert (metric.unit, metric.description) == (told.unit, told.description)
            assert isinstance(metric.data, Histogram) == (told.instrument == "histogram")
            assert isinstance(metric.data, Sum) == (told.instrument in {"counter"} | _sums())
            for point in metric.data.data_points:
                assert set(point.attributes) <= {ACCOUNT, *told.labels}
                assert point.attributes[ACCOUNT] == "shop"
                assert "long" not in point.attributes.values()
                if told.bounds:
                    assert point.explicit_bounds == told.bounds
        (scope,) = exported.scopes()
        assert (scope.scope.name, scope.scope.version, scope.scope.schema_url) == (SCOPE, VERSION, SCHEMA_URL)


def _sums():
    return {"observable_counter", "observable_up_down_counter"}


async def test_anomalies_are_counted_and_open_until_they_end(service, measured, exported, clock, until):
    """An anomaly counts when it is detected and when it is cleared, and is open in between."""
    service.add(Plan(id="odd", steps=[Step("archiving", 1.0)]))
    kind = {"titan_state__anomaly__kind": "unknown_status", "titan_state__anomaly__severity": "warning"}
    async with measured() as monitor:
        assert exported.points("titan_state.anomaly.detected", **kind) == exported.points(
            "titan_state.anomaly.cleared", **kind
        )
        monitor.watch("odd")
        await until(lambda: exported.total("titan_state.anomaly.open", **kind) == 1)
        assert exported.total("titan_state.anomaly.detected") == 1
        assert exported.total("titan_state.anomaly.cleared") == 0
        service.move("odd", "completed")
        await until(lambda: exported.total("titan_state.anomaly.cleared", **kind) == 1)
        assert exported.total("titan_state.anomaly.open") == 0
        assert exported.total("titan_state.executions", titan_state__status="completed") == 1


async def test_deliveries_that_fail(service, measured, exported, clock, until):
    """Attempts, further attempts, dead letters and what is pending are told apart by handler."""
    service.add(LONG)
    handlers = Handlers()

    @handlers.on_running(name="flaky", retries=2, backoff=30.0)
    def flaky(event):
        if current() < 3:
            raise ValueError("not yet")

    @handlers.on_running(name="broken")
    async def broken(event):
        raise PermanentError("never")

    attempts = []

    def current():
        attempts.append(1)
        return len(attempts)

    async with measured(handlers=handlers) as monitor:
        monitor.watch("long")
        await until(lambda: exported.total("titan_state.delivery.retries", titan_state__handler="flaky") == 1)
        await clock.advance(5.0)
        assert exported.total("titan_state.delivery.pending", titan_state__handler="flaky") == 1
        assert exported.total("titan_state.delivery.oldest_age", titan_state__handler="flaky") >= 5.0
        outcome = {"titan_state__delivery__outcome": "delivered", "titan_state__handler": "flaky"}
        await until(lambda: exported.total("titan_state.delivery.finished", **outcome) == 1)
        dead = exported.points("titan_state.delivery.finished", titan_state__delivery__outcome="dead_letter")
        assert {point["titan_state.handler"]: value for value, point in dead} == {"flaky": 0, "broken": 1}
        assert exported.total("titan_state.delivery.pending") == exported.total("titan_state.delivery.oldest_age") == 0
        consumed = {
            (point["messaging.destination.subscription.name"], point.get("error.type")): value
            for value, point in exported.points("messaging.client.consumed.messages")
        }
        broken_by = "titan_state.errors.PermanentError"
        assert consumed == {("flaky", None): 1, ("flaky", "ValueError"): 2, ("broken", broken_by): 1}
        assert exported.total("messaging.process.duration") == 4
        await clock.advance(20.0)
        assert exported.total("titan_state.subscription.dead_letters", titan_state__subscription="broken") == 1
        assert exported.total("titan_state.subscription.waiting") == 0


async def test_control_actions_are_counted(service, measured, exported, clock, until):
    """What becomes of an action is told: sent and accepted, or refused."""
    service.add(LONG)
    async with measured() as monitor:
        monitor.watch("long")
        await until(lambda: exported.total("titan_state.executions", titan_state__status="running"))
        pausing = asyncio.create_task(monitor.pause("long"))
        await until(pausing.done)
        service.faults = Faults(server_error=When(at={1}, only="/stop"), error_statuses=(409,))
        stopping = asyncio.create_task(monitor.stop("long", force=True))
        await until(stopping.done)
        assert stopping.exception() is not None
        counted = {
            (point["titan_state.action.name"], point["titan_state.action.outcome"])
            for value, point in exported.points("titan_state.actions")
            if value == 1
        }
        assert counted == {("pause", "sent"), ("pause", "accepted"), ("stop", "sent"), ("stop", "refused")}
        paused = {"titan_state__transition__dest": "paused", "titan_state__transition__cause": "action"}
        await until(lambda: exported.total("titan_state.transitions", **paused) == 1)


async def test_tasks_only_where_they_are_asked_for(service, measured, exported, clock, until):
    """Metrics name no task unless that is asked for."""
    service.add(LONG)
    async with measured() as monitor:
        monitor.watch("long")
        await until(lambda: exported.total("titan_state.transitions"))
        assert "nightly" not in [v for _, point in exported.points("titan_state.transitions") for v in point.values()]
    async with measured(exported.telemetry(task_ids=True), account="other") as monitor:
        monitor.watch("long")
        await until(lambda: exported.total("titan_state.transitions", titan_state__task__id="nightly"))


async def test_two_monitors_in_one_process(exported, clock, until):
    """Monitors of different accounts do not clash, with one telemetry or with two; each account has its own numbers."""
    from titan_state import Monitor

    shared = exported.telemetry()
    async with (
        TaskServiceEmulator(clock=clock, per_minute=None) as first,
        TaskServiceEmulator(clock=clock, per_minute=None) as second,
    ):
        first.add(LONG)
        async with (
            Monitor(first.url, first.token, account="one", clock=clock, telemetry=shared, drain_s=0) as one,
            Monitor(second.url, second.token, account="two", clock=clock, telemetry=shared, drain_s=0) as two,
            Monitor(second.url, second.token, clock=clock, telemetry=exported.telemetry(), drain_s=0),
        ):
            one.watch_all()
            two.watch_all()
            await until(lambda: exported.total("titan_state.transitions", titan_state__account="one") >= 2)
            assert exported.points("titan_state.transitions", titan_state__account="two") == []
            led = {point[ACCOUNT]: value for value, point in exported.points("titan_state.leader.active")}
            assert led == {"one": 1, "two": 1, second.url: 1}
            assert exported.total("titan_state.request.sent", titan_state__account=second.url) == 0
            assert exported.total("titan_state.request.sent", titan_state__account="two") > 0


async def test_leaving_leaves_nothing(service, measured, exported, clock, until):
    """A monitor that was left shows nothing more and is let go; the next one of its account counts on."""
    service.add(LONG)
    telemetry = exported.telemetry()
    observed = {metric.name for metric in OBSERVED}
    async with measured(telemetry, account="shop") as monitor:
        monitor.watch("long")
        await until(lambda: exported.total("titan_state.executions", titan_state__status="running"))
        assert observed & set(exported.metrics())
    sent = monitor.service.statistics.requests
    assert observed & set(exported.metrics()) == set()
    gone = weakref.ref(monitor)
    del monitor
    gc.collect()
    assert gone() is None
    async with measured(telemetry, account="shop") as monitor:
        assert exported.total("titan_state.leader.terms") == 2
        assert exported.total("titan_state.request.sent") == sent
        monitor.watch("long")
        await until(lambda: monitor.service.statistics.requests == 2)
        assert exported.total("titan_state.request.sent") == sent + 2


async def test_a_monitor_that_cannot_be_entered_shows_nothing(service, measured, exported):
    """Where the journal cannot be opened nothing is left behind."""

    class Broken(MemoryJournal):
        async def open(self):
            assert exported.total("titan_state.leader.active") == 0
            assert exported.points("titan_state.leader.active") != []
            raise JournalUnavailableError("away")

    with pytest.raises(JournalUnavailableError):
        async with measured(journal=Broken()):
            pass
    assert exported.points("titan_state.leader.active") == []


async def test_a_subscriber_is_measured_too(service, measured, exported, tmp_path, clock, until):
    """A subscriber tells of its deliveries and of its journal's subscriptions, and of nothing that a monitor does."""
    service.add(LONG)
    handlers, seen = Handlers(), []
    handlers.on_transition(seen.append, name="apart", since="beginning")
    journal = tmp_path / "j.db"
    async with measured(journal=journal, account="shop") as monitor:
        monitor.watch("long")
        await until(lambda: monitor.executions())
    subscriber = Subscriber(journal, handlers, telemetry=exported.telemetry(), drain_s=0.0)
    running = asyncio.create_task(subscriber.run())
    delivered = {"titan_state__handler": "apart", "titan_state__delivery__outcome": "delivered"}
    await true(lambda: exported.total("titan_state.delivery.finished", **delivered))
    await true(lambda: exported.points("titan_state.subscription.waiting", titan_state__account=str(journal)))
    assert len(seen) == exported.total("messaging.client.consumed.messages")
    assert exported.points("titan_state.leader.active") == []
    running.cancel()
    await asyncio.wait((running,))
    assert exported.points("titan_state.delivery.finished") == []


class Odd(MemoryJournal):
    """A journal of somebody else's, which fails in a way of its own."""

    asked = 0

    async def subscriptions(self):
        self.asked += 1
        raise LookupError("no such thing")


async def test_a_journal_that_cannot_tell_its_subscriptions(service, measured, exported, clock, until):
    """What is only measured ends no monitor: it goes on, and asks again."""
    service.add(LONG)
    journal = Odd()
    async with measured(journal=journal) as monitor:
        monitor.watch("long")
        await until(lambda: journal.asked > 1)
        assert monitor.health().is_ready
    assert exported.points("titan_state.subscription.waiting") == []


class Slow(MemoryJournal):
    """A journal that has so much in it that asking takes its time."""

    def __init__(self, clock):
        super().__init__()
        self._time, self.asked = clock, []

    async def subscriptions(self):
        self.asked.append(self._time.time())
        await self._time.sleep(3)
        return await super().subscriptions()


async def test_a_journal_that_is_slow_is_asked_less_often(service, measured, clock, until):
    """What only measures leaves nearly all of the journal's time to those who write."""
    journal = Slow(clock)
    async with measured(journal=journal):
        await until(lambda: len(journal.asked) == 2, seconds=400, step=1)
    assert journal.asked[1] - journal.asked[0] >= 300
