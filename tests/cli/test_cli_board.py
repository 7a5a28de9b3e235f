"""The live table: what it shows at 80 columns, and that no text of the API can steer it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from titan_state.cli.board import Board
from titan_state.core.anomalies import AnomalyKind, Severity
from titan_state.core.events import AnomalyDetected, Transitioned
from titan_state.core.execution import Execution

NOW = datetime.now(UTC)
HOSTILE = "[red]x[/red]\x1b[2J\r\n\u202e"


class KnownMonitor:
    """A monitor that knows what a test says."""

    def __init__(self, executions=(), anomalies=None):
        self.known = tuple(executions)
        self.open = anomalies or {}
        self.remaining = 97
        self.service = SimpleNamespace(budget=SimpleNamespace(limit=120))

    def executions(self):
        return self.known

    def anomalies(self, execution_id=""):
        return self.open.get(execution_id, ())

    @property
    def is_blind(self):
        return AnomalyKind.BLIND in self.anomalies()


def render(board, width=80, height=24, **options):
    console = Console(file=StringIO(), width=width, height=height, force_terminal=True, color_system="standard")
    console.print(board)
    drawn = console.file.getvalue()
    plain = Console(file=StringIO(), width=width, height=height, force_terminal=False, color_system=None)
    plain.print(board)
    return drawn, plain.file.getvalue().splitlines()


def entered(execution, *, source=None, ago_s=65.0, seq=1):
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return Transitioned(
        execution_id=execution.id,
        seq=seq,
        at=at,
        execution=execution,
        source=source,
        dest=execution.status,
        after=None if source is None else at,
        before=at,
    )


STATUSES = ["queued", "running", "paused", "completed", "completed_with_errors", "failed", "cancelled"]


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(width):
    """Long ids, long phases and many anomalies are cut, never wrapped."""
    executions = [
        Execution(id=f"{status}-{'x' * 50}", status=status, task_id="t" * 60, phase="p" * 60, progress=42.4)
        for status in STATUSES
    ]
    board = Board(KnownMonitor(executions, {executions[1].id: tuple(AnomalyKind)}), footer="f" * 100)
    for one in executions:
        board.take(entered(one))
    _, lines = render(board, width)
    assert lines
    assert all(cell_len(line) <= width for line in lines)
    assert len(lines) <= 24


def test_every_status_is_told_by_a_word_at_80_columns():
    """Colour and sign are help; the word is what counts."""
    executions = [Execution(id=f"e{n}", status=status) for n, status in enumerate(STATUSES)]
    _, lines = render(Board(KnownMonitor(executions)))
    for one in executions:
        row = next(line for line in lines if line.startswith(one.id))
        assert {"completed_with_errors": "with errors"}.get(one.status, one.status) in row


def test_row_shows_task_age_progress_phase_and_anomalies():
    """One row says all that is known of an execution, at 80 columns."""
    one = Execution(
        id="3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        status="running",
        task_id="6ba7b810-9dad-41d1-80b4-00c04fd430c8",
        phase="extracting",
        progress=42.4,
    )
    board = Board(KnownMonitor([one], {one.id: (AnomalyKind.FLAPPING,)}))
    board.take(entered(one, source="queued"))
    _, lines = render(board)
    row = next(line for line in lines if line.startswith("3f2504e0"))
    assert "6ba7b810" in row
    assert "running" in row
    assert "1m05" in row
    assert "42% extracting" in row
    assert "flapping" in row


def test_age_of_a_first_sight_is_only_a_lower_bound():
    """What was so already when it was first seen has been so for longer."""
    one = Execution(id="e", status="running")
    board = Board(KnownMonitor([one]))
    board.take(entered(one))
    _, lines = render(board)
    assert "≥1m05" in next(line for line in lines if line.startswith("e "))


def test_requests_left_and_blindness_are_below_the_table():
    """The last lines tell what may still be sent, and whether anything is seen at all."""
    _, lines = render(Board(KnownMonitor([], {"": (AnomalyKind.BLIND,)})))
    assert any("97 of 120 requests left" in line and "blind" in line for line in lines)


def test_more_executions_than_lines_are_counted():
    """A table longer than the terminal shows live ones and those with anomalies, and counts the rest."""
    executions = [Execution(id=f"e{n:03}", status="completed" if n < 50 else "running") for n in range(100)]
    _, lines = render(Board(KnownMonitor(executions, {"e090": (AnomalyKind.FLAPPING,)})))
    assert len(lines) <= 24
    assert any(line.startswith("e090") for line in lines)
    assert not any(line.startswith("e001") for line in lines)
    assert any("50 completed" in line for line in lines if line.startswith("…"))


def test_text_of_the_api_is_neither_markup_nor_control():
    """Ids, statuses, phases, errors and messages with escapes and markup are shown as they are, harmless."""
    one = Execution(id=HOSTILE + "id", status=HOSTILE, task_id=HOSTILE, phase=HOSTILE, progress=1e300, error=HOSTILE)
    board = Board(KnownMonitor([one]), labels={one.id: HOSTILE})
    other = Board(KnownMonitor([one]))
    failed = Execution(id=one.id, status="failed", error=HOSTILE)
    for drawn_on in (board, other):
        drawn_on.take(entered(failed))
        drawn_on.take(
            AnomalyDetected(
                execution_id=one.id,
                seq=2,
                at=NOW,
                kind=AnomalyKind.UNKNOWN_STATUS,
                severity=Severity.WARNING,
                message=HOSTILE,
                check_first=HOSTILE,
            )
        )
        drawn, lines = render(drawn_on, width=160)
        assert "\x1b[2J" not in drawn
        assert "\u202e" not in drawn
        assert "\r" not in drawn
        assert "[red]x[/red]" in "".join(lines)


def test_recent_events_stay_below_the_table():
    """The last few events are shown, with when and which execution."""
    one = Execution(id="e1", status="running")
    board = Board(KnownMonitor([one]))
    for n in range(20):
        board.take(entered(Execution(id=f"e{n}", status="running"), source="queued"))
    _, lines = render(board)
    assert "e19  queued -> running" in lines[-1]
    assert sum("queued -> running" in line for line in lines) == 8
