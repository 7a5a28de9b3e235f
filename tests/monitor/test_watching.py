"""Watching: by id, by task, everything; baselines, unwatching, entering, leaving, and fatal errors."""

from __future__ import annotations

import asyncio

import pytest

from titan_state import (
    AnomalyKind,
    ConfigurationError,
    ForbiddenError,
    Handlers,
    Monitor,
    MonitorClosedError,
    RequestBudget,
    UnauthorizedError,
)
from titan_state.emulator import Faults, Plan, Scenario, Step, Task, TaskServiceEmulator


def done(name: str, status: str = "completed", **options) -> Plan:
    return Plan(id=name, steps=(Step("running", 0.0), Step(status, 0.0)), **options)


def running(name: str, **options) -> Plan:
    return Plan(id=name, steps=(Step("running", 0.0), Step("completed", 10_000.0)), **options)


@pytest.fixture
def seen(monitor):
    """The transitions that a handler of the monitor was called with, as (id, source, dest)."""
    moves: list = []

    async def record(event):
        moves.append((event.execution_id, event.source, event.dest))

    monitor.on_transition(record)
    return moves


async def test_an_id_that_is_finished_calls_back_at_once(service, monitor, seen, until):
    """Watching one id reports the status it is in already, also a terminal one."""
    service.add(done("a"))
    async with monitor:
        monitor.watch("a")
        await until(lambda: seen)
    assert seen == [("a", None, "completed")]


async def test_what_had_finished_before_is_adopted_silently(service, monitor, seen, clock, until):
    """Watching everything says nothing of what had finished before, and everything of what comes."""
    for number in range(250):
        service.add(done(f"old-{number}"))
    service.add(running("live"))
    await clock.advance(100)
    async with monitor:
        monitor.watch_all()
        await until(lambda: seen)
        assert seen == [("live", None, "running")]
        service.add(done("quick"))
        await until(lambda: len(seen) == 2)
        service.move("live", "completed")
        await until(lambda: len(seen) == 3)
        await clock.advance(60)
    assert seen[1:] == [("quick", None, "completed"), ("live", "running", "completed")]


async def test_an_adopted_one_that_is_watched_by_id_calls_back(service, monitor, seen, clock, until):
    """What a wide watch adopted silently is reported when its id is watched."""
    service.add(done("old"))
    await clock.advance(100)
    async with monitor:
        monitor.watch_all()
        await clock.advance(10)
        assert seen == []
        monitor.watch("old")
        await until(lambda: seen)
    assert seen == [("old", None, "completed")]


async def test_only_the_task_that_is_watched(clock, until):
    """Watching a task shows its executions and no others."""
    scenario = Scenario([running("mine", task_id="t1"), running("other", task_id="t2")], [Task(id="t1"), Task(id="t2")])
    seen = []
    async with (
        TaskServiceEmulator(scenario, clock=clock) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        monitor.on_running(lambda event: seen.append(event.execution_id), name="seen")
        monitor.watch_task("t1")
        await until(lambda: seen)
        await clock.advance(10)
        assert [execution.id for execution in monitor.executions()] == ["mine"]
    assert seen == ["mine"]


async def test_many_ids_are_read_by_page(service, monitor, clock, until):
    """Fifty watched ids that one page shows cost one request a round, not fifty."""
    ids = [service.add(running(f"e{number}")) for number in range(50)]
    async with monitor:
        monitor.watch(*ids)
        await until(lambda: len(monitor.executions()) == 50)
        await clock.advance(130)
        before = len(service.requests)
        await clock.advance(20)
        later = list(service.requests)[before:]
    assert {request.path for request in later} == {"/api/v1/executions"}
    assert 20 <= len(later) <= 45


async def test_a_list_that_is_switched_off(clock, until):
    """Where the list answers 404 or 403, ids are read one by one, and the monitor goes on."""
    scopes = ["executions:read"]
    async with (
        TaskServiceEmulator(Scenario([running(f"e{n}") for n in range(5)]), clock=clock, scopes=scopes) as service,
        Monitor(service.url, service.token, clock=clock, budget=RequestBudget(600)) as monitor,
    ):
        monitor.watch(*[f"e{n}" for n in range(5)])
        await until(lambda: len(monitor.executions()) == 5)
        await clock.advance(30)
        service.move("e3", "failed")
        execution = asyncio.ensure_future(monitor.wait("e3", check=False))
        await until(execution.done)
        assert (await execution).status == "failed"


async def test_unwatching(service, monitor, seen, clock, until):
    """What is no longer watched is forgotten and costs no request; watched again it is a first sight."""
    service.add(running("a"))
    service.add(running("b"))
    async with monitor:
        monitor.watch("a", "b")
        await until(lambda: len(seen) == 2)
        monitor.unwatch("a")
        assert [execution.id for execution in monitor.executions()] == ["b"]
        monitor.unwatch()
        assert monitor.executions() == ()
        before = len(service.requests)
        await clock.advance(30)
        assert len(service.requests) - before <= 1
        monitor.watch("a")
        await until(lambda: len(seen) == 3)
    assert seen[-1] == ("a", None, "running")


async def test_a_task_is_unwatched(clock, until):
    """Unwatching a task forgets its executions, unless another watch covers them."""
    scenario = Scenario([running("x", task_id="t"), running("y", task_id="t")], [Task(id="t")])
    async with (
        TaskServiceEmulator(scenario, clock=clock) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        monitor.watch_task("t")
        await until(lambda: len(monitor.executions()) == 2)
        monitor.watch("x")
        monitor.unwatch(task_id="t")
        assert [execution.id for execution in monitor.executions()] == ["x"]
        service.move("x", "failed")
        await until(lambda: monitor.executions()[0].status == "failed")


async def test_a_task_that_does_not_exist(service, monitor, clock, caplog):
    """A watched task that the service does not know is said so in the log, once, and looked for again."""
    async with monitor:
        monitor.watch_task("nothing")
        await clock.advance(5)
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        assert "task not found" in warnings[0]
        assert len(service.requests) > 1


async def test_nothing_watched_is_nothing_asked(service, monitor, clock):
    """A monitor that watches nothing sends nothing, and is not blind."""
    async with monitor:
        await clock.advance(1000)
        assert not monitor.is_blind
    assert list(service.requests) == []


async def test_a_wrong_url_is_told_at_once(clock, caplog):
    """The first read that fails is a warning that says what to check; the others that fail with it are not."""
    async with Monitor("http://127.0.0.1:9", "token", clock=clock) as monitor:
        monitor.watch("a", "b", "c")
        await clock.advance(1)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "no connection to http://127.0.0.1:9" in warning
    assert "check the URL (TITAN_API_URL)" in warning


async def test_a_task_that_is_not_there_is_told_at_once(monitor, clock, caplog):
    """A list that answers 404 is a warning that says what to check."""
    async with monitor:
        monitor.watch_task("nothing")
        await clock.advance(1)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "HTTP 404" in warning
    assert warning.endswith(" - check the task's id")


async def test_a_silent_service_is_one_blind(service, monitor, clock, until):
    """A service that answers nothing useful raises `blind`, once, and clears it when it is back."""
    seen = []
    service.add(running("a"))
    service.add(running("b"))
    async with monitor:
        monitor.on_anomaly(lambda event: seen.append((event.kind, event.execution_id)), name="up")
        monitor.on_anomaly_cleared(lambda event: seen.append((event.kind, "cleared")), name="down")
        monitor.watch("a", "b")
        await until(lambda: len(monitor.executions()) == 2)
        service.faults = Faults(server_error=1.0)
        await until(lambda: monitor.is_blind, seconds=400, step=2)
        await clock.advance(300)
        service.faults = Faults.none()
        await until(lambda: not monitor.is_blind)
        await until(lambda: len(seen) == 2)
    assert seen == [(AnomalyKind.BLIND, ""), (AnomalyKind.BLIND, "cleared")]


@pytest.mark.parametrize(("scopes", "error"), [(None, UnauthorizedError), (("tasks:read",), ForbiddenError)])
async def test_refused_credentials_end_the_body(clock, scopes, error):
    """401 and 403 end the body as a time-out would, and come bare out of the `async with` and of every wait."""
    options = {} if scopes is None else {"scopes": scopes}
    async with TaskServiceEmulator(Scenario([running("a")]), clock=clock, **options) as service:
        token = "wrong" if scopes is None else service.token
        monitor = Monitor(service.url, token, clock=clock)

        async def body():
            async with monitor:
                waiting.append(asyncio.ensure_future(monitor.wait("a")))
                await asyncio.Event().wait()

        waiting: list = []
        task = asyncio.ensure_future(body())
        for _ in range(200):
            await clock.advance(0.25)
        with pytest.raises(error):
            await asyncio.wait_for(task, 5)
        assert not task.cancelled()
        with pytest.raises(error):
            await waiting[0]


async def test_a_fatal_error_while_the_body_waits(clock):
    """The wait inside the body, and the `async with` around it, raise the error itself."""
    async with TaskServiceEmulator(clock=clock) as service:

        async def body():
            async with Monitor(service.url, "wrong", clock=clock) as monitor:
                await monitor.wait("a")

        task = asyncio.ensure_future(body())
        await clock.advance(20)
        with pytest.raises(UnauthorizedError):
            await asyncio.wait_for(task, 5)


async def test_a_cancellation_from_outside_stays_one(service, monitor, clock):
    """Cancelling the body is not mistaken for an error of the monitor."""

    async def body():
        async with monitor:
            await asyncio.Event().wait()

    task = asyncio.ensure_future(body())
    await clock.advance(1)
    task.cancel()
    await clock.advance(20)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_body_goes_through(service, monitor):
    """What the body raises is raised."""
    with pytest.raises(ZeroDivisionError):
        async with monitor:
            raise ZeroDivisionError


async def test_leaving_delivers_what_is_open(service, monitor, clock, until):
    """Leaving waits for callbacks that are under way, for the stated time."""
    ended = []
    begun = asyncio.Event()
    service.add(done("a"))

    async def slow(event):
        begun.set()
        await clock.sleep(5)
        ended.append(event.id)

    async def body():
        async with monitor:
            monitor.on_completed(slow)
            monitor.watch("a")
            await begun.wait()

    task = asyncio.ensure_future(body())
    await clock.advance(30)
    await asyncio.wait_for(task, 5)
    assert ended == ["a:1"]


async def test_a_callback_may_wait_and_control(service, monitor, clock, until):
    """A callback may itself wait for, and control, executions of the same monitor."""
    got = []
    service.add(running("a"))
    service.add(Plan(id="b", steps=(Step("running", 5.0), Step("completed", 3.0))))
    async with monitor:

        @monitor.on_running
        async def chain(event):
            if event.execution_id == "a":
                other = await monitor.wait("b")
                await monitor.stop("a")
                got.append(other.status)

        monitor.watch("a")
        await until(lambda: got)
        await until(lambda: service.executions()["a"] == "cancelled")
    assert got == ["completed"]


async def test_everything_needs_an_entered_monitor(monitor):
    """Watching, waiting and listening outside `async with` is an error that says so."""
    with pytest.raises(MonitorClosedError, match="async with"):
        monitor.watch("a")
    with pytest.raises(MonitorClosedError):
        monitor.events()
    with pytest.raises(MonitorClosedError):
        await monitor.pause("a")
    async with monitor:
        pass
    with pytest.raises(MonitorClosedError, match="once"):
        async with monitor:
            pass


async def test_handlers_made_apart(service, clock, until):
    """Handlers registered apart are called; those added later do not reach the set they came from."""
    handlers, seen = Handlers(), []
    handlers.on_completed(lambda event: seen.append(event.id), name="one")
    service.add(done("a"))
    async with Monitor(service.url, service.token, clock=clock, handlers=handlers) as monitor:
        monitor.on_failed(lambda event: None, name="two")
        monitor.watch("a")
        await until(lambda: seen)
    assert seen == ["a:1"]
    assert len(handlers) == 1


async def test_a_lambda_around_a_coroutine_function(service, monitor, until):
    """What a lambda returns is awaited, and only then has it delivered."""
    seen = []

    async def export(event, where):
        seen.append((event.execution_id, where))

    service.add(done("a"))
    async with monitor:
        monitor.on_completed(lambda event: export(event, "here"), name="export")
        monitor.watch("a")
        await until(lambda: monitor.executions())
    assert seen == [("a", "here")]
    assert monitor.deliveries.delivered == 1


async def test_the_stream_ends_with_the_monitor(service, monitor, clock, until):
    """A stream hands out what is left and then says that the monitor was left."""
    service.add(done("a"))
    async with monitor:
        stream = monitor.events()
        monitor.watch("a")
        await until(lambda: monitor.executions())
    assert (await anext(stream)).id == "a:1"
    with pytest.raises(MonitorClosedError):
        await anext(stream)


def test_from_env(monkeypatch):
    """`from_env` takes both variables, and names the one that is missing."""
    monkeypatch.setenv("TITAN_API_URL", "http://localhost:1")
    monkeypatch.delenv("TITAN_TOKEN", raising=False)
    with pytest.raises(ConfigurationError, match="TITAN_TOKEN"):
        Monitor.from_env()
    monkeypatch.setenv("TITAN_TOKEN", "secret-of-mine")
    monitor = Monitor.from_env()
    assert "localhost" in repr(monitor)
    assert "secret-of-mine" not in repr(monitor)


async def test_a_monitor_is_not_blind_for_what_nobody_watches_any_more(service, monitor, clock, until):
    """An execution whose reads failed until it was unwatched does not make a quiet monitor look blind."""
    kinds = []
    service.add(Plan(id="a", steps=(Step("running", 0.0), Step("completed", 1.0))))
    service.add(running("b"))
    async with monitor:
        monitor.on_anomaly(lambda event: kinds.append(event.kind), name="kinds")
        monitor.watch("a")
        await until(lambda: [one.status for one in monitor.executions()] == ["completed"])
        service.faults = Faults(server_error=1.0)
        monitor.watch("b")
        await clock.advance(20)
        monitor.unwatch("b")
        service.faults = Faults.none()
        await clock.advance(3000)
    assert kinds == []


async def test_a_quiet_monitor_is_not_blind(service, monitor, clock, until):
    """Where all that is watched has finished, or is gone, there is little to read: that is no blindness."""
    kinds = []
    service.add(Plan(id="a", steps=(Step("running", 0.0), Step("completed", 60.0))))
    service.add(running("b"))
    async with monitor:
        monitor.on_anomaly(lambda event: kinds.append(event.kind), name="kinds")
        monitor.watch("a", "b")
        await clock.advance(30)
        service.remove("b")
        await clock.advance(3000)
    assert kinds == [AnomalyKind.VANISHED]
