"""The demonstration: once in full, and its account against histories that it must find fault with."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from titan_state.cli.demo import conclude
from titan_state.cli.demo_play import Stage
from titan_state.cli.demo_truth import Account, compare, truth
from titan_state.core.anomalies import Thresholds
from titan_state.emulator import Faults, Plan, Scenario, Step, TaskServiceEmulator
from titan_state.errors import TooManyRequestsError
from titan_state.monitor.monitor import Monitor
from titan_state.testing import ManualClock

TERMINAL = ("completed", "completed_with_errors", "failed", "cancelled")


def test_demo_ends_well_and_says_what_happened(start):
    """The demonstration runs over HTTP, ends by itself with 0, and its account names what was promised."""
    process = start("demo", "--speed", "2", "--seed", "7")
    stdout, stderr = process.communicate(timeout=100)
    assert process.returncode == 0, stdout + stderr
    assert "Traceback" not in stderr
    assert "Callbacks and truth agree." in stdout
    assert "1 refused before anything was sent" in stdout
    assert "0 answered with 429" in stdout
    for anomaly in ("flapping", "left_terminal", "stuck_queued", "unexpected_flip", "unknown_status", "vanished"):
        assert f"anomaly {anomaly}" in stdout
    for status in TERMINAL:
        assert f"ended in {status}" in stdout
    assert "callback on_completed" in stdout
    assert "callback on_anomaly" in stdout
    assert "refused here" in stdout
    assert "Scaled for the demo: told 2 times as fast; 240 requests a minute" in stdout


@asynccontextmanager
async def on_stage(*plans, speed=1.0, **options):
    """Set the stage of a demonstration with executions of a test's own."""
    ids = {plan.note: plan.id for plan in plans}
    async with (
        TaskServiceEmulator(Scenario(plans), speed=speed, **options) as service,
        Monitor(service.url, service.token) as monitor,
    ):
        yield Stage(service, monitor, ids, speed, lambda text: None, Thresholds())


async def played(*steps, until=40.0, move=None):
    """Return the truth of one plan."""
    clock = ManualClock()
    async with TaskServiceEmulator(Scenario((Plan(id="e", steps=steps),)), clock=clock, speed=2.0) as service:
        await clock.advance(until / 2.0)
        return truth(service, ["e"], Thresholds(stuck_queued_s=5.0), 2.0)


@pytest.mark.parametrize(
    ("steps", "ends", "anomalies", "cleared"),
    [
        ([Step("running", 1), Step("completed", 1)], {"completed": 1}, {}, {}),
        ([], {}, {"stuck_queued": 1}, {}),
        ([Step("running", 11)], {}, {"stuck_queued": 1}, {"stuck_queued": 1}),
        ([Step("running", 9)], {}, {}, {}),
        (
            [Step("running", 1), Step("completed", 1), Step("running", 1), Step("completed", 1)],
            {"completed": 2},
            {"left_terminal": 1},
            {"left_terminal": 1},
        ),
        (
            [Step("running", 1), Step("odd", 1), Step("running", 1), Step("odd", 1)],
            {},
            {"unknown_status": 2},
            {"unknown_status": 1},
        ),
        ([Step("running", 1), Step.vanish(1)], {}, {"vanished": 1}, {}),
        (
            [Step("running", 1), *([Step("paused", 1), Step("running", 1)] * 2), Step("failed", 1)],
            {"failed": 1},
            {"unexpected_flip": 4, "flapping": 1},
            {"flapping": 1},
        ),
        ([Step("running", 1), Step("queued", 1)], {}, {"illegal_move": 1, "stuck_queued": 1}, {}),
    ],
)
async def test_truth_is_read_off_the_history(steps, ends, anomalies, cleared):
    """The account of the truth counts terminal statuses, and what a careful monitor would have to say."""
    account = await played(*steps)
    assert account.ends == {("e", name): count for name, count in ends.items()}
    assert account.anomalies == {("e", name): count for name, count in anomalies.items()}
    assert account.cleared == {("e", name): count for name, count in cleared.items()}


def test_agreement_has_no_faults():
    """Two equal accounts agree, line by line."""
    account = Account()
    account.ends["e", "completed"] += 1
    report = compare(account, account, {})
    assert report.faults == []
    assert "✓" in report.lines[-1]


def test_equal_sums_of_other_executions_differ():
    """What was counted for the wrong execution is a fault, though the sums are the same."""
    seen, true = Account(), Account()
    seen.ends["e", "completed"] += 1
    true.ends["f", "completed"] += 1
    report = compare(seen, true, {"f": "the other"})
    assert len(report.faults) == 2
    assert any(fault.startswith("the other: ended in completed: callbacks saw 0, truly 1") for fault in report.faults)
    assert "✗ differs" in report.lines[-1]


def test_what_was_seen_twice_differs():
    """A callback too many is as wrong as one too few."""
    seen, true = Account(), Account()
    seen.anomalies["", "blind"] += 1
    assert compare(seen, true, {}).faults == ["monitor: anomaly blind: callbacks saw 1, truly 0"]


def account(stage, capsys):
    """Return the exit code of the account, and what it says."""
    code = conclude(stage, {execution_id: name for name, execution_id in stage.ids.items()}, 120, 1.0)
    return code, capsys.readouterr().out


async def test_a_lost_callback_ends_the_demonstration_with_1(capsys):
    """What the service has in its history and no callback saw is named, and the code says so."""
    plan = Plan(id="e", note="completes", steps=(Step("running", 0), Step("completed", 0)))
    async with on_stage(plan) as stage:
        stage.seen.ends["e", "completed"] += 1
        stage.seen.entered["e", "running"] += 1
        code, told = account(stage, capsys)
        assert code == 1
        assert "differs: completes: calls of on_completed: callbacks saw 0, truly 1" in told
        assert "Callbacks and truth differ in 1 points." in told
        stage.seen.called["e", "on_completed"] += 1
        code, told = account(stage, capsys)
        assert code == 0
        assert "Callbacks and truth agree." in told


async def test_requests_beyond_the_limit_end_the_demonstration_with_1(capsys):
    """A monitor that runs into the limit has not kept its promise, whatever its callbacks saw."""
    async with on_stage(Plan(id="e", note="completes"), faults=Faults(spurious_429=1.0)) as stage:
        with pytest.raises(TooManyRequestsError):
            await stage.monitor.service.list()
        code, told = account(stage, capsys)
    assert code == 1
    assert "were answered with 429" in told


async def test_what_does_not_come_in_time_is_a_fault(capsys):
    """The demonstration ends in any case, and says what it waited for in vain."""
    async with on_stage(Plan(id="e", note="completes"), speed=1000.0) as stage:
        assert not await stage.until(lambda: False, "something")
        code, told = account(stage, capsys)
    assert code == 1
    assert "differs: not seen in time: something" in told


async def test_entries_are_counted_but_for_the_first():
    """Every status that was entered counts, `on_completed` once for each end; how it began may be over unseen."""
    account = await played(
        Step("running", 1), Step("paused", 1), Step("odd", 1), Step("running", 1), Step("completed", 1)
    )
    assert account.entered == {("e", "running"): 2, ("e", "paused"): 1}
    assert account.called == {("e", "on_completed"): 1}
