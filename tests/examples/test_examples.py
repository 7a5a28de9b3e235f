"""Every example, run as a user runs it, against the embedded service."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from titan_state.emulator import Plan, Scenario, Step, Task, TaskServiceEmulator

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNS = Plan(id="runs", steps=(Step("running", 0.0),))


async def watched(service):
    """Return when somebody has read a list: what is added from then on is not taken for what was there before."""
    async with asyncio.timeout(60):
        while not any("/executions" in request.path for request in service.requests):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.02)
    await asyncio.sleep(1.1)  # dates of answers are whole seconds


async def test_completed_ones_are_called_back_for(start):
    """It tells of what completes and of what fails, those to come included, and Ctrl-C leaves without a traceback."""
    plans = [
        Plan(id="good", steps=(Step("running", 0.5), Step("completed", 1.0))),
        Plan(id="bad", steps=(Step("running", 0.5), Step("failed", 1.0))),
    ]
    async with TaskServiceEmulator() as service:
        program = await start(EXAMPLES / "01_on_completed/on_completed.py", service=service)
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


async def test_a_task_alone_can_be_watched(start):
    """With a task's id it tells of the executions of that task only."""
    plans = [
        Plan(id="other", task_id="t2", steps=(Step("running", 0.0), Step("completed", 1.0))),
        Plan(id="mine", task_id="t1", steps=(Step("running", 0.0), Step("completed", 1.5))),
    ]
    async with TaskServiceEmulator(Scenario([], [Task(id="t1"), Task(id="t2")])) as service:
        program = await start(EXAMPLES / "01_on_completed/on_completed.py", "t1", service=service)
        await watched(service)
        for plan in plans:
            service.add(plan)
        await program.until("completed  mine")
        assert (await program.end(by=signal.SIGINT))[0] == 0
    assert len(program.lines) == 1


async def test_a_legal_action_is_sent(start):
    """A running execution is paused."""
    async with TaskServiceEmulator(Scenario([RUNS])) as service:
        program = await start(EXAMPLES / "02_check_first/check_first.py", "runs", service=service)
        assert await program.end() == (0, "")
        assert service.executions() == {"runs": "paused"}
    assert program.lines[0].startswith("pause is legal: ")
    assert program.lines[1:] == ["the service accepted it"]


async def test_an_illegal_action_is_not_sent(start):
    """A finished execution is not asked to pause: the reason is told, and the service sees reads only."""
    ended = Plan(id="ended", steps=(Step("running", 0.0), Step("completed", 0.0)))
    async with TaskServiceEmulator(Scenario([ended])) as service:
        program = await start(EXAMPLES / "02_check_first/check_first.py", "ended", service=service)
        assert await program.end() == (1, "")
        assert {request.method for request in service.requests} == {"GET"}
    assert program.lines[0].startswith("pause is not legal: ")
    assert program.lines[1].startswith("refused here: ")


async def test_a_refusal_by_the_service_is_told(start):
    """Where a deployment does not support the action, its answer is told, with the status as it is."""
    async with TaskServiceEmulator(Scenario([RUNS]), unsupported=["pause"]) as service:
        program = await start(EXAMPLES / "02_check_first/check_first.py", "runs", service=service)
        assert await program.end() == (1, "")
    assert program.lines[1] == "refused by the service: NOT_IMPLEMENTED, the status is running"


@pytest.mark.parametrize("arguments", [["nothing"], []], ids=["unknown", "usage"])
async def test_what_cannot_be_asked_is_told(start, arguments):
    """An id that the service does not know, or none at all, ends in one line and not in a traceback."""
    async with TaskServiceEmulator() as service:
        program = await start(EXAMPLES / "02_check_first/check_first.py", *arguments, service=service)
        code, complaints = await program.end()
    assert code != 0
    told = [*program.lines, *complaints.splitlines()]
    assert len(told) == 1
    assert told[0].startswith("it could not be asked: " if arguments else "usage: ")


async def test_anomalies_are_told_once_and_when_they_are_over(start):
    """An odd status is told and taken back; a finished execution that runs again is confirmed, told, and paged for."""
    plans = [
        Plan(id="odd", steps=(Step("running", 0.0), Step("hibernating", 1.0), Step("running", 1.5))),
        Plan(id="again", steps=(Step("running", 0.0), Step("completed", 1.0), Step("running", 1.5))),
    ]
    async with TaskServiceEmulator() as service:
        program = await start(EXAMPLES / "04_anomaly_alert/anomaly_alert.py", service=service)
        await watched(service)
        for plan in plans:
            service.add(plan)
        await program.until(
            "unknown_status of odd", "over: unknown_status of odd", "left_terminal of again", "PAGE: again"
        )
        assert await program.end(by=signal.SIGINT) == (0, "")
    assert len(program.lines) == 4
    assert all("Check first: " in line for line in program.lines if " of " in line and not line.startswith("over"))


def test_every_example_is_run_here():
    """An example that is added is run by a test, too."""
    tests = Path(__file__).read_text(encoding="utf-8")
    names = [f"{path.parent.name}/{path.name}" for path in EXAMPLES.glob("0*/*.py")]
    assert len(names) >= 3
    assert [name for name in names if f'"{name}"' not in tests] == []


async def test_every_success_is_exported_once(start, tmp_path):
    """What succeeds is exported when its results can be read; a second run finds what is new, and repeats nothing."""

    def plan(name):
        return Plan(id=name, steps=(Step("running", 0.0), Step("completed", 0.5)), results_after_s=1.0)

    async with TaskServiceEmulator(per_minute=None) as service:
        program = await start(
            EXAMPLES / "03_export_every_success_once/export_every_success_once.py",
            tmp_path / "exports",
            service=service,
        )
        await watched(service)
        service.add(plan("first"))
        await program.until("first: first.json")
        assert await program.end(by=signal.SIGINT) == (0, "")
        service.add(plan("second"))
        program = await start(
            EXAMPLES / "03_export_every_success_once/export_every_success_once.py",
            tmp_path / "exports",
            service=service,
        )
        await program.until("second: second.json")
        assert await program.end(by=signal.SIGINT) == (0, "")
        for name in ("first", "second"):
            assert (tmp_path / "exports" / f"{name}.json").read_bytes() == service.export_bytes(name)
    assert len(program.lines) == 1


async def test_rows_are_loaded(start):
    """The rows of an export are counted, or make a frame of whichever library is there."""
    done = Plan(id="done", steps=(Step("running", 0.0), Step("completed", 0.0)), rows=12)
    async with TaskServiceEmulator(Scenario([done])) as service:
        program = await start(EXAMPLES / "05_load_rows/load_rows.py", "done", service=service)
        assert await program.end() == (0, "")
    assert "12" in "\n".join(program.lines)


async def test_rows_that_there_are_not(start):
    """An execution that is unknown is said in a line."""
    async with TaskServiceEmulator() as service:
        program = await start(EXAMPLES / "05_load_rows/load_rows.py", "nothing", service=service)
        code, complaints = await program.end()
    assert code == 1
    assert complaints.startswith("the service does not know execution nothing")
    assert complaints.count("\n") == 1
