"""The further examples, run as a user runs them: with journals, other models, tests of users, other processes."""

from __future__ import annotations

import runpy
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from titan_state import Monitor, Thresholds
from titan_state.emulator import Plan, Scenario, Step, Task, TaskServiceEmulator

EXAMPLES = Path(__file__).parents[2] / "examples"


def ends(file):
    """Return what is in the ledger of the example."""
    with closing(sqlite3.connect(file)) as ledger:
        return ledger.execute("SELECT event, task, status FROM ends ORDER BY event").fetchall()


async def test_a_ledger_that_is_locked_is_entered_later(run, watched, tmp_path):
    """What cannot be written now is tried again; a restart goes on, and enters what ended meanwhile, once."""
    ledger = tmp_path / "ledger.db"
    quick = (Step("running", 0.0), Step("completed", 0.5))
    async with TaskServiceEmulator(Scenario([], [Task(id="t1")]), per_minute=None) as service:
        with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            program = await run("06_handlers_module", service=service, PYTHONUNBUFFERED="1")
            await watched(service)
            service.add(Plan(id="first", steps=quick))
            await watched(service)
            other.execute("COMMIT")
        await program.until("first completed: entered")
        code, complaints = await program.end(by=signal.SIGINT)
        assert code == 0
        assert "Traceback" not in complaints
        service.add(Plan(id="second", steps=quick))
        program = await run("06_handlers_module", service=service)
        await program.until("second completed: entered")
        assert await program.end(by=signal.SIGINT) == (0, "")
    assert program.lines == ["second completed: entered"]
    assert [(task, status) for _, task, status in ends(ledger)] == [("t1", "completed")] * 2


async def test_what_is_no_ledger_is_given_up(run, watched, tmp_path):
    """An error that never passes is tried once, and told as a dead letter at the next start."""
    (tmp_path / "notes.txt").write_text("no database, but long enough to be read as one\n" * 100, encoding="utf-8")
    async with TaskServiceEmulator(per_minute=None) as service:
        program = await run("06_handlers_module", "j.db", service=service, merges=True, LEDGER="notes.txt")
        await watched(service)
        service.add(Plan(id="lost", steps=(Step("failed", 0.0),)))
        await program.until("was given up for event lost:")
        assert (await program.end(by=signal.SIGINT))[0] == 0
        program = await run("06_handlers_module", "j.db", service=service, LEDGER="notes.txt")
        await program.until("given up: lost:")
        assert (await program.end(by=signal.SIGINT))[0] == 0
    (told,) = program.lines
    assert told.endswith("there is no ledger: file is not a database")


async def test_another_model_is_followed(run, watched):
    """Its statuses call back, one status more is an anomaly that is told, and the diagram has them."""
    model = runpy.run_path(str(EXAMPLES / "07_custom_statuses" / "custom_statuses.py"))["LIFECYCLE"]
    async with TaskServiceEmulator(lifecycle=model) as service:
        program = await run("07_custom_statuses", service=service)
        await watched(service)
        service.add(Plan(id="prices", steps=(Step("assigned", 0.5), Step("running", 4.0), Step("resting", 2.0))))
        await program.until("prices: assigned -> running (begin, platform)", "resting")
        assert await program.end(by=signal.SIGINT) == (0, "")
    assert program.lines[0].startswith("prices: ")
    assert "-> assigned (" in program.lines[0]
    assert len(program.lines) == 3
    drawn = await run("07_custom_statuses", "--diagram")
    assert await drawn.end() == (0, "")
    assert "    queued --> assigned: assign" in drawn.lines


async def test_the_tests_of_a_user_run(run, tmp_path):
    """They pass with nothing but pytest, pytest-asyncio and titan_state installed, in a folder of their own."""
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLES / "08_test_your_code", folder)
    program = await run(sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert await program.end() == (0, "")
    assert "3 passed" in program.lines[-1]


async def test_a_subscriber_follows_a_file(run, tmp_path):
    """It tells what ended before its start, once also over a restart, and has the monitor stop what waits too long."""
    journal = tmp_path / "j.db"
    done = Plan(id="done", steps=(Step("running", 0.0), Step("completed", 0.0)))
    async with (
        TaskServiceEmulator(Scenario([done]), per_minute=None) as service,
        Monitor(service.url, service.token, journal=journal, thresholds=Thresholds(stuck_queued_s=1)) as monitor,
    ):
        await monitor.wait("done")
        program = await run("09_subscriber", f"sqlite:///{journal}")
        await program.until("done completed (done:")
        service.add(Plan(id="waits"))
        monitor.watch("waits")
        await program.until("waits was queued for too long: stopped", "waits cancelled (waits:")
        assert await program.end(by=signal.SIGTERM) == (0, "")
        assert service.executions()["waits"] == "cancelled"
        program = await run("09_subscriber", f"sqlite:///{journal}")
        service.add(Plan(id="more", steps=(Step("failed", 0.0),)))
        await monitor.wait("more", check=False)
        await program.until("more failed (more:")
        assert await program.end(by=signal.SIGINT) == (0, "")
    assert len(program.lines) == 1


async def test_a_subscriber_follows_a_journal_in_nats(run, watched, nats):
    """The same program, with another address: the monitor is the command of the package."""
    address = f"nats://{nats.address}?account=shop"
    async with TaskServiceEmulator(per_minute=None) as service:
        monitor = await run("titan-state", "monitor", "--journal", address, "--listen", "off", service=service)
        await watched(service)
        program = await run("09_subscriber", address)
        service.add(Plan(id="prices", steps=(Step("running", 0.0), Step("completed", 0.5))))
        await program.until("prices completed (prices:")
        assert await program.end(by=signal.SIGTERM) == (0, "")
        assert (await monitor.end(by=signal.SIGTERM))[0] == 143


def most_at_once(service):
    """Return how many executions were running at the same time at most, by the service's own account."""
    marks = []
    for execution_id in service.executions():
        entered = {entry.status: entry.at for entry in service.history(execution_id)}
        marks += [(entered["queued"], 1), (entered.get("completed", entered.get("failed")), -1)]
    level = most = 0
    for _, step in sorted(marks):
        level += step
        most = max(most, level)
    return most


async def test_many_runs_are_some_at_a_time(run):
    """Each is run once, no more than so many at the same time, and the exit code says that all have succeeded."""
    task = Task(id="t1", template=Plan(steps=(Step("running", 0.0), Step("completed", 3.0))))
    async with TaskServiceEmulator(Scenario([], [task]), per_minute=None) as service:
        program = await run("11_fan_out_run_many", "t1", "4", "--at-once", "2", service=service)
        assert await program.end() == (0, "")
        assert list(service.executions().values()) == ["completed"] * 4
        assert most_at_once(service) == 2
        told = {line.split()[0] for line in program.lines[:-1]}
        assert told == service.executions().keys()
    assert program.lines[-1] == "4 completed"


async def test_runs_that_fail_show_in_the_exit_code(run):
    """A failure among them is told, and the others are run all the same; a task that is unknown is told for each."""
    task = Task(id="t1", template=Plan(steps=(Step("running", 0.0), Step("failed", 0.2))))
    async with TaskServiceEmulator(Scenario([], [task]), per_minute=None) as service:
        program = await run("11_fan_out_run_many", "t1", "2", service=service)
        assert await program.end() == (1, "")
        assert program.lines[-1] == "2 failed"
        program = await run("11_fan_out_run_many", "nothing", "2", service=service)
        code, complaints = await program.end()
    assert (code, program.lines) == (1, ["2 unknown"])
    assert complaints.count("\n") == 2
    assert "404" in complaints
