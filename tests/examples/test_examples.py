"""The first examples, run as a user runs them, against the embedded service."""

from __future__ import annotations

import json
import signal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from titan_state.emulator import Plan, Scenario, Step, Task, TaskServiceEmulator

RUNS = Plan(id="runs", steps=(Step("running", 0.0),))
DONE = Plan(id="done", steps=(Step("running", 0.0), Step("completed", 0.0)), rows=12)


async def test_completed_ones_are_called_back_for(run, watched):
    """It tells of what completes and of what fails, those to come included, and Ctrl-C leaves without a traceback."""
    plans = [
        Plan(id="good", steps=(Step("running", 0.5), Step("completed", 1.0))),
        Plan(id="bad", steps=(Step("running", 0.5), Step("failed", 1.0))),
    ]
    async with TaskServiceEmulator() as service:
        program = await run("01_on_completed", service=service)
        await watched(service)
        for plan in plans:
            service.add(plan)
        await program.until("completed  good", "failed     bad")
        service.add(Plan(id="later", steps=(Step("running", 0.0), Step("completed", 0.0))))
        await program.until("completed  later")
        code, complaints = await program.end(by=signal.SIGINT)
        assert service.executions() == {"good": "completed", "bad": "failed", "later": "completed"}
    assert (code, complaints) == (0, "")
    assert len(program.lines) == 3
    assert any("check first: execution details and platform logs" in line for line in program.lines)


async def test_a_task_alone_can_be_watched(run, watched):
    """With a task's id it tells of the executions of that task only."""
    plans = [
        Plan(id="other", task_id="t2", steps=(Step("running", 0.0), Step("completed", 1.0))),
        Plan(id="mine", task_id="t1", steps=(Step("running", 0.0), Step("completed", 1.5))),
    ]
    async with TaskServiceEmulator(Scenario([], [Task(id="t1"), Task(id="t2")])) as service:
        program = await run("01_on_completed", "t1", service=service)
        await watched(service)
        for plan in plans:
            service.add(plan)
        await program.until("completed  mine")
        assert (await program.end(by=signal.SIGINT))[0] == 0
    assert len(program.lines) == 1


@pytest.mark.parametrize("name", ["01_on_completed", "06_handlers_module", "07_custom_statuses"])
async def test_what_is_missing_is_told_in_a_line(run, name):
    """Without an account a program says which variables to set, and ends with 1."""
    program = await run(name)
    code, complaints = await program.end()
    assert (code, program.lines) == (1, [])
    assert complaints == "set the environment variables TITAN_API_URL and TITAN_TOKEN\n"


async def test_a_legal_action_is_sent(run):
    """A running execution is paused."""
    async with TaskServiceEmulator(Scenario([RUNS])) as service:
        program = await run("02_check_first", "runs", service=service)
        assert await program.end() == (0, "")
        assert service.executions() == {"runs": "paused"}
    assert program.lines[0].startswith("pause is legal: ")
    assert program.lines[1:] == ["the service accepted it"]


async def test_an_illegal_action_is_not_sent(run):
    """A finished execution is not asked to stop: the reason is told, and the service sees reads only."""
    async with TaskServiceEmulator(Scenario([DONE])) as service:
        program = await run("02_check_first", "done", "stop", service=service)
        assert await program.end() == (1, "")
        assert {request.method for request in service.requests} == {"GET"}
    assert program.lines[0].startswith("stop is not legal: ")
    assert program.lines[1].startswith("refused here: ")


async def test_a_refusal_by_the_service_is_told(run):
    """Where a deployment does not support the action, its answer is told, with the status as it is."""
    async with TaskServiceEmulator(Scenario([RUNS]), unsupported=["pause"]) as service:
        program = await run("02_check_first", "runs", service=service)
        assert await program.end() == (1, "")
    assert program.lines[1] == "refused by the service: NOT_IMPLEMENTED, the status is running"


@pytest.mark.parametrize("name", ["02_check_first", "05_load_rows"])
async def test_what_cannot_be_asked_is_told(run, name):
    """An id that the service does not know ends in one line and not in a traceback."""
    async with TaskServiceEmulator() as service:
        program = await run(name, "nothing", service=service)
        code, complaints = await program.end()
    assert (code, program.lines) == (1, [])
    assert complaints.startswith("the service does not know execution nothing")
    assert complaints.count("\n") == 1


async def test_every_success_is_exported_once(run, watched, tmp_path):
    """What succeeds is exported when its results can be read; a second run finds what is new, and repeats nothing."""

    def plan(name):
        return Plan(id=name, steps=(Step("running", 0.0), Step("completed", 0.5)), results_after_s=1.0)

    async with TaskServiceEmulator(per_minute=None) as service:
        program = await run("03_export_every_success_once", "exports", service=service)
        await watched(service)
        service.add(plan("first"))
        await program.until("first: first.json")
        assert await program.end(by=signal.SIGINT) == (0, "")
        service.add(plan("second"))
        program = await run("03_export_every_success_once", "exports", service=service)
        await program.until("second: second.json")
        assert await program.end(by=signal.SIGINT) == (0, "")
        for name in ("first", "second"):
            assert (tmp_path / "exports" / f"{name}.json").read_bytes() == service.export_bytes(name)
    assert len(program.lines) == 1


async def test_anomalies_are_sent_once_and_when_they_are_over(run, watched, until):
    """The webhook gets one message for each anomaly and one when it is over, also if it was away at first."""
    plans = [
        Plan(id="odd", steps=(Step("running", 0.0), Step("hibernating", 1.0), Step("running", 1.5))),
        Plan(id="again", steps=(Step("running", 0.0), Step("completed", 1.0), Step("running", 1.5))),
    ]
    answers, told = [503, 429], []

    async def receive(request):
        status = answers.pop() if answers else 200
        if status == 200:
            told.append((await request.json())["text"])
        return web.Response(status=status, headers={"Retry-After": "0"})

    app = web.Application()
    app.router.add_post("/hooks/secret-part", receive)
    async with TestServer(app) as chat, TaskServiceEmulator() as service:
        url = str(chat.make_url("/hooks/secret-part"))
        program = await run("04_anomaly_alert", service=service, ALERT_WEBHOOK_URL=url)
        await watched(service)
        for plan in plans:
            service.add(plan)
        await until(lambda: len(told) == 3)
        code, complaints = await program.end(by=signal.SIGINT)
    assert (code, program.lines) == (0, ["watching"])
    assert "the webhook answered 429" in complaints
    assert "secret-part" not in complaints
    first, over, again = sorted(told, key=lambda text: ("left_terminal" in text, text.startswith("over: ")))
    assert "unknown_status of odd" in first
    assert over.startswith("over: ")
    assert "unknown_status of odd, since " in over
    assert "left_terminal of again" in again
    assert first.endswith(".")
    assert "Check " in first


async def test_a_webhook_that_refuses_is_not_asked_again(run, watched, until):
    """A 404 is final: the log names the delivery and the status, and not the URL."""
    asked = []

    async def refuse(request):
        asked.append(await request.json())
        return web.Response(status=404)

    app = web.Application()
    app.router.add_post("/hooks/secret-part", refuse)
    async with TestServer(app) as chat, TaskServiceEmulator() as service:
        url = str(chat.make_url("/hooks/secret-part"))
        program = await run("04_anomaly_alert", "--queued", "2", service=service, ALERT_WEBHOOK_URL=url)
        await watched(service)
        service.add(Plan(id="waits"))
        await until(lambda: asked)
        code, complaints = await program.end(by=signal.SIGINT)
    assert code == 0
    assert len(asked) == 1
    assert "stuck_queued of waits" in json.dumps(asked)
    assert "the webhook answered 404" in complaints
    assert "secret-part" not in complaints


async def test_rows_are_loaded(run):
    """The rows of an export are counted, or make a frame of whichever library is there."""
    async with TaskServiceEmulator(Scenario([DONE])) as service:
        program = await run("05_load_rows", "done", service=service)
        assert await program.end() == (0, "")
    assert "12" in "\n".join(program.lines)
