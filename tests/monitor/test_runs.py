"""Running tasks: started once, told apart, and never lost: the id of what was accepted comes back in every case."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pace import posts, spent

from titan_state import (
    ExecutionNotFoundError,
    ExecutionUnreadableError,
    ForbiddenError,
    InternalServiceError,
    Monitor,
    NotFoundError,
    RequestBudget,
    RunOutcomeUnknownError,
    TitanStateError,
)
from titan_state.emulator import Faults, Plan, Scenario, Step, Task, TaskServiceEmulator, When

TASK = Task(id="task", template=Plan(steps=(Step("running", 1.0), Step("completed", 5.0))))


@pytest.fixture
async def with_task(clock):
    async with TaskServiceEmulator(Scenario(tasks=[TASK]), clock=clock, per_minute=None) as service:
        yield service, Monitor(service.url, service.token, clock=clock, budget=RequestBudget(per_minute=1200))


async def test_run_starts_and_watches(with_task, clock):
    """`run` returns the execution as first seen, and it is watched to its end."""
    service, monitor = with_task
    async with monitor:
        execution = await spent(clock, monitor.run("task"))
        assert execution.id in service.executions()
        assert (await spent(clock, monitor.wait(execution.id))).status == "completed"


async def test_run_of_a_task_whose_executions_begin_in_an_unknown_status(clock):
    """A status outside the model does not keep `run` waiting; it is shown as it is, and allows no action."""
    template = Plan(initial="assigned", steps=(Step("running", 20.0), Step("completed", 10.0)))
    async with (
        TaskServiceEmulator(Scenario(tasks=[Task(id="odd", template=template)]), clock=clock) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        execution = await spent(clock, monitor.run("odd"))
        assert execution.status == "assigned"
        assert [one.status for one in monitor.executions()] == ["assigned"]
        assert "not in the model" in monitor.check(execution.id, "stop").reason
        assert (await spent(clock, monitor.wait(execution.id))).status == "completed"


async def test_an_ambiguous_run_is_found_by_reading(with_task, clock):
    """The run was started and its answer lost: the one new execution is it, and none is started twice."""
    service, monitor = with_task
    service.faults = Faults(lost_answer=When(every=1, only="/run"))
    async with monitor:
        execution = await spent(clock, monitor.run("task"))
        assert list(service.executions()) == [execution.id]


async def test_a_list_that_fails_while_a_run_is_looked_for(with_task, clock):
    """One look that fails is not the last one."""
    service, monitor = with_task
    lists = "GET /api/v1/tasks/task/executions"
    service.faults = Faults(lost_answer=When(every=1, only="/run"), server_error=When(at={2, 3, 7}, only=lists))
    async with monitor:
        execution = await spent(clock, monitor.run("task"))
        assert list(service.executions()) == [execution.id]


async def test_a_list_that_fails_before_a_run(with_task, clock):
    """Nothing was sent yet, so it is read again; where it fails for good the error comes, and nothing was started."""
    service, monitor = with_task
    lists = "GET /api/v1/tasks/task/executions"
    service.faults = Faults(server_error=When(at={1, 2}, only=lists))
    async with monitor:
        execution = await spent(clock, monitor.run("task"))
        assert list(service.executions()) == [execution.id]
        service.faults = Faults(server_error=When(every=1, only=lists))
        with pytest.raises(InternalServiceError):
            await spent(clock, monitor.run("task"))
    assert len(posts(service)) == 1


async def test_a_run_that_cannot_be_resolved(with_task, clock):
    """No answer and no new execution is an error; it was tried once."""
    service, monitor = with_task
    service.faults = Faults(reset=When(every=1, only="/run"))
    async with monitor:
        with pytest.raises(RunOutcomeUnknownError, match="no new execution"):
            await spent(clock, monitor.run("task"))
    assert len(posts(service)) == 1
    assert service.executions() == {}


async def test_running_an_unknown_task(with_task, clock):
    """A task that does not exist is the service's 404, before anything is run."""
    _, monitor = with_task
    async with monitor:
        with pytest.raises(NotFoundError):
            await spent(clock, monitor.run("nothing"))


async def test_a_new_execution_may_be_unreadable_for_a_moment(with_task, clock):
    """A run whose execution answers 404 at first is found once it can be read; one that stays so is not found."""
    service, monitor = with_task
    service.faults = Faults(unreadable_new_s=4.0)
    async with monitor:
        assert (await spent(clock, monitor.run("task"))).status
        service.faults = Faults(unreadable_new_s=1000.0)
        with pytest.raises(ExecutionNotFoundError) as caught:
            await spent(clock, monitor.run("task"))
        assert isinstance(caught.value, TitanStateError)


@pytest.mark.parametrize("lost", [{1}, {2}, {1, 2}, {1, 3}, {1, 2, 3}])
async def test_runs_at_the_same_time_are_told_apart(with_task, clock, lost):
    """Whichever answers are lost, each caller gets an execution of its own, and none is started twice."""
    service, monitor = with_task
    service.faults = Faults(lost_answer=When(at=lost, only="/run"))
    async with monitor:
        runs = [monitor.run("task") for _ in range(3)]
        started = await spent(clock, asyncio.gather(*runs), seconds=300)
    assert len({execution.id for execution in started}) == 3
    assert len(posts(service)) == len(service.executions()) == 3


async def test_a_list_that_lags_does_not_give_one_execution_to_two(with_task, clock):
    """What was started before, and shows late, is not taken for what was started now."""
    service, monitor = with_task
    async with monitor:
        service.faults = Faults(list_lag_s=4.0, lost_answer=When(at={2}, only="/run"))
        first = await spent(clock, monitor.run("task"))
        second = await spent(clock, monitor.run("task"))
    assert {first.id, second.id} == set(service.executions())


async def test_somebody_elses_execution_is_not_taken_for_ours(with_task, clock, until):
    """Where two have appeared nobody can tell which one is it: both are named, and nothing is started again."""
    service, monitor = with_task
    service.faults = Faults(lost_answer=When(every=1, only="/run"))
    async with monitor:
        running = asyncio.ensure_future(monitor.run("task"))
        await until(lambda: posts(service))
        service.add(Plan(id="theirs", task_id="task"))
        with pytest.raises(RunOutcomeUnknownError, match="2 executions appeared") as caught:
            await spent(clock, running)
    assert set(caught.value.candidates) == set(service.executions())
    assert "theirs" in str(caught.value)
    assert len(posts(service)) == 1


async def test_the_id_of_what_was_started_is_logged(with_task, clock, caplog):
    """Whoever is cancelled right after finds it in the log."""
    caplog.set_level(logging.INFO, "titan_state.monitor")
    _, monitor = with_task
    async with monitor:
        execution = await spent(clock, monitor.run("task"))
    assert f"task task was started as execution {execution.id}" in caplog.text


class Platform:
    """A task whose runs are accepted, and executions that answer as the test says."""

    def __init__(self) -> None:
        self.app = web.Application()
        self.app.router.add_get("/api/v1/tasks/t/executions", self._list)
        self.app.router.add_post("/api/v1/tasks/t/run", self._run)
        self.app.router.add_get("/api/v1/executions/{id}", self._get)
        self.shown: list[dict[str, str]] = []
        self.appears: dict[str, str] | None = None
        self.answers_run = True
        self.status = 200

    async def _list(self, request):
        return web.json_response({"success": True, "data": self.shown})

    async def _run(self, request):
        if self.appears is not None:
            self.shown = [self.appears]
        if not self.answers_run:
            return web.json_response({"success": False, "error": {"code": "X", "message": "x"}}, status=500)
        return web.json_response({"success": True, "data": {"id": "new"}})

    async def _get(self, request):
        if self.status != 200:
            error = {"code": "X", "message": "not now"}
            return web.json_response({"success": False, "error": error}, status=self.status)
        return web.json_response({"success": True, "data": {"id": request.match_info["id"], "status": "running"}})


@pytest.fixture
async def platform(clock):
    platform = Platform()
    async with TestServer(platform.app) as server:
        budget = RequestBudget(per_minute=1200)
        yield platform, Monitor(f"http://127.0.0.1:{server.port}", "token", clock=clock, budget=budget)


async def test_an_old_execution_that_shows_again_is_not_ours(platform, clock):
    """One that was created long before, by the service's own dates, has only moved into the page."""
    service, monitor = platform
    service.answers_run = False
    service.appears = {"id": "old", "status": "running", "created_at": "2020-01-01T00:00:00Z"}
    async with monitor:
        with pytest.raises(RunOutcomeUnknownError, match="is older, by its own date") as caught:
            await spent(clock, monitor.run("t"))
        assert caught.value.candidates == ("old",)
        service.shown = []
        service.appears = {"id": "new", "status": "running", "created_at": datetime.now(UTC).isoformat()}
        assert (await spent(clock, monitor.run("t"))).id == "new"


async def test_what_was_started_and_cannot_be_read_is_named(platform, clock):
    """A service that fails for a minute does not keep `run` for ever, and the id is not lost."""
    service, monitor = platform
    service.status = 500
    async with monitor:
        with pytest.raises(
            ExecutionUnreadableError, match="execution new was started, but could not be read"
        ) as caught:
            await spent(clock, monitor.run("t"))
        assert caught.value.execution_id == "new"
        assert isinstance(caught.value.__cause__, TitanStateError)
        service.status = 200
        await clock.advance(60)
        assert [execution.id for execution in monitor.executions()] == ["new"]


async def test_what_was_started_is_read_once_the_service_is_back(platform, clock, until):
    """A hiccup after the start is none of the caller's business."""
    service, monitor = platform
    service.status = 503
    async with monitor:
        running = asyncio.ensure_future(monitor.run("t"))
        await clock.advance(20)
        assert not running.done()
        service.status = 200
        assert (await spent(clock, running)).status == "running"


async def test_what_was_started_and_may_not_be_read_is_named(platform, clock):
    """A token that may run tasks but not read executions ends the monitor; the id is in the error all the same."""
    service, monitor = platform
    service.status = 403
    found = []

    async def body():
        async with monitor:
            try:
                await monitor.run("t")
            except ExecutionUnreadableError as error:
                found.append(error.execution_id)
                raise

    with pytest.raises((ExecutionUnreadableError, ForbiddenError)):
        await spent(clock, body())
    assert found == ["new"]


async def test_what_was_started_while_the_monitor_was_left_is_named(platform, clock):
    """A task that outlives the monitor learns which execution it has started."""
    service, monitor = platform
    service.status = 500
    async with monitor:
        running = asyncio.ensure_future(monitor.run("t"))
        await clock.advance(5)
    with pytest.raises(ExecutionUnreadableError, match="the monitor is not running") as caught:
        await spent(clock, running)
    assert caught.value.execution_id == "new"
