"""The live table: what it shows at 80 columns, and that no text of the API can steer it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from titan_state.cli.board import Board
from titan_state.client.statistics import Statistics
from titan_state.clock import SystemClock
from titan_state.core.anomalies import AnomalyKind, Severity
from titan_state.core.budget import Priority, RequestBudget
from titan_state.core.events import AnomalyCleared, AnomalyDetected, Transitioned
from titan_state.core.execution import Execution

NOW = datetime.now(UTC)
HOSTILE = "[red]x[/red]\x1b[2J\r\n\u202e"


class KnownMonitor:
    """A monitor that knows what a test says."""

    def __init__(self, executions=(), anomalies=None):
        self.known = tuple(executions)
        self.open = anomalies or {}
        self.remaining = 97
        self.service = SimpleNamespace(budget=RequestBudget(120), statistics=Statistics())
        self.journal = SimpleNamespace(trouble=None)

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


def test_what_is_gone_is_not_shown_as_running():
    """A vanished execution has no status any more: neither its row nor the sums say that it runs."""
    gone, other = Execution(id="gone", status="running", progress=90.0), Execution(id="other", status="running")
    board = Board(KnownMonitor([gone, other], {"gone": (AnomalyKind.VANISHED,)}))
    board.take(entered(gone))
    _, lines = render(board)
    row = next(line for line in lines if line.startswith("gone "))
    assert "running" not in row
    assert "1m0" not in row
    assert "%" not in row
    assert "vanished" in row
    assert any("1 running, 1 vanished" in line for line in lines)


def test_a_narrow_terminal_shows_anomalies_rather_than_tasks():
    """At 60 columns what is wrong can still be read."""
    one = Execution(id="3f2504e0-4f89-41d3-9a0c-0305e82c3301", status="running", task_id="6ba7b810", progress=1.0)
    _, lines = render(Board(KnownMonitor([one], {one.id: (AnomalyKind.UNKNOWN_STATUS,)})), width=60)
    row = next(line for line in lines if line.startswith("3f2504e0"))
    assert "unknown_status" in row
    assert "6ba7b810" not in row


def test_what_has_no_room_ends_in_an_ellipsis():
    """A sum that is cut says that it is, and how to leave is in sight all the same."""
    executions = [Execution(id=f"e{n:03}", status=STATUSES[n % 7]) for n in range(700)]
    _, lines = render(Board(KnownMonitor(executions), footer="Ctrl-C ends"), width=60)
    assert next(line for line in lines if line.startswith("… and")).rstrip().endswith("…")
    assert any("requests left · Ctrl-C ends" in line for line in lines)


def test_a_service_that_does_not_answer_is_said_so():
    """A table that nothing renews must not look alive."""
    monitor = KnownMonitor([Execution(id="e", status="running")])
    now = [0.0]
    board = Board(monitor, now=lambda: now[0])
    monitor.service.statistics.requests += 1
    monitor.service.statistics.answers["2xx"] += 1
    assert not any("no answer" in line for line in render(board)[1])
    monitor.service.statistics.requests += 1
    now[0] += 42
    assert any("no answer for 42s" in line for line in render(board)[1])


def test_a_request_limit_that_is_reached_is_said_with_the_time_of_the_next_read():
    """Somebody who waits learns why, and until when."""
    monitor = KnownMonitor([Execution(id="e", status="running")])
    monitor.service.budget = RequestBudget(1)
    now = SystemClock().time()
    monitor.service.budget.answered(monitor.service.budget.send(now, Priority.CONTROL), now)
    (line,) = [line for line in render(Board(monitor), width=120)[1] if "request limit" in line]
    assert re.search(r"the request limit is reached: the next read is at \d\d:\d\d:\d\d", line)


def test_a_journal_that_is_away_is_said():
    """While it is not certain who leads, nothing is read: the table says so."""
    monitor = KnownMonitor([Execution(id="e", status="running")])
    monitor.journal.trouble = "the connection is away"
    assert any("the journal: the connection is away" in line for line in render(Board(monitor))[1])


def test_anomalies_of_the_monitor_and_their_end_are_told():
    """What concerns no single execution is the monitor's own, and good news is news too."""
    board = Board(KnownMonitor())
    board.take(AnomalyCleared(execution_id="", seq=1, at=NOW, kind=AnomalyKind.BLIND, message="seen again", since=NOW))
    _, lines = render(board)
    assert "monitor  cleared blind: seen again" in lines[-1]


def test_a_long_watch_forgets_executions_that_were_let_go():
    """Ages are kept for what is shown, not for everything that ever was."""
    kept = Execution(id="kept", status="running")
    monitor = KnownMonitor([kept])
    board = Board(monitor)
    for n in range(2000):
        board.take(entered(Execution(id=f"e{n}", status="completed")))
    board.take(entered(kept))
    render(board)
    monitor.known = (kept, Execution(id="e1", status="completed"))
    _, lines = render(board)
    assert "1m0" in next(line for line in lines if line.startswith("kept "))
    assert "1m0" not in next(line for line in lines if line.startswith("e1 "))
