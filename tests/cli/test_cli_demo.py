"""The demonstration: once in full, and its account against histories that it must find fault with."""

from __future__ import annotations

import pytest

from titan_state.cli.demo_truth import Account, compare, truth
from titan_state.core.anomalies import Thresholds
from titan_state.emulator import Plan, Scenario, Step, TaskServiceEmulator
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
