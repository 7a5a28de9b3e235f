"""Watching: lines and JSON lines, when it ends, and how it is left."""

from __future__ import annotations

import json
import re
import signal
import time

import pytest

from titan_state.cli import hindrance
from titan_state.cli.connection import Connection
from titan_state.core.anomalies import Thresholds
from titan_state.emulator import Faults, Plan, Scenario, Step, When

HOSTILE = "[red]x[/red]\x1b[2J\r\n"


def plan(name, *steps, **options):
    return Plan(id=name, steps=steps, **options)


def test_watch_writes_a_line_for_each_event_and_ends(serve, titan):
    """Not on a terminal, each event is a line; it ends when all named executions have finished."""
    service = serve(Scenario((plan("a", Step("running", 0.3), Step("completed", 1.5)), plan("b", Step("failed", 0.5)))))
    result = titan("watch", "a", "b", service=service)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert any("  a  " in line and line.endswith("-> completed") for line in lines)
    assert any("  b  " in line and "failed" in line and "check first" in line for line in lines)


def test_watch_as_json_writes_events_as_the_library_has_them(serve, titan):
    """Every line is an event's own dictionary, harmless to a terminal."""
    service = serve(Scenario((plan("a", Step("failed", 0.5), error=HOSTILE),)))
    result = titan("watch", "a", "--json", service=service)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["type"] == "transitioned"
    assert events[-1]["dest"] == "failed"
    assert events[-1]["execution"]["error"] == HOSTILE
    assert all(event["schema"] == 1 for event in events)
    assert "\x1b" not in result.stdout


def test_watch_lines_are_safe_to_look_at(serve, titan):
    """Markup stays text and control characters are replaced."""
    result = titan("watch", "a", service=serve(Scenario((plan("a", Step("failed", 0), error=HOSTILE),))))
    assert "[red]x[/red]" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\r" not in result.stdout


def test_watch_of_what_is_not_there_exits_with_6(serve, titan, short_grace):
    """An id that does not exist does not keep it waiting for ever."""
    result = titan("watch", "nothing", service=serve())
    assert result.exit_code == 6
    assert "does not know" in result.stderr


def test_watch_of_a_task_that_is_not_there_exits_with_6(serve, titan):
    """A task that does not exist is said so at once."""
    result = titan("watch", "--task", "nothing", service=serve())
    assert result.exit_code == 6
    assert "task not found" in result.stderr


def test_watch_of_a_task_goes_on_where_its_first_read_fails(serve, start):
    """A service that stumbles at first is tried again."""
    service = serve(Scenario((plan("a", Step("running", 0), task_id="t"),)), faults=Faults(server_error={1}))
    process = start("watch", "--task", "t", service=service)
    read_line(process, "running")
    process.terminate()
    process.communicate(timeout=30)
    assert 500 <= service.requests[0].status < 600


def read_line(process, containing):
    """Return the first line of output that contains a text."""
    while True:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        if containing in line:
            return line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "arguments", [("watch", "--all"), ("watch", "a"), ("watch", "a", "--forever"), ("emulate",)], ids=" ".join
)
def test_signals_end_it_cleanly(serve, start, arguments, number, code):
    """Ctrl-C and SIGTERM leave at once, with the shell's codes and without a word of complaint."""
    service = serve(Scenario((plan("a", Step("running", 0)),)))
    process = start(*arguments, service=service)
    read_line(process, "export TITAN_TOKEN" if arguments[0] == "emulate" else "running")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert "exception" not in stderr
    assert "error" not in stderr
    assert [request for request in service.requests if request.method == "POST"] == []


def test_ctrl_c_ends_a_wait(serve, start):
    """A wait is left with 130, and stops nothing."""
    service = serve(Scenario((plan("a", Step("running", 0)),)))
    process = start("wait", "a", service=service)
    deadline = time.monotonic() + 30
    while not service.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert service.executions() == {"a": "running"}


def test_a_reader_that_goes_away_is_no_error(serve, start):
    """`titan-state … | head -1` ends quietly, with the next line that nobody reads."""
    service = serve(Scenario(tuple(plan(f"a{n}", Step("running", 0), Step("completed", 2 + n)) for n in range(3))))
    process = start("watch", "--all", service=service)
    assert process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""


def test_a_quiet_watch_ends_too_when_its_reader_goes_away(serve, start):
    """`titan-state watch … | head -1` gives the prompt back though nothing more happens."""
    process = start("watch", "--all", service=serve(Scenario((plan("a", Step("running", 0)),))))
    read_line(process, "is running")
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""


def test_emulate_prints_what_another_terminal_needs(start, titan):
    """The two lines set the variables with which every other command finds the service."""
    process = start("emulate", "--executions", "7", "--seed", "3", "--speed", "10")
    url = read_line(process, "export TITAN_API_URL=").partition("=")[2].strip()
    token = read_line(process, "export TITAN_TOKEN=").partition("=")[2].strip()
    result = titan("list", "--url", url, "--token", token, "--json")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 7
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130


def test_what_emulate_plays_begins_when_it_is_looked_at(start, titan):
    """Whoever takes their time to open another terminal misses nothing: no execution has finished before."""
    process = start("emulate", "--speed", "50")
    url = read_line(process, "export TITAN_API_URL=").partition("=")[2].strip()
    token = read_line(process, "export TITAN_TOKEN=").partition("=")[2].strip()
    assert titan("list", "--url", url, "--token", "no-such-token").exit_code == 1  # takes a second of the story or more
    result = titan("list", "--url", url, "--token", token, "--json")
    assert {json.loads(line)["status"] for line in result.stdout.splitlines()} == {"queued"}


def test_an_id_that_is_not_known_is_said_to_be_looked_for(serve, titan, monkeypatch):
    """A 404 is not believed at once, and whoever waits meanwhile is told."""
    monkeypatch.setattr(hindrance, "SOUGHT_S", 0.1)
    monitor = Connection.monitor
    thresholds = Thresholds(not_found_s=1.5, replica_lag_s=0.2)
    monkeypatch.setattr(Connection, "monitor", lambda self, **more: monitor(self, thresholds=thresholds, **more))
    service = serve()
    for command in ("watch", "wait"):
        result = titan(command, f"no-such-{command}", service=service)
        assert result.exit_code == 6
        assert f"no-such-{command}: the service does not know it so far; it is looked for" in result.stderr


def test_an_id_is_not_said_to_be_unknown_while_the_service_answers_nothing(serve, titan, monkeypatch):
    """Where there are too many requests nobody has looked yet whether it is there."""
    monkeypatch.setattr(hindrance, "SOUGHT_S", 0.5)
    service = serve(faults=Faults(spurious_429=When(every=1)))
    result = titan("wait", "prices-1", "--timeout", "1.5", service=service)
    assert result.exit_code == 124
    assert service.requests
    assert "does not know it" not in result.stderr


def test_a_request_limit_that_is_reached_is_said(serve, start):
    """Lines that do not come are explained: why, and until when."""
    process = start("watch", "--all", "--per-minute", "1", service=serve(), text=True)
    told = process.stderr.readline()
    process.terminate()
    assert re.fullmatch(
        r"titan-state: waiting: the request limit is reached: the next read is at \d\d:\d\d:\d\d\n", told
    )


def test_emulate_on_a_port_in_use_is_one_line(serve, start):
    """A port that is taken is named, with what to do."""
    port = serve().url.rpartition(":")[2]
    process = start("emulate", "--port", port)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert stderr == (
        f"titan-state: error: port {port} is in use already: give another one with --port, or leave that out for any "
        "free one\n"
    )
