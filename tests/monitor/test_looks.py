"""Results after a success: said once when they can be read, looked for sparingly, and overdue only if they are."""

from __future__ import annotations

import asyncio
import logging

import pytest

from titan_state import (
    AnomalyCleared,
    AnomalyKind,
    ConfigurationError,
    ExecutionNotFoundError,
    Handlers,
    Monitor,
    MonitorClosedError,
    OutputsUnavailableError,
    RequestBudget,
    ResultsNotReadyError,
    ServiceProfile,
    Status,
    Thresholds,
)
from titan_state.emulator import Faults, Plan, Scenario, Step, TaskServiceEmulator
from titan_state.emulator.faults import When
from titan_state.monitor.looks import REST_S
from titan_state.testing import ManualClock

OVERDUE = AnomalyKind.RESULTS_OVERDUE


def plan(name: str = "e", end: str = "completed", **more) -> Plan:
    return Plan(id=name, task_id="t", steps=[Step("running", 1.0), Step(end, 1.0)], **more)


def looks(service) -> list[float]:
    """Return when results were looked for."""
    return [request.at for request in service.requests if request.path.endswith("/results")]


class Ears:
    """Everything that callbacks hear of results."""

    def __init__(self, monitor: Monitor) -> None:
        self.ready, self.overdue, self.cleared = [], [], []

        @monitor.on_results_ready
        async def ready(event):
            self.ready.append(event)

        @monitor.on_anomaly(OVERDUE)
        async def overdue(event):
            self.overdue.append(event)

        @monitor.on_anomaly_cleared(OVERDUE)
        async def cleared(event):
            self.cleared.append(event)


@pytest.mark.parametrize("end", ["completed", "completed_with_errors"])
async def test_results_are_said_to_be_ready(service, monitor, clock, until, end):
    """Some time after the success comes one event with what the service says of the results."""
    service.add(plan(end=end, results_after_s=10.0, rows=7))
    async with monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await until(lambda: ears.ready)
        await clock.advance(400)
    (event,) = ears.ready
    assert (event.execution_id, event.status, event.row_count) == ("e", end, 7)
    assert event.metadata["formats"] == ["json", "csv"]
    assert (event.before - event.after).total_seconds() < 12
    assert ears.overdue == []
    assert len(looks(service)) <= 6


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_nothing_is_looked_for_without_success(service, monitor, clock, end):
    """What has failed or was cancelled has no results, and costs no request."""
    service.add(plan(end=end))
    async with monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await clock.advance(400)
    assert looks(service) == []
    assert ears.ready == ears.overdue == []


async def test_overdue_results(service, monitor, clock, until):
    """Results that stay unreadable for five minutes are an anomaly, once, which ends when they come."""
    service.add(plan(results_after_s=700.0))
    async with monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await until(lambda: ears.overdue, seconds=320)
        assert clock.time() >= 300
        assert monitor.anomalies("e") == (OVERDUE,)
        await until(lambda: ears.ready, seconds=1500)
        await clock.advance(5)
        assert monitor.anomalies("e") == ()
    assert len(ears.overdue) == len(ears.ready) == len(ears.cleared) == 1
    assert ears.overdue[0].check_first == "result ingestion or result path timing"
    assert isinstance(ears.cleared[0], AnomalyCleared)
    assert ears.ready[0].seq < ears.cleared[0].seq
    assert len(looks(service)) <= 15


async def test_a_rule_that_is_off(service, clock):
    """Without the rule nothing is looked for, until a handler wants to know."""
    options = {"clock": clock, "budget": RequestBudget(per_minute=1200), "thresholds": Thresholds(results_s=None)}
    service.add(plan())
    async with Monitor(service.url, service.token, **options) as monitor:
        monitor.watch("e")
        await clock.advance(60)
        assert looks(service) == []
    heard = []
    handlers = Handlers()
    handlers.on_results_ready(lambda event: heard.append(event.execution_id), name="heard")
    async with Monitor(service.url, service.token, handlers=handlers, **options) as monitor:
        monitor.watch("e")
        await clock.advance(60)
    assert heard == ["e"]
    heard.clear()
    async with Monitor(service.url, service.token, **options) as monitor:
        monitor.on_results_ready(lambda event: heard.append(event.execution_id), name="heard")
        monitor.watch("e")
        await clock.advance(60)
    assert heard == ["e"]


@pytest.mark.parametrize(("scopes", "fault"), [(["executions:read"], {}), (None, {"error_statuses": (501,)})])
async def test_a_service_that_refuses_to_tell(caplog, scopes, fault):
    """Without the scope, or the feature, results are left alone, with one warning; everything else goes on."""
    clock = ManualClock(turns=12)  # an hour and a half in which nothing is urgent
    caplog.set_level(logging.DEBUG, "titan_state")
    faults = Faults(server_error=When(1.0, only="/results"), **fault) if fault else None
    options = {} if scopes is None else {"scopes": scopes}
    scenario = Scenario([plan(f"e{n}") for n in range(5)])
    async with (
        TaskServiceEmulator(scenario, clock=clock, per_minute=None, faults=faults, **options) as service,
        Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=1200)) as monitor,
    ):
        ears = Ears(monitor)
        monitor.watch_all()
        await clock.advance(REST_S / 2)
        assert {one.status for one in monitor.executions()} <= {Status.COMPLETED}
        assert len(looks(service)) <= 8  # some were under way already
        service.tokens[service.token] = frozenset({"executions:read", "data:read"})
        service.faults = Faults.none()
        await clock.advance(REST_S)
    assert len(ears.ready) == 5
    assert ears.overdue == []
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.message.partition(":")[0] for record in warnings] == ["results are not looked for, for an hour"]


async def test_a_token_that_is_refused_ends_the_monitor(service, monitor, clock, until):
    """Credentials that are refused by a look are fatal, as by any read."""
    service.add(plan(results_after_s=None))

    async def work():
        async with monitor:
            monitor.watch("e")
            await clock.advance(30)
            service.tokens.clear()
            await clock.advance(600)

    with pytest.raises(Exception, match="401"):
        await work()


async def test_errors_of_the_service_are_no_results(service, monitor, clock, until):
    """Results that fail for five minutes cannot be read; a connection that breaks says nothing of them."""
    service.add(plan())
    service.faults = Faults(server_error=When(1.0, only="/results"), error_statuses=(500,))
    async with monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await until(lambda: ears.overdue, seconds=400)
        assert "HTTP 500" in ears.overdue[0].message
        service.faults = Faults.none()
        await until(lambda: ears.ready, seconds=700)
    service.add(plan("f"))
    service.faults = Faults(reset=When(1.0, only="/results"), spurious_429=When(every=3, only="/results"))
    async with Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=1200)) as other:
        ears = Ears(other)
        other.watch("f")
        await clock.advance(500)
        assert ears.overdue == []
        service.faults = Faults.none()
        await until(lambda: ears.ready, seconds=600)


async def test_what_was_deleted_is_not_overdue(service, monitor, clock):
    """An execution that is deleted after its end has no results, and none that are late."""
    service.add(plan(results_after_s=None))
    async with monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await clock.advance(100)
        service.remove("e")
        await clock.advance(900)
        await clock.advance(4000)
        assert len(looks(service)) < 20
    assert ears.overdue == []


async def test_what_cannot_be_confirmed_waits(service, monitor, clock, until):
    """Before results are called overdue the execution is read once more; where that fails, it waits."""
    service.add(plan(results_after_s=None))
    async with monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await clock.advance(100)
        service.faults = Faults(server_error=When(1.0, only="/api/v1/executions/e"), error_statuses=(503,))
        await clock.advance(500)
        assert ears.overdue == []
        service.faults = Faults.none()
        await until(lambda: ears.overdue, seconds=900)


async def test_one_bad_answer_is_no_alarm(service, clock, until, tmp_path):
    """After a restart results may be overdue by the clock: a single error of the service does not say that they are."""
    service.add(plan(results_after_s=100.0))
    options = {"clock": clock, "budget": RequestBudget(per_minute=1200), "journal": tmp_path / "journal.db"}
    async with Monitor(service.url, service.token, **options) as monitor:
        monitor.watch("e")
        await until(lambda: looks(service))
    await clock.advance(4000)
    service.faults = Faults(server_error=When(at={1}, only="/results"))
    handlers = Handlers(durable=True)
    ready, overdue = [], []
    handlers.on_results_ready(ready.append, name="ready")
    handlers.on_anomaly(overdue.append, name="overdue")
    async with Monitor(service.url, service.token, handlers=handlers, **options) as monitor:
        monitor.watch("e")
        await until(lambda: ready, seconds=60)
    assert overdue == []


async def test_an_outage_is_blindness(service, clock, until):
    """Errors of the service in place of results are no sight of anything."""
    for number in range(20):
        service.add(plan(f"e{number}", results_after_s=None))
    service.add(Plan(id="live", task_id="t", steps=[Step("running", 1.0)]))
    thresholds = Thresholds(blind_s=60)
    options = {"clock": clock, "budget": RequestBudget(per_minute=1200), "thresholds": thresholds}
    async with Monitor(service.url, service.token, **options) as monitor:
        monitor.watch_all()
        await clock.advance(20)
        service.faults = Faults(server_error=1.0, error_statuses=(503,))
        await until(lambda: monitor.is_blind, seconds=100)
        service.faults = Faults(html=1.0)
        await clock.advance(100)
        assert monitor.is_blind


async def test_looks_that_hang_hold_up_no_reads(service, clock, until):
    """A results endpoint that does not answer takes two reads at most; the others go on."""
    for number in range(30):
        service.add(plan(f"e{number}"))
    service.add(Plan(id="late", task_id="t", steps=[Step("running", 1.0), Step("completed", 60.0)]))
    service.faults = Faults(late=When(1.0, only="/results"), late_s=29.0)
    ended = []
    async with Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=1200)) as monitor:
        monitor.on_completed(lambda event: ended.append((event.execution_id, service.time())), name="ended")
        monitor.watch_all()
        await until(lambda: "late" in dict(ended), seconds=90)
    assert dict(ended)["late"] < 70


async def test_looks_stay_within_the_budget(clock, until):
    """A thousand successes at once starve neither the budget nor the reads of what still runs."""
    many = [plan(f"e{n}", results_after_s=5.0) for n in range(1000)]
    late = [Plan(id="late", task_id="t", steps=[Step("running", 1.0), Step("completed", 200.0)])]
    async with TaskServiceEmulator(Scenario([*many, *late]), clock=clock, per_minute=120) as service:
        ended = []
        async with Monitor(service.url, service.token, clock=clock) as monitor:
            ears = Ears(monitor)
            monitor.on_completed(lambda event: ended.append((event.execution_id, service.time())), name="ended")
            monitor.watch_all()
            await until(lambda: any(name == "late" for name, _ in ended), seconds=400)
            at = dict(ended)["late"]
            assert at - 201.0 < 15.0
            await until(lambda: len(ears.ready) >= 1001, seconds=1500, step=1.0)
        assert [request for request in service.requests if request.status == 429] == []
        assert ears.overdue == []
        assert len({event.execution_id for event in ears.ready}) == 1001


# Outputs.


async def test_outputs_of_a_status_without_any(service, monitor, clock, until, tmp_path):
    """What has not succeeded has no outputs: that is said before any request for them."""
    service.add(Plan(id="e", steps=[Step("running", 1.0)]))
    service.add(plan("f", end="failed"))
    async with monitor:
        monitor.watch("e", "f")
        await until(lambda: len(monitor.executions()) == 2)
        await clock.advance(5)
        before = len(service.requests)
        outputs = monitor.outputs("e")
        for call in (outputs.metadata(), outputs.ready(), outputs.export(tmp_path), outputs.datasets()):
            with pytest.raises(OutputsUnavailableError) as caught:
                await call
            assert (caught.value.execution_id, caught.value.status) == ("e", "running")
        with pytest.raises(OutputsUnavailableError, match="is running, which has no outputs: they are there once"):
            async for _ in outputs.rows():
                pass
        with pytest.raises(OutputsUnavailableError, match="failed"):
            await monitor.outputs("f").download(tmp_path)
        assert len(service.requests) == before
        with pytest.raises(ConfigurationError):
            monitor.outputs("")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MonitorClosedError):
        monitor.outputs("e")


async def test_outputs_of_what_is_not_watched(service, monitor, clock, tmp_path):
    """The status of an execution that nobody watches is read first, and it stays unwatched."""
    service.add(Plan(id="e", steps=[Step("running")]))
    service.add(plan("f", rows=2))
    await clock.advance(3)

    async def spent(work):
        task = asyncio.ensure_future(work)
        while not task.done():
            await clock.advance(0.25)
        return task.result()

    async with monitor:
        with pytest.raises(OutputsUnavailableError):
            await spent(monitor.outputs("e").export(tmp_path))
        with pytest.raises(ExecutionNotFoundError):
            await spent(monitor.outputs("none").export(tmp_path))
        assert looks(service) == []
        saved = await spent(monitor.outputs("f").export(tmp_path))
        assert saved.path.read_bytes() == service.export_bytes("f")
        assert (await spent(monitor.outputs("f").metadata())).row_count == 2
        outputs = monitor.outputs("f")
        before = len([request for request in service.requests if request.path == "/api/v1/executions/f"])
        for index in range(5):
            await spent(outputs.export(tmp_path / f"{index}.json"))
        after = len([request for request in service.requests if request.path == "/api/v1/executions/f"])
        assert after == before + 1
        assert [row["position"] for row in await spent(collected(monitor.outputs("f").rows()))] == [1, 2]
        assert monitor.executions() == ()


async def collected(rows):
    return [row async for row in rows]


async def test_what_a_user_finds_out_is_known(service, monitor, clock, until):
    """Metadata that a callback reads tell the monitor, too: no look of its own follows."""
    service.add(plan(results_after_s=0.0))
    found = []
    async with monitor:
        ears = Ears(monitor)

        @monitor.on_completed
        async def read(event):
            try:
                found.append(await monitor.outputs(event.execution_id).metadata())
            except ResultsNotReadyError as error:
                found.append(error)

        monitor.watch("e")
        await until(lambda: ears.ready)
        await clock.advance(30)
    assert len(found) == 1
    assert len(looks(service)) == 1


async def test_what_a_user_does_not_find_raises_nothing(service, monitor, clock, until):
    """Metadata that a user asks for too late are no alarm: the monitor makes sure first that the execution is there."""
    service.add(plan(results_after_s=None))
    async with monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await clock.advance(200)
        asking = asyncio.ensure_future(monitor.outputs("e").ready())
        await clock.advance(50)
        service.remove("e")
        await clock.advance(900)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert ears.overdue == []


async def test_a_callback_exports(service, monitor, clock, until, tmp_path):
    """The pinned way: an export in `on_completed` waits for the results by itself."""
    service.add(plan(results_after_s=20.0))
    saved = []
    async with monitor:

        @monitor.on_completed
        async def export(event):
            saved.append(await monitor.outputs(event.execution_id).export(tmp_path))

        monitor.watch("e")
        await until(lambda: saved, seconds=1200.0)  # a file is written in a thread, which heeds no clock
    assert saved[0].path.read_bytes() == service.export_bytes("e")


async def test_a_deployment_with_other_statuses_of_outputs(service, clock, until):
    """Which statuses have outputs is a setting."""
    service.add(plan("e", end="completed_with_errors"))
    profile = ServiceProfile(output_statuses=("completed",))
    options = {"clock": clock, "budget": RequestBudget(per_minute=1200), "profile": profile}
    async with Monitor(service.url, service.token, **options) as monitor:
        ears = Ears(monitor)
        monitor.watch("e")
        await clock.advance(30)
        with pytest.raises(OutputsUnavailableError, match="once it is completed "):
            await monitor.outputs("e").metadata()
    assert ears.ready == []
    assert looks(service) == []
