"""On a terminal of 80 columns: the live table, the spinner, and that the terminal is left as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import termios
import threading

import pytest
from rich.cells import cell_len

from titan_state.emulator import Faults, Plan, Scenario, Step

HOSTILE = "[red]x[/red]\x1b[2J\x1b]0;title\x07"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def on_terminal(start):
    """Start the command on a terminal of its own; return the process and what it has drawn so far, and in the end."""
    opened = []

    def call(*arguments, service=None):
        user, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = start(*arguments, service=service, stdin=program, stdout=program, stderr=program)
        os.close(program)
        drawn = bytearray()

        def read():
            while True:
                try:
                    part = os.read(user, 65536)
                except OSError:  # how Linux says that the other side is closed
                    return
                if not part:
                    return
                drawn.extend(part)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        opened.append((user, reader))

        def finished():
            process.wait(timeout=60)
            reader.join(30)
            return drawn.decode()

        return process, drawn, finished

    yield call
    for user, reader in opened:
        reader.join(0.1)
        os.close(user)


@pytest.fixture
def terminal_type(monkeypatch):
    """Be a terminal with colours and the default width."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_watch_draws_a_live_table(serve, on_terminal, terminal_type):
    """A terminal gets a table, with words for statuses, and what the API says cannot steer it."""
    steps = (Step("running", 0.2), Step("failed", 1.0))
    service = serve(Scenario((Plan(id="hostile", steps=steps, error=HOSTILE, phases=(HOSTILE,)),)))
    process, _, finished = on_terminal("watch", "hostile", service=service)
    drawn = finished()
    assert process.returncode == 0
    assert "execution" in drawn
    assert "✗ failed" in drawn
    assert "requests left" in drawn
    assert "[red]x[/red]" in drawn
    assert "\x1b[2J" not in drawn
    assert "\x1b]0;" not in drawn
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l"), "the cursor stays hidden"
    assert all(cell_len(line) <= 80 for line in re.split(r"[\r\n]+", CONTROL.sub("", drawn)))


def until_drawn(drawn, text):
    """Wait until a terminal shows a text."""
    for _ in range(600):
        if text.encode() in drawn:
            return
        threading.Event().wait(0.05)
    pytest.fail(f"{text!r} is not in {drawn.decode()!r}")


def test_ctrl_c_leaves_the_terminal_as_it_was(serve, on_terminal, terminal_type):
    """After Ctrl-C the cursor is back and the code is 130."""
    service = serve(Scenario((Plan(id="a", steps=(Step("running", 0),)),)))
    process, drawn, finished = on_terminal("watch", "--all", service=service)
    until_drawn(drawn, "running")
    process.send_signal(signal.SIGINT)
    shown = finished()
    assert process.returncode == 130
    assert "Traceback" not in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"


def test_wait_shows_that_it_waits(serve, on_terminal, terminal_type):
    """A wait on a terminal shows what it waits for, and ends with the outcome on a line of its own."""
    service = serve(Scenario((Plan(id="a", steps=(Step("running", 0.2), Step("completed", 1.0))),)))
    process, _, finished = on_terminal("wait", "a", service=service)
    drawn = finished()
    assert process.returncode == 0
    assert "waiting · " in drawn
    assert "requests left" in drawn
    assert CONTROL.sub("", drawn).replace("\r", "\n").rstrip().endswith("a  completed")


def test_wait_for_several_counts_them_and_keeps_their_lines(serve, on_terminal, terminal_type):
    """What has ended stays on a line of its own above what is waited for, with anomalies and sums in sight."""
    odd = Plan(id="odd\x1b[2J", steps=(Step("running", 0), Step("throttled", 0.1), Step("completed", 4.0)))
    service = serve(Scenario((Plan(id="a", steps=(Step("running", 0.2), Step("failed", 1.0))), odd)))
    process, drawn, finished = on_terminal("wait", "a", "odd\x1b[2J", service=service)
    until_drawn(drawn, "unknown_status")
    shown = finished()
    assert process.returncode == 3
    assert "1 of 2 left: " in shown
    assert "⚠ 1 unknown_status" in shown
    assert "\x1b[2J" not in shown
    lines = [line.strip() for line in re.split(r"[\r\n]+", CONTROL.sub("", shown)) if line.strip()]
    assert [line for line in lines if line.startswith("a  failed")]
    assert lines[-1] == "odd�[2J  completed"


def test_ctrl_c_ends_a_wait_for_a_service_that_is_not_there(on_terminal, terminal_type):
    """Where nobody listens that is said once, above the spinner, which leaves nothing behind."""
    process, drawn, finished = on_terminal("wait", "a", "--url", "http://127.0.0.1:9", "--token", "some-token")
    until_drawn(drawn, "warning: a read failed")
    process.send_signal(signal.SIGINT)
    shown = finished()
    assert process.returncode == 130
    assert shown.count("warning: a read failed") == 1
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"
    assert "Traceback" not in shown


def test_a_dumb_terminal_gets_lines(serve, on_terminal, terminal_type, monkeypatch):
    """What cannot be drawn on is written on."""
    monkeypatch.setenv("TERM", "dumb")
    service = serve(Scenario((Plan(id="a", steps=(Step("failed", 0),)),)))
    process, _, finished = on_terminal("watch", "a", service=service)
    shown = finished()
    assert process.returncode == 0
    assert "\x1b[" not in shown
    assert "a  is failed" in shown


def test_a_list_that_takes_its_time_says_how_far_it_is(serve, on_terminal, terminal_type):
    """Where the service is slow there is a spinner, and then nothing but the list."""
    service = serve(Scenario((Plan(id="a", steps=(Step("running", 0),)),)), faults=Faults(slow=1.0, slow_s=1.5))
    process, _, finished = on_terminal("list", service=service)
    shown = finished()
    assert process.returncode == 0
    assert "looked at 0 executions, found 0" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"
    assert CONTROL.sub("", shown.rpartition("\x1b[2K")[2]).startswith("execution  status")


def test_ctrl_c_ends_an_action_that_hangs(serve, on_terminal, terminal_type):
    """Nothing is sent after Ctrl-C, and the terminal is as it was."""
    service = serve(Scenario((Plan(id="a", steps=(Step("running", 0),)),)), faults=Faults(slow=1.0, slow_s=30.0))
    process, drawn, finished = on_terminal("pause", "a", service=service)
    until_drawn(drawn, "pause · ")
    process.send_signal(signal.SIGINT)
    shown = finished()
    assert process.returncode == 130
    assert "Traceback" not in shown
    assert [request for request in service.requests if request.method == "POST"] == []


def test_an_export_shows_how_far_it_is(serve, on_terminal, terminal_type, tmp_path):
    """A terminal sees a bar for what is loading, of which nothing stays but the line of the file."""
    plan = Plan(id="a", steps=(Step("running", 0), Step("completed", 0)), rows=2000, padding=40_000)
    process, drawn, finished = on_terminal(
        "export", "a", "nothing", "--output", tmp_path, service=serve(Scenario((plan,)))
    )
    until_drawn(drawn, "exporting · ")
    shown = finished()
    assert process.returncode == 6
    assert re.search(r"a\.json .*━.* [\d.]+/[\d.]+ MB", CONTROL.sub("", shown))
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"
    lines = [line.strip() for line in re.split(r"[\r\n]+", CONTROL.sub("", shown)) if line.strip()]
    assert [line for line in lines if re.fullmatch(rf"{tmp_path}/a\.json  [\d.]+ MB", line)]
    assert all(cell_len(line) <= 80 for line in re.split(r"[\r\n]+", CONTROL.sub("", drawn.decode())) if "━" in line)


def test_an_export_for_a_program_shows_no_bar(serve, on_terminal, terminal_type, tmp_path):
    """With --json there are lines of JSON and nothing else, also on a terminal."""
    plan = Plan(id="a", steps=(Step("running", 0), Step("completed", 0)))
    process, _, finished = on_terminal("export", "a", "--json", "--output", tmp_path, service=serve(Scenario((plan,))))
    shown = finished()
    assert process.returncode == 0
    assert shown.startswith('{"execution_id": "a"')
    assert "\x1b" not in shown


def test_watch_says_in_its_table_what_was_exported(serve, on_terminal, terminal_type, tmp_path):
    """The last events tell of results and of files, and the last line how it ends."""
    plan = Plan(id="a", steps=(Step("running", 0), Step("completed", 0.5)), results_after_s=0.5)
    process, _, finished = on_terminal("watch", "a", "--export", tmp_path / "out", service=serve(Scenario((plan,))))
    shown = finished()
    assert process.returncode == 0
    assert "results ready: 3 rows" in shown
    assert "exported /" in shown
    assert "ends when all are exported, or with Ctrl-C" in CONTROL.sub("", shown)
