"""Over HTTP: larger pages where the service sends them, usual ones where it refuses, or stops."""

from __future__ import annotations

import pytest
from aiohttp import web

from titan_state import Monitor, RequestBudget, ServiceProfile

COUNT = 700


class Deployment:
    """A service that runs some hundred executions, hand-written so that its limit can be changed on the way.

    Attributes:
        most: How many a page shows at most.
        refuses: Whether a request for more is refused, and not cut to that.
        limits: What was asked for, one after the other.
        singles: How many executions were read one by one.
    """

    def __init__(self, most, *, refuses=False):
        self.most = most
        self.refuses = refuses
        self.limits = []
        self.singles = 0

    async def page(self, request):
        """Answer a page of the list."""
        limit, offset = int(request.query["limit"]), int(request.query["offset"])
        self.limits.append(limit)
        if self.refuses and limit > self.most:
            error = {"code": "BAD_REQUEST", "message": f"limit must be at most {self.most}"}
            return web.json_response({"success": False, "error": error}, status=400)
        there = range(COUNT)[offset : offset + min(limit, self.most)]
        items = [{"id": f"e{number:03}", "status": "running", "task_id": "t"} for number in there]
        return web.json_response({"success": True, "data": {"items": items, "total": COUNT}})

    async def one(self, request):
        """Answer the read of one execution."""
        self.singles += 1
        data = {"id": request.match_info["id"], "status": "running", "task_id": "t"}
        return web.json_response({"success": True, "data": data})


@pytest.fixture
async def served(clock):
    """Serve a deployment, and return a monitor of it."""
    runners = []

    async def serve(deployment, **profile):
        app = web.Application()
        app.router.add_get("/api/v1/executions", deployment.page)
        app.router.add_get("/api/v1/executions/{id}", deployment.one)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        budget = RequestBudget(per_minute=1200)
        return Monitor(
            f"http://127.0.0.1:{port}", "token", clock=clock, budget=budget, profile=ServiceProfile(**profile)
        )

    yield serve
    for runner in runners:
        await runner.cleanup()


def swept(monitor):
    """Return whether everything was seen."""
    return lambda: len(list(monitor.executions())) == COUNT


async def test_larger_pages_are_asked_for_where_they_come(served, clock, until):
    """After one usual page all is read with requests for as many as the service is seen to send."""
    deployment = Deployment(250)
    monitor = await served(deployment)
    async with monitor:
        monitor.watch_all()
        await until(swept(monitor))
        assert deployment.limits[:2] == [100, 1000]
        await clock.advance(30)
    assert set(deployment.limits[2:]) == {250}
    assert not deployment.singles


@pytest.mark.parametrize("refuses", [True, False])
async def test_one_request_finds_out_that_they_do_not(served, clock, until, refuses):
    """A service that refuses them, or cuts them, is asked for usual pages from then on; all is seen."""
    deployment = Deployment(100, refuses=refuses)
    monitor = await served(deployment)
    async with monitor:
        monitor.watch_all()
        await until(swept(monitor))
        await clock.advance(30)
    assert sorted(set(deployment.limits)) == [100, 1000]
    assert deployment.limits.count(1000) == 1


async def test_a_refusal_later_ends_it(served, clock, until):
    """A service that begins to refuse what it sent before is read with usual pages; no warning, nothing lost."""
    deployment = Deployment(250)
    monitor = await served(deployment)
    async with monitor:
        monitor.watch_all()
        await until(swept(monitor))
        deployment.most, deployment.refuses = 100, True
        await clock.advance(30)
        deployment.limits.clear()
        await clock.advance(30)
        assert len(list(monitor.executions())) == COUNT
        assert not monitor.anomalies()
    assert set(deployment.limits) == {100}


async def test_it_can_be_left_alone(served, clock, until):
    """A profile whose largest page is the usual one asks for nothing else."""
    deployment = Deployment(250)
    monitor = await served(deployment, largest_page=100)
    async with monitor:
        monitor.watch_all()
        await until(swept(monitor))
    assert set(deployment.limits) == {100}
