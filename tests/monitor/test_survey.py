"""Surveys: what a board is told of a monitor, in its own program and from another one."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from titan_state import Monitor, RequestBudget, ResultsNotReadyError, Thresholds
from titan_state.emulator import Plan, Step
from titan_state.monitor import survey as surveys
from titan_state.monitor.local import local_monitor
from titan_state.monitor.survey import MOST_TASKS, Known, Survey


async def test_everything_is_surveyed(service, monitor, clock, until):
    """A survey tells of every execution that is watched, of the requests, and of what delay to expect."""
    service.add(Plan(id="a", task_id="t", steps=[Step("running", 1)]))
    service.add(Plan(id="b", task_id="u", steps=[Step("running", 1), Step("completed", 2)]))
    async with monitor:
        monitor.watch_all()
        await until(lambda: {one.status for one in monitor.executions()} == {"running", "completed"})
        survey = monitor.survey()
        assert survey.is_whole
        assert {one.id: (one.status, one.is_over) for one in survey.sights} == {
            "a": ("running", False),
            "b": ("completed", True),
        }
        assert (survey.watched.everything, survey.watched.tasks, survey.watched.id_count) == (True, (), 0)
        assert survey.limit == 1200
        assert survey.left + survey.spent == 1200
        assert survey.requests == monitor.service.statistics.requests > 0
        assert survey.delay_s > 0
        assert survey.blind_since is None
        assert clock.now().timestamp() >= survey.answered > clock.now().timestamp() - 60
        assert Survey.from_dict(json.loads(json.dumps(survey.to_dict()))) == survey


async def test_only_what_was_seen_since(service, monitor, clock, until):
    """The next survey tells of what was seen since the one before, and of what is asked for by name."""
    service.add(Plan(id="a", steps=[Step("running", 1), Step("completed", 2)]))
    async with monitor:
        monitor.watch("a")
        await until(lambda: [one.status for one in monitor.executions()] == ["completed"])
        first = monitor.survey()
        assert first.left_out == 0
        mark = (first.run, clock.time(), first.noted)
        assert monitor.survey(after=mark).sights == ()
        assert [one.id for one in monitor.survey(after=mark, ids={"a", "x"}).sights] == ["a"]
        assert first.watched.id_count == 1


async def test_what_was_adopted_since(service, monitor, clock, until):
    """What had finished before the watch began is told once, when it was found out."""
    for name in "ab":
        service.add(Plan(id=name, steps=[Step("running"), Step("completed")]))
    await clock.advance(60)
    async with monitor:
        mark = monitor.survey().mark
        monitor.watch_all()
        await until(lambda: monitor.survey(after=mark).noted == 2)
        survey = monitor.survey(after=mark)
        assert {(one.id, one.status, one.is_over) for one in survey.sights} == {
            ("a", "completed", True),
            ("b", "completed", True),
        }
        assert monitor.survey(after=survey.mark).sights == ()


async def test_the_mark_of_another_run(service, monitor, clock, until):
    """A mark of a monitor that ran before says nothing to the one that runs: it tells everything."""
    service.add(Plan(id="a", steps=[Step("running", 1)]))
    async with monitor:
        monitor.watch("a")
        await until(monitor.executions)
        survey = monitor.survey(after=("another", clock.time(), 500))
        assert (survey.is_whole, [one.id for one in survey.sights]) == (True, ["a"])
        same = monitor.survey(after=(survey.run, clock.time(), 500))
        assert (same.is_whole, same.sights) == (False, ())


async def test_more_than_there_is_room_for(service, monitor, until, monkeypatch):
    """What has no room is counted; what has an anomaly, and what changed last, has room first."""
    monkeypatch.setattr(surveys, "MOST_LIVE", 2)
    service.add(Plan(id="gone", steps=[Step("running", 1), Step.vanish(1)]))
    for name, at in (("a", 1), ("b", 30), ("c", 60)):
        service.add(Plan(id=name, steps=[Step("running", at)]))
    async with monitor:
        monitor.watch("gone", "a", "b", "c")
        await until(lambda: [one.status for one in monitor.executions()] == ["running"] * 4)
        await until(lambda: monitor.anomalies("gone"))
        survey = monitor.survey()
        assert ([one.id for one in survey.sights], survey.left_out) == (["gone", "c"], 2)


async def test_tasks_are_named_up_to_a_number(monitor):
    """So many tasks may be watched that not all are named, but counted."""
    async with monitor:
        for number in range(MOST_TASKS + 5):
            monitor.watch_task(f"task-{number}")
        watched = monitor.survey().watched
        assert (len(watched.tasks), watched.task_count, watched.everything) == (MOST_TASKS, MOST_TASKS + 5, False)


async def test_what_is_unwatched_is_not_surveyed(service, monitor, until):
    """What nobody watches any more is not told."""
    service.add(Plan(id="a", steps=[Step("running", 1)]))
    async with monitor:
        monitor.watch("a")
        await until(monitor.executions)
        monitor.unwatch("a")
        assert monitor.survey().sights == ()


async def test_what_is_known_of_one(service, clock, until):
    """The verdicts say what may be done, also of an execution of which little is kept, or nothing."""
    service.add(Plan(id="a", steps=[Step("running", 1), Step("completed", 2)], results_after_s=None))
    service.add(Plan(id="b", steps=[Step("running", 1)]))
    service.add(Plan(id="c", steps=[Step("running", 1), Step("failed", 2)]))
    thresholds = Thresholds(retention_s=30, results_s=20)
    async with Monitor(service.url, service.token, clock=clock, thresholds=thresholds) as monitor:
        monitor.watch("a", "b", "c")
        await until(lambda: len({one.status for one in monitor.executions()}) == 3)
        known = monitor.known("b")
        assert known.verdicts["pause"].allowed
        assert known.verdicts["pause"].as_of is not None
        assert known.verdicts["resume"].reason == "resume is not legal in running: only 'paused' allows it"
        assert (known.sight.status, known.execution.status, known.results) == ("running", "running", "")
        await until(lambda: monitor.known("a").results == "awaited")
        await until(lambda: monitor.known("a").results == "overdue")
        await until(lambda: monitor.known("c").execution is None, seconds=300, step=1)
        known = monitor.known("c")
        assert known.sight.status == "failed"
        assert known.verdicts["stop"].reason.startswith("it has finished")
        nothing = monitor.known("x")
        assert (nothing.execution, nothing.sight) == (None, None)
        assert not any(nothing.verdicts.values())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


async def test_another_program_is_told_the_same(titan_service, path):
    """A monitor of this machine can be surveyed, and asked of an execution and of results, by another program."""
    async with titan_service(per_minute=None) as service:
        service.add(Plan(id="a", steps=[Step("running"), Step("completed")], rows=7))
        service.add(Plan(id="b", steps=[Step("running"), Step("completed")], results_after_s=None))
        budget, thresholds = RequestBudget(per_minute=60_000), Thresholds(replica_lag_s=0.1)
        async with (
            Monitor(service.url, service.token, journal=path, budget=budget, thresholds=thresholds) as monitor,
            local_monitor(path) as other,
        ):
            await monitor.wait(["a", "b"], timeout=20)
            survey = await other.survey()
            assert {one.id for one in survey.sights} == {"a", "b"}
            assert survey.watched == monitor.survey().watched
            assert await other.known("a") == monitor.known("a")
            found = await other.results("a")
            assert found.row_count == 7
            assert found.fields
            with pytest.raises(ResultsNotReadyError):
                await other.results("b")
            later = await other.survey(after=survey.mark, ids=["a"])
            assert "a" in {one.id for one in later.sights}
            assert not later.is_whole


async def test_what_a_service_says_is_no_word_of_ours(path):
    """Metadata that look like what programs of this machine tell each other arrive as they are."""
    odd = {"schema": {"$": "page"}, "fault": {"$": "error", "type": "UnauthorizedError", "args": ["x"], "state": {}}}

    async def answer(request):
        if request.path.endswith("/results"):
            return web.json_response({"success": True, "data": odd})
        return web.json_response({"success": True, "data": {"id": "a", "status": "completed"}})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        async with (
            Monitor(
                str(server.make_url("")), "t" * 20, journal=path, budget=RequestBudget(per_minute=60_000)
            ) as monitor,
            local_monitor(path) as other,
        ):
            monitor.watch("a")
            await monitor.wait("a", timeout=20)
            assert (await other.results("a")).fields == odd
    finally:
        await server.close()


async def test_only_what_is_watched_is_told_of_what_was_before(service, clock, until, tmp_path):
    """A monitor that watches one execution tells nothing of those that an earlier one had finished with."""
    for name in "ab":
        service.add(Plan(id=name, task_id=f"t-{name}", steps=[Step("running", 1), Step("failed", 1)]))
    values = {"clock": clock, "journal": tmp_path / "j.db", "thresholds": Thresholds(retention_s=5), "drain_s": 0}
    async with Monitor(service.url, service.token, **values) as monitor:
        monitor.watch("a", "b")
        await until(lambda: monitor.survey().noted == 2)
    async with Monitor(service.url, service.token, **values) as monitor:
        monitor.watch_task("t-a")
        assert [one.id for one in monitor.survey().sights] == ["a"]


def test_what_is_known_survives_the_way():
    """Also nothing can be told to another program."""
    nothing = Known(None, None, {})
    assert Known.from_dict(nothing.to_dict()) == nothing
