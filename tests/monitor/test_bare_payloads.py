"""Executions that do not say which task they are of, that leave their list, or that nobody watches any more."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from titan_state import Monitor, RequestBudget, ServiceProfile, Thresholds
from titan_state.emulator import Plan, Step


async def test_an_execution_that_leaves_its_tasks_list_is_still_of_that_task(clock, until):
    """Its end is told, though the read of it does not name the task that is watched."""
    statuses = {"x": "running", "y": "running"}
    singles: list[str] = []

    async def listed(request):
        return web.json_response(
            {
                "success": True,
                "data": [{"id": name, "status": now} for name, now in statuses.items() if now == "running"],
            }
        )

    async def single(request):
        singles.append(request.match_info["id"])
        return web.json_response({"success": True, "data": {"id": singles[-1], "status": statuses[singles[-1]]}})

    app = web.Application()
    app.router.add_get("/api/v1/tasks/t/executions", listed)
    app.router.add_get("/api/v1/executions/{id}", single)
    ended: list[str] = []
    async with TestServer(app) as server, Monitor(f"http://127.0.0.1:{server.port}", "token", clock=clock) as monitor:
        monitor.on_completed(lambda event: ended.append(event.execution_id), name="ended")
        monitor.watch_task("t")
        await until(lambda: len(monitor.executions()) == 2)
        assert {execution.task_id for execution in monitor.executions()} == {"t"}
        statuses["x"] = "completed"
        await until(lambda: ended, seconds=30)
        await clock.advance(10)
    assert ended == ["x"]
    assert singles == ["x"]


async def test_a_task_may_go_by_another_name(clock, until):
    """A list that is watched by a slug shows executions that name the task's id: they are of it, also read alone."""
    statuses = {"x": "running", "y": "running"}

    async def listed(request):
        shown = [{"id": name, "task_id": "7f3", "status": now} for name, now in statuses.items() if now == "running"]
        return web.json_response({"success": True, "data": shown})

    async def single(request):
        name = request.match_info["id"]
        data = {"id": name, "task_id": "7f3", "status": statuses[name]}
        return web.json_response({"success": True, "data": data})

    app = web.Application()
    app.router.add_get("/api/v1/tasks/prices/executions", listed)
    app.router.add_get("/api/v1/executions/{id}", single)
    told: list[tuple[str, str | None, str]] = []
    async with TestServer(app) as server, Monitor(f"http://127.0.0.1:{server.port}", "token", clock=clock) as monitor:
        monitor.on_transition(lambda event: told.append((event.execution_id, event.source, event.dest)), name="told")
        monitor.watch_task("prices")
        await until(lambda: len(monitor.executions()) == 2)
        statuses["x"] = "completed"
        await clock.advance(30)
        monitor.watch_task("other")
        monitor.unwatch(task_id="other")
        await clock.advance(30)
        assert {one.id for one in monitor.executions()} == {"x", "y"}
        monitor.unwatch(task_id="prices")
        assert monitor.executions() == ()
    assert sorted(told, key=str) == [("x", "running", "completed"), ("x", None, "running"), ("y", None, "running")]


async def test_a_404_of_what_is_not_watched_any_more_is_no_anomaly(service, monitor, clock):
    """Unwatching an id that was not found ends it: nothing is raised for it later, and nothing is asked."""
    raised: list[str] = []
    async with monitor:
        monitor.on_anomaly(lambda event: raised.append(event.execution_id), name="raised")
        monitor.watch("nowhere")
        await clock.advance(4)
        monitor.unwatch("nowhere")
        await clock.advance(15)
        before = len(service.requests)
        await clock.advance(60)
    assert raised == []
    assert len(service.requests) == before


async def test_a_list_that_is_short_at_first(clock, until):
    """One execution on the first page, and no total: those that come later are read by whole pages, not one by one."""
    names = ["first"]
    asked: list[str] = []

    async def listed(request):
        asked.append(request.query["limit"])
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        shown = names[::-1][offset : offset + limit]
        return web.json_response({"success": True, "data": [{"id": name, "status": "running"} for name in shown]})

    app = web.Application()
    app.router.add_get("/api/v1/executions", listed)
    async with TestServer(app) as server, Monitor(f"http://127.0.0.1:{server.port}", "token", clock=clock) as monitor:
        monitor.watch_all()
        await until(lambda: monitor.executions())
        names += [f"later-{number}" for number in range(60)]
        await until(lambda: len(monitor.executions()) == 61, seconds=20)
    assert asked.count("1000") <= 2  # to find out whether more is sent at once
    assert set(asked) <= {"100", "1000"}


@pytest.mark.parametrize("name", ["total", "count", "total_count"])
async def test_a_total_that_counts_the_page_hides_nothing(clock, until, name):
    """Every page is read in the sweep, though each says that what it shows is all there is."""
    names = [f"e{number:03}" for number in range(250)]

    async def listed(request):
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        shown = [{"id": name, "status": "running"} for name in names[offset : offset + limit]]
        return web.json_response({"success": True, "data": {"items": shown, name: len(shown)}})

    app = web.Application()
    app.router.add_get("/api/v1/executions", listed)
    async with TestServer(app) as server, Monitor(f"http://127.0.0.1:{server.port}", "token", clock=clock) as monitor:
        monitor.watch_all()
        await until(lambda: len(monitor.executions()) == 250, seconds=20)


async def test_a_list_in_any_order_and_without_dates_is_swept_again(clock, until):
    """What is new shows on the last page, and is found because the profile says that it may."""
    names = [f"e{number:03}" for number in range(120)]

    async def listed(request):
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        shown = [{"id": name, "status": "running"} for name in names[offset : offset + limit]]
        return web.json_response({"success": True, "data": shown})

    app = web.Application()
    app.router.add_get("/api/v1/executions", listed)
    profile = ServiceProfile(newest_first=False)
    async with (
        TestServer(app) as server,
        Monitor(f"http://127.0.0.1:{server.port}", "token", clock=clock, profile=profile) as monitor,
    ):
        monitor.watch_all()
        await until(lambda: len(monitor.executions()) == 120, seconds=20)
        names += [f"later{number:03}" for number in range(120)]
        await until(lambda: len(monitor.executions()) == 240, seconds=60)


async def test_without_a_lag_what_is_gone_is_not_read_without_pause(service, clock):
    """A replica lag of 0 makes nothing due at once: an execution that is gone is looked for at the usual interval."""
    service.add(Plan(id="a", steps=(Step("running", 0.0),)))
    budget = RequestBudget(per_minute=6000)
    thresholds = Thresholds(replica_lag_s=0)
    async with Monitor(service.url, service.token, clock=clock, budget=budget, thresholds=thresholds) as monitor:
        monitor.watch("a")
        await clock.advance(5)
        service.remove("a")
        before = len(service.requests)
        await clock.advance(60)
        assert len(service.requests) - before <= 125
